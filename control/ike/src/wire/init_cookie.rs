//! The cookie of an IKE_SA_INIT request, in its octets: asked for one, a caller sends the same request again "with the
//! Notify payload containing the received cookie as the first payload and all other payloads unchanged" (RFC 7296 §2.6).

use super::header::HEADER_LENGTH;
use super::registry::{NotifyType, PayloadType};
use std::borrow::Cow;

/// Where the header names the first payload, and its length.
const FIRST: usize = 16;
const LENGTH: usize = 24;
/// Generic header, protocol, SPI size and type of a notification.
const NOTIFY: usize = 8;

/// The request as it was before its caller put a cookie in front; itself where there is none.
pub fn without_cookie(request: &[u8]) -> Cow<'_, [u8]> {
    remove(request).map_or(Cow::Borrowed(request), Cow::Owned)
}

fn remove(request: &[u8]) -> Option<Vec<u8>> {
    let (header, payloads) = request.split_at_checked(HEADER_LENGTH)?;
    let &[next, _, high, low, _, _, kind @ ..] = payloads.first_chunk::<NOTIFY>()?;
    let is_cookie = PayloadType::from(*header.get(FIRST)?) == PayloadType::Notify
        && NotifyType::from(u16::from_be_bytes(kind)) == NotifyType::Cookie;
    let length = usize::from(u16::from_be_bytes([high, low]));
    let rest = payloads.get(length..).filter(|_| is_cookie && length >= NOTIFY)?;
    let mut without = [header, rest].concat();
    let total = u32::try_from(without.len()).ok()?;
    *without.get_mut(FIRST)? = next;
    without.get_mut(LENGTH..HEADER_LENGTH)?.copy_from_slice(&total.to_be_bytes());
    Some(without)
}

#[cfg(test)]
mod tests {
    use super::super::{ExchangeType, Flags, Header, IkeSpi, Message, Nonce, Notify, NotifyType, Payload};
    use super::*;
    use proptest::prelude::*;

    fn request(payloads: Vec<Payload>) -> Vec<u8> {
        let flags = Flags { initiator: true, version: false, response: false };
        let header = Header::new(IkeSpi(7), IkeSpi::ZERO, ExchangeType::IkeSaInit, flags, 0);
        Message::new(header, payloads).emit().expect("it is short")
    }

    fn others() -> Vec<Payload> {
        let nonce = Nonce::new(vec![5; 32]).expect("32 octets are allowed");
        vec![
            Payload::Nonce(nonce),
            Payload::Notify(Notify::new(NotifyType::FragmentationSupported, Vec::new())),
        ]
    }

    /// With a cookie of any length the request is the one from before; without one nothing is taken.
    #[test]
    fn what_was_put_in_front_is_taken_away() {
        let before = request(others());
        for length in [1, 36, 64] {
            let cookie = Payload::Notify(Notify::new(NotifyType::Cookie, vec![3; length]));
            let with = request([vec![cookie], others()].concat());
            assert_eq!(without_cookie(&with), before);
        }
        assert!(matches!(without_cookie(&before), Cow::Borrowed(_)));
    }

    proptest! {
        /// Octets of strangers are read here before anything is known of them.
        #[test]
        fn nothing_makes_it_fail(octets in proptest::collection::vec(any::<u8>(), 0..100)) {
            prop_assert!(without_cookie(&octets).len() <= octets.len());
        }
    }
}
