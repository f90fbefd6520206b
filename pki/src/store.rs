//! The certificates we hold ourselves: those we trust, and those that merely help to reach them.
//!
//! The two are different types so that one cannot be passed for the other. A store is plain data; who fills it, and
//! with which files, is the trust service's affair. An anchor may be a root, an intermediate, or the very
//! certificate of a peer (pinned).

use std::sync::Arc;

use crate::x509::{Certificate, Name};

/// Certificates believed because the operator said so.
#[derive(Clone, Debug, Default)]
pub struct Anchors(Set);

/// Certificates believed only if they chain to an anchor.
#[derive(Clone, Debug, Default)]
pub struct Intermediates(Set);

/// Certificates without repetition, in the order they came.
#[derive(Clone, Debug, Default)]
struct Set(Vec<Arc<Certificate>>);

impl Set {
    fn add(&mut self, certificate: Arc<Certificate>) {
        if !self.0.contains(&certificate) {
            self.0.push(certificate);
        }
    }
}

macro_rules! store {
    ($store:ident) => {
        impl $store {
            /// Adds a certificate unless it is there already.
            pub fn add(&mut self, certificate: Arc<Certificate>) {
                self.0.add(certificate);
            }

            /// Every certificate, in the order it was added.
            pub fn iter(&self) -> impl Iterator<Item = &Arc<Certificate>> {
                self.0.0.iter()
            }

            /// Those with this subject (RFC 5280 §7.1 comparison).
            pub fn with_subject<'a>(
                &'a self,
                subject: &'a Name,
            ) -> impl Iterator<Item = &'a Arc<Certificate>> {
                self.iter().filter(move |certificate| certificate.subject == *subject)
            }

            /// Whether this very certificate is among them.
            pub fn contains(&self, certificate: &Certificate) -> bool {
                self.iter().any(|held| **held == *certificate)
            }

            /// How many there are.
            pub fn len(&self) -> usize {
                self.0.0.len()
            }

            /// Whether there are none.
            pub fn is_empty(&self) -> bool {
                self.0.0.is_empty()
            }
        }

        impl FromIterator<Arc<Certificate>> for $store {
            fn from_iter<I: IntoIterator<Item = Arc<Certificate>>>(certificates: I) -> Self {
                let mut store = Self::default();
                certificates.into_iter().for_each(|certificate| store.add(certificate));
                store
            }
        }
    };
}

store!(Anchors);
store!(Intermediates);
