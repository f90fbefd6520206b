//! What the gateway is to be: every reference resolved, every value of a type that cannot
//! be wrong. Applying a configuration is carrying out the difference of two plans
//! (`diff`), so everything here compares by value; gateways are in `gateway`, groups of tunnels in `group`. What many tunnels
//! have alike, and a tunnel that several look at, is in memory once, in an `Arc`. Secrets are held in `Secret`, which
//! prints nothing and is wiped on drop.

mod authority;
mod cert_profile;
mod clients;
mod entry;
mod gateway;
mod group;
mod ip_tunnel;
mod mirror;
mod packets;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use ravelin_dataplane::link::TunnelLimit;
use ravelin_dataplane::sa::Mode;
use ravelin_dataplane::sa::suite::Suite;
use ravelin_ike::config::{
    AlgorithmProfile, DeadPeer, EspProposal, Fragmentation, HalfOpenLimits, IkeProposal, InitialContact,
    Lockout, NatTraversal, Ppks, Proposals, Redirection, Selector,
};
use ravelin_pki::path::Rules;
use ravelin_pki::revocation::policy::{Demand, Order};
use zeroize::Zeroizing;

pub use self::authority::{CaProfile, Fetch};
pub use self::cert_profile::{CertEntry, CertProfile};
pub use self::clients::{Client, ClientDb};
pub use self::entry::{PolicyAction, PolicyEntry};
pub use self::gateway::{Gateway, Origin, ReverseRoutes, Template, TsList, Unique};
pub use self::group::{DEFAULT_GROUP, GroupMode, TunnelGroup, Wait};
pub use self::ip_tunnel::IpTunnel;
pub use self::mirror::{DIRECTIONS, Mirror, MirrorTo};
pub use self::packets::{MssAdjust, OUTER_DF, PacketSettings, TfcPadding};
use super::Refusal;
use crate::keeper::Vault;
use crate::trust::expiry::Warning;
use crate::trust::{CertificateMap, PeerKeys, Shut};

/// Number of an instance; 0 is `default`.
pub type InstanceId = u16;

/// Bytes that must not be printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub Zeroizing<Vec<u8>>);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Secret({} bytes)", self.0.len())
    }
}

/// The whole gateway.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Worker threads.
    pub workers: Workers,
    /// Arguments for DPDK.
    pub eal: Vec<String>,
    /// Packet buffers; `None`: computed.
    pub buffers: Option<u32>,
    /// Megabytes of packet memory in huge pages; `None`: as the devices need it.
    pub huge_pages_mb: Option<u32>,
    /// The control socket.
    pub socket: PathBuf,
    /// Group that may use it.
    pub socket_group: Option<String>,
    /// Log filter.
    pub log: String,
    /// Directory of what outlives the process.
    pub state_directory: PathBuf,
    /// The store of certificates and keys, and what opens it.
    pub vault: Vault,
    /// First retransmission of an IKE request.
    pub retransmit: Duration,
    /// Retransmissions before giving up.
    pub retransmit_tries: u32,
    /// Make tokens that prove a crash of ours (RFC 6290).
    pub crash_detection: bool,
    /// What callers may cost that have not proven themselves.
    pub half_open: HalfOpenLimits,
    /// How long fragments of one IKE message are collected.
    pub reassembly_timeout: Duration,
    /// DSCP of IKE messages.
    pub ike_dscp: u8,
    /// ICMP errors a worker sends in an interval.
    pub icmp: (u32, Duration),
    /// Instances, by number.
    pub instances: Vec<Instance>,
    /// Ports, by DPDK's order.
    pub ports: Vec<Port>,
    /// Interfaces.
    pub interfaces: Vec<Interface>,
    /// Static routes.
    pub routes: Vec<Route>,
    /// Policy entries of all instances, in order.
    pub policy: Vec<PolicyEntry>,
    /// Tunnels by name.
    pub tunnels: BTreeMap<String, Arc<Tunnel>>,
    /// Tunnels without keys by name.
    pub ip_tunnels: BTreeMap<String, Arc<IpTunnel>>,
    /// Mirrors by name.
    pub mirrors: BTreeMap<String, Mirror>,
    /// Our certificates by profile name.
    pub cert_profiles: BTreeMap<String, CertProfile>,
    /// Anchors by profile name.
    pub trust: BTreeMap<String, TrustAnchorProfile>,
    /// Authorities by profile name.
    pub authorities: BTreeMap<String, CaProfile>,
    /// What is fetched over networks.
    pub fetch: Fetch,
    /// When the end of a certificate of the configuration is warned of.
    pub certificate_warning: Warning,
    /// And that of a CRL.
    pub crl_warning: Warning,
    /// What is accepted and had better be otherwise.
    pub warnings: Vec<Refusal>,
    /// Gateways for peers from anywhere, by name.
    pub gateways: BTreeMap<String, Gateway>,
    /// Databases of clients by name; what a gateway has of its own is in the gateway.
    pub client_dbs: BTreeMap<String, Arc<ClientDb>>,
    /// Groups of tunnels by name; [`DEFAULT_GROUP`] is always there.
    pub groups: BTreeMap<String, TunnelGroup>,
}

impl Plan {
    /// Whether the tunnels of a group are called and renewed by their peers alone.
    pub fn only_responds(&self, group: &str) -> bool {
        self.groups.get(group).is_some_and(|group| group.responder_only)
    }

    /// The instance that keeps the cage around a port's kernel device: the first in its namespace.
    pub fn cage_keeper(&self, port: &Port) -> Option<usize> {
        self.instances.iter().position(|instance| instance.namespace == port.namespace)
    }
}

/// Worker threads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workers {
    /// CPU of each worker, in order; as many as there are workers.
    pub cores: Vec<usize>,
    /// What a worker does when there is nothing to do.
    pub idle: Idle,
    /// Tunnels a worker takes at most; its tables are made for them at start (TG-07).
    pub tunnel_limit: TunnelLimit,
}

/// What a worker does when there is nothing to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Idle {
    /// Keep polling.
    Poll,
    /// Sleep at most 50 microseconds after a thousand empty polls.
    Adaptive,
}

/// A network namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// Its name.
    pub name: String,
    /// Its namespace; `None`: the one ravelind was started in.
    pub namespace: Option<String>,
}

/// A DPDK port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// What it is made of.
    pub device: Device,
    /// Namespace of the device.
    pub namespace: Option<String>,
}

/// What a port is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Device {
    /// A kernel device under a packet socket; it is put in the cage.
    AfPacket(String),
    /// A PCI address.
    Pci(String),
    /// A virtual device, with DPDK's arguments.
    Vdev(String),
}

impl std::fmt::Display for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AfPacket(name) => write!(f, "af_packet:{name}"),
            Self::Pci(address) => write!(f, "pci:{address}"),
            Self::Vdev(arguments) => write!(f, "vdev:{arguments}"),
        }
    }
}

/// An addressed interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Its name, and its twin's.
    pub name: String,
    /// Index in [`Plan::ports`].
    pub port: usize,
    /// VLAN tag.
    pub vlan: Option<u16>,
    /// Its instance.
    pub instance: InstanceId,
    /// Its addresses.
    pub addresses: Vec<IpNet>,
    /// Largest IP packet.
    pub mtu: u16,
}

/// A static route to a next hop; one into a tunnel is the tunnel's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The instance it is in.
    pub instance: InstanceId,
    /// Destination.
    pub destination: IpNet,
    /// Next hop.
    pub via: IpAddr,
}

/// A tunnel: one peer, its children, and how their keys come.
#[derive(Debug, Clone, PartialEq)]
pub struct Tunnel {
    /// Its name.
    pub name: String,
    /// Whether it may be up.
    pub enabled: bool,
    /// Instance of the outer packets.
    pub public: InstanceId,
    /// Instance of the inner packets.
    pub private: InstanceId,
    /// Our outer address.
    pub local: IpAddr,
    /// The peer's, or `None` for any.
    pub remote: Option<IpAddr>,
    /// Where its keys come from.
    pub keying: Keying,
    /// Children it may have at once: the peer is refused more.
    pub child_limit: usize,
    /// Whether each worker of its group is to have SAs of its own for its children, beside those that all use (RFC 9611).
    pub per_worker: bool,
    /// What its packets are, besides protected.
    pub mode: Mode,
    /// What it does to packets.
    pub packets: PacketSettings,
    /// Whether routes to its remote networks lead into it by themselves.
    pub reverse_route: bool,
    /// Destinations of static routes that lead into it (TG-14).
    pub routes: Vec<IpNet>,
    /// Its children, first the one that IKE_AUTH makes.
    pub children: Vec<Child>,
    /// Where it comes from if it is not configured: a peer of a gateway has opened it.
    pub origin: Option<Origin>,
    /// The group whose workers carry it.
    pub group: String,
}

impl Tunnel {
    /// Where its peer may be, in the order in which it is called; none if that is anywhere.
    pub fn remotes(&self) -> impl Iterator<Item = IpAddr> {
        let backups = match &self.keying {
            Keying::Ike(ike) => ike.backup_remotes.as_slice(),
            Keying::Manual(_) => &[],
        };
        self.remote.into_iter().chain(backups.iter().copied())
    }
}

/// Where keys come from.
#[derive(Debug, Clone, PartialEq)]
pub enum Keying {
    /// IKEv2.
    Ike(Box<Ike>),
    /// By hand (RFC 4301 §4.5.1).
    Manual(Manual),
}

/// How a tunnel speaks IKEv2.
#[derive(Debug, Clone, PartialEq)]
pub struct Ike {
    /// Our identity; `None`: our address, or our certificate's subject.
    pub local_id: Option<Identity>,
    /// The peer's; `None`: its address with a PSK, any its certificate proves otherwise.
    pub remote_id: Option<Identity>,
    /// How we prove ourselves.
    pub own: OwnAuthentication,
    /// How the peer does.
    pub peer: PeerAuthentication,
    /// A second proof after these.
    pub second: Option<SecondAuthentication>,
    /// Post-quantum preshared keys.
    pub ppk: Option<Ppks>,
    /// The policy.
    pub policy: Arc<IkePolicy>,
    /// Bring it up without being asked.
    pub auto_establish: bool,
    /// Bring it up when a packet wants it.
    pub on_demand: bool,
    /// What another IKE SA of the same peer means.
    pub initial_contact: InitialContact,
    /// Do MOBIKE: its outer addresses may change.
    pub mobike: bool,
    /// Further addresses of ours that it may use then, preferred first.
    pub mobike_addresses: Vec<IpAddr>,
    /// Where the peer is called, in this order, when nobody answers at its `remote`.
    pub backup_remotes: Vec<IpAddr>,
    /// Redirection to other gateways.
    pub redirect: Redirection,
}

/// A second proof (RFC 4739), of one side or of both.
#[derive(Debug, Clone, PartialEq)]
pub struct SecondAuthentication {
    /// As whom we prove ourselves, if we do.
    pub local_id: Option<Identity>,
    /// As whom the peer does, if it does.
    pub remote_id: Option<Identity>,
    /// The pre-shared key.
    pub psk: Secret,
}

/// An identity as written; turned into its wire form where certificates are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// ID_IPV4_ADDR or ID_IPV6_ADDR.
    Address(IpAddr),
    /// ID_FQDN.
    Fqdn(String),
    /// ID_RFC822_ADDR.
    Email(String),
    /// ID_DER_ASN1_DN, in RFC 4514 form.
    DistinguishedName(String),
    /// ID_KEY_ID.
    KeyId(Vec<u8>),
}

/// How we prove ourselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OwnAuthentication {
    /// Pre-shared key.
    Psk(Secret),
    /// Name of a cert-profile.
    Certificate(String),
}

impl OwnAuthentication {
    /// The name of the cert-profile, where there is one.
    pub fn certificates(&self) -> Option<&str> {
        match self {
            Self::Psk(_) => None,
            Self::Certificate(name) => Some(name),
        }
    }
}

/// How the peer proves itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeerAuthentication {
    /// Pre-shared key.
    Psk(Secret),
    /// Name of a trust-anchor-profile.
    Certificate(String),
    /// Either, while it moves from the one to the other (TG-27).
    Either(Secret, String),
}

impl PeerAuthentication {
    /// The name of the trust-anchor-profile, where there is one.
    pub fn anchors(&self) -> Option<&String> {
        match self {
            Self::Psk(_) => None,
            Self::Certificate(name) | Self::Either(_, name) => Some(name),
        }
    }
}

/// An IKE policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IkePolicy {
    /// What may be negotiated at all, for the CHILD SAs too.
    pub profile: AlgorithmProfile,
    /// Proposals, best first.
    pub proposals: Proposals<IkeProposal>,
    /// Lifetime of the IKE SA.
    pub lifetime: Duration,
    /// How long proofs of identity count; `None`: for ever.
    pub authentication_lifetime: Option<Duration>,
    /// When it is rekeyed, or a new proof begun.
    pub soft: SoftLifetime,
    /// Dead peer detection; `None` answers the peer's probes and sends none.
    pub dead_peer: Option<DeadPeer>,
    /// Fragmentation of IKE messages; `None` neither announces nor uses it.
    pub fragmentation: Option<Fragmentation>,
    /// NAT traversal.
    pub nat: NatTraversal,
    /// Call without a CHILD SA in IKE_AUTH.
    pub childless: bool,
    /// Give tickets to callers, ask for them as caller, and resume by them (RFC 5723).
    pub resumption: bool,
    /// When callers that fail to prove themselves are not heard any more.
    pub lockout: Option<Lockout>,
}

/// A CHILD SA as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Child {
    /// Its name.
    pub name: String,
    /// Our selectors.
    pub local_ts: Vec<Selector>,
    /// The peer's.
    pub remote_ts: Vec<Selector>,
    /// Its transform.
    pub transform: Arc<IpsecTransform>,
    /// DSCP of its outer packets; `None`: that of the inner ones.
    pub dscp: Option<u8>,
    /// Where it is written.
    pub written: Written,
}

/// Where a child is written: the keys that people are pointed at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Written {
    /// The name of its table; `None`: its tunnel's own keys.
    pub table: Option<String>,
    /// Its selectors are pairs.
    pub in_pairs: bool,
}

/// Children a tunnel may have at most: the workers compare that many for a packet.
pub const CHILDREN: usize = ravelin_dataplane::policy::table::MAX_CHILDREN;

/// Protocols with a name.
pub const PROTOCOLS: [(&str, u8); 7] =
    [("icmp", 1), ("tcp", 6), ("udp", 17), ("gre", 47), ("icmpv6", 58), ("sctp", 132), ("mh", 135)];

/// Protocol and ports as they are written behind the addresses of a selector; nothing where all are meant.
///
/// # Errors
/// As the formatter has them.
pub fn write_upper(f: &mut impl std::fmt::Write, protocol: u8, first: u16, last: u16) -> std::fmt::Result {
    match PROTOCOLS.iter().find(|(_, number)| *number == protocol) {
        _ if protocol == 0 => {}
        Some((name, _)) => write!(f, " {name}")?,
        None => write!(f, " {protocol}")?,
    }
    match (protocol, first, last) {
        (_, 0, u16::MAX) => Ok(()),
        (_, u16::MAX, 0) => f.write_str("/opaque"),
        (1 | 58, ..) => write_types(f, first.to_be_bytes(), last.to_be_bytes()),
        (135, ..) if first >> 8 == last >> 8 => write!(f, "/{}", first >> 8),
        (135, ..) => write!(f, "/{}-{}", first >> 8, last >> 8),
        _ if first == last => write!(f, "/{first}"),
        _ => write!(f, "/{first}-{last}"),
    }
}

/// Types of ICMP, with their codes where not all are meant.
fn write_types(f: &mut impl std::fmt::Write, first: [u8; 2], last: [u8; 2]) -> std::fmt::Result {
    let ([from, from_code], [to, to_code]) = (first, last);
    match (from_code, to_code) {
        (0, u8::MAX) if from == to => write!(f, "/{from}"),
        (0, u8::MAX) => write!(f, "/{from}-{to}"),
        _ if first == last => write!(f, "/{from}.{from_code}"),
        _ => write!(f, "/{from}.{from_code}-{to}.{to_code}"),
    }
}

/// When an SA is replaced before its end (RFC 4301 §4.4.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SoftLifetime {
    /// Share of the lifetime, in percent.
    pub percent: u8,
    /// Share of that, in percent, that is taken off at random at most, so that what began together is not rekeyed
    /// together (RFC 7296 §2.8).
    pub jitter_percent: u8,
}

impl Default for SoftLifetime {
    fn default() -> Self {
        Self { percent: 90, jitter_percent: 10 }
    }
}

/// An ESP transform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IpsecTransform {
    /// Proposals, best first, with extended sequence numbers as configured.
    pub proposals: Proposals<EspProposal>,
    /// Lifetime of a CHILD SA.
    pub lifetime: Duration,
    /// Bytes after which it may not be used.
    pub lifetime_bytes: Option<u64>,
    /// Packets after which it may not.
    pub lifetime_packets: Option<u64>,
    /// When it is rekeyed: of time, bytes and packets alike.
    pub soft: SoftLifetime,
    /// Anti-replay window in packets.
    pub replay_window: u32,
}

/// Keys by hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manual {
    /// What its packets are protected by.
    pub suite: Suite,
    /// SPI of packets to us.
    pub inbound_spi: u32,
    /// Their keys.
    pub inbound_keys: ManualKeys,
    /// SPI of packets to the peer.
    pub outbound_spi: u32,
    /// Their keys.
    pub outbound_keys: ManualKeys,
    /// Extended sequence numbers.
    pub extended_sequence_number: bool,
    /// First sequence number.
    pub first_sequence: u64,
    /// Anti-replay window; `None`: off.
    pub replay_window: Option<u32>,
    /// Encapsulate in UDP port 4500.
    pub udp_encapsulation: bool,
}

/// Keys of one direction by hand, each as long as the suite has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManualKeys {
    /// The cipher's, with the salt behind it that it may have; empty where nothing is encrypted.
    pub encryption: Secret,
    /// The integrity algorithm's; empty where the cipher authenticates.
    pub integrity: Secret,
}

/// Roots and helpers, DER.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustAnchorProfile {
    /// Trust anchors.
    pub anchors: Vec<Vec<u8>>,
    /// Intermediates a peer may omit.
    pub intermediates: Vec<Vec<u8>>,
    /// How much an answer about revocation matters, for what no CA profile says otherwise of.
    pub demand: Demand,
    /// Whom to ask about revocation, likewise.
    pub order: Order,
    /// What a path must be like.
    pub rules: Rules,
    /// Whether intermediates that the peer sends are looked at.
    pub dynamic_intermediates: bool,
    /// Whether certificates are looked up that a peer shows by hash and URL.
    pub lookup: bool,
    /// Whether the identity a peer claims must be in its certificate.
    pub match_identity: bool,
    /// The exceptions that are made for peers.
    pub maps: Vec<Arc<CertificateMap>>,
    /// The authorities that nothing may rest on.
    pub shut: Shut,
    /// Public keys of peers that show no certificate.
    pub keys: PeerKeys,
}
