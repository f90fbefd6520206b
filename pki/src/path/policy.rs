//! Certificate policies (RFC 5280 §6.1, as corrected by RFC 9618): the valid_policy_graph.
//!
//! RFC 5280 draws a tree whose size a hostile chain can make exponential; RFC 9618 replaces it with a graph that
//! has at most one node for each policy at each depth, which is what this file builds. Qualifiers are not tracked.

use std::collections::{BTreeMap, BTreeSet};

use super::PolicyRules;
use super::error::Cause;
use crate::oid::{self, Oid};
use crate::x509::{Certificate, PolicyMapping};

/// The nodes of one depth, by valid_policy.
type Level = BTreeMap<Oid, Node>;

#[derive(Clone, Debug, Default)]
struct Node {
    /// expected_policy_set: the policies that continue this one in the next certificate.
    expected: BTreeSet<Oid>,
    /// The nodes of the level above that led here, by valid_policy.
    parents: BTreeSet<Oid>,
}

/// The policy variables of RFC 5280 §6.1.2.
pub(super) struct PolicyState {
    /// valid_policy_graph; empty stands for NULL.
    graph: Vec<Level>,
    explicit_policy: usize,
    policy_mapping: usize,
    inhibit_any_policy: usize,
}

fn any_policy() -> Oid {
    oid::ANY_POLICY.into()
}

impl PolicyState {
    /// RFC 5280 §6.1.2 (a), (d), (e), (f) for a path of `length` certificates.
    pub(super) fn new(rules: &PolicyRules, length: usize) -> Self {
        let root = Node { expected: [any_policy()].into(), parents: BTreeSet::new() };
        let count = |inhibited: bool| if inhibited { 0 } else { length.saturating_add(1) };
        Self {
            graph: vec![[(any_policy(), root)].into()],
            explicit_policy: count(rules.require_explicit),
            policy_mapping: count(rules.inhibit_mapping),
            inhibit_any_policy: count(rules.inhibit_any),
        }
    }

    /// §6.1.3 (d), (e), (f): the policies of the next certificate.
    pub(super) fn enter(&mut self, certificate: &Certificate, last: bool) -> Result<(), Cause> {
        match &certificate.extensions.policies {
            Some(policies) => {
                // (d)(2): anyPolicy counts while it is not inhibited, and in self-issued certificates on the way.
                let any_counts = self.inhibit_any_policy > 0 || (!last && certificate.is_self_issued());
                self.grow(policies, any_counts);
            }
            None => self.graph.clear(),
        }
        if self.explicit_policy == 0 && self.graph.is_empty() { Err(Cause::NoPolicy) } else { Ok(()) }
    }

    /// §6.1.3 (d): one more level.
    fn grow(&mut self, policies: &[Oid], any_counts: bool) {
        let Some(above) = self.graph.last() else { return };
        let any = any_policy();
        let mut level = Level::new();
        for policy in policies.iter().filter(|policy| **policy != any) {
            let mut parents = expecting(above, policy);
            if parents.is_empty() && above.contains_key(&any) {
                parents.insert(any.clone());
            }
            if !parents.is_empty() {
                level.insert(policy.clone(), Node { expected: [policy.clone()].into(), parents });
            }
        }
        if any_counts && policies.contains(&any) {
            let expected: BTreeSet<&Oid> = above.values().flat_map(|node| &node.expected).collect();
            for policy in expected {
                let node = || Node { expected: [policy.clone()].into(), parents: expecting(above, policy) };
                level.entry(policy.clone()).or_insert_with(node);
            }
        }
        self.graph.push(level);
        self.prune();
    }

    /// §6.1.3 (d)(3): nodes above the last level that lead nowhere go; an empty last level takes all with it.
    fn prune(&mut self) {
        let mut wanted: Option<BTreeSet<Oid>> = None;
        for level in self.graph.iter_mut().rev() {
            if let Some(wanted) = &wanted {
                level.retain(|policy, _| wanted.contains(policy));
            }
            wanted = Some(level.values().flat_map(|node| node.parents.iter().cloned()).collect());
        }
        if self.graph.iter().any(Level::is_empty) {
            self.graph.clear();
        }
    }

    /// §6.1.4 (a), (b), (h), (i), (j): what a CA certificate means for the next one.
    pub(super) fn prepare_next(&mut self, certificate: &Certificate) -> Result<(), Cause> {
        let extensions = &certificate.extensions;
        let any = any_policy();
        // (a): anyPolicy MUST NOT be mapped to or from.
        if extensions.policy_mappings.iter().any(|mapping| mapping.issuer == any || mapping.subject == any) {
            return Err(Cause::AnyPolicyMapped);
        }
        self.map(&extensions.policy_mappings);
        if !certificate.is_self_issued() {
            for counter in [&mut self.explicit_policy, &mut self.policy_mapping, &mut self.inhibit_any_policy]
            {
                *counter = counter.saturating_sub(1);
            }
        }
        lower(&mut self.explicit_policy, extensions.policy_constraints.require_explicit);
        lower(&mut self.policy_mapping, extensions.policy_constraints.inhibit_mapping);
        lower(&mut self.inhibit_any_policy, extensions.inhibit_any_policy);
        Ok(())
    }

    /// §6.1.4 (b).
    fn map(&mut self, mappings: &[PolicyMapping]) {
        let mut by_issuer: BTreeMap<&Oid, BTreeSet<Oid>> = BTreeMap::new();
        for mapping in mappings {
            by_issuer.entry(&mapping.issuer).or_default().insert(mapping.subject.clone());
        }
        let Some(level) = self.graph.last_mut() else { return };
        let any = any_policy();
        for (issuer, subjects) in by_issuer {
            if self.policy_mapping == 0 {
                level.remove(issuer);
            } else if let Some(node) = level.get_mut(issuer) {
                node.expected = subjects;
            } else if level.contains_key(&any) {
                let node = Node { expected: subjects, parents: [any.clone()].into() };
                level.insert(issuer.clone(), node);
            }
        }
        self.prune();
    }

    /// §6.1.5 (a), (b), (g): the policies the path is valid for, or the lack of them.
    pub(super) fn wrap_up(mut self, last: &Certificate, rules: &PolicyRules) -> Result<BTreeSet<Oid>, Cause> {
        self.explicit_policy = self.explicit_policy.saturating_sub(1);
        if last.extensions.policy_constraints.require_explicit == Some(0) {
            self.explicit_policy = 0;
        }
        let valid = self.user_constrained(rules);
        if self.explicit_policy == 0 && valid.is_empty() { Err(Cause::NoPolicy) } else { Ok(valid) }
    }

    /// RFC 9618 §5.4 (g): user_constrained_policy_set.
    fn user_constrained(&self, rules: &PolicyRules) -> BTreeSet<Oid> {
        let any = any_policy();
        let levels = self.graph.iter().skip(1).flatten();
        let rooted = levels.filter(|(policy, node)| **policy != any && node.parents.contains(&any));
        let mut authority: BTreeSet<Oid> = rooted.map(|(policy, _)| policy.clone()).collect();
        let any_holds = self.graph.last().is_some_and(|level| level.contains_key(&any));
        if any_holds {
            authority.insert(any);
        }
        match &rules.acceptable {
            None => authority,
            Some(acceptable) if any_holds => acceptable.clone(),
            Some(acceptable) => authority.intersection(acceptable).cloned().collect(),
        }
    }
}

/// The nodes of a level that expect `policy`.
fn expecting(level: &Level, policy: &Oid) -> BTreeSet<Oid> {
    let parents = level.iter().filter(|(_, node)| node.expected.contains(policy));
    parents.map(|(parent, _)| parent.clone()).collect()
}

fn lower(counter: &mut usize, constraint: Option<u32>) {
    if let Some(constraint) = constraint.and_then(|constraint| usize::try_from(constraint).ok()) {
        *counter = (*counter).min(constraint);
    }
}
