//! The way into a thread that looks at several things in turn, the control loop above all: whoever posts wakes it.
//!
//! A channel of its own accord yields the processor several times before it sleeps. A thread that sleeps for a millisecond
//! at a time gives its turn away with each, and where others want the core it hardly runs any more. One that parks does not.

use std::time::Duration;

use crossbeam::channel::{self, Receiver, SendError, SendTimeoutError, Sender, TrySendError};
use crossbeam::sync::Unparker;

/// One end of a bounded channel, and whom to wake.
#[derive(Debug)]
pub struct Post<T> {
    sender: Sender<T>,
    reader: Unparker,
}

/// A way in for so many at a time, and the end that is read.
pub fn bounded<T>(capacity: usize, reader: &Unparker) -> (Post<T>, Receiver<T>) {
    let (sender, receiver) = channel::bounded(capacity);
    (Post { sender, reader: reader.clone() }, receiver)
}

impl<T> Post<T> {
    /// Posts, and waits for room if there is none.
    ///
    /// # Errors
    /// When nobody reads any more.
    pub fn send(&self, message: T) -> Result<(), SendError<T>> {
        self.sender.send(message).inspect(|()| self.reader.unpark())
    }

    /// Posts if there is room.
    ///
    /// # Errors
    /// When there is none, or nobody reads any more.
    pub fn try_send(&self, message: T) -> Result<(), TrySendError<T>> {
        self.sender.try_send(message).inspect(|()| self.reader.unpark())
    }

    /// Posts, and waits so long for room.
    ///
    /// # Errors
    /// When there is still none, or nobody reads any more.
    pub fn send_timeout(&self, message: T, patience: Duration) -> Result<(), SendTimeoutError<T>> {
        self.sender.send_timeout(message, patience).inspect(|()| self.reader.unpark())
    }
}

impl<T> Clone for Post<T> {
    fn clone(&self) -> Self {
        Self { sender: self.sender.clone(), reader: self.reader.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossbeam::sync::Parker;

    /// Who parks without a deadline is woken by each kind of post, and what was posted before is there.
    #[test]
    fn whoever_posts_wakes_the_reader() {
        let parker = Parker::new();
        let (post, letters) = bounded(4, parker.unparker());
        let other = post.clone();
        let writer = std::thread::spawn(move || {
            other.send(1).unwrap();
            other.try_send(2).unwrap();
            other.send_timeout(3, Duration::from_secs(1)).unwrap();
        });
        let mut read = Vec::new();
        while read.len() < 3 {
            parker.park();
            read.extend(letters.try_iter());
        }
        writer.join().unwrap();
        assert_eq!(read, [1, 2, 3]);
        drop(letters);
        assert!(post.send(4).is_err());
    }
}
