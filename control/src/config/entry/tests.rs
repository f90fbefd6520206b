//! An entry with everything and with nothing, what is refused by line and remedy, and what is told of.

use super::*;
use std::path::Path;

const HEAD: &str = r#"
interface.wan = { device = "af_packet:eth1", addresses = ["192.0.2.2/24"] }
interface.lan = { device = "af_packet:eth2", addresses = ["10.2.0.1/24"] }
instance.blue = { namespace = "blue" }
[tunnel.branch]
local = "192.0.2.2"
remote = "192.0.2.1"
psk = "correct horse"
private-instance = "blue"
local-ts = ["10.2.0.0/24"]
remote-ts = ["10.1.0.0/24"]
"#;

fn judge(entries: &[&str]) -> Result<plan::Plan, String> {
    let none = |_: &Path| Err(std::io::Error::other("no file"));
    let entries: String = entries.iter().map(|entry| format!("[[policy]]\n{entry}\n")).collect();
    let judged = crate::config::parse("r.toml", &format!("{HEAD}{entries}"), Path::new("/"), &none);
    judged.map_err(|refusals| refusals.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}

/// Everything said is there in its order; what is not said is all traffic of `default`, behind the tunnels.
#[test]
fn what_is_written_is_what_is_planned() {
    let plan = judge(&[
        "name = \"dns\"\naction = \"bypass\"\ninstance = \"blue\"\nbefore-tunnels = true\n\
         local = [\"10.2.0.0/24 udp\"]\nremote = [\"10.1.0.53/32 udp/53\", \"fd00::/64 icmpv6/128\"]",
        "name = \"own\"\naction = \"protect\"\ntunnel = \"branch\"\nremote = [\"10.1.0.0/24 tcp/opaque\"]",
        "name = \"rest\"\naction = \"discard\"",
    ]);
    let [dns, own, rest] = plan.unwrap().policy.try_into().unwrap();
    assert_eq!((dns.instance, dns.before_tunnels, dns.action), (1, true, PolicyAction::Bypass));
    assert_eq!((dns.local.len(), dns.remote.len()), (1, 2));
    assert_eq!((own.instance, own.before_tunnels), (1, false), "that of the tunnel's inner packets");
    assert_eq!(own.action, PolicyAction::Protect("branch".into()));
    assert!(own.local.is_empty() && own.remote[0].is_opaque());
    assert_eq!((rest.instance, rest.action), (0, PolicyAction::Discard));
    assert!(rest.local.is_empty() && rest.remote.is_empty());
}

#[test]
fn mistakes_are_refused_with_line_and_remedy() {
    let rest = "name = \"rest\"\naction = \"discard\"";
    let many = vec!["\"10.0.0.0/8\""; 33].join(",");
    let long = format!("name = \"x\"\naction = \"bypass\"\nremote = [{many}]");
    for (entries, expected) in [
        (
            vec!["name = \"\"\naction = \"bypass\""],
            "r.toml:13: policy.: name = \"\" is not valid; expected 1 to 64",
        ),
        (
            vec!["name = \"x\"\naction = \"pass\""],
            "r.toml:14: policy.x: action = \"pass\" is not valid; expected bypass, discard or protect",
        ),
        (vec![rest, rest], "another entry is called \"rest\"; expected a name of its own"),
        (
            vec!["name = \"x\"\naction = \"protect\""],
            "policy.x: protect without a tunnel; expected tunnel = \"NAME\"",
        ),
        (
            vec!["name = \"x\"\naction = \"protect\"\ntunnel = \"brnch\""],
            "tunnel \"brnch\" does not exist; expected",
        ),
        (vec!["name = \"x\"\naction = \"protect\"\ntunnel = \"brnch\""], "branch"),
        (
            vec!["name = \"x\"\naction = \"bypass\"\ntunnel = \"branch\""],
            "a tunnel with action \"bypass\"; expected action = \"protect\"",
        ),
        (
            vec!["name = \"x\"\naction = \"protect\"\ntunnel = \"branch\"\ninstance = \"default\""],
            "the tunnel's private instance is not \"default\"",
        ),
        (vec!["name = \"x\"\naction = \"bypass\"\ninstance = \"red\""], "instance \"red\" does not exist"),
        (
            vec!["name = \"x\"\naction = \"bypass\"\nremote = [\"10.1.0.1/24\"]"],
            "r.toml:15: policy.x: remote = \"10.1.0.1/24\" is not valid",
        ),
        (
            vec!["name = \"x\"\naction = \"bypass\"\nlocal = [\"10.0.0.0/8\"]\nremote = [\"fd00::/8\"]"],
            "no packet is of local and remote at once; expected both sides of one family",
        ),
        (
            vec![
                "name = \"x\"\naction = \"bypass\"\nlocal = [\"10.0.0.0/8 tcp\"]\nremote = [\"10.0.0.0/8 udp\"]",
            ],
            "no packet is of local and remote at once",
        ),
        (vec![&long], "remote has 33 selectors; expected at most 32"),
        (
            vec![rest, "name = \"x\"\naction = \"bypass\"\nbefore-tunnels = true"],
            "it stands before the tunnels, and \"rest\" before it does not; expected entries in the order",
        ),
        (vec!["name = \"x\"\naction = \"bypass\"\nremotes = []"], "unknown field \"remotes\""),
    ] {
        let refused = judge(&entries).unwrap_err();
        assert!(refused.contains(expected), "wanted {expected:?}, got {refused}");
    }
}

#[test]
fn an_entry_without_a_say_is_told_of() {
    let wide =
        "name = \"wide\"\naction = \"discard\"\ninstance = \"blue\"\nremote = [\"10.0.0.0/8\", \"fd00::/8\"]";
    let narrow =
        "name = \"narrow\"\naction = \"bypass\"\ninstance = \"blue\"\nremote = [\"10.7.0.0/16 tcp/80\"]";
    let elsewhere = "name = \"elsewhere\"\naction = \"bypass\"\nremote = [\"10.7.0.0/16\"]";
    let yields =
        "name = \"yields\"\naction = \"bypass\"\ninstance = \"blue\"\nremote = [\"10.1.0.128/25 udp/53\"]";
    let first = format!("{yields}\nbefore-tunnels = true");
    let outside = "name = \"outside\"\naction = \"protect\"\ntunnel = \"branch\"\nremote = [\"10.9.0.0/16\"]";
    for (entries, expected) in [
        (vec![narrow, wide, elsewhere], None),
        (
            vec![wide, narrow],
            Some("policy.narrow: entry \"wide\" stands before it and speaks of all its packets"),
        ),
        (vec![wide, elsewhere], None),
        (
            vec![yields],
            Some("policy.yields: tunnel \"branch\" has all of its remote networks: it lets nothing out"),
        ),
        (vec![&first], None),
        (vec![outside], Some("policy.outside: tunnel \"branch\" carries nothing of it")),
        (
            vec!["name = \"all\"\naction = \"bypass\"\ninstance = \"blue\"", wide],
            Some("entry \"all\" stands before it"),
        ),
        (vec![wide, "name = \"all\"\naction = \"bypass\"\ninstance = \"blue\""], None),
    ] {
        let told = judge(&entries).unwrap().warnings;
        let told: Vec<String> = told.iter().map(ToString::to_string).collect();
        match expected {
            Some(expected) => {
                assert!(told.iter().any(|line| line.contains(expected)), "wanted {expected:?}, got {told:?}")
            }
            None => assert_eq!(told, Vec::<String>::new()),
        }
    }
}
