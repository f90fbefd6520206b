//! A client with everything, its defaults, and for each mistake the line and the remedy.

use super::*;
use ravelin_ike::config::{IdKind, Identity};
use std::path::Path;

const HEAD: &str = r#"
interface.wan = { device = "af_packet:eth1", addresses = ["192.0.2.2/24"] }
interface.lan = { device = "af_packet:eth2", addresses = ["10.2.0.1/24"] }
instance.blue = { namespace = "blue" }
[gateway.g]
local = "192.0.2.2"
psk = "correct horse"
ts-list = "all"
client-db = "branches"
[tunnel-template.own]
metric = 9
[ts-list.all]
local = ["10.2.0.0/16"]
remote = ["10.1.0.0/16"]
[ts-list.one]
local = ["10.2.0.0/16"]
remote = ["10.1.1.0/24"]
[client-db.branches]
"#;

fn judge(lines: &str) -> Result<plan::Plan, String> {
    let read = |path: &Path| Err(std::io::Error::other(format!("no {}", path.display())));
    let judged = crate::config::parse("r.toml", &format!("{HEAD}{lines}"), Path::new("/etc/ravelin"), &read);
    judged.map_err(|refusals| refusals.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}

fn client(lines: &str) -> String {
    format!("[[client-db.branches.client]]\n{lines}\n")
}

/// Everything said is there, and what is not said is as the gateway has it.
#[test]
fn what_is_written_is_what_is_planned() {
    let full = "name = \"zurich\"\nremote = [\"198.51.100.0/24\", \"203.0.113.7\", \"ipv6-only\"]\n\
                remote-ids = [\"a.example\", \"*.b.example\", \"ops@example\", \"*@c.example\", \"10.9.0.0/16\", \"10.8.0.1\"]\n\
                psk = \"key of zurich\"\nprivate-instance = \"blue\"\ntunnel-template = \"own\"\nts-list = \"one\"";
    let short = "name = \"rest\"\nenabled = false\nremote-ids = [\"any\"]";
    let plan = judge(&(client(full) + &client(short))).unwrap();
    let database = plan.gateways["g"].clients.as_ref().unwrap();
    assert!(database.enabled && database.fallback && Arc::ptr_eq(database, &plan.client_dbs["branches"]));
    let [zurich, rest] = database.clients.as_slice() else { panic!("{database:?}") };
    assert_eq!((zurich.criteria.places.len(), zurich.criteria.identities.len()), (3, 6));
    assert_eq!(zurich.psk.as_ref().map(|key| key.0.as_slice()), Some(&b"key of zurich"[..]));
    assert_eq!(zurich.private.as_deref(), Some("blue"));
    assert_eq!(zurich.template.as_ref().map(|template| template.reverse.metric), Some(9));
    assert_eq!(zurich.traffic.as_ref().map(|list| list.name.as_str()), Some("one"));
    assert_eq!(rest.criteria, Criteria::default());
    assert!(!rest.enabled && rest.psk.is_none() && rest.template.is_none() && rest.traffic.is_none());
    let email = |text: &str| Identity { kind: IdKind::Email, data: text.as_bytes().to_vec() };
    let (near, host, six) = ([198, 51, 100, 9].into(), [203, 0, 113, 7].into(), [0xfd00; 8].into());
    let found = |address, identity: &Identity| database.lookup.find(address, identity).ok();
    for (address, identity, fits) in [
        (near, Identity::fqdn("A.example"), true),
        (host, Identity::fqdn("x.b.example"), true),
        (six, email("ops@example"), true),
        (near, email("x@c.example"), true),
        (near, Identity::address([10, 9, 1, 1].into()), true),
        (near, Identity::address([10, 8, 0, 1].into()), true),
        (near, Identity::address([10, 7, 0, 1].into()), false),
        (near, Identity::fqdn("b.example"), false),
        ([203, 0, 113, 8].into(), Identity::fqdn("a.example"), false),
    ] {
        let client = found(address, &identity);
        assert_eq!(
            client.map(|client| client.name.as_str()),
            fits.then_some("zurich"),
            "{address} {identity}"
        );
    }
    let off = judge(&format!("enabled = false\nfallback = false\n{}", client(full))).unwrap();
    let off = &off.client_dbs["branches"];
    assert!(!off.fallback && off.find("zurich").is_none());
    assert!(off.lookup.find(near, &Identity::fqdn("a.example")).is_err(), "nobody is a client of it");
}

/// Each mistake is refused at its line, with what would have been right and the name that was meant.
#[test]
fn mistakes_are_refused_by_line() {
    let named = |lines: &str| client(&format!("name = \"a\"\n{lines}"));
    for (lines, wanted) in [
        (client("remote-ids = [\"any\"]"), "r.toml:19: client-db.branches: has a client without a name"),
        (client("name = \"\"\nremote-ids = [\"any\"]"), "of 1 to 64 characters"),
        (named(""), "client-db.branches, client \"a\": compares nothing; expected remote or remote-ids"),
        (
            named("remote-ids = [\"a.example\"]") + &named("remote-ids = [\"b.example\"]"),
            "r.toml:22: client-db.branches: two clients are named \"a\"",
        ),
        (named("remote = [\"198.51.100.1/24\"]"), "r.toml:21: client-db.branches, client \"a\": remote = "),
        (named("remote = [\"any\"]"), "expected a prefix, an address, ipv4-only or ipv6-only"),
        (named("remote-ids = [\"*a\"]"), "expected an address, a domain name"),
        (named("remote-ids = [\"CN=a\"]"), "remote-ids = \"CN=a\" is not valid"),
        (
            named(&format!("remote = [{}\"10.0.0.0/8\"]", "\"10.0.0.0/8\", ".repeat(8))),
            "remote has 9 entries",
        ),
        (named("remote-ids = [\"any\"]\npsk = \"x\"\npsk-file = \"y\""), "has both psk and psk-file"),
        (
            named("remote-ids = [\"any\"]\npsk = \"\""),
            "psk is not valid; expected a pre-shared key of 1 to 115",
        ),
        (named("remote-ids = [\"any\"]\nprivate-instance = \"blu\""), "did you mean blue?"),
        (named("remote-ids = [\"any\"]\nts-list = \"on\""), "did you mean one?"),
        (named("remote-ids = [\"any\"]\ntunnel-template = \"won\""), "did you mean own?"),
        (named("remote-ids = [\"any\"]\naccept-certificate = true"), "accept-certificate without a key"),
        (
            named("remote-ids = [\"any\"]\npsk = \"x\"\naccept-certificate = true"),
            "gateway.g: its client \"a\" has accept-certificate, and it has none; expected certificate and trust",
        ),
        (named("remote-id = \"a\""), "unknown field \"remote-id\""),
        ("[gateway.h]\nclient-db = \"branch\"\n".to_owned(), "gateway.h"),
    ] {
        let refusals = judge(&lines).unwrap_err();
        assert!(refusals.contains(wanted), "wanted {wanted:?}, got:\n{refusals}");
    }
    let none = HEAD.replace("client-db = \"branches\"", "client-db = \"branchs\"");
    let read = |_: &Path| Err(std::io::Error::other("no file"));
    let refusals = crate::config::parse("r.toml", &none, Path::new("/"), &read).unwrap_err();
    let told = refusals.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    assert!(
        told.contains("client-db \"branchs\" does not exist") && told.contains("did you mean branches?"),
        "{told}"
    );
}

/// A client that nobody can be is warned of; a key is repeated nowhere.
#[test]
fn clients_behind_others_are_warned_of() {
    let a = client("name = \"a\"\nremote-ids = [\"any\"]\npsk = \"hunter2\"");
    let b = client("name = \"b\"\nremote-ids = [\"any\"]");
    let plan = judge(&(a.clone() + &b)).unwrap();
    let warnings: Vec<String> = plan.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(warnings.len(), 1);
    assert!(
        warnings[0].contains("nobody is client \"b\": clients before it have all of its criteria"),
        "{warnings:?}"
    );
    assert!(!format!("{:?}", plan.client_dbs).contains("hunter2"));
    assert!(
        judge(&(b + &a.replace("\"any\"", "\"a.example\""))).unwrap().warnings.is_empty(),
        "it is in part"
    );
}
