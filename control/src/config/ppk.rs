//! Post-quantum preshared keys (RFC 8784): the lists of a configuration, and what a tunnel takes of one.

use std::collections::BTreeMap;
use std::sync::Arc;

use ravelin_ike::config::{Ppk, PpkId, PpkIdKind, Ppks};
use toml::Spanned;

use super::raw::{self, Text};
use super::resolve::Judge;
use super::{error, material};

/// The lists, by name.
pub type PpkLists = BTreeMap<String, Arc<[Ppk]>>;

/// IKE-38: lists a gateway, and keys a list.
const LISTS: usize = 128;
const KEYS: usize = 128;
/// Octets of a key below which it may be worth less than the 256 bits that RFC 8784 §6 asks for.
const STRONG: usize = 32;
/// IKE-38: characters of a name.
const NAME: usize = 64;

/// Judges all lists.
pub fn lists(judge: &mut Judge<'_>, raw: &raw::File) -> PpkLists {
    if let Some((_, beyond)) = raw.ppk_list.iter().nth(LISTS) {
        let found = format!("{} lists", raw.ppk_list.len());
        judge.refuse(place(beyond), "ppk-list", found, format!("at most {LISTS}"));
    }
    raw.ppk_list.iter().map(|(name, list)| (name.clone(), self::list(judge, name, list))).collect()
}

fn list(judge: &mut Judge<'_>, name: &str, list: &raw::PpkList) -> Arc<[Ppk]> {
    if !(1..=KEYS).contains(&list.len()) {
        let found = format!("{} keys", list.len());
        judge.refuse(place(list), &format!("ppk-list.{name}"), found, format!("1 to {KEYS}"));
    }
    list.iter().filter_map(|(id, ppk)| self::ppk(judge, &format!("ppk-list.{name}.{id}"), id, ppk)).collect()
}

/// Where a list stands: it has no line of its own, its keys do.
fn place(list: &raw::PpkList) -> usize {
    list.values().map(|ppk| ppk.span().start).min().unwrap_or(0)
}

fn ppk(judge: &mut Judge<'_>, object: &str, id: &str, ppk: &Spanned<raw::Ppk>) -> Option<Ppk> {
    let (at, raw) = (ppk.span().start, ppk.get_ref());
    if !(1..=NAME).contains(&id.chars().count()) {
        let found = format!("a name of {} characters", id.chars().count());
        judge.refuse(at, object, found, format!("1 to {NAME}"));
    }
    let read = |text: &str| match text {
        "fixed" => Ok(PpkIdKind::Fixed),
        "opaque" => Ok(PpkIdKind::Opaque),
        _ => Err("fixed or opaque"),
    };
    let kind = raw.id_type.as_ref().and_then(|text| judge.value(object, "id-type", text, read));
    let (value, file) = (("value", raw.value.as_ref()), ("value-file", raw.value_file.as_ref()));
    let Some(secret) = material::shared_key(judge, (object, at), value, file)? else {
        judge.refuse(at, object, "has no key".to_owned(), "value or value-file");
        return None;
    };
    if secret.0.len() < STRONG {
        let found = format!("a key of {} octets", secret.0.len());
        judge.warn(at, object, found, format!("{STRONG} random ones or more (RFC 8784 §6)"));
    }
    let id = PpkId { kind: kind.unwrap_or(PpkIdKind::Fixed), data: id.as_bytes().to_vec() };
    Some(Ppk { id, secret: secret.0 })
}

/// What a tunnel or gateway says of PPKs.
pub struct Written<'r> {
    /// Name of a list.
    pub list: Option<&'r Text>,
    /// The one that is named in a call.
    pub id: Option<&'r Text>,
    /// Nothing goes without.
    pub required: bool,
}

/// What a tunnel does with PPKs. `calls`: it has a peer to call, and so one to name.
pub fn ppks(
    judge: &mut Judge<'_>,
    (object, at): (&str, usize),
    written: &Written<'_>,
    lists: &PpkLists,
    calls: bool,
) -> Option<Ppks> {
    let required = written.required;
    let Some(name) = written.list else {
        if required || written.id.is_some() {
            let found = "has ppk-id or ppk-required and no ppk-list".to_owned();
            judge.refuse(at, object, found, "ppk-list = \"NAME\"");
        }
        return None;
    };
    let accepted = judge.follow(object, "ppk-list", name, lists)?.clone();
    let own = own(judge, (object, at), written.id, &accepted, calls)?;
    Some(Ppks { own, accepted, required })
}

/// The PPK we name when we call: the one that `ppk-id` says, or the only one.
fn own(
    judge: &mut Judge<'_>,
    (object, at): (&str, usize),
    id: Option<&Text>,
    accepted: &[Ppk],
    calls: bool,
) -> Option<Option<Ppk>> {
    let names: Vec<String> = accepted.iter().map(|ppk| ppk.id.to_string()).collect();
    let known = || names.iter().map(String::as_str);
    match (id, accepted, calls) {
        (Some(id), _, false) => {
            let found = "ppk-id is what a caller names, and remote = \"any\" never calls".to_owned();
            judge.refuse(id.span().start, object, found, "ppk-list alone: its callers may name any of it");
            None
        }
        (None, _, false) => Some(None),
        (None, [only], true) => Some(Some(only.clone())),
        (None, _, true) => {
            let found = format!("names none of the {} keys of its ppk-list", accepted.len());
            judge.refuse(at, object, found, format!("ppk-id = {}", error::one_of("", known())));
            None
        }
        (Some(id), ..) => {
            let found = accepted.iter().find(|ppk| ppk.id.data == id.get_ref().as_bytes());
            if found.is_none() {
                let expected = error::one_of(id.get_ref(), known());
                let found = format!("ppk-id {:?} is not in its ppk-list", id.get_ref());
                judge.refuse(id.span().start, object, found, expected);
            }
            found.map(|ppk| Some(ppk.clone()))
        }
    }
}
