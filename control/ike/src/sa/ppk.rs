//! Post-quantum preshared keys in IKE_SA_INIT and IKE_AUTH (RFC 8784 §3), in the order of the exchange: both sides say
//! that they have some, the caller names one, the called side takes it up or does without, and the keys are settled.
//!
//! Where a session is resumed, what was mixed into its SK_d is in all keys already, and nothing is named.
//!
//! Until they are, [`Handshake::keys`] are those with the PPK and `handshake.sa.keys` those without. What a proof is
//! worth is left to [`super::proof`].

use super::common::Common;
use super::handshake::Handshake;
use super::parts::Parts;
use super::proof::Claim;
use crate::config::{Connection, Ppk, PpkId};
use crate::crypto::IkeKeys;
use crate::error::Failure;
use crate::event::PpkUse;
use crate::wire::{Authentication, Notify, NotifyType, Payload};

/// A PPK that was named, and the keys with it mixed in.
pub(crate) struct Mixed {
    id: PpkId,
    pub(crate) keys: IkeKeys,
}

impl Mixed {
    fn of(handshake: &Handshake, ppk: &Ppk) -> Box<Mixed> {
        let sa = &handshake.sa;
        Box::new(Mixed { id: ppk.id.clone(), keys: sa.keys.with_ppk(sa.suite.prf, &ppk.secret) })
    }
}

fn notify(kind: NotifyType, data: Vec<u8>) -> Payload {
    Payload::Notify(Notify::new(kind, data))
}

fn is_required(config: &Connection) -> bool {
    config.ppk.as_ref().is_some_and(|ppk| ppk.required)
}

/// The PPK we name when we call.
fn own(config: &Connection) -> Option<&Ppk> {
    config.ppk.as_ref()?.own.as_ref()
}

/// As initiator, what says in IKE_SA_INIT that we have a PPK.
pub(crate) fn call(config: &Connection) -> Option<Payload> {
    own(config).map(|_| notify(NotifyType::UsePpk, Vec::new()))
}

/// As responder, the same, to a caller that said it: one of these connections is meant, and IKE_AUTH says which.
pub(crate) fn answer<'a>(
    announced: bool,
    mut candidates: impl Iterator<Item = &'a Connection>,
) -> Option<Payload> {
    let both = announced && candidates.any(|config| config.ppk.is_some());
    both.then(|| notify(NotifyType::UsePpk, Vec::new()))
}

/// As initiator, whether the reply to IKE_SA_INIT will do: without USE_PPK, and if a PPK is mandatory, "the initiator
/// MUST abort the exchange".
pub(crate) fn demand(config: &Connection, announced: bool) -> Result<(), Failure> {
    if announced || !is_required(config) { Ok(()) } else { Err(Failure::PpkNotAnnounced) }
}

/// As initiator, takes up our PPK, if both sides have some.
pub(crate) fn name(handshake: &mut Handshake, common: &mut Common) {
    if handshake.resumed.is_some() {
        return;
    }
    let config = common.config.clone();
    let named = own(&config).filter(|_| handshake.ppk);
    handshake.mixed = named.map(|ppk| Mixed::of(handshake, ppk));
    if handshake.mixed.is_none() && config.ppk.is_some() {
        common.ppk = PpkUse::NotAnnounced;
    }
}

/// The keys a caller's proof of this number is made with: one with the PPK, if there is one, and a second without it
/// where the called side may do without.
pub(crate) fn proof_keys<'a>(
    handshake: &'a Handshake,
    config: &Connection,
    number: usize,
) -> Option<&'a IkeKeys> {
    match number {
        0 => Some(handshake.keys()),
        1 if handshake.mixed.is_some() && !is_required(config) => Some(&handshake.sa.keys),
        _ => None,
    }
}

/// As initiator, N(PPK_IDENTITY, PPK_ID) and, with the second proof, N(NO_PPK_AUTH).
pub(crate) fn named(handshake: &Handshake, without: Option<Authentication>) -> impl Iterator<Item = Payload> {
    let identity = handshake.mixed.as_ref().map(|mixed| notify(NotifyType::PpkIdentity, mixed.id.octets()));
    identity.into_iter().chain(without.map(|proof| notify(NotifyType::NoPpkAuth, proof.data)))
}

/// As responder, takes up the PPK that the caller names, or the proof it made without one: table 1 of RFC 8784 §3.
pub(crate) fn take_up(
    handshake: &mut Handshake,
    common: &mut Common,
    request: &Parts,
    claim: &mut Claim,
) -> Result<(), Failure> {
    if handshake.resumed.is_some() {
        return Ok(());
    }
    let config = common.config.clone();
    if !handshake.ppk {
        if config.ppk.is_some() {
            common.ppk = PpkUse::NotAnnounced;
        }
        return if is_required(&config) { Err(Failure::PpkNotAnnounced) } else { Ok(()) };
    }
    let identity = request.notify(NotifyType::PpkIdentity);
    let id = identity.and_then(|notify| PpkId::parse(&notify.data)).ok_or(Failure::PpkNotNamed)?;
    if let Some(ppk) = config.ppk.as_ref().and_then(|ppks| ppks.find(&id)) {
        handshake.mixed = Some(Mixed::of(handshake, ppk));
        return Ok(());
    }
    // "it uses the data from the NO_PPK_AUTH notification as the authentication data"
    match claim.without_ppk.take() {
        Some(proof) if !is_required(&config) => claim.auth.data = proof,
        _ => return Err(Failure::PpkUnknown(id.to_string())),
    }
    common.ppk = PpkUse::Unknown(id);
    Ok(())
}

/// As responder, what says that the PPK is used.
pub(crate) fn accepted(handshake: &Handshake) -> Option<Payload> {
    handshake.mixed.as_ref().map(|_| notify(NotifyType::PpkIdentity, Vec::new()))
}

/// As initiator, reads whether the called side uses our PPK. "If the initiator does not receive the PPK_IDENTITY", it
/// fails where the PPK is mandatory, and goes on without it elsewhere.
pub(crate) fn answered(handshake: &mut Handshake, common: &mut Common, reply: &Parts) -> Result<(), Failure> {
    if reply.has(NotifyType::PpkIdentity) {
        return Ok(());
    }
    let Some(mixed) = handshake.mixed.take() else { return Ok(()) };
    if is_required(&common.config) {
        return Err(Failure::PpkDeclined(mixed.id.to_string()));
    }
    common.ppk = PpkUse::Declined(mixed.id);
    Ok(())
}

/// Both sides are proven: from here on there is one set of keys.
pub(crate) fn settle(handshake: &mut Handshake, common: &mut Common) {
    if let Some(mixed) = handshake.mixed.take() {
        handshake.sa.keys = mixed.keys;
        common.ppk = PpkUse::Mixed(mixed.id);
    }
}

/// A failed proof, with what a PPK that was mixed in may have to do with it. `proves_without`: the peer's proof without
/// the PPK is right, so that nothing else can be wrong.
pub(crate) fn blame(handshake: &Handshake, failure: Failure, proves_without: bool) -> Failure {
    let Some(id) = handshake.mixed.as_ref().map(|mixed| mixed.id.to_string()) else { return failure };
    match failure {
        Failure::AuthRefused => Failure::PpkRefused(id),
        Failure::PskMismatch if proves_without => Failure::PpkDiffers(id),
        Failure::PskMismatch | Failure::BadSignature(_) => Failure::PpkOrProof(id),
        other => other,
    }
}
