//! Algorithm profiles: what may be negotiated at all, whatever proposals say (RFC 8247 for IKE, RFC 8221 for ESP, CNSA 2.0).
//!
//! One table, a row for each algorithm and a column for each profile. The caller's planner asks it about every proposal
//! and says what it finds ([`AlgorithmProfile::objections`]); the engine holds every connection to it
//! ([`Connection::within_profile`]), so that nothing outside is offered, chosen or accepted, whoever configured it.

use super::{
    AdditionalGroups, Auth, Connection, Encryption, EspProposal, Group, IkeProposal, Integrity, Prf,
    RemoteAuth, SignatureScheme,
};
use core::fmt;

/// A set of rules about algorithms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AlgorithmProfile {
    /// RFC 8247 and RFC 8221.
    #[default]
    Rfc8247,
    /// The Commercial National Security Algorithm Suite 2.0 (draft-guthrie-cnsa2-ipsec-profile), as far as its
    /// algorithms are here: no ML-DSA, so that signatures are tolerated which the suite does not have.
    Cnsa2,
    /// Whatever is here, without a word about it; of [`Algorithm::is_legacy`] once that is let in at all.
    Legacy,
}

/// What a profile says of an algorithm, in the words of RFC 2119.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    /// It may be used, or should, or must be there.
    Allowed,
    /// SHOULD NOT: it is used, under protest.
    ShouldNot,
    /// MUST NOT: it is not used.
    MustNot,
}

/// Anything a profile has a word about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// A cipher.
    Encryption(Encryption),
    /// An integrity algorithm.
    Integrity(Integrity),
    /// A pseudorandom function.
    Prf(Prf),
    /// A key exchange method, first or additional.
    Group(Group),
    /// A signature scheme.
    Signature(SignatureScheme),
}

impl Algorithm {
    /// Whether it is here only for peers that have nothing else, and to be asked for by whoever configures it (RFC 8221
    /// §5, §6, RFC 8247 §2.1 to §2.4).
    pub fn is_legacy(self) -> bool {
        matches!(
            self,
            Algorithm::Encryption(Encryption::TripleDes | Encryption::Des)
                | Algorithm::Integrity(Integrity::HmacMd5)
                | Algorithm::Prf(Prf::HmacMd5)
                | Algorithm::Group(Group::Modp1024)
        )
    }
}

/// What a profile has against a proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Objection {
    /// An algorithm of it.
    Algorithm(Algorithm, Standing),
    /// None of its key exchanges is by this method, and one has to be.
    Missing(Group),
}

impl Objection {
    /// Whether the proposal can be used all the same.
    pub fn is_tolerable(&self) -> bool {
        matches!(self, Objection::Algorithm(_, Standing::ShouldNot | Standing::Allowed))
    }
}

impl fmt::Display for Objection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Objection::Algorithm(algorithm, Standing::MustNot) => {
                write!(f, "\"{algorithm}\" MUST NOT be used")
            }
            Objection::Algorithm(algorithm, _) => write!(f, "\"{algorithm}\" SHOULD NOT be used"),
            Objection::Missing(group) => {
                write!(f, "one of its key exchanges MUST be \"{}\"", Algorithm::Group(*group))
            }
        }
    }
}

impl AlgorithmProfile {
    /// Every profile, in the order of the table's columns.
    pub const ALL: [AlgorithmProfile; 3] =
        [AlgorithmProfile::Rfc8247, AlgorithmProfile::Cnsa2, AlgorithmProfile::Legacy];

    /// Its name in a configuration.
    pub fn name(self) -> &'static str {
        match self {
            AlgorithmProfile::Rfc8247 => "rfc8247",
            AlgorithmProfile::Cnsa2 => "cnsa2",
            AlgorithmProfile::Legacy => "legacy",
        }
    }

    /// What it says of an algorithm.
    pub fn standing(self, algorithm: Algorithm) -> Standing {
        let [rfc8247, cnsa2, legacy] = row(algorithm);
        match self {
            AlgorithmProfile::Rfc8247 => rfc8247,
            AlgorithmProfile::Cnsa2 => cnsa2,
            AlgorithmProfile::Legacy => legacy,
        }
    }

    /// The method by which one of the key exchanges has to be done.
    pub fn demanded(self) -> Option<Group> {
        match self {
            AlgorithmProfile::Cnsa2 => Some(Group::MlKem1024),
            AlgorithmProfile::Rfc8247 | AlgorithmProfile::Legacy => None,
        }
    }

    /// What it has against a proposal for an IKE SA.
    pub fn ike_objections(self, proposal: &IkeProposal) -> Vec<Objection> {
        self.objections(proposal.algorithms(), &proposal.groups, proposal.additional)
    }

    /// What it has against a proposal for a CHILD_SA.
    pub fn esp_objections(self, proposal: &EspProposal) -> Vec<Objection> {
        self.objections(proposal.algorithms(), &proposal.groups, proposal.additional)
    }

    fn objections(
        self,
        algorithms: impl Iterator<Item = Algorithm>,
        groups: &[Group],
        additional: AdditionalGroups,
    ) -> Vec<Objection> {
        let objection = |algorithm| match self.standing(algorithm) {
            Standing::Allowed => None,
            standing => Some(Objection::Algorithm(algorithm, standing)),
        };
        let missing = self.demanded().filter(|group| lacks(*group, groups, additional));
        algorithms.filter_map(objection).chain(missing.map(Objection::Missing)).collect()
    }

    fn allows(self, algorithm: Algorithm) -> bool {
        self.standing(algorithm) != Standing::MustNot
    }

    /// What is left of a proposal for an IKE SA; `None` if that is no proposal.
    fn restrict_ike(self, proposal: &IkeProposal) -> Option<IkeProposal> {
        let prf = self.keep(&proposal.prf, Algorithm::Prf)?;
        let encryption = self.keep(&proposal.encryption, Algorithm::Encryption)?;
        let integrity = self.keep(&proposal.integrity, Algorithm::Integrity)?;
        let groups = self.keep_groups(&proposal.groups, proposal.additional)?;
        Some(IkeProposal { encryption, integrity, prf, groups, additional: proposal.additional })
    }

    /// The same for a CHILD_SA. One that was to have forward secrecy is not left without.
    fn restrict_esp(self, proposal: &EspProposal) -> Option<EspProposal> {
        let encryption = self.keep(&proposal.encryption, Algorithm::Encryption)?;
        let integrity = self.keep(&proposal.integrity, Algorithm::Integrity)?;
        let groups = self.keep_groups(&proposal.groups, proposal.additional)?;
        Some(EspProposal { encryption, integrity, groups, ..proposal.clone() })
    }

    /// What it allows of a list; `None` if that is nothing of something.
    fn keep<T: Copy>(self, list: &[T], algorithm: impl Fn(T) -> Algorithm) -> Option<Vec<T>> {
        let kept: Vec<T> = list.iter().copied().filter(|one| self.allows(algorithm(*one))).collect();
        (list.is_empty() || !kept.is_empty()).then_some(kept)
    }

    /// The same of key exchanges. Of those that follow each other none can be left out.
    fn keep_groups(self, groups: &[Group], additional: AdditionalGroups) -> Option<Vec<Group>> {
        let mut kept = self.keep(groups, Algorithm::Group)?;
        if let Some(demanded) = self.demanded().filter(|group| additional.iter().all(|other| other != *group))
        {
            kept.retain(|group| *group == demanded);
        }
        let whole = additional.iter().all(|group| self.allows(Algorithm::Group(group)));
        (whole && (groups.is_empty() || !kept.is_empty())).then_some(kept)
    }
}

/// Whether a key exchange can come to pass without this method.
fn lacks(group: Group, groups: &[Group], additional: AdditionalGroups) -> bool {
    additional.iter().all(|other| other != group) && groups.iter().any(|other| *other != group)
}

impl IkeProposal {
    /// Everything in it that a profile has a word about.
    pub fn algorithms(&self) -> impl Iterator<Item = Algorithm> {
        let IkeProposal { encryption, integrity, prf, groups, additional } = self;
        let prf = prf.iter().map(|prf| Algorithm::Prf(*prf));
        prf.chain(listed(encryption, integrity, groups, *additional))
    }
}

impl EspProposal {
    /// Everything in it that a profile has a word about.
    pub fn algorithms(&self) -> impl Iterator<Item = Algorithm> {
        let EspProposal { encryption, integrity, groups, additional, .. } = self;
        listed(encryption, integrity, groups, *additional)
    }
}

/// What IKE and ESP proposals have in common.
fn listed(
    encryption: &[Encryption],
    integrity: &[Integrity],
    groups: &[Group],
    additional: AdditionalGroups,
) -> impl Iterator<Item = Algorithm> {
    let encryption = encryption.iter().map(|cipher| Algorithm::Encryption(*cipher));
    let integrity = integrity.iter().map(|integrity| Algorithm::Integrity(*integrity));
    let groups = groups.iter().copied().chain(additional.iter()).map(Algorithm::Group);
    encryption.chain(integrity).chain(groups)
}

impl Connection {
    /// This connection without what its profile forbids: algorithms are left out, and proposals of which nothing is
    /// left.
    pub fn within_profile(mut self) -> Connection {
        let profile = self.profile;
        let allowed = self.proposals.iter().filter_map(|proposal| profile.restrict_ike(proposal));
        self.proposals = self.proposals.or(allowed.collect());
        for child in &mut self.children {
            let allowed = child.proposals.iter().filter_map(|proposal| profile.restrict_esp(proposal));
            child.proposals = child.proposals.or(allowed.collect());
        }
        let allowed = |scheme: &SignatureScheme| profile.allows(Algorithm::Signature(*scheme));
        if let Auth::Certificate(own) = &mut self.local_auth {
            own.restrict(allowed);
        }
        if let RemoteAuth::Certificate { schemes, .. } | RemoteAuth::Either { schemes, .. } =
            &mut self.remote_auth
        {
            // None named is every one.
            if schemes.is_empty() {
                schemes.extend(SignatureScheme::ALL);
            }
            schemes.retain(allowed);
        }
        self
    }
}

/// The table: RFC 8247 and RFC 8221, CNSA 2.0, legacy. What these do not name is allowed by the first, which speaks of
/// what is weak, and forbidden by the second, which speaks of what is to be used.
fn row(algorithm: Algorithm) -> [Standing; 3] {
    use Standing::{Allowed, MustNot, ShouldNot};
    match algorithm {
        // RFC 8247 §2.1, RFC 8221 §5: CBC MUST (ESP: MUST), GCM SHOULD (ESP: MUST), 192 bits MAY.
        Algorithm::Encryption(Encryption::AesGcm256) => [Allowed, Allowed, Allowed],
        Algorithm::Encryption(
            Encryption::AesGcm128
            | Encryption::AesGcm192
            | Encryption::AesCbc128
            | Encryption::AesCbc192
            | Encryption::AesCbc256,
        ) => [Allowed, MustNot, Allowed],
        // RFC 8247 §2.1, RFC 8221 §5: ChaCha20-Poly1305 SHOULD, of ESP NULL MUST.
        Algorithm::Encryption(Encryption::ChaCha20Poly1305 | Encryption::Null) => [Allowed, MustNot, Allowed],
        // RFC 8247 §2.1 and RFC 8221 §5 have a word on CCM with 8 octets of tag alone: SHOULD, for small devices.
        Algorithm::Encryption(Encryption::AesCcm128 | Encryption::AesCcm192 | Encryption::AesCcm256) => {
            [Allowed, MustNot, Allowed]
        }
        // RFC 8221 has no word on GMAC in ESP.
        Algorithm::Encryption(Encryption::AesGmac128 | Encryption::AesGmac192 | Encryption::AesGmac256) => {
            [Allowed, MustNot, Allowed]
        }

        // RFC 8221 §5: Triple-DES SHOULD NOT, DES MUST NOT (and RFC 8247 §2.1).
        Algorithm::Encryption(Encryption::TripleDes) => [ShouldNot, MustNot, Allowed],
        Algorithm::Encryption(Encryption::Des) => [MustNot, MustNot, Allowed],

        // RFC 8247 §2.2, §2.3, RFC 8221 §6: MD5 MUST NOT.
        Algorithm::Integrity(Integrity::HmacMd5) | Algorithm::Prf(Prf::HmacMd5) => {
            [MustNot, MustNot, Allowed]
        }

        // RFC 8247 §2.2, §2.3, RFC 8221 §6: SHA-1 is MUST-, on its way out: taken as SHOULD NOT, so that who still needs
        // it says so with the legacy profile, or is reminded.
        Algorithm::Integrity(Integrity::HmacSha1) | Algorithm::Prf(Prf::HmacSha1) => {
            [ShouldNot, MustNot, Allowed]
        }

        // RFC 8247 §2.3: SHA2-256 MUST, SHA2-512 SHOULD. CNSA 2.0 has no cipher that would need one.
        Algorithm::Integrity(Integrity::HmacSha256 | Integrity::HmacSha384 | Integrity::HmacSha512) => {
            [Allowed, MustNot, Allowed]
        }

        // RFC 8247 §2.2: SHA2-256 MUST, SHA2-512 SHOULD+. CNSA 2.0 has both longer hashes, its profile for IPsec one.
        Algorithm::Prf(Prf::HmacSha256) => [Allowed, MustNot, Allowed],
        Algorithm::Prf(Prf::HmacSha384) => [Allowed, Allowed, Allowed],
        Algorithm::Prf(Prf::HmacSha512) => [Allowed, ShouldNot, Allowed],

        // Neither has a word on CMAC.
        Algorithm::Integrity(Integrity::AesCmac) | Algorithm::Prf(Prf::AesCmac) => {
            [Allowed, MustNot, Allowed]
        }

        // RFC 8247 §2.4: group 2 SHOULD NOT.
        Algorithm::Group(Group::Modp1024) => [ShouldNot, MustNot, Allowed],

        // RFC 8247 §2.4: group 14 MUST, 19 SHOULD. CNSA 2.0: P-384 and then ML-KEM-1024, or this alone.
        Algorithm::Group(Group::EcpP384 | Group::MlKem1024) => [Allowed, Allowed, Allowed],
        Algorithm::Group(
            Group::Modp2048
            | Group::Modp3072
            | Group::Modp4096
            | Group::Modp6144
            | Group::Modp8192
            | Group::EcpP256
            | Group::EcpP521
            | Group::X25519
            | Group::MlKem512
            | Group::MlKem768,
        ) => [Allowed, MustNot, Allowed],

        // RFC 8247 §3.2: PSS and ECDSA with SHA-2 are to be there, PKCS #1 may be. CNSA 2.0 wants ML-DSA-87, which is
        // not here; what CNSA 1.0 had (RFC 9206 §5) stands in for it.
        Algorithm::Signature(
            SignatureScheme::EcdsaP384Sha384
            | SignatureScheme::RsaPssSha384
            | SignatureScheme::RsaPssSha512
            | SignatureScheme::RsaPkcs1Sha384
            | SignatureScheme::RsaPkcs1Sha512,
        ) => [Allowed, ShouldNot, Allowed],
        Algorithm::Signature(
            SignatureScheme::RsaPkcs1Sha256
            | SignatureScheme::RsaPssSha256
            | SignatureScheme::EcdsaP256Sha256
            | SignatureScheme::EcdsaP521Sha512
            | SignatureScheme::Ed25519,
        ) => [Allowed, MustNot, Allowed],
    }
}

#[cfg(test)]
#[path = "profile_tests.rs"]
mod tests;
