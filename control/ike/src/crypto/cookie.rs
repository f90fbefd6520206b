//! COOKIE notifies (RFC 7296 §2.6): proof that an initiator receives at the address it claims, kept
//! by us without any memory per initiator.
//!
//! Cookie = <VersionIDofSecret> | Hash(Ni | IPi | SPIi | <secret>), the hash being HMAC-SHA-256
//! under the secret. When cookies are demanded and the secret rotated is the engine's decision.

use std::net::IpAddr;

use aws_lc_rs::hmac;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::random::Random;
use crate::wire::IkeSpi;

const VERSION: usize = 4;

/// The version and a 32-octet hash; a cookie may have 1 to 64 octets (RFC 7296 §2.6).
const LENGTH: usize = VERSION + 32;

/// What a cookie is bound to.
#[derive(Debug, Clone, Copy)]
pub struct Initiator<'a> {
    /// Ni of the request.
    pub nonce: &'a [u8],
    /// Its source address.
    pub address: IpAddr,
    /// Its initiator SPI.
    pub spi: IkeSpi,
}

/// Why a cookie does not count. The answer is a fresh one (RFC 7296 §2.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CookieRefused {
    /// Not of our making: wrong length.
    #[error("cookie has {length} octets, ours have {LENGTH}")]
    Length {
        /// Octets received.
        length: usize,
    },
    /// Made with a secret that is gone.
    #[error("cookie was made with secret {version}, which is gone")]
    Expired {
        /// Version it names.
        version: u32,
    },
    /// Made for another nonce, address or SPI, or forged.
    #[error("cookie does not belong to this initiator")]
    Mismatch,
}

/// The secrets behind our cookies: one in use, one still accepted.
pub struct CookieJar {
    current: CookieSecret,
    previous: Option<CookieSecret>,
}

/// Ready for use: a flood has a cookie made of each of its requests. The library wipes it.
struct CookieSecret {
    version: u32,
    key: hmac::Key,
}

impl CookieJar {
    /// A jar with a fresh secret, its first version drawn too so that a restart shows no pattern.
    pub fn new(random: &mut dyn Random) -> Self {
        let mut version = [0; VERSION];
        random.fill(&mut version);
        Self { current: CookieSecret::generate(u32::from_be_bytes(version), random), previous: None }
    }

    /// Puts a fresh secret in use. Cookies of the last one stay good until the next call, those
    /// before become void.
    pub fn rotate(&mut self, random: &mut dyn Random) {
        let next = CookieSecret::generate(self.current.version.wrapping_add(1), random);
        self.previous = Some(std::mem::replace(&mut self.current, next));
    }

    /// The cookie for an initiator: Notification Data of a COOKIE notify.
    pub fn cookie(&self, initiator: &Initiator<'_>) -> Vec<u8> {
        self.current.cookie(initiator)
    }

    /// Whether `cookie` is one of ours for this initiator.
    pub fn check(&self, cookie: &[u8], initiator: &Initiator<'_>) -> Result<(), CookieRefused> {
        let length = cookie.len();
        let version = match cookie.split_first_chunk::<VERSION>() {
            Some((version, _)) if length == LENGTH => u32::from_be_bytes(*version),
            _ => return Err(CookieRefused::Length { length }),
        };
        let mut secrets = std::iter::once(&self.current).chain(&self.previous);
        let secret =
            secrets.find(|secret| secret.version == version).ok_or(CookieRefused::Expired { version })?;
        match bool::from(secret.cookie(initiator).ct_eq(cookie)) {
            true => Ok(()),
            false => Err(CookieRefused::Mismatch),
        }
    }
}

impl CookieSecret {
    fn generate(version: u32, random: &mut dyn Random) -> Self {
        let mut key = Zeroizing::new([0; 32]);
        random.fill(&mut *key);
        Self { version, key: hmac::Key::new(hmac::HMAC_SHA256, &*key) }
    }

    fn cookie(&self, initiator: &Initiator<'_>) -> Vec<u8> {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(initiator.nonce);
        match initiator.address {
            IpAddr::V4(address) => context.update(&address.octets()),
            IpAddr::V6(address) => context.update(&address.octets()),
        }
        context.update(&initiator.spi.to_be_bytes());
        [&self.version.to_be_bytes()[..], context.sign().as_ref()].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::Drbg;

    fn nonce(octet: u8) -> [u8; 32] {
        [octet; 32]
    }

    #[test]
    fn a_cookie_is_bound_to_nonce_address_and_spi() {
        let jar = CookieJar::new(&mut Drbg::new(b"seed"));
        let (ni, other) = (nonce(1), nonce(2));
        let good = Initiator { nonce: &ni, address: "192.0.2.1".parse().unwrap(), spi: IkeSpi(7) };
        let cookie = jar.cookie(&good);
        assert!(cookie.len() <= 64);
        assert_eq!(jar.check(&cookie, &good), Ok(()));
        let address = "192.0.2.2".parse().unwrap();
        for wrong in [
            Initiator { nonce: &other, ..good },
            Initiator { address, ..good },
            Initiator { spi: IkeSpi(8), ..good },
        ] {
            assert_eq!(jar.check(&cookie, &wrong), Err(CookieRefused::Mismatch));
        }
        for length in (0..cookie.len()).chain([LENGTH + 1]) {
            let mut cut = cookie.clone();
            cut.resize(length, 0);
            assert_eq!(jar.check(&cut, &good), Err(CookieRefused::Length { length }));
        }
    }

    #[test]
    fn a_cookie_outlives_one_rotation_and_not_two() {
        let mut random = Drbg::new(b"seed");
        let mut jar = CookieJar::new(&mut random);
        let ni = nonce(1);
        let initiator = Initiator { nonce: &ni, address: "::1".parse().unwrap(), spi: IkeSpi(7) };
        let cookie = jar.cookie(&initiator);
        jar.rotate(&mut random);
        assert_ne!(jar.cookie(&initiator), cookie);
        assert_eq!(jar.check(&cookie, &initiator), Ok(()));
        jar.rotate(&mut random);
        assert!(matches!(jar.check(&cookie, &initiator), Err(CookieRefused::Expired { .. })));
    }
}
