//! OCSP answers that a peer brings itself (RFC 4806): "the CERTREQ sender SHALL incorporate the OCSP response into path
//! validation logic" (§4.1). They are judged as those that are fetched, only that none can have a nonce of ours, and
//! whoever keeps them in a cache saves the fetch. Verifying is a public-key operation for each.

use std::sync::Arc;

use super::{Demand, Method, Rules};
use crate::path::VerifiedPath;
use crate::revocation::ocsp::{Answer, OcspError, Question};
use crate::revocation::{Issued, Moment};
use crate::x509::Certificate;

/// What a stapled answer is said to come from.
pub const STAPLED: &str = "stapled";
/// Responses looked at: one for each certificate of the longest path.
pub const MAX_STAPLED: usize = 8;

/// Judges what a peer brought with the certificates of its path; `rules` are those for what a CA has issued. Of each
/// response comes an answer about a certificate of the path, or why it is none; nothing where OCSP is not asked.
pub fn stapled(
    path: &VerifiedPath,
    responses: &[impl AsRef<[u8]>],
    rules: impl Fn(&Certificate) -> Arc<Rules>,
    moment: impl Into<Moment>,
) -> Vec<Result<Answer, OcspError>> {
    let moment = moment.into();
    let along = Issued::along(path).into_iter().map(|issued| (rules(&issued.issuer), issued));
    let asked: Vec<(Arc<Rules>, Issued)> = along.filter(|(rules, issued)| is_asked(rules, issued)).collect();
    let looked_at = responses.iter().take(if asked.is_empty() { 0 } else { MAX_STAPLED });
    looked_at.map(|response| judge(&asked, response.as_ref(), moment)).collect()
}

fn is_asked(rules: &Rules, issued: &Issued) -> bool {
    rules.demand != Demand::Off && rules.methods(issued).contains(&Method::Ocsp)
}

/// A response says itself which certificate it is about (RFC 4806 §3.2).
fn judge(asked: &[(Arc<Rules>, Issued)], response: &[u8], moment: Moment) -> Result<Answer, OcspError> {
    for (rules, issued) in asked {
        let question = Question::new(issued.clone(), rules.id_hash, None);
        match question.judge(response, rules.response, moment) {
            Err(OcspError::OtherCertificate) => {}
            Ok(_) if rules.wants_nonce() => return Err(OcspError::NonceMissing),
            judged => return judged.map(Answer::brought),
        }
    }
    Err(OcspError::OtherCertificate)
}
