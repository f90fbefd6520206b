//! Name constraints (RFC 5280 §4.2.1.10, §6.1.3 (b) and (c), §6.1.4 (g)).
//!
//! Constraints are not merged into one set, which would need subtree arithmetic for every form: each CA's permitted
//! list is kept and a name must be inside one subtree of each list that has its form. A form that cannot be judged
//! (otherName, x400Address, ediPartyName, registeredID), or a name of a shape a constraint cannot be applied to, is
//! refused as soon as a constraint of that form exists.

use super::error::Cause;
use crate::x509::{Certificate, GeneralName, NameConstraints};

/// The constraints gathered from the anchor down to here.
pub(super) struct NameState<'a> {
    above: Vec<&'a NameConstraints>,
}

/// How a name stands to a subtree.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Relation {
    Inside,
    Outside,
    Unjudgeable,
}

impl From<bool> for Relation {
    fn from(inside: bool) -> Self {
        if inside { Self::Inside } else { Self::Outside }
    }
}

impl<'a> NameState<'a> {
    /// The state below an anchor, whose own constraints bind (RFC 5937 §3.2).
    pub(super) fn below(anchor: &'a Certificate) -> Self {
        let mut state = Self { above: Vec::new() };
        state.descend(anchor);
        state
    }

    /// Adds the constraints of a CA in the path.
    pub(super) fn descend(&mut self, certificate: &'a Certificate) {
        self.above.extend(&certificate.extensions.name_constraints);
    }

    /// Holds every name of a certificate against every constraint; `compare` pays for each comparison.
    pub(super) fn check(
        &self,
        certificate: &Certificate,
        compare: &mut impl FnMut() -> Result<(), Cause>,
    ) -> Result<(), Cause> {
        if self.above.is_empty() {
            return Ok(());
        }
        for name in names_of(certificate) {
            for constraints in &self.above {
                not_excluded(&name, constraints, compare)?;
                permitted(&name, constraints, compare)?;
            }
        }
        Ok(())
    }
}

/// The names constraints apply to: the subject, the alternative names, and the e-mail addresses in the subject if no
/// alternative name is one.
fn names_of(certificate: &Certificate) -> Vec<GeneralName> {
    let mut names = certificate.extensions.subject_alt_names.clone();
    if !names.iter().any(|name| matches!(name, GeneralName::Email(_))) {
        names.extend(certificate.subject.emails().map(|email| GeneralName::Email(email.to_owned())));
    }
    if !certificate.subject.is_empty() {
        names.push(GeneralName::Directory(certificate.subject.clone()));
    }
    names
}

fn not_excluded(
    name: &GeneralName,
    constraints: &NameConstraints,
    compare: &mut impl FnMut() -> Result<(), Cause>,
) -> Result<(), Cause> {
    for subtree in constraints.excluded.iter().filter(|subtree| subtree.form() == name.form()) {
        compare()?;
        match relation(name, subtree, true) {
            Relation::Outside => {}
            Relation::Inside => {
                return Err(Cause::Excluded { name: name.to_string(), subtree: subtree.to_string() });
            }
            Relation::Unjudgeable => return Err(Cause::Unjudgeable { name: name.to_string() }),
        }
    }
    Ok(())
}

fn permitted(
    name: &GeneralName,
    constraints: &NameConstraints,
    compare: &mut impl FnMut() -> Result<(), Cause>,
) -> Result<(), Cause> {
    let mut constrained = false;
    for subtree in constraints.permitted.iter().filter(|subtree| subtree.form() == name.form()) {
        compare()?;
        match relation(name, subtree, false) {
            Relation::Inside => return Ok(()),
            Relation::Outside => constrained = true,
            Relation::Unjudgeable => return Err(Cause::Unjudgeable { name: name.to_string() }),
        }
    }
    if constrained { Err(Cause::NotPermitted { name: name.to_string() }) } else { Ok(()) }
}

/// `excluding` widens the comparison where a name stands for several (a wildcard).
fn relation(name: &GeneralName, subtree: &GeneralName, excluding: bool) -> Relation {
    match (name, subtree) {
        (GeneralName::Dns(name), GeneralName::Dns(base)) => dns(name, base, excluding),
        (GeneralName::Email(name), GeneralName::Email(base)) => email(name, base),
        (GeneralName::Uri(name), GeneralName::Uri(base)) => uri(name, base),
        (GeneralName::Ip(address), GeneralName::Ip(network)) => ip(address, network).into(),
        (GeneralName::Directory(name), GeneralName::Directory(base)) => name.is_within(base).into(),
        _ => Relation::Unjudgeable,
    }
}

/// "Any DNS name that can be constructed by simply adding zero or more labels to the left-hand side of the name
/// satisfies the name constraint." A leading dot, which RFC 5280 does not have here but CAs write, asks for one label
/// at least.
fn dns(name: &str, base: &str, excluding: bool) -> Relation {
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.is_empty() {
        return Relation::Unjudgeable;
    }
    let stands_for = name.strip_prefix("*.").filter(|_| excluding);
    let could_be = stands_for.is_some_and(|parent| host_within(base.trim_start_matches('.'), parent));
    (host_within(name, base) || could_be).into()
}

/// Whether `host` is `base` or below it; with a leading dot in `base`, only below it.
fn host_within(host: &str, base: &str) -> bool {
    if base.is_empty() {
        return true;
    }
    let Some(split) = host.len().checked_sub(base.len()) else { return false };
    let (Some(head), Some(tail)) = (host.get(..split), host.get(split..)) else { return false };
    tail.eq_ignore_ascii_case(base)
        && if base.starts_with('.') { !head.is_empty() } else { head.is_empty() || head.ends_with('.') }
}

/// A mailbox, all mailboxes of a host, or (leading dot) all mailboxes of the hosts of a domain. The local part is
/// compared exactly, the host without regard to case (RFC 5280 §7.5).
fn email(name: &str, base: &str) -> Relation {
    let Some((local, host)) =
        name.rsplit_once('@').filter(|(local, host)| !local.is_empty() && !host.is_empty())
    else {
        return Relation::Unjudgeable;
    };
    match base.rsplit_once('@') {
        Some((base_local, base_host)) => (local == base_local && host.eq_ignore_ascii_case(base_host)).into(),
        None => host_or_domain(host, base),
    }
}

/// "The constraint MUST be specified as a fully qualified domain name and MAY specify a host or a domain." Names
/// whose host is an address or missing cannot satisfy or violate it: the certificate is refused.
fn uri(name: &str, base: &str) -> Relation {
    let Some((_, rest)) = name.split_once("://") else { return Relation::Unjudgeable };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host_and_port = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let host = host_and_port.split(':').next().unwrap_or_default();
    let host = host.strip_suffix('.').unwrap_or(host);
    if host.is_empty() || host.starts_with('[') || host.parse::<std::net::Ipv4Addr>().is_ok() {
        return Relation::Unjudgeable;
    }
    host_or_domain(host, base)
}

/// The host itself, or (leading dot) any host below the domain. An empty base is every host.
fn host_or_domain(host: &str, base: &str) -> Relation {
    if base.is_empty() || base.starts_with('.') {
        host_within(host, base).into()
    } else {
        host.eq_ignore_ascii_case(base).into()
    }
}

/// An address of the other family is outside.
fn ip(address: &[u8], network: &[u8]) -> bool {
    if network.len() != address.len().saturating_mul(2) {
        return false;
    }
    let (base, mask) = network.split_at(address.len());
    address.iter().zip(base).zip(mask).all(|((address, base), mask)| address & mask == base & mask)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inside(relation: Relation) -> bool {
        relation == Relation::Inside
    }

    #[test]
    fn dns_names_grow_to_the_left() {
        for (name, base) in [
            ("host.example.com", "host.example.com"),
            ("www.host.example.com", "host.example.com"),
            ("A.EXAMPLE", "example"),
            ("a.example.", "example"),
            ("a.example", ".example"),
            ("a", ""),
        ] {
            assert!(inside(dns(name, base, false)), "{name} {base}");
        }
        for (name, base) in [
            ("host1.example.com", "host.example.com"),
            ("badexample", "example"),
            ("example", ".example"),
            ("example", "a.example"),
            ("com", "example.com"),
        ] {
            assert!(!inside(dns(name, base, false)), "{name} {base}");
        }
    }

    #[test]
    fn a_wildcard_is_excluded_if_any_name_it_stands_for_is() {
        assert!(inside(dns("*.example", "secret.example", true)));
        assert!(!inside(dns("*.example", "secret.example", false)));
        assert!(inside(dns("*.example", "example", false)));
        assert!(!inside(dns("*.example", "other", true)));
    }

    #[test]
    fn mailboxes_hosts_and_domains() {
        for (name, base) in [
            ("op@gw.example", "op@GW.example"),
            ("op@gw.example", "gw.example"),
            ("op@gw.example", ".example"),
            ("op@gw.example", ""),
        ] {
            assert!(inside(email(name, base)), "{name} {base}");
        }
        for (name, base) in
            [("op@gw.example", "OP@gw.example"), ("op@gw.example", "example"), ("op@example", ".example")]
        {
            assert!(email(name, base) == Relation::Outside, "{name} {base}");
        }
        assert!(email("nobody", "example") == Relation::Unjudgeable);
    }

    #[test]
    fn only_the_host_of_a_uri_counts() {
        for (name, base) in
            [("https://user@gw.example:8443/.other", "gw.example"), ("ldap://a.gw.example?x", ".gw.example")]
        {
            assert!(inside(uri(name, base)), "{name} {base}");
        }
        assert!(uri("https://a.gw.example/", "gw.example") == Relation::Outside);
        for name in ["urn:x", "https:///x", "https://192.0.2.1/", "https://[::1]/", "mailto:a@gw.example"] {
            assert!(uri(name, "gw.example") == Relation::Unjudgeable, "{name}");
        }
    }

    #[test]
    fn addresses_are_compared_under_the_mask_within_their_family() {
        assert!(ip(&[10, 1, 2, 3], &[10, 0, 0, 0, 255, 0, 0, 0]));
        assert!(!ip(&[11, 1, 2, 3], &[10, 0, 0, 0, 255, 0, 0, 0]));
        assert!(!ip(&[0; 16], &[0; 8]));
        assert!(ip(&[0; 16], &[0; 32]));
    }
}
