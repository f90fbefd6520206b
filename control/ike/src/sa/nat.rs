//! NAT detection (RFC 7296 §2.23): what we say about our addresses, what the peer's words say about NATs.

use super::parts::Parts;
use crate::crypto::nat_detection_hash;
use crate::wire::{IkeSpi, Notify, NotifyType, Payload};
use std::net::SocketAddr;

/// What the peer's NAT_DETECTION notifications say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NatFindings {
    /// We are behind a NAT: the peer sees us elsewhere, or sent to somewhere else.
    pub(crate) local: bool,
    /// The peer is behind a NAT, or pretends to be.
    pub(crate) remote: bool,
}

/// Our two notifications. With `force` the source hash fits nothing, so that the peer takes us to be behind a
/// NAT and encapsulates: it is that of port 0, from which nothing is sent, and the same whenever it is made, since an
/// IKE_SA_INIT request comes again with "all other payloads unchanged" behind its cookie (RFC 7296 §2.6).
pub(crate) fn notifies(
    spis: (IkeSpi, IkeSpi),
    (local, remote): (SocketAddr, SocketAddr),
    force: bool,
) -> [Payload; 2] {
    let source = if force { SocketAddr::new(local.ip(), 0) } else { local };
    let source = nat_detection_hash(spis.0, spis.1, source);
    let destination = nat_detection_hash(spis.0, spis.1, remote);
    [
        Payload::Notify(Notify::new(NotifyType::NatDetectionSourceIp, source.to_vec())),
        Payload::Notify(Notify::new(NotifyType::NatDetectionDestinationIp, destination.to_vec())),
    ]
}

/// Compares the peer's notifications with the addresses its message came with. `None` if it sent none and so
/// does not do NAT traversal.
pub(crate) fn findings(
    parts: &Parts,
    spis: (IkeSpi, IkeSpi),
    (local, remote): (SocketAddr, SocketAddr),
) -> Option<NatFindings> {
    let of = |kind| parts.notifies.iter().filter(move |notify| notify.notify_type == kind);
    let mut sources = of(NotifyType::NatDetectionSourceIp).peekable();
    let mut destinations = of(NotifyType::NatDetectionDestinationIp).peekable();
    sources.peek()?;
    destinations.peek()?;
    // "If there are multiple NAT_DETECTION_SOURCE_IP ... and none of them matches, the sender is behind NAT".
    let seen_remote = nat_detection_hash(spis.0, spis.1, remote);
    let seen_local = nat_detection_hash(spis.0, spis.1, local);
    Some(NatFindings {
        local: !destinations.any(|notify| notify.data == seen_local),
        remote: !sources.any(|notify| notify.data == seen_remote),
    })
}
