//! The choice of a client, held against trying one after the other; each criterion by itself; and that keys are not told.

use super::*;
use proptest::prelude::*;

/// A client as it is written, tried as it reads.
fn fits(criteria: &Criteria, address: IpAddr, identity: &Identity) -> bool {
    let Criteria { places, identities } = criteria;
    (places.is_empty() || places.iter().any(|place| place.contains(address)))
        && (identities.is_empty() || identities.iter().any(|pattern| pattern.accepts(identity)))
}

fn client(name: &str) -> Client {
    Client { name: name.to_owned(), psk: None, certificate: false }
}

fn named(criteria: &[Criteria]) -> Vec<(Client, Criteria)> {
    criteria.iter().enumerate().map(|(number, it)| (client(&number.to_string()), it.clone())).collect()
}

/// Few addresses and names, so that they meet often.
fn address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        (0u8..4, 0u8..4).prop_map(|(a, b)| IpAddr::from([10, 0, a, b << 6])),
        (0u16..4).prop_map(|a| IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, a])),
    ]
}

fn prefix() -> impl Strategy<Value = Prefix> {
    (address(), prop_oneof![Just(0u8), Just(8), 20u8..34, 120u8..=128])
        .prop_map(|(address, length)| Prefix::new(address, length))
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop::sample::select(vec!["a", "B", ".", "@", ".a.b", "@a.b"]), 0..4)
        .prop_map(|parts| parts.concat().into_bytes())
}

fn identity() -> impl Strategy<Value = Identity> {
    let kinds = prop::sample::select(vec![IdKind::Fqdn, IdKind::Email, IdKind::KeyId, IdKind::Ipv4]);
    prop_oneof![
        2 => (kinds, text()).prop_map(|(kind, data)| Identity { kind, data }),
        1 => address().prop_map(Identity::address),
    ]
}

fn pattern() -> impl Strategy<Value = IdentityPattern> {
    prop_oneof![
        identity().prop_map(IdentityPattern::Exact),
        identity().prop_map(IdentityPattern::Suffix),
        prefix().prop_map(IdentityPattern::Within),
    ]
}

fn criteria() -> impl Strategy<Value = Criteria> {
    (prop::collection::vec(prefix(), 0..3), prop::collection::vec(pattern(), 0..3))
        .prop_map(|(places, identities)| Criteria { places, identities })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Who is found is the first that fits, whatever is compared and in whatever order (TS-13); where none is, it is
    /// said truly which of both would have done.
    #[test]
    fn the_first_that_fits_is_found(
        all in prop::collection::vec(criteria(), 0..12),
        callers in prop::collection::vec((address(), identity()), 1..12),
    ) {
        let clients = Clients::new("all", true, named(&all));
        for (address, identity) in callers {
            let model = all.iter().position(|criteria| fits(criteria, address, &identity));
            match clients.find(address, &identity) {
                Ok(client) => prop_assert_eq!(Some(client.name.clone()), model.map(|it| it.to_string())),
                Err(nobody) => {
                    prop_assert_eq!(model, None);
                    let of_place = |it: &Criteria| Criteria { identities: Vec::new(), ..it.clone() };
                    let of_name = |it: &Criteria| Criteria { places: Vec::new(), ..it.clone() };
                    let place = all.iter().any(|it| fits(&of_place(it), address, &identity));
                    let name = all.iter().any(|it| fits(&of_name(it), address, &identity));
                    prop_assert_eq!((nobody.place_fits, nobody.identity_fits), (place, name));
                }
            }
        }
    }

    /// A client that is called unreached takes nobody.
    #[test]
    fn unreached_clients_take_nobody(
        all in prop::collection::vec(criteria(), 0..12),
        callers in prop::collection::vec((address(), identity()), 1..12),
    ) {
        let clients = Clients::new("all", true, named(&all));
        let unreached: Vec<&str> = clients.unreached().map(|client| client.name.as_str()).collect();
        for (address, identity) in callers {
            let found = clients.find(address, &identity).ok();
            prop_assert!(found.is_none_or(|client| !unreached.contains(&client.name.as_str())));
        }
    }
}

/// Two clients of the same criteria: the second is nobody.
#[test]
fn the_second_of_two_alike_is_unreached() {
    let criteria = Criteria { places: vec![Prefix::new([10, 0, 0, 0].into(), 8)], identities: Vec::new() };
    let clients = Clients::new("all", true, named(&[criteria.clone(), criteria, Criteria::default()]));
    assert_eq!(clients.unreached().map(|client| client.name.as_str()).collect::<Vec<_>>(), ["1"]);
}

/// What is said of a caller that is nobody names both criteria, and which of them was met.
#[test]
fn why_none_fits_is_said() {
    let one = |place: [u8; 4], name: &str| Criteria {
        places: vec![Prefix::new(place.into(), 24)],
        identities: vec![IdentityPattern::Exact(Identity::fqdn(name))],
    };
    let clients = Clients::new("branches", false, named(&[one([10, 0, 1, 0], "a"), one([10, 0, 2, 0], "b")]));
    let why = |place: [u8; 4], name: &str| {
        clients.find(place.into(), &Identity::fqdn(name)).unwrap_err().to_string()
    };
    for (place, name, expected) in [
        ([10, 0, 1, 9], "c", "take address 10.0.1.9, and not for identity c"),
        ([10, 0, 3, 9], "a", "take identity a, and not from address 10.0.3.9"),
        ([10, 0, 1, 9], "b", "take address 10.0.1.9 and identity b, but no one client both"),
        ([10, 0, 3, 9], "c", "take neither address 10.0.3.9 nor identity c"),
    ] {
        let why = why(place, name);
        assert!(why.contains(expected) && why.starts_with("its 2 clients"), "{why}");
    }
}

#[test]
fn keys_are_not_told() {
    let client =
        Client { name: "a".to_owned(), psk: Some(Zeroizing::new(b"hunter2".to_vec())), certificate: false };
    let told = format!("{client:?} {:?}", Clients::new("all", true, [(client.clone(), Criteria::default())]));
    assert!(!told.contains("hunter2") && !told.contains("104"), "{told}");
}
