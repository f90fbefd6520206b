//! Everything a running gateway answers: plain data, rendered as text or JSON from one
//! value. Fields are only ever added.

mod account;
mod certificate;
mod client;
mod gateway;
mod group;
mod ip_tunnel;
mod lockout;
mod lookup;
mod mirror;
mod pki;
mod policy;
mod probe;
mod revocation;
mod tap;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use self::account::{Kinds, Messages, Proofs, Signatures};
pub use self::certificate::OwnCertificate;
pub use self::client::{Client, ClientDb, Matched};
pub use self::gateway::{Gateway, GatewayTunnel, Route};
pub use self::group::{Level, Member, TunnelGroup};
pub use self::ip_tunnel::{DestIp, IpTunnelRow};
pub use self::lockout::{Lockout, Lockouts};
pub use self::lookup::{Lookup, Nearest, Way};
pub use self::mirror::MirrorRow;
pub use self::pki::{CaProfile, StoredObject};
pub use self::policy::{InstancePolicy, PolicyRow};
pub use self::probe::MtuProbe;
pub use self::revocation::{Crl, CrlUpkeep, Resting, Revocation, StandingFlag};
pub use self::tap::{SeenPacket, SeenStep, TapPage};

/// One reply.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Reply {
    /// Version and uptime.
    Version(Version),
    /// Ports.
    Ports {
        /// One each.
        ports: Vec<Port>,
    },
    /// Workers.
    Workers {
        /// One each.
        workers: Vec<Worker>,
    },
    /// Tunnels.
    Tunnels {
        /// One each.
        tunnels: Vec<Tunnel>,
        /// Where the next part begins, if this is one and not the last.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        next: Option<u32>,
    },
    /// Security associations.
    Sas {
        /// One each.
        sas: Vec<Sa>,
        /// As of tunnels.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        next: Option<u32>,
    },
    /// Counters.
    Counters {
        /// One each.
        counters: Vec<Counter>,
    },
    /// Why a tunnel is as it is.
    Explain(Explain),
    /// The action was begun.
    Done {
        /// What was begun.
        message: String,
    },
    /// What happened.
    Events {
        /// One each.
        events: Vec<Event>,
    },
    /// What is wrong with the machine around us.
    Doctor {
        /// One each.
        findings: Vec<Finding>,
    },
    /// A configuration was applied, or compared.
    Applied(Applied),
    /// What would become of a packet.
    Lookup(Box<Lookup>),
    /// What an address tried that no tunnel has to do with.
    Strangers(Strangers),
    /// The callers that a gateway did not let in.
    Callers(Callers),
    /// Who is locked out.
    Lockouts(Lockouts),
    /// Whose messages are told.
    Debug {
        /// One each.
        peers: Vec<Watched>,
    },
    /// A capture or trace has begun.
    TapBegun {
        /// Its number.
        tap: u64,
    },
    /// Packets.
    TapPage(TapPage),
    /// Gateways.
    Gateways {
        /// One each.
        gateways: Vec<Gateway>,
        /// Tunnels that the workers take together, configured ones included.
        tunnel_limit: usize,
        /// Tunnels there are.
        tunnels: usize,
    },
    /// Ip-tunnels.
    IpTunnels {
        /// One each.
        ip_tunnels: Vec<IpTunnelRow>,
        /// Whether one was asked for by name.
        by_name: bool,
    },
    /// Mirrors.
    Mirrors {
        /// One each.
        mirrors: Vec<MirrorRow>,
    },
    /// Tunnel groups.
    TunnelGroups {
        /// One each.
        groups: Vec<TunnelGroup>,
        /// Whether one was asked for by name.
        by_name: bool,
    },
    /// Databases of clients.
    ClientDbs {
        /// One each.
        databases: Vec<ClientDb>,
        /// The clients of one, where one was asked for.
        clients: Vec<Client>,
        /// As of tunnels.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        next: Option<u32>,
    },
    /// Which client would take a peer.
    ClientMatch(Matched),
    /// Routes into tunnels, and static ones.
    Routes {
        /// One each.
        routes: Vec<Route>,
    },
    /// The ordered policies of instances.
    Policies {
        /// One each.
        instances: Vec<InstancePolicy>,
    },
    /// Our own certificates.
    OwnCertificates {
        /// One for each entry of a profile.
        certificates: Vec<OwnCertificate>,
    },
    /// What the store of certificates and keys has, a line each.
    PkiObjects {
        /// One each.
        objects: Vec<StoredObject>,
        /// How the authorities of ca-profiles stand.
        #[serde(default)]
        ca_profiles: Vec<CaProfile>,
    },
    /// The same with all that is known.
    PkiDetails {
        /// One each.
        objects: Vec<StoredObject>,
        /// How the authorities of ca-profiles stand.
        #[serde(default)]
        ca_profiles: Vec<CaProfile>,
    },
    /// An object given out, or a certification request.
    PkiData {
        /// What it is: a PEM label, or `PKCS12`.
        label: String,
        /// DER, as base64.
        data: String,
    },
    /// What is known of revocation.
    Revocation(Revocation),
    /// How large packets of a tunnel may be.
    MtuProbe(Box<MtuProbe>),
}

impl Reply {
    /// Where the list goes on that this is a part of.
    #[must_use]
    pub fn next(&self) -> Option<u32> {
        match self {
            Reply::Tunnels { next, .. } | Reply::Sas { next, .. } | Reply::ClientDbs { next, .. } => *next,
            _ => None,
        }
    }

    /// Puts the next part of the same list behind this one.
    pub fn append(&mut self, part: Reply) {
        match (self, part) {
            (Reply::Tunnels { tunnels, next }, Reply::Tunnels { tunnels: more, next: then }) => {
                tunnels.extend(more);
                *next = then;
            }
            (Reply::Sas { sas, next }, Reply::Sas { sas: more, next: then }) => {
                sas.extend(more);
                *next = then;
            }
            (Reply::ClientDbs { clients, next, .. }, Reply::ClientDbs { clients: more, next: then, .. }) => {
                clients.extend(more);
                *next = then;
            }
            (whole, part) => *whole = part,
        }
    }
}

/// What another configuration changes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Applied {
    /// Nothing was done: this is what would be.
    pub dry_run: bool,
    /// New tunnels.
    pub added: Vec<String>,
    /// Tunnels closed and removed.
    pub removed: Vec<String>,
    /// Tunnels that are other from their next negotiation on; they stay up.
    pub changed: Vec<String>,
    /// Tunnels that go to another address of ours; they stay up where the peer lets them.
    #[serde(default)]
    pub moved: Vec<String>,
    /// Tunnels closed and opened anew.
    pub replaced: Vec<String>,
    /// Interfaces with other addresses.
    pub readdressed: Vec<String>,
    /// Tunnels that stay as they are.
    pub untouched: usize,
    /// What changes with a restart only.
    pub needs_restart: Vec<String>,
    /// What is accepted and had better be otherwise, a line each.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// What is not to be had as things stand, a line each with what to do: nothing is changed then.
    #[serde(default)]
    pub refused: Vec<String>,
}

/// Version and uptime.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Version {
    /// Of Ravelin.
    pub version: String,
    /// Of this schema.
    pub schema: u32,
    /// Of DPDK, empty without it.
    pub dpdk: String,
    /// The AES-GCM kernel in use.
    pub gcm_kernel: String,
    /// Seconds since the daemon started.
    pub uptime_seconds: u64,
}

/// A port.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Port {
    /// As in the configuration.
    pub name: String,
    /// Its device.
    pub device: String,
    /// MAC address.
    pub mac: String,
    /// Whether it has its link.
    pub link_up: bool,
    /// Receive queues, one a worker.
    pub queues: u16,
    /// Frames received.
    pub rx_packets: u64,
    /// Bytes received.
    pub rx_bytes: u64,
    /// Frames sent.
    pub tx_packets: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
    /// Frames the device lost because its receive rings were full.
    pub rx_missed: u64,
    /// Frames the device did not receive because the pool was empty.
    pub rx_no_buffer: u64,
    /// Frames received with errors.
    pub rx_errors: u64,
    /// Frames that arrived cut, or longer than the port's longest.
    pub rx_truncated: u64,
    /// Frames that arrived in pieces which no buffer could hold together.
    pub rx_unlinear: u64,
    /// Frames the device could not send.
    pub tx_errors: u64,
}

/// A worker.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Worker {
    /// From 0.
    pub id: usize,
    /// CPU it is pinned to.
    pub core: usize,
    /// Whether its heartbeat advances.
    pub alive: bool,
    /// Share of its cycles that did work, in percent, since the last look.
    pub busy_percent: f64,
    /// Inbound SAs it owns.
    pub inbound_sas: usize,
    /// Frames received.
    pub received: u64,
    /// Frames forwarded.
    pub forwarded: u64,
    /// Frames handed to another worker.
    pub handed: u64,
    /// Frames given to control or the kernel.
    pub punted: u64,
    /// Frames dropped, for all reasons.
    pub dropped: u64,
}

/// How a tunnel or child is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// All its children carry traffic.
    Up,
    /// Some do not.
    Degraded,
    /// Negotiating.
    Connecting,
    /// Nothing there.
    #[default]
    Down,
}

impl State {
    /// The word shown.
    pub fn word(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Degraded => "degraded",
            Self::Connecting => "connecting",
            Self::Down => "down",
        }
    }
}

/// A configured tunnel.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Tunnel {
    /// As in the configuration.
    pub name: String,
    /// How it is.
    pub state: State,
    /// Stable code of the reason it is not up.
    pub reason_code: String,
    /// The reason in words.
    pub reason: String,
    /// All that keeps it down at once: `admin-down`, `ike-not-ready`, `tunnel-group-down`, `local-ip-unreachable`,
    /// `worker-stalled`, `peer-unreachable`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<String>,
    /// Our outer address.
    pub local: String,
    /// The peer's.
    pub remote: String,
    /// `ike` or `manual`.
    pub keying: String,
    /// The peer's identity, once proven.
    pub peer_identity: String,
    /// IKE algorithms in use.
    pub ike_suite: String,
    /// Name of the post-quantum preshared key in the IKE SA's keys; empty if there is none.
    pub ppk: String,
    /// IKE SPIs, initiator's first.
    pub ike_spis: String,
    /// Largest packet to the peer, outer header included, in bytes; 0 while its address is not known.
    pub path_mtu: u16,
    /// Whether a router on the way said so, rather than our own interfaces.
    pub path_mtu_learned: bool,
    /// Seconds since it came up or went down.
    pub since_seconds: u64,
    /// Times it came up.
    pub ups: u64,
    /// Attempts at its IKE SA that failed, of either side.
    #[serde(default)]
    pub failed_attempts: u64,
    /// CHILD SA rekeys completed.
    pub child_rekeys: u64,
    /// IKE SA rekeys completed.
    pub ike_rekeys: u64,
    /// IKE SAs that took the place of others by new proofs of identity.
    #[serde(default)]
    pub reauthentications: u64,
    /// Whether both sides do MOBIKE, so that it survives a move of the caller.
    #[serde(default)]
    pub mobike: bool,
    /// Whether its IKE SA began by resuming the session of an earlier one (RFC 5723).
    #[serde(default)]
    pub resumed: bool,
    /// Times one side of its IKE SA moved, or a NAT between them changed.
    #[serde(default)]
    pub moves: u64,
    /// Where else its peer says that it is (RFC 4555 §3.4).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub peer_addresses: Vec<String>,
    /// What it does to packets, by the keys of `packets` in the configuration: what is other than where nothing is written.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub packets: BTreeMap<String, String>,
    /// Its children.
    pub children: Vec<Child>,
}

/// A configured child.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Child {
    /// As in the configuration.
    pub name: String,
    /// How it is.
    pub state: State,
    /// Our selectors.
    pub local_ts: String,
    /// The peer's.
    pub remote_ts: String,
    /// Stable code of the reason it is not up.
    pub reason_code: String,
    /// The reason in words.
    pub reason: String,
    /// What both sides agreed that it carries, as `OURS === THE PEER'S`; empty while it is not up.
    pub carries: String,
    /// CHILD SA rekeys completed.
    pub rekeys: u64,
    /// Packets decapsulated; does not fall at a rekey.
    pub in_packets: u64,
    /// Inner bytes decapsulated.
    pub in_bytes: u64,
    /// Packets encapsulated.
    pub out_packets: u64,
    /// Inner bytes encapsulated.
    pub out_bytes: u64,
    /// Workers that send what they have on SAs of their own (RFC 9611); the counts are of these too.
    #[serde(default)]
    pub own_workers: Vec<usize>,
}

/// One security association.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Sa {
    /// Its tunnel.
    pub tunnel: String,
    /// Its child.
    pub child: String,
    /// `in` or `out`.
    pub direction: String,
    /// SPI in hex.
    pub spi: String,
    /// Algorithms.
    pub suite: String,
    /// `esp` or `esp-in-udp`.
    pub encapsulation: String,
    /// `tunnel` or `transport`.
    #[serde(default)]
    pub mode: String,
    /// Extended sequence numbers.
    pub extended_sequence_number: bool,
    /// Owner.
    pub worker: usize,
    /// Packets.
    pub packets: u64,
    /// Inner bytes.
    pub bytes: u64,
    /// Seconds since it was installed.
    pub age_seconds: u64,
    /// `active`, `draining` or `waiting`.
    pub state: String,
    /// Whether its worker alone sends on it; else all workers do, by handing their packets over (RFC 9611).
    #[serde(default)]
    pub own: bool,
    /// What was counted of it besides, where that is not zero: packets refused, by name, and packets cut.
    #[serde(default)]
    pub counts: Vec<SaCount>,
}

/// One of the counts of an SA.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SaCount {
    /// What it counts (docs/counters.md).
    pub name: String,
    /// Its value.
    pub value: u64,
}

/// One counter.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Counter {
    /// Its name.
    pub name: String,
    /// Its value, over all workers.
    pub value: u64,
    /// What it counts, in a line.
    pub meaning: String,
}

/// Why a tunnel is as it is: a ladder climbed until the first missing rung.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Explain {
    /// The tunnel.
    pub tunnel: String,
    /// How it is.
    pub state: State,
    /// The one line.
    pub verdict: String,
    /// Stable code of the reason.
    pub code: String,
    /// What to do.
    pub fix: String,
    /// The ladder.
    pub rungs: Vec<Rung>,
    /// What has passed between us and its peer by IKE, over all of its IKE SAs.
    #[serde(default)]
    pub messages: Messages,
    /// How its peer has proven itself, each time an IKE SA came up, and by what it has tried to.
    #[serde(default)]
    pub proofs: Proofs,
    /// The last attempts, newest first, kept when no SA exists.
    pub attempts: Vec<Attempt>,
}

/// One rung of the ladder.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Rung {
    /// What is asked.
    pub question: String,
    /// The answer; `None`: not reached.
    pub holds: Option<bool>,
    /// What was seen.
    pub seen: String,
}

/// One attempt to bring a tunnel up.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// Seconds ago.
    pub seconds_ago: u64,
    /// `initiator` or `responder`.
    pub role: String,
    /// The stage it ended at.
    pub stage: String,
    /// Stable code.
    pub code: String,
    /// What happened.
    pub outcome: String,
    /// Offered against configured, when that was the quarrel.
    pub difference: Vec<String>,
    /// When it ended, or began if it is under way: seconds since 1970.
    #[serde(default)]
    pub time: f64,
    /// Our address and port.
    #[serde(default)]
    pub local: String,
    /// The peer's address and port.
    #[serde(default)]
    pub peer: String,
    /// The child that an IKE SA which was up was to have.
    #[serde(default)]
    pub child: String,
    /// The gateway that was called and did not let the peer in.
    #[serde(default)]
    pub gateway: String,
    /// How far it came, in words.
    #[serde(default)]
    pub reached: String,
    /// What the peer offered, as far as it said.
    #[serde(default)]
    pub offered: String,
    /// What is configured here, and was offered if we began.
    #[serde(default)]
    pub configured: String,
    /// In what they miss each other, a line for each transform, selector or identity.
    #[serde(default)]
    pub misses: Vec<String>,
    /// The peer's error notification, name and number.
    #[serde(default)]
    pub notify: String,
    /// The keys of the configuration to look at, most likely first.
    #[serde(default)]
    pub keys: Vec<String>,
    /// How often it was repeated since, to the same end.
    #[serde(default)]
    pub repeats: u32,
}

/// Something that happened.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Number, rising.
    pub number: u64,
    /// Seconds since 1970, with milliseconds.
    pub time: f64,
    /// The tunnel, empty when it concerns the gateway.
    pub tunnel: String,
    /// `tunnel-up`, `tunnel-down`, `child-rekeyed`, ...
    pub what: String,
    /// In words.
    pub text: String,
    /// The details that stand at the end of the text, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub details: BTreeMap<String, String>,
}

/// One finding of the doctor.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// `ok`, `warning` or `error`.
    pub severity: String,
    /// What was looked at.
    pub subject: String,
    /// What was seen.
    pub seen: String,
    /// What to do.
    pub fix: String,
}

/// A gateway and the callers it did not let in.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Callers {
    /// The gateway.
    pub gateway: String,
    /// Whether it lets peers in.
    pub open: bool,
    /// Why it does not, in words.
    pub reasons: Vec<String>,
    /// Tunnels that its peers have.
    pub count: usize,
    /// The last attempts that failed, eight of an address, newest first.
    pub attempts: Vec<Attempt>,
}

/// What an address tried for which no tunnel was found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Strangers {
    /// The address.
    pub address: String,
    /// The tunnels it is the configured peer of, and those that a gateway's peer has from there now.
    pub tunnels: Vec<String>,
    /// The last attempts, of callers that gateways did not let in too, newest first.
    pub attempts: Vec<Attempt>,
}

/// A peer whose messages are told in the journal and the log.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Watched {
    /// Its address.
    pub address: String,
    /// Seconds until it ends by itself.
    pub remaining_seconds: u64,
}
