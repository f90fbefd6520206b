//! Thousands of seeded lives of two gateways in a bad world.
//!
//! Each seed: set-up, rekeys of IKE and CHILD_SAs on both sides and often at once, deletes, new children, of which there
//! are up to five and which both ends may ask for at once, under loss, repetition, reordering and slow, failing or
//! missing answers; with one key exchange or several, which one end or both prefer, with a post-quantum preshared key
//! or without, with the first child in IKE_AUTH or after it, with a second proof of one end or of both or without; with tickets asked for and given or without, and then often
//! with a time in which nothing arrives at all; in some of them with SAs for single resources beside those for all, as
//! many at either end or not; with new proofs of identity by command or because theirs are over; in some of them one end moves from address to address, with
//! somebody on the way who gives its requests another source. Checked all along: nobody sends on a successor SA that its
//! peer never installed, both ends hold the same keys for an SA or one holds none, nothing is up without a verified
//! AUTH, nor without the second one where that is configured, no SPI is used or given back twice, nothing leaves from an address that is gone, no ESP goes where the peer
//! never was, no crash token of an IKE SA is seen in the clear that whoever made it has or is about to have. Checked
//! after the world has become good: both ends have equal SAs and send where the other one is, one IKE
//! SA at most, one CHILD_SA a child at most, and send on something for every child. Checked after a shutdown: nothing is
//! left.
//!
//! `RAVELIN_SIM_SEEDS` sets how many, `RAVELIN_SIM_SEED` replays one, `RAVELIN_SIM_TRACE` prints every message.

#![allow(clippy::expect_used, clippy::indexing_slicing)]

use crate::harness::tally::Tally;
use crate::harness::{Dice, Faults, World, settings};
use ravelin_ike::Engine;
use ravelin_ike::config::{
    AuthenticationLifetime, ChildId, ChildLifetime, Connection, EngineConfig, Group, IkeLifetime, PpkIdKind,
    UdpEncapsulation,
};
use ravelin_ike::engine::IkePhase;
use ravelin_ike::input::Command;
use ravelin_ike::time::Instant;
use std::time::Duration;

const SECOND: u64 = 1_000_000;

/// What both ends do in one life.
#[derive(Clone, Copy)]
struct Ways {
    certificates: bool,
    /// Whether each shows its certificate by hash and URL, where it shows one.
    by_url: bool,
    short: bool,
    /// Children there may be, and how many each end allows at once.
    children: u32,
    limits: [usize; 2],
    /// Additional key exchanges, if there are any; where an end does not insist on them, it prefers to do without.
    additional: &'static [Group],
    insists: [bool; 2],
    /// Whether both have a post-quantum preshared key, and which end requires it.
    ppk: Option<[bool; 2]>,
    /// Which end calls without a CHILD_SA in IKE_AUTH.
    childless: [bool; 2],
    /// Whether end 0 moves about; where end 1 does not do MOBIKE, its tunnel ends each time.
    mobile: Option<bool>,
    /// Which end makes crash tokens.
    crash_tokens: [bool; 2],
    /// Which end resumes what was lost, and gives tickets for that.
    resumption: [bool; 2],
    /// Resources of each end that may have an SA of their own beside each child's; `None`: it knows of none.
    resources: [Option<u32>; 2],
    /// For how many seconds proofs of identity count at each end.
    proofs: [Option<u64>; 2],
    /// Which end proves itself twice, if one does; not with a post-quantum preshared key, which the two do not go with.
    second: Option<[bool; 2]>,
}

const ADDITIONAL: [&[Group]; 3] = [&[Group::MlKem512], &[Group::EcpP256], &[Group::EcpP256, Group::MlKem512]];

impl Ways {
    fn of(seed: u64, dice: &mut Dice) -> Ways {
        let (certificates, short) = (dice.chance(400), dice.chance(400));
        let additional = if dice.chance(500) { ADDITIONAL[dice.below(3) as usize] } else { &[] };
        let insists = [dice.chance(700), dice.chance(700)];
        let children = 1 + dice.below(5) as u32;
        let limits = [0, 1].map(|_| if dice.chance(800) { 5 } else { 1 + dice.below(4) as usize });
        let ppk = dice.chance(300).then(|| [dice.chance(500), dice.chance(500)]);
        let childless = [dice.chance(300), dice.chance(300)];
        let mobile = dice.chance(350).then(|| dice.chance(850));
        let crash_tokens = [dice.chance(600), dice.chance(600)];
        // Of dice of its own, so that all else of a seed is as it was.
        let mut apart = Dice(seed ^ 0x5723);
        let resumption = [apart.chance(600), apart.chance(600)];
        let both = apart.chance(400);
        let resources = [0, 1].map(|_| (both && apart.chance(900)).then(|| apart.below(4) as u32));
        let mut apart = Dice(seed ^ 0x4478);
        let proofs = [0, 1].map(|_| apart.chance(250).then(|| 12 + apart.below(60)));
        let mut apart = Dice(seed ^ 0x4739);
        let who = [[true, false], [false, true], [true, true]][apart.below(3) as usize];
        let second = (apart.chance(250) && ppk.is_none()).then_some(who);
        let by_url = Dice(seed ^ 0x36).chance(300);
        Ways {
            proofs,
            second,
            certificates,
            by_url,
            short,
            children,
            limits,
            additional,
            insists,
            ppk,
            childless,
            mobile,
            crash_tokens,
            resumption,
            resources,
        }
    }

    fn connection(&self, end: usize) -> Connection {
        let plain = match self.certificates {
            true if self.by_url => settings::by_url(settings::with_certificates(end), end),
            true => settings::with_certificates(end),
            false => settings::connection(end),
        };
        let resumption = self.resumption[end];
        let lifetime = |seconds| AuthenticationLifetime::of(Duration::from_secs(seconds));
        let authentication_lifetime = self.proofs[end].map(lifetime);
        let plain = Connection { max_children: self.limits[end], resumption, ..plain };
        let plain = Connection { authentication_lifetime, ..plain };
        let plain = Connection { childless: self.childless[end], ..plain };
        let plain = match self.mobile {
            Some(both) => {
                let remote = settings::mobile(end).remote;
                Connection { mobike: both || end == 0, remote, ..plain }
            }
            None => plain,
        };
        let plain = match self.second {
            Some(who) => settings::with_second(plain, end, who, "the second key of both ends"),
            None => plain,
        };
        let plain = settings::with_children(plain, end, self.children);
        let plain = match self.ppk {
            Some(required) => {
                let ppk = settings::ppk(PpkIdKind::Fixed, "both", "a secret of both ends");
                settings::with_ppks(plain, &[ppk], required[end])
            }
            None => plain,
        };
        let hybrid = settings::with_additional(plain.clone(), self.additional);
        let connection = match (self.additional.is_empty(), self.insists[end]) {
            (true, _) => plain,
            (false, true) => settings::either(hybrid, &plain),
            (false, false) => settings::either(plain, &hybrid),
        };
        match self.resources[end] {
            Some(count) => settings::with_resources(connection, end, count),
            None => connection,
        }
    }

    /// Any child of an end: mostly one that all its resources use, else one of a single one.
    fn child(&self, end: usize, dice: &mut Dice) -> ChildId {
        let child = 1 + dice.below(self.children.into()) as u32;
        match self.resources[end] {
            Some(count @ 1..) if dice.chance(500) => {
                ChildId(settings::ONE_RESOURCE * child + dice.below(count.into()) as u32)
            }
            _ => ChildId(child),
        }
    }
}

fn engine(end: usize, seed: u64, dice: &mut Dice, ways: &Ways) -> Engine {
    let mut octets = [end as u8; 32];
    octets[..8].copy_from_slice(&seed.to_be_bytes());
    let crash_secret = ways.crash_tokens[end].then(|| settings::crash_secret(end, 0));
    let ticket_keys = Some(settings::ticket_keys(end, 0, Duration::ZERO));
    let config = EngineConfig { crash_secret, ticket_keys, ..settings::engine_config() };
    let mut engine = Engine::new(config, octets);
    let mut connection = ways.connection(end);
    connection.nat.encapsulation = match dice.below(10) {
        0 | 1 => UdpEncapsulation::Force,
        2 if ways.mobile.is_none() => UdpEncapsulation::Never,
        _ => UdpEncapsulation::Auto,
    };
    if ways.short {
        // Both sides' SAs come of age together, so that they rekey together.
        let soft = Duration::from_secs(15 + dice.below(3));
        let hard = Duration::from_secs(120);
        let lifetime = ChildLifetime { soft, hard, jitter_percent: 1 };
        connection.children.iter_mut().for_each(|child| child.lifetime = lifetime);
        connection.lifetime = IkeLifetime { soft: soft * 2, hard: hard * 2, jitter_percent: 1 };
    }
    engine.set_connection(Instant(0), settings::CONNECTION, Some(connection));
    engine
}

/// End 0 goes elsewhere, mostly while something else is going on, and sometimes on at once; not while it calls: an
/// attempt that is given up half-way is another story than a move.
fn wander(world: &mut World, ways: &Ways) {
    if world.ends[0].engine.snapshot().iter().any(|ike| ike.phase == IkePhase::Connecting) {
        return;
    }
    for _ in 0..1 + world.dice.below(3) {
        let place = settings::elsewhere(1 + world.dice.below(6) as u8);
        let place = if world.dice.chance(200) { settings::outer(0) } else { place };
        world.relocate(0, place, ways.connection(0));
        if world.dice.chance(700) {
            return;
        }
        let skew = world.dice.below(8000);
        world.run_for(skew);
    }
}

fn random_command(world: &mut World, ways: &Ways) {
    if ways.mobile.is_some() && world.dice.chance(400) {
        wander(world, ways);
        let skew = world.dice.below(4000);
        world.run_for(skew);
    }
    let end = world.dice.below(2) as usize;
    let connection = settings::CONNECTION;
    let child = {
        let children = world.children(end);
        let pick = world.dice.below(children.len().max(1) as u64) as usize;
        children.get(pick).copied()
    };
    let ike = world.ikes(end).first().copied();
    // Dice of their own, so that all else of a seed is as it was.
    if Dice(world.now ^ 0x4478).chance(120)
        && let Some(ike) = ike
    {
        world.command(end, Command::Reauthenticate { ike });
    }
    match (world.dice.below(100), child, ike) {
        (0..35, Some(child), _) => {
            world.command(end, Command::RekeyChild { child });
            if world.dice.chance(600) {
                let skew = world.dice.below(4000);
                world.run_for(skew);
                for child in world.children(1 - end) {
                    world.command(1 - end, Command::RekeyChild { child });
                }
            }
        }
        (35..60, _, Some(ike)) => {
            world.command(end, Command::RekeyIke { ike });
            if world.dice.chance(600) {
                let skew = world.dice.below(4000);
                world.run_for(skew);
                if let Some(ike) = world.ikes(1 - end).first().copied() {
                    world.command(1 - end, Command::RekeyIke { ike });
                }
            }
        }
        (60..70, Some(child), _) => world.command(end, Command::TerminateChild { child }),
        (70..90, ..) => {
            let child = Some(ways.child(end, &mut world.dice));
            world.command(end, Command::Initiate { connection, child });
            if world.dice.chance(500) {
                let skew = world.dice.below(4000);
                world.run_for(skew);
                let child = match ways.resources == [None; 2] {
                    true => child,
                    false => Some(ways.child(1 - end, &mut world.dice)),
                };
                world.command(1 - end, Command::Initiate { connection, child });
            }
        }
        (90..93, _, Some(ike)) => world.command(end, Command::TerminateIke { ike }),
        _ => world.command(end, Command::Initiate { connection, child: None }),
    }
}

/// Nothing arrives until both ends take each other for dead; then end 0 calls again, with its ticket if it has one.
fn black_out(world: &mut World) {
    let connection = settings::CONNECTION;
    world.command(0, Command::Initiate { connection, child: None });
    world.run_for(5 * SECOND);
    let before =
        std::mem::replace(&mut world.faults, Faults { loss: 1000, delay: 1000, ..Faults::default() });
    world.run_for(200 * SECOND);
    world.faults = Faults { loss: 0, ..before };
    world.command(0, Command::Initiate { connection, child: None });
    world.run_for(5 * SECOND);
}

fn live(seed: u64) -> Tally {
    let mut dice = Dice(seed);
    let mut ways = Ways::of(seed, &mut dice);
    let engines = [0, 1].map(|end| engine(end, seed, &mut dice, &ways));
    let mut world = World::new(seed, engines, ways.certificates);
    (0..2).for_each(|end| world.ends[end].second = settings::second_of_peer(&ways.connection(end)));
    let bad = dice.below(4);
    world.faults = Faults {
        loss: bad * dice.below(100),
        repeat: dice.below(200),
        delay: 1000 + dice.below(200_000) * dice.below(4),
        answer_delay: 1 + dice.below(150_000) * dice.below(4),
        answer_fails: bad * dice.below(20),
        answer_never: bad * dice.below(6),
        // Without MOBIKE a peer behind a NAT is followed by its packets (RFC 7296 §2.23), wherever they come from.
        spoof: if ways.mobile == Some(true) { bad * dice.below(60) } else { 0 },
    };
    world.command(0, Command::Initiate { connection: settings::CONNECTION, child: None });
    if dice.chance(200) {
        world.command(1, Command::Initiate { connection: settings::CONNECTION, child: None });
    }
    for _ in 0..12 {
        let pause =
            if world.dice.chance(300) { world.dice.below(50_000) } else { world.dice.below(4 * SECOND) };
        world.run_for(pause);
        world.traffic();
        random_command(&mut world, &ways);
    }
    if ways.resumption == [true; 2] && Dice(seed ^ 0x6d15).chance(500) {
        black_out(&mut world);
    }
    // The world becomes good, and lifetimes long.
    world.faults = Faults { delay: 2000, answer_delay: 1000, ..Faults::default() };
    world.run_for(130 * SECOND);
    ways.proofs = [None; 2];
    for end in 0..2 {
        let now = world.at();
        let connection = Connection { local: world.ends[end].place, ..ways.connection(end) };
        world.ends[end].engine.set_connection(now, settings::CONNECTION, Some(connection));
    }
    for _ in 0..16 {
        world.run_for(5 * SECOND);
        world.traffic();
    }
    world.run_for(20 * SECOND);
    world.assert_converged();
    // Where a limit keeps one of two tunnels from taking over the other's children, both stay and carry.
    if ways.limits.iter().all(|limit| *limit >= ways.children as usize) {
        assert!(world.ikes(0).len() <= 1, "two tunnels are left");
        let served = world.served(0);
        assert!(served.windows(2).all(|pair| pair[0] != pair[1]), "twins are left: {served:?}");
    }
    world.command(0, Command::Shutdown);
    world.command(1, Command::Shutdown);
    world.run_for(200 * SECOND);
    world.assert_empty();
    let mut tally = world.tally;
    for counters in world.ends.iter().map(|end| end.engine.counters()) {
        tally.collisions += counters.collisions;
        tally.crossed_calls += counters.crossed_calls;
    }
    tally
}

#[test]
fn seeded_lives() {
    let one = std::env::var("RAVELIN_SIM_SEED").ok().map(|seed| seed.parse::<u64>().expect("a number"));
    let many = std::env::var("RAVELIN_SIM_SEEDS").ok().map_or(2000, |seeds| seeds.parse().expect("a number"));
    let seeds = one.map_or(0..many, |seed| seed..seed + 1);
    let mut total = Tally::default();
    for seed in seeds.clone() {
        let run = std::panic::catch_unwind(|| live(seed));
        match run {
            Ok(tally) => total.add(&tally),
            Err(panic) => {
                eprintln!("seed {seed} failed: replay it with RAVELIN_SIM_SEED={seed}");
                std::panic::resume_unwind(panic);
            }
        }
    }
    println!("{} seeds: {total:#?}", seeds.count());
    assert!(
        one.is_some() || total.collisions > 0,
        "no simultaneous rekey was met: the simulation proves nothing"
    );
    assert!(
        one.is_some() || (total.intermediate > 0 && total.followups > 0),
        "no additional key exchange was carried out: the simulation proves nothing of them"
    );
    assert!(
        one.is_some() || (total.moved > 0 && total.missed > 0 && total.spoofed > 0),
        "nobody moved, or nothing went astray: the simulation proves nothing of it"
    );
    assert!(
        one.is_some() || total.crash_tokens > 0,
        "no crash token was given out: the simulation proves nothing of them"
    );
    assert!(
        one.is_some() || total.resources > 0,
        "no resource got an SA of its own: the simulation proves nothing of them"
    );
    assert!(
        one.is_some() || total.crossed_calls > 0,
        "no two calls crossed: the simulation proves nothing of them"
    );
    assert!(
        one.is_some() || total.reauthenticated > 0,
        "no IKE SA took the place of another one by a new proof: the simulation proves nothing of them"
    );
    assert!(
        one.is_some() || total.twice > 0,
        "nobody proved itself twice: the simulation proves nothing of it"
    );
    assert!(
        one.is_some() || total.looked_up > 0,
        "no certificate was looked up: the simulation proves nothing of it"
    );
    assert!(
        one.is_some() || (total.resumed > 0 && total.mixed > 0),
        "no session was resumed, or no PPK was used: the simulation proves nothing of them"
    );
}
