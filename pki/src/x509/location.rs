//! Where to ask about a certificate: CRL distribution points (RFC 5280 §4.2.1.13) and OCSP responders (§4.2.2.1).
//!
//! The same names tell which CRL speaks for which certificate, so they are kept whole. Nothing here is believed or
//! followed: whoever fetches waits until the certificate chains to an anchor.

use super::GeneralName;
use crate::der::{DerError, Element, tag};
use crate::oid::{self, Oid};
use crate::x509::Name;

/// Distribution points, names of one of them, or access descriptions. Honest certificates have a few.
const MAX_LOCATIONS: usize = 64;

/// One of a certificate's cRLDistributionPoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DistributionPoint {
    /// Where the CRL is; absent where only its issuer is named.
    pub name: Option<DistributionPointName>,
    /// Whether the CRL found there tells of some reasons of revocation only.
    pub some_reasons: bool,
    /// Whether another authority than the certificate's issuer signs the CRL found there (an indirect CRL).
    pub other_issuer: bool,
}

/// A name of a distribution point, in a certificate or in a CRL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DistributionPointName {
    /// fullName: any of these.
    Full(Vec<GeneralName>),
    /// nameRelativeToCRLIssuer: the contents of the SET to be put behind the issuer's name.
    Relative(Vec<u8>),
}

impl DistributionPoint {
    /// The addresses of the CRL, in the certificate's order.
    pub fn uris(&self) -> impl Iterator<Item = &str> {
        let full = match &self.name {
            Some(DistributionPointName::Full(names)) => names.as_slice(),
            _ => &[],
        };
        full.iter()
            .filter_map(|name| if let GeneralName::Uri(uri) = name { Some(uri.as_str()) } else { None })
    }

    fn parse(element: Element<'_>) -> Result<Self, DerError> {
        let mut reader = element.tagged(tag::SEQUENCE)?.reader();
        let name = reader.optional(tag::context_constructed(0))?;
        let name = name.map(DistributionPointName::parse).transpose()?;
        let reasons = reader.optional(tag::context(1))?;
        reasons.map(|reasons| reasons.bits()).transpose()?;
        let issuer = reader.optional(tag::context_constructed(2))?;
        reader.finish()?;
        // RFC 5280 §4.2.1.13: either distributionPoint or cRLIssuer MUST be present.
        if name.is_none() && issuer.is_none() {
            return Err(DerError::Missing);
        }
        Ok(Self { name, some_reasons: reasons.is_some(), other_issuer: issuer.is_some() })
    }
}

impl DistributionPointName {
    /// Reads the CHOICE inside the explicit tag `element`.
    pub(crate) fn parse(element: Element<'_>) -> Result<Self, DerError> {
        const FULL: u8 = tag::context_constructed(0);
        const RELATIVE: u8 = tag::context_constructed(1);
        let mut reader = element.reader();
        let choice = reader.element()?;
        reader.finish()?;
        match choice.tag {
            FULL => {
                let names = choice.reader().all(
                    "names of a distribution point",
                    MAX_LOCATIONS,
                    GeneralName::parse,
                )?;
                if names.is_empty() { Err(DerError::Missing) } else { Ok(Self::Full(names)) }
            }
            RELATIVE => Ok(Self::Relative(choice.content.to_vec())),
            found => Err(DerError::Unexpected { expected: FULL, found }),
        }
    }

    /// The names in full, where `issuer` signs the CRL.
    pub fn in_full(&self, issuer: &Name) -> Result<Vec<GeneralName>, DerError> {
        match self {
            Self::Full(names) => Ok(names.clone()),
            Self::Relative(part) => issuer.followed_by(part).map(|name| vec![GeneralName::Directory(name)]),
        }
    }
}

/// CRLDistributionPoints ::= SEQUENCE SIZE (1..MAX) OF DistributionPoint
pub(super) fn distribution_points(element: Element<'_>) -> Result<Vec<DistributionPoint>, DerError> {
    let list = element.tagged(tag::SEQUENCE)?.reader();
    let points = list.all("distribution points", MAX_LOCATIONS, DistributionPoint::parse)?;
    if points.is_empty() { Err(DerError::Missing) } else { Ok(points) }
}

/// The URIs of AuthorityInfoAccessSyntax whose method is id-ad-ocsp.
pub(super) fn ocsp_responders(element: Element<'_>) -> Result<Vec<String>, DerError> {
    let list = element.tagged(tag::SEQUENCE)?.reader();
    let responders = list.all("access descriptions", MAX_LOCATIONS, |description| {
        let mut reader = description.tagged(tag::SEQUENCE)?.reader();
        let method = Oid::parse(reader.element()?)?;
        let location = reader.element()?;
        reader.finish()?;
        // Locations of other methods may be of forms nobody reads here.
        if !method.is(oid::AD_OCSP) {
            return Ok(None);
        }
        GeneralName::parse(location)
            .map(|name| if let GeneralName::Uri(uri) = name { Some(uri) } else { None })
    })?;
    Ok(responders.into_iter().flatten().collect())
}
