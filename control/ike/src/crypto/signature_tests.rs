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

/// An AUTH payload's data of this AlgorithmIdentifier and the signature `s`.
fn data_of(identifier: &str) -> Vec<u8> {
    let identifier = hex(identifier);
    [&[identifier.len() as u8][..], &identifier, b"s"].concat()
}

#[test]
fn rsa_takes_null_or_nothing_and_ecdsa_and_ed25519_nothing() {
    use SignatureScheme as S;
    for (arc, scheme) in [("0b", S::RsaPkcs1Sha256), ("0c", S::RsaPkcs1Sha384), ("0d", S::RsaPkcs1Sha512)] {
        for identifier in
            [format!("300b06092a864886f70d0101{arc}"), format!("300d06092a864886f70d0101{arc}0500")]
        {
            assert_eq!(decode(&data_of(&identifier)), Ok((scheme, &b"s"[..])), "{identifier}");
        }
    }
    for refused in [
        // NULL with content, another parameter, something after NULL.
        "300e06092a864886f70d01010b050100",
        "300d06092a864886f70d01010b0400",
        "300f06092a864886f70d01010b05000500",
        // NULL where there is to be nothing.
        "300c06082a8648ce3d0403020500",
        "300706032b65700500",
        // A length in two octets where one would do, and one octet too many after it all.
        "30810d06092a864886f70d01010b0500",
        "300d06092a864886f70d01010b050000",
    ] {
        assert!(decode(&data_of(refused)).is_err(), "{refused}");
    }
}

/// The fields of RSASSA-PSS-params as hex, to be put together.
struct Pss<'a> {
    hash: &'a str,
    mask: &'a str,
    salt: &'a str,
    trailer: &'a str,
}

const SHA256: &str = "a00f300d06096086480165030402010500";
const SHA256_BARE: &str = "a00d300b0609608648016503040201";
const MGF1_SHA256: &str = "a11c301a06092a864886f70d010108300d06096086480165030402010500";
const MGF1_SHA256_BARE: &str = "a11a301806092a864886f70d010108300b0609608648016503040201";
const GOOD: Pss<'_> = Pss { hash: SHA256, mask: MGF1_SHA256, salt: "a203020120", trailer: "" };

impl Pss<'_> {
    fn scheme(&self) -> Result<SignatureScheme, BadSignatureData> {
        let fields = hex(&[self.hash, self.mask, self.salt, self.trailer].concat());
        let identifier = algorithm(&RSASSA_PSS, None, &tlv(SEQUENCE, &fields));
        let data = [&[identifier.len() as u8][..], &identifier, b"s"].concat();
        decode(&data).map(|(scheme, _)| scheme)
    }
}

/// RFC 7427 appendix A.4.3 prints the trailer field that DER leaves out; RFC 4055 §2.1 lets each hash have NULL or
/// nothing. Every combination means the same.
#[test]
fn pss_parameters_mean_the_same_in_every_encoding() {
    for hash in [SHA256, SHA256_BARE] {
        for mask in [MGF1_SHA256, MGF1_SHA256_BARE] {
            for trailer in ["", "a303020101"] {
                let scheme = Pss { hash, mask, trailer, ..GOOD }.scheme();
                assert_eq!(scheme, Ok(SignatureScheme::RsaPssSha256), "{hash} {mask} {trailer}");
            }
        }
    }
    let printed = "304606092a864886f70d01010a3039a00f300d06096086480165030402010500
        a11c301a06092a864886f70d010108300d06096086480165030402010500a203020120a303020101";
    assert_eq!(decode(&data_of(printed)), Ok((SignatureScheme::RsaPssSha256, &b"s"[..])));
}

#[test]
fn pss_parameters_that_contradict_are_refused_with_the_reason() {
    let mgf1_sha384 = "a11c301a06092a864886f70d010108300d06096086480165030402020500";
    let sha1 = "a009300706052b0e03021a";
    let not_mgf1 = "a11c301a06092a864886f70d010107300d06096086480165030402010500";
    let null_with_content = "a010300e0609608648016503040201050100";
    for (pss, reason) in [
        (Pss { mask: mgf1_sha384, ..GOOD }, BadPss::HashesDiffer),
        // MGF1 with SHA-1, the default, which RFC 7427 appendix A.4.1 shows.
        (Pss { mask: "", ..GOOD }, BadPss::HashesDiffer),
        (Pss { hash: "", mask: "", salt: "", trailer: "" }, BadPss::Hash),
        (Pss { hash: "", ..GOOD }, BadPss::Hash),
        (Pss { hash: sha1, ..GOOD }, BadPss::Hash),
        (Pss { hash: null_with_content, ..GOOD }, BadPss::Hash),
        (Pss { mask: not_mgf1, ..GOOD }, BadPss::Mask),
        (Pss { salt: "", ..GOOD }, BadPss::Salt { salt: 20, hash: 32 }),
        (Pss { salt: "a203020140", ..GOOD }, BadPss::Salt { salt: 64, hash: 32 }),
        (Pss { salt: "a20402020120", ..GOOD }, BadPss::Salt { salt: 0x120, hash: 32 }),
        (Pss { trailer: "a303020102", ..GOOD }, BadPss::Trailer(2)),
        // Not in shortest form, negative, not a number, twice, out of order.
        (Pss { salt: "a20402020020", ..GOOD }, BadPss::Malformed),
        (Pss { salt: "a2030201a0", ..GOOD }, BadPss::Malformed),
        (Pss { salt: "a203040120", ..GOOD }, BadPss::Malformed),
        (Pss { trailer: "a203020120", ..GOOD }, BadPss::Malformed),
        (Pss { hash: MGF1_SHA256, mask: SHA256, ..GOOD }, BadPss::Malformed),
    ] {
        assert_eq!(pss.scheme(), Err(reason.into()));
    }
    let absent = data_of("300b06092a864886f70d01010a");
    assert_eq!(decode(&absent), Err(BadPss::Hash.into()));
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
