//! Traffic selectors as they are written, in tunnels and in lists (TS-01 to TS-04): addresses as a prefix or a range,
//! and behind them a protocol with ports, with types and codes where it has those, or `opaque`.

use std::net::IpAddr;

use ravelin_ike::config::Selector;

use super::plan::PROTOCOLS;
use super::value::{self, Expected};

const EXPECTED: Expected = "PREFIX or FIRST-LAST, and PROTOCOL, PROTOCOL/FROM-TO or PROTOCOL/opaque, like 10.1.0.0/16 tcp/80-443 or 10.1.0.0/16 icmp/8";

/// One: `ADDRESSES`, or `ADDRESSES PROTOCOL[/PORTS]`.
pub fn selector(text: &str) -> Result<Selector, Expected> {
    let mut words = text.split_whitespace();
    let addresses = addresses(words.next().ok_or(EXPECTED)?)?;
    let (protocol, (first, last)) = match words.next() {
        None => (0, ANY),
        Some(word) => protocol_and_ports(word).ok_or(EXPECTED)?,
    };
    match words.next() {
        None => Ok(addresses.with_ports(protocol, first, last)),
        Some(_) => Err(EXPECTED),
    }
}

/// Two that belong together: `LOCAL === REMOTE`.
pub fn pair(text: &str) -> Result<(Selector, Selector), Expected> {
    const EXPECTED: Expected = "SELECTOR === SELECTOR, like 10.2.0.0/24 udp/100 === 10.1.0.0/24 udp/300";
    let (local, remote) = text.split_once("===").ok_or(EXPECTED)?;
    Ok((selector(local)?, selector(remote)?))
}

fn addresses(word: &str) -> Result<Selector, Expected> {
    const EXPECTED: Expected = "a prefix, or two addresses in order, like 10.1.1.0-10.1.1.127";
    let Some((first, last)) = word.split_once('-') else {
        return value::network(word).map(|net| Selector::prefix(net.network(), net.prefix_len()));
    };
    let address = |text: &str| text.parse::<IpAddr>().map_err(|_| EXPECTED);
    let range = Selector::addresses(address(first)?, address(last)?);
    if range.is_well_formed() { Ok(range) } else { Err(EXPECTED) }
}

/// First and last, both included.
type Range = (u16, u16);

/// Every port, and packets that show none.
const ANY: Range = (0, u16::MAX);
/// Packets whose ports cannot be seen (RFC 4301 §4.4.1.1).
const OPAQUE: Range = (u16::MAX, 0);

fn protocol_and_ports(word: &str) -> Option<(u8, Range)> {
    let (name, ports) = word.split_once('/').map_or((word, None), |(name, ports)| (name, Some(ports)));
    let protocol = protocol(name)?;
    let Some(ports) = ports else { return Some((protocol, ANY)) };
    let of = match protocol {
        6 | 17 | 132 => port,
        1 | 58 => type_and_code,
        135 => mobility_type,
        _ => return None,
    };
    let range = if ports == "opaque" { OPAQUE } else { range(ports, of)? };
    Some((protocol, range))
}

/// One, or from one to another.
fn range(text: &str, of: fn(&str) -> Option<Range>) -> Option<Range> {
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    let range = (of(from)?.0, of(to)?.1);
    (range.0 <= range.1).then_some(range)
}

fn port(text: &str) -> Option<Range> {
    let port = text.parse().ok()?;
    Some((port, port))
}

/// `TYPE`, with all its codes, or `TYPE.CODE`: "the most significant 8 bits of the 16-bit ... for the type, least
/// significant for the code" (RFC 4301 §4.4.1.1, RFC 7296 §3.13.1).
fn type_and_code(text: &str) -> Option<Range> {
    let (kind, code) = text.split_once('.').map_or((text, None), |(kind, code)| (kind, Some(code)));
    let kind = u16::from(kind.parse::<u8>().ok()?) << 8;
    match code {
        None => Some((kind, kind | 0xff)),
        Some(code) => code.parse::<u8>().ok().map(|code| (kind | u16::from(code), kind | u16::from(code))),
    }
}

/// A type of the Mobility Header: the most significant 8 bits alone (same places).
fn mobility_type(text: &str) -> Option<Range> {
    let kind = u16::from(text.parse::<u8>().ok()?) << 8;
    Some((kind, kind))
}

fn protocol(name: &str) -> Option<u8> {
    let named = PROTOCOLS.iter().find(|(known, _)| *known == name);
    named.map_or_else(|| name.parse().ok(), |(_, number)| Some(*number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tunnel::words;

    fn range(first: &str, last: &str) -> Selector {
        Selector::addresses(first.parse().unwrap(), last.parse().unwrap())
    }

    /// What is written is what is meant, and told in the same words; ports only where the protocol has them, and only in
    /// order.
    #[test]
    fn selectors() {
        let ten = range("10.0.0.0", "10.255.255.255");
        for (text, expected) in [
            ("10.0.0.0/8", ten),
            ("10.1.1.0-10.1.1.126", range("10.1.1.0", "10.1.1.126")),
            ("fd00::-fd00::9 udp/53", range("fd00::", "fd00::9").with_ports(17, 53, 53)),
            ("10.0.0.0/8 tcp/80-443", ten.with_ports(6, 80, 443)),
            ("10.0.0.0/8 tcp/opaque", ten.with_ports(6, u16::MAX, 0)),
            ("10.0.0.0/8 gre", ten.with_ports(47, 0, u16::MAX)),
            ("10.0.0.0/8 99", ten.with_ports(99, 0, u16::MAX)),
            ("10.0.0.0/8 icmp/8", ten.with_ports(1, 0x0800, 0x08ff)),
            ("10.0.0.0/8 icmp/3.4", ten.with_ports(1, 0x0304, 0x0304)),
            ("10.0.0.0/8 icmp/3.1-3.4", ten.with_ports(1, 0x0301, 0x0304)),
            ("10.0.0.0/8 icmp/opaque", ten.with_ports(1, u16::MAX, 0)),
            (
                "fd00::/16 icmpv6/128-129",
                range("fd00::", "fd00:ffff:ffff:ffff:ffff:ffff:ffff:ffff").with_ports(58, 0x8000, 0x81ff),
            ),
            (
                "fd00::/16 mh/5",
                range("fd00::", "fd00:ffff:ffff:ffff:ffff:ffff:ffff:ffff").with_ports(135, 0x0500, 0x0500),
            ),
        ] {
            assert_eq!(selector(text), Ok(expected), "{text}");
            assert_eq!(words::selector(&expected), text);
        }
        for bad in [
            "10.1.0.1/16",
            "10.0.0.9-10.0.0.1",
            "10.0.0.1-fd00::1",
            "10.0.0.0/8 gre/1",
            "10.0.0.0/8 gre/opaque",
            "10.0.0.0/8 tcp/9-1",
            "10.0.0.0/8 tcp/1.2",
            "10.0.0.0/8 icmp/256",
            "10.0.0.0/8 icmp/8-3",
            "10.0.0.0/8 icmp/8.256",
            "fd00::/16 mh/5.1",
            "10.0.0.0/8 tcp x",
            "tcp",
            "",
        ] {
            assert!(selector(bad).is_err(), "{bad}");
        }
        assert_eq!(pair("10.0.0.0/8 udp/1===fd00::/16").unwrap().0, ten.with_ports(17, 1, 1));
        assert!(pair("10.0.0.0/8").is_err() && pair("10.0.0.0/8 ===").is_err());
    }
}
