//! A netlink socket whose messages are not read for what they say: that something of a kind changed is enough
//! to look again. Used for forwarding switches (netconf) and for the nft rule set.

use rtnetlink::sys::protocols::{NETLINK_NETFILTER, NETLINK_ROUTE};
use rtnetlink::sys::{AsyncSocket, AsyncSocketExt, SocketAddr, TokioSocket};

use super::error::InstanceError;

/// RTNLGRP_IPV4_NETCONF and RTNLGRP_IPV6_NETCONF.
const NETCONF_GROUPS: [u32; 2] = [24, 25];
/// NFNLGRP_NFTABLES.
const NFTABLES_GROUP: u32 = 7;
/// Larger than any one notification of these groups; a longer one is cut, and counts all the same.
const BUFFER: usize = 16 << 10;

/// Rings when the kernel tells of a change in its groups.
pub(super) struct Alarm {
    socket: TokioSocket,
    buffer: Vec<u8>,
}

impl Alarm {
    /// Rings when a forwarding switch of the namespace is written.
    pub(super) fn forwarding() -> Result<Self, InstanceError> {
        Self::open(NETLINK_ROUTE, &NETCONF_GROUPS, "watch the forwarding switches")
    }

    /// Rings when the nft rule set of the namespace changes.
    pub(super) fn nftables() -> Result<Self, InstanceError> {
        Self::open(NETLINK_NETFILTER, &[NFTABLES_GROUP], "watch the nft rule set")
    }

    fn open(protocol: isize, groups: &[u32], action: &str) -> Result<Self, InstanceError> {
        let open = || {
            let mut socket = TokioSocket::new(protocol)?;
            socket.socket_mut().bind(&SocketAddr::new(0, 0))?;
            groups.iter().try_for_each(|group| socket.socket_mut().add_membership(*group))?;
            Ok(socket)
        };
        let socket = open().map_err(|e| InstanceError::io(action, e))?;
        Ok(Self { socket, buffer: Vec::with_capacity(BUFFER) })
    }

    /// Returns at the next change, having swallowed all that are waiting: whoever looks afterwards sees the
    /// effect of every one. An overflow rings too. Dropping the future loses nothing.
    pub(super) async fn rings(&mut self) {
        self.buffer.clear();
        let _ = self.socket.recv(&mut self.buffer).await;
        loop {
            self.buffer.clear();
            if self.socket.socket_ref().recv(&mut self.buffer, 0).is_err() {
                return;
            }
        }
    }
}
