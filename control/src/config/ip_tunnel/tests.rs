use super::*;
use crate::config::Plan;
use std::path::Path;

fn judge(lines: &str, more: &str) -> Result<Plan, String> {
    let text = format!(
        r#"
interface.wan = {{ device = "af_packet:eth1", addresses = ["192.0.2.2/24", "2001:db8::2/64"] }}
instance.blue = {{ namespace = "blue" }}
[tunnel.kept]
local = "192.0.2.2"
remote = "192.0.2.7"
psk = "correct horse"
private-instance = "blue"
local-ts = ["10.2.0.0/24"]
remote-ts = ["10.3.0.0/24"]
[ip-tunnel.branch]
{lines}
{more}
"#
    );
    let none = |_: &Path| Err(std::io::Error::other("no file"));
    let judged = crate::config::parse("i.toml", &text, Path::new("/"), &none);
    judged.map_err(|refused| refused.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}

const ENDS: &str = "local = \"192.0.2.2\"\nremote = \"192.0.2.1\"\n";

#[test]
fn what_is_written_is_what_is_planned() {
    let plan = judge(ENDS, "").unwrap();
    let tunnel = &plan.ip_tunnels["branch"];
    assert_eq!((tunnel.kind, tunnel.ttl, tunnel.dscp, tunnel.enabled), (Kind::Ip, 255, None, true));
    let all = format!(
        "{ENDS}description = \"to the north\"\nenabled = false\nbackup-remote = \"192.0.2.3\"\n\
        private-instance = \"blue\"\ngre-header = true\nsend-key = 0\nreceive-key = 4294967295\n\
        addresses = [\"10.9.0.1/30\", \"fd09::1/64\"]\ndest-ip = [\"10.9.0.2\", \"fd09::2\", \"fe80::2\", \"224.0.0.5\"]\n\
        dscp = 46\nttl = 64\npackets = {{ ip-mtu = 1400, clear-df-bit = true }}\n"
    );
    let route = "[[route]]\ndestination = \"10.50.0.0/16\"\nip-tunnel = \"branch\"\n";
    let plan = judge(&all, route).unwrap();
    let tunnel = &plan.ip_tunnels["branch"];
    assert_eq!(tunnel.kind, Kind::Gre { send: Some(0), receive: Some(u32::MAX) });
    assert_eq!((tunnel.enabled, tunnel.private, tunnel.ttl, tunnel.dscp), (false, 1, 64, Some(46)));
    assert_eq!(tunnel.backup, Some("192.0.2.3".parse().unwrap()));
    assert_eq!((tunnel.packets.ip_mtu, tunnel.packets.clear_df_bit), (Some(1400), true));
    let networks: Vec<String> = tunnel.networks().map(|network| network.to_string()).collect();
    assert_eq!(networks, ["10.50.0.0/16", "10.9.0.2/32", "fd09::2/128", "fe80::2/128", "224.0.0.5/32"]);
    assert_eq!(
        tunnel.kernel_routes().count(),
        3,
        "of groups and link-local addresses the kernel knows by itself"
    );
}

#[test]
fn mistakes_are_refused_by_name() {
    let other = format!("[ip-tunnel.other]\n{ENDS}");
    let many = format!(
        "{ENDS}dest-ip = [{}]",
        (0..17).map(|n| format!("\"10.9.0.{n}\"")).collect::<Vec<_>>().join(",")
    );
    for (lines, more, expected) in [
        ("remote = \"192.0.2.1\"", "", "has no local address"),
        ("local = \"192.0.2.2\"", "", "has no remote address"),
        ("local = \"192.0.2.9\"\nremote = \"192.0.2.1\"", "", "local = 192.0.2.9 is on no interface"),
        ("local = \"192.0.2.2\"\nremote = \"2001:db8::1\"", "", "of different families"),
        ("local = \"192.0.2.2\"\nremote = \"192.0.2.2\"", "", "is no peer's address"),
        (&format!("{ENDS}backup-remote = \"192.0.2.1\""), "", "remote and backup-remote are both"),
        (&format!("{ENDS}send-key = 1"), "", "a key without gre-header"),
        (
            &format!("{ENDS}gre-header = true\nreceive-key = 4294967296"),
            "",
            "receive-key = 4294967296 is out of range",
        ),
        (&format!("{ENDS}ttl = 0"), "", "ttl = 0 is out of range"),
        (&format!("{ENDS}dscp = 64"), "", "dscp = 64 is out of range"),
        (&format!("{ENDS}packets = {{ ip-mtu = 9001 }}"), "", "ip-mtu = 9001 is out of range"),
        (&format!("{ENDS}packets = {{ tfc-padding = 512 }}"), "", "tfc-padding is not there"),
        (&many, "", "dest-ip has 17 addresses; expected at most 16"),
        (ENDS, &other, "ip-tunnel \"branch\" has the same ends and receives the same"),
        (
            ENDS,
            "[[route]]\ndestination = \"10.5.0.0/16\"\nip-tunnel = \"brnch\"",
            "ip-tunnel \"brnch\" does not exist",
        ),
        (
            &format!("{ENDS}private-instance = \"blue\""),
            "[[route]]\ndestination = \"10.3.0.0/24\"\nip-tunnel = \"branch\"",
            "10.3.0.0/24 is behind tunnel \"kept\", which protects it",
        ),
        (
            ENDS,
            "[[route]]\ndestination = \"10.5.0.0/16\"\nip-tunnel = \"branch\"\nvia = \"192.0.2.9\"",
            "names none or several",
        ),
    ] {
        let refused = judge(lines, more).unwrap_err();
        assert!(refused.contains(expected), "wanted {expected}, got {refused}");
    }
    // Another key is another tunnel.
    let keyed =
        format!("{other}gre-header = true\nreceive-key = 5\n[ip-tunnel.third]\n{ENDS}gre-header = true\n");
    assert_eq!(judge(ENDS, &keyed).unwrap().ip_tunnels.len(), 3);
    let shared = format!("{ENDS}dest-ip = [\"10.9.0.2\"]");
    let both = judge(&shared, &format!("{other}gre-header = true\ndest-ip = [\"10.9.0.2\"]")).unwrap_err();
    assert!(both.contains("10.9.0.2/32 is behind ip-tunnel \"branch\" too"), "{both}");
}

/// A longer prefix takes packets out of a tunnel that would protect them: that is told.
#[test]
fn what_is_taken_out_of_a_tunnel_is_told() {
    let route = "[[route]]\ndestination = \"10.3.0.128/25\"\nip-tunnel = \"branch\"";
    let plan = judge(&format!("{ENDS}private-instance = \"blue\""), route).unwrap();
    let told: Vec<String> = plan.warnings.iter().map(ToString::to_string).collect();
    assert!(told.iter().any(|line| line.contains("10.3.0.128/25 goes as it is")), "{told:?}");
    // 1400 - 20 - 4: GRE without a key.
    let narrow =
        |mtu| format!("{ENDS}gre-header = true\npackets = {{ ip-mtu = {mtu}, encapsulated-ip-mtu = 1400 }}");
    assert!(judge(&narrow(1376), "").unwrap().warnings.is_empty());
    let told = judge(&narrow(1377), "").unwrap().warnings;
    assert!(
        told.iter().any(|line| line.to_string().contains("is 1376 at most: large packets are cut twice"))
    );
}
