//! Mirrors (DP-38): which packets, of which side, and where their copies go.

use std::collections::BTreeMap;
use std::sync::Arc;

use ravelin_dataplane::net::eth::Mac;
use ravelin_dataplane::sa::Mode;
use ravelin_dataplane::trace::Side;
use ravelin_dataplane::trace::mirror::{Direction, MOST};

use super::plan::{DIRECTIONS, IpTunnel, Mirror, MirrorTo, Tunnel};
use super::raw::{self, Text};
use super::resolve::Judge;
use super::value::{self, Expected};

type Tunnels = BTreeMap<String, Arc<Tunnel>>;
type IpTunnels = BTreeMap<String, Arc<IpTunnel>>;

/// Judges all mirrors.
pub fn mirrors(
    judge: &mut Judge<'_>,
    raw: &raw::File,
    tunnels: &Tunnels,
    ip_tunnels: &IpTunnels,
) -> BTreeMap<String, Mirror> {
    let mut all = BTreeMap::new();
    for (number, (name, spanned)) in raw.mirror.iter().enumerate() {
        let (object, at) = (format!("mirror.{name}"), spanned.span().start);
        if number == MOST {
            let found = format!("there are {} mirrors", raw.mirror.len());
            judge.refuse(at, &object, found, format!("at most {MOST}"));
        }
        let Some(mirror) = mirror(judge, raw, (&object, at), spanned.get_ref()) else { continue };
        if let Some(tunnel) = comes_back(&mirror, tunnels, ip_tunnels) {
            let found = format!("copies go into tunnel {tunnel:?}, of which it has copies made");
            judge.refuse(at, &object, found, "an ip-tunnel that another tunnel protects, or none");
        }
        all.insert(name.clone(), mirror);
    }
    all
}

fn mirror(
    judge: &mut Judge<'_>,
    file: &raw::File,
    (object, at): (&str, usize),
    raw: &raw::Mirror,
) -> Option<Mirror> {
    let named = |text: &Text| text.get_ref().clone();
    raw.tunnel.as_ref().and_then(|name| judge.follow(object, "tunnel", name, &file.tunnel));
    raw.interface.as_ref().and_then(|name| judge.follow(object, "interface", name, &file.interface));
    let side = raw.side.as_ref().and_then(|text| judge.value(object, "side", text, side));
    let way = raw.direction.as_ref().and_then(|text| judge.value(object, "direction", text, direction));
    Some(Mirror {
        description: raw.description.as_ref().map(named).unwrap_or_default(),
        enabled: raw.enabled.unwrap_or(true),
        tunnel: raw.tunnel.as_ref().map(named),
        interface: raw.interface.as_ref().map(named),
        host: raw.host.as_ref().and_then(|text| judge.value(object, "host", text, value::address)),
        side: side.unwrap_or(Side::Encrypted),
        direction: way.unwrap_or(Direction::Both),
        to: to(judge, file, (object, at), raw)?,
    })
}

fn to(
    judge: &mut Judge<'_>,
    file: &raw::File,
    (object, at): (&str, usize),
    raw: &raw::Mirror,
) -> Option<MirrorTo> {
    match (&raw.to_interface, &raw.station, &raw.to_ip_tunnel) {
        (Some(interface), Some(station), None) => {
            judge.follow(object, "to-interface", interface, &file.interface)?;
            let station = judge.value(object, "station", station, mac)?;
            Some(MirrorTo::Station(interface.get_ref().clone(), station))
        }
        (None, None, Some(tunnel)) => {
            judge.follow(object, "to-ip-tunnel", tunnel, &file.ip_tunnel)?;
            Some(MirrorTo::IpTunnel(tunnel.get_ref().clone()))
        }
        _ => {
            let expected = "to-interface with station, the MAC address of who is there, or to-ip-tunnel";
            judge.refuse(at, object, "says not, or twice, where copies go".to_owned(), expected);
            None
        }
    }
}

fn side(text: &str) -> Result<Side, Expected> {
    // Frames of a port have no side, and a port that is mirrored to itself no end.
    let found = [Side::Clear, Side::Encrypted].into_iter().find(|side| side.name() == text);
    found.ok_or("clear or encrypted")
}

fn direction(text: &str) -> Result<Direction, Expected> {
    let found = DIRECTIONS.into_iter().find(|(name, _)| *name == text);
    found.map(|(_, direction)| direction).ok_or("both, in or out")
}

fn mac(text: &str) -> Result<Mac, Expected> {
    const EXPECTED: Expected = "a MAC address, like 02:00:00:00:00:01";
    let octets: Vec<u8> = text
        .split(':')
        .map(|octet| {
            let is_octet = octet.len() == 2 && octet.bytes().all(|digit| digit.is_ascii_hexdigit());
            u8::from_str_radix(octet, 16).ok().filter(|_| is_octet).ok_or(EXPECTED)
        })
        .collect::<Result<_, _>>()?;
    octets.try_into().map(Mac).map_err(|_| EXPECTED)
}

/// The tunnel by which copies would come before their own mirror again, for ever.
fn comes_back<'t>(mirror: &Mirror, tunnels: &'t Tunnels, ip_tunnels: &IpTunnels) -> Option<&'t str> {
    let MirrorTo::IpTunnel(into) = &mirror.to else { return None };
    let into = ip_tunnels.get(into)?;
    let protects = |tunnel: &&Arc<Tunnel>| {
        tunnel.mode == Mode::Transport
            && (tunnel.public, tunnel.local) == (into.public, into.local)
            && tunnel.remote.is_none_or(|remote| remote == into.remote || Some(remote) == into.backup)
    };
    let is_mirrored = |tunnel: &&Arc<Tunnel>| mirror.tunnel.as_ref().is_none_or(|name| *name == tunnel.name);
    tunnels.values().filter(protects).find(is_mirrored).map(|tunnel| tunnel.name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ground::{interfaces, read, tunnel};

    const GROUND: &str = concat!(
        interfaces!(),
        "interface.span = { device = \"af_packet:eth3\" }\n",
        tunnel!("branch", 1),
        r#"
[tunnel.guarded]
local = "192.0.2.2"
remote = "192.0.2.9"
psk = "correct horse"
mode = "transport"
local-ts = ["192.0.2.2/32 gre"]
remote-ts = ["192.0.2.9/32 gre"]
[ip-tunnel.far]
local = "192.0.2.2"
remote = "192.0.2.9"
gre-header = true
"#
    );

    fn judged(lines: &str) -> Result<Mirror, String> {
        let plan =
            read(&format!("{GROUND}[mirror.one]\n{lines}\n")).map_err(|refused| format!("{refused:?}"))?;
        Ok(plan.mirrors["one"].clone())
    }

    #[test]
    fn what_is_written_is_what_is_planned() {
        let all = "tunnel = \"branch\"\ninterface = \"wan\"\nhost = \"10.1.0.9\"\nside = \"clear\"\n\
            direction = \"out\"\nto-interface = \"span\"\nstation = \"02:00:00:00:0a:0B\"";
        let expected = Mirror {
            description: String::new(),
            enabled: true,
            tunnel: Some("branch".into()),
            interface: Some("wan".into()),
            host: Some([10, 1, 0, 9].into()),
            side: Side::Clear,
            direction: Direction::Out,
            to: MirrorTo::Station("span".into(), Mac([2, 0, 0, 0, 10, 11])),
        };
        assert_eq!(judged(all).unwrap(), expected);
        let far = judged("tunnel = \"branch\"\nto-ip-tunnel = \"far\"").unwrap();
        assert_eq!((far.side, far.direction), (Side::Encrypted, Direction::Both));
        assert_eq!(far.to, MirrorTo::IpTunnel("far".into()));
    }

    #[test]
    fn mistakes_are_refused() {
        let span = "to-interface = \"span\"\nstation = \"02:00:00:00:00:01\"";
        for (lines, expected) in [
            ("", "says not, or twice, where copies go"),
            ("to-interface = \"span\"", "says not, or twice, where copies go"),
            (&*format!("{span}\nto-ip-tunnel = \"far\""), "says not, or twice, where copies go"),
            ("to-interface = \"span\"\nstation = \"2:0:0:0:0:1\"", "a MAC address"),
            ("to-interface = \"span\"\nstation = \"02:00:00:00:01\"", "a MAC address"),
            (
                "to-interface = \"spam\"\nstation = \"02:00:00:00:00:01\"",
                "to-interface \\\"spam\\\" does not exist",
            ),
            ("to-ip-tunnel = \"near\"", "to-ip-tunnel \\\"near\\\" does not exist"),
            (&*format!("{span}\ntunnel = \"brunch\""), "tunnel \\\"brunch\\\" does not exist"),
            (&*format!("{span}\nside = \"wire\""), "clear or encrypted"),
            (&*format!("{span}\ndirection = \"up\""), "both, in or out"),
            ("to-ip-tunnel = \"far\"", "copies go into tunnel \\\"guarded\\\""),
            ("to-ip-tunnel = \"far\"\ntunnel = \"guarded\"", "copies go into tunnel \\\"guarded\\\""),
        ] {
            let refused = judged(lines).unwrap_err();
            assert!(refused.contains(expected), "wanted {expected}, got {refused}");
        }
        let more: String = (0..MOST).map(|n| format!("[mirror.m{n}]\n{span}\n")).collect();
        assert!(judged(&format!("{span}\n{more}")).unwrap_err().contains("at most 4"));
    }
}
