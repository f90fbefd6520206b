//! A gateway and peers of the same make that call it: each gets a tunnel of its own, with routes to what it has behind
//! it, and nothing of it is left when it goes (TG-07, TG-11 to TG-13).

use super::pair::{Pair, host};
use super::*;
use crate::api::reply::{Gateway, GatewayTunnel, Kinds, Proofs, Reply, Route};
use crate::api::request::{GatewayName, Rekey};
use ravelin_ike::engine::{IkePhase, IkeSnapshot};

/// Us: a gateway for whoever has the key, and these lines.
pub(super) fn gateway(lines: &str) -> String {
    format!(
        r#"
interface.wan = {{ device = "af_packet:eth1", addresses = ["192.0.2.2/24"] }}
interface.lan = {{ device = "af_packet:eth2", addresses = ["10.2.0.1/16"] }}
workers = {{ count = 2, tunnel-limit = "8" }}
[gateway.g]
local = "192.0.2.2"
local-id = "hq.example"
psk = "correct horse"
ts-list = "all"
tunnel-template = "t"
remote-ids = ["*.example"]
{lines}
[ts-list.all]
local = ["10.2.0.0/16"]
remote = ["10.1.0.0/16"]
[tunnel-template.t]
metric = 7
preference = 3
"#
    )
}

/// A tunnel of the peer's, by name, with the identity it claims, its key and its network.
pub(super) fn caller_with(name: &str, identity: &str, psk: &str, network: &str, ours: &str) -> String {
    format!(
        r#"
[tunnel.{name}]
local = "192.0.2.1"
remote = "192.0.2.2"
local-id = "{identity}"
remote-id = "hq.example"
psk = "{psk}"
on-demand = false
local-ts = ["{network}"]
remote-ts = ["{ours}"]
"#
    )
}

/// The same with the key of all.
fn caller(name: &str, identity: &str, network: &str, ours: &str) -> String {
    caller_with(name, identity, "correct horse", network, ours)
}

fn peer(callers: &str) -> String {
    format!(
        r#"
interface.wan = {{ device = "af_packet:eth1", addresses = ["192.0.2.1/24"] }}
interface.lan = {{ device = "af_packet:eth2", addresses = ["10.1.0.1/16"] }}
{callers}
"#
    )
}

/// Callers t1, t2 and so on, each with the network of its number.
pub(super) fn callers(count: u8) -> String {
    let caller = |n| {
        let (theirs, ours) = (format!("10.1.{n}.0/24"), format!("10.2.{n}.0/24"));
        caller(&format!("t{n}"), &format!("{n}.example"), &theirs, &ours)
    };
    peer(&(1..=count).map(caller).collect::<String>())
}

fn pair(us: &str, peer: &str) -> Pair {
    Pair::joined(Bench::bare(us, 2, 64), Bench::bare(peer, 1, 64))
}

pub(super) fn call(pair: &mut Pair, name: &str) {
    let part = Part { tunnel: name.into(), child: None };
    pair.peer.core.answer(&Request::Initiate(part)).unwrap();
}

pub(super) fn hang_up(pair: &mut Pair, name: &str) {
    let part = Part { tunnel: name.into(), child: None };
    pair.peer.core.answer(&Request::Terminate(part)).unwrap();
}

/// The gateway with its tunnels.
pub(super) fn shown(pair: &mut Pair) -> (Gateway, Vec<GatewayTunnel>) {
    let name = GatewayName { gateway: Some("g".into()) };
    let Ok(Reply::Gateways { mut gateways, .. }) = pair.us.core.answer(&Request::ShowGateways(name)) else {
        unreachable!("the gateway is configured")
    };
    let gateway = gateways.remove(0);
    (gateway.clone(), gateway.tunnels)
}

/// The names of peers' tunnels that are up.
pub(super) fn up(pair: &mut Pair) -> Vec<String> {
    let tunnels = shown(pair).1.into_iter().filter(|tunnel| tunnel.state == State::Up);
    let mut names: Vec<String> = tunnels.map(|tunnel| tunnel.name).collect();
    names.sort();
    names
}

/// Tunnels that the peer has up.
pub(super) fn called(pair: &mut Pair) -> usize {
    pair.peer.view().tunnels.iter().filter(|tunnel| tunnel.state == State::Up).count()
}

/// Until these peers' tunnels are up at both ends, and no other.
pub(super) fn until_up(pair: &mut Pair, names: &[&str]) {
    pair.until(&format!("{names:?} are up"), |pair| up(pair) == names && called(pair) >= names.len());
}

fn routes(pair: &mut Pair) -> Vec<Route> {
    let Ok(Reply::Routes { routes }) = pair.us.core.answer(&Request::ShowRoutes) else { unreachable!() };
    routes
}

/// Destinations of routes, and the tunnels they lead into.
fn leads(pair: &mut Pair) -> Vec<(String, String)> {
    routes(pair).into_iter().map(|route| (route.destination, route.tunnel)).collect()
}

fn lead(destination: &str, tunnel: &str) -> (String, String) {
    (destination.into(), tunnel.into())
}

/// Nothing is left of any peer: no tunnel, route, SA, SPI, slot or word of status.
/// Configured tunnels that were there leave their homes to others of the kind.
fn assert_nobody_left(pair: &mut Pair, homes: u32) {
    pair.until("workers have let go of everything", |pair| pair.us.core.workers.in_use() == (0, homes));
    let core = &pair.us.core;
    assert!(core.roster.is_empty() && core.gateways.peers.is_empty() && core.gateways.claims.is_empty());
    assert_eq!((core.workers.sas().iter().count(), core.workers.routing().0.tunnels().count()), (0, 0));
    let numbers = (0..20).map(ravelin_ike::config::ConnectionId);
    assert_eq!(numbers.filter(|id| core.status.tunnel(*id).is_some()).count(), 0);
    let mut left = 0;
    core.workers.routing().1.for_each_route(0, |_, hop| {
        left += u32::from(matches!(hop, ravelin_dataplane::policy::route::NextHop::Tunnel(_)));
    });
    assert_eq!(left, 0, "routes into tunnels");
}

/// Four peers of one gateway, on two workers evenly: each carries its own, rekeys by either side, is explained by
/// name, and leaves nothing.
#[test]
fn peers_come_carry_and_go() {
    let mut pair = pair(&gateway(""), &callers(4));
    for n in 1..=4 {
        call(&mut pair, &format!("t{n}"));
    }
    until_up(&mut pair, &["g/1.example", "g/2.example", "g/3.example", "g/4.example"]);
    assert_eq!(pair.us.core.workers.loads(), [2, 2]);
    let expected: Vec<_> =
        (1..=4).map(|n| lead(&format!("10.1.{n}.0/24"), &format!("g/{n}.example"))).collect();
    assert_eq!(leads(&mut pair), expected);
    let route = routes(&mut pair).remove(0);
    assert_eq!((route.kind.as_str(), route.metric, route.preference), ("reverse", 7, 3));
    for network in 1..=4 {
        assert_eq!((pair.carry(network, true), pair.carry(network, false)), (1, 1), "{network}");
    }
    let tunnels = shown(&mut pair).1;
    assert!(tunnels.iter().all(|tunnel| (tunnel.in_packets, tunnel.out_packets) == (1, 1)), "{tunnels:?}");
    let explain = pair.us.explain("g/3.example");
    assert_eq!(explain.state, State::Up);
    assert_eq!(explain.rungs[0].seen, "g at 192.0.2.2");
    let before = pair.us.view().tunnels[0].clone();
    let rekey = Rekey { tunnel: "g/1.example".into(), child: None, ike: false, reauthenticate: false };
    pair.us.core.answer(&Request::Rekey(rekey.clone())).unwrap();
    let rekeys = |bench: &mut Bench| bench.view().tunnels[0].child_rekeys;
    pair.until("we rekeyed", |pair| rekeys(&mut pair.us) == 1 && rekeys(&mut pair.peer) == 1);
    pair.peer.core.answer(&Request::Rekey(Rekey { tunnel: "t1".into(), ..rekey })).unwrap();
    pair.until("the peer rekeyed", |pair| {
        let _ = pair.carry(1, false);
        pair.us.view().tunnels[0].child_rekeys == 2
    });
    assert_eq!((pair.carry(1, true), pair.us.view().tunnels[0].ike_spis.clone()), (1, before.ike_spis));
    assert_eq!(leads(&mut pair), expected);
    for n in 1..=4 {
        hang_up(&mut pair, &format!("t{n}"));
    }
    until_up(&mut pair, &[]);
    assert_nobody_left(&mut pair, 0);
    assert_eq!(pair.carry(1, true), 0, "no route is left");
}

/// A peer that proves itself anew goes on with its tunnel, whatever the gateway thinks of peers that come twice: name,
/// number, routes and homes stay, and every packet arrives.
#[test]
fn a_peer_that_proves_itself_anew_keeps_its_tunnel() {
    for unique in ["replace", "keep"] {
        let mut pair = pair(&gateway(&format!("unique = \"{unique}\"")), &callers(1));
        call(&mut pair, "t1");
        until_up(&mut pair, &["g/1.example"]);
        let (before, routes) = (pair.us.view().tunnels[0].clone(), leads(&mut pair));
        let rekey = Rekey { tunnel: "t1".into(), child: None, ike: false, reauthenticate: true };
        for round in 1..=3 {
            pair.peer.core.answer(&Request::Rekey(rekey.clone())).unwrap();
            pair.until("both have a new IKE SA alone", |pair| {
                assert_eq!((pair.carry(1, true), pair.carry(1, false)), (1, 1), "round {round}");
                let done = |bench: &mut Bench| bench.view().tunnels[0].reauthentications == round;
                let open = |ike: &&IkeSnapshot| ike.phase != IkePhase::Closing;
                let left = pair.us.core.engine.snapshot().iter().filter(open).count();
                done(&mut pair.us) && done(&mut pair.peer) && left == 1
            });
        }
        let after = pair.us.view().tunnels[0].clone();
        assert_ne!(after.ike_spis, before.ike_spis);
        assert_eq!((after.name, after.ups, leads(&mut pair)), (before.name, 1, routes));
        assert!(pair.us.events().iter().any(|event| event.starts_with("ike-down: RV-END-010")));
        let refused = Rekey { tunnel: "g/1.example".into(), ..rekey };
        assert!(pair.us.core.answer(&Request::Rekey(refused)).is_err(), "the peer called");
        hang_up(&mut pair, "t1");
        until_up(&mut pair, &[]);
        assert_nobody_left(&mut pair, 0);
    }
}

/// A worker of eight takes eight; the ninth is refused by name until there is room (TG-07).
#[test]
fn the_tunnel_limit_holds() {
    let text = gateway("").replace("count = 2, ", "");
    let mut pair = Pair::joined(Bench::bare(&text, 1, 64), Bench::bare(&callers(9), 1, 64));
    for n in 1..=8 {
        call(&mut pair, &format!("t{n}"));
    }
    let names: Vec<String> = (1..=8).map(|n| format!("g/{n}.example")).collect();
    until_up(&mut pair, &names.iter().map(String::as_str).collect::<Vec<_>>());
    call(&mut pair, "t9");
    pair.until("the ninth is refused", |pair| pair.has_event("attempt-failed: RV-GATE-001"));
    let told = pair.us.events().into_iter().find(|event| event.starts_with("attempt-failed")).unwrap();
    assert!(told.contains("8 tunnels are there, and 8 may be: raise tunnel-limit"), "{told}");
    assert_eq!(up(&mut pair).len(), 8);
    hang_up(&mut pair, "t4");
    pair.until("there is room", |pair| up(pair).len() == 7);
    call(&mut pair, "t9");
    pair.until("the ninth is up", |pair| up(pair).contains(&"g/9.example".to_owned()) && called(pair) == 8);
    for n in [1, 2, 3, 5, 6, 7, 8, 9] {
        hang_up(&mut pair, &format!("t{n}"));
    }
    until_up(&mut pair, &[]);
    assert_nobody_left(&mut pair, 0);
}

/// What is behind one peer is behind no other: the second is told TS_UNACCEPTABLE and why is noted, until the first has
/// gone. Neither is what a configured tunnel has (TG-13).
#[test]
fn networks_of_another_are_refused() {
    let fixed = r#"
[tunnel.fixed]
local = "192.0.2.2"
remote = "192.0.2.9"
psk = "correct horse"
on-demand = false
local-ts = ["10.2.0.0/16"]
remote-ts = ["10.1.64.0/18"]
"#;
    let callers = caller("t1", "1.example", "10.1.1.0/24", "10.2.1.0/24")
        + &caller("t2", "2.example", "10.1.1.128/25", "10.2.2.0/24")
        + &caller("t3", "3.example", "10.1.70.0/24", "10.2.3.0/24");
    let mut pair = pair(&(gateway("") + fixed), &peer(&callers));
    call(&mut pair, "t1");
    until_up(&mut pair, &["g/1.example"]);
    for (name, text) in [
        ("t2", "10.1.1.128/25 meets 10.1.1.0/24, which is of tunnel g/1.example"),
        ("t3", "10.1.70.0/24 meets 10.1.64.0/18, which is of tunnel fixed"),
    ] {
        call(&mut pair, name);
        pair.until("it is refused", |pair| pair.us.events().iter().any(|event| event.contains(text)));
        let events = pair.us.events();
        let told = events.iter().find(|event| event.contains(text)).unwrap();
        assert!(told.starts_with("child-failed: ") && told.contains("RV-CHILD-011"), "{told}");
        let reason = |pair: &mut Pair| {
            let tunnels = pair.peer.view().tunnels.to_vec();
            tunnels.into_iter().find(|tunnel| tunnel.name == name).unwrap().reason_code
        };
        pair.until("the peer knows", |pair| reason(pair) == "RV-CHILD-002");
    }
    assert_eq!(leads(&mut pair), [lead("10.1.1.0/24", "g/1.example"), lead("10.1.64.0/18", "fixed")]);
    hang_up(&mut pair, "t1");
    pair.until("it is gone", |pair| leads(pair).len() == 1);
    call(&mut pair, "t2");
    pair.until("it has what it asked for", |pair| {
        leads(pair).contains(&lead("10.1.1.128/25", "g/2.example"))
    });
    assert_eq!(
        pair.carry_packet(&v4(host(2, 2), Ipv4Addr::new(10, 1, 1, 130), 100, false), true),
        0,
        "nobody lives there"
    );
    assert!(shown(&mut pair).1.iter().any(|tunnel| tunnel.out_packets == 1));
}

/// One identity that calls again takes its own place; where both stay, each has a name (RFC 7296 §2.4).
#[test]
fn one_identity_that_calls_again() {
    let both = caller("t1", "1.example", "10.1.1.0/24", "10.2.1.0/24")
        + &caller("t2", "1.example", "10.1.2.0/24", "10.2.2.0/24");
    let mut replaces = pair(&gateway(""), &peer(&both));
    call(&mut replaces, "t1");
    until_up(&mut replaces, &["g/1.example"]);
    call(&mut replaces, "t2");
    replaces.until("the second has its place", |pair| leads(pair) == [lead("10.1.2.0/24", "g/1.example")]);
    assert!(replaces.has_event("ike-down: RV-END-006"), "{:?}", replaces.us.events());
    assert_eq!((up(&mut replaces).len(), replaces.us.core.roster.len()), (1, 1));
    let mut never = pair(&gateway("unique = \"never\""), &peer(&both));
    call(&mut never, "t1");
    until_up(&mut never, &["g/1.example"]);
    call(&mut never, "t2");
    until_up(&mut never, &["g/1.example", "g/1.example#2"]);
    assert_eq!(leads(&mut never), [lead("10.1.1.0/24", "g/1.example"), lead("10.1.2.0/24", "g/1.example#2")]);
}

/// A configured tunnel takes its own peer; strangers to every pattern are refused.
#[test]
fn configured_tunnels_win_and_strangers_stay_out() {
    let fixed = r#"
[tunnel.fixed]
local = "192.0.2.2"
remote = "192.0.2.1"
local-id = "hq.example"
remote-id = "1.example"
psk = "correct horse"
on-demand = false
local-ts = ["10.2.1.0/24"]
remote-ts = ["10.1.1.0/24"]
"#;
    let stranger = caller("t3", "3.elsewhere", "10.1.3.0/24", "10.2.3.0/24");
    let mut pair = pair(&(gateway("") + fixed), &(callers(2) + &stranger));
    call(&mut pair, "t1");
    call(&mut pair, "t2");
    until_up(&mut pair, &["g/2.example"]);
    pair.until("the configured one too", |pair| {
        let tunnels = pair.us.view().tunnels.to_vec();
        tunnels.iter().any(|tunnel| tunnel.name == "fixed" && tunnel.state == State::Up)
    });
    call(&mut pair, "t3");
    pair.until("the stranger is refused", |pair| {
        pair.us.events().iter().any(|event| event.contains("RV-AUTH-004"))
    });
    assert_eq!((shown(&mut pair).1.len(), pair.us.core.roster.len()), (1, 2));
    // Asked of the gateway or of the address: who it said it is, and what to look at.
    let explain = |pair: &Pair, name: &str| pair.us.core.explain(&TunnelName { tunnel: name.into() });
    let Ok(Reply::Callers(callers)) = explain(&pair, "g") else { panic!("{:?}", explain(&pair, "g")) };
    let [attempt] = callers.attempts.as_slice() else { panic!("{callers:?}") };
    assert_eq!((attempt.code.as_str(), attempt.gateway.as_str()), ("RV-AUTH-004", "g"));
    assert_eq!(attempt.keys, ["gateway.g.remote-ids"]);
    assert!(attempt.offered.contains("3.elsewhere"), "{attempt:?}");
    assert!(attempt.misses.iter().any(|miss| miss.contains("*.example")), "{attempt:?}");
    assert_eq!((callers.open, callers.count), (true, 1));
    // One was let in by the key, and one had it and the wrong name.
    let (gateway, once) = (shown(&mut pair).0, Kinds { psk: 1, ..Kinds::default() });
    assert_eq!((gateway.failed_attempts, gateway.proofs), (1, Proofs { held: once, refused: once }));
    let address = PEER.to_string();
    let Ok(Reply::Strangers(known)) = explain(&pair, &address) else {
        panic!("{:?}", explain(&pair, &address))
    };
    assert_eq!(known.tunnels, ["fixed", "g/2.example"]);
    let [attempt] = known.attempts.as_slice() else { panic!("{known:?}") };
    assert_eq!((attempt.code.as_str(), attempt.gateway.as_str()), ("RV-AUTH-004", "g"));
}

/// Who has gone is not called: a packet for what was behind it finds no route, and one for a tunnel whose CHILD SA the
/// peer has closed neither.
#[test]
fn a_gateway_never_calls() {
    let mut pair = pair(&gateway(""), &callers(1));
    call(&mut pair, "t1");
    until_up(&mut pair, &["g/1.example"]);
    let part = Part { tunnel: "t1".into(), child: Some("t1".into()) };
    pair.peer.core.answer(&Request::Terminate(part)).unwrap();
    pair.until("its only child is closed", |pair| routes(pair).is_empty());
    assert_eq!(shown(&mut pair).1.len(), 1, "the IKE SA stays");
    pair.exchange();
    let (wan, _) = pair.us.send(&v4(host(2, 1), host(1, 1), 100, false));
    assert!(wan.is_empty(), "something left: {wan:?}");
    assert!(
        pair.us.core.answer(&Request::Initiate(Part { tunnel: "g/1.example".into(), child: None })).is_err()
    );
    pair.pass(20, |_| {});
    assert_eq!(pair.us.core.workers.in_use(), (0, 0), "no SA, no slot");
    call(&mut pair, "t1");
    until_up(&mut pair, &["g/1.example"]);
    assert_eq!(pair.carry(1, true), 1);
}

/// Another template is for new tunnels (TG-12), another ts-list for those that are there from their next rekey on
/// (TS-09), a configured tunnel takes what it names; a gateway that is turned off or removed closes its tunnels.
#[test]
fn another_configuration_while_peers_are_there() {
    let text = gateway("");
    let mut pair = pair(&text, &callers(2));
    call(&mut pair, "t1");
    until_up(&mut pair, &["g/1.example"]);
    let other = text.replace("metric = 7", "metric = 9");
    assert_eq!(pair.us.apply(&other).changed, ["gateway.g"]);
    call(&mut pair, "t2");
    until_up(&mut pair, &["g/1.example", "g/2.example"]);
    let metrics: Vec<u16> = routes(&mut pair).iter().map(|route| route.metric).collect();
    assert_eq!(metrics, [7, 9]);

    let narrower = other.replace("[\"10.1.0.0/16\"]", "[\"10.1.2.0/24\"]");
    pair.us.apply(&narrower);
    assert_eq!((pair.carry(1, true), pair.carry(2, true)), (1, 1), "what is up stays");
    let rekey = |name: &str| Rekey { tunnel: name.into(), child: None, ike: false, reauthenticate: false };
    pair.peer.core.answer(&Request::Rekey(rekey("t1"))).unwrap();
    pair.until("its rekey is refused", |pair| {
        pair.has_event("child-failed") || pair.has_event("child-rekey-failed")
    });
    pair.peer.core.answer(&Request::Rekey(rekey("t2"))).unwrap();
    pair.until("the other's is not", |pair| {
        pair.us.events().iter().any(|event| event.starts_with("child-rekeyed"))
    });

    let fixed = r#"
[tunnel.fixed]
local = "192.0.2.2"
remote = "192.0.2.9"
psk = "correct horse"
on-demand = false
local-ts = ["10.2.0.0/16"]
remote-ts = ["10.1.1.0/24"]
"#;
    assert_eq!(pair.us.apply(&(narrower.clone() + fixed)).added, ["fixed"]);
    pair.until("who had it gives way", |pair| shown(pair).1.len() == 1);
    assert_eq!(leads(&mut pair), [lead("10.1.1.0/24", "fixed"), lead("10.1.2.0/24", "g/2.example")]);
    pair.us.apply(&narrower);

    let off = narrower.replace("[gateway.g]", "[gateway.g]\nenabled = false");
    pair.us.apply(&off);
    pair.until("nobody is left", |pair| shown(pair).1.is_empty());
    let (gateway, _) = shown(&mut pair);
    assert_eq!((gateway.open, gateway.flags), (false, vec!["admin-down".to_owned()]));
    assert_nobody_left(&mut pair, 1);
    pair.until("the peer knows", |pair| called(pair) == 0);
    call(&mut pair, "t2");
    pair.until("nobody is let in", |pair| pair.us.events().iter().any(|event| event.contains("RV-INIT-001")));

    pair.us.apply(&narrower);
    // It waits for a better answer than one that anybody could have sent (RFC 7296 §2.21.1).
    pair.peer.pass(50);
    call(&mut pair, "t2");
    until_up(&mut pair, &["g/2.example"]);
    let without = "interface.wan = { device = \"af_packet:eth1\", addresses = [\"192.0.2.2/24\"] }\n\
                   interface.lan = { device = \"af_packet:eth2\", addresses = [\"10.2.0.1/16\"] }\n\
                   workers = { count = 2, tunnel-limit = \"8\" }\n";
    assert_eq!(pair.us.apply(without).removed, ["gateway.g"]);
    pair.until("its tunnel is closed", |pair| pair.us.core.roster.is_empty());
    assert!(pair.us.core.answer(&Request::ShowGateways(GatewayName { gateway: Some("g".into()) })).is_err());
    assert_nobody_left(&mut pair, 1);
}

/// The tunnels of a worker that stands still go to the other and are negotiated anew, as configured ones do.
#[test]
fn peers_of_a_stalled_worker_move() {
    let mut pair = pair(&gateway(""), &callers(2));
    call(&mut pair, "t1");
    call(&mut pair, "t2");
    until_up(&mut pair, &["g/1.example", "g/2.example"]);
    assert_eq!(pair.us.core.workers.loads(), [1, 1]);
    pair.us.still = vec![1];
    pair.pass(12, |_| {});
    pair.until("both are with the other", |pair| pair.has_event("tunnel-arrived"));
    assert_eq!(pair.us.core.workers.loads(), [2, 0]);
    assert_eq!((pair.carry(1, true), pair.carry(2, true)), (1, 1));
    assert_eq!((pair.carry(1, false), pair.carry(2, false)), (1, 1));
}

/// Callers of a gateway are sent to another one: at once, once they have proven themselves, or while they are up; none
/// of them has a tunnel here then (RFC 5685).
#[test]
fn callers_of_a_gateway_are_sent_elsewhere() {
    let caller = callers(1).replace("on-demand = false", "on-demand = false\nredirect = \"accept\"");
    for stage in ["init", "auth"] {
        let keys = format!("redirect-callers-to = \"192.0.2.9\"\nredirect-callers-at = \"{stage}\"");
        let mut pair = pair(&gateway(&keys), &caller);
        call(&mut pair, "t1");
        pair.until("the caller goes elsewhere", |pair| {
            pair.peer
                .events()
                .iter()
                .any(|event| event.starts_with("redirected") || event.contains("192.0.2.9"))
        });
        let redirected = pair.us.core.engine.counters().init_redirected;
        assert_eq!(redirected, u64::from(stage == "init"));
        pair.until("nothing of it is left", |pair| pair.us.core.roster.is_empty());
    }
    let mut pair = pair(&gateway(""), &caller);
    call(&mut pair, "t1");
    until_up(&mut pair, &["g/1.example"]);
    let to =
        |to: &str| Request::Redirect(crate::api::request::Redirect { tunnel: "g".into(), to: to.into() });
    assert!(pair.us.core.answer(&to("192.0.2.2")).is_err(), "to ourselves");
    assert!(pair.us.core.answer(&to("192.0.2.400")).is_err(), "neither an address nor a name");
    assert!(pair.us.core.answer(&to("192.0.2.9")).is_ok());
    pair.until("the caller goes elsewhere", |pair| pair.us.core.roster.is_empty());
    assert!(pair.us.core.answer(&to("gw2.example")).is_err(), "nobody is there");
}
