//! Signature schemes under the names of the two pure crates that must not know each other.

use ravelin_ike::config::SignatureScheme as Ike;
use ravelin_pki::SignatureScheme as Pki;

/// As the IKE engine names it.
pub fn to_ike(scheme: Pki) -> Ike {
    match scheme {
        Pki::RsaPkcs1Sha256 => Ike::RsaPkcs1Sha256,
        Pki::RsaPkcs1Sha384 => Ike::RsaPkcs1Sha384,
        Pki::RsaPkcs1Sha512 => Ike::RsaPkcs1Sha512,
        Pki::RsaPssSha256 => Ike::RsaPssSha256,
        Pki::RsaPssSha384 => Ike::RsaPssSha384,
        Pki::RsaPssSha512 => Ike::RsaPssSha512,
        Pki::EcdsaSha256 => Ike::EcdsaP256Sha256,
        Pki::EcdsaSha384 => Ike::EcdsaP384Sha384,
        Pki::EcdsaSha512 => Ike::EcdsaP521Sha512,
        Pki::Ed25519 => Ike::Ed25519,
    }
}

/// As the PKI names it.
pub fn to_pki(scheme: Ike) -> Pki {
    match scheme {
        Ike::RsaPkcs1Sha256 => Pki::RsaPkcs1Sha256,
        Ike::RsaPkcs1Sha384 => Pki::RsaPkcs1Sha384,
        Ike::RsaPkcs1Sha512 => Pki::RsaPkcs1Sha512,
        Ike::RsaPssSha256 => Pki::RsaPssSha256,
        Ike::RsaPssSha384 => Pki::RsaPssSha384,
        Ike::RsaPssSha512 => Pki::RsaPssSha512,
        Ike::EcdsaP256Sha256 => Pki::EcdsaSha256,
        Ike::EcdsaP384Sha384 => Pki::EcdsaSha384,
        Ike::EcdsaP521Sha512 => Pki::EcdsaSha512,
        Ike::Ed25519 => Pki::Ed25519,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No scheme changes its meaning on the way.
    #[test]
    fn both_ways() {
        for scheme in Ike::ALL {
            assert_eq!(to_ike(to_pki(scheme)), scheme);
        }
    }
}
