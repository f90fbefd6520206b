//! Public keys of peers without certificates (RFC 7670, PKI-35): each belongs to the identity that the operator gave it, and
//! proves that one and no other. Nothing chains and nothing ends: who is not to be let in any more is taken out.

use ravelin_pki::PublicKey;
use ravelin_pki::identity::Identity;

use super::Refusal;
use crate::store::catalog::fingerprint;

/// Keys by identity; one that changes its key has two for a while.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerKeys(Vec<(Identity, Vec<u8>)>);

impl FromIterator<(Identity, Vec<u8>)> for PeerKeys {
    fn from_iter<I: IntoIterator<Item = (Identity, Vec<u8>)>>(keys: I) -> Self {
        Self(keys.into_iter().collect())
    }
}

impl PeerKeys {
    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The key, a SubjectPublicKeyInfo, by which a peer is to prove that it is who it claims: the one it shows, if that is
    /// its own, else the first that there is of it.
    ///
    /// # Errors
    /// When it has none here, or shows another.
    pub fn judge(&self, claimed: &Identity, shown: Option<&[u8]>) -> Result<Vec<u8>, Refusal> {
        let mut own =
            self.0.iter().filter(|(identity, _)| identity == claimed).map(|(_, key)| key).peekable();
        if own.peek().is_none() {
            return Err(Refusal::NoKey(claimed.to_string()));
        }
        let found = own.find(|key| shown.is_none_or(|shown| is_same(shown, key)));
        let other = || Refusal::OtherKey {
            claimed: claimed.to_string(),
            shown: shown.map(fingerprint).unwrap_or_default(),
        };
        found.cloned().ok_or_else(other)
    }
}

/// One key may be written in more than one way (RFC 4055 §1.2).
fn is_same(shown: &[u8], own: &[u8]) -> bool {
    let read = |spki: &[u8]| PublicKey::from_spki(spki).ok();
    shown == own || read(shown).zip(read(own)).is_some_and(|(shown, own)| shown.is_same_key(&own))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trust::common::{gateway, self_signed};

    fn spki(key: usize) -> Vec<u8> {
        self_signed(&gateway("Peer"), key).spki.clone()
    }

    /// A key proves the identity it was given, and no other; one of two may be shown, or none.
    #[test]
    fn a_key_belongs_to_its_identity() {
        let identity = |text: &str| -> Identity { text.parse().unwrap() };
        let keys: PeerKeys = [("a.example", 1), ("b.example", 2), ("b.example", 3), ("192.0.2.7", 4)]
            .into_iter()
            .map(|(name, key)| (identity(name), spki(key)))
            .collect();
        for (claimed, shown, expected) in [
            ("a.example", Some(1), Ok(1)),
            ("A.example", None, Ok(1)),
            ("b.example", Some(3), Ok(3)),
            ("b.example", None, Ok(2)),
            ("192.0.2.7", Some(4), Ok(4)),
            ("a.example", Some(2), Err("RV-PKI-050")),
            ("b.example", Some(9), Err("RV-PKI-050")),
            ("c.example", Some(1), Err("RV-PKI-049")),
            ("c.example", None, Err("RV-PKI-049")),
            ("192.0.2.8", Some(4), Err("RV-PKI-049")),
        ] {
            let shown_key = shown.map(spki);
            let judged = keys.judge(&identity(claimed), shown_key.as_deref());
            let judged = judged.map_err(|refusal| refusal.code());
            assert_eq!(judged, expected.map(spki), "{claimed} {shown:?}");
        }
        assert_eq!(PeerKeys::default().judge(&identity("a.example"), None).unwrap_err().code(), "RV-PKI-049");
    }

    #[test]
    fn what_is_no_key_is_nobodys() {
        let keys: PeerKeys = [("a.example".parse().unwrap(), spki(1))].into_iter().collect();
        for shown in [vec![], vec![0x30, 0], spki(1)[1..].to_vec(), vec![0; 70_000]] {
            assert_eq!(
                keys.judge(&"a.example".parse().unwrap(), Some(&shown)).unwrap_err().code(),
                "RV-PKI-050"
            );
        }
    }
}
