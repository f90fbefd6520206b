//! A fetch that a decision needs, as a request of the fetcher, and what came of it, verified. Verifying is done on the
//! fetching thread: a CRL of a million entries takes it half a second, and it holds nobody up there.

use std::sync::Arc;
use std::time::Duration;

use ravelin_fetch::{Fetcher, Instance, Limits, Method, Origin, Outcome, Priority, Request, Reuse, Url};
use ravelin_pki::UnixTime;
use ravelin_pki::revocation::ocsp::{Carriage, MAX_RESPONSE, Question, REQUEST_TYPE, carriage};
use ravelin_pki::revocation::policy::{Fetch, Fetched, Method as By};

use super::desk::Errand;

/// Sends errands.
#[derive(Debug)]
pub struct Errands {
    /// Who fetches.
    pub fetcher: Arc<Fetcher>,
    /// Networks of the instances, by number, or why one cannot be entered; `None` is the process's own.
    pub instances: Vec<Result<Option<Instance>, String>>,
    /// How long one fetch may take.
    pub timeout: Duration,
}

/// What a fetch was made of, to judge what comes.
struct Asked {
    fetch: Fetch,
    question: Option<Question>,
}

impl Errands {
    /// The network of an instance, by number.
    ///
    /// # Errors
    /// Why it cannot be entered.
    pub fn network(&self, instance: u16) -> Result<Option<Instance>, String> {
        self.instances.get(usize::from(instance)).cloned().unwrap_or(Ok(None))
    }

    /// Fetches; `reply` is called once, on a fetching thread or at once on this one. `random` becomes the nonce of a
    /// question to a responder.
    pub fn send(&self, errand: Errand, random: [u8; 32], reply: impl FnOnce(Fetched) + Send + 'static) {
        let (fetch, instance) = (errand.fetch, errand.instance);
        let question = (fetch.method == By::Ocsp).then(|| fetch.question(random));
        let asked = Asked { fetch, question };
        let instance = self.network(instance);
        let (request, instance) = match asked.request().and_then(|request| Ok((request, instance?))) {
            Ok(found) => found,
            Err(why) => return reply(Fetched::Nothing(why)),
        };
        let priority = if errand.is_awaited { Priority::Authentication } else { Priority::Prefetch };
        let content = if asked.question.is_some() { MAX_RESPONSE } else { Limits::default().content };
        let request =
            Request { instance, limits: Limits { deadline: self.timeout, content }, priority, ..request };
        let (again, kept) = (request.clone(), Arc::clone(&self.fetcher));
        self.fetcher.submit(request, move |outcome| reply(asked.judge(outcome, || kept.kept(&again))));
    }
}

impl Asked {
    fn request(&self) -> Result<Request, String> {
        let unusable = |error: ravelin_fetch::url::UrlProblem| format!("no usable URL: {error}");
        let url = Url::parse(&self.fetch.url).map_err(unusable)?;
        let origin = self.origin();
        let Some(question) = &self.question else {
            // Whether the server has a newer one is to be known even while it lets this one be kept.
            return Ok(Request { origin, reuse: Reuse::Revalidate, ..Request::new(url) });
        };
        let octets = question.to_der().map_err(|error| error.to_string())?;
        let (url, method) = match carriage(&self.fetch.url, &octets) {
            Carriage::Get(address) => (Url::parse(&address).map_err(unusable)?, Method::Get),
            Carriage::Post(body) => (url, Method::Post { body, content_type: REQUEST_TYPE }),
        };
        Ok(Request { origin, method, reuse: Reuse::Never, ..Request::new(url) })
    }

    /// Whether the operator wrote the address, or a certificate has it.
    fn origin(&self) -> Origin {
        let rules = &self.fetch.rules;
        let (url, own) = (&self.fetch.url, rules.crl_urls.iter().chain(&rules.ocsp_url));
        if own.into_iter().any(|known| known == url) { Origin::Configured } else { Origin::Foreign }
    }

    /// Verifies what came. Where no CRL came, one that was kept from before may still be good.
    fn judge(&self, outcome: Outcome, kept: impl FnOnce() -> Option<ravelin_fetch::Fetched>) -> Fetched {
        let now = now();
        match (outcome, &self.question) {
            (Ok(came), Some(question)) => self.fetch.answer(question, &came.bytes, now),
            (Ok(came), None) => self.list(&came, now),
            (Err(error), Some(_)) => Fetched::Nothing(error.to_string()),
            (Err(error), None) => {
                let from_before = kept().map(|kept| self.list(&kept, now));
                let good = from_before.filter(|fetched| matches!(fetched, Fetched::List(Ok(_))));
                good.unwrap_or_else(|| Fetched::Nothing(error.to_string()))
            }
        }
    }

    /// The first of several values (LDAP) that is a CRL of the authority.
    fn list(&self, came: &ravelin_fetch::Fetched, now: UnixTime) -> Fetched {
        let first = self.fetch.list(&came.bytes, now);
        let is_good = |fetched: &Fetched| matches!(fetched, Fetched::List(Ok(_)));
        if is_good(&first) {
            return first;
        }
        let others = came.further.iter().map(|octets| self.fetch.list(octets, now));
        others.into_iter().find(is_good).unwrap_or(first)
    }
}

/// The machine's clock.
pub fn now() -> UnixTime {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    UnixTime(since.as_secs() as i64)
}
