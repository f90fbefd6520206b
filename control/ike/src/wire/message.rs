//! A message without its envelope: header and payloads, unprotected or already decrypted.

use super::error::EmitError;
use super::header::{HEADER_LENGTH, Header};
use super::limits;
use super::notify::Notify;
use super::payload::{Payload, emit_chain};
use super::registry::NotifyType;

/// One IKE message in the clear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The IKE header.
    pub header: Header,
    /// The payloads we know, in their order.
    pub payloads: Vec<Payload>,
    /// How many payloads of unknown type were skipped (RFC 7296 §2.5). Not written.
    pub skipped: usize,
}

impl Message {
    /// A message of ours.
    pub fn new(header: Header, payloads: Vec<Payload>) -> Self {
        Self { header, payloads, skipped: 0 }
    }

    /// Whether it holds this notification.
    pub fn says(&self, kind: NotifyType) -> bool {
        self.payloads
            .iter()
            .any(|payload| matches!(payload, Payload::Notify(notify) if notify.notify_type == kind))
    }

    /// Writes the message unprotected, as in IKE_SA_INIT. Its octets are what AUTH later signs.
    pub fn emit(&self) -> Result<Vec<u8>, EmitError> {
        let chain = emit_chain(&self.payloads)?;
        let length = HEADER_LENGTH.saturating_add(chain.octets.len());
        let field = message_length(length)?;
        let mut out = Vec::with_capacity(length);
        self.header.emit(chain.first, field, &mut out);
        out.extend_from_slice(&chain.octets);
        Ok(out)
    }

    /// All notifies, in their order.
    pub fn notifies(&self) -> impl Iterator<Item = &Notify> {
        self.payloads.iter().filter_map(|payload| match payload {
            Payload::Notify(notify) => Some(notify),
            _ => None,
        })
    }

    /// The first notify of this type.
    pub fn notify(&self, notify_type: NotifyType) -> Option<&Notify> {
        self.notifies().find(|notify| notify.notify_type == notify_type)
    }
}

/// The header's length field for a message of `length` octets.
pub(crate) fn message_length(length: usize) -> Result<u32, EmitError> {
    let limit = limits::MESSAGE_OCTETS;
    match u32::try_from(length) {
        Ok(field) if length <= limit => Ok(field),
        _ => Err(EmitError::TooLong { what: "IKE message", length, limit }),
    }
}
