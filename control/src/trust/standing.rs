//! How an authority stands (PKI-16 to PKI-18): flags with a word each, all that hold at once, derived from its ca-profile, its
//! certificate, the clock and what is known of its CRL. Pure; a certificate or CRL that cannot be read at all is refused
//! with the configuration, so that no flag tells of it.

use ravelin_pki::revocation::Moment;
use ravelin_pki::revocation::crl::{Crl, CrlError};
use ravelin_pki::revocation::policy::Fetched;
use ravelin_pki::{Certificate, UnixTime};

/// A flag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flag {
    /// Its word.
    pub word: &'static str,
    /// What was seen.
    pub seen: String,
    /// Whether nothing that rests on the authority is believed for it.
    pub takes_down: bool,
}

/// The flags of a ca-profile and its certificate.
pub fn of_profile(enabled: bool, certificate: &Certificate, now: UnixTime) -> Vec<Flag> {
    let shut = (!enabled).then(|| down("admin-down", "enabled = false".to_owned()));
    shut.into_iter().chain(of_form(certificate)).chain(of_dates(certificate, now)).collect()
}

fn down(word: &'static str, seen: String) -> Flag {
    Flag { word, seen, takes_down: true }
}

/// RFC 5280 §4.2.1.3, §6.1.4 (n): a CA whose keyUsage leaves out certificates issues none that count.
fn of_form(certificate: &Certificate) -> Option<Flag> {
    let usage = certificate.extensions.key_usage?;
    let (seen, takes_down) = match (usage.key_cert_sign(), usage.crl_sign()) {
        (false, _) => ("its keyUsage does not permit signing certificates", true),
        (true, false) => ("its keyUsage does not permit signing CRLs", false),
        (true, true) => return None,
    };
    Some(Flag { word: "invalid-certificate", seen: seen.to_owned(), takes_down })
}

fn of_dates(certificate: &Certificate, now: UnixTime) -> Option<Flag> {
    let (from, until) = (certificate.not_before, certificate.not_after);
    if now < from {
        Some(down("not-yet-valid-certificate", format!("good from {from}, now is {now}")))
    } else if until < now {
        Some(down("expired-certificate", format!("good until {until}, now is {now}")))
    } else {
        None
    }
}

/// Why an authority's CRL is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    word: &'static str,
    why: String,
}

impl Trouble {
    /// What is wrong with what came, or that nothing did.
    pub fn of(fetched: &Fetched) -> Option<Self> {
        let trouble = |word, why| Some(Self { word, why });
        match fetched {
            Fetched::List(Ok(_)) | Fetched::Answer(_) => None,
            Fetched::List(Err(error @ CrlError::Expired { .. })) => trouble("expired-crl", error.to_string()),
            Fetched::List(Err(error @ CrlError::NotYetValid { .. })) => {
                trouble("not-yet-valid-crl", error.to_string())
            }
            Fetched::List(Err(error)) => trouble("invalid-crl", error.to_string()),
            Fetched::Nothing(why) => trouble("no-crl", why.clone()),
        }
    }

    /// Which of two is told: that a server is away says less than what another one has sent.
    pub fn or_former(self, former: Option<Self>) -> Self {
        former.filter(|_| self.word == "no-crl").unwrap_or(self)
    }
}

/// What is known of an authority's CRL.
#[derive(Debug)]
pub struct List<'a> {
    /// Whether its ca-profile says where it is to be had.
    pub is_named: bool,
    /// Whether nothing the authority has issued is accepted without one.
    pub is_mandatory: bool,
    /// The newest that is held.
    pub held: Option<&'a Crl>,
    /// Why no other is.
    pub trouble: Option<&'a Trouble>,
}

impl List<'_> {
    /// The flag it raises.
    pub fn flag(&self, now: UnixTime) -> Option<Flag> {
        let (word, seen) = match (self.held, self.trouble) {
            (Some(held), trouble) => of_held(held, trouble, now)?,
            (None, Some(trouble)) => (trouble.word, trouble.why.clone()),
            (None, None) if self.is_named => ("loading-crl", "it is being fetched".to_owned()),
            (None, None) if self.is_mandatory => ("no-crl", "none was asked for yet".to_owned()),
            (None, None) => return None,
        };
        Some(Flag { word, seen, takes_down: self.is_mandatory })
    }
}

/// One that is good raises none, whatever became of the search for a newer one.
fn of_held(held: &Crl, trouble: Option<&Trouble>, now: UnixTime) -> Option<(&'static str, String)> {
    let (made, moment) = (held.this_update(), Moment::from(now));
    if made.0 > now.0.saturating_add(moment.skew) {
        return Some(("not-yet-valid-crl", format!("made {made}, now is {now}")));
    }
    let until = held.next_update().filter(|until| *until < now)?;
    let newer = trouble.map(|trouble| format!("; no newer one: {}", trouble.why)).unwrap_or_default();
    Some(("expired-crl", format!("good until {until}, now is {now}{newer}")))
}

#[cfg(test)]
mod tests;
