//! Redirection to other gateways (RFC 5685): in a tunnel whether we follow and where to; in a tunnel and in a gateway
//! where callers go.

use std::net::IpAddr;

use ipnet::IpNet;
use ravelin_ike::config::{AcceptRedirect, RedirectAt, RedirectCallers, Redirection};
use ravelin_ike::wire::GatewayIdentity;

use super::raw::{self, Text};
use super::resolve::Judge;
use super::value;

/// What a tunnel between these addresses says of it. `place` names the tunnel and where it stands.
pub fn redirection(
    judge: &mut Judge<'_>,
    place: (&str, usize),
    raw: &raw::Tunnel,
    (local, remote): (IpAddr, Option<IpAddr>),
) -> Redirection {
    let accept = accept(judge, place, raw, (local, remote));
    let written = (raw.redirect_callers_to.as_ref(), raw.redirect_callers_at.as_ref());
    Redirection { accept, callers: callers(judge, place, written, local) }
}

fn accept(
    judge: &mut Judge<'_>,
    (object, at): (&str, usize),
    raw: &raw::Tunnel,
    (local, remote): (IpAddr, Option<IpAddr>),
) -> AcceptRedirect {
    let read = |text: &str| match text {
        "accept" => Ok(true),
        "off" => Ok(false),
        _ => Err("accept or off"),
    };
    let accepts = raw.redirect.as_ref().and_then(|text| judge.value(object, "redirect", text, read));
    if !accepts.unwrap_or(false) {
        if !raw.redirect_targets.is_empty() {
            judge.refuse(at, object, "redirect-targets without redirect".into(), "redirect = \"accept\"");
        }
        return AcceptRedirect::Never;
    }
    if remote.is_none() {
        let found = "redirect = \"accept\" needs a gateway to call".into();
        judge.refuse(at, object, found, "remote = \"ADDRESS\"");
    }
    let mut targets = Vec::new();
    for text in &raw.redirect_targets {
        let Some(target) = judge.value(object, "redirect-targets", text, target) else { continue };
        same_family(judge, object, text, (target.addr(), local));
        targets.push(target.network()..=target.broadcast());
    }
    if raw.redirect_targets.is_empty() { AcceptRedirect::Anywhere } else { AcceptRedirect::Within(targets) }
}

/// Where callers go, and when they are told: `redirect-callers-to` and `redirect-callers-at`.
pub fn callers(
    judge: &mut Judge<'_>,
    (object, at): (&str, usize),
    (to, stage): (Option<&Text>, Option<&Text>),
    local: IpAddr,
) -> Option<RedirectCallers> {
    let read = |text: &str| match text {
        "init" => Ok(RedirectAt::Init),
        "auth" => Ok(RedirectAt::Auth),
        _ => Err("init or auth"),
    };
    let is_staged = stage.is_some();
    let stage = stage.and_then(|text| judge.value(object, "redirect-callers-at", text, read));
    let Some(text) = to else {
        if is_staged {
            let found = "redirect-callers-at without redirect-callers-to".into();
            judge.refuse(at, object, found, "redirect-callers-to = \"ADDRESS\" or \"NAME\"");
        }
        return None;
    };
    let to = judge.value(object, "redirect-callers-to", text, gateway)?;
    if let GatewayIdentity::Address(to) = to {
        same_family(judge, object, text, (to, local));
        if to == local {
            let found = format!("redirect-callers-to = {to} is our own address here");
            judge.refuse(text.span().start, object, found, "another gateway's");
        }
    }
    Some(RedirectCallers { to, at: stage.unwrap_or(RedirectAt::Init) })
}

fn gateway(text: &str) -> Result<GatewayIdentity, value::Expected> {
    text.parse().map_err(|_| "an address or the name of a host, like 192.0.2.9 or gw2.example")
}

/// An address, or a prefix of them.
fn target(text: &str) -> Result<IpNet, value::Expected> {
    let address = || value::address(text).map(IpNet::from);
    value::network(text).or_else(|_| address()).map_err(|_| "an address or a prefix, like 192.0.2.0/28")
}

fn same_family(judge: &mut Judge<'_>, object: &str, text: &Text, (to, local): (IpAddr, IpAddr)) {
    if to.is_ipv4() != local.is_ipv4() {
        let found = format!("{to} and local {local} are of different families");
        judge.refuse(text.span().start, object, found, "both IPv4 or both IPv6");
    }
}
