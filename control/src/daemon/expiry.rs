//! Certificates of the configuration that end soon, have ended, or are not good yet: told as events, and by `doctor`.
//! Those of peers are judged when they call; CRLs are looked at by whoever holds them.

use ravelin_dataplane::io::Pool;
use ravelin_ike::time::Instant;
use ravelin_mem::wall;
use ravelin_pki::Certificate;

use super::core::Core;
use crate::api::reply::Finding;
use crate::config::plan::Plan;
use crate::trust::expiry::{Expiry, Item, Stage};
use crate::trust::revocation::now as clock;

/// Looked at this often, in microseconds.
const LOOK: u64 = 60_000_000;

/// What is seen of a clock that nobody keeps right.
const LEFT_ALONE: &str =
    "the kernel was not told that its time of day is right, and certificates are judged by it";

/// What was told of them.
#[derive(Debug)]
pub struct Watch {
    expiry: Expiry,
    looked: Option<u64>,
    /// Whether the machine's clock was kept right when they were looked at.
    clock: Option<bool>,
}

impl Watch {
    /// Warns as the plan has it.
    pub const fn new(plan: &Plan) -> Self {
        Self { expiry: Expiry::new(plan.certificate_warning), looked: None, clock: None }
    }
}

impl<P: Pool> Core<P> {
    /// Looks at the certificates of the configuration, and at the clock they are judged by (PKI-31), now and then.
    pub(super) fn look_at_certificates(&mut self, now: Instant) {
        if self.certificates.looked.is_some_and(|looked| now.0 < looked + LOOK) {
            return;
        }
        self.certificates.looked = Some(now.0);
        self.look_at_clock(wall::is_synchronised());
        for (stage, item) in self.certificates.expiry.look(items(&self.plan), clock()) {
            let text = format!("{}: good from {} until {}", item.name, item.from, item.until);
            let what = match stage {
                Stage::Good => "certificate-valid",
                Stage::NotYet => "certificate-not-yet-valid",
                Stage::Ending => "certificate-expiring",
                Stage::Ended => "certificate-expired",
            };
            self.journal.note("", what, text);
        }
    }

    /// Tells of a clock that is left alone, and of one that is kept right again. Nothing is refused for it: certificates do
    /// not end with a time daemon.
    fn look_at_clock(&mut self, kept: bool) {
        let before = self.certificates.clock.replace(kept);
        match (before, kept) {
            _ if !uses_dates(&self.plan) => {}
            (None | Some(true), false) => {
                self.journal.note("", "clock-unsynchronised", LEFT_ALONE.to_owned())
            }
            (Some(false), true) => self.journal.note("", "clock-synchronised", String::new()),
            _ => {}
        }
    }

    /// What of it is out of order.
    pub(super) fn certificate_findings(&self) -> impl Iterator<Item = Finding> {
        let left_alone = self.certificates.clock == Some(false) && uses_dates(&self.plan);
        let clock = left_alone.then(|| Finding {
            severity: "warning".into(),
            subject: "clock of this machine".into(),
            seen: LEFT_ALONE.into(),
            fix: "start a time daemon (chronyd, ntpd) and see that it reaches a server (chronyc tracking)"
                .into(),
        });
        let troubles = self.certificates.expiry.troubles().map(|(name, stage)| Finding {
            severity: if stage == Stage::Ending { "warning" } else { "error" }.into(),
            subject: name.to_owned(),
            seen: format!("certificate {}", stage.word()),
            fix: match stage {
                Stage::NotYet => "look at the clock of this machine",
                _ => "renew it and say `ravelin pki reload`; what is up stays up, new negotiations need it",
            }
            .into(),
        });
        clock.into_iter().chain(troubles)
    }
}

/// Whether anything is judged by the time of day.
fn uses_dates(plan: &Plan) -> bool {
    let has_own = plan.cert_profiles.values().any(|profile| profile.sent().next().is_some());
    has_own || plan.trust.values().any(|profile| !profile.anchors.is_empty())
}

/// The certificates of profiles, each with where it stands.
fn items(plan: &Plan) -> Vec<Item> {
    let own = plan.cert_profiles.iter();
    let own = own.flat_map(|(name, profile)| profile.sent().map(move |der| (der, ("cert-profile", name))));
    let trust = plan.trust.iter().flat_map(|(name, profile)| {
        let all = profile.anchors.iter().chain(&profile.intermediates);
        all.map(move |der| (der, ("trust-anchor-profile", name)))
    });
    let authorities = plan.authorities.iter();
    let authorities = authorities.map(|(name, profile)| (&profile.certificate, ("ca-profile", name)));
    let item = |(der, (kind, name)): (&Vec<u8>, (&str, &String))| {
        let certificate = Certificate::from_der(der).ok()?;
        Some(Item {
            name: format!("{kind} {name}: {certificate}"),
            from: certificate.not_before,
            until: certificate.not_after,
        })
    };
    own.chain(trust).chain(authorities).filter_map(item).collect()
}
