//! How long a proof of identity counts (RFC 4478): after that both ends prove themselves anew, by a new IKE SA.

use std::time::Duration;

/// What a proof that is about to end leaves at least for a new one: a call that is put off, or whose messages are lost.
const TIME_TO_RENEW: Duration = Duration::from_secs(30);

/// Time limits of proofs of identity. Rekeys do not prolong them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuthenticationLifetime {
    /// Age at which who called makes a new IKE SA, before jitter.
    pub soft: Duration,
    /// Age at which the IKE SA and its children are deleted if no new one has taken their place. Who was called says so
    /// (AUTH_LIFETIME).
    pub hard: Duration,
    /// Up to this share of `soft`, in percent, is taken off at random. At most 50 is used.
    pub jitter_percent: u8,
}

impl AuthenticationLifetime {
    /// Of a lifetime that the peer has set: a tenth of it is left, and time enough for a new call.
    pub fn of(hard: Duration) -> AuthenticationLifetime {
        let left = (hard / 10).max(TIME_TO_RENEW.min(hard / 2));
        AuthenticationLifetime { soft: hard.saturating_sub(left), hard, jitter_percent: 10 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A new proof has time, and one that is wanted at once is begun at once.
    #[test]
    fn a_new_proof_has_time() {
        let soft = |seconds| AuthenticationLifetime::of(Duration::from_secs(seconds)).soft;
        for (hard, begun) in [(86_400, 77_760), (300, 270), (60, 30), (6, 3), (0, 0)] {
            assert_eq!(soft(hard), Duration::from_secs(begun), "of {hard} s");
        }
    }
}
