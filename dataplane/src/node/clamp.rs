//! Lowers the MSS of TCP SYNs that enter or leave a tunnel, so that segments fit (RFC 6691, DP-33).
//!
//! Only ever lowers. Fragments are left alone: they do not show a whole header.

use crate::io::Frame;
use crate::net::{protocol, tcp};
use crate::node::Packet;

/// Lowers the MSS option of a SYN to `limit`; any other packet is left as it is.
pub fn clamp<F: Frame>(packet: &mut Packet<F>, limit: u16) {
    let (summary, at) = (&packet.summary, packet.summary.upper_at);
    if summary.flow.protocol != protocol::TCP || summary.fragment {
        return;
    }
    if let Some(segment) = packet.frame.data_mut().get_mut(at..) {
        tcp::lower_mss(segment, limit);
    }
}
