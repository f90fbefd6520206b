//! A start that fails says what EAL said, and is the only one in a process.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use dpdk::Eal;
use dpdk::eal::{Config, Error};

#[test]
fn a_failed_start_quotes_eal_and_is_final() {
    // Refused before EAL is touched, so these do not count as the start.
    assert!(matches!(Eal::start(&Config::ordinary(vec![0], vec![9999], 64)), Err(Error::Cpu { cpu: 9999 })));
    let nul = Config { extra: vec!["a\0b".into()], ..Config::ordinary(vec![0], vec![], 64) };
    assert!(matches!(Eal::start(&nul), Err(Error::Nul { .. })));

    let bogus =
        Config { extra: vec!["--bogus".into()], log: |_| (), ..Config::ordinary(vec![0], vec![], 64) };
    let error = Eal::start(&bogus).unwrap_err();
    let Error::Init { said, arguments, .. } = &error else { panic!("{error}") };
    assert!(said.iter().any(|line| line.contains("Invalid 'command line'")), "{said:?}");
    assert!(arguments.contains(&"--bogus".to_owned()));
    assert!(matches!(Eal::start(&Config::ordinary(vec![0], vec![], 64)), Err(Error::AlreadyStarted)));
}
