//! Proof of identity (RFC 7296 §2.15, RFC 7427): the types that say an AUTH payload was checked.
//!
//! A [`Proven`] can only be made here, from a pre-shared key that fits, a signature somebody verified, or the keys of a
//! session that is resumed (RFC 5723 §4.3.3); an IKE SA comes up with a [`Proven`] or not at all.

use super::common::Common;
use super::handshake::Handshake;
use super::lookup;
use super::ppk;
use super::session::{Basis, Session};
use crate::config::{
    Auth, Connection, HashAlgorithm, IdKind, Identity, IdentityMatch, OwnCertificate, RemoteAuth,
    SignatureScheme,
};
use crate::context::Context;
use crate::crypto::auth::SignedOctets;
use crate::crypto::{IkeKeys, signature};
use crate::error::{Failure, SecondProof};
use crate::event::Proof;
use crate::want::{AnswerError, Lookup, PeerKey, Role, Verdict, Verify};
use crate::wire::{
    Authentication, AuthenticationMethod, Certificate, CertificateEncoding, CertificateRequest,
    Identification, IdentificationType, Notify, NotifyType, Payload,
};

/// Methods by which a certificate's key may prove.
const SIGNATURES: &str = "signature (14) or ECDSA (9 to 11)";

/// What a peer with an RSA key lacks that signs in the way of RFC 7296 §3.8.
const RSA_WITH_SHA1: &str = "signature (14): RSA with SHA-1 (1) is not taken, and the peer has to do signatures with SHA-2 (RFC 7427)";

/// A peer whose identity was proven.
#[derive(Clone, Debug)]
pub(crate) struct Proven {
    identity: Identity,
    by: Proof,
    /// By a second proof.
    second: Option<Box<Identity>>,
    basis: Option<Box<Basis>>,
}

impl Proven {
    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// By what, the first time.
    pub(crate) fn by(&self) -> Proof {
        self.by
    }

    /// Who it proved to be a second time, if it did.
    pub(crate) fn second(&self) -> Option<&Identity> {
        self.second.as_deref()
    }

    /// What the proof rests on, where it may be resumed.
    pub(crate) fn basis(&self) -> Option<&Basis> {
        self.basis.as_deref()
    }
}

/// A peer's claim as its message made it.
pub(crate) struct Claim {
    pub(crate) identification: Identification,
    pub(crate) auth: Authentication,
    pub(crate) certificates: Vec<Certificate>,
    /// What its responders say of them (RFC 4806).
    pub(crate) responses: Vec<Vec<u8>>,
    /// The same proof without PPK (NO_PPK_AUTH), by the same method.
    pub(crate) without_ppk: Option<Vec<u8>>,
}

/// What a claim comes to at once.
pub(crate) enum Judged {
    /// A pre-shared key proved it.
    Proven(Proven),
    /// A certificate and a signature have to be checked.
    Certificate(Verdict, SignedClaim),
    /// Certificates have to be looked up first; then the claim is judged again.
    Elsewhere(Lookup, Claim),
}

/// A claim by signature, waiting for the key of its certificate.
pub(crate) struct SignedClaim {
    proven: Proven,
    verify: Verify,
}

/// A claim whose signature is being verified.
pub(crate) struct VerifyingClaim {
    proven: Proven,
}

/// The other side's role.
pub(crate) fn other(role: Role) -> Role {
    match role {
        Role::Initiator => Role::Responder,
        Role::Responder => Role::Initiator,
    }
}

/// The identity of a payload.
pub(crate) fn identity(payload: &Identification) -> Identity {
    Identity { kind: IdKind::from_number(payload.id_type.into()), data: payload.data.clone() }
}

/// An identity as payload body.
pub(crate) fn identification(identity: &Identity) -> Identification {
    Identification::new(IdentificationType::from(identity.kind.number()), identity.data.clone())
}

/// What the side of this role signs, under these keys.
fn signed<'a>(
    handshake: &'a Handshake,
    keys: &'a IkeKeys,
    role: Role,
    identification: &'a Identification,
) -> SignedOctets<'a> {
    let (sk_p, message, peer_nonce) = match role {
        Role::Initiator => (&keys.sk_pi, &handshake.request, &handshake.responder_nonce),
        Role::Responder => (&keys.sk_pr, &handshake.reply, &handshake.initiator_nonce),
    };
    let (prf, int_auth) = (handshake.sa.suite.prf, &handshake.int_auth);
    SignedOctets { prf, sk_p, message, peer_nonce, identification, int_auth }
}

/// Judges the peer's claim by what the connection demands.
pub(crate) fn judge(
    handshake: &Handshake,
    connection: (crate::config::ConnectionId, &Connection),
    claim: Claim,
) -> Result<Judged, Failure> {
    if let Some(session) = &handshake.resumed {
        return judge_resumed(handshake, session, &claim).map(Judged::Proven);
    }
    let (id, config) = connection;
    let identity = identity(&claim.identification);
    if !config.remote_identity.accepts(&identity) {
        return Err(Failure::IdentityRefused(identity.to_string()));
    }
    let under = |keys| signed(handshake, keys, other(handshake.sa.role), &claim.identification);
    let octets = under(handshake.keys());
    match (&config.remote_auth, claim.auth.method) {
        (RemoteAuth::Psk(key) | RemoteAuth::Either { psk: key, .. }, AuthenticationMethod::SharedKey) => {
            if octets.shared_key_proves(key, &claim.auth.data) {
                let (by, basis) = (Proof::SharedKey, Basis::of(config, &[]));
                return Ok(Judged::Proven(Proven { identity, by, second: None, basis }));
            }
            let without = under(&handshake.sa.keys);
            let proves = |proof: &Vec<u8>| without.shared_key_proves(key, proof);
            Err(ppk::blame(handshake, Failure::PskMismatch, claim.without_ppk.as_ref().is_some_and(proves)))
        }
        (
            RemoteAuth::Certificate { schemes, .. } | RemoteAuth::Either { schemes, .. },
            AuthenticationMethod::DigitalSignature
            | AuthenticationMethod::EcdsaP256Sha256
            | AuthenticationMethod::EcdsaP384Sha384
            | AuthenticationMethod::EcdsaP521Sha512,
        ) => {
            let octets = octets.octets();
            signed_claim((id, config), identity, schemes, claim, octets)
        }
        (RemoteAuth::Psk(_), method) => Err(method_mismatch(method, "pre-shared key (2)")),
        (_, AuthenticationMethod::RsaDigitalSignature) => {
            Err(method_mismatch(AuthenticationMethod::RsaDigitalSignature, RSA_WITH_SHA1))
        }
        (RemoteAuth::Certificate { .. }, method) => Err(method_mismatch(method, SIGNATURES)),
        (RemoteAuth::Either { .. }, method) => {
            Err(method_mismatch(method, "pre-shared key (2), signature (14) or ECDSA (9 to 11)"))
        }
    }
}

/// A further proof of ours, by a key: ID and AUTH, which is made like the first one, but over that ID (RFC 4739 §2.2).
pub(crate) fn by_key(handshake: &Handshake, identity: &Identity, key: &[u8]) -> Vec<Payload> {
    let (role, identification) = (handshake.sa.role, identification(identity));
    let data = signed(handshake, handshake.keys(), role, &identification).shared_key_proof(key).to_vec();
    let auth = Authentication { method: AuthenticationMethod::SharedKey, data };
    let identification = match role {
        Role::Initiator => Payload::IdentificationInitiator(identification),
        Role::Responder => Payload::IdentificationResponder(identification),
    };
    vec![identification, Payload::Authentication(auth)]
}

/// Judges a further proof of the peer's, by a key.
pub(crate) fn judge_key(
    handshake: &Handshake,
    proven: Proven,
    (expected, key): (&IdentityMatch, &[u8]),
    (identification, auth): (&Identification, &Authentication),
) -> Result<Proven, Failure> {
    let identity = identity(identification);
    if !expected.accepts(&identity) {
        return Err(SecondProof::Identity(identity.to_string()).into());
    }
    if auth.method != AuthenticationMethod::SharedKey {
        return Err(method_mismatch(auth.method, "pre-shared key (2), as second proof"));
    }
    let octets = signed(handshake, handshake.keys(), other(handshake.sa.role), identification);
    match octets.shared_key_proves(key, &auth.data) {
        true => Ok(Proven { second: Some(Box::new(identity)), ..proven }),
        false => Err(SecondProof::Key.into()),
    }
}

/// IDi must be the one in the ticket, octet for octet, and IDr likewise; the proof is made with the keys that follow from it (RFC 5723 §4.3.3).
fn judge_resumed(handshake: &Handshake, session: &Session, claim: &Claim) -> Result<Proven, Failure> {
    let expected = match handshake.sa.role {
        Role::Initiator => &session.gateway,
        Role::Responder => &session.caller,
    };
    let identity = identity(&claim.identification);
    if claim.identification != *expected {
        return Err(Failure::IdentityRefused(identity.to_string()));
    }
    if claim.auth.method != AuthenticationMethod::SharedKey {
        return Err(method_mismatch(claim.auth.method, "the keys of a resumed session (2)"));
    }
    let octets = signed(handshake, handshake.keys(), other(handshake.sa.role), &claim.identification);
    let basis = Some(Box::new(session.basis.clone()));
    let proven = Proven { identity, by: Proof::Ticket, second: None, basis };
    octets.resumption_proves(&claim.auth.data).then_some(proven).ok_or(Failure::ResumptionProof)
}

fn method_mismatch(method: AuthenticationMethod, configured: &'static str) -> Failure {
    Failure::AuthMethod { offered: method.into(), configured }
}

/// What can be refused without a look at certificates is, before anything is fetched for a stranger.
fn signed_claim(
    (connection, config): (crate::config::ConnectionId, &Connection),
    identity: Identity,
    allowed: &[SignatureScheme],
    claim: Claim,
    octets: Vec<u8>,
) -> Result<Judged, Failure> {
    let Claim { certificates, .. } = claim;
    let key = lookup::raw_key(&certificates, config);
    let shown = if key.is_some() { Vec::new() } else { lookup::shown(certificates, config)? };
    let claim = Claim { certificates: Vec::new(), ..claim };
    let (scheme, signature) = decode(&claim.auth)?;
    if !allowed.is_empty() && !allowed.contains(&scheme) {
        return Err(Failure::SchemeRefused(format!("{scheme:?} is not among the schemes allowed")));
    }
    let instance = config.instance;
    let chain = match lookup::chain(shown) {
        Ok(chain) => chain,
        Err(shown) => return Ok(Judged::Elsewhere(Lookup { connection, instance, shown }, claim)),
    };
    // Whether a key alone still counts cannot be asked again of what a ticket holds.
    let basis = if key.is_some() { None } else { Basis::of(config, &chain) };
    let by = if key.is_some() { Proof::RawKey(Some(scheme)) } else { Proof::Certificate(Some(scheme)) };
    let proven = Proven { identity: identity.clone(), by, second: None, basis };
    // "corresponding to a prior OCSP request" (RFC 4806 §4.1): nobody makes us look at what was not asked for.
    let responses = if config.ocsp_request { claim.responses } else { Vec::new() };
    let public_key = key.flatten();
    let verdict = Verdict { connection, instance, identity, chain, public_key, responses };
    let verify = Verify { public_key: Vec::new(), scheme, octets, signature };
    Ok(Judged::Certificate(verdict, SignedClaim { proven, verify }))
}

/// The scheme of an AUTH payload and its signature: named in it (RFC 7427 §3), or by the method itself (RFC 4754 §3).
pub(crate) fn decode(auth: &Authentication) -> Result<(SignatureScheme, Vec<u8>), Failure> {
    let Some(scheme) = signature::scheme_of_method(auth.method) else {
        let (scheme, signature) =
            signature::decode(&auth.data).map_err(|why| Failure::SchemeRefused(why.to_string()))?;
        return Ok((scheme, signature.to_vec()));
    };
    let refused = || {
        let (length, name) = (auth.data.len(), scheme.name());
        Failure::SchemeRefused(format!("{length} octets are no signature of {name} (RFC 4754)"))
    };
    signature::ecdsa_to_der(scheme, &auth.data).map(|signature| (scheme, signature)).ok_or_else(refused)
}

impl SignedClaim {
    /// With the verdict, what is left is to verify the signature.
    pub(crate) fn vouched(
        self,
        verdict: Result<PeerKey, AnswerError>,
    ) -> Result<(Verify, VerifyingClaim), Failure> {
        let key = verdict.map_err(Failure::CertificateRefused)?;
        let verify = Verify { public_key: key.public_key, ..self.verify };
        Ok((verify, VerifyingClaim { proven: self.proven }))
    }
}

impl VerifyingClaim {
    /// With the verification, the identity is proven.
    pub(crate) fn verified(self, answer: Result<(), AnswerError>) -> Result<Proven, Failure> {
        answer.map_err(Failure::BadSignature)?;
        Ok(self.proven)
    }
}

/// Our own proof: made at once with a pre-shared key, or to be signed.
pub(crate) enum OwnProof {
    /// The AUTH payload.
    Made(Authentication),
    /// Octets to be signed, and how.
    ToSign(Manner, Vec<u8>),
}

/// How we sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Manner {
    pub(crate) scheme: SignatureScheme,
    pub(crate) method: AuthenticationMethod,
}

/// Begins our own proof under these keys.
pub(crate) fn own(handshake: &Handshake, keys: &IkeKeys, common: &Common) -> Result<OwnProof, Failure> {
    let identification = identification(&common.own_identity());
    let octets = signed(handshake, keys, handshake.sa.role, &identification);
    if handshake.resumed.is_some() {
        let (method, data) = (AuthenticationMethod::SharedKey, octets.resumption_proof().to_vec());
        return Ok(OwnProof::Made(Authentication { method, data }));
    }
    match &common.config.local_auth {
        Auth::Psk(key) => {
            let data = octets.shared_key_proof(key).to_vec();
            Ok(OwnProof::Made(Authentication { method: AuthenticationMethod::SharedKey, data }))
        }
        Auth::Certificate(own) => {
            let certificate = own.chosen(common.own);
            let certificate =
                certificate.ok_or(Failure::NotConfigured("the connection has no certificate"))?;
            Ok(OwnProof::ToSign(choose_scheme(certificate, handshake)?, octets.octets()))
        }
    }
}

/// How the key of a certificate may sign, preferred first, by the hashes that the peer announced: signatures that name their
/// scheme, of a hash that it knows ("MUST be one of the hash functions the peer announced", RFC 7427 §4); where it announced
/// none it does not know RFC 7427, and of the methods before that those of ECDSA are left (RFC 4754), whose hash goes with
/// the curve.
pub(crate) fn manners(certificate: &OwnCertificate, hashes: &[u16]) -> impl Iterator<Item = Manner> {
    let of = move |scheme: &SignatureScheme| match hashes.is_empty() {
        true => signature::method_of_scheme(*scheme),
        false => hashes.contains(&scheme.hash().number()).then_some(AuthenticationMethod::DigitalSignature),
    };
    certificate.schemes.iter().filter_map(move |scheme| Some(Manner { scheme: *scheme, method: of(scheme)? }))
}

/// The first that the peer says it takes (RFC 9593), else the first.
fn choose_scheme(certificate: &OwnCertificate, handshake: &Handshake) -> Result<Manner, Failure> {
    let hashes = &handshake.peer_hashes;
    let taken = manners(certificate, hashes).find(|manner| handshake.taken.takes(manner, certificate));
    let names = || certificate.schemes.iter().map(|scheme| scheme.name()).collect::<Vec<_>>().join(", ");
    taken.or_else(|| manners(certificate, hashes).next()).ok_or_else(|| match hashes.is_empty() {
        true => Failure::NoOlderMethod(names()),
        false => Failure::NoCommonHash,
    })
}

/// The AUTH payload of a signature.
pub(crate) fn signature_auth(manner: Manner, octets: &[u8]) -> Result<Authentication, Failure> {
    let Manner { scheme, method } = manner;
    let data = match method {
        AuthenticationMethod::DigitalSignature => signature::encode(scheme, octets),
        _ => signature::ecdsa_from_der(scheme, octets)
            .ok_or(Failure::Crypto("our signature is not of the curve it should be of"))?,
    };
    Ok(Authentication { method, data })
}

/// Our CERT payloads; none where a session is resumed (RFC 5723 §4.3.3). To a peer that looks certificates up our own is
/// shown by hash and URL, where it lies somewhere (RFC 7296 §3.6). The responder's word on our certificate goes
/// with them if the peer asks for it and we have it (RFC 4806 §4.1).
pub(crate) fn own_certificates(
    ctx: &Context<'_>,
    handshake: &Handshake,
    common: &Common,
) -> impl Iterator<Item = Payload> {
    let own = match &common.config.local_auth {
        Auth::Certificate(own) if handshake.resumed.is_none() => own.chosen(common.own),
        Auth::Certificate(_) | Auth::Psk(_) => None,
    };
    let chain = own.map_or(&[][..], |own| own.chain.as_slice());
    let asked = chain.first().filter(|_| handshake.wants_ocsp);
    let response = asked.and_then(|der| ctx.responses.of(der, ctx.now));
    let payload = |encoding, data: &[u8]| Payload::Certificate(Certificate { encoding, data: data.to_vec() });
    let elsewhere = own.and_then(|own| own.elsewhere.as_ref()).filter(|_| handshake.looks_up);
    let elsewhere = elsewhere.map(|it| Payload::Certificate(it.payload()));
    let here = chain.iter().skip(usize::from(elsewhere.is_some()));
    let encoding = match own {
        Some(own) if own.is_raw => CertificateEncoding::RawPublicKey,
        _ => CertificateEncoding::X509Signature,
    };
    let here = here.map(move |der| payload(encoding, der));
    let response = response.map(move |octets| payload(CertificateEncoding::OcspContent, octets));
    elsewhere.into_iter().chain(here).chain(response)
}

/// Our CERTREQ payloads, if the peer has to show a certificate or may show a public key: where keys are all we know,
/// certificates are not asked for.
pub(crate) fn certificate_requests(config: &Connection) -> Vec<Payload> {
    let authorities = match &config.remote_auth {
        RemoteAuth::Certificate { authorities, .. } | RemoteAuth::Either { authorities, .. } => authorities,
        RemoteAuth::Psk(_) => return Vec::new(),
    };
    let keys_alone = config.raw_keys && authorities.is_empty();
    let x509 = (!keys_alone).then(|| CertificateRequest::x509(authorities));
    let raw = config.raw_keys.then(CertificateRequest::raw_key);
    x509.into_iter().chain(raw).map(Payload::CertificateRequest).collect()
}

/// Our CERTREQ payload for OCSP responses, if the peer may show a certificate and they are to be asked for.
pub(crate) fn ocsp_request(config: &Connection) -> Option<Payload> {
    let shows = !matches!(config.remote_auth, RemoteAuth::Psk(_));
    (shows && config.ocsp_request).then(|| Payload::CertificateRequest(CertificateRequest::ocsp()))
}

/// What says that certificates may be shown by hash and URL, if the peer may show any; it goes where CERTREQ goes
/// (RFC 7296 §3.10.1).
pub(crate) fn lookup_supported(config: &Connection) -> Option<Payload> {
    let shows = !matches!(config.remote_auth, RemoteAuth::Psk(_));
    let notify = || Payload::Notify(Notify::new(NotifyType::HttpCertLookupSupported, Vec::new()));
    (shows && config.certificate_lookup).then(notify)
}

/// The data of SIGNATURE_HASH_ALGORITHMS: what we can verify.
pub(crate) fn hash_announcement() -> Vec<u8> {
    HashAlgorithm::ALL.iter().flat_map(|hash| hash.number().to_be_bytes()).collect()
}

/// The peer's announcement.
pub(crate) fn announced_hashes(data: &[u8]) -> Vec<u16> {
    data.as_chunks::<2>().0.iter().map(|octets| u16::from_be_bytes(*octets)).take(64).collect()
}
