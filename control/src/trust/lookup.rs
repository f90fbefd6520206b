//! Certificates that a peer shows by hash and URL (RFC 7296 §3.6): fetched one after another, each held against its hash.
//!
//! The peer has proven nothing yet, and makes us ask whom it likes ([RFC 7296 §5]: "a denial-of-service attack"). So it is
//! done only where a trust-anchor-profile says so, by HTTP, for few certificates of few octets, and by the fetcher's
//! rules for strangers ([`Origin::Stranger`]). What is found is believed no more than what comes in the message.

use std::sync::Arc;
use std::vec;

use ravelin_fetch::url::{Scheme, UrlProblem};
use ravelin_fetch::{FetchError, Instance, Limits, Origin, Outcome, Request, Reuse, Url};
use ravelin_ike::want::{AnswerError, Lookup, Shown};
use ravelin_ike::wire::HashAndUrl;
use ravelin_pki::hash_and_url::{self, HashAndUrlError, MAX_OCTETS};

use super::revocation::Errands;

/// Certificates and bundles fetched for one peer: RFC 7296 §3.6 wants four certificates taken, and a bundle has them all.
const MOST: usize = 4;

/// Why a peer's certificates are not there.
#[derive(Debug, thiserror::Error)]
pub enum LookupRefusal {
    /// So many fetches for one peer are none of honest purpose.
    #[error(
        "the peer shows {0} certificates by hash and URL, and {MOST} are looked up at most: a bundle would do"
    )]
    TooMany(usize),
    /// What should be a URL is none; it is not shown, for it may be anything.
    #[error("the peer shows a certificate by a URL that is none: {0}")]
    Url(#[from] UrlProblem),
    /// "such schemes SHOULD NOT be used" (RFC 7296 §3.6).
    #[error("the peer shows a certificate by {0}, and http is all that is done")]
    Scheme(Scheme),
    /// Nothing came. Perhaps our network, its server, or an address that is not allowed.
    #[error("the peer's certificate at {url}: {error}")]
    Fetch {
        /// Where.
        url: String,
        /// Why.
        error: FetchError,
    },
    /// The instance's network cannot be entered.
    #[error("the peer's certificate at {url}: {why}")]
    Instance {
        /// Where.
        url: String,
        /// Why.
        why: String,
    },
    /// Something else came.
    #[error("the peer's certificate at {url}: {error}")]
    Contents {
        /// From where.
        url: String,
        /// What is wrong with it.
        error: HashAndUrlError,
    },
}

impl LookupRefusal {
    /// The code, for scripts and for the manual.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Contents { .. } => "RV-PKI-046",
            Self::TooMany(_) | Self::Url(_) | Self::Scheme(_) => "RV-PKI-047",
            Self::Fetch { .. } | Self::Instance { .. } => "RV-LOCAL-022",
        }
    }
}

impl From<&LookupRefusal> for AnswerError {
    fn from(refusal: &LookupRefusal) -> Self {
        Self { code: refusal.code().to_owned(), text: refusal.to_string() }
    }
}

/// What was found, in the peer's order.
pub type Found = Result<Vec<Vec<u8>>, LookupRefusal>;

/// Fetches what lies elsewhere. `reply` is called once, on a fetching thread or at once on this one.
pub fn look_up(errands: &Arc<Errands>, lookup: Lookup, reply: impl FnOnce(Found) + Send + 'static) {
    let count = lookup.shown.iter().filter(|shown| matches!(shown, Shown::Elsewhere(_))).count();
    if count > MOST {
        return reply(Err(LookupRefusal::TooMany(count)));
    }
    let (left, reply) = (lookup.shown.into_iter(), Box::new(reply));
    let instance = errands.network(lookup.instance);
    Search { errands: Arc::clone(errands), instance, left, found: Vec::new(), reply }.go_on();
}

/// What is there of one peer's certificates, and what is not yet.
struct Search {
    errands: Arc<Errands>,
    instance: Result<Option<Instance>, String>,
    left: vec::IntoIter<Shown>,
    found: Vec<Vec<u8>>,
    reply: Box<dyn FnOnce(Found) + Send>,
}

impl Search {
    fn go_on(mut self) {
        loop {
            match self.left.next() {
                Some(Shown::Here(der)) => self.found.push(der),
                Some(Shown::Elsewhere(it)) => return self.fetch(it),
                None => return (self.reply)(Ok(self.found)),
            }
        }
    }

    fn fetch(self, it: HashAndUrl) {
        match self.request(&it) {
            Ok(request) => {
                let fetcher = Arc::clone(&self.errands.fetcher);
                let url = request.url.to_string();
                fetcher.submit(request, move |outcome| self.came(&it, url, outcome));
            }
            Err(refusal) => (self.reply)(Err(refusal)),
        }
    }

    fn request(&self, it: &HashAndUrl) -> Result<Request, LookupRefusal> {
        let url = Url::parse(&it.url)?;
        if url.scheme != Scheme::Http {
            return Err(LookupRefusal::Scheme(url.scheme));
        }
        let instance = match &self.instance {
            Ok(instance) => instance.clone(),
            Err(why) => return Err(LookupRefusal::Instance { url: url.to_string(), why: why.clone() }),
        };
        let limits = Limits { deadline: self.errands.timeout, content: MAX_OCTETS };
        Ok(Request { origin: Origin::Stranger, instance, limits, reuse: Reuse::Never, ..Request::new(url) })
    }

    fn came(mut self, it: &HashAndUrl, url: String, outcome: Outcome) {
        let read = match outcome {
            Ok(came) => hash_and_url::certificates(it.bundle, &it.hash, &came.bytes)
                .map_err(|error| LookupRefusal::Contents { url, error }),
            Err(error) => Err(LookupRefusal::Fetch { url, error }),
        };
        match read {
            Ok(certificates) => {
                self.found.extend(certificates);
                self.go_on();
            }
            Err(refusal) => (self.reply)(Err(refusal)),
        }
    }
}

#[cfg(test)]
mod tests;
