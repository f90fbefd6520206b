//! What the initiators' engine asks for, answered on the spot: the generator has no data plane and judges nobody.
//!
//! Its own signatures and the responder's are made and checked as they must be; the responder's chain is not
//! judged, for that would measure the generator. SAs are kept for the packet that goes each way.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use aws_lc_rs::rand::SystemRandom;
use ravelin_ike::config::{
    Auth, CertificateAuth, ConnectionId, IdKind, Identity, OwnCertificate, RemoteAuth,
    SignatureScheme as Scheme,
};
use ravelin_ike::crypto::signature;
use ravelin_ike::want::{Answer, AnswerError, InstallChild, PeerKey, Sign, Verdict, Verify, Want, WantKind};
use ravelin_pki::key::KeyKind;
use ravelin_pki::{Certificate, PrivateKey, PublicKey, SignatureScheme};
use zeroize::Zeroizing;

use super::Authentication;
use super::authority::Authority;

/// The first inbound SPI given out: below are manual ones (docs/design.md §3).
const FIRST_SPI: u32 = 1 << 26;

/// How the initiators prove themselves.
pub enum Credential {
    /// A pre-shared key; each is known by its address.
    Psk(Vec<u8>),
    /// One certificate, and its key.
    Certificate(Box<Own>),
    /// A certificate each, with one key.
    Issued(Box<Issued>),
}

/// A certificate with its key.
pub struct Own {
    chain: Vec<Vec<u8>>,
    subject: Vec<u8>,
    scheme: Scheme,
    key: PrivateKey,
}

/// Certificates of an authority that is at hand.
pub struct Issued {
    authority: Authority,
    /// The number of the first initiator's.
    first: u32,
    key: PrivateKey,
    spki: Vec<u8>,
}

impl Issued {
    /// An initiator's, and those above it.
    fn chain(&self, initiator: u32) -> Result<Vec<Vec<u8>>> {
        let own = self.authority.certificate(self.first.wrapping_add(initiator), &self.spki)?;
        Ok(std::iter::once(own).chain(self.authority.above().iter().cloned()).collect())
    }
}

/// How one initiator proves itself, and who it says it is.
pub struct Shown {
    /// Its own proof.
    pub auth: Auth,
    /// What it wants of the responder.
    pub remote_auth: RemoteAuth,
    /// Who it says it is.
    pub identity: Identity,
}

impl Shown {
    fn certificate(chain: Vec<Vec<u8>>, subject: Vec<u8>, scheme: Scheme) -> Shown {
        let own = OwnCertificate { chain, schemes: vec![scheme], ..OwnCertificate::default() };
        Shown {
            auth: Auth::Certificate(CertificateAuth::single(own)),
            remote_auth: RemoteAuth::Certificate { authorities: Vec::new(), schemes: Vec::new() },
            identity: Identity { kind: IdKind::DistinguishedName, data: subject },
        }
    }
}

impl Credential {
    /// Reads a certificate, with intermediates behind it, and its key.
    ///
    /// # Errors
    /// Which file, and why.
    pub fn read(certificate: &Path, key: &Path, kind: Authentication) -> Result<Credential> {
        let read = |path: &Path| std::fs::read(path).with_context(|| format!("reading {}", path.display()));
        let chain = Certificate::from_file_bytes(&read(certificate)?)
            .with_context(|| format!("{}: no certificate", certificate.display()))?;
        let leaf = chain.first().context("a certificate file has a certificate")?;
        let private = PrivateKey::from_file_bytes(&read(key)?)
            .with_context(|| format!("{}: no private key", key.display()))?;
        let own = leaf.public_key.as_ref().is_ok_and(|public| private.matches(public));
        ensure!(own, "{} is not the key of {}", key.display(), certificate.display());
        let usable =
            |scheme: &&Scheme| to_pki(**scheme).is_some_and(|scheme| private.schemes().contains(&scheme));
        let scheme = *schemes(kind)
            .iter()
            .find(usable)
            .with_context(|| format!("{} is not {kind:?}", key.display()))?;
        let subject = leaf.subject.der().to_vec();
        let chain = chain.iter().map(|certificate| certificate.der().to_vec()).collect();
        Ok(Credential::Certificate(Box::new(Own { chain, subject, scheme, key: private })))
    }

    /// Of an authority, from its certificate number `first` on.
    ///
    /// # Errors
    /// When the machine gives no key.
    pub fn issued(authority: Authority, first: u32) -> Result<Credential> {
        let key = PrivateKey::generate(KeyKind::P256, &SystemRandom::new())?;
        let spki = key.public_key_info()?;
        Ok(Credential::Issued(Box::new(Issued { authority, first, key, spki })))
    }

    /// As an engine's connection has it: that of initiator `number`, at `address`.
    ///
    /// # Errors
    /// When its certificate cannot be made.
    pub fn shown(&self, number: u32, address: std::net::IpAddr) -> Result<Shown> {
        match self {
            Credential::Psk(key) => {
                let key = || Zeroizing::new(key.clone());
                let (auth, remote_auth) = (Auth::Psk(key()), RemoteAuth::Psk(key()));
                Ok(Shown { auth, remote_auth, identity: Identity::address(address) })
            }
            Credential::Certificate(own) => {
                Ok(Shown::certificate(own.chain.clone(), own.subject.clone(), own.scheme))
            }
            Credential::Issued(issued) => {
                let chain = issued.chain(number)?;
                let own = chain.first().context("a chain has a certificate")?;
                let subject = Certificate::from_der(own)?.subject.der().to_vec();
                Ok(Shown::certificate(chain, subject, Scheme::EcdsaP256Sha256))
            }
        }
    }

    /// The key that signs.
    fn key(&self) -> Option<&PrivateKey> {
        match self {
            Credential::Psk(_) => None,
            Credential::Certificate(own) => Some(&own.key),
            Credential::Issued(issued) => Some(&issued.key),
        }
    }
}

/// Answers everything an engine wants.
pub struct Answers {
    credential: Credential,
    next_spi: u32,
    /// What was installed, by connection, until it is taken.
    installed: HashMap<ConnectionId, InstallChild>,
}

impl Answers {
    /// With these credentials.
    pub fn new(credential: Credential) -> Answers {
        Answers { credential, next_spi: FIRST_SPI, installed: HashMap::new() }
    }

    /// The SA pair of a connection that came up; once.
    pub fn take(&mut self, connection: ConnectionId) -> Option<InstallChild> {
        self.installed.remove(&connection)
    }

    /// The answer to a question; orders have none.
    pub fn answer(&mut self, want: Want) -> Option<Answer> {
        Some(match want.kind {
            WantKind::KeyAgreement(agreement) => Answer::KeyAgreement(agreement.perform()),
            WantKind::Sign(sign) => Answer::Sign(self.sign(&sign)),
            WantKind::Verify(verify) => Answer::Verify(check(&verify)),
            WantKind::Resolve(_) => Answer::Resolve(Err(no("no name is resolved"))),
            WantKind::Lookup(_) => Answer::Lookup(Err(no("nothing is looked up"))),
            WantKind::Verdict(verdict) => Answer::Verdict(key_of(&verdict)),
            WantKind::AllocateSpi(_) => {
                self.next_spi = self.next_spi.wrapping_add(1).max(FIRST_SPI);
                Answer::AllocateSpi(Ok(self.next_spi))
            }
            WantKind::Install(install) => {
                self.installed.insert(install.connection, *install);
                Answer::Install(Ok(()))
            }
            WantKind::Activate(_)
            | WantKind::UpdateAddresses { .. }
            | WantKind::Remove { .. }
            | WantKind::ReleaseSpi(_)
            | WantKind::Admit(_)
            | WantKind::Dismiss(_) => return None,
        })
    }

    fn sign(&self, sign: &Sign) -> Result<Vec<u8>, AnswerError> {
        let key = self.credential.key().ok_or_else(|| no("a PSK signs nothing"))?;
        let scheme = to_pki(sign.scheme).ok_or_else(|| no("no such scheme"))?;
        key.sign(scheme, &sign.octets, &SystemRandom::new()).map_err(|error| no(&error.to_string()))
    }
}

/// In what keys of a kind sign here. PKCS#1 is what every responder takes; PSS is not.
fn schemes(kind: Authentication) -> &'static [Scheme] {
    match kind {
        Authentication::Psk | Authentication::Issued => &[],
        Authentication::Ecdsa => &[Scheme::EcdsaP256Sha256, Scheme::EcdsaP384Sha384, Scheme::EcdsaP521Sha512],
        Authentication::Rsa => &[Scheme::RsaPkcs1Sha256],
    }
}

/// The responder's signature, checked with the key of the certificate it sent.
fn check(verify: &Verify) -> Result<(), AnswerError> {
    let scheme = to_pki(verify.scheme).ok_or_else(|| no("no such scheme"))?;
    let key = PublicKey::from_spki(&verify.public_key).map_err(|error| no(&error.to_string()))?;
    key.verify(scheme, &verify.octets, &verify.signature).map_err(|error| no(&error.to_string()))
}

fn key_of(verdict: &Verdict) -> Result<PeerKey, AnswerError> {
    let leaf = verdict.chain.first().ok_or_else(|| no("no certificate"))?;
    let leaf = Certificate::from_der(leaf).map_err(|error| no(&error.to_string()))?;
    Ok(PeerKey { public_key: leaf.spki.clone() })
}

/// The two pure crates do not know each other's names, but both know the octets.
fn to_pki(scheme: Scheme) -> Option<SignatureScheme> {
    SignatureScheme::from_algorithm_identifier(&signature::algorithm_identifier(scheme)).ok()
}

fn no(text: &str) -> AnswerError {
    AnswerError { code: "RV-PERF".into(), text: text.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No scheme changes its meaning on the way from the engine to the key.
    #[test]
    fn every_scheme_has_its_like() {
        let all: std::collections::HashSet<_> = Scheme::ALL.iter().filter_map(|it| to_pki(*it)).collect();
        assert_eq!(all.len(), Scheme::ALL.len());
        assert_eq!(to_pki(Scheme::RsaPkcs1Sha256), Some(SignatureScheme::RsaPkcs1Sha256));
        assert_eq!(to_pki(Scheme::EcdsaP256Sha256), Some(SignatureScheme::EcdsaSha256));
    }
}
