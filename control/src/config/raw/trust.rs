//! Whom we believe and what we show, as it is written: certificates of ours, authorities, lists of names and exceptions.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use super::Text;

/// `[cert-profile.NAME]`: entries, or the keys of the only one.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct CertProfile {
    /// As of an entry.
    pub certificate: Option<Text>,
    /// Likewise.
    pub key: Option<Text>,
    /// Likewise.
    pub chain: Vec<Text>,
    /// Likewise.
    pub send_chain: Vec<Text>,
    /// Likewise.
    pub rsa_signature: Option<Text>,
    /// Likewise.
    pub hash_and_url: Option<Text>,
    /// Show the public key of `key` and no certificate; default no.
    pub raw_public_key: Option<bool>,
    /// Certificates of which each peer is shown one, in order.
    pub entry: Vec<Spanned<CertEntry>>,
}

impl CertProfile {
    /// Whether it has entries and no key of an only one.
    pub fn is_bare(&self) -> bool {
        self.has_key_alone() && self.key.is_none() && self.rsa_signature.is_none()
    }

    /// Whether nothing is said but of a key.
    pub fn has_key_alone(&self) -> bool {
        let Self { certificate, chain, send_chain, hash_and_url, .. } = self;
        let lists = [chain, send_chain].into_iter().all(Vec::is_empty);
        lists && certificate.is_none() && hash_and_url.is_none()
    }
}

/// `[[cert-profile.NAME.entry]]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct CertEntry {
    /// Our certificate, PEM; intermediates may follow in the same file.
    pub certificate: Text,
    /// Its private key, PEM.
    pub key: Text,
    /// More intermediates to send.
    #[serde(default)]
    pub chain: Vec<Text>,
    /// Names of ca-profiles whose certificates are sent after those.
    #[serde(default)]
    pub send_chain: Vec<Text>,
    /// `pkcs1` or `pss` for RSA keys; default `pkcs1`.
    pub rsa_signature: Option<Text>,
    /// URL of the certificate, DER, for peers that look certificates up.
    pub hash_and_url: Option<Text>,
}

/// `[common-name-list.NAME]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct CommonNameList {
    /// Names, domains, addresses and prefixes.
    pub names: Vec<Text>,
}

/// `[certificate-map.NAME]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct CertificateMap {
    /// `FIELD OPERATOR VALUE` each; a certificate meets all of them.
    pub conditions: Vec<Text>,
    /// Take it after its end; default no.
    #[serde(default)]
    pub allow_expired_certificate: bool,
    /// Ask nobody about its revocation; default no.
    #[serde(default)]
    pub skip_revocation_check: bool,
}

/// `[trust-anchor-profile.NAME]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TrustAnchorProfile {
    /// Root certificates, PEM.
    pub anchors: Option<Spanned<Vec<Text>>>,
    /// Files of public keys, by whose they are.
    #[serde(default)]
    pub public_keys: BTreeMap<String, Text>,
    /// Intermediates a peer may omit.
    #[serde(default)]
    pub intermediates: Vec<Text>,
    /// `require`, `if-uri`, `soft` or `off`.
    pub revocation: Option<Text>,
    /// Seconds out of date that `soft` still takes.
    pub max_stale: Option<Spanned<u64>>,
    /// Whom to ask, in which order.
    pub status_verify: Option<StatusVerify>,
    /// The same in other words: `crl`, `ocsp` and `none` in order.
    pub revocation_check: Option<Text>,
    /// Certificates of a path, but for the anchor.
    pub maximum_chain_depth: Option<Spanned<u64>>,
    /// Take intermediates that the peer sends; default yes.
    pub dynamic_intermediates: Option<bool>,
    /// Look up the certificates that a peer shows by hash and URL; default no.
    #[serde(default)]
    pub hash_and_url: bool,
    /// The identity a peer claims must be in its certificate; default yes.
    pub match_peer_id_to_cert: Option<bool>,
    /// Names of certificate-maps.
    #[serde(default)]
    pub certificate_maps: Vec<Text>,
    /// Smallest RSA key, in bits.
    pub minimum_rsa_bits: Option<Spanned<u64>>,
    /// Take clientAuth as a purpose too; default no.
    pub accept_client_auth: Option<bool>,
}

/// `status-verify` of a trust-anchor-profile or ca-profile
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct StatusVerify {
    /// `crl` or `ocsp`; default `crl`.
    pub primary: Option<Text>,
    /// `none`, `crl` or `ocsp`; default `none`.
    pub secondary: Option<Text>,
    /// `revoked` or `good`; default `revoked`.
    pub default_result: Option<Text>,
}

/// `[ca-profile.NAME]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct CaProfile {
    /// Whether anything may rest on it; default yes.
    pub enabled: Option<bool>,
    /// The authority's certificate.
    pub certificate: Text,
    /// As in a trust-anchor-profile, for what this authority has issued.
    pub revocation: Option<Text>,
    /// Likewise.
    pub max_stale: Option<Spanned<u64>>,
    /// Likewise.
    pub status_verify: Option<StatusVerify>,
    /// Likewise.
    pub revocation_check: Option<Text>,
    /// Its CRLs: files, names in the store, URLs.
    #[serde(default)]
    pub crl: Vec<Text>,
    /// `by-order`, `mandatory` or `optional`.
    pub crl_duty: Option<Text>,
    /// `next-update` or `periodic`.
    pub crl_update: Option<Text>,
    /// Seconds before nextUpdate at which the CRL is fetched again.
    pub pre_update_time: Option<Spanned<u64>>,
    /// Seconds between fetches of a periodic update.
    pub update_period: Option<Spanned<u64>>,
    /// Seconds after all addresses have failed; 0: until somebody asks for it.
    pub retry_interval: Option<Spanned<u64>>,
    /// Its OCSP responder, in place of those that certificates name.
    pub ocsp: Option<Text>,
    /// `off`, `lenient` or `strict`.
    pub ocsp_nonce: Option<Text>,
    /// `sha1` or `sha256`.
    pub ocsp_hash: Option<Text>,
    /// Ask the responder about CAs as well.
    #[serde(default)]
    pub ocsp_for_authorities: bool,
    /// Believe responders whose certificate lacks id-pkix-ocsp-nocheck.
    #[serde(default)]
    pub ocsp_unchecked_responders: bool,
    /// Let a CRL that does not list a certificate overrule a responder that says it is revoked.
    #[serde(default)]
    pub ocsp_revoked_falls_back_to_crl: bool,
    /// The instance its servers are asked from.
    pub instance: Option<Text>,
}
