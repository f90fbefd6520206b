//! Ip-tunnels as they are configured (DP-20 to DP-22, TG-15): what leaves is looked at, `show ip-tunnels` and `lookup` say
//! the same, and a change of addresses or of the configuration takes them up and down.

use super::*;
use crate::api::reply::{IpTunnelRow, Lookup};
use crate::api::request;

const FAR: Ipv4Addr = Ipv4Addr::new(10, 50, 0, 2);

const BRANCH: &str = r#"
[ip-tunnel.branch]
local = "192.0.2.2"
remote = "192.0.2.1"
gre-header = true
send-key = 5
receive-key = 6
ttl = 64
addresses = ["10.9.9.1/30"]
dest-ip = ["10.9.9.2"]
[[route]]
destination = "10.50.0.0/16"
ip-tunnel = "branch"
[[route]]
destination = "10.51.0.0/16"
via = "10.9.9.2"
"#;

fn with(tunnel: &str) -> String {
    format!("{PLAN}{tunnel}")
}

fn row(bench: &Bench) -> IpTunnelRow {
    let asked = request::IpTunnelName { ip_tunnel: Some("branch".into()) };
    match bench.core.ip_tunnel_rows(&asked) {
        Ok(Reply::IpTunnels { mut ip_tunnels, .. }) => ip_tunnels.remove(0),
        other => panic!("{other:?}"),
    }
}

fn lookup(bench: &mut Bench, source: Ipv4Addr, destination: Ipv4Addr) -> Lookup {
    let asked = request::Lookup {
        source: source.into(),
        destination: destination.into(),
        protocol: "icmp".into(),
        source_port: None,
        destination_port: None,
        instance: None,
    };
    match bench.core.answer(&Request::Lookup(asked)).unwrap() {
        Reply::Lookup(lookup) => *lookup,
        other => panic!("{other:?}"),
    }
}

/// Its private side gets its address, or loses it.
fn addressed(bench: &mut Bench, there: bool) {
    let (interface, network) = ("rv-default".into(), "10.9.9.1/30".parse().unwrap());
    bench.tell(Event::Changed(match there {
        true => Change::Address { interface, network },
        false => Change::AddressGone { interface, network },
    }));
}

fn in_gre(key: u32, inner: &[u8]) -> Vec<u8> {
    let mut packet = vec![0; ipv4::Repr::LEN + 8];
    let header = ipv4::Repr {
        traffic_class: 0,
        total_length: (packet.len() + inner.len()) as u16,
        id: 1,
        dont_fragment: false,
        more_fragments: false,
        fragment_offset: 0,
        ttl: 64,
        protocol: protocol::GRE,
        source: PEER,
        destination: OURS,
    };
    header.emit(&mut packet).unwrap();
    packet[20..24].copy_from_slice(&[0x20, 0, 8, 0]);
    packet[24..].copy_from_slice(&key.to_be_bytes());
    packet.extend(inner);
    packet
}

/// Down until its other end is on a link of ours, up then; both directions, both kinds of routes, and what is counted.
#[test]
fn it_is_up_while_its_other_end_is_on_a_link_of_ours() {
    let mut bench = Bench::of(&with(BRANCH));
    let (to_far, from_far) = (v4(HOST, FAR, 100, false), v4(FAR, HOST, 100, false));
    let down = row(&bench);
    assert_eq!(
        (down.up, &*down.reason_code, down.dest_ips[0].resolved),
        (false, "unresolved-dest-ip", false)
    );
    assert!(bench.send(&to_far).0.iter().all(|packet| is_ike(packet)));
    let found = lookup(&mut bench, HOST, FAR);
    assert_eq!((&*found.verdict, &*found.drop, &*found.tunnel), ("drop", "ip-tunnel-down", "branch"));

    addressed(&mut bench, true);
    let is_gre = |packet: &[u8]| packet[9] == protocol::GRE && packet[16..20] == PEER.octets();
    let (out, _) = bench.send(&to_far);
    let out = out.iter().find(|packet| is_gre(packet)).expect("it carries");
    assert_eq!((&out[20..28], out[8]), (&[0x20, 0, 8, 0, 0, 0, 0, 5][..], 64));
    for destination in [Ipv4Addr::new(10, 51, 0, 9), Ipv4Addr::new(10, 9, 9, 2)] {
        let (out, _) = bench.send(&v4(HOST, destination, 100, false));
        assert!(out.iter().any(|packet| is_gre(packet)), "{destination}");
    }
    bench.arrive(WAN, &in_gre(6, &from_far));
    assert_eq!(bench.left(LAN).len(), 1);
    bench.arrive(WAN, &in_gre(5, &from_far));
    assert!(bench.left(LAN).is_empty());
    let up = row(&bench);
    assert_eq!((up.up, &*up.active_remote, &*up.reason), (true, "192.0.2.1", ""));
    assert_eq!((up.out_packets, up.in_packets, up.in_errors, up.out_errors), (3, 1, 1, 1));
    assert_eq!((&*up.send_key, &*up.receive_key, up.inner_mtu), ("5", "6", 1472));
    let found = lookup(&mut bench, HOST, FAR);
    assert_eq!((&*found.verdict, &*found.tunnel), ("encapsulate", "branch"));
    assert_eq!(lookup(&mut bench, FAR, HOST).verdict, "forward");
    let text = crate::api::render::text(&Reply::IpTunnels { ip_tunnels: vec![up], by_name: true });
    assert!(text.contains("GRE keys: sent 5, received 6") && text.contains("dest-ip: 10.9.9.2"), "{text}");

    addressed(&mut bench, false);
    assert!(!row(&bench).up && bench.send(&to_far).0.iter().all(|packet| !is_gre(packet)));
    let events = bench.events();
    let mut states = events.iter().filter(|event| event.starts_with("ip-tunnel-")).rev();
    let last = states.next().is_some_and(|event| event.starts_with("ip-tunnel-down: dest-ip 10.9.9.2"));
    assert!(last && states.next().is_some_and(|event| event.starts_with("ip-tunnel-up")), "{events:?}");
}

/// DP-30: a router that says what fits is heeded if it quotes what the ip-tunnel sends; by telling senders, or by cutting;
/// not where nobody is to be heard; and for as long as is said.
#[test]
fn a_router_on_the_way_is_heeded() {
    let packets =
        |lines: &str| with(&BRANCH.replace("ttl = 64", &format!("ttl = 64\npackets = {{ {lines} }}")));
    let to_far = v4(HOST, FAR, 1400, true);
    let gre_of = |out: &[Vec<u8>]| {
        out.iter().filter(|packet| packet[9] == protocol::GRE).map(Vec::len).collect::<Vec<_>>()
    };
    let sized = |text: &str, forge: fn(&mut Vec<u8>)| {
        let mut bench = Bench::of(text);
        addressed(&mut bench, true);
        let (out, _) = bench.send(&to_far);
        let mut wire = out.into_iter().find(|packet| packet[9] == protocol::GRE).unwrap();
        forge(&mut wire);
        bench.arrive(WAN, &too_big(&wire, 1200));
        (row(&bench).inner_mtu, bench)
    };
    let as_it_is = |_: &mut Vec<u8>| ();
    let (inner, mut bench) = sized(&with(BRANCH), as_it_is);
    assert_eq!(inner, 1200 - 28);
    assert!(bench.events().contains(&"path-narrowed: from 192.0.2.2 to 192.0.2.1: 1200 octets".to_owned()));
    let (out, back) = bench.send(&to_far);
    assert!(gre_of(&out).is_empty() && back.iter().any(|packet| packet[20..22] == [3, 4]));
    let later = |bench: &Bench, seconds: u64| Instant(bench.core.now().0 + seconds * 1_000_000);
    assert!(bench.core.workers.age_paths(later(&bench, 590)).is_empty());
    assert_eq!(bench.core.workers.age_paths(later(&bench, 610)).len(), 1);
    // Another key, another end: somebody else's packet.
    let forged: [fn(&mut Vec<u8>); 2] = [|wire| wire[27] ^= 1, |wire| wire[19] ^= 8];
    for forge in forged {
        assert_eq!(sized(&with(BRANCH), forge).0, 1472);
    }
    assert_eq!(sized(&packets("path-mtu-discovery = false"), as_it_is).0, 1472);
    let (_, mut bench) = sized(&packets("propagate-path-mtu = false, path-mtu-aging = 60"), as_it_is);
    let (out, back) = bench.send(&to_far);
    let pieces = gre_of(&out);
    assert!(
        pieces.len() == 2 && pieces.iter().all(|octets| *octets <= 1200) && back.is_empty(),
        "{pieces:?}"
    );
    assert_eq!(bench.core.workers.age_paths(later(&bench, 61)).len(), 1);
}

/// Another configuration: what is counted stays, the rest is as it is written, and tunnels are not touched.
#[test]
fn another_configuration_is_carried_out_at_once() {
    let mut bench = Bench::of(&with(BRANCH));
    addressed(&mut bench, true);
    let to_far = v4(HOST, FAR, 100, false);
    bench.send(&to_far);
    let applied = bench.apply(&with(&BRANCH.replace("send-key = 5", "send-key = 9")));
    assert_eq!(
        (&applied.changed, applied.untouched),
        (&vec!["ip-tunnel.branch".to_owned()], 2),
        "{applied:?}"
    );
    let (out, _) = bench.send(&to_far);
    assert!(out.iter().any(|packet| packet[9] == protocol::GRE && packet[27] == 9), "{out:?}");
    assert_eq!(row(&bench).out_packets, 2);
    bench.apply(&with(&BRANCH.replace("gre-header", "enabled = false\ngre-header")));
    assert_eq!(row(&bench).reason_code, "admin-down");
    assert!(bench.send(&to_far).0.iter().all(|packet| packet[9] != protocol::GRE));
    let applied = bench.apply(PLAN);
    assert!(applied.removed.contains(&"ip-tunnel.branch".to_owned()), "{applied:?}");
    let found = lookup(&mut bench, HOST, FAR);
    assert_eq!((&*found.verdict, &*found.drop), ("drop", "no-route"));
    let applied = bench
        .apply(&with(&BRANCH.replace("[[route]]\ndestination = \"10.51.0.0/16\"\nvia = \"10.9.9.2\"\n", "")));
    assert_eq!(applied.added, ["ip-tunnel.branch"]);
    assert!(bench.send(&to_far).0.iter().any(|packet| packet[9] == protocol::GRE));
}
