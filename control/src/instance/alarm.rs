//! A netlink socket whose messages are not read for what they say: that something of a kind changed is enough
//! to look again. Used for forwarding switches (netconf), for the nft rule set, and for next hop objects, whose
//! removal takes routes along without a word about them.

use rtnetlink::sys::protocols::{NETLINK_NETFILTER, NETLINK_ROUTE};
use rtnetlink::sys::{AsyncSocket, AsyncSocketExt, SocketAddr, TokioSocket};

use super::error::InstanceError;

/// RTNLGRP_IPV4_NETCONF and RTNLGRP_IPV6_NETCONF.
const NETCONF_GROUPS: [u32; 2] = [24, 25];
/// NFNLGRP_NFTABLES.
const NFTABLES_GROUP: u32 = 7;
/// RTNLGRP_NEXTHOP.
const NEXTHOP_GROUP: u32 = 32;
/// RTM_DELNEXTHOP.
const NEXTHOP_REMOVED: u16 = 105;
/// Larger than any one notification of these groups; a longer one is cut, and counts all the same.
const BUFFER: usize = 16 << 10;

/// Rings when the kernel tells of a change in its groups.
pub(super) struct Alarm {
    socket: TokioSocket,
    buffer: Vec<u8>,
    /// The only message type that rings, if not all do.
    only: Option<u16>,
}

impl Alarm {
    /// Rings when a forwarding switch of the namespace is written.
    pub(super) fn forwarding() -> Result<Self, InstanceError> {
        Self::open(NETLINK_ROUTE, &NETCONF_GROUPS, None, "watch the forwarding switches")
    }

    /// Rings when the nft rule set of the namespace changes.
    pub(super) fn nftables() -> Result<Self, InstanceError> {
        Self::open(NETLINK_NETFILTER, &[NFTABLES_GROUP], None, "watch the nft rule set")
    }

    /// Rings when a next hop object of the namespace is removed.
    pub(super) fn next_hops() -> Result<Self, InstanceError> {
        Self::open(NETLINK_ROUTE, &[NEXTHOP_GROUP], Some(NEXTHOP_REMOVED), "watch the next hop objects")
    }

    fn open(protocol: isize, groups: &[u32], only: Option<u16>, action: &str) -> Result<Self, InstanceError> {
        let open = || {
            let mut socket = TokioSocket::new(protocol)?;
            socket.socket_mut().bind(&SocketAddr::new(0, 0))?;
            groups.iter().try_for_each(|group| socket.socket_mut().add_membership(*group))?;
            Ok(socket)
        };
        let socket = open().map_err(|e| InstanceError::io(action, e))?;
        Ok(Self { socket, buffer: Vec::with_capacity(BUFFER), only })
    }

    /// Returns at the next change, having swallowed all that are waiting: whoever looks afterwards sees the
    /// effect of every one. An overflow rings too. Dropping the future loses nothing.
    pub(super) async fn rings(&mut self) {
        loop {
            self.buffer.clear();
            let failed = self.socket.recv(&mut self.buffer).await.is_err();
            if failed || self.counts() {
                return self.swallow();
            }
        }
    }

    fn swallow(&mut self) {
        loop {
            self.buffer.clear();
            if self.socket.socket_ref().recv(&mut self.buffer, 0).is_err() {
                return;
            }
        }
    }

    /// Whether the message rings: its type stands behind its length (`struct nlmsghdr`). Notifications come
    /// one a datagram.
    fn counts(&self) -> bool {
        match (self.only, self.buffer.get(4..6)) {
            (Some(only), Some(kind)) => kind == only.to_ne_bytes(),
            _ => true,
        }
    }
}
