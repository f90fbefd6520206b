//! CRLs: that what a CA says is read as it means it, and that nothing else is ever taken for it. Guards against the
//! wrong "good": a list that is stale, partial, foreign or forged must not speak for a certificate.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use crate::common::crl::{Draft, at_uri, entry};
use crate::common::der::{extension, sequence, tlv};
use crate::common::{KEYS, NOW, ca, gateway, issued, self_signed};
use proptest::prelude::*;
use ravelin_pki::revocation::crl::{Crl, CrlError, OutOfScope, Unverified, der_of};
use ravelin_pki::revocation::{Issued, KeyId, Reason, Revoked, Silent, Status};
use ravelin_pki::{Certificate, UnixTime, oid};
use rcgen::{CrlDistributionPoint, SerialNumber};

static ROOT: LazyLock<Arc<Certificate>> = LazyLock::new(|| self_signed(&ca("Root"), 0));

const HERE: &str = "http://crl.example/here.crl";
const SERIAL: [u8; 4] = [0x55, 1, 2, 3];

/// A gateway's certificate with this serial number and these distribution points.
fn gateway_at(serial: &[u8], uris: &[&str]) -> Issued {
    let mut params = gateway("Gateway");
    params.serial_number = Some(SerialNumber::from_slice(serial));
    params.crl_distribution_points =
        uris.iter().map(|uri| CrlDistributionPoint { uris: vec![(*uri).to_owned()] }).collect();
    Issued::new(issued(&params, 1, &ca("Root"), 0), ROOT.clone())
}

fn authority_below() -> Issued {
    let mut params = ca("Below");
    params.serial_number = Some(SerialNumber::from_slice(&SERIAL));
    Issued::new(issued(&params, 2, &ca("Root"), 0), ROOT.clone())
}

fn draft() -> Draft {
    Draft::of(&ROOT, NOW)
}

fn load(draft: &Draft) -> Result<Crl, CrlError> {
    Unverified::from_der(&draft.sign(&KEYS[0])).and_then(|crl| crl.verify(&ROOT, NOW))
}

fn ask(draft: &Draft, issued: &Issued) -> Result<Status, Silent> {
    load(draft).unwrap().ask(issued, NOW, 0).map(|statement| statement.status)
}

#[test]
fn the_listed_are_revoked_and_the_others_good() {
    let listed = draft().revoking(&SERIAL, UnixTime(NOW.0 - 99), Some(1)).revoking(&[7], NOW, None);
    let revoked = Revoked { at: UnixTime(NOW.0 - 99), reason: Reason::KeyCompromise };
    assert_eq!(ask(&listed, &gateway_at(&SERIAL, &[])), Ok(Status::Revoked(revoked)));
    let revoked = Revoked { at: NOW, reason: Reason::Unspecified };
    assert_eq!(ask(&listed, &gateway_at(&[7], &[])), Ok(Status::Revoked(revoked)));
    for other in [&[0x55, 1, 2, 4][..], &[0x55, 1, 2], &[7, 0x55, 1], &[1]] {
        assert_eq!(ask(&listed, &gateway_at(other, &[HERE])), Ok(Status::Good), "{other:02x?}");
    }
    assert_eq!(ask(&draft(), &gateway_at(&SERIAL, &[])), Ok(Status::Good), "an empty list");
    let first = Draft { version: None, ..draft() }.revoking(&[7], NOW, None);
    assert!(matches!(ask(&first, &gateway_at(&[7], &[])), Ok(Status::Revoked(_))), "version 1");
    assert_eq!(load(&listed).unwrap().len(), 2);
}

/// Every reason a CRL can be refused for, by its name.
#[test]
fn what_is_wrong_with_a_crl_is_said_by_name() {
    let unknown = extension(&[0x2a, 3], true, &[5, 0]);
    let of_others = extension(oid::CERTIFICATE_ISSUER, true, &sequence(&[&tlv(0x82, b"x")]));
    let with_entry =
        |extensions: &[u8]| Draft { entries: entry(&[7], NOW, &sequence(&[extensions])), ..draft() };
    let cases: [(&str, Draft); 17] = [
        ("delta CRL", draft().with(oid::DELTA_CRL_INDICATOR, true, &[2, 1, 1])),
        ("delta CRL", draft().with(oid::DELTA_CRL_INDICATOR, false, &[2, 1, 1])),
        ("indirect CRL", draft().for_some(&[&[0x84, 1, 0xff]])),
        ("indirect CRL", with_entry(&of_others)),
        ("critical extension 1.2.3 of the CRL", draft().with(&[0x2a, 3], true, &[5, 0])),
        ("critical extension 1.2.3 of an entry", with_entry(&unknown)),
        ("is a CRL of", Draft { issuer: ca_of("Other").subject.der().to_vec(), ..draft() }),
        ("issuer is empty", Draft { issuer: sequence(&[]), ..draft() }),
        ("is not valid before", draft().between(NOW.0 + 301, None)),
        ("should have been replaced", draft().between(NOW.0 - 9, Some(NOW.0 - 1))),
        ("version", Draft { version: Some(vec![2]), ..draft() }),
        ("version", Draft { version: Some(vec![0]), ..draft() }),
        ("only version 2", Draft { version: None, ..draft() }.numbered(1)),
        ("only version 2", Draft { version: None, ..draft() }.revoking(&[7], NOW, Some(1))),
        ("occurs twice", draft().numbered(1).numbered(2)),
        ("signatureAlgorithm differ", Draft { algorithm: sequence(&[&[6, 3, 0x2b, 101, 112]]), ..draft() }),
        (
            "authorityKeyIdentifier",
            draft().with(oid::AUTHORITY_KEY_IDENTIFIER, false, &sequence(&[&[0x80, 1, 9]])),
        ),
    ];
    for (expected, draft) in cases {
        let refused = load(&draft).unwrap_err().to_string();
        assert!(refused.contains(expected), "{expected}: {refused}");
    }
    // Inside what clocks may differ by, and without an end.
    assert!(load(&draft().between(NOW.0 + 300, None)).is_ok());
    assert!(load(&draft().between(NOW.0 - 9, Some(NOW.0))).is_ok());
    assert!(load(&draft().with(&[0x2a, 3], false, &[5, 0])).is_ok(), "unknown, and not critical");
}

fn ca_of(name: &str) -> Arc<Certificate> {
    self_signed(&ca(name), 0)
}

#[test]
fn only_the_authoritys_own_key_makes_a_crl() {
    let forged = draft().sign(&KEYS[1]);
    let verified = Unverified::from_der(&forged).unwrap().verify(&ROOT, NOW);
    assert_eq!(verified.unwrap_err(), CrlError::BadSignature);
    let mut changed = draft().revoking(&SERIAL, NOW, None).sign(&KEYS[0]);
    let at = changed.windows(4).position(|octets| octets == SERIAL).unwrap();
    changed[at] ^= 1;
    let verified = Unverified::from_der(&changed).unwrap().verify(&ROOT, NOW);
    assert_eq!(verified.unwrap_err(), CrlError::BadSignature);

    let mut no_crl_sign = ca("Root");
    no_crl_sign.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
    let no_crl_sign = self_signed(&no_crl_sign, 0);
    let verified =
        Unverified::from_der(&draft().sign(&KEYS[0])).unwrap().verify(&no_crl_sign, NOW).map(|_| ());
    assert_eq!(verified, Err(CrlError::NoCrlSign));

    // A list of another key of the same name says nothing of this one's certificates.
    let other_key = self_signed(&ca("Root"), 3);
    let other = Unverified::from_der(&draft().sign(&KEYS[3])).unwrap().verify(&other_key, NOW).unwrap();
    assert_eq!(other.ask(&gateway_at(&SERIAL, &[]), NOW, 0), Err(Silent::Issuer));
}

#[test]
fn a_list_speaks_only_for_those_it_is_for() {
    let (here, away) = (gateway_at(&SERIAL, &[HERE]), gateway_at(&SERIAL, &["http://crl.example/there.crl"]));
    let (nowhere, authority) = (gateway_at(&SERIAL, &[]), authority_below());
    let yes = [0xff];
    let flag = |number: u8| tlv(0x80 | number, &yes);
    let root_name = tlv(0xa0, &tlv(0xa0, &tlv(0xa4, ROOT.subject.der())));
    let good = Ok(Status::Good);
    let outside = |why| Err(Silent::Scope(why));
    let cases = [
        ("users, a user", vec![flag(1)], &here, good),
        ("users, a CA", vec![flag(1)], &authority, outside(OutOfScope::UserCertificates)),
        ("CAs, a user", vec![flag(2)], &here, outside(OutOfScope::AuthorityCertificates)),
        ("CAs, a CA", vec![flag(2)], &authority, good),
        ("attributes", vec![flag(5)], &here, outside(OutOfScope::AttributeCertificates)),
        ("some reasons", vec![tlv(0x83, &[6, 0x40])], &here, outside(OutOfScope::SomeReasons)),
        ("here, here", vec![at_uri(HERE)], &here, good),
        ("here, away", vec![at_uri(HERE)], &away, outside(OutOfScope::DistributionPoint)),
        ("here, nowhere", vec![at_uri(HERE)], &nowhere, outside(OutOfScope::DistributionPoint)),
        ("the issuer's name, nowhere", vec![root_name.clone()], &nowhere, good),
        ("the issuer's name, here", vec![root_name], &here, outside(OutOfScope::DistributionPoint)),
    ];
    for (what, fields, issued, expected) in cases {
        let fields: Vec<&[u8]> = fields.iter().map(Vec::as_slice).collect();
        assert_eq!(ask(&draft().for_some(&fields), issued), expected, "{what}");
    }
    // Whoever is listed among some reasons is revoked for one of them.
    let compromised = draft().for_some(&[&tlv(0x83, &[6, 0x40])]).revoking(&SERIAL, NOW, Some(1));
    assert!(matches!(ask(&compromised, &here), Ok(Status::Revoked(_))));
}

#[test]
fn an_old_list_says_only_whom_it_revoked_for_good() {
    let listed = draft().revoking(&[1], NOW, Some(4)).revoking(&[2], NOW, Some(6));
    let crl = load(&listed).unwrap();
    let end = crl.next_update().unwrap();
    let at = |serial: u8, seconds: i64, max_stale: u64| {
        crl.ask(&gateway_at(&[serial], &[]), UnixTime(end.0 + seconds), max_stale)
    };
    assert_eq!(at(3, 0, 0).unwrap().status, Status::Good);
    assert_eq!(at(3, 1, 0), Err(Silent::Stale(1)));
    assert_eq!(at(3, 60, 59), Err(Silent::Stale(60)));
    assert_eq!(at(3, 60, 60).map(|said| (said.status, said.stale)), Ok((Status::Good, 60)));
    assert!(matches!(at(1, 1_000_000, 0).unwrap().status, Status::Revoked(_)), "revoked for good");
    assert_eq!(at(2, 1, 0), Err(Silent::Stale(1)), "put on hold, and perhaps released since");
    assert!(matches!(at(2, 0, 0).unwrap().status, Status::Revoked(_)), "on hold now");
    let before = UnixTime(crl.this_update().0 - 301);
    assert_eq!(crl.ask(&gateway_at(&[3], &[]), before, 0), Err(Silent::NotYetValid(crl.this_update())));
}

/// A qualified CRL is newer by thisUpdate, or of the same instant and of a greater number: nobody puts an old one back.
#[test]
fn only_a_newer_list_supersedes() {
    let crl =
        |this_update: i64, number: u8| load(&draft().between(this_update, None).numbered(number)).unwrap();
    let held = crl(NOW.0 - 50, 8);
    for (found, newer) in [
        (crl(NOW.0 - 49, 1), true),
        (crl(NOW.0 - 50, 9), true),
        (crl(NOW.0 - 50, 8), false),
        (crl(NOW.0 - 50, 7), false),
        (crl(NOW.0 - 51, 9), false),
    ] {
        assert_eq!(found.supersedes(&held).is_ok(), newer, "{found:?}");
    }
    let unnumbered = load(&draft().between(NOW.0 - 50, None)).unwrap();
    assert!(unnumbered.supersedes(&held).is_err() && held.supersedes(&unnumbered).is_ok());
}

#[test]
fn a_list_made_by_another_encoder_is_read() {
    let mut params = ca("Root");
    params.key_usages.push(rcgen::KeyUsagePurpose::CrlSign);
    let list = rcgen::CertificateRevocationListParams {
        this_update: rcgen::date_time_ymd(2026, 11, 20),
        next_update: rcgen::date_time_ymd(2026, 12, 20),
        crl_number: SerialNumber::from(1234),
        issuing_distribution_point: Some(rcgen::CrlIssuingDistributionPoint {
            distribution_point: CrlDistributionPoint { uris: vec![HERE.to_owned()] },
            scope: Some(rcgen::CrlScope::UserCertsOnly),
        }),
        revoked_certs: vec![rcgen::RevokedCertParams {
            serial_number: SerialNumber::from_slice(&SERIAL),
            revocation_time: rcgen::date_time_ymd(2026, 11, 19),
            reason_code: Some(rcgen::RevocationReason::Superseded),
            invalidity_date: Some(rcgen::date_time_ymd(2026, 11, 18)),
        }],
        key_identifier_method: rcgen::KeyIdMethod::Sha256,
    };
    let signed = list.signed_by(&rcgen::Issuer::from_params(&params, &KEYS[0])).unwrap();
    let crl = Unverified::from_der(signed.der()).unwrap().verify(&ROOT, NOW).unwrap();
    let said = crl.ask(&gateway_at(&SERIAL, &[HERE]), NOW, 0).unwrap().status;
    let Status::Revoked(revoked) = said else { panic!("{said}") };
    assert_eq!(revoked.to_string(), "revoked at 2026-11-19T00:00:00Z (superseded)");
}

#[test]
fn a_list_cut_anywhere_is_refused() {
    let whole = draft().revoking(&SERIAL, NOW, Some(1)).numbered(3).for_some(&[&at_uri(HERE)]).sign(&KEYS[0]);
    for end in 0..whole.len() {
        assert!(Unverified::from_der(&whole[..end]).is_err(), "cut at {end}");
    }
    assert!(Unverified::from_der(&[&whole[..], &[0]].concat()).is_err());
    assert!(Unverified::from_der(&whole).unwrap().verify(&ROOT, NOW).is_ok());
}

/// Entries under a right signature, cut: an authority can be broken too.
#[test]
fn entries_cut_anywhere_are_refused() {
    let entries = draft().revoking(&SERIAL, NOW, Some(1)).revoking(&[9], NOW, None).entries;
    let first = entry(&SERIAL, NOW, &sequence(&[&extension(oid::REASON_CODE, false, &[10, 1, 1])])).len();
    for end in 1..entries.len() {
        let cut = Draft { entries: entries[..end].to_vec(), ..draft() };
        assert_eq!(load(&cut).is_ok(), end == first, "cut at {end}");
    }
    let long = draft().revoking(&[1; 41], NOW, None);
    assert!(load(&long).unwrap_err().to_string().contains("40 octets"));
}

#[test]
fn pem_and_der_are_the_same_list() {
    let der = draft().sign(&KEYS[0]);
    assert_eq!(&*der_of(&der).unwrap(), &der[..]);
    let text = include_str!("data/pkits-crls.pem");
    assert!(Unverified::from_der(&der_of(text.as_bytes()).unwrap()).is_ok());
    assert_eq!(der_of(include_bytes!("data/p256.cert.pem")), Err(CrlError::NoCrl));
    assert!(matches!(der_of(b"neither"), Err(CrlError::Pem(_))));
}

#[test]
fn a_sweep_finds_the_listed_of_this_authority() {
    let crl = load(&draft().revoking(&[1], NOW, None).revoking(&[3], NOW, Some(5))).unwrap();
    let (own, other) = (KeyId::of(&ROOT), KeyId::of(&self_signed(&ca("Root"), 3)));
    let tunnels = [("a", own, &[1][..]), ("b", own, &[2]), ("c", other, &[3]), ("d", own, &[3])];
    let found: Vec<_> = crl.sweep(tunnels).map(|(whose, revoked)| (whose, revoked.reason)).collect();
    assert_eq!(found, [("a", Reason::Unspecified), ("d", Reason::CessationOfOperation)]);
}

/// Twenty octets of serial number each, as public CAs have them: the aim is 32 MiB for a million.
#[test]
fn an_entry_takes_less_than_28_octets() {
    let mut many = draft();
    for number in 0u32..20_000 {
        let mut serial = [0x41; 20];
        serial[16..].copy_from_slice(&number.to_be_bytes());
        many.entries.extend(entry(&serial, NOW, &[]));
    }
    let crl = load(&many).unwrap();
    assert_eq!(crl.len(), 20_000);
    assert!(crl.octets() < 28 * 20_000, "{} octets", crl.octets());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Held against a map: every listed serial number with its time and reason, and no other.
    #[test]
    fn packed_entries_are_those_of_the_list(
        listed in proptest::collection::btree_map(
            proptest::collection::vec(1u8..0x80, 1..21), (0i64..2_000_000_000, 0u8..11), 0..200),
        others in proptest::collection::vec(proptest::collection::vec(1u8..0x80, 1..21), 0..50),
    ) {
        let made = listed.iter().fold(draft(), |made, (serial, (at, reason))| {
            made.revoking(serial, UnixTime(*at), Some(*reason))
        });
        let crl = load(&made).unwrap();
        let found: BTreeMap<Vec<u8>, Revoked> = crl
            .sweep(listed.keys().chain(&others).map(|serial| (serial.clone(), crl.key(), serial.as_slice())))
            .collect();
        prop_assert_eq!(crl.len(), listed.len());
        prop_assert!(found.keys().eq(listed.keys()));
        for (serial, (at, reason)) in &listed {
            prop_assert_eq!(found[serial].at, UnixTime(*at));
            prop_assert!(found[serial].reason.is_final() == (*reason != 6));
        }
    }

    #[test]
    fn any_octets_are_a_list_or_refused(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Unverified::from_der(&octets);
    }

    #[test]
    fn a_changed_octet_is_never_believed(at in any::<prop::sample::Index>(), change in 1u8..) {
        let mut der = draft().revoking(&SERIAL, NOW, Some(1)).numbered(3).sign(&KEYS[0]);
        let at = at.index(der.len());
        der[at] ^= change;
        let believed = Unverified::from_der(&der).and_then(|crl| crl.verify(&ROOT, NOW));
        prop_assert!(believed.is_err());
    }
}
