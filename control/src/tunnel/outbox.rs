//! Commands on their way to the workers, in order, however full the rings are: what does
//! not fit waits here, keys included, and is sent in a later turn of the loop. Says which
//! tickets may be answered once their worker has applied everything.

use std::collections::VecDeque;

use ravelin_dataplane::link::ControlEnd;
use ravelin_dataplane::link::command::{Command, Sequence, Turn};
use ravelin_dataplane::sa::shard::WorkerId;
use ravelin_dataplane::sa::spi::Place;
use ravelin_dataplane::sa::{inbound, outbound};
use zeroize::Zeroizing;

/// Key and salt.
pub type Key = Zeroizing<Vec<u8>>;

/// One thing to be told a worker.
#[derive(Debug)]
pub enum Order {
    /// A command without a key.
    Plain(Command),
    /// An inbound SA.
    Inbound {
        /// Its slot.
        place: Place,
        /// Everything but the key.
        parts: inbound::Parts,
        /// The key.
        key: Key,
    },
    /// An outbound SA.
    Outbound {
        /// Its slot.
        slot: u32,
        /// Everything but the key.
        parts: outbound::Parts,
        /// The key.
        key: Key,
        /// When it begins to send.
        turn: Turn,
    },
}

/// What is to be said when a worker has applied an order.
#[derive(Debug)]
pub struct Awaited<T> {
    /// The worker.
    pub worker: WorkerId,
    /// Up to this command.
    pub sequence: Sequence,
    /// Of the caller.
    pub token: T,
}

/// The outbox of all workers. `T` is the caller's, handed back when an order is applied.
#[derive(Debug)]
pub struct Outbox<T> {
    waiting: Vec<VecDeque<(Order, Option<T>)>>,
    awaited: VecDeque<Awaited<T>>,
}

impl<T> Outbox<T> {
    /// For `workers` workers.
    pub fn new(workers: usize) -> Self {
        Self { waiting: (0..workers).map(|_| VecDeque::new()).collect(), awaited: VecDeque::new() }
    }

    /// Queues an order; `token` comes back from [`Outbox::applied`]. A configuration that was not sent yet is
    /// overtaken by the next, so that for a worker that takes none they do not heap up.
    pub fn put(&mut self, worker: WorkerId, order: Order, token: Option<T>) {
        let Some(queue) = self.waiting.get_mut(worker.index()) else { return };
        let is_configuration = |order: &Order| matches!(order, Order::Plain(Command::Configure(_)));
        let overtakes = |last: &(Order, Option<T>)| is_configuration(&last.0) && last.1.is_none();
        if is_configuration(&order) && queue.back().is_some_and(overtakes) {
            queue.pop_back();
        }
        queue.push_back((order, token));
    }

    /// A worker stands still: SAs it was not sent yet are forgotten, their keys wiped. The tokens that are
    /// `lost` by that, or with what it was sent and may apply when nobody wants it any more, come back.
    pub fn give_up(&mut self, worker: WorkerId, lost: impl Fn(&T) -> bool) -> Vec<T> {
        let Some(queue) = self.waiting.get_mut(worker.index()) else { return Vec::new() };
        let is_sa = |order: &Order| !matches!(order, Order::Plain(_));
        let (unsent, kept): (VecDeque<_>, _) = queue.drain(..).partition(|(order, _)| is_sa(order));
        *queue = kept;
        let is_lost = |awaited: &Awaited<T>| awaited.worker == worker && lost(&awaited.token);
        let (given_up, awaited): (VecDeque<_>, _) = self.awaited.drain(..).partition(is_lost);
        self.awaited = awaited;
        let unsent = unsent.into_iter().filter_map(|(_, token)| token);
        unsent.chain(given_up.into_iter().map(|awaited| awaited.token)).collect()
    }

    /// Sends as much as the rings take.
    pub fn flush<F>(&mut self, link: &mut ControlEnd<F>) {
        for worker in link.workers() {
            let Some(queue) = self.waiting.get_mut(worker.index()) else { continue };
            while let Some((order, token)) = queue.pop_front() {
                match send(link, worker, order) {
                    Ok(sequence) => {
                        self.awaited.extend(token.map(|token| Awaited { worker, sequence, token }));
                    }
                    Err(order) => {
                        queue.push_front((*order, token));
                        break;
                    }
                }
            }
        }
    }

    /// Takes out what has been applied, given how far each worker is.
    pub fn applied(&mut self, progress: impl Fn(WorkerId) -> Sequence) -> Vec<Awaited<T>> {
        let is_done = |awaited: &Awaited<T>| progress(awaited.worker) >= awaited.sequence;
        let (done, awaited) = self.awaited.drain(..).partition(is_done);
        self.awaited = awaited;
        Vec::from_iter::<VecDeque<_>>(done)
    }

    /// Takes out the one that a worker refused.
    pub fn refused(&mut self, worker: WorkerId, sequence: Sequence) -> Option<Awaited<T>> {
        let is = |awaited: &Awaited<T>| awaited.worker == worker && awaited.sequence == sequence;
        let at = self.awaited.iter().position(is)?;
        self.awaited.remove(at)
    }

    /// Whether everything was sent and applied.
    pub fn is_idle(&self) -> bool {
        self.awaited.is_empty() && self.waiting.iter().all(VecDeque::is_empty)
    }
}

/// Sends one order, or gives it back whole.
fn send<F>(link: &mut ControlEnd<F>, worker: WorkerId, order: Order) -> Result<Sequence, Box<Order>> {
    match order {
        Order::Plain(command) => {
            link.send(worker, command).map_err(|not_sent| Box::new(Order::Plain(not_sent.0)))
        }
        Order::Inbound { place, parts, key } => {
            let Ok(index) = link.put_key(worker, &key) else {
                return Err(Box::new(Order::Inbound { place, parts, key }));
            };
            link.send(worker, Command::InstallInbound { place, parts, key: index }).map_err(|not_sent| {
                link.discard_key(worker, index);
                Box::new(with_key(not_sent.0, key))
            })
        }
        Order::Outbound { slot, parts, key, turn } => {
            let Ok(index) = link.put_key(worker, &key) else {
                return Err(Box::new(Order::Outbound { slot, parts, key, turn }));
            };
            link.send(worker, Command::InstallOutbound { slot, parts, key: index, turn }).map_err(
                |not_sent| {
                    link.discard_key(worker, index);
                    Box::new(with_key(not_sent.0, key))
                },
            )
        }
    }
}

/// The order that a command which was not sent came from.
fn with_key(command: Command, key: Key) -> Order {
    match command {
        Command::InstallInbound { place, parts, .. } => Order::Inbound { place, parts, key },
        Command::InstallOutbound { slot, parts, turn, .. } => Order::Outbound { slot, parts, key, turn },
        command => Order::Plain(command),
    }
}
