//! Decisions about revocation: whom they ask, in which order, and what comes of servers that are dead, late, forged or
//! of no help. Guards against the two ways to be wrong: a revoked peer that gets in because a server was down, and a
//! good one kept out, or everybody kept waiting, because of one.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::Arc;

use crate::common::crl::Draft;
use crate::common::world::{
    CRL_URL, OCSP_URL, ROOT, ROOT_CRL_URL, State, World, answer, asking, direct_path, list, long_path,
};
use crate::common::{KEYS, NOW, ca, gateway, issued, judge};
use ravelin_pki::path::Rules as PathRules;
use ravelin_pki::revocation::cache::{Cache, Limits, NotKept, Schedule, Upkeep};
use ravelin_pki::revocation::crl::{Crl, Unverified};
use ravelin_pki::revocation::ocsp::{IdHash, NonceRule, Question, ResponseRules};
use ravelin_pki::revocation::policy::{
    Check, Conclusion, CrlDuty, Demand, Lack, Method, Order, Otherwise, Rules, Step, Why,
};
use ravelin_pki::revocation::{Issued, Status};
use ravelin_pki::{UnixTime, oid};

fn rules(order: &str) -> Rules {
    Rules { order: order.parse().unwrap(), ..Rules::default() }
}

/// A CRL of the root in this state, about the gateway of the direct path.
fn root_list(state: State, now: UnixTime) -> Arc<Crl> {
    let issued = Issued::along(&direct_path()).remove(0);
    let der = list(&issued, state, now);
    Arc::new(Unverified::from_der(&der).unwrap().verify(&ROOT, now).unwrap())
}

fn holding(lists: &[Arc<Crl>]) -> Cache {
    let mut cache = Cache::default();
    lists.iter().for_each(|list| assert!(cache.keep_list(list.clone(), CRL_URL, NOW).is_ok()));
    cache
}

/// What an order should come to, told as plainly as it can be: who answers, and whether the peer gets in.
fn model(order: &[Method], accept: bool, crl: State, ocsp: State) -> (Option<Method>, bool) {
    for method in order {
        match if *method == Method::Crl { crl } else { ocsp } {
            State::Good => return (Some(*method), true),
            State::Revoked => return (Some(*method), false),
            _ => {}
        }
    }
    (None, accept)
}

/// The whole table of status-verify: each setting (left out, too), with each server in each state.
#[test]
fn status_verify_comes_to_what_its_table_says() {
    use Method::{Crl, Ocsp};
    let path = direct_path();
    let mut cases = 0;
    for primary in [None, Some(Crl), Some(Ocsp)] {
        for secondary in [None, Some(Crl), Some(Ocsp)] {
            for default_result in [Otherwise::Refuse, Otherwise::Accept] {
                let order = Order::status_verify(primary, secondary, Some(default_result));
                let rules = Rules { order, ..Rules::default() };
                let asked: Vec<Method> =
                    [Some(primary.unwrap_or(Crl)), secondary].into_iter().flatten().collect();
                for (crl, ocsp) in State::ALL.into_iter().flat_map(|crl| State::ALL.map(|ocsp| (crl, ocsp))) {
                    let mut world = World::with(&[(CRL_URL, crl), (OCSP_URL, ocsp)]);
                    let decision = world.decide(&path, &rules, &mut Cache::default(), NOW);
                    let (by, accepted) = model(&asked, default_result == Otherwise::Accept, crl, ocsp);
                    let found = match decision.findings[0].conclusion {
                        Conclusion::Good(evidence) | Conclusion::Revoked(evidence, _) => {
                            Some(evidence.method)
                        }
                        Conclusion::Accepted(_) | Conclusion::Refused(_) => None,
                    };
                    let case = format!("{} crl {crl:?} ocsp {ocsp:?}: {decision}", rules.order);
                    assert_eq!((found, decision.is_accepted()), (by, accepted), "{case}");
                    let mut once = world.asked.clone();
                    once.dedup();
                    assert!(once == world.asked && once.len() <= 2, "{case} {:?}", world.asked);
                    cases += 1;
                }
            }
        }
    }
    assert_eq!(cases, 3 * 3 * 2 * 36);
}

/// `crl none` still refuses whom an obtainable CRL revokes; `none` alone asks nobody.
#[test]
fn a_list_that_ends_in_none_accepts_only_without_an_answer() {
    let path = direct_path();
    let decide = |order: &str, crl: State| {
        let mut world = World::with(&[(CRL_URL, crl)]);
        let decision = world.decide(&path, &rules(order), &mut Cache::default(), NOW);
        (decision.findings[0].conclusion, world.asked.len())
    };
    assert!(matches!(decide("crl none", State::Revoked), (Conclusion::Revoked(..), 1)));
    assert_eq!(decide("crl none", State::Dead), (Conclusion::Accepted(Why::NoAnswer), 1));
    assert_eq!(decide("none", State::Revoked), (Conclusion::Accepted(Why::Never), 0));
    let off = Rules { demand: Demand::Off, ..rules("crl") };
    let decision = World::default().decide(&path, &off, &mut Cache::default(), NOW);
    assert_eq!(decision.findings[0].conclusion, Conclusion::Accepted(Why::Off));
}

/// A CRL is used until its nextUpdate, and nobody is asked meanwhile; an outage is felt only after.
#[test]
fn what_is_known_is_used_while_it_is_fresh() {
    let (path, mut cache) = (direct_path(), Cache::default());
    let mut world = World::with(&[(CRL_URL, State::Good)]);
    assert!(world.decide(&path, &rules("crl"), &mut cache, NOW).is_accepted());
    world.servers.clear();
    let until = cache.lists().next().unwrap().value.next_update().unwrap();
    assert!(world.decide(&path, &rules("crl"), &mut cache, until).is_accepted());
    assert_eq!(world.asked.len(), 1);
    let decision = world.decide(&path, &rules("crl"), &mut cache, UnixTime(until.0 + 1));
    assert_eq!(decision.findings[0].conclusion, Conclusion::Refused(Lack::NoAnswer));
    assert_eq!(world.asked.len(), 2);
}

#[test]
fn a_soft_demand_takes_what_is_late_when_nothing_newer_can_be_had() {
    let path = direct_path();
    let soft = Rules { demand: Demand::Soft { max_stale: 72 * 3600 }, ..rules("crl") };
    let mut cache = holding(&[root_list(State::Good, NOW)]);
    let until = cache.lists().next().unwrap().value.next_update().unwrap();
    let mut at = |seconds: i64, servers: &[(&str, State)]| {
        let now = UnixTime(until.0 + seconds);
        World::with(servers).decide(&path, &soft, &mut cache, now)
    };
    let late = at(72 * 3600, &[]);
    assert!(late.is_accepted() && late.is_stale(), "{late}");
    assert!(!at(72 * 3600 + 1, &[]).is_accepted());
    // After the server's rest, what is newer is preferred.
    let fresh = at(72 * 3600 + 60, &[(CRL_URL, State::Good)]);
    assert!(fresh.is_accepted() && !fresh.is_stale(), "{fresh}");
}

#[test]
fn a_mandatory_crl_may_be_late_where_the_demand_is_soft() {
    let rules = Rules { demand: Demand::Soft { max_stale: 60 }, crl: CrlDuty::Mandatory, ..rules("crl") };
    let mut cache = holding(&[root_list(State::Good, NOW)]);
    let until = cache.lists().next().unwrap().value.next_update().unwrap();
    for (seconds, accepted) in [(60, true), (61, false)] {
        let now = UnixTime(until.0 + seconds);
        let decision = World::default().decide(&direct_path(), &rules, &mut cache, now);
        assert_eq!(decision.is_accepted(), accepted, "{decision}");
    }
}

/// Somebody who has been revoked for good does not get in because the CA is down, not even where its silence accepts.
#[test]
fn an_outage_does_not_lift_a_revocation() {
    let (path, long_after) = (direct_path(), UnixTime(NOW.0 + 10_000_000));
    let mut cache = holding(&[root_list(State::Revoked, NOW)]);
    let decision = World::default().decide(&path, &rules("crl none"), &mut cache, long_after);
    assert!(matches!(decision.findings[0].conclusion, Conclusion::Revoked(..)), "{decision}");
}

#[test]
fn a_ca_is_asked_about_before_what_it_issued() {
    let path = long_path();
    let decide = |order: &str, servers: &[(&str, State)]| {
        let mut world = World::with(servers);
        let decision = world.decide(&path, &rules(order), &mut Cache::default(), NOW);
        (decision, world.asked)
    };
    let (decision, asked) = decide("crl", &[(ROOT_CRL_URL, State::Good), (CRL_URL, State::Good)]);
    assert!(decision.is_accepted() && asked == [ROOT_CRL_URL, CRL_URL], "{decision} {asked:?}");
    let (decision, asked) = decide("crl", &[(ROOT_CRL_URL, State::Revoked), (CRL_URL, State::Good)]);
    assert!(decision.refused().unwrap().certificate.contains("CN=Below"), "{decision}");
    assert_eq!(asked, [ROOT_CRL_URL]);
    let (decision, _) = decide("crl", &[(ROOT_CRL_URL, State::Good), (CRL_URL, State::Revoked)]);
    assert!(decision.refused().unwrap().certificate.contains("CN=Gateway"), "{decision}");
    // OCSP is for end entities: of an order without CRL, the CA's own is asked all the same.
    let (decision, asked) = decide("ocsp", &[(ROOT_CRL_URL, State::Good), (OCSP_URL, State::Good)]);
    assert!(decision.is_accepted() && asked == [ROOT_CRL_URL, OCSP_URL], "{decision} {asked:?}");
    let both = Rules { ocsp_for_authorities: true, ..rules("ocsp") };
    let mut world = World::with(&[(OCSP_URL, State::Good)]);
    let decision = world.decide(&path, &both, &mut Cache::default(), NOW);
    assert!(decision.is_accepted() && world.asked == [OCSP_URL, OCSP_URL], "{decision}");
}

/// A CA that has changed its key may sign its CRLs with the old one, but a new key does not vouch for itself: whoever
/// had stolen it could say that it is not revoked.
#[test]
fn a_key_is_asked_about_keys_below_it_only() {
    let (old, new) = (asking(ca("Below"), 8, &[], &[]), asking(ca("Below"), 7, &[], &[]));
    let authorities = [issued(&old, 2, &ca("Root"), 0), issued(&new, 3, &old, 2)];
    let end_entity = issued(&asking(gateway("Gateway"), 9, &[], &[]), 1, &new, 3);
    let path = judge(&end_entity, &authorities, std::slice::from_ref(&ROOT), &PathRules::default()).unwrap();
    assert_eq!(path.certificates().len(), 3);
    let signed = |authority: usize, key: usize| {
        let der = Draft::of(&authorities[authority], NOW).sign(&KEYS[key]);
        Arc::new(Unverified::from_der(&der).unwrap().verify(&authorities[authority], NOW).unwrap())
    };
    let root = root_list(State::Good, NOW);
    let decide = |lists: &[Arc<Crl>]| World::default().decide(&path, &rules("crl"), &mut holding(lists), NOW);
    let by_old = decide(&[root.clone(), signed(0, 2)]);
    assert!(by_old.is_accepted() && by_old.findings.len() == 3, "{by_old}");
    let by_new = decide(&[root, signed(1, 3)]);
    assert_eq!(by_new.findings.len(), 2, "{by_new}");
    assert_eq!(by_new.findings[1].conclusion, Conclusion::Refused(Lack::NoAnswer), "of the new key itself");
}

/// `revocation-check` of a ca-profile: what a missing or faulty CRL means for an end entity and for a CA.
#[test]
fn a_cas_own_crl_is_mandatory_or_optional() {
    let (short, long) = (direct_path(), long_path());
    let decide = |path, crl: CrlDuty, order: &str, state: State| {
        let mut world = World::with(&[(CRL_URL, state), (ROOT_CRL_URL, state), (OCSP_URL, State::Good)]);
        let rules = Rules { crl, ..rules(order) };
        world.decide(path, &rules, &mut Cache::default(), NOW)
    };
    for fault in [State::Dead, State::Forged, State::Stale] {
        for (path, order) in [(&short, "crl none"), (&short, "ocsp"), (&long, "crl none")] {
            let decision = decide(path, CrlDuty::Mandatory, order, fault);
            let refused = decision.refused().map(|finding| finding.conclusion);
            assert_eq!(refused, Some(Conclusion::Refused(Lack::NoCrl)), "{order} {fault:?}");
        }
        let decision = decide(&long, CrlDuty::Optional, "crl ocsp", fault);
        let conclusions: Vec<_> = decision.findings.iter().map(|finding| finding.conclusion).collect();
        assert_eq!(conclusions[0], Conclusion::Accepted(Why::CrlOptional), "the CA is skipped");
        assert!(matches!(conclusions[1], Conclusion::Good(evidence) if evidence.method == Method::Ocsp));
        let decision = decide(&long, CrlDuty::Optional, "crl", fault);
        assert_eq!(decision.findings[1].conclusion, Conclusion::Refused(Lack::NoAnswer), "by the order");
    }
    assert!(decide(&long, CrlDuty::Mandatory, "ocsp", State::Good).is_accepted());
    for duty in [CrlDuty::Mandatory, CrlDuty::Optional] {
        assert!(!decide(&long, duty, "crl none", State::Revoked).is_accepted());
    }
}

#[test]
fn if_uri_asks_only_where_there_is_somewhere_to_ask() {
    let bare = issued(&asking(gateway("Bare"), 7, &[], &[]), 1, &ca("Root"), 0);
    let bare = judge(&bare, &[], std::slice::from_ref(&ROOT), &PathRules::default()).unwrap();
    let direct = direct_path();
    let if_uri = Rules { demand: Demand::IfUri, ..rules("crl ocsp") };
    let decide = |path, rules: &Rules, cache: &mut Cache| {
        World::default().decide(path, rules, cache, NOW).findings[0].conclusion
    };
    assert_eq!(decide(&bare, &if_uri, &mut Cache::default()), Conclusion::Accepted(Why::NoLocation));
    assert_eq!(decide(&bare, &rules("crl ocsp"), &mut Cache::default()), Conclusion::Refused(Lack::NoAnswer));
    assert_eq!(decide(&direct, &if_uri, &mut Cache::default()), Conclusion::Refused(Lack::NoAnswer));
    // A responder that is configured, or a CRL that is known, is somewhere to ask.
    let configured = Rules { ocsp_url: Some(OCSP_URL.to_owned()), ..if_uri.clone() };
    assert_eq!(decide(&bare, &configured, &mut Cache::default()), Conclusion::Refused(Lack::NoAnswer));
    let mut cache = holding(&[root_list(State::Good, NOW)]);
    assert!(matches!(decide(&bare, &if_uri, &mut cache), Conclusion::Good(_)));
}

/// A revocation is final unless the knob lets a CRL overrule it, and a CRL that is silent overrules nothing.
#[test]
fn a_revoked_answer_is_final_unless_told_otherwise() {
    let knob = Rules { revoked_ocsp_falls_back_to_crl: true, ..rules("ocsp crl none") };
    for (rules, crl, accepted) in [
        (&rules("ocsp crl none"), State::Good, false),
        (&knob, State::Good, true),
        (&knob, State::Revoked, false),
        (&knob, State::Dead, false),
        (&knob, State::Stale, false),
    ] {
        let mut world = World::with(&[(OCSP_URL, State::Revoked), (CRL_URL, crl)]);
        let decision = world.decide(&direct_path(), rules, &mut Cache::default(), NOW);
        assert_eq!(decision.is_accepted(), accepted, "{crl:?} {decision}");
    }
    let only = Rules { revoked_ocsp_falls_back_to_crl: true, ..rules("crl ocsp none") };
    let mut world = World::with(&[(OCSP_URL, State::Revoked)]);
    assert!(!world.decide(&direct_path(), &only, &mut Cache::default(), NOW).is_accepted());
}

#[test]
fn addresses_are_asked_in_order_and_the_useless_ones_rest() {
    let (first, second) = ("http://a.example/1.crl", "http://b.example/2.crl");
    let configured = Rules { crl_urls: vec![first.to_owned()], ..rules("crl") };
    let params = asking(gateway("Gateway"), 9, &[second, CRL_URL, second], &[]);
    let certificate = issued(&params, 1, &ca("Root"), 0);
    let path = judge(&certificate, &[], std::slice::from_ref(&ROOT), &PathRules::default()).unwrap();
    let mut cache = Cache::default();
    let mut world = World::with(&[(first, State::Forged)]);
    let decision = world.decide(&path, &configured, &mut cache, NOW);
    assert!(!decision.is_accepted() && world.asked == [first, second, CRL_URL], "{:?}", world.asked);
    assert_eq!(decision.findings[0].trail.len(), 3);

    // What came from the first was of no use, and would be again. Whether servers that said nothing are asked is for
    // whoever fetches.
    let mut world = World::default();
    let decision = world.decide(&path, &configured, &mut cache, UnixTime(NOW.0 + 14));
    assert!(!decision.is_accepted() && world.asked == [second, CRL_URL], "{:?}", world.asked);
    assert!(decision.to_string().contains("left alone until"), "{decision}");
    let mut world = World::with(&[(CRL_URL, State::Good)]);
    let decision = world.decide(&path, &configured, &mut cache, UnixTime(NOW.0 + 15));
    assert!(decision.is_accepted() && world.asked == [first, second, CRL_URL], "{decision}");
    assert!(cache.rest().resting(CRL_URL, NOW).is_none() && cache.rest().resting(first, NOW).is_some());
}

/// A CRL that does not speak for a certificate is not fetched again with each peer that presents one like it, and
/// neither is one there is no room for.
#[test]
fn a_list_of_no_help_is_fetched_once() {
    for (state, mut cache) in [
        (State::Unknown, Cache::default()),
        (State::Good, Cache::new(Limits { lists: 0, ..Limits::default() })),
    ] {
        let mut world = World::with(&[(CRL_URL, state)]);
        for _ in 0..3 {
            assert!(!world.decide(&direct_path(), &rules("crl"), &mut cache, NOW).is_accepted());
        }
        assert_eq!(world.asked, [CRL_URL], "{state:?}");
    }
}

/// A certificate can name as many addresses as it likes: some are asked.
#[test]
fn only_so_many_addresses_are_asked() {
    let urls = |server: &str| -> Vec<String> {
        (0..20).map(|number| format!("http://{server}{number}.example")).collect()
    };
    let (lists, responders) = (urls("crl"), urls("ocsp"));
    let (lists, responders): (Vec<&str>, Vec<&str>) =
        (lists.iter().map(String::as_str).collect(), responders.iter().map(String::as_str).collect());
    let certificate = issued(&asking(gateway("Gateway"), 9, &lists, &responders), 1, &ca("Root"), 0);
    let path = judge(&certificate, &[], std::slice::from_ref(&ROOT), &PathRules::default()).unwrap();
    let mut world = World::default();
    world.decide(&path, &rules("crl ocsp"), &mut Cache::default(), NOW);
    assert_eq!(world.asked.len(), 16);
}

/// One certificate unknown to a responder says nothing of its health.
#[test]
fn a_responder_rests_only_for_faults_of_its_own() {
    for (state, rests) in [(State::Unknown, false), (State::Dead, false), (State::Forged, true)] {
        let mut cache = Cache::default();
        let mut world = World::with(&[(OCSP_URL, state)]);
        world.decide(&direct_path(), &rules("ocsp"), &mut cache, NOW);
        assert_eq!(cache.rest().resting(OCSP_URL, NOW).is_some(), rests, "{state:?}");
    }
}

#[test]
fn a_pinned_certificate_has_nobody_to_ask() {
    let certificate = issued(&asking(gateway("Pinned"), 9, &[CRL_URL], &[]), 1, &ca("Root"), 0);
    let path = judge(&certificate, &[], std::slice::from_ref(&certificate), &PathRules::default()).unwrap();
    let decision = World::default().decide(&path, &rules("crl"), &mut Cache::default(), NOW);
    assert!(decision.is_accepted() && decision.findings.is_empty());
}

/// Each decision says whom it rests on: method, source, age and result.
#[test]
fn a_decision_explains_itself() {
    let mut world = World::with(&[(OCSP_URL, State::Good)]);
    let decision = world.decide(&direct_path(), &rules("crl ocsp"), &mut Cache::default(), NOW);
    let lines: Vec<String> = decision.to_string().lines().map(str::to_owned).collect();
    assert!(lines[0].ends_with("good by ocsp, 3600 s old"), "{lines:?}");
    assert_eq!(lines[1], "  crl http://crl.example/a.crl: connection refused");
    assert_eq!(lines[2], "  ocsp http://ocsp.example: good, said 3600 s ago");
    assert_eq!(lines.len(), 3);
}

#[test]
fn a_fetch_brings_all_it_takes_to_ask() {
    let with_nonce = Rules { nonce: true, id_hash: IdHash::Sha256, ..rules("ocsp") };
    let check = Check::new(&direct_path(), |_| Arc::new(with_nonce.clone()));
    let Step::Need(fetch) = check.next(&Cache::default(), NOW) else { panic!("decided") };
    assert_eq!((fetch.url.as_str(), fetch.method), (OCSP_URL, Method::Ocsp));
    let request = fetch.question([0x5c; 32]).to_der().unwrap();
    let holds = |part: &[u8]| request.windows(part.len()).any(|window| window == part);
    assert!(holds(&[0x5c; 32]) && holds(oid::OCSP_NONCE) && holds(oid::SHA256));
}

#[test]
fn older_statements_do_not_come_back() {
    let (old, new) = (root_list(State::Good, UnixTime(NOW.0 - 9)), root_list(State::Revoked, NOW));
    let mut cache = holding(std::slice::from_ref(&old));
    let replaced = cache.keep_list(new, "http://b", NOW).unwrap();
    assert!(replaced.is_some_and(|replaced| Arc::ptr_eq(&replaced, &old)));
    assert!(matches!(cache.keep_list(old, CRL_URL, NOW), Err(NotKept::NotNewer(_))));
    assert_eq!(cache.lists().count(), 1);

    let issued = Issued::along(&direct_path()).remove(0);
    let said = |state, now| {
        let question = Question::new(issued.clone(), IdHash::Sha1, None);
        question.judge(&answer(&issued, state, now), ResponseRules::default(), now).unwrap()
    };
    let (old, new) = (said(State::Good, UnixTime(NOW.0 - 9)), said(State::Revoked, NOW));
    assert!(cache.keep_answer(new, OCSP_URL, NOW) && !cache.keep_answer(old, OCSP_URL, NOW));
    let held = cache.answer_about(&issued).unwrap().value.ask(&issued, NOW, 0).unwrap();
    assert!(matches!(held.status, Status::Revoked(_)));
}

/// CRLs of other distribution points of the same CA stand beside each other.
#[test]
fn lists_of_different_scope_stand_beside_each_other() {
    let cache = holding(&[root_list(State::Good, NOW), root_list(State::Unknown, NOW)]);
    assert_eq!(cache.lists().count(), 2);
}

#[test]
fn a_cache_is_bounded() {
    let limits = Limits { lists: 1, answers: 2, ..Limits::default() };
    let mut cache = Cache::new(limits);
    assert!(cache.keep_list(root_list(State::Good, NOW), CRL_URL, NOW).is_ok());
    let refused = cache.keep_list(root_list(State::Unknown, NOW), CRL_URL, NOW).unwrap_err();
    assert!(matches!(refused, NotKept::Full { lists: 1, .. }), "{refused}");
    let mut small = Cache::new(Limits { list_octets: 3, ..Limits::default() });
    assert!(small.keep_list(root_list(State::Good, NOW), CRL_URL, NOW).is_err());
    let mut keep = |serial: u8| {
        let certificate = issued(&asking(gateway("Gateway"), serial, &[], &[]), 1, &ca("Root"), 0);
        let issued = Issued::new(certificate, ROOT.clone());
        let question = Question::new(issued.clone(), IdHash::Sha1, None);
        let rules = ResponseRules { nonce: NonceRule::Lenient, ..ResponseRules::default() };
        cache.keep_answer(
            question.judge(&answer(&issued, State::Good, NOW), rules, NOW).unwrap(),
            OCSP_URL,
            NOW,
        );
        issued
    };
    let kept = [keep(1), keep(2), keep(3)];
    assert_eq!(kept.map(|issued| cache.answer_about(&issued).is_some()), [false, true, true]);
    cache.clear_answers();
    assert_eq!(cache.answers().count(), 0);
}

#[test]
fn lists_are_due_before_they_end() {
    let cache = holding(&[root_list(State::Good, NOW)]);
    let held = cache.lists().next().unwrap();
    let until = held.value.next_update().unwrap().0;
    assert_eq!(Schedule::default().due(held), Some(UnixTime(until - 3600)));
    assert_eq!(Schedule::periodic(86_400).unwrap().due(held), Some(UnixTime(NOW.0 + 86_400)));
    // Longer before its end than it lives: half of its life, and not without end.
    let early = Schedule::before_next_update(366 * 86_400).unwrap();
    assert_eq!(early.due(held), Some(UnixTime(until - 43_200)));
    assert!(Schedule::before_next_update(-1).is_err() && Schedule::before_next_update(31_622_401).is_err());
    assert!(Schedule::periodic(3599).is_err() && Schedule::periodic(31_622_401).is_err());
}

/// One address after the other until one has a newer CRL; then it is its schedule's turn. After rounds for nothing
/// pauses grow up to the retry interval or the period, or there is no other round.
#[test]
fn upkeep_goes_round_the_addresses() {
    let urls = || ["a", "b", "c"].map(|host| format!("http://{host}.example/crl")).to_vec();
    let cache = holding(&[root_list(State::Good, NOW)]);
    let held = cache.lists().next().unwrap();
    let until = held.value.next_update().unwrap().0;
    let mut upkeep = Upkeep::new(urls(), Schedule::default(), Some(60), None, NOW);
    assert_eq!(upkeep.begin(NOW).map(str::to_owned), Some(urls()[0].clone()));
    assert!(upkeep.begin(NOW).is_none() && upkeep.due().is_none(), "one round at a time");
    assert_eq!(upkeep.failed(NOW), Some(urls()[1].as_str()));
    upkeep.succeeded(held);
    assert_eq!(upkeep.due(), Some(UnixTime(until - 3600)));
    assert!(upkeep.begin(UnixTime(until - 3601)).is_none());
    assert!(upkeep.begin(UnixTime(until - 3600)).is_some());
    let now = UnixTime(until - 3600);
    assert_eq!(
        [upkeep.failed(now).is_some(), upkeep.failed(now).is_some(), upkeep.failed(now).is_some()],
        [true, true, false]
    );
    assert_eq!(upkeep.due(), Some(UnixTime(now.0 + 1)));

    let periodic = Schedule::periodic(7200).unwrap();
    for (schedule, retry, pauses) in [
        (
            periodic,
            Some(60),
            [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 7200, 7200].as_slice(),
        ),
        (Schedule::default(), Some(60), &[1, 2, 4, 8, 16, 32, 60, 60]),
        (Schedule::default(), None, &[]),
    ] {
        let mut upkeep = Upkeep::new(urls()[..1].to_vec(), schedule, retry, None, NOW);
        let mut now = NOW;
        for pause in pauses {
            assert!(upkeep.begin(now).is_some() && upkeep.failed(now).is_none());
            assert_eq!(upkeep.due(), Some(UnixTime(now.0 + pause)));
            now = UnixTime(now.0 + pause);
        }
        assert!(upkeep.begin(now).is_some() && upkeep.failed(now).is_none());
        assert_eq!(upkeep.due().is_none(), pauses.is_empty());
        upkeep.hasten(now);
        assert!(upkeep.begin(now).is_some(), "somebody asks for it");
    }
    assert!(Upkeep::new(Vec::new(), periodic, None, None, NOW).due().is_none());
    let kept = Upkeep::new(urls(), Schedule::default(), None, Some(held), NOW);
    assert_eq!(kept.due(), Some(UnixTime(until - 3600)), "what is held need not be fetched");
}
