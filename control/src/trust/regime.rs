//! By which rules the revocation of a certificate is asked about: those of the authority that issued it, where it has a
//! ca-profile, and for the rest those of the trust-anchor-profile.

use std::collections::BTreeMap;
use std::sync::Arc;

use ravelin_pki::Certificate;
use ravelin_pki::revocation::KeyId;
use ravelin_pki::revocation::policy::{Demand, Order, Rules};

/// The rules of one trust-anchor-profile.
#[derive(Clone, Debug, Default)]
pub struct Regime {
    usual: Arc<Rules>,
    of: BTreeMap<KeyId, Arc<Rules>>,
}

/// What a ca-profile says: the authority, and its rules as far as they are its own.
#[derive(Clone, Debug)]
pub struct Particular<'a> {
    /// The key the authority signs with.
    pub key: KeyId,
    /// How much an answer matters, where it is not what is usual.
    pub demand: Option<Demand>,
    /// Whom to ask, likewise.
    pub order: Option<&'a Order>,
    /// All else.
    pub rules: &'a Rules,
}

impl Regime {
    /// What is usual, and what is particular to some authorities.
    pub fn new<'a>(
        demand: Demand,
        order: &Order,
        particular: impl IntoIterator<Item = Particular<'a>>,
    ) -> Self {
        let usual = Rules { demand, order: order.clone(), ..Rules::default() };
        let of = particular.into_iter().map(|it| (it.key, Arc::new(it.rules(demand, order)))).collect();
        Self { usual: Arc::new(usual), of }
    }

    /// Whether a responder's word that a peer brings itself would count with anybody (RFC 4806).
    pub fn wants_stapled(&self) -> bool {
        std::iter::once(&self.usual).chain(self.of.values()).any(|rules| rules.wants_stapled())
    }

    /// The rules for what this authority has issued.
    pub fn rules(&self, issuer: &Certificate) -> Arc<Rules> {
        if self.of.is_empty() {
            return Arc::clone(&self.usual);
        }
        Arc::clone(self.of.get(&KeyId::of(issuer)).unwrap_or(&self.usual))
    }
}

impl Particular<'_> {
    /// The authority's rules, where all else is as usual.
    pub fn rules(&self, demand: Demand, order: &Order) -> Rules {
        Rules {
            demand: self.demand.unwrap_or(demand),
            order: self.order.unwrap_or(order).clone(),
            ..self.rules.clone()
        }
    }
}
