//! Which group a key exchange within an IKE SA begins with: "of a group expected to be accepted" (RFC 7296 §1.3). A wrong
//! guess costs an exchange (INVALID_KE_PAYLOAD), so what the peer has asked for is remembered, apart for the IKE SA and
//! each child, whose proposals differ.

use crate::config::{ChildId, Group};

/// The groups that the peer has asked for, by child, or of the IKE SA. One by whom no guess was ever refused has none.
#[derive(Debug, Default)]
pub(crate) struct Guesses(Vec<(Option<ChildId>, Group)>);

impl Guesses {
    /// The peer asked for this group in place of the one it was sent.
    pub(crate) fn learn(&mut self, of: Option<ChildId>, group: Group) {
        match self.0.iter_mut().find(|(known, _)| *known == of) {
            Some((_, learned)) => *learned = group,
            None => self.0.push((of, group)),
        }
    }

    /// The first of these that is offered still: what the peer asked for, what it has agreed to (`in_use`), what is
    /// preferred.
    pub(crate) fn best(
        &self,
        of: Option<ChildId>,
        in_use: Option<Group>,
        offered: &[Group],
    ) -> Option<Group> {
        let learned = self.0.iter().find(|(known, _)| *known == of).map(|(_, group)| *group);
        let known = learned.into_iter().chain(in_use).find(|group| offered.contains(group));
        known.or(offered.first().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each by itself, the last word counts, and what is not offered any more is no guess.
    #[test]
    fn what_the_peer_asked_for_comes_first() {
        let all = [Group::X25519, Group::EcpP256, Group::EcpP384];
        let mut guesses = Guesses::default();
        let one = Some(ChildId(1));
        assert_eq!(guesses.best(one, None, &all), Some(Group::X25519));
        assert_eq!(guesses.best(one, Some(Group::EcpP384), &all), Some(Group::EcpP384));
        guesses.learn(one, Group::EcpP384);
        guesses.learn(one, Group::EcpP256);
        assert_eq!(guesses.best(one, Some(Group::EcpP384), &all), Some(Group::EcpP256));
        assert_eq!(guesses.best(one, None, &all[..1]), Some(Group::X25519));
        assert_eq!(guesses.best(None, None, &all), Some(Group::X25519));
        assert_eq!(guesses.best(None, None, &[]), None);
    }
}
