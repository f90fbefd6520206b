//! This very program as initiators who show a certificate each, and what ravelind says of them meanwhile.
//!
//! The authorities are those of `scripts/lib/pki.sh`; ravelind believes their root, and asks about what each has issued as
//! the configuration of a measurement says. Whoever measures chooses who calls, from where, and with which certificates.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::network::{
    BEHIND, BEHIND_OTHERS, INITIATORS, Network, OTHERS, PROTECTED, RESPONDER, command_in, run as run_program,
};
use super::responders::ESP;
use super::scenario::Scenario;
use crate::ike::Authentication;
use crate::ike::authority::{Authority, now};

/// What is measured with: ECDSA with P-256 throughout, as most certificates of gateways.
pub const SCENARIO: Scenario = Scenario {
    name: "issued-p256",
    auth: Authentication::Issued,
    proposal: "aes128gcm16-prfsha256-x25519",
    aim: 0.0,
};
/// Between two looks at ravelind.
const LOOK: Duration = Duration::from_millis(20);

/// Who calls.
pub struct Call<'a> {
    /// Their numbers: the addresses by their order.
    pub numbers: Range<u32>,
    /// The authority that has issued their certificates.
    pub authority: &'a str,
    /// The number of the first one's certificate.
    pub certificates_from: u32,
    /// Whether they are the others, who are in the way.
    pub are_others: bool,
}

/// From where they call, and with whose certificates.
pub struct Callers<'a> {
    /// The namespaces.
    pub network: &'a Network,
    /// The folder with the authorities.
    pub folder: &'a Path,
    /// The core of all of them.
    pub core: usize,
}

impl Callers<'_> {
    /// The program, not yet started.
    ///
    /// # Errors
    /// When it does not know its own name, or there are no others.
    pub fn command(&self, call: &Call<'_>, more: &[&str]) -> Result<Command> {
        let others = self.network.others.as_ref();
        let (namespace, local, behind) = match call.are_others {
            true => (others.context("there are no others")?, OTHERS, BEHIND_OTHERS),
            false => (&self.network.initiators, INITIATORS, BEHIND),
        };
        let program = std::env::current_exe()?;
        let mut command = command_in(namespace, self.core, &program.to_string_lossy());
        command.args(["ike", "--json", "--local", local, "--remote", RESPONDER, "--behind", behind]);
        command.args(["--protected", PROTECTED, "--esp-proposal", ESP, "--proposal", SCENARIO.proposal]);
        let (authority, key) = files(self.folder, call.authority);
        command.args(["--auth", "issued", "--authority"]).arg(authority).arg("--authority-key").arg(key);
        command.args(["--certificates-from", &call.certificates_from.to_string()]);
        command.args([
            "--first",
            &call.numbers.start.to_string(),
            "--count",
            &call.numbers.len().to_string(),
        ]);
        command.args(more);
        Ok(command)
    }

    /// Has them call, to the end; their report.
    ///
    /// # Errors
    /// When they cannot be started or say nothing; that none was let in is for the caller to see.
    pub fn call(&self, call: &Call<'_>, more: &[&str]) -> Result<Value> {
        let output = self.command(call, more)?.output().context("starting the generator")?;
        let said = String::from_utf8_lossy(&output.stderr);
        serde_json::from_slice(&output.stdout).with_context(|| format!("the generator: {}", said.trim()))
    }
}

/// A root, this authority and that below it, and ravelind's own certificate, which the authority `sub` has issued.
///
/// # Errors
/// When openssl is missing, or what it says.
pub fn certify(folder: &Path, authorities: &[&str]) -> Result<()> {
    let library = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../scripts/lib/pki.sh");
    let script = ". \"$0\"; pki_begin \"$1\" ec; shift; \
                  for name in sub \"$@\"; do pki_authority \"$name\" root \"$name\" ,pathlen:0; done; pki_leaf b sub DNS:b.example";
    let arguments = ["-euc", script, &library.to_string_lossy(), &folder.to_string_lossy()];
    run_program("bash", &[&arguments, authorities].concat()).map(drop).context("making certificates")
}

/// An authority of that folder.
///
/// # Errors
/// As [`Authority::read`].
pub fn authority(folder: &Path, name: &str) -> Result<Authority> {
    let (certificate, key) = files(folder, name);
    Authority::read(&certificate, &key, now())
}

fn files(folder: &Path, name: &str) -> (PathBuf, PathBuf) {
    (folder.join(format!("{name}.pem")), folder.join(format!("{name}.key")))
}

/// Waits until `is_so` says so; how long that took.
///
/// # Errors
/// What is waited for, when it is not so after `patience`.
pub fn until(patience: Duration, what: &str, mut is_so: impl FnMut() -> Result<bool>) -> Result<Duration> {
    let began = Instant::now();
    while !is_so()? {
        if began.elapsed() > patience {
            bail!("{what}: not within {} s", patience.as_secs());
        }
        // Another program is asked; it has no other way to say so.
        std::thread::sleep(LOOK);
    }
    Ok(began.elapsed())
}

/// A number of a report.
///
/// # Errors
/// When there is none of that name.
pub fn number(report: &Value, name: &str) -> Result<f64> {
    report.pointer(name).and_then(Value::as_f64).with_context(|| format!("the generator tells no {name}"))
}

/// That all of so many came up.
///
/// # Errors
/// Why others did not.
pub fn all_up(report: &Value, count: usize) -> Result<()> {
    let setups = number(report, "/setups")?;
    let failures = report.get("failures").cloned().unwrap_or_default();
    ensure!(setups == count as f64, "{setups} of {count} setups succeeded: {failures}");
    Ok(())
}
