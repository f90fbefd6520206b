//! The protection of an IKE SA: whole messages sealed into SK payloads (RFC 7296 §3.14) or, where
//! they are too long for one datagram, into SKF fragments (RFC 7383), and opened again.
//!
//! When a message is sealed, retransmitted or fragmented anew is the engine's decision; sealing the
//! same message twice makes two different datagrams, so retransmissions must repeat octets.

use super::fragment::Fragment;
use super::keys::IkeKeys;
use super::random::Random;
use super::seal::{Direction, NotSealed};
use super::{IkeSuite, Secret, int_auth};
use crate::want::Role;
use crate::wire::{
    Chain, EmitError, HEADER_LENGTH, Header, Message, Outer, ParseError, PayloadType, Sealed, SealedFragment,
    emit_chain, limits, parse_chain,
};

/// Octets of the SK payload header, which is the generic one.
const SK_HEADER: usize = 4;

/// Octets of the SKF payload header: the generic one, Fragment Number, Total Fragments.
const SKF_HEADER: usize = 8;

/// Both directions of an IKE SA's encryption. One owner: the SA; sealing advances its counter.
pub struct Protection {
    outbound: Direction,
    inbound: Direction,
}

/// Keys that do not fit their algorithms: a slip of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadKeys {
    /// A key has another length than its algorithm takes.
    #[error("{key} has {length} octets, its algorithm takes {expected}")]
    Length {
        /// Which key.
        key: &'static str,
        /// Octets it has.
        length: usize,
        /// Octets it should have.
        expected: usize,
    },
    /// A cipher that does not authenticate came without an integrity algorithm.
    #[error("AES-CBC without an integrity algorithm")]
    NoIntegrity,
    /// The cipher refused the key.
    #[error("the cipher refused the key")]
    Cipher,
}

/// Why a message of ours was not sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// It does not fit the format.
    #[error(transparent)]
    Emit(#[from] EmitError),
    /// Every nonce of this direction is used up; the IKE SA must be replaced.
    #[error("all nonces of this IKE SA are used up: rekey it")]
    Exhausted,
    /// The cipher library failed.
    #[error("the cipher failed")]
    Cipher,
    /// No content fits a fragment of the size asked for.
    #[error("a datagram of {limit} octets leaves no room for content: raise the fragment size")]
    NoRoom {
        /// The limit asked for, in octets of one IKE message.
        limit: usize,
    },
}

/// Why a received message was not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The check value is wrong: not sent by the peer, or altered. To be dropped in silence.
    #[error("the integrity check value is wrong")]
    NotAuthentic,
    /// The peer sent this and it is malformed. To be answered with [`ParseError::notify`].
    #[error("authentic, but malformed: {0}")]
    Malformed(#[from] ParseError),
}

impl From<NotSealed> for SealError {
    fn from(cause: NotSealed) -> Self {
        match cause {
            NotSealed::Exhausted => Self::Exhausted,
            NotSealed::Cipher => Self::Cipher,
        }
    }
}

/// A message whose check value was right, with its payloads as they came.
#[derive(Debug, PartialEq, Eq)]
pub struct Unsealed {
    /// The message.
    pub message: Message,
    content: Secret,
    first: PayloadType,
}

impl Unsealed {
    /// Reads the payloads.
    pub(super) fn parse(header: Header, first: PayloadType, content: Secret) -> Result<Self, ParseError> {
        let (payloads, skipped) = parse_chain(first, &content)?;
        Ok(Self { message: Message { header, payloads, skipped }, content, first })
    }

    /// What it contributes to [`super::IntAuth`].
    pub fn covered(&self) -> Result<Secret, EmitError> {
        int_auth::covered(&self.message.header, self.first, &self.content)
    }
}

/// What a message of ours contributes to [`super::IntAuth`].
pub fn covered(message: &Message) -> Result<Secret, EmitError> {
    let chain = emit_chain(&message.payloads)?;
    int_auth::covered(&message.header, chain.first, &chain.octets)
}

/// What stands in front of an encrypted body, but its length.
struct Envelope<'a> {
    header: &'a Header,
    payload_type: PayloadType,
    first: PayloadType,
    /// Fragment Number and Total Fragments of an SKF payload.
    fragment: Option<(u16, u16)>,
}

impl Protection {
    /// Takes the keys of an IKE SA in which we are the original `role`.
    pub fn new(suite: &IkeSuite, keys: &IkeKeys, role: Role) -> Result<Self, BadKeys> {
        let direction = |e: &[u8], a: &[u8]| Direction::new(suite.encryption, suite.integrity, e, a);
        let initiator = direction(&keys.sk_ei, &keys.sk_ai)?;
        let responder = direction(&keys.sk_er, &keys.sk_ar)?;
        let (outbound, inbound) = match role {
            Role::Initiator => (initiator, responder),
            Role::Responder => (responder, initiator),
        };
        Ok(Self { outbound, inbound })
    }

    /// The message as one datagram with an SK payload. `random` is drawn from for CBC only.
    pub fn seal(&mut self, message: &Message, random: &mut dyn Random) -> Result<Vec<u8>, SealError> {
        let chain = emit_chain(&message.payloads)?;
        self.seal_whole(&message.header, &chain, random)
    }

    /// The message as datagrams of at most `limit` octets each, counted from the IKE header: one with
    /// an SK payload if that suffices, else SKF fragments in order (RFC 7383 §2.5).
    pub fn seal_fragments(
        &mut self,
        message: &Message,
        limit: usize,
        random: &mut dyn Random,
    ) -> Result<Vec<Vec<u8>>, SealError> {
        self.seal_chain(&message.header, &emit_chain(&message.payloads)?, (limit, 1), random)
    }

    /// A message of ours that this has sealed, from its datagrams, in more and smaller ones of at most `limit` octets
    /// (RFC 7383 §2.5.2): by their number whoever collects them knows the new ones. `None` if it is not of these keys.
    pub fn refragment(
        &mut self,
        datagrams: &[Vec<u8>],
        limit: usize,
        random: &mut dyn Random,
    ) -> Option<Vec<Vec<u8>>> {
        let mut whole: Option<(Header, Chain)> = None;
        for datagram in datagrams {
            let sealed = match Outer::parse(datagram).ok()? {
                Outer::Sealed(sealed) => sealed,
                Outer::Fragment(fragment) => fragment.sealed().clone(),
                Outer::Clear(_) => return None,
            };
            let text = self.outbound.open(sealed.associated(), sealed.body())?;
            let piece = strip_padding(text).ok()?;
            let none = || (*sealed.header(), Chain { first: sealed.first(), octets: Vec::new() });
            whole.get_or_insert_with(none).1.octets.extend_from_slice(&piece);
        }
        let (header, chain) = whole?;
        self.seal_chain(&header, &chain, (limit, datagrams.len() + 1), random).ok()
    }

    /// In at least so many pieces of at most `limit` octets.
    fn seal_chain(
        &mut self,
        header: &Header,
        chain: &Chain,
        (limit, pieces): (usize, usize),
        random: &mut dyn Random,
    ) -> Result<Vec<Vec<u8>>, SealError> {
        let whole = self.outbound.body_length(chain.octets.len()).saturating_add(HEADER_LENGTH + SK_HEADER);
        if whole <= limit && pieces == 1 {
            return self.seal_whole(header, chain, random).map(|datagram| vec![datagram]);
        }
        let capacity = self.outbound.capacity(limit.saturating_sub(HEADER_LENGTH + SKF_HEADER));
        let capacity = capacity.min(chain.octets.len().checked_div(pieces).unwrap_or(0));
        if capacity == 0 {
            return Err(SealError::NoRoom { limit });
        }
        let total = count_fragments(chain.octets.len(), capacity)?;
        let pieces = (1..=total).zip(chain.octets.chunks(capacity));
        pieces
            .map(|(number, piece)| {
                // Only the first fragment names the type inside, the others have zero (RFC 7383 §2.5).
                let first = if number == 1 { chain.first } else { PayloadType::None };
                let payload_type = PayloadType::EncryptedFragment;
                let fragment = Some((number, total));
                let envelope = Envelope { header, payload_type, first, fragment };
                self.seal_envelope(&envelope, piece, random)
            })
            .collect()
    }

    /// The message in an SK payload, once its check value has proved right.
    pub fn open(&self, sealed: &Sealed) -> Result<Unsealed, OpenError> {
        let content = self.content(sealed)?;
        Ok(Unsealed::parse(*sealed.header(), sealed.first(), content)?)
    }

    /// Whether the peer sent this, a whole message or the body of a fragment.
    pub fn authenticates(&self, sealed: &Sealed) -> bool {
        !matches!(self.content(sealed), Err(OpenError::NotAuthentic))
    }

    /// The piece in an SKF payload, once its check value has proved right, for [`super::Reassembly`].
    pub fn open_fragment(&self, fragment: &SealedFragment) -> Result<Fragment, OpenError> {
        let content = self.content(fragment.sealed())?;
        let (header, first) = (*fragment.sealed().header(), fragment.sealed().first());
        Ok(Fragment { header, first, number: fragment.number(), total: fragment.total(), content })
    }

    fn seal_whole(
        &mut self,
        header: &Header,
        chain: &Chain,
        random: &mut dyn Random,
    ) -> Result<Vec<u8>, SealError> {
        let payload_type = PayloadType::Encrypted;
        let envelope = Envelope { header, payload_type, first: chain.first, fragment: None };
        self.seal_envelope(&envelope, &chain.octets, random)
    }

    fn seal_envelope(
        &mut self,
        envelope: &Envelope<'_>,
        content: &[u8],
        random: &mut dyn Random,
    ) -> Result<Vec<u8>, SealError> {
        let mut out = envelope.emit(self.outbound.body_length(content.len()))?;
        self.outbound.seal(&mut out, content, random)?;
        Ok(out)
    }

    fn content(&self, sealed: &Sealed) -> Result<Secret, OpenError> {
        let text = self.inbound.open(sealed.associated(), sealed.body()).ok_or(OpenError::NotAuthentic)?;
        strip_padding(text).map_err(OpenError::Malformed)
    }
}

impl Envelope<'_> {
    /// Header and payload header, with their final lengths for a body of `body` octets.
    fn emit(&self, body: usize) -> Result<Vec<u8>, EmitError> {
        let own = if self.fragment.is_some() { SKF_HEADER } else { SK_HEADER };
        let payload = body.saturating_add(own);
        let length = payload.saturating_add(HEADER_LENGTH);
        let too_long = EmitError::TooLong { what: "IKE message", length, limit: limits::MESSAGE_OCTETS };
        if length > limits::MESSAGE_OCTETS {
            return Err(too_long);
        }
        let field = u16::try_from(payload).map_err(|_| too_long)?;
        let mut out = Vec::with_capacity(length);
        self.header.emit(self.payload_type, u32::try_from(length).map_err(|_| too_long)?, &mut out);
        out.extend([self.first.into(), 0]);
        out.extend(field.to_be_bytes());
        if let Some((number, total)) = self.fragment {
            out.extend(number.to_be_bytes());
            out.extend(total.to_be_bytes());
        }
        Ok(out)
    }
}

fn count_fragments(content: usize, capacity: usize) -> Result<u16, EmitError> {
    let (count, limit) = (content.div_ceil(capacity), usize::from(limits::FRAGMENTS));
    match u16::try_from(count) {
        Ok(total) if total <= limits::FRAGMENTS => Ok(total),
        _ => Err(EmitError::TooMany { what: "fragments", count, limit }),
    }
}

/// Takes away Pad Length and that much padding: "The recipient MUST accept any length that results
/// in proper alignment", whatever its octets are (RFC 7296 §3.14).
fn strip_padding(mut text: Secret) -> Result<Secret, ParseError> {
    let length = text.len();
    let padding = usize::from(text.pop().ok_or(ParseError::BadLength { what: "encrypted text", length })?);
    let content =
        text.len().checked_sub(padding).ok_or(ParseError::BadLength { what: "padding", length: padding })?;
    text.truncate(content);
    Ok(text)
}

#[cfg(test)]
#[path = "protection_tests.rs"]
mod tests;
