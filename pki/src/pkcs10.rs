//! Certification requests (PKCS#10, RFC 2986): what a CA is given to make a certificate of a key of ours.
//!
//! Written by hand: the subject is a [`Name`] of this crate (makers of certificates keep the parts of a name in a map,
//! where `DC=example,DC=com` has no place), the signature one of its keys. The extensions are a wish: the CA decides.

use aws_lc_rs::rand::SecureRandom;

use crate::der::{tag, write};
use crate::key::{GenerateError, PrivateKey, SignError, SignatureScheme};
use crate::oid::{self, Known};
use crate::x509::{GeneralName, Name};

/// Most names asked for.
pub const MAX_NAMES: usize = 100;
/// Longest challenge password (RFC 2985 §5.4.1: ub-pkcs-9-challengePassword).
pub const MAX_CHALLENGE: usize = 255;

/// What is asked for.
#[derive(Debug)]
pub struct CertificationRequest<'a> {
    /// Whom the certificate is to be about; may be empty if there are names.
    pub subject: &'a Name,
    /// Its subjectAltName.
    pub names: &'a [GeneralName],
    /// Its keyUsage: bits by their number (RFC 5280 §4.2.1.3). None: no such extension is asked for.
    pub key_usage: &'a [u8],
    /// Its extKeyUsage; none: no such extension.
    pub extended_key_usage: &'a [Known],
    /// What the CA may ask for again when the certificate is to be revoked. It stands in the request in clear.
    pub challenge_password: Option<&'a str>,
}

/// Why there is no request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Pkcs10Error {
    /// It would be about nobody.
    #[error("neither a subject nor a name: the certificate would be about nobody")]
    Nobody,
    /// More names than a certificate should have.
    #[error("more than {MAX_NAMES} names")]
    TooManyNames,
    /// A challenge password nobody could take.
    #[error("a challenge password has 1 to {MAX_CHALLENGE} characters")]
    Challenge,
    /// A bit that keyUsage has not.
    #[error("keyUsage has no bit {0}")]
    KeyUsage(u8),
    /// The key cannot say what its other half is.
    #[error(transparent)]
    Key(#[from] GenerateError),
    /// The key does not sign.
    #[error(transparent)]
    Sign(#[from] SignError),
}

impl CertificationRequest<'_> {
    /// The request, DER, signed with the key it is about: RSA with PKCS#1 v1.5 and SHA-256, since not every CA reads
    /// PSS; other keys in their one way.
    ///
    /// # Errors
    /// What cannot be asked for, or that the key does not sign.
    pub fn sign(&self, key: &PrivateKey, random: &dyn SecureRandom) -> Result<Vec<u8>, Pkcs10Error> {
        let info = write::sequence(&[
            &write::integer(0),
            self.subject.der(),
            &key.public_key_info()?,
            &write::element(tag::context_constructed(0), &[&self.attributes()?]),
        ]);
        let plain = SignatureScheme::RsaPkcs1Sha256;
        let scheme = key.schemes().iter().copied().find(|&scheme| scheme == plain);
        let scheme = scheme.or(key.schemes().first().copied()).unwrap_or(plain);
        let signature = key.sign(scheme, &info, random)?;
        Ok(write::sequence(&[&info, scheme.algorithm_identifier(), &write::bit_string(&signature)]))
    }

    /// The members of the SET OF Attribute, in DER's order.
    fn attributes(&self) -> Result<Vec<u8>, Pkcs10Error> {
        let attribute =
            |name, value: &[u8]| write::sequence(&[&write::oid(name), &write::element(tag::SET, &[value])]);
        let mut attributes = Vec::new();
        let extensions = self.extensions()?;
        if !extensions.is_empty() {
            attributes.push(attribute(oid::EXTENSION_REQUEST, &write::sequence(&[&extensions])));
        }
        if let Some(text) = self.challenge_password {
            if !(1..=MAX_CHALLENGE).contains(&text.chars().count()) {
                return Err(Pkcs10Error::Challenge);
            }
            attributes.push(attribute(oid::CHALLENGE_PASSWORD, &directory_string(text)));
        }
        attributes.sort();
        Ok(attributes.concat())
    }

    fn extensions(&self) -> Result<Vec<u8>, Pkcs10Error> {
        if self.names.len() > MAX_NAMES {
            return Err(Pkcs10Error::TooManyNames);
        }
        if self.subject.is_empty() && self.names.is_empty() {
            return Err(Pkcs10Error::Nobody);
        }
        let mut extensions = Vec::new();
        if !self.key_usage.is_empty() {
            extensions.extend(extension(oid::KEY_USAGE, true, &key_usage(self.key_usage)?));
        }
        if !self.extended_key_usage.is_empty() {
            let purposes: Vec<u8> =
                self.extended_key_usage.iter().flat_map(|name| write::oid(name)).collect();
            extensions.extend(extension(oid::EXTENDED_KEY_USAGE, false, &write::sequence(&[&purposes])));
        }
        if !self.names.is_empty() {
            let names: Vec<u8> = self.names.iter().flat_map(GeneralName::to_der).collect();
            // RFC 5280 §4.2.1.6: critical where the subject is empty.
            let critical = self.subject.is_empty();
            extensions.extend(extension(oid::SUBJECT_ALT_NAME, critical, &write::sequence(&[&names])));
        }
        Ok(extensions)
    }
}

/// Extension (RFC 5280 §4.1): FALSE is the default and therefore not written.
fn extension(name: Known, critical: bool, value: &[u8]) -> Vec<u8> {
    let critical = if critical { write::element(tag::BOOLEAN, &[&[0xff]]) } else { Vec::new() };
    write::sequence(&[&write::oid(name), &critical, &write::element(tag::OCTET_STRING, &[value])])
}

/// A named-bit list: as many octets as the highest bit needs, and no zero bits after it (X.690 §11.2.2).
fn key_usage(bits: &[u8]) -> Result<Vec<u8>, Pkcs10Error> {
    if let Some(&bit) = bits.iter().find(|&&bit| bit > 8) {
        return Err(Pkcs10Error::KeyUsage(bit));
    }
    let word = bits.iter().fold(0u16, |word, bit| word | 0x8000 >> bit);
    let unused = word.trailing_zeros().min(15);
    let octets = word.to_be_bytes();
    let kept = if unused >= 8 { octets.get(..1) } else { octets.get(..) }.unwrap_or_default();
    let unused = u8::try_from(unused % 8).unwrap_or(0);
    Ok(write::element(tag::BIT_STRING, &[&[unused], kept]))
}

/// RFC 2985 §5.4.1: PrintableString where it does, else UTF8String.
fn directory_string(text: &str) -> Vec<u8> {
    let printable = |octet: u8| octet.is_ascii_alphanumeric() || b" '()+,-./:=?".contains(&octet);
    let string = if text.bytes().all(printable) { tag::PRINTABLE_STRING } else { tag::UTF8_STRING };
    write::element(string, &[text.as_bytes()])
}
