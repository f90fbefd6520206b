//! Several addresses at either end (RFC 4555 §3.1, §3.4, §3.6, §3.10): which of ours the peer is told of, and by which
//! other ways a request goes that nobody answers.
//!
//! "the initiator is responsible for detecting and recovering from most failures" (§3.11): who called repeats its request
//! between other pairs of addresses too. The peer answers each copy the way it came, so that the answer shows a way that
//! works; what follows from that is [`super::mobility`]'s. Who was called only says where it is.

use super::children::Child;
use super::common::Common;
use super::line::{Line, Own, Standing};
use super::tunnel::Tunnel;
use super::turn::Turn;
use super::up::{Task, Up};
use crate::config::{Connection, Selector};
use crate::context::Context;
use crate::crypto::nat_detection_hash;
use crate::event::Event;
use crate::want::{Path, Role};
use crate::window::Due;
use crate::wire::{ExchangeType, IkeSpi, Notify, NotifyType, Payload};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Other pairs of addresses that one repetition goes between. Where there are more, the next repetition goes between the
/// next ones.
const PAIRS: usize = 16;

/// Our addresses but the one in the IP header (§3.4).
pub(crate) fn further(config: &Connection, used: IpAddr) -> Vec<Payload> {
    let others = config.own_addresses().filter(|own| *own != used);
    others.map(|own| Payload::Notify(Notify::additional(own))).collect()
}

/// The same, where it takes the place of what the peer knows (§3.6).
pub(crate) fn list(config: &Connection, used: IpAddr) -> Vec<Payload> {
    let further = further(config, used);
    let none = Payload::Notify(Notify::new(NotifyType::NoAdditionalAddresses, Vec::new()));
    if further.is_empty() { vec![none] } else { further }
}

/// The same request from our further addresses: "the initiator SHOULD try various source and destination address
/// combinations when retransmitting the IKE_SA_INIT request" (§3.1).
pub(crate) fn calling(common: &Common) -> Vec<Path> {
    let Path { local, .. } = common.path;
    let others = common.config.own_addresses().filter(|own| *own != local.ip());
    others.map(|own| Path { local: SocketAddr::new(own, local.port()), ..common.path }).collect()
}

/// "There MAY be multiple NAT_DETECTION_SOURCE_IP payloads in a message if the sender does not know which of several
/// network attachments will be used to send the packet" (RFC 7296 §2.23): those of our further addresses.
pub(crate) fn sources(common: &Common, spis: (IkeSpi, IkeSpi)) -> Vec<Payload> {
    let (first, nat) = (common.attempt.local, &common.config.nat);
    let others =
        common.config.own_addresses().filter(|own| *own != first.ip() && !nat.is_off() && !nat.forces());
    let hash = |own| nat_detection_hash(spis.0, spis.1, SocketAddr::new(own, first.port())).to_vec();
    let source = |own| Payload::Notify(Notify::new(NotifyType::NatDetectionSourceIp, hash(own)));
    others.map(source).collect()
}

/// Our end of the path is where the first answer came to, if that is one of ours.
pub(crate) fn answered(common: &mut Common, local: SocketAddr) {
    if common.config.own_addresses().any(|own| own == local.ip()) {
        common.path.local.set_ip(local.ip());
    }
}

impl Turn<'_, '_> {
    /// Sends our unanswered request again if that is due, by all ways there are where nobody has answered for a while. How
    /// often it went and how long it waited, if that is enough.
    pub(crate) fn resend(&mut self) -> Option<(u32, Duration)> {
        let others = if self.looks_around() { self.other_ways() } else { Vec::new() };
        self.line.sa.shrink_request(self.ctx, self.common);
        match self.line.sa.window.resend(self.ctx.now) {
            Due::Resend(packets) => {
                self.ctx.send_again(&self.common.path, packets);
                self.ctx.send_around(&others, packets);
                if let Some(Own::Updated(update)) = &mut self.line.own {
                    update.went_around |= !others.is_empty();
                }
                self.answer_around(&others);
            }
            Due::GiveUp { tries, waited } => return Some((tries, waited)),
            Due::Nothing => {}
        }
        None
    }

    /// A peer that has rekeyed the IKE SA knows the new one by our answer alone, which may be lost: it goes by the other
    /// ways too.
    fn answer_around(&mut self, others: &[Path]) {
        let lines = self.up.lines.iter().map(AsRef::<Line>::as_ref);
        let retiring = lines.filter(|line| matches!(line.standing, Standing::Retiring { .. }));
        let answers = retiring.filter_map(|line| line.sa.window.last_reply());
        for answer in answers {
            others.iter().for_each(|path| self.ctx.answer_again(path, answer));
        }
    }

    /// An answer came between these addresses: if they are of another way, that one is taken.
    pub(crate) fn heard_by(&mut self, local: SocketAddr, remote: SocketAddr) {
        let to = self.common.path_to(local, remote);
        if to != self.common.path && self.looks_around() && self.ways().contains(&to) {
            self.take_way(to);
        }
    }

    /// Tells the peer of our addresses anew.
    pub(crate) fn announce_addresses(&mut self) {
        let (local, config) = (self.common.path.local.ip(), self.current_config());
        match self.request(ExchangeType::Informational, list(&config, local)) {
            Ok(()) => self.line.own = Some(Own::Announced),
            Err(failure) => self.up.ended = Some(failure),
        }
    }

    fn looks_around(&self) -> bool {
        let Path { mobike, .. } = self.common.path;
        let decides = mobike && self.common.role == Role::Initiator && !self.up.is_closing();
        let searches = matches!(self.line.own, Some(Own::Found));
        decides && self.line.is_current() && (searches || self.line.sa.window.is_unheard())
    }

    /// Those of the other ways whose turn it is.
    pub(crate) fn other_ways(&self) -> Vec<Path> {
        let ways = self.ways();
        let turn = self.line.sa.window.repetitions() as usize;
        let first = turn.saturating_mul(PAIRS).checked_rem(ways.len()).filter(|_| ways.len() > PAIRS);
        ways.iter().cycle().skip(first.unwrap_or(0)).take(PAIRS.min(ways.len())).copied().collect()
    }

    /// All other ways but those that the peer refuses, those from our end as it is first.
    pub(crate) fn ways(&self) -> Vec<Path> {
        let config = self.current_config();
        let Path { local, remote, .. } = self.common.path;
        let own = std::iter::once(local.ip()).chain(config.own_addresses().filter(|own| *own != local.ip()));
        let theirs = self.common.peer_addresses();
        let port = self.ctx.config.nat_port;
        let to = |ip: IpAddr| SocketAddr::new(ip, if ip == remote.ip() { remote.port() } else { port });
        let pairs = own.flat_map(|own| theirs.iter().map(move |their| (own, *their)));
        pairs
            .filter(|pair| *pair != (local.ip(), remote.ip()) && !self.common.mobility.refused.has(*pair))
            .filter(|pair| !self.up.carries(*pair, remote.ip()))
            .map(|(own, their)| self.common.path_to(SocketAddr::new(own, local.port()), to(their)))
            .collect()
    }
}

impl Common {
    /// Where else the peer says that it is.
    pub(crate) fn peer_addresses_told(&self) -> Event {
        let addresses = self.mobility.additional.clone();
        Event::PeerAddresses { ike: self.id, connection: self.connection, addresses }
    }

    /// Where the peer may be: where it is, where we called it, and where it says that it is, of the family of the path.
    fn peer_addresses(&self) -> Vec<IpAddr> {
        let remote = self.path.remote.ip();
        let named =
            [remote, self.attempt.remote.ip()].into_iter().chain(self.mobility.additional.iter().copied());
        let mut addresses: Vec<IpAddr> = Vec::new();
        for address in named.filter(|address| address.is_ipv4() == remote.is_ipv4()) {
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        addresses
    }
}

impl Up {
    /// Whether packets between these addresses go into one of the tunnel's own CHILD_SAs, which would be moved into itself;
    /// or whether the peer's is behind the tunnel, as one of its inner interfaces is, while the peer `now` is not.
    fn carries(&self, (own, their): (IpAddr, IpAddr), now: IpAddr) -> bool {
        let has = |side: &[Selector], address| side.iter().any(|it| (it.start..=it.end).contains(&address));
        let into = |child: &Child| has(&child.local, own) || !has(&child.remote, now);
        self.children.iter().any(|child| has(&child.remote, their) && into(child))
    }
}

impl Tunnel {
    /// Other addresses of ours are configured than were. The peer is told; from a further one that is gone the tunnel goes
    /// where it would be called from now.
    pub(crate) fn own_addresses_changed(
        &mut self,
        ctx: &mut Context<'_>,
        before: &Connection,
        now: &Connection,
    ) {
        let local = self.common.path.local.ip();
        if !self.is_established() || !self.common.path.mobike {
            return;
        }
        if before.further_addresses.contains(&local) && now.own_addresses().all(|own| own != local) {
            self.move_to(ctx, now.local);
        }
        if before.further_addresses != now.further_addresses {
            self.common.mobility.refused.forget();
            self.task(ctx, Task::AnnounceAddresses);
        }
    }
}
