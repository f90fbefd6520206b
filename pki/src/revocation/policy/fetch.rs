//! What a decision needs from outside, and what comes back.

use std::sync::Arc;

use super::{Method, Rules};
use crate::revocation::cache::{Cache, NotKept};
use crate::revocation::crl::{Crl, CrlError, Unverified, der_of};
use crate::revocation::ocsp::{Answer, Nonce, OcspError, Question};
use crate::revocation::{Issued, Moment};
use crate::time::UnixTime;

/// Something to fetch.
#[derive(Clone, Debug)]
pub struct Fetch {
    /// A CRL, or an answer of a responder.
    pub method: Method,
    /// From where.
    pub url: String,
    /// About which certificate.
    pub issued: Issued,
    /// By which rules.
    pub rules: Arc<Rules>,
}

/// What came of a fetch, verified.
#[derive(Clone, Debug)]
pub enum Fetched {
    /// A CRL, or why it is none.
    List(Result<Arc<Crl>, CrlError>),
    /// An answer, or why it is none.
    Answer(Result<Answer, OcspError>),
    /// Nothing: the server could not be reached, or said no.
    Nothing(String),
}

impl Fetch {
    /// The question for the responder; `random` becomes its nonce if the rules want one.
    pub fn question(&self, random: [u8; 32]) -> Question {
        let nonce = self.rules.nonce.then(|| Nonce::new(random));
        Question::new(self.issued.clone(), self.rules.id_hash, nonce)
    }

    /// Makes a CRL of what came, DER or PEM: under any key of the CA.
    pub fn list(&self, octets: &[u8], moment: impl Into<Moment>) -> Fetched {
        let moment = moment.into();
        let verify = |der: &[u8]| {
            let list = Unverified::from_der(der)?;
            let mut found = list.verify(&self.issued.issuer, moment);
            for authority in self.issued.authorities().skip(1) {
                found = found.or_else(|first| list.verify(authority, moment).map_err(|_| first));
            }
            found.map(Arc::new)
        };
        Fetched::List(der_of(octets).and_then(|der| verify(&der)))
    }

    /// Makes an answer of what came for `question`.
    pub fn answer(&self, question: &Question, octets: &[u8], moment: impl Into<Moment>) -> Fetched {
        Fetched::Answer(question.judge(octets, self.rules.response, moment))
    }
}

impl Fetched {
    /// Puts it into the cache, and notes there whether what comes from the address is of use.
    ///
    /// # Errors
    /// Why nothing came of it.
    pub fn keep(self, url: &str, cache: &mut Cache, now: UnixTime) -> Result<(), String> {
        let came = !matches!(self, Self::Nothing(_));
        let kept = self.keep_statement(url, cache, now);
        match &kept {
            Err(Failure { why, rests: true }) => cache.rest_mut().failed(url, why.clone(), now),
            _ if came => cache.rest_mut().worked(url),
            _ => {}
        }
        kept.map_err(|failure| failure.why)
    }

    fn keep_statement(self, url: &str, cache: &mut Cache, now: UnixTime) -> Result<(), Failure> {
        let failure = |why: String, rests| Failure { why, rests };
        match self {
            Self::List(list) => {
                let list = list.map_err(|error| failure(error.to_string(), true))?;
                // What there is no room for would come again with each peer.
                let rests = |why: &NotKept| matches!(why, NotKept::Full { .. });
                cache.keep_list(list, url, now).map_err(|why| failure(why.to_string(), rests(&why)))?;
            }
            Self::Answer(answer) => {
                let answer = answer.map_err(|error| failure(error.to_string(), error.is_outage()))?;
                cache.keep_answer(answer, url, now);
            }
            // Whoever fetches leaves servers alone that do not answer; twice would be too long.
            Self::Nothing(why) => return Err(failure(why, false)),
        }
        Ok(())
    }
}

/// Why nothing came of a fetch, and whether the address is to be left alone for it.
struct Failure {
    why: String,
    rests: bool,
}
