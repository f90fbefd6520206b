//! The IANA "Internet Key Exchange Version 2 (IKEv2) Parameters" registries we speak, one enum each.
//!
//! Every enum keeps numbers it does not know in `Other`, so reading never fails here and what was
//! read can be shown and written again. `Display` prints the registry's own name.

macro_rules! registry {
    ($(#[$doc:meta])* $name:ident: $int:ty { $($variant:ident = $value:literal $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $(#[doc = concat!($text, " (", stringify!($value), ")")] $variant,)*
            /// A number not listed here.
            Other($int),
        }

        impl From<$int> for $name {
            fn from(value: $int) -> Self {
                match value { $($value => Self::$variant,)* other => Self::Other(other) }
            }
        }

        impl From<$name> for $int {
            fn from(value: $name) -> $int {
                match value { $($name::$variant => $value,)* $name::Other(other) => other }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match self { $(Self::$variant => out.pad($text),)* Self::Other(other) => write!(out, "{other}") }
            }
        }

        #[cfg(test)]
        impl $name {
            /// Every number listed, for the tests of the mapping.
            pub(crate) const LISTED: &'static [$int] = &[$($value),*];
        }
    };
}

registry! {
    /// Exchange types (RFC 7296 §3.1).
    ExchangeType: u8 {
        IkeSaInit = 34 "IKE_SA_INIT",
        IkeAuth = 35 "IKE_AUTH",
        CreateChildSa = 36 "CREATE_CHILD_SA",
        Informational = 37 "INFORMATIONAL",
        IkeSessionResume = 38 "IKE_SESSION_RESUME",
        IkeIntermediate = 43 "IKE_INTERMEDIATE",
        IkeFollowupKe = 44 "IKE_FOLLOWUP_KE",
    }
}

registry! {
    /// Payload types (RFC 7296 §3.2, RFC 7383 §2.5).
    PayloadType: u8 {
        None = 0 "No Next Payload",
        SecurityAssociation = 33 "SA",
        KeyExchange = 34 "KE",
        IdentificationInitiator = 35 "IDi",
        IdentificationResponder = 36 "IDr",
        Certificate = 37 "CERT",
        CertificateRequest = 38 "CERTREQ",
        Authentication = 39 "AUTH",
        Nonce = 40 "Nonce",
        Notify = 41 "N",
        Delete = 42 "D",
        VendorId = 43 "V",
        TrafficSelectorsInitiator = 44 "TSi",
        TrafficSelectorsResponder = 45 "TSr",
        Encrypted = 46 "SK",
        Configuration = 47 "CP",
        Eap = 48 "EAP",
        EncryptedFragment = 53 "SKF",
    }
}

registry! {
    /// Security protocol identifiers (RFC 7296 §3.3.1).
    Protocol: u8 {
        Ike = 1 "IKE",
        Ah = 2 "AH",
        Esp = 3 "ESP",
    }
}

registry! {
    /// Transform types (RFC 7296 §3.3.2, RFC 9370 §2.2.1).
    TransformType: u8 {
        Encryption = 1 "ENCR",
        PseudoRandomFunction = 2 "PRF",
        Integrity = 3 "INTEG",
        KeyExchange = 4 "KE",
        SequenceNumbers = 5 "ESN",
        AdditionalKeyExchange1 = 6 "ADDKE1",
        AdditionalKeyExchange2 = 7 "ADDKE2",
        AdditionalKeyExchange3 = 8 "ADDKE3",
        AdditionalKeyExchange4 = 9 "ADDKE4",
        AdditionalKeyExchange5 = 10 "ADDKE5",
        AdditionalKeyExchange6 = 11 "ADDKE6",
        AdditionalKeyExchange7 = 12 "ADDKE7",
    }
}

impl TransformType {
    /// The types of additional key exchanges, in the order in which these follow the first (RFC 9370 §2.2.1). Their
    /// methods are those of [`TransformType::KeyExchange`].
    pub const ADDITIONAL: [Self; 7] = [
        Self::AdditionalKeyExchange1,
        Self::AdditionalKeyExchange2,
        Self::AdditionalKeyExchange3,
        Self::AdditionalKeyExchange4,
        Self::AdditionalKeyExchange5,
        Self::AdditionalKeyExchange6,
        Self::AdditionalKeyExchange7,
    ];
}

registry! {
    /// Encryption transforms (type 1).
    EncryptionId: u16 {
        TripleDes = 3 "3DES",
        Null = 11 "NULL",
        AesCbc = 12 "AES_CBC",
        AesCtr = 13 "AES_CTR",
        AesCcm8 = 14 "AES_CCM_8",
        AesCcm12 = 15 "AES_CCM_12",
        AesCcm16 = 16 "AES_CCM_16",
        AesGcm8 = 18 "AES_GCM_8",
        AesGcm12 = 19 "AES_GCM_12",
        AesGcm16 = 20 "AES_GCM_16",
        NullAuthAesGmac = 21 "NULL_AUTH_AES_GMAC",
        CamelliaCbc = 23 "CAMELLIA_CBC",
        ChaCha20Poly1305 = 28 "CHACHA20_POLY1305",
    }
}

registry! {
    /// Pseudorandom function transforms (type 2).
    PrfId: u16 {
        HmacMd5 = 1 "HMAC_MD5",
        HmacSha1 = 2 "HMAC_SHA1",
        Aes128Xcbc = 4 "AES128_XCBC",
        HmacSha2_256 = 5 "HMAC_SHA2_256",
        HmacSha2_384 = 6 "HMAC_SHA2_384",
        HmacSha2_512 = 7 "HMAC_SHA2_512",
        Aes128Cmac = 8 "AES128_CMAC",
    }
}

registry! {
    /// Integrity transforms (type 3).
    IntegrityId: u16 {
        None = 0 "NONE",
        HmacMd5_96 = 1 "HMAC_MD5_96",
        HmacSha1_96 = 2 "HMAC_SHA1_96",
        AesXcbc96 = 5 "AES_XCBC_96",
        AesCmac96 = 8 "AES_CMAC_96",
        HmacSha2_256_128 = 12 "HMAC_SHA2_256_128",
        HmacSha2_384_192 = 13 "HMAC_SHA2_384_192",
        HmacSha2_512_256 = 14 "HMAC_SHA2_512_256",
    }
}

registry! {
    /// Key exchange methods (type 4), formerly Diffie-Hellman groups.
    KeyExchangeId: u16 {
        None = 0 "NONE",
        Modp768 = 1 "MODP_768",
        Modp1024 = 2 "MODP_1024",
        Modp1536 = 5 "MODP_1536",
        Modp2048 = 14 "MODP_2048",
        Modp3072 = 15 "MODP_3072",
        Modp4096 = 16 "MODP_4096",
        Modp6144 = 17 "MODP_6144",
        Modp8192 = 18 "MODP_8192",
        Ecp256 = 19 "ECP_256",
        Ecp384 = 20 "ECP_384",
        Ecp521 = 21 "ECP_521",
        Modp1024Prime160 = 22 "MODP_1024_160",
        Modp2048Prime224 = 23 "MODP_2048_224",
        Modp2048Prime256 = 24 "MODP_2048_256",
        Ecp192 = 25 "ECP_192",
        Ecp224 = 26 "ECP_224",
        BrainpoolP224 = 27 "ECP_224_BP",
        BrainpoolP256 = 28 "ECP_256_BP",
        BrainpoolP384 = 29 "ECP_384_BP",
        BrainpoolP512 = 30 "ECP_512_BP",
        Curve25519 = 31 "CURVE_25519",
        Curve448 = 32 "CURVE_448",
        MlKem512 = 35 "ML_KEM_512",
        MlKem768 = 36 "ML_KEM_768",
        MlKem1024 = 37 "ML_KEM_1024",
    }
}

registry! {
    /// Sequence number transforms (type 5).
    SequenceNumbersId: u16 {
        ThirtyTwoBit = 0 "NO_EXT_SEQ",
        Extended = 1 "EXT_SEQ",
    }
}

registry! {
    /// Identification payload types (RFC 7296 §3.5).
    IdentificationType: u8 {
        Ipv4Address = 1 "ID_IPV4_ADDR",
        Fqdn = 2 "ID_FQDN",
        Rfc822Address = 3 "ID_RFC822_ADDR",
        Ipv6Address = 5 "ID_IPV6_ADDR",
        DerAsn1Dn = 9 "ID_DER_ASN1_DN",
        DerAsn1Gn = 10 "ID_DER_ASN1_GN",
        KeyId = 11 "ID_KEY_ID",
        Null = 13 "ID_NULL",
    }
}

registry! {
    /// Certificate encodings (RFC 7296 §3.6).
    CertificateEncoding: u8 {
        Pkcs7 = 1 "PKCS #7 wrapped X.509 certificate",
        X509Signature = 4 "X.509 Certificate - Signature",
        CertificateRevocationList = 7 "Certificate Revocation List",
        HashAndUrlCertificate = 12 "Hash and URL of X.509 certificate",
        HashAndUrlBundle = 13 "Hash and URL of X.509 bundle",
        OcspContent = 14 "OCSP Content",
        RawPublicKey = 15 "Raw Public Key",
    }
}

registry! {
    /// Authentication methods (RFC 7296 §3.8, RFC 4754, RFC 7427).
    AuthenticationMethod: u8 {
        RsaDigitalSignature = 1 "RSA Digital Signature",
        SharedKey = 2 "Shared Key Message Integrity Code",
        DssDigitalSignature = 3 "DSS Digital Signature",
        EcdsaP256Sha256 = 9 "ECDSA with SHA-256 on the P-256 curve",
        EcdsaP384Sha384 = 10 "ECDSA with SHA-384 on the P-384 curve",
        EcdsaP521Sha512 = 11 "ECDSA with SHA-512 on the P-521 curve",
        Null = 13 "NULL Authentication",
        DigitalSignature = 14 "Digital Signature",
    }
}

registry! {
    /// Notify message types (RFC 7296 §3.10.1 and the RFCs that added to it).
    NotifyType: u16 {
        UnsupportedCriticalPayload = 1 "UNSUPPORTED_CRITICAL_PAYLOAD",
        InvalidIkeSpi = 4 "INVALID_IKE_SPI",
        InvalidMajorVersion = 5 "INVALID_MAJOR_VERSION",
        InvalidSyntax = 7 "INVALID_SYNTAX",
        InvalidMessageId = 9 "INVALID_MESSAGE_ID",
        InvalidSpi = 11 "INVALID_SPI",
        NoProposalChosen = 14 "NO_PROPOSAL_CHOSEN",
        InvalidKePayload = 17 "INVALID_KE_PAYLOAD",
        AuthenticationFailed = 24 "AUTHENTICATION_FAILED",
        SinglePairRequired = 34 "SINGLE_PAIR_REQUIRED",
        NoAdditionalSas = 35 "NO_ADDITIONAL_SAS",
        InternalAddressFailure = 36 "INTERNAL_ADDRESS_FAILURE",
        FailedCpRequired = 37 "FAILED_CP_REQUIRED",
        TsUnacceptable = 38 "TS_UNACCEPTABLE",
        InvalidSelectors = 39 "INVALID_SELECTORS",
        UnacceptableAddresses = 40 "UNACCEPTABLE_ADDRESSES",
        UnexpectedNatDetected = 41 "UNEXPECTED_NAT_DETECTED",
        UseAssignedHoa = 42 "USE_ASSIGNED_HoA",
        TemporaryFailure = 43 "TEMPORARY_FAILURE",
        ChildSaNotFound = 44 "CHILD_SA_NOT_FOUND",
        InvalidGroupId = 45 "INVALID_GROUP_ID",
        AuthorizationFailed = 46 "AUTHORIZATION_FAILED",
        StateNotFound = 47 "STATE_NOT_FOUND",
        TsMaxQueue = 48 "TS_MAX_QUEUE",
        InitialContact = 16384 "INITIAL_CONTACT",
        SetWindowSize = 16385 "SET_WINDOW_SIZE",
        AdditionalTsPossible = 16386 "ADDITIONAL_TS_POSSIBLE",
        IpcompSupported = 16387 "IPCOMP_SUPPORTED",
        NatDetectionSourceIp = 16388 "NAT_DETECTION_SOURCE_IP",
        NatDetectionDestinationIp = 16389 "NAT_DETECTION_DESTINATION_IP",
        Cookie = 16390 "COOKIE",
        UseTransportMode = 16391 "USE_TRANSPORT_MODE",
        HttpCertLookupSupported = 16392 "HTTP_CERT_LOOKUP_SUPPORTED",
        RekeySa = 16393 "REKEY_SA",
        EspTfcPaddingNotSupported = 16394 "ESP_TFC_PADDING_NOT_SUPPORTED",
        NonFirstFragmentsAlso = 16395 "NON_FIRST_FRAGMENTS_ALSO",
        MobikeSupported = 16396 "MOBIKE_SUPPORTED",
        AdditionalIp4Address = 16397 "ADDITIONAL_IP4_ADDRESS",
        AdditionalIp6Address = 16398 "ADDITIONAL_IP6_ADDRESS",
        NoAdditionalAddresses = 16399 "NO_ADDITIONAL_ADDRESSES",
        UpdateSaAddresses = 16400 "UPDATE_SA_ADDRESSES",
        Cookie2 = 16401 "COOKIE2",
        NoNatsAllowed = 16402 "NO_NATS_ALLOWED",
        AuthLifetime = 16403 "AUTH_LIFETIME",
        MultipleAuthSupported = 16404 "MULTIPLE_AUTH_SUPPORTED",
        AnotherAuthFollows = 16405 "ANOTHER_AUTH_FOLLOWS",
        RedirectSupported = 16406 "REDIRECT_SUPPORTED",
        Redirect = 16407 "REDIRECT",
        RedirectedFrom = 16408 "REDIRECTED_FROM",
        TicketLtOpaque = 16409 "TICKET_LT_OPAQUE",
        TicketRequest = 16410 "TICKET_REQUEST",
        TicketAck = 16411 "TICKET_ACK",
        TicketNack = 16412 "TICKET_NACK",
        TicketOpaque = 16413 "TICKET_OPAQUE",
        LinkId = 16414 "LINK_ID",
        UseWespMode = 16415 "USE_WESP_MODE",
        RohcSupported = 16416 "ROHC_SUPPORTED",
        EapOnlyAuthentication = 16417 "EAP_ONLY_AUTHENTICATION",
        ChildlessIkev2Supported = 16418 "CHILDLESS_IKEV2_SUPPORTED",
        QuickCrashDetection = 16419 "QUICK_CRASH_DETECTION",
        IkeMessageIdSyncSupported = 16420 "IKEV2_MESSAGE_ID_SYNC_SUPPORTED",
        IpsecReplayCounterSyncSupported = 16421 "IPSEC_REPLAY_COUNTER_SYNC_SUPPORTED",
        IkeMessageIdSync = 16422 "IKEV2_MESSAGE_ID_SYNC",
        IpsecReplayCounterSync = 16423 "IPSEC_REPLAY_COUNTER_SYNC",
        SecurePasswordMethods = 16424 "SECURE_PASSWORD_METHODS",
        PskPersist = 16425 "PSK_PERSIST",
        PskConfirm = 16426 "PSK_CONFIRM",
        ErxSupported = 16427 "ERX_SUPPORTED",
        IfomCapability = 16428 "IFOM_CAPABILITY",
        SenderRequestId = 16429 "SENDER_REQUEST_ID",
        FragmentationSupported = 16430 "IKEV2_FRAGMENTATION_SUPPORTED",
        SignatureHashAlgorithms = 16431 "SIGNATURE_HASH_ALGORITHMS",
        CloneIkeSaSupported = 16432 "CLONE_IKE_SA_SUPPORTED",
        CloneIkeSa = 16433 "CLONE_IKE_SA",
        Puzzle = 16434 "PUZZLE",
        UsePpk = 16435 "USE_PPK",
        PpkIdentity = 16436 "PPK_IDENTITY",
        NoPpkAuth = 16437 "NO_PPK_AUTH",
        IntermediateExchangeSupported = 16438 "INTERMEDIATE_EXCHANGE_SUPPORTED",
        Ip4Allowed = 16439 "IP4_ALLOWED",
        Ip6Allowed = 16440 "IP6_ALLOWED",
        AdditionalKeyExchange = 16441 "ADDITIONAL_KEY_EXCHANGE",
        UseAggfrag = 16442 "USE_AGGFRAG",
        SupportedAuthMethods = 16443 "SUPPORTED_AUTH_METHODS",
        SaResourceInfo = 16444 "SA_RESOURCE_INFO",
    }
}

impl NotifyType {
    /// Whether this type reports an error: "Types in the range 0 - 16383 are intended for reporting
    /// errors" (RFC 7296 §3.10.1). An unknown error type means the request failed entirely.
    pub fn is_error(self) -> bool {
        u16::from(self) < 16384
    }

    /// Whether an error of this type in IKE_AUTH is the CHILD_SA's alone, so that the IKE SA is there all the same (RFC
    /// 7296 §1.2, RFC 9611 §4).
    pub fn is_about_child(self) -> bool {
        matches!(
            self,
            NotifyType::NoProposalChosen
                | NotifyType::TsUnacceptable
                | NotifyType::SinglePairRequired
                | NotifyType::InternalAddressFailure
                | NotifyType::FailedCpRequired
                | NotifyType::NoAdditionalSas
                | NotifyType::TsMaxQueue
                | NotifyType::TemporaryFailure
        )
    }
}
