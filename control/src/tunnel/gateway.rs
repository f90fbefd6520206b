//! What a gateway makes of a peer that has proven itself: the tunnel it gets, under which name, and which other
//! tunnels of the same identity that means the end of (RFC 7296 §2.4). Pure.

use std::collections::BTreeMap;

use ravelin_ike::config::{ConnectionId, IdKind, Identity};

use super::words;
use crate::config::plan::{Child, Gateway, Keying, Origin, Tunnel, Unique, Written};

/// Characters of an identity in a name: a peer may claim anything.
const WRITTEN: usize = 128;

/// The tunnel of a peer, with as many children as it may have. What each carries is negotiated, so none is written.
pub fn tunnel(gateway: &Gateway, name: String) -> Tunnel {
    let template = &gateway.template;
    let child = |number: usize| Child {
        name: number.to_string(),
        local_ts: Vec::new(),
        remote_ts: Vec::new(),
        transform: template.transform.clone(),
        dscp: template.dscp,
        written: Written::default(),
    };
    Tunnel {
        name,
        enabled: true,
        public: gateway.public,
        private: gateway.private,
        local: gateway.local,
        remote: None,
        keying: Keying::Ike(Box::new(gateway.ike.clone())),
        child_limit: template.child_limit,
        children: (1..=template.child_limit).map(child).collect(),
        origin: Some(Origin { gateway: gateway.name.clone(), reverse: template.reverse }),
        group: gateway.group.clone(),
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
}

/// A peer is refused because it is there already.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name} is up, and unique = \"keep\"")]
pub struct Kept {
    /// The tunnel that stays.
    pub name: String,
}

#[derive(Debug, Clone)]
struct Peer {
    gateway: String,
    key: Identity,
    name: String,
}

/// The peers that are there. One owner: the control loop.
#[derive(Debug, Default)]
pub struct Peers {
    by_identity: BTreeMap<(String, Identity), Vec<ConnectionId>>,
    peers: BTreeMap<ConnectionId, Peer>,
}

impl Peers {
    /// How a peer of this identity is met. `first` says that it has no other tunnel that it knows of; `is_taken` that
    /// something else has a name.
    ///
    /// # Errors
    /// When it is there already, and that one is to stay.
    pub fn meet(
        &self,
        gateway: &Gateway,
        identity: &Identity,
        first: bool,
        is_taken: impl Fn(&str) -> bool,
    ) -> Result<Meeting, Kept> {
        let others = self.by_identity.get(&(gateway.name.clone(), key(identity)));
        let others = others.map(Vec::as_slice).unwrap_or_default();
        let replaces = match (gateway.unique, others.first()) {
            (Unique::Replace, _) => others.to_vec(),
            (Unique::Keep, _) if first => others.to_vec(),
            (Unique::Keep, Some(other)) => return Err(Kept { name: self.name(*other).to_owned() }),
            (Unique::Keep, None) | (Unique::Never, _) => Vec::new(),
        };
        let stays = others.iter().filter(|other| !replaces.contains(other)).map(|other| self.name(*other));
        let stays: Vec<&str> = stays.collect();
        let base = format!("{}/{}", gateway.name, written(identity));
        let names = (1u32..).map(|n| if n == 1 { base.clone() } else { format!("{base}#{n}") });
        let free = |name: &String| !stays.contains(&name.as_str()) && !is_taken(name);
        let name = { names }.find(free).unwrap_or(base);
        Ok(Meeting { name, replaces })
    }

    fn name(&self, id: ConnectionId) -> &str {
        self.peers.get(&id).map_or("?", |peer| peer.name.as_str())
    }

    /// A peer has come.
    pub fn add(&mut self, id: ConnectionId, gateway: &str, identity: &Identity, name: &str) {
        let (gateway, key, name) = (gateway.to_owned(), key(identity), name.to_owned());
        self.by_identity.entry((gateway.clone(), key.clone())).or_default().push(id);
        self.peers.insert(id, Peer { gateway, key, name });
    }

    /// A peer has gone, or its place is another's.
    pub fn remove(&mut self, id: ConnectionId) {
        let Some(Peer { gateway, key, .. }) = self.peers.remove(&id) else { return };
        let at = (gateway, key);
        if let Some(of_identity) = self.by_identity.get_mut(&at) {
            of_identity.retain(|other| *other != id);
            if of_identity.is_empty() {
                self.by_identity.remove(&at);
            }
        }
    }

    /// The peers of a gateway.
    pub fn of<'a>(&'a self, gateway: &'a str) -> impl Iterator<Item = ConnectionId> + 'a {
        self.peers.iter().filter(move |(_, peer)| peer.gateway == gateway).map(|(id, _)| *id)
    }

    /// Whether nobody is there.
    pub fn is_empty(&self) -> bool {
        self.peers.is_empty() && self.by_identity.is_empty()
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
            assert_eq!(met(&peers.meet(&gateway, &a, first, free)), Ok(("g/a.example", vec![])), "{unique}");
            peers.add(ConnectionId(7), "g", &a, "g/a.example");
            assert_eq!(met(&peers.meet(&gateway, &again, first, free)), expected, "{unique} {first}");
            let other = Identity::fqdn("b.example");
            assert_eq!(met(&peers.meet(&gateway, &other, first, free)), Ok(("g/b.example", vec![])));
            peers.remove(ConnectionId(7));
            assert!(peers.is_empty());
        }
        let (gateway, mut peers) = (gateway("never"), Peers::default());
        for (id, name) in [(1, "g/a.example"), (2, "g/a.example#2"), (3, "g/a.example#3")] {
            assert_eq!(met(&peers.meet(&gateway, &a, true, free)), Ok((name, vec![])));
            peers.add(ConnectionId(id), "g", &a, name);
        }
        peers.remove(ConnectionId(2));
        assert_eq!(met(&peers.meet(&gateway, &a, true, free)), Ok(("g/a.example#2", vec![])));
        assert_eq!(peers.of("g").count(), 2);
        let taken = |name: &str| name == "g/c.example";
        let c = Identity::fqdn("c.example");
        assert_eq!(met(&peers.meet(&gateway, &c, true, taken)), Ok(("g/c.example#2", vec![])));
    }

    /// Who names itself in many or strange characters has a name that can be typed.
    #[test]
    fn names_are_short_and_printable() {
        let gateway = gateway("replace");
        let name =
            |identity: Identity| Peers::default().meet(&gateway, &identity, false, |_| false).unwrap().name;
        assert_eq!(name(Identity::fqdn(&"x".repeat(500))).len(), "g/".len() + WRITTEN);
        assert!(name(Identity::fqdn("a\n\u{1b}b")).chars().all(|c| !c.is_control()));
        let subject = Name::from_text("CN=gw, O=Acme").unwrap();
        let identity = Identity { kind: IdKind::DistinguishedName, data: subject.der().to_vec() };
        assert!(name(identity).contains("CN=gw"));
    }
}
