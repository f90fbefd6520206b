//! LDAP against a server that answers as each test says: over IPv4 and IPv6.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::io::{Read, Write};
use std::net::{IpAddr, TcpStream};

use crate::common::{BOTH, SHORT, Server, black_hole, fetcher, get, get_soon, nobody, settings};
use ravelin_fetch::error::Size;
use ravelin_fetch::url::Credentials;
use ravelin_fetch::{FetchError, Fetcher, Origin, Request, Roots, Settings, Source, Stage, Url};

const CRL: &str = "/cn=CA,o=X?certificateRevocationList;binary";

/// An element of BER with a length of four octets, as OpenLDAP writes long ones.
fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    [&[tag, 0x84][..], &u32::try_from(content.len()).unwrap().to_be_bytes(), &content].concat()
}

fn message(number: u8, operation: &[u8]) -> Vec<u8> {
    element(0x30, &[&[2, 1, number], operation])
}

fn done(tag: u8, code: u8, text: &str) -> Vec<u8> {
    element(tag, &[&[0x0a, 1, code], &element(4, &[]), &element(4, &[text.as_bytes()])])
}

fn entry(attribute: &str, values: &[&[u8]]) -> Vec<u8> {
    let values: Vec<Vec<u8>> = values.iter().map(|value| element(4, &[value])).collect();
    let values: Vec<&[u8]> = values.iter().map(Vec::as_slice).collect();
    let attribute = element(0x30, &[&element(4, &[attribute.as_bytes()]), &element(0x31, &values)]);
    element(0x64, &[&element(4, &[b"cn=CA,o=X"]), &element(0x30, &[&attribute])])
}

fn found(attribute: &str, values: &[&[u8]]) -> Vec<u8> {
    [message(2, &entry(attribute, values)), message(2, &done(0x65, 0, ""))].concat()
}

/// Reads one request: those of the client have short lengths.
fn read_request(stream: &mut TcpStream) -> Vec<u8> {
    let mut head = [0; 2];
    stream.read_exact(&mut head).unwrap();
    let mut content = vec![0; head[1].into()];
    stream.read_exact(&mut content).unwrap();
    content
}

fn server(ip: IpAddr, answer: Vec<u8>) -> Server {
    Server::start(ip, move |mut stream| {
        read_request(&mut stream);
        let _ = stream.write_all(&answer);
        black_hole(stream);
    })
}

/// One value and several; with the option, without it, and beside a reference.
#[test]
fn content_comes() {
    for ip in BOTH {
        let crl = server(ip, found("certificateRevocationList;binary", &[b"content"]));
        let fetched = fetcher().fetch(get(crl.url("ldap", CRL))).unwrap();
        assert_eq!((fetched.bytes.as_slice(), fetched.further.len()), (b"content".as_slice(), 0));
        let url = crl.url("ldap", CRL).to_string();
        assert_eq!(fetched.from, Source::Server { url, address: crl.address });
        let reference = message(2, &element(0x73, &[&element(4, &[b"ldap://192.0.2.1/"])]));
        let several = server(ip, [reference, found("caCertificate", &[b"one", b"two"])].concat());
        let fetched = fetcher().fetch(get(several.url("ldap", "/o=X?cACertificate"))).unwrap();
        assert_eq!((fetched.bytes.as_slice(), &fetched.further), (b"one".as_slice(), &vec![b"two".to_vec()]));
    }
}

/// A name and password are said first; refused, nothing is asked.
#[test]
fn binds() {
    let binding = |code: u8| {
        Server::start(BOTH[0], move |mut stream| {
            let request = read_request(&mut stream);
            assert!(request.ends_with(b"\x02\x01\x03\x04\x04cn=m\x80\x02pw"), "{request:02x?}");
            stream.write_all(&message(1, &done(0x61, code, "Invalid credentials"))).unwrap();
            if code == 0 {
                read_request(&mut stream);
                stream.write_all(&found("certificateRevocationList;binary", &[b"content"])).unwrap();
            }
            black_hole(stream);
        })
    };
    let credentials = Some(Credentials { user: "cn=m".into(), password: "pw".into() });
    let fetch = |server: &Server| {
        fetcher().fetch(Request { credentials: credentials.clone(), ..get(server.url("ldap", CRL)) })
    };
    assert_eq!(fetch(&binding(0)).unwrap().bytes, b"content");
    let foreign = Request {
        origin: Origin::Foreign,
        credentials: credentials.clone(),
        ..get(binding(0).url("ldap", CRL))
    };
    let refused = fetcher().fetch(foreign).unwrap_err();
    assert!(matches!(refused, FetchError::BadTarget { .. }), "{refused}");
    assert_eq!(fetch(&binding(49)), Err(FetchError::Status { code: 49, text: "Invalid credentials".into() }));
}

/// Where TLS is wanted and refused, or cannot be judged, nothing is asked, least of all a password said.
#[test]
fn start_tls_is_not_done_without() {
    let authority = rcgen::generate_simple_self_signed(["ca".into()]).unwrap();
    let roots = Roots::new([authority.cert.der().to_vec()]).unwrap();
    let (sender, requests) = std::sync::mpsc::channel();
    let server = Server::start(BOTH[0], move |mut stream| {
        sender.send(read_request(&mut stream)).unwrap();
        stream.write_all(&message(4, &done(0x78, 2, "what?"))).unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
        sender.send(rest).unwrap();
    });
    let credentials = Some(Credentials { user: "cn=m".into(), password: "pw".into() });
    let request = Request { credentials, start_tls: true, ..get(server.url("ldap", CRL)) };
    let error = fetcher().fetch(request.clone()).unwrap_err();
    assert!(matches!(error, FetchError::Tls { .. }), "{error}");
    assert_eq!(server.connections(), 0);
    let judging = Fetcher::start(Settings { roots, ..settings() }).unwrap();
    assert_eq!(judging.fetch(request), Err(FetchError::Status { code: 2, text: "what?".into() }));
    assert!(requests.recv().unwrap().ends_with(b"1.3.6.1.4.1.1466.20037"));
    assert_eq!(requests.recv().unwrap(), b"", "the connection ended there");
}

/// No object, no attribute, a farewell, nonsense: each told from the others.
#[test]
fn wrong_answers() {
    for ip in BOTH {
        let ask = |answer: Vec<u8>| fetcher().fetch(get(server(ip, answer).url("ldap", CRL))).unwrap_err();
        let none = ask(message(2, &done(0x65, 32, "no such object")));
        assert_eq!(none, FetchError::Status { code: 32, text: "no such object".into() });
        assert!(matches!(ask(found("cACertificate", &[b"x"])), FetchError::Status { code: 16, .. }));
        let farewell = ask(message(0, &done(0x78, 52, "going down")));
        assert_eq!(farewell, FetchError::Ended { stage: Stage::Answer, reason: "going down".into() });
        for nonsense in [
            b"HTTP/1.1 400 Bad Request".to_vec(),
            vec![0x30, 0],
            vec![0x30, 0x80, 0, 0],
            [0x30, 0x82, 1, 0].into_iter().chain([0x30; 256]).collect(),
            message(7, &done(0x65, 0, "")),
            message(2, &entry("a", &vec![b"".as_slice(); 1000])),
        ] {
            let error = ask(nonsense);
            assert!(matches!(error, FetchError::Malformed { .. }), "{error}");
        }
    }
}

/// The cap, by a message's announced length, by the values in it, and by messages without end.
#[test]
fn the_cap_holds() {
    for ip in BOTH {
        let name = "certificateRevocationList;binary";
        for (octets, fits) in [(1000, true), (1001, false)] {
            let outcome = fetcher().fetch(get(server(ip, found(name, &[&vec![0; octets]])).url("ldap", CRL)));
            let too_large = FetchError::TooLarge { announced: Size::AtLeast(1001), cap: 1000 };
            assert_eq!(
                outcome.map(|fetched| fetched.bytes.len()),
                if fits { Ok(octets) } else { Err(too_large) }
            );
        }
        let announced = server(ip, vec![0x30, 0x84, 0xff, 0xff, 0xff, 0xff]);
        let endless = Server::start(ip, |mut stream| {
            read_request(&mut stream);
            while stream.write_all(&message(2, &element(0x73, &[]))).is_ok() {}
        });
        for server in [announced, endless] {
            let error = fetcher().fetch(get(server.url("ldap", CRL))).unwrap_err();
            assert!(matches!(error, FetchError::TooLarge { cap: 1000, .. }), "{error}");
        }
    }
}

/// Dead, silent, silent within a message.
#[test]
fn the_deadline_holds() {
    for ip in BOTH {
        let address = nobody(ip);
        let dead = Url::parse(&format!("ldap://{address}{CRL}")).unwrap();
        assert_eq!(fetcher().fetch(get(dead)), Err(FetchError::Refused(address)));
        for (server, stage) in [
            (Server::start(ip, black_hole), Stage::Answer),
            (server(ip, vec![0x30, 0x82, 1, 0, 2]), Stage::Body),
        ] {
            let error = fetcher().fetch(get_soon(server.url("ldap", CRL))).unwrap_err();
            assert_eq!(error, FetchError::TimedOut { stage, deadline: SHORT });
        }
    }
}
