//! A bounded list of frames in a fixed array: no heap, and a frame moves in and out by one store and one load.

use arrayvec::ArrayVec;

use super::BURST;

/// Up to [`BURST`] frames in order of arrival.
#[derive(Debug)]
pub struct Burst<F> {
    frames: ArrayVec<F, BURST>,
}

/// The frames of a burst, taken out from the front.
pub type Drain<'a, F> = arrayvec::Drain<'a, F, BURST>;

impl<F> Burst<F> {
    /// An empty burst.
    pub fn new() -> Self {
        Burst { frames: ArrayVec::new() }
    }

    /// Frames in it.
    #[inline]
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    /// True when it holds nothing.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Frames it can still take.
    #[inline]
    pub fn room(&self) -> usize {
        self.frames.remaining_capacity()
    }

    /// Appends `frame`, or gives it back when the burst is full.
    #[inline]
    pub fn push(&mut self, frame: F) -> Result<(), F> {
        self.frames.try_push(frame).map_err(|full| full.element())
    }

    /// Takes the last frame.
    #[inline]
    pub fn pop(&mut self) -> Option<F> {
        self.frames.pop()
    }

    /// Takes every frame, front first.
    #[inline]
    pub fn drain(&mut self) -> Drain<'_, F> {
        self.frames.drain(..)
    }

    /// Takes the first `n` frames (all when there are fewer), front first.
    #[inline]
    pub fn drain_front(&mut self, n: usize) -> Drain<'_, F> {
        let n = n.min(self.frames.len());
        self.frames.drain(..n)
    }

    /// Drops every frame.
    pub fn clear(&mut self) {
        self.frames.clear();
    }

    /// The frames, front first.
    #[inline]
    pub fn iter(&self) -> std::slice::Iter<'_, F> {
        self.frames.iter()
    }

    /// The frames as the array they are, for a device to take and leave some.
    #[cfg(feature = "dpdk")]
    pub(super) fn frames_mut(&mut self) -> &mut ArrayVec<F, BURST> {
        &mut self.frames
    }

    /// The frames, front first, to be changed.
    #[inline]
    pub fn iter_mut(&mut self) -> std::slice::IterMut<'_, F> {
        self.frames.iter_mut()
    }
}

impl<F> Default for Burst<F> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_burst_gives_the_frame_back() {
        let mut burst = Burst::new();
        for n in 0..BURST {
            assert!(burst.push(n).is_ok());
        }
        assert_eq!((burst.push(99), burst.room()), (Err(99), 0));
        assert_eq!(burst.drain_front(2).collect::<Vec<_>>(), [0, 1]);
        assert_eq!(burst.len(), BURST - 2);
        assert_eq!(burst.drain().next(), Some(2));
        assert!(burst.is_empty());
    }
}
