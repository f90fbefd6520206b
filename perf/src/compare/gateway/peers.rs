//! The programs of DPDK: `ipsec-secgw`, the peer, and `testpmd`, which only forwards.

use std::fmt::Write;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;

use anyhow::Context;

use super::setup::{BURST, CACHE, DESCRIPTORS, Setup};
use super::traffic::{GATEWAY, NEIGHBOUR, Sa, Traffic};
use crate::compare::child::Pinning;

/// How `ipsec-secgw` calls the cryptographic device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Bursts are queued to it and fetched from it.
    Lookaside,
    /// Bursts are worked in a call.
    CpuCrypto,
}

impl Mode {
    /// Those in which it carries this traffic: AES-CBC only by way of the queues.
    pub fn of(traffic: &Traffic) -> &'static [Mode] {
        if traffic.uses_hashes() { &[Mode::Lookaside] } else { &[Mode::Lookaside, Mode::CpuCrypto] }
    }

    /// As reports name the program.
    pub fn name(self) -> &'static str {
        match self {
            Mode::Lookaside => "ipsec-secgw",
            Mode::CpuCrypto => "ipsec-secgw-cpu-crypto",
        }
    }
}

/// `ipsec-secgw` on the scenario's devices; its configuration is written beside the input.
///
/// # Errors
/// What could not be written.
pub fn secgw(binary: &str, mode: Mode, setup: &Setup, pinning: &Pinning) -> anyhow::Result<Command> {
    let file = setup.input.with_extension(format!("{}.cfg", mode.name()));
    std::fs::write(&file, configuration(mode, setup)?).context("writing the configuration of ipsec-secgw")?;
    let core = setup.core;
    let mut command = pinning.unpinned(binary);
    let device = if setup.traffic.uses_hashes() { "crypto_aesni_mb0" } else { "crypto_aesni_gcm0" };
    command.args(setup.eal(&format!("{core}@{core}"))).args(["--vdev", device, "--"]);
    let unprotected = if setup.traffic.decap { "0x1" } else { "0x2" };
    command.args(["-p", "0x3", "-P", "-u", unprotected, "-l", "-s", &setup.buffers().to_string()]);
    command.args(["-w", if setup.window { "1024" } else { "0" }]);
    command.args(["--config", &format!("(0,0,{core}),(1,0,{core})")]).arg("-f").arg(&file);
    Ok(command)
}

fn configuration(mode: Mode, setup: &Setup) -> anyhow::Result<String> {
    let mut text = String::new();
    for sa in &setup.traffic.sas {
        rules(&mut text, sa, mode, setup.traffic.decap)?;
    }
    // The other direction must exist: with nothing unprotected configured the program does not start.
    let suite = setup.traffic.sas.first().context("there is an association")?.suite;
    let idle = Sa { index: (1 << 16) - 1, suite, esn: false };
    rules(&mut text, &idle, mode, !setup.traffic.decap)?;
    let (public, private) = if setup.traffic.decap { (0, 1) } else { (1, 0) };
    writeln!(text, "rt ipv4 dst 198.18.0.0/15 port {public}")?;
    writeln!(text, "rt ipv4 dst 10.1.0.0/16 port {private}")?;
    for port in [public, private] {
        writeln!(text, "neigh port {port} {}", colons(&NEIGHBOUR.0))?;
    }
    Ok(text)
}

fn rules(text: &mut String, sa: &Sa, mode: Mode, inbound: bool) -> anyhow::Result<()> {
    let (spi, network, peer) = (sa.spi(), sa.network(), sa.peer());
    let addresses = |from: Ipv4Addr, to: Ipv4Addr| format!("src {from} dst {to}");
    let (way, selectors, outer) = if inbound {
        ("in", format!("src {network}/24 dst 10.1.0.0/16"), addresses(peer, GATEWAY))
    } else {
        ("out", format!("src 10.1.0.0/16 dst {network}/24"), addresses(GATEWAY, peer))
    };
    let kind = if mode == Mode::CpuCrypto { " type cpu-crypto" } else { "" };
    writeln!(text, "sp ipv4 {way} esp protect {spi} pri 1 {selectors} sport 0:65535 dport 0:65535")?;
    writeln!(text, "sa {way} {spi} {} mode ipv4-tunnel {outer}{kind}", algorithms(sa))?;
    Ok(())
}

fn algorithms(sa: &Sa) -> String {
    let Sa { suite, index, .. } = *sa;
    let bits = suite.bits;
    match suite.hash {
        None => format!("aead_algo aes-{bits}-gcm aead_key {}", colons(&sa.keymat())),
        Some(hash) => format!(
            "cipher_algo aes-{bits}-cbc cipher_key {} auth_algo sha{hash}-hmac auth_key {}",
            colons(&suite.key(index)),
            colons(&suite.hash_key(index))
        ),
    }
}

fn colons(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect::<Vec<_>>().join(":")
}

/// `testpmd` carrying packets from the first device to the second, untouched.
pub fn testpmd(setup: &Setup, pinning: &Pinning) -> Command {
    let mut command = pinning.unpinned("dpdk-testpmd");
    command.args(setup.eal(&format!("0@{},1@{}", setup.other, setup.core))).args([
        "--",
        "--auto-start",
        "--forward-mode=io",
        "--no-flush-rx",
        "--no-mlockall",
        "--no-lsc-interrupt",
        "--nb-cores=1",
    ]);
    command.args([
        format!("--burst={BURST}"),
        format!("--mbcache={CACHE}"),
        format!("--rxd={DESCRIPTORS}"),
        format!("--txd={DESCRIPTORS}"),
        format!("--total-num-mbufs={}", setup.buffers()),
    ]);
    command
}

/// Our worker, in a process of its own.
///
/// # Errors
/// What could not be written.
pub fn ours(setup: &Setup, pinning: &Pinning) -> anyhow::Result<Command> {
    let file = setup.input.with_extension(format!("{}.json", setup.prefix));
    std::fs::write(&file, serde_json::to_string(setup)?).context("writing the worker's setup")?;
    let mut command = pinning.unpinned(std::env::current_exe()?);
    command.arg("worker").arg(Path::new(&file));
    Ok(command)
}
