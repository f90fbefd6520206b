//! The io traits on DPDK's virtual devices: frames travel through [`Port`] and [`Pool`] as on the
//! in-memory twin, and the pool is full again at the end.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use std::sync::OnceLock;

use ravelin_dataplane::io::dpdk::{
    AttachError, Attached, BufferSizes, Buffers, Eal, Fallback, MbufFrame, Vdev, Wish, attach, eal,
};
use ravelin_dataplane::io::{BURST, Burst, Frame, Meta, Origin, Pool, Port};

fn start() -> Eal {
    static EAL: OnceLock<Eal> = OnceLock::new();
    *EAL.get_or_init(|| {
        let config = eal::Config { log: |_| (), ..eal::Config::ordinary(vec![0], vec![0], 256) };
        std::thread::spawn(move || Eal::start(&config)).join().unwrap().unwrap().eal
    })
}

fn buffers(name: &str) -> Buffers {
    let sizes = BufferSizes { usual: 1024, room: 2048, jumbo: 4, cache: 0, numa: None };
    Buffers::new(start(), name, &sizes).unwrap()
}

fn wish(queues: u16) -> Wish {
    Wish { queues, rx_descriptors: 64, tx_descriptors: 64, mtu: 1500, promiscuous: false, spis: Vec::new() }
}

fn attached(vdev: &Vdev, id: u16, workers: u16, buffers: Buffers) -> Attached {
    attach(start().probe(vdev).unwrap(), id, &wish(workers), buffers).unwrap()
}

fn received(port: &mut impl Port<Frame = MbufFrame>) -> Vec<(Vec<u8>, Meta)> {
    let mut burst = Burst::new();
    port.rx_burst(&mut burst);
    burst.drain().map(|frame| (frame.data().to_vec(), *frame.meta())).collect()
}

#[test]
fn frames_go_round_a_ring_and_get_the_meta_of_their_port() {
    let mut pool = buffers("round");
    let mut up = attached(&Vdev::ring("round").unwrap(), 7, 2, pool);
    let mut burst = Burst::new();
    for n in 0..3u8 {
        let mut frame = pool.copy_of(&[n; 60]).unwrap();
        frame.meta_mut().origin = Origin::Worker;
        frame.prepend(14).unwrap().fill(0xee);
        assert!(burst.push(frame).is_ok());
    }
    up.pairs[1].tx_burst(&mut burst);
    assert!(burst.is_empty());
    assert!(received(&mut up.pairs[0]).is_empty());
    let frames = received(&mut up.pairs[1]);
    assert_eq!(frames.iter().map(|(data, _)| data[14]).collect::<Vec<_>>(), [0, 1, 2]);
    assert!(
        frames.iter().all(|(data, meta)| data.len() == 74 && *meta == Meta { port: 7, ..Meta::default() })
    );
    assert_eq!(pool.available(), pool.capacity());
}

#[test]
fn a_full_ring_leaves_the_rest_in_order() {
    let mut pool = buffers("full");
    let mut up = attached(&Vdev::ring("full").unwrap(), 0, 1, pool);
    let mut burst = Burst::new();
    let mut number = 0u16;
    while burst.is_empty() {
        while burst.room() > 0 {
            assert!(burst.push(pool.copy_of(&number.to_be_bytes()).unwrap()).is_ok());
            number += 1;
        }
        up.pairs[0].tx_burst(&mut burst);
    }
    let mut seen = Vec::new();
    loop {
        let frames = received(&mut up.pairs[0]);
        if frames.is_empty() && burst.is_empty() {
            break;
        }
        seen.extend(frames.into_iter().map(|(data, _)| u16::from_be_bytes([data[0], data[1]])));
        up.pairs[0].tx_burst(&mut burst);
    }
    assert_eq!(seen, (0..number).collect::<Vec<_>>());
    assert_eq!(pool.available(), pool.capacity());
}

#[test]
fn workers_beyond_the_queues_share_what_there_is() {
    let mut pool = buffers("shared");
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let mut up = attached(&Vdev::pcap("shared", None, Some(&out)).unwrap(), 0, 2, pool);
    let names: Vec<_> = up.port.fallbacks().iter().map(Fallback::name).collect();
    assert_eq!(names, ["fewer-rx-queues", "fewer-tx-queues"]);
    assert_eq!(up.pairs.iter().map(|pair| pair.receives()).collect::<Vec<_>>(), [true, false]);
    for pair in &mut up.pairs {
        let mut burst = Burst::new();
        assert!(burst.push(pool.copy_of(&[5; 60]).unwrap()).is_ok());
        pair.tx_burst(&mut burst);
        assert!(burst.is_empty());
        assert!(received(pair).is_empty());
    }
    drop(up);
    assert_eq!(std::fs::metadata(&out).unwrap().len(), 24 + 2 * (16 + 60));
    assert_eq!(pool.available(), pool.capacity());
}

#[test]
fn a_burst_with_little_room_takes_no_more_than_that() {
    let mut pool = buffers("room");
    let mut up = attached(&Vdev::null("room", 64).unwrap(), 0, 1, pool);
    let mut burst = Burst::new();
    while burst.room() > 3 {
        assert!(burst.push(pool.alloc().unwrap()).is_ok());
    }
    up.pairs[0].rx_burst(&mut burst);
    assert_eq!(burst.len(), BURST);
    drop(burst);
    assert_eq!(pool.available(), pool.capacity());
}

#[test]
fn a_large_frame_takes_a_jumbo_buffer() {
    let mut pool = buffers("large");
    let large = pool.alloc_for(60_000).unwrap();
    assert!(large.tailroom() >= 60_000 && large.headroom() == 128);
    assert!(pool.alloc_for(65_408).is_none());
    drop(large);
    assert_eq!(pool.available(), pool.capacity());
}

#[test]
fn an_mtu_the_buffers_cannot_hold_is_refused_with_both_numbers() {
    let device = start().probe(&Vdev::silent("mtu").unwrap()).unwrap();
    let error = attach(device, 0, &Wish { mtu: 9000, ..wish(1) }, buffers("mtu")).unwrap_err();
    assert!(matches!(error, AttachError::Refused { .. }));
    assert_eq!(
        error.to_string(),
        "port net_null_mtu: frames of up to 9022 octets do not fit buffers of 2048: \
         give the pool more room or lower the MTU"
    );
}
