//! `ravelin`: the operator's command line over the control socket; `config check`, `pki verify` and `bench` need no daemon.
//! What it does with the store of certificates and keys is in `pki` and `verify`.
//! Every command takes `--json`; exit codes are 0 up or done, 1 down or failed, 2 degraded, 3 not found,
//! 4 daemon unreachable, 64 usage.

mod fetch;
mod import;
mod pki;
mod tap;
mod terminal;
mod verify;

use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use ravelin_control::api::client::{self, CallError};
use ravelin_control::api::request::{self, TunnelName};
use ravelin_control::api::{AHEAD, Reply, Request, SCHEMA, list, render};
use ravelin_control::bench::{self, BenchError, Figures};
use ravelin_control::config;
use serde::Serialize;

/// Operates a running ravelind.
#[derive(Parser)]
#[command(name = "ravelin", version)]
struct Cli {
    /// Control socket of the daemon.
    #[arg(long, global = true, env = "RAVELIN_SOCKET", default_value = "/run/ravelin/control.sock")]
    socket: PathBuf,
    /// Print JSON, one object, instead of text.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Show a part of the gateway.
    #[command(subcommand)]
    Show(Show),
    /// Say why a tunnel is as it is, or what callers of a gateway, or of an address, tried in vain.
    Explain(Tunnel),
    /// Bring a tunnel up, or one child of it.
    Initiate(Part),
    /// Take a tunnel down, or one child of it.
    Terminate(Part),
    /// Negotiate new keys for a tunnel's children, or one of them, or for its IKE SA.
    Rekey(Rekey),
    /// Send the callers of a tunnel, or of a gateway, to another gateway.
    Redirect(Redirect),
    /// Print what happened.
    Events(Events),
    /// Look for what is wrong with the machine.
    Doctor,
    /// Say what would become of a packet.
    Lookup(Lookup),
    /// Have every IKE message of a peer told in `events` and the log; alone: say what is on.
    Debug(DebugArguments),
    /// Copy packets of a tunnel, an interface or a host, in clear or encrypted, into a pcapng file.
    Capture(tap::Capture),
    /// Say which way single packets take through the gateway, and what becomes of them.
    Trace(tap::Trace),
    /// Find out how large packets of a tunnel may be.
    #[command(subcommand)]
    Mtu(Mtu),
    /// Take back what the gateway holds against somebody.
    #[command(subcommand)]
    Clear(Clear),
    /// Work with certificates, keys and CRLs.
    #[command(subcommand)]
    Pki(pki::Pki),
    /// Measure what a packet costs on this machine; needs no daemon and no network card.
    Bench(bench::Options),
    /// Work with configuration files.
    #[command(subcommand)]
    Config(Config),
}

#[derive(Subcommand)]
enum Show {
    /// Version and uptime.
    Version,
    /// Ports and their counters.
    Ports,
    /// Workers and their load.
    Workers,
    /// Configured tunnels and their state.
    Tunnels,
    /// Security associations.
    Sa,
    /// Counters, drops by reason among them.
    Counters,
    /// Callers that are locked out, or counted.
    Lockout,
    /// Gateways; with a name that one and its tunnels.
    Gateways {
        /// Name in the configuration.
        name: Option<String>,
    },
    /// Tunnel groups; with a name that one and its workers.
    TunnelGroups {
        /// Name in the configuration.
        name: Option<String>,
    },
    /// Ip-tunnels; with a name that one and all that is set of it.
    IpTunnels {
        /// Name in the configuration.
        name: Option<String>,
    },
    /// Mirrors, and what they have copied.
    Mirrors,
    /// Databases of clients; with a name that one and its clients, or which of them would take a peer.
    ClientDb(ClientDb),
    /// Routes into tunnels, and static ones.
    Routes,
    /// Policy: entries and tunnels in the order in which they count.
    Policy,
    /// Our own certificates: the authorities above each, and how many peers were shown it.
    Certificates,
    /// CRLs and OCSP answers that are held, and when CRLs are fetched next.
    Revocation,
}

#[derive(Args)]
struct ClientDb {
    /// Name in the configuration.
    name: Option<String>,
    /// Say which client would take a peer that calls from this address.
    #[arg(long = "match", value_name = "ADDRESS", requires = "name")]
    address: Option<IpAddr>,
    /// Who this peer says it is, as in the configuration; default: its address.
    #[arg(long = "id", value_name = "IDENTITY", requires = "address")]
    identity: Option<String>,
}

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
struct DebugArguments {
    #[command(subcommand)]
    what: Option<Debug>,
}

#[derive(Subcommand)]
enum Debug {
    /// Messages of a peer: exchange, message ID, payloads by type and size, what becomes of them; never keys.
    Peer(DebugPeer),
}

#[derive(Args)]
struct DebugPeer {
    /// Its address.
    address: IpAddr,
    /// How long: seconds, or a number with s, m or h; at most an hour. It ends by itself; 0 ends it now.
    #[arg(long = "for", default_value = "10m", value_parser = seconds)]
    time: u64,
}

/// `90`, `90s`, `10m`, `1h`.
fn seconds(text: &str) -> Result<u64, String> {
    let number = text.trim_end_matches(['s', 'm', 'h']);
    let unit = match text.strip_prefix(number) {
        Some("" | "s") => 1,
        Some("m") => 60,
        Some("h") => 3600,
        _ => 0,
    };
    let seconds = number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
    let seconds = seconds.filter(|seconds| unit > 0 && *seconds <= 3600);
    seconds.ok_or_else(|| "a time of at most an hour, like 90s or 10m".to_owned())
}

#[derive(Subcommand)]
enum Mtu {
    /// Ask the peer, or a host behind it, by echoes that may not be cut; takes ten seconds at most.
    Probe {
        /// Name in the configuration.
        tunnel: String,
        /// A host behind the tunnel that answers pings, where the peer does not.
        #[arg(long)]
        to: Option<IpAddr>,
    },
}

#[derive(Subcommand)]
enum Clear {
    /// Hear callers again that are locked out.
    Lockout(Lockout),
}

#[derive(Args)]
struct Lockout {
    /// `all`, or the address of a caller.
    #[arg(value_parser = address_or_all)]
    address: Meant,
    /// Its port; 0: only the lockout of all its ports.
    port: Option<u16>,
    /// Only at this address of ours.
    #[arg(long)]
    gateway: Option<IpAddr>,
}

/// An address, or all there are.
#[derive(Clone)]
struct Meant(Option<IpAddr>);

fn address_or_all(text: &str) -> Result<Meant, String> {
    match text {
        "all" => Ok(Meant(None)),
        address => address.parse().map(Some).map(Meant).map_err(|_| "\"all\" or an address".to_owned()),
    }
}

#[derive(Args)]
struct Tunnel {
    /// Name in the configuration.
    tunnel: String,
}

#[derive(Args)]
struct Part {
    /// Name in the configuration.
    tunnel: String,
    /// Only this child.
    #[arg(long)]
    child: Option<String>,
}

#[derive(Args)]
struct Rekey {
    #[command(flatten)]
    part: Part,
    /// The IKE SA rather than its children.
    #[arg(long, conflicts_with = "child")]
    ike: bool,
    /// By a new IKE SA with new proofs of identity.
    #[arg(long, conflicts_with_all = ["child", "ike"])]
    reauthenticate: bool,
}

#[derive(Args)]
struct Redirect {
    /// Name in the configuration.
    tunnel: String,
    /// Address or name of the other gateway.
    to: String,
}

#[derive(Args)]
struct Events {
    /// Go on until interrupted.
    #[arg(long, short)]
    follow: bool,
    /// Only events with a higher number.
    #[arg(long, default_value_t = 0)]
    after: u64,
}

#[derive(Args)]
struct Lookup {
    /// Address it comes from.
    source: IpAddr,
    /// Address it goes to.
    destination: IpAddr,
    /// IP protocol, by name or number.
    protocol: String,
    /// Port it comes from, or ICMP type.
    source_port: Option<u16>,
    /// Port it goes to, or ICMP code.
    destination_port: Option<u16>,
    /// Instance it is in clear in.
    #[arg(long, default_value = "default")]
    instance: String,
}

#[derive(Subcommand)]
enum Config {
    /// Judge a file as the daemon would; starts nothing.
    Check {
        /// The file.
        file: PathBuf,
    },
    /// Say what applying the daemon's configuration file would change.
    Plan,
    /// Have the daemon read its configuration file again and change what is other.
    Apply,
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let request = match &cli.verb {
        Verb::Config(Config::Check { file }) => return check(file, cli.json),
        Verb::Pki(command) => return pki::run(&cli.socket, cli.json, command),
        Verb::Capture(capture) => return tap::capture(&cli.socket, cli.json, capture),
        Verb::Trace(trace) => return tap::trace(&cli.socket, cli.json, trace),
        Verb::Bench(options) => return measure(options, cli.json),
        Verb::Events(events) if events.follow => return follow(&cli, events.after),
        Verb::Show(Show::Tunnels) if cli.json => {
            return list(&cli, |page| Request::ShowTunnels(Some(page)));
        }
        Verb::Show(Show::Sa) if cli.json => return list(&cli, |page| Request::ShowSa(Some(page))),
        verb => request(verb),
    };
    report(&cli, &request)
}

/// `--help` and `--version` are answers; everything else clap says is a usage error.
fn usage(error: &clap::Error) -> ExitCode {
    // Nothing can be done when the terminal is gone.
    let _ = error.print();
    ExitCode::from(if error.use_stderr() { 64 } else { 0 })
}

fn request(verb: &Verb) -> Request {
    let name = |tunnel: &Tunnel| TunnelName { tunnel: tunnel.tunnel.clone() };
    let named = |part: &Part| request::Part { tunnel: part.tunnel.clone(), child: part.child.clone() };
    match verb {
        Verb::Show(Show::Ports) => Request::ShowPorts,
        Verb::Show(Show::Workers) => Request::ShowWorkers,
        Verb::Show(Show::Tunnels) => Request::ShowTunnels(None),
        Verb::Show(Show::Sa) => Request::ShowSa(None),
        Verb::Show(Show::Counters) => Request::ShowCounters,
        Verb::Show(Show::Lockout) => Request::ShowLockout,
        Verb::Show(Show::Gateways { name }) => {
            Request::ShowGateways(request::GatewayName { gateway: name.clone() })
        }
        Verb::Show(Show::TunnelGroups { name }) => {
            Request::ShowTunnelGroups(request::GroupName { group: name.clone() })
        }
        Verb::Show(Show::IpTunnels { name }) => {
            Request::ShowIpTunnels(request::IpTunnelName { ip_tunnel: name.clone() })
        }
        Verb::Show(Show::Mirrors) => Request::ShowMirrors,
        Verb::Show(Show::ClientDb(asked)) => client_db(asked),
        Verb::Show(Show::Routes) => Request::ShowRoutes,
        Verb::Show(Show::Policy) => Request::ShowPolicy,
        Verb::Show(Show::Certificates) => Request::ShowCertificates,
        Verb::Show(Show::Revocation) => Request::ShowRevocation,
        Verb::Show(Show::Version)
        | Verb::Config(Config::Check { .. })
        | Verb::Bench(_)
        | Verb::Pki(_)
        | Verb::Capture(_)
        | Verb::Trace(_) => Request::ShowVersion,
        Verb::Config(Config::Plan) => Request::ConfigApply(request::ConfigApply { dry_run: true }),
        Verb::Config(Config::Apply) => Request::ConfigApply(request::ConfigApply { dry_run: false }),
        Verb::Explain(tunnel) => Request::Explain(name(tunnel)),
        Verb::Initiate(part) => Request::Initiate(named(part)),
        Verb::Terminate(part) => Request::Terminate(named(part)),
        Verb::Rekey(Rekey { part, ike, reauthenticate }) => {
            let request::Part { tunnel, child } = named(part);
            let (ike, reauthenticate) = (*ike, *reauthenticate);
            Request::Rekey(request::Rekey { tunnel, child, ike, reauthenticate })
        }
        Verb::Redirect(Redirect { tunnel, to }) => {
            Request::Redirect(request::Redirect { tunnel: tunnel.clone(), to: to.clone() })
        }
        Verb::Events(events) => Request::Events(request::Events { after: events.after, wait_ms: 0 }),
        Verb::Doctor => Request::Doctor,
        Verb::Lookup(lookup) => Request::Lookup(packet(lookup)),
        Verb::Debug(DebugArguments { what: None }) => Request::Debug(request::Debug::default()),
        Verb::Debug(DebugArguments { what: Some(Debug::Peer(peer)) }) => {
            Request::Debug(request::Debug { address: Some(peer.address), seconds: peer.time })
        }
        Verb::Mtu(Mtu::Probe { tunnel, to }) => {
            Request::MtuProbe(request::MtuProbe { tunnel: tunnel.clone(), to: *to })
        }
        Verb::Clear(Clear::Lockout(Lockout { address, port, gateway })) => {
            let (address, port, gateway) = (address.0, *port, *gateway);
            Request::ClearLockout(request::ClearLockout { address, port, gateway })
        }
    }
}

fn client_db(asked: &ClientDb) -> Request {
    let ClientDb { name, address, identity } = asked;
    match (name.clone(), *address) {
        (Some(client_db), Some(address)) => {
            Request::MatchClient(request::MatchClient { client_db, address, identity: identity.clone() })
        }
        (client_db, _) => Request::ShowClientDb(request::ClientDbName { client_db, page: None }),
    }
}

fn packet(lookup: &Lookup) -> request::Lookup {
    let Lookup { source, destination, source_port, destination_port, .. } = *lookup;
    let (protocol, instance) = (lookup.protocol.clone(), Some(lookup.instance.clone()));
    request::Lookup { source, destination, protocol, source_port, destination_port, instance }
}

fn report(cli: &Cli, request: &Request) -> ExitCode {
    match client::call(&cli.socket, request) {
        Ok(reply) => {
            show(&reply, cli.json);
            ExitCode::from(render::exit_code(&reply))
        }
        Err(error) => failed(&error),
    }
}

/// A long list, row by row.
fn list(cli: &Cli, part: impl Fn(request::Page) -> Request) -> ExitCode {
    // Whoever reads from a pipe need not be woken so often. It may be none.
    let _ = nix::fcntl::fcntl(std::io::stdout(), nix::fcntl::FcntlArg::F_SETPIPE_SZ(AHEAD as i32));
    match list::write_json(&cli.socket, std::io::BufWriter::new(std::io::stdout().lock()), part) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

fn failed(error: &CallError) -> ExitCode {
    eprintln!("ravelin: {error}");
    ExitCode::from(match error {
        CallError::Unreachable { .. } => 4,
        CallError::Api(error) => error.exit_code(),
    })
}

fn show(reply: &Reply, json: bool) {
    match (json, reply) {
        (false, _) => println!("{}", render::text(reply)),
        // The version of the schema is its own.
        (true, Reply::Version(_)) => print_line(reply),
        (true, _) => print_json(reply),
    }
}

/// An object, and with it the version of the schema.
#[derive(Serialize)]
struct Versioned<'a, T> {
    schema: u32,
    #[serde(flatten)]
    value: &'a T,
}

/// One object, with the version of the schema.
fn print_json(value: &impl Serialize) {
    print_line(&Versioned { schema: SCHEMA, value });
}

fn print_line(value: &impl Serialize) {
    println!("{}", serde_json::to_string(value).unwrap_or_default());
}

fn follow(cli: &Cli, mut after: u64) -> ExitCode {
    loop {
        let request = Request::Events(request::Events { after, wait_ms: 30_000 });
        match client::call(&cli.socket, &request) {
            Ok(Reply::Events { events }) if events.is_empty() => {}
            Ok(reply) => {
                if let Reply::Events { events } = &reply {
                    after = events.last().map_or(after, |event| event.number);
                }
                show(&reply, cli.json);
            }
            Err(error) => return failed(&error),
        }
    }
}

fn check(file: &std::path::Path, json: bool) -> ExitCode {
    let told = |told: &[config::Refusal]| told.iter().map(ToString::to_string).collect::<Vec<_>>();
    let (refusals, warnings) = match config::load(file, &|path| std::fs::read(path)) {
        Ok(plan) => (Vec::new(), told(&plan.warnings)),
        Err(refusals) => (told(&refusals), Vec::new()),
    };
    if json {
        println!(
            "{}",
            serde_json::json!({ "schema": SCHEMA, "kind": "config-check", "ok": refusals.is_empty(), "refusals": refusals, "warnings": warnings })
        );
    } else if refusals.is_empty() {
        println!("{}: ok", file.display());
    }
    for warning in &warnings {
        eprintln!("ravelin: warning: {warning}");
    }
    for refusal in &refusals {
        eprintln!("ravelin: {refusal}");
    }
    ExitCode::from(u8::from(!refusals.is_empty()))
}

fn measure(options: &bench::Options, json: bool) -> ExitCode {
    match figures(options) {
        Ok(figures) if json => print_json(&Bench { kind: "bench", figures }),
        Ok(figures) => println!("{}", bench::text(&figures)),
        Err(error) => {
            eprintln!("ravelin: {error}");
            return ExitCode::from(error.exit_code());
        }
    }
    ExitCode::SUCCESS
}

/// Figures as every object of the schema: with its kind.
#[derive(Serialize)]
struct Bench {
    kind: &'static str,
    #[serde(flatten)]
    figures: Figures,
}

fn figures(options: &bench::Options) -> Result<Figures, BenchError> {
    // Without a name of our own, only the PATH is left.
    let executable = std::env::current_exe().unwrap_or_default();
    let program = bench::find(&executable, std::env::var_os("PATH").as_deref())?;
    bench::measure(program, options)
}
