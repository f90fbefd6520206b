//! We are called: IKE_SA_INIT (RFC 7296 §1.2) after the stranger was let in by [`crate::engine::accept`].
//!
//! One wait, [`ExpectSharedSecret`]; then the reply, and [`super::called_intermediate`].

use super::called_intermediate;
use super::common::Common;
use super::handshake::{Handshake, PeerTraits, own_notifies};
use super::ike_sa::IkeSa;
use super::methods::{self, Taken};
use super::phase::{Called, Next, Phase};
use super::ppk;
use super::proof;
use super::second_auth;
use crate::config::{ClientMatch, Connection, ConnectionId};
use crate::context::{Context, Pending};
use crate::crypto::negotiate::Chosen;
use crate::crypto::{IkeKeys, IkeSuite, IntAuth, Nonces};
use crate::error::Failure;
use crate::key_agreement::{KeyAgreement, Task};
use crate::want::{Answer, Role, WantKind};
use crate::wire::{
    ExchangeType, Flags, Header, IkeSpi, KeyExchange, KeyExchangeId, Message, Nonce, Notify, NotifyType,
    Payload, Spi,
};
use std::sync::Arc;

/// A stranger's request that was let in.
pub(crate) struct Caller {
    pub(crate) initiator_spi: IkeSpi,
    pub(crate) nonce: Nonce,
    pub(crate) public: Vec<u8>,
    pub(crate) chosen: Chosen<IkeSuite>,
    pub(crate) traits: PeerTraits,
    /// The request, octet for octet.
    pub(crate) request: Vec<u8>,
    /// Connections between these addresses that accept the chosen proposal; IKE_AUTH says which one it is.
    pub(crate) candidates: Vec<(ConnectionId, Arc<Connection>)>,
}

/// Our public value and the shared secret are being computed.
pub(crate) struct ExpectSharedSecret {
    caller: Caller,
    responder_spi: IkeSpi,
    responder_nonce: Nonce,
    pub(crate) pending: Pending,
}

impl ExpectSharedSecret {
    /// The caller's request.
    pub(crate) fn request(&mut self) -> &mut Vec<u8> {
        &mut self.caller.request
    }

    /// Begins with a caller.
    pub(crate) fn begin(ctx: &mut Context<'_>, common: &mut Common, mut caller: Caller) -> Phase {
        caller.traits.apply(common);
        let (responder_spi, responder_nonce) = (ctx.ike_spi(), ctx.nonce());
        let peer = std::mem::take(&mut caller.public);
        let job =
            KeyAgreement { group: caller.chosen.suite.group, seed: ctx.seed(), task: Task::Respond { peer } };
        let pending = ctx.ask(common.id, WantKind::KeyAgreement(job));
        Phase::Called(Called::SharedSecret(Box::new(Self {
            caller,
            responder_spi,
            responder_nonce,
            pending,
        })))
    }

    pub(crate) fn spi(&self) -> IkeSpi {
        self.responder_spi
    }

    pub(crate) fn answer(self, ctx: &mut Context<'_>, common: &mut Common, answer: Answer) -> Next {
        let (public, shared) = answer.into_response()?;
        let reply = self.reply(common, public)?;
        let ppk = self.ppk().is_some();
        let Self { caller, responder_spi, responder_nonce, .. } = self;
        let spis = (caller.initiator_spi, responder_spi);
        let suite = caller.chosen.suite;
        let keys =
            IkeKeys::derive(&suite, &shared, Nonces::new(&caller.nonce, &responder_nonce), spis.0, spis.1);
        let mut sa = IkeSa::new(ctx, common, Role::Responder, spis, suite, keys)?;
        let packets = vec![reply.clone()];
        ctx.send(&common.path, &packets);
        sa.window.take_up();
        sa.window.answered(packets);
        let handshake = Handshake {
            sa,
            request: caller.request,
            reply,
            initiator_nonce: caller.nonce,
            responder_nonce,
            peer_hashes: caller.traits.hashes,
            taken: Taken::default(),
            int_auth: IntAuth::default(),
            denied: false,
            ppk,
            wants_ocsp: false,
            looks_up: false,
            childless: true,
            multiple: true,
            mixed: None,
            resumed: None,
            client: ClientMatch::default(),
        };
        Ok(called_intermediate::begin(common, handshake, caller.candidates))
    }

    /// SA, KE, Nr, notifications, CERTREQ.
    fn reply(&self, common: &Common, public: Vec<u8>) -> Result<Vec<u8>, Failure> {
        let spis = (self.caller.initiator_spi, self.responder_spi);
        let method = KeyExchangeId::from(self.caller.chosen.suite.group.transform_id());
        let mut payloads = vec![
            Payload::SecurityAssociation(self.caller.chosen.answer(Spi::None)),
            Payload::KeyExchange(KeyExchange { method, data: public }),
            Payload::Nonce(self.responder_nonce.clone()),
        ];
        payloads.extend(own_notifies(common, spis).into_iter().filter(|payload| self.is_wanted(payload)));
        payloads.extend(self.ppk());
        // Unlike the others it is the called side's to say, unasked (RFC 6023 §3).
        payloads.push(Payload::Notify(Notify::new(NotifyType::ChildlessIkev2Supported, Vec::new())));
        payloads.extend(second_auth::supported(self.caller.candidates.iter().map(|(_, config)| &**config)));
        let requests = self.caller.candidates.iter().map(|(_, config)| proof::certificate_requests(config));
        payloads.extend({ requests }.find(|requests| !requests.is_empty()).unwrap_or_default());
        payloads.extend(methods::announced(self.caller.candidates.iter().map(|(_, config)| &**config)));
        payloads.extend(self.caller.candidates.iter().find_map(|(_, config)| proof::ocsp_request(config)));
        payloads
            .extend(self.caller.candidates.iter().find_map(|(_, config)| proof::lookup_supported(config)));
        let flags = Flags { initiator: false, version: false, response: true };
        let header = Header::new(spis.0, spis.1, ExchangeType::IkeSaInit, flags, 0);
        Message::new(header, payloads)
            .emit()
            .map_err(|_| Failure::Crypto("an IKE_SA_INIT reply does not fit"))
    }

    /// What says that we have PPKs, if the caller has some and one of the connections it may mean does.
    fn ppk(&self) -> Option<Payload> {
        ppk::answer(self.caller.traits.ppk, self.caller.candidates.iter().map(|(_, config)| config.as_ref()))
    }

    /// Nothing is announced to a peer that did not announce it itself, nor what will not be used.
    fn is_wanted(&self, payload: &Payload) -> bool {
        let traits = &self.caller.traits;
        match payload {
            Payload::Notify(Notify { notify_type: NotifyType::FragmentationSupported, .. }) => {
                traits.fragmentation
            }
            Payload::Notify(Notify { notify_type: NotifyType::IntermediateExchangeSupported, .. }) => {
                !self.caller.chosen.suite.additional.is_empty()
            }
            Payload::Notify(Notify { notify_type: NotifyType::SignatureHashAlgorithms, .. }) => {
                !traits.hashes.is_empty()
            }
            Payload::Notify(_) => traits.nat.is_some(),
            _ => true,
        }
    }
}
