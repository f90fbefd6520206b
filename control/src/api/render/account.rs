//! What has passed between us and the callers of gateways, as text.

use super::table;
use crate::api::reply::{Gateway, Messages};

/// What became of the callers of gateways, and what they have sent.
pub(super) fn callers(gateways: &[Gateway]) -> String {
    let header = [
        "GATEWAY",
        "BY PSK",
        "BY CERTIFICATE",
        "BY TICKET",
        "FAILED",
        "SENT",
        "AGAIN",
        "RECEIVED",
        "AGAIN",
        "IGNORED",
    ];
    let row = |Gateway { name, proofs, failed_attempts, messages, .. }: &Gateway| {
        let of = |count: u64| count.to_string();
        let mut row = vec![name.clone()];
        row.extend([proofs.psk, proofs.certificate, proofs.ticket, *failed_attempts].map(of));
        let Messages { sent, resent, received, repeated, ignored, .. } = messages;
        row.extend([*sent, *resent, *received, *repeated, *ignored].map(of));
        row
    };
    table(&header, gateways.iter().map(row))
}
