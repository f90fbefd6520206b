//! Which of our certificates have other authorities above them (PKI-26): an authority was replaced, added or removed. What
//! is up stays up; peers that call from here on are shown certificates by the new ones.

use super::super::plan::{CertEntry, Plan};

/// A line for each certificate that stays and whose chain does not.
pub fn compare(running: &Plan, next: &Plan) -> Vec<String> {
    let entries = next.cert_profiles.iter().flat_map(|(name, profile)| profile.named(name));
    let others = entries.filter_map(|(name, entry)| {
        let former = running.cert_profiles.values().flat_map(|profile| &profile.entries);
        let mut former = former.filter(|former| former.chain().first() == entry.chain().first());
        let former = former.next().filter(|former| former.above != entry.above)?;
        Some(format!("cert-profile {name}: {}", told(former, entry)))
    });
    others.collect()
}

/// A CA certificate that was renewed has the key it had, and peers ask for keys.
fn told(former: &CertEntry, entry: &CertEntry) -> String {
    let (before, now) = (former.above.len(), entry.above.len());
    match former.shown.authorities == entry.shown.authorities {
        true => format!("other certificates of the same {now} authorities above it"),
        false => format!("{now} authorities above it, others than the {before} before"),
    }
}
