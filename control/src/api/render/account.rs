//! What has passed between us and the callers of gateways, as text.

use super::table;
use crate::api::reply::{Gateway, Messages, Proofs};

/// What became of the callers of gateways, and what they have sent.
pub(super) fn callers(gateways: &[Gateway]) -> String {
    let header = ["GATEWAY", "FAILED", "SENT", "AGAIN", "RECEIVED", "AGAIN", "IGNORED"];
    let row = |Gateway { name, failed_attempts, messages, .. }: &Gateway| {
        let Messages { sent, resent, received, repeated, ignored, .. } = messages;
        let counts = [*failed_attempts, *sent, *resent, *received, *repeated, *ignored];
        [name.clone()].into_iter().chain(counts.map(|count| count.to_string())).collect()
    };
    table(&header, gateways.iter().map(row))
}

/// By what they have proven themselves, or not; nothing where nobody has tried.
pub(super) fn proofs(gateways: &[Gateway]) -> String {
    let rows: Vec<_> = gateways.iter().flat_map(of_gateway).collect();
    match rows.is_empty() {
        true => String::new(),
        false => table(&["GATEWAY", "PROOF", "HELD", "REFUSED"], rows.into_iter()),
    }
}

/// The kinds that there were.
fn of_gateway(gateway: &Gateway) -> impl Iterator<Item = Vec<String>> {
    let Proofs { held, refused } = gateway.proofs;
    let both = held.rows().into_iter().zip(refused.rows());
    let were = both.filter(|((_, held), (_, refused))| held + refused > 0);
    were.map(|((kind, held), (_, refused))| {
        vec![gateway.name.clone(), kind.to_owned(), held.to_string(), refused.to_string()]
    })
}
