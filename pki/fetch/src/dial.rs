//! From a server's name to a connection: resolve, judge each address, connect to the very address judged.
//!
//! Nothing is resolved twice, so what was judged is what is asked.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use crate::error::{FetchError, Stage};
use crate::policy::{Origin, Policy};
use crate::resolve::{Question, Resolvers};
use crate::tls::Roots;
use crate::url::{Host, Scheme, Server};
use crate::wire::{Connection, Deadline, Wire};

/// Addresses of one name that are tried.
const ADDRESSES: usize = 4;

/// What all fetches dial with.
#[derive(Debug, Clone)]
pub(crate) struct Dialer {
    pub(crate) policy: Arc<Policy>,
    pub(crate) roots: Roots,
    pub(crate) resolvers: Resolvers,
    /// What stands for `/etc/resolv.conf`, where the instance has its own.
    pub(crate) resolver: Option<Arc<Path>>,
}

impl Dialer {
    /// The addresses of a server that may be asked: never empty.
    pub(crate) fn addresses(
        &self,
        server: &Server,
        origin: Origin,
        deadline: &Deadline,
    ) -> Result<Vec<SocketAddr>, FetchError> {
        let found = match &server.host {
            Host::Address(address) => vec![SocketAddr::new(*address, server.port)],
            Host::Name(name) => self.resolve(name, server.port, deadline)?,
        };
        let mut refusal = None;
        let mut permitted = Vec::new();
        for address in found {
            match self.policy.permits_address(origin, address.ip()) {
                Ok(()) => permitted.push(address),
                Err(range) => {
                    refusal =
                        Some(FetchError::AddressRefused { host: server.host.to_string(), address, range });
                }
            }
        }
        permitted.truncate(ADDRESSES);
        match refusal {
            Some(refusal) if permitted.is_empty() => Err(refusal),
            _ if permitted.is_empty() => {
                Err(FetchError::Resolve { host: server.host.to_string(), reason: "it has no address".into() })
            }
            _ => Ok(permitted),
        }
    }

    /// A TCP connection to the first of the addresses that takes it.
    pub(crate) fn connect(&self, addresses: &[SocketAddr], deadline: &Deadline) -> Result<Wire, FetchError> {
        let mut last = FetchError::Closed;
        for (tried, &address) in addresses.iter().enumerate() {
            // Each one gets its share of what is left: a black hole before a good address must not take it all.
            let others = u32::try_from(addresses.len() - tried).unwrap_or(1);
            let share = deadline.left(Stage::Connect)? / others;
            match TcpStream::connect_timeout(&address, share.max(Duration::from_micros(1))) {
                Ok(stream) => return Ok(Wire::new(stream, address, *deadline)),
                Err(error) => last = unconnected(address, &error, deadline),
            }
        }
        Err(last)
    }

    /// A connection for a URL, under TLS where its scheme says so.
    pub(crate) fn dial(
        &self,
        scheme: Scheme,
        server: &Server,
        origin: Origin,
        deadline: &Deadline,
    ) -> Result<(Connection, SocketAddr), FetchError> {
        let judge = scheme.is_tls().then(|| self.roots.judge(&server.host)).transpose()?;
        let addresses = self.addresses(server, origin, deadline)?;
        let wire = self.connect(&addresses, deadline)?;
        let peer = wire.peer;
        let connection = match judge {
            Some(judge) => judge.secure(wire, deadline)?,
            None => Connection::Plain(wire),
        };
        Ok((connection, peer))
    }

    fn resolve(&self, name: &str, port: u16, deadline: &Deadline) -> Result<Vec<SocketAddr>, FetchError> {
        let left = deadline.left(Stage::Resolve)?;
        let (sender, answer) = mpsc::sync_channel(1);
        let question = Question { name: name.to_owned(), port, resolver: self.resolver.clone() };
        // A new thread is in the network of the one that starts it.
        let reply = move |found| _ = sender.send(found);
        self.resolvers.ask(question, || Ok(()), reply)?;
        match answer.recv_timeout(left) {
            Ok(found) => found,
            Err(RecvTimeoutError::Timeout) => Err(deadline.passed(Stage::Resolve)),
            Err(RecvTimeoutError::Disconnected) => Err(FetchError::Closed),
        }
    }
}

/// What the machine refused.
pub(crate) fn machine(what: &str, error: &io::Error) -> FetchError {
    FetchError::Machine { what: what.into(), reason: error.to_string() }
}

fn unconnected(address: SocketAddr, error: &io::Error, deadline: &Deadline) -> FetchError {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => FetchError::Refused(address),
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => deadline.passed(Stage::Connect),
        _ => FetchError::Unreachable { address, reason: error.to_string() },
    }
}
