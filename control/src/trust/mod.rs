//! Trust: whom a connection believes, and the verdict on what a peer presents.
//!
//! A [`Profile`] is the anchors and rules of one trust-anchor-profile; what it says never changes once made, so any thread of
//! the pool may judge with it while the control loop goes on. The current time comes with each question. Deciding is
//! left to `ravelin-pki`; this room turns configuration into profiles, adds the one check that needs configuration
//! (is this the peer the operator expects?), and gives every refusal a stable code. Whether what was judged has been
//! revoked since is asked in [`revocation`], by the rules of a [`Regime`]. Lists narrow whom a gateway believes (`names`), maps
//! make exceptions (`map`). Certificates that a peer only points to are fetched first (`lookup`). What rests on an authority
//! that is shut down is refused (`shut`), and how each authority stands is told as flags (`standing`). Peers without
//! certificates are known by their keys (`keys`).

mod answer;
mod code;
pub mod expiry;
mod keys;
mod lookup;
mod map;
mod names;
mod regime;
pub mod revocation;
mod shut;
pub mod standing;

use std::sync::Arc;

use ravelin_pki::certreq::{self, KeyHash};
use ravelin_pki::identity::Identity;
use ravelin_pki::key::VerifyError;
use ravelin_pki::path::{Budget, KnownSignatures, Rules};
use ravelin_pki::revocation::Revoked;
use ravelin_pki::revocation::policy::Method;
use ravelin_pki::store::{Anchors, Intermediates};
use ravelin_pki::verdict::{self, Basis, Verdict};
use ravelin_pki::x509::CertificateError;
use ravelin_pki::{Certificate, PublicKey, SignatureScheme, UnixTime};

pub use answer::{answer, identity_from_ike, judge, judge_key, verify};
pub use keys::PeerKeys;
pub use lookup::{LookupRefusal, look_up};
pub use map::{CertificateMap, Condition};
pub use names::{CommonNames, NamePattern};
pub use regime::{Particular, Regime};
pub use shut::Shut;

/// Whom to believe, and under which rules.
#[derive(Clone, Debug)]
pub struct Profile {
    anchors: Anchors,
    intermediates: Intermediates,
    rules: Rules,
    dynamic_intermediates: bool,
    match_identity: bool,
    regime: Arc<Regime>,
    maps: Vec<Arc<CertificateMap>>,
    shut: Shut,
    keys: PeerKeys,
    /// Peers bring the same intermediates again and again.
    known: Arc<KnownSignatures>,
}

/// What a profile is made of.
#[derive(Clone, Debug)]
pub struct Sources<'a> {
    /// Certificates of the anchors, DER; at least one, unless there are keys.
    pub anchors: &'a [Vec<u8>],
    /// Intermediates a peer may leave out, DER.
    pub intermediates: &'a [Vec<u8>],
    /// What is acceptable.
    pub rules: Rules,
    /// Whether intermediates that the peer sends are looked at: else those we hold are all there are.
    pub dynamic_intermediates: bool,
    /// Whether the identity a peer claims must be in its certificate (RFC 4945 §3.1). Turning it off lets every
    /// holder of a certificate below the anchors pose as any other.
    pub match_identity: bool,
    /// How revocation is asked about.
    pub regime: Regime,
    /// The exceptions that are made for peers.
    pub maps: &'a [Arc<CertificateMap>],
    /// The authorities that nothing may rest on.
    pub shut: Shut,
    /// Public keys of peers that show no certificate.
    pub keys: PeerKeys,
}

/// Why there is no profile. The operator's to mend.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProfileError {
    /// Without an anchor or a key nobody is believed.
    #[error("a trust-anchor-profile needs at least one anchor, or public keys")]
    NoAnchor,
    /// One of the certificates is none.
    #[error("certificate {number} of the {list} cannot be read: {error}")]
    Certificate {
        /// `anchors` or `intermediates`.
        list: &'static str,
        /// Which, from 1.
        number: usize,
        /// Why.
        error: CertificateError,
    },
}

/// What a peer presents.
#[derive(Clone, Debug)]
pub struct Question<'a> {
    /// The contents of its CERT payloads of encoding 4, its own first.
    pub chain: &'a [Vec<u8>],
    /// Who it says it is.
    pub claimed: &'a Identity,
    /// Who the operator says it is; `None` accepts whoever its certificate proves it to be.
    pub expected: Option<&'a Identity>,
    /// Names of which its certificate must have one.
    pub listed: Option<&'a CommonNames>,
}

impl Question<'_> {
    fn is_expected(&self) -> Result<(), Refusal> {
        match self.expected.filter(|expected| *expected != self.claimed) {
            Some(expected) => {
                let (claimed, expected) = (self.claimed.to_string(), expected.to_string());
                Err(Refusal::Unexpected { claimed, expected })
            }
            None => Ok(()),
        }
    }
}

/// Why a peer is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Its certificate or chain is not good enough.
    #[error(transparent)]
    Certificate(#[from] verdict::Refusal),
    /// It is somebody, but not the peer of this connection.
    #[error("the peer is {claimed}, and this connection is configured for {expected}")]
    Unexpected {
        /// Who it says it is.
        claimed: String,
        /// Who it should be.
        expected: String,
    },
    /// Its certificate has no name of those that its gateway lets in.
    #[error("common-name-list {list} has none of the names in the peer's certificate: {found}")]
    Unlisted {
        /// The list.
        list: String,
        /// The names in the certificate.
        found: String,
    },
    /// It rests on an authority that the operator has shut down.
    #[error("its certificate rests on ca-profile {0}, which is shut down (enabled = false)")]
    Shut(String),
    /// It shows no certificate, and no key of it is known.
    #[error("the peer shows no certificate, and there is no public key of {0} in public-keys")]
    NoKey(String),
    /// It shows another's public key, or one that nobody knows.
    #[error(
        "the peer shows a public key (SHA-256 {shown}) that is none of those of {claimed} in public-keys"
    )]
    OtherKey {
        /// Who it says it is.
        claimed: String,
        /// SHA-256 over the key.
        shown: String,
    },
    /// Its identity is not one certificates can carry.
    #[error("the peer's identity cannot be read: {0}")]
    Identity(#[from] ravelin_pki::identity::IdentityError),
    /// Its public key, which a verdict vouched for, cannot be read again: a defect of ours.
    #[error("public key: {0}")]
    Key(#[from] ravelin_pki::key::KeyError),
    /// Its signature is wrong, or not of its key's kind.
    #[error("{0}")]
    Signature(#[from] VerifyError),
    /// It was believed, and a certificate that rested on is revoked now.
    #[error("{0}")]
    Withdrawn(Box<Withdrawn>),
    /// Too many peers wait to be judged.
    #[error("{0} peers wait for word on revocation already; look at `ravelin show revocation`")]
    Busy(usize),
}

/// The revocation of a certificate that a tunnel rests on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a certificate it rests on (serial {}) is {revoked} by {method} from {place}", hex(serial))]
pub struct Withdrawn {
    /// The certificate's serial number.
    pub serial: Vec<u8>,
    /// Since when and why.
    pub revoked: Revoked,
    /// How it became known.
    pub method: Method,
    /// From where.
    pub place: String,
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

impl Profile {
    /// Reads the certificates of a profile.
    ///
    /// # Errors
    /// When there is no anchor or a certificate cannot be read. Expired anchors are read: whether they serve is
    /// decided at the time of each question.
    pub fn new(sources: &Sources<'_>) -> Result<Self, ProfileError> {
        if sources.anchors.is_empty() && sources.keys.is_empty() {
            return Err(ProfileError::NoAnchor);
        }
        Ok(Self {
            anchors: certificates("anchors", sources.anchors)?.into_iter().collect(),
            intermediates: certificates("intermediates", sources.intermediates)?.into_iter().collect(),
            rules: sources.rules.clone(),
            dynamic_intermediates: sources.dynamic_intermediates,
            match_identity: sources.match_identity,
            regime: Arc::new(sources.regime.clone()),
            maps: sources.maps.to_vec(),
            shut: sources.shut.clone(),
            keys: sources.keys.clone(),
            known: Arc::default(),
        })
    }

    /// Judges what a peer presents, at `now`.
    ///
    /// # Errors
    /// The most specific reason not to believe it.
    pub fn judge(&self, question: &Question<'_>, now: UnixTime) -> Result<Verdict, Refusal> {
        question.is_expected()?;
        let chain = match (self.dynamic_intermediates, question.chain) {
            (false, [own, ..]) => std::slice::from_ref(own),
            (_, chain) => chain,
        };
        let verdict =
            match self.reach((chain, question.claimed), (&self.anchors, &self.intermediates), now)? {
                verdict if self.shut.along(&verdict.path).is_none() => verdict,
                verdict => self.reach_otherwise(&verdict, (chain, question.claimed), now)?,
            };
        question.listed.map_or(Ok(()), |listed| listed.check(verdict.path.end_entity()))?;
        Ok(map::leave_unasked(&self.maps, verdict))
    }

    /// The key by which a peer without a certificate is to prove who it claims to be; `shown` is the one it sends.
    ///
    /// # Errors
    /// Why no key will do.
    pub fn judge_key(&self, question: &Question<'_>, shown: Option<&[u8]>) -> Result<Vec<u8>, Refusal> {
        question.is_expected()?;
        let key = self.keys.judge(question.claimed, shown)?;
        question.listed.map_or(Ok(key), |listed| Err(listed.without_certificate()))
    }

    fn reach(
        &self,
        (chain, claimed): (&[Vec<u8>], &Identity),
        (anchors, intermediates): (&Anchors, &Intermediates),
        time: UnixTime,
    ) -> Result<Verdict, verdict::Refusal> {
        let basis = Basis {
            anchors,
            intermediates,
            rules: &self.rules,
            budget: Budget::default(),
            time,
            known: Some(&self.known),
            match_identity: self.match_identity,
        };
        verdict::reach(chain, claimed, &basis)
            .or_else(|refusal| map::excuse(&self.maps, refusal, (chain, claimed), &basis))
    }

    /// The path that was found rests on an authority that is shut down: perhaps another one does not.
    fn reach_otherwise(
        &self,
        found: &Verdict,
        (chain, claimed): (&[Vec<u8>], &Identity),
        now: UnixTime,
    ) -> Result<Verdict, Refusal> {
        let (anchors, intermediates) =
            (self.shut.leave(self.anchors.iter()), self.shut.leave(self.intermediates.iter()));
        let chain = self.shut.leave_presented(chain);
        let other = self.reach((&chain, claimed), (&anchors, &intermediates), now);
        let name = self.shut.along(&found.path).unwrap_or_default();
        other.map_err(|_| Refusal::Shut(name.to_owned()))
    }

    /// The hashes for our CERTREQ: anchors first, then the intermediates we know (RFC 7296 §3.7).
    pub fn authorities(&self) -> Vec<KeyHash> {
        let known = self.anchors.iter().chain(self.intermediates.iter());
        let known = known.filter(|certificate| self.shut.of(certificate).is_none());
        certreq::parse(&certreq::field(known))
    }

    /// How revocation is asked about.
    pub fn regime(&self) -> &Arc<Regime> {
        &self.regime
    }

    /// The anchors, for those who show them.
    pub fn anchors(&self) -> impl Iterator<Item = &Arc<Certificate>> {
        self.anchors.iter()
    }
}

/// Checks a peer's signature with the key its verdict vouched for.
///
/// # Errors
/// When the signature is not the key's, or cannot be.
pub fn check_signature(
    spki: &[u8],
    scheme: SignatureScheme,
    octets: &[u8],
    signature: &[u8],
) -> Result<(), Refusal> {
    Ok(PublicKey::from_spki(spki)?.verify(scheme, octets, signature)?)
}

fn certificates(list: &'static str, ders: &[Vec<u8>]) -> Result<Vec<Arc<Certificate>>, ProfileError> {
    let parse = |(der, number): (&Vec<u8>, usize)| {
        let parsed = Certificate::from_der(der).map(Arc::new);
        parsed.map_err(|error| ProfileError::Certificate { list, number, error })
    };
    ders.iter().zip(1..).map(parse).collect()
}

/// Certificates made on the spot, as pki's own tests make them.
#[cfg(test)]
#[path = "../../../pki/tests/common/mod.rs"]
pub(crate) mod common;
#[cfg(test)]
mod tests;
