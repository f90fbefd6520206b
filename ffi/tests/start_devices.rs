//! A start with virtual devices in its arguments: they are there to be claimed, the lcores
//! are where they were asked for, and the thread that started EAL keeps its CPUs.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use dpdk::eal::Config;
use dpdk::port::{Wish, plan};
use dpdk::{Burst, Eal, Pool, Vdev, pool};

fn cpus_of_this_thread() -> String {
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
    status.lines().find(|line| line.starts_with("Cpus_allowed_list")).unwrap().to_owned()
}

#[test]
fn devices_named_at_start_are_there_and_the_caller_keeps_its_cpus() {
    let before = cpus_of_this_thread();
    let vdev = Vdev::null("first", 64).unwrap();
    let config =
        Config { vdevs: vec![vdev.clone()], log: |_| (), ..Config::ordinary(vec![0], vec![0, 0], 64) };
    let started = Eal::start(&config).unwrap();
    assert_eq!(cpus_of_this_thread(), before);
    assert!(started.eal.version().starts_with("DPDK 22.11"));
    assert_eq!(
        started.lcores.iter().map(|lcore| (lcore.id(), lcore.cpu())).collect::<Vec<_>>(),
        [(1, 0), (2, 0)]
    );

    let sizes = pool::Config { name: "start", mbufs: 256, cache: 0, room: 2048, numa: None };
    let pool: Pool<u64> = Pool::new(started.eal, &sizes).unwrap();
    let device = started.eal.claim(vdev.name()).unwrap();
    let wish = Wish {
        queues: 1,
        rx_descriptors: 64,
        tx_descriptors: 64,
        mtu: 1500,
        promiscuous: true,
        spis: Vec::new(),
    };
    let plan = plan(&device.info().unwrap(), &wish, pool.room()).unwrap();
    let mut up = device.set_up(&plan, pool, None).unwrap();

    // A worker polls on its lcore and sends the port's halves home with it.
    let lcore = started.lcores.into_iter().next().unwrap();
    let running = lcore.launch(move || {
        let mut burst = Burst::new();
        let got = up.rx[0].receive(&mut burst, 64);
        (got, up.tx[0].send(&mut burst), cpus_of_this_thread())
    });
    let (_lcore, result) = running.unwrap().join();
    let (got, sent, cpus) = result.unwrap();
    assert_eq!((got, sent), (64, 64));
    assert!(cpus.ends_with("\t0"), "pinned to CPU 0: {cpus}");
    assert!(pool.is_full());
}
