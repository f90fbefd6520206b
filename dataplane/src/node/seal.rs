//! Encrypts: sequence number, headers and trailer, a burst under many keys (RFC 4303 §3.3, RFC 4106,
//! RFC 3948; DP-03, DP-15, DP-16).
//!
//! Two passes: [`lay_out`] each packet, which makes it an outer packet in all but its text, and [`seal`] the
//! burst. Size is asked first ([`fits`], [`fit`]); cutting, ICMP and the exit are the caller's. A packet that either
//! pass refuses is dropped, never sent as it is. What is laid out and encrypted here is AES-GCM; of other suites that is
//! [`super::apart`]'s. In transport mode packets are laid out by [`super::transport`].

use std::net::IpAddr;

use arrayvec::ArrayVec;
use ravelin_gcm::{BURST, Key, Seal, seal_burst};

use crate::io::Frame;
use crate::net::flow::Summary;
use crate::net::{esp, ipv4, ipv6, protocol, udp};
use crate::node::{Packet, forward};
use crate::sa::fact::Facts;
use crate::sa::outbound::{Departure, Hot, Stopped};
use crate::sa::sequence::Number;
use crate::sa::spi::Spi;
use crate::sa::suite::{Aad, ICV_LEN, IV_LEN};
use crate::sa::table::OutboundTable;
use crate::sa::wrap::{Front, InnerLimits, ROOM, Varying, Wrap};
use crate::verdict::Drop;

/// Whether a packet fits into its tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// It does.
    Whole,
    /// It is to be cut into pieces of at most so many octets first.
    Cut(u16),
    /// It may not be cut: its sender is to be told that so many octets fit.
    TooBig(u16),
}

/// Whether a packet goes into its tunnel as a matter of course.
#[inline(always)]
pub fn fits<F: Frame>(packet: &Packet<F>, wrap: &Wrap) -> bool {
    let Packet { summary, .. } = packet;
    summary.length() <= wrap.limits.largest(summary.is_v4(), summary.dont_fragment())
}

/// Compares a packet with what its tunnel takes; clears Don't Fragment where the tunnel says so (DP-24).
#[cold]
pub fn fit<F: Frame>(packet: &mut Packet<F>, wrap: &Wrap, limits: InnerLimits) -> Fit {
    let (length, v4, dont_fragment) =
        (packet.summary.length(), packet.summary.is_v4(), packet.summary.dont_fragment());
    let limit = limits.largest(v4, dont_fragment);
    if length <= limit {
        return Fit::Whole;
    }
    if v4 && wrap.clears_inner_df() && dont_fragment {
        ipv4::clear_dont_fragment(packet.frame.data_mut());
        packet.summary.clear_dont_fragment();
    }
    let limit = u16::try_from(limit).unwrap_or(u16::MAX);
    if packet.summary.dont_fragment() { Fit::TooBig(limit) } else { Fit::Cut(limit) }
}

/// A packet on its way through encryption. The frame's data ends with the ICV and begins with the outer packet, or
/// with the frame it is to leave in, where that was known already; the text is still in clear.
#[derive(Debug)]
pub struct Sealing<F> {
    /// The outer packet.
    pub frame: F,
    number: Number,
    /// The slot that sends it.
    pub slot: u32,
    /// The SA that sends it.
    spi: Spi,
    /// Octets of the inner packet, which an IP header counts with 16 bits; with IPv6's own header it may be more.
    octets: u32,
    /// What stands in front of ESP; without a link header the exit is to be looked up.
    pub front: Front,
    /// Whether [`seal`] has encrypted it. What it has not must not leave.
    pub sealed: bool,
}

/// What is to be known of an SA to encrypt what [`lay_out`] has laid out, and facts about it.
#[derive(Debug)]
pub struct Laid {
    number: Number,
    spi: Spi,
    front: Front,
    /// What this packet makes true of its SA.
    pub facts: Facts,
}

impl Laid {
    /// Of an SA that is laid out elsewhere ([`super::apart`]).
    pub(super) const fn new(number: Number, spi: Spi, front: Front, facts: Facts) -> Laid {
        Laid { number, spi, front, facts }
    }
}

impl<F> Sealing<F> {
    /// A packet of `octets` that was laid out under the SA in `slot`.
    #[inline(always)]
    pub fn new(frame: F, slot: u32, octets: usize, laid: Laid) -> Sealing<F> {
        let Laid { number, spi, front, .. } = laid;
        Sealing { frame, number, slot, spi, octets: octets as u32, front, sealed: false }
    }

    /// Whether the next packet is of the same SA.
    #[inline(always)]
    fn is_followed_by(&self, next: &Sealing<F>) -> bool {
        (self.slot, self.spi) == (next.slot, next.spi)
    }

    /// The SA that it was laid out under, if that is still there.
    #[inline(always)]
    pub(super) fn hot<'a>(&self, outbound: &'a OutboundTable) -> Option<&'a Hot> {
        outbound.hot(self.slot).filter(|hot| hot.spi() == self.spi)
    }

    /// The sequence number it took.
    #[inline(always)]
    pub const fn sequence(&self) -> u64 {
        self.number.get()
    }

    /// The SA that sends it.
    #[inline(always)]
    pub const fn spi(&self) -> Spi {
        self.spi
    }

    /// Octets of the inner packet.
    #[inline(always)]
    pub const fn octets(&self) -> u64 {
        self.octets as u64
    }
}

impl<F: Frame> Sealing<F> {
    /// The inner packet, as long as it is in clear.
    pub fn text(&self, framing: esp::Framing) -> &[u8] {
        let start = self.front.octets() + framing.front();
        self.frame.data().get(start..start + self.octets as usize).unwrap_or_default()
    }

    /// The ESP packet, from SPI to ICV, and whether it is encrypted.
    pub(super) fn esp_mut(&mut self) -> (&mut [u8], &mut bool) {
        let packet = self.frame.data_mut().get_mut(self.front.octets()..).unwrap_or_default();
        (packet, &mut self.sealed)
    }
}

/// What the graph knows of a packet that is to be laid out.
#[derive(Debug, Clone, Copy)]
pub struct Order {
    /// It leaves where its SA says ([`Hot::departs`]).
    pub departs: bool,
    /// Its hop is to be taken, of which it has one.
    pub hop: bool,
    /// Don't Fragment of the outer packet ([`Wrap::outer_df`]).
    pub dont_fragment: u16,
    /// IPv4 identification of the outer packet.
    pub id: u16,
}

/// Octets from the SPI to the text.
const ESP: usize = esp::Repr::LEN + IV_LEN;
/// Octets written in front of the text, whatever the outer packet needs of them.
const FRONT: usize = ROOM + ESP;

static BEHIND_V4: esp::Trailers = esp::Trailers::of(protocol::IPV4);
static BEHIND_V6: esp::Trailers = esp::Trailers::of(protocol::IPV6);

/// Takes a sequence number and lays link header, outer headers, IV and trailer around a packet (RFC 4303 §3.3.2,
/// §3.3.3), all at once: the link header where it is known how the packet `departs`; and takes the `hop` of a
/// packet that still has one to give. `id` is the IPv4 identification of the outer packet, unique among the
/// fragmentable packets of this machine for as long as can be (RFC 6864 §4.3).
#[inline(always)]
pub fn lay_out<F: Frame>(
    frame: &mut F,
    summary: &Summary,
    hot: &mut Hot,
    Order { departs, hop, dont_fragment, id }: Order,
) -> Result<Laid, Drop> {
    let (length, v4) = (summary.length(), summary.is_v4());
    let front = if departs { hot.wrap.front() } else { hot.wrap.front_unled().ok_or(Drop::NoRoom)? };
    let text_length = esp::text_length(length);
    // Room first: a number once taken must not be wasted, and a packet half built must not be sent.
    let out = frame.surround(FRONT, FRONT + text_length + ICV_LEN, ROOM - front.octets());
    let (headers, text) = out.and_then(<[u8]>::split_first_chunk_mut::<FRONT>).ok_or(Drop::NoRoom)?;
    let end = text.get_mut(length..).and_then(<[u8]>::first_chunk_mut).ok_or(Drop::NoRoom)?;
    *end = if v4 { &BEHIND_V4 } else { &BEHIND_V6 }.behind(length);
    if hop && !forward::take_hop_of(text, v4) {
        return Err(Drop::TtlExpired);
    }
    let (number, facts) = hot.number(length).map_err(stopped_reason)?;
    *headers.last_chunk_mut().ok_or(Drop::NoRoom)? = esp_header(hot.spi(), &number);
    let behind = ESP + text_length + ICV_LEN;
    let varying = Varying { class: summary.traffic_class(), dont_fragment, id, behind };
    headers.first_chunk_mut().and_then(|outer| hot.wrap.emit(outer, varying)).ok_or(Drop::NoRoom)?;
    if departs {
        depart(frame, hot);
    }
    Ok(Laid { number, spi: hot.spi(), front, facts })
}

/// A framed packet leaves where its SA knows.
#[inline(always)]
pub(super) fn depart<F: Frame>(frame: &mut F, hot: &Hot) {
    let (meta, Departure { port, vlan, .. }) = (frame.meta_mut(), hot.departure());
    (meta.port, meta.vlan) = (*port, *vlan);
}

/// Don't Fragment of the outer packet of one that was not asked whether it must pass.
pub fn dont_fragment(wrap: &Wrap, limits: InnerLimits, summary: &Summary) -> u16 {
    if limits.must_pass(summary) { 0 } else { wrap.outer_df(summary.dont_fragment_bit()) }
}

/// SPI, sequence number and IV: two words.
#[inline(always)]
pub(super) fn esp_header(spi: Spi, number: &Number) -> [u8; ESP] {
    let first = u128::from(spi.0) << 96 | u128::from(number.low()) << 64;
    (first | u128::from(u64::from_be_bytes(number.iv()))).to_be_bytes()
}

/// The drop reason of an SA that sends nothing more.
#[cold]
pub const fn stopped_reason(stopped: Stopped) -> Drop {
    match stopped {
        Stopped::Exhausted(_) => Drop::SequenceExhausted,
        Stopped::HardExpired(_) => Drop::LifetimeExpired,
    }
}

/// Encrypts each packet of AES-GCM in place and writes its ICV; others are left to [`super::apart::seal`]. Packets of one SA mostly
/// come in a row; it is looked up once for all of them.
pub fn seal<F: Frame>(sealings: &mut [Sealing<F>], outbound: &OutboundTable) {
    for burst in sealings.chunks_mut(BURST) {
        let (mut extended, mut lanes) = ([Aad::EMPTY; BURST], ArrayVec::new());
        let mut room = extended.iter_mut();
        for run in burst.chunk_by_mut(Sealing::is_followed_by) {
            let hot = run.first().and_then(|first| first.hot(outbound));
            let Some((hot, key)) = hot.and_then(|hot| Some((hot, hot.key()?))) else { continue };
            for (sealing, room) in run.iter_mut().zip(room.by_ref()) {
                add_lane(&mut lanes, sealing, (hot, key), room);
            }
        }
        seal_burst(&mut lanes);
    }
}

/// Lays out a packet for encryption under its SA.
#[inline(always)]
fn add_lane<'a, F: Frame>(
    lanes: &mut ArrayVec<Seal<'a>, BURST>,
    sealing: &'a mut Sealing<F>,
    (hot, key): (&'a Hot, &'a Key),
    room: &'a mut Aad,
) {
    let Sealing { frame, number, front, sealed, .. } = sealing;
    let Some((esp, text, tag)) = parts(frame.data_mut(), front.octets()) else { return };
    // Associated data are what the header shows, or with ESN a number longer than that (RFC 4106 §5).
    let aad = match hot.esn() {
        false => esp.as_slice(),
        true => {
            *room = hot.aad(number.get());
            room.as_bytes()
        }
    };
    lanes.push(Seal::new(key, number.nonce(hot.salt()), aad, text, tag));
    *sealed = true;
}

/// ESP header, text and ICV of an outer packet that has `front` octets in front of ESP.
#[inline(always)]
fn parts(
    packet: &mut [u8],
    front: usize,
) -> Option<(&mut [u8; esp::Repr::LEN], &mut [u8], &mut [u8; ICV_LEN])> {
    let (header, rest) = packet.get_mut(front..)?.split_first_chunk_mut::<ESP>()?;
    let (text, tag) = rest.split_last_chunk_mut()?;
    Some((header.first_chunk_mut()?, text, tag))
}

/// What only the ciphertext allows: over IPv6 UDP must have a checksum (RFC 8200 §8.1), because receivers
/// drop what has none.
#[inline]
pub fn finish<F: Frame>(sealing: &mut Sealing<F>) {
    if sealing.front.owes_checksum() {
        set_checksum(sealing.frame.data_mut().get_mut(sealing.front.link()..).unwrap_or_default());
    }
}

fn set_checksum(packet: &mut [u8]) {
    let Ok(header) = ipv6::Repr::parse(packet) else { return };
    let (source, destination) = (IpAddr::V6(header.source), IpAddr::V6(header.destination));
    if let Some(datagram) = packet.get_mut(ipv6::Repr::LEN..) {
        udp::set_checksum(source, destination, datagram);
    }
}
