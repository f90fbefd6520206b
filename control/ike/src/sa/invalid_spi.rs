//! ESP for an SPI that one side does not know (RFC 7296 §1.5): INVALID_SPI within an IKE SA of both.
//!
//! We tell the peer, once in a while: whoever sent the packet need not be the peer, and what we say costs it no more than an
//! answer. Told ourselves, we have the CHILD_SA that we send by renewed: a peer that has it takes part, one that has lost it
//! says CHILD_SA_NOT_FOUND, and gets a new one. Outside an IKE SA nothing is said and nothing believed.

use super::children::{Child, ChildState};
use super::line::Own;
use super::parts::Parts;
use super::tunnel::Tunnel;
use super::turn::Turn;
use super::up::Task;
use crate::context::Context;
use crate::event::{Event, LostBy};
use crate::input::UnknownSpi;
use crate::time::Instant;
use crate::wire::{ExchangeType, Notify, NotifyType, Payload};
use std::time::Duration;

/// The least time between two that a tunnel tells, or heeds.
const PAUSE: Duration = Duration::from_secs(10);

/// When a tunnel told last, and heeded one last.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    told: Option<Instant>,
    heeded: Option<Instant>,
}

/// Whether it is time again.
fn is_due(last: &mut Option<Instant>, now: Instant) -> bool {
    let due = last.is_none_or(|last| last + PAUSE <= now);
    if due {
        *last = Some(now);
    }
    due
}

impl Tunnel {
    /// Whether a packet from the peer's address is the peer's: those behind one NAT differ by their ports.
    pub(crate) fn seems_to_send(&self, unknown: &UnknownSpi) -> bool {
        [0, self.common.path.remote.port()].contains(&unknown.remote.port())
    }

    /// The peer seems to send ESP for an SPI that nobody knows.
    pub(crate) fn unknown_spi(&mut self, ctx: &mut Context<'_>, unknown: &UnknownSpi) {
        if is_due(&mut self.common.pace.told, ctx.now) {
            self.task(ctx, Task::TellInvalidSpi { spi: unknown.spi });
        }
    }
}

impl Turn<'_, '_> {
    /// "The Notification Data contains the SPI of the invalid packet" (§3.10.1).
    pub(crate) fn tell_invalid_spi(&mut self, spi: u32) {
        // Since the packet came it may have been made.
        if self.up.children.iter().any(|child| child.spi_in == spi) {
            return;
        }
        let notify = Notify::new(NotifyType::InvalidSpi, spi.to_be_bytes().to_vec());
        match self.request(ExchangeType::Informational, vec![Payload::Notify(notify)]) {
            Ok(()) => self.line.own = Some(Own::Nothing),
            Err(failure) => return self.up.ended = Some(failure),
        }
        self.tell_lost(spi, LostBy::Us);
    }

    /// The peer does not know an SA by which we send.
    pub(crate) fn heed_invalid_spi(&mut self, parts: &Parts) {
        let named = parts.notify(NotifyType::InvalidSpi);
        let spi =
            named.and_then(|named| <[u8; 4]>::try_from(named.data.as_slice()).ok()).map(u32::from_be_bytes);
        let Some(spi) = spi else { return };
        // One that is being made, replaced or taken out is nothing to the peer for a while.
        let sends = |child: &&Child| child.spi_out == spi && child.state == ChildState::Live;
        let Some(child) = self.up.children.iter().find(sends).map(|child| child.id) else { return };
        if !is_due(&mut self.common.pace.heeded, self.ctx.now) {
            return;
        }
        self.tell_lost(spi, LostBy::Peer);
        let task = Task::RekeyChild(child);
        if !self.current_config().responder_only && !self.up.tasks.contains(&task) {
            self.up.tasks.push_back(task);
        }
    }

    fn tell_lost(&mut self, spi: u32, by: LostBy) {
        self.ctx.event(Event::SpiUnknown {
            ike: self.common.id,
            connection: self.common.connection,
            spi,
            by,
        });
    }
}
