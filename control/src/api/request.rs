//! Everything an operator may ask of a running gateway.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

mod pki;
mod probe;
mod tap;

pub use self::pki::{PkiCsr, PkiExport, PkiGenerate, PkiImport, PkiName, PkiRemove};
pub use self::probe::MtuProbe;
pub use self::tap::{TapBegin, TapEnd, TapRead};

/// One request: the JSON-RPC method and its parameters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "method", content = "params")]
pub enum Request {
    /// Version and uptime.
    #[serde(rename = "show.version")]
    ShowVersion,
    /// Ports and their counters.
    #[serde(rename = "show.ports")]
    ShowPorts,
    /// Workers and their load.
    #[serde(rename = "show.workers")]
    ShowWorkers,
    /// Configured tunnels and their state.
    #[serde(rename = "show.tunnels")]
    ShowTunnels(Option<Page>),
    /// Security associations.
    #[serde(rename = "show.sa")]
    ShowSa(Option<Page>),
    /// Counters by name, drops by reason among them.
    #[serde(rename = "show.counters")]
    ShowCounters,
    /// Why a tunnel is as it is.
    #[serde(rename = "explain")]
    Explain(TunnelName),
    /// Bring a tunnel up, or one child of it.
    #[serde(rename = "initiate")]
    Initiate(Part),
    /// Take a tunnel down, or one child of it.
    #[serde(rename = "terminate")]
    Terminate(Part),
    /// New keys.
    #[serde(rename = "rekey")]
    Rekey(Rekey),
    /// Send callers of a tunnel to another gateway.
    #[serde(rename = "redirect")]
    Redirect(Redirect),
    /// What happened since an event number; waits up to `wait_ms` when nothing did.
    #[serde(rename = "events")]
    Events(Events),
    /// What is wrong with the machine around us.
    #[serde(rename = "doctor")]
    Doctor,
    /// Read the configuration again and carry out what is other.
    #[serde(rename = "config.apply")]
    ConfigApply(ConfigApply),
    /// What would become of a packet.
    #[serde(rename = "lookup")]
    Lookup(Lookup),
    /// Have every message of a peer told for a while, or say of whom they are.
    #[serde(rename = "debug")]
    Debug(Debug),
    /// Who is locked out, or counted.
    #[serde(rename = "show.lockout")]
    ShowLockout,
    /// Hear callers again that are locked out.
    #[serde(rename = "clear.lockout")]
    ClearLockout(ClearLockout),
    /// Gateways and their tunnels.
    #[serde(rename = "show.gateways")]
    ShowGateways(GatewayName),
    /// Tunnel groups and their workers.
    #[serde(rename = "show.tunnel-groups")]
    ShowTunnelGroups(GroupName),
    /// Ip-tunnels.
    #[serde(rename = "show.ip-tunnels")]
    ShowIpTunnels(IpTunnelName),
    /// Mirrors.
    #[serde(rename = "show.mirrors")]
    ShowMirrors,
    /// Databases of clients.
    #[serde(rename = "show.client-db")]
    ShowClientDb(ClientDbName),
    /// Which client of one would take a peer.
    #[serde(rename = "match.client")]
    MatchClient(MatchClient),
    /// Routes into tunnels, and static ones.
    #[serde(rename = "show.routes")]
    ShowRoutes,
    /// The ordered policies of instances.
    #[serde(rename = "show.policy")]
    ShowPolicy,
    /// Our own certificates, and how many peers were shown each.
    #[serde(rename = "show.certificates")]
    ShowCertificates,
    /// What the store of certificates and keys has.
    #[serde(rename = "pki.list")]
    PkiList,
    /// The same with all that is known of it.
    #[serde(rename = "pki.show")]
    PkiShow(PkiName),
    /// Keep an object.
    #[serde(rename = "pki.import")]
    PkiImport(PkiImport),
    /// Give an object out.
    #[serde(rename = "pki.export")]
    PkiExport(PkiExport),
    /// Make a key.
    #[serde(rename = "pki.genkey")]
    PkiGenerate(PkiGenerate),
    /// Make a certification request.
    #[serde(rename = "pki.csr")]
    PkiCsr(PkiCsr),
    /// Read certificates, keys and anchors again; nothing else of the configuration.
    #[serde(rename = "pki.reload")]
    PkiReload,
    /// Destroy a key and the certificates issued on it, or all keys.
    #[serde(rename = "pki.zeroize")]
    PkiZeroize(PkiName),
    /// Remove a certificate or CRL.
    #[serde(rename = "pki.remove")]
    PkiRemove(PkiRemove),
    /// What is known of revocation.
    #[serde(rename = "show.revocation")]
    ShowRevocation,
    /// Fetch the CRL of an authority now, or of all that have addresses.
    #[serde(rename = "pki.crl-update")]
    PkiCrlUpdate(PkiName),
    /// Forget what OCSP responders have said.
    #[serde(rename = "pki.clear-ocsp-cache")]
    PkiClearOcspCache,
    /// Show single packets.
    #[serde(rename = "tap.begin")]
    TapBegin(TapBegin),
    /// What was seen since the last time; waits for something.
    #[serde(rename = "tap.read")]
    TapRead(TapRead),
    /// Show no more.
    #[serde(rename = "tap.end")]
    TapEnd(TapEnd),
    /// Find out how large packets of a tunnel may be.
    #[serde(rename = "mtu.probe")]
    MtuProbe(MtuProbe),
    /// Has a worker do nothing for a while: only where tests ask for it.
    #[cfg(feature = "stall")]
    #[serde(rename = "test.stand-still")]
    StandStill(StandStill),
}

/// A part of a list that is long where there are thousands of tunnels: nothing else is done while it is made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Page {
    /// Where to go on: what the part before named as `next`, or 0.
    pub from: u32,
}

/// Which worker stands still, and for how long.
#[cfg(feature = "stall")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StandStill {
    /// Its number.
    pub worker: u8,
    /// How long.
    pub milliseconds: u64,
}

/// Whose messages are told, and how long.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Debug {
    /// The peer's address; without one, only those that are on are listed.
    pub address: Option<IpAddr>,
    /// 1 to 3600; 0 ends it.
    pub seconds: u64,
}

/// Which lockouts: all that fit what is said.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClearLockout {
    /// The caller's address.
    pub address: Option<IpAddr>,
    /// Its port; 0: the lockout of all its ports.
    pub port: Option<u16>,
    /// Our address.
    pub gateway: Option<IpAddr>,
}

/// A packet in clear, where it is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lookup {
    /// Who sends it.
    pub source: IpAddr,
    /// Where it goes.
    pub destination: IpAddr,
    /// IP protocol, by name or number.
    pub protocol: String,
    /// Source port, or ICMP type.
    #[serde(default)]
    pub source_port: Option<u16>,
    /// Destination port, or ICMP code.
    #[serde(default)]
    pub destination_port: Option<u16>,
    /// Where it is in clear; `default` if not said.
    #[serde(default)]
    pub instance: Option<String>,
}

/// How to apply a configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConfigApply {
    /// Only say what would be done.
    pub dry_run: bool,
}

/// Names a tunnel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TunnelName {
    /// As in the configuration.
    pub tunnel: String,
}

/// A tunnel, or one of its children.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// As in the configuration.
    pub tunnel: String,
    /// The child, if not all of them are meant.
    #[serde(default)]
    pub child: Option<String>,
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.child {
            Some(child) => write!(f, "{}, child {child}", self.tunnel),
            None => f.write_str(&self.tunnel),
        }
    }
}

/// What to rekey.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rekey {
    /// As in the configuration.
    pub tunnel: String,
    /// The child, if not all of them are meant.
    #[serde(default)]
    pub child: Option<String>,
    /// The IKE SA rather than its children.
    #[serde(default)]
    pub ike: bool,
    /// By a new IKE SA with new proofs of identity, which takes the place of the one that is up.
    #[serde(default)]
    pub reauthenticate: bool,
}

/// Whom to send where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Redirect {
    /// A tunnel, or a gateway: then all its tunnels.
    pub tunnel: String,
    /// The other gateway: an address, or a name for the callers to resolve.
    pub to: String,
}

/// Which events.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Events {
    /// Only those with a higher number.
    pub after: u64,
    /// How long to wait for one, in milliseconds; at most 30,000.
    pub wait_ms: u64,
}

/// Names a gateway, or none for all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GatewayName {
    /// As in the configuration.
    pub gateway: Option<String>,
}

/// Names a tunnel group, or none for all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GroupName {
    /// As in the configuration.
    pub group: Option<String>,
}

/// Names an ip-tunnel, or none for all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct IpTunnelName {
    /// As in the configuration.
    pub ip_tunnel: Option<String>,
}

/// Names a database of clients, or none for all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClientDbName {
    /// As in the configuration.
    pub client_db: Option<String>,
    /// A part of its clients; all of them if not said.
    pub page: Option<Page>,
}

/// A peer that might call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MatchClient {
    /// The database, as in the configuration.
    pub client_db: String,
    /// Where it calls from.
    pub address: IpAddr,
    /// Who it says it is, as identities are configured; its address if not said.
    #[serde(default)]
    pub identity: Option<String>,
}
