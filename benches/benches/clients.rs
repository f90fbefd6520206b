//! What it costs to find which of a gateway's clients a caller is: once for each IKE_AUTH request, on the control loop,
//! before the caller has proven anything. It must not grow with the number of clients.
//!
//! `client/<count>/<by>`: by a name of its own, by the end of its name, by where it calls from, by the last client of
//! all, and for a caller that is none.

use std::hint::black_box;
use std::net::IpAddr;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use ravelin_ike::config::{Client, Clients, Criteria, Identity, IdentityPattern, Prefix};

const COUNTS: [u32; 3] = [8, 1024, 32_768];

fn place(number: u32) -> IpAddr {
    IpAddr::from((0x0a00_0000 + (number << 8)).to_be_bytes())
}

/// A third by name, a third by the end of it, a third by place, and behind them one that takes all of a domain.
fn clients(count: u32) -> Clients {
    let criteria = |number: u32| match number % 3 {
        _ if number + 1 == count => Criteria {
            places: Vec::new(),
            identities: vec![IdentityPattern::Suffix(Identity::fqdn(".last.example"))],
        },
        0 => Criteria {
            places: Vec::new(),
            identities: vec![IdentityPattern::Exact(Identity::fqdn(&format!("c{number}.branch.example")))],
        },
        1 => Criteria {
            places: vec![Prefix::new([0, 0, 0, 0].into(), 0)],
            identities: vec![IdentityPattern::Suffix(Identity::fqdn(&format!(".c{number}.example")))],
        },
        _ => Criteria {
            places: vec![Prefix::new(place(number), 24)],
            identities: vec![IdentityPattern::Suffix(Identity::fqdn(".site.example"))],
        },
    };
    let client = |number: u32| Client { name: number.to_string(), psk: None, certificate: false };
    Clients::new("all", false, (0..count).map(|number| (client(number), criteria(number))))
}

/// The nearest of the kind before the end.
fn some(count: u32, kind: u32) -> u32 {
    let number = count - 4;
    number - (number + 3 - kind) % 3
}

fn lookups(criterion: &mut Criterion) {
    for count in COUNTS {
        let clients = clients(count);
        let [name, end, site] = [0, 1, 2].map(|kind| some(count, kind));
        let far: IpAddr = [192, 0, 2, 1].into();
        for (by, address, identity, found) in [
            ("name", far, format!("c{name}.branch.example"), Some(name)),
            ("end", far, format!("gw.c{end}.example"), Some(end)),
            ("place", place(site), "gw.site.example".to_owned(), Some(site)),
            ("last", far, "gw.last.example".to_owned(), Some(count - 1)),
            ("none", far, "gw.elsewhere.example".to_owned(), None),
        ] {
            let identity = Identity::fqdn(&identity);
            let find = || clients.find(black_box(address), black_box(&identity)).map(|client| &client.name);
            assert_eq!(find().ok().cloned(), found.map(|number| number.to_string()), "{count} {by}");
            criterion.bench_function(&format!("client/{count}/{by}"), |bencher| {
                bencher.iter(|| find().is_ok());
            });
        }
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(500))
        .sample_size(30);
    targets = lookups
}
criterion_main!(benches);
