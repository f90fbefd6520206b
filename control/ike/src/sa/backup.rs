//! A peer that may be at several addresses ([`crate::config::Connection::backup_remotes`]): where nobody answers at one the
//! next is called.
//!
//! Only silence leads on. The first request is repeated but a few times while there is another address: who is there
//! answers it at once. One that follows an answer is repeated as usual: the peer may be looking something up, or its port
//! 4500 be closed on the way. The call at each address is one of its own, with its own nonce and NAT detection. Which one
//! is tried first next time, and when, is the caller's: always the preferred one.

use super::common::Common;
use super::packet::Packets;
use super::redirect::Onward;
use crate::config::{ChildId, Retransmission};
use crate::error::Failure;
use crate::window::Schedule;
use crate::wire::GatewayIdentity;
use std::net::IpAddr;
use std::time::Duration;

/// Repetitions of the first request at each of several addresses: three and a half seconds, as is usual.
const TRIES: u32 = 2;

/// How the first request is repeated.
pub(crate) fn schedule(common: &Common, usual: Retransmission) -> Schedule {
    let one_of_several = !common.config.backup_remotes.is_empty() && place(common).is_some();
    let tries = if one_of_several { usual.tries.min(TRIES) } else { usual.tries };
    Schedule::Doubling(Retransmission { tries, ..usual })
}

/// Which of the peer's addresses is called; `None`: another gateway, to which it redirected us.
fn place(common: &Common) -> Option<usize> {
    common.config.remotes().position(|remote| remote == common.attempt.remote.ip())
}

fn next(common: &Common) -> Option<IpAddr> {
    common.config.remotes().nth(place(common)?.saturating_add(1))
}

/// Nobody answered: why the call ends, with the one at the next address to follow where there is one.
pub(crate) fn unanswered(common: &mut Common, child: ChildId, (tries, waited): (u32, Duration)) -> Failure {
    let Some(next) = next(common) else { return Failure::NoReply { tries, waited } };
    common.onward = Some(Box::new(Onward {
        connection: common.connection,
        to: GatewayIdentity::Address(next),
        trail: common.trail.clone(),
        children: vec![child],
        packets: Packets::default(),
    }));
    Failure::NoReplyHere { tries, waited, next }
}

/// The peer has answered a first request and then no more, if that is how the call ends: the next address as well. One
/// that has given the call up and says so is not silent.
pub(crate) fn fell_silent(common: &mut Common, child: ChildId, failure: Failure) -> Failure {
    match failure {
        Failure::NoReply { tries, waited } => unanswered(common, child, (tries, waited)),
        failure => failure,
    }
}
