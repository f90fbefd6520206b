//! What is known about revocation: verified CRLs and OCSP answers by the key of their authority, and which addresses
//! were of no use lately.
//!
//! A plain value with one owner, bounded in every direction; the time comes as an argument. Only newer statements take
//! the place of older ones, so that nobody brings yesterday's "good" back. A CRL comes and goes as a whole behind an
//! `Arc`: whoever is asking one keeps it, whatever is swapped in meanwhile.

mod rest;
mod schedule;
mod upkeep;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

pub use rest::{Rest, Resting};
pub use schedule::{Schedule, ScheduleError};
pub use upkeep::Upkeep;

use super::crl::{Crl, NotNewer};
use super::ocsp::Answer;
use super::{Issued, KeyId};
use crate::time::UnixTime;

/// How much is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// CRLs, of all authorities.
    pub lists: usize,
    /// Octets of memory of their entries, together.
    pub list_octets: usize,
    /// OCSP answers, of some two thousand octets each; the oldest goes.
    pub answers: usize,
}

impl Default for Limits {
    /// A thousand CRLs, thirty million entries, and an answer for each of 32 thousand peers twice over.
    fn default() -> Self {
        Self { lists: 1024, list_octets: 1 << 30, answers: 65_536 }
    }
}

/// Something verified, with where it came from and when.
#[derive(Clone, Debug)]
pub struct Held<T> {
    /// What it is.
    pub value: T,
    /// The address it was fetched from, or a file.
    pub source: String,
    /// When.
    pub fetched: UnixTime,
}

/// Why a CRL was not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotKept {
    /// The one in use is as new.
    #[error(transparent)]
    NotNewer(#[from] NotNewer),
    /// There is no room for more of them.
    #[error("{lists} CRLs of {octets} octets are held already; the limits are {} and {}", limits.lists, limits.list_octets)]
    Full {
        /// How many are held.
        lists: usize,
        /// Octets of their entries.
        octets: usize,
        /// How many could be.
        limits: Limits,
    },
}

type AnswerKey = (KeyId, Vec<u8>);

/// All that is known.
#[derive(Debug, Default)]
pub struct Cache {
    limits: Limits,
    lists: BTreeMap<KeyId, Vec<Held<Arc<Crl>>>>,
    answers: BTreeMap<AnswerKey, Held<Answer>>,
    /// The keys of `answers`, oldest first.
    oldest: VecDeque<AnswerKey>,
    rest: Rest,
}

impl Cache {
    /// An empty one.
    pub fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Keeps a CRL, in place of an older one of the same authority, key and scope, which is given back.
    pub fn keep_list(
        &mut self,
        list: Arc<Crl>,
        source: &str,
        now: UnixTime,
    ) -> Result<Option<Arc<Crl>>, NotKept> {
        let full = self.full_with(&list);
        let lists = self.lists.entry(list.key()).or_default();
        let place = lists.iter_mut().find(|held| held.value.same_list(&list));
        if let Some(held) = &place {
            list.supersedes(&held.value)?;
        }
        full?;
        let found = Held { value: list, source: source.to_owned(), fetched: now };
        match place {
            Some(held) => Ok(Some(std::mem::replace(held, found).value)),
            None => {
                lists.push(found);
                Ok(None)
            }
        }
    }

    /// Whether one more would be too much; the one it replaces is not counted out.
    fn full_with(&self, list: &Crl) -> Result<(), NotKept> {
        let limits = self.limits;
        let lists = self.lists().count();
        let octets: usize = self.lists().map(|held| held.value.octets()).sum();
        let fits = lists < limits.lists && octets.saturating_add(list.octets()) <= limits.list_octets;
        if fits { Ok(()) } else { Err(NotKept::Full { lists, octets, limits }) }
    }

    /// Keeps an answer unless the one held is newer. Whether it was kept.
    pub fn keep_answer(&mut self, answer: Answer, source: &str, now: UnixTime) -> bool {
        let (key, serial) = answer.about();
        let key = (key, serial.to_vec());
        let known = self.answers.get(&key).map(|held| held.value.this_update());
        if known.is_some_and(|known| known > answer.this_update()) {
            return false;
        }
        if known.is_none() {
            self.make_room();
            self.oldest.push_back(key.clone());
        }
        self.answers.insert(key, Held { value: answer, source: source.to_owned(), fetched: now });
        true
    }

    fn make_room(&mut self) {
        while self.answers.len() >= self.limits.answers.max(1) {
            let Some(oldest) = self.oldest.pop_front() else { return };
            self.answers.remove(&oldest);
        }
    }

    /// The CRLs of the authority that issued a certificate, under any of its keys.
    pub fn lists_of(&self, issued: &Issued) -> impl Iterator<Item = &Held<Arc<Crl>>> {
        let mut keys: Vec<KeyId> = issued.authorities().map(|authority| KeyId::of(authority)).collect();
        keys.dedup();
        keys.into_iter().filter_map(|key| self.lists.get(&key)).flatten()
    }

    /// The answer about a certificate.
    pub fn answer_about(&self, issued: &Issued) -> Option<&Held<Answer>> {
        self.answers.get(&(KeyId::of(&issued.issuer), issued.certificate.serial.clone()))
    }

    /// Every CRL.
    pub fn lists(&self) -> impl Iterator<Item = &Held<Arc<Crl>>> {
        self.lists.values().flatten()
    }

    /// Every answer.
    pub fn answers(&self) -> impl Iterator<Item = &Held<Answer>> {
        self.answers.values()
    }

    /// Forgets every answer.
    pub fn clear_answers(&mut self) {
        self.answers.clear();
        self.oldest.clear();
    }

    /// Which addresses have failed.
    pub const fn rest(&self) -> &Rest {
        &self.rest
    }

    /// To note failures, and what works again.
    pub const fn rest_mut(&mut self) -> &mut Rest {
        &mut self.rest
    }
}
