//! The payloads inside an SK payload: sent by a peer that holds the keys and may still be hostile
//! (RFC 7296 §3.2).
//!
//! The first octet is the type that the header in front names, the rest is the chain. Sealing what was
//! read and opening it at the other end gives the same payloads. The rest is also read as what an AUTH
//! payload holds, an algorithm and a signature (RFC 7427 §3), as a REDIRECT (RFC 5685 §8.1), as ways to prove oneself
//! (RFC 9593 §3.2) and as a ticket that is given or shown (RFC 5723 §7), which mean the same once written by us. A ticket that
//! we have not made ourselves opens for nobody.
#![no_main]

#[path = "../written.rs"]
mod written;

use libfuzzer_sys::fuzz_target;
use ravelin_ike::config::{AdditionalGroups, Encryption, Group, Prf};
use ravelin_ike::crypto::{IkeKeys, IkeSuite, Protection, TicketKeys, signature};
use ravelin_ike::want::Role;
use ravelin_ike::wire::{
    Announcement, ExchangeType, Flags, Header, IkeSpi, Message, Notify, NotifyType, Outer, Redirect,
    TicketGiven, parse_chain,
};
use std::time::Duration;
use written::written;
use zeroize::Zeroizing;

fuzz_target!(|data: &[u8]| {
    let Some((first, chain)) = data.split_first() else { return };
    if let Ok((scheme, signed)) = signature::decode(chain) {
        assert_eq!(signature::decode(&signature::encode(scheme, signed)), Ok((scheme, signed)));
    }
    let redirect = Notify::new(NotifyType::Redirect, chain.to_vec());
    if let Some(redirect) = Redirect::from_notify(&redirect) {
        assert!(redirect.to.to_string().len() <= 4 * chain.len());
        assert_eq!(Redirect::from_notify(&redirect.notify()), Some(redirect));
    }
    let announced = Announcement::parse(chain);
    assert!(announced.len() <= chain.len() / 2, "each has two octets at least");
    assert_eq!(Announcement::parse(&Announcement::emit(&announced)), announced);
    tickets(chain);
    let Ok((payloads, _)) = parse_chain((*first).into(), chain) else { return };
    let Some(payloads) = written(&payloads) else { return };
    let message = Message::new(header(), payloads);
    let (mut peer, us) = (side(Role::Initiator), side(Role::Responder));
    let sealed = peer.seal(&message, &mut |out: &mut [u8]| out.fill(7));
    let Ok(datagram) = sealed else {
        assert!(chain.len() > 65_000, "payloads of {} octets were not sealed", chain.len());
        return;
    };
    let Ok(Outer::Sealed(sealed)) = Outer::parse(&datagram) else { panic!("our own message is not read") };
    assert_eq!(us.open(&sealed).expect("our own message opens").message, message);
});

fn tickets(data: &[u8]) {
    let given = Notify::new(NotifyType::TicketLtOpaque, data.to_vec());
    if let Some(given) = TicketGiven::from_notify(&given) {
        assert_eq!(TicketGiven::from_notify(&given.notify()), Some(given));
    }
    let shown = Notify::new(NotifyType::TicketOpaque, data.to_vec());
    if let Some(ticket) = shown.shown_ticket() {
        assert_eq!(Notify::ticket(&ticket).shown_ticket(), Some(ticket));
    }
    let keys = TicketKeys::new(0, Zeroizing::new([7; 32]), Duration::ZERO);
    assert!(keys.open(data).is_none(), "a forged ticket");
}

fn header() -> Header {
    Header::new(IkeSpi(1), IkeSpi(2), ExchangeType::IkeAuth, Flags { initiator: true, ..Flags::default() }, 1)
}

fn side(role: Role) -> Protection {
    let suite = IkeSuite {
        encryption: Encryption::AesGcm128,
        integrity: None,
        prf: Prf::HmacSha256,
        group: Group::X25519,
        additional: AdditionalGroups::NONE,
    };
    let key = |octet: u8, length: usize| Zeroizing::new(vec![octet; length]);
    let keys = IkeKeys {
        sk_d: key(1, 32),
        sk_ai: key(0, 0),
        sk_ar: key(0, 0),
        sk_ei: key(4, 20),
        sk_er: key(5, 20),
        sk_pi: key(6, 32),
        sk_pr: key(7, 32),
    };
    Protection::new(&suite, &keys, role).expect("the keys fit the suite")
}
