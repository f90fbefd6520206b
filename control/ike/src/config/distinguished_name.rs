//! A distinguished name as people write it (RFC 4514), from the octets of an ID_DER_ASN1_DN: what is told of a caller is
//! read by people. And whether two are one name (RFC 5280 §7.1), for whoever proves a name by a pre-shared key: its
//! implementation chose the string types of the parts, not the operator. Names that a certificate proves are compared by
//! whoever judges certificates, who knows more types of strings.

use core::fmt::Write as _;

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OBJECT_IDENTIFIER: u8 = 0x06;

/// Types with a name of their own (RFC 4514 §3, RFC 2985 §5.2.1), by the octets of their identifier.
const TYPES: [(&str, &[u8]); 11] = [
    ("CN", &[0x55, 4, 3]),
    ("serialNumber", &[0x55, 4, 5]),
    ("C", &[0x55, 4, 6]),
    ("L", &[0x55, 4, 7]),
    ("ST", &[0x55, 4, 8]),
    ("street", &[0x55, 4, 9]),
    ("O", &[0x55, 4, 10]),
    ("OU", &[0x55, 4, 11]),
    ("UID", &[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 1]),
    ("DC", &[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25]),
    ("emailAddress", &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1]),
];

/// Whether both are the same name: "disregarding" which string type was chosen, upper and lower case, and how much white
/// space there is. Octets that are no name are only the same as themselves.
pub(super) fn is_same(left: &[u8], right: &[u8]) -> bool {
    let compared = || Some(canonical(left)? == canonical(right)?);
    left == right || compared().unwrap_or(false)
}

/// The parts of a name, each with its attributes in order: type, and value as it is compared.
type Canonical = Vec<Vec<(Vec<u8>, Compared)>>;

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Compared {
    Text(String),
    Octets(u8, Vec<u8>),
}

fn canonical(der: &[u8]) -> Option<Canonical> {
    let part = |(tag, content): (u8, &[u8])| {
        let attributes = elements(content).filter(|_| tag == SET)?;
        let mut attributes = attributes.into_iter().map(compared).collect::<Option<Vec<_>>>()?;
        attributes.sort();
        Some(attributes)
    };
    elements(only(der, SEQUENCE)?)?.into_iter().map(part).collect()
}

fn compared((tag, content): (u8, &[u8])) -> Option<(Vec<u8>, Compared)> {
    let (kind, tag, value) = pair(tag, content)?;
    let folded = |text: &str| text.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ");
    let value = match string(tag, value) {
        Some(text) => Compared::Text(folded(text)),
        None => Compared::Octets(tag, value.to_vec()),
    };
    Some((kind.to_vec(), value))
}

/// The name with its most specific part first; `None` where the octets are no name.
pub(super) fn text(der: &[u8]) -> Option<String> {
    let parts = elements(only(der, SEQUENCE)?)?;
    let parts = parts.into_iter().map(|(tag, content)| part(tag, content)).collect::<Option<Vec<_>>>()?;
    Some(parts.into_iter().rev().collect::<Vec<_>>().join(","))
}

/// "the output consists of the string encodings of each AttributeTypeAndValue", between plus signs (§2.2).
fn part(tag: u8, content: &[u8]) -> Option<String> {
    let attributes = elements(content).filter(|_| tag == SET)?;
    let attributes = attributes.into_iter().map(|(tag, content)| attribute(tag, content));
    Some(attributes.collect::<Option<Vec<_>>>()?.join("+"))
}

fn attribute(tag: u8, content: &[u8]) -> Option<String> {
    let (kind, tag, value) = pair(tag, content)?;
    let known = TYPES.iter().find(|(_, octets)| *octets == kind);
    let kind = known.map_or_else(|| format!("{}{}", OID, digits(kind)), |(name, _)| (*name).to_owned());
    Some(format!("{kind}={}", self::value(tag, value)))
}

/// Type, and tag and octets of the value.
fn pair(tag: u8, content: &[u8]) -> Option<(&[u8], u8, &[u8])> {
    let pair = elements(content).filter(|_| tag == SEQUENCE)?;
    let [(OBJECT_IDENTIFIER, kind), (tag, value)] = pair.as_slice() else { return None };
    Some((kind, *tag, value))
}

/// Before a type without a name: its octets follow.
const OID: &str = "oid:";

/// Strings as text; others by their octets (§2.4).
fn value(tag: u8, octets: &[u8]) -> String {
    string(tag, octets).map_or_else(|| format!("#{}", digits(octets)), escaped)
}

/// A UTF8String, NumericString, PrintableString or IA5String.
fn string(tag: u8, octets: &[u8]) -> Option<&str> {
    let is_text = matches!(tag, 0x0c | 0x12 | 0x13 | 0x16);
    std::str::from_utf8(octets).ok().filter(|_| is_text)
}

/// As §2.4 has it; what could move a terminal's cursor is escaped too.
fn escaped(text: &str) -> String {
    let last = text.chars().count().saturating_sub(1);
    let mut out = String::new();
    for (index, character) in text.chars().enumerate() {
        let at_edge = index == 0 || index == last;
        match character {
            ',' | '+' | '"' | '\\' | '<' | '>' | ';' => out.extend(['\\', character]),
            ' ' if at_edge => out.push_str("\\ "),
            '#' if index == 0 => out.push_str("\\#"),
            character if character.is_control() => out.extend(character.escape_default()),
            character => out.push(character),
        }
    }
    out
}

fn digits(octets: &[u8]) -> String {
    octets.iter().fold(String::new(), |mut text, octet| {
        let _ = write!(text, "{octet:02x}");
        text
    })
}

/// The content of the one element there is.
fn only(der: &[u8], tag: u8) -> Option<&[u8]> {
    match elements(der)?.as_slice() {
        [(found, content)] if *found == tag => Some(content),
        _ => None,
    }
}

/// Elements that follow one another, tag and content; lengths are definite and of at most two octets (X.690 §8.1.3).
fn elements(mut der: &[u8]) -> Option<Vec<(u8, &[u8])>> {
    let mut found = Vec::new();
    while let Some((tag, rest)) = der.split_first() {
        let (length, rest) = match rest {
            [length @ 0..=0x7f, rest @ ..] => (usize::from(*length), rest),
            [0x81, length, rest @ ..] => (usize::from(*length), rest),
            [0x82, high, low, rest @ ..] => (usize::from(u16::from_be_bytes([*high, *low])), rest),
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        found.push((*tag, content));
        der = rest;
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{IdKind, Identity};

    fn element(tag: u8, content: &[u8]) -> Vec<u8> {
        [&[tag, u8::try_from(content.len()).unwrap()], content].concat()
    }

    fn attribute(kind: &[u8], tag: u8, value: &[u8]) -> Vec<u8> {
        element(SET, &element(SEQUENCE, &[element(6, kind), element(tag, value)].concat()))
    }

    /// The last part comes first; what is special is escaped, what has no name or is no text is told by its octets.
    #[test]
    fn names_are_told_as_they_are_written() {
        let told = |parts: &[Vec<u8>]| text(&element(SEQUENCE, &parts.concat()));
        let (country, name) = (attribute(&[0x55, 4, 6], 0x13, b"CH"), attribute(&[0x55, 4, 3], 0x0c, b"gw"));
        assert_eq!(told(&[country.clone(), name.clone()]).as_deref(), Some("CN=gw,C=CH"));
        let (kind, data) = (IdKind::DistinguishedName, element(SEQUENCE, &[country, name].concat()));
        assert_eq!(Identity { kind, data }.to_string(), "CN=gw,C=CH");
        let odd = attribute(&[0x55, 4, 10], 0x0c, b" #a,b\x1b");
        assert_eq!(told(&[odd]).as_deref(), Some("O=\\ #a\\,b\\u{1b}"));
        let nameless = attribute(&[0x55, 4, 12], 0x04, &[1, 2]);
        assert_eq!(told(&[nameless]).as_deref(), Some("oid:55040c=#0102"));
        assert_eq!(told(&[]).as_deref(), Some(""));
    }

    /// RFC 5280 §7.1: one name has several encodings, and the peer has chosen its own. Another part, another order of
    /// parts, more or fewer of them, and another type of value are another name.
    #[test]
    fn a_name_is_the_same_in_every_encoding() {
        let (utf8, printable, octets) = (0x0c, 0x13, 0x04);
        let name = |parts: &[Vec<u8>]| element(SEQUENCE, &parts.concat());
        let country = |tag, value: &[u8]| attribute(&[0x55, 4, 6], tag, value);
        let common = |tag, value: &[u8]| attribute(&[0x55, 4, 3], tag, value);
        let ours = name(&[country(printable, b"CH"), common(utf8, b"The Gateway")]);
        for theirs in [
            name(&[country(utf8, b"CH"), common(printable, b"The Gateway")]),
            name(&[country(printable, b"ch"), common(utf8, b" the  gateway ")]),
        ] {
            assert!(is_same(&ours, &theirs) && is_same(&theirs, &ours));
        }
        for other in [
            name(&[country(printable, b"CH"), common(utf8, b"TheGateway")]),
            name(&[common(utf8, b"The Gateway"), country(printable, b"CH")]),
            name(&[country(printable, b"CH")]),
            name(&[country(printable, b"CH"), common(utf8, b"The Gateway"), common(utf8, b"x")]),
            name(&[country(printable, b"CH"), common(octets, b"The Gateway")]),
            name(&[country(printable, b"CH"), attribute(&[0x55, 4, 10], utf8, b"The Gateway")]),
            b"The Gateway".to_vec(),
        ] {
            assert!(!is_same(&ours, &other) && !is_same(&other, &ours), "{other:02x?}");
        }
        assert!(is_same(b"no name", b"no name") && !is_same(b"no name", b"no Name"));
    }

    /// Attributes of one part have no order (X.501 §9.3), and DER sorts them by octets that may differ.
    #[test]
    fn attributes_of_one_part_have_no_order() {
        let pair = |kind: &[u8], tag, value: &[u8]| {
            element(SEQUENCE, &[element(6, kind), element(tag, value)].concat())
        };
        let (name, unit) = (pair(&[0x55, 4, 3], 0x0c, b"gw"), pair(&[0x55, 4, 11], 0x0c, b"edge"));
        let both = |first: &[u8], second: &[u8]| element(SEQUENCE, &element(SET, &[first, second].concat()));
        assert!(is_same(&both(&name, &unit), &both(&unit, &name)));
        assert!(!is_same(&both(&name, &unit), &both(&name, &name)));
    }

    /// What a stranger sends need not be a name: cut anywhere it is none, and nothing else happens.
    #[test]
    fn a_name_that_is_cut_is_none() {
        let whole = element(SEQUENCE, &attribute(&[0x55, 4, 3], 0x0c, b"gw"));
        for end in 1..whole.len() {
            assert_eq!(text(&whole[..end]), None, "{end}");
        }
        assert_eq!(text(&[whole.clone(), vec![0]].concat()), None);
        assert_eq!(text(&[SEQUENCE, 0x80, 0, 0]), None);
    }
}
