//! OCSP answers that peers bring themselves (RFC 4806): they count as fetched ones do and save the fetch, and what is no
//! answer changes nothing. Guards against the two ways to be wrong: a peer that brings something and is believed for
//! it, and one that brings rubbish and is kept out, or keeps others out.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::Arc;

use crate::common::NOW;
use crate::common::world::{CRL_URL, OCSP_URL, State, World, answer, direct_path, long_path};
use ravelin_pki::UnixTime;
use ravelin_pki::path::VerifiedPath;
use ravelin_pki::revocation::cache::Cache;
use ravelin_pki::revocation::ocsp::{Answer, NonceRule, OcspError, ResponseRules};
use ravelin_pki::revocation::policy::{
    Check, Conclusion, Decision, Demand, MAX_STAPLED, Method, Rules, STAPLED, Step, stapled,
};
use ravelin_pki::revocation::{Issued, Status};

fn rules(order: &str) -> Rules {
    Rules { order: order.parse().unwrap(), ..Rules::default() }
}

/// The word in this state on the end entity of a path.
fn word(path: &VerifiedPath, state: State) -> Vec<u8> {
    answer(&Issued::along(path)[0], state, NOW)
}

fn judge(path: &VerifiedPath, responses: &[Vec<u8>], rules: &Rules) -> Vec<Result<Answer, OcspError>> {
    stapled(path, responses, |_| Arc::new(rules.clone()), NOW)
}

/// Decides about a peer that brings its word in this state, and servers in these: how, and whom it asked.
fn decide(state: State, rules: &Rules, servers: &[(&str, State)]) -> (Decision, Vec<String>) {
    let path = direct_path();
    let (mut world, mut cache) = (World::with(servers), Cache::default());
    let mut check = Check::new(&path, |_| Arc::new(rules.clone()));
    for judged in judge(&path, &[word(&path, state)], rules) {
        match judged {
            Ok(answer) => assert!(cache.keep_answer(answer, STAPLED, NOW)),
            Err(why) => check.passed_over(why.to_string()),
        }
    }
    loop {
        match check.next(&cache, NOW) {
            Step::Decided(decision) => return (decision, world.asked),
            Step::Need(fetch) => {
                world.asked.push(fetch.url.clone());
                let fetched = world.fetch(&fetch, NOW);
                check.feed(&fetch, fetched, &mut cache, NOW);
            }
        }
    }
}

/// A good word counts, says how it came, and nobody is asked.
#[test]
fn a_good_word_saves_the_fetch() {
    let (decision, asked) = decide(State::Good, &rules("ocsp"), &[(OCSP_URL, State::Good)]);
    let Conclusion::Good(evidence) = decision.findings[0].conclusion else { panic!("{decision}") };
    assert!(evidence.stapled && evidence.method == Method::Ocsp && asked.is_empty(), "{decision}");
    assert!(decision.to_string().contains("good by ocsp stapled, 3600 s old"), "{decision}");
    assert!(decision.to_string().contains("ocsp stapled: good, said 3600 s ago"), "{decision}");
    let (decision, asked) = decide(State::Dead, &rules("ocsp"), &[(OCSP_URL, State::Good)]);
    assert!(matches!(decision.findings[0].conclusion, Conclusion::Good(it) if it.stapled), "{asked:?}");
}

/// Who brings the word that it is revoked is refused, whatever others would say; but where the operator lets a CRL
/// overrule a responder, it overrules this one as well.
#[test]
fn a_revocation_that_is_brought_is_final() {
    let servers = [(CRL_URL, State::Good), (OCSP_URL, State::Good)];
    for order in ["ocsp", "ocsp crl", "crl ocsp", "crl ocsp none"] {
        let (decision, asked) = decide(State::Revoked, &rules(order), &servers);
        assert!(
            matches!(decision.findings[0].conclusion, Conclusion::Revoked(it, _) if it.stapled),
            "{order}"
        );
        assert!(asked.is_empty(), "{order}: {asked:?}");
    }
    let overruled = Rules { revoked_ocsp_falls_back_to_crl: true, ..rules("ocsp crl") };
    let (decision, asked) = decide(State::Revoked, &overruled, &servers);
    assert!(decision.is_accepted() && asked == [CRL_URL], "{decision}");
}

/// What is stale, forged or knows nothing is no word: the decision names it, and is what it would be without.
#[test]
fn what_is_no_answer_changes_nothing() {
    for (state, why) in [
        (State::Stale, "it was valid until"),
        (State::Forged, "its signature does not verify"),
        (State::Unknown, "does not know the certificate"),
    ] {
        for (server, accepted) in [(State::Good, true), (State::Dead, false), (State::Revoked, false)] {
            let (decision, asked) = decide(state, &rules("ocsp"), &[(OCSP_URL, server)]);
            assert_eq!((decision.is_accepted(), &asked[..]), (accepted, &[OCSP_URL.to_owned()][..]));
            let first = &decision.findings[0].trail[0];
            assert!(first.source == STAPLED && first.said.clone().unwrap_err().contains(why), "{decision}");
        }
        assert!(decide(state, &rules("ocsp none"), &[]).0.is_accepted(), "{state:?}");
    }
}

/// A word on another certificate, of the same authority or not, is none on this one; nor is anything that is no response.
#[test]
fn a_word_on_others_is_none() {
    let (path, other) = (direct_path(), long_path());
    let brought = [word(&other, State::Good), b"rubbish".to_vec(), Vec::new(), word(&path, State::Good)];
    let judged = judge(&path, &brought, &rules("ocsp"));
    assert_eq!(judged[0].as_ref().unwrap_err(), &OcspError::OtherCertificate);
    assert!(judged[1].is_err() && judged[2].is_err());
    let answer = judged[3].as_ref().unwrap();
    assert_eq!((answer.status(), answer.is_stapled(), answer.der()), (Status::Good, true, &brought[3][..]));
}

/// Of a path each certificate has its own word, where the rules ask responders about it.
#[test]
fn authorities_have_their_own_words() {
    let path = long_path();
    let brought: Vec<Vec<u8>> = Issued::along(&path).iter().map(|it| answer(it, State::Good, NOW)).collect();
    let all = Rules { ocsp_for_authorities: true, ..rules("ocsp") };
    assert_eq!(judge(&path, &brought, &all).iter().map(Result::is_ok).collect::<Vec<_>>(), [true, true]);
    let judged = judge(&path, &brought, &rules("ocsp"));
    assert_eq!(judged.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false]);
}

/// Where each answer must have our nonce none can be brought, and we do not ask for it.
#[test]
fn a_strict_nonce_cannot_be_brought() {
    let strict = Rules { nonce: true, ..rules("ocsp") };
    let path = direct_path();
    let judged = judge(&path, &[word(&path, State::Good)], &strict);
    assert_eq!(judged[0].as_ref().unwrap_err(), &OcspError::NonceMissing);
    let response = ResponseRules { nonce: NonceRule::Lenient, ..ResponseRules::default() };
    let lenient = Rules { response, ..strict.clone() };
    assert!(judge(&path, &[word(&path, State::Good)], &lenient)[0].is_ok());
    let off = Rules { demand: Demand::Off, ..rules("ocsp") };
    let wants = [&strict, &lenient, &rules("ocsp"), &rules("crl"), &off].map(Rules::wants_stapled);
    assert_eq!(wants, [false, true, true, false, false]);
}

/// Nobody makes us verify without end, or at all where no responder would be asked.
#[test]
fn what_is_looked_at_is_bounded() {
    let path = direct_path();
    let many = vec![word(&path, State::Good); MAX_STAPLED + 1];
    assert_eq!(judge(&path, &many, &rules("ocsp")).len(), MAX_STAPLED);
    assert!(judge(&path, &many, &rules("crl")).is_empty());
    let off = Rules { demand: Demand::Off, ..rules("ocsp") };
    assert!(judge(&path, &many, &off).is_empty());
}

/// An older word does not take the place of a newer one: nobody brings back yesterday's "good".
#[test]
fn an_older_word_is_not_kept() {
    let path = direct_path();
    let issued = Issued::along(&path).remove(0);
    let mut cache = Cache::default();
    let later = UnixTime(NOW.0 + 60);
    let at = |now| stapled(&path, &[answer(&issued, State::Good, now)], |_| Arc::new(rules("ocsp")), later);
    assert!(cache.keep_answer(at(later).remove(0).unwrap(), STAPLED, later));
    assert!(!cache.keep_answer(at(NOW).remove(0).unwrap(), STAPLED, later));
}
