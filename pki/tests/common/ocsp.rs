//! OCSP responses made by hand and signed with P-256.
#![allow(dead_code, reason = "each test binary uses its own part of this")]

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use ravelin_pki::revocation::Issued;
use ravelin_pki::{Certificate, UnixTime, oid};
use rcgen::{KeyPair, SigningKey};

use super::der::{ECDSA_SHA256, bits, extension, oid, sequence, time, tlv};

/// The status "good".
pub const GOOD: &[u8] = &[0x80, 0];
/// The status "unknown".
pub const UNKNOWN: &[u8] = &[0x82, 0];

/// All of a response but its signature.
#[derive(Clone)]
pub struct Draft {
    /// responseStatus.
    pub status: u8,
    /// responderID, DER.
    pub responder: Vec<u8>,
    pub produced_at: UnixTime,
    /// Elements of responses, one behind the other.
    pub singles: Vec<u8>,
    /// responseExtensions, one behind the other.
    pub extensions: Vec<u8>,
    /// certs, one behind the other.
    pub certificates: Vec<u8>,
}

impl Draft {
    /// A response by this responder, without an answer.
    pub fn by(responder: &Certificate, now: UnixTime) -> Self {
        Self {
            status: 0,
            responder: tlv(0xa1, responder.subject.der()),
            produced_at: now,
            singles: Vec::new(),
            extensions: Vec::new(),
            certificates: Vec::new(),
        }
    }

    /// With an answer from `now` to `until`.
    pub fn saying(mut self, issued: &Issued, status: &[u8], now: UnixTime, until: Option<UnixTime>) -> Self {
        self.singles.extend(single(issued, status, now, until, &[]));
        self
    }

    pub fn with(mut self, kind: &[u8], critical: bool, value: &[u8]) -> Self {
        self.extensions.extend(extension(kind, critical, value));
        self
    }

    pub fn carrying(mut self, certificate: &Certificate) -> Self {
        self.certificates.extend(certificate.der());
        self
    }

    pub fn nonce(self, nonce: &[u8]) -> Self {
        self.with(oid::OCSP_NONCE, false, &tlv(4, nonce))
    }

    /// DER, signed.
    pub fn sign(&self, key: &KeyPair) -> Vec<u8> {
        let within = |tag: u8, content: &[u8]| {
            if content.is_empty() { Vec::new() } else { tlv(tag, &tlv(0x30, content)) }
        };
        let (responses, extensions) = (tlv(0x30, &self.singles), within(0xa1, &self.extensions));
        let data = sequence(&[&self.responder, &time(self.produced_at), &responses, &extensions]);
        let signature = bits(&key.sign(&data).unwrap());
        let basic = sequence(&[&data, ECDSA_SHA256, &signature, &within(0xa0, &self.certificates)]);
        let bytes = sequence(&[&oid(oid::OCSP_BASIC), &tlv(4, &basic)]);
        sequence(&[&[10, 1, self.status], &tlv(0xa0, &bytes)])
    }
}

/// A response that is nothing but its status.
pub fn bare(status: u8) -> Vec<u8> {
    sequence(&[&[10, 1, status]])
}

/// The status "revoked".
pub fn revoked(at: UnixTime, reason: u8) -> Vec<u8> {
    tlv(0xa1, &[time(at), tlv(0xa0, &[10, 1, reason])].concat())
}

/// A SingleResponse; `extensions` one behind the other.
pub fn single(
    issued: &Issued,
    status: &[u8],
    this_update: UnixTime,
    next_update: Option<UnixTime>,
    extensions: &[u8],
) -> Vec<u8> {
    let sha1 = |octets: &[u8]| tlv(4, digest(&SHA1_FOR_LEGACY_USE_ONLY, octets).as_ref());
    let key = issued.issuer.public_key.as_ref().unwrap().octets();
    let id = sequence(&[
        &sequence(&[&oid(oid::SHA1), &[5, 0]]),
        &sha1(issued.certificate.issuer.der()),
        &sha1(key),
        &tlv(2, &issued.certificate.serial),
    ]);
    let next = next_update.map(|next| tlv(0xa0, &time(next))).unwrap_or_default();
    let extensions = if extensions.is_empty() { Vec::new() } else { tlv(0xa1, &tlv(0x30, extensions)) };
    sequence(&[&id, status, &time(this_update), &next, &extensions])
}
