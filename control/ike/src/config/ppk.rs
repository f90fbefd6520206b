//! Post-quantum preshared keys (RFC 8784): secrets that both sides have and that are mixed into the keys of an IKE SA, so
//! that who breaks its key exchange some day has nothing of its CHILD_SAs.

use core::fmt;
use std::sync::Arc;
use zeroize::Zeroizing;

/// What the octets of a [`PpkId`] are (RFC 8784 §5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PpkIdKind {
    /// PPK_ID_OPAQUE (1): what both sides agreed on, and nobody else can tell.
    Opaque,
    /// PPK_ID_FIXED (2): a name for one fixed PPK.
    Fixed,
    /// A kind we have no name for.
    Other(u8),
}

impl PpkIdKind {
    /// The number on the wire.
    pub fn number(self) -> u8 {
        match self {
            PpkIdKind::Opaque => 1,
            PpkIdKind::Fixed => 2,
            PpkIdKind::Other(number) => number,
        }
    }

    /// The kind for a number on the wire.
    pub fn from_number(number: u8) -> PpkIdKind {
        match number {
            1 => PpkIdKind::Opaque,
            2 => PpkIdKind::Fixed,
            other => PpkIdKind::Other(other),
        }
    }
}

/// The name of a PPK, as PPK_IDENTITY carries it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PpkId {
    /// What the octets are.
    pub kind: PpkIdKind,
    /// The octets, at least one.
    pub data: Vec<u8>,
}

/// Longest name taken from a peer, in octets: four times what can be configured.
const LONGEST: usize = 256;

impl PpkId {
    /// Its form on the wire: an octet for the kind, then the octets.
    pub fn octets(&self) -> Vec<u8> {
        [&[self.kind.number()], self.data.as_slice()].concat()
    }

    /// Reads that form; `None` if there are no octets, or too many.
    pub fn parse(octets: &[u8]) -> Option<PpkId> {
        let (kind, data) = octets.split_first()?;
        let id = PpkId { kind: PpkIdKind::from_number(*kind), data: data.to_vec() };
        (1..=LONGEST).contains(&data.len()).then_some(id)
    }
}

/// Octets of a name that are written out: a peer may send anything, and this goes into logs.
const WRITTEN: usize = 64;

impl fmt::Display for PpkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let written = self.data.get(..WRITTEN).unwrap_or(&self.data);
        write!(f, "{}", written.escape_ascii())?;
        if written.len() < self.data.len() { f.write_str("...") } else { Ok(()) }
    }
}

/// A PPK.
#[derive(Clone, PartialEq, Eq)]
pub struct Ppk {
    /// What both sides call it.
    pub id: PpkId,
    /// The secret, wiped on drop. RFC 8784 §6 asks for 256 bits of entropy.
    pub secret: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for Ppk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ppk({})", self.id)
    }
}

/// The PPKs of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ppks {
    /// The one we name when we call; `None` where we are only called.
    pub own: Option<Ppk>,
    /// Those a caller may name.
    pub accepted: Arc<[Ppk]>,
    /// No IKE SA comes up without one.
    pub required: bool,
}

impl Ppks {
    /// The PPK a caller names.
    pub fn find(&self, id: &PpkId) -> Option<&Ppk> {
        self.accepted.iter().find(|ppk| ppk.id == *id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every kind keeps its number; a name has at least one octet, and not without end.
    #[test]
    fn names_are_read_as_they_are_written() {
        for number in 0..=255 {
            let id = PpkId { kind: PpkIdKind::from_number(number), data: b"branch".to_vec() };
            assert_eq!(id.octets(), [&[number], &b"branch"[..]].concat());
            assert_eq!(PpkId::parse(&id.octets()), Some(id));
        }
        for bad in [vec![], vec![1], vec![2], vec![2; LONGEST + 2]] {
            assert_eq!(PpkId::parse(&bad), None, "{}", bad.len());
        }
        assert!(PpkId::parse(&[2; LONGEST + 1]).is_some());
    }

    /// A secret prints nothing, and a long name of a peer's little.
    #[test]
    fn what_is_shown_is_the_name() {
        let id = PpkId { kind: PpkIdKind::Fixed, data: vec![b'\n'; 5000] };
        assert_eq!(id.to_string(), format!("{}...", "\\n".repeat(WRITTEN)));
        let ppk = Ppk { id, secret: Zeroizing::new(b"hunter2".to_vec()) };
        assert!(!format!("{ppk:?}").contains("hunter2"));
    }
}
