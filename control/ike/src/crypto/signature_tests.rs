//! What protects signature encoding: the AlgorithmIdentifiers of RFC 7427 appendix A octet for octet,
//! round trips, and refusal of everything else.

use proptest::prelude::*;

use super::*;
use crate::crypto::prf::tests::hex;

#[test]
fn identifiers_are_those_of_the_rfc() {
    use SignatureScheme as S;
    for (scheme, expected) in [
        (S::RsaPkcs1Sha256, "300d06092a864886f70d01010b0500"),
        (S::RsaPkcs1Sha384, "300d06092a864886f70d01010c0500"),
        (S::RsaPkcs1Sha512, "300d06092a864886f70d01010d0500"),
        (
            S::RsaPssSha256,
            "304106092a864886f70d01010a3034a00f300d06096086480165030402010500
             a11c301a06092a864886f70d010108300d06096086480165030402010500a203020120",
        ),
        (
            S::RsaPssSha384,
            "304106092a864886f70d01010a3034a00f300d06096086480165030402020500
             a11c301a06092a864886f70d010108300d06096086480165030402020500a203020130",
        ),
        (
            S::RsaPssSha512,
            "304106092a864886f70d01010a3034a00f300d06096086480165030402030500
             a11c301a06092a864886f70d010108300d06096086480165030402030500a203020140",
        ),
        (S::EcdsaP256Sha256, "300a06082a8648ce3d040302"),
        (S::EcdsaP384Sha384, "300a06082a8648ce3d040303"),
        (S::EcdsaP521Sha512, "300a06082a8648ce3d040304"),
        (S::Ed25519, "300506032b6570"),
    ] {
        assert_eq!(algorithm_identifier(scheme), hex(expected), "{scheme:?}");
    }
}

#[test]
fn data_survive_a_round_trip_and_truncation_is_noticed() {
    for scheme in SignatureScheme::ALL {
        let data = encode(scheme, b"signature");
        assert_eq!(decode(&data), Ok((scheme, &b"signature"[..])));
        for length in 0..data.len() - 9 {
            let error = decode(&data[..length]).unwrap_err();
            assert_eq!(error, BadSignatureData::Truncated { length }, "{scheme:?}");
        }
    }
}

#[test]
fn absent_parameters_are_taken_for_null() {
    let data = [&[13][..], &hex("300b06092a864886f70d01010b"), b"s"].concat();
    assert_eq!(decode(&data), Ok((SignatureScheme::RsaPkcs1Sha256, &b"s"[..])));
}

#[test]
fn unknown_algorithms_are_named() {
    let sha1_with_rsa = hex("300d06092a864886f70d0101050500");
    let data = [&[15][..], &sha1_with_rsa, b"s"].concat();
    let error = decode(&data).unwrap_err();
    assert!(error.to_string().contains("300d06092a864886f70d0101050500"));
    assert!(decode(&[0, 1, 2]).is_err());
}

#[test]
fn hash_announcements_keep_what_is_known() {
    assert_eq!(encode_hashes(&HashAlgorithm::ALL), [0, 2, 0, 3, 0, 4, 0, 5]);
    assert_eq!(decode_hashes(&[0, 1, 0, 3, 9, 9, 0, 5, 0]), [HashAlgorithm::Sha384, HashAlgorithm::Identity]);
    assert_eq!(decode_hashes(&[0, 2].repeat(1000)).len(), 32);
}

#[test]
fn older_methods_map_both_ways() {
    for scheme in SignatureScheme::ALL {
        if let Some(method) = method_of_scheme(scheme) {
            assert_eq!(scheme_of_method(method), Some(scheme));
        }
    }
    assert_eq!(scheme_of_method(AuthenticationMethod::RsaDigitalSignature), None);
}

#[test]
fn known_ecdsa_signatures_convert() {
    let scheme = SignatureScheme::EcdsaP256Sha256;
    let mut fixed = vec![0; 64];
    fixed[31] = 0x80;
    fixed[63] = 0x7f;
    let der = hex("3007 02020080 02017f");
    assert_eq!(ecdsa_to_der(scheme, &fixed), Some(der.clone()));
    assert_eq!(ecdsa_from_der(scheme, &der), Some(fixed));
    for bad in ["", "30", "3007020200800201", "300702020080020180", "3007020200800201 7f00", "3003020101"] {
        assert_eq!(ecdsa_from_der(scheme, &hex(bad)), None, "{bad}");
    }
    assert_eq!(ecdsa_to_der(scheme, &[1; 63]), None);
    assert_eq!(ecdsa_to_der(SignatureScheme::Ed25519, &[1; 64]), None);
}

proptest! {
    #[test]
    fn ecdsa_signatures_survive_both_forms(octets in prop::collection::vec(any::<u8>(), 132)) {
        for (scheme, length) in [
            (SignatureScheme::EcdsaP256Sha256, 64),
            (SignatureScheme::EcdsaP384Sha384, 96),
            (SignatureScheme::EcdsaP521Sha512, 132),
        ] {
            let der = ecdsa_to_der(scheme, &octets[..length]).unwrap();
            prop_assert_eq!(ecdsa_from_der(scheme, &der), Some(octets[..length].to_vec()));
        }
    }

    #[test]
    fn random_octets_never_panic(octets in prop::collection::vec(any::<u8>(), 0..160)) {
        let _ = (decode(&octets), decode_hashes(&octets));
        for scheme in SignatureScheme::ALL {
            let _ = (ecdsa_to_der(scheme, &octets), ecdsa_from_der(scheme, &octets));
        }
    }
}
