//! Mirrors while they run (DP-38): they follow the configuration at once, and once a second what they name, which may be
//! elsewhere by then (a tunnel on another worker, an ip-tunnel under another number). Who has cleartext copied is in the
//! journal.

use ravelin_dataplane::io::Pool;
use ravelin_dataplane::trace::Filter;
use ravelin_dataplane::trace::mirror::{Aim, Order};

use super::core::Core;
use crate::api::Reply;
use crate::api::reply::MirrorRow;
use crate::config::plan::{DIRECTIONS, Mirror, MirrorTo};
use crate::workers::Wanted;

impl<P: Pool> Core<P> {
    /// Has the workers mirror what the plan says, as far as that is there.
    pub(super) fn settle_mirrors(&mut self) {
        let wanted: Vec<Wanted> =
            self.plan.mirrors.iter().filter_map(|(name, mirror)| self.wanted_mirror(name, mirror)).collect();
        if self.workers.settle_mirrors(&wanted) {
            let text = wanted.iter().map(|one| {
                let mirror = self.plan.mirrors.get(&one.name);
                mirror.map_or_else(String::new, |mirror| format!("{}: {}", one.name, told(mirror)))
            });
            let text = text.collect::<Vec<_>>().join("; ");
            self.journal.note("", "mirrors", if text.is_empty() { "none".to_owned() } else { text });
        }
    }

    /// As it is to be, unless it is shut down or what it names is not there.
    fn wanted_mirror(&self, name: &str, mirror: &Mirror) -> Option<Wanted> {
        if !mirror.enabled {
            return None;
        }
        let children = match &mirror.tunnel {
            Some(tunnel) => {
                let id = self.roster.find(tunnel)?;
                Some(self.roster.numbers(id).collect())
            }
            None => None,
        };
        let interface = match &mirror.interface {
            Some(interface) => Some(self.place_of(interface)?),
            None => None,
        };
        let aim = match &mirror.to {
            MirrorTo::Station(interface, station) => {
                let (port, vlan) = self.place_of(interface)?;
                Aim::Station { port, vlan, station: *station }
            }
            MirrorTo::IpTunnel(name) => Aim::IpTunnel(self.workers.ip_tunnel_id(name)?),
        };
        let filter = Filter { tunnel: None, interface, host: mirror.host };
        let order = Order { filter, side: mirror.side, direction: mirror.direction, aim };
        Some(Wanted { name: name.to_owned(), children, order })
    }

    /// Port and VLAN of an interface.
    pub(super) fn place_of(&self, name: &str) -> Option<(u16, u16)> {
        let mut known = self.workers.routing().0.interfaces();
        known.find(|(_, known)| *known == name).map(|(at, _)| (at.port, at.vlan))
    }

    /// All mirrors.
    pub(super) fn mirror_rows(&self) -> Reply {
        let row = |(name, mirror): (&String, &Mirror)| {
            let sum = self.workers.mirrored(name);
            let state = match (mirror.enabled, self.wanted_mirror(name, mirror)) {
                (false, _) => "shut-down",
                (true, Some(_)) => "on",
                (true, None) => "waits",
            };
            MirrorRow {
                name: name.clone(),
                description: mirror.description.clone(),
                state: state.to_owned(),
                tunnel: mirror.tunnel.clone().unwrap_or_default(),
                interface: mirror.interface.clone().unwrap_or_default(),
                host: mirror.host.map(|host| host.to_string()).unwrap_or_default(),
                side: mirror.side.name().to_owned(),
                direction: direction(mirror).to_owned(),
                to: to(mirror),
                packets: sum.packets,
                bytes: sum.octets,
                lost: sum.lost,
            }
        };
        Reply::Mirrors { mirrors: self.plan.mirrors.iter().map(row).collect() }
    }
}

fn direction(mirror: &Mirror) -> &'static str {
    DIRECTIONS.iter().find(|(_, direction)| *direction == mirror.direction).map_or("", |(name, _)| *name)
}

fn to(mirror: &Mirror) -> String {
    match &mirror.to {
        MirrorTo::Station(interface, station) => format!("{station} on {interface}"),
        MirrorTo::IpTunnel(name) => format!("ip-tunnel {name}"),
    }
}

/// In a line.
fn told(mirror: &Mirror) -> String {
    let of = [
        ("tunnel", &mirror.tunnel),
        ("interface", &mirror.interface),
        ("host", &mirror.host.map(|host| host.to_string())),
    ];
    let of = of.iter().filter_map(|(what, name)| Some(format!(" of {what} {}", name.as_ref()?)));
    format!("{} side, {}{}, to {}", mirror.side.name(), direction(mirror), of.collect::<String>(), to(mirror))
}
