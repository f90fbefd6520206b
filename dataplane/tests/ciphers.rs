//! ESP's ciphers other than AES-GCM by themselves: published vectors, an independent reader and writer at every length,
//! each octet and each number tampered with, and nothing decrypted that is not authentic.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failure is a failed test"
)]

use crate::common;
use crate::common::oracle::Oracle;
use ravelin_dataplane::cipher::{Hash, Opener, Position, Sealer};
use ravelin_dataplane::sa::suite::{Keyed, Suite};
use ravelin_gcm::{Kernel, KeySize};

const SPI: u32 = 0x0405_0607;

fn apart() -> impl Iterator<Item = Suite> {
    Suite::all().filter(|suite| suite.is_apart())
}

fn material(suite: Suite) -> Vec<u8> {
    common::key(suite, 0x5a)
}

fn keyed(suite: Suite) -> (Sealer, Opener) {
    let material = material(suite);
    match (suite.sealer(Kernel::portable(), &material), suite.opener(Kernel::portable(), &material)) {
        (Ok((Keyed::Apart(sealer), _)), Ok((Keyed::Apart(opener), _))) => (sealer, opener),
        _ => panic!("{suite:?} is not apart"),
    }
}

/// A packet whose text is still in clear.
fn in_clear(suite: Suite, sequence: u64, text: &[u8]) -> Vec<u8> {
    let framing = suite.framing();
    let mut packet = [SPI.to_be_bytes(), (sequence as u32).to_be_bytes()].concat();
    packet.resize(framing.front(), 0xee);
    packet.extend(text);
    packet.resize(packet.len() + framing.icv, 0xee);
    packet
}

fn octets(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn every_length_agrees_with_the_rfcs_both_ways() {
    for suite in apart() {
        let ((sealer, opener), oracle) = (keyed(suite), Oracle::new(suite, &material(suite)).unwrap());
        let framing = suite.framing();
        for length in (0..=2100).step_by(framing.block) {
            let text: Vec<u8> = (0..length).map(|at| (at * 7 + length) as u8).collect();
            let (esn, sequence) = (length / framing.block % 2 == 1, (length as u64) << 29 | length as u64);
            let at = Position { sequence, esn };
            let mut packet = in_clear(suite, sequence, &text);
            sealer.seal(at, &mut packet).unwrap();
            assert_eq!(oracle.open(sequence, esn, &packet).unwrap().1, text, "{suite:?} {length}");
            let mut packet = oracle.seal(SPI, sequence, esn, &text);
            opener.open(at, &mut packet).unwrap();
            assert_eq!(&packet[framing.front()..][..length], text, "{suite:?} {length}");
        }
    }
}

#[test]
fn nothing_is_decrypted_that_is_not_authentic() {
    for suite in apart() {
        let ((_, opener), oracle) = (keyed(suite), Oracle::new(suite, &material(suite)).unwrap());
        let framing = suite.framing();
        for esn in [false, true] {
            let at = Position { sequence: 1 << 32 | 9, esn };
            let good = oracle.seal(SPI, at.sequence, esn, &[0x77; 64]);
            for octet in 0..good.len() {
                let mut bad = good.clone();
                bad[octet] ^= 0x20;
                let as_it_was = bad.clone();
                assert!(opener.open(at, &mut bad).is_err(), "{suite:?} octet {octet}");
                let mut wiped = as_it_was.clone();
                wiped[framing.front()..good.len() - framing.icv].fill(0);
                assert!(bad == as_it_was || bad == wiped, "{suite:?} octet {octet}");
            }
            for length in 0..good.len() {
                assert!(opener.open(at, &mut good[..length].to_vec()).is_err(), "{suite:?} {length}");
            }
            let elsewhere = [Position { sequence: 9, ..at }, Position { esn: !esn, ..at }];
            for (position, matters) in elsewhere.into_iter().zip([esn, true]) {
                assert_eq!(opener.open(position, &mut good.clone()).is_err(), matters, "{suite:?}");
            }
            assert!(opener.open(at, &mut good.clone()).is_ok());
        }
    }
}

/// What has no room for its framing, or ends within a block, is not sealed.
#[test]
fn what_is_no_packet_is_not_sealed() {
    for suite in apart() {
        let (sealer, _) = keyed(suite);
        let framing = suite.framing();
        for length in 0..framing.around() + 3 * framing.block {
            let sealed = sealer.seal(Position { sequence: 1, esn: false }, &mut vec![0; length]).is_ok();
            let text = length.checked_sub(framing.around());
            // A stream does not mind where it ends; that ESP does is asked elsewhere.
            let is_stream = framing.block < 8;
            let whole = text.is_some_and(|text| is_stream || text % framing.block == 0);
            assert_eq!(sealed, whole, "{suite:?} {length}");
        }
    }
}

/// RFC 7634 appendix A: the ESP packet, whose IV is another one than a gateway that begins would take.
#[test]
fn the_packet_of_rfc_7634() {
    let key = "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9fa0a1a2a3";
    let opener = Opener::chacha(&octets(key)).unwrap();
    let mut packet = octets(
        "0102030400000005101112131415161724039428b97f417e3c13753a4f05087b67c352e6a7fab1b982d466ef407ae5c6\
         14ee8099d52844eb61aa95dfab4c02f72aa71e7c4c4f64c9befe2facc638e8f3cbec163fac469b502773f6fb94e664da\
         9165b82829f641e076aaa8266b7fb0f7b11b369907e1ad43",
    );
    opener.open(Position { sequence: 5, esn: false }, &mut packet).unwrap();
    let inner = "45000054a6f200004001e778c6336405c000020508005b7a3a080000553bec100007362708090a0b0c0d0e0f101112\
                 131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f303132333435363701020204";
    assert_eq!(packet[16..packet.len() - 16], octets(inner));
}

/// The packet of AES-GMAC in draft-mcgrew-gcm-test: a ping under a key of 128 bits, its IV zero.
#[test]
fn the_packet_of_mcgrew_s_gmac() {
    let opener = Opener::gmac(KeySize::Aes128, &octets("4c80cdefbb5d10da906ac73c3613a63422433c64")).unwrap();
    let inner =
        "45000030da3a00008001df3bc0a80005c0a800010800c6cd020007006162636465666768696a6b6c6d6e6f7071727374";
    let header = "00004321000000070000000000000000";
    let icv = "f2a9a836e155106aa8dcd618e4099aaa";
    let mut packet = octets(&[header, inner, "01020201", icv].concat());
    opener.open(Position { sequence: 7, esn: false }, &mut packet).unwrap();
    assert_eq!(packet[16..packet.len() - 20], octets(inner));
}

/// RFC 3602 §4, cases 1 to 4.
#[test]
fn cbc_vectors_of_rfc_3602() {
    for (key, iv, text, sealed) in [
        (
            "06a9214036b8a15b512e03d534120006",
            "3dafba429d9eb430b422da802c9fac41",
            "53696e676c6520626c6f636b206d7367",
            "e353779c1079aeb82708942dbe77181a",
        ),
        (
            "c286696d887c9aa0611bbb3e2025a45a",
            "562e17996d093d28ddb3ba695a2e6f58",
            "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
            "d296cd94c2cccf8a3a863028b5e1dc0a7586602d253cfff91b8266bea6d61ab1",
        ),
        (
            "6c3ea0477630ce21a2ce334aa746c2cd",
            "c782dc4c098c66cbd9cd27d825682c81",
            "5468697320697320612034382d62797465206d657373616765202865786163746c7920332041455320626c6f636b7329",
            "d0a02b3836451753d493665d33f0e8862dea54cdb293abc7506939276772f8d5021c19216bad525c8579695d83ba2684",
        ),
        (
            "56e47a38c5598974bc46903dba290349",
            "8ce82eefbea0da3c44699ed7db51b7d9",
            "a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebfc0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadbdcdddedf",
            "c30e32ffedc0774e6aff6af0869f71aa0f3af07a9a31a9c684db207eb0ef8e4e35907aa632c3ffdf868bb7b29d3d46ad83ce9f9a102ee99d49a53e87f4c3da55",
        ),
    ] {
        let material = [octets(key), vec![0x0b; 32], vec![0; 16]].concat();
        let opener = Opener::cbc(KeySize::Aes128, Hash::Sha256, &material).unwrap();
        let mut packet = [vec![0, 0, 1, 0, 0, 0, 0, 1], octets(iv), octets(sealed)].concat();
        let hmac = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &[0x0b; 32]);
        let icv = ring::hmac::sign(&hmac, &packet);
        packet.extend(&icv.as_ref()[..16]);
        opener.open(Position { sequence: 1, esn: false }, &mut packet).unwrap();
        assert_eq!(packet[24..packet.len() - 16], octets(text));
    }
}
