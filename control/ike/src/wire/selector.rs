//! The TSi and TSr payloads (RFC 7296 §3.13). Narrowing is left to the engine.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::codec::{Reader, count8, push_limited, sized};
use super::error::{EmitError, ParseError};
use super::limits;

const IPV4_RANGE: u8 = 7;
const IPV6_RANGE: u8 = 8;
const SELECTOR_PREFIX: usize = 4;

/// The selectors of one side.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TrafficSelectors {
    /// The selectors we know, in their order.
    pub selectors: Vec<TrafficSelector>,
    /// Selectors passed over because their type is unknown to us. Not written.
    pub ignored: usize,
}

/// One selector: protocol, ports, addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TrafficSelector {
    /// IP protocol, 0 for any.
    pub protocol: u8,
    /// First port; for ICMP and ICMPv6, type in the upper octet and code in the lower.
    pub start_port: u16,
    /// Last port. `start_port` 65535 with `end_port` 0 is OPAQUE (RFC 7296 §3.13.1).
    pub end_port: u16,
    /// The addresses.
    pub addresses: AddressRange,
}

/// First and last address of one family; the first is never above the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AddressRange {
    start: IpAddr,
    end: IpAddr,
}

impl AddressRange {
    /// The range from `start` to `end`, both included; `None` if of two families or upside down.
    pub fn new(start: IpAddr, end: IpAddr) -> Option<Self> {
        (start.is_ipv4() == end.is_ipv4() && start <= end).then_some(Self { start, end })
    }

    /// First address.
    pub fn start(&self) -> IpAddr {
        self.start
    }

    /// Last address.
    pub fn end(&self) -> IpAddr {
        self.end
    }
}

impl TrafficSelectors {
    /// Selectors of our own.
    pub fn new(selectors: Vec<TrafficSelector>) -> Self {
        Self { selectors, ignored: 0 }
    }

    pub(super) fn parse(mut reader: Reader<'_>) -> Result<Self, ParseError> {
        let count = reader.u8()?;
        reader.array::<3>()?;
        let (mut selectors, mut ignored) = (Vec::new(), 0usize);
        for _ in 0..count {
            match TrafficSelector::parse(&mut reader)? {
                Some(selector) => push_limited(&mut selectors, selector, "selectors", limits::SELECTORS)?,
                None => ignored = ignored.saturating_add(1),
            }
        }
        reader.finish()?;
        Ok(Self { selectors, ignored })
    }

    pub(super) fn emit(&self, out: &mut Vec<u8>) -> Result<(), EmitError> {
        out.extend([count8("selectors", self.selectors.len())?, 0, 0, 0]);
        self.selectors.iter().try_for_each(|selector| selector.emit(out))
    }
}

impl TrafficSelector {
    /// Reads one selector; `None` if its type is unknown.
    fn parse(reader: &mut Reader<'_>) -> Result<Option<Self>, ParseError> {
        let ts_type = reader.u8()?;
        let protocol = reader.u8()?;
        let length = reader.u16()?;
        let mut body = reader.element("selector", length, SELECTOR_PREFIX)?;
        if !matches!(ts_type, IPV4_RANGE | IPV6_RANGE) {
            return Ok(None);
        }
        let (start_port, end_port) = (body.u16()?, body.u16()?);
        let (start, end) = (address(ts_type, &mut body)?, address(ts_type, &mut body)?);
        body.finish()?;
        let upside_down = ParseError::BadValue { what: "selector address range", value: u32::from(ts_type) };
        let addresses = AddressRange::new(start, end).ok_or(upside_down)?;
        Ok(Some(Self { protocol, start_port, end_port, addresses }))
    }

    fn emit(&self, out: &mut Vec<u8>) -> Result<(), EmitError> {
        let start = out.len();
        let ts_type = if self.addresses.start.is_ipv4() { IPV4_RANGE } else { IPV6_RANGE };
        out.extend([ts_type, self.protocol, 0, 0]);
        sized(out, "selector", start, |out| {
            out.extend(self.start_port.to_be_bytes());
            out.extend(self.end_port.to_be_bytes());
            put_address(self.addresses.start, out);
            put_address(self.addresses.end, out);
            Ok(())
        })
    }
}

fn address(ts_type: u8, reader: &mut Reader<'_>) -> Result<IpAddr, ParseError> {
    match ts_type {
        IPV4_RANGE => reader.array::<4>().map(|octets| Ipv4Addr::from(octets).into()),
        _ => reader.array::<16>().map(|octets| Ipv6Addr::from(octets).into()),
    }
}

fn put_address(address: IpAddr, out: &mut Vec<u8>) {
    match address {
        IpAddr::V4(address) => out.extend(address.octets()),
        IpAddr::V6(address) => out.extend(address.octets()),
    }
}
