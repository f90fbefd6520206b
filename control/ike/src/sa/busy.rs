//! A peer that is busy without end (RFC 7296 §2.25): "If a peer continues to receive TEMPORARY_FAILURE on the same IKE SA
//! after several minutes, it SHOULD conclude that the state information is out of sync and close the IKE SA."

use crate::time::Instant;
use crate::wire::NotifyType;
use std::time::Duration;

/// Several minutes.
const PATIENCE: Duration = Duration::from_secs(300);

/// When the requests of one IKE SA that were answered by TEMPORARY_FAILURE, one after the other, began and came last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Busy(Option<(Instant, Instant)>);

impl Busy {
    /// A request about an SA was answered, by an error or not. What was not asked again within `gap` has nothing to do
    /// with what is asked now.
    pub(crate) fn answered(&mut self, now: Instant, error: Option<NotifyType>, gap: Duration) {
        let began = self.0.filter(|(_, last)| now.since(*last) <= gap).map_or(now, |(began, _)| began);
        self.0 = (error == Some(NotifyType::TemporaryFailure)).then_some((began, now));
    }

    /// Whether the peer is out of step with us, and not busy.
    pub(crate) fn is_without_end(self) -> bool {
        self.0.is_some_and(|(began, last)| last.since(began) >= PATIENCE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Five minutes of nothing else count; another answer, or a pause in which nothing was asked, begins anew.
    #[test]
    fn only_what_goes_on_counts() {
        let put_off = Some(NotifyType::TemporaryFailure);
        let after = |answers: &[(u64, Option<NotifyType>)]| {
            let mut busy = Busy::default();
            for (second, error) in answers {
                busy.answered(Instant(second * 1_000_000), *error, Duration::from_secs(60));
            }
            busy.is_without_end()
        };
        let every_minute: Vec<_> = (0..=5).map(|minute| (minute * 60, put_off)).collect();
        assert!(after(&every_minute) && !after(&every_minute[..5]));
        for answer in [None, Some(NotifyType::NoProposalChosen)] {
            let mut answers = every_minute.clone();
            answers[3].1 = answer;
            assert!(!after(&answers));
        }
        assert!(!after(&[(0, put_off), (7200, put_off)]));
    }
}
