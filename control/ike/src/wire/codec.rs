//! A cursor to read big-endian fields without a chance to step outside, and the length fields of
//! what is written. Used by every payload of this room.

use super::error::{EmitError, ParseError};

/// The unread rest of one element, named for its errors.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    what: &'static str,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(what: &'static str, bytes: &'a [u8]) -> Self {
        Self { what, rest: bytes }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next `count` octets.
    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], ParseError> {
        let (head, rest) = self.rest.split_at_checked(count).ok_or(self.truncated(count))?;
        self.rest = rest;
        Ok(head)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], ParseError> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or(self.truncated(N))?;
        self.rest = rest;
        Ok(*head)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, ParseError> {
        self.array::<1>().map(|[octet]| octet)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, ParseError> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, ParseError> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, ParseError> {
        self.array().map(u64::from_be_bytes)
    }

    /// Everything that is left.
    pub(crate) fn remainder(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    /// A sub-element of `length` octets of which `read` (its own header) are behind us already.
    pub(crate) fn element(
        &mut self,
        what: &'static str,
        length: u16,
        read: usize,
    ) -> Result<Reader<'a>, ParseError> {
        let length = usize::from(length);
        let body = length.checked_sub(read).ok_or(ParseError::BadLength { what, length })?;
        self.take(body).map(|bytes| Reader::new(what, bytes))
    }

    /// Refuses octets that nobody read.
    pub(crate) fn finish(self) -> Result<(), ParseError> {
        match self.rest.len() {
            0 => Ok(()),
            count => Err(ParseError::Trailing { what: self.what, count }),
        }
    }

    fn truncated(&self, need: usize) -> ParseError {
        ParseError::Truncated { what: self.what, need, have: self.rest.len() }
    }
}

/// `items` plus `item`, refused past `limit`.
pub(crate) fn push_limited<T>(
    items: &mut Vec<T>,
    item: T,
    what: &'static str,
    limit: usize,
) -> Result<(), ParseError> {
    if items.len() >= limit {
        return Err(ParseError::TooMany { what, limit });
    }
    items.push(item);
    Ok(())
}

/// Writes `body`, then the 16-bit count of octets written since `start` at `start + 2`, where all
/// of RFC 7296's sub-structures have their length.
pub(crate) fn sized(
    out: &mut Vec<u8>,
    what: &'static str,
    start: usize,
    body: impl FnOnce(&mut Vec<u8>) -> Result<(), EmitError>,
) -> Result<(), EmitError> {
    body(out)?;
    let length = out.len().saturating_sub(start);
    let field = u16::try_from(length).map_err(|_| EmitError::TooLong {
        what,
        length,
        limit: usize::from(u16::MAX),
    })?;
    put_at(out, start.saturating_add(2), &field.to_be_bytes());
    Ok(())
}

/// Overwrites octets written earlier; what lies outside is left alone.
pub(crate) fn put_at(out: &mut [u8], offset: usize, octets: &[u8]) {
    if let Some(target) = out.get_mut(offset..).and_then(|tail| tail.get_mut(..octets.len())) {
        target.copy_from_slice(octets);
    }
}

/// A count as the 8-bit field it goes into.
pub(crate) fn count8(what: &'static str, count: usize) -> Result<u8, EmitError> {
    u8::try_from(count).map_err(|_| EmitError::TooMany { what, count, limit: usize::from(u8::MAX) })
}

/// A count as the 16-bit field it goes into.
pub(crate) fn count16(what: &'static str, count: usize) -> Result<u16, EmitError> {
    u16::try_from(count).map_err(|_| EmitError::TooMany { what, count, limit: usize::from(u16::MAX) })
}
