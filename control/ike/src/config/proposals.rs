//! Lists of proposals: thousands of connections have the same one, so it is in memory once.

use core::ops::{Deref, DerefMut};
use std::sync::Arc;

/// Proposals, preferred first. Clones are the same list; whoever changes one gets a list of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposals<P>(Arc<Vec<P>>);

impl<P: PartialEq> Proposals<P> {
    /// `others` where they are other than these, else these.
    pub(crate) fn or(&self, others: Vec<P>) -> Proposals<P> {
        if *self.0 == others { Proposals(Arc::clone(&self.0)) } else { others.into() }
    }
}

impl<P> From<Vec<P>> for Proposals<P> {
    fn from(proposals: Vec<P>) -> Proposals<P> {
        Proposals(Arc::new(proposals))
    }
}

impl<P> FromIterator<P> for Proposals<P> {
    fn from_iter<I: IntoIterator<Item = P>>(proposals: I) -> Proposals<P> {
        Vec::from_iter(proposals).into()
    }
}

impl<P> Deref for Proposals<P> {
    type Target = Vec<P>;

    fn deref(&self) -> &Vec<P> {
        &self.0
    }
}

impl<P: Clone> DerefMut for Proposals<P> {
    fn deref_mut(&mut self) -> &mut Vec<P> {
        Arc::make_mut(&mut self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One list for all that have the same, and a change of one of them is none of the others.
    #[test]
    fn clones_are_one_list_until_one_is_changed() {
        let first: Proposals<u8> = vec![1, 2].into();
        let (same, mut other) = (first.or(vec![1, 2]), first.clone());
        assert!(Arc::ptr_eq(&first.0, &same.0) && Arc::ptr_eq(&first.0, &other.0));
        other.push(3);
        assert_eq!((first.as_slice(), other.as_slice()), (&[1, 2][..], &[1, 2, 3][..]));
        assert_eq!(first.or(vec![2]), Proposals::from(vec![2]));
    }
}
