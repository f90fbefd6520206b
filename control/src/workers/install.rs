//! SAs into the workers and out of them, as the engine's wants say.

use std::collections::BTreeMap;

use aws_lc_rs::rand;
use ravelin_dataplane::cipher::SEED;
use ravelin_dataplane::io::Pool;
use ravelin_dataplane::link::command::{Command, Turn};
use ravelin_dataplane::sa::allocator::NoSlot;
use ravelin_dataplane::sa::shard::{Shard, WorkerId};
use ravelin_dataplane::sa::spi::{Place, Spi};
use ravelin_ike::config::ConnectionId;
use ravelin_ike::id::{ChildSaId, Ticket};
use ravelin_ike::time::Instant;
use ravelin_ike::want::{AnswerError, InstallChild, OutboundStart, Path};
use zeroize::Zeroizing;

use super::homes::Homes;
use super::own::is_lodger;
use super::{Manual, Then, Workers};
use crate::config::plan;
use crate::group::Groups;
use crate::tunnel::outbox::Order;
use crate::tunnel::pmtu::PathKey;
use crate::tunnel::roster::{ChildNumber, Roster};
use crate::tunnel::sas::{self, Home, Installed};
use crate::tunnel::suite;
use crate::tunnel::wrapping::Wrapping;

/// Why an SA cannot be put into its worker: ours, or the machine's for want of room.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// A number that does not name what it should.
    #[error("no such {0}: a defect of this program, please report it")]
    Unknown(&'static str),
    /// The workers do not carry this suite.
    #[error("the workers do not carry {0}")]
    Suite(String),
    /// The machine gives no randomness, which IVs are to be drawn from.
    #[error("the machine gives no randomness")]
    NoRandomness,
    /// Each worker that could have an SA of its own has one.
    #[error("every worker of its tunnel group that polls has an SA of its own already")]
    NoWorker,
    /// Its worker stands still, and its child lives elsewhere by now.
    #[error("the worker that was to take the SA stands still: it is negotiated anew for another")]
    Stalled,
    /// No SPI is free.
    #[error("no SPI is free ({0}): raise the tunnel limit or wait for tunnels to go")]
    NoSlot(#[from] NoSlot),
}

impl From<InstallError> for AnswerError {
    fn from(error: InstallError) -> Self {
        let code = match error {
            InstallError::Unknown(_) => "RV-LOCAL-011",
            InstallError::Suite(_) => "RV-LOCAL-012",
            InstallError::NoRandomness => "RV-LOCAL-021",
            InstallError::NoSlot(_) => "RV-LOCAL-013",
            InstallError::Stalled => "RV-LOCAL-016",
            InstallError::NoWorker => "RV-LOCAL-017",
        };
        AnswerError { code: code.into(), text: error.to_string() }
    }
}

/// Children spread over the active workers of their groups, all of a tunnel on one (docs/design.md §3). `slots`
/// outbound slots, by worker.
pub fn homes(roster: &Roster, groups: &Groups, slots: Vec<usize>) -> Homes {
    let mut homes = Homes::new(slots.into_iter());
    let mut turns: BTreeMap<&str, usize> = BTreeMap::new();
    for (id, tunnel) in roster.tunnels() {
        let turn = turns.entry(&tunnel.group).or_default();
        let active = groups.active(&tunnel.group);
        let worker = active.get(*turn % active.len().max(1)).copied().unwrap_or(WorkerId(0));
        let children = roster.children(id).count();
        homes.add(worker, children, 0);
        // Single workers' SAs get theirs when they are negotiated.
        homes.add_homeless(roster.numbers(id).count() - children);
        *turn += 1;
    }
    homes
}

/// What a worker may need to draw IVs from. Only the SA that sends does; the other is given it too, and makes nothing
/// of it.
fn seed() -> Result<Zeroizing<[u8; SEED]>, InstallError> {
    let mut seed = Zeroizing::new([0; SEED]);
    rand::fill(&mut *seed).map_err(|_| InstallError::NoRandomness)?;
    Ok(seed)
}

/// Worker `n` starts with shard `n + 1` (`link::build`).
fn shard_of(worker: WorkerId) -> Result<Shard, InstallError> {
    Shard::new(worker.0 + 1).ok_or(InstallError::Unknown("shard"))
}

/// The other way round.
fn worker_of_shard(shard: Shard) -> WorkerId {
    WorkerId(shard.get() - 1)
}

/// The name of a child's SA with manual keys: the engine counts its names up from zero, these count down.
fn manual_sa(child: ChildNumber) -> ChildSaId {
    ChildSaId(u64::MAX - u64::from(child))
}

impl<P: Pool> Workers<P> {
    pub(super) fn home_of(&self, child: ChildNumber) -> Result<Home, InstallError> {
        self.home(child).ok_or(InstallError::Unknown("child"))
    }

    /// An SPI in a shard of the child's worker.
    ///
    /// # Errors
    /// When none is free.
    pub fn allocate_spi(
        &mut self,
        child: ChildNumber,
        roster: &Roster,
        now: Instant,
    ) -> Result<u32, InstallError> {
        let shard = shard_of(self.housed(child, None, roster, now)?.worker)?;
        Ok(self.spis.allocate(shard, now.0)?.0)
    }

    /// Gives back an SPI that was never installed.
    pub fn release_spi(&mut self, spi: u32, now: Instant) {
        if let Some(place) = Spi(spi).place() {
            // One that is not in use was given back already.
            let _ = self.spis.release(place, now.0);
        }
    }

    /// Installs both directions; `ticket` is answered once the worker has applied them. The
    /// inbound SA goes first: nothing is sent before replies can be received.
    ///
    /// # Errors
    /// When it cannot even be told to the worker.
    pub fn install(
        &mut self,
        install: &InstallChild,
        ticket: Ticket,
        roster: &Roster,
        now: Instant,
    ) -> Result<(), InstallError> {
        let child = install.config.0;
        let place = Spi(install.spi_in).place().ok_or(InstallError::Unknown("shard"))?;
        let home = self.housed(child, Some(worker_of_shard(place.shard)), roster, now)?;
        let (_, tunnel, config) = roster.child(child).ok_or(InstallError::Unknown("child"))?;
        let (encryption, integrity) = (install.suite.encryption, install.suite.integrity);
        let suite = suite::carried(encryption, integrity)
            .ok_or_else(|| InstallError::Suite(format!("{encryption:?} with {integrity:?}")))?;
        let seed = seed()?;
        if place.shard != shard_of(home.worker)? {
            return Err(InstallError::Stalled);
        }
        let wrapping = Wrapping::of(tunnel, config, &install.local, suite).towards(install.takes_padding);
        let sizes = self.sizes(&sas::path_key(&install.path));
        let parts = sas::parts(install, config, tunnel.private, home, suite, (&wrapping, sizes));
        let (inbound, outbound) = parts.ok_or(InstallError::Unknown("selector or window"))?;
        self.narrow(roster, child, Some((*inbound.selectors).clone()));
        let encapsulation = outbound.encapsulation;
        let turn = if install.start == OutboundStart::Now { Turn::Now } else { Turn::StandBy };
        let key = suite::material(suite, &install.keys_in.encryption, &install.keys_in.integrity, &*seed);
        self.outbox.put(home.worker, Order::Inbound { place, parts: inbound, key }, None);
        let key = suite::material(suite, &install.keys_out.encryption, &install.keys_out.integrity, &*seed);
        let outbound = Order::Outbound { slot: home.slot, parts: outbound, key, turn };
        self.outbox.put(home.worker, outbound, Some(Then::Answer(ticket, install.child)));
        self.supersede(install.replaces);
        self.sas.add(Installed {
            sa: install.child,
            child,
            home,
            place,
            spi_in: Spi(install.spi_in),
            spi_out: Spi(install.spi_out),
            suite,
            esn: install.suite.extended_sequence,
            udp: install.path.udp_encapsulation,
            installed_at: now.0,
            draining: false,
            encapsulation,
            wrapping,
        });
        Ok(())
    }

    fn supersede(&mut self, replaced: Option<ChildSaId>) {
        if let Some(old) = replaced.and_then(|old| self.sas.get_mut(old)) {
            old.draining = true;
        }
    }

    /// Lets an SA that stands by send.
    pub fn activate(&mut self, sa: ChildSaId) {
        if let Some(home) = self.sas.get_mut(sa).map(|installed| installed.home) {
            self.outbox.put(home.worker, Order::Plain(Command::ActivateOutbound { slot: home.slot }), None);
        }
    }

    /// Takes both directions out and gives the SPI back when the worker has done so.
    pub fn remove(&mut self, sa: ChildSaId, roster: &Roster) {
        let Some(installed) = self.sas.remove(sa) else { return };
        if self.is_free(installed.child) {
            self.unname(roster, installed.child);
            self.narrow(roster, installed.child, None);
        }
        self.seen.remove(&sa);
        let Home { worker, slot } = installed.home;
        let outbound = Command::RemoveOutbound { slot, spi: installed.spi_out };
        self.outbox.put(worker, Order::Plain(outbound), None);
        self.remove_inbound(&installed, Some(installed.child));
        if self.is_free(installed.child) && is_lodger(roster, installed.child) {
            self.leave_home(installed.child);
        }
    }

    /// Takes the inbound half out; what it has counted by then is `counts_for`'s.
    pub(super) fn remove_inbound(&mut self, installed: &Installed, counts_for: Option<ChildNumber>) {
        let inbound = Command::RemoveInbound { place: installed.place, spi: installed.spi_in };
        let then = Then::Release(installed.place, counts_for);
        self.outbox.put(installed.home.worker, Order::Plain(inbound), Some(then));
    }

    /// Changes the outer addresses of an SA.
    pub fn update_path(&mut self, sa: ChildSaId, path: &Path) {
        let sizes = self.sizes(&sas::path_key(path));
        let Some(installed) = self.sas.get_mut(sa) else { return };
        installed.udp = path.udp_encapsulation;
        let encapsulation = sas::encapsulation(path, &installed.wrapping, sizes);
        let Some(installed) = self.sas.rewrap(sa, encapsulation) else { return };
        let (local, peer) = sas::endpoints(path);
        let inbound = Command::MoveInbound { place: installed.place, spi: installed.spi_in, local, peer };
        self.outbox.put(installed.home.worker, Order::Plain(inbound), None);
        self.wrap_anew(&installed);
    }

    /// Frees a slot whose SA is gone; its counts go to the past of the child they are for.
    pub(super) fn release(&mut self, place: Place, counts_for: Option<ChildNumber>, now: Instant) {
        if let Some(child) = counts_for {
            self.remember_received(place, child);
        }
        // It was in use until now.
        let _ = self.spis.release(place, now.0);
    }

    /// Adds what an inbound slot has counted to a child's past.
    pub(super) fn remember_received(&mut self, place: Place, child: ChildNumber) {
        if let (Some(counters), Some(past)) = (self.link.inbound(place), self.past.get_mut(child as usize)) {
            past.received.0 += counters.packets.get();
            past.received.1 += counters.octets.get();
        }
    }

    /// Installs the tunnels with manual keys: their SPIs go into the exact table.
    ///
    /// # Errors
    /// When a worker has no room.
    pub fn install_manual(&mut self, roster: &Roster, now: Instant) -> Result<(), InstallError> {
        for (id, _) in roster.tunnels() {
            self.install_manual_of(roster, id, now)?;
        }
        self.tables.publish();
        Ok(())
    }

    /// The same for one tunnel, if its keys are manual. Its SPI is known when the tables are published.
    ///
    /// # Errors
    /// When the worker has no room.
    pub fn install_manual_of(
        &mut self,
        roster: &Roster,
        id: ConnectionId,
        now: Instant,
    ) -> Result<(), InstallError> {
        let Some((tunnel, plan::Keying::Manual(manual))) = roster.tunnel(id).map(|t| (t, &t.keying)) else {
            return Ok(());
        };
        let Some((child, _)) = roster.children(id).next() else { return Ok(()) };
        let place = self.manual(tunnel, manual, child.0, now)?;
        let key = (tunnel.public, tunnel.local, Spi(manual.inbound_spi));
        self.manual.push(Manual { tunnel: id, key, place });
        self.write_manual();
        Ok(())
    }

    /// Takes the SAs of a tunnel with manual keys out.
    pub fn remove_manual(&mut self, id: ConnectionId, roster: &Roster) {
        let former = self.manual.len();
        self.manual.retain(|manual| manual.tunnel != id);
        if self.manual.len() == former {
            return;
        }
        for (child, _) in roster.children(id) {
            self.remove(manual_sa(child.0), roster);
        }
        self.write_manual();
    }

    fn manual(
        &mut self,
        tunnel: &plan::Tunnel,
        manual: &plan::Manual,
        child: ChildNumber,
        now: Instant,
    ) -> Result<Place, InstallError> {
        let home = self.home_of(child)?;
        let (suite, seed) = (manual.suite, seed()?);
        let key =
            |keys: &plan::ManualKeys| suite::material(suite, &keys.encryption.0, &keys.integrity.0, &*seed);
        let remote = tunnel.remote.ok_or(InstallError::Unknown("peer"))?;
        let sizes = self.sizes(&PathKey { instance: tunnel.public, local: tunnel.local, peer: remote });
        let config = tunnel.children.first().ok_or(InstallError::Unknown("child"))?;
        let wrapping = Wrapping::of(tunnel, config, &config.local_ts, suite);
        let parts = sas::manual_parts(manual, tunnel, remote, child, suite, (&wrapping, sizes));
        let (inbound, outbound) = parts.ok_or(InstallError::Unknown("selector or window"))?;
        let place = self.spis.allocate_place(shard_of(home.worker)?, now.0)?;
        let encapsulation = outbound.encapsulation;
        let order = Order::Inbound { place, parts: inbound, key: key(&manual.inbound_keys) };
        self.outbox.put(home.worker, order, None);
        let (slot, key, turn) = (home.slot, key(&manual.outbound_keys), Turn::Now);
        self.outbox.put(home.worker, Order::Outbound { slot, parts: outbound, key, turn }, None);
        self.sas.add(Installed {
            sa: manual_sa(child),
            child,
            home,
            place,
            spi_in: Spi(manual.inbound_spi),
            spi_out: Spi(manual.outbound_spi),
            suite,
            esn: manual.extended_sequence_number,
            udp: manual.udp_encapsulation,
            installed_at: now.0,
            draining: false,
            encapsulation,
            wrapping,
        });
        Ok(place)
    }
}
