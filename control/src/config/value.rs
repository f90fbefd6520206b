//! Single values: text to an address, a number in range, a selector, an identity. Each
//! returns what was expected when it is not that; the caller knows the line.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use ipnet::IpNet;
use ravelin_ike::config::Prefix;
use zeroize::Zeroizing;

use super::plan::{Device, Identity, PROTOCOLS, Secret, Selector};

/// What would have been right.
pub type Expected = &'static str;

/// Line, counted from 1, of the byte at `offset`.
pub fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}

/// An IP address.
pub fn address(text: &str) -> Result<IpAddr, Expected> {
    text.parse().map_err(|_| "an IPv4 or IPv6 address, like 192.0.2.1")
}

/// An interface's address with its prefix length.
pub fn interface_address(text: &str) -> Result<IpNet, Expected> {
    text.parse().map_err(|_| "an address with prefix length, like 192.0.2.1/24")
}

/// A prefix with no bits set beyond its length.
pub fn network(text: &str) -> Result<IpNet, Expected> {
    let net: IpNet = text.parse().map_err(|_| "a prefix, like 10.1.0.0/16")?;
    if net.trunc() == net { Ok(net) } else { Err("a prefix with no bits set beyond its length") }
}

/// A prefix as of [`network`], or an address: all of one host.
pub fn prefix(text: &str) -> Result<Prefix, Expected> {
    match text.parse::<IpAddr>() {
        Ok(address) => Ok(Prefix::new(address, u8::MAX)),
        Err(_) => network(text).map(|net| Prefix::new(net.network(), net.prefix_len())),
    }
}

/// `af_packet:IFACE`, `pci:ADDRESS`, `vdev:ARGUMENTS`.
pub fn device(text: &str) -> Result<Device, Expected> {
    const EXPECTED: Expected = "af_packet:INTERFACE, pci:ADDRESS or vdev:ARGUMENTS";
    match text.split_once(':') {
        Some((_, "")) | None => Err(EXPECTED),
        Some(("af_packet", name)) if name.len() < 16 => Ok(Device::AfPacket(name.to_owned())),
        Some(("pci", address)) => Ok(Device::Pci(address.to_owned())),
        Some(("vdev", arguments)) => Ok(Device::Vdev(arguments.to_owned())),
        Some(_) => Err(EXPECTED),
    }
}

/// A traffic selector: `PREFIX`, `PREFIX PROTOCOL`, `PREFIX PROTOCOL/PORT` or
/// `PREFIX PROTOCOL/FROM-TO`: ports only where the protocol has them (RFC 4301 §4.4.1.1).
pub fn selector(text: &str) -> Result<Selector, Expected> {
    const EXPECTED: Expected =
        "PREFIX, PREFIX PROTOCOL or PREFIX PROTOCOL/FROM-TO, like 10.1.0.0/16 tcp/80-443";
    let mut words = text.split_whitespace();
    let network = network(words.next().ok_or(EXPECTED)?)?;
    let (protocol, ports) = match words.next() {
        None => (0, 0..=u16::MAX),
        Some(word) => protocol_and_ports(word).ok_or(EXPECTED)?,
    };
    if words.next().is_some() {
        return Err(EXPECTED);
    }
    Ok(Selector { network, protocol, ports })
}

/// Two selectors that belong together: `LOCAL === REMOTE`.
pub fn pair(text: &str) -> Result<(Selector, Selector), Expected> {
    const EXPECTED: Expected = "SELECTOR === SELECTOR, like 10.2.0.0/24 udp/100 === 10.1.0.0/24 udp/300";
    let (local, remote) = text.split_once("===").ok_or(EXPECTED)?;
    Ok((selector(local)?, selector(remote)?))
}

fn protocol_and_ports(word: &str) -> Option<(u8, RangeInclusive<u16>)> {
    let (name, ports) = word.split_once('/').map_or((word, None), |(name, ports)| (name, Some(ports)));
    let protocol = protocol(name)?;
    let Some(ports) = ports else { return Some((protocol, 0..=u16::MAX)) };
    let has_ports = matches!(protocol, 6 | 17 | 132);
    let (from, to) = ports.split_once('-').unwrap_or((ports, ports));
    let range = from.parse().ok()?..=to.parse().ok()?;
    (has_ports && range.start() <= range.end()).then_some((protocol, range))
}

/// Protocol and ports as on the wire, `opaque` among them (RFC 4301 §4.4.1.1).
pub fn protocol_and_any_ports(word: &str) -> Option<(u8, (u16, u16))> {
    if let Some(name) = word.strip_suffix("/opaque") {
        let (protocol, _) = protocol_and_ports(&format!("{name}/0"))?;
        return Some((protocol, (u16::MAX, 0)));
    }
    let (protocol, ports) = protocol_and_ports(word)?;
    Some((protocol, (*ports.start(), *ports.end())))
}

fn protocol(name: &str) -> Option<u8> {
    let named = PROTOCOLS.iter().find(|(known, _)| *known == name);
    named.map_or_else(|| name.parse().ok(), |(_, number)| Some(*number))
}

/// An identity: an address, `user@domain`, `CN=gw, O=Acme`, `keyid:HEX`, or a domain name.
pub fn identity(text: &str) -> Result<Identity, Expected> {
    if let Ok(address) = text.parse() {
        return Ok(Identity::Address(address));
    }
    if let Some(digits) = text.strip_prefix("keyid:") {
        return hex(digits).map(|bytes| Identity::KeyId(bytes.to_vec()));
    }
    match text {
        "" => Err("an address, a domain name, user@domain, a distinguished name or keyid:HEX"),
        _ if text.contains('=') => Ok(Identity::DistinguishedName(text.to_owned())),
        _ if text.contains('@') => Ok(Identity::Email(text.to_owned())),
        _ => Ok(Identity::Fqdn(text.to_owned())),
    }
}

/// A pre-shared key: 1..=115 characters, or `0x` and hex.
pub fn psk(text: &str) -> Result<Secret, Expected> {
    const EXPECTED: Expected = "a pre-shared key of 1 to 115 characters, or 0x and hex digits";
    let bytes = match text.strip_prefix("0x") {
        Some(digits) => hex(digits)?,
        None => Zeroizing::new(text.as_bytes().to_vec()),
    };
    if (1..=115).contains(&bytes.len()) { Ok(Secret(bytes)) } else { Err(EXPECTED) }
}

/// Hex digits, colons allowed between bytes.
pub fn hex(text: &str) -> Result<Zeroizing<Vec<u8>>, Expected> {
    const EXPECTED: Expected = "an even number of hex digits";
    let digits = Zeroizing::new(text.replace(':', ""));
    let nibbles = digits.chars().map(|c| c.to_digit(16)).collect::<Option<Vec<u32>>>().map(Zeroizing::new);
    let nibbles = nibbles.ok_or(EXPECTED)?;
    if nibbles.is_empty() || nibbles.len() % 2 != 0 {
        return Err(EXPECTED);
    }
    let pair = |pair: &[u32]| pair.iter().fold(0, |byte: u8, nibble| byte << 4 | *nibble as u8);
    Ok(Zeroizing::new(nibbles.chunks(2).map(pair).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ports are accepted only where the protocol has them, and only in order.
    #[test]
    fn selectors() {
        let all = selector("10.0.0.0/8").unwrap();
        assert_eq!((all.protocol, all.ports), (0, 0..=65535));
        assert_eq!(selector("10.0.0.0/8 tcp/80-443").unwrap().ports, 80..=443);
        assert_eq!(selector("fd00::/16 udp/53").unwrap().ports, 53..=53);
        for bad in ["10.0.0.1/8", "10.0.0.0/8 tcp/9-1", "10.0.0.0/8 gre/1", "10.0.0.0/8 tcp x", "tcp", ""] {
            assert!(selector(bad).is_err(), "{bad}");
        }
        for written in
            ["10.0.0.0/8", "10.0.0.0/8 tcp/80-443", "fd00::/16 udp/53", "10.0.0.0/8 gre", "0.0.0.0/0 99"]
        {
            assert_eq!(selector(written).unwrap().to_string(), written);
        }
        assert_eq!(pair("10.0.0.0/8 udp/1===fd00::/8").unwrap().1, selector("fd00::/8").unwrap());
        assert!(pair("10.0.0.0/8").is_err() && pair("10.0.0.0/8 ===").is_err());
    }

    /// What an operator types decides the ID type (RFC 7296 §3.5).
    #[test]
    fn identities() {
        assert!(matches!(identity("192.0.2.1"), Ok(Identity::Address(_))));
        assert!(matches!(identity("gw.example"), Ok(Identity::Fqdn(_))));
        assert!(matches!(identity("ops@example"), Ok(Identity::Email(_))));
        assert!(matches!(identity("C=CH, CN=gw"), Ok(Identity::DistinguishedName(_))));
        assert_eq!(identity("keyid:0aff"), Ok(Identity::KeyId(vec![10, 255])));
    }

    /// A key outside its bounds is refused, and a secret prints nothing.
    #[test]
    fn secrets() {
        assert_eq!(psk("0x0102").unwrap().0.as_slice(), [1, 2]);
        assert!(psk("").is_err() && psk(&"x".repeat(116)).is_err() && psk("0x1").is_err());
        assert_eq!(format!("{:?}", psk("hunter2").unwrap()), "Secret(7 bytes)");
    }
}
