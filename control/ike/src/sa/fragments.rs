//! Smaller fragments where larger ones do not seem to arrive (RFC 7383 §2.5.2): "the sender ... decreases the size" of what
//! is sent again, within a message ID.
//!
//! A request that was repeated in vain, and an answer that is asked for again and again, are opened with our own keys and
//! sealed anew in more pieces, of the sizes that hosts must take. What was found to be needed, by us or by the peer, is kept
//! for the IKE SA.

use super::common::Common;
use super::ike_sa::IkeSa;
use crate::context::Context;
use crate::want::Path;
use crate::window::Packets;

/// Octets of IP packets that are tried in turn: what every link of IPv6 carries, what every host of IPv4 takes.
const SIZES: [u16; 2] = [1280, 576];
/// The least of IPv6.
const LEAST_V6: u16 = 1280;

/// Octets of headers around a fragment, at least: of IPv4 and of UDP.
const HEADERS: usize = 20 + 8;

/// So often a message goes in one size before a smaller one is tried.
const PATIENCE: u32 = 2;

impl IkeSa {
    /// The peer sends in pieces of which a full one has so many octets: what it has found to arrive, ours are held to.
    pub(super) fn note_fragment(&mut self, octets: usize) {
        let fits = |size: &u16| octets.saturating_add(HEADERS) <= usize::from(*size);
        if let Some(size) = SIZES.into_iter().rfind(fits) {
            self.fragment_size = Some(self.fragment_size.map_or(size, |known| known.min(size)));
        }
    }

    /// Before our request is sent again: it goes in smaller pieces if it is time for that.
    pub(crate) fn shrink_request(&mut self, ctx: &mut Context<'_>, common: &Common) {
        let sent = self.window.repetitions().saturating_add(1);
        let is_time = self.window.is_due(ctx.now) && sent.is_multiple_of(PATIENCE);
        let Some(packets) = self.window.request_packets().filter(|_| is_time).cloned() else { return };
        if let Some(smaller) = self.smaller(ctx, common, &common.path, &packets) {
            self.window.resize_request(smaller);
        }
    }

    /// Before our last answer is sent again: the same.
    pub(crate) fn shrink_reply(&mut self, ctx: &mut Context<'_>, common: &Common, path: &Path) {
        let sent = self.window.reply_asked_again();
        if !sent.is_multiple_of(PATIENCE) {
            return;
        }
        let Some(packets) = self.window.last_reply().cloned() else { return };
        if let Some(smaller) = self.smaller(ctx, common, path, &packets) {
            self.window.resize_reply(smaller);
        }
    }

    /// The same message in packets of the next smaller size that is smaller than the largest of these.
    fn smaller(
        &mut self,
        ctx: &mut Context<'_>,
        common: &Common,
        path: &Path,
        packets: &Packets,
    ) -> Option<Packets> {
        let largest = packets.iter().map(Vec::len).max()?;
        let least = if path.remote.is_ipv4() { 0 } else { LEAST_V6 };
        for size in SIZES.into_iter().filter(|size| *size >= least) {
            let limit = common.fragment_limit(path, ctx.config.nat_port, Some(size))?;
            if limit < largest {
                let smaller = self.cut(ctx, packets, limit)?;
                self.fragment_size = Some(size);
                let pieces = smaller.len();
                ctx.trace(path.remote, || format!("sent again in {pieces} pieces of {size} octets at most"));
                return Some(smaller);
            }
        }
        None
    }
}
