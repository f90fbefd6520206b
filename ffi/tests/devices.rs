//! The safe face on DPDK's null, ring and pcap devices: nothing is lost, freed twice or
//! kept, whichever way mbufs travel. Every test ends with "the pool is full again".
#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

mod common;

use common::{bytes, harness, pool, set_up, tagged};
use dpdk::{Burst, Eal, Mbuf, Vdev, eal, port};

#[test]
fn mbufs_come_from_any_thread_and_go_home_on_any_thread() {
    let pool = pool("threads", 256, 2048);
    let lcore = harness().lcores.lock().unwrap().pop().unwrap();
    let foreign: Vec<Mbuf<u64>> = (0..64).map(|n| tagged(&pool, n, &[1; 60])).collect();
    // Half of them freed by an lcore, which allocates some itself and sends them back.
    let running = lcore
        .launch(move || {
            let sum: u64 = foreign.iter().map(|mbuf| *mbuf.private()).sum();
            drop(foreign);
            (sum, dpdk::lcore::current(), (0..40).map_while(|_| pool.alloc()).collect::<Vec<_>>())
        })
        .unwrap();
    let (lcore, result) = running.join();
    let (sum, current, made) = result.unwrap();
    assert_eq!((sum, current, made.len()), ((0..64).sum(), Some(lcore.id()), 40));
    assert_eq!(lcore.cpu(), 0);
    assert_eq!(pool.available(), 256 - 40);
    drop(made);
    assert!(pool.is_full());
    harness().lcores.lock().unwrap().push(lcore);
}

#[test]
fn a_panic_on_an_lcore_reaches_who_joins_it_and_the_lcore_works_on() {
    let lcore = harness().lcores.lock().unwrap().pop().unwrap();
    let (lcore, result) = lcore.launch(|| panic!("on purpose")).unwrap().join();
    assert!(result.is_err());
    let (lcore, result) = lcore.launch(|| 7).unwrap().join();
    assert_eq!(result.unwrap(), 7);
    harness().lcores.lock().unwrap().push(lcore);
}

#[test]
fn an_empty_pool_says_none_and_recovers() {
    let pool = pool("empty", 8, 64);
    let all: Vec<Mbuf<u64>> = std::iter::from_fn(|| pool.alloc()).collect();
    assert_eq!((all.len(), pool.available()), (8, 0));
    drop(all);
    assert!(pool.is_full());
    assert!(pool.copy_of(&[0; 65]).is_none());
    assert!(pool.is_full());
}

#[test]
fn an_mbuf_grows_and_shrinks_at_both_ends_and_refuses_more_than_it_has() {
    let pool = pool("ends", 8, 256);
    let mut mbuf = tagged(&pool, 9, b"packet");
    assert_eq!((mbuf.headroom(), mbuf.tailroom(), mbuf.len()), (128, 250, 6));
    mbuf.prepend(2).unwrap().copy_from_slice(b"a ");
    mbuf.append(1).unwrap().copy_from_slice(b"!");
    assert_eq!(mbuf.data(), b"a packet!");
    assert!(mbuf.prepend(127).is_none() && mbuf.prepend(usize::MAX).is_none());
    assert!(mbuf.append(250).is_none() && mbuf.append(usize::MAX).is_none());
    assert_eq!(mbuf.prepend(126).unwrap().len(), 126);
    // The same with one call, both ways, and nothing changes where the buffer ends.
    let (len, room) = (mbuf.len(), mbuf.tailroom());
    assert_eq!(mbuf.reshape(126, 2).unwrap(), b"a ");
    assert!(mbuf.reshape(-127, 2).is_none() && mbuf.reshape(1, len + room).is_none());
    assert!(mbuf.reshape(isize::MIN, 1).is_none() && mbuf.reshape(0, usize::MAX).is_none());
    assert_eq!((mbuf.headroom(), mbuf.data()), (126, &b"a "[..]));
    assert_eq!(mbuf.reshape(-126, len + room).unwrap().len(), len + room);
    assert_eq!(mbuf.reshape(0, len).unwrap().len(), len);
    // Wider than the packet is to be.
    assert_eq!(mbuf.surround(0, 5, 3).unwrap().len(), 5);
    assert_eq!((mbuf.headroom(), mbuf.len()), (3, 2));
    assert!(mbuf.surround(4, 5, 0).is_none() && mbuf.surround(0, 1, 2).is_none());
    assert!(mbuf.surround(0, 382, 0).is_none() && mbuf.surround(3, usize::MAX, 0).is_none());
    assert_eq!(mbuf.surround(3, len, 0).unwrap().len(), len);
    assert_eq!(mbuf.append(249).unwrap().len(), 249);
    assert_eq!((mbuf.headroom(), mbuf.tailroom(), mbuf.len()), (0, 0, 384));
    mbuf.trim_front(128);
    mbuf.truncate(6);
    assert_eq!((mbuf.data(), *mbuf.private()), (&b"packet"[..], 9));
    mbuf.trim_front(100);
    assert!(mbuf.is_empty());
    drop(mbuf);
    assert_eq!(*pool.alloc().unwrap().private(), 0, "a fresh mbuf has a default private value");
    assert!(pool.is_full());
}

#[test]
fn a_burst_keeps_order_and_frees_what_nobody_took() {
    let pool = pool("burst", 256, 64);
    let mut burst = Burst::new();
    for tag in 0..64 {
        burst.push(tagged(&pool, tag, b"x"));
    }
    let full = burst.try_push(tagged(&pool, 64, b"x")).unwrap_err();
    assert_eq!(*full.element().private(), 64);
    assert_eq!(*burst.pop().unwrap().private(), 63);
    let mut drain = burst.drain(..);
    assert_eq!(drain.next().map(|mbuf| *mbuf.private()), Some(0));
    drop(drain);
    assert!(burst.is_empty());
    assert!(pool.is_full());
    burst.push(tagged(&pool, 1, b"x"));
    drop(burst);
    assert!(pool.is_full());
}

#[test]
fn the_null_device_receives_without_end_and_swallows_what_is_sent() {
    let pool = pool("null", 512, 2048);
    let device = harness().eal.probe(&Vdev::null("n", 100).unwrap()).unwrap();
    let mut up = set_up(device, 1, pool, None);
    let mut burst = Burst::new();
    assert_eq!(up.rx[0].receive(&mut burst, 64), 64);
    assert_eq!(up.rx[0].receive(&mut burst, 64), 0, "a full burst asks for nothing");
    assert!(burst.iter().all(|mbuf| mbuf.len() == 100 && mbuf.port() == up.port.id()));
    assert_eq!(up.tx[0].send(&mut burst), 64);
    assert!(burst.is_empty());
    assert!(up.port.link().is_ok());
    assert_eq!(up.port.counters().unwrap().rx_packets, 64);
    let all = up.port.all_counters().unwrap();
    assert!(all.contains(&("rx_good_packets".to_owned(), 64)), "{all:?}");
    assert!(pool.is_full());
}

#[test]
fn the_ring_device_brings_mbufs_back_in_order_and_leaves_what_does_not_fit() {
    let pool = pool("ring", 2048, 256);
    let device = harness().eal.probe(&Vdev::ring("r").unwrap()).unwrap();
    let mut up = set_up(device, 2, pool, None);
    assert_eq!((up.rx.len(), up.tx.len()), (2, 2));
    let mut sent = 0;
    let mut rest = Burst::new();
    while rest.is_empty() {
        (0..64).for_each(|n| rest.push(tagged(&pool, sent + n, b"frame")));
        sent += up.tx[1].send(&mut rest) as u64;
    }
    assert_eq!(rest.iter().next().map(|mbuf| *mbuf.private()), Some(sent), "the rest keeps its order");
    let mut burst = Burst::new();
    assert_eq!(up.rx[0].receive(&mut burst, 64), 0, "queues are apart");
    for expected in 0..sent {
        if burst.is_empty() {
            up.rx[1].receive(&mut burst, 64);
            burst = reversed(burst);
        }
        let mbuf = burst.pop().unwrap();
        assert_eq!((*mbuf.private(), mbuf.data()), (expected, &b"frame"[..]));
    }
    drop(rest);
    assert!(pool.is_full());
}

fn reversed(mut burst: Burst<u64>) -> Burst<u64> {
    let mut other = Burst::new();
    while let Some(mbuf) = burst.pop() {
        other.push(mbuf);
    }
    other
}

#[test]
fn the_pcap_device_reads_frames_and_writes_them() {
    let pool = pool("pcap", 256, 2048);
    let dir = tempfile::tempdir().unwrap();
    let (rx, tx) = (dir.path().join("in"), dir.path().join("out"));
    let frames: Vec<Vec<u8>> = (60..100).map(|len| vec![len as u8; len]).collect();
    std::fs::write(&rx, capture(&frames)).unwrap();
    let device = harness().eal.probe(&Vdev::pcap("p", Some(&rx), Some(&tx)).unwrap()).unwrap();
    let mut up = set_up(device, 1, pool, None);
    let mut burst = Burst::new();
    while up.rx[0].receive(&mut burst, 64) > 0 {}
    assert_eq!(bytes(&burst), frames);
    assert_eq!(up.tx[0].send(&mut burst), frames.len());
    drop((up, burst));
    assert_eq!(std::fs::metadata(&tx).unwrap().len() as usize, capture(&frames).len());
    assert!(pool.is_full());
}

#[test]
fn a_chained_frame_is_made_linear_or_dropped_and_counted() {
    let small = pool("segments", 256, 2048);
    let large = pool("jumbo", 16, 9216);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("in");
    let jumbo: Vec<u8> = (0..9000u32).map(|n| n as u8).collect();
    std::fs::write(&file, capture(&[vec![1; 60], jumbo.clone(), vec![2; 60]])).unwrap();

    let device = harness().eal.probe(&Vdev::pcap("j1", Some(&file), None).unwrap()).unwrap();
    let mut up = set_up(device, 1, small, Some(large));
    let mut burst = Burst::new();
    while up.rx[0].receive(&mut burst, 64) > 0 {}
    assert_eq!(bytes(&burst), [vec![1; 60], jumbo, vec![2; 60]]);
    assert_eq!(up.rx[0].drops().unlinear, 0);
    drop((up, burst));

    let device = harness().eal.probe(&Vdev::pcap("j2", Some(&file), None).unwrap()).unwrap();
    let mut up = set_up(device, 1, small, None);
    let mut burst = Burst::new();
    up.rx[0].receive(&mut burst, 64);
    assert_eq!(bytes(&burst), [vec![1; 60], vec![2; 60]]);
    assert_eq!(up.rx[0].drops().unlinear, 1);
    drop((up, burst));
    assert!(small.is_full() && large.is_full());
}

/// A capture file as net_pcap reads and writes it: microseconds, little-endian, Ethernet.
fn capture(frames: &[Vec<u8>]) -> Vec<u8> {
    let words = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
    let mut file = words(&[0xa1b2_c3d4, 0x0004_0002, 0, 0, 65535, 1]);
    for frame in frames {
        let len = frame.len() as u32;
        file.extend(words(&[0, 0, len, len]));
        file.extend(frame);
    }
    file
}

/// A driver without flow rules refuses them when it is asked; the port runs all the same and says so.
#[test]
fn spis_a_driver_does_not_steer_are_told() {
    let pool = pool("flows", 256, 2048);
    let device = harness().eal.probe(&Vdev::silent("flows").unwrap()).unwrap();
    let rule = |queue: u16| port::SpiRule { value: (u32::from(queue) + 1) << 26, mask: 0x3f << 26, queue };
    let wish = port::Wish { spis: vec![rule(0), rule(1)], ..common::wish(2) };
    let plan = port::plan(&device.info().unwrap(), &wish, pool.room()).unwrap();
    assert_eq!(plan.spis, wish.spis);
    let up = device.set_up(&plan, pool, None).unwrap();
    let names: Vec<_> = up.port.fallbacks().iter().map(port::Fallback::name).collect();
    assert!(names.contains(&"no-spi-flow"), "{names:?}");
    drop(up);
    assert!(pool.is_full());
}

/// The table of a running device: all queues in turn from the start, one less while told so, and then as before.
#[test]
fn a_queue_is_taken_out_of_the_redirection_table_and_put_back() {
    let pool = pool("table", 512, 2048);
    let device = harness().eal.probe(&Vdev::silent("table").unwrap()).unwrap();
    let mut up = set_up(device, 3, pool, None);
    assert!(up.port.fallbacks().is_empty(), "{:?}", up.port.fallbacks());
    assert_eq!(up.port.redirectable(), 3);
    let start = up.port.redirection().unwrap();
    assert_eq!(start, (0..128).map(|place| place % 3).collect::<Vec<u16>>());

    up.port.spread(&[0, 2]).unwrap();
    let without = up.port.redirection().unwrap();
    assert!(!without.contains(&1));
    let moved = start.iter().zip(&without).filter(|(before, after)| before != after).count();
    assert_eq!(moved, start.iter().filter(|queue| **queue == 1).count(), "no other place has changed");

    for wrong in [&[][..], &[0, 3]] {
        let error = up.port.spread(wrong).unwrap_err();
        assert!(matches!(error, port::RedirectError::Queues { have: 3, .. }), "{error}");
    }
    assert_eq!(up.port.redirection().unwrap(), without, "a refusal changes nothing");
    up.port.spread(&[0, 1, 2]).unwrap();
    assert_eq!(up.port.redirection().unwrap(), start);
    drop(up);
    assert!(pool.is_full());
}

/// A device that spreads nothing is not asked, and says so.
#[test]
fn a_device_without_a_redirection_table_refuses_by_name() {
    let pool = pool("fixed", 512, 2048);
    let device = harness().eal.probe(&Vdev::ring("fixed").unwrap()).unwrap();
    let mut up = set_up(device, 2, pool, None);
    assert_eq!(up.port.redirectable(), 0);
    let error = up.port.spread(&[0]).unwrap_err();
    assert!(matches!(error, port::RedirectError::Fixed { .. }), "{error}");
    drop(up);
    assert!(pool.is_full());
}

#[test]
fn a_device_has_one_owner_and_its_name_is_free_when_it_is_gone() {
    let eal = harness().eal;
    let vdev = Vdev::silent("one").unwrap();
    let device = eal.probe(&vdev).unwrap();
    assert!(eal.devices().contains(&vdev.name().to_owned()));
    assert!(matches!(eal.claim(vdev.name()), Err(port::Error::Claimed { .. })));
    assert!(matches!(eal.probe(&vdev), Err(port::Error::Probe { .. } | port::Error::Claimed { .. })));
    assert_eq!(device.info().unwrap().driver, "net_null");
    drop(device);
    assert!(matches!(eal.claim(vdev.name()), Err(port::Error::Missing { .. })));
    drop(eal.probe(&vdev).unwrap());
}

#[test]
fn errors_say_what_and_why() {
    let eal = harness().eal;
    let unknown = Vdev::other("net_nonesuch", "x", "").unwrap();
    let error = eal.probe(&unknown).unwrap_err();
    assert!(matches!(&error, port::Error::Probe { said, .. } if !said.is_empty()), "{error}");
    let missing = eal.claim("0000:99:00.0").unwrap_err();
    assert!(missing.to_string().contains("dpdk-devbind"), "{missing}");
    let options = dpdk::vdev::AfPacket {
        iface: "nonesuch0",
        queues: 1,
        max_frame: 1522,
        frames: 64,
        qdisc_bypass: false,
    };
    let error = eal.probe(&Vdev::af_packet("x", &options).unwrap()).unwrap_err();
    assert!(matches!(&error, port::Error::Interface { iface, .. } if iface == "nonesuch0"), "{error}");
    let again = Eal::start(&eal::Config::ordinary(vec![0], vec![], 64)).unwrap_err();
    assert!(matches!(again, eal::Error::AlreadyStarted), "{again}");
}

#[test]
fn a_process_has_one_private_type() {
    let _first = pool("type", 8, 64);
    let config = dpdk::pool::Config { name: "other", mbufs: 8, cache: 0, room: 64, numa: None };
    let error = dpdk::Pool::<[u8; 3]>::new(harness().eal, &config).unwrap_err();
    assert!(matches!(error, dpdk::pool::Error::PrivateType { .. }), "{error}");
}

#[test]
fn a_pool_that_cannot_be_had_says_what_it_would_need() {
    let config = dpdk::pool::Config { name: "large", mbufs: 10_000_000, cache: 0, room: 2048, numa: None };
    let error = dpdk::Pool::<u64>::new(harness().eal, &config).unwrap_err();
    assert!(error.to_string().contains("MB") && error.to_string().contains("huge pages"), "{error}");
}
