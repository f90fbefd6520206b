//! Lists of traffic selectors: what tunnels of a gateway may carry. What a peer asks for is narrowed to them
//! (RFC 7296 §2.9; TS-05, TS-06).

use std::collections::BTreeMap;

use ravelin_ike::config::Selector;

use super::plan::TsList;
use super::raw::{self, Text};
use super::resolve::Judge;
use super::selector::selector;

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
    let read = |text: &Text| judge.value(object, key, text, selector);
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
