//! CRLs made by hand and signed with P-256.
#![allow(dead_code, reason = "each test binary uses its own part of this")]

use ravelin_pki::{Certificate, UnixTime, oid};
use rcgen::{KeyPair, SigningKey};

use super::der::{ECDSA_SHA256, bits, extension, sequence, short_time, time, tlv};

/// All of a CRL but its signature.
#[derive(Clone)]
pub struct Draft {
    /// Contents of the version, if there is one.
    pub version: Option<Vec<u8>>,
    /// Name, DER.
    pub issuer: Vec<u8>,
    pub this_update: UnixTime,
    pub next_update: Option<UnixTime>,
    /// Elements of revokedCertificates, one behind the other.
    pub entries: Vec<u8>,
    /// Extensions, one behind the other.
    pub extensions: Vec<u8>,
    /// signatureAlgorithm; the one inside is always ecdsa-with-SHA256.
    pub algorithm: Vec<u8>,
}

impl Draft {
    /// An empty one of this authority, from an hour before `now` for a day.
    pub fn of(authority: &Certificate, now: UnixTime) -> Self {
        Self {
            version: Some(vec![1]),
            issuer: authority.subject.der().to_vec(),
            this_update: UnixTime(now.0 - 3600),
            next_update: Some(UnixTime(now.0 + 82_800)),
            entries: Vec::new(),
            extensions: Vec::new(),
            algorithm: ECDSA_SHA256.to_vec(),
        }
    }

    pub fn revoking(mut self, serial: &[u8], at: UnixTime, reason: Option<u8>) -> Self {
        let reason = reason.map(|code| sequence(&[&extension(oid::REASON_CODE, false, &[10, 1, code])]));
        self.entries.extend(entry(serial, at, &reason.unwrap_or_default()));
        self
    }

    pub fn with(mut self, kind: &[u8], critical: bool, value: &[u8]) -> Self {
        self.extensions.extend(extension(kind, critical, value));
        self
    }

    /// With an issuingDistributionPoint of these fields.
    pub fn for_some(self, fields: &[&[u8]]) -> Self {
        self.with(oid::ISSUING_DISTRIBUTION_POINT, true, &sequence(fields))
    }

    pub fn between(mut self, this_update: i64, next_update: Option<i64>) -> Self {
        (self.this_update, self.next_update) = (UnixTime(this_update), next_update.map(UnixTime));
        self
    }

    pub fn numbered(self, number: u8) -> Self {
        self.with(oid::CRL_NUMBER, false, &[2, 1, number])
    }

    /// DER, signed.
    pub fn sign(&self, key: &KeyPair) -> Vec<u8> {
        let version = self.version.as_ref().map(|version| tlv(2, version)).unwrap_or_default();
        let next = self.next_update.map(time).unwrap_or_default();
        let entries = if self.entries.is_empty() { Vec::new() } else { tlv(0x30, &self.entries) };
        let extensions = tlv(0x30, &self.extensions);
        let extensions = if self.extensions.is_empty() { Vec::new() } else { tlv(0xa0, &extensions) };
        let tbs = sequence(&[
            &version,
            ECDSA_SHA256,
            &self.issuer,
            &short_time(self.this_update),
            &next,
            &entries,
            &extensions,
        ]);
        sequence(&[&tbs, &self.algorithm, &bits(&key.sign(&tbs).unwrap())])
    }
}

/// One of revokedCertificates; `extensions` is the whole SEQUENCE or nothing.
pub fn entry(serial: &[u8], at: UnixTime, extensions: &[u8]) -> Vec<u8> {
    sequence(&[&tlv(2, serial), &short_time(at), extensions])
}

/// The distributionPoint field of an issuingDistributionPoint or a distribution point: a URI.
pub fn at_uri(uri: &str) -> Vec<u8> {
    tlv(0xa0, &tlv(0xa0, &tlv(0x86, uri.as_bytes())))
}
