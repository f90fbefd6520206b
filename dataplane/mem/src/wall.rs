//! The machine's time of day: whether anybody keeps it right. The time itself is `std`'s to tell.

/// Whether the kernel has been told that its time of day is right: a time daemon steers it and says so, and the kernel
/// believes that until nothing was said for some hours (adjtimex(2), `STA_UNSYNC`).
pub fn is_synchronised() -> bool {
    // SAFETY: `timex` is plain numbers, for which all zero is a value; no mode is set, so that nothing is changed.
    let mut timex: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: reads and writes that one struct.
    let state = unsafe { libc::adjtimex(&raw mut timex) };
    state != -1 && timex.status & libc::STA_UNSYNC == 0
}

#[cfg(test)]
mod tests {
    /// It says what the kernel says to others, by another call: an unsynchronised clock is an error to it (ntp_gettime(3)).
    #[test]
    fn the_kernel_is_understood() {
        // SAFETY: as above.
        let mut time: libc::ntptimeval = unsafe { std::mem::zeroed() };
        // SAFETY: writes that one struct.
        let state = unsafe { libc::ntp_gettime(&raw mut time) };
        assert!(state == libc::TIME_ERROR || super::is_synchronised());
    }
}
