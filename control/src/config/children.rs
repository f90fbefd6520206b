//! The children of a tunnel: what each carries, by which transform, and that no packet is carried by two (IKE-13).
//!
//! A child carries every combination of its local and remote selectors (RFC 7296 §2.9). A policy that wants certain
//! pairs only is written as pairs, and becomes as many children as that takes (TS-19).

use std::net::IpAddr;

use ravelin_ike::config::Selector;
use toml::Spanned;

use super::plan;
use super::raw::{self, Text};
use super::selector::{pair, selector};
use super::tunnel::One;
use crate::tunnel::{reverse, words};

/// TS-05: entries a part of a selector list.
const SELECTORS: usize = 32;

/// A child as it is written, in a table of its own or in the tunnel's.
struct Written<'r> {
    name: &'r str,
    at: usize,
    /// In a table of its own.
    in_table: bool,
    local: &'r [Text],
    remote: &'r [Text],
    pairs: &'r [Text],
    transform: Option<&'r Text>,
    dscp: Option<&'r Spanned<u64>>,
    /// What it carries where nothing is said: all that is between these two.
    between: Option<Ends>,
}

/// Our outer address and the peer's.
type Ends = (IpAddr, IpAddr);

/// What one child carries: each of one side with each of the other.
type Product<T> = (Vec<T>, Vec<T>);

/// The tunnel's own child, if it has one, and those of its tables.
fn written<'r>(
    name: &'r str,
    at: usize,
    raw: &'r raw::Tunnel,
    between: Option<Ends>,
) -> impl Iterator<Item = Written<'r>> {
    let (transform, dscp) = (raw.ipsec_transform.as_ref(), raw.dscp.as_ref());
    let (local, remote, pairs) = (&raw.local_ts, &raw.remote_ts, &raw.ts_pairs);
    let own = Written { name, at, in_table: false, local, remote, pairs, transform, dscp, between };
    let is_said = !local.is_empty() || !remote.is_empty() || !pairs.is_empty();
    let has_own = is_said || (between.is_some() && raw.child.is_empty());
    let tables = raw.child.iter().map(move |(name, spanned)| {
        let child = spanned.get_ref();
        Written {
            name,
            at: spanned.span().start,
            in_table: true,
            local: &child.local_ts,
            remote: &child.remote_ts,
            pairs: &child.ts_pairs,
            transform: child.ipsec_transform.as_ref().or(transform),
            dscp: child.dscp.as_ref().or(dscp),
            between: None,
        }
    });
    has_own.then_some(own).into_iter().chain(tables)
}

impl One<'_, '_, '_> {
    /// All children of a tunnel, at most `limit`.
    pub(super) fn children(
        &mut self,
        name: &str,
        raw: &raw::Tunnel,
        between: Option<Ends>,
        limit: usize,
    ) -> Option<Vec<plan::Child>> {
        let mut children: Vec<(usize, plan::Child)> = Vec::new();
        for written in written(name, self.at, raw, between) {
            children.extend(self.child(&written)?.into_iter().map(|child| (written.at, child)));
        }
        self.judge_number(&children, limit);
        for (index, (at, child)) in children.iter().enumerate() {
            children.iter().take(index).for_each(|(_, other)| self.judge_two(*at, child, other));
        }
        Some(exact(children.into_iter().map(|(_, child)| child)))
    }

    fn judge_number(&mut self, children: &[(usize, plan::Child)], limit: usize) {
        if children.is_empty() {
            return self.refuse("has no child", "local-ts and remote-ts, ts-pairs, or child tables");
        }
        if children.len() > limit {
            let names: Vec<&str> = children.iter().map(|(_, child)| child.name.as_str()).collect();
            let found = format!("has {} children: {}", children.len(), names.join(", "));
            self.refuse(&found, &format!("at most child-limit = {limit} (which may be 64)"));
        }
    }

    /// Two children of one tunnel have names of their own and traffic of their own.
    fn judge_two(&mut self, at: usize, child: &plan::Child, other: &plan::Child) {
        if child.name == other.name {
            let found = format!("two children are named {:?}", child.name);
            self.judge.refuse(at, &self.object, found, "a name for each");
        } else if let Some((local, remote)) = shared(child, other) {
            let shared = words::negotiated(&[local], &[remote]);
            let found = format!("children {:?} and {:?} both carry {shared}", other.name, child.name);
            self.judge.refuse(at, &self.object, found, "selectors that no two children share");
        }
    }

    /// One child; of pairs as many as it takes.
    fn child(&mut self, written: &Written<'_>) -> Option<Vec<plan::Child>> {
        let products = self.products(written)?;
        let transform = self.transform(written.transform);
        let dscp =
            written.dscp.map(|dscp| self.judge.number(&self.object, "dscp", Some(dscp), 0..=63, 0) as u8);
        let only = products.len() == 1;
        let name = |index| match only {
            true => written.name.to_owned(),
            false => format!("{}-{}", written.name, index + 1),
        };
        let keys = plan::Written {
            table: written.in_table.then(|| written.name.to_owned()),
            in_pairs: !written.pairs.is_empty(),
        };
        let child = |(index, (local_ts, remote_ts))| plan::Child {
            name: name(index),
            local_ts,
            remote_ts,
            transform: transform.clone(),
            dscp,
            written: keys.clone(),
        };
        Some(products.into_iter().enumerate().map(child).collect())
    }

    fn products(&mut self, written: &Written<'_>) -> Option<Vec<Product<Selector>>> {
        let is_said = !written.local.is_empty() || !written.remote.is_empty();
        let products = match written.pairs {
            [] if !is_said && let Some((local, remote)) = written.between => {
                vec![(vec![Selector::host(local)], vec![Selector::host(remote)])]
            }
            [] => vec![(
                self.selectors("local-ts", written.local)?,
                self.selectors("remote-ts", written.remote)?,
            )],
            pairs if written.local.is_empty() && written.remote.is_empty() => split(&self.pairs(pairs)?),
            _ => {
                let found = format!("child {:?} has ts-pairs and local-ts or remote-ts", written.name);
                self.judge.refuse(written.at, &self.object, found, "the one or the other");
                return None;
            }
        };
        for (local, remote) in &products {
            let found = if local.len() > SELECTORS || remote.len() > SELECTORS {
                format!(
                    "ts-pairs of child {:?} need a child of more than 32 selectors on a side",
                    written.name
                )
            } else if !local.iter().any(|local| remote.iter().any(|remote| meet(local, remote))) {
                format!("child {:?} carries nothing: its sides differ in protocol or family", written.name)
            } else if let Err(many) = reverse::networks(remote) {
                format!("child {:?} cannot be routed to: {many}", written.name)
            } else {
                continue;
            };
            self.judge.refuse(written.at, &self.object, found, "at most 32 that a packet can have");
        }
        Some(products)
    }

    fn selectors(&mut self, key: &str, texts: &[Text]) -> Option<Vec<Selector>> {
        if texts.is_empty() || texts.len() > SELECTORS {
            self.refuse(&format!("{key} has {} entries", texts.len()), "1 to 32 of them");
            return None;
        }
        let read = |text| self.judge.value(&self.object, key, text, selector);
        texts.iter().map(read).collect::<Option<Vec<_>>>().map(exact)
    }

    /// Pairs that a packet can have.
    fn pairs(&mut self, texts: &[Text]) -> Option<Vec<(Selector, Selector)>> {
        let read = |text: &str| {
            let (local, remote) = pair(text)?;
            let expected = "both sides of one family and one protocol";
            if meet(&local, &remote) { Ok((local, remote)) } else { Err(expected) }
        };
        texts.iter().map(|text| self.judge.value(&self.object, "ts-pairs", text, read)).collect()
    }
}

/// A list without places to spare: there is one for each of very many tunnels, and it stays as it is.
fn exact<T>(items: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut list: Vec<T> = items.into_iter().collect();
    list.shrink_to_fit();
    list
}

/// Whether a packet can have both as its ends; protocol 0 is any.
fn meet(local: &Selector, remote: &Selector) -> bool {
    local.start.is_ipv4() == remote.start.is_ipv4()
        && (local.protocol == 0 || remote.protocol == 0 || local.protocol == remote.protocol)
}

/// Traffic that both children carry.
fn shared(a: &plan::Child, b: &plan::Child) -> Option<(Selector, Selector)> {
    let commons = |a: &[Selector], b: &[Selector]| -> Vec<Selector> {
        a.iter().flat_map(|one| b.iter().filter_map(|other| one.intersection(other))).collect()
    };
    let (local, remote) = (commons(&a.local_ts, &b.local_ts), commons(&a.remote_ts, &b.remote_ts));
    let both = |local: &Selector| Some((*local, *remote.iter().find(|remote| meet(local, remote))?));
    local.iter().find_map(both)
}

/// Products that together hold exactly these pairs, each once: what has the same partners goes together, seen from
/// the side from which that makes fewer of them.
fn split<T: PartialEq + Clone>(pairs: &[(T, T)]) -> Vec<Product<T>> {
    let turned: Vec<(T, T)> = pairs.iter().cloned().map(|(local, remote)| (remote, local)).collect();
    let (by_local, by_remote) = (gather(pairs), gather(&turned));
    if by_remote.len() < by_local.len() {
        return by_remote.into_iter().map(|(remotes, locals)| (locals, remotes)).collect();
    }
    by_local
}

/// The first of each pair, together with all others that have the same seconds.
fn gather<T: PartialEq + Clone>(pairs: &[(T, T)]) -> Vec<Product<T>> {
    let mut products: Vec<Product<T>> = Vec::new();
    for (at, (first, _)) in pairs.iter().enumerate() {
        if pairs.iter().take(at).any(|(before, _)| before == first) {
            continue;
        }
        let mut seconds: Vec<T> = Vec::new();
        for (_, second) in pairs.iter().filter(|(other, _)| other == first) {
            if !seconds.contains(second) {
                seconds.push(second.clone());
            }
        }
        let same =
            |other: &[T]| other.len() == seconds.len() && other.iter().all(|one| seconds.contains(one));
        match products.iter_mut().find(|(_, others)| same(others)) {
            Some((firsts, _)) => firsts.push(first.clone()),
            None => products.push((vec![first.clone()], seconds)),
        }
    }
    products
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::Arc;

    /// The worked example of TS-19: two of four pairs need two children, all four need one.
    #[test]
    fn two_of_four_pairs_need_two_children() {
        assert_eq!(split(&[(100, 300), (200, 400)]), [(vec![100], vec![300]), (vec![200], vec![400])]);
        let all = [(100, 300), (100, 400), (200, 300), (200, 400)];
        assert_eq!(split(&all), [(vec![100, 200], vec![300, 400])]);
        // Seen from the remote side these are two, from the local one three.
        let uneven = [(1, 8), (2, 8), (2, 9), (3, 9)];
        assert_eq!(split(&uneven), [(vec![1, 2], vec![8]), (vec![2, 3], vec![9])]);
    }

    /// What two children both carry is found, whatever it is written as.
    #[test]
    fn what_two_children_share() {
        let child = |local: &str, remote: &str| plan::Child {
            name: "c".into(),
            local_ts: vec![selector(local).unwrap()],
            remote_ts: vec![selector(remote).unwrap()],
            transform: Arc::new(plan::IpsecTransform {
                proposals: Vec::new().into(),
                lifetime: std::time::Duration::ZERO,
                lifetime_bytes: None,
                lifetime_packets: None,
                soft: plan::SoftLifetime::default(),
                replay_window: 64,
            }),
            dscp: None,
            written: plan::Written::default(),
        };
        let share = |a: (&str, &str), b: (&str, &str)| {
            let (local, remote) = shared(&child(a.0, a.1), &child(b.0, b.1))?;
            Some(words::negotiated(&[local], &[remote]))
        };
        let net = "10.1.0.0/16";
        assert_eq!(
            share(("10.0.0.0/8", net), ("10.9.0.1-10.9.0.9 udp", net)).as_deref(),
            Some("10.9.0.1-10.9.0.9 udp === 10.1.0.0/16")
        );
        assert_eq!(
            share(("10.2.0.0/16 tcp/80-443", net), ("10.2.0.0/16 tcp/443-500", net)).as_deref(),
            Some("10.2.0.0/16 tcp/443 === 10.1.0.0/16")
        );
        assert_eq!(share(("10.2.0.0/16 icmp/8", net), ("10.2.0.0/16 icmp/0", net)), None);
        assert_eq!(share(("10.2.0.0/16 udp", net), ("10.2.0.0/16 tcp", net)), None);
        assert_eq!(share(("10.2.0.0/16", net), ("10.3.0.0/16", net)), None);
    }

    proptest! {
        /// Whatever the pairs are, the children carry them, each once, and nothing else (TS-19).
        #[test]
        fn the_products_hold_exactly_the_pairs(pairs in prop::collection::vec((0u8..5, 0u8..5), 1..25)) {
            let products = split(&pairs);
            let mut held: Vec<(u8, u8)> = products
                .iter()
                .flat_map(|(locals, remotes)| locals.iter().flat_map(|l| remotes.iter().map(|r| (*l, *r))))
                .collect();
            held.sort_unstable();
            let mut wanted = pairs.clone();
            wanted.sort_unstable();
            wanted.dedup();
            prop_assert_eq!(held, wanted);
            prop_assert!(products.len() <= 5);
        }
    }
}
