//! What is asked of a [`crate::Fetcher`] and what it answers: values alone.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::error::FetchError;
use crate::instance::Instance;
use crate::policy::Origin;
use crate::url::{Credentials, Url};

/// One thing to fetch.
#[derive(Debug, Clone)]
pub struct Request {
    /// What.
    pub url: Url,
    /// How.
    pub method: Method,
    /// Who wrote the URL: it decides which addresses it may lead to.
    pub origin: Origin,
    /// In which instance's network; `None` is the process's own.
    pub instance: Option<Instance>,
    /// As whom, where the scheme knows users and the URL names none (FTP, LDAP). With a foreign URL it is refused: a
    /// stranger's server is not told.
    pub credentials: Option<Credentials>,
    /// LDAP: TLS on the plain port before anything is asked (RFC 4511 §4.14). Of no meaning elsewhere.
    pub start_tls: bool,
    /// How long and how much.
    pub limits: Limits,
    /// Before and after which others.
    pub priority: Priority,
    /// What of earlier answers is good enough.
    pub reuse: Reuse,
}

impl Request {
    /// A URL of a certificate, with the usual limits.
    #[must_use]
    pub fn new(url: Url) -> Self {
        Self {
            url,
            method: Method::Get,
            origin: Origin::Foreign,
            instance: None,
            credentials: None,
            start_tls: false,
            limits: Limits::default(),
            priority: Priority::Authentication,
            reuse: Reuse::WhileFresh,
        }
    }
}

/// GET, or POST of a request (OCSP, SCEP, CMP).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Method {
    /// Asks for the thing itself; every scheme can.
    Get,
    /// Sends something: HTTP and HTTPS alone. Never kept on disk.
    Post {
        /// What is sent.
        body: Vec<u8>,
        /// Its media type, such as `application/ocsp-request`.
        content_type: &'static str,
    },
}

/// Bounds that hold whatever the server does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Limits {
    /// From the moment it is asked for to the last octet, redirects and retries included.
    pub deadline: Duration,
    /// Content, in octets.
    pub content: usize,
}

impl Default for Limits {
    /// 10 s, as OCSP's setup timer has it; 64 MiB, a CRL of well over a million entries.
    fn default() -> Self {
        Self { deadline: Duration::from_secs(10), content: 64 << 20 }
    }
}

/// Who is served first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Priority {
    /// Fetched ahead of its need.
    Prefetch,
    /// A tunnel waits for it.
    Authentication,
    /// An operator asks: what failed lately is tried again at once.
    Operator,
}

/// What of earlier answers is good enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reuse {
    /// What the server said to keep, while it said so; then a conditional request.
    WhileFresh,
    /// Ask whether what we have is still current (RFC 9110 §13); the content comes only if not.
    Revalidate,
    /// The content anew.
    Never,
}

/// What was fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// The content; of an LDAP attribute with several values the first.
    pub bytes: Vec<u8>,
    /// The other values of an LDAP attribute.
    pub further: Vec<Vec<u8>>,
    /// Where it came from in the end.
    pub from: Source,
    /// Until when the server lets it be kept (Cache-Control: max-age), if it says.
    pub fresh_until: Option<SystemTime>,
    /// How long it took.
    pub took: Duration,
}

/// Where content came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// From a server, perhaps after redirects.
    Server {
        /// The last URL, without its user and password.
        url: String,
        /// The address that was asked.
        address: SocketAddr,
    },
    /// From a file of this machine.
    File,
    /// From the cache, fresh by the server's word.
    Cache,
    /// From the cache, after the server said that it is still current.
    Revalidated {
        /// The address that was asked.
        address: SocketAddr,
    },
}

/// What comes of a request. Shared: a thousand who wait for one large CRL have it once.
pub type Outcome = Result<Arc<Fetched>, FetchError>;
