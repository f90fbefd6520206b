//! TCP (RFC 9293): ports, flags, and the MSS option a gateway lowers (RFC 6691).

use super::{Layer, Malformed, checksum, fill, room, split};

/// Flag bits, as in octet 13 of the header.
pub mod flag {
    /// No more data from sender.
    pub const FIN: u8 = 0x01;
    /// Synchronize sequence numbers.
    pub const SYN: u8 = 0x02;
    /// Reset the connection.
    pub const RST: u8 = 0x04;
    /// The acknowledgement field counts.
    pub const ACK: u8 = 0x10;
}

const OPTION_END: u8 = 0;
const OPTION_NOP: u8 = 1;
const OPTION_MSS: u8 = 2;

/// A checked TCP header and its payload.
#[derive(Clone, Copy, Debug)]
pub struct Header<'a> {
    fixed: &'a [u8; Repr::LEN],
    options: &'a [u8],
    payload: &'a [u8],
}

impl<'a> Header<'a> {
    /// Reads a segment: Data Offset must lie within `bytes`.
    pub fn parse(bytes: &'a [u8]) -> Result<Header<'a>, Malformed> {
        let (fixed, rest) = split::<{ Repr::LEN }>(Layer::Tcp, bytes)?;
        let length = usize::from(fixed[12] >> 4) * 4;
        let options_length = length.checked_sub(Repr::LEN).ok_or(Malformed::Length {
            layer: Layer::Tcp,
            field: "data offset",
            found: length,
        })?;
        let (options, payload) = rest.split_at_checked(options_length).ok_or(Malformed::truncated(
            Layer::Tcp,
            length,
            bytes.len(),
        ))?;
        Ok(Header { fixed, options, payload })
    }

    /// Port it came from.
    pub const fn source(&self) -> u16 {
        u16::from_be_bytes([self.fixed[0], self.fixed[1]])
    }

    /// Port it goes to.
    pub const fn destination(&self) -> u16 {
        u16::from_be_bytes([self.fixed[2], self.fixed[3]])
    }

    /// Sequence number of the first octet.
    pub const fn sequence(&self) -> u32 {
        u32::from_be_bytes([self.fixed[4], self.fixed[5], self.fixed[6], self.fixed[7]])
    }

    /// Flag bits ([`flag`]).
    pub const fn flags(&self) -> u8 {
        self.fixed[13]
    }

    /// Options, with padding.
    pub const fn options(&self) -> &'a [u8] {
        self.options
    }

    /// What the segment carries.
    pub const fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// The MSS option: where its value lies (octets from the start of the segment) and what it is.
    pub fn mss(&self) -> Option<(usize, u16)> {
        let at = mss_value_at(self.options)?;
        let value = self.options.get(at..)?.first_chunk()?;
        Some((Repr::LEN + at, u16::from_be_bytes(*value)))
    }
}

/// Where the MSS value lies in a list of options; malformed options end the search.
fn mss_value_at(options: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        match options.get(at..)? {
            [OPTION_NOP, ..] => at += 1,
            [OPTION_MSS, 4, _, _, ..] => return Some(at + 2),
            [] | [OPTION_END, ..] | [_] | [_, 0 | 1, ..] => return None,
            [_, length, ..] => at += usize::from(*length),
        }
    }
}

/// Lowers the MSS of a SYN to at most `limit` and fixes the checksum (DP-33: only ever lowers).
/// `segment` starts at the TCP header; anything but a well-formed SYN with a larger MSS is left
/// alone. Returns whether it changed.
pub fn lower_mss(segment: &mut [u8], limit: u16) -> bool {
    let Ok(header) = Header::parse(segment) else { return false };
    let Some((at, value)) = header.mss().filter(|_| header.flags() & flag::SYN != 0) else { return false };
    if value <= limit {
        return false;
    }
    replace_word(segment, at, limit)
}

/// Replaces the 16 bits at `at`, which may lie at an odd offset, and updates the checksum.
fn replace_word(segment: &mut [u8], at: usize, new: u16) -> bool {
    // An odd offset makes the two octets halves of two different words; swapping both values
    // gives the same difference (RFC 1071 §2 (B), byte order independence).
    let swap = |word: u16| if at % 2 == 1 { word.swap_bytes() } else { word };
    let Some(place) = segment.get_mut(at..).and_then(<[u8]>::first_chunk_mut::<2>) else { return false };
    let old = u16::from_be_bytes(*place);
    *place = new.to_be_bytes();
    let Some(fixed) = segment.first_chunk_mut::<{ Repr::LEN }>() else { return false };
    let sum = u16::from_be_bytes([fixed[16], fixed[17]]);
    [fixed[16], fixed[17]] = checksum::adjusted(sum, swap(old), swap(new)).to_be_bytes();
    true
}

/// A TCP header without options, by value (tests and resets).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repr {
    /// Port it comes from.
    pub source: u16,
    /// Port it goes to.
    pub destination: u16,
    /// Sequence number.
    pub sequence: u32,
    /// Acknowledgement number.
    pub acknowledgement: u32,
    /// Flag bits.
    pub flags: u8,
    /// Receive window.
    pub window: u16,
    /// Checksum field.
    pub checksum: u16,
}

impl Repr {
    /// Octets of a header without options.
    pub const LEN: usize = 20;

    /// Reads a segment's header; options are left out.
    pub fn parse(bytes: &[u8]) -> Result<Repr, Malformed> {
        let header = Header::parse(bytes)?;
        let f = header.fixed;
        Ok(Repr {
            source: header.source(),
            destination: header.destination(),
            sequence: header.sequence(),
            acknowledgement: u32::from_be_bytes([f[8], f[9], f[10], f[11]]),
            flags: header.flags(),
            window: u16::from_be_bytes([f[14], f[15]]),
            checksum: u16::from_be_bytes([f[16], f[17]]),
        })
    }

    /// Writes the header (data offset 5, no urgent pointer) to the start of `out`.
    pub fn emit(&self, out: &mut [u8]) -> Result<(), Malformed> {
        let out = room::<{ Repr::LEN }>(Layer::Tcp, out)?;
        let parts: [&[u8]; 8] = [
            &self.source.to_be_bytes(),
            &self.destination.to_be_bytes(),
            &self.sequence.to_be_bytes(),
            &self.acknowledgement.to_be_bytes(),
            &[0x50, self.flags],
            &self.window.to_be_bytes(),
            &self.checksum.to_be_bytes(),
            &[0, 0],
        ];
        fill(out, &parts);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::{protocol, testing::refuses_truncation};
    use proptest::prelude::*;

    fn with_options(flags: u8, options: &[u8]) -> Vec<u8> {
        let repr = Repr {
            source: 1,
            destination: 2,
            sequence: 3,
            acknowledgement: 4,
            flags,
            window: 5,
            checksum: 0,
        };
        let mut bytes = vec![0; Repr::LEN];
        repr.emit(&mut bytes).unwrap();
        bytes.extend(options);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes[12] = ((bytes.len() / 4) << 4) as u8;
        bytes
    }

    proptest! {
        #[test]
        fn round_trip(source: u16, destination: u16, sequence: u32, acknowledgement: u32, flags: u8, window: u16, checksum: u16) {
            let repr = Repr { source, destination, sequence, acknowledgement, flags, window, checksum };
            let mut bytes = [0; Repr::LEN];
            repr.emit(&mut bytes).unwrap();
            prop_assert_eq!(Repr::parse(&bytes), Ok(repr));
            refuses_truncation(&bytes, Repr::LEN, Repr::parse);
        }

        #[test]
        fn arbitrary_options_never_panic(options in proptest::collection::vec(any::<u8>(), 0..40), limit: u16) {
            let mut bytes = with_options(flag::SYN, &options);
            let _ = lower_mss(&mut bytes, limit);
        }

        #[test]
        fn lowering_keeps_the_checksum_at_any_alignment(nops in 0usize..8, mss: u16, limit: u16) {
            let mut options = vec![OPTION_NOP; nops];
            options.extend([OPTION_MSS, 4]);
            options.extend(mss.to_be_bytes());
            let mut bytes = with_options(flag::SYN, &options);
            let (a, b) = ("fd00::1".parse().unwrap(), "fd00::2".parse().unwrap());
            let sum = checksum::transport(a, b, protocol::TCP, &bytes);
            bytes[16..18].copy_from_slice(&sum.to_be_bytes());
            prop_assert_eq!(lower_mss(&mut bytes, limit), mss > limit);
            prop_assert_eq!(Header::parse(&bytes).unwrap().mss().unwrap().1, mss.min(limit));
            prop_assert!(checksum::transport_ok(a, b, protocol::TCP, &bytes));
        }
    }

    #[test]
    fn only_syn_is_lowered() {
        let mut bytes = with_options(flag::ACK, &[OPTION_MSS, 4, 0xff, 0xff]);
        assert!(!lower_mss(&mut bytes, 1000));
    }
}
