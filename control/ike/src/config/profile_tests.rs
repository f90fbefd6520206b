//! The table of profiles, told once more by algorithm name; what a proposal's judgement comes to, and what is left of a
//! connection.

use super::*;

/// Algorithms by their keywords, in the order of [`row`]: what cnsa2 says, `+` allowed, `~` SHOULD NOT, `-` MUST NOT.
const CNSA2: &str = "aes128gcm16- aes192gcm16- aes256gcm16+ aes128- aes192- aes256- chacha20poly1305- aes128ccm16- aes192ccm16- aes256ccm16- null- aes128gmac- aes192gmac- aes256gmac- 3des- des- sha1- sha256- sha384- sha512- md5- aescmac- prfsha1- prfsha256- \
                     prfsha384+ prfsha512~ prfmd5- prfaescmac- modp1024- modp2048- modp3072- modp4096- modp6144- modp8192- ecp256- ecp384+ ecp521- x25519- mlkem512- mlkem768- mlkem1024+ \
                     ed25519- ecdsa-p256-sha256- ecdsa-p384-sha384~ ecdsa-p521-sha512- rsa-pss-sha256- \
                     rsa-pss-sha384~ rsa-pss-sha512~ rsa-pkcs1-sha256- rsa-pkcs1-sha384~ rsa-pkcs1-sha512~";

fn every() -> Vec<Algorithm> {
    let mut all: Vec<Algorithm> = Encryption::ALL.map(Algorithm::Encryption).into();
    all.extend(Integrity::ALL.map(Algorithm::Integrity));
    all.extend(Prf::ALL.map(Algorithm::Prf));
    all.extend(Group::ALL.map(Algorithm::Group));
    all.extend(SignatureScheme::ALL.map(Algorithm::Signature));
    all
}

#[test]
fn the_table_is_what_the_documents_say() {
    let mark = |standing| match standing {
        Standing::Allowed => '+',
        Standing::ShouldNot => '~',
        Standing::MustNot => '-',
    };
    let one =
        |algorithm: Algorithm| format!("{algorithm}{}", mark(AlgorithmProfile::Cnsa2.standing(algorithm)));
    assert_eq!(every().into_iter().map(one).collect::<Vec<_>>().join(" "), CNSA2);
    // Of what RFC 8247 and RFC 8221 would not have, only what is on its way out is here, and what is to be let in by name;
    // of the rest `crypto::absent` knows the words.
    let refused = |profile: AlgorithmProfile| {
        let refused =
            every().into_iter().filter(|algorithm| profile.standing(*algorithm) != Standing::Allowed);
        refused.map(|algorithm| algorithm.to_string()).collect::<Vec<_>>()
    };
    let refused_today = ["3des", "des", "sha1", "md5", "prfsha1", "prfmd5", "modp1024"];
    assert_eq!(refused(AlgorithmProfile::Rfc8247), refused_today);
    let legacy: Vec<String> =
        every().iter().filter(|one| one.is_legacy()).map(Algorithm::to_string).collect();
    assert_eq!(legacy, refused_today.into_iter().filter(|one| !one.contains("sha1")).collect::<Vec<_>>());
    assert!(refused(AlgorithmProfile::Legacy).is_empty());
}

/// Proposals and what each profile has against them, `;` between objections; nothing for the others.
#[test]
fn proposals_are_judged() {
    for (text, objections) in [
        ("aes256gcm16-prfsha384-ecp384+mlkem1024", ""),
        ("aes256gcm16-prfsha384-mlkem1024", ""),
        ("aes256gcm16-prfsha384-ecp384", "one of its key exchanges MUST be \"mlkem1024\""),
        ("aes256gcm16-prfsha384-mlkem1024-ecp384", "one of its key exchanges MUST be \"mlkem1024\""),
        ("aes256gcm16-prfsha512-mlkem1024", "\"prfsha512\" SHOULD NOT be used"),
        ("aes128gcm16-prfsha384-mlkem1024", "\"aes128gcm16\" MUST NOT be used"),
        (
            "aes256-sha384-x25519+mlkem768",
            "\"aes256\" MUST NOT be used; \"sha384\" MUST NOT be used; \"x25519\" MUST NOT be used; \"mlkem768\" MUST \
             NOT be used; one of its key exchanges MUST be \"mlkem1024\"",
        ),
    ] {
        let proposal: IkeProposal = text.parse().unwrap();
        let told = |profile: AlgorithmProfile| {
            let objections = profile.ike_objections(&proposal);
            objections.iter().map(Objection::to_string).collect::<Vec<_>>().join("; ")
        };
        assert_eq!(told(AlgorithmProfile::Cnsa2), objections, "{text}");
        assert_eq!(told(AlgorithmProfile::Rfc8247) + &told(AlgorithmProfile::Legacy), "", "{text}");
    }
    for (text, tolerable, objections) in [
        ("aes256gcm16", true, 0),
        ("aes256gcm16-ecp384+mlkem1024", true, 0),
        ("aes256gcm16-ecp384", false, 1),
        ("aes128gcm16", false, 1),
    ] {
        let proposal: EspProposal = text.parse().unwrap();
        let found = AlgorithmProfile::Cnsa2.esp_objections(&proposal);
        assert_eq!(
            (found.iter().all(Objection::is_tolerable), found.len()),
            (tolerable, objections),
            "{text}"
        );
    }
}

/// What is left of a connection is exactly what its profile allows: no objection to it but SHOULD NOTs, and nothing
/// lost that there was none to.
#[test]
fn what_is_left_of_a_proposal_is_within_the_profile() {
    let ike = |text: &str| AlgorithmProfile::Cnsa2.restrict_ike(&text.parse().unwrap());
    for (text, left) in [
        (
            "aes256gcm16-aes128gcm16-prfsha384-prfsha256-ecp384+mlkem1024-x25519+mlkem1024",
            Some("aes256gcm16-prfsha384-ecp384+mlkem1024"),
        ),
        ("aes256gcm16-prfsha512-ecp384-mlkem1024", Some("aes256gcm16-prfsha512-mlkem1024")),
        ("aes256gcm16-prfsha384-ecp384", None),
        ("aes256gcm16-prfsha384-ecp384+mlkem768", None),
        ("aes256gcm16-prfsha384-mlkem1024+x25519", None),
        ("aes256gcm16-prfsha256-mlkem1024", None),
        ("aes256-sha384-prfsha384-mlkem1024", None),
    ] {
        let kept = ike(text);
        assert_eq!(kept.as_ref().map(IkeProposal::to_string).as_deref(), left, "{text}");
        if let Some(proposal) = kept {
            assert!(AlgorithmProfile::Cnsa2.ike_objections(&proposal).iter().all(Objection::is_tolerable));
        }
        for profile in [AlgorithmProfile::Rfc8247, AlgorithmProfile::Legacy] {
            let whole: IkeProposal = text.parse().unwrap();
            assert_eq!(profile.restrict_ike(&whole), Some(whole));
        }
    }
    let esp = |text: &str| AlgorithmProfile::Cnsa2.restrict_esp(&text.parse().unwrap());
    for (text, left) in [
        ("aes256gcm16-aes128gcm16-esn", Some("aes256gcm16-esn")),
        ("aes256gcm16-ecp384+mlkem1024", Some("aes256gcm16-ecp384+mlkem1024")),
        // Without forward secrecy it would be another one.
        ("aes256gcm16-ecp384", None),
        ("aes128gcm16", None),
    ] {
        assert_eq!(esp(text).as_ref().map(EspProposal::to_string).as_deref(), left, "{text}");
    }
}
