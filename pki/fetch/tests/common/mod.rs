//! Servers on the loopback that do as a test says, and fetchers to meet them.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use ravelin_fetch::desk::Bounds;
use ravelin_fetch::{Fetcher, Limits, Origin, Policy, Request, Roots, Settings, Url};

/// Both families: each test that speaks to a server runs over both.
pub const BOTH: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];

/// Long enough for a busy machine; what is to fail by its deadline has a shorter one.
pub const ENOUGH: Duration = Duration::from_secs(30);
/// For what never answers.
pub const SHORT: Duration = Duration::from_millis(300);

/// A server that lives as long as the test program.
pub struct Server {
    pub address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl Server {
    /// Listens, and has `answer` serve each connection on a thread of its own.
    pub fn start(ip: IpAddr, answer: impl Fn(TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((ip, 0)).unwrap();
        let server = Self { address: listener.local_addr().unwrap(), connections: Arc::default() };
        let (count, answer) = (Arc::clone(&server.connections), Arc::new(answer));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (answer, stream) = (Arc::clone(&answer), stream.unwrap());
                count.fetch_add(1, Ordering::SeqCst);
                thread::spawn(move || answer(stream));
            }
        });
        server
    }

    /// An HTTP server that gives every request the same octets.
    pub fn http(ip: IpAddr, answer: impl Into<Vec<u8>>) -> Self {
        let answer = answer.into();
        Self::start(ip, move |mut stream| {
            read_head(&mut stream);
            let _ = stream.write_all(&answer);
        })
    }

    /// An HTTP server that repeats `again` after `first`, without end.
    pub fn endless(ip: IpAddr, first: &'static str, again: impl Into<Vec<u8>>) -> Self {
        let again = again.into();
        Self::start(ip, move |mut stream| {
            read_head(&mut stream);
            let _ = stream.write_all(first.as_bytes());
            while stream.write_all(&again).is_ok() {}
        })
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub fn url(&self, scheme: &str, path: &str) -> Url {
        Url::parse(&format!("{scheme}://{}{path}", self.address)).unwrap()
    }
}

/// An address where nobody listens.
pub fn nobody(ip: IpAddr) -> SocketAddr {
    TcpListener::bind((ip, 0)).unwrap().local_addr().unwrap()
}

/// Takes what is sent and never answers.
pub fn black_hole(mut stream: TcpStream) {
    let _ = std::io::copy(&mut stream, &mut std::io::sink());
}

/// Reads a line without its end; an empty one when there is no more.
pub fn read_line(stream: &mut impl Read) -> String {
    let (mut line, mut octet) = (Vec::new(), [0]);
    while !line.ends_with(b"\r\n") && stream.read(&mut octet).unwrap_or(0) == 1 {
        line.push(octet[0]);
    }
    String::from_utf8_lossy(&line).trim_end().to_owned()
}

/// Reads a request's head, and returns it.
pub fn read_head(stream: &mut impl Read) -> String {
    let (mut head, mut octet) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut octet).unwrap_or(0) == 1 {
        head.push(octet[0]);
    }
    String::from_utf8_lossy(&head).into_owned()
}

/// An answer with its length.
pub fn ok(content: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{content}", content.len())
}

/// A request that may lead to the loopback.
pub fn get(url: Url) -> Request {
    Request {
        origin: Origin::Configured,
        limits: Limits { deadline: ENOUGH, content: 1000 },
        ..Request::new(url)
    }
}

/// The same with a deadline that is to pass.
pub fn get_soon(url: Url) -> Request {
    Request { limits: Limits { deadline: SHORT, content: 1000 }, ..get(url) }
}

/// A fetcher without roots, files or cache; the least jitter.
pub fn settings() -> Settings {
    Settings {
        policy: Policy::default(),
        roots: Roots::none(),
        bounds: Bounds::default(),
        threads: 4,
        kept: None,
        random: Box::new(|| 0),
    }
}

pub fn fetcher() -> Fetcher {
    Fetcher::start(settings()).unwrap()
}

pub fn keeping(directory: PathBuf) -> Fetcher {
    Fetcher::start(Settings { kept: Some((directory, 1 << 20)), ..settings() }).unwrap()
}
