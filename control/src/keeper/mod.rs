//! The keeper: sole owner of our private keys, and the only one who signs with them.
//!
//! Requests go in through a bounded queue and are answered in any order, each under its ticket, by a few threads of
//! the keeper's own: an RSA signature takes a quarter of a millisecond, a key file may sit on a slow disk, and the
//! control loop waits for neither. Nothing that leaves here can be turned back into a key: signatures, names and
//! reasons do, keys do not, and no request can ask for one. Which connection uses which key is the caller's affair.

mod file;
mod vault;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::{self, JoinHandle};

use aws_lc_rs::rand::SystemRandom;
use crossbeam::channel::{self, Receiver, Sender, TrySendError};
use ravelin_pki::key::SignError;
use ravelin_pki::{PrivateKey, PublicKey, SignatureScheme};

pub use file::{KeyFileProblem, LoadError};
pub use vault::{Vault, VaultError};

use crate::store::ObjectName;

/// Requests that may wait: two seconds of RSA-4096 for one thread. More would be answered after their exchange died.
const WAITING: usize = 2048;

/// What a key is called here: the name of the object that configures it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyName(Arc<str>);

impl From<&str> for KeyName {
    fn from(name: &str) -> Self {
        Self(name.into())
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where a key lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyPlace {
    /// In a file: PEM or DER, PKCS#8, SEC1 or PKCS#1, not encrypted.
    File(PathBuf),
    /// In the store, sealed.
    Stored(Vault, ObjectName),
}

impl fmt::Display for KeyPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Stored(_, name) => write!(f, "store:{name}"),
        }
    }
}

/// Where a key is, and whose it must be.
#[derive(Clone, Debug)]
pub struct KeySource {
    /// Where it lies.
    pub place: KeyPlace,
    /// The key of the certificate it is used with: another key is refused.
    pub certified: PublicKey,
}

/// What the keeper can be asked.
#[derive(Debug)]
pub enum Request {
    /// Sign these octets. Answered with [`Answer::Signed`].
    Sign {
        /// Given back with the answer.
        ticket: u64,
        /// With which key.
        key: KeyName,
        /// How.
        scheme: SignatureScheme,
        /// What, not hashed.
        octets: Vec<u8>,
    },
    /// Load a key, or load it again; until that succeeds a key already held under the name stays. Answered with
    /// [`Answer::Loaded`].
    Load {
        /// Its name.
        key: KeyName,
        /// Where it is.
        source: KeySource,
    },
    /// Forget and wipe a key. Not answered; signatures asked for before may still be made.
    Forget {
        /// Its name.
        key: KeyName,
    },
}

/// What the keeper says.
#[derive(Debug)]
pub enum Answer {
    /// To [`Request::Sign`].
    Signed {
        /// The ticket of the request.
        ticket: u64,
        /// The signature, without AlgorithmIdentifier; ECDSA in the DER of RFC 3279 §2.2.3.
        result: Result<Vec<u8>, Refusal>,
    },
    /// To [`Request::Load`].
    Loaded {
        /// The name of the key.
        key: KeyName,
        /// The schemes it can sign with, preferred first.
        result: Result<&'static [SignatureScheme], LoadError>,
    },
}

/// Why there is no signature.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No key is held under this name: it was never loaded, or is forgotten.
    #[error("no private key is loaded for {0}")]
    NoKey(KeyName),
    /// The key and the scheme do not fit, or the library failed.
    #[error("{key}: {error}")]
    Sign {
        /// The name of the key.
        key: KeyName,
        /// What is wrong.
        error: SignError,
    },
}

/// Why a request was not even queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// The queue is full.
    #[error("{WAITING} requests wait for the keeper already: more keeper threads would help")]
    Busy,
    /// The keeper has ended.
    #[error("the keeper has ended")]
    Ended,
}

/// Keys by name; written by loads, read by signatures.
type Ring = RwLock<BTreeMap<KeyName, Arc<PrivateKey>>>;

/// The keeper's entry. Dropping it ends its threads and wipes its keys.
#[derive(Debug)]
pub struct Keeper {
    requests: Option<Sender<Request>>,
    threads: Vec<JoinHandle<()>>,
}

impl Keeper {
    /// Starts `threads` threads (at least one) that send what they have to say to `answers`.
    ///
    /// # Errors
    /// When the machine refuses a thread.
    pub fn start(threads: usize, answers: &Sender<Answer>) -> std::io::Result<Self> {
        let (requests, queue) = channel::bounded(WAITING);
        let ring = Arc::new(Ring::default());
        let spawn = |number| {
            let (queue, answers, ring) = (queue.clone(), answers.clone(), Arc::clone(&ring));
            thread::Builder::new()
                .name(format!("keeper-{number}"))
                .spawn(move || work(&queue, &answers, &ring))
        };
        let threads = (0..threads.max(1)).map(spawn).collect::<std::io::Result<_>>()?;
        Ok(Self { requests: Some(requests), threads })
    }

    /// Queues a request, or says at once that it cannot be.
    ///
    /// # Errors
    /// When the queue is full or the keeper has ended: the caller answers the ticket itself.
    pub fn request(&self, request: Request) -> Result<(), Unavailable> {
        let requests = self.requests.as_ref().ok_or(Unavailable::Ended)?;
        requests.try_send(request).map_err(|error| match error {
            TrySendError::Full(_) => Unavailable::Busy,
            TrySendError::Disconnected(_) => Unavailable::Ended,
        })
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.requests = None;
        for thread in self.threads.drain(..) {
            // A thread that panicked has dropped its share of the keys all the same.
            let _ = thread.join();
        }
    }
}

fn work(queue: &Receiver<Request>, answers: &Sender<Answer>, ring: &Ring) {
    for request in queue {
        let answer = answer(request, ring);
        if answer.is_some_and(|answer| answers.send(answer).is_err()) {
            return;
        }
    }
}

fn answer(request: Request, ring: &Ring) -> Option<Answer> {
    match request {
        Request::Sign { ticket, key, scheme, octets } => {
            Some(Answer::Signed { ticket, result: sign(ring, key, scheme, &octets) })
        }
        Request::Load { key, source } => {
            let result = load(ring, &key, &source);
            Some(Answer::Loaded { key, result })
        }
        Request::Forget { key } => {
            ring.write().unwrap_or_else(PoisonError::into_inner).remove(&key);
            None
        }
    }
}

/// The lock is held to find the key, not to use it.
fn sign(ring: &Ring, key: KeyName, scheme: SignatureScheme, octets: &[u8]) -> Result<Vec<u8>, Refusal> {
    let held = ring.read().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
    let Some(private) = held else { return Err(Refusal::NoKey(key)) };
    private.sign(scheme, octets, &SystemRandom::new()).map_err(|error| Refusal::Sign { key, error })
}

fn load(ring: &Ring, name: &KeyName, source: &KeySource) -> Result<&'static [SignatureScheme], LoadError> {
    let key = file::read(&source.place)?;
    if !key.matches(&source.certified) {
        return Err(file::mismatch(&source.place, &key, &source.certified));
    }
    let schemes = key.schemes();
    ring.write().unwrap_or_else(PoisonError::into_inner).insert(name.clone(), Arc::new(key));
    Ok(schemes)
}

#[cfg(test)]
mod tests;
