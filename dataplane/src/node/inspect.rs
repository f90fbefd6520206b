//! What a decrypted packet may be: trailer, next header, inner header, selectors, congestion mark
//! (RFC 4303 §3.4.4, RFC 4301 §5.2, RFC 6040; DP-04, DP-18).
//!
//! A good tag says who sealed a packet, not that it is sensible: nothing in it is trusted before it is
//! checked. The replay window has moved before any of this (the number is used up in any case). Where the SA is one of
//! transport mode, [`super::transport`] looks into packets in place of this.

use std::net::IpAddr;

use crate::io::{Frame, Meta, Origin};
use crate::net::esp::{self, Framing};
use crate::net::flow::{Flow, Summary, Upper};
use crate::net::{icmp, protocol};
use crate::node::classify::EspAt;
use crate::node::opening::{Inner, Opening, Stage};
use crate::node::{clamp, ecn, lookup};
use crate::sa::Endpoint;
use crate::sa::fact::{Fact, Facts};
use crate::sa::inbound::{Arrival, Hot, Refused};
use crate::sa::replay::Guess;
use crate::verdict::Drop;

/// What some packets of one SA came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Accepted {
    /// Inner packets.
    pub packets: u64,
    /// Their octets.
    pub octets: u64,
    /// What they made true of the SA.
    pub facts: Facts,
}

/// Believes packets of one SA that were decrypted, and looks into them; one after the other, since the first moves
/// the window for the second.
#[inline(never)]
pub fn accept<F: Frame>(openings: &mut [Opening<F>], hot: &mut Hot) -> Accepted {
    let mut accepted = Accepted::default();
    for opening in openings {
        if let Stage::Found(arrival) = opening.stage {
            accept_one(opening, arrival, hot, Framing::GCM, &mut accepted, inspect);
        }
    }
    accepted
}

/// The same of one packet, that `arrival` is known of and that has this `framing`; `look` looks into it.
#[inline(always)]
pub fn accept_one<F: Frame>(
    opening: &mut Opening<F>,
    arrival: Arrival,
    hot: &mut Hot,
    framing: Framing,
    accepted: &mut Accepted,
    look: impl Fn(&mut F, &mut Summary, &EspAt, Framing, &Hot) -> Result<Inner, Drop>,
) {
    let Opening { frame, summary, esp, stage, guess, .. } = opening;
    let Some(frame) = frame else { return };
    // No closure: one that several callers share is compiled apart from both, and called for each packet.
    let inner = match commit(*guess, arrival, summary, esp, hot, &mut accepted.facts) {
        Ok(()) => look(frame, summary, esp, framing, hot),
        Err(reason) => Err(reason),
    };
    *stage = match inner {
        Ok(Inner::Packet) => {
            accepted.packets += 1;
            accepted.octets += summary.length() as u64;
            Stage::Opened(Inner::Packet)
        }
        Ok(Inner::Dummy) => Stage::Opened(Inner::Dummy),
        Err(reason) => Stage::Refused(reason),
    };
}

/// Moves the window of an SA and notes what a first and a moved packet mean. Nothing of this happens before
/// the tag has verified.
#[inline(always)]
fn commit(
    guess: Guess,
    arrival: Arrival,
    outer: &Summary,
    at: &EspAt,
    hot: &mut Hot,
    facts: &mut Facts,
) -> Result<(), Drop> {
    match hot.accept(guess, usize::from(at.length)) {
        Ok(new) => facts.join(new),
        Err(Refused::Replayed(replayed)) => return Err(lookup::replay_reason(replayed)),
        Err(Refused::HardExpired(_)) => {
            facts.raise(Fact::HardExpiry);
            return Err(Drop::LifetimeExpired);
        }
    }
    // RFC 7296 §2.23: follow a peer behind a NAT; only by its newest packet, or one delayed on the old
    // path would move it back.
    if arrival == Arrival::Moved && hot.window().top() == guess.sequence() {
        hot.move_peer(Endpoint { address: outer.source(), port: at.ports.0 });
        facts.raise(Fact::PeerMoved);
    }
    Ok(())
}

/// Strips ESP from a decrypted packet and checks what is inside against its SA.
///
/// The frame's data is the outer packet, in which the ESP packet is where `at` says; of an inner packet frame and
/// summary are that packet's then.
#[inline(always)]
pub(super) fn inspect<F: Frame>(
    frame: &mut F,
    summary: &mut Summary,
    at: &EspAt,
    framing: Framing,
    hot: &Hot,
) -> Result<Inner, Drop> {
    let text_at = usize::from(at.offset) + framing.front();
    let length = usize::from(at.length).saturating_sub(framing.around());
    let text = frame.reshape(text_at as isize, length).ok_or(Drop::EspLength)?;
    let trailer = esp::Trailer::parse(text).map_err(|_| Drop::BadPadding)?;
    let packet = text.get(..trailer.payload_length).ok_or(Drop::BadPadding)?;
    let outer_class = summary.traffic_class();
    // Twice, so that what follows from the version is known while compiling.
    match trailer.next_header {
        protocol::IPV4 => {
            read(packet, true, summary)?;
            admit(frame, summary, outer_class, hot)
        }
        protocol::IPV6 => {
            read(packet, false, summary)?;
            admit(frame, summary, outer_class, hot)
        }
        protocol::NONE => Ok(Inner::Dummy),
        _ => Err(Drop::BadNextHeader),
    }
}

/// Reads an inner packet of the version that was announced. A summary that is returned lies in memory first, and
/// is copied.
#[inline(always)]
fn read(packet: &[u8], v4: bool, summary: &mut Summary) -> Result<(), Drop> {
    match Summary::usual(packet, v4) {
        Some(usual) => *summary = usual,
        None => *summary = unusual(packet, v4)?,
    }
    Ok(())
}

#[inline(never)]
fn unusual(packet: &[u8], v4: bool) -> Result<Summary, Drop> {
    Summary::read(packet).ok().filter(|summary| summary.is_v4() == v4).ok_or(Drop::MalformedInner)
}

/// Checks an inner packet against its SA, and makes it one of the SA's private instance.
#[inline(always)]
fn admit<F: Frame>(frame: &mut F, summary: &mut Summary, outer_class: u8, hot: &Hot) -> Result<Inner, Drop> {
    // What follows the packet is padding against traffic analysis (RFC 4303 §2.7).
    frame.truncate(summary.length());
    if !hot.admits(summary) && !quotes_admitted(frame.data(), summary, hot) {
        return Err(Drop::PolicyError);
    }
    let class = ecn::inner_class(outer_class, summary.traffic_class(), hot.copy_traffic_class)?;
    if class != summary.traffic_class() {
        ecn::set_class(frame.data_mut(), class);
        summary.set_traffic_class(class);
    }
    if let Some(limit) = hot.tcp_mss {
        clamp::clamp(frame, summary, limit);
    }
    let meta = frame.meta_mut();
    *meta = Meta { instance: hot.inner_instance, origin: Origin::Tunnel, framed: false, ..*meta };
    Ok(Inner::Packet)
}

/// An ICMP error comes from a router between, whose address is in no selector; it passes if it answers a
/// packet that this SA's other direction carries (RFC 4301 §6.1.2, §8.2).
#[cold]
fn quotes_admitted(packet: &[u8], summary: &Summary, hot: &Hot) -> bool {
    let quote = packet.get(summary.upper_at() + icmp::Repr::LEN..).filter(|_| summary.is_icmp_error());
    let Some(quoted) = quote.and_then(|quote| Summary::parse_quoted(quote).ok()) else { return false };
    quoted.source() == summary.destination() && hot.admits_flow(&reversed(&quoted.flow()))
}

/// The packet that would answer `flow`.
fn reversed(flow: &Flow) -> Flow {
    let upper = match flow.upper {
        Upper::Ports { source, destination } => Upper::Ports { source: destination, destination: source },
        other => other,
    };
    let (source, destination): (IpAddr, IpAddr) = (flow.destination, flow.source);
    Flow { source, destination, upper, ..*flow }
}
