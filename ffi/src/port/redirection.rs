//! The redirection table of RSS: which of its receive queues a running device uses.
//!
//! Exists because a device goes on to fill a queue that nobody polls. Such a queue is taken out of the table; each
//! place belongs to one queue for ever (its number modulo the queues there are), and only the places of a queue
//! that is out are shared by the others, in turn: whatever hashes to another place stays where it is.
//!
//! Left to the caller: which queues. SPI rules follow the table ([`super::steer`]).

use super::fallback::{Fallback, Unredirected};
use super::info::Info;
use super::steer::Form;
use crate::error::Errno;

/// Places in one of DPDK's groups.
const GROUP: u16 = dpdk_sys::RTE_ETH_RETA_GROUP_SIZE as u16;

/// Why a device does not use the queues that it was told to use. It uses those it used before, or some of each;
/// telling it again does no harm.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RedirectError {
    /// It has no table that could be changed, see [`Fallback::Redirection`].
    #[error("device {device} cannot change the queues it uses while it runs (fallback no-redirection)")]
    Fixed {
        /// The device.
        device: String,
    },
    /// Not its queues.
    #[error(
        "device {device} has {have} receive queues, from 0, and cannot use {queues:?}: name at least one of them, and no other"
    )]
    Queues {
        /// The device.
        device: String,
        /// As told.
        queues: Vec<u16>,
        /// Receive queues there are.
        have: u16,
    },
    /// The driver refused the table.
    #[error(
        "device {device} refused a redirection table of {places} places for queues {queues:?}: {reason}; tell it again, or start it anew. DPDK said: {}",
        said.join(" | ")
    )]
    Table {
        /// The device.
        device: String,
        /// Places of its table.
        places: u16,
        /// As told.
        queues: Vec<u16>,
        /// What the driver answered.
        reason: Errno,
        /// DPDK's last log lines.
        said: Vec<String>,
    },
    /// The driver refused a flow rule, or keeps it.
    #[error(
        "device {device} refused to {} SPIs {value:#010x}/{mask:#010x} over {} to queue {queue}: {reason}; tell it again, or start it anew. DPDK said: {}",
        if *add { "steer" } else { "end steering" }, form.name(), said.join(" | ")
    )]
    Rule {
        /// The device.
        device: String,
        /// The rule was to begin, else to end.
        add: bool,
        /// Over what.
        form: Form,
        /// The SPI.
        value: u32,
        /// Its bits that count.
        mask: u32,
        /// The queue.
        queue: u16,
        /// What the driver answered.
        reason: Errno,
        /// DPDK's last log lines.
        said: Vec<String>,
    },
}

/// Whether to write the table of a device that spreads by RSS.
pub(super) fn is_changeable(info: &Info, fallbacks: &mut Vec<Fallback>) -> bool {
    let has_table = info.reta_places > 0;
    if !has_table {
        fallbacks.push(Fallback::Redirection { why: Unredirected::NoTable });
    }
    has_table
}

/// Has device `port`, which is configured for RSS over `all` queues, use some of them. Its queues may be polled: no
/// driver of DPDK 22.11 stops the device for it (mlx5 lays its default flow rules anew).
///
/// # Errors
/// How many places its table has, and what the driver answered.
pub(super) fn write(port: u16, all: u16, queues: &[u16]) -> Result<(), (u16, Errno)> {
    // Asked now: with some drivers it depends on the number of queues.
    let places = Info::of(port, None).map_err(|reason| (0, reason))?.reta_places;
    let mut table = groups(&filled(places, all, queues));
    // SAFETY: reads as many groups as `places` fill, and `table` has them.
    let returned = unsafe { dpdk_sys::rte_eth_dev_rss_reta_update(port, table.as_mut_ptr(), places) };
    Errno::check(returned).map(|_| ()).map_err(|reason| (places, reason))
}

/// The table as the driver knows it: a queue for each place.
pub(super) fn read(port: u16) -> Result<Vec<u16>, Errno> {
    let places = Info::of(port, None)?.reta_places;
    let mut table = groups(&vec![0; usize::from(places)]);
    // SAFETY: writes to the groups that `places` fill, and `table` has them.
    Errno::check(unsafe { dpdk_sys::rte_eth_dev_rss_reta_query(port, table.as_mut_ptr(), places) })?;
    Ok(table.iter().flat_map(|group| group.reta).take(usize::from(places)).collect())
}

/// The queue of each place.
fn filled(places: u16, all: u16, queues: &[u16]) -> Vec<u16> {
    let mut others = queues.iter().copied().cycle();
    let queue = |place: u16| {
        let own = place % all.max(1);
        if queues.contains(&own) { own } else { others.next().unwrap_or(own) }
    };
    (0..places).map(queue).collect()
}

/// The same as DPDK wants it: groups whose mask says which of their places count.
fn groups(table: &[u16]) -> Vec<dpdk_sys::rte_eth_rss_reta_entry64> {
    let group = |queues: &[u16]| {
        let mask = u64::MAX >> (usize::from(GROUP) - queues.len());
        let mut group = dpdk_sys::rte_eth_rss_reta_entry64 { mask, ..Default::default() };
        group.reta.iter_mut().zip(queues).for_each(|(place, queue)| *place = *queue);
        group
    };
    table.chunks(usize::from(GROUP)).map(group).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Queues in turn; a queue that is out loses its places to the others, as evenly as can be, and nobody else
    /// loses one.
    #[test]
    fn only_the_places_of_a_queue_that_is_out_change() {
        assert_eq!(filled(8, 4, &[0, 1, 2, 3]), [0, 1, 2, 3, 0, 1, 2, 3]);
        assert_eq!(filled(8, 4, &[0, 2, 3]), [0, 0, 2, 3, 0, 2, 2, 3]);
        assert_eq!(filled(4, 2, &[1]), [1; 4]);
        for (places, all, out) in [(128, 4, 2), (64, 3, 0), (512, 62, 61), (40, 7, 3)] {
            let every: Vec<u16> = (0..all).collect();
            let rest: Vec<u16> = (0..all).filter(|queue| *queue != out).collect();
            let (before, after) = (filled(places, all, &every), filled(places, all, &rest));
            assert!(after.iter().all(|queue| rest.contains(queue)));
            let changed = before.iter().zip(&after).filter(|(before, after)| before != after);
            assert!(changed.clone().all(|(before, _)| *before == out), "{places} places, {all} queues");
            let got = |queue: &u16| changed.clone().filter(|(_, after)| *after == queue).count();
            let got: Vec<usize> = rest.iter().map(got).collect();
            assert!(got.iter().max().unwrap() - got.iter().min().unwrap() <= 1, "{got:?}");
        }
    }

    /// A table that does not fill its last group names only the places it has.
    #[test]
    fn groups_name_the_places_there_are() {
        let table = filled(100, 3, &[0, 1, 2]);
        let groups = groups(&table);
        assert_eq!(groups.iter().map(|group| group.mask).collect::<Vec<_>>(), [u64::MAX, (1 << 36) - 1]);
        let back: Vec<u16> = groups.iter().flat_map(|group| group.reta).take(100).collect();
        assert_eq!(back, table);
        assert!(super::groups(&[]).is_empty());
    }
}
