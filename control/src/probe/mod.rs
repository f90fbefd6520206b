//! How large packets may be on their way to a host, found by asking it: ICMP echoes (RFC 792, RFC 4443) that may not be
//! cut, of several sizes at a time, until the largest that is answered is known to the octet (in the manner of RFC 4821
//! §7 and RFC 8899 §5). What routers say narrows the search down and names who limits it; nobody authenticates it, so no
//! size counts that has not been answered. Where routers say nothing, silence is an answer too.
//!
//! [`search`] decides what is sent next and is pure; [`echo`] sends and hears. A probe takes seconds at most
//! ([`LONGEST`]) and is for the thread of whoever asked. Left to the caller: which host, and what follows for a tunnel.

pub mod echo;
pub mod search;

use std::io;
use std::time::{Duration, Instant};

use echo::{Echo, Sent};
use search::{Found, Heard, Search, Told};

/// The longest a probe takes.
pub const LONGEST: Duration = Duration::from_secs(10);
/// How long answers are waited for, at most and at least; in between four times as long as the quickest took.
const PATIENCE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_millis(100));
/// An echo of each size is sent so often before silence counts.
const TRIES: u32 = 3;

/// What a probe came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// What was found; `None`: not even the smallest was answered.
    pub found: Option<Found>,
    /// Who said that something is in the way, of the smallest.
    pub obstacle: Option<Told>,
    /// Echoes sent.
    pub sent: u32,
    /// Answers passed over that had our identifier and were none.
    pub doubtful: u32,
}

/// Probes sizes from the first to the second.
///
/// # Errors
/// When the machine cannot send.
pub fn run(echo: &mut Echo, (least, most): (u16, u16)) -> io::Result<Outcome> {
    let until = Instant::now() + LONGEST;
    let (mut search, mut patience, mut sent) = (Search::new(least, most), PATIENCE.0, 0);
    while Instant::now() < until {
        let sizes = search.sizes();
        if sizes.is_empty() {
            break;
        }
        let quickest = round(echo, &mut search, sizes, patience, &mut sent)?;
        if let Some(quickest) = quickest {
            patience = patience.min((quickest * 4).clamp(PATIENCE.1, PATIENCE.0));
        }
    }
    Ok(Outcome { found: search.found(), obstacle: search.obstacle(), sent, doubtful: echo.doubtful() })
}

/// Asks for some sizes and notes what becomes of each; how long the quickest answer took.
fn round(
    echo: &mut Echo,
    search: &mut Search,
    mut waiting: Vec<u16>,
    patience: Duration,
    sent: &mut u32,
) -> io::Result<Option<Duration>> {
    let mut quickest = None;
    for _ in 0..TRIES {
        let begun = Instant::now();
        for size in std::mem::take(&mut waiting) {
            *sent += 1;
            match echo.send(size)? {
                Sent::Gone => waiting.push(size),
                Sent::TooBig => search.heard(size, Heard::Here),
            }
        }
        while let Some((size, heard)) = echo.hear(begun + patience / TRIES, &waiting)? {
            waiting.retain(|other| *other != size);
            quickest = quickest.or(Some(begun.elapsed()));
            search.heard(size, heard);
        }
        if waiting.is_empty() {
            return Ok(quickest);
        }
    }
    waiting.into_iter().for_each(|size| search.heard(size, Heard::Nothing));
    Ok(quickest)
}
