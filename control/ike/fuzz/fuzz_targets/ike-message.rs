//! One datagram on port 500 or 4500 from anybody (RFC 7296 §3.1).
//!
//! Whatever parses writes back to no more octets than came, reads the same again, and is written the
//! same again. What is not to be read without keys is split without losing an octet. A cookie in front is taken away
//! whole, and nothing else with it. What is glanced at of a request is what reading it whole finds.
#![no_main]

#[path = "../written.rs"]
mod written;

use libfuzzer_sys::fuzz_target;
use ravelin_ike::wire::{
    Glance, HEADER_LENGTH, Message, NotifyType, Outer, Payload, Sealed, limits, without_cookie,
};
use written::written;

fuzz_target!(|data: &[u8]| {
    check(data);
    // A right Length field, so that not every mutation of the body ends at the header.
    let mut datagram = data.to_vec();
    if let (Some(field), Ok(length)) = (datagram.get_mut(24..HEADER_LENGTH), u32::try_from(data.len())) {
        field.copy_from_slice(&length.to_be_bytes());
        check(&datagram);
    }
});

fn check(datagram: &[u8]) {
    cookie(datagram);
    match Outer::parse(datagram) {
        Ok(Outer::Clear(message)) => {
            glance(datagram, &message);
            round_trip(&message, datagram.len());
        }
        Ok(Outer::Sealed(sealed)) => whole(&sealed, datagram),
        Ok(Outer::Fragment(fragment)) => {
            assert!((1..=fragment.total()).contains(&fragment.number()));
            assert!(fragment.total() <= limits::FRAGMENTS);
            whole(fragment.sealed(), datagram);
        }
        Err(refused) => {
            // What is glanced at before it is read whole may be anything.
            let _ = Glance::of(datagram);
            assert!(!refused.to_string().is_empty());
        }
    }
}

/// What is glanced at of a first request is what reading all of it finds first.
fn glance(datagram: &[u8], message: &Message) {
    let nonce = message.payloads.iter().find_map(|payload| match payload {
        Payload::Nonce(nonce) => Some(nonce.as_bytes()),
        _ => None,
    });
    let glance = Glance::of(datagram);
    assert_eq!(glance.map(|seen| seen.nonce), nonce);
    if let Some(seen) = glance {
        let cookie = message.notify(NotifyType::Cookie).map(|notify| notify.data.as_slice());
        assert_eq!((seen.header, seen.cookie), (message.header, cookie));
    }
}

fn cookie(datagram: &[u8]) {
    let without = without_cookie(datagram);
    if without.len() == datagram.len() {
        return assert_eq!(without, datagram);
    }
    assert_eq!(without[24..HEADER_LENGTH], (without.len() as u32).to_be_bytes());
    assert!(datagram.ends_with(&without[HEADER_LENGTH..]) && without.len() + 8 <= datagram.len());
}

fn whole(sealed: &Sealed, datagram: &[u8]) {
    assert_eq!([sealed.associated(), sealed.body()].concat(), datagram);
}

fn round_trip(message: &Message, received: usize) {
    assert!(message.payloads.len() <= limits::PAYLOADS);
    let Some(payloads) = written(&message.payloads) else { return };
    let octets = message.emit().expect("what was read can be written");
    assert!(octets.len() <= received, "{} octets became {}", received, octets.len());
    let Ok(Outer::Clear(again)) = Outer::parse(&octets) else { panic!("what was written cannot be read") };
    assert_eq!(again, Message { payloads, skipped: 0, ..message.clone() });
    assert_eq!(again.emit().expect("it was written before"), octets);
}
