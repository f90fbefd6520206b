//! Static routes: to a next hop, or into a tunnel or ip-tunnel (TG-14), whose they are then.

use ipnet::IpNet;
use ravelin_ike::config::Selector;

use super::plan::{self, InstanceId, Tunnel};
use super::raw::{self, Text};
use super::resolve::{Judge, instance_id};
use super::value;

/// Judges all routes; those to a next hop come back.
pub fn routes(judge: &mut Judge<'_>, raw: &raw::File, instances: &[plan::Instance]) -> Vec<plan::Route> {
    let mut routes = Vec::new();
    for spanned in &raw.route {
        let route = spanned.get_ref();
        let instance = instance_id(judge, "route", "instance", route.instance.as_ref(), instances);
        let destination = judge.value("route", "destination", &route.destination, value::network);
        match (&route.via, &route.tunnel, &route.ip_tunnel) {
            (Some(via), None, None) => {
                let via = judge.value("route", "via", via, value::address);
                if let (Some(destination), Some(via)) = (destination, via) {
                    routes.push(plan::Route { instance, destination, via });
                }
            }
            // What else is to be said of it is said with the tunnel.
            (None, Some(tunnel), None) => drop(judge.follow("route", "tunnel", tunnel, &raw.tunnel)),
            (None, None, Some(tunnel)) => drop(judge.follow("route", "ip-tunnel", tunnel, &raw.ip_tunnel)),
            _ => {
                let found = "names none or several of via, tunnel and ip-tunnel".to_owned();
                let expected = "via = \"ADDRESS\", tunnel = \"NAME\" or ip-tunnel = \"NAME\"";
                judge.refuse(spanned.span().start, "route", found, expected);
            }
        }
    }
    routes
}

/// The destinations that are to lead into a tunnel whose inner packets are in this instance, each once.
pub fn into_tunnel(
    judge: &mut Judge<'_>,
    raw: &raw::File,
    name: &str,
    private: InstanceId,
    instances: &[plan::Instance],
) -> Vec<IpNet> {
    let whose = |route: &raw::Route| route.tunnel.clone();
    into(judge, raw, ("tunnel", name, private), instances, whose)
}

/// The same of an ip-tunnel.
pub fn into_ip_tunnel(
    judge: &mut Judge<'_>,
    raw: &raw::File,
    name: &str,
    private: InstanceId,
    instances: &[plan::Instance],
) -> Vec<IpNet> {
    let whose = |route: &raw::Route| route.ip_tunnel.clone();
    into(judge, raw, ("ip-tunnel", name, private), instances, whose)
}

fn into(
    judge: &mut Judge<'_>,
    raw: &raw::File,
    (kind, name, private): (&str, &str, InstanceId),
    instances: &[plan::Instance],
    whose: impl Fn(&raw::Route) -> Option<Text>,
) -> Vec<IpNet> {
    let mut destinations: Vec<IpNet> = Vec::new();
    let is_its = |route: &&raw::Route| whose(route).is_some_and(|tunnel| tunnel.get_ref() == name);
    for route in raw.route.iter().map(toml::Spanned::get_ref).filter(is_its) {
        if let Some(text) = &route.instance
            && instance_id(judge, "route", "instance", Some(text), instances) != private
        {
            let found = format!("the private instance of {kind} {name:?} is not {:?}", text.get_ref());
            judge.refuse(text.span().start, "route", found, "the instance of the tunnel's inner packets");
        }
        // One that is none was refused already.
        let Ok(destination) = value::network(route.destination.get_ref()) else { continue };
        if !destinations.contains(&destination) {
            destinations.push(destination);
        }
    }
    destinations
}

/// Warns of routes into tunnels that take nothing of it, and of destinations that are told twice.
pub fn lint(judge: &mut Judge<'_>, raw: &raw::File, plan: &plan::Plan) {
    for (index, spanned) in raw.route.iter().enumerate() {
        let route = spanned.get_ref();
        let Ok(destination) = value::network(route.destination.get_ref()) else { continue };
        let at = route.destination.span().start;
        let tunnel = route.tunnel.as_ref().and_then(|name| plan.tunnels.get(name.get_ref()));
        if let Some(tunnel) = tunnel.filter(|tunnel| !takes(tunnel, destination)) {
            let found =
                format!("tunnel {:?} carries nothing to {destination}: all of it is dropped", tunnel.name);
            judge.warn(at, "route", found, "destinations within the tunnel's remote selectors");
        }
        let of = |other: &raw::Route| place(plan, other);
        let mut before = raw.route.iter().take(index).map(toml::Spanned::get_ref);
        if before
            .any(|other| other.destination.get_ref() == route.destination.get_ref() && of(other) == of(route))
        {
            judge.warn(at, "route", format!("{destination} has a route already"), "one route a destination");
        }
    }
}

/// The instance of a route.
fn place(plan: &plan::Plan, route: &raw::Route) -> Option<String> {
    let named = route.instance.as_ref().map(|text| text.get_ref().clone());
    let tunnel = || plan.tunnels.get(route.tunnel.as_ref()?.get_ref());
    let of_tunnel =
        || plan.instances.get(usize::from(tunnel()?.private)).map(|instance| instance.name.clone());
    let ip_tunnel = || plan.ip_tunnels.get(route.ip_tunnel.as_ref()?.get_ref());
    let of_ip_tunnel =
        || plan.instances.get(usize::from(ip_tunnel()?.private)).map(|instance| instance.name.clone());
    named.or_else(of_tunnel).or_else(of_ip_tunnel).or_else(|| Some("default".to_owned()))
}

fn takes(tunnel: &Tunnel, destination: IpNet) -> bool {
    let all = Selector::prefix(destination.network(), destination.prefix_len());
    tunnel.children.iter().flat_map(|child| &child.remote_ts).any(|selector| selector.overlaps(&all))
}

#[cfg(test)]
mod tests {
    use crate::config::plan::Plan;
    use std::path::Path;

    fn judge(lines: &str) -> Result<Plan, String> {
        let text = format!(
            r#"
interface.wan = {{ device = "af_packet:eth1", addresses = ["192.0.2.2/24"] }}
instance.blue = {{ namespace = "blue" }}
[tunnel.all]
local = "192.0.2.2"
remote = "192.0.2.1"
psk = "correct horse"
private-instance = "blue"
reverse-route = "none"
local-ts = ["10.2.0.0/16"]
remote-ts = ["10.0.0.0/8"]
{lines}
"#
        );
        let none = |_: &Path| Err(std::io::Error::other("no file"));
        let judged = crate::config::parse("r.toml", &text, Path::new("/"), &none);
        judged.map_err(|refused| refused.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    }

    #[test]
    fn a_route_leads_to_a_next_hop_or_into_a_tunnel() {
        let into = "[[route]]\ndestination = \"10.7.0.0/16\"\ntunnel = \"all\"\n";
        let plan =
            judge(&format!("{into}[[route]]\ndestination = \"10.8.0.0/16\"\nvia = \"192.0.2.9\"")).unwrap();
        let tunnel = &plan.tunnels["all"];
        assert_eq!(
            (tunnel.reverse_route, tunnel.routes.as_slice()),
            (false, ["10.7.0.0/16".parse().unwrap()].as_slice())
        );
        assert_eq!((plan.routes.len(), plan.warnings.len()), (1, 0), "{:?}", plan.warnings);
        for (lines, expected) in [
            ("tunnel = \"al\"", "tunnel \"al\" does not exist"),
            ("", "names none or several of via, tunnel and ip-tunnel; expected via = \"ADDRESS\", tunnel ="),
            ("tunnel = \"all\"\nvia = \"192.0.2.9\"", "names none or several"),
            (
                "tunnel = \"all\"\ninstance = \"default\"",
                "the private instance of tunnel \"all\" is not \"default\"",
            ),
        ] {
            let refused = judge(&format!("[[route]]\ndestination = \"10.7.0.0/16\"\n{lines}\n")).unwrap_err();
            assert!(refused.contains(expected), "wanted {expected}, got {refused}");
        }
        let told =
            judge(&format!("{into}{into}[[route]]\ndestination = \"192.168.0.0/16\"\ntunnel = \"all\""))
                .unwrap();
        let told: Vec<String> = told.warnings.iter().map(ToString::to_string).collect();
        assert!(told.iter().any(|line| line.contains("10.7.0.0/16 has a route already")), "{told:?}");
        assert!(told.iter().any(|line| line.contains("carries nothing to 192.168.0.0/16")), "{told:?}");
    }
}
