//! The configuration file as it is written: one struct an object, every key with the name
//! an operator types. Nothing is judged here beyond the shape; `resolve` turns it into a
//! [`Plan`](super::plan::Plan). Values that can be wrong are `Spanned`, so that the refusal
//! can name the line.

mod gateway;
mod ip_tunnel;
mod mirror;
mod trust;

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

pub use self::gateway::{Client, ClientDb, Gateway, TsList, TunnelTemplate};
pub use self::ip_tunnel::IpTunnel;
pub use self::mirror::Mirror;
pub use self::trust::{
    CaProfile, CertEntry, CertProfile, CertificateMap, CommonNameList, StatusVerify, TrustAnchorProfile,
};
use super::secret::Hidden;

/// A string and where it stands.
pub type Text = Spanned<String>;

/// A secret and where it stands.
pub type SecretText = Spanned<Hidden>;

/// A whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct File {
    /// Let in what is there only for peers that have nothing else: DES, Triple-DES, MD5, MODP-1024.
    pub allow_legacy: bool,
    /// Worker threads.
    pub workers: Workers,
    /// DPDK's environment.
    pub eal: Eal,
    /// The control socket.
    pub control: Control,
    /// IKE as a whole.
    pub ike: Ike,
    /// The store of certificates and keys.
    pub pki: Pki,
    /// Errors that workers send.
    pub icmp: Icmp,
    /// What is fetched over networks, and from where it may be.
    pub fetch: Fetch,
    /// Instances (VRFs) by name.
    pub instance: BTreeMap<String, Instance>,
    /// DPDK ports by name.
    pub port: BTreeMap<String, Port>,
    /// Addressed interfaces by name.
    pub interface: BTreeMap<String, Spanned<Interface>>,
    /// Static routes.
    pub route: Vec<Spanned<Route>>,
    /// Policy entries, in order.
    pub policy: Vec<Spanned<Policy>>,
    /// IKE policies by name.
    pub ike_policy: BTreeMap<String, Spanned<IkePolicy>>,
    /// ESP transforms by name.
    pub ipsec_transform: BTreeMap<String, Spanned<IpsecTransform>>,
    /// Certificates of ours by name.
    pub cert_profile: BTreeMap<String, Spanned<CertProfile>>,
    /// Lists of names of peers.
    pub common_name_list: BTreeMap<String, Spanned<CommonNameList>>,
    /// Exceptions from what is believed.
    pub certificate_map: BTreeMap<String, Spanned<CertificateMap>>,
    /// Trust anchors by name.
    pub trust_anchor_profile: BTreeMap<String, Spanned<TrustAnchorProfile>>,
    /// What is known of authorities, by name.
    pub ca_profile: BTreeMap<String, Spanned<CaProfile>>,
    /// Lists of post-quantum preshared keys by name, and in each the keys by theirs.
    pub ppk_list: BTreeMap<String, PpkList>,
    /// Groups of tunnels, each with its workers, by name.
    pub tunnel_group: BTreeMap<String, Spanned<TunnelGroup>>,
    /// Tunnels by name.
    pub tunnel: BTreeMap<String, Spanned<Tunnel>>,
    /// Tunnels without keys by name.
    pub ip_tunnel: BTreeMap<String, Spanned<IpTunnel>>,
    /// What packets are copied and sent on, by name.
    pub mirror: BTreeMap<String, Spanned<Mirror>>,
    /// Gateways for peers from anywhere, by name.
    pub gateway: BTreeMap<String, Spanned<Gateway>>,
    /// What gateways have for peers by name.
    pub client_db: BTreeMap<String, Spanned<ClientDb>>,
    /// What a gateway's tunnels are like, by name.
    pub tunnel_template: BTreeMap<String, Spanned<TunnelTemplate>>,
    /// What a gateway's tunnels may carry, by name.
    pub ts_list: BTreeMap<String, Spanned<TsList>>,
}

/// `[workers]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Workers {
    /// How many; default 1.
    pub count: Option<Spanned<u64>>,
    /// CPUs, one a worker; default: counted up from 0.
    pub cores: Option<Spanned<Vec<usize>>>,
    /// `poll` or `adaptive`.
    pub idle: Option<Text>,
    /// `8`, `32`, `2k`, `32k` or `64k`.
    pub tunnel_limit: Option<Text>,
}

/// `[eal]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Eal {
    /// Arguments handed to DPDK as they are.
    pub arguments: Vec<String>,
    /// Packet buffers in the pool; default is computed from rings and queues.
    pub buffers: Option<u32>,
    /// Megabytes of packet memory in huge pages that captures of DPDK's can attach to.
    pub huge_pages_mb: Option<Spanned<u64>>,
}

/// `[control]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Control {
    /// Path of the control socket.
    pub socket: Option<String>,
    /// Group that may use it besides root.
    pub group: Option<Text>,
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub log: Option<Text>,
    /// Directory of what outlives the process.
    pub state_directory: Option<String>,
}

/// `[ike]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Ike {
    /// First retransmission of a request after so many milliseconds; each further one after twice as long.
    pub retransmit_ms: Option<Spanned<u64>>,
    /// Retransmissions before giving up.
    pub retransmit_tries: Option<Spanned<u64>>,
    /// `rfc8247`, `cnsa2` or `legacy`.
    pub profile: Option<Text>,
    /// Make tokens that prove a crash of ours; default yes.
    pub crash_detection: Option<bool>,
    /// DSCP of IKE messages; default 48 (CS6).
    pub dscp: Option<Spanned<u64>>,
    /// Seconds for which fragments of one message are collected.
    pub reassembly_timeout: Option<Spanned<u64>>,
    /// What callers may cost that have not proven themselves.
    pub half_open: HalfOpen,
}

/// `half-open` of `[ike]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct HalfOpen {
    /// Half-open IKE SAs from which on callers must show a cookie, or `never`.
    pub cookie_threshold: Option<Spanned<toml::Value>>,
    /// Half-open IKE SAs there may be.
    pub limit: Option<Spanned<u64>>,
    /// The same of one address.
    pub per_address: Option<Spanned<u64>>,
    /// Seconds a caller has.
    pub timeout: Option<Spanned<u64>>,
    /// Seconds it has while cookies are demanded, or `none`.
    pub reduced_timeout: Option<Spanned<toml::Value>>,
}

/// `[pki]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Pki {
    /// Directory of the store.
    pub store: Option<String>,
    /// File of the passphrase that private keys are sealed under; default: the credential `ravelin-pki`.
    pub passphrase_file: Option<String>,
    /// Hours before the end of a certificate at which it is warned of; 0: when it has ended.
    pub certificate_expiration_warning: Option<Spanned<u64>>,
    /// The same of a CRL that is held.
    pub crl_expiration_warning: Option<Spanned<u64>>,
    /// Hours after which it is warned of again; 0: never.
    pub crl_expiration_repeat: Option<Spanned<u64>>,
    /// Hours after which it is warned of again; 0: never.
    pub certificate_expiration_repeat: Option<Spanned<u64>>,
}

/// `[icmp]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Icmp {
    /// Errors a worker sends in an interval.
    pub messages: Option<Spanned<u64>>,
    /// The interval in seconds.
    pub interval: Option<Spanned<u64>>,
}

/// `[fetch]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Fetch {
    /// Private or special networks that URLs of certificates may lead to all the same.
    pub allow: Vec<Text>,
    /// Schemes that are spoken; default: all but `file`.
    pub schemes: Vec<Text>,
    /// Directory below which `file` URLs are read; default: none is.
    pub files: Option<String>,
    /// Certificates that TLS servers must chain to.
    pub roots: Vec<Text>,
    /// Seconds one fetch may take.
    pub timeout: Option<Spanned<u64>>,
    /// Mebibytes of answers kept over a restart; 0: none.
    pub kept: Option<Spanned<u64>>,
}

/// `[instance.NAME]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Instance {
    /// Network namespace; default: the one ravelind was started in.
    pub namespace: Option<String>,
}

/// `[port.NAME]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Port {
    /// `af_packet:IFACE`, `pci:ADDRESS` or `vdev:ARGUMENTS`.
    pub device: Text,
    /// Namespace the device lives in; default: the one ravelind was started in.
    pub namespace: Option<String>,
}

/// `[interface.NAME]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Interface {
    /// The port it lives on; or give `device` for a port of its own.
    pub port: Option<Text>,
    /// A port of its own, as in `[port.NAME]`.
    pub device: Option<Text>,
    /// VLAN tag.
    pub vlan: Option<Spanned<u16>>,
    /// The instance it belongs to.
    pub instance: Option<Text>,
    /// Addresses with prefix length.
    pub addresses: Vec<Text>,
    /// Largest IP packet; default 1500.
    pub mtu: Option<Spanned<u16>>,
}

/// `[[route]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Route {
    /// Destination prefix.
    pub destination: Text,
    /// Next hop; this, `tunnel` or `ip-tunnel`.
    pub via: Option<Text>,
    /// Name of the tunnel it leads into.
    pub tunnel: Option<Text>,
    /// Name of the ip-tunnel it leads into.
    pub ip_tunnel: Option<Text>,
    /// The instance it is in.
    pub instance: Option<Text>,
}

/// `[[policy]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Policy {
    /// What it is called.
    pub name: Text,
    /// `bypass`, `discard` or `protect`.
    pub action: Text,
    /// The instance whose packets it speaks of.
    pub instance: Option<Text>,
    /// The tunnel that protects.
    pub tunnel: Option<Text>,
    /// It stands before the tunnels; default: behind them.
    #[serde(default)]
    pub before_tunnels: bool,
    /// Our side; default everything.
    #[serde(default)]
    pub local: Vec<Text>,
    /// The other side; default everything.
    #[serde(default)]
    pub remote: Vec<Text>,
}

/// `[ike-policy.NAME]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct IkePolicy {
    /// `rfc8247`, `cnsa2` or `legacy`; default: that of `[ike]`.
    pub profile: Option<Text>,
    /// Proposals, best first.
    pub proposals: Option<Spanned<Vec<Text>>>,
    /// Lifetime of the IKE SA in seconds.
    pub lifetime: Option<Spanned<u64>>,
    /// Seconds that proofs of identity count; default: for ever.
    pub authentication_lifetime: Option<Spanned<u64>>,
    /// Share of these, in percent, after which it is rekeyed, or a new proof begun.
    pub soft_lifetime_percent: Option<Spanned<u64>>,
    /// Share of that, in percent, that is taken off at random at most.
    pub jitter_percent: Option<Spanned<u64>>,
    /// `active` or `reply-only`: whether the peer is asked whether it lives.
    pub dpd: Option<Text>,
    /// Seconds of silence before the peer is asked.
    pub dpd_interval: Option<Spanned<u64>>,
    /// Unanswered questions before it is dead.
    pub dpd_retries: Option<Spanned<u64>>,
    /// Fragment large IKE messages, if the peer can; default yes.
    pub fragmentation: Option<bool>,
    /// Largest IKE packet in bytes before it is fragmented.
    pub fragment_size: Option<Spanned<u64>>,
    /// `auto`, `force` or `never`.
    pub udp_encapsulation: Option<Text>,
    /// Seconds between keepalives to the NAT we are behind.
    pub nat_keepalive_interval: Option<Spanned<u64>>,
    /// Send them without a NAT too; default no.
    pub nat_keepalive_force: Option<bool>,
    /// Call without a CHILD SA in IKE_AUTH, if the peer can; default no.
    pub childless: Option<bool>,
    /// Give tickets to callers that ask, and ask for them as caller; default no.
    pub resumption: Option<bool>,
    /// Do not hear callers any more that fail to prove themselves; default: whatever they do.
    pub lockout: Option<Lockout>,
}

/// `lockout` of `[ike-policy.NAME]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Lockout {
    /// Failures that lock out.
    pub failed_attempts: Option<Spanned<u64>>,
    /// Minutes within which they count together.
    pub duration: Option<Spanned<u64>>,
    /// Minutes, or `infinite`.
    pub block: Option<Spanned<toml::Value>>,
    /// Ports of one address that may have failed.
    pub max_port_per_ip: Option<Spanned<u64>>,
}

/// `[ipsec-transform.NAME]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct IpsecTransform {
    /// Proposals, best first.
    pub proposals: Option<Spanned<Vec<Text>>>,
    /// Lifetime of a CHILD SA in seconds.
    pub lifetime: Option<Spanned<u64>>,
    /// Bytes after which the SA may not be used.
    pub lifetime_bytes: Option<Spanned<u64>>,
    /// Packets after which it may not.
    pub lifetime_packets: Option<Spanned<u64>>,
    /// Share of each lifetime, in percent, after which it is rekeyed.
    pub soft_lifetime_percent: Option<Spanned<u64>>,
    /// Share of that, in percent, that is taken off at random at most.
    pub jitter_percent: Option<Spanned<u64>>,
    /// Anti-replay window in packets.
    pub replay_window: Option<Spanned<u64>>,
    /// Offer extended sequence numbers.
    pub extended_sequence_number: Option<bool>,
}

/// `[ppk-list.NAME]`: keys by name.
pub type PpkList = BTreeMap<String, Spanned<Ppk>>;

/// `[ppk-list.NAME.ID]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Ppk {
    /// The key.
    pub value: Option<SecretText>,
    /// File that holds it.
    pub value_file: Option<Text>,
    /// `fixed` or `opaque`: what the peer is told its name is.
    pub id_type: Option<Text>,
}

/// `[tunnel-group.NAME]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct TunnelGroup {
    /// For people.
    pub description: Option<Text>,
    /// Whether its tunnels may be up; default yes.
    pub enabled: Option<bool>,
    /// Its tunnels are called and renewed by their peers alone; default no.
    pub responder_only: Option<bool>,
    /// `single-active` or `multi-active`.
    pub mode: Option<Text>,
    /// The worker of a single-active group.
    pub primary: Option<Spanned<u64>>,
    /// The worker that takes over from it; several groups may share one.
    pub backup: Option<Spanned<u64>>,
    /// The workers of a multi-active group, those first that are active first.
    pub members: Option<Spanned<Vec<u64>>>,
    /// How many of them are active; default 1.
    pub active_number: Option<Spanned<u64>>,
    /// Go on with fewer when none stands by; default no.
    pub degrade: Option<Spanned<bool>>,
    /// A number or `none`: milliseconds for which fragments for its tunnels wait for the rest.
    pub reassembly: Option<Spanned<toml::Value>>,
}

/// `second-auth` of `[tunnel.NAME]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct SecondAuth {
    /// Pre-shared key.
    pub psk: Option<SecretText>,
    /// File that holds it.
    pub psk_file: Option<Text>,
    /// As whom we prove ourselves a second time, if we do.
    pub local_id: Option<Text>,
    /// As whom the peer does, if it does.
    pub remote_id: Option<Text>,
}

/// `[tunnel.NAME]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Tunnel {
    /// Whether it may be up; default yes.
    pub enabled: Option<bool>,
    /// Our outer address.
    pub local: Option<Text>,
    /// The peer's outer address, or `any`.
    pub remote: Option<Text>,
    /// Where the peer is when it does not answer there.
    pub backup_remotes: Vec<Text>,
    /// Name of a tunnel-group; default: that of all workers.
    pub tunnel_group: Option<Text>,
    /// Instance of the outer packets.
    pub public_instance: Option<Text>,
    /// Instance of the inner packets.
    pub private_instance: Option<Text>,
    /// Our identity.
    pub local_id: Option<Text>,
    /// The peer's identity.
    pub remote_id: Option<Text>,
    /// Pre-shared key.
    pub psk: Option<SecretText>,
    /// File that holds it.
    pub psk_file: Option<Text>,
    /// A second proof of one side or of both.
    pub second_auth: Option<Spanned<SecondAuth>>,
    /// Name of a ppk-list.
    pub ppk_list: Option<Text>,
    /// The one of it that we name when we call.
    pub ppk_id: Option<Text>,
    /// Nothing comes up without a post-quantum preshared key; default no.
    pub ppk_required: Option<bool>,
    /// Name of a cert-profile.
    pub certificate: Option<Text>,
    /// Name of a trust-anchor-profile.
    pub trust: Option<Text>,
    /// Take the pre-shared key of a peer that moves to certificates, too; default no.
    pub accept_psk: Option<bool>,
    /// Name of an ike-policy.
    pub ike_policy: Option<Text>,
    /// Name of an ipsec-transform.
    pub ipsec_transform: Option<Text>,
    /// Bring it up without being asked.
    pub auto_establish: Option<bool>,
    /// Bring it up when a packet wants it; default yes.
    pub on_demand: Option<bool>,
    /// `no`, `replace` or `never`: what another IKE SA of the same peer means.
    pub unique: Option<Text>,
    /// `tunnel` or `transport`.
    pub mode: Option<Text>,
    /// Let it move to other outer addresses; default yes where any peer may call, else no.
    pub mobike: Option<bool>,
    /// Further outer addresses of ours, for MOBIKE.
    pub mobike_addresses: Vec<Text>,
    /// Our protected networks.
    pub local_ts: Vec<Text>,
    /// The peer's protected networks.
    pub remote_ts: Vec<Text>,
    /// Pairs of them, `LOCAL === REMOTE`, in place of both lists.
    pub ts_pairs: Vec<Text>,
    /// DSCP of outer packets.
    pub dscp: Option<Spanned<u64>>,
    /// Children there may be at once; default 5.
    pub child_limit: Option<Spanned<u64>>,
    /// SAs of its own for each worker; default no.
    pub per_worker: Option<bool>,
    /// What it does to packets.
    pub packets: Packets,
    /// `selectors` or `none`: which routes lead into it by themselves.
    pub reverse_route: Option<Text>,
    /// `accept` or `off`: whether the gateway we call may send us to another one.
    pub redirect: Option<Text>,
    /// The gateways it may send us to; default any.
    pub redirect_targets: Vec<Text>,
    /// The gateway that callers are sent to.
    pub redirect_callers_to: Option<Text>,
    /// `init` or `auth`: when they are.
    pub redirect_callers_at: Option<Text>,
    /// Further children by name, each with selectors of its own.
    pub child: BTreeMap<String, Spanned<Child>>,
    /// Keys by hand instead of IKE.
    pub manual: Option<Spanned<Manual>>,
}

/// `[tunnel.NAME.packets]`, `[tunnel-template.NAME.packets]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Packets {
    /// Largest inner packet.
    pub ip_mtu: Option<Spanned<u64>>,
    /// Largest outer packet.
    pub encapsulated_ip_mtu: Option<Spanned<u64>>,
    /// Cut inner IPv4 packets that forbid it; default no.
    pub clear_df_bit: Option<bool>,
    /// `copy`, `clear` or `set`.
    pub outer_df: Option<Text>,
    /// A number or `auto`: MSS of SYNs that enter.
    pub private_tcp_mss_adjust: Option<Spanned<toml::Value>>,
    /// A number or `auto`: MSS of SYNs that leave.
    pub public_tcp_mss_adjust: Option<Spanned<toml::Value>>,
    /// Copy the outer traffic class inwards; default no.
    pub copy_traffic_class_upon_decapsulation: Option<bool>,
    /// Tell senders what fits; default yes.
    pub icmp_generation: Option<bool>,
    /// Believe routers on the way; default yes.
    pub path_mtu_discovery: Option<bool>,
    /// Tell senders what routers on the way said; default yes.
    pub propagate_path_mtu: Option<bool>,
    /// Seconds for which they are believed.
    pub path_mtu_aging: Option<Spanned<u64>>,
    /// ICMP errors about packets that are too large, in an interval.
    pub icmp_messages: Option<Spanned<u64>>,
    /// The interval in seconds.
    pub icmp_interval: Option<Spanned<u64>>,
    /// A number or `mtu`: length to which inner packets are padded.
    pub tfc_padding: Option<Spanned<toml::Value>>,
    /// Packets a second that an SA sends at least, dummies among them.
    pub dummy_packets: Option<Spanned<u64>>,
}

/// `[tunnel.NAME.child.NAME]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Child {
    /// Our protected networks.
    pub local_ts: Vec<Text>,
    /// The peer's protected networks.
    pub remote_ts: Vec<Text>,
    /// Pairs of them, `LOCAL === REMOTE`, in place of both lists.
    pub ts_pairs: Vec<Text>,
    /// Name of an ipsec-transform.
    pub ipsec_transform: Option<Text>,
    /// DSCP of outer packets.
    pub dscp: Option<Spanned<u64>>,
}

/// `[tunnel.NAME.manual]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Manual {
    /// One cipher, and an integrity algorithm if it takes one, as in a proposal.
    pub suite: Text,
    /// SPI of packets to us.
    pub inbound_spi: Spanned<u32>,
    /// The cipher's key in hex, with its salt if it has one.
    pub inbound_key: Option<SecretText>,
    /// The integrity algorithm's key in hex.
    pub inbound_integrity_key: Option<SecretText>,
    /// SPI of packets to the peer.
    pub outbound_spi: Spanned<u32>,
    /// As for packets to us.
    pub outbound_key: Option<SecretText>,
    /// As for packets to us.
    pub outbound_integrity_key: Option<SecretText>,
    /// Extended sequence numbers.
    #[serde(default)]
    pub extended_sequence_number: bool,
    /// First sequence number to send, and the one expected: for tests of its end.
    pub first_sequence: Option<u64>,
    /// Anti-replay window in packets; default none.
    pub replay_window: Option<Spanned<u64>>,
    /// Encapsulate in UDP port 4500.
    #[serde(default)]
    pub udp_encapsulation: bool,
}
