//! An ip-tunnel of the plan as the workers are to have it, and whether it may be up (DP-22, TG-15, TG-16). Pure.

use std::net::IpAddr;
use std::sync::Arc;

use ravelin_dataplane::net::{ipv4, ipv6};
use ravelin_dataplane::policy::ip_tunnel::Parts;
use ravelin_dataplane::sa::outbound::{Encapsulation, OuterDscp};
use ravelin_dataplane::sa::suite::Suite;
use ravelin_dataplane::sa::wrap::Wrap;
use ravelin_dataplane::sa::{Endpoint, Mode};

use super::wrapping::Sizes;
use super::{suite, wrapping};
use crate::config::plan::{Child, IpTunnel, Keying, Plan, Tunnel};

/// Why one is down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Down {
    /// The operator says so.
    #[error("enabled = false")]
    Admin,
    /// One of its instances forwards nothing.
    #[error("an instance of its own is out of service: see `ravelin doctor`")]
    OutOfService,
    /// Our end is not an address of ours at the moment.
    #[error("local = {0} is no address of its public instance now")]
    NoLocal(IpAddr),
    /// An address of the other end is in no subnet of ours (TG-15).
    #[error("dest-ip {0} is in no local subnet of the private instance: see `addresses`")]
    UnresolvedDestIp(IpAddr),
}

impl Down {
    /// A word for scripts.
    pub const fn code(self) -> &'static str {
        match self {
            Down::Admin => "admin-down",
            Down::OutOfService => "out-of-service",
            Down::NoLocal(_) => "no-local-address",
            Down::UnresolvedDestIp(_) => "unresolved-dest-ip",
        }
    }
}

/// What is true of the instances of one at the moment.
pub trait Ground {
    /// Whether an instance forwards nothing.
    fn is_out(&self, instance: u16) -> bool;
    /// Whether an address is ours.
    fn is_ours(&self, instance: u16, address: IpAddr) -> bool;
    /// Whether an address is in a subnet of an interface of ours.
    fn is_on_link(&self, instance: u16, address: IpAddr) -> bool;
}

/// Why an ip-tunnel is down, if it is. Groups are on every link.
pub fn down(tunnel: &IpTunnel, ground: &impl Ground) -> Option<Down> {
    if !tunnel.enabled {
        return Some(Down::Admin);
    }
    if ground.is_out(tunnel.public) || ground.is_out(tunnel.private) {
        return Some(Down::OutOfService);
    }
    if !ground.is_ours(tunnel.public, tunnel.local) {
        return Some(Down::NoLocal(tunnel.local));
    }
    unresolved(tunnel, ground).map(Down::UnresolvedDestIp)
}

/// An address of the other end that is in no subnet of ours.
fn unresolved(tunnel: &IpTunnel, ground: &impl Ground) -> Option<IpAddr> {
    let mut unicast = tunnel.dest_ips.iter().copied().filter(|address| !address.is_multicast());
    unicast.find(|address| !ground.is_on_link(tunnel.private, *address))
}

/// The tunnel in transport mode that protects what an ip-tunnel puts around packets, if one does.
pub fn protector<'p>(plan: &'p Plan, tunnel: &IpTunnel) -> Option<&'p Tunnel> {
    let is_between = |one: &Tunnel| {
        let remotes = [Some(tunnel.remote), tunnel.backup];
        let same_ends =
            (one.public, one.local) == (tunnel.public, tunnel.local) && remotes.contains(&one.remote);
        one.mode == Mode::Transport && one.remote.is_some() && same_ends
    };
    let carries = |child: &Child| {
        let protocols = tunnel.kind.protocols();
        child.local_ts.iter().any(|selector| selector.protocol == 0 || protocols.contains(&selector.protocol))
    };
    let found = plan.tunnels.values().find(|one| is_between(one) && one.children.iter().any(carries));
    found.map(Arc::as_ref)
}

/// What is left of `widest` for outer packets that ESP in transport mode goes into, whichever of the suites of `protector` is
/// agreed on: who sends what is larger is to be told before it is too late.
pub fn within(protector: &Tunnel, widest: u16) -> u16 {
    let header = if protector.local.is_ipv4() { ipv4::Repr::LEN } else { ipv6::Repr::LEN };
    let room = usize::from(widest).saturating_sub(header);
    let left = suites(protector).map(|suite| header + suite.framing().largest_payload(room)).min();
    left.map_or(widest, |left| left as u16)
}

/// The suites that may be agreed on for a tunnel, or are in use.
fn suites(tunnel: &Tunnel) -> impl Iterator<Item = Suite> {
    let manual = match &tunnel.keying {
        Keying::Manual(manual) => Some(manual.suite),
        Keying::Ike(_) => None,
    };
    let proposals = tunnel.children.iter().flat_map(|child| child.transform.proposals.iter());
    let proposals = proposals.filter(move |_| manual.is_none());
    let negotiable = proposals.flat_map(|proposal| {
        let integrity = proposal.integrity.iter().map(|integrity| Some(*integrity)).chain([None]);
        integrity.flat_map(|integrity| {
            proposal.encryption.iter().filter_map(move |encryption| suite::carried(*encryption, integrity))
        })
    });
    manual.into_iter().chain(negotiable)
}

/// What the workers are told.
pub fn parts(tunnel: &IpTunnel, sizes: Sizes, up: bool) -> Parts {
    let IpTunnel { public, private, local, remote, backup, kind, dscp, ttl, packets, .. } = *tunnel;
    let end = |address| Endpoint { address, port: 0 };
    let (outer_mtu, df) = wrapping::outer(&packets, sizes);
    let wrapped = Encapsulation {
        hop_limit: ttl,
        df,
        dscp: dscp.map_or(OuterDscp::Copy, OuterDscp::Fixed),
        inner_mtu: packets.ip_mtu,
        outer_mtu,
        clear_inner_df: packets.clear_df_bit,
        silent: !packets.icmp_generation,
        errors: wrapping::error_rate(&packets),
        ..Encapsulation::between(public, end(local), end(remote))
    };
    let (wrap, header) = (Wrap::bare(&wrapped, 0, 0), kind.header_length());
    let within = wrapped.outer_mtu.map(|outer| wrap.room_within(outer).saturating_sub(header) as u16);
    let inner = [within, wrapped.inner_mtu].into_iter().flatten().min();
    // There may be IPv6 inside, whose header is larger.
    let mss = |adjust| wrapping::mss(adjust, inner, true);
    Parts {
        private,
        kind,
        encapsulation: Encapsulation { tcp_mss: mss(packets.private_mss), ..wrapped },
        backup,
        copy_traffic_class: packets.copy_traffic_class,
        leaving_mss: mss(packets.public_mss),
        up,
    }
}

/// Octets of the largest inner packet that passes whole, Don't Fragment or not.
pub fn largest_inner(parts: &Parts) -> u16 {
    let wrap = Wrap::bare(&parts.encapsulation, 0, parts.kind.header_length());
    wrap.limits.largest(true, true) as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::plan::{MssAdjust, PacketSettings};
    use ipnet::IpNet;
    use ravelin_dataplane::policy::ip_tunnel::Kind;
    use ravelin_dataplane::sa::outbound::OuterDf;

    struct World {
        out: Option<u16>,
        networks: Vec<(u16, IpNet)>,
    }

    impl Ground for World {
        fn is_out(&self, instance: u16) -> bool {
            self.out == Some(instance)
        }
        fn is_ours(&self, instance: u16, address: IpAddr) -> bool {
            self.networks.iter().any(|(at, net)| *at == instance && net.addr() == address)
        }
        fn is_on_link(&self, instance: u16, address: IpAddr) -> bool {
            self.networks.iter().any(|(at, net)| *at == instance && net.contains(&address))
        }
    }

    fn tunnel(dest_ips: &[&str], packets: PacketSettings) -> IpTunnel {
        let address = |text: &str| text.parse().unwrap();
        IpTunnel {
            name: "branch".into(),
            description: String::new(),
            enabled: true,
            public: 0,
            private: 1,
            local: address("192.0.2.2"),
            remote: address("192.0.2.1"),
            backup: None,
            kind: Kind::Gre { send: Some(1), receive: None },
            addresses: Vec::new(),
            dest_ips: dest_ips.iter().copied().map(address).collect(),
            routes: Vec::new(),
            dscp: None,
            ttl: 255,
            reassembly: None,
            packets,
        }
    }

    /// TG-15: all of them, and in the private instance; a group is on every link.
    #[test]
    fn one_dest_ip_that_is_not_on_a_link_of_ours_keeps_it_down() {
        let network = |text: &str| text.parse().unwrap();
        let networks =
            vec![(0, network("192.0.2.2/24")), (1, network("10.9.0.1/30")), (1, network("fd09::1/64"))];
        let mut world = World { out: None, networks };
        let of = |dest_ips: &[&str]| tunnel(dest_ips, PacketSettings::default());
        assert_eq!(down(&of(&[]), &world), None);
        assert_eq!(down(&of(&["10.9.0.2", "fd09::2", "224.0.0.5", "ff02::5"]), &world), None);
        let unresolved = |text: &str| Some(Down::UnresolvedDestIp(text.parse().unwrap()));
        assert_eq!(down(&of(&["10.9.0.2", "10.9.0.5"]), &world), unresolved("10.9.0.5"));
        assert_eq!(down(&of(&["192.0.2.9"]), &world), unresolved("192.0.2.9"), "that is the public side");
        assert_eq!(down(&IpTunnel { enabled: false, ..of(&[]) }, &world), Some(Down::Admin));
        let moved = IpTunnel { local: "192.0.2.3".parse().unwrap(), ..of(&[]) };
        assert_eq!(down(&moved, &world), Some(Down::NoLocal("192.0.2.3".parse().unwrap())));
        world.out = Some(1);
        assert_eq!(down(&of(&[]), &world), Some(Down::OutOfService));
    }

    #[test]
    fn sizes_follow_what_is_configured_and_what_fits() {
        let auto = PacketSettings {
            private_mss: MssAdjust::Auto,
            public_mss: MssAdjust::To(900),
            outer_df: OuterDf::Clear,
            ..PacketSettings::default()
        };
        let told = parts(&tunnel(&[], auto), wide(None), true);
        assert_eq!((told.encapsulation.outer_mtu, told.encapsulation.df), (Some(1500), OuterDf::Clear));
        // 1500 - 20 - 8, less IPv6 and TCP.
        assert_eq!((told.encapsulation.tcp_mss, told.leaving_mss), (Some(1472 - 60), Some(900)));
        let narrow = PacketSettings { ip_mtu: Some(1000), encapsulated_ip_mtu: Some(1400), ..auto };
        let told = parts(&tunnel(&[], narrow), wide(None), false);
        assert_eq!((told.encapsulation.outer_mtu, told.encapsulation.tcp_mss), (Some(1400), Some(940)));
        assert!(!told.up);
    }

    fn wide(learned: Option<u16>) -> Sizes {
        Sizes { widest: Some(1500), learned }
    }

    /// DP-30: what a router said is heeded, by telling senders or by cutting, or not at all.
    #[test]
    fn what_a_router_said_is_heeded() {
        let of = |path_mtu_discovery, propagate_path_mtu| {
            let packets =
                PacketSettings { path_mtu_discovery, propagate_path_mtu, ..PacketSettings::default() };
            let told = parts(&tunnel(&[], packets), wide(Some(1300)), true);
            (told.encapsulation.outer_mtu, told.encapsulation.df, largest_inner(&told))
        };
        assert_eq!(of(true, true), (Some(1300), OuterDf::Copy, 1300 - 28));
        assert_eq!(of(false, true), (Some(1500), OuterDf::Copy, 1500 - 28));
        let (outer, df, inner) = of(true, false);
        assert_eq!((outer, df), (Some(1300), OuterDf::Clear));
        assert!(inner > 1472, "{inner}");
    }
}
