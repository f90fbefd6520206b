//! From what a device can do and what we wish for, to what will be done: pure.
//!
//! Whatever a device lacks has a named [`Fallback`] that says what happens instead; what
//! cannot be lived with is a [`Refusal`] with both numbers.

use super::fallback::{Fallback, Refusal};
use super::info::Info;
use super::redirection;
use super::steer::{self, SpiRule};

/// What the gateway wants of a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// Queue pairs: one for each worker.
    pub queues: u16,
    /// Descriptors of each receive ring.
    pub rx_descriptors: u16,
    /// Descriptors of each transmit ring.
    pub tx_descriptors: u16,
    /// Largest IP packet, in octets.
    pub mtu: u16,
    /// Receive frames for other addresses too (VRRP, bridges in front).
    pub promiscuous: bool,
    /// ESP packets to the queues of the workers that own their SPIs.
    pub spis: Vec<SpiRule>,
}

/// What will be configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Receive queues.
    pub rx_queues: u16,
    /// Transmit queues.
    pub tx_queues: u16,
    /// Descriptors of each receive ring.
    pub rx_descriptors: u16,
    /// Descriptors of each transmit ring.
    pub tx_descriptors: u16,
    /// MTU given to the driver.
    pub mtu: u16,
    /// RSS key and packet types, `None` with one queue or without RSS.
    pub rss: Option<Rss>,
    /// The redirection table of RSS is written, at set-up and while the port runs.
    pub redirects: bool,
    /// Receive offloads to enable.
    pub rx_offloads: u64,
    /// Transmit offloads to enable.
    pub tx_offloads: u64,
    /// Promiscuous mode.
    pub promiscuous: bool,
    /// Flow rules to ask for.
    pub spis: Vec<SpiRule>,
    /// Received frames of this length were cut by the kernel.
    pub cut_at: Option<u32>,
    /// What the device lacks.
    pub fallbacks: Vec<Fallback>,
}

/// Receive-side scaling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rss {
    /// The Toeplitz key, as long as the device wants.
    pub key: Vec<u8>,
    /// `RTE_ETH_RSS_*`.
    pub types: u64,
}

/// Link header with two VLAN tags: what a frame has besides its IP packet, without CRC.
pub const LINK_OVERHEAD: u32 = 14 + 2 * 4;

/// DPDK's default MTU, which drivers accept whose real MTU the kernel owns.
const ETHERNET_MTU: u16 = dpdk_sys::RTE_ETHER_MTU as u16;

/// Every IP packet type; ESP itself is hashed by address (ESP-aware RSS is rare and its key layout varies).
const RSS_TYPES: u64 = dpdk_sys::DPDK_RSS_IPV4
    | dpdk_sys::DPDK_RSS_FRAG_IPV4
    | dpdk_sys::DPDK_RSS_NONFRAG_IPV4_TCP
    | dpdk_sys::DPDK_RSS_NONFRAG_IPV4_UDP
    | dpdk_sys::DPDK_RSS_NONFRAG_IPV4_OTHER
    | dpdk_sys::DPDK_RSS_IPV6
    | dpdk_sys::DPDK_RSS_FRAG_IPV6
    | dpdk_sys::DPDK_RSS_NONFRAG_IPV6_TCP
    | dpdk_sys::DPDK_RSS_NONFRAG_IPV6_UDP
    | dpdk_sys::DPDK_RSS_NONFRAG_IPV6_OTHER;

/// Decides how a device with `info` is used, with buffers of `room` octets.
///
/// # Errors
/// [`Refusal`], the first found.
pub fn plan(info: &Info, wish: &Wish, room: u16) -> Result<Plan, Refusal> {
    let mut fallbacks = Vec::new();
    let (rx_queues, tx_queues) = queues(info, wish, &mut fallbacks)?;
    let (rx_descriptors, tx_descriptors) = descriptors(info, wish, &mut fallbacks);
    let mtu = mtu(info, wish, &mut fallbacks)?;
    let rx_offloads = scatter(info, wish, room, &mut fallbacks)?;
    let rss = rss(info, rx_queues, &mut fallbacks);
    let redirects = rss.is_some() && redirection::is_changeable(info, &mut fallbacks);
    let spis = steer::rules(info, &wish.spis, rx_queues, &mut fallbacks);
    Ok(Plan {
        rx_queues,
        tx_queues,
        rx_descriptors,
        tx_descriptors,
        mtu,
        rss,
        redirects,
        rx_offloads,
        tx_offloads: 0,
        promiscuous: wish.promiscuous,
        spis,
        cut_at: info.kernel.as_ref().map(|(ring, _)| ring.cut_at),
        fallbacks,
    })
}

fn queues(info: &Info, wish: &Wish, fallbacks: &mut Vec<Fallback>) -> Result<(u16, u16), Refusal> {
    let wanted = wish.queues.max(1);
    let (rx, tx) = (wanted.min(info.max_rx_queues), wanted.min(info.max_tx_queues));
    if rx == 0 || tx == 0 {
        return Err(Refusal::Queues { rx: info.max_rx_queues, tx: info.max_tx_queues });
    }
    if rx < wanted {
        fallbacks.push(Fallback::RxQueues { wanted, have: rx });
    }
    if tx < wanted {
        fallbacks.push(Fallback::TxQueues { wanted, have: tx });
    }
    Ok((rx, tx))
}

fn descriptors(info: &Info, wish: &Wish, fallbacks: &mut Vec<Fallback>) -> (u16, u16) {
    let rx = info.rx_descriptors.nearest(wish.rx_descriptors);
    if rx != wish.rx_descriptors {
        fallbacks.push(Fallback::RxDescriptors { wanted: wish.rx_descriptors, have: rx });
    }
    let tx = info.tx_descriptors.nearest(wish.tx_descriptors);
    if tx != wish.tx_descriptors {
        fallbacks.push(Fallback::TxDescriptors { wanted: wish.tx_descriptors, have: tx });
    }
    (rx, tx)
}

/// The MTU to give the driver. Where the kernel owns it, DPDK's default is given and the kernel's checked.
fn mtu(info: &Info, wish: &Wish, fallbacks: &mut Vec<Fallback>) -> Result<u16, Refusal> {
    let wanted = wish.mtu;
    if let Some((ring, kernel)) = &info.kernel {
        let (iface, kernel) = (ring.iface.clone(), *kernel);
        if kernel < u32::from(wanted) {
            return Err(Refusal::KernelMtu { iface, wanted, kernel });
        }
        let need = kernel.saturating_add(LINK_OVERHEAD);
        if need > ring.max_frame {
            return Err(Refusal::KernelRing { iface, kernel, need, max_frame: ring.max_frame });
        }
        fallbacks.push(Fallback::KernelMtu { iface, mtu: kernel });
        return Ok(ETHERNET_MTU);
    }
    let by_frame = u16::try_from(info.max_rx_frame.saturating_sub(driver_overhead(info))).unwrap_or(u16::MAX);
    let max = info.max_mtu.min(by_frame);
    if wanted < info.min_mtu || wanted > max {
        return Err(Refusal::Mtu { wanted, min: info.min_mtu, max });
    }
    Ok(wanted)
}

/// What DPDK adds to an MTU to get a frame (`eth_dev_get_overhead_len`).
fn driver_overhead(info: &Info) -> u32 {
    match info.max_rx_frame.checked_sub(u32::from(info.max_mtu)) {
        Some(overhead) if info.max_mtu != u16::MAX => overhead,
        _ => dpdk_sys::RTE_ETHER_HDR_LEN + dpdk_sys::RTE_ETHER_CRC_LEN,
    }
}

fn scatter(info: &Info, wish: &Wish, room: u16, fallbacks: &mut Vec<Fallback>) -> Result<u64, Refusal> {
    let need = match &info.kernel {
        Some((ring, _)) => ring.copies,
        None => u32::from(wish.mtu) + LINK_OVERHEAD,
    };
    if need <= u32::from(room) {
        return Ok(0);
    }
    if info.rx_offloads & dpdk_sys::DPDK_RX_SCATTER == 0 {
        return Err(Refusal::Room { need, room });
    }
    fallbacks.push(Fallback::Scatter);
    Ok(dpdk_sys::DPDK_RX_SCATTER)
}

fn rss(info: &Info, rx_queues: u16, fallbacks: &mut Vec<Fallback>) -> Option<Rss> {
    if rx_queues == 1 {
        return None;
    }
    let types = RSS_TYPES & info.rss_types;
    if types == 0 {
        // A kernel ring spreads by the kernel's own flow hash.
        if info.kernel.is_none() {
            fallbacks.push(Fallback::Rss);
        }
        return None;
    }
    if types != RSS_TYPES {
        fallbacks.push(Fallback::RssTypes { missing: RSS_TYPES & !types });
    }
    Some(Rss { key: symmetric_key(info.rss_key_octets), types })
}

/// A repeated 0x6d5a makes the Toeplitz hash of (a, b) equal that of (b, a), so both
/// directions of a flow meet one worker (Woo and Park, "Scalable TCP session monitoring
/// with symmetric receive-side scaling", 2012).
fn symmetric_key(octets: u8) -> Vec<u8> {
    [0x6d, 0x5a].into_iter().cycle().take(usize::from(octets)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::fallback::Unredirected;
    use super::super::info::Descriptors;
    use super::*;
    use crate::vdev::{AfPacket, Vdev};

    const RING: Descriptors = Descriptors { min: 64, max: 4096, align: 32 };

    /// A server card: many queues, full RSS, jumbo frames.
    fn card() -> Info {
        Info {
            driver: "net_card".into(),
            numa: Some(0),
            max_rx_queues: 64,
            max_tx_queues: 64,
            rx_descriptors: RING,
            tx_descriptors: RING,
            min_mtu: 68,
            max_mtu: 9702,
            max_rx_frame: 9728,
            reta_places: 512,
            rss_key_octets: 52,
            rss_types: u64::MAX,
            rx_offloads: dpdk_sys::DPDK_RX_SCATTER,
            tx_offloads: 0,
            kernel: None,
        }
    }

    /// A paravirtual card: no RSS, few queues.
    fn paravirtual() -> Info {
        Info {
            max_rx_queues: 1,
            max_tx_queues: 1,
            reta_places: 0,
            rss_key_octets: 0,
            rss_types: 0,
            rx_offloads: 0,
            numa: None,
            ..card()
        }
    }

    fn packet_socket(mtu: u32) -> Info {
        let options =
            AfPacket { iface: "eth0", queues: 2, max_frame: 1522, frames: 512, qdisc_bypass: false };
        let ring = Vdev::af_packet("a", &options).unwrap().kernel_ring().cloned().unwrap();
        Info {
            max_rx_queues: 2,
            max_tx_queues: 2,
            max_mtu: u16::MAX,
            max_rx_frame: 1518,
            rss_types: 0,
            kernel: Some((ring, mtu)),
            ..card()
        }
    }

    fn wish() -> Wish {
        let rule = |queue| SpiRule { value: (u32::from(queue) + 1) << 26, mask: 0x3f << 26, queue };
        Wish {
            queues: 2,
            rx_descriptors: 1024,
            tx_descriptors: 1024,
            mtu: 1500,
            promiscuous: false,
            spis: vec![rule(0), rule(1)],
        }
    }

    fn names(plan: &Plan) -> Vec<&'static str> {
        plan.fallbacks.iter().map(Fallback::name).collect()
    }

    #[test]
    fn a_server_card_needs_no_fallback() {
        let plan = plan(&card(), &wish(), 2048).unwrap();
        assert!(plan.fallbacks.is_empty(), "{:?}", plan.fallbacks);
        assert_eq!((plan.rx_queues, plan.tx_queues, plan.mtu, plan.rx_offloads), (2, 2, 1500, 0));
        let rss = plan.rss.unwrap();
        assert_eq!((rss.key.len(), rss.types), (52, RSS_TYPES));
        assert_eq!((plan.spis, plan.redirects), (wish().spis, true));
    }

    /// Where RSS spreads and no queue can be taken out of it, that is named; where nothing spreads, or the kernel
    /// does, there is nothing to be taken out.
    #[test]
    fn a_table_that_cannot_be_changed_is_named() {
        let planned = |info: &Info| {
            let plan = plan(info, &wish(), 2048).unwrap();
            (plan.redirects, plan.fallbacks)
        };
        let fixed = vec![Fallback::Redirection { why: Unredirected::NoTable }];
        assert_eq!(planned(&Info { reta_places: 0, ..card() }), (false, fixed));
        for info in [paravirtual(), packet_socket(1500), Info { rss_types: 0, ..card() }] {
            let (redirects, fallbacks) = planned(&info);
            assert!(!redirects && !fallbacks.iter().any(|fallback| fallback.name() == "no-redirection"));
        }
    }

    /// A rule for each queue there is, none where there is only one, none that the kernel's rings would not
    /// know.
    #[test]
    fn spis_are_steered_where_there_are_queues_to_choose_from() {
        let few = Info { max_rx_queues: 2, ..card() };
        let wished: Vec<SpiRule> =
            (0..3).map(|queue| SpiRule { value: u32::from(queue) << 26, mask: 0x3f << 26, queue }).collect();
        let wish = Wish { queues: 3, spis: wished.clone(), ..wish() };
        let planned = plan(&few, &wish, 2048).unwrap();
        assert_eq!(
            (planned.spis, names(&plan(&few, &wish, 2048).unwrap())),
            (wished[..2].to_vec(), vec!["fewer-rx-queues"])
        );
        assert_eq!(plan(&paravirtual(), &wish, 2048).unwrap().spis, []);
        assert_eq!(plan(&card(), &Wish { spis: vec![], ..wish.clone() }, 2048).unwrap().spis, []);
        let socket = plan(&packet_socket(1500), &wish, 2048).unwrap();
        assert!(socket.spis.is_empty() && names(&socket).contains(&"no-spi-flow"));
    }

    #[test]
    fn one_worker_needs_no_rss() {
        let plan = plan(&card(), &Wish { queues: 1, ..wish() }, 2048).unwrap();
        assert_eq!((plan.rss, plan.spis, plan.fallbacks), (None, vec![], vec![]));
    }

    #[test]
    fn what_a_paravirtual_card_lacks_is_named() {
        let plan = plan(&paravirtual(), &wish(), 2048).unwrap();
        assert_eq!(names(&plan), ["fewer-rx-queues", "fewer-tx-queues"]);
        let spread = Info { max_rx_queues: 8, max_tx_queues: 8, ..paravirtual() };
        assert_eq!(names(&super::plan(&spread, &wish(), 2048).unwrap()), ["no-rss"]);
        let some = Info { rss_types: dpdk_sys::DPDK_RSS_IPV4, ..card() };
        assert_eq!(names(&super::plan(&some, &wish(), 2048).unwrap()), ["rss-types"]);
    }

    #[test]
    fn ring_sizes_are_brought_into_the_limits() {
        let wish = Wish { rx_descriptors: 1000, tx_descriptors: 9000, ..wish() };
        let plan = plan(&card(), &wish, 2048).unwrap();
        assert_eq!((plan.rx_descriptors, plan.tx_descriptors), (1024, 4096));
        assert_eq!(names(&plan), ["rx-ring-size", "tx-ring-size"]);
        assert_eq!(Descriptors { min: 0, max: u16::MAX, align: 1 }.nearest(0), 0);
    }

    #[test]
    fn jumbo_frames_scatter_or_are_refused() {
        let wish = Wish { mtu: 9000, ..wish() };
        let scattered = plan(&card(), &wish, 2048).unwrap();
        assert_eq!(
            (scattered.rx_offloads, names(&scattered)),
            (dpdk_sys::DPDK_RX_SCATTER, vec!["rx-scatter"])
        );
        assert!(plan(&card(), &wish, 9100).unwrap().fallbacks.is_empty());
        assert_eq!(plan(&paravirtual(), &wish, 2048), Err(Refusal::Room { need: 9022, room: 2048 }));
        let wish = Wish { mtu: 9800, ..wish };
        assert_eq!(plan(&card(), &wish, 16384), Err(Refusal::Mtu { wanted: 9800, min: 68, max: 9702 }));
    }

    #[test]
    fn the_kernel_owns_the_mtu_of_its_interface() {
        let good = plan(&packet_socket(1500), &wish(), 2048).unwrap();
        assert_eq!(
            (good.mtu, good.cut_at, names(&good)),
            (1500, Some(1982), vec!["kernel-mtu", "no-spi-flow"])
        );
        let small = plan(&packet_socket(1400), &wish(), 2048).unwrap_err();
        assert!(small.to_string().contains("ip link set eth0 mtu 1500"), "{small}");
        assert!(matches!(
            plan(&packet_socket(9000), &wish(), 2048),
            Err(Refusal::KernelRing { need: 9022, .. })
        ));
    }

    #[test]
    fn a_device_without_queues_is_refused() {
        let none = Info { max_tx_queues: 0, ..card() };
        assert_eq!(plan(&none, &wish(), 2048), Err(Refusal::Queues { rx: 64, tx: 0 }));
    }
}
