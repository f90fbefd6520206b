//! What operators read: the loop's state as plain replies. Built by the loop when somebody
//! asks, put where readers find it without the loop.

use std::collections::BTreeMap;
use std::sync::Arc;

use ravelin_dataplane::io::Pool;
use ravelin_dataplane::link::counter::Counters;
use ravelin_dataplane::sa::counters::{InboundCounters, OutboundCounters};
use ravelin_dataplane::sa::shard::WorkerId;
use ravelin_dataplane::verdict::Drop;
use ravelin_ike::config::{ChildId, ConnectionId};
use ravelin_ike::event::PpkUse;

use super::core::Core;
use super::ike_counters;
use super::standing::{self, Authority};
use crate::api::Reply;
use crate::api::reply::{Child, Counter, Finding, Port, Sa, SaCount, State, Tunnel, Version, Worker};
use crate::api::request::Page;
use crate::config::plan;
use crate::store::catalog;
use crate::tunnel::pmtu::{Learned, PathKey};
use crate::tunnel::sas::Installed;
use crate::tunnel::{status, words};

/// Everything that can be read.
#[derive(Debug, Clone, Default)]
pub struct View {
    /// Version.
    pub version: Version,
    /// Ports.
    pub ports: Vec<Port>,
    /// Workers.
    pub workers: Vec<Worker>,
    /// Counters.
    pub counters: Vec<Counter>,
    /// Findings of the doctor.
    pub findings: Vec<Finding>,
    /// Certificates in use, by fingerprint, each with a profile that has it.
    pub material: Vec<(String, String)>,
    /// The authorities of ca-profiles.
    pub authorities: Vec<Authority>,
}

/// Tunnels in the first part of a list, so that its first row is there at once, and in each other one: what takes the
/// loop some 5 ms, in which it does nothing else. In more the ring of IKE messages fills in a storm; and each part waits
/// until the loop looks again.
const TUNNELS_A_PAGE: [usize; 2] = [256, 1024];

/// What stands still while the daemon runs.
#[derive(Debug, Clone, Default)]
pub struct Machine {
    /// DPDK's version.
    pub dpdk: String,
    /// The AES-GCM kernel.
    pub gcm_kernel: String,
    /// MAC address of each port.
    pub macs: Vec<String>,
    /// What was found when ports and instances were set up.
    pub findings: Vec<Finding>,
}

/// What a worker had counted when it was looked at last.
#[derive(Debug, Clone, Copy, Default)]
pub struct Looked {
    busy: u64,
    idle: u64,
}

/// The certificates of a plan's profiles.
fn material(plan: &plan::Plan) -> Vec<(String, String)> {
    let ours = plan
        .cert_profiles
        .iter()
        .flat_map(|(name, profile)| profile.sent().map(move |der| (der, format!("cert-profile.{name}"))));
    let theirs = plan.trust.iter().flat_map(|(name, profile)| {
        let all = profile.anchors.iter().chain(&profile.intermediates);
        all.map(move |der| (der, format!("trust-anchor-profile.{name}")))
    });
    ours.chain(theirs).map(|(der, by)| (catalog::fingerprint(der), by)).collect()
}

impl<P: Pool> Core<P> {
    /// Builds a view of this moment and puts it where readers look.
    pub(super) fn renew_view(&mut self) {
        let counters = self.counters();
        let mut findings = self.machine.findings.clone();
        findings.extend(self.service.faults().map(super::doctor::outage));
        let ports = self.port_rows();
        findings.extend(super::doctor::ports(&ports));
        findings.extend(self.spread_findings());
        findings.extend(self.worker_findings());
        findings.extend(self.certificate_findings());
        findings.extend(super::doctor::findings(&counters));
        let (version, workers) = (self.version(), self.worker_rows());
        let (material, authorities) = (material(&self.plan), standing::authorities(&self.plan));
        let view = View { version, ports, workers, counters, findings, material, authorities };
        self.view.store(Arc::new(view));
    }

    /// Tunnels as they are now, from one on.
    pub(super) fn tunnel_rows(&self, page: Page) -> Reply {
        let (listed, next) = self.page(page);
        Reply::Tunnels {
            tunnels: listed.into_iter().map(|(id, tunnel)| self.tunnel(id, tunnel)).collect(),
            next,
        }
    }

    /// The SAs of tunnels, from one on.
    pub(super) fn sa_rows(&self, page: Page) -> Reply {
        let (listed, next) = self.page(page);
        let children = listed.into_iter().flat_map(|(id, _)| self.roster.numbers(id));
        let sas = children.flat_map(|child| self.workers.sas().of(child));
        Reply::Sas { sas: sas.flat_map(|sa| self.sa(sa)).collect(), next }
    }

    fn page(&self, page: Page) -> (Vec<(ConnectionId, &plan::Tunnel)>, Option<u32>) {
        let mut from_here = self.roster.tunnels_from(page.from);
        let [first, others] = TUNNELS_A_PAGE;
        let listed = from_here.by_ref().take(if page.from == 0 { first } else { others }).collect();
        (listed, from_here.next().map(|(id, _)| id.0))
    }

    fn version(&self) -> Version {
        Version {
            version: env!("CARGO_PKG_VERSION").into(),
            schema: crate::api::SCHEMA,
            dpdk: self.machine.dpdk.clone(),
            gcm_kernel: self.machine.gcm_kernel.clone(),
            uptime_seconds: self.started.elapsed().as_secs(),
        }
    }

    fn all_counters(&self) -> impl Iterator<Item = (WorkerId, &Arc<Counters>)> {
        let link = self.workers.link();
        link.workers().filter_map(|worker| Some((worker, link.counters(worker)?)))
    }

    fn port_rows(&self) -> Vec<Port> {
        let row = |(index, port): (usize, &plan::Port)| {
            let mut row = Port {
                name: port.name.clone(),
                device: port.device.to_string(),
                mac: self.machine.macs.get(index).cloned().unwrap_or_default(),
                queues: self.plan.workers.cores.len() as u16,
                ..Port::default()
            };
            let state = self.ports.get(index).cloned().unwrap_or_default();
            row.link_up = !state.down;
            row.rx_missed = state.seen.rx_missed;
            row.rx_no_buffer = state.seen.rx_no_buffer;
            row.rx_errors = state.seen.rx_errors;
            row.tx_errors = state.seen.tx_errors;
            for (_, counters) in self.all_counters() {
                let Some(port) = counters.port(index as u16) else { continue };
                row.rx_packets += port.rx_packets.get();
                row.rx_bytes += port.rx_bytes.get();
                row.rx_truncated += port.rx_truncated.get();
                row.rx_unlinear += port.rx_unlinear.get();
                row.tx_packets += port.tx_packets.get();
                row.tx_bytes += port.tx_bytes.get();
            }
            row
        };
        self.plan.ports.iter().enumerate().map(row).collect()
    }

    fn worker_rows(&mut self) -> Vec<Worker> {
        let link = self.workers.link();
        let mut rows = Vec::new();
        for worker in link.workers() {
            let Some(counters) = link.counters(worker) else { continue };
            let looked = Looked { busy: counters.busy_cycles.get(), idle: counters.idle_cycles.get() };
            let before = self.last_look.insert(worker, looked).unwrap_or_default();
            let busy = looked.busy.saturating_sub(before.busy) as f64;
            let all = busy + looked.idle.saturating_sub(before.idle) as f64;
            rows.push(Worker {
                id: worker.index(),
                core: self.plan.workers.cores.get(worker.index()).copied().unwrap_or_default(),
                alive: self.pulse.silence(worker, self.now().0).is_none(),
                busy_percent: if all > 0.0 { 100.0 * busy / all } else { 0.0 },
                inbound_sas: self.workers.sas().iter().filter(|sa| sa.home.worker == worker).count(),
                received: counters.received.get(),
                forwarded: counters.transmitted.get(),
                handed: counters.handed_out.get(),
                punted: counters.punted.get(),
                dropped: counters.dropped.get(),
            });
        }
        rows
    }

    fn counters(&self) -> Vec<Counter> {
        let mut named: BTreeMap<&'static str, u64> = BTreeMap::new();
        for (_, counters) in self.all_counters() {
            for (name, value) in counters.named() {
                *named.entry(name).or_default() += value;
            }
        }
        let work = named.into_iter().map(|(name, value)| Counter {
            name: name.replace('_', "-"),
            value,
            meaning: String::new(),
        });
        let drops = Drop::ALL.iter().map(|reason| Counter {
            name: format!("drop-{}", reason.name()),
            value: self.all_counters().map(|(_, counters)| counters.drops(*reason)).sum(),
            meaning: reason.manual().to_owned(),
        });
        let ike = self.engine.counters();
        let ike = ike_counters::rows(&ike).chain(self.notified());
        work.chain(drops).chain(ike).chain(self.revocation_counters()).collect()
    }

    pub(super) fn tunnel(&self, id: ConnectionId, tunnel: &plan::Tunnel) -> Tunnel {
        let nothing = status::Tunnel::default();
        let status = self.status.tunnel(id).unwrap_or(&nothing);
        let ike = status.ike();
        let manual = matches!(tunnel.keying, plan::Keying::Manual(_));
        let halt = self.halted(tunnel).or_else(|| self.standstill(id));
        let carries = |number: &ChildId| match (manual, &halt) {
            (true, halt) => halt.is_none(),
            // After a move the engine has one that no worker has.
            (false, _) => status.children.contains_key(number) && !self.workers.is_free(number.0),
        };
        // Of a peer's tunnel those that it has asked for.
        let is_shown = |number: &ChildId| tunnel.origin.is_none() || status.children.contains_key(number);
        let shown = || self.roster.children(id).filter(|(number, _)| is_shown(number));
        let row = |(number, child)| {
            let row = self.child(number, child, status, carries(&number), halt.is_some());
            self.with_own(row, id, number)
        };
        let mut children = Vec::with_capacity(shown().count());
        children.extend(shown().map(row));
        let up = children.iter().filter(|child| child.state == State::Up).count();
        let state = match &halt {
            Some(why) if !why.is_passing() => State::Down,
            Some(_) if up == 0 => State::Connecting,
            Some(_) => State::Degraded,
            None if manual => State::Up,
            None => status.state(children.len().max(1)),
        };
        let reason = status.why().filter(|_| state != State::Up);
        let reason = reason.map(|failure| (failure.code().to_owned(), failure.to_string()));
        let (reason_code, reason) =
            halt.map(|why| (why.code.to_owned(), why.text)).or(reason).unwrap_or_default();
        let (path_mtu, learned) = self.path_of(id, tunnel);
        let flags = self.tunnel_flags(id, tunnel, state).into_iter();
        Tunnel {
            name: tunnel.name.clone(),
            state,
            flags: flags.map(|(flag, _)| flag.to_owned()).collect(),
            reason_code,
            reason,
            path_mtu,
            path_mtu_learned: learned.is_some(),
            local: words::text(ike.map_or(tunnel.local, |ike| ike.local.ip())),
            remote: ike
                .map(|ike| words::text(ike.remote))
                .or(tunnel.remote.map(words::text))
                .unwrap_or_else(|| "any".into()),
            keying: if manual { "manual" } else { "ike" }.into(),
            peer_identity: ike.map(|ike| ike.peer_identity.clone()).unwrap_or_default(),
            ike_suite: ike.map(|ike| ike.words.suite.to_string()).unwrap_or_default(),
            ppk: ike.map(|ike| ppk(&ike.ppk)).unwrap_or_default(),
            ike_spis: ike.map(|ike| ike.words.spis.to_string()).unwrap_or_default(),
            since_seconds: self.now().0.saturating_sub(status.since.0) / 1_000_000,
            ups: status.ups,
            failed_attempts: status.failed_attempts,
            child_rekeys: status.child_rekeys.values().sum(),
            ike_rekeys: status.ike_rekeys,
            reauthentications: status.reauthentications,
            mobike: ike.is_some_and(|ike| ike.mobike),
            resumed: ike.is_some_and(|ike| ike.resumed),
            moves: ike.map_or(0, |ike| ike.moves),
            peer_addresses: ike
                .map(|ike| ike.peer_addresses.iter().map(words::text).collect())
                .unwrap_or_default(),
            packets: tunnel.packets.told().into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
            children,
        }
    }

    /// The largest packet to a tunnel's peer, 0 while its address is not known, and what was learned of it.
    pub(super) fn path_of(&self, id: ConnectionId, tunnel: &plan::Tunnel) -> (u16, Option<Learned>) {
        let of_sa =
            || self.roster.children(id).find_map(|(number, _)| self.workers.sas().of(number.0).next());
        let configured = || {
            let peer = tunnel.remote?;
            Some(PathKey { instance: tunnel.public, local: tunnel.local, peer })
        };
        let path = of_sa().map(Installed::path).or_else(configured);
        let (mtu, learned) = path.map_or((None, None), |path| self.workers.path_mtu(&path));
        (mtu.unwrap_or_default(), learned.copied())
    }

    /// `up` says whether it carries; what else is known of it is in `status`, and counts unless the whole tunnel is
    /// `halted`.
    fn child(
        &self,
        id: ChildId,
        child: &plan::Child,
        status: &status::Tunnel,
        up: bool,
        halted: bool,
    ) -> Child {
        let (in_packets, in_bytes) = self.workers.received(id.0);
        let (out_packets, out_bytes) = self.workers.sent(id.0);
        let state = match status.child_state(id) {
            _ if up => State::Up,
            State::Connecting if !halted => State::Connecting,
            _ => State::Down,
        };
        let reason = status.why_child(id).filter(|_| !up && !halted);
        let carried = status.children.get(&id).filter(|_| up);
        Child {
            name: child.name.clone(),
            state,
            local_ts: words::configured(&child.local_ts),
            remote_ts: words::configured(&child.remote_ts),
            reason_code: reason.map(|failure| failure.code().to_owned()).unwrap_or_default(),
            reason: reason.map(ToString::to_string).unwrap_or_default(),
            carries: carried.map(|child| child.carries.to_string()).unwrap_or_default(),
            rekeys: status.child_rekeys.get(&id).copied().unwrap_or_default(),
            in_packets,
            in_bytes,
            out_packets,
            out_bytes,
            own_workers: Vec::new(),
        }
    }

    /// A child with what single workers' SAs beside its own have carried, and whose these are.
    fn with_own(&self, row: Child, id: ConnectionId, child: ChildId) -> Child {
        let counted = |row: Child, own: u32| {
            let ((in_packets, in_bytes), (out_packets, out_bytes)) =
                (self.workers.received(own), self.workers.sent(own));
            Child {
                in_packets: row.in_packets + in_packets,
                in_bytes: row.in_bytes + in_bytes,
                out_packets: row.out_packets + out_packets,
                out_bytes: row.out_bytes + out_bytes,
                ..row
            }
        };
        let row = self.roster.beside(id, child).fold(row, counted);
        Child { own_workers: self.workers.own_workers(&self.roster, (id, child)), ..row }
    }

    fn sa(&self, installed: &Installed) -> Vec<Sa> {
        let Some((_, tunnel, child)) = self.roster.child(installed.child) else { return Vec::new() };
        let (home, link) = (installed.home, self.workers.link());
        let inbound = link.inbound(installed.place);
        let outbound = link.outbound(home.worker, home.slot);
        let dummies = ("dummies", link.sent_dummies(home.worker, home.slot));
        let counts = |named: &[(&str, u64)]| {
            let those = named.iter().filter(|(_, value)| *value > 0);
            those.map(|(name, value)| SaCount { name: (*name).to_owned(), value: *value }).collect()
        };
        let row = |direction: &str, spi: u32, (packets, bytes), counts| Sa {
            tunnel: tunnel.name.clone(),
            child: child.name.clone(),
            direction: direction.into(),
            spi: format!("{spi:08x}"),
            suite: installed.suite.name().into(),
            encapsulation: if installed.udp { "esp-in-udp" } else { "esp" }.into(),
            mode: installed.encapsulation.mode.name().into(),
            extended_sequence_number: installed.esn,
            worker: home.worker.index(),
            packets,
            bytes,
            age_seconds: self.now().0.saturating_sub(installed.installed_at) / 1_000_000,
            state: if installed.draining { "draining" } else { "active" }.into(),
            own: self.roster.fallback(installed.child).is_some(),
            counts,
        };
        let received = inbound.map_or((0, 0), |counters| (counters.packets.get(), counters.octets.get()));
        let sent = self.workers.sent(installed.child);
        vec![
            row(
                "in",
                installed.spi_in.0,
                received,
                counts(&inbound.map(InboundCounters::named).unwrap_or_default()),
            ),
            row(
                "out",
                installed.spi_out.0,
                sent,
                counts(
                    &[&outbound.map(OutboundCounters::named).unwrap_or_default()[..], &[dummies]].concat(),
                ),
            ),
        ]
    }

    /// Findings about ports that use other queues than they should.
    fn spread_findings(&self) -> impl Iterator<Item = Finding> {
        let ports = self.plan.ports.iter().zip(&self.ports);
        ports.filter_map(|(port, state)| Some(super::doctor::spread(&port.name, state.spread.refused()?)))
    }

    /// Findings about workers.
    fn worker_findings(&self) -> impl Iterator<Item = Finding> {
        let cores = self.plan.workers.cores.iter().enumerate();
        cores.filter_map(|(index, core)| {
            let worker = WorkerId(index as u8);
            let silent = self.pulse.silence(worker, self.now().0)?;
            Some(Finding {
                severity: "error".into(),
                subject: format!("worker {index} stands still"),
                seen: super::pulse::told(worker, *core, silent),
                fix: "look whether something else occupies that CPU, and what the thread waits for (/proc/PID/task/TID/stack); its tunnels are with the other workers, as far as `show tunnels` does not say otherwise".into(),
            })
        })
    }
}

/// The name of the PPK that is in the keys.
fn ppk(ppk: &PpkUse) -> String {
    if let PpkUse::Mixed(id) = ppk { id.to_string() } else { String::new() }
}
