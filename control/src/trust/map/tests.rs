//! Which certificates a map means, and what the exceptions are that it makes.

use ravelin_pki::UnixTime;
use ravelin_pki::x509::Certificate;

use super::super::common::{NOW, ca, gateway, issued, self_signed};
use super::super::{PeerKeys, Profile, Question, Regime, Shut, Sources};
use super::*;

const YEAR: i64 = 366 * 86_400;

fn map(conditions: &[&str], allow_expired: bool, skip_revocation: bool) -> Arc<CertificateMap> {
    let conditions = conditions.iter().map(|text| text.parse().unwrap()).collect();
    Arc::new(CertificateMap { name: "outage".into(), conditions, allow_expired, skip_revocation })
}

fn peer() -> Arc<Certificate> {
    let mut params = gateway("branch-7");
    params.serial_number = Some(vec![0x12, 0x34].into());
    issued(&params, 2, &ca("Issuing"), 1)
}

/// Every field with every operator it has, both ways.
#[test]
fn conditions_mean_what_they_say() {
    let peer = peer();
    for (condition, fits) in [
        ("subject-name eq CN=branch-7,O=Ravelin Test", true),
        ("subject-name eq CN=BRANCH-7, O=ravelin test", true),
        ("subject-name eq CN=branch-7", false),
        ("subject-name ne CN=branch-7", true),
        ("subject-name co cn=branch", true),
        ("subject-name co branch-8", false),
        ("subject-name nc branch-8", true),
        ("subject-name nc BRANCH", false),
        ("issuer-name co Issuing", true),
        ("issuer-name eq CN=Issuing,O=Ravelin Test", true),
        ("issuer-name nc Issuing", false),
        ("alt-subject-name eq gw.example", true),
        ("alt-subject-name eq example", false),
        ("alt-subject-name ne gw.example", false),
        ("alt-subject-name co .EXAMPLE", true),
        ("alt-subject-name nc gw", false),
        ("serial-number eq 1234", true),
        ("serial-number eq 00:12:34", true),
        ("serial-number ne 1234", false),
        ("serial-number co 23", true),
        ("serial-number nc 23", false),
        ("serial-number lt 1235", true),
        ("serial-number lt 1234", false),
        ("serial-number lt ff", false),
        ("serial-number ge 1234", true),
        ("serial-number ge 123", true),
        ("serial-number ge 010000", false),
    ] {
        assert_eq!(condition.parse::<Condition>().unwrap().fits(&peer), fits, "{condition}");
    }
    assert!(map(&["serial-number eq 1234", "subject-name co branch"], true, false).fits(&peer));
    assert!(!map(&["serial-number eq 1234", "subject-name co other"], true, false).fits(&peer));
}

#[test]
fn what_is_no_condition_is_refused() {
    for text in [
        "",
        "subject-name",
        "subject-name co",
        "subject-name co ",
        "subject co x",
        "subject-name gt x",
        "subject-name lt x",
        "alt-subject-name ge x",
        "subject-name eq nobody",
        "serial-number eq xyz",
        "serial-number lt 0x12",
    ] {
        assert!(text.parse::<Condition>().is_err(), "{text:?}");
    }
}

/// Judges the peer at a time, under these maps.
fn judged(
    now: UnixTime,
    maps: &[Arc<CertificateMap>],
    issuer_ends: (i32, u8),
) -> Result<Verdict, super::super::Refusal> {
    let (root, mut issuing) = (ca("root"), ca("Issuing"));
    issuing.not_after = rcgen::date_time_ymd(issuer_ends.0, issuer_ends.1, 1);
    let sources = Sources {
        anchors: &[self_signed(&root, 0).der().to_vec()],
        intermediates: &[issued(&issuing, 1, &root, 0).der().to_vec()],
        rules: Rules::default(),
        dynamic_intermediates: true,
        match_identity: true,
        regime: Regime::default(),
        maps,
        shut: Shut::default(),
        keys: PeerKeys::default(),
    };
    let claimed: Identity = "gw.example".parse().unwrap();
    let mut params = gateway("branch-7");
    params.not_after = rcgen::date_time_ymd(2027, 1, 1);
    let chain = [issued(&params, 2, &issuing, 1).der().to_vec()];
    let question = Question { chain: &chain, claimed: &claimed, expected: None, listed: None };
    Profile::new(&sources).unwrap().judge(&question, now)
}

/// PKI-39's drill: the authority that would renew is down. Whom a map means is taken after its end, and that is told; an
/// authority that has ended is not, nor is who is not meant.
#[test]
fn a_certificate_that_has_ended_is_taken_by_a_map_alone() {
    let later = UnixTime(NOW.0 + YEAR);
    let expired =
        |maps: &[Arc<CertificateMap>], issuer| judged(later, maps, issuer).map_err(|error| error.code());
    let meant = [map(&["subject-name co branch-7"], true, false)];
    assert_eq!(expired(&[], (2040, 1)).unwrap_err(), "RV-PKI-035");
    assert_eq!(
        expired(&[map(&["subject-name co branch-8"], true, false)], (2040, 1)).unwrap_err(),
        "RV-PKI-035"
    );
    assert_eq!(
        expired(&[map(&["subject-name co branch-7"], false, true)], (2040, 1)).unwrap_err(),
        "RV-PKI-035"
    );
    assert_eq!(expired(&meant, (2027, 2)).unwrap_err(), "RV-PKI-035");
    let taken = expired(&meant, (2040, 1)).unwrap();
    assert_eq!(taken.exceptions.len(), 1);
    let told = &taken.exceptions[0];
    assert!(told.contains("ended 2027-01-01") && told.contains("certificate-map outage"), "{told}");
    // Before its end nothing is excepted.
    assert_eq!(judged(NOW, &meant, (2040, 1)).unwrap().exceptions, [""; 0]);
}

#[test]
fn nobody_is_asked_about_whom_a_map_means() {
    let asked = |maps: &[Arc<CertificateMap>]| {
        let verdict = judged(NOW, maps, (2040, 1)).unwrap();
        (verdict.revocation, verdict.exceptions)
    };
    let not_yet = || (Revocation::NotChecked { why: NotChecked::NotYet }, Vec::new());
    assert_eq!(asked(&[]), not_yet());
    assert_eq!(asked(&[map(&["subject-name co branch-8"], false, true)]), not_yet());
    assert_eq!(asked(&[map(&["subject-name co branch-7"], true, false)]), not_yet());
    let (revocation, told) = asked(&[map(&["subject-name co branch-7"], false, true)]);
    assert_eq!(revocation, Revocation::NotChecked { why: NotChecked::Excepted });
    assert_eq!(told, ["nobody is asked about its revocation: by certificate-map outage"]);
}
