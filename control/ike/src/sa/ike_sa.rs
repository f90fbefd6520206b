//! One IKE SA: SPIs, keys, window. It seals what goes out and opens what comes in, and decides nothing.

use super::common::Common;
use super::ticket::HeldTicket;
use crate::context::Context;
use crate::crypto::{
    CrashToken, IkeKeys, IkeSuite, OpenError, Progress, Protection, Reassembly, Secret, Unsealed, covered,
};
use crate::error::Failure;
use crate::time::Instant;
use crate::want::{Path, Role};
use crate::watch;
use crate::window::{Incoming, Packets, Schedule, Window};
use crate::wire::{
    ExchangeType, Flags, Header, IkeSpi, Message, Outer, ParseError, Payload, Sealed, SealedFragment,
};
use std::time::Duration;

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
    /// By which the peer may prove that it has lost this IKE SA (RFC 6290).
    pub(crate) crash_token: Option<CrashToken>,
    /// The ticket that the peer has given us for it (RFC 5723).
    pub(crate) ticket: Option<Box<HeldTicket>>,
    /// Whether we have given the peer one.
    pub(crate) ticket_given: bool,
    /// Until when tickets may be good: the end of the one by which it was resumed. A chain of them needs a key exchange or
    /// a proof in between.
    pub(crate) tickets_until: Instant,
    /// The largest IP packet that a fragment may make, where larger ones did not arrive ([`super::fragments`]).
    pub(crate) fragment_size: Option<u16>,
    protection: Protection,
    /// That of the keys before, until the peer has shown that it has the new ones: by it we know a request whose
    /// reply was lost.
    replaced: Option<Protection>,
    requests: Reassembly,
    responses: Reassembly,
    reassembly_until: Option<Instant>,
}

/// What a datagram turned out to be.
pub(crate) enum Opened {
    /// An authentic, whole message.
    Message(Unsealed),
    /// An authentic message that breaks the format.
    Malformed(Header, ParseError),
    /// The first fragment of a request that was answered, or one that came under the keys before: the answer is due
    /// again (RFC 7383 §2.6.1).
    Repetition,
    /// Something unprotected, or that the peer did not send.
    Foreign,
    /// A fragment that was kept, or is not wanted.
    Nothing,
}

impl Opened {
    /// What became of it, in words.
    fn told(&self) -> String {
        match self {
            Opened::Message(unsealed) => watch::message(&unsealed.message),
            Opened::Malformed(_, error) => format!("it is authentic and does not parse: {error}"),
            Opened::Repetition => "it repeats a request: answered as before".to_owned(),
            Opened::Foreign => "it is not authentic or not encrypted: ignored".to_owned(),
            Opened::Nothing => "it is not all of a message yet, or not wanted: ignored".to_owned(),
        }
    }
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
            crash_token: None,
            ticket: None,
            ticket_given: false,
            tickets_until: Instant(u64::MAX),
            fragment_size: None,
            protection,
            replaced: None,
            requests: Reassembly::new(ctx.config.max_message),
            responses: Reassembly::new(ctx.config.max_message),
            reassembly_until: None,
        })
    }

    /// Takes up the keys of an additional key exchange (RFC 9370 §2.2.2).
    pub(crate) fn advance(&mut self, keys: IkeKeys) -> Result<(), Failure> {
        let protection = Protection::new(&self.suite, &keys, self.role)
            .map_err(|_| Failure::Crypto("keys do not fit their suite"))?;
        self.replaced = Some(std::mem::replace(&mut self.protection, protection));
        self.keys = keys;
        self.requests.clear();
        self.responses.clear();
        Ok(())
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
        let packets = self.seal_reply(ctx, common, path, exchange, payloads)?;
        ctx.send(path, &packets);
        self.window.answered(packets);
        Ok(())
    }

    /// As [`Self::reply`], but sent after a while.
    pub(crate) fn reply_after(
        &mut self,
        wait: Duration,
        ctx: &mut Context<'_>,
        common: &Common,
        path: &Path,
        exchange: ExchangeType,
    ) -> Result<(), Failure> {
        let packets = self.seal_reply(ctx, common, path, exchange, Vec::new())?;
        self.window.answered_later(packets, ctx.now + wait);
        Ok(())
    }

    fn seal_reply(
        &mut self,
        ctx: &mut Context<'_>,
        common: &Common,
        path: &Path,
        exchange: ExchangeType,
        payloads: Vec<Payload>,
    ) -> Result<Packets, Failure> {
        let id = self.window.answering();
        self.seal(ctx, common, path, self.header(exchange, true, id), payloads)
    }

    /// What we have sent in more and smaller pieces; under the keys before, if it was sealed with those.
    pub(super) fn cut(&mut self, ctx: &mut Context<'_>, packets: &Packets, limit: usize) -> Option<Packets> {
        let cut = self.protection.refragment(packets, limit, ctx.random);
        cut.or_else(|| self.replaced.as_mut()?.refragment(packets, limit, ctx.random))
    }

    /// Sends the last answer again.
    pub(crate) fn repeat_reply(&self, ctx: &mut Context<'_>, path: &Path) {
        let last = self.window.answering().wrapping_sub(1);
        if let Incoming::Answered(packets) = self.window.classify(last) {
            ctx.answer_again(path, packets);
        }
    }

    /// What AUTH covers of our next request, or of our answer to the request that was taken up, if these are its
    /// payloads (RFC 9242 §3.3.2).
    pub(crate) fn covered(
        &self,
        exchange: ExchangeType,
        response: bool,
        payloads: &[Payload],
    ) -> Result<Secret, Failure> {
        let id = if response { Some(self.window.answering()) } else { self.window.request_id() };
        let id = id.ok_or(Failure::Crypto("no message ID for a request"))?;
        covered(&Message::new(self.header(exchange, response, id), payloads.to_vec()))
            .map_err(|_| Failure::Crypto("a message does not fit"))
    }

    /// Opens a message that came for this SA.
    pub(crate) fn open(&mut self, ctx: &mut Context<'_>, outer: Outer) -> Opened {
        let opened = match outer {
            // Nothing unprotected is believed once there are keys (RFC 7296 §2.21.4).
            Outer::Clear(_) => Opened::Foreign,
            Outer::Sealed(sealed) => match self.protection.open(&sealed) {
                Ok(unsealed) => Opened::Message(unsealed),
                Err(OpenError::Malformed(error)) => Opened::Malformed(*sealed.header(), error),
                Err(OpenError::NotAuthentic) => self.open_with_replaced(&sealed),
            },
            Outer::Fragment(fragment) => self.open_fragment(ctx, &fragment),
        };
        match &opened {
            Opened::Message(unsealed) => {
                self.replaced = None;
                ctx.out.accounts.told(&unsealed.message);
            }
            Opened::Foreign | Opened::Malformed(..) => ctx.out.accounts.step.ignored += 1,
            Opened::Repetition | Opened::Nothing => {}
        }
        ctx.trace_sender(|| opened.told());
        opened
    }

    /// The peer repeats the request by which new keys came, because our answer was lost.
    fn open_with_replaced(&self, sealed: &Sealed) -> Opened {
        let header = sealed.header();
        let answered = !header.flags.response
            && matches!(self.window.classify(header.message_id), Incoming::Answered(_));
        let replaced = self.replaced.as_ref().filter(|_| answered);
        match replaced.is_some_and(|replaced| replaced.authenticates(sealed)) {
            true => Opened::Repetition,
            false => Opened::Foreign,
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
            Err(OpenError::NotAuthentic) => return self.open_with_replaced(fragment.sealed()),
        };
        if collect.is_none() {
            return if header.flags.response { Opened::Nothing } else { Opened::Repetition };
        }
        if fragment.number() == 1 && fragment.total() > 1 {
            self.note_fragment(fragment.sealed().associated().len() + fragment.sealed().body().len());
        }
        let reassembly = if header.flags.response { &mut self.responses } else { &mut self.requests };
        match reassembly.insert(opened) {
            Ok(Progress::Complete(unsealed)) => Opened::Message(unsealed),
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
        ctx.trace(path.remote, || watch::message(&message));
        ctx.out.accounts.telling(&message.payloads);
        let sealed = match common.fragment_limit(path, ctx.config.nat_port, self.fragment_size) {
            Some(limit) => self.protection.seal_fragments(&message, limit, ctx.random),
            None => self.protection.seal(&message, ctx.random).map(|packet| vec![packet]),
        };
        sealed.map_err(|_| Failure::Crypto("a message could not be sealed"))
    }
}
