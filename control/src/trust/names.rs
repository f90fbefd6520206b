//! Common-name lists (PKI-43): which names a peer's certificate must have one of, besides chaining to an anchor. A gateway's
//! peers may all be of one authority, and not all that it certifies be meant.
//!
//! Names are the common names of the subject and the domain names and addresses of the subjectAltName. They are compared
//! with the certificate, not with the identity that is claimed: that is in the certificate already.

use std::net::IpAddr;

use ipnet::IpNet;
use ravelin_pki::Certificate;
use ravelin_pki::x509::GeneralName;

use super::Refusal;

/// One list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommonNames {
    name: String,
    patterns: Vec<NamePattern>,
}

/// What a list has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NamePattern {
    /// This name; upper and lower case are the same.
    Name(String),
    /// Names that end so and have something before it: `.example.org`.
    Below(String),
    /// An address of these.
    Within(IpNet),
}

impl CommonNames {
    /// The list of this name.
    pub const fn new(name: String, patterns: Vec<NamePattern>) -> Self {
        Self { name, patterns }
    }

    /// What is said to a peer that shows none: it has no name of the list.
    pub fn without_certificate(&self) -> Refusal {
        Refusal::Unlisted { list: self.name.clone(), found: "none, for it shows a public key".to_owned() }
    }

    /// Whether a peer's certificate has a name of the list.
    ///
    /// # Errors
    /// The names that it has.
    pub fn check(&self, certificate: &Certificate) -> Result<(), Refusal> {
        let is_listed = |name: &Named<'_>| self.patterns.iter().any(|pattern| pattern.accepts(name));
        if names(certificate).any(|name| is_listed(&name)) {
            return Ok(());
        }
        let found: Vec<String> = names(certificate).map(|name| name.to_string()).collect();
        Err(Refusal::Unlisted { list: self.name.clone(), found: found.join(", ") })
    }
}

impl NamePattern {
    fn accepts(&self, name: &Named<'_>) -> bool {
        match (self, name) {
            (Self::Name(wanted), Named::Text(name)) => wanted.eq_ignore_ascii_case(name),
            (Self::Below(suffix), Named::Text(name)) => {
                let cut = name.len().checked_sub(suffix.len()).filter(|cut| *cut > 0);
                cut.and_then(|cut| name.get(cut..)).is_some_and(|end| end.eq_ignore_ascii_case(suffix))
            }
            (Self::Within(net), Named::Address(address)) => net.contains(address),
            _ => false,
        }
    }
}

/// A name in a certificate.
enum Named<'c> {
    Text(&'c str),
    Address(IpAddr),
}

impl std::fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Address(address) => write!(f, "{address}"),
        }
    }
}

/// A common name that reads as an address is one.
fn names(certificate: &Certificate) -> impl Iterator<Item = Named<'_>> {
    let common = certificate.subject.common_names();
    let common = common.map(|text| text.parse().map_or(Named::Text(text), Named::Address));
    let alternative = certificate.extensions.subject_alt_names.iter().filter_map(|name| match name {
        GeneralName::Dns(text) => Some(Named::Text(text)),
        GeneralName::Ip(_) => name.ip_address().map(Named::Address),
        _ => None,
    });
    common.chain(alternative)
}

#[cfg(test)]
mod tests {
    use super::super::common::{ca, gateway, issued};
    use super::*;

    /// The common name and the subjectAltName count, by name, by domain and by prefix; nothing else does.
    #[test]
    fn a_certificate_must_have_a_name_of_the_list() {
        let named = |name: &str| issued(&gateway(name), 1, &ca("root"), 0);
        let name = |text: &str| NamePattern::Name(text.into());
        let below = |text: &str| NamePattern::Below(text.into());
        let within = |text: &str| NamePattern::Within(text.parse().unwrap());
        // Each has DNS:gw.example, too.
        for (common_name, patterns, listed) in [
            ("branch-7", vec![name("other"), name("BRANCH-7")], true),
            ("branch-7", vec![name("branch-8")], false),
            ("branch-7", vec![name("branch")], false),
            ("branch-7", vec![name("gw.example")], true),
            ("branch-7", vec![below(".example")], true),
            ("branch-7.example.org", vec![below(".EXAMPLE.org")], true),
            (".example.org", vec![below(".example.org")], false),
            ("192.0.2.7", vec![within("192.0.2.0/24")], true),
            ("192.0.2.7", vec![within("192.0.3.0/24")], false),
            ("192.0.2.7", vec![], false),
        ] {
            let list = CommonNames::new("l".into(), patterns.clone());
            let judged = list.check(&named(common_name));
            assert_eq!(judged.is_ok(), listed, "{common_name} in {patterns:?}: {judged:?}");
        }
        let refused = CommonNames::new("l".into(), vec![]).check(&named("branch-7")).unwrap_err();
        assert_eq!(refused.code(), "RV-PKI-045");
        assert!(refused.to_string().contains("\"branch-7\", \"gw.example\""), "{refused}");
    }
}
