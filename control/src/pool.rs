//! The small pool that does what would hold the control loop up: key agreement, signature
//! checks, path validation. Work goes in as closures, answers come out with their tickets;
//! the queue is bounded, and work that does not fit is answered with a refusal at once.

use std::thread;

use crossbeam::channel::{self, Receiver, Sender, TrySendError};
use ravelin_ike::id::Ticket;
use ravelin_ike::want::{Answer, AnswerError};

/// Jobs that may wait: two seconds of work for one thread at a millisecond each.
const WAITING: usize = 2048;

/// An answer and the ticket it belongs to.
pub type Answered = (Ticket, Answer);
type Job = Box<dyn FnOnce() -> Answered + Send>;

/// The pool's entry. Its threads end when it is dropped.
#[derive(Debug, Clone)]
pub struct Pool {
    jobs: Sender<Job>,
}

impl Pool {
    /// Starts `threads` threads that send their answers to `answers`.
    ///
    /// # Errors
    /// When the machine refuses a thread.
    pub fn start(threads: usize, answers: &Sender<Answered>) -> std::io::Result<Self> {
        let (jobs, queue) = channel::bounded::<Job>(WAITING);
        for number in 0..threads.max(1) {
            let (queue, answers) = (queue.clone(), answers.clone());
            thread::Builder::new().name(format!("pool-{number}")).spawn(move || work(&queue, &answers))?;
        }
        Ok(Self { jobs })
    }

    /// Queues a job, or gives back the refusal to hand to the engine.
    ///
    /// # Errors
    /// When the queue is full: the caller answers `ticket` with it.
    pub fn submit(&self, job: impl FnOnce() -> Answered + Send + 'static) -> Result<(), AnswerError> {
        self.jobs.try_send(Box::new(job)).map_err(|error| AnswerError {
            code: "RV-LOCAL-010".into(),
            text: match error {
                TrySendError::Full(_) => {
                    format!("{WAITING} operations wait for the pool already: more cores would help")
                }
                TrySendError::Disconnected(_) => "the pool has ended".into(),
            },
        })
    }
}

fn work(queue: &Receiver<Job>, answers: &Sender<Answered>) {
    for job in queue {
        if answers.send(job()).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every job is answered once, under its own ticket.
    #[test]
    fn jobs_are_answered() {
        let (sender, answers) = channel::unbounded();
        let pool = Pool::start(2, &sender).unwrap();
        for number in 0..100 {
            pool.submit(move || (Ticket(number), Answer::AllocateSpi(Ok(number as u32)))).unwrap();
        }
        let mut tickets: Vec<_> = answers.iter().take(100).map(|(ticket, _)| ticket.0).collect();
        tickets.sort_unstable();
        assert_eq!(tickets, (0..100).collect::<Vec<_>>());
    }
}
