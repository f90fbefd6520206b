//! Transport mode (RFC 7296 §1.3.1): agreed on where both sides say USE_TRANSPORT_MODE, at each rekey anew.
//!
//! A child is made in the mode it is configured for, or not at all: whoever wants transport mode "MUST delete the SA" that
//! a peer makes a tunnel of, and a tunnel's packets would not be those of a child of transport mode. Where a NAT is found,
//! or UDP encapsulation forced, there is none: §2.23.1 would put other addresses into selectors and packets. Beside it what
//! the peer says of padding (ESP_TFC_PADDING_NOT_SUPPORTED).

use super::parts::Parts;
use crate::config::{ChildConfig, Mode};
use crate::error::ModeProblem;
use crate::want::Path;
use crate::wire::{Notify, NotifyType, Payload};

/// N(USE_TRANSPORT_MODE) of a child that is to be in transport mode.
pub(crate) fn wish(config: &ChildConfig) -> Option<Payload> {
    let notify = || Payload::Notify(Notify::new(NotifyType::UseTransportMode, Vec::new()));
    (config.mode == Mode::Transport).then(notify)
}

/// Whether a child may be made on this path.
pub(crate) fn permitted(config: &ChildConfig, path: &Path) -> Result<(), ModeProblem> {
    match config.mode == Mode::Transport && path.udp_encapsulation {
        true => Err(ModeProblem::Nat),
        false => Ok(()),
    }
}

/// Whether the peer's answer is of the mode that was asked for.
pub(crate) fn answered(config: &ChildConfig, reply: &Parts) -> Result<(), ModeProblem> {
    match (config.mode, reply.has(NotifyType::UseTransportMode)) {
        (Mode::Tunnel, false) | (Mode::Transport, true) => Ok(()),
        (Mode::Tunnel, true) => Err(ModeProblem::Unasked),
        (Mode::Transport, false) => Err(ModeProblem::Declined),
    }
}

/// Whether a child can be what the peer asks for, on this path. A tunnel can: "if the responder declines the request, the
/// Child SA will be established in tunnel mode".
pub(crate) fn serves(config: &ChildConfig, offer: &Parts, path: &Path) -> Result<(), ModeProblem> {
    match (config.mode, offer.has(NotifyType::UseTransportMode)) {
        (Mode::Tunnel, _) => Ok(()),
        (Mode::Transport, true) => permitted(config, path),
        (Mode::Transport, false) => Err(ModeProblem::TunnelWanted),
    }
}

/// Whether the peer takes packets that are padded against traffic analysis (RFC 4303 §2.7).
pub(crate) fn takes_padding(of_peer: &Parts) -> bool {
    !of_peer.has(NotifyType::EspTfcPaddingNotSupported)
}
