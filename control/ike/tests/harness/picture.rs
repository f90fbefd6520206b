//! What the two ends have at a moment, in words that can be compared, and what must be true of it.

use super::World;
use ravelin_ike::engine::{IkePhase, IkeSnapshot};
use ravelin_ike::id::{ChildSaId, IkeId};

impl World {
    /// The established IKE SAs and live CHILD_SAs of an end, in the words of end `as_of`.
    pub fn picture(&self, end: usize, as_of: usize) -> Vec<String> {
        let mut lines = Vec::new();
        for ike in self.ends[end].engine.snapshot() {
            if !is_up(&ike) {
                continue;
            }
            lines.push(format!("ike {:016x} {:016x}", ike.spis.0, ike.spis.1));
            for child in ike.children.iter().filter(|child| child.live) {
                let child = &child.child;
                let (own, peer) = (child.spi_in, child.spi_out);
                let (first, second) = if end == as_of { (own, peer) } else { (peer, own) };
                let (local, remote) = (format!("{:?}", child.local), format!("{:?}", child.remote));
                let (one, two) = if end == as_of { (local, remote) } else { (remote, local) };
                lines.push(format!("child {first:08x} {second:08x} {one} {two}"));
            }
        }
        lines.sort();
        lines
    }

    pub fn children(&self, end: usize) -> Vec<ChildSaId> {
        let snapshot = self.ends[end].engine.snapshot();
        let children = snapshot.iter().flat_map(|ike| ike.children.iter());
        children.filter(|child| child.live).map(|child| child.child.child).collect()
    }

    pub fn ikes(&self, end: usize) -> Vec<IkeId> {
        self.ends[end].engine.snapshot().iter().filter(|ike| is_up(ike)).map(|ike| ike.ike).collect()
    }

    pub fn assert_converged(&self) {
        assert_eq!(self.picture(0, 0), self.picture(1, 0), "the ends do not agree");
        for end in 0..2 {
            self.ends[end].plane.assert_is(&self.children(end), self.ends[end].name);
        }
        self.assert_keys_agree();
        self.assert_paths_agree();
    }

    /// The children that have a CHILD_SA in use at an end, each as often as it has one.
    pub fn served(&self, end: usize) -> Vec<u32> {
        let snapshot = self.ends[end].engine.snapshot();
        let live = snapshot.iter().flat_map(|ike| &ike.children).filter(|child| child.live);
        let mut served: Vec<u32> = live.map(|child| child.child.config.0).collect();
        served.sort_unstable();
        served
    }

    pub fn assert_empty(&self) {
        for end in &self.ends {
            assert!(end.engine.is_idle(), "{} is not idle: {:#?}", end.name, end.engine.snapshot());
            end.plane.assert_empty(end.name);
            assert!(end.admitted.is_empty(), "{} keeps connections: {:?}", end.name, end.admitted);
        }
    }
}

fn is_up(ike: &IkeSnapshot) -> bool {
    ike.spis != (0, 0) && ike.phase != IkePhase::Closing
}
