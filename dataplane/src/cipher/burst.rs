//! Packets of many SAs together (RFC 4303 §3.3.2, §3.4.4.1).
//!
//! What takes bursts gets one: all chains of AES-CBC are encrypted side by side, then all HMACs computed; on the way in
//! the HMACs, then each packet that has proven right is decrypted. The rest goes a packet at a time.

use arrayvec::ArrayVec;
use ravelin_cbc::{Chain, Message, encrypt_burst, mac_burst};

use super::hashed::{self, Ivs};
use super::{BadIcv, Opener, Position, Sealer, Suffix, TooShort};

/// Packets considered together. A longer slice is correct too, it is worked in pieces.
pub const BURST: usize = ravelin_cbc::BURST;

/// A packet to encrypt in place.
#[derive(Debug)]
pub struct Seal<'a> {
    sealer: &'a Sealer,
    at: Position,
    suffix: Suffix,
    packet: &'a mut [u8],
    /// Out: whether it was; a packet shorter than its framing is not.
    pub verdict: Result<(), TooShort>,
}

impl<'a> Seal<'a> {
    /// `packet` is an ESP packet from SPI to ICV but for its IV, its ICV and that its text is in clear. Until
    /// [`seal_burst`] has said otherwise it is not encrypted.
    pub fn new(sealer: &'a Sealer, at: Position, packet: &'a mut [u8]) -> Seal<'a> {
        Seal { sealer, at, suffix: at.suffix(), packet, verdict: Err(TooShort) }
    }
}

/// A packet to check and decrypt in place.
#[derive(Debug)]
pub struct Open<'a> {
    opener: &'a Opener,
    at: Position,
    suffix: Suffix,
    packet: &'a mut [u8],
    /// Out: whether its ICV is good; only then is it decrypted.
    pub verdict: Result<(), BadIcv>,
}

impl<'a> Open<'a> {
    /// `packet` is an ESP packet from SPI to ICV. Until [`open_burst`] has said otherwise its ICV is bad.
    pub fn new(opener: &'a Opener, at: Position, packet: &'a mut [u8]) -> Open<'a> {
        Open { opener, at, suffix: at.suffix(), packet, verdict: Err(BadIcv) }
    }
}

/// Encrypts every packet in place and writes its ICV. Allocates nothing.
pub fn seal_burst(lanes: &mut [Seal<'_>]) {
    for burst in lanes.chunks_mut(BURST) {
        encrypt(burst);
        authenticate(burst);
    }
}

/// Everything but the ICVs of HMAC.
fn encrypt(burst: &mut [Seal<'_>]) {
    let (mut chains, mut ivs): (ArrayVec<Chain<'_>, BURST>, _) = (ArrayVec::new(), Ivs::default());
    for Seal { sealer, at, packet, verdict, .. } in burst {
        let done = match sealer {
            Sealer::Hashed(sealer) => sealer.encrypt(*at, packet, &mut ivs).map(|chain| chains.extend(chain)),
            Sealer::ChaCha(key) => key.seal(*at, packet),
            Sealer::Gmac(key) => key.seal(*at, packet),
            Sealer::Ccm(key) => key.seal(*at, packet),
        };
        *verdict = done.ok_or(TooShort);
    }
    encrypt_burst(&mut chains);
}

/// The ICVs of what is encrypted.
fn authenticate(burst: &mut [Seal<'_>]) {
    let (mut messages, mut icvs): (ArrayVec<Message<'_>, BURST>, ArrayVec<&mut [u8], BURST>) =
        (ArrayVec::new(), ArrayVec::new());
    for Seal { sealer, suffix, packet, verdict, .. } in burst {
        let Sealer::Hashed(sealer) = sealer else { continue };
        if verdict.is_err() {
            continue;
        }
        let Some((covered, icv)) = sealer.mac.split(packet) else { continue };
        match sealer.mac.message(covered, suffix) {
            Some(message) => {
                messages.push(message);
                icvs.push(icv);
            }
            None => sealer.mac.write([covered, suffix.as_bytes()], icv),
        }
    }
    mac_burst(&mut messages);
    for (message, icv) in messages.iter().zip(icvs) {
        icv.iter_mut().zip(message.mac).for_each(|(to, from)| *to = from);
    }
}

/// Checks the ICV of every packet in constant time, and only then decrypts its text in place (RFC 4303 §3.4.4.1). Allocates
/// nothing.
pub fn open_burst(lanes: &mut [Open<'_>]) {
    for burst in lanes.chunks_mut(BURST) {
        verify(burst);
        burst.iter_mut().for_each(decrypt);
    }
}

/// The ICVs of HMAC.
fn verify(burst: &mut [Open<'_>]) {
    let mut messages: ArrayVec<Message<'_>, BURST> = ArrayVec::new();
    let mut waiting: ArrayVec<(&mut Result<(), BadIcv>, &[u8]), BURST> = ArrayVec::new();
    for Open { opener, suffix, packet, verdict, .. } in burst {
        let Opener::Hashed(opener) = opener else { continue };
        let Some((covered, icv)) = opener.mac.split(packet) else { continue };
        let (covered, icv) = (&*covered, &*icv);
        match opener.mac.message(covered, suffix) {
            Some(message) => {
                messages.push(message);
                waiting.push((verdict, icv));
            }
            None => *verdict = good(opener.mac.fits([covered, suffix.as_bytes()], icv)),
        }
    }
    mac_burst(&mut messages);
    for (message, (verdict, icv)) in messages.iter().zip(waiting) {
        *verdict = good(hashed::is_front(&message.mac, icv));
    }
}

fn good(is: bool) -> Result<(), BadIcv> {
    if is { Ok(()) } else { Err(BadIcv) }
}

/// What HMAC has proven right, and everything else with its own proof.
fn decrypt(Open { opener, at, packet, verdict, .. }: &mut Open<'_>) {
    let done = match opener {
        Opener::Hashed(_) if verdict.is_err() => None,
        Opener::Hashed(opener) => opener.decrypt(packet),
        Opener::ChaCha(key) => key.open(*at, packet),
        Opener::Gmac(key) => key.open(*at, packet),
        Opener::Ccm(key) => key.open(*at, packet),
    };
    *verdict = done.ok_or(BadIcv);
}
