//! What a gateway makes of a peer that has proven itself: the tunnel it gets, under which name, and which other
//! tunnels of the same identity that means the end of (RFC 7296 §2.4). Pure.

use std::collections::BTreeMap;

use ravelin_dataplane::sa::Mode;
use ravelin_ike::config::{ConnectionId, IdKind, Identity};

use super::words;
use crate::config::plan::{
    Child, Client, Gateway, Ike, Instance, InstanceId, Keying, Origin, OwnAuthentication, PeerAuthentication,
    Template, TsList, Tunnel, Unique, Written,
};

/// Characters of an identity in a name: a peer may claim anything.
const WRITTEN: usize = 128;

/// What a peer of a gateway gets: what its client has of its own, and the rest as all peers have it (TS-15).
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a> {
    gateway: &'a Gateway,
    client: Option<&'a Client>,
    /// What its tunnel is like.
    pub template: &'a Template,
    /// What it may carry.
    pub traffic: &'a TsList,
    /// Instance of its inner packets.
    pub private: InstanceId,
}

impl<'a> Terms<'a> {
    /// The terms of a client, or of a peer that is none; `None` if its instance is not there.
    pub fn of(gateway: &'a Gateway, client: Option<&'a Client>, instances: &[Instance]) -> Option<Self> {
        let number = |name: &String| {
            let at = instances.iter().position(|instance| instance.name == *name)?;
            InstanceId::try_from(at).ok()
        };
        let private = match client.and_then(|client| client.private.as_ref()) {
            Some(name) => number(name)?,
            None => gateway.private,
        };
        Some(Self {
            gateway,
            client,
            template: client.and_then(|client| client.template.as_deref()).unwrap_or(&gateway.template),
            traffic: client.and_then(|client| client.traffic.as_deref()).unwrap_or(&gateway.traffic),
            private,
        })
    }

    /// The tunnel of a peer, with as many children as it may have. What each carries is negotiated, so none is written.
    pub fn tunnel(&self, name: String) -> Tunnel {
        let Self { gateway, template, private, .. } = *self;
        let child = |number: usize| Child {
            name: number.to_string(),
            local_ts: Vec::new(),
            remote_ts: Vec::new(),
            transform: template.transform.clone(),
            dscp: template.dscp,
            written: Written::default(),
        };
        let client = self.client.map(|client| client.name.clone());
        Tunnel {
            name,
            enabled: true,
            public: gateway.public,
            private,
            local: gateway.local,
            remote: None,
            keying: Keying::Ike(Box::new(self.ike())),
            child_limit: template.child_limit,
            per_worker: template.per_worker,
            mode: Mode::Tunnel,
            packets: template.packets,
            // Which lead into it is decided by what is agreed on.
            reverse_route: false,
            routes: Vec::new(),
            children: (1..=template.child_limit).map(child).collect(),
            origin: Some(Origin { gateway: gateway.name.clone(), client, reverse: template.reverse }),
            group: gateway.group.clone(),
        }
    }

    /// By the client's key both prove themselves (TS-14), unless it moves to a certificate. Who is told by where it calls
    /// from has to stay there.
    fn ike(&self) -> Ike {
        let ike = self.gateway.ike.clone();
        let Some(client) = self.client else { return ike };
        let mobike = ike.mobike && client.criteria.places.is_empty();
        let ike = Ike { mobike, ..ike };
        let Some(key) = client.psk.clone() else { return ike };
        if let Some(name) = ike.peer.anchors().filter(|_| client.accept_certificate).cloned() {
            return Ike { peer: PeerAuthentication::Either(key, name), ..ike };
        }
        let (own, peer) = (OwnAuthentication::Psk(key.clone()), PeerAuthentication::Psk(key));
        Ike { own, peer, ..ike }
    }
}

/// An identity as a name has it.
fn written(identity: &Identity) -> String {
    let text = words::identity(identity);
    text.chars().map(|c| if c.is_control() { '?' } else { c }).take(WRITTEN).collect()
}

/// One identity has one key, in whatever case its domain is written.
fn key(identity: &Identity) -> Identity {
    let data = match identity.kind {
        IdKind::Fqdn | IdKind::Email => identity.data.to_ascii_lowercase(),
        _ => identity.data.clone(),
    };
    Identity { kind: identity.kind, data }
}

/// How a peer that comes is met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meeting {
    /// The name of its tunnel.
    pub name: String,
    /// Tunnels that it takes the place of.
    pub replaces: Vec<ConnectionId>,
    /// The tunnel that it goes on with: it has called from there before, and has not forgotten that.
    pub goes_on: Option<ConnectionId>,
}

/// A peer is refused because it is there already.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name} is up, and unique = \"keep\"")]
pub struct Kept {
    /// The tunnel that stays.
    pub name: String,
}

/// Whom two peers must both be for one to take the other's place: one client must not end another's tunnels by saying
/// that it has its name.
type Who = (String, Option<String>, Identity);

#[derive(Debug, Clone)]
struct Peer {
    who: Who,
    name: String,
}

fn who(gateway: &str, client: Option<&str>, identity: &Identity) -> Who {
    (gateway.to_owned(), client.map(str::to_owned), key(identity))
}

/// The peers that are there. One owner: the control loop.
#[derive(Debug, Default)]
pub struct Peers {
    by_identity: BTreeMap<Who, Vec<ConnectionId>>,
    peers: BTreeMap<ConnectionId, Peer>,
    /// Of two, for a moment, the one that came last.
    names: BTreeMap<String, ConnectionId>,
}

impl Peers {
    /// How a peer of this identity is met, which is this client, or none. `first` says that it has no other tunnel that it
    /// knows of; `is_there` that the peer of a tunnel is where this one calls from; `is_taken` that something else has a
    /// name. One that calls anew from where it is goes on with its tunnel, in which the new IKE SA takes over (RFC 7296
    /// §2.8.3).
    ///
    /// # Errors
    /// When it is there already, and that one is to stay.
    pub fn meet(
        &self,
        gateway: &Gateway,
        (client, identity): (Option<&str>, &Identity),
        first: bool,
        is_there: impl Fn(ConnectionId) -> bool,
        is_taken: impl Fn(&str) -> bool,
    ) -> Result<Meeting, Kept> {
        let others = self.by_identity.get(&who(&gateway.name, client, identity));
        let others = others.map(Vec::as_slice).unwrap_or_default();
        let repeats = !first && gateway.unique != Unique::Never;
        if let Some(id) = others.iter().copied().find(|id| repeats && is_there(*id)) {
            let name = self.name(id).to_owned();
            return Ok(Meeting { name, replaces: Vec::new(), goes_on: Some(id) });
        }
        let replaces = match (gateway.unique, others.first()) {
            (Unique::Replace, _) => others.to_vec(),
            (Unique::Keep, _) if first => others.to_vec(),
            (Unique::Keep, Some(other)) => return Err(Kept { name: self.name(*other).to_owned() }),
            (Unique::Keep, None) | (Unique::Never, _) => Vec::new(),
        };
        let goes = |name: &str| self.names.get(name).is_none_or(|other| replaces.contains(other));
        let base = format!("{}/{}", gateway.name, written(identity));
        let names = (1u32..).map(|n| if n == 1 { base.clone() } else { format!("{base}#{n}") });
        let free = |name: &String| goes(name) && !is_taken(name);
        let name = { names }.find(free).unwrap_or(base);
        Ok(Meeting { name, replaces, goes_on: None })
    }

    fn name(&self, id: ConnectionId) -> &str {
        self.peers.get(&id).map_or("?", |peer| peer.name.as_str())
    }

    /// A peer has come.
    pub fn add(
        &mut self,
        id: ConnectionId,
        gateway: &str,
        (client, identity): (Option<&str>, &Identity),
        name: &str,
    ) {
        let (who, name) = (who(gateway, client, identity), name.to_owned());
        self.by_identity.entry(who.clone()).or_default().push(id);
        self.names.insert(name.clone(), id);
        self.peers.insert(id, Peer { who, name });
    }

    /// A peer has gone, or its place is another's.
    pub fn remove(&mut self, id: ConnectionId) {
        let Some(Peer { who, name }) = self.peers.remove(&id) else { return };
        if self.names.get(&name) == Some(&id) {
            self.names.remove(&name);
        }
        if let Some(of_identity) = self.by_identity.get_mut(&who) {
            of_identity.retain(|other| *other != id);
            if of_identity.is_empty() {
                self.by_identity.remove(&who);
            }
        }
    }

    /// How many peers each client of a gateway has.
    pub fn by_client<'a>(&'a self, gateway: &str) -> BTreeMap<&'a str, usize> {
        let mut counts = BTreeMap::new();
        for (_, client, _) in self.peers.values().map(|peer| &peer.who).filter(|(of, ..)| of == gateway) {
            client.iter().for_each(|client| *counts.entry(client.as_str()).or_default() += 1);
        }
        counts
    }

    /// The peers of a gateway.
    pub fn of<'a>(&'a self, gateway: &'a str) -> impl Iterator<Item = ConnectionId> + 'a {
        self.peers.iter().filter(move |(_, peer)| peer.who.0 == gateway).map(|(id, _)| *id)
    }

    /// Whether nobody is there.
    pub fn is_empty(&self) -> bool {
        self.peers.is_empty() && self.by_identity.is_empty() && self.names.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ravelin_pki::x509::Name;

    fn gateway(unique: &str) -> Gateway {
        let none = |_: &std::path::Path| Err(std::io::Error::other("no file"));
        let text = format!(
            r#"
interface.wan = {{ device = "af_packet:eth1", addresses = ["192.0.2.2/24"] }}
[gateway.g]
local = "192.0.2.2"
psk = "correct horse"
ts-list = "all"
unique = "{unique}"
[ts-list.all]
local = ["0.0.0.0/0"]
remote = ["0.0.0.0/0"]
"#
        );
        let plan = crate::config::parse("test", &text, std::path::Path::new("/"), &none).unwrap();
        plan.gateways["g"].clone()
    }

    fn nowhere(_: ConnectionId) -> bool {
        false
    }

    fn met(meeting: &Result<Meeting, Kept>) -> Result<(&str, Vec<u32>), &str> {
        let told = |meeting: &'_ Meeting| meeting.replaces.iter().map(|id| id.0).collect();
        meeting.as_ref().map(|met| (met.name.as_str(), told(met))).map_err(|kept| kept.name.as_str())
    }

    /// One identity that comes twice: replaced, refused unless the peer has forgotten, or side by side under names of
    /// their own (RFC 7296 §2.4).
    #[test]
    fn one_identity_that_comes_twice() {
        let (a, again) = (Identity::fqdn("a.example"), Identity::fqdn("A.Example"));
        let free = |_: &str| false;
        for (unique, first, expected) in [
            ("replace", false, Ok(("g/A.Example", vec![7]))),
            ("replace", true, Ok(("g/A.Example", vec![7]))),
            ("keep", false, Err("g/a.example")),
            ("keep", true, Ok(("g/A.Example", vec![7]))),
            ("never", false, Ok(("g/A.Example", vec![]))),
            ("never", true, Ok(("g/A.Example", vec![]))),
        ] {
            let gateway = gateway(unique);
            let mut peers = Peers::default();
            assert_eq!(
                met(&peers.meet(&gateway, (None, &a), first, nowhere, free)),
                Ok(("g/a.example", vec![])),
                "{unique}"
            );
            peers.add(ConnectionId(7), "g", (None, &a), "g/a.example");
            assert_eq!(
                met(&peers.meet(&gateway, (None, &again), first, nowhere, free)),
                expected,
                "{unique} {first}"
            );
            let other = Identity::fqdn("b.example");
            assert_eq!(
                met(&peers.meet(&gateway, (None, &other), first, nowhere, free)),
                Ok(("g/b.example", vec![]))
            );
            peers.remove(ConnectionId(7));
            assert!(peers.is_empty());
        }
        let (gateway, mut peers) = (gateway("never"), Peers::default());
        for (id, name) in [(1, "g/a.example"), (2, "g/a.example#2"), (3, "g/a.example#3")] {
            assert_eq!(met(&peers.meet(&gateway, (None, &a), true, nowhere, free)), Ok((name, vec![])));
            peers.add(ConnectionId(id), "g", (None, &a), name);
        }
        peers.remove(ConnectionId(2));
        assert_eq!(
            met(&peers.meet(&gateway, (None, &a), true, nowhere, free)),
            Ok(("g/a.example#2", vec![]))
        );
        assert_eq!(peers.of("g").count(), 2);
        let taken = |name: &str| name == "g/c.example";
        let c = Identity::fqdn("c.example");
        assert_eq!(
            met(&peers.meet(&gateway, (None, &c), true, nowhere, taken)),
            Ok(("g/c.example#2", vec![]))
        );
    }

    /// A peer that calls anew from where its tunnel leads goes on with that, if it still knows of it: proofs are repeated
    /// so. One that may have several tunnels is not held to be the same.
    #[test]
    fn a_peer_that_calls_anew_goes_on_with_its_tunnel() {
        for (unique, first, goes_on) in [
            ("replace", false, Some(7)),
            ("keep", false, Some(7)),
            ("replace", true, None),
            ("keep", true, None),
            ("never", false, None),
        ] {
            let (gateway, mut peers) = (gateway(unique), Peers::default());
            let a = Identity::fqdn("a.example");
            peers.add(ConnectionId(7), "g", (None, &a), "g/a.example");
            let meeting = peers.meet(&gateway, (None, &a), first, |id| id.0 == 7, |_| false).unwrap();
            assert_eq!(meeting.goes_on.map(|id| id.0), goes_on, "{unique} {first}");
            assert_eq!(meeting.replaces.is_empty(), goes_on.is_some() || unique == "never");
        }
    }

    /// Who has the name of another client's peer is not that peer: it takes nobody's place, and has a name of its own.
    #[test]
    fn clients_do_not_take_each_others_places() {
        let (gateway, mut peers) = (gateway("replace"), Peers::default());
        let (a, free) = (Identity::fqdn("a.example"), |_: &str| false);
        peers.add(ConnectionId(7), "g", (Some("a"), &a), "g/a.example");
        for (client, expected) in [
            (Some("b"), ("g/a.example#2", vec![])),
            (None, ("g/a.example#2", vec![])),
            (Some("a"), ("g/a.example", vec![7])),
        ] {
            assert_eq!(met(&peers.meet(&gateway, (client, &a), true, nowhere, free)), Ok(expected));
        }
        peers.add(ConnectionId(8), "g", (None, &a), "g/a.example#2");
        assert_eq!(peers.by_client("g"), [("a", 1)].into());
        assert!(peers.by_client("h").is_empty());
    }

    /// Who names itself in many or strange characters has a name that can be typed.
    #[test]
    fn names_are_short_and_printable() {
        let gateway = gateway("replace");
        let name = |identity: Identity| {
            Peers::default().meet(&gateway, (None, &identity), false, nowhere, |_| false).unwrap().name
        };
        assert_eq!(name(Identity::fqdn(&"x".repeat(500))).len(), "g/".len() + WRITTEN);
        assert!(name(Identity::fqdn("a\n\u{1b}b")).chars().all(|c| !c.is_control()));
        let subject = Name::from_text("CN=gw, O=Acme").unwrap();
        let identity = Identity { kind: IdKind::DistinguishedName, data: subject.der().to_vec() };
        assert!(name(identity).contains("CN=gw"));
    }
}
