//! What a tunnel takes of the engine's memory, configured and up: a gateway has tens of thousands of them.
//!
//! Octets are counted as they are asked for; what the allocator adds to each piece is not in it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failure is a failed test"
)]

#[path = "harness/settings.rs"]
#[allow(dead_code, reason = "other tests need more of it")]
mod settings;

use ravelin_ike::Engine;
use ravelin_ike::config::*;
use ravelin_ike::event::Event;
use ravelin_ike::input::{Command, Datagram};
use ravelin_ike::time::Instant;
use ravelin_ike::want::{Answer, WantKind};
use ravelin_mem::counting::{Counting, held};
use std::net::IpAddr;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Enough that what there is once does not count.
const TUNNELS: u32 = 256;
/// What a tunnel may take that is configured, room for its further addresses and its peer's, and for a gateway's name, included.
/// All have the same proposals, and those are there once.
const CONFIGURED: u64 = 1024;
/// What one may take beyond that which is up and has been rekeyed, IKE SA and CHILD_SA, when nothing of the old ones is
/// left; where its peer can be reached and does not want us, and when it was last told what, included.
const UP: u64 = 3960;

/// One end of all tunnels.
struct End {
    engine: Engine,
    spis: u32,
    up: u32,
    rekeyed: u32,
}

impl End {
    fn new(end: usize) -> End {
        let mut engine = Engine::new(EngineConfig::default(), [end as u8; 32]);
        let alike = settings::connection(end);
        for number in 0..TUNNELS {
            let caller = IpAddr::from([10, 0, (number >> 8) as u8, number as u8]);
            let (local, remote) =
                if end == 0 { (caller, settings::outer(1)) } else { (settings::outer(1), caller) };
            let children = vec![ChildConfig { id: ChildId(number), ..alike.children[0].clone() }];
            let remote = RemoteAddress::One(remote);
            let connection = Connection { local, remote, children, dead_peer: None, ..alike.clone() };
            engine.set_connection(Instant(0), ConnectionId(number), Some(connection));
        }
        End { engine, spis: 256, up: 0, rekeyed: 0 }
    }

    /// Answers what the engine wants; what it sends is given back.
    fn drain(&mut self, now: Instant) -> Vec<Datagram> {
        let mut sent = Vec::new();
        loop {
            let before = sent.len();
            while let Some(transmit) = self.engine.poll_transmit() {
                let (local, remote) = (transmit.remote, transmit.local);
                sent.push(Datagram { instance: 0, local, remote, bytes: transmit.bytes });
            }
            let mut idle = sent.len() == before;
            while let Some(want) = self.engine.poll_want() {
                idle = false;
                let answer = match want.kind {
                    WantKind::KeyAgreement(job) => Answer::KeyAgreement(job.perform()),
                    WantKind::AllocateSpi(_) => {
                        self.spis += 1;
                        Answer::AllocateSpi(Ok(self.spis))
                    }
                    WantKind::Install(_) => Answer::Install(Ok(())),
                    _ => continue,
                };
                self.engine.handle_answer(now, want.ticket, answer);
            }
            while let Some(event) = self.engine.poll_event() {
                idle = false;
                self.up += u32::from(matches!(event, Event::ChildUp(_)));
                self.rekeyed +=
                    u32::from(matches!(event, Event::ChildRekeyed { .. } | Event::IkeRekeyed { .. }));
            }
            if idle {
                return sent;
            }
        }
    }

    fn tell(&mut self, now: Instant, command: Command) -> Vec<Datagram> {
        self.engine.handle_command(now, command);
        self.drain(now)
    }

    /// Does all that is due.
    fn pass(&mut self, now: Instant) -> Vec<Datagram> {
        let mut sent = Vec::new();
        while self.engine.next_deadline().is_some_and(|due| due <= now) {
            self.engine.handle_timeout(now);
            sent.extend(self.drain(now));
        }
        sent
    }

    fn take(&mut self, now: Instant, datagrams: Vec<Datagram>) -> Vec<Datagram> {
        datagrams.into_iter().for_each(|datagram| self.engine.handle_datagram(now, datagram));
        self.drain(now)
    }
}

/// Carries what `one` has sent to the other, and so on until nobody has anything to say.
fn converse(now: Instant, one: &mut End, other: &mut End, mut sent: Vec<Datagram>) {
    while !sent.is_empty() {
        let replies = other.take(now, sent);
        sent = one.take(now, replies);
    }
}

/// Lets time pass until nothing is left of what was replaced.
fn settle(now: Instant, ends: [&mut End; 2]) {
    let [one, other] = ends;
    let sent = one.pass(now);
    converse(now, one, other, sent);
    let sent = other.pass(now);
    converse(now, other, one, sent);
}

#[test]
fn a_tunnel_takes_little_configured_and_little_up() {
    let nothing = held();
    let mut called = End::new(1);
    let configured = held() - nothing;
    let mut caller = End::new(0);
    let now = Instant(1_000_000);
    for number in 0..TUNNELS {
        let (connection, child) = (ConnectionId(number), Some(ChildId(number)));
        let sent = caller.tell(now, Command::Initiate { connection, child });
        converse(now, &mut caller, &mut called, sent);
    }
    assert_eq!((caller.up, called.up), (TUNNELS, TUNNELS));
    for tunnel in called.engine.snapshot() {
        for child in &tunnel.children {
            let sent = called.tell(now, Command::RekeyChild { child: child.child.child });
            converse(now, &mut called, &mut caller, sent);
        }
        let sent = called.tell(now, Command::RekeyIke { ike: tunnel.ike });
        converse(now, &mut called, &mut caller, sent);
    }
    assert_eq!((caller.rekeyed, called.rekeyed), (2 * TUNNELS, 2 * TUNNELS));
    settle(Instant(61_000_000), [&mut called, &mut caller]);
    assert!(called.engine.snapshot().iter().all(|tunnel| tunnel.ike_sas == 1 && tunnel.children.len() == 1));
    drop(caller);
    let up = held() - nothing - configured;
    let each = |octets: u64| octets / u64::from(TUNNELS);
    let (configured, up) = (each(configured), each(up));
    println!("{configured} octets configured, {up} more up");
    assert!(configured > 500 && up > 1000, "nothing was counted: {configured} configured, {up} more up");
    assert!(configured <= CONFIGURED && up <= UP, "{configured} configured, {up} more up");
}
