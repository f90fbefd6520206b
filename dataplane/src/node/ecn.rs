//! Congestion marks across a tunnel (RFC 6040), and the rest of the traffic class (RFC 2983, DP-34, DP-35).

use crate::net::{ipv4, ipv6};
use crate::sa::outbound::OuterDscp;
use crate::verdict::Drop;

/// The low two bits of the traffic class.
const ECN: u8 = 0b11;
const NOT_ECT: u8 = 0b00;
const ECT_1: u8 = 0b01;
const CE: u8 = 0b11;

/// The outer traffic class for an inner one: RFC 6040 §4.1 normal mode copies ECN, `dscp` says the rest.
pub const fn outer_class(inner: u8, dscp: OuterDscp) -> u8 {
    match dscp {
        OuterDscp::Copy => inner,
        OuterDscp::Fixed(dscp) => dscp << 2 | inner & ECN,
    }
}

/// The traffic class the inner packet leaves the tunnel with (RFC 6040 §4.2, figure 4).
///
/// "If the inner ECN field is Not-ECT and the outer is CE, the decapsulator MUST drop the packet."
#[inline(always)]
pub const fn inner_class(outer: u8, inner: u8, copy_dscp: bool) -> Result<u8, Drop> {
    // Nothing was marked on the way: each pair of equal marks leaves as it is.
    let carried = if copy_dscp { u8::MAX } else { ECN };
    match (outer ^ inner) & carried {
        0 => Ok(inner),
        _ => class_of_different(outer, inner, copy_dscp),
    }
}

const fn class_of_different(outer: u8, inner: u8, copy_dscp: bool) -> Result<u8, Drop> {
    let ecn = match (inner & ECN, outer & ECN) {
        (NOT_ECT, CE) => return Err(Drop::EcnInvalid),
        (NOT_ECT, _) => NOT_ECT,
        (_, CE) => CE,
        (CE, _) => CE,
        (_, ECT_1) => ECT_1,
        (inner, _) => inner,
    };
    let dscp = if copy_dscp { outer & !ECN } else { inner & !ECN };
    Ok(dscp | ecn)
}

/// Writes the traffic class of an IP packet of either version.
pub fn set_class(packet: &mut [u8], class: u8) {
    match packet.first().map(|octet| octet >> 4) {
        Some(4) => ipv4::set_traffic_class(packet, class),
        Some(6) => ipv6::set_traffic_class(packet, class),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_of_marks_leaves_as_figure_4_of_rfc_6040_says() {
        const ECT_0: u8 = 0b10;
        let marks = [NOT_ECT, ECT_0, ECT_1, CE];
        let table = [
            (NOT_ECT, [Ok(NOT_ECT), Ok(NOT_ECT), Ok(NOT_ECT), Err(Drop::EcnInvalid)]),
            (ECT_0, [Ok(ECT_0), Ok(ECT_0), Ok(ECT_1), Ok(CE)]),
            (ECT_1, [Ok(ECT_1), Ok(ECT_1), Ok(ECT_1), Ok(CE)]),
            (CE, [Ok(CE), Ok(CE), Ok(CE), Ok(CE)]),
        ];
        for (inner, row) in table {
            for (outer, expected) in marks.into_iter().zip(row) {
                assert_eq!(inner_class(outer, inner, false), expected, "inner {inner} outer {outer}");
            }
        }
    }

    #[test]
    fn dscp_is_copied_or_fixed_and_ecn_follows_in_any_case() {
        assert_eq!(outer_class(0xb9, OuterDscp::Copy), 0xb9);
        assert_eq!(outer_class(0xb9, OuterDscp::Fixed(10)), 10 << 2 | 1);
        assert_eq!(inner_class(0xb8, 0x28, true), Ok(0xb8));
        assert_eq!(inner_class(0xb8, 0x28, false), Ok(0x28));
    }

    #[test]
    fn classes_that_are_the_same_need_no_second_look() {
        for (outer, inner) in (0..=u8::MAX).flat_map(|outer| (0..=u8::MAX).map(move |inner| (outer, inner))) {
            for copy in [false, true] {
                assert_eq!(inner_class(outer, inner, copy), class_of_different(outer, inner, copy));
            }
        }
    }
}
