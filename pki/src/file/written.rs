//! What we give to others: PEM of certificates, CRLs and keys. PKCS#7 and PKCS#12 are written beside their readers.

use aws_lc_rs::rand::SecureRandom;
use zeroize::Zeroizing;

use crate::key::PrivateKey;
use crate::password::{NoRandomness, Password, encipher, encrypted_key};
use crate::pem;
use crate::x509::Certificate;

/// Certificates as PEM, one block each, in this order.
pub fn certificates_pem(certificates: &[&Certificate]) -> String {
    certificates.iter().map(|certificate| pem::write("CERTIFICATE", certificate.der()).to_string()).collect()
}

/// A key as EncryptedPrivateKeyInfo (RFC 5958 §3), DER.
///
/// # Errors
/// When there is no randomness.
pub fn key_der(
    key: &PrivateKey,
    password: &Password,
    random: &dyn SecureRandom,
) -> Result<Vec<u8>, NoRandomness> {
    let plain = key.to_pkcs8().map_err(|_| NoRandomness)?;
    let (algorithm, enciphered) = encipher(&plain, password, random)?;
    Ok(encrypted_key(&algorithm, &enciphered))
}

/// The same as PEM.
///
/// # Errors
/// When there is no randomness.
pub fn key_pem(
    key: &PrivateKey,
    password: &Password,
    random: &dyn SecureRandom,
) -> Result<Zeroizing<String>, NoRandomness> {
    Ok(pem::write("ENCRYPTED PRIVATE KEY", &key_der(key, password, random)?))
}
