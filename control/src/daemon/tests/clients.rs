//! A gateway whose peers are clients by name: each has a key, an instance and networks of its own; who is none is
//! refused; and what becomes of both when the clients change (TS-11 to TS-16).

use super::gateways::{call, caller_with as caller, gateway, hang_up, shown, until_up, up};
use super::pair::{Pair, host};
use super::*;
use crate::api::reply::{GatewayTunnel, Matched, Reply, Route};
use crate::api::request::{ClientDbName, MatchClient, Rekey};

/// Client a is in the default instance, as its gateway has it; client b in another, with networks and a template of its
/// own.
const CLIENTS: &str = r#"
[instance.blue]
namespace = "blue"
[tunnel-template.b]
metric = 9
[ts-list.b]
local = ["10.2.0.0/16"]
remote = ["10.1.1.0/24"]
[client-db.branches]
fallback = false
"#;
const A: &str = r#"
[[client-db.branches.client]]
name = "a"
remote-ids = ["a.example"]
psk = "key of a"
"#;
const B: &str = r#"
[[client-db.branches.client]]
name = "b"
remote = ["192.0.2.0/24"]
remote-ids = ["*.b.example"]
psk = "key of b"
private-instance = "blue"
tunnel-template = "b"
ts-list = "b"
"#;

fn us(clients: &str) -> String {
    gateway("client-db = \"branches\"") + CLIENTS + clients
}

/// Both have the same network behind them, and one a key that is not its own.
fn peer() -> String {
    "interface.wan = { device = \"af_packet:eth1\", addresses = [\"192.0.2.1/24\"] }\n\
     interface.lan = { device = \"af_packet:eth2\", addresses = [\"10.1.0.1/16\"] }\n"
        .to_owned()
        + &caller("a", "a.example", "key of a", "10.1.1.0/24", "10.2.1.0/24")
        + &caller("b", "1.b.example", "key of b", "10.1.0.0/16", "10.2.2.0/24")
        + &caller("c", "c.example", "correct horse", "10.1.3.0/24", "10.2.3.0/24")
        + &caller("thief", "a.example", "key of b", "10.1.4.0/24", "10.2.4.0/24")
}

fn pair() -> Pair {
    Pair::joined(Bench::bare(&us(&format!("{A}{B}")), 2, 64), Bench::bare(&peer(), 1, 64))
}

fn routes(pair: &mut Pair) -> Vec<(String, String, String, u16)> {
    let Ok(Reply::Routes { routes }) = pair.us.core.answer(&Request::ShowRoutes) else { unreachable!() };
    let told = |Route { instance, destination, tunnel, metric, .. }| (instance, destination, tunnel, metric);
    routes.into_iter().map(told).collect()
}

fn route(instance: &str, destination: &str, tunnel: &str, metric: u16) -> (String, String, String, u16) {
    (instance.into(), destination.into(), tunnel.into(), metric)
}

fn tunnel_of(pair: &mut Pair, client: &str) -> GatewayTunnel {
    shown(pair).1.into_iter().find(|tunnel| tunnel.client == client).unwrap()
}

fn until_told(pair: &mut Pair, text: &str) {
    pair.until(text, |pair| pair.us.events().iter().any(|event| event.contains(text)));
}

/// Two clients with the same network behind them are up side by side, each in its instance; packets of one are not of
/// the other; who is no client, or has another's key, is refused by name.
#[test]
fn clients_live_in_instances_of_their_own() {
    let mut pair = pair();
    call(&mut pair, "a");
    call(&mut pair, "b");
    until_up(&mut pair, &["g/1.b.example", "g/a.example"]);
    let mut expected =
        [route("default", "10.1.1.0/24", "g/a.example", 7), route("blue", "10.1.1.0/24", "g/1.b.example", 9)];
    let mut found = routes(&mut pair);
    expected.sort();
    found.sort();
    assert_eq!(found, expected, "b asked for 10.1.0.0/16, and has what its own list allows");
    assert_eq!(tunnel_of(&mut pair, "a").private_instance, "default");
    assert_eq!(tunnel_of(&mut pair, "b").private_instance, "blue");
    assert_eq!((pair.carry(1, true), pair.carry(1, false)), (1, 1));
    let of_b = v4(host(1, 1), host(2, 2), 100, false);
    assert_eq!(
        pair.carry_packet(&of_b, false),
        0,
        "nothing of the blue instance comes out in the default one"
    );
    let counts = |tunnel: GatewayTunnel| (tunnel.in_packets, tunnel.out_packets);
    assert_eq!((counts(tunnel_of(&mut pair, "a")), counts(tunnel_of(&mut pair, "b"))), ((1, 1), (1, 0)));
    assert_eq!(pair.us.explain("g/a.example").rungs[0].seen, "g at 192.0.2.2, as client a");
    until_told(&mut pair, "by gateway g, as client a");
    call(&mut pair, "c");
    until_told(&mut pair, "RV-AUTH-018");
    until_told(&mut pair, "take address 192.0.2.1, and not for identity c.example (client-db branches)");
    call(&mut pair, "thief");
    until_told(&mut pair, "RV-AUTH-002");
    until_told(&mut pair, "; it is client a");
    assert_eq!(up(&mut pair), ["g/1.b.example", "g/a.example"], "nobody lost its place by that");
    for name in ["a", "b"] {
        hang_up(&mut pair, name);
    }
    until_up(&mut pair, &[]);
    assert_eq!((routes(&mut pair), pair.us.core.gateways.peers.is_empty()), (vec![], true));
}

/// Who is in stays in, whatever becomes of its client, rekeys included; what is new counts when it comes again (TS-16).
#[test]
fn clients_that_change_are_met_anew() {
    let mut pair = pair();
    call(&mut pair, "a");
    call(&mut pair, "b");
    until_up(&mut pair, &["g/1.b.example", "g/a.example"]);
    let other = us(&A.replace("key of a", "another key"));
    assert_eq!(pair.us.apply(&other).changed, ["gateway.g", "client-db.branches"]);
    assert_eq!((pair.carry(1, true), up(&mut pair).len()), (1, 2));
    for (name, rekeyed) in [("a", 1), ("b", 2)] {
        let rekey = Rekey { tunnel: name.into(), child: None, ike: false, reauthenticate: false };
        pair.peer.core.answer(&Request::Rekey(rekey)).unwrap();
        let count =
            |pair: &Pair| pair.us.events().iter().filter(|event| event.starts_with("child-rekeyed")).count();
        pair.until("it rekeys", |pair| count(pair) == rekeyed);
    }
    hang_up(&mut pair, "a");
    hang_up(&mut pair, "b");
    until_up(&mut pair, &[]);
    call(&mut pair, "a");
    until_told(&mut pair, "RV-AUTH-002");
    call(&mut pair, "b");
    until_told(&mut pair, "RV-AUTH-018");
    // A tunnel that has not heard yet of its refusal still calls.
    let refused =
        |pair: &Pair| pair.peer.events().iter().filter(|event| event.starts_with("attempt-failed")).count();
    pair.until("both callers hear of it", |pair| refused(pair) == 2);
    pair.us.apply(&us(&format!("{A}{B}")));
    call(&mut pair, "a");
    call(&mut pair, "b");
    until_up(&mut pair, &["g/1.b.example", "g/a.example"]);
}

/// Clients are shown in their order with their tunnels, and a peer that might call is told who it would be.
#[test]
fn operators_see_who_a_peer_would_be() {
    let mut pair = pair();
    call(&mut pair, "b");
    until_up(&mut pair, &["g/1.b.example"]);
    let asked = ClientDbName { client_db: Some("branches".into()), page: None };
    let Ok(Reply::ClientDbs { databases, clients, next: None }) =
        pair.us.core.answer(&Request::ShowClientDb(asked))
    else {
        unreachable!("it is configured")
    };
    assert_eq!((databases[0].count, databases[0].gateways.as_slice()), (2, &["g".to_owned()][..]));
    let told: Vec<_> = clients.iter().map(|one| (one.number, one.name.as_str(), one.tunnels)).collect();
    assert_eq!(told, [(1, "a", 0), (2, "b", 1)]);
    assert_eq!((clients[1].remote_ids[0].as_str(), clients[1].psk), ("*.b.example", true));
    let mut who = |address: &str, identity: Option<&str>| -> Matched {
        let (address, identity) = (address.parse().unwrap(), identity.map(str::to_owned));
        let asked = MatchClient { client_db: "branches".into(), address, identity };
        match pair.us.core.answer(&Request::MatchClient(asked)) {
            Ok(Reply::ClientMatch(matched)) => matched,
            other => unreachable!("{other:?}"),
        }
    };
    let b = who("192.0.2.77", Some("2.b.example"));
    assert_eq!((b.outcome.as_str(), b.client.map(|client| client.number)), ("client", Some(2)));
    let far = who("198.51.100.1", Some("2.b.example"));
    assert_eq!((far.outcome.as_str(), far.client), ("refused", None));
    let both = "take address 198.51.100.1 and identity 2.b.example, but no one client both";
    assert!(far.reason.contains(both), "{}", far.reason);
    assert_eq!(who("192.0.2.77", None).identity, "192.0.2.77");
    let nowhere = ClientDbName { client_db: Some("branch".into()), page: None };
    let refused = pair.us.core.answer(&Request::ShowClientDb(nowhere)).unwrap_err();
    assert_eq!(refused.to_string(), "client-db \"branch\" does not exist; configured: branches");
}
