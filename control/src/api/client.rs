//! The CLI's end of the control socket: one request, one answer, a deadline.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use super::{ApiError, Reply, Request, rpc};

/// How long the daemon may take before it counts as unreachable.
const DEADLINE: Duration = Duration::from_secs(35);
/// Longest answer accepted: 32 thousand tunnels fit many times.
const LONGEST_ANSWER: u64 = 256 * 1024 * 1024;

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

/// Asks the daemon at `socket`.
///
/// # Errors
/// `Unreachable` when it does not answer at all, else its own error.
pub fn call(socket: &Path, request: &Request) -> Result<Reply, CallError> {
    let line = exchange(socket, request)
        .map_err(|why| CallError::Unreachable { path: socket.display().to_string(), why })?;
    Ok(rpc::read_answer(&line)?)
}

fn exchange(socket: &Path, request: &Request) -> std::io::Result<Vec<u8>> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    stream.set_write_timeout(Some(DEADLINE))?;
    stream.write_all(rpc::write_call(1, request).as_bytes())?;
    let mut line = Vec::new();
    BufReader::new(stream.take(LONGEST_ANSWER)).read_until(b'\n', &mut line)?;
    Ok(line)
}
