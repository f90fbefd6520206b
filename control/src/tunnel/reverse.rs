//! Routes to what a gateway's peers have behind them (TG-13), from the selectors that were agreed on: as few subnets as
//! hold exactly those addresses; of the CHILD SAs of one tunnel the larger subnet counts. Pure. That no other tunnel
//! has any of it is the caller's to ask ([`crate::routing::Routing::others`]), and what changes the caller's to carry out.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use ipnet::{IpNet, IpSubnets, Ipv4Subnets, Ipv6Subnets};
use ravelin_ike::config::{ConnectionId, Selector};
use ravelin_ike::id::ChildSaId;

use crate::config::plan::Tunnel;

/// Subnets one CHILD SA may make routes of. A range of IPv6 addresses may take 254, and a peer 32 of them.
const LIMIT: usize = 256;

/// More subnets than one CHILD SA may have: the peer's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("its addresses make {found} subnets, more than {LIMIT}")]
pub struct TooMany {
    /// How many it would take.
    pub found: usize,
}

/// The fewest subnets that hold the addresses of `remote` and no other. With `ignore_default` everything of a family
/// counts for nothing.
///
/// # Errors
/// When that takes more subnets than a CHILD SA may have.
pub fn cover(remote: &[Selector], ignore_default: bool) -> Result<Vec<IpNet>, TooMany> {
    let counts = |net: &IpNet| !ignore_default || net.prefix_len() > 0;
    let mut all: Vec<IpNet> = Vec::new();
    for selector in remote {
        let subnets = subnets(selector.start, selector.end).into_iter().flatten();
        all.extend(subnets.filter(counts));
    }
    let mut fewest = IpNet::aggregate(&all);
    fewest.retain(counts);
    if fewest.len() > LIMIT { Err(TooMany { found: fewest.len() }) } else { Ok(fewest) }
}

/// The subnets of each of these selectors of a configured child, for the routes that lead into its tunnel.
///
/// # Errors
/// As [`cover`].
pub fn networks(remote: &[Selector]) -> Result<Vec<IpNet>, TooMany> {
    let all = remote.iter().filter_map(|selector| subnets(selector.start, selector.end)).flatten();
    // More than are allowed need not be counted to their end: a range of IPv6 makes 254 at most.
    let networks: Vec<IpNet> = all.collect();
    if networks.len() > LIMIT { Err(TooMany { found: networks.len() }) } else { Ok(networks) }
}

/// Those of all children of a configured tunnel, if routes are made of its selectors, and those of static routes into it,
/// each once.
pub fn of_tunnel(tunnel: &Tunnel) -> Vec<IpNet> {
    let children = tunnel.children.iter().filter(|_| tunnel.reverse_route);
    let networks = children.filter_map(|child| networks(&child.remote_ts).ok()).flatten();
    networks.chain(tunnel.routes.iter().copied()).collect::<BTreeSet<_>>().into_iter().collect()
}

/// The fewest that hold a range; none of two families.
pub fn subnets(start: IpAddr, end: IpAddr) -> Option<IpSubnets> {
    match (start, end) {
        (IpAddr::V4(start), IpAddr::V4(end)) => Some(Ipv4Subnets::new(start, end, 0).into()),
        (IpAddr::V6(start), IpAddr::V6(end)) => Some(Ipv6Subnets::new(start, end, 0).into()),
        _ => None,
    }
}

/// What changes in the routes of a tunnel.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Change {
    /// Routes to be added, before any is removed: what they hold may be held by one that goes.
    pub added: Vec<IpNet>,
    /// Routes to be removed.
    pub removed: Vec<IpNet>,
}

/// Which CHILD SA claims what, and so which routes each tunnel has. One owner: the control loop.
#[derive(Debug, Default)]
pub struct Claims {
    tunnels: BTreeMap<ConnectionId, BTreeMap<ChildSaId, Vec<IpNet>>>,
    owners: HashMap<ChildSaId, ConnectionId>,
}

impl Claims {
    /// A CHILD SA of a tunnel claims these networks.
    pub fn add(&mut self, tunnel: ConnectionId, sa: ChildSaId, networks: Vec<IpNet>) -> Change {
        let before = self.routes(tunnel);
        self.owners.insert(sa, tunnel);
        self.tunnels.entry(tunnel).or_default().insert(sa, networks);
        difference(&before, &self.routes(tunnel))
    }

    /// It is gone. Says whose it was.
    pub fn remove(&mut self, sa: ChildSaId) -> Option<(ConnectionId, Change)> {
        let tunnel = self.owners.remove(&sa)?;
        let before = self.routes(tunnel);
        let claims = self.tunnels.get_mut(&tunnel)?;
        claims.remove(&sa);
        if claims.is_empty() {
            self.tunnels.remove(&tunnel);
        }
        Some((tunnel, difference(&before, &self.routes(tunnel))))
    }

    /// A tunnel claims nothing any more.
    pub fn remove_all(&mut self, tunnel: ConnectionId) -> Change {
        let removed = self.routes(tunnel);
        let claims = self.tunnels.remove(&tunnel).unwrap_or_default();
        self.owners.retain(|sa, _| !claims.contains_key(sa));
        Change { added: Vec::new(), removed }
    }

    /// The routes of a tunnel: what its SAs claim, without what lies within something larger.
    pub fn routes(&self, tunnel: ConnectionId) -> Vec<IpNet> {
        let claims = self.tunnels.get(&tunnel).into_iter().flat_map(BTreeMap::values).flatten();
        let mut networks: Vec<IpNet> = claims.copied().collect();
        // A larger subnet comes right before those within it.
        networks.sort_by_key(|net| (net.network(), net.prefix_len()));
        networks.dedup_by(|next, kept| kept.contains(&*next));
        networks
    }

    /// Whether nobody claims anything.
    pub fn is_empty(&self) -> bool {
        self.tunnels.is_empty() && self.owners.is_empty()
    }
}

fn difference(before: &[IpNet], after: &[IpNet]) -> Change {
    let missing = |these: &[IpNet], those: &[IpNet]| -> Vec<IpNet> {
        these.iter().filter(|net| !those.contains(net)).copied().collect()
    };
    Change { added: missing(after, before), removed: missing(before, after) }
}

#[cfg(test)]
mod tests;
