//! What can go wrong with a request, and the exit code that says so.

use serde::{Deserialize, Serialize};

/// Why a request was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "error", rename_all = "kebab-case")]
pub enum ApiError {
    /// Not JSON-RPC 2.0, or not a request of ours.
    #[error("bad request: {why}")]
    BadRequest {
        /// What is wrong with it.
        why: String,
    },
    /// No such tunnel.
    #[error("tunnel {name:?} does not exist; configured: {known}")]
    NotFound {
        /// The name asked for.
        name: String,
        /// The names there are.
        known: String,
    },
    /// No such child.
    #[error("tunnel {tunnel} has no child {name:?}; configured: {known}")]
    NoChild {
        /// The tunnel, which is there.
        tunnel: String,
        /// The name asked for.
        name: String,
        /// The names there are.
        known: String,
    },
    /// No such instance.
    #[error("instance {name:?} does not exist; configured: {known}")]
    NoInstance {
        /// The name asked for.
        name: String,
        /// The names there are.
        known: String,
    },
    /// The tunnel is there but cannot do that.
    #[error("{why}")]
    Refused {
        /// Why not, and what would help.
        why: String,
    },
    /// The control loop did not answer in time.
    #[error("the control loop did not answer within {milliseconds} ms: see `ravelin events` and the log")]
    Late {
        /// The deadline that passed.
        milliseconds: u64,
    },
    /// No such tunnel group.
    #[error("tunnel group {name:?} does not exist; configured: {known}")]
    NoTunnelGroup {
        /// The name asked for.
        name: String,
        /// The names there are.
        known: String,
    },
    /// No such database of clients.
    #[error("client-db {name:?} does not exist; configured: {known}")]
    NoClientDb {
        /// The name asked for.
        name: String,
        /// The names there are.
        known: String,
    },
    /// Nothing of that name in the store.
    #[error("the store has no {kind} {name:?}; it has: {known}")]
    NotStored {
        /// What was asked for.
        kind: String,
        /// The name asked for.
        name: String,
        /// The names there are.
        known: String,
    },
    /// No such ip-tunnel.
    #[error("ip-tunnel {name:?} does not exist; configured: {known}")]
    NoIpTunnel {
        /// The name asked for.
        name: String,
        /// The names there are.
        known: String,
    },
    /// No such gateway.
    #[error("gateway {name:?} does not exist; configured: {known}")]
    NoGateway {
        /// The name asked for.
        name: String,
        /// The names there are.
        known: String,
    },
}

impl ApiError {
    /// JSON-RPC error code.
    pub fn code(&self) -> i64 {
        match self {
            Self::BadRequest { .. } => -32600,
            Self::NotFound { .. }
            | Self::NoChild { .. }
            | Self::NoInstance { .. }
            | Self::NoTunnelGroup { .. }
            | Self::NoClientDb { .. }
            | Self::NoIpTunnel { .. }
            | Self::NotStored { .. }
            | Self::NoGateway { .. } => 3,
            Self::Refused { .. } => 1,
            Self::Late { .. } => 4,
        }
    }

    /// Exit code of the CLI (docs/design.md §4).
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::BadRequest { .. } => 64,
            Self::NotFound { .. }
            | Self::NoChild { .. }
            | Self::NoInstance { .. }
            | Self::NoTunnelGroup { .. }
            | Self::NoClientDb { .. }
            | Self::NoIpTunnel { .. }
            | Self::NotStored { .. }
            | Self::NoGateway { .. } => 3,
            Self::Refused { .. } => 1,
            Self::Late { .. } => 4,
        }
    }
}
