//! How the peers of a trust-anchor-profile are asked about, of the plan's profiles and authorities.

use ravelin_pki::Certificate;
use ravelin_pki::revocation::KeyId;

use crate::config::plan::{self, Plan};
use crate::trust::{Particular, Regime};

/// By which rules the peers of a trust-anchor-profile are asked about.
pub fn regime(plan: &Plan, profile: &plan::TrustAnchorProfile) -> Regime {
    let particular = plan.authorities.values().filter_map(|authority| {
        let certificate = Certificate::from_der(&authority.certificate).ok()?;
        Some(Particular {
            key: KeyId::of(&certificate),
            demand: authority.demand,
            order: authority.order.as_ref(),
            rules: &authority.rules,
        })
    });
    Regime::new(profile.demand, &profile.order, particular)
}
