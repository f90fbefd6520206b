//! The processor's cycle counter: the clock of busy-time counters, traces and benches.
//!
//! On x86-64 the time stamp counter, constant and synchronised between cores on every processor we
//! support (`constant_tsc`, `nonstop_tsc`); on ARMv8 the virtual counter; elsewhere nanoseconds.
//! It counts at a fixed frequency, which is not the core's: a boosted core does more work in one.
//!
//! Reading costs some ten nanoseconds under virtualisation: stamp bursts, not packets.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// How long [`frequency`] watches the counter against the monotonic clock when the processor does
/// not tell: 20 ms give about five digits.
const WATCH: Duration = Duration::from_millis(20);

/// The counter now. Not a barrier: neighbouring instructions may drift across it.
#[inline(always)]
pub fn now() -> u64 {
    #[cfg(target_arch = "x86_64")]
    {
        // SAFETY: RDTSC is part of x86-64 and has no effect but its result.
        unsafe { std::arch::x86_64::_rdtsc() }
    }
    #[cfg(target_arch = "aarch64")]
    {
        let count: u64;
        // SAFETY: CNTVCT_EL0 is readable from user space under Linux and reading has no effect.
        unsafe { std::arch::asm!("mrs {0}, cntvct_el0", out(reg) count, options(nomem, nostack)) };
        count
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    {
        nanoseconds()
    }
}

/// The counter now, with everything before finished and nothing after begun: for benches.
#[inline(always)]
pub fn fenced() -> u64 {
    fence();
    let count = now();
    fence();
    count
}

#[inline(always)]
fn fence() {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: LFENCE is part of x86-64; it only waits until earlier instructions have finished
    // (Intel SDM vol. 2, RDTSC: "if software requires RDTSC to be executed only after...").
    unsafe {
        std::arch::x86_64::_mm_lfence()
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: ISB only waits until earlier instructions have finished.
    unsafe {
        std::arch::asm!("isb", options(nostack, preserves_flags))
    }
    std::sync::atomic::compiler_fence(std::sync::atomic::Ordering::SeqCst);
}

/// Counts a second, in Hz. The first call may take 20 ms (call it at start); later ones are a load.
pub fn frequency() -> u64 {
    static FREQUENCY: OnceLock<u64> = OnceLock::new();
    *FREQUENCY.get_or_init(|| stated().unwrap_or_else(|| watched(WATCH)))
}

/// The frequency as the processor states it, where it does.
fn stated() -> Option<u64> {
    #[cfg(target_arch = "x86_64")]
    {
        // CPUID leaf 15H: EBX/EAX is the ratio of TSC to crystal, ECX the crystal in Hz (Intel SDM
        // vol. 2, CPUID). Hypervisors and AMD leave it out, or leave ECX zero.
        use std::arch::x86_64::{__cpuid, __get_cpuid_max};
        let (highest_leaf, _) = __get_cpuid_max(0);
        if highest_leaf < 0x15 {
            return None;
        }
        let leaf = __cpuid(0x15);
        let (crystal, numerator, denominator) =
            (u64::from(leaf.ecx), u64::from(leaf.ebx), u64::from(leaf.eax));
        (crystal != 0 && numerator != 0).then(|| (crystal * numerator).checked_div(denominator)).flatten()
    }
    #[cfg(target_arch = "aarch64")]
    {
        let hertz: u64;
        // SAFETY: CNTFRQ_EL0 is readable from user space under Linux and reading has no effect.
        unsafe { std::arch::asm!("mrs {0}, cntfrq_el0", out(reg) hertz, options(nomem, nostack)) };
        (hertz != 0).then_some(hertz)
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    {
        Some(1_000_000_000)
    }
}

/// The frequency as seen against the monotonic clock over `span`.
fn watched(span: Duration) -> u64 {
    let (clock, count) = (Instant::now(), now());
    while clock.elapsed() < span {
        std::hint::spin_loop();
    }
    let (count, elapsed) = (now().wrapping_sub(count), clock.elapsed());
    let hertz = u128::from(count) * 1_000_000_000 / elapsed.as_nanos().max(1);
    u64::try_from(hertz).unwrap_or(u64::MAX).max(1)
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn nanoseconds() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_nanos() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Durations computed from the counter are never negative on one thread.
    #[test]
    fn it_does_not_run_backwards() {
        let mut last = fenced();
        for _ in 0..10_000 {
            let next = fenced();
            assert!(next >= last);
            last = next;
        }
    }

    /// What the processor states and what the clock shows agree, so a report in Hz can be believed.
    #[test]
    fn frequency_agrees_with_the_clock() {
        let (told, seen) = (frequency() as f64, watched(Duration::from_millis(50)) as f64);
        assert!((told / seen - 1.0).abs() < 0.02, "told {told}, seen {seen}");
    }
}
