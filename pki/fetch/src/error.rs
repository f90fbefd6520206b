//! Why there are no bytes: whose fault, with the figures that show it.

use std::net::SocketAddr;
use std::time::Duration;

use crate::policy::{Range, RedirectProblem};
use crate::url::{Scheme, UrlProblem};

/// What was going on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Other fetches were before this one.
    Queue,
    /// The host's name was asked for.
    Resolve,
    /// The connection was asked for.
    Connect,
    /// TLS was negotiated.
    Handshake,
    /// The request was out, the beginning of the answer awaited.
    Answer,
    /// The answer's content was read.
    Body,
}

impl std::fmt::Display for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Queue => "waiting for other fetches",
            Self::Resolve => "resolving the name",
            Self::Connect => "connecting",
            Self::Handshake => "negotiating TLS",
            Self::Answer => "waiting for the answer",
            Self::Body => "reading the content",
        })
    }
}

/// Who can mend it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// Who wrote the URL: the authority that put it in a certificate, or the operator.
    Url,
    /// The server, or the network to it.
    Server,
    /// The operator, by the policy, roots or limits configured.
    Policy,
    /// This machine.
    Machine,
}

/// Why a fetch failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// The URL is none.
    #[error("not a URL that is read: {0}")]
    BadUrl(#[from] UrlProblem),
    /// The URL is one, but what it asks of its scheme is not done.
    #[error("{scheme} URL: {problem}")]
    BadTarget {
        /// Its scheme.
        scheme: Scheme,
        /// What is asked too much or too little.
        problem: String,
    },
    /// The policy leaves the scheme out.
    #[error("{0} is not among the schemes that are allowed")]
    SchemeRefused(Scheme),
    /// The address is in a range that the policy does not open.
    #[error("{host} is {address}, in {range}: add its network to the allowed ones if that is meant")]
    AddressRefused {
        /// The name as the URL has it.
        host: String,
        /// Its address.
        address: SocketAddr,
        /// The range.
        range: Range,
    },
    /// A redirect that is not followed.
    #[error("redirected to {to}, which is not followed: {why}")]
    RedirectRefused {
        /// Where to, as the server wrote it.
        to: String,
        /// Why not.
        why: RedirectProblem,
    },
    /// The name has no address.
    #[error("{host} does not resolve: {reason}")]
    Resolve {
        /// The name.
        host: String,
        /// The resolver's words.
        reason: String,
    },
    /// Nobody listens there.
    #[error("{0} refuses the connection")]
    Refused(SocketAddr),
    /// No way there.
    #[error("{address} is not reached: {reason}")]
    Unreachable {
        /// Where to.
        address: SocketAddr,
        /// The system's words.
        reason: String,
    },
    /// The connection ended early.
    #[error("the server ended the connection while {stage}: {reason}")]
    Ended {
        /// What was going on.
        stage: Stage,
        /// Reset, or closed in the middle.
        reason: String,
    },
    /// The deadline passed.
    #[error("not done within {:.1} s: the time ran out while {stage}", deadline.as_secs_f64())]
    TimedOut {
        /// What was going on.
        stage: Stage,
        /// The whole time given.
        deadline: Duration,
    },
    /// More content than is taken.
    #[error("it has {announced} octets, more than the {cap} that are taken")]
    TooLarge {
        /// What the server announced, or "at least" and what had come when reading ended.
        announced: Size,
        /// The cap.
        cap: usize,
    },
    /// More of a header than is taken.
    #[error("the answer's header is longer than the {cap} octets that are taken")]
    HeaderTooLarge {
        /// The cap.
        cap: usize,
    },
    /// The server's certificate or TLS is not taken.
    #[error("TLS with {host}: {reason}")]
    Tls {
        /// The name that was to be proven.
        host: String,
        /// What is wrong.
        reason: String,
    },
    /// The server understood and says no.
    #[error("the server answers {code}: {text}")]
    Status {
        /// HTTP status, FTP reply, LDAP result or TFTP error code.
        code: u32,
        /// Its words, at most one short line.
        text: String,
    },
    /// What came is not the protocol.
    #[error("the server's {scheme} cannot be read: {reason}")]
    Malformed {
        /// The protocol.
        scheme: Scheme,
        /// What is wrong.
        reason: String,
    },
    /// Failed lately; not tried again yet.
    #[error(
        "not asked for {:.0} s yet, after {failures} failures in a row; the last: {last}",
        wait.as_secs_f64().ceil()
    )]
    BackingOff {
        /// How long it is left alone.
        wait: Duration,
        /// Failures in a row.
        failures: u32,
        /// The last one's words.
        last: String,
    },
    /// More fetches wait than are kept.
    #[error("{0} fetches wait already")]
    QueueFull(usize),
    /// This machine refuses.
    #[error("{what}: {reason}")]
    Machine {
        /// What was tried.
        what: String,
        /// The system's words.
        reason: String,
    },
    /// The fetcher was ended.
    #[error("the fetcher has ended")]
    Closed,
}

/// How large it is, as far as known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// The server said so.
    Announced(u64),
    /// So much had come and no end was seen.
    AtLeast(u64),
}

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Announced(octets) => octets.fmt(f),
            Self::AtLeast(octets) => write!(f, "at least {octets}"),
        }
    }
}

impl FetchError {
    /// Who can mend it.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::BadUrl(_) | Self::BadTarget { .. } => Fault::Url,
            Self::SchemeRefused(_) | Self::AddressRefused { .. } | Self::TooLarge { .. } => Fault::Policy,
            Self::QueueFull(_) | Self::Machine { .. } | Self::Closed => Fault::Machine,
            Self::TimedOut { stage: Stage::Queue, .. } => Fault::Machine,
            _ => Fault::Server,
        }
    }

    /// Whether the whole server is in trouble, so that its other URLs need not be tried either.
    #[must_use]
    pub fn is_of_the_server(&self) -> bool {
        match self {
            Self::Resolve { .. } | Self::Refused(_) | Self::Unreachable { .. } | Self::Tls { .. } => true,
            Self::TimedOut { stage, .. } | Self::Ended { stage, .. } => {
                matches!(stage, Stage::Resolve | Stage::Connect | Stage::Handshake)
            }
            _ => false,
        }
    }

    /// Whether asking again at once would likely end the same way: what is remembered. What this machine lacks is not.
    #[must_use]
    pub fn is_remembered(&self) -> bool {
        self.fault() == Fault::Server || matches!(self, Self::TooLarge { .. })
    }
}
