//! Distinguished names as operators write them: RFC 4514 (`CN=gw,O=Example,C=DE`, most specific part first), or the
//! `/C=DE/O=Example/CN=gw` of OpenSSL's command line (in the order of the encoding).

use super::Name;
use crate::der::tag;
use crate::der::write::element;
use crate::oid::{self, Known};

/// Attribute keywords, and the string type their values are written in (RFC 5280 §4.1.2.4 and appendix A.1).
const KEYWORDS: [(&str, Known, u8); 16] = [
    ("CN", oid::COMMON_NAME, tag::UTF8_STRING),
    ("SN", oid::SURNAME, tag::UTF8_STRING),
    ("serialNumber", oid::SERIAL_NUMBER, tag::PRINTABLE_STRING),
    ("C", oid::COUNTRY, tag::PRINTABLE_STRING),
    ("L", oid::LOCALITY, tag::UTF8_STRING),
    ("ST", oid::STATE, tag::UTF8_STRING),
    ("street", oid::STREET, tag::UTF8_STRING),
    ("O", oid::ORGANIZATION, tag::UTF8_STRING),
    ("OU", oid::ORGANIZATIONAL_UNIT, tag::UTF8_STRING),
    ("title", oid::TITLE, tag::UTF8_STRING),
    ("GN", oid::GIVEN_NAME, tag::UTF8_STRING),
    ("dnQualifier", oid::DN_QUALIFIER, tag::PRINTABLE_STRING),
    ("UID", oid::USER_ID, tag::UTF8_STRING),
    ("DC", oid::DOMAIN_COMPONENT, tag::IA5_STRING),
    ("emailAddress", oid::EMAIL_ADDRESS, tag::IA5_STRING),
    ("E", oid::EMAIL_ADDRESS, tag::IA5_STRING),
];

/// Longest text accepted.
const MAX_TEXT: usize = 1024;

impl Name {
    /// Reads a name from text; `None` if it is not one. Values may escape `,+"\<>;` and hexadecimal octets with `\`.
    pub fn from_text(text: &str) -> Option<Self> {
        if text.len() > MAX_TEXT {
            return None;
        }
        let mut parts = match text.strip_prefix('/') {
            Some(rest) => split(rest, '/'),
            None => split(text, ',').into_iter().rev().collect(),
        };
        parts.retain(|part| !part.trim().is_empty());
        let encoded = parts.iter().map(|part| relative_name(part)).collect::<Option<Vec<_>>>()?;
        Self::from_der(&element(tag::SEQUENCE, &[&encoded.concat()])).ok()
    }
}

/// Splits at a separator that is not escaped.
fn split(text: &str, separator: char) -> Vec<&str> {
    let mut escaped = false;
    text.split(|character| {
        let splits = character == separator && !escaped;
        escaped = character == '\\' && !escaped;
        splits
    })
    .collect()
}

/// One RelativeDistinguishedName: `CN=gw` or `CN=gw+serialNumber=7`, as a DER SET OF (sorted, X.690 §11.6).
fn relative_name(part: &str) -> Option<Vec<u8>> {
    let mut attributes = split(part, '+').into_iter().map(attribute).collect::<Option<Vec<_>>>()?;
    attributes.sort();
    Some(element(tag::SET, &[&attributes.concat()]))
}

fn attribute(text: &str) -> Option<Vec<u8>> {
    let (keyword, value) = text.split_once('=')?;
    let keyword = keyword.trim();
    let (_, kind, string) = KEYWORDS.iter().find(|(name, ..)| name.eq_ignore_ascii_case(keyword))?;
    let value = unescaped(trimmed(value))?;
    if value.is_empty() || (*string != tag::UTF8_STRING && !value.is_ascii()) {
        return None;
    }
    Some(element(tag::SEQUENCE, &[&element(tag::OID, &[kind]), &element(*string, &[&value])]))
}

/// Without outer white space, except a last space that is escaped.
fn trimmed(value: &str) -> &str {
    let start = value.trim_start();
    let bare = start.trim_end();
    let backslashes = bare.bytes().rev().take_while(|&octet| octet == b'\\').count();
    let end = bare.len().saturating_add(backslashes % 2);
    start.get(..end).unwrap_or(bare)
}

/// RFC 4514 §2.4: `\` before a special character, or before two hexadecimal digits.
fn unescaped(value: &str) -> Option<Vec<u8>> {
    let mut octets = value.bytes();
    let mut plain = Vec::with_capacity(value.len());
    while let Some(octet) = octets.next() {
        if octet != b'\\' {
            plain.push(octet);
            continue;
        }
        let next = octets.next()?;
        plain.push(match char::from(next).to_digit(16) {
            Some(high) => u8::try_from(high << 4 | char::from(octets.next()?).to_digit(16)?).ok()?,
            None => next,
        });
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn both_orders_name_the_same() {
        let rfc = Name::from_text("CN=gw.example, O=Example Inc, C=DE").unwrap();
        let openssl = Name::from_text("/C=DE/O=Example Inc/CN=gw.example").unwrap();
        assert_eq!(rfc, openssl);
        assert_eq!(rfc.to_string(), "CN=gw.example,O=Example Inc,C=DE");
    }

    #[test]
    fn escapes_survive_printing_and_reading() {
        for text in [
            "CN=a\\,b,O=x",
            "CN=\\#1",
            "CN=a\\\\ ",
            "CN=\\ space\\ ",
            "CN=\\0a",
            "CN=\u{fc}ber",
            "CN=a+serialNumber=7",
        ] {
            let name = Name::from_text(text).unwrap();
            assert_eq!(Name::from_text(&name.to_string()).unwrap(), name, "{text}");
        }
    }

    #[test]
    fn what_is_not_a_name_is_refused() {
        for text in ["CN", "CN=", "XX=y", "CN=a\\", "C=\u{fc}", "CN=\\0", &"CN=a,".repeat(400)] {
            assert!(Name::from_text(text).is_none(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_value_round_trips(value in "[^\\\\,+/=\"<>;#\\x00-\\x1f]{0,300}") {
            if let Some(name) = Name::from_text(&format!("CN={value}")) {
                prop_assert_eq!(Name::from_text(&name.to_string()).unwrap(), name);
            }
        }
    }
}
