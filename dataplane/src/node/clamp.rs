//! Lowers the MSS of TCP SYNs that enter or leave a tunnel, so that segments fit (RFC 6691, DP-33).
//!
//! Only ever lowers. Fragments are left alone: they do not show a whole header.

use crate::io::Frame;
use crate::net::flow::Summary;
use crate::net::{protocol, tcp};

/// Lowers the MSS option of a SYN to `limit`; any other packet is left as it is.
pub fn clamp<F: Frame>(frame: &mut F, summary: &Summary, limit: u16) {
    if summary.protocol() != protocol::TCP || summary.is_fragment() {
        return;
    }
    if let Some(segment) = frame.data_mut().get_mut(summary.upper_at()..) {
        tcp::lower_mss(segment, limit);
    }
}
