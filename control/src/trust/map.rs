//! Certificate maps (PKI-39): which peers' certificates the operator makes an exception for while something is down: one
//! that has ended is taken all the same, or nobody is asked whether it has been revoked. Everything else about a chain
//! counts as ever, and each exception that was made is in the evidence of the tunnel.

use std::str::FromStr;
use std::sync::Arc;

use ravelin_pki::Certificate;
use ravelin_pki::identity::Identity;
use ravelin_pki::path::{Cause, Rules};
use ravelin_pki::verdict::{self, Basis, NotChecked, Revocation, Verdict};
use ravelin_pki::x509::{GeneralName, Name};

/// A map: certificates that meet all of its conditions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateMap {
    /// Its name.
    pub name: String,
    /// What they must be like; at least one.
    pub conditions: Vec<Condition>,
    /// Take them after their end.
    pub allow_expired: bool,
    /// Ask nobody about their revocation, nor about that of the authorities above them.
    pub skip_revocation: bool,
}

/// What a certificate must be like in one respect: `FIELD OPERATOR VALUE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    field: Field,
    operator: Operator,
    value: Value,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Subject,
    Issuer,
    AlternativeName,
    Serial,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    Contains,
    NotContains,
    Less,
    GreaterOrEqual,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Value {
    /// A whole name.
    Name(Name),
    /// In lower case.
    Text(String),
    /// A number, without leading zeros.
    Serial(Vec<u8>),
}

const EXPECTED: &str = "FIELD OPERATOR VALUE: subject-name, issuer-name, alt-subject-name or serial-number, then eq, ne, co, nc, lt or ge";

impl FromStr for Condition {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (field, rest) = text.trim().split_once(' ').ok_or(EXPECTED)?;
        let (operator, value) = rest.trim_start().split_once(' ').ok_or(EXPECTED)?;
        let field = match field {
            "subject-name" => Field::Subject,
            "issuer-name" => Field::Issuer,
            "alt-subject-name" => Field::AlternativeName,
            "serial-number" => Field::Serial,
            _ => return Err(EXPECTED),
        };
        let operator = match operator {
            "eq" => Operator::Equal,
            "ne" => Operator::NotEqual,
            "co" => Operator::Contains,
            "nc" => Operator::NotContains,
            "lt" => Operator::Less,
            "ge" => Operator::GreaterOrEqual,
            _ => return Err(EXPECTED),
        };
        Ok(Self { field, operator, value: value_of(field, operator, value.trim())? })
    }
}

fn value_of(field: Field, operator: Operator, text: &str) -> Result<Value, &'static str> {
    use Operator::{Contains, Equal, GreaterOrEqual, Less, NotContains, NotEqual};
    match (field, operator) {
        // An empty text is in everything.
        _ if text.is_empty() => Err(EXPECTED),
        (Field::Serial, Equal | NotEqual | Less | GreaterOrEqual) => {
            serial(text).map(Value::Serial).ok_or("a serial number in hexadecimal digits")
        }
        (_, Less | GreaterOrEqual) => Err("lt and ge with serial-number alone: names have no order"),
        (Field::Subject | Field::Issuer, Equal | NotEqual) => {
            Name::from_text(text).map(Value::Name).ok_or("a whole name, as in CN=gw,O=Acme")
        }
        (_, Equal | NotEqual | Contains | NotContains) => Ok(Value::Text(text.to_lowercase())),
    }
}

/// Of digits in pairs or not, with colons between or not.
fn serial(text: &str) -> Option<Vec<u8>> {
    let digits: String = text.chars().filter(|c| *c != ':').collect();
    let digits = if digits.len().is_multiple_of(2) { digits } else { format!("0{digits}") };
    let octets = digits.as_bytes().chunks(2).map(|pair| {
        let pair = str::from_utf8(pair).ok().filter(|pair| pair.bytes().all(|b| b.is_ascii_hexdigit()))?;
        u8::from_str_radix(pair, 16).ok()
    });
    octets.collect::<Option<Vec<u8>>>().map(|octets| significant(&octets).to_vec())
}

fn significant(octets: &[u8]) -> &[u8] {
    let zeros = octets.iter().take_while(|octet| **octet == 0).count();
    octets.get(zeros..).unwrap_or_default()
}

impl Condition {
    /// Whether a certificate meets it.
    pub fn fits(&self, certificate: &Certificate) -> bool {
        match self.operator {
            Operator::Equal | Operator::Contains => self.holds(certificate),
            Operator::NotEqual | Operator::NotContains => !self.holds(certificate),
            Operator::Less => self.order(certificate).is_some_and(std::cmp::Ordering::is_lt),
            Operator::GreaterOrEqual => self.order(certificate).is_some_and(std::cmp::Ordering::is_ge),
        }
    }

    fn holds(&self, certificate: &Certificate) -> bool {
        let name = match self.field {
            Field::Subject => Some(&certificate.subject),
            Field::Issuer => Some(&certificate.issuer),
            Field::AlternativeName | Field::Serial => None,
        };
        match &self.value {
            Value::Name(wanted) => name == Some(wanted),
            Value::Serial(wanted) => significant(&certificate.serial) == wanted.as_slice(),
            Value::Text(wanted) => {
                let is_whole = matches!(self.operator, Operator::Equal | Operator::NotEqual);
                let is_it = |text: String| match is_whole {
                    true => text.to_lowercase() == *wanted,
                    false => text.to_lowercase().contains(wanted),
                };
                match (self.field, name) {
                    (_, Some(name)) => is_it(name.to_string()),
                    (Field::Serial, None) => is_it(certificate.serial_hex()),
                    (_, None) => certificate.extensions.subject_alt_names.iter().map(text_of).any(is_it),
                }
            }
        }
    }

    /// How the certificate's number stands to the one that is written.
    fn order(&self, certificate: &Certificate) -> Option<std::cmp::Ordering> {
        let Value::Serial(wanted) = &self.value else { return None };
        let serial = significant(&certificate.serial);
        Some((serial.len(), serial).cmp(&(wanted.len(), wanted)))
    }
}

/// An alternative name without its kind.
fn text_of(name: &GeneralName) -> String {
    match name {
        GeneralName::Email(text) | GeneralName::Dns(text) | GeneralName::Uri(text) => text.clone(),
        GeneralName::Directory(name) => name.to_string(),
        GeneralName::Ip(_) => name.ip_address().map(|address| address.to_string()).unwrap_or_default(),
        other => other.to_string(),
    }
}

impl CertificateMap {
    /// Whether a certificate meets all conditions.
    pub fn fits(&self, certificate: &Certificate) -> bool {
        self.conditions.iter().all(|condition| condition.fits(certificate))
    }
}

/// Judges once more a chain that was refused because the peer's certificate has ended, if a map takes it all the same.
/// The authorities above it have to be good now, as ever.
///
/// # Errors
/// The refusal as it was, or what else there is to refuse.
pub(super) fn excuse(
    maps: &[Arc<CertificateMap>],
    refusal: verdict::Refusal,
    (chain, claimed): (&[Vec<u8>], &Identity),
    basis: &Basis<'_>,
) -> Result<Verdict, verdict::Refusal> {
    let is_expired = |error: &ravelin_pki::path::PathError| matches!(error.cause, Cause::Expired { .. });
    let may_be_excused = matches!(&refusal, verdict::Refusal::Path(error) if is_expired(error));
    let own = chain.first().filter(|_| may_be_excused).and_then(|der| Certificate::from_der(der).ok());
    let fits =
        |map: &&Arc<CertificateMap>| map.allow_expired && own.as_ref().is_some_and(|own| map.fits(own));
    let (Some(own), Some(map)) = (&own, maps.iter().find(fits)) else { return Err(refusal) };
    let rules = Rules { expired_end_entity: true, ..basis.rules.clone() };
    let mut verdict = verdict::reach(chain, claimed, &Basis { rules: &rules, ..*basis })?;
    let text = format!("its certificate ended {}: taken by certificate-map {}", own.not_after, map.name);
    verdict.exceptions.push(text);
    Ok(verdict)
}

/// Notes that nobody is to be asked about a chain, if a map says so of the peer's certificate.
pub(super) fn leave_unasked(maps: &[Arc<CertificateMap>], mut verdict: Verdict) -> Verdict {
    let fits = |map: &&Arc<CertificateMap>| map.skip_revocation && map.fits(verdict.path.end_entity());
    if let Some(map) = maps.iter().find(fits) {
        let text = format!("nobody is asked about its revocation: by certificate-map {}", map.name);
        verdict.exceptions.push(text);
        verdict.revocation = Revocation::NotChecked { why: NotChecked::Excepted };
    }
    verdict
}

#[cfg(test)]
mod tests;
