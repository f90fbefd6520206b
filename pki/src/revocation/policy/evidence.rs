//! What a decision about revocation rests on: for each certificate who was asked, what was said, and how old that was.

use std::fmt;

use super::Method;
use crate::revocation::{Moment, Revoked, Statement, Status};

/// The decision about a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// About each certificate, those nearest to the anchor first; the first refused one is the last.
    pub findings: Vec<Finding>,
}

/// What was found about one certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The certificate, in one line.
    pub certificate: String,
    /// What it comes to.
    pub conclusion: Conclusion,
    /// Everybody who was asked, in order.
    pub trail: Vec<Asked>,
}

/// What it comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conclusion {
    /// An authority says that it is good.
    Good(Evidence),
    /// An authority says that it is revoked.
    Revoked(Evidence, Revoked),
    /// It is accepted without an authority's word.
    Accepted(Why),
    /// It is refused without an authority's word.
    Refused(Lack),
}

/// What an authority's word is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// How it was had.
    pub method: Method,
    /// Seconds since it was said.
    pub age: u64,
    /// Seconds it has been out of date for.
    pub stale: u64,
    /// Whether the peer brought it itself (RFC 4806).
    pub stapled: bool,
}

/// Why nobody's word is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Revocation is off for this CA.
    Off,
    /// The order is `none`: nobody is asked.
    Never,
    /// There is nowhere to ask, and the rules ask only where there is.
    NoLocation,
    /// Nobody has answered, and the rules accept then.
    NoAnswer,
    /// There is no CRL to say whether a CA is revoked, and `crl-optional` accepts that.
    CrlOptional,
}

/// What is lacking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lack {
    /// Nobody has answered, and the rules refuse then.
    NoAnswer,
    /// The CA has no usable CRL, and the rules want one.
    NoCrl,
}

/// Somebody who was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// How.
    pub method: Method,
    /// An address or a file.
    pub source: String,
    /// What was said and how many seconds ago, or why that says nothing.
    pub said: Result<(Status, u64), String>,
}

impl Decision {
    /// Whether no certificate of the path is refused.
    pub fn is_accepted(&self) -> bool {
        self.refused().is_none()
    }

    /// The certificate that is refused.
    pub fn refused(&self) -> Option<&Finding> {
        let refused = |finding: &&Finding| {
            matches!(finding.conclusion, Conclusion::Revoked(..) | Conclusion::Refused(_))
        };
        self.findings.iter().find(refused)
    }

    /// The certificates that are accepted without an authority's word.
    pub fn unanswered(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| matches!(finding.conclusion, Conclusion::Accepted(_)))
    }

    /// Whether it rests on something out of date: a reason for an alarm.
    pub fn is_stale(&self) -> bool {
        let stale = |finding: &Finding| matches!(finding.conclusion, Conclusion::Good(evidence) if evidence.stale > 0);
        self.findings.iter().any(stale)
    }
}

impl Evidence {
    pub(super) fn of(method: Method, statement: &Statement, moment: Moment) -> Self {
        let &Statement { this_update, stale, stapled, .. } = statement;
        Self { method, age: moment.since(this_update), stale, stapled }
    }
}

/// One line for each certificate, and one for each who was asked.
impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.findings {
            writeln!(f, "{}: {}", finding.certificate, finding.conclusion)?;
            finding.trail.iter().try_for_each(|asked| writeln!(f, "  {asked}"))?;
        }
        Ok(())
    }
}

/// All on one line.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.certificate, self.conclusion)?;
        let said: Vec<String> = self.trail.iter().map(Asked::to_string).collect();
        if said.is_empty() { Ok(()) } else { write!(f, " ({})", said.join("; ")) }
    }
}

impl fmt::Display for Conclusion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Good(evidence) => write!(f, "good by {evidence}"),
            Self::Revoked(evidence, revoked) => write!(f, "{revoked} by {evidence}"),
            Self::Accepted(Why::Off) => f.write_str("accepted: revocation is off for its CA"),
            Self::Accepted(Why::Never) => f.write_str("accepted: nobody is asked ('none')"),
            Self::Accepted(Why::NoLocation) => f.write_str("accepted: there is nowhere to ask"),
            Self::Accepted(Why::NoAnswer) => f.write_str("accepted without an answer"),
            Self::Accepted(Why::CrlOptional) => f.write_str("accepted: its CA has no CRL ('crl-optional')"),
            Self::Refused(Lack::NoAnswer) => f.write_str("refused without an answer"),
            Self::Refused(Lack::NoCrl) => f.write_str("refused: its CA has no usable CRL"),
        }
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let brought = if self.stapled { " stapled" } else { "" };
        write!(f, "{}{brought}, {} s old", self.method, self.age)?;
        if self.stale > 0 { write!(f, ", out of date for {} s", self.stale) } else { Ok(()) }
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.said {
            Ok((status, age)) => write!(f, "{} {}: {status}, said {age} s ago", self.method, self.source),
            Err(why) => write!(f, "{} {}: {why}", self.method, self.source),
        }
    }
}
