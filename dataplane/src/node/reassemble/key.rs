//! What identifies a datagram, and what a fragment says of its place in it.

use super::Why;
use crate::net::{ipv4, ipv6};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::ops::Range;

/// Least payload of a first fragment that is not the last: a UDP and an ESP header. Every IPv4
/// link carries 48 octets behind a header (RFC 791 §3.2), so shorter ones are made on purpose.
const LEAST_FIRST: usize = 16;
/// Octets an IP datagram can have behind or with its header.
const LONGEST: usize = 65_535;

/// Fragments with one key belong together: (instance, source, destination, id, protocol), without
/// the protocol in IPv6, whose fragments may differ in it (RFC 8200 §4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// Instance the fragment arrived in.
    pub instance: u16,
    /// Who sent it.
    pub source: IpAddr,
    /// Where it goes.
    pub destination: IpAddr,
    /// IPv4 identification or that of the IPv6 fragment header.
    pub id: u32,
    /// IPv4 protocol; 0 in IPv6.
    pub protocol: u8,
}

impl Key {
    /// A keyed hash. With one seed at all workers, `hash % workers` chooses the worker that
    /// reassembles.
    pub fn hash(&self, seed: u64) -> u64 {
        keyed(seed, self)
    }

    /// The same over the source only.
    pub(super) fn source_hash(&self, seed: u64) -> u64 {
        keyed(!seed, &(self.instance, self.source))
    }
}

fn keyed(seed: u64, value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write_u64(seed);
    value.hash(&mut hasher);
    hasher.finish()
}

/// A fragment's place in its datagram and the whereabouts of its parts in the packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// The datagram.
    pub key: Key,
    /// Where the payload belongs, in octets.
    pub offset: usize,
    /// Others follow.
    pub more: bool,
    /// Octets of header that each fragment repeats.
    pub header: usize,
    /// Where the payload lies in the packet.
    pub payload: Range<usize>,
    /// What a whole IPv6 datagram says instead of "fragment": (where in the packet, value).
    pub next_header: Option<(usize, u8)>,
}

impl Fragment {
    /// Reads an IP packet; `None` if it is whole. IPv6 atomic fragments (RFC 6946) are fragments.
    pub fn read(instance: u16, packet: &[u8]) -> Result<Option<Fragment>, Why> {
        let fragment = match packet.first().map(|octet| octet >> 4) {
            Some(6) => Fragment::read_v6(instance, &ipv6::Header::parse(packet)?)?,
            _ => Fragment::read_v4(instance, &ipv4::Header::parse(packet)?),
        };
        fragment.map(Fragment::plausible).transpose()
    }

    fn read_v4(instance: u16, header: &ipv4::Header<'_>) -> Option<Fragment> {
        let key = Key {
            instance,
            source: header.source().into(),
            destination: header.destination().into(),
            id: u32::from(header.id()),
            protocol: header.protocol(),
        };
        header.is_fragment().then(|| Fragment {
            key,
            offset: header.fragment_offset(),
            more: header.more_fragments(),
            header: header.header_length(),
            payload: header.header_length()..header.header_length() + header.payload().len(),
            next_header: None,
        })
    }

    fn read_v6(instance: u16, header: &ipv6::Header<'_>) -> Result<Option<Fragment>, Why> {
        let Some(found) = header.chain()?.fragment else { return Ok(None) };
        let key = Key {
            instance,
            source: header.source().into(),
            destination: header.destination().into(),
            id: found.header.id,
            protocol: 0,
        };
        // Where the octet lies that names the fragment header: in the extension header before it,
        // else the fixed header's seventh.
        let named_at = found.next_header_at.map_or(6, |at| ipv6::Repr::LEN + at);
        let at = ipv6::Repr::LEN + found.offset;
        Ok(Some(Fragment {
            key,
            offset: usize::from(found.header.offset),
            more: found.header.more,
            header: at,
            payload: at + ipv6::Fragment::LEN..ipv6::Repr::LEN + header.payload().len(),
            next_header: Some((named_at, found.header.next_header)),
        }))
    }

    /// Refuses what cannot be part of any datagram.
    fn plausible(self) -> Result<Fragment, Why> {
        let length = self.payload.len();
        let ragged = self.more && !length.is_multiple_of(8);
        if length == 0 || ragged {
            return Err(Why::BadLength { length, offset: self.offset });
        }
        if self.offset == 0 && self.more && length < LEAST_FIRST {
            return Err(Why::Tiny { length });
        }
        match self.header + self.offset + length {
            whole if whole > LONGEST => Err(Why::TooLong { length: whole }),
            _ => Ok(self),
        }
    }
}
