//! What responders say of certificates of ours, to be shown to peers that ask for it (RFC 4806). Opaque here: whoever
//! gives it has seen that it says "good", and until when.

use crate::time::Instant;
use std::collections::BTreeMap;

/// Responses by the certificate they are about, both DER.
#[derive(Debug, Default)]
pub(crate) struct Responses(BTreeMap<Vec<u8>, Response>);

#[derive(Debug)]
struct Response {
    octets: Vec<u8>,
    until: Instant,
}

impl Responses {
    /// This one is about a certificate from now on, until then. Those that have ended go.
    pub(crate) fn set(&mut self, now: Instant, certificate: &[u8], response: Option<(Vec<u8>, Instant)>) {
        self.0.retain(|_, response| now < response.until);
        match response {
            Some((octets, until)) => drop(self.0.insert(certificate.to_vec(), Response { octets, until })),
            None => drop(self.0.remove(certificate)),
        }
    }

    /// The one about a certificate, if it has not ended.
    pub(crate) fn of(&self, certificate: &[u8], now: Instant) -> Option<&[u8]> {
        self.0.get(certificate).filter(|response| now < response.until).map(|it| it.octets.as_slice())
    }
}
