//! Replies for people: tables and short paragraphs. JSON comes from the same values, so
//! what one shows the other has.

mod account;
mod certificate;
mod client;
mod group;
mod ip_tunnel;
mod mirror;
mod pki;
mod policy;
mod probe;
mod revocation;
pub mod tap;

use comfy_table::{ContentArrangement, Table, TableStyle};

use super::reply::{
    Applied, Attempt, Callers, Child, Counter, Event, Explain, Finding, Gateway, GatewayTunnel, Lockout,
    Lockouts, Lookup, Nearest, Port, Reply, Route, Rung, Sa, State, Strangers, Tunnel, Version, Watched, Way,
    Worker,
};

/// The text an operator sees; ends without a newline.
pub fn text(reply: &Reply) -> String {
    match reply {
        Reply::Version(version) => self::version(version),
        Reply::Ports { ports } => self::ports(ports),
        Reply::Workers { workers } => self::workers(workers),
        Reply::Tunnels { tunnels, .. } => self::tunnels(tunnels),
        Reply::Sas { sas, .. } => self::sas(sas),
        Reply::Counters { counters } => self::counters(counters),
        Reply::Explain(explain) => self::explain(explain),
        Reply::Done { message } => message.clone(),
        Reply::Events { events } => lines(events, event),
        Reply::Doctor { findings } => lines(findings, finding),
        Reply::Applied(applied) => self::applied(applied),
        Reply::Lookup(lookup) => self::lookup(lookup),
        Reply::Strangers(strangers) => self::strangers(strangers),
        Reply::Callers(callers) => self::callers(callers),
        Reply::Lockouts(lockouts) => self::lockouts(lockouts),
        Reply::TapBegun { tap } => format!("tap {tap}"),
        Reply::TapPage(page) => lines(&page.packets, tap::packet),
        Reply::Debug { peers } if peers.is_empty() => "nothing is on".to_owned(),
        Reply::Debug { peers } => lines(peers, watched),
        Reply::Gateways { gateways, tunnel_limit, tunnels } => {
            let total = format!("{tunnels} tunnels of at most {tunnel_limit}");
            format!("{}\n{total}", self::gateways(gateways))
        }
        Reply::Mirrors { mirrors } => mirror::mirrors(mirrors),
        Reply::TunnelGroups { groups, by_name } => group::groups(groups, *by_name),
        Reply::IpTunnels { ip_tunnels, by_name } => ip_tunnel::ip_tunnels(ip_tunnels, *by_name),
        Reply::ClientDbs { databases, clients, .. } => client::databases(databases, clients),
        Reply::ClientMatch(matched) => client::matched(matched),
        Reply::Policies { instances } => policy::policies(instances),
        Reply::Routes { routes } => self::routes(routes),
        Reply::OwnCertificates { certificates } => certificate::own(certificates),
        Reply::PkiObjects { objects, ca_profiles } => pki::list(objects, ca_profiles),
        Reply::PkiDetails { objects, ca_profiles } => pki::details(objects, ca_profiles),
        Reply::Revocation(known) => revocation::revocation(known),
        Reply::MtuProbe(probe) => probe::mtu(probe),
        Reply::PkiData { label, .. } => format!("{label}: say --out FILE, or --json"),
    }
}

/// Exit code of the CLI for this reply: 0 up, 1 down, 2 degraded (docs/design.md §4).
pub fn exit_code(reply: &Reply) -> u8 {
    match reply {
        Reply::Explain(explain) => match explain.state {
            State::Up => 0,
            State::Degraded => 2,
            State::Connecting | State::Down => 1,
        },
        Reply::Strangers(_) => 1,
        Reply::Callers(callers) => u8::from(!callers.open),
        Reply::Lookup(lookup) => u8::from(lookup.verdict == "drop"),
        Reply::ClientMatch(matched) => u8::from(matched.outcome == "refused"),
        Reply::Applied(applied) if !applied.refused.is_empty() => 1,
        Reply::Applied(applied) if !applied.needs_restart.is_empty() => 2,
        Reply::Doctor { findings } if findings.iter().any(|finding| finding.severity == "error") => 1,
        _ => 0,
    }
}

fn lines<T>(rows: &[T], line: impl Fn(&T) -> String) -> String {
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Columns without lines between them; ends without a newline.
pub fn table(header: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(TableStyle::new()).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header.to_vec());
    for row in rows {
        table.add_row(row);
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

fn version(version: &Version) -> String {
    let Version { version, schema, dpdk, gcm_kernel, uptime_seconds } = version;
    format!("ravelin {version} (schema {schema}), {dpdk}, AES-GCM by {gcm_kernel}, up {uptime_seconds} s")
}

fn ports(ports: &[Port]) -> String {
    let header = [
        "PORT",
        "DEVICE",
        "MAC",
        "LINK",
        "QUEUES",
        "RX PACKETS",
        "RX BYTES",
        "TX PACKETS",
        "TX BYTES",
        "MISSED",
        "NO BUFFER",
        "RX ERRORS",
        "TRUNCATED",
        "UNLINEAR",
        "TX ERRORS",
    ];
    let row = |port: &Port| {
        let link = if port.link_up { "up" } else { "DOWN" }.to_owned();
        let mut row =
            vec![port.name.clone(), port.device.clone(), port.mac.clone(), link, port.queues.to_string()];
        let counts = [
            [port.rx_packets, port.rx_bytes, port.tx_packets, port.tx_bytes].as_slice(),
            &[port.rx_missed, port.rx_no_buffer, port.rx_errors],
            &[port.rx_truncated, port.rx_unlinear, port.tx_errors],
        ]
        .concat();
        row.extend(counts.iter().map(u64::to_string));
        row
    };
    table(&header, ports.iter().map(row))
}

fn workers(workers: &[Worker]) -> String {
    let header =
        ["WORKER", "CORE", "ALIVE", "BUSY", "SAS", "RECEIVED", "FORWARDED", "HANDED", "PUNTED", "DROPPED"];
    let row = |worker: &Worker| {
        vec![
            worker.id.to_string(),
            worker.core.to_string(),
            if worker.alive { "yes" } else { "NO" }.to_owned(),
            format!("{:.1} %", worker.busy_percent),
            worker.inbound_sas.to_string(),
            worker.received.to_string(),
            worker.forwarded.to_string(),
            worker.handed.to_string(),
            worker.punted.to_string(),
            worker.dropped.to_string(),
        ]
    };
    table(&header, workers.iter().map(row))
}

fn tunnels(tunnels: &[Tunnel]) -> String {
    let header = [
        "TUNNEL",
        "STATE",
        "LOCAL",
        "REMOTE",
        "CHILD",
        "CHILD STATE",
        "SELECTORS",
        "IN PACKETS",
        "OUT PACKETS",
        "PATH MTU",
        "REASON",
    ];
    // One that has none yet is seen all the same.
    let none = [Child::default()];
    let rows = tunnels.iter().flat_map(|tunnel| {
        let children = if tunnel.children.is_empty() { &none } else { tunnel.children.as_slice() };
        children.iter().map(move |child| {
            vec![
                tunnel.name.clone(),
                tunnel.state.word().to_owned(),
                tunnel.local.clone(),
                tunnel.remote.clone(),
                child.name.clone(),
                child.state.word().to_owned(),
                selectors(child),
                child.in_packets.to_string(),
                child.out_packets.to_string(),
                path_mtu(tunnel),
                reason(tunnel, child),
            ]
        })
    });
    table(&header, rows)
}

/// What a child carries, or is to carry.
fn selectors(child: &Child) -> String {
    match child.carries.as_str() {
        "" if child.local_ts.is_empty() && child.remote_ts.is_empty() => String::new(),
        "" => format!("{} === {}", child.local_ts, child.remote_ts),
        carries => carries.to_owned(),
    }
}

/// Why a child is not up: its own reason, or that of the tunnel.
fn reason(tunnel: &Tunnel, child: &Child) -> String {
    let (code, text) = match (child.state, child.reason.as_str()) {
        (State::Up, _) => return String::new(),
        (_, "") => (&tunnel.reason_code, &tunnel.reason),
        _ => (&child.reason_code, &child.reason),
    };
    format!("{code} {text}").trim().to_owned()
}

fn path_mtu(tunnel: &Tunnel) -> String {
    match (tunnel.path_mtu, tunnel.path_mtu_learned) {
        (0, _) => "-".to_owned(),
        (octets, true) => format!("{octets} learned"),
        (octets, false) => octets.to_string(),
    }
}

/// Tunnels are the rule.
fn encapsulation(sa: &Sa) -> String {
    let mode = if sa.mode == "transport" { " transport" } else { "" };
    format!("{}{mode}", sa.encapsulation)
}

fn sas(sas: &[Sa]) -> String {
    let header = [
        "TUNNEL", "CHILD", "DIR", "SPI", "SUITE", "ENCAP", "ESN", "WORKER", "PACKETS", "BYTES", "AGE",
        "STATE", "COUNTS",
    ];
    let counts = |sa: &Sa| {
        let those = sa.counts.iter().map(|count| format!("{} {}", count.value, count.name));
        those.collect::<Vec<_>>().join(", ")
    };
    let row = |sa: &Sa| {
        vec![
            sa.tunnel.clone(),
            sa.child.clone(),
            sa.direction.clone(),
            sa.spi.clone(),
            sa.suite.clone(),
            encapsulation(sa),
            if sa.extended_sequence_number { "yes" } else { "no" }.to_owned(),
            format!("{}{}", sa.worker, if sa.own { " alone" } else { "" }),
            sa.packets.to_string(),
            sa.bytes.to_string(),
            format!("{} s", sa.age_seconds),
            sa.state.clone(),
            counts(sa),
        ]
    };
    table(&header, sas.iter().map(row))
}

fn counters(counters: &[Counter]) -> String {
    let row =
        |counter: &Counter| vec![counter.name.clone(), counter.value.to_string(), counter.meaning.clone()];
    table(&["COUNTER", "VALUE", "MEANING"], counters.iter().map(row))
}

fn explain(explain: &Explain) -> String {
    let mut text = format!("{} is {}: {}", explain.tunnel, explain.state.word(), explain.verdict);
    if !explain.code.is_empty() {
        text += &format!(" [{}]", explain.code);
    }
    if !explain.fix.is_empty() {
        text += &format!("\nto do: {}", explain.fix);
    }
    for part in [lines(&explain.rungs, rung), lines(&explain.attempts, attempt)] {
        if !part.is_empty() {
            text += &format!("\n{part}");
        }
    }
    text
}

fn rung(rung: &Rung) -> String {
    let mark = match rung.holds {
        Some(true) => "yes",
        Some(false) => "NO ",
        None => " - ",
    };
    format!("  {mark}  {:<34} {}", rung.question, rung.seen).trim_end().to_owned()
}

fn attempt(attempt: &Attempt) -> String {
    let Attempt { seconds_ago, role, peer, child, gateway, outcome, code, reached, repeats, .. } = attempt;
    let part = |what: &str, name: &str| if name.is_empty() { String::new() } else { format!("{what}{name}") };
    let of = part(", child ", child) + &part(" at gateway ", gateway);
    let mut text = format!("  {seconds_ago} s ago as {role} with {peer}{of}, {reached}: {outcome}");
    if !code.is_empty() {
        text += &format!(" [{code}]");
    }
    if *repeats > 0 {
        text += &format!(", and {repeats} times more");
    }
    let notify = Some(&attempt.notify).filter(|notify| !notify.is_empty());
    let lines =
        attempt.difference.iter().cloned().chain(notify.map(|notify| format!("the peer said {notify}")));
    let keys = (!attempt.keys.is_empty()).then(|| format!("see {}", attempt.keys.join(", ")));
    text.extend(lines.chain(keys).map(|line| format!("\n      {line}")));
    text
}

fn strangers(strangers: &Strangers) -> String {
    let Strangers { address, tunnels, attempts } = strangers;
    let mut text = match tunnels.as_slice() {
        [] => format!("{address} is the peer of no tunnel"),
        tunnels => format!("{address} is the peer of {}; see explain for each", tunnels.join(", ")),
    };
    if !attempts.is_empty() {
        text += &format!("; without one it tried:\n{}", lines(attempts, attempt));
    }
    text
}

fn callers(callers: &Callers) -> String {
    let Callers { gateway, open, reasons, count, attempts } = callers;
    let is = match open {
        true => "lets peers in".to_owned(),
        false => format!("lets nobody in: {}", reasons.join(", ")),
    };
    let mut text = format!("{gateway} {is}; its peers have {count} tunnels");
    text += match attempts.is_empty() {
        true => "; no caller has failed",
        false => "; callers that failed:\n",
    };
    text + &lines(attempts, attempt)
}

fn watched(Watched { address, remaining_seconds }: &Watched) -> String {
    format!("messages of {address} are told for {remaining_seconds} s more: ravelin events --follow")
}

fn lockouts(Lockouts { lockouts, locked_out, dropped }: &Lockouts) -> String {
    let header =
        ["INSTANCE", "GATEWAY", "ADDRESS", "PORT", "LOCKED OUT", "FAILED ATTEMPTS", "DROPPED", "REMAINING"];
    let row = |lockout: &Lockout| {
        vec![
            lockout.instance.clone(),
            lockout.gateway.clone(),
            lockout.address.clone(),
            if lockout.port == 0 { "all".to_owned() } else { lockout.port.to_string() },
            if lockout.blocked { "yes" } else { "no" }.to_owned(),
            lockout.failed_attempts.to_string(),
            lockout.dropped.to_string(),
            lockout.remaining_seconds.map_or("until cleared".to_owned(), |seconds| format!("{seconds} s")),
        ]
    };
    let sum = format!("{locked_out} locked out since the start, {dropped} datagrams dropped");
    match lockouts.is_empty() {
        true => format!("nobody is locked out; {sum}"),
        false => format!("{}\n{sum}", table(&header, lockouts.iter().map(row))),
    }
}

fn event(event: &Event) -> String {
    let Event { number, time, tunnel, what, text, .. } = event;
    format!("{number} {time:.3} {what} {tunnel} {text}").trim_end().to_owned()
}

fn gateways(gateways: &[Gateway]) -> String {
    let header = [
        "GATEWAY", "OPEN", "LOCAL", "PRIVATE", "TEMPLATE", "TS-LIST", "CLIENTS", "UNIQUE", "TUNNELS",
        "REASON",
    ];
    let row = |gateway: &Gateway| {
        let reasons = gateway.flags.iter().zip(&gateway.reasons).map(|(flag, why)| format!("{flag} ({why})"));
        vec![
            gateway.name.clone(),
            if gateway.open { "yes" } else { "NO" }.to_owned(),
            gateway.local.clone(),
            gateway.private_instance.clone(),
            gateway.template.clone(),
            gateway.ts_list.clone(),
            dash(&gateway.client_db),
            gateway.unique.clone(),
            gateway.count.to_string(),
            reasons.collect::<Vec<_>>().join("; "),
        ]
    };
    let mut text = table(&header, gateways.iter().map(row));
    text += "\n\n";
    text += &account::callers(gateways);
    let proofs = account::proofs(gateways);
    if !proofs.is_empty() {
        text += &format!("\n\n{proofs}");
    }
    let tunnels: Vec<&GatewayTunnel> = gateways.iter().flat_map(|gateway| &gateway.tunnels).collect();
    if !tunnels.is_empty() {
        text += &format!("\n\n{}", gateway_tunnels(&tunnels));
    }
    text
}

/// What is empty is shown as a dash.
fn dash(text: &str) -> String {
    if text.is_empty() { "-" } else { text }.to_owned()
}

fn gateway_tunnels(tunnels: &[&GatewayTunnel]) -> String {
    let header = [
        "TUNNEL",
        "CLIENT",
        "STATE",
        "REMOTE",
        "PRIVATE",
        "WORKER",
        "CHILDREN",
        "IN PACKETS",
        "OUT PACKETS",
        "SINCE",
        "ROUTES",
    ];
    let row = |tunnel: &&GatewayTunnel| {
        vec![
            tunnel.name.clone(),
            dash(&tunnel.client),
            tunnel.state.word().to_owned(),
            tunnel.remote.clone(),
            tunnel.private_instance.clone(),
            tunnel.worker.map_or_else(|| "-".to_owned(), |worker| worker.to_string()),
            tunnel.children.to_string(),
            tunnel.in_packets.to_string(),
            tunnel.out_packets.to_string(),
            format!("{} s", tunnel.since_seconds),
            tunnel.routes.join(","),
        ]
    };
    table(&header, tunnels.iter().map(row))
}

fn routes(routes: &[Route]) -> String {
    let header = ["INSTANCE", "DESTINATION", "KIND", "TO", "METRIC", "PREFERENCE"];
    let row = |route: &Route| {
        vec![
            route.instance.clone(),
            route.destination.clone(),
            route.kind.clone(),
            if route.tunnel.is_empty() { route.via.clone() } else { route.tunnel.clone() },
            route.metric.to_string(),
            route.preference.to_string(),
        ]
    };
    table(&header, routes.iter().map(row))
}

fn applied(applied: &Applied) -> String {
    if !applied.refused.is_empty() {
        let refused = lines(&applied.refused, |line| format!("refused: {line}"));
        return format!("nothing was changed\n{refused}");
    }
    let lists = [
        ("added", "", &applied.added),
        ("removed", "", &applied.removed),
        ("changed", " (tunnels from their next negotiation on)", &applied.changed),
        ("moved", " (to another address of ours; up where the peer lets them)", &applied.moved),
        ("replaced", " (closed and opened anew)", &applied.replaced),
        ("other addresses", "", &applied.readdressed),
        ("needs a restart", " (as it was until then)", &applied.needs_restart),
    ];
    let lists = lists.into_iter().filter(|(_, _, names)| !names.is_empty());
    let mut text = if applied.dry_run { "nothing was changed; it would be:\n" } else { "" }.to_owned();
    text.extend(lists.map(|(what, note, names)| format!("{what}: {}{note}\n", names.join(", "))));
    text.extend(applied.warnings.iter().map(|warning| format!("warning: {warning}\n")));
    text + &format!("untouched: {} tunnels", applied.untouched)
}

fn lookup(lookup: &Lookup) -> String {
    let Lookup { instance, packet, arrival, .. } = lookup;
    let mut text = format!("{packet} in instance {instance}, {arrival}: {}", verdict(lookup));
    let lines = [
        (!lookup.entry.is_empty()).then(|| format!("policy entry: {}", lookup.entry)),
        lookup.route.as_ref().map(|route| format!("route: {}", way(route))),
        lookup.outer_route.as_ref().map(|route| format!("to the peer: {}", way(route))),
    ];
    let near = lookup.nearest.iter().map(nearest);
    text.extend(lines.into_iter().flatten().chain(near).map(|line| format!("\n  {line}")));
    text
}

fn verdict(lookup: &Lookup) -> String {
    let Lookup { drop, reason, reason_code, tunnel, child, spi, .. } = lookup;
    let worker = lookup.worker.map(|worker| format!(", worker {worker}")).unwrap_or_default();
    let into = match (tunnel.as_str(), child.as_str()) {
        ("", _) => String::new(),
        (tunnel, "") => format!(" at tunnel {tunnel}"),
        (tunnel, child) => format!(" at tunnel {tunnel}, child {child}{worker}"),
    };
    let own = match numbers(&lookup.own_workers) {
        workers if workers.is_empty() => String::new(),
        workers => format!("; from workers {workers} by SAs of their own"),
    };
    match lookup.verdict.as_str() {
        "protect" => format!("goes into tunnel {tunnel}, child {child}{worker}, SPI {spi}{own}"),
        "encapsulate" => format!("goes into ip-tunnel {tunnel}, in clear"),
        "forward" => "goes on in clear".to_owned(),
        "local" => "is for this machine".to_owned(),
        "kernel" => "goes to the kernel of its link".to_owned(),
        _ if reason_code.is_empty() => format!("is dropped{into} ({drop}): {reason}"),
        _ => format!("is dropped{into} ({drop}): {reason} [{reason_code}]"),
    }
}

fn numbers(workers: &[usize]) -> String {
    workers.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")
}

fn way(way: &Way) -> String {
    let Way { destination, next_hop, interface } = way;
    let on = if interface.is_empty() { String::new() } else { format!(" on {interface}") };
    format!("{destination} by {next_hop}{on}")
}

fn nearest(nearest: &Nearest) -> String {
    let Nearest { tunnel, child, misses } = nearest;
    format!("nearest: tunnel {tunnel}, child {child}: {}", misses.join("; "))
}

fn finding(finding: &Finding) -> String {
    let Finding { severity, subject, seen, fix } = finding;
    let fix = if fix.is_empty() { String::new() } else { format!("\n         to do: {fix}") };
    format!("{severity:<8} {subject}: {seen}{fix}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The reason a tunnel is down stands first, and the exit code says the same.
    #[test]
    fn explain_leads_with_the_verdict() {
        let explain = Explain {
            tunnel: "branch".into(),
            state: State::Down,
            verdict: "the peer does not answer IKE_SA_INIT".into(),
            code: "RV-INIT-001".into(),
            fix: "check the path to 192.0.2.1, UDP 500".into(),
            rungs: vec![Rung { question: "peer answers".into(), holds: Some(false), seen: "8 sent".into() }],
            attempts: vec![],
            ..Explain::default()
        };
        let reply = Reply::Explain(explain);
        let text = text(&reply);
        assert!(
            text.starts_with("branch is down: the peer does not answer IKE_SA_INIT [RV-INIT-001]\nto do: ")
        );
        assert_eq!(exit_code(&reply), 1);
    }

    /// One row a child, whatever its state (a down child does not vanish).
    #[test]
    fn a_down_child_has_a_row() {
        let child = |name: &str, state| Child { name: name.into(), state, ..Child::default() };
        let refused =
            Child { reason_code: "RV-CHILD-002".into(), reason: "refused".into(), ..child("b", State::Down) };
        let carried = Child { carries: "10.2.0.0/25 === 10.1.0.0/24".into(), ..child("c", State::Up) };
        let children = vec![child("a", State::Down), refused, carried];
        let tunnel =
            Tunnel { name: "branch".into(), reason: "silence".into(), children, ..Default::default() };
        let text = text(&Reply::Tunnels { tunnels: vec![tunnel], next: None });
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 4);
        assert!(lines[1].contains("down") && lines[1].ends_with("silence"), "{text}");
        assert!(lines[2].ends_with("RV-CHILD-002 refused"), "each says why it is down: {text}");
        assert!(lines[3].contains("10.2.0.0/25") && !lines[3].contains("silence"), "{text}");
    }
}
