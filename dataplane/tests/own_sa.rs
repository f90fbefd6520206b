//! One tunnel of which each worker has an SA of its own (RFC 9611): every packet is sealed and opened where it arrived,
//! and goes to the SA of all from a worker that has none.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failure is a failed test"
)]

use crate::common::packet::{numbered, one_hop_later};
use crate::common::{PRIVATE, PUBLIC, Pair, SLOT, Style, TUNNEL, key};
use ravelin_dataplane::link::command::{Command, Turn};
use ravelin_dataplane::policy::table::Tunnel;
use ravelin_dataplane::sa::SaRef;
use ravelin_dataplane::sa::shard::{Shard, WorkerId};
use ravelin_dataplane::sa::spi::{Place, Slot, Spi};

/// The worker that does not own the SA of all, the slots of its own SA, and what names its keys.
const FIRST: WorkerId = WorkerId(0);
const OWN_SLOT: u32 = 5;
const INBOUND: u32 = 21;

fn spi() -> Spi {
    Spi::new(place(), 9)
}

fn place() -> Place {
    Place { shard: Shard::new(FIRST.0 + 1).unwrap(), slot: Slot::new(INBOUND).unwrap() }
}

/// Gives the first worker of the left gateway an outbound SA of its own, and that of the right one its inbound SA.
fn own_sa(pair: &mut Pair) {
    let octets = key(Style::PLAIN.suite, 0x33);
    let parts = pair.b.inbound_parts(&Style::PLAIN, spi());
    let held = pair.b.control.put_key(FIRST, &octets).unwrap();
    let command = Command::InstallInbound {
        place: place(),
        parts: ravelin_dataplane::sa::inbound::Parts { activates: None, ..parts },
        key: held,
    };
    pair.b.control.send(FIRST, command).unwrap();
    let parts = pair.a.outbound_parts(&Style::PLAIN, spi());
    let held = pair.a.control.put_key(FIRST, &octets).unwrap();
    let command = Command::InstallOutbound { slot: OWN_SLOT, parts, key: held, turn: Turn::Now };
    pair.a.control.send(FIRST, command).unwrap();
    pair.a.settle();
    pair.b.settle();
}

/// Says in the tables of the left gateway which workers have their own.
fn tell(pair: &mut Pair, own: &[SaRef]) {
    let tables = pair.a.tables.tables_mut();
    let [child] = tables.tunnel(TUNNEL).unwrap().children() else { panic!("one child") };
    let child = child.clone().with_own(own.iter().copied());
    tables.set_tunnel(TUNNEL, Some(Tunnel::new(vec![child]).unwrap())).unwrap();
    pair.a.tables.publish();
}

/// Sends packets of one flow, arriving on this queue; the SPIs they leave with, and that they arrive whole.
fn sends(pair: &mut Pair, queue: usize, numbers: std::ops::Range<u32>) -> Vec<Spi> {
    let packets: Vec<_> =
        numbers.map(|n| numbered(pair.a.site.host(false), pair.b.site.host(false), n, 100)).collect();
    packets.iter().for_each(|packet| pair.a.host_sends(queue, packet));
    let sent = pair.a.sent(PUBLIC);
    let spis = sent.iter().map(|packet| Spi(u32::from_be_bytes(packet[20..24].try_into().unwrap())));
    let spis = spis.collect();
    sent.iter().for_each(|packet| pair.b.peer_sends(queue, packet));
    let expected: Vec<_> = packets.iter().map(|packet| one_hop_later(&one_hop_later(packet))).collect();
    assert!(pair.b.sent(PRIVATE) == expected, "in order and unchanged");
    spis
}

#[test]
fn each_worker_seals_and_opens_what_arrives_there() {
    let mut pair = Pair::new(2, &Style::PLAIN);
    let of_all = pair.b.spi(10);
    own_sa(&mut pair);
    assert_eq!(sends(&mut pair, 0, 0..20), [of_all; 20], "nobody is told yet");
    assert_eq!(pair.a.count(|counters| counters.handed_out.get()), 20);
    tell(&mut pair, &[SaRef { worker: FIRST, slot: OWN_SLOT }]);
    assert_eq!(sends(&mut pair, 0, 20..40), [spi(); 20], "what was remembered of the flow is not believed");
    assert_eq!(sends(&mut pair, 1, 40..60), [of_all; 20]);
    for gateway in [&pair.a, &pair.b] {
        assert_eq!(gateway.count(|counters| counters.handed_out.get()), 20, "no more were handed over");
    }
    let sent = |worker, slot| pair.a.control.outbound(worker, slot).unwrap().packets.get();
    assert_eq!((sent(FIRST, OWN_SLOT), sent(pair.a.owner(), SLOT)), (20, 40));
    // It goes: named no more, then taken out.
    tell(&mut pair, &[]);
    pair.a.control.send(FIRST, Command::RemoveOutbound { slot: OWN_SLOT, spi: spi() }).unwrap();
    assert_eq!(sends(&mut pair, 0, 60..80), [of_all; 20]);
    assert_eq!((pair.a.drops(), pair.b.drops()), (vec![], vec![]));
    pair.is_at_rest();
}
