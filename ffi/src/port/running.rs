//! A port that runs: its address, link and counters, and its end.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::fallback::Fallback;
use super::redirection::{self, RedirectError};
use super::steer::Steered;
use super::xstats;
use crate::error::Errno;
use crate::{log, vdev};

/// A started device. Shared by [`Port`] and the queue halves; the last one to go stops it.
#[derive(Debug)]
pub struct Running {
    claim: Claim,
}

impl Running {
    pub(crate) fn new(claim: Claim) -> Self {
        Running { claim }
    }

    pub(crate) fn id(&self) -> u16 {
        self.claim.id
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // SAFETY: started by set-up; all queue halves are gone, so nobody polls.
        unsafe { dpdk_sys::rte_eth_dev_stop(self.claim.id) };
        // The claim's own drop closes it.
    }
}

/// The sole right to a device; giving it up closes the device.
#[derive(Debug)]
pub(crate) struct Claim {
    pub(crate) id: u16,
    pub(crate) name: String,
    /// Made by [`crate::Eal::probe`], so removed with us.
    pub(crate) probed: bool,
    /// The RSS key. DPDK keeps the pointer it was configured with until the device is
    /// closed, and drivers read it at start; this is dropped after that.
    pub(crate) rss_key: Vec<u8>,
}

/// Ports claimed, by DPDK's number. Also the lock around probing and removing, which
/// DPDK does not make safe against itself.
static CLAIMED: Mutex<[bool; dpdk_sys::RTE_MAX_ETHPORTS as usize]> =
    Mutex::new([false; dpdk_sys::RTE_MAX_ETHPORTS as usize]);

/// The table of claims, held while devices come and go.
pub(crate) fn table() -> MutexGuard<'static, [bool; dpdk_sys::RTE_MAX_ETHPORTS as usize]> {
    CLAIMED.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut table = table();
        // SAFETY: ours alone and stopped (or never started).
        unsafe { dpdk_sys::rte_eth_dev_close(self.id) };
        if self.probed {
            remove(&self.name);
        }
        if let Some(claimed) = table.get_mut(usize::from(self.id)) {
            *claimed = false;
        }
    }
}

/// Removes a virtual device that was probed here; a failure leaves an unused device behind.
fn remove(name: &str) {
    vdev::forget(name);
    if let Ok(name) = std::ffi::CString::new(name) {
        // SAFETY: both strings are NUL-terminated; its port is closed.
        unsafe { dpdk_sys::rte_eal_hotplug_remove(c"vdev".as_ptr(), name.as_ptr()) };
    }
}

/// A running port, for control: what the queues do not need. Methods that ask the driver
/// are for one thread at a time, hence `&mut`.
#[derive(Debug)]
pub struct Port {
    running: Arc<Running>,
    mac: [u8; 6],
    uses: Uses,
    fallbacks: Vec<Fallback>,
}

/// What brings packets to the queues of a device.
#[derive(Debug)]
pub(super) struct Uses {
    /// Receive queues there are.
    pub(super) rx_queues: u16,
    /// Its redirection table can be written.
    pub(super) redirects: bool,
    /// Flow rules it has taken.
    pub(super) steered: Vec<Steered>,
}

/// State of the link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// Carrier.
    pub up: bool,
    /// Megabits a second; `u32::MAX` when unknown.
    pub speed: u32,
    /// Both directions at once.
    pub full_duplex: bool,
}

/// Counters of the device since its start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Frames received.
    pub rx_packets: u64,
    /// Octets received.
    pub rx_octets: u64,
    /// Frames sent.
    pub tx_packets: u64,
    /// Octets sent.
    pub tx_octets: u64,
    /// Lost because receive rings were full.
    pub rx_missed: u64,
    /// Received with errors.
    pub rx_errors: u64,
    /// Not received because the pool was empty.
    pub rx_no_buffer: u64,
    /// Not sent.
    pub tx_errors: u64,
}

impl Port {
    pub(super) fn new(running: Arc<Running>, uses: Uses, fallbacks: Vec<Fallback>) -> Self {
        let mut mac = dpdk_sys::rte_ether_addr::default();
        // SAFETY: writes six octets; cannot fail on a port that exists.
        unsafe { dpdk_sys::rte_eth_macaddr_get(running.id(), &raw mut mac) };
        Port { running, mac: mac.addr_bytes, uses, fallbacks }
    }

    /// DPDK's number.
    pub fn id(&self) -> u16 {
        self.running.id()
    }

    /// DPDK's name, `0000:03:00.0` or `net_af_packet_pub`.
    pub fn name(&self) -> &str {
        &self.running.claim.name
    }

    /// Its link address.
    pub fn mac(&self) -> [u8; 6] {
        self.mac
    }

    /// What it lacks, for `doctor`.
    pub fn fallbacks(&self) -> &[Fallback] {
        &self.fallbacks
    }

    /// The receive queues among which [`Self::spread`] can choose, from 0; none where the device has one, or is not
    /// to be told ([`Fallback::Redirection`], or the kernel chooses).
    pub fn redirectable(&self) -> u16 {
        if self.uses.redirects { self.uses.rx_queues } else { 0 }
    }

    /// Has the device put what it receives into these queues only: through its redirection table, and by SPI rules
    /// that give way while their queue is not among them. The table of all its queues is the one of its start.
    /// Packets that lie in a queue stay there.
    ///
    /// # Errors
    /// [`RedirectError`]; to be told again.
    pub fn spread(&mut self, queues: &[u16]) -> Result<(), RedirectError> {
        let (id, device, have) = (self.id(), self.name().to_owned(), self.uses.rx_queues);
        if !self.uses.redirects {
            return Err(RedirectError::Fixed { device });
        }
        let queues_of = || queues.to_vec();
        if queues.is_empty() || queues.iter().any(|queue| *queue >= have) {
            return Err(RedirectError::Queues { device, queues: queues_of(), have });
        }
        log::forget();
        let refused = |(places, reason)| RedirectError::Table {
            device,
            places,
            queues: queues_of(),
            reason,
            said: log::take_recent(),
        };
        redirection::write(id, have, queues).map_err(refused)?;
        self.steer(queues)
    }

    /// Has the rules to these queues followed, and no other.
    fn steer(&mut self, queues: &[u16]) -> Result<(), RedirectError> {
        let (id, device) = (self.id(), self.name().to_owned());
        for steered in &mut self.uses.steered {
            let (rule, form) = (steered.rule, steered.form);
            let add = queues.contains(&rule.queue);
            steered.follow(id, add).map_err(|reason| RedirectError::Rule {
                device: device.clone(),
                add,
                form,
                value: rule.value,
                mask: rule.mask,
                queue: rule.queue,
                reason,
                said: log::take_recent(),
            })?;
        }
        Ok(())
    }

    /// The redirection table as the driver has it: a queue for each place.
    ///
    /// # Errors
    /// What the driver answered.
    pub fn redirection(&mut self) -> Result<Vec<u16>, Errno> {
        redirection::read(self.id())
    }

    /// The link, without waiting for negotiation.
    ///
    /// # Errors
    /// What the driver answered.
    pub fn link(&mut self) -> Result<Link, Errno> {
        let mut link = dpdk_sys::rte_eth_link::default();
        // SAFETY: writes to `link`.
        Errno::check(unsafe { dpdk_sys::rte_eth_link_get_nowait(self.id(), &raw mut link) })?;
        Ok(Link {
            up: u32::from(link.link_status()) == dpdk_sys::RTE_ETH_LINK_UP,
            speed: link.link_speed,
            full_duplex: u32::from(link.link_duplex()) == dpdk_sys::RTE_ETH_LINK_FULL_DUPLEX,
        })
    }

    /// The device's counters.
    ///
    /// # Errors
    /// What the driver answered.
    pub fn counters(&mut self) -> Result<Counters, Errno> {
        let mut raw = dpdk_sys::rte_eth_stats::default();
        // SAFETY: writes to `raw`.
        Errno::check(unsafe { dpdk_sys::rte_eth_stats_get(self.id(), &raw mut raw) })?;
        Ok(Counters {
            rx_packets: raw.ipackets,
            rx_octets: raw.ibytes,
            tx_packets: raw.opackets,
            tx_octets: raw.obytes,
            rx_missed: raw.imissed,
            rx_errors: raw.ierrors,
            rx_no_buffer: raw.rx_nombuf,
            tx_errors: raw.oerrors,
        })
    }

    /// Everything the driver counts, by the driver's own names.
    ///
    /// # Errors
    /// What the driver answered.
    pub fn all_counters(&mut self) -> Result<Vec<(String, u64)>, Errno> {
        xstats::read(self.id())
    }

    /// The MTU the driver knows; on a kernel interface see [`crate::vdev::kernel_mtu`].
    ///
    /// # Errors
    /// What the driver answered.
    pub fn mtu(&mut self) -> Result<u16, Errno> {
        let mut mtu = 0;
        // SAFETY: writes to `mtu`.
        Errno::check(unsafe { dpdk_sys::rte_eth_dev_get_mtu(self.id(), &raw mut mtu) })?;
        Ok(mtu)
    }

    /// Gives the port another link address (VRRP, redundancy). On `net_af_packet` call it
    /// on a thread in the interface's namespace.
    ///
    /// # Errors
    /// What the driver answered.
    pub fn set_mac(&mut self, mac: [u8; 6]) -> Result<(), Errno> {
        let mut raw = dpdk_sys::rte_ether_addr { addr_bytes: mac };
        // SAFETY: reads six octets.
        Errno::check(unsafe { dpdk_sys::rte_eth_dev_default_mac_addr_set(self.id(), &raw mut raw) })?;
        self.mac = mac;
        Ok(())
    }

    /// Receives frames for other addresses too, or not. Namespace as for [`Self::set_mac`].
    ///
    /// # Errors
    /// What the driver answered.
    pub fn set_promiscuous(&mut self, on: bool) -> Result<(), Errno> {
        promiscuous(self.id(), on)
    }
}

pub(crate) fn promiscuous(id: u16, on: bool) -> Result<(), Errno> {
    let call = if on { dpdk_sys::rte_eth_promiscuous_enable } else { dpdk_sys::rte_eth_promiscuous_disable };
    // SAFETY: takes a port number.
    Errno::check(unsafe { call(id) }).map(|_| ())
}
