//! Single values: text to an address, a number in range, an identity. Each
//! returns what was expected when it is not that; the caller knows the line.

use std::net::IpAddr;

use ipnet::IpNet;
use ravelin_ike::config::Prefix;
use zeroize::Zeroizing;

use super::plan::{Device, Identity, Secret};

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
