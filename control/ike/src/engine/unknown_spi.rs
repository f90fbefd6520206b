//! ESP for an SPI that nobody here knows: which tunnels are up between the addresses it came between. What is said in them
//! is [`crate::sa::invalid_spi`]'s.

use super::{Engine, Entry};
use crate::id::IkeId;
use crate::input::UnknownSpi;
use crate::sa::tunnel::Tunnel;
use crate::time::Instant;
use std::net::IpAddr;

/// Instance, our address and the peer's.
pub(super) type Ends = (u16, IpAddr, IpAddr);

/// Tunnels told of one packet: there may be thousands behind one address.
const TOLD: usize = 4;

fn ends(tunnel: &Tunnel) -> Option<Ends> {
    let path = &tunnel.common.path;
    tunnel.is_established().then(|| (path.instance, path.local.ip(), path.remote.ip()))
}

impl Engine {
    /// Takes that ESP came for an SPI that nobody knows. A peer that is up at its address, and seems to be the sender, is
    /// told so within its IKE SA, seldom; nobody else is told anything.
    pub fn handle_unknown_spi(&mut self, now: Instant, unknown: &UnknownSpi) {
        let ends = (unknown.instance, unknown.local, unknown.remote.ip());
        let all = (ends, IkeId(0))..=(ends, IkeId(u64::MAX));
        let seems = |id: &IkeId| self.tunnel(*id).is_some_and(|tunnel| tunnel.seems_to_send(unknown));
        let those: Vec<IkeId> = self.by_ends.range(all).map(|(_, id)| *id).filter(seems).take(TOLD).collect();
        for id in those {
            self.with_tunnel(now, id, |tunnel, ctx| tunnel.unknown_spi(ctx, unknown));
        }
    }

    /// Brings the index by addresses up to date.
    pub(super) fn index_ends(&mut self, entry: &mut Entry) {
        let (id, ends) = (entry.tunnel.common.id, ends(&entry.tunnel));
        if ends != entry.ends {
            entry.ends.into_iter().for_each(|ends| {
                self.by_ends.remove(&(ends, id));
            });
            self.by_ends.extend(ends.map(|ends| (ends, id)));
            entry.ends = ends;
        }
    }
}
