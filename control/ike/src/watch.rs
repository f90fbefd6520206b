//! Watching a peer: for a while every message from and to it is told, with its payloads by type and size, and what
//! becomes of it. Never what is in them: neither keys, nor proofs, nor identities that were not proven.
//!
//! Nothing of a line is made while nobody watches. Watching ends by itself, and so many lines a second are told and no
//! more, so that a peer in a loop fills no log.

use crate::allowance::Allowance;
use crate::time::Instant;
use crate::wire::{Header, Message, Outer, Payload, emit_chain};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::IpAddr;

/// Peers watched at once.
pub const WATCHED: usize = 8;

/// Lines told a second, of all of them.
pub const LINES: u32 = 200;

/// Too many peers are watched: the operator's to end one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{WATCHED} peers are watched already: end one of them")]
pub struct TooManyWatched;

/// Who is watched, and until when. Sole owner: the engine.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    peers: BTreeMap<IpAddr, Instant>,
    lines: Allowance,
    left_out: u64,
}

impl Watch {
    /// Watches a peer until then; a time that is over ends it.
    pub(crate) fn set(&mut self, now: Instant, peer: IpAddr, until: Instant) -> Result<(), TooManyWatched> {
        self.peers.remove(&peer);
        if until <= now {
            return Ok(());
        }
        if self.peers.len() >= WATCHED {
            return Err(TooManyWatched);
        }
        self.peers.insert(peer, until);
        Ok(())
    }

    /// Whether a line about this peer is to be made; with the number of those left out since the last one.
    pub(crate) fn takes(&mut self, now: Instant, peer: IpAddr) -> Option<u64> {
        if self.peers.is_empty() || self.peers.get(&peer).is_none_or(|until| *until <= now) {
            return None;
        }
        if !self.lines.take(now, LINES) {
            self.left_out = self.left_out.saturating_add(1);
            return None;
        }
        Some(std::mem::take(&mut self.left_out))
    }

    /// Forgets those whose time is over, and says who they were.
    pub(crate) fn expire(&mut self, now: Instant) -> Vec<IpAddr> {
        self.peers.extract_if(.., |_, until| *until <= now).map(|(peer, _)| peer).collect()
    }

    /// When [`Self::expire`] has something to do.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.peers.values().min().copied()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (IpAddr, Instant)> {
        self.peers.iter().map(|(peer, until)| (*peer, *until))
    }
}

/// A datagram as anybody on the wire can see it.
pub(crate) fn datagram(bytes: &[u8]) -> String {
    match Outer::parse(bytes) {
        Ok(Outer::Clear(message)) => {
            format!("{}: {}", header(&message.header, bytes.len()), inside(&message))
        }
        Ok(Outer::Sealed(sealed)) => format!("{}: encrypted", header(sealed.header(), bytes.len())),
        Ok(Outer::Fragment(fragment)) => {
            let (number, total) = (fragment.number(), fragment.total());
            let header = header(fragment.sealed().header(), bytes.len());
            format!("{header}: fragment {number} of {total}, encrypted")
        }
        Err(error) => format!("{} octets that are no IKE message: {error}", bytes.len()),
    }
}

/// What is in a message.
pub(crate) fn message(message: &Message) -> String {
    let Header { exchange, message_id, flags, .. } = message.header;
    let kind = if flags.response { "response" } else { "request" };
    format!("{exchange} {kind} {message_id} holds {}", inside(message))
}

fn header(header: &Header, octets: usize) -> String {
    let Header { exchange, message_id, flags, initiator_spi, responder_spi, .. } = header;
    let kind = if flags.response { "response" } else { "request" };
    let by = if flags.initiator { "initiator" } else { "responder" };
    let spis = format!("SPIs {:016x}_i {:016x}_r", initiator_spi.0, responder_spi.0);
    format!("{exchange} {kind} {message_id} of the {by}, {spis}, {octets} octets")
}

/// The payloads by type and size; of notifications by their own type as well.
fn inside(message: &Message) -> String {
    let mut text = String::new();
    for payload in &message.payloads {
        let separator = if text.is_empty() { "" } else { ", " };
        let kind = match payload {
            Payload::Notify(notify) => format!("N({})", notify.notify_type),
            payload => payload.payload_type().to_string(),
        };
        // A string takes whatever is written.
        let _ = write!(text, "{separator}{kind} {}", octets(payload));
    }
    if text.is_empty() { "no payload".to_owned() } else { text }
}

/// Octets of a payload as it is written, its generic header included.
fn octets(payload: &Payload) -> usize {
    emit_chain(std::slice::from_ref(payload)).map_or(0, |chain| chain.octets.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    /// One peer less than can be watched, as many, one more; a peer that is watched already is no further one.
    #[test]
    fn so_many_are_watched() {
        for (peers, last) in [(WATCHED - 1, Ok(())), (WATCHED, Ok(())), (WATCHED + 1, Err(TooManyWatched))] {
            let mut watch = Watch::default();
            let set: Vec<_> =
                (0..peers).map(|last| watch.set(Instant(0), peer(last as u8), Instant(9))).collect();
            assert_eq!(set.last(), Some(&last));
            assert_eq!(watch.set(Instant(0), peer(0), Instant(20)), Ok(()));
            assert_eq!(watch.iter().next(), Some((peer(0), Instant(20))));
        }
    }

    /// It ends by itself, to the microsecond, and at once where it is told to.
    #[test]
    fn it_ends_by_itself() {
        let mut watch = Watch::default();
        watch.set(Instant(0), peer(1), Instant(10)).unwrap();
        watch.set(Instant(0), peer(2), Instant(20)).unwrap();
        assert_eq!(watch.deadline(), Some(Instant(10)));
        assert!(watch.takes(Instant(9), peer(1)).is_some() && watch.takes(Instant(10), peer(1)).is_none());
        assert_eq!(watch.expire(Instant(10)), [peer(1)]);
        watch.set(Instant(11), peer(2), Instant(11)).unwrap();
        assert_eq!((watch.iter().count(), watch.deadline()), (0, None));
        assert_eq!(watch.takes(Instant(11), peer(2)), None);
    }

    /// So many lines a second, one less, one more; what was left out is told with the next.
    #[test]
    fn lines_are_bounded() {
        let mut watch = Watch::default();
        watch.set(Instant(0), peer(1), Instant(u64::MAX)).unwrap();
        let told = (0..LINES + 7).filter(|_| watch.takes(Instant(5), peer(1)).is_some()).count();
        assert_eq!(told, LINES as usize);
        assert_eq!(watch.takes(Instant(1_000_005), peer(1)), Some(7));
        assert_eq!(watch.takes(Instant(1_000_005), peer(1)), Some(0));
        assert_eq!(watch.takes(Instant(1_000_005), peer(2)), None, "whom nobody watches");
    }
}
