//! The anti-replay window (RFC 4303 §3.4.3) with extended sequence numbers (RFC 4303 App. A2),
//! kept as a ring of bits that is never shifted (after RFC 6479, but to the bit: the places that the right
//! edge passes over are cleared and no others, so that the ring has no word to spare).
//!
//! A packet is checked before decryption and committed after its ICV has verified; between the two
//! travels a [`Guess`], which carries the full 64-bit number the decryption uses. The window moves
//! in [`Window::commit`] only: RFC 4303 §3.4.3, "the receive window is updated only if the
//! integrity verification succeeds".

/// Smallest window.
pub const SMALLEST: u32 = 32;
/// Largest window: 1 KiB of bits.
pub const LARGEST: u32 = 8192;
/// Window unless configured otherwise.
pub const DEFAULT: u32 = 1024;

const WORD: u64 = u64::BITS as u64;

/// The window of one inbound SA. One owner. Its words are allocated by control, never by a worker.
#[derive(Debug)]
pub struct Window {
    /// Highest number committed, 0 before the first.
    top: u64,
    /// Window size in packets; 0 means anti-replay is off.
    size: u64,
    esn: bool,
    /// A power of two of words, no fewer bits than the window has numbers; bit `n % WORD` of word
    /// `n / WORD % len` is number `n`, of as many numbers up to `top` as there are bits.
    words: Box<[u64]>,
}

/// A number that may be new, to be decrypted with and then committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guess(u64);

/// Why a number is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Replayed {
    /// Seen before.
    #[error("sequence number {sequence} has been received before")]
    Duplicate {
        /// The number, with its high half as guessed.
        sequence: u64,
    },
    /// Left of the window, or of the first number there is.
    #[error("sequence number ...{low:#010x} lies left of the window, which ends at {top}")]
    TooOld {
        /// What the packet showed.
        low: u32,
        /// Right edge of the window.
        top: u64,
    },
}

/// A window that cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a replay window holds {SMALLEST} to {LARGEST} packets, not {size}")]
pub struct BadSize {
    /// What was asked for.
    pub size: u32,
}

impl Guess {
    /// No number: the first sent is 1 (RFC 4303 §3.3.3), so this one is refused by every window.
    pub const NONE: Guess = Guess(0);

    /// The full sequence number, for the associated data.
    pub const fn sequence(&self) -> u64 {
        self.0
    }
}

impl Window {
    /// An empty window of `size` packets.
    pub fn new(size: u32, esn: bool) -> Result<Window, BadSize> {
        if !(SMALLEST..=LARGEST).contains(&size) {
            return Err(BadSize { size });
        }
        let words = vec![0; Window::octets(size) / size_of::<u64>()];
        Ok(Window { top: 0, size: u64::from(size), esn, words: words.into() })
    }

    /// Octets of the words of a window of `size`: as few as hold it, rounded up, so that a mask finds the word.
    pub const fn octets(size: u32) -> usize {
        (size as usize).div_ceil(WORD as usize).next_power_of_two() * size_of::<u64>()
    }

    /// No anti-replay service: every 32-bit number is accepted. Manual keys only (RFC 4303 §3.4.3
    /// forbids it with IKE unless both sides agreed, App. A with ESN).
    pub fn off() -> Window {
        Window { top: 0, size: 0, esn: false, words: Box::default() }
    }

    /// A window taken over at `top`: everything up to and including it counts as seen, so nothing
    /// the former owner accepted is accepted again.
    pub fn resume(size: u32, esn: bool, top: u64) -> Result<Window, BadSize> {
        let mut window = Window::new(size, esn)?;
        window.top = top;
        window.words.fill(u64::MAX);
        Ok(window)
    }

    /// Highest number committed.
    pub const fn top(&self) -> u64 {
        self.top
    }

    /// Window size in packets, 0 if anti-replay is off.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Whether numbers have 64 bits.
    pub const fn esn(&self) -> bool {
        self.esn
    }

    /// Before decryption: the full number, unless it can be refused already.
    #[inline(always)]
    pub fn check(&self, low: u32) -> Result<Guess, Replayed> {
        let Some(sequence) = self.extend(low) else {
            return Err(Replayed::TooOld { low, top: self.top });
        };
        self.judge(sequence)?;
        Ok(Guess(sequence))
    }

    /// Asks for the word a number near the right edge lies in, to use it soon.
    #[inline]
    pub fn prefetch(&self) {
        if let Some(word) = self.words.get(self.index(self.top / WORD)) {
            ravelin_mem::prefetch::write(word);
        }
    }

    /// After the ICV has verified: marks the number as seen and moves the window. Judges again,
    /// because a burst checks all its packets before it commits the first.
    #[inline(always)]
    pub fn commit(&mut self, guess: Guess) -> Result<(), Replayed> {
        let Guess(sequence) = guess;
        // The next number of all is the usual one: new, and nothing is passed over.
        if self.top.checked_add(1) == Some(sequence) {
            self.mark(sequence);
            self.top = sequence;
            return Ok(());
        }
        if self.size == 0 {
            self.top = self.top.max(sequence);
            return Ok(());
        }
        self.commit_any(sequence)
    }

    #[inline(never)]
    fn commit_any(&mut self, sequence: u64) -> Result<(), Replayed> {
        self.judge(sequence)?;
        if sequence > self.top {
            self.pass_over(sequence);
        }
        self.mark(sequence);
        self.top = self.top.max(sequence);
        Ok(())
    }

    /// The 64-bit number that `low` stands for, or `None` where that number would lie before the first or
    /// behind the last there is.
    ///
    /// RFC 4303 App. A2.2 tells two cases by where the window lies. Both say the same: of all numbers that end
    /// in `low` it is the first that is not left of the window.
    #[inline(always)]
    const fn extend(&self, low: u32) -> Option<u64> {
        if !self.esn {
            return Some(low as u64);
        }
        let left_edge = self.size as i64 - 1;
        let bottom_low = (self.top as u32).wrapping_sub(left_edge as u32);
        self.top.checked_add_signed(low.wrapping_sub(bottom_low) as i64 - left_edge)
    }

    #[inline(always)]
    fn judge(&self, sequence: u64) -> Result<(), Replayed> {
        if self.size == 0 || sequence > self.top {
            return Ok(());
        }
        // RFC 4303 §3.3.3: the first number sent is 1, so 0 is older than any.
        if sequence == 0 || self.top - sequence >= self.size {
            return Err(Replayed::TooOld { low: sequence as u32, top: self.top });
        }
        let seen = self.word(sequence) & bit(sequence) != 0;
        if seen { Err(Replayed::Duplicate { sequence }) } else { Ok(()) }
    }

    /// Clears the places of the numbers between the right edge and `sequence`: they have not been seen, and
    /// those whose places they take fall out on the left.
    fn pass_over(&mut self, sequence: u64) {
        let (from, to) = (self.top / WORD, sequence / WORD);
        let (seen, left) = (up_to(self.top), !up_to(sequence));
        if from == to {
            return self.keep(to, seen | left);
        }
        self.keep(from, seen);
        let between = (to - from - 1).min(self.words.len() as u64);
        (to - between..to).for_each(|word| self.keep(word, 0));
        self.keep(to, left);
    }

    #[inline]
    fn keep(&mut self, word: u64, bits: u64) {
        let index = self.index(word);
        if let Some(word) = self.words.get_mut(index) {
            *word &= bits;
        }
    }

    #[inline(always)]
    fn mark(&mut self, sequence: u64) {
        let index = self.index(sequence / WORD);
        if let Some(word) = self.words.get_mut(index) {
            *word |= bit(sequence);
        }
    }

    #[inline]
    fn word(&self, sequence: u64) -> u64 {
        self.words.get(self.index(sequence / WORD)).copied().unwrap_or_default()
    }

    #[inline(always)]
    fn index(&self, word: u64) -> usize {
        word as usize & self.words.len().wrapping_sub(1)
    }
}

const fn bit(sequence: u64) -> u64 {
    1 << (sequence % WORD)
}

/// The bits of a number and of those before it in its word.
const fn up_to(sequence: u64) -> u64 {
    u64::MAX >> (WORD - 1 - sequence % WORD)
}

#[cfg(test)]
mod tests;
