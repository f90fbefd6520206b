//! Messages to authenticate (RFC 2104).

use crate::kernel::Kernel;
use crate::key::{MacKey, States};
use crate::low::single::{self, Sha1, Sha256, Sha512};
#[cfg(target_arch = "x86_64")]
use crate::low::zmm;
use crate::{BURST, MAC};

/// Octets behind a text that are authenticated with it at most: half of an extended sequence number (RFC 4303 §2.2.1).
const SUFFIX: usize = 4;

/// A message of which the MAC is wanted.
#[derive(Debug)]
pub struct Message<'a> {
    pub(crate) key: &'a MacKey,
    pub(crate) text: &'a [u8],
    pub(crate) suffix: &'a [u8],
    /// Out: the front of the MAC.
    pub mac: [u8; MAC],
}

impl<'a> Message<'a> {
    /// `text`, and up to 4 octets of `suffix` as if they stood behind it; of a longer one they are the first.
    #[inline]
    pub fn new(key: &'a MacKey, text: &'a [u8], suffix: &'a [u8]) -> Message<'a> {
        let suffix = suffix.get(..SUFFIX).unwrap_or(suffix);
        Message { key, text, suffix, mac: [0; MAC] }
    }
}

/// Computes the MAC of every message. Keys and hashes may be mixed freely. Allocates nothing.
pub fn mac_burst(messages: &mut [Message<'_>]) {
    for burst in messages.chunks_mut(BURST) {
        match burst {
            [alone] => alone.compute(),
            burst => {
                #[cfg(target_arch = "x86_64")]
                zmm::mac(burst);
                let rest = burst.iter_mut().filter(|message| message.key.kernel == Kernel::portable());
                rest.for_each(Message::compute);
            }
        }
    }
}

impl Message<'_> {
    /// By itself.
    fn compute(&mut self) {
        let Message { key, text, suffix, mac } = self;
        *mac = match &key.states {
            States::Sha1(states) => single::mac::<64, Sha1>(states, 5, text, suffix),
            States::Sha256(states) => single::mac::<64, Sha256>(states, 8, text, suffix),
            States::Sha512(states, words) => single::mac::<128, Sha512>(states, *words, text, suffix),
        };
    }
}
