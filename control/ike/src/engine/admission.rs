//! What strangers may cost us (RFC 7296 §2.6): half-open tunnels are counted, per address too; past a threshold
//! callers must first prove their address by a cookie; past a limit they are not heard.

use crate::allowance::Allowance;
use crate::config::EngineConfig;
use crate::crypto::{CookieJar, Drbg};
use crate::event::Event;
use crate::id::IkeId;
use crate::input::Datagram;
use crate::sa::phase::Patience;
use crate::time::Instant;
use crate::wire::{Header, IkeSpi};
use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};

/// What the network and strangers did, in numbers that only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Datagrams received.
    pub datagrams: u64,
    /// Datagrams that are no IKE message, or one larger than is taken.
    pub malformed: u64,
    /// Messages for SPIs that are not ours.
    pub unknown_spi: u64,
    /// IKE_SA_INIT and IKE_SESSION_RESUME requests from strangers.
    pub init_requests: u64,
    /// Of these, repetitions of one that is being served.
    pub init_repeated: u64,
    /// Of these, answered with a demand for a cookie.
    pub cookies_demanded: u64,
    /// Of these, dropped because of a limit.
    pub init_dropped: u64,
    /// Of these, refused: no connection or no proposal.
    pub init_refused: u64,
    /// Half-open IKE SAs whose caller never came back; no more than a few a second are told of one by one.
    pub half_open_expired: u64,
    /// Unprotected error replies not sent because of the rate limit.
    pub errors_suppressed: u64,
    /// Simultaneous rekeys of one SA that were decided by their nonces.
    pub collisions: u64,
    /// IKE SAs that took the place of others after new proofs of identity.
    pub reauthenticated: u64,
    /// IKE SAs that were ended because there was no new proof in time (RFC 4478).
    pub proofs_expired: u64,
    /// Calls of both ends at once that both came through: one of the two tunnels goes, decided by their nonces.
    pub crossed_calls: u64,
    /// Datagrams dropped because their sender is locked out.
    pub lockout_dropped: u64,
    /// Callers, or whole addresses, that were locked out.
    pub lockouts: u64,
    /// Of the IKE_SA_INIT requests, answered with the address of another gateway.
    pub init_redirected: u64,
    /// Sessions resumed by a ticket of ours, as far as the ticket goes (RFC 5723).
    pub tickets_accepted: u64,
    /// Tickets that were not accepted.
    pub tickets_refused: u64,
    /// Crash tokens given out, for IKE SAs that are not here (RFC 6290).
    pub crash_tokens_sent: u64,
    /// Peers' crash tokens that proved the loss of an IKE SA.
    pub crash_tokens_proven: u64,
    /// Crash tokens that proved nothing: forged, or made with a secret that the peer has not kept.
    pub crash_tokens_wrong: u64,
}

/// Who made a half-open tunnel.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Caller {
    pub(super) instance: u16,
    pub(super) remote: SocketAddr,
    pub(super) spi: IkeSpi,
}

impl Caller {
    /// The sender of a first request with this header.
    pub(super) fn of(datagram: &Datagram, header: &Header) -> Caller {
        Caller { instance: datagram.instance, remote: datagram.remote, spi: header.initiator_spi }
    }
}

/// Accounts of half-open tunnels.
pub(super) struct Admission {
    pub(super) jar: CookieJar,
    pub(super) counters: Counters,
    half_open: BTreeMap<Caller, IkeId>,
    per_address: BTreeMap<(u16, IpAddr), usize>,
    rotate_at: Option<Instant>,
    demanding: bool,
    /// Unprotected replies to IKE_SA_INIT requests.
    replies: Allowance,
    /// INVALID_IKE_SPI. Apart from the others, so that rubbish does not silence what negotiation needs.
    spi_replies: Allowance,
}

impl Admission {
    pub(super) fn new(random: &mut Drbg) -> Admission {
        Admission {
            jar: CookieJar::new(random),
            counters: Counters::default(),
            half_open: BTreeMap::new(),
            per_address: BTreeMap::new(),
            rotate_at: None,
            demanding: false,
            replies: Allowance::default(),
            spi_replies: Allowance::default(),
        }
    }

    /// The half-open tunnel of this caller.
    pub(super) fn find(&self, caller: &Caller) -> Option<IkeId> {
        self.half_open.get(caller).copied()
    }

    /// All half-open tunnels.
    pub(super) fn ids(&self) -> Vec<IkeId> {
        self.half_open.values().copied().collect()
    }

    /// Half-open tunnels.
    pub(super) fn half_open(&self) -> usize {
        self.half_open.len()
    }

    /// Whether callers must show a cookie: from the threshold on, until half as many are half-open. One caller more or less
    /// shall not decide it for the next.
    pub(super) fn demands_cookie(&self, config: &EngineConfig) -> bool {
        config.half_open.cookie_threshold.is_some_and(|threshold| threshold == 0 || self.demanding)
    }

    /// Whether there is no room for this caller.
    pub(super) fn is_full_for(&self, caller: &Caller, config: &EngineConfig) -> bool {
        let same = self.per_address.get(&(caller.instance, caller.remote.ip())).copied().unwrap_or(0);
        self.half_open.len() >= config.half_open.limit || same >= config.half_open.per_address
    }

    /// How long a half-open tunnel may take (IKE-20: less under pressure, until the caller has come with IKE_AUTH).
    pub(super) fn patience(&self, config: &EngineConfig) -> Patience {
        let limits = &config.half_open;
        let to_auth = if self.demands_cookie(config) { limits.reduced_timeout } else { limits.timeout };
        Patience { to_auth, to_proof: limits.timeout.max(to_auth) }
    }

    pub(super) fn enter(
        &mut self,
        caller: &Caller,
        id: IkeId,
        events: &mut VecDeque<Event>,
        config: &EngineConfig,
    ) {
        self.half_open.insert(caller.clone(), id);
        let count = self.per_address.entry((caller.instance, caller.remote.ip())).or_default();
        *count = count.saturating_add(1);
        self.tell(events, config);
    }

    pub(super) fn leave(&mut self, caller: &Caller, events: &mut VecDeque<Event>, config: &EngineConfig) {
        self.half_open.remove(caller);
        let key = (caller.instance, caller.remote.ip());
        if let Some(count) = self.per_address.get_mut(&key) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.per_address.remove(&key);
            }
        }
        self.tell(events, config);
    }

    /// Begins to demand cookies, or ends it, and tells so.
    fn tell(&mut self, events: &mut VecDeque<Event>, config: &EngineConfig) {
        let half_open = self.half_open.len();
        let Some(threshold) = config.half_open.cookie_threshold else { return };
        let demanded = if self.demanding { half_open > threshold / 2 } else { half_open >= threshold };
        if demanded != self.demanding {
            self.demanding = demanded;
            events.push_back(Event::Cookies { demanded, half_open });
        }
    }

    /// Changes the cookie secret when its time has come.
    pub(super) fn tick(&mut self, config: &EngineConfig, now: Instant, random: &mut Drbg) {
        let due = *self.rotate_at.get_or_insert(now + config.half_open.cookie_rotation);
        if due <= now {
            self.jar.rotate(random);
            self.rotate_at = Some(now + config.half_open.cookie_rotation);
        }
    }

    /// Whether one more unprotected error reply to an IKE_SA_INIT request may leave now.
    pub(super) fn may_reply(&mut self, now: Instant, config: &EngineConfig) -> bool {
        let may = self.replies.take(now, config.error_replies_per_second);
        self.suppressed(may)
    }

    /// Whether one more INVALID_IKE_SPI may leave now.
    pub(super) fn may_tell_spi(&mut self, now: Instant, config: &EngineConfig) -> bool {
        let may = self.spi_replies.take(now, config.error_replies_per_second);
        self.suppressed(may)
    }

    fn suppressed(&mut self, may: bool) -> bool {
        let counter = &mut self.counters.errors_suppressed;
        *counter = counter.saturating_add(u64::from(!may));
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(spi: u64) -> Caller {
        Caller { instance: 0, remote: SocketAddr::from(([192, 0, 2, 1], 500)), spi: IkeSpi(spi) }
    }

    /// From four on, until two are left: what lies between does not end it, and does not begin it.
    #[test]
    fn demands_do_not_flap() {
        let mut config = EngineConfig::default();
        config.half_open.cookie_threshold = Some(4);
        let (mut admission, mut events) = (Admission::new(&mut Drbg::new(&[1; 32])), VecDeque::new());
        let steps = [1, 2, 3, 4, 3, 2, 3, 4, 5, 2, 0];
        let demanded: Vec<bool> = steps
            .into_iter()
            .map(|wanted: u64| {
                let there = admission.half_open() as u64;
                (there..wanted).for_each(|n| admission.enter(&caller(n), IkeId(n), &mut events, &config));
                (wanted..there).for_each(|n| admission.leave(&caller(n), &mut events, &config));
                let demands = admission.demands_cookie(&config);
                let told = admission.patience(&config).to_auth == config.half_open.reduced_timeout;
                assert_eq!(demands, told, "at {wanted}");
                demands
            })
            .collect();
        let (no, yes) = (false, true);
        assert_eq!(demanded, [no, no, no, yes, yes, no, no, yes, yes, no, no]);
        assert_eq!(events.len(), 4, "{events:?}");
    }
}
