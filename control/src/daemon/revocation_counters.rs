//! What was decided about revocation, as counters (REV-27): certificates, not peers, for a path has several. And of how
//! many peers certificates were looked up.

use ravelin_ike::want::Answer;
use ravelin_pki::revocation::policy::{Conclusion, Method};
use ravelin_pki::verdict::{self, Revocation, Verdict};

use crate::api::reply::Counter;
use crate::trust::Refusal;

/// How often what was decided.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    good_by_crl: u64,
    good_by_ocsp: u64,
    good_stale: u64,
    good_stapled: u64,
    stapled_refused: u64,
    accepted: u64,
    revoked: u64,
    unknown: u64,
    tunnels_ended: u64,
    crl_updates: u64,
    crl_failures: u64,
    lookups: u64,
    lookups_failed: u64,
}

type Value = fn(&Counts) -> u64;

/// All there are, by name.
const TABLE: [(&str, Value, &str); 13] = [
    ("revocation-good-by-crl", |c| c.good_by_crl, "Certificates of peers that a CRL vouched for."),
    ("revocation-good-by-ocsp", |c| c.good_by_ocsp, "Certificates of peers that a responder vouched for."),
    ("revocation-good-stale", |c| c.good_stale, "Those among them whose word was out of date."),
    (
        "revocation-good-stapled",
        |c| c.good_stapled,
        "Certificates of peers that brought their responder's word themselves.",
    ),
    (
        "revocation-stapled-refused",
        |c| c.stapled_refused,
        "Responders' words that peers brought and that are none.",
    ),
    ("revocation-accepted", |c| c.accepted, "Certificates of peers accepted without anybody's word."),
    ("revocation-revoked", |c| c.revoked, "Certificates of peers refused because they are revoked."),
    ("revocation-unknown", |c| c.unknown, "Certificates of peers refused because nobody gave word."),
    ("revocation-tunnels-ended", |c| c.tunnels_ended, "Tunnels closed because a certificate was revoked."),
    ("revocation-crl-updates", |c| c.crl_updates, "CRLs that came and were newer."),
    ("revocation-crl-failures", |c| c.crl_failures, "Addresses of CRLs from which nothing of use came."),
    ("certificate-lookups", |c| c.lookups, "Peers whose certificates were found by hash and URL."),
    (
        "certificate-lookups-failed",
        |c| c.lookups_failed,
        "Peers whose certificates were not found by hash and URL.",
    ),
];

impl Counts {
    /// A peer was judged.
    pub fn judged(&mut self, judged: &Result<Box<Verdict>, Refusal>) {
        match judged {
            Ok(verdict) => {
                if let Revocation::Checked(decision) = &verdict.revocation {
                    decision.findings.iter().for_each(|finding| self.found(&finding.conclusion));
                }
            }
            Err(Refusal::Certificate(verdict::Refusal::Revocation(finding))) => {
                self.found(&finding.conclusion)
            }
            Err(_) => {}
        }
    }

    fn found(&mut self, conclusion: &Conclusion) {
        match conclusion {
            Conclusion::Good(evidence) => {
                self.good_stale += u64::from(evidence.stale > 0);
                self.good_stapled += u64::from(evidence.stapled);
                match evidence.method {
                    Method::Crl => self.good_by_crl += 1,
                    Method::Ocsp => self.good_by_ocsp += 1,
                }
            }
            Conclusion::Revoked(..) => self.revoked += 1,
            Conclusion::Accepted(_) => self.accepted += 1,
            Conclusion::Refused(_) => self.unknown += 1,
        }
    }

    /// A tunnel was closed.
    pub const fn ended(&mut self) {
        self.tunnels_ended += 1;
    }

    /// Something was told.
    pub fn told(&mut self, what: &str) {
        self.crl_updates += u64::from(what == "crl-updated");
        self.crl_failures += u64::from(what == "crl-failed");
        self.stapled_refused += u64::from(what == "ocsp-stapled-refused");
    }

    /// A question of the engine's was answered.
    pub const fn answered(&mut self, answer: &Answer) {
        match answer {
            Answer::Lookup(Ok(_)) => self.lookups += 1,
            Answer::Lookup(Err(_)) => self.lookups_failed += 1,
            _ => {}
        }
    }

    /// As they are now.
    pub fn rows(&self) -> impl Iterator<Item = Counter> {
        TABLE.iter().map(|(name, value, meaning)| Counter {
            name: (*name).to_owned(),
            value: value(self),
            meaning: (*meaning).to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_count_is_shown_and_in_the_manual() {
        let counts = Counts {
            good_by_crl: 1,
            good_by_ocsp: 2,
            good_stale: 3,
            good_stapled: 4,
            stapled_refused: 5,
            accepted: 6,
            revoked: 7,
            unknown: 8,
            tunnels_ended: 9,
            crl_updates: 10,
            crl_failures: 11,
            lookups: 12,
            lookups_failed: 13,
        };
        let shown: Vec<u64> = counts.rows().map(|row| row.value).collect();
        assert_eq!(shown, (1..=13).collect::<Vec<u64>>());
        let manual = include_str!("../../../docs/counters.md");
        for row in counts.rows() {
            assert!(manual.contains(&format!("| `{}` |", row.name)), "{} is not in the manual", row.name);
        }
    }
}
