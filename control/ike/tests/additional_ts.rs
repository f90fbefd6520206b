//! What is said of selectors beside those of one CHILD_SA (RFC 7296 §2.9): ADDITIONAL_TS_POSSIBLE, SINGLE_PAIR_REQUIRED.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use crate::harness::peer::{self, Peer};
use crate::harness::settings;
use ravelin_ike::config::ChildId;
use ravelin_ike::event::Event;
use ravelin_ike::input::Command;
use ravelin_ike::wire::{AddressRange, ExchangeType, NotifyType, Payload, TrafficSelector, TrafficSelectors};
use std::net::IpAddr;

fn is_more(payload: &Payload) -> bool {
    matches!(payload, Payload::Notify(notify) if notify.notify_type == NotifyType::AdditionalTsPossible)
}

/// What of an offer is left for another SA is told of, until there is nothing left (RFC 7296 §2.9).
#[test]
fn what_another_sa_would_take_is_told() {
    let wide = |end: u8| {
        let at = |octets: [u8; 2]| IpAddr::from([10, end, octets[0], octets[1]]);
        let addresses = AddressRange::new(at([0, 0]), at([255, 255])).unwrap();
        TrafficSelectors::new(vec![TrafficSelector {
            protocol: 0,
            start_port: 0,
            end_port: 65535,
            addresses,
        }])
    };
    let mut peer = Peer::new(|connection| {
        connection.children.iter_mut().for_each(|child| child.proposals[0].groups.clear());
    });
    peer.call(peer.init());
    let mut first = peer.auth();
    first.truncate(first.len() - 2);
    first.push(Payload::TrafficSelectorsInitiator(wide(0)));
    first.push(Payload::TrafficSelectorsResponder(wide(1)));
    let reply = peer.ask(ExchangeType::IkeAuth, first);
    assert!(reply.iter().any(is_more), "the second child is left: {reply:?}");
    let mut second = peer.child(1, 0x2222_2222, None);
    second.truncate(second.len() - 2);
    second.push(Payload::TrafficSelectorsInitiator(wide(0)));
    second.push(Payload::TrafficSelectorsResponder(wide(1)));
    let reply = peer.ask(ExchangeType::CreateChildSa, second);
    assert!(!reply.iter().any(is_more), "nothing is left: {reply:?}");
    assert_eq!(peer.children().len(), 2);
}

/// Who asks for as much as one child has is told nothing of others.
#[test]
fn nothing_is_told_of_what_was_not_asked_for() {
    let mut peer = Peer::new(|_| {});
    peer.call(peer.init());
    let reply = peer.ask(ExchangeType::IkeAuth, peer.auth());
    assert!(!reply.iter().any(is_more), "{reply:?}");
}

/// A peer that takes a pair of single addresses only is named, where no packet says which (`tests/packet.rs` has one that does).
#[test]
fn a_single_pair_that_is_required_is_named() {
    let mut peer = Peer::up(|_| {});
    peer.command(Command::Initiate { connection: settings::CONNECTION, child: Some(ChildId(2)) });
    let request = peer.hear();
    peer.tell(&request, peer::notify(NotifyType::SinglePairRequired));
    let refused =
        |event: &Event| matches!(event, Event::ChildFailed { reason, .. } if reason.code() == "RV-CHILD-013");
    assert!(peer.events.iter().any(refused), "{:?}", peer.events);
    assert_eq!(peer.children().len(), 1);
}
