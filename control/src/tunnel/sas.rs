//! The workers' side of the children: which worker and outbound slot each child has, which
//! SAs are installed, and the commands that put them there. An inbound SA counts as
//! installed when its worker has applied the command, and only then may IKE say so.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use ravelin_dataplane::policy::selector::{AddressRange, Ports, Selector, SelectorSet};
use ravelin_dataplane::sa::inbound::{self, MayMove};
use ravelin_dataplane::sa::lifetime::{Limits, UNLIMITED};
use ravelin_dataplane::sa::outbound::{self, Encapsulation};
use ravelin_dataplane::sa::replay::Window;
use ravelin_dataplane::sa::shard::WorkerId;
use ravelin_dataplane::sa::spi::{Place, Spi};
use ravelin_dataplane::sa::suite::Suite;
use ravelin_dataplane::sa::{Endpoint, SaRef};
use ravelin_ike::config::Selector as IkeSelector;
use ravelin_ike::id::ChildSaId;
use ravelin_ike::want::{InstallChild, Path};

use super::pmtu::PathKey;
use super::roster::ChildNumber;
use super::wrapping::{Sizes, Wrapping};
use crate::config::plan;

/// One installed pair of SAs.
#[derive(Debug, Clone)]
pub struct Installed {
    /// The engine's name for it.
    pub sa: ChildSaId,
    /// Its child.
    pub child: ChildNumber,
    /// Where its child lived when it was installed: its worker, and the slot of the outbound half.
    pub home: Home,
    /// Where the inbound half lies.
    pub place: Place,
    /// What the peer sends with.
    pub spi_in: Spi,
    /// What we send with.
    pub spi_out: Spi,
    /// Algorithms.
    pub suite: Suite,
    /// Extended sequence numbers.
    pub esn: bool,
    /// In UDP.
    pub udp: bool,
    /// Microseconds of the loop's clock.
    pub installed_at: u64,
    /// Replaced by a rekey; it only receives, and not for long.
    pub draining: bool,
    /// How its packets are wrapped.
    pub encapsulation: Encapsulation,
    /// By which settings.
    pub wrapping: Wrapping,
}

/// The installed SAs, by their several names.
#[derive(Debug, Default)]
pub struct Installeds {
    /// In boxes: a map has up to twice as many places as it needs.
    by_id: HashMap<ChildSaId, Box<Installed>>,
    by_spi_in: HashMap<Spi, ChildSaId>,
    by_child: HashMap<ChildNumber, Vec<ChildSaId>>,
    by_path: HashMap<PathKey, Vec<ChildSaId>>,
}

impl Installed {
    /// The path its packets take.
    pub fn path(&self) -> PathKey {
        let Encapsulation { instance, local, peer, .. } = self.encapsulation;
        PathKey { instance, local: local.address, peer: peer.address }
    }
}

impl Installeds {
    /// Adds one.
    pub fn add(&mut self, installed: Installed) {
        self.by_spi_in.insert(installed.spi_in, installed.sa);
        self.by_child.entry(installed.child).or_default().push(installed.sa);
        self.by_path.entry(installed.path()).or_default().push(installed.sa);
        self.by_id.insert(installed.sa, Box::new(installed));
    }

    /// Takes one out.
    pub fn remove(&mut self, sa: ChildSaId) -> Option<Installed> {
        let installed = *self.by_id.remove(&sa)?;
        self.by_spi_in.remove(&installed.spi_in);
        if let Some(of_child) = self.by_child.get_mut(&installed.child) {
            of_child.retain(|other| *other != sa);
        }
        self.leave_path(&installed);
        Some(installed)
    }

    fn leave_path(&mut self, installed: &Installed) {
        let path = installed.path();
        let Some(on_path) = self.by_path.get_mut(&path) else { return };
        on_path.retain(|other| *other != installed.sa);
        if on_path.is_empty() {
            self.by_path.remove(&path);
        }
    }

    /// Changes how an SA's packets are wrapped; it comes back as it is now.
    pub fn rewrap(&mut self, sa: ChildSaId, encapsulation: Encapsulation) -> Option<Installed> {
        let former = self.get(sa)?.clone();
        let installed = Installed { encapsulation, ..former.clone() };
        if installed.path() != former.path() {
            self.leave_path(&former);
            self.by_path.entry(installed.path()).or_default().push(sa);
        }
        self.by_id.insert(sa, Box::new(installed.clone()));
        Some(installed)
    }

    /// Those whose packets take one path.
    pub fn on(&self, path: &PathKey) -> impl Iterator<Item = &Installed> {
        self.by_path.get(path).into_iter().flatten().filter_map(|sa| self.get(*sa))
    }

    /// One by the engine's name.
    pub fn get(&self, sa: ChildSaId) -> Option<&Installed> {
        self.by_id.get(&sa).map(Box::as_ref)
    }

    /// The same, to be changed.
    pub fn get_mut(&mut self, sa: ChildSaId) -> Option<&mut Installed> {
        self.by_id.get_mut(&sa).map(Box::as_mut)
    }

    /// One by its inbound SPI.
    pub fn by_spi_in(&self, spi: Spi) -> Option<ChildSaId> {
        self.by_spi_in.get(&spi).copied()
    }

    /// The one of `child` that sends with `spi`.
    pub fn by_spi_out(&self, child: ChildNumber, spi: Spi) -> Option<ChildSaId> {
        self.of(child).find(|installed| installed.spi_out == spi).map(|installed| installed.sa)
    }

    /// All of them, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Installed> {
        self.by_id.values().map(Box::as_ref)
    }

    /// Those of one child.
    pub fn of(&self, child: ChildNumber) -> impl Iterator<Item = &Installed> {
        self.by_child.get(&child).into_iter().flatten().filter_map(|sa| self.get(*sa))
    }
}

/// Where a child's packets are sealed: the same over every rekey, so that policy does not change at one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Home {
    /// Owner of all SAs of the child.
    pub worker: WorkerId,
    /// Its outbound slot there.
    pub slot: u32,
}

impl Home {
    /// As policy names it.
    pub fn sa_ref(self) -> SaRef {
        SaRef { worker: self.worker, slot: self.slot }
    }
}

/// Everything but the keys of a negotiated pair, for the worker.
pub fn parts(
    install: &InstallChild,
    child: &plan::Child,
    private: u16,
    home: Home,
    suite: Suite,
    (wrapping, sizes): (&Wrapping, Sizes),
) -> Option<(inbound::Parts, outbound::Parts)> {
    use ravelin_ike::want::OutboundStart;
    let (esn, transform) = (install.suite.extended_sequence, &child.transform);
    let (local, peer) = endpoints(&install.path);
    let limits = limits(transform, draw((install.spi_in, install.spi_out)));
    let encapsulation = encapsulation(&install.path, wrapping, sizes);
    let inbound = inbound::Parts {
        spi: Spi(install.spi_in),
        suite,
        mode: wrapping.mode(),
        window: Window::new(transform.replay_window, esn).ok()?,
        outer_instance: install.path.instance,
        inner_instance: private,
        local,
        peer,
        // What a moved peer sends is taken at once; nothing is sent there before it was checked (RFC 4555 §3.5).
        may_move: match (install.path.mobike, install.path.remote_behind_nat) {
            (true, _) => MayMove::Both,
            (false, true) => MayMove::Peer,
            (false, false) => MayMove::Nobody,
        },
        copy_traffic_class: wrapping.copies_traffic_class(),
        tcp_mss: wrapping.leaving_mss(&encapsulation),
        selectors: Box::new(selectors(&install.local, &install.remote)?),
        limits,
        child: install.config.0,
        activates: (install.start == OutboundStart::OnFirstInbound).then_some(home.slot),
    };
    let outbound = outbound::Parts {
        spi: Spi(install.spi_out),
        suite,
        esn,
        last_sequence: 0,
        encapsulation,
        limits,
        child: install.config.0,
    };
    Some((inbound, outbound))
}

/// Both ends of a path; port 0 is ESP over IP.
pub fn endpoints(path: &Path) -> (Endpoint, Endpoint) {
    let end = |address: SocketAddr| Endpoint {
        address: address.ip(),
        port: if path.udp_encapsulation { address.port() } else { 0 },
    };
    (end(path.local), end(path.remote))
}

/// A path without its ports.
pub fn path_key(path: &Path) -> PathKey {
    PathKey { instance: path.instance, local: path.local.ip(), peer: path.remote.ip() }
}

/// How packets of a path are wrapped.
pub fn encapsulation(path: &Path, wrapping: &Wrapping, sizes: Sizes) -> Encapsulation {
    wrapping.encapsulation(path.instance, endpoints(path), sizes)
}

/// A number from 0 to 255 that differs from SA to SA and, the SPIs being in another order there, from end to end: it
/// spreads rekeys, and who guesses it gains nothing. Murmur's finalizer.
fn draw((spi_in, spi_out): (u32, u32)) -> u8 {
    let mut mixed = u64::from(spi_in) << 32 | u64::from(spi_out);
    for factor in [0xff51_afd7_ed55_8ccd, 0xc4ce_b9fe_1a85_ec53] {
        mixed = (mixed ^ mixed >> 33).wrapping_mul(factor);
    }
    (mixed >> 56) as u8
}

/// Limits of bytes and packets: soft ones at the share of the hard ones that is configured, less as much of the jitter
/// as is drawn (RFC 4301 §4.4.2.1).
fn limits(transform: &plan::IpsecTransform, drawn: u8) -> Limits {
    let plan::IpsecTransform { lifetime_packets: packets, lifetime_bytes: octets, soft, .. } = *transform;
    // In shares of 1 in 100 * 100 * 255: none of it may be rounded away.
    let jitter = u128::from(soft.jitter_percent) * u128::from(drawn);
    let share = u128::from(soft.percent) * (100 * 255 - jitter);
    let of = |hard: u64| u64::try_from(u128::from(hard) * share / (100 * 100 * 255)).unwrap_or(hard);
    let soft = |hard: Option<u64>| hard.map_or(UNLIMITED, |hard| of(hard).max(1));
    Limits {
        soft_packets: soft(packets),
        hard_packets: packets.unwrap_or(UNLIMITED),
        soft_octets: soft(octets),
        hard_octets: octets.unwrap_or(UNLIMITED),
    }
}

/// Negotiated selectors as the worker checks them.
pub fn selectors(local: &[IkeSelector], remote: &[IkeSelector]) -> Option<SelectorSet> {
    let side = |selectors: &[IkeSelector]| selectors.iter().map(selector).collect::<Option<Vec<_>>>();
    SelectorSet::new(&side(local)?, &side(remote)?).ok()
}

fn selector(selector: &IkeSelector) -> Option<Selector> {
    let addresses = AddressRange::new(selector.start, selector.end).ok()?;
    let ports = Ports::new(selector.start_port, selector.end_port).ok()?;
    Selector::new(addresses, selector.protocol, ports).ok()
}

/// Configured selectors as the worker checks them.
pub fn configured(child: &plan::Child) -> Option<SelectorSet> {
    selectors(&child.local_ts, &child.remote_ts)
}

/// A manual tunnel's two halves (DP-12).
pub fn manual_parts(
    manual: &plan::Manual,
    tunnel: &plan::Tunnel,
    remote: IpAddr,
    child: ChildNumber,
    suite: Suite,
    (wrapping, sizes): (&Wrapping, Sizes),
) -> Option<(inbound::Parts, outbound::Parts)> {
    let esn = manual.extended_sequence_number;
    let port = if manual.udp_encapsulation { 4500 } else { 0 };
    let local = Endpoint { address: tunnel.local, port };
    let peer = Endpoint { address: remote, port };
    let last = manual.first_sequence.saturating_sub(1);
    let configuration = tunnel.children.first()?;
    let window = match manual.replay_window {
        Some(size) => Window::resume(size, esn, last).ok()?,
        None => Window::off(),
    };
    let encapsulation = wrapping.encapsulation(tunnel.public, (local, peer), sizes);
    let inbound = inbound::Parts {
        spi: Spi(manual.inbound_spi),
        suite,
        mode: wrapping.mode(),
        window,
        outer_instance: tunnel.public,
        inner_instance: tunnel.private,
        local,
        peer,
        may_move: MayMove::Nobody,
        copy_traffic_class: wrapping.copies_traffic_class(),
        tcp_mss: wrapping.leaving_mss(&encapsulation),
        selectors: Box::new(configured(configuration)?),
        limits: Limits::NONE,
        child,
        activates: None,
    };
    let outbound = outbound::Parts {
        spi: Spi(manual.outbound_spi),
        suite,
        esn,
        last_sequence: last,
        encapsulation,
        limits: Limits::NONE,
        child,
    };
    Some((inbound, outbound))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transform(percent: u8, jitter_percent: u8, bytes: Option<u64>) -> plan::IpsecTransform {
        plan::IpsecTransform {
            proposals: Vec::new().into(),
            lifetime: std::time::Duration::from_secs(3600),
            lifetime_bytes: bytes,
            lifetime_packets: Some(1000),
            soft: plan::SoftLifetime { percent, jitter_percent },
            replay_window: 64,
        }
    }

    /// Soft limits lie between the configured share and what jitter may take off it, and never above the hard ones
    /// (DP-44).
    #[test]
    fn soft_limits_are_a_share_less_jitter() {
        let of = |percent, jitter, drawn| limits(&transform(percent, jitter, None), drawn);
        assert_eq!((of(90, 0, 255).soft_packets, of(90, 10, 0).soft_packets), (900, 900));
        assert_eq!((of(90, 10, 255).soft_packets, of(50, 50, 255).soft_packets), (810, 250));
        assert_eq!((of(90, 10, 0).hard_packets, of(90, 10, 0).soft_octets), (1000, UNLIMITED));
        let most = limits(&transform(99, 0, Some(u64::MAX - 1)), 0);
        assert!(most.soft_octets < most.hard_octets && most.soft_octets > u64::MAX / 100 * 98);
    }

    /// SAs that are made together are not rekeyed together, and both ends of one not either.
    #[test]
    fn what_is_drawn_differs() {
        let drawn: std::collections::BTreeSet<u8> = (0..100).map(|n| draw((0x0400_0000 + n, 7))).collect();
        assert!(drawn.len() > 60, "{}", drawn.len());
        assert_ne!(draw((1, 2)), draw((2, 1)));
    }
}
