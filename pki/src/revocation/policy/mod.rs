//! The decision whether the certificates of a path are revoked: whom to ask, in which order, and what holds when nobody
//! answers.
//!
//! A [`Check`] is one decision in the making. [`Check::next`] looks at what is known and either decides or names one
//! thing to fetch; what came of that is fed to it, and the question is put again. It needs a verified path: nobody is
//! asked, and no address of a certificate followed, for a certificate that does not chain to an anchor. The certificates
//! nearest to the anchor come first, so that what a CA says counts only once the CA itself does. A revocation is final.
//!
//! Its own path is checked in the same way by a gateway before it presents its certificate.

mod evidence;
mod fetch;
mod order;
mod rules;
mod staple;

use std::sync::Arc;

pub use evidence::{Asked, Conclusion, Decision, Evidence, Finding, Lack, Why};
pub use fetch::{Fetch, Fetched};
pub use order::{Method, Order, OrderError, Otherwise};
pub use rules::{CrlDuty, Demand, MAX_LOCATIONS, Rules};
pub use staple::{MAX_STAPLED, STAPLED, stapled};

use super::cache::{Cache, Held};
use super::crl::Crl;
use super::{Issued, Moment, Silent, Statement, Status};
use crate::path::VerifiedPath;
use crate::x509::Certificate;

/// What is next.
#[derive(Clone, Debug)]
pub enum Step {
    /// It is decided.
    Decided(Decision),
    /// Something must be fetched first.
    Need(Fetch),
}

/// A decision in the making.
#[derive(Debug)]
pub struct Check {
    /// The certificate nearest to the anchor first.
    items: Vec<Item>,
    fetched: Vec<Done>,
    /// Why answers that the peer brought are none.
    useless: Vec<String>,
}

#[derive(Debug)]
struct Item {
    issued: Issued,
    rules: Arc<Rules>,
}

/// A fetch that is over: of which certificate, from where, and why it brought nothing.
#[derive(Debug)]
struct Done {
    issued: Issued,
    method: Method,
    url: String,
    failure: Option<String>,
}

impl Check {
    /// Begins the decision about a path; `rules` are those for what a CA has issued.
    pub fn new(path: &VerifiedPath, rules: impl Fn(&Certificate) -> Arc<Rules>) -> Self {
        let issued = Issued::along(path).into_iter().rev();
        let items = issued.map(|issued| Item { rules: rules(&issued.issuer), issued }).collect();
        Self { items, fetched: Vec::new(), useless: Vec::new() }
    }

    /// What an end entity has brought in vain.
    fn useless_for(&self, item: &Item) -> Trail {
        let useless = if item.issued.is_authority() { &[][..] } else { &self.useless };
        let asked =
            |why: &String| Asked { method: Method::Ocsp, source: STAPLED.into(), said: Err(why.clone()) };
        useless.iter().map(asked).collect()
    }

    /// Decides on what is known, or says what to fetch.
    pub fn next(&self, cache: &Cache, moment: impl Into<Moment>) -> Step {
        let view = View { check: self, cache, moment: moment.into() };
        let mut decision = Decision { findings: Vec::new() };
        for item in &self.items {
            let mut trail = self.useless_for(item);
            match view.judge(item, &mut trail) {
                Err(fetch) => return Step::Need(fetch),
                Ok(conclusion) => {
                    let certificate = item.issued.certificate.to_string();
                    decision.findings.push(Finding { certificate, conclusion, trail });
                }
            }
            if !decision.is_accepted() {
                break;
            }
        }
        Step::Decided(decision)
    }

    /// Notes why an answer that the peer brought is none: the decision is to say so, and goes on without it.
    pub fn passed_over(&mut self, why: String) {
        self.useless.push(why);
    }

    /// Takes what came of a fetch: into the cache, or as the reason to ask elsewhere.
    pub fn feed(&mut self, fetch: &Fetch, fetched: Fetched, cache: &mut Cache, moment: impl Into<Moment>) {
        let failure = fetched.keep(&fetch.url, cache, moment.into().now).err();
        self.fetched(fetch, failure);
    }

    /// Notes that a fetch is over, whose result is in the cache already or that failed: it is not wanted again.
    pub fn fetched(&mut self, fetch: &Fetch, failure: Option<String>) {
        let (issued, method, url) = (fetch.issued.clone(), fetch.method, fetch.url.clone());
        self.fetched.push(Done { issued, method, url, failure });
    }
}

/// One look at what is known.
struct View<'a> {
    check: &'a Check,
    cache: &'a Cache,
    moment: Moment,
}

type Trail = Vec<Asked>;

impl View<'_> {
    /// What a certificate comes to, unless something must be fetched first.
    fn judge(&self, item: &Item, trail: &mut Trail) -> Result<Conclusion, Fetch> {
        let rules = &item.rules;
        if let Some(why) = self.needless(item) {
            return Ok(Conclusion::Accepted(why));
        }
        if let Some(conclusion) = self.own_confession(item, trail) {
            return Ok(conclusion);
        }
        if rules.crl == CrlDuty::Mandatory {
            match self.ask(item, Method::Crl, trail)?.or_else(|| self.late(item, Method::Crl, trail)) {
                None => return Ok(Conclusion::Refused(Lack::NoCrl)),
                Some(said) if said.status != Status::Good => return Ok(self.conclude(Method::Crl, &said)),
                Some(_) => {}
            }
        }
        if let Some(conclusion) = self.by_order(item, trail)? {
            return Ok(conclusion);
        }
        Ok(match rules.order.otherwise() {
            _ if rules.crl == CrlDuty::Optional && item.issued.is_authority() => {
                Conclusion::Accepted(Why::CrlOptional)
            }
            Otherwise::Accept => Conclusion::Accepted(Why::NoAnswer),
            Otherwise::Refuse => Conclusion::Refused(Lack::NoAnswer),
        })
    }

    /// Who brings the word that it is revoked needs no one else's, whatever the order: a revocation is final. Where a CRL
    /// may overrule a responder, the order decides.
    fn own_confession(&self, item: &Item, trail: &mut Trail) -> Option<Conclusion> {
        let asked = item.rules.methods(&item.issued).contains(&Method::Ocsp);
        let held = self.cache.answer_about(&item.issued).filter(|held| held.value.is_stapled());
        held.filter(|_| asked && !item.rules.revoked_ocsp_falls_back_to_crl)?;
        let mut said = Trail::new();
        let known =
            self.known(item, Method::Ocsp, 0, &mut said).filter(|said| said.status != Status::Good)?;
        trail.append(&mut said);
        Some(self.conclude(Method::Ocsp, &known))
    }

    /// Why nobody need be asked.
    fn needless(&self, item: &Item) -> Option<Why> {
        let rules = &item.rules;
        let methods = rules.methods(&item.issued);
        let somewhere = || methods.iter().any(|method| !rules.locations(&item.issued, *method).is_empty());
        let known = || {
            self.cache.lists_of(&item.issued).next().is_some()
                || self.cache.answer_about(&item.issued).is_some()
        };
        match rules.demand {
            Demand::Off => Some(Why::Off),
            _ if rules.crl == CrlDuty::Mandatory => None,
            _ if methods.is_empty() => Some(Why::Never),
            Demand::IfUri if !somewhere() && !known() => Some(Why::NoLocation),
            _ => None,
        }
    }

    /// The first definite answer in the rules' order, and then the first that is not too far out of date.
    fn by_order(&self, item: &Item, trail: &mut Trail) -> Result<Option<Conclusion>, Fetch> {
        let rules = &item.rules;
        let methods = rules.methods(&item.issued);
        let mut overruled = None;
        for (index, method) in methods.iter().enumerate() {
            let Some(said) = self.ask(item, *method, trail)? else { continue };
            let crl_follows = methods.iter().skip(index + 1).any(|later| *later == Method::Crl);
            let conclusion = self.conclude(*method, &said);
            if said.status != Status::Good && crl_follows && rules.revoked_ocsp_falls_back_to_crl {
                overruled = Some(conclusion);
            } else {
                return Ok(Some(conclusion));
            }
        }
        if overruled.is_some() {
            return Ok(overruled);
        }
        let late =
            |method: &Method| self.late(item, *method, trail).map(|said| self.conclude(*method, &said));
        Ok(methods.iter().find_map(late))
    }

    /// What a method says if it may be out of date.
    fn late(&self, item: &Item, method: Method, trail: &mut Trail) -> Option<Statement> {
        let Demand::Soft { max_stale } = item.rules.demand else { return None };
        self.known(item, method, max_stale, trail)
    }

    fn conclude(&self, method: Method, said: &Statement) -> Conclusion {
        let evidence = Evidence::of(method, said, self.moment);
        match said.status {
            Status::Good => Conclusion::Good(evidence),
            Status::Revoked(revoked) => Conclusion::Revoked(evidence, revoked),
        }
    }

    /// What a method says of a certificate; an address that has not been asked comes first.
    fn ask(&self, item: &Item, method: Method, trail: &mut Trail) -> Result<Option<Statement>, Fetch> {
        if let Some(said) = self.known(item, method, 0, trail) {
            return Ok(Some(said));
        }
        for url in item.rules.locations(&item.issued, method) {
            match self.why_not(item, method, &url) {
                Some(why) => trail.push(Asked { method, source: url, said: Err(why) }),
                None => {
                    let (issued, rules) = (item.issued.clone(), Arc::clone(&item.rules));
                    return Err(Fetch { method, url, issued, rules });
                }
            }
        }
        Ok(None)
    }

    /// Why an address need not be asked: it has been, by this check or lately by another, or its failures keep it at rest.
    fn why_not(&self, item: &Item, method: Method, url: &str) -> Option<String> {
        let resting = || {
            let resting = self.cache.rest().resting(url, self.moment.now)?;
            let (until, failures) = (resting.until, resting.failures);
            Some(format!("left alone until {until} after {failures} failures: {}", resting.why))
        };
        self.fetched_already(item, method, url)
            .or_else(|| self.held_already(item, method, url))
            .or_else(resting)
    }

    fn fetched_already(&self, item: &Item, method: Method, url: &str) -> Option<String> {
        // One CRL is for all certificates of a CA, an answer for one.
        let same = |done: &&Done| {
            done.method == method
                && done.url == url
                && done.issued.issuer == item.issued.issuer
                && (method == Method::Crl || done.issued.certificate == item.issued.certificate)
        };
        let done = self.check.fetched.iter().find(same)?;
        Some(done.failure.clone().unwrap_or_else(|| "what came says nothing of it".to_owned()))
    }

    /// A CRL that is fresh and does not speak for the certificate would come again.
    fn held_already(&self, item: &Item, method: Method, url: &str) -> Option<String> {
        let now = self.moment.now;
        let fresh = |list: &Crl| list.next_update().is_none_or(|until| now <= until);
        let from_there = |held: &Held<Arc<Crl>>| held.source == url && fresh(&held.value);
        let held = method == Method::Crl && self.cache.lists_of(&item.issued).any(from_there);
        held.then(|| "what is held from there says nothing of it".to_owned())
    }

    /// What is known by a method. Several CRLs of one CA may be about a certificate: a revocation in any of them counts.
    fn known(&self, item: &Item, method: Method, max_stale: u64, trail: &mut Trail) -> Option<Statement> {
        let issued = &item.issued;
        let said: Vec<(&str, Result<Statement, Silent>)> = match method {
            Method::Crl => {
                let ask = |list: &Arc<Crl>| list.ask(issued, self.moment, max_stale);
                let lists = self.cache.lists_of(issued);
                lists.map(|held| (held.source.as_str(), ask(&held.value))).collect()
            }
            Method::Ocsp => {
                let held = self.cache.answer_about(issued).into_iter();
                held.map(|held| (held.source.as_str(), held.value.ask(issued, self.moment, max_stale)))
                    .collect()
            }
        };
        for (source, said) in &said {
            let said = said.map(|said| (said.status, self.moment.since(said.this_update)));
            trail.push(Asked {
                method,
                source: (*source).to_owned(),
                said: said.map_err(|why| why.to_string()),
            });
        }
        let found = || said.iter().filter_map(|(_, said)| said.ok());
        found().find(|said| said.status != Status::Good).or_else(|| found().next())
    }
}
