//! A peer that puts us off (TEMPORARY_FAILURE, RFC 7296 §2.25): it is asked again, and left when that has gone on for
//! minutes.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use crate::harness::peer::{self, Peer};
use crate::harness::settings;
use ravelin_ike::config::ChildId;
use ravelin_ike::event::Event;
use ravelin_ike::input::Command;
use ravelin_ike::wire::{Delete, Message, NotifyType, Payload};

const SECOND: u64 = 1_000_000;

/// The next request, which comes within so many seconds.
fn next(peer: &mut Peer, seconds: u64) -> Message {
    let end = peer.now + seconds * SECOND;
    while peer.heard.is_empty() && peer.now < end {
        peer.wait(SECOND / 10);
    }
    peer.hear()
}

fn why_down(peer: &Peer) -> Option<&'static str> {
    peer.events.iter().find_map(|event| match event {
        Event::IkeDown { reason, .. } => Some(reason.code()),
        _ => None,
    })
}

fn is_delete_of_ike(message: &Message) -> bool {
    matches!(message.payloads[..], [Payload::Delete(Delete::Ike)])
}

/// Whatever is asked for: a new child, a successor of the first, one of the IKE SA. It ends after five minutes, with a
/// Delete.
#[test]
fn a_peer_that_is_busy_without_end_is_left() {
    let begin: [fn(&mut Peer); 3] = [
        |peer| peer.command(Command::Initiate { connection: settings::CONNECTION, child: Some(ChildId(2)) }),
        |peer| peer.command(Command::RekeyChild { child: peer.child_id() }),
        |peer| peer.command(Command::RekeyIke { ike: peer.ike_id() }),
    ];
    for begin in begin {
        let mut peer = Peer::up(|_| {});
        let since = peer.now;
        begin(&mut peer);
        let mut asked = 0;
        let last = loop {
            let request = next(&mut peer, 60);
            if is_delete_of_ike(&request) {
                break request;
            }
            asked += 1;
            assert!(asked < 200, "it is asked for ever");
            peer.tell(&request, peer::notify(NotifyType::TemporaryFailure));
        };
        let seconds = (peer.now - since) / SECOND;
        assert!((300..330).contains(&seconds), "{seconds} s");
        assert_eq!((why_down(&peer), peer.children()), (Some("RV-END-012"), vec![]));
        peer.tell(&last, Vec::new());
    }
}

/// One that is busy for a while and then is not is kept, however often.
#[test]
fn a_peer_that_was_busy_now_and_then_is_kept() {
    let mut peer = Peer::up(|_| {});
    for _ in 0..4 {
        peer.command(Command::RekeyChild { child: peer.child_id() });
        let since = peer.now;
        while peer.now < since + 200 * SECOND {
            let request = next(&mut peer, 60);
            peer.tell(&request, peer::notify(NotifyType::TemporaryFailure));
        }
        let request = next(&mut peer, 60);
        peer.tell(&request, peer::notify(NotifyType::NoProposalChosen));
        peer.heard.clear();
    }
    assert_eq!((why_down(&peer), peer.children().len()), (None, 1));
}
