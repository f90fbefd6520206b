//! What is accepted and contradicts itself: times of a tunnel or gateway that do not go together (IKE-53), IKE messages
//! that give way to data (IKE-50), tunnels that are to call and may not (TG-08). Told as warnings, for an operator may
//! have reasons.

use std::time::Duration;

use toml::Spanned;

use super::plan::{IkePolicy, IpsecTransform, Keying, Plan};
use super::raw;
use super::resolve::Judge;
use crate::tunnel::connection::{TIME_TO_REKEY, soft};

/// IKE-53: lifetimes of the end that has the shorter ones, and how many of a CHILD SA an IKE SA is to outlive.
const IKE_LIFETIME: Duration = Duration::from_secs(86_400);
const CHILD_LIFETIME: Duration = Duration::from_secs(3600);
const CHILDREN_OUTLIVED: u32 = 3;
/// DSCP CS6.
const NETWORK_CONTROL: u8 = 48;

/// The times of one object, which stands at this place. What many tunnels share is told once.
pub fn times<'t>(
    judge: &mut Judge<'_>,
    (object, at): (&str, usize),
    policy: &IkePolicy,
    transforms: impl Iterator<Item = &'t IpsecTransform>,
) {
    let mut children: Vec<&IpsecTransform> = transforms.collect();
    children.sort_by_key(|transform| (transform.lifetime, transform.soft.percent));
    children.dedup_by_key(|transform| (transform.lifetime, transform.soft));
    let mut told = of_ike(policy);
    told.extend(children.into_iter().flat_map(|child| of_child(policy, child)));
    told.into_iter().for_each(|(found, expected)| judge.warn_once(at, object, found, expected));
}

type Told = (String, String);

fn of_ike(policy: &IkePolicy) -> Vec<Told> {
    let life = policy.lifetime;
    let short = (life < IKE_LIFETIME).then(|| too_short("IKE SA", life, IKE_LIFETIME));
    short
        .into_iter()
        .chain(margin("IKE SA", life, policy.soft.percent))
        .chain(silence("IKE SA", life, policy))
        .collect()
}

fn of_child(policy: &IkePolicy, child: &IpsecTransform) -> Vec<Told> {
    let (life, ike) = (child.lifetime, policy.lifetime.as_secs());
    let mut told = Vec::new();
    if life < CHILD_LIFETIME {
        told.push(too_short("CHILD SA", life, CHILD_LIFETIME));
    }
    if policy.lifetime < life * CHILDREN_OUTLIVED {
        let found = format!("the IKE SA lives {ike} s and its CHILD SA {} s", life.as_secs());
        told.push((found, format!("an IKE SA that lives {CHILDREN_OUTLIVED} times as long or more")));
    }
    told.extend(margin("CHILD SA", life, child.soft.percent));
    told.extend(silence("CHILD SA", life, policy));
    told
}

fn too_short(what: &str, life: Duration, least: Duration) -> Told {
    let found = format!("the {what} lives {} s", life.as_secs());
    (
        found,
        format!(
            "{} s or more at the end with the shorter lifetimes, twice that at the other",
            least.as_secs()
        ),
    )
}

/// A rekey that the peer puts off, or whose messages are lost, takes a while (RFC 7296 §2.1, §2.25).
fn margin(what: &str, life: Duration, percent: u8) -> Option<Told> {
    let margin = life - soft(life, percent);
    let found =
        || format!("a {what} of {} s is rekeyed {} ms before its end", life.as_secs(), margin.as_millis());
    let expected = || format!("a lifetime that leaves {} s", TIME_TO_REKEY.as_secs());
    (margin < TIME_TO_REKEY).then(|| (found(), expected()))
}

/// A peer that is dead is to be found out before its SAs are replaced anyway.
fn silence(what: &str, life: Duration, policy: &IkePolicy) -> Option<Told> {
    let probes = policy.dead_peer?;
    let found_after = probes.interval + probes.retry_interval * probes.retries;
    let found = || {
        format!(
            "a dead peer is found after {} s, and a {what} lives {} s",
            found_after.as_secs(),
            life.as_secs()
        )
    };
    (found_after >= life)
        .then(|| (found(), "a shorter dpd-interval, fewer dpd-retries or longer lifetimes".into()))
}

/// What no object sees by itself.
pub fn whole(judge: &mut Judge<'_>, raw: &raw::File, plan: &Plan) {
    if let Some(dscp) = raw.ike.dscp.as_ref().filter(|_| plan.ike_dscp < NETWORK_CONTROL) {
        let found = format!("dscp = {}: IKE messages give way to others on the path", plan.ike_dscp);
        judge.warn(dscp.span().start, "ike", found, "48 (CS6) or more");
    }
    for (name, tunnel) in &plan.tunnels {
        let calls = matches!(&tunnel.keying, Keying::Ike(ike) if ike.auto_establish);
        if calls && plan.only_responds(&tunnel.group) {
            let at = raw.tunnel.get(name).map_or(0, |tunnel: &Spanned<raw::Tunnel>| tunnel.span().start);
            let found = format!(
                "auto-establish, and tunnel-group {:?} is responder-only: it is not called",
                tunnel.group
            );
            judge.warn(at, &format!("tunnel.{name}"), found, "the one or the other");
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::ground::{one_tunnel, read};

    fn warnings(ike: &str, group: &str, policy: &str, transform: &str) -> Vec<String> {
        let more = "tunnel-group = \"g\"\nauto-establish = true\n\
            [tunnel-group.g]\nmode = \"single-active\"\nprimary = 0\n";
        let plan = read(&one_tunnel(ike, policy, transform, &format!("{more}{group}"))).unwrap();
        plan.warnings.iter().map(ToString::to_string).collect()
    }

    /// The defaults go together; each contradiction is told, with its numbers and by the object that has it.
    #[test]
    fn contradictions_are_told() {
        assert_eq!(warnings("", "", "", ""), Vec::<String>::new());
        for (ike, group, policy, transform, expected) in [
            ("dscp = 10", "", "", "", "ike: dscp = 10: IKE messages give way"),
            (
                "",
                "responder-only = true",
                "",
                "",
                "tunnel.net: auto-establish, and tunnel-group \"g\" is responder-only",
            ),
            ("", "", "", "lifetime = 600", "the CHILD SA lives 600 s; expected 3600 s or more"),
            ("", "", "lifetime = 43200", "", "the IKE SA lives 43200 s; expected 86400 s or more"),
            (
                "",
                "",
                "",
                "lifetime = 43200",
                "the IKE SA lives 86400 s and its CHILD SA 43200 s; expected an IKE SA that lives 3 times",
            ),
            (
                "",
                "",
                "",
                "lifetime = 40",
                "a CHILD SA of 40 s is rekeyed 20000 ms before its end; expected a lifetime that leaves 30 s",
            ),
            (
                "",
                "",
                "dpd-interval = 300\ndpd-retries = 10",
                "lifetime = 400",
                "a dead peer is found after 400 s, and a CHILD SA lives 400 s",
            ),
        ] {
            let told = warnings(ike, group, policy, transform);
            assert!(
                told.iter().any(|warning| warning.contains(expected)),
                "wanted {expected:?}, got {told:?}"
            );
        }
        // Tunnels that share what is wrong share the word of it.
        let second = "lifetime = 600\n[tunnel.branch]\nlocal = \"192.0.2.2\"\nremote = \"192.0.2.7\"\npsk = \"correct horse\"\n\
            ike-policy = \"p\"\nipsec-transform = \"t\"\nlocal-ts = [\"10.2.0.0/24\"]\nremote-ts = [\"10.7.0.0/24\"]";
        let told = warnings("", "", "", second);
        assert_eq!(
            told.iter().filter(|warning| warning.contains("lives 600 s; expected 3600 s")).count(),
            1,
            "{told:?}"
        );
        // Who does not ask whether the peer lives finds nothing out too late.
        let told =
            warnings("", "", "dpd = \"reply-only\"\ndpd-interval = 300\ndpd-retries = 10", "lifetime = 400");
        assert!(told.iter().all(|warning| !warning.contains("dead peer")), "{told:?}");
    }
}
