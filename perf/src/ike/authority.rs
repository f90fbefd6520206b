//! An authority of the load's own: a certificate for each initiator (RFC 5280 §4.1), and what is said of it later, by a
//! responder (RFC 6960 §4.2) and by a list (RFC 5280 §5.1).
//!
//! Written by hand on `ravelin-pki`'s writer: what a certificate is issued under is any CA's certificate, read from a
//! file, whose name has to come back octet for octet, and answers of a responder are signed ahead, so that a run does not
//! measure them. Everything is good from [`BEFORE`] the moment it is made for [`LIFE`]. Initiators share one key: what a
//! responder pays for a certificate is the same. Reading is left to those who are measured.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use aws_lc_rs::rand::SystemRandom;
use ravelin_pki::der::write::{bit_string, element, explicit, integer, oid, sequence, set_of};
use ravelin_pki::der::{Reader, tag};
use ravelin_pki::oid::{self, Known};
use ravelin_pki::{Certificate, PrivateKey, SignatureScheme, UnixTime, pem};

/// Seconds before its making from which on a thing is good: clocks differ.
const BEFORE: i64 = 300;
/// Seconds for which it is.
const LIFE: i64 = 86_400;
/// Before the number in a serial number, which is thereby positive and of five octets for everybody.
const SERIAL: u8 = 1;

/// Somebody whose word on certificates counts.
pub struct Authority {
    certificate: Certificate,
    /// What a peer is sent besides its own: the authority and what is above it, DER.
    above: Vec<Vec<u8>>,
    key: PrivateKey,
    scheme: SignatureScheme,
    now: UnixTime,
}

impl Authority {
    /// Of its certificate, with those above it in the same file that peers are to be sent, and its key. `now` is the
    /// moment of everything it makes.
    ///
    /// # Errors
    /// Which file, and why; when the key is not the certificate's.
    pub fn read(certificate: &Path, key: &Path, now: UnixTime) -> Result<Authority> {
        let read = |path: &Path| std::fs::read(path).with_context(|| format!("reading {}", path.display()));
        let chain = Certificate::from_file_bytes(&read(certificate)?)
            .with_context(|| format!("{}: no certificate", certificate.display()))?;
        let above = chain.iter().map(|certificate| certificate.der().to_vec()).collect();
        let own = chain.into_iter().next().context("a certificate file has a certificate")?;
        let private = PrivateKey::from_file_bytes(&read(key)?)
            .with_context(|| format!("{}: no private key", key.display()))?;
        let fits = own.public_key.as_ref().is_ok_and(|public| private.matches(public));
        ensure!(fits, "{} is not the key of {}", key.display(), certificate.display());
        let scheme = *private.schemes().first().context("a key signs in some way")?;
        Ok(Authority { certificate: own, above, key: private, scheme, now })
    }

    /// What peers are sent behind their own certificate, DER.
    pub fn above(&self) -> &[Vec<u8>] {
        &self.above
    }

    /// The certificate of initiator `number` for this public key (SubjectPublicKeyInfo), DER.
    ///
    /// # Errors
    /// When the key does not sign.
    pub fn certificate(&self, number: u32, public_key: &[u8]) -> Result<Vec<u8>> {
        let (from, until) = (self.now.0 - BEFORE, self.now.0 + LIFE);
        // RFC 5280 §4.2.1.3: digitalSignature alone.
        let usage = extension(oid::KEY_USAGE, true, &element(tag::BIT_STRING, &[&[7, 0x80]]));
        let extensions = sequence(&[&usage, &self.key_identifier()]);
        self.signed(&[
            &explicit(0, &integer(2)),
            &serial(number),
            self.scheme.algorithm_identifier(),
            self.certificate.subject.der(),
            &sequence(&[&short_time(from), &short_time(until)]),
            &subject(number),
            public_key,
            &explicit(3, &extensions),
        ])
    }

    /// List `edition` of those revoked, by their numbers; each is a second younger than the one before.
    ///
    /// # Errors
    /// When the key does not sign.
    pub fn list(&self, revoked: impl Iterator<Item = u32>, edition: u32) -> Result<Vec<u8>> {
        let from = short_time(self.now.0 - BEFORE + i64::from(edition));
        let number = extension(oid::CRL_NUMBER, false, &integer(edition));
        let entries: Vec<u8> = revoked.flat_map(|number| sequence(&[&serial(number), &from])).collect();
        let entries = if entries.is_empty() { entries } else { sequence(&[&entries]) };
        self.signed(&[
            &integer(1),
            self.scheme.algorithm_identifier(),
            self.certificate.subject.der(),
            &from,
            &short_time(self.now.0 + LIFE),
            &entries,
            &explicit(0, &sequence(&[&self.key_identifier(), &number])),
        ])
    }

    /// What a responder says of number `number`: that it is good. The authority is its own responder.
    ///
    /// # Errors
    /// When the key does not sign.
    pub fn good(&self, number: u32) -> Result<Vec<u8>> {
        const GOOD: [u8; 2] = [tag::context(0), 0];
        let (from, until) = (long_time(self.now.0 - BEFORE), long_time(self.now.0 + LIFE));
        let single = sequence(&[&self.named(number)?, &GOOD, &from, &explicit(0, &until)]);
        let by_name = explicit(1, self.certificate.subject.der());
        let basic = self.signed(&[&by_name, &from, &sequence(&[&single])])?;
        let bytes = sequence(&[&oid(oid::OCSP_BASIC), &element(tag::OCTET_STRING, &[&basic])]);
        Ok(sequence(&[&element(tag::ENUMERATED, &[&[0]]), &explicit(0, &bytes)]))
    }

    /// CertID (RFC 6960 §4.1.1).
    fn named(&self, number: u32) -> Result<Vec<u8>> {
        let hash =
            |octets: &[u8]| element(tag::OCTET_STRING, &[digest(&SHA1_FOR_LEGACY_USE_ONLY, octets).as_ref()]);
        let key = self.certificate.public_key.as_ref().ok().context("the key was compared before")?;
        let algorithm = sequence(&[&oid(oid::SHA1), &element(tag::NULL, &[])]);
        let name = hash(self.certificate.subject.der());
        Ok(sequence(&[&algorithm, &name, &hash(key.octets()), &serial(number)]))
    }

    /// authorityKeyIdentifier, where the authority has one to name.
    fn key_identifier(&self) -> Vec<u8> {
        let named = |id: &Vec<u8>| sequence(&[&element(tag::context(0), &[id])]);
        let value = self.certificate.extensions.subject_key_id.as_ref().map(named);
        value.map(|value| extension(oid::AUTHORITY_KEY_IDENTIFIER, false, &value)).unwrap_or_default()
    }

    /// What certificates, lists and answers have in common: contents, algorithm, signature.
    fn signed(&self, contents: &[&[u8]]) -> Result<Vec<u8>> {
        let contents = sequence(contents);
        let signature = self.key.sign(self.scheme, &contents, &SystemRandom::new())?;
        Ok(sequence(&[&contents, self.scheme.algorithm_identifier(), &bit_string(&signature)]))
    }
}

/// Of whom a request asks (RFC 6960 §4.1.1), as it stands in the path of a GET (RFC 5019 §5), if that is one of ours.
pub fn asked_about(path: &str) -> Option<u32> {
    let text = path.rsplit('/').next()?.replace("%2B", "+").replace("%2F", "/").replace("%3D", "=");
    let request = pem::from_base64(&text)?;
    let list = Reader::within(&request, tag::SEQUENCE).ok()?.sequence().ok()?.sequence().ok()?;
    let mut name = { list }.sequence().ok()?.sequence().ok()?;
    (0..3).try_for_each(|_| name.element().ok().map(drop))?;
    let (first, number) = name.expect(tag::INTEGER).ok()?.content.split_first()?;
    (*first == SERIAL).then_some(u32::from_be_bytes(number.try_into().ok()?))
}

/// The machine's clock.
pub fn now() -> UnixTime {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    UnixTime(since.as_secs() as i64)
}

fn serial(number: u32) -> Vec<u8> {
    element(tag::INTEGER, &[&[SERIAL], &number.to_be_bytes()])
}

fn subject(number: u32) -> Vec<u8> {
    let text = element(tag::UTF8_STRING, &[format!("initiator {number}").as_bytes()]);
    sequence(&[&set_of(vec![sequence(&[&oid(oid::COMMON_NAME), &text])])])
}

fn extension(kind: Known, critical: bool, value: &[u8]) -> Vec<u8> {
    let critical = if critical { element(tag::BOOLEAN, &[&[0xff]]) } else { Vec::new() };
    sequence(&[&oid(kind), &critical, &element(tag::OCTET_STRING, &[value])])
}

/// The digits of an instant, `YYYYMMDDHHMMSS`.
fn digits(seconds: i64) -> String {
    UnixTime(seconds).to_string().chars().filter(char::is_ascii_digit).collect()
}

/// UTCTime, as dates before 2050 are written in certificates and lists (RFC 5280 §4.1.2.5).
fn short_time(seconds: i64) -> Vec<u8> {
    let digits = digits(seconds);
    element(tag::UTC_TIME, &[digits.get(2..).unwrap_or_default().as_bytes(), b"Z"])
}

/// GeneralizedTime.
fn long_time(seconds: i64) -> Vec<u8> {
    element(tag::GENERALIZED_TIME, &[digits(seconds).as_bytes(), b"Z"])
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::Arc;

    use ravelin_pki::key::KeyKind;
    use ravelin_pki::revocation::crl::Unverified;
    use ravelin_pki::revocation::ocsp::{Carriage, IdHash, Question, ResponseRules, carriage};
    use ravelin_pki::revocation::{Issued, Status};

    use super::*;

    const NOW: UnixTime = UnixTime(1_795_219_200);

    fn authority() -> Authority {
        let data = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../pki/tests/data");
        Authority::read(&data.join("ed25519.cert.pem"), &data.join("ed25519.pkcs8.pem"), NOW).unwrap()
    }

    fn issued(authority: &Authority, number: u32) -> Issued {
        let key = PrivateKey::generate(KeyKind::P256, &SystemRandom::new()).unwrap();
        let der = authority.certificate(number, &key.public_key_info().unwrap()).unwrap();
        let certificate = Arc::new(Certificate::from_der(&der).unwrap());
        Issued::new(certificate, Arc::new(authority.certificate.clone()))
    }

    /// What it makes is what those read who are measured: the certificate is signed by the authority, the responder's answer
    /// to a request about it counts, and a list says of it and of nobody else that it is revoked.
    #[test]
    fn certificates_answers_and_lists_are_good() {
        let authority = authority();
        let (listed, other) = (issued(&authority, 7), issued(&authority, 8));
        let certificate = &listed.certificate;
        let key = authority.certificate.public_key.as_ref().unwrap();
        key.verify(authority.scheme, certificate.tbs(), &certificate.signature).unwrap();
        assert_eq!(certificate.extensions.authority_key_id, authority.certificate.extensions.subject_key_id);
        let question = Question::new(listed.clone(), IdHash::Sha1, None);
        let Carriage::Get(url) = carriage("http://127.0.0.1:8888/", &question.to_der().unwrap()) else {
            panic!("a request without a nonce is short");
        };
        assert_eq!(asked_about(&url), Some(7));
        let answer = question.judge(&authority.good(7).unwrap(), ResponseRules::default(), NOW).unwrap();
        assert_eq!(answer.status(), Status::Good);
        assert!(question.judge(&authority.good(8).unwrap(), ResponseRules::default(), NOW).is_err());
        let list = authority.list([7].into_iter(), 1).unwrap();
        let list = Unverified::from_der(&list).unwrap().verify(&authority.certificate, NOW).unwrap();
        let says = |issued| list.ask(issued, NOW, 0).unwrap().status;
        assert!(matches!(says(&listed), Status::Revoked(_)));
        assert_eq!(says(&other), Status::Good);
    }

    /// A path that asks about nobody of ours asks about nobody.
    #[test]
    fn other_paths_ask_about_nobody() {
        for path in ["/", "/sub.crl", "/MA%3D%3D", "http://127.0.0.1/%2B%2B"] {
            assert_eq!(asked_about(path), None, "{path}");
        }
    }
}
