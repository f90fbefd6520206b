//! A driver's own counters, with its own names ("rx_crc_errors").

use std::ffi::{CStr, c_int, c_uint};

use crate::error::Errno;

/// Names and values of port `id`, in the driver's order.
pub(crate) fn read(id: u16) -> Result<Vec<(String, u64)>, Errno> {
    let names = names(id)?;
    let mut values = vec![dpdk_sys::rte_eth_xstat::default(); names.len()];
    let room = c_uint::try_from(values.len()).unwrap_or(0);
    // SAFETY: writes at most `room` entries.
    let got = unsafe { dpdk_sys::rte_eth_xstats_get(id, values.as_mut_ptr(), room) };
    values.truncate(filled(got, names.len())?);
    let name = |at: u64| usize::try_from(at).ok().and_then(|at| names.get(at)).cloned().unwrap_or_default();
    Ok(values.into_iter().map(|entry| (name(entry.id), entry.value)).collect())
}

fn names(id: u16) -> Result<Vec<String>, Errno> {
    // SAFETY: asks only how many there are.
    let count = unsafe { dpdk_sys::rte_eth_xstats_get_names(id, std::ptr::null_mut(), 0) };
    let count = Errno::check(count)?;
    let mut raw = vec![dpdk_sys::rte_eth_xstat_name::default(); count as usize];
    // SAFETY: writes at most `count` entries.
    let got = unsafe { dpdk_sys::rte_eth_xstats_get_names(id, raw.as_mut_ptr(), count) };
    raw.truncate(filled(got, raw.len())?);
    // SAFETY: ethdev NUL-terminates each name within its array.
    Ok(raw
        .iter()
        .map(|entry| unsafe { CStr::from_ptr(entry.name.as_ptr()) }.to_string_lossy().into_owned())
        .collect())
}

/// A larger number than there was room for means the set grew meanwhile; nothing was written then.
fn filled(got: c_int, room: usize) -> Result<usize, Errno> {
    let got = Errno::check(got)? as usize;
    if got > room { Err(Errno(libc::EAGAIN)) } else { Ok(got) }
}
