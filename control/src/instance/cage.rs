//! The cage around a kernel device under an af_packet or af_xdp port: IPv6 off, no address, and an nft
//! `netdev` chain at ingress that drops everything. Packet sockets and XDP are served before that hook, so the
//! port sees every frame and the kernel's stack none. All chains of an instance live in one table, replaced in
//! one transaction. The table outlives a crash of the daemon on purpose (nothing leaks while it is dead); its
//! name carries the process, so that the next start finds what the dead left and instances that share a
//! namespace leave each other alone.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use super::error::InstanceError;

/// What precedes process and instance in the name of a table.
const PREFIX: &str = "ravelin-cage";

/// Ahead of every other ingress chain.
const PRIORITY: i32 = -500;

/// The table of one instance.
#[derive(Debug)]
pub(super) struct Cage {
    table: String,
}

impl Cage {
    /// The table of this process for an instance.
    pub(super) fn of(instance: u16) -> Self {
        Self { table: format!("{PREFIX}-{}-{instance}", std::process::id()) }
    }

    /// Makes the cage exactly these devices; without any, the table goes.
    pub(super) fn apply(&self, devices: &[String]) -> Result<(), InstanceError> {
        let output = nft(&["-f", "-"], &self.script(devices))?;
        refused(output).map(drop)
    }

    /// Whether the cage stands; somebody's `nft flush ruleset` takes it down.
    pub(super) fn stands(&self, devices: &[String]) -> Result<bool, InstanceError> {
        let output = nft(&["list", "table", "netdev", &self.table], "")?;
        Ok(output.status.success() && listing_holds(&String::from_utf8_lossy(&output.stdout), devices))
    }

    /// The transaction, none of the devices uncaged in between. The table is added first so that deleting it
    /// cannot fail.
    fn script(&self, devices: &[String]) -> String {
        let table = &self.table;
        let mut script = format!("add table netdev {table}\ndelete table netdev {table}\n");
        if devices.is_empty() {
            return script;
        }
        let _ = writeln!(script, "table netdev {table} {{");
        for (number, device) in devices.iter().enumerate() {
            let _ = writeln!(
                script,
                "chain cage{number} {{ type filter hook ingress device \"{device}\" priority {PRIORITY}; policy drop; counter drop; }}"
            );
        }
        script.push_str("}\n");
        script
    }
}

/// Takes down the cages of daemons that died.
pub(super) fn clear_dead() -> Result<(), InstanceError> {
    let listed = refused(nft(&["list", "tables", "netdev"], "")?)?;
    let is_alive = |process: u32| Path::new("/proc").join(process.to_string()).exists();
    for table in dead(&String::from_utf8_lossy(&listed.stdout), is_alive) {
        refused(nft(&["delete", "table", "netdev", &table], "")?)?;
    }
    Ok(())
}

/// The tables in a listing whose process is not alive.
fn dead(listing: &str, is_alive: impl Fn(u32) -> bool) -> Vec<String> {
    let is_dead = |table: &&str| {
        let process = table.strip_prefix(PREFIX).and_then(|rest| rest.strip_prefix('-'));
        let process = process.and_then(|rest| rest.split_once('-')).and_then(|(id, _)| id.parse().ok());
        process.is_some_and(|process| !is_alive(process))
    };
    let tables = listing.lines().filter_map(|line| line.trim().strip_prefix("table netdev "));
    tables.filter(is_dead).map(str::to_owned).collect()
}

/// Whether a listing of our table has a dropping chain for each device. nft omits the quotes where it can.
pub(super) fn listing_holds(listing: &str, devices: &[String]) -> bool {
    let holds = |device: &String| {
        listing.lines().any(|line| {
            let line = line.replace('"', "");
            line.contains("hook ingress")
                && line.contains("policy drop")
                && line.split_whitespace().any(|word| word == device)
        })
    };
    devices.iter().all(holds)
}

fn refused(output: Output) -> Result<Output, InstanceError> {
    if output.status.success() {
        return Ok(output);
    }
    let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(InstanceError::NftRefused { message })
}

/// Runs nft in this thread's namespace, which a child inherits.
fn nft(arguments: &[&str], input: &str) -> Result<Output, InstanceError> {
    let failed = |e: io::Error| match e.kind() {
        io::ErrorKind::NotFound => InstanceError::NftMissing,
        _ => InstanceError::io("run nft", e),
    };
    let mut child = Command::new("nft")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        // nft that exits early says why on stderr; a broken pipe adds nothing.
        let _ = stdin.write_all(input.as_bytes());
    }
    child.wait_with_output().map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cage_is_replaced_in_one_transaction_and_removed_by_an_empty_one() {
        let cage = Cage { table: "ravelin-cage-7-1".into() };
        let script = cage.script(&["eth1".into(), "ens3f0.7".into()]);
        assert!(
            script.starts_with("add table netdev ravelin-cage-7-1\ndelete table netdev ravelin-cage-7-1\n")
        );
        assert_eq!(script.matches("policy drop").count(), 2);
        assert!(script.contains("device \"ens3f0.7\""));
        assert!(!cage.script(&[]).contains("chain"));
    }

    /// The living and the strangers keep theirs.
    #[test]
    fn only_cages_of_the_dead_are_taken_down() {
        let listing = "table netdev ravelin-cage-7-0\ntable netdev ravelin-cage-8-0\ntable netdev ravelin-cage-8-12\ntable netdev ravelin-cages-8-1\ntable netdev mine\ntable netdev ravelin-cage-x-1\n";
        assert_eq!(dead(listing, |process| process == 7), ["ravelin-cage-8-0", "ravelin-cage-8-12"]);
        assert!(dead("", |_| false).is_empty());
    }

    /// A chain that lost its device, or its policy, is no cage.
    #[test]
    fn a_listing_without_a_dropping_chain_for_each_device_is_not_held() {
        let good = "table netdev ravelin-cage {\n chain cage0 {\n  type filter hook ingress device \"eth1\" priority -500; policy drop;\n  counter packets 1 bytes 2 drop\n }\n}\n";
        let devices = ["eth1".to_owned()];
        assert!(listing_holds(good, &devices));
        assert!(!listing_holds(good, &["eth1".to_owned(), "eth2".to_owned()]));
        assert!(!listing_holds(&good.replace("policy drop", "policy accept"), &devices));
        assert!(!listing_holds(&good.replace("eth1", "eth11"), &devices));
        assert!(!listing_holds("", &devices));
    }
}
