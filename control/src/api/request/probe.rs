//! What may be asked about the path of a tunnel.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// Whose path, and who answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MtuProbe {
    /// The tunnel, as in the configuration.
    pub tunnel: String,
    /// A host behind it that answers echoes; without one the peer's own address is asked.
    #[serde(default)]
    pub to: Option<IpAddr>,
}
