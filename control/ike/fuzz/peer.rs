//! The other end of the engine under search: makes a genuine IKE SA by hand, with additional key exchanges or without,
//! then says what it is told to.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::proofs::{self, Proofs};
use ravelin_gcm::{Kernel, Key, Seal, seal_burst};
use ravelin_ike::Engine;
use ravelin_ike::config::{
    AcceptRedirect, AdditionalGroups, AlgorithmProfile, Auth, AuthenticationLifetime, ChildConfig, ChildId,
    ChildLifetime, Connection, ConnectionId, DeadPeer, Encryption, EngineConfig, EspProposal, Fragmentation,
    Group, Identity, IdentityMatch, IkeLifetime, IkeProposal, InitialContact, Mode, NatTraversal, Prf,
    Redirection, RemoteAddress, RemoteAuth, Resource, Selector,
};
use ravelin_ike::crypto::auth::SignedOctets;
use ravelin_ike::crypto::signature;
use ravelin_ike::crypto::{
    Drbg, IkeKeys, IkeSuite, IntAuth, Nonces, PrivateKey, Protection, TicketKeys, Unsealed, covered,
};
use ravelin_ike::time::Instant;
use ravelin_ike::want::Role;
use ravelin_ike::wire::{
    AddressRange, Authentication, AuthenticationMethod, Certificate, CertificateEncoding, CertificateRequest,
    EncryptionId, ExchangeType, Flags, HEADER_LENGTH, Header, Identification, IdentificationType, IkeSpi,
    KeyExchange, KeyExchangeId, Message, Nonce, Notify, NotifyType, Outer, Payload, PayloadType, PrfId,
    Proposal, Protocol, Sealed, SecurityAssociation, SequenceNumbersId, Spi, TicketGiven, TrafficSelector,
    TrafficSelectors, Transform, TransformType, emit_chain,
};
use zeroize::Zeroizing;

/// The one connection.
pub const CONNECTION: ConnectionId = ConnectionId(7);
const PSK: &[u8] = b"correct horse";
const SPI: IkeSpi = IkeSpi(0x0102_0304_0506_0708);
const SUITE: IkeSuite = IkeSuite {
    encryption: Encryption::AesGcm128,
    integrity: None,
    prf: Prf::HmacSha256,
    group: Group::X25519,
    additional: AdditionalGroups::NONE,
};

/// Host 1 is the engine's, 2 the peer's, others are strangers'.
pub fn name(host: u8, port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::from([192, 0, 2, host]), port)
}

/// An engine that expects the peer.
pub fn engine(proofs: Proofs) -> Engine {
    let mut engine = Engine::new(config(), [7; 32]);
    let mut connection = connection();
    match proofs {
        // It may come from anywhere, and move.
        Proofs::Key => connection.remote = RemoteAddress::Any,
        Proofs::KeyAfterAdditional => with_additional(&mut connection),
        Proofs::CertificateAndKey => proofs::with_certificates(&mut connection),
    }
    engine.set_connection(Instant(0), CONNECTION, Some(connection));
    engine
}

/// It gives tickets, always sealed alike.
fn config() -> EngineConfig {
    let began = Duration::from_secs(86_400 * 20_000);
    let keys = TicketKeys::new(TicketKeys::period_before(began), Zeroizing::new([5; 32]), began);
    EngineConfig { ticket_keys: Some(keys), ..EngineConfig::default() }
}

/// What follows the first key exchange.
fn additional() -> AdditionalGroups {
    AdditionalGroups::after(Group::X25519, &[Group::MlKem512]).expect("two methods")
}

fn with_additional(connection: &mut Connection) {
    connection.proposals.iter_mut().for_each(|proposal| proposal.additional = additional());
    for proposal in connection.children.iter_mut().flat_map(|child| child.proposals.iter_mut()) {
        proposal.groups = vec![Group::X25519];
        proposal.additional = additional();
    }
}

fn connection() -> Connection {
    let psk = || Zeroizing::new(PSK.to_vec());
    Connection {
        instance: 0,
        local: name(1, 0).ip(),
        remote: RemoteAddress::One(name(2, 0).ip()),
        local_identity: Identity::fqdn("us.example"),
        remote_identity: IdentityMatch::Exact(Identity::fqdn("peer.example")),
        local_auth: Auth::Psk(psk()),
        remote_auth: RemoteAuth::Psk(psk()),
        second_auth: None,
        ocsp_request: false,
        certificate_lookup: false,
        raw_keys: false,
        ppk: None,
        childless: false,
        profile: AlgorithmProfile::default(),
        proposals: vec![IkeProposal {
            encryption: vec![Encryption::AesGcm128],
            integrity: vec![],
            prf: vec![Prf::HmacSha256],
            groups: vec![Group::X25519],
            additional: AdditionalGroups::NONE,
        }]
        .into(),
        children: vec![child(1), child(2)],
        max_children: 4,
        lifetime: IkeLifetime::default(),
        authentication_lifetime: Some(AuthenticationLifetime::of(Duration::from_secs(7200))),
        dead_peer: Some(DeadPeer {
            interval: Duration::from_secs(10),
            retries: 4,
            retry_interval: Duration::from_secs(2),
        }),
        nat: NatTraversal::default(),
        mobike: true,
        further_addresses: Vec::new(),
        backup_remotes: Vec::new(),
        fragmentation: Some(Fragmentation::default()),
        initial_contact: InitialContact::Honour,
        lockout: None,
        redirect: Redirection { accept: AcceptRedirect::Anywhere, callers: None },
        resumption: true,
        clients: None,
        responder_only: false,
    }
}

fn child(number: u8) -> ChildConfig {
    ChildConfig {
        id: ChildId(number.into()),
        local: vec![Selector::prefix(IpAddr::from([10, 1, number, 0]), 24)],
        remote: vec![Selector::prefix(IpAddr::from([10, 2, number, 0]), 24)],
        proposals: vec![EspProposal {
            encryption: vec![Encryption::AesGcm128],
            integrity: vec![],
            groups: vec![],
            additional: AdditionalGroups::NONE,
            extended_sequence: vec![true, false],
        }]
        .into(),
        lifetime: ChildLifetime::default(),
        resource: Resource::Only,
        mode: Mode::Tunnel,
    }
}

/// What the peer holds once IKE_SA_INIT is over.
struct Secrets {
    keys: IkeKeys,
    cipher: Key,
    /// Opens what the engine sends.
    protection: Protection,
    responder: IkeSpi,
    their_nonce: Nonce,
}

/// What the peer genuinely says next.
enum Step {
    Intermediate,
    Auth,
    /// After the reply with this Message ID, which may come again.
    SecondAuth {
        first: u32,
    },
    CreateChild,
    Followup {
        link: Vec<u8>,
    },
}

/// The peer, always the initiator.
pub struct Peer {
    proofs: Proofs,
    private: PrivateKey,
    /// For additional key exchanges, if it has any.
    second: Option<PrivateKey>,
    step: Step,
    int_auth: IntAuth,
    proved: bool,
    nonce: Nonce,
    request: Vec<u8>,
    secrets: Option<Secrets>,
    /// Message ID of the next request, which has risen with every reply.
    next: u32,
    /// Message ID of the engine's last request.
    asked: u32,
    counter: u64,
    /// A COOKIE2 of the engine's that it has not answered, and whether it has answered any (RFC 4555 §3.7).
    cookie: Option<Notify>,
    was_routable: bool,
    /// The last ticket it was given, and how many it was given.
    ticket: Option<Vec<u8>>,
    tickets: u64,
}

impl Peer {
    /// With a fixed key and nonce, so that every run is the same.
    pub fn new(proofs: Proofs) -> Peer {
        let additional = proofs == Proofs::KeyAfterAdditional;
        let key = |group| PrivateKey::generate(group, &mut Drbg::new(b"peer")).expect("a key");
        Peer {
            proofs,
            private: key(Group::X25519),
            second: additional.then(|| key(Group::MlKem512)),
            step: if additional { Step::Intermediate } else { Step::Auth },
            int_auth: IntAuth::default(),
            proved: false,
            nonce: Nonce::new(vec![9; 32]).expect("a nonce"),
            request: Vec::new(),
            secrets: None,
            next: 1,
            asked: 0,
            counter: 0,
            cookie: None,
            was_routable: false,
            ticket: None,
            tickets: 0,
        }
    }

    /// The IKE_SA_INIT request.
    pub fn init(&mut self) -> Vec<u8> {
        let mut transforms = vec![
            Transform::encryption(EncryptionId::AesGcm16, Some(128)),
            Transform::prf(PrfId::HmacSha2_256),
            Transform::key_exchange(KeyExchangeId::Curve25519),
        ];
        transforms.extend(self.additional());
        let proposal = Proposal { number: 1, protocol: Protocol::Ike, spi: Spi::None, transforms };
        let data = self.private.public().expect("a public value");
        let payloads = vec![
            Payload::SecurityAssociation(SecurityAssociation::new(vec![proposal])),
            Payload::KeyExchange(KeyExchange { method: KeyExchangeId::Curve25519, data }),
            Payload::Nonce(self.nonce.clone()),
            Payload::Notify(Notify::new(NotifyType::IntermediateExchangeSupported, Vec::new())),
            // SHA2-256.
            Payload::Notify(Notify::new(NotifyType::SignatureHashAlgorithms, vec![0, 2])),
        ];
        let header = self.header(ExchangeType::IkeSaInit, false, 0);
        self.request = Message::new(header, payloads).emit().expect("a small message");
        self.request.clone()
    }

    fn additional(&self) -> Option<Transform> {
        let kind = TransformType::ADDITIONAL[0];
        self.second.as_ref().map(|_| Transform::additional_key_exchange(kind, KeyExchangeId::MlKem512))
    }

    fn header(&self, exchange: ExchangeType, response: bool, message_id: u32) -> Header {
        let responder = self.secrets.as_ref().map_or(IkeSpi::ZERO, |secrets| secrets.responder);
        let flags = Flags { initiator: true, response, ..Flags::default() };
        Header::new(SPI, responder, exchange, flags, message_id)
    }

    /// Takes what the engine sends.
    pub fn receive(&mut self, datagram: &[u8]) {
        match Outer::parse(datagram) {
            Ok(Outer::Clear(message)) if self.secrets.is_none() => self.learn(&message),
            Ok(outer) if outer.header().initiator_spi == SPI && !outer.header().flags.initiator => {
                let header = *outer.header();
                match header.flags.response {
                    true => self.next = self.next.max(header.message_id.saturating_add(1)),
                    false => self.asked = header.message_id,
                }
                if let Outer::Sealed(sealed) = outer {
                    if header.flags.response { self.answered(&sealed) } else { self.note_cookie(&sealed) }
                }
            }
            _ => {}
        }
    }

    fn note_cookie(&mut self, sealed: &Sealed) {
        let protection = self.secrets.as_ref().map(|secrets| &secrets.protection);
        let unsealed = protection.and_then(|protection| protection.open(sealed).ok());
        let cookie = unsealed.and_then(|unsealed| unsealed.message.notify(NotifyType::Cookie2).cloned());
        self.cookie = cookie.or(self.cookie.take());
    }

    /// Whether it has shown to be where it says.
    pub fn was_routable(&self) -> bool {
        self.was_routable
    }

    /// What a reply leads to, if it is one to a genuine step.
    fn answered(&mut self, sealed: &Sealed) {
        let Some(unsealed) = self.secrets.as_ref().and_then(|secrets| secrets.protection.open(sealed).ok())
        else {
            return;
        };
        let given = unsealed.message.notify(NotifyType::TicketLtOpaque).and_then(TicketGiven::from_notify);
        self.tickets += u64::from(given.is_some());
        self.ticket = given.map(|given| given.ticket).or(self.ticket.take());
        let value = unsealed.message.payloads.iter().find_map(|payload| match payload {
            Payload::KeyExchange(exchange) => Some(exchange.data.clone()),
            _ => None,
        });
        let link =
            unsealed.message.notify(NotifyType::AdditionalKeyExchange).map(|notify| notify.data.clone());
        let message_id = unsealed.message.header.message_id;
        match (unsealed.message.header.exchange, &self.step, link) {
            (ExchangeType::IkeIntermediate, Step::Intermediate, _) => self.advance(value, &unsealed),
            (ExchangeType::IkeAuth, Step::Auth, _) if self.signs() => {
                self.step = Step::SecondAuth { first: message_id };
            }
            (ExchangeType::IkeAuth, Step::SecondAuth { first }, _) if *first == message_id => {}
            (ExchangeType::IkeAuth, Step::Auth | Step::SecondAuth { .. }, _) => self.step = Step::CreateChild,
            (ExchangeType::CreateChildSa, _, Some(link)) => self.step = Step::Followup { link },
            (ExchangeType::IkeFollowupKe, Step::Followup { .. }, _) => self.step = Step::CreateChild,
            _ => {}
        }
    }

    /// The keys after an additional key exchange.
    fn advance(&mut self, value: Option<Vec<u8>>, unsealed: &Unsealed) {
        let (Some(secrets), Some(second), Some(value)) = (&mut self.secrets, &self.second, value) else {
            return;
        };
        let Ok(secret) = second.agree(&value) else { return };
        let covered = unsealed.covered().expect("a message that was read");
        self.int_auth.add(SUITE.prf, &secrets.keys, Role::Responder, &covered);
        let nonces = Nonces::new(&self.nonce, &secrets.their_nonce);
        secrets.keys = secrets.keys.advance(&SUITE, &secret, nonces, SPI, secrets.responder);
        secrets.cipher = Key::new(Kernel::portable(), &secrets.keys.sk_ei[..16]).expect("sixteen octets");
        secrets.protection = Protection::new(&SUITE, &secrets.keys, Role::Initiator).expect("keys that fit");
        self.step = Step::Auth;
    }

    /// The IKE_SA_INIT reply, if it is one.
    fn learn(&mut self, message: &Message) {
        let public = message.payloads.iter().find_map(|payload| match payload {
            Payload::KeyExchange(exchange) => Some(&exchange.data),
            _ => None,
        });
        let nonce = message.payloads.iter().find_map(|payload| match payload {
            Payload::Nonce(nonce) => Some(nonce),
            _ => None,
        });
        let (Some(public), Some(nonce)) = (public, nonce) else { return };
        let secret = self.private.agree(public).expect("the engine's value is good");
        let responder = message.header.responder_spi;
        let keys = IkeKeys::derive(&SUITE, &secret, Nonces::new(&self.nonce, nonce), SPI, responder);
        let cipher = Key::new(Kernel::portable(), &keys.sk_ei[..16]).expect("sixteen octets");
        let protection = Protection::new(&SUITE, &keys, Role::Initiator).expect("keys that fit");
        self.secrets = Some(Secrets { keys, cipher, protection, responder, their_nonce: nonce.clone() });
    }

    /// A message under the right key, with any octets as payloads: a request, or the reply to the last one.
    pub fn seal(
        &mut self,
        exchange: ExchangeType,
        response: bool,
        first: u8,
        chain: &[u8],
    ) -> Option<Vec<u8>> {
        let header = self.header(exchange, response, if response { self.asked } else { self.next });
        let secrets = self.secrets.as_ref()?;
        let mut text = [chain, &[0]].concat();
        let payload = u16::try_from(4 + 8 + text.len() + 16).ok()?;
        let mut out = Vec::new();
        header.emit(PayloadType::Encrypted, HEADER_LENGTH as u32 + u32::from(payload), &mut out);
        out.extend([first, 0]);
        out.extend(payload.to_be_bytes());
        let mut nonce = [0; 12];
        nonce[..4].copy_from_slice(&secrets.keys.sk_ei[16..]);
        nonce[4..].copy_from_slice(&self.counter.to_be_bytes());
        let mut tag = [0; 16];
        let key = &secrets.cipher;
        seal_burst(&mut [Seal::new(key, nonce, &out, &mut text, &mut tag)]);
        out.extend(self.counter.to_be_bytes());
        out.extend(text);
        out.extend(tag);
        self.counter += 1;
        Some(out)
    }

    /// A request to go on by the ticket it was given, as if its IKE SA were lost; from one of several of its SPIs
    /// (RFC 5723 §4.3.1).
    pub fn resume(&self, number: u8) -> Option<Vec<u8>> {
        let flags = Flags { initiator: true, ..Flags::default() };
        let (spi, exchange) = (IkeSpi(SPI.0 + 1 + u64::from(number)), ExchangeType::IkeSessionResume);
        let payloads =
            vec![Payload::Nonce(self.nonce.clone()), Payload::Notify(Notify::ticket(self.ticket.as_ref()?))];
        Message::new(Header::new(spi, IkeSpi::ZERO, exchange, flags, 0), payloads).emit().ok()
    }

    /// Tickets it was given.
    pub fn tickets(&self) -> u64 {
        self.tickets
    }

    /// Whether a signature of its own is part of its proofs.
    pub fn signs(&self) -> bool {
        self.proofs == Proofs::CertificateAndKey
    }

    /// Whether it has made the last of its proofs by key.
    pub fn is_proved(&self) -> bool {
        self.proved
    }

    /// The genuine next request, or the answer that is due. Where it signs it shows its certificate, or its key in place of
    /// that.
    pub fn go_on(&mut self, by_key: bool) -> Option<Vec<u8>> {
        if let Some(cookie) = self.cookie.take() {
            self.was_routable = true;
            let chain = emit_chain(&[Payload::Notify(cookie)]).ok()?;
            return self.seal(ExchangeType::Informational, true, chain.first.into(), &chain.octets);
        }
        match &self.step {
            Step::Intermediate => self.intermediate(),
            Step::Auth if self.signs() => self.sign(by_key),
            Step::Auth => self.authenticate(),
            Step::SecondAuth { .. } => self.authenticate_again(),
            Step::CreateChild => self.create_child(),
            Step::Followup { link } => {
                let link = Payload::Notify(Notify::new(NotifyType::AdditionalKeyExchange, link.clone()));
                let payloads = vec![self.second_value()?, link];
                self.seal_payloads(ExchangeType::IkeFollowupKe, &payloads)
            }
        }
    }

    fn seal_payloads(&mut self, exchange: ExchangeType, payloads: &[Payload]) -> Option<Vec<u8>> {
        let chain = emit_chain(payloads).ok()?;
        self.seal(exchange, false, chain.first.into(), &chain.octets)
    }

    fn second_value(&self) -> Option<Payload> {
        let data = self.second.as_ref()?.public().expect("a public value");
        Some(Payload::KeyExchange(KeyExchange { method: KeyExchangeId::MlKem512, data }))
    }

    fn intermediate(&mut self) -> Option<Vec<u8>> {
        let payloads = vec![self.second_value()?];
        let message = Message::new(self.header(ExchangeType::IkeIntermediate, false, 1), payloads);
        let covered = covered(&message).expect("a small message");
        // Said again before it is answered, it counts once.
        self.int_auth = IntAuth::default();
        self.int_auth.add(SUITE.prf, &self.secrets.as_ref()?.keys, Role::Initiator, &covered);
        self.seal_payloads(ExchangeType::IkeIntermediate, &message.payloads)
    }

    fn create_child(&mut self) -> Option<Vec<u8>> {
        let mut transforms = vec![
            Transform::encryption(EncryptionId::AesGcm16, Some(128)),
            Transform::sequence_numbers(SequenceNumbersId::Extended),
        ];
        if let Some(additional) = self.additional() {
            transforms.extend([Transform::key_exchange(KeyExchangeId::Curve25519), additional]);
        }
        let proposal =
            Proposal { number: 1, protocol: Protocol::Esp, spi: Spi::Child(0x1234_5679), transforms };
        let data = self.private.public().expect("a public value");
        let payloads = [
            Payload::SecurityAssociation(SecurityAssociation::new(vec![proposal])),
            Payload::Nonce(self.nonce.clone()),
            Payload::KeyExchange(KeyExchange { method: KeyExchangeId::Curve25519, data }),
            Payload::TrafficSelectorsInitiator(selectors(2)),
            Payload::TrafficSelectorsResponder(selectors(1)),
        ];
        self.seal_payloads(ExchangeType::CreateChildSa, &payloads)
    }

    /// The proof by this key, as whoever that is.
    fn by_key(&self, identification: &Identification, key: &[u8]) -> Option<Payload> {
        let data = self.signed(identification)?.shared_key_proof(key).to_vec();
        Some(Payload::Authentication(Authentication { method: AuthenticationMethod::SharedKey, data }))
    }

    fn signed<'a>(&'a self, identification: &'a Identification) -> Option<SignedOctets<'a>> {
        let secrets = self.secrets.as_ref()?;
        Some(SignedOctets {
            prf: SUITE.prf,
            sk_p: &secrets.keys.sk_pi,
            message: &self.request,
            peer_nonce: &secrets.their_nonce,
            identification,
            int_auth: &self.int_auth,
        })
    }

    fn authenticate(&mut self) -> Option<Vec<u8>> {
        let identification = named(b"peer.example");
        let proof = self.by_key(&identification, PSK)?;
        let mut payloads = vec![Payload::IdentificationInitiator(identification), proof];
        payloads.extend(wishes());
        self.proved = true;
        self.seal_payloads(ExchangeType::IkeAuth, &payloads)
    }

    /// The first of two proofs.
    fn sign(&mut self, by_key: bool) -> Option<Vec<u8>> {
        let identification = named(b"peer.example");
        let signature = proofs::signature(&self.signed(&identification)?.octets());
        let data = signature::encode(proofs::SCHEME, &signature);
        let (encoding, shown) = match by_key {
            false => (CertificateEncoding::X509Signature, proofs::CERTIFICATE),
            true => (CertificateEncoding::RawPublicKey, proofs::KEY),
        };
        let certificate = Certificate { encoding, data: shown.to_vec() };
        let notify = |kind| Payload::Notify(Notify::new(kind, Vec::new()));
        let mut payloads = vec![
            Payload::IdentificationInitiator(identification),
            Payload::Certificate(certificate),
            Payload::CertificateRequest(CertificateRequest::x509(&[[7; 20]])),
            Payload::Authentication(Authentication { method: AuthenticationMethod::DigitalSignature, data }),
            notify(NotifyType::MultipleAuthSupported),
            notify(NotifyType::AnotherAuthFollows),
        ];
        payloads.extend(wishes());
        self.seal_payloads(ExchangeType::IkeAuth, &payloads)
    }

    /// The second of them.
    fn authenticate_again(&mut self) -> Option<Vec<u8>> {
        let identification = named(proofs::SECOND_NAME);
        let proof = self.by_key(&identification, proofs::SECOND)?;
        self.proved = true;
        let payloads = [Payload::IdentificationInitiator(identification), proof];
        self.seal_payloads(ExchangeType::IkeAuth, &payloads)
    }
}

fn named(name: &[u8]) -> Identification {
    Identification::new(IdentificationType::Fqdn, name.to_vec())
}

/// What a first request asks for.
fn wishes() -> [Payload; 5] {
    let transforms = vec![
        Transform::encryption(EncryptionId::AesGcm16, Some(128)),
        Transform::sequence_numbers(SequenceNumbersId::Extended),
    ];
    let proposal = Proposal { number: 1, protocol: Protocol::Esp, spi: Spi::Child(0x1234_5678), transforms };
    [
        Payload::SecurityAssociation(SecurityAssociation::new(vec![proposal])),
        Payload::TrafficSelectorsInitiator(selectors(2)),
        Payload::TrafficSelectorsResponder(selectors(1)),
        Payload::Notify(Notify::new(NotifyType::MobikeSupported, Vec::new())),
        Payload::Notify(Notify::ticket_request()),
    ]
}

fn selectors(side: u8) -> TrafficSelectors {
    let addresses = AddressRange::new(IpAddr::from([10, side, 1, 0]), IpAddr::from([10, side, 1, 255]));
    let addresses = addresses.expect("in order");
    TrafficSelectors::new(vec![TrafficSelector { protocol: 0, start_port: 0, end_port: 65535, addresses }])
}
