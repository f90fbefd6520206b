//! One IKE SA: SPIs, keys, window. It seals what goes out and opens what comes in, and decides nothing.

use super::common::Common;
use crate::context::Context;
use crate::crypto::{IkeKeys, IkeSuite, OpenError, Progress, Protection, Reassembly};
use crate::error::Failure;
use crate::time::Instant;
use crate::want::{Path, Role};
use crate::window::{Incoming, Packets, Schedule, Window};
use crate::wire::{ExchangeType, Flags, Header, IkeSpi, Message, Outer, ParseError, Payload, SealedFragment};

/// One IKE SA.
pub(crate) struct IkeSa {
    pub(crate) initiator_spi: IkeSpi,
    pub(crate) responder_spi: IkeSpi,
    /// What we were in the exchange that made it ("original initiator" and "responder", RFC 7296 §2.2).
    pub(crate) role: Role,
    pub(crate) suite: IkeSuite,
    pub(crate) keys: IkeKeys,
    pub(crate) window: Window,
    pub(crate) soft_at: Instant,
    pub(crate) hard_at: Instant,
    protection: Protection,
    requests: Reassembly,
    responses: Reassembly,
    reassembly_until: Option<Instant>,
}

/// What a datagram turned out to be.
pub(crate) enum Opened {
    /// An authentic, whole message.
    Message(Message),
    /// An authentic message that breaks the format.
    Malformed(Header, ParseError),
    /// The first fragment of a request that was answered: the answer is due again (RFC 7383 §2.6.1).
    Repetition,
    /// A fragment that was kept, something unprotected, or something the peer did not send.
    Nothing,
}

impl IkeSa {
    /// Takes up new keys.
    pub(crate) fn new(
        ctx: &mut Context<'_>,
        common: &Common,
        role: Role,
        spis: (IkeSpi, IkeSpi),
        suite: IkeSuite,
        keys: IkeKeys,
    ) -> Result<IkeSa, Failure> {
        // As configured now: a changed lifetime applies from the next rekey on.
        let lifetime = ctx.connections.get(&common.connection).unwrap_or(&common.config).lifetime;
        let protection = Protection::new(&suite, &keys, role)
            .map_err(|_| Failure::Crypto("keys do not fit their suite"))?;
        Ok(IkeSa {
            initiator_spi: spis.0,
            responder_spi: spis.1,
            role,
            suite,
            keys,
            window: Window::default(),
            soft_at: ctx.now + ctx.jittered(lifetime.soft, lifetime.jitter_percent),
            hard_at: ctx.now + lifetime.hard,
            protection,
            requests: Reassembly::new(ctx.config.max_message),
            responses: Reassembly::new(ctx.config.max_message),
            reassembly_until: None,
        })
    }

    /// The SPI we chose: by it messages find us.
    pub(crate) fn local_spi(&self) -> IkeSpi {
        match self.role {
            Role::Initiator => self.initiator_spi,
            Role::Responder => self.responder_spi,
        }
    }

    /// Sends a request; false if another one is unanswered or message IDs are used up.
    pub(crate) fn request(
        &mut self,
        ctx: &mut Context<'_>,
        common: &Common,
        exchange: ExchangeType,
        payloads: Vec<Payload>,
        schedule: Schedule,
    ) -> Result<(), Failure> {
        let id = self.window.request_id().ok_or(Failure::Crypto("no message ID for a request"))?;
        let packets = self.seal(ctx, common, &common.path, self.header(exchange, false, id), payloads)?;
        ctx.send(&common.path, &packets);
        self.window.request_sent(ctx.now, packets, schedule);
        Ok(())
    }

    /// Answers the request that was taken up.
    pub(crate) fn reply(
        &mut self,
        ctx: &mut Context<'_>,
        common: &Common,
        path: &Path,
        exchange: ExchangeType,
        payloads: Vec<Payload>,
    ) -> Result<(), Failure> {
        let id = self.window.answering();
        let packets = self.seal(ctx, common, path, self.header(exchange, true, id), payloads)?;
        ctx.send(path, &packets);
        self.window.answered(packets);
        Ok(())
    }

    /// Opens a message that came for this SA.
    pub(crate) fn open(&mut self, ctx: &Context<'_>, outer: Outer) -> Opened {
        match outer {
            // Nothing unprotected is believed once there are keys (RFC 7296 §2.21.4).
            Outer::Clear(_) => Opened::Nothing,
            Outer::Sealed(sealed) => match self.protection.open(&sealed) {
                Ok(message) => Opened::Message(message),
                Err(OpenError::Malformed(error)) => Opened::Malformed(*sealed.header(), error),
                Err(OpenError::NotAuthentic) => Opened::Nothing,
            },
            Outer::Fragment(fragment) => self.open_fragment(ctx, &fragment),
        }
    }

    fn open_fragment(&mut self, ctx: &Context<'_>, fragment: &SealedFragment) -> Opened {
        let header = *fragment.sealed().header();
        let collect = match header.flags.response {
            true => self.window.awaits_reply(header.message_id).then_some(()),
            false => match self.window.classify(header.message_id) {
                Incoming::New => Some(()),
                Incoming::Answered(_) if fragment.number() == 1 => None,
                _ => return Opened::Nothing,
            },
        };
        let opened = match self.protection.open_fragment(fragment) {
            Ok(opened) => opened,
            Err(OpenError::Malformed(error)) => return Opened::Malformed(header, error),
            Err(OpenError::NotAuthentic) => return Opened::Nothing,
        };
        if collect.is_none() {
            return if header.flags.response { Opened::Nothing } else { Opened::Repetition };
        }
        let reassembly = if header.flags.response { &mut self.responses } else { &mut self.requests };
        match reassembly.insert(opened) {
            Ok(Progress::Complete(message)) => Opened::Message(message),
            Ok(Progress::Waiting { .. }) => {
                self.reassembly_until.get_or_insert(ctx.now + ctx.config.reassembly_timeout);
                Opened::Nothing
            }
            Ok(Progress::Ignored(_)) => Opened::Nothing,
            Err(error) => Opened::Malformed(header, error),
        }
    }

    /// When [`Self::expire_fragments`] has something to do.
    pub(crate) fn fragments_until(&self) -> Option<Instant> {
        self.reassembly_until
    }

    /// Forgets fragments that waited too long for the rest.
    pub(crate) fn expire_fragments(&mut self, now: Instant) {
        if self.reassembly_until.is_some_and(|until| until <= now) {
            self.requests.clear();
            self.responses.clear();
            self.reassembly_until = None;
        }
    }

    fn header(&self, exchange: ExchangeType, response: bool, id: u32) -> Header {
        let flags = Flags { initiator: self.role == Role::Initiator, version: false, response };
        Header::new(self.initiator_spi, self.responder_spi, exchange, flags, id)
    }

    fn seal(
        &mut self,
        ctx: &mut Context<'_>,
        common: &Common,
        path: &Path,
        header: Header,
        payloads: Vec<Payload>,
    ) -> Result<Packets, Failure> {
        let message = Message::new(header, payloads);
        let sealed = match common.fragment_limit(path, ctx.config.nat_port) {
            Some(limit) => self.protection.seal_fragments(&message, limit, ctx.random),
            None => self.protection.seal(&message, ctx.random).map(|packet| vec![packet]),
        };
        sealed.map_err(|_| Failure::Crypto("a message could not be sealed"))
    }
}
