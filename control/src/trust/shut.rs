//! Authorities whose ca-profile is shut down (PKI-16): nothing that rests on their key is believed, by whichever of their
//! certificates it is reached. Where a cross-certificate leads past them, that path counts.

use std::collections::BTreeMap;
use std::sync::Arc;

use ravelin_pki::Certificate;
use ravelin_pki::path::VerifiedPath;
use ravelin_pki::revocation::KeyId;

/// The names of ca-profiles that are shut down, by the key of their authority.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shut(BTreeMap<KeyId, String>);

impl FromIterator<(KeyId, String)> for Shut {
    fn from_iter<I: IntoIterator<Item = (KeyId, String)>>(profiles: I) -> Self {
        Self(profiles.into_iter().collect())
    }
}

impl Shut {
    /// The ca-profile that shuts this certificate's key out.
    pub fn of(&self, certificate: &Certificate) -> Option<&str> {
        let found = (!self.0.is_empty()).then(|| self.0.get(&KeyId::of(certificate)));
        found.flatten().map(String::as_str)
    }

    /// The first of a path, from the peer upwards.
    pub fn along(&self, path: &VerifiedPath) -> Option<&str> {
        path.certificates().iter().chain([path.anchor()]).find_map(|certificate| self.of(certificate))
    }

    /// Those of some certificates that may be rested on.
    pub fn leave<'a, T: FromIterator<Arc<Certificate>>>(
        &self,
        certificates: impl Iterator<Item = &'a Arc<Certificate>>,
    ) -> T {
        certificates.filter(|certificate| self.of(certificate).is_none()).cloned().collect()
    }

    /// Those that a peer presents; what cannot be read is left for others to judge.
    pub fn leave_presented(&self, chain: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let is_shut = |der: &Vec<u8>| Certificate::from_der(der).is_ok_and(|it| self.of(&it).is_some());
        chain.iter().filter(|der| !is_shut(der)).cloned().collect()
    }
}
