//! The gateway's side of tickets (RFC 5723): it seals them, opens them, and knows which are spent.
//!
//! A session is resumed once: what is remembered is its IKE SA, by SPIs, for as long as a ticket may live. So tickets cost
//! memory for each IKE SA and not for each ticket, and none before one is shown or its IKE SA is closed. After a restart
//! nothing of it is known: whoever shows a ticket twice then gains nothing without the keys of its session (§9.2).

use crate::crypto::{Drbg, TicketKeys};
use crate::error::TicketProblem;
use crate::sa::session::{Session, Spis};
use crate::time::Instant;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// IKE SAs whose tickets are spent, at most: four times as many as there may be tunnels, some twenty megabytes. With more
/// of them in a day nobody resumes until some are over.
const SPENT: usize = 262_144;

/// What the engine knows of its tickets. Sole owner: the engine.
#[derive(Debug, Default)]
pub(crate) struct Tickets {
    keys: Option<TicketKeys>,
    spent: BTreeMap<Spis, Instant>,
    order: BTreeSet<(Instant, Spis)>,
}

impl Tickets {
    /// Without keys none are given or taken.
    pub(crate) fn new(keys: Option<TicketKeys>) -> Tickets {
        Tickets { keys, ..Tickets::default() }
    }

    /// Keys and memory of this time.
    pub(crate) fn tick(&mut self, now: Instant) {
        self.keys.iter_mut().for_each(|keys| _ = keys.rotate(now));
        while let Some((until, spis)) = self.order.first().copied().filter(|(until, _)| *until <= now) {
            self.order.remove(&(until, spis));
            self.spent.remove(&spis);
        }
    }

    /// A ticket for a session, for so many seconds at most; how many it is.
    pub(crate) fn seal(
        &mut self,
        now: Instant,
        session: &Session,
        longest: Duration,
        random: &mut Drbg,
    ) -> Option<(Vec<u8>, u32)> {
        self.tick(now);
        let keys = self.keys.as_ref()?;
        let seconds = longest.min(TicketKeys::PERIOD).as_secs();
        let octets = session.emit(keys.time(now) + Duration::from_secs(seconds))?;
        let lifetime = u32::try_from(seconds).ok().filter(|seconds| *seconds > 0)?;
        Some((keys.seal(&octets, random)?, lifetime))
    }

    /// What a ticket holds, and when its time is over.
    pub(crate) fn open(&mut self, now: Instant, ticket: &[u8]) -> Result<(Session, Instant), TicketProblem> {
        self.tick(now);
        let keys = self.keys.as_ref().ok_or(TicketProblem::Unreadable)?;
        let octets = keys.open(ticket).ok_or(TicketProblem::Unreadable)?;
        let (session, until) = Session::parse(&octets).ok_or(TicketProblem::Unreadable)?;
        let left = until.checked_sub(keys.time(now)).filter(|left| !left.is_zero());
        let until = now + left.ok_or(TicketProblem::Expired)?;
        match self.spent.contains_key(&session.spis) {
            true => Err(TicketProblem::Spent),
            false => Ok((session, until)),
        }
    }

    /// The tickets of an IKE SA that were given until now are worth nothing any more. False if that cannot be remembered.
    pub(crate) fn spend(&mut self, now: Instant, spis: Spis) -> bool {
        self.tick(now);
        let until = now + TicketKeys::PERIOD;
        let before = self.spent.get(&spis).copied();
        if before.is_none() && self.spent.len() >= SPENT {
            return false;
        }
        before.into_iter().for_each(|before| _ = self.order.remove(&(before, spis)));
        self.order.insert((until, spis));
        self.spent.insert(spis, until);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::IkeSpi;

    fn spis(number: u64) -> Spis {
        (IkeSpi(number), IkeSpi(1))
    }

    /// One less than are kept, as many, one more; what is over makes room, and who is spent twice is so from the last time.
    #[test]
    fn what_is_remembered_is_bounded() {
        let (mut tickets, day) = (Tickets::default(), TicketKeys::PERIOD);
        for number in 0..SPENT as u64 {
            assert!(tickets.spend(Instant(number), spis(number)));
        }
        let last = Instant(SPENT as u64);
        assert!(!tickets.spend(last, spis(u64::MAX)));
        assert!(tickets.spend(last, spis(0)), "it is there already");
        assert!(!tickets.spend(Instant(0) + day, spis(u64::MAX)));
        assert!(tickets.spend(Instant(1) + day, spis(u64::MAX)));
        tickets.tick(Instant(last.0 - 1) + day);
        assert_eq!(tickets.spent.keys().copied().collect::<Vec<_>>(), [spis(0), spis(u64::MAX)]);
        tickets.tick(Instant(u64::MAX));
        assert!(tickets.spent.is_empty() && tickets.order.is_empty());
    }
}
