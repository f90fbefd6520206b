//! EAL starts once in a process, so all tests of one binary share it.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::sync::{Mutex, OnceLock};

use dpdk::eal::Config;
use dpdk::pool;
use dpdk::port::{SetUp, Wish, plan};
use dpdk::{Burst, Device, Eal, Lcore, Mbuf, Pool};

/// The private type of these tests.
pub type Tag = u64;

pub struct Harness {
    pub eal: Eal,
    pub lcores: Mutex<Vec<Lcore>>,
}

/// Starts EAL on first use, on a thread of its own, with two workers on CPU 0 and ordinary memory: enough for the
/// pools of all tests, which are never given back.
pub fn harness() -> &'static Harness {
    static HARNESS: OnceLock<Harness> = OnceLock::new();
    HARNESS.get_or_init(|| {
        let config = Config { log: |_| (), ..Config::ordinary(vec![0], vec![0, 0], 512) };
        let started = std::thread::spawn(move || Eal::start(&config)).join().unwrap().unwrap();
        Harness { eal: started.eal, lcores: Mutex::new(started.lcores) }
    })
}

pub fn pool(name: &str, mbufs: u32, room: u16) -> Pool<Tag> {
    let config = pool::Config { name, mbufs, cache: 32.min(mbufs / 2), room, numa: None };
    Pool::new(harness().eal, &config).unwrap()
}

pub fn wish(queues: u16) -> Wish {
    Wish { queues, rx_descriptors: 128, tx_descriptors: 128, mtu: 1500, promiscuous: false, spis: Vec::new() }
}

pub fn set_up(device: Device, queues: u16, pool: Pool<Tag>, jumbo: Option<Pool<Tag>>) -> SetUp<Tag> {
    let plan = plan(&device.info().unwrap(), &wish(queues), pool.room()).unwrap();
    device.set_up(&plan, pool, jumbo).unwrap()
}

pub fn bytes(burst: &Burst<Tag>) -> Vec<Vec<u8>> {
    burst.iter().map(|mbuf| mbuf.data().to_vec()).collect()
}

pub fn tagged(pool: &Pool<Tag>, tag: Tag, bytes: &[u8]) -> Mbuf<Tag> {
    let mut mbuf = pool.copy_of(bytes).unwrap();
    *mbuf.private_mut() = tag;
    mbuf
}
