//! A bounded list of frames that never allocates after it was made.

use super::BURST;

/// Up to [`BURST`] frames in order of arrival. Its memory is taken once, when it is made.
#[derive(Debug)]
pub struct Burst<F> {
    frames: Vec<F>,
}

/// The frames of a burst, taken out from the front.
pub type Drain<'a, F> = std::vec::Drain<'a, F>;

impl<F> Burst<F> {
    /// An empty burst.
    pub fn new() -> Self {
        Burst { frames: Vec::with_capacity(BURST) }
    }

    /// Frames in it.
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    /// True when it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Frames it can still take.
    pub fn room(&self) -> usize {
        BURST.saturating_sub(self.frames.len())
    }

    /// Appends `frame`, or gives it back when the burst is full.
    pub fn push(&mut self, frame: F) -> Result<(), F> {
        if self.room() == 0 {
            return Err(frame);
        }
        self.frames.push(frame);
        Ok(())
    }

    /// Takes the last frame.
    pub fn pop(&mut self) -> Option<F> {
        self.frames.pop()
    }

    /// Takes every frame, front first.
    pub fn drain(&mut self) -> Drain<'_, F> {
        self.frames.drain(..)
    }

    /// Takes the first `n` frames (all when there are fewer), front first.
    pub fn drain_front(&mut self, n: usize) -> Drain<'_, F> {
        let n = n.min(self.frames.len());
        self.frames.drain(..n)
    }

    /// Drops every frame.
    pub fn clear(&mut self) {
        self.frames.clear();
    }

    /// The frames, front first.
    pub fn iter(&self) -> std::slice::Iter<'_, F> {
        self.frames.iter()
    }

    /// The frames, front first, to be changed.
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
    fn a_full_burst_gives_the_frame_back_and_never_grows() {
        let mut burst = Burst::new();
        for n in 0..BURST {
            assert!(burst.push(n).is_ok());
        }
        assert_eq!(burst.push(99), Err(99));
        assert_eq!(burst.frames.capacity(), BURST);
        assert_eq!(burst.drain_front(2).collect::<Vec<_>>(), [0, 1]);
        assert_eq!(burst.len(), BURST - 2);
        assert_eq!(burst.drain().next(), Some(2));
        assert!(burst.is_empty());
    }
}
