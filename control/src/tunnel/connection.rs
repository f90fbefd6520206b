//! A tunnel of the plan as the IKE engine takes it: identities in their wire form,
//! certificate chains, schemes, proposals and timers.

use std::net::IpAddr;
use std::time::Duration;

use ravelin_dataplane::policy::table::{MAX_CHILDREN, TooManyChildren};
use ravelin_dataplane::sa;
use ravelin_ike::config::{
    Auth, AuthenticationLifetime, CertificateAuth, ChildConfig, ChildId, ChildLifetime, Connection, IdKind,
    Identity, IdentityMatch, IkeLifetime, Mode, RemoteAddress, RemoteAuth, Resource, SecondAuth,
};
use ravelin_pki::x509::Name;
use ravelin_pki::{Certificate, certreq};

use super::regime::regime;
use crate::config::plan::{self, OwnAuthentication, PeerAuthentication, Plan, SoftLifetime};

/// What a rekey may take when the peer is busy with another and when packets are lost (RFC 7296 §2.1,
/// §2.25): an SA that ends before its successor is there costs packets.
pub const TIME_TO_REKEY: Duration = Duration::from_secs(30);

/// Why a tunnel cannot be handed to the engine: the operator's to mend.
#[derive(Debug, thiserror::Error)]
#[error("tunnel {tunnel}: {what}")]
pub struct Unusable {
    /// The tunnel.
    pub tunnel: String,
    /// What is wrong and what would help.
    pub what: String,
}

/// The engine's form of `tunnel`, which speaks IKE as `ike` says.
///
/// # Errors
/// When an identity cannot be put into its wire form.
pub fn connection(
    plan: &Plan,
    tunnel: &plan::Tunnel,
    ike: &plan::Ike,
    children: impl Iterator<Item = (ChildId, plan::Child, Resource)>,
) -> Result<Connection, Unusable> {
    let unusable = |what| Unusable { tunnel: tunnel.name.clone(), what };
    let children: Vec<ChildConfig> =
        children.map(|(id, child, resource)| child_config(id, &child, resource, tunnel.mode)).collect();
    let remote = tunnel.remote.map_or(RemoteAddress::Any, RemoteAddress::One);
    let identity = remote_identity(tunnel, ike).map_err(unusable)?;
    let base = base(plan, (tunnel.public, tunnel.local), ike, (remote, identity)).map_err(unusable)?;
    let responder_only = plan.only_responds(&tunnel.group);
    let (max_children, backup_remotes) = (tunnel.child_limit, ike.backup_remotes.clone());
    Ok(Connection { max_children, backup_remotes, children, responder_only, ..base })
}

/// The engine's form of a gateway: that by which its peers prove themselves, without children.
///
/// # Errors
/// When an identity cannot be put into its wire form.
pub fn of_gateway(plan: &Plan, gateway: &plan::Gateway) -> Result<Connection, Unusable> {
    let identity = match gateway.admits.as_slice() {
        [] => IdentityMatch::Any,
        patterns => IdentityMatch::OneOf(patterns.to_vec()),
    };
    let (ends, peer) = ((gateway.public, gateway.local), (RemoteAddress::Gateway, identity));
    let unusable = |what| Unusable { tunnel: format!("of gateway {}", gateway.name), what };
    let clients = gateway.clients.as_ref().map(|clients| clients.lookup.clone());
    let responder_only = plan.only_responds(&gateway.group);
    let base = base(plan, ends, &gateway.ike, peer).map_err(unusable)?;
    Ok(Connection { clients, responder_only, ..base })
}

/// The engine's form of a tunnel that a gateway's peer has opened: each of its children may carry all of what the
/// gateway allows it now (TS-09), and is narrowed to what the peer asks for.
///
/// # Errors
/// When an identity cannot be put into its wire form.
pub fn of_admitted(
    plan: &Plan,
    traffic: &plan::TsList,
    tunnel: &plan::Tunnel,
    ike: &plan::Ike,
    children: impl Iterator<Item = (ChildId, plan::Child, Resource)>,
) -> Result<Connection, Unusable> {
    let (local, remote) = (&traffic.local, &traffic.remote);
    let admitted = connection(plan, tunnel, ike, children)?;
    let allow = |child| ChildConfig { local: local.clone(), remote: remote.clone(), ..child };
    let children = admitted.children.into_iter().map(allow).collect();
    Ok(Connection { remote: RemoteAddress::Admitted, children, ..admitted })
}

/// What does not depend on children.
fn base(
    plan: &Plan,
    (instance, local): (plan::InstanceId, IpAddr),
    ike: &plan::Ike,
    (remote, remote_identity): (RemoteAddress, IdentityMatch),
) -> Result<Connection, String> {
    Ok(Connection {
        instance,
        local,
        remote,
        local_identity: local_identity(plan, local, ike)?,
        remote_identity,
        local_auth: own(plan, ike),
        remote_auth: peer(plan, &ike.peer),
        second_auth: ike.second.as_ref().map(second_auth).transpose()?.map(Box::new),
        ocsp_request: wants_stapled(plan, &ike.peer),
        certificate_lookup: anchors(plan, &ike.peer).is_some_and(|profile| profile.lookup),
        raw_keys: anchors(plan, &ike.peer).is_some_and(|profile| !profile.keys.is_empty()),
        ppk: ike.ppk.clone(),
        childless: ike.policy.childless,
        profile: ike.policy.profile,
        proposals: ike.policy.proposals.clone(),
        max_children: 0,
        children: Vec::new(),
        lifetime: ike_lifetime(ike.policy.lifetime, ike.policy.soft),
        authentication_lifetime: ike
            .policy
            .authentication_lifetime
            .map(|hard| authentication_lifetime(hard, ike.policy.soft)),
        dead_peer: ike.policy.dead_peer,
        nat: ike.policy.nat,
        mobike: ike.mobike,
        further_addresses: ike.mobike_addresses.clone(),
        backup_remotes: Vec::new(),
        fragmentation: ike.policy.fragmentation,
        initial_contact: ike.initial_contact,
        lockout: ike.policy.lockout,
        redirect: ike.redirect.clone(),
        resumption: ike.policy.resumption,
        clients: None,
        responder_only: false,
    })
}

/// Whether a tunnel can be handed to the engine and the tables, asked before anything is changed.
///
/// # Errors
/// Why not.
pub fn usable(plan: &Plan, tunnel: &plan::Tunnel) -> Result<(), Unusable> {
    let unusable = |what| Unusable { tunnel: tunnel.name.clone(), what };
    let found = tunnel.children.len();
    if found > MAX_CHILDREN {
        return Err(unusable(TooManyChildren { found }.to_string()));
    }
    let plan::Keying::Ike(ike) = &tunnel.keying else { return Ok(()) };
    expected(ike).map_err(unusable)?;
    let children = tunnel.children.iter().cloned().enumerate();
    let numbered = children.map(|(number, child)| (ChildId(number as u32), child, Resource::Only));
    connection(plan, tunnel, ike, numbered).map(drop)
}

fn ike_lifetime(hard: Duration, share: SoftLifetime) -> IkeLifetime {
    IkeLifetime { soft: soft(hard, share.percent), hard, jitter_percent: share.jitter_percent }
}

fn authentication_lifetime(hard: Duration, share: SoftLifetime) -> AuthenticationLifetime {
    AuthenticationLifetime { soft: soft(hard, share.percent), hard, jitter_percent: share.jitter_percent }
}

/// When to rekey what ends after `hard`: when so many percent of its life are over, or [`TIME_TO_REKEY`] before its end
/// if that is earlier, but not before half of its life is over.
pub fn soft(hard: Duration, percent: u8) -> Duration {
    let left = hard / 100 * u32::from(100u8.saturating_sub(percent));
    hard - left.max(TIME_TO_REKEY.min(hard / 2))
}

fn child_config(id: ChildId, child: &plan::Child, resource: Resource, mode: sa::Mode) -> ChildConfig {
    let (hard, share) = (child.transform.lifetime, child.transform.soft);
    ChildConfig {
        id,
        local: child.local_ts.clone(),
        remote: child.remote_ts.clone(),
        proposals: child.transform.proposals.clone(),
        lifetime: ChildLifetime {
            soft: soft(hard, share.percent),
            hard,
            jitter_percent: share.jitter_percent,
        },
        resource,
        mode: match mode {
            sa::Mode::Tunnel => Mode::Tunnel,
            sa::Mode::Transport => Mode::Transport,
        },
    }
}

/// Ours: as configured, else our certificate's subject (which one's, the engine decides where there are several), else our address.
fn local_identity(plan: &Plan, local: IpAddr, ike: &plan::Ike) -> Result<Identity, String> {
    if let Some(identity) = &ike.local_id {
        return wire(identity);
    }
    match own_subject(plan, &ike.own) {
        Some(subject) => Ok(Identity { kind: IdKind::DistinguishedName, data: subject.to_vec() }),
        None => Ok(Identity::address(local)),
    }
}

fn second_auth(second: &plan::SecondAuthentication) -> Result<SecondAuth, String> {
    let local = second.local_id.as_ref().map(wire).transpose()?;
    let remote = second.remote_id.as_ref().map(wire).transpose()?.map(IdentityMatch::Exact);
    Ok(SecondAuth { local, remote, psk: second.psk.0.clone() })
}

/// The peer's: as configured; with a PSK its address; else whatever its certificate proves. A distinguished name may have
/// strings of types that only the trust profile knows, so that compares those ([`expected`]).
fn remote_identity(tunnel: &plan::Tunnel, ike: &plan::Ike) -> Result<IdentityMatch, String> {
    match (&ike.remote_id, &ike.peer, tunnel.remote) {
        (Some(plan::Identity::DistinguishedName(_)), PeerAuthentication::Certificate(_), _) => {
            Ok(IdentityMatch::Any)
        }
        // By a key it would be whoever has that: the engine compares it, and by certificate the trust profile too.
        (Some(identity), _, _) => wire(identity).map(IdentityMatch::Exact),
        (None, PeerAuthentication::Psk(_), Some(address)) => {
            Ok(IdentityMatch::Exact(Identity::address(address)))
        }
        (None, _, _) => Ok(IdentityMatch::Any),
    }
}

/// Whom a trust profile must hold the peer to be, where comparing octets is not enough.
///
/// # Errors
/// When the configured name is none.
pub fn expected(ike: &plan::Ike) -> Result<Option<ravelin_pki::identity::Identity>, String> {
    let Some(identity @ plan::Identity::DistinguishedName(_)) = &ike.remote_id else { return Ok(None) };
    crate::trust::identity_from_ike(&wire(identity)?).map(Some).map_err(|error| error.to_string())
}

/// The wire form of a configured identity (RFC 7296 §3.5).
///
/// # Errors
/// When a distinguished name is none.
pub fn wire(identity: &plan::Identity) -> Result<Identity, String> {
    let (kind, data) = match identity {
        plan::Identity::Address(IpAddr::V4(address)) => (IdKind::Ipv4, address.octets().to_vec()),
        plan::Identity::Address(IpAddr::V6(address)) => (IdKind::Ipv6, address.octets().to_vec()),
        plan::Identity::Fqdn(name) => (IdKind::Fqdn, name.as_bytes().to_vec()),
        plan::Identity::Email(name) => (IdKind::Email, name.as_bytes().to_vec()),
        plan::Identity::KeyId(octets) => (IdKind::KeyId, octets.clone()),
        plan::Identity::DistinguishedName(text) => (IdKind::DistinguishedName, distinguished_name(text)?),
    };
    Ok(Identity { kind, data })
}

fn distinguished_name(text: &str) -> Result<Vec<u8>, String> {
    let bad = || format!("{text:?} is no distinguished name: write it as in CN=gw, O=Acme, C=CH");
    Name::from_text(text).map(|name| name.der().to_vec()).ok_or_else(bad)
}

/// The subject of our certificate, of the first where there are several.
fn own_subject<'p>(plan: &'p Plan, own: &OwnAuthentication) -> Option<&'p [u8]> {
    let OwnAuthentication::Certificate(name) = own else { return None };
    let first = plan.cert_profiles.get(name)?.entries.first().filter(|entry| !entry.shown.is_raw);
    first.map(|entry| entry.shown.subject.as_slice())
}

fn own(plan: &Plan, ike: &plan::Ike) -> Auth {
    match &ike.own {
        OwnAuthentication::Psk(key) => Auth::Psk(key.0.clone()),
        OwnAuthentication::Certificate(name) => {
            let entries = plan.cert_profiles.get(name).into_iter().flat_map(|profile| &profile.entries);
            let entries: Vec<_> = entries.map(|entry| entry.shown.clone()).collect();
            // A key alone says nothing of who has it.
            let names_us = ike.local_id.is_none() && !entries.iter().any(|own| own.is_raw);
            Auth::Certificate(CertificateAuth { entries, names_us })
        }
    }
}

fn peer(plan: &Plan, peer: &PeerAuthentication) -> RemoteAuth {
    match peer {
        PeerAuthentication::Psk(key) => RemoteAuth::Psk(key.0.clone()),
        PeerAuthentication::Certificate(name) => {
            RemoteAuth::Certificate { authorities: authorities(plan, name), schemes: Vec::new() }
        }
        PeerAuthentication::Either(key, name) => {
            let (psk, authorities) = (key.0.clone(), authorities(plan, name));
            RemoteAuth::Either { psk, authorities, schemes: Vec::new() }
        }
    }
}

/// Whether a responder's word counts that a peer brings with its certificate.
fn wants_stapled(plan: &Plan, peer: &PeerAuthentication) -> bool {
    anchors(plan, peer).is_some_and(|profile| regime(plan, profile).wants_stapled())
}

/// What a peer's certificates are judged by, where it shows any.
fn anchors<'p>(plan: &'p Plan, peer: &PeerAuthentication) -> Option<&'p plan::TrustAnchorProfile> {
    peer.anchors().and_then(|name| plan.trust.get(name))
}

/// Hashes of the keys that chains may lead to.
fn authorities(plan: &Plan, name: &str) -> Vec<[u8; 20]> {
    let Some(profile) = plan.trust.get(name) else { return Vec::new() };
    let known = profile.anchors.iter().chain(&profile.intermediates);
    let known = known.filter_map(|der| Certificate::from_der(der).ok());
    let open = known.filter(|certificate| profile.shut.of(certificate).is_none());
    open.map(|certificate| certreq::hash(&certificate)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A long life is rekeyed late; a short one leaves time for a rekey that the peer puts off.
    #[test]
    fn a_rekey_has_time() {
        let seconds = Duration::from_secs;
        for (life, rekeyed) in [(86400, 77760), (3600, 3240), (300, 270), (200, 170), (60, 30), (6, 3)] {
            assert_eq!(soft(seconds(life), 90), seconds(rekeyed), "of {life} s");
        }
        assert_eq!(soft(seconds(1), 90), Duration::from_millis(500));
        assert_eq!((soft(seconds(3600), 50), soft(seconds(3600), 99)), (seconds(1800), seconds(3564)));
    }
}
