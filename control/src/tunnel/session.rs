//! The session log (TG-21): what is said of an IKE SA or child when it comes up and when it ends. Details are names and
//! values; the words behind an event's text and the fields of its JSON are made of the same. Pure.

use std::ops::{AddAssign, Sub};

use ravelin_ike::event::{ChildUp, IkeUp, PpkUse};
use ravelin_ike::time::Instant;

use super::words;
use crate::config::plan::{Child, IpsecTransform, Keying, Tunnel};

/// Names and values, in the order they are told.
pub type Details = Vec<(&'static str, String)>;

/// What went through: packets, and octets of inner packets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Carried {
    /// Decapsulated.
    pub received: (u64, u64),
    /// Encapsulated.
    pub sent: (u64, u64),
}

impl Sub for Carried {
    type Output = Carried;

    fn sub(self, before: Carried) -> Carried {
        let less =
            |now: (u64, u64), then: (u64, u64)| (now.0.saturating_sub(then.0), now.1.saturating_sub(then.1));
        Carried { received: less(self.received, before.received), sent: less(self.sent, before.sent) }
    }
}

impl AddAssign for Carried {
    fn add_assign(&mut self, more: Carried) {
        for (sum, more) in [(&mut self.received, more.received), (&mut self.sent, more.sent)] {
            *sum = (sum.0.saturating_add(more.0), sum.1.saturating_add(more.1));
        }
    }
}

/// An IKE SA that came up, of a tunnel whose outer packets are in this instance.
pub fn ike_up(up: &IkeUp, tunnel: Option<&Tunnel>, instance: &str) -> Details {
    let lifetime = tunnel.and_then(|tunnel| match &tunnel.keying {
        Keying::Ike(ike) => Some(ike.policy.lifetime.as_secs()),
        Keying::Manual(_) => None,
    });
    let mut details = vec![("suite", words::ike_suite(&up.suite))];
    if let PpkUse::Mixed(id) = &up.ppk {
        details.push(("ppk", id.to_string()));
    }
    details.push(("local-id", words::identity(&up.local_identity)));
    let profile = tunnel.and_then(own_profile);
    let shown = up.own_certificate.zip(profile);
    details.extend(shown.map(|(choice, profile)| ("certificate", words::own_certificate(profile, choice))));
    let seconds = [("second-local-id", &up.second.local), ("second-remote-id", &up.second.remote)];
    details.extend(seconds.into_iter().filter_map(|(name, id)| Some((name, words::identity(id.as_ref()?)))));
    details.push(("encapsulation", encapsulation(up.path.udp_encapsulation).to_owned()));
    details.extend(lifetime.map(|seconds| ("lifetime-seconds", seconds.to_string())));
    details.push(("instance", instance.to_owned()));
    details
}

/// A child that came up, on this worker; its inner packets are in this instance.
pub fn child_up(up: &ChildUp, child: Option<&Child>, instance: &str, worker: Option<usize>) -> Details {
    let mut details =
        vec![("suite", words::esp_suite(&up.suite)), ("selectors", words::negotiated(&up.local, &up.remote))];
    details.extend(child.into_iter().flat_map(|child| lifetimes(&child.transform)));
    details.extend(worker.map(|worker| ("worker", worker.to_string())));
    details.push(("instance", instance.to_owned()));
    details
}

/// The cert-profile of a tunnel.
pub fn own_profile(tunnel: &Tunnel) -> Option<&str> {
    match &tunnel.keying {
        Keying::Ike(ike) => ike.own.certificates(),
        Keying::Manual(_) => None,
    }
}

fn lifetimes(transform: &IpsecTransform) -> impl Iterator<Item = (&'static str, String)> {
    let limits = [
        ("lifetime-seconds", Some(transform.lifetime.as_secs())),
        ("lifetime-bytes", transform.lifetime_bytes),
        ("lifetime-packets", transform.lifetime_packets),
    ];
    limits.into_iter().filter_map(|(name, limit)| Some((name, limit?.to_string())))
}

/// What was up since then has ended.
pub fn ended(since: Instant, now: Instant, carried: Carried) -> Details {
    let seconds = now.0.saturating_sub(since.0) / 1_000_000;
    let counts = [
        ("duration-seconds", seconds),
        ("in-packets", carried.received.0),
        ("in-octets", carried.received.1),
        ("out-packets", carried.sent.0),
        ("out-octets", carried.sent.1),
    ];
    counts.into_iter().map(|(name, value)| (name, value.to_string())).collect()
}

fn encapsulation(in_udp: bool) -> &'static str {
    if in_udp { "esp-in-udp" } else { "esp" }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A session's traffic is what was counted since it began; counts that began anew are none.
    #[test]
    fn traffic_is_that_of_the_session() {
        let count =
            |packets| Carried { received: (packets, 10 * packets), sent: (2 * packets, 20 * packets) };
        let mut sum = count(1);
        sum += count(7) - count(3);
        assert_eq!(sum, count(5));
        assert_eq!(count(1) - count(2), Carried::default());
        let told = ended(Instant(1_000_000), Instant(4_999_999), count(2));
        let told: Vec<_> = told.iter().map(|(name, value)| format!("{name} {value}")).collect();
        assert_eq!(
            told.join(", "),
            "duration-seconds 3, in-packets 2, in-octets 20, out-packets 4, out-octets 40"
        );
    }
}
