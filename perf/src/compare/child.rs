//! Processes that are measured: started alike, pinned alike, spoken to by lines.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, bail, ensure};

/// Where, and with what precedence, everybody measured runs.
#[derive(Clone, Debug)]
pub struct Pinning {
    core: usize,
    priority: u8,
}

impl Pinning {
    /// On `core`; with real-time `priority` where the system allows it, else with what there is.
    pub fn new(core: usize, priority: u8) -> Pinning {
        let allowed = priority > 0
            && Command::new("chrt")
                .args(["-f", &priority.to_string(), "true"])
                .stderr(Stdio::null())
                .status()
                .is_ok_and(|status| status.success());
        if priority > 0 && !allowed {
            eprintln!("real-time priority is not allowed here: other work will show in the figures");
        }
        Pinning { core, priority: if allowed { priority } else { 0 } }
    }

    /// The core.
    pub fn core(&self) -> usize {
        self.core
    }

    /// Another core, for threads that are not measured; the same where there is one alone.
    pub fn other(&self) -> usize {
        let cores = core_affinity::get_core_ids().unwrap_or_default();
        cores.iter().map(|core| core.id).find(|&core| core != self.core).unwrap_or(self.core)
    }

    /// A command for `program` that finds its core itself. Its heap as below.
    pub fn unpinned(&self, program: impl AsRef<OsStr>) -> Command {
        // Nobody outlives the parent, not even a program that is stopped between its turns.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "chrt"]);
        if self.priority > 0 {
            command.args(["-f", &self.priority.to_string()]);
        } else {
            command.args(["-o", "0"]);
        }
        command.arg(program).env("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1");
        command
    }

    /// A command for `program` there. Its heap lies in huge pages where the kernel grants them on demand.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = self.unpinned("taskset");
        command.args(["-c", &self.core.to_string()]).arg(program);
        command
    }
}

/// A child that answers a line with a line. Ends with its standard input, at the latest when dropped.
pub struct Talker {
    name: String,
    child: Child,
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
}

impl Talker {
    /// Starts `command`; `name` is for errors.
    pub fn start(name: &str, mut command: Command) -> anyhow::Result<Talker> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("{name} could not be started: {command:?}"))?;
        let to = child.stdin.take();
        let from = BufReader::new(child.stdout.take().context("standard output is a pipe")?);
        Ok(Talker { name: name.to_owned(), child, to, from })
    }

    /// Says a line and reads one.
    pub fn ask(&mut self, line: &str) -> anyhow::Result<String> {
        let to = self.to.as_mut().context("standard input is open")?;
        writeln!(to, "{line}")
            .and_then(|()| to.flush())
            .with_context(|| format!("{} has ended", self.name))?;
        self.line()
    }

    /// Reads a line.
    pub fn line(&mut self) -> anyhow::Result<String> {
        let mut answer = String::new();
        let length =
            self.from.read_line(&mut answer).with_context(|| format!("reading from {}", self.name))?;
        ensure!(length > 0, "{} ended without an answer", self.name);
        let answer = answer.trim_end();
        if let Some(reason) = answer.strip_prefix("error ") {
            bail!("{}: {reason}", self.name);
        }
        Ok(answer.to_owned())
    }
}

impl Drop for Talker {
    fn drop(&mut self) {
        self.to = None;
        // It ends with its input; if it has ended already, that is as well.
        let _ = self.child.wait();
    }
}
