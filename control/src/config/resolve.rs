//! From the file's shape to the [`Plan`]: follows every reference, applies every default,
//! and collects every refusal rather than the first. Tunnels are in `tunnel`, their groups in `group`, gateways in `gateway`,
//! our certificates in `cert_profile`, others in `material`, post-quantum preshared keys in `ppk`.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ravelin_dataplane::link::TunnelLimit;
use toml::Spanned;

use super::plan::{self, Plan};
use super::raw::{self, SecretText, Text};
use super::value::{self, Expected};
use super::{
    ReadFile, Refusal, believed, cert_profile, client_db, entry, error, fetch, gateway, group, ip_tunnel,
    lint, material, mirror, packets, policy, ppk, revocation, route, transport, ts_list, tunnel,
};

/// Where the text came from.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    /// The file's name as the operator gave it.
    pub file: &'a str,
    /// Its text, to turn offsets into lines.
    pub text: &'a str,
    /// Directory that relative names start from.
    pub base: &'a Path,
    /// Reads a file.
    pub read: ReadFile<'a>,
}

/// Collects refusals; every judge gets one.
pub struct Judge<'a> {
    /// Where the text came from.
    pub source: Source<'a>,
    /// Whether the file lets in what is only for peers of yesterday.
    pub allow_legacy: bool,
    /// Where its lines end.
    ends: Vec<usize>,
    refusals: Vec<Refusal>,
    warnings: Vec<Refusal>,
    /// What was told for all.
    once: HashSet<String>,
}

impl<'a> Judge<'a> {
    fn new(source: Source<'a>, allow_legacy: bool) -> Self {
        let ends = source.text.match_indices('\n').map(|(end, _)| end).collect();
        let (refusals, warnings, once) = (Vec::new(), Vec::new(), HashSet::new());
        Self { source, allow_legacy, ends, refusals, warnings, once }
    }

    /// Notes a refusal at byte `offset`.
    pub fn refuse(&mut self, offset: usize, object: &str, found: String, expected: impl Into<String>) {
        let refusal = self.told(offset, object, found, expected.into());
        self.refusals.push(refusal);
    }

    /// Notes what is accepted all the same.
    pub fn warn(&mut self, offset: usize, object: &str, found: String, expected: impl Into<String>) {
        let warning = self.told(offset, object, found, expected.into());
        self.warnings.push(warning);
    }

    /// The same, once for all objects of which it is true: of many tunnels that share what is wrong the first is named.
    pub fn warn_once(&mut self, offset: usize, object: &str, found: String, expected: String) {
        if self.once.insert(found.clone()) {
            self.warn(offset, object, found, expected);
        }
    }

    fn told(&self, offset: usize, object: &str, found: String, expected: String) -> Refusal {
        // Found among the ends of lines: there may be a hundred thousand tunnels to tell of.
        let line = self.ends.partition_point(|end| *end < offset) + 1;
        let file = self.source.file.to_owned();
        Refusal { file, line, object: object.to_owned(), found, expected }
    }

    /// Reads one value, or notes why it cannot be.
    pub fn value<T>(
        &mut self,
        object: &str,
        key: &str,
        text: &Text,
        read: impl Fn(&str) -> Result<T, Expected>,
    ) -> Option<T> {
        match read(text.get_ref()) {
            Ok(value) => Some(value),
            Err(expected) => {
                let found = format!("{key} = {:?} is not valid", text.get_ref());
                self.refuse(text.span().start, object, found, expected);
                None
            }
        }
    }

    /// As [`Judge::value`], for a value that must not be repeated in a message.
    pub fn secret<T>(
        &mut self,
        object: &str,
        key: &str,
        text: &SecretText,
        read: impl Fn(&str) -> Result<T, Expected>,
    ) -> Option<T> {
        let read = read(text.get_ref().text());
        let refused =
            |expected| self.refuse(text.span().start, object, format!("{key} is not valid"), expected);
        read.map_err(refused).ok()
    }

    /// A number within a range, or the default when it is absent.
    pub fn number(
        &mut self,
        object: &str,
        key: &str,
        value: Option<&Spanned<u64>>,
        range: std::ops::RangeInclusive<u64>,
        default: u64,
    ) -> u64 {
        let Some(value) = value else { return default };
        if range.contains(value.get_ref()) {
            return *value.get_ref();
        }
        let expected = format!("{} to {}", range.start(), range.end());
        self.refuse(
            value.span().start,
            object,
            format!("{key} = {} is out of range", value.get_ref()),
            expected,
        );
        default
    }

    /// Follows a reference by name.
    pub fn follow<'m, T>(
        &mut self,
        object: &str,
        key: &str,
        name: &Text,
        known: &'m BTreeMap<String, T>,
    ) -> Option<&'m T> {
        let found = known.get(name.get_ref());
        if found.is_none() {
            let expected = error::one_of(name.get_ref(), known.keys().map(String::as_str));
            let found = format!("{key} {:?} does not exist", name.get_ref());
            self.refuse(name.span().start, object, found, expected);
        }
        found
    }
}

/// Judges a whole file.
pub fn resolve(raw: &raw::File, source: Source<'_>) -> Result<Plan, Vec<Refusal>> {
    let mut judge = Judge::new(source, raw.allow_legacy);
    let instances = instances(raw);
    let mut ports = ports(&mut judge, raw);
    let interfaces = interfaces(&mut judge, raw, &instances, &mut ports);
    let vault = material::vault(&judge, &raw.pki);
    let maps = believed::certificate_maps(&mut judge, raw);
    let authorities = revocation::ca_profiles(&mut judge, raw, vault.store(), &instances);
    let shut = revocation::shut(&authorities);
    let trust = material::trust_anchor_profiles(&mut judge, raw, vault.store(), (&maps, &shut));
    let (certificate_warning, crl_warning) = material::expiration_warnings(&mut judge, &raw.pki);
    let cert_profiles = cert_profile::cert_profiles(&mut judge, raw, &vault, (&authorities, &trust));
    let fetch = fetch::fetch(&mut judge, raw, vault.store());
    let ppk_lists = ppk::lists(&mut judge, raw);
    let tries = judge.number("ike", "retransmit-tries", raw.ike.retransmit_tries.as_ref(), 1..=12, 7);
    let retransmit = judge.number("ike", "retransmit-ms", raw.ike.retransmit_ms.as_ref(), 50..=10_000, 500);
    let reassembly = judge.number("ike", "reassembly-timeout", raw.ike.reassembly_timeout.as_ref(), 1..=5, 5);
    let ground = tunnel::Ground {
        instances: &instances,
        interfaces: &interfaces,
        ppk_lists,
        cert_profiles: &cert_profiles,
        common_names: believed::common_name_lists(&mut judge, raw),
    };
    let mut settled = tunnel::Settled::default();
    let tunnels = tunnel::tunnels(&mut judge, raw, &ground, &mut settled);
    let lists = ts_list::lists(&mut judge, raw);
    let client_dbs = client_db::client_dbs(&mut judge, raw, &ground, &mut settled, &lists);
    let gateways = gateway::gateways(&mut judge, raw, &ground, &mut settled, &lists, &client_dbs);
    let workers = workers(&mut judge, &raw.workers);
    let policy = transport::with_entries(entry::entries(&mut judge, raw, &instances, &tunnels), &tunnels);
    let ip_tunnels = ip_tunnel::ip_tunnels(&mut judge, raw, (&instances, &interfaces), &tunnels);
    let mirrors = mirror::mirrors(&mut judge, raw, &tunnels, &ip_tunnels);
    let huge_pages = raw.eal.huge_pages_mb.as_ref();
    let huge_pages =
        huge_pages.map(|_| judge.number("eal", "huge-pages-mb", huge_pages, 128..=65536, 1024) as u32);
    let mut plan = Plan {
        retransmit: Duration::from_millis(retransmit),
        retransmit_tries: tries as u32,
        crash_detection: raw.ike.crash_detection.unwrap_or(true),
        half_open: policy::half_open(&mut judge, &raw.ike.half_open),
        reassembly_timeout: Duration::from_secs(reassembly),
        ike_dscp: judge.number("ike", "dscp", raw.ike.dscp.as_ref(), 0..=63, 48) as u8,
        groups: group::groups(&mut judge, raw, workers.cores.len()),
        workers,
        eal: raw.eal.arguments.clone(),
        buffers: raw.eal.buffers,
        huge_pages_mb: huge_pages,
        socket: raw.control.socket.as_deref().unwrap_or("/run/ravelin/control.sock").into(),
        socket_group: raw.control.group.as_ref().map(|group| group.get_ref().clone()),
        log: log(&mut judge, raw.control.log.as_ref()),
        state_directory: raw.control.state_directory.as_deref().unwrap_or("/var/lib/ravelin").into(),
        icmp: icmp(&mut judge, &raw.icmp),
        routes: route::routes(&mut judge, raw, &instances),
        policy,
        tunnels,
        ip_tunnels,
        mirrors,
        instances,
        ports,
        interfaces,
        cert_profiles,
        trust,
        authorities,
        fetch,
        certificate_warning,
        crl_warning,
        vault,
        warnings: Vec::new(),
        gateways,
        client_dbs,
    };
    room(&mut judge, raw, &plan);
    lint::whole(&mut judge, raw, &plan);
    route::lint(&mut judge, raw, &plan);
    if judge.refusals.is_empty() {
        plan.warnings = in_order(judge.warnings);
        return Ok(plan);
    }
    Err(in_order(judge.refusals))
}

/// In the order of the file; what several tunnels share is told once.
fn in_order(mut told: Vec<Refusal>) -> Vec<Refusal> {
    told.sort_by_key(|refusal| refusal.line);
    told.dedup();
    told
}

/// `default` comes first, as number 0, whether it is written or not.
fn instances(raw: &raw::File) -> Vec<plan::Instance> {
    let default = raw.instance.get("default").and_then(|instance| instance.namespace.clone());
    let first = plan::Instance { name: "default".into(), namespace: default };
    let others = raw
        .instance
        .iter()
        .filter(|(name, _)| *name != "default")
        .map(|(name, instance)| plan::Instance { name: name.clone(), namespace: instance.namespace.clone() });
    std::iter::once(first).chain(others).collect()
}

/// The number of a named instance; 0 when none is named.
pub fn instance_id(
    judge: &mut Judge<'_>,
    object: &str,
    key: &str,
    name: Option<&Text>,
    instances: &[plan::Instance],
) -> plan::InstanceId {
    let Some(name) = name else { return 0 };
    let known: BTreeMap<String, usize> =
        instances.iter().enumerate().map(|(id, instance)| (instance.name.clone(), id)).collect();
    judge.follow(object, key, name, &known).map_or(0, |id| u16::try_from(*id).unwrap_or(0))
}

fn workers(judge: &mut Judge<'_>, raw: &raw::Workers) -> plan::Workers {
    let count = judge.number("workers", "count", raw.count.as_ref(), 1..=62, 1) as usize;
    let cores = match &raw.cores {
        None => (0..count).collect(),
        Some(cores) if raw.count.is_none() || cores.get_ref().len() == count => cores.get_ref().clone(),
        Some(cores) => {
            let found = format!("cores names {} CPUs", cores.get_ref().len());
            judge.refuse(cores.span().start, "workers", found, format!("count = {count} of them"));
            Vec::new()
        }
    };
    let tunnel_limit = tunnel_limit(judge, raw.tunnel_limit.as_ref());
    plan::Workers { cores, idle: idle(judge, raw.idle.as_ref()), tunnel_limit }
}

/// No more tunnels than the workers take together, and those of a group its active ones (TG-07): what is beyond would
/// be up and carry nothing.
fn room(judge: &mut Judge<'_>, raw: &raw::File, plan: &Plan) {
    let line = raw.workers.tunnel_limit.as_ref().map_or(0, |text| text.span().start);
    let all = plan.tunnels.values();
    room_on(judge, (line, "workers", "count"), plan.workers.cores.len(), plan, all);
    for (name, spanned) in &raw.tunnel_group {
        let Some(group) = plan.groups.get(name) else { continue };
        let place = (spanned.span().start, &*format!("tunnel-group.{name}"), "its active workers");
        let tunnels = plan.tunnels.values().filter(|tunnel| tunnel.group == *name);
        room_on(judge, place, group.first_active().len(), plan, tunnels);
    }
}

fn room_on<'p>(
    judge: &mut Judge<'_>,
    (line, object, raise): (usize, &str, &str),
    workers: usize,
    plan: &Plan,
    tunnels: impl Iterator<Item = &'p Arc<plan::Tunnel>>,
) {
    let tunnel_limit = plan.workers.tunnel_limit;
    let limit = workers * tunnel_limit.tunnels() as usize;
    // A sixteenth less than there is, since children spread evenly and not exactly.
    let most = workers * (tunnel_limit.children() - tunnel_limit.children() / 16);
    let (tunnels, children) =
        tunnels.fold((0, 0), |(tunnels, children), tunnel| (tunnels + 1, children + tunnel.children.len()));
    if tunnels <= limit && children <= most {
        return;
    }
    let found = format!("{tunnels} tunnels with {children} children");
    let expected = format!(
        "at most {limit} with {most} on {workers} workers of tunnel-limit {:?}: raise tunnel-limit or {raise}",
        tunnel_limit.name()
    );
    judge.refuse(line, object, found, expected);
}

/// DP-28, DP-29: the same for all senders of a worker.
fn icmp(judge: &mut Judge<'_>, raw: &raw::Icmp) -> (u32, Duration) {
    let messages = judge.number("icmp", "messages", raw.messages.as_ref(), packets::MESSAGES, 100) as u32;
    let interval = judge.number("icmp", "interval", raw.interval.as_ref(), packets::INTERVAL, 10);
    (messages, Duration::from_secs(interval))
}

fn tunnel_limit(judge: &mut Judge<'_>, text: Option<&Text>) -> TunnelLimit {
    let read = |text: &str| {
        let limit = TunnelLimit::ALL.into_iter().find(|limit| limit.name() == text);
        limit.ok_or("8, 32, 2k, 32k or 64k")
    };
    text.and_then(|text| judge.value("workers", "tunnel-limit", text, read)).unwrap_or(TunnelLimit::T32k)
}

fn idle(judge: &mut Judge<'_>, text: Option<&Text>) -> plan::Idle {
    let read = |text: &str| match text {
        "poll" => Ok(plan::Idle::Poll),
        "adaptive" => Ok(plan::Idle::Adaptive),
        _ => Err("poll or adaptive"),
    };
    text.and_then(|text| judge.value("workers", "idle", text, read)).unwrap_or(plan::Idle::Adaptive)
}

fn log(judge: &mut Judge<'_>, text: Option<&Text>) -> String {
    let read = |text: &str| match text {
        "error" | "warn" | "info" | "debug" | "trace" => Ok(text.to_owned()),
        _ => Err("error, warn, info, debug or trace"),
    };
    text.and_then(|text| judge.value("control", "log", text, read)).unwrap_or_else(|| "info".to_owned())
}

fn ports(judge: &mut Judge<'_>, raw: &raw::File) -> Vec<plan::Port> {
    let mut ports = Vec::new();
    for (name, port) in &raw.port {
        let device = judge.value(&format!("port.{name}"), "device", &port.device, value::device);
        let device = device.unwrap_or(plan::Device::Vdev(String::new()));
        ports.push(plan::Port { name: name.clone(), device, namespace: port.namespace.clone() });
    }
    ports
}

fn interfaces(
    judge: &mut Judge<'_>,
    raw: &raw::File,
    instances: &[plan::Instance],
    ports: &mut Vec<plan::Port>,
) -> Vec<plan::Interface> {
    let mut interfaces: Vec<plan::Interface> = Vec::new();
    for (name, spanned) in &raw.interface {
        let object = format!("interface.{name}");
        let interface = spanned.get_ref();
        if !(1..=15).contains(&name.len()) {
            judge.refuse(
                spanned.span().start,
                &object,
                format!("name {name:?} is too long"),
                "1 to 15 characters",
            );
        }
        let Some(port) = interface_port(judge, &object, name, spanned, ports) else { continue };
        let vlan = interface.vlan.as_ref().map(|vlan| *vlan.get_ref());
        if interfaces.iter().any(|other| other.port == port && other.vlan == vlan) {
            let found = "another interface has this port and vlan".to_owned();
            judge.refuse(spanned.span().start, &object, found, "one interface a port and vlan");
        }
        interfaces.push(plan::Interface {
            name: name.clone(),
            port,
            vlan,
            instance: instance_id(judge, &object, "instance", interface.instance.as_ref(), instances),
            addresses: addresses(judge, &object, interface),
            mtu: mtu(judge, &object, interface),
        });
    }
    interfaces
}

fn addresses(judge: &mut Judge<'_>, object: &str, interface: &raw::Interface) -> Vec<ipnet::IpNet> {
    let read = |text| judge.value(object, "addresses", text, value::interface_address);
    interface.addresses.iter().filter_map(read).collect()
}

/// Below 1280 no IPv6 (RFC 8200 §5); above 9000 no frame of ours.
fn mtu(judge: &mut Judge<'_>, object: &str, interface: &raw::Interface) -> u16 {
    let Some(mtu) = &interface.mtu else { return 1500 };
    if (1280..=9000).contains(mtu.get_ref()) {
        return *mtu.get_ref();
    }
    judge.refuse(
        mtu.span().start,
        object,
        format!("mtu = {} is out of range", mtu.get_ref()),
        "1280 to 9000",
    );
    1500
}

/// The port an interface names, or a new one of its own when it names a device.
fn interface_port(
    judge: &mut Judge<'_>,
    object: &str,
    name: &str,
    spanned: &Spanned<raw::Interface>,
    ports: &mut Vec<plan::Port>,
) -> Option<usize> {
    let interface = spanned.get_ref();
    match (&interface.port, &interface.device) {
        (Some(port), None) => {
            let known = ports.iter().enumerate().map(|(index, port)| (port.name.clone(), index)).collect();
            judge.follow(object, "port", port, &known).copied()
        }
        (None, Some(device)) => {
            let device = judge.value(object, "device", device, value::device)?;
            ports.push(plan::Port { name: name.to_owned(), device, namespace: None });
            Some(ports.len() - 1)
        }
        _ => {
            let found = "names neither or both of port and device".to_owned();
            judge.refuse(spanned.span().start, object, found, "port = \"NAME\" or device = \"...\"");
            None
        }
    }
}
