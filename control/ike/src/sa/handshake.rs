//! What IKE_SA_INIT leaves behind for IKE_INTERMEDIATE and IKE_AUTH, in either role, and the notifications both roles
//! put into IKE_SA_INIT.

use super::common::Common;
use super::ike_sa::{IkeSa, Opened};
use super::methods::Taken;
use super::nat::{self, NatFindings};
use super::parts::Parts;
use super::ppk::Mixed;
use super::proof;
use super::redirect::{self, Redirectable};
use super::session::Session;
use crate::config::ClientMatch;
use crate::context::Context;
use crate::crypto::{IkeKeys, IntAuth, Nonces, SharedSecret, Unsealed};
use crate::error::Failure;
use crate::input::Datagram;
use crate::time::Instant;
use crate::want::Role;
use crate::window::{Due, Incoming, Schedule};
use crate::wire::{
    ExchangeType, Header, IkeSpi, Nonce, Notify, NotifyType, Outer, ParseError, Payload, SecurityAssociation,
    Transform, TransformType,
};
use std::borrow::Cow;
use std::net::SocketAddr;

/// An IKE SA whose keys exist and whose peer is not yet proven.
pub(crate) struct Handshake {
    pub(crate) sa: IkeSa,
    /// The IKE_SA_INIT request that was answered, octet for octet: AUTH covers it.
    pub(crate) request: Vec<u8>,
    /// Its reply.
    pub(crate) reply: Vec<u8>,
    pub(crate) initiator_nonce: Nonce,
    pub(crate) responder_nonce: Nonce,
    /// Hash algorithms the peer announced for signatures.
    pub(crate) peer_hashes: Vec<u16>,
    /// What it says that it takes as our proof (RFC 9593).
    pub(crate) taken: Taken,
    /// Whether the peer asks for our responder's word on our certificate (RFC 4806).
    pub(crate) wants_ocsp: bool,
    /// Whether the peer looks certificates up (HTTP_CERT_LOOKUP_SUPPORTED).
    pub(crate) looks_up: bool,
    /// The messages of IKE_INTERMEDIATE: AUTH covers them too.
    pub(crate) int_auth: IntAuth,
    /// The peer answered our request in the clear with INVALID_IKE_SPI.
    pub(crate) denied: bool,
    /// Whether both sides said that they have PPKs (USE_PPK).
    pub(crate) ppk: bool,
    /// Whether the called side can do without a CHILD_SA in IKE_AUTH.
    pub(crate) childless: bool,
    /// Whether the called side takes more than one proof (RFC 4739).
    pub(crate) multiple: bool,
    /// The PPK that IKE_AUTH names, and the keys it makes.
    pub(crate) mixed: Option<Box<Mixed>>,
    /// The session it resumes: IKE_SESSION_RESUME stands in place of IKE_SA_INIT (RFC 5723).
    pub(crate) resumed: Option<Box<Session>>,
    /// Which client of a gateway called.
    pub(crate) client: ClientMatch,
}

/// Why an attempt ends, and the IKE SA that still has to be wound up with the peer.
pub(crate) struct Abort {
    pub(crate) failure: Failure,
    pub(crate) sa: Option<Box<IkeSa>>,
}

impl From<Failure> for Abort {
    fn from(failure: Failure) -> Abort {
        Abort { failure, sa: None }
    }
}

/// What a datagram is to who awaits the peer's next request.
pub(crate) enum Asked {
    /// That request, authentic.
    Next(Unsealed),
    /// That request, authentic, and it breaks the format.
    Malformed(ParseError),
    /// Another message of the peer's.
    Another(Header),
    /// None.
    Nothing,
}

impl Handshake {
    /// The keys proofs are made with: those with the PPK, if one is named.
    pub(crate) fn keys(&self) -> &IkeKeys {
        self.mixed.as_ref().map_or(&self.sa.keys, |mixed| &mixed.keys)
    }

    /// Sends a request of IKE_INTERMEDIATE, and lets AUTH cover it.
    pub(crate) fn request_intermediate(
        &mut self,
        ctx: &mut Context<'_>,
        common: &Common,
        payloads: Vec<Payload>,
    ) -> Result<(), Failure> {
        let covered = self.sa.covered(ExchangeType::IkeIntermediate, false, &payloads)?;
        self.int_auth.add(self.sa.suite.prf, &self.sa.keys, Role::Initiator, &covered);
        let schedule = Schedule::Doubling(ctx.config.retransmission);
        self.sa.request(ctx, common, ExchangeType::IkeIntermediate, payloads, schedule)
    }

    /// Answers a request of IKE_INTERMEDIATE, and lets AUTH cover the answer.
    pub(crate) fn reply_intermediate(
        &mut self,
        ctx: &mut Context<'_>,
        common: &Common,
        payloads: Vec<Payload>,
    ) -> Result<(), Failure> {
        let covered = self.sa.covered(ExchangeType::IkeIntermediate, true, &payloads)?;
        self.int_auth.add(self.sa.suite.prf, &self.sa.keys, Role::Responder, &covered);
        self.sa.reply(ctx, common, &common.path, ExchangeType::IkeIntermediate, payloads)
    }

    /// Lets AUTH cover a message of the peer.
    pub(crate) fn cover(&mut self, sender: Role, unsealed: &Unsealed) -> Result<(), Failure> {
        let covered =
            unsealed.covered().map_err(|_| Failure::Syntax("an IKE_INTERMEDIATE message too long"))?;
        self.int_auth.add(self.sa.suite.prf, &self.sa.keys, sender, &covered);
        Ok(())
    }

    /// Takes up the keys of an additional key exchange.
    pub(crate) fn advance(&mut self, shared: &SharedSecret) -> Result<(), Failure> {
        let nonces = Nonces::new(&self.initiator_nonce, &self.responder_nonce);
        let spis = (self.sa.initiator_spi, self.sa.responder_spi);
        let keys = self.sa.keys.advance(&self.sa.suite, shared, nonces, spis.0, spis.1);
        self.sa.advance(keys)
    }

    /// Nothing in the clear is believed any more (RFC 7296 §2.21.4), but a called end that gave up waiting for us says
    /// INVALID_IKE_SPI and will say nothing else: our request is sent once more, and then we begin anew sooner.
    pub(crate) fn hint(&mut self, ctx: &Context<'_>, outer: &Outer) {
        let Outer::Clear(message) = outer else { return };
        let header = &message.header;
        let spis =
            (header.initiator_spi, header.responder_spi) == (self.sa.initiator_spi, self.sa.responder_spi);
        let answers = header.flags.response && self.sa.window.awaits_reply(header.message_id);
        if spis && answers && message.says(NotifyType::InvalidIkeSpi) {
            self.denied = true;
            let interval = ctx.config.unprotected_patience / 2;
            self.sa.window.doubt(ctx.now, Schedule::Steady { interval, tries: 1 });
        }
    }

    /// Whether this is the reply to our request.
    pub(crate) fn is_reply(&self, header: &Header, exchange: ExchangeType) -> bool {
        header.flags.response
            && !header.flags.initiator
            && header.exchange == exchange
            && self.sa.window.awaits_reply(header.message_id)
    }

    /// Looks whether a datagram is the peer's next request, of this exchange; one that was answered is answered again.
    pub(crate) fn asked(
        &mut self,
        ctx: &mut Context<'_>,
        common: &mut Common,
        datagram: &Datagram,
        (outer, exchange): (Outer, ExchangeType),
    ) -> Asked {
        match self.sa.open(ctx, outer) {
            Opened::Message(unsealed) if self.is_next_request(&unsealed.message.header, exchange) => {
                self.arrived(ctx, common, datagram);
                Asked::Next(unsealed)
            }
            Opened::Malformed(header, error) if self.is_next_request(&header, exchange) => {
                self.arrived(ctx, common, datagram);
                Asked::Malformed(error)
            }
            Opened::Message(unsealed) => Asked::Another(unsealed.message.header),
            Opened::Repetition => {
                self.sa.shrink_reply(ctx, common, &common.path);
                self.sa.repeat_reply(ctx, &common.path);
                Asked::Nothing
            }
            Opened::Malformed(..) | Opened::Foreign | Opened::Nothing => Asked::Nothing,
        }
    }

    fn is_next_request(&self, header: &Header, exchange: ExchangeType) -> bool {
        header.exchange == exchange
            && !header.flags.response
            && header.flags.initiator
            && self.sa.window.classify(header.message_id) == Incoming::New
    }

    /// The peer's next request is here, and authentic: from here on the peer is where it came from, on port 4500 if it
    /// moved there (RFC 7296 §2.23).
    fn arrived(&mut self, ctx: &Context<'_>, common: &mut Common, datagram: &Datagram) {
        self.sa.window.take_up();
        common.path.local = datagram.local;
        common.path.remote = datagram.remote;
        common.heard = ctx.now;
    }

    /// When [`Self::timeout`] has something to do.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.sa.window.deadline().into_iter().chain(self.sa.fragments_until()).min()
    }

    /// Repeats our request if that is due, and forgets fragments that waited too long.
    pub(crate) fn timeout(&mut self, ctx: &mut Context<'_>, common: &Common) -> Result<(), Failure> {
        self.sa.expire_fragments(ctx.now);
        self.sa.shrink_request(ctx, common);
        match self.sa.window.resend(ctx.now) {
            Due::Resend(packets) => ctx.send_again(&common.path, packets),
            Due::GiveUp { waited, .. } if self.denied => return Err(Failure::PeerForgot(waited)),
            Due::GiveUp { tries, waited } => return Err(Failure::NoReply { tries, waited }),
            Due::Nothing => {}
        }
        Ok(())
    }

    /// Refuses the peer's request and ends. The reply is kept for repetitions while the SA lingers.
    pub(crate) fn refuse(
        mut self,
        ctx: &mut Context<'_>,
        common: &Common,
        exchange: ExchangeType,
        notify: Notify,
        failure: Failure,
    ) -> Abort {
        match self.sa.reply(ctx, common, &common.path, exchange, vec![Payload::Notify(notify)]) {
            Ok(()) => Abort { failure, sa: Some(Box::new(self.sa)) },
            Err(_) => failure.into(),
        }
    }

    /// Ends an attempt the peer believes to have succeeded: "the initiator ... SHOULD send an INFORMATIONAL
    /// exchange" with the error, and the IKE SA is deleted (RFC 7296 §2.21.2).
    pub(crate) fn abandon(mut self, ctx: &mut Context<'_>, common: &Common, failure: Failure) -> Abort {
        let error = || Payload::Notify(Notify::new(failure.notify(), Vec::new()));
        let is_error = !matches!(failure, Failure::Redirected(_));
        let mut payloads: Vec<Payload> = is_error.then(error).into_iter().collect();
        payloads.push(Payload::Delete(crate::wire::Delete::Ike));
        let schedule = Schedule::Doubling(ctx.config.retransmission);
        match self.sa.request(ctx, common, ExchangeType::Informational, payloads, schedule) {
            Ok(()) => Abort { failure, sa: Some(Box::new(self.sa)) },
            Err(_) => failure.into(),
        }
    }
}

/// What the peer's IKE_SA_INIT message says besides algorithms and keys.
pub(crate) struct PeerTraits {
    pub(crate) fragmentation: bool,
    /// Whether it speaks IKE_INTERMEDIATE.
    pub(crate) intermediate: bool,
    /// Whether it has PPKs.
    pub(crate) ppk: bool,
    /// Whether it can do without a CHILD_SA in IKE_AUTH.
    pub(crate) childless: bool,
    /// Whether it takes more than one proof, if it is called.
    pub(crate) multiple: bool,
    /// Whether it can be redirected, if it calls.
    pub(crate) redirectable: Option<Redirectable>,
    pub(crate) hashes: Vec<u16>,
    /// What it takes as our proof, if it was called: callers say so later.
    pub(crate) taken: Taken,
    /// Whether it asks for OCSP responses, if it was called: callers do so later.
    pub(crate) wants_ocsp: bool,
    /// Whether it looks certificates up, likewise.
    pub(crate) looks_up: bool,
    pub(crate) nat: Option<NatFindings>,
}

impl PeerTraits {
    /// Reads the notifications of a message that came between these addresses.
    pub(crate) fn of(
        parts: &Parts,
        spis: (IkeSpi, IkeSpi),
        addresses: (SocketAddr, SocketAddr),
    ) -> PeerTraits {
        let hashes = parts.notify(NotifyType::SignatureHashAlgorithms);
        PeerTraits {
            fragmentation: parts.has(NotifyType::FragmentationSupported),
            intermediate: parts.has(NotifyType::IntermediateExchangeSupported),
            ppk: parts.has(NotifyType::UsePpk),
            childless: parts.has(NotifyType::ChildlessIkev2Supported),
            multiple: parts.has(NotifyType::MultipleAuthSupported),
            redirectable: redirect::redirectable(parts),
            wants_ocsp: parts.wants_ocsp,
            looks_up: parts.has(NotifyType::HttpCertLookupSupported),
            taken: Taken::of(parts),
            hashes: hashes.map(|notify| proof::announced_hashes(&notify.data)).unwrap_or_default(),
            nat: nat::findings(parts, spis, addresses),
        }
    }

    /// The proposals that count: "If the IKE_INTERMEDIATE exchange is not negotiated, then the peers MUST treat any ADDKE
    /// Transform Types in the IKE_SA_INIT exchange messages as unknown transform types and skip the proposals they
    /// appear in" (RFC 9370 §2.2.1).
    pub(crate) fn understood<'a>(&self, sa: &'a SecurityAssociation) -> Cow<'a, SecurityAssociation> {
        if self.intermediate {
            return Cow::Borrowed(sa);
        }
        let is_additional = |it: &Transform| TransformType::ADDITIONAL.contains(&it.transform_type);
        let known = sa.proposals.iter().filter(|proposal| !proposal.transforms.iter().any(is_additional));
        Cow::Owned(SecurityAssociation::new(known.cloned().collect()))
    }

    /// Takes over into the tunnel what was found.
    pub(crate) fn apply(&self, common: &mut Common) {
        common.fragmentation = self.fragmentation && common.config.fragmentation.is_some();
        let nat = self.nat.filter(|_| !common.config.nat.is_off());
        common.nat_detection = nat.is_some();
        nat.into_iter().for_each(|found| common.found_nat(found));
        common.redirectable = self.redirectable.clone().filter(|_| common.role == Role::Responder);
    }
}

/// The notifications of our own IKE_SESSION_RESUME message.
pub(crate) fn resumption_notifies(common: &Common, spis: (IkeSpi, IkeSpi)) -> Vec<Payload> {
    // As it began: a request that comes again, from another address even, says the same.
    let addresses = (common.attempt.local, common.path.remote);
    let detection = nat::notifies(spis, addresses, common.config.nat.forces());
    let mut payloads = if common.config.nat.is_off() { Vec::new() } else { detection.to_vec() };
    if common.config.fragmentation.is_some() {
        payloads.push(Payload::Notify(Notify::new(NotifyType::FragmentationSupported, Vec::new())));
    }
    payloads
}

/// The notifications of our own IKE_SA_INIT message: those, and what goes before a key exchange and a signature.
pub(crate) fn own_notifies(common: &Common, spis: (IkeSpi, IkeSpi)) -> Vec<Payload> {
    let mut payloads = resumption_notifies(common, spis);
    if common.config.proposals.iter().any(|proposal| !proposal.additional.is_empty()) {
        payloads.push(Payload::Notify(Notify::new(NotifyType::IntermediateExchangeSupported, Vec::new())));
    }
    let hashes = proof::hash_announcement();
    payloads.push(Payload::Notify(Notify::new(NotifyType::SignatureHashAlgorithms, hashes)));
    payloads
}
