//! One packet each way through a tunnel that came up: an echo request sealed here, and the responder's reply opened.
//!
//! ESP in UDP (RFC 3948), AES-GCM without extended sequence numbers (RFC 4106), tunnel mode, IPv4. A library seals,
//! so that the responder is not judged by its own code.

use std::net::{IpAddr, Ipv4Addr};

use anyhow::{Context, Result, ensure};
use ravelin_dataplane::net::{checksum, icmp, ipv4};
use ravelin_ike::want::{EspKeys, InstallChild};
use ring::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

/// Octets of SPI and sequence number, of the IV, of the salt, of the ICV.
const HEADER: usize = 8;
const IV: usize = 8;
const SALT: usize = 4;
const ICV: usize = 16;
/// Next header of an IPv4 packet in tunnel mode.
const IPV4: u8 = 4;
const ICMP: u8 = 1;

/// Both SAs of a tunnel, as far as two packets need them.
pub struct Probe {
    spi_out: u32,
    sent: u32,
    seal: Cipher,
    open: Cipher,
    source: Ipv4Addr,
    target: Ipv4Addr,
    number: u16,
}

struct Cipher {
    key: LessSafeKey,
    salt: [u8; SALT],
}

impl Probe {
    /// For a pair that was negotiated; packets go from its own side's first address to `target`.
    ///
    /// # Errors
    /// When the suite is none we can seal.
    pub fn new(install: &InstallChild, target: Ipv4Addr, number: u16) -> Result<Probe> {
        ensure!(
            install.path.udp_encapsulation,
            "the tunnel carries ESP without UDP: nothing can be sent here"
        );
        ensure!(!install.suite.extended_sequence, "extended sequence numbers were chosen");
        let own = install.local.first().map(|selector| selector.start);
        let Some(IpAddr::V4(source)) = own else { anyhow::bail!("the tunnel has no IPv4 selector") };
        let (seal, open) = (Cipher::new(&install.keys_out)?, Cipher::new(&install.keys_in)?);
        Ok(Probe { spi_out: install.spi_out, sent: 0, seal, open, source, target, number })
    }

    /// The same, whose numbers begin after this one.
    pub fn going_on_from(self, sent: u32) -> Probe {
        Probe { sent, ..self }
    }

    /// The next packet out.
    ///
    /// # Errors
    /// When the library refuses.
    pub fn request(&mut self) -> Result<Vec<u8>> {
        self.sent = self.sent.saturating_add(1);
        let header = [self.spi_out.to_be_bytes(), self.sent.to_be_bytes()].concat();
        let iv = u64::from(self.sent).to_be_bytes();
        let mut text = echo(self.source, self.target, self.number, self.sent)?;
        pad(&mut text);
        let nonce = self.seal.nonce(&iv)?;
        let sealed = self.seal.key.seal_in_place_append_tag(nonce, Aad::from(&header), &mut text);
        sealed.ok().context("a packet could not be sealed")?;
        Ok([header.as_slice(), &iv, &text].concat())
    }

    /// Whether this is the reply, under the right key.
    pub fn is_reply(&self, packet: &[u8]) -> bool {
        self.opened(packet).is_some_and(|text| self.answers(&text))
    }

    fn opened(&self, packet: &[u8]) -> Option<Vec<u8>> {
        let (header, rest) = packet.split_at_checked(HEADER)?;
        let (iv, sealed) = rest.split_at_checked(IV)?;
        let mut text = sealed.to_vec();
        let nonce = self.open.nonce(iv).ok()?;
        let length = self.open.key.open_in_place(nonce, Aad::from(header), &mut text).ok()?.len();
        debug_assert_eq!(length + ICV, sealed.len());
        text.truncate(length);
        Some(text)
    }

    fn answers(&self, text: &[u8]) -> bool {
        let Ok(packet) = ipv4::Header::parse(text) else { return false };
        let Ok(message) = icmp::Header::parse(packet.payload()) else { return false };
        packet.protocol() == ICMP
            && packet.source() == self.target
            && packet.destination() == self.source
            && message.kind() == icmp::v4::ECHO_REPLY
            && message.rest() >> 16 == u32::from(self.number)
    }
}

impl Cipher {
    fn new(keys: &EspKeys) -> Result<Cipher> {
        let length = keys.encryption.len().saturating_sub(SALT);
        let (key, salt) = keys.encryption.split_at_checked(length).context("a key has a salt")?;
        let algorithm = match key.len() {
            16 => &AES_128_GCM,
            32 => &AES_256_GCM,
            octets => anyhow::bail!("no packet can be sealed with a key of {octets} octets"),
        };
        let key = UnboundKey::new(algorithm, key).ok().context("the library refuses the key")?;
        Ok(Cipher { key: LessSafeKey::new(key), salt: salt.try_into()? })
    }

    /// Salt and IV (RFC 4106 §4).
    fn nonce(&self, iv: &[u8]) -> Result<Nonce> {
        Nonce::try_assume_unique_for_key(&[self.salt.as_slice(), iv].concat())
            .ok()
            .context("a nonce has 12 octets")
    }
}

/// An echo request in an IPv4 packet.
fn echo(source: Ipv4Addr, destination: Ipv4Addr, number: u16, sequence: u32) -> Result<Vec<u8>> {
    let length = ipv4::Repr::LEN + icmp::Repr::LEN;
    let mut packet = vec![0; length];
    let (header, message) = packet.split_at_mut(ipv4::Repr::LEN);
    let repr = ipv4::Repr {
        traffic_class: 0,
        total_length: length as u16,
        id: sequence as u16,
        dont_fragment: false,
        more_fragments: false,
        fragment_offset: 0,
        ttl: 64,
        protocol: ICMP,
        source,
        destination,
    };
    repr.emit(header)?;
    let rest = u32::from(number) << 16 | sequence & 0xffff;
    icmp::Repr { kind: icmp::v4::ECHO, code: 0, checksum: 0, rest }.emit(message)?;
    let sum = checksum::internet(message);
    icmp::set_checksum(message, sum);
    Ok(packet)
}

/// The ESP trailer (RFC 4303 §2.4): padding to four octets, its length, the next header.
fn pad(text: &mut Vec<u8>) {
    let padding = (4 - (text.len() + 2) % 4) % 4;
    text.extend((1..=padding as u8).chain([padding as u8, IPV4]));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cipher(octet: u8) -> Cipher {
        Cipher::new(&EspKeys { encryption: vec![octet; 20].into(), integrity: Vec::new().into() }).unwrap()
    }

    fn probe(seal: u8, open: u8, source: [u8; 4], target: [u8; 4]) -> Probe {
        let (seal, open) = (cipher(seal), cipher(open));
        Probe { spi_out: 7, sent: 0, seal, open, source: source.into(), target: target.into(), number: 3 }
    }

    /// What one end seals the other opens; a request is no reply, and nothing is one under another key.
    #[test]
    fn sealed_here_opened_there() {
        let (mut left, mut right) = (probe(1, 2, [10; 4], [11; 4]), probe(2, 1, [11; 4], [10; 4]));
        let request = left.request().unwrap();
        let text = right.opened(&request).unwrap();
        let (packet, trailer) = text.split_at(28);
        assert!(ipv4::Header::parse(packet).unwrap().checksum_ok());
        assert_eq!(checksum::internet(&packet[20..]), 0);
        assert_eq!((trailer, text.len() % 4), (&[1, 2, 2, IPV4][..], 0));
        assert!(!right.is_reply(&request) && left.opened(&request).is_none());
        let mut reply = right.request().unwrap();
        assert!(!left.is_reply(&reply), "a request");
        *reply.last_mut().unwrap() ^= 1;
        assert!(left.opened(&reply).is_none());
    }
}
