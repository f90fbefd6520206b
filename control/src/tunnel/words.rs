//! Traffic selectors, identities and algorithms in the words of the configuration.

use std::fmt::{self, Display, Formatter, Write};
use std::net::IpAddr;

use ipnet::IpNet;
use ravelin_ike::config::{Choice, EspProposal, IdKind, Identity, IkeProposal, Reason, Selector};
use ravelin_ike::event::IkeSuite;
use ravelin_ike::want::EspSuite;
use ravelin_pki::x509::Name;

use super::reverse::subnets;
use crate::config::plan::write_upper;

/// Octets that most of what is told of a tunnel fit into.
const MOST: usize = 48;

/// Something in words. Operators read of tens of thousands of tunnels at once, and the loop has other things to do: it
/// asks for memory once, not as often as the words grow.
pub fn text(told: impl Display) -> String {
    let mut text = String::with_capacity(MOST);
    // A string takes whatever is written.
    let _ = write!(text, "{told}");
    text
}

/// Which of our certificates was shown, and why.
pub fn own_certificate(profile: &str, choice: Choice) -> String {
    let why = match choice.reason {
        Reason::NotAsked => "the peer asked for no authority",
        Reason::Requested => "the peer asked for an authority above it",
        Reason::NothingFits => "the first, since no authority that the peer asked for is above any",
    };
    text(format_args!("{profile}, entry {}: {why}", choice.entry + 1))
}

/// Those of one side, as they were written.
pub fn configured(selectors: &[Selector]) -> String {
    text(Listed(selectors))
}

/// What both sides agreed on, as a pair is written.
pub fn negotiated(local: &[Selector], remote: &[Selector]) -> String {
    text(format_args!("{} === {}", Listed(local), Listed(remote)))
}

/// One; a range that is a prefix is written as one.
pub fn selector(selector: &Selector) -> String {
    text(Told(selector))
}

/// Several, commas between them.
struct Listed<'a>(&'a [Selector]);

impl Display for Listed<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        for (index, selector) in self.0.iter().enumerate() {
            out.write_str(if index == 0 { "" } else { "," })?;
            write!(out, "{}", Told(selector))?;
        }
        Ok(())
    }
}

/// A selector in the words of the configuration.
struct Told<'a>(&'a Selector);

impl Display for Told<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let Selector { start, end, protocol, start_port, end_port } = *self.0;
        match prefix(start, end) {
            Some(prefix) => write!(out, "{prefix}")?,
            None => write!(out, "{start}-{end}")?,
        }
        write_upper(out, protocol, start_port, end_port)
    }
}

fn prefix(start: IpAddr, end: IpAddr) -> Option<IpNet> {
    let mut parts = subnets(start, end)?;
    let first = parts.next()?;
    parts.next().is_none().then_some(first)
}

/// The algorithms of an IKE SA as an operator would configure them.
pub fn ike_suite(suite: &IkeSuite) -> String {
    let IkeSuite { encryption, integrity, prf, group, additional } = *suite;
    let proposal = IkeProposal {
        encryption: vec![encryption],
        integrity: integrity.into_iter().collect(),
        prf: vec![prf],
        groups: vec![group],
        additional,
    };
    proposal.to_string()
}

/// Those of a CHILD SA.
pub fn esp_suite(suite: &EspSuite) -> String {
    let EspSuite { encryption, integrity, group, additional, extended_sequence } = *suite;
    let proposal = EspProposal {
        encryption: vec![encryption],
        integrity: integrity.into_iter().collect(),
        groups: group.into_iter().collect(),
        additional,
        extended_sequence: vec![extended_sequence],
    };
    proposal.to_string()
}

/// Characters of a distinguished name that are written out: a peer may claim anything.
const WRITTEN: usize = 256;

/// Who a peer says it is; a distinguished name as RFC 4514 has it, its most specific part first.
pub fn identity(identity: &Identity) -> String {
    let name = match identity.kind {
        IdKind::DistinguishedName => Name::from_der(&identity.data).ok(),
        _ => None,
    };
    name.map_or_else(|| identity.to_string(), |name| name.to_string().chars().take(WRITTEN).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nobody reads DER: a subject is told as it is written, and what is none in hexadecimal digits.
    #[test]
    fn distinguished_names_are_told_as_they_are_written() {
        let subject = |text: &str| Name::from_text(text).unwrap().der().to_vec();
        let told = |data: Vec<u8>| identity(&Identity { kind: IdKind::DistinguishedName, data });
        assert_eq!(told(subject("CN=gw, O=Acme, C=CH")), "CN=gw,O=Acme,C=CH");
        assert_eq!(told(subject(&format!("CN={}", "x".repeat(500)))).len(), WRITTEN);
        assert_eq!(told(vec![0x30, 0x01]), "DistinguishedName:3001");
        assert_eq!(identity(&Identity::fqdn("gw.example")), "gw.example");
    }

    /// What an operator wrote comes back in the same words, whatever the peer made of it in others.
    #[test]
    fn selectors_are_told_as_they_are_written() {
        let range =
            |start: &str, end: &str| Selector::addresses(start.parse().unwrap(), end.parse().unwrap());
        let told = negotiated(
            &[range("10.2.0.0", "10.2.0.255").with_ports(17, 100, 100), range("10.2.1.1", "10.2.1.1")],
            &[range("fd00::", "fd00::ffff"), range("10.1.0.0", "10.1.0.2").with_ports(6, 80, 443)],
        );
        assert_eq!(told, "10.2.0.0/24 udp/100,10.2.1.1/32 === fd00::/112,10.1.0.0-10.1.0.2 tcp/80-443");
        assert_eq!(negotiated(&[range("0.0.0.0", "255.255.255.255")], &[]), "0.0.0.0/0 === ");
        let opaque = range("10.0.0.0", "10.0.0.255").with_ports(17, u16::MAX, 0);
        assert_eq!(selector(&opaque), "10.0.0.0/24 udp/opaque");
    }
}
