//! The tap: what a worker that shows packets holds.

use arrayvec::ArrayVec;

use super::filter::Filter;
use super::path::{Node, Of, Paths, Step};
use super::ring::{Reader, Record, Sender, ring};
use super::{Side, Wish};
use crate::io::Meta;
use crate::net::flow::Summary;
use crate::verdict::Verdict;

/// ESP packets kept while they are decrypted: as many as are decrypted together.
const KEPT: usize = 32;

/// A packet as a station has it.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// Microseconds on the worker's clock.
    pub at_us: u64,
    /// The station.
    pub node: Node,
    /// Which frame it is in ([`super::identity`]).
    pub frame: usize,
    /// What travels with it.
    pub meta: Meta,
    /// Its octets.
    pub data: &'a [u8],
    /// What its header says, where that was read.
    pub summary: Option<&'a Summary>,
    /// Port and VLAN, if it came in or leaves here.
    pub interface: Option<(u16, u16)>,
}

/// What a worker shows, and to whom. Made by control, moved to the worker, and back when it ends. It allocates nothing
/// after it was made.
#[derive(Debug)]
pub struct Tap {
    filter: Filter,
    wish: Wish,
    /// Records it still sends.
    left: u64,
    paths: Paths,
    /// ESP packets that are being decrypted in place: frame, octets of the packet, end of the copy.
    kept: ArrayVec<(usize, usize, usize), KEPT>,
    copies: Vec<u8>,
    /// Of those, the ones that were asked for, and their octets.
    told: usize,
    told_octets: usize,
    out: Sender,
}

impl Tap {
    /// A tap that sends at most `most` records, and who reads them.
    pub fn new(filter: Filter, wish: Wish, most: u64) -> (Tap, Reader) {
        let (out, reader) = ring();
        let snap = wish.snap(Side::Encrypted).unwrap_or(0);
        let (kept, copies) = (ArrayVec::new(), Vec::with_capacity(KEPT * snap));
        let (paths, told, told_octets) = (Paths::new(), 0, 0);
        (Tap { filter, wish, left: most, paths, kept, copies, told, told_octets, out }, reader)
    }

    /// Notes a packet at a station, as the first of its path if it is `fresh`.
    pub fn see(&mut self, seen: &Seen<'_>, fresh: bool) {
        let Seen { at_us, node, frame, meta, data, summary, interface } = *seen;
        let Some(path) = self.paths.of(frame, fresh, at_us) else { return };
        path.met = path.met.and(summary.map_or_else(Default::default, |summary| self.filter.header(summary)));
        path.met = path.met.and(interface.map_or_else(Default::default, |at| self.filter.interface(at)));
        if let Some(summary) = summary.filter(|_| node == Node::Policy || path.flow.is_none()) {
            path.flow = Some(summary.flow());
        }
        path.is_esp = match node {
            Node::Decrypt => true,
            Node::Policy => false,
            _ => path.is_esp,
        };
        let interface = interface.unwrap_or((meta.port, meta.vlan));
        let octets = data.len() as u32;
        // A path has room for all stations there are.
        let _ = path.steps.try_push(Step { node, octets, interface, instance: meta.instance });
    }

    /// Notes of which SA a packet is.
    pub fn see_sa(&mut self, frame: usize, of: Of) {
        let met = self.filter.child(of.child);
        if let Some(path) = self.paths.get(frame) {
            (path.met, path.of) = (path.met.and(met), Some(of));
        }
    }

    /// Notes for which outbound slot a packet is, in which there may be no SA.
    pub fn see_slot(&mut self, frame: usize, slot: u32) {
        let met = self.filter.slot(slot);
        if let Some(path) = self.paths.get(frame) {
            path.met = path.met.and(met);
        }
    }

    /// Copies a packet, if it is one of those that are asked for.
    pub fn copy(&mut self, at_us: u64, frame: usize, side: Side, outbound: bool, data: &[u8]) {
        self.copy_as(at_us, frame, (side, outbound, Verdict::Forward), data);
    }

    /// Copies a packet on its way into a tunnel that lies nowhere as it was: `write` writes it to room that is there.
    pub fn copy_made(&mut self, at_us: u64, frame: usize, write: impl FnOnce(&mut Vec<u8>) -> Option<()>) {
        // Nothing is kept while packets are encrypted.
        let mut made = std::mem::take(&mut self.copies);
        if write(&mut made).is_some() {
            self.copy(at_us, frame, Side::Clear, true, &made);
        }
        made.clear();
        self.copies = made;
    }

    fn copy_as(
        &mut self,
        at_us: u64,
        frame: usize,
        (side, outbound, verdict): (Side, bool, Verdict),
        data: &[u8],
    ) {
        let Some(snap) = self.wish.snap(side) else { return };
        let all = self.filter.all();
        let Some(path) = self.paths.get(frame).filter(|path| path.met == all) else { return };
        path.is_told = !matches!(verdict, Verdict::Forward);
        let copy = data.get(..snap).unwrap_or(data);
        let record = Record::new(at_us, Some(side), verdict, path.clone());
        let record = Record { outbound, length: data.len() as u32, ..record };
        Self::send(&mut self.out, &mut self.left, record, copy);
    }

    fn send(out: &mut Sender, left: &mut u64, record: Record, copy: &[u8]) {
        if *left > 0 {
            *left -= 1;
            out.send(record, copy);
        }
    }

    /// Forgets what was kept: another round of decryption begins.
    pub fn keep_anew(&mut self) {
        self.kept.clear();
        self.copies.clear();
        (self.told, self.told_octets) = (0, 0);
    }

    /// Keeps an ESP packet that is about to be decrypted in place.
    pub fn keep(&mut self, frame: usize, data: &[u8]) {
        let snap = self.wish.snap(Side::Encrypted).unwrap_or(0);
        let copy = data.get(..snap).unwrap_or(data);
        if self.kept.is_full() || self.copies.capacity() - self.copies.len() < copy.len() {
            return;
        }
        self.copies.extend_from_slice(copy);
        self.kept.push((frame, data.len(), self.copies.len()));
    }

    /// Copies an ESP packet as it was kept; they are asked for in the order in which they were kept.
    pub fn copy_kept(&mut self, at_us: u64, frame: usize, verdict: Verdict) {
        let Some((_, length, end)) = self.kept.get(self.told).filter(|kept| kept.0 == frame).copied() else {
            return;
        };
        let copy = self.copies.get(self.told_octets..end).unwrap_or_default();
        (self.told, self.told_octets) = (self.told + 1, end);
        let all = self.filter.all();
        let path = self.paths.get(frame).filter(|path| path.met == all);
        let (Some(path), Some(_)) = (path, self.wish.snap(Side::Encrypted)) else { return };
        path.is_told = !matches!(verdict, Verdict::Forward);
        let record = Record::new(at_us, Some(Side::Encrypted), verdict, path.clone());
        Self::send(&mut self.out, &mut self.left, Record { length: length as u32, ..record }, copy);
    }

    /// Notes that what was kept is what it was decrypted to: a packet in clear.
    pub fn see_opened(&mut self, frame: usize, sequence: u64, inner: &Summary) {
        let met = self.filter.header(inner);
        let Some(path) = self.paths.get(frame) else { return };
        (path.met, path.is_esp, path.flow) = (path.met.and(met), false, Some(inner.flow()));
        path.of = path.of.map(|of| Of { sequence, ..of });
    }

    /// Notes that a packet is an ESP packet now.
    pub fn see_sealed(&mut self, frame: usize) {
        if let Some(path) = self.paths.get(frame) {
            path.is_esp = true;
        }
    }

    /// Ends a path. A packet that is dropped is copied as it is then, if no copy says so already.
    pub fn end(&mut self, seen: &Seen<'_>, verdict: Verdict) {
        self.see(seen, false);
        let Seen { at_us, frame, data, .. } = *seen;
        let told = self.paths.get(frame).map(|path| (path.is_esp, path.is_told));
        if let (Verdict::Drop(_), Some((is_esp, false))) = (verdict, told) {
            let side = if is_esp { Side::Encrypted } else { Side::Clear };
            // Whatever is no IP packet is not shown as one.
            let shown = if Summary::parse(data).is_ok() { data } else { &[] };
            self.copy_as(at_us, frame, (side, false, verdict), shown);
        }
        self.finish(at_us, frame, data.len(), verdict);
    }

    /// Ends a path of which all is shown.
    pub fn finish(&mut self, at_us: u64, frame: usize, octets: usize, verdict: Verdict) {
        let Some(path) = self.paths.take(frame) else { return };
        if self.wish == Wish::Paths && path.met == self.filter.all() {
            let record = Record::new(at_us, None, verdict, path);
            Self::send(&mut self.out, &mut self.left, Record { length: octets as u32, ..record }, &[]);
        }
    }
}
