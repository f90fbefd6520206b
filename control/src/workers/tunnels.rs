//! Tunnels in the workers' tables: which child takes which packet. A tunnel that is shut keeps its routes, so
//! that what would go into it is dropped and never leaves in clear.

use std::net::IpAddr;

use ravelin_dataplane::io::Pool;
use ravelin_dataplane::policy::route::TunnelId;
use ravelin_dataplane::policy::table::{self, TooManyChildren};
use ravelin_dataplane::sa::spi::{Place, Spi};
use ravelin_dataplane::sa::table::ExactTable;
use ravelin_ike::config::{ChildId, ConnectionId};

use super::Workers;
use crate::config::plan;
use crate::tunnel::roster::Roster;
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
    /// Lets a tunnel's packets in. Known to the workers when the tables are published.
    ///
    /// # Errors
    /// When the tables do not hold it; nothing is let in then.
    pub fn open_tunnel(&mut self, roster: &Roster, id: ConnectionId) -> Result<(), NotHeld> {
        let name = || roster.name(id).to_owned();
        let child = |(number, child): (ChildId, &plan::Child)| {
            let sa = self.home(number.0)?.sa_ref();
            Some(table::Child { selectors: sas::configured(child)?, sa })
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
