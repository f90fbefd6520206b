//! The initiators: one engine with a connection for each, one thread, and the order in which they call.
//!
//! An initiator calls when there is room among the outstanding ones and its time has come; it is done when its
//! CHILD_SA is up and, where packets are wanted, a packet has gone each way. Whatever ends it before is counted
//! under the engine's own code for it.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant as Clock};

use anyhow::{Context, Result, bail, ensure};
use hdrhistogram::Histogram;
use ipnet::Ipv4Net;
use ravelin_ike::Engine;
use ravelin_ike::config::{
    AlgorithmProfile, ChildConfig, ChildId, ChildLifetime, Connection, ConnectionId, EngineConfig,
    EspProposal, IdentityMatch, IkeLifetime, IkeProposal, InitialContact, NatTraversal, Redirection,
    RemoteAddress, Selector, UdpEncapsulation,
};
use ravelin_ike::error::Failure;
use ravelin_ike::event::Event;
use ravelin_ike::input::Command;
use ravelin_ike::time::Instant;
use ravelin_ike::want::{InstallChild, Path, WantKind};

use super::answers::{Answers, Credential, Shown};
use super::kept::{Keeper, Kept, PATIENCE};
use super::probe::Probe;
use super::wire::{Arrived, Wire};

/// The one child every initiator has.
const CHILD: ChildId = ChildId(0);
/// Datagrams taken before others have their turn.
const ARRIVALS: usize = 256;
/// Microseconds of the longest latency told apart: ten minutes.
const LONGEST: u64 = 600_000_000;
/// A packet that was not answered is sent again after so long.
const RESEND: Duration = Duration::from_millis(250);

/// What is to be done.
pub struct Load {
    /// Addresses of the initiators, one each.
    pub local: Ipv4Net,
    /// The responder.
    pub remote: Ipv4Addr,
    /// What lies behind the initiators, an address each.
    pub behind: Ipv4Net,
    /// What the responder protects.
    pub protected: Ipv4Net,
    /// IKE proposal.
    pub proposal: IkeProposal,
    /// ESP proposal.
    pub esp: EspProposal,
    /// How many of the first addresses are left to others.
    pub first: u32,
    /// Setups in all.
    pub count: u32,
    /// Setups that may be outstanding.
    pub concurrency: u32,
    /// Setups begun a second at most.
    pub rate: Option<f64>,
    /// Where a packet is sent through each tunnel; an answer is part of the setup.
    pub ping: Option<Ipv4Addr>,
    /// ESP in UDP, whether there is a NAT or not.
    pub udp_encapsulation: bool,
    /// A setup that has not succeeded after so long has failed.
    pub patience: Duration,
    /// How long tunnels are kept after the last setup.
    pub stay: Duration,
}

/// What came of it.
pub struct Outcome {
    /// Setups that succeeded.
    pub up: u64,
    /// Those that did not, by reason.
    pub failures: BTreeMap<String, u64>,
    /// From the first call to the last end.
    pub elapsed: Duration,
    /// Microseconds from a call to its CHILD_SA.
    pub latency: Histogram<u64>,
    /// IKE datagrams sent, and received.
    pub datagrams: (u64, u64),
    /// Packets that went through tunnels, and their answers.
    pub packets: (u64, u64),
    /// What happened to tunnels that were up, whoever began it.
    pub kept: Kept,
}

/// Where one setup is.
enum Stage {
    Called { at: Clock },
    Probing { since: Clock, next: Clock, path: Box<Path>, probe: Box<Probe> },
}

/// Everybody who calls.
pub struct Fleet {
    load: Load,
    engine: Engine,
    wire: Wire,
    answers: Answers,
    started: Clock,
    begun: u32,
    outstanding: HashMap<ConnectionId, Stage>,
    /// Who sends the next packet, in order of time.
    due: VecDeque<(Clock, ConnectionId)>,
    /// Whose inbound SPI it is.
    spis: HashMap<u32, ConnectionId>,
    keeper: Keeper,
    outcome: Outcome,
}

impl Fleet {
    /// Configures the initiators; nobody calls yet.
    ///
    /// # Errors
    /// When there are fewer addresses than setups, a certificate cannot be made, or the sockets cannot be had.
    pub fn new(load: Load, credential: Credential) -> Result<Fleet> {
        for (net, option) in [(load.local, "--local"), (load.behind, "--behind")] {
            let (room, needed) = (net.hosts().count(), load.first as usize + load.count as usize);
            ensure!(room >= needed, "{option} {net} has {room} addresses of the {needed} needed");
        }
        let mut seed = [0; 32];
        aws_lc_rs::rand::fill(&mut seed).ok().context("the machine gives no randomness")?;
        let config = EngineConfig { max_ike_sas: load.count as usize + 1, ..EngineConfig::default() };
        let mut engine = Engine::new(config, seed);
        let addresses =
            load.local.hosts().zip(load.behind.hosts()).skip(load.first as usize).zip(0..load.count);
        for ((local, behind), number) in addresses {
            let connection = connection(&load, &credential, number, (local, behind))?;
            engine.set_connection(Instant(0), ConnectionId(number), Some(connection));
        }
        let latency = Histogram::new_with_bounds(1, LONGEST, 3).context("a histogram of three digits")?;
        Ok(Fleet {
            load,
            engine,
            wire: Wire::open()?,
            answers: Answers::new(credential),
            started: Clock::now(),
            begun: 0,
            outstanding: HashMap::new(),
            due: VecDeque::new(),
            spis: HashMap::new(),
            keeper: Keeper::default(),
            outcome: Outcome {
                up: 0,
                failures: BTreeMap::new(),
                elapsed: Duration::ZERO,
                latency,
                datagrams: (0, 0),
                packets: (0, 0),
                kept: Kept::default(),
            },
        })
    }

    /// Makes all setups, and keeps the tunnels as long as told. They stay up.
    ///
    /// # Errors
    /// When the machine does not do its part; setups that fail are part of the outcome.
    pub fn run(mut self) -> Result<Outcome> {
        self.started = Clock::now();
        while self.begun < self.load.count || !self.outstanding.is_empty() {
            self.call()?;
            self.turn()?;
        }
        self.outcome.elapsed = self.started.elapsed();
        let settled = Clock::now();
        while settled.elapsed() < self.load.stay {
            self.carry()?;
            self.turn()?;
        }
        let stayed = settled.elapsed();
        while !self.load.stay.is_zero() && settled.elapsed() < stayed + PATIENCE {
            self.turn()?;
        }
        self.outcome.kept = self.keeper.kept(stayed.as_secs_f64());
        Ok(self.outcome)
    }

    /// Does what has come or is due, or waits a little.
    fn turn(&mut self) -> Result<()> {
        let arrived = self.arrivals()?;
        if self.engine.next_deadline().is_some_and(|due| due <= self.now()) {
            self.engine.handle_timeout(self.now());
            self.drain()?;
        }
        self.probe()?;
        self.give_up();
        if !arrived {
            self.wire.wait(Duration::from_millis(1))?;
        }
        Ok(())
    }

    /// Packets of tunnels that carry some all the while.
    fn carry(&mut self) -> Result<()> {
        for (path, packet) in self.keeper.due()? {
            self.wire.send_esp(path.local, path.remote, &packet)?;
        }
        Ok(())
    }

    fn now(&self) -> Instant {
        Instant(self.started.elapsed().as_micros() as u64)
    }

    /// Has those call whose turn it is.
    fn call(&mut self) -> Result<()> {
        while self.begun < self.load.count
            && self.outstanding.len() < self.load.concurrency as usize
            && self
                .load
                .rate
                .is_none_or(|rate| f64::from(self.begun) <= self.started.elapsed().as_secs_f64() * rate)
        {
            let connection = ConnectionId(self.begun);
            self.begun += 1;
            self.outstanding.insert(connection, Stage::Called { at: Clock::now() });
            self.engine.handle_command(self.now(), Command::Initiate { connection, child: Some(CHILD) });
            self.drain()?;
        }
        Ok(())
    }

    /// Takes in what has come. Whether there was anything.
    fn arrivals(&mut self) -> Result<bool> {
        for taken in 0..ARRIVALS {
            match self.wire.receive()? {
                Some(Arrived::Ike(datagram)) => {
                    self.outcome.datagrams.1 += 1;
                    self.keeper.heard(&datagram);
                    self.engine.handle_datagram(self.now(), datagram);
                    self.drain()?;
                }
                Some(Arrived::Esp(packet)) => self.esp(&packet),
                None => return Ok(taken > 0),
            }
        }
        Ok(true)
    }

    /// Takes from the engine until only a deadline is left.
    fn drain(&mut self) -> Result<()> {
        loop {
            let mut idle = true;
            while let Some(transmit) = self.engine.poll_transmit() {
                idle = false;
                self.outcome.datagrams.0 += 1;
                self.wire.send(&transmit)?;
            }
            while let Some(want) = self.engine.poll_want() {
                idle = false;
                let ticket = want.ticket;
                if let WantKind::Install(install) = &want.kind {
                    self.installs(install)?;
                }
                if let Some(answer) = self.answers.answer(want) {
                    self.engine.handle_answer(self.now(), ticket, answer);
                }
            }
            while let Some(event) = self.engine.poll_event() {
                idle = false;
                self.event(event)?;
            }
            if idle {
                return Ok(());
            }
        }
    }

    fn event(&mut self, event: Event) -> Result<()> {
        self.keeper.note(&event);
        match event {
            Event::ChildUp(up) => {
                self.keeper.sends(up.connection, up.child);
                self.up(up.connection)?;
            }
            Event::AttemptFailed { connection: Some(connection), attempt } => {
                let failure = attempt.failure.as_ref().map(told);
                self.failed(connection, failure.unwrap_or_else(|| "unknown".to_owned()));
            }
            Event::ChildFailed { rekey_of: Some(_), .. } => {}
            Event::ChildFailed { connection, reason, .. } | Event::IkeDown { connection, reason, .. } => {
                self.failed(connection, told(&reason));
            }
            Event::ChildRekeyed { new, .. } => self.keeper.sends(new.connection, new.child),
            _ => {}
        }
        Ok(())
    }

    /// A CHILD_SA is up: done, or a packet goes through it.
    fn up(&mut self, connection: ConnectionId) -> Result<()> {
        let Some(Stage::Called { at }) = self.outstanding.get(&connection) else { return Ok(()) };
        let at = *at;
        self.outcome.latency.saturating_record(at.elapsed().as_micros() as u64);
        let Some(install) = self.answers.take(connection) else {
            bail!("a CHILD_SA came up that nobody installed")
        };
        let Some(target) = self.load.ping else {
            self.outstanding.remove(&connection);
            self.outcome.up += 1;
            return Ok(());
        };
        let probe = Box::new(Probe::new(&install, target, connection.0 as u16)?);
        self.spis.insert(install.spi_in, connection);
        let now = Clock::now();
        self.due.push_front((now, connection));
        let stage = Stage::Probing { since: at, next: now, path: Box::new(install.path), probe };
        self.outstanding.insert(connection, stage);
        Ok(())
    }

    /// A tunnel that is to carry packets has another SA.
    fn installs(&mut self, install: &InstallChild) -> Result<()> {
        match self.load.ping {
            Some(target) if !self.load.stay.is_zero() && Keeper::carries(install.connection) => {
                self.keeper.receives(install, target)
            }
            _ => Ok(()),
        }
    }

    fn failed(&mut self, connection: ConnectionId, reason: String) {
        if self.outstanding.remove(&connection).is_some() {
            *self.outcome.failures.entry(reason).or_default() += 1;
        }
    }

    /// Sends packets whose time has come.
    fn probe(&mut self) -> Result<()> {
        let now = Clock::now();
        while let Some((_, connection)) = self.due.pop_front_if(|(due, _)| *due <= now) {
            let Some(Stage::Probing { next, path, probe, .. }) = self.outstanding.get_mut(&connection) else {
                continue;
            };
            self.wire.send_esp(path.local, path.remote, &probe.request()?)?;
            self.outcome.packets.0 += 1;
            *next = now + RESEND;
            self.due.push_back((*next, connection));
        }
        Ok(())
    }

    /// An answer ends its setup.
    fn esp(&mut self, packet: &[u8]) {
        let Some(spi) = packet.first_chunk().map(|octets| u32::from_be_bytes(*octets)) else { return };
        let probed =
            self.spis.get(&spi).and_then(|connection| Some((*connection, self.outstanding.get(connection)?)));
        match probed {
            Some((connection, Stage::Probing { probe, .. })) if probe.is_reply(packet) => {
                self.outstanding.remove(&connection);
                self.outcome.packets.1 += 1;
                self.outcome.up += 1;
            }
            _ => self.keeper.answered(spi, packet),
        }
    }

    /// Counts those as failed that have taken too long.
    fn give_up(&mut self) {
        let patience = self.load.patience;
        let late = |(connection, stage): (&ConnectionId, &Stage)| match stage {
            Stage::Called { at } if at.elapsed() > patience => Some((*connection, "not up in time")),
            Stage::Probing { since, .. } if since.elapsed() > patience => {
                Some((*connection, "no packet came back"))
            }
            _ => None,
        };
        let late: Vec<_> = self.outstanding.iter().filter_map(late).collect();
        late.into_iter().for_each(|(connection, reason)| self.failed(connection, reason.to_owned()));
    }
}

/// A reason, behind its code.
fn told(reason: &Failure) -> String {
    format!("{}: {reason}", reason.code())
}

/// One initiator. It never says that this is its first contact: where all have one certificate, a responder would
/// end the others' tunnels.
fn connection(
    load: &Load,
    credential: &Credential,
    number: u32,
    (local, behind): (Ipv4Addr, Ipv4Addr),
) -> Result<Connection> {
    let Shown { auth, remote_auth, identity } = credential.shown(number, IpAddr::V4(local))?;
    let encapsulation = if load.udp_encapsulation { UdpEncapsulation::Force } else { UdpEncapsulation::Auto };
    let protected = Selector::prefix(IpAddr::V4(load.protected.network()), load.protected.prefix_len());
    Ok(Connection {
        instance: 0,
        local: IpAddr::V4(local),
        remote: RemoteAddress::One(IpAddr::V4(load.remote)),
        local_identity: identity,
        remote_identity: IdentityMatch::Any,
        local_auth: auth,
        remote_auth,
        second_auth: None,
        ocsp_request: false,
        certificate_lookup: false,
        raw_keys: false,
        ppk: None,
        childless: false,
        profile: AlgorithmProfile::default(),
        proposals: vec![load.proposal.clone()].into(),
        children: vec![ChildConfig {
            id: CHILD,
            local: vec![Selector::host(IpAddr::V4(behind))],
            remote: vec![protected],
            proposals: vec![load.esp.clone()].into(),
            lifetime: ChildLifetime::default(),
            resource: ravelin_ike::config::Resource::Only,
            mode: ravelin_ike::config::Mode::Tunnel,
        }],
        max_children: 1,
        lifetime: IkeLifetime::default(),
        authentication_lifetime: None,
        dead_peer: None,
        nat: NatTraversal { encapsulation, ..NatTraversal::default() },
        mobike: false,
        further_addresses: Vec::new(),
        backup_remotes: Vec::new(),
        fragmentation: Some(ravelin_ike::config::Fragmentation::default()),
        initial_contact: InitialContact::Never,
        lockout: None,
        redirect: Redirection::default(),
        resumption: false,
        clients: None,
        responder_only: false,
    })
}
