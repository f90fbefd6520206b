//! Distinguished names: kept as their octets, compared by RFC 5280 §7.1, printed as RFC 4514 writes them.
//!
//! Comparison ignores case and repeated white space in attribute values of the string types and disregards which
//! string type was chosen; any other value is compared octet by octet. Both forms are made once, when parsing.

use std::fmt;

use super::printable::write_character;
use crate::der::write::{element, sequence};
use crate::der::{DerError, Element, Reader, tag};
use crate::oid::{self, Oid};

/// Relative names accepted in one name, and attributes in one relative name. Honest names have under twenty.
const MAX_PARTS: usize = 64;

/// A distinguished name.
#[derive(Clone)]
pub struct Name {
    der: Box<[u8]>,
    parts: Box<[Part]>,
}

/// A RelativeDistinguishedName: its attributes in canonical order.
type Part = Box<[Attribute]>;

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Attribute {
    kind: Oid,
    canonical: Canonical,
    text: Box<str>,
}

/// An attribute value in the form in which it is compared.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Canonical {
    Text(Box<str>),
    Octets(Box<[u8]>),
}

impl Name {
    /// Reads a `Name` from its element.
    pub fn parse(element: Element<'_>) -> Result<Self, DerError> {
        let sequence = element.tagged(tag::SEQUENCE)?;
        let parts = sequence.reader().all("relative distinguished names", MAX_PARTS, relative_name)?;
        Ok(Self { der: element.raw.into(), parts: parts.into() })
    }

    /// Reads a `Name` that is exactly `der`, as an ID payload of type ID_DER_ASN1_DN carries it.
    pub fn from_der(der: &[u8]) -> Result<Self, DerError> {
        let mut reader = Reader::new(der);
        let name = Self::parse(reader.element()?)?;
        reader.finish()?;
        Ok(name)
    }

    /// This name with one more part, given as the contents of its SET (RFC 5280 §4.2.1.13,
    /// nameRelativeToCRLIssuer).
    pub fn followed_by(&self, part: &[u8]) -> Result<Self, DerError> {
        let parts = Reader::new(&self.der).expect(tag::SEQUENCE)?.content;
        Self::from_der(&sequence(&[parts, &element(tag::SET, &[part])]))
    }

    /// The encoding it was read from.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Whether the name has no parts.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Whether this name begins with all parts of `base` (RFC 5280 §4.2.1.10, directoryName constraints).
    pub fn is_within(&self, base: &Self) -> bool {
        self.parts.get(..base.parts.len()).is_some_and(|parts| same_parts(parts, &base.parts))
    }

    /// The values of the e-mail attributes in the name (RFC 5280 §4.2.1.10 subjects them to rfc822Name constraints).
    pub fn emails(&self) -> impl Iterator<Item = &str> {
        self.values(oid::EMAIL_ADDRESS)
    }

    /// The common names in it (RFC 5280 Appendix A.1, X520CommonName).
    pub fn common_names(&self) -> impl Iterator<Item = &str> {
        self.values(oid::COMMON_NAME)
    }

    fn values(&self, kind: oid::Known) -> impl Iterator<Item = &str> {
        let attributes = self.parts.iter().flatten();
        attributes.filter(move |attribute| attribute.kind.is(kind)).map(|attribute| &*attribute.text)
    }
}

fn same_parts(left: &[Part], right: &[Part]) -> bool {
    let same = |(left, right): (&Part, &Part)| {
        left.len() == right.len()
            && left.iter().zip(right).all(|(a, b)| a.kind == b.kind && a.canonical == b.canonical)
    };
    left.len() == right.len() && left.iter().zip(right).all(same)
}

/// RFC 5280 §7.1.
impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        same_parts(&self.parts, &other.parts)
    }
}

impl Eq for Name {}

fn relative_name(element: Element<'_>) -> Result<Part, DerError> {
    let set = element.tagged(tag::SET)?.reader();
    let mut attributes = set.all("attributes of one name", MAX_PARTS, attribute)?;
    // X.501 §9.3: a relative name has at least one attribute.
    if attributes.is_empty() {
        return Err(DerError::Content("RelativeDistinguishedName"));
    }
    attributes.sort();
    Ok(attributes.into())
}

fn attribute(element: Element<'_>) -> Result<Attribute, DerError> {
    let mut reader = element.tagged(tag::SEQUENCE)?.reader();
    let kind = Oid::parse(reader.element()?)?;
    let value = reader.element()?;
    reader.finish()?;
    Ok(match text_of(value)? {
        Some(text) => Attribute { kind, canonical: Canonical::Text(folded(&text).into()), text: text.into() },
        None => {
            let text = value.raw.iter().map(|octet| format!("{octet:02x}")).collect::<String>();
            Attribute {
                kind,
                canonical: Canonical::Octets(value.raw.into()),
                text: format!("#{text}").into(),
            }
        }
    })
}

/// The characters of a DirectoryString (RFC 5280 appendix A.1) or IA5String; `None` for any other type.
fn text_of(value: Element<'_>) -> Result<Option<String>, DerError> {
    let bad = DerError::Content("string in a name");
    match value.tag {
        tag::UTF8_STRING => str::from_utf8(value.content).map(|text| Some(text.to_owned())).map_err(|_| bad),
        tag::PRINTABLE_STRING | tag::IA5_STRING if value.content.is_ascii() => {
            Ok(str::from_utf8(value.content).ok().map(str::to_owned))
        }
        tag::PRINTABLE_STRING | tag::IA5_STRING => Err(bad),
        // T.61 is a shifting code nobody used; like everybody, read it as ISO 8859-1.
        tag::TELETEX_STRING => Ok(Some(value.content.iter().map(|&octet| char::from(octet)).collect())),
        tag::BMP_STRING => {
            let units = value
                .content
                .chunks_exact(2)
                .map(|pair| pair.iter().fold(0, |unit, &octet| unit << 8 | u16::from(octet)));
            let whole = value.content.len().is_multiple_of(2);
            char::decode_utf16(units)
                .collect::<Result<String, _>>()
                .ok()
                .filter(|_| whole)
                .map(Some)
                .ok_or(bad)
        }
        tag::UNIVERSAL_STRING => {
            let points = value
                .content
                .chunks_exact(4)
                .map(|quad| quad.iter().fold(0, |point, &octet| point << 8 | u32::from(octet)));
            let whole = value.content.len().is_multiple_of(4);
            points.map(char::from_u32).collect::<Option<String>>().filter(|_| whole).map(Some).ok_or(bad)
        }
        _ => Ok(None),
    }
}

/// Lower case, outer white space removed, inner white space single (the part of RFC 4518 that names meet).
fn folded(text: &str) -> String {
    text.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// RFC 4514: last part first, special characters escaped; control characters never reach a terminal.
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, part) in self.parts.iter().rev().enumerate() {
            f.write_str(if index == 0 { "" } else { "," })?;
            for (index, attribute) in part.iter().enumerate() {
                write!(f, "{}{}=", if index == 0 { "" } else { "+" }, attribute.kind)?;
                // A '#' introduces octets; a text that begins with one is escaped.
                let text = matches!(attribute.canonical, Canonical::Text(_));
                f.write_str(if text && attribute.text.starts_with('#') { "\\" } else { "" })?;
                write_escaped(&attribute.text, f)?;
            }
        }
        Ok(())
    }
}

fn write_escaped(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let last = text.chars().count().saturating_sub(1);
    for (index, character) in text.chars().enumerate() {
        match character {
            ',' | '+' | '"' | '\\' | '<' | '>' | ';' => write!(f, "\\{character}")?,
            ' ' if index == 0 || index == last => f.write_str("\\ ")?,
            character => write_character(character, f)?,
        }
    }
    Ok(())
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Name(\"{self}\")")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(attributes: &[(oid::Known, u8, &[u8])]) -> Name {
        let tlv = |tag: u8, content: &[u8]| [&[tag, content.len() as u8], content].concat();
        let parts: Vec<u8> = attributes
            .iter()
            .flat_map(|(kind, tag, value)| {
                let pair = [tlv(tag::OID, kind), tlv(*tag, value)].concat();
                tlv(tag::SET, &tlv(tag::SEQUENCE, &pair))
            })
            .collect();
        Name::from_der(&tlv(tag::SEQUENCE, &parts)).unwrap()
    }

    #[test]
    fn case_white_space_and_string_type_do_not_matter() {
        let printable = name(&[(oid::ORGANIZATION, tag::PRINTABLE_STRING, b"Example  Networks ")]);
        let utf8 = name(&[(oid::ORGANIZATION, tag::UTF8_STRING, b"example networks")]);
        let bmp = name(&[(
            oid::ORGANIZATION,
            tag::BMP_STRING,
            b"\0E\0X\0A\0M\0P\0L\0E\0 \0n\0e\0t\0w\0o\0r\0k\0s",
        )]);
        assert_eq!(printable, utf8);
        assert_eq!(printable, bmp);
        assert_ne!(printable, name(&[(oid::ORGANIZATION, tag::UTF8_STRING, b"examplenetworks")]));
        assert_ne!(printable, name(&[(oid::COMMON_NAME, tag::UTF8_STRING, b"example networks")]));
    }

    #[test]
    fn a_name_is_within_its_leading_parts_only() {
        let country = (oid::COUNTRY, tag::PRINTABLE_STRING, b"DE".as_slice());
        let gateway = (oid::COMMON_NAME, tag::UTF8_STRING, b"gw".as_slice());
        let (base, whole) = (name(&[country]), name(&[country, gateway]));
        assert!(whole.is_within(&base) && whole.is_within(&whole) && whole.is_within(&name(&[])));
        assert!(!base.is_within(&whole) && !whole.is_within(&name(&[gateway])));
    }

    #[test]
    fn prints_as_rfc_4514_and_never_a_control_character() {
        let printed = name(&[
            (oid::COUNTRY, tag::PRINTABLE_STRING, b"DE"),
            (oid::COMMON_NAME, tag::UTF8_STRING, b" a,b\x1b[31m\n"),
        ]);
        assert_eq!(printed.to_string(), "CN=\\ a\\,b\\1b[31m\\0a,C=DE");
    }

    #[test]
    fn unreadable_strings_are_refused() {
        let utf8 = b"\x30\x0c\x31\x0a\x30\x08\x06\x03\x55\x04\x03\x0c\x01\xff";
        assert!(Name::from_der(utf8).is_err());
        assert!(Name::from_der(b"\x30\x02\x31\x00").is_err(), "empty relative name");
    }

    proptest! {
        #[test]
        fn any_octets_parse_or_fail_and_print(octets in proptest::collection::vec(any::<u8>(), 0..120)) {
            if let Ok(name) = Name::from_der(&octets) {
                prop_assert!(!name.to_string().chars().any(char::is_control));
                prop_assert_eq!(name.der(), &octets[..]);
            }
        }
    }
}
