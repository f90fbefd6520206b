//! What may be asked of the store of certificates and keys. Octets go as base64 (RFC 4648 section 4).

use serde::{Deserialize, Serialize};

use super::super::secret::Secret;

/// One object to be kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PkiImport {
    /// `certificate`, `crl` or `key`.
    pub kind: String,
    /// Under which name.
    pub name: String,
    /// DER; a key as PKCS#8, SEC1 or PKCS#1, not encrypted: the socket does not leave the machine.
    pub data: Secret,
    /// A key that may leave again.
    #[serde(default)]
    pub exportable: bool,
    /// In the place of another of that name.
    #[serde(default)]
    pub replace: bool,
}

/// An object to be given out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PkiExport {
    /// `certificate`, `crl`, `public-key`, `key` (PKCS#8, encrypted) or `pkcs12` (key and certificates).
    pub kind: String,
    /// Which.
    pub name: String,
    /// What a key is encrypted under.
    #[serde(default)]
    pub password: Option<Secret>,
    /// Further certificates that go into a PKCS#12 file.
    #[serde(default)]
    pub chain: Vec<String>,
}

/// A key to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PkiGenerate {
    /// Under which name.
    pub name: String,
    /// `rsa-3072`, `p256` and so on.
    pub algorithm: String,
    /// It may leave.
    #[serde(default)]
    pub exportable: bool,
}

/// A certification request to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PkiCsr {
    /// For which key.
    pub name: String,
    /// As `CN=gw,O=Example` or `/O=Example/CN=gw`; may be empty.
    #[serde(default)]
    pub subject: String,
    /// `dns:`, `ip:`, `email:` or `uri:` and the name.
    #[serde(default)]
    pub names: Vec<String>,
    /// Bits of keyUsage by name.
    #[serde(default)]
    pub key_usage: Vec<String>,
    /// Purposes of extKeyUsage by name.
    #[serde(default)]
    pub extended_key_usage: Vec<String>,
    /// The challenge password.
    #[serde(default)]
    pub challenge: Option<Secret>,
}

/// Names an object, or none for all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PkiName {
    /// Its name.
    pub name: Option<String>,
}

/// Names an object to be removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PkiRemove {
    /// `certificate` or `crl`; keys are zeroized.
    pub kind: String,
    /// Its name.
    pub name: String,
}
