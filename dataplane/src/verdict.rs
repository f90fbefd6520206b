//! What can become of a packet, and the only list of reasons to drop one.
//!
//! A reason's name is its counter, the word the CLI prints and the entry in the manual; all three are
//! generated from the list below, so none can be forgotten. Names are never reused for another meaning.

/// What a node says about one packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Goes on along its path.
    Forward,
    /// Belongs to another worker, or to another part of this one.
    Handoff,
    /// Goes to control or to the kernel.
    Punt,
    /// Was for us and is used up: a NAT keepalive, a dummy packet, a fragment that is now part of a whole.
    Absorbed,
    /// Ends here.
    Drop(Drop),
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Verdict::Forward => f.write_str("forward"),
            Verdict::Handoff => f.write_str("handoff"),
            Verdict::Punt => f.write_str("punt"),
            Verdict::Absorbed => f.write_str("absorbed"),
            Verdict::Drop(reason) => write!(f, "drop {}", reason.name()),
        }
    }
}

impl From<Drop> for Verdict {
    fn from(reason: Drop) -> Self {
        Verdict::Drop(reason)
    }
}

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)+) => {
        /// Why a packet was dropped.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Drop { $($(#[doc = $doc])+ $variant,)+ }

        impl Drop {
            /// Every reason, in the order a packet could meet them.
            pub const ALL: &[Drop] = &[$(Drop::$variant),+];

            /// Number of reasons; [`Drop::index`] lies below it.
            pub const COUNT: usize = Self::ALL.len();

            /// The name in counters, CLI and manual: lower case with hyphens.
            pub const fn name(self) -> &'static str {
                match self { $(Drop::$variant => $name),+ }
            }

            /// One line for the manual: what happened, and what to look at.
            pub const fn manual(self) -> &'static str {
                match self { $(Drop::$variant => concat!($($doc),+).trim_ascii()),+ }
            }

            /// Place in an array of counters.
            pub const fn index(self) -> usize {
                self as usize
            }
        }
    };
}

reasons! {
    /// Arrived while its worker had more than it can carry, and too much waited already: more workers, or less traffic. IKE, ARP and neighbour discovery go before.
    Overload = "overload",
    /// Frame shorter than an Ethernet header, or with a VLAN tag cut short.
    MalformedEthernet = "malformed-ethernet",
    /// Frame of a port or VLAN that no interface is configured on.
    UnknownInterface = "unknown-interface",
    /// Unicast frame for another station's MAC address: the port hears a hub or a mirror.
    OtherStation = "other-station",
    /// IP header, length or extension chain that contradicts itself; offloaded (GRO, TSO) senders cause it too.
    MalformedIp = "malformed-ip",
    /// IPv4 header checksum is wrong.
    IpChecksum = "ip-checksum",
    /// Source address that nobody may send from: multicast, broadcast, loopback, unspecified or our own.
    BadSource = "bad-source",
    /// Multicast, broadcast or link-local destination on a path that only forwards unicast.
    NotForwardable = "not-forwardable",
    /// UDP datagram on an IKE or ESP port with a wrong length or checksum.
    MalformedUdp = "malformed-udp",
    /// ESP packet too short for header, IV, trailer and ICV, or of a length the cipher cannot have.
    EspLength = "esp-length",
    /// Fragment with an impossible offset or length.
    FragmentMalformed = "fragment-malformed",
    /// Fragment overlaps another one; the whole datagram is dropped (RFC 5722, RFC 8200 4.5).
    FragmentOverlap = "fragment-overlap",
    /// Datagram would exceed 65,535 octets when put together.
    FragmentTooLong = "fragment-too-long",
    /// Datagram not complete within the reassembly time.
    ReassemblyTimeout = "reassembly-timeout",
    /// Reassembly table, a source's share of it, or the number of pieces of one datagram is exhausted.
    ReassemblyFull = "reassembly-full",
    /// Fragment for a tunnel group or ip-tunnel with `reassembly = "none"`: its peer's packets are too large for the path.
    ReassemblyOff = "reassembly-off",
    /// The ring to the worker that owns the packet is full: that worker cannot keep up.
    HandoffFull = "handoff-full",
    /// The worker that owns the SA stands still, and others have taken over its tunnels: see `show workers`.
    WorkerStalled = "worker-stalled",
    /// SPI unknown in this instance: a peer sends on an SA that is gone, or somebody guesses.
    SaMiss = "sa-miss",
    /// Outer addresses are not those of the SA, and its peer is not known to be behind a NAT and does no MOBIKE.
    IpMismatch = "ip-mismatch",
    /// Sequence number received before: a replay, or a network that duplicates.
    ReplayDuplicate = "replay-duplicate",
    /// Sequence number left of the window: a late packet or a replay; a larger replay window may help.
    ReplayTooOld = "replay-too-old",
    /// Integrity check failed: packet altered on the way, or keys differ (manual keys: compare them).
    BadIcv = "bad-icv",
    /// Padding of an authenticated packet does not end where it should or is not 1, 2, 3...: the peer's fault.
    BadPadding = "bad-padding",
    /// Next header of an authenticated packet is neither IPv4, IPv6 nor dummy: transport mode where tunnel mode was agreed on, or a broken peer.
    BadNextHeader = "bad-next-header",
    /// Packet inside the tunnel is not well formed.
    MalformedInner = "malformed-inner",
    /// GRE or IP in IP for the local end of an ip-tunnel, from nobody who is its remote end, or of another kind.
    IpTunnelMiss = "ip-tunnel-miss",
    /// GRE header cut short, of another version, with bits or a payload that may not be, or a wrong checksum (RFC 2784).
    GreHeader = "gre-header",
    /// GRE key, or the want of one, is not what the ip-tunnel expects: compare `receive-key` with the peer's.
    GreKey = "gre-key",
    /// The ip-tunnel is down: see `show ip-tunnels`.
    IpTunnelDown = "ip-tunnel-down",
    /// Came out of an ip-tunnel into which no route leads to its source: spoofed, or a route is missing here.
    IpTunnelSource = "ip-tunnel-source",
    /// Inner packet outside the traffic selectors of the SA it came by (RFC 4301 5.2).
    PolicyError = "policy-error",
    /// Outer header says congestion, the inner sender does not understand it (RFC 6040 4.2).
    EcnInvalid = "ecn-invalid",
    /// TTL or hop limit used up; an ICMP error was sent if the rate allowed.
    TtlExpired = "ttl-expired",
    /// Arrived in clear although policy has it come through a tunnel (RFC 4301 5.2): spoofed, or the peer's policy differs.
    Unprotected = "unprotected",
    /// Ping to the end of static tunnels of a multi-active group, from an address that is no peer of theirs.
    EchoStranger = "echo-stranger",
    /// No policy entry matches: clear traffic that was not configured to bypass.
    PolicyMiss = "policy-miss",
    /// A policy entry says to discard.
    PolicyDiscard = "policy-discard",
    /// Policy says to protect, but there is no SA (yet): the tunnel is down or coming up.
    NoSa = "no-sa",
    /// Transport mode does not carry it: a fragment (RFC 4303 3.1.1), or a packet whose headers or length leave no room for ESP.
    TransportMode = "transport-mode",
    /// The SA's sequence numbers are used up (RFC 4303 3.3.3); a rekey failed or came too late.
    SequenceExhausted = "sequence-exhausted",
    /// The SA's hard limit in packets or bytes is reached; a rekey failed or came too late.
    LifetimeExpired = "lifetime-expired",
    /// Packet may not be fragmented and exceeds the MTU of tunnel or interface; ICMP sent if the rate allowed.
    MtuExceeded = "mtu-exceeded",
    /// Packet would leave in clear where only a tunnel may carry it; the last guard against leaks.
    ClearRefused = "clear-refused",
    /// No route to the destination in its instance.
    NoRoute = "no-route",
    /// Next hop's MAC address is not known (yet); control was told.
    NeighbourMiss = "neighbour-miss",
    /// Buffer has no room left for headers or trailer.
    NoRoom = "no-room",
    /// Packet pool is empty: raise its size, or look for a stalled port.
    NoBuffer = "no-buffer",
    /// Transmit queue full and its backlog too: the link is slower than the traffic.
    TxFull = "tx-full",
    /// Internal burst queue full: more fragments at once than a worker takes.
    BurstFull = "burst-full",
    /// Ring for IKE messages of known IKE SAs is full: the control loop is overloaded.
    PuntIkeFull = "punt-ike-full",
    /// Ring for IKE_SA_INIT messages is full: a flood of new connections.
    PuntInitFull = "punt-init-full",
    /// Ring for packets to the kernel is full.
    PuntRestFull = "punt-rest-full",
    /// Kernel or control handed over something that is not a packet.
    MalformedInjected = "malformed-injected",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_distinct_and_plain_and_every_reason_has_a_manual_line() {
        let mut names: Vec<_> = Drop::ALL.iter().map(|reason| reason.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Drop::COUNT);
        assert!(
            names.iter().all(|name| name.bytes().all(|octet| octet.is_ascii_lowercase() || octet == b'-'))
        );
        assert!(Drop::ALL.iter().all(|reason| reason.manual().len() > 20));
    }

    #[test]
    fn indices_count_from_zero() {
        assert!(Drop::ALL.iter().enumerate().all(|(at, reason)| reason.index() == at));
    }
}
