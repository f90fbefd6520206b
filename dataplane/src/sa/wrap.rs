//! What an outbound SA puts in front of ESP, as octets: the outer headers, made once, when control says how
//! packets are wrapped, and the link header, as long as it is known. A packet copies all of it at once and
//! fills in what differs (RFC 4301 §5.1.2, RFC 3948 §2.1; DP-03, DP-23 to DP-27, DP-34).
//!
//! The largest inner packet that fits is told here too ([`InnerLimits`]): it follows from headers and suite.
//!
//! Left to the caller: how long a link header is to be believed, and the checksum of UDP over IPv6, which
//! covers the ciphertext.

use std::net::IpAddr;

use super::Mode;
use super::outbound::{Encapsulation, OuterDf, OuterDscp};
use crate::net::esp::Framing;
use crate::net::flow::Summary;
use crate::net::{checksum, ipv4, ipv6, protocol, udp};

/// RFC 8200 §5: every link carries IPv6 packets of 1280 octets.
const SMALLEST_IPV6_MTU: u16 = 1280;
/// Room for what stands in front of ESP: IPv6 and UDP behind an Ethernet header; only with a tag as well
/// there is no room for the link header. A cache line.
pub const ROOM: usize = 64;

/// How packets are wrapped, ready to be written.
#[derive(Debug, Clone, Copy)]
pub struct Wrap {
    /// Ends with the outer headers, in front of which the link header lies.
    template: [u8; ROOM],
    front: Front,
    shape: Shape,
    /// Outer class is inner class `& class_mask | class`.
    class_mask: u8,
    class: u8,
    /// Outer Don't Fragment is inner `& df_mask | df`, each as the bit of [`Summary::dont_fragment_bit`].
    df_mask: u16,
    df: u16,
    /// [`CLEARS_INNER_DF`], [`SILENT`] and [`TRANSPORT`]: one octet, since the hot half of an SA has no room for two.
    unfit: u8,
    /// Sum over the words of the IPv4 header that are the same in every packet, with its carries.
    sum: u16,
    /// Of what goes the ordinary way, which only AES-GCM does ([`Wrap::set_apart`]).
    pub limits: InnerLimits,
    /// Instance the ESP packets leave in.
    pub instance: u16,
    /// Largest outer packet, if not the port's MTU alone decides.
    pub outer_mtu: u16,
    /// Lower the MSS of SYNs that enter the tunnel to this; 0 for as they are.
    pub tcp_mss: u16,
    /// Pad shorter inner packets to so many octets; 0 for none.
    pub padded_to: u16,
}

/// Of packets that do not fit: Don't Fragment of inner IPv4 is cleared where it stands in the way (DP-24).
const CLEARS_INNER_DF: u8 = 1;
/// Nobody is told (DP-28, DP-29 turned off).
const SILENT: u8 = 2;
/// There are no outer headers: packets keep theirs (DP-05).
const TRANSPORT: u8 = 4;

/// Octets of the largest inner packet: IPv4 without and with Don't Fragment, IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InnerLimits([u16; 3]);

impl InnerLimits {
    /// No packet fits.
    pub const NONE: InnerLimits = InnerLimits([0; 3]);

    /// Octets of the largest inner packet that is not to be cut first.
    #[inline]
    pub const fn largest(&self, v4: bool, dont_fragment: bool) -> usize {
        let [free, fixed, v6] = self.0;
        let limit = match (v4, dont_fragment) {
            (true, false) => free,
            (true, true) => fixed,
            (false, _) => v6,
        };
        limit as usize
    }

    /// RFC 2473 §7.1 (b): an IPv6 packet of the minimum MTU cannot be refused for its size; where the path is
    /// too narrow for it, the outer packet is cut.
    #[inline(always)]
    pub const fn must_pass(&self, inner: &Summary) -> bool {
        let [_, narrow, _] = self.0;
        !inner.is_v4() && inner.length() > narrow as usize && inner.length() <= SMALLEST_IPV6_MTU as usize
    }

    /// The least of them.
    fn least(&self) -> u16 {
        self.0.into_iter().fold(u16::MAX, u16::min)
    }
}

/// What the outer headers are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    V4,
    V4Udp,
    V6,
    V6Udp,
}

/// What stands in front of ESP, as it travels with a packet from laying out to its port: one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Front(u32);

impl Front {
    /// So many octets of outer headers, and no link header.
    const fn new(headers: u8, owes_checksum: bool) -> Front {
        Front((headers as u32) << 8 | (owes_checksum as u32) << 16)
    }

    /// The headers that a packet came with behind a link header of so many octets, if they are no longer than can be told.
    pub fn of_its_own(headers: usize, link: usize) -> Option<Front> {
        let (all, link) = (u8::try_from(link + headers).ok()?, u8::try_from(link).ok()?);
        Some(Front::new(all, false).with(link))
    }

    /// The same behind a link header of so many octets.
    const fn led_by(self, link: u8) -> Front {
        Front::new(self.headers() as u8 + link, self.owes_checksum()).with(link)
    }

    const fn with(self, link: u8) -> Front {
        Front(self.0 & !0xff | link as u32)
    }

    /// Octets of link header; 0 while none is known.
    #[inline(always)]
    pub const fn link(self) -> usize {
        (self.0 & 0xff) as usize
    }

    /// Octets of all: link header and outer headers.
    #[inline(always)]
    pub const fn octets(self) -> usize {
        (self.0 >> 8 & 0xff) as usize
    }

    /// Octets of outer headers.
    #[inline(always)]
    pub const fn headers(self) -> usize {
        self.octets() - self.link()
    }

    /// Whether the headers end with UDP over IPv6, whose checksum is owed until the text is encrypted.
    #[inline(always)]
    pub const fn owes_checksum(self) -> bool {
        self.0 >> 16 != 0
    }
}

/// What differs from packet to packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Varying {
    /// Traffic class of the inner packet.
    pub class: u8,
    /// Don't Fragment of the outer packet as the bit of an IPv4 header, see [`Wrap::outer_df`].
    pub dont_fragment: u16,
    /// IPv4 identification (RFC 6864 §4.3).
    pub id: u16,
    /// Octets behind the headers, from SPI to ICV.
    pub behind: usize,
}

impl Wrap {
    /// The headers for `encapsulation`, and the limits of a suite with this `framing`.
    pub fn new(encapsulation: &Encapsulation, framing: Framing) -> Wrap {
        let protocol = if encapsulation.local.port == 0 { protocol::ESP } else { protocol::UDP };
        Wrap::around(encapsulation, protocol, |room| framing.largest_payload(room))
    }

    /// The headers of a tunnel without ESP: what follows them is of `protocol`, and has `header` octets in front of the
    /// inner packet.
    pub fn bare(encapsulation: &Encapsulation, protocol: u8, header: usize) -> Wrap {
        Wrap::around(encapsulation, protocol, |room| room.saturating_sub(header))
    }

    /// The headers, and the limits where an inner packet of `fits` octets fits into so much room behind them.
    fn around(encapsulation: &Encapsulation, protocol: u8, fits: impl Fn(usize) -> usize) -> Wrap {
        let Encapsulation { local, peer, .. } = encapsulation;
        let (class_mask, class) = match encapsulation.dscp {
            OuterDscp::Copy => (0xff, 0),
            // RFC 6040 §4.1: ECN is the inner packet's in any case.
            OuterDscp::Fixed(dscp) => (0b11, dscp << 2),
        };
        let (df_mask, df) = match encapsulation.df {
            OuterDf::Clear => (0, 0),
            OuterDf::Set => (0, ipv4::DONT_FRAGMENT),
            OuterDf::Copy => (ipv4::DONT_FRAGMENT, 0),
        };
        let shape = match (peer.address.is_ipv4(), local.port != 0) {
            (true, false) => Shape::V4,
            (true, true) => Shape::V4Udp,
            (false, false) => Shape::V6,
            (false, true) => Shape::V6Udp,
        };
        let mut wrap = Wrap {
            template: [0; ROOM],
            front: Front::new(0, shape == Shape::V6Udp),
            shape,
            class_mask,
            class,
            df_mask,
            df,
            unfit: (u8::from(encapsulation.clear_inner_df) * CLEARS_INNER_DF)
                | (u8::from(encapsulation.silent) * SILENT)
                | (u8::from(encapsulation.mode == Mode::Transport) * TRANSPORT),
            sum: 0,
            limits: InnerLimits::NONE,
            instance: encapsulation.instance,
            outer_mtu: encapsulation.outer_mtu.unwrap_or(u16::MAX),
            tcp_mss: encapsulation.tcp_mss.unwrap_or(0),
            padded_to: encapsulation.padded_to.unwrap_or(0),
        };
        let headers = wrap.lay_out(encapsulation, protocol).unwrap_or(0);
        wrap.front = Front::new(headers as u8, shape == Shape::V6Udp);
        let limit = |inner_df| wrap.inner_limit(encapsulation, &fits, inner_df);
        let fixed = limit(ipv4::DONT_FRAGMENT);
        wrap.limits = InnerLimits([limit(0), fixed, fixed.max(SMALLEST_IPV6_MTU)]);
        if wrap.is_transport() {
            wrap.set_apart();
        }
        wrap
    }

    /// Writes the outer headers, as far as they are the same in every packet, to the end of the template; how
    /// long they are.
    fn lay_out(&mut self, encapsulation: &Encapsulation, protocol: u8) -> Option<usize> {
        let mut headers = [0; ipv6::Repr::LEN + udp::Repr::LEN];
        let length = self.emit_headers(encapsulation, protocol, &mut headers)?;
        let end = self.template.get_mut(ROOM - length..)?;
        end.copy_from_slice(headers.get(..length)?);
        Some(length)
    }

    fn emit_headers(&mut self, encapsulation: &Encapsulation, protocol: u8, out: &mut [u8]) -> Option<usize> {
        let Encapsulation { local, peer, hop_limit, .. } = *encapsulation;
        let udp = matches!(self.shape, Shape::V4Udp | Shape::V6Udp);
        let ip = match (local.address, peer.address) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let header = ipv4::Repr {
                    traffic_class: 0,
                    total_length: 0,
                    id: 0,
                    dont_fragment: false,
                    more_fragments: false,
                    fragment_offset: 0,
                    ttl: hop_limit,
                    protocol,
                    source,
                    destination,
                };
                header.emit(out).ok()?;
                let sum = u32::from(!checksum::internet(out.get(..10)?))
                    + u32::from(!checksum::internet(out.get(12..ipv4::Repr::LEN)?));
                self.sum = ((sum & 0xffff) + (sum >> 16)) as u16;
                ipv4::Repr::LEN
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let (traffic_class, flow_label, payload_length) = (0, 0, 0);
                let next_header = protocol;
                let header = ipv6::Repr {
                    traffic_class,
                    flow_label,
                    payload_length,
                    next_header,
                    hop_limit,
                    source,
                    destination,
                };
                header.emit(out).ok()?;
                ipv6::Repr::LEN
            }
            _ => return None,
        };
        if !udp {
            return Some(ip);
        }
        let header = udp::Repr { source: local.port, destination: peer.port, length: 0, checksum: 0 };
        header.emit(out.get_mut(ip..)?).ok()?;
        Some(ip + udp::Repr::LEN)
    }

    /// Largest inner packet: what was configured, and where the outer packet may not be cut, what fits in it.
    fn inner_limit(
        &self,
        encapsulation: &Encapsulation,
        fits: impl Fn(usize) -> usize,
        inner_df: u16,
    ) -> u16 {
        let configured = encapsulation.inner_mtu.unwrap_or(u16::MAX);
        let outer = encapsulation.outer_mtu.filter(|_| self.outer_df(inner_df) != 0);
        configured.min(outer.map_or(u16::MAX, |outer| fits(self.room_within(outer)) as u16))
    }

    /// Octets of the largest inner packet whose outer packet has at most `outer` octets.
    pub fn largest_within(&self, outer: u16, framing: Framing) -> u16 {
        framing.largest_payload(self.room_within(outer)) as u16
    }

    /// Octets behind the headers of an outer packet of at most `outer` octets.
    pub fn room_within(&self, outer: u16) -> usize {
        usize::from(outer).saturating_sub(self.front.headers())
    }

    /// Makes these headers ones that nothing fits into as a matter of course, so that no packet goes the ordinary way:
    /// that is laid out for AES-GCM. The limits come back, to be asked where a packet is found not to fit.
    pub fn set_apart(&mut self) -> InnerLimits {
        std::mem::replace(&mut self.limits, InnerLimits::NONE)
    }

    /// Octets of the outer headers; `None` if there can be none because the ends are of two families.
    pub const fn length(&self) -> Option<usize> {
        if self.front.headers() == 0 { None } else { Some(self.front.headers()) }
    }

    /// Lays a link header in front of the outer headers, in place of the former one. `false` if there are no outer
    /// headers or no room for it, which only the longest headers behind a tag lack: then there is none.
    pub fn lead_with(&mut self, link: &[u8]) -> bool {
        let length = self.front.headers();
        let start = (ROOM - length).checked_sub(link.len()).filter(|_| length > 0);
        let place = start.and_then(|start| self.template.get_mut(start..start + link.len()));
        let has_room = place.map(|place| place.copy_from_slice(link)).is_some();
        self.front = self.front.led_by(if has_room { link.len() as u8 } else { 0 });
        has_room
    }

    /// Whether Don't Fragment of inner IPv4 is cleared where it stands in the way.
    #[inline]
    pub const fn clears_inner_df(&self) -> bool {
        self.unfit & CLEARS_INNER_DF != 0
    }

    /// Whether nobody is told whose packet is too large.
    pub const fn is_silent(&self) -> bool {
        self.unfit & SILENT != 0
    }

    /// Whether packets keep the headers they came with. Then nothing of this is written but the link header, and none goes
    /// the ordinary way.
    pub const fn is_transport(&self) -> bool {
        self.unfit & TRANSPORT != 0
    }

    /// What stands in front of ESP where it is known how packets leave.
    #[inline(always)]
    pub const fn front(&self) -> Front {
        self.front
    }

    /// The link header; nothing while it is not known how packets leave.
    pub fn link(&self) -> &[u8] {
        let end = ROOM - self.front.headers();
        self.template.get(end.saturating_sub(self.front.link())..end).unwrap_or_default()
    }

    /// What stands in front of ESP without a link header; `None` if there can be nothing because the ends are of two
    /// families.
    pub const fn front_unled(&self) -> Option<Front> {
        match self.front.headers() {
            0 => None,
            _ => Some(self.front.led_by(0)),
        }
    }

    /// Octets of the largest inner packet that the tunnel takes as it is, whatever it is; of a larger one it is
    /// to be asked in full.
    pub fn unasked(&self) -> u16 {
        if self.asks() { 0 } else { self.limits.least() }
    }

    /// Whether each packet is to be looked at: SYNs are looked for where their MSS is to be lowered, and short packets
    /// are padded.
    #[inline(always)]
    pub const fn asks(&self) -> bool {
        self.tcp_mss | self.padded_to != 0
    }

    /// Octets that an inner packet of `length` has behind it against traffic analysis.
    pub fn padding(&self, length: usize) -> usize {
        usize::from(self.padded_to).saturating_sub(length)
    }

    /// Don't Fragment of the outer packet; IPv6 is never cut on the way (RFC 8200 §5), but may be by us.
    #[inline(always)]
    pub const fn outer_df(&self, inner: u16) -> u16 {
        inner & self.df_mask | self.df
    }

    /// Whether the IP header is version 4.
    #[inline]
    pub const fn is_v4(&self) -> bool {
        matches!(self.shape, Shape::V4 | Shape::V4Udp)
    }

    /// Writes what stands in front of ESP to the end of `out`, the link header included; `None` if the packet would
    /// be too long. What is in front of that is overwritten too: a template copied whole is a few moves of registers.
    #[inline(always)]
    pub fn emit(&self, out: &mut [u8; ROOM], varying: Varying) -> Option<()> {
        let class = varying.class & self.class_mask | self.class;
        *out = self.template;
        match self.shape {
            Shape::V4 => self.vary_v4(out.last_chunk_mut()?, class, &varying),
            Shape::V4Udp => {
                let headers: &mut [u8; ipv4::Repr::LEN + udp::Repr::LEN] = out.last_chunk_mut()?;
                vary_udp(headers.last_chunk_mut()?, &varying)?;
                self.vary_v4(headers.first_chunk_mut()?, class, &varying)
            }
            Shape::V6 | Shape::V6Udp => {
                self.vary_v6(out.get_mut(ROOM - self.front.headers()..)?, class, &varying)
            }
        }
    }

    /// As words: octets stored one by one would cost more than all the rest.
    #[inline(always)]
    fn vary_v4(&self, out: &mut [u8; ipv4::Repr::LEN], class: u8, varying: &Varying) -> Option<()> {
        let total = u16::try_from(self.front.headers() + varying.behind).ok()?;
        let flags = varying.dont_fragment;
        let sum = u32::from(self.sum)
            + u32::from(class)
            + u32::from(total)
            + u32::from(varying.id)
            + u32::from(flags);
        // Twice: seven 16-bit words and their carries leave at most one carry.
        let once = (sum & 0xffff) + (sum >> 16);
        let checksum = !(((once & 0xffff) + (once >> 16)) as u16);
        let first = 0x4500 << 48 | u64::from(class) << 48 | u64::from(total) << 32;
        let (start, rest) = out.split_first_chunk_mut::<8>()?;
        *start = (first | u64::from(varying.id) << 16 | u64::from(flags)).to_be_bytes();
        let (_, rest) = rest.split_first_chunk_mut::<2>()?;
        *rest.first_chunk_mut()? = checksum.to_be_bytes();
        Some(())
    }

    fn vary_v6(&self, out: &mut [u8], class: u8, varying: &Varying) -> Option<()> {
        let (ip, rest) = out.split_first_chunk_mut::<{ ipv6::Repr::LEN }>()?;
        let length = self.front.headers() - ipv6::Repr::LEN + varying.behind;
        [ip[0], ip[1]] = [0x60 | class >> 4, class << 4];
        [ip[4], ip[5]] = u16::try_from(length).ok()?.to_be_bytes();
        match self.shape {
            Shape::V6Udp => vary_udp(rest.first_chunk_mut()?, varying),
            _ => Some(()),
        }
    }
}

/// RFC 3948 §2.1: over IPv4 the checksum "SHOULD be transmitted as a zero value", which the template has.
#[inline(always)]
fn vary_udp(out: &mut [u8; udp::Repr::LEN], varying: &Varying) -> Option<()> {
    let length = u16::try_from(udp::Repr::LEN + varying.behind).ok()?;
    let (_, rest) = out.split_first_chunk_mut::<4>()?;
    *rest.first_chunk_mut()? = length.to_be_bytes();
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sa::Endpoint;
    use crate::sa::suite::Suite;
    use proptest::prelude::*;

    fn encapsulation() -> impl Strategy<Value = Encapsulation> {
        let dscp = prop_oneof![Just(OuterDscp::Copy), (0u8..64).prop_map(OuterDscp::Fixed)];
        let df = prop_oneof![Just(OuterDf::Clear), Just(OuterDf::Set), Just(OuterDf::Copy)];
        let mtu = || proptest::option::of(68u16..9000);
        let ends = (any::<bool>(), any::<bool>(), any::<[u8; 16]>(), any::<[u8; 16]>(), any::<u8>());
        (ends, dscp, df, mtu(), mtu()).prop_map(|(ends, dscp, df, inner_mtu, outer_mtu)| {
            let (v4, udp, a, b, hop_limit) = ends;
            let address = |octets: [u8; 16]| -> IpAddr {
                if v4 { [octets[0], octets[1], octets[2], octets[3]].into() } else { octets.into() }
            };
            let port = if udp { 4500 } else { 0 };
            Encapsulation {
                mode: Mode::Tunnel,
                instance: 0,
                local: Endpoint { address: address(a), port },
                peer: Endpoint { address: address(b), port },
                hop_limit,
                df,
                dscp,
                inner_mtu,
                outer_mtu,
                clear_inner_df: false,
                tcp_mss: None,
                silent: false,
                padded_to: None,
                dummies: None,
                errors: None,
            }
        })
    }

    proptest! {
        /// What a reader of the packet sees is what was asked for, and the checksum is right.
        #[test]
        fn headers_read_back(encapsulation in encapsulation(), class: u8, dont_fragment: bool, id: u16, behind in 36usize..9000) {
            let wrap = Wrap::new(&encapsulation, Framing::GCM);
            let length = wrap.length().unwrap();
            let mut front = [0xa5; ROOM];
            let bit = if dont_fragment { ipv4::DONT_FRAGMENT } else { 0 };
            wrap.emit(&mut front, Varying { class, dont_fragment: bit, id, behind }).unwrap();
            let mut packet = front[ROOM - length..].to_vec();
            packet.resize(length + behind, 0xa5);
            let summary = Summary::parse(&packet).unwrap();
            let (v4, udp) = (encapsulation.peer.address.is_ipv4(), encapsulation.local.port > 0);
            prop_assert_eq!((summary.source(), summary.destination()), (encapsulation.local.address, encapsulation.peer.address));
            prop_assert_eq!(summary.protocol(), if udp { protocol::UDP } else { protocol::ESP });
            prop_assert_eq!((summary.length(), summary.ttl()), (packet.len(), encapsulation.hop_limit));
            let outer_class = match encapsulation.dscp {
                OuterDscp::Copy => class,
                OuterDscp::Fixed(dscp) => dscp << 2 | class & 3,
            };
            prop_assert_eq!(summary.traffic_class(), outer_class);
            if v4 {
                let header = ipv4::Header::parse(&packet).unwrap();
                prop_assert!(header.checksum_ok());
                prop_assert_eq!((header.id(), header.dont_fragment()), (id, dont_fragment));
            }
            if udp {
                let datagram = udp::Repr::parse(&packet[length - udp::Repr::LEN..]).unwrap();
                prop_assert_eq!(datagram, udp::Repr { source: 4500, destination: 4500, length: (8 + behind) as u16, checksum: 0 });
            }
            let long = Varying { class, dont_fragment: bit, id, behind: 65_536 };
            prop_assert_eq!(wrap.emit(&mut front, long), None);
        }

        /// A link header changes nothing behind it, and the next one replaces it.
        #[test]
        fn a_link_header_leads(encapsulation in encapsulation(), links in proptest::collection::vec((any::<u8>(), any::<bool>()), 1..4), id: u16) {
            let mut wrap = Wrap::new(&encapsulation, Framing::GCM);
            let length = wrap.length().unwrap();
            let varying = Varying { class: 1, dont_fragment: 0, id, behind: 100 };
            let mut plain = [0; ROOM];
            wrap.emit(&mut plain, varying).unwrap();
            for (octet, tagged) in links {
                let link = vec![octet; if tagged { 18 } else { 14 }];
                let room = length + link.len() <= ROOM;
                let led = if room { link.len() } else { 0 };
                prop_assert_eq!((wrap.lead_with(&link), wrap.front().link()), (room, led));
                prop_assert_eq!(wrap.front().octets(), led + length);
                let mut front = [0xa5; ROOM];
                wrap.emit(&mut front, varying).unwrap();
                prop_assert_eq!(&front[ROOM - length - led..ROOM - length], &link[..led]);
                prop_assert_eq!(&front[ROOM - length..], &plain[ROOM - length..]);
            }
        }

        /// What the limit admits fits the outer size wherever that may not be cut.
        #[test]
        fn what_is_admitted_fits(encapsulation in encapsulation(), v4: bool, dont_fragment: bool, suite in 0usize..20) {
            let framing = Suite::all().nth(suite).unwrap().framing();
            let wrap = Wrap::new(&encapsulation, framing);
            let limit = wrap.limits.largest(v4, dont_fragment || !v4);
            let bit = if dont_fragment || !v4 { ipv4::DONT_FRAGMENT } else { 0 };
            let outer = |inner: usize| wrap.length().unwrap() + inner + framing.overhead(inner);
            if let Some(mtu) = encapsulation.outer_mtu.filter(|mtu| *mtu > 1400 && wrap.outer_df(bit) != 0) {
                prop_assert!(outer(limit) <= usize::from(mtu));
            }
            let least = if v4 { 0 } else { 1280 };
            let within = encapsulation.inner_mtu.is_none_or(|mtu| limit <= usize::from(mtu).max(least));
            prop_assert!(within);
        }
    }

    #[test]
    fn ends_of_two_families_have_no_headers() {
        let ends = |a: &str| Endpoint { address: a.parse().unwrap(), port: 0 };
        let parts = crate::sa::outbound::tests::parts(256).encapsulation;
        let mixed = Encapsulation { local: ends("192.0.2.1"), peer: ends("2001:db8::1"), ..parts };
        assert_eq!(Wrap::new(&mixed, Framing::GCM).length(), None);
    }
}
