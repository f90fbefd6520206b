//! Lists of traffic selectors: what tunnels of a gateway may carry. What a peer asks for is narrowed to them
//! (RFC 7296 §2.9; TS-05, TS-06).

use std::collections::BTreeMap;
use std::net::IpAddr;

use ravelin_ike::config::Selector;

use super::plan::TsList;
use super::raw::{self, Text};
use super::resolve::Judge;
use super::value::{self, Expected};

/// TS-05: entries a side, and lists.
const ENTRIES: usize = 32;
const LISTS: usize = 32_768;

/// Judges all lists, those too that no gateway has.
pub fn lists(judge: &mut Judge<'_>, raw: &raw::File) -> BTreeMap<String, TsList> {
    if let Some((_, beyond)) = raw.ts_list.iter().nth(LISTS) {
        let found = format!("{} lists", raw.ts_list.len());
        judge.refuse(beyond.span().start, "ts-list", found, format!("at most {LISTS}"));
    }
    let mut lists = BTreeMap::new();
    for (name, spanned) in &raw.ts_list {
        let (place, written) = ((format!("ts-list.{name}"), spanned.span().start), spanned.get_ref());
        let mut side = |key, texts| side(judge, (&place.0, place.1), key, texts);
        let (local, remote) = (side("local", &written.local), side("remote", &written.remote));
        if let (Some(local), Some(remote)) = (local, remote) {
            lists.insert(name.clone(), TsList { name: name.clone(), local, remote });
        }
    }
    lists
}

/// One side: so many entries, and no packet in two of them.
fn side(
    judge: &mut Judge<'_>,
    (object, at): (&str, usize),
    key: &str,
    texts: &[Text],
) -> Option<Vec<Selector>> {
    if texts.is_empty() || texts.len() > ENTRIES {
        judge.refuse(at, object, format!("{key} has {} entries", texts.len()), "1 to 32 of them");
        return None;
    }
    let read = |text: &Text| judge.value(object, key, text, entry);
    let entries: Vec<Selector> = texts.iter().map(read).collect::<Option<_>>()?;
    for (index, (text, entry)) in texts.iter().zip(&entries).enumerate() {
        let mut before = texts.iter().zip(&entries).take(index);
        if let Some((other, _)) = before.find(|(_, other)| entry.overlaps(other)) {
            let found = format!("{key} entries {:?} and {:?} overlap", other.get_ref(), text.get_ref());
            judge.refuse(text.span().start, object, found, "entries that no packet is in two of");
        }
    }
    Some(entries)
}

/// `PREFIX` or `FIRST-LAST`, and behind it `PROTOCOL`, `PROTOCOL/PORT`, `PROTOCOL/FROM-TO` or `PROTOCOL/opaque`.
fn entry(text: &str) -> Result<Selector, Expected> {
    const EXPECTED: Expected = "PREFIX or FIRST-LAST, and PROTOCOL, PROTOCOL/FROM-TO or PROTOCOL/opaque, like 10.1.0.0/16 tcp/80-443";
    let mut words = text.split_whitespace();
    let addresses = addresses(words.next().ok_or(EXPECTED)?)?;
    let (protocol, (first, last)) = match words.next() {
        None => (0, (0, u16::MAX)),
        Some(word) => value::protocol_and_any_ports(word).ok_or(EXPECTED)?,
    };
    match words.next() {
        None => Ok(addresses.with_ports(protocol, first, last)),
        Some(_) => Err(EXPECTED),
    }
}

fn addresses(word: &str) -> Result<Selector, Expected> {
    const EXPECTED: Expected = "a prefix, or two addresses in order, like 10.1.1.0-10.1.1.127";
    let Some((first, last)) = word.split_once('-') else {
        return value::network(word).map(|net| Selector::prefix(net.network(), net.prefix_len()));
    };
    let address = |text: &str| text.parse::<IpAddr>().map_err(|_| EXPECTED);
    let range = Selector::addresses(address(first)?, address(last)?);
    if range.is_well_formed() { Ok(range) } else { Err(EXPECTED) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is written is what is meant; ports only where the protocol has them, and only in order (TS-01, TS-02).
    #[test]
    fn entries() {
        let range =
            |first: &str, last: &str| Selector::addresses(first.parse().unwrap(), last.parse().unwrap());
        assert_eq!(entry("10.1.0.0/16"), Ok(range("10.1.0.0", "10.1.255.255")));
        assert_eq!(entry("10.1.1.0-10.1.1.127"), Ok(range("10.1.1.0", "10.1.1.127")));
        assert_eq!(entry("fd00::-fd00::9 udp/53"), Ok(range("fd00::", "fd00::9").with_ports(17, 53, 53)));
        assert_eq!(
            entry("10.0.0.0/8 tcp/opaque"),
            Ok(range("10.0.0.0", "10.255.255.255").with_ports(6, u16::MAX, 0))
        );
        for bad in [
            "10.1.0.1/16",
            "10.0.0.9-10.0.0.1",
            "10.0.0.1-fd00::1",
            "10.0.0.0/8 gre/1",
            "10.0.0.0/8 tcp x",
            "",
        ] {
            assert!(entry(bad).is_err(), "{bad}");
        }
    }
}
