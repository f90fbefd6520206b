//! FTP (RFC 959) by `suppaftp`, over connections that we made; its passive modes alone.
//!
//! A server says where its data is to be fetched; we take the port and not the address (RFC 2577 §3: else it could send
//! us to any host). suppaftp bounds replies but knows no deadline over several reads; a watchman cuts all of a fetch's
//! connections when it passes.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use suppaftp::types::FileType;
use suppaftp::{FtpError, FtpStream, Mode, Status};

use super::{Content, Errand, read_content, server, target};
use crate::answer::words;
use crate::dial::{Dialer, machine};
use crate::error::{FetchError, Stage};
use crate::url::{Credentials, Scheme, Url};
use crate::wire::Deadline;

pub(super) fn run(errand: &Errand<'_>) -> Result<Content, FetchError> {
    let url = &errand.request.url;
    let (server, deadline, dialer) = (server(url)?, errand.deadline, errand.dialer);
    let name = file_name(url)?;
    let addresses = dialer.addresses(server, errand.request.origin, &deadline)?;
    let wire = dialer.connect(&addresses, &deadline)?;
    let peer = wire.peer;
    let watch = Watchman::start(deadline)?;
    watch.over(&wire.stream).map_err(|error| machine("watch over a connection", &error))?;
    let session = Session { dialer: dialer.clone(), deadline, watch, peer };
    let credentials = url.user.as_ref().or(errand.request.credentials.as_ref());
    let bytes = session.retrieve(wire.stream, credentials, &name, errand.request.limits.content)?;
    Ok(Content { bytes, from: Some((url.clone(), peer)), ..Content::default() })
}

/// The path below the login directory (RFC 1738 §3.2.2); of the types it may end in, the image alone.
fn file_name(url: &Url) -> Result<String, FetchError> {
    if url.query().is_some() {
        return Err(target(Scheme::Ftp, "it has a query"));
    }
    let path = url.decoded_path()?;
    let name = path.strip_prefix('/').unwrap_or(&path);
    let name = name.strip_suffix(";type=i").unwrap_or(name);
    if name.is_empty() || name.contains(";type=") {
        return Err(target(Scheme::Ftp, "it names no file"));
    }
    Ok(name.to_owned())
}

struct Session {
    dialer: Dialer,
    deadline: Deadline,
    watch: Arc<Watchman>,
    peer: SocketAddr,
}

impl Session {
    fn retrieve(
        &self,
        stream: TcpStream,
        credentials: Option<&Credentials>,
        name: &str,
        cap: usize,
    ) -> Result<Vec<u8>, FetchError> {
        let mut ftp = self.log_in(stream, credentials).map_err(|error| self.explain(Stage::Answer, error))?;
        let mut transfer = match ftp.retr_as_stream(name) {
            // A server before RFC 2428: it knows PASV alone.
            Err(FtpError::UnexpectedResponse(reply)) if is_unknown(reply.status) && self.peer.is_ipv4() => {
                ftp.set_mode(Mode::Passive);
                ftp.retr_as_stream(name)
            }
            opened => opened,
        }
        .map_err(|error| self.explain(Stage::Answer, error))?;
        let content = read_content(&mut transfer, cap, |error| self.explain_io(Stage::Body, error));
        if content.is_err() {
            // Else the end of the transfer would wait for the server's word.
            self.watch.cut();
        }
        let finished = transfer.finish().map_err(|error| self.explain(Stage::Body, error));
        content.and_then(|content| finished.map(|()| content))
    }

    fn log_in(&self, stream: TcpStream, credentials: Option<&Credentials>) -> Result<FtpStream, FtpError> {
        let (dialer, deadline, watch, peer) =
            (self.dialer.clone(), self.deadline, Arc::clone(&self.watch), self.peer);
        let mut ftp = FtpStream::connect_with_stream(stream)?.passive_stream_builder(move |told| {
            let address = SocketAddr::new(peer.ip(), told.port());
            let wire =
                dialer.connect(&[address], &deadline).map_err(|error| wrapped(io::Error::other(error)))?;
            watch.over(&wire.stream).map_err(wrapped)?;
            Ok(wire.stream)
        });
        ftp.set_mode(Mode::ExtendedPassive);
        // RFC 1635: a guest gives an address for a password.
        let (user, password) =
            credentials.map_or(("anonymous", "anonymous@"), |known| (&known.user, &known.password));
        ftp.login(user, password)?;
        ftp.transfer_type(FileType::Binary)?;
        Ok(ftp)
    }

    fn explain(&self, stage: Stage, error: FtpError) -> FetchError {
        match error {
            FtpError::ConnectionError(error) => self.explain_io(stage, &error),
            FtpError::UnexpectedResponse(reply) => {
                let text = String::from_utf8_lossy(&reply.body);
                let text = words(text.get(4..).unwrap_or_default());
                FetchError::Status { code: reply.status.code(), text }
            }
            other => FetchError::Malformed { scheme: Scheme::Ftp, reason: words(&other.to_string()) },
        }
    }

    /// A connection that was cut looks like one that ended: the clock tells.
    fn explain_io(&self, stage: Stage, error: &io::Error) -> FetchError {
        if let Err(passed) = self.deadline.left(stage) {
            return passed;
        }
        match error.get_ref().and_then(|inner| inner.downcast_ref::<FetchError>()) {
            Some(ours) => ours.clone(),
            None if error.kind() == io::ErrorKind::InvalidData => {
                FetchError::Malformed { scheme: Scheme::Ftp, reason: words(&error.to_string()) }
            }
            None => self.deadline.explain(stage, &self.peer.to_string(), error),
        }
    }
}

fn wrapped(error: io::Error) -> FtpError {
    FtpError::ConnectionError(error)
}

fn is_unknown(status: Status) -> bool {
    matches!(status.code(), 500 | 502 | 522)
}

/// Cuts the connections it watches when the deadline passes, and goes when it is dropped.
struct Watchman {
    watched: Arc<Mutex<Watched>>,
    _ended: Sender<()>,
}

#[derive(Default)]
struct Watched {
    streams: Vec<TcpStream>,
    is_cut: bool,
}

impl Watchman {
    fn start(deadline: Deadline) -> Result<Arc<Self>, FetchError> {
        let left = deadline.left(Stage::Connect)?;
        let (sender, ended) = mpsc::channel();
        let watched = Arc::new(Mutex::new(Watched::default()));
        let watching = Arc::clone(&watched);
        thread::Builder::new()
            .name("fetch-watch".into())
            .spawn(move || {
                if ended.recv_timeout(left) == Err(RecvTimeoutError::Timeout) {
                    cut(&watching);
                }
            })
            .map_err(|error| machine("start a watchman", &error))?;
        Ok(Arc::new(Self { watched, _ended: sender }))
    }

    fn over(&self, stream: &TcpStream) -> io::Result<()> {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        if watched.is_cut {
            return Err(io::ErrorKind::TimedOut.into());
        }
        watched.streams.push(stream.try_clone()?);
        Ok(())
    }

    fn cut(&self) {
        cut(&self.watched);
    }
}

fn cut(watched: &Mutex<Watched>) {
    let mut watched = watched.lock().unwrap_or_else(PoisonError::into_inner);
    watched.is_cut = true;
    for stream in watched.streams.drain(..) {
        // One that has ended already needs no cutting.
        let _ = stream.shutdown(Shutdown::Both);
    }
}
