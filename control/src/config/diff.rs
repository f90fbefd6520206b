//! The difference of two plans, in the terms of whoever carries it out: which tunnels are new, gone or other,
//! and what cannot change while the gateway runs. What did not change is not mentioned, and must not move.
//!
//! Workers, ports, instances and everything else that is set up at the start stay as they are until a
//! restart; each is named. A tunnel or gateway that stands on such a thing waits with it.

pub mod chains;
mod clients;
mod entries;
mod groups;
mod ip_tunnels;
mod mirrors;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

pub use self::clients::ClientDbs;
pub use self::entries::{Policy, meanwhile};
pub use self::groups::Groups;
pub use self::ip_tunnels::IpTunnels;
pub use self::mirrors::Mirrors;
use super::plan::{CaProfile, Child, Gateway, Ike, InstanceId, Interface, Keying, Plan, Tunnel};

/// What a new plan asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Difference {
    /// Tunnels to be added.
    pub added: Vec<String>,
    /// Tunnels to be closed and removed.
    pub removed: Vec<String>,
    /// Tunnels that are other from their next negotiation on; what is up stays up.
    pub changed: Vec<String>,
    /// Tunnels with another address of ours that do MOBIKE: what is up goes along where the peer lets it.
    pub moved: Vec<String>,
    /// Tunnels that cannot stay up as they are: closed and opened anew.
    pub replaced: Vec<String>,
    /// Interfaces with other addresses.
    pub readdressed: Vec<String>,
    /// Tunnels that stay exactly as they are.
    pub untouched: usize,
    /// What changes with a restart only, by name.
    pub needs_restart: Vec<String>,
    /// What becomes of gateways.
    pub gateways: Gateways,
    /// What becomes of tunnel groups.
    pub groups: Groups,
    /// What becomes of databases of clients.
    pub client_dbs: ClientDbs,
    /// What becomes of policy entries.
    pub policy: Policy,
    /// What becomes of ip-tunnels.
    pub ip_tunnels: IpTunnels,
    /// What becomes of mirrors.
    pub mirrors: Mirrors,
}

impl Difference {
    /// Whether other networks lead into tunnels than did.
    pub fn moves_tunnels(&self) -> bool {
        let Self { added, removed, changed, replaced, gateways, .. } = self;
        let tunnels = [added, removed, changed, replaced, &gateways.removed, &gateways.replaced];
        tunnels.into_iter().any(|names| !names.is_empty())
    }
}

/// Gateways that are not as they were.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gateways {
    /// To be added.
    pub added: Vec<String>,
    /// To be removed, their tunnels closed.
    pub removed: Vec<String>,
    /// Other from the next call on. What is up stays up, and is held to the new ts-list at its next rekey (TS-09);
    /// another template is for new tunnels alone (TG-12).
    pub changed: Vec<String>,
    /// At another address, between other instances or of another group: closed and opened anew.
    pub replaced: Vec<String>,
}

/// Compares what runs with what is asked for. The plan that comes back is what can be had without a restart.
pub fn difference(running: &Plan, asked: &Plan) -> (Difference, Plan) {
    let mut difference = Difference { needs_restart: fixed(running, asked), ..Difference::default() };
    let mut next = Plan {
        tunnels: BTreeMap::new(),
        gateways: BTreeMap::new(),
        groups: BTreeMap::new(),
        client_dbs: asked.client_dbs.clone(),
        cert_profiles: asked.cert_profiles.clone(),
        trust: asked.trust.clone(),
        authorities: authorities(running, asked),
        warnings: asked.warnings.clone(),
        ..running.clone()
    };
    interfaces(running, asked, &mut next, &mut difference);
    groups::settle(running, asked, &mut next, &mut difference);
    entries::settle(running, asked, &mut next, &mut difference);
    ip_tunnels::settle(running, asked, &mut next, &mut difference);
    mirrors::settle(running, asked, &mut next, &mut difference);
    for (name, tunnel) in &asked.tunnels {
        match settled(&next, asked, tunnel) {
            Some(tunnel) => drop(next.tunnels.insert(name.clone(), same_or(running, tunnel))),
            None => {
                difference.needs_restart.push(format!("tunnel.{name}"));
                keep(running, &mut next, name);
            }
        }
    }
    gateways(running, asked, &mut next, &mut difference);
    compare(running, &next, &mut difference);
    difference.groups = groups::compare(running, &next);
    difference.client_dbs = clients::compare(running, &next);
    difference.policy = entries::compare(running, &next);
    difference.ip_tunnels = ip_tunnels::compare(running, &next);
    difference.mirrors = mirrors::compare(running, &next);
    (difference, next)
}

/// Authorities in the numbers of the plan that runs; one whose instance is not there yet is asked from the first.
fn authorities(running: &Plan, asked: &Plan) -> BTreeMap<String, CaProfile> {
    let here = |id: InstanceId| {
        let name = &asked.instances.get(usize::from(id))?.name;
        running.instances.iter().position(|one| one.name == *name)
    };
    let settled = |profile: &CaProfile| CaProfile {
        instance: here(profile.instance).and_then(|id| InstanceId::try_from(id).ok()).unwrap_or(0),
        ..profile.clone()
    };
    asked.authorities.iter().map(|(name, profile)| (name.clone(), settled(profile))).collect()
}

/// Gateways in the numbers of the plan that runs; those that stand on what is not there stay as they are.
fn gateways(running: &Plan, asked: &Plan, next: &mut Plan, difference: &mut Difference) {
    for (name, gateway) in &asked.gateways {
        let ends = (gateway.public, gateway.private, gateway.local);
        let has_group = next.groups.contains_key(&gateway.group);
        let has_all = has_group && clients::have_instances(next, gateway);
        let here = match here(next, asked, ends).filter(|_| has_all) {
            Some((public, private)) => Some(Gateway { public, private, ..gateway.clone() }),
            None => {
                difference.needs_restart.push(format!("gateway.{name}"));
                running
                    .gateways
                    .get(name)
                    .cloned()
                    .inspect(|gateway| keep_what_it_names(running, next, gateway))
            }
        };
        here.into_iter().for_each(|gateway| drop(next.gateways.insert(name.clone(), gateway)));
    }
    let changes = &mut difference.gateways;
    let ends = |gateway: &Gateway| (gateway.public, gateway.private, gateway.local, gateway.group.clone());
    for (name, gateway) in &next.gateways {
        match running.gateways.get(name) {
            None => changes.added.push(name.clone()),
            Some(former) if ends(former) != ends(gateway) => changes.replaced.push(name.clone()),
            Some(former) if former == gateway && same_profiles(running, next, &gateway.ike) => {}
            Some(_) => changes.changed.push(name.clone()),
        }
    }
    let gone = running.gateways.keys().filter(|name| !next.gateways.contains_key(*name));
    changes.removed.extend(gone.cloned());
}

/// Everything but interfaces and tunnels that is set up once, at the start.
fn fixed(running: &Plan, asked: &Plan) -> Vec<String> {
    let ike = |plan: &Plan| {
        let retransmission = (plan.retransmit, plan.retransmit_tries);
        (retransmission, plan.crash_detection, plan.half_open, plan.reassembly_timeout, plan.ike_dscp)
    };
    let pki = |plan: &Plan| (plan.vault.clone(), plan.certificate_warning, plan.crl_warning);
    let control =
        |plan: &Plan| (plan.socket.clone(), plan.socket_group.clone(), plan.state_directory.clone());
    let eal = |plan: &Plan| (plan.eal.clone(), plan.buffers, plan.huge_pages_mb);
    let parts = [
        ("workers", running.workers != asked.workers),
        ("eal", eal(running) != eal(asked)),
        ("control", control(running) != control(asked)),
        ("control.log", running.log != asked.log),
        ("ike", ike(running) != ike(asked)),
        ("pki", pki(running) != pki(asked)),
        ("icmp", running.icmp != asked.icmp),
        ("fetch", running.fetch != asked.fetch),
        ("route", routes(running) != routes(asked)),
    ];
    let parts = parts.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name.to_owned());
    let instances = |plan: &Plan| -> BTreeMap<String, Option<String>> {
        plan.instances.iter().map(|one| (one.name.clone(), one.namespace.clone())).collect()
    };
    let ports = |plan: &Plan| -> BTreeMap<String, (String, Option<String>)> {
        plan.ports.iter().map(|p| (p.name.clone(), (p.device.to_string(), p.namespace.clone()))).collect()
    };
    let instances = others("instance", &instances(running), &instances(asked));
    parts.chain(instances).chain(others("port", &ports(running), &ports(asked))).collect()
}

/// The names of what is not the same in both.
fn others<T: PartialEq>(
    kind: &str,
    running: &BTreeMap<String, T>,
    asked: &BTreeMap<String, T>,
) -> Vec<String> {
    let new = asked.keys().filter(|name| !running.contains_key(*name));
    let differing = running.keys().chain(new).filter(|name| running.get(*name) != asked.get(*name));
    differing.map(|name| format!("{kind}.{name}")).collect()
}

/// Numbers of instances shift when one is added; names do not.
fn instance(plan: &Plan, id: InstanceId) -> &str {
    plan.instances.get(usize::from(id)).map_or("", |instance| instance.name.as_str())
}

fn routes(plan: &Plan) -> Vec<(&str, String)> {
    let route = |route: &super::plan::Route| {
        (instance(plan, route.instance), format!("{} via {}", route.destination, route.via))
    };
    plan.routes.iter().map(route).collect()
}

/// Addresses may change; a port, VLAN, instance or size may not.
fn interfaces(running: &Plan, asked: &Plan, next: &mut Plan, difference: &mut Difference) {
    let place = |plan: &Plan, interface: &Interface| {
        let port = plan.ports.get(interface.port).map(|port| port.name.clone());
        (port, interface.vlan, instance(plan, interface.instance).to_owned(), interface.mtu)
    };
    let find = |plan: &Plan, name: &str| plan.interfaces.iter().position(|one| one.name == name);
    for interface in &asked.interfaces {
        let here = next.interfaces.iter_mut().find(|one| one.name == interface.name);
        match here.filter(|here| place(running, here) == place(asked, interface)) {
            None => difference.needs_restart.push(format!("interface.{}", interface.name)),
            Some(here) if here.addresses != interface.addresses => {
                here.addresses.clone_from(&interface.addresses);
                difference.readdressed.push(interface.name.clone());
            }
            Some(_) => {}
        }
    }
    let gone = running.interfaces.iter().filter(|interface| find(asked, &interface.name).is_none());
    difference.needs_restart.extend(gone.map(|interface| format!("interface.{}", interface.name)));
}

/// A tunnel in the numbers of the plan that runs, if everything it stands on is there.
fn settled(next: &Plan, asked: &Plan, tunnel: &Tunnel) -> Option<Tunnel> {
    let (public, private) = here(next, asked, (tunnel.public, tunnel.private, tunnel.local))?;
    next.groups.get(&tunnel.group)?;
    if let Keying::Ike(ike) = &tunnel.keying
        && !ike.mobike_addresses.iter().all(|further| is_ours(next, public, *further))
    {
        return None;
    }
    Some(Tunnel { public, private, ..tunnel.clone() })
}

/// The numbers of both instances in the plan that runs, if they and the address are there.
fn here(
    next: &Plan,
    asked: &Plan,
    (public, private, local): (InstanceId, InstanceId, IpAddr),
) -> Option<(InstanceId, InstanceId)> {
    let here = |id: InstanceId| {
        let name = instance(asked, id);
        let at = next.instances.iter().position(|instance| instance.name == name)?;
        InstanceId::try_from(at).ok()
    };
    let (public, private) = (here(public)?, here(private)?);
    is_ours(next, public, local).then_some((public, private))
}

/// Whether an interface of an instance has this address.
fn is_ours(plan: &Plan, public: InstanceId, address: IpAddr) -> bool {
    let mut ours = plan.interfaces.iter().filter(|interface| interface.instance == public);
    ours.any(|interface| interface.addresses.iter().any(|net| net.addr() == address))
}

/// The tunnel that runs, if it is the same: then it need not be there twice.
fn same_or(running: &Plan, tunnel: Tunnel) -> Arc<Tunnel> {
    let former = running.tunnels.get(&tunnel.name).filter(|former| ***former == tunnel);
    former.cloned().unwrap_or_else(|| Arc::new(tunnel))
}

/// What runs under a name runs on as it is, with its group, certificate and anchors.
fn keep(running: &Plan, next: &mut Plan, name: &str) {
    let Some(tunnel) = running.tunnels.get(name) else { return };
    next.tunnels.insert(name.to_owned(), tunnel.clone());
    groups::keep(running, next, &tunnel.group);
    if let Keying::Ike(ike) = &tunnel.keying {
        keep_profiles(running, next, ike);
    }
}

fn keep_what_it_names(running: &Plan, next: &mut Plan, gateway: &Gateway) {
    keep_profiles(running, next, &gateway.ike);
    groups::keep(running, next, &gateway.group);
}

fn keep_profiles(running: &Plan, next: &mut Plan, ike: &Ike) {
    let (own, trust) = profiles(ike);
    if let Some((name, profile)) = own.and_then(|name| running.cert_profiles.get_key_value(name)) {
        next.cert_profiles.entry(name.clone()).or_insert_with(|| profile.clone());
    }
    if let Some((name, profile)) = trust.and_then(|name| running.trust.get_key_value(name)) {
        next.trust.entry(name.clone()).or_insert_with(|| profile.clone());
    }
}

/// The names of the certificate and the anchors that are used.
fn profiles(ike: &Ike) -> (Option<&String>, Option<&String>) {
    use super::plan::OwnAuthentication;
    let own = if let OwnAuthentication::Certificate(name) = &ike.own { Some(name) } else { None };
    (own, ike.peer.anchors())
}

fn compare(running: &Plan, next: &Plan, difference: &mut Difference) {
    for (name, tunnel) in &next.tunnels {
        let Some(former) = running.tunnels.get(name) else {
            difference.added.push(name.clone());
            continue;
        };
        let same = match &tunnel.keying {
            Keying::Ike(ike) => same_profiles(running, next, ike),
            Keying::Manual(_) => true,
        };
        if former == tunnel && same {
            difference.untouched += 1;
            continue;
        }
        let others = match (stays_up(former, tunnel), former.local == tunnel.local) {
            (true, true) => &mut difference.changed,
            (true, false) if moves(former) && moves(tunnel) => &mut difference.moved,
            _ => &mut difference.replaced,
        };
        others.push(name.clone());
    }
    let gone = running.tunnels.keys().filter(|name| !next.tunnels.contains_key(*name));
    difference.removed.extend(gone.cloned());
}

fn same_profiles(running: &Plan, next: &Plan, ike: &Ike) -> bool {
    let (own, trust) = profiles(ike);
    own.is_none_or(|name| running.cert_profiles.get(name) == next.cert_profiles.get(name))
        && trust.is_none_or(|name| running.trust.get(name) == next.trust.get(name))
}

fn moves(tunnel: &Tunnel) -> bool {
    matches!(&tunnel.keying, Keying::Ike(ike) if ike.mobike)
}

/// Whether the SAs of a tunnel may stay when it becomes another, but for our own address: same peer, same policy, and
/// keys from IKE, on workers of the same group.
fn stays_up(former: &Tunnel, tunnel: &Tunnel) -> bool {
    let ends = |tunnel: &Tunnel| {
        (tunnel.public, tunnel.private, tunnel.remote, tunnel.mode, tunnel.group.clone(), tunnel.per_worker)
    };
    let policy = |child: &Child| (child.name.clone(), child.local_ts.clone(), child.remote_ts.clone());
    let policies = |tunnel: &Tunnel| tunnel.children.iter().map(policy).collect::<Vec<_>>();
    let by_ike = |tunnel: &Tunnel| matches!(tunnel.keying, Keying::Ike(_));
    by_ike(former) && by_ike(tunnel) && ends(former) == ends(tunnel) && policies(former) == policies(tunnel)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ground::{interfaces, plan, tunnel};
    use std::path::Path;

    const RUNNING: &str = concat!(interfaces!(), tunnel!("a", 1), tunnel!("b", 3));

    fn differ(asked: &str) -> (Difference, Plan) {
        difference(&plan(RUNNING), &plan(asked))
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    /// Nothing changed: nothing is said.
    #[test]
    fn the_same_plan_is_no_difference() {
        let (difference, next) = differ(RUNNING);
        assert_eq!(difference, Difference { untouched: 2, ..Difference::default() });
        assert_eq!(next, plan(RUNNING));
    }

    /// Each kind of change names its tunnel and no other.
    #[test]
    fn each_change_is_what_it_is() {
        let one = Difference { untouched: 1, ..Difference::default() };
        let b = RUNNING.find("[tunnel.b]").unwrap();
        let replace = |from: &str, to: &str| format!("{}{}", &RUNNING[..b], RUNNING[b..].replace(from, to));
        let (removed, _) = differ(&RUNNING[..b]);
        assert_eq!(removed, Difference { removed: names(&["b"]), ..one.clone() });
        let (changed, next) = differ(&replace("correct horse", "battery staple"));
        assert_eq!(changed, Difference { changed: names(&["b"]), ..one.clone() });
        assert!(next.tunnels["b"] != plan(RUNNING).tunnels["b"]);
        let per_worker = ("psk = ", "per-worker = true\npsk = ");
        for (from, to) in [("192.0.2.3", "192.0.2.4"), ("10.3.0.0/24", "10.4.0.0/24"), per_worker] {
            assert_eq!(differ(&replace(from, to)).0, Difference { replaced: names(&["b"]), ..one.clone() });
        }
        // Another address of ours: a tunnel with MOBIKE moves, one without does not.
        let two = |text: &str| text.replace("\"192.0.2.2/24\"]", "\"192.0.2.2/24\", \"192.0.2.7/24\"]");
        for (mobike, moved, replaced) in [("true", names(&["b"]), vec![]), ("false", vec![], names(&["b"]))] {
            let running = two(RUNNING) + &format!("mobike = {mobike}\n");
            let (head, tail) = running.split_at(running.find("[tunnel.b]").unwrap());
            let asked = format!("{head}{}", tail.replace("192.0.2.2\"", "192.0.2.7\""));
            let (difference, next) = difference(&plan(&running), &plan(&asked));
            assert_eq!(difference, Difference { moved, replaced, ..one.clone() });
            assert_eq!(next.tunnels["b"].local.to_string(), "192.0.2.7");
        }
        let added =
            format!("{RUNNING}{}", RUNNING[b..].replace("tunnel.b", "tunnel.c").replace("10.3", "10.5"));
        assert_eq!(
            differ(&added).0,
            Difference { added: names(&["c"]), untouched: 2, ..Difference::default() }
        );
    }

    const GATEWAY: &str = r#"
[gateway.branches]
local = "192.0.2.2"
psk = "correct horse"
ts-list = "branches"
tunnel-template = "branch"
[tunnel-template.branch]
metric = 7
[ts-list.branches]
local = ["10.2.0.0/16"]
remote = ["10.64.0.0/10"]
"#;

    /// A gateway is added, changed by what it refers to, replaced at another address, and removed; tunnels stay.
    #[test]
    fn gateways_change_by_name() {
        let with = |gateway: &str| plan(&format!("{RUNNING}{gateway}"));
        let gateways = |running: &Plan, asked: &Plan| {
            let (difference, next) = difference(running, asked);
            assert_eq!((difference.untouched, &next), (2, asked));
            assert!(difference.needs_restart.is_empty(), "{difference:?}");
            difference.gateways
        };
        let running = with(GATEWAY);
        let branches = names(&["branches"]);
        let added = Gateways { added: branches.clone(), ..Gateways::default() };
        assert_eq!(gateways(&plan(RUNNING), &running), added);
        let removed = Gateways { removed: branches.clone(), ..Gateways::default() };
        assert_eq!(gateways(&running, &plan(RUNNING)), removed);
        assert_eq!(gateways(&running, &running), Gateways::default());
        for (from, to) in
            [("metric = 7", "metric = 8"), ("10.64.0.0/10", "10.64.0.0/11"), ("correct", "wrong")]
        {
            let changed = Gateways { changed: branches.clone(), ..Gateways::default() };
            assert_eq!(gateways(&running, &with(&GATEWAY.replace(from, to))), changed, "{to}");
        }
        let elsewhere = GATEWAY.replace("local = \"192.0.2.2\"", "local = \"10.2.0.1\"");
        let replaced = Gateways { replaced: branches.clone(), ..Gateways::default() };
        assert_eq!(gateways(&running, &with(&elsewhere)), replaced);
        let unborn = GATEWAY.replace("psk =", "private-instance = \"blue\"\npsk =");
        let asked = plan(&format!("instance.blue = {{ namespace = \"blue\" }}\n{RUNNING}{unborn}"));
        let (difference, next) = difference(&running, &asked);
        assert_eq!(difference.needs_restart, ["instance.blue", "gateway.branches"]);
        assert_eq!((next, difference.gateways), (running, Gateways::default()));
    }

    /// A database of clients changes with the gateways that have it, by name; nothing else moves (TS-16). One with a client
    /// in an instance that is not there yet waits for it.
    #[test]
    fn clients_change_by_name() {
        let clients =
            "[client-db.known]\n[[client-db.known.client]]\nname = \"a\"\nremote-ids = [\"a.example\"]\n";
        let named = GATEWAY.replace("[gateway.branches]", "[gateway.branches]\nclient-db = \"known\"");
        let with = |clients: &str| plan(&format!("{RUNNING}{named}{clients}"));
        let running = with(clients);
        let asked = with(&clients.replace("a.example", "b.example"));
        let (difference, next) = difference(&running, &asked);
        assert_eq!((difference.client_dbs.changed.as_slice(), &next), (&names(&["known"])[..], &asked));
        assert_eq!(
            (difference.gateways.changed, difference.gateways.replaced),
            (names(&["branches"]), vec![])
        );
        assert_eq!(difference.untouched, 2);
        let (difference, _) = super::difference(&plan(RUNNING), &running);
        assert_eq!(difference.client_dbs.added, ["known"]);
        let (difference, _) = super::difference(&running, &plan(RUNNING));
        assert_eq!(difference.client_dbs.removed, ["known"]);
        let blue = format!("{clients}private-instance = \"blue\"\n[instance.blue]\nnamespace = \"blue\"\n");
        let (difference, next) = super::difference(&running, &with(&blue));
        assert_eq!(difference.needs_restart, ["instance.blue", "gateway.branches"]);
        assert_eq!(next.gateways, running.gateways);
    }

    /// A tunnel whose key gives way to a certificate, at once or by way of either, is other from its next authentication
    /// on, and stays up until then (TG-27).
    #[test]
    fn a_key_gives_way_to_a_certificate_under_a_tunnel_that_is_up() {
        let read = |path: &Path| {
            let name = if path.extension().is_some_and(|it| it == "key") { "pkcs8" } else { "cert" };
            std::fs::read(format!("{}/../pki/tests/data/p256.{name}.pem", env!("CARGO_MANIFEST_DIR")))
        };
        let plan = |text: &str| super::super::parse("test", text, Path::new("/"), &read).unwrap();
        let profiles = "[cert-profile.own]\ncertificate = \"own.pem\"\nkey = \"own.key\"\n\
                        [trust-anchor-profile.all]\nanchors = [\"root.pem\"]\n";
        let with = |lines: &str| {
            let (head, tail) = RUNNING.split_at(RUNNING.find("[tunnel.b]").unwrap());
            plan(&format!("{head}{}{profiles}", tail.replace("psk = \"correct horse\"", lines)))
        };
        let by_certificate = "remote-id = \"b.example\"\ncertificate = \"own\"\ntrust = \"all\"";
        let by_key = "remote-id = \"b.example\"\npsk = \"correct horse\"";
        let by_either = format!("{by_certificate}\npsk = \"correct horse\"\naccept-psk = true");
        for (from, to) in [(by_key, by_certificate), (by_key, &by_either), (&by_either, by_certificate)] {
            let (difference, _) = difference(&with(from), &with(to));
            let changed = Difference { changed: names(&["b"]), untouched: 1, ..Difference::default() };
            assert_eq!(difference, changed, "{from} {to}");
        }
    }

    /// What is set up at the start is named, and so are the tunnels that need it; others go on.
    #[test]
    fn what_needs_a_restart_is_named() {
        let asked = format!(
            "instance.blue = {{ namespace = \"blue\" }}\nworkers.count = 2\n{}",
            RUNNING.replace("remote = \"192.0.2.1\"", "private-instance = \"blue\"\nremote = \"192.0.2.1\"")
        );
        let (difference, next) = differ(&asked);
        assert_eq!(difference.needs_restart, ["workers", "instance.blue", "tunnel.a"]);
        assert_eq!(difference.untouched, 2);
        assert_eq!(next, plan(RUNNING));
    }

    /// What the engine and the workers take at their start is named (`[ike]`).
    #[test]
    fn ike_as_a_whole_needs_a_restart() {
        for keys in ["dscp = 56", "reassembly-timeout = 1", "half-open = { cookie-threshold = 9 }"] {
            let (difference, next) = differ(&format!("ike.{keys}\n{RUNNING}"));
            assert_eq!((difference.needs_restart, difference.untouched), (names(&["ike"]), 2), "{keys}");
            assert_eq!(next, plan(RUNNING));
        }
    }

    /// A new address may come with the tunnel that uses it; a new size may not.
    #[test]
    fn addresses_change_and_interfaces_do_not() {
        let asked = RUNNING.replace("\"192.0.2.2/24\"]", "\"192.0.2.2/24\", \"192.0.2.7/24\"]");
        let b = asked.find("[tunnel.b]").unwrap();
        let asked = format!("{}{}", &asked[..b], asked[b..].replace("192.0.2.2\"", "192.0.2.7\""));
        let (difference, next) = differ(&asked);
        assert_eq!((difference.readdressed, difference.replaced), (names(&["wan"]), names(&["b"])));
        assert!(difference.needs_restart.is_empty());
        assert_eq!(next, plan(&asked));
        let asked =
            RUNNING.replace("addresses = [\"10.2.0.1/24\"]", "mtu = 1400, addresses = [\"10.2.0.1/24\"]");
        assert_eq!(differ(&asked).0.needs_restart, ["interface.lan"]);
    }
}
