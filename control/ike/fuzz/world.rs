//! The engine against a peer that has a half-open IKE SA with it and does as it likes (RFC 7296, RFC 9370).
//!
//! Each run begins with a genuine IKE_SA_INIT exchange, so the peer holds the keys. Then come the records of
//! the input: strangers' datagrams, the ticket it was given, sealed messages with any payloads, the genuine next step (IKE_INTERMEDIATE where
//! that was agreed on, IKE_AUTH, twice where there are two proofs, then CREATE_CHILD_SA and IKE_FOLLOWUP_KE by turns), repetitions, passing time,
//! operators' commands, workers' facts, helpers that refuse or never answer. Whatever comes: nothing is up or installed
//! before the peer made all of its proofs, no ESP goes where it has not answered, what is kept is bounded by what was asked for, and the engine comes to rest.

use crate::peer::{CONNECTION, Peer, name};
use crate::proofs;
use ravelin_ike::Engine;
use ravelin_ike::event::Event;
use ravelin_ike::id::{ChildSaId, IkeId};
use ravelin_ike::input::{ChildFact, ChildFactKind, Command, Datagram};
use ravelin_ike::time::Instant;
use ravelin_ike::want::{Answer, AnswerError, Want, WantKind};
use ravelin_ike::wire::ExchangeType;

/// Octets of a record before its content.
const RECORD: usize = 4;
/// More than this from one input would be a loop without end.
const OUTPUTS: usize = 1000;

/// One run.
pub fn run(engine: Engine, peer: Peer, data: &[u8]) {
    let mut world = World::new(engine, peer);
    let request = world.peer.init();
    world.deliver(0, request);
    let mut rest = data;
    while let Some(([op, argument, high, low], after)) = rest.split_first_chunk::<RECORD>() {
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(after.len());
        let (content, after) = after.split_at(length);
        rest = after;
        world.act(*op, *argument, content);
        world.keeps_its_promises();
    }
    world.pass(4 * 86_400_000_000);
    world.keeps_its_promises();
}

/// How helpers answer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Helpers {
    Answer,
    Refuse,
    Never,
}

struct World {
    engine: Engine,
    peer: Peer,
    now: u64,
    helpers: Helpers,
    proved: bool,
    /// Whether a helper found a good signature of the peer's.
    verified: bool,
    /// Inputs after which there may be one tunnel more.
    openings: usize,
    next_spi: u32,
    ike: Option<IkeId>,
    child: Option<ChildSaId>,
    last: Vec<u8>,
    /// Whether a worker said that the peer behind a NAT moved: that is believed (RFC 7296 §2.23).
    followed: bool,
}

impl World {
    fn new(engine: Engine, peer: Peer) -> World {
        World {
            engine,
            peer,
            now: 1_000_000,
            helpers: Helpers::Answer,
            proved: false,
            verified: false,
            openings: 0,
            next_spi: 0x1000,
            ike: None,
            child: None,
            last: Vec::new(),
            followed: false,
        }
    }

    fn act(&mut self, op: u8, argument: u8, content: &[u8]) {
        match op & 7 {
            0 if argument & 0x80 != 0 => self.resume(argument),
            0 => self.deliver(argument & 3, content.to_vec()),
            1 => self.sealed(op, argument, content),
            2 => self.go_on(argument & 1 != 0),
            3 => self.pass(u64::from(argument).pow(3) * 10_000),
            4 => self.deliver(0, self.last.clone()),
            5 => self.command(argument),
            6 => self.fact(argument),
            _ => self.helpers = [Helpers::Answer, Helpers::Refuse, Helpers::Never][usize::from(argument % 3)],
        }
    }

    /// Any payloads under the right key: bits of `op` choose exchange, direction, and whether it comes from elsewhere.
    fn sealed(&mut self, op: u8, first: u8, chain: &[u8]) {
        let exchange = match (op >> 3 & 3, op & 0x40 != 0) {
            (0, false) => ExchangeType::IkeAuth,
            (1, false) => ExchangeType::CreateChildSa,
            (2, false) => ExchangeType::Informational,
            (0, true) => ExchangeType::IkeIntermediate,
            (1, true) => ExchangeType::IkeFollowupKe,
            _ => 34.into(),
        };
        if let Some(datagram) = self.peer.seal(exchange, op & 0x20 != 0, first, chain) {
            self.deliver(op >> 7, datagram);
        }
    }

    fn go_on(&mut self, by_key: bool) {
        if let Some(datagram) = self.peer.go_on(by_key) {
            self.proved |= self.peer.is_proved();
            self.deliver(0, datagram);
        }
    }

    /// The ticket that was given is shown, again and again if so told; it is good once.
    fn resume(&mut self, argument: u8) {
        if let Some(datagram) = self.peer.resume(argument >> 2 & 15) {
            self.deliver(argument & 3, datagram);
        }
        assert!(self.engine.counters().tickets_accepted <= self.peer.tickets(), "a ticket is good once");
    }

    fn deliver(&mut self, host: u8, bytes: Vec<u8>) {
        self.openings += 1;
        self.last.clone_from(&bytes);
        let datagram = Datagram { instance: 0, local: name(1, 500), remote: name(2 + host, 500), bytes };
        self.engine.handle_datagram(Instant(self.now), datagram);
        self.drain();
    }

    fn command(&mut self, argument: u8) {
        let command = match (argument % 8, self.ike, self.child) {
            (0, _, _) => Command::Initiate { connection: CONNECTION, child: None },
            (1, _, _) => Command::Terminate { connection: CONNECTION },
            (2, Some(ike), _) => Command::RekeyIke { ike },
            (3, Some(ike), _) => Command::TerminateIke { ike },
            (4, _, Some(child)) => Command::RekeyChild { child },
            (5, _, Some(child)) => Command::TerminateChild { child },
            (7, Some(ike), _) => Command::Reauthenticate { ike },
            (6, _, _) => Command::Move { connection: CONNECTION, local: name(9, 0).ip() },
            _ => return,
        };
        self.openings += 1;
        self.engine.handle_command(Instant(self.now), command);
        self.drain();
    }

    fn fact(&mut self, argument: u8) {
        let Some(child) = self.child else { return };
        let at = Instant(self.now);
        self.followed |= argument % 5 == 3;
        let kind = match argument % 5 {
            0 => ChildFactKind::SoftExpiry,
            1 => ChildFactKind::HardExpiry,
            2 => ChildFactKind::FirstInbound,
            3 => ChildFactKind::PeerMoved { remote: name(argument, 4500) },
            _ => ChildFactKind::TrafficSeen { at },
        };
        self.engine.handle_fact(at, ChildFact { child, kind });
        self.drain();
    }

    /// Time goes by, deadline after deadline.
    fn pass(&mut self, micros: u64) {
        let end = self.now + micros;
        for _ in 0..100_000 {
            let Some(due) = self.engine.next_deadline().filter(|due| due.0 <= end) else {
                self.now = end;
                return;
            };
            self.now = self.now.max(due.0);
            self.engine.handle_timeout(Instant(self.now));
            assert!(
                self.engine.next_deadline().is_none_or(|next| next.0 > self.now),
                "a deadline is never over"
            );
            self.drain();
        }
        panic!("a hundred thousand deadlines in {micros} microseconds");
    }

    fn drain(&mut self) {
        for _ in 0..OUTPUTS {
            let transmit = self.engine.poll_transmit();
            let want = self.engine.poll_want();
            let event = self.engine.poll_event();
            if transmit.is_none() && want.is_none() && event.is_none() {
                return;
            }
            transmit.into_iter().for_each(|transmit| self.peer.receive(&transmit.bytes));
            want.into_iter().for_each(|want| self.perform(want));
            event.into_iter().for_each(|event| self.notice(&event));
        }
        panic!("the engine does not come to rest");
    }

    fn perform(&mut self, want: Want) {
        if let WantKind::Install(install) = &want.kind {
            assert!(self.is_proven(), "installed without a verified AUTH");
            self.child = Some(install.child);
        }
        if let WantKind::UpdateAddresses { path, .. } = &want.kind {
            let moved = path.remote.ip() != name(2, 0).ip();
            assert!(!moved || self.followed || self.peer.was_routable(), "ESP goes where nobody answered");
        }
        if want.kind.is_order() || self.helpers == Helpers::Never {
            return;
        }
        let refused = || AnswerError { code: "FUZZ".into(), text: "refused".into() };
        let says = (self.helpers == Helpers::Answer).then_some(()).ok_or_else(refused);
        let answer = match want.kind {
            WantKind::KeyAgreement(job) => Answer::KeyAgreement(says.and_then(|()| job.perform())),
            WantKind::AllocateSpi(_) => {
                self.next_spi += 1;
                Answer::AllocateSpi(says.map(|()| self.next_spi))
            }
            WantKind::Install(_) => Answer::Install(says),
            WantKind::Sign(sign) => Answer::Sign(says.map(|()| proofs::signature(&sign.octets))),
            WantKind::Verify(verify) => {
                let good = says.and_then(|()| proofs::is_good(&verify).then_some(()).ok_or_else(refused));
                self.verified |= good.is_ok();
                Answer::Verify(good)
            }
            WantKind::Resolve(_) => {
                Answer::Resolve(says.map(|()| vec![std::net::Ipv4Addr::new(198, 51, 100, 9).into()]))
            }
            WantKind::Lookup(lookup) => Answer::Lookup(says.map(|()| proofs::found(&lookup))),
            WantKind::Verdict(verdict) => {
                Answer::Verdict(says.and_then(|()| proofs::judge(&verdict).ok_or_else(refused)))
            }
            _ => return,
        };
        self.engine.handle_answer(Instant(self.now), want.ticket, answer);
    }

    /// Whether the peer has made all of its proofs.
    fn is_proven(&self) -> bool {
        self.proved && (self.verified || !self.peer.signs())
    }

    fn notice(&mut self, event: &Event) {
        let told = format!("{event:?}");
        assert!(!told.contains("correct horse") && !told.contains("battery staple"), "a secret is told");
        match event {
            Event::IkeUp(up) => {
                assert!(self.is_proven(), "up without a verified AUTH");
                self.ike = Some(up.ike);
            }
            Event::ChildUp(up) => self.child = Some(up.child),
            _ => {}
        }
    }

    fn keeps_its_promises(&self) {
        let tunnels = self.engine.snapshot();
        assert!(tunnels.len() <= self.openings && self.engine.half_open() <= self.openings);
        assert!(tunnels.iter().all(|tunnel| tunnel.children.len() <= 16), "children without end");
        assert!(self.engine.recorder().of(CONNECTION).count() <= 8);
    }
}
