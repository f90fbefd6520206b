//! Lookups by a real fetcher from a real server of one thread.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crossbeam::channel;
use ravelin_fetch::desk::Bounds;
use ravelin_fetch::{Fetcher, Policy, Roots, Settings};
use ravelin_ike::config::ConnectionId;
use ravelin_pki::hash_and_url::{bundle, hash};

use super::*;

/// A server of these files; what is not there it never answers.
struct Server {
    port: u16,
    asked: Arc<AtomicUsize>,
}

impl Server {
    fn of(files: &[(&'static str, Vec<u8>)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(AtomicUsize::new(0));
        let (files, counted): (HashMap<_, _>, _) = (files.iter().cloned().collect(), Arc::clone(&asked));
        thread::spawn(move || {
            let mut silent = Vec::new();
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                counted.fetch_add(1, Ordering::SeqCst);
                let lines = BufReader::new(stream.try_clone().unwrap()).lines();
                let head: Vec<String> = lines.map_while(Result::ok).take_while(|it| !it.is_empty()).collect();
                let path = head.first().and_then(|line| line.split(' ').nth(1)).unwrap_or_default();
                let Some(content) = files.get(path) else {
                    silent.push(stream);
                    continue;
                };
                let head = format!(
                    "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
                    content.len()
                );
                // Who asked may have gone.
                let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(content));
            }
        });
        Self { port, asked }
    }

    fn elsewhere(&self, path: &str, bundle: bool, octets: &[u8]) -> Shown {
        let url = format!("http://127.0.0.1:{}{path}", self.port);
        Shown::Elsewhere(HashAndUrl { bundle, hash: hash(octets), url })
    }
}

/// Looks up where this network is allowed.
fn found(shown: Vec<Shown>, allow: &str) -> Found {
    let policy = Policy { allow: vec![allow.parse().unwrap()], ..Policy::default() };
    let (roots, bounds) = (Roots::none(), Bounds::default());
    let settings = Settings { policy, roots, bounds, threads: 2, kept: None, random: Box::new(|| 7) };
    let fetcher = Arc::new(Fetcher::start(settings).unwrap());
    let errands = Arc::new(Errands { fetcher, instances: Vec::new(), timeout: Duration::from_millis(500) });
    let (reply, answer) = channel::bounded(1);
    let lookup = Lookup { connection: ConnectionId(1), instance: 0, shown };
    look_up(&errands, lookup, move |found| reply.send(found).unwrap());
    answer.recv_timeout(Duration::from_secs(10)).unwrap()
}

fn here(shown: Vec<Shown>) -> Found {
    found(shown, "127.0.0.0/8")
}

fn code(found: Found) -> &'static str {
    found.unwrap_err().code()
}

/// In the peer's order, with a bundle's in its place, as many as a bundle has.
#[test]
fn what_lies_elsewhere_is_found() {
    let [own, sub, root] = [1, 2, 3].map(|number| vec![0x30, 1, number]);
    let both = bundle(&[&sub, &root]);
    let server = Server::of(&[("/own", own.clone()), ("/both", both.clone())]);
    let shown = vec![
        server.elsewhere("/own", false, &own),
        Shown::Here(root.clone()),
        server.elsewhere("/both", true, &both),
    ];
    assert_eq!(here(shown).unwrap(), [own, root.clone(), sub, root]);
    assert_eq!(server.asked.load(Ordering::SeqCst), 2);
}

/// What has another hash is not what the peer meant; nor is a certificate where a bundle should be one.
#[test]
fn what_is_found_is_held_against_its_hash() {
    let own = vec![0x30, 1, 1];
    let server = Server::of(&[("/own", own.clone())]);
    assert_eq!(code(here(vec![server.elsewhere("/own", false, b"another")])), "RV-PKI-046");
    assert_eq!(code(here(vec![server.elsewhere("/own", true, &own)])), "RV-PKI-046");
}

/// A stranger has us fetch few things, by HTTP, of few octets, from where certificates may lead, and for a short time.
#[test]
fn what_a_stranger_may_not_have_fetched_is_not() {
    let large = vec![0x30; MAX_OCTETS + 1];
    let server = Server::of(&[("/large", large.clone())]);
    let many = vec![server.elsewhere("/large", false, &large); MOST + 1];
    assert_eq!(code(here(many)), "RV-PKI-047");
    for url in ["https://127.0.0.1/", "file:///etc/passwd", "ftp://127.0.0.1/", "no url\n"] {
        let it = HashAndUrl { bundle: false, hash: [0; 20], url: url.into() };
        let refused = here(vec![Shown::Elsewhere(it)]).unwrap_err();
        assert_eq!(refused.code(), "RV-PKI-047", "{refused}");
        assert!(!refused.to_string().contains('\n'));
    }
    let private = found(vec![server.elsewhere("/large", false, &large)], "10.0.0.0/8").unwrap_err();
    assert!(private.to_string().contains("in this machine itself"), "{private}");
    assert_eq!(server.asked.load(Ordering::SeqCst), 0);
    let too_large = here(vec![server.elsewhere("/large", false, &large)]).unwrap_err();
    assert!(too_large.to_string().contains("more than the 65536"), "{too_large}");
    let silent = here(vec![server.elsewhere("/nothing", false, &large)]).unwrap_err();
    assert!(silent.to_string().contains("not done within 0.5 s"), "{silent}");
    assert_eq!([private.code(), too_large.code(), silent.code()], ["RV-LOCAL-022"; 3]);
}
