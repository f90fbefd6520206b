//! GeneralName (RFC 5280 §4.2.1.6): the forms in which a certificate, a constraint or an IKE peer names someone.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use super::Name;
use super::printable::write_text;
use crate::der::{DerError, Element, Reader, tag, write};
use crate::oid::Oid;

/// One name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GeneralName {
    /// `rfc822Name`: an e-mail address.
    Email(String),
    /// `dNSName`.
    Dns(String),
    /// `directoryName`.
    Directory(Name),
    /// `uniformResourceIdentifier`.
    Uri(String),
    /// `iPAddress`: 4 or 16 octets; in a name constraint 8 or 32, address and mask.
    Ip(Vec<u8>),
    /// `registeredID`.
    RegisteredId(Oid),
    /// `otherName`, `x400Address` and `ediPartyName`: kept, compared as octets, never interpreted.
    Other {
        /// The number of the alternative: 0, 3 or 5.
        number: u8,
        /// The whole element.
        der: Vec<u8>,
    },
}

/// Longest name taken from text: a domain name has 253 characters at most, a URI should not have many more.
const MAX_NAME: usize = 255;

/// Alternatives of the CHOICE, by number.
mod form {
    pub const OTHER: u8 = 0;
    pub const EMAIL: u8 = 1;
    pub const DNS: u8 = 2;
    pub const X400: u8 = 3;
    pub const DIRECTORY: u8 = 4;
    pub const EDI_PARTY: u8 = 5;
    pub const URI: u8 = 6;
    pub const IP: u8 = 7;
    pub const REGISTERED_ID: u8 = 8;
}

impl GeneralName {
    /// Reads one alternative. Addresses of any length pass: the caller knows which lengths make sense.
    pub fn parse(element: Element<'_>) -> Result<Self, DerError> {
        const EMAIL: u8 = tag::context(form::EMAIL);
        const DNS: u8 = tag::context(form::DNS);
        const DIRECTORY: u8 = tag::context_constructed(form::DIRECTORY);
        const URI: u8 = tag::context(form::URI);
        const IP: u8 = tag::context(form::IP);
        const REGISTERED_ID: u8 = tag::context(form::REGISTERED_ID);
        const OTHER: u8 = tag::context_constructed(form::OTHER);
        const X400: u8 = tag::context_constructed(form::X400);
        const EDI_PARTY: u8 = tag::context_constructed(form::EDI_PARTY);
        Ok(match element.tag {
            EMAIL => Self::Email(element.ascii()?.to_owned()),
            DNS => Self::Dns(element.ascii()?.to_owned()),
            DIRECTORY => Self::Directory(Name::from_der(element.content)?),
            URI => Self::Uri(element.ascii()?.to_owned()),
            IP => Self::Ip(element.content.to_vec()),
            REGISTERED_ID => Self::RegisteredId(Oid::from_octets(element.content)?),
            OTHER | X400 | EDI_PARTY => Self::Other { number: element.tag & 0x1f, der: element.raw.to_vec() },
            _ => return Err(DerError::Content("GeneralName")),
        })
    }

    /// Reads one name that is exactly `der`, as an ID payload of type ID_DER_ASN1_GN carries it.
    pub fn from_der(der: &[u8]) -> Result<Self, DerError> {
        let mut reader = Reader::new(der);
        let name = Self::parse(reader.element()?)?;
        reader.finish()?;
        Ok(name)
    }

    /// Its encoding.
    pub fn to_der(&self) -> Vec<u8> {
        match self {
            Self::Email(text) | Self::Dns(text) | Self::Uri(text) => {
                write::element(tag::context(self.form()), &[text.as_bytes()])
            }
            Self::Directory(name) => write::explicit(form::DIRECTORY, name.der()),
            Self::Ip(octets) => write::element(tag::context(form::IP), &[octets]),
            Self::RegisteredId(oid) => write::element(tag::context(form::REGISTERED_ID), &[oid.octets()]),
            Self::Other { der, .. } => der.clone(),
        }
    }

    /// The number of the alternative: names of different forms never compare.
    pub const fn form(&self) -> u8 {
        match self {
            Self::Email(_) => form::EMAIL,
            Self::Dns(_) => form::DNS,
            Self::Directory(_) => form::DIRECTORY,
            Self::Uri(_) => form::URI,
            Self::Ip(_) => form::IP,
            Self::RegisteredId(_) => form::REGISTERED_ID,
            Self::Other { number, .. } => *number,
        }
    }

    /// The address of an `iPAddress` name.
    pub fn ip_address(&self) -> Option<IpAddr> {
        let Self::Ip(octets) = self else { return None };
        let v4 = <[u8; 4]>::try_from(octets.as_slice()).map(|octets| IpAddr::V4(Ipv4Addr::from(octets)));
        let v6 = <[u8; 16]>::try_from(octets.as_slice()).map(|octets| IpAddr::V6(Ipv6Addr::from(octets)));
        v4.or(v6).ok()
    }
}

/// A name from text of an operator's: `dns:`, `ip:`, `email:` or `uri:` before it. Names that no certificate can carry
/// are refused with what is expected.
impl FromStr for GeneralName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = "dns:NAME, ip:ADDRESS, email:MAILBOX or uri:URI";
        let (form, value) = text.split_once(':').ok_or(expected)?;
        let visible =
            (1..=MAX_NAME).contains(&value.len()) && value.bytes().all(|octet| octet.is_ascii_graphic());
        if !visible {
            return Err(format!("{expected}, 1 to {MAX_NAME} visible ASCII characters"));
        }
        match form.to_ascii_lowercase().as_str() {
            "dns" => Ok(Self::Dns(value.to_owned())),
            "email" if value.contains('@') => Ok(Self::Email(value.to_owned())),
            "uri" if value.contains(':') => Ok(Self::Uri(value.to_owned())),
            "ip" => match value.parse().map_err(|_| "ip: an IPv4 or IPv6 address")? {
                IpAddr::V4(address) => Ok(Self::Ip(address.octets().to_vec())),
                IpAddr::V6(address) => Ok(Self::Ip(address.octets().to_vec())),
            },
            _ => Err(expected.to_owned()),
        }
    }
}

fn write_labelled(label: &str, text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str(label)?;
    write_text(text, f)
}

/// `DNS:gw.example`, `IP:192.0.2.1` and so on, as OpenSSL prints them.
impl fmt::Display for GeneralName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Email(text) => write_labelled("email:", text, f),
            Self::Dns(text) => write_labelled("DNS:", text, f),
            Self::Directory(name) => write!(f, "DirName:{name}"),
            Self::Uri(text) => write_labelled("URI:", text, f),
            Self::Ip(octets) => match self.ip_address() {
                Some(address) => write!(f, "IP:{address}"),
                None => write!(f, "IP:{octets:02x?}"),
            },
            Self::RegisteredId(oid) => write!(f, "RegisteredID:{oid:?}"),
            Self::Other { number, .. } => f.write_str(
                ["otherName", "x400Address", "ediPartyName"].get(usize::from(*number) / 2).unwrap_or(&"?"),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_operators_are_written_and_read_back() {
        for (text, shown) in [
            ("dns:gw.example", "DNS:gw.example"),
            ("IP:192.0.2.1", "IP:192.0.2.1"),
            ("ip:2001:db8::1", "IP:2001:db8::1"),
            ("email:op@gw.example", "email:op@gw.example"),
            ("uri:https://gw.example/x", "URI:https://gw.example/x"),
        ] {
            let name: GeneralName = text.parse().unwrap();
            assert_eq!(name.to_string(), shown);
            assert_eq!(GeneralName::from_der(&name.to_der()), Ok(name));
        }
        for bad in [
            "gw.example",
            "dns:",
            "dns:a b",
            "ip:gw",
            "email:gw",
            "uri:gw",
            "x:y",
            "dns:\u{fc}",
            &format!("dns:{}", "a".repeat(256)),
        ] {
            assert!(bad.parse::<GeneralName>().is_err(), "{bad}");
        }
    }

    /// A certificate can name a host so that a terminal does what the certificate's author wants.
    #[test]
    fn what_a_terminal_would_obey_is_never_printed() {
        for (text, shown) in [("a\u{1b}[2Jb", "DNS:a\\1b[2Jb"), ("a\rb", "DNS:a\\0db")] {
            assert_eq!(GeneralName::Dns(text.to_owned()).to_string(), shown);
        }
        let name = Name::from_text("CN=a\u{202e}b\u{200b}c\u{7f}").unwrap();
        assert_eq!(name.to_string(), "CN=a\\e2\\80\\aeb\\e2\\80\\8bc\\7f");
        assert_eq!(Name::from_text(&name.to_string()), Some(name));
    }
}
