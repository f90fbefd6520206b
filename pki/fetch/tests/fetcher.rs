//! What the fetcher does with its threads, its memory and its directory.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use crate::common;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use crate::common::{BOTH, Server, fetcher, get, keeping, nobody, ok, read_head, settings};
use ravelin_fetch::desk::Bounds;
use ravelin_fetch::error::Size;
use ravelin_fetch::{
    FetchError, Fetcher, Limits, Policy, Priority, Request, Reuse, Settings, Source, Stage, Url,
};

/// A server that answers each request only when told to.
fn held(answer: String) -> (Server, mpsc::Sender<()>) {
    let (release, held) = mpsc::channel();
    let held = Mutex::new(held);
    let server = Server::start(BOTH[0], move |mut stream| {
        read_head(&mut stream);
        let _ = held.lock().unwrap().recv();
        let _ = stream.write_all(answer.as_bytes());
    });
    (server, release)
}

/// Fifty tunnels want one CRL: one request, fifty answers.
#[test]
fn equal_requests_are_one() {
    let (server, release) = held(ok("content"));
    let fetcher = fetcher();
    let (sender, answers) = mpsc::channel();
    for _ in 0..50 {
        let sender = sender.clone();
        fetcher.submit(get(server.url("http", "/crl")), move |outcome| sender.send(outcome).unwrap());
    }
    release.send(()).unwrap();
    for _ in 0..50 {
        assert_eq!(answers.recv().unwrap().unwrap().bytes, b"content");
    }
    assert_eq!(server.connections(), 1);
    drop(sender);
    assert!(answers.recv().is_err(), "nobody is answered twice");
}

/// While one server holds both its places, another is asked; the third of the first waits, and its deadline counts on.
#[test]
fn a_slow_server_does_not_hold_others_up() {
    let (slow, release) = held(ok("slow"));
    let quick = Server::http(BOTH[0], ok("quick"));
    let fetcher = Fetcher::start(Settings { threads: 3, ..settings() }).unwrap();
    let (sender, answers) = mpsc::channel();
    for path in ["/1", "/2", "/3"] {
        let sender = sender.clone();
        fetcher.submit(get(slow.url("http", path)), move |outcome| sender.send(outcome).unwrap());
    }
    assert_eq!(fetcher.fetch(get(quick.url("http", "/"))).unwrap().bytes, b"quick");
    assert_eq!(fetcher.load().waiting, 1);
    (0..3).for_each(|_| release.send(()).unwrap());
    (0..3).for_each(|_| assert_eq!(answers.recv().unwrap().unwrap().bytes, b"slow"));
}

/// What waited past its deadline is not fetched any more.
#[test]
fn waiting_counts() {
    let (slow, release) = held(ok("slow"));
    let bounds = Bounds { per_server: 1, ..Bounds::default() };
    let fetcher = Fetcher::start(Settings { bounds, ..settings() }).unwrap();
    let (sender, answers) = mpsc::channel();
    let second = sender.clone();
    fetcher.submit(get(slow.url("http", "/1")), move |outcome| sender.send(outcome).unwrap());
    let limits = Limits { deadline: std::time::Duration::ZERO, content: 10 };
    let hurried = Request { limits, ..get(slow.url("http", "/2")) };
    fetcher.submit(hurried, move |outcome| second.send(outcome).unwrap());
    release.send(()).unwrap();
    // In whichever order: a thread that has nothing to do tells who waits in vain.
    let (done, late): (Vec<_>, Vec<_>) =
        [answers.recv().unwrap(), answers.recv().unwrap()].into_iter().partition(Result::is_ok);
    assert_eq!((done.len(), late.len()), (1, 1));
    assert!(matches!(late[0], Err(FetchError::TimedOut { stage: Stage::Queue, .. })), "{late:?}");
    assert_eq!(slow.connections(), 1);
}

/// A dead server is left alone; an operator may have it tried.
#[test]
fn failures_are_remembered() {
    let address = nobody(BOTH[0]);
    let url = |path: &str| Url::parse(&format!("http://{address}{path}")).unwrap();
    let fetcher = fetcher();
    assert_eq!(fetcher.fetch(get(url("/1"))), Err(FetchError::Refused(address)));
    let again = fetcher.fetch(get(url("/2"))).unwrap_err();
    let FetchError::BackingOff { failures: 1, last, .. } = &again else { panic!("{again}") };
    assert_eq!(*last, FetchError::Refused(address).to_string());
    let operator = Request { priority: Priority::Operator, ..get(url("/2")) };
    assert_eq!(fetcher.fetch(operator), Err(FetchError::Refused(address)));
}

/// A server that counts what it is asked, knows its entity tag, and lets its answer be kept as it is told.
fn versioned(cache_control: &'static str) -> Server {
    Server::start(BOTH[0], move |mut stream| {
        let head = read_head(&mut stream).to_ascii_lowercase();
        let answer = if head.contains("if-none-match: \"v1\"") {
            format!("HTTP/1.1 304 Not Modified\r\nCache-Control: {cache_control}\r\n\r\n")
        } else {
            format!(
                "HTTP/1.1 200 OK\r\nETag: \"v1\"\r\nCache-Control: {cache_control}\r\n\
                 Content-Length: 7\r\n\r\ncontent"
            )
        };
        let _ = stream.write_all(answer.as_bytes());
    })
}

/// Fresh content is served without asking, also after a restart; asked for anew it comes anew.
#[test]
fn fresh_content_is_kept() {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("kept");
    let server = versioned("max-age=3600");
    let request = get(server.url("http", "/crl"));
    let first = keeping(directory.clone());
    assert!(first.fetch(request.clone()).unwrap().fresh_until.is_some());
    assert_eq!(first.fetch(request.clone()).unwrap().from, Source::Cache);
    first.end();
    let second = keeping(directory);
    let served = second.fetch(request.clone()).unwrap();
    assert_eq!((&served.from, served.bytes.as_slice()), (&Source::Cache, b"content".as_slice()));
    assert_eq!(server.connections(), 1);
    let revalidated = second.fetch(Request { reuse: Reuse::Revalidate, ..request.clone() }).unwrap();
    assert_eq!(revalidated.from, Source::Revalidated { address: server.address });
    assert_eq!(revalidated.bytes, b"content");
    let anew = second.fetch(Request { reuse: Reuse::Never, ..request.clone() }).unwrap();
    assert!(matches!(anew.from, Source::Server { .. }));
    assert_eq!(server.connections(), 3);
    let limits = Limits { content: 6, ..request.limits };
    let small = second.fetch(Request { limits, ..request }).unwrap_err();
    assert_eq!(small, FetchError::TooLarge { announced: Size::AtLeast(7), cap: 6 });
}

/// What is not fresh is asked about; what is damaged on disk is fetched; what must not be kept is not.
#[test]
fn stale_and_damaged_content_is_asked_for() {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("kept");
    let fetcher = keeping(directory.clone());
    let server = versioned("no-cache");
    let request = get(server.url("http", "/crl"));
    fetcher.fetch(request.clone()).unwrap();
    assert!(matches!(fetcher.fetch(request.clone()).unwrap().from, Source::Revalidated { .. }));
    assert_eq!(fetcher.kept(&request).unwrap().bytes, b"content");
    for file in std::fs::read_dir(&directory).unwrap() {
        std::fs::write(file.unwrap().path(), "damage").unwrap();
    }
    assert!(fetcher.kept(&request).is_none());
    assert!(matches!(fetcher.fetch(request.clone()).unwrap().from, Source::Server { .. }));
    let secret = versioned("no-store");
    let request = get(secret.url("http", "/crl"));
    fetcher.fetch(request.clone()).unwrap();
    assert!(fetcher.kept(&request).is_none());
    assert_eq!(fetcher.load().disk_trouble, None);
}

/// What is kept bridges a server that is away: the caller decides, and gets it.
#[test]
fn kept_content_outlives_its_server() {
    let place = tempfile::tempdir().unwrap();
    let is_up = Arc::new(AtomicBool::new(true));
    let up = Arc::clone(&is_up);
    let server = Server::start(BOTH[0], move |mut stream| {
        read_head(&mut stream);
        if up.load(Ordering::SeqCst) {
            let _ = stream.write_all(ok("content").as_bytes());
        }
    });
    let fetcher = keeping(place.path().join("kept"));
    let request = get(server.url("http", "/crl"));
    fetcher.fetch(request.clone()).unwrap();
    is_up.store(false, Ordering::SeqCst);
    assert!(fetcher.fetch(request.clone()).is_err());
    assert_eq!(fetcher.kept(&request).unwrap().bytes, b"content");
}

/// Everyone who waits is told when it ends.
#[test]
fn the_end_is_told() {
    let (slow, release) = held(ok("slow"));
    let fetcher = fetcher();
    let (sender, answers) = mpsc::channel();
    fetcher.submit(get(slow.url("http", "/")), move |outcome| sender.send(outcome).unwrap());
    drop(fetcher);
    assert_eq!(answers.recv().unwrap(), Err(FetchError::Closed));
    drop(release);
}

/// Files below the directory named, and nothing outside it by any path.
#[test]
fn files_stay_inside() {
    let place = tempfile::tempdir().unwrap();
    let inside = place.path().join("crls");
    std::fs::create_dir(&inside).unwrap();
    std::fs::write(inside.join("root.crl"), "content").unwrap();
    std::fs::write(inside.join("large.crl"), vec![0; 1001]).unwrap();
    std::fs::write(place.path().join("secret"), "secret").unwrap();
    std::os::unix::fs::symlink("../secret", inside.join("link")).unwrap();
    std::os::unix::fs::symlink("root.crl", inside.join("good")).unwrap();
    let policy = Policy { files: Some(inside.clone()), ..Policy::default() };
    let fetcher = Fetcher::start(Settings { policy, ..settings() }).unwrap();
    let fetch = |path: &str| {
        let url = Url::parse(&format!("file://{}/{path}", inside.display())).unwrap();
        fetcher.fetch(get(url))
    };
    for path in ["root.crl", "good", "%72oot.crl", "../crls/root.crl"] {
        let fetched = fetch(path);
        if path.starts_with("..") {
            assert!(fetched.is_err(), "{path}: up and down again is still up");
        } else {
            assert_eq!(fetched.unwrap().from, Source::File, "{path}");
        }
    }
    for path in ["link", "../secret", "%2e%2e/secret", ".", "missing"] {
        let error = fetch(path).unwrap_err();
        assert!(
            matches!(error, FetchError::Machine { .. } | FetchError::BadTarget { .. }),
            "{path}: {error}"
        );
    }
    assert_eq!(
        fetch("large.crl").unwrap_err(),
        FetchError::TooLarge { announced: Size::AtLeast(1001), cap: 1000 }
    );
    let outside = Url::parse(&format!("file://{}/secret", place.path().display())).unwrap();
    assert!(matches!(fetcher.fetch(get(outside.clone())), Err(FetchError::BadTarget { .. })));
    let refused = common::fetcher().fetch(get(outside)).unwrap_err();
    assert!(matches!(refused, FetchError::SchemeRefused(_)), "{refused}");
}
