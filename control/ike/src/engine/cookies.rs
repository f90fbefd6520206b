//! Under pressure (RFC 7296 §2.6): a first request without a good cookie is answered with one before anything of it is
//! built or kept. Whatever else is wrong with it is said to callers that have shown that they receive at their address.

use super::{Engine, admission};
use crate::config::ConnectionId;
use crate::crypto::Initiator;
use crate::input::Datagram;
use crate::time::Instant;
use crate::wire::{ExchangeType, Glance, Header, Notify, NotifyType, limits};

/// Whether a message without responder SPI begins an IKE SA.
pub(super) fn begins(header: &Header) -> bool {
    let exchange = matches!(header.exchange, ExchangeType::IkeSaInit | ExchangeType::IkeSessionResume);
    exchange && !header.flags.response && header.message_id == 0
}

impl Engine {
    /// Whether a message is a first request that is to come again with a cookie; it was told so. Not those that would
    /// not be served with one, and not repetitions of one that is being served.
    pub(super) fn is_put_off(&mut self, now: Instant, datagram: &Datagram) -> bool {
        if !self.admission.demands_cookie(&self.config) || self.shut_down {
            return false;
        }
        let Ok((header, ..)) = Header::parse(&datagram.bytes) else { return false };
        let is_first = header.flags.initiator && header.responder_spi.is_zero() && begins(&header);
        let caller = admission::Caller::of(datagram, &header);
        let is_known = || self.admission.find(&caller).is_some();
        if !is_first || header.initiator_spi.is_zero() || is_known() || !self.may_come(datagram) {
            return false;
        }
        let asked = Glance::of(&datagram.bytes).filter(|_| datagram.bytes.len() <= limits::INIT_OCTETS);
        if asked.is_some_and(|asked| self.shows_cookie(datagram, &asked)) {
            return false;
        }
        self.count(|counters| &mut counters.init_requests);
        match asked {
            Some(asked) => self.demand_cookie(now, datagram, &asked),
            None => self.count(|counters| &mut counters.malformed),
        }
        true
    }

    /// Whether there is a connection between these addresses that has room.
    fn may_come(&self, datagram: &Datagram) -> bool {
        let (instance, local, remote) = (datagram.instance, datagram.local.ip(), datagram.remote.ip());
        [Some(remote), None].into_iter().any(|remote| {
            let all = (instance, local, remote, ConnectionId(0))
                ..=(instance, local, remote, ConnectionId(u32::MAX));
            self.by_addresses.range(all).any(|(.., id)| !self.full.contains(id))
        })
    }

    /// Whether a first request has a cookie of ours for its caller.
    pub(super) fn shows_cookie(&self, datagram: &Datagram, asked: &Glance<'_>) -> bool {
        asked
            .cookie
            .is_some_and(|cookie| self.admission.jar.check(cookie, &initiator(datagram, asked)).is_ok())
    }

    /// A cookie costs a hash and no memory, and its reply is smaller than the request: no rate limit.
    fn demand_cookie(&mut self, now: Instant, datagram: &Datagram, asked: &Glance<'_>) {
        self.count(|counters| &mut counters.cookies_demanded);
        self.out.trace(now, datagram.remote, || "it is asked for a cookie".to_owned());
        let cookie = self.admission.jar.cookie(&initiator(datagram, asked));
        self.reply_unprotected(datagram, &asked.header, vec![Notify::new(NotifyType::Cookie, cookie)]);
    }
}

fn initiator<'a>(datagram: &Datagram, asked: &Glance<'a>) -> Initiator<'a> {
    Initiator { nonce: asked.nonce, address: datagram.remote.ip(), spi: asked.header.initiator_spi }
}
