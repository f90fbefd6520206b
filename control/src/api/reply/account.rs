//! What has passed between us and peers, in numbers that only grow.

use serde::{Deserialize, Serialize};

/// IKE datagrams and signs of life, over all IKE SAs of a tunnel, or of a gateway's callers before they are proven.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Messages {
    /// Datagrams sent, repetitions among them; not NAT keepalives.
    pub sent: u64,
    /// Of these, requests sent again because no answer came.
    pub resent: u64,
    /// Datagrams received.
    pub received: u64,
    /// Of these, requests that came again and were answered as before.
    pub repeated: u64,
    /// Of these, what is not authentic, not encrypted though it should be, or does not parse.
    pub ignored: u64,
    /// Questions whether the peer lives.
    pub probes_sent: u64,
    /// Of these, answered.
    pub probes_answered: u64,
    /// Of these, never answered: the peer was taken for dead.
    pub probes_unanswered: u64,
    /// The peer's questions, all of which are answered.
    pub probes_received: u64,
}

/// How the peers of IKE SAs that came up had proven themselves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proofs {
    /// By a pre-shared key.
    pub psk: u64,
    /// By a certificate.
    pub certificate: u64,
    /// By a ticket, which goes back to one of these (RFC 5723).
    pub ticket: u64,
}

impl std::fmt::Display for Messages {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Messages { sent, resent, received, repeated, ignored, .. } = self;
        write!(out, "{sent} sent, {resent} of them again; {received} received, {repeated} of them again, ")?;
        write!(out, "{ignored} ignored")
    }
}

impl Messages {
    /// Of dead peer detection, in words.
    pub fn probes(&self) -> String {
        let Messages { probes_sent, probes_answered, probes_unanswered, probes_received, .. } = self;
        format!(
            "{probes_sent} sent, {probes_answered} answered, {probes_unanswered} never; {probes_received} of the peer"
        )
    }
}
