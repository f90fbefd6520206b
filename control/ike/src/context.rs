//! What every step of the engine may use: the time, the configuration, randomness, and the outgoing queues.
//!
//! Effects go out as values: nothing here acts.

use crate::account::Accounts;
use crate::allowance::Allowance;
use crate::config::{Connection, ConnectionId, EngineConfig, Lockout, RemoteAddress};
use crate::crypto::{Drbg, Random};
use crate::event::{Event, Transmit};
use crate::id::{ChildSaId, IkeId, Ticket};
use crate::lockout::Offender;
use crate::recorder::{Attempt, Recorder};
use crate::responses::Responses;
use crate::sa::tunnel::Tunnel;
use crate::tickets::Tickets;
use crate::time::Instant;
use crate::want::{Path, Want, WantKind};
use crate::watch::{self, Watch};
use crate::window::Packets;
use crate::wire::{IkeSpi, Nonce};
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use zeroize::Zeroizing;

/// Callers that never came back, told a second: whoever invents addresses shall neither fill a log nor wash the flight
/// recorder clean.
const EXPIRIES: u32 = 8;

/// A question under way: its ticket, and when we stop waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pending {
    pub(crate) ticket: Ticket,
    pub(crate) until: Instant,
}

/// The other tunnels, as far as one tunnel's step may see them.
pub(crate) trait Others {
    /// Those of a connection.
    fn of(&self, connection: ConnectionId) -> Vec<&Tunnel>;
    /// One by name.
    fn tunnel(&self, ike: IkeId) -> Option<&Tunnel>;
}

/// Something one tunnel's step asks to happen to other tunnels.
#[derive(Debug)]
pub(crate) enum Aside {
    /// Close the other tunnels of this connection whose peer has this identity and that came up before, but for one.
    Supersede {
        by: IkeId,
        connection: ConnectionId,
        identity: crate::config::Identity,
        before: Instant,
        spares: Option<IkeId>,
    },
    /// This tunnel came up: see whether the peer's own call did, too.
    CameUp { ike: IkeId },
    /// The CHILD_SA that was told to send at `started` is gone. The caller has one place for what is sent to a child's
    /// networks: if this one stood there and another is left, nothing is sent until that one is renewed.
    Vacated { ike: IkeId, config: crate::config::ChildId, started: u64 },
    /// A caller has failed to prove itself, and its IKE_AUTH came from this port.
    ProofFailed { caller: Offender, floated: u16, policy: Lockout },
    /// Call another gateway, to which this one has redirected us.
    GoOn(Box<crate::sa::redirect::Onward>),
    /// An IKE SA was lost, and can be resumed.
    Lost(Box<crate::sa::ticket::Resumable>),
    /// The session of the IKE SA with these SPIs goes on in this tunnel.
    Resumed { by: IkeId, spis: crate::sa::session::Spis },
    /// Make a new IKE SA for what this tunnel has.
    Reauthenticate { ike: IkeId },
    /// End this tunnel, whose place its heir takes, if it has one.
    HandOver { ike: IkeId, reason: crate::error::Failure },
    /// A tunnel of a connection that was made for its peer has ended: unless another serves the peer, the connection goes.
    Leave(crate::config::ConnectionId),
    /// See whether this tunnel can go, now that another one has its children.
    Yield { ike: IkeId },
}

/// Queues the caller polls, and the counters that name things.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    pub(crate) transmits: VecDeque<Transmit>,
    pub(crate) wants: VecDeque<Want>,
    pub(crate) events: VecDeque<Event>,
    pub(crate) asides: Vec<Aside>,
    pub(crate) recorder: Recorder,
    pub(crate) watch: Watch,
    /// Who sent the datagram of this step.
    pub(crate) sender: Option<SocketAddr>,
    pub(crate) accounts: Accounts,
    /// Tunnels that took the place of others by a new proof, and those that ended because there was none.
    pub(crate) reauthenticated: u64,
    pub(crate) proofs_expired: u64,
    /// Simultaneous rekeys that had to be decided.
    pub(crate) collisions: u64,
    /// Peers' crash tokens that proved something, and that did not.
    pub(crate) crash_tokens: (u64, u64),
    /// Callers that never came back, and how many of them may still be told of.
    pub(crate) expired: u64,
    expiries: Allowance,
    /// Who waits for which answer.
    pub(crate) tickets: BTreeMap<Ticket, IkeId>,
    last_ticket: u64,
    last_child: u64,
    last_order: u64,
    last_ike: u64,
}

impl Outbox {
    pub(crate) fn order(&mut self, kind: WantKind) {
        let ticket = self.next_ticket();
        self.wants.push_back(Want { ticket, ike: None, kind });
    }

    pub(crate) fn next_ike(&mut self) -> IkeId {
        self.last_ike = self.last_ike.saturating_add(1);
        IkeId(self.last_ike)
    }

    /// Tells something about a peer, if it is watched.
    pub(crate) fn trace(&mut self, now: Instant, peer: SocketAddr, line: impl FnOnce() -> String) {
        if let Some(left_out) = self.watch.takes(now, peer.ip()) {
            self.events.push_back(Event::Trace { peer, text: line(), left_out });
        }
    }

    /// Keeps an attempt for `explain`: of a gateway by the caller's address. False if it is the last one again.
    pub(crate) fn record(&mut self, id: ConnectionId, connection: &Connection, attempt: Attempt) -> bool {
        match connection.remote {
            RemoteAddress::Gateway => self.recorder.keep_caller(id, attempt),
            _ => self.recorder.keep(id, attempt),
        }
    }

    fn next_ticket(&mut self) -> Ticket {
        self.last_ticket = self.last_ticket.saturating_add(1);
        Ticket(self.last_ticket)
    }
}

/// The means of one step.
pub(crate) struct Context<'a> {
    pub(crate) now: Instant,
    pub(crate) config: &'a EngineConfig,
    pub(crate) connections: &'a BTreeMap<ConnectionId, Arc<Connection>>,
    pub(crate) random: &'a mut Drbg,
    pub(crate) out: &'a mut Outbox,
    pub(crate) tickets: &'a mut Tickets,
    pub(crate) others: &'a dyn Others,
    pub(crate) responses: &'a Responses,
    /// Whether there is no other tunnel of the same connection: asked by callers only, and known for them only.
    pub(crate) alone: bool,
}

impl Context<'_> {
    /// Asks a question for a tunnel.
    pub(crate) fn ask(&mut self, ike: IkeId, kind: WantKind) -> Pending {
        let ticket = self.out.next_ticket();
        self.out.tickets.insert(ticket, ike);
        self.out.wants.push_back(Want { ticket, ike: Some(ike), kind });
        Pending { ticket, until: self.now + self.config.answer_timeout }
    }

    /// Gives an order.
    pub(crate) fn order(&mut self, kind: WantKind) {
        self.out.order(kind);
    }

    pub(crate) fn event(&mut self, event: Event) {
        self.out.events.push_back(event);
    }

    /// Tells something about a peer, if it is watched.
    pub(crate) fn trace(&mut self, peer: SocketAddr, line: impl FnOnce() -> String) {
        self.out.trace(self.now, peer, line);
    }

    /// Tells something about who sent what this step is about, if it is watched.
    pub(crate) fn trace_sender(&mut self, line: impl FnOnce() -> String) {
        if let Some(peer) = self.out.sender {
            self.trace(peer, line);
        }
    }

    /// Counts a caller that never came back. Whether it is told of.
    pub(crate) fn tells_expiry(&mut self) -> bool {
        self.out.expired = self.out.expired.saturating_add(1);
        self.out.expiries.take(self.now, EXPIRIES)
    }

    /// Sends finished packets along a path.
    pub(crate) fn send(&mut self, path: &Path, packets: &Packets) {
        for bytes in packets {
            self.trace(path.remote, || format!("sent {}", watch::datagram(bytes)));
            self.out.accounts.step.sent += 1;
            self.out.transmits.push_back(Transmit {
                instance: path.instance,
                local: path.local,
                remote: path.remote,
                bytes: bytes.clone(),
                marker: path.local.port() == self.config.nat_port,
            });
        }
    }

    /// Sends a request again that was not answered.
    pub(crate) fn send_again(&mut self, path: &Path, packets: &Packets) {
        self.out.accounts.step.resent += 1;
        self.send(path, packets);
    }

    /// The same along other paths.
    pub(crate) fn send_around(&mut self, paths: &[Path], packets: &Packets) {
        paths.iter().for_each(|path| self.send_again(path, packets));
    }

    /// Answers a request that came again as before.
    pub(crate) fn answer_again(&mut self, path: &Path, packets: &Packets) {
        self.out.accounts.step.repeated += 1;
        self.send(path, packets);
    }

    /// Sends a NAT keepalive: "a one-octet-long payload with the value 0xFF" (RFC 3948 §2.3).
    pub(crate) fn keep_alive(&mut self, path: &Path) {
        self.out.transmits.push_back(Transmit {
            instance: path.instance,
            local: path.local,
            remote: path.remote,
            bytes: vec![0xff],
            marker: false,
        });
    }

    pub(crate) fn child_id(&mut self) -> ChildSaId {
        self.out.last_child = self.out.last_child.saturating_add(1);
        ChildSaId(self.out.last_child)
    }

    /// The number of what a CHILD_SA is told now, among all that CHILD_SAs are told.
    pub(crate) fn count_order(&mut self) -> u64 {
        self.out.last_order = self.out.last_order.saturating_add(1);
        self.out.last_order
    }

    /// The last CHILD_SA that was named.
    pub(crate) fn youngest_child(&self) -> ChildSaId {
        ChildSaId(self.out.last_child)
    }

    pub(crate) fn nonce(&mut self) -> Nonce {
        Nonce::generate(self.random)
    }

    /// A fresh IKE SPI; zero means "not yet known" and is not one.
    pub(crate) fn ike_spi(&mut self) -> IkeSpi {
        IkeSpi(self.number().max(1))
    }

    pub(crate) fn seed(&mut self) -> Zeroizing<[u8; 32]> {
        let mut seed = Zeroizing::new([0; 32]);
        self.random.fill(seed.as_mut_slice());
        seed
    }

    /// What links an IKE_FOLLOWUP_KE exchange to the one before: opaque to the peer, and never the same twice.
    pub(crate) fn link(&mut self) -> Vec<u8> {
        self.number().to_be_bytes().to_vec()
    }

    /// `soft` less up to `percent` of it, at random.
    pub(crate) fn jittered(&mut self, soft: Duration, percent: u8) -> Duration {
        let micros = u64::try_from(soft.as_micros()).unwrap_or(u64::MAX);
        let span = (micros / 100).saturating_mul(u64::from(percent.min(50)));
        let less = self.number().checked_rem(span.saturating_add(1)).unwrap_or(0);
        Duration::from_micros(micros.saturating_sub(less))
    }

    /// When to try again after the peer was busy: up to twice the configured wait, so that two peers that
    /// disturbed each other do not do so again.
    pub(crate) fn retry_at(&mut self) -> Instant {
        let wait = self.config.retry;
        self.now + self.jittered(wait.saturating_mul(2), 50)
    }

    fn number(&mut self) -> u64 {
        let mut octets = [0; 8];
        self.random.fill(&mut octets);
        u64::from_be_bytes(octets)
    }
}
