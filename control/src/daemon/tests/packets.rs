//! `packets` of tunnels and templates as they are configured: what leaves is as they say, and is so at once where they
//! change under a tunnel that is up (DP-23 to DP-30).

use super::gateways::{self, callers, gateway};
use super::pair::{Pair, host, one_tunnel};
use super::*;

fn configured(ours: u8, packets: &str) -> String {
    let theirs = 3 - ours;
    let lines = format!(
        "local-ts = [\"10.{ours}.0.0/16\"]\nremote-ts = [\"10.{theirs}.0.0/16\"]\non-demand = false\n[tunnel.net.packets]\n{packets}\n"
    );
    one_tunnel(ours, &lines)
}

fn pair(packets: &str) -> Pair {
    let mut pair =
        Pair::joined(Bench::bare(&configured(2, packets), 1, 64), Bench::bare(&configured(1, ""), 1, 64));
    pair.us.core.answer(&Request::Initiate(Part { tunnel: "net".into(), child: None })).unwrap();
    pair.until("the tunnel is up", |pair| pair.us.view().tunnels[0].state == State::Up);
    pair
}

/// What our host's packet of this size becomes: packets on the wire, and what the host is told that fits.
fn sends(bench: &mut Bench, length: usize, dont_fragment: bool) -> (Vec<Vec<u8>>, Option<u16>) {
    let (out, back) = bench.send(&v4(host(2, 1), host(1, 1), length, dont_fragment));
    let told = back
        .iter()
        .find(|packet| packet[20..22] == [3, 4])
        .map(|packet| u16::from_be_bytes([packet[26], packet[27]]));
    (out, told)
}

fn spis(pair: &mut Pair) -> Vec<String> {
    pair.us.view().sas.iter().map(|sa| sa.spi.clone()).collect()
}

/// Each change is in force when the configuration is, under the same SAs, and is shown.
#[test]
fn settings_change_under_a_tunnel_that_is_up() {
    let mut pair = pair("");
    let before = spis(&mut pair);
    let (out, told) = sends(&mut pair.us, 1300, true);
    assert_eq!((out.len(), told), (1, None));
    let us = &mut pair.us;
    let apply = |us: &mut Bench, packets: &str| {
        let applied = us.apply(&configured(2, packets));
        assert_eq!((applied.changed.len(), applied.replaced.len()), (1, 0), "{packets}");
    };
    apply(us, "ip-mtu = 1000");
    assert_eq!(sends(us, 1300, true), (Vec::new(), Some(1000)));
    assert_eq!(sends(us, 1300, false).0.len(), 2);
    apply(us, "ip-mtu = 1000\nicmp-generation = false");
    assert_eq!(sends(us, 1300, true), (Vec::new(), None));
    apply(us, "ip-mtu = 1000\nclear-df-bit = true");
    assert_eq!(sends(us, 1300, true).0.len(), 2);
    apply(us, "encapsulated-ip-mtu = 700");
    let (out, told) = sends(us, 1300, true);
    assert!(out.len() == 2 && told.is_none() && out.iter().all(|piece| piece.len() <= 700));
    for (df, expected) in [("set", true), ("clear", false), ("copy", true)] {
        // The default is not said twice.
        if df == "copy" {
            apply(us, "");
        } else {
            apply(us, &format!("outer-df = \"{df}\""));
        }
        assert_eq!(sends(us, 500, true).0[0][6] & 0x40 != 0, expected, "{df}");
    }
    apply(us, "ip-mtu = 1000\nprivate-tcp-mss-adjust = \"auto\"");
    let row = us.view().tunnels[0].packets.clone();
    let row: Vec<_> = row.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    assert_eq!(row, [("ip-mtu", "1000"), ("private-tcp-mss-adjust", "auto")]);
    let explain = us.explain("net");
    assert!(
        explain.rungs.iter().any(|rung| rung.seen == "ip-mtu 1000, private-tcp-mss-adjust auto"),
        "{explain:?}"
    );
    assert_eq!(spis(&mut pair), before);
    assert_eq!(pair.carry(1, true), 1);
}

/// Routers on the way are heard unless the tunnel says otherwise, and not any more once it does.
#[test]
fn path_mtu_discovery_is_a_choice() {
    let mut pair = pair("");
    let (out, _) = sends(&mut pair.us, 1000, true);
    let us = &mut pair.us;
    us.arrive(WAN, &too_big(&out[0], 800));
    assert!(sends(us, 1000, true).1.is_some_and(|told| told < 800), "{:?}", us.events());
    us.apply(&configured(2, "path-mtu-discovery = false"));
    let (out, told) = sends(us, 1000, true);
    assert_eq!((out.len(), told), (1, None), "what was learned counts no more");
    us.arrive(WAN, &too_big(&out[0], 700));
    assert_eq!(sends(us, 1000, true).1, None);
}

/// A gateway's tunnels are as their template says; another template is for new ones (TG-12).
#[test]
fn a_template_is_that_of_tunnels_to_come() {
    let text = |ip_mtu: u16| gateway("") + &format!("[tunnel-template.t.packets]\nip-mtu = {ip_mtu}\n");
    let mut pair = Pair::joined(Bench::bare(&text(600), 2, 64), Bench::bare(&callers(2), 1, 64));
    let call = |pair: &mut Pair, name: &str, count: usize| {
        gateways::call(pair, name);
        pair.until("the caller is in", |pair| gateways::up(pair).len() == count);
    };
    let told = |pair: &mut Pair, network: u8| {
        let (_, back) = pair.us.send(&v4(host(2, network), host(1, network), 1200, true));
        back.iter()
            .find(|packet| packet[20..22] == [3, 4])
            .map(|packet| u16::from_be_bytes([packet[26], packet[27]]))
    };
    call(&mut pair, "t1", 1);
    assert_eq!(told(&mut pair, 1), Some(600));
    assert_eq!(pair.us.apply(&text(900)).changed, ["gateway.g"]);
    call(&mut pair, "t2", 2);
    assert_eq!((told(&mut pair, 1), told(&mut pair, 2)), (Some(600), Some(900)));
}

/// Static routes lead into a tunnel whose selectors make none, come and go beside it, and what no route leads into it is
/// discarded (TG-14).
#[test]
fn static_routes_lead_into_a_tunnel() {
    let text = |routes: &[&str]| {
        let lines = "local-ts = [\"10.2.0.0/16\"]\nremote-ts = [\"10.0.0.0/8\"]\non-demand = false\nreverse-route = \"none\"\n";
        let route = |network: &&str| format!("[[route]]\ndestination = \"{network}\"\ntunnel = \"net\"\n");
        one_tunnel(2, lines) + &routes.iter().map(route).collect::<String>()
    };
    let peer = "local-ts = [\"10.0.0.0/8\"]\nremote-ts = [\"10.2.0.0/16\"]\non-demand = false\n";
    let mut pair =
        Pair::joined(Bench::bare(&text(&["10.1.1.0/24"]), 1, 64), Bench::bare(&one_tunnel(1, peer), 1, 64));
    pair.us.core.answer(&Request::Initiate(Part { tunnel: "net".into(), child: None })).unwrap();
    pair.until("the tunnel is up", |pair| pair.us.view().tunnels[0].state == State::Up);
    let before = spis(&mut pair);
    assert_eq!((pair.carry(1, true), pair.carry(2, true)), (1, 0));
    let applied = pair.us.apply(&text(&["10.1.2.0/24"]));
    assert_eq!((applied.changed, applied.needs_restart.len()), (vec!["net".to_owned()], 0));
    assert_eq!((pair.carry(1, true), pair.carry(2, true)), (0, 1));
    assert_eq!(spis(&mut pair), before);
}
