//! What the store of certificates and keys has.

use serde::{Deserialize, Serialize};

/// One object. What does not apply to its kind is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StoredObject {
    /// `certificate`, `key` or `crl`.
    pub kind: String,
    /// Its name in the store.
    pub name: String,
    /// `available`, `pending` (a key no certificate was issued on), `not yet valid`, `expired` or `unusable`.
    pub status: String,
    /// Why it is unusable.
    pub problem: String,
    /// Whom a certificate is about.
    pub subject: String,
    /// Who issued it.
    pub issuer: String,
    /// Its serial number, hexadecimal.
    pub serial: String,
    /// Its alternative names.
    pub names: Vec<String>,
    /// First instant of its validity.
    pub not_before: String,
    /// Last instant of its validity.
    pub not_after: String,
    /// Whole days until then; negative once it has expired.
    pub days_left: Option<i64>,
    /// `general purpose`, `signature`, `encryption`, `certificate authority` or `other`, by its keyUsage.
    pub usage: String,
    /// Whether it is a CA's.
    pub certificate_authority: bool,
    /// Kind and size of its key.
    pub public_key: String,
    /// The key of the store that is its other half.
    pub private_key: String,
    /// The certificate of the store that a key belongs to.
    pub certificate: String,
    /// Whether a key may leave.
    pub exportable: Option<bool>,
    /// SHA-256 over the certificate, the CRL, or the public key of a key.
    pub fingerprint: String,
    /// Profiles that use it in the running configuration.
    pub used_by: Vec<String>,
}

/// How an authority stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CaProfile {
    /// Name of its ca-profile.
    pub ca_profile: String,
    /// `up`, or `down`: nothing that rests on it is believed.
    pub state: String,
    /// What is not well with it, whether or not that takes it down.
    pub flags: Vec<String>,
    /// The same in words, one for each flag.
    pub reasons: Vec<String>,
    /// The authority.
    pub subject: String,
    /// Last instant of its certificate's validity.
    pub not_after: String,
    /// Whole days until then; negative once it has expired.
    pub days_left: i64,
    /// SHA-256 over its certificate.
    pub fingerprint: String,
}
