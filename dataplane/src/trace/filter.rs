//! Which packets a tap is about: those that meet every criterion there is, each at some station of their path.

use std::net::IpAddr;

use crate::net::flow::{self, Summary};

/// Which packets. What is `None` asks nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of this tunnel.
    pub tunnel: Option<Children>,
    /// Received or to be sent by this interface: port and VLAN.
    pub interface: Option<(u16, u16)>,
    /// From or to this address, in clear or around it.
    pub host: Option<IpAddr>,
}

/// A tunnel as a worker knows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Children {
    /// Control's names of its children.
    pub names: Box<[u32]>,
    /// Their outbound slots on this worker, which have no name while no SA is in them.
    pub slots: Box<[u32]>,
}

/// The criteria a packet has met.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Met(u8);

impl Met {
    /// Nothing.
    pub const NONE: Met = Met(0);
    const TUNNEL: Met = Met(1);
    const INTERFACE: Met = Met(2);
    const HOST: Met = Met(4);

    /// Both.
    pub const fn and(self, other: Met) -> Met {
        Met(self.0 | other.0)
    }

    const fn when(self, met: bool) -> Met {
        if met { self } else { Met(0) }
    }
}

impl Filter {
    /// All that there is to meet.
    pub fn all(&self) -> Met {
        let tunnel = Met::TUNNEL.when(self.tunnel.is_some());
        let interface = Met::INTERFACE.when(self.interface.is_some());
        tunnel.and(interface).and(Met::HOST.when(self.host.is_some()))
    }

    /// What the SA of a child meets.
    pub fn child(&self, name: u32) -> Met {
        Met::TUNNEL.when(self.tunnel.as_ref().is_some_and(|tunnel| tunnel.names.contains(&name)))
    }

    /// What an outbound slot meets.
    pub fn slot(&self, slot: u32) -> Met {
        Met::TUNNEL.when(self.tunnel.as_ref().is_some_and(|tunnel| tunnel.slots.contains(&slot)))
    }

    /// What an interface meets.
    pub fn interface(&self, interface: (u16, u16)) -> Met {
        Met::INTERFACE.when(self.interface == Some(interface))
    }

    /// What a header meets.
    pub fn header(&self, summary: &Summary) -> Met {
        let is_end =
            |host: IpAddr| host.is_ipv4() == summary.is_v4() && summary.ends().contains(&flow::words(host));
        Met::HOST.when(self.host.is_some_and(is_end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Who asks nothing is about everything; who asks two things is about what meets both.
    #[test]
    fn every_criterion_is_to_be_met() {
        assert_eq!(Filter::default().all(), Met::default());
        let tunnel = Children { names: [5, 6].into(), slots: [3].into() };
        let filter = Filter { tunnel: Some(tunnel), interface: Some((1, 0)), host: None };
        assert_ne!(filter.child(5), filter.all());
        assert_eq!(filter.child(6).and(filter.interface((1, 0))), filter.all());
        assert_eq!(filter.slot(3), filter.child(5));
        assert_eq!(filter.child(7).and(filter.slot(4)).and(filter.interface((1, 7))), Met::default());
    }
}
