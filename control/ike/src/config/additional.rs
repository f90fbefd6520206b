//! Additional key exchanges (RFC 9370): what follows the first one, so that who breaks one method alone has nothing.

use super::Group;

/// Key exchanges that follow the first, in their order: at most seven, for which there are transform types, each by
/// another method.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AdditionalGroups([Option<Group>; AdditionalGroups::MOST]);

impl AdditionalGroups {
    /// Transform types there are (RFC 9370 §2.2.1).
    pub const MOST: usize = 7;

    /// No key exchange but the first.
    pub const NONE: AdditionalGroups = AdditionalGroups([None; AdditionalGroups::MOST]);

    /// What follows `first`. `None` if it is more than seven, or if a method comes twice, `first` included: a second
    /// exchange by the same method protects from nothing, and RFC 9370 §2.2.1 forbids it.
    pub fn after(first: Group, groups: &[Group]) -> Option<AdditionalGroups> {
        let mut slots = [None; AdditionalGroups::MOST];
        let mut free = slots.iter_mut();
        for (index, group) in groups.iter().enumerate() {
            let before = groups.iter().take(index).chain([&first]);
            if before.into_iter().any(|other| other == group) {
                return None;
            }
            *free.next()? = Some(*group);
        }
        Some(AdditionalGroups(slots))
    }

    /// The methods, in their order.
    pub fn iter(&self) -> impl Iterator<Item = Group> + use<> {
        self.0.into_iter().flatten()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    /// The next exchange, and what follows that.
    pub fn split_first(self) -> Option<(Group, AdditionalGroups)> {
        let [first, rest @ ..] = self.0;
        let mut slots = [None; AdditionalGroups::MOST];
        slots.iter_mut().zip(rest).for_each(|(slot, group)| *slot = group);
        first.map(|first| (first, AdditionalGroups(slots)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_method_comes_once_and_in_order() {
        let all = [Group::MlKem1024, Group::EcpP384, Group::MlKem512];
        let mut left = AdditionalGroups::after(Group::X25519, &all).unwrap();
        assert_eq!(left.iter().collect::<Vec<_>>(), all);
        for group in all {
            let (first, rest) = left.split_first().unwrap();
            assert_eq!(first, group);
            left = rest;
        }
        assert!(left.is_empty() && left.split_first().is_none());
        assert_eq!(AdditionalGroups::after(Group::MlKem512, &all), None);
        assert_eq!(AdditionalGroups::after(Group::X25519, &[Group::EcpP256, Group::EcpP256]), None);
        assert_eq!(AdditionalGroups::after(Group::X25519, &[]), Some(AdditionalGroups::NONE));
        let others: Vec<Group> = Group::ALL.into_iter().filter(|group| *group != Group::X25519).collect();
        let (most, one_too_many) = (&others[..AdditionalGroups::MOST], &others[..AdditionalGroups::MOST + 1]);
        assert!(AdditionalGroups::after(Group::X25519, most).is_some());
        assert_eq!(AdditionalGroups::after(Group::X25519, one_too_many), None);
    }
}
