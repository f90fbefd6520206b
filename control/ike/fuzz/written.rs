//! Payloads as their octets will say them. What a peer sent and we do not know is counted, not kept: skipped
//! payloads, proposals of unknown protocols, selectors of unknown types, attributes of transforms.

use ravelin_ike::wire::Payload;

/// The payloads without counts of what was not kept; `None` if one has nothing left, so that it cannot be
/// written at all.
pub fn written(payloads: &[Payload]) -> Option<Vec<Payload>> {
    payloads.iter().cloned().map(one).collect()
}

fn one(mut payload: Payload) -> Option<Payload> {
    match &mut payload {
        Payload::SecurityAssociation(association) => {
            association.ignored = 0;
            let transforms = association.proposals.iter_mut().flat_map(|proposal| &mut proposal.transforms);
            transforms.for_each(|transform| transform.understood = true);
            (!association.proposals.is_empty()).then_some(payload)
        }
        Payload::TrafficSelectorsInitiator(selectors) | Payload::TrafficSelectorsResponder(selectors) => {
            selectors.ignored = 0;
            Some(payload)
        }
        _ => Some(payload),
    }
}
