//! The small pool that does what would hold the control loop up: key agreement, signature
//! checks, path validation. Work goes in as closures, answers come out with their tickets, but for work that hands
//! itself on to somebody else;
//! the queue is bounded, and work that does not fit is answered with a refusal at once.

use std::thread;

use crossbeam::channel::{self, Receiver, Sender, TrySendError};
use ravelin_ike::want::AnswerError;

use crate::post::Post;

/// Jobs that may wait: two seconds of work for one thread at a millisecond each.
const WAITING: usize = 2048;

type Job<T> = Box<dyn FnOnce() -> Option<T> + Send>;

/// The pool's entry. Its threads end when it is dropped.
#[derive(Debug, Clone)]
pub struct Pool<T> {
    jobs: Sender<Job<T>>,
}

impl<T: Send + 'static> Pool<T> {
    /// Starts `threads` threads that send what their jobs return to `answers`.
    ///
    /// # Errors
    /// When the machine refuses a thread.
    pub fn start(threads: usize, answers: &Post<T>) -> std::io::Result<Self> {
        let (jobs, queue) = channel::bounded::<Job<T>>(WAITING);
        for number in 0..threads.max(1) {
            let (queue, answers) = (queue.clone(), answers.clone());
            thread::Builder::new().name(format!("pool-{number}")).spawn(move || work(&queue, &answers))?;
        }
        Ok(Self { jobs })
    }

    /// Queues a job, or says why it cannot be.
    ///
    /// # Errors
    /// When the queue is full: the caller answers the ticket with it.
    pub fn submit(&self, job: impl FnOnce() -> Option<T> + Send + 'static) -> Result<(), AnswerError> {
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

fn work<T>(queue: &Receiver<Job<T>>, answers: &Post<T>) {
    for job in queue {
        if let Some(answer) = job()
            && answers.send(answer).is_err()
        {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossbeam::sync::Parker;

    /// Every job that has an answer is answered once.
    #[test]
    fn jobs_are_answered() {
        let (sender, answers) = crate::post::bounded(100, Parker::new().unparker());
        let pool = Pool::start(2, &sender).unwrap();
        for number in 0..100 {
            pool.submit(move || (number % 2 == 0).then_some(number)).unwrap();
        }
        let mut numbers: Vec<i32> = answers.iter().take(50).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (0..100).step_by(2).collect::<Vec<_>>());
    }
}
