//! URLs as certificates and configurations write them (RFC 3986), read strictly.
//!
//! What is not plainly a URL is refused, not mended: two readers of one odd spelling that disagree about its host are
//! how checks are passed by. Hence no spaces, no backslashes, no bare or shortened numbers for an address
//! (`2130706433`, `127.1`), no fragment, no user in a scheme that has none. Whether a URL may be *fetched* is
//! [`crate::policy`]'s to say; what its path means is the scheme's.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use percent_encoding::percent_decode_str;

/// Longest URL read: those in certificates are mostly under 200 octets; an OCSP request in a GET takes 255 more.
pub const LONGEST: usize = 2048;

/// How the bytes are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scheme {
    /// A file of this machine, below a configured directory.
    File,
    /// HTTP/1.1 (RFC 9112).
    Http,
    /// HTTP/1.1 over TLS.
    Https,
    /// LDAPv3 (RFC 4511, 4516).
    Ldap,
    /// LDAPv3 over TLS from the first octet.
    Ldaps,
    /// FTP (RFC 959, 2428).
    Ftp,
    /// TFTP (RFC 1350, 2348).
    Tftp,
}

impl Scheme {
    const ALL: [(&str, Self, u16); 7] = [
        ("file", Self::File, 0),
        ("http", Self::Http, 80),
        ("https", Self::Https, 443),
        ("ldap", Self::Ldap, 389),
        ("ldaps", Self::Ldaps, 636),
        ("ftp", Self::Ftp, 21),
        ("tftp", Self::Tftp, 69),
    ];

    fn of(text: &str) -> Option<Self> {
        Self::ALL.iter().find(|(name, ..)| text.eq_ignore_ascii_case(name)).map(|&(_, scheme, _)| scheme)
    }

    fn row(self) -> (&'static str, u16) {
        Self::ALL.iter().find(|row| row.1 == self).map_or(("", 0), |row| (row.0, row.2))
    }

    /// As it is written before the colon.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().0
    }

    /// Whether the connection is TLS.
    #[must_use]
    pub fn is_tls(self) -> bool {
        matches!(self, Self::Https | Self::Ldaps)
    }

    /// Whether a URL may name a user: HTTP's and LDAP's may not (RFC 9110 §4.2.4, RFC 4516 §2).
    fn has_user(self) -> bool {
        self == Self::Ftp
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Whom to ask.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Host {
    /// A name that is still to be resolved.
    Name(String),
    /// An address as it is written.
    Address(IpAddr),
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(IpAddr::V4(address)) => address.fmt(f),
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

/// A user and password. Neither is ever shown.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Credentials {
    /// The user's name; for LDAP the distinguished name to bind as.
    pub user: String,
    /// The password; may be empty.
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(..)")
    }
}

/// A server and its port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Server {
    /// Its name or address.
    pub host: Host,
    /// Its port; the scheme's where the URL names none.
    pub port: u16,
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// A URL of a scheme we know, taken apart.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Url {
    /// How.
    pub scheme: Scheme,
    /// Whom; absent exactly in [`Scheme::File`].
    pub server: Option<Server>,
    /// As whom, where the URL says so.
    pub user: Option<Credentials>,
    /// From the slash on, still percent-encoded; never empty.
    path: String,
    /// After the question mark, still percent-encoded.
    query: Option<String>,
}

/// Why a text is no URL that we read. Whoever wrote the certificate or the configuration is at fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlProblem {
    /// Longer than [`LONGEST`].
    #[error("it has {0} octets, more than the {LONGEST} that are read")]
    Long(usize),
    /// An octet that no URL has (RFC 3986 §2).
    #[error("octet {at} (0x{octet:02x}) is none that a URL may have; percent-encode it")]
    Octet {
        /// Its place, from zero.
        at: usize,
        /// Its value.
        octet: u8,
    },
    /// A percent sign without two hexadecimal digits.
    #[error("the percent sign at octet {0} is not followed by two hexadecimal digits")]
    Percent(usize),
    /// No scheme, or one that nothing here speaks.
    #[error("its scheme is none of file, http, https, ldap, ldaps, ftp, tftp")]
    Scheme,
    /// Not of the form `scheme://`.
    #[error("no // follows its scheme")]
    Slashes,
    /// A fragment: it says nothing to a server.
    #[error("it has a fragment (#)")]
    Fragment,
    /// A user where the scheme has none.
    #[error("it names a user, which {0} URLs do not")]
    User(Scheme),
    /// The host is missing or is none.
    #[error("its host is missing, or neither a name nor an address")]
    Host,
    /// The port is none.
    #[error("its port is not a number from 1 to 65535")]
    Port,
    /// The decoded path or user holds what its protocol cannot carry.
    #[error("it holds, percent-encoded, control characters or what is not UTF-8")]
    Control,
}

impl Url {
    /// Reads a URL.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, UrlProblem> {
        check_octets(text)?;
        let (scheme, rest) = text.split_once(':').ok_or(UrlProblem::Scheme)?;
        let scheme = Scheme::of(scheme).ok_or(UrlProblem::Scheme)?;
        let rest = rest.strip_prefix("//").ok_or(UrlProblem::Slashes)?;
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at(end);
        let (path, query) = match rest.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (rest, None),
        };
        let path = if path.is_empty() { "/" } else { path }.to_owned();
        if scheme == Scheme::File {
            // RFC 8089 §2: an empty authority or localhost is this machine.
            let here = authority.is_empty() || authority.eq_ignore_ascii_case("localhost");
            let url = Self { scheme, server: None, user: None, path, query };
            return if here { Ok(url) } else { Err(UrlProblem::Host) };
        }
        let (user, server) = split_authority(scheme, authority)?;
        Ok(Self { scheme, server: Some(server), user, path, query })
    }

    /// The path with its query, still encoded, as an HTTP request carries it.
    #[must_use]
    pub fn path_and_query(&self) -> String {
        match &self.query {
            Some(query) => format!("{}?{query}", self.path),
            None => self.path.clone(),
        }
    }

    /// What follows the question mark, still encoded.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }

    /// The path, decoded, with its leading slash.
    ///
    /// # Errors
    /// When it holds control characters or what is not UTF-8.
    pub fn decoded_path(&self) -> Result<String, UrlProblem> {
        decode(&self.path)
    }

    /// The URL that `reference` means on a page of this one (RFC 3986 §4.2, without dot segments).
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn join(&self, reference: &str) -> Result<Self, UrlProblem> {
        let is_absolute = reference
            .split_once(':')
            .is_some_and(|(scheme, _)| !scheme.is_empty() && !scheme.contains(['/', '?', '#']));
        if is_absolute {
            return Self::parse(reference);
        }
        let authority = self.server.as_ref().map(ToString::to_string).unwrap_or_default();
        let base = format!("{}://{authority}", self.scheme);
        if let Some(rest) = reference.strip_prefix("//") {
            Self::parse(&format!("{}://{rest}", self.scheme))
        } else if reference.starts_with('/') {
            Self::parse(&format!("{base}{reference}"))
        } else if reference.starts_with('?') {
            Self::parse(&format!("{base}{}{reference}", self.path))
        } else {
            let folder = self.path.rfind('/').map_or("/", |slash| self.path.get(..=slash).unwrap_or("/"));
            Self::parse(&format!("{base}{folder}{reference}"))
        }
    }
}

/// The password does not show, nor the user.
impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://", self.scheme)?;
        if self.user.is_some() {
            f.write_str("..@")?;
        }
        if let Some(server) = &self.server {
            if server.port == self.scheme.row().1 { server.host.fmt(f)? } else { server.fmt(f)? }
        }
        f.write_str(&self.path_and_query())
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Url({self})")
    }
}

/// Percent-decodes what goes into a line of a protocol.
///
/// # Errors
/// When it holds control characters, which would end the line, or what is not UTF-8.
pub fn decode(text: &str) -> Result<String, UrlProblem> {
    let decoded = percent_decode_str(text).decode_utf8().map_err(|_| UrlProblem::Control)?;
    if decoded.chars().any(char::is_control) { Err(UrlProblem::Control) } else { Ok(decoded.into_owned()) }
}

fn check_octets(text: &str) -> Result<(), UrlProblem> {
    if text.len() > LONGEST {
        return Err(UrlProblem::Long(text.len()));
    }
    let bytes = text.as_bytes();
    for (at, &octet) in bytes.iter().enumerate() {
        match octet {
            b'#' => return Err(UrlProblem::Fragment),
            b'%' if !bytes.get(at + 1..at + 3).is_some_and(|two| two.iter().all(u8::is_ascii_hexdigit)) => {
                return Err(UrlProblem::Percent(at));
            }
            b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' => {
                return Err(UrlProblem::Octet { at, octet });
            }
            0x21..=0x7e => {}
            _ => return Err(UrlProblem::Octet { at, octet }),
        }
    }
    Ok(())
}

fn split_authority(scheme: Scheme, authority: &str) -> Result<(Option<Credentials>, Server), UrlProblem> {
    let (user, place) = match authority.rsplit_once('@') {
        Some(_) if !scheme.has_user() => return Err(UrlProblem::User(scheme)),
        Some((user, place)) => (Some(credentials(user)?), place),
        None => (None, authority),
    };
    let (host, port) = split_port(place)?;
    let port = match port {
        None | Some("") => scheme.row().1,
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            digits.parse().ok().filter(|&port| port != 0).ok_or(UrlProblem::Port)?
        }
        Some(_) => return Err(UrlProblem::Port),
    };
    Ok((user, Server { host, port }))
}

fn credentials(text: &str) -> Result<Credentials, UrlProblem> {
    let (user, password) = text.split_once(':').unwrap_or((text, ""));
    Ok(Credentials { user: decode(user)?, password: decode(password)? })
}

fn split_port(place: &str) -> Result<(Host, Option<&str>), UrlProblem> {
    if let Some(rest) = place.strip_prefix('[') {
        let (address, rest) = rest.split_once(']').ok_or(UrlProblem::Host)?;
        let address: Ipv6Addr = address.parse().map_err(|_| UrlProblem::Host)?;
        let port = if rest.is_empty() { None } else { Some(rest.strip_prefix(':').ok_or(UrlProblem::Host)?) };
        return Ok((Host::Address(address.into()), port));
    }
    let (host, port) = match place.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (place, None),
    };
    Ok((host_of(host)?, port))
}

/// A dotted quad, or a name of letters, digits, hyphens, underscores and dots whose last label is not a number.
fn host_of(text: &str) -> Result<Host, UrlProblem> {
    if let Ok(address) = text.parse() {
        return Ok(Host::Address(IpAddr::V4(address)));
    }
    let is_name = text.len() <= 253
        && text.strip_suffix('.').unwrap_or(text).split('.').all(is_label)
        && !looks_like_number(text.trim_end_matches('.').rsplit('.').next().unwrap_or(""));
    if is_name { Ok(Host::Name(text.to_ascii_lowercase())) } else { Err(UrlProblem::Host) }
}

fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

/// What resolvers take for a part of an address: decimal, octal or hexadecimal.
fn looks_like_number(label: &str) -> bool {
    let hexadecimal = label.strip_prefix("0x").or_else(|| label.strip_prefix("0X"));
    label.bytes().all(|byte| byte.is_ascii_digit())
        || hexadecimal.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The parts of URLs as they stand in certificates.
    #[test]
    fn reads_what_certificates_hold() {
        let url = Url::parse("http://crl.example.com/ca/root.crl").unwrap();
        assert_eq!(url.server.as_ref().unwrap().to_string(), "crl.example.com:80");
        assert_eq!(url.path_and_query(), "/ca/root.crl");
        let url =
            Url::parse("LDAP://[2001:db8::1]:3890/cn=Some%20CA?certificateRevocationList;binary").unwrap();
        assert_eq!(url.scheme, Scheme::Ldap);
        assert_eq!(url.server.as_ref().unwrap().to_string(), "[2001:db8::1]:3890");
        assert_eq!(url.decoded_path().unwrap(), "/cn=Some CA");
        assert_eq!(url.query(), Some("certificateRevocationList;binary"));
        let url = Url::parse("ftp://user:p%40ss@host/a").unwrap();
        assert_eq!(url.user.as_ref().unwrap().password, "p@ss");
        assert_eq!(url.to_string(), "ftp://..@host/a", "no password is shown");
        assert_eq!(Url::parse("file:///a/b").unwrap().decoded_path().unwrap(), "/a/b");
        assert_eq!(Url::parse("http://host").unwrap().path_and_query(), "/");
    }

    /// Spellings that two readers could take for different hosts, and lines that would end early.
    #[test]
    fn refuses_what_is_odd() {
        for (text, problem) in [
            ("http://2130706433/", UrlProblem::Host),
            ("http://127.1/", UrlProblem::Host),
            ("http://0x7f.0x1/", UrlProblem::Host),
            ("http://a.0X7F/", UrlProblem::Host),
            ("http:///path", UrlProblem::Host),
            ("http://a..b/", UrlProblem::Host),
            ("http://[::1/", UrlProblem::Host),
            ("http://[fe80::1%25eth0]/", UrlProblem::Host),
            ("file://elsewhere/a", UrlProblem::Host),
            ("http://good@evil/", UrlProblem::User(Scheme::Http)),
            ("http://host:0/", UrlProblem::Port),
            ("http://host:65536/", UrlProblem::Port),
            ("http://host:+80/", UrlProblem::Port),
            ("http:/host", UrlProblem::Slashes),
            ("gopher://host/", UrlProblem::Scheme),
            ("//host/", UrlProblem::Scheme),
            ("http://host/#a", UrlProblem::Fragment),
            ("http://host/%zz", UrlProblem::Percent(12)),
            ("http://host\\@evil/", UrlProblem::Octet { at: 11, octet: b'\\' }),
            ("http://host/a b", UrlProblem::Octet { at: 13, octet: b' ' }),
            ("ftp://a%0d%0ab@host/", UrlProblem::Control),
        ] {
            assert_eq!(Url::parse(text), Err(problem), "{text}");
        }
        assert_eq!(Url::parse("tftp://host/a%0ab").unwrap().decoded_path(), Err(UrlProblem::Control));
        assert_eq!(Url::parse(&format!("http://h/{}", "a".repeat(LONGEST - 9))).map(drop), Ok(()));
        assert_eq!(
            Url::parse(&format!("http://h/{}", "a".repeat(LONGEST - 8))),
            Err(UrlProblem::Long(LONGEST + 1))
        );
    }

    /// Where a Location header leads.
    #[test]
    fn joins_references() {
        let base = Url::parse("https://host:8443/a/b?c").unwrap();
        for (reference, joined) in [
            ("/x", "https://host:8443/x"),
            ("x", "https://host:8443/a/x"),
            ("?x", "https://host:8443/a/b?x"),
            ("//other/x", "https://other/x"),
            ("http://other/x", "http://other/x"),
        ] {
            assert_eq!(base.join(reference).unwrap().to_string(), joined);
        }
        assert_eq!(base.join("mailto:a"), Err(UrlProblem::Scheme));
    }

    proptest! {
        /// No text makes the reader stumble, and what it shows of a URL it reads back as the same.
        #[test]
        fn shown_is_read_back(text in "(http|https|ldap|ftp|tftp)://[a-z0-9.\\[\\]:@%]{0,20}(/[ -~]{0,20})?") {
            if let Ok(url) = Url::parse(&text) && url.user.is_none() {
                prop_assert_eq!(Url::parse(&url.to_string()), Ok(url));
            }
        }

        #[test]
        fn any_text_is_survived(text in ".{0,80}") {
            let _ = Url::parse(&text);
        }
    }
}
