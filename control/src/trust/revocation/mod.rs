//! Revocation: asked about every peer whose chain is good, before it is believed (REV-01 to REV-29).
//!
//! One thread owns what is known ([`desk`]); questions, what was fetched and what operators ask reach it as messages, and
//! judgements leave it as [`Found`]s for the control loop. Fetching is `ravelin-fetch`'s, on threads of its own, and so is
//! the verifying of what comes ([`errand`]). What a decision is, is `ravelin-pki`'s.

mod desk;
mod errand;
mod found;
mod live;
mod show;
mod stapled;

use std::fmt;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crossbeam::channel::{self, Receiver, Sender, select};
use ravelin_ike::id::IkeId;
use ravelin_pki::UnixTime;
use ravelin_pki::revocation::policy::Fetched;

use crate::api::reply;
use crate::post::Post;
use crate::trust::expiry::Warning;

pub use desk::{Authority, Desk, Effect, Errand, Question};
pub use errand::{Errands, now};
pub use found::{Found, Whose};
pub use stapled::{Brought, Own, brought};

/// How long an operator waits for an answer.
pub const PATIENCE: Duration = Duration::from_secs(2);
/// The longest the thread sleeps: the machine's clock may be set meanwhile.
const NAP: Duration = Duration::from_secs(10);

enum Message {
    Ask(Box<Question>),
    Gone(Vec<IkeId>),
    Configure(Vec<Authority>),
    Show(Sender<reply::Revocation>),
    Hasten(Option<String>, Sender<usize>),
    ClearAnswers(Sender<usize>),
}

/// What came of an errand.
type Arrival = (u64, Fetched);

/// The way to the thread. It ends when nobody has one any more.
#[derive(Clone)]
pub struct Revocation {
    thread: Sender<Message>,
    errands: Arc<Errands>,
}

impl fmt::Debug for Revocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Revocation")
    }
}

impl Revocation {
    /// Starts the thread; `outcomes` hears what the loop has to do.
    ///
    /// # Errors
    /// When the machine refuses a thread.
    pub fn start<T: From<Found> + Send + 'static>(
        errands: Errands,
        authorities: Vec<Authority>,
        warning: Warning,
        outcomes: Post<T>,
    ) -> std::io::Result<Self> {
        let (thread, messages) = channel::unbounded();
        let errands = Arc::new(errands);
        let ways = Self { thread, errands: Arc::clone(&errands) };
        let run = move || {
            // Several addresses may be asked for one peer, each for so long.
            let patience = errands.timeout.as_secs().saturating_mul(3);
            let mut desk = Desk::new(patience as i64, warning);
            desk.configure(authorities, now());
            let (way_back, arrivals) = channel::unbounded();
            Clerk { desk, errands, way_back, outcomes }.run(&messages, &arrivals);
        };
        thread::Builder::new().name("revocation".into()).spawn(run)?;
        Ok(ways)
    }

    /// By whom it has things fetched.
    pub const fn errands(&self) -> &Arc<Errands> {
        &self.errands
    }

    fn tell(&self, message: Message) {
        // A thread that has ended has panicked, and said so; whoever waits for it ends by its deadline.
        let _ = self.thread.send(message);
    }

    /// Judges a certificate; the answer is an [`Found::Judged`].
    pub fn ask(&self, question: Question) {
        self.tell(Message::Ask(Box::new(question)));
    }

    /// Tunnels are gone.
    pub fn gone(&self, ikes: Vec<IkeId>) {
        self.tell(Message::Gone(ikes));
    }

    /// The authorities whose CRLs are kept are these from now on.
    pub fn configure(&self, authorities: Vec<Authority>) {
        self.tell(Message::Configure(authorities));
    }

    fn wait<T>(&self, message: impl FnOnce(Sender<T>) -> Message) -> Option<T> {
        let (reply, answer) = channel::bounded(1);
        self.tell(message(reply));
        answer.recv_timeout(PATIENCE).ok()
    }

    /// What is known; `None` if the thread is late.
    pub fn known(&self) -> Option<reply::Revocation> {
        self.wait(Message::Show)
    }

    /// Has the CRL of one authority, or of all, fetched now: of how many.
    pub fn hasten(&self, name: Option<String>) -> Option<usize> {
        self.wait(|reply| Message::Hasten(name, reply))
    }

    /// Forgets what responders have said: how many answers.
    pub fn clear_answers(&self) -> Option<usize> {
        self.wait(Message::ClearAnswers)
    }
}

/// What the thread has.
struct Clerk<T> {
    desk: Desk,
    errands: Arc<Errands>,
    way_back: Sender<Arrival>,
    outcomes: Post<T>,
}

impl<T: From<Found>> Clerk<T> {
    fn run(mut self, messages: &Receiver<Message>, arrivals: &Receiver<Arrival>) {
        while self.carry_out().is_ok() {
            select! {
                recv(messages) -> message => match message {
                    Ok(message) => self.take(message),
                    Err(_) => return,
                },
                recv(arrivals) -> arrival => {
                    // We have a sender ourselves.
                    if let Ok((number, fetched)) = arrival {
                        self.desk.arrived(number, fetched, now());
                    }
                },
                default(self.nap()) => {},
            }
            self.desk.tick(now());
        }
    }

    fn nap(&self) -> Duration {
        let UnixTime(now) = now();
        let until = self.desk.deadline().map(|due| due.0.saturating_sub(now).max(0));
        until.map_or(NAP, |seconds| {
            Duration::from_secs(seconds.unsigned_abs()).clamp(Duration::from_millis(50), NAP)
        })
    }

    fn take(&mut self, message: Message) {
        let now = now();
        // Whoever asked may have gone.
        match message {
            Message::Ask(question) => self.desk.ask(*question, now),
            Message::Gone(ikes) => self.desk.gone(&ikes),
            Message::Configure(authorities) => self.desk.configure(authorities, now),
            Message::Show(reply) => drop(reply.send(show::known(&self.desk, now))),
            Message::Hasten(name, reply) => drop(reply.send(self.desk.hasten(name.as_deref(), now))),
            Message::ClearAnswers(reply) => drop(reply.send(self.desk.clear_answers())),
        }
    }

    /// Carries out what the desk wants; an error when the loop has ended.
    fn carry_out(&mut self) -> Result<(), ()> {
        while let Some(effect) = self.desk.poll() {
            match effect {
                Effect::Fetch(errand) => self.send(errand),
                Effect::Report(found) => self.outcomes.send(T::from(found)).map_err(drop)?,
            }
        }
        Ok(())
    }

    fn send(&self, errand: Errand) {
        let (number, way_back) = (errand.number, self.way_back.clone());
        let mut random = [0; 32];
        if aws_lc_rs::rand::fill(&mut random).is_err() {
            let nothing = Fetched::Nothing("this machine's generator gave no random octets".to_owned());
            return drop(way_back.send((number, nothing)));
        }
        self.errands.send(errand, random, move |fetched| {
            // The thread has ended: nobody waits.
            let _ = way_back.send((number, fetched));
        });
    }
}

#[cfg(test)]
mod tests {
    use crossbeam::sync::Parker;
    use ravelin_fetch::desk::Bounds;
    use ravelin_fetch::{Fetcher, Policy, Roots, Settings};

    use super::*;

    /// The thread ends with its last user, and answers until then.
    #[test]
    fn the_thread_ends_with_its_last_user() {
        let settings = Settings {
            policy: Policy::default(),
            roots: Roots::none(),
            bounds: Bounds::default(),
            threads: 1,
            kept: None,
            random: Box::new(|| 7),
        };
        let fetcher = Arc::new(Fetcher::start(settings).unwrap());
        let errands = Errands { fetcher, instances: Vec::new(), timeout: Duration::from_secs(1) };
        let (outcomes, heard) = crate::post::bounded::<Found>(16, Parker::new().unparker());
        let warning = Warning { before: 0, repeat: None };
        let revocation = Revocation::start(errands, Vec::new(), warning, outcomes).unwrap();
        let other = revocation.clone();
        drop(revocation);
        assert_eq!(other.known(), Some(reply::Revocation::default()));
        assert_eq!((other.hasten(None), other.clear_answers()), (Some(0), Some(0)));
        drop(other);
        assert!(heard.recv().is_err(), "it has ended, and says nothing more");
    }
}
