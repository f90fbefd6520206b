//! A connection that keeps its deadline, plain or under TLS.
//!
//! Every read and write gets what is left of the one deadline, so a server that sends an octet now and then gains
//! nothing by it. How much is read is the scheme's to count.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustls::{ClientConnection, StreamOwned};

use crate::error::{FetchError, Stage};

/// When a fetch must be over, and how long it had.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline {
    ends: Instant,
    whole: Duration,
}

impl Deadline {
    /// `whole` after `start`.
    pub(crate) fn new(start: Instant, whole: Duration) -> Self {
        // An Instant that cannot be is a deadline never meant: ten years are as good.
        let ends = start.checked_add(whole).unwrap_or(start + Duration::from_secs(315_360_000));
        Self { ends, whole }
    }

    /// What is left, never zero.
    pub(crate) fn left(&self, stage: Stage) -> Result<Duration, FetchError> {
        let left = self.ends.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(self.passed(stage)) } else { Ok(left) }
    }

    /// The error of its passing.
    pub(crate) fn passed(&self, stage: Stage) -> FetchError {
        FetchError::TimedOut { stage, deadline: self.whole }
    }

    /// Says in our terms what the system or TLS said of a connection.
    pub(crate) fn explain(&self, stage: Stage, host: &str, error: &io::Error) -> FetchError {
        use io::ErrorKind::{
            BrokenPipe, ConnectionAborted, ConnectionReset, TimedOut, UnexpectedEof, WouldBlock,
        };
        if let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            return FetchError::Tls { host: host.to_owned(), reason: crate::tls::reason(tls) };
        }
        match error.kind() {
            TimedOut | WouldBlock => self.passed(stage),
            BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof => {
                FetchError::Ended { stage, reason: error.to_string() }
            }
            _ => FetchError::Machine { what: stage.to_string(), reason: error.to_string() },
        }
    }
}

/// A TCP connection under a deadline.
#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) stream: TcpStream,
    pub(crate) peer: SocketAddr,
    deadline: Deadline,
}

impl Wire {
    pub(crate) fn new(stream: TcpStream, peer: SocketAddr, deadline: Deadline) -> Self {
        Self { stream, peer, deadline }
    }

    fn left(&self) -> io::Result<Duration> {
        self.deadline.left(Stage::Body).map_err(|_| io::ErrorKind::TimedOut.into())
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(self.left()?))?;
        self.stream.read(buffer)
    }
}

impl Write for Wire {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(self.left()?))?;
        self.stream.write(octets)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// A connection, plain or under TLS.
#[derive(Debug)]
pub(crate) enum Connection {
    Plain(Wire),
    Tls(Box<StreamOwned<ClientConnection, Wire>>),
}

impl Connection {
    pub(crate) fn is_tls(&self) -> bool {
        matches!(self, Self::Tls(_))
    }
}

impl Read for Connection {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(wire) => wire.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Connection {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(wire) => wire.write(octets),
            Self::Tls(stream) => stream.write(octets),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(wire) => wire.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}
