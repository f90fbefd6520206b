//! Attempts as operators read them: when, with whom, how far it came, what both sides had, and where to look.

use ravelin_ike::error::Failure;
use ravelin_ike::recorder::{Attempt, Stage};
use ravelin_ike::time::Instant;
use ravelin_ike::want::Role;
use ravelin_ike::wire::NotifyType;

use super::keys::{self, Whose};
use crate::api::reply;

/// One moment by the loop's clock and by the calendar.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Time {
    /// The loop's clock.
    pub now: Instant,
    /// Seconds since 1970.
    pub unix: f64,
}

/// Tells of one attempt.
pub fn tell(attempt: &Attempt, whose: Whose<'_>, time: Time) -> reply::Attempt {
    let failure = attempt.failure.as_ref();
    let ago = time.now.0.saturating_sub(attempt.ended.unwrap_or(attempt.began).0);
    let (gateway, child) = match whose {
        Whose::Nobody => (None, None),
        Whose::Tunnel(_, child) => (None, child.filter(|_| attempt.child.is_some())),
        Whose::Gateway(gateway) => (Some(gateway.name.clone()), None),
    };
    reply::Attempt {
        seconds_ago: ago / 1_000_000,
        time: (time.unix - ago as f64 / 1e6).max(0.0),
        role: role(attempt.role).into(),
        local: attempt.local.to_string(),
        peer: attempt.remote.to_string(),
        child: child.map(|child| child.name.clone()).unwrap_or_default(),
        gateway: gateway.unwrap_or_default(),
        stage: format!("{:?}", attempt.stage).to_lowercase(),
        reached: reached(attempt).into(),
        code: failure.map(|failure| failure.code().to_owned()).unwrap_or_default(),
        outcome: outcome(attempt),
        difference: difference(attempt),
        offered: attempt.offered.clone(),
        configured: attempt.configured.clone(),
        misses: misses(&attempt.difference),
        notify: attempt.peer_notify.map(notify).unwrap_or_default(),
        keys: failure.map(|failure| keys::of(failure, whose)).unwrap_or_default(),
        repeats: attempt.repeats,
    }
}

fn role(role: Role) -> &'static str {
    match role {
        Role::Initiator => "initiator",
        Role::Responder => "responder",
    }
}

/// The last message of the exchange that is known to have passed, or to be on its way.
fn reached(attempt: &Attempt) -> &'static str {
    match (attempt.stage, attempt.role) {
        (Stage::Init, Role::Initiator) => "IKE_SA_INIT sent",
        (Stage::Init, Role::Responder) => "IKE_SA_INIT received",
        (Stage::Intermediate, _) => "IKE_SA_INIT answered, IKE_INTERMEDIATE under way",
        (Stage::Auth, Role::Initiator) => "IKE_AUTH sent",
        (Stage::Auth, Role::Responder) => "IKE_SA_INIT answered, IKE_AUTH awaited",
        (Stage::Proof, Role::Initiator) => "IKE_AUTH answered",
        (Stage::Proof, Role::Responder) => "IKE_AUTH received",
        (Stage::Child, _) => "IKE SA up, CHILD SA negotiated",
        (Stage::Up, _) => "all of it done",
    }
}

fn outcome(attempt: &Attempt) -> String {
    match &attempt.failure {
        Some(failure) => failure.to_string(),
        None if attempt.stage == Stage::Up => "up".into(),
        None => "under way".into(),
    }
}

/// Both sides of a quarrel, a line each.
fn difference(attempt: &Attempt) -> Vec<String> {
    if attempt.failure.as_ref().is_none_or(Failure::is_orderly) {
        return Vec::new();
    }
    let sides = [
        ("offered", &attempt.offered),
        ("configured", &attempt.configured),
        ("nearest", &attempt.difference),
    ];
    let told = sides.iter().filter(|(_, text)| !text.is_empty());
    told.map(|(side, text)| format!("{side}: {text}")).collect()
}

/// The parts of a difference: each begins with what it is about and a colon.
fn misses(difference: &str) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    for part in difference.split("; ").filter(|part| !part.is_empty()) {
        match parts.last_mut().filter(|_| part.starts_with("configured")) {
            Some(last) => *last += &format!("; {part}"),
            None => parts.push(part.to_owned()),
        }
    }
    parts
}

/// A notification by name and number (RFC 7296 §3.10.1).
fn notify(number: u16) -> String {
    match NotifyType::from(number) {
        NotifyType::Other(number) => number.to_string(),
        named => format!("{named} ({number})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ravelin_ike::error::Subject;

    /// An attempt in all its parts: the lines for people are made of the fields for programs.
    #[test]
    fn everything_is_told() {
        let address = |last: u8| std::net::SocketAddr::from(([192, 0, 2, last], 500));
        let mut attempt = Attempt::new(Role::Responder, address(2), address(1), Instant(1_000_000));
        attempt.ended = Some(Instant(2_000_000));
        attempt.failure = Some(Failure::NoProposalChosen(Subject::Ike));
        attempt.peer_notify = Some(14);
        attempt.offered = "IKE: A".into();
        attempt.configured = "IKE: B".into();
        attempt.difference =
            "proposal 1, Encryption: offered A; configured (proposal 1) B; proposal 1, PRF: offered C; configured (proposal 1) D".into();
        let told = tell(&attempt, Whose::Nobody, Time { now: Instant(9_000_000), unix: 1_000.0 });
        assert_eq!((told.seconds_ago, told.time), (7, 993.0));
        assert_eq!((told.peer.as_str(), told.reached.as_str()), ("192.0.2.1:500", "IKE_SA_INIT received"));
        assert_eq!(told.notify, "NO_PROPOSAL_CHOSEN (14)");
        assert_eq!(
            told.misses,
            [
                "proposal 1, Encryption: offered A; configured (proposal 1) B",
                "proposal 1, PRF: offered C; configured (proposal 1) D",
            ]
        );
        assert_eq!(told.difference.len(), 3);
        // What came up needs no comparison.
        attempt.failure = None;
        attempt.stage = Stage::Up;
        let told = tell(&attempt, Whose::Nobody, Time { now: Instant(9_000_000), unix: 1_000.0 });
        assert!(told.difference.is_empty() && told.outcome == "up");
    }
}
