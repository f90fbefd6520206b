//! `packets` of tunnels and templates: sizes, Don't Fragment, MSS, traffic class, what senders are told (DP-23 to DP-35).

use ravelin_dataplane::net::esp::Framing;
use ravelin_dataplane::sa::outbound::OuterDf;
use toml::Spanned;

use super::plan::{MssAdjust, OUTER_DF, PacketSettings, TfcPadding};
use super::raw;
use super::resolve::Judge;

/// What every IPv4 host takes is 576; below that there is no use (DP-23, DP-25).
const LEAST: u64 = 512;
const MOST: u64 = 9000;
/// RFC 1191 §6.3: not oftener than every five minutes is larger tried, ten suggested; an operator may know better.
const AGING: std::ops::RangeInclusive<u64> = 60..=3600;
/// DP-28, DP-29.
pub const MESSAGES: std::ops::RangeInclusive<u64> = 10..=1000;
pub const INTERVAL: std::ops::RangeInclusive<u64> = 1..=60;
/// Less is less than most packets have.
const LEAST_PADDED: u64 = 64;
/// Dummy packets a second: from what shows that somebody is there, to what a megabit costs in packets of 128 octets.
const DUMMIES: std::ops::RangeInclusive<u64> = 1..=1000;
/// Octets in front of ESP at least: IPv4 and IPv6.
const OUTER_V4: usize = 20;
const OUTER_V6: usize = 40;

/// What stands in front of inner packets.
#[derive(Debug, Clone, Copy)]
pub struct Behind {
    /// The family of the outer addresses.
    pub outer_v4: bool,
    /// Octets behind the outer header; none: ESP's.
    pub header: Option<usize>,
}

impl Behind {
    /// ESP.
    pub const fn esp(outer_v4: bool) -> Behind {
        Behind { outer_v4, header: None }
    }

    /// The largest inner packet within so many octets.
    fn largest_within(self, outer: usize) -> usize {
        let room = outer.saturating_sub(if self.outer_v4 { OUTER_V4 } else { OUTER_V6 });
        // Other suites take more; who uses them is not told too early.
        let of_esp = || Framing::GCM.largest_payload(room);
        self.header.map_or_else(of_esp, |header| room.saturating_sub(header))
    }

    const fn hint(self) -> &'static str {
        if self.header.is_none() { ", 8 less yet with UDP" } else { "" }
    }
}

/// Judges the settings of one object.
pub fn settings(judge: &mut Judge<'_>, object: &str, raw: &raw::Packets, behind: Behind) -> PacketSettings {
    let default = PacketSettings::default();
    let mut size = |key, value: &Option<Spanned<u64>>| {
        value.as_ref().map(|value| judge.number(object, key, Some(value), LEAST..=MOST, MOST) as u16)
    };
    let ip_mtu = size("ip-mtu", &raw.ip_mtu);
    let encapsulated_ip_mtu = size("encapsulated-ip-mtu", &raw.encapsulated_ip_mtu);
    warn_of_two_cuts(judge, object, raw, behind);
    // Who says how large outer packets may be has them cut: the inner packet's word would only refuse them.
    let unsaid = if encapsulated_ip_mtu.is_some() { OuterDf::Clear } else { default.outer_df };
    PacketSettings {
        ip_mtu,
        encapsulated_ip_mtu,
        clear_df_bit: raw.clear_df_bit.unwrap_or(default.clear_df_bit),
        outer_df: outer_df(judge, object, raw).unwrap_or(unsaid),
        private_mss: mss(judge, object, "private-tcp-mss-adjust", raw.private_tcp_mss_adjust.as_ref()),
        public_mss: mss(judge, object, "public-tcp-mss-adjust", raw.public_tcp_mss_adjust.as_ref()),
        copy_traffic_class: raw.copy_traffic_class_upon_decapsulation.unwrap_or(default.copy_traffic_class),
        icmp_generation: raw.icmp_generation.unwrap_or(default.icmp_generation),
        path_mtu_discovery: raw.path_mtu_discovery.unwrap_or(default.path_mtu_discovery),
        propagate_path_mtu: raw.propagate_path_mtu.unwrap_or(default.propagate_path_mtu),
        path_mtu_aging: judge.number(object, "path-mtu-aging", raw.path_mtu_aging.as_ref(), AGING, 600)
            as u16,
        icmp_rate: icmp_rate(judge, object, raw),
        tfc: tfc(judge, object, raw.tfc_padding.as_ref()),
        dummies: dummies(judge, object, raw),
    }
}

/// A tunnel that says either has a rate of its own.
fn icmp_rate(judge: &mut Judge<'_>, object: &str, raw: &raw::Packets) -> Option<(u16, u8)> {
    let messages = judge.number(object, "icmp-messages", raw.icmp_messages.as_ref(), MESSAGES, 100) as u16;
    let interval = judge.number(object, "icmp-interval", raw.icmp_interval.as_ref(), INTERVAL, 10) as u8;
    raw.icmp_messages.as_ref().or(raw.icmp_interval.as_ref()).map(|_| (messages, interval))
}

fn outer_df(judge: &mut Judge<'_>, object: &str, raw: &raw::Packets) -> Option<OuterDf> {
    let read = |text: &str| {
        let found = OUTER_DF.into_iter().find(|(name, _)| *name == text);
        found.map(|(_, df)| df).ok_or("copy, clear or set")
    };
    raw.outer_df.as_ref().and_then(|text| judge.value(object, "outer-df", text, read))
}

/// A number, or `mtu`.
fn tfc(judge: &mut Judge<'_>, object: &str, value: Option<&Spanned<toml::Value>>) -> TfcPadding {
    let Some(value) = value else { return TfcPadding::Off };
    let read = match value.get_ref() {
        toml::Value::String(text) if text == "mtu" => Some(TfcPadding::Mtu),
        toml::Value::Integer(number) => u64::try_from(*number)
            .ok()
            .filter(|octets| (LEAST_PADDED..=MOST).contains(octets))
            .map(|octets| TfcPadding::To(octets as u16)),
        _ => None,
    };
    if read.is_none() {
        let found = format!("tfc-padding = {} is not valid", value.get_ref());
        judge.refuse(value.span().start, object, found, format!("{LEAST_PADDED} to {MOST}, or \"mtu\""));
    }
    read.unwrap_or(TfcPadding::Off)
}

/// Dummies that are of other lengths than packets deceive nobody.
fn dummies(judge: &mut Judge<'_>, object: &str, raw: &raw::Packets) -> Option<u16> {
    let rate = raw.dummy_packets.as_ref()?;
    if raw.tfc_padding.is_none() {
        let found = "dummy-packets is there without tfc-padding".to_owned();
        judge.refuse(
            rate.span().start,
            object,
            found,
            "tfc-padding, or their length tells dummies from packets",
        );
    }
    Some(judge.number(object, "dummy-packets", Some(rate), DUMMIES, 1) as u16)
}

/// A number, or `auto`.
fn mss(judge: &mut Judge<'_>, object: &str, key: &str, value: Option<&Spanned<toml::Value>>) -> MssAdjust {
    let Some(value) = value else { return MssAdjust::Off };
    let read = match value.get_ref() {
        toml::Value::String(text) if text == "auto" => Some(MssAdjust::Auto),
        toml::Value::Integer(number) => u64::try_from(*number)
            .ok()
            .filter(|mss| (LEAST..=MOST).contains(mss))
            .map(|mss| MssAdjust::To(mss as u16)),
        _ => None,
    };
    if read.is_none() {
        let found = format!("{key} = {} is not valid", value.get_ref());
        judge.refuse(value.span().start, object, found, format!("{LEAST} to {MOST}, or \"auto\""));
    }
    read.unwrap_or(MssAdjust::Off)
}

/// DP-26: an inner packet of the largest size whose outer packet is cut again.
fn warn_of_two_cuts(judge: &mut Judge<'_>, object: &str, raw: &raw::Packets, behind: Behind) {
    let (Some(inner), Some(outer)) = (&raw.ip_mtu, &raw.encapsulated_ip_mtu) else { return };
    let fits = behind.largest_within(*outer.get_ref() as usize);
    if *inner.get_ref() as usize > fits {
        let found = format!(
            "ip-mtu = {}, and what encapsulated-ip-mtu = {} holds is {fits} at most: large packets are cut twice",
            inner.get_ref(),
            outer.get_ref()
        );
        judge.warn(inner.span().start, object, found, format!("ip-mtu = {fits} or less{}", behind.hint()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ground::{one_tunnel, read};

    fn judged(lines: &str) -> Result<(PacketSettings, Vec<String>), String> {
        let plan = read(&one_tunnel("", "", "", &format!("[tunnel.net.packets]\n{lines}\n")));
        let plan = plan.map_err(|refused| format!("{refused:?}"))?;
        let settings = plan.tunnels["net"].packets;
        Ok((settings, plan.warnings.iter().map(ToString::to_string).collect()))
    }

    #[test]
    fn what_is_written_is_what_is_planned() {
        assert_eq!(judged("").unwrap().0, PacketSettings::default());
        let all = "ip-mtu = 1300\nencapsulated-ip-mtu = 1400\nclear-df-bit = true\nouter-df = \"set\"\n\
            private-tcp-mss-adjust = \"auto\"\npublic-tcp-mss-adjust = 1200\n\
            copy-traffic-class-upon-decapsulation = true\nicmp-generation = false\npath-mtu-discovery = false\n\
            propagate-path-mtu = false\npath-mtu-aging = 900\nicmp-messages = 50\ntfc-padding = \"mtu\"\ndummy-packets = 20";
        let expected = PacketSettings {
            ip_mtu: Some(1300),
            encapsulated_ip_mtu: Some(1400),
            clear_df_bit: true,
            outer_df: OuterDf::Set,
            private_mss: MssAdjust::Auto,
            public_mss: MssAdjust::To(1200),
            copy_traffic_class: true,
            icmp_generation: false,
            path_mtu_discovery: false,
            propagate_path_mtu: false,
            path_mtu_aging: 900,
            icmp_rate: Some((50, 10)),
            tfc: TfcPadding::Mtu,
            dummies: Some(20),
        };
        assert_eq!(judged(all).unwrap(), (expected, Vec::new()));
        assert_eq!(judged("encapsulated-ip-mtu = 1400").unwrap().0.outer_df, OuterDf::Clear);
    }

    #[test]
    fn mistakes_are_refused_and_two_cuts_told_of() {
        for (lines, expected) in [
            ("ip-mtu = 511", "ip-mtu = 511 is out of range"),
            ("encapsulated-ip-mtu = 9001", "expected: \"512 to 9000\""),
            ("outer-df = \"none\"", "copy, clear or set"),
            ("private-tcp-mss-adjust = \"on\"", "512 to 9000, or \\\"auto\\\""),
            ("public-tcp-mss-adjust = 100", "public-tcp-mss-adjust = 100 is not valid"),
            ("path-mtu-aging = 59", "expected: \"60 to 3600\""),
            ("icmp-messages = 9", "expected: \"10 to 1000\""),
            ("icmp-interval = 61", "expected: \"1 to 60\""),
            ("tfc-padding = 63", "64 to 9000, or \\\"mtu\\\""),
            ("tfc-padding = \"all\"", "64 to 9000, or \\\"mtu\\\""),
            ("tfc-padding = 64\ndummy-packets = 1001", "expected: \"1 to 1000\""),
            ("dummy-packets = 5", "dummy-packets is there without tfc-padding"),
            ("mtu = 1", "unknown field \\\"mtu\\\""),
        ] {
            let refused = judged(lines).unwrap_err();
            assert!(refused.contains(expected), "wanted {expected}, got {refused}");
        }
        // 1400 - 20 - 8 - 8 - 16 = 1348, a multiple of four; less two octets of trailer.
        assert_eq!(judged("ip-mtu = 1346\nencapsulated-ip-mtu = 1400").unwrap().1, Vec::<String>::new());
        let told = judged("ip-mtu = 1347\nencapsulated-ip-mtu = 1400").unwrap().1;
        assert!(
            told.iter().any(|line| line.contains("is 1346 at most: large packets are cut twice")),
            "{told:?}"
        );
    }
}
