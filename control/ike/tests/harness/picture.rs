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

    /// Whatever is sent at this moment is received: who sends by an SA has a peer that has it.
    pub fn assert_carries(&self) {
        for end in 0..2 {
            for (spi, ..) in self.ends[end].plane.senders() {
                let opens = self.ends[1 - end].plane.opens(spi).is_some();
                assert!(
                    opens,
                    "{} sends by {spi:08x} at {}, which is not there",
                    self.ends[end].name, self.now
                );
            }
        }
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

/// A datagram, from its header.
pub fn describe(bytes: &[u8]) -> String {
    let exchange = match bytes[18] {
        34 => "IKE_SA_INIT",
        35 => "IKE_AUTH",
        36 => "CREATE_CHILD_SA",
        37 => "INFORMATIONAL",
        38 => "IKE_SESSION_RESUME",
        43 => "IKE_INTERMEDIATE",
        44 => "IKE_FOLLOWUP_KE",
        _ => "?",
    };
    let id = u32::from_be_bytes(bytes[20..24].try_into().unwrap());
    let response = if bytes[19] & 0x20 != 0 { "response" } else { "request" };
    let side = if bytes[19] & 0x08 != 0 { "i" } else { "r" };
    let spi: String = bytes[..4].iter().map(|octet| format!("{octet:02x}")).collect();
    format!("{spi} {exchange} {response} {id} ({side}, {} octets)", bytes.len())
}
