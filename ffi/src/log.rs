//! What DPDK says while it works.
//!
//! DPDK explains its failures only in its log, which by default goes to stdout and
//! syslog. Here the lines go to a sink the program chooses, and the last few are kept
//! so that an error can quote them. Lines come from any thread that calls DPDK; the
//! packet path calls nothing that logs.

use std::collections::VecDeque;
use std::ffi::c_char;
use std::panic::catch_unwind;
use std::sync::{Mutex, OnceLock, PoisonError};

/// Receives one line, without its newline.
pub type Sink = fn(&str);

/// Lines kept for error messages: enough for one failing call, which says 1 to 5.
const KEPT: usize = 16;

static SINK: OnceLock<Sink> = OnceLock::new();
static LAST: Mutex<VecDeque<String>> = Mutex::new(VecDeque::new());

/// Routes DPDK's log to `sink` from now on; the first caller's sink stays.
pub(crate) fn route(sink: Sink) {
    if SINK.set(sink).is_ok() {
        // SAFETY: `receive` is a plain function that never unwinds. When the stream
        // cannot be made DPDK keeps its default, which only means louder output.
        let _ = unsafe { dpdk_sys::shim_log_to(Some(receive)) };
    }
}

/// The lines said since the last call, oldest first, at most 16.
pub(crate) fn take_recent() -> Vec<String> {
    LAST.lock().unwrap_or_else(PoisonError::into_inner).drain(..).collect()
}

/// Forgets what was said before an attempt whose failure is to be explained.
pub(crate) fn forget() {
    LAST.lock().unwrap_or_else(PoisonError::into_inner).clear();
}

/// # Safety
/// Called by the C library with `length` readable bytes.
unsafe extern "C" fn receive(bytes: *const c_char, length: usize) {
    // SAFETY: fopencookie's write function gets exactly `length` readable bytes.
    let bytes = unsafe { std::slice::from_raw_parts(bytes.cast::<u8>(), length) };
    // A panic in a sink must not cross into C; the line is then lost.
    let _ = catch_unwind(|| String::from_utf8_lossy(bytes).lines().for_each(keep));
}

fn keep(line: &str) {
    if let Some(sink) = SINK.get() {
        sink(line);
    }
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    if last.len() == KEPT {
        last.pop_front();
    }
    last.push_back(line.to_owned());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_kept_and_taken_once() {
        forget();
        (0..20).for_each(|n| keep(&format!("line {n}")));
        let lines = take_recent();
        assert_eq!(lines.len(), KEPT);
        assert_eq!(lines.last().map(String::as_str), Some("line 19"));
        assert!(take_recent().is_empty());
    }
}
