//! MOBIKE (RFC 4555): the outer addresses of a tunnel change, and its SAs stay.
//!
//! Who called decides, by UPDATE_SA_ADDRESSES (§3.5). As caller we say so when our own address changes
//! ([`crate::input::Command::Move`]), and when another pair of addresses answers than the one in use
//! ([`super::addresses`]). Called, we follow: IKE at once, ESP when the caller has shown by COOKIE2 that it is there
//! (§3.7).

use super::addresses;
use super::common::Common;
use super::line::Own;
use super::nat::{self, NatFindings};
use super::parts::Parts;
use super::refused::Refused;
use super::turn::Turn;
use super::up::{Task, Up};
use crate::config::{Connection, RemoteAddress};
use crate::context::Context;
use crate::crypto::{Random, nat_detection_hash};
use crate::error::Failure;
use crate::event::{Event, MoveRefusal};
use crate::want::{Path, Role, WantKind};
use crate::wire::{ExchangeType, IkeSpi, Notify, NotifyType, Payload, limits};
use std::net::{IpAddr, SocketAddr};

/// Octets of our COOKIE2; 8 to 64 are allowed (§4.2.5).
const COOKIE: usize = 32;

/// What a tunnel keeps of where it was and is.
#[derive(Debug, Default)]
pub(crate) struct Mobility {
    /// Where ESP goes while the peer has yet to answer at its new address; `None`: where IKE goes.
    pub(crate) checked: Option<Path>,
    /// Other addresses the peer says it has.
    pub(crate) additional: Vec<IpAddr>,
    /// The path we left, until the peer has taken note.
    pub(crate) left: Option<Path>,
    /// Where the peer does not accept us.
    pub(crate) refused: Refused,
    /// Changes of the path so far. A reply says nothing of an address if one came after its request, which may have
    /// gone to both.
    changes: u64,
    /// IKE SAs the tunnel has had.
    lines: u64,
    /// The number of the one that brought the last UPDATE_SA_ADDRESSES: message IDs order those of one IKE SA, and this
    /// those of several.
    newest: u64,
    /// An exchange that is to begin as soon as our window is free.
    pub(crate) errand: Option<Errand>,
    /// How the peer saw us last, by the hash it made: comparable under the same SPIs only.
    seen: Option<((IkeSpi, IkeSpi), Vec<u8>)>,
}

/// An exchange of MOBIKE's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Errand {
    /// Tell the peer where we are.
    Update,
    /// Find another pair of addresses than the one it refuses.
    Search,
    /// See whether the peer is there.
    Check,
}

/// The reply to our UPDATE_SA_ADDRESSES.
pub(crate) struct ExpectUpdated {
    changes: u64,
    /// What has to come back from an address of the peer's where ESP has not gone before.
    cookie: Option<Vec<u8>>,
    /// Whether it was repeated between other addresses too.
    pub(crate) went_around: bool,
}

/// The reply that has our COOKIE2.
pub(crate) struct ExpectRoutable {
    cookie: Vec<u8>,
    changes: u64,
}

/// What IKE_AUTH says of MOBIKE (§3.2), and of our addresses (§3.4).
pub(crate) fn announced(common: &Common) -> Vec<Payload> {
    let mut payloads = addresses::further(&common.config, common.path.local.ip());
    payloads.extend(common.config.mobike.then(|| notify(NotifyType::MobikeSupported)));
    payloads
}

/// Whether both sides do it, by the peer's message of IKE_AUTH.
pub(crate) fn negotiated(common: &mut Common, parts: &Parts) -> bool {
    common.path.mobike = common.config.mobike && parts.has(NotifyType::MobikeSupported);
    if common.path.mobike {
        common.mobility.note_additional(parts);
    }
    common.path.mobike
}

/// Whether a caller that allows no NAT on the way finds none (§3.9).
pub(crate) fn permit(common: &Common, parts: &Parts) -> Result<(), Failure> {
    let Path { local, remote, .. } = common.path;
    match common.config.mobike && finds_nat(parts, (local, remote)) {
        true => Err(Failure::UnexpectedNat),
        false => Ok(()),
    }
}

fn finds_nat(parts: &Parts, (local, remote): (SocketAddr, SocketAddr)) -> bool {
    parts.notifies.iter().any(|notify| notify.prohibits(remote, local))
}

fn notify(kind: NotifyType) -> Payload {
    Payload::Notify(Notify::new(kind, Vec::new()))
}

/// What the peer is to give back.
fn returned(cookie: &[u8]) -> Payload {
    Payload::Notify(Notify::new(NotifyType::Cookie2, cookie.to_vec()))
}

impl MoveRefusal {
    /// What the peer is told.
    fn notify(self) -> NotifyType {
        match self {
            MoveRefusal::UnexpectedNat => NotifyType::UnexpectedNatDetected,
            _ => NotifyType::UnacceptableAddresses,
        }
    }
}

impl Mobility {
    /// The number of another IKE SA.
    pub(crate) fn next_line(&mut self) -> u64 {
        self.lines = self.lines.saturating_add(1);
        self.lines
    }

    fn changed(&mut self) {
        self.changes = self.changes.saturating_add(1);
    }

    /// We go on along another path, of which the peer is to know.
    fn leave(&mut self, from: Path) {
        self.changed();
        self.left.get_or_insert(from);
        self.errand = Some(Errand::Update);
    }

    /// We are where the peer took note of us last.
    pub(crate) fn returned(&mut self) {
        self.changed();
        (self.left, self.checked) = (None, None);
    }

    /// "the new list of addresses replaces the old" (§3.6). What is beyond the limit is not kept. Whether there is one.
    fn note_additional(&mut self, parts: &Parts) -> bool {
        let mut named = parts.notifies.iter().filter_map(Notify::additional_address).peekable();
        let is_list = named.peek().is_some() || parts.has(NotifyType::NoAdditionalAddresses);
        if is_list {
            self.additional = named.take(limits::ADDITIONAL_ADDRESSES).collect();
            self.refused.forget();
        }
        is_list
    }
}

impl Up {
    /// ESP goes where it may from now on.
    pub(crate) fn readdress(&self, ctx: &mut Context<'_>, common: &Common) {
        for child in self.children.iter() {
            ctx.order(WantKind::UpdateAddresses { child: child.id, path: common.esp_path() });
        }
    }

    fn tell_moved(&self, ctx: &mut Context<'_>, common: &Common, from: Path) {
        if from != common.path && !self.is_closing() {
            ctx.event(Event::Moved { ike: common.id, connection: common.connection, from, to: common.path });
        }
    }

    /// The peer's address or port changed, by its authenticated packets (RFC 7296 §2.23).
    pub(crate) fn peer_moved(&mut self, ctx: &mut Context<'_>, common: &mut Common, remote: SocketAddr) {
        let from = common.path;
        common.path.remote = remote;
        common.mobility.changed();
        self.readdress(ctx, common);
        self.tell_moved(ctx, common, from);
    }

    /// Our own address changed: "updates the IPsec SAs ... with the new addresses" and tells the peer (§3.5), which
    /// stays where it is and so needs no check. False if the tunnel cannot go along.
    pub(crate) fn move_own(&mut self, ctx: &mut Context<'_>, common: &mut Common, from: Path) -> bool {
        let local = common.path.local;
        // What is still to be said leaves from where we are.
        self.lines.iter_mut().for_each(|line| line.reply_path.local.set_ip(local.ip()));
        if self.is_closing() {
            return true;
        }
        let able = common.path.mobike && common.role == Role::Initiator;
        if able {
            common.mobility.leave(from);
            common.mobility.refused.forget();
            common.mobility.checked.iter_mut().for_each(|esp| esp.local.set_ip(local.ip()));
            self.readdress(ctx, common);
        }
        able
    }
}

impl Turn<'_, '_> {
    fn spis(&self) -> (IkeSpi, IkeSpi) {
        (self.line.sa.initiator_spi, self.line.sa.responder_spi)
    }

    /// What NAT detection takes, for a message along this path.
    fn nat_detection(&self, path: &Path) -> [Payload; 2] {
        nat::notifies(self.spis(), (path.local, path.remote), self.common.config.nat.forces())
    }

    fn found_nat(&mut self, found: NatFindings) {
        self.common.found_nat(found);
        let pause = self.common.config.nat.pause(found.local, self.common.path.udp_encapsulation);
        self.common.keepalive_at = pause.map(|pause| self.ctx.now + pause);
    }

    /// The peer answered by another way than the path, on which nobody did. ESP follows at once where the peer is where it
    /// was, else when it has shown by COOKIE2 that it is there.
    pub(crate) fn take_way(&mut self, to: Path) {
        let (from, esp) = (self.common.path, self.common.esp_path());
        self.common.path = to;
        self.common.mobility.leave(from);
        self.common.mobility.checked = (esp.remote != to.remote).then_some(Path { local: to.local, ..esp });
        self.up.readdress(self.ctx, self.common);
    }

    /// Begins the exchange that is to begin, if there is one.
    pub(crate) fn run_errand(&mut self) {
        let begun = match self.common.mobility.errand.take() {
            None => return,
            Some(Errand::Update) => self.start_update(),
            Some(Errand::Search) => self.start_search(),
            Some(Errand::Check) => self.start_check(),
        };
        match begun {
            Ok(own) => self.line.own = Some(own),
            Err(failure) => self.up.ended = Some(failure),
        }
    }

    fn start_update(&mut self) -> Result<Own, Failure> {
        let (path, config) = (self.common.path, self.current_config());
        let mut payloads = vec![notify(NotifyType::UpdateSaAddresses)];
        if self.common.nat_detection {
            payloads.extend(self.nat_detection(&path));
        }
        if !config.further_addresses.is_empty() {
            payloads.extend(addresses::list(&config, path.local.ip()));
        }
        let cookie = self.common.mobility.checked.map(|_| self.cookie());
        payloads.extend(cookie.as_deref().map(returned));
        self.request(ExchangeType::Informational, payloads)?;
        let (changes, went_around) = (self.common.mobility.changes, false);
        Ok(Own::Updated(ExpectUpdated { changes, cookie, went_around }))
    }

    fn start_check(&mut self) -> Result<Own, Failure> {
        let cookie = self.cookie();
        self.request(ExchangeType::Informational, vec![returned(&cookie)])?;
        Ok(Own::Routable(ExpectRoutable { cookie, changes: self.common.mobility.changes }))
    }

    fn cookie(&mut self) -> Vec<u8> {
        let mut cookie = vec![0; COOKIE];
        self.ctx.random.fill(&mut cookie);
        cookie
    }

    /// This IKE SA ends with an exchange of MOBIKE's unanswered: the next one has it again.
    pub(crate) fn leave_errand(&mut self) {
        let mobility = &mut self.common.mobility;
        match &self.line.own {
            Some(Own::Updated(_)) => mobility.errand = Some(Errand::Update),
            Some(Own::Found) => mobility.errand = Some(Errand::Search),
            Some(Own::Routable(_)) => mobility.errand = mobility.checked.map(|_| Errand::Check),
            Some(Own::Announced) => self.up.tasks.push_front(Task::AnnounceAddresses),
            _ => {}
        }
    }

    /// The peer has taken note of where we are, or not.
    pub(crate) fn own_updated(&mut self, state: ExpectUpdated, parts: &Parts) {
        // "If an address change has occurred after the request was first sent, no MOBIKE processing is done for the
        // reply message because a new UPDATE_SA_ADDRESSES is going to be sent" (§3.5).
        let mobility = &mut self.common.mobility;
        if state.changes != mobility.changes || mobility.refused.is_doubtful(state.went_around) {
            mobility.errand = Some(Errand::Update);
            return;
        }
        if let Some(error) = parts.error() {
            return self.way_refused(error.notify_type.into());
        }
        self.common.mobility.refused.forget();
        if state.cookie.is_some_and(|cookie| !has_returned(parts, &cookie)) {
            return self.up.ended = Some(Failure::Syntax(OTHER_COOKIE));
        }
        let before = self.common.path;
        let found = nat::findings(parts, self.spis(), (before.local, before.remote));
        found.into_iter().for_each(|found| self.found_nat(found));
        self.common.mobility.seen = self.seen_as(parts);
        let checked = self.common.mobility.checked.take();
        if self.common.path != before || checked.is_some() {
            self.up.readdress(self.ctx, self.common);
        }
        let from = self.common.mobility.left.take().unwrap_or(before);
        self.up.tell_moved(self.ctx, self.common, from);
    }

    /// The peer answered, wherever it is.
    pub(crate) fn own_routable(&mut self, state: ExpectRoutable, parts: &Parts) {
        if !has_returned(parts, &state.cookie) {
            self.up.ended = Some(Failure::Syntax(OTHER_COOKIE));
        } else if state.changes == self.common.mobility.changes {
            self.settle_path();
        } else {
            // "receiving the INFORMATIONAL response does not tell which address is the working one" (§3.7).
            let mobility = &mut self.common.mobility;
            mobility.errand = mobility.checked.map(|_| Errand::Check);
        }
    }

    /// ESP follows IKE.
    fn settle_path(&mut self) {
        let mobility = &mut self.common.mobility;
        mobility.errand = mobility.errand.filter(|errand| *errand != Errand::Check);
        let Some(from) = mobility.checked.take() else { return };
        if from != self.common.path {
            self.up.readdress(self.ctx, self.common);
            self.up.tell_moved(self.ctx, self.common, from);
        }
    }

    fn refuse_move(&mut self, remote: SocketAddr, reason: MoveRefusal) {
        let ike = self.common.id;
        self.ctx.event(Event::MoveRefused { ike, connection: self.common.connection, remote, reason });
    }

    /// What MOBIKE has to say to the peer's INFORMATIONAL request; with what it asks done.
    pub(crate) fn peer_mobility(&mut self, parts: &Parts) -> Vec<Payload> {
        // "the recipient of an INFORMATIONAL request MUST copy the notification as-is to the response" (§3.7).
        let cookie = parts.notify(NotifyType::Cookie2).cloned().map(Payload::Notify);
        let mut payloads: Vec<Payload> = cookie.into_iter().collect();
        if !self.common.path.mobike {
            return payloads;
        }
        if self.common.mobility.note_additional(parts) {
            self.ctx.event(self.common.peer_addresses_told());
        }
        let path = self.line.reply_path;
        let found = nat::findings(parts, self.spis(), (path.local, path.remote));
        if parts.has(NotifyType::UpdateSaAddresses)
            && let Err(reason) = self.peer_update(parts, &path, found)
        {
            self.refuse_move(path.remote, reason);
            payloads.push(notify(reason.notify()));
        }
        // "if the request includes them, the responder MUST also include them in the response" (§3.8).
        if found.is_some() {
            payloads.extend(self.nat_detection(&path));
        }
        payloads
    }

    /// The peer is where its request came from.
    fn peer_update(
        &mut self,
        parts: &Parts,
        path: &Path,
        found: Option<NatFindings>,
    ) -> Result<(), MoveRefusal> {
        if self.common.role == Role::Initiator {
            return Err(MoveRefusal::NotTheCaller);
        }
        if finds_nat(parts, (path.local, path.remote)) {
            return Err(MoveRefusal::UnexpectedNat);
        }
        acceptable(&self.current_config(), path)?;
        // "Determines whether it has already received a newer UPDATE_SA_ADDRESSES request than this one" (§3.5): with a
        // window of one, on another IKE SA only.
        if self.line.number >= self.common.mobility.newest {
            self.common.mobility.newest = self.line.number;
            self.follow(path, found);
        }
        Ok(())
    }

    /// IKE goes there from now on; ESP too, if it does already, else when the peer has answered there.
    fn follow(&mut self, to: &Path, found: Option<NatFindings>) {
        let (before, esp) = (self.common.path, self.common.esp_path());
        self.common.path = self.common.path_to(to.local, to.remote);
        found.into_iter().for_each(|found| self.found_nat(found));
        if self.common.path == before {
            return;
        }
        self.common.mobility.changed();
        self.common.mobility.checked = Some(esp);
        match esp.remote == to.remote {
            true => self.settle_path(),
            false => self.common.mobility.errand = Some(Errand::Check),
        }
    }

    /// How the peer is asked to say how it sees us: by every probe, as NATs come, go and change their mind (§3.8).
    pub(crate) fn ask_how_seen(&mut self) -> Vec<Payload> {
        let path = self.common.path;
        let asks = path.mobike && self.common.role == Role::Initiator && self.common.nat_detection;
        if asks { self.nat_detection(&path).to_vec() } else { Vec::new() }
    }

    /// "If the values do not match, the IP address and/or port seen by the responder has changed, and the initiator
    /// SHOULD send UPDATE_SA_ADDRESSES" (§3.8).
    pub(crate) fn note_how_seen(&mut self, parts: &Parts) {
        let Path { local, mobike, .. } = self.common.path;
        let Some((spis, hash)) =
            self.seen_as(parts).filter(|_| mobike && self.common.role == Role::Initiator)
        else {
            return;
        };
        let translated = nat_detection_hash(spis.0, spis.1, local)[..] != hash[..];
        let before = self.common.mobility.seen.replace((spis, hash.clone()));
        let elsewhere = before.is_some_and(|(under, before)| under == spis && before != hash);
        if elsewhere || translated != self.common.local_behind_nat {
            self.common.mobility.errand = Some(Errand::Update);
        }
    }

    fn seen_as(&self, parts: &Parts) -> Option<((IkeSpi, IkeSpi), Vec<u8>)> {
        let hash = parts.notify(NotifyType::NatDetectionDestinationIp)?;
        Some((self.spis(), hash.data.clone()))
    }
}

/// "If the values do not match, the IKE_SA MUST be closed." (§3.7)
const OTHER_COOKIE: &str = "COOKIE2 did not come back as it was sent";

fn has_returned(parts: &Parts, cookie: &[u8]) -> bool {
    parts.notify(NotifyType::Cookie2).is_some_and(|returned| returned.data == cookie)
}

/// Whether a connection lets its peer be at the far end of this path: "acceptable according to local policy" (§3.5).
fn acceptable(config: &Connection, path: &Path) -> Result<(), MoveRefusal> {
    match config.remote {
        _ if config.own_addresses().all(|ours| ours != path.local.ip()) => Err(MoveRefusal::OtherLocal),
        RemoteAddress::One(_) if config.remotes().all(|fixed| fixed != path.remote.ip()) => {
            Err(MoveRefusal::FixedPeer)
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(notifies: Vec<Notify>) -> Parts {
        Parts { notifies, ..Parts::default() }
    }

    fn addresses(count: u8) -> Parts {
        let v4 = |last| Notify::new(NotifyType::AdditionalIp4Address, vec![192, 0, 2, last]);
        parts((0..count).map(v4).collect())
    }

    /// A peer names as many as it likes; the first eight are kept, and the next list replaces them.
    #[test]
    fn additional_addresses_are_kept_up_to_a_limit() {
        let limit = limits::ADDITIONAL_ADDRESSES as u8;
        let mut mobility = Mobility::default();
        for (named, kept) in [(limit - 1, limit - 1), (limit, limit), (limit + 1, limit), (60, limit), (1, 1)]
        {
            mobility.note_additional(&addresses(named));
            assert_eq!(mobility.additional.len(), usize::from(kept), "of {named}");
        }
        mobility.note_additional(&parts(Vec::new()));
        assert_eq!(
            mobility.additional,
            [IpAddr::from([192, 0, 2, 0])],
            "a message without any changes nothing"
        );
        mobility.note_additional(&parts(vec![Notify::new(NotifyType::NoAdditionalAddresses, Vec::new())]));
        assert!(mobility.additional.is_empty());
    }

    /// An address of a length that is none is passed over.
    #[test]
    fn additional_addresses_have_the_length_of_one() {
        for (kind, length) in [(NotifyType::AdditionalIp4Address, 4), (NotifyType::AdditionalIp6Address, 16)]
        {
            for octets in 0..20 {
                let found = Notify::new(kind, vec![1; octets]).additional_address();
                assert_eq!(found.is_some(), octets == length, "{octets} octets");
            }
        }
        assert_eq!(Notify::new(NotifyType::Cookie2, vec![1; 4]).additional_address(), None);
    }

    /// NO_NATS_ALLOWED has both addresses and both ports as they were sent (§4.2.6).
    #[test]
    fn a_nat_is_found_where_none_is_allowed() {
        for (source, destination) in
            [("192.0.2.1:4500", "192.0.2.2:4500"), ("[2001:db8::1]:4500", "[2001:db8::2]:4500")]
        {
            let [source, destination]: [SocketAddr; 2] =
                [source, destination].map(|text| text.parse().unwrap());
            let octets = |ip: IpAddr| match ip {
                IpAddr::V4(ip) => ip.octets().to_vec(),
                IpAddr::V6(ip) => ip.octets().to_vec(),
            };
            let data = [octets(source.ip()), octets(destination.ip()), vec![0x11, 0x94, 0x11, 0x94]].concat();
            let sent = parts(vec![Notify::new(NotifyType::NoNatsAllowed, data)]);
            assert!(!finds_nat(&sent, (destination, source)));
            let elsewhere = SocketAddr::new(source.ip(), 4501);
            assert!(finds_nat(&sent, (destination, elsewhere)) && finds_nat(&sent, (source, destination)));
        }
        let cut = parts(vec![Notify::new(NotifyType::NoNatsAllowed, vec![0; 11])]);
        let any = "192.0.2.1:4500".parse().unwrap();
        assert!(finds_nat(&cut, (any, any)) && !finds_nat(&addresses(3), (any, any)));
    }
}
