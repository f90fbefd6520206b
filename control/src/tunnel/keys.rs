//! Which keys of the configuration a failure is about: what to look at first, here or at the peer's.

use ravelin_ike::error::{Failure, Side, Topic};

use crate::config::plan::{self, OwnAuthentication, PeerAuthentication};

/// The keys, most likely first; none where the configuration has no part in it.
pub fn of(failure: &Failure, tunnel: &plan::Tunnel, child: Option<&plan::Child>) -> Vec<String> {
    let plan::Keying::Ike(ike) = &tunnel.keying else { return Vec::new() };
    let of_tunnel = |key: &str| format!("tunnel.{}.{key}", tunnel.name);
    let of_child = |key: &str| match child {
        Some(child) if child.name != tunnel.name => {
            format!("tunnel.{}.child.{}.{key}", tunnel.name, child.name)
        }
        _ => of_tunnel(key),
    };
    match failure {
        Failure::NoReply { .. } | Failure::HalfOpenTimeout(_) | Failure::PeerDead(_) => {
            vec![of_tunnel("remote")]
        }
        Failure::NoConnection => vec![of_tunnel("local"), of_tunnel("remote")],
        Failure::NoAdditionalSas(Side::Ours) => vec![of_tunnel("child-limit")],
        failure if failure.is_about_ppk() => {
            ["ppk-list", "ppk-id", "ppk-required"].map(of_tunnel).into_iter().collect()
        }
        failure => match failure.topic() {
            Some(Topic::IkeAlgorithms) => vec![of_tunnel("ike-policy") + ": proposals"],
            Some(Topic::EspAlgorithms) => vec![of_child("ipsec-transform") + ": proposals"],
            Some(Topic::Selectors) => vec![of_child("local-ts"), of_child("remote-ts")],
            Some(Topic::Proof) => proof(failure, ike).iter().map(|key| of_tunnel(key)).collect(),
            None => Vec::new(),
        },
    }
}

/// How each side proves itself, and as whom.
fn proof(failure: &Failure, ike: &plan::Ike) -> Vec<&'static str> {
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
        Failure::NoCommonHash => vec![own],
        Failure::IdentityRefused(_) => vec!["remote-id"],
        Failure::NoClient(_) => vec!["client-db"],
        Failure::CertificateRefused(_) => vec![peers, "remote-id"],
        _ => vec![peers],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ravelin_ike::error::Subject;

    const FILE: &str = r#"
interface.wan = { device = "af_packet:eth1", addresses = ["192.0.2.2/24"] }
[tunnel.branch]
local = "192.0.2.2"
remote = "192.0.2.1"
psk = "correct horse"
local-ts = ["10.2.0.0/24"]
remote-ts = ["10.1.0.0/24"]
[tunnel.branch.child.voice]
local-ts = ["10.3.0.0/24"]
remote-ts = ["10.1.0.0/24"]
"#;

    /// Every key that is named is one the configuration knows, at the object it is named for.
    #[test]
    fn keys_that_are_named_exist() {
        let none = |_: &std::path::Path| Err(std::io::Error::other("no file"));
        let plan = crate::config::parse("r.toml", FILE, std::path::Path::new("/"), &none).unwrap();
        let tunnel = &plan.tunnels["branch"];
        let [first, voice] = tunnel.children.as_slice() else { panic!("{tunnel:?}") };
        for (failure, child, expected) in [
            (Failure::PskMismatch, first, vec!["tunnel.branch.psk"]),
            (Failure::AuthRefused, first, vec!["tunnel.branch.psk", "tunnel.branch.local-id"]),
            (Failure::IdentityRefused("x".into()), first, vec!["tunnel.branch.remote-id"]),
            (Failure::TsRefused, first, vec!["tunnel.branch.local-ts", "tunnel.branch.remote-ts"]),
            (
                Failure::TsUnacceptable,
                voice,
                vec!["tunnel.branch.child.voice.local-ts", "tunnel.branch.child.voice.remote-ts"],
            ),
            (
                Failure::ProposalRefused(Subject::Child),
                voice,
                vec!["tunnel.branch.child.voice.ipsec-transform: proposals"],
            ),
            (Failure::ProposalRefused(Subject::Ike), first, vec!["tunnel.branch.ike-policy: proposals"]),
            (
                Failure::PpkNotAnnounced,
                first,
                vec!["tunnel.branch.ppk-list", "tunnel.branch.ppk-id", "tunnel.branch.ppk-required"],
            ),
            (Failure::Terminated, first, vec![]),
        ] {
            assert_eq!(of(&failure, tunnel, Some(child)), expected, "{failure:?}");
        }
    }
}
