//! Proposals by keyword (`ravelin_ike::crypto` knows the words), held to what this gateway's
//! workers can carry.

use ravelin_ike::config::{Algorithm, AlgorithmProfile, EspProposal, IkeProposal, Objection};
use ravelin_ike::crypto::BadProposal;
use toml::Spanned;

use super::profile;
use super::raw::Text;
use super::resolve::Judge;

/// Why a proposal is refused.
#[derive(Debug, PartialEq, Eq)]
pub struct Refused {
    /// What is wrong with it.
    pub why: String,
    /// What would have been right.
    pub expected: &'static str,
}

/// An IKE proposal, such as `aes256gcm16-prfsha384-ecp384`, or with a key exchange that follows
/// the first, `aes256gcm16-prfsha384-x25519+mlkem768`.
///
/// # Errors
/// What is wrong with it, and what was expected.
pub fn ike(text: &str) -> Result<IkeProposal, Refused> {
    const EXPECTED: &str = "algorithms joined by dashes, like aes256gcm16-prfsha384-ecp384";
    text.parse().map_err(|error: BadProposal| Refused { why: error.to_string(), expected: EXPECTED })
}

/// An ESP proposal, such as `aes256gcm16`, or `aes128-sha256-x25519` with perfect forward
/// secrecy at a rekey. Extended sequence numbers are as the transform says, unless the
/// proposal has a word for it.
///
/// # Errors
/// What is wrong with it, and what was expected.
pub fn esp(text: &str, extended_sequence_number: bool) -> Result<EspProposal, Refused> {
    const EXPECTED: &str = "AES-GCM, AES-CCM, ChaCha20-Poly1305 or AES-GMAC, or AES-CBC with an integrity algorithm; a key exchange group for forward secrecy, like aes256gcm16-x25519";
    let refused = |why| Refused { why, expected: EXPECTED };
    let mut proposal: EspProposal = text.parse().map_err(|error: BadProposal| refused(error.to_string()))?;
    if extended_sequence_number && !text.contains("esn") {
        proposal.extended_sequence = vec![true, false];
    }
    Ok(proposal)
}

/// A kind of proposal.
pub struct Kind<T> {
    /// What it is where none is written; always parses.
    default: fn(AlgorithmProfile) -> &'static [&'static str],
    /// What a profile has against one.
    objections: fn(AlgorithmProfile, &T) -> Vec<Objection>,
    /// What is in one.
    algorithms: fn(&T) -> Vec<Algorithm>,
}

/// For IKE SAs.
pub const IKE: Kind<IkeProposal> = Kind {
    default: profile::ike_defaults,
    objections: AlgorithmProfile::ike_objections,
    algorithms: |proposal| proposal.algorithms().collect(),
};
/// For CHILD SAs.
pub const ESP: Kind<EspProposal> = Kind {
    default: profile::esp_defaults,
    objections: AlgorithmProfile::esp_objections,
    algorithms: |proposal| proposal.algorithms().collect(),
};

/// Each written proposal read and judged, or the defaults.
pub fn list<T>(
    judge: &mut Judge<'_>,
    (object, profile): (&str, AlgorithmProfile),
    written: Option<&Spanned<Vec<Text>>>,
    kind: &Kind<T>,
    parse: impl Fn(&str) -> Result<T, Refused>,
) -> Vec<T> {
    let Some(written) = written else {
        return (kind.default)(profile).iter().filter_map(|text| parse(text).ok()).collect();
    };
    if written.get_ref().is_empty() {
        judge.refuse(written.span().start, object, "proposals is empty".to_owned(), "at least one");
    }
    let mut read = Vec::new();
    for text in written.get_ref() {
        let (at, what) = (text.span().start, format!("proposal {:?}", text.get_ref()));
        match parse(text.get_ref()) {
            Ok(proposal) => {
                if !profile::refuse_legacy(judge, (object, at), &what, &(kind.algorithms)(&proposal)) {
                    let objections = (kind.objections)(profile, &proposal);
                    profile::object_to(judge, profile, (object, at), &what, &objections);
                }
                read.push(proposal);
            }
            Err(Refused { why, expected }) => {
                judge.refuse(at, object, format!("{what} is not valid: {why}"), expected);
            }
        }
    }
    read
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tunnel::suite;

    /// Extended sequence numbers come from the transform, and a word in the proposal wins.
    #[test]
    fn extended_sequence_numbers() {
        assert_eq!(esp("aes128gcm16", true).unwrap().extended_sequence, [true, false]);
        assert_eq!(esp("aes128gcm16", false).unwrap().extended_sequence, [false]);
        assert_eq!(esp("aes128gcm16-noesn", true).unwrap().extended_sequence, [false]);
    }

    /// Key exchanges that follow each other are one keyword, for both kinds; what goes on differently takes two
    /// proposals.
    #[test]
    fn additional_key_exchanges() {
        let hybrid = ike("aes256gcm16-prfsha384-x25519+mlkem768").unwrap();
        assert_eq!(hybrid.to_string(), "aes256gcm16-prfsha384-x25519+mlkem768");
        assert!(!esp("aes256gcm16-ecp384+mlkem1024", true).unwrap().additional.is_empty());
        let refused = ike("aes256gcm16-prfsha384-x25519+mlkem768-x25519").unwrap_err();
        assert!(refused.why.ends_with("write two"), "{}", refused.why);
    }

    /// Whatever may be negotiated the workers carry: what they could not is refused at once, not when a tunnel comes up.
    #[test]
    fn every_suite_of_a_proposal_is_the_workers() {
        for text in [
            "aes128gcm16-aes192gcm16-aes256gcm16-chacha20poly1305-aes128gmac-aes192gmac-aes256gmac-aes128ccm16-aes192ccm16-aes256ccm16",
            "null-aes128-aes192-aes256-3des-des-sha1-sha256-sha384-sha512-md5-aescmac",
        ] {
            let proposal = esp(text, false).unwrap();
            for encryption in &proposal.encryption {
                let integrities = proposal.integrity.iter().map(|integrity| Some(*integrity));
                let integrities: Vec<_> =
                    integrities.chain(proposal.integrity.is_empty().then_some(None)).collect();
                for integrity in integrities {
                    let suite = suite::carried(*encryption, integrity).unwrap();
                    let written = match integrity {
                        Some(integrity) => format!(
                            "{}-{}",
                            Algorithm::Encryption(*encryption),
                            Algorithm::Integrity(integrity)
                        ),
                        None => Algorithm::Encryption(*encryption).to_string(),
                    };
                    assert_eq!(suite.name(), written);
                }
            }
        }
        assert!(esp("aes128", false).unwrap_err().why.contains("integrity"));
        assert!(esp("aes128gcm16-sha256", false).unwrap_err().expected.contains("AES-GCM"));
    }
}
