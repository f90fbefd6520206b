//! The cage around a kernel device under an af_packet or af_xdp port: IPv6 off, no address, and an nft
//! `netdev` chain at ingress that drops everything. Packet sockets and XDP are served before that hook, so the
//! port sees every frame and the kernel's stack none. All chains of a namespace live in one table, replaced in
//! one transaction; the table outlives a crash of the daemon on purpose (nothing leaks while it is dead) and is
//! replaced at the next start.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::process::{Command, Output, Stdio};

use super::error::InstanceError;

/// Our table. It belongs to the instance that owns the namespace.
pub(super) const TABLE: &str = "ravelin-cage";

/// Ahead of every other ingress chain.
const PRIORITY: i32 = -500;

/// The transaction that makes the cage exactly these devices, none of them uncaged in between. The table is
/// added first so that deleting it cannot fail.
pub(super) fn script(devices: &[String]) -> String {
    let mut script = format!("add table netdev {TABLE}\ndelete table netdev {TABLE}\n");
    if devices.is_empty() {
        return script;
    }
    let _ = writeln!(script, "table netdev {TABLE} {{");
    for (number, device) in devices.iter().enumerate() {
        let _ = writeln!(
            script,
            "chain cage{number} {{ type filter hook ingress device \"{device}\" priority {PRIORITY}; policy drop; counter drop; }}"
        );
    }
    script.push_str("}\n");
    script
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

/// Makes the cage exactly these devices.
pub(super) fn apply(devices: &[String]) -> Result<(), InstanceError> {
    let output = nft(&["-f", "-"], &script(devices))?;
    refused(output).map(drop)
}

/// Whether the cage stands; somebody's `nft flush ruleset` takes it down.
pub(super) fn stands(devices: &[String]) -> Result<bool, InstanceError> {
    let output = nft(&["list", "table", "netdev", TABLE], "")?;
    Ok(output.status.success() && listing_holds(&String::from_utf8_lossy(&output.stdout), devices))
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
        let script = script(&["eth1".into(), "ens3f0.7".into()]);
        assert!(script.starts_with("add table netdev ravelin-cage\ndelete table netdev ravelin-cage\n"));
        assert_eq!(script.matches("policy drop").count(), 2);
        assert!(script.contains("device \"ens3f0.7\""));
        assert!(!super::script(&[]).contains("chain"));
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
