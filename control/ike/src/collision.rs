//! Both sides rekey the same SA at once (RFC 7296 §2.8.1, §2.8.2, §2.25), or make the first SA of the same child.
//!
//! An enum of its own, carried by our outstanding request: what the peer did meanwhile. The rule is the
//! same for CHILD_SAs (`T` names a CHILD_SA) and IKE SAs (`T` is an IKE SPI). RFC 7296 has it for rekeys only; two
//! SAs of one child would serve as well as one, but would count twice and live side by side for ever.

use crate::wire::Nonce;

/// What the peer did to the SA that our outstanding request is to replace, or to the child it is for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Rival<T> {
    /// Nothing: we are alone.
    #[default]
    None,
    /// It asked for the same and we agreed, or are about to. Its exchange made, or will make, `made`.
    Answered { made: Option<T>, lowest: Nonce },
    /// We agreed, and its additional key exchanges come before it makes anything (RFC 9370 §2.2.4).
    Pending { lowest: Nonce },
    /// It deleted the old SA: its own rekey is done and it does not know ours, or has decided against it.
    Done,
}

/// Which of two new SAs lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Winner {
    /// The one our request made.
    Ours,
    /// The one the peer's request made.
    Theirs,
}

/// The lower of an exchange's two nonces, compared octet by octet.
pub(crate) fn lowest<'a>(a: &'a Nonce, b: &'a Nonce) -> &'a Nonce {
    if a.as_bytes() <= b.as_bytes() { a } else { b }
}

impl<T> Rival<T> {
    /// Decides, once our request is answered with a nonce too. "the SA created with the lowest of the four
    /// nonces used in the two exchanges SHOULD be closed by the endpoint that created it" (RFC 7296 §2.8.1).
    pub(crate) fn decide(&self, ours: &Nonce, peers: &Nonce) -> Winner {
        match self {
            Rival::None => Winner::Ours,
            Rival::Done => Winner::Theirs,
            Rival::Answered { lowest: theirs, .. } | Rival::Pending { lowest: theirs } => {
                if lowest(ours, peers).as_bytes() < theirs.as_bytes() { Winner::Theirs } else { Winner::Ours }
            }
        }
    }

    /// Whether there is a rival at all.
    pub(crate) fn is_some(&self) -> bool {
        !matches!(self, Rival::None)
    }

    /// Whether it is not known yet what its exchange makes.
    pub(crate) fn is_unsettled(&self) -> bool {
        matches!(self, Rival::Answered { made: None, .. } | Rival::Pending { .. })
    }

    /// Whether its additional key exchanges are awaited.
    pub(crate) fn is_pending(&self) -> bool {
        matches!(self, Rival::Pending { .. })
    }

    /// We have agreed, and additional key exchanges are to follow.
    pub(crate) fn put_off(&mut self) {
        if let Rival::Answered { made: None, lowest } = self {
            *self = Rival::Pending { lowest: lowest.clone() };
        }
    }

    /// Its exchange has made this.
    pub(crate) fn settle(&mut self, made: T) {
        if let Rival::Answered { lowest, .. } | Rival::Pending { lowest } = self {
            *self = Rival::Answered { made: Some(made), lowest: lowest.clone() };
        }
    }

    /// What its exchange made was replaced.
    pub(crate) fn succeed(&mut self, old: T, new: T)
    where
        T: PartialEq,
    {
        if let Rival::Answered { made: Some(made), .. } = self
            && *made == old
        {
            *made = new;
        }
    }

    /// What its exchange made is gone again.
    pub(crate) fn lose(&mut self, gone: T)
    where
        T: PartialEq,
    {
        if matches!(self, Rival::Answered { made: Some(made), .. } if *made == gone) {
            *self = Rival::None;
        }
    }

    /// Its exchange came to nothing.
    pub(crate) fn withdraw(&mut self) {
        if self.is_unsettled() {
            *self = Rival::None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nonce(first: u8) -> Nonce {
        Nonce::new([vec![first], vec![0; 31]].concat()).unwrap()
    }

    /// Both ends must come to the same winner, whichever of the four nonces is lowest.
    #[test]
    fn both_ends_agree_on_the_winner() {
        for order in [[1, 2, 3, 4], [2, 1, 3, 4], [3, 4, 1, 2], [4, 3, 2, 1], [2, 3, 1, 4]] {
            let [ni_a, nr_b, ni_b, nr_a] = order.map(nonce);
            let at_a =
                Rival::Answered { made: Some(()), lowest: lowest(&ni_b, &nr_a).clone() }.decide(&ni_a, &nr_b);
            let at_b =
                Rival::Answered { made: Some(()), lowest: lowest(&ni_a, &nr_b).clone() }.decide(&ni_b, &nr_a);
            assert_ne!(at_a, at_b, "{order:?}: one end's own is the other end's rival");
            let lowest_is_in_a = order[0] == 1 || order[1] == 1;
            assert_eq!(at_a == Winner::Theirs, lowest_is_in_a);
        }
    }

    /// Its key exchanges put the rival off and change nothing about who wins.
    #[test]
    fn a_rival_is_settled_or_withdrawn() {
        let mut rival = Rival::Answered { made: None, lowest: nonce(3) };
        rival.put_off();
        assert!(rival.is_pending() && rival.is_unsettled());
        assert_eq!(rival.decide(&nonce(2), &nonce(9)), Winner::Theirs);
        assert_eq!(rival.decide(&nonce(4), &nonce(9)), Winner::Ours);
        rival.settle(7);
        assert_eq!(rival, Rival::Answered { made: Some(7), lowest: nonce(3) });
        rival.withdraw();
        assert!(rival.is_some(), "what is made stays");
        rival.succeed(7, 8);
        rival.lose(7);
        assert!(rival.is_some(), "it has a successor");
        rival.lose(8);
        assert_eq!(rival, Rival::None);
        let mut rival: Rival<()> = Rival::Pending { lowest: nonce(3) };
        rival.withdraw();
        assert_eq!(rival, Rival::None);
    }

    #[test]
    fn a_rival_that_deleted_the_old_sa_has_won() {
        assert_eq!(Rival::<()>::Done.decide(&nonce(9), &nonce(9)), Winner::Theirs);
        assert_eq!(Rival::<()>::None.decide(&nonce(0), &nonce(0)), Winner::Ours);
    }
}
