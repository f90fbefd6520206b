//! Signatures on certificates that were found right before.
//!
//! A thousand peers below one intermediate bring it a thousand times, and a peer that calls again brings its own
//! certificate again: the arithmetic is the same each time. Only its outcome is remembered, under a hash of the whole
//! certificate and of the key it was verified with. Whether key and algorithm are acceptable, dates, usages, names and
//! everything else is judged anew each time.

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use aws_lc_rs::digest::{SHA256, digest};

use crate::x509::Certificate;

/// Signatures remembered: strangers can make right ones under keys of their own, so the oldest goes.
const KEPT: usize = 4096;

/// SHA-256 of the certificate, which delimits itself, and its issuer's SubjectPublicKeyInfo.
type Fingerprint = Vec<u8>;

/// Right signatures, shared by whoever validates against the same anchors.
#[derive(Default)]
pub struct KnownSignatures(Mutex<Recent>);

#[derive(Default)]
struct Recent {
    all: BTreeSet<Fingerprint>,
    oldest: VecDeque<Fingerprint>,
}

impl KnownSignatures {
    /// Whether the signature of `child` is right under the key of `issuer`: as remembered, else as `verify` says.
    pub(super) fn holds<E>(
        &self,
        child: &Certificate,
        issuer: &Certificate,
        verify: impl FnOnce() -> Result<(), E>,
    ) -> Result<(), E> {
        let fingerprint = digest(&SHA256, &[child.der(), &issuer.spki].concat()).as_ref().to_vec();
        if self.lock().all.contains(&fingerprint) {
            return Ok(());
        }
        verify()?;
        self.lock().keep(fingerprint);
        Ok(())
    }

    /// Nothing can panic while it is held, and what is remembered is true whatever happened.
    fn lock(&self) -> MutexGuard<'_, Recent> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Recent {
    fn keep(&mut self, fingerprint: Fingerprint) {
        if !self.all.insert(fingerprint.clone()) {
            return;
        }
        self.oldest.push_back(fingerprint);
        if self.oldest.len() > KEPT
            && let Some(oldest) = self.oldest.pop_front()
        {
            self.all.remove(&oldest);
        }
    }
}

impl fmt::Debug for KnownSignatures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KnownSignatures({})", self.lock().all.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// However many come, so many are kept, and the last ones.
    #[test]
    fn the_oldest_goes() {
        let mut recent = Recent::default();
        for number in 0..KEPT + 3 {
            recent.keep(number.to_be_bytes().to_vec());
            recent.keep(number.to_be_bytes().to_vec());
        }
        assert_eq!((recent.all.len(), recent.oldest.len()), (KEPT, KEPT));
        assert!(
            !recent.all.contains(&2usize.to_be_bytes()[..]) && recent.all.contains(&3usize.to_be_bytes()[..])
        );
    }
}
