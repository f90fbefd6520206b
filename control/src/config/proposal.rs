//! Proposals by keyword (`ravelin_ike::crypto` knows the words), held to what this gateway's
//! workers can carry.

use ravelin_ike::config::{EspProposal, IkeProposal};
use ravelin_ike::crypto::BadProposal;

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

/// An ESP proposal, such as `aes256gcm16`, or `aes128gcm16-x25519` with perfect forward
/// secrecy at a rekey. Extended sequence numbers are as the transform says, unless the
/// proposal has a word for it.
///
/// # Errors
/// What is wrong with it, and what was expected.
pub fn esp(text: &str, extended_sequence_number: bool) -> Result<EspProposal, Refused> {
    const EXPECTED: &str = "AES-GCM, with a key exchange group for forward secrecy, like aes256gcm16-x25519";
    let refused = |why| Refused { why, expected: EXPECTED };
    let mut proposal: EspProposal = text.parse().map_err(|error: BadProposal| refused(error.to_string()))?;
    if !proposal.encryption.iter().all(|cipher| cipher.is_aead()) {
        return Err(refused("the workers carry no CBC".into()));
    }
    if extended_sequence_number && !text.contains("esn") {
        proposal.extended_sequence = vec![true, false];
    }
    Ok(proposal)
}

#[cfg(test)]
mod tests {
    use super::*;

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

    /// What the workers cannot carry is refused at once, not when a tunnel comes up.
    #[test]
    fn no_cbc_for_esp() {
        assert!(esp("aes128-sha256", false).unwrap_err().expected.contains("AES-GCM"));
        assert!(ike("aes128-sha256-modp2048").is_ok());
    }
}
