//! The engine's questions in this room's words, and the answers in the engine's.

use ravelin_ike::config as ike;
use ravelin_ike::want::{self, AnswerError, PeerKey};
use ravelin_pki::UnixTime;
use ravelin_pki::identity::{Identity, IdentityError};
use ravelin_pki::verdict::Verdict;

use super::{Profile, Question, Refusal, check_signature};
use crate::tunnel::scheme;

/// What became of a peer's chain: the engine's answer, and the evidence for `explain`.
#[derive(Debug)]
pub struct Judgement {
    /// For the engine.
    pub answer: Result<PeerKey, AnswerError>,
    /// The verdict or the refusal behind it.
    pub evidence: Result<Box<Verdict>, Refusal>,
}

/// Judges the chain of an engine's question under the connection's profile. `expected` is the peer's configured
/// identity. A public-key operation for each certificate: not for the control loop's own thread.
pub fn judge(
    profile: &Profile,
    question: &want::Verdict,
    expected: Option<&Identity>,
    now: UnixTime,
) -> Judgement {
    let evidence = identity_from_ike(&question.identity).map_err(Refusal::from).and_then(|claimed| {
        profile.judge(&Question { chain: &question.chain, claimed: &claimed, expected }, now)
    });
    let answer = match &evidence {
        Ok(verdict) => Ok(PeerKey { public_key: verdict.path.end_entity().spki.clone() }),
        Err(refusal) => Err(refusal.into()),
    };
    Judgement { answer, evidence: evidence.map(Box::new) }
}

/// Checks the signature of an engine's question. A public-key operation: not for the control loop's own thread.
///
/// # Errors
/// When it is not right.
pub fn verify(question: &want::Verify) -> Result<(), AnswerError> {
    let scheme = scheme::to_pki(question.scheme);
    check_signature(&question.public_key, scheme, &question.octets, &question.signature)
        .map_err(|refusal| (&refusal).into())
}

impl From<&Refusal> for AnswerError {
    fn from(refusal: &Refusal) -> Self {
        Self { code: refusal.code().to_owned(), text: refusal.to_string() }
    }
}

/// An identity as the engine carries it.
///
/// # Errors
/// When its octets do not fit its kind.
pub fn identity_from_ike(identity: &ike::Identity) -> Result<Identity, IdentityError> {
    Identity::from_payload(identity.kind.number(), &identity.data)
}
