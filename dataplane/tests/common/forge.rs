//! A peer that knows the keys and breaks the rules: ESP written and read step by step from RFC 4303 and the RFCs of its
//! suites, without the crate's own sealing.

use ravelin_dataplane::sa::suite::Suite;
use ravelin_gcm::{Kernel, Key, Seal, seal_burst};

use super::oracle::Oracle;
use super::packet::Ip;
use super::{Gateway, Style, key};

/// Writes ESP packets for the inbound SA of a gateway in `slot`.
pub struct Forge {
    sealer: Sealer,
    spi: u32,
    style: Style,
    outer: (std::net::IpAddr, std::net::IpAddr),
}

enum Sealer {
    Gcm(Box<Key>, [u8; 4]),
    Apart(Oracle),
}

impl Sealer {
    fn new(suite: Suite, keymat: &[u8]) -> Sealer {
        match Oracle::new(suite, keymat) {
            Some(oracle) => Sealer::Apart(oracle),
            None => {
                let (raw, salt) = keymat.split_last_chunk().unwrap();
                Sealer::Gcm(Box::new(Key::new(Kernel::portable(), raw).unwrap()), *salt)
            }
        }
    }
}

impl Forge {
    /// For traffic to gateway 1 (`to_a`), as [`super::Pair::tunnel`] keys it.
    pub fn toward_a(a: &Gateway, style: &Style, slot: u32) -> Forge {
        Forge::new(a, style, slot, &key(style.suite, slot as u8))
    }

    pub fn new(gateway: &Gateway, style: &Style, slot: u32, keymat: &[u8]) -> Forge {
        let (site, other) = (gateway.site, gateway.site.other());
        Forge {
            sealer: Sealer::new(style.suite, keymat),
            spi: gateway.spi(slot).0,
            style: *style,
            outer: (other.public(style.outer_v6), site.public(style.outer_v6)),
        }
    }

    pub fn is_esn(&self) -> bool {
        self.style.esn
    }

    /// An outer packet with sequence number `sequence` around `inner`, properly padded.
    pub fn packet(&self, sequence: u64, inner: &[u8]) -> Vec<u8> {
        let next = if inner[0] >> 4 == 4 { 4 } else { 41 };
        let pad = (inner.len() + 2).next_multiple_of(self.style.suite.framing().block) - inner.len() - 2;
        let mut text = inner.to_vec();
        text.extend((1..=pad).map(|n| n as u8));
        text.extend([pad as u8, next]);
        self.text(sequence, &text)
    }

    /// An outer packet around `text`, whatever its trailer says.
    pub fn text(&self, sequence: u64, text: &[u8]) -> Vec<u8> {
        self.wrap(&self.esp(sequence, text))
    }

    pub fn esp(&self, sequence: u64, text: &[u8]) -> Vec<u8> {
        match &self.sealer {
            Sealer::Gcm(key, salt) => self.esp_gcm((key, salt), sequence, text),
            Sealer::Apart(oracle) => oracle.seal(self.spi, sequence, self.style.esn, text),
        }
    }

    fn esp_gcm(&self, (key, salt): (&Key, &[u8; 4]), sequence: u64, text: &[u8]) -> Vec<u8> {
        let mut aad = self.spi.to_be_bytes().to_vec();
        match self.style.esn {
            true => aad.extend(sequence.to_be_bytes()),
            false => aad.extend((sequence as u32).to_be_bytes()),
        }
        // Any unique value will do for the explicit IV; ours is not the sequence number.
        let iv = (sequence ^ 0xabcd_0000_0000_0000).to_be_bytes();
        let mut nonce = [0; 12];
        nonce[..4].copy_from_slice(salt);
        nonce[4..].copy_from_slice(&iv);
        let (mut text, mut tag) = (text.to_vec(), [0; 16]);
        let lane = Seal::new(key, nonce, &aad, &mut text, &mut tag);
        seal_burst(&mut [lane]);
        let mut esp = self.spi.to_be_bytes().to_vec();
        esp.extend((sequence as u32).to_be_bytes());
        esp.extend(iv);
        esp.extend(text);
        esp.extend(tag);
        esp
    }

    pub fn wrap(&self, esp: &[u8]) -> Vec<u8> {
        let ip = Ip::new(self.outer.0, self.outer.1);
        if self.style.udp { ip.udp(4500, 4500, esp) } else { ip.wrap(50, esp) }
    }

    /// The same from another outer source and UDP port.
    pub fn sent_from(&self, source: std::net::IpAddr, port: u16, esp: &[u8]) -> Vec<u8> {
        let ip = Ip::new(source, self.outer.1);
        if self.style.udp { ip.udp(port, 4500, esp) } else { ip.wrap(50, esp) }
    }
}
