use super::*;
use crate::policy::route::{Interface, Prefix};
use crate::policy::table::Tables;
use crate::sa::Endpoint;
use proptest::prelude::*;

fn parts(local: u8, remote: u8, kind: Kind) -> Parts {
    let end = |n: u8| Endpoint { address: [192, 0, 2, n].into(), port: 0 };
    Parts {
        private: 1,
        kind,
        encapsulation: Encapsulation::between(0, end(local), end(remote)),
        backup: None,
        copy_traffic_class: false,
        leaving_mss: None,
        up: true,
    }
}

fn gre(send: Option<u32>, receive: Option<u32>) -> Kind {
    Kind::Gre { send, receive }
}

fn table(parts: impl IntoIterator<Item = Parts>) -> IpTunnels {
    IpTunnels::new(parts.into_iter().map(|one| Some(Arc::new(IpTunnel::new(one, counters(1))))).collect())
}

fn address(n: u8) -> IpAddr {
    [192, 0, 2, n].into()
}

/// Only the key that is received says which tunnel it is, and a stray packet is told from a key that is wrong.
#[test]
fn a_tunnel_is_found_by_its_ends_and_by_what_is_received() {
    let all = [
        parts(1, 2, gre(Some(7), Some(8))),
        parts(1, 2, gre(None, None)),
        parts(1, 2, Kind::Ip),
        parts(1, 3, Kind::Ip),
    ];
    let table = table(all);
    let find = |remote, shown| table.find(0, (address(1), address(remote)), shown).map(|(id, _)| id.0);
    assert_eq!(find(2, Shown::Gre(Some(8))), Ok(0));
    assert_eq!(find(2, Shown::Gre(None)), Ok(1));
    assert_eq!(find(2, Shown::Ip), Ok(2));
    assert_eq!(find(3, Shown::Ip), Ok(3));
    assert!(matches!(find(2, Shown::Gre(Some(7))), Err(Stray::Key(_))));
    assert_eq!(find(3, Shown::Gre(None)), Err(Stray::Stranger));
    assert_eq!(find(4, Shown::Ip), Err(Stray::Stranger));
    assert!(table.end_at(0, address(1)));
    assert!(!table.end_at(0, address(2)) && !table.end_at(1, address(1)) && !table.end_at(0, address(0)));
    assert!(!IpTunnels::default().end_at(0, address(1)));
}

/// DP-22: the backup is used while no route leads to the peer, and is heard in any case.
#[test]
fn the_backup_stands_in_while_there_is_no_route() {
    let table = table([Parts { backup: Some(address(9)), ..parts(1, 2, Kind::Ip) }]);
    let tunnel = table.at(IpTunnelId(0)).unwrap();
    let mut tables = Tables::new();
    let to = Prefix::host(address(2));
    assert_eq!(tunnel.active_remote(&tables), address(9));
    for (hop, expected) in [
        (Some(NextHop::Connected(Interface { port: 0, vlan: 0 })), 2),
        (Some(NextHop::Blackhole), 9),
        (Some(NextHop::Local), 2),
        (None, 9),
    ] {
        tables.set_route(0, to, hop).unwrap();
        assert_eq!(tunnel.active_remote(&tables), address(expected), "{hop:?}");
    }
    for remote in [2, 9] {
        assert!(table.find(0, (address(1), address(remote)), Shown::Ip).is_ok());
    }
}

proptest! {
    /// Whatever tunnels there are, each is found by what it receives, and by nothing else.
    #[test]
    fn every_tunnel_is_found_and_no_other(
        all in proptest::collection::vec((0u8..3, 3u8..6, 0u8..4), 0..40),
        probe in (0u8..3, 3u8..6, 0u8..4),
    ) {
        let kind = |n: u8| match n {
            0 => Kind::Ip,
            1 => gre(Some(1), None),
            n => gre(None, Some(u32::from(n))),
        };
        let table = table(all.iter().map(|(local, remote, n)| parts(*local, *remote, kind(*n))));
        let (local, remote, n) = probe;
        let found = table.find(0, (address(local), address(remote)), kind(n).shown());
        let expected = all.iter().rposition(|one| *one == probe);
        prop_assert_eq!(found.ok().map(|(id, _)| id.0 as usize), expected);
        prop_assert_eq!(table.end_at(0, address(local)), all.iter().any(|one| one.0 == local));
    }

    /// What its limits admit fits the outer size where that may not be cut.
    #[test]
    fn what_is_admitted_fits(mtu in 1400u16..9000, v4: bool, key: Option<u32>, is_gre: bool) {
        let kind = if is_gre { gre(key, None) } else { Kind::Ip };
        let mut of = parts(1, 2, kind);
        of.encapsulation.outer_mtu = Some(mtu);
        let tunnel = IpTunnel::new(of, counters(0));
        let wrap = tunnel.wrap(&Tables::new(), v4);
        let limit = wrap.limits.largest(v4, true);
        prop_assert_eq!(wrap.length().unwrap() + kind.header_length() + limit, usize::from(mtu));
    }
}
