//! HTTP against servers that are alive, dead, silent, endless, too large, wrong, or lead astray: over IPv4 and IPv6.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::io::{Read, Write};
use std::sync::mpsc;
use std::time::Instant;

use crate::common::{
    BOTH, ENOUGH, SHORT, Server, black_hole, fetcher, get, get_soon, nobody, ok, read_head, settings,
};
use ravelin_fetch::error::Size;
use ravelin_fetch::policy::{Range, RedirectProblem};
use ravelin_fetch::{
    FetchError, Fetcher, Limits, Method, Origin, Policy, Request, Settings, Source, Stage, Url,
};

/// The three ways in which HTTP/1.1 says how long content is (RFC 9112 §6).
#[test]
fn content_comes() {
    for ip in BOTH {
        for answer in [
            ok("content"),
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ncon\r\n4;x=y\r\ntent\r\n0\r\n\r\n"
                .into(),
            "HTTP/1.0 200 OK\r\n\r\ncontent".into(),
        ] {
            let server = Server::http(ip, answer.clone());
            let fetched = fetcher().fetch(get(server.url("http", "/a?b"))).unwrap();
            assert_eq!(fetched.bytes, b"content", "{answer}");
            let url = server.url("http", "/a?b").to_string();
            assert_eq!(fetched.from, Source::Server { url, address: server.address });
        }
    }
}

/// What is sent: a plain request without anything that would have content coded.
#[test]
fn the_request_is_plain() {
    let (sender, heads) = mpsc::channel();
    let server = Server::start(BOTH[0], move |mut stream| {
        sender.send(read_head(&mut stream)).unwrap();
        stream.write_all(ok("").as_bytes()).unwrap();
    });
    fetcher().fetch(get(server.url("http", "/a%20b?c"))).unwrap();
    let head = heads.recv().unwrap();
    assert!(head.starts_with("GET /a%20b?c HTTP/1.1\r\n"), "{head}");
    let head = head.to_ascii_lowercase();
    assert!(head.contains(&format!("\r\nhost: {}\r\n", server.address)), "{head}");
    assert!(!head.contains("accept-encoding"), "{head}");
}

/// An OCSP request arrives with its type and comes back with its answer.
#[test]
fn a_post_is_answered() {
    for ip in BOTH {
        let server = Server::start(ip, |mut stream| {
            let head = read_head(&mut stream).to_ascii_lowercase();
            assert!(head.starts_with("post /ocsp http/1.1\r\n"), "{head}");
            assert!(head.contains("\r\ncontent-type: application/ocsp-request\r\n"), "{head}");
            assert!(head.contains("\r\ncontent-length: 7\r\n"), "{head}");
            let mut body = [0; 7];
            stream.read_exact(&mut body).unwrap();
            stream.write_all(ok(std::str::from_utf8(&body).unwrap()).as_bytes()).unwrap();
        });
        let method = Method::Post { body: b"request".into(), content_type: "application/ocsp-request" };
        let fetched = fetcher().fetch(Request { method, ..get(server.url("http", "/ocsp")) });
        assert_eq!(fetched.unwrap().bytes, b"request");
    }
}

/// Nobody listens: said so, with the address.
#[test]
fn a_dead_server() {
    for ip in BOTH {
        let address = nobody(ip);
        let url = Url::parse(&format!("http://{address}/")).unwrap();
        assert_eq!(fetcher().fetch(get(url)), Err(FetchError::Refused(address)));
    }
}

/// Silence before and within the content ends at the deadline, and so does content that keeps coming.
#[test]
fn the_deadline_holds() {
    for ip in BOTH {
        let silent = Server::start(ip, black_hole);
        let start = Instant::now();
        let error = fetcher().fetch(get_soon(silent.url("http", "/"))).unwrap_err();
        assert_eq!(error, FetchError::TimedOut { stage: Stage::Answer, deadline: SHORT });
        assert!((SHORT..ENOUGH).contains(&start.elapsed()));
        let halting = Server::start(ip, |mut stream| {
            read_head(&mut stream);
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf").unwrap();
            black_hole(stream);
        });
        let trickling = Server::endless(ip, "HTTP/1.1 200 OK\r\n\r\n", "x");
        for server in [halting, trickling] {
            let limits = Limits { deadline: SHORT, content: 1 << 30 };
            let error = fetcher().fetch(Request { limits, ..get(server.url("http", "/")) }).unwrap_err();
            assert_eq!(error, FetchError::TimedOut { stage: Stage::Body, deadline: SHORT });
        }
    }
}

/// The cap, one below and one above it, announced and not; and content without end.
#[test]
fn the_cap_holds() {
    for ip in BOTH {
        for (octets, fits) in [(999, true), (1000, true), (1001, false)] {
            let content = "x".repeat(octets);
            let announced = Server::http(ip, ok(&content));
            let unsaid = Server::http(ip, format!("HTTP/1.1 200 OK\r\n\r\n{content}"));
            let fetch =
                |server: &Server| fetcher().fetch(get(server.url("http", "/"))).map(|f| f.bytes.len());
            let too_large = |announced| Err(FetchError::TooLarge { announced, cap: 1000 });
            let expected = |size| if fits { Ok(octets) } else { too_large(size) };
            assert_eq!(fetch(&announced), expected(Size::Announced(1001)));
            assert_eq!(fetch(&unsaid), expected(Size::AtLeast(1001)));
        }
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let chunk = format!("1000\r\n{}\r\n", "x".repeat(0x1000));
        for server in
            [Server::endless(ip, chunked, chunk), Server::endless(ip, "HTTP/1.1 200 OK\r\n\r\n", "x")]
        {
            let error = fetcher().fetch(get(server.url("http", "/"))).unwrap_err();
            assert_eq!(error, FetchError::TooLarge { announced: Size::AtLeast(1001), cap: 1000 });
        }
        let header = Server::endless(ip, "HTTP/1.1 200 OK\r\n", format!("X: {}\r\n", "x".repeat(1000)));
        let line = Server::endless(ip, "HTTP/1.1 200 OK\r\nX: ", "x".repeat(1000));
        let interim = Server::endless(ip, "", "HTTP/1.1 100 Continue\r\n\r\n");
        for server in [header, line, interim] {
            let error = fetcher().fetch(get(server.url("http", "/"))).unwrap_err();
            assert!(matches!(error, FetchError::HeaderTooLarge { .. }), "{error}");
        }
    }
}

/// Refusals, nonsense, and content cut short or coded are no content.
#[test]
fn wrong_answers() {
    for ip in BOTH {
        let ask = |answer: &str| fetcher().fetch(get(Server::http(ip, answer).url("http", "/"))).unwrap_err();
        assert_eq!(
            ask("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"),
            FetchError::Status { code: 404, text: "Not Found".into() }
        );
        assert_eq!(
            ask("HTTP/1.1 304 Not Modified\r\n\r\n"),
            FetchError::Status { code: 304, text: "Not Modified".into() },
            "nobody asked whether it was modified"
        );
        let cut = ask("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf");
        assert!(matches!(cut, FetchError::Ended { stage: Stage::Body, .. }), "{cut}");
        let nothing = ask("");
        assert!(matches!(nothing, FetchError::Ended { stage: Stage::Answer, .. }), "{nothing}");
        let nonsense = ask("\u{7}SSH-2.0-hello\r\n\r\n");
        assert!(matches!(nonsense, FetchError::Malformed { .. }), "{nonsense}");
        let coded = ask("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx");
        assert!(coded.to_string().contains("gzip"), "{coded}");
    }
}

fn redirect(to: &str) -> String {
    format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n")
}

/// Redirects are followed on the server and to others, three times and no more.
#[test]
fn redirects_are_followed_so_far() {
    for ip in BOTH {
        let target = Server::http(ip, ok("there"));
        let first = Server::http(ip, redirect(&target.url("http", "/x").to_string()));
        let policy = Policy { allow: vec![ip.into()], ..Policy::default() };
        let fetcher = Fetcher::start(Settings { policy, ..settings() }).unwrap();
        let fetched = fetcher.fetch(get(first.url("http", "/"))).unwrap();
        assert_eq!(fetched.bytes, b"there");
        let url = target.url("http", "/x").to_string();
        assert_eq!(fetched.from, Source::Server { url, address: target.address });
        let circle = Server::http(ip, redirect("/again"));
        let error = fetcher.fetch(get(circle.url("http", "/"))).unwrap_err();
        assert!(matches!(error, FetchError::RedirectRefused { why: RedirectProblem::Count, .. }), "{error}");
        assert_eq!(circle.connections(), 4);
    }
}

/// A redirect is a stranger's word: not into this machine, not to files, not down from TLS.
#[test]
fn redirects_do_not_lead_inside() {
    for ip in BOTH {
        let target = Server::http(ip, ok("secret"));
        let mut inside = target.url("http", "/");
        // The same server under another name, so that it is not the host the operator named.
        inside.server.as_mut().unwrap().host = ravelin_fetch::url::Host::Name("localhost".into());
        let server = Server::http(ip, redirect(&inside.to_string()));
        let error = fetcher().fetch(get(server.url("http", "/"))).unwrap_err();
        assert!(matches!(error, FetchError::AddressRefused { range: Range::Loopback, .. }), "{error}");
        assert_eq!(target.connections(), 0);
        for to in ["file:///etc/passwd", "ftp://192.0.2.1/"] {
            let error = fetcher().fetch(get(Server::http(ip, redirect(to)).url("http", "/"))).unwrap_err();
            assert!(
                matches!(error, FetchError::RedirectRefused { why: RedirectProblem::Scheme, .. }),
                "{error}"
            );
        }
        let error =
            fetcher().fetch(get(Server::http(ip, redirect("http://a b/")).url("http", "/"))).unwrap_err();
        assert!(matches!(error, FetchError::Malformed { .. }), "{error}");
    }
}

/// A certificate's URL does not reach this machine, by address or by name, and nothing is sent; an operator's does.
#[test]
fn certificates_do_not_lead_inside() {
    for ip in BOTH {
        let server = Server::http(ip, ok("content"));
        let foreign = Request { origin: Origin::Foreign, ..get(server.url("http", "/")) };
        let error = fetcher().fetch(foreign.clone()).unwrap_err();
        let (host, range) = (foreign.url.server.as_ref().unwrap().host.to_string(), Range::Loopback);
        assert_eq!(error, FetchError::AddressRefused { host, address: server.address, range });
        assert_eq!(server.connections(), 0);
        let policy = Policy { allow: vec![ip.into()], ..Policy::default() };
        let allowing = Fetcher::start(Settings { policy, ..settings() }).unwrap();
        assert_eq!(allowing.fetch(foreign).unwrap().bytes, b"content");
    }
    let server = Server::http(BOTH[0], ok("content"));
    let named = Url::parse(&format!("http://localhost:{}/", server.address.port())).unwrap();
    let error = fetcher().fetch(Request { origin: Origin::Foreign, ..get(named.clone()) }).unwrap_err();
    assert!(matches!(error, FetchError::AddressRefused { range: Range::Loopback, .. }), "{error}");
    assert_eq!(fetcher().fetch(get(named)).unwrap().bytes, b"content");
}

/// A scheme that the policy leaves out is not spoken, whoever asks.
#[test]
fn schemes_can_be_left_out() {
    let server = Server::http(BOTH[0], ok("content"));
    let policy = Policy { schemes: [].into(), ..Policy::default() };
    let fetcher = Fetcher::start(Settings { policy, ..settings() }).unwrap();
    let error = fetcher.fetch(get(server.url("http", "/"))).unwrap_err();
    assert_eq!(error, FetchError::SchemeRefused(ravelin_fetch::url::Scheme::Http));
    assert_eq!(server.connections(), 0);
}
