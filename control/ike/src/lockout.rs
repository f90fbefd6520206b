//! The table of client lockouts (IKE-22): who failed to prove itself, how often, and who is not heard for it.
//!
//! A caller is known by our address and by the address and port its IKE_SA_INIT came from; where its IKE_AUTH came
//! from another port (RFC 7296 §2.23), that one belongs to it too. What counts as failing is decided in
//! [`crate::engine`]. Whoever stands here has completed IKE_SA_INIT, so its address is its own; the table is bounded
//! all the same, and forgets first who is merely counted and whose time is over soonest.

use crate::config::Lockout;
use crate::time::Instant;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// Callers kept. More have failed at once than any clients of ours; about a megabyte.
pub const KEPT: usize = 4096;

/// All ports of an address.
pub const ALL_PORTS: u16 = 0;

/// Who is locked out, or counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Offender {
    /// Instance of both addresses.
    pub instance: u16,
    /// Our address.
    pub local: IpAddr,
    /// The caller's address.
    pub remote: IpAddr,
    /// The port it called from; [`ALL_PORTS`]: any.
    pub port: u16,
}

impl Offender {
    fn with_port(self, port: u16) -> Offender {
        Offender { port, ..self }
    }

    /// Whether it is meant by a caller's address, a port and an address of ours, as far as these are said.
    fn is_meant(&self, which: &Which) -> bool {
        which.remote.is_none_or(|remote| remote == self.remote)
            && which.port.is_none_or(|port| port == self.port)
            && which.local.is_none_or(|local| local == self.local)
    }
}

/// Which lockouts to clear: all that fit what is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Which {
    /// The caller's address.
    pub remote: Option<IpAddr>,
    /// Its port, [`ALL_PORTS`] for the lockout of all of them.
    pub port: Option<u16>,
    /// Our address.
    pub local: Option<IpAddr>,
}

/// A caller that failed, for readers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Locked {
    /// Who.
    pub offender: Offender,
    /// Whether it is locked out; else it is counted only.
    pub blocked: bool,
    /// Proofs that failed.
    pub failed: u32,
    /// Datagrams that were not heard.
    pub dropped: u64,
    /// When it is forgotten; `None`: when it is cleared.
    pub until: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    failed: u32,
    blocked: bool,
    /// End of the time in which failures count together, or of the lockout; [`NEVER`] if it has none.
    until: Instant,
    /// The port its IKE_AUTH came from.
    floated: u16,
    dropped: u64,
}

const NEVER: Instant = Instant(u64::MAX);

/// The table. Sole owner: the engine.
#[derive(Debug, Default)]
pub struct Lockouts {
    entries: BTreeMap<Offender, Entry>,
    /// The order in which they are forgotten: those that are counted only first, then by their end.
    order: BTreeSet<(bool, Instant, Offender)>,
    /// Callers by the other port they used.
    floated: BTreeMap<Offender, Offender>,
}

impl Lockouts {
    /// Counts a proof that failed. `floated` is the port IKE_AUTH came from. Says who is locked out by it, if anybody:
    /// the caller, or its whole address.
    pub fn fail(
        &mut self,
        now: Instant,
        offender: Offender,
        floated: u16,
        policy: &Lockout,
    ) -> Option<Offender> {
        if self.entry_for(now, offender).is_some_and(|(_, entry)| entry.blocked) {
            // One that was under way when the caller was locked out.
            return None;
        }
        let began = Entry { failed: 0, blocked: false, until: now + policy.duration, floated, dropped: 0 };
        let mut entry = self.take(offender).filter(|entry| entry.until > now).unwrap_or(began);
        entry.failed = entry.failed.saturating_add(1);
        entry.floated = floated;
        if entry.failed >= policy.failed_attempts {
            entry = block(entry, now, policy);
        }
        self.put(offender, entry);
        if self.of_address(offender).filter(|(_, entry)| entry.until > now).count()
            > policy.max_ports as usize
        {
            return Some(self.block_address(now, offender, policy));
        }
        entry.blocked.then_some(offender)
    }

    /// All ports of an address are one entry from here on: its dropped and failed ones are added up.
    fn block_address(&mut self, now: Instant, offender: Offender, policy: &Lockout) -> Offender {
        let ports: Vec<Offender> = self.of_address(offender).map(|(port, _)| *port).collect();
        let mut all = Entry { failed: 0, blocked: true, until: now, floated: ALL_PORTS, dropped: 0 };
        for entry in ports.into_iter().filter_map(|port| self.take(port)) {
            all.failed = all.failed.saturating_add(entry.failed);
            all.dropped = all.dropped.saturating_add(entry.dropped);
        }
        let address = offender.with_port(ALL_PORTS);
        self.put(address, block(all, now, policy));
        address
    }

    /// A caller has proven itself: what it failed at before is forgiven, unless it is locked out.
    pub fn succeed(&mut self, now: Instant, offender: Offender) {
        let own = self.entry_for(now, offender).filter(|(_, entry)| !entry.blocked);
        if let Some((key, _)) = own.map(|(key, entry)| (key, *entry)) {
            self.take(key);
        }
    }

    /// Whether a datagram from there is not heard; if not, it is counted.
    pub fn drops(&mut self, now: Instant, from: Offender) -> bool {
        if self.entries.is_empty() {
            return false;
        }
        let Some((key, _)) = self.entry_for(now, from).filter(|(_, entry)| entry.blocked) else {
            return false;
        };
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.dropped = entry.dropped.saturating_add(1);
        }
        true
    }

    /// Forgets what is over, and says which lockouts ended.
    pub fn expire(&mut self, now: Instant) -> Vec<Offender> {
        let mut ended = Vec::new();
        for blocked in [false, true] {
            while let Some((_, until, offender)) = self.first(blocked)
                && until <= now
            {
                self.take(offender);
                ended.extend(blocked.then_some(offender));
            }
        }
        ended
    }

    /// When [`Self::expire`] has something to do.
    pub fn deadline(&self) -> Option<Instant> {
        let ends = [false, true].into_iter().filter_map(|blocked| self.first(blocked));
        ends.map(|(_, until, _)| until).min().filter(|until| *until != NEVER)
    }

    /// Forgets those that are meant; how many there were.
    pub fn clear(&mut self, which: &Which) -> usize {
        let meant: Vec<Offender> =
            self.entries.keys().filter(|offender| offender.is_meant(which)).copied().collect();
        meant.into_iter().filter_map(|offender| self.take(offender)).count()
    }

    /// All of them, by address.
    pub fn iter(&self) -> impl Iterator<Item = Locked> {
        self.entries.iter().map(|(offender, entry)| Locked {
            offender: *offender,
            blocked: entry.blocked,
            failed: entry.failed,
            dropped: entry.dropped,
            until: (entry.until != NEVER).then_some(entry.until),
        })
    }

    /// What counts for a datagram from there: the lockout of its address, else that of its port, under either name.
    fn entry_for(&self, now: Instant, from: Offender) -> Option<(Offender, &Entry)> {
        let known = |key: Offender| {
            let entry = self.entries.get(&key).filter(|entry| entry.until > now)?;
            Some((key, entry))
        };
        let floated = || self.floated.get(&from).copied();
        known(from.with_port(ALL_PORTS)).or_else(|| known(from)).or_else(|| known(floated()?))
    }

    /// Every entry of an address.
    fn of_address(&self, offender: Offender) -> impl Iterator<Item = (&Offender, &Entry)> {
        self.entries.range(offender.with_port(0)..=offender.with_port(u16::MAX))
    }

    fn first(&self, blocked: bool) -> Option<(bool, Instant, Offender)> {
        let lowest = IpAddr::from([0; 4]);
        let start = Offender { instance: 0, local: lowest, remote: lowest, port: 0 };
        self.order.range((blocked, Instant(0), start)..).next().copied().filter(|first| first.0 == blocked)
    }

    fn put(&mut self, offender: Offender, entry: Entry) {
        while self.entries.len() >= KEPT
            && let Some((.., oldest)) = self.order.first().copied()
        {
            self.take(oldest);
        }
        self.order.insert((entry.blocked, entry.until, offender));
        if entry.floated != offender.port && entry.floated != ALL_PORTS {
            self.floated.insert(offender.with_port(entry.floated), offender);
        }
        self.entries.insert(offender, entry);
    }

    fn take(&mut self, offender: Offender) -> Option<Entry> {
        let entry = self.entries.remove(&offender)?;
        self.order.remove(&(entry.blocked, entry.until, offender));
        let other = offender.with_port(entry.floated);
        if self.floated.get(&other) == Some(&offender) {
            self.floated.remove(&other);
        }
        Some(entry)
    }
}

fn block(entry: Entry, now: Instant, policy: &Lockout) -> Entry {
    let until = policy.block.map_or(NEVER, |block| now + block);
    Entry { blocked: true, until, ..entry }
}

#[cfg(test)]
mod tests;
