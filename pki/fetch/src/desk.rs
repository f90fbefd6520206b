//! Who waits for what, and whose turn it is: single flight, order, bounds. Pure: a fetch's end is told, never awaited.
//!
//! Equal requests under way share one fetch; thousands of tunnels that meet one expired CRL cost its server one
//! request. Fetches are served by priority, then in order; a server is asked by so many at once and no more, and while
//! it is, others go before. `W` is whatever waits for an answer.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use crate::backoff::{Place, Troubles};
use crate::error::FetchError;
use crate::instance::Id;
use crate::policy::Origin;
use crate::request::{Limits, Method, Outcome, Priority, Request, Reuse};
use crate::url::{Credentials, Server, Url};

/// How much is kept waiting and how much is done at once.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Different fetches that wait or are under way.
    pub fetches: usize,
    /// All who wait for them.
    pub waiters: usize,
    /// Fetches from one server at once.
    pub per_server: usize,
    /// Different fetches at a stranger's word ([`Origin::Stranger`]) that wait or are under way.
    pub strangers: usize,
    /// Of those, fetches at once; from one server never more than one, and only while nothing else is fetched there.
    pub strangers_at_once: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { fetches: 1024, waiters: 65_536, per_server: 2, strangers: 64, strangers_at_once: 3 }
    }
}

/// What makes two requests one: all but who is served first.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key {
    url: Url,
    method: Method,
    origin: Origin,
    instance: Option<Id>,
    credentials: Option<Credentials>,
    start_tls: bool,
    limits: Limits,
    reuse: Reuse,
}

impl Key {
    fn of(request: &Request) -> Self {
        Self {
            url: request.url.clone(),
            method: request.method.clone(),
            origin: request.origin,
            instance: request.instance.as_ref().map(crate::Instance::id),
            credentials: request.credentials.clone(),
            start_tls: request.start_tls,
            limits: request.limits,
            reuse: request.reuse,
        }
    }

    fn server(&self) -> Option<(Option<Id>, Server)> {
        self.url.server.clone().map(|server| (self.instance, server))
    }

    fn is_strangers(&self) -> bool {
        self.origin == Origin::Stranger
    }

    fn places(&self) -> impl Iterator<Item = Place> {
        let server = self.server().map(|(instance, server)| Place::Server(instance, server));
        server.into_iter().chain([Place::Url(self.instance, self.url.clone())])
    }
}

type Turn = (Reverse<Priority>, u64);

#[derive(Debug)]
struct Flight<W> {
    request: Request,
    asked: Instant,
    /// Its place in the queue; absent while it is under way.
    turn: Option<Turn>,
    waiters: Vec<W>,
}

/// What became of a request at the desk.
#[derive(Debug, PartialEq, Eq)]
pub enum Entered {
    /// It waits for its turn.
    New,
    /// It waits for what was asked for already.
    Joined,
}

/// A fetch whose turn it is.
#[derive(Debug)]
pub struct Job {
    /// To be handed back with its outcome.
    pub key: Key,
    /// What to do.
    pub request: Request,
    /// Since when it waits: its deadline counts from then.
    pub asked: Instant,
}

/// The desk.
#[derive(Debug)]
pub struct Desk<W> {
    bounds: Bounds,
    flights: HashMap<Key, Flight<W>>,
    queue: BTreeMap<Turn, Key>,
    busy: HashMap<(Option<Id>, Server), usize>,
    troubles: Troubles,
    waiters: usize,
    /// Fetches at a stranger's word, and how many of them are under way.
    strangers: usize,
    strangers_busy: usize,
    numbered: u64,
}

impl<W> Desk<W> {
    /// Nobody waits.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            flights: HashMap::new(),
            queue: BTreeMap::new(),
            busy: HashMap::new(),
            troubles: Troubles::default(),
            waiters: 0,
            strangers: 0,
            strangers_busy: 0,
            numbered: 0,
        }
    }

    /// Takes a request.
    ///
    /// # Errors
    /// Why it is refused at once, with the waiter back.
    pub fn enter(&mut self, now: Instant, request: Request, waiter: W) -> Result<Entered, (FetchError, W)> {
        let key = Key::of(&request);
        if self.waiters >= self.bounds.waiters {
            return Err((FetchError::QueueFull(self.waiters), waiter));
        }
        if self.flights.contains_key(&key) {
            self.join(&key, request.priority, waiter);
            return Ok(Entered::Joined);
        }
        if request.priority < Priority::Operator
            && let Some(error) = key.places().find_map(|place| self.troubles.check(now, &place))
        {
            return Err((error, waiter));
        }
        if self.flights.len() >= self.bounds.fetches {
            return Err((FetchError::QueueFull(self.flights.len()), waiter));
        }
        if key.is_strangers() {
            if self.strangers >= self.bounds.strangers {
                return Err((FetchError::QueueFull(self.strangers), waiter));
            }
            self.strangers += 1;
        }
        let turn = (Reverse(request.priority), self.numbered);
        self.numbered += 1;
        self.waiters += 1;
        self.queue.insert(turn, key.clone());
        self.flights.insert(key, Flight { request, asked: now, turn: Some(turn), waiters: vec![waiter] });
        Ok(Entered::New)
    }

    /// A later one may raise what waits to its own priority.
    fn join(&mut self, key: &Key, priority: Priority, waiter: W) {
        let Some(flight) = self.flights.get_mut(key) else { return };
        flight.waiters.push(waiter);
        self.waiters += 1;
        if let Some(turn) = flight.turn
            && priority > turn.0.0
        {
            let raised = (Reverse(priority), turn.1);
            flight.turn = Some(raised);
            self.queue.remove(&turn);
            self.queue.insert(raised, key.clone());
        }
    }

    /// The next fetch, which is under way from now on.
    pub fn next_job(&mut self) -> Option<Job> {
        let is_free = |key: &Key| {
            let busy = key.server().and_then(|server| self.busy.get(&server)).copied().unwrap_or(0);
            match key.is_strangers() {
                true => busy == 0 && self.strangers_busy < self.bounds.strangers_at_once,
                false => busy < self.bounds.per_server,
            }
        };
        let (turn, key) = self.queue.iter().find(|(_, key)| is_free(key)).map(|(t, k)| (*t, k.clone()))?;
        self.queue.remove(&turn);
        let flight = self.flights.get_mut(&key)?;
        flight.turn = None;
        if let Some(server) = key.server() {
            *self.busy.entry(server).or_insert(0) += 1;
        }
        self.strangers_busy += usize::from(key.is_strangers());
        Some(Job { request: flight.request.clone(), asked: flight.asked, key })
    }

    /// Notes how a fetch ended and returns those who wait for it. `random` is any number, all equally likely.
    pub fn finish(&mut self, now: Instant, key: &Key, outcome: &Outcome, random: u64) -> Vec<W> {
        self.release(key);
        if key.is_strangers() {
            // Whom a stranger could not reach others may still ask.
            self.strangers = self.strangers.saturating_sub(1);
            self.strangers_busy = self.strangers_busy.saturating_sub(1);
        } else {
            self.remember(now, key, outcome, random);
        }
        let waiters = self.flights.remove(key).map(|flight| flight.waiters).unwrap_or_default();
        self.waiters -= waiters.len();
        waiters
    }

    /// Gives up: all who wait.
    pub fn close(&mut self) -> Vec<W> {
        self.queue.clear();
        (self.waiters, self.strangers) = (0, 0);
        self.flights.drain().flat_map(|(_, flight)| flight.waiters).collect()
    }

    /// How many fetches wait for their turn, and how many are under way.
    #[must_use]
    pub fn load(&self) -> (usize, usize) {
        (self.queue.len(), self.flights.len() - self.queue.len())
    }

    fn release(&mut self, key: &Key) {
        let Some(server) = key.server() else { return };
        if let Some(busy) = self.busy.get_mut(&server) {
            *busy = busy.saturating_sub(1);
            if *busy == 0 {
                self.busy.remove(&server);
            }
        }
    }

    /// An answer of any kind proves the server; a failure stays with the server or with the URL.
    fn remember(&mut self, now: Instant, key: &Key, outcome: &Outcome, random: u64) {
        let of_the_server = outcome.as_ref().err().is_some_and(FetchError::is_of_the_server);
        for place in key.places() {
            let is_meant = matches!(place, Place::Server(..)) == of_the_server;
            match outcome {
                Err(error) if is_meant && error.is_remembered() => {
                    self.troubles.failed(now, place, error, random);
                }
                Err(error) if !error.is_remembered() || of_the_server => {}
                _ => self.troubles.succeeded(&place),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::Arc;
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::error::Stage;
    use crate::request::{Fetched, Source};

    fn request(url: &str) -> Request {
        Request::new(Url::parse(url).unwrap())
    }

    fn fetched() -> Outcome {
        Ok(Arc::new(Fetched {
            bytes: vec![1],
            further: Vec::new(),
            from: Source::Cache,
            fresh_until: None,
            took: Duration::ZERO,
        }))
    }

    fn desk(fetches: usize, per_server: usize) -> Desk<u32> {
        Desk::new(Bounds { fetches, waiters: 100, per_server, ..Bounds::default() })
    }

    /// Ten tunnels, one CRL, one request; a POST of another body is another.
    #[test]
    fn equal_requests_share_a_fetch() {
        let (now, mut desk) = (Instant::now(), desk(10, 9));
        assert_eq!(desk.enter(now, request("http://a/crl"), 0), Ok(Entered::New));
        for waiter in 1..5 {
            assert_eq!(desk.enter(now, request("http://a/crl"), waiter), Ok(Entered::Joined));
        }
        let job = desk.next_job().unwrap();
        assert_eq!(desk.enter(now, request("http://a/crl"), 5), Ok(Entered::Joined), "under way as well");
        assert!(desk.next_job().is_none());
        assert_eq!(desk.finish(now, &job.key, &fetched(), 0), [0, 1, 2, 3, 4, 5]);
        assert_eq!(desk.enter(now, request("http://a/crl"), 6), Ok(Entered::New), "and then anew");
        for body in [1, 2] {
            let method = Method::Post { body: vec![body], content_type: "application/ocsp-request" };
            let post = Request { method, ..request("http://a/ocsp") };
            assert_eq!(desk.enter(now, post, 7), Ok(Entered::New));
        }
    }

    /// Prefetches stand back; who joins one with more need takes it along.
    #[test]
    fn need_goes_first() {
        let (now, mut desk) = (Instant::now(), desk(10, 9));
        let prefetch = |url| Request { priority: Priority::Prefetch, ..request(url) };
        desk.enter(now, prefetch("http://a/"), 0).unwrap();
        desk.enter(now, prefetch("http://b/"), 0).unwrap();
        desk.enter(now, request("http://c/"), 0).unwrap();
        desk.enter(now, request("http://b/"), 1).unwrap();
        let order: Vec<String> =
            std::iter::from_fn(|| desk.next_job()).map(|job| job.key.url.to_string()).collect();
        assert_eq!(order, ["http://b/", "http://c/", "http://a/"]);
    }

    /// One slow server does not take all threads.
    #[test]
    fn a_server_is_asked_by_so_many() {
        let (now, mut desk) = (Instant::now(), desk(10, 2));
        for url in ["http://a/1", "http://a/2", "http://a/3", "http://b/1"] {
            desk.enter(now, request(url), 0).unwrap();
        }
        let first = desk.next_job().unwrap();
        desk.next_job().unwrap();
        assert_eq!(desk.next_job().unwrap().key.url.to_string(), "http://b/1");
        assert!(desk.next_job().is_none());
        desk.finish(now, &first.key, &fetched(), 0);
        assert_eq!(desk.next_job().unwrap().key.url.to_string(), "http://a/3");
    }

    /// What a stranger can make us keep is bounded.
    #[test]
    fn the_queue_is_bounded() {
        let (now, mut desk) = (Instant::now(), desk(2, 1));
        desk.enter(now, request("http://a/"), 0).unwrap();
        desk.enter(now, request("http://b/"), 1).unwrap();
        assert_eq!(desk.enter(now, request("http://c/"), 2), Err((FetchError::QueueFull(2), 2)));
        for waiter in 2..100 {
            desk.enter(now, request("http://a/"), waiter).unwrap();
        }
        assert_eq!(desk.enter(now, request("http://a/"), 100), Err((FetchError::QueueFull(100), 100)));
        assert_eq!(desk.close().len(), 100);
        assert_eq!(desk.load(), (0, 0));
    }

    /// A dead server is left alone with all its URLs, a missing file alone; an operator may try at once.
    #[test]
    fn failures_are_remembered_where_they_belong() {
        let (now, mut desk) = (Instant::now(), desk(10, 9));
        let fails = |desk: &mut Desk<u32>, url, error: FetchError| {
            desk.enter(now, Request { priority: Priority::Operator, ..request(url) }, 0).unwrap();
            let job = desk.next_job().unwrap();
            desk.finish(now, &job.key, &Err(error), 0);
        };
        fails(&mut desk, "http://a/1", FetchError::Status { code: 404, text: String::new() });
        assert!(matches!(desk.enter(now, request("http://a/1"), 0), Err((FetchError::BackingOff { .. }, 0))));
        let late = FetchError::TimedOut { stage: Stage::Connect, deadline: Duration::ZERO };
        fails(&mut desk, "http://b/1", late);
        assert!(matches!(desk.enter(now, request("http://b/2"), 0), Err((FetchError::BackingOff { .. }, 0))));
        fails(&mut desk, "http://c/1", FetchError::Machine { what: "x".into(), reason: "y".into() });
        assert_eq!(
            desk.enter(now, request("http://c/1"), 0),
            Ok(Entered::New),
            "our own trouble is not theirs"
        );
        let again = Request { priority: Priority::Operator, ..request("http://b/1") };
        assert_eq!(desk.enter(now, again, 0), Ok(Entered::New));
        let later = now + Duration::from_secs(1);
        assert_eq!(desk.enter(later, request("http://a/1"), 0), Ok(Entered::New));
    }

    /// Strangers fill neither the queue nor the threads, take turns at a server with nobody, and what they meet is held
    /// against nobody.
    #[test]
    fn strangers_have_a_share_of_their_own() {
        let bounds = Bounds { strangers: 4, strangers_at_once: 2, ..Bounds::default() };
        let (now, mut desk) = (Instant::now(), Desk::new(bounds));
        let stranger = |url: &str| Request { origin: Origin::Stranger, ..request(url) };
        for url in ["http://a/1", "http://a/2", "http://b/", "http://c/"] {
            assert_eq!(desk.enter(now, stranger(url), 0), Ok(Entered::New));
        }
        assert_eq!(desk.enter(now, stranger("http://d/"), 0), Err((FetchError::QueueFull(4), 0)));
        assert_eq!(desk.enter(now, request("http://a/3"), 0), Ok(Entered::New));
        let jobs: Vec<Job> = std::iter::from_fn(|| desk.next_job()).collect();
        let urls: Vec<String> = jobs.iter().map(|job| job.request.url.to_string()).collect();
        assert_eq!(urls, ["http://a/1", "http://b/", "http://a/3"]);
        let late = FetchError::TimedOut { stage: Stage::Connect, deadline: Duration::ZERO };
        for job in &jobs {
            let outcome = if job.key.is_strangers() { Err(late.clone()) } else { fetched() };
            desk.finish(now, &job.key, &outcome, 0);
        }
        assert_eq!(desk.enter(now, request("http://b/"), 0), Ok(Entered::New), "b is no worse for it");
        assert_eq!(desk.enter(now, stranger("http://d/"), 0), Ok(Entered::New));
        assert_eq!(std::iter::from_fn(|| desk.next_job()).count(), 3, "b for us, and two for strangers");
    }

    proptest! {
        /// Whatever comes in what order: everyone who was let in is answered once, and no server is asked by more
        /// than may be.
        #[test]
        fn everyone_is_answered_once(steps in proptest::collection::vec((0_u8..3, 0_usize..6, any::<bool>()), 1..80)) {
            let (now, mut desk) = (Instant::now(), desk(4, 2));
            let (mut let_in, mut answered, mut jobs) = (HashSet::new(), Vec::new(), Vec::<Job>::new());
            for (number, (step, which, well)) in steps.into_iter().enumerate() {
                let number = number as u32;
                match step {
                    0 => {
                        let asked = request(&format!("http://h{}/{which}", which % 2));
                        let asked = Request { priority: Priority::Operator, ..asked };
                        if desk.enter(now, asked, number).is_ok() {
                            let_in.insert(number);
                        }
                    }
                    1 => jobs.extend(desk.next_job()),
                    _ if jobs.is_empty() => {}
                    _ => {
                        let job = jobs.swap_remove(which % jobs.len());
                        let outcome = if well { fetched() } else { Err(FetchError::Closed) };
                        answered.extend(desk.finish(now, &job.key, &outcome, 0));
                    }
                }
                for host in 0..2 {
                    let name = format!("h{host}:80");
                    let busy = jobs.iter().filter(|job| job.key.url.server.as_ref().unwrap().to_string() == name);
                    prop_assert!(busy.count() <= 2);
                }
            }
            while let Some(job) = jobs.pop().or_else(|| desk.next_job()) {
                answered.extend(desk.finish(now, &job.key, &fetched(), 0));
            }
            prop_assert_eq!(answered.len(), let_in.len());
            prop_assert_eq!(answered.into_iter().collect::<HashSet<_>>(), let_in);
        }
    }
}
