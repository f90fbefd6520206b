//! Each flag is raised by what it says and by nothing else (PKI-16), and takes down what does not hold.

use std::sync::Arc;

use ravelin_pki::revocation::crl::Unverified;
use rcgen::{KeyUsagePurpose, date_time_ymd};

use super::*;
use crate::trust::common::crl::Draft;
use crate::trust::common::world::ROOT;
use crate::trust::common::{KEYS, NOW, ca, self_signed};

const DAY: i64 = 86_400;

/// Words of flags, those that take the authority down in capitals.
fn words(flags: impl IntoIterator<Item = Flag>) -> String {
    let word = |flag: Flag| if flag.takes_down { flag.word.to_uppercase() } else { flag.word.to_owned() };
    flags.into_iter().map(word).collect::<Vec<_>>().join(" ")
}

fn of(enabled: bool, usages: &[KeyUsagePurpose], years: (i32, i32)) -> String {
    let mut params = ca("Authority");
    params.key_usages = usages.to_vec();
    (params.not_before, params.not_after) = (date_time_ymd(years.0, 1, 1), date_time_ymd(years.1, 1, 1));
    words(of_profile(enabled, &self_signed(&params, 0), NOW))
}

#[test]
fn a_profile_and_its_certificate_raise_each_its_flag() {
    use KeyUsagePurpose::{CrlSign, KeyCertSign};
    let both = &[KeyCertSign, CrlSign][..];
    for (enabled, usages, years, expected) in [
        (true, both, (2020, 2040), ""),
        (true, &[], (2020, 2040), ""),
        (false, both, (2020, 2040), "ADMIN-DOWN"),
        (true, &[CrlSign], (2020, 2040), "INVALID-CERTIFICATE"),
        (true, &[KeyCertSign], (2020, 2040), "invalid-certificate"),
        (true, both, (2020, 2026), "EXPIRED-CERTIFICATE"),
        (true, both, (2028, 2040), "NOT-YET-VALID-CERTIFICATE"),
        (false, &[CrlSign], (2020, 2026), "ADMIN-DOWN INVALID-CERTIFICATE EXPIRED-CERTIFICATE"),
    ] {
        assert_eq!(of(enabled, usages, years), expected, "{enabled} {usages:?} {years:?}");
    }
}

fn list(from: i64, until: Option<i64>) -> Arc<Crl> {
    let der = Draft::of(&ROOT, NOW).between(NOW.0 + from, until.map(|until| NOW.0 + until)).sign(&KEYS[0]);
    Arc::new(Unverified::from_der(&der).unwrap().verify(&ROOT, UnixTime(NOW.0 + from)).unwrap())
}

fn trouble(error: CrlError) -> Option<Trouble> {
    Trouble::of(&Fetched::List(Err(error)))
}

#[test]
fn a_list_raises_the_flag_of_what_keeps_it_from_use() {
    let expired = CrlError::Expired { next_update: UnixTime(1), now: NOW };
    let future = CrlError::NotYetValid { this_update: UnixTime(NOW.0 + DAY), now: NOW };
    let forged = || trouble(CrlError::BadSignature);
    let away = || Trouble::of(&Fetched::Nothing("connection refused".into()));
    let held = |from, until| Some(list(from, until));
    for (is_named, held, trouble, expected) in [
        (false, None, None, ""),
        (true, None, None, "loading-crl"),
        (true, None, away(), "no-crl"),
        (true, None, forged(), "invalid-crl"),
        (true, None, trouble(expired), "expired-crl"),
        (true, None, trouble(future), "not-yet-valid-crl"),
        (true, held(-DAY, Some(DAY)), None, ""),
        (true, held(-DAY, None), away(), ""),
        // What was not to be had newer does not spoil what is there.
        (true, held(-DAY, Some(DAY)), forged(), ""),
        (true, held(-DAY, Some(-60)), None, "expired-crl"),
        // The clock was set back.
        (true, held(DAY, Some(2 * DAY)), None, "not-yet-valid-crl"),
    ] {
        for is_mandatory in [false, true] {
            let list = List { is_named, is_mandatory, held: held.as_deref(), trouble: trouble.as_ref() };
            let told = format!("{list:?}");
            let expected = match (is_mandatory, is_named) {
                (true, false) => "NO-CRL".to_owned(),
                (true, true) => expected.to_uppercase(),
                (false, _) => expected.to_owned(),
            };
            assert_eq!(words(list.flag(NOW)), expected, "{told}");
        }
    }
}

/// Of a round over several addresses the one counts that has sent something.
#[test]
fn a_server_that_is_away_hides_nothing() {
    let away = Trouble::of(&Fetched::Nothing("refused".into())).unwrap();
    let forged = trouble(CrlError::BadSignature).unwrap();
    assert_eq!(away.clone().or_former(Some(forged.clone())), forged);
    assert_eq!(forged.clone().or_former(Some(away.clone())), forged);
    assert_eq!(away.clone().or_former(None), away);
}
