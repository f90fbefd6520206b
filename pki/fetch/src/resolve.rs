//! The addresses of a name, by the system's resolver.
//!
//! That knows no deadline of ours; it works on a thread of its own, which is left behind when it is late. Such threads are
//! counted, and above a bound no name is resolved: a dead name server costs a bounded number of threads.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::dial::machine;
use crate::error::FetchError;
use crate::instance::resolve_by;

/// Resolvers under way at once, late ones included.
const RESOLVERS: usize = 64;

/// What a name was found to be.
pub(crate) type Found = Result<Vec<SocketAddr>, FetchError>;

/// A name, and whom to ask.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    pub(crate) name: String,
    pub(crate) port: u16,
    /// What stands for `/etc/resolv.conf`, where the instance has its own.
    pub(crate) resolver: Option<Arc<Path>>,
}

/// Those under way.
#[derive(Debug, Clone, Default)]
pub(crate) struct Resolvers(Arc<AtomicUsize>);

impl Resolvers {
    /// Asks, on a thread of its own, from where `enter` brings that thread; `reply` is called there.
    ///
    /// # Errors
    /// When there are too many, or there is no thread.
    pub(crate) fn ask(
        &self,
        question: Question,
        enter: impl FnOnce() -> Result<(), FetchError> + Send + 'static,
        reply: impl FnOnce(Found) + Send + 'static,
    ) -> Result<(), FetchError> {
        let place = self.place()?;
        let started = thread::Builder::new().name("fetch-resolve".into()).spawn(move || {
            let found = enter().and_then(|()| question.look_up());
            drop(place);
            reply(found);
        });
        started.map(|_| ()).map_err(|error| machine("start a resolver", &error))
    }

    fn place(&self) -> Result<Place, FetchError> {
        let place = Place(Arc::clone(&self.0));
        if self.0.fetch_add(1, Ordering::Relaxed) < RESOLVERS {
            return Ok(place);
        }
        Err(FetchError::Machine {
            what: "resolve a name".into(),
            reason: format!("{RESOLVERS} wait for name servers that do not answer"),
        })
    }
}

impl Question {
    fn look_up(&self) -> Found {
        let ready = self.resolver.as_ref().map_or(Ok(()), |file| resolve_by(file));
        ready.map_err(|error| machine("take the instance's resolver", &error))?;
        let failed =
            |error: io::Error| FetchError::Resolve { host: self.name.clone(), reason: error.to_string() };
        (self.name.as_str(), self.port).to_socket_addrs().map(Iterator::collect).map_err(failed)
    }
}

/// One of the places for resolvers, given back when dropped.
struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Mutex, mpsc};

    fn question(name: &str) -> Question {
        Question { name: name.into(), port: 0, resolver: None }
    }

    /// However many name servers are silent, threads are bounded; what is done gives its place back.
    #[test]
    fn silent_name_servers_cost_so_many_threads() {
        let resolvers = Resolvers::default();
        let gate = Arc::new(Mutex::new(()));
        let shut = gate.lock().unwrap();
        let (sender, replies) = mpsc::channel();
        for _ in 0..RESOLVERS {
            let (gate, sender) = (Arc::clone(&gate), sender.clone());
            let wait = move || {
                drop(gate.lock());
                Ok(())
            };
            resolvers.ask(question("127.0.0.1"), wait, move |found| sender.send(found).unwrap()).unwrap();
        }
        let refused = resolvers.ask(question("127.0.0.1"), || Ok(()), |_| {});
        assert!(matches!(refused, Err(FetchError::Machine { .. })), "{refused:?}");
        drop(shut);
        for _ in 0..RESOLVERS {
            let found = replies.recv().unwrap().unwrap();
            assert_eq!(found, ["127.0.0.1:0".parse().unwrap()]);
        }
        resolvers.ask(question("127.0.0.1"), || Ok(()), |_| {}).unwrap();
    }
}
