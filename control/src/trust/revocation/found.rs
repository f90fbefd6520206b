//! What the control loop hears of revocation.

use ravelin_ike::id::{IkeId, Ticket};
use ravelin_pki::verdict::Verdict;

use super::stapled::Own;
use crate::trust::Refusal;

/// Whose certificate it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whose {
    /// A peer's: the engine's question, and the tunnel it is for.
    Peer(Ticket, IkeId),
    /// Ours, of this cert-profile.
    Ours(String),
}

/// Something that was found.
#[derive(Debug)]
pub enum Found {
    /// A peer was judged, or a certificate of ours.
    Judged(Whose, Result<Box<Verdict>, Refusal>),
    /// A peer without a certificate was judged by its public key: by which one it is to prove itself.
    Keyed(Ticket, IkeId, Result<Vec<u8>, Refusal>),
    /// What peers are to be shown of a certificate of ours.
    Own(Own),
    /// A tunnel rests on a certificate that is revoked.
    Distrust(IkeId, Refusal),
    /// Something the operator should know: what it is called, and a line.
    Tell(&'static str, String),
}
