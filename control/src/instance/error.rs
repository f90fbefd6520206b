//! Why an instance could not do what it was asked: whose fault, with the numbers, and what to do about it.

use std::io;

use ipnet::IpNet;
use nix::errno::Errno;

/// Who has to act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The configuration, or what was set up beside us.
    Operator,
    /// The kernel, its configuration, or a missing program or privilege.
    Machine,
    /// The caller inside this program.
    Us,
}

/// One failure. `Display` is for the operator.
#[derive(Debug, thiserror::Error)]
pub enum InstanceError {
    /// The kernel would cut or misread this name.
    #[error(
        "the name `{name}` cannot be used for a device: use 1 to {limit} printable ASCII bytes without / : % \" or spaces"
    )]
    BadName {
        /// As configured.
        name: String,
        /// Bytes.
        limit: usize,
    },
    /// `/run/netns/<name>` is not there.
    #[error(
        "network namespace {path} does not exist: create it with `ip netns add {name}`, or remove `namespace` from the instance"
    )]
    NamespaceMissing {
        /// As configured.
        name: String,
        /// Where we looked.
        path: String,
    },
    /// A twin or TUN would take the name of a device that is there already.
    #[error(
        "a device named `{device}` already exists in the instance's namespace: rename the interface, or remove the device (`ip link show dev {device}`)"
    )]
    DeviceExists {
        /// The name.
        device: String,
    },
    /// The device under a port is not in this namespace.
    #[error(
        "device `{device}` is not in the instance's namespace: move it there (`ip link set dev {device} netns ...`) or correct the port"
    )]
    CagedDeviceMissing {
        /// The name.
        device: String,
    },
    /// The device under a port has addresses of its own, so the kernel would speak beside us.
    #[error(
        "device `{device}` under a port carries {}: remove them (`ip address del ... dev {device}`), the twin carries the gateway's addresses",
        list(addresses)
    )]
    CagedDeviceHasAddress {
        /// The name.
        device: String,
        /// What it carries.
        addresses: Vec<IpNet>,
    },
    /// Somebody else's route has this destination and metric.
    #[error(
        "a route to {destination} metric {metric} is there already and is not ours: give the tunnel's routes another metric, or remove it (`ip route show {destination}`)"
    )]
    RouteTaken {
        /// Destination.
        destination: IpNet,
        /// Metric; 0 is the kernel's default.
        metric: u32,
    },
    /// No interface of this name in this instance.
    #[error("instance has no interface `{interface}`")]
    UnknownInterface {
        /// The name asked for.
        interface: String,
    },
    /// The kernel forwards, or will not stop forwarding: it would carry packets around our policy.
    #[error(
        "kernel forwarding cannot be held off: {setting} is {found} after {corrections} corrections; find what sets it (sysctl.d, a routing daemon, a container runtime) and stop it"
    )]
    ForwardingNotHeld {
        /// Path below /proc/sys.
        setting: String,
        /// Value read back.
        found: String,
        /// How often we wrote 0.
        corrections: u32,
    },
    /// The kernel refused for want of privilege.
    #[error("not permitted to {action}: run as root, or with CAP_NET_ADMIN, CAP_NET_RAW and CAP_SYS_ADMIN")]
    NotPermitted {
        /// What we tried.
        action: String,
    },
    /// A netlink request failed.
    #[error("the kernel refused to {action}: {reason}")]
    Netlink {
        /// What we tried.
        action: String,
        /// Its error.
        reason: String,
    },
    /// A system call failed.
    #[error("could not {action}: {source}")]
    Io {
        /// What we tried.
        action: String,
        /// Its error.
        source: io::Error,
    },
    /// `nft` is not installed.
    #[error(
        "the program `nft` was not found: install the package nftables; a port on a kernel device is not used without its cage"
    )]
    NftMissing,
    /// `nft` refused the cage.
    #[error("nft refused the cage: {message}; the kernel needs CONFIG_NF_TABLES_NETDEV")]
    NftRefused {
        /// Its standard error.
        message: String,
    },
    /// The instance has not got to earlier requests.
    #[error("{waiting} requests to the instance wait already: ask again when it has answered some")]
    Busy {
        /// How many.
        waiting: usize,
    },
    /// The instance's thread is gone.
    #[error("the thread of the instance has ended: {reason}; restart the daemon")]
    ThreadEnded {
        /// What is known.
        reason: String,
    },
}

impl InstanceError {
    /// Whose move it is.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::BadName { .. }
            | Self::NamespaceMissing { .. }
            | Self::DeviceExists { .. }
            | Self::CagedDeviceMissing { .. }
            | Self::CagedDeviceHasAddress { .. }
            | Self::RouteTaken { .. }
            | Self::ForwardingNotHeld { .. }
            | Self::NotPermitted { .. } => Fault::Operator,
            Self::Netlink { .. } | Self::Io { .. } | Self::NftMissing | Self::NftRefused { .. } => {
                Fault::Machine
            }
            Self::UnknownInterface { .. } | Self::Busy { .. } | Self::ThreadEnded { .. } => Fault::Us,
        }
    }

    /// From a failed system call.
    pub(crate) fn io(action: impl Into<String>, source: io::Error) -> Self {
        let action = action.into();
        match source.kind() {
            io::ErrorKind::PermissionDenied => Self::NotPermitted { action },
            _ => Self::Io { action, source },
        }
    }

    /// From a failed netlink request.
    pub(super) fn netlink(action: impl Into<String>, error: &rtnetlink::Error) -> Self {
        let action = action.into();
        match errno(error) {
            Some(Errno::EPERM | Errno::EACCES) => Self::NotPermitted { action },
            Some(code) => Self::Netlink { action, reason: code.to_string() },
            None => Self::Netlink { action, reason: error.to_string() },
        }
    }
}

/// The kernel's error number in a netlink answer, if it is one.
pub(super) fn errno(error: &rtnetlink::Error) -> Option<Errno> {
    match error {
        rtnetlink::Error::NetlinkError(message) => Some(Errno::from_raw(message.raw_code().saturating_abs())),
        _ => None,
    }
}

fn list(addresses: &[IpNet]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
