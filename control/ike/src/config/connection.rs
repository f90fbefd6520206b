//! A connection: one peer we may speak IKE with, how each side proves itself, and what may be negotiated.

use super::{
    AlgorithmProfile, AuthenticationLifetime, CertificateAuth, ChildConfig, ChildId, Choice, Client, Clients,
    IkeProposal, Lockout, OwnCertificate, Ppks, Prefix, Proposals, Redirection, SecondAuth, SignatureScheme,
    distinguished_name,
};
use core::fmt::{self, Write as _};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use zeroize::Zeroizing;

/// Names a connection; the caller's number, stable across configuration changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u32);

/// Everything the engine may do with one peer, or with any peer ([`RemoteAddress::Any`], [`RemoteAddress::Gateway`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// The routing instance (VRF) its IKE packets live in.
    pub instance: u16,
    /// Our own outer address.
    pub local: IpAddr,
    /// The peer's outer address.
    pub remote: RemoteAddress,
    /// Where a peer of one address may be besides: it is called there, in this order, when nobody answers at the address
    /// before, and may call from there. Of the family of `local`.
    pub backup_remotes: Vec<IpAddr>,
    /// Who we say we are (IDi as initiator, IDr as responder), unless that is for our certificate to say
    /// ([`CertificateAuth::names_us`]).
    pub local_identity: Identity,
    /// Who the peer must say it is.
    pub remote_identity: IdentityMatch,
    /// How we prove ourselves.
    pub local_auth: Auth,
    /// How the peer must prove itself; need not mirror `local_auth`.
    pub remote_auth: RemoteAuth,
    /// What is proven besides (RFC 4739).
    pub second_auth: Option<Box<SecondAuth>>,
    /// Whether a peer that shows a certificate is asked to show its responder's word on it as well (RFC 4806).
    pub ocsp_request: bool,
    /// Whether a peer may say by hash and URL where its certificates lie (RFC 7296 §3.6), and is told so.
    pub certificate_lookup: bool,
    /// Whether a peer may show a public key in place of a certificate (RFC 7670), or nothing at all where whoever judges it
    /// has its key; it is asked for one.
    pub raw_keys: bool,
    /// Post-quantum preshared keys; `None` neither announces nor uses them.
    pub ppk: Option<Ppks>,
    /// When we call, IKE_AUTH makes no CHILD_SA if the peer can do without (RFC 6023); CREATE_CHILD_SA makes the first,
    /// with a key exchange of its own where it has one configured. Called, we can always do without.
    pub childless: bool,
    /// What may be negotiated at all: the engine holds `proposals`, those of `children` and signature schemes to it.
    pub profile: AlgorithmProfile,
    /// Proposals for the IKE SA, preferred first.
    pub proposals: Proposals<IkeProposal>,
    /// The children it may have. The first is negotiated in IKE_AUTH when we initiate without naming one.
    pub children: Vec<ChildConfig>,
    /// How many CHILD_SAs one IKE SA may hold, not counting those being replaced; beyond it the peer is told
    /// NO_ADDITIONAL_SAS (RFC 7296 §1.3). Five is usual. SAs of single resources ([`super::Resource::One`]) do not count:
    /// of those there may be one for each child that is configured for one.
    pub max_children: usize,
    /// Time limits of the IKE SA.
    pub lifetime: IkeLifetime,
    /// How long proofs of identity count; `None`: as long as the IKE SA is rekeyed, or as the peer says.
    pub authentication_lifetime: Option<AuthenticationLifetime>,
    /// Dead peer detection; `None` answers the peer's probes and sends none.
    pub dead_peer: Option<DeadPeer>,
    /// NAT traversal.
    pub nat: NatTraversal,
    /// MOBIKE (RFC 4555): announced, and used if the peer announces it too. `remote` goes on to say where the peer may
    /// be: one with a fixed address does not move away from it.
    pub mobike: bool,
    /// Further addresses of ours that a tunnel with MOBIKE may use, of the family of `local`, preferred first.
    pub further_addresses: Vec<IpAddr>,
    /// IKE message fragmentation (RFC 7383); `None` neither announces nor uses it.
    pub fragmentation: Option<Fragmentation>,
    /// What to do with older IKE SAs of the same pair of identities.
    pub initial_contact: InitialContact,
    /// When callers that fail to prove themselves are not heard any more; `None`: never.
    pub lockout: Option<Lockout>,
    /// Redirection to another gateway (RFC 5685).
    pub redirect: Redirection,
    /// Session resumption (RFC 5723): who is called gives callers tickets that ask for one; who calls asks for one, and
    /// after the loss of the IKE SA shows it instead of proving itself anew.
    pub resumption: bool,
    /// Clients of a gateway, of which a caller may be one ([`RemoteAddress::Gateway`]); `None` where all are alike.
    pub clients: Option<Arc<Clients>>,
    /// Whether only the peer makes and renews SAs: what it does not renew ends. A rekey that is commanded is done.
    pub responder_only: bool,
}

impl Connection {
    /// The same for a caller that is this client: no other's key is in it.
    pub(crate) fn of_client(&self, client: &Client) -> Connection {
        let (local_auth, remote_auth) = match (&client.psk, &self.remote_auth) {
            (None, gateways) => (self.local_auth.clone(), gateways.clone()),
            (
                Some(key),
                RemoteAuth::Certificate { authorities, schemes }
                | RemoteAuth::Either { authorities, schemes, .. },
            ) if client.certificate => {
                let (psk, authorities, schemes) = (key.clone(), authorities.clone(), schemes.clone());
                (self.local_auth.clone(), RemoteAuth::Either { psk, authorities, schemes })
            }
            (Some(key), _) => (Auth::Psk(key.clone()), RemoteAuth::Psk(key.clone())),
        };
        Connection { local_auth, remote_auth, clients: None, ..self.clone() }
    }

    /// The same for a caller that proves itself by a pre-shared key, or by a certificate, where either would do: from
    /// there on nothing else does, in both directions.
    pub(crate) fn of_proof(&self, by_key: bool) -> Option<Connection> {
        let RemoteAuth::Either { psk, authorities, schemes } = &self.remote_auth else { return None };
        let (local_auth, remote_auth) = match by_key {
            true => (Auth::Psk(psk.clone()), RemoteAuth::Psk(psk.clone())),
            false => {
                let (authorities, schemes) = (authorities.clone(), schemes.clone());
                (self.local_auth.clone(), RemoteAuth::Certificate { authorities, schemes })
            }
        };
        Some(Connection { local_auth, remote_auth, ..self.clone() })
    }

    /// Which of our certificates a peer is shown that asked for these authorities and takes a signature by these.
    pub(crate) fn choose(&self, requested: &[[u8; 20]], takes: impl Fn(&OwnCertificate) -> bool) -> Choice {
        self.certificates().map(|own| own.choose_among(requested, takes)).unwrap_or_default()
    }

    /// Who we say we are with the certificate that is shown.
    pub(crate) fn own_identity(&self, choice: Choice) -> Identity {
        let name = self.certificates().and_then(|own| own.name(choice));
        name.unwrap_or_else(|| self.local_identity.clone())
    }

    /// By which of our certificates we are called so; `None` if we are not.
    pub(crate) fn called(&self, identity: &Identity) -> Option<Choice> {
        let by_name = self.local_identity.is_same(identity).then(Choice::default);
        by_name.or_else(|| self.certificates()?.named(identity))
    }

    fn certificates(&self) -> Option<&CertificateAuth> {
        match &self.local_auth {
            Auth::Certificate(own) => Some(own),
            Auth::Psk(_) => None,
        }
    }

    /// The addresses that tunnels of it may have at our end, preferred first: one without MOBIKE.
    pub(crate) fn own_addresses(&self) -> impl Iterator<Item = IpAddr> {
        let further = self.further_addresses.iter().filter(|_| self.mobike);
        std::iter::once(self.local).chain(further.copied())
    }

    /// Where its peer may be called, preferred first.
    pub(crate) fn remotes(&self) -> impl Iterator<Item = IpAddr> {
        let first = match self.remote {
            RemoteAddress::One(remote) => Some(remote),
            RemoteAddress::Any | RemoteAddress::Gateway | RemoteAddress::Admitted => None,
        };
        let others = self.backup_remotes.iter().filter(move |_| first.is_some());
        first.into_iter().chain(others.copied())
    }

    /// The configuration of one of its children.
    pub fn child(&self, id: ChildId) -> Option<&ChildConfig> {
        self.children.iter().find(|child| child.id == id)
    }
}

/// The peer's outer address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemoteAddress {
    /// Any address: we only respond.
    Any,
    /// This address.
    One(IpAddr),
    /// Any address, and any number of peers: each that has proven itself gets a connection of its own, which
    /// [`crate::want::WantKind::Admit`] asks for. Connections of the other kinds come before it.
    Gateway,
    /// That of a peer that was let in by a gateway: nobody else comes in by this connection, and nobody is called by
    /// it. It is no longer needed at [`crate::want::WantKind::Dismiss`].
    Admitted,
}

/// Kind of an identification payload (RFC 7296 §3.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IdKind {
    /// ID_IPV4_ADDR (1): four octets.
    Ipv4,
    /// ID_FQDN (2): ASCII name without terminator.
    Fqdn,
    /// ID_RFC822_ADDR (3): ASCII mail address.
    Email,
    /// ID_IPV6_ADDR (5): sixteen octets.
    Ipv6,
    /// ID_DER_ASN1_DN (9): DER Distinguished Name.
    DistinguishedName,
    /// ID_DER_ASN1_GN (10): DER GeneralName.
    GeneralName,
    /// ID_KEY_ID (11): opaque octets.
    KeyId,
    /// A type we have no name for; carried as it came.
    Other(u8),
}

impl IdKind {
    /// The number on the wire.
    pub fn number(self) -> u8 {
        match self {
            IdKind::Ipv4 => 1,
            IdKind::Fqdn => 2,
            IdKind::Email => 3,
            IdKind::Ipv6 => 5,
            IdKind::DistinguishedName => 9,
            IdKind::GeneralName => 10,
            IdKind::KeyId => 11,
            IdKind::Other(number) => number,
        }
    }

    /// The kind for a number on the wire.
    pub fn from_number(number: u8) -> IdKind {
        match number {
            1 => IdKind::Ipv4,
            2 => IdKind::Fqdn,
            3 => IdKind::Email,
            5 => IdKind::Ipv6,
            9 => IdKind::DistinguishedName,
            10 => IdKind::GeneralName,
            11 => IdKind::KeyId,
            other => IdKind::Other(other),
        }
    }
}

/// Who somebody claims to be: the body of an IDi or IDr payload.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    /// What the octets mean.
    pub kind: IdKind,
    /// The octets as on the wire.
    pub data: Vec<u8>,
}

impl Identity {
    /// An address as identity.
    pub fn address(address: IpAddr) -> Identity {
        match address {
            IpAddr::V4(v4) => Identity { kind: IdKind::Ipv4, data: v4.octets().to_vec() },
            IpAddr::V6(v6) => Identity { kind: IdKind::Ipv6, data: v6.octets().to_vec() },
        }
    }

    /// Whether both are one; upper and lower case of host names are the same, and every encoding of a distinguished name.
    pub fn is_same(&self, other: &Identity) -> bool {
        let same_octets = match self.kind {
            IdKind::Fqdn => self.data.eq_ignore_ascii_case(&other.data),
            IdKind::DistinguishedName => distinguished_name::is_same(&self.data, &other.data),
            _ => self.data == other.data,
        };
        self.kind == other.kind && same_octets
    }

    /// The address that it is, if it is one.
    pub fn to_address(&self) -> Option<IpAddr> {
        match self.kind {
            IdKind::Ipv4 => <[u8; 4]>::try_from(self.data.as_slice()).ok().map(IpAddr::from),
            IdKind::Ipv6 => <[u8; 16]>::try_from(self.data.as_slice()).ok().map(IpAddr::from),
            _ => None,
        }
    }

    /// A host name as identity.
    pub fn fqdn(name: &str) -> Identity {
        Identity { kind: IdKind::Fqdn, data: name.as_bytes().to_vec() }
    }
}

/// Octets of an identity that are written out: a peer may claim anything, and this goes into logs.
const WRITTEN: usize = 256;

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let written = self.data.get(..WRITTEN).unwrap_or(&self.data);
        let is_name = self.kind == IdKind::DistinguishedName;
        if let Some(name) = distinguished_name::text(&self.data).filter(|_| is_name) {
            return name.chars().take(WRITTEN).try_for_each(|character| f.write_char(character));
        }
        match self.kind {
            IdKind::Fqdn | IdKind::Email => write!(f, "{}", written.escape_ascii())?,
            IdKind::Ipv4 => match <[u8; 4]>::try_from(self.data.as_slice()) {
                Ok(octets) => return write!(f, "{}", IpAddr::from(octets)),
                Err(_) => return write!(f, "malformed IPv4 ({} octets)", self.data.len()),
            },
            IdKind::Ipv6 => match <[u8; 16]>::try_from(self.data.as_slice()) {
                Ok(octets) => return write!(f, "{}", IpAddr::from(octets)),
                Err(_) => return write!(f, "malformed IPv6 ({} octets)", self.data.len()),
            },
            kind => {
                match kind {
                    IdKind::KeyId => f.write_str("keyid:")?,
                    kind => write!(f, "{kind:?}:")?,
                }
                written.iter().try_for_each(|octet| write!(f, "{octet:02x}"))?;
            }
        }
        match self.data.len().checked_sub(WRITTEN) {
            Some(left @ 1..) => write!(f, "... and {left} octets"),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}({self})", self.kind)
    }
}

/// Which identities of the peer are accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdentityMatch {
    /// Whatever it proves; sensible with certificates, where the verdict judges the name.
    Any,
    /// This one only.
    Exact(Identity),
    /// Whoever one of these fits.
    OneOf(Vec<IdentityPattern>),
}

/// One identity, or all that end or begin alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdentityPattern {
    /// This one.
    Exact(Identity),
    /// Those of this kind that end in these octets and have something before them, such as `.example.org` or
    /// `@example.org`.
    Suffix(Identity),
    /// Those that are an address of these.
    Within(Prefix),
}

impl IdentityPattern {
    /// Whether `identity` fits; upper and lower case of domain names are the same.
    pub fn accepts(&self, identity: &Identity) -> bool {
        match self {
            IdentityPattern::Exact(wanted) => wanted.is_same(identity),
            IdentityPattern::Suffix(suffix) => {
                let cut = identity.data.len().checked_sub(suffix.data.len()).filter(|cut| *cut > 0);
                let end = cut.and_then(|cut| identity.data.get(cut..));
                identity.kind == suffix.kind && end.is_some_and(|end| end.eq_ignore_ascii_case(&suffix.data))
            }
            IdentityPattern::Within(prefix) => {
                identity.to_address().is_some_and(|address| prefix.contains(address))
            }
        }
    }
}

impl IdentityMatch {
    /// Whether `identity` is accepted: names are compared as [`Identity::is_same`] and [`IdentityPattern::accepts`] say.
    pub fn accepts(&self, identity: &Identity) -> bool {
        match self {
            IdentityMatch::Any => true,
            IdentityMatch::Exact(wanted) => wanted.is_same(identity),
            IdentityMatch::OneOf(patterns) => patterns.iter().any(|pattern| pattern.accepts(identity)),
        }
    }
}

/// How we prove ourselves.
#[derive(Clone, PartialEq, Eq)]
pub enum Auth {
    /// A pre-shared key (RFC 7296 §2.15), wiped on drop.
    Psk(Zeroizing<Vec<u8>>),
    /// Certificates; the private keys stay with whoever answers [`crate::want::WantKind::Sign`].
    Certificate(CertificateAuth),
}

/// How the peer must prove itself.
#[derive(Clone, PartialEq, Eq)]
pub enum RemoteAuth {
    /// A pre-shared key, wiped on drop.
    Psk(Zeroizing<Vec<u8>>),
    /// A certificate, judged by whoever answers [`crate::want::WantKind::Verdict`].
    Certificate {
        /// SHA-1 hashes of the public keys of acceptable authorities, for our CERTREQ (RFC 7296 §3.7).
        authorities: Vec<[u8; 20]>,
        /// Schemes we accept a signature in; empty accepts every scheme we know.
        schemes: Vec<SignatureScheme>,
    },
    /// Either of them, while a peer moves from the one to the other (TG-27). Called, we prove ourselves as the caller did.
    Either {
        /// The pre-shared key, wiped on drop.
        psk: Zeroizing<Vec<u8>>,
        /// As of a certificate.
        authorities: Vec<[u8; 20]>,
        /// As of a certificate.
        schemes: Vec<SignatureScheme>,
    },
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Auth::Psk(_) => f.write_str("Psk(..)"),
            Auth::Certificate(own) => {
                let schemes: Vec<_> = own.entries.iter().map(|entry| &entry.schemes).collect();
                f.debug_tuple("Certificate").field(&schemes).finish()
            }
        }
    }
}

impl fmt::Debug for RemoteAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RemoteAuth::Psk(_) => f.write_str("Psk(..)"),
            RemoteAuth::Either { .. } => f.write_str("Either(..)"),
            RemoteAuth::Certificate { authorities, schemes } => f
                .debug_struct("Certificate")
                .field("authorities", &authorities.len())
                .field("schemes", schemes)
                .finish(),
        }
    }
}

/// Time limits of an IKE SA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IkeLifetime {
    /// Age at which we rekey, before jitter.
    pub soft: Duration,
    /// Age at which the IKE SA and its children are deleted if no rekey has replaced it.
    pub hard: Duration,
    /// Up to this share of `soft`, in percent, is taken off at random. At most 50 is used.
    pub jitter_percent: u8,
}

impl Default for IkeLifetime {
    fn default() -> Self {
        IkeLifetime {
            soft: Duration::from_secs(77_760),
            hard: Duration::from_secs(86_400),
            jitter_percent: 10,
        }
    }
}

/// Dead peer detection (RFC 7296 §2.4): an empty INFORMATIONAL request when nothing authenticated was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeadPeer {
    /// Silence, of IKE and of ESP, after which we probe.
    pub interval: Duration,
    /// Retransmissions of a probe before the peer is declared dead.
    pub retries: u32,
    /// Time between those retransmissions.
    pub retry_interval: Duration,
}

impl Default for DeadPeer {
    fn default() -> Self {
        DeadPeer { interval: Duration::from_secs(30), retries: 3, retry_interval: Duration::from_secs(10) }
    }
}

/// Whether ESP goes in UDP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UdpEncapsulation {
    /// Where a NAT is found.
    #[default]
    Auto,
    /// Always: we pretend to be behind a NAT, so that both sides encapsulate.
    Force,
    /// Never: nobody looks for a NAT, and what the peer says of one is not heard (TG-26).
    Never,
}

/// NAT traversal (RFC 7296 §2.23, RFC 3948).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NatTraversal {
    /// Whether ESP goes in UDP.
    pub encapsulation: UdpEncapsulation,
    /// Time between keepalives while we are behind a NAT.
    pub keepalive: Duration,
    /// Send them without a NAT too, where ESP goes in UDP: for what stands on the way and does not show.
    pub always_keepalive: bool,
}

impl NatTraversal {
    /// Whether we pretend to be behind a NAT.
    pub fn forces(&self) -> bool {
        self.encapsulation == UdpEncapsulation::Force
    }

    /// Whether there is none.
    pub(crate) fn is_off(&self) -> bool {
        self.encapsulation == UdpEncapsulation::Never
    }

    /// The time to the next keepalive, if any are sent.
    pub(crate) fn pause(&self, behind_nat: bool, in_udp: bool) -> Option<Duration> {
        (behind_nat || self.always_keepalive && in_udp).then(|| self.keepalive.max(Duration::from_secs(1)))
    }
}

impl Default for NatTraversal {
    fn default() -> Self {
        NatTraversal {
            encapsulation: UdpEncapsulation::Auto,
            keepalive: Duration::from_secs(20),
            always_keepalive: false,
        }
    }
}

/// IKE message fragmentation (RFC 7383).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragmentation {
    /// Largest IP packet, in octets, an IKE message may make; larger ones are sent in fragments.
    pub mtu: u16,
}

impl Default for Fragmentation {
    fn default() -> Self {
        Fragmentation { mtu: 1280 }
    }
}

/// What to do when a peer authenticates with the identities of an older IKE SA (RFC 7296 §2.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InitialContact {
    /// Send the notification on a first contact; obey the peer's.
    #[default]
    Honour,
    /// A newly authenticated IKE SA always replaces older ones, notification or not.
    Replace,
    /// Neither send it nor obey it.
    Never,
}
