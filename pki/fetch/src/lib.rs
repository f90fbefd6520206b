//! Fetches what the PKI needs over the network: certificates, CRLs, OCSP answers. Bytes come out; nothing is believed.
//!
//! What is fetched is judged by its own signature elsewhere, and a URL of a certificate must not come here before that
//! certificate chains to an anchor: that is the caller's to see to. This crate sees to the rest: where a URL may lead
//! ([`policy`]), how long it may take and how much it may bring ([`request::Limits`]), that a thousand tunnels ask once
//! ([`desk`]), that what failed is left alone for a while ([`backoff`]), what may be used again ([`cache`]), and what servers
//! say ([`answer`]). Those
//! are pure: time and randomness come in, decisions go out. Sockets, files and threads are in `dial`, `resolve`, `wire`, `disk`,
//! `scheme` and [`fetcher`].
//!
//! It blocks, on threads of its own: a handful of fetches at a time need no reactor.

#![forbid(unsafe_code)]

pub mod answer;
pub mod backoff;
pub mod cache;
pub mod desk;
mod dial;
mod disk;
pub mod error;
pub mod fetcher;
pub mod instance;
pub mod policy;
pub mod request;
mod resolve;
mod scheme;
pub mod tls;
pub mod url;
mod wire;

pub use error::{Fault, FetchError, Stage};
pub use fetcher::{Fetcher, Settings};
pub use instance::Instance;
pub use policy::{Origin, Policy};
pub use request::{Fetched, Limits, Method, Outcome, Priority, Request, Reuse, Source};
pub use tls::Roots;
pub use url::Url;
