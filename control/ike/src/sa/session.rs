//! What a resumed IKE SA takes over from the one before (RFC 5723 §5): the caller keeps it in memory, the gateway finds it
//! in the ticket.
//!
//! It is worth no more than the proof of identity that it goes back to, so it holds what that rested on ([`Basis`]): where
//! the connection of today is another in that respect, there is no resumption. Everything else is negotiated or announced
//! anew. Sealing a ticket is [`crate::crypto::TicketKeys`]'.

use super::common::Common;
use super::ike_sa::IkeSa;
use super::parts::Parts;
use super::proof::{self, Proven};
use crate::config::{
    Auth, Choice, Connection, Identity, IdentityMatch, IdentityPattern, IkeProposal, Ppk, PpkId, Prf,
    RemoteAuth, SignatureScheme,
};
use crate::crypto::negotiate;
use crate::crypto::{IkeSuite, Secret};
use crate::event::PpkUse;
use crate::want::Role;
use crate::wire::{
    Certificate, CertificateEncoding, Identification, IkeSpi, Notify, NotifyType, Payload, Reader,
    SecurityAssociation, Spi, emit_chain, parse_chain,
};
use std::time::Duration;
use zeroize::Zeroizing;

/// Octets of certificates in a ticket: one of a gateway's and one between it and its anchor. Who shows the ticket sends
/// it in one datagram; a peer with more of them proves itself anew.
const CERTIFICATES: usize = 4096;

/// Octets of a digest of [`Basis`].
const POLICY: usize = 32;

/// Both SPIs of an IKE SA, the original initiator's first.
pub(crate) type Spis = (IkeSpi, IkeSpi);

/// What is resumed.
#[derive(Clone)]
pub(crate) struct Session {
    /// Who asked for the ticket, and calls: IDi.
    pub(crate) caller: Identification,
    /// Who gave it: IDr.
    pub(crate) gateway: Identification,
    /// Its algorithms, one of each type.
    algorithms: SecurityAssociation,
    pub(crate) sk_d: Secret,
    /// Those of the IKE SA before.
    pub(crate) spis: Spis,
    /// The post-quantum preshared key that is mixed into SK_d.
    ppk: Option<PpkId>,
    pub(crate) basis: Basis,
}

/// What a proof of identity rested on.
#[derive(Clone, Debug)]
pub(crate) struct Basis {
    /// Of identities and keys of the connection, as it was.
    policy: [u8; POLICY],
    /// The peer's, to be judged again.
    pub(crate) certificates: Vec<Vec<u8>>,
}

impl Basis {
    /// Of a proof under this connection, where it may be resumed.
    pub(crate) fn of(config: &Connection, certificates: &[Vec<u8>]) -> Option<Box<Basis>> {
        let fits = certificates.iter().map(Vec::len).sum::<usize>() <= CERTIFICATES;
        let basis = || Box::new(Basis { policy: policy(config), certificates: certificates.to_vec() });
        (may_resume(config) && fits).then(basis)
    }
}

impl Session {
    /// The session of an IKE SA that is up.
    pub(crate) fn of(common: &Common, proven: &Proven, sa: &IkeSa) -> Option<Session> {
        let own = proof::identification(&common.own_identity());
        let peer = proof::identification(proven.identity());
        let (caller, gateway) = match common.role {
            Role::Initiator => (own, peer),
            Role::Responder => (peer, own),
        };
        let ppk = match &common.ppk {
            PpkUse::Mixed(id) => Some(id.clone()),
            _ => None,
        };
        Some(Session {
            caller,
            gateway,
            algorithms: algorithms(&sa.suite),
            sk_d: sa.keys.sk_d.clone(),
            spis: (sa.initiator_spi, sa.responder_spi),
            ppk,
            basis: proven.basis()?.clone(),
        })
    }

    /// Us and the peer.
    fn ends(&self, role: Role) -> (&Identification, &Identification) {
        match role {
            Role::Initiator => (&self.caller, &self.gateway),
            Role::Responder => (&self.gateway, &self.caller),
        }
    }

    /// The certificate of ours by which we are who we were.
    pub(crate) fn own_certificate(&self, config: &Connection, role: Role) -> Choice {
        config.called(&proof::identity(self.ends(role).0)).unwrap_or_default()
    }

    /// The algorithms, if this connection still has the proof's identities and keys, and allows them.
    pub(crate) fn suite_for(&self, config: &Connection, role: Role) -> Option<IkeSuite> {
        let (own, peer) = self.ends(role);
        let own = proof::identity(own);
        let named = config.called(&own).is_some_and(|choice| config.own_identity(choice) == own)
            && config.remote_identity.accepts(&proof::identity(peer));
        let is_same = may_resume(config) && named && policy(config) == self.basis.policy;
        let chosen = negotiate::select_ike(&config.proposals, &self.algorithms).ok();
        chosen.filter(|_| is_same).map(|chosen| chosen.suite)
    }

    /// The same for a caller, which may have proven itself in more than one way.
    pub(crate) fn suite_for_caller(&self, config: &Connection) -> Option<IkeSuite> {
        let forms = [true, false].into_iter().filter_map(|by_key| config.of_proof(by_key));
        let suite = |config: &Connection| self.suite_for(config, Role::Responder);
        suite(config).or_else(|| { forms }.find_map(|form| suite(&form)))
    }

    /// What became of post-quantum preshared keys: what was mixed into SK_d is in all keys that follow.
    pub(crate) fn ppk_use(&self, config: &Connection) -> PpkUse {
        match (&self.ppk, &config.ppk) {
            (Some(id), _) => PpkUse::Mixed(id.clone()),
            (None, Some(_)) => PpkUse::NotAnnounced,
            (None, None) => PpkUse::NotConfigured,
        }
    }

    /// As a ticket holds it: end of its lifetime in seconds since 1970, SPIs, digest, SK_d, and the rest as payloads.
    pub(crate) fn emit(&self, until: Duration) -> Option<Secret> {
        let chain = emit_chain(&self.payloads()).ok()?;
        let length = u8::try_from(self.sk_d.len()).ok()?;
        let octets = [
            &until.as_secs().to_be_bytes()[..],
            &self.spis.0.to_be_bytes(),
            &self.spis.1.to_be_bytes(),
            &self.basis.policy,
            &[length],
            &self.sk_d,
            &[chain.first.into()],
            &chain.octets,
        ];
        Some(Zeroizing::new(octets.concat()))
    }

    fn payloads(&self) -> Vec<Payload> {
        let certificate = |data: &Vec<u8>| {
            let encoding = CertificateEncoding::X509Signature;
            Payload::Certificate(Certificate { encoding, data: data.clone() })
        };
        let ppk = |id: &PpkId| Payload::Notify(Notify::new(NotifyType::PpkIdentity, id.octets()));
        let mut payloads = vec![
            Payload::IdentificationInitiator(self.caller.clone()),
            Payload::IdentificationResponder(self.gateway.clone()),
            Payload::SecurityAssociation(self.algorithms.clone()),
        ];
        payloads.extend(self.basis.certificates.iter().map(certificate));
        payloads.extend(self.ppk.iter().map(ppk));
        payloads
    }

    /// Reads it, and the end of its lifetime.
    pub(crate) fn parse(octets: &[u8]) -> Option<(Session, Duration)> {
        let mut reader = Reader::new("ticket", octets);
        let until = Duration::from_secs(reader.u64().ok()?);
        let spis = (IkeSpi(reader.u64().ok()?), IkeSpi(reader.u64().ok()?));
        let policy = reader.array().ok()?;
        let length = reader.u8().ok()?;
        let sk_d = Zeroizing::new(reader.take(usize::from(length)).ok()?.to_vec());
        let first = reader.u8().ok()?;
        let (payloads, _) = parse_chain(first.into(), reader.remainder()).ok()?;
        let mut parts = Parts::sort(payloads).ok()?;
        let ppk = parts.notify(NotifyType::PpkIdentity).and_then(|notify| PpkId::parse(&notify.data));
        let session = Session {
            caller: parts.initiator_id.take()?,
            gateway: parts.responder_id.take()?,
            algorithms: parts.sa.take()?,
            sk_d,
            spis,
            ppk,
            basis: Basis { policy, certificates: parts.certificates.into_iter().map(|it| it.data).collect() },
        };
        Some((session, until))
    }
}

/// A suite as the choice that it was.
fn algorithms(suite: &IkeSuite) -> SecurityAssociation {
    let proposal = IkeProposal {
        encryption: vec![suite.encryption],
        integrity: suite.integrity.into_iter().collect(),
        prf: vec![suite.prf],
        groups: vec![suite.group],
        additional: suite.additional,
    };
    negotiate::offer_ike(&[proposal], Spi::None)
}

/// A session rests on one proof: where two are wanted it would stand for half of them.
pub(crate) fn may_resume(config: &Connection) -> bool {
    config.resumption && config.second_auth.is_none()
}

/// A digest of who proves what to whom under a connection, and by which keys.
fn policy(config: &Connection) -> [u8; POLICY] {
    let parts = [
        identity(&config.local_identity),
        identity_match(&config.remote_identity),
        match &config.local_auth {
            Auth::Psk(key) => digest(&[b"psk", key]),
            Auth::Certificate(_) => digest(&[b"certificate"]),
        },
        remote_auth(&config.remote_auth),
        config.ppk.as_ref().map_or_else(
            || digest(&[]),
            |ppks| {
                let keys = ppks.own.iter().chain(ppks.accepted.iter()).map(ppk);
                list(if ppks.required { b"required" } else { b"optional" }, keys)
            },
        ),
    ];
    list(b"policy", parts.into_iter())
}

fn identity(identity: &Identity) -> [u8; POLICY] {
    digest(&[&[identity.kind.number()], &identity.data])
}

fn identity_match(remote: &IdentityMatch) -> [u8; POLICY] {
    match remote {
        IdentityMatch::Any => digest(&[b"any"]),
        IdentityMatch::Exact(exact) => list(b"exact", [identity(exact)].into_iter()),
        IdentityMatch::OneOf(patterns) => list(
            b"one of",
            patterns.iter().map(|pattern| match pattern {
                IdentityPattern::Exact(exact) => list(b"exact", [identity(exact)].into_iter()),
                IdentityPattern::Suffix(suffix) => list(b"suffix", [identity(suffix)].into_iter()),
                IdentityPattern::Within(prefix) => digest(&[b"within", prefix.to_string().as_bytes()]),
            }),
        ),
    }
}

fn remote_auth(remote: &RemoteAuth) -> [u8; POLICY] {
    let psk = |key: &[u8]| digest(&[b"psk", key]);
    match remote {
        RemoteAuth::Psk(key) => psk(key),
        RemoteAuth::Certificate { authorities, schemes } => certificate(authorities, schemes),
        RemoteAuth::Either { psk: key, authorities, schemes } => {
            list(b"either", [psk(key), certificate(authorities, schemes)].into_iter())
        }
    }
}

fn certificate(authorities: &[[u8; 20]], schemes: &[SignatureScheme]) -> [u8; POLICY] {
    let names = schemes.iter().map(|scheme| digest(&[scheme.name().as_bytes()]));
    list(b"certificate", authorities.iter().map(|hash| digest(&[hash])).chain(names))
}

fn ppk(ppk: &Ppk) -> [u8; POLICY] {
    list(b"ppk", [digest(&[&ppk.id.octets()]), digest(&[&ppk.secret])].into_iter())
}

fn list(name: &[u8], digests: impl Iterator<Item = [u8; POLICY]>) -> [u8; POLICY] {
    let digests: Vec<u8> = digests.flatten().collect();
    digest(&[name, &[0], &digests])
}

/// SHA-256 as an HMAC under a name.
fn digest(parts: &[&[u8]]) -> [u8; POLICY] {
    let digest = Prf::HmacSha256.compute(b"Ravelin session policy", parts);
    let mut octets = [0; POLICY];
    octets.iter_mut().zip(digest.iter()).for_each(|(to, from)| *to = *from);
    octets
}
