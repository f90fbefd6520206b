//! What SUPPORTED_AUTH_METHODS says (RFC 9593 §3.2): ways of proving oneself, each with a link to an authority and an
//! algorithm where it has such.

use super::limits;
use super::registry::AuthenticationMethod;

/// One way in which a peer may prove itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announcement {
    /// The method.
    pub method: AuthenticationMethod,
    /// Of which authority the certificate is to be, by its place from 1 among those of the CERTREQ payloads beside it; 0: of
    /// any. Methods without certificates have none.
    pub link: Option<u8>,
    /// AlgorithmIdentifier, DER, of a digital signature (14); else empty.
    pub algorithm: Vec<u8>,
}

impl Announcement {
    /// Notification Data.
    pub fn emit(all: &[Announcement]) -> Vec<u8> {
        let mut out = Vec::new();
        for Announcement { method, link, algorithm } in all {
            // The longest algorithm, RSASSA-PSS, has 67 octets.
            let length = 2 + link.map_or(0, |_| 1 + algorithm.len());
            out.extend([u8::try_from(length).unwrap_or(u8::MAX), u8::from(*method)]);
            if let Some(link) = link {
                out.push(*link);
                out.extend_from_slice(algorithm);
            }
        }
        out
    }

    /// Those in Notification Data, as far as they can be read and as many as are looked at.
    pub fn parse(data: &[u8]) -> Vec<Announcement> {
        let mut rest = data;
        let next = || {
            let (length, _) = rest.split_first()?;
            let (one, others) = rest.split_at_checked(usize::from(*length))?;
            rest = others;
            let (_, body) = one.split_first()?;
            let (method, body) = body.split_first()?;
            let method = AuthenticationMethod::from(*method);
            let link = body.first().copied();
            Some(Announcement { method, link, algorithm: body.get(1..).unwrap_or_default().to_vec() })
        };
        std::iter::from_fn(next).take(limits::ANNOUNCEMENTS).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use AuthenticationMethod::{DigitalSignature, EcdsaP256Sha256, SharedKey};

    fn one(method: AuthenticationMethod, link: Option<u8>, algorithm: &[u8]) -> Announcement {
        Announcement { method, link, algorithm: algorithm.to_vec() }
    }

    /// The three shapes of §3.2.1 to §3.2.3.
    #[test]
    fn the_three_shapes() {
        let all = [
            one(SharedKey, None, &[]),
            one(EcdsaP256Sha256, Some(0), &[]),
            one(DigitalSignature, Some(2), &[0x30, 5, 6, 3, 0x2b, 0x65, 0x70]),
        ];
        let octets = [2, 2, 3, 9, 0, 10, 14, 2, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70];
        assert_eq!(Announcement::emit(&all), octets);
        assert_eq!(Announcement::parse(&octets), all);
    }

    /// What follows a length that is none is not looked at, nor more than a limit.
    #[test]
    fn what_cannot_be_read_ends_the_list() {
        for (octets, read) in [
            (&[][..], 0),
            (&[0, 2, 2, 2], 0),
            (&[1, 2, 2], 0),
            (&[2], 0),
            (&[2, 2, 1, 2], 1),
            (&[2, 2, 9, 14, 0], 1),
            (&[2, 2, 2, 13, 2, 200], 3),
        ] {
            assert_eq!(Announcement::parse(octets).len(), read, "{octets:?}");
        }
        let many = [2_u8, 2].repeat(2000);
        assert_eq!(Announcement::parse(&many).len(), limits::ANNOUNCEMENTS);
    }
}
