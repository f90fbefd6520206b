//! Policy entries as they are configured (TS-17): what leaves is looked at, and `lookup` says the same and names the entry.

use super::*;
use crate::api::reply::{Lookup, PolicyRow};
use crate::api::request;

const SERVER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 9);

fn with(entries: &str) -> String {
    format!("{PLAN}{entries}")
}

fn entry(name: &str, action: &str, more: &str) -> String {
    format!("[[policy]]\nname = \"{name}\"\naction = \"{action}\"\n{more}\n")
}

fn lookup(bench: &mut Bench, source: Ipv4Addr, destination: Ipv4Addr) -> Lookup {
    let asked = request::Lookup {
        source: source.into(),
        destination: destination.into(),
        protocol: "udp".into(),
        source_port: Some(7000),
        destination_port: Some(7000),
        instance: None,
    };
    match bench.core.answer(&Request::Lookup(asked)).unwrap() {
        Reply::Lookup(lookup) => *lookup,
        other => panic!("{other:?}"),
    }
}

fn drops(bench: &mut Bench, reason: &str) -> u64 {
    let name = format!("drop-{reason}");
    bench.view().counters.iter().find(|counter| counter.name == name).unwrap().value
}

fn rows(bench: &Bench) -> Vec<PolicyRow> {
    match bench.core.policy_rows() {
        Reply::Policies { instances } => {
            instances.into_iter().flat_map(|one| [one.before_tunnels, one.behind_tunnels].concat()).collect()
        }
        other => panic!("{other:?}"),
    }
}

/// A router on the public side is the way to these networks, whatever tunnels have them.
fn routed(bench: &mut Bench, networks: &[&str]) {
    for network in networks {
        let gateway = Some(if network.contains(':') { "fd00:ff::1".parse().unwrap() } else { PEER.into() });
        let hop = crate::instance::NextHop { interface: "wan".into(), gateway, weight: 1 };
        bench.tell(Event::Changed(Change::Route(crate::instance::Route {
            destination: network.parse().unwrap(),
            metric: 0,
            protocol: 186,
            action: crate::instance::RouteAction::Forward(vec![hop]),
        })));
    }
}

/// One entry each for what is let out, thrown away and not spoken of, in both directions.
#[test]
fn entries_let_out_and_throw_away_in_both_directions() {
    let entries = entry("server", "discard", "remote = [\"192.0.2.9/32\"]")
        + &entry("link", "bypass", "local = [\"10.2.0.0/24 udp/7000\"]\nremote = [\"192.0.2.0/24\"]");
    let mut bench = Bench::of(&with(&entries));
    let is_clear = |packets: &[Vec<u8>], from: Ipv4Addr, to: Ipv4Addr| {
        packets.iter().any(|packet| packet[12..16] == from.octets() && packet[16..20] == to.octets())
    };
    for (from, to, verdict, named, drop) in [
        (HOST, PEER, "forward", "link", ""),
        (PEER, HOST, "forward", "link", ""),
        (HOST, SERVER, "drop", "server", "policy-discard"),
        (SERVER, HOST, "drop", "server", "policy-discard"),
        (HOST, BEHIND, "protect", "", ""),
        (BEHIND, HOST, "forward", "", ""),
    ] {
        let found = lookup(&mut bench, from, to);
        assert_eq!((&*found.verdict, &*found.entry, &*found.drop), (verdict, named, drop), "{found:?}");
        if from == BEHIND {
            continue;
        }
        bench.left(LAN);
        bench.left(WAN);
        let before = if drop.is_empty() { 0 } else { drops(&mut bench, drop) };
        let (arrives, leaves) = if from == HOST { (LAN, WAN) } else { (WAN, LAN) };
        bench.arrive(arrives, &v4(from, to, 100, false));
        let left = bench.left(leaves);
        assert_eq!(is_clear(&left, from, to), verdict == "forward", "{from} to {to}: {left:?}");
        assert_eq!(left.iter().any(|packet| is_esp(packet)), verdict == "protect");
        if !drop.is_empty() {
            assert_eq!(drops(&mut bench, drop), before + 1);
        }
    }
    // Ports count, and from outside nothing else comes in.
    let before = drops(&mut bench, "policy-miss");
    let mut other_port = v4(PEER, HOST, 100, false);
    other_port[22..24].copy_from_slice(&9u16.to_be_bytes());
    bench.arrive(WAN, &other_port);
    assert!(bench.left(LAN).is_empty());
    assert_eq!(drops(&mut bench, "policy-miss"), before + 1);
    let text = crate::api::render::text(&bench.core.policy_rows());
    assert!(text.contains("(2 tunnels)") && text.contains("10.2.0.0/24 udp/7000"), "{text}");
}

/// The worst case: everything is bypassed, and somebody adds routes within the tunnels' networks. What is behind a tunnel
/// goes by it, is not taken in clear, and that of a tunnel that is down stays.
#[test]
fn a_more_specific_route_takes_nothing_out_of_a_tunnel() {
    let mut bench = Bench::of(&with(&entry("all", "bypass", "")));
    routed(&mut bench, &["10.1.0.0/25", "10.9.0.2/32", "fd00:1::/80", "198.51.100.0/24"]);
    let behind_called = Ipv4Addr::new(10, 9, 0, 2);
    for (packet, reason) in [
        (v4(HOST, BEHIND, 100, false), None),
        (v6(100), None),
        (v4(HOST, behind_called, 100, false), Some("no-sa")),
    ] {
        let before = reason.map(|reason| drops(&mut bench, reason));
        let (out, back) = bench.send(&packet);
        assert!(back.is_empty() && out.iter().all(|packet| is_esp(packet) || is_ike(packet)), "{out:?}");
        assert_eq!(out.iter().any(|packet| is_esp(packet)), reason.is_none());
        assert_eq!(reason.map(|reason| drops(&mut bench, reason)), before.map(|before| before + 1));
    }
    let before = drops(&mut bench, "unprotected");
    bench.arrive(WAN, &v4(BEHIND, HOST, 100, false));
    assert!(bench.left(LAN).is_empty());
    assert_eq!(drops(&mut bench, "unprotected"), before + 1);
    // What no tunnel has is let out.
    let (out, _) = bench.send(&v4(HOST, Ipv4Addr::new(198, 51, 100, 1), 100, false));
    assert_eq!(out.len(), 1);
    assert!(!is_esp(&out[0]));
    // Only an entry before the tunnels speaks of their networks, and then the route counts.
    let first = entry("first", "bypass", "before-tunnels = true\nremote = [\"10.1.0.2/32\"]");
    bench.apply(&with(&first));
    let (out, _) = bench.send(&v4(HOST, BEHIND, 100, false));
    assert!(out.len() == 1 && !is_esp(&out[0]));
    assert_eq!(lookup(&mut bench, HOST, BEHIND).entry, "first");
}

/// Entries come, change and go beside tunnels that stay as they are; what they have decided is not forgotten.
#[test]
fn entries_change_while_tunnels_stay() {
    let (a, b) = (
        entry("a", "discard", "before-tunnels = true\nremote = [\"10.1.0.2/32\"]"),
        entry("b", "bypass", ""),
    );
    let mut bench = Bench::new();
    let sas = bench.view().sas.len();
    let packet = v4(HOST, BEHIND, 100, false);
    let carries = |bench: &mut Bench| bench.send(&packet).0.iter().any(|packet| is_esp(packet));
    assert!(carries(&mut bench));
    let applied = bench.apply(&with(&(a.clone() + &b)));
    assert_eq!((applied.added, applied.untouched), (vec!["policy.a".to_owned(), "policy.b".to_owned()], 2));
    assert!(!carries(&mut bench) && !carries(&mut bench));
    let decided =
        |bench: &Bench| rows(bench).iter().map(|row| (row.name.clone(), row.decisions)).collect::<Vec<_>>();
    assert_eq!(decided(&bench), [("a".to_owned(), 2), ("b".to_owned(), 0)]);
    let applied = bench.apply(&with(&(a.clone() + &b + &entry("c", "discard", ""))));
    assert_eq!((applied.added.len(), applied.changed.len()), (1, 0));
    assert!(!carries(&mut bench));
    assert_eq!(decided(&bench)[0], ("a".to_owned(), 3), "kept by name");
    let elsewhere = a.replace("10.1.0.2", "10.1.0.3");
    let applied = bench.apply(&with(&(elsewhere + &entry("c", "discard", "") + &b)));
    assert_eq!(applied.changed, ["policy.a", "order of policy"]);
    assert!(carries(&mut bench));
    let applied = bench.apply(PLAN);
    assert_eq!((applied.removed.len(), applied.untouched), (3, 2));
    assert!(carries(&mut bench) && rows(&bench).is_empty());
    assert_eq!(bench.view().sas.len(), sas);
    assert!(
        bench.events().iter().any(|event| event.contains("policy entries added: a, b")),
        "{:?}",
        bench.events()
    );
}

/// Led into a tunnel by an entry: under its SA where a child takes it, nowhere else. A tunnel that goes leaves nothing in
/// clear.
#[test]
fn an_entry_leads_into_a_tunnel() {
    let lead = |tunnel: &str| {
        entry(
            "lead",
            "protect",
            &format!(
                "before-tunnels = true\ntunnel = \"{tunnel}\"\nremote = [\"10.1.0.0/16\", \"192.0.2.0/24\"]"
            ),
        )
    };
    let mut bench = Bench::of(&with(&lead("fixed")));
    let (out, _) = bench.send(&v4(HOST, BEHIND, 100, false));
    assert!(out.iter().any(|packet| is_esp(packet)));
    let found = lookup(&mut bench, HOST, BEHIND);
    assert_eq!((&*found.tunnel, &*found.entry), ("fixed", "lead"));
    let (out, _) = bench.send(&v4(HOST, PEER, 100, false));
    assert!(out.iter().all(|packet| is_ike(packet)), "no child takes it: {out:?}");
    let before = drops(&mut bench, "unprotected");
    bench.arrive(WAN, &v4(PEER, HOST, 100, false));
    assert!(bench.left(LAN).is_empty());
    assert_eq!(drops(&mut bench, "unprotected"), before + 1);
    bench.apply(&with(&lead("called")));
    let before = drops(&mut bench, "policy-miss");
    let (out, _) = bench.send(&v4(HOST, BEHIND, 100, false));
    assert!(out.iter().all(|packet| is_ike(packet)), "the other tunnel has no child for it: {out:?}");
    assert_eq!(drops(&mut bench, "policy-miss"), before + 1);
}

/// Between a policy with a tunnel and one without both, nothing is let out that neither lets out.
#[test]
fn in_between_nothing_is_open_that_neither_plan_opens() {
    use crate::config::diff::meanwhile;
    let policy = |entries: &str| plan(&with(entries)).policy;
    let (x, y) = (entry("x", "bypass", "remote = [\"192.0.2.0/25\"]"), entry("y", "bypass", ""));
    let (stop, rest) = (entry("stop", "discard", "remote = [\"10.7.0.0/16\"]"), entry("rest", "discard", ""));
    let between = meanwhile(&policy(&(stop.clone() + &y + &x)), &policy(&(x.clone() + &y + &rest)));
    let names: Vec<&str> = between.iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!(names, ["stop", "rest", "x", "y"]);
    let between = meanwhile(&policy(&y), &policy(&x));
    assert!(between.is_empty());
}
