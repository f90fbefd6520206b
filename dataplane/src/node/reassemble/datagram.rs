//! One datagram in progress: its pieces in order, and how they become a whole.

use super::key::Fragment;
use super::{MAX_PIECES, Why};
use crate::io::{Frame, Pool};
use crate::net::{ipv4, ipv6};
use crate::node::fragment::refresh_checksum;

/// A frame and the part of the datagram it carries.
#[derive(Debug)]
struct Piece<F> {
    start: usize,
    end: usize,
    /// Where the part lies in the frame.
    at: usize,
    frame: F,
}

impl<F: Frame> Piece<F> {
    fn octets(&self) -> &[u8] {
        self.frame.data().get(self.at..self.at + self.end - self.start).unwrap_or_default()
    }
}

/// What the first fragment says of the whole.
#[derive(Clone, Copy, Debug)]
struct Head {
    header: usize,
    next_header: Option<(usize, u8)>,
}

/// The pieces, ascending and disjoint. Their memory is allocated once.
#[derive(Debug)]
pub(super) struct Datagram<F> {
    pieces: Vec<Piece<F>>,
    received: usize,
    /// Octets of the whole payload, known from the last fragment.
    total: Option<usize>,
    head: Option<Head>,
}

/// What became of a fragment.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Added {
    Held,
    Duplicate,
    Complete,
    /// The datagram cannot be put together any more.
    Refused(Why),
}

impl<F: Frame> Datagram<F> {
    pub(super) fn new() -> Datagram<F> {
        Datagram { pieces: Vec::with_capacity(MAX_PIECES), received: 0, total: None, head: None }
    }

    pub(super) fn pieces(&self) -> usize {
        self.pieces.len()
    }

    /// Drops all pieces; how many there were.
    pub(super) fn clear(&mut self) -> usize {
        let held = self.pieces.len();
        self.pieces.clear();
        (self.received, self.total, self.head) = (0, None, None);
        held
    }

    pub(super) fn add(&mut self, fragment: &Fragment, frame: F) -> Added {
        let (start, end) = (fragment.offset, fragment.offset + fragment.payload.len());
        let piece = Piece { start, end, at: fragment.payload.start, frame };
        let index = self.pieces.partition_point(|other| other.start < start);
        if self.is_duplicate(index, &piece) {
            return Added::Duplicate;
        }
        if self.overlaps(index, &piece) || self.contradicts_end(end, fragment.more) {
            return Added::Refused(Why::Overlap);
        }
        if self.pieces.len() >= MAX_PIECES {
            return Added::Refused(Why::TooManyPieces);
        }
        self.received += end - start;
        self.pieces.insert(index, piece);
        if !fragment.more {
            self.total = Some(end);
        }
        if start == 0 {
            self.head = Some(Head { header: fragment.header, next_header: fragment.next_header });
        }
        // Pieces are disjoint and end within the total, so equal sums mean no hole.
        if self.total == Some(self.received) { Added::Complete } else { Added::Held }
    }

    fn is_duplicate(&self, index: usize, piece: &Piece<F>) -> bool {
        let same = |other: &&Piece<F>| (other.start, other.end) == (piece.start, piece.end);
        self.pieces.get(index).filter(same).is_some_and(|other| other.octets() == piece.octets())
    }

    fn overlaps(&self, index: usize, piece: &Piece<F>) -> bool {
        let before = index.checked_sub(1).and_then(|before| self.pieces.get(before));
        let after = self.pieces.get(index);
        before.is_some_and(|before| before.end > piece.start)
            || after.is_some_and(|after| after.start < piece.end)
    }

    /// A second, different end, or a piece beyond the end.
    fn contradicts_end(&self, end: usize, more: bool) -> bool {
        let farthest = self.pieces.last().map_or(0, |last| last.end);
        match self.total {
            Some(total) => end > total || (!more && end != total),
            None => !more && farthest > end,
        }
    }

    /// The whole datagram in a frame from the pool, with the first fragment's header and meta.
    pub(super) fn assemble<P: Pool<Frame = F>>(&self, pool: &mut P) -> Result<F, Why> {
        let length = self.head.map_or(0, |head| head.header) + self.received;
        let (Some(first), Some(head)) = (self.pieces.first(), self.head) else {
            return Err(Why::NoBuffer { length });
        };
        // A later fragment may carry a shorter header than the first: only now is the sum known.
        if length > 65_535 {
            return Err(Why::TooLong { length });
        }
        let mut whole = pool.alloc_for(length).ok_or(Why::NoBuffer { length })?;
        *whole.meta_mut() = *first.frame.meta();
        let out = whole.append(length).ok_or(Why::NoBuffer { length })?;
        let header = first.frame.data().get(..head.header).unwrap_or_default();
        let parts = std::iter::once(header).chain(self.pieces.iter().map(Piece::octets));
        parts.fold(&mut *out, put);
        repair(out, head);
        Ok(whole)
    }
}

/// Copies `part` to the start of `out`; what is left of `out`.
fn put<'a>(out: &'a mut [u8], part: &[u8]) -> &'a mut [u8] {
    match out.split_at_mut_checked(part.len()) {
        Some((place, rest)) => {
            place.copy_from_slice(part);
            rest
        }
        None => &mut [],
    }
}

/// Makes the first fragment's header that of the whole datagram.
fn repair(packet: &mut [u8], head: Head) {
    let length = packet.len();
    match head.next_header {
        None => {
            if let Some(fixed) = packet.first_chunk_mut::<{ ipv4::Repr::LEN }>() {
                [fixed[2], fixed[3]] = (length as u16).to_be_bytes();
                // No more fragments, offset zero; Don't Fragment as it was.
                [fixed[6], fixed[7]] = [fixed[6] & 0x40, 0];
            }
            refresh_checksum(packet, head.header);
        }
        Some((at, next_header)) => {
            if let Some(fixed) = packet.first_chunk_mut::<{ ipv6::Repr::LEN }>() {
                [fixed[4], fixed[5]] = ((length - ipv6::Repr::LEN) as u16).to_be_bytes();
            }
            if let Some(place) = packet.get_mut(at) {
                *place = next_header;
            }
        }
    }
}
