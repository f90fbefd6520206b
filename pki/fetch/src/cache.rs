//! What of earlier answers may be used again, and what is thrown away: decisions alone, no files.
//!
//! Nothing here judges a CRL or an OCSP answer: whether content is believed is decided from its signature and its own
//! times by whoever asked for it. The cache spares the network (RFC 9111) and bridges a restart.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, SystemTime};

use aws_lc_rs::digest::{Context, SHA256, digest};
use serde::{Deserialize, Serialize};

use crate::request::Reuse;

/// Longest time an answer is taken for fresh, whatever its server says: a wrong header must not hide a CRL for years.
pub const LONGEST_FRESH: Duration = Duration::from_secs(7 * 86_400);
/// Longest validator kept: one that a server means as more than a short token is not worth a header of ours.
const LONGEST_VALIDATOR: usize = 256;

/// What tells a server which version we have (RFC 9110 §8.8).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validators {
    /// ETag.
    pub entity_tag: Option<String>,
    /// Last-Modified.
    pub last_modified: Option<String>,
}

impl Validators {
    /// Whether there are any that are short enough to be sent back.
    fn are_useful(&self) -> bool {
        let mut all = self.entity_tag.iter().chain(&self.last_modified).peekable();
        all.peek().is_some() && all.all(|text| text.len() <= LONGEST_VALIDATOR)
    }
}

/// What the server says of keeping its answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Keep {
    /// Nothing: it is kept for a restart, and asked for again each time.
    #[default]
    Unsaid,
    /// Fresh for so long.
    For(Duration),
    /// Not to be kept (no-store).
    Never,
}

impl Keep {
    /// From the header fields Cache-Control (RFC 9111 §5.2.2) and Age (§5.1).
    #[must_use]
    pub fn of(cache_control: Option<&str>, age: Option<&str>) -> Self {
        let directives = cache_control.unwrap_or("").split(',').map(str::trim);
        let mut keep = Self::Unsaid;
        for directive in directives {
            let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
            if name.eq_ignore_ascii_case("no-store") {
                return Self::Never;
            } else if name.eq_ignore_ascii_case("no-cache") {
                keep = Self::For(Duration::ZERO);
            } else if name.eq_ignore_ascii_case("max-age") && keep == Self::Unsaid {
                keep = value.trim_matches('"').parse().map_or(keep, |s| Self::For(Duration::from_secs(s)));
            }
        }
        let age = Duration::from_secs(age.and_then(|age| age.trim().parse().ok()).unwrap_or(0));
        match keep {
            Self::For(time) => Self::For(time.saturating_sub(age).min(LONGEST_FRESH)),
            other => other,
        }
    }

    /// Until when it is fresh.
    #[must_use]
    pub fn until(self, now: SystemTime) -> Option<SystemTime> {
        match self {
            Self::For(time) => now.checked_add(time),
            Self::Unsaid | Self::Never => None,
        }
    }
}

/// What is known of a kept answer besides its content.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The URL that was asked for, without user and password: for people who look into the directory.
    pub url: String,
    /// For a conditional request.
    pub validators: Validators,
    /// Seconds since 1970 when it came or was last found current.
    pub stored: u64,
    /// Seconds since 1970 until when it is fresh.
    pub fresh_until: Option<u64>,
    /// Lengths of the first value and of the others, in order.
    pub lengths: Vec<usize>,
}

/// What to do about a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plan {
    /// Answer with what is kept.
    Serve,
    /// Ask whether what is kept is current.
    Ask(Validators),
    /// Fetch the whole.
    Fetch,
}

/// Decides, from what is kept and the time.
#[must_use]
pub fn plan(reuse: Reuse, kept: Option<&Head>, now: SystemTime) -> Plan {
    let Some(kept) = kept else { return Plan::Fetch };
    let now = seconds(now);
    // A stored time ahead of the clock says that one of the two is wrong: freshness cannot be told.
    let is_fresh = kept.stored <= now && kept.fresh_until.is_some_and(|until| now < until);
    match reuse {
        Reuse::Never => Plan::Fetch,
        Reuse::WhileFresh if is_fresh => Plan::Serve,
        Reuse::WhileFresh | Reuse::Revalidate if kept.validators.are_useful() => {
            Plan::Ask(kept.validators.clone())
        }
        Reuse::WhileFresh | Reuse::Revalidate => Plan::Fetch,
    }
}

/// Seconds since 1970; zero for what lies before.
#[must_use]
pub fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Which answers are kept, the longest unwritten first. Room is made without looking through all of them: a gateway keeps
/// one for each of tens of thousands of peers.
#[derive(Debug, Default)]
pub struct Shelf {
    by_name: HashMap<String, Place>,
    by_age: BTreeMap<u64, String>,
    /// Octets of all.
    total: u64,
    /// Writings so far.
    written: u64,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    /// At which writing it came.
    age: u64,
    /// Octets.
    size: u64,
}

impl Shelf {
    /// Octets of all.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total
    }

    /// This one is there now, and the youngest.
    pub fn put(&mut self, name: String, size: u64) {
        self.take(&name);
        self.written += 1;
        self.total = self.total.saturating_add(size);
        self.by_age.insert(self.written, name.clone());
        self.by_name.insert(name, Place { age: self.written, size });
    }

    /// This one is there no more.
    pub fn take(&mut self, name: &str) {
        if let Some(place) = self.by_name.remove(name) {
            self.by_age.remove(&place.age);
            self.total = self.total.saturating_sub(place.size);
        }
    }

    /// Which go so that `incoming` octets fit below `cap`: the oldest first. `None` when they never fit.
    pub fn evict(&mut self, incoming: u64, cap: u64) -> Option<Vec<String>> {
        let room = cap.checked_sub(incoming)?;
        let mut gone = Vec::new();
        while self.total > room {
            let Some((_, oldest)) = self.by_age.first_key_value() else { break };
            let oldest = oldest.clone();
            self.take(&oldest);
            gone.push(oldest);
        }
        Some(gone)
    }
}

const MAGIC: &[u8] = b"ravelin-fetch 1\n";
const DIGEST: usize = 32;

/// What stands in a kept answer's file before its values, which follow one after the other: magic, SHA-256 of all that
/// comes after it, length of the head, head. The values are not copied: a CRL may be large.
#[must_use]
pub fn preamble(head: &Head, values: &[&[u8]]) -> Vec<u8> {
    let head = Head { lengths: values.iter().map(|value| value.len()).collect(), ..head.clone() };
    let head = serde_json::to_vec(&head).unwrap_or_default();
    let length = u32::try_from(head.len()).unwrap_or(0).to_be_bytes();
    let mut sum = Context::new(&SHA256);
    [&length[..], &head].iter().chain(values).for_each(|part| sum.update(part));
    [MAGIC, sum.finish().as_ref(), &length, &head].concat()
}

/// Reads it back; `None` for whatever is not exactly what was written.
#[must_use]
pub fn decode(file: &[u8]) -> Option<(Head, Vec<Vec<u8>>)> {
    let (sum, rest) = file.strip_prefix(MAGIC)?.split_at_checked(DIGEST)?;
    if digest(&SHA256, rest).as_ref() != sum {
        return None;
    }
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let (head, mut rest) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    let head: Head = serde_json::from_slice(head).ok()?;
    let mut values = Vec::new();
    for &length in &head.lengths {
        let (value, after) = rest.split_at_checked(length)?;
        values.push(value.to_vec());
        rest = after;
    }
    (rest.is_empty() && !values.is_empty()).then_some((head, values))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn encode(head: &Head, values: &[&[u8]]) -> Vec<u8> {
        [preamble(head, values), values.concat()].concat()
    }

    fn head() -> Head {
        let validators = Validators { entity_tag: Some("\"1\"".into()), last_modified: None };
        Head { validators, stored: 1000, fresh_until: Some(2000), ..Head::default() }
    }

    /// What servers write into Cache-Control.
    #[test]
    fn keeps_as_the_server_says() {
        assert_eq!(Keep::of(None, None), Keep::Unsaid);
        assert_eq!(Keep::of(Some("max-age=3600, public"), None), Keep::For(HOUR));
        assert_eq!(
            Keep::of(Some("Max-Age=\"3600\""), Some("600")),
            Keep::For(HOUR - Duration::from_secs(600))
        );
        assert_eq!(Keep::of(Some("max-age=60"), Some("600")), Keep::For(Duration::ZERO));
        assert_eq!(Keep::of(Some("max-age=3600, no-store"), None), Keep::Never);
        assert_eq!(Keep::of(Some("no-cache, max-age=3600"), None), Keep::For(Duration::ZERO));
        assert_eq!(Keep::of(Some("max-age=soon"), None), Keep::Unsaid);
        assert_eq!(Keep::of(Some("max-age=99999999999"), None), Keep::For(LONGEST_FRESH));
    }

    /// Fresh is served, stale is asked about, and what cannot be asked about is fetched.
    #[test]
    fn plans() {
        let (head, bare) = (head(), Head { validators: Validators::default(), ..head() });
        let ask = Plan::Ask(head.validators.clone());
        assert_eq!(plan(Reuse::WhileFresh, Some(&head), at(1999)), Plan::Serve);
        assert_eq!(plan(Reuse::WhileFresh, Some(&head), at(2000)), ask);
        assert_eq!(plan(Reuse::WhileFresh, Some(&head), at(999)), ask, "a clock that went back");
        assert_eq!(plan(Reuse::Revalidate, Some(&head), at(1500)), ask);
        assert_eq!(plan(Reuse::Never, Some(&head), at(1500)), Plan::Fetch);
        assert_eq!(plan(Reuse::WhileFresh, Some(&bare), at(2000)), Plan::Fetch);
        assert_eq!(plan(Reuse::WhileFresh, None, at(1500)), Plan::Fetch);
        let long = Validators { entity_tag: Some("x".repeat(LONGEST_VALIDATOR + 1)), last_modified: None };
        let long = Head { validators: long, ..head };
        assert_eq!(plan(Reuse::Revalidate, Some(&long), at(1500)), Plan::Fetch);
    }

    /// What is written again is counted once, and is young again.
    #[test]
    fn a_shelf_has_each_answer_once() {
        let mut shelf = Shelf::default();
        for (name, size) in [("a", 50), ("b", 50), ("a", 70)] {
            shelf.put(name.to_owned(), size);
        }
        assert_eq!(shelf.total(), 120);
        assert_eq!(shelf.evict(30, 100), Some(vec!["b".to_owned()]));
        shelf.take("a");
        shelf.take("a");
        assert_eq!((shelf.total(), shelf.evict(100, 100)), (0, Some(Vec::new())));
    }

    proptest! {
        /// What is written is read back, whole.
        #[test]
        fn files_round_trip(values in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 1..4)) {
            let slices: Vec<&[u8]> = values.iter().map(Vec::as_slice).collect();
            let (read, back) = decode(&encode(&head(), &slices)).unwrap();
            prop_assert_eq!(&back, &values);
            prop_assert_eq!(read.validators, head().validators);
        }

        /// A file that was cut or changed anywhere is none.
        #[test]
        fn damage_is_seen(at in 0_usize..300, bit in 0_u8..8) {
            let whole = encode(&head(), &[b"content"]);
            let at = at % whole.len();
            prop_assert!(decode(whole.get(..at).unwrap()).is_none());
            let mut changed = whole;
            changed[at] ^= 1 << bit;
            prop_assert!(decode(&changed).is_none());
        }

        /// The cap holds after every eviction, and nothing goes that need not.
        #[test]
        fn evicts_enough_and_no_more(sizes in proptest::collection::vec(1_u64..100, 0..20), incoming in 0_u64..300) {
            let mut shelf = Shelf::default();
            for (number, &size) in sizes.iter().enumerate() {
                shelf.put(number.to_string(), size);
            }
            let total: u64 = sizes.iter().sum();
            prop_assert_eq!(shelf.total(), total);
            match shelf.evict(incoming, 200) {
                None => prop_assert!(incoming > 200),
                Some(gone) => {
                    let freed: u64 = gone.iter().map(|name| sizes[name.parse::<usize>().unwrap()]).sum();
                    prop_assert!(total - freed + incoming <= 200);
                    prop_assert_eq!(shelf.total(), total - freed);
                    let oldest: Vec<String> = (0..gone.len()).map(|number| number.to_string()).collect();
                    prop_assert_eq!(&gone, &oldest);
                    if let Some(last) = gone.last() {
                        prop_assert!(total - freed + sizes[last.parse::<usize>().unwrap()] + incoming > 200);
                    }
                }
            }
        }
    }
}
