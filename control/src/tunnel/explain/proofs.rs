//! Where a side proves itself twice (RFC 4739): each proof, who it proved that side to be, and by what.

use ravelin_ike::config::Identity;

use super::rung;
use crate::api::reply::Rung;
use crate::config::plan::{self, PeerAuthentication};
use crate::tunnel::{status, words};

/// A rung for each proof that is configured beside our first one; they are missing from an IKE SA that is older than
/// their configuration.
pub(super) fn rungs(up: Option<&status::Ike>, ike: &plan::Ike) -> Vec<Rung> {
    let Some(second) = &ike.second else { return Vec::new() };
    let first = up.map(|up| up.peer_identity.clone());
    let seconds =
        |of: fn(&status::Ike) -> &Option<Identity>| up.and_then(|up| of(up).as_ref()).map(words::identity);
    let told = |question: &str, who: Option<String>, by: &str| match (who, up) {
        (Some(who), _) => rung(question, Some(true), format!("{who}, by {by}")),
        (None, Some(_)) => {
            rung(question, Some(false), "none: it came up before second-auth was configured".into())
        }
        (None, None) => rung(question, None, String::new()),
    };
    let by = "the key of second-auth";
    let mut rungs = vec![told("the peer's first proof", first, method(&ike.peer))];
    rungs.extend(
        second
            .remote_id
            .as_ref()
            .map(|_| told("the peer's second proof", seconds(|up| &up.second.remote), by)),
    );
    rungs.extend(
        second.local_id.as_ref().map(|_| told("our second proof", seconds(|up| &up.second.local), by)),
    );
    rungs
}

fn method(peer: &PeerAuthentication) -> &'static str {
    match peer {
        PeerAuthentication::Psk(_) => "pre-shared key",
        PeerAuthentication::Certificate(_) => "certificate",
        PeerAuthentication::Either(..) => "certificate or pre-shared key",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ground::{interfaces, plan, tunnel};

    const FILE: &str = concat!(
        interfaces!(),
        tunnel!("branch", 1),
        "second-auth = { psk = \"second\", local-id = \"admin.example\", remote-id = \"user.example\" }\n"
    );

    /// Each proof with its own identity and its own evidence; and none is claimed that was not made.
    #[test]
    fn each_proof_is_told_of() {
        let plan = plan(FILE);
        let plan::Keying::Ike(ike) = &plan.tunnels["branch"].keying else { panic!("keys by hand") };
        let tunnel = super::super::tests::up(ravelin_ike::config::AdditionalGroups::NONE);
        let mut up = tunnel.ike().unwrap().clone();
        let seen = |up: &status::Ike| {
            rungs(Some(up), ike).into_iter().map(|rung| (rung.holds, rung.seen)).collect::<Vec<_>>()
        };
        let before = "none: it came up before second-auth was configured".to_owned();
        let first = (Some(true), "branch, by pre-shared key".to_owned());
        assert_eq!(seen(&up), [first.clone(), (Some(false), before.clone()), (Some(false), before)]);
        up.second.remote = Some(Identity::fqdn("user.example"));
        up.second.local = Some(Identity::fqdn("admin.example"));
        let by_key = |who: &str| (Some(true), format!("{who}, by the key of second-auth"));
        assert_eq!(seen(&up), [first, by_key("user.example"), by_key("admin.example")]);
        assert!(rungs(None, ike).iter().all(|rung| rung.holds.is_none()));
    }
}
