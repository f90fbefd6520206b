//! Redirection to another gateway (RFC 5685): whether we follow one, and whether we redirect who calls us.

use crate::wire::GatewayIdentity;
use core::ops::RangeInclusive;
use std::net::IpAddr;

/// Of one connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Redirection {
    /// Where we go when the gateway we call, or have called, says so.
    pub accept: AcceptRedirect,
    /// Where callers go that can be redirected.
    pub callers: Option<RedirectCallers>,
}

/// Where we let ourselves be redirected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AcceptRedirect {
    /// Nowhere: gateways are not told that we could be.
    #[default]
    Never,
    /// To any address of the family we call from.
    Anywhere,
    /// To these addresses.
    Within(Vec<RangeInclusive<IpAddr>>),
}

impl AcceptRedirect {
    /// Whether this gateway may be called instead.
    pub fn allows(&self, to: IpAddr) -> bool {
        match self {
            AcceptRedirect::Never => false,
            AcceptRedirect::Anywhere => true,
            AcceptRedirect::Within(ranges) => ranges.iter().any(|range| range.contains(&to)),
        }
    }
}

/// Where callers go, and when they are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedirectCallers {
    /// The other gateway. A name is for the callers to resolve.
    pub to: GatewayIdentity,
    /// When.
    pub at: RedirectAt,
}

/// When callers are redirected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RedirectAt {
    /// In answer to IKE_SA_INIT, whoever they are: it costs nothing (RFC 5685 §3).
    Init,
    /// In IKE_AUTH, once they are proven (RFC 5685 §6).
    Auth,
}
