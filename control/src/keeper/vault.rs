//! What is done with private keys of the store: made, taken in, given out, used to sign a request. A key is in clear
//! inside one function at a time, and nowhere else but with the keeper's threads.
//!
//! What is slow (making RSA keys, deriving from the passphrase) is done on the thread of whoever asks.

use std::fmt;

use aws_lc_rs::rand::SystemRandom;
use ravelin_pki::file::{self, pkcs12};
use ravelin_pki::key::{GenerateError, KeyFileError, KeyKind};
use ravelin_pki::password::{NoRandomness, Password};
use ravelin_pki::pkcs10::{CertificationRequest, Pkcs10Error};
use ravelin_pki::sealed::{Sealed, SealedError};
use ravelin_pki::{Certificate, PrivateKey};

use crate::store::{Kind, ObjectName, PassphraseError, PassphraseSource, Store, StoreError};

/// The store, and what opens its keys.
#[derive(Clone, PartialEq, Eq)]
pub struct Vault {
    store: Store,
    passphrase: PassphraseSource,
}

/// Why a key was not made, opened or given out.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The passphrase.
    #[error(transparent)]
    Passphrase(#[from] PassphraseError),
    /// A sealed key.
    #[error("key {name:?} of the store: {problem}")]
    Sealed {
        /// Its name.
        name: String,
        /// What is wrong with it.
        problem: SealedError,
    },
    /// What was given is no key.
    #[error(transparent)]
    Key(#[from] KeyFileError),
    /// It was made to stay.
    #[error(
        "key {0:?} is not exportable: it was made or imported without --exportable, which cannot be changed"
    )]
    NotExportable(String),
    /// It belongs to another certificate.
    #[error(
        "key {0:?} is not that of certificate {0:?} in the store: import them under one name, or choose another"
    )]
    Mismatch(String),
    /// The request cannot be made.
    #[error(transparent)]
    Request(#[from] Pkcs10Error),
    /// The machine.
    #[error(transparent)]
    Machine(#[from] GenerateError),
    /// The machine.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Vault({})", self.store.path().display())
    }
}

impl Vault {
    /// The keys of this store, under this passphrase.
    pub fn new(store: Store, passphrase: PassphraseSource) -> Self {
        Self { store, passphrase }
    }

    /// The store.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Makes a key and keeps it; its public half.
    ///
    /// # Errors
    /// When the name is taken, or the machine fails.
    pub fn generate(&self, name: &ObjectName, kind: KeyKind, exportable: bool) -> Result<(), VaultError> {
        // Before the minutes that a large key may take.
        self.passphrase.read()?;
        if self.store.names(Kind::Key)?.contains(name) {
            return Err(StoreError::Exists { kind: Kind::Key, name: name.to_string() }.into());
        }
        let key = PrivateKey::generate(kind, &SystemRandom::new())?;
        self.keep(name, &key, exportable, false)
    }

    /// Takes in a key, DER, that is not encrypted; it must be that of the certificate of its name, if there is one.
    ///
    /// # Errors
    /// When it is none, is another one's, or the name is taken.
    pub fn import(
        &self,
        name: &ObjectName,
        der: &[u8],
        exportable: bool,
        replace: bool,
    ) -> Result<(), VaultError> {
        let key = PrivateKey::from_der(der, None)?;
        if self.certificate(name)?.is_some_and(|certificate| !belongs(&key, &certificate)) {
            return Err(VaultError::Mismatch(name.to_string()));
        }
        self.keep(name, &key, exportable, replace)
    }

    /// A certification request (PKCS#10), DER, signed with a key of the store.
    ///
    /// # Errors
    /// When the key does not open, or the request asks for what cannot be.
    pub fn request(
        &self,
        name: &ObjectName,
        wanted: &CertificationRequest<'_>,
    ) -> Result<Vec<u8>, VaultError> {
        Ok(wanted.sign(&self.open(name)?, &SystemRandom::new())?)
    }

    /// A key as PKCS#8 under a password, DER, if it may leave.
    ///
    /// # Errors
    /// When it may not, or does not open.
    pub fn export(&self, name: &ObjectName, password: &Password) -> Result<Vec<u8>, VaultError> {
        Ok(file::key_der(&self.exported(name)?, password, &SystemRandom::new())?)
    }

    /// A key and its certificates as PKCS#12 under a password, if the key may leave.
    ///
    /// # Errors
    /// When it may not, does not open, or is not that of the first certificate.
    pub fn export_pkcs12(
        &self,
        name: &ObjectName,
        certificates: &[&Certificate],
        password: &Password,
    ) -> Result<Vec<u8>, VaultError> {
        let key = self.exported(name)?;
        if certificates.first().is_none_or(|certificate| !belongs(&key, certificate)) {
            return Err(VaultError::Mismatch(name.to_string()));
        }
        let identity = pkcs12::Identity { name: name.as_str(), key: &key, certificates };
        Ok(pkcs12::write(&identity, password, &SystemRandom::new())?)
    }

    /// What may be known of a key without opening it.
    ///
    /// # Errors
    /// When it is not there, or is no sealed key.
    pub fn look(&self, name: &ObjectName) -> Result<Sealed, VaultError> {
        let octets = self.store.read(Kind::Key, name)?;
        Sealed::parse(&octets).map_err(sealed(name))
    }

    /// Opens a key: for the keeper.
    pub(super) fn open(&self, name: &ObjectName) -> Result<PrivateKey, VaultError> {
        let passphrase = self.passphrase.read()?;
        self.look(name)?.open(name.as_str(), &passphrase).map_err(sealed(name))
    }

    fn exported(&self, name: &ObjectName) -> Result<PrivateKey, VaultError> {
        if !self.look(name)?.exportable() {
            return Err(VaultError::NotExportable(name.to_string()));
        }
        // The mark is proven by opening.
        self.open(name)
    }

    fn keep(
        &self,
        name: &ObjectName,
        key: &PrivateKey,
        exportable: bool,
        replace: bool,
    ) -> Result<(), VaultError> {
        let passphrase = self.passphrase.read()?;
        let octets = Sealed::seal(key, name.as_str(), exportable, &passphrase, &SystemRandom::new());
        Ok(self.store.add(Kind::Key, name, &octets.map_err(sealed(name))?, replace)?)
    }

    /// The certificate of the same name, if there is one that can be read.
    fn certificate(&self, name: &ObjectName) -> Result<Option<Certificate>, VaultError> {
        if !self.store.names(Kind::Certificate)?.contains(name) {
            return Ok(None);
        }
        Ok(Certificate::from_der(&self.store.read(Kind::Certificate, name)?).ok())
    }
}

fn belongs(key: &PrivateKey, certificate: &Certificate) -> bool {
    certificate.public_key.as_ref().is_ok_and(|public| key.matches(public))
}

fn sealed(name: &ObjectName) -> impl Fn(SealedError) -> VaultError {
    move |problem| VaultError::Sealed { name: name.to_string(), problem }
}

#[cfg(test)]
mod tests;
