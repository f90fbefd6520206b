//! For which certificates a CRL speaks: issuingDistributionPoint (RFC 5280 §5.2.5, §6.3.3 (b)).

use super::CrlError;
use crate::der::{DerError, Element, Reader, tag};
use crate::revocation::Issued;
use crate::x509::{DistributionPoint, DistributionPointName, GeneralName};

/// What an issuingDistributionPoint says. Without one, a CRL speaks for all certificates of its issuer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    name: Option<DistributionPointName>,
    user_certificates: bool,
    authority_certificates: bool,
    attribute_certificates: bool,
    /// onlySomeReasons, as a BIT STRING: lists of different reasons are different lists.
    some_reasons: Option<Vec<u8>>,
}

/// Why a CRL does not speak for a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OutOfScope {
    /// onlyContainsUserCerts, and it is a CA's.
    #[error("the CRL speaks for end entities only, and the certificate is a CA's")]
    UserCertificates,
    /// onlyContainsCACerts, and it is not.
    #[error("the CRL speaks for CAs only, and the certificate is none's")]
    AuthorityCertificates,
    /// onlyContainsAttributeCerts.
    #[error("the CRL speaks for attribute certificates only")]
    AttributeCertificates,
    /// It is at another distribution point than those of the certificate.
    #[error("the CRL is of another distribution point than the certificate names")]
    DistributionPoint,
    /// onlySomeReasons, or the certificate's distribution point is for some: that a certificate is not listed says nothing.
    #[error("the certificate is not listed, but the CRL tells of some reasons of revocation only")]
    SomeReasons,
}

impl Scope {
    /// IssuingDistributionPoint ::= SEQUENCE of six optional fields. An indirect CRL is refused by name.
    pub(super) fn parse(element: Element<'_>) -> Result<Self, CrlError> {
        let der = |error| CrlError::Der { field: "issuingDistributionPoint", error };
        let mut reader = element.tagged(tag::SEQUENCE).map_err(der)?.reader();
        let name = reader.optional(tag::context_constructed(0)).map_err(der)?;
        let name = name.map(DistributionPointName::parse).transpose().map_err(der)?;
        let user_certificates = flag(&mut reader, 1).map_err(der)?;
        let authority_certificates = flag(&mut reader, 2).map_err(der)?;
        let reasons = reader.optional(tag::context(3)).map_err(der)?;
        reasons.map(|reasons| reasons.bits()).transpose().map_err(der)?;
        let indirect = flag(&mut reader, 4).map_err(der)?;
        let attribute_certificates = flag(&mut reader, 5).map_err(der)?;
        reader.finish().map_err(der)?;
        if indirect {
            return Err(CrlError::Indirect);
        }
        let some_reasons = reasons.map(|reasons| reasons.content.to_vec());
        Ok(Self { name, user_certificates, authority_certificates, attribute_certificates, some_reasons })
    }

    /// Whether a certificate found on the CRL is one of those it speaks for (`listed`), or one not found is thereby good.
    pub(super) fn covers(&self, issued: &Issued, listed: bool) -> Result<(), OutOfScope> {
        if self.attribute_certificates {
            return Err(OutOfScope::AttributeCertificates);
        }
        if self.user_certificates && issued.is_authority() {
            return Err(OutOfScope::UserCertificates);
        }
        if self.authority_certificates && !issued.is_authority() {
            return Err(OutOfScope::AuthorityCertificates);
        }
        let all_reasons = self.at_distribution_point(issued)?;
        if listed || (all_reasons && self.some_reasons.is_none()) {
            Ok(())
        } else {
            Err(OutOfScope::SomeReasons)
        }
    }

    /// Whether the CRL is at one of the certificate's distribution points; true if that is for all reasons.
    fn at_distribution_point(&self, issued: &Issued) -> Result<bool, OutOfScope> {
        let outside = OutOfScope::DistributionPoint;
        let Some(name) = &self.name else { return Ok(true) };
        let names = name.in_full(&issued.certificate.issuer).map_err(|_| outside)?;
        let points = &issued.certificate.extensions.crl_distribution_points;
        if points.is_empty() {
            // RFC 5280 §6.3.3: without the extension, the name of the certificate's issuer is its distribution point.
            let issuer = GeneralName::Directory(issued.certificate.issuer.clone());
            return if names.contains(&issuer) { Ok(true) } else { Err(outside) };
        }
        let here: Vec<_> = points.iter().filter(|point| is_at(point, &names, issued)).collect();
        if here.is_empty() { Err(outside) } else { Ok(here.iter().any(|point| !point.some_reasons)) }
    }
}

/// RFC 5280 §6.3.3 (b)(2)(i). A point whose CRL another authority signs is not this one's.
fn is_at(point: &DistributionPoint, names: &[GeneralName], issued: &Issued) -> bool {
    let own = point
        .name
        .as_ref()
        .and_then(|name| name.in_full(&issued.certificate.issuer).ok())
        .unwrap_or_default();
    !point.other_issuer && own.iter().any(|name| names.contains(name))
}

/// A BOOLEAN DEFAULT FALSE under an implicit tag.
fn flag(reader: &mut Reader<'_>, number: u8) -> Result<bool, DerError> {
    reader.optional(tag::context(number))?.map_or(Ok(false), |element| element.boolean())
}
