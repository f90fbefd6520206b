//! How large packets of a tunnel may be, for people.

use crate::api::reply::MtuProbe;

/// Two lines or three.
pub fn mtu(probe: &MtuProbe) -> String {
    let MtuProbe { tunnel, inner_mtu, inner_mtu_now, advice, .. } = probe;
    let now = match inner_mtu == inner_mtu_now {
        true => "as the gateway has it".to_owned(),
        false => format!("the gateway has it at {inner_mtu_now}"),
    };
    let path = probe.path_mtu.map(|octets| format!("{octets} octets outside, ")).unwrap_or_default();
    let advice = if advice.is_empty() { String::new() } else { format!("\n  to do: {advice}") };
    format!("{tunnel}: {path}{inner_mtu} octets inside ({now})\n  {}{advice}", how(probe))
}

fn how(probe: &MtuProbe) -> String {
    let MtuProbe { asked, from, limit, limited_by, echoes, doubtful, milliseconds, .. } = probe;
    let limit = match limit.as_str() {
        "router" => format!("{limited_by} says that it lets no larger ones pass"),
        "gateway" => "this gateway lets no larger ones pass".to_owned(),
        "silence" => "larger ones are lost without a word".to_owned(),
        _ => "our interface takes no larger ones".to_owned(),
    };
    let by = if probe.way == "path" { "" } else { ", through the tunnel" };
    let doubtful = match doubtful {
        0 => String::new(),
        _ => format!("; {doubtful} answers passed over, forged or changed on the way"),
    };
    format!("{asked} answered {from}{by}; {limit}; {echoes} echoes, {milliseconds} ms{doubtful}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_limits_it_is_named() {
        let probe = MtuProbe {
            tunnel: "branch".into(),
            way: "path".into(),
            path_mtu: Some(1300),
            inner_mtu: 1246,
            inner_mtu_now: 1446,
            limit: "router".into(),
            limited_by: "203.0.113.9".into(),
            advice: "set it".into(),
            ..MtuProbe::default()
        };
        let text = mtu(&probe);
        assert!(
            text.starts_with("branch: 1300 octets outside, 1246 octets inside (the gateway has it at 1446)")
        );
        assert!(text.contains("203.0.113.9 says") && text.ends_with("to do: set it"), "{text}");
        let other = MtuProbe { limit: "silence".into(), path_mtu: None, inner_mtu: 1446, ..probe };
        assert!(!text.contains("passed over"));
        assert!(mtu(&MtuProbe { doubtful: 3, ..other.clone() }).contains("3 answers passed over"));
        assert!(mtu(&other).contains("without a word") && mtu(&other).contains("as the gateway has it"));
    }
}
