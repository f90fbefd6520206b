//! Writing DER (X.690 §10): definite lengths in as few octets as they need.
//!
//! What is written is not wiped: whoever has a secret to wrap enciphers it first.

use super::tag;
use crate::oid::Known;

/// One element: its tag, its length, and the parts of its contents one after another.
pub fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length = parts.iter().fold(0usize, |sum, part| sum.saturating_add(part.len()));
    let mut octets = vec![tag];
    push_length(&mut octets, length);
    octets.reserve(length);
    parts.iter().for_each(|part| octets.extend_from_slice(part));
    octets
}

/// SEQUENCE.
pub fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    element(tag::SEQUENCE, parts)
}

/// SET OF, its members in the order DER wants (X.690 §11.6).
pub fn set_of(mut members: Vec<Vec<u8>>) -> Vec<u8> {
    members.sort();
    element(tag::SET, &[&members.concat()])
}

/// OBJECT IDENTIFIER.
pub fn oid(known: Known) -> Vec<u8> {
    element(tag::OID, &[known])
}

/// A non-negative INTEGER.
pub fn integer(value: u32) -> Vec<u8> {
    let octets = value.to_be_bytes();
    let zeros = octets.iter().take(3).take_while(|&&octet| octet == 0).count();
    let magnitude = octets.get(zeros..).unwrap_or_default();
    // A leading one would make it negative (X.690 §8.3.3).
    let sign: &[u8] = if magnitude.first().is_some_and(|first| first & 0x80 != 0) { &[0] } else { &[] };
    element(tag::INTEGER, &[sign, magnitude])
}

/// BIT STRING of whole octets.
pub fn bit_string(octets: &[u8]) -> Vec<u8> {
    element(tag::BIT_STRING, &[&[0], octets])
}

/// `[number]` EXPLICIT around an element.
pub fn explicit(number: u8, inner: &[u8]) -> Vec<u8> {
    element(tag::context_constructed(number), &[inner])
}

fn push_length(octets: &mut Vec<u8>, length: usize) {
    match u8::try_from(length) {
        Ok(short @ 0..=0x7f) => octets.push(short),
        _ => {
            let long = length.to_be_bytes();
            let significant = long.iter().copied().skip_while(|&octet| octet == 0);
            let count = significant.clone().count();
            // At most the eight octets of a usize.
            octets.push(0x80 | u8::try_from(count).unwrap_or(0x7f));
            octets.extend(significant);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::der::Reader;
    use proptest::prelude::*;

    proptest! {
        /// Our own strict reader takes back whatever length is written.
        #[test]
        fn elements_read_back(length in prop_oneof![0usize..400, 65_000usize..66_000]) {
            let content = vec![7; length];
            let written = element(tag::OCTET_STRING, &[&content]);
            let mut reader = Reader::new(&written);
            prop_assert_eq!(reader.expect(tag::OCTET_STRING).unwrap().content, &content);
            prop_assert!(reader.finish().is_ok());
        }

        #[test]
        fn integers_read_back(value in any::<u32>()) {
            let written = integer(value);
            prop_assert_eq!(Reader::new(&written).expect(tag::INTEGER).unwrap().small(), Ok(value));
        }
    }

    #[test]
    fn members_of_a_set_are_sorted() {
        assert_eq!(set_of(vec![integer(2), integer(1)]), [0x31, 6, 2, 1, 1, 2, 1, 2]);
    }
}
