//! Creating, addressing and deleting the kernel devices of an instance. Must run on the instance's thread: a
//! TAP or TUN belongs to the namespace of the thread that asks for it.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use nix::errno::Errno;
use nix::net::if_::if_nametoindex;
use rtnetlink::{AddressMessageBuilder, Handle, LinkUnspec};
use tun_rs::{DeviceBuilder, Layer, SyncDevice};

use super::error::{InstanceError, errno};
use super::spec::{InterfaceSpec, PrivateSpec};
use super::sysctl;

/// Frames the kernel queues towards us before it drops; the exception thread reads in bursts of 32.
const TRANSMIT_QUEUE: u32 = 512;

/// Creates a twin TAP, not yet addressed or up.
pub(super) fn create_twin(spec: &InterfaceSpec) -> Result<SyncDevice, InstanceError> {
    refuse_existing(&spec.name)?;
    let device = DeviceBuilder::new()
        .name(&spec.name)
        .layer(Layer::L2)
        .mac_addr(spec.mac)
        .mtu(spec.mtu)
        .packet_information(false)
        .enable(false)
        .tx_queue_len(TRANSMIT_QUEUE)
        .build_sync()
        .map_err(|e| InstanceError::io(format!("create the twin `{}`", spec.name), e))?;
    sysctl::prepare_twin(&spec.name)?;
    non_blocking(&device, &spec.name)?;
    Ok(device)
}

/// Creates the TUN of a private instance, not yet addressed or up.
pub(super) fn create_private(name: &str, spec: &PrivateSpec) -> Result<SyncDevice, InstanceError> {
    refuse_existing(name)?;
    let device = DeviceBuilder::new()
        .name(name)
        .layer(Layer::L3)
        .mtu(spec.mtu)
        .packet_information(false)
        .enable(false)
        .tx_queue_len(TRANSMIT_QUEUE)
        .build_sync()
        .map_err(|e| InstanceError::io(format!("create `{name}`"), e))?;
    sysctl::prepare_private(name)?;
    non_blocking(&device, name)?;
    Ok(device)
}

fn non_blocking(device: &SyncDevice, name: &str) -> Result<(), InstanceError> {
    device.set_nonblocking(true).map_err(|e| InstanceError::io(format!("make `{name}` non-blocking"), e))
}

/// TUNSETIFF would silently attach to a persistent TUN of this name.
fn refuse_existing(device: &str) -> Result<(), InstanceError> {
    match find(device)? {
        Some(_) => Err(InstanceError::DeviceExists { device: device.to_owned() }),
        None => Ok(()),
    }
}

/// The kernel's number of a device that must be there.
pub(super) fn index(device: &str) -> Result<u32, InstanceError> {
    find(device)?.ok_or_else(|| InstanceError::UnknownInterface { interface: device.to_owned() })
}

/// The kernel's number of a device, if it is there, in the namespace of this thread.
pub(super) fn find(device: &str) -> Result<Option<u32>, InstanceError> {
    match if_nametoindex(device) {
        Ok(index) => Ok(Some(index)),
        Err(Errno::ENODEV) => Ok(None),
        Err(e) => Err(InstanceError::io(format!("look for the device `{device}`"), e.into())),
    }
}

/// Sets a device up.
pub(super) async fn set_up(handle: &Handle, index: u32, name: &str) -> Result<(), InstanceError> {
    let message = LinkUnspec::new_with_index(index).up().build();
    let done = handle.link().change(message).execute().await;
    done.map_err(|e| InstanceError::netlink(format!("set `{name}` up"), &e))
}

/// Shows or takes away carrier.
pub(super) async fn set_carrier(
    handle: &Handle,
    index: u32,
    name: &str,
    carrier: bool,
) -> Result<(), InstanceError> {
    let message = LinkUnspec::new_with_index(index).carrier(carrier).build();
    let done = handle.link().change(message).execute().await;
    done.map_err(|e| InstanceError::netlink(format!("set the carrier of `{name}`"), &e))
}

/// Deletes a device; one that is gone already is success.
pub(super) async fn delete(handle: &Handle, name: &str) -> Result<(), InstanceError> {
    let Some(index) = find(name)? else { return Ok(()) };
    match handle.link().del(index).execute().await {
        Err(e) if errno(&e) != Some(Errno::ENODEV) => {
            Err(InstanceError::netlink(format!("delete `{name}`"), &e))
        }
        _ => Ok(()),
    }
}

/// Assigns an address; one that is there already is success.
pub(super) async fn add_address(handle: &Handle, index: u32, network: IpNet) -> Result<(), InstanceError> {
    let request = handle.address().add(index, network.addr(), network.prefix_len());
    match request.execute().await {
        Err(e) if errno(&e) != Some(Errno::EEXIST) => {
            Err(InstanceError::netlink(format!("assign {network}"), &e))
        }
        _ => Ok(()),
    }
}

/// Takes an address away; one that is gone already is success.
pub(super) async fn remove_address(handle: &Handle, index: u32, network: IpNet) -> Result<(), InstanceError> {
    let message = match network {
        IpNet::V4(net) => AddressMessageBuilder::<Ipv4Addr>::new()
            .index(index)
            .address(net.addr(), net.prefix_len())
            .build(),
        IpNet::V6(net) => AddressMessageBuilder::<Ipv6Addr>::new()
            .index(index)
            .address(net.addr(), net.prefix_len())
            .build(),
    };
    match handle.address().del(message).execute().await {
        Err(e) if errno(&e) != Some(Errno::EADDRNOTAVAIL) => {
            Err(InstanceError::netlink(format!("remove {network}"), &e))
        }
        _ => Ok(()),
    }
}
