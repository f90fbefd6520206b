//! A strict reader of DER (X.690 §10, §11) over borrowed bytes, for everything this crate decides on.
//!
//! It reads one element at a time and never recurses, so its stack does not depend on its input. It refuses what
//! BER would let pass (indefinite and non-minimal lengths, sloppy booleans and integers), because two readers that
//! disagree about a certificate are a way past a signature. Its caller says what is expected and calls
//! [`Reader::finish`], which refuses trailing bytes.

pub mod write;

/// Universal and context-specific tags, as whole identifier octets (X.690 §8.1.2).
pub mod tag {
    /// BOOLEAN.
    pub const BOOLEAN: u8 = 0x01;
    /// INTEGER.
    pub const INTEGER: u8 = 0x02;
    /// BIT STRING.
    pub const BIT_STRING: u8 = 0x03;
    /// OCTET STRING.
    pub const OCTET_STRING: u8 = 0x04;
    /// NULL.
    pub const NULL: u8 = 0x05;
    /// OBJECT IDENTIFIER.
    pub const OID: u8 = 0x06;
    /// ENUMERATED.
    pub const ENUMERATED: u8 = 0x0a;
    /// UTF8String.
    pub const UTF8_STRING: u8 = 0x0c;
    /// PrintableString.
    pub const PRINTABLE_STRING: u8 = 0x13;
    /// TeletexString (T61String).
    pub const TELETEX_STRING: u8 = 0x14;
    /// IA5String.
    pub const IA5_STRING: u8 = 0x16;
    /// UTCTime.
    pub const UTC_TIME: u8 = 0x17;
    /// GeneralizedTime.
    pub const GENERALIZED_TIME: u8 = 0x18;
    /// UniversalString (UTF-32).
    pub const UNIVERSAL_STRING: u8 = 0x1c;
    /// BMPString (UTF-16).
    pub const BMP_STRING: u8 = 0x1e;
    /// SEQUENCE and SEQUENCE OF.
    pub const SEQUENCE: u8 = 0x30;
    /// SET and SET OF.
    pub const SET: u8 = 0x31;

    /// `[number]` of the context class, primitive (an IMPLICIT tag over a primitive type).
    pub const fn context(number: u8) -> u8 {
        0x80 | number
    }

    /// `[number]` of the context class, constructed (EXPLICIT, or IMPLICIT over a constructed type).
    pub const fn context_constructed(number: u8) -> u8 {
        0xa0 | number
    }
}

/// Why bytes are not the DER that was asked for. Always the fault of whoever encoded them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DerError {
    /// The element says it is longer than the bytes that are there.
    #[error("truncated: {needed} more bytes announced than present")]
    Truncated {
        /// Bytes that are missing.
        needed: usize,
    },
    /// Indefinite, non-minimal or absurd length octets (X.690 §10.1).
    #[error("length is not in DER form")]
    Length,
    /// A tag number above 30, which no structure read here uses.
    #[error("multi-octet tag")]
    Tag,
    /// Another element stands where this one was expected.
    #[error("expected tag 0x{expected:02x}, found 0x{found:02x}")]
    Unexpected {
        /// The identifier octet asked for.
        expected: u8,
        /// The identifier octet found.
        found: u8,
    },
    /// The structure is complete but bytes follow it.
    #[error("{0} bytes follow the end of the structure")]
    Trailing(usize),
    /// An element that must be there is not.
    #[error("element missing")]
    Missing,
    /// The content breaks the rules of its type.
    #[error("{0} is not valid DER")]
    Content(&'static str),
    /// More repetitions than any honest certificate has.
    #[error("more than {limit} {what}")]
    TooMany {
        /// What is repeated.
        what: &'static str,
        /// How many are accepted.
        limit: usize,
    },
}

/// One tag-length-value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element<'a> {
    /// The identifier octet.
    pub tag: u8,
    /// The contents octets.
    pub content: &'a [u8],
    /// Identifier, length and contents octets.
    pub raw: &'a [u8],
}

/// Reads elements one after another from a slice.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A reader at the start of `bytes`.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// A reader over the contents of the one element `tag` that `bytes` must consist of.
    pub fn within(bytes: &'a [u8], tag: u8) -> Result<Self, DerError> {
        let mut outer = Reader::new(bytes);
        let element = outer.expect(tag)?;
        outer.finish()?;
        Ok(Reader::new(element.content))
    }

    /// Whether everything has been read.
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The identifier octet of the next element, if there is one.
    pub fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// The next element, whatever it is.
    pub fn element(&mut self) -> Result<Element<'a>, DerError> {
        let (&tag, after_tag) = self.rest.split_first().ok_or(DerError::Missing)?;
        if tag & 0x1f == 0x1f {
            return Err(DerError::Tag);
        }
        let (length, after_length) = read_length(after_tag)?;
        let (content, rest) = after_length
            .split_at_checked(length)
            .ok_or(DerError::Truncated { needed: length.saturating_sub(after_length.len()) })?;
        let raw_len = self.rest.len().saturating_sub(rest.len());
        let raw = self.rest.get(..raw_len).ok_or(DerError::Length)?;
        self.rest = rest;
        Ok(Element { tag, content, raw })
    }

    /// The next element, which must carry `tag`.
    pub fn expect(&mut self, tag: u8) -> Result<Element<'a>, DerError> {
        match self.peek() {
            Some(found) if found != tag => Err(DerError::Unexpected { expected: tag, found }),
            _ => self.element(),
        }
    }

    /// The next element if it carries `tag`, else nothing is read.
    pub fn optional(&mut self, tag: u8) -> Result<Option<Element<'a>>, DerError> {
        if self.peek() == Some(tag) { self.element().map(Some) } else { Ok(None) }
    }

    /// The contents of the SEQUENCE that must come next.
    pub fn sequence(&mut self) -> Result<Reader<'a>, DerError> {
        self.expect(tag::SEQUENCE).map(|element| Reader::new(element.content))
    }

    /// Refuses anything left over.
    pub fn finish(&self) -> Result<(), DerError> {
        if self.rest.is_empty() { Ok(()) } else { Err(DerError::Trailing(self.rest.len())) }
    }

    /// Every remaining element passed through `parse`; at most `limit` of them.
    pub fn all<T, E: From<DerError>>(
        mut self,
        what: &'static str,
        limit: usize,
        mut parse: impl FnMut(Element<'a>) -> Result<T, E>,
    ) -> Result<Vec<T>, E> {
        let mut items = Vec::new();
        while !self.is_empty() {
            if items.len() == limit {
                return Err(DerError::TooMany { what, limit }.into());
            }
            items.push(parse(self.element()?)?);
        }
        Ok(items)
    }
}

/// Length octets in their only DER form; at most four of them, since a CRL of a million entries needs that many.
fn read_length(bytes: &[u8]) -> Result<(usize, &[u8]), DerError> {
    let (&first, rest) = bytes.split_first().ok_or(DerError::Truncated { needed: 1 })?;
    if first < 0x80 {
        return Ok((usize::from(first), rest));
    }
    let count = usize::from(first & 0x7f);
    // X.690 §10.1: the definite form shall be used, in the minimum number of octets.
    if !(1..=4).contains(&count) {
        return Err(DerError::Length);
    }
    let (octets, rest) = rest.split_at_checked(count).ok_or(DerError::Truncated { needed: count })?;
    let length = octets.iter().fold(0usize, |value, &octet| (value << 8) | usize::from(octet));
    let minimal = length >= 0x80 && octets.first() != Some(&0);
    if minimal { Ok((length, rest)) } else { Err(DerError::Length) }
}

impl<'a> Element<'a> {
    /// The elements inside this constructed element.
    pub const fn reader(&self) -> Reader<'a> {
        Reader::new(self.content)
    }

    /// This element, if it carries `tag`.
    pub const fn tagged(self, tag: u8) -> Result<Self, DerError> {
        if self.tag == tag { Ok(self) } else { Err(DerError::Unexpected { expected: tag, found: self.tag }) }
    }

    /// BOOLEAN contents: 0x00 or 0xff (X.690 §11.1).
    pub fn boolean(&self) -> Result<bool, DerError> {
        match self.content {
            [0x00] => Ok(false),
            [0xff] => Ok(true),
            _ => Err(DerError::Content("BOOLEAN")),
        }
    }

    /// INTEGER contents in two's complement, checked to be minimal (X.690 §8.3.2).
    pub const fn integer(&self) -> Result<&'a [u8], DerError> {
        match self.content {
            [] | [0x00, 0x00..=0x7f, ..] | [0xff, 0x80..=0xff, ..] => Err(DerError::Content("INTEGER")),
            content => Ok(content),
        }
    }

    /// The magnitude of a non-negative INTEGER, big-endian, without a leading zero (zero itself is one zero octet).
    pub fn unsigned(&self) -> Result<&'a [u8], DerError> {
        match self.integer()? {
            [0x80..=0xff, ..] => Err(DerError::Content("non-negative INTEGER")),
            [0, magnitude @ ..] if !magnitude.is_empty() => Ok(magnitude),
            content => Ok(content),
        }
    }

    /// A non-negative INTEGER that fits 32 bits.
    pub fn small(&self) -> Result<u32, DerError> {
        let magnitude = self.unsigned()?;
        if magnitude.len() > 4 {
            return Err(DerError::Content("small INTEGER"));
        }
        Ok(magnitude.iter().fold(0u32, |value, &octet| (value << 8) | u32::from(octet)))
    }

    /// BIT STRING contents: the count of unused bits (0..=7) and the octets; unused bits are zero (X.690 §11.2.1).
    pub fn bits(&self) -> Result<(u8, &'a [u8]), DerError> {
        let bad = DerError::Content("BIT STRING");
        let (&unused, octets) = self.content.split_first().ok_or(bad)?;
        let padding = octets.last().map(|&last| u32::from(last).trailing_zeros());
        match (unused, padding) {
            (0, _) => Ok((0, octets)),
            (1..=7, Some(zeros)) if zeros >= u32::from(unused) => Ok((unused, octets)),
            _ => Err(bad),
        }
    }

    /// BIT STRING contents that are whole octets, as keys and signatures are.
    pub fn octets_in_bits(&self) -> Result<&'a [u8], DerError> {
        match self.bits()? {
            (0, octets) => Ok(octets),
            _ => Err(DerError::Content("BIT STRING of whole octets")),
        }
    }

    /// Contents as ASCII text without control characters (IA5String and its kin in names).
    pub fn ascii(&self) -> Result<&'a str, DerError> {
        let bad = DerError::Content("IA5String");
        if !self.content.iter().all(|octet| (0x20..0x7f).contains(octet)) {
            return Err(bad);
        }
        str::from_utf8(self.content).map_err(|_| bad)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn first(bytes: &[u8]) -> Result<Element<'_>, DerError> {
        Reader::new(bytes).element()
    }

    #[test]
    fn refuses_lengths_that_are_only_ber() {
        assert_eq!(first(&[0x30, 0x80, 0, 0]), Err(DerError::Length), "indefinite");
        assert_eq!(first(&[0x04, 0x81, 0x01, 0xaa]), Err(DerError::Length), "long form of a short length");
        assert_eq!(first(&[0x04, 0x82, 0x00, 0x80]), Err(DerError::Length), "leading zero");
        assert_eq!(first(&[0x04, 0x84, 0, 0, 0, 1, 0]), Err(DerError::Length), "leading zeros");
        assert_eq!(first(&[0x04, 0x85, 1, 0, 0, 0, 0]), Err(DerError::Length), "five octets of length");
        assert_eq!(first(&[0x1f, 0x20, 0x00]), Err(DerError::Tag));
        assert_eq!(first(&[0x04, 0x05, 1, 2]), Err(DerError::Truncated { needed: 3 }));
    }

    #[test]
    fn integers_and_booleans_have_one_encoding() {
        assert_eq!(first(&[2, 1, 0]).unwrap().unsigned(), Ok(&[0u8][..]));
        assert_eq!(first(&[2, 2, 0, 0x80]).unwrap().unsigned(), Ok(&[0x80u8][..]));
        assert!(first(&[2, 2, 0, 0x7f]).unwrap().integer().is_err());
        assert!(first(&[2, 2, 0xff, 0x80]).unwrap().integer().is_err());
        assert!(first(&[2, 1, 0x80]).unwrap().unsigned().is_err());
        assert!(first(&[2, 0]).unwrap().integer().is_err());
        assert_eq!(first(&[2, 4, 0x7f, 0xff, 0xff, 0xff]).unwrap().small(), Ok(0x7fff_ffff));
        assert!(first(&[2, 6, 0x01, 0, 0, 0, 0, 0]).unwrap().small().is_err());
        assert!(first(&[1, 1, 1]).unwrap().boolean().is_err());
    }

    #[test]
    fn bit_strings_keep_unused_bits_zero() {
        assert_eq!(first(&[3, 2, 5, 0xa0]).unwrap().bits(), Ok((5, &[0xa0u8][..])));
        assert!(first(&[3, 2, 5, 0xb0]).unwrap().bits().is_err());
        assert!(first(&[3, 1, 1]).unwrap().bits().is_err());
        assert!(first(&[3, 2, 8, 0]).unwrap().bits().is_err());
        assert!(first(&[3, 0]).unwrap().bits().is_err());
    }

    #[test]
    fn trailing_bytes_are_refused() {
        assert!(Reader::within(&[0x30, 0, 0], tag::SEQUENCE).is_err());
        assert!(Reader::within(&[0x30, 0], tag::SEQUENCE).is_ok());
    }

    proptest! {
        /// Whatever comes, reading ends, never panics, and what was read plus what is left is what came.
        #[test]
        fn reading_makes_progress_and_loses_nothing(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut reader = Reader::new(&bytes);
            let mut read = 0;
            while let Ok(element) = reader.element() {
                prop_assert!(element.raw.len() >= 2);
                read += element.raw.len();
                let _ = (element.boolean(), element.small(), element.bits(), element.ascii());
            }
            prop_assert_eq!(read + reader.rest.len(), bytes.len());
        }
    }
}
