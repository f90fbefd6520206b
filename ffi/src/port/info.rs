//! What a device says it can do, as plain data.
//!
//! Read once from `rte_eth_dev_info_get`; recorded values make table tests of the plan.

use std::ffi::CStr;

use crate::error::Errno;
use crate::vdev::Ring;

/// Limits of a descriptor ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Descriptors {
    /// Fewest.
    pub min: u16,
    /// Most.
    pub max: u16,
    /// The number must be a multiple of this (at least 1).
    pub align: u16,
}

/// A device's capabilities.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    /// The driver, `net_ice`.
    pub driver: String,
    /// NUMA node, when it has one.
    pub numa: Option<u32>,
    /// Most receive queues.
    pub max_rx_queues: u16,
    /// Most transmit queues.
    pub max_tx_queues: u16,
    /// Receive descriptors.
    pub rx_descriptors: Descriptors,
    /// Transmit descriptors.
    pub tx_descriptors: Descriptors,
    /// Smallest MTU.
    pub min_mtu: u16,
    /// Largest MTU; `u16::MAX` when the driver does not say.
    pub max_mtu: u16,
    /// Longest frame it can receive, CRC included; `u32::MAX` when unlimited.
    pub max_rx_frame: u32,
    /// Places of the RSS redirection table, 0 without one.
    pub reta_places: u16,
    /// Octets of the RSS key, 0 without RSS.
    pub rss_key_octets: u8,
    /// Packet types RSS can hash (`RTE_ETH_RSS_*`), 0 without RSS.
    pub rss_types: u64,
    /// Receive offloads (`RTE_ETH_RX_OFFLOAD_*`).
    pub rx_offloads: u64,
    /// Transmit offloads (`RTE_ETH_TX_OFFLOAD_*`).
    pub tx_offloads: u64,
    /// The kernel ring beneath, and its interface's MTU.
    pub kernel: Option<(Ring, u32)>,
}

impl Info {
    /// Asks device `port`.
    pub(crate) fn of(port: u16, kernel: Option<(Ring, u32)>) -> Result<Self, Errno> {
        let mut raw = dpdk_sys::rte_eth_dev_info::default();
        // SAFETY: writes to `raw`; an unknown port is answered with an error.
        Errno::check(unsafe { dpdk_sys::rte_eth_dev_info_get(port, &raw mut raw) })?;
        // SAFETY: as above.
        let numa = u32::try_from(unsafe { dpdk_sys::rte_eth_dev_socket_id(port) }).ok();
        Ok(Info {
            // SAFETY: a driver's name is a static NUL-terminated string, set by the call above.
            driver: unsafe { CStr::from_ptr(raw.driver_name) }.to_string_lossy().into_owned(),
            numa,
            max_rx_queues: raw.max_rx_queues,
            max_tx_queues: raw.max_tx_queues,
            rx_descriptors: Descriptors::of(&raw.rx_desc_lim),
            tx_descriptors: Descriptors::of(&raw.tx_desc_lim),
            min_mtu: raw.min_mtu,
            max_mtu: raw.max_mtu,
            max_rx_frame: raw.max_rx_pktlen,
            reta_places: raw.reta_size,
            rss_key_octets: raw.hash_key_size,
            rss_types: raw.flow_type_rss_offloads,
            rx_offloads: raw.rx_offload_capa,
            tx_offloads: raw.tx_offload_capa,
            kernel,
        })
    }
}

impl Descriptors {
    fn of(raw: &dpdk_sys::rte_eth_desc_lim) -> Self {
        Descriptors { min: raw.nb_min, max: raw.nb_max, align: raw.nb_align.max(1) }
    }

    /// The allowed number nearest to `wanted`, preferring more.
    pub(crate) fn nearest(&self, wanted: u16) -> u16 {
        let top = self.max - self.max % self.align;
        wanted.max(self.min).checked_next_multiple_of(self.align).unwrap_or(top).min(top)
    }
}
