//! MOBIKE of a tunnel or gateway (RFC 4555): whether it does it, and which further addresses of ours it may use then.

use std::net::IpAddr;

use ravelin_ike::config::UdpEncapsulation;
use ravelin_ike::wire::limits::ADDITIONAL_ADDRESSES;

use super::plan;
use super::raw::Text;
use super::tunnel::One;

impl One<'_, '_, '_> {
    /// Whether it does MOBIKE, as `usual` where nothing is written, and its further addresses.
    pub(super) fn mobike(
        &mut self,
        (written, addresses): (Option<bool>, &[Text]),
        usual: bool,
        policy: &plan::IkePolicy,
        ends: (plan::InstanceId, IpAddr),
    ) -> (bool, Vec<IpAddr>) {
        let does = self.does_mobike(written, usual || !addresses.is_empty(), policy);
        if !does && !addresses.is_empty() {
            self.refuse("mobike-addresses without MOBIKE", "mobike = true, or no mobike-addresses");
        }
        (does, self.mobike_addresses(addresses, ends))
    }

    /// It finds by NAT detection where the peer is (RFC 4555 §3.8).
    fn does_mobike(&mut self, written: Option<bool>, usual: bool, policy: &plan::IkePolicy) -> bool {
        let is_off = policy.nat.encapsulation == UdpEncapsulation::Never;
        if is_off && written == Some(true) {
            self.refuse("mobike = true with udp-encapsulation = \"never\"", "the one or the other");
        }
        written.unwrap_or(usual) && !is_off
    }

    /// Ours, of the family of `local`, which an SA does not change, and none twice.
    fn mobike_addresses(
        &mut self,
        texts: &[Text],
        (public, local): (plan::InstanceId, IpAddr),
    ) -> Vec<IpAddr> {
        if texts.len() > ADDITIONAL_ADDRESSES {
            let found = format!("mobike-addresses has {} entries", texts.len());
            self.refuse(&found, &format!("at most {ADDITIONAL_ADDRESSES}"));
        }
        let mut addresses = Vec::new();
        for text in texts {
            let Some(address) = self.ours(("mobike-addresses", text), public, self.ground.interfaces) else {
                continue;
            };
            if address == local || addresses.contains(&address) {
                self.refuse(&format!("mobike-addresses has {address}, which it has already"), "each once");
            }
            if address.is_ipv4() != local.is_ipv4() {
                let found = format!("mobike-addresses has {address}, and local is {local}");
                self.refuse(&found, "addresses of one family");
            }
            addresses.push(address);
        }
        addresses
    }
}

#[cfg(test)]
mod tests {
    use crate::config::ground::read;
    use crate::config::plan::{Ike, Keying};

    fn tunnel(lines: &str) -> String {
        format!(
            r#"
interface.wan = {{ device = "af_packet:eth1", addresses = ["192.0.2.2/24", "2001:db8::2/64"] }}
interface.lte = {{ device = "af_packet:eth2", addresses = ["198.51.100.2/24"] }}
interface.lan = {{ device = "af_packet:eth3", addresses = ["10.2.0.1/24"] }}
[tunnel.net]
local = "192.0.2.2"
remote = "192.0.2.1"
psk = "correct horse"
local-ts = ["10.2.0.0/24"]
remote-ts = ["10.1.0.0/24"]
{lines}
"#
        )
    }

    fn ike(lines: &str) -> Ike {
        match &read(&tunnel(lines)).unwrap().tunnels["net"].keying {
            Keying::Ike(ike) => Ike::clone(ike),
            Keying::Manual(_) => panic!("not by hand"),
        }
    }

    /// Whoever names further addresses wants MOBIKE, between fixed addresses too.
    #[test]
    fn further_addresses_turn_it_on() {
        assert_eq!((ike("").mobike, ike("").mobike_addresses), (false, vec![]));
        let further = ike("mobike-addresses = [\"198.51.100.2\"]");
        assert_eq!((further.mobike, further.mobike_addresses), (true, vec!["198.51.100.2".parse().unwrap()]));
    }

    #[test]
    fn what_is_no_further_address_is_refused() {
        let nine = format!("mobike-addresses = [{}]", "\"198.51.100.2\",".repeat(9));
        for (lines, expected) in [
            (
                "mobike = false\nmobike-addresses = [\"198.51.100.2\"]",
                "mobike = true, or no mobike-addresses",
            ),
            ("mobike-addresses = [\"198.51.100.3\"]", "is on no interface of its public instance"),
            ("mobike-addresses = [\"192.0.2.2\"]", "each once"),
            ("mobike-addresses = [\"198.51.100.2\", \"198.51.100.2\"]", "each once"),
            ("mobike-addresses = [\"2001:db8::2\"]", "addresses of one family"),
            ("mobike-addresses = [\"lte\"]", "an IPv4 or IPv6 address"),
            (nine.as_str(), "at most 8"),
        ] {
            let refused = format!("{:?}", read(&tunnel(lines)).unwrap_err());
            assert!(refused.contains(expected), "{lines}: wanted {expected}, got {refused}");
        }
    }
}
