//! Everything one instance has put into its namespace, and how it is raised, kept and undone. Sole owner: the
//! instance's thread. What was told of the kernel's state is kept in `sync`, next hops and routes in `keep`,
//! what it stands on in `walls`.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;
use rtnetlink::Handle;
use tokio::time::Instant;
use tun_rs::SyncDevice;

use super::cage::{self, Cage};
use super::error::InstanceError;
use super::event::{Event, KernelDevice, Request, Role, SyncCause};
use super::hops::Hops;
use super::mirror::Snapshot;
use super::netlink;
use super::outlet::Outlet;
use super::spec::{InstanceSpec, InterfaceSpec, Namespace, PrivateSpec, check_device_name};
use super::sysctl::ForwardingGuard;
use super::translate::Names;
use super::walls::{Walls, is_link_local};
use super::{device, sysctl};

/// State of one raised instance.
pub(super) struct Machine {
    pub(super) id: u16,
    pub(super) handle: Handle,
    pub(super) outlet: Outlet,
    /// What the reader was told.
    pub(super) told: Snapshot,
    pub(super) names: Names,
    /// When to compare everything with the kernel, and why.
    pub(super) resync: Option<(Instant, SyncCause)>,
    /// Names of our twins.
    pub(super) twins: BTreeSet<String>,
    /// Name of our TUN.
    pub(super) private: Option<String>,
    /// Addresses we assigned, by device.
    assigned: BTreeMap<String, Vec<IpNet>>,
    /// Next hops kept resolved.
    pub(super) kept: Hops,
    /// Whether the kernel manages neighbours itself; `None` until tried.
    pub(super) manages: Option<bool>,
    /// Destinations and metrics of routes we installed.
    pub(super) routes: BTreeSet<(IpNet, u32)>,
    /// The nft table.
    pub(super) cage: Cage,
    /// Devices in the cage.
    pub(super) caged: Vec<String>,
    /// `disable_ipv6` of caged devices as we found it.
    ipv6_before: BTreeMap<String, String>,
    pub(super) forwarding: ForwardingGuard,
    pub(super) walls: Walls,
}

impl Machine {
    /// Nothing raised yet.
    pub(super) fn new(id: u16, handle: Handle, outlet: Outlet) -> Self {
        Self {
            id,
            handle,
            outlet,
            told: Snapshot::default(),
            names: Names::new(),
            resync: None,
            twins: BTreeSet::new(),
            private: None,
            assigned: BTreeMap::new(),
            kept: Hops::default(),
            manages: None,
            routes: BTreeSet::new(),
            cage: Cage::of(id),
            caged: Vec::new(),
            ipv6_before: BTreeMap::new(),
            forwarding: ForwardingGuard::default(),
            walls: Walls::default(),
        }
    }

    /// Puts everything in place: forwarding off first, the cage before anything can answer, devices last.
    pub(super) async fn raise(&mut self, spec: &InstanceSpec) -> Result<(), InstanceError> {
        self.forwarding.hold()?;
        self.clear_dead_cages();
        self.set_caged(spec.caged.clone()).await?;
        if spec.namespace != Namespace::Own {
            self.raise_loopback().await?;
        }
        for interface in &spec.interfaces {
            self.add_interface(interface).await?;
        }
        if let Some(private) = &spec.private {
            self.add_private(spec.private_device(), private).await?;
        }
        self.compare(SyncCause::Start).await
    }

    /// Takes everything away again and returns what could not be. Forwarding stays off: what was forwarded
    /// before would now pass in clear.
    pub(super) async fn undo(&mut self) -> Vec<InstanceError> {
        let mut failures = Vec::new();
        for name in self.twins.iter().chain(&self.private) {
            failures.extend(device::delete(&self.handle, name).await.err());
        }
        self.twins.clear();
        self.private = None;
        failures.extend(self.set_caged(Vec::new()).await.err());
        failures
    }

    /// Carries out one request.
    pub(super) async fn carry_out(&mut self, request: Request) -> Result<(), InstanceError> {
        match request {
            Request::AddInterface(spec) => self.add_interface(&spec).await,
            Request::RemoveInterface(name) => self.remove_interface(&name).await,
            Request::SetAddresses { interface, addresses } => self.set_addresses(&interface, addresses).await,
            Request::SetCarrier { interface, up } => self.set_carrier(&interface, up).await,
            Request::SetCaged(devices) => self.set_caged(devices).await,
            Request::AddRoute(route) => self.add_route(route).await,
            Request::RemoveRoute(route) => self.remove_route(route).await,
            Request::KeepNeighbour { interface, address } => self.keep_neighbour(interface, address).await,
            Request::FindNeighbour { interface, address } => self.find_neighbour(interface, address).await,
            Request::ReleaseNeighbour { interface, address } => {
                self.kept.release(&(interface, address));
                Ok(())
            }
            Request::Resync => self.compare(SyncCause::Asked).await,
            Request::Run(work) => {
                work();
                Ok(())
            }
        }
    }

    /// Every few seconds: what the kernel does not tell us of.
    pub(super) async fn tick(&mut self) {
        self.outlet.flush();
        self.hold_walls();
        self.age_neighbours().await;
        self.assert_neighbours().await;
    }

    /// What a daemon that died left standing may be around devices that are not ports any more. Without nft
    /// there is nothing to take down.
    fn clear_dead_cages(&self) {
        if let Err(error) = cage::clear_dead() {
            tracing::debug!(instance = self.id, %error, "no former cage to take down");
        }
    }

    async fn raise_loopback(&self) -> Result<(), InstanceError> {
        let index = device::index("lo")?;
        device::set_up(&self.handle, index, "lo").await
    }

    /// A twin that cannot be addressed is taken away again.
    async fn add_interface(&mut self, spec: &InterfaceSpec) -> Result<(), InstanceError> {
        check_device_name(&spec.name)?;
        let twin = device::create_twin(spec)?;
        self.twins.insert(spec.name.clone());
        let raised = self.bring_up(&spec.name, &spec.addresses).await;
        match raised {
            Ok(()) => self.hand_over(Role::Twin { port: spec.port, vlan: spec.vlan }, &spec.name, twin),
            Err(_) => self.remove_interface(&spec.name).await?,
        }
        raised
    }

    async fn add_private(&mut self, name: String, spec: &PrivateSpec) -> Result<(), InstanceError> {
        let tun = device::create_private(&name, spec)?;
        self.private = Some(name.clone());
        self.hand_over(Role::Private(self.id), &name, tun);
        self.bring_up(&name, &spec.addresses).await
    }

    fn hand_over(&mut self, role: Role, name: &str, device: SyncDevice) {
        self.outlet.must(Event::Device(KernelDevice { role, instance: self.id, name: name.into(), device }));
    }

    async fn bring_up(&mut self, name: &str, addresses: &[IpNet]) -> Result<(), InstanceError> {
        self.assigned.insert(name.to_owned(), Vec::new());
        self.set_addresses(name, addresses.to_vec()).await?;
        let index = device::index(name)?;
        device::set_up(&self.handle, index, name).await
    }

    async fn remove_interface(&mut self, name: &str) -> Result<(), InstanceError> {
        if !self.twins.remove(name) {
            return Err(InstanceError::UnknownInterface { interface: name.to_owned() });
        }
        self.assigned.remove(name);
        self.kept.forget(name);
        device::delete(&self.handle, name).await
    }

    /// Difference against what we assigned: addresses others put there stay.
    async fn set_addresses(&mut self, name: &str, wanted: Vec<IpNet>) -> Result<(), InstanceError> {
        let Some(assigned) = self.assigned.get_mut(name) else {
            return Err(InstanceError::UnknownInterface { interface: name.to_owned() });
        };
        let index = device::index(name)?;
        for network in assigned.iter().filter(|network| !wanted.contains(network)) {
            device::remove_address(&self.handle, index, *network).await?;
        }
        for network in wanted.iter().filter(|network| !assigned.contains(network)) {
            device::add_address(&self.handle, index, *network).await?;
        }
        *assigned = wanted;
        Ok(())
    }

    async fn set_carrier(&self, name: &str, up: bool) -> Result<(), InstanceError> {
        if !self.twins.contains(name) {
            return Err(InstanceError::UnknownInterface { interface: name.to_owned() });
        }
        let index = device::index(name)?;
        device::set_carrier(&self.handle, index, name, up).await
    }

    /// Makes the cage exactly these devices. All are looked at before anything is changed.
    async fn set_caged(&mut self, wanted: Vec<String>) -> Result<(), InstanceError> {
        for device in wanted.iter().filter(|device| !self.caged.contains(device)) {
            self.check_cageable(device).await?;
        }
        for device in &wanted {
            if let Some(before) = sysctl::disable_ipv6(device)? {
                self.ipv6_before.entry(device.clone()).or_insert(before);
            }
        }
        let idle = wanted.is_empty() && self.caged.is_empty();
        let applied = if idle { Ok(()) } else { self.cage.apply(&wanted) };
        if applied.is_ok() {
            self.caged = wanted;
        }
        self.restore_uncaged().and(applied)
    }

    async fn check_cageable(&self, name: &str) -> Result<(), InstanceError> {
        check_device_name(name)?;
        let Some(index) = device::find(name)? else {
            return Err(InstanceError::CagedDeviceMissing { device: name.to_owned() });
        };
        let mut addresses = netlink::addresses_of(&self.handle, index).await?;
        addresses.retain(|network| !is_link_local(network));
        if addresses.is_empty() {
            return Ok(());
        }
        Err(InstanceError::CagedDeviceHasAddress { device: name.to_owned(), addresses })
    }

    /// Puts IPv6 back as it was on devices that are not in the cage.
    fn restore_uncaged(&mut self) -> Result<(), InstanceError> {
        let caged = &self.caged;
        let freed: Vec<_> = self.ipv6_before.extract_if(.., |device, _| !caged.contains(device)).collect();
        freed.iter().try_for_each(|(device, before)| sysctl::restore_ipv6(device, before))
    }
}
