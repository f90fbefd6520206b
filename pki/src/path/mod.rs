//! Certification path building and validation (RFC 5280 §6, RFC 9618, RFC 4945 §5.1.3), for the one purpose of IKE.
//!
//! [`validate`] is a pure function of what the peer presented, what we hold, the time and the rules. It searches
//! from the end entity upwards, trying every issuer whose name fits (cross-signed CAs share names), and judges each
//! complete path from the anchor downwards. It answers with a [`VerifiedPath`], which only it can make, or with the
//! most specific reason it found; either way every candidate it touched is listed.
//!
//! What is checked, beyond RFC 5280: anchors must be within their dates, and an anchor's own basicConstraints,
//! keyUsage, path length and nameConstraints bind (RFC 5937); an extended key usage in a CA certificate must permit
//! IKE, as it must in the end entity's. A CA certificate is no end entity unless it is pinned. What is not checked:
//! revocation, which [`crate::verdict::Verdict`] says in its type.

mod build;
mod check;
mod constraints;
mod error;
mod known;
mod policy;

use std::collections::BTreeSet;
use std::sync::Arc;

pub use check::KeyPurposes;
pub use error::{Cause, Explanation, Line, Outcome, PathError, Source};
pub use known::KnownSignatures;

use crate::key::MIN_RSA_BITS;
use crate::oid::Oid;
use crate::store::{Anchors, Intermediates};
use crate::time::UnixTime;
use crate::x509::Certificate;

/// A question: does this end entity's certificate chain to one of these anchors, now, under these rules?
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The certificate of the peer (RFC 7296 §3.6: the first CERT payload).
    pub end_entity: &'a Arc<Certificate>,
    /// What else the peer presented, in any order. Leave it empty to build from the store alone.
    pub presented: &'a [Arc<Certificate>],
    /// What we hold ourselves.
    pub intermediates: &'a Intermediates,
    /// Whom we believe.
    pub anchors: &'a Anchors,
    /// The current time.
    pub time: UnixTime,
    /// What is acceptable.
    pub rules: &'a Rules,
    /// How much work the answer may cost.
    pub budget: Budget,
    /// Signatures that need not be verified again; those found right are added.
    pub known: Option<&'a KnownSignatures>,
}

/// What a path must be like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Which extended key usages an IKE certificate may carry.
    pub purposes: KeyPurposes,
    /// Smallest RSA modulus, in bits, in the whole path.
    pub min_rsa_bits: u32,
    /// Most certificates from the end entity up to, and without, the anchor: 1 to 7.
    pub max_chain: usize,
    /// Accept a CA's certificate as an end entity's even where it is not pinned. RFC 5280 does not forbid it; the
    /// key of a CA has no business in a gateway.
    pub ca_end_entity: bool,
    /// Take an end entity's certificate after its end: an exception that an operator makes.
    pub expired_end_entity: bool,
    /// The policies to insist on.
    pub policies: PolicyRules,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            purposes: KeyPurposes::default(),
            min_rsa_bits: MIN_RSA_BITS,
            max_chain: 7,
            ca_end_entity: false,
            expired_end_entity: false,
            policies: PolicyRules::default(),
        }
    }
}

/// The inputs (c), (e), (f) and (g) of RFC 5280 §6.1.1. The default accepts any policy and requires none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicyRules {
    /// user-initial-policy-set; `None` is any-policy.
    pub acceptable: Option<BTreeSet<Oid>>,
    /// initial-explicit-policy: the path must be valid for an acceptable policy.
    pub require_explicit: bool,
    /// initial-policy-mapping-inhibit.
    pub inhibit_mapping: bool,
    /// initial-any-policy-inhibit.
    pub inhibit_any: bool,
}

/// Limits on what a stranger's certificates can make us do. Running out is fatal: the search stops there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Signature verifications; a path of seven with a few cross-certificates needs a dozen.
    pub signatures: u32,
    /// Candidate issuers looked at.
    pub steps: u32,
    /// Names compared with name constraints: their lists multiply.
    pub name_comparisons: u32,
}

impl Default for Budget {
    fn default() -> Self {
        Self { signatures: 40, steps: 400, name_comparisons: 100_000 }
    }
}

/// Proof that a path was valid at its time. Only [`validate`] makes one.
#[derive(Clone, Debug)]
pub struct VerifiedPath {
    certificates: Vec<Arc<Certificate>>,
    anchor: Arc<Certificate>,
    policies: BTreeSet<Oid>,
    time: UnixTime,
    explanation: Explanation,
}

impl VerifiedPath {
    /// The certificate the path is for.
    pub fn end_entity(&self) -> &Arc<Certificate> {
        self.certificates.first().unwrap_or(&self.anchor)
    }

    /// The path: the end entity's certificate first, the one the anchor issued last. For a pinned certificate, it
    /// alone.
    pub fn certificates(&self) -> &[Arc<Certificate>] {
        &self.certificates
    }

    /// The anchor the path ends in; the end entity's own certificate if that is pinned.
    pub const fn anchor(&self) -> &Arc<Certificate> {
        &self.anchor
    }

    /// user-constrained-policy-set (RFC 9618 §5.4): the policies the path is valid for, anyPolicy meaning every one.
    pub const fn policies(&self) -> &BTreeSet<Oid> {
        &self.policies
    }

    /// The instant the path was judged at.
    pub const fn time(&self) -> UnixTime {
        self.time
    }

    /// First instant at which some certificate of the path, or its anchor, will have expired.
    pub fn expires(&self) -> UnixTime {
        let dates = self.certificates.iter().map(|certificate| certificate.not_after);
        dates.chain([self.anchor.not_after]).min().unwrap_or(self.anchor.not_after)
    }

    /// What the search tried on its way.
    pub const fn explanation(&self) -> &Explanation {
        &self.explanation
    }
}

/// Finds a valid path from the end entity to an anchor.
pub fn validate(request: &Request<'_>) -> Result<VerifiedPath, PathError> {
    build::Search::new(request).run()
}
