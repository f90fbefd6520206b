//! What IKE_SA_INIT leaves behind for IKE_AUTH, in either role, and the notifications both roles put into
//! IKE_SA_INIT.

use super::common::Common;
use super::ike_sa::IkeSa;
use super::nat::{self, NatFindings};
use super::parts::Parts;
use super::proof;
use crate::context::Context;
use crate::error::Failure;
use crate::wire::{ExchangeType, IkeSpi, Nonce, Notify, NotifyType, Payload};
use std::net::SocketAddr;

/// An IKE SA whose keys exist and whose peer is not yet proven.
pub(crate) struct Handshake {
    pub(crate) sa: IkeSa,
    /// The IKE_SA_INIT request that was answered, octet for octet: AUTH covers it.
    pub(crate) request: Vec<u8>,
    /// Its reply.
    pub(crate) reply: Vec<u8>,
    pub(crate) initiator_nonce: Nonce,
    pub(crate) responder_nonce: Nonce,
    /// Hash algorithms the peer announced for signatures.
    pub(crate) peer_hashes: Vec<u16>,
}

/// Why an attempt ends, and the IKE SA that still has to be wound up with the peer.
pub(crate) struct Abort {
    pub(crate) failure: Failure,
    pub(crate) sa: Option<Box<IkeSa>>,
}

impl From<Failure> for Abort {
    fn from(failure: Failure) -> Abort {
        Abort { failure, sa: None }
    }
}

impl Handshake {
    /// Ends an attempt the peer believes to have succeeded: "the initiator ... SHOULD send an INFORMATIONAL
    /// exchange" with the error, and the IKE SA is deleted (RFC 7296 §2.21.2).
    pub(crate) fn abandon(mut self, ctx: &mut Context<'_>, common: &Common, failure: Failure) -> Abort {
        let payloads = vec![
            Payload::Notify(Notify::new(failure.notify(), Vec::new())),
            Payload::Delete(crate::wire::Delete::Ike),
        ];
        let schedule = crate::window::Schedule::Doubling(ctx.config.retransmission);
        match self.sa.request(ctx, common, ExchangeType::Informational, payloads, schedule) {
            Ok(()) => Abort { failure, sa: Some(Box::new(self.sa)) },
            Err(_) => failure.into(),
        }
    }
}

/// What the peer's IKE_SA_INIT message says besides algorithms and keys.
pub(crate) struct PeerTraits {
    pub(crate) fragmentation: bool,
    pub(crate) hashes: Vec<u16>,
    pub(crate) nat: Option<NatFindings>,
}

impl PeerTraits {
    /// Reads the notifications of a message that came between these addresses.
    pub(crate) fn of(
        parts: &Parts,
        spis: (IkeSpi, IkeSpi),
        addresses: (SocketAddr, SocketAddr),
    ) -> PeerTraits {
        let hashes = parts.notify(NotifyType::SignatureHashAlgorithms);
        PeerTraits {
            fragmentation: parts.has(NotifyType::FragmentationSupported),
            hashes: hashes.map(|notify| proof::announced_hashes(&notify.data)).unwrap_or_default(),
            nat: nat::findings(parts, spis, addresses),
        }
    }

    /// Takes over into the tunnel what was found.
    pub(crate) fn apply(&self, common: &mut Common) {
        common.fragmentation = self.fragmentation && common.config.fragmentation.is_some();
        if let Some(found) = self.nat {
            common.local_behind_nat = found.local;
            common.path.remote_behind_nat = found.remote;
            common.path.udp_encapsulation = found.local || found.remote || common.config.nat.force;
        }
    }
}

/// The notifications of our own IKE_SA_INIT message.
pub(crate) fn own_notifies(ctx: &mut Context<'_>, common: &Common, spis: (IkeSpi, IkeSpi)) -> Vec<Payload> {
    let addresses = (common.path.local, common.path.remote);
    let mut payloads = nat::notifies(ctx, spis, addresses, common.config.nat.force).to_vec();
    if common.config.fragmentation.is_some() {
        payloads.push(Payload::Notify(Notify::new(NotifyType::FragmentationSupported, Vec::new())));
    }
    let hashes = proof::hash_announcement();
    payloads.push(Payload::Notify(Notify::new(NotifyType::SignatureHashAlgorithms, hashes)));
    payloads
}
