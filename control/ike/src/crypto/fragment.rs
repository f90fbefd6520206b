//! Putting the fragments of one message together (RFC 7383 §2.6).
//!
//! Only authenticated fragments get in, so what a stranger can make us hold is nothing, and what the
//! peer can is one message of each direction, within the limit given. The engine owns one
//! [`Reassembly`] for requests and one for responses, and the timeout after which it clears it.

use super::{Secret, Unsealed};
use crate::wire::{Header, ParseError, PayloadType, SealedFragment, limits};

/// One authenticated piece of a message; made by [`super::Protection::open_fragment`].
#[derive(Debug, Clone)]
pub struct Fragment {
    pub(super) header: Header,
    pub(super) first: PayloadType,
    pub(super) number: u16,
    pub(super) total: u16,
    pub(super) content: Secret,
}

/// Why a fragment is of no use. Not an error: the network repeats and reorders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unwanted {
    /// It is here already.
    #[error("fragment {number} of {total} is here already")]
    Duplicate {
        /// Its Fragment Number.
        number: u16,
        /// Total Fragments.
        total: u16,
    },
    /// It belongs to an earlier sending with fewer, larger fragments.
    #[error("fragment of {total}, while {expected} are being collected")]
    FewerInTotal {
        /// Total Fragments of this one.
        total: u16,
        /// Total Fragments of those collected.
        expected: u16,
    },
    /// Its header differs from that of the fragments collected.
    #[error("fragment with another exchange type or direction than those collected")]
    OtherHeader,
}

/// What became of a fragment.
#[derive(Debug, PartialEq, Eq)]
pub enum Progress {
    /// Thrown away.
    Ignored(Unwanted),
    /// Kept; the message is not complete.
    Waiting {
        /// Fragments here.
        have: u16,
        /// Fragments in all.
        total: u16,
    },
    /// It was the last: here is the message.
    Complete(Unsealed),
}

/// The fragments of at most one message.
#[derive(Debug)]
pub struct Reassembly {
    limit: usize,
    /// In a box: an IKE SA has two of these, and hardly ever anything in them.
    partial: Option<Box<Partial>>,
}

#[derive(Debug)]
struct Partial {
    header: Header,
    total: u16,
    first: PayloadType,
    pieces: Vec<Option<Secret>>,
    octets: usize,
}

impl Reassembly {
    /// With nothing collected, and for messages of at most `limit` octets of payloads; more than
    /// [`limits::MESSAGE_OCTETS`] are never taken.
    pub fn new(limit: usize) -> Self {
        Self { limit: limit.min(limits::MESSAGE_OCTETS), partial: None }
    }

    /// Forgets what was collected, as at the timeout.
    pub fn clear(&mut self) {
        self.partial = None;
    }

    /// The message ID being collected, with fragments here and in all.
    pub fn pending(&self) -> Option<(u32, u16, u16)> {
        self.partial.as_ref().map(|partial| (partial.header.message_id, partial.have(), partial.total))
    }

    /// Whether the fragment is worth decrypting. The caller has checked that its message ID is one
    /// it waits for.
    pub fn admits(&self, fragment: &SealedFragment) -> Result<(), Unwanted> {
        self.judge(fragment.sealed().header(), fragment.number(), fragment.total())
    }

    /// Adds an authenticated fragment. After `Complete` or an error nothing is kept.
    pub fn insert(&mut self, fragment: Fragment) -> Result<Progress, ParseError> {
        if let Err(unwanted) = self.judge(&fragment.header, fragment.number, fragment.total) {
            return Ok(Progress::Ignored(unwanted));
        }
        let mut partial = match self.partial.take() {
            Some(partial) if partial.continues(&fragment) => partial,
            // Another message; or more fragments in total than before: the peer has sent it anew in
            // smaller pieces, and those received so far are to be discarded (RFC 7383 §2.6).
            _ => Box::new(Partial::new(&fragment)),
        };
        partial.add(fragment, self.limit)?;
        let (have, total) = (partial.have(), partial.total);
        if have == total {
            return partial.finish().map(Progress::Complete);
        }
        self.partial = Some(partial);
        Ok(Progress::Waiting { have, total })
    }

    fn judge(&self, header: &Header, number: u16, total: u16) -> Result<(), Unwanted> {
        let Some(partial) = self.partial.as_ref().filter(|partial| partial.is_of(header)) else {
            return Ok(());
        };
        let expected = partial.total;
        match total.cmp(&expected) {
            _ if !partial.same_header(header) => Err(Unwanted::OtherHeader),
            std::cmp::Ordering::Less => Err(Unwanted::FewerInTotal { total, expected }),
            std::cmp::Ordering::Equal if partial.holds(number) => Err(Unwanted::Duplicate { number, total }),
            _ => Ok(()),
        }
    }
}

impl Partial {
    fn new(fragment: &Fragment) -> Self {
        let (header, total) = (fragment.header, fragment.total);
        let pieces = vec![None; usize::from(total)];
        Self { header, total, first: PayloadType::None, pieces, octets: 0 }
    }

    fn is_of(&self, header: &Header) -> bool {
        self.header.message_id == header.message_id
    }

    fn same_header(&self, header: &Header) -> bool {
        self.header.exchange == header.exchange && self.header.flags == header.flags
    }

    fn continues(&self, fragment: &Fragment) -> bool {
        self.is_of(&fragment.header) && self.total == fragment.total
    }

    fn holds(&self, number: u16) -> bool {
        self.slot(number).is_some_and(|slot| self.pieces.get(slot).is_some_and(Option::is_some))
    }

    fn slot(&self, number: u16) -> Option<usize> {
        usize::from(number).checked_sub(1)
    }

    fn have(&self) -> u16 {
        self.pieces.iter().flatten().fold(0, |count, _| count.saturating_add(1))
    }

    fn add(&mut self, fragment: Fragment, limit: usize) -> Result<(), ParseError> {
        self.octets = self.octets.saturating_add(fragment.content.len());
        if self.octets > limit {
            return Err(ParseError::BadLength { what: "reassembled message", length: self.octets });
        }
        if fragment.number == 1 {
            self.first = fragment.first;
        }
        let slot = self.slot(fragment.number).and_then(|slot| self.pieces.get_mut(slot));
        let wrong = ParseError::BadValue { what: "fragment number", value: u32::from(fragment.number) };
        *slot.ok_or(wrong)? = Some(fragment.content);
        Ok(())
    }

    fn finish(self) -> Result<Unsealed, ParseError> {
        let content: Secret = zeroize::Zeroizing::new(
            self.pieces.iter().flatten().flat_map(|piece| piece.iter().copied()).collect(),
        );
        Unsealed::parse(self.header, self.first, content)
    }
}

#[cfg(test)]
#[path = "fragment_tests.rs"]
mod tests;
