//! Proposals by keyword, as operators of other gateways write them:
//! `aes256gcm16-prfsha384-ecp384` for IKE, `aes256gcm16` or `aes128gcm16-x25519` (with
//! perfect forward secrecy at a rekey) for ESP. Only what engine and workers can carry out
//! has a keyword.

use ravelin_ike::config::{Encryption, EspProposal, Group, IkeProposal, Integrity, Prf};

const ENCRYPTION: [(&str, Encryption); 5] = [
    ("aes128gcm16", Encryption::AesGcm128),
    ("aes192gcm16", Encryption::AesGcm192),
    ("aes256gcm16", Encryption::AesGcm256),
    ("aes128", Encryption::AesCbc128),
    ("aes256", Encryption::AesCbc256),
];
const INTEGRITY: [(&str, Integrity); 3] =
    [("sha256", Integrity::HmacSha256), ("sha384", Integrity::HmacSha384), ("sha512", Integrity::HmacSha512)];
const PRF: [(&str, Prf); 3] =
    [("prfsha256", Prf::HmacSha256), ("prfsha384", Prf::HmacSha384), ("prfsha512", Prf::HmacSha512)];
const GROUP: [(&str, Group); 5] = [
    ("modp2048", Group::Modp2048),
    ("ecp256", Group::EcpP256),
    ("ecp384", Group::EcpP384),
    ("ecp521", Group::EcpP521),
    ("x25519", Group::X25519),
];

/// The keywords of one proposal, sorted by kind.
#[derive(Default)]
struct Words {
    encryption: Vec<Encryption>,
    integrity: Vec<Integrity>,
    prf: Vec<Prf>,
    groups: Vec<Group>,
}

fn words(text: &str) -> Result<Words, String> {
    let mut words = Words::default();
    for word in text.split('-') {
        if let Some(value) = find(&ENCRYPTION, word) {
            words.encryption.push(value);
        } else if let Some(value) = find(&INTEGRITY, word) {
            words.integrity.push(value);
        } else if let Some(value) = find(&PRF, word) {
            words.prf.push(value);
        } else if let Some(value) = find(&GROUP, word) {
            words.groups.push(value);
        } else {
            return Err(format!(
                "keywords, but {word:?} is none; {}",
                super::error::one_of(word, keywords())
            ));
        }
    }
    let aead = words.encryption.iter().filter(|cipher| cipher.is_aead()).count();
    match (words.encryption.len(), aead) {
        (0, _) => Err("a cipher, like aes256gcm16".into()),
        (all, aead) if aead != 0 && aead != all => {
            Err("GCM and CBC ciphers in proposals of their own (RFC 7296 §3.3)".into())
        }
        (_, 0) if words.integrity.is_empty() => {
            Err("an integrity algorithm with CBC, like aes128-sha256".into())
        }
        (_, aead) if aead != 0 && !words.integrity.is_empty() => {
            Err("no integrity algorithm with GCM; a PRF is written prfsha256".into())
        }
        _ => Ok(words),
    }
}

fn find<T: Copy>(table: &[(&str, T)], word: &str) -> Option<T> {
    table.iter().find(|(keyword, _)| *keyword == word).map(|(_, value)| *value)
}

fn keywords() -> impl Iterator<Item = &'static str> + Clone {
    let names = ENCRYPTION.iter().map(|entry| entry.0).chain(INTEGRITY.iter().map(|entry| entry.0));
    names.chain(PRF.iter().map(|entry| entry.0)).chain(GROUP.iter().map(|entry| entry.0))
}

/// An IKE proposal. Without a PRF keyword the PRF is that of the integrity algorithms; with
/// GCM it must be given (FEATURES IKE-05).
///
/// # Errors
/// What was expected.
pub fn ike(text: &str) -> Result<IkeProposal, String> {
    let Words { encryption, integrity, mut prf, groups } = words(text)?;
    if prf.is_empty() {
        prf = integrity.iter().map(|algorithm| same_hash(*algorithm)).collect();
    }
    if prf.is_empty() {
        return Err("a PRF with GCM, like aes256gcm16-prfsha384-ecp384".into());
    }
    if groups.is_empty() {
        return Err("a key exchange group, like ecp384 or x25519".into());
    }
    Ok(IkeProposal { encryption, integrity, prf, groups })
}

fn same_hash(integrity: Integrity) -> Prf {
    match integrity {
        Integrity::HmacSha256 => Prf::HmacSha256,
        Integrity::HmacSha384 => Prf::HmacSha384,
        Integrity::HmacSha512 => Prf::HmacSha512,
    }
}

/// An ESP proposal; groups mean perfect forward secrecy at a rekey (RFC 7296 §1.3).
///
/// # Errors
/// What was expected.
pub fn esp(text: &str, extended_sequence_number: bool) -> Result<EspProposal, String> {
    let Words { encryption, integrity, prf, groups } = words(text)?;
    if !prf.is_empty() {
        return Err("no PRF in an ESP proposal".into());
    }
    if !integrity.is_empty() {
        return Err("AES-GCM: the workers of this version carry no CBC".into());
    }
    let extended_sequence = if extended_sequence_number { vec![true, false] } else { vec![false] };
    Ok(EspProposal { encryption, integrity, groups, extended_sequence })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The spellings in use elsewhere mean what they mean there.
    #[test]
    fn keywords_are_understood() {
        let gcm = ike("aes256gcm16-prfsha384-ecp384").unwrap();
        assert_eq!((gcm.encryption, gcm.prf), (vec![Encryption::AesGcm256], vec![Prf::HmacSha384]));
        let cbc = ike("aes128-sha256-modp2048").unwrap();
        assert_eq!((cbc.integrity, cbc.prf), (vec![Integrity::HmacSha256], vec![Prf::HmacSha256]));
        assert_eq!(esp("aes128gcm16-x25519", true).unwrap().groups, vec![Group::X25519]);
        assert_eq!(esp("aes128gcm16", true).unwrap().extended_sequence, vec![true, false]);
    }

    /// What cannot be carried out is refused with what would have been right.
    #[test]
    fn refusals_say_what_was_expected() {
        for (text, expected) in [
            ("aes256gcm16-ecp384", "PRF"),
            ("aes128-modp2048", "integrity"),
            ("aes128-aes128gcm16-sha256-x25519", "own"),
            ("aes256gcm61-prfsha384-ecp384", "aes256gcm16?"),
            ("aes128gcm16-prfsha256", "group"),
        ] {
            let error = ike(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
