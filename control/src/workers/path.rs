//! What the network says of the paths to peers (RFC 4301 §8.2): a learned path MTU goes into the
//! encapsulation of every SA on that path, and goes out of it when it has aged.

use std::sync::Arc;

use ravelin_dataplane::io::Pool;
use ravelin_dataplane::link::command::Command;
use ravelin_dataplane::policy::ip_tunnel::Shown;
use ravelin_dataplane::sa::outbound::Encapsulation;
use ravelin_dataplane::sa::spi::Spi;
use ravelin_ike::config::ConnectionId;
use ravelin_ike::time::Instant;

use super::Workers;
use crate::config::plan::{IpTunnel, Plan};
use crate::tunnel::outbox::Order;
use crate::tunnel::pmtu::{Learned, PathKey};
use crate::tunnel::roster::{ChildNumber, Roster};
use crate::tunnel::sas::{Home, Installed};
use crate::tunnel::wrapping::{Sizes, Wrapping};

impl<P: Pool> Workers<P> {
    /// The largest packet for a path: what was learned, else what fits through every way out.
    pub(super) fn outer_mtu(&self, path: &PathKey) -> Option<u16> {
        let widest = self.routing.smallest_mtu(path.instance);
        match self.paths.get(path) {
            Some(learned) => Some(widest.map_or(learned.mtu, |widest| widest.min(learned.mtu))),
            None => widest,
        }
    }

    /// What is known of how large packets may be on a path.
    pub(crate) fn sizes(&self, path: &PathKey) -> Sizes {
        let learned = self.paths.get(path).map(|learned| learned.mtu);
        Sizes { widest: self.routing.smallest_mtu(path.instance), learned }
    }

    /// What was learned of the path of a child, if anything; with the largest packet there is.
    pub fn path_mtu(&self, path: &PathKey) -> (Option<u16>, Option<&Learned>) {
        (self.outer_mtu(path), self.paths.get(path))
    }

    /// Somebody on the way says that a packet of `spi` was too large. Nobody authenticates that, so it is
    /// believed only of an SA we send with and that is to heed it, if it is sane and lower than before. True if it was.
    pub(super) fn too_big(&mut self, path: PathKey, spi: Option<Spi>, told: u32, now: Instant) -> bool {
        let Some(spi) = spi else { return false };
        let believes = |sa: &&Installed| sa.spi_out == spi && sa.wrapping.learns();
        let believing = self.sas.on(&path).find(believes).map(|sa| sa.wrapping.believes_for());
        believing.is_some_and(|time_us| self.learn(path, told, Instant(now.0.saturating_add(time_us))))
    }

    /// Takes in a told size of somebody who is believed, if it is sane and lower than before.
    fn learn(&mut self, path: PathKey, told: u32, until: Instant) -> bool {
        let Some(current) = self.outer_mtu(&path) else { return false };
        let learned = self.paths.learn(path, told, current, until);
        if learned {
            self.rewrap(&path);
        }
        learned
    }

    /// Somebody on the way says that what an ip-tunnel sent was too large. Believed, if there is one that sends what was
    /// quoted and is to heed it.
    pub fn ip_tunnel_too_big(
        &mut self,
        plan: &Plan,
        path: PathKey,
        (shown, told): (Shown, u32),
        now: Instant,
    ) -> bool {
        let sends = |tunnel: &&Arc<IpTunnel>| {
            (tunnel.public, tunnel.local) == (path.instance, path.local)
                && (tunnel.remote == path.peer || tunnel.backup == Some(path.peer))
                && tunnel.kind.sent() == shown
        };
        let tunnel = plan.ip_tunnels.values().filter(sends).find(|tunnel| tunnel.packets.path_mtu_discovery);
        let time_us = tunnel.map(|tunnel| u64::from(tunnel.packets.path_mtu_aging) * 1_000_000);
        time_us.is_some_and(|time_us| self.learn(path, told, Instant(now.0.saturating_add(time_us))))
    }

    /// Forgets what was learned too long ago: the next large packet finds out. Says of which paths.
    pub fn age_paths(&mut self, now: Instant) -> Vec<PathKey> {
        let aged = self.paths.age(now);
        for path in &aged {
            self.rewrap(path);
        }
        aged
    }

    /// Tells the workers the size of a path, for every SA on it.
    fn rewrap(&mut self, path: &PathKey) {
        let on_path: Vec<Installed> = self.sas.on(path).cloned().collect();
        on_path.iter().for_each(|sa| self.wrap_by(sa, sa.wrapping));
    }

    /// A tunnel is configured otherwise: what is up goes by that at once, under the keys that it has.
    pub fn reconfigure(&mut self, roster: &Roster, id: ConnectionId) {
        let numbers: Vec<ChildNumber> = roster.numbers(id).collect();
        for number in numbers {
            let Some((_, tunnel, child)) = roster.child(number) else { continue };
            let all: Vec<Installed> = self.sas.of(number).cloned().collect();
            for sa in all {
                let wrapping = sa.wrapping.reconfigured(tunnel, child);
                if wrapping != sa.wrapping {
                    self.wrap_by(&sa, wrapping);
                }
            }
        }
    }

    /// Has an SA's packets wrapped and unwrapped by these settings, and what is known of its path.
    fn wrap_by(&mut self, sa: &Installed, wrapping: Wrapping) {
        let Encapsulation { instance, local, peer, .. } = sa.encapsulation;
        let encapsulation = wrapping.encapsulation(instance, (local, peer), self.sizes(&sa.path()));
        if let Some(known) = self.sas.get_mut(sa.sa) {
            known.wrapping = wrapping;
        }
        let Some(installed) = self.sas.rewrap(sa.sa, encapsulation) else { return };
        self.wrap_anew(&installed);
        let adjusted = Command::AdjustInbound {
            place: sa.place,
            spi: sa.spi_in,
            copy_traffic_class: wrapping.copies_traffic_class(),
            tcp_mss: wrapping.leaving_mss(&encapsulation),
        };
        self.outbox.put(sa.home.worker, Order::Plain(adjusted), None);
    }

    /// Gives an SA's encapsulation to its worker.
    pub(super) fn wrap_anew(&mut self, installed: &Installed) {
        let (Home { worker, slot }, spi) = (installed.home, installed.spi_out);
        let command = Command::Encapsulate { slot, spi, encapsulation: installed.encapsulation };
        self.outbox.put(worker, Order::Plain(command), None);
    }
}
