//! HTTP and HTTPS by `ureq`, over connections that we made.
//!
//! ureq writes requests and reads heads, chunks and lengths; it neither resolves, connects, speaks TLS, follows
//! redirects nor decompresses here, because each of these is a decision of ours ([`crate::dial`], [`crate::policy`]).
//! One connection carries one request.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::Mutex;

use ureq::config::Config;
use ureq::http::header::{
    AGE, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, ETAG, LAST_MODIFIED, LOCATION,
};
use ureq::http::header::{IF_MODIFIED_SINCE, IF_NONE_MATCH};
use ureq::http::{HeaderMap, HeaderName, Response, Uri};
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport,
};
use ureq::{Agent, Body};

use super::{Answer, Content, Errand, read_content, server, target};
use crate::answer::words;
use crate::cache::{Keep, Validators};
use crate::error::{FetchError, Size, Stage};
use crate::policy::{Origin, permits_redirect, redirect_origin};
use crate::request::Method;
use crate::url::Url;
use crate::wire::{Connection, Deadline};

/// Octets of an answer's status line and header fields.
const HEADER: usize = 32 << 10;
/// Octets of ureq's buffers; the incoming one must hold a whole header.
const BUFFER: usize = 64 << 10;

/// One request and what its connection was.
struct Exchange {
    response: Response<Body>,
    host: String,
    address: SocketAddr,
    deadline: Deadline,
}

enum Step {
    Done(Answer),
    Redirect(Url),
}

/// Asks, and follows redirects as far as they may lead.
pub(super) fn run(errand: &Errand<'_>) -> Result<Answer, FetchError> {
    let mut url = errand.request.url.clone();
    let mut origin = errand.request.origin;
    let mut followed = 0;
    loop {
        let next = match ask(errand, &url, origin)?.read(errand, &url)? {
            Step::Done(answer) => return Ok(answer),
            Step::Redirect(next) => next,
        };
        permits_redirect(&url, &next, followed)
            .map_err(|why| FetchError::RedirectRefused { to: next.to_string(), why })?;
        origin = redirect_origin(origin, &url, &next);
        if !errand.dialer.policy.permits_scheme(origin, next.scheme) {
            return Err(FetchError::SchemeRefused(next.scheme));
        }
        url = next;
        followed += 1;
    }
}

fn ask(errand: &Errand<'_>, url: &Url, origin: Origin) -> Result<Exchange, FetchError> {
    let server = server(url)?;
    let deadline = errand.deadline;
    let (connection, address) = errand.dialer.dial(url.scheme, server, origin, &deadline)?;
    let agent = Agent::with_parts(config(), Handed(Mutex::new(Some(connection))), Resolved(address));
    let host = server.host.to_string();
    let response = send(&agent, url, &errand.request.method, errand.validators)
        .map_err(|error| explain(error, Stage::Answer, url, &host, &deadline))?;
    Ok(Exchange { response, host, address, deadline })
}

fn config() -> Config {
    Config::builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .proxy(None)
        .max_idle_connections(0)
        .max_response_header_size(HEADER)
        .input_buffer_size(BUFFER)
        .user_agent(concat!("ravelin/", env!("CARGO_PKG_VERSION")))
        .build()
}

fn send(
    agent: &Agent,
    url: &Url,
    method: &Method,
    validators: Option<&Validators>,
) -> Result<Response<Body>, ureq::Error> {
    let text = url.to_string();
    match method {
        Method::Post { body, content_type } => {
            agent.post(text).content_type(*content_type).send(body.as_slice())
        }
        Method::Get => {
            let mut get = agent.get(text);
            // RFC 9110 §13.1.3: a server that knows entity tags ignores the date.
            if let Some(tag) = validators.and_then(|known| known.entity_tag.as_deref()) {
                get = get.header(IF_NONE_MATCH, tag);
            }
            if let Some(date) = validators.and_then(|known| known.last_modified.as_deref()) {
                get = get.header(IF_MODIFIED_SINCE, date);
            }
            get.call()
        }
    }
}

impl Exchange {
    fn read(self, errand: &Errand<'_>, url: &Url) -> Result<Step, FetchError> {
        let is_get = errand.request.method == Method::Get;
        let status = self.response.status().as_u16();
        match status {
            200 => self.content(errand, url).map(|content| Step::Done(Answer::Content(content.into()))),
            304 if errand.validators.is_some() && is_get => {
                let keep = keep_of(self.response.headers());
                Ok(Step::Done(Answer::Unchanged { address: self.address, keep }))
            }
            // RFC 9110 §15.4: only these two keep a POST a POST.
            307 | 308 => self.redirect(url).map(Step::Redirect),
            301..=303 if is_get => self.redirect(url).map(Step::Redirect),
            _ => {
                let reason = self.response.status().canonical_reason().unwrap_or("without words");
                Err(FetchError::Status { code: status.into(), text: words(reason) })
            }
        }
    }

    fn redirect(&self, url: &Url) -> Result<Url, FetchError> {
        let place = text(self.response.headers(), &LOCATION)
            .ok_or_else(|| malformed(url, "a redirect that does not say where to"))?;
        url.join(&place).map_err(|problem| malformed(url, format!("a redirect to what is no URL: {problem}")))
    }

    fn content(self, errand: &Errand<'_>, url: &Url) -> Result<Content, FetchError> {
        let headers = self.response.headers();
        if let Some(coding) = text(headers, &CONTENT_ENCODING).filter(|coding| coding != "identity") {
            return Err(malformed(
                url,
                format!("content coded as {}, which was not asked for", words(&coding)),
            ));
        }
        let cap = errand.request.limits.content;
        check_announced(headers, cap)?;
        let validators =
            Validators { entity_tag: text(headers, &ETAG), last_modified: text(headers, &LAST_MODIFIED) };
        let keep = keep_of(headers);
        let (host, deadline) = (self.host, self.deadline);
        let bytes = read_content(self.response.into_body().into_reader(), cap, |error| {
            deadline.explain(Stage::Body, &host, error)
        })?;
        Ok(Content { bytes, further: Vec::new(), from: Some((url.clone(), self.address)), validators, keep })
    }
}

fn check_announced(headers: &HeaderMap, cap: usize) -> Result<(), FetchError> {
    let announced: Option<u64> = text(headers, &CONTENT_LENGTH).and_then(|length| length.trim().parse().ok());
    match announced {
        Some(octets) if usize::try_from(octets).is_ok_and(|octets| octets <= cap) => Ok(()),
        Some(octets) => Err(FetchError::TooLarge { announced: Size::Announced(octets), cap }),
        None => Ok(()),
    }
}

fn keep_of(headers: &HeaderMap) -> Keep {
    Keep::of(text(headers, &CACHE_CONTROL).as_deref(), text(headers, &AGE).as_deref())
}

fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

fn malformed(url: &Url, reason: impl Into<String>) -> FetchError {
    FetchError::Malformed { scheme: url.scheme, reason: reason.into() }
}

fn explain(error: ureq::Error, stage: Stage, url: &Url, host: &str, deadline: &Deadline) -> FetchError {
    match error {
        ureq::Error::Io(error) => deadline.explain(stage, host, &error),
        ureq::Error::BadUri(problem) => target(url.scheme, words(&problem)),
        ureq::Error::Http(problem) => target(url.scheme, words(&problem.to_string())),
        ureq::Error::LargeResponseHeader(..) => FetchError::HeaderTooLarge { cap: HEADER },
        other => malformed(url, words(&other.to_string())),
    }
}

/// Gives ureq the one connection that was made.
#[derive(Debug)]
struct Handed(Mutex<Option<Connection>>);

impl Connector for Handed {
    type Out = Link;

    fn connect(&self, _: &ConnectionDetails<'_>, _: Option<()>) -> Result<Option<Link>, ureq::Error> {
        let connection = self.0.lock().ok().and_then(|mut handed| handed.take());
        Ok(connection.map(|connection| Link { connection, buffers: LazyBuffers::new(BUFFER, BUFFER) }))
    }
}

/// Tells ureq the address that was asked, for it wants one; it resolves nothing.
#[derive(Debug)]
struct Resolved(SocketAddr);

impl Resolver for Resolved {
    fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let mut addresses = self.empty();
        addresses.push(self.0);
        Ok(addresses)
    }
}

/// A connection as ureq sees it. The deadline is the connection's own.
#[derive(Debug)]
struct Link {
    connection: Connection,
    buffers: LazyBuffers,
}

impl Transport for Link {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, _: NextTimeout) -> Result<(), ureq::Error> {
        let output = self.buffers.output().get(..amount).unwrap_or_default();
        self.connection.write_all(output)?;
        self.connection.flush()?;
        Ok(())
    }

    fn await_input(&mut self, _: NextTimeout) -> Result<bool, ureq::Error> {
        let amount = self.connection.read(self.buffers.input_append_buf())?;
        self.buffers.input_appended(amount);
        Ok(amount > 0)
    }

    fn is_open(&mut self) -> bool {
        false
    }

    fn is_tls(&self) -> bool {
        self.connection.is_tls()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// What our reader takes for an HTTP URL, ureq's takes as well, with the same host.
        #[test]
        fn both_readers_agree(text in "https?://[a-z0-9._\\-\\[\\]:]{1,12}(/[!-~]{0,12})?(\\?[!-~]{0,8})?") {
            if let Ok(url) = Url::parse(&text) {
                let theirs: Uri = url.to_string().parse().map_err(|error| TestCaseError::fail(format!("{url}: {error}")))?;
                let server = url.server.as_ref().unwrap();
                prop_assert_eq!(theirs.host().unwrap(), server.host.to_string());
                prop_assert_eq!(theirs.path_and_query().unwrap().as_str(), url.path_and_query());
            }
        }
    }
}
