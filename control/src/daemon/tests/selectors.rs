//! Ranges of addresses in a tunnel: agreed on, routed to, and nothing beside them carried (TS-01).

use super::pair::{Pair, host, one_tunnel};
use super::*;

fn text(ours: u8, local: &str, remote: &str) -> String {
    one_tunnel(ours, &format!("local-ts = [\"{local}\"]\nremote-ts = [\"{remote}\"]"))
}

#[test]
fn a_range_is_carried_and_nothing_beside_it() {
    let (ours, theirs) = ("10.2.1.1-10.2.1.3", "10.1.1.0-10.1.1.2");
    let us = Bench::bare(&text(2, ours, theirs), 1, 64);
    let mut pair = Pair::joined(us, Bench::bare(&text(1, theirs, ours), 1, 64));
    pair.carry(1, true);
    pair.until("it is up", |pair| pair.us.view().tunnels[0].state == State::Up);
    assert_eq!((pair.carry(1, true), pair.carry(1, false)), (1, 1));
    let Ok(Reply::Routes { routes }) = pair.us.core.answer(&Request::ShowRoutes) else { unreachable!() };
    let routes: Vec<String> = routes.into_iter().map(|route| route.destination).collect();
    assert_eq!(routes, ["10.1.1.0/31", "10.1.1.2/32"]);
    let seen = pair.us.view().tunnels[0].children[0].clone();
    assert_eq!(
        (seen.local_ts.as_str(), seen.carries.as_str()),
        (ours, format!("{ours} === {theirs}").as_str())
    );
    let beside = v4(host(2, 1), Ipv4Addr::new(10, 1, 1, 3), 100, false);
    assert_eq!(pair.carry_packet(&beside, true), 0);
}
