//! `ravelin-perf ike`: tunnels set up by IKEv2 with whoever answers, many initiators on one thread.
//!
//! A load generator built on our own engine, usable against any responder: it says how many tunnels came up a
//! second, how long each took, why others did not and, for a responder on this machine, what each cost it. What the
//! figures mean is in `perf/SPEC.md`.

mod answers;
mod authority;
mod compare;
mod cost;
mod fleet;
mod kept;
mod probe;
mod report;
mod wire;

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use ipnet::Ipv4Net;
use ravelin_ike::config::{EspProposal, IkeProposal};

use answers::Credential;
use authority::Authority;
use cost::Reading;
use fleet::{Fleet, Load, Outcome};
use report::Report;

/// Threads of a responder that poll whether or not there is work: DPDK's, by its versions.
const POLLING: [&str; 3] = ["rte-worker", "lcore-worker", "dpdk-worker"];

/// What can be told about a load.
#[derive(Args, Debug)]
pub struct Options {
    /// Addresses of the initiators, one each; the network must be local here:
    /// `ip route add local 10.9.0.0/16 dev lo`
    #[arg(long, default_value = "10.9.0.0/16")]
    local: Ipv4Net,
    /// The responder
    #[arg(long, required_unless_present_any = ["compare", "storm", "flood", "revocation", "sweep"])]
    remote: Option<Ipv4Addr>,
    /// How everybody proves itself
    #[arg(long, default_value = "psk")]
    auth: Authentication,
    /// The pre-shared key; each initiator is known by its address
    #[arg(long, default_value = "correct horse battery staple")]
    psk: String,
    /// The initiators' one certificate, intermediates behind it; its subject is their identity
    #[arg(long, required_if_eq_any([("auth", "ecdsa"), ("auth", "rsa")]))]
    certificate: Option<PathBuf>,
    /// Its key
    #[arg(long, requires = "certificate")]
    key: Option<PathBuf>,
    /// The certificate of an authority that gives each initiator one of its own (P-256), with those above it that are
    /// sent as well
    #[arg(long, required_if_eq("auth", "issued"))]
    authority: Option<PathBuf>,
    /// Its key
    #[arg(long, requires = "authority", required_if_eq("auth", "issued"))]
    authority_key: Option<PathBuf>,
    /// Number of the first initiator's certificate (default: --first); the same number has the same serial number
    #[arg(long, requires = "authority")]
    certificates_from: Option<u32>,
    /// IKE proposal
    #[arg(long, default_value = "aes128gcm16-prfsha256-x25519")]
    proposal: IkeProposal,
    /// ESP proposal
    #[arg(long, default_value = "aes128gcm16")]
    esp_proposal: EspProposal,
    /// What lies behind the initiators, an address each
    #[arg(long, default_value = "10.64.0.0/10")]
    behind: Ipv4Net,
    /// What the responder protects
    #[arg(long, default_value = "10.2.0.0/24")]
    protected: Ipv4Net,
    /// How many of the first addresses to leave to others
    #[arg(long, default_value_t = 0)]
    first: u32,
    /// Setups in all
    #[arg(long, default_value_t = 1000)]
    count: u32,
    /// Setups that may be outstanding
    #[arg(long, default_value_t = 16)]
    concurrency: u32,
    /// Setups begun a second at most
    #[arg(long)]
    rate: Option<f64>,
    /// Send an echo request there through each tunnel and wait for the answer; implies --udp-encapsulation
    #[arg(long)]
    ping: Option<Ipv4Addr>,
    /// Have ESP go in UDP, as if there were a NAT
    #[arg(long)]
    udp_encapsulation: bool,
    /// Seconds after which a setup has failed
    #[arg(long, default_value_t = 20)]
    patience: u64,
    /// Seconds for which tunnels are kept afterwards, rekeyed and asked whether they live
    #[arg(long, default_value_t = 0)]
    stay: u64,
    /// Process of the responder, for its processor time and memory
    #[arg(long)]
    pid: Option<u32>,
    /// Print one JSON object, or with --compare one a line, instead of text
    #[arg(long)]
    json: bool,
    /// The same load against ravelind and against charon, each started here in turn; of the options above only
    /// --count, --concurrency and --json apply
    #[arg(long)]
    compare: bool,
    /// As many tunnels as one worker has (or --count) against a ravelind started here, all at once; then --stay
    /// seconds in which each is rekeyed and asked whether it lives, and an operator looks on
    #[arg(long, conflicts_with = "compare")]
    storm: bool,
    /// Requests from invented addresses for --seconds against a ravelind started here, while honest initiators call,
    /// --rate of them a second (20); with cookies and then without
    #[arg(long, conflicts_with_all = ["compare", "storm"])]
    flood: bool,
    /// Peers with a certificate each against a ravelind started here: OCSP asked, OCSP known, and a responder that
    /// swallows its questions while others call, --rate of them a second (20)
    #[arg(long, conflicts_with_all = ["compare", "storm", "flood"])]
    revocation: bool,
    /// Pairs of a responder that answers and one that does not
    #[arg(long, default_value_t = 15)]
    pairs: u32,
    /// As many tunnels as --count, a certificate each, against a ravelind started here, and a list that names --revoked
    /// of them
    #[arg(long, conflicts_with_all = ["compare", "storm", "flood", "revocation"])]
    sweep: bool,
    /// Tunnels whose certificates are revoked in a sweep
    #[arg(long, default_value_t = 500)]
    revoked: u32,
    /// Requests from invented addresses a second
    #[arg(long, default_value_t = 110_000.0)]
    flood_rate: f64,
    /// Seconds of a flood
    #[arg(long, default_value_t = 30)]
    seconds: u32,
    /// Measurements of each in a comparison
    #[arg(long, default_value_t = 3)]
    repeats: u32,
    /// Only scenarios whose name contains this; several with commas
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
}

/// How initiators prove themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Authentication {
    /// A pre-shared key
    Psk,
    /// An ECDSA certificate
    Ecdsa,
    /// An RSA certificate
    Rsa,
    /// A certificate of --authority, another for each
    Issued,
}

/// Runs the load.
///
/// # Errors
/// When something of ours is wrong, or when not one setup succeeded.
pub fn run(options: &Options) -> Result<()> {
    match options {
        Options { compare: true, .. } => compare::run(&options.effort()),
        Options { storm: true, .. } => compare::storm::run(&options.storm()),
        Options { flood: true, .. } => compare::flood::run(&options.flood()),
        Options { revocation: true, .. } => compare::revocation::run(&options.revocation()),
        Options { sweep: true, .. } => compare::sweep::run(&options.sweep()),
        _ => load(options),
    }
}

fn load(options: &Options) -> Result<()> {
    let fleet = Fleet::new(options.load()?, options.credential()?)?;
    let before = options.pid.map(Reading::of).transpose()?;
    let outcome = fleet.run()?;
    let cost = match (options.pid, &before) {
        (Some(pid), Some(before)) => {
            Some(Reading::of(pid)?.since(before, outcome.up, |name| POLLING.contains(&name)))
        }
        _ => None,
    };
    let report = Report::new(options.name(), &outcome, cost);
    match options.json {
        true => println!("{}", serde_json::to_string(&report)?),
        false => print!("{}", report.text()),
    }
    succeeded(&outcome)
}

fn succeeded(outcome: &Outcome) -> Result<()> {
    ensure!(outcome.up > 0, "not one setup succeeded");
    Ok(())
}

impl Options {
    fn name(&self) -> String {
        let auth = self.auth.to_possible_value();
        let auth = auth.as_ref().map_or("", |value| value.get_name());
        format!("ike-load/{auth}/{}", self.proposal)
    }

    fn effort(&self) -> compare::Effort {
        compare::Effort {
            count: self.count,
            concurrency: self.concurrency.max(1),
            repeats: self.repeats,
            only: self.only.clone(),
            json: self.json,
        }
    }

    fn storm(&self) -> compare::storm::Storm {
        let Options { count, concurrency, stay, json, .. } = *self;
        compare::storm::Storm { count, concurrency: concurrency.max(1), stay, json }
    }

    fn flood(&self) -> compare::flood::Flood {
        compare::flood::Flood {
            rate: self.flood_rate,
            honest: self.rate.unwrap_or(20.0),
            seconds: self.seconds,
            json: self.json,
        }
    }

    fn revocation(&self) -> compare::revocation::Revocation {
        compare::revocation::Revocation {
            count: self.count,
            concurrency: self.concurrency.max(1),
            repeats: self.repeats,
            pairs: self.pairs,
            rate: self.rate.unwrap_or(20.0),
            json: self.json,
        }
    }

    fn sweep(&self) -> compare::sweep::Sweep {
        let Options { count, revoked, concurrency, stay, json, .. } = *self;
        compare::sweep::Sweep { count, revoked, concurrency: concurrency.max(1), stay, json }
    }

    fn load(&self) -> Result<Load> {
        Ok(Load {
            local: self.local,
            remote: self.remote.context("--remote is missing")?,
            behind: self.behind,
            protected: self.protected,
            proposal: self.proposal.clone(),
            esp: self.esp_proposal.clone(),
            first: self.first,
            count: self.count,
            concurrency: self.concurrency.max(1),
            rate: self.rate,
            ping: self.ping,
            udp_encapsulation: self.udp_encapsulation || self.ping.is_some(),
            patience: Duration::from_secs(self.patience),
            stay: Duration::from_secs(self.stay),
        })
    }

    fn credential(&self) -> Result<Credential> {
        match self.auth {
            Authentication::Psk => Ok(Credential::Psk(self.psk.clone().into_bytes())),
            Authentication::Issued => {
                let certificate = self.authority.as_deref().context("--authority is missing")?;
                let key = self.authority_key.as_deref().context("--authority-key is missing")?;
                let authority = Authority::read(certificate, key, authority::now())?;
                Credential::issued(authority, self.certificates_from.unwrap_or(self.first))
            }
            Authentication::Ecdsa | Authentication::Rsa => {
                let certificate = self.certificate.as_deref().context("--certificate is missing")?;
                let key = self.key.as_deref().context("--key is missing")?;
                Credential::read(certificate, key, self.auth)
            }
        }
    }
}
