//! Revocation in the daemon: what the fetcher and the thread that knows are made of, what the loop does with what they
//! find, and what operators ask.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use ravelin_dataplane::io::Pool;
use ravelin_fetch::desk::Bounds;
use ravelin_fetch::{Fetcher, Instance, Policy, Roots, Settings};
use ravelin_ike::id::IkeId;
use ravelin_ike::time::Instant;
use ravelin_ike::want::{Answer, AnswerError, PeerKey};
use ravelin_pki::verdict::{Revocation as Checked, Verdict};
use ravelin_pki::{Certificate, UnixTime};

use super::core::{Core, Input};
use super::desk::Desk;
use super::revocation_counters::Counts;
use crate::api::reply::Counter;
use crate::api::{ApiError, Reply, Request};
use crate::config::plan::{self, Plan};
use crate::post::Post;
use crate::trust;
use crate::trust::revocation::{
    Authority, Errands, Found, Own, PATIENCE, Revocation, Whose, now as unix_now,
};

/// Fetches at a time: two dead servers hold four of them for a while.
const FETCHES: usize = 8;
/// Certificates of ours are asked about this often, in microseconds, and whenever a CRL comes.
const OWN: u64 = 600_000_000;
/// Tunnels that have gone are forgotten this often, in microseconds.
const SWEEP: u64 = 5_000_000;

/// What a peer without a certificate is believed by.
const BY_KEY: &str = "none: it is known by its key in public-keys, about which nobody is asked";

/// What believed peers rest on.
#[derive(Debug, Default)]
pub struct Believed {
    by: std::collections::HashMap<IkeId, Arc<str>>,
    looked: u64,
    pub(super) counts: Counts,
    /// When certificates of ours were asked about last, in microseconds; 0: they are to be.
    asked_own: u64,
    /// When the first of the words on them that are shown to peers ends, likewise.
    own_end: u64,
    /// What is wrong with certificates of ours.
    own: BTreeMap<String, String>,
}

impl From<Found> for Input {
    fn from(found: Found) -> Self {
        Self::Revocation(found)
    }
}

/// Starts the fetcher and the thread that knows. `directory` keeps answers over a restart.
///
/// # Errors
/// What of the machine or of the configuration does not let them.
pub fn start(plan: &Plan, directory: Option<PathBuf>, inputs: &Post<Input>) -> Result<Revocation, String> {
    let errands = Errands {
        fetcher: Arc::new(fetcher(&plan.fetch, directory)?),
        instances: plan.instances.iter().map(network).collect(),
        timeout: plan.fetch.timeout,
    };
    Revocation::start(errands, authorities(plan), plan.crl_warning, inputs.clone())
        .map_err(|error| format!("a thread could not be started: {error}"))
}

fn fetcher(fetch: &plan::Fetch, directory: Option<PathBuf>) -> Result<Fetcher, String> {
    let roots = if fetch.roots.is_empty() { Ok(Roots::none()) } else { Roots::new(fetch.roots.clone()) };
    let roots = roots.map_err(|error| format!("fetch.roots: {error}"))?;
    let settings = |kept| Settings {
        policy: Policy {
            schemes: fetch.schemes.clone(),
            allow: fetch.allow.clone(),
            files: fetch.files.clone(),
        },
        roots: roots.clone(),
        bounds: Bounds::default(),
        threads: FETCHES,
        kept,
        random: Box::new(random),
    };
    let kept = directory.filter(|_| fetch.kept > 0).map(|directory| (directory, fetch.kept));
    Fetcher::start(settings(kept))
        .or_else(|error| {
            tracing::warn!("what is fetched is not kept over a restart: {error}");
            Fetcher::start(settings(None))
        })
        .map_err(|error| error.to_string())
}

/// For the jitter of waits alone.
fn random() -> u64 {
    let mut octets = [0; 8];
    // Without randomness waits are not spread; nothing else rests on it.
    let _ = aws_lc_rs::rand::fill(&mut octets);
    u64::from_le_bytes(octets)
}

/// The network of an instance, and its name servers if it has its own (ip-netns(8)).
fn network(instance: &plan::Instance) -> Result<Option<Instance>, String> {
    let Some(namespace) = &instance.namespace else { return Ok(None) };
    let path = PathBuf::from("/run/netns").join(namespace);
    let network = Instance::open(&instance.name, &path);
    let network =
        network.map_err(|error| format!("instance {}: {}: {error}", instance.name, path.display()))?;
    let resolver = PathBuf::from("/etc/netns").join(namespace).join("resolv.conf");
    Ok(Some(if resolver.exists() { network.with_resolver(resolver) } else { network }))
}

/// The authorities whose CRLs are kept up: those of ca-profiles that are not shut down.
pub fn authorities(plan: &Plan) -> Vec<Authority> {
    let authority = |(name, profile): (&String, &plan::CaProfile)| {
        // It was read before.
        let certificate = Certificate::from_der(&profile.certificate).ok()?;
        Some(Authority {
            name: name.clone(),
            certificate: Arc::new(certificate),
            rules: Arc::new(profile.rules.clone()),
            lists: profile.lists.clone(),
            schedule: profile.schedule,
            retry: profile.retry,
            instance: profile.instance,
        })
    };
    plan.authorities.iter().filter(|(_, profile)| profile.enabled).filter_map(authority).collect()
}

impl<P: Pool> Core<P> {
    /// Takes in what was found about revocation.
    pub(super) fn revocation_found(&mut self, now: Instant, found: Found) {
        match found {
            Found::Judged(Whose::Ours(name), judged) => self.own_judged(&name, judged.err()),
            Found::Judged(Whose::Peer(ticket, ike), judged) => {
                self.believed.counts.judged(&judged);
                let answer = trust::answer(&judged);
                if let Ok(verdict) = judged {
                    self.believed.by.insert(ike, evidence(&verdict));
                }
                self.engine.handle_answer(now, ticket, Answer::Verdict(answer));
            }
            Found::Keyed(ticket, ike, judged) => {
                if judged.is_ok() {
                    self.believed.by.insert(ike, BY_KEY.into());
                }
                let answer = judged.map(|public_key| PeerKey { public_key });
                let answer = answer.map_err(|refusal| (&refusal).into());
                self.engine.handle_answer(now, ticket, Answer::Verdict(answer));
            }
            Found::Distrust(ike, refusal) => {
                self.believed.counts.ended();
                self.engine.distrust(now, ike, (&refusal).into());
            }
            Found::Own(own) => self.own_answered(now, &own),
            Found::Tell(what, text) => {
                self.believed.counts.told(what);
                if what == "crl-updated" {
                    self.ask_about_own_again();
                }
                self.journal.note("", what, text);
            }
        }
    }

    /// What a tunnel's peer is believed by.
    pub(super) fn believed(&self, ike: IkeId) -> Option<&str> {
        self.believed.by.get(&ike).map(|evidence| &**evidence)
    }

    /// What was decided, as counters.
    pub(super) fn revocation_counters(&self) -> impl Iterator<Item = Counter> {
        self.believed.counts.rows()
    }

    /// Certificates of ours may be others.
    pub(super) fn ask_about_own_again(&mut self) {
        self.believed.asked_own = 0;
    }

    /// Asks about certificates of ours, now and then.
    pub(super) fn ask_about_own(&mut self, now: Instant) {
        let asked = self.believed.asked_own;
        let due = (asked + OWN).min(self.believed.own_end);
        if asked != 0 && now.0 < due {
            return;
        }
        (self.believed.asked_own, self.believed.own_end) = (now.0.max(1), u64::MAX);
        let entries = self.plan.cert_profiles.iter().flat_map(|(name, profile)| profile.named(name));
        entries.for_each(|(name, entry)| self.helpers.judge_own(&name, entry));
    }

    /// A certificate of ours was judged. One that is revoked proves nothing to anybody any more; silence is told, and no
    /// reason to stop.
    fn own_judged(&mut self, name: &str, refusal: Option<trust::Refusal>) {
        let told = refusal.as_ref().map(ToString::to_string);
        let is_revoked = |refusal: &trust::Refusal| refusal.code() == "RV-PKI-043";
        let revoked = refusal.filter(is_revoked).map(|refusal| AnswerError {
            code: "RV-KEY-003".into(),
            text: format!("our certificate of cert-profile {name} is not to be used: {refusal}"),
        });
        let what = if revoked.is_some() { "own-certificate-revoked" } else { "own-certificate-unknown" };
        self.helpers.set_unusable(name, revoked);
        let Some(told) = told else { return drop(self.believed.own.remove(name)) };
        if self.believed.own.insert(name.to_owned(), what.to_owned()).as_deref() != Some(what) {
            self.journal.note("", what, format!("cert-profile {name}: {told}"));
        }
    }

    /// A responder's word on a certificate of ours is shown to peers that ask for it, until it ends (RFC 4806).
    fn own_answered(&mut self, now: Instant, own: &Own) {
        let until = |end: UnixTime| {
            let left = u64::try_from(end.0.saturating_sub(unix_now().0)).unwrap_or(0);
            Instant(now.0.saturating_add(left.saturating_mul(1_000_000)))
        };
        let response = own.response.as_ref().map(|(octets, end)| (octets.clone(), until(*end)));
        if let Some((_, until)) = &response {
            self.believed.own_end = self.believed.own_end.min(until.0);
        }
        self.engine.set_ocsp_response(now, &own.certificate, response);
    }

    /// Forgets what tunnels that are gone rested on, now and then.
    pub(super) fn forget_disbanded(&mut self, now: Instant) {
        if now.0 < self.believed.looked + SWEEP {
            return;
        }
        self.believed.looked = now.0;
        let engine = &self.engine;
        let gone = self.believed.by.extract_if(|ike, _| !engine.has(*ike)).map(|(ike, _)| ike);
        let gone: Vec<IkeId> = gone.collect();
        if !gone.is_empty() {
            self.helpers.revocation().gone(gone);
        }
    }
}

impl Desk {
    /// Answers a request about revocation: asked of the thread that knows, not of the loop.
    pub(super) fn revocation(&self, request: Request) -> Result<Reply, ApiError> {
        let late = || ApiError::Late { milliseconds: PATIENCE.as_millis() as u64 };
        let done = |message: String| Ok(Reply::Done { message });
        match request {
            Request::PkiCrlUpdate(which) => {
                match self.revocation.hasten(which.name.clone()).ok_or_else(late)? {
                    0 => Err(ApiError::Refused { why: nothing_to_fetch(which.name.as_deref()) }),
                    count => {
                        done(format!("fetching {count}; see `ravelin events` and `ravelin show revocation`"))
                    }
                }
            }
            Request::PkiClearOcspCache => {
                let count = self.revocation.clear_answers().ok_or_else(late)?;
                done(format!("forgot {count} OCSP answers"))
            }
            _ => Ok(Reply::Revocation(self.revocation.known().ok_or_else(late)?)),
        }
    }
}

fn nothing_to_fetch(name: Option<&str>) -> String {
    match name {
        Some(name) => format!("there is no ca-profile {name} with a URL in crl"),
        None => "no ca-profile has a URL in crl".to_owned(),
    }
}

/// What is known of a believed peer's certificates, on one line.
fn evidence(verdict: &Verdict) -> Arc<str> {
    let anchor = format!("chains to \"{}\"", verdict.path.anchor().subject);
    let findings = match &verdict.revocation {
        Checked::Checked(decision) => decision.findings.iter().map(ToString::to_string).collect(),
        // The exception says it already.
        _ if verdict.is_unasked() => Vec::new(),
        _ => verdict.not_checked(),
    };
    std::iter::once(anchor)
        .chain(verdict.exceptions.iter().cloned())
        .chain(findings)
        .collect::<Vec<_>>()
        .join("; ")
        .into()
}
