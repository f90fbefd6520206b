//! What an operator writes of revocation, and what is refused of it.

use std::path::Path;
use std::time::Duration;

use ravelin_fetch::url::Scheme;

use super::super::{Plan, parse};
use super::*;

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../pki/tests/data");

/// The first PEM block after a label, of a file of the fixtures.
fn block(file: &str, label: &str) -> Vec<u8> {
    let text = std::fs::read_to_string(format!("{DATA}/{file}")).unwrap();
    let (_, block) = text.split_once(label).unwrap();
    let end = block.find("-----END ").unwrap();
    let line = block[end..].find('\n').unwrap();
    block.as_bytes()[..=end + line].to_vec()
}

/// A configuration with a CA in `ca.pem`, another's certificate in `leaf.pem`, a CRL in `ca.crl`.
fn judged(text: &str) -> Result<Plan, String> {
    let read = |path: &Path| match path.to_str().unwrap() {
        "/etc/ravelin/ca.pem" => Ok(block("pkits.pem", "TrustAnchorRootCertificate")),
        "/etc/ravelin/leaf.pem" => Ok(block("p256.cert.pem", "")),
        "/etc/ravelin/ca.crl" | "/var/lib/ravelin/pki/crls/root.crl" => {
            Ok(block("pkits-crls.pem", "TrustAnchorRootCRL"))
        }
        "/etc/ravelin/junk.crl" => Ok(b"junk".to_vec()),
        other => Err(std::io::Error::other(format!("no {other}"))),
    };
    parse("r.toml", text, Path::new("/etc/ravelin"), &read)
        .map_err(|refusals| refusals.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}

fn trust(keys: &str) -> Result<(Demand, String), String> {
    let plan = judged(&format!("trust-anchor-profile.t = {{ anchors = [\"leaf.pem\"], {keys} }}"))?;
    let profile = &plan.trust["t"];
    Ok((profile.demand, profile.order.to_string()))
}

#[test]
fn both_spellings_are_one_order_and_silence_asks_who_is_named() {
    for (keys, demand, order) in [
        ("", Demand::IfUri, "crl ocsp"),
        ("revocation = \"off\"", Demand::Off, "crl ocsp"),
        ("revocation = \"require\"", Demand::Require, "crl ocsp"),
        ("status-verify = {}", Demand::Require, "crl"),
        (
            "status-verify = { primary = \"ocsp\", secondary = \"crl\", default-result = \"good\" }",
            Demand::Require,
            "ocsp crl none",
        ),
        ("revocation-check = \"ocsp crl none\"", Demand::Require, "ocsp crl none"),
        ("revocation-check = \"none\"", Demand::Require, "none"),
        (
            "revocation = \"soft\", max-stale = 3600, revocation-check = \"crl\"",
            Demand::Soft { max_stale: 3600 },
            "crl",
        ),
    ] {
        assert_eq!(trust(keys), Ok((demand, order.to_owned())), "{keys}");
    }
}

#[test]
fn what_means_nothing_is_refused() {
    for (keys, expected) in [
        ("revocation = \"maybe\"", "require, if-uri, soft or off"),
        ("revocation = \"soft\"", "max-stale = SECONDS"),
        ("max-stale = 60", "or no max-stale"),
        ("status-verify = { primary = \"none\" }", "crl or ocsp"),
        ("revocation-check = \"none crl\"", "it follows 'none'"),
        ("status-verify = {}, revocation-check = \"crl\"", "one of them"),
    ] {
        let refused = trust(keys).unwrap_err();
        assert!(refused.contains(expected) && refused.starts_with("r.toml:1"), "{keys}: {refused}");
    }
}

#[test]
fn an_authority_has_lists_addresses_and_rules_of_its_own() {
    let plan = judged(
        "[ca-profile.root]
         certificate = \"ca.pem\"
         revocation = \"off\"
         crl = [\"http://crl.example/ca.crl\", \"ca.crl\", \"store:root\"]
         crl-duty = \"mandatory\"
         crl-update = \"periodic\"
         update-period = 7200
         retry-interval = 0
         ocsp = \"http://ocsp.example\"
         ocsp-nonce = \"lenient\"
         ocsp-hash = \"sha256\"",
    )
    .unwrap();
    let root = &plan.authorities["root"];
    assert_eq!((root.demand, &root.order, root.retry), (Some(Demand::Off), &None, None));
    assert_eq!(root.schedule, Schedule::periodic(7200).unwrap());
    assert_eq!(
        root.lists.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
        ["ca.crl", "store:root"]
    );
    let rules = &root.rules;
    assert_eq!(rules.crl_urls, ["http://crl.example/ca.crl"]);
    assert_eq!(rules.ocsp_url.as_deref(), Some("http://ocsp.example"));
    assert_eq!((rules.crl, rules.nonce, rules.id_hash), (CrlDuty::Mandatory, true, IdHash::Sha256));
    assert_eq!(rules.response.nonce, NonceRule::Lenient);
}

#[test]
fn an_authority_that_is_none_is_refused() {
    let urls: String = (0..9).map(|number| format!("\"http://h/{number}\",")).collect();
    for (keys, expected) in [
        ("certificate = \"leaf.pem\"", "is not a CA's"),
        ("certificate = \"gone.pem\"", "cannot be read"),
        ("certificate = \"ca.pem\"\ncrl = [\"junk.crl\"]", "crl \"junk.crl\" cannot be used"),
        ("certificate = \"ca.pem\"\ncrl = [\"gopher://h/\"]", "a URL, like"),
        (&format!("certificate = \"ca.pem\"\ncrl = [{urls}]"), "at most 8"),
        ("certificate = \"ca.pem\"\nocsp = \"ldap://h/\"", "a URL of HTTP"),
        ("certificate = \"ca.pem\"\nupdate-period = 7200", "crl-update = \"periodic\""),
        ("certificate = \"ca.pem\"\n[ca-profile.again]\ncertificate = \"ca.pem\"", "one ca-profile for"),
    ] {
        let refused = judged(&format!("[ca-profile.root]\n{keys}")).unwrap_err();
        assert!(refused.contains(expected), "{keys}: {refused}");
    }
}

#[test]
fn what_may_be_fetched_is_public_unless_it_is_opened() {
    let usual = judged("").unwrap().fetch;
    assert_eq!((usual.timeout, usual.kept, usual.files), (Duration::from_secs(5), 256 << 20, None));
    assert!(usual.allow.is_empty() && !usual.schemes.contains(&Scheme::File));
    let text = "fetch = { allow = [\"10.0.0.0/8\"], schemes = [\"http\", \"file\"], files = \"crls\", timeout = 2, kept = 0 }";
    let opened = judged(text).unwrap().fetch;
    assert_eq!(opened.schemes, [Scheme::Http, Scheme::File].into());
    assert_eq!((opened.allow.len(), opened.kept, opened.timeout), (1, 0, Duration::from_secs(2)));
    assert_eq!(opened.files.as_deref(), Some(Path::new("/etc/ravelin/crls")));
    for (keys, expected) in [
        ("schemes = [\"gopher\"]", "one of"),
        ("allow = [\"10.0.0.1/8\"]", "no bits set"),
        ("timeout = 7", "1 to 6"),
    ] {
        assert!(judged(&format!("fetch = {{ {keys} }}")).unwrap_err().contains(expected), "{keys}");
    }
}

/// What a path must be like is the profile's to say, within bounds.
#[test]
fn paths_have_rules() {
    let plan = judged(
        "[trust-anchor-profile.t]
         anchors = [\"leaf.pem\"]
         maximum-chain-depth = 3
         dynamic-intermediates = false
         match-peer-id-to-cert = false
         minimum-rsa-bits = 3072
         accept-client-auth = true",
    )
    .unwrap();
    let profile = &plan.trust["t"];
    assert_eq!((profile.rules.max_chain, profile.rules.min_rsa_bits), (3, 3072));
    assert!(profile.rules.purposes.client_auth && !profile.dynamic_intermediates && !profile.match_identity);
    assert!(plan.warnings.iter().any(|warning| warning.to_string().contains("match-peer-id-to-cert")));
    for (key, expected) in
        [("maximum-chain-depth = 8", "1 to 7"), ("minimum-rsa-bits = 1024", "2048 to 16384")]
    {
        let text = format!("[trust-anchor-profile.t]\nanchors = [\"leaf.pem\"]\n{key}");
        assert!(judged(&text).unwrap_err().contains(expected), "{key}");
    }
}

/// A ca-profile that is shut down shuts its key out of every trust-anchor-profile (PKI-16).
#[test]
fn an_authority_can_be_shut_down() {
    let anchored = "trust-anchor-profile.t = { anchors = [\"ca.pem\"] }\n";
    for (keys, expected) in [("", None), ("enabled = true", None), ("enabled = false", Some("root"))] {
        let text = format!("{anchored}[ca-profile.root]\ncertificate = \"ca.pem\"\n{keys}");
        let plan = judged(&text).unwrap();
        let trust = &plan.trust["t"];
        let authority = Certificate::from_der(&trust.anchors[0]).unwrap();
        assert_eq!(trust.shut.of(&authority), expected, "{keys}");
        assert_eq!(plan.authorities["root"].enabled, expected.is_none());
    }
}
