//! The CLI's end of the control socket: requests, an answer to each, a deadline.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use super::{ApiError, Reply, Request, rpc};

/// How long the daemon may take before it counts as unreachable.
const DEADLINE: Duration = Duration::from_secs(35);
/// How long it may take to make a key: an RSA key of 8192 bits takes minutes.
const PATIENT: Duration = Duration::from_secs(900);
/// Longest answer accepted: 32 thousand tunnels fit many times.
const LONGEST_ANSWER: u64 = 256 * 1024 * 1024;

/// Read at once: of long answers as much as the daemon may write ahead.
const CHUNK: usize = super::AHEAD;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// Nobody is there.
    #[error("no daemon at {path}: {why}; is ravelind running, and may you use its socket?")]
    Unreachable {
        /// The socket.
        path: String,
        /// The machine's word for it.
        why: std::io::Error,
    },
    /// It said no.
    #[error(transparent)]
    Api(#[from] ApiError),
}

/// A conversation with a daemon.
#[derive(Debug)]
pub struct Connection {
    path: String,
    stream: BufReader<UnixStream>,
}

impl Connection {
    /// Begins one with the daemon at `socket`.
    ///
    /// # Errors
    /// `Unreachable` when nobody is there.
    pub fn open(socket: &Path) -> Result<Self, CallError> {
        Self::open_for(socket, DEADLINE)
    }

    /// The same for what takes minutes.
    ///
    /// # Errors
    /// As [`Connection::open`].
    pub fn open_patiently(socket: &Path) -> Result<Self, CallError> {
        Self::open_for(socket, PATIENT)
    }

    fn open_for(socket: &Path, deadline: Duration) -> Result<Self, CallError> {
        let path = socket.display().to_string();
        let stream = UnixStream::connect(socket).and_then(|stream| {
            stream.set_read_timeout(Some(deadline))?;
            stream.set_write_timeout(Some(DEADLINE))?;
            Ok(BufReader::with_capacity(CHUNK, stream))
        });
        match stream {
            Ok(stream) => Ok(Self { path, stream }),
            Err(why) => Err(CallError::Unreachable { path, why }),
        }
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// `Unreachable` when there is none, else the daemon's own error.
    pub fn call(&mut self, request: &Request) -> Result<Reply, CallError> {
        self.ask(request)?;
        Ok(rpc::read_answer(&self.answer()?)?)
    }

    /// Asks, and does not wait: there is other work meanwhile.
    ///
    /// # Errors
    /// `Unreachable` when nobody takes it.
    pub fn ask(&mut self, request: &Request) -> Result<(), CallError> {
        // It may hold a key or a password.
        let call = zeroize::Zeroizing::new(rpc::write_call(1, request));
        let written = self.stream.get_mut().write_all(call.as_bytes());
        written.map_err(|why| CallError::Unreachable { path: self.path.clone(), why })
    }

    /// Waits for the line that answers what was asked.
    ///
    /// # Errors
    /// `Unreachable` when there is none.
    pub fn answer(&mut self) -> Result<Vec<u8>, CallError> {
        let mut line = Vec::new();
        let read = self.stream.by_ref().take(LONGEST_ANSWER).read_until(b'\n', &mut line);
        read.map_err(|why| CallError::Unreachable { path: self.path.clone(), why })?;
        Ok(line)
    }
}

/// Asks the daemon at `socket` one thing.
///
/// # Errors
/// As [`Connection::open`] and [`Connection::call`].
pub fn call(socket: &Path, request: &Request) -> Result<Reply, CallError> {
    Connection::open(socket)?.call(request)
}
