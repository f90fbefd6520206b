//! What a tunnel does to packets besides protecting them (DP-23 to DP-35).

use ravelin_dataplane::sa::outbound::OuterDf;

/// The settings of a tunnel, or of those of a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PacketSettings {
    /// Largest inner packet.
    pub ip_mtu: Option<u16>,
    /// Largest outer packet; a larger one is cut after encryption.
    pub encapsulated_ip_mtu: Option<u16>,
    /// Cut inner IPv4 packets that forbid it.
    pub clear_df_bit: bool,
    /// Don't Fragment of outer packets.
    pub outer_df: OuterDf,
    /// MSS of SYNs that enter the tunnel.
    pub private_mss: MssAdjust,
    /// MSS of SYNs that leave it.
    pub public_mss: MssAdjust,
    /// Copy the outer traffic class inwards, not only ECN.
    pub copy_traffic_class: bool,
    /// Tell senders what fits.
    pub icmp_generation: bool,
    /// Believe routers on the way that say what fits.
    pub path_mtu_discovery: bool,
    /// Tell senders of inner packets what routers on the way said, rather than cut outer packets to it.
    pub propagate_path_mtu: bool,
    /// Seconds for which routers on the way are believed.
    pub path_mtu_aging: u16,
    /// How many ICMP errors are sent about packets that are too large, in how many seconds; `None`: by the worker's rate.
    pub icmp_rate: Option<(u16, u8)>,
    /// Padding of inner packets against traffic analysis.
    pub tfc: TfcPadding,
    /// Dummy packets a second where an SA carries nothing, where the peer takes padding.
    pub dummies: Option<u16>,
}

impl Default for PacketSettings {
    fn default() -> Self {
        Self {
            ip_mtu: None,
            encapsulated_ip_mtu: None,
            clear_df_bit: false,
            outer_df: OuterDf::Copy,
            private_mss: MssAdjust::Off,
            public_mss: MssAdjust::Off,
            copy_traffic_class: false,
            icmp_generation: true,
            path_mtu_discovery: true,
            propagate_path_mtu: true,
            path_mtu_aging: 600,
            icmp_rate: None,
            tfc: TfcPadding::Off,
            dummies: None,
        }
    }
}

impl PacketSettings {
    /// What is other than where nothing is written, by the keys and in the words of the configuration.
    pub fn told(&self) -> Vec<(&'static str, String)> {
        // Of nearly all tunnels, which are listed by the thousand, there is nothing to say.
        if *self == Self::default() {
            return Vec::new();
        }
        let all = |of: &Self| {
            let size = |size: Option<u16>| size.map(|size| size.to_string()).unwrap_or_default();
            let df = OUTER_DF.iter().find(|(_, df)| *df == of.outer_df).map_or("", |(name, _)| *name);
            [
                ("ip-mtu", size(of.ip_mtu)),
                ("encapsulated-ip-mtu", size(of.encapsulated_ip_mtu)),
                ("clear-df-bit", of.clear_df_bit.to_string()),
                ("outer-df", df.to_owned()),
                ("private-tcp-mss-adjust", of.private_mss.to_string()),
                ("public-tcp-mss-adjust", of.public_mss.to_string()),
                ("copy-traffic-class-upon-decapsulation", of.copy_traffic_class.to_string()),
                ("icmp-generation", of.icmp_generation.to_string()),
                ("path-mtu-discovery", of.path_mtu_discovery.to_string()),
                ("propagate-path-mtu", of.propagate_path_mtu.to_string()),
                ("path-mtu-aging", of.path_mtu_aging.to_string()),
                ("icmp-messages", of.icmp_rate.map(|(messages, _)| messages.to_string()).unwrap_or_default()),
                ("icmp-interval", of.icmp_rate.map(|(_, interval)| interval.to_string()).unwrap_or_default()),
                ("tfc-padding", of.tfc.to_string()),
                ("dummy-packets", size(of.dummies)),
            ]
        };
        let default = all(&Self::default());
        all(self)
            .into_iter()
            .zip(default)
            .filter(|(own, default)| own != default)
            .map(|(own, _)| own)
            .collect()
    }
}

/// To what length inner packets are padded (RFC 4303 §2.7), where the peer takes that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TfcPadding {
    /// They are not.
    Off,
    /// To all that fits whole, as far as is known.
    Mtu,
    /// To so many octets, or what fits whole if that is less.
    To(u16),
}

impl std::fmt::Display for TfcPadding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::Mtu => f.write_str("mtu"),
            Self::To(octets) => octets.fmt(f),
        }
    }
}

/// What becomes of the MSS of a TCP SYN; it is only ever lowered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MssAdjust {
    /// Nothing.
    Off,
    /// At most what fits into the tunnel whole, as far as is known.
    Auto,
    /// At most this.
    To(u16),
}

impl std::fmt::Display for MssAdjust {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::Auto => f.write_str("auto"),
            Self::To(mss) => mss.fmt(f),
        }
    }
}

/// The names that a configuration has for what becomes of Don't Fragment.
pub const OUTER_DF: [(&str, OuterDf); 3] =
    [("copy", OuterDf::Copy), ("clear", OuterDf::Clear), ("set", OuterDf::Set)];
