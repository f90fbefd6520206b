//! Copies of the engine's state for readers: what `show` and `explain` are made of.

use super::Engine;
use crate::account::{Account, Notified};
use crate::config::{ConnectionId, Identity};
use crate::event::ChildUp;
use crate::id::IkeId;
use crate::recorder::Attempt;
use crate::sa::children::ChildState;
use crate::sa::phase::Phase;
use crate::want::{Path, Role};
use crate::wire::NotifyType;
use std::net::IpAddr;

/// Where an IKE relationship is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IkePhase {
    /// Setting up.
    Connecting,
    /// Up.
    Established,
    /// Up, and its IKE SA is being rekeyed.
    Rekeying,
    /// Being wound up.
    Closing,
}

/// One IKE relationship.
#[derive(Clone, Debug)]
pub struct IkeSnapshot {
    /// Its name.
    pub ike: IkeId,
    /// Its connection.
    pub connection: ConnectionId,
    /// Who began it.
    pub role: Role,
    /// Where it is.
    pub phase: IkePhase,
    /// Outer addresses of IKE.
    pub path: Path,
    /// Outer addresses of ESP: others while the peer has yet to show that it is where it moved to (RFC 4555 §3.7).
    pub esp_path: Path,
    /// Other addresses the peer says it has (RFC 4555 §3.4).
    pub additional_addresses: Vec<IpAddr>,
    /// SPIs of initiator and responder of its current IKE SA; zero while unknown.
    pub spis: (u64, u64),
    /// IKE SAs it has: one, more while it is being rekeyed, those closed and not yet forgotten included.
    pub ike_sas: usize,
    /// The proven peer.
    pub remote_identity: Option<Identity>,
    /// Whether it began by resuming an earlier one's session (RFC 5723).
    pub resumed: bool,
    /// Its CHILD_SAs.
    pub children: Vec<ChildSnapshot>,
    /// The attempt that made it, or is making it.
    pub attempt: Attempt,
}

/// One CHILD_SA.
#[derive(Clone, Debug)]
pub struct ChildSnapshot {
    /// What it is.
    pub child: ChildUp,
    /// Whether it is in use, or else about to come or go.
    pub live: bool,
}

impl Engine {
    /// Everything there is, in order of age.
    pub fn snapshot(&self) -> Vec<IkeSnapshot> {
        self.tunnels.values().map(|entry| snapshot(&entry.tunnel)).collect()
    }

    /// What has passed between us and the peers of a connection, over all of its IKE SAs.
    pub fn account(&self, connection: ConnectionId) -> Account {
        self.out.accounts.of(connection)
    }

    /// Error notifications sent and received since the start, by type; `None`: types that are not known here.
    pub fn notified(&self) -> impl Iterator<Item = (Option<NotifyType>, Notified)> {
        self.out.accounts.notified()
    }

    /// Half-open tunnels of strangers.
    pub fn half_open(&self) -> usize {
        self.admission.half_open()
    }

    /// Questions whose answer is outstanding.
    pub fn unanswered(&self) -> usize {
        self.out.tickets.len()
    }
}

fn snapshot(tunnel: &crate::sa::tunnel::Tunnel) -> IkeSnapshot {
    let common = &tunnel.common;
    let current = tunnel.up().and_then(|up| up.lines.iter().find(|line| line.is_current()));
    let phase = match (&tunnel.phase, current) {
        (Some(Phase::Up(up)), _) if up.is_closing() => IkePhase::Closing,
        (Some(Phase::Up(up)), Some(_)) if up.lines.iter().filter(|line| !line.is_closed()).count() == 1 => {
            IkePhase::Established
        }
        (Some(Phase::Up(_)), _) => IkePhase::Rekeying,
        (Some(Phase::Calling(_) | Phase::Called(_)), _) => IkePhase::Connecting,
        (Some(Phase::Lingering(_)) | None, _) => IkePhase::Closing,
    };
    let children = tunnel.up().into_iter().flat_map(|up| up.children.iter()).map(|child| ChildSnapshot {
        child: child.summary(common.id, common.connection),
        live: child.state == ChildState::Live,
    });
    IkeSnapshot {
        ike: common.id,
        connection: common.connection,
        role: common.role,
        phase,
        path: common.path,
        esp_path: common.esp_path(),
        additional_addresses: common.mobility.additional.clone(),
        spis: current.map_or((0, 0), |line| (line.sa.initiator_spi.0, line.sa.responder_spi.0)),
        ike_sas: tunnel.up().map_or(1, |up| up.lines.len()),
        remote_identity: tunnel.peer().cloned(),
        resumed: common.resumed,
        children: children.collect(),
        attempt: common.attempt.clone(),
    }
}
