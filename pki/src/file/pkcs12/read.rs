//! Reading PKCS#12 (RFC 7292 §4).

use zeroize::Zeroizing;

use super::super::{Contents, MAX_CERTIFICATES, MAX_CRLS, tagged};
use super::{Pkcs12Error, mac};
use crate::der::{DerError, Element, Reader, tag};
use crate::key::PrivateKey;
use crate::oid;
use crate::password::{Effort, Password, decipher};
use crate::x509::Certificate;

/// Most safes in one file; programs write two.
const MAX_SAFES: usize = 16;
/// Most bags in one safe.
const MAX_BAGS: usize = MAX_CERTIFICATES + MAX_CRLS + 1;

/// Certificates, key and CRLs of a PFX, DER, once its MAC is right.
///
/// # Errors
/// What is wrong with it, or that the password does not fit.
pub fn read(der: &[u8], password: &Password, effort: &mut Effort) -> Result<Contents, Pkcs12Error> {
    let mut pfx = Reader::within(der, tag::SEQUENCE)?;
    if pfx.expect(tag::INTEGER)?.small()? != 3 {
        return Err(DerError::Content("version of PFX").into());
    }
    let safes = data(pfx.sequence()?)?;
    let mac_data = pfx.optional(tag::SEQUENCE)?.ok_or(Pkcs12Error::NoMac)?;
    pfx.finish()?;
    mac::verify(mac_data, safes, password, effort)?;
    let safes = Reader::within(safes, tag::SEQUENCE)?.all("safes", MAX_SAFES, Ok::<_, DerError>)?;
    let mut contents = Contents::default();
    for safe in safes {
        let plain = open(safe, password, effort)?;
        let bags = Reader::within(&plain, tag::SEQUENCE)?.all("bags", MAX_BAGS, Ok::<_, DerError>)?;
        for bag in bags {
            empty(&mut contents, bag, password, effort)?;
        }
    }
    Ok(contents)
}

/// The octets of a ContentInfo of type data.
fn data<'a>(mut info: Reader<'a>) -> Result<&'a [u8], Pkcs12Error> {
    let (name, mut content) = tagged(&mut info)?;
    if !name.is(oid::CMS_DATA) {
        return Err(Pkcs12Error::Unsupported(name));
    }
    let octets = content.expect(tag::OCTET_STRING)?.content;
    content.finish()?;
    Ok(octets)
}

/// The SafeContents of a safe, deciphered where it is (RFC 7292 §4.1).
fn open(
    safe: Element<'_>,
    password: &Password,
    effort: &mut Effort,
) -> Result<Zeroizing<Vec<u8>>, Pkcs12Error> {
    let info = safe.tagged(tag::SEQUENCE)?.reader();
    let (name, mut content) = tagged(&mut info.clone())?;
    if !name.is(oid::CMS_ENCRYPTED_DATA) {
        return Ok(Zeroizing::new(data(info)?.to_vec()));
    }
    // EncryptedData (RFC 5652 §8).
    let mut encrypted = content.sequence()?;
    encrypted.expect(tag::INTEGER)?;
    let mut inner = encrypted.sequence()?;
    inner.expect(tag::OID)?;
    let algorithm = inner.expect(tag::SEQUENCE)?;
    let octets = inner.expect(tag::context(0))?;
    Ok(decipher(algorithm.raw, octets.content, password, effort)?)
}

/// Takes what is in a SafeBag (RFC 7292 §4.2); its attributes are passed over.
fn empty(
    contents: &mut Contents,
    bag: Element<'_>,
    password: &Password,
    effort: &mut Effort,
) -> Result<(), Pkcs12Error> {
    let (name, mut value) = tagged(&mut bag.tagged(tag::SEQUENCE)?.reader())?;
    if name.is(oid::KEY_BAG) || name.is(oid::SHROUDED_KEY_BAG) {
        if contents.key.is_some() {
            return Err(Pkcs12Error::SeveralKeys);
        }
        let key = value.expect(tag::SEQUENCE)?.raw;
        contents.key = Some(PrivateKey::from_der_within(key, Some(password), effort)?);
    } else if name.is(oid::CERTIFICATE_BAG) {
        contents.certificates.push(Certificate::from_der(wrapped(value, oid::X509_CERTIFICATE)?)?);
    } else if name.is(oid::CRL_BAG) {
        contents.crls.push(wrapped(value, oid::X509_CRL)?.to_vec());
    } else {
        return Err(Pkcs12Error::Unsupported(name));
    }
    let counts = [
        ("certificates", contents.certificates.len(), MAX_CERTIFICATES),
        ("CRLs", contents.crls.len(), MAX_CRLS),
    ];
    match counts.into_iter().find(|(_, count, limit)| count > limit) {
        Some((what, _, limit)) => Err(DerError::TooMany { what, limit }.into()),
        None => Ok(()),
    }
}

/// The octets of a CertBag or CRLBag.
fn wrapped<'a>(mut value: Reader<'a>, expected: oid::Known) -> Result<&'a [u8], Pkcs12Error> {
    let (name, mut octets) = tagged(&mut value.sequence()?)?;
    if !name.is(expected) {
        return Err(Pkcs12Error::Unsupported(name));
    }
    Ok(octets.expect(tag::OCTET_STRING)?.content)
}
