//! What is wrong with the machine around us, from what the workers count: each finding with
//! what was seen and what to do. Silence is a finding too.

use crate::api::reply::{Counter, Finding};

/// A counter that means something when it is not zero.
struct Sign {
    counter: &'static str,
    subject: &'static str,
    fix: &'static str,
}

const SIGNS: [Sign; 8] = [
    Sign {
        counter: "checksums-wrong",
        subject: "hosts send packets with unfinished checksums",
        fix: "turn offloads off where they send: ethtool -K DEVICE tx off tso off gso off gro off",
    },
    Sign {
        counter: "drop-malformed-ip",
        subject: "frames longer than their IP packets say, or broken ones",
        fix: "turn GRO and TSO off on hosts and links in front of a port: ethtool -K DEVICE gro off tso off gso off",
    },
    Sign {
        counter: "drop-no-buffer",
        subject: "the packet pool was empty",
        fix: "raise buffers in [eal], or look for a stalled port in show ports",
    },
    Sign {
        counter: "drop-handoff-full",
        subject: "a worker cannot keep up with what the others hand over",
        fix: "spread tunnels over more workers",
    },
    Sign {
        counter: "drop-tx-full",
        subject: "a link is slower than the traffic for it",
        fix: "look for the port in show ports",
    },
    Sign {
        counter: "drop-punt-ike-full",
        subject: "the control loop does not keep up with IKE",
        fix: "give it a CPU that no worker uses",
    },
    Sign {
        counter: "drop-punt-init-full",
        subject: "a flood of new connections",
        fix: "see events for the addresses; known peers go on",
    },
    Sign {
        counter: "drop-neighbour-miss",
        subject: "next hops did not answer when first needed",
        fix: "nothing, if it does not rise; else see explain for the tunnel",
    },
];

/// Findings from the counters.
pub fn findings(counters: &[Counter]) -> Vec<Finding> {
    let value =
        |name: &str| counters.iter().find(|counter| counter.name == name).map_or(0, |counter| counter.value);
    let seen = SIGNS.iter().filter(|sign| value(sign.counter) > 0).map(|sign| Finding {
        severity: "warning".into(),
        subject: sign.subject.into(),
        seen: format!("{} = {}", sign.counter, value(sign.counter)),
        fix: sign.fix.into(),
    });
    let mut findings: Vec<Finding> = seen.collect();
    if findings.is_empty() {
        let seen = "no counter says otherwise".into();
        findings.push(Finding { severity: "ok".into(), subject: "packets".into(), seen, fix: String::new() });
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every sign names a counter that exists.
    #[test]
    fn signs_name_counters() {
        let counters = ravelin_dataplane::link::counter::Counters::new(0);
        let work: Vec<String> = counters.named().map(|(name, _)| name.replace('_', "-")).collect();
        let drops: Vec<String> = ravelin_dataplane::verdict::Drop::ALL
            .iter()
            .map(|reason| format!("drop-{}", reason.name()))
            .collect();
        for sign in &SIGNS {
            let known = work.iter().chain(&drops).any(|name| name == sign.counter);
            assert!(known, "{} is no counter", sign.counter);
        }
    }

    /// A machine in order says so; one out of order says what to do.
    #[test]
    fn findings_follow_the_counters() {
        let counter = |value| Counter { name: "checksums-wrong".into(), value, meaning: String::new() };
        assert_eq!(findings(&[counter(0)])[0].severity, "ok");
        assert!(findings(&[counter(3)])[0].fix.contains("ethtool"));
    }
}
