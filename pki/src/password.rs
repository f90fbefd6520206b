//! What a password protects: PBES2 (RFC 8018 §6.2), by `pkcs5`, behind a limit on what a file may make us do.
//!
//! PBKDF2 with HMAC-SHA-1 (for reading) and SHA-2, or scrypt; AES in CBC mode. The schemes of PBES1 and PKCS#12 (DES,
//! RC2, Triple-DES under SHA-1) are refused by name.

use std::fmt;

use aws_lc_rs::rand::SecureRandom;
use pkcs5::EncryptionScheme;
use pkcs5::der::{Decode, Encode};
use pkcs5::pbes2::{self, Kdf};
use zeroize::Zeroizing;

use crate::der::{DerError, Reader, tag, write};
use crate::oid::{self, Oid};

/// Iterations of PBKDF2 that we write: some two tenths of a second (NIST SP 800-132 §5.2 wants as many as can be borne).
const ITERATIONS: u32 = 600_000;
/// Longest password accepted, in octets.
pub const MAX_PASSWORD: usize = 1024;

/// A password: wiped on drop, never printed.
pub struct Password(Zeroizing<String>);

impl Password {
    /// Takes a password; `None` if it is longer than [`MAX_PASSWORD`].
    pub fn new(text: Zeroizing<String>) -> Option<Self> {
        (text.len() <= MAX_PASSWORD).then_some(Self(text))
    }

    /// Its text, for whoever derives a key from it.
    pub fn text(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password")
    }
}

/// Why something could not be deciphered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// The password does not fit, or the file is damaged: the two look alike.
    #[error("the password is wrong, or the file is damaged")]
    Wrong,
    /// A scheme that is not PBES2, or parameters of PBES2 that are not read.
    #[error(
        "encrypted with {0}, which is not read; AES with PBKDF2 or scrypt is (openssl: -aes256 for pkcs8, no -legacy for pkcs12)"
    )]
    Scheme(String),
    /// Deriving the key would take longer than a file is worth.
    #[error("its key derivation is asked to take {wanted} steps, more than the {left} left for this file")]
    Effort {
        /// What the file asks for.
        wanted: u64,
        /// What it may ask for.
        left: u64,
    },
    /// The structure is broken.
    #[error(transparent)]
    Der(#[from] DerError),
}

/// What deriving keys for one file may still cost, in iterations of PBKDF2 or of a hash; a step of scrypt counts for
/// four. A hostile file could otherwise hold us for hours.
#[derive(Debug)]
pub struct Effort {
    left: u64,
}

impl Default for Effort {
    /// Five million: a few seconds. Files in use ask for 2,048 to two million.
    fn default() -> Self {
        Self { left: 5_000_000 }
    }
}

impl Effort {
    /// So many steps and no more.
    pub const fn of(left: u64) -> Self {
        Self { left }
    }

    /// Takes `wanted` steps off what is left.
    ///
    /// # Errors
    /// When less is left.
    pub fn spend(&mut self, wanted: u64) -> Result<(), PasswordError> {
        let left = self.left;
        self.left = left.checked_sub(wanted).ok_or(PasswordError::Effort { wanted, left })?;
        Ok(())
    }
}

/// Deciphers what is under an AlgorithmIdentifier (RFC 8018 appendix A.4); `algorithm` is its whole SEQUENCE.
pub fn decipher(
    algorithm: &[u8],
    enciphered: &[u8],
    password: &Password,
    effort: &mut Effort,
) -> Result<Zeroizing<Vec<u8>>, PasswordError> {
    let parameters = parameters(algorithm)?;
    effort.spend(cost(&parameters.kdf))?;
    let mut plain = Zeroizing::new(enciphered.to_vec());
    let length = parameters.decrypt_in_place(password.text(), &mut plain).map_err(|error| match error {
        pkcs5::Error::DecryptFailed => PasswordError::Wrong,
        other => PasswordError::Scheme(format!("unusable parameters ({other})")),
    })?;
    let length = length.len();
    plain.truncate(length);
    Ok(plain)
}

/// Reads PBES2-params, all of the schemes by name.
fn parameters(algorithm: &[u8]) -> Result<pbes2::Parameters, PasswordError> {
    let name = Oid::parse(Reader::within(algorithm, tag::SEQUENCE)?.element()?)?;
    if !name.is(oid::PBES2) {
        return Err(PasswordError::Scheme(name.to_string()));
    }
    match EncryptionScheme::from_der(algorithm) {
        Ok(EncryptionScheme::Pbes2(parameters)) => {
            usable(&parameters.kdf)?;
            Ok(parameters)
        }
        Ok(_) => Err(PasswordError::Scheme(name.to_string())),
        Err(error) => Err(PasswordError::Scheme(format!("PBES2 with parameters it does not know ({error})"))),
    }
}

/// The library takes scrypt's cost for a power of two above 1, as it is to be (RFC 7914 §2), and panics where it is none.
fn usable(kdf: &Kdf) -> Result<(), PasswordError> {
    match kdf {
        Kdf::Scrypt(parameters)
            if !parameters.cost_parameter.is_power_of_two() || parameters.cost_parameter == 1 =>
        {
            Err(PasswordError::Scheme(format!("scrypt at a cost of {}", parameters.cost_parameter)))
        }
        Kdf::Pbkdf2(parameters) if parameters.iteration_count == 0 => {
            Err(PasswordError::Scheme("PBKDF2 without an iteration".into()))
        }
        _ => Ok(()),
    }
}

fn cost(kdf: &Kdf) -> u64 {
    match kdf {
        Kdf::Pbkdf2(parameters) => u64::from(parameters.iteration_count),
        Kdf::Scrypt(parameters) => {
            [parameters.cost_parameter, parameters.block_size.into(), parameters.parallelization.into()]
                .into_iter()
                .fold(4, u64::saturating_mul)
        }
        // What pkcs5 may learn later has no price here yet.
        _ => u64::MAX,
    }
}

/// Enciphers with AES-256-CBC under PBKDF2-HMAC-SHA-256: the AlgorithmIdentifier and the octets.
///
/// # Errors
/// When there is no randomness.
pub fn encipher(
    plain: &[u8],
    password: &Password,
    random: &dyn SecureRandom,
) -> Result<(Vec<u8>, Vec<u8>), NoRandomness> {
    let (mut salt, mut iv) = ([0; 16], [0; 16]);
    random.fill(&mut salt).map_err(|_| NoRandomness)?;
    random.fill(&mut iv).map_err(|_| NoRandomness)?;
    let parameters = pbes2::Parameters::generate_pbkdf2_sha256_aes256cbc(ITERATIONS, &salt, iv);
    let scheme = parameters.map(EncryptionScheme::Pbes2).map_err(|_| NoRandomness)?;
    let mut octets = Zeroizing::new(vec![0; plain.len().saturating_add(16)]);
    octets.iter_mut().zip(plain).for_each(|(to, from)| *to = *from);
    let enciphered = scheme.encrypt_in_place(password.text(), &mut octets, plain.len());
    let enciphered = enciphered.map_err(|_| NoRandomness)?.to_vec();
    let mut room = [0; 256];
    let algorithm = scheme.encode_to_slice(&mut room).map_err(|_| NoRandomness)?;
    Ok((algorithm.to_vec(), enciphered))
}

/// The machine has no randomness, or the library failed where it cannot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the machine gave no randomness, or the cryptographic library failed")]
pub struct NoRandomness;

/// EncryptedPrivateKeyInfo (RFC 5958 §3).
pub(crate) fn encrypted_key(algorithm: &[u8], enciphered: &[u8]) -> Vec<u8> {
    write::sequence(&[algorithm, &write::element(tag::OCTET_STRING, &[enciphered])])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{KeyFileError, PrivateKey};
    use crate::pem;

    /// A key under scrypt with a cost of 0, as a search of hostile files found it.
    const COSTLESS: &str = "MIHjME4GCSqGSIb3DQEFDTBBMCAGCSsGAQQB2kcECzATBAhM3YM/KUK1LAIBAAIBAQIBATAdBglghkgBZQMEASoEEI4vl9GD\
        tsQCIQ+UGonPPYsEgZDtXoxNP7OH1STOhNCPa+ZqCldx0ZT8I2sTFA9vHWH/c03velPPa/FyNxEd8Op84egLKUlcdA7VSQ7e\
        Jxh2Xn0Byya5nqeFFxQmCWASLtitEsjT92yalLIo5VvdwAAujg2cj4t4QCLL1+EJcStMwYWoCMZOznObFxMOq+gwgeMwTgZh\
        p/c6SK3g853H92R+YBk=";

    /// Parameters that no derivation may have are refused by name, before the library meets them.
    #[test]
    fn scrypt_without_cost_is_refused() {
        let password = Password::new(Zeroizing::new("password".to_owned())).unwrap();
        let der = pem::from_base64(COSTLESS).unwrap();
        let refused = PrivateKey::from_der(&der, Some(&password)).map(drop).unwrap_err();
        let expected = PasswordError::Scheme("scrypt at a cost of 0".into());
        assert!(matches!(&refused, KeyFileError::Password(error) if *error == expected), "{refused}");
    }
}
