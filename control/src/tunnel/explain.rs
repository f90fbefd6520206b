//! Why a tunnel is as it is: a ladder from configuration to moving packets, climbed until
//! the first missing rung, and the last attempts. The reason, its stable code and what to
//! do stand in one line each.

mod proofs;

use std::net::IpAddr;

use ravelin_ike::config::ChildId;
use ravelin_ike::error::{Blame, Failure};
use ravelin_ike::event::PpkUse;
use ravelin_ike::recorder::{Attempt, Stage};
use ravelin_ike::time::Instant;
use ravelin_ike::want::Role;

use super::attempts::{self, Time};
use super::keys::Whose;
use super::pmtu::Learned;
use super::status;
use super::words;
use crate::api::reply::{self, Explain, Messages, Rung, State};
use crate::config::plan;
use crate::daemon::service::Why;

/// What the ladder is climbed with.
#[derive(Debug)]
pub struct Evidence<'a> {
    /// The tunnel as configured.
    pub tunnel: &'a plan::Tunnel,
    /// What is known of it.
    pub status: Option<&'a status::Tunnel>,
    /// Its children with their counts.
    pub children: &'a [reply::Child],
    /// How it is.
    pub state: State,
    /// Attempts, oldest first.
    pub attempts: Vec<&'a Attempt>,
    /// Why it is shut down, if its operator wants that.
    pub shut_down: Option<Why>,
    /// Why one of its instances is out of service, if one is.
    pub outage: Option<Why>,
    /// Why its group is down, if it is.
    pub group: Option<Why>,
    /// The largest packet to the peer, 0 while unknown, and what was learned of it.
    pub path: (u16, Option<Learned>),
    /// Why our outer address hears nothing, if its port has no link.
    pub linkless: Option<String>,
    /// Why the first hop to the peer is not usable, if it is not.
    pub unreachable: Option<String>,
    /// Why it carries nothing, if that is for its worker.
    pub standstill: Option<Why>,
    /// What its peer is believed by, where that is a certificate.
    pub believed: Option<&'a str>,
    /// What has passed between us and its peer.
    pub messages: Messages,
    /// The numbers of the tunnel's children, in their order.
    pub child_ids: Vec<ChildId>,
    /// The loop's clock.
    pub now: Instant,
    /// The same moment for people.
    pub time: Time,
}

/// Climbs the ladder.
pub fn explain(evidence: &Evidence<'_>) -> Explain {
    let failure = failure(evidence);
    Explain {
        tunnel: evidence.tunnel.name.clone(),
        state: evidence.state,
        verdict: verdict(evidence, failure),
        code: code(evidence, failure),
        fix: remedy(evidence, failure),
        rungs: rungs(evidence),
        messages: evidence.messages,
        proofs: evidence.status.map(|status| status.proofs).unwrap_or_default(),
        attempts: attempts(evidence),
    }
}

fn attempts(evidence: &Evidence<'_>) -> Vec<reply::Attempt> {
    let child = |attempt: &Attempt| {
        let index =
            attempt.child.and_then(|child| evidence.child_ids.iter().position(|known| *known == child));
        index.and_then(|index| evidence.tunnel.children.get(index))
    };
    let told = |attempt: &&Attempt| {
        attempts::tell(attempt, Whose::Tunnel(evidence.tunnel, child(attempt)), evidence.time)
    };
    evidence.attempts.iter().rev().map(told).collect()
}

/// The last attempt at an IKE SA.
fn last_ike<'a>(evidence: &Evidence<'a>) -> Option<&'a Attempt> {
    evidence
        .attempts
        .iter()
        .rev()
        .find(|attempt| attempt.stage != Stage::Child || attempt.child.is_none())
        .copied()
}

/// Why it may not be up, or carries nothing, whatever its peer does.
fn halt<'a>(evidence: &'a Evidence<'_>) -> Option<&'a Why> {
    let Evidence { shut_down, outage, group, standstill, .. } = evidence;
    shut_down.as_ref().or(outage.as_ref()).or(group.as_ref()).or(standstill.as_ref())
}

fn code(evidence: &Evidence<'_>, failure: Option<&Failure>) -> String {
    let of_failure = || failure.map(Failure::code);
    halt(evidence).map(|why| why.code).or_else(of_failure).unwrap_or_default().to_owned()
}

fn remedy(evidence: &Evidence<'_>, failure: Option<&Failure>) -> String {
    if evidence.shut_down.is_some() {
        return "enabled = true and ravelin config apply bring it back".into();
    }
    if evidence.outage.is_none() && evidence.group.is_some() {
        return "see ravelin show tunnel-groups; the tunnel returns with its group".into();
    }
    match (&evidence.outage, &evidence.standstill, failure) {
        (Some(_), _, _) => "mend the instance as the reason says; the tunnel returns by itself".into(),
        (None, Some(_), _) => "ravelin doctor says what to look at; the tunnel returns by itself".into(),
        (None, None, Some(failure))
            if failure.blame() == Blame::Incompatible && evidence.state == State::Degraded =>
        {
            "compare both configurations; what each child carries, and why it does not, stands below".into()
        }
        (None, None, Some(failure)) => fix(failure, evidence.tunnel),
        (None, None, None) => String::new(),
    }
}

/// The failure that counts: of the tunnel while it is not up, else none.
fn failure<'a>(evidence: &'a Evidence<'_>) -> Option<&'a Failure> {
    if evidence.state == State::Up {
        return None;
    }
    let of_tunnel = evidence.status.and_then(status::Tunnel::why);
    of_tunnel.or_else(|| last_ike(evidence).and_then(|attempt| attempt.failure.as_ref()))
}

fn verdict(evidence: &Evidence<'_>, failure: Option<&Failure>) -> String {
    if let Some(why) = halt(evidence) {
        return why.text.clone();
    }
    match (evidence.state, failure, &evidence.unreachable) {
        (State::Up, _, _) => moving(evidence),
        (State::Degraded, _, _) => format!("without {}", missing(evidence)),
        (_, Some(failure), None) => failure.to_string(),
        (_, _, Some(unreachable)) => unreachable.clone(),
        (State::Connecting, None, _) => "negotiation is under way".into(),
        (_, None, None) => idle(evidence).into(),
    }
}

/// Nothing is wrong, and nothing is there. An IKE SA may do without children (RFC 6023).
fn idle(evidence: &Evidence<'_>) -> &'static str {
    let is_up = evidence.status.and_then(status::Tunnel::ike).is_some();
    match (is_up, last_ike(evidence)) {
        (true, _) => "the IKE SA is up without a CHILD SA: nobody has asked for one yet",
        (false, Some(_)) => "the last attempt ended well and without a CHILD SA; none is under way",
        (false, None) => "nobody has asked for it yet: no attempt was made or received",
    }
}

/// The children that are not up, each with its reason.
fn missing(evidence: &Evidence<'_>) -> String {
    let told = |child: &reply::Child| match (child.state, child.reason.as_str()) {
        (State::Connecting, _) => format!("{} (negotiation is under way)", child.name),
        (_, "") => format!("{} (nobody has asked for it yet)", child.name),
        (_, reason) => format!("{} ({reason})", child.name),
    };
    let down = evidence.children.iter().filter(|child| child.state != State::Up);
    down.map(told).collect::<Vec<_>>().join(", ")
}

fn moving(evidence: &Evidence<'_>) -> String {
    let sum = |count: fn(&reply::Child) -> u64| evidence.children.iter().map(count).sum::<u64>();
    match (sum(|child| child.in_packets), sum(|child| child.out_packets)) {
        (0, 0) => "installed, no packet has used it yet".into(),
        (0, out) => format!("{out} packets went out and none came back: look at the peer's side"),
        (inward, 0) => format!("{inward} packets came in and none went out: look at the hosts behind us"),
        (inward, out) => format!("{inward} packets in, {out} out"),
    }
}

fn fix(failure: &Failure, tunnel: &plan::Tunnel) -> String {
    let remote = tunnel.remote.map_or_else(|| "the peer".to_owned(), |remote| remote.to_string());
    match failure.blame() {
        _ if failure.is_about_ppk() => {
            "compare ppk-list, ppk-id and ppk-required of both sides, name by name and value by value".into()
        }
        Blame::Network => {
            format!("check the path to {remote}: UDP 500 and 4500, ESP, and whether the peer runs")
        }
        Blame::Incompatible => "compare both configurations; offered and configured stand below".into(),
        Blame::PeerMisbehaved => format!("ask the operator of {remote}; the attempts below say what it sent"),
        Blame::Operator if failure.is_orderly() && tunnel.origin.is_some() => {
            "nothing is wrong; its peer may come again".into()
        }
        Blame::Operator if failure.is_orderly() => {
            format!("nothing is wrong; ravelin initiate {} brings it up", tunnel.name)
        }
        Blame::Operator => "mend the configuration as the reason says".into(),
        Blame::Us => "see the log of ravelind around the time of the last attempt".into(),
    }
}

/// Where its peer may be, in the order in which it is called, and where it is.
fn addresses(evidence: &Evidence<'_>) -> Option<Rung> {
    let plan::Keying::Ike(ike) = &evidence.tunnel.keying else { return None };
    if ike.backup_remotes.is_empty() {
        return None;
    }
    let order: Vec<String> = evidence.tunnel.remotes().map(|remote| remote.to_string()).collect();
    let up = evidence.status.and_then(status::Tunnel::ike);
    let is_at = up.map_or_else(|| "it is at none".to_owned(), |ike| format!("it is at {}", ike.remote.ip()));
    Some(rung(
        "one of its peer's addresses answers",
        up.map(|_| true),
        format!("{}; {is_at}", order.join(", then ")),
    ))
}

fn rungs(evidence: &Evidence<'_>) -> Vec<Rung> {
    let tunnel = evidence.tunnel;
    let remote = tunnel.remote.map_or_else(|| "any".to_owned(), |remote| remote.to_string());
    let ends = format!("{} to {remote}", tunnel.local);
    let mut rungs = vec![match &tunnel.origin {
        None => rung("configured", Some(true), ends),
        Some(origin) => {
            let client = origin.client.as_ref().map(|client| format!(", as client {client}"));
            let seen = format!("{} at {}{}", origin.gateway, tunnel.local, client.unwrap_or_default());
            rung("let in by a gateway", Some(true), seen)
        }
    }];
    if tunnel.origin.is_none() {
        let shut = evidence.shut_down.as_ref().map(|why| why.text.clone());
        rungs.push(rung("enabled", Some(shut.is_none()), shut.unwrap_or_default()));
    }
    let outage = evidence.outage.as_ref();
    rungs.push(rung(
        "its instances are in service",
        Some(outage.is_none()),
        outage.map(|why| why.text.clone()).unwrap_or_default(),
    ));
    let group = evidence.group.as_ref().map(|why| why.text.clone());
    let seen = group.clone().unwrap_or_else(|| tunnel.group.clone());
    rungs.push(rung("its tunnel group is up", Some(group.is_none()), seen));
    let linkless = evidence.linkless.clone();
    rungs.push(rung("link at our address", Some(linkless.is_none()), linkless.unwrap_or_default()));
    rungs.extend(addresses(evidence));
    let reachable = tunnel.remote.map(|_| evidence.unreachable.is_none());
    rungs.push(rung(
        "route and neighbour to the peer",
        reachable,
        evidence.unreachable.clone().unwrap_or_default(),
    ));
    rungs.extend(packet_settings(tunnel));
    if let plan::Keying::Ike(ike) = &tunnel.keying {
        rungs.push(rung("algorithm profile", None, ike.policy.profile.name().into()));
        rungs.extend(negotiation(evidence));
        rungs.extend(
            evidence.believed.map(|by| rung("its peer's certificate holds", Some(true), by.to_owned())),
        );
        rungs.extend(own_certificate(evidence, ike));
        rungs.extend(proofs::rungs(evidence.status.and_then(status::Tunnel::ike), ike));
        rungs.extend(additional(evidence, ike));
        rungs.extend(ppk(evidence, ike));
        rungs.extend(mobike(evidence, ike));
        rungs.extend(resumption(evidence, ike));
        rungs.extend(reauthentication(evidence, ike));
        rungs.push(rung("IKE datagrams", None, evidence.messages.to_string()));
        rungs.push(rung("questions whether the peer lives", None, evidence.messages.probes()));
    }
    rungs.push(children(evidence));
    rungs.extend(evidence.children.iter().map(child));
    rungs.extend(own_workers(evidence));
    let worker = evidence.standstill.as_ref().map(|why| why.text.clone()).unwrap_or_default();
    rungs.push(rung("its worker polls", Some(worker.is_empty()), worker));
    rungs.push(packets(evidence));
    rungs.push(path(evidence));
    rungs
}

/// How large a packet the path to the peer takes: no question of right or wrong.
fn path(evidence: &Evidence<'_>) -> Rung {
    let seen = match evidence.path {
        (0, _) => String::new(),
        (octets, None) => format!("{octets} octets, as our interfaces have it"),
        (octets, Some(learned)) => {
            let left = learned.until.0.saturating_sub(evidence.now.0) / 1_000_000;
            format!("{octets} octets, learned from ICMP; more is tried again in {left} s")
        }
    };
    rung("largest packet to the peer", None, seen)
}

fn rung(question: &str, holds: Option<bool>, seen: String) -> Rung {
    Rung { question: question.into(), holds, seen }
}

/// The rungs of IKE: all hold when it is up; else as far as the last attempt came.
fn negotiation(evidence: &Evidence<'_>) -> Vec<Rung> {
    let questions = [
        (Stage::Init, "IKE_SA_INIT answered, algorithms agreed"),
        (Stage::Intermediate, "key exchanges done"),
        (Stage::Proof, "both sides proved who they are"),
        (Stage::Child, "CHILD SA agreed"),
    ];
    let ike = evidence.status.and_then(status::Tunnel::ike);
    let last = last_ike(evidence);
    let mut failed = false;
    let climb = |(stage, question): (Stage, &str)| {
        if let Some(ike) = ike {
            return rung(question, Some(true), format!("peer {} at {}", ike.peer_identity, ike.remote));
        }
        let holds = last.filter(|_| !failed).map(|attempt| attempt.stage > stage);
        failed |= holds == Some(false);
        let seen = last.filter(|_| holds == Some(false)).and_then(|attempt| attempt.failure.as_ref());
        rung(question, holds, seen.map(ToString::to_string).unwrap_or_default())
    };
    questions.into_iter().map(climb).collect()
}

/// Where additional key exchanges are configured: how many there were, and if none, which side did without. That a
/// proposal without them may be taken was configured too, so it is no question of right or wrong.
fn own_certificate(evidence: &Evidence<'_>, ike: &plan::Ike) -> Option<Rung> {
    let shown = evidence.status.and_then(status::Tunnel::ike)?.own_certificate?;
    let seen = words::own_certificate(ike.own.certificates()?, shown);
    Some(rung("our certificate", None, seen))
}

fn additional(evidence: &Evidence<'_>, ike: &plan::Ike) -> Option<Rung> {
    let mut proposals = ike.policy.proposals.iter();
    proposals.find(|proposal| !proposal.additional.is_empty())?;
    let up = evidence.status.and_then(status::Tunnel::ike);
    let caller = last_ike(evidence).map(|attempt| attempt.role);
    let seen = match (up.map(|ike| ike.suite.additional.iter().count()), caller) {
        (None, _) => String::new(),
        (Some(0), Some(Role::Initiator)) => "none: the peer chose a proposal of ours without them".into(),
        (Some(0), _) => "none: the peer offers none of ours, or after one without them".into(),
        (Some(count), _) => format!("{count} followed the first"),
    };
    Some(rung("additional key exchanges", None, seen))
}

/// Where post-quantum preshared keys are configured: which one is in the keys, and if none, which side lacks it. That
/// the tunnel may be up without was configured too.
fn ppk(evidence: &Evidence<'_>, ike: &plan::Ike) -> Option<Rung> {
    ike.ppk.as_ref()?;
    let seen = match evidence.status.and_then(status::Tunnel::ike).map(|ike| &ike.ppk) {
        None => String::new(),
        Some(PpkUse::Mixed(id)) => format!("{id} is in the keys"),
        Some(PpkUse::NotAnnounced) => "none: the peer has none for us, or does not know RFC 8784".into(),
        Some(PpkUse::Declined(id)) => format!("none: the peer does not have {id}"),
        Some(PpkUse::Unknown(id)) => format!("none: the peer names {id}, which is not in our ppk-list"),
        Some(PpkUse::NotConfigured) => "none: it was not configured when the tunnel came up".into(),
    };
    Some(rung("post-quantum preshared key", None, seen))
}

/// Where resumption is configured: whether the tunnel goes back to a proof of before. Either way is right.
fn resumption(evidence: &Evidence<'_>, ike: &plan::Ike) -> Option<Rung> {
    let up = evidence.status.and_then(status::Tunnel::ike);
    let seen = match up.map(|ike| ike.resumed) {
        None => "",
        Some(true) => "resumed: by a ticket, without key exchange and proof of its own",
        Some(false) => "negotiated in full",
    };
    ike.policy.resumption.then(|| rung("session resumption", None, seen.into()))
}

/// Where proofs count for a time, or have been repeated: how often that was. The peer may have set the time.
fn reauthentication(evidence: &Evidence<'_>, ike: &plan::Ike) -> Option<Rung> {
    let lifetime = ike.policy.authentication_lifetime;
    let repeated = evidence.status.map_or(0, |status| status.reauthentications);
    if lifetime.is_none() && repeated == 0 {
        return None;
    }
    let within =
        lifetime.map_or("as the peer says".into(), |lifetime| format!("every {} s", lifetime.as_secs()));
    Some(rung("proven anew", None, format!("{within}; so far: {repeated}")))
}

/// Where MOBIKE is configured: whether the tunnel survives a move, and who may move. That the peer does without was
/// configured too.
fn mobike(evidence: &Evidence<'_>, ike: &plan::Ike) -> Option<Rung> {
    if !ike.mobike {
        return None;
    }
    let seen = match evidence.status.and_then(status::Tunnel::ike) {
        None => String::new(),
        Some(up) if !up.mobike => "no: the peer does not do MOBIKE".into(),
        Some(up) if up.role == Role::Initiator => {
            format!("we called and may move; moves so far: {}", up.moves)
        }
        Some(up) if evidence.tunnel.remote.is_some() => {
            format!("the peer called, and its address is a fixed one here; moves so far: {}", up.moves)
        }
        Some(up) => format!("the peer called and may move; moves so far: {}", up.moves),
    };
    let up = evidence.status.and_then(status::Tunnel::ike).filter(|up| up.mobike);
    Some(rung("survives a move (MOBIKE)", None, seen + &other_ways(ike, up)))
}

/// Which other addresses there are at both ends.
fn other_ways(ike: &plan::Ike, up: Option<&status::Ike>) -> String {
    let list = |of: &str, addresses: &[IpAddr]| match addresses {
        [] => String::new(),
        some => {
            let texts: Vec<String> = some.iter().map(IpAddr::to_string).collect();
            format!("; {of} {}", texts.join(", "))
        }
    };
    let Some(up) = up else { return String::new() };
    list("further addresses here:", &ike.mobike_addresses) + &list("the peer's:", &up.peer_addresses)
}

fn children(evidence: &Evidence<'_>) -> Rung {
    let up = evidence.children.iter().filter(|child| child.state == State::Up).count();
    let all = evidence.children.len();
    rung("SAs installed on their worker", Some(up == all), format!("{up} of {all} children"))
}

/// Where workers are to have SAs of their own: which have, of which child; and if none, whether the peer takes none. That
/// all use one is right too.
fn own_workers(evidence: &Evidence<'_>) -> Option<Rung> {
    let of_child = |child: &reply::Child| {
        let workers: Vec<String> = child.own_workers.iter().map(usize::to_string).collect();
        (!workers.is_empty()).then(|| format!("{}: workers {}", child.name, workers.join(", ")))
    };
    let told: Vec<String> = evidence.children.iter().filter_map(of_child).collect();
    let up = evidence.status.map(|status| &status.children).filter(|children| !children.is_empty());
    let seen = match (told.is_empty(), up) {
        (false, _) => told.join("; "),
        (true, None) => String::new(),
        (true, Some(up)) if up.values().any(|child| child.up.takes_more) => "none yet".into(),
        (true, Some(_)) => "none: the peer takes none, or does not know RFC 9611".into(),
    };
    evidence.tunnel.per_worker.then(|| rung("workers with SAs of their own", None, seen))
}

/// One child: what it carries, or is to carry, and why it does not.
fn child(child: &reply::Child) -> Rung {
    let carries = match child.carries.as_str() {
        "" => format!("{} === {}", child.local_ts, child.remote_ts),
        carries => carries.to_owned(),
    };
    let (holds, seen) = match (child.state, child.reason.as_str()) {
        (State::Up, _) => {
            let (inward, outward) = (child.in_packets, child.out_packets);
            (Some(true), format!("{carries}: {inward} packets in, {outward} out"))
        }
        (State::Connecting, _) => (None, format!("{carries}: negotiation is under way")),
        (_, "") => (None, format!("{carries}: not asked for, or not reached")),
        (_, reason) => (Some(false), format!("{carries}: {reason} [{}]", child.reason_code)),
    };
    rung(&format!("child {}", child.name), holds, seen)
}

fn packets(evidence: &Evidence<'_>) -> Rung {
    let inward: u64 = evidence.children.iter().map(|child| child.in_packets).sum();
    let outward: u64 = evidence.children.iter().map(|child| child.out_packets).sum();
    let holds = (evidence.state == State::Up).then_some(inward > 0 && outward > 0);
    rung("packets move both ways", holds, format!("{inward} in, {outward} out"))
}

/// What the tunnel does to packets, where that is not as usual.
fn packet_settings(tunnel: &plan::Tunnel) -> Option<Rung> {
    let told: Vec<String> =
        tunnel.packets.told().into_iter().map(|(key, value)| format!("{key} {value}")).collect();
    (!told.is_empty()).then(|| rung("what it does to packets", None, told.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ground::{interfaces, plan, tunnel};
    use crate::tunnel::session::Carried;
    use ravelin_ike::config::{AdditionalGroups, Encryption, Group, Prf};
    use ravelin_ike::event::IkeSuite;
    use ravelin_ike::id::IkeId;

    const FILE: &str = concat!(
        interfaces!(),
        "[ike-policy.quantum]\n",
        "proposals = [\"aes256gcm16-prfsha384-x25519+mlkem768\", \"aes256gcm16-prfsha384-x25519\"]\n",
        tunnel!("branch", 1),
        "ike-policy = \"quantum\"\nppk-list = \"keys\"\n[ppk-list.keys.hq]\nvalue = \"hunter2\"\n"
    );

    pub(super) fn up(additional: AdditionalGroups) -> status::Tunnel {
        let (encryption, prf, group) = (Encryption::AesGcm256, Prf::HmacSha384, Group::X25519);
        let suite = IkeSuite { encryption, integrity: None, prf, group, additional };
        let ike = status::Ike {
            own_certificate: None,
            id: IkeId(1),
            words: status::IkeWords::of(&suite, (1, 2)),
            suite,
            ppk: PpkUse::NotConfigured,
            peer_identity: "branch".into(),
            second: Default::default(),
            local: std::net::SocketAddr::from(([192, 0, 2, 2], 500)),
            remote: std::net::SocketAddr::from(([192, 0, 2, 1], 500)),
            peer_addresses: Vec::new(),
            udp_encapsulation: false,
            role: Role::Initiator,
            mobike: false,
            moves: 0,
            redirectable: false,
            resumed: false,
            since: Instant(0),
            carried: Carried::default(),
        };
        status::Tunnel { ikes: vec![ike], ..status::Tunnel::default() }
    }

    fn told(status: Option<&status::Tunnel>, attempt: &Attempt) -> Explain {
        let state = if status.is_some() { State::Up } else { State::Down };
        of(status, &[], state, vec![attempt])
    }

    fn of(
        status: Option<&status::Tunnel>,
        children: &[reply::Child],
        state: State,
        attempts: Vec<&Attempt>,
    ) -> Explain {
        let plan = plan(FILE);
        explain(&Evidence {
            believed: None,
            tunnel: &plan.tunnels["branch"],
            status,
            children,
            state,
            attempts,
            shut_down: None,
            outage: None,
            group: None,
            path: (0, None),
            unreachable: None,
            linkless: None,
            standstill: None,
            messages: Messages::default(),
            child_ids: vec![ChildId(1)],
            now: Instant(5_000_000),
            time: Time { now: Instant(5_000_000), unix: 1_000.0 },
        })
    }

    /// Which side did without additional key exchanges is said, and so is that they took place.
    #[test]
    fn additional_key_exchanges_are_told_of() {
        let address = std::net::SocketAddr::from(([192, 0, 2, 1], 500));
        let hybrid = AdditionalGroups::after(Group::X25519, &[Group::MlKem768]).unwrap();
        for (role, additional, expected) in [
            (Role::Initiator, hybrid, "1 followed the first"),
            (Role::Initiator, AdditionalGroups::NONE, "none: the peer chose a proposal of ours without them"),
            (
                Role::Responder,
                AdditionalGroups::NONE,
                "none: the peer offers none of ours, or after one without them",
            ),
        ] {
            let attempt = Attempt::new(role, address, address, Instant(1));
            let told = told(Some(&up(additional)), &attempt);
            let rung = told.rungs.iter().find(|rung| rung.question == "additional key exchanges").unwrap();
            assert_eq!((rung.holds, rung.seen.as_str()), (None, expected));
        }
    }

    /// Which PPK is in the keys is said, or which side lacks it; a failure over one tells where to look.
    #[test]
    fn post_quantum_preshared_keys_are_told_of() {
        use ravelin_ike::config::{PpkId, PpkIdKind};
        let address = std::net::SocketAddr::from(([192, 0, 2, 1], 500));
        let mut attempt = Attempt::new(Role::Initiator, address, address, Instant(1));
        let id = PpkId { kind: PpkIdKind::Fixed, data: b"hq".to_vec() };
        for (ppk, expected) in [
            (PpkUse::Mixed(id.clone()), "hq is in the keys"),
            (PpkUse::NotAnnounced, "none: the peer has none for us, or does not know RFC 8784"),
            (PpkUse::Declined(id.clone()), "none: the peer does not have hq"),
            (PpkUse::Unknown(id), "none: the peer names hq, which is not in our ppk-list"),
        ] {
            let mut status = up(AdditionalGroups::NONE);
            status.ikes.iter_mut().for_each(|ike| ike.ppk = ppk.clone());
            let told = told(Some(&status), &attempt);
            let rung = told.rungs.iter().find(|rung| rung.question == "post-quantum preshared key").unwrap();
            assert_eq!((rung.holds, rung.seen.as_str()), (None, expected));
        }
        attempt.failure = Some(Failure::PpkUnknown("hq".into()));
        let told = told(None, &attempt);
        assert_eq!(told.code, "RV-AUTH-012");
        assert!(told.verdict.contains("hq") && told.fix.contains("ppk-list"), "{told:?}");
    }

    /// An IKE SA without a CHILD SA was no failure, and somebody did call (RFC 6023).
    #[test]
    fn an_attempt_without_children_is_told_of() {
        let address = std::net::SocketAddr::from(([192, 0, 2, 1], 500));
        let mut attempt = Attempt::new(Role::Responder, address, address, Instant(1));
        (attempt.stage, attempt.ended) = (Stage::Up, Some(Instant(2)));
        let status = up(AdditionalGroups::NONE);
        let verdict = |status, attempts| of(status, &[], State::Down, attempts).verdict;
        assert!(verdict(Some(&status), vec![&attempt]).starts_with("the IKE SA is up without a CHILD SA"));
        assert!(verdict(None, vec![&attempt]).starts_with("the last attempt ended well"));
        assert!(verdict(None, vec![]).contains("no attempt was made or received"));
    }

    /// A refusal says in what the nearest proposal differs.
    #[test]
    fn what_differs_is_told() {
        let address = std::net::SocketAddr::from(([192, 0, 2, 1], 500));
        let mut attempt = Attempt::new(Role::Responder, address, address, Instant(1));
        attempt.difference = "proposal 1, ADDKE1: offered none".into();
        attempt.failure = Some(Failure::NoProposalChosen(ravelin_ike::error::Subject::Ike));
        let told = told(None, &attempt);
        assert_eq!(told.attempts[0].difference, ["nearest: proposal 1, ADDKE1: offered none"]);
    }

    /// Each child by name, with what it carries and why it does not; the verdict names those that are missing.
    #[test]
    fn each_child_is_told_of() {
        let child = |name: &str, state| reply::Child {
            name: name.into(),
            state,
            local_ts: "10.2.0.0/24".into(),
            remote_ts: "10.1.0.0/24 udp/5060".into(),
            ..reply::Child::default()
        };
        let refused = reply::Child {
            reason: Failure::TsRefused.to_string(),
            reason_code: "RV-CHILD-002".into(),
            ..child("voice", State::Down)
        };
        let carries = "10.2.0.0/25 === 10.1.0.0/24".into();
        let children =
            [reply::Child { carries, ..child("net", State::Up) }, refused, child("more", State::Connecting)];
        let mut status = up(AdditionalGroups::NONE);
        status.troubles.insert(ravelin_ike::config::ChildId(1), Failure::TsRefused);
        let told = of(Some(&status), &children, State::Degraded, Vec::new());
        let refused = Failure::TsRefused.to_string();
        assert_eq!(told.verdict, format!("without voice ({refused}), more (negotiation is under way)"));
        assert!(told.fix.contains("what each child carries"), "{}", told.fix);
        assert_eq!(told.code, "RV-CHILD-002");
        let rungs: Vec<_> = told.rungs.iter().filter(|rung| rung.question.starts_with("child ")).collect();
        let seen: Vec<_> = rungs.iter().map(|rung| (rung.question.as_str(), rung.holds)).collect();
        assert_eq!(seen, [("child net", Some(true)), ("child voice", Some(false)), ("child more", None)]);
        assert!(rungs[0].seen.starts_with("10.2.0.0/25 === 10.1.0.0/24: "), "{}", rungs[0].seen);
        assert!(rungs[1].seen.contains("10.1.0.0/24 udp/5060") && rungs[1].seen.ends_with("[RV-CHILD-002]"));
    }
}
