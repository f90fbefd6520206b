//! One room per scheme. Each takes an errand and comes back with content or an error; none keeps anything.

mod file;
mod ftp;
mod http;
mod ldap;
mod tftp;

use std::io::Read;
use std::net::SocketAddr;

use crate::answer::check_size;
use crate::cache::{Keep, Validators};
use crate::dial::Dialer;
use crate::error::FetchError;
use crate::policy::Origin;
use crate::request::{Method, Request};
use crate::url::{Scheme, Server, Url};
use crate::wire::Deadline;

/// What a scheme is sent out for.
pub(crate) struct Errand<'a> {
    pub(crate) request: &'a Request,
    pub(crate) deadline: Deadline,
    pub(crate) dialer: &'a Dialer,
    /// Of the answer we have, for a conditional request.
    pub(crate) validators: Option<&'a Validators>,
}

/// What a scheme comes back with.
#[derive(Debug)]
pub(crate) enum Answer {
    Content(Box<Content>),
    /// What we have is still current.
    Unchanged {
        address: SocketAddr,
        keep: Keep,
    },
}

/// Content and what is known of it.
#[derive(Debug, Default)]
pub(crate) struct Content {
    pub(crate) bytes: Vec<u8>,
    pub(crate) further: Vec<Vec<u8>>,
    /// The last URL and the address asked; absent for a file.
    pub(crate) from: Option<(Url, SocketAddr)>,
    pub(crate) validators: Validators,
    pub(crate) keep: Keep,
}

/// Goes.
pub(crate) fn run(errand: &Errand<'_>) -> Result<Answer, FetchError> {
    let request = errand.request;
    let scheme = request.url.scheme;
    if !errand.dialer.policy.permits_scheme(request.origin, scheme) {
        return Err(FetchError::SchemeRefused(scheme));
    }
    if request.origin != Origin::Configured && request.credentials.is_some() {
        return Err(target(scheme, "a certificate's URL is not told our name and password"));
    }
    match (scheme, &request.method) {
        (Scheme::Http | Scheme::Https, _) => http::run(errand),
        (_, Method::Post { .. }) => Err(target(scheme, "nothing can be sent to it, only asked for")),
        (Scheme::File, _) => file::run(errand).map(|content| Answer::Content(content.into())),
        (Scheme::Ldap | Scheme::Ldaps, _) => ldap::run(errand).map(|content| Answer::Content(content.into())),
        (Scheme::Ftp, _) => ftp::run(errand).map(|content| Answer::Content(content.into())),
        (Scheme::Tftp, _) => tftp::run(errand).map(|content| Answer::Content(content.into())),
    }
}

/// The server of a URL that has one.
pub(crate) fn server(url: &Url) -> Result<&Server, FetchError> {
    url.server.as_ref().ok_or_else(|| target(url.scheme, "it names no server"))
}

/// A URL that asks of its scheme what is not done.
pub(crate) fn target(scheme: Scheme, problem: impl Into<String>) -> FetchError {
    FetchError::BadTarget { scheme, problem: problem.into() }
}

/// Reads to the end, and not an octet more than `cap` is kept.
pub(crate) fn read_content(
    reader: impl Read,
    cap: usize,
    explain: impl Fn(&std::io::Error) -> FetchError,
) -> Result<Vec<u8>, FetchError> {
    let mut bytes = Vec::new();
    let more = u64::try_from(cap).unwrap_or(u64::MAX).saturating_add(1);
    reader.take(more).read_to_end(&mut bytes).map_err(|error| explain(&error))?;
    check_size(bytes.len(), cap)?;
    Ok(bytes)
}
