//! Captures and traces: the loop finds what is named, lays the taps and ends them; reading is the desk's.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ravelin_dataplane::io::Pool;
use ravelin_dataplane::trace::{Filter, Side, Wish};
use ravelin_dataplane::worker;

use super::core::Core;
use super::desk::{ACTION, Desk};
use crate::api::request::TapBegin;
use crate::api::server::Caller;
use crate::api::{ApiError, Reply, Request};
use crate::tap::{Bounds, Names, Tally};
use crate::tunnel::roster::ChildNumber;

/// What a copy may have of octets, and how many packets, octets and seconds a tap may last.
const SNAP: std::ops::RangeInclusive<usize> = 64..=65_535;
const PACKETS: std::ops::RangeInclusive<u64> = 1..=1_000_000;
const OCTETS: std::ops::RangeInclusive<u64> = 1..=1 << 30;
const SECONDS: std::ops::RangeInclusive<u64> = 1..=3600;

fn refused(why: String) -> ApiError {
    ApiError::Refused { why }
}

/// What is wished for by these words.
fn wish(begin: &TapBegin) -> Result<Wish, ApiError> {
    let within = SNAP.contains(&begin.snap) && PACKETS.contains(&begin.packets);
    if !within || !OCTETS.contains(&begin.octets) || !SECONDS.contains(&begin.seconds) {
        let why = format!(
            "bounds are {PACKETS:?} packets, {OCTETS:?} octets, {SECONDS:?} seconds, {SNAP:?} octets of each"
        );
        return Err(ApiError::BadRequest { why });
    }
    let is_side = |name: &String| Side::ALL.iter().any(|side| side.name() == name);
    if let Some(unknown) = begin.sides.iter().find(|name| !is_side(name)) {
        return Err(ApiError::BadRequest {
            why: format!("{unknown:?} is no side: clear, encrypted or wire"),
        });
    }
    let has = |side: Side| begin.sides.iter().any(|name| name == side.name());
    Ok(match begin.sides.is_empty() {
        true => Wish::Paths,
        false => Wish::Copies {
            clear: has(Side::Clear),
            encrypted: has(Side::Encrypted),
            wire: has(Side::Wire),
            snap: begin.snap,
        },
    })
}

/// What a tap is about, for the journal.
fn subject(begin: &TapBegin) -> String {
    let sides = if begin.sides.is_empty() { "paths".to_owned() } else { begin.sides.join(" and ") + " side" };
    let interface = begin.interface.iter().map(|name| format!(", interface {name}"));
    let host = begin.host.iter().map(|host| format!(", host {host}"));
    let bounds = format!(", at most {} packets, {} octets, {} s", begin.packets, begin.octets, begin.seconds);
    interface.chain(host).fold(sides, |text, more| text + &more) + &bounds
}

impl Desk {
    /// Begins a tap. What shows plaintext is for root and the daemon's user alone, whoever else may use the socket.
    pub(super) fn begin_tap(&self, begin: TapBegin, caller: Caller) -> Result<Reply, ApiError> {
        let wish = wish(&begin)?;
        let is_clear = wish.snap(Side::Clear).or(wish.snap(Side::Wire)).is_some();
        if is_clear && !caller.is_trusted() {
            return Err(refused(
                "only root and the daemon's user may see packets in clear; --side encrypted is for all"
                    .into(),
            ));
        }
        let (tunnel, subject) = (begin.tunnel.clone().unwrap_or_default(), subject(&begin));
        let reply = self.ask(Request::TapBegin(begin), ACTION)?;
        self.journal.note(
            &tunnel,
            "capture-began",
            format!("{subject}; by user {}, process {}", caller.uid, caller.pid),
        );
        Ok(reply)
    }
}

impl<P: Pool> Core<P> {
    /// Lays a tap to every worker.
    ///
    /// # Errors
    /// When another is on, or what is named is not there.
    pub(super) fn lay_tap(&mut self, begin: &TapBegin) -> Result<Reply, ApiError> {
        self.look_at_tap();
        if let Some(taken) = self.taps.is_taken() {
            return Err(taken);
        }
        let wish = wish(begin)?;
        let children = begin.tunnel.as_deref().map(|name| self.numbers_of(name)).transpose()?;
        let interface = begin.interface.as_deref().map(|name| self.interface_of(name)).transpose()?;
        let filter = Filter { tunnel: None, interface, host: begin.host };
        let names = self.tap_names();
        let readers = self.workers.lay_taps(children.as_deref(), &filter, wish, begin.packets);
        let time = Duration::from_secs(begin.seconds);
        let tap =
            self.taps.begin(readers, names, Bounds { packets: begin.packets, octets: begin.octets, time });
        Ok(Reply::TapBegun { tap })
    }

    fn numbers_of(&self, tunnel: &str) -> Result<Vec<ChildNumber>, ApiError> {
        let unknown = || ApiError::NotFound { name: tunnel.to_owned(), known: self.roster.names() };
        Ok(self.roster.numbers(self.roster.find(tunnel).ok_or_else(unknown)?).collect())
    }

    fn interface_of(&self, name: &str) -> Result<(u16, u16), ApiError> {
        let found = self.place_of(name);
        let names =
            || self.workers.routing().0.interfaces().map(|(_, name)| name).collect::<Vec<_>>().join(", ");
        found.ok_or_else(|| refused(format!("interface {name:?} does not exist; configured: {}", names())))
    }

    fn tap_names(&self) -> Names {
        let named = |(id, tunnel): (_, &crate::config::plan::Tunnel)| {
            let name = tunnel.name.clone();
            self.roster.numbers(id).map(move |number| (number, name.clone())).collect::<Vec<_>>()
        };
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros() as u64;
        let interfaces = self.workers.routing().0.interfaces();
        Names {
            tunnels: self.roster.tunnels().flat_map(named).collect(),
            interfaces: interfaces.map(|(at, name)| ((at.port, at.vlan), name.to_owned())).collect(),
            instances: self.service.names().to_vec(),
            clock: (worker::clock_us(), wall),
        }
    }

    /// Takes a tap away that is over.
    pub(super) fn look_at_tap(&mut self) {
        let Some((Tally { packets, octets, lost }, why)) = self.taps.close() else { return };
        self.workers.take_taps();
        self.journal.note(
            "",
            "capture-ended",
            format!("{packets} packets, {octets} octets, {lost} lost: {why}"),
        );
    }
}
