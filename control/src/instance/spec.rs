//! What the configuration asks of one instance: plain data, checked for names here because the kernel
//! would cut or misread them. Addresses and MACs are taken as they are; the planner has parsed them.

use std::path::PathBuf;

use ipnet::IpNet;

use super::error::InstanceError;

/// Routing protocol number (`rtm_protocol`) of every route we install for tunnels, so that routing daemons can
/// pick them out (FRR: `redistribute kernel`; BIRD: `learn`, `krt_source = 82`) and nobody else's routes are
/// touched. 0x52 is `R`; `/etc/iproute2/rt_protos` may name it.
pub const ROUTE_PROTOCOL: u8 = 0x52;

/// Longest device name the kernel takes, in bytes (IFNAMSIZ less the terminator).
pub const DEVICE_NAME_LIMIT: usize = 15;

/// What precedes an instance's name in the name of its TUN.
pub const PRIVATE_PREFIX: &str = "rv-";

/// Where an instance lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Namespace {
    /// The network namespace the daemon was started in.
    Own,
    /// `/run/netns/<name>`, as `ip netns add` makes it. It must exist; we never create one.
    Named(String),
}

impl Namespace {
    /// The file to enter, `None` for our own.
    pub(super) fn path(&self) -> Option<PathBuf> {
        match self {
            Namespace::Own => None,
            Namespace::Named(name) => Some(PathBuf::from("/run/netns").join(name)),
        }
    }
}

/// One interface (a port, or a port and VLAN): its twin TAP carries the name, MAC, MTU and addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InterfaceSpec {
    /// The daemon's number of the port.
    pub port: u16,
    /// VLAN id, 0 when untagged; frames of the twin carry no tag.
    pub vlan: u16,
    /// Name of the twin, at most [`DEVICE_NAME_LIMIT`] bytes.
    pub name: String,
    /// The port's own address, so that a reply to the twin arrives at the port.
    pub mac: [u8; 6],
    /// Bytes of the network layer.
    pub mtu: u16,
    /// Addresses with their on-link prefixes.
    pub addresses: Vec<IpNet>,
}

/// The TUN `rv-<instance>` of a private instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrivateSpec {
    /// Bytes of the network layer: what fits in the tunnels of this instance.
    pub mtu: u16,
    /// The instance's own addresses on the private side, usually host prefixes; may be empty.
    pub addresses: Vec<IpNet>,
}

/// Everything [`super::Instance::start`] needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceSpec {
    /// The daemon's number for this instance; stamped on nothing here but the device and thread name.
    pub id: u16,
    /// Configured name; names the TUN, so at most 12 bytes when `private` is given.
    pub name: String,
    /// Where it lives.
    pub namespace: Namespace,
    /// Interfaces with a twin.
    pub interfaces: Vec<InterfaceSpec>,
    /// The private side, if this instance has one.
    pub private: Option<PrivateSpec>,
    /// Kernel devices under an af_packet or af_xdp port: caged.
    pub caged: Vec<String>,
    /// Receive buffer of the watching netlink socket in bytes. Larger rides out larger route storms
    /// before a full resync is needed. The privileged limit applies, not `net.core.rmem_max`.
    pub receive_buffer: usize,
}

impl InstanceSpec {
    /// Default of `receive_buffer`: about ten thousand route messages.
    pub const RECEIVE_BUFFER: usize = 8 << 20;

    /// Name of the TUN.
    #[must_use]
    pub fn private_device(&self) -> String {
        format!("{PRIVATE_PREFIX}{}", self.name)
    }

    /// Refuses names the kernel would not take, before anything is touched.
    pub(super) fn check(&self) -> Result<(), InstanceError> {
        if self.private.is_some() {
            check_device_name(&self.private_device())?;
        }
        self.interfaces.iter().try_for_each(|interface| check_device_name(&interface.name))?;
        self.caged.iter().try_for_each(|device| check_device_name(device))?;
        match &self.namespace {
            Namespace::Named(name) if name.is_empty() || name.contains('/') || name.starts_with('.') => {
                Err(InstanceError::BadName { name: name.clone(), limit: 255 })
            }
            _ => Ok(()),
        }
    }
}

/// A device name as the kernel's `dev_valid_name` has it, without the quote that would end an nft string.
pub(super) fn check_device_name(name: &str) -> Result<(), InstanceError> {
    let printable = name.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '/' | ':' | '"' | '%'));
    if printable && !name.is_empty() && name.len() <= DEVICE_NAME_LIMIT && name != "." && name != ".." {
        return Ok(());
    }
    Err(InstanceError::BadName { name: name.to_owned(), limit: DEVICE_NAME_LIMIT })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A name that is cut by the kernel would create a device nobody finds; a quote would leave the nft string.
    #[test]
    fn device_names_the_kernel_would_misread_are_refused() {
        for good in ["wan0", "eth0.100", "rv-red", "a", "fifteen-bytes-x"] {
            assert!(check_device_name(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "a/b", "a b", "a\"b", "eth0:1", "wan%d", "sixteen-bytes-xx", "\u{e9}t"] {
            assert!(check_device_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_instance_name_that_makes_too_long_a_tun_is_refused_only_if_it_has_a_private_side() {
        let mut spec = InstanceSpec {
            id: 1,
            name: "thirteen-long".into(),
            namespace: Namespace::Own,
            interfaces: Vec::new(),
            private: None,
            caged: Vec::new(),
            receive_buffer: InstanceSpec::RECEIVE_BUFFER,
        };
        assert!(spec.check().is_ok());
        spec.private = Some(PrivateSpec { mtu: 1400, addresses: Vec::new() });
        assert!(matches!(spec.check(), Err(InstanceError::BadName { .. })));
    }
}
