//! Connections for the simulated pair.

use ravelin_ike::config::*;
use ravelin_ike::crypto::{CrashSecret, TicketKeys};
use ravelin_ike::want::{Lookup, Shown, Verdict};
use ravelin_ike::wire::HashAndUrl;
use std::net::IpAddr;
use std::time::Duration;
use zeroize::Zeroizing;

pub const CONNECTION: ConnectionId = ConnectionId(7);

pub fn outer(end: usize) -> IpAddr {
    IpAddr::from([192, 0, 2, 1 + end as u8])
}

/// Where nobody lives.
pub const NOBODY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 66));

/// Another address of an end.
pub fn elsewhere(number: u8) -> IpAddr {
    IpAddr::from([198, 51, 100, number])
}

/// Two connections with MOBIKE: end 0 calls and may come from anywhere.
pub fn mobile(end: usize) -> Connection {
    let remote = if end == 0 { RemoteAddress::One(outer(1)) } else { RemoteAddress::Any };
    Connection { mobike: true, remote, ..connection(end) }
}

/// Further addresses of end 1, as if they were other gateways.
pub fn gateway(number: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, 20 + number])
}

pub fn is_gateway(end: usize, address: IpAddr) -> bool {
    end == 1 && (0..10).any(|number| address == gateway(number))
}

pub fn certificate(end: usize) -> Vec<u8> {
    let mut certificate = format!("certificate of {end}").into_bytes();
    // Long enough that IKE_AUTH has to be fragmented.
    certificate.resize(1500, b'.');
    certificate
}

/// What an end has to show, by place: the first is [`certificate`].
pub fn own_certificate(end: usize, place: usize) -> OwnCertificate {
    OwnCertificate {
        chain: vec![certificate(end + 10 * place), vec![0x30; 900]],
        schemes: vec![SignatureScheme::EcdsaP256Sha256, SignatureScheme::Ed25519],
        ..OwnCertificate::default()
    }
}

/// The key that a judge finds in what a peer shows: what stands for it here; or the one it has of the peer itself.
pub fn key_of(verdict: &Verdict) -> Vec<u8> {
    let shown = verdict.chain.first().or(verdict.public_key.as_ref());
    shown.cloned().unwrap_or_else(|| certificate(usize::from(verdict.identity.data == b"end1.example")))
}

/// The same connection, whose certificates are these.
pub fn showing(connection: Connection, entries: Vec<OwnCertificate>) -> Connection {
    let entries = entries.into_iter().map(std::sync::Arc::new).collect();
    Connection { local_auth: Auth::Certificate(CertificateAuth { entries, names_us: false }), ..connection }
}

fn net(end: usize, child: u32) -> Selector {
    Selector::prefix(IpAddr::from([10, end as u8, child as u8, 0]), 24)
}

pub fn child(end: usize, number: u32, pfs: bool) -> ChildConfig {
    ChildConfig {
        id: ChildId(number),
        local: vec![net(end, number)],
        remote: vec![net(1 - end, number)],
        proposals: vec![EspProposal {
            encryption: vec![Encryption::AesGcm128],
            integrity: vec![],
            groups: if pfs { vec![Group::X25519] } else { vec![] },
            additional: AdditionalGroups::NONE,
            extended_sequence: vec![true, false],
        }]
        .into(),
        lifetime: ChildLifetime::default(),
        resource: Resource::Only,
        mode: Mode::Tunnel,
    }
}

/// Children for one resource are numbered from so many times the number of the one for all.
pub const ONE_RESOURCE: u32 = 100;

/// A child for one resource beside that of this number.
pub fn resource(end: usize, fallback: u32, number: u32, pfs: bool) -> ChildConfig {
    let resource = Resource::One { fallback: ChildId(fallback) };
    ChildConfig { id: ChildId(number), resource, ..child(end, fallback, pfs) }
}

/// The same connection, whose children all have so many beside them, each for one resource.
pub fn with_resources(mut connection: Connection, end: usize, count: u32) -> Connection {
    let fallbacks: Vec<ChildConfig> = connection.children.clone();
    connection.children.iter_mut().for_each(|child| child.resource = Resource::Fallback);
    for fallback in fallbacks {
        let numbers = (0..count).map(|place| fallback.id.0 * ONE_RESOURCE + place);
        let beside = numbers.map(|number| ChildConfig {
            proposals: fallback.proposals.clone(),
            lifetime: fallback.lifetime,
            ..resource(end, fallback.id.0, number, false)
        });
        connection.children.extend(beside);
    }
    connection
}

/// As whom an end proves itself a second time.
pub fn second(end: usize) -> Identity {
    Identity::fqdn(&format!("user{end}.example"))
}

/// The same where these ends prove themselves twice, the second time by this key.
pub fn with_second(connection: Connection, end: usize, who: [bool; 2], key: &str) -> Connection {
    let local = who[end].then(|| second(end));
    let remote = who[1 - end].then(|| IdentityMatch::Exact(second(1 - end)));
    let psk = Zeroizing::new(key.as_bytes().to_vec());
    Connection { second_auth: Some(Box::new(SecondAuth { local, remote, psk })), ..connection }
}

/// Who the peer has to prove to be a second time under this connection.
pub fn second_of_peer(connection: &Connection) -> Option<IdentityMatch> {
    connection.second_auth.as_ref()?.remote.clone()
}

pub fn psk() -> Zeroizing<Vec<u8>> {
    Zeroizing::new(b"correct horse".to_vec())
}

/// End 0 calls end 1 and the other way round, by pre-shared key, with two children.
pub fn connection(end: usize) -> Connection {
    Connection {
        instance: 0,
        local: outer(end),
        remote: RemoteAddress::One(outer(1 - end)),
        local_identity: Identity::fqdn(&format!("end{end}.example")),
        remote_identity: IdentityMatch::Exact(Identity::fqdn(&format!("end{}.example", 1 - end))),
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
        children: vec![child(end, 1, false), child(end, 2, true)],
        max_children: 5,
        lifetime: IkeLifetime::default(),
        authentication_lifetime: None,
        dead_peer: Some(DeadPeer {
            interval: Duration::from_secs(10),
            retries: 4,
            retry_interval: Duration::from_secs(2),
        }),
        nat: NatTraversal::default(),
        mobike: false,
        further_addresses: Vec::new(),
        backup_remotes: Vec::new(),
        fragmentation: Some(Fragmentation::default()),
        initial_contact: InitialContact::Honour,
        lockout: None,
        redirect: Redirection::default(),
        resumption: false,
        clients: None,
        responder_only: false,
    }
}

/// The same connection with this many children, every other one with a key exchange of its own.
pub fn with_children(connection: Connection, end: usize, count: u32) -> Connection {
    let children = (1..=count).map(|number| child(end, number, number % 2 == 0)).collect();
    Connection { children, ..connection }
}

pub fn with_certificates(end: usize) -> Connection {
    Connection {
        local_auth: Auth::Certificate(CertificateAuth::single(own_certificate(end, 0))),
        remote_auth: RemoteAuth::Certificate { authorities: vec![[7; 20]], schemes: vec![] },
        ..connection(end)
    }
}

/// The same connection, which looks up what the peer shows by hash and URL, and shows its own certificate so.
pub fn by_url(connection: Connection, end: usize) -> Connection {
    let own = OwnCertificate { elsewhere: Some(hash_and_url(end)), ..own_certificate(end, 0) };
    Connection { certificate_lookup: true, ..showing(connection, vec![own]) }
}

/// Where the [`certificate`] of an end lies.
pub fn hash_and_url(end: usize) -> HashAndUrl {
    HashAndUrl { bundle: false, hash: [end as u8; 20], url: format!("http://end{end}.example/own.cer") }
}

/// What there is at [`hash_and_url`]; in a bundle there is an authority's too.
pub fn found(lookup: &Lookup) -> Vec<Vec<u8>> {
    let found = |shown: &Shown| match shown {
        Shown::Here(der) => vec![der.clone()],
        Shown::Elsewhere(it) if it.bundle => vec![certificate(it.hash[0].into()), vec![0x30; 900]],
        Shown::Elsewhere(it) => vec![certificate(it.hash[0].into())],
    };
    lookup.shown.iter().flat_map(found).collect()
}

/// A post-quantum preshared key.
pub fn ppk(kind: PpkIdKind, name: &str, secret: &str) -> Ppk {
    let id = PpkId { kind, data: name.as_bytes().to_vec() };
    Ppk { id, secret: Zeroizing::new(secret.as_bytes().to_vec()) }
}

/// The same connection with these post-quantum preshared keys, of which it names the first.
pub fn with_ppks(connection: Connection, ppks: &[Ppk], required: bool) -> Connection {
    let ppks = Ppks { own: ppks.first().cloned(), accepted: ppks.into(), required };
    Connection { ppk: Some(ppks), ..connection }
}

/// The same connection with these key exchanges after the first one, of the IKE SA and of every child.
pub fn with_additional(mut connection: Connection, groups: &[Group]) -> Connection {
    let additional = AdditionalGroups::after(Group::X25519, groups).unwrap();
    connection.proposals.iter_mut().for_each(|proposal| proposal.additional = additional);
    for proposal in connection.children.iter_mut().flat_map(|child| child.proposals.iter_mut()) {
        proposal.groups = vec![Group::X25519];
        proposal.additional = additional;
    }
    connection
}

/// What both connections offer, the first one's preferred.
pub fn either(mut preferred: Connection, other: &Connection) -> Connection {
    preferred.proposals.extend(other.proposals.iter().cloned());
    for (child, other) in preferred.children.iter_mut().zip(&other.children) {
        child.proposals.extend(other.proposals.iter().cloned());
    }
    preferred
}

/// The secret of an end, kept over its restarts, or (`generation` other than 0) not kept.
pub fn crash_secret(end: usize, generation: u8) -> CrashSecret {
    let mut octets = Zeroizing::new([end as u8 + 1; 32]);
    octets[0] = generation;
    CrashSecret::new(octets)
}

/// When the world of a test begins: ten hours before the end of a day, so that keys rotate soon.
pub const ORIGIN: Duration = Duration::from_secs(86_400 * 20_000 + 50_400);

/// What an end seals tickets with, kept over its restarts, or (`generation` other than 0) not kept; `later` after the
/// beginning of the world.
pub fn ticket_keys(end: usize, generation: u8, later: Duration) -> TicketKeys {
    let mut octets = Zeroizing::new([end as u8 + 0x41; 32]);
    octets[0] = generation;
    TicketKeys::new(TicketKeys::period_before(ORIGIN), octets, ORIGIN + later)
}

pub fn engine_config() -> EngineConfig {
    EngineConfig {
        retransmission: Retransmission { first: Duration::from_millis(500), tries: 5 },
        answer_timeout: Duration::from_secs(4),
        ..EngineConfig::default()
    }
}
