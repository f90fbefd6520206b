//! The payloads of a received message, sorted by kind.
//!
//! Which of them an exchange needs is said where it is handled; that a payload comes twice where only one can
//! be meant is refused here.

use crate::error::{Failure, SecondProof};
use crate::wire::{
    Authentication, Certificate, CertificateEncoding, Delete, Identification, KeyExchange, Message, Nonce,
    Notify, NotifyType, Payload, Protocol, SecurityAssociation, TrafficSelectors, limits,
};

/// The payloads of one message.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    pub(crate) sa: Option<SecurityAssociation>,
    pub(crate) ke: Option<KeyExchange>,
    pub(crate) nonce: Option<Nonce>,
    pub(crate) initiator_id: Option<Identification>,
    pub(crate) responder_id: Option<Identification>,
    pub(crate) auth: Option<Authentication>,
    pub(crate) initiator_ts: Option<TrafficSelectors>,
    pub(crate) responder_ts: Option<TrafficSelectors>,
    /// All but OCSP responses, of whatever encoding.
    pub(crate) certificates: Vec<Certificate>,
    /// The authorities that CERTREQ payloads ask for.
    pub(crate) requested: Vec<[u8; 20]>,
    /// OCSP responses (RFC 4806 §3.2).
    pub(crate) responses: Vec<Vec<u8>>,
    /// Whether OCSP responses are asked for.
    pub(crate) wants_ocsp: bool,
    pub(crate) deletes: Vec<Delete>,
    pub(crate) notifies: Vec<Notify>,
}

impl Parts {
    /// Sorts the payloads. Vendor IDs, configuration and EAP are passed over: nothing here speaks them.
    pub(crate) fn of(message: Message) -> Result<Parts, Failure> {
        Parts::sort(message.payloads)
    }

    /// Sorts payloads that need not have come in a message.
    pub(crate) fn sort(payloads: Vec<Payload>) -> Result<Parts, Failure> {
        let mut parts = Parts::default();
        let is_proof = |payload: &&Payload| matches!(payload, Payload::Authentication(_));
        if payloads.iter().filter(is_proof).count() > 1 {
            return Err(SecondProof::Early.into());
        }
        for payload in payloads {
            match payload {
                Payload::SecurityAssociation(body) => once(&mut parts.sa, body)?,
                Payload::KeyExchange(body) => once(&mut parts.ke, body)?,
                Payload::Nonce(body) => once(&mut parts.nonce, body)?,
                Payload::IdentificationInitiator(body) => once(&mut parts.initiator_id, body)?,
                Payload::IdentificationResponder(body) => once(&mut parts.responder_id, body)?,
                Payload::Authentication(body) => once(&mut parts.auth, body)?,
                Payload::TrafficSelectorsInitiator(body) => once(&mut parts.initiator_ts, body)?,
                Payload::TrafficSelectorsResponder(body) => once(&mut parts.responder_ts, body)?,
                Payload::Certificate(body) if body.encoding == CertificateEncoding::OcspContent => {
                    parts.responses.push(body.data);
                }
                Payload::Certificate(body) => parts.certificates.push(body),
                Payload::CertificateRequest(body) if body.encoding == CertificateEncoding::OcspContent => {
                    parts.wants_ocsp = true;
                }
                Payload::CertificateRequest(body) => {
                    let room = limits::REQUESTED.saturating_sub(parts.requested.len());
                    parts.requested.extend(body.hashes().take(room));
                }
                Payload::Delete(body) => parts.deletes.push(body),
                Payload::Notify(body) => parts.notifies.push(body),
                _ => {}
            }
        }
        Ok(parts)
    }

    /// The first notification of this type.
    pub(crate) fn notify(&self, kind: NotifyType) -> Option<&Notify> {
        self.notifies.iter().find(|notify| notify.notify_type == kind)
    }

    /// Whether there is a notification of this type.
    pub(crate) fn has(&self, kind: NotifyType) -> bool {
        self.notify(kind).is_some()
    }

    /// The first error notification. "An implementation receiving an error type it does not recognize ... MUST
    /// assume that the corresponding request has failed entirely." (RFC 7296 §3.10.1)
    pub(crate) fn error(&self) -> Option<&Notify> {
        self.notifies.iter().find(|notify| notify.notify_type.is_error())
    }

    /// Whether an IKE_AUTH message does without CHILD_SA: "the SAi2, TSi and TSr payloads are omitted" (RFC 6023 §4).
    pub(crate) fn is_childless(&self) -> bool {
        self.sa.is_none() && self.initiator_ts.is_none() && self.responder_ts.is_none()
    }

    /// Whether an INFORMATIONAL request asks for nothing but a sign of life, or how we see its sender besides (RFC 4555
    /// §3.8).
    pub(crate) fn is_probe(&self) -> bool {
        let is_nat_detection = |notify: &Notify| {
            matches!(
                notify.notify_type,
                NotifyType::NatDetectionSourceIp | NotifyType::NatDetectionDestinationIp
            )
        };
        self.deletes.is_empty() && self.notifies.iter().all(is_nat_detection)
    }

    /// Whether a Delete payload names the IKE SA itself.
    pub(crate) fn deletes_ike(&self) -> bool {
        self.deletes.iter().any(|delete| matches!(delete, Delete::Ike))
    }

    /// The SPIs of the peer's deleted CHILD_SAs. All of ours are of ESP: the same number of AH is another SA.
    pub(crate) fn deleted_spis(&self) -> impl Iterator<Item = u32> {
        self.deletes
            .iter()
            .flat_map(|delete| match delete {
                Delete::Child { protocol: Protocol::Esp, spis } => spis.as_slice(),
                _ => &[],
            })
            .copied()
    }
}

fn once<T>(slot: &mut Option<T>, body: T) -> Result<(), Failure> {
    match slot.replace(body) {
        None => Ok(()),
        Some(_) => Err(Failure::Syntax("a payload that may come once came twice")),
    }
}

/// The payload an exchange cannot do without.
pub(crate) fn needed<T>(slot: Option<T>, what: &'static str) -> Result<T, Failure> {
    slot.ok_or(Failure::Syntax(what))
}
