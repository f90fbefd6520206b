//! A second proof by a key (RFC 4739), of one side or of both: `second-auth` of a tunnel.

use toml::Spanned;

use super::raw::{self, Text};
use super::resolve::Judge;
use super::{material, plan, value};

/// Judges it. Whoever has an identity in it proves itself a second time, and there has to be one. RFC 8784 does not say
/// in which of two proofs a post-quantum preshared key is named: the two do not go together.
pub fn second_auth(
    judge: &mut Judge<'_>,
    tunnel: &str,
    raw: Option<&Spanned<raw::SecondAuth>>,
    has_ppk: bool,
) -> Option<plan::SecondAuthentication> {
    let (raw, at) = (raw?.get_ref(), raw?.span().start);
    let object = format!("{tunnel}.second-auth");
    if has_ppk {
        judge.refuse(at, &object, "does not go with ppk-list".into(), "one or the other");
    }
    let (text, file) = (("psk", raw.psk.as_ref()), ("psk-file", raw.psk_file.as_ref()));
    let psk = material::shared_key(judge, (&object, at), text, file)?;
    let mut identity = |key, text: &Option<Text>| {
        text.as_ref().and_then(|text| judge.value(&object, key, text, value::identity))
    };
    let local_id = identity("local-id", &raw.local_id);
    let remote_id = identity("remote-id", &raw.remote_id);
    if raw.local_id.is_none() && raw.remote_id.is_none() {
        judge.refuse(at, &object, "proves nobody".into(), "local-id, remote-id or both in it");
    }
    if psk.is_none() {
        judge.refuse(at, &object, "has no key".into(), "psk or psk-file in it");
    }
    Some(plan::SecondAuthentication { local_id, remote_id, psk: psk? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ground::{BRANCH, read};

    fn second(lines: &str) -> Result<Option<plan::SecondAuthentication>, String> {
        let plan = read(&format!("{BRANCH}{lines}")).map_err(|refused| format!("{refused:?}"))?;
        match &plan.tunnels["branch"].keying {
            plan::Keying::Ike(ike) => Ok(ike.second.clone()),
            plan::Keying::Manual(_) => Err("keys by hand".into()),
        }
    }

    /// Whoever has an identity in it proves itself, one side or both.
    #[test]
    fn who_has_an_identity_proves_it() {
        let who = |lines: &str| {
            let second =
                second(&format!("[tunnel.branch.second-auth]\npsk = \"second\"\n{lines}")).unwrap().unwrap();
            [second.local_id.is_some(), second.remote_id.is_some()]
        };
        let (ours, peers) = ("local-id = \"admin.example\"\n", "remote-id = \"user.example\"\n");
        assert_eq!(
            [who(ours), who(peers), who(&format!("{ours}{peers}"))],
            [[true, false], [false, true], [true, true]]
        );
        assert_eq!(second(""), Ok(None));
    }

    /// Half of it would let in who proves less than was meant.
    #[test]
    fn half_of_it_is_refused() {
        let ppk = "ppk-list = \"p\"\nsecond-auth = { psk = \"x\", local-id = \"a.example\" }\n[ppk-list.p.one]\nvalue = \"hunter2\"\n";
        for (lines, expected) in [
            ("second-auth = { psk = \"x\" }\n", "proves nobody"),
            ("second-auth = { local-id = \"a.example\" }\n", "has no key"),
            ("second-auth = { psk = \"x\", local-id = \"\" }\n", "local-id"),
            (
                "second-auth = { psk = \"x\", psk-file = \"y\", local-id = \"a.example\" }\n",
                "has both psk and psk-file",
            ),
            ("second-auth = { psk = \"x\", trust = \"y\" }\n", "trust"),
            (ppk, "does not go with ppk-list"),
        ] {
            let refused = second(lines).unwrap_err();
            assert!(refused.contains(expected), "{lines}: {refused}");
        }
    }
}
