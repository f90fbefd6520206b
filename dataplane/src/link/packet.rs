//! Packets that cross between a worker and control or the kernel, as handles.
//!
//! Up: three bounded rings, so that a flood of one kind does not fill another; they may lose packets, under a
//! counter each. Down: packets of control and of the kernel; a full ring gives the frame back. Across, to the
//! worker that owns a packet: [`super::handoff`].

use std::net::SocketAddr;

/// An IKE message on its way to control: the frame's data is the message, from the IKE header on, without
/// non-ESP marker.
#[derive(Debug)]
pub struct IkePunt<F> {
    /// The message.
    pub frame: F,
    /// The (public) instance it arrived in.
    pub instance: u16,
    /// Our address and port; port 4500 says that answers need the marker.
    pub local: SocketAddr,
    /// The peer's address and port.
    pub remote: SocketAddr,
}

/// Where in the kernel a packet belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kernel {
    /// The twin of an interface: an Ethernet frame without VLAN tag.
    Twin {
        /// Number of the device.
        port: u16,
        /// VLAN id, 0 for untagged.
        vlan: u16,
    },
    /// The `rv-` device of an instance: an IP packet that came out of a tunnel.
    Tun {
        /// The private instance.
        instance: u16,
    },
}

/// A packet on its way to the kernel.
#[derive(Debug)]
pub struct KernelPunt<F> {
    /// An Ethernet frame or an IP packet, as `to` says.
    pub frame: F,
    /// Which device.
    pub to: Kernel,
}
