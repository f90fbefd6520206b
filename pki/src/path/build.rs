//! The search: from the end entity upwards, depth first, anchors before others, within a budget.
//!
//! A candidate must bear the issuer's name, fit the key identifiers, verify the signature below it and be fit to
//! issue; the signature comes first, so that whatever else is said about a candidate is said about the true issuer.
//! A path that reaches an anchor is then judged downwards as a whole. The depth of the recursion is the length of
//! the path, which the rules bound.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::constraints::NameState;
use super::error::{Cause, Explanation, Outcome, PathError, Source};
use super::policy::PolicyState;
use super::{Budget, Request, VerifiedPath, check};
use crate::oid::Oid;
use crate::x509::Certificate;

pub(super) struct Search<'a> {
    request: &'a Request<'a>,
    spent: Budget,
    explanation: Explanation,
}

/// The end entity first.
type Chain<'a> = Vec<&'a Arc<Certificate>>;

/// The certificate of a chain, by index from the end entity, that breaks a rule, and the rule.
struct Broken {
    index: usize,
    cause: Cause,
}

/// What is found above a chain: an anchor and the policies of the whole, nothing, or the end of the budget.
type Found<'a> = Result<Option<(Chain<'a>, &'a Arc<Certificate>, BTreeSet<Oid>)>, Cause>;

impl<'a> Search<'a> {
    pub(super) fn new(request: &'a Request<'a>) -> Self {
        let spent = Budget { signatures: 0, steps: 0, name_comparisons: 0 };
        Self { request, spent, explanation: Explanation::default() }
    }

    pub(super) fn run(mut self) -> Result<VerifiedPath, PathError> {
        let end_entity = self.request.end_entity;
        let pinned = self.request.anchors.contains(end_entity);
        if let Err(cause) = check::end_entity(self.request, pinned) {
            self.note(0, Source::EndEntity, end_entity, Outcome::Refused(cause.clone()));
            return Err(self.error(cause, end_entity.to_string()));
        }
        self.note(0, Source::EndEntity, end_entity, Outcome::Fits);
        if pinned {
            return Ok(self.verified(vec![end_entity], end_entity, BTreeSet::new()));
        }
        match self.extend(&mut vec![end_entity]) {
            Ok(Some((chain, anchor, policies))) => Ok(self.verified(chain, anchor, policies)),
            Ok(None) => Err(self.most_specific()),
            Err(cause) => Err(self.error(cause, end_entity.to_string())),
        }
    }

    /// Looks for a way from the top of `chain` to an anchor.
    fn extend(&mut self, chain: &mut Chain<'a>) -> Found<'a> {
        let request = self.request;
        let Some(&top) = chain.last() else { return Ok(None) };
        let mut known = false;
        for anchor in request.anchors.with_subject(&top.issuer) {
            known = true;
            if let Some(policies) = self.try_anchor(chain, top, anchor)? {
                return Ok(Some((chain.clone(), anchor, policies)));
            }
        }
        let presented = request.presented.iter().filter(|held| held.subject == top.issuer);
        let stored = request.intermediates.with_subject(&top.issuer);
        let candidates =
            presented.map(|held| (Source::Presented, held)).chain(stored.map(|held| (Source::Store, held)));
        for (source, candidate) in candidates {
            if request.anchors.contains(candidate) || chain.iter().any(|used| is_repetition(used, candidate))
            {
                continue;
            }
            known = true;
            if chain.len() >= request.rules.max_chain {
                self.refuse(chain, Cause::TooDeep { limit: request.rules.max_chain });
                break;
            }
            if let Some(found) = self.try_candidate(chain, top, source, candidate)? {
                return Ok(Some(found));
            }
        }
        if !known {
            self.refuse_dead_end(chain, top);
        }
        Ok(None)
    }

    /// Judges the chain with this anchor on top; its policies if it is valid.
    fn try_anchor(
        &mut self,
        chain: &Chain<'a>,
        top: &'a Arc<Certificate>,
        anchor: &'a Arc<Certificate>,
    ) -> Result<Option<BTreeSet<Oid>>, Cause> {
        let fit = self.fit_to_issue(top, anchor, true)?;
        self.note(chain.len(), Source::Anchor, anchor, fit.clone());
        if fit != Outcome::Fits {
            return Ok(None);
        }
        match self.judge(chain, anchor) {
            Ok(policies) => Ok(Some(policies)),
            Err(Broken { cause: cause @ Cause::Budget { .. }, .. }) => Err(cause),
            Err(Broken { index, cause }) => {
                let culprit = chain.get(index).copied().unwrap_or(anchor);
                self.note(index, source_of(index), culprit, Outcome::Refused(cause));
                Ok(None)
            }
        }
    }

    /// Puts the candidate on the chain and goes on from there.
    fn try_candidate(
        &mut self,
        chain: &mut Chain<'a>,
        top: &'a Arc<Certificate>,
        source: Source,
        candidate: &'a Arc<Certificate>,
    ) -> Found<'a> {
        let fit = self.fit_to_issue(top, candidate, false)?;
        self.note(chain.len(), source, candidate, fit.clone());
        if fit != Outcome::Fits {
            return Ok(None);
        }
        chain.push(candidate);
        let found = self.extend(chain);
        chain.pop();
        found
    }

    /// Whether `issuer` issued `child` and may have.
    fn fit_to_issue(
        &mut self,
        child: &Certificate,
        issuer: &Certificate,
        anchor: bool,
    ) -> Result<Outcome, Cause> {
        let budget = self.request.budget;
        spend(&mut self.spent.steps, budget.steps, "candidate issuers")?;
        let refused = |cause| Ok(Outcome::Refused(cause));
        if let Err(cause) = check::key_identifiers(child, issuer) {
            return refused(cause);
        }
        spend(&mut self.spent.signatures, budget.signatures, "signature verifications")?;
        let fit = check::signature(self.request, child, issuer)
            .and_then(|()| check::issuer(self.request, issuer, anchor));
        fit.map_or_else(refused, |()| Ok(Outcome::Fits))
    }

    /// RFC 5280 §6.1.2 to §6.1.5 for a chain whose signatures, dates and usages have been checked.
    fn judge(&mut self, chain: &Chain<'a>, anchor: &'a Certificate) -> Result<BTreeSet<Oid>, Broken> {
        let rules = &self.request.rules.policies;
        let mut names = NameState::below(anchor);
        let mut policies = PolicyState::new(rules, chain.len());
        let mut length = PathLength::below(anchor);
        for (index, certificate) in chain.iter().enumerate().rev() {
            let broken = |cause| Broken { index, cause };
            let last = index == 0;
            // RFC 5280 §6.1.3 (b), (c): self-issued certificates are exempt unless they are the last.
            if last || !certificate.is_self_issued() {
                let limit = self.request.budget.name_comparisons;
                let mut compare =
                    || spend(&mut self.spent.name_comparisons, limit, "name comparisons with constraints");
                names.check(certificate, &mut compare).map_err(broken)?;
            }
            policies.enter(certificate, last).map_err(broken)?;
            if !last {
                policies.prepare_next(certificate).map_err(broken)?;
                length.pass(certificate).map_err(broken)?;
                names.descend(certificate);
            }
        }
        let end_entity = self.request.end_entity;
        policies.wrap_up(end_entity, rules).map_err(|cause| Broken { index: 0, cause })
    }

    fn refuse_dead_end(&mut self, chain: &Chain<'a>, top: &'a Certificate) {
        let cause = if top.is_self_issued() {
            Cause::UntrustedRoot { anchors: self.request.anchors.len() }
        } else {
            Cause::UnknownIssuer { issuer: top.issuer.to_string() }
        };
        self.refuse(chain, cause);
    }

    /// Notes a refusal of the certificate on top of the chain.
    fn refuse(&mut self, chain: &Chain<'a>, cause: Cause) {
        let depth = chain.len().saturating_sub(1);
        if let Some(&top) = chain.last() {
            self.note(depth, source_of(depth), top, Outcome::Refused(cause));
        }
    }

    fn note(&mut self, depth: usize, source: Source, certificate: &Certificate, outcome: Outcome) {
        self.explanation.add(depth, source, certificate, outcome);
    }

    fn verified(self, chain: Chain<'a>, anchor: &Arc<Certificate>, policies: BTreeSet<Oid>) -> VerifiedPath {
        VerifiedPath {
            certificates: chain.into_iter().cloned().collect(),
            anchor: Arc::clone(anchor),
            policies,
            time: self.request.time,
            explanation: self.explanation,
        }
    }

    fn most_specific(self) -> PathError {
        let best =
            self.explanation.best().map(|(cause, certificate)| (cause.clone(), certificate.to_owned()));
        let nothing = || {
            let end_entity = self.request.end_entity;
            (Cause::UnknownIssuer { issuer: end_entity.issuer.to_string() }, end_entity.to_string())
        };
        let (cause, certificate) = best.unwrap_or_else(nothing);
        self.error(cause, certificate)
    }

    fn error(self, cause: Cause, certificate: String) -> PathError {
        PathError { cause, certificate, explanation: self.explanation }
    }
}

/// RFC 5280 §6.1.4 (l), (m): how many CAs, not self-issued, may still follow, and who said so.
struct PathLength<'a> {
    limit: Option<(u32, u32, &'a Certificate)>,
}

impl<'a> PathLength<'a> {
    fn below(anchor: &'a Certificate) -> Self {
        let mut length = Self { limit: None };
        length.narrow(anchor);
        length
    }

    fn pass(&mut self, certificate: &'a Certificate) -> Result<(), Cause> {
        if !certificate.is_self_issued()
            && let Some((left, limit, by)) = &mut self.limit
        {
            *left = left
                .checked_sub(1)
                .ok_or_else(|| Cause::PathLength { constrained_by: by.subject.to_string(), limit: *limit })?;
        }
        self.narrow(certificate);
        Ok(())
    }

    fn narrow(&mut self, certificate: &'a Certificate) {
        let own = certificate.extensions.basic_constraints.and_then(|constraints| constraints.path_len);
        if let Some(own) = own
            && self.limit.is_none_or(|(left, ..)| own < left)
        {
            self.limit = Some((own, own, certificate));
        }
    }
}

/// RFC 4158 §2.4.1, §5.2: a name and key that is in the path already can only lead in a circle.
fn is_repetition(used: &Certificate, candidate: &Certificate) -> bool {
    used == candidate || (used.subject == candidate.subject && used.spki == candidate.spki)
}

const fn source_of(index: usize) -> Source {
    if index == 0 { Source::EndEntity } else { Source::Path }
}

fn spend(spent: &mut u32, limit: u32, what: &'static str) -> Result<(), Cause> {
    if *spent >= limit {
        return Err(Cause::Budget { what, limit });
    }
    *spent = spent.saturating_add(1);
    Ok(())
}
