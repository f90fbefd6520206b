//! The few fields of a caller's first request that its cookie is bound to, read where they lie. While callers must show
//! cookies nothing more is looked at, and nothing is built, of a request without one (RFC 7296 §2.6).

use super::codec::Reader;
use super::header::{HEADER_LENGTH, Header};
use super::limits;
use super::nonce;
use super::payload::Link;
use super::registry::{NotifyType, PayloadType};
use super::spi::Spi;

/// A first request at a glance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Glance<'a> {
    /// Its header.
    pub header: Header,
    /// Ni, of a length that is allowed.
    pub nonce: &'a [u8],
    /// The data of its first COOKIE notification.
    pub cookie: Option<&'a [u8]>,
}

impl<'a> Glance<'a> {
    /// Reads a request; `None` if it has no nonce or its payloads do not end where it does. Whatever
    /// [`super::Outer::parse`] takes and has a nonce is taken here.
    pub fn of(request: &'a [u8]) -> Option<Glance<'a>> {
        let (header, first, _) = Header::parse(request).ok()?;
        let mut reader = Reader::new("message", request.get(HEADER_LENGTH..)?);
        let (mut next, mut nonce, mut cookie) = (first, None, None);
        for _ in 0..=2 * limits::PAYLOADS {
            if next == PayloadType::None {
                reader.finish().ok()?;
                return Some(Glance { header, nonce: nonce?, cookie });
            }
            let mut link = Link::parse(next, &mut reader).ok()?;
            match next {
                PayloadType::Nonce => nonce = nonce.or(Some(link.body.remainder())).filter(is_allowed),
                PayloadType::Notify => cookie = cookie.or(cookie_in(link.body)),
                _ => {}
            }
            next = link.next;
        }
        None
    }
}

fn is_allowed(nonce: &&[u8]) -> bool {
    nonce::ALLOWED.contains(&nonce.len())
}

fn cookie_in(mut body: Reader<'_>) -> Option<&[u8]> {
    let (_protocol, spi_size, kind) = (body.u8().ok()?, body.u8().ok()?, body.u16().ok()?);
    Spi::parse(&mut body, spi_size).ok()?;
    (NotifyType::from(kind) == NotifyType::Cookie).then(|| body.remainder())
}

#[cfg(test)]
mod tests {
    use super::super::{ExchangeType, Flags, IkeSpi, Message, Nonce, Notify, Outer, Payload};
    use super::*;
    use proptest::prelude::*;

    fn request(payloads: Vec<Payload>) -> Vec<u8> {
        let flags = Flags { initiator: true, version: false, response: false };
        let header = Header::new(IkeSpi(7), IkeSpi::ZERO, ExchangeType::IkeSaInit, flags, 0);
        Message::new(header, payloads).emit().expect("it is short")
    }

    fn payload() -> impl Strategy<Value = Payload> {
        let octets = |length| proptest::collection::vec(any::<u8>(), length);
        prop_oneof![
            octets(16..64).prop_map(|octets| Payload::Nonce(Nonce::new(octets).expect("an allowed length"))),
            octets(0..64).prop_map(|data| Payload::Notify(Notify::new(NotifyType::Cookie, data))),
            octets(0..64).prop_map(|data| Payload::Notify(Notify::new(NotifyType::UsePpk, data))),
            octets(0..64).prop_map(Payload::VendorId),
        ]
    }

    proptest! {
        /// A glance sees of a message what reading all of it finds first.
        #[test]
        fn it_agrees_with_the_whole(payloads in proptest::collection::vec(payload(), 0..8)) {
            let octets = request(payloads);
            let Ok(Outer::Clear(message)) = Outer::parse(&octets) else { panic!("we wrote it") };
            let nonce = message.payloads.iter().find_map(|payload| match payload {
                Payload::Nonce(nonce) => Some(nonce.as_bytes()),
                _ => None,
            });
            let glance = Glance::of(&octets);
            prop_assert_eq!(glance.map(|it| it.nonce), nonce);
            if let Some(glance) = glance {
                let cookie = message.notify(NotifyType::Cookie).map(|notify| notify.data.as_slice());
                prop_assert_eq!((glance.header, glance.cookie), (message.header, cookie));
            }
        }

        /// Octets of strangers are read here before anything is known of them; what is cut short is refused.
        #[test]
        fn nothing_makes_it_fail(octets in proptest::collection::vec(any::<u8>(), 0..100), cut in 0_usize..100) {
            let _ = Glance::of(&octets);
            let whole = request(vec![Payload::Nonce(Nonce::new(vec![5; 32]).expect("allowed"))]);
            let cut = cut % whole.len();
            prop_assert_eq!(Glance::of(&whole[..cut]), None);
        }
    }
}
