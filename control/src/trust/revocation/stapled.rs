//! Responders' words within IKE (RFC 4806): those that peers bring are taken in before anybody is asked, and those on
//! certificates of ours go out to be shown.

use ravelin_pki::UnixTime;
use ravelin_pki::path::VerifiedPath;
use ravelin_pki::revocation::ocsp::{Answer, OcspError};
use ravelin_pki::revocation::policy::{self, Check, STAPLED};
use ravelin_pki::revocation::{Issued, Status};

use super::desk::Desk;
use super::found::Found;
use crate::trust::Regime;

/// What a peer brought: an answer about a certificate of its path, or why it is none.
pub type Brought = Result<Answer, OcspError>;

/// What a responder says of a certificate of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Own {
    /// The certificate, DER.
    pub certificate: Vec<u8>,
    /// That it is good: OCSPResponse, and until when. `None`: nothing to be shown.
    pub response: Option<(Vec<u8>, UnixTime)>,
}

/// Judges what a peer brought. A public-key operation for each: not for a thread that others wait for.
pub fn brought(path: &VerifiedPath, responses: &[Vec<u8>], regime: &Regime, now: UnixTime) -> Vec<Brought> {
    policy::stapled(path, responses, |issuer| regime.rules(issuer), now)
}

impl Desk {
    /// Takes in what a peer brought. What is no answer is named in the decision, and changes nothing.
    pub(super) fn take_in(
        &mut self,
        brought: Vec<Brought>,
        check: &mut Check,
        path: &VerifiedPath,
        now: UnixTime,
    ) {
        for brought in brought {
            match brought {
                Ok(answer) => {
                    self.answered(&answer, "an answer that a peer brought");
                    self.keep_answer(answer, STAPLED, now);
                }
                Err(why) => {
                    self.tell("ocsp-stapled-refused", format!("{}: {why}", path.end_entity()));
                    check.passed_over(why.to_string());
                }
            }
        }
    }

    /// Gives out the responder's word on a certificate of ours, if that is known and good.
    pub(super) fn give_out(&mut self, path: &VerifiedPath, now: UnixTime) {
        let end_entity = Issued::along(path).into_iter().next();
        let answer = end_entity.and_then(|issued| self.cache().answer_about(&issued)).map(|held| &held.value);
        let good = answer.filter(|answer| answer.status() == Status::Good);
        let response = good.and_then(|answer| Some((answer.der().to_vec(), answer.next_update()?)));
        let response = response.filter(|(_, until)| now < *until);
        let certificate = path.end_entity().der().to_vec();
        self.report(Found::Own(Own { certificate, response }));
    }
}
