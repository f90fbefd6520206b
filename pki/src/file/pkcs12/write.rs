//! Writing PKCS#12 (RFC 7292 §5): the certificates enciphered in one safe, the key in another, a MAC with SHA-256.

use aws_lc_rs::rand::SecureRandom;

use super::mac;
use crate::der::{tag, write};
use crate::key::PrivateKey;
use crate::oid::{self, Known};
use crate::password::{NoRandomness, Password, encipher, encrypted_key};
use crate::x509::Certificate;

/// Iterations under the MAC: whoever guesses passwords would choose the cheaper of it and the ciphers.
const ITERATIONS: u32 = 600_000;

/// What goes into a file.
#[derive(Debug)]
pub struct Identity<'a> {
    /// What programs show it as.
    pub name: &'a str,
    /// The key of the first certificate.
    pub key: &'a PrivateKey,
    /// Its certificate, then those above it.
    pub certificates: &'a [&'a Certificate],
}

/// A PFX, DER.
///
/// # Errors
/// When there is no randomness.
pub fn write(
    identity: &Identity<'_>,
    password: &Password,
    random: &dyn SecureRandom,
) -> Result<Vec<u8>, NoRandomness> {
    let attributes = attributes(identity.name);
    let bags: Vec<Vec<u8>> = identity
        .certificates
        .iter()
        .enumerate()
        .map(|(number, certificate)| {
            certificate_bag(certificate, if number == 0 { &attributes } else { &[] })
        })
        .collect();
    let certificates = encrypted_safe(&write::sequence(&[&bags.concat()]), password, random)?;
    let (algorithm, enciphered) =
        encipher(&identity.key.to_pkcs8().map_err(|_| NoRandomness)?, password, random)?;
    let key = bag(oid::SHROUDED_KEY_BAG, &encrypted_key(&algorithm, &enciphered), &attributes);
    let key = data(&write::sequence(&[&key]));
    let safes = write::sequence(&[&certificates, &key]);
    let mut salt = [0; 16];
    random.fill(&mut salt).map_err(|_| NoRandomness)?;
    Ok(sealed(&safes, &salt, ITERATIONS, password))
}

/// A PFX around these octets, which should be an AuthenticatedSafe, with their MAC.
pub fn sealed(safes: &[u8], salt: &[u8], iterations: u32, password: &Password) -> Vec<u8> {
    let mac = mac::make(salt, iterations, safes, password);
    write::sequence(&[&write::integer(3), &data(safes), &mac])
}

/// ContentInfo of type data.
fn data(octets: &[u8]) -> Vec<u8> {
    let octets = write::element(tag::OCTET_STRING, &[octets]);
    write::sequence(&[&write::oid(oid::CMS_DATA), &write::explicit(0, &octets)])
}

/// ContentInfo of type encryptedData (RFC 5652 §8).
fn encrypted_safe(
    plain: &[u8],
    password: &Password,
    random: &dyn SecureRandom,
) -> Result<Vec<u8>, NoRandomness> {
    let (algorithm, enciphered) = encipher(plain, password, random)?;
    let octets = write::element(tag::context(0), &[&enciphered]);
    let inner = write::sequence(&[&write::oid(oid::CMS_DATA), &algorithm, &octets]);
    let encrypted = write::sequence(&[&write::integer(0), &inner]);
    Ok(write::sequence(&[&write::oid(oid::CMS_ENCRYPTED_DATA), &write::explicit(0, &encrypted)]))
}

fn certificate_bag(certificate: &Certificate, attributes: &[u8]) -> Vec<u8> {
    let octets = write::element(tag::OCTET_STRING, &[certificate.der()]);
    let value = write::sequence(&[&write::oid(oid::X509_CERTIFICATE), &write::explicit(0, &octets)]);
    bag(oid::CERTIFICATE_BAG, &value, attributes)
}

fn bag(name: Known, value: &[u8], attributes: &[u8]) -> Vec<u8> {
    write::sequence(&[&write::oid(name), &write::explicit(0, value), attributes])
}

/// What pairs key and certificate (RFC 7292 §4.2: localKeyId), and a name to show.
fn attributes(name: &str) -> Vec<u8> {
    let attribute =
        |oid, value: Vec<u8>| write::sequence(&[&write::oid(oid), &write::element(tag::SET, &[&value])]);
    let utf16: Vec<u8> = name.encode_utf16().flat_map(u16::to_be_bytes).collect();
    write::set_of(vec![
        attribute(oid::LOCAL_KEY_ID, write::element(tag::OCTET_STRING, &[&[1]])),
        attribute(oid::FRIENDLY_NAME, write::element(tag::BMP_STRING, &[&utf16])),
    ])
}
