//! IKE identities (RFC 7296 §3.5) and whether a certificate carries them (RFC 4945 §3.1).
//!
//! An address, a domain name or a mailbox must stand in the subjectAltName; a distinguished name must be the subject.
//! The CN is never taken for a domain name, wildcards never match, and an ID_KEY_ID, which is not meant for
//! certificates (RFC 4945 §3.1.8), never does.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use crate::der::DerError;
use crate::x509::{Certificate, GeneralName, Name};

/// Longest identity accepted, in octets; a distinguished name of a few hundred is long.
pub const MAX_IDENTITY: usize = 2048;

/// Who a peer says it is. Equality is that of the thing named: domain names ignore case, names follow RFC 5280 §7.1.
#[derive(Clone, Debug, Eq)]
pub enum Identity {
    /// ID_IPV4_ADDR (1).
    Ipv4(Ipv4Addr),
    /// ID_FQDN (2).
    Fqdn(String),
    /// ID_RFC822_ADDR (3).
    Email(String),
    /// ID_IPV6_ADDR (5).
    Ipv6(Ipv6Addr),
    /// ID_DER_ASN1_DN (9).
    Dn(Name),
    /// ID_DER_ASN1_GN (10).
    GeneralName(GeneralName),
    /// ID_KEY_ID (11).
    KeyId(Vec<u8>),
}

/// Why bytes or text are no identity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// A type of RFC 7296 §3.5 that is not supported, or none at all.
    #[error("identity type {0} is not supported")]
    Type(u8),
    /// The data does not fit the type.
    #[error("{0} octets are no {1}")]
    Length(usize, &'static str),
    /// Characters that a domain name or mailbox cannot have.
    #[error("not a valid {0}")]
    Text(&'static str),
    /// The DER is broken.
    #[error("{0}")]
    Der(#[from] DerError),
}

/// Where in the certificate the identity was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Match {
    /// It is the subject.
    Subject,
    /// It is this subjectAltName.
    AlternativeName(String),
}

/// The identity is not in the certificate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the identity {claimed} is not in the peer's certificate, which carries {carried}")]
pub struct Mismatch {
    /// The identity claimed.
    pub claimed: String,
    /// The identities the certificate would have borne out.
    pub carried: String,
}

impl Identity {
    /// Reads the ID Type and Identification Data of an ID payload.
    pub fn from_payload(id_type: u8, data: &[u8]) -> Result<Self, IdentityError> {
        if data.len() > MAX_IDENTITY {
            return Err(IdentityError::Length(data.len(), "identity"));
        }
        match id_type {
            1 => <[u8; 4]>::try_from(data)
                .map(|octets| Self::Ipv4(octets.into()))
                .map_err(|_| IdentityError::Length(data.len(), "IPv4 address")),
            5 => <[u8; 16]>::try_from(data)
                .map(|octets| Self::Ipv6(octets.into()))
                .map_err(|_| IdentityError::Length(data.len(), "IPv6 address")),
            2 => domain_name(data).map(Self::Fqdn).ok_or(IdentityError::Text("domain name")),
            3 => mailbox(data).map(Self::Email).ok_or(IdentityError::Text("mailbox")),
            9 => Ok(Self::Dn(Name::from_der(data)?)),
            10 => Ok(Self::GeneralName(GeneralName::from_der(data)?)),
            11 => Ok(Self::KeyId(data.to_vec())),
            other => Err(IdentityError::Type(other)),
        }
    }

    /// ID Type and Identification Data for an ID payload; `None` for a GeneralName, which RFC 4945 §3.1.7 forbids
    /// to send.
    pub fn to_payload(&self) -> Option<(u8, Vec<u8>)> {
        Some(match self {
            Self::Ipv4(address) => (1, address.octets().to_vec()),
            Self::Fqdn(name) => (2, name.clone().into_bytes()),
            Self::Email(mailbox) => (3, mailbox.clone().into_bytes()),
            Self::Ipv6(address) => (5, address.octets().to_vec()),
            Self::Dn(name) => (9, name.der().to_vec()),
            Self::GeneralName(_) => return None,
            Self::KeyId(octets) => (11, octets.clone()),
        })
    }

    /// Whether the certificate bears the identity out, and where.
    pub fn matches(&self, certificate: &Certificate) -> Result<Match, Mismatch> {
        let found = match self {
            // RFC 4945 §3.1.5: the DN must be the subject; an empty one names nobody.
            Self::Dn(name) => (!name.is_empty() && *name == certificate.subject).then_some(Match::Subject),
            Self::KeyId(_) => None,
            _ => self.alternative_name(certificate),
        };
        found.ok_or_else(|| Mismatch { claimed: self.to_string(), carried: carried(certificate) })
    }

    fn alternative_name(&self, certificate: &Certificate) -> Option<Match> {
        let names = &certificate.extensions.subject_alt_names;
        let found = names.iter().find(|name| self.is_general_name(name))?;
        Some(Match::AlternativeName(found.to_string()))
    }

    fn is_general_name(&self, name: &GeneralName) -> bool {
        match (self, name) {
            (Self::Ipv4(address), _) => name.ip_address() == Some(IpAddr::V4(*address)),
            (Self::Ipv6(address), _) => name.ip_address() == Some(IpAddr::V6(*address)),
            (Self::Fqdn(claimed), GeneralName::Dns(name)) => same_domain(claimed, name),
            (Self::Email(claimed), GeneralName::Email(name)) => same_mailbox(claimed, name),
            (Self::GeneralName(GeneralName::Dns(claimed)), GeneralName::Dns(name)) => {
                !claimed.contains('*') && same_domain(claimed, name)
            }
            (Self::GeneralName(claimed), _) => claimed == name,
            _ => false,
        }
    }
}

/// Every identity a certificate bears out, for the operator who must choose one.
pub fn carried(certificate: &Certificate) -> String {
    let names = certificate.extensions.subject_alt_names.iter().map(GeneralName::to_string);
    let subject = (!certificate.subject.is_empty()).then(|| format!("DN:{}", certificate.subject));
    let all: Vec<String> = subject.into_iter().chain(names).collect();
    if all.is_empty() { "no identity at all".to_owned() } else { all.join(", ") }
}

fn domain_name(data: &[u8]) -> Option<String> {
    let allowed = |octet: &u8| octet.is_ascii_alphanumeric() || b"-._".contains(octet);
    let text = str::from_utf8(data).ok().filter(|_| data.iter().all(allowed))?;
    let name = text.strip_suffix('.').unwrap_or(text);
    let labels = name.split('.').all(|label| (1..=63).contains(&label.len()));
    (labels && name.len() <= 253).then(|| name.to_owned())
}

fn mailbox(data: &[u8]) -> Option<String> {
    let text = str::from_utf8(data).ok().filter(|text| text.chars().all(|char| char.is_ascii_graphic()))?;
    let (local, host) = text.rsplit_once('@')?;
    (!local.is_empty() && domain_name(host.as_bytes()).is_some()).then(|| text.to_owned())
}

fn same_domain(left: &str, right: &str) -> bool {
    left.strip_suffix('.').unwrap_or(left).eq_ignore_ascii_case(right.strip_suffix('.').unwrap_or(right))
}

/// RFC 5280 §7.5: the local part exactly, the host without regard to case.
fn same_mailbox(left: &str, right: &str) -> bool {
    match (left.rsplit_once('@'), right.rsplit_once('@')) {
        (Some((local, host)), Some((other_local, other_host))) => {
            local == other_local && same_domain(host, other_host)
        }
        _ => false,
    }
}

impl PartialEq for Identity {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Ipv4(left), Self::Ipv4(right)) => left == right,
            (Self::Ipv6(left), Self::Ipv6(right)) => left == right,
            (Self::Fqdn(left), Self::Fqdn(right)) => same_domain(left, right),
            (Self::Email(left), Self::Email(right)) => same_mailbox(left, right),
            (Self::Dn(left), Self::Dn(right)) => left == right,
            (Self::GeneralName(left), Self::GeneralName(right)) => left == right,
            (Self::KeyId(left), Self::KeyId(right)) => left == right,
            _ => false,
        }
    }
}

/// The forms an operator writes: `ip:`, `fqdn:`, `email:`, `dn:` (RFC 4514, or `/C=DE/CN=x` in encoding order) and
/// `keyid:` before the value, or the value alone where its form is plain.
impl FromStr for Identity {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, IdentityError> {
        let (form, value) = match text.split_once(':') {
            Some((form @ ("ip" | "fqdn" | "email" | "dn" | "keyid"), value)) => (form, value),
            _ => (plain_form(text), text),
        };
        match form {
            "ip" => match value.parse() {
                Ok(IpAddr::V4(address)) => Ok(Self::Ipv4(address)),
                Ok(IpAddr::V6(address)) => Ok(Self::Ipv6(address)),
                Err(_) => Err(IdentityError::Text("IP address")),
            },
            "dn" => Name::from_text(value).map(Self::Dn).ok_or(IdentityError::Text("distinguished name")),
            "email" => Self::from_payload(3, value.as_bytes()),
            "keyid" => Self::from_payload(11, value.as_bytes()),
            _ => Self::from_payload(2, value.as_bytes()),
        }
    }
}

fn plain_form(text: &str) -> &'static str {
    if text.parse::<IpAddr>().is_ok() {
        "ip"
    } else if text.contains('=') {
        "dn"
    } else if text.contains('@') {
        "email"
    } else {
        "fqdn"
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ipv4(address) => write!(f, "ip:{address}"),
            Self::Ipv6(address) => write!(f, "ip:{address}"),
            Self::Fqdn(name) => write!(f, "fqdn:{name}"),
            Self::Email(mailbox) => write!(f, "email:{mailbox}"),
            Self::Dn(name) => write!(f, "dn:{name}"),
            Self::GeneralName(name) => write!(f, "gn:{name}"),
            Self::KeyId(octets) => match str::from_utf8(octets) {
                Ok(text) if text.chars().all(|char| char.is_ascii_graphic()) => write!(f, "keyid:{text}"),
                _ => write!(
                    f,
                    "keyid:#{}",
                    octets.iter().map(|octet| format!("{octet:02x}")).collect::<String>()
                ),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn written_forms_are_understood_and_print_as_they_are_read() {
        for (text, printed) in [
            ("192.0.2.1", "ip:192.0.2.1"),
            ("2001:db8::1", "ip:2001:db8::1"),
            ("gw.example", "fqdn:gw.example"),
            ("op@gw.example", "email:op@gw.example"),
            ("CN=gw,O=Ravelin,C=DE", "dn:CN=gw,O=Ravelin,C=DE"),
            ("/C=DE/O=Ravelin/CN=gw", "dn:CN=gw,O=Ravelin,C=DE"),
            ("keyid:group-7", "keyid:group-7"),
        ] {
            let identity: Identity = text.parse().unwrap();
            assert_eq!(identity.to_string(), printed);
            assert_eq!(printed.parse::<Identity>().unwrap(), identity);
        }
    }

    #[test]
    fn payloads_round_trip() {
        for text in ["192.0.2.1", "2001:db8::1", "gw.example", "op@gw.example", "CN=gw,C=DE", "keyid:x"] {
            let identity: Identity = text.parse().unwrap();
            let (id_type, data) = identity.to_payload().unwrap();
            assert_eq!(Identity::from_payload(id_type, &data).unwrap(), identity);
        }
    }

    #[test]
    fn malformed_payloads_are_refused() {
        let long = vec![b'a'; 2049];
        for (id_type, data) in [
            (1, &[192, 0, 2][..]),
            (5, &[0; 4]),
            (2, b""),
            (2, b"a..b"),
            (2, b"gw\0.example"),
            (2, b"*.example"),
            (2, b"gw example"),
            (3, b"gw.example"),
            (3, b"@gw"),
            (9, b"\x30\x01"),
            (4, &[0; 8]),
            (0, b""),
            (11, &long),
        ] {
            assert!(Identity::from_payload(id_type, data).is_err(), "{id_type} {data:02x?}");
        }
    }

    #[test]
    fn equality_is_that_of_the_thing_named() {
        let same = |left: &str, right: &str| left.parse::<Identity>().unwrap() == right.parse().unwrap();
        assert!(same("GW.example", "gw.EXAMPLE."));
        assert!(same("op@GW.example", "op@gw.example"));
        assert!(!same("OP@gw.example", "op@gw.example"));
        assert!(same("CN=Gateway  One", "cn=gateway one"));
        assert!(!same("fqdn:192.0.2.1", "192.0.2.1"));
    }

    proptest! {
        #[test]
        fn any_payload_is_an_identity_or_refused(
            id_type in 0u8..16, data in proptest::collection::vec(any::<u8>(), 0..100)
        ) {
            if let Ok(identity) = Identity::from_payload(id_type, &data) {
                prop_assert!(!identity.to_string().chars().any(char::is_control));
            }
        }

        #[test]
        fn any_text_is_an_identity_or_refused(text in ".{0,60}") {
            let _ = text.parse::<Identity>();
        }
    }
}
