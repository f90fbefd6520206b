//! Object identifiers: an owned one that prints itself, and the ones this crate knows by name.
//!
//! An identifier is kept as its contents octets (X.690 §8.19); comparing octets compares identifiers because DER
//! gives each exactly one encoding, which [`Oid::parse`] checks.

use std::fmt;

use crate::der::{DerError, Element, tag};

/// An object identifier as it stands in a certificate.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Oid(Box<[u8]>);

/// Longest accepted encoding; identifiers in use are under 20 octets.
const MAX_OCTETS: usize = 63;

impl Oid {
    /// Takes an identifier from an OBJECT IDENTIFIER element.
    pub fn parse(element: Element<'_>) -> Result<Self, DerError> {
        Self::from_octets(element.tagged(tag::OID)?.content)
    }

    /// Takes an identifier from contents octets (used under IMPLICIT tags).
    pub fn from_octets(octets: &[u8]) -> Result<Self, DerError> {
        let ends = octets.last().is_some_and(|last| last & 0x80 == 0);
        // X.690 §8.19.2: the leading octet of a subidentifier is never 0x80.
        let mut arc_starts = true;
        let minimal = octets.iter().all(|&octet| {
            let good = !(arc_starts && octet == 0x80);
            arc_starts = octet & 0x80 == 0;
            good
        });
        if ends && minimal && octets.len() <= MAX_OCTETS {
            Ok(Self(octets.into()))
        } else {
            Err(DerError::Content("OBJECT IDENTIFIER"))
        }
    }

    /// The contents octets, to compare with the constants of this module.
    pub fn octets(&self) -> &[u8] {
        &self.0
    }

    /// Whether this is the identifier with these contents octets.
    pub fn is(&self, octets: &[u8]) -> bool {
        &*self.0 == octets
    }
}

impl From<Known> for Oid {
    fn from(known: Known) -> Self {
        Self(known.into())
    }
}

/// Contents octets of an identifier known at compile time.
pub type Known = &'static [u8];

impl fmt::Display for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((_, name)) = NAMES.iter().find(|(octets, _)| self.is(octets)) {
            return f.write_str(name);
        }
        write_dotted(&self.0, f)
    }
}

impl fmt::Debug for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_dotted(&self.0, f)
    }
}

fn write_dotted(octets: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut arc: u128 = 0;
    let mut first = true;
    for &octet in octets {
        arc = (arc << 7) | u128::from(octet & 0x7f);
        if octet & 0x80 != 0 {
            continue;
        }
        if first {
            let root = (arc / 40).min(2);
            write!(f, "{root}.{}", arc.saturating_sub(root.saturating_mul(40)))?;
            first = false;
        } else {
            write!(f, ".{arc}")?;
        }
        arc = 0;
    }
    Ok(())
}

macro_rules! known {
    ($($name:ident $octets:expr, $text:literal;)*) => {
        $(#[doc = concat!("`", $text, "`.")] pub const $name: Known = &$octets;)*
        const NAMES: &[(Known, &str)] = &[$(($name, $text)),*];
    };
}

known! {
    // RFC 5280 §4.2.1: id-ce, 2.5.29
    SUBJECT_KEY_IDENTIFIER [0x55, 0x1d, 14], "subjectKeyIdentifier";
    KEY_USAGE [0x55, 0x1d, 15], "keyUsage";
    SUBJECT_ALT_NAME [0x55, 0x1d, 17], "subjectAltName";
    ISSUER_ALT_NAME [0x55, 0x1d, 18], "issuerAltName";
    BASIC_CONSTRAINTS [0x55, 0x1d, 19], "basicConstraints";
    CRL_NUMBER [0x55, 0x1d, 20], "cRLNumber";
    REASON_CODE [0x55, 0x1d, 21], "reasonCode";
    INVALIDITY_DATE [0x55, 0x1d, 24], "invalidityDate";
    DELTA_CRL_INDICATOR [0x55, 0x1d, 27], "deltaCRLIndicator";
    ISSUING_DISTRIBUTION_POINT [0x55, 0x1d, 28], "issuingDistributionPoint";
    CERTIFICATE_ISSUER [0x55, 0x1d, 29], "certificateIssuer";
    NAME_CONSTRAINTS [0x55, 0x1d, 30], "nameConstraints";
    CRL_DISTRIBUTION_POINTS [0x55, 0x1d, 31], "cRLDistributionPoints";
    CERTIFICATE_POLICIES [0x55, 0x1d, 32], "certificatePolicies";
    ANY_POLICY [0x55, 0x1d, 32, 0], "anyPolicy";
    POLICY_MAPPINGS [0x55, 0x1d, 33], "policyMappings";
    AUTHORITY_KEY_IDENTIFIER [0x55, 0x1d, 35], "authorityKeyIdentifier";
    POLICY_CONSTRAINTS [0x55, 0x1d, 36], "policyConstraints";
    EXTENDED_KEY_USAGE [0x55, 0x1d, 37], "extendedKeyUsage";
    ANY_EXTENDED_KEY_USAGE [0x55, 0x1d, 37, 0], "anyExtendedKeyUsage";
    INHIBIT_ANY_POLICY [0x55, 0x1d, 54], "inhibitAnyPolicy";
    // RFC 5280 §4.2.2.1, RFC 6960 §4.2 and §4.4: where and how to ask an OCSP responder
    AUTHORITY_INFO_ACCESS [0x2b, 6, 1, 5, 5, 7, 1, 1], "authorityInfoAccess";
    AD_OCSP [0x2b, 6, 1, 5, 5, 7, 48, 1], "ocsp";
    OCSP_BASIC [0x2b, 6, 1, 5, 5, 7, 48, 1, 1], "basicOCSPResponse";
    OCSP_NONCE [0x2b, 6, 1, 5, 5, 7, 48, 1, 2], "ocspNonce";
    OCSP_NO_CHECK [0x2b, 6, 1, 5, 5, 7, 48, 1, 5], "ocspNoCheck";
    // RFC 5280 §4.2.1.4: policy qualifiers
    QUALIFIER_CPS [0x2b, 6, 1, 5, 5, 7, 2, 1], "cps";
    QUALIFIER_USER_NOTICE [0x2b, 6, 1, 5, 5, 7, 2, 2], "userNotice";
    // RFC 5280 §4.2.1.12, RFC 4945 §5.1.3.12: id-kp
    SERVER_AUTH [0x2b, 6, 1, 5, 5, 7, 3, 1], "serverAuth";
    CLIENT_AUTH [0x2b, 6, 1, 5, 5, 7, 3, 2], "clientAuth";
    CODE_SIGNING [0x2b, 6, 1, 5, 5, 7, 3, 3], "codeSigning";
    EMAIL_PROTECTION [0x2b, 6, 1, 5, 5, 7, 3, 4], "emailProtection";
    IPSEC_IKE [0x2b, 6, 1, 5, 5, 7, 3, 17], "ipsecIKE";
    IKE_INTERMEDIATE [0x2b, 6, 1, 5, 5, 8, 2, 2], "iKEIntermediate";
    OCSP_SIGNING [0x2b, 6, 1, 5, 5, 7, 3, 9], "OCSPSigning";
    // RFC 4519, RFC 2985: attributes of names
    COMMON_NAME [0x55, 4, 3], "CN";
    SURNAME [0x55, 4, 4], "SN";
    SERIAL_NUMBER [0x55, 4, 5], "serialNumber";
    COUNTRY [0x55, 4, 6], "C";
    LOCALITY [0x55, 4, 7], "L";
    STATE [0x55, 4, 8], "ST";
    STREET [0x55, 4, 9], "street";
    ORGANIZATION [0x55, 4, 10], "O";
    ORGANIZATIONAL_UNIT [0x55, 4, 11], "OU";
    TITLE [0x55, 4, 12], "title";
    GIVEN_NAME [0x55, 4, 42], "GN";
    DN_QUALIFIER [0x55, 4, 46], "dnQualifier";
    USER_ID [0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 1], "UID";
    DOMAIN_COMPONENT [0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25], "DC";
    EMAIL_ADDRESS [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1], "emailAddress";
    // RFC 3279, RFC 4055, RFC 5480, RFC 8410: keys
    RSA_ENCRYPTION [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1], "rsaEncryption";
    RSASSA_PSS [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 10], "RSASSA-PSS";
    MGF1 [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 8], "MGF1";
    EC_PUBLIC_KEY [0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1], "ecPublicKey";
    P256 [0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7], "P-256";
    P384 [0x2b, 0x81, 4, 0, 34], "P-384";
    P521 [0x2b, 0x81, 4, 0, 35], "P-521";
    ED25519 [0x2b, 101, 112], "Ed25519";
    ED448 [0x2b, 101, 113], "Ed448";
    // RFC 4055, RFC 5758: signatures
    SHA256_WITH_RSA [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 11], "sha256WithRSAEncryption";
    SHA384_WITH_RSA [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 12], "sha384WithRSAEncryption";
    SHA512_WITH_RSA [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 13], "sha512WithRSAEncryption";
    ECDSA_WITH_SHA256 [0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2], "ecdsa-with-SHA256";
    ECDSA_WITH_SHA384 [0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3], "ecdsa-with-SHA384";
    ECDSA_WITH_SHA512 [0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 4], "ecdsa-with-SHA512";
    SHA1 [0x2b, 14, 3, 2, 26], "SHA-1";
    SHA256 [0x60, 0x86, 0x48, 1, 101, 3, 4, 2, 1], "SHA-256";
    SHA384 [0x60, 0x86, 0x48, 1, 101, 3, 4, 2, 2], "SHA-384";
    SHA512 [0x60, 0x86, 0x48, 1, 101, 3, 4, 2, 3], "SHA-512";
    // RFC 5652, RFC 7292, RFC 2985: containers
    CMS_DATA [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 1], "data";
    CMS_SIGNED_DATA [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 2], "signedData";
    CMS_ENCRYPTED_DATA [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 6], "encryptedData";
    KEY_BAG [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 12, 10, 1, 1], "keyBag";
    SHROUDED_KEY_BAG [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 12, 10, 1, 2], "pkcs8ShroudedKeyBag";
    CERTIFICATE_BAG [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 12, 10, 1, 3], "certBag";
    CRL_BAG [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 12, 10, 1, 4], "crlBag";
    X509_CERTIFICATE [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 22, 1], "x509Certificate";
    X509_CRL [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 23, 1], "x509Crl";
    CHALLENGE_PASSWORD [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 7], "challengePassword";
    EXTENSION_REQUEST [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 14], "extensionRequest";
    FRIENDLY_NAME [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 20], "friendlyName";
    LOCAL_KEY_ID [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 21], "localKeyId";
    PBES2 [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 5, 13], "PBES2";
    // Known so that they can be refused by name
    PBE_MD5_DES [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 5, 3], "pbeWithMD5AndDES-CBC";
    PBE_SHA1_DES [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 5, 10], "pbeWithSHA1AndDES-CBC";
    PBE_SHA1_3DES [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 12, 1, 3], "pbeWithSHAAnd3-KeyTripleDES-CBC";
    PBE_SHA1_RC2_128 [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 12, 1, 5], "pbeWithSHAAnd128BitRC2-CBC";
    PBE_SHA1_RC2_40 [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 12, 1, 6], "pbeWithSHAAnd40BitRC2-CBC";
    PBMAC1 [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 5, 14], "PBMAC1";
    MD5_WITH_RSA [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 4], "md5WithRSAEncryption";
    SHA1_WITH_RSA [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 5], "sha1WithRSAEncryption";
    // RFC 3279 §2.3.2
    DSA [0x2a, 0x86, 0x48, 0xce, 0x38, 4, 1], "id-dsa";
    ECDSA_WITH_SHA1 [0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 1], "ecdsa-with-SHA1";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_dotted_and_by_name() {
        assert_eq!(format!("{:?}", Oid::from(IPSEC_IKE)), "1.3.6.1.5.5.7.3.17");
        assert_eq!(format!("{}", Oid::from(IPSEC_IKE)), "ipsecIKE");
        assert_eq!(format!("{:?}", Oid::from(RSA_ENCRYPTION)), "1.2.840.113549.1.1.1");
        assert_eq!(format!("{:?}", Oid::from(KEY_USAGE)), "2.5.29.15");
        assert_eq!(format!("{:?}", Oid::from(ED25519)), "1.3.101.112");
        assert_eq!(format!("{:?}", Oid::from(USER_ID)), "0.9.2342.19200300.100.1.1");
        assert_eq!(format!("{:?}", Oid::from(P384)), "1.3.132.0.34");
    }

    #[test]
    fn refuses_encodings_that_are_not_minimal_or_do_not_end() {
        for bad in [&[][..], &[0x55, 0x80], &[0x55, 0x80, 0x01], &[0x80], &[0x55; 64]] {
            assert!(Oid::from_octets(bad).is_err(), "{bad:02x?}");
        }
        for (octets, name) in NAMES {
            assert!(Oid::from_octets(octets).is_ok(), "{name}");
        }
    }

    #[test]
    fn enormous_arcs_print_without_panicking() {
        let octets = [[0xff; 62].as_slice(), &[0x7f]].concat();
        assert!(!format!("{:?}", Oid::from_octets(&octets).unwrap()).is_empty());
    }
}
