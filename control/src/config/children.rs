//! The children of a tunnel: what each carries, and by which transform.

use super::plan;
use super::raw::{self, Text};
use super::tunnel::One;
use super::value;

/// TS-05: entries a part of a selector list.
const SELECTORS: usize = 32;
/// IKE-13: children a tunnel.
const CHILDREN: usize = 64;

impl One<'_, '_, '_> {
    pub(super) fn children(&mut self, name: &str, raw: &raw::Tunnel) -> Option<Vec<plan::Child>> {
        let mut children = Vec::new();
        if !raw.local_ts.is_empty() || !raw.remote_ts.is_empty() {
            let transform = raw.ipsec_transform.as_ref();
            children.push(self.child(name, &raw.local_ts, &raw.remote_ts, transform)?);
        }
        for (name, spanned) in &raw.child {
            let child = spanned.get_ref();
            let transform = child.ipsec_transform.as_ref().or(raw.ipsec_transform.as_ref());
            children.push(self.child(name, &child.local_ts, &child.remote_ts, transform)?);
        }
        if children.is_empty() || children.len() > CHILDREN {
            self.refuse("has no child, or too many", "local-ts and remote-ts, or 1 to 64 child tables");
        }
        Some(children)
    }

    fn child(
        &mut self,
        name: &str,
        local: &[Text],
        remote: &[Text],
        transform: Option<&Text>,
    ) -> Option<plan::Child> {
        let local_ts = self.selectors("local-ts", local)?;
        let remote_ts = self.selectors("remote-ts", remote)?;
        Some(plan::Child { name: name.to_owned(), local_ts, remote_ts, transform: self.transform(transform) })
    }

    fn selectors(&mut self, key: &str, texts: &[Text]) -> Option<Vec<plan::Selector>> {
        if texts.is_empty() || texts.len() > SELECTORS {
            self.refuse(&format!("{key} has {} entries", texts.len()), "1 to 32 of them");
            return None;
        }
        texts.iter().map(|text| self.judge.value(&self.object, key, text, value::selector)).collect()
    }
}
