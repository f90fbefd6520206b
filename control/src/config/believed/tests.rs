//! Lists and maps as they are written: what is taken, and what is refused by name.

use std::path::Path;

use super::super::{Plan, parse};

const GATEWAY: &str = "interface.wan = { device = \"af_packet:eth1\", addresses = [\"192.0.2.2/24\"] }\n\
    ts-list.all = { local = [\"10.0.0.0/8\"], remote = [\"10.0.0.0/8\"] }\n";

fn judged(text: &str) -> Result<Plan, String> {
    let read = |path: &Path| {
        let name = if path.extension().is_some_and(|ending| ending == "key") { "pkcs8" } else { "cert" };
        std::fs::read(format!("{}/../pki/tests/data/p256.{name}.pem", env!("CARGO_MANIFEST_DIR")))
    };
    parse("r.toml", text, Path::new("/"), &read)
        .map_err(|refusals| refusals.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}

fn gateway(proofs: &str, more: &str) -> String {
    format!(
        "{GATEWAY}cert-profile.own = {{ certificate = \"gw.pem\", key = \"gw.key\" }}\n\
         gateway.g = {{ local = \"192.0.2.2\", ts-list = \"all\", common-name-list = \"branches\", {proofs} }}\n{more}"
    )
}

#[test]
fn a_list_is_of_names_domains_addresses_and_prefixes() {
    let trust = "trust-anchor-profile.t = { anchors = [\"gw.pem\"] }\n";
    let list = |names: &str| format!("{trust}common-name-list.branches = {{ names = [{names}] }}\n");
    let by_certificate = "certificate = \"own\", trust = \"t\"";
    let names = "\"branch-7\", \"*.example.org\", \"192.0.2.7\", \"2001:db8::/32\"";
    let plan = judged(&gateway(by_certificate, &list(names))).unwrap();
    assert!(plan.gateways["g"].common_names.is_some());
    for (names, refused) in [
        ("", "common-name-list.branches: has 0 names; expected 1 to 128"),
        (&*"\"n\",".repeat(129), "has 129 names; expected 1 to 128"),
        ("\"*\"", "names = \"*\" is not valid; expected a name, *.DOMAIN, an address or a prefix"),
        ("\"*.\"", "is not valid"),
        ("\"*example.org\"", "is not valid"),
        ("\"a.*.org\"", "is not valid"),
        ("\"10.0.0.0/33\"", "is not valid"),
        ("\"\"", "is not valid"),
    ] {
        let told = judged(&gateway(by_certificate, &list(names))).unwrap_err();
        assert!(told.contains(refused), "wanted {refused:?}, got {told}");
    }
    let told = judged(&gateway(by_certificate, trust)).unwrap_err();
    assert!(told.contains("gateway.g: common-name-list \"branches\" does not exist"), "{told}");
    let told = judged(&gateway("psk = \"correct horse\"", &list("\"n\""))).unwrap_err();
    assert!(told.contains("has a common-name-list and judges no certificates"), "{told}");
    let lists: String = (0..65).map(|n| format!("common-name-list.l{n} = {{ names = [\"n\"] }}\n")).collect();
    assert!(judged(&lists).unwrap_err().contains("65 lists; expected at most 64"));
}

#[test]
fn a_map_has_conditions_and_does_something_and_its_use_is_told() {
    let map = |lines: &str| format!("certificate-map.outage = {{ {lines} }}\n");
    let profile = "trust-anchor-profile.t = { anchors = [\"gw.pem\"], certificate-maps = [\"outage\"] }\n";
    let conditions = "conditions = [\"issuer-name co O=Acme\", \"serial-number ge 10\"]";
    let whole = map(&format!("{conditions}, allow-expired-certificate = true, skip-revocation-check = true"));
    let plan = judged(&(whole + profile)).unwrap();
    let told: Vec<String> = plan.warnings.iter().map(ToString::to_string).collect();
    assert_eq!((plan.trust["t"].maps.len(), told.len()), (1, 1), "{told:?}");
    assert!(told[0].contains("takes certificates that have ended, and asks nobody"), "{told:?}");
    let other = "conditions = [\"subject-name lt x\"], skip-revocation-check = true";
    for (lines, refused) in [
        (conditions, "certificate-map.outage: does nothing; expected allow-expired-certificate"),
        ("conditions = [], skip-revocation-check = true", "has 0 conditions; expected 1 to 16"),
        (
            other,
            "conditions = \"subject-name lt x\" is not valid; expected lt and ge with serial-number alone",
        ),
    ] {
        let told = judged(&map(lines)).unwrap_err();
        assert!(told.contains(refused), "wanted {refused:?}, got {told}");
    }
    let told = judged(profile).unwrap_err();
    assert!(told.contains("trust-anchor-profile.t: certificate-maps \"outage\" does not exist"), "{told}");
}
