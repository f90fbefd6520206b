//! Tags of the three lengths ESP has (RFC 4106 §6: 16 octets, which every implementation supports,
//! and 8 and 12). A length a tag cannot have cannot be written down.

use std::fmt;

use crate::TAG_LENGTH;

/// How many octets of a tag are sent. SP 800-38D §5.2.1.2 asks for one length a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Icv {
    /// 8 octets: one forgery in 2^64 passes, so it is not for keys that outlive much traffic
    /// (SP 800-38D appendix C).
    Eight,
    /// 12 octets.
    Twelve,
    /// 16 octets.
    Sixteen,
}

impl Icv {
    /// Every length, shortest first.
    pub const ALL: [Icv; 3] = [Icv::Eight, Icv::Twelve, Icv::Sixteen];

    /// Its number of octets.
    pub const fn octets(self) -> usize {
        match self {
            Icv::Eight => 8,
            Icv::Twelve => 12,
            Icv::Sixteen => 16,
        }
    }

    /// The length of that many octets.
    pub const fn from_octets(octets: usize) -> Result<Icv, BadTagLength> {
        match octets {
            8 => Ok(Icv::Eight),
            12 => Ok(Icv::Twelve),
            16 => Ok(Icv::Sixteen),
            octets => Err(BadTagLength { octets }),
        }
    }
}

/// A tag of a length that ESP does not have: our caller's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadTagLength {
    /// Octets given.
    pub octets: usize,
}

impl fmt::Display for BadTagLength {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a tag has 8, 12 or 16 octets, not {}", self.octets)
    }
}

impl std::error::Error for BadTagLength {}

/// A tag as received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag {
    /// Zeros behind the tag's own octets.
    octets: [u8; TAG_LENGTH],
    icv: Icv,
}

impl Tag {
    /// Its length.
    pub const fn icv(&self) -> Icv {
        self.icv
    }

    /// All 16 octets, those not received as zeros.
    #[inline(always)]
    pub(crate) fn padded(&self) -> [u8; TAG_LENGTH] {
        self.octets
    }
}

macro_rules! tag_from {
    ($octets:literal, $icv:ident) => {
        impl From<[u8; $octets]> for Tag {
            #[inline(always)]
            fn from(tag: [u8; $octets]) -> Tag {
                let mut octets = [0; TAG_LENGTH];
                octets[..$octets].copy_from_slice(&tag);
                Tag { octets, icv: Icv::$icv }
            }
        }

        impl<'a> From<&'a mut [u8; $octets]> for TagMut<'a> {
            #[inline(always)]
            fn from(tag: &'a mut [u8; $octets]) -> TagMut<'a> {
                TagMut::$icv(tag)
            }
        }
    };
}
tag_from!(8, Eight);
tag_from!(12, Twelve);
tag_from!(16, Sixteen);

impl TryFrom<&[u8]> for Tag {
    type Error = BadTagLength;

    #[inline]
    fn try_from(tag: &[u8]) -> Result<Tag, BadTagLength> {
        let icv = Icv::from_octets(tag.len())?;
        let mut octets = [0; TAG_LENGTH];
        octets.iter_mut().zip(tag).for_each(|(to, from)| *to = *from);
        Ok(Tag { octets, icv })
    }
}

/// Where a tag is written.
#[derive(Debug)]
pub enum TagMut<'a> {
    /// Its first 8 octets.
    Eight(&'a mut [u8; 8]),
    /// Its first 12.
    Twelve(&'a mut [u8; 12]),
    /// All 16.
    Sixteen(&'a mut [u8; 16]),
}

impl TagMut<'_> {
    /// Its length.
    pub const fn icv(&self) -> Icv {
        match self {
            TagMut::Eight(_) => Icv::Eight,
            TagMut::Twelve(_) => Icv::Twelve,
            TagMut::Sixteen(_) => Icv::Sixteen,
        }
    }

    /// Writes as much of `tag` as there is place for (MSB_t, SP 800-38D §6.1).
    #[inline(always)]
    pub(crate) fn write(&mut self, tag: [u8; TAG_LENGTH]) {
        match self {
            TagMut::Sixteen(place) => **place = tag,
            TagMut::Twelve(place) => place.copy_from_slice(&tag[..12]),
            TagMut::Eight(place) => place.copy_from_slice(&tag[..8]),
        }
    }
}

impl<'a> TryFrom<&'a mut [u8]> for TagMut<'a> {
    type Error = BadTagLength;

    #[inline]
    fn try_from(tag: &'a mut [u8]) -> Result<TagMut<'a>, BadTagLength> {
        let bad = BadTagLength { octets: tag.len() };
        match tag.len() {
            16 => tag.try_into().map(TagMut::Sixteen).map_err(|_| bad),
            12 => tag.try_into().map(TagMut::Twelve).map_err(|_| bad),
            8 => tag.try_into().map(TagMut::Eight).map_err(|_| bad),
            _ => Err(bad),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Only ESP's three lengths make a tag, and each keeps its own.
    #[test]
    fn lengths_other_than_esp_s_are_refused() {
        let mut octets = [7_u8; 32];
        for length in 0..=32 {
            let known = Icv::ALL.into_iter().find(|icv| icv.octets() == length);
            let expected = known.ok_or(BadTagLength { octets: length });
            assert_eq!(Icv::from_octets(length), expected);
            assert_eq!(Tag::try_from(&octets[..length]).map(|tag| tag.icv()), expected);
            assert_eq!(TagMut::try_from(&mut octets[..length]).map(|tag| tag.icv()), expected);
        }
    }

    /// A short tag is the front of the long one, and writing it touches nothing behind.
    #[test]
    fn a_short_tag_is_the_front_of_the_long_one() {
        let long: [u8; 16] = std::array::from_fn(|i| i as u8 + 1);
        for icv in Icv::ALL {
            let mut place = [0; 16];
            TagMut::try_from(&mut place[..icv.octets()]).unwrap().write(long);
            let expected: [u8; 16] = std::array::from_fn(|i| if i < icv.octets() { long[i] } else { 0 });
            assert_eq!(place, expected);
            assert_eq!(Tag::try_from(&long[..icv.octets()]).unwrap().padded(), expected);
        }
    }
}
