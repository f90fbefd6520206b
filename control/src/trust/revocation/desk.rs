//! What is known of revocation, which peers wait to be judged by it, and what is being fetched for them. Pure: the time
//! comes in, fetches and judgements go out as effects.
//!
//! A peer whose path needs something fetched is parked with a deadline and blocks nobody (IKE-54); those who need the
//! same wait for one fetch. When the deadline comes, it is judged by what is known then. CRLs of authorities with
//! configured addresses are kept up by their schedule, whether anybody needs them or not. Whatever arrives is held
//! against the tunnels that are up (REV-28).

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use ravelin_ike::id::IkeId;
use ravelin_pki::revocation::cache::{Cache, Limits, Schedule, Upkeep};
use ravelin_pki::revocation::crl::Crl;
use ravelin_pki::revocation::ocsp::Answer;
use ravelin_pki::revocation::policy::{Check, CrlDuty, Decision, Fetch, Fetched, Method, Rules, Step};
use ravelin_pki::revocation::{Issued, KeyId, Revoked, Status};
use ravelin_pki::verdict::Verdict;
use ravelin_pki::{Certificate, UnixTime};

use super::found::{Found, Whose};
use super::live::{Live, is_asked};
use super::stapled::Brought;
use crate::trust::expiry::{Expiry, Item, Stage, Warning};
use crate::trust::standing::{Flag, List, Trouble};
use crate::trust::{Refusal, Regime, Withdrawn};

/// How often CRLs are looked at for whether they end, in seconds.
const LOOK: i64 = 60;
/// Peers that may wait: as many as may be half-open, and then some.
const PARKED: usize = 65_536;

/// A certificate whose chain is good.
#[derive(Debug)]
pub struct Question {
    /// Whose it is.
    pub whose: Whose,
    /// What is known of it so far.
    pub verdict: Box<Verdict>,
    /// What the peer has brought about it.
    pub brought: Vec<Brought>,
    /// By which rules to ask.
    pub regime: Arc<Regime>,
    /// From which instance.
    pub instance: u16,
}

/// An authority whose CRL is kept up.
#[derive(Clone, Debug)]
pub struct Authority {
    /// Its profile's name.
    pub name: String,
    /// Its certificate.
    pub certificate: Arc<Certificate>,
    /// Its rules.
    pub rules: Arc<Rules>,
    /// CRLs from files and the store, with what they are named as.
    pub lists: Vec<(String, Arc<[u8]>)>,
    /// When its CRL is fetched again.
    pub schedule: Schedule,
    /// Seconds after a round that brought nothing.
    pub retry: Option<i64>,
    /// From which instance.
    pub instance: u16,
}

/// Something to fetch; what comes of it goes to [`Desk::arrived`].
#[derive(Clone, Debug)]
pub struct Errand {
    /// Its number.
    pub number: u64,
    /// What.
    pub fetch: Fetch,
    /// From which instance.
    pub instance: u16,
    /// Whether a peer waits for it.
    pub is_awaited: bool,
}

/// What is to be done: by the thread that asks the desk, or by the control loop, which never sees a fetch.
#[derive(Debug)]
pub enum Effect {
    /// Fetch this.
    Fetch(Errand),
    /// The loop is to hear this.
    Report(Found),
}

/// What one fetch is for; equal ones are made once.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Place {
    instance: u16,
    method: Method,
    url: String,
    authority: KeyId,
    /// Of the certificate, where the answer is about one alone.
    serial: Option<Vec<u8>>,
}

#[derive(Debug)]
struct Parked {
    question: Question,
    check: Check,
    until: UnixTime,
    wants: Option<Fetch>,
}

#[derive(Debug)]
struct UnderWay {
    place: Place,
    waiting: Vec<u64>,
    /// Whose upkeep it is.
    upkeep: Option<KeyId>,
}

#[derive(Debug)]
struct Kept {
    authority: Authority,
    upkeep: Upkeep,
    /// Why its CRL, or a newer one, is not there.
    trouble: Option<Trouble>,
}

/// All of it.
#[derive(Debug)]
pub struct Desk {
    cache: Cache,
    /// Seconds a peer may wait.
    patience: i64,
    parked: BTreeMap<u64, Parked>,
    under_way: BTreeMap<u64, UnderWay>,
    places: HashMap<Place, u64>,
    authorities: BTreeMap<KeyId, Kept>,
    live: Live,
    expiry: Expiry,
    /// When CRLs are looked at again for whether they end.
    look: UnixTime,
    effects: VecDeque<Effect>,
    last: u64,
}

impl Desk {
    /// Nothing known; peers wait for so many seconds, and the end of CRLs is warned of like this.
    pub fn new(patience: i64, warning: Warning) -> Self {
        Self {
            cache: Cache::new(Limits::default()),
            patience,
            parked: BTreeMap::new(),
            under_way: BTreeMap::new(),
            places: HashMap::new(),
            authorities: BTreeMap::new(),
            live: Live::default(),
            expiry: Expiry::new(warning),
            look: UnixTime(i64::MIN),
            effects: VecDeque::new(),
            last: 0,
        }
    }

    /// The next thing to be done.
    pub fn poll(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// What is known.
    pub const fn cache(&self) -> &Cache {
        &self.cache
    }

    /// Peers that wait, and tunnels that rest on what was judged.
    pub fn counts(&self) -> (usize, usize) {
        (self.parked.len(), self.live.len())
    }

    /// Authorities whose CRL is kept, with when it is fetched next and whether it is being fetched.
    pub fn kept(&self) -> impl Iterator<Item = (&Authority, Option<UnixTime>, bool)> {
        self.authorities.values().map(|kept| (&kept.authority, kept.upkeep.due(), kept.upkeep.is_asking()))
    }

    /// The flag that an authority's CRL raises, by the key of the authority.
    pub fn list_flag(&self, authority: &Authority, now: UnixTime) -> Option<Flag> {
        let key = KeyId::of(&authority.certificate);
        let held = self.cache.lists().map(|held| &held.value).filter(|list| list.key() == key);
        let list = List {
            is_named: !authority.rules.crl_urls.is_empty() || !authority.lists.is_empty(),
            is_mandatory: authority.rules.crl == CrlDuty::Mandatory,
            held: held.max_by_key(|list| list.this_update()).map(|list| &**list),
            trouble: self.authorities.get(&key).and_then(|kept| kept.trouble.as_ref()),
        };
        list.flag(now)
    }

    /// When there is something to do by itself.
    pub fn deadline(&self) -> Option<UnixTime> {
        let parked = self.parked.first_key_value().map(|(_, parked)| parked.until);
        let rounds = self.authorities.values().filter_map(|kept| kept.upkeep.due());
        parked.into_iter().chain(rounds).min()
    }

    /// Judges a certificate, at once if nothing has to be fetched for it.
    pub fn ask(&mut self, mut question: Question, now: UnixTime) {
        if self.parked.len() >= PARKED {
            let refusal = Refusal::Busy(PARKED);
            return self.report(Found::Judged(question.whose, Err(refusal)));
        }
        let mut check = Check::new(&question.verdict.path, |issuer| question.regime.rules(issuer));
        let brought = std::mem::take(&mut question.brought);
        self.take_in(brought, &mut check, &question.verdict.path, now);
        let until = UnixTime(now.0.saturating_add(self.patience));
        let number = self.number();
        self.parked.insert(number, Parked { question, check, until, wants: None });
        self.step(number, now);
    }

    /// Something was fetched, or was not.
    pub fn arrived(&mut self, number: u64, fetched: Fetched, now: UnixTime) {
        let Some(UnderWay { place, waiting, upkeep }) = self.under_way.remove(&number) else { return };
        self.places.remove(&place);
        self.note_trouble(upkeep, &fetched);
        let failure = self.keep(fetched, &place.url, now).err();
        for waiter in waiting {
            let Some(parked) = self.parked.get_mut(&waiter) else { continue };
            let Some(wanted) = parked.wants.take() else { continue };
            parked.check.fetched(&wanted, failure.clone());
            self.step(waiter, now);
        }
        if let Some(authority) = upkeep {
            self.go_on(authority, &place.url, failure, now);
        }
    }

    /// What time itself does: ends waits, begins rounds of upkeep, warns of CRLs that end.
    pub fn tick(&mut self, now: UnixTime) {
        self.warn(now);
        while let Some((&number, _)) = self.parked.first_key_value().filter(|(_, it)| it.until <= now) {
            self.step(number, now);
        }
        let due: Vec<KeyId> = self.authorities.keys().copied().collect();
        for key in due {
            let Some(kept) = self.authorities.get_mut(&key) else { continue };
            if let Some(url) = kept.upkeep.begin(now).map(str::to_owned) {
                self.fetch_for(key, url);
            }
        }
    }

    /// Warns of CRLs that end, or have ended.
    fn warn(&mut self, now: UnixTime) {
        if now < self.look {
            return;
        }
        self.look = UnixTime(now.0.saturating_add(LOOK));
        let items = self.cache.lists().filter_map(|held| {
            let name = format!("\"{}\" from {}", held.value.issuer(), held.source);
            Some(Item { name, from: held.value.this_update(), until: held.value.next_update()? })
        });
        for (stage, item) in self.expiry.look(items, now) {
            let what = match stage {
                Stage::Good => "crl-valid",
                Stage::NotYet => "crl-not-yet-valid",
                Stage::Ending => "crl-expiring",
                Stage::Ended => "crl-expired",
            };
            let text = format!("{}: good from {} until {}", item.name, item.from, item.until);
            self.tell(what, text);
        }
    }

    /// Tunnels are gone.
    pub fn gone(&mut self, gone: &[IkeId]) {
        self.live.remove(gone);
    }

    /// The authorities whose CRLs are kept are these from now on. What is held stays.
    pub fn configure(&mut self, authorities: Vec<Authority>, now: UnixTime) {
        self.authorities.clear();
        for authority in authorities {
            let (key, mut trouble) = (KeyId::of(&authority.certificate), None);
            for (name, octets) in &authority.lists {
                let fetched = own_fetch(&authority, name.clone()).list(octets, now);
                trouble = Trouble::of(&fetched).map(|it| it.or_former(trouble.take()));
                if let Err(why) = self.keep(fetched, name, now) {
                    let told = format!("ca-profile {}: crl {name}: {why}", authority.name);
                    self.tell("crl-refused", told);
                }
            }
            let held = self.cache.lists().filter(|held| held.value.key() == key);
            let usable = held.filter(|held| held.value.next_update().is_none_or(|until| now <= until));
            let held = usable.max_by_key(|held| held.value.this_update());
            let urls = authority.rules.crl_urls.clone();
            let upkeep = Upkeep::new(urls, authority.schedule, authority.retry, held, now);
            self.authorities.insert(key, Kept { authority, upkeep, trouble });
        }
        self.tick(now);
    }

    /// Has the CRL of one authority, or of all, fetched now. How many there are; none is an error of whoever asks.
    pub fn hasten(&mut self, name: Option<&str>, now: UnixTime) -> usize {
        let meant = self.authorities.values_mut().filter(|kept| {
            !kept.authority.rules.crl_urls.is_empty() && name.is_none_or(|name| kept.authority.name == name)
        });
        let count = meant.map(|kept| kept.upkeep.hasten(now)).count();
        self.tick(now);
        count
    }

    /// Forgets what responders have said.
    pub fn clear_answers(&mut self) -> usize {
        let count = self.cache.answers().count();
        self.cache.clear_answers();
        count
    }

    /// What the loop is to hear, in its turn.
    pub(super) fn report(&mut self, found: Found) {
        self.effects.push_back(Effect::Report(found));
    }

    /// Something the operator should know.
    pub(super) fn tell(&mut self, what: &'static str, text: String) {
        self.report(Found::Tell(what, text));
    }

    /// Keeps an answer that was not fetched.
    pub(super) fn keep_answer(&mut self, answer: Answer, source: &str, now: UnixTime) {
        self.cache.keep_answer(answer, source, now);
    }

    const fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// As far as one can go with what is known.
    fn step(&mut self, number: u64, now: UnixTime) {
        loop {
            let Some(parked) = self.parked.get_mut(&number) else { return };
            match parked.check.next(&self.cache, now) {
                Step::Decided(decision) => return self.decided(number, decision, now),
                Step::Need(fetch) if now < parked.until => {
                    parked.wants = Some(fetch.clone());
                    let instance = parked.question.instance;
                    return self.send_for(fetch, instance, number);
                }
                Step::Need(fetch) => {
                    let late = format!("no answer within the {} s that a peer waits", self.patience);
                    parked.check.fetched(&fetch, Some(late));
                }
            }
        }
    }

    fn decided(&mut self, number: u64, decision: Decision, now: UnixTime) {
        let Some(Parked { question, .. }) = self.parked.remove(&number) else { return };
        let Question { whose, verdict, regime, .. } = question;
        if matches!(whose, Whose::Ours(_)) {
            self.give_out(&verdict.path, now);
        }
        let judged = verdict.with_revocation(decision).map(Box::new).map_err(Refusal::from);
        if let (Whose::Peer(_, ike), Ok(verdict)) = (&whose, &judged) {
            self.live.add(*ike, &verdict.path, |issued| is_asked(&regime.rules(&issued.issuer)));
        }
        self.report(Found::Judged(whose, judged));
    }

    /// A peer waits for a fetch, with others if one is under way.
    fn send_for(&mut self, fetch: Fetch, instance: u16, waiter: u64) {
        let place = Place::of(&fetch, instance);
        if let Some(under_way) = self.places.get(&place).and_then(|number| self.under_way.get_mut(number)) {
            return under_way.waiting.push(waiter);
        }
        self.send(fetch, place, vec![waiter], None);
    }

    /// The CRL of an authority is wanted from one of its addresses.
    fn fetch_for(&mut self, key: KeyId, url: String) {
        let Some(Kept { authority, .. }) = self.authorities.get(&key) else { return };
        let (fetch, instance) = (own_fetch(authority, url), authority.instance);
        let place = Place::of(&fetch, instance);
        match self.places.get(&place).and_then(|number| self.under_way.get_mut(number)) {
            Some(under_way) => under_way.upkeep = Some(key),
            None => self.send(fetch, place, Vec::new(), Some(key)),
        }
    }

    fn send(&mut self, fetch: Fetch, place: Place, waiting: Vec<u64>, upkeep: Option<KeyId>) {
        let (number, instance, is_awaited) = (self.number(), place.instance, !waiting.is_empty());
        self.places.insert(place.clone(), number);
        self.under_way.insert(number, UnderWay { place, waiting, upkeep });
        self.effects.push_back(Effect::Fetch(Errand { number, fetch, instance, is_awaited }));
    }

    /// Takes in what came, and ends what no longer holds by it.
    fn keep(&mut self, fetched: Fetched, source: &str, now: UnixTime) -> Result<(), String> {
        let (list, answer) = match &fetched {
            Fetched::List(Ok(list)) => (Some(Arc::clone(list)), None),
            Fetched::Answer(Ok(answer)) => (None, Some(answer.clone())),
            _ => (None, None),
        };
        fetched.keep(source, &mut self.cache, now)?;
        list.into_iter().for_each(|list| self.listed(&list, source));
        answer.into_iter().for_each(|answer| self.answered(&answer, source));
        Ok(())
    }

    fn listed(&mut self, list: &Crl, source: &str) {
        let until = list.next_update().map_or_else(String::new, |until| format!(", good until {until}"));
        let told = format!("\"{}\": {} revoked{until}, from {source}", list.issuer(), list.len());
        self.tell("crl-updated", told);
        for (ike, serial, revoked) in self.live.listed(list) {
            self.distrust(ike, &serial, revoked, Method::Crl, source);
        }
    }

    pub(super) fn answered(&mut self, answer: &Answer, source: &str) {
        let Status::Revoked(revoked) = answer.status() else { return };
        let (authority, serial) = answer.about();
        for ike in self.live.resting_on(authority, serial) {
            self.distrust(ike, serial, revoked, Method::Ocsp, source);
        }
    }

    fn distrust(&mut self, ike: IkeId, serial: &[u8], revoked: Revoked, method: Method, source: &str) {
        let withdrawn = Withdrawn { serial: serial.to_vec(), revoked, method, place: source.to_owned() };
        self.report(Found::Distrust(ike, Refusal::Withdrawn(Box::new(withdrawn))));
    }

    /// What came of a fetch for the upkeep of an authority's CRL.
    fn note_trouble(&mut self, upkeep: Option<KeyId>, fetched: &Fetched) {
        let kept = upkeep.and_then(|key| self.authorities.get_mut(&key));
        kept.into_iter().for_each(|kept| {
            kept.trouble = Trouble::of(fetched).map(|it| it.or_former(kept.trouble.take()));
        });
    }

    /// A round of upkeep goes on, or is over.
    fn go_on(&mut self, key: KeyId, url: &str, failure: Option<String>, now: UnixTime) {
        let Some(kept) = self.authorities.get_mut(&key) else { return };
        let held = self.cache.lists().filter(|held| held.value.key() == key && held.source == url);
        let held = held.max_by_key(|held| held.value.this_update());
        let (Some(why), name) = (failure, kept.authority.name.clone()) else {
            return held.into_iter().for_each(|held| kept.upkeep.succeeded(held));
        };
        let told = Found::Tell("crl-failed", format!("ca-profile {name}: {url}: {why}"));
        self.effects.push_back(Effect::Report(told));
        match kept.upkeep.failed(now).map(str::to_owned) {
            Some(next) => self.fetch_for(key, next),
            None => {
                let next =
                    kept.upkeep.due().map_or("nobody asks again".to_owned(), |due| format!("again at {due}"));
                let told = format!("ca-profile {name}: no address has a newer CRL; {next}");
                self.tell("crl-round-failed", told);
            }
        }
    }
}

impl Place {
    fn of(fetch: &Fetch, instance: u16) -> Self {
        let alone = fetch.method == Method::Ocsp;
        Self {
            instance,
            method: fetch.method,
            url: fetch.url.clone(),
            authority: KeyId::of(&fetch.issued.issuer),
            serial: alone.then(|| fetch.issued.certificate.serial.clone()),
        }
    }
}

/// The fetch of an authority's own CRL. Which of its certificates is asked about does not matter: the list is of all.
fn own_fetch(authority: &Authority, url: String) -> Fetch {
    let certificate = &authority.certificate;
    Fetch {
        method: Method::Crl,
        url,
        issued: Issued::new(Arc::clone(certificate), Arc::clone(certificate)),
        rules: Arc::clone(&authority.rules),
    }
}

#[cfg(test)]
mod tests;
