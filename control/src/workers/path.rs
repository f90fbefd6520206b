//! What the network says of the paths to peers (RFC 4301 §8.2): a learned path MTU goes into the
//! encapsulation of every SA on that path, and goes out of it when it has aged.

use ravelin_dataplane::io::Pool;
use ravelin_dataplane::link::command::Command;
use ravelin_dataplane::sa::spi::Spi;
use ravelin_ike::time::Instant;

use super::Workers;
use crate::tunnel::outbox::Order;
use crate::tunnel::pmtu::{Learned, PathKey};
use crate::tunnel::sas::{Home, Installed};

impl<P: Pool> Workers<P> {
    /// The largest packet for a path: what was learned, else what fits through every way out.
    pub(super) fn outer_mtu(&self, path: &PathKey) -> Option<u16> {
        let widest = self.routing.smallest_mtu(path.instance);
        match self.paths.get(path) {
            Some(learned) => Some(widest.map_or(learned.mtu, |widest| widest.min(learned.mtu))),
            None => widest,
        }
    }

    /// What was learned of the path of a child, if anything; with the largest packet there is.
    pub fn path_mtu(&self, path: &PathKey) -> (Option<u16>, Option<&Learned>) {
        (self.outer_mtu(path), self.paths.get(path))
    }

    /// Somebody on the way says that a packet of `spi` was too large. Nobody authenticates that, so it is
    /// believed only of an SA we send with, if it is sane and lower than before. True if it was.
    pub(super) fn too_big(&mut self, path: PathKey, spi: Option<Spi>, told: u32, now: Instant) -> bool {
        let is_ours = spi.is_some_and(|spi| self.sas.on(&path).any(|sa| sa.spi_out == spi));
        let Some(current) = self.outer_mtu(&path).filter(|_| is_ours) else { return false };
        let learned = self.paths.learn(path, told, current, now);
        if learned {
            self.rewrap(&path);
        }
        learned
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
        let outer_mtu = self.outer_mtu(path);
        let on_path: Vec<Installed> = self.sas.on(path).cloned().collect();
        for sa in on_path {
            let encapsulation =
                ravelin_dataplane::sa::outbound::Encapsulation { outer_mtu, ..sa.encapsulation };
            if let Some(installed) = self.sas.rewrap(sa.sa, encapsulation) {
                self.wrap_anew(&installed);
            }
        }
    }

    /// Gives an SA's encapsulation to its worker.
    pub(super) fn wrap_anew(&mut self, installed: &Installed) {
        let (Home { worker, slot }, spi) = (installed.home, installed.spi_out);
        let command = Command::Encapsulate { slot, spi, encapsulation: installed.encapsulation };
        self.outbox.put(worker, Order::Plain(command), None);
    }
}
