//! Who calls without a tunnel here is remembered by address, with what it offered.

use super::pair::Pair;
use super::*;
use crate::api::request::Part;

fn gateway(ours: u8, remote: &str) -> String {
    format!(
        r#"
interface.wan = {{ device = "af_packet:eth1", addresses = ["192.0.2.{ours}/24"] }}
interface.lan = {{ device = "af_packet:eth2", addresses = ["10.{ours}.0.1/16"] }}
[tunnel.net]
local = "192.0.2.{ours}"
remote = "{remote}"
on-demand = false
psk = "correct horse"
local-ts = ["10.{ours}.0.0/24"]
remote-ts = ["10.{}.0.0/24"]
"#,
        3 - ours
    )
}

#[test]
fn what_a_stranger_tried_is_kept_by_address() {
    let (us, peer) = (gateway(2, "192.0.2.77"), gateway(1, "192.0.2.2"));
    let mut pair = Pair::joined(Bench::bare(&us, 1, 64), Bench::bare(&peer, 1, 64));
    pair.peer.core.answer(&Request::Initiate(Part { tunnel: "net".into(), child: None })).unwrap();
    let caller: IpAddr = PEER.into();
    let known = |pair: &Pair, address: IpAddr| match pair
        .us
        .core
        .explain(&TunnelName { tunnel: address.to_string() })
    {
        Ok(Reply::Strangers(known)) => Some(known),
        _ => None,
    };
    pair.until("the stranger was refused", |pair| known(pair, caller).is_some());
    let told = known(&pair, caller).unwrap();
    let [attempt] = told.attempts.as_slice() else { panic!("{told:?}") };
    assert_eq!((attempt.code.as_str(), attempt.role.as_str()), ("RV-INIT-001", "responder"));
    assert_eq!(attempt.peer, "192.0.2.1:500");
    assert!(attempt.offered.contains("AES_GCM_16"), "{attempt:?}");
    assert!(attempt.time > 1e9, "a calendar's time: {attempt:?}");
    assert!(told.tunnels.is_empty(), "it is nobody's peer: {told:?}");
    assert_eq!(known(&pair, [192, 0, 2, 77].into()).unwrap().tunnels, ["net"]);
}
