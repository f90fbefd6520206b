//! DER made by hand, so that it can be wrong where a library would not let it.
#![allow(dead_code, reason = "each test binary uses its own part of this")]

use ravelin_pki::UnixTime;

/// sha-256 with ECDSA.
pub const ECDSA_SHA256: &[u8] = b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02";

/// One element.
pub fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    match content.len() {
        length @ 0..=0x7f => out.push(length as u8),
        length @ 0x80..=0xff => out.extend([0x81, length as u8]),
        length @ 0x100..=0xffff => out.extend([0x82, (length >> 8) as u8, length as u8]),
        length => {
            let octets = (length as u32).to_be_bytes();
            let octets = if octets[0] == 0 { &octets[1..] } else { &octets[..] };
            out.push(0x80 | octets.len() as u8);
            out.extend(octets);
        }
    }
    out.extend_from_slice(content);
    out
}

pub fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    tlv(0x30, &parts.concat())
}

pub fn oid(octets: &[u8]) -> Vec<u8> {
    tlv(6, octets)
}

/// A BIT STRING of whole octets.
pub fn bits(octets: &[u8]) -> Vec<u8> {
    tlv(3, &[&[0], octets].concat())
}

/// GeneralizedTime.
pub fn time(instant: UnixTime) -> Vec<u8> {
    let digits: String = instant.to_string().chars().filter(char::is_ascii_digit).collect();
    tlv(0x18, format!("{digits}Z").as_bytes())
}

/// UTCTime.
pub fn short_time(instant: UnixTime) -> Vec<u8> {
    let digits: String = instant.to_string().chars().filter(char::is_ascii_digit).skip(2).collect();
    tlv(0x17, format!("{digits}Z").as_bytes())
}

pub fn extension(kind: &[u8], critical: bool, value: &[u8]) -> Vec<u8> {
    let critical: &[u8] = if critical { &[1, 1, 0xff] } else { &[] };
    sequence(&[&oid(kind), critical, &tlv(4, value)])
}
