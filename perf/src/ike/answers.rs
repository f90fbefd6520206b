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
use ravelin_pki::{Certificate, PrivateKey, PublicKey, SignatureScheme};
use zeroize::Zeroizing;

use super::Authentication;

/// The first inbound SPI given out: below are manual ones (docs/design.md §3).
const FIRST_SPI: u32 = 1 << 26;

/// How the initiators prove themselves: all alike.
pub enum Credential {
    /// A pre-shared key; each is known by its address.
    Psk(Vec<u8>),
    /// One certificate, and its key.
    Certificate(Box<Own>),
}

/// A certificate with its key.
pub struct Own {
    chain: Vec<Vec<u8>>,
    subject: Vec<u8>,
    scheme: Scheme,
    key: PrivateKey,
}

impl Own {
    /// As an engine shows it.
    fn shown(&self) -> OwnCertificate {
        let (chain, schemes) = (self.chain.clone(), vec![self.scheme]);
        OwnCertificate { chain, schemes, ..OwnCertificate::default() }
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

    /// As an engine's connection has it.
    pub fn auth(&self) -> (Auth, RemoteAuth) {
        match self {
            Credential::Psk(key) => {
                let key = Zeroizing::new(key.clone());
                (Auth::Psk(key.clone()), RemoteAuth::Psk(key))
            }
            Credential::Certificate(own) => (
                Auth::Certificate(CertificateAuth::single(own.shown())),
                RemoteAuth::Certificate { authorities: Vec::new(), schemes: Vec::new() },
            ),
        }
    }

    /// Who an initiator at `address` says it is.
    pub fn identity(&self, address: std::net::IpAddr) -> Identity {
        match self {
            Credential::Psk(_) => Identity::address(address),
            Credential::Certificate(own) => {
                Identity { kind: IdKind::DistinguishedName, data: own.subject.clone() }
            }
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
        let Credential::Certificate(own) = &self.credential else { return Err(no("a PSK signs nothing")) };
        let scheme = to_pki(sign.scheme).ok_or_else(|| no("no such scheme"))?;
        own.key.sign(scheme, &sign.octets, &SystemRandom::new()).map_err(|error| no(&error.to_string()))
    }
}

/// In what keys of a kind sign here. PKCS#1 is what every responder takes; PSS is not.
fn schemes(kind: Authentication) -> &'static [Scheme] {
    match kind {
        Authentication::Psk => &[],
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
