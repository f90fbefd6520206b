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

/// How the peers of IKE SAs that came up had proven themselves, and how others have tried to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proofs {
    /// Proofs of peers whose IKE SAs came up.
    #[serde(flatten)]
    pub held: Kinds,
    /// Proofs of which no IKE SA came, whatever was wrong with them.
    #[serde(default)]
    pub refused: Kinds,
}

/// Proofs by their kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Kinds {
    /// By a pre-shared key.
    pub psk: u64,
    /// By a certificate.
    pub certificate: u64,
    /// By a public key without certificate (RFC 7670).
    pub raw_key: u64,
    /// By a ticket, which goes back to one of these (RFC 5723).
    pub ticket: u64,
    /// Second ones, by a pre-shared key (RFC 4739).
    pub second: u64,
    /// Of other kinds, EAP and NULL among them: such proofs never hold.
    pub other: u64,
    /// Signatures of certificates and keys, by their family.
    pub signatures: Signatures,
}

/// Signatures by their family, those of unknown schemes left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Signatures {
    /// RSA, of either padding.
    pub rsa: u64,
    /// ECDSA, on any curve.
    pub ecdsa: u64,
    /// Ed25519.
    pub ed25519: u64,
}

impl Kinds {
    /// Each kind by its name.
    pub fn rows(&self) -> [(&'static str, u64); 9] {
        let Kinds { psk, certificate, raw_key, ticket, second, other, signatures } = *self;
        let Signatures { rsa, ecdsa, ed25519 } = signatures;
        [
            ("psk", psk),
            ("certificate", certificate),
            ("raw-key", raw_key),
            ("- rsa", rsa),
            ("- ecdsa", ecdsa),
            ("- ed25519", ed25519),
            ("ticket", ticket),
            ("second", second),
            ("other", other),
        ]
    }
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
