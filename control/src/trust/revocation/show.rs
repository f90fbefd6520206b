//! What is known of revocation, as operators read it.

use ravelin_pki::UnixTime;

use super::desk::Desk;

/// All of it at one moment.
#[derive(Clone, Debug)]
pub struct Known {
    /// CRLs.
    pub lists: Vec<KnownList>,
    /// Authorities whose CRL is kept up.
    pub upkept: Vec<Upkept>,
    /// Answers of responders.
    pub answers: usize,
    /// Addresses left alone, with until when and why.
    pub resting: Vec<(String, UnixTime, String)>,
    /// Peers that wait to be judged.
    pub waiting: usize,
    /// Tunnels that a revocation would end.
    pub watched: usize,
}

/// A CRL.
#[derive(Clone, Debug)]
pub struct KnownList {
    /// Whose.
    pub issuer: String,
    /// From where it came.
    pub source: String,
    /// How many certificates it lists.
    pub entries: usize,
    /// Octets of memory.
    pub octets: usize,
    /// When it was made.
    pub this_update: UnixTime,
    /// Until when it is good.
    pub next_update: Option<UnixTime>,
    /// Seconds it is out of date.
    pub stale: u64,
}

/// An authority whose CRL is kept up.
#[derive(Clone, Debug)]
pub struct Upkept {
    /// Its profile's name.
    pub profile: String,
    /// When its CRL is fetched next; `None`: nobody does by itself.
    pub due: Option<UnixTime>,
    /// Whether it is being fetched.
    pub is_asking: bool,
}

impl Known {
    pub(super) fn of(desk: &Desk, now: UnixTime) -> Self {
        let (waiting, watched) = desk.counts();
        let lists = desk.cache().lists().map(|held| KnownList {
            issuer: held.value.issuer().to_string(),
            source: held.source.clone(),
            entries: held.value.len(),
            octets: held.value.octets(),
            this_update: held.value.this_update(),
            next_update: held.value.next_update(),
            stale: held
                .value
                .next_update()
                .map_or(0, |until| now.0.saturating_sub(until.0).max(0).unsigned_abs()),
        });
        let resting = desk.cache().rest().iter().filter(|(_, resting)| now < resting.until);
        let upkept = desk.kept().map(|(authority, due, is_asking)| Upkept {
            profile: authority.name.clone(),
            due,
            is_asking,
        });
        Self {
            lists: lists.collect(),
            upkept: upkept.collect(),
            answers: desk.cache().answers().count(),
            resting: resting.map(|(url, it)| (url.to_owned(), it.until, it.why.clone())).collect(),
            waiting,
            watched,
        }
    }
}
