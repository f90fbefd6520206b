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
    serial: Box<[u8]>,
}

/// Tunnels by what they rest on.
#[derive(Debug, Default)]
pub struct Live(HashMap<IkeId, Vec<Named>>);

impl Live {
    /// A tunnel rests on a path. Certificates whose revocation the rules do not care for are left out.
    pub fn add(&mut self, ike: IkeId, path: &VerifiedPath, rules: impl Fn(&Issued) -> bool) {
        let named = Issued::along(path).into_iter().filter(rules).map(|issued| Named {
            authority: KeyId::of(&issued.issuer),
            serial: issued.certificate.serial.as_slice().into(),
        });
        self.0.entry(ike).or_default().extend(named);
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
            named.iter().map(move |one| ((*ike, &*one.serial), one.authority, &*one.serial))
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

/// Whether a revocation ends what is up: not where nobody is to be asked.
pub fn is_asked(rules: &Rules) -> bool {
    rules.demand != Demand::Off && !rules.order.methods().is_empty()
}
