//! Proposals by keyword (`ravelin_ike::crypto` knows the words), held to what this gateway's
//! workers can carry.

use ravelin_ike::config::{EspProposal, IkeProposal};

/// An IKE proposal, such as `aes256gcm16-prfsha384-ecp384`.
///
/// # Errors
/// What was expected.
pub fn ike(text: &str) -> Result<IkeProposal, String> {
    text.parse().map_err(|error| format!("another proposal: {error}"))
}

/// An ESP proposal, such as `aes256gcm16`, or `aes128gcm16-x25519` with perfect forward
/// secrecy at a rekey. Extended sequence numbers are as the transform says, unless the
/// proposal has a word for it.
///
/// # Errors
/// What was expected.
pub fn esp(text: &str, extended_sequence_number: bool) -> Result<EspProposal, String> {
    let mut proposal: EspProposal = text.parse().map_err(|error| format!("another proposal: {error}"))?;
    if !proposal.encryption.iter().all(|cipher| cipher.is_aead()) {
        return Err("AES-GCM, like aes256gcm16: the workers carry no CBC".into());
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

    /// What the workers cannot carry is refused at once, not when a tunnel comes up.
    #[test]
    fn no_cbc_for_esp() {
        assert!(esp("aes128-sha256", false).unwrap_err().contains("AES-GCM"));
        assert!(ike("aes128-sha256-modp2048").is_ok());
    }
}
