//! The stable codes of this room's refusals, `RV-PKI-...`. A code never changes its meaning and none is used twice.

use ravelin_pki::path::Cause;
use ravelin_pki::revocation::policy::{Conclusion, Lack};
use ravelin_pki::verdict;

use super::Refusal;

impl Refusal {
    /// The code, for scripts and for the manual.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unexpected { .. } => "RV-PKI-001",
            Self::Identity(_) => "RV-PKI-002",
            Self::Key(_) => "RV-PKI-003",
            Self::Signature(_) => "RV-PKI-004",
            Self::Certificate(verdict::Refusal::NoCertificate) => "RV-PKI-005",
            Self::Certificate(verdict::Refusal::TooMany(_)) => "RV-PKI-006",
            Self::Certificate(verdict::Refusal::Unreadable(_)) => "RV-PKI-007",
            Self::Certificate(verdict::Refusal::Identity(_)) => "RV-PKI-008",
            Self::Certificate(verdict::Refusal::Path(error)) => of_cause(&error.cause),
            Self::Certificate(verdict::Refusal::Revocation(finding)) => match finding.conclusion {
                // Not the peer's fault.
                Conclusion::Refused(Lack::NoAnswer) => "RV-LOCAL-018",
                Conclusion::Refused(Lack::NoCrl) => "RV-LOCAL-019",
                _ => "RV-PKI-043",
            },
            Self::Withdrawn(_) => "RV-PKI-044",
            Self::Unlisted { .. } => "RV-PKI-045",
            Self::Shut(_) => "RV-PKI-048",
            Self::NoKey(_) => "RV-PKI-049",
            Self::OtherKey { .. } => "RV-PKI-050",
            Self::Busy(_) => "RV-LOCAL-020",
        }
    }
}

const fn of_cause(cause: &Cause) -> &'static str {
    match cause {
        Cause::UnknownIssuer { .. } => "RV-PKI-020",
        Cause::UntrustedRoot { .. } => "RV-PKI-021",
        Cause::AuthorityKeyMismatch => "RV-PKI-022",
        Cause::TooDeep { .. } => "RV-PKI-023",
        Cause::BadSignature => "RV-PKI-024",
        Cause::SignatureAlgorithm(_) => "RV-PKI-025",
        Cause::Key(_) => "RV-PKI-026",
        Cause::RsaFloor { .. } => "RV-PKI-027",
        Cause::NotCa => "RV-PKI-028",
        Cause::NoCertSign => "RV-PKI-029",
        Cause::EndEntityIsCa => "RV-PKI-030",
        Cause::NoDigitalSignature => "RV-PKI-031",
        Cause::KeyPurpose { .. } => "RV-PKI-032",
        Cause::UnknownCritical(_) => "RV-PKI-033",
        Cause::NotYetValid { .. } => "RV-PKI-034",
        Cause::Expired { .. } => "RV-PKI-035",
        Cause::PathLength { .. } => "RV-PKI-036",
        Cause::NotPermitted { .. } => "RV-PKI-037",
        Cause::Excluded { .. } => "RV-PKI-038",
        Cause::Unjudgeable { .. } => "RV-PKI-039",
        Cause::AnyPolicyMapped => "RV-PKI-040",
        Cause::NoPolicy => "RV-PKI-041",
        Cause::Budget { .. } => "RV-PKI-042",
    }
}
