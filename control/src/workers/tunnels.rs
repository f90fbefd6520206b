//! Tunnels in the workers' tables: which child takes which packet. A tunnel that is shut keeps its routes, so
//! that what would go into it is dropped and never leaves in clear.

use std::net::IpAddr;

use ravelin_dataplane::io::Pool;
use ravelin_dataplane::link::command::Command;
use ravelin_dataplane::policy::route::TunnelId;
use ravelin_dataplane::policy::selector::SelectorSet;
use ravelin_dataplane::policy::table::{self, TooManyChildren};
use ravelin_dataplane::sa::spi::{Place, Spi};
use ravelin_dataplane::sa::table::ExactTable;
use ravelin_ike::config::{ChildId, ConnectionId};
use ravelin_ike::time::Instant;

use super::{Past, Workers};
use crate::config::plan::{self, DEFAULT_GROUP};
use crate::tunnel::outbox::Order;
use crate::tunnel::roster::{ChildNumber, Roster};
use crate::tunnel::sas;

/// An inbound SA whose SPI says nothing about its place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manual {
    /// Its tunnel.
    pub tunnel: ConnectionId,
    /// Instance, our address, SPI.
    pub key: (u16, IpAddr, Spi),
    /// Where it lies.
    pub place: Place,
}

/// Why a tunnel does not find its place in the tables: the operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum NotHeld {
    /// Too many children.
    #[error("tunnel {name}: {why}")]
    Children {
        /// The tunnel.
        name: String,
        /// With both numbers.
        why: TooManyChildren,
    },
    /// Too many children on one worker.
    #[error(
        "tunnel {name}: worker {worker} holds no more children: restart with more workers, or remove tunnels"
    )]
    Slots {
        /// The tunnel.
        name: String,
        /// The worker.
        worker: u8,
    },
    /// Too many tunnels.
    #[error("tunnel {name} is number {number}: the tables hold no more")]
    Tunnels {
        /// The tunnel.
        name: String,
        /// From 0.
        number: u32,
    },
}

impl<P: Pool> Workers<P> {
    /// Whether nothing of the last owner of a child's number is left.
    pub fn is_free(&self, child: ChildNumber) -> bool {
        self.sas.of(child).next().is_none()
    }

    /// Gives the children of a new tunnel their homes; those with the number of a tunnel that is gone find
    /// theirs empty.
    ///
    /// # Errors
    /// When the worker has no slot left.
    pub fn house(&mut self, roster: &Roster, id: ConnectionId, now: Instant) -> Result<(), NotHeld> {
        let numbers: Vec<ChildNumber> = roster.numbers(id).collect();
        if numbers.iter().any(|number| *number as usize >= self.homes.known()) {
            let group = roster.tunnel(id).map_or(DEFAULT_GROUP, |tunnel| &tunnel.group);
            let worker = self.lightest(roster, group);
            let children = roster.children(id).count();
            self.homes.add(worker, children, now.0);
            self.homes.add_homeless(numbers.len() - children);
            self.past.resize(self.past.len() + numbers.len(), Past::default());
        }
        for number in numbers {
            if roster.fallback(number).is_some() {
                // One that was asked for in vain may still have it.
                self.leave_home(number);
            }
            if let Some(past) = self.past.get_mut(number as usize) {
                *past = Past::default();
            }
            self.narrowed.remove(&number);
            let Some(home) = self.home(number) else { continue };
            if self.link.outbound(home.worker, home.slot).is_none() {
                return Err(NotHeld::Slots { name: roster.name(id).to_owned(), worker: home.worker.0 });
            }
            let empty = Command::ClearOutbound { slot: home.slot };
            self.outbox.put(home.worker, Order::Plain(empty), None);
        }
        Ok(())
    }

    /// Lets a tunnel's packets in. Known to the workers when the tables are published.
    ///
    /// # Errors
    /// When the tables do not hold it; nothing is let in then.
    pub fn open_tunnel(&mut self, roster: &Roster, id: ConnectionId) -> Result<(), NotHeld> {
        let name = || roster.name(id).to_owned();
        let child = |(number, child): (ChildId, &plan::Child)| {
            let sa = self.home(number.0)?.sa_ref();
            let narrowed = self.narrowed.get(&number.0).cloned();
            let carried = table::Child::new(narrowed.or_else(|| sas::configured(child))?, sa);
            Some(carried.with_own(self.own_slots(roster, (id, number))))
        };
        let children = roster.children(id).filter_map(child).collect();
        let tunnel = table::Tunnel::new(children).map_err(|why| NotHeld::Children { name: name(), why })?;
        let set = self.tables.tables_mut().set_tunnel(TunnelId(id.0), Some(tunnel));
        set.map_err(|_| NotHeld::Tunnels { name: name(), number: id.0 })?;
        if self.shut.remove(&id) {
            self.write_manual();
        }
        Ok(())
    }

    /// While a child has an SA it carries what both sides agreed on for it, which may be less than is configured
    /// (RFC 7296 §2.9): the peer would drop more. Once it has none, what is configured wants one.
    pub(super) fn narrow(&mut self, roster: &Roster, child: ChildNumber, agreed: Option<SelectorSet>) {
        // A single worker's SA carries what the one beside it does.
        let Some((id, _, config)) = roster.child(child).filter(|_| roster.fallback(child).is_none()) else {
            return;
        };
        let configured = sas::configured(config);
        let narrowed = agreed.filter(|agreed| configured.as_ref() != Some(agreed));
        if self.narrowed.get(&child) == narrowed.as_ref() {
            return;
        }
        match narrowed {
            Some(selectors) => self.narrowed.insert(child, selectors),
            None => self.narrowed.remove(&child),
        };
        self.write_anew(roster, id);
    }

    /// Writes a tunnel that is open as it is now.
    pub(super) fn write_anew(&mut self, roster: &Roster, id: ConnectionId) {
        if self.shut.contains(&id) {
            return;
        }
        if let Err(error) = self.open_tunnel(roster, id) {
            // The same children were held before.
            tracing::error!("{error}");
        }
        self.tables.publish();
    }

    /// Lets nothing in, and nothing out of its SAs with manual keys. Known when the tables are published.
    pub fn shut_tunnel(&mut self, id: ConnectionId) {
        // One that the tables do not hold is shut already.
        let _ = self.tables.tables_mut().set_tunnel(TunnelId(id.0), None);
        self.shut.insert(id);
        self.write_manual();
    }

    /// The table of manual SPIs, without those of tunnels that are shut.
    pub(super) fn write_manual(&mut self) {
        if self.manual.is_empty() {
            return;
        }
        let open = self.manual.iter().filter(|manual| !self.shut.contains(&manual.tunnel));
        let exact: Vec<_> = open.map(|manual| (manual.key, manual.place)).collect();
        self.tables.tables_mut().set_manual(ExactTable::new(exact));
    }
}
