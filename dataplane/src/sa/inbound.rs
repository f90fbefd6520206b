//! An inbound SA: the hot half that every packet touches, the cold half that few do.
//!
//! The order of checks (RFC 4303 §3.4, DP-04) is the nodes': [`Hot::arrival`],
//! [`super::replay::Window::check`], the ICV, [`Hot::accept`], the trailer, [`Hot::admits`].

use super::fact::{Fact, Facts};
use super::lifetime::{HardExpired, Lifetime, Limits};
use super::replay::{Guess, Replayed, Window};
use super::spi::Spi;
use super::suite::{Aad, Keyed, SALT_LEN, Suite};
use super::{Endpoint, Mode};
use crate::cipher::Opener;
use crate::net::flow::{self, Flow, Summary, Words};
use crate::policy::selector::{ANY_PROTOCOL, AddressRange, Ports, Selector, SelectorSet};
use ravelin_gcm::Key;
use zeroize::Zeroizing;

/// Everything about an inbound SA except its key, as control sends it.
#[derive(Debug)]
pub struct Parts {
    /// What the peer writes into its packets.
    pub spi: Spi,
    /// Transform.
    pub suite: Suite,
    /// What its packets are.
    pub mode: Mode,
    /// Replay window, which also says whether numbers are extended.
    pub window: Window,
    /// Instance the ESP packets arrive in.
    pub outer_instance: u16,
    /// Instance the inner packets go to.
    pub inner_instance: u16,
    /// Our end; port 0 for ESP over IP.
    pub local: Endpoint,
    /// The peer's end; port 0 for ESP over IP.
    pub peer: Endpoint,
    /// Whose outer address may change under way.
    pub may_move: MayMove,
    /// Copy the outer traffic class inwards (DP-35), not only ECN.
    pub copy_traffic_class: bool,
    /// Lower the MSS of SYNs that leave the tunnel to this.
    pub tcp_mss: Option<u16>,
    /// What inner packets may be; source is remote, destination is local.
    pub selectors: Box<SelectorSet>,
    /// Limits in packets and octets.
    pub limits: Limits,
    /// Control's name for the child SA, repeated in facts.
    pub child: u32,
    /// The outbound slot to switch to its standby SA when the first packet verifies here: the
    /// responder's half of a rekey (RFC 7296 §2.8).
    pub activates: Option<u32>,
}

/// Which of an SA's ends may be elsewhere than before, as far as verified packets show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MayMove {
    /// None: packets come from one end to the other, or not at all.
    Nobody,
    /// The peer, who sits behind a NAT: we follow its address and port (RFC 7296 §2.23).
    Peer,
    /// Both, and ESP may go into UDP or out of it (MOBIKE, RFC 4555): what is on its way between former ends, and what
    /// goes ahead of control's order to move, is taken too.
    Both,
}

/// The half that every packet touches, its expanded key last.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct Hot {
    spi: Spi,
    salt: Zeroizing<[u8; SALT_LEN]>,
    outer_instance: u16,
    /// Instance the inner packets go to.
    pub inner_instance: u16,
    /// Lower the MSS of SYNs that leave the tunnel to this.
    pub tcp_mss: Option<u16>,
    suite: Suite,
    mode: Mode,
    may_move: MayMove,
    /// Copy the outer traffic class inwards.
    pub copy_traffic_class: bool,
    heard: bool,
    /// The peer's end and ours.
    ends: Ends,
    window: Window,
    /// What most packets of the SA are, by a glance at hand; see [`Hot::admits`].
    usual: Usual,
    /// Taken out only while the SA is dismantled.
    selectors: Option<Box<SelectorSet>>,
    lifetime: Lifetime,
    key: Keyed<Opener>,
}

/// The two ends of a tunnel, or of a packet that came by it, as words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// The peer's address.
    pub from: Words,
    /// Ours.
    pub to: Words,
    /// The peer's UDP port and ours; zeros for ESP over IP.
    pub ports: [u16; 2],
    /// Whether the peer's address is of IPv4, and ours.
    pub v4: [bool; 2],
}

impl Ends {
    /// From `from`, the peer, to `to`, ourselves.
    pub const fn new(from: Endpoint, to: Endpoint) -> Ends {
        Ends {
            from: flow::words(from.address),
            to: flow::words(to.address),
            ports: [from.port, to.port],
            v4: [from.address.is_ipv4(), to.address.is_ipv4()],
        }
    }

    /// Of an outer packet with these ports, see [`Ends::ports`].
    const fn of(outer: &Summary, ports: (u16, u16)) -> Ends {
        let [from, to] = outer.ends();
        Ends { from, to, ports: [ports.0, ports.1], v4: [outer.is_v4(); 2] }
    }

    /// Whether [`Ends::of`] would be the same. Compared where they lie.
    #[inline(always)]
    fn are_of(&self, outer: &Summary, ports: (u16, u16)) -> bool {
        let [from, to] = outer.ends();
        from == self.from
            && to == self.to
            && [ports.0, ports.1] == self.ports
            && self.v4 == [outer.is_v4(); 2]
    }

    /// The peer's end.
    pub const fn peer(&self) -> Endpoint {
        Endpoint { address: flow::address(self.v4[0], self.from), port: self.ports[0] }
    }

    /// Our end.
    pub const fn local(&self) -> Endpoint {
        Endpoint { address: flow::address(self.v4[1], self.to), port: self.ports[1] }
    }
}

/// A part of what an SA's selectors admit that can be told without looking at them: all IPv4 packets from
/// one range of addresses to another. What lies outside may be admitted all the same.
#[derive(Clone, Copy, Debug)]
struct Usual {
    remote: [u32; 2],
    local: [u32; 2],
}

impl Usual {
    /// The first range on each side that asks for neither protocol nor ports; nothing, where there is none.
    fn of(selectors: &SelectorSet) -> Usual {
        let range = |selector: &Selector| match (selector.addresses(), selector.protocol(), selector.ports())
        {
            (AddressRange::V4 { first, last }, ANY_PROTOCOL, Ports::Any) => {
                Some([first.to_bits(), last.to_bits()])
            }
            _ => None,
        };
        let first = |side: &[Selector]| side.iter().find_map(range).unwrap_or([1, 0]);
        Usual { remote: first(selectors.remote()), local: first(selectors.local()) }
    }

    #[inline(always)]
    fn admits(&self, packet: &Summary) -> bool {
        let within = |[first, last]: [u32; 2], [_, address]: Words| {
            u64::from(first) <= address && address <= u64::from(last)
        };
        let [source, destination] = packet.ends();
        packet.is_v4() & within(self.remote, source) & within(self.local, destination)
    }
}

/// The half that few packets touch.
#[derive(Debug)]
pub struct Cold {
    /// Control's name for the child SA.
    pub child: u32,
    /// Outbound slot to activate at the first verified packet.
    pub activates: Option<u32>,
    /// Facts control has not taken yet.
    pub facts: Facts,
}

/// Both halves, on their way into a table or out of it.
#[derive(Debug)]
pub struct Inbound {
    /// The hot half.
    pub hot: Hot,
    /// The cold half.
    pub cold: Cold,
}

/// How the outer addresses of a packet compare with its SA's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// From where the peer was last.
    Expected,
    /// From another address or port of a peer that may move: believe it once the ICV has verified.
    Moved,
    /// To an end of ours that is not the SA's, or not yet, or otherwise encapsulated: nothing to follow.
    Stray,
}

/// The outer addresses are not this SA's (DP-17).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the packet came from {from:?} to {to:?}, which is not this SA's tunnel")]
pub struct WrongAddress {
    /// Outer source.
    pub from: Endpoint,
    /// Outer destination.
    pub to: Endpoint,
}

/// Why a verified packet is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Its number was taken meanwhile.
    #[error(transparent)]
    Replayed(#[from] Replayed),
    /// The SA is at its end.
    #[error(transparent)]
    HardExpired(#[from] HardExpired),
}

impl Inbound {
    /// Joins what control sent with the key the worker expanded.
    pub fn new(parts: Parts, key: impl Into<Keyed<Opener>>, salt: [u8; SALT_LEN]) -> Inbound {
        let hot = Hot {
            spi: parts.spi,
            salt: Zeroizing::new(salt),
            outer_instance: parts.outer_instance,
            inner_instance: parts.inner_instance,
            tcp_mss: parts.tcp_mss,
            suite: parts.suite,
            mode: parts.mode,
            may_move: parts.may_move,
            copy_traffic_class: parts.copy_traffic_class,
            heard: false,
            ends: Ends::new(parts.peer, parts.local),
            window: parts.window,
            usual: Usual::of(&parts.selectors),
            selectors: Some(parts.selectors),
            lifetime: Lifetime::new(parts.limits),
            key: key.into(),
        };
        Inbound { hot, cold: Cold { child: parts.child, activates: parts.activates, facts: Facts::NONE } }
    }
}

/// What is left of a removed SA: memory that control allocated and frees. The key is gone.
#[derive(Debug)]
pub struct Remains {
    /// Its window, which says how far it got.
    pub window: Window,
    /// Its selectors.
    pub selectors: Option<Box<SelectorSet>>,
}

impl From<Inbound> for Remains {
    /// Of an SA that found no place: wipes key and salt here, on the worker that owned them.
    fn from(mut sa: Inbound) -> Remains {
        sa.hot.dismantle()
    }
}

impl From<Parts> for Remains {
    /// Of an SA that was never put together.
    fn from(parts: Parts) -> Remains {
        Remains { window: parts.window, selectors: Some(parts.selectors) }
    }
}

impl Hot {
    /// Its SPI.
    pub const fn spi(&self) -> Spi {
        self.spi
    }

    /// Takes out the memory control allocated, so that the rest can be dropped where it lies: a key
    /// moved out of a slot would leave its octets behind.
    pub(super) fn dismantle(&mut self) -> Remains {
        Remains {
            window: std::mem::replace(&mut self.window, Window::off()),
            selectors: self.selectors.take(),
        }
    }

    /// Its transform.
    pub const fn suite(&self) -> Suite {
        self.suite
    }

    /// Its expanded key, where it is one of AES-GCM.
    #[inline(always)]
    pub const fn key(&self) -> Option<&Key> {
        self.key.gcm()
    }

    /// What it has instead of one.
    #[inline(always)]
    pub const fn apart(&self) -> Option<&Opener> {
        self.key.apart()
    }

    /// What its packets are.
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// Whether its packets go the ordinary way: they are tunnelled, by AES-GCM.
    #[inline(always)]
    pub const fn is_ordinary(&self) -> bool {
        matches!((self.mode, self.key.apart()), (Mode::Tunnel, None))
    }

    /// The implicit part of the nonce.
    pub fn salt(&self) -> [u8; SALT_LEN] {
        *self.salt
    }

    /// Asks for what every packet touches outside this half, to use it soon.
    #[inline]
    pub fn prefetch(&self) {
        self.window.prefetch();
    }

    /// Its replay window.
    pub const fn window(&self) -> &Window {
        &self.window
    }

    /// Where the peer was last.
    pub const fn peer(&self) -> Endpoint {
        self.ends.peer()
    }

    /// Our end.
    pub const fn local(&self) -> Endpoint {
        self.ends.local()
    }

    /// What it has carried.
    pub const fn lifetime(&self) -> &Lifetime {
        &self.lifetime
    }

    /// The associated data of a packet that begins with `header` and whose number has been guessed: the header
    /// itself, or, with extended sequence numbers, what is then written to `room`.
    #[inline(always)]
    pub fn aad<'a>(&self, header: &'a [u8; 8], guess: Guess, room: &'a mut Aad) -> &'a [u8] {
        match self.window.esn() {
            true => {
                *room = Aad::new(self.spi, guess.sequence(), true);
                room.as_bytes()
            }
            false => header,
        }
    }

    /// Compares outer instance, addresses and ports (UDP source and destination, else zeros) with the SA's
    /// (RFC 4301 §4.1, DP-17). Whether ESP comes in UDP or bare is the peer's to choose, packet by packet.
    #[inline(always)]
    pub fn arrival(
        &self,
        instance: u16,
        outer: &Summary,
        ports: (u16, u16),
    ) -> Result<Arrival, WrongAddress> {
        if instance == self.outer_instance && self.ends.are_of(outer, ports) {
            return Ok(Arrival::Expected);
        }
        self.arrival_elsewhere(instance, outer, ports)
    }

    #[cold]
    fn arrival_elsewhere(
        &self,
        instance: u16,
        outer: &Summary,
        ports: (u16, u16),
    ) -> Result<Arrival, WrongAddress> {
        let ends = Ends::of(outer, ports);
        let (from, to, peer) = (ends.peer(), ends.local(), self.peer());
        let possible = instance == self.outer_instance && from.address.is_ipv4() == peer.address.is_ipv4();
        let to_us = to == self.local() && (from.port == 0) == (peer.port == 0);
        // "all devices MUST be able to receive and process both UDP-encapsulated ESP and non-UDP-encapsulated ESP
        // packets at any time" (RFC 7296 §2.23).
        let otherwise = (from.port == 0) == (to.port == 0) && (from.port == 0) != (peer.port == 0);
        let between_us = (from.address, to.address) == (peer.address, self.local().address);
        match self.may_move {
            MayMove::Peer | MayMove::Both if possible && to_us => Ok(Arrival::Moved),
            MayMove::Both if possible => Ok(Arrival::Stray),
            _ if possible && otherwise && between_us => Ok(Arrival::Stray),
            _ => Err(WrongAddress { from, to }),
        }
    }

    /// After the ICV has verified: commits the number and counts the packet. The facts this makes
    /// true are for [`Cold::facts`].
    #[inline(always)]
    pub fn accept(&mut self, guess: Guess, octets: usize) -> Result<Facts, Refused> {
        self.window.commit(guess)?;
        match self.lifetime.spend_calmly(octets) {
            true => Ok(Facts::NONE),
            false => self.accept_asked(octets),
        }
    }

    /// Counts a packet of an SA whose limits may be near: its first is always one.
    #[inline(never)]
    fn accept_asked(&mut self, octets: usize) -> Result<Facts, Refused> {
        let mut facts = Facts::NONE;
        if self.lifetime.spend(octets)? {
            facts.raise(Fact::SoftExpiry);
        }
        if !std::mem::replace(&mut self.heard, true) {
            facts.raise(Fact::FirstInbound);
        }
        Ok(facts)
    }

    /// Follows the peer to where a verified packet came from; also on control's order (MOBIKE).
    pub const fn move_peer(&mut self, to: Endpoint) {
        self.ends = Ends::new(to, self.local());
    }

    /// Changes our own end on control's order (MOBIKE).
    pub const fn move_local(&mut self, to: Endpoint) {
        self.ends = Ends::new(self.peer(), to);
    }

    /// Whether a decrypted packet lies within the SA's selectors (RFC 4301 §5.2 step 4).
    #[inline(always)]
    pub fn admits(&self, packet: &Summary) -> bool {
        self.usual.admits(packet) || self.admits_flow(&packet.flow())
    }

    /// The same of a packet that is known by its selectors only.
    pub fn admits_flow(&self, flow: &Flow) -> bool {
        self.selectors.as_ref().is_some_and(|selectors| selectors.admits_inbound(flow))
    }
}

const _: () = assert!(std::mem::offset_of!(Hot, key) <= 192, "the hot half outgrew three cache lines");
const _: () = assert!(size_of::<Cold>() <= 64);

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::net::flow::Upper;
    use crate::net::{ipv4, ipv6};
    use crate::sa::shard::Shard;
    use crate::sa::spi::{Place, Slot};
    use proptest::prelude::*;
    use ravelin_gcm::Kernel;
    use std::net::IpAddr;

    /// A place in shard 1.
    pub fn place(slot: u32) -> Place {
        Place { shard: Shard::new(1).unwrap(), slot: Slot::new(slot).unwrap() }
    }

    pub fn parts(spi: Spi) -> Parts {
        Parts {
            spi,
            suite: Suite::AesGcm128,
            mode: Mode::Tunnel,
            window: Window::new(64, true).unwrap(),
            outer_instance: 1,
            inner_instance: 2,
            local: Endpoint { address: [192, 0, 2, 1].into(), port: 4500 },
            peer: Endpoint { address: [192, 0, 2, 2].into(), port: 4500 },
            may_move: MayMove::Peer,
            copy_traffic_class: false,
            tcp_mss: None,
            selectors: Box::new(SelectorSet::any()),
            limits: Limits { soft_packets: 2, ..Limits::NONE },
            child: 7,
            activates: None,
        }
    }

    pub fn inbound(spi: Spi) -> Inbound {
        Inbound::new(parts(spi), Key::new(Kernel::portable(), &[0; 16]).unwrap(), [1; 4])
    }

    #[test]
    fn facts_come_with_the_packet_that_makes_them_true() {
        let mut hot = inbound(Spi(1 << 26)).hot;
        let facts: Vec<_> = (1..4)
            .map(|n| {
                let guess = hot.window().check(n).unwrap();
                hot.accept(guess, 100).unwrap()
            })
            .collect();
        assert!(facts[0].iter().eq([Fact::FirstInbound]));
        assert!(facts[1].iter().eq([Fact::SoftExpiry]));
        assert!(facts[2].is_empty());
    }

    fn packet(from: IpAddr, to: IpAddr, protocol: u8, payload: &[u8]) -> Vec<u8> {
        let length = payload.len() as u16;
        match (from, to) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let header = ipv4::Repr {
                    traffic_class: 0,
                    total_length: 20 + length,
                    id: 0,
                    dont_fragment: false,
                    more_fragments: false,
                    fragment_offset: 0,
                    ttl: 9,
                    protocol,
                    source,
                    destination,
                };
                let mut bytes = [[0; 20].as_slice(), payload].concat();
                header.emit(&mut bytes).unwrap();
                bytes
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let (traffic_class, flow_label, hop_limit) = (0, 0, 9);
                let (payload_length, next_header) = (length, protocol);
                let header = ipv6::Repr {
                    traffic_class,
                    flow_label,
                    payload_length,
                    next_header,
                    hop_limit,
                    source,
                    destination,
                };
                let mut bytes = [[0; 40].as_slice(), payload].concat();
                header.emit(&mut bytes).unwrap();
                bytes
            }
            _ => panic!("one packet, one family"),
        }
    }

    proptest! {
        /// The glance admits nothing that the selectors do not.
        #[test]
        fn a_glance_says_what_the_selectors_say(
            sides in proptest::collection::vec((any::<bool>(), 0u8..4, 8u8..=32, 0u8..2, any::<bool>()), 2..8),
            source in 0u8..4, destination in 0u8..4, v6: bool, udp: bool, port in 0u16..2,
        ) {
            let address = |v6: bool, n: u8| -> IpAddr {
                if v6 { IpAddr::V6((u128::from(n) << 8 | 10 << 120).into()) } else { [10, 0, n, 0].into() }
            };
            let selectors: Vec<_> = sides
                .into_iter()
                .map(|(v6, n, length, protocol, ports)| {
                    let addresses = AddressRange::prefix(address(v6, n), length);
                    let protocol = if ports { 17 } else { protocol * 17 };
                    let ports = if ports { Ports::Range { first: 1, last: 9 } } else { Ports::Any };
                    Selector::new(addresses, protocol, ports).unwrap()
                })
                .collect();
            let (local, remote) = selectors.split_at(selectors.len() / 2);
            let set = SelectorSet::new(local, remote).unwrap();
            let (from, to) = (address(v6, source), address(v6, destination));
            let ports = [port.to_be_bytes(), port.to_be_bytes()].concat();
            let summary = Summary::parse(&packet(from, to, if udp { 17 } else { 47 }, &ports)).unwrap();
            let parts = Parts { selectors: Box::new(set.clone()), ..parts(Spi(1 << 26)) };
            let hot = Inbound::new(parts, Key::new(Kernel::portable(), &[0; 16]).unwrap(), [1; 4]).hot;
            prop_assert_eq!(hot.admits(&summary), set.admits_inbound(&summary.flow()));
        }
    }

    #[test]
    fn outer_addresses_are_compared_whole() {
        let mut hot = inbound(Spi(1 << 26)).hot;
        let (local, peer) = (hot.local(), hot.peer());
        let elsewhere = Endpoint { port: 1024, ..peer };
        let arrival = |hot: &Hot, instance, from: Endpoint, to: Endpoint| {
            let (source, destination) = (from.address, to.address);
            let outer = Flow { source, destination, protocol: 50, upper: Upper::Portless };
            hot.arrival(instance, &Summary::of(&outer), (from.port, to.port))
        };
        assert_eq!(arrival(&hot, 1, peer, local), Ok(Arrival::Expected));
        assert_eq!(arrival(&hot, 1, elsewhere, local), Ok(Arrival::Moved));
        assert!(arrival(&hot, 2, peer, local).is_err());
        assert!(arrival(&hot, 1, peer, elsewhere).is_err());
        assert!(arrival(&hot, 1, Endpoint { port: 0, ..peer }, local).is_err());
        // The same words in the other family are another address.
        let mapped = Endpoint { address: IpAddr::V6((0xc000_0202u128).into()), ..peer };
        assert!(arrival(&hot, 1, mapped, local).is_err());
        hot.move_peer(elsewhere);
        assert_eq!(arrival(&hot, 1, elsewhere, local), Ok(Arrival::Expected));
        assert_eq!((hot.peer(), hot.local()), (elsewhere, local));
        // With MOBIKE our end may be another one too, and ESP in UDP or not; the instance and the family stay.
        hot.may_move = MayMove::Both;
        let bare = Endpoint { port: 0, ..peer };
        assert_eq!(arrival(&hot, 1, peer, local), Ok(Arrival::Moved));
        assert_eq!(arrival(&hot, 1, elsewhere, Endpoint { port: 4501, ..local }), Ok(Arrival::Stray));
        assert_eq!(arrival(&hot, 1, bare, Endpoint { port: 0, ..local }), Ok(Arrival::Stray));
        assert!(arrival(&hot, 2, peer, local).is_err());
        assert!(arrival(&hot, 1, mapped, local).is_err());
        hot.may_move = MayMove::Nobody;
        assert!(arrival(&hot, 1, peer, local).is_err());
    }

    /// In UDP or bare, whichever it was agreed to be; between the same addresses, and to our port.
    #[test]
    fn either_encapsulation_is_taken() {
        for (agreed, may_move) in [(4500, MayMove::Peer), (4500, MayMove::Nobody), (0, MayMove::Nobody)] {
            let at = |end: Endpoint| Endpoint { port: agreed, ..end };
            let parts = parts(Spi(1 << 26));
            let parts = Parts { local: at(parts.local), peer: at(parts.peer), may_move, ..parts };
            let hot = Inbound::new(parts, Key::new(Kernel::portable(), &[0; 16]).unwrap(), [1; 4]).hot;
            let (local, peer) = (hot.local().address, hot.peer().address);
            let arrival = |source, ports: (u16, u16)| {
                let outer = Flow { source, destination: local, protocol: 50, upper: Upper::Portless };
                hot.arrival(1, &Summary::of(&outer), ports)
            };
            let other = if agreed == 0 { (4500, 4500) } else { (0, 0) };
            assert_eq!(arrival(peer, (agreed, agreed)), Ok(Arrival::Expected));
            assert_eq!(arrival(peer, other), Ok(Arrival::Stray));
            assert!(arrival([192, 0, 2, 66].into(), other).is_err());
            assert!(arrival(peer, (0, 4500)).is_err());
        }
    }
}
