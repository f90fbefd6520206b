//! What a server that a certificate names may say, the URL that names it, and what is kept of an answer.
//!
//! The first octet chooses. 0: an answer by LDAP (RFC 4511). 1: a transfer by TFTP (RFC 1350), each packet behind its
//! length in two octets. 2: a URL, and behind a space a reference to follow from it. 3: Cache-Control and Age of HTTP. 4: a
//! file of a kept answer. Nothing stumbles, no transfer has more than it may, and what is refused is refused by name.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ravelin_fetch::answer::tftp::{Step, Transfer};
use ravelin_fetch::answer::{ldap, words};
use ravelin_fetch::cache::{Keep, decode};
use ravelin_fetch::{Url, error::FetchError};

/// Octets a transfer may bring.
const CAP: usize = 2000;

fuzz_target!(|data: &[u8]| {
    let Some((choice, rest)) = data.split_first() else { return };
    match (choice, std::str::from_utf8(rest)) {
        (0, _) => answer(rest),
        (1, _) => transfer(rest),
        (2, Ok(text)) => url(text),
        (3, Ok(text)) => {
            let (control, age) = text.split_once('\n').unwrap_or((text, "0"));
            let _ = Keep::of(Some(control), Some(age));
        }
        (4, _) => {
            let _ = decode(rest);
        }
        _ => {}
    }
});

fn answer(octets: &[u8]) {
    if let Some((_, ldap::Answer::Done { text, .. })) = ldap::read_answer(octets) {
        assert!(!words(&text).contains(char::is_control), "a server's words reach the terminal as they are");
    }
}

fn transfer(mut packets: &[u8]) {
    let mut transfer = Transfer::new(CAP);
    while let Some((length, rest)) = packets.split_first_chunk::<2>() {
        let (packet, rest) = rest.split_at(rest.len().min(usize::from(u16::from_be_bytes(*length))));
        packets = rest;
        let step = transfer.receive(packet);
        assert!(transfer.content().len() <= CAP);
        match step {
            Ok(Step::Say(_) | Step::Ignore) => {}
            Ok(Step::Done(_)) => return,
            Err(refused) => return named(&refused),
        }
    }
}

fn url(text: &str) {
    let (text, reference) = text.split_once(' ').unwrap_or((text, ""));
    let url = match Url::parse(text) {
        Ok(url) => url,
        Err(refused) => return assert!(!refused.to_string().is_empty()),
    };
    shown(&url);
    if let Ok(next) = url.join(reference) {
        shown(&next);
    }
}

/// A URL is what it says it is, but for a user, who is not shown.
fn shown(url: &Url) {
    let again = Url::parse(&url.to_string());
    assert!(url.user.is_some() || again.as_ref() == Ok(url), "{url} is read as {again:?}");
}

fn named(refused: &FetchError) {
    assert!(!refused.to_string().is_empty());
}
