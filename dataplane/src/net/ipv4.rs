//! IPv4 (RFC 791): view, owned form, and the few fields a gateway rewrites in place.
//!
//! The view's payload ends at Total Length, so Ethernet padding never reaches a caller.
//! The header checksum is not part of parsing: NICs check it, and [`Header::checksum_ok`]
//! does where they do not.

use super::{Layer, Malformed, checksum, fill, room, split};
use std::net::Ipv4Addr;

/// Don't Fragment in the word of flags and fragment offset.
pub const DONT_FRAGMENT: u16 = 1 << 14;

/// A checked IPv4 header and its payload.
#[derive(Clone, Copy, Debug)]
pub struct Header<'a> {
    fixed: &'a [u8; Repr::LEN],
    options: &'a [u8],
    payload: &'a [u8],
}

impl<'a> Header<'a> {
    /// Reads a whole packet: Total Length must lie within `bytes`.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Header<'a>, Malformed> {
        let header = Header::parse_quoted(bytes)?;
        let total = usize::from(header.total_length());
        let payload_length = header.payload_length();
        let have = bytes.len();
        let payload =
            header.payload.get(..payload_length).ok_or(Malformed::truncated(Layer::Ipv4, total, have))?;
        Ok(Header { payload, ..header })
    }

    /// Reads a packet that may be cut short, as ICMP errors quote it: the header must be whole,
    /// the payload is what there is.
    #[inline]
    pub fn parse_quoted(bytes: &'a [u8]) -> Result<Header<'a>, Malformed> {
        let (fixed, rest) = split::<{ Repr::LEN }>(Layer::Ipv4, bytes)?;
        let header_length = header_length(fixed)?;
        let (options, payload) = rest
            .split_at_checked(header_length - Repr::LEN)
            .ok_or(Malformed::truncated(Layer::Ipv4, header_length, bytes.len()))?;
        let header = Header { fixed, options, payload };
        let total = usize::from(header.total_length());
        if total < header_length {
            return Err(Malformed::Length { layer: Layer::Ipv4, field: "total length", found: total });
        }
        let payload = payload.get(..total - header_length).unwrap_or(payload);
        Ok(Header { payload, ..header })
    }

    const fn word(high: u8, low: u8) -> u16 {
        u16::from_be_bytes([high, low])
    }

    /// Octets of the header with options: 20..=60.
    #[inline]
    pub const fn header_length(&self) -> usize {
        Repr::LEN + self.options.len()
    }

    /// DSCP and ECN octet.
    pub const fn traffic_class(&self) -> u8 {
        self.fixed[1]
    }

    /// Octets of header and payload, as the field says.
    pub const fn total_length(&self) -> u16 {
        Self::word(self.fixed[2], self.fixed[3])
    }

    const fn payload_length(&self) -> usize {
        (self.total_length() as usize).saturating_sub(self.header_length())
    }

    /// Identification, which ties fragments together.
    pub const fn id(&self) -> u16 {
        Self::word(self.fixed[4], self.fixed[5])
    }

    const fn flags(&self) -> u16 {
        Self::word(self.fixed[6], self.fixed[7])
    }

    /// Don't Fragment.
    pub const fn dont_fragment(&self) -> bool {
        self.flags() & DONT_FRAGMENT != 0
    }

    /// More Fragments.
    pub const fn more_fragments(&self) -> bool {
        self.flags() & 0x2000 != 0
    }

    /// Fragment offset in octets, a multiple of 8.
    pub const fn fragment_offset(&self) -> usize {
        (self.flags() & 0x1fff) as usize * 8
    }

    /// Whether this is a piece of a datagram rather than a whole one.
    pub const fn is_fragment(&self) -> bool {
        self.flags() & 0x3fff != 0
    }

    /// Time to live.
    pub const fn ttl(&self) -> u8 {
        self.fixed[8]
    }

    /// Protocol of the payload.
    pub const fn protocol(&self) -> u8 {
        self.fixed[9]
    }

    /// Who sent it.
    pub const fn source(&self) -> Ipv4Addr {
        let f = self.fixed;
        Ipv4Addr::new(f[12], f[13], f[14], f[15])
    }

    /// Where it goes.
    pub const fn destination(&self) -> Ipv4Addr {
        let f = self.fixed;
        Ipv4Addr::new(f[16], f[17], f[18], f[19])
    }

    /// Options, with padding.
    pub const fn options(&self) -> &'a [u8] {
        self.options
    }

    /// What the header carries, up to Total Length.
    pub const fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// Whether the header agrees with its checksum.
    #[inline]
    pub fn checksum_ok(&self) -> bool {
        let mut sum = checksum::Sum::new();
        sum.add(self.fixed);
        sum.add(self.options);
        sum.is_valid()
    }
}

fn header_length(fixed: &[u8; Repr::LEN]) -> Result<usize, Malformed> {
    let (version, words) = (fixed[0] >> 4, usize::from(fixed[0] & 0x0f));
    if version != 4 {
        return Err(Malformed::Field { layer: Layer::Ipv4, field: "version", found: u32::from(version) });
    }
    if words < 5 {
        return Err(Malformed::Length { layer: Layer::Ipv4, field: "IHL", found: words });
    }
    Ok(words * 4)
}

/// An IPv4 header without options, by value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repr {
    /// DSCP and ECN octet.
    pub traffic_class: u8,
    /// Octets of header and payload.
    pub total_length: u16,
    /// Identification.
    pub id: u16,
    /// Don't Fragment.
    pub dont_fragment: bool,
    /// More Fragments.
    pub more_fragments: bool,
    /// Fragment offset in octets; the low three bits are dropped.
    pub fragment_offset: u16,
    /// Time to live.
    pub ttl: u8,
    /// Protocol of the payload.
    pub protocol: u8,
    /// Who sends it.
    pub source: Ipv4Addr,
    /// Where it goes.
    pub destination: Ipv4Addr,
}

impl From<&Header<'_>> for Repr {
    fn from(header: &Header<'_>) -> Repr {
        Repr {
            traffic_class: header.traffic_class(),
            total_length: header.total_length(),
            id: header.id(),
            dont_fragment: header.dont_fragment(),
            more_fragments: header.more_fragments(),
            fragment_offset: header.fragment_offset() as u16,
            ttl: header.ttl(),
            protocol: header.protocol(),
            source: header.source(),
            destination: header.destination(),
        }
    }
}

impl Repr {
    /// Octets of a header without options.
    pub const LEN: usize = 20;

    /// Reads a whole packet's header; options are left out.
    pub fn parse(bytes: &[u8]) -> Result<Repr, Malformed> {
        Ok(Repr::from(&Header::parse(bytes)?))
    }

    /// Writes the header, checksum included, to the start of `out`.
    #[inline]
    pub fn emit(&self, out: &mut [u8]) -> Result<(), Malformed> {
        let out = room::<{ Repr::LEN }>(Layer::Ipv4, out)?;
        let flags = if self.dont_fragment { DONT_FRAGMENT } else { 0 } | u16::from(self.more_fragments) << 13;
        let parts: [&[u8]; 8] = [
            &[0x45, self.traffic_class],
            &self.total_length.to_be_bytes(),
            &self.id.to_be_bytes(),
            &(flags | self.fragment_offset >> 3).to_be_bytes(),
            &[self.ttl, self.protocol],
            &[0, 0],
            &self.source.octets(),
            &self.destination.octets(),
        ];
        fill(out, &parts);
        let sum = checksum::internet(out);
        [out[10], out[11]] = sum.to_be_bytes();
        Ok(())
    }
}

/// Whether a header of `length` octets at the start of `packet` agrees with its checksum: for callers that
/// have read the packet already. Words are summed as they lie, which one's-complement sums allow
/// (RFC 1071 §2 (B)).
#[inline]
pub fn is_intact(packet: &[u8], length: usize) -> bool {
    if length != Repr::LEN {
        return packet.get(..length).is_some_and(|header| checksum::internet(header) == 0);
    }
    let Some(fixed) = packet.first_chunk::<{ Repr::LEN }>() else { return false };
    let (words, _) = fixed.as_chunks::<4>();
    let sum: u64 = words.iter().map(|word| u64::from(u32::from_ne_bytes(*word))).sum();
    let once = (sum & 0xffff_ffff) + (sum >> 32);
    let twice = (once & 0xffff) + (once >> 16 & 0xffff) + (once >> 32);
    (twice & 0xffff) + (twice >> 16) == 0xffff
}

/// Rewrites one 16-bit word of a header in place and keeps its checksum right.
#[inline]
fn rewrite(fixed: &mut [u8; Repr::LEN], new: [u8; 2], at: impl Fn(&mut [u8; Repr::LEN]) -> [&mut u8; 2]) {
    let sum = u16::from_be_bytes([fixed[10], fixed[11]]);
    let [high, low] = at(fixed);
    let old = u16::from_be_bytes([*high, *low]);
    (*high, *low) = (new[0], new[1]);
    let sum = checksum::adjusted(sum, old, u16::from_be_bytes(new));
    [fixed[10], fixed[11]] = sum.to_be_bytes();
}

/// Makes a header of `header` octets one that `protocol` follows, up to the end of `packet`, and its checksum anew. `None`
/// (and no change) when there is no such header, or the packet is longer than one can be.
pub fn carry(packet: &mut [u8], header: usize, protocol: u8) -> Option<()> {
    let total = u16::try_from(packet.len()).ok()?.to_be_bytes();
    let octets = packet.get_mut(..header)?;
    let fixed = octets.first_chunk_mut::<{ Repr::LEN }>()?;
    ([fixed[2], fixed[3]], fixed[9], [fixed[10], fixed[11]]) = (total, protocol, [0, 0]);
    let sum = checksum::internet(octets).to_be_bytes();
    let fixed = octets.first_chunk_mut::<{ Repr::LEN }>()?;
    [fixed[10], fixed[11]] = sum;
    Some(())
}

/// Takes one hop from the time to live; the new value, or `None` (packet untouched) where it
/// was 0 or 1 and the packet may not be forwarded (RFC 1812 §5.3.1).
#[inline(always)]
pub fn decrement_ttl(packet: &mut [u8]) -> Option<u8> {
    // Time to live, protocol and checksum are one word.
    let (_, rest) = packet.first_chunk_mut::<{ Repr::LEN }>()?.split_first_chunk_mut::<8>()?;
    let word = rest.first_chunk_mut::<4>()?;
    let old = u32::from_be_bytes(*word);
    if old >> 24 <= 1 {
        return None;
    }
    // RFC 1624 §3 eqn. 3, where new and old word differ by 0x100 whatever they are.
    let sum = (!old & 0xffff) + 0xfeff;
    let sum = !((sum & 0xffff) + (sum >> 16)) & 0xffff;
    let new = (old - 0x0100_0000) & 0xffff_0000 | sum;
    *word = new.to_be_bytes();
    Some((new >> 24) as u8)
}

/// Replaces DSCP and ECN. A packet shorter than a header is left alone.
#[inline]
pub fn set_traffic_class(packet: &mut [u8], class: u8) {
    if let Some(fixed) = packet.first_chunk_mut::<{ Repr::LEN }>() {
        let new = [fixed[0], class];
        rewrite(fixed, new, |[a, b, ..]| [a, b]);
    }
}

/// Clears Don't Fragment. A packet shorter than a header is left alone.
#[inline]
pub fn clear_dont_fragment(packet: &mut [u8]) {
    if let Some(fixed) = packet.first_chunk_mut::<{ Repr::LEN }>() {
        let new = [fixed[6] & !0x40, fixed[7]];
        rewrite(fixed, new, |[_, _, _, _, _, _, a, b, ..]| [a, b]);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::net::testing::refuses_truncation;
    use proptest::prelude::*;

    prop_compose! {
        /// Any header without options; `total_length` covers `payload` octets.
        pub fn any_repr(payload: u16)(
            traffic_class: u8, id: u16, dont_fragment: bool, more_fragments: bool, offset in 0u16..8192,
            ttl: u8, protocol: u8, source: [u8; 4], destination: [u8; 4],
        ) -> Repr {
            Repr {
                traffic_class, total_length: 20 + payload, id, dont_fragment, more_fragments,
                fragment_offset: offset * 8, ttl, protocol, source: source.into(), destination: destination.into(),
            }
        }
    }

    fn packet(repr: &Repr) -> Vec<u8> {
        let mut bytes = vec![0xa5; usize::from(repr.total_length)];
        repr.emit(&mut bytes).unwrap();
        bytes
    }

    proptest! {
        #[test]
        fn round_trip(repr in any_repr(13)) {
            let bytes = packet(&repr);
            prop_assert_eq!(Repr::parse(&bytes), Ok(repr));
            prop_assert!(Header::parse(&bytes).unwrap().checksum_ok());
            prop_assert!(is_intact(&bytes, Repr::LEN));
            for octet in 0..Repr::LEN {
                for bit in 0..8 {
                    let mut bad = bytes.clone();
                    bad[octet] ^= 1 << bit;
                    prop_assert!(!is_intact(&bad, Repr::LEN));
                }
            }
            refuses_truncation(&bytes, bytes.len(), Repr::parse);
            refuses_truncation(&bytes, Repr::LEN, |cut| Header::parse_quoted(cut).map(|_| ()));
        }

        #[test]
        fn rewriting_in_place_keeps_the_checksum(repr in any_repr(0), class: u8) {
            let mut bytes = packet(&repr);
            set_traffic_class(&mut bytes, class);
            clear_dont_fragment(&mut bytes);
            let ttl = decrement_ttl(&mut bytes);
            let header = Header::parse(&bytes).unwrap();
            prop_assert!(header.checksum_ok());
            prop_assert_eq!(header.traffic_class(), class);
            prop_assert!(!header.dont_fragment());
            prop_assert_eq!(ttl, (repr.ttl > 1).then(|| repr.ttl - 1));
            prop_assert_eq!(header.ttl(), ttl.unwrap_or(repr.ttl));
        }

        #[test]
        fn arbitrary_octets_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            if let Ok(header) = Header::parse(&bytes) {
                prop_assert!(header.header_length() + header.payload().len() <= bytes.len());
            }
        }
    }

    #[test]
    fn padding_after_total_length_is_not_payload() {
        let repr = Repr {
            traffic_class: 0,
            total_length: 22,
            id: 1,
            dont_fragment: true,
            more_fragments: false,
            fragment_offset: 0,
            ttl: 64,
            protocol: 17,
            source: [10, 0, 0, 1].into(),
            destination: [10, 0, 0, 2].into(),
        };
        let mut bytes = packet(&repr);
        bytes.extend([0; 24]);
        assert_eq!(Header::parse(&bytes).unwrap().payload(), &[0xa5, 0xa5]);
    }
}
