//! The table against a slow and obvious twin, and at its limits.

use super::*;
use proptest::prelude::*;
use std::time::Duration;

const MINUTE: u64 = 60_000_000;

fn policy(failed_attempts: u32, max_ports: u32) -> Lockout {
    Lockout { failed_attempts, max_ports, ..Lockout::default() }
}

fn caller(address: u32, port: u16) -> Offender {
    let remote = IpAddr::from((0x0a00_0000 | address).to_be_bytes());
    Offender { instance: 0, local: IpAddr::from([192, 0, 2, 2]), remote, port }
}

/// One failure less than lock out, as many, and one more: the last is not heard any more, and changes nothing.
#[test]
fn the_third_failure_locks_out() {
    let mut table = Lockouts::default();
    let (now, one) = (Instant(MINUTE), caller(1, 4500));
    for (number, expected) in [(1, None), (2, None), (3, Some(one)), (4, None)] {
        assert_eq!(table.fail(now, one, 4500, &policy(3, 16)), expected, "failure {number}");
        assert_eq!(table.drops(now, one), number >= 3);
    }
    let locked: Vec<Locked> = table.iter().collect();
    assert_eq!((locked.len(), locked[0].failed, locked[0].dropped), (1, 3, 2));
    let other_port = caller(1, 4501);
    assert!(!table.drops(now, other_port), "another client behind the same NAT");
    assert!(!table.drops(now, Offender { instance: 1, ..one }) && !table.drops(now, caller(2, 4500)));
    assert!(
        !table.drops(now, Offender { local: IpAddr::from([192, 0, 2, 3]), ..one }),
        "another gateway of ours"
    );
}

/// Failures count together for five minutes from the first, a lockout lasts ten; both to the microsecond.
#[test]
fn time_forgives() {
    let one = caller(1, 500);
    let fail = |table: &mut Lockouts, at: u64| table.fail(Instant(at), one, 500, &policy(2, 16));
    for (second, expected) in [(5 * MINUTE - 1, Some(one)), (5 * MINUTE, None), (5 * MINUTE + 1, None)] {
        let mut table = Lockouts::default();
        assert_eq!(fail(&mut table, 0), None);
        assert_eq!(fail(&mut table, second), expected);
    }
    let mut table = Lockouts::default();
    fail(&mut table, 0);
    fail(&mut table, 1);
    assert_eq!(table.deadline(), Some(Instant(10 * MINUTE + 1)));
    assert!(table.drops(Instant(10 * MINUTE), one) && !table.drops(Instant(10 * MINUTE + 1), one));
    assert!(table.expire(Instant(10 * MINUTE)).is_empty());
    assert_eq!(table.expire(Instant(10 * MINUTE + 1)), [one]);
    assert_eq!((table.iter().count(), table.deadline()), (0, None));
}

/// Without an end a lockout stays until it is cleared.
#[test]
fn forever_is_until_cleared() {
    let (mut table, one) = (Lockouts::default(), caller(1, 500));
    table.fail(Instant(0), one, 500, &Lockout { block: None, ..policy(1, 16) });
    assert_eq!(table.deadline(), None);
    assert!(table.expire(Instant(u64::MAX - 1)).is_empty() && table.drops(Instant(u64::MAX - 1), one));
    assert_eq!(table.iter().next().unwrap().until, None);
    assert_eq!(table.clear(&Which { remote: Some(one.remote), ..Which::default() }), 1);
    assert!(!table.drops(Instant(0), one));
}

/// A proof that holds forgives what failed before it, and never ends a lockout.
#[test]
fn success_forgives_but_does_not_unlock() {
    let (mut table, one) = (Lockouts::default(), caller(1, 500));
    let fail = |table: &mut Lockouts| table.fail(Instant(0), one, 500, &policy(2, 16));
    fail(&mut table);
    table.succeed(Instant(0), one);
    assert_eq!((fail(&mut table), fail(&mut table)), (None, Some(one)));
    table.succeed(Instant(0), one);
    assert!(table.drops(Instant(0), one));
}

/// IKE_AUTH from the NAT traversal port belongs to the caller that came from 500: neither is heard any more.
#[test]
fn both_ports_of_a_caller_are_locked_out() {
    let (mut table, one) = (Lockouts::default(), caller(1, 500));
    table.fail(Instant(0), one, 4500, &policy(1, 16));
    assert!(table.drops(Instant(0), one) && table.drops(Instant(0), caller(1, 4500)));
    assert!(!table.drops(Instant(0), caller(1, 4501)));
    assert_eq!(table.iter().map(|locked| locked.dropped).collect::<Vec<_>>(), [2]);
    table.clear(&Which::default());
    assert!(!table.drops(Instant(0), caller(1, 4500)) && table.floated.is_empty() && table.order.is_empty());
}

/// Fifteen ports of one address that failed, sixteen, seventeen: then all of them are locked out, as one entry.
#[test]
fn too_many_ports_lock_out_the_address() {
    for (ports, all) in [(15, false), (16, false), (17, true)] {
        let mut table = Lockouts::default();
        let mut last = None;
        for port in 1..=ports {
            last = table.fail(Instant(0), caller(1, 1000 + port), 1000 + port, &policy(3, 16));
        }
        assert_eq!(last, all.then_some(caller(1, ALL_PORTS)), "{ports} ports");
        assert_eq!(table.drops(Instant(0), caller(1, 7)), all);
        assert_eq!(table.iter().count(), if all { 1 } else { usize::from(ports) });
        assert!(!table.drops(Instant(0), caller(2, 7)));
    }
}

/// What is cleared is what is meant.
#[test]
fn clearing_is_as_wide_as_it_is_said() {
    let filled = || {
        let mut table = Lockouts::default();
        for (address, port) in [(1, 500), (1, 600), (2, 500)] {
            table.fail(Instant(0), caller(address, port), port, &policy(1, 16));
        }
        table.fail(
            Instant(0),
            Offender { local: IpAddr::from([1; 4]), ..caller(1, 500) },
            500,
            &policy(1, 16),
        );
        table
    };
    let one = Which { remote: Some(caller(1, 0).remote), ..Which::default() };
    for (which, cleared) in [
        (Which::default(), 4),
        (one, 3),
        (Which { port: Some(500), ..one }, 2),
        (Which { port: Some(500), local: Some(IpAddr::from([1; 4])), ..one }, 1),
        (Which { port: Some(7), ..one }, 0),
    ] {
        let mut table = filled();
        assert_eq!(table.clear(&which), cleared, "{which:?}");
        assert_eq!(table.iter().count(), 4 - cleared);
    }
}

/// One caller less than are kept, as many, one more, and many more; those locked out outlive those counted.
#[test]
fn a_flood_of_addresses_is_bounded() {
    for callers in [KEPT - 1, KEPT, KEPT + 1, 3 * KEPT] {
        let mut table = Lockouts::default();
        let locked = caller(0, 9);
        table.fail(Instant(0), locked, 9, &policy(1, 16));
        for address in 1..callers as u32 {
            table.fail(Instant(u64::from(address)), caller(address, 500), 4500, &policy(3, 16));
        }
        assert_eq!(table.entries.len(), callers.min(KEPT));
        assert_eq!((table.order.len(), table.floated.len()), (table.entries.len(), table.entries.len() - 1));
        assert!(table.drops(Instant(9), locked));
        assert!(table.entries.contains_key(&caller(callers as u32 - 1, 500)), "who came last is counted");
    }
    let mut table = Lockouts::default();
    (0..2 * KEPT as u32)
        .for_each(|address| _ = table.fail(Instant(0), caller(address, 1), 1, &policy(1, 16)));
    assert_eq!(table.entries.len(), KEPT);
}

/// What happens to a table, told to its twin as well.
#[derive(Clone, Debug)]
enum Step {
    Fail(u32, u16),
    Succeed(u32, u16),
    Datagram(u32, u16),
    Clear(u32),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let who = || (0u32..2, 1u16..5);
    prop_oneof![
        6 => who().prop_map(|(address, port)| Step::Fail(address, port)),
        1 => who().prop_map(|(address, port)| Step::Succeed(address, port)),
        4 => who().prop_map(|(address, port)| Step::Datagram(address, port)),
        1 => (0u32..2).prop_map(Step::Clear),
        4 => (0u64..4).prop_map(Step::Wait),
    ]
}

/// The rules of IKE-22 written down one by one, over a list of what happened.
#[derive(Default)]
struct Twin {
    /// Of each caller: when its count began and how far it came.
    counts: Vec<(Offender, Instant, u32)>,
    blocks: Vec<(Offender, Instant)>,
}

impl Twin {
    fn is_blocked(&self, now: Instant, one: Offender) -> bool {
        let meant = |key: &Offender| *key == one || *key == one.with_port(ALL_PORTS);
        self.blocks.iter().any(|(key, until)| meant(key) && now < *until)
    }

    fn age(&mut self, now: Instant, policy: &Lockout) {
        self.counts.retain(|(_, began, _)| now < *began + policy.duration);
        self.blocks.retain(|(_, until)| now < *until);
    }

    fn fail(&mut self, now: Instant, one: Offender, policy: &Lockout) {
        self.age(now, policy);
        if self.is_blocked(now, one) {
            return;
        }
        let until = now + policy.block.unwrap();
        match self.counts.iter_mut().find(|(key, ..)| *key == one) {
            Some((.., count)) => *count += 1,
            None => self.counts.push((one, now, 1)),
        }
        if self.counts.iter().any(|(key, _, count)| *key == one && *count >= policy.failed_attempts) {
            self.counts.retain(|(key, ..)| *key != one);
            self.blocks.push((one, until));
        }
        let same = |key: &Offender| key.remote == one.remote;
        let counted = self.counts.iter().map(|(key, ..)| *key).filter(same);
        if counted.chain(self.blocks.iter().map(|(key, _)| *key).filter(same)).count()
            > policy.max_ports as usize
        {
            self.counts.retain(|(key, ..)| !same(key));
            self.blocks.retain(|(key, _)| !same(key));
            self.blocks.push((one.with_port(ALL_PORTS), until));
        }
    }
}

proptest! {
    /// After whatever happened, the same callers are heard; no index keeps what the table has not.
    #[test]
    fn who_is_heard_is_who_should_be(steps in proptest::collection::vec(step(), 0..80), failed in 1u32..4, ports in 1u32..4) {
        let policy = Lockout {
            duration: Duration::from_micros(5),
            block: Some(Duration::from_micros(7)),
            ..policy(failed, ports)
        };
        let (mut table, mut twin, mut now) = (Lockouts::default(), Twin::default(), Instant(0));
        for step in steps {
            match step {
                Step::Fail(address, port) => {
                    let one = caller(address, port);
                    table.fail(now, one, port, &policy);
                    twin.fail(now, one, &policy);
                }
                Step::Succeed(address, port) => {
                    let one = caller(address, port);
                    table.succeed(now, one);
                    twin.counts.retain(|(key, ..)| *key != one);
                }
                Step::Datagram(address, port) => {
                    let one = caller(address, port);
                    prop_assert_eq!(table.drops(now, one), twin.is_blocked(now, one));
                }
                Step::Clear(address) => {
                    let remote = caller(address, 0).remote;
                    table.clear(&Which { remote: Some(remote), ..Which::default() });
                    twin.counts.retain(|(key, ..)| key.remote != remote);
                    twin.blocks.retain(|(key, _)| key.remote != remote);
                }
                Step::Wait(micros) => {
                    now = now + Duration::from_micros(micros);
                    if micros % 2 == 0 {
                        table.expire(now);
                    }
                    twin.age(now, &policy);
                }
            }
            prop_assert_eq!(table.order.len(), table.entries.len());
            prop_assert!(table.floated.is_empty(), "no caller here changed its port");
        }
    }
}
