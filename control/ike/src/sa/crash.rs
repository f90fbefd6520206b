//! Quick crash detection (RFC 6290) on an IKE SA that is up: our token for it goes to the peer, the peer's is kept, and
//! one that is proven ends it. Tokens for IKE SAs that are not here are [`crate::engine`]'s.
//!
//! A token comes in IKE_AUTH (§4.2), and for an IKE SA made by a rekey in an INFORMATIONAL request of its own (§4.3),
//! whoever rekeyed: one way for both ends. The peer's is also taken from its answer to CREATE_CHILD_SA.

use super::ike_sa::IkeSa;
use super::line::{Line, Own};
use super::parts::Parts;
use super::turn::Turn;
use super::up::{Task, Up};
use crate::context::Context;
use crate::crypto::CrashToken;
use crate::error::Failure;
use crate::wire::{ExchangeType, Message, Notify, NotifyType, Payload};

/// Our token for this IKE SA, if we make any.
pub(crate) fn own(ctx: &Context<'_>, sa: &IkeSa) -> Option<Payload> {
    let secret = ctx.config.crash_secret.as_ref()?;
    let token = secret.token(sa.initiator_spi, sa.responder_spi);
    Some(Payload::Notify(Notify::crash_token(token.octets())))
}

/// The peer's token in a message that is authentic.
pub(crate) fn of_peer(parts: &Parts) -> Option<CrashToken> {
    CrashToken::from_peer(&parts.notify(NotifyType::QuickCrashDetection)?.data)
}

/// The current IKE SA is a new one: the peer is to have our token for it.
pub(crate) fn renew(ctx: &Context<'_>, up: &mut Up) {
    if ctx.config.crash_secret.is_some() && !up.tasks.contains(&Task::SendCrashToken) {
        up.tasks.push_front(Task::SendCrashToken);
    }
}

impl Line {
    /// Keeps the peer's token, if there is one. "In such a case, the peer MUST send the new token in a protected message
    /// under that IKE SA" (RFC 6290 §4.4): a later one takes its place.
    pub(crate) fn take_crash_token(&mut self, parts: &Parts) {
        if let Some(token) = of_peer(parts) {
            self.sa.crash_token = Some(token);
        }
    }
}

impl Turn<'_, '_> {
    /// Gives the peer our token for this IKE SA.
    pub(crate) fn send_crash_token(&mut self) {
        let Some(token) = own(self.ctx, &self.line.sa) else { return };
        match self.request(ExchangeType::Informational, vec![token]) {
            Ok(()) => self.line.own = Some(Own::Nothing),
            Err(failure) => self.up.ended = Some(failure),
        }
    }

    /// Whether an unprotected message with the SPIs of this IKE SA proves that the peer has lost it. "The token is
    /// considered verified if any of the QCD_TOKEN notifications matches" (RFC 6290 §4.5).
    pub(crate) fn is_proven_crash(&mut self, message: &Message) -> bool {
        let tokens: Vec<&[u8]> = message.payloads.iter().filter_map(token).collect();
        let known = self.line.sa.crash_token.as_ref().filter(|_| !self.line.is_closed());
        let Some(known) = known.filter(|_| !tokens.is_empty()) else { return false };
        let proven = tokens.into_iter().fold(false, |proven, token| known.is(token) | proven);
        let (right, wrong) = &mut self.ctx.out.crash_tokens;
        let counter = if proven { right } else { wrong };
        *counter = counter.saturating_add(1);
        proven
    }

    /// "the receiver MUST silently discard the IKE SA and all its associated Child SAs" (RFC 6290 §4.5). An IKE SA that
    /// another one has replaced goes alone: that the peer has forgotten it is no crash.
    pub(crate) fn peer_crashed(&mut self) {
        if !self.line.is_current() || self.up.is_closing() {
            return self.close_line();
        }
        self.up.ended = Some(Failure::PeerCrashed(self.ctx.now.since(self.common.heard)));
    }
}

/// The token in a payload.
fn token(payload: &Payload) -> Option<&[u8]> {
    match payload {
        Payload::Notify(notify) if notify.notify_type == NotifyType::QuickCrashDetection => {
            Some(&notify.data)
        }
        _ => None,
    }
}
