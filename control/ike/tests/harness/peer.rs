//! An end made by hand, for what no engine would say and for what is seen only with the keys: it calls a genuine engine
//! and opens, octet for octet, what that one says.
//!
//! It is the original initiator of every IKE SA. What the engine wants of its caller is done at once.

use super::{address, settings};
use ravelin_gcm::{Kernel, Key, Seal, seal_burst};
use ravelin_ike::Engine;
use ravelin_ike::config::{AdditionalGroups, Connection, Encryption, EngineConfig, Group, Mode, Prf};
use ravelin_ike::crypto::auth::SignedOctets;
use ravelin_ike::crypto::{
    Drbg, IkeKeys, IkeSuite, IntAuth, Nonces, PrivateKey, Protection, SharedSecret, SharedSecrets,
};
use ravelin_ike::event::{Event, Transmit};
use ravelin_ike::id::{ChildSaId, IkeId};
use ravelin_ike::input::{Command, Datagram, UnknownSpi};
use ravelin_ike::time::Instant;
use ravelin_ike::want::{Answer, AnswerError, Lookup, PeerKey, Role, Sign, Verdict, Verify, WantKind};
use ravelin_ike::wire::*;
use std::net::{IpAddr, SocketAddr};

/// An SPI for an IKE SA that takes over.
pub const NEW: IkeSpi = IkeSpi(0x0a0b_0c0d_0e0f_1011);
/// The SPI of its first CHILD_SA.
pub const CHILD: u32 = 0x1234_5678;
pub const SPI: IkeSpi = IkeSpi(0x0102_0304_0506_0708);
pub const SUITE: IkeSuite = IkeSuite {
    encryption: Encryption::AesGcm128,
    integrity: None,
    prf: Prf::HmacSha256,
    group: Group::X25519,
    additional: AdditionalGroups::NONE,
};

/// An IKE SA as the hand-made end has it.
pub struct Sa {
    pub keys: IkeKeys,
    cipher: Key,
    protection: Protection,
    spis: (IkeSpi, IkeSpi),
    /// Message ID of its next request.
    next: u32,
    counter: u64,
}

pub struct Peer {
    pub engine: Engine,
    pub now: u64,
    /// Where it sends from.
    pub local: SocketAddr,
    /// Where it sends to.
    pub to: SocketAddr,
    /// Sets every bit that is to be ignored, and another minor version.
    pub odd: bool,
    private: PrivateKey,
    pub nonce: Nonce,
    request: Vec<u8>,
    their_nonce: Nonce,
    pub sa: Option<Sa>,
    /// Requests of the engine, opened and not yet answered, and as they came.
    pub heard: Vec<(Message, Vec<u8>)>,
    /// The octets of the last request and of its reply.
    pub last: (Vec<u8>, Vec<u8>),
    pub events: Vec<Event>,
    /// The modes of the SAs the engine had installed, and whether they may be padded.
    pub modes: Vec<(Mode, bool)>,
    /// What the engine had verified, all of which was found right.
    pub verified: Vec<Verify>,
    /// The chains it had judged, all of which were found good.
    pub judged: Vec<Verdict>,
    /// The chains of which it had something looked up, and how that is answered.
    pub looked_up: Vec<Lookup>,
    pub find: fn(&Lookup) -> Result<Vec<Vec<u8>>, AnswerError>,
    /// How what it wants signed is signed.
    pub sign: fn(&Sign) -> Result<Vec<u8>, AnswerError>,
    spis: u32,
}

impl Sa {
    fn new(keys: IkeKeys, spis: (IkeSpi, IkeSpi), next: u32) -> Sa {
        let cipher = Key::new(Kernel::portable(), &keys.sk_ei[..16]).unwrap();
        let protection = Protection::new(&SUITE, &keys, Role::Initiator).unwrap();
        Sa { keys, cipher, protection, spis, next, counter: 0 }
    }
}

impl Peer {
    pub fn new(change: impl FnOnce(&mut Connection)) -> Peer {
        Peer::with(settings::engine_config(), change)
    }

    /// Calls an engine that has end 1's connection, without probes, changed by `change`.
    pub fn with(config: EngineConfig, change: impl FnOnce(&mut Connection)) -> Peer {
        let mut connection = Connection { dead_peer: None, ..settings::connection(1) };
        change(&mut connection);
        let mut engine = Engine::new(config, [7; 32]);
        engine.set_connection(Instant(0), settings::CONNECTION, Some(connection));
        Peer {
            engine,
            now: 1_000_000,
            local: address(0, 500),
            to: address(1, 500),
            odd: false,
            private: PrivateKey::generate(Group::X25519, &mut Drbg::new(b"peer")).unwrap(),
            nonce: Nonce::new(vec![9; 32]).unwrap(),
            request: Vec::new(),
            their_nonce: Nonce::new(vec![0; 32]).unwrap(),
            sa: None,
            heard: Vec::new(),
            last: Default::default(),
            events: Vec::new(),
            modes: Vec::new(),
            verified: Vec::new(),
            judged: Vec::new(),
            looked_up: Vec::new(),
            find: |lookup| Ok(settings::found(lookup)),
            sign: |_| panic!("nothing is to be signed"),
            spis: 0x2000,
        }
    }

    /// One that is up with the first child.
    pub fn up(change: impl FnOnce(&mut Connection)) -> Peer {
        let mut peer = Peer::new(change);
        peer.call(peer.init());
        peer.ask(ExchangeType::IkeAuth, peer.auth());
        assert_eq!(peer.children().len(), 1);
        peer
    }

    /// The live CHILD_SAs of the engine: inbound and outbound SPI.
    pub fn children(&self) -> Vec<(u32, u32)> {
        let snapshot = self.engine.snapshot();
        let live = snapshot.iter().flat_map(|ike| &ike.children).filter(|child| child.live);
        live.map(|live| (live.child.spi_in, live.child.spi_out)).collect()
    }

    pub fn public(&self) -> Payload {
        let data = self.private.public().unwrap();
        Payload::KeyExchange(KeyExchange { method: KeyExchangeId::Curve25519, data })
    }

    /// What IKE_SA_INIT needs.
    pub fn init(&self) -> Vec<Payload> {
        vec![offer(1, ike_proposal(Spi::None)), self.public(), Payload::Nonce(self.nonce.clone())]
    }

    /// What IKE_AUTH needs, with the first child.
    pub fn auth(&self) -> Vec<Payload> {
        let prove = |signed: SignedOctets<'_>| signed.shared_key_proof(&settings::psk()).to_vec();
        self.auth_by(AuthenticationMethod::SharedKey, prove)
    }

    /// The same, proven by another method.
    pub fn auth_by(
        &self,
        method: AuthenticationMethod,
        prove: impl FnOnce(SignedOctets<'_>) -> Vec<u8>,
    ) -> Vec<Payload> {
        let mut payloads = self.proof(named("end0.example"), method, prove);
        payloads.extend(child_offer(1, CHILD, None));
        payloads
    }

    /// As whom it proves itself, and AUTH.
    pub fn proof(
        &self,
        identification: Identification,
        method: AuthenticationMethod,
        prove: impl FnOnce(SignedOctets<'_>) -> Vec<u8>,
    ) -> Vec<Payload> {
        let sa = self.sa.as_ref().unwrap();
        let data = prove(SignedOctets {
            prf: SUITE.prf,
            sk_p: &sa.keys.sk_pi,
            message: &self.request,
            peer_nonce: &self.their_nonce,
            identification: &identification,
            int_auth: &IntAuth::default(),
        });
        let auth = Authentication { method, data };
        vec![Payload::IdentificationInitiator(identification), Payload::Authentication(auth)]
    }

    /// What CREATE_CHILD_SA needs.
    pub fn child(&self, number: u8, spi: u32, group: Option<KeyExchangeId>) -> Vec<Payload> {
        let mut payloads = vec![Payload::Nonce(self.nonce.clone())];
        payloads.extend(child_offer(number, spi, group));
        payloads
    }

    /// What CREATE_CHILD_SA needs to rekey the IKE SA.
    pub fn ike_rekey(&self, spi: IkeSpi) -> Vec<Payload> {
        vec![offer(1, ike_proposal(Spi::Ike(spi))), Payload::Nonce(self.nonce.clone()), self.public()]
    }

    /// What CREATE_CHILD_SA needs to rekey the CHILD_SA with this SPI of ours.
    pub fn child_rekey(&self, old: u32) -> Vec<Payload> {
        let rekey = Payload::Notify(Notify::about_esp(NotifyType::RekeySa, old, Vec::new()));
        [vec![rekey], self.child(1, 0x2222_2222, None)].concat()
    }

    /// Has the engine rekey the first CHILD_SA, and hears of it.
    pub fn hear_child_rekey(&mut self) -> Message {
        let child = self.child_id();
        self.command(Command::RekeyChild { child });
        self.hear()
    }

    /// Has the engine rekey the IKE SA, and hears of it.
    pub fn hear_ike_rekey(&mut self) -> Message {
        let ike = self.ike_id();
        self.command(Command::RekeyIke { ike });
        self.hear()
    }

    pub fn ike_id(&self) -> IkeId {
        self.engine.snapshot()[0].ike
    }

    pub fn child_id(&self) -> ChildSaId {
        self.engine.snapshot()[0].children[0].child.child
    }

    /// Sends IKE_SA_INIT; with an answer to it, there are keys.
    pub fn call(&mut self, payloads: Vec<Payload>) -> Option<Message> {
        let octets = self.clear(emit_chain(&payloads).unwrap());
        self.call_octets(octets)
    }

    /// An unprotected IKE_SA_INIT request.
    pub fn clear(&self, chain: Chain) -> Vec<u8> {
        let mut out = Vec::new();
        let header = Header::new(SPI, IkeSpi::ZERO, ExchangeType::IkeSaInit, initiator(false), 0);
        header.emit(chain.first, (HEADER_LENGTH + chain.octets.len()) as u32, &mut out);
        out.extend(chain.octets);
        self.make_odd(&mut out);
        out
    }

    pub fn call_octets(&mut self, octets: Vec<u8>) -> Option<Message> {
        self.request = octets.clone();
        let sent = self.deliver(octets);
        assert!(sent.iter().all(|sent| sent.remote == self.local), "answered to somewhere else");
        let replies: Vec<Outer> = sent.iter().map(|sent| Outer::parse(&sent.bytes).unwrap()).collect();
        let [Outer::Clear(reply)] = replies.as_slice() else {
            assert!(replies.is_empty(), "{replies:?}");
            return None;
        };
        if let (Some(secret), Some(nonce)) = (self.secret(&reply.payloads), nonce(&reply.payloads)) {
            let spis = (SPI, reply.header.responder_spi);
            let keys = IkeKeys::derive(&SUITE, &secret, Nonces::new(&self.nonce, &nonce), spis.0, spis.1);
            (self.sa, self.their_nonce) = (Some(Sa::new(keys, spis, 1)), nonce);
        }
        Some(reply.clone())
    }

    fn secret(&self, reply: &[Payload]) -> Option<SharedSecret> {
        let value = reply.iter().find_map(|payload| match payload {
            Payload::KeyExchange(exchange) => Some(&exchange.data),
            _ => None,
        });
        Some(self.private.agree(value?).unwrap())
    }

    /// The IKE SA that takes over, of our request with this SPI and of the reply to it.
    pub fn successor(&self, spi: IkeSpi, reply: &[Payload]) -> Sa {
        let (old, secret) = (self.sa.as_ref().unwrap(), self.secret(reply).unwrap());
        let Spi::Ike(responder) = sa(reply).unwrap().proposals[0].spi else { panic!("no SPI") };
        let nonce = nonce(reply).unwrap();
        let (secrets, nonces) = (SharedSecrets::new(secret), Nonces::new(&self.nonce, &nonce));
        let keys = IkeKeys::rekey(&SUITE, (SUITE.prf, &old.keys), &secrets, nonces, spi, responder);
        Sa::new(keys, (spi, responder), 0)
    }

    /// Sends a request and yields the payloads of the reply to it; what the engine asks meanwhile is in `heard`.
    pub fn ask(&mut self, exchange: ExchangeType, payloads: Vec<Payload>) -> Vec<Payload> {
        self.ask_chain(exchange, &emit_chain(&payloads).unwrap())
    }

    pub fn ask_chain(&mut self, exchange: ExchangeType, chain: &Chain) -> Vec<Payload> {
        let header = self.next_header(exchange);
        let octets = self.seal(&header, chain);
        let sent = self.deliver(octets.clone());
        let mut reply = None;
        for (message, bytes) in self.take_in(sent) {
            let flags = message.header.flags;
            assert_eq!((message.header.exchange, message.header.message_id), (exchange, header.message_id));
            assert!(flags.response && !flags.initiator && !flags.version && reply.is_none());
            reply = Some((message.payloads, bytes));
        }
        let (payloads, bytes) = reply.expect("an answer");
        self.sa.as_mut().unwrap().next += 1;
        self.last = (octets, bytes);
        payloads
    }

    /// Sends a request that is not answered.
    pub fn ask_in_vain(&mut self, exchange: ExchangeType, payloads: Vec<Payload>) {
        let header = self.next_header(exchange);
        let octets = self.seal(&header, &emit_chain(&payloads).unwrap());
        assert!(self.deliver(octets).is_empty());
    }

    /// Sends a request under the number after the next one, which is not answered.
    pub fn ask_ahead_in_vain(&mut self, exchange: ExchangeType, payloads: Vec<Payload>) {
        self.sa.as_mut().unwrap().next += 1;
        self.ask_in_vain(exchange, payloads);
        self.sa.as_mut().unwrap().next -= 1;
    }

    fn next_header(&self, exchange: ExchangeType) -> Header {
        let sa = self.sa.as_ref().unwrap();
        Header::new(sa.spis.0, sa.spis.1, exchange, initiator(false), sa.next)
    }

    /// Answers a request of the engine's.
    pub fn tell(&mut self, request: &Message, payloads: Vec<Payload>) {
        self.tell_chain(request, &emit_chain(&payloads).unwrap());
    }

    pub fn tell_chain(&mut self, request: &Message, chain: &Chain) {
        let header = Header { flags: initiator(true), ..request.header };
        let octets = self.seal(&header, chain);
        let sent = self.deliver(octets);
        assert!(self.take_in(sent).is_empty(), "an answer to an answer");
    }

    pub fn command(&mut self, command: Command) {
        self.engine.handle_command(Instant(self.now), command);
        let sent = self.settle();
        assert!(self.take_in(sent).is_empty());
    }

    /// ESP seems to come from it for an SPI that nobody there knows.
    pub fn stray(&mut self, remote: SocketAddr, spi: u32) {
        let unknown = UnknownSpi { instance: 0, local: self.to.ip(), remote, spi };
        self.engine.handle_unknown_spi(Instant(self.now), &unknown);
        let sent = self.settle();
        assert!(self.take_in(sent).is_empty());
    }

    /// Lets time pass, up to each thing that is due.
    pub fn wait(&mut self, micros: u64) {
        let end = self.now + micros;
        while let Some(due) = self.engine.next_deadline().filter(|due| due.0 <= end) {
            self.now = self.now.max(due.0);
            self.engine.handle_timeout(Instant(self.now));
            let sent = self.settle();
            assert!(self.take_in(sent).is_empty());
        }
        self.now = end;
    }

    /// The next request of the engine's.
    pub fn hear(&mut self) -> Message {
        assert!(!self.heard.is_empty(), "the engine asks nothing");
        self.heard.remove(0).0
    }

    /// Hands a datagram over and yields what comes back.
    pub fn deliver(&mut self, bytes: Vec<u8>) -> Vec<Transmit> {
        let (local, remote) = (self.to, self.local);
        let datagram = Datagram { instance: 0, local, remote, bytes };
        self.engine.handle_datagram(Instant(self.now), datagram);
        self.settle()
    }

    /// Opens what came, keeps requests and yields replies.
    fn take_in(&mut self, sent: Vec<Transmit>) -> Vec<(Message, Vec<u8>)> {
        let mut replies = Vec::new();
        for sent in sent {
            let Outer::Sealed(sealed) = Outer::parse(&sent.bytes).unwrap() else { panic!("not sealed") };
            let version = sealed.header().version;
            assert_eq!((version.major, version.minor), (2, 0));
            // What belongs to an IKE SA that this end has no more is passed over.
            let Ok(opened) = self.sa.as_ref().unwrap().protection.open(&sealed) else { continue };
            let to = if sealed.header().flags.response { &mut replies } else { &mut self.heard };
            to.push((opened.message, sent.bytes));
        }
        replies
    }

    /// Does what the engine wants, and yields what it sends.
    fn settle(&mut self) -> Vec<Transmit> {
        let mut sent = Vec::new();
        loop {
            sent.extend(std::iter::from_fn(|| self.engine.poll_transmit()));
            self.events.extend(std::iter::from_fn(|| self.engine.poll_event()));
            let Some(want) = self.engine.poll_want() else { return sent };
            let answer = match want.kind {
                WantKind::KeyAgreement(job) => Answer::KeyAgreement(job.perform()),
                WantKind::AllocateSpi(_) => {
                    self.spis += 1;
                    Answer::AllocateSpi(Ok(self.spis))
                }
                WantKind::Install(install) => {
                    self.modes.push((install.mode, install.takes_padding));
                    Answer::Install(Ok(()))
                }
                WantKind::Lookup(lookup) => {
                    let found = (self.find)(&lookup);
                    self.looked_up.push(lookup);
                    Answer::Lookup(found)
                }
                WantKind::Resolve(resolve) => panic!("{resolve:?}"),
                WantKind::Verdict(verdict) => {
                    let public_key = settings::key_of(&verdict);
                    self.judged.push(verdict);
                    Answer::Verdict(Ok(PeerKey { public_key }))
                }
                WantKind::Verify(verify) => {
                    self.verified.push(verify);
                    Answer::Verify(Ok(()))
                }
                WantKind::Sign(sign) => Answer::Sign((self.sign)(&sign)),
                order => {
                    assert!(order.is_order(), "{order:?}");
                    continue;
                }
            };
            self.engine.handle_answer(Instant(self.now), want.ticket, answer);
        }
    }

    fn seal(&mut self, header: &Header, chain: &Chain) -> Vec<u8> {
        let mut text = [chain.octets.as_slice(), &[0]].concat();
        let payload = 4 + 8 + text.len() + 16;
        let mut out = Vec::new();
        header.emit(PayloadType::Encrypted, (HEADER_LENGTH + payload) as u32, &mut out);
        out.extend([chain.first.into(), 0]);
        out.extend((payload as u16).to_be_bytes());
        self.make_odd(&mut out);
        let sa = self.sa.as_mut().unwrap();
        let mut nonce = [0; 12];
        nonce[..4].copy_from_slice(&sa.keys.sk_ei[16..]);
        nonce[4..].copy_from_slice(&sa.counter.to_be_bytes());
        let mut tag = [0; 16];
        seal_burst(&mut [Seal::new(&sa.cipher, nonce, &out, &mut text, &mut tag)]);
        out.extend(sa.counter.to_be_bytes());
        out.extend(text);
        out.extend(tag);
        sa.counter += 1;
        out
    }

    /// The minor version, the flags without a meaning, V, and the reserved bits of the first payload.
    fn make_odd(&self, message: &mut [u8]) {
        if self.odd {
            message[17] |= 0x0d;
            message[19] |= 0xd7;
            message[29] |= 0x7f;
        }
    }
}

/// The identity of this domain name.
pub fn named(name: &str) -> Identification {
    Identification::new(IdentificationType::Fqdn, name.as_bytes().to_vec())
}

fn initiator(response: bool) -> Flags {
    Flags { initiator: true, version: false, response }
}

/// A chain with a payload of an unknown type in front.
pub fn with_unknown(payloads: &[Payload], critical: bool) -> Chain {
    let chain = emit_chain(payloads).unwrap();
    let front = [chain.first.into(), if critical { 0x80 } else { 0 }, 0, 5, 1];
    Chain { first: PayloadType::Other(200), octets: [&front[..], &chain.octets].concat() }
}

pub fn offer(number: u8, proposal: Proposal) -> Payload {
    Payload::SecurityAssociation(SecurityAssociation::new(vec![Proposal { number, ..proposal }]))
}

pub fn ike_proposal(spi: Spi) -> Proposal {
    let transforms = vec![
        Transform::encryption(EncryptionId::AesGcm16, Some(128)),
        Transform::prf(PrfId::HmacSha2_256),
        Transform::key_exchange(KeyExchangeId::Curve25519),
    ];
    Proposal { number: 1, protocol: Protocol::Ike, spi, transforms }
}

/// SA, TSi and TSr of a child of end 0.
pub fn child_offer(number: u8, spi: u32, group: Option<KeyExchangeId>) -> [Payload; 3] {
    let mut transforms = vec![
        Transform::encryption(EncryptionId::AesGcm16, Some(128)),
        Transform::sequence_numbers(SequenceNumbersId::Extended),
    ];
    transforms.extend(group.map(Transform::key_exchange));
    let proposal = Proposal { number: 1, protocol: Protocol::Esp, spi: Spi::Child(spi), transforms };
    [
        offer(1, proposal),
        Payload::TrafficSelectorsInitiator(selectors(0, number)),
        Payload::TrafficSelectorsResponder(selectors(1, number)),
    ]
}

/// All packets of the network of a child at an end.
pub fn selectors(end: u8, number: u8) -> TrafficSelectors {
    let at = |last| IpAddr::from([10, end, number, last]);
    let addresses = AddressRange::new(at(0), at(255)).unwrap();
    TrafficSelectors::new(vec![TrafficSelector { protocol: 0, start_port: 0, end_port: 65535, addresses }])
}

pub fn sa(payloads: &[Payload]) -> Option<&SecurityAssociation> {
    payloads.iter().find_map(|payload| match payload {
        Payload::SecurityAssociation(sa) => Some(sa),
        _ => None,
    })
}

fn nonce(payloads: &[Payload]) -> Option<Nonce> {
    payloads.iter().find_map(|payload| match payload {
        Payload::Nonce(nonce) => Some(nonce.clone()),
        _ => None,
    })
}

pub fn kinds(payloads: &[Payload]) -> Vec<PayloadType> {
    payloads.iter().map(Payload::payload_type).collect()
}

/// A message that is one notification: which, and its data.
pub fn only_notify(payloads: &[Payload]) -> (NotifyType, &[u8]) {
    let [Payload::Notify(notify)] = payloads else { panic!("not one notification: {payloads:?}") };
    (notify.notify_type, &notify.data)
}

pub fn notify(notify_type: NotifyType) -> Vec<Payload> {
    vec![Payload::Notify(Notify::new(notify_type, Vec::new()))]
}

/// A Delete of one CHILD_SA.
pub fn delete(protocol: Protocol, spi: u32) -> Vec<Payload> {
    vec![Payload::Delete(Delete::Child { protocol, spis: vec![spi] })]
}
