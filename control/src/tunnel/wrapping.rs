//! How a tunnel's settings and the sizes of its path become what workers do to packets (DP-23 to DP-35). Pure; the same
//! for a new SA, for one whose path has moved or was found to be narrower, and for one whose tunnel was configured anew.

use ravelin_dataplane::net::esp::Framing;
use ravelin_dataplane::sa::outbound::{Encapsulation, OuterDf, OuterDscp};
use ravelin_dataplane::sa::pace::Rate;
use ravelin_dataplane::sa::suite::Suite;
use ravelin_dataplane::sa::wrap::Wrap;
use ravelin_dataplane::sa::{Endpoint, Mode};
use ravelin_ike::config::Selector;

use crate::config::plan::{Child, MssAdjust, PacketSettings, TfcPadding, Tunnel};

/// Octets of an IPv4, an IPv6 and a TCP header without options (RFC 6691 §2).
const IPV4: u16 = 20;
const IPV6: u16 = 40;
const TCP: u16 = 20;

/// What is known of how large packets may be on a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// What fits through every way out.
    pub widest: Option<u16>,
    /// What a router on the way said.
    pub learned: Option<u16>,
}

/// How an SA's packets are to be wrapped and unwrapped, whatever its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wrapping {
    mode: Mode,
    packets: PacketSettings,
    dscp: OuterDscp,
    /// Whether there may be IPv6 inside, whose header is larger.
    carries_v6: bool,
    /// What its suite puts around a packet.
    framing: Framing,
    /// Whether the peer takes padding against traffic analysis.
    takes_padding: bool,
}

impl Wrapping {
    /// That of a child whose SA carries this on our side, by this suite.
    pub fn of(tunnel: &Tunnel, child: &Child, carried: &[Selector], suite: Suite) -> Self {
        let carries_v6 = carried.iter().any(|selector| selector.start.is_ipv6());
        let (mode, packets, dscp) = (tunnel.mode, tunnel.packets, outer_dscp(child));
        Self { mode, packets, dscp, carries_v6, framing: suite.framing(), takes_padding: true }
    }

    /// The same towards a peer that takes padding, or does not.
    pub const fn towards(self, takes_padding: bool) -> Self {
        Self { takes_padding, ..self }
    }

    /// The same under another configuration.
    pub fn reconfigured(self, tunnel: &Tunnel, child: &Child) -> Self {
        Self { packets: tunnel.packets, dscp: outer_dscp(child), ..self }
    }

    /// What its packets are.
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// Whether routers on the way are believed.
    pub const fn learns(&self) -> bool {
        self.packets.path_mtu_discovery
    }

    /// For how many microseconds they are.
    pub fn believes_for(&self) -> u64 {
        u64::from(self.packets.path_mtu_aging) * 1_000_000
    }

    /// Whether the outer traffic class is copied inwards.
    pub const fn copies_traffic_class(&self) -> bool {
        self.packets.copy_traffic_class
    }

    /// How packets go from one end to the other.
    pub fn encapsulation(
        &self,
        instance: u16,
        (local, peer): (Endpoint, Endpoint),
        sizes: Sizes,
    ) -> Encapsulation {
        let Self { packets, dscp, .. } = *self;
        let (outer_mtu, df) = outer(&packets, sizes);
        let wrapped = Encapsulation {
            mode: self.mode,
            df,
            dscp,
            inner_mtu: packets.ip_mtu,
            outer_mtu,
            clear_inner_df: packets.clear_df_bit,
            silent: !packets.icmp_generation,
            errors: error_rate(&packets),
            dummies: packets.dummies,
            ..Encapsulation::between(instance, local, peer)
        };
        let tcp_mss = self.mss(packets.private_mss, &wrapped);
        Encapsulation { tcp_mss, padded_to: self.padded_to(&wrapped), ..wrapped }
    }

    /// To what inner packets are padded: never to more than fits whole.
    fn padded_to(&self, encapsulation: &Encapsulation) -> Option<u16> {
        let whole = self.whole(encapsulation);
        match self.packets.tfc {
            _ if !self.takes_padding => None,
            TfcPadding::Off => None,
            TfcPadding::Mtu => whole,
            TfcPadding::To(octets) => Some(whole.map_or(octets, |whole| whole.min(octets))),
        }
    }

    /// Octets of the largest inner packet that would fit whole between the same ends over a path of other sizes.
    pub fn fits(&self, now: &Encapsulation, sizes: Sizes) -> Option<u16> {
        self.whole(&self.encapsulation(now.instance, (now.local, now.peer), sizes))
    }

    /// Octets of the largest inner packet that fits whole, if that is known.
    pub fn whole(&self, encapsulation: &Encapsulation) -> Option<u16> {
        let wrap = Wrap::new(encapsulation, self.framing);
        let within = encapsulation.outer_mtu.map(|outer| wrap.largest_within(outer, self.framing));
        [within, encapsulation.inner_mtu].into_iter().flatten().min()
    }

    /// To what the MSS of SYNs that leave the tunnel is lowered.
    pub fn leaving_mss(&self, encapsulation: &Encapsulation) -> Option<u16> {
        self.mss(self.packets.public_mss, encapsulation)
    }

    fn mss(&self, adjust: MssAdjust, encapsulation: &Encapsulation) -> Option<u16> {
        mss(adjust, self.whole(encapsulation), self.carries_v6)
    }
}

/// Octets of the largest outer packet, and its Don't Fragment. Where senders are not to be told what routers said, outer
/// packets are cut to it.
pub(super) fn outer(packets: &PacketSettings, Sizes { widest, learned }: Sizes) -> (Option<u16>, OuterDf) {
    let learned = learned.filter(|_| packets.path_mtu_discovery);
    let outer_mtu = [widest, learned, packets.encapsulated_ip_mtu].into_iter().flatten().min();
    let is_narrowed = learned.is_some() && outer_mtu == learned && outer_mtu != widest;
    let cuts = is_narrowed && !packets.propagate_path_mtu;
    (outer_mtu, if cuts { OuterDf::Clear } else { packets.outer_df })
}

/// How many ICMP errors are sent about what is too large, if the tunnel says so itself.
pub(super) fn error_rate(packets: &PacketSettings) -> Option<Rate> {
    packets.icmp_rate.map(|(messages, seconds)| Rate::new(messages, u32::from(seconds) * 1_000_000))
}

/// To what an MSS is lowered where inner packets of so many octets fit, if that is known.
pub(super) fn mss(adjust: MssAdjust, inner: Option<u16>, carries_v6: bool) -> Option<u16> {
    match adjust {
        MssAdjust::Off => None,
        MssAdjust::To(mss) => Some(mss),
        MssAdjust::Auto => {
            let ip = if carries_v6 { IPV6 } else { IPV4 };
            Some(inner?.saturating_sub(ip + TCP)).filter(|mss| *mss > 0)
        }
    }
}

/// The DSCP of a child's outer packets (IKE-14).
fn outer_dscp(child: &Child) -> OuterDscp {
    child.dscp.map_or(OuterDscp::Copy, OuterDscp::Fixed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrapping(packets: PacketSettings, carries_v6: bool) -> Wrapping {
        let (dscp, framing) = (OuterDscp::Copy, Framing::GCM);
        Wrapping { mode: Mode::Tunnel, packets, dscp, carries_v6, framing, takes_padding: true }
    }

    fn wrapped(wrapping: Wrapping, learned: Option<u16>) -> Encapsulation {
        let end = |n: u8| Endpoint { address: [192, 0, 2, n].into(), port: 0 };
        wrapping.encapsulation(0, (end(1), end(2)), Sizes { widest: Some(1500), learned })
    }

    /// The smallest of what is configured, what routers say and what interfaces take; routers only where they are heard.
    #[test]
    fn the_smallest_size_counts() {
        let of = |encapsulated_ip_mtu, path_mtu_discovery, learned| {
            let packets =
                PacketSettings { encapsulated_ip_mtu, path_mtu_discovery, ..PacketSettings::default() };
            wrapped(wrapping(packets, false), learned).outer_mtu
        };
        assert_eq!(of(None, true, None), Some(1500));
        assert_eq!(of(None, true, Some(1300)), Some(1300));
        assert_eq!(of(None, false, Some(1300)), Some(1500));
        assert_eq!(of(Some(1400), true, Some(1300)), Some(1300));
        assert_eq!(of(Some(1200), true, Some(1300)), Some(1200));
        assert_eq!(of(Some(9000), true, None), Some(1500));
    }

    /// Where senders are not to hear of it, what a router said has outer packets cut, and inner ones may be as large as
    /// before.
    #[test]
    fn what_is_not_propagated_is_cut() {
        let of = |propagate_path_mtu, learned| {
            let packets = PacketSettings { propagate_path_mtu, ..PacketSettings::default() };
            let wrapped = wrapped(wrapping(packets, false), learned);
            let wrap = Wrap::new(&wrapped, Framing::GCM);
            (wrapped.df, wrapped.outer_mtu, wrap.limits.largest(true, true))
        };
        assert_eq!(of(true, Some(1300)), (OuterDf::Copy, Some(1300), 1246));
        assert_eq!(of(false, None), of(true, None));
        let (df, outer, inner) = of(false, Some(1300));
        assert_eq!((df, outer), (OuterDf::Clear, Some(1300)));
        assert!(inner > 1446, "{inner}");
    }

    /// Padding goes to what is said and never beyond what fits whole, on a narrower path too; to a peer that takes none
    /// there is none.
    #[test]
    fn padding_fits() {
        let of = |tfc, ip_mtu, learned, takes| {
            let packets = PacketSettings { tfc, ip_mtu, ..PacketSettings::default() };
            wrapped(wrapping(packets, false).towards(takes), learned).padded_to
        };
        assert_eq!(of(TfcPadding::Off, None, None, true), None);
        assert_eq!(of(TfcPadding::Mtu, None, None, true), Some(1446));
        assert_eq!(of(TfcPadding::Mtu, None, Some(1300), true), Some(1246));
        assert_eq!(of(TfcPadding::Mtu, Some(1000), None, true), Some(1000));
        assert_eq!(of(TfcPadding::To(700), None, None, true), Some(700));
        assert_eq!(of(TfcPadding::To(9000), None, Some(1300), true), Some(1246));
        assert_eq!(of(TfcPadding::Mtu, None, None, false), None);
    }

    /// Dummies are asked for where padding is; whether there are any is the worker's to say, by what it pads.
    #[test]
    fn dummies_go_with_padding() {
        let packets =
            PacketSettings { tfc: TfcPadding::To(700), dummies: Some(20), ..PacketSettings::default() };
        let towards = |takes| wrapped(wrapping(packets, false).towards(takes), None);
        assert_eq!((towards(true).padded_to, towards(true).dummies), (Some(700), Some(20)));
        assert_eq!((towards(false).padded_to, towards(false).dummies), (None, Some(20)));
    }

    /// What `auto` makes of an MSS is what fits whole, and follows the path.
    #[test]
    fn auto_follows_what_fits() {
        let auto = PacketSettings {
            private_mss: MssAdjust::Auto,
            public_mss: MssAdjust::Auto,
            ..PacketSettings::default()
        };
        // 1500 - 20 - 8 - 8 - 16 = 1448 octets of text, of which two are trailer.
        assert_eq!(wrapped(wrapping(auto, false), None).tcp_mss, Some(1446 - 40));
        assert_eq!(wrapped(wrapping(auto, true), None).tcp_mss, Some(1446 - 60));
        assert_eq!(wrapped(wrapping(auto, false), Some(1300)).tcp_mss, Some(1246 - 40));
        let narrow = PacketSettings { ip_mtu: Some(1000), ..auto };
        let narrow = (wrapping(narrow, false), wrapped(wrapping(narrow, false), None));
        assert_eq!((narrow.1.tcp_mss, narrow.0.leaving_mss(&narrow.1)), (Some(960), Some(960)));
        let fixed = PacketSettings { private_mss: MssAdjust::To(1111), ..PacketSettings::default() };
        let fixed = (wrapping(fixed, true), wrapped(wrapping(fixed, true), Some(600)));
        assert_eq!((fixed.1.tcp_mss, fixed.0.leaving_mss(&fixed.1)), (Some(1111), None));
    }
}
