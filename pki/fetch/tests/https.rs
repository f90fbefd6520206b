//! HTTPS: which servers are believed, and where redirects between it and HTTP lead. Over IPv4 and IPv6.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::io::Write;
use std::net::IpAddr;
use std::sync::Arc;

use crate::common::{BOTH, SHORT, Server, black_hole, get, get_soon, ok, read_head, settings};
use ravelin_fetch::policy::RedirectProblem;
use ravelin_fetch::{FetchError, Fetcher, Policy, Roots, Settings, Stage};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn roots(&self) -> Roots {
        Roots::new([self.0.der().to_vec()]).unwrap()
    }

    /// TLS with a certificate for `name`, valid until the year given.
    fn server(&self, name: &str, until: i32) -> Arc<ServerConfig> {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.into()]).unwrap();
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        let certificate = params.signed_by(&key, &*self.0).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        Arc::new(config)
    }
}

fn serve(ip: IpAddr, config: Arc<ServerConfig>, answer: String) -> Server {
    Server::start(ip, move |stream| {
        let session = ServerConnection::new(Arc::clone(&config)).unwrap();
        let mut stream = StreamOwned::new(session, stream);
        read_head(&mut stream);
        let _ = stream.write_all(answer.as_bytes());
        stream.conn.send_close_notify();
        let _ = stream.flush();
    })
}

fn fetcher(roots: Roots) -> Fetcher {
    let policy = Policy { allow: BOTH.map(Into::into).into(), ..Policy::default() };
    Fetcher::start(Settings { roots, policy, ..settings() }).unwrap()
}

/// A server of the authority given, by its address.
#[test]
fn a_known_server_is_believed() {
    for ip in BOTH {
        let authority = Authority::new("one");
        let server = serve(ip, authority.server(&ip.to_string(), 3000), ok("content"));
        let fetched = fetcher(authority.roots()).fetch(get(server.url("https", "/"))).unwrap();
        assert_eq!(fetched.bytes, b"content");
    }
}

/// Another authority's, another name's, an expired one, none at all, and no TLS: each is told from the others.
#[test]
fn others_are_not() {
    for ip in BOTH {
        let (authority, other) = (Authority::new("one"), Authority::new("other"));
        let name = ip.to_string();
        let reason = |roots: Roots, server: &Server| match fetcher(roots).fetch(get(server.url("https", "/")))
        {
            Err(FetchError::Tls { reason, .. }) => reason,
            outcome => panic!("{outcome:?}"),
        };
        let good = serve(ip, authority.server(&name, 3000), ok("content"));
        assert!(reason(other.roots(), &good).contains("does not chain"));
        assert!(reason(Roots::none(), &good).contains("no roots"));
        assert_eq!(good.connections(), 1, "without roots it is not even connected to");
        let misnamed = serve(ip, authority.server("other.example", 3000), ok("content"));
        assert!(reason(authority.roots(), &misnamed).contains("another name"));
        let expired = serve(ip, authority.server(&name, 2001), ok("content"));
        assert!(reason(authority.roots(), &expired).contains("expired"));
        let plain = Server::start(ip, |mut stream| {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
            black_hole(stream);
        });
        assert!(!reason(authority.roots(), &plain).is_empty());
    }
}

/// A server that takes the connection and never negotiates ends at the deadline.
#[test]
fn a_silent_handshake_ends() {
    for ip in BOTH {
        let server = Server::start(ip, black_hole);
        let error =
            fetcher(Authority::new("one").roots()).fetch(get_soon(server.url("https", "/"))).unwrap_err();
        assert_eq!(error, FetchError::TimedOut { stage: Stage::Handshake, deadline: SHORT });
    }
}

/// Content that says its length and is cut by the end of the connection is none, under TLS as well.
#[test]
fn truncation_is_seen() {
    let authority = Authority::new("one");
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf".to_owned();
    let server = serve(BOTH[0], authority.server("127.0.0.1", 3000), answer);
    let error = fetcher(authority.roots()).fetch(get(server.url("https", "/"))).unwrap_err();
    assert!(matches!(error, FetchError::Ended { stage: Stage::Body, .. }), "{error}");
}

/// Up to TLS, never down.
#[test]
fn redirects_climb() {
    for ip in BOTH {
        let authority = Authority::new("one");
        let config = authority.server(&ip.to_string(), 3000);
        let secure = serve(ip, Arc::clone(&config), ok("content"));
        let redirect =
            |to: String| format!("HTTP/1.1 301 Moved\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n");
        let up = Server::http(ip, redirect(secure.url("https", "/").to_string()));
        let fetcher = fetcher(authority.roots());
        assert_eq!(fetcher.fetch(get(up.url("http", "/"))).unwrap().bytes, b"content");
        let down = serve(ip, config, redirect(up.url("http", "/").to_string()));
        let error = fetcher.fetch(get(down.url("https", "/"))).unwrap_err();
        assert!(matches!(error, FetchError::RedirectRefused { why: RedirectProblem::Scheme, .. }), "{error}");
    }
}
