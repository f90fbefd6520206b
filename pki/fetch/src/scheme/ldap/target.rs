//! What an LDAP URL asks for (RFC 4516 §2): an object and one of the attributes that the PKI has (RFC 4523).

use crate::error::FetchError;
use crate::scheme::target;
use crate::url::{Url, decode};

/// What may be asked for; whether a delta CRL or a pair of cross-certificates is of use is the caller's to know.
const ATTRIBUTES: [&str; 6] = [
    "certificateRevocationList",
    "authorityRevocationList",
    "deltaRevocationList",
    "cACertificate",
    "userCertificate",
    "crossCertificatePair",
];

/// One attribute of one object.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// The object's distinguished name, as text (RFC 4514).
    pub(super) object: String,
    /// The attribute's name, without options.
    pub(super) attribute: &'static str,
}

impl Target {
    /// `/dn?attribute?base?(objectClass=*)`, of which scope and filter may be left out; nothing else is asked for.
    pub(super) fn parse(url: &Url) -> Result<Self, FetchError> {
        let refuse = |problem: &str| target(url.scheme, problem);
        let object = url.decoded_path()?.trim_start_matches('/').to_owned();
        if object.is_empty() {
            return Err(refuse("it names no object"));
        }
        let mut parts = url.query().unwrap_or("").split('?');
        let attribute = decode(parts.next().unwrap_or(""))?;
        let attribute = ATTRIBUTES.into_iter().find(|name| is_named(&attribute, name)).ok_or_else(|| {
            refuse("it asks for no attribute that holds certificates or CRLs, or for several")
        })?;
        let (scope, filter) = (parts.next().unwrap_or(""), decode(parts.next().unwrap_or(""))?);
        if !(scope.is_empty() || scope.eq_ignore_ascii_case("base")) {
            return Err(refuse("it searches below its object, which is not done"));
        }
        if !(filter.is_empty() || filter.eq_ignore_ascii_case("(objectClass=*)")) {
            return Err(refuse("it has a filter, which is not done"));
        }
        // RFC 4516 §2.3: what is marked critical must not be passed over.
        if parts.next().is_some_and(|extensions| extensions.split(',').any(|one| one.starts_with('!'))) {
            return Err(refuse("it has a critical extension"));
        }
        Ok(Self { object, attribute })
    }

    /// Whether a server's attribute is this one, with or without `;binary`.
    pub(super) fn is_named(&self, name: &str) -> bool {
        is_named(name, self.attribute)
    }
}

fn is_named(text: &str, attribute: &str) -> bool {
    let (name, option) = text.split_once(';').unwrap_or((text, "binary"));
    name.eq_ignore_ascii_case(attribute) && option.eq_ignore_ascii_case("binary")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::url::Scheme;

    fn parse(text: &str) -> Result<Target, FetchError> {
        Target::parse(&Url::parse(text).unwrap())
    }

    /// The forms that authorities write.
    #[test]
    fn reads_what_certificates_hold() {
        let target = parse("ldap://h/cn=Some%20CA,o=X?certificateRevocationList;binary").unwrap();
        assert_eq!(target.object, "cn=Some CA,o=X");
        assert_eq!(target.attribute, "certificateRevocationList");
        assert!(target.is_named("CERTIFICATEREVOCATIONLIST;Binary"));
        assert!(!target.is_named("certificateRevocationList;lang-de"));
        for text in [
            "cACertificate",
            "cacertificate;binary?base",
            "cACertificate??(objectclass=*)",
            "cACertificate???x=y",
        ] {
            assert_eq!(parse(&format!("ldaps://h/o=X?{text}")).unwrap().attribute, "cACertificate", "{text}");
        }
    }

    /// What would search, or fetch what is no business of ours.
    #[test]
    fn refuses_the_rest() {
        for text in [
            "/?cACertificate",
            "/o=X",
            "/o=X?userPassword",
            "/o=X?*",
            "/o=X?cACertificate,userCertificate",
            "/o=X?cACertificate?sub",
            "/o=X?cACertificate?base?(cn=*)",
            "/o=X?cACertificate?base??!x",
        ] {
            let error = parse(&format!("ldap://h{text}")).unwrap_err();
            assert!(matches!(error, FetchError::BadTarget { scheme: Scheme::Ldap, .. }), "{text}: {error}");
        }
    }
}
