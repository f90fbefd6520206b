//! What is known of revocation, as operators read it.

use ravelin_pki::UnixTime;

use super::desk::{Authority, Desk};
use crate::api::reply::{Crl, CrlUpkeep, Resting, Revocation};

/// All of it at one moment.
pub fn known(desk: &Desk, now: UnixTime) -> Revocation {
    let (waiting, watched) = desk.counts();
    let stale = |until: UnixTime| now.0.saturating_sub(until.0).max(0).unsigned_abs();
    let crls = desk.cache().lists().map(|held| Crl {
        issuer: held.value.issuer().to_string(),
        source: held.source.clone(),
        entries: held.value.len(),
        octets: held.value.octets(),
        this_update: held.value.this_update().to_string(),
        next_update: held.value.next_update().map(|until| until.to_string()).unwrap_or_default(),
        stale: held.value.next_update().map_or(0, stale),
    });
    let resting = desk.cache().rest().iter().filter(|(_, resting)| now < resting.until);
    let resting = resting.map(|(url, it)| Resting {
        url: url.to_owned(),
        until: it.until.to_string(),
        why: it.why.clone(),
    });
    Revocation {
        crls: crls.collect(),
        upkeep: desk.kept().map(|kept| upkeep(kept, desk, now)).collect(),
        ocsp_answers: desk.cache().answers().count(),
        resting: resting.collect(),
        waiting,
        watched,
    }
}

fn upkeep(
    (authority, due, is_asking): (&Authority, Option<UnixTime>, bool),
    desk: &Desk,
    now: UnixTime,
) -> CrlUpkeep {
    let state = match (is_asking, due) {
        (true, _) => "downloading",
        (false, Some(_)) => "scheduled",
        (false, None) => "stopped",
    };
    CrlUpkeep {
        ca_profile: authority.name.clone(),
        state: state.to_owned(),
        due: due.map(|due| due.to_string()).unwrap_or_default(),
        flag: desk.list_flag(authority, now).map(Into::into),
    }
}
