//! What a device lacks, in words an operator can read: names and consequences for
//! `doctor`, and reasons for refusing it.

use super::steer::Form;
use crate::error::Errno;

/// Something a device lacks, and what is done instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fallback {
    /// Fewer receive queues than workers.
    RxQueues {
        /// Workers.
        wanted: u16,
        /// Queues there are.
        have: u16,
    },
    /// Fewer transmit queues than workers.
    TxQueues {
        /// Workers.
        wanted: u16,
        /// Queues there are.
        have: u16,
    },
    /// Several queues, but no RSS to spread over them.
    Rss,
    /// RSS that cannot hash some packet types we asked for.
    RssTypes {
        /// `RTE_ETH_RSS_*` that are missing.
        missing: u64,
    },
    /// A queue cannot be taken out of what RSS spreads over while the device runs.
    Redirection {
        /// Why.
        why: Unredirected,
    },
    /// ESP packets that cannot be steered by their SPI.
    SpiFlow {
        /// In these forms.
        missing: Vec<Form>,
    },
    /// Another ring size than asked for.
    RxDescriptors {
        /// As asked for.
        wanted: u16,
        /// What is used.
        have: u16,
    },
    /// Another ring size than asked for.
    TxDescriptors {
        /// As asked for.
        wanted: u16,
        /// What is used.
        have: u16,
    },
    /// The MTU belongs to the kernel.
    KernelMtu {
        /// The kernel's interface.
        iface: String,
        /// Its MTU now.
        mtu: u32,
    },
    /// Frames arrive in several segments.
    Scatter,
    /// Promiscuous mode was refused by the driver.
    Promiscuous,
    /// Multicast reception was refused by the driver.
    Multicast,
}

/// Why a redirection table stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unredirected {
    /// There is none.
    NoTable,
    /// The driver refused it.
    Refused(Errno),
}

impl std::fmt::Display for Unredirected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Unredirected::NoTable => f.write_str("the device has no redirection table"),
            Unredirected::Refused(reason) => write!(f, "the driver refused a redirection table ({reason})"),
        }
    }
}

impl Fallback {
    /// Its name in `doctor`, logs and the manual.
    pub fn name(&self) -> &'static str {
        match self {
            Fallback::RxQueues { .. } => "fewer-rx-queues",
            Fallback::TxQueues { .. } => "fewer-tx-queues",
            Fallback::Rss => "no-rss",
            Fallback::RssTypes { .. } => "rss-types",
            Fallback::Redirection { .. } => "no-redirection",
            Fallback::SpiFlow { .. } => "no-spi-flow",
            Fallback::RxDescriptors { .. } => "rx-ring-size",
            Fallback::TxDescriptors { .. } => "tx-ring-size",
            Fallback::KernelMtu { .. } => "kernel-mtu",
            Fallback::Scatter => "rx-scatter",
            Fallback::Promiscuous => "no-promiscuous",
            Fallback::Multicast => "no-multicast",
        }
    }

    /// What is done instead, in one line.
    pub fn consequence(&self) -> String {
        match self {
            Fallback::RxQueues { wanted, have } => {
                format!("{have} receive queues for {wanted} workers: the others get packets by handoff")
            }
            Fallback::TxQueues { wanted, have } => {
                format!(
                    "{have} transmit queues for {wanted} workers: some share one, and retry at their next poll when it is taken"
                )
            }
            Fallback::Rss => {
                "received packets are not spread by the device; SPI handoff spreads them in software"
                    .to_owned()
            }
            Fallback::RssTypes { missing } => {
                format!("packet types {missing:#x} are hashed by address only or arrive on one queue")
            }
            Fallback::Redirection { why } => {
                format!(
                    "{why}: the queue of a worker that stands still gets packets all the same, and loses what it does not hold"
                )
            }
            Fallback::SpiFlow { missing } => {
                let forms: Vec<_> = missing.iter().map(|form| form.name()).collect();
                format!(
                    "ESP over {} is not steered by SPI: it is spread by address, and handoff brings it to its worker",
                    forms.join(", ")
                )
            }
            Fallback::RxDescriptors { wanted, have } => {
                format!("{have} receive descriptors in place of {wanted}")
            }
            Fallback::TxDescriptors { wanted, have } => {
                format!("{have} transmit descriptors in place of {wanted}")
            }
            Fallback::KernelMtu { iface, mtu } => {
                format!(
                    "the kernel owns the MTU of {iface} ({mtu} now); change it with `ip link set {iface} mtu`"
                )
            }
            Fallback::Scatter => {
                "frames longer than a buffer arrive in segments and are copied into a jumbo buffer".to_owned()
            }
            Fallback::Promiscuous => "frames for other link addresses do not arrive".to_owned(),
            Fallback::Multicast => "multicast frames arrive only for groups the driver knows".to_owned(),
        }
    }
}

/// Why the device cannot be used as wished.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No queue at all.
    #[error("the device has {rx} receive and {tx} transmit queues; one of each is needed")]
    Queues {
        /// Receive queues.
        rx: u16,
        /// Transmit queues.
        tx: u16,
    },
    /// The device cannot have that MTU.
    #[error("MTU {wanted} is outside what the device can do ({min} to {max})")]
    Mtu {
        /// As configured.
        wanted: u16,
        /// Smallest.
        min: u16,
        /// Largest.
        max: u16,
    },
    /// The kernel's interface has a smaller MTU.
    #[error(
        "MTU {wanted} configured, but the kernel's {iface} has {kernel}: `ip link set {iface} mtu {wanted}`"
    )]
    KernelMtu {
        /// The interface.
        iface: String,
        /// As configured.
        wanted: u16,
        /// The kernel's.
        kernel: u32,
    },
    /// The kernel's interface may deliver longer frames than the ring was made for.
    #[error(
        "{iface} has MTU {kernel}, so frames of up to {need} octets, but its ring was made for {max_frame}; lower the one or raise the other"
    )]
    KernelRing {
        /// The interface.
        iface: String,
        /// Its MTU.
        kernel: u32,
        /// The frame that MTU allows.
        need: u32,
        /// What the ring holds.
        max_frame: u32,
    },
    /// Buffers are too small and the device cannot use several for one frame.
    #[error(
        "frames of up to {need} octets do not fit buffers of {room}: give the pool more room or lower the MTU"
    )]
    Room {
        /// The longest frame.
        need: u32,
        /// The pool's room.
        room: u16,
    },
}
