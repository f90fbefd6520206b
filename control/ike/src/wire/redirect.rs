//! Data of REDIRECT and REDIRECTED_FROM (RFC 5685 §9.2, §9.3): a gateway, and in IKE_SA_INIT the nonce of the request.

use super::codec::Reader;
use super::notify::Notify;
use super::registry::NotifyType;
use core::fmt;
use core::str::FromStr;
use std::net::IpAddr;

const IPV4: u8 = 1;
const IPV6: u8 = 2;
const FQDN: u8 = 3;
/// Octets of a name written out: a peer may send anything, and this goes into logs.
const WRITTEN: usize = 80;
/// Octets of a host's name, and of a part of it, at most (RFC 1035 §2.3.4).
const NAME: usize = 253;
const LABEL: usize = 63;

/// Who is to be called instead, or who said so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GatewayIdentity {
    /// By address.
    Address(IpAddr),
    /// By name, as octets.
    Name(Vec<u8>),
}

/// A REDIRECT notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    /// Whom to call.
    pub to: GatewayIdentity,
    /// The initiator's nonce, in IKE_SA_INIT; empty in protected messages.
    pub nonce: Vec<u8>,
}

impl GatewayIdentity {
    /// The name, if it is one that a host can have (RFC 1123 §2.1); nothing else is given to a resolver.
    pub fn host_name(&self) -> Option<&str> {
        let GatewayIdentity::Name(octets) = self else { return None };
        core::str::from_utf8(octets).ok().filter(|name| is_host_name(name))
    }

    /// REDIRECTED_FROM: the gateway that sent us here.
    pub fn redirected_from(&self) -> Notify {
        Notify::new(NotifyType::RedirectedFrom, self.emit())
    }

    /// Reads the data of REDIRECTED_FROM.
    pub fn from_notify(notify: &Notify) -> Option<GatewayIdentity> {
        let mut reader = Reader::new("gateway identity", &notify.data);
        let from = GatewayIdentity::parse(&mut reader)?;
        reader.remainder().is_empty().then_some(from)
    }

    fn parse(reader: &mut Reader<'_>) -> Option<GatewayIdentity> {
        let kind = reader.u8().ok()?;
        let length = reader.u8().ok()?;
        let octets = reader.take(usize::from(length)).ok()?;
        match kind {
            IPV4 => <[u8; 4]>::try_from(octets).ok().map(|four| GatewayIdentity::Address(four.into())),
            IPV6 => <[u8; 16]>::try_from(octets).ok().map(|six| GatewayIdentity::Address(six.into())),
            FQDN if !octets.is_empty() => Some(GatewayIdentity::Name(octets.to_vec())),
            _ => None,
        }
    }

    fn emit(&self) -> Vec<u8> {
        let (kind, octets) = match self {
            GatewayIdentity::Address(IpAddr::V4(address)) => (IPV4, address.octets().to_vec()),
            GatewayIdentity::Address(IpAddr::V6(address)) => (IPV6, address.octets().to_vec()),
            GatewayIdentity::Name(name) => (FQDN, name.iter().copied().take(usize::from(u8::MAX)).collect()),
        };
        // At most 255, as taken above.
        let length = u8::try_from(octets.len()).unwrap_or(u8::MAX);
        [&[kind, length][..], &octets].concat()
    }
}

impl Redirect {
    /// The notification.
    pub fn notify(&self) -> Notify {
        Notify::new(NotifyType::Redirect, [self.to.emit(), self.nonce.clone()].concat())
    }

    /// Reads the notification's data.
    pub fn from_notify(notify: &Notify) -> Option<Redirect> {
        let mut reader = Reader::new("gateway identity", &notify.data);
        let to = GatewayIdentity::parse(&mut reader)?;
        Some(Redirect { to, nonce: reader.remainder().to_vec() })
    }
}

/// Letters, digits and inner hyphens between dots; the last part has a letter, which no address's has.
fn is_host_name(name: &str) -> bool {
    let inner = |octet: u8| octet.is_ascii_alphanumeric() || octet == b'-';
    let is_label = |label: &str| {
        (1..=LABEL).contains(&label.len())
            && label.bytes().all(inner)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last = name.rsplit('.').next().unwrap_or(name);
    name.len() <= NAME
        && name.split('.').all(is_label)
        && last.bytes().any(|octet| octet.is_ascii_alphabetic())
}

/// Neither an address nor a host's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("neither an address nor the name of a host")]
pub struct NoGateway;

impl FromStr for GatewayIdentity {
    type Err = NoGateway;

    fn from_str(text: &str) -> Result<GatewayIdentity, NoGateway> {
        match text.parse() {
            Ok(address) => Ok(GatewayIdentity::Address(address)),
            Err(_) if is_host_name(text) => Ok(GatewayIdentity::Name(text.as_bytes().to_vec())),
            Err(_) => Err(NoGateway),
        }
    }
}

impl fmt::Display for GatewayIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GatewayIdentity::Address(address) => write!(f, "{address}"),
            GatewayIdentity::Name(name) => {
                write!(f, "{}", name.get(..WRITTEN).unwrap_or(name).escape_ascii())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn gateway() -> impl Strategy<Value = GatewayIdentity> {
        prop_oneof![
            any::<IpAddr>().prop_map(GatewayIdentity::Address),
            proptest::collection::vec(any::<u8>(), 1..=255).prop_map(GatewayIdentity::Name),
        ]
    }

    proptest! {
        /// What is written is read; with an octet less of its identity, nothing is.
        #[test]
        fn round_trip_and_truncation(to in gateway(), nonce in proptest::collection::vec(any::<u8>(), 0..64)) {
            let redirect = Redirect { to: to.clone(), nonce };
            let notify = redirect.notify();
            prop_assert_eq!(Redirect::from_notify(&notify), Some(redirect.clone()));
            let identity = notify.data.len() - redirect.nonce.len();
            for length in 0..identity {
                let cut = Notify::new(NotifyType::Redirect, notify.data[..length].to_vec());
                prop_assert_eq!(Redirect::from_notify(&cut), None);
            }
            let from = to.redirected_from();
            prop_assert_eq!(GatewayIdentity::from_notify(&from), Some(to));
            let longer = Notify::new(NotifyType::RedirectedFrom, [&from.data[..], &[0]].concat());
            prop_assert_eq!(GatewayIdentity::from_notify(&longer), None);
        }

        /// Anything is read without harm.
        #[test]
        fn any_octets(data in proptest::collection::vec(any::<u8>(), 0..300)) {
            let notify = Notify::new(NotifyType::Redirect, data);
            if let Some(redirect) = Redirect::from_notify(&notify) {
                prop_assert_eq!(redirect.notify(), notify);
            }
        }
    }

    /// What is not plainly a host's name goes to no resolver.
    #[test]
    fn names_of_hosts() {
        let long = [["a"; 63].concat(), ["b"; 63].concat(), ["c"; 63].concat(), ["d"; 61].concat()].join(".");
        for name in ["gw.example", "GW-2.example", "x", "2gw", "1.2.3.x", long.as_str()] {
            let gateway = GatewayIdentity::Name(name.as_bytes().to_vec());
            assert_eq!((gateway.host_name(), name.parse()), (Some(name), Ok(gateway.clone())));
        }
        let longer = format!("{long}d");
        let wrong =
            ["", ".", "a.", ".a", "a..b", "-a", "a-.b", "a_b", "a b", "a\0", "gw\n", "é", "1.2.3", "7"];
        for name in wrong.into_iter().chain([longer.as_str(), ["a"; 64].concat().as_str()]) {
            assert_eq!(GatewayIdentity::Name(name.as_bytes().to_vec()).host_name(), None, "{name:?}");
            assert_eq!(name.parse::<GatewayIdentity>(), Err(NoGateway), "{name:?}");
        }
        assert_eq!(GatewayIdentity::Name(vec![0xff]).host_name(), None);
        let address = IpAddr::from([192, 0, 2, 9]);
        assert_eq!("192.0.2.9".parse(), Ok(GatewayIdentity::Address(address)));
        assert_eq!(GatewayIdentity::Address(address).host_name(), None);
    }

    /// RFC 5685 §9.2: a name is type 3, and no terminator is added.
    #[test]
    fn octets_of_a_name() {
        let to: GatewayIdentity = "gw.example".parse().unwrap();
        assert_eq!(Redirect { to, nonce: vec![9] }.notify().data, b"\x03\x0agw.example\x09");
    }

    /// RFC 5685 §9.2: type 1 with four octets, then the nonce.
    #[test]
    fn octets() {
        let to = GatewayIdentity::Address([192, 0, 2, 9].into());
        assert_eq!(Redirect { to, nonce: vec![7, 8] }.notify().data, [1, 4, 192, 0, 2, 9, 7, 8]);
        for wrong in [&[1, 3, 1, 2, 3][..], &[2, 4, 1, 2, 3, 4], &[3, 0], &[4, 1, 1], &[0, 0]] {
            assert_eq!(Redirect::from_notify(&Notify::new(NotifyType::Redirect, wrong.to_vec())), None);
        }
    }
}
