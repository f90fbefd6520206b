//! What can be wrong with a message: read from the peer ([`ParseError`], the peer's fault) or about
//! to be written ([`EmitError`], ours), and which notify tells the peer (RFC 7296 §2.21, §2.5).

use super::registry::NotifyType;

/// Why octets are not an IKEv2 message. Always the sender's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// The octets end inside an element.
    #[error("{what} needs {need} octets, {have} are left")]
    Truncated {
        /// The element being read.
        what: &'static str,
        /// Octets the next field needs.
        need: usize,
        /// Octets there are.
        have: usize,
    },
    /// Octets are left over after the last field of an element.
    #[error("{count} octets follow the end of {what}")]
    Trailing {
        /// The element that ended early.
        what: &'static str,
        /// Octets left over.
        count: usize,
    },
    /// A length field, or an element's size, is one the format does not allow.
    #[error("{what} has length {length}, which the format does not allow")]
    BadLength {
        /// The element whose length is wrong.
        what: &'static str,
        /// The length found, in octets.
        length: usize,
    },
    /// A field holds a value the format does not allow.
    #[error("{what} has value {value}, which the format does not allow")]
    BadValue {
        /// The field.
        what: &'static str,
        /// The value found.
        value: u32,
    },
    /// An element is repeated more often than [`super::limits`] allows.
    #[error("more than {limit} {what}")]
    TooMany {
        /// The element, in the plural.
        what: &'static str,
        /// The limit it passed.
        limit: usize,
    },
    /// The Length field of the header is not the number of octets received.
    #[error("the header announces {announced} octets, the datagram has {received}")]
    LengthMismatch {
        /// Length field of the IKE header.
        announced: u32,
        /// Octets received.
        received: usize,
    },
    /// The message is of another major version (RFC 7296 §2.5).
    #[error("IKE version {major}.{minor}, this is an IKEv2 implementation")]
    InvalidMajorVersion {
        /// Major version of the message.
        major: u8,
        /// Minor version of the message.
        minor: u8,
    },
    /// A payload we do not know has its critical bit set (RFC 7296 §2.5).
    #[error("payload type {payload} is critical and unknown")]
    UnsupportedCriticalPayload {
        /// Its payload type.
        payload: u8,
    },
}

impl ParseError {
    /// The notify type and data that tell the peer (RFC 7296 §3.10.1).
    ///
    /// Whether one may be sent at all (only inside a protected exchange, with few exceptions) is
    /// the caller's decision, RFC 7296 §2.21.
    pub fn notify(&self) -> (NotifyType, Vec<u8>) {
        match self {
            // "Notification Data contains the one-octet payload type."
            Self::UnsupportedCriticalPayload { payload } => {
                (NotifyType::UnsupportedCriticalPayload, vec![*payload])
            }
            Self::InvalidMajorVersion { .. } => (NotifyType::InvalidMajorVersion, Vec::new()),
            _ => (NotifyType::InvalidSyntax, Vec::new()),
        }
    }
}

/// Why a message of ours does not fit the format. Our fault, or the configuration's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EmitError {
    /// An element is longer than its length field can say.
    #[error("{what} would be {length} octets, the format allows {limit}")]
    TooLong {
        /// The element.
        what: &'static str,
        /// Octets it would take.
        length: usize,
        /// Octets its length field can announce.
        limit: usize,
    },
    /// An element is repeated more often than its count field, or a peer like us, would take.
    #[error("{count} {what}, the limit is {limit}")]
    TooMany {
        /// The element, in the plural.
        what: &'static str,
        /// How many there are.
        count: usize,
        /// How many may be.
        limit: usize,
    },
}
