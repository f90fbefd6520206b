//! The algorithms a connection may offer or accept (IANA "IKEv2 Parameters", RFC 8247, RFC 8221).
//!
//! Only algorithms that the engine and the data plane can carry out have a name here, so an offer can
//! never promise what we cannot keep. What the peer offers beyond these is ignored, not an error.

use super::AdditionalGroups;

/// Encryption for an IKE SA or a CHILD_SA; key lengths in bits are part of the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Encryption {
    /// ENCR_AES_GCM_16 (20), 128-bit key (RFC 4106, RFC 5282).
    AesGcm128,
    /// ENCR_AES_GCM_16 (20), 192-bit key.
    AesGcm192,
    /// ENCR_AES_GCM_16 (20), 256-bit key.
    AesGcm256,
    /// ENCR_AES_CBC (12), 128-bit key (RFC 3602). Needs an integrity algorithm.
    AesCbc128,
    /// ENCR_AES_CBC (12), 192-bit key. Needs an integrity algorithm.
    AesCbc192,
    /// ENCR_AES_CBC (12), 256-bit key. Needs an integrity algorithm.
    AesCbc256,
    /// ENCR_CHACHA20_POLY1305 (28, RFC 7634).
    ChaCha20Poly1305,
    /// ENCR_AES_CCM_16 (16), 128-bit key (RFC 4309, RFC 5282).
    AesCcm128,
    /// ENCR_AES_CCM_16 (16), 192-bit key.
    AesCcm192,
    /// ENCR_AES_CCM_16 (16), 256-bit key.
    AesCcm256,
    /// ENCR_NULL (11, RFC 2410): ESP only. Needs an integrity algorithm.
    Null,
    /// ENCR_NULL_AUTH_AES_GMAC (21), 128-bit key (RFC 4543): ESP only.
    AesGmac128,
    /// ENCR_NULL_AUTH_AES_GMAC (21), 192-bit key.
    AesGmac192,
    /// ENCR_NULL_AUTH_AES_GMAC (21), 256-bit key.
    AesGmac256,
    /// ENCR_3DES (3, RFC 2451). Legacy. Needs an integrity algorithm.
    TripleDes,
    /// ENCR_DES (2, RFC 2405): ESP only. Legacy. Needs an integrity algorithm.
    Des,
}

impl Encryption {
    /// Every cipher.
    pub const ALL: [Encryption; 16] = [
        Encryption::AesGcm128,
        Encryption::AesGcm192,
        Encryption::AesGcm256,
        Encryption::AesCbc128,
        Encryption::AesCbc192,
        Encryption::AesCbc256,
        Encryption::ChaCha20Poly1305,
        Encryption::AesCcm128,
        Encryption::AesCcm192,
        Encryption::AesCcm256,
        Encryption::Null,
        Encryption::AesGmac128,
        Encryption::AesGmac192,
        Encryption::AesGmac256,
        Encryption::TripleDes,
        Encryption::Des,
    ];

    /// The transform ID of type 1 (ENCR).
    pub fn transform_id(self) -> u16 {
        match self {
            Encryption::AesGcm128 | Encryption::AesGcm192 | Encryption::AesGcm256 => 20,
            Encryption::AesCbc128 | Encryption::AesCbc192 | Encryption::AesCbc256 => 12,
            Encryption::ChaCha20Poly1305 => 28,
            Encryption::AesCcm128 | Encryption::AesCcm192 | Encryption::AesCcm256 => 16,
            Encryption::Null => 11,
            Encryption::AesGmac128 | Encryption::AesGmac192 | Encryption::AesGmac256 => 21,
            Encryption::TripleDes => 3,
            Encryption::Des => 2,
        }
    }

    /// The key length attribute, which the others must not have, their keys being of one length (RFC 7296 §3.3.5, RFC
    /// 7634 §4).
    pub fn key_length_attribute(self) -> Option<u16> {
        use Encryption::{ChaCha20Poly1305, Des, Null, TripleDes};
        (!matches!(self, ChaCha20Poly1305 | Null | TripleDes | Des)).then(|| self.key_bits())
    }

    /// Bits of key, with DES those of parity among them.
    pub fn key_bits(self) -> u16 {
        match self {
            Encryption::Null => 0,
            Encryption::Des => 64,
            Encryption::TripleDes => 192,
            Encryption::ChaCha20Poly1305 => 256,
            Encryption::AesGcm128
            | Encryption::AesCbc128
            | Encryption::AesGmac128
            | Encryption::AesCcm128 => 128,
            Encryption::AesGcm192
            | Encryption::AesCbc192
            | Encryption::AesGmac192
            | Encryption::AesCcm192 => 192,
            Encryption::AesGcm256
            | Encryption::AesCbc256
            | Encryption::AesGmac256
            | Encryption::AesCcm256 => 256,
        }
    }

    /// Whether the cipher authenticates by itself, so that no integrity transform goes with it.
    pub fn is_aead(self) -> bool {
        use Encryption::{
            AesGcm128, AesGcm192, AesGcm256, AesGmac128, AesGmac192, AesGmac256, ChaCha20Poly1305,
        };
        let gmac = matches!(self, AesGmac128 | AesGmac192 | AesGmac256);
        gmac || self.is_ccm() || matches!(self, AesGcm128 | AesGcm192 | AesGcm256 | ChaCha20Poly1305)
    }

    /// Whether it is AES-CCM.
    pub fn is_ccm(self) -> bool {
        matches!(self, Encryption::AesCcm128 | Encryption::AesCcm192 | Encryption::AesCcm256)
    }

    /// Whether an IKE SA may have it, whose cipher has to encrypt (RFC 7296 §3.14); DES, which RFC 8247 §2.1 forbids,
    /// is there for ESP alone.
    pub fn is_for_ike(self) -> bool {
        use Encryption::{AesGmac128, AesGmac192, AesGmac256, Des, Null};
        !matches!(self, Null | AesGmac128 | AesGmac192 | AesGmac256 | Des)
    }

    /// Octets of salt, the implicit part of the nonce of AEAD ciphers (RFC 4106 §8.1, RFC 7634 §2, RFC 4543 §5.3, RFC 4309
    /// §7.1).
    pub fn salt_len(self) -> usize {
        match self {
            _ if self.is_ccm() => 3,
            _ if self.is_aead() => 4,
            _ => 0,
        }
    }

    /// Octets of keying material taken per direction: the key, and the salt.
    pub fn keymat_len(self) -> usize {
        usize::from(self.key_bits() / 8) + self.salt_len()
    }
}

/// Integrity for an IKE SA or a CHILD_SA whose cipher does not authenticate (RFC 4868).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Integrity {
    /// AUTH_HMAC_SHA1_96 (2, RFC 2404): for peers that have no other.
    HmacSha1,
    /// AUTH_HMAC_SHA2_256_128 (12).
    HmacSha256,
    /// AUTH_HMAC_SHA2_384_192 (13).
    HmacSha384,
    /// AUTH_HMAC_SHA2_512_256 (14).
    HmacSha512,
    /// AUTH_HMAC_MD5_96 (1, RFC 2403). Legacy.
    HmacMd5,
    /// AUTH_AES_CMAC_96 (8, RFC 4494), with a 128-bit key.
    AesCmac,
}

impl Integrity {
    /// Every algorithm.
    pub const ALL: [Integrity; 6] = [
        Integrity::HmacSha1,
        Integrity::HmacSha256,
        Integrity::HmacSha384,
        Integrity::HmacSha512,
        Integrity::HmacMd5,
        Integrity::AesCmac,
    ];

    /// The transform ID of type 3 (INTEG).
    pub fn transform_id(self) -> u16 {
        match self {
            Integrity::HmacSha1 => 2,
            Integrity::HmacSha256 => 12,
            Integrity::HmacSha384 => 13,
            Integrity::HmacSha512 => 14,
            Integrity::HmacMd5 => 1,
            Integrity::AesCmac => 8,
        }
    }

    /// Octets of key, equal to the output (RFC 2403 §2, RFC 2404 §3, RFC 4868 §2.1.1, RFC 4494 §2).
    pub fn key_len(self) -> usize {
        match self {
            Integrity::HmacSha1 => 20,
            Integrity::HmacSha256 => 32,
            Integrity::HmacSha384 => 48,
            Integrity::HmacSha512 => 64,
            Integrity::HmacMd5 | Integrity::AesCmac => 16,
        }
    }
}

/// Pseudo-random function of an IKE SA (RFC 4868 §2.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Prf {
    /// PRF_HMAC_SHA1 (2, RFC 2104): for peers that have no other.
    HmacSha1,
    /// PRF_HMAC_SHA2_256 (5).
    HmacSha256,
    /// PRF_HMAC_SHA2_384 (6).
    HmacSha384,
    /// PRF_HMAC_SHA2_512 (7).
    HmacSha512,
    /// PRF_HMAC_MD5 (1, RFC 2104). Legacy.
    HmacMd5,
    /// PRF_AES128_CMAC (8, RFC 4615).
    AesCmac,
}

impl Prf {
    /// Every function.
    pub const ALL: [Prf; 6] =
        [Prf::HmacSha1, Prf::HmacSha256, Prf::HmacSha384, Prf::HmacSha512, Prf::HmacMd5, Prf::AesCmac];

    /// The transform ID of type 2 (PRF).
    pub fn transform_id(self) -> u16 {
        match self {
            Prf::HmacSha1 => 2,
            Prf::HmacSha256 => 5,
            Prf::HmacSha384 => 6,
            Prf::HmacSha512 => 7,
            Prf::HmacMd5 => 1,
            Prf::AesCmac => 8,
        }
    }
}

/// Key exchange method ("Diffie-Hellman group", transform type 4; for additional exchanges types 6 to 12).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Group {
    /// 1024-bit MODP (2, RFC 2409 §6.2). Legacy.
    Modp1024,
    /// 2048-bit MODP (14, RFC 3526).
    Modp2048,
    /// 3072-bit MODP (15, RFC 3526).
    Modp3072,
    /// 4096-bit MODP (16, RFC 3526).
    Modp4096,
    /// 6144-bit MODP (17, RFC 3526).
    Modp6144,
    /// 8192-bit MODP (18, RFC 3526).
    Modp8192,
    /// 256-bit random ECP (19, RFC 5903).
    EcpP256,
    /// 384-bit random ECP (20).
    EcpP384,
    /// 521-bit random ECP (21).
    EcpP521,
    /// Curve25519 (31, RFC 8031).
    X25519,
    /// ML-KEM-512 (35, FIPS 203, draft-ietf-ipsecme-ikev2-mlkem).
    MlKem512,
    /// ML-KEM-768 (36).
    MlKem768,
    /// ML-KEM-1024 (37).
    MlKem1024,
}

impl Group {
    /// Every method, in the order of their numbers.
    pub const ALL: [Group; 13] = [
        Group::Modp1024,
        Group::Modp2048,
        Group::Modp3072,
        Group::Modp4096,
        Group::Modp6144,
        Group::Modp8192,
        Group::EcpP256,
        Group::EcpP384,
        Group::EcpP521,
        Group::X25519,
        Group::MlKem512,
        Group::MlKem768,
        Group::MlKem1024,
    ];

    /// The transform ID of type 4 (KE), as it also stands in a KE payload.
    pub fn transform_id(self) -> u16 {
        match self {
            Group::Modp1024 => 2,
            Group::Modp2048 => 14,
            Group::Modp3072 => 15,
            Group::Modp4096 => 16,
            Group::Modp6144 => 17,
            Group::Modp8192 => 18,
            Group::EcpP256 => 19,
            Group::EcpP384 => 20,
            Group::EcpP521 => 21,
            Group::X25519 => 31,
            Group::MlKem512 => 35,
            Group::MlKem768 => 36,
            Group::MlKem1024 => 37,
        }
    }

    /// The group with this transform ID, if we know it.
    pub fn from_transform_id(id: u16) -> Option<Group> {
        Group::ALL.into_iter().find(|group| group.transform_id() == id)
    }
}

/// Hash of a digital signature, as announced in SIGNATURE_HASH_ALGORITHMS (RFC 7427 §4, RFC 8420).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HashAlgorithm {
    /// SHA2-256 (2).
    Sha256,
    /// SHA2-384 (3).
    Sha384,
    /// SHA2-512 (4).
    Sha512,
    /// Identity (5), the message itself is signed (RFC 8420).
    Identity,
}

impl HashAlgorithm {
    /// All we can verify, in the order we announce them.
    pub const ALL: [HashAlgorithm; 4] =
        [HashAlgorithm::Sha256, HashAlgorithm::Sha384, HashAlgorithm::Sha512, HashAlgorithm::Identity];

    /// The number in the notification.
    pub fn number(self) -> u16 {
        match self {
            HashAlgorithm::Sha256 => 2,
            HashAlgorithm::Sha384 => 3,
            HashAlgorithm::Sha512 => 4,
            HashAlgorithm::Identity => 5,
        }
    }
}

/// A digital signature scheme, sent as an AlgorithmIdentifier in an AUTH payload of method 14 (RFC 7427).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SignatureScheme {
    /// sha256WithRSAEncryption.
    RsaPkcs1Sha256,
    /// sha384WithRSAEncryption.
    RsaPkcs1Sha384,
    /// sha512WithRSAEncryption.
    RsaPkcs1Sha512,
    /// RSASSA-PSS with SHA-256 and a 32-octet salt.
    RsaPssSha256,
    /// RSASSA-PSS with SHA-384 and a 48-octet salt.
    RsaPssSha384,
    /// RSASSA-PSS with SHA-512 and a 64-octet salt.
    RsaPssSha512,
    /// ecdsa-with-SHA256 (any curve the key has; we sign with P-256).
    EcdsaP256Sha256,
    /// ecdsa-with-SHA384 (we sign with P-384).
    EcdsaP384Sha384,
    /// ecdsa-with-SHA512 (we sign with P-521).
    EcdsaP521Sha512,
    /// Ed25519 (RFC 8420).
    Ed25519,
}

impl SignatureScheme {
    /// Every scheme, strongest habit first; the order breaks no tie, configuration does.
    pub const ALL: [SignatureScheme; 10] = [
        SignatureScheme::Ed25519,
        SignatureScheme::EcdsaP256Sha256,
        SignatureScheme::EcdsaP384Sha384,
        SignatureScheme::EcdsaP521Sha512,
        SignatureScheme::RsaPssSha256,
        SignatureScheme::RsaPssSha384,
        SignatureScheme::RsaPssSha512,
        SignatureScheme::RsaPkcs1Sha256,
        SignatureScheme::RsaPkcs1Sha384,
        SignatureScheme::RsaPkcs1Sha512,
    ];

    /// Its name for people.
    pub fn name(self) -> &'static str {
        match self {
            SignatureScheme::RsaPkcs1Sha256 => "rsa-pkcs1-sha256",
            SignatureScheme::RsaPkcs1Sha384 => "rsa-pkcs1-sha384",
            SignatureScheme::RsaPkcs1Sha512 => "rsa-pkcs1-sha512",
            SignatureScheme::RsaPssSha256 => "rsa-pss-sha256",
            SignatureScheme::RsaPssSha384 => "rsa-pss-sha384",
            SignatureScheme::RsaPssSha512 => "rsa-pss-sha512",
            SignatureScheme::EcdsaP256Sha256 => "ecdsa-p256-sha256",
            SignatureScheme::EcdsaP384Sha384 => "ecdsa-p384-sha384",
            SignatureScheme::EcdsaP521Sha512 => "ecdsa-p521-sha512",
            SignatureScheme::Ed25519 => "ed25519",
        }
    }

    /// The hash the peer must have announced before we may sign with this (RFC 7427 §4).
    pub fn hash(self) -> HashAlgorithm {
        use SignatureScheme as S;
        match self {
            S::RsaPkcs1Sha256 | S::RsaPssSha256 | S::EcdsaP256Sha256 => HashAlgorithm::Sha256,
            S::RsaPkcs1Sha384 | S::RsaPssSha384 | S::EcdsaP384Sha384 => HashAlgorithm::Sha384,
            S::RsaPkcs1Sha512 | S::RsaPssSha512 | S::EcdsaP521Sha512 => HashAlgorithm::Sha512,
            S::Ed25519 => HashAlgorithm::Identity,
        }
    }
}

/// One proposal for an IKE SA: in each list, any one of the entries, first preferred.
///
/// AEAD ciphers and ciphers that need `integrity` must not share a proposal (RFC 7296 §3.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IkeProposal {
    /// Ciphers.
    pub encryption: Vec<Encryption>,
    /// Integrity algorithms; empty with AEAD ciphers.
    pub integrity: Vec<Integrity>,
    /// Pseudo-random functions; never empty.
    pub prf: Vec<Prf>,
    /// Key exchange methods; never empty. The first of the first proposal is the one we send a KE for.
    pub groups: Vec<Group>,
    /// What follows the first key exchange, by whichever of `groups` that is done, none of which is among these.
    pub additional: AdditionalGroups,
}

/// One proposal for a CHILD_SA protected by ESP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EspProposal {
    /// Ciphers.
    pub encryption: Vec<Encryption>,
    /// Integrity algorithms; empty with AEAD ciphers.
    pub integrity: Vec<Integrity>,
    /// Groups for perfect forward secrecy in CREATE_CHILD_SA; empty means none. Never part of the offer in
    /// IKE_AUTH, which has no KE payload (RFC 7296 §1.2).
    pub groups: Vec<Group>,
    /// What follows the first key exchange, by whichever of `groups` that is done, none of which is among these.
    pub additional: AdditionalGroups,
    /// Extended sequence numbers we accept, preferred first; `[false]` means 32-bit numbers only.
    pub extended_sequence: Vec<bool>,
}
