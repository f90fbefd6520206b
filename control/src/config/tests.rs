//! What an operator writes and what is made of it: the README's five lines, and for every
//! kind of mistake one file that is refused with the line and the remedy.

use std::sync::Arc;

use super::ground::BRANCH as FIVE_LINES;
use super::*;

fn judge(text: &str) -> Result<Plan, Vec<String>> {
    let read = |path: &Path| Err(std::io::Error::other(format!("no {}", path.display())));
    parse("r.toml", text, Path::new("/etc/ravelin"), &read)
        .map_err(|refusals| refusals.iter().map(ToString::to_string).collect())
}

/// The configuration the README shows is accepted, with the promised defaults.
#[test]
fn the_short_configuration_works() {
    let plan = judge(FIVE_LINES).unwrap();
    assert_eq!(plan.ports.len(), 2);
    assert_eq!(plan.workers.cores, [0]);
    let tunnel = &plan.tunnels["branch"];
    assert_eq!(tunnel.children[0].transform.replay_window, 1024);
    assert!(matches!(&tunnel.keying, plan::Keying::Ike(ike) if ike.policy.proposals.len() == 3));
    assert!(!format!("{plan:?}").contains("horse"), "a secret is never printed");
}

/// The ninth tunnel of a worker for eight is refused, and so is a child for which there is no slot (TG-07).
#[test]
fn no_more_tunnels_than_the_workers_take() {
    let file = |tunnels: usize, workers: &str| {
        let tunnel = |n: usize| {
            format!(
                "[tunnel.t{n}]\nlocal = \"192.0.2.2\"\nremote = \"192.0.2.{}\"\npsk = \"x{n} y\"\n\
                 local-ts = [\"10.2.0.0/24\"]\nremote-ts = [\"10.1.{n}.0/24\"]\n",
                n + 10
            )
        };
        let head: String = FIVE_LINES.lines().take(3).map(|line| format!("{line}\n")).collect();
        head + &(0..tunnels).map(tunnel).collect::<String>() + workers
    };
    assert!(judge(&file(8, "[workers]\ntunnel-limit = \"8\"")).is_ok());
    assert!(judge(&file(9, "[workers]\ncount = 2\ntunnel-limit = \"8\"")).is_ok());
    assert!(judge(&file(9, "")).is_ok());
    let refused = judge(&file(9, "[workers]\ntunnel-limit = \"8\"")).unwrap_err();
    assert!(refused[0].contains("9 tunnels with 9 children; expected at most 8"), "{refused:?}");
    assert!(refused[0].contains("raise tunnel-limit or count"), "{refused:?}");
}

/// What tunnels have alike is in memory once, and so is a tunnel that both plan and roster have: there are tens of
/// thousands. By another profile one transform is another.
#[test]
fn what_is_the_same_is_there_once() {
    let more = "ike-policy = \"p\"\nipsec-transform = \"t\"\n";
    let tunnel = |name: &str, policy: &str| {
        let branch: String = FIVE_LINES.lines().skip(4).map(|line| format!("{line}\n")).collect();
        format!("[tunnel.{name}]\n{branch}{policy}").replace("192.0.2.1\"", &format!("192.0.2.1{name}\""))
    };
    let head: String = FIVE_LINES.lines().take(3).map(|line| format!("{line}\n")).collect();
    let named = "[ike-policy.p]\n[ike-policy.q]\nprofile = \"legacy\"\n[ipsec-transform.t]\n";
    let others = more.replace("\"p\"", "\"q\"");
    let tunnels =
        [tunnel("1", more), tunnel("2", more), tunnel("3", ""), tunnel("4", ""), tunnel("5", &others)];
    let plan = judge(&(head + named + &tunnels.concat())).unwrap();
    let parts = |name: &str| match &plan.tunnels[name].keying {
        plan::Keying::Ike(ike) => (&ike.policy, &plan.tunnels[name].children[0].transform),
        plan::Keying::Manual(_) => panic!("{name} speaks IKE"),
    };
    let are_one = |one: &str, other: &str| {
        let ((policy, transform), (policy_2, transform_2)) = (parts(one), parts(other));
        (Arc::ptr_eq(policy, policy_2), Arc::ptr_eq(transform, transform_2))
    };
    assert_eq!([are_one("1", "2"), are_one("3", "4")], [(true, true); 2]);
    assert_eq!([are_one("1", "3"), are_one("1", "5")], [(false, false); 2]);
    let roster = crate::tunnel::roster::Roster::new(&plan);
    assert!(roster.tunnels().all(|(_, tunnel)| std::ptr::eq(tunnel, &*plan.tunnels[&tunnel.name])));
}

/// Each mistake names its line, what was found and what was expected.
#[test]
fn mistakes_are_refused_by_line() {
    let with = |line: &str| format!("{FIVE_LINES}{line}\n");
    for (text, wanted) in [
        (with("auto-establich = true"), "r.toml:10: unknown field \"auto-establich\""),
        (with("auto-establich = true"), "did you mean auto-establish?"),
        (
            with("ike-policy = \"fast\""),
            "r.toml:10: tunnel.branch: ike-policy \"fast\" does not exist; expected nothing: none",
        ),
        (with("auto-establish = 3"), "r.toml:10: invalid type: integer"),
        (with("certificate = \"none\""), "certificate \"none\" does not exist"),
        (with("psk-file = \"x\""), "has both psk and psk-file"),
        (with("[tunnel.branch.manual]\nsuite = \"aes128gcm16\""), "missing field"),
        (
            FIVE_LINES.replace("192.0.2.1\"", "192.0.2.300\""),
            "r.toml:6: tunnel.branch: remote = \"192.0.2.300\" is not valid; expected an IPv4",
        ),
        (
            FIVE_LINES.replace("local = \"192.0.2.2\"", "local = \"192.0.2.9\""),
            "r.toml:5: tunnel.branch: local = 192.0.2.9 is on no interface",
        ),
        (FIVE_LINES.replace("10.1.0.0/24", "10.1.0.1/24"), "no bits set beyond its length"),
        (
            FIVE_LINES.replace("psk = \"correct horse\"", "psk-file = \"psk\""),
            "cannot be read: no /etc/ravelin/psk",
        ),
        (FIVE_LINES.replace("af_packet:eth1", "eth1"), "expected af_packet:INTERFACE"),
        (
            with("[workers]\ntunnel-limit = \"33\""),
            "r.toml:11: workers: tunnel-limit = \"33\" is not valid; expected 8, 32, 2k, 32k or 64k",
        ),
        (
            with("[workers]\ncount = 2\ncores = [1]"),
            "r.toml:12: workers: cores names 1 CPUs; expected count = 2",
        ),
        (
            with("[ike-policy.p]\nproposals = [\"aes128-rot13\"]")
                .replace("local-ts", "ike-policy = \"p\"\nlocal-ts"),
            "r.toml:12: ike-policy.p: proposal \"aes128-rot13\" is not valid: \"rot13\" is no algorithm known here",
        ),
        ("x = [".to_owned(), "r.toml:1: "),
    ] {
        let refusals = judge(&text).unwrap_err().join("\n");
        assert!(refusals.contains(wanted), "wanted {wanted:?}, got:\n{refusals}");
    }
}

/// A tunnel with `count` children that differ in the peer's network, and these lines.
fn children(count: usize, lines: &str) -> String {
    let head: String =
        FIVE_LINES.lines().filter(|line| !line.contains("-ts")).map(|line| format!("{line}\n")).collect();
    let child = |n: usize| {
        format!("[tunnel.branch.child.c{n}]\nlocal-ts = [\"10.2.0.0/24\"]\nremote-ts = [\"10.3.{n}.0/24\"]\n")
    };
    format!("{head}{lines}\n{}", (0..count).map(child).collect::<String>())
}

/// Five children unless more are allowed, sixty-four at most (IKE-13, LIM-07).
#[test]
fn no_more_children_than_allowed() {
    for (lines, most) in [("", 5), ("child-limit = 1", 1), ("child-limit = 7", 7), ("child-limit = 64", 64)] {
        for count in [most - 1, most] {
            let judged = judge(&children(count, lines));
            assert_eq!(judged.is_ok(), count > 0, "{count} of {most}: {judged:?}");
        }
        let plan = judge(&children(most, lines)).unwrap();
        assert_eq!((plan.tunnels["branch"].children.len(), plan.tunnels["branch"].child_limit), (most, most));
        let refused = judge(&children(most + 1, lines)).unwrap_err().join("\n");
        assert!(refused.contains(&format!("has {} children: c0", most + 1)), "{refused}");
        assert!(refused.contains(&format!("expected at most child-limit = {most}")), "{refused}");
    }
    for limit in [0, 65] {
        let refused = judge(&children(1, &format!("child-limit = {limit}"))).unwrap_err();
        assert!(refused[0].contains("child-limit") && refused[0].contains("expected 1 to 64"), "{refused:?}");
    }
}

/// What a packet would be carried by must be sure: no two children of a tunnel share traffic, or a name.
#[test]
fn children_share_nothing() {
    let child = |name: &str, lines: &str| format!("{FIVE_LINES}[tunnel.branch.child.{name}]\n{lines}\n");
    let lists = |local: &str, remote: &str| format!("local-ts = [{local:?}]\nremote-ts = [{remote:?}]");
    for (name, lines, refused) in [
        (
            "voice",
            lists("10.2.0.0/24 udp/5060", "10.1.0.0/24 udp"),
            Some(
                "children \"branch\" and \"voice\" both carry 10.2.0.0/24 udp/5060 === 10.1.0.0/24 udp; expected selectors that no two",
            ),
        ),
        ("voice", lists("10.0.0.0/8", "10.1.0.64/26"), Some("both carry 10.2.0.0/24 === 10.1.0.64/26")),
        ("branch", lists("10.2.0.0/24", "10.9.0.0/24"), Some("two children are named \"branch\"")),
        (
            "voice",
            lists("10.2.0.0/24 udp", "10.9.0.0/24 tcp"),
            Some("child \"voice\" carries nothing: its sides differ"),
        ),
        ("voice", lists("10.2.0.0/24", "fd00::/16"), Some("carries nothing")),
        ("voice", lists("10.2.0.0/24", "10.9.0.0/24"), None),
        ("voice", lists("10.3.0.0/24", "10.1.0.0/24"), None),
    ] {
        match (judge(&child(name, &lines)), refused) {
            (Ok(plan), None) => assert_eq!(plan.tunnels["branch"].children.len(), 2),
            (Err(refusals), Some(wanted)) => {
                assert!(refusals.join("\n").contains(wanted), "{refusals:?}");
                assert!(refusals.join("\n").contains("r.toml:10: tunnel.branch"), "{refusals:?}");
            }
            (judged, _) => panic!("{lines}: {judged:?}"),
        }
    }
}

/// Certain pairs of ports become as many children as it takes, each of them exact (TS-19).
#[test]
fn a_policy_of_pairs_is_split() {
    let pairs = |pairs: &[(u16, u16)]| {
        let pair = |(local, remote): &(u16, u16)| {
            format!("\"10.2.0.0/24 udp/{local} === 10.1.0.0/24 udp/{remote}\"")
        };
        let pairs: Vec<String> = pairs.iter().map(pair).collect();
        FIVE_LINES.replace(
            "local-ts = [\"10.2.0.0/24\"]\nremote-ts = [\"10.1.0.0/24\"]",
            &format!("ts-pairs = [{}]", pairs.join(", ")),
        )
    };
    let told = |text: &str| -> Vec<String> {
        let plan = judge(text).unwrap();
        let side = |side: &[ravelin_ike::config::Selector]| crate::tunnel::words::configured(side);
        let child = |child: &plan::Child| {
            format!("{}: {} === {}", child.name, side(&child.local_ts), side(&child.remote_ts))
        };
        plan.tunnels["branch"].children.iter().map(child).collect()
    };
    assert_eq!(
        told(&pairs(&[(100, 300), (200, 400)])),
        [
            "branch-1: 10.2.0.0/24 udp/100 === 10.1.0.0/24 udp/300",
            "branch-2: 10.2.0.0/24 udp/200 === 10.1.0.0/24 udp/400"
        ]
    );
    assert_eq!(
        told(&pairs(&[(100, 300), (100, 400), (200, 300), (200, 400)])),
        ["branch: 10.2.0.0/24 udp/100,10.2.0.0/24 udp/200 === 10.1.0.0/24 udp/300,10.1.0.0/24 udp/400"]
    );
    // One more than there may be.
    let many: Vec<(u16, u16)> = (1..=6).map(|port| (port, 100 + port)).collect();
    assert!(judge(&pairs(&many[..5])).is_ok());
    let refused = judge(&pairs(&many)).unwrap_err().join("\n");
    assert!(refused.contains("has 6 children: branch-1, branch-2"), "{refused}");
    let both = format!("{FIVE_LINES}ts-pairs = [\"10.4.0.0/24 === 10.5.0.0/24\"]\n");
    assert!(judge(&both).unwrap_err()[0].contains("has ts-pairs and local-ts or remote-ts"));
    for pair in ["10.2.0.0/24", "10.2.0.0/24 udp === 10.1.0.0/24 tcp", "10.2.0.0/24 === fd00::/16"] {
        let text = pairs(&[(1, 2)]).replace("10.2.0.0/24 udp/1 === 10.1.0.0/24 udp/2", pair);
        assert!(judge(&text).unwrap_err()[0].contains("ts-pairs = \""), "{pair}");
    }
}

/// Each child has a transform and a DSCP of its own, or those of its tunnel (IKE-14).
#[test]
fn children_differ_in_protection() {
    let text = children(3, "ipsec-transform = \"strong\"\ndscp = 10")
        .replace("10.3.1.0/24\"]", "10.3.1.0/24\"]\nipsec-transform = \"fast\"\ndscp = 46")
        + "[ipsec-transform.strong]\nproposals = [\"aes256gcm16\"]\n[ipsec-transform.fast]\nproposals = [\"aes128gcm16\"]\nlifetime = 600\n";
    let plan = judge(&text).unwrap();
    let told: Vec<_> = plan.tunnels["branch"]
        .children
        .iter()
        .map(|child| {
            (
                child.dscp,
                child.transform.proposals[0].encryption[0].key_bits(),
                child.transform.lifetime.as_secs(),
            )
        })
        .collect();
    assert_eq!(told, [(Some(10), 256, 3600), (Some(46), 128, 600), (Some(10), 256, 3600)]);
    let refused = judge(&children(1, "dscp = 64")).unwrap_err();
    assert!(refused[0].contains("dscp = 64 is out of range; expected 0 to 63"), "{refused:?}");
}

/// What a grammar expects is not a name that somebody may have meant.
#[test]
fn only_names_are_suggested() {
    for text in ["x = [", "x = \"", "[[", "= 1", "x = 1 2", "[tunnel.a"] {
        let refusals = judge(text).unwrap_err().join("\n");
        assert!(!refusals.contains("did you mean"), "{text}: {refusals}");
    }
}

/// All mistakes are told at once, in the order of the file.
#[test]
fn every_mistake_is_told() {
    let text = FIVE_LINES.replace("192.0.2.1\"", "x\"").replace("[\"10.2.0.1/24\"]", "[\"10.2.0.1\"]");
    let refusals = judge(&text).unwrap_err();
    assert_eq!(refusals.len(), 2, "{refusals:?}");
    assert!(refusals[0].starts_with("r.toml:3:") && refusals[1].starts_with("r.toml:6:"));
}

/// A key is never repeated in a refusal.
#[test]
fn secrets_stay_out_of_refusals() {
    let refusals = judge(&FIVE_LINES.replace("correct horse", &"s3cret".repeat(30))).unwrap_err();
    assert!(!refusals.join("").contains("s3cret"), "{refusals:?}");
    // A key without quotes is a number, a date or broken TOML.
    for bare in ["31337", "-31337", "31337.5", "31337e2", "1979-03-13", "0x31337", "s31337"] {
        let refusals = judge(&FIVE_LINES.replace("\"correct horse\"", bare)).unwrap_err();
        let told = refusals.join("").replace("r.toml", "");
        assert!(!told.contains("31337") && !told.contains("1979"), "{bare}: {told}");
        assert!(told.starts_with(":7:"), "{told}");
    }
}

/// Neither does the file's shape show one, whoever prints it.
#[test]
fn secrets_are_hidden_in_the_shape_too() {
    let keys = "[tunnel.branch.manual]\nsuite = \"aes128gcm16\"\ninbound-spi = 256\ninbound-key = \"abad1dea\"\n\
                outbound-spi = 300\noutbound-key = \"abad1dea\"\n";
    let file: raw::File = toml::from_str(&format!("{FIVE_LINES}{keys}")).unwrap();
    let shown = format!("{file:?}");
    assert!(shown.contains("Hidden") && !shown.contains("horse") && !shown.contains("abad1dea"), "{shown}");
}

/// SAs for each worker are negotiated: with manual keys there are none.
#[test]
fn per_worker_is_off_unless_said_and_not_with_manual_keys() {
    let per_worker =
        |lines: &str| judge(&format!("{FIVE_LINES}{lines}")).unwrap().tunnels["branch"].per_worker;
    assert_eq!(
        [per_worker(""), per_worker("per-worker = false\n"), per_worker("per-worker = true\n")],
        [false, false, true]
    );
    let manual = "per-worker = true\n[tunnel.branch.manual]\nsuite = \"aes128gcm16\"\ninbound-spi = 256\ninbound-key = \"KEY\"\n\
        outbound-spi = 257\noutbound-key = \"KEY\"\n";
    let text = FIVE_LINES.replace("psk = \"correct horse\"\n", "") + &manual.replace("KEY", &"ab".repeat(20));
    let refused = judge(&text).unwrap_err();
    assert!(
        refused.len() == 1 && refused[0].contains("per-worker does not go with manual keys"),
        "{refused:?}"
    );
}

/// Manual keys come with their salt, and SPIs below 256 and above 2^26 are not theirs.
#[test]
fn manual_keys() {
    let manual = "[tunnel.branch.manual]\nsuite = \"aes128gcm16\"\ninbound-spi = 256\ninbound-key = \"KEY\"\n\
                  outbound-spi = 5\noutbound-key = \"00\"\n";
    let text = FIVE_LINES.replace("psk = \"correct horse\"\n", "") + &manual.replace("KEY", &"ab".repeat(20));
    let refusals = judge(&text).unwrap_err().join("\n");
    assert!(refusals.contains("outbound-spi = 5 is out of range; expected 256 to 67108863"), "{refusals}");
    let right = text
        .replace("outbound-spi = 5", "outbound-spi = 300")
        .replace("\"00\"", &format!("{:?}", "cd".repeat(20)));
    let plan = judge(&right).unwrap();
    assert!(
        matches!(&plan.tunnels["branch"].keying, plan::Keying::Manual(manual) if manual.suite.name() == "aes128gcm16")
    );
}

/// Each suite takes keys of its own, of its own lengths; another length, a key too many or one too few is told by the
/// key's name.
#[test]
fn manual_keys_of_every_suite() {
    let legacy = "allow-legacy = true\nike = { profile = \"legacy\" }\n";
    let base = legacy.to_owned() + &FIVE_LINES.replace("psk = \"correct horse\"\n", "");
    let key = |name: &str, octets: usize| match octets {
        0 => String::new(),
        octets => format!("{name} = {:?}\n", "ab".repeat(octets)),
    };
    for suite in ravelin_dataplane::sa::suite::Suite::all() {
        let hash = suite.name().split_once('-').map_or(0, |(_, hash)| match hash {
            "md5" | "aescmac" => 16,
            "sha1" => 20,
            bits => bits.trim_start_matches("sha").parse::<usize>().unwrap() / 8,
        });
        let cipher = suite.keymat_length() - hash;
        let text = |cipher: usize, hash: usize| {
            let of = |direction: &str| {
                key(&format!("{direction}-key"), cipher) + &key(&format!("{direction}-integrity-key"), hash)
            };
            let spis = "inbound-spi = 256\noutbound-spi = 300\n";
            let suite = format!("[tunnel.branch.manual]\nsuite = {:?}\n", suite.name());
            [base.as_str(), &suite, spis, &of("inbound"), &of("outbound")].concat()
        };
        let plan = judge(&text(cipher, hash)).unwrap();
        let plan::Keying::Manual(manual) = &plan.tunnels["branch"].keying else { panic!("{suite:?}") };
        assert_eq!(manual.suite, suite);
        let others = [
            (cipher + 1, hash, "inbound-key"),
            (cipher.saturating_sub(1), hash, "inbound-key"),
            (cipher, hash + 1, "inbound-integrity-key"),
            (cipher, hash.saturating_sub(1), "inbound-integrity-key"),
        ];
        for (wrong, other, key) in others.into_iter().filter(|(a, b, _)| (*a, *b) != (cipher, hash)) {
            let refusals = judge(&text(wrong, other)).unwrap_err().join("\n");
            assert!(refusals.contains(key) && refusals.contains(suite.name()), "{refusals}");
        }
    }
    let two = base
        + "[tunnel.branch.manual]\nsuite = \"aes128-sha256-sha512\"\ninbound-spi = 256\noutbound-spi = 300\n";
    assert!(judge(&two).unwrap_err().join("\n").contains("is not valid: it is not one suite"));
}

const PPK: &str = "ppk-list = \"p\"\n[ppk-list.p.one]\nvalue = \"hunter2\"\n[ppk-list.p.\"two.example\"]\nvalue = \"0x0102\"\n\
                   id-type = \"opaque\"\n";

/// A tunnel takes a list, and the one of it that it names when it calls; its values are shown by nobody.
#[test]
fn post_quantum_preshared_keys() {
    use ravelin_ike::config::PpkIdKind;
    let ppks = |text: &str| match &judge(text).unwrap().tunnels["branch"].keying {
        plan::Keying::Ike(ike) => ike.ppk.clone().unwrap(),
        plan::Keying::Manual(_) => unreachable!("no manual keys are configured"),
    };
    let both = ppks(&format!("{FIVE_LINES}ppk-required = true\nppk-id = \"two.example\"\n{PPK}"));
    assert!(both.required && both.accepted.len() == 2);
    let own = both.own.unwrap();
    assert_eq!((own.id.kind, own.id.data.as_slice()), (PpkIdKind::Opaque, &b"two.example"[..]));
    assert_eq!(own.secret.as_slice(), [1, 2]);
    let one = ppks(&format!("{FIVE_LINES}ppk-list = \"p\"\n[ppk-list.p.one]\nvalue = \"hunter2\"\n"));
    assert!(!one.required);
    let own = one.own.unwrap();
    assert_eq!((own.id.kind, own.secret.as_slice()), (PpkIdKind::Fixed, &b"hunter2"[..]));
    let any = FIVE_LINES.replace("remote = \"192.0.2.1\"", "remote = \"any\"");
    assert!(ppks(&format!("{any}{PPK}")).own.is_none());
    let shown = format!("{:?}", judge(&format!("{any}{PPK}")).unwrap());
    assert!(!shown.contains("hunter2") && !shown.contains("[1, 2]"), "{shown}");
}

/// Each slip with PPKs is told with the way out, and without the value.
#[test]
fn post_quantum_preshared_keys_are_refused_by_line() {
    let with = |lines: &str| format!("{FIVE_LINES}{lines}");
    let list = |key: &str| with(&format!("ppk-list = \"p\"\n[ppk-list.p.one]\n{key}\n"));
    for (text, wanted) in [
        (
            with(PPK),
            "r.toml:4: tunnel.branch: names none of the 2 keys of its ppk-list; expected ppk-id = one of one, two.example",
        ),
        (
            with(&format!("ppk-id = \"tow.example\"\n{PPK}")),
            "r.toml:10: tunnel.branch: ppk-id \"tow.example\" is not in its ppk-list; expected one of one, two.example (did you mean two.example?)",
        ),
        (with("ppk-list = \"q\"\n"), "r.toml:10: tunnel.branch: ppk-list \"q\" does not exist"),
        (
            with("ppk-required = true\n"),
            "r.toml:4: tunnel.branch: has ppk-id or ppk-required and no ppk-list",
        ),
        (list(""), "r.toml:11: ppk-list.p.one: has no key; expected value or value-file"),
        (list("value = \"s3cret\"\nvalue-file = \"x\""), "has both value and value-file"),
        (list("value-file = \"x\""), "value-file \"x\" cannot be read: no /etc/ravelin/x"),
        (
            list(&format!("value = \"{}\"", "s3cret".repeat(20))),
            "r.toml:12: ppk-list.p.one: value is not valid; expected a pre-shared key of 1 to 115",
        ),
        (list("value = 3333"), "r.toml:12: a key that is no string"),
        (
            list("value = \"x\"\nid-type = \"fixd\""),
            "r.toml:13: ppk-list.p.one: id-type = \"fixd\" is not valid; expected fixed or opaque",
        ),
        (
            with(&format!("[ppk-list.p.{}]\nvalue = \"x\"\n", "n".repeat(65))),
            "a name of 65 characters; expected 1 to 64",
        ),
        (with("[ppk-list.p]\n"), "ppk-list.p: 0 keys; expected 1 to 128"),
        (
            with(&format!("ppk-id = \"one\"\n{PPK}")).replace("remote = \"192.0.2.1\"", "remote = \"any\""),
            "r.toml:10: tunnel.branch: ppk-id is what a caller names",
        ),
    ] {
        let refusals = judge(&text).unwrap_err().join("\n");
        assert!(refusals.contains(wanted), "wanted {wanted:?}, got:\n{refusals}");
        assert!(!refusals.contains("s3cret"), "{refusals}");
    }
    let many: String = (0..129).map(|n| format!("[ppk-list.p.k{n}]\nvalue = \"x\"\n")).collect();
    assert!(judge(&with(&many)).unwrap_err()[0].contains("ppk-list.p: 129 keys; expected 1 to 128"));
    let lists: String = (0..129).map(|n| format!("[ppk-list.p{n}.k]\nvalue = \"x\"\n")).collect();
    assert!(judge(&with(&lists)).unwrap_err()[0].contains("ppk-list: 129 lists; expected at most 128"));
}

/// A gateway of one tunnel: its profile, its policy's and its transform's lines.
fn profiled(gateway: &str, policy: &str, transform: &str) -> Result<Plan, Vec<String>> {
    let head = FIVE_LINES.replace("psk =", "ike-policy = \"p\"\nipsec-transform = \"t\"\npsk =");
    judge(&format!("{head}[ike]\n{gateway}\n[ike-policy.p]\n{policy}\n[ipsec-transform.t]\n{transform}\n"))
}

/// What each profile refuses, warns of and says nothing about: MUST NOT, SHOULD NOT and the rest.
#[test]
fn proposals_are_linted_by_profile() {
    let ike = |text: &str| format!("proposals = [\"{text}\"]");
    let good = ike("aes256gcm16-prfsha384-ecp384+mlkem1024");
    for (profile, policy, transform, expected) in [
        ("rfc8247", ike("aes128-sha256-modp2048"), ike("aes128gcm16"), Ok("")),
        ("legacy", ike("aes128-sha256-modp2048"), ike("aes128gcm16"), Ok("")),
        ("cnsa2", String::new(), String::new(), Ok("")),
        ("cnsa2", good.clone(), ike("aes256gcm16-ecp384+mlkem1024"), Ok("")),
        (
            "cnsa2",
            ike("aes256gcm16-prfsha512-mlkem1024"),
            String::new(),
            Ok(
                "r.toml:15: ike-policy.p: proposal \"aes256gcm16-prfsha512-mlkem1024\": \"prfsha512\" SHOULD NOT be used; \
                expected what profile cnsa2 allows",
            ),
        ),
        (
            "cnsa2",
            ike("aes128gcm16-prfsha384-mlkem1024"),
            String::new(),
            Err(
                "r.toml:15: ike-policy.p: proposal \"aes128gcm16-prfsha384-mlkem1024\": \"aes128gcm16\" MUST NOT be used; \
                 expected what profile cnsa2 allows",
            ),
        ),
        (
            "cnsa2",
            ike("aes256gcm16-prfsha384-ecp384"),
            String::new(),
            Err("one of its key exchanges MUST be \"mlkem1024\""),
        ),
        (
            "cnsa2",
            good,
            ike("aes128gcm16"),
            Err("r.toml:17: ipsec-transform.t: proposal \"aes128gcm16\": \"aes128gcm16\" MUST NOT be used"),
        ),
        (
            "rfc8247",
            String::new(),
            ike("aes128-sha1"),
            Ok(
                "r.toml:17: ipsec-transform.t: proposal \"aes128-sha1\": \"sha1\" SHOULD NOT be used; expected what \
                profile rfc8247 allows",
            ),
        ),
        ("legacy", ike("aes128-sha1-modp2048"), ike("aes128-sha1"), Ok("")),
        ("rfc8247", String::new(), ike("aes256-aes192-aes128-sha512-sha384-sha256"), Ok("")),
        ("cnsa2", String::new(), ike("aes256-sha512"), Err("\"sha512\" MUST NOT be used")),
        (
            "legacy",
            ike("3des-sha256-modp2048"),
            String::new(),
            Err("\"3des\" SHOULD NOT be used (RFC 8247, RFC 8221)"),
        ),
        (
            "rfc8247",
            ike("aes128-sha256-modp768"),
            String::new(),
            Err("\"modp768\" MUST NOT be used (RFC 8247 §2.4)"),
        ),
        (
            "fips",
            String::new(),
            String::new(),
            Err("r.toml:13: ike: profile = \"fips\" is not valid; expected rfc8247, cnsa2 or"),
        ),
    ] {
        // As the gateway's profile, and as the policy's own under another.
        let gateway = format!("profile = \"{profile}\"");
        let judged = profiled(&gateway, &policy, &transform);
        match expected {
            Ok(warning) => {
                let told: Vec<String> = judged.unwrap().warnings.iter().map(ToString::to_string).collect();
                assert_eq!(told.join("\n"), warning, "{profile} {policy} {transform}");
            }
            Err(wanted) => {
                let refusals = judged.unwrap_err().join("\n");
                assert!(refusals.contains(wanted), "wanted {wanted:?}, got:\n{refusals}");
            }
        }
        let own = profiled("", &format!("{policy}\n{gateway}"), &transform);
        assert_eq!(own.is_ok(), expected.is_ok(), "{profile} {policy} {transform}");
    }
    // A policy's own profile wins over the gateway's.
    assert!(
        profiled(
            "profile = \"cnsa2\"",
            &format!("profile = \"legacy\"\n{}", ike("aes128-sha256-modp2048")),
            ""
        )
        .is_ok()
    );
}

/// Manual keys are held to the gateway's profile, and a weak PPK is warned of.
#[test]
fn other_keys_are_linted_too() {
    let manual = format!(
        "[ike]\nprofile = \"cnsa2\"\n[tunnel.branch.manual]\nsuite = \"aes128gcm16\"\ninbound-spi = 256\ninbound-key = \
         \"{0}\"\noutbound-spi = 300\noutbound-key = \"{0}\"\n",
        "ab".repeat(20)
    );
    let text = FIVE_LINES.replace("psk = \"correct horse\"\n", "") + &manual;
    let refusals = judge(&text).unwrap_err().join("\n");
    assert!(refusals.contains("suite: \"aes128gcm16\" MUST NOT be used"), "{refusals}");
    let text = format!("{FIVE_LINES}ppk-list = \"p\"\n[ppk-list.p.one]\nvalue = \"hunter2\"\n");
    let told: Vec<String> = judge(&text).unwrap().warnings.iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 1);
    assert!(told[0].contains("ppk-list.p.one: a key of 7 octets; expected 32 random ones"), "{told:?}");
}

/// No text, however broken, does more than be refused.
#[test]
fn truncation_never_panics() {
    for end in 0..FIVE_LINES.len() {
        let _ = judge(&FIVE_LINES[..end]);
    }
}

/// Lockout is off unless it is written; each value of it from one below its range to one above (LIM-12).
#[test]
fn lockouts_are_what_is_written() {
    let with = |lockout: &str| {
        judge(&format!("{FIVE_LINES}ike-policy = \"p\"\n[ike-policy.p]\n{lockout}\n")).map(|plan| {
            let plan::Keying::Ike(ike) = &plan.tunnels["branch"].keying else { panic!("{plan:?}") };
            ike.policy.lockout
        })
    };
    assert_eq!(with(""), Ok(None));
    assert_eq!(with("lockout = {}"), Ok(Some(ravelin_ike::config::Lockout::default())));
    let endless = with("lockout = { failed-attempts = 1, block = \"infinite\" }").unwrap().unwrap();
    assert_eq!((endless.failed_attempts, endless.block), (1, None));
    for (key, first, last) in
        [("failed-attempts", 1, 64), ("duration", 1, 60), ("block", 1, 1440), ("max-port-per-ip", 1, 32_000)]
    {
        for (value, accepted) in [(first - 1, false), (first, true), (last, true), (last + 1, false)] {
            let judged = with(&format!("lockout = {{ {key} = {value} }}"));
            assert_eq!(judged.is_ok(), accepted, "{key} = {value}: {judged:?}");
            let named =
                judged.err().is_none_or(|why| why[0].starts_with("r.toml:12: ike-policy.p: lockout."));
            assert!(named, "{key} = {value}");
        }
    }
    assert!(with("lockout = { block = \"never\" }").unwrap_err()[0].contains("\"infinite\""));
    assert!(with("lockout = { blocks = 3 }").unwrap_err()[0].contains("did you mean block?"));
}

/// Redirection is off unless it is asked for, and what cannot be followed is not asked for.
#[test]
fn redirection() {
    use ravelin_ike::config::{AcceptRedirect, RedirectAt, RedirectCallers, Redirection};
    let with = |lines: &str| judge(&format!("{FIVE_LINES}{lines}\n"));
    let redirect = |lines: &str| match &with(lines).unwrap().tunnels["branch"].keying {
        plan::Keying::Ike(ike) => ike.redirect.clone(),
        plan::Keying::Manual(_) => Redirection::default(),
    };
    assert_eq!(redirect(""), Redirection::default());
    assert_eq!(redirect("redirect = \"accept\"").accept, AcceptRedirect::Anywhere);
    let within =
        redirect("redirect = \"accept\"\nredirect-targets = [\"192.0.2.16/28\", \"192.0.2.9\"]").accept;
    let allowed = |last: u8| within.allows([192, 0, 2, last].into());
    assert_eq!([9, 10, 15, 16, 31, 32].map(allowed), [true, false, false, true, true, false]);
    for to in ["192.0.2.9", "gw2.example"] {
        let callers = RedirectCallers { to: to.parse().unwrap(), at: RedirectAt::Auth };
        let lines = format!("redirect-callers-to = \"{to}\"\nredirect-callers-at = \"auth\"");
        assert_eq!(redirect(&lines).callers, Some(callers));
    }
    for (lines, expected) in [
        ("redirect = \"yes\"", "accept or off"),
        ("redirect-targets = [\"192.0.2.9\"]", "redirect = \"accept\""),
        ("redirect = \"accept\"\nredirect-targets = [\"2001:db8::1\"]", "both IPv4 or both IPv6"),
        ("redirect = \"accept\"\nredirect-targets = [\"gw.example\"]", "an address or a prefix"),
        ("redirect-callers-to = \"192.0.2.2\"", "another gateway's"),
        ("redirect-callers-to = \"gw2_example\"", "an address or the name of a host"),
        ("redirect-callers-to = \"2001:db8::1\"", "both IPv4 or both IPv6"),
        ("redirect-callers-at = \"init\"", "redirect-callers-to"),
    ] {
        let refused = with(lines).unwrap_err();
        assert!(refused.len() == 1 && refused[0].contains(expected), "{lines}: {refused:?}");
    }
    let any = FIVE_LINES.replace("remote = \"192.0.2.1\"", "remote = \"any\"\nredirect = \"accept\"");
    assert!(judge(&any).unwrap_err()[0].contains("a gateway to call"));
}
