//! Tunnels without keys: GRE (RFC 2784, RFC 2890) and IP in IP (RFC 2003, RFC 2473, RFC 4213) between an address of ours
//! and one of a peer's (DP-20 to DP-22). Any worker sends and receives for them: nothing of them is owned by one, but
//! what it counts.
//!
//! Control makes the table anew when anything of it changes; counters go along from one to the next. Left to the caller:
//! which routes lead into a tunnel, and whether it may be up.

use std::net::IpAddr;
use std::sync::Arc;

use super::route::{IpTunnelId, NextHop};
use super::view::View;
use crate::net::eth::ethertype;
use crate::net::{gre, protocol};
use crate::sa::counters::Counter;
use crate::sa::outbound::Encapsulation;
use crate::sa::pace::{Rate, Taken};
use crate::sa::shard::WorkerId;
use crate::sa::wrap::Wrap;

/// What stands between outer and inner IP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A GRE header, with these keys if any (RFC 2890 §2.1).
    Gre {
        /// Sent.
        send: Option<u32>,
        /// Expected: a packet with another, or one too many or few, is of another tunnel.
        receive: Option<u32>,
    },
    /// Nothing.
    Ip,
}

/// By what a received packet is known to be of a tunnel, besides its addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shown {
    /// It has a GRE header with this key, or none.
    Gre(Option<u32>),
    /// An IP header follows the outer one.
    Ip,
}

impl Kind {
    /// What its sent packets show.
    pub const fn sent(self) -> Shown {
        match self {
            Kind::Gre { send, .. } => Shown::Gre(send),
            Kind::Ip => Shown::Ip,
        }
    }

    /// What its received packets show.
    pub const fn shown(self) -> Shown {
        match self {
            Kind::Gre { receive, .. } => Shown::Gre(receive),
            Kind::Ip => Shown::Ip,
        }
    }

    /// What stands in front of an inner packet on its way out, if anything does.
    pub const fn header(self, v4: bool) -> Option<gre::Repr> {
        let ethertype = if v4 { ethertype::IPV4 } else { ethertype::IPV6 };
        match self {
            Kind::Gre { send: key, .. } => Some(gre::Repr { ethertype, key, checksum: None, sequence: None }),
            Kind::Ip => None,
        }
    }

    /// Octets of it.
    pub fn header_length(self) -> usize {
        self.header(true).map_or(0, |header| header.len())
    }

    /// What follows its outer headers.
    pub const fn protocols(self) -> [u8; 2] {
        [self.protocol(true), self.protocol(false)]
    }

    const fn protocol(self, v4: bool) -> u8 {
        match (self, v4) {
            (Kind::Gre { .. }, _) => protocol::GRE,
            (Kind::Ip, true) => protocol::IPV4,
            (Kind::Ip, false) => protocol::IPV6,
        }
    }
}

/// A tunnel, as control describes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts {
    /// Instance of the inner packets.
    pub private: u16,
    /// What it puts around them.
    pub kind: Kind,
    /// How they are wrapped; its ends have no ports.
    pub encapsulation: Encapsulation,
    /// Another address of the peer's: packets go there while no route leads to the one above.
    pub backup: Option<IpAddr>,
    /// Copy the outer traffic class inwards (DP-35), not only ECN.
    pub copy_traffic_class: bool,
    /// Lower the MSS of SYNs that leave the tunnel to this.
    pub leaving_mss: Option<u16>,
    /// Whether packets pass.
    pub up: bool,
}

/// What a worker counts of a tunnel. One cache line.
#[derive(Debug, Default)]
#[repr(align(64))]
pub struct Counters {
    /// Packets that came out of it.
    pub in_packets: Counter,
    /// Their octets.
    pub in_octets: Counter,
    /// Packets that were of it by their addresses, and were dropped.
    pub in_errors: Counter,
    /// Packets that went into it.
    pub out_packets: Counter,
    /// Their octets.
    pub out_octets: Counter,
    /// Packets that were to, and were dropped.
    pub out_errors: Counter,
    /// What was taken of the ICMP errors that its own rate allows, and when that was.
    errors_taken: (Counter, Counter),
}

impl Counters {
    /// Takes one ICMP error out of what is left of this rate: for the worker whose counters these are.
    pub fn take_error(&self, rate: Rate, now_us: u64) -> bool {
        let (spent, last) = &self.errors_taken;
        let mut taken = Taken { spent_us: spent.get() as u32, last_us: last.get() };
        let may = rate.take(&mut taken, now_us);
        spent.set(u64::from(taken.spent_us));
        last.set(taken.last_us);
        may
    }
}

/// A tunnel, ready for packets.
#[derive(Debug)]
pub struct IpTunnel {
    parts: Parts,
    remote: Headers,
    backup: Option<Headers>,
    counters: Arc<[Counters]>,
}

/// Outer headers to one address, in front of inner IPv4 and IPv6.
#[derive(Debug)]
struct Headers {
    peer: IpAddr,
    v4: Wrap,
    v6: Wrap,
}

impl Headers {
    fn new(kind: Kind, encapsulation: &Encapsulation) -> Headers {
        let of = |v4| Wrap::bare(encapsulation, kind.protocol(v4), kind.header_length());
        Headers { peer: encapsulation.peer.address, v4: of(true), v6: of(false) }
    }
}

/// Counters for so many workers, all zero.
pub fn counters(workers: usize) -> Arc<[Counters]> {
    (0..workers).map(|_| Counters::default()).collect()
}

impl IpTunnel {
    /// A tunnel; `counters` has a row for each worker.
    pub fn new(parts: Parts, counters: Arc<[Counters]>) -> IpTunnel {
        let Parts { kind, encapsulation, backup, .. } = parts;
        let to = |address| {
            let peer = crate::sa::Endpoint { address, ..encapsulation.peer };
            Headers::new(kind, &Encapsulation { peer, ..encapsulation })
        };
        let remote = Headers::new(kind, &encapsulation);
        IpTunnel { parts, remote, backup: backup.map(to), counters }
    }

    /// What it was made of.
    pub const fn parts(&self) -> &Parts {
        &self.parts
    }

    /// What a worker counts of it.
    pub fn counters(&self, worker: WorkerId) -> Option<&Counters> {
        self.counters.get(worker.index())
    }

    /// What all workers count of it.
    pub const fn all_counters(&self) -> &Arc<[Counters]> {
        &self.counters
    }

    /// The address packets go to: the backup's while there is no route to the other one (DP-22).
    pub fn active_remote(&self, tables: &View) -> IpAddr {
        self.headers(tables).peer
    }

    /// The outer headers of a packet of one family that enters the tunnel now.
    pub fn wrap(&self, tables: &View, v4: bool) -> &Wrap {
        let headers = self.headers(tables);
        if v4 { &headers.v4 } else { &headers.v6 }
    }

    fn headers(&self, tables: &View) -> &Headers {
        let leads_on = |to: &Headers| {
            let hop = tables.route(self.parts.encapsulation.instance, to.peer);
            hop.is_some_and(|hop| hop != NextHop::Blackhole)
        };
        match &self.backup {
            Some(backup) if !leads_on(&self.remote) => backup,
            _ => &self.remote,
        }
    }
}

/// Our end, the peer's, and what packets from there show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Ends {
    public: u16,
    local: IpAddr,
    remote: IpAddr,
    shown: Shown,
}

/// Why a packet for an end of tunnels is of none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stray {
    /// No tunnel to where it comes from, or none of its kind.
    Stranger,
    /// Only its key is not that of one.
    Key(IpTunnelId),
}

/// All tunnels. Cloning it is two reference counts.
#[derive(Clone, Debug, Default)]
pub struct IpTunnels {
    by_number: Arc<[Option<Arc<IpTunnel>>]>,
    by_ends: Arc<[(Ends, IpTunnelId)]>,
}

impl IpTunnels {
    /// The tunnels, by their numbers. Of two that receive the same the latter does.
    pub fn new(tunnels: Vec<Option<Arc<IpTunnel>>>) -> IpTunnels {
        let numbered = tunnels.iter().enumerate().filter_map(|(at, one)| Some((at, one.as_ref()?)));
        let ends = numbered.flat_map(|(at, tunnel)| {
            let Parts { kind, encapsulation, backup, .. } = tunnel.parts;
            let (public, local) = (encapsulation.instance, encapsulation.local.address);
            let shown = kind.shown();
            let of = move |remote| (Ends { public, local, remote, shown }, IpTunnelId(at as u32));
            [Some(encapsulation.peer.address), backup].into_iter().flatten().map(of)
        });
        let by_ends: std::collections::BTreeMap<_, _> = ends.collect();
        IpTunnels { by_ends: by_ends.into_iter().collect(), by_number: tunnels.into() }
    }

    /// The tunnel with a number.
    pub fn at(&self, IpTunnelId(number): IpTunnelId) -> Option<&Arc<IpTunnel>> {
        self.by_number.get(number as usize)?.as_ref()
    }

    /// Whether an address is our end of one.
    pub fn end_at(&self, public: u16, local: IpAddr) -> bool {
        let is_before = |ends: &Ends| (ends.public, ends.local) < (public, local);
        let at = self.by_ends.partition_point(|(ends, _)| is_before(ends));
        self.by_ends.get(at).is_some_and(|(ends, _)| (ends.public, ends.local) == (public, local))
    }

    /// The tunnel that a packet is of which came to `local` from `remote`.
    ///
    /// # Errors
    /// When there is none.
    pub fn find(
        &self,
        public: u16,
        (local, remote): (IpAddr, IpAddr),
        shown: Shown,
    ) -> Result<(IpTunnelId, &Arc<IpTunnel>), Stray> {
        let key = Ends { public, local, remote, shown };
        let exact = self.by_ends.binary_search_by_key(&key, |(ends, _)| *ends);
        let found = exact.ok().and_then(|at| self.by_ends.get(at));
        let found = found.and_then(|(_, id)| Some((*id, self.at(*id)?)));
        found.ok_or_else(|| self.stray(&key))
    }

    #[cold]
    fn stray(&self, key: &Ends) -> Stray {
        let between = |ends: &Ends| (ends.public, ends.local, ends.remote);
        let start = self.by_ends.partition_point(|(ends, _)| between(ends) < between(key));
        let mut those = self.by_ends.iter().skip(start).take_while(|(ends, _)| between(ends) == between(key));
        let is_gre = |shown| matches!(shown, Shown::Gre(_));
        let other = those.find(|(ends, _)| is_gre(ends.shown) && is_gre(key.shown));
        other.map_or(Stray::Stranger, |(_, id)| Stray::Key(*id))
    }
}

#[cfg(test)]
mod tests;
