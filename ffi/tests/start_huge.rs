//! A start on huge pages, on machines that have 64 MB of them free; says so and passes on others.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use dpdk::eal::{Config, Error, Memory};
use dpdk::{Eal, Pool, pool};

#[test]
fn huge_pages_without_files_carry_a_pool() {
    let config = Config {
        memory: Memory::HugeInMemory(vec![64]),
        log: |_| (),
        ..Config::ordinary(vec![0], vec![], 0)
    };
    let eal = match Eal::start(&config) {
        Ok(started) => started.eal,
        Err(Error::HugePages { .. }) => return eprintln!("skipped: needs 64 MB of free huge pages"),
        Err(error) => panic!("{error}"),
    };
    let sizes = pool::Config { name: "huge", mbufs: 8192, cache: 256, room: 2048, numa: None };
    let pool: Pool<u64> = Pool::new(eal, &sizes).unwrap();
    assert!(pool.alloc().is_some());
    assert!(pool.is_full());
}
