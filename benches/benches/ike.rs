//! What a setup costs a responder's engine, by authentication and key exchange: IKE_SA_INIT and IKE_AUTH with the
//! first CHILD_SA, from the first datagram to the last reply, the engine's questions answered on the spot.
//!
//! `setup/<group>` is timed on the responder's side alone; `agreement/<group>` is its key agreement, which the
//! daemon's pool does, by itself. The difference is what the control loop has to do. With a pre-shared key: what
//! certificates add are signatures, which are no work of the engine's.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant as Clock};

use criterion::{Criterion, criterion_group, criterion_main};
use ravelin_ike::Engine;
use ravelin_ike::config::{
    AlgorithmProfile, Auth, ChildConfig, ChildId, ChildLifetime, Connection, ConnectionId, EngineConfig,
    Identity, IdentityMatch, IkeLifetime, InitialContact, NatTraversal, Redirection, RemoteAddress,
    RemoteAuth, Selector,
};
use ravelin_ike::event::Event;
use ravelin_ike::input::{Command, Datagram};
use ravelin_ike::key_agreement::KeyAgreement;
use ravelin_ike::time::Instant;
use ravelin_ike::want::{Answer, WantKind};
use zeroize::Zeroizing;

const CONNECTION: ConnectionId = ConnectionId(0);
const CHILD: ChildId = ChildId(0);
const GROUPS: [&str; 4] = ["x25519", "ecp256", "ecp384", "modp2048"];

fn outer(end: u8) -> IpAddr {
    Ipv4Addr::new(192, 0, 2, end).into()
}

fn network(end: u8) -> Selector {
    Selector::prefix(Ipv4Addr::new(10, end, 0, 0).into(), 24)
}

fn connection(own: u8, other: u8, group: &str) -> Connection {
    let psk = || Zeroizing::new(b"correct horse battery staple".to_vec());
    let proposal = format!("aes128gcm16-prfsha256-{group}").parse();
    Connection {
        instance: 0,
        local: outer(own),
        remote: RemoteAddress::One(outer(other)),
        local_identity: Identity::address(outer(own)),
        remote_identity: IdentityMatch::Exact(Identity::address(outer(other))),
        local_auth: Auth::Psk(psk()),
        remote_auth: RemoteAuth::Psk(psk()),
        second_auth: None,
        ocsp_request: false,
        certificate_lookup: false,
        ppk: None,
        childless: false,
        profile: AlgorithmProfile::default(),
        proposals: proposal.into_iter().collect(),
        children: vec![ChildConfig {
            id: CHILD,
            local: vec![network(own)],
            remote: vec![network(other)],
            proposals: "aes128gcm16".parse().into_iter().collect(),
            lifetime: ChildLifetime::default(),
            resource: ravelin_ike::config::Resource::Only,
            mode: ravelin_ike::config::Mode::Tunnel,
        }],
        max_children: 5,
        lifetime: IkeLifetime::default(),
        authentication_lifetime: None,
        dead_peer: None,
        nat: NatTraversal::default(),
        mobike: false,
        further_addresses: Vec::new(),
        backup_remotes: Vec::new(),
        fragmentation: Some(ravelin_ike::config::Fragmentation::default()),
        initial_contact: InitialContact::Honour,
        lockout: None,
        redirect: Redirection::default(),
        resumption: false,
        raw_keys: false,
        clients: None,
        responder_only: false,
    }
}

/// An engine and what it has made known.
struct End {
    engine: Engine,
    next_spi: u32,
    up: u64,
}

impl End {
    fn new(own: u8, other: u8, group: &str) -> End {
        let mut engine = Engine::new(EngineConfig::default(), [own; 32]);
        engine.set_connection(Instant(0), CONNECTION, Some(connection(own, other, group)));
        End { engine, next_spi: 256, up: 0 }
    }

    /// Answers what the engine wants; what it sends is given back.
    fn drain(&mut self, now: Instant) -> Vec<Datagram> {
        let mut sent = Vec::new();
        loop {
            let mut idle = true;
            while let Some(transmit) = self.engine.poll_transmit() {
                idle = false;
                let (local, remote) = (transmit.remote, transmit.local);
                sent.push(Datagram { instance: 0, local, remote, bytes: transmit.bytes });
            }
            while let Some(want) = self.engine.poll_want() {
                idle = false;
                let answer = match want.kind {
                    WantKind::KeyAgreement(job) => Answer::KeyAgreement(job.perform()),
                    WantKind::AllocateSpi(_) => {
                        self.next_spi += 1;
                        Answer::AllocateSpi(Ok(self.next_spi))
                    }
                    WantKind::Install(_) => Answer::Install(Ok(())),
                    _ => continue,
                };
                self.engine.handle_answer(now, want.ticket, answer);
            }
            while let Some(event) = self.engine.poll_event() {
                idle = false;
                self.up += u64::from(matches!(event, Event::ChildUp(_)));
            }
            if idle {
                return sent;
            }
        }
    }

    fn take(&mut self, now: Instant, datagrams: Vec<Datagram>) -> Vec<Datagram> {
        datagrams.into_iter().for_each(|datagram| self.engine.handle_datagram(now, datagram));
        self.drain(now)
    }

    fn tell(&mut self, now: Instant, command: Command) -> Vec<Datagram> {
        self.engine.handle_command(now, command);
        self.drain(now)
    }
}

/// Two ends that set up one tunnel after another.
struct Pair {
    caller: End,
    called: End,
    now: u64,
}

impl Pair {
    fn new(group: &str) -> Pair {
        Pair { caller: End::new(1, 2, group), called: End::new(2, 1, group), now: 0 }
    }

    /// Sets a tunnel up and takes it down; the time is the responder's, of the setup alone.
    fn setup(&mut self) -> Duration {
        let now = Instant(self.now);
        let (mut spent, before) = (Duration::ZERO, self.called.up);
        let mut requests =
            self.caller.tell(now, Command::Initiate { connection: CONNECTION, child: Some(CHILD) });
        while !requests.is_empty() {
            let start = Clock::now();
            let replies = black_box(&mut self.called).take(now, requests);
            spent += start.elapsed();
            requests = self.caller.take(now, replies);
        }
        assert_eq!(self.called.up, before + 1, "the responder's CHILD_SA is up");
        assert_eq!(self.caller.up, self.called.up, "and so is the initiator's");
        self.take_down(now);
        spent
    }

    /// Closes the tunnel and lets time pass until neither end knows of it.
    fn take_down(&mut self, now: Instant) {
        let deletes = self.caller.tell(now, Command::Terminate { connection: CONNECTION });
        let replies = self.called.take(now, deletes);
        self.caller.take(now, replies);
        self.now += 60_000_000;
        for end in [&mut self.caller, &mut self.called] {
            end.engine.handle_timeout(Instant(self.now));
            end.drain(Instant(self.now));
            assert!(end.engine.snapshot().is_empty(), "nothing is left");
        }
    }

    /// The question for the responder's key agreement that a request raises.
    fn agreement(&mut self) -> Option<KeyAgreement> {
        let now = Instant(self.now);
        let requests =
            self.caller.tell(now, Command::Initiate { connection: CONNECTION, child: Some(CHILD) });
        requests.into_iter().for_each(|request| self.called.engine.handle_datagram(now, request));
        let want = std::iter::from_fn(|| self.called.engine.poll_want()).find_map(|want| match want.kind {
            WantKind::KeyAgreement(job) => Some(job),
            _ => None,
        });
        self.caller.tell(now, Command::Terminate { connection: CONNECTION });
        self.called.tell(now, Command::Terminate { connection: CONNECTION });
        self.now += 60_000_000;
        for end in [&mut self.caller, &mut self.called] {
            end.engine.handle_timeout(Instant(self.now));
            end.drain(Instant(self.now));
        }
        want
    }

    fn agree(&mut self) -> Duration {
        let job = self.agreement();
        let start = Clock::now();
        let agreed = black_box(job.map(KeyAgreement::perform));
        let spent = start.elapsed();
        assert!(matches!(agreed, Some(Ok(_))), "the agreement was asked for and made");
        spent
    }
}

fn setups(criterion: &mut Criterion) {
    for group in GROUPS {
        let mut pair = Pair::new(group);
        criterion.bench_function(&format!("setup/{group}"), |bencher| {
            bencher.iter_custom(|rounds| (0..rounds).map(|_| pair.setup()).sum());
        });
        let mut pair = Pair::new(group);
        criterion.bench_function(&format!("agreement/{group}"), |bencher| {
            bencher.iter_custom(|rounds| (0..rounds).map(|_| pair.agree()).sum());
        });
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(30);
    targets = setups
}
criterion_main!(benches);
