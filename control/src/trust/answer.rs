//! The engine's questions in this room's words, and the answers in the engine's.

use ravelin_ike::config as ike;
use ravelin_ike::want::{self, AnswerError, PeerKey};
use ravelin_pki::UnixTime;
use ravelin_pki::identity::{Identity, IdentityError};
use ravelin_pki::verdict::Verdict;

use super::{CommonNames, Profile, Question, Refusal, check_signature};
use crate::tunnel::scheme;

/// Judges the chain of an engine's question under the connection's profile, but for its revocation. `expected` is the
/// peer's configured identity, `listed` the names that its gateway lets in. A public-key operation for each certificate: not for the control loop's own thread.
///
/// # Errors
/// Why the peer is not believed.
pub fn judge(
    profile: &Profile,
    question: &want::Verdict,
    (expected, listed): (Option<&Identity>, Option<&CommonNames>),
    now: UnixTime,
) -> Result<Box<Verdict>, Refusal> {
    let claimed = identity_from_ike(&question.identity)?;
    let question = Question { chain: &question.chain, claimed: &claimed, expected, listed };
    profile.judge(&question, now).map(Box::new)
}

/// The key by which a peer without a certificate is to prove itself, under the connection's profile.
///
/// # Errors
/// Why no key will do.
pub fn judge_key(
    profile: &Profile,
    question: &want::Verdict,
    (expected, listed): (Option<&Identity>, Option<&CommonNames>),
) -> Result<Vec<u8>, Refusal> {
    let claimed = identity_from_ike(&question.identity)?;
    let asked = Question { chain: &[], claimed: &claimed, expected, listed };
    profile.judge_key(&asked, question.public_key.as_deref())
}

/// A judgement in the engine's words.
///
/// # Errors
/// The refusal, with its code.
pub fn answer(judged: &Result<Box<Verdict>, Refusal>) -> Result<PeerKey, AnswerError> {
    match judged {
        Ok(verdict) => Ok(PeerKey { public_key: verdict.path.end_entity().spki.clone() }),
        Err(refusal) => Err(refusal.into()),
    }
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
