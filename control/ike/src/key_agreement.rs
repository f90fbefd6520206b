//! Key agreement as a job that can be carried to another thread: a value in, a value out.
//!
//! The randomness of a private key is drawn by the engine and travels with the job, so that performing it is
//! a pure function and a simulation replays exactly. The private key is made from its seed again where it is
//! needed: one kind of secret to keep and to wipe.

use crate::config::Group;
use crate::crypto::{BadPublicValue, Drbg, PrivateKey, SharedSecret, respond};
use crate::error::Failure;
use crate::want::{Answer, AnswerError};
use core::fmt;
use zeroize::Zeroizing;

/// The seed of a private key.
pub(crate) type Seed = Zeroizing<[u8; 32]>;

/// One public-key operation.
pub struct KeyAgreement {
    pub(crate) group: Group,
    pub(crate) seed: Seed,
    pub(crate) task: Task,
}

/// What to compute.
pub(crate) enum Task {
    /// Our public value.
    Generate,
    /// The shared secret with the peer's value.
    Agree { peer: Vec<u8> },
    /// Both at once, as a responder.
    Respond { peer: Vec<u8> },
}

/// What a key agreement yields.
pub struct KeyAgreed {
    /// Our public value; empty after `Agree`, and where the peer's value is none.
    pub(crate) public: Vec<u8>,
    /// The shared secret, or that the peer's value is none; `None` after `Generate`.
    pub(crate) shared: Option<Result<SharedSecret, BadPublicValue>>,
}

impl KeyAgreement {
    /// Computes it: some ten microseconds for Curve25519, a hundred for ML-KEM, a millisecond for MODP. A bad value of the peer is
    /// an answer, not an error; errors are a broken machine.
    pub fn perform(self) -> Result<KeyAgreed, AnswerError> {
        let mut random = Drbg::new(self.seed.as_slice());
        let mut private = || PrivateKey::generate(self.group, &mut random).map_err(broken);
        match self.task {
            Task::Generate => Ok(KeyAgreed { public: private()?.public().map_err(broken)?, shared: None }),
            Task::Agree { peer } => {
                Ok(KeyAgreed { public: Vec::new(), shared: Some(private()?.agree(&peer)) })
            }
            Task::Respond { peer } => {
                let (public, shared) = match respond(self.group, &peer, &mut random).map_err(broken)? {
                    Ok((public, shared)) => (public, Ok(shared)),
                    Err(bad) => (Vec::new(), Err(bad)),
                };
                Ok(KeyAgreed { public, shared: Some(shared) })
            }
        }
    }
}

/// What the engine makes of answers to key agreements. A bad value of the peer is its failure.
impl Answer {
    fn into_agreed(self) -> Result<KeyAgreed, Failure> {
        let Answer::KeyAgreement(agreed) = self else {
            return Err(Failure::AnswerMismatch("key agreement"));
        };
        agreed.map_err(|error| Failure::AnswerRefused { what: "key agreement", error })
    }

    /// Our public value, after `Generate`.
    pub(crate) fn into_public(self) -> Result<Vec<u8>, Failure> {
        self.into_agreed().map(|agreed| agreed.public)
    }

    /// Our public value and the shared secret, after `Respond`.
    pub(crate) fn into_response(self) -> Result<(Vec<u8>, SharedSecret), Failure> {
        let agreed = self.into_agreed()?;
        match agreed.shared {
            Some(Ok(shared)) => Ok((agreed.public, shared)),
            Some(Err(_)) => Err(Failure::BadKeValue),
            None => Err(Failure::AnswerMismatch("key agreement")),
        }
    }

    /// The shared secret, after `Agree`.
    pub(crate) fn into_secret(self) -> Result<SharedSecret, Failure> {
        self.into_response().map(|(_, shared)| shared)
    }
}

fn broken(error: crate::crypto::NoPrivateKey) -> AnswerError {
    AnswerError { code: "RV-LOCAL-006".into(), text: error.to_string() }
}

impl fmt::Debug for KeyAgreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let task = match self.task {
            Task::Generate => "generate",
            Task::Agree { .. } => "agree",
            Task::Respond { .. } => "respond",
        };
        write!(f, "KeyAgreement({:?}, {task})", self.group)
    }
}

impl fmt::Debug for KeyAgreed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyAgreed(..)")
    }
}
