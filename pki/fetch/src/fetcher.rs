//! The threads that fetch, and the way in: a request is handed over and comes back as a call.
//!
//! The desk, under one lock, is all they share; the lock is never held while something is fetched. A reply is called
//! exactly once, on a fetching thread, or at once on the caller's where the request is refused; it must not block.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Instant, SystemTime};

use crate::answer::check_size;
use crate::cache::{Head, Keep, Plan, plan, seconds};
use crate::desk::{Bounds, Desk, Job};
use crate::dial::{Dialer, machine};
use crate::disk::Disk;
use crate::error::{FetchError, Stage};
use crate::instance::{Instance, Whereabouts};
use crate::policy::{Origin, Policy};
use crate::request::{Fetched, Method, Outcome, Request, Source};
use crate::resolve::{Question, Resolvers};
use crate::scheme::{self, Answer, Content, Errand};
use crate::tls::Roots;
use crate::url::Scheme;
use crate::wire::Deadline;

/// What a fetcher is made of.
pub struct Settings {
    /// What may be fetched from where.
    pub policy: Policy,
    /// What TLS servers are judged by.
    pub roots: Roots,
    /// How much is done at once and kept waiting.
    pub bounds: Bounds,
    /// Threads: fetches at once, at least one.
    pub threads: usize,
    /// Where answers are kept over a restart, and how many octets of them.
    pub kept: Option<(PathBuf, u64)>,
    /// Where the jitter of waits comes from.
    pub random: Box<dyn FnMut() -> u64 + Send>,
}

type Reply = Box<dyn FnOnce(Outcome) + Send>;

struct Shared {
    desk: Mutex<State>,
    wake: Condvar,
    dialer: Dialer,
    disk: Option<Disk>,
}

struct State {
    desk: Desk<Reply>,
    random: Box<dyn FnMut() -> u64 + Send>,
    is_open: bool,
}

/// How busy it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Load {
    /// Fetches that wait for their turn.
    pub waiting: usize,
    /// Fetches under way.
    pub under_way: usize,
    /// Why the last answer was not kept on disk.
    pub disk_trouble: Option<String>,
}

/// Fetches, on threads of its own. Dropping it answers all who wait with [`FetchError::Closed`]; what is under way
/// ends by its deadline, unheard.
pub struct Fetcher {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetcher").field("load", &self.load()).finish()
    }
}

impl Fetcher {
    /// Opens the directory and starts the threads.
    ///
    /// # Errors
    /// What the machine refuses.
    pub fn start(settings: Settings) -> Result<Self, FetchError> {
        let disk = settings.kept.map(|(directory, cap)| Disk::open(&directory, cap)).transpose()?;
        let dialer = Dialer {
            policy: Arc::new(settings.policy),
            roots: settings.roots,
            resolvers: Resolvers::default(),
            resolver: None,
        };
        let state = State { desk: Desk::new(settings.bounds), random: settings.random, is_open: true };
        let shared = Arc::new(Shared { desk: Mutex::new(state), wake: Condvar::new(), dialer, disk });
        // Dropped with an error, it ends those that have started.
        let mut fetcher = Self { shared, threads: Vec::new() };
        for number in 0..settings.threads.max(1) {
            let shared = Arc::clone(&fetcher.shared);
            let whereabouts = Whereabouts::of_thread()?;
            let thread = thread::Builder::new()
                .name(format!("fetch-{number}"))
                .spawn(move || shared.work(whereabouts))
                .map_err(|error| machine("start a fetching thread", &error))?;
            fetcher.threads.push(thread);
        }
        Ok(fetcher)
    }

    /// Hands over a request.
    pub fn submit(&self, request: Request, reply: impl FnOnce(Outcome) + Send + 'static) {
        let mut state = self.shared.lock();
        let refused = if state.is_open {
            state.desk.enter(Instant::now(), request, Box::new(reply)).err()
        } else {
            Some((FetchError::Closed, Box::new(reply) as Reply))
        };
        drop(state);
        match refused {
            Some((error, reply)) => reply(Err(error)),
            None => self.shared.wake.notify_one(),
        }
    }

    /// Hands over a request and waits.
    ///
    /// # Errors
    /// Why there are no bytes.
    pub fn fetch(&self, request: Request) -> Outcome {
        let (sender, answer) = mpsc::sync_channel(1);
        self.submit(request, move |outcome| {
            let _ = sender.send(outcome);
        });
        answer.recv().unwrap_or(Err(FetchError::Closed))
    }

    /// Looks a name up from within an instance: its addresses, in the order of the system's resolver. `reply` is called
    /// once, on a thread of its own; late if the name servers are.
    ///
    /// # Errors
    /// Why there is no such thread; then `reply` is not called.
    pub fn resolve(
        &self,
        name: &str,
        instance: Option<Instance>,
        reply: impl FnOnce(Result<Vec<IpAddr>, FetchError>) + Send + 'static,
    ) -> Result<(), FetchError> {
        let resolver = instance.as_ref().and_then(Instance::resolver);
        let question = Question { name: name.to_owned(), port: 0, resolver };
        let enter = move || Whereabouts::of_thread()?.enter(instance.as_ref());
        let addresses = |found: Vec<SocketAddr>| found.iter().map(SocketAddr::ip).collect();
        self.shared.dialer.resolvers.ask(question, enter, move |found| reply(found.map(addresses)))
    }

    /// What is kept for a request, however old: what bridges a restart or a server that is away. Reads a file.
    #[must_use]
    pub fn kept(&self, request: &Request) -> Option<Fetched> {
        let started = Instant::now();
        let (head, values) = self.shared.disk.as_ref()?.read(request)?;
        Some(from_disk(&head, values, Source::Cache, started))
    }

    /// How busy it is.
    #[must_use]
    pub fn load(&self) -> Load {
        let (waiting, under_way) = self.shared.lock().desk.load();
        Load { waiting, under_way, disk_trouble: self.shared.disk.as_ref().and_then(Disk::trouble) }
    }

    /// Answers all who wait, and waits for what is under way.
    pub fn end(mut self) {
        self.close();
        for thread in self.threads.drain(..) {
            // A thread that panicked has said so itself.
            let _ = thread.join();
        }
    }

    fn close(&self) {
        let mut state = self.shared.lock();
        state.is_open = false;
        let replies = state.desk.close();
        drop(state);
        self.shared.wake.notify_all();
        replies.into_iter().for_each(|reply| reply(Err(FetchError::Closed)));
    }
}

impl Drop for Fetcher {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Body of a fetching thread.
    fn work(&self, mut whereabouts: Whereabouts) {
        while let Some(job) = self.next_job() {
            let outcome =
                whereabouts.enter(job.request.instance.as_ref()).and_then(|()| self.carry_out(&job));
            let replies = {
                let mut state = self.lock();
                let random = (state.random)();
                state.desk.finish(Instant::now(), &job.key, &outcome, random)
            };
            // Others may have waited for this server.
            self.wake.notify_all();
            replies.into_iter().for_each(|reply| reply(outcome.clone()));
        }
    }

    fn next_job(&self) -> Option<Job> {
        let mut state = self.lock();
        loop {
            if !state.is_open {
                return None;
            }
            if let Some(job) = state.desk.next_job() {
                return Some(job);
            }
            state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn carry_out(&self, job: &Job) -> Outcome {
        let request = &job.request;
        let deadline = Deadline::new(job.asked, request.limits.deadline);
        deadline.left(Stage::Queue)?;
        let kept = self.disk_for(request).and_then(|disk| disk.read(request));
        let plan = plan(request.reuse, kept.as_ref().map(|(head, _)| head), SystemTime::now());
        if let (Plan::Serve, Some((head, values))) = (&plan, &kept) {
            return check(from_disk(head, values.clone(), Source::Cache, job.asked), request);
        }
        let validators = if let Plan::Ask(validators) = &plan { Some(validators) } else { None };
        let resolver = request.instance.as_ref().and_then(Instance::resolver);
        let dialer = Dialer { resolver, ..self.dialer.clone() };
        let errand = Errand { request, deadline, dialer: &dialer, validators };
        match (scheme::run(&errand)?, kept) {
            (Answer::Content(content), _) => Ok(Arc::new(self.keep(job, *content))),
            (Answer::Unchanged { address, keep }, Some((head, values))) => {
                let fetched = self.renew(job, head, values, keep, Source::Revalidated { address });
                check(fetched, request)
            }
            (Answer::Unchanged { .. }, None) => Err(FetchError::Malformed {
                scheme: request.url.scheme,
                reason: "says unchanged without having been asked".into(),
            }),
        }
    }

    /// Files are here already, what is sent with a POST is answered for it alone, and strangers would push out what
    /// others need.
    fn disk_for(&self, request: &Request) -> Option<&Disk> {
        let is_kept = request.method == Method::Get
            && request.url.scheme != Scheme::File
            && request.origin != Origin::Stranger;
        self.disk.as_ref().filter(|_| is_kept)
    }

    fn keep(&self, job: &Job, content: Content) -> Fetched {
        let now = SystemTime::now();
        let fresh_until = content.keep.until(now);
        if let Some(disk) = self.disk_for(&job.request) {
            let head = Head {
                url: job.request.url.to_string(),
                validators: content.validators,
                stored: seconds(now),
                fresh_until: fresh_until.map(seconds),
                lengths: Vec::new(),
            };
            let further = content.further.iter().map(Vec::as_slice);
            let values: Vec<&[u8]> = std::iter::once(content.bytes.as_slice()).chain(further).collect();
            match content.keep {
                Keep::Never => disk.remove(&job.request),
                Keep::Unsaid | Keep::For(_) => disk.write(&job.request, &head, &values),
            }
        }
        let from = content
            .from
            .map_or(Source::File, |(url, address)| Source::Server { url: url.to_string(), address });
        let (bytes, further) = (content.bytes, content.further);
        Fetched { bytes, further, from, fresh_until, took: job.asked.elapsed() }
    }

    /// The server says that what is kept is current (RFC 9111 §4.3.4).
    fn renew(&self, job: &Job, head: Head, values: Vec<Vec<u8>>, keep: Keep, from: Source) -> Fetched {
        let now = SystemTime::now();
        let head = Head { stored: seconds(now), fresh_until: keep.until(now).map(seconds), ..head };
        if let Some(disk) = self.disk_for(&job.request) {
            let slices: Vec<&[u8]> = values.iter().map(Vec::as_slice).collect();
            disk.write(&job.request, &head, &slices);
        }
        from_disk(&head, values, from, job.asked)
    }
}

fn from_disk(head: &Head, mut values: Vec<Vec<u8>>, from: Source, started: Instant) -> Fetched {
    let further = values.split_off(values.len().min(1));
    let bytes = values.pop().unwrap_or_default();
    let fresh_until = head
        .fresh_until
        .and_then(|until| SystemTime::UNIX_EPOCH.checked_add(std::time::Duration::from_secs(until)));
    Fetched { bytes, further, from, fresh_until, took: started.elapsed() }
}

/// What was kept under a larger cap is still too large for a smaller one.
fn check(fetched: Fetched, request: &Request) -> Outcome {
    let octets = fetched.bytes.len() + fetched.further.iter().map(Vec::len).sum::<usize>();
    check_size(octets, request.limits.content).map(|()| Arc::new(fetched))
}
