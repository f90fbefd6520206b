//! GeneralName (RFC 5280 §4.2.1.6): the forms in which a certificate, a constraint or an IKE peer names someone.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Name;
use crate::der::{DerError, Element, Reader, tag};
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

/// `DNS:gw.example`, `IP:192.0.2.1` and so on, as OpenSSL prints them.
impl fmt::Display for GeneralName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Email(text) => write!(f, "email:{text}"),
            Self::Dns(text) => write!(f, "DNS:{text}"),
            Self::Directory(name) => write!(f, "DirName:{name}"),
            Self::Uri(text) => write!(f, "URI:{text}"),
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
