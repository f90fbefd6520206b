//! How the authorities of ca-profiles stand (PKI-16), for operators: what the loop's plan says of each, and what the thread
//! that knows of revocation says of its CRL.

use std::collections::BTreeMap;

use ravelin_pki::Certificate;

use super::desk::Desk;
use crate::api::reply::{CaProfile, CrlUpkeep, StandingFlag};
use crate::api::{ApiError, Request};
use crate::config::plan::{self, Plan};
use crate::store::catalog;
use crate::trust::revocation::{PATIENCE, now};
use crate::trust::standing::{Flag, of_profile};

/// An authority as the plan has it.
#[derive(Debug, Clone)]
pub struct Authority {
    name: String,
    enabled: bool,
    certificate: Vec<u8>,
}

impl From<Flag> for StandingFlag {
    fn from(flag: Flag) -> Self {
        Self { flag: flag.word.to_owned(), seen: flag.seen, takes_down: flag.takes_down }
    }
}

/// The authorities of a plan.
pub fn authorities(plan: &Plan) -> Vec<Authority> {
    let authority = |(name, profile): (&String, &plan::CaProfile)| Authority {
        name: name.clone(),
        enabled: profile.enabled,
        certificate: profile.certificate.clone(),
    };
    plan.authorities.iter().map(authority).collect()
}

impl Desk {
    /// All of them. Of one that is shut down no CRL is kept.
    pub(super) fn ca_profiles(&self) -> Result<Vec<CaProfile>, ApiError> {
        let authorities = self.view(Request::PkiList).authorities.clone();
        if authorities.is_empty() {
            return Ok(Vec::new());
        }
        let late = || ApiError::Late { milliseconds: PATIENCE.as_millis() as u64 };
        let upkeep = self.revocation.known().ok_or_else(late)?.upkeep.into_iter();
        let flag = |upkeep: CrlUpkeep| Some((upkeep.ca_profile, upkeep.flag?));
        let mut of_lists: BTreeMap<String, StandingFlag> = upkeep.filter_map(flag).collect();
        Ok(authorities.into_iter().filter_map(|it| told(&it, of_lists.remove(&it.name))).collect())
    }
}

/// One; it was read before.
fn told(authority: &Authority, of_list: Option<StandingFlag>) -> Option<CaProfile> {
    let (certificate, now) = (Certificate::from_der(&authority.certificate).ok()?, now());
    let flags = of_profile(authority.enabled, &certificate, now).into_iter().map(StandingFlag::from);
    let flags: Vec<StandingFlag> = flags.chain(of_list).collect();
    let is_down = flags.iter().any(|flag| flag.takes_down);
    let (flags, reasons) = flags.into_iter().map(|flag| (flag.flag, flag.seen)).unzip();
    Some(CaProfile {
        ca_profile: authority.name.clone(),
        state: if is_down { "down" } else { "up" }.to_owned(),
        flags,
        reasons,
        subject: certificate.subject.to_string(),
        not_after: certificate.not_after.to_string(),
        days_left: catalog::days_left(&certificate, now),
        fingerprint: catalog::fingerprint(certificate.der()),
    })
}
