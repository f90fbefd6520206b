//! Memory for mbufs: a mempool with a cache for each lcore.
//!
//! **Who may use it.** Any thread may allocate and any may free. On an lcore that goes
//! to the lcore's own cache; a foreign thread goes to the shared ring. That ring is
//! `ring_mt_rts` (relaxed tail synchronisation, DPDK Programmer's Guide, "Ring
//! Library"): with the default ring an lcore would spin while a preempted foreign
//! thread is in the middle of an operation.
//!
//! **Never freed.** A pool lives as long as the process, so that no mbuf can outlive
//! it, whichever queue, ring or thread holds it. Pools are few and made at start.

use std::any::{TypeId, type_name};
use std::ffi::{CString, c_uint, c_void};
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::sync::OnceLock;

use dpdk_sys::{rte_mbuf, rte_mempool};

use crate::eal::Eal;
use crate::error::Errno;
use crate::mbuf::{Mbuf, Private, private_of};

/// Octets before the packet in a fresh mbuf.
pub const HEADROOM: u16 = dpdk_sys::RTE_PKTMBUF_HEADROOM as u16;

/// Most octets a packet in one mbuf can have: `buf_len` is 16 bits wide and holds the headroom too.
pub const MAX_ROOM: u16 = u16::MAX - HEADROOM;

/// Largest cache of one lcore (`RTE_MEMPOOL_CACHE_MAX_SIZE`).
pub const MAX_CACHE: u32 = 512;

/// What to make.
#[derive(Debug, Clone)]
pub struct Config<'a> {
    /// Unique in the process, at most 25 characters.
    pub name: &'a str,
    /// Mbufs in it.
    pub mbufs: u32,
    /// Mbufs each lcore may keep to itself; at most [`MAX_CACHE`] and two thirds of `mbufs`.
    pub cache: u32,
    /// Octets of packet in each mbuf, besides the [`HEADROOM`]; at most [`MAX_ROOM`].
    pub room: u16,
    /// NUMA node to take memory from; `None` for any.
    pub numa: Option<u32>,
}

/// Why there is no pool.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The name is too long, empty or contains NUL.
    #[error("pool name {name:?} must have 1 to 25 characters and no NUL")]
    Name {
        /// As given.
        name: String,
    },
    /// The cache is larger than allowed.
    #[error(
        "pool {name}: a cache of {cache} mbufs per lcore exceeds {limit} (512 at most, and two thirds of the pool)"
    )]
    Cache {
        /// The pool.
        name: String,
        /// As asked for.
        cache: u32,
        /// What would do.
        limit: u32,
    },
    /// The room exceeds what an mbuf can describe.
    #[error("pool {name}: room of {room} octets exceeds {MAX_ROOM}")]
    Room {
        /// The pool.
        name: String,
        /// As asked for.
        room: u16,
    },
    /// Another pool has another private type; see the crate's documentation.
    #[error("pool {name} wants private data of type {wanted}, but this process already uses {used}")]
    PrivateType {
        /// The pool.
        name: String,
        /// The type asked for.
        wanted: &'static str,
        /// The type the first pool set.
        used: &'static str,
    },
    /// DPDK refused.
    #[error("pool {name} of {mbufs} mbufs ({megabytes} MB): {reason}; {advice}")]
    Create {
        /// The pool.
        name: String,
        /// Its size.
        mbufs: u32,
        /// Roughly what it needs.
        megabytes: u64,
        /// ENOMEM, EEXIST, ...
        reason: Errno,
        /// What to do.
        advice: &'static str,
    },
}

/// A handle to a pool; copies are handles to the same pool.
#[derive(Debug)]
pub struct Pool<M: Private> {
    raw: NonNull<rte_mempool>,
    mbufs: u32,
    room: u16,
    private: PhantomData<fn() -> M>,
}

impl<M: Private> Clone for Pool<M> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<M: Private> Copy for Pool<M> {}

// SAFETY: the mempool lives for ever and its ring is multi-producer multi-consumer;
// each per-lcore cache is used only by the one thread that has that lcore id, and
// threads without an id bypass the caches (rte_mempool_default_cache).
unsafe impl<M: Private> Send for Pool<M> {}
// SAFETY: as above; every operation on a shared handle is one of those.
unsafe impl<M: Private> Sync for Pool<M> {}

/// The private type of this process, set by its first pool.
static PRIVATE_TYPE: OnceLock<(TypeId, &'static str)> = OnceLock::new();

impl<M: Private> Pool<M> {
    /// Makes a pool. Rare, at start: it takes and touches all its memory.
    ///
    /// # Errors
    /// [`Error`], with the numbers.
    pub fn new(_started: Eal, config: &Config<'_>) -> Result<Self, Error> {
        const { assert!(align_of::<M>() <= align_of::<rte_mbuf>() && size_of::<M>() <= 1024) };
        check(config)?;
        claim_private_type::<M>(config.name)?;
        let raw = create(config, size_of::<M>().next_multiple_of(8))?;
        let mut value = M::default();
        // SAFETY: calls `fill::<M>` for every mbuf of the new pool, with `value` alive meanwhile.
        unsafe { dpdk_sys::rte_mempool_obj_iter(raw.as_ptr(), Some(fill::<M>), (&raw mut value).cast()) };
        Ok(Pool { raw, mbufs: config.mbufs, room: config.room, private: PhantomData })
    }

    /// An empty mbuf with [`HEADROOM`] and a default private value; `None` when all are out.
    pub fn alloc(&self) -> Option<Mbuf<M>> {
        // SAFETY: the pool lives for ever; callable on any thread (see `Sync`).
        let raw = unsafe { dpdk_sys::shim_pktmbuf_alloc(self.raw.as_ptr()) };
        if raw.is_null() {
            return None;
        }
        // SAFETY: fresh from the pool: one segment, one reference, ours.
        let mut mbuf = unsafe { Mbuf::from_raw(raw) };
        *mbuf.private_mut() = M::default();
        Some(mbuf)
    }

    /// An mbuf holding a copy of `bytes`; `None` when they do not fit or all are out.
    pub fn copy_of(&self, bytes: &[u8]) -> Option<Mbuf<M>> {
        if bytes.len() > usize::from(self.room) {
            return None;
        }
        let mut mbuf = self.alloc()?;
        mbuf.append(bytes.len())?.copy_from_slice(bytes);
        Some(mbuf)
    }

    /// Mbufs at home now, caches included. Walks all caches: for tests and `show`, not for the packet path.
    pub fn available(&self) -> u32 {
        // SAFETY: reads counters of a live pool.
        unsafe { dpdk_sys::rte_mempool_avail_count(self.raw.as_ptr()) }
    }

    /// Mbufs it was made with.
    pub fn size(&self) -> u32 {
        self.mbufs
    }

    /// True when every mbuf is at home: how a test ends.
    pub fn is_full(&self) -> bool {
        self.available() == self.mbufs
    }

    /// Octets of packet one mbuf holds.
    pub fn room(&self) -> u16 {
        self.room
    }

    pub(crate) fn as_raw(&self) -> *mut rte_mempool {
        self.raw.as_ptr()
    }
}

/// # Safety
/// `object` is an mbuf with room for an `M` behind its header, `value` points to an `M`.
unsafe extern "C" fn fill<M: Private>(
    _pool: *mut rte_mempool,
    value: *mut c_void,
    object: *mut c_void,
    _n: c_uint,
) {
    // SAFETY: by the caller, rte_mempool_obj_iter on a pool made by `create` for this M.
    unsafe { private_of::<M>(object.cast()).write(*value.cast::<M>()) };
}

fn check(config: &Config<'_>) -> Result<(), Error> {
    let name = config.name.to_owned();
    if name.is_empty() || name.len() > 25 || name.contains('\0') {
        return Err(Error::Name { name });
    }
    let limit = MAX_CACHE.min(config.mbufs / 3 * 2);
    if config.cache > limit {
        return Err(Error::Cache { name, cache: config.cache, limit });
    }
    if config.room > MAX_ROOM {
        return Err(Error::Room { name, room: config.room });
    }
    Ok(())
}

fn claim_private_type<M: Private>(name: &str) -> Result<(), Error> {
    let (used, used_name) = *PRIVATE_TYPE.get_or_init(|| (TypeId::of::<M>(), type_name::<M>()));
    if used == TypeId::of::<M>() {
        return Ok(());
    }
    Err(Error::PrivateType { name: name.to_owned(), wanted: type_name::<M>(), used: used_name })
}

fn create(config: &Config<'_>, private: usize) -> Result<NonNull<rte_mempool>, Error> {
    let name = CString::new(config.name).map_err(|_| Error::Name { name: config.name.to_owned() })?;
    let numa = config.numa.and_then(|n| i32::try_from(n).ok()).unwrap_or(dpdk_sys::SOCKET_ID_ANY);
    // SAFETY: EAL is started (the caller holds an `Eal`), both names are NUL-terminated
    // and copied, the sizes were checked; `private` is at most 1024 and a multiple of 8.
    let raw = unsafe {
        dpdk_sys::rte_pktmbuf_pool_create_by_ops(
            name.as_ptr(),
            config.mbufs,
            config.cache,
            private as u16,
            config.room + HEADROOM,
            numa,
            c"ring_mt_rts".as_ptr(),
        )
    };
    NonNull::new(raw).ok_or_else(|| refusal(config, Errno::last()))
}

fn refusal(config: &Config<'_>, reason: Errno) -> Error {
    Error::Create {
        name: config.name.to_owned(),
        mbufs: config.mbufs,
        megabytes: bytes(config.mbufs, config.room) >> 20,
        reason,
        advice: match reason.0 {
            libc::ENOMEM => {
                "give EAL more memory (more huge pages, or a larger -m without them) or ask for fewer mbufs"
            }
            libc::EEXIST => "a pool of that name exists",
            _ => "see the log lines of EAL and MEMPOOL",
        },
    }
}

/// Memory a pool takes, roughly: header, private area, room and mempool's own header, in octets.
pub fn bytes(mbufs: u32, room: u16) -> u64 {
    u64::from(mbufs) * (u64::from(room) + u64::from(HEADROOM) + 256)
}

/// Where mbufs can be at one time; what a pool must hold so that no receiver starves.
#[derive(Debug, Clone, Copy, Default)]
pub struct Demand {
    /// Descriptors of all receive rings fed from the pool (each holds an mbuf always).
    pub rx_descriptors: u32,
    /// Descriptors of all transmit rings (each may hold an mbuf until the next send).
    pub tx_descriptors: u32,
    /// Lcores that allocate or free.
    pub lcores: u32,
    /// Cache of each lcore.
    pub cache: u32,
    /// Mbufs waiting elsewhere: handoff rings, punt rings, reassembly, bursts in flight.
    pub waiting: u32,
}

impl Demand {
    /// Mbufs to ask for. A cache may hold 1.5 times its size before it is flushed.
    pub fn mbufs(self) -> u32 {
        let caches = self.lcores.saturating_mul(self.cache + self.cache / 2);
        let bursts = self.lcores.saturating_mul(2 * crate::BURST as u32);
        self.rx_descriptors
            .saturating_add(self.tx_descriptors)
            .saturating_add(caches)
            .saturating_add(bursts)
            .saturating_add(self.waiting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(name: &str) -> Config<'_> {
        Config { name, mbufs: 300, cache: 100, room: 2048, numa: None }
    }

    #[test]
    fn impossible_pools_are_refused_with_the_limit() {
        assert!(check(&config("p")).is_ok());
        assert!(matches!(check(&config("")), Err(Error::Name { .. })));
        assert!(matches!(check(&config("a-name-of-twenty-six-chars")), Err(Error::Name { .. })));
        let cache = Config { cache: 201, ..config("p") };
        assert!(matches!(check(&cache), Err(Error::Cache { limit: 200, .. })));
        let room = Config { room: MAX_ROOM + 1, ..config("p") };
        assert!(matches!(check(&room), Err(Error::Room { .. })));
    }

    #[test]
    fn demand_counts_every_place_an_mbuf_can_be() {
        let demand =
            Demand { rx_descriptors: 1024, tx_descriptors: 1024, lcores: 2, cache: 256, waiting: 100 };
        assert_eq!(demand.mbufs(), 1024 + 1024 + 2 * 384 + 2 * 128 + 100);
    }
}
