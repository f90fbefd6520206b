//! What an ike-policy or transform says of times, NATs, fragments and probes, and `[ike]` of IKE as a whole. Names and
//! ranges are those of docs/configuration.md.

use std::time::Duration;

use ravelin_ike::config::{DeadPeer, Fragmentation, HalfOpenLimits, NatTraversal, UdpEncapsulation};
use toml::{Spanned, Value};

use super::plan::SoftLifetime;
use super::raw::{self, Text};
use super::resolve::Judge;

type Number<'r> = Option<&'r Spanned<u64>>;

/// The longest pause between two unanswered probes.
const RETRY: Duration = Duration::from_secs(10);

/// The highest number of half-open IKE SAs from which on cookies are demanded: beyond the usual limit nobody is heard.
const MOST_HALF_OPEN: i64 = 8192;

/// Dead peer detection (IKE-18); `None`: the peer's probes are answered, as they must be (RFC 7296 §2.4), and none sent.
pub fn dead_peer(judge: &mut Judge<'_>, object: &str, raw: &raw::IkePolicy) -> Option<DeadPeer> {
    let read = |text: &str| match text {
        "active" => Ok(true),
        "reply-only" => Ok(false),
        _ => Err("active or reply-only"),
    };
    let active = raw.dpd.as_ref().and_then(|text| judge.value(object, "dpd", text, read)).unwrap_or(true);
    let interval = judge.number(object, "dpd-interval", raw.dpd_interval.as_ref(), 1..=300, 30);
    let retries = judge.number(object, "dpd-retries", raw.dpd_retries.as_ref(), 1..=10, 3) as u32;
    let interval = Duration::from_secs(interval);
    active.then(|| DeadPeer { interval, retries, retry_interval: interval.min(RETRY) })
}

/// NAT traversal (DP-16).
pub fn nat(judge: &mut Judge<'_>, object: &str, raw: &raw::IkePolicy) -> NatTraversal {
    let read = |text: &str| match text {
        "auto" => Ok(UdpEncapsulation::Auto),
        "force" => Ok(UdpEncapsulation::Force),
        "never" => Ok(UdpEncapsulation::Never),
        _ => Err("auto, force or never"),
    };
    let written: Option<&Text> = raw.udp_encapsulation.as_ref();
    let encapsulation = written.and_then(|text| judge.value(object, "udp-encapsulation", text, read));
    let interval: Number<'_> = raw.nat_keepalive_interval.as_ref();
    NatTraversal {
        encapsulation: encapsulation.unwrap_or_default(),
        keepalive: Duration::from_secs(judge.number(object, "nat-keepalive-interval", interval, 5..=600, 20)),
        always_keepalive: raw.nat_keepalive_force.unwrap_or(false),
    }
}

/// Fragmentation of IKE messages (RFC 7383); `None` neither announces nor uses it.
pub fn fragmentation(judge: &mut Judge<'_>, object: &str, raw: &raw::IkePolicy) -> Option<Fragmentation> {
    let mtu = judge.number(object, "fragment-size", raw.fragment_size.as_ref(), 576..=9000, 1280) as u16;
    raw.fragmentation.unwrap_or(true).then_some(Fragmentation { mtu })
}

/// How long proofs of identity count (RFC 4478); `None`: for ever.
pub fn authentication_lifetime(
    judge: &mut Judge<'_>,
    object: &str,
    raw: &raw::IkePolicy,
) -> Option<Duration> {
    let written = raw.authentication_lifetime.as_ref();
    let seconds = |_| judge.number(object, "authentication-lifetime", written, 1..=31_536_000, 86_400);
    written.map(seconds).map(Duration::from_secs)
}

/// When an SA is replaced before its end (RFC 4301 §4.4.2.1).
pub fn soft_lifetime(
    judge: &mut Judge<'_>,
    object: &str,
    percent: Number<'_>,
    jitter: Number<'_>,
) -> SoftLifetime {
    let SoftLifetime { percent: usual, jitter_percent } = SoftLifetime::default();
    SoftLifetime {
        percent: judge.number(object, "soft-lifetime-percent", percent, 50..=99, usual.into()) as u8,
        jitter_percent: judge.number(object, "jitter-percent", jitter, 0..=50, jitter_percent.into()) as u8,
    }
}

/// A lifetime in bytes or packets (DP-44): less would end before anybody could rekey.
pub fn volume(judge: &mut Judge<'_>, object: &str, key: &str, value: Number<'_>, least: u64) -> Option<u64> {
    value.map(|value| judge.number(object, key, Some(value), least..=i64::MAX.unsigned_abs(), least))
}

/// What callers that have not proven themselves may cost us (IKE-19, IKE-20).
pub fn half_open(judge: &mut Judge<'_>, raw: &raw::HalfOpen) -> HalfOpenLimits {
    let usual = HalfOpenLimits::default();
    let mut number = |key: &str, value: &Option<Spanned<u64>>, range, default| {
        judge.number("ike", &format!("half-open.{key}"), value.as_ref(), range, default)
    };
    let limit = number("limit", &raw.limit, 1..=65_535, usual.limit as u64);
    let per_address = number("per-address", &raw.per_address, 1..=65_535, usual.per_address as u64);
    let timeout = Duration::from_secs(number("timeout", &raw.timeout, 5..=300, usual.timeout.as_secs()));
    let reduced = raw.reduced_timeout.as_ref().map(|value| reduced_timeout(judge, value, timeout));
    let threshold = raw.cookie_threshold.as_ref().map(|value| cookie_threshold(judge, value));
    HalfOpenLimits {
        cookie_threshold: threshold.unwrap_or(usual.cookie_threshold),
        limit: limit as usize,
        per_address: per_address as usize,
        timeout,
        reduced_timeout: reduced.unwrap_or(usual.reduced_timeout),
        ..usual
    }
}

/// When callers must show a cookie (RFC 7296 §2.6): a number of half-open IKE SAs, or never.
fn cookie_threshold(judge: &mut Judge<'_>, value: &Spanned<Value>) -> Option<usize> {
    match value.get_ref() {
        Value::Integer(number @ 0..=MOST_HALF_OPEN) => usize::try_from(*number).ok(),
        Value::String(word) if word == "never" => None,
        other => {
            let found = format!("half-open.cookie-threshold = {other} is not valid");
            let expected = format!("0 to {MOST_HALF_OPEN} half-open IKE SAs, or \"never\"");
            judge.refuse(value.span().start, "ike", found, expected);
            None
        }
    }
}

/// So many seconds, or no less than without pressure.
fn reduced_timeout(judge: &mut Judge<'_>, value: &Spanned<Value>, timeout: Duration) -> Duration {
    let most = timeout.as_secs().min(60);
    match value.get_ref() {
        Value::Integer(seconds @ 2..) if seconds.unsigned_abs() <= most => {
            Duration::from_secs(seconds.unsigned_abs())
        }
        Value::String(word) if word == "none" => timeout,
        other => {
            let found = format!("half-open.reduced-timeout = {other} is not valid");
            judge.refuse(value.span().start, "ike", found, format!("2 to {most} seconds, or \"none\""));
            timeout
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Refusal;
    use crate::config::ground::{one_tunnel, read};
    use crate::config::plan::{Keying, Plan, Tunnel};

    fn judged(ike: &str, policy: &str, transform: &str) -> Result<Plan, Vec<Refusal>> {
        read(&one_tunnel(ike, policy, transform, ""))
    }

    fn policy(tunnel: &Tunnel) -> &crate::config::plan::IkePolicy {
        match &tunnel.keying {
            Keying::Ike(ike) => &ike.policy,
            Keying::Manual(_) => unreachable!("it has a pre-shared key"),
        }
    }

    /// What the manual promises where nothing is written, and what becomes of what is.
    #[test]
    fn keys_and_their_defaults() {
        let plan = judged("", "", "").unwrap();
        let net = &plan.tunnels["net"];
        assert_eq!((plan.ike_dscp, plan.reassembly_timeout.as_secs()), (48, 5));
        assert_eq!(plan.half_open, HalfOpenLimits::default());
        assert_eq!(policy(net).dead_peer, Some(DeadPeer::default()));
        assert_eq!(
            (policy(net).nat, policy(net).fragmentation),
            (NatTraversal::default(), Some(Fragmentation { mtu: 1280 }))
        );
        assert_eq!(net.children[0].transform.soft, SoftLifetime { percent: 90, jitter_percent: 10 });
        let ike = "dscp = 40\nreassembly-timeout = 2\nhalf-open = { cookie-threshold = 0, reduced-timeout = \"none\" }";
        let keys = "dpd = \"reply-only\"\nfragmentation = false\nnat-keepalive-interval = 120\nnat-keepalive-force = true";
        let transform = "lifetime-bytes = 1000000\nsoft-lifetime-percent = 70\njitter-percent = 0";
        let plan = judged(ike, keys, transform).unwrap();
        let net = &plan.tunnels["net"];
        assert_eq!(
            (plan.ike_dscp, plan.reassembly_timeout.as_secs(), plan.half_open.cookie_threshold),
            (40, 2, Some(0))
        );
        assert_eq!(plan.half_open.reduced_timeout, plan.half_open.timeout);
        assert_eq!((policy(net).dead_peer, policy(net).fragmentation), (None, None));
        let nat = NatTraversal {
            keepalive: Duration::from_secs(120),
            always_keepalive: true,
            ..NatTraversal::default()
        };
        assert_eq!(policy(net).nat, nat);
        let transform = &net.children[0].transform;
        assert_eq!(
            (transform.lifetime_bytes, transform.soft),
            (Some(1_000_000), SoftLifetime { percent: 70, jitter_percent: 0 })
        );
    }

    /// Callers are asked for cookies unless that is turned off by its word; each value from one below the range to one
    /// above (IKE-19).
    #[test]
    fn cookies_are_demanded_unless_turned_off() {
        let with = |value: &str| {
            let ike = format!("half-open = {{ cookie-threshold = {value} }}");
            judged(&ike, "", "").map(|plan| plan.half_open.cookie_threshold)
        };
        assert_eq!(judged("", "", "").unwrap().half_open.cookie_threshold, Some(64));
        assert_eq!(with("\"never\"").unwrap(), None);
        for (value, accepted) in [(-1, false), (0, true), (8192, true), (8193, false)] {
            assert_eq!(with(&value.to_string()).is_ok(), accepted, "{value}");
        }
        let refused = with("\"off\"").unwrap_err().remove(0).to_string();
        assert!(refused.contains("half-open.cookie-threshold") && refused.contains("\"never\""), "{refused}");
    }

    /// What is out of range is refused with the range; 0 would be a tunnel that carries nothing.
    #[test]
    fn ranges() {
        for (ike, policy, transform, expected) in [
            ("dscp = 64", "", "", "0 to 63"),
            ("reassembly-timeout = 6", "", "", "1 to 5"),
            ("half-open = { limit = 0 }", "", "", "1 to 65535"),
            ("half-open = { reduced-timeout = 1 }", "", "", "2 to 30 seconds, or \"none\""),
            ("half-open = { reduced-timeout = 11, timeout = 10 }", "", "", "2 to 10 seconds, or \"none\""),
            ("", "dpd = \"off\"", "", "active or reply-only"),
            ("", "nat-keepalive-interval = 4", "", "5 to 600"),
            ("", "udp-encapsulation = \"off\"", "", "auto, force or never"),
            ("", "soft-lifetime-percent = 100", "", "50 to 99"),
            ("", "jitter-percent = 51", "", "0 to 50"),
            ("", "", "lifetime-bytes = 0", "65536 to 9223372036854775807"),
            ("", "", "lifetime-packets = 0", "64 to 9223372036854775807"),
        ] {
            let refusals = judged(ike, policy, transform).unwrap_err();
            let [refusal] = refusals.as_slice() else { panic!("{ike}{policy}{transform}: {refusals:?}") };
            assert_eq!(refusal.expected, expected, "{refusal}");
        }
    }
}
