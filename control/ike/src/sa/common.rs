//! What every stage of a tunnel knows: its name, its connection, where the peer is, what the peer can do.

use super::guess::Guesses;
use super::invalid_spi::Pace;
use super::mobility::Mobility;
use super::nat::NatFindings;
use super::packet::Packets;
use super::reauthentication::Term;
use super::redirect::{Onward, Redirectable, Trail};
use crate::config::{ChildId, Choice, Connection, ConnectionId, Identity};
use crate::event::PpkUse;
use crate::id::IkeId;
use crate::lockout::Offender;
use crate::recorder::{Attempt, Stage};
use crate::time::Instant;
use crate::want::{Path, Role};
use crate::wire::GatewayIdentity;
use std::net::SocketAddr;
use std::sync::Arc;

/// The constant part of a tunnel, in the sense that no exchange owns it.
pub(crate) struct Common {
    pub(crate) id: IkeId,
    /// Whether we called or were called.
    pub(crate) role: Role,
    pub(crate) connection: ConnectionId,
    /// The connection as configured when the IKE SA was negotiated.
    pub(crate) config: Arc<Connection>,
    /// Which of our certificates the peer is shown.
    pub(crate) own: Choice,
    /// Where IKE goes; ESP too, but for [`Common::esp_path`].
    pub(crate) path: Path,
    pub(crate) local_behind_nat: bool,
    /// Whether the peer does NAT detection.
    pub(crate) nat_detection: bool,
    pub(crate) mobility: Mobility,
    /// How often is said that an SPI is not known.
    pub(crate) pace: Pace,
    /// Whether both sides do IKE message fragmentation.
    pub(crate) fragmentation: bool,
    /// When a caller last asked for our IKE_SA_INIT answer.
    pub(crate) asked: Instant,
    /// When something authentic was last heard of the peer, by IKE or by ESP.
    pub(crate) heard: Instant,
    /// When the next NAT keepalive is due, if we are behind a NAT.
    pub(crate) keepalive_at: Option<Instant>,
    pub(crate) attempt: Attempt,
    /// What became of post-quantum preshared keys.
    pub(crate) ppk: PpkUse,
    /// Whether it resumes the session of an earlier IKE SA.
    pub(crate) resumed: bool,
    /// The lower nonce of IKE_SA_INIT, once the peer is proven: see [`super::crossing`].
    pub(crate) mark: Option<crate::wire::Nonce>,
    /// How long its proofs count, once it is up.
    pub(crate) term: Term,
    /// Where we come from, if a gateway has redirected us.
    pub(crate) trail: Trail,
    /// Whether the caller can be redirected.
    pub(crate) redirectable: Option<Redirectable>,
    /// Where the caller was told to go.
    pub(crate) sent_away: Option<GatewayIdentity>,
    /// The call that follows this one, which a gateway has redirected.
    pub(crate) onward: Option<Box<Onward>>,
    /// The groups that the peer has asked for.
    pub(crate) guesses: Guesses,
    /// What wants its children.
    pub(crate) packets: Packets,
}

/// Octets of UDP header and of the non-ESP marker.
const UDP: usize = 8;
const MARKER: usize = 4;

impl Common {
    /// The beginning of a tunnel.
    pub(crate) fn new(
        id: IkeId,
        role: Role,
        connection: (ConnectionId, Arc<Connection>),
        addresses: (SocketAddr, SocketAddr),
        now: Instant,
    ) -> Common {
        let (connection, config) = connection;
        let (local, remote) = addresses;
        Common {
            id,
            role,
            connection,
            path: Path {
                instance: config.instance,
                local,
                remote,
                udp_encapsulation: false,
                remote_behind_nat: false,
                mobike: false,
            },
            config,
            own: Choice::default(),
            local_behind_nat: false,
            nat_detection: false,
            mobility: Mobility::default(),
            pace: Pace::default(),
            fragmentation: false,
            asked: now,
            heard: now,
            keepalive_at: None,
            attempt: Attempt::new(role, local, remote, now),
            ppk: PpkUse::NotConfigured,
            resumed: false,
            mark: None,
            term: Term::default(),
            trail: Trail::default(),
            redirectable: None,
            sent_away: None,
            onward: None,
            guesses: Guesses::default(),
            packets: Packets::default(),
        }
    }

    /// Who we say we are.
    pub(crate) fn own_identity(&self) -> Identity {
        self.config.own_identity(self.own)
    }

    /// Who called us.
    pub(crate) fn caller(&self) -> Offender {
        let Attempt { local, remote, .. } = self.attempt;
        Offender { instance: self.path.instance, local: local.ip(), remote: remote.ip(), port: remote.port() }
    }

    /// Notes how far the attempt came.
    pub(crate) fn reached(&mut self, stage: Stage) {
        self.attempt.stage = stage;
    }

    /// The beginning, and end, of an attempt to make a CHILD_SA.
    pub(crate) fn child_attempt(&self, now: Instant, role: Role, child: Option<ChildId>) -> Attempt {
        let attempt = Attempt::new(role, self.path.local, self.path.remote, now);
        Attempt { child, stage: Stage::Child, ended: Some(now), ..attempt }
    }

    /// The largest IKE message that needs no fragments on this path, or `None` if there shall be none; of a size at most
    /// that was found to be needed.
    pub(crate) fn fragment_limit(&self, path: &Path, nat_port: u16, most: Option<u16>) -> Option<usize> {
        let mtu = self.config.fragmentation.filter(|_| self.fragmentation)?.mtu;
        let mtu = most.map_or(mtu, |most| most.min(mtu));
        let ip = if path.remote.is_ipv4() { 20 } else { 40 };
        let marker = if path.local.port() == nat_port { MARKER } else { 0 };
        Some(usize::from(mtu).saturating_sub(ip + UDP + marker))
    }

    /// Where ESP goes: along the path, unless the peer has yet to show that it is there.
    pub(crate) fn esp_path(&self) -> Path {
        self.mobility.checked.unwrap_or(self.path)
    }

    /// Takes over what NAT detection found.
    pub(crate) fn found_nat(&mut self, found: NatFindings) {
        self.local_behind_nat = found.local;
        self.path.remote_behind_nat = found.remote;
        self.path.udp_encapsulation = found.local || found.remote || self.config.nat.forces();
    }

    /// The path for an answer to a datagram between these addresses.
    pub(crate) fn path_to(&self, local: SocketAddr, remote: SocketAddr) -> Path {
        Path { local, remote, ..self.path }
    }
}
