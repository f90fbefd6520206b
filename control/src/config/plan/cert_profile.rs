//! Our own certificates, of which each peer is shown one (PKI-24, PKI-25).

use std::sync::Arc;

use ravelin_ike::config::OwnCertificate;
use ravelin_pki::{Certificate, PublicKey};

use crate::keeper::KeyPlace;

/// Certificates of ours, read and checked against their keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertProfile {
    /// In the order they are written, one to eight.
    pub entries: Vec<CertEntry>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertEntry {
    /// Where the private key lies; the keeper reads it.
    pub key: KeyPlace,
    /// What the engine shows of it.
    pub shown: Arc<OwnCertificate>,
    /// The compare-chain: the authorities above it as far as this configuration knows them, lowest first, DER.
    pub above: Vec<Vec<u8>>,
}

impl CertProfile {
    /// The entries of the profile of this name, each under what it is called: by number only where there are several.
    pub fn named<'p>(&'p self, name: &'p str) -> impl Iterator<Item = (String, &'p CertEntry)> {
        (0..).zip(&self.entries).map(|(place, entry)| (self.place(name, place), entry))
    }

    /// What the entry in this place is called, where its profile has this name.
    pub fn place(&self, name: &str, place: usize) -> String {
        match self.entries.len() {
            1 => name.to_owned(),
            _ => format!("{name}, entry {}", place + 1),
        }
    }

    /// Every certificate that may be sent, DER.
    pub fn sent(&self) -> impl Iterator<Item = &Vec<u8>> {
        self.entries.iter().flat_map(CertEntry::chain)
    }
}

impl CertEntry {
    /// What is sent: our certificate first, others after it, DER.
    pub fn chain(&self) -> &Vec<Vec<u8>> {
        &self.shown.chain
    }

    /// Our public key: that of the certificate, or what is shown in its place.
    pub fn public_key(&self) -> Option<PublicKey> {
        let first = self.chain().first()?;
        match self.shown.is_raw {
            true => PublicKey::from_spki(first).ok(),
            false => Certificate::from_der(first).ok()?.public_key.clone().ok(),
        }
    }
}
