//! What configurations in tests stand on: two interfaces, and tunnels between the network behind one and others behind
//! peers; and how they are read. For tests alone.

use std::path::Path;

use super::{Plan, Refusal, parse};

/// The public side at 192.0.2.2, and the private one.
macro_rules! interfaces {
    () => {
        r#"
interface.wan = { device = "af_packet:eth1", addresses = ["192.0.2.2/24"] }
interface.lan = { device = "af_packet:eth2", addresses = ["10.2.0.1/24"] }
"#
    };
}

/// A tunnel to 192.0.2.PEER and the network 10.PEER.0.0/24 behind it; more lines may follow it.
macro_rules! tunnel {
    ($name:literal, $peer:literal) => {
        concat!(
            "[tunnel.",
            $name,
            "]\nlocal = \"192.0.2.2\"\nremote = \"192.0.2.",
            $peer,
            "\"\npsk = \"correct horse\"\nlocal-ts = [\"10.2.0.0/24\"]\nremote-ts = [\"10.",
            $peer,
            ".0.0/24\"]\n"
        )
    };
}

pub(crate) use {interfaces, tunnel};

/// The README's five lines.
pub const BRANCH: &str = concat!(interfaces!(), tunnel!("branch", 1));

/// A tunnel with a policy and a transform, with these lines in `[ike]` and in each table; `more` ends the tunnel's.
pub fn one_tunnel(ike: &str, policy: &str, transform: &str, more: &str) -> String {
    format!(
        r#"
[ike]
{ike}
[interface.wan]
device = "af_packet:eth1"
addresses = ["192.0.2.2/24"]
[ike-policy.p]
{policy}
[ipsec-transform.t]
{transform}
[tunnel.net]
local = "192.0.2.2"
remote = "192.0.2.1"
psk = "correct horse"
ike-policy = "p"
ipsec-transform = "t"
local-ts = ["10.2.0.0/24"]
remote-ts = ["10.1.0.0/24"]
{more}
"#
    )
}

/// Reads a configuration that names no file.
///
/// # Errors
/// Where it is refused.
pub fn read(text: &str) -> Result<Plan, Vec<Refusal>> {
    parse("r.toml", text, Path::new("/"), &|_| Err(std::io::ErrorKind::NotFound.into()))
}

/// The same of one that is right.
///
/// # Panics
/// Where it is not.
pub fn plan(text: &str) -> Plan {
    read(text).unwrap_or_else(|refused| panic!("{refused:?}"))
}
