//! Which of their queues ports use while a worker stands still (DP-01; docs/design.md "Stalls"): a device would go
//! on to fill the queue of one that does not poll. Choosing is a pure function; the loop tells the ports, at once,
//! and again at every look while a driver refuses.
//!
//! Left alone: what the kernel spreads, and devices that have one queue or cannot be told (`no-redirection`).

use ravelin_dataplane::io::Pool;
use ravelin_dataplane::sa::shard::WorkerId;

use super::core::Core;

/// The receive queues of a port, of which each of the first workers has one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Choice {
    /// What arrives goes to these.
    pub used: Vec<u16>,
    /// These get nothing.
    pub left_out: Vec<u16>,
}

/// Chooses among `queues` queues by who polls. All, where none of theirs does: then nobody is there to be
/// preferred, and each goes on with what it finds.
pub fn choose(queues: u16, polls: impl Fn(WorkerId) -> bool) -> Choice {
    // A queue beyond all workers there can be has no worker.
    let is_polled = |queue: &u16| u8::try_from(*queue).is_ok_and(|worker| polls(WorkerId(worker)));
    let (used, left_out): (Vec<u16>, Vec<u16>) = (0..queues).partition(is_polled);
    if used.is_empty() { Choice { used: left_out, left_out: used } } else { Choice { used, left_out } }
}

/// What a port does about it. At its start it uses all its queues.
#[derive(Debug, Clone, Default)]
pub struct Spread {
    left_out: Vec<u16>,
    refused: Option<String>,
}

impl Spread {
    /// Why the port uses other queues than it was told to.
    pub fn refused(&self) -> Option<&str> {
        self.refused.as_deref()
    }

    fn is(&self, choice: &Choice) -> bool {
        self.left_out == choice.left_out && self.refused.is_none()
    }

    /// Takes in how telling the port went. What is worth telling operators: another choice, or the first refusal.
    fn take(&mut self, choice: Choice, told: Result<(), String>) -> Option<(&'static str, String)> {
        match told {
            Ok(()) => {
                self.refused = None;
                self.left_out = choice.left_out;
                Some(("port-spread", in_words(&self.left_out, &choice.used)))
            }
            Err(error) => {
                let is_first = self.refused.replace(error.clone()).is_none();
                is_first.then_some(("port-spread-refused", error))
            }
        }
    }
}

fn in_words(left_out: &[u16], used: &[u16]) -> String {
    let list = |queues: &[u16]| queues.iter().map(u16::to_string).collect::<Vec<_>>().join(", ");
    match left_out {
        [] => "uses all its queues".into(),
        _ => format!("uses queues {}; nobody polls {}", list(used), list(left_out)),
    }
}

impl<P: Pool> Core<P> {
    /// Has every port use the queues of workers that poll.
    pub(super) fn choose_queues(&mut self) {
        let now = self.now().0;
        for (index, port) in self.ports.iter_mut().enumerate() {
            let choice =
                choose(self.devices.queues(index), |worker| self.pulse.silence(worker, now).is_none());
            if port.spread.is(&choice) {
                continue;
            }
            let told = self.devices.spread(index, &choice.used);
            let name = self.plan.ports.get(index).map_or("?", |port| port.name.as_str());
            if let Some((what, text)) = port.spread.take(choice, told) {
                self.journal.note("", what, format!("port {name}: {text}"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Queue n is worker n's: it is used while that one polls. Workers without a queue count for nothing, and
    /// with nobody at any queue all stay.
    #[test]
    fn queues_of_workers_that_poll_are_used() {
        let still = |still: &'static [u8]| move |worker: WorkerId| !still.contains(&worker.0);
        for (queues, stalled, used, left_out) in [
            (4, &[][..], &[0, 1, 2, 3][..], &[][..]),
            (4, &[1], &[0, 2, 3], &[1]),
            (4, &[0, 3], &[1, 2], &[0, 3]),
            (4, &[0, 1, 2, 3], &[0, 1, 2, 3], &[]),
            // The third worker gets its packets by handoff.
            (2, &[2], &[0, 1], &[]),
            (2, &[0, 1], &[0, 1], &[]),
            (2, &[1, 2], &[0], &[1]),
            (1, &[0], &[0], &[]),
            (0, &[0], &[], &[]),
        ] {
            let expected = Choice { used: used.to_vec(), left_out: left_out.to_vec() };
            assert_eq!(choose(queues, still(stalled)), expected, "{queues} queues, {stalled:?} stalled");
        }
    }

    /// A port that refuses is told again until it obeys, operators only once; also when what it refused is not
    /// wanted any more, for nobody knows what it made of it.
    #[test]
    fn a_refusal_is_told_once_and_tried_again() {
        let one = choose(2, |worker| worker.0 != 1);
        let both = choose(2, |_| true);
        let mut spread = Spread::default();
        assert!(spread.is(&both) && !spread.is(&one));
        let told = spread.take(one.clone(), Err("busy".into()));
        assert_eq!(told, Some(("port-spread-refused", "busy".into())));
        assert_eq!(spread.take(one.clone(), Err("still busy".into())), None);
        assert_eq!(spread.refused(), Some("still busy"));
        assert!(!spread.is(&one) && !spread.is(&both));
        let (_, text) = spread.take(one.clone(), Ok(())).unwrap();
        assert_eq!(text, "uses queues 0; nobody polls 1");
        assert!(spread.is(&one) && spread.refused().is_none());
        assert_eq!(spread.take(both.clone(), Ok(())).unwrap().1, "uses all its queues");
        assert!(spread.is(&both));
    }
}
