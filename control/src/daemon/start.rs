//! From a plan to a running gateway, in the order in which each part can stand: ports and
//! workers, the instances with their twins and cages, the threads for slow work, the loop,
//! the socket. A failure on the way undoes what was begun and says whose it is. Stopping is
//! the same way back: Deletes to the peers, workers, twins and cages.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant as Clock};

use arc_swap::ArcSwap;
use crossbeam::sync::Parker;
use ravelin_dataplane::graph::Settings;
use ravelin_dataplane::io::dpdk::lcore::Running;
use ravelin_dataplane::io::dpdk::{Buffers, MbufFrame, QueuePair};
use ravelin_dataplane::link::{self, Link, Shape};
use ravelin_dataplane::policy::publish::{self, Reader};
use ravelin_dataplane::policy::table::Tables;
use ravelin_dataplane::worker::{Idle, Worker};
use ravelin_gcm::Kernel;
use ravelin_ike::crypto::TicketKeys;
use ravelin_ike::time::Instant;
use zeroize::Zeroizing;

use super::core::{Core, Input};
use super::desk::Desk;
use super::helpers::Helpers;
use super::ip_tunnels;
use super::layout::{self, Secrets};
use super::ports::{self, Ports, PortsError};
use super::reload::{Reload, Reread};
use super::revocation;
use super::service::Service;
use super::view::{Machine, View};
use crate::api::reply::Finding;
use crate::api::server::{self, Access};
use crate::config::plan::{self, Device, Plan};
use crate::exception::{Exception, Workers as ExceptionLink};
use crate::group::Groups;
use crate::instance::{
    Handle, Instance, InstanceError, InstanceSpec, InterfaceSpec, Namespace, PrivateSpec, Request,
    TunnelRoute,
};
use crate::observe::journal::{Journal, unix_time};
use crate::post::{self, Post};
use crate::state::State;
use crate::tunnel::connection::Unusable;
use crate::tunnel::reverse;
use crate::tunnel::roster::Roster;
use crate::tunnel::status::Status;
use crate::workers::{InstallError, Workers};

/// Inputs that may wait for the loop.
const INPUTS: usize = 8192;
/// MTU of `rv-` devices: what fits an ESP tunnel in UDP over IPv6 with 1500 octets.
const PRIVATE_MTU: u16 = 1400;
/// Threads for key agreement, signature checks and paths.
const POOL: usize = 2;

/// Why the gateway did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// DPDK.
    #[error(transparent)]
    Ports(#[from] PortsError),
    /// Memory for SAs.
    #[error("SA tables: {0}")]
    Slab(#[from] ravelin_mem::arena::SlabError),
    /// A worker's thread.
    #[error("a worker could not be launched: {0}")]
    Launch(String),
    /// Twins, cage, namespace.
    #[error(transparent)]
    Instance(#[from] InstanceError),
    /// A tunnel.
    #[error(transparent)]
    Tunnel(#[from] Unusable),
    /// A manual SA.
    #[error(transparent)]
    Install(#[from] InstallError),
    /// A port whose namespace belongs to no instance.
    #[error(
        "port {port}: no instance lives in its namespace, so nobody would keep its kernel device in the cage; add [instance.NAME] with namespace = {namespace:?}"
    )]
    Uncaged {
        /// The port.
        port: String,
        /// Its namespace.
        namespace: String,
    },
    /// A tunnel the tables do not hold.
    #[error(transparent)]
    Tables(#[from] crate::workers::NotHeld),
    /// A private key, or what fetches.
    #[error("{0}")]
    Keys(String),
    /// A thread, the socket, randomness.
    #[error("{what}: {error}")]
    Machine {
        /// What was tried.
        what: String,
        /// The machine's word.
        error: std::io::Error,
    },
}

/// Runs the gateway until a signal ends it. `reread` reads its configuration again.
///
/// # Errors
/// Why it did not start.
pub fn run(plan: Plan, reread: Reread) -> Result<(), StartError> {
    keep_secrets();
    let shape =
        Shape::for_tunnels(plan.workers.cores.len() as u8, plan.ports.len(), plan.workers.tunnel_limit);
    let roster = Roster::new(&plan);
    let ports = ports::start(&plan, &shape)?;
    let Link { control, exception, workers: ends } = link::build::<MbufFrame>(&shape)?;
    let (tables, readers) = publish::channel(layout::tables(&plan), ends.len());
    let (slots, generation) = (shape.inbound_slots as u32, random::<1>()?[0]);
    let groups = Groups::new(&plan.groups);
    let mut workers = Workers::new(control, tables, ports.buffers, slots, generation, &roster, groups);
    workers.set_ike_dscp(plan.ike_dscp);
    workers.open_tunnels(&roster)?;
    workers.install_manual(&roster, Instant(0))?;
    let stop = Arc::new(AtomicBool::new(false));
    let mut machine = machine(&ports);
    let (_state, secrets) = secrets(&plan, &mut machine)?;
    let Ports { lcores, buffers, ports: control_ports, pairs, .. } = ports;
    let macs: Vec<[u8; 6]> = control_ports.iter().map(|port| port.mac()).collect();
    layout::routes(&mut workers, &plan, &roster, &macs);
    let launched = launch(&plan, ends, readers, buffers, pairs, lcores, &stop)?;
    let exception = Exception::start(ExceptionLink::new(exception, buffers))?;
    let instances = instances(&plan, &roster, &macs)?;

    let parker = Parker::new();
    let (inputs, receiver) = post::bounded(INPUTS, parker.unparker());
    let (asked, to_answer) = post::bounded(INPUTS, parker.unparker());
    let journal = Arc::new(Journal::default());
    let view = Arc::new(ArcSwap::from_pointee(View::default()));
    let fetched = plan.state_directory.join("fetched");
    let revocation = revocation::start(&plan, Some(fetched), &inputs).map_err(StartError::Keys)?;
    let helpers = Helpers::start(&plan, &roster, POOL, &inputs, revocation).map_err(StartError::Keys)?;
    let mut core = Core {
        started: Clock::now(),
        engine: layout::engine(&plan, &roster, secrets)?,
        workers,
        instances,
        exception,
        helpers,
        status: Status::default(),
        service: Service::new(&plan),
        ports: vec![super::devices::State::default(); plan.ports.len()],
        devices: Box::new(ports::Handles(control_ports)),
        journal: Arc::clone(&journal),
        view: Arc::clone(&view),
        machine,
        inputs: receiver,
        asked: to_answer,
        parker,
        retries: super::retries::Retries::default(),
        looked: 0,
        pulse: super::pulse::Pulse::default(),
        moving: super::stall::Moving::default(),
        own_sas: super::own::OwnSas::default(),
        last_look: std::collections::HashMap::new(),
        gateways: super::gateways::Gateways::default(),
        next_hops: Vec::new(),
        watermarks: super::watermarks::Watermarks::default(),
        believed: super::revocation::Believed::default(),
        certificates: super::expiry::Watch::new(&plan),
        taps: Arc::default(),
        roster,
        plan,
    };
    let reload = Reload::new(reread, core.helpers.loader());
    let desk = Arc::new(Desk {
        asked,
        view,
        journal,
        reload,
        vault: core.plan.vault.clone(),
        making: std::sync::Mutex::new(()),
        revocation: core.helpers.revocation().clone(),
        taps: Arc::clone(&core.taps),
        probing: std::sync::Mutex::new(()),
    });
    listen(&core.plan, Arc::clone(&desk))?;
    signals(inputs, desk)?;
    tracing::info!(
        tunnels = core.plan.tunnels.len(),
        workers = core.plan.workers.cores.len(),
        "ravelind is up"
    );
    core.run();
    end(core, &stop, launched);
    Ok(())
}

/// No core dump and no debugger may show a key.
fn keep_secrets() {
    use nix::sys::resource::{Resource, setrlimit};
    if let Err(error) = setrlimit(Resource::RLIMIT_CORE, 0, 0) {
        tracing::warn!("core dumps could not be turned off: {error}");
    }
    if let Err(error) = nix::sys::prctl::set_dumpable(false) {
        tracing::warn!("the process could not be made undumpable: {error}");
    }
}

fn random<const N: usize>() -> Result<[u8; N], StartError> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| StartError::Machine {
        what: "randomness".into(),
        error: std::io::Error::other("the generator gave none"),
    })?;
    Ok(bytes)
}

fn launch(
    plan: &Plan,
    ends: Vec<link::WorkerEnd<MbufFrame>>,
    readers: Vec<Reader<Tables>>,
    buffers: Buffers,
    pairs: Vec<Vec<QueuePair>>,
    lcores: Vec<ravelin_dataplane::io::dpdk::Lcore>,
    stop: &Arc<AtomicBool>,
) -> Result<Vec<Running<()>>, StartError> {
    let (messages, interval) = plan.icmp;
    let icmp = ravelin_dataplane::sa::pace::Rate::new(messages as u16, interval.as_micros() as u32);
    let seed = u64::from_le_bytes(random()?);
    let settings = Settings { icmp, ..Settings::new(seed) };
    let idle = match plan.workers.idle {
        plan::Idle::Poll => Idle::Poll,
        plan::Idle::Adaptive => Idle::Adaptive,
    };
    let mut launched = Vec::new();
    for (((end, reader), pairs), lcore) in ends.into_iter().zip(readers).zip(pairs).zip(lcores) {
        let mut worker = Worker::new(end, reader, buffers, pairs, Kernel::detect(), &settings);
        let stop = Arc::clone(stop);
        let running = lcore.launch(move || worker.run(&stop, idle));
        launched.push(running.map_err(|error| StartError::Launch(error.to_string()))?);
    }
    Ok(launched)
}

/// The secrets by which peers are told of a crash and by which tickets are sealed, and the directory they are kept in, ours
/// as long as we run. Without it peers are told nothing, no ticket outlives us, and everything else goes on.
fn secrets(plan: &Plan, machine: &mut Machine) -> Result<(Option<State>, Secrets), StartError> {
    let (time, seed) = (Duration::from_secs_f64(unix_time()), random()?);
    let fresh = || random().map(Zeroizing::new);
    let unkept = || fresh().map(|key| TicketKeys::new(TicketKeys::period_before(time), key, time));
    let (crash, resumption) = (plan.crash_detection, resumes(plan));
    if !crash && !resumption {
        return Ok((None, Secrets { seed, crash: None, tickets: Some(unkept()?) }));
    }
    let (secret, key) = (fresh()?, fresh()?);
    let kept = State::open(&plan.state_directory).and_then(|state| {
        let crash = crash.then(|| state.crash_secret(secret)).transpose()?;
        let tickets = Some(state.ticket_keys(key, time)?);
        Ok((Some(state), Secrets { seed, crash, tickets }))
    });
    kept.or_else(|error| {
        tracing::warn!("no secrets are kept: {error}");
        machine.findings.push(Finding {
            severity: "warning".into(),
            subject: "peers will not be told of a crash (RFC 6290), and no session is resumed after one (RFC 5723)"
                .into(),
            seen: error.to_string(),
            fix: "mend it and restart, or say crash-detection = false in [ike] and resumption = false in every ike-policy"
                .into(),
        });
        Ok((None, Secrets { seed, crash: None, tickets: Some(unkept()?) }))
    })
}

/// Whether sessions are resumed anywhere.
fn resumes(plan: &Plan) -> bool {
    let tunnels = plan.tunnels.values().filter_map(|tunnel| match &tunnel.keying {
        plan::Keying::Ike(ike) => Some(ike.as_ref()),
        plan::Keying::Manual(_) => None,
    });
    let gateways = plan.gateways.values().map(|gateway| &gateway.ike);
    tunnels.chain(gateways).any(|ike| ike.policy.resumption)
}

fn machine(ports: &Ports) -> Machine {
    let mac = |mac: [u8; 6]| mac.map(|byte| format!("{byte:02x}")).join(":");
    let findings = ports.ports.iter().flat_map(|port| {
        port.fallbacks().iter().map(|fallback| Finding {
            severity: "warning".into(),
            subject: format!("port {}", port.name()),
            seen: fallback.name().to_owned(),
            fix: fallback.consequence().to_owned(),
        })
    });
    Machine {
        dpdk: ports.eal.version(),
        gcm_kernel: Kernel::detect().name().to_owned(),
        macs: ports.ports.iter().map(|port| mac(port.mac())).collect(),
        findings: findings.collect(),
    }
}

/// Starts every instance: its twins, its `rv-` device, its cage, the kernel's routes into the tunnels.
fn instances(plan: &Plan, roster: &Roster, macs: &[[u8; 6]]) -> Result<Vec<Handle>, StartError> {
    let mut handles: Vec<Handle> = Vec::new();
    for (id, instance) in plan.instances.iter().enumerate() {
        let handle = Instance::start(spec(plan, id as u16, instance, macs)?)?;
        let ours = roster.tunnels().filter(|(_, tunnel)| tunnel.private == id as u16);
        for destination in ours.flat_map(|(_, tunnel)| reverse::of_tunnel(tunnel)) {
            let route = TunnelRoute { destination, metric: 0, source: None };
            handle.request(0, Request::AddRoute(route))?;
        }
        for destination in ip_tunnels::kernel_routes(plan, id as u16) {
            let route = TunnelRoute { destination, metric: 0, source: None };
            handle.request(0, Request::AddRoute(route))?;
        }
        handles.push(handle);
    }
    Ok(handles)
}

fn spec(
    plan: &Plan,
    id: u16,
    instance: &plan::Instance,
    macs: &[[u8; 6]],
) -> Result<InstanceSpec, StartError> {
    let ours = plan.interfaces.iter().filter(|interface| interface.instance == id);
    let interfaces = ours.map(|interface| InterfaceSpec {
        port: interface.port as u16,
        vlan: interface.vlan.unwrap_or(0),
        name: interface.name.clone(),
        mac: macs.get(interface.port).copied().unwrap_or_default(),
        mtu: interface.mtu,
        addresses: interface.addresses.clone(),
    });
    let private = plan.tunnels.values().any(|tunnel| tunnel.private == id)
        || plan.gateways.values().any(|gateway| gateway.private == id)
        || plan.ip_tunnels.values().any(|tunnel| tunnel.private == id);
    let addresses = ip_tunnels::addresses(plan, id);
    Ok(InstanceSpec {
        id,
        name: instance.name.clone(),
        namespace: instance.namespace.clone().map_or(Namespace::Own, Namespace::Named),
        interfaces: interfaces.collect(),
        private: private.then_some(PrivateSpec { mtu: PRIVATE_MTU, addresses }),
        caged: caged(plan, id, instance)?,
        receive_buffer: InstanceSpec::RECEIVE_BUFFER,
    })
}

/// The kernel devices under packet sockets that this instance must cage: the first instance in their namespace.
fn caged(plan: &Plan, id: u16, instance: &plan::Instance) -> Result<Vec<String>, StartError> {
    let mut caged = Vec::new();
    for port in &plan.ports {
        let Device::AfPacket(device) = &port.device else { continue };
        let Some(keeper) = plan.cage_keeper(port) else {
            let namespace = port.namespace.clone().unwrap_or_default();
            return Err(StartError::Uncaged { port: port.name.clone(), namespace });
        };
        if keeper == usize::from(id) && instance.namespace == port.namespace {
            caged.push(device.clone());
        }
    }
    Ok(caged)
}

fn listen(plan: &Plan, desk: Arc<Desk>) -> Result<(), StartError> {
    let path: PathBuf = plan.socket.clone();
    let failed = |error| StartError::Machine { what: format!("control socket {}", path.display()), error };
    let access = Access::group(plan.socket_group.as_deref()).map_err(failed)?;
    server::serve(&path, access, desk).map_err(failed)
}

/// SIGTERM and SIGINT end the daemon in order; SIGHUP has it read its configuration again.
fn signals(inputs: Post<Input>, desk: Arc<Desk>) -> Result<(), StartError> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let failed = |error| StartError::Machine { what: "signal handlers".into(), error };
    let mut signals = signal_hook::iterator::Signals::new([SIGTERM, SIGINT, SIGHUP]).map_err(failed)?;
    let wait = move || {
        for signal in signals.forever() {
            if signal == SIGHUP {
                reload(&desk);
                continue;
            }
            // The loop has gone already when nobody listens.
            let _ = inputs.send_timeout(Input::Stop, Duration::from_secs(1));
        }
    };
    std::thread::Builder::new().name("signals".into()).spawn(wait).map_err(failed)?;
    Ok(())
}

/// On a thread of its own: the next signal may be to stop.
fn reload(desk: &Arc<Desk>) {
    let desk = Arc::clone(desk);
    let apply = move || {
        if let Err(error) = desk.apply(false) {
            desk.journal.note("", "config-refused", error.to_string());
        }
    };
    if let Err(error) = std::thread::Builder::new().name("reload".into()).spawn(apply) {
        tracing::error!("a thread to read the configuration could not be started: {error}");
    }
}

fn end(core: Core<Buffers>, stop: &AtomicBool, launched: Vec<Running<()>>) {
    let Core { instances, exception, plan, devices, .. } = core;
    stop.store(true, Ordering::Relaxed);
    for running in launched {
        if running.join().1.is_err() {
            tracing::error!("a worker had panicked");
        }
    }
    if !exception.stop() {
        tracing::error!("the exception thread had panicked");
    }
    for instance in instances {
        for failure in instance.stop().err().unwrap_or_default() {
            tracing::warn!("{failure}");
        }
    }
    drop(devices);
    // It was made by us; a successor may have taken it already.
    let _ = std::fs::remove_file(&plan.socket);
    tracing::info!("ravelind has ended");
}
