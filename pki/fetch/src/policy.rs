//! What may be fetched from where: schemes, addresses, redirects. Pure.
//!
//! A certificate is written by others, and so is the URL in it: fetched blindly, it makes the gateway knock at doors
//! inside its own network (server-side request forgery). So an address that a certificate leads to is judged after its
//! name was resolved, and the connection goes to the very address that was judged. Ranges are those of IANA's special-purpose
//! registries (RFC 6890 and its updates); the operator opens some again by `allow`. URLs that the operator configured
//! may go anywhere a connection can.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::url::{Scheme, Url};

/// Redirects followed at most: a CRL moves once, behind it a scheme or a cache may lead on.
pub const REDIRECTS: u8 = 3;

/// Who wrote the URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Origin {
    /// The operator, in the configuration or on the command line.
    Configured,
    /// A certificate or a server's redirect.
    Foreign,
    /// A peer that has proven nothing (RFC 7296 §3.6, §5): HTTP alone, to where certificates may lead, in a share of its
    /// own of what is done at once. Nothing of it is kept.
    Stranger,
}

/// What the operator lets URLs of certificates do.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Schemes that are spoken at all.
    pub schemes: BTreeSet<Scheme>,
    /// Networks that foreign URLs may lead to though they are private or special.
    pub allow: Vec<IpNet>,
    /// The directory below which `file` URLs are read; without it none is.
    pub files: Option<PathBuf>,
}

impl Default for Policy {
    /// Every scheme, public addresses alone, no files.
    fn default() -> Self {
        use Scheme::{Ftp, Http, Https, Ldap, Ldaps, Tftp};
        Self { schemes: [Http, Https, Ldap, Ldaps, Ftp, Tftp].into(), allow: Vec::new(), files: None }
    }
}

/// Why an address is not asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Range {
    /// RFC 1918, 4193, 6598.
    #[error("a private network")]
    Private,
    /// This machine.
    #[error("this machine itself")]
    Loopback,
    /// RFC 3927, 4291 §2.5.6.
    #[error("the local link")]
    LinkLocal,
    /// No single host.
    #[error("a group of hosts")]
    Multicast,
    /// Documentation, benchmarks, reserved, transition mechanisms.
    #[error("reserved for other things")]
    Reserved,
}

/// Why a redirect is not followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RedirectProblem {
    /// From HTTP to something else, or out of TLS.
    #[error("it leads to another scheme")]
    Scheme,
    /// One more than [`REDIRECTS`].
    #[error("it is one more than the {REDIRECTS} that are followed")]
    Count,
}

impl Policy {
    /// Whether a scheme is spoken.
    #[must_use]
    pub fn permits_scheme(&self, origin: Origin, scheme: Scheme) -> bool {
        let spoken = self.schemes.contains(&scheme) || scheme == Scheme::File && self.files.is_some();
        spoken && (origin != Origin::Stranger || scheme == Scheme::Http)
    }

    /// Whether an address may be asked.
    ///
    /// # Errors
    /// The range it lies in, when it may not.
    pub fn permits_address(&self, origin: Origin, address: IpAddr) -> Result<(), Range> {
        let Some(range) = range_of(address) else { return Ok(()) };
        let opened = match origin {
            Origin::Configured => range != Range::Multicast,
            Origin::Foreign | Origin::Stranger => {
                self.allow.iter().any(|network| network.contains(&plain(address)))
            }
        };
        if opened { Ok(()) } else { Err(range) }
    }
}

/// Whether a redirect may be followed: the same scheme, or from HTTP up to HTTPS.
///
/// # Errors
/// Why not.
pub fn permits_redirect(from: &Url, to: &Url, followed: u8) -> Result<(), RedirectProblem> {
    let climbs = from.scheme == Scheme::Http && to.scheme == Scheme::Https;
    if from.scheme != to.scheme && !climbs {
        Err(RedirectProblem::Scheme)
    } else if followed >= REDIRECTS {
        Err(RedirectProblem::Count)
    } else {
        Ok(())
    }
}

/// Whose word the target of a redirect is: a server that the operator named may move a file on itself.
#[must_use]
pub fn redirect_origin(origin: Origin, from: &Url, to: &Url) -> Origin {
    let same_host = from.server.as_ref().map(|s| &s.host) == to.server.as_ref().map(|s| &s.host);
    if same_host || origin == Origin::Stranger { origin } else { Origin::Foreign }
}

/// The special range an address lies in, `None` for a public one.
#[must_use]
pub fn range_of(address: IpAddr) -> Option<Range> {
    match plain(address) {
        IpAddr::V4(address) => range_of_v4(address),
        IpAddr::V6(address) => range_of_v6(address),
    }
}

/// An IPv4 address in IPv6's clothes (mapped, NAT64 RFC 6052, 6to4 RFC 3056) as what it reaches.
fn plain(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    let embedded = match v6.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some((high, low)),
        [0x2002, high, low, ..] => Some((high, low)),
        _ => None,
    };
    embedded.map_or(address, |(high, low)| Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)).into())
}

fn range_of_v4(address: Ipv4Addr) -> Option<Range> {
    const RESERVED: [([u8; 4], u8); 8] = [
        ([0, 0, 0, 0], 8),
        ([192, 0, 0, 0], 24),
        ([192, 0, 2, 0], 24),
        ([192, 88, 99, 0], 24),
        ([198, 18, 0, 0], 15),
        ([198, 51, 100, 0], 24),
        ([203, 0, 113, 0], 24),
        ([240, 0, 0, 0], 4),
    ];
    let lies_in = |octets: [u8; 4], prefix| Ipv4Net::new_assert(octets.into(), prefix).contains(&address);
    if address.is_loopback() {
        Some(Range::Loopback)
    } else if address.is_private() || lies_in([100, 64, 0, 0], 10) {
        Some(Range::Private)
    } else if address.is_link_local() {
        Some(Range::LinkLocal)
    } else if address.is_multicast() {
        Some(Range::Multicast)
    } else {
        RESERVED.iter().any(|&(octets, prefix)| lies_in(octets, prefix)).then_some(Range::Reserved)
    }
}

/// Only 2000::/3 is given out to hosts; within it some parts are not.
fn range_of_v6(address: Ipv6Addr) -> Option<Range> {
    const RESERVED: [([u16; 8], u8); 3] = [
        ([0x2001, 0, 0, 0, 0, 0, 0, 0], 23),
        ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32),
        ([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20),
    ];
    let lies_in =
        |segments: [u16; 8], prefix| Ipv6Net::new_assert(segments.into(), prefix).contains(&address);
    if address.is_loopback() {
        Some(Range::Loopback)
    } else if address.is_unique_local() {
        Some(Range::Private)
    } else if address.is_unicast_link_local() {
        Some(Range::LinkLocal)
    } else if address.is_multicast() {
        Some(Range::Multicast)
    } else if !lies_in([0x2000, 0, 0, 0, 0, 0, 0, 0], 3) {
        Some(Range::Reserved)
    } else {
        RESERVED.iter().any(|&(segments, prefix)| lies_in(segments, prefix)).then_some(Range::Reserved)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// First and last of each range, and the public neighbours outside.
    #[test]
    fn ranges_end_where_the_registries_say() {
        for inside in [
            "0.0.0.0",
            "10.0.0.0",
            "10.255.255.255",
            "100.64.0.0",
            "100.127.255.255",
            "127.0.0.1",
            "169.254.169.254",
            "172.16.0.0",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.2.1",
            "192.168.255.255",
            "198.18.0.0",
            "198.19.255.255",
            "203.0.113.9",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "64:ff9b::10.0.0.1",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:a00:1::1",
            "fc00::1",
            "fdff::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "3fff::1",
            "5f00::1",
        ] {
            assert!(range_of(address(inside)).is_some(), "{inside}");
        }
        for outside in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2001:200::1",
            "2606:4700::1111",
            "::ffff:1.1.1.1",
            "64:ff9b::1.1.1.1",
        ] {
            assert_eq!(range_of(address(outside)), None, "{outside}");
        }
    }

    /// What the operator allows is open to certificates, and nothing beside it; a configured URL needs no leave.
    #[test]
    fn allow_opens_what_it_names() {
        let policy = Policy { allow: vec!["10.1.0.0/16".parse().unwrap()], ..Policy::default() };
        let foreign = |text| policy.permits_address(Origin::Foreign, address(text));
        assert_eq!(foreign("10.1.255.255"), Ok(()));
        assert_eq!(foreign("::ffff:10.1.0.1"), Ok(()), "the same host in IPv6's clothes");
        assert_eq!(foreign("10.2.0.0"), Err(Range::Private));
        assert_eq!(foreign("127.0.0.1"), Err(Range::Loopback));
        let stranger = |text| policy.permits_address(Origin::Stranger, address(text));
        assert_eq!((stranger("10.1.0.1"), stranger("10.2.0.1")), (Ok(()), Err(Range::Private)));
        assert_eq!(policy.permits_address(Origin::Configured, address("127.0.0.1")), Ok(()));
        assert_eq!(policy.permits_address(Origin::Configured, address("224.0.0.1")), Err(Range::Multicast));
    }

    /// Redirects go up to TLS and never down, nor out of HTTP.
    #[test]
    fn redirects_do_not_descend() {
        let url = |text| Url::parse(text).unwrap();
        let (http, https, ldap) = (url("http://a/"), url("https://a/"), url("ldap://a/"));
        assert_eq!(permits_redirect(&http, &https, 0), Ok(()));
        assert_eq!(permits_redirect(&http, &http, REDIRECTS - 1), Ok(()));
        assert_eq!(permits_redirect(&http, &http, REDIRECTS), Err(RedirectProblem::Count));
        assert_eq!(permits_redirect(&https, &http, 0), Err(RedirectProblem::Scheme));
        assert_eq!(permits_redirect(&http, &ldap, 0), Err(RedirectProblem::Scheme));
        assert_eq!(permits_redirect(&http, &url("file:///etc/passwd"), 0), Err(RedirectProblem::Scheme));
        assert_eq!(redirect_origin(Origin::Configured, &http, &https), Origin::Configured);
        assert_eq!(redirect_origin(Origin::Configured, &http, &url("http://b/")), Origin::Foreign);
        assert_eq!(redirect_origin(Origin::Stranger, &http, &url("http://b/")), Origin::Stranger);
    }

    /// Whoever has proven nothing is spoken HTTP for, where that is spoken at all.
    #[test]
    fn a_stranger_has_http_alone() {
        let usual = Policy { files: Some("/".into()), ..Policy::default() };
        let spoken = |policy: &Policy, origin| {
            let all = [
                Scheme::Http,
                Scheme::Https,
                Scheme::Ldap,
                Scheme::Ldaps,
                Scheme::Ftp,
                Scheme::Tftp,
                Scheme::File,
            ];
            all.into_iter().filter(|scheme| policy.permits_scheme(origin, *scheme)).collect::<Vec<_>>()
        };
        assert_eq!(spoken(&usual, Origin::Stranger), [Scheme::Http]);
        assert_eq!(spoken(&usual, Origin::Foreign).len(), 7);
        let without = Policy { schemes: [Scheme::Ldap].into(), ..Policy::default() };
        assert_eq!(spoken(&without, Origin::Stranger), []);
    }

    proptest! {
        /// An IPv4 address is judged alike however it is written.
        #[test]
        fn clothes_do_not_matter(bits: u32) {
            let v4 = Ipv4Addr::from_bits(bits);
            let mapped = v4.to_ipv6_mapped();
            prop_assert_eq!(range_of(v4.into()), range_of(mapped.into()));
        }
    }
}
