//! Our own certificates, and which of them a peer is shown: the first that an authority it asked for stands above
//! (RFC 7296 §3.7). What a CERTREQ says is a hint: where nothing fits, the first certificate is shown.

use super::{IdKind, Identity, SignatureScheme};
use crate::wire::HashAndUrl;
use std::sync::Arc;

/// Our certificates, one of which each peer is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateAuth {
    /// In the order of the configuration, at least one; connections share them.
    pub entries: Vec<Arc<OwnCertificate>>,
    /// We are whom the one that is shown says, by its subject, and not who the connection says.
    pub names_us: bool,
}

/// A certificate of ours and what its key can do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnCertificate {
    /// DER certificates for CERT payloads of encoding 4: end entity first, then the chain without the anchor.
    pub chain: Vec<Vec<u8>>,
    /// In `chain` is no certificate but our public key alone, a SubjectPublicKeyInfo for encoding 15 (RFC 7670 §3).
    pub is_raw: bool,
    /// Schemes the key can sign with, preferred first; the first whose hash the peer announced is used.
    pub schemes: Vec<SignatureScheme>,
    /// SHA-1 hashes of the public keys of the authorities above it, as far as they are known.
    pub authorities: Vec<[u8; 20]>,
    /// Its subject, DER.
    pub subject: Vec<u8>,
    /// Where the first of `chain` lies: shown in its place to peers that look it up (RFC 7296 §3.6).
    pub elsewhere: Option<HashAndUrl>,
}

/// Which of our certificates a peer is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// Its place in [`CertificateAuth::entries`].
    pub entry: usize,
    /// Why it is that one.
    pub reason: Reason,
}

/// Why a certificate is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reason {
    /// The peer asked for no authority.
    #[default]
    NotAsked,
    /// The peer asked for an authority above it.
    Requested,
    /// The peer asked for authorities, none of which is above any of ours.
    NothingFits,
}

impl CertificateAuth {
    /// This one, whoever asks for whatever.
    pub fn single(certificate: OwnCertificate) -> CertificateAuth {
        CertificateAuth { entries: vec![Arc::new(certificate)], names_us: false }
    }

    /// The one for a peer that asked for these authorities, by SHA-1 hashes of their public keys.
    pub fn choose(&self, requested: &[[u8; 20]]) -> Choice {
        self.choose_among(requested, |_| true)
    }

    /// The same, where the peer takes signatures by some of them (RFC 9593): by which authority it is goes first.
    pub(crate) fn choose_among(
        &self,
        requested: &[[u8; 20]],
        takes: impl Fn(&OwnCertificate) -> bool,
    ) -> Choice {
        let fits = |own: &OwnCertificate| own.authorities.iter().any(|hash| requested.contains(hash));
        let first = |is: &dyn Fn(&OwnCertificate) -> bool| self.entries.iter().position(|own| is(own));
        let requested_one = first(&|own| fits(own) && takes(own)).or_else(|| first(&fits));
        match requested_one {
            Some(entry) => Choice { entry, reason: Reason::Requested },
            None => {
                let reason = if requested.is_empty() { Reason::NotAsked } else { Reason::NothingFits };
                Choice { entry: first(&takes).unwrap_or(0), reason }
            }
        }
    }

    /// The one that was chosen; where there are others since, the first.
    pub fn chosen(&self, choice: Choice) -> Option<&OwnCertificate> {
        self.entries.get(choice.entry).or(self.entries.first()).map(AsRef::as_ref)
    }

    /// Who we are with that one, if that is for it to say.
    pub(crate) fn name(&self, choice: Choice) -> Option<Identity> {
        self.chosen(choice).filter(|_| self.names_us).map(OwnCertificate::identity)
    }

    /// The one by which we are called so.
    pub(crate) fn named(&self, identity: &Identity) -> Option<Choice> {
        let entry = self.entries.iter().position(|own| own.identity().is_same(identity));
        entry.filter(|_| self.names_us).map(|entry| Choice { entry, ..Choice::default() })
    }

    /// Leaves no schemes but these.
    pub(crate) fn restrict(&mut self, allowed: impl Fn(&SignatureScheme) -> bool) {
        let restricted = self.entries.iter_mut().filter(|own| !own.schemes.iter().all(&allowed));
        restricted.for_each(|own| Arc::make_mut(own).schemes.retain(&allowed));
    }
}

impl OwnCertificate {
    fn identity(&self) -> Identity {
        Identity { kind: IdKind::DistinguishedName, data: self.subject.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn under(authorities: &[u8]) -> Arc<OwnCertificate> {
        let authorities = authorities.iter().map(|number| [*number; 20]).collect();
        Arc::new(OwnCertificate { authorities, ..OwnCertificate::default() })
    }

    /// The first that stands under any authority asked for, wherever in its chain that is and wherever in the request.
    #[test]
    fn the_first_that_fits_is_shown() {
        let entries = vec![under(&[3]), under(&[1, 2]), under(&[2, 4]), under(&[])];
        let own = CertificateAuth { entries, names_us: false };
        let many = |last: u8| (100..).map(|number| [number; 20]).take(16).chain([[last; 20]]).collect();
        for (requested, entry, reason) in [
            (vec![], 0, Reason::NotAsked),
            (vec![[2; 20]], 1, Reason::Requested),
            (vec![[4; 20]], 2, Reason::Requested),
            (vec![[4; 20], [1; 20]], 1, Reason::Requested),
            (vec![[9; 20]], 0, Reason::NothingFits),
            // LIM-09: the seventeenth counts as the first does.
            (many(4), 2, Reason::Requested),
        ] {
            assert_eq!(own.choose(&requested), Choice { entry, reason }, "{requested:?}");
        }
        let later = Choice { entry: 9, reason: Reason::Requested };
        assert_eq!(own.chosen(later), own.entries.first().map(AsRef::as_ref));
        assert_eq!(CertificateAuth { entries: vec![], names_us: true }.name(later), None);
    }

    /// Who is named by certificates is called by any of them; who has a name of its own by that alone.
    #[test]
    fn certificates_name_us_if_nothing_else_does() {
        let entry = |subject: &[u8]| {
            Arc::new(OwnCertificate { subject: subject.to_vec(), ..OwnCertificate::default() })
        };
        let mut own = CertificateAuth { entries: vec![entry(&[0x30, 0]), entry(b"two")], names_us: true };
        let second = own.name(Choice { entry: 1, reason: Reason::Requested }).unwrap();
        assert_eq!(own.named(&second), Some(Choice { entry: 1, reason: Reason::NotAsked }));
        own.names_us = false;
        assert_eq!((own.name(Choice::default()), own.named(&second)), (None, None));
    }
}
