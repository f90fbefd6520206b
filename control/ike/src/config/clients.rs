//! The clients of a gateway: which of them a caller is, by where it calls from and who it says it is, and the key that
//! this one has (TS-11 to TS-14).
//!
//! Of several that fit, the first is it. The choice is a pure function of this value, and slower for many clients only by
//! the depth of its maps: every criterion is found by its octets, and each pair of two knows the first client that
//! has it, so that none is tried after the other.

use super::{IdKind, Identity, IdentityPattern, Prefix};
use core::fmt;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use zeroize::Zeroizing;

/// A client, as far as its proof of identity goes.
#[derive(Clone, PartialEq, Eq)]
pub struct Client {
    /// The operator's name for it.
    pub name: String,
    /// The pre-shared key by which it and we to it prove ourselves, wiped on drop; `None`: as the gateway has it.
    pub psk: Option<Zeroizing<Vec<u8>>>,
    /// Beside its key a certificate will do, if the gateway has that: it moves from the one to the other.
    pub certificate: bool,
}

/// Whom a client is: who fits both.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Criteria {
    /// Where it may call from; none: from anywhere.
    pub places: Vec<Prefix>,
    /// Who it may say it is; none: whoever.
    pub identities: Vec<IdentityPattern>,
}

/// What fits one criterion, found by its octets.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Any,
    Exact(IdKind, Vec<u8>),
    /// In lower case.
    Suffix(IdKind, Vec<u8>),
    Within(Prefix),
}

impl Key {
    fn of(pattern: &IdentityPattern) -> Key {
        match pattern {
            IdentityPattern::Exact(identity) => Key::exact(identity),
            IdentityPattern::Suffix(suffix) => Key::Suffix(suffix.kind, suffix.data.to_ascii_lowercase()),
            IdentityPattern::Within(prefix) => Key::Within(*prefix),
        }
    }

    /// Names of hosts are one in upper and lower case ([`Identity::is_same`]).
    fn exact(identity: &Identity) -> Key {
        let data = match identity.kind {
            IdKind::Fqdn => identity.data.to_ascii_lowercase(),
            _ => identity.data.clone(),
        };
        Key::Exact(identity.kind, data)
    }
}

/// Criteria of one kind, numbered, and by which lengths they are to be looked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Index {
    numbers: BTreeMap<Key, u32>,
    suffixes: BTreeSet<usize>,
    /// Of IPv4 and others.
    prefixes: BTreeSet<(bool, u8)>,
}

impl Index {
    fn number(&mut self, key: Key) -> u32 {
        match &key {
            Key::Suffix(_, suffix) => drop(self.suffixes.insert(suffix.len())),
            Key::Within(prefix) => drop(self.prefixes.insert((prefix.is_ipv4(), prefix.length()))),
            Key::Any | Key::Exact(..) => {}
        }
        let next = self.numbers.len() as u32;
        *self.numbers.entry(key).or_insert(next)
    }

    fn find(&self, keys: impl Iterator<Item = Key>) -> Vec<u32> {
        keys.filter_map(|key| self.numbers.get(&key).copied()).collect()
    }

    fn holding(&self, address: IpAddr) -> impl Iterator<Item = Key> {
        let lengths = self.prefixes.range((address.is_ipv4(), 0)..=(address.is_ipv4(), u8::MAX));
        lengths.map(move |(_, length)| Key::Within(Prefix::new(address, *length)))
    }

    /// The criteria that an address fits.
    fn places(&self, address: IpAddr) -> Vec<u32> {
        self.find([Key::Any].into_iter().chain(self.holding(address)))
    }

    /// The criteria that an identity fits: as [`IdentityPattern::accepts`] has them, one by one.
    fn identities(&self, identity: &Identity) -> Vec<u32> {
        let lengths = self.suffixes.range(..identity.data.len());
        let suffixes = lengths.filter_map(|length| {
            let end = identity.data.get(identity.data.len().checked_sub(*length)?..)?;
            Some(Key::Suffix(identity.kind, end.to_ascii_lowercase()))
        });
        let holding = identity.to_address().into_iter().flat_map(|address| self.holding(address));
        self.find([Key::Any, Key::exact(identity)].into_iter().chain(suffixes).chain(holding))
    }
}

/// The clients of a gateway, in order.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Clients {
    name: String,
    fallback: bool,
    clients: Vec<Client>,
    places: Index,
    identities: Index,
    /// Of each place with each identity, the first client.
    first: BTreeMap<(u32, u32), u32>,
}

impl Clients {
    /// The clients of this name, in order. `fallback`: whom none of them fits is met as the gateway alone would.
    pub fn new(name: &str, fallback: bool, clients: impl IntoIterator<Item = (Client, Criteria)>) -> Clients {
        let mut all = Clients { name: name.to_owned(), fallback, ..Clients::default() };
        for (client, criteria) in clients {
            all.add(client, &criteria);
        }
        all
    }

    fn add(&mut self, client: Client, criteria: &Criteria) {
        let number = self.clients.len() as u32;
        self.clients.push(client);
        let any = |keys: Vec<Key>| if keys.is_empty() { vec![Key::Any] } else { keys };
        let places = any(criteria.places.iter().map(|prefix| Key::Within(*prefix)).collect());
        let identities = any(criteria.identities.iter().map(Key::of).collect());
        let identities: Vec<u32> = identities.into_iter().map(|key| self.identities.number(key)).collect();
        for place in places {
            let place = self.places.number(place);
            for identity in &identities {
                self.first.entry((place, *identity)).or_insert(number);
            }
        }
    }

    /// The operator's name for all of them.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether whom none fits is met as the gateway alone would.
    pub fn falls_back(&self) -> bool {
        self.fallback
    }

    /// The first client that fits a caller.
    ///
    /// # Errors
    /// What was compared, if none does.
    pub fn find(&self, address: IpAddr, identity: &Identity) -> Result<&Client, NoClient> {
        let (places, identities) = (self.places.places(address), self.identities.identities(identity));
        let pairs = places.iter().flat_map(|place| identities.iter().map(move |it| (*place, *it)));
        let first = pairs.filter_map(|pair| self.first.get(&pair)).min();
        first.and_then(|number| self.clients.get(*number as usize)).ok_or_else(|| NoClient {
            database: self.name.clone(),
            clients: self.clients.len(),
            address,
            identity: identity.to_string(),
            place_fits: !places.is_empty(),
            identity_fits: !identities.is_empty(),
        })
    }

    /// Clients that nobody is, since others before them have all of their criteria.
    pub fn unreached(&self) -> impl Iterator<Item = &Client> {
        let reached: BTreeSet<u32> = self.first.values().copied().collect();
        let all = self.clients.iter().enumerate();
        all.filter(move |(number, _)| !reached.contains(&(*number as u32))).map(|(_, client)| client)
    }
}

/// Keys are not told, and thousands of clients neither.
impl fmt::Debug for Clients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clients({}, {} of them, fallback {})", self.name, self.clients.len(), self.fallback)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Client({}, psk {})", self.name, self.psk.is_some())
    }
}

/// None of a gateway's clients is the caller: what was compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoClient {
    /// The name of all clients.
    pub database: String,
    /// How many there are.
    pub clients: usize,
    /// Where the caller is.
    pub address: IpAddr,
    /// Who it says it is.
    pub identity: String,
    /// Whether one may call from there.
    pub place_fits: bool,
    /// Whether one may say so.
    pub identity_fits: bool,
}

impl fmt::Display for NoClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let NoClient { database, clients, address, identity, .. } = self;
        let what = match (self.place_fits, self.identity_fits) {
            (false, false) => format!("neither address {address} nor identity {identity}"),
            (false, true) => format!("identity {identity}, and not from address {address}"),
            (true, false) => format!("address {address}, and not for identity {identity}"),
            (true, true) => format!("address {address} and identity {identity}, but no one client both"),
        };
        write!(f, "its {clients} clients that are enabled take {what} (client-db {database})")
    }
}

/// How a caller was met.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ClientMatch {
    /// Its gateway has no clients by name.
    #[default]
    NotAsked,
    /// It is this client.
    Client(String),
    /// It is none, and met as the gateway alone would.
    Nobody(Box<NoClient>),
}

#[cfg(test)]
#[path = "clients_tests.rs"]
mod tests;
