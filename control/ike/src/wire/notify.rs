//! The Notify payload (RFC 7296 §3.10). Data are kept raw; the shapes that several exchanges share
//! have a constructor and a reader here.

use super::codec::Reader;
use super::error::{EmitError, ParseError};
use super::registry::{KeyExchangeId, NotifyType, Protocol};
use super::spi::Spi;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// One notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notify {
    /// The SA it is about, by protocol; `None` if about the IKE SA itself or none.
    pub protocol: Option<Protocol>,
    /// The SPI of that SA.
    pub spi: Spi,
    /// What it says.
    pub notify_type: NotifyType,
    /// Notification Data.
    pub data: Vec<u8>,
}

impl Notify {
    /// A notify about no SA in particular, with data.
    pub fn new(notify_type: NotifyType, data: Vec<u8>) -> Self {
        Self { protocol: None, spi: Spi::None, notify_type, data }
    }

    /// A notify about an ESP SA: REKEY_SA, CHILD_SA_NOT_FOUND, INVALID_SELECTORS.
    pub fn about_esp(notify_type: NotifyType, spi: u32, data: Vec<u8>) -> Self {
        Self { protocol: Some(Protocol::Esp), spi: Spi::Child(spi), notify_type, data }
    }

    /// INVALID_KE_PAYLOAD naming the method to use instead (RFC 7296 §1.3).
    pub fn invalid_ke(method: KeyExchangeId) -> Self {
        Self::new(NotifyType::InvalidKePayload, u16::from(method).to_be_bytes().to_vec())
    }

    /// QUICK_CRASH_DETECTION: "Protocol ID MUST be 1, as this message is related to an IKE SA" (RFC 6290 §4.1), though
    /// there is no SPI.
    pub fn crash_token(token: &[u8]) -> Self {
        let notify_type = NotifyType::QuickCrashDetection;
        Self { protocol: Some(Protocol::Ike), spi: Spi::None, notify_type, data: token.to_vec() }
    }

    /// AUTH_LIFETIME: the seconds after which the original initiator is to have proven itself anew (RFC 4478 §3).
    pub fn auth_lifetime(left: Duration) -> Self {
        let seconds = u32::try_from(left.as_secs()).unwrap_or(u32::MAX);
        Self::new(NotifyType::AuthLifetime, seconds.to_be_bytes().to_vec())
    }

    /// The lifetime in AUTH_LIFETIME.
    pub fn lifetime(&self) -> Option<Duration> {
        let seconds = <[u8; 4]>::try_from(self.data.as_slice()).ok()?;
        Some(Duration::from_secs(u32::from_be_bytes(seconds).into()))
    }

    /// The data as one 16-bit number: the method named by INVALID_KE_PAYLOAD.
    pub fn data_u16(&self) -> Option<u16> {
        <[u8; 2]>::try_from(self.data.as_slice()).ok().map(u16::from_be_bytes)
    }

    /// ADDITIONAL_IP4_ADDRESS or ADDITIONAL_IP6_ADDRESS (RFC 4555 §4.2.2).
    pub fn additional(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(ip) => Self::new(NotifyType::AdditionalIp4Address, ip.octets().to_vec()),
            IpAddr::V6(ip) => Self::new(NotifyType::AdditionalIp6Address, ip.octets().to_vec()),
        }
    }

    /// The address of ADDITIONAL_IP4_ADDRESS or ADDITIONAL_IP6_ADDRESS.
    pub fn additional_address(&self) -> Option<IpAddr> {
        match self.notify_type {
            NotifyType::AdditionalIp4Address => Some(<[u8; 4]>::try_from(self.data.as_slice()).ok()?.into()),
            NotifyType::AdditionalIp6Address => Some(<[u8; 16]>::try_from(self.data.as_slice()).ok()?.into()),
            _ => None,
        }
    }

    /// Whether this is NO_NATS_ALLOWED with other addresses or ports than these: "the IP addresses and ports from/to
    /// which the packet was sent" (RFC 4555 §4.2.6).
    pub fn prohibits(&self, source: SocketAddr, destination: SocketAddr) -> bool {
        let octets = |address: SocketAddr| match address.ip() {
            IpAddr::V4(ip) => ip.octets().to_vec(),
            IpAddr::V6(ip) => ip.octets().to_vec(),
        };
        let ports = [source.port().to_be_bytes(), destination.port().to_be_bytes()].concat();
        self.notify_type == NotifyType::NoNatsAllowed
            && self.data != [octets(source), octets(destination), ports].concat()
    }

    pub(super) fn parse(mut reader: Reader<'_>) -> Result<Self, ParseError> {
        let protocol = Some(reader.u8()?).filter(|octet| *octet != 0).map(Protocol::from);
        let spi_size = reader.u8()?;
        let notify_type = NotifyType::from(reader.u16()?);
        let spi = Spi::parse(&mut reader, spi_size)?;
        // "If the SPI field is empty, this field MUST be sent as zero and MUST be ignored on receipt."
        let protocol = protocol.filter(|_| spi != Spi::None);
        Ok(Self { protocol, spi, notify_type, data: reader.remainder().to_vec() })
    }

    pub(super) fn emit(&self, out: &mut Vec<u8>) -> Result<(), EmitError> {
        out.extend([self.protocol.map_or(0, u8::from), self.spi.length()]);
        out.extend(u16::from(self.notify_type).to_be_bytes());
        self.spi.emit(out);
        out.extend_from_slice(&self.data);
        Ok(())
    }
}
