//! What an authority's word is had from while ravelind is measured: a server of answers made ahead and of a list (HTTP/1.1,
//! RFC 9112), and one that takes every question and answers none.
//!
//! Each is a thread, or a socket, in the responder's namespace, on the loopback address. One request a connection, one
//! after another: what is asked is a few octets, and what is said was made before. Only what ravelind sends is understood:
//! GET, whose address is all that counts.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use core_affinity::CoreId;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, setns};

use crate::ike::authority::asked_about;

/// The path of the list.
pub const LIST: &str = "/list.crl";
/// Between two looks whether it is over, in milliseconds.
const LOOK: u16 = 50;
/// Whoever asks has so long for it.
const PATIENCE: Duration = Duration::from_secs(2);
/// Octets of the longest request.
const LONGEST: usize = 4096;
/// OCSPResponse of a responder that does not know the certificate: unauthorized (RFC 5019 §2.2.3).
const UNAUTHORIZED: [u8; 5] = [0x30, 3, 10, 1, 6];

/// What is served.
#[derive(Default)]
pub struct Served {
    /// Answers by the number of the certificate, from 0.
    pub answers: Vec<Vec<u8>>,
    /// The list.
    pub list: std::sync::Mutex<Vec<u8>>,
    /// Requests that were answered.
    pub asked: AtomicU64,
}

/// A server; it ends when dropped.
pub struct Server {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Serves in this namespace at this port, on this core.
    ///
    /// # Errors
    /// When the namespace cannot be entered or the port is taken.
    pub fn start(namespace: &str, (port, core): (u16, usize), served: Arc<Served>) -> Result<Server> {
        let listener = listen(namespace, port)?;
        let over = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&over);
        let thread = std::thread::Builder::new().name(format!("server-{port}")).spawn(move || {
            core_affinity::set_for_current(CoreId { id: core });
            serve(&listener, &served, &until);
        })?;
        Ok(Server { over, thread: Some(thread) })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.over.store(true, Relaxed);
        // It has panicked, and said so.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// A port in this namespace that takes connections and says nothing, for as long as it is held.
///
/// # Errors
/// As [`Server::start`].
pub fn swallow(namespace: &str, port: u16) -> Result<TcpListener> {
    listen(namespace, port)
}

/// A socket stays in the namespace in which it was made; the thread that makes it is gone afterwards.
fn listen(namespace: &str, port: u16) -> Result<TcpListener> {
    let path = format!("/run/netns/{namespace}");
    let make = move || -> Result<TcpListener> {
        let file = std::fs::File::open(&path).context("opening a namespace")?;
        setns(file, CloneFlags::CLONE_NEWNET).context("entering a namespace")?;
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        let listener = listener.with_context(|| format!("binding TCP port {port}"))?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    };
    std::thread::spawn(make).join().map_err(|_| anyhow!("the thread that listens has ended"))?
}

fn serve(listener: &TcpListener, served: &Served, over: &AtomicBool) {
    while !over.load(Relaxed) {
        let mut sockets = [PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
        // However it ends, what counts is whether somebody is there.
        let _ = poll(&mut sockets, PollTimeout::from(LOOK));
        while let Ok((caller, _)) = listener.accept() {
            // Who does not get its answer asks again, or counts as refused.
            let _ = answer(caller, served);
        }
    }
}

fn answer(mut caller: TcpStream, served: &Served) -> std::io::Result<()> {
    caller.set_nonblocking(false)?;
    caller.set_read_timeout(Some(PATIENCE))?;
    caller.set_nodelay(true)?;
    let head = head(&mut caller)?;
    let path = head.split(' ').nth(1).unwrap_or_default();
    let list;
    let body: &[u8] = match path {
        LIST => {
            list = served.list.lock().map(|list| list.clone()).unwrap_or_default();
            &list
        }
        _ => {
            let found = asked_about(path).and_then(|number| served.answers.get(number as usize));
            found.map_or(&UNAUTHORIZED, Vec::as_slice)
        }
    };
    let kind = if path == LIST { "application/pkix-crl" } else { "application/ocsp-response" };
    let length = body.len();
    let said = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    served.asked.fetch_add(1, Relaxed);
    caller.write_all(&[said.as_bytes(), body].concat())
}

/// A request up to the end of its fields.
fn head(caller: &mut TcpStream) -> std::io::Result<String> {
    let mut octets = Vec::new();
    while !octets.ends_with(b"\r\n\r\n") {
        let mut part = [0; 1024];
        match caller.read(&mut part)? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            length => octets.extend(part.iter().take(length)),
        }
        if octets.len() > LONGEST {
            return Err(ErrorKind::InvalidData.into());
        }
    }
    Ok(String::from_utf8_lossy(&octets).into_owned())
}
