//! ESP for an SPI that one side does not know (RFC 7296 §1.5, §2.21.4): INVALID_SPI within an IKE SA, and nowhere else.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use crate::harness::address;
use crate::harness::peer::Peer;
use crate::harness::settings;
use ravelin_ike::event::{Event, LostBy};
use ravelin_ike::wire::{ExchangeType, Message, Notify, NotifyType, Payload};
use std::net::SocketAddr;

const SECOND: u64 = 1_000_000;
const STRAY: u32 = 0x0bad_0bad;

fn invalid(spi: u32) -> Payload {
    Payload::Notify(Notify::new(NotifyType::InvalidSpi, spi.to_be_bytes().to_vec()))
}

fn told(peer: &Peer) -> Vec<(u32, LostBy)> {
    let of = |event: &Event| match event {
        Event::SpiUnknown { spi, by, .. } => Some((*spi, *by)),
        _ => None,
    };
    peer.events.iter().filter_map(of).collect()
}

fn answer(peer: &mut Peer, request: &Message) {
    peer.tell(request, Vec::new());
}

/// The peer's address, bare and in UDP.
fn of_peer() -> [SocketAddr; 2] {
    [address(0, 0), address(0, 500)]
}

/// "the node MAY send a notification of the wayward packet over that IKE SA in an INFORMATIONAL exchange" (§1.5): one for
/// ever so many packets.
#[test]
fn a_peer_that_sends_by_a_lost_sa_is_told_seldom() {
    for remote in of_peer() {
        let mut peer = Peer::up(|_| {});
        for _ in 0..1000 {
            peer.stray(remote, STRAY);
        }
        let request = peer.hear();
        assert_eq!(request.header.exchange, ExchangeType::Informational);
        assert_eq!(request.payloads, [invalid(STRAY)]);
        answer(&mut peer, &request);
        peer.wait(9 * SECOND);
        peer.stray(remote, STRAY + 1);
        assert!(peer.heard.is_empty(), "too soon");
        peer.wait(2 * SECOND);
        peer.stray(remote, STRAY + 1);
        let request = peer.hear();
        assert_eq!(request.payloads, [invalid(STRAY + 1)]);
        answer(&mut peer, &request);
        assert_eq!(told(&peer), [(STRAY, LostBy::Us), (STRAY + 1, LostBy::Us)]);
        assert_eq!(peer.children().len(), 1, "what is up stays up");
    }
}

/// Nobody is told who has no IKE SA, and no peer what somebody else sent; an SPI that is known by now is none to tell of.
#[test]
fn nobody_else_is_told() {
    let mut peer = Peer::up(|_| {});
    let known = peer.children()[0].0;
    for (remote, spi) in [
        (SocketAddr::new(settings::NOBODY, 0), STRAY),
        (address(0, 4711), STRAY),
        (address(1, 0), STRAY),
        (address(0, 0), known),
    ] {
        peer.stray(remote, spi);
        peer.wait(20 * SECOND);
        assert!(peer.heard.is_empty() && told(&peer).is_empty(), "{remote} {spi:08x}");
    }
    let mut stranger = Peer::new(|_| {});
    stranger.stray(address(0, 0), STRAY);
    assert!(stranger.heard.is_empty() && stranger.events.is_empty());
}

/// ```text
///   peer  INFORMATIONAL{N(INVALID_SPI), our SPI to it}  ->
///         <-  CREATE_CHILD_SA{N(REKEY_SA) ...}
///   peer  N(CHILD_SA_NOT_FOUND)  ->
///         <-  CREATE_CHILD_SA{...}: from scratch
/// ```
#[test]
fn what_the_peer_has_lost_is_made_anew() {
    let mut peer = Peer::up(|_| {});
    let (spi_in, spi_out) = peer.children()[0];
    assert_eq!(peer.ask(ExchangeType::Informational, vec![invalid(spi_out)]), []);
    let rekey = peer.hear();
    let names_old = Payload::Notify(Notify::about_esp(NotifyType::RekeySa, spi_in, Vec::new()));
    assert!(rekey.payloads.contains(&names_old), "{rekey:?}");
    let lost = Notify::about_esp(NotifyType::ChildSaNotFound, spi_in, Vec::new());
    peer.tell(&rekey, vec![Payload::Notify(lost)]);
    let anew = peer.hear();
    assert_eq!(anew.header.exchange, ExchangeType::CreateChildSa);
    assert!(!anew.payloads.contains(&names_old));
    assert_eq!(told(&peer), [(spi_out, LostBy::Peer)]);
}

/// "it should only be used by the recipient as a hint" (§3.10.1): of an SPI that we do not send by nothing comes, nor of a
/// second word soon after, nor of one outside the IKE SA.
#[test]
fn what_is_no_news_does_nothing() {
    let mut peer = Peer::up(|_| {});
    let (spi_in, spi_out) = peer.children()[0];
    let cut = Payload::Notify(Notify::new(NotifyType::InvalidSpi, vec![0; 3]));
    for payload in [invalid(spi_in), invalid(STRAY), cut] {
        assert_eq!(peer.ask(ExchangeType::Informational, vec![payload]), []);
        assert!(peer.heard.is_empty() && told(&peer).is_empty());
    }
    let clear = peer.clear(ravelin_ike::wire::emit_chain(&[invalid(spi_out)]).unwrap());
    peer.deliver(clear);
    assert!(peer.heard.is_empty() && told(&peer).is_empty());
    for _ in 0..3 {
        peer.ask(ExchangeType::Informational, vec![invalid(spi_out)]);
    }
    peer.hear();
    assert!(peer.heard.is_empty());
    assert_eq!(told(&peer), [(spi_out, LostBy::Peer)]);
    let mut only = Peer::up(|connection| connection.responder_only = true);
    let spi_out = only.children()[0].1;
    only.ask(ExchangeType::Informational, vec![invalid(spi_out)]);
    assert!(only.heard.is_empty(), "who only answers begins nothing");
    assert_eq!(told(&only), [(spi_out, LostBy::Peer)]);
}
