//! Agreeing on a CHILD_SA, as payloads and without state: what we offer, what we accept of the peer's answer,
//! what we choose from the peer's offer (RFC 7296 §1.2, §1.3, §2.9).

use super::mode;
use super::packet::behind;
use super::parts::Parts;
use super::resource;
use crate::config::{ChildConfig, ChildId, Group, Selector};
use crate::crypto::negotiate::{self, ChildExchange, Chosen};
use crate::error::{Failure, Side, Subject};
use crate::id::ChildSaId;
use crate::input::Packet;
use crate::narrow::{self, LIMIT};
use crate::want::EspSuite;
use crate::wire::{NotifyType, Payload, Spi};
use crate::words;

/// What a CHILD_SA is made for. Both sides may be at the same at once (RFC 7296 §2.8.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Aim {
    /// This child is to have one.
    New(ChildId),
    /// It is to take over from this one.
    Rekey(ChildSaId),
}

impl Aim {
    /// Of a CHILD_SA of this child that is to replace another, or not.
    pub(crate) fn of(config: ChildId, rekey: Option<ChildSaId>) -> Aim {
        rekey.map_or(Aim::New(config), Aim::Rekey)
    }
}

/// A CHILD_SA we want.
#[derive(Clone)]
pub(crate) struct Intent {
    pub(crate) config: ChildConfig,
    /// The SA it is to replace.
    pub(crate) rekey: Option<ChildSaId>,
    /// Our side of the traffic: as configured, or as in use when rekeying.
    local: Vec<Selector>,
    remote: Vec<Selector>,
    /// Of a new one, what carries the packet that wants it.
    packet: Option<Packet>,
}

/// What the peer's answer makes of an [`Intent`].
pub(crate) struct Accepted {
    pub(crate) suite: EspSuite,
    pub(crate) spi_out: u32,
    pub(crate) local: Vec<Selector>,
    pub(crate) remote: Vec<Selector>,
    /// Whether it takes more of them, for single resources.
    pub(crate) takes_more: bool,
    /// Whether it takes padding against traffic analysis.
    pub(crate) takes_padding: bool,
}

/// What we make of the peer's offer.
pub(crate) struct Choice {
    pub(crate) config: ChildConfig,
    pub(crate) chosen: Chosen<EspSuite>,
    pub(crate) spi_out: u32,
    pub(crate) local: Vec<Selector>,
    pub(crate) remote: Vec<Selector>,
    /// Whether another child would carry more of the offer, by an SA of its own.
    pub(crate) leaves_more: bool,
    /// Whether it asks for more of them, for single resources, and we take them.
    pub(crate) takes_more: bool,
    /// Whether it takes padding against traffic analysis.
    pub(crate) takes_padding: bool,
}

/// Why we make nothing of it, with both sides in words.
pub(crate) struct Refusal {
    pub(crate) failure: Failure,
    pub(crate) offered: String,
    pub(crate) configured: String,
    pub(crate) difference: String,
}

impl Intent {
    /// A new child, and the packet that wants it if there is one.
    pub(crate) fn new_child(config: ChildConfig, packet: Option<Packet>) -> Intent {
        let (local, remote) = (config.local.clone(), config.remote.clone());
        let packet = packet.and_then(|packet| packet.within(&config));
        Intent { config, rekey: None, local, remote, packet }
    }

    /// The same for the addresses of its packet alone, where the peer takes "only Traffic Selectors specifying a single
    /// pair of addresses" (SINGLE_PAIR_REQUIRED, RFC 7296 §2.9).
    pub(crate) fn of_pair(&self) -> Option<Intent> {
        let pair = self.packet?.pair(&self.config)?;
        let (local, remote) = (vec![pair.local], vec![pair.remote]);
        Some(Intent { config: self.config.clone(), rekey: None, local, remote, packet: None })
    }

    /// The packet that wants it.
    pub(crate) fn packet(&self) -> Option<Packet> {
        self.packet
    }

    /// A successor: "the initiator ... proposes the traffic selectors in use" (RFC 7296 §2.9.2).
    pub(crate) fn rekey(
        config: ChildConfig,
        old: ChildSaId,
        local: Vec<Selector>,
        remote: Vec<Selector>,
    ) -> Intent {
        Intent { config, rekey: Some(old), local, remote, packet: None }
    }

    /// What it is for.
    pub(crate) fn aim(&self) -> Aim {
        Aim::of(self.config.id, self.rekey)
    }

    /// Whether what the peer asks for makes it superfluous: a successor of the same one; or another of the same child
    /// that carries as much.
    pub(crate) fn is_met_by(&self, choice: &Choice, rekey: Option<ChildSaId>) -> bool {
        let covers = || {
            narrow::all_within(&self.local, &choice.local) && narrow::all_within(&self.remote, &choice.remote)
        };
        self.aim() == Aim::of(choice.config.id, rekey) && (rekey.is_some() || covers())
    }

    /// The groups it is offered with, the preferred one first: of one of them we send a KE payload.
    pub(crate) fn groups(&self) -> Vec<Group> {
        self.config.proposals.iter().flat_map(|proposal| proposal.groups.iter().copied()).collect()
    }

    /// SA, TSi, TSr.
    pub(crate) fn offer(&self, spi: u32, exchange: ChildExchange) -> [Payload; 3] {
        let (local, remote) =
            (self.packet.map(|packet| packet.local), self.packet.map(|packet| packet.remote));
        [
            Payload::SecurityAssociation(negotiate::offer_esp(&self.config.proposals, exchange, spi)),
            Payload::TrafficSelectorsInitiator(narrow::to_wire(&behind(local, &self.local))),
            Payload::TrafficSelectorsResponder(narrow::to_wire(&behind(remote, &self.remote))),
        ]
    }

    /// What is said of it besides: N(USE_TRANSPORT_MODE) of one in transport mode, N(SA_RESOURCE_INFO) of one that has to
    /// do with resources.
    pub(crate) fn notifies(&self) -> impl Iterator<Item = Payload> {
        mode::wish(&self.config).into_iter().chain(resource::info(&self.config))
    }
}

/// Reads the peer's answer to our offer. With an error in it there is no CHILD_SA, whatever stands beside that (RFC 7296
/// §3.10.1).
pub(crate) fn accept(intent: &Intent, reply: &Parts, exchange: ChildExchange) -> Result<Accepted, Failure> {
    if let Some(error) = reply.error() {
        return Err(refused(error.notify_type));
    }
    let (Some(sa), Some(tsi), Some(tsr)) = (&reply.sa, &reply.initiator_ts, &reply.responder_ts) else {
        return Err(Failure::Syntax("an answer without SA, TSi and TSr"));
    };
    mode::answered(&intent.config, reply)?;
    let chosen = negotiate::accept_esp(&intent.config.proposals, exchange, sa)
        .map_err(|_| Failure::ProposalNotOffered(Subject::Child))?;
    let (suite, spi_out) = (chosen.suite, usable_spi(chosen.peer_spi)?);
    let (local, remote) = (narrow::from_wire(tsi), narrow::from_wire(tsr));
    let within = |ours: &[Selector], answer: &[Selector]| {
        !answer.is_empty() && answer.len() <= LIMIT && narrow::all_within(answer, ours)
    };
    if !within(&intent.local, &local) || !within(&intent.remote, &remote) {
        return Err(Failure::TsNotOffered);
    }
    // A successor that carries less would cut off traffic in flight: the old SA is kept instead. One resource's SA
    // carries what the fallback does.
    let covers = narrow::all_within(&intent.local, &local) && narrow::all_within(&intent.remote, &remote);
    if (intent.rekey.is_some() || intent.config.resource.is_one()) && !covers {
        return Err(Failure::TsNotOffered);
    }
    let takes_more = resource::agreed(&intent.config, reply);
    let takes_padding = mode::takes_padding(reply);
    // A peer may say the packet's again beside those that hold them.
    let (local, remote) = (narrow::reduce(&local), narrow::reduce(&remote));
    Ok(Accepted { suite, spi_out, local, remote, takes_more, takes_padding })
}

/// The failure an error notification of the peer means, for a CHILD_SA.
pub(crate) fn refused(error: NotifyType) -> Failure {
    match error {
        NotifyType::NoProposalChosen => Failure::ProposalRefused(Subject::Child),
        NotifyType::TsUnacceptable => Failure::TsRefused,
        NotifyType::NoAdditionalSas => Failure::NoAdditionalSas(Side::Peers),
        NotifyType::TsMaxQueue => Failure::TooManyResources(Side::Peers),
        NotifyType::SinglePairRequired => Failure::SinglePairRequired,
        NotifyType::ChildSaNotFound => Failure::ChildNotFound,
        NotifyType::TemporaryFailure => Failure::TemporaryFailure,
        NotifyType::StateNotFound => Failure::FollowupForgotten,
        other => Failure::PeerError(other.into()),
    }
}

/// The selectors of a CHILD_SA, ours first.
pub(crate) type Carried<'a> = (&'a [Selector], &'a [Selector]);

/// Chooses from the peer's offer: the first child configuration whose selectors and proposals both fit, of those that
/// are not up (`is_up`) before others; and of these, where a tunnel takes the place of another one, the one that carried
/// the same there, and at last those that carried something else (`before`). If any carries the first selectors of the offer, which may be the packet it is
/// made for, it is one of these or none (RFC 7296 §2.9).
pub(crate) fn choose<'a>(
    children: &[&ChildConfig],
    (is_up, before): (impl Fn(&ChildId) -> bool, impl Fn(&ChildId) -> Option<Carried<'a>>),
    offer: &Parts,
    exchange: ChildExchange,
) -> Result<Choice, Box<Refusal>> {
    let (Some(sa), Some(tsi), Some(tsr)) = (&offer.sa, &offer.initiator_ts, &offer.responder_ts) else {
        return Err(Failure::Syntax("an offer without SA, TSi and TSr").into());
    };
    // "As responder local=TSr, remote=TSi".
    let (theirs, ours) = (narrow::from_wire(tsi), narrow::from_wire(tsr));
    let carries_first = |config: &ChildConfig| {
        let first = |offered: &[Selector], configured: &[Selector]| {
            offered.first().is_some_and(|first| narrow::all_within(&[*first], configured))
        };
        first(&ours, &config.local) && first(&theirs, &config.remote)
    };
    let mut ordered = children.to_vec();
    if children.iter().any(|config| carries_first(config)) {
        ordered.retain(|config| carries_first(config));
    }
    let narrowed = |config: &ChildConfig| {
        (narrow::narrow(&ours, &config.local), narrow::narrow(&theirs, &config.remote))
    };
    let changes = |config: &ChildConfig| match (before(&config.id), narrowed(config)) {
        (Some((local, remote)), (Some(ours), Some(theirs))) => match ours == local && theirs == remote {
            true => 0,
            false => 2,
        },
        _ => 1,
    };
    ordered.sort_by_key(|config| (is_up(&config.id), changes(config)));
    let mut best: Box<Refusal> = Failure::TsUnacceptable.into();
    for config in ordered {
        let (Some(local), Some(remote)) = narrowed(config) else { continue };
        match negotiate::select_esp(&config.proposals, exchange, sa) {
            Ok(chosen) => {
                let spi_out = usable_spi(chosen.peer_spi)?;
                let takes_more = resource::agreed(config, offer);
                let takes_padding = mode::takes_padding(offer);
                let is_left = |other: &&ChildConfig| match narrowed(other) {
                    (Some(ours), Some(theirs)) => {
                        !narrow::all_within(&ours, &local) || !narrow::all_within(&theirs, &remote)
                    }
                    _ => false,
                };
                let mut others = children.iter().filter(|other| other.id != config.id && !is_up(&other.id));
                let leaves_more = others.any(is_left);
                let config = config.clone();
                return Ok(Choice {
                    config,
                    chosen,
                    spi_out,
                    local,
                    remote,
                    leaves_more,
                    takes_more,
                    takes_padding,
                });
            }
            // Selectors fitted: the more specific cause is the proposal.
            Err(reason) => {
                best.failure = Failure::NoProposalChosen(Subject::Child);
                best.difference = reason.to_string();
            }
        }
    }
    best.explain(children, offer);
    Err(best)
}

/// "SPI values in the range 1 to 255 are reserved" and zero is for local use (RFC 4303 §2.1).
fn usable_spi(spi: Spi) -> Result<u32, Failure> {
    match spi {
        Spi::Child(spi) if spi > 255 => Ok(spi),
        _ => Err(Failure::Syntax("an ESP proposal without a usable SPI")),
    }
}

impl From<Failure> for Box<Refusal> {
    fn from(failure: Failure) -> Box<Refusal> {
        Box::new(Refusal {
            failure,
            offered: String::new(),
            configured: String::new(),
            difference: String::new(),
        })
    }
}

impl Refusal {
    fn explain(&mut self, children: &[&ChildConfig], offer: &Parts) {
        if self.failure == Failure::TsUnacceptable {
            let side = |ts: &Option<_>| ts.as_ref().map(narrow::from_wire).unwrap_or_default();
            self.offered = words::traffic(&side(&offer.responder_ts), &side(&offer.initiator_ts));
            let ours = children.iter().map(|child| words::traffic(&child.local, &child.remote));
            self.configured = ours.collect::<Vec<_>>().join("; ");
            self.difference =
                words::obstacles(&side(&offer.responder_ts), &side(&offer.initiator_ts), children);
        } else {
            self.offered = offer.sa.as_ref().map(words::proposals).unwrap_or_default();
            let ours = |child: &&ChildConfig| {
                words::proposals(&negotiate::offer_esp(&child.proposals, ChildExchange::CreateChildSa, 0))
            };
            self.configured = children.iter().map(ours).collect::<Vec<_>>().join("; ");
        }
    }
}
