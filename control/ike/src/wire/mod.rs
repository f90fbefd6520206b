//! The IKEv2 message format (RFC 7296 §3, RFC 7383 §2.5) between octets and owned values.
//!
//! A value of these types obeys the format: every count and length was checked while it was
//! read, so whoever holds a [`Message`] never meets a malformed one. What a message *means*
//! (which payloads an exchange needs, whether a proposal is acceptable) is left to the engine;
//! decryption is left to [`crate::crypto`], which turns a [`Sealed`] body into a [`Message`].
//!
//! Reading starts at [`Outer::parse`]; writing an unprotected message is [`Message::emit`].

mod announcement;
mod authentication;
mod certificate;
mod codec;
mod delete;
mod error;
mod glance;
mod header;
mod identification;
mod init_cookie;
mod key_exchange;
pub mod limits;
mod message;
mod nonce;
mod notify;
mod outer;
mod payload;
mod proposal;
mod redirect;
mod registry;
mod selector;
mod spi;
mod ticket;
mod transform;

pub use announcement::Announcement;
pub use authentication::Authentication;
pub use certificate::{Certificate, CertificateRequest, HashAndUrl};
pub use delete::Delete;
pub use error::{EmitError, ParseError};
pub use glance::Glance;
pub use header::{Flags, HEADER_LENGTH, Header, Version};
pub use identification::Identification;
pub use init_cookie::without_cookie;
pub use key_exchange::KeyExchange;
pub use message::Message;
pub use nonce::Nonce;
pub use notify::Notify;
pub use outer::{Outer, Sealed, SealedFragment};
pub use payload::{Chain, Payload, emit_chain, parse_chain};
pub use proposal::{Proposal, SecurityAssociation};
pub use redirect::{GatewayIdentity, Redirect};
pub use registry::{
    AuthenticationMethod, CertificateEncoding, EncryptionId, ExchangeType, IdentificationType, IntegrityId,
    KeyExchangeId, NotifyType, PayloadType, PrfId, Protocol, SequenceNumbersId, TransformType,
};
pub use selector::{AddressRange, TrafficSelector, TrafficSelectors};
pub use spi::{IkeSpi, Spi};
pub use ticket::TicketGiven;
pub use transform::Transform;

pub(crate) use codec::Reader;

#[cfg(test)]
mod tests;
