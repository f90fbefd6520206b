//! Peers wait for word on revocation and for nothing else, and what becomes known ends what rested on the contrary.

use std::sync::LazyLock;

use ravelin_ike::id::Ticket;
use ravelin_pki::path::Rules as PathRules;
use ravelin_pki::revocation::policy::{Demand, Order, Otherwise};
use ravelin_pki::verdict::Revocation;

use super::super::stapled::{Own, brought};
use super::*;
use crate::trust::{Particular, PeerKeys, Profile, Question as Asked, Shut, Sources};

use crate::trust::common;
use common::crl::Draft;
use common::world::{self, CRL_URL, OCSP_URL, ROOT, State, World, asking};
use common::{KEYS, NOW, ca, gateway, issued};

const PATIENCE: i64 = 15;
const OTHER_URL: &str = "http://crl.example/other.crl";

/// Gateways below the root, by serial number; asked about at both addresses.
static GATEWAYS: LazyLock<Vec<Arc<Certificate>>> = LazyLock::new(|| {
    let params = |serial| asking(gateway("Gateway"), serial, &[CRL_URL], &[OCSP_URL]);
    (0..4).map(|serial| issued(&params(serial + 1), 1, &ca("Root"), 0)).collect()
});

/// A desk, the servers it sends to, and the fetches that are under way.
struct Bench {
    desk: Desk,
    world: World,
    now: UnixTime,
    regime: Arc<Regime>,
    errands: Vec<Errand>,
    told: Vec<(&'static str, String)>,
    own: Vec<Own>,
    last: u64,
}

impl Bench {
    fn new(order: &str, servers: &[(&str, State)]) -> Self {
        let order: Order = order.parse().unwrap();
        Self {
            desk: Desk::new(PATIENCE, Warning { before: 0, repeat: None }),
            world: World::with(servers),
            now: NOW,
            regime: Arc::new(Regime::new(Demand::Require, &order, [])),
            errands: Vec::new(),
            told: Vec::new(),
            own: Vec::new(),
            last: 0,
        }
    }

    /// A peer with this gateway's certificate calls; the number of its tunnel.
    fn call(&mut self, gateway: usize) -> u64 {
        self.call_with(gateway, &[])
    }

    /// The same, with words of responders on it.
    fn call_with(&mut self, gateway: usize, responses: &[Vec<u8>]) -> u64 {
        self.last += 1;
        self.ask(Whose::Peer(Ticket(self.last), IkeId(self.last)), gateway, responses);
        self.last
    }

    fn ask(&mut self, whose: Whose, gateway: usize, responses: &[Vec<u8>]) {
        self.ask_about(whose, &[&GATEWAYS[gateway]], responses);
    }

    /// Asks about this chain.
    fn ask_about(&mut self, whose: Whose, chain: &[&Arc<Certificate>], responses: &[Vec<u8>]) {
        let anchors = [ROOT.der().to_vec()];
        let sources = Sources {
            anchors: &anchors,
            intermediates: &[],
            rules: PathRules::default(),
            dynamic_intermediates: true,
            match_identity: true,
            regime: Regime::clone(&self.regime),
            maps: &[],
            shut: Shut::default(),
            keys: PeerKeys::default(),
        };
        let profile = Profile::new(&sources).unwrap();
        let chain: Vec<Vec<u8>> = chain.iter().map(|certificate| certificate.der().to_vec()).collect();
        let claimed = "gw.example".parse().unwrap();
        let asked = Asked { chain: &chain, claimed: &claimed, expected: None, listed: None };
        let verdict = Box::new(profile.judge(&asked, self.now).unwrap());
        let brought = brought(&verdict.path, responses, &self.regime, self.now);
        let question = Question { whose, verdict, brought, regime: Arc::clone(&self.regime), instance: 0 };
        self.desk.ask(question, self.now);
    }

    /// What the desk wants said: tunnels with `yes` or the code of the refusal.
    fn said(&mut self) -> Vec<(u64, String)> {
        let mut said = Vec::new();
        while let Some(effect) = self.desk.poll() {
            let found = match effect {
                Effect::Fetch(errand) => {
                    self.errands.push(errand);
                    continue;
                }
                Effect::Report(found) => found,
            };
            match found {
                Found::Judged(Whose::Peer(_, ike), Ok(verdict)) => {
                    assert!(matches!(verdict.revocation, Revocation::Checked(_)));
                    said.push((ike.0, "yes".to_owned()));
                }
                Found::Judged(Whose::Peer(_, ike), Err(refusal)) => {
                    said.push((ike.0, refusal.code().to_owned()));
                }
                Found::Judged(Whose::Ours(name), judged) => {
                    said.push((0, judged.map_or_else(|refusal| refusal.code().to_owned(), |_| name)));
                }
                Found::Keyed(..) => unreachable!("the desk judges certificates alone"),
                Found::Own(own) => self.own.push(own),
                Found::Distrust(ike, refusal) => said.push((ike.0, format!("{} {refusal}", refusal.code()))),
                Found::Tell(what, text) => self.told.push((what, text)),
            }
        }
        said
    }

    /// The fetches under way come back, and those they lead to.
    fn serve(&mut self) -> Vec<(u64, String)> {
        let mut said = self.said();
        while let Some(errand) = self.errands.pop() {
            self.world.asked.push(errand.fetch.url.clone());
            let fetched = self.world.fetch(&errand.fetch, self.now);
            self.desk.arrived(errand.number, fetched, self.now);
            said.extend(self.said());
        }
        said
    }

    fn pass(&mut self, seconds: i64) -> Vec<(u64, String)> {
        self.now = UnixTime(self.now.0 + seconds);
        self.desk.tick(self.now);
        self.said()
    }

    fn configure(&mut self, urls: &[&str], lists: &[(&str, Vec<u8>)]) {
        let rules =
            Rules { crl_urls: urls.iter().map(|url| (*url).to_owned()).collect(), ..Rules::default() };
        let lists = lists.iter().map(|(name, der)| ((*name).to_owned(), der.as_slice().into()));
        let authority = Authority {
            name: "root".into(),
            certificate: Arc::clone(&ROOT),
            rules: Arc::new(rules),
            lists: lists.collect(),
            schedule: Schedule::default(),
            retry: Some(600),
            instance: 0,
        };
        self.desk.configure(vec![authority], self.now);
    }
}

fn said(ike: u64, what: &str) -> (u64, String) {
    (ike, what.to_owned())
}

/// A root's CRL that lists these gateways.
fn list_of(gateways: &[usize], now: UnixTime) -> Vec<u8> {
    let revoking = |draft: Draft, gateway: &usize| draft.revoking(&GATEWAYS[*gateway].serial, NOW, Some(1));
    gateways.iter().fold(Draft::of(&ROOT, now), revoking).sign(&KEYS[0])
}

#[test]
fn peers_wait_for_one_fetch_and_later_ones_for_none() {
    let mut bench = Bench::new("crl", &[(CRL_URL, State::Good)]);
    let callers = [bench.call(0), bench.call(1), bench.call(2)];
    assert_eq!(bench.said(), [], "nobody is believed before the CRL is there");
    assert_eq!((bench.errands.len(), bench.errands[0].is_awaited), (1, true));
    assert_eq!(bench.serve(), callers.map(|ike| said(ike, "yes")));
    let late = bench.call(3);
    assert_eq!((bench.said(), bench.errands.len()), (vec![said(late, "yes")], 0));
    assert_eq!(bench.desk.counts(), (0, 4));
}

/// The answer of a responder is about one certificate: two peers are two questions, and one peer twice is one.
#[test]
fn responders_are_asked_about_each() {
    let mut bench = Bench::new("ocsp", &[(OCSP_URL, State::Good)]);
    let callers = [bench.call(0), bench.call(1), bench.call(0)];
    let mut answered = bench.serve();
    answered.sort_unstable();
    assert_eq!(answered, callers.map(|ike| said(ike, "yes")));
    assert_eq!(bench.world.asked.len(), 2);
    assert_eq!((bench.desk.clear_answers(), bench.desk.cache().answers().count()), (2, 0));
}

/// A server that swallows everything costs its own peers their patience, and nobody else anything (IKE-54).
#[test]
fn who_waits_for_the_dead_blocks_nobody() {
    let mut bench = Bench::new("ocsp crl", &[(OCSP_URL, State::Dead), (CRL_URL, State::Good)]);
    let waiting = bench.call(0);
    assert_eq!(bench.said(), []);
    bench.regime = Arc::new(Regime::new(Demand::Require, &"crl".parse().unwrap(), []));
    let other = bench.call(1);
    bench.said();
    let crl = bench.errands.pop().unwrap();
    let fetched = bench.world.fetch(&crl.fetch, bench.now);
    bench.desk.arrived(crl.number, fetched, bench.now);
    assert_eq!(bench.said(), [said(other, "yes")]);
    assert_eq!(bench.pass(PATIENCE - 1), []);
    // Its time is over, and what is known meanwhile is good.
    assert_eq!(bench.pass(1), [said(waiting, "yes")]);
    assert_eq!(bench.desk.counts(), (0, 2));
}

#[test]
fn nobody_waits_longer_than_that_and_what_comes_late_is_kept() {
    let mut bench = Bench::new("crl", &[(CRL_URL, State::Good)]);
    let waiting = bench.call(0);
    assert_eq!((bench.said(), bench.desk.deadline()), (vec![], Some(UnixTime(NOW.0 + PATIENCE))));
    assert_eq!(
        bench.pass(PATIENCE),
        [said(waiting, "RV-LOCAL-018")],
        "nobody said a word: not the peer's fault"
    );
    assert_eq!(bench.serve(), []);
    let next = bench.call(1);
    assert_eq!(bench.said(), [said(next, "yes")]);
}

/// A responder's word on a gateway, in this state.
fn word(gateway: usize, state: State, now: UnixTime) -> Vec<u8> {
    world::answer(&Issued::new(Arc::clone(&GATEWAYS[gateway]), Arc::clone(&ROOT)), state, now)
}

/// Who brings its responder's word is judged by it at once, and whoever comes after by the same, with or without (RFC
/// 4806); nobody is asked.
#[test]
fn a_word_that_is_brought_saves_the_fetch() {
    let mut bench = Bench::new("ocsp", &[]);
    let first = bench.call_with(0, &[word(0, State::Good, NOW)]);
    assert_eq!((bench.said(), bench.errands.len()), (vec![said(first, "yes")], 0));
    let again = bench.call(0);
    assert_eq!((bench.said(), bench.errands.len()), (vec![said(again, "yes")], 0));
    let held = bench.desk.cache().answers().next().unwrap();
    assert!(held.source == "stapled" && held.value.is_stapled());
    let other = bench.call(1);
    assert_eq!(bench.serve(), [said(other, "RV-LOCAL-018")], "it is a word on nobody else");
}

/// Who brings the word that it is revoked is refused, even where CRLs come first, and what is up by it ends.
#[test]
fn a_revocation_that_is_brought_ends_what_rests_on_it() {
    let mut bench = Bench::new("crl ocsp", &[(CRL_URL, State::Good)]);
    let callers = [bench.call(0), bench.call(1)];
    assert_eq!(bench.serve().len(), 2);
    let late = bench.call_with(1, &[word(1, State::Revoked, NOW)]);
    let ended = bench.said();
    assert_eq!(ended.iter().map(|(ike, _)| *ike).collect::<Vec<_>>(), [callers[1], late]);
    assert!(ended[0].1.starts_with("RV-PKI-044") && ended[1].1 == "RV-PKI-043", "{ended:?}");
    assert!(ended[0].1.ends_with("by ocsp from an answer that a peer brought"), "{ended:?}");
}

/// What is stale, forged, unknowing, of another certificate or no response is named, once each, and the peer is judged as
/// if it had brought nothing: neither kept out nor let in by it.
#[test]
fn what_is_brought_in_vain_is_named_and_changes_nothing() {
    let rubbish = b"no response".to_vec();
    let brought = [State::Stale, State::Forged, State::Unknown].map(|state| word(0, state, NOW));
    for brought in brought.into_iter().chain([word(1, State::Good, NOW), rubbish]) {
        for (server, expected) in
            [(State::Good, "yes"), (State::Revoked, "RV-PKI-043"), (State::Dead, "RV-LOCAL-018")]
        {
            let mut bench = Bench::new("ocsp", &[(OCSP_URL, server)]);
            let caller = bench.call_with(0, std::slice::from_ref(&brought));
            assert_eq!(bench.serve(), [said(caller, expected)]);
            assert_eq!(bench.world.asked, [OCSP_URL]);
            let named = bench.told.iter().filter(|(what, _)| *what == "ocsp-stapled-refused").count();
            assert_eq!(named, 1, "{:?}", bench.told);
        }
    }
}

/// The responder's word on our own certificate goes out to be shown while it is good, and is taken back.
#[test]
fn the_word_on_our_own_certificate_is_given_out() {
    let ours = || Whose::Ours("company".to_owned());
    let mut bench = Bench::new("ocsp", &[(OCSP_URL, State::Good)]);
    bench.ask(ours(), 0, &[]);
    assert_eq!(bench.serve(), [said(0, "company")]);
    let Own { certificate, response } = bench.own.pop().unwrap();
    assert_eq!(certificate, GATEWAYS[0].der());
    let held = bench.desk.cache().answers().next().unwrap().value.der().to_vec();
    assert_eq!(response, Some((held, UnixTime(NOW.0 + 82_800))));
    // It has ended, and nobody answers any more.
    bench.world = World::default();
    bench.pass(82_801);
    bench.ask(ours(), 0, &[]);
    assert_eq!(bench.serve(), [said(0, "RV-LOCAL-018")]);
    assert_eq!(bench.own.pop().unwrap().response, None);
    bench.world = World::with(&[(OCSP_URL, State::Revoked)]);
    bench.ask(ours(), 0, &[]);
    assert_eq!(bench.serve(), [said(0, "RV-PKI-043")]);
    assert_eq!(bench.own.pop().unwrap().response, None);
}

/// The whole table of status-verify (primary, secondary, default result, each left out or set) with every state of both
/// servers: what becomes of the peer, and who was asked until somebody gave a definite answer.
#[test]
fn status_verify_comes_to_what_its_table_says() {
    use {Method::*, Otherwise::*};
    let mut cases = 0;
    for primary in [None, Some(Crl), Some(Ocsp)] {
        for secondary in [None, Some(Crl), Some(Ocsp)] {
            for otherwise in [Refuse, Accept] {
                for (crl, ocsp) in State::ALL.into_iter().flat_map(|crl| State::ALL.map(|ocsp| (crl, ocsp))) {
                    let order = Order::status_verify(primary, secondary, Some(otherwise));
                    let mut bench = Bench::new("none", &[(CRL_URL, crl), (OCSP_URL, ocsp)]);
                    bench.regime = Arc::new(Regime::new(Demand::Require, &order, []));
                    let caller = bench.call(0);
                    let methods = [Some(primary.unwrap_or(Crl)), secondary];
                    let (expected, asked) = model(methods, otherwise, crl, ocsp);
                    let case = format!("{order}, crl {crl:?}, ocsp {ocsp:?}");
                    assert_eq!(bench.serve(), [said(caller, expected)], "{case}");
                    assert_eq!(bench.world.asked, asked, "{case}");
                    cases += 1;
                }
            }
        }
    }
    assert_eq!(cases, 3 * 3 * 2 * 36);
}

/// What the table should come to, told as plainly as it can be.
fn model(
    methods: [Option<Method>; 2],
    otherwise: Otherwise,
    crl: State,
    ocsp: State,
) -> (&'static str, Vec<&'static str>) {
    let mut asked = Vec::new();
    for method in methods.into_iter().flatten() {
        let (url, state) = if method == Method::Crl { (CRL_URL, crl) } else { (OCSP_URL, ocsp) };
        if asked.contains(&url) {
            continue;
        }
        asked.push(url);
        match state {
            State::Good => return ("yes", asked),
            State::Revoked => return ("RV-PKI-043", asked),
            _ => {}
        }
    }
    (if otherwise == Otherwise::Accept { "yes" } else { "RV-LOCAL-018" }, asked)
}

#[test]
fn refusals_have_their_codes() {
    for (order, state, code) in [
        ("crl", State::Revoked, "RV-PKI-043"),
        ("ocsp", State::Revoked, "RV-PKI-043"),
        ("crl", State::Dead, "RV-LOCAL-018"),
        ("crl", State::Forged, "RV-LOCAL-018"),
        ("ocsp", State::Unknown, "RV-LOCAL-018"),
        ("crl none", State::Dead, "yes"),
    ] {
        let mut bench = Bench::new(order, &[(CRL_URL, state), (OCSP_URL, state)]);
        let caller = bench.call(0);
        assert_eq!(bench.serve(), [said(caller, code)], "{order} {state:?}");
    }
}

/// Tunnels whose certificate becomes revoked are named, and no others (REV-28).
#[test]
fn what_becomes_known_ends_what_rests_on_it() {
    let mut bench = Bench::new("crl", &[(CRL_URL, State::Good)]);
    let callers = [bench.call(0), bench.call(1), bench.call(2), bench.call(1)];
    assert_eq!(bench.serve().len(), callers.len());
    bench.desk.gone(&[IkeId(callers[3])]);
    bench.configure(&[], &[("new.crl", list_of(&[1, 3], UnixTime(NOW.0 + 60)))]);
    let ended = bench.said();
    assert_eq!(ended.len(), 1, "{ended:?}");
    assert_eq!(ended[0].0, callers[1]);
    assert!(
        ended[0].1.starts_with("RV-PKI-044 a certificate it rests on (serial 02) is revoked at "),
        "{ended:?}"
    );
    assert!(ended[0].1.ends_with("by crl from new.crl"), "{ended:?}");
    let again = bench.call(1);
    assert_eq!(bench.said(), [said(again, "RV-PKI-043")]);
}

/// A CA that has changed its key signs its CRLs with the new one: that lists what the old one has issued as well, and
/// ends it. Numbers of another CA stay theirs.
#[test]
fn a_list_under_the_cas_new_key_ends_what_the_old_one_issued() {
    let old = issued(&asking(ca("Root"), 77, &[], &[]), 3, &ca("Root"), 0);
    let gateway = issued(&asking(gateway("Gateway"), 2, &[CRL_URL], &[]), 1, &ca("Root"), 3);
    let mut bench = Bench::new("crl", &[]);
    bench.configure(&[], &[("first.crl", list_of(&[], NOW))]);
    for (number, chain) in [(1, &[&gateway, &old][..]), (2, &[&GATEWAYS[0]])] {
        bench.ask_about(Whose::Peer(Ticket(number), IkeId(number)), chain, &[]);
    }
    assert_eq!(bench.said(), [said(1, "yes"), said(2, "yes")]);
    bench.configure(&[], &[("new.crl", list_of(&[1], UnixTime(NOW.0 + 60)))]);
    let ended = bench.said();
    assert!(ended.len() == 1 && ended[0].0 == 1 && ended[0].1.starts_with("RV-PKI-044"), "{ended:?}");
}

#[test]
fn a_responders_revocation_ends_what_rests_on_it() {
    let mut bench = Bench::new("ocsp", &[(OCSP_URL, State::Good)]);
    let callers = [bench.call(0), bench.call(1)];
    assert_eq!(bench.serve().len(), 2);
    bench.desk.clear_answers();
    bench.world = World::with(&[(OCSP_URL, State::Revoked)]);
    let late = bench.call(1);
    let mut ended = bench.serve();
    ended.sort_unstable();
    assert_eq!(ended.iter().map(|(ike, _)| *ike).collect::<Vec<_>>(), [callers[1], late]);
    assert!(ended[0].1.starts_with("RV-PKI-044") && ended[1].1 == "RV-PKI-043", "{ended:?}");
}

/// Where nobody is to be asked, nobody is ended either.
#[test]
fn who_is_not_asked_about_is_not_ended() {
    let mut bench = Bench::new("none", &[]);
    let caller = bench.call(0);
    assert_eq!(bench.said(), [said(caller, "yes")]);
    bench.configure(&[], &[("new.crl", list_of(&[0], NOW))]);
    assert_eq!(bench.said(), []);
}

/// A CA's own rules stand in place of the profile's.
#[test]
fn a_ca_has_rules_of_its_own() {
    let (rules, never) = (Rules { crl_urls: vec![OTHER_URL.to_owned()], ..Rules::default() }, Order::never());
    let order: Order = "crl".parse().unwrap();
    let particular = |demand| Particular {
        key: KeyId::of(&ROOT),
        demand: Some(demand),
        order: Some(&order),
        rules: &rules,
    };
    for (demand, expected) in [(Demand::Off, "yes"), (Demand::Require, "RV-PKI-043")] {
        let mut bench = Bench::new("none", &[(OTHER_URL, State::Revoked)]);
        bench.regime = Arc::new(Regime::new(Demand::Require, &never, [particular(demand)]));
        let caller = bench.call(0);
        assert_eq!(bench.serve(), [said(caller, expected)]);
    }
}

/// The CRL of a configured address is there before anybody calls, comes again in time, and from the next address if the
/// first has none.
#[test]
fn configured_lists_are_kept_up() {
    let mut bench = Bench::new("crl", &[(OTHER_URL, State::Good)]);
    bench.configure(&[CRL_URL, OTHER_URL], &[]);
    assert_eq!((bench.said(), bench.errands.len(), bench.errands[0].is_awaited), (vec![], 1, false));
    bench.serve();
    assert_eq!(bench.world.asked, [CRL_URL, OTHER_URL]);
    let caller = bench.call(0);
    assert_eq!(bench.said(), [said(caller, "yes")]);
    let until = bench.desk.cache().lists().next().unwrap().value.next_update().unwrap();
    assert_eq!(bench.desk.deadline(), Some(UnixTime(until.0 - 3600)));

    // An hour before its end nobody has a newer one: soon it is tried again.
    bench.world = World::default();
    bench.pass(until.0 - 3600 - NOW.0);
    bench.serve();
    assert_eq!(bench.world.asked, [CRL_URL, OTHER_URL]);
    assert!(bench.told.iter().any(|(what, _)| *what == "crl-round-failed"), "{:?}", bench.told);
    assert_eq!(bench.desk.deadline(), Some(UnixTime(bench.now.0 + 1)));
    assert_eq!(
        (bench.desk.hasten(Some("other"), bench.now), bench.desk.hasten(Some("root"), bench.now)),
        (0, 1)
    );
    bench.world = World::with(&[(CRL_URL, State::Good)]);
    bench.serve();
    assert_eq!(bench.desk.deadline(), Some(UnixTime(bench.now.0 - 3600 + 86_400 - 3600)));
}

/// A CRL that has ended is an event, and so is the one in its place.
#[test]
fn the_end_of_a_list_is_told() {
    let mut bench = Bench::new("crl", &[]);
    bench.configure(&[], &[("old.crl", list_of(&[], NOW))]);
    bench.said();
    let until = bench.desk.cache().lists().next().unwrap().value.next_update().unwrap();
    bench.told.clear();
    bench.pass(until.0 - NOW.0);
    assert_eq!(bench.told, []);
    bench.pass(61);
    assert!(bench.told[0].0 == "crl-expired" && bench.told[0].1.contains("old.crl"), "{:?}", bench.told);
}

#[test]
fn a_list_of_the_operators_that_is_no_good_is_told() {
    let mut bench = Bench::new("crl", &[]);
    let forged = Draft::of(&ROOT, NOW).sign(&KEYS[5]);
    bench.configure(&[], &[("forged.crl", forged)]);
    assert_eq!(bench.said(), []);
    assert!(bench.told[0].0 == "crl-refused" && bench.told[0].1.contains("forged.crl"), "{:?}", bench.told);
    assert_eq!(bench.desk.deadline(), None, "there is no address to ask");
}

/// What the upkeep of a CRL comes to is a flag of its authority (PKI-16), gone when there is a good one.
#[test]
fn the_state_of_a_list_is_a_flag_of_its_authority() {
    let mut bench = Bench::new("crl", &[(CRL_URL, State::Forged)]);
    let flag = |bench: &Bench| {
        let (authority, ..) = bench.desk.kept().next().unwrap();
        bench.desk.list_flag(authority, bench.now).map(|flag| flag.word)
    };
    bench.configure(&[CRL_URL, OTHER_URL], &[]);
    assert_eq!(flag(&bench), Some("loading-crl"));
    bench.serve();
    // The second address was away, which says less than what came from the first.
    assert_eq!(flag(&bench), Some("invalid-crl"));
    for (state, expected) in [(State::Stale, Some("expired-crl")), (State::Good, None)] {
        bench.world = World::with(&[(CRL_URL, state)]);
        assert_eq!(bench.desk.hasten(None, bench.now), 1);
        bench.serve();
        assert_eq!(flag(&bench), expected, "{state:?}");
    }
    bench.now = UnixTime(bench.now.0 + 90_000);
    assert_eq!(flag(&bench), Some("expired-crl"));
    let ended = Draft::of(&ROOT, NOW).between(NOW.0 - 7200, Some(NOW.0 - 600)).sign(&KEYS[0]);
    let mut bench = Bench::new("crl", &[]);
    bench.configure(&[], &[("ended.crl", ended)]);
    assert_eq!(flag(&bench), Some("expired-crl"));
}
