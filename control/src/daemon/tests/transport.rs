//! Transport mode as it is configured (DP-05): two gateways whose ip-tunnel goes under it by IKE; on the wire there is ESP
//! alone, senders are told what fits, also of a narrower path, and modes that differ are told of.

use super::pair::{Pair, host, one_tunnel};
use super::*;
use crate::api::reply::State;
use crate::api::request;

/// An ip-tunnel between both, and a tunnel in that mode.
fn side(ours: u8, mode: &str, lines: &str) -> String {
    let theirs = 3 - ours;
    let text = one_tunnel(ours, &format!("mode = \"{mode}\"\nauto-establish = {}\n{lines}", ours == 2));
    format!(
        "{text}[ip-tunnel.net]\nlocal = \"192.0.2.{ours}\"\nremote = \"192.0.2.{theirs}\"\ngre-header = true\n\
         [[route]]\ndestination = \"10.{theirs}.0.0/16\"\nip-tunnel = \"net\"\n"
    )
}

fn joined(modes: [&str; 2]) -> Pair {
    let selectors = "local-ts = [\"10.2.0.0/16\"]\nremote-ts = [\"10.1.0.0/16\"]\nreverse-route = \"none\"\n";
    let theirs = "local-ts = [\"192.0.2.1/32\"]\nremote-ts = [\"192.0.2.2/32\"]\nreverse-route = \"none\"\n";
    let [us, peer] = modes;
    let us = side(2, us, if us == "tunnel" { selectors } else { "" });
    let peer = side(1, peer, if peer == "tunnel" { theirs } else { "" });
    Pair::joined(Bench::bare(&us, 2, 64), Bench::bare(&peer, 1, 64))
}

fn is_up(pair: &mut Pair) -> bool {
    pair.us.view().tunnels[0].state == State::Up
}

#[test]
fn an_ip_tunnel_goes_under_it() {
    let mut pair = joined(["transport"; 2]);
    pair.until("it is up", is_up);
    // The packet that comes first may find its neighbour unknown; then they go both ways, and nothing else passes the wire.
    pair.until("a packet arrives", |pair| pair.carry(1, true) == 1 && pair.carry(1, false) == 1);
    pair.us.arrive(LAN, &v4(host(2, 1), host(1, 1), 700, false));
    pair.us.settle();
    let left = pair.us.left(WAN);
    assert!(
        left.iter().any(|packet| is_esp(packet)) && !left.iter().any(|packet| packet[9] == protocol::GRE)
    );
    let seen = pair.us.view();
    assert!(seen.sas.iter().all(|sa| sa.mode == "transport" && sa.encapsulation == "esp"), "{:?}", seen.sas);
    let policy: Vec<&str> = pair.us.core.workers.policy(0).map(|(name, _)| name).collect();
    assert_eq!(policy, ["tunnel.net.net"]);
    // In clear nothing comes.
    let clear = v4(host(1, 1), host(2, 1), 100, false);
    let mut gre = vec![0; 24];
    let header = ipv4::Repr {
        traffic_class: 0,
        total_length: 24 + clear.len() as u16,
        id: 1,
        dont_fragment: false,
        more_fragments: false,
        fragment_offset: 0,
        ttl: 64,
        protocol: protocol::GRE,
        source: PEER,
        destination: OURS,
    };
    header.emit(&mut gre).unwrap();
    gre[22..24].copy_from_slice(&[8, 0]);
    pair.us.arrive(WAN, &[gre, clear].concat());
    assert!(pair.us.left(LAN).is_empty());
}

/// Largest packets: what the ip-tunnel says fits does, whichever suite is used, and no more is taken.
#[test]
fn senders_are_told_what_fits() {
    for (suite, around) in [("aes128gcm16", 36), ("aes256-sha512", 73)] {
        let transform = format!("[ipsec-transform.t]\nproposals = [\"{suite}\"]\n");
        let with = |ours| side(ours, "transport", "ipsec-transform = \"t\"\n") + &transform;
        let mut pair = Pair::joined(Bench::bare(&with(2), 2, 64), Bench::bare(&with(1), 1, 64));
        pair.until("it is up", is_up);
        pair.until("a packet arrives", |pair| pair.carry(1, true) == 1);
        let limit = ip_tunnel_mtu(&pair.us);
        assert!((1500 - 24 - around..=1500 - 24 - 30).contains(&limit), "{suite}: {limit}");
        let sends = |pair: &mut Pair, octets| {
            pair.us.arrive(LAN, &v4(host(2, 1), host(1, 1), octets, true));
            let esp: Vec<usize> = pair.us.left(WAN).iter().filter(|it| is_esp(it)).map(Vec::len).collect();
            (esp, pair.us.left(LAN))
        };
        let (esp, told) = sends(&mut pair, limit);
        assert!(esp.len() == 1 && esp[0] <= 1500 && told.is_empty(), "{suite}: {esp:?}");
        let (esp, told) = sends(&mut pair, limit + 1);
        assert_eq!((esp.len(), told.len()), (0, 1), "{suite}");
        let quoted = ipv4::Header::parse(&told[0]).unwrap();
        assert_eq!(usize::from(icmp::Header::parse(quoted.payload()).unwrap().mtu_v4()), limit);
    }
}

/// As operators read it, which is as the workers have it.
fn ip_tunnel_mtu(bench: &Bench) -> usize {
    let parts = *bench.core.workers.ip_tunnel("net").unwrap().parts();
    let shown = match bench.core.ip_tunnel_rows(&request::IpTunnelName { ip_tunnel: Some("net".into()) }) {
        Ok(Reply::IpTunnels { ip_tunnels, .. }) => ip_tunnels[0].inner_mtu,
        other => panic!("{other:?}"),
    };
    assert_eq!(shown, crate::tunnel::ip_tunnel::largest_inner(&parts));
    usize::from(shown)
}

/// What a router says of the ESP packet is known to the ip-tunnel it carries, and forgotten in time (DP-30).
#[test]
fn a_narrow_path_reaches_the_ip_tunnel() {
    let mut pair = joined(["transport"; 2]);
    pair.until("it is up", is_up);
    pair.until("a packet arrives", |pair| pair.carry(1, true) == 1);
    let before = ip_tunnel_mtu(&pair.us);
    pair.us.arrive(LAN, &v4(host(2, 1), host(1, 1), 1400, true));
    let esp = pair.us.left(WAN).into_iter().find(|packet| is_esp(packet)).unwrap();
    pair.us.arrive(WAN, &too_big(&esp, 1300));
    let narrowed = ip_tunnel_mtu(&pair.us);
    // By as much, but for what blocks of the suites round down.
    assert!((185..=215).contains(&(before - narrowed)), "{before} and {narrowed}");
    pair.us.arrive(LAN, &v4(host(2, 1), host(1, 1), 1400, true));
    let told = pair.us.left(LAN);
    let header = ipv4::Header::parse(told.first().expect("the sender is told")).unwrap();
    assert_eq!(usize::from(icmp::Header::parse(header.payload()).unwrap().mtu_v4()), narrowed);
}

/// One end makes tunnels: nothing comes of it, and both say why.
#[test]
fn modes_that_differ_are_told_of() {
    for (modes, code) in
        [(["transport", "tunnel"], "RV-CHILD-014"), (["tunnel", "transport"], "RV-CHILD-004")]
    {
        let mut pair = joined(modes);
        pair.until("it is told", |pair| pair.us.events().iter().any(|event| event.contains(code)));
        assert!(!is_up(&mut pair));
        assert!(pair.us.view().sas.is_empty());
    }
}
