//! What operators read of our own certificates (PKI-24, PKI-25): the entries of each profile, the authorities above each,
//! and how many peers were shown it.

use std::collections::BTreeMap;

use ravelin_dataplane::io::Pool;
use ravelin_pki::Certificate;

use super::core::Core;
use crate::api::Reply;
use crate::api::reply::OwnCertificate;
use crate::config::plan::{CertEntry, CertProfile};
use crate::store::catalog;
use crate::tunnel::session;

/// Tunnels by profile and entry.
type Counts<'p> = BTreeMap<(&'p str, usize), usize>;

impl<P: Pool> Core<P> {
    /// The entries of all profiles.
    pub(super) fn certificate_rows(&self) -> Reply {
        let counts = self.shown();
        let of = |(name, profile): (&String, &CertProfile)| {
            let entries = (0..).zip(&profile.entries);
            entries.map(|(place, entry)| row((name, place), entry, &counts)).collect::<Vec<_>>()
        };
        Reply::OwnCertificates { certificates: self.plan.cert_profiles.iter().flat_map(of).collect() }
    }

    fn shown(&self) -> Counts<'_> {
        let mut counts = Counts::new();
        for (id, tunnel) in self.roster.tunnels() {
            let Some(profile) = session::own_profile(tunnel) else { continue };
            let up = self.status.tunnel(id).and_then(|status| status.ike());
            if let Some(choice) = up.and_then(|up| up.own_certificate) {
                *counts.entry((profile, choice.entry)).or_default() += 1;
            }
        }
        counts
    }
}

fn row((name, place): (&str, usize), entry: &CertEntry, counts: &Counts<'_>) -> OwnCertificate {
    let read = |der: &Vec<u8>| Certificate::from_der(der).ok();
    let subjects = |ders: &[Vec<u8>]| ders.iter().filter_map(read).map(|it| it.subject.to_string()).collect();
    let leaf = entry.chain().first().and_then(read);
    let top = entry.above.last().and_then(read);
    OwnCertificate {
        cert_profile: name.to_owned(),
        entry: place + 1,
        subject: leaf.as_ref().map_or_else(|| key_alone(entry), |leaf| leaf.subject.to_string()),
        until: leaf.map(|leaf| leaf.not_after.to_string()).unwrap_or_default(),
        compare_chain: subjects(&entry.above),
        complete: entry.shown.is_raw || top.is_some_and(|top| top.is_self_issued()),
        sent: subjects(entry.chain()),
        tunnels: counts.get(&(name, place)).copied().unwrap_or_default(),
    }
}

/// What is shown in place of a certificate.
fn key_alone(entry: &CertEntry) -> String {
    let kind = entry.public_key().map(|key| key.to_string()).unwrap_or_default();
    let octets = entry.chain().first().map(Vec::as_slice).unwrap_or_default();
    format!("public key {kind}, SHA-256 {}", catalog::fingerprint(octets))
}
