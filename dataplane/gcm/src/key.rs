//! An AES key expanded for one kernel, wiped when dropped.
//!
//! The expanded form lies inline: installing an association allocates nothing, and a table of
//! associations holds its keys beside their other hot state. The price is that moving a [`Key`]
//! leaves its old bytes behind, as any Rust move does: make it where it will stay. The raw key
//! passed in is the caller's to wipe.

use std::fmt;

use crate::kernel::{Kernel, Set};
#[cfg(target_arch = "x86_64")]
use crate::low::vaes;
use crate::low::{portable, ring};

/// Key sizes of AES (FIPS 197 §5), all three of which RFC 4106 §8.1 asks for by number of bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeySize {
    /// 16 octets.
    Aes128,
    /// 24 octets.
    Aes192,
    /// 32 octets.
    Aes256,
}

impl KeySize {
    /// Every size, smallest first.
    pub const ALL: [KeySize; 3] = [KeySize::Aes128, KeySize::Aes192, KeySize::Aes256];

    /// Octets of a key of this size, without the salt.
    pub const fn octets(self) -> usize {
        match self {
            KeySize::Aes128 => 16,
            KeySize::Aes192 => 24,
            KeySize::Aes256 => 32,
        }
    }

    /// The size of a key of that many octets.
    pub fn from_octets(octets: usize) -> Result<KeySize, BadKeyLength> {
        match octets {
            16 => Ok(KeySize::Aes128),
            24 => Ok(KeySize::Aes192),
            32 => Ok(KeySize::Aes256),
            octets => Err(BadKeyLength { octets }),
        }
    }
}

/// A key of a length AES does not have: our caller's fault. The usual slip is to pass keying
/// material with its 4 octets of salt still on the end (RFC 4106 §8.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadKeyLength {
    /// Octets given.
    pub octets: usize,
}

impl fmt::Display for BadKeyLength {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hint = match self.octets {
            20 | 28 | 36 => ": take the 4 octets of salt off its end",
            _ => "",
        };
        write!(f, "an AES key has 16, 24 or 32 octets, not {}{hint}", self.octets)
    }
}

impl std::error::Error for BadKeyLength {}

/// An AES-GCM key, expanded for one kernel. One owner; `Send`; wiped on drop.
///
/// It begins on a cache line, and what a short packet needs comes first.
#[repr(align(64))]
pub struct Key {
    schedule: Schedule,
}

/// What a kernel wants to have at hand. Each variant lies inline and wipes itself.
pub(crate) enum Schedule {
    #[cfg(target_arch = "x86_64")]
    Vaes512(KeySize, vaes::zmm::Cpu, vaes::Schedule),
    #[cfg(target_arch = "x86_64")]
    Vaes256(KeySize, vaes::ymm::Cpu, vaes::Schedule),
    Ring(KeySize, ring::Schedule),
    Portable(portable::Schedule),
}

// A tunnel has two of these and is to stay under 2 KiB.
const _: () = assert!(size_of::<Key>() <= 576);

impl Key {
    /// Expands `key` (16, 24 or 32 octets, no salt) for `kernel`.
    pub fn new(kernel: Kernel, key: &[u8]) -> Result<Key, BadKeyLength> {
        let size = KeySize::from_octets(key.len())?;
        let schedule = match kernel.set() {
            #[cfg(target_arch = "x86_64")]
            Set::Vaes512(cpu) => Some(Schedule::Vaes512(size, cpu, vaes::wide512::expand(cpu, size, key))),
            #[cfg(target_arch = "x86_64")]
            Set::Vaes256(cpu) => Some(Schedule::Vaes256(size, cpu, vaes::wide256::expand(cpu, size, key))),
            Set::Ring => ring::Schedule::new(key).map(|schedule| Schedule::Ring(size, schedule)),
            Set::Portable => None,
        };
        let schedule = match schedule {
            Some(schedule) => schedule,
            None => Schedule::Portable(portable::Schedule::new(key)?),
        };
        Ok(Key { schedule })
    }

    /// Its size.
    #[inline]
    pub fn size(&self) -> KeySize {
        match &self.schedule {
            #[cfg(target_arch = "x86_64")]
            Schedule::Vaes512(size, ..) | Schedule::Vaes256(size, ..) => *size,
            Schedule::Ring(size, _) => *size,
            Schedule::Portable(schedule) => schedule.size(),
        }
    }

    /// The kernel that serves it: not always the one asked for, see [`Kernel::ring`].
    pub fn kernel(&self) -> Kernel {
        match self.schedule {
            #[cfg(target_arch = "x86_64")]
            Schedule::Vaes512(_, cpu, _) => Kernel::of(Set::Vaes512(cpu)),
            #[cfg(target_arch = "x86_64")]
            Schedule::Vaes256(_, cpu, _) => Kernel::of(Set::Vaes256(cpu)),
            Schedule::Ring(..) => Kernel::ring(),
            Schedule::Portable(_) => Kernel::portable(),
        }
    }

    /// Has the processor fetch what a packet with `text_octets` of text will read of this key, without
    /// waiting for it. A burst does so itself for the lanes ahead; who knows a packet's key earlier than that can
    /// hide more.
    #[inline]
    pub fn prefetch(&self, text_octets: usize) {
        #[cfg(target_arch = "x86_64")]
        vaes::lines(std::ptr::from_ref(self).cast(), if text_octets <= 96 { 320 } else { 512 });
        #[cfg(not(target_arch = "x86_64"))]
        let _ = text_octets;
    }

    /// Whether another key is of the same size and served by the same kernel. Asked of each packet, so the fastest
    /// kernel's are told by two comparisons.
    #[inline(always)]
    pub(crate) fn is_like(&self, other: &Key) -> bool {
        match (&self.schedule, &other.schedule) {
            #[cfg(target_arch = "x86_64")]
            (Schedule::Vaes512(size, ..), Schedule::Vaes512(other, ..)) => size == other,
            _ => self.is_like_otherwise(other),
        }
    }

    #[cold]
    #[inline(never)]
    fn is_like_otherwise(&self, other: &Key) -> bool {
        match (&self.schedule, &other.schedule) {
            #[cfg(target_arch = "x86_64")]
            #[cfg(target_arch = "x86_64")]
            (Schedule::Vaes256(size, ..), Schedule::Vaes256(other, ..)) => size == other,
            (Schedule::Ring(..), Schedule::Ring(..)) | (Schedule::Portable(_), Schedule::Portable(_)) => true,
            _ => false,
        }
    }

    #[inline(always)]
    pub(crate) fn schedule(&self) -> &Schedule {
        &self.schedule
    }
}

/// Says what kind of key it is and nothing of its value: keys do not belong in logs.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({:?}, {})", self.size(), self.kernel().name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Only AES's three lengths make a key, and the refusal names the common slip.
    #[test]
    fn lengths_other_than_aes_are_refused() {
        for kernel in Kernel::all() {
            for octets in 0..=64 {
                let made = Key::new(kernel, &vec![7; octets]);
                match KeySize::ALL.into_iter().find(|size| size.octets() == octets) {
                    Some(size) => assert_eq!(made.unwrap().size(), size),
                    None => assert_eq!(made.unwrap_err(), BadKeyLength { octets }),
                }
            }
        }
        assert!(BadKeyLength { octets: 20 }.to_string().contains("salt"));
    }

    /// A key asked of a kernel that lacks its size still works, and says who serves it.
    #[test]
    fn aes192_falls_back_to_the_portable_kernel() {
        let served = |size: KeySize| Key::new(Kernel::ring(), &vec![1; size.octets()]).unwrap().kernel();
        assert_eq!(served(KeySize::Aes128), Kernel::ring());
        assert_eq!(served(KeySize::Aes192), Kernel::portable());
        assert_eq!(served(KeySize::Aes256), Kernel::ring());
    }

    /// What prefetching counts on: a key begins on a line, and its round keys a block behind.
    #[test]
    #[cfg(target_arch = "x86_64")]
    fn the_schedule_is_at_the_front() {
        let Some(kernel) = Kernel::vaes512().or_else(Kernel::vaes256) else { return };
        let key = Key::new(kernel, &[7; 16]).unwrap();
        let (Schedule::Vaes512(_, _, schedule) | Schedule::Vaes256(_, _, schedule)) = &key.schedule else {
            panic!("served by another")
        };
        let place = std::ptr::from_ref(schedule).addr() - std::ptr::from_ref(&key).addr();
        assert_eq!((place, align_of::<Key>()), (16, 64));
        assert_eq!(schedule.round_key(0).0, [7; 16]);
        // A hint: nothing to be seen of it but that it does no harm.
        key.prefetch(64);
        key.prefetch(usize::MAX);
    }

    /// Logs never show key octets.
    #[test]
    fn debug_shows_no_key() {
        let key = Key::new(Kernel::portable(), &[0xab; 16]).unwrap();
        assert_eq!(format!("{key:?}"), "Key(Aes128, portable)");
    }

    /// Keys travel to the worker that owns the association.
    #[test]
    fn a_key_is_send() {
        fn send<T: Send>() {}
        send::<Key>();
    }
}
