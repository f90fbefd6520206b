//! What a worker counts, readable by everybody without disturbing it.
//!
//! One writer, any readers: a [`Counter`] is raised by a relaxed load and store, without a lock prefix, so
//! only the owning worker may call [`Counter::add`]. Readers may see two counters of one packet at
//! different moments; after the worker is idle they agree.
//!
//! Packets are conserved: see [`Ledger`].

pub use crate::sa::counters::Counter;
use crate::verdict::Drop;

/// Traffic of one port as one worker saw it.
#[derive(Debug, Default)]
pub struct PortCounters {
    /// Frames received.
    pub rx_packets: Counter,
    /// Octets received, Ethernet header included.
    pub rx_bytes: Counter,
    /// Frames cut by the kernel or longer than the port's longest, dropped before the graph.
    pub rx_truncated: Counter,
    /// Frames in pieces that no buffer could hold together, dropped before the graph.
    pub rx_unlinear: Counter,
    /// Frames handed to the device.
    pub tx_packets: Counter,
    /// Octets handed to the device.
    pub tx_bytes: Counter,
}

macro_rules! counters {
    ($($(#[$doc:meta])+ $name:ident,)+) => {
        /// Everything one worker counts, apart from SAs. Lives in cache lines of its own.
        #[derive(Debug)]
        #[repr(align(128))]
        pub struct Counters {
            $($(#[$doc])+ pub $name: Counter,)+
            drops: [Counter; Drop::COUNT],
            ports: Box<[PortCounters]>,
        }

        impl Counters {
            /// All zero, for a machine with `ports` ports.
            pub fn new(ports: usize) -> Self {
                Counters {
                    $($name: Counter::default(),)+
                    drops: std::array::from_fn(|_| Counter::default()),
                    ports: (0..ports).map(|_| PortCounters::default()).collect(),
                }
            }

            /// Every counter that is neither a drop nor of a port, by name (with underscores).
            pub fn named(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name.get()),)+].into_iter()
            }
        }
    };
}

counters! {
    /// Frames received from ports.
    received,
    /// Frames taken from control, kernel twins and `rv-` devices.
    injected,
    /// Frames taken over from other workers.
    handed_in,
    /// Frames this worker made: fragments beyond the first, reassembled datagrams, ICMP errors, dummies, copies for mirrors.
    made,
    /// Frames handed to ports.
    transmitted,
    /// Frames dropped, for any reason.
    dropped,
    /// Frames given to control or the kernel.
    punted,
    /// Frames handed over to other workers.
    handed_out,
    /// Frames used up: keepalives, dummies, fragments put together.
    absorbed,
    /// Gauge: frames waiting in reassembly or for a transmit queue.
    held,
    /// Packets encrypted.
    sealed_packets,
    /// Octets of inner packets encrypted.
    sealed_bytes,
    /// Packets decrypted and accepted.
    opened_packets,
    /// Octets of inner packets accepted.
    opened_bytes,
    /// Packets that entered ip-tunnels.
    encapsulated_packets,
    /// Packets that came out of ip-tunnels.
    decapsulated_packets,
    /// NAT keepalives received.
    keepalives,
    /// Dummy packets received (RFC 4303 2.6).
    dummies,
    /// Dummy packets sent; they are among `sealed-packets`.
    dummies_sent,
    /// ICMP errors received that quote our ESP or IKE.
    path_errors,
    /// Datagrams put together from fragments.
    reassembled,
    /// Packets that were cut into fragments.
    fragmented,
    /// ICMP errors originated.
    icmp_sent,
    /// ICMP errors not sent because of the rate limit.
    icmp_suppressed,
    /// Copies of packets sent on by mirrors.
    mirrored,
    /// Copies that were lost: no room, no buffer, or too large for where they go.
    mirror_lost,
    /// Clear packets on their way into a tunnel whose TCP or UDP checksum was looked at, one in 64.
    checksums_sampled,
    /// Of those, the ones that were wrong: hosts leave them to a device that is not there.
    checksums_wrong,
    /// Commands applied.
    commands,
    /// TSC cycles spent on commands.
    command_cycles,
    /// Polls done; a worker is alive while this advances.
    polls,
    /// TSC cycles in polls that found work.
    busy_cycles,
    /// TSC cycles in polls that found none.
    idle_cycles,
}

impl Counters {
    /// Counts one packet dropped for `reason`.
    pub fn dropped(&self, reason: Drop) {
        self.dropped_many(reason, 1);
    }

    /// Counts `n` packets dropped for `reason`.
    pub fn dropped_many(&self, reason: Drop, n: u64) {
        self.dropped.add(n);
        if let Some(counter) = self.drops.get(reason.index()) {
            counter.add(n);
        }
    }

    /// Packets dropped for `reason`.
    pub fn drops(&self, reason: Drop) -> u64 {
        self.drops.get(reason.index()).map_or(0, Counter::get)
    }

    /// The counters of port `id`, if the machine has such a port.
    pub fn port(&self, id: u16) -> Option<&PortCounters> {
        self.ports.get(usize::from(id))
    }

    /// What came in and where it went.
    pub fn ledger(&self) -> Ledger {
        Ledger {
            sources: [&self.received, &self.injected, &self.handed_in, &self.made].map(Counter::get),
            sinks: [&self.transmitted, &self.dropped, &self.punted, &self.handed_out, &self.absorbed]
                .map(Counter::get),
            held: self.held.get(),
        }
    }
}

/// The account of one worker's frames.
///
/// Between two polls `received + injected + handed in + made = transmitted + dropped + punted + handed out
/// + absorbed + held`: no frame vanishes and none is counted twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ledger {
    /// Received, injected, handed in, made.
    pub sources: [u64; 4],
    /// Transmitted, dropped, punted, handed out, absorbed.
    pub sinks: [u64; 5],
    /// Still with the worker.
    pub held: u64,
}

impl Ledger {
    /// Whether the account is even.
    pub fn is_even(&self) -> bool {
        self.sources.iter().sum::<u64>() == self.sinks.iter().sum::<u64>() + self.held
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drop_is_counted_by_reason_and_in_the_ledger() {
        let counters = Counters::new(1);
        counters.received.add(2);
        counters.dropped(Drop::SaMiss);
        assert!(!counters.ledger().is_even());
        counters.held.set(1);
        assert!(counters.ledger().is_even());
        assert_eq!((counters.drops(Drop::SaMiss), counters.drops(Drop::BadIcv)), (1, 0));
        assert!(counters.named().any(|(name, value)| (name, value) == ("received", 2)));
    }
}
