//! Carries out commands. Each is a few stores; none allocates, none frees what control allocated.

use crate::io::{Pool, Port};
use crate::link::WorkerEnd;
use crate::link::command::{Command, Sequence, Turn};
use crate::link::key::KeyIndex;
use crate::link::report::{Refusal, Report};
use crate::sa::inbound::{self, Inbound, Remains};
use crate::sa::outbound::{self, Encapsulation, Outbound};
use crate::sa::spi::{Place, Spi};
use crate::sa::suite::{BadKeymat, Expanded};
use crate::sa::table::Misplaced;
use ravelin_gcm::Kernel;
use ravelin_mem::tsc;

use super::{COMMANDS_A_POLL, Worker};

impl<P: Pool, O: Port<Frame = P::Frame>> Worker<P, O> {
    /// Applies what waits, at most [`COMMANDS_A_POLL`]; whether there was anything.
    pub(super) fn apply_commands(&mut self) -> bool {
        let Some(first) = self.graph.link.next_command() else { return false };
        let start = tsc::now();
        self.carry_out(first);
        for _ in 1..COMMANDS_A_POLL {
            let Some(next) = self.graph.link.next_command() else { break };
            self.carry_out(next);
        }
        self.graph.link.counters().command_cycles.add(tsc::now().wrapping_sub(start));
        true
    }

    fn carry_out(&mut self, (sequence, command): (Sequence, Command)) {
        if let Err(refusal) = self.apply(command) {
            self.graph.link.answer(Report::Refused { sequence, refusal });
        }
    }

    fn apply(&mut self, command: Command) -> Result<(), Refusal> {
        let link = &mut self.graph.link;
        match command {
            Command::InstallInbound { place, parts, key } => {
                install_inbound(link, self.kernel, place, parts, key)
            }
            Command::RemoveInbound { place, spi } => remove_inbound(link, place, spi),
            Command::MoveInbound { place, spi, local, peer } => {
                let hot = link.inbound.hot_mut(place, spi).ok_or(Refusal::NoSuchSa)?;
                hot.move_local(local);
                hot.move_peer(peer);
                Ok(())
            }
            Command::AdjustInbound { place, spi, copy_traffic_class, tcp_mss } => {
                let hot = link.inbound.hot_mut(place, spi).ok_or(Refusal::NoSuchSa)?;
                (hot.copy_traffic_class, hot.tcp_mss) = (copy_traffic_class, tcp_mss);
                Ok(())
            }
            Command::InstallOutbound { slot, parts, key, turn } => {
                install_outbound(link, self.kernel, slot, parts, key, turn)
            }
            Command::ActivateOutbound { slot } => {
                link.activate(slot);
                Ok(())
            }
            Command::RemoveOutbound { slot, spi } => {
                link.outbound.remove(slot, spi).map(drop).ok_or(Refusal::NoSuchSa)
            }
            Command::ClearOutbound { slot } => {
                link.outbound.clear(slot);
                Ok(())
            }
            Command::Encapsulate { slot, spi, encapsulation } => encapsulate(link, slot, spi, encapsulation),
            Command::Configure(snapshot) => {
                let old = self.graph.configure(snapshot);
                self.graph.link.answer(Report::Replaced(old));
                Ok(())
            }
            Command::Tap(tap) => {
                if let Some(former) = self.graph.set_tap(tap) {
                    self.graph.link.answer(Report::Untapped(former));
                }
                Ok(())
            }
            Command::Mirror(mirrors) => {
                let former = self.graph.set_mirrors(mirrors);
                if !former.is_empty() {
                    self.graph.link.answer(Report::Unmirrored(former));
                }
                Ok(())
            }
            Command::AttachShard(table) => {
                if let Some(former) = link.inbound.attach(table) {
                    link.answer(Report::Detached(former));
                }
                Ok(())
            }
            Command::DetachShard(shard) => {
                let table = link.inbound.detach(shard).ok_or(Refusal::NoSuchSlot)?;
                link.answer(Report::Detached(table));
                Ok(())
            }
            #[cfg(feature = "stall")]
            Command::StandStill(time) => {
                // What a test asked for: a worker that makes no progress. A release build has no such command.
                std::thread::sleep(time);
                Ok(())
            }
        }
    }
}

/// Takes the key out of its cell, which is wiped by that, and expands it.
fn expand<F, T>(
    link: &WorkerEnd<F>,
    key: KeyIndex,
    expand: impl FnOnce(&[u8]) -> Result<Expanded<T>, BadKeymat>,
) -> Result<Expanded<T>, Refusal> {
    let expanded = link.keys().take(key, expand).ok_or(Refusal::NoKey)?;
    expanded.map_err(|_| Refusal::BadKey)
}

fn install_inbound<F>(
    link: &mut WorkerEnd<F>,
    kernel: Kernel,
    place: Place,
    parts: inbound::Parts,
    key: KeyIndex,
) -> Result<(), Refusal> {
    let (key, salt) = match expand(link, key, |octets| parts.suite.opener(kernel, octets)) {
        Ok(expanded) => expanded,
        Err(refusal) => {
            link.answer(Report::Removed(Remains::from(parts)));
            return Err(refusal);
        }
    };
    let (spi, activates) = (parts.spi, parts.activates);
    let (refusal, sa) = match link.inbound.install(place, Inbound::new(parts, key, salt)) {
        Ok(()) => {
            if let Some(slot) = activates {
                link.expect_first(slot, spi);
            }
            return Ok(());
        }
        Err(Misplaced::NoSuchSlot(sa)) => (Refusal::NoSuchSlot, sa),
        Err(Misplaced::Occupied(sa)) => (Refusal::Occupied, sa),
    };
    link.answer(Report::Removed(Remains::from(sa)));
    Err(refusal)
}

fn remove_inbound<F>(link: &mut WorkerEnd<F>, place: Place, spi: Spi) -> Result<(), Refusal> {
    let remains = link.inbound.remove(place, spi).ok_or(Refusal::NoSuchSa)?;
    link.forget_inbound(place, spi);
    link.answer(Report::Removed(remains));
    Ok(())
}

fn install_outbound<F>(
    link: &mut WorkerEnd<F>,
    kernel: Kernel,
    slot: u32,
    parts: outbound::Parts,
    key: KeyIndex,
    turn: Turn,
) -> Result<(), Refusal> {
    let (key, salt) = expand(link, key, |octets| parts.suite.sealer(kernel, octets))?;
    link.outbound.regulate(slot, &parts.encapsulation);
    let sa = Outbound::new(parts, key, salt);
    if turn == Turn::StandBy && link.outbound.standby_spi(slot).is_some() {
        // The peer has rekeyed again before it sent anything: the exchange it made first is complete, so
        // that SA may send, and the newest stands by.
        link.activate(slot);
    }
    let waits = turn == Turn::StandBy && link.outbound.hot(slot).is_some();
    let result = match waits {
        true => link.outbound.stand_by(slot, sa),
        false => link.outbound.install(slot, sa),
    };
    // What was replaced ends here: its key is wiped, and it owns no other memory.
    result.map(drop).map_err(|_| Refusal::NoSuchSlot)
}

fn encapsulate<F>(
    link: &mut WorkerEnd<F>,
    slot: u32,
    spi: Spi,
    encapsulation: Encapsulation,
) -> Result<(), Refusal> {
    if let Some(hot) = link.outbound.hot_mut(slot).filter(|hot| hot.spi() == spi) {
        hot.wrap_as(&encapsulation);
        link.outbound.regulate(slot, &encapsulation);
        return Ok(());
    }
    let standby = link.outbound.standby_mut(slot).filter(|sa| sa.hot.spi() == spi);
    standby.ok_or(Refusal::NoSuchSa)?.hot.wrap_as(&encapsulation);
    link.outbound.regulate(slot, &encapsulation);
    Ok(())
}
