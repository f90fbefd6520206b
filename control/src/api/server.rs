//! The daemon's end of the control socket. Each client has a thread, a bounded line, and
//! deadlines for reading and writing; there are at most so many clients. Malformed, huge,
//! slow and hostile clients get an error or are dropped, and nobody else notices. Who may
//! connect is decided by the socket's mode and by peer credentials.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use nix::sys::socket::sockopt::{PeerCredentials, SndBufForce};
use nix::sys::socket::{getsockopt, setsockopt};
use nix::unistd::Group;
use zeroize::Zeroizing;

use super::{AHEAD, ApiError, LONGEST_LINE, Reply, Request, rpc};

/// More than this many clients at once are turned away: an operator has a handful.
const CLIENTS: usize = 64;
/// Read at once.
const CHUNK: usize = 8 * 1024;
/// Room for most lines: a private key has 6 kB at most.
const USUAL_LINE: usize = 16 * 1024;
/// A client that does not take its answer for so long is dropped.
const WRITE_DEADLINE: Duration = Duration::from_secs(5);
/// How far operators' threads go before others on their core (nice(2)): what they do is little, and whoever asks in a storm
/// would wait for each of them to have its turn.
const NICE: i32 = -10;
/// A client that says nothing for so long is dropped.
const IDLE: Duration = Duration::from_secs(120);

/// Answers requests: the daemon's one entry for operators.
pub trait Answer: Send + Sync + 'static {
    /// Carries out or answers one request of a caller.
    ///
    /// # Errors
    /// Whatever the operator is to be told.
    fn answer(&self, request: Request, caller: Caller) -> Result<Reply, ApiError>;
}

/// Who asks, as the machine says. The socket's mode keeps strangers out; this says the same once more, for sockets on
/// file systems that forget modes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    /// The user.
    pub uid: u32,
    /// The process.
    pub pid: i32,
}

impl Caller {
    fn of(stream: &UnixStream) -> Option<Self> {
        let peer = getsockopt(stream, PeerCredentials).ok()?;
        Some(Self { uid: peer.uid(), pid: peer.pid() })
    }

    /// Root and the daemon's user.
    pub fn is_trusted(self) -> bool {
        self.uid == 0 || self.uid == nix::unistd::geteuid().as_raw()
    }
}

/// Who may use the socket besides root and the daemon's own user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access {
    group: Option<u32>,
}

impl Access {
    /// Root, the daemon's user, and the members of `group`.
    ///
    /// # Errors
    /// When the group does not exist.
    pub fn group(name: Option<&str>) -> std::io::Result<Self> {
        let Some(name) = name else { return Ok(Self { group: None }) };
        let group = Group::from_name(name)?.ok_or_else(|| {
            std::io::Error::other(format!("[control] group {name:?} does not exist: create it"))
        })?;
        Ok(Self { group: Some(group.gid.as_raw()) })
    }
}

/// Opens the socket and serves it on threads of its own until the process ends.
///
/// # Errors
/// When the socket cannot be made there.
pub fn serve(path: &Path, access: Access, answer: Arc<dyn Answer>) -> std::io::Result<()> {
    let listener = bind(path, access)?;
    let clients = Arc::new(AtomicUsize::new(0));
    let accept = move || {
        // Clients' threads inherit it. Without the right to it they wait as everybody does.
        let _ = rustix::process::nice(NICE);
        for stream in listener.incoming().flatten() {
            admit(stream, access, &clients, &answer);
        }
    };
    std::thread::Builder::new().name("api".into()).spawn(accept)?;
    Ok(())
}

/// A socket left by a dead daemon is replaced; one that answers is not.
fn bind(path: &Path, access: Access) -> std::io::Result<UnixListener> {
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)?;
    }
    if UnixStream::connect(path).is_ok() {
        let why = format!("another ravelind answers at {}: stop it or give --socket", path.display());
        return Err(std::io::Error::new(std::io::ErrorKind::AddrInUse, why));
    }
    if std::fs::symlink_metadata(path).is_ok() {
        std::fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
    std::os::unix::fs::chown(path, None, access.group)?;
    Ok(listener)
}

fn admit(stream: UnixStream, access: Access, clients: &Arc<AtomicUsize>, answer: &Arc<dyn Answer>) {
    let caller = Caller::of(&stream).filter(|caller| caller.is_trusted() || access.group.is_some());
    let Some(caller) = caller.filter(|_| clients.load(Ordering::Relaxed) < CLIENTS) else { return };
    let (clients, answer) = (Arc::clone(clients), Arc::clone(answer));
    clients.fetch_add(1, Ordering::Relaxed);
    let counter = Arc::clone(&clients);
    let client = move || {
        // A client that breaks off is its own affair.
        let _ = converse(stream, caller, answer.as_ref());
        clients.fetch_sub(1, Ordering::Relaxed);
    };
    if std::thread::Builder::new().name("api-client".into()).spawn(client).is_err() {
        counter.fetch_sub(1, Ordering::Relaxed);
    }
}

fn converse(stream: UnixStream, caller: Caller, answer: &dyn Answer) -> std::io::Result<()> {
    stream.set_read_timeout(Some(IDLE))?;
    stream.set_write_timeout(Some(WRITE_DEADLINE))?;
    // Without the right to more it is what the machine gives.
    let _ = setsockopt(&stream, SndBufForce, &AHEAD);
    let mut writer = stream.try_clone()?;
    let mut lines = Lines::new(stream);
    loop {
        let line = lines.next_line()?;
        if line.is_empty() {
            return Ok(());
        }
        let complete = line.ends_with(b"\n");
        let (id, request) =
            if complete { rpc::read_call(&line) } else { (serde_json::Value::Null, Err(too_long())) };
        let reply = request.and_then(|request| answer.answer(request, caller));
        writer.write_all(rpc::write_answer(&id, &reply).as_bytes())?;
        if !complete {
            return Ok(());
        }
    }
}

/// The lines of a client. There may be a key or a password in one, so every copy of it is wiped.
struct Lines {
    stream: UnixStream,
    chunk: Zeroizing<Vec<u8>>,
    /// What of the chunk was read and is not in a line yet.
    unread: std::ops::Range<usize>,
}

impl Lines {
    fn new(stream: UnixStream) -> Self {
        Self { stream, chunk: Zeroizing::new(vec![0; CHUNK]), unread: 0..0 }
    }

    /// The next line with its end; without one if the client ended before, or wrote more than [`LONGEST_LINE`]. Empty:
    /// it has gone.
    fn next_line(&mut self) -> std::io::Result<Zeroizing<Vec<u8>>> {
        let mut line = Zeroizing::new(Vec::with_capacity(USUAL_LINE));
        loop {
            let unread = self.chunk.get(self.unread.clone()).unwrap_or_default();
            let end = unread.iter().position(|&octet| octet == b'\n');
            let taken = end.map_or(unread.len(), |end| end.saturating_add(1));
            append(&mut line, unread.get(..taken).unwrap_or_default());
            self.unread.start = self.unread.start.saturating_add(taken);
            if end.is_some() || line.len() > LONGEST_LINE {
                return Ok(line);
            }
            self.unread = 0..self.stream.read(&mut self.chunk)?;
            if self.unread.is_empty() {
                return Ok(line);
            }
        }
    }
}

/// A vector that grows leaves its former place as it was; this one wipes it.
fn append(line: &mut Zeroizing<Vec<u8>>, octets: &[u8]) {
    let wanted = line.len().saturating_add(octets.len());
    if wanted > line.capacity() {
        let mut larger = Zeroizing::new(Vec::with_capacity(wanted.saturating_mul(2)));
        larger.extend_from_slice(line);
        *line = larger;
    }
    line.extend_from_slice(octets);
}

fn too_long() -> ApiError {
    ApiError::BadRequest { why: format!("a request is one line of at most {LONGEST_LINE} bytes") }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};

    use super::*;

    struct Echo;
    impl Answer for Echo {
        fn answer(&self, request: Request, _: Caller) -> Result<Reply, ApiError> {
            Ok(Reply::Done { message: format!("{request:?}") })
        }
    }

    fn served() -> (tempfile::TempDir, std::path::PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("control.sock");
        serve(&path, Access { group: None }, Arc::new(Echo)).unwrap();
        (directory, path)
    }

    fn ask(path: &Path) -> Reply {
        super::super::client::call(path, &Request::ShowSa(None)).unwrap()
    }

    /// Garbage, an endless line, and a client that says nothing leave the next one served.
    #[test]
    fn hostile_clients_harm_nobody() {
        let (_directory, path) = served();
        let _silent = UnixStream::connect(&path).unwrap();
        let mut garbage = UnixStream::connect(&path).unwrap();
        garbage.write_all(b"\xff\xfe{}\n").unwrap();
        let mut answer = String::new();
        BufReader::new(&garbage).read_line(&mut answer).unwrap();
        assert!(answer.contains("-32600"), "{answer}");
        let mut endless = UnixStream::connect(&path).unwrap();
        // The daemon may hang up while we still write: that is the point.
        let _ = endless.write_all(&vec![b'x'; 4 * LONGEST_LINE]);
        let mut rest = Vec::new();
        let _ = endless.read_to_end(&mut rest);
        assert!(rest.is_empty() || String::from_utf8_lossy(&rest).contains("one line of at most"));
        assert!(matches!(ask(&path), Reply::Done { .. }));
    }

    /// Lines come out as they went in, however they are cut: several in one write, one in several, one of 100 kB.
    #[test]
    fn lines_are_cut_at_their_ends() {
        let (mut client, server) = UnixStream::pair().unwrap();
        let long = [vec![b'x'; 100_000], b"\n".to_vec()].concat();
        let sent = [&b"one\ntwo\nth"[..], b"ree\n", &long, b"rest"].map(<[u8]>::to_vec);
        let writer = std::thread::spawn(move || sent.iter().for_each(|part| client.write_all(part).unwrap()));
        let mut lines = Lines::new(server);
        for expected in [b"one\n", b"two\n", &b"three\n"[..], &long, b"rest", b""] {
            assert_eq!(**lines.next_line().unwrap(), *expected);
        }
        writer.join().unwrap();
    }

    /// The socket is not readable by strangers, and a second daemon does not take it over.
    #[test]
    fn one_owner() {
        let (_directory, path) = served();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
        let second = serve(&path, Access { group: None }, Arc::new(Echo)).unwrap_err();
        assert_eq!(second.kind(), std::io::ErrorKind::AddrInUse);
        assert!(matches!(ask(&path), Reply::Done { .. }));
    }
}
