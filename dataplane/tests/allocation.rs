//! A worker allocates nothing and frees nothing after start: not for packets either way, fragments, errors,
//! punts or drops, and not for commands and reports (docs/design.md §1, §3).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failure is a failed test"
)]

mod common;

use common::packet::numbered;
use common::{Gateway, PRIVATE, PUBLIC, Pair, SLOT, Style, forge::Forge, key};
use ravelin_dataplane::io::Pool;
use ravelin_dataplane::link::command::{Command, Turn};
use ravelin_mem::counting::{Counting, allocations, releases};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Polls until idle; how often the workers asked the allocator for or gave it anything.
fn polled(gateway: &mut Gateway) -> (u64, u64) {
    let before = (allocations(), releases());
    gateway.settle();
    (allocations() - before.0, releases() - before.1)
}

fn lay(gateway: &mut Gateway, port: u16, queue: usize, packet: &[u8]) {
    let (to, from) = match port {
        PRIVATE => (gateway.site.mac(PRIVATE), gateway.site.host_mac()),
        _ => (gateway.site.mac(PUBLIC), gateway.site.other().mac(PUBLIC)),
    };
    let frame = gateway.pool.copy_of(&common::packet::framed(to, from, packet)).unwrap();
    let device = if port == PRIVATE { &gateway.private } else { &gateway.public };
    device.deliver(queue, frame).unwrap();
}

#[test]
fn the_counter_counts() {
    let before = allocations();
    drop(std::hint::black_box(Box::new(1)));
    assert_eq!(allocations() - before, 1);
}

#[test]
fn packets_cost_no_allocation() {
    for workers in [1, 2] {
        for style in Style::every() {
            let mut pair = Pair::new(workers, &style);
            let (left, right) = (pair.a.site.host(false), pair.b.site.host(false));
            let forge = Forge::toward_a(&pair.a, &style, 10);
            for number in 0..40 {
                // Some are cut after encryption, some refused, some for the kernel, some in error.
                lay(&mut pair.a, PRIVATE, 0, &numbered(left, right, number, 1450));
                lay(&mut pair.a, PRIVATE, 1, &numbered(left, common::ip("8.8.8.8"), number, 10));
                lay(
                    &mut pair.a,
                    PUBLIC,
                    0,
                    &forge.packet(u64::from(number) + 1, &numbered(right, left, number, 900)),
                );
                lay(&mut pair.a, PUBLIC, 1, &forge.packet(1, &numbered(right, left, number, 90)));
                let expiring = common::packet::Ip { ttl: 1, ..common::packet::Ip::new(left, right) };
                lay(&mut pair.a, PRIVATE, 0, &expiring.udp(1, 2, b"expired"));
            }
            assert_eq!(polled(&mut pair.a), (0, 0), "{style:?}");
            for packet in pair.a.sent(PUBLIC) {
                lay(&mut pair.b, PUBLIC, 0, &packet);
            }
            assert_eq!(polled(&mut pair.b), (0, 0), "{style:?}");
            assert_eq!(pair.b.sent(PRIVATE).len(), 40);
            assert!(pair.b.count(|c| c.reassembled.get()) == 40);
            pair.is_at_rest();
        }
    }
}

#[test]
fn commands_cost_the_worker_no_allocation() {
    for workers in [1, 2] {
        let style = Style::PLAIN;
        let mut a = Gateway::new(1, workers);
        let owner = a.owner();
        let (spi, place) = (a.spi(1), a.place(1));
        let material = |a: &Gateway| a.control.put_key(a.owner(), &key(style.suite, 1)).unwrap();
        let (first, second, third) = (material(&a), material(&a), material(&a));
        let inbound = a.inbound_parts(&style, spi);
        let (outbound, standby) = (a.outbound_parts(&style, spi), a.outbound_parts(&style, a.spi(2)));
        let commands = [
            Command::InstallInbound { place, parts: inbound, key: first },
            Command::InstallOutbound { slot: SLOT, parts: outbound, key: second, turn: Turn::Now },
            Command::InstallOutbound { slot: SLOT, parts: standby, key: third, turn: Turn::StandBy },
            Command::ActivateOutbound { slot: SLOT },
            Command::RemoveInbound { place, spi },
            Command::Configure(std::sync::Arc::default()),
            Command::ClearOutbound { slot: SLOT },
        ];
        for command in commands {
            a.control.send(owner, command).unwrap();
        }
        a.tables.publish();
        assert_eq!(polled(&mut a), (0, 0));
        assert_eq!(a.control.applied(owner), a.control.sent(owner));
        a.is_at_rest();
    }
}
