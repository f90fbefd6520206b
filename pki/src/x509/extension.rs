//! Extensions (RFC 5280 §4.2.1): those path validation and identities decide on, as types.
//!
//! Parsing is lenient about nothing: a known extension that does not parse makes the certificate unreadable, critical
//! or not, because guessing at a constraint is worse than refusing its bearer.

use super::location::{self, DistributionPoint};
use super::{CertificateError, GeneralName};
use crate::der::{DerError, Element, Reader, tag};
use crate::oid::{self, Oid};

/// Extensions in one certificate; honest ones have about ten.
const MAX_EXTENSIONS: usize = 64;
/// Alternative names in one certificate.
const MAX_NAMES: usize = 512;
/// Subtrees in each of the two lists of a name constraint.
const MAX_SUBTREES: usize = 512;
/// Policies, mappings or purposes in one certificate.
const MAX_POLICIES: usize = 128;

/// What the extensions say. A field is `None` or empty where the extension is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Extensions {
    /// keyUsage.
    pub key_usage: Option<KeyUsage>,
    /// extKeyUsage.
    pub extended_key_usage: Option<Vec<Oid>>,
    /// basicConstraints.
    pub basic_constraints: Option<BasicConstraints>,
    /// subjectAltName.
    pub subject_alt_names: Vec<GeneralName>,
    /// nameConstraints.
    pub name_constraints: Option<NameConstraints>,
    /// certificatePolicies, without their qualifiers.
    pub policies: Option<Vec<Oid>>,
    /// policyMappings.
    pub policy_mappings: Vec<PolicyMapping>,
    /// policyConstraints.
    pub policy_constraints: PolicyConstraints,
    /// inhibitAnyPolicy: after how many certificates anyPolicy stops counting.
    pub inhibit_any_policy: Option<u32>,
    /// subjectKeyIdentifier.
    pub subject_key_id: Option<Vec<u8>>,
    /// keyIdentifier of authorityKeyIdentifier.
    pub authority_key_id: Option<Vec<u8>>,
    /// cRLDistributionPoints.
    pub crl_distribution_points: Vec<DistributionPoint>,
    /// The addresses of OCSP responders in authorityInfoAccess.
    pub ocsp_responders: Vec<String>,
    /// id-pkix-ocsp-nocheck (RFC 6960 §4.2.2.2.1): nobody need ask about this responder's own certificate.
    pub ocsp_no_check: bool,
    /// Critical extensions (or critical parts of them) nobody here processes: path validation must refuse.
    pub unknown_critical: Vec<Oid>,
    /// How many extensions there are in all.
    pub count: usize,
}

/// Bits of keyUsage (RFC 5280 §4.2.1.3); bit 0 of the BIT STRING is the lowest bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyUsage(u16);

impl KeyUsage {
    /// May sign things that are not certificates or CRLs, such as an AUTH payload.
    pub const fn digital_signature(self) -> bool {
        self.0 & 1 != 0
    }

    /// May sign things to be held to later; RFC 4945 §5.1.3.2 accepts it for IKE as well.
    pub const fn content_commitment(self) -> bool {
        self.0 >> 1 & 1 != 0
    }

    /// May encipher keys, as RSA key transport does.
    pub const fn key_encipherment(self) -> bool {
        self.0 >> 2 & 1 != 0
    }

    /// May sign certificates.
    pub const fn key_cert_sign(self) -> bool {
        self.0 >> 5 & 1 != 0
    }

    /// May sign CRLs.
    pub const fn crl_sign(self) -> bool {
        self.0 >> 6 & 1 != 0
    }
}

/// RFC 5280 §4.2.1.9.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BasicConstraints {
    /// Whether the subject is a CA.
    pub ca: bool,
    /// How many CA certificates, not self-issued, may follow before the end entity's.
    pub path_len: Option<u32>,
}

/// RFC 5280 §4.2.1.10.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NameConstraints {
    /// If a form occurs here, every name of that form must be within one of them.
    pub permitted: Vec<Subtree>,
    /// No name may be within any of them.
    pub excluded: Vec<Subtree>,
}

/// The base of a GeneralSubtree; its minimum is 0 and its maximum absent, or it would not have parsed.
pub type Subtree = GeneralName;

/// RFC 5280 §4.2.1.5.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyMapping {
    /// The issuer's policy,
    pub issuer: Oid,
    /// which it considers equivalent to this one of the subject's.
    pub subject: Oid,
}

/// RFC 5280 §4.2.1.11.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PolicyConstraints {
    /// After how many certificates an acceptable policy is required.
    pub require_explicit: Option<u32>,
    /// After how many certificates mappings stop counting.
    pub inhibit_mapping: Option<u32>,
}

impl Extensions {
    pub(super) fn parse(list: Reader<'_>) -> Result<Self, CertificateError> {
        let named = |error| CertificateError::Der { field: "extensions", error };
        let raw = list.all("extensions", MAX_EXTENSIONS, RawExtension::parse).map_err(named)?;
        let mut extensions = Self { count: raw.len(), ..Self::default() };
        for (index, extension) in raw.iter().enumerate() {
            // RFC 5280 §4.2: a certificate MUST NOT include more than one instance of a particular extension.
            if raw.iter().skip(index + 1).any(|other| other.kind == extension.kind) {
                return Err(CertificateError::DuplicateExtension(extension.kind.clone()));
            }
            extensions.take(extension)?;
        }
        Ok(extensions)
    }

    /// Puts one extension where it belongs.
    fn take(&mut self, extension: &RawExtension<'_>) -> Result<(), CertificateError> {
        let Some((kind, field, reader)) = READERS.iter().find(|(kind, ..)| extension.kind.is(kind)) else {
            if extension.critical {
                self.unknown_critical.push(extension.kind.clone());
            }
            return Ok(());
        };
        let understood = only_element(extension.value).and_then(|element| reader(self, element));
        match understood {
            Ok(Understood::Whole) => Ok(()),
            Ok(Understood::Partly) if extension.critical => {
                self.unknown_critical.push((*kind).into());
                Ok(())
            }
            Ok(Understood::Partly) => Ok(()),
            Err(error) => Err(CertificateError::Der { field, error }),
        }
    }
}

/// Extension ::= SEQUENCE { extnID, critical DEFAULT FALSE, extnValue }
pub(crate) struct RawExtension<'a> {
    /// extnID.
    pub(crate) kind: Oid,
    /// critical.
    pub(crate) critical: bool,
    /// The contents of extnValue.
    pub(crate) value: &'a [u8],
}

impl<'a> RawExtension<'a> {
    pub(crate) fn parse(element: Element<'a>) -> Result<Self, DerError> {
        let mut reader = element.tagged(tag::SEQUENCE)?.reader();
        let kind = Oid::parse(reader.element()?)?;
        // DER leaves out a default; an explicit FALSE is common enough in the field to be let pass.
        let critical = reader.optional(tag::BOOLEAN)?.map_or(Ok(false), |element| element.boolean())?;
        let value = reader.expect(tag::OCTET_STRING)?.content;
        reader.finish()?;
        Ok(Self { kind, critical, value })
    }
}

/// Whether all of an extension is acted on; what is not makes a critical one unacceptable.
enum Understood {
    Whole,
    Partly,
}

type ExtensionReader = fn(&mut Extensions, Element<'_>) -> Result<Understood, DerError>;

const READERS: [(oid::Known, &str, ExtensionReader); 15] = [
    (oid::KEY_USAGE, "keyUsage", key_usage),
    (oid::EXTENDED_KEY_USAGE, "extKeyUsage", extended_key_usage),
    (oid::BASIC_CONSTRAINTS, "basicConstraints", basic_constraints),
    (oid::SUBJECT_ALT_NAME, "subjectAltName", subject_alt_name),
    (oid::ISSUER_ALT_NAME, "issuerAltName", issuer_alt_name),
    (oid::NAME_CONSTRAINTS, "nameConstraints", name_constraints),
    (oid::CERTIFICATE_POLICIES, "certificatePolicies", policies),
    (oid::POLICY_MAPPINGS, "policyMappings", policy_mappings),
    (oid::POLICY_CONSTRAINTS, "policyConstraints", policy_constraints),
    (oid::INHIBIT_ANY_POLICY, "inhibitAnyPolicy", inhibit_any_policy),
    (oid::SUBJECT_KEY_IDENTIFIER, "subjectKeyIdentifier", subject_key_identifier),
    (oid::AUTHORITY_KEY_IDENTIFIER, "authorityKeyIdentifier", authority_key_identifier),
    (oid::CRL_DISTRIBUTION_POINTS, "cRLDistributionPoints", crl_distribution_points),
    (oid::AUTHORITY_INFO_ACCESS, "authorityInfoAccess", authority_info_access),
    (oid::OCSP_NO_CHECK, "ocspNoCheck", ocsp_no_check),
];

pub(crate) fn only_element(der: &[u8]) -> Result<Element<'_>, DerError> {
    let mut reader = Reader::new(der);
    let element = reader.element()?;
    reader.finish()?;
    Ok(element)
}

fn sequence(element: Element<'_>) -> Result<Reader<'_>, DerError> {
    element.tagged(tag::SEQUENCE).map(|element| element.reader())
}

fn key_usage(extensions: &mut Extensions, element: Element<'_>) -> Result<Understood, DerError> {
    let (_, octets) = element.tagged(tag::BIT_STRING)?.bits()?;
    let bits = octets.iter().take(2).enumerate();
    let bits = bits.fold(0, |bits, (index, octet)| bits | u16::from(octet.reverse_bits()) << (8 * index));
    extensions.key_usage = Some(KeyUsage(bits));
    Ok(Understood::Whole)
}

fn extended_key_usage(extensions: &mut Extensions, element: Element<'_>) -> Result<Understood, DerError> {
    let purposes = sequence(element)?.all("key purposes", MAX_POLICIES, Oid::parse)?;
    // RFC 5280 §4.2.1.12: SIZE (1..MAX).
    if purposes.is_empty() {
        return Err(DerError::Missing);
    }
    extensions.extended_key_usage = Some(purposes);
    Ok(Understood::Whole)
}

fn basic_constraints(extensions: &mut Extensions, element: Element<'_>) -> Result<Understood, DerError> {
    let mut reader = sequence(element)?;
    let ca = reader.optional(tag::BOOLEAN)?.map_or(Ok(false), |element| element.boolean())?;
    // A length beyond 32 bits constrains nothing, but no CA writes one: let it fail as a bad INTEGER.
    let path_len = reader.optional(tag::INTEGER)?.map(|element| element.small()).transpose()?;
    reader.finish()?;
    extensions.basic_constraints = Some(BasicConstraints { ca, path_len });
    Ok(Understood::Whole)
}

fn subject_alt_name(extensions: &mut Extensions, element: Element<'_>) -> Result<Understood, DerError> {
    extensions.subject_alt_names = general_names(element)?;
    Ok(Understood::Whole)
}

/// Read for its form only: RFC 5280 §4.2.1.7 gives it no part in path validation.
fn issuer_alt_name(_: &mut Extensions, element: Element<'_>) -> Result<Understood, DerError> {
    general_names(element).map(|_| Understood::Whole)
}

fn general_names(element: Element<'_>) -> Result<Vec<GeneralName>, DerError> {
    let names = sequence(element)?.all("alternative names", MAX_NAMES, GeneralName::parse)?;
    let bad_address =
        |name: &GeneralName| matches!(name, GeneralName::Ip(octets) if ![4, 16].contains(&octets.len()));
    match names.iter().any(bad_address) {
        // RFC 5280 §4.2.1.6: four octets for IPv4, sixteen for IPv6.
        true => Err(DerError::Content("iPAddress")),
        // RFC 5280 §4.2.1.6: if present, the sequence MUST contain at least one entry.
        false if names.is_empty() => Err(DerError::Missing),
        false => Ok(names),
    }
}

fn name_constraints(extensions: &mut Extensions, element: Element<'_>) -> Result<Understood, DerError> {
    let mut reader = sequence(element)?;
    let permitted = subtrees(reader.optional(tag::context_constructed(0))?)?;
    let excluded = subtrees(reader.optional(tag::context_constructed(1))?)?;
    reader.finish()?;
    extensions.name_constraints = Some(NameConstraints { permitted, excluded });
    Ok(Understood::Whole)
}

fn subtrees(list: Option<Element<'_>>) -> Result<Vec<Subtree>, DerError> {
    list.map_or(Ok(Vec::new()), |list| list.reader().all("subtrees", MAX_SUBTREES, subtree))
}

fn subtree(element: Element<'_>) -> Result<Subtree, DerError> {
    let mut reader = sequence(element)?;
    let base = GeneralName::parse(reader.element()?)?;
    let minimum = reader.optional(tag::context(0))?.map_or(Ok(0), |element| element.small())?;
    // RFC 5280 §4.2.1.10: the minimum MUST be zero and maximum MUST be absent.
    if minimum != 0 || !reader.is_empty() {
        return Err(DerError::Content("GeneralSubtree"));
    }
    match &base {
        GeneralName::Ip(octets) if !is_network(octets) => Err(DerError::Content("iPAddress constraint")),
        _ => Ok(base),
    }
}

/// An address of either family followed by a mask of contiguous ones (RFC 5280 §4.2.1.10, in the style of RFC 4632).
fn is_network(octets: &[u8]) -> bool {
    if ![8, 32].contains(&octets.len()) {
        return false;
    }
    let mask = octets.iter().skip(octets.len() / 2).fold(0u128, |mask, &octet| mask << 8 | u128::from(octet));
    let aligned = if octets.len() == 8 { mask << 96 } else { mask };
    aligned.leading_ones() == aligned.count_ones()
}

fn policies(extensions: &mut Extensions, element: Element<'_>) -> Result<Understood, DerError> {
    let list = sequence(element)?.all("policies", MAX_POLICIES, policy)?;
    let mut policies = Vec::with_capacity(list.len());
    let mut understood = Understood::Whole;
    for (policy, qualifiers_known) in list {
        // RFC 5280 §4.2.1.4: a certificate policy OID MUST NOT appear more than once.
        if policies.contains(&policy) {
            return Err(DerError::Content("certificatePolicies with a policy twice"));
        }
        policies.push(policy);
        if !qualifiers_known {
            understood = Understood::Partly;
        }
    }
    if policies.is_empty() {
        return Err(DerError::Missing);
    }
    extensions.policies = Some(policies);
    Ok(understood)
}

/// PolicyInformation: the policy, and whether its qualifiers are all of RFC 5280's two kinds.
fn policy(element: Element<'_>) -> Result<(Oid, bool), DerError> {
    let mut reader = sequence(element)?;
    let policy = Oid::parse(reader.element()?)?;
    let mut known = true;
    if let Some(list) = reader.optional(tag::SEQUENCE)? {
        let kinds = list.reader().all("policy qualifiers", MAX_POLICIES, |qualifier| {
            Oid::parse(sequence(qualifier)?.element()?)
        })?;
        known = kinds.iter().all(|kind| kind.is(oid::QUALIFIER_CPS) || kind.is(oid::QUALIFIER_USER_NOTICE));
    }
    reader.finish()?;
    Ok((policy, known))
}

fn policy_mappings(extensions: &mut Extensions, element: Element<'_>) -> Result<Understood, DerError> {
    extensions.policy_mappings = sequence(element)?.all("policy mappings", MAX_POLICIES, |pair| {
        let mut reader = sequence(pair)?;
        let mapping =
            PolicyMapping { issuer: Oid::parse(reader.element()?)?, subject: Oid::parse(reader.element()?)? };
        reader.finish()?;
        Ok::<_, DerError>(mapping)
    })?;
    Ok(Understood::Whole)
}

fn policy_constraints(extensions: &mut Extensions, element: Element<'_>) -> Result<Understood, DerError> {
    let mut reader = sequence(element)?;
    let mut count =
        |number| reader.optional(tag::context(number))?.map(|element| element.small()).transpose();
    extensions.policy_constraints =
        PolicyConstraints { require_explicit: count(0)?, inhibit_mapping: count(1)? };
    reader.finish()?;
    Ok(Understood::Whole)
}

fn inhibit_any_policy(extensions: &mut Extensions, element: Element<'_>) -> Result<Understood, DerError> {
    extensions.inhibit_any_policy = Some(element.tagged(tag::INTEGER)?.small()?);
    Ok(Understood::Whole)
}

fn subject_key_identifier(extensions: &mut Extensions, element: Element<'_>) -> Result<Understood, DerError> {
    extensions.subject_key_id = Some(element.tagged(tag::OCTET_STRING)?.content.to_vec());
    Ok(Understood::Whole)
}

fn authority_key_identifier(
    extensions: &mut Extensions,
    element: Element<'_>,
) -> Result<Understood, DerError> {
    extensions.authority_key_id = key_id_of_authority(element)?.map(<[u8]>::to_vec);
    Ok(Understood::Whole)
}

/// The keyIdentifier of an authorityKeyIdentifier, in a certificate or in a CRL.
pub(crate) fn key_id_of_authority(element: Element<'_>) -> Result<Option<&[u8]>, DerError> {
    let mut reader = sequence(element)?;
    let key_id = reader.optional(tag::context(0))?;
    reader.optional(tag::context_constructed(1))?;
    reader.optional(tag::context(2))?;
    reader.finish()?;
    Ok(key_id.map(|element| element.content))
}

/// A hint where to ask, which validation of a path does not follow: a critical one stays unacceptable.
fn crl_distribution_points(
    extensions: &mut Extensions,
    element: Element<'_>,
) -> Result<Understood, DerError> {
    extensions.crl_distribution_points = location::distribution_points(element)?;
    Ok(Understood::Partly)
}

/// RFC 5280 §4.2.2.1: MUST be non-critical.
fn authority_info_access(extensions: &mut Extensions, element: Element<'_>) -> Result<Understood, DerError> {
    extensions.ocsp_responders = location::ocsp_responders(element)?;
    Ok(Understood::Partly)
}

fn ocsp_no_check(extensions: &mut Extensions, element: Element<'_>) -> Result<Understood, DerError> {
    element.tagged(tag::NULL)?;
    extensions.ocsp_no_check = true;
    Ok(Understood::Whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_have_contiguous_masks() {
        for mask in [[0, 0, 0, 0], [255, 0, 0, 0], [255, 255, 255, 255], [255, 255, 240, 0]] {
            assert!(is_network(&[[10, 0, 0, 0], mask].concat()), "{mask:?}");
        }
        for mask in [[255, 0, 255, 0], [0, 255, 0, 0], [240, 240, 0, 0], [0, 0, 0, 1], [255, 127, 0, 0]] {
            assert!(!is_network(&[[10, 0, 0, 0], mask].concat()), "{mask:?}");
        }
        assert!(!is_network(&[10, 0, 0, 0]) && !is_network(&[0; 16]) && is_network(&[0; 32]));
    }

    #[test]
    fn key_usage_bits_are_numbered_from_the_left() {
        let mut extensions = Extensions::default();
        let element = only_element(&[3, 2, 1, 0b0000_0110]).unwrap();
        assert!(key_usage(&mut extensions, element).is_ok());
        let usage = extensions.key_usage.unwrap();
        assert!(usage.key_cert_sign() && usage.crl_sign() && !usage.digital_signature());
    }
}
