//! Algorithm profiles in a configuration: their names, the proposals of each where none are written, and the judgement
//! of what is written: what is MUST NOT is refused, what is SHOULD NOT is warned of.

use ravelin_ike::config::{Algorithm, AlgorithmProfile, Objection, Standing};

use super::plan;
use super::raw::Text;
use super::resolve::Judge;
use super::value::Expected;

/// RFC 8247 and what common peers accept.
const IKE: &[&str] =
    &["aes256gcm16-prfsha384-ecp384", "aes128gcm16-prfsha256-x25519", "aes128-sha256-modp2048"];
/// RFC 8221.
const ESP: &[&str] = &["aes256gcm16", "aes128gcm16"];
/// CNSA 2.0.
const CNSA2_IKE: &[&str] = &["aes256gcm16-prfsha384-ecp384+mlkem1024"];
const CNSA2_ESP: &[&str] = &["aes256gcm16"];

/// The profile of this name.
pub fn named(text: &str) -> Result<AlgorithmProfile, Expected> {
    let found = AlgorithmProfile::ALL.into_iter().find(|profile| profile.name() == text);
    found.ok_or("rfc8247, cnsa2 or legacy")
}

/// Proposals for IKE SAs where none are written.
pub fn ike_defaults(profile: AlgorithmProfile) -> &'static [&'static str] {
    match profile {
        AlgorithmProfile::Cnsa2 => CNSA2_IKE,
        AlgorithmProfile::Rfc8247 | AlgorithmProfile::Legacy => IKE,
    }
}

/// Proposals for CHILD SAs where none are written.
pub fn esp_defaults(profile: AlgorithmProfile) -> &'static [&'static str] {
    match profile {
        AlgorithmProfile::Cnsa2 => CNSA2_ESP,
        AlgorithmProfile::Rfc8247 | AlgorithmProfile::Legacy => ESP,
    }
}

/// Refuses by name what is there only for peers that have nothing else, unless the file lets it in; whether there was
/// such.
pub fn refuse_legacy(
    judge: &mut Judge<'_>,
    (object, at): (&str, usize),
    what: &str,
    algorithms: &[Algorithm],
) -> bool {
    const EXPECTED: &str =
        "an algorithm of today; or, for a peer that has none, allow-legacy = true above all tables";
    let legacy = algorithms.iter().filter(|algorithm| algorithm.is_legacy() && !judge.allow_legacy);
    let legacy: Vec<Algorithm> = legacy.copied().collect();
    for algorithm in &legacy {
        let standing = AlgorithmProfile::Rfc8247.standing(*algorithm);
        let found = format!("{what}: {} (RFC 8247, RFC 8221)", Objection::Algorithm(*algorithm, standing));
        judge.refuse(at, object, found, EXPECTED);
    }
    !legacy.is_empty()
}

/// Tells what a profile has against something written at `at`.
pub fn object_to(
    judge: &mut Judge<'_>,
    profile: AlgorithmProfile,
    (object, at): (&str, usize),
    what: &str,
    objections: &[Objection],
) {
    for objection in objections {
        let found = format!("{what}: {objection}");
        let expected = format!("what profile {} allows", profile.name());
        match objection.is_tolerable() {
            true => judge.warn(at, object, found, expected),
            false => judge.refuse(at, object, found, expected),
        }
    }
}

/// Judges certificates of ours, each by the schemes its key can sign with: the best of them counts.
pub fn certificate(
    judge: &mut Judge<'_>,
    profile: AlgorithmProfile,
    object: &str,
    name: &Text,
    certificates: &plan::CertProfile,
) {
    for (place, entry) in certificates.named(name.get_ref()) {
        let algorithms = entry.shown.schemes.iter().map(|one| Algorithm::Signature(*one));
        let best = algorithms.min_by_key(|algorithm| profile.standing(*algorithm));
        let objection = best.map(|best| Objection::Algorithm(best, profile.standing(best)));
        let objection =
            objection.filter(|objection| !matches!(objection, Objection::Algorithm(_, Standing::Allowed)));
        let (at, what) = (name.span().start, format!("certificate {place:?}"));
        object_to(judge, profile, (object, at), &what, objection.as_slice());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::proposal;

    /// What a profile has where nothing is written, it has nothing against.
    #[test]
    fn defaults_are_within_their_profile() {
        for profile in AlgorithmProfile::ALL {
            assert_eq!(named(profile.name()), Ok(profile));
            for text in ike_defaults(profile) {
                assert_eq!(profile.ike_objections(&proposal::ike(text).unwrap()), [], "{text}");
            }
            for text in esp_defaults(profile) {
                assert_eq!(profile.esp_objections(&proposal::esp(text, true).unwrap()), [], "{text}");
            }
        }
        assert_eq!(named("fips"), Err("rfc8247, cnsa2 or legacy"));
    }
}
