//! Two namespaces and a wire: the initiators in one, the responder in the other, and what it protects behind it.
//!
//! ```text
//! initiators 10.9.0.0/16 (local to the namespace)     192.0.2.1 === 192.0.2.2 responder, 10.2.0.1
//! ```
//!
//! Others, who are there to be in the way, are in a third one behind the first ([`Network::with_others`]).

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

/// Where the responder is called.
pub const RESPONDER: &str = "192.0.2.2";
/// Where the initiators' addresses are routed to.
pub const ROUTER: &str = "192.0.2.1";
/// The initiators' addresses.
pub const INITIATORS: &str = "10.9.0.0/16";
/// What lies behind them.
pub const BEHIND: &str = "10.64.0.0/16";
/// The addresses of others who call.
pub const OTHERS: &str = "10.10.0.0/16";
/// What lies behind those.
pub const BEHIND_OTHERS: &str = "10.65.0.0/16";
/// What the responder protects, and an address of its own in it.
pub const PROTECTED: &str = "10.2.0.0/24";
/// See [`PROTECTED`].
pub const INSIDE: &str = "10.2.0.1";

/// The namespaces; gone when dropped.
pub struct Network {
    /// Of the initiators.
    pub initiators: String,
    /// Of the responder.
    pub responder: String,
    /// Of others who call, if there are any.
    pub others: Option<String>,
}

impl Network {
    /// Makes both and the wires between them. `kernel`: the responder is a program of the kernel's network, so that
    /// the kernel has its addresses; else its devices have none.
    ///
    /// # Errors
    /// What `ip` says.
    pub fn new(kernel: bool) -> Result<Network> {
        let number = std::process::id();
        let network = Network {
            initiators: format!("rvike-i{number}"),
            responder: format!("rvike-r{number}"),
            others: None,
        };
        network.build(kernel).context("making the network: it needs root, iproute2 and ethtool")?;
        Ok(network)
    }

    fn build(&self, kernel: bool) -> Result<()> {
        let (ours, theirs) = (self.initiators.as_str(), self.responder.as_str());
        for namespace in [ours, theirs] {
            run("ip", &["netns", "add", namespace])?;
            run("ip", &["-n", namespace, "link", "set", "lo", "up"])?;
        }
        for device in ["wan0", "lan0"] {
            run(
                "ip",
                &[
                    "link", "add", device, "netns", ours, "type", "veth", "peer", "name", device, "netns",
                    theirs,
                ],
            )?;
            for namespace in [ours, theirs] {
                run("ip", &["-n", namespace, "link", "set", device, "up"])?;
                // What leaves a veth has no checksum yet; a packet socket sees it as it is.
                let offloads = ["tx", "off", "rx", "off", "tso", "off", "gso", "off", "gro", "off"];
                let of = ["netns", "exec", namespace, "ethtool", "-K", device];
                run("ip", &[of.as_slice(), &offloads].concat())?;
            }
        }
        run("ip", &["-n", ours, "addr", "add", "192.0.2.1/24", "dev", "wan0"])?;
        run("ip", &["-n", ours, "route", "add", "local", INITIATORS, "dev", "lo"])?;
        if kernel {
            run("ip", &["-n", theirs, "addr", "add", "192.0.2.2/24", "dev", "wan0"])?;
            run("ip", &["-n", theirs, "addr", "add", "10.2.0.1/24", "dev", "lan0"])?;
            run("ip", &["-n", theirs, "route", "add", INITIATORS, "via", ROUTER])?;
        }
        Ok(())
    }
}

impl Network {
    /// Others as well, whose way to the responder leads through the initiators' namespace.
    ///
    /// # Errors
    /// What `ip` says.
    pub fn with_others(mut self) -> Result<Network> {
        let others = format!("rvike-o{}", std::process::id());
        self.others = Some(others.clone());
        let initiators = self.initiators.clone();
        run("ip", &["netns", "add", &others])?;
        run(
            "ip",
            &[
                "link",
                "add",
                "oth0",
                "netns",
                &initiators,
                "type",
                "veth",
                "peer",
                "name",
                "wan0",
                "netns",
                &others,
            ],
        )?;
        for (namespace, device, address) in
            [(&initiators, "oth0", "192.0.3.1/24"), (&others, "wan0", "192.0.3.2/24")]
        {
            run("ip", &["-n", namespace, "addr", "add", address, "dev", device])?;
            run("ip", &["-n", namespace, "link", "set", device, "up"])?;
        }
        run("ip", &["-n", &others, "link", "set", "lo", "up"])?;
        run("ip", &["-n", &others, "route", "add", "local", OTHERS, "dev", "lo"])?;
        run("ip", &["-n", &others, "route", "add", "default", "via", "192.0.3.1"])?;
        run("ip", &["-n", &initiators, "route", "add", OTHERS, "via", "192.0.3.2"])?;
        run("ip", &["netns", "exec", &initiators, "sysctl", "-qw", "net.ipv4.ip_forward=1"])?;
        Ok(self)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for namespace in [&self.initiators, &self.responder].into_iter().chain(&self.others) {
            // One that was never made is as well gone.
            let _ = Command::new("ip").args(["netns", "del", namespace]).stderr(Stdio::null()).status();
        }
    }
}

/// A program of ours that ends when dropped.
pub struct Program {
    child: Child,
}

impl Program {
    /// Starts what `command` says.
    ///
    /// # Errors
    /// The machine's word.
    pub fn start(mut command: Command) -> Result<Program> {
        let child = command.stdin(Stdio::null()).spawn().with_context(|| format!("starting {command:?}"))?;
        Ok(Program { child })
    }

    /// Its number. `ip netns exec` and `taskset` become the program they start.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has not ended.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub fn is_running(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// Waits until `ready` says so.
    ///
    /// # Errors
    /// When it has ended, or is not ready after a minute.
    pub fn await_ready(&mut self, name: &str, ready: impl Fn() -> bool) -> Result<()> {
        let until = Instant::now() + Duration::from_secs(60);
        while !ready() {
            if let Some(status) = self.child.try_wait()? {
                bail!("{name} has ended: {status}");
            }
            ensure!(Instant::now() < until, "{name} was not ready within a minute");
            // Another program is asked whether it is ready; it has no other way to say so.
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let pid = nix::unistd::Pid::from_raw(self.child.id() as i32);
        // It may have ended by itself.
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        let until = Instant::now() + Duration::from_secs(10);
        while Instant::now() < until && matches!(self.child.try_wait(), Ok(None)) {
            // Between two looks; the deadline is what counts.
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A command in a namespace, on one core.
pub fn command_in(namespace: &str, core: usize, program: &str) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", namespace, "taskset", "-c", &core.to_string(), program]);
    command
}

/// Runs a program to its end.
///
/// # Errors
/// What it said on standard error.
pub fn run(program: &str, arguments: &[&str]) -> Result<String> {
    let output =
        Command::new(program).args(arguments).output().with_context(|| format!("running {program}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{program} {}: {}", arguments.join(" "), said.trim());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
