//! Who is up by which certificates, so that a revocation that becomes known ends what rests on it (REV-28): serial
//! numbers by the keys that issued them, and nothing else, for tens of thousands of peers.

use std::collections::HashMap;

use ravelin_ike::id::IkeId;
use ravelin_pki::path::VerifiedPath;
use ravelin_pki::revocation::crl::Crl;
use ravelin_pki::revocation::policy::{Demand, Rules};
use ravelin_pki::revocation::{Issued, KeyId, Revoked};

/// A certificate of a believed path.
#[derive(Clone, Debug)]
struct Named {
    authority: KeyId,
    /// Other keys of that authority: it may sign its CRLs with any of them.
    other_keys: Box<[KeyId]>,
    serial: Box<[u8]>,
}

/// Tunnels by what they rest on.
#[derive(Debug, Default)]
pub struct Live(HashMap<IkeId, Vec<Named>>);

impl Live {
    /// A tunnel rests on a path. Certificates whose revocation the rules do not care for are left out.
    pub fn add(&mut self, ike: IkeId, path: &VerifiedPath, rules: impl Fn(&Issued) -> bool) {
        let named = Issued::along(path).into_iter().filter(rules);
        self.0.entry(ike).or_default().extend(named.map(|issued| Named::of(&issued)));
    }

    /// Tunnels are gone.
    pub fn remove(&mut self, gone: &[IkeId]) {
        gone.iter().for_each(|ike| drop(self.0.remove(ike)));
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The tunnels that rest on a certificate this CRL lists, with its serial number.
    pub fn listed(&self, list: &Crl) -> Vec<(IkeId, Vec<u8>, Revoked)> {
        let all = self.0.iter().flat_map(|(ike, named)| {
            named
                .iter()
                .flat_map(move |one| one.keys().map(move |key| ((*ike, &*one.serial), key, &*one.serial)))
        });
        list.sweep(all).map(|((ike, serial), revoked)| (ike, serial.to_vec(), revoked)).collect()
    }

    /// The tunnels that rest on this certificate.
    pub fn resting_on(&self, authority: KeyId, serial: &[u8]) -> Vec<IkeId> {
        let rests = |named: &Named| named.authority == authority && *named.serial == *serial;
        let all = self.0.iter().filter(|(_, named)| named.iter().any(rests));
        all.map(|(ike, _)| *ike).collect()
    }
}

impl Named {
    fn of(issued: &Issued) -> Self {
        let authority = KeyId::of(&issued.issuer);
        let mut other_keys: Vec<KeyId> = issued.authorities().map(|other| KeyId::of(other)).collect();
        other_keys.sort_unstable();
        other_keys.dedup();
        other_keys.retain(|key| *key != authority);
        let serial = issued.certificate.serial.as_slice().into();
        Self { authority, other_keys: other_keys.into(), serial }
    }

    /// With which a CRL may be signed that lists it.
    fn keys(&self) -> impl Iterator<Item = KeyId> {
        std::iter::once(self.authority).chain(self.other_keys.iter().copied())
    }
}

/// Whether a revocation ends what is up: not where nobody is to be asked.
pub fn is_asked(rules: &Rules) -> bool {
    rules.demand != Demand::Off && !rules.order.methods().is_empty()
}

#[cfg(test)]
mod tests {
    use ravelin_pki::UnixTime;
    use ravelin_pki::revocation::crl::Unverified;

    use super::*;
    use crate::trust::common::crl::Draft;
    use crate::trust::common::world::ROOT;
    use crate::trust::common::{KEYS, NOW};

    /// Of 32 thousand tunnels those are named whose certificate is listed, by number, and nobody else's (REV-28):
    /// neither those of another authority that gave out the same serial numbers.
    #[test]
    fn the_listed_among_tens_of_thousands_are_found() {
        let serial = |number: u64| number.to_be_bytes()[4..].to_vec();
        let (ours, other) = (
            KeyId::of(&ROOT),
            KeyId::of(&crate::trust::common::self_signed(&crate::trust::common::ca("Other"), 3)),
        );
        let named = |authority, number| {
            vec![Named { authority, other_keys: Box::default(), serial: serial(number).into() }]
        };
        let first = 0x0100_0000;
        let live = (0..32_768).map(|number| {
            let authority = if number % 2 == 0 { ours } else { other };
            (IkeId(number), named(authority, first + number / 2))
        });
        let live = Live(live.collect());
        let revoked = (0..500).map(|number| first + number * 7);
        let draft = revoked.fold(Draft::of(&ROOT, NOW), |draft, number| {
            draft.revoking(&serial(number), UnixTime(NOW.0 - 60), Some(1))
        });
        let octets = draft.sign(&KEYS[0]);
        let list = Unverified::from_der(&octets).unwrap().verify(&ROOT, NOW).unwrap();
        let mut found: Vec<u64> = live.listed(&list).into_iter().map(|(ike, ..)| ike.0).collect();
        found.sort_unstable();
        assert_eq!(found, (0..500).map(|number| number * 14).collect::<Vec<_>>());
        assert_eq!(live.resting_on(other, &serial(first + 3)), [IkeId(7)]);
    }
}
