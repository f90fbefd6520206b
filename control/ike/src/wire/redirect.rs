//! Data of REDIRECT and REDIRECTED_FROM (RFC 5685 §9.2, §9.3): a gateway, and in IKE_SA_INIT the nonce of the request.

use super::codec::Reader;
use super::notify::Notify;
use super::registry::NotifyType;
use core::fmt;
use std::net::IpAddr;

const IPV4: u8 = 1;
const IPV6: u8 = 2;
const FQDN: u8 = 3;
/// Octets of a name written out: a peer may send anything, and this goes into logs.
const WRITTEN: usize = 80;

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
