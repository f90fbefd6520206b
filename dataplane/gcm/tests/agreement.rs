//! Every kernel agrees with the model and with every other, at every length and burst shape.
//!
//! Packet lengths decide which tail code runs, and a burst which packets share it: a kernel that is
//! right for one packet of 64 octets may still be wrong for the last of five.

#![allow(clippy::unwrap_used, reason = "helpers of tests: a failure is a failed test")]

mod common;

use common::{model, octets, on_all_kernels, open_one, seal_one};
use proptest::prelude::*;
use ravelin_gcm::{BadTag, Icv, Kernel, Key, KeySize, Open, Seal, Tag, TagMut, open_burst, seal_burst};

/// Lengths 0 to 2100: every tail of every unrolling, past the largest Ethernet packet.
#[test]
fn kernels_agree_with_the_model_at_every_length() {
    for size in KeySize::ALL {
        let raw = octets(size.octets() as u64, size.octets());
        let keys = on_all_kernels(&raw);
        for length in 0..=2100 {
            let nonce: [u8; 12] = octets(length as u64, 12).try_into().unwrap();
            let (aad, plain) = (octets(1, [8, 12, 0, 28][length % 4]), octets(2, length));
            let (cipher, tag) = model::seal(&raw, nonce, &aad, &plain);
            for key in &keys {
                let what = format!("{length} octets with {key:?}");
                assert_eq!(seal_one(key, nonce, &aad, &plain), (cipher.clone(), tag), "{what}");
                assert_eq!(open_one(key, nonce, &aad, &cipher, tag), (plain.clone(), Ok(())), "{what}");
            }
        }
    }
}

/// Associated data of every length: 8 and 12 for ESP, 28 and more for IKE, anything for the rest.
#[test]
fn associated_data_of_every_length() {
    let raw = octets(3, 32);
    for length in 0..=300 {
        let (aad, plain) = (octets(4, length), octets(5, 77));
        let expected = model::seal(&raw, [9; 12], &aad, &plain);
        for key in on_all_kernels(&raw) {
            assert_eq!(seal_one(&key, [9; 12], &aad, &plain), expected, "{length} octets with {key:?}");
        }
    }
}

/// Any alignment of the text in its buffer: packets begin where headers end.
#[test]
fn text_at_every_alignment() {
    let (raw, plain) = (octets(6, 16), octets(7, 333));
    let expected = model::seal(&raw, [1; 12], &[], &plain);
    for key in on_all_kernels(&raw) {
        for offset in 0..64 {
            let (mut buffer, mut tag) = (vec![0; offset + plain.len()], [0; 16]);
            buffer[offset..].copy_from_slice(&plain);
            let text = &mut buffer[offset..];
            seal_burst(&mut [Seal::new(&key, [1; 12], &[], text, &mut tag)]);
            assert_eq!((buffer[offset..].to_vec(), tag), expected, "offset {offset} with {key:?}");
            assert!(buffer[..offset].iter().all(|&octet| octet == 0));
        }
    }
}

/// Tags of 8 and 12 octets are the front of the whole one, written and checked no further; one bit of
/// them is enough to refuse.
#[test]
fn tags_of_every_length() {
    for size in KeySize::ALL {
        let raw = octets(8, size.octets());
        for length in [0, 16, 33, 68, 200, 580, 1424] {
            let (aad, plain) = (octets(9, 8), octets(10, length));
            let (cipher, whole) = model::seal(&raw, [2; 12], &aad, &plain);
            for key in on_all_kernels(&raw) {
                for icv in Icv::ALL {
                    let what = format!("{icv:?}, {length} octets with {key:?}");
                    let (mut text, mut tag) = (plain.clone(), [0xaa; 17]);
                    let place: TagMut<'_> = (&mut tag[..icv.octets()]).try_into().unwrap();
                    seal_burst(&mut [Seal::new(&key, [2; 12], &aad, &mut text, place)]);
                    assert_eq!((&text, &tag[..icv.octets()]), (&cipher, &whole[..icv.octets()]), "{what}");
                    assert!(tag[icv.octets()..].iter().all(|&octet| octet == 0xaa), "{what}");
                    opens_short(&key, &aad, &cipher, &plain, &whole[..icv.octets()], &what);
                }
            }
        }
    }
}

fn opens_short(key: &Key, aad: &[u8], cipher: &[u8], plain: &[u8], tag: &[u8], what: &str) {
    let open = |tag: &[u8]| {
        let mut text = cipher.to_vec();
        let mut lanes = [Open::new(key, [2; 12], aad, &mut text, Tag::try_from(tag).unwrap())];
        open_burst(&mut lanes);
        let verdict = lanes[0].verdict;
        (text, verdict)
    };
    assert_eq!(open(tag), (plain.to_vec(), Ok(())), "{what}");
    for bit in 0..tag.len() * 8 {
        let mut tag = tag.to_vec();
        tag[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(open(&tag), (vec![0; cipher.len()], Err(BadTag)), "{what}, bit {bit}");
    }
}

/// Counters pass 2^8 and 2^16, where a block's last octets carry.
#[test]
fn kernels_agree_where_counters_carry() {
    let raw = octets(11, 16);
    let [oracle, others @ ..] = &on_all_kernels(&raw).into_iter().rev().collect::<Vec<_>>()[..] else {
        panic!("no kernel")
    };
    let lengths = (4000..4200).step_by(16).chain([4090, 8192, 9000, 65_536 * 16 - 40, 65_536 * 16 + 100]);
    for length in lengths {
        let plain = octets(12, length);
        let expected = seal_one(oracle, [5; 12], &[6; 12], &plain);
        for key in others {
            let sealed = seal_one(key, [5; 12], &[6; 12], &plain);
            assert!(sealed == expected, "{length} octets with {key:?}");
            let opened = open_one(key, [5; 12], &[6; 12], &sealed.0, sealed.1);
            assert!(opened == (plain.clone(), Ok(())), "{length} octets with {key:?}");
        }
    }
}

#[derive(Clone, Debug)]
struct Packet {
    key: usize,
    nonce: [u8; 12],
    aad: Vec<u8>,
    plain: Vec<u8>,
    /// Which bit of the ciphertext and tag an attacker turns over, if any.
    flip: Option<prop::sample::Index>,
}

fn packet() -> impl Strategy<Value = Packet> {
    let length = prop_oneof![0usize..80, 0usize..2100, Just(64), Just(1420)];
    let aad = prop_oneof![Just(8usize), Just(12), 0usize..40];
    let flip = prop::option::weighted(0.2, any::<prop::sample::Index>());
    (any::<usize>(), any::<[u8; 12]>(), aad, length, any::<u64>(), flip).prop_map(
        |(key, nonce, aad, length, seed, flip)| Packet {
            key,
            nonce,
            aad: octets(seed, aad),
            plain: octets(seed ^ 1, length),
            flip,
        },
    )
}

/// For each kernel a raw key of each size, and the same expanded.
fn keys() -> Vec<(Vec<u8>, Key)> {
    let expand = |(seed, kernel): (u64, Kernel)| {
        KeySize::ALL.map(|size| {
            let raw = octets(seed, size.octets());
            let key = Key::new(kernel, &raw).unwrap();
            (raw, key)
        })
    };
    (1..).zip(Kernel::all()).flat_map(expand).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// A burst of any shape gives each lane what it would have got alone, and one bad tag is the
    /// trouble of its own lane only.
    #[test]
    fn a_mixed_burst_is_its_lanes(packets in prop::collection::vec(packet(), 0..150)) {
        let keys = keys();
        let key_of = |packet: &Packet| &keys[packet.key % keys.len()];

        let mut texts: Vec<Vec<u8>> = packets.iter().map(|packet| packet.plain.clone()).collect();
        let mut tags = vec![[0; 16]; packets.len()];
        let mut lanes: Vec<Seal<'_>> = packets.iter().zip(&mut texts).zip(&mut tags)
            .map(|((packet, text), tag)| Seal::new(&key_of(packet).1, packet.nonce, &packet.aad, text, tag))
            .collect();
        seal_burst(&mut lanes);
        for ((packet, text), tag) in packets.iter().zip(&mut texts).zip(&mut tags) {
            let expected = model::seal(&key_of(packet).0, packet.nonce, &packet.aad, &packet.plain);
            prop_assert_eq!((&*text, *tag), (&expected.0, expected.1));
            if let Some(flip) = packet.flip {
                let bit = flip.index((text.len() + 16) * 8);
                let octet = text.iter_mut().chain(tag).nth(bit / 8).unwrap();
                *octet ^= 1 << (bit % 8);
            }
        }

        let mut lanes: Vec<Open<'_>> = packets.iter().zip(&mut texts).zip(&tags)
            .map(|((packet, text), tag)| Open::new(&key_of(packet).1, packet.nonce, &packet.aad, text, *tag))
            .collect();
        open_burst(&mut lanes);
        for (packet, lane) in packets.iter().zip(&lanes) {
            match packet.flip {
                None => prop_assert_eq!((&*lane.text, lane.verdict), (&packet.plain[..], Ok(()))),
                Some(_) => {
                    prop_assert_eq!(lane.verdict, Err(BadTag));
                    prop_assert!(lane.text.iter().all(|&octet| octet == 0));
                }
            }
        }
    }
}
