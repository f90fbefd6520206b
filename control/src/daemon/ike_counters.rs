//! What the network and strangers did to IKE, as counters with a meaning (IKE-51). Those of lockout are in `show lockout`
//! as well.

use ravelin_ike::engine::Counters;

use crate::api::reply::Counter;

type Value = fn(&Counters) -> u64;

/// All there are, by name.
const TABLE: [(&str, Value, &str); 22] = [
    ("ike-collisions", |c| c.collisions, "Rekeys of one SA by both ends at once, decided by their nonces."),
    (
        "ike-cookies-demanded",
        |c| c.cookies_demanded,
        "IKE_SA_INIT requests answered with a cookie to be sent back; nothing is kept of them.",
    ),
    (
        "ike-crossed-calls",
        |c| c.crossed_calls,
        "Calls of both ends at once that both came through; one was closed.",
    ),
    ("ike-datagrams", |c| c.datagrams, "IKE datagrams that reached the control loop."),
    (
        "ike-errors-suppressed",
        |c| c.errors_suppressed,
        "Unprotected error replies not sent because of the rate limit.",
    ),
    ("ike-half-open-expired", |c| c.half_open_expired, "Half-open IKE SAs whose caller never came back."),
    (
        "ike-init-dropped",
        |c| c.init_dropped,
        "IKE_SA_INIT requests dropped: too many are half-open, or no room.",
    ),
    (
        "ike-init-redirected",
        |c| c.init_redirected,
        "IKE_SA_INIT requests answered with another gateway (RFC 5685).",
    ),
    ("ike-init-refused", |c| c.init_refused, "IKE_SA_INIT requests refused: no connection, or no proposal."),
    ("ike-init-repeated", |c| c.init_repeated, "IKE_SA_INIT requests that repeat one being served."),
    ("ike-init-requests", |c| c.init_requests, "IKE_SA_INIT and IKE_SESSION_RESUME requests from callers."),
    ("ike-lockout-dropped", |c| c.lockout_dropped, "Datagrams of callers that are locked out."),
    ("ike-lockouts", |c| c.lockouts, "Callers and addresses that were locked out."),
    ("ike-malformed", |c| c.malformed, "Datagrams that are no IKE message, or larger than is taken."),
    (
        "ike-proofs-expired",
        |c| c.proofs_expired,
        "IKE SAs ended because nobody proved itself anew in time (RFC 4478).",
    ),
    (
        "ike-reauthenticated",
        |c| c.reauthenticated,
        "IKE SAs that took the place of others by new proofs of identity.",
    ),
    ("ike-unknown-spi", |c| c.unknown_spi, "Messages of IKE SAs that are not here."),
    ("crash-tokens-sent", |c| c.crash_tokens_sent, "Crash tokens given out for IKE SAs that are not here."),
    (
        "crash-tokens-proven",
        |c| c.crash_tokens_proven,
        "Peers' crash tokens that proved the loss of an IKE SA.",
    ),
    (
        "crash-tokens-wrong",
        |c| c.crash_tokens_wrong,
        "Crash tokens that proved nothing: forged, or of a peer that has not kept its secret.",
    ),
    (
        "tickets-accepted",
        |c| c.tickets_accepted,
        "Tickets of callers that were accepted, so that their sessions could be resumed.",
    ),
    (
        "tickets-refused",
        |c| c.tickets_refused,
        "Tickets of callers that were not accepted; they negotiate in full.",
    ),
];

/// As they are now.
pub fn rows(counters: &Counters) -> impl Iterator<Item = Counter> {
    TABLE.iter().map(|(name, value, meaning)| Counter {
        name: (*name).to_owned(),
        value: value(counters),
        meaning: (*meaning).to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each number that the engine keeps is shown once, under a name that the manual has.
    #[test]
    fn every_count_is_shown_and_in_the_manual() {
        // One that is left out does not compile; each has a value of its own.
        let counters = Counters {
            datagrams: 1,
            malformed: 2,
            unknown_spi: 3,
            init_requests: 4,
            init_repeated: 5,
            cookies_demanded: 6,
            init_dropped: 7,
            init_refused: 8,
            errors_suppressed: 9,
            collisions: 10,
            crossed_calls: 11,
            lockout_dropped: 12,
            lockouts: 13,
            init_redirected: 14,
            tickets_accepted: 15,
            tickets_refused: 16,
            crash_tokens_sent: 17,
            crash_tokens_proven: 18,
            crash_tokens_wrong: 19,
            half_open_expired: 20,
            reauthenticated: 21,
            proofs_expired: 22,
        };
        let mut shown: Vec<u64> = rows(&counters).map(|row| row.value).collect();
        shown.sort_unstable();
        assert_eq!(shown, (1..=22).collect::<Vec<u64>>());
        let manual = include_str!("../../../docs/counters.md");
        for row in rows(&counters) {
            assert!(manual.contains(&format!("| `{}` |", row.name)), "{} is not in the manual", row.name);
        }
    }
}
