//! A gateway with everything, its defaults, and for each mistake the line and the remedy.

use super::*;
use std::path::Path;

const HEAD: &str = r#"
interface.wan = { device = "af_packet:eth1", addresses = ["192.0.2.2/24", "2001:db8::2/64"] }
interface.lan = { device = "af_packet:eth2", addresses = ["10.2.0.1/24"] }
[gateway.branches]
local = "192.0.2.2"
psk = "correct horse"
ts-list = "branches"
"#;
const LISTS: &str = r#"
[tunnel-template.branch]
ipsec-transform = "strong"
child-limit = 3
per-worker = true
dscp = 46
ignore-default-route = true
metric = 20
preference = 7
[ipsec-transform.strong]
proposals = ["aes256gcm16"]
[ts-list.branches]
local = ["10.2.0.0/16", "fd00:2::/48"]
remote = ["10.1.0.0-10.1.3.255", "10.4.0.0/16 udp/5060", "fd00:1::/48"]
"#;

fn judge(lines: &str) -> Result<plan::Plan, String> {
    let read = |path: &Path| Err(std::io::Error::other(format!("no {}", path.display())));
    let judged =
        crate::config::parse("r.toml", &format!("{HEAD}{lines}{LISTS}"), Path::new("/etc/ravelin"), &read);
    judged.map_err(|refusals| refusals.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}

fn gateway(lines: &str) -> plan::Gateway {
    judge(lines).unwrap().gateways["branches"].clone()
}

/// Everything said is there, and what is not said has the promised default.
#[test]
fn what_is_written_is_what_is_planned() {
    let short = gateway("");
    assert!(short.enabled && short.admits.is_empty() && short.unique == Unique::Replace);
    assert_eq!((short.template.child_limit, short.template.reverse.enabled), (5, true));
    assert_eq!((short.traffic.local.len(), short.traffic.remote.len()), (2, 3));
    assert_eq!((short.ike.on_demand, short.ike.auto_establish), (false, false), "it never calls");
    let full = gateway(
        "enabled = false\nlocal-id = \"hq.example\"\nremote-ids = [\"*.branch.example\", \"ops@example\", \"192.0.2.7\"]\n\
         tunnel-template = \"branch\"\nunique = \"keep\"\n",
    );
    assert!(!full.enabled && full.unique == Unique::Keep);
    assert_eq!(full.ike.local_id, Some(plan::Identity::Fqdn("hq.example".into())));
    let Template { name, transform, dscp, child_limit, per_worker, reverse, packets } = full.template;
    assert_eq!(packets, plan::PacketSettings::default());
    assert_eq!((name.as_str(), dscp, child_limit, per_worker), ("branch", Some(46), 3, true));
    assert_eq!((transform.proposals.len(), reverse.kernel_metric()), (1, 7 << 24 | 20));
    assert!(reverse.ignore_default);
    assert_eq!(gateway("local-id = \"auto\"\n").ike.local_id, None);
}

/// A domain is all its names and not itself; a name is itself, in whatever case.
#[test]
fn identities_are_let_in_by_name_and_by_domain() {
    let admits =
        gateway("remote-ids = [\"*.branch.example\", \"*@example\", \"Hq.Example\", \"192.0.2.7\"]\n").admits;
    let let_in = |identity: Identity| admits.iter().any(|pattern| pattern.accepts(&identity));
    let email = |text: &str| Identity { kind: IdKind::Email, data: text.as_bytes().to_vec() };
    for name in ["a.branch.example", "A.b.Branch.example", "hq.example"] {
        assert!(let_in(Identity::fqdn(name)), "{name}");
    }
    for name in ["branch.example", ".branch.example", "branch.example.org", "example", ""] {
        assert!(!let_in(Identity::fqdn(name)), "{name}");
    }
    assert!(let_in(email("ops@example")) && !let_in(email("@example")) && !let_in(email("a.branch.example")));
    assert!(
        let_in(Identity::address([192, 0, 2, 7].into())) && !let_in(Identity::address([192, 0, 2, 8].into()))
    );
}

/// Each mistake is refused at its line, with what would have been right and the name that was meant.
#[test]
fn mistakes_are_refused_by_line() {
    for (lines, wanted) in [
        (
            "tunnel-template = \"brnch\"\n",
            "r.toml:8: gateway.branches: tunnel-template \"brnch\" does not exist",
        ),
        ("tunnel-template = \"brnch\"\n", "did you mean branch?"),
        ("ike-policy = \"fast\"\n", "ike-policy \"fast\" does not exist"),
        ("unique = \"always\"\n", "unique = \"always\" is not valid; expected replace, keep or never"),
        (
            "remote-ids = [\"*example\"]\n",
            "remote-ids = \"*example\" is not valid; expected an address, a domain name",
        ),
        ("remote-ids = [\"CN=a\"]\n", "remote-ids = \"CN=a\" is not valid"),
        (
            "accept-psk = true\n",
            "accept-psk has nothing to choose from; expected psk, certificate and trust beside it",
        ),
        ("remote = \"any\"\n", "r.toml:8: unknown field \"remote\""),
        (
            "[gateway.more]\nlocal = \"192.0.2.2\"\npsk = \"x\"\nts-list = \"branches\"\n",
            "r.toml:8: gateway.more: gateway \"branches\" has local = 192.0.2.2 already; expected one gateway an address",
        ),
        ("[gateway.more]\nlocal = \"2001:db8::2\"\npsk = \"x\"\n", "gateway.more: has no ts-list"),
        ("[gateway.more]\nlocal = \"2001:db8::2\"\nts-list = \"branches\"\n", "has no way to prove itself"),
        ("[gateway.more]\nlocal = \"192.0.2.3\"\npsk = \"x\"\n", "local = 192.0.2.3 is on no interface"),
        (
            "[gateway.more]\nlocal = \"2001:db8::2\"\npsk = \"x\"\nts-list = \"banches\"\n",
            "did you mean branches?",
        ),
        (
            "[ts-list.none]\nlocal = []\nremote = [\"10.0.0.0/8\"]\n",
            "ts-list.none: local has 0 entries; expected 1 to 32",
        ),
        (
            "[ts-list.two]\nlocal = [\"10.0.0.0/8\"]\nremote = [\"10.0.0.0/8 tcp/80-90\", \"10.1.0.0/16 tcp/90\"]\n",
            "r.toml:10: ts-list.two: remote entries \"10.0.0.0/8 tcp/80-90\" and \"10.1.0.0/16 tcp/90\" overlap",
        ),
    ] {
        let refusals = judge(lines).unwrap_err();
        assert!(refusals.contains(wanted), "wanted {wanted:?}, got:\n{refusals}");
    }
    // A template is judged where a gateway has it.
    let template =
        |line: &str| judge(&format!("tunnel-template = \"t\"\n[tunnel-template.t]\n{line}\n")).unwrap_err();
    assert!(template("reverse-route = \"yes\"").contains("expected selectors or none"));
    assert!(
        template("metric = 70000")
            .contains("tunnel-template.t: metric = 70000 is out of range; expected 0 to 65535")
    );
    assert!(template("preference = 256").contains("0 to 255"));
    assert!(template("child-limit = 65").contains("1 to 64"));
}

/// Who may claim our own network is warned of; the gateway is there all the same.
#[test]
fn a_list_that_gives_our_own_network_away_is_warned_of() {
    let list = "[ts-list.all]\nlocal = [\"10.2.0.0/16\"]\nremote = [\"10.0.0.0/8\"]\n";
    let other = "[gateway.more]\nlocal = \"2001:db8::2\"\npsk = \"x\"\nts-list = \"all\"\n";
    let plan = judge(&format!("{other}{list}")).unwrap();
    let warnings: Vec<String> = plan.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "r.toml:11: gateway.more: peers may claim 10.2.0.0/24, the network of interface lan; expected a remote side of \
             ts-list \"all\" without it"
        ]
    );
    assert!(plan.gateways.contains_key("more"));
}

/// Thirty-two entries a side, and no more (TS-05, LIM-04).
#[test]
fn a_list_has_thirty_two_entries_a_side() {
    let list = |count: usize| {
        let entries: Vec<String> = (0..count).map(|n| format!("\"10.1.{n}.0/24\"")).collect();
        format!("[ts-list.many]\nlocal = [\"10.2.0.0/16\"]\nremote = [{}]\n", entries.join(", "))
    };
    assert!(judge(&list(32)).is_ok());
    assert!(judge(&list(33)).unwrap_err().contains("ts-list.many: remote has 33 entries; expected 1 to 32"));
}

/// Where callers of a gateway go is judged as in a tunnel.
#[test]
fn callers_go_to_another_gateway() {
    let more = |keys: &str| {
        let text =
            format!("[gateway.more]\nlocal = \"2001:db8::2\"\npsk = \"x\"\nts-list = \"branches\"\n{keys}\n");
        judge(&text)
    };
    let plan = more("redirect-callers-to = \"2001:db8::9\"").unwrap();
    let callers = plan.gateways["more"].ike.redirect.callers.clone().unwrap();
    assert_eq!(
        (callers.to.to_string().as_str(), callers.at),
        ("2001:db8::9", ravelin_ike::config::RedirectAt::Init)
    );
    assert!(more("redirect-callers-to = \"2001:db8::2\"").unwrap_err().contains("is our own address here"));
    assert!(more("redirect-callers-to = \"192.0.2.9\"").unwrap_err().contains("different families"));
    assert!(more("redirect-callers-at = \"auth\"").unwrap_err().contains("without redirect-callers-to"));
}
