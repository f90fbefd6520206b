//! Tickets by value (RFC 5723 §6.1): octets sealed with AES-256-GCM, under keys that rotate, for nobody but ourselves.
//!
//! A key seals for one [`TicketKeys::PERIOD`] and opens for one more. Each follows from the one before and not the other way
//! round: whoever keeps the older of the two over a restart, and no other, can open what is still good and nothing older.
//! What is in a ticket, and whether it is still worth anything, is the caller's.
//!
//! Layout: version (1), period (4), nonce (12), sealed octets, tag (16). The first two are authenticated.

use core::fmt;
use std::time::Duration;

use aws_lc_rs::hmac;
use ravelin_gcm as gcm;
use zeroize::Zeroizing;

use super::{Random, Secret};
use crate::time::Instant;
use crate::wire::Reader;

const VERSION: u8 = 1;
/// Version and period.
const HEAD: usize = 5;
const NEXT: &[u8] = b"Ravelin ticket key of the next period";

/// Days since 1970: periods are counted by them.
type Period = u32;

/// A period's key, wiped on drop.
#[derive(Clone, PartialEq, Eq)]
struct PeriodKey {
    period: Period,
    key: Zeroizing<[u8; 32]>,
}

/// The two keys in use. Owned by the engine.
#[derive(Clone, PartialEq, Eq)]
pub struct TicketKeys {
    /// The time of day at the origin of [`Instant`], since 1970.
    origin: Duration,
    older: PeriodKey,
    newer: PeriodKey,
}

impl TicketKeys {
    /// How long one key seals; no ticket may live longer. A day.
    pub const PERIOD: Duration = Duration::from_secs(86_400);

    /// Keys that go on from `key`, the one of `period`: 32 octets of full entropy, fresh or kept. `origin` is the time of day
    /// at [`Instant`] 0, since 1970.
    pub fn new(period: u32, key: Zeroizing<[u8; 32]>, origin: Duration) -> TicketKeys {
        let older = PeriodKey { period, key };
        let mut keys = TicketKeys { origin, newer: older.next(), older };
        keys.rotate(Instant(0));
        keys
    }

    /// The time of day, since 1970: what a ticket that outlives us says of time is said in it.
    pub fn time(&self, now: Instant) -> Duration {
        self.origin.saturating_add(now.since(Instant(0)))
    }

    /// The period at a time of day, and that before it: whoever begins with a fresh key begins there.
    pub fn period_before(time: Duration) -> u32 {
        period(time).saturating_sub(1)
    }

    /// What to keep over a restart, for [`TicketKeys::new`].
    pub fn kept(&self) -> (u32, &[u8; 32]) {
        (self.older.period, &self.older.key)
    }

    /// Goes on to the keys of this time; true if they are others than before. Time that goes back changes nothing.
    pub fn rotate(&mut self, now: Instant) -> bool {
        let current = period(self.time(now));
        let before = self.newer.period;
        while self.newer.period < current {
            let next = self.newer.next();
            self.older = std::mem::replace(&mut self.newer, next);
        }
        self.newer.period != before
    }

    /// Seals a ticket.
    pub fn seal(&self, octets: &[u8], random: &mut dyn Random) -> Option<Vec<u8>> {
        let mut nonce = [0; gcm::NONCE_LENGTH];
        random.fill(&mut nonce);
        let key = gcm::Key::new(gcm::Kernel::detect(), self.newer.key.as_slice()).ok()?;
        let mut ticket = vec![VERSION];
        ticket.extend(self.newer.period.to_be_bytes());
        let (mut text, mut tag) = (Zeroizing::new(octets.to_vec()), [0; gcm::TAG_LENGTH]);
        gcm::seal_burst(&mut [gcm::Seal::new(&key, nonce, &ticket, &mut text, &mut tag)]);
        ticket.extend(nonce);
        ticket.extend_from_slice(&text);
        ticket.extend(tag);
        Some(ticket)
    }

    /// Opens one; `None` if it is not ours, was changed, or its key is gone.
    pub fn open(&self, ticket: &[u8]) -> Option<Secret> {
        let mut reader = Reader::new("ticket", ticket);
        let (version, period) = (reader.u8().ok()?, reader.u32().ok()?);
        let key = [&self.newer, &self.older].into_iter().find(|key| key.period == period)?;
        let nonce = reader.array::<{ gcm::NONCE_LENGTH }>().ok()?;
        let (text, tag) = reader.remainder().split_last_chunk::<{ gcm::TAG_LENGTH }>()?;
        let mut octets = Zeroizing::new(text.to_vec());
        let key = gcm::Key::new(gcm::Kernel::detect(), key.key.as_slice()).ok()?;
        let head = ticket.get(..HEAD).filter(|_| version == VERSION)?;
        let mut lanes = [gcm::Open::new(&key, nonce, head, &mut octets, *tag)];
        gcm::open_burst(&mut lanes);
        let [lane] = lanes;
        lane.verdict.ok()?;
        Some(octets)
    }
}

impl PeriodKey {
    /// Key of the next period = HMAC-SHA-256(key, name).
    fn next(&self) -> PeriodKey {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, self.key.as_slice()), NEXT);
        let mut key = Zeroizing::new([0; 32]);
        key.iter_mut().zip(tag.as_ref()).for_each(|(to, from)| *to = *from);
        PeriodKey { period: self.period.saturating_add(1), key }
    }
}

fn period(time: Duration) -> Period {
    let days = time.as_secs().checked_div(TicketKeys::PERIOD.as_secs()).unwrap_or(0);
    Period::try_from(days).unwrap_or(Period::MAX)
}

impl fmt::Debug for TicketKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TicketKeys({}, {})", self.older.period, self.newer.period)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::Drbg;
    use proptest::prelude::*;

    const DAY: Duration = TicketKeys::PERIOD;

    fn begun(day: u32) -> TicketKeys {
        TicketKeys::new(day.saturating_sub(1), Zeroizing::new([7; 32]), DAY * day)
    }

    fn after(days: u32) -> Instant {
        Instant(0) + DAY * days
    }

    fn sealed(keys: &TicketKeys, octets: &[u8]) -> Vec<u8> {
        keys.seal(octets, &mut Drbg::new(b"seed")).unwrap()
    }

    fn opens(keys: &TicketKeys, ticket: &[u8]) -> bool {
        keys.open(ticket).is_some()
    }

    proptest! {
        /// What was sealed is opened; changed at any octet, or cut, nothing is.
        #[test]
        fn only_the_ticket_itself_opens(octets in proptest::collection::vec(any::<u8>(), 0..300), bit in 0..8u32) {
            let keys = begun(20_000);
            let ticket = sealed(&keys, &octets);
            prop_assert_eq!(keys.open(&ticket).unwrap().to_vec(), octets);
            for at in 0..ticket.len() {
                let mut changed = ticket.clone();
                changed[at] ^= 1u8 << bit;
                prop_assert!(!opens(&keys, &changed), "octet {}", at);
                prop_assert!(!opens(&keys, &ticket[..at]));
            }
            prop_assert!(!opens(&keys, &[&ticket[..], &[0]].concat()));
        }
    }

    /// Good for the period it was made in and the next one, to the microsecond; not after that.
    #[test]
    fn a_ticket_outlives_one_rotation_and_not_two() {
        let mut keys = begun(20_000);
        let ticket = sealed(&keys, b"x");
        for (at, rotates, is_good) in [
            (Instant(after(1).0 - 1), false, true),
            (after(1), true, true),
            (Instant(after(2).0 - 1), false, true),
            (after(2), true, false),
        ] {
            assert_eq!((keys.rotate(at), opens(&keys, &ticket)), (rotates, is_good), "{at:?}");
        }
        assert!(!keys.rotate(Instant(0)), "time went back");
    }

    /// What is kept opens what was good when it was kept, after any time, and not what was sealed before.
    #[test]
    fn what_is_kept_opens_what_is_good() {
        let mut keys = begun(20_000);
        let old = sealed(&keys, b"old");
        keys.rotate(after(1));
        let young = sealed(&keys, b"young");
        let restarted = |keys: &TicketKeys, day: u32| {
            let (period, key) = keys.kept();
            TicketKeys::new(period, Zeroizing::new(*key), DAY * day)
        };
        let again = restarted(&keys, 20_001);
        assert!(again == TicketKeys { origin: DAY * 20_001, ..keys.clone() });
        assert!(opens(&again, &young) && opens(&again, &old));
        let later = restarted(&keys, 20_002);
        assert!(opens(&later, &young) && !opens(&later, &old));
        assert!(!opens(&restarted(&keys, 20_003), &young));
        keys.rotate(after(2));
        assert!(!opens(&restarted(&keys, 20_001), &old), "its key is nowhere any more");
    }

    #[test]
    fn two_tickets_differ_and_nothing_is_printed() {
        let (keys, mut random) = (begun(20_000), Drbg::new(b"seed"));
        let tickets = [0, 1].map(|_| keys.seal(b"x", &mut random).unwrap());
        assert_ne!(tickets[0], tickets[1]);
        assert_eq!(format!("{keys:?}"), "TicketKeys(19999, 20000)");
    }
}
