//! What the operator wants to know about the certificates of one CA.

use super::{Method, Order};
use crate::revocation::Issued;
use crate::revocation::ocsp::{IdHash, NonceRule, ResponseRules};

/// Addresses asked for one statement, one after the other.
pub const MAX_LOCATIONS: usize = 8;

/// How much an answer matters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Demand {
    /// The order decides.
    #[default]
    Require,
    /// The order decides if there is anywhere to ask; a certificate that names no address, with none configured and
    /// nothing known, is accepted.
    IfUri,
    /// The order decides, but what has gone out of date by no more than so many seconds still counts when nothing newer
    /// can be had.
    Soft {
        /// Seconds past nextUpdate.
        max_stale: u64,
    },
    /// Nobody is asked.
    Off,
}

/// What having a CRL means to the CA itself (`revocation-check` of a ca-profile).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CrlDuty {
    /// A CRL is a method like another.
    #[default]
    ByOrder,
    /// `crl`: without a usable CRL of the CA, nothing it has issued is accepted, whatever else is said.
    Mandatory,
    /// `crl-optional`: without one, the CAs it has issued certificates to count as good, and end entities go by the order.
    Optional,
}

/// The rules for the certificates of one CA.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// How much an answer matters.
    pub demand: Demand,
    /// Whom to ask, in which order.
    pub order: Order,
    /// What having a CRL means.
    pub crl: CrlDuty,
    /// Addresses of the CRL, before those in the certificate.
    pub crl_urls: Vec<String>,
    /// The responder, in place of those in the certificate.
    pub ocsp_url: Option<String>,
    /// Ask responders about CAs too, not about end entities alone.
    pub ocsp_for_authorities: bool,
    /// Let a CRL that says "good" overrule a responder that says "revoked", as one vendor does. A revocation is final
    /// without it.
    pub revoked_ocsp_falls_back_to_crl: bool,
    /// What a response must be like.
    pub response: ResponseRules,
    /// With which hash to name the CA to its responder.
    pub id_hash: IdHash,
    /// Send a nonce.
    pub nonce: bool,
}

impl Rules {
    /// Whether the word of a responder counts that a peer brings itself (RFC 4806): where OCSP is asked, unless an
    /// answer has to have our nonce, which such a one cannot.
    pub fn wants_stapled(&self) -> bool {
        let asked = self.demand != Demand::Off && self.order.methods().contains(&Method::Ocsp);
        asked && !self.wants_nonce()
    }

    /// Whether an answer without our nonce is none.
    pub(super) fn wants_nonce(&self) -> bool {
        self.nonce && self.response.nonce == NonceRule::Strict
    }

    /// The methods for a certificate. A CA's is asked about by its issuer's CRL alone, unless OCSP is allowed for it too:
    /// an order of OCSP alone does not leave it unasked.
    pub(super) fn methods(&self, issued: &Issued) -> Vec<Method> {
        let allowed =
            |method: &Method| *method == Method::Crl || self.ocsp_for_authorities || !issued.is_authority();
        let methods: Vec<Method> = self.order.methods().iter().copied().filter(allowed).collect();
        let asked = !methods.is_empty() || self.order.methods().is_empty();
        if asked { methods } else { vec![Method::Crl] }
    }

    /// Where to ask by a method, each address once.
    pub(super) fn locations(&self, issued: &Issued, method: Method) -> Vec<String> {
        let extensions = &issued.certificate.extensions;
        let all: Vec<&str> = match method {
            Method::Crl => {
                // The CRL at a point of another issuer would be an indirect one.
                let own = extensions.crl_distribution_points.iter().filter(|point| !point.other_issuer);
                let named = own.flat_map(|point| point.uris());
                self.crl_urls.iter().map(String::as_str).chain(named).collect()
            }
            Method::Ocsp => match &self.ocsp_url {
                Some(url) => vec![url],
                None => extensions.ocsp_responders.iter().map(String::as_str).collect(),
            },
        };
        let mut locations: Vec<String> = Vec::new();
        for url in all {
            if locations.len() < MAX_LOCATIONS && !locations.iter().any(|known| known == url) {
                locations.push(url.to_owned());
            }
        }
        locations
    }
}
