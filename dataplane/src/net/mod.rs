//! Headers as they lie on the wire, one per file.
//!
//! Each file has a borrowed view (`Header<'a>`) whose only constructor checks every length, so
//! its accessors cannot fail, and an owned `Repr` that parses and emits. Nothing here decides
//! what happens to a packet: a caller turns [`Malformed`] into a drop reason.

pub mod arp;
pub mod checksum;
pub mod esp;
pub mod eth;
pub mod flow;
pub mod gre;
pub mod icmp;
pub mod ipv4;
pub mod ipv6;
pub mod tcp;
pub mod udp;
pub mod vlan;

/// Which header a [`Malformed`] speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Layer {
    /// Ethernet II.
    Eth,
    /// IEEE 802.1Q tag.
    Vlan,
    /// ARP for IPv4 over Ethernet.
    Arp,
    /// IPv4.
    Ipv4,
    /// IPv6 fixed header.
    Ipv6,
    /// An IPv6 extension header.
    Ipv6Extension,
    /// UDP.
    Udp,
    /// TCP.
    Tcp,
    /// ESP header, IV, trailer or ICV.
    Esp,
    /// GRE.
    Gre,
    /// ICMP or ICMPv6.
    Icmp,
}

/// Why bytes are not the header they claim to be. The sender of the packet is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Malformed {
    /// Fewer octets than the header, or than a length inside it, asks for.
    #[error("{layer:?} needs {need} octets, the packet has {have}")]
    Truncated {
        /// Header that does not fit.
        layer: Layer,
        /// Octets it needs.
        need: usize,
        /// Octets there are.
        have: usize,
    },
    /// A version, hardware type or reserved field with a value this header does not have.
    #[error("{layer:?} field `{field}` is {found}, which is not this header")]
    Field {
        /// Header read.
        layer: Layer,
        /// Name of the field in its RFC.
        field: &'static str,
        /// Value found.
        found: u32,
    },
    /// A length field that contradicts the header around it.
    #[error("{layer:?} length field `{field}` is {found}, outside its header")]
    Length {
        /// Header read.
        layer: Layer,
        /// Name of the field in its RFC.
        field: &'static str,
        /// Value found.
        found: usize,
    },
    /// More extension headers, or octets in them, than [`ipv6::MAX_EXTENSIONS`] and
    /// [`ipv6::MAX_EXTENSION_OCTETS`] allow.
    #[error("IPv6 extension header chain longer than we follow")]
    ChainTooLong,
}

impl Malformed {
    pub(crate) const fn truncated(layer: Layer, need: usize, have: usize) -> Malformed {
        Malformed::Truncated { layer, need, have }
    }
}

/// IP protocol numbers this gateway reads (IANA "Protocol Numbers").
pub mod protocol {
    /// IPv6 hop-by-hop options.
    pub const HOP_BY_HOP: u8 = 0;
    /// ICMP for IPv4.
    pub const ICMP: u8 = 1;
    /// IPv4 in IP.
    pub const IPV4: u8 = 4;
    /// TCP.
    pub const TCP: u8 = 6;
    /// UDP.
    pub const UDP: u8 = 17;
    /// IPv6 in IP.
    pub const IPV6: u8 = 41;
    /// IPv6 routing header.
    pub const ROUTING: u8 = 43;
    /// IPv6 fragment header.
    pub const FRAGMENT: u8 = 44;
    /// GRE.
    pub const GRE: u8 = 47;
    /// ESP.
    pub const ESP: u8 = 50;
    /// AH.
    pub const AH: u8 = 51;
    /// ICMP for IPv6.
    pub const ICMPV6: u8 = 58;
    /// No next header; inside ESP a dummy packet (RFC 4303 §2.6).
    pub const NONE: u8 = 59;
    /// IPv6 destination options.
    pub const DESTINATION: u8 = 60;
    /// SCTP.
    pub const SCTP: u8 = 132;
    /// IPv6 mobility header.
    pub const MOBILITY: u8 = 135;
}

/// The first `N` octets as an array and the rest, or `Truncated`.
#[inline(always)]
pub(crate) fn split<const N: usize>(layer: Layer, bytes: &[u8]) -> Result<(&[u8; N], &[u8]), Malformed> {
    bytes.split_first_chunk().ok_or(Malformed::truncated(layer, N, bytes.len()))
}

/// The first `N` octets of an output buffer, or `Truncated`.
#[inline(always)]
pub(crate) fn room<const N: usize>(layer: Layer, out: &mut [u8]) -> Result<&mut [u8; N], Malformed> {
    let have = out.len();
    out.first_chunk_mut().ok_or(Malformed::truncated(layer, N, have))
}

/// Copies `parts` one after another to the start of `out`; from the first part that does not fit on, all
/// are left out, so callers pass a buffer of the summed length. Parts of known lengths become plain stores.
#[inline(always)]
pub(crate) fn fill(out: &mut [u8], parts: &[&[u8]]) {
    let mut left = out;
    for part in parts {
        let Some((place, rest)) = left.split_at_mut_checked(part.len()) else { return };
        place.copy_from_slice(part);
        left = rest;
    }
}

#[cfg(test)]
pub(crate) mod testing {
    //! What every codec test asks.

    /// `parse` fails on every strict prefix of `whole` shorter than `need`, and never panics.
    pub fn refuses_truncation<T, E>(whole: &[u8], need: usize, parse: impl Fn(&[u8]) -> Result<T, E>) {
        for length in 0..whole.len() {
            let result = parse(&whole[..length]);
            assert!(length >= need || result.is_err(), "accepted {length} of {need} octets");
        }
    }
}
