//! Whatever arrives, a worker neither panics nor loses count: random frames, and every kind of good frame
//! with random damage, on every port and queue, from the kernel and from control.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failure is a failed test"
)]

use crate::common;
use crate::common::packet::{Ip, framed, numbered};
use crate::common::{INSIDE, OUTSIDE, PRIVATE, PUBLIC, Pair, Style, forge::Forge};
use ravelin_dataplane::io::Pool;
use ravelin_dataplane::node::fragment;
use ravelin_dataplane::sa::shard::WorkerId;

/// A small generator (xorshift64*), so that a seed repeats a run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() >> 33) as usize % n
    }

    fn damage(&mut self, mut frame: Vec<u8>) -> Vec<u8> {
        for _ in 0..self.below(4) {
            let at = self.below(frame.len());
            frame[at] = self.next() as u8;
        }
        match self.below(8) {
            0 => frame.truncate(self.below(frame.len() + 1)),
            1 => frame.extend((0..self.below(40)).map(|n| n as u8)),
            _ => {}
        }
        frame
    }
}

/// One frame of each kind there is.
fn kinds(pair: &Pair, style: &Style) -> Vec<(u16, Vec<u8>)> {
    let (a, b) = (pair.a.site, pair.b.site);
    let forge = Forge::toward_a(&pair.a, style, 10);
    let (public, private) = (
        |packet: &[u8]| framed(a.mac(PUBLIC), b.mac(PUBLIC), packet),
        |packet: &[u8]| framed(a.mac(PRIVATE), a.host_mac(), packet),
    );
    let mut kinds = Vec::new();
    for v6 in [false, true] {
        let inner = numbered(b.host(v6), a.host(v6), 1, 600);
        let esp = forge.packet(77, &inner);
        for piece in fragment::split(&esp, 300, 5).unwrap().unwrap() {
            let mut bytes = vec![0; piece.len()];
            piece.emit(&mut bytes).unwrap();
            kinds.push((PUBLIC, public(&bytes)));
        }
        kinds.push((PUBLIC, public(&esp)));
        let ip = Ip::new(b.public(v6), a.public(v6));
        kinds.push((PUBLIC, public(&ip.udp(500, 500, &[1; 60]))));
        kinds.push((PUBLIC, public(&ip.udp(4500, 4500, &[0; 60]))));
        kinds.push((PUBLIC, public(&ip.udp(4500, 4500, &[0xff]))));
        let error = [[if v6 { 2 } else { 3 }, 4, 0, 0, 0, 0, 5, 0].to_vec(), esp].concat();
        kinds.push((PUBLIC, public(&ip.wrap(if v6 { 58 } else { 1 }, &error))));
        kinds.push((PRIVATE, private(&numbered(a.host(v6), b.host(v6), 1, 1400))));
        kinds.push((PRIVATE, private(&Ip { ttl: 1, ..Ip::new(a.host(v6), b.host(v6)) }.udp(1, 2, b"x"))));
    }
    let mut tagged = kinds[0].1.clone();
    tagged.splice(12..12, [0x81, 0, 0, 7]);
    kinds.push((PUBLIC, tagged));
    kinds
}

#[test]
fn damaged_frames_of_every_kind_are_survived_and_accounted_for() {
    for workers in [1, 2] {
        for (seed, style) in Style::all().into_iter().enumerate() {
            let mut random = Random(seed as u64 * 2 + 0x9e37_79b9);
            let mut pair = Pair::new(workers, &style);
            let kinds = kinds(&pair, &style);
            for _ in 0..1500 {
                let (port, frame) = &kinds[random.below(kinds.len())];
                let frame = match random.below(10) {
                    0 => (0..random.below(200)).map(|_| random.next() as u8).collect(),
                    _ => random.damage(frame.clone()),
                };
                let Some(frame) = pair.a.pool.copy_of(&frame) else {
                    panic!("seed {seed}: buffers are lost")
                };
                let refused = match random.below(12) {
                    0 => pair.a.control.inject(WorkerId(0), frame, OUTSIDE).err(),
                    1 => pair.a.exception.inject_tun(WorkerId(0), frame, INSIDE).err(),
                    2 => pair.a.exception.inject_twin(WorkerId(0), frame, *port, 0).err(),
                    _ if *port == PRIVATE => pair.a.private.deliver(random.below(2), frame).err(),
                    _ => pair.a.public.deliver(random.below(2), frame).err(),
                };
                assert!(refused.is_none(), "seed {seed}: the wire is stuck");
                if random.below(8) == 0 {
                    // Time passes, or one damaged fragment would spoil its datagram for the whole run.
                    let pause = random.below(1_000_000) as u64;
                    pair.a.sleep_us(pause);
                    pair.a.sent(PUBLIC);
                    pair.a.sent(PRIVATE);
                    while pair.a.control.next_ike().is_some() || pair.a.control.next_ike_init().is_some() {}
                    while pair.a.exception.next_punt().is_some() {}
                    pair.a.reports();
                }
            }
            assert!(pair.a.count(|c| c.reassembled.get()) > 0, "seed {seed}");
            pair.a.settle();
            pair.a.sleep_us(5_000_000);
            for _ in 0..100 {
                pair.a.settle();
            }
            pair.is_at_rest();
        }
    }
}

#[test]
fn an_error_that_quotes_our_esp_is_told_to_control_and_hidden_from_the_kernel() {
    use ravelin_dataplane::link::report::Report;
    for workers in [1, 2] {
        let mut pair = Pair::new(workers, &Style::PLAIN);
        let (us, peer) = (pair.a.site.public(false), pair.b.site.public(false));
        pair.a.host_sends(0, &numbered(pair.a.site.host(false), pair.b.site.host(false), 1, 600));
        let sent = pair.a.sent(PUBLIC).remove(0);
        pair.a.reports();
        let error = [&[3, 4, 0, 0, 0, 0, 5, 0][..], &sent[..28]].concat();
        pair.a.peer_sends(0, &Ip::new(common::ip("198.51.100.1"), us).wrap(1, &error));
        assert!(pair.a.exception.next_punt().is_none());
        let reports = pair.a.reports();
        let spi = pair.b.spi(10);
        assert!(
            matches!(reports[..], [Report::PathError { local, peer: to, spi: Some(told), mtu: Some(1280), .. }]
                if (local, to, told) == (us, peer, spi)),
            "{reports:?}"
        );
        // One that quotes somebody else's is the kernel's.
        let foreign = [&[3, 4, 0, 0, 0, 0, 5, 0][..], &Ip::new(peer, us).wrap(50, &[7; 8])].concat();
        pair.a.peer_sends(0, &Ip::new(common::ip("198.51.100.1"), us).wrap(1, &foreign));
        assert!(pair.a.exception.next_punt().is_some());
        pair.is_at_rest();
    }
}
