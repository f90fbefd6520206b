//! How one writer's tables reach many readers: views handed over, looked at without locks, and
//! handed back to be freed.
//!
//! The writer makes a view of its tables and publishes it as a version. Each reader has a ring in
//! which versions arrive and one by which they return, so a reader never frees memory, and a
//! version is freed only when every reader has passed to a later one: [`Reader::refresh`] is the
//! quiescent point, called at burst start. What a view shares with its successors and the writer
//! changes in place ([`super::pool`]) is seen at once, and reused only after that same point.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Versions that may wait for a reader; a slower one gets the latest later.
const DEPTH: usize = 4;

/// Counts publications, from 0 for what readers start with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Version(pub u64);

/// What a writer keeps, and what of it readers see.
pub trait Source {
    /// What readers see.
    type View;

    /// The view that is published as `version`. Every reader has passed to version `settled`: nobody
    /// looks any more at what was out of reach in it.
    fn view(&mut self, version: Version, settled: Version) -> Self::View;
}

#[derive(Debug)]
struct Published<T> {
    version: Version,
    view: T,
}

/// The version a reader works with, in a cache line of its own: written by the reader alone.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Adopted(AtomicU64);

/// Control's end. One owner.
#[derive(Debug)]
pub struct Writer<T: Source> {
    /// What the next publication will say.
    draft: T,
    latest: Arc<Published<T::View>>,
    readers: Vec<Outlet<T::View>>,
}

/// The writer's end of one reader's rings.
#[derive(Debug)]
struct Outlet<T> {
    deliver: rtrb::Producer<Arc<Published<T>>>,
    returned: rtrb::Consumer<Arc<Published<T>>>,
    adopted: Arc<Adopted>,
    /// Latest version put into the ring.
    delivered: Version,
}

/// One reader's end. One owner; `Send`, so that control can build it and a worker keep it.
#[derive(Debug)]
pub struct Reader<T: Source> {
    current: Arc<Published<T::View>>,
    arriving: rtrb::Consumer<Arc<Published<T::View>>>,
    leaving: rtrb::Producer<Arc<Published<T::View>>>,
    adopted: Arc<Adopted>,
}

/// A writer and `readers` readers, all starting with `tables`.
pub fn channel<T: Source>(mut tables: T, readers: usize) -> (Writer<T>, Vec<Reader<T>>) {
    let version = Version(0);
    let latest = Arc::new(Published { version, view: tables.view(version, version) });
    let (outlets, readers) = (0..readers).map(|_| outlet::<T>(&latest)).unzip();
    (Writer { draft: tables, latest, readers: outlets }, readers)
}

fn outlet<T: Source>(latest: &Arc<Published<T::View>>) -> (Outlet<T::View>, Reader<T>) {
    let (deliver, arriving) = rtrb::RingBuffer::new(DEPTH);
    // Room for all that can return between two deliveries ([`Outlet::deliver`]).
    let (leaving, returned) = rtrb::RingBuffer::new(DEPTH + 1);
    let adopted = Arc::new(Adopted::default());
    let outlet = Outlet { deliver, returned, adopted: Arc::clone(&adopted), delivered: latest.version };
    (outlet, Reader { current: Arc::clone(latest), arriving, leaving, adopted })
}

impl<T: Source> Writer<T> {
    /// The tables as the next publication will say them.
    pub const fn tables(&self) -> &T {
        &self.draft
    }

    /// The same, to be changed; what the tables do not change in place is seen after [`Writer::publish`].
    pub const fn tables_mut(&mut self) -> &mut T {
        &mut self.draft
    }

    /// Makes the present tables a version and delivers it to every reader that has room.
    pub fn publish(&mut self) -> Version {
        let version = Version(self.latest.version.0 + 1);
        let view = self.draft.view(version, self.settled());
        self.latest = Arc::new(Published { version, view });
        self.deliver();
        version
    }

    /// Delivers the latest version to readers that had no room, and frees what came back. Call it
    /// in every round of the control loop. True when every reader has the latest in its ring.
    pub fn deliver(&mut self) -> bool {
        let late = self.readers.iter_mut().filter_map(|reader| (!reader.deliver(&self.latest)).then_some(()));
        late.count() == 0
    }

    /// The version every reader works with or has passed: nothing older is looked at any more.
    pub fn settled(&self) -> Version {
        let adopted = self.readers.iter().map(|reader| reader.adopted.0.load(Ordering::Acquire));
        Version(adopted.min().unwrap_or(self.latest.version.0))
    }
}

impl<T> Outlet<T> {
    /// Empties the returning ring, then delivers at most one version: so at most `DEPTH` in the
    /// arriving ring, one current and this one are the reader's, and `DEPTH + 1` of them can return.
    fn deliver(&mut self, latest: &Arc<Published<T>>) -> bool {
        while self.returned.pop().is_ok() {}
        if self.delivered < latest.version && self.deliver.push(Arc::clone(latest)).is_ok() {
            self.delivered = latest.version;
        }
        self.delivered == latest.version
    }
}

impl<T: Source> Reader<T> {
    /// Passes to the latest version that has arrived; true if that is a new one. Costs one load
    /// when nothing has.
    pub fn refresh(&mut self) -> bool {
        let mut changed = false;
        while let Ok(next) = self.arriving.pop() {
            let old = std::mem::replace(&mut self.current, next);
            // Cannot fail: the ring has room for all that can return ([`Outlet::deliver`]).
            let returned = self.leaving.push(old);
            debug_assert!(returned.is_ok());
            changed = true;
        }
        if changed {
            self.adopted.0.store(self.current.version.0, Ordering::Release);
        }
        changed
    }

    /// The tables as of the last refresh.
    pub fn tables(&self) -> &T::View {
        &self.current.view
    }

    /// Their version.
    pub fn version(&self) -> Version {
        self.current.version
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;
    use std::thread;

    /// A value that is its own view.
    #[derive(Debug)]
    struct Plain<T>(T);

    impl<T: Clone> Source for Plain<T> {
        type View = T;

        fn view(&mut self, _: Version, _: Version) -> T {
            self.0.clone()
        }
    }

    #[test]
    fn readers_see_nothing_before_publication_and_all_of_it_after() {
        let (mut writer, mut readers) = channel(Plain(1), 2);
        writer.tables_mut().0 = 2;
        assert!(!readers[0].refresh());
        assert_eq!(*readers[0].tables(), 1);
        assert_eq!(writer.publish(), Version(1));
        assert!(readers[0].refresh());
        assert_eq!((*readers[0].tables(), *readers[1].tables()), (2, 1));
        assert_eq!(writer.settled(), Version(0));
        readers[1].refresh();
        assert_eq!(writer.settled(), Version(1));
    }

    #[test]
    fn a_sleeping_reader_gets_the_latest_and_holds_little() {
        let (mut writer, mut readers) = channel(Plain(Arc::new(0)), 1);
        for n in 1..100 {
            writer.tables_mut().0 = Arc::new(n);
            writer.publish();
        }
        readers[0].refresh();
        assert!(writer.deliver());
        readers[0].refresh();
        assert_eq!(**readers[0].tables(), 99);
        writer.deliver();
        // The draft, the latest version's and ours: everything older has been freed.
        assert_eq!(Arc::strong_count(&writer.tables().0), 2);
    }

    /// A value that is consistent (both halves equal) and must be freed by the writer's thread.
    #[derive(Debug)]
    struct Pair(u64, u64, thread::ThreadId);

    impl Drop for Pair {
        fn drop(&mut self) {
            assert_eq!(thread::current().id(), self.2, "freed by a reader");
        }
    }

    #[test]
    fn versions_go_forward_and_are_freed_by_the_writer() {
        let home = thread::current().id();
        let (mut writer, readers) = channel(Plain(Arc::new(Pair(0, 0, home))), 3);
        let stop = Arc::new(AtomicBool::new(false));
        let threads: Vec<_> = readers
            .into_iter()
            .map(|mut reader| {
                let stop = Arc::clone(&stop);
                thread::spawn(move || {
                    let mut last = 0;
                    while !stop.load(Ordering::Relaxed) {
                        reader.refresh();
                        let pair = reader.tables();
                        assert!(pair.0 == pair.1 && pair.0 >= last);
                        last = pair.0;
                    }
                    reader
                })
            })
            .collect();
        for n in 1..20_000 {
            writer.tables_mut().0 = Arc::new(Pair(n, n, home));
            writer.publish();
        }
        stop.store(true, Ordering::Relaxed);
        // Readers come home to be dropped here: a worker's end is its last quiescent point.
        let readers: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        drop(readers);
    }
}
