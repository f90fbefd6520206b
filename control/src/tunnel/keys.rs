//! Which keys of the configuration a failure is about: what to look at first, here or at the peer's.

use ravelin_ike::error::{Failure, Side, Topic};

use crate::config::plan::{self, OwnAuthentication, PeerAuthentication};

/// Whom an attempt was for.
#[derive(Debug, Clone, Copy)]
pub enum Whose<'a> {
    /// Nobody who is configured.
    Nobody,
    /// A tunnel, and the child of it that is known.
    Tunnel(&'a plan::Tunnel, Option<&'a plan::Child>),
    /// A gateway, by a caller that was not let in.
    Gateway(&'a plan::Gateway),
}

/// The keys, most likely first; none where the configuration has no part in it.
pub fn of(failure: &Failure, whose: Whose<'_>) -> Vec<String> {
    match whose {
        Whose::Nobody => Vec::new(),
        Whose::Gateway(gateway) => {
            of_gateway(failure, &gateway.name, &gateway.ike, gateway.clients.is_some())
        }
        Whose::Tunnel(tunnel, child) => match (&tunnel.keying, &tunnel.origin) {
            (plan::Keying::Manual(_), _) => Vec::new(),
            (plan::Keying::Ike(ike), Some(origin)) => {
                of_gateway(failure, &origin.gateway, ike, origin.client.is_some())
            }
            (plan::Keying::Ike(ike), None) => of_tunnel(failure, tunnel, ike, child),
        },
    }
}

fn of_tunnel(
    failure: &Failure,
    tunnel: &plan::Tunnel,
    ike: &plan::Ike,
    child: Option<&plan::Child>,
) -> Vec<String> {
    let of_tunnel = |key: &str| format!("tunnel.{}.{key}", tunnel.name);
    let of_child = |key: &str| match child.and_then(|child| child.written.table.as_ref()) {
        Some(table) => format!("tunnel.{}.child.{table}.{key}", tunnel.name),
        None => of_tunnel(key),
    };
    match failure {
        Failure::NoReply { .. }
        | Failure::NoReplyHere { .. }
        | Failure::HalfOpenTimeout(_)
        | Failure::PeerDead(_) => {
            vec![of_tunnel("remote")]
        }
        Failure::NoConnection => vec![of_tunnel("local"), of_tunnel("remote")],
        Failure::NoAdditionalSas(Side::Ours) => vec![of_tunnel("child-limit")],
        Failure::SecondProof(_) => vec![of_tunnel("second-auth")],
        failure if failure.is_about_ppk() => {
            ["ppk-list", "ppk-id", "ppk-required"].map(of_tunnel).into_iter().collect()
        }
        failure => match failure.topic() {
            Some(Topic::IkeAlgorithms) => vec![of_tunnel("ike-policy") + ": proposals"],
            Some(Topic::EspAlgorithms) => vec![of_child("ipsec-transform") + ": proposals"],
            Some(Topic::Selectors) if child.is_some_and(|child| child.written.in_pairs) => {
                vec![of_child("ts-pairs")]
            }
            Some(Topic::Selectors) => vec![of_child("local-ts"), of_child("remote-ts")],
            Some(Topic::Proof) => proof(failure, ike, "remote-id").iter().map(|key| of_tunnel(key)).collect(),
            None => Vec::new(),
        },
    }
}

/// Of a gateway, or of a tunnel that one of its peers has opened: what such a tunnel is like is written there. Clients
/// may have keys of their own.
fn of_gateway(failure: &Failure, gateway: &str, ike: &plan::Ike, clients: bool) -> Vec<String> {
    let keys = match failure {
        Failure::NoClient(_) => vec!["client-db"],
        Failure::PskMismatch if clients => vec!["client-db", "psk"],
        Failure::NoConnection => vec!["local"],
        Failure::NotAdmitted(_) => vec!["enabled", "unique"],
        Failure::NoAdditionalSas(Side::Ours) => vec!["tunnel-template: child-limit"],
        failure if failure.is_about_ppk() => vec!["ppk-list", "ppk-required"],
        failure => match failure.topic() {
            Some(Topic::IkeAlgorithms) => vec!["ike-policy: proposals"],
            Some(Topic::EspAlgorithms) => vec!["tunnel-template: ipsec-transform"],
            Some(Topic::Selectors) => vec!["ts-list: local", "ts-list: remote"],
            Some(Topic::Proof) => proof(failure, ike, "remote-ids"),
            None => Vec::new(),
        },
    };
    keys.into_iter().map(|key| format!("gateway.{gateway}.{key}")).collect()
}

/// How each side proves itself, and as whom.
fn proof(failure: &Failure, ike: &plan::Ike, accepted: &'static str) -> Vec<&'static str> {
    let own = match ike.own {
        OwnAuthentication::Psk(_) => "psk",
        OwnAuthentication::Certificate(_) => "certificate",
    };
    let peers = match ike.peer {
        PeerAuthentication::Psk(_) => "psk",
        PeerAuthentication::Certificate(_) | PeerAuthentication::Either(..) => "trust",
    };
    match failure {
        Failure::AuthRefused => vec![own, "local-id"],
        Failure::NoCommonHash | Failure::NoOlderMethod(_) => vec![own],
        Failure::IdentityRefused(_) => vec![accepted],
        Failure::CertificateRefused(_) => vec![peers, accepted],
        _ => vec![peers],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ground::{interfaces, plan, tunnel};
    use crate::config::raw;
    use crate::tunnel::gateway::Terms;
    use ravelin_ike::config::NoClient;
    use ravelin_ike::error::Subject;
    use ravelin_ike::want::AnswerError;
    use std::time::Duration;

    const FILE: &str = concat!(
        interfaces!(),
        tunnel!("branch", 1),
        r#"
[tunnel.branch.child.voice]
local-ts = ["10.3.0.0/24"]
remote-ts = ["10.1.0.0/24"]
[tunnel.branch.child.net]
ts-pairs = ["10.4.0.0/24 === 10.5.0.0/24", "10.6.0.0/24 === 10.7.0.0/24"]
[gateway.g]
local = "192.0.2.2"
psk = "correct horse"
ts-list = "all"
[ts-list.all]
local = ["10.2.0.0/16"]
remote = ["10.1.0.0/16"]
"#
    );

    fn of_peer(plan: &plan::Plan) -> plan::Tunnel {
        let terms = Terms::of(&plan.gateways["g"], None, &plan.instances).unwrap();
        terms.tunnel("g/peer".into())
    }

    /// Whether the configuration takes this key in the object with this header: a value of no key's type is refused as
    /// such, an unknown key as unknown.
    fn is_key(text: &str, header: &str, key: &str) -> bool {
        assert!(text.contains(header), "there is no {header}");
        let asked = text.replacen(header, &format!("{header}\n{key} = 1979-05-27"), 1);
        let error = toml::from_str::<raw::File>(&asked).unwrap_err().to_string();
        error.contains("duplicate key") || error.contains("invalid type")
    }

    /// Of `tunnel.branch.ike-policy: proposals` both parts.
    fn exists(named: &str) -> bool {
        let (path, part) = named.split_once(": ").map_or((named, None), |(path, part)| (path, Some(part)));
        let (object, key) = path.rsplit_once('.').unwrap();
        let header = format!("[{key}.other]");
        let of_part = |part| is_key(&format!("{FILE}{header}\n"), &header, part);
        is_key(FILE, &format!("[{object}]"), key) && part.is_none_or(of_part)
    }

    /// All that can be the matter with what is configured.
    fn failures() -> Vec<Failure> {
        let error = || AnswerError { code: "RV-PKI-004".into(), text: String::new() };
        vec![
            Failure::NoReply { tries: 8, waited: Duration::from_secs(1) },
            Failure::PeerDead(Duration::from_secs(1)),
            Failure::NoConnection,
            Failure::NoAdditionalSas(Side::Ours),
            Failure::NotAdmitted(error()),
            Failure::PpkNotAnnounced,
            Failure::ProposalRefused(Subject::Ike),
            Failure::ProposalRefused(Subject::Child),
            Failure::TsRefused,
            Failure::PskMismatch,
            Failure::AuthRefused,
            Failure::NoCommonHash,
            Failure::IdentityRefused("x".into()),
            Failure::NoClient(Box::new(NoClient {
                database: "d".into(),
                clients: 1,
                address: [192, 0, 2, 9].into(),
                identity: "x".into(),
                place_fits: false,
                identity_fits: false,
            })),
            Failure::CertificateRefused(error()),
        ]
    }

    /// Every key that is named is one the configuration knows, at an object that is there.
    #[test]
    fn keys_that_are_named_exist() {
        assert!(exists("tunnel.branch.psk") && exists("gateway.g.ts-list: local"));
        assert!(!exists("tunnel.branch.pks") && !exists("gateway.g.ts-list: locals"));
        let plan = plan(FILE);
        let (branch, gateway) = (&plan.tunnels["branch"], &plan.gateways["g"]);
        let peers = of_peer(&plan);
        let mut whose: Vec<Whose<'_>> =
            branch.children.iter().map(|child| Whose::Tunnel(branch, Some(child))).collect();
        whose.extend([Whose::Tunnel(branch, None), Whose::Gateway(gateway)]);
        whose.extend(peers.children.iter().map(|child| Whose::Tunnel(&peers, Some(child))));
        for (failure, whose) in failures().iter().flat_map(|failure| whose.iter().map(move |w| (failure, w)))
        {
            for key in of(failure, *whose) {
                assert!(exists(&key), "{failure:?} names {key}");
            }
        }
    }

    /// The likeliest first, at the child where it is written, at the gateway where there is no tunnel of one's own.
    #[test]
    fn a_failure_names_its_keys() {
        let plan = plan(FILE);
        let (branch, gateway) = (&plan.tunnels["branch"], &plan.gateways["g"]);
        let [first, net, _, voice] = branch.children.as_slice() else { panic!("{branch:?}") };
        let tunnel = |child| Whose::Tunnel(branch, Some(child));
        let peers = of_peer(&plan);
        for (failure, whose, expected) in [
            (Failure::PskMismatch, tunnel(first), vec!["tunnel.branch.psk"]),
            (Failure::AuthRefused, tunnel(first), vec!["tunnel.branch.psk", "tunnel.branch.local-id"]),
            (Failure::IdentityRefused("x".into()), tunnel(first), vec!["tunnel.branch.remote-id"]),
            (Failure::TsRefused, tunnel(first), vec!["tunnel.branch.local-ts", "tunnel.branch.remote-ts"]),
            (Failure::TsRefused, tunnel(net), vec!["tunnel.branch.child.net.ts-pairs"]),
            (
                Failure::TsUnacceptable,
                tunnel(voice),
                vec!["tunnel.branch.child.voice.local-ts", "tunnel.branch.child.voice.remote-ts"],
            ),
            (
                Failure::ProposalRefused(Subject::Child),
                tunnel(voice),
                vec!["tunnel.branch.child.voice.ipsec-transform: proposals"],
            ),
            (Failure::IdentityRefused("x".into()), Whose::Gateway(gateway), vec!["gateway.g.remote-ids"]),
            (
                Failure::TsUnacceptable,
                Whose::Tunnel(&peers, None),
                vec!["gateway.g.ts-list: local", "gateway.g.ts-list: remote"],
            ),
            (Failure::PeerDead(Duration::from_secs(1)), Whose::Tunnel(&peers, None), vec![]),
            (Failure::Terminated, tunnel(first), vec![]),
            (Failure::NoConnection, Whose::Nobody, vec![]),
        ] {
            assert_eq!(of(&failure, whose), expected, "{failure:?}");
        }
    }
}
