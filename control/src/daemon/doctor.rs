//! What is wrong with the machine around us, from what the workers count: each finding with
//! what was seen and what to do. Silence is a finding too.

use crate::api::reply::{Counter, Finding, Port};
use crate::instance::Wall;

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

/// An instance that does not stand on its walls; the error says what to do.
pub fn outage((instance, wall, error): (&str, Wall, &str)) -> Finding {
    Finding {
        severity: "error".into(),
        subject: format!("instance {instance} is out of service [{}]", wall.code()),
        seen: error.to_owned(),
        fix: "mend it as it says; the instance returns to service by itself".into(),
    }
}

/// A count of a port that means something when it is not zero.
type PortSign = (fn(&Port) -> u64, &'static str, &'static str);

const PORT_SIGNS: [PortSign; 5] = [
    (|port| port.rx_missed, "rx-missed", "the workers do not keep up: give it more workers"),
    (|port| port.rx_no_buffer, "rx-no-buffer", "raise buffers in [eal]"),
    (|port| port.rx_errors, "rx-errors", "look at cable, optics and the far end's MTU"),
    (
        |port| port.rx_truncated,
        "rx-truncated",
        "turn offloads off where they send (ethtool -K DEVICE gro off tso off gso off), or raise the mtu",
    ),
    (|port| port.rx_unlinear, "rx-unlinear", "frames longer than a buffer arrive in bursts: lower the mtu"),
];

/// Findings from the ports: what is lost before any worker sees it, and links that are down.
pub fn ports(ports: &[Port]) -> Vec<Finding> {
    let warning = |port: &Port, seen: String, fix: &str| Finding {
        severity: "warning".into(),
        subject: format!("port {}", port.name),
        seen,
        fix: fix.into(),
    };
    let of = |port: &Port| {
        let down = (!port.link_up)
            .then(|| warning(port, "no link".into(), "look at cable and far end; the twins have no carrier"));
        let lost = PORT_SIGNS.iter().filter(|(count, ..)| count(port) > 0);
        let lost = lost.map(|(count, name, fix)| warning(port, format!("{name} = {}", count(port)), fix));
        down.into_iter().chain(lost).collect::<Vec<_>>()
    };
    ports.iter().flat_map(of).collect()
}

/// A port that does not use the queues of workers that poll, and no other.
pub fn spread(port: &str, refused: &str) -> Finding {
    Finding {
        severity: "error".into(),
        subject: format!("port {port} spreads over other queues than it was told"),
        seen: refused.to_owned(),
        fix: "it is told again every second, which does no harm; if it stays so, look at the card (RAVELIN_LOG=debug has DPDK's words) and restart ravelind".into(),
    }
}

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

    /// What a device loses is said by the port's name; a healthy one is not mentioned.
    #[test]
    fn findings_follow_the_ports() {
        let port = Port { name: "wan".into(), link_up: true, ..Port::default() };
        assert!(ports(std::slice::from_ref(&port)).is_empty());
        let lossy = Port { rx_missed: 7, ..port.clone() };
        assert_eq!(ports(&[lossy])[0].seen, "rx-missed = 7");
        assert_eq!(ports(&[Port { link_up: false, ..port }])[0].seen, "no link");
    }

    /// A machine in order says so; one out of order says what to do.
    #[test]
    fn findings_follow_the_counters() {
        let counter = |value| Counter { name: "checksums-wrong".into(), value, meaning: String::new() };
        assert_eq!(findings(&[counter(0)])[0].severity, "ok");
        assert!(findings(&[counter(3)])[0].fix.contains("ethtool"));
    }
}
