//! Key agreement as a job that can be carried to another thread: a value in, a value out.
//!
//! The randomness of a private key is drawn by the engine and travels with the job, so that performing it is
//! a pure function and a simulation replays exactly.

use crate::config::Group;
use core::fmt;
use zeroize::Zeroizing;

/// One public-key operation.
pub struct KeyAgreement {
    /// The method.
    pub(crate) group: Group,
    /// What to compute.
    pub(crate) task: Task,
}

/// What to compute. Private keys are made from their seed again where they are needed, which costs less than
/// keeping secrets of many kinds.
pub(crate) enum Task {
    /// Our public value.
    Generate {
        /// Makes the private key.
        seed: Zeroizing<[u8; 32]>,
    },
    /// The shared secret with the peer's value.
    Agree {
        /// Made the private key.
        seed: Zeroizing<[u8; 32]>,
        /// The peer's public value.
        peer: Vec<u8>,
    },
    /// Both at once, as a responder.
    Respond {
        /// Makes the private key.
        seed: Zeroizing<[u8; 32]>,
        /// The peer's public value.
        peer: Vec<u8>,
    },
}

/// What a key agreement yields.
pub struct KeyAgreed {
    /// Our public value; empty after `Agree`.
    pub(crate) public: Vec<u8>,
    /// The shared secret; empty after `Generate`.
    pub(crate) shared: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for KeyAgreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let task = match self.task {
            Task::Generate { .. } => "generate",
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
