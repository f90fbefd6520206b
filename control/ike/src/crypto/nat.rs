//! The hash of NAT_DETECTION_SOURCE_IP and NAT_DETECTION_DESTINATION_IP (RFC 7296 §2.23).

use std::net::{IpAddr, SocketAddr};

use aws_lc_rs::digest;

use crate::wire::IkeSpi;

/// "SHA-1 digest of the SPIs (in the order they appear in the header), IP address, and port".
///
/// SHA-1 is what the RFC fixes; nothing secret or signed rests on it.
pub fn nat_detection_hash(initiator_spi: IkeSpi, responder_spi: IkeSpi, address: SocketAddr) -> [u8; 20] {
    let mut context = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    context.update(&initiator_spi.to_be_bytes());
    context.update(&responder_spi.to_be_bytes());
    match address.ip() {
        IpAddr::V4(ip) => context.update(&ip.octets()),
        IpAddr::V6(ip) => context.update(&ip.octets()),
    }
    context.update(&address.port().to_be_bytes());
    let mut out = [0; 20];
    out.iter_mut().zip(context.finish().as_ref()).for_each(|(to, from)| *to = *from);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_the_fields_in_the_order_of_the_rfc() {
        let (i, r) = (IkeSpi(0x0102_0304_0506_0708), IkeSpi(0x1112_1314_1516_1718));
        let flat = |address: &[u8], port: u16| {
            let octets = [&i.to_be_bytes()[..], &r.to_be_bytes(), address, &port.to_be_bytes()].concat();
            digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &octets).as_ref().to_vec()
        };
        let v4 = "192.0.2.1:500".parse().unwrap();
        assert_eq!(nat_detection_hash(i, r, v4)[..], flat(&[192, 0, 2, 1], 500));
        let v6 = "[2001:db8::1]:4500".parse().unwrap();
        let mut octets = [0; 16];
        octets[..4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
        octets[15] = 1;
        assert_eq!(nat_detection_hash(i, r, v6)[..], flat(&octets, 4500));
    }
}
