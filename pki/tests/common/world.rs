//! A CA with a CRL server and a responder that can each be in any state, and a loop that fetches from them what a check
//! asks for.
#![allow(dead_code, reason = "each test binary uses its own part of this")]

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use ravelin_pki::path::{Rules as PathRules, VerifiedPath};
use ravelin_pki::revocation::Issued;
use ravelin_pki::revocation::cache::Cache;
use ravelin_pki::revocation::policy::{Check, Decision, Fetch, Fetched, Method, Rules, Step};
use ravelin_pki::{Certificate, UnixTime, oid};
use rcgen::{CertificateParams, CrlDistributionPoint, CustomExtension, SerialNumber};

use super::der::{sequence, tlv};
use super::{KEYS, ca, crl, gateway, issued, judge, ocsp, self_signed};

pub const CRL_URL: &str = "http://crl.example/a.crl";
pub const OCSP_URL: &str = "http://ocsp.example";
/// Of the certificates the root itself issues to CAs.
pub const ROOT_CRL_URL: &str = "http://crl.example/root.crl";

pub static ROOT: LazyLock<Arc<Certificate>> = LazyLock::new(|| self_signed(&ca("Root"), 0));

/// What becomes of whoever asks a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The certificate is good.
    Good,
    /// Nobody answers.
    Dead,
    /// The certificate is revoked.
    Revoked,
    /// It would be good, but for the date.
    Stale,
    /// It would be good, but somebody else has signed it.
    Forged,
    /// The server is alive and knows nothing of the certificate.
    Unknown,
}

impl State {
    pub const ALL: [Self; 6] =
        [Self::Good, Self::Dead, Self::Revoked, Self::Stale, Self::Forged, Self::Unknown];
}

/// A certificate's parameters, with addresses to ask about it.
pub fn asking(
    mut params: CertificateParams,
    serial: u8,
    crls: &[&str],
    responders: &[&str],
) -> CertificateParams {
    params.serial_number = Some(SerialNumber::from_slice(&[serial]));
    params.crl_distribution_points =
        crls.iter().map(|uri| CrlDistributionPoint { uris: vec![(*uri).to_owned()] }).collect();
    let description = |uri: &&str| sequence(&[&tlv(6, oid::AD_OCSP), &tlv(0x86, uri.as_bytes())]);
    let descriptions: Vec<u8> = responders.iter().flat_map(description).collect();
    if !descriptions.is_empty() {
        let arcs = [1, 3, 6, 1, 5, 5, 7, 1, 1];
        params.custom_extensions.push(CustomExtension::from_oid_content(&arcs, tlv(0x30, &descriptions)));
    }
    params
}

/// A gateway below the root, asked about at both addresses.
pub fn direct_path() -> VerifiedPath {
    let params = asking(gateway("Gateway"), 9, &[CRL_URL], &[OCSP_URL]);
    let end_entity = issued(&params, 1, &ca("Root"), 0);
    judge(&end_entity, &[], std::slice::from_ref(&ROOT), &PathRules::default()).unwrap()
}

/// A gateway below a CA below the root.
pub fn long_path() -> VerifiedPath {
    let below = asking(ca("Below"), 8, &[ROOT_CRL_URL], &[OCSP_URL]);
    let params = asking(gateway("Gateway"), 9, &[CRL_URL], &[OCSP_URL]);
    let (authority, end_entity) = (issued(&below, 2, &ca("Root"), 0), issued(&params, 1, &below, 2));
    judge(&end_entity, &[authority], std::slice::from_ref(&ROOT), &PathRules::default()).unwrap()
}

/// The servers by address; others are dead.
#[derive(Default)]
pub struct World {
    pub servers: BTreeMap<String, State>,
    /// Every address that was asked, in order.
    pub asked: Vec<String>,
}

impl World {
    pub fn with(servers: &[(&str, State)]) -> Self {
        let servers = servers.iter().map(|(url, state)| ((*url).to_owned(), *state)).collect();
        Self { servers, asked: Vec::new() }
    }

    /// Decides, fetching what is asked for.
    pub fn decide(
        &mut self,
        path: &VerifiedPath,
        rules: &Rules,
        cache: &mut Cache,
        now: UnixTime,
    ) -> Decision {
        let rules = Arc::new(rules.clone());
        let mut check = Check::new(path, |_| Arc::clone(&rules));
        loop {
            assert!(self.asked.len() < 64, "no end: {:?}", self.asked);
            match check.next(cache, now) {
                Step::Decided(decision) => return decision,
                Step::Need(fetch) => {
                    self.asked.push(fetch.url.clone());
                    let fetched = self.fetch(&fetch, now);
                    check.feed(&fetch, fetched, cache, now);
                }
            }
        }
    }

    /// What comes of a fetch.
    pub fn fetch(&self, fetch: &Fetch, now: UnixTime) -> Fetched {
        let state = self.servers.get(&fetch.url).copied().unwrap_or(State::Dead);
        let octets = match fetch.method {
            _ if state == State::Dead => return Fetched::Nothing("connection refused".to_owned()),
            Method::Crl => list(&fetch.issued, state, now),
            Method::Ocsp => answer(&fetch.issued, state, now),
        };
        match fetch.method {
            Method::Crl => fetch.list(&octets, now),
            Method::Ocsp => fetch.answer(&fetch.question([7; 32]), &octets, now),
        }
    }
}

/// The number of the key that signs for an authority, or of somebody else.
fn signer(issued: &Issued, state: State) -> usize {
    match state {
        State::Forged => 5,
        _ if issued.issuer == *ROOT => 0,
        _ => 2,
    }
}

/// A CRL of the issuer in this state: made an hour ago, for a day; the stale one ended ten minutes ago.
pub fn list(issued: &Issued, state: State, now: UnixTime) -> Vec<u8> {
    let draft = crl::Draft::of(&issued.issuer, now);
    let draft = match state {
        State::Revoked => draft.revoking(&issued.certificate.serial, UnixTime(now.0 - 7200), Some(1)),
        State::Stale => draft.between(now.0 - 7200, Some(now.0 - 600)),
        State::Unknown => draft.for_some(&[&crl::at_uri("http://crl.example/elsewhere.crl")]),
        _ => draft,
    };
    draft.sign(&KEYS[signer(issued, state)])
}

/// An answer of the issuer itself in this state.
pub fn answer(issued: &Issued, state: State, now: UnixTime) -> Vec<u8> {
    let revoked = ocsp::revoked(UnixTime(now.0 - 7200), 1);
    let status = match state {
        State::Revoked => &revoked,
        State::Unknown => ocsp::UNKNOWN,
        _ => ocsp::GOOD,
    };
    let (from, until) = if state == State::Stale { (-7200, -600) } else { (-3600, 82_800) };
    let at = |seconds: i64| UnixTime(now.0 + seconds);
    let draft = ocsp::Draft::by(&issued.issuer, at(from)).saying(issued, status, at(from), Some(at(until)));
    draft.sign(&KEYS[signer(issued, state)])
}
