//! The two responders, configured alike: one tunnel an initiator, the same proposals, lifetimes and cookie limits.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::network::{
    BEHIND, BEHIND_OTHERS, INITIATORS, INSIDE, Network, OTHERS, PROTECTED, Program, RESPONDER, ROUTER,
    command_in,
};
use super::scenario::Scenario;
use crate::ike::Authentication;

/// The key of everybody who has no certificate.
pub const PSK: &str = "correct horse battery staple";
/// What both carry.
pub const ESP: &str = "aes128gcm16";
/// The file in its folder to which ravelind logs.
pub const LOG: &str = "ravelin.log";
/// Half-open IKE SAs from which on a COOKIE is demanded: ravelind's own.
const COOKIES: u32 = 64;
/// Life of an IKE SA and of a CHILD_SA in seconds, and when each is rekeyed: ravelind's own.
const IKE_LIFE: (u32, u32) = (77_760, 86_400);
const CHILD_LIFE: (u32, u32) = (3240, 3600);

/// How long things of ours live, in seconds.
#[derive(Clone, Copy, Debug)]
pub struct Lives {
    /// An IKE SA.
    pub ike: u32,
    /// A CHILD_SA.
    pub child: u32,
    /// A silent peer, before it is asked.
    pub silence: u32,
}

impl Lives {
    /// As both responders have them when they are compared.
    pub const LONG: Lives = Lives { ike: IKE_LIFE.1, child: CHILD_LIFE.1, silence: 300 };
}

/// What ravelind is prepared for.
#[derive(Clone, Debug)]
pub struct Load {
    /// Initiators.
    pub initiators: u32,
    /// Others who call.
    pub others: u32,
    /// How long their SAs live.
    pub lives: Lives,
    /// What it logs.
    pub log: &'static str,
    /// Further lines of its configuration.
    pub more: String,
}

impl Load {
    /// So many initiators and nothing else.
    pub fn of(initiators: u32) -> Load {
        Load { initiators, others: 0, lives: Lives::LONG, log: "error", more: String::new() }
    }
}

/// What charon loads: OpenSSL first, so that it does the arithmetic; kernel-libipsec before kernel-netlink, so that
/// it has the SAs.
const PLUGINS: &str = "openssl random nonce pem pkcs1 pkcs8 x509 constraints pubkey hmac kdf sha1 sha2 aes gcm \
     drbg socket-default kernel-libipsec kernel-netlink vici";

/// Who answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// Ravelin.
    Ours,
    /// strongSwan.
    Charon,
}

/// A responder that runs.
pub struct Responder {
    program: Program,
    socket: Option<PathBuf>,
}

impl Who {
    /// Starts it for so many initiators; its files go to `folder`.
    ///
    /// # Errors
    /// When it does not start, with the end of its log.
    pub fn start(
        self,
        scenario: &Scenario,
        initiators: u32,
        network: &Network,
        folder: &Path,
        core: usize,
    ) -> Result<Responder> {
        match self {
            Who::Ours => ravelind(scenario, &Load::of(initiators), network, folder, core),
            Who::Charon => charon(scenario, network, folder, core),
        }
    }
}

impl Responder {
    /// Its process.
    pub fn id(&self) -> u32 {
        self.program.id()
    }

    /// Asks ravelind with its own command.
    ///
    /// # Errors
    /// When there is no such program beside this one, or this is charon.
    pub fn ask(&self, words: &[&str]) -> Result<Command> {
        let socket = self.socket.as_ref().context("charon has another command")?;
        let mut command = Command::new(beside("ravelin")?);
        command.arg("--socket").arg(socket).arg("--json").args(words);
        Ok(command)
    }

    /// TSC cycles our worker has spent on commands; none of a responder that has no worker.
    ///
    /// # Errors
    /// When ravelind does not say.
    pub fn command_cycles(&self) -> Result<u64> {
        match self.socket {
            Some(_) => self.counters()?.of("command-cycles"),
            None => Ok(0),
        }
    }

    /// What ravelind counts.
    ///
    /// # Errors
    /// When it does not say.
    pub fn counters(&self) -> Result<Counters> {
        let output = self.ask(&["show", "counters"])?.output().context("starting ravelin")?;
        let answer: serde_json::Value =
            serde_json::from_slice(&output.stdout).context("ravelin says what is counted")?;
        let listed = answer.get("counters").and_then(|list| list.as_array()).context("there are counters")?;
        let named = |counter: &serde_json::Value| {
            Some((counter.get("name")?.as_str()?.to_owned(), counter.get("value")?.as_u64()?))
        };
        Ok(Counters(listed.iter().filter_map(named).collect()))
    }
}

/// What ravelind has counted, by name.
pub struct Counters(HashMap<String, u64>);

impl Counters {
    /// One of them.
    ///
    /// # Errors
    /// When ravelind has no such counter.
    pub fn of(&self, name: &str) -> Result<u64> {
        self.0.get(name).copied().with_context(|| format!("ravelind does not count {name}"))
    }
}

/// A program that was built with this one.
fn beside(name: &str) -> Result<String> {
    let path = std::env::current_exe()?.with_file_name(name);
    ensure!(path.exists(), "{} is missing: cargo build --release -p ravelin-control", path.display());
    Ok(path.to_string_lossy().into_owned())
}

/// Starts ravelind for this load.
///
/// # Errors
/// As [`Who::start`].
pub fn ravelind(
    scenario: &Scenario,
    load: &Load,
    network: &Network,
    folder: &Path,
    core: usize,
) -> Result<Responder> {
    let (config, socket, log) = (folder.join("ravelin.toml"), folder.join("ravelin.sock"), folder.join(LOG));
    fs::write(&config, ravelin_toml(scenario, load, core)?)?;
    let mut command = command_in(&network.responder, core, &beside("ravelind")?);
    command.arg("--config").arg(&config).arg("--socket").arg(&socket).stdout(Stdio::null());
    command.arg("--state").arg(folder.join("state"));
    command.stderr(fs::File::create(&log)?);
    let mut program = Program::start(command)?;
    let ravelin = beside("ravelin")?;
    let ready = || {
        let mut ask = Command::new(&ravelin);
        ask.arg("--socket")
            .arg(&socket)
            .args(["show", "version"])
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        ask.status().is_ok_and(|status| status.success())
    };
    program.await_ready("ravelind", ready).with_context(|| tail(&log))?;
    Ok(Responder { program, socket: Some(socket) })
}

fn ravelin_toml(scenario: &Scenario, load: &Load, core: usize) -> Result<String> {
    let Load { initiators, others, lives, log, more } = load;
    let mut text = format!(
        "interface.wan = {{ device = \"af_packet:wan0\", addresses = [\"{RESPONDER}/24\"] }}\n\
         interface.lan = {{ device = \"af_packet:lan0\", addresses = [\"{INSIDE}/24\"] }}\n\
         [workers]\ncount = 1\ncores = [{core}]\nidle = \"adaptive\"\n\
         [control]\nlog = \"{log}\"\n\
         [[route]]\ndestination = \"{INITIATORS}\"\nvia = \"{ROUTER}\"\n\
         [ike-policy.p]\nproposals = [\"{}\"]\nlifetime = {}\ndpd-interval = {}\n\
         [ipsec-transform.t]\nproposals = [\"{ESP}\"]\nextended-sequence-number = false\nlifetime = {}\n",
        scenario.proposal, lives.ike, lives.silence, lives.child,
    );
    let auth = match scenario.auth {
        Authentication::Psk => format!("psk = \"{PSK}\""),
        Authentication::Ecdsa | Authentication::Rsa | Authentication::Issued => {
            text.push_str(
                "[cert-profile.own]\ncertificate = \"b.pem\"\nchain = [\"sub.pem\"]\nkey = \"b.key\"\n\
                 [trust-anchor-profile.roots]\nanchors = [\"root.pem\"]\n",
            );
            "certificate = \"own\"\ntrust = \"roots\"".to_owned()
        }
    };
    tunnels(&mut text, ("t", *initiators), (INITIATORS, BEHIND), &auth)?;
    if *others > 0 {
        let _ = write!(text, "[[route]]\ndestination = \"{OTHERS}\"\nvia = \"{ROUTER}\"\n");
        tunnels(&mut text, ("o", *others), (OTHERS, BEHIND_OTHERS), &auth)?;
    }
    text.push_str(more);
    Ok(text)
}

/// A tunnel for each of so many initiators, with the addresses in their order.
fn tunnels(
    text: &mut String,
    (name, count): (&str, u32),
    (outer, inner): (&str, &str),
    auth: &str,
) -> Result<()> {
    let networks: (ipnet::Ipv4Net, ipnet::Ipv4Net) = (outer.parse()?, inner.parse()?);
    for (number, (outer, inner)) in (0..count).zip(networks.0.hosts().zip(networks.1.hosts())) {
        let _ = write!(
            text,
            "[tunnel.{name}{number}]\nlocal = \"{RESPONDER}\"\nremote = \"{outer}\"\n{auth}\nike-policy = \"p\"\n\
             ipsec-transform = \"t\"\non-demand = false\nlocal-ts = [\"{PROTECTED}\"]\nremote-ts = [\"{inner}/32\"]\n",
        );
    }
    Ok(())
}

fn charon(scenario: &Scenario, network: &Network, folder: &Path, core: usize) -> Result<Responder> {
    let (log, vici) = (folder.join("charon.log"), folder.join("vici"));
    for name in ["x509", "x509ca", "private"] {
        fs::create_dir_all(folder.join(name))?;
    }
    fs::write(folder.join("strongswan.conf"), strongswan_conf(&log, &vici))?;
    fs::write(folder.join("swanctl.conf"), swanctl_conf(scenario))?;
    if scenario.auth != Authentication::Psk {
        for (file, place) in
            [("root.pem", "x509ca"), ("sub.pem", "x509ca"), ("b.pem", "x509"), ("b.key", "private")]
        {
            fs::copy(folder.join(file), folder.join(place).join(file))?;
        }
    }
    let environment = |command: &mut Command| {
        command.env("STRONGSWAN_CONF", folder.join("strongswan.conf")).env("SWANCTL_DIR", folder);
    };
    let mut command = command_in(&network.responder, core, "/usr/sbin/charon-systemd");
    environment(&mut command);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut program = Program::start(command)?;
    program.await_ready("charon", || vici.exists()).with_context(|| tail(&log))?;
    let mut load = Command::new("swanctl");
    environment(&mut load);
    let output = load.args(["--load-all", "--uri"]).arg(format!("unix://{}", vici.display())).output()?;
    ensure!(output.status.success(), "swanctl: {}", String::from_utf8_lossy(&output.stderr));
    Ok(Responder { program, socket: None })
}

fn strongswan_conf(log: &Path, vici: &Path) -> String {
    format!(
        "charon-systemd {{\n  load = {PLUGINS}\n  port = 500\n  port_nat_t = 4500\n  threads = 16\n  \
         ikesa_table_size = 16384\n  ikesa_table_segments = 16\n  cookie_threshold = {COOKIES}\n  block_threshold = 0\n  \
         init_limit_half_open = 0\n  journal {{ default = -1 }}\n  filelog {{ f {{ path = {}\n    default = 0 }} }}\n  \
         plugins {{ vici {{ socket = unix://{} }} }}\n}}\n",
        log.display(),
        vici.display(),
    )
}

fn swanctl_conf(scenario: &Scenario) -> String {
    let (local, remote) = match scenario.auth {
        Authentication::Psk => (format!("auth = psk\n id = {RESPONDER}"), "auth = psk".to_owned()),
        Authentication::Ecdsa | Authentication::Rsa | Authentication::Issued => {
            ("auth = pubkey\n certs = b.pem".to_owned(), "auth = pubkey\n cacerts = root.pem".to_owned())
        }
    };
    format!(
        "connections {{ c {{ version = 2\n local_addrs = {RESPONDER}\n remote_addrs = {INITIATORS}\n \
         proposals = {}\n mobike = no\n dpd_delay = 300s\n fragmentation = yes\n send_certreq = no\n \
         send_cert = always\n rekey_time = {}s\n over_time = {}s\n unique = no\n local {{ {local} }}\n remote {{ {remote} }}\n \
         children {{ c {{ local_ts = {PROTECTED}\n remote_ts = {BEHIND}\n esp_proposals = {ESP}\n rekey_time = {}s\n \
         life_time = {}s }} }} }} }}\nsecrets {{ ike-1 {{ secret = \"{PSK}\" }} }}\n",
        scenario.proposal,
        IKE_LIFE.0,
        IKE_LIFE.1 - IKE_LIFE.0,
        CHILD_LIFE.0,
        CHILD_LIFE.1,
    )
}

/// The end of a log, for an error.
fn tail(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines.get(lines.len().saturating_sub(8)..).unwrap_or_default().join("\n")
}
