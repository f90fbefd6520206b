//! Proposals as the operator writes them: keywords joined by dashes, as "aes256gcm16-prfsha384-ecp384"
//! or "aes128-sha256-modp2048". Several keywords of a kind are alternatives, the first preferred. Key
//! exchanges that follow each other (RFC 9370) are joined by plus signs, as "x25519+mlkem768".

use std::fmt;
use std::str::FromStr;

use super::absent;
use crate::config::{
    AdditionalGroups, Algorithm, Encryption, EspProposal, Group, IkeProposal, Integrity, Prf,
};
use crate::event::IkeSuite;

/// The operator's slip in a proposal, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadProposal {
    /// A word that means nothing here.
    #[error("\"{keyword}\" is no algorithm known here; known are {known}")]
    Unknown {
        /// The word.
        keyword: String,
        /// Every word that could stand there.
        known: String,
    },
    /// A word for an algorithm that is not here, for a reason.
    #[error("\"{keyword}\" {verdict} and is not here; known are {known}")]
    Absent {
        /// The word.
        keyword: String,
        /// What the RFCs say of it.
        verdict: &'static str,
        /// Every word that could stand there.
        known: String,
    },
    /// A word is there twice.
    #[error("\"{keyword}\" is there twice")]
    Repeated {
        /// The word.
        keyword: String,
    },
    /// Nothing of a kind that has to be there.
    #[error("no {missing} in the proposal: add one of {known}")]
    Missing {
        /// The kind.
        missing: &'static str,
        /// The words for it.
        known: String,
    },
    /// Key exchanges joined that are more than eight, or one of them twice.
    #[error("\"{keyword}\": up to eight different key exchanges follow each other")]
    NotSuccessive {
        /// The words.
        keyword: String,
    },
    /// Alternatives with different successors: transform types are chosen independently (RFC 7296 §3.3).
    #[error("\"{one}\" and \"{other}\" go on differently and cannot share a proposal: write two")]
    Diverging {
        /// One of them.
        one: String,
        /// Another one.
        other: String,
    },
    /// AES-GCM and AES-CBC in one proposal (RFC 7296 §3.3 forbids it).
    #[error("AES-GCM and AES-CBC cannot share a proposal: write two")]
    Mixed,
    /// An integrity algorithm beside AES-GCM.
    #[error("AES-GCM authenticates by itself: drop \"{keyword}\"{hint}")]
    NeedlessIntegrity {
        /// The integrity algorithm.
        keyword: &'static str,
        /// What may have been meant.
        hint: String,
    },
}

/// One word, understood.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Word {
    Encryption(Encryption),
    Integrity(Integrity),
    Prf(Prf),
    /// A key exchange and those that follow it.
    Group(Group, AdditionalGroups),
    ExtendedSequence(bool),
}

/// A key exchange that none follows.
const fn alone(group: Group) -> Word {
    Word::Group(group, AdditionalGroups::NONE)
}

/// Every word, its canonical spelling first, with other spellings accepted.
const WORDS: &[(Word, &str, &[&str])] = &[
    (Word::Encryption(Encryption::AesGcm256), "aes256gcm16", &["aes256gcm", "aes256gcm128"]),
    (Word::Encryption(Encryption::AesGcm192), "aes192gcm16", &["aes192gcm", "aes192gcm128"]),
    (Word::Encryption(Encryption::AesGcm128), "aes128gcm16", &["aes128gcm", "aes128gcm128"]),
    (Word::Encryption(Encryption::ChaCha20Poly1305), "chacha20poly1305", &[]),
    (Word::Encryption(Encryption::AesCcm256), "aes256ccm16", &["aes256ccm128"]),
    (Word::Encryption(Encryption::AesCcm192), "aes192ccm16", &["aes192ccm128"]),
    (Word::Encryption(Encryption::AesCcm128), "aes128ccm16", &["aes128ccm128"]),
    (Word::Encryption(Encryption::Null), "null", &[]),
    (Word::Encryption(Encryption::AesGmac256), "aes256gmac", &[]),
    (Word::Encryption(Encryption::AesGmac192), "aes192gmac", &[]),
    (Word::Encryption(Encryption::AesGmac128), "aes128gmac", &[]),
    (Word::Encryption(Encryption::AesCbc256), "aes256", &["aes256cbc"]),
    (Word::Encryption(Encryption::AesCbc192), "aes192", &["aes192cbc"]),
    (Word::Encryption(Encryption::AesCbc128), "aes128", &["aes128cbc"]),
    (Word::Encryption(Encryption::TripleDes), "3des", &["3descbc"]),
    (Word::Encryption(Encryption::Des), "des", &["descbc"]),
    (Word::Integrity(Integrity::HmacSha256), "sha256", &["sha2_256"]),
    (Word::Integrity(Integrity::HmacSha384), "sha384", &["sha2_384"]),
    (Word::Integrity(Integrity::HmacSha512), "sha512", &["sha2_512"]),
    (Word::Integrity(Integrity::HmacSha1), "sha1", &["sha", "sha1_96"]),
    (Word::Integrity(Integrity::HmacMd5), "md5", &["md5_96"]),
    (Word::Integrity(Integrity::AesCmac), "aescmac", &[]),
    (Word::Prf(Prf::HmacSha256), "prfsha256", &[]),
    (Word::Prf(Prf::HmacSha384), "prfsha384", &[]),
    (Word::Prf(Prf::HmacSha512), "prfsha512", &[]),
    (Word::Prf(Prf::HmacSha1), "prfsha1", &[]),
    (Word::Prf(Prf::HmacMd5), "prfmd5", &[]),
    (Word::Prf(Prf::AesCmac), "prfaescmac", &[]),
    (alone(Group::X25519), "x25519", &["curve25519"]),
    (alone(Group::EcpP256), "ecp256", &[]),
    (alone(Group::EcpP384), "ecp384", &[]),
    (alone(Group::EcpP521), "ecp521", &[]),
    (alone(Group::Modp2048), "modp2048", &[]),
    (alone(Group::Modp3072), "modp3072", &[]),
    (alone(Group::Modp4096), "modp4096", &[]),
    (alone(Group::Modp6144), "modp6144", &[]),
    (alone(Group::Modp8192), "modp8192", &[]),
    (alone(Group::Modp1024), "modp1024", &[]),
    (alone(Group::MlKem512), "mlkem512", &[]),
    (alone(Group::MlKem768), "mlkem768", &[]),
    (alone(Group::MlKem1024), "mlkem1024", &[]),
    (Word::ExtendedSequence(true), "esn", &[]),
    (Word::ExtendedSequence(false), "noesn", &[]),
];

const IKE: fn(&Word) -> bool = |word| match word {
    Word::ExtendedSequence(_) => false,
    Word::Encryption(encryption) => encryption.is_for_ike(),
    _ => true,
};
const ESP: fn(&Word) -> bool = |word| !matches!(word, Word::Prf(_));

impl FromStr for IkeProposal {
    type Err = BadProposal;

    /// Ciphers, groups, then with AES-CBC integrity algorithms, with AES-GCM pseudorandom functions.
    /// With AES-CBC the PRF is that of the integrity algorithm unless named.
    fn from_str(text: &str) -> Result<Self, BadProposal> {
        let words = words(text, IKE)?;
        let (encryption, integrity) = ciphers(&words)?;
        let mut prf: Vec<Prf> = words.iter().filter_map(Word::prf).collect();
        if prf.is_empty() {
            prf = integrity.iter().map(|integrity| prf_like(*integrity)).collect();
        }
        let (groups, additional) = key_exchanges(&words)?;
        require(!prf.is_empty(), "pseudorandom function", |word| word.prf().is_some())?;
        require(!groups.is_empty(), "key exchange method", |word| word.group().is_some())?;
        Ok(Self { encryption, integrity, prf, groups, additional })
    }
}

impl FromStr for EspProposal {
    type Err = BadProposal;

    /// Ciphers, with AES-CBC integrity algorithms; groups for perfect forward secrecy if any; "esn",
    /// "noesn" or both in order of preference, "noesn" alone if neither is there.
    fn from_str(text: &str) -> Result<Self, BadProposal> {
        let words = words(text, ESP)?;
        let (encryption, integrity) = ciphers(&words)?;
        let (groups, additional) = key_exchanges(&words)?;
        let mut extended_sequence: Vec<bool> = words.iter().filter_map(Word::extended_sequence).collect();
        if extended_sequence.is_empty() {
            extended_sequence.push(false);
        }
        Ok(Self { encryption, integrity, groups, additional, extended_sequence })
    }
}

impl fmt::Display for IkeProposal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let implied: Vec<Prf> = self.integrity.iter().map(|integrity| prf_like(*integrity)).collect();
        let prf = Some(&self.prf).filter(|prf| **prf != implied).into_iter().flatten();
        let words = self.encryption.iter().map(|e| Word::Encryption(*e));
        let words = words.chain(self.integrity.iter().map(|i| Word::Integrity(*i)));
        let words = words.chain(prf.map(|prf| Word::Prf(*prf)));
        write_words(out, words.chain(self.groups.iter().map(|group| Word::Group(*group, self.additional))))
    }
}

impl fmt::Display for IkeSuite {
    /// As the proposal that has these algorithms and no others.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let IkeSuite { encryption, integrity, prf, group, additional } = *self;
        let implied = integrity.map(prf_like) == Some(prf);
        let words = [
            Some(Word::Encryption(encryption)),
            integrity.map(Word::Integrity),
            Some(Word::Prf(prf)).filter(|_| !implied),
            Some(Word::Group(group, additional)),
        ];
        write_words(out, words.into_iter().flatten())
    }
}

impl fmt::Display for EspProposal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let esn = Some(&self.extended_sequence).filter(|esn| ***esn != [false]).into_iter().flatten();
        let words = self.encryption.iter().map(|e| Word::Encryption(*e));
        let words = words.chain(self.integrity.iter().map(|i| Word::Integrity(*i)));
        let words = words.chain(self.groups.iter().map(|group| Word::Group(*group, self.additional)));
        write_words(out, words.chain(esn.map(|esn| Word::ExtendedSequence(*esn))))
    }
}

impl Word {
    fn encryption(&self) -> Option<Encryption> {
        if let Self::Encryption(encryption) = self { Some(*encryption) } else { None }
    }

    fn integrity(&self) -> Option<Integrity> {
        if let Self::Integrity(integrity) = self { Some(*integrity) } else { None }
    }

    fn prf(&self) -> Option<Prf> {
        if let Self::Prf(prf) = self { Some(*prf) } else { None }
    }

    fn group(&self) -> Option<Group> {
        if let Self::Group(group, _) = self { Some(*group) } else { None }
    }

    fn extended_sequence(&self) -> Option<bool> {
        if let Self::ExtendedSequence(extended) = self { Some(*extended) } else { None }
    }

    /// Its canonical spelling, without what follows a key exchange.
    fn keyword(self) -> &'static str {
        let bare = self.group().map_or(self, alone);
        WORDS.iter().find(|(word, ..)| *word == bare).map_or("?", |(_, keyword, _)| keyword)
    }
}

impl fmt::Display for Word {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.keyword())?;
        let Self::Group(_, additional) = self else { return Ok(()) };
        additional.iter().try_for_each(|group| write!(out, "+{}", alone(group).keyword()))
    }
}

impl fmt::Display for Algorithm {
    /// Its keyword; for a signature scheme, which has none, its name.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match *self {
            Self::Encryption(encryption) => Word::Encryption(encryption).keyword(),
            Self::Integrity(integrity) => Word::Integrity(integrity).keyword(),
            Self::Prf(prf) => Word::Prf(prf).keyword(),
            Self::Group(group) => alone(group).keyword(),
            Self::Signature(scheme) => scheme.name(),
        })
    }
}

/// The words of a proposal, none of them twice, all of them `allowed`.
fn words(text: &str, allowed: fn(&Word) -> bool) -> Result<Vec<Word>, BadProposal> {
    let mut words = Vec::new();
    for keyword in text.split('-').map(str::trim) {
        let word = match keyword.split_once('+') {
            None => word(keyword, allowed)?,
            Some((first, rest)) => successive(keyword, first, rest)?,
        };
        if words.contains(&word) {
            return Err(BadProposal::Repeated { keyword: keyword.to_owned() });
        }
        words.push(word);
    }
    Ok(words)
}

fn word(keyword: &str, allowed: fn(&Word) -> bool) -> Result<Word, BadProposal> {
    let spelled = |(_, canonical, others): &&(Word, &str, &[&str])| {
        canonical.eq_ignore_ascii_case(keyword)
            || others.iter().any(|other| other.eq_ignore_ascii_case(keyword))
    };
    let found = WORDS.iter().find(spelled).map(|(word, ..)| *word).filter(allowed);
    let (owned, known) = (|| keyword.to_owned(), || known(allowed));
    found.ok_or_else(|| match absent::verdict(keyword) {
        Some(verdict) => BadProposal::Absent { keyword: owned(), verdict, known: known() },
        None => BadProposal::Unknown { keyword: owned(), known: known() },
    })
}

/// Key exchanges that follow each other.
fn successive(keyword: &str, first: &str, rest: &str) -> Result<Word, BadProposal> {
    let group = |part: &str| word(part.trim(), |word| word.group().is_some());
    let rest: Vec<Word> = rest.split('+').map(group).collect::<Result<_, _>>()?;
    let rest: Vec<Group> = rest.iter().filter_map(Word::group).collect();
    let first = group(first)?.group();
    let word = first.and_then(|first| Some(Word::Group(first, AdditionalGroups::after(first, &rest)?)));
    word.ok_or_else(|| BadProposal::NotSuccessive { keyword: keyword.to_owned() })
}

/// The key exchanges of a proposal, and what follows whichever is chosen.
fn key_exchanges(words: &[Word]) -> Result<(Vec<Group>, AdditionalGroups), BadProposal> {
    let successors =
        |word: &Word| if let Word::Group(_, additional) = word { Some(*additional) } else { None };
    let mut exchanges = words.iter().filter(|word| word.group().is_some());
    let first = exchanges.next();
    let additional = first.and_then(successors).unwrap_or_default();
    match (first, exchanges.find(|word| successors(word) != Some(additional))) {
        (Some(one), Some(other)) => {
            Err(BadProposal::Diverging { one: one.to_string(), other: other.to_string() })
        }
        _ => Ok((words.iter().filter_map(Word::group).collect(), additional)),
    }
}

fn ciphers(words: &[Word]) -> Result<(Vec<Encryption>, Vec<Integrity>), BadProposal> {
    let encryption: Vec<Encryption> = words.iter().filter_map(Word::encryption).collect();
    let integrity: Vec<Integrity> = words.iter().filter_map(Word::integrity).collect();
    require(!encryption.is_empty(), "cipher", |word| word.encryption().is_some())?;
    let aead = encryption.iter().filter(|encryption| encryption.is_aead()).count();
    if aead != 0 && aead != encryption.len() {
        return Err(BadProposal::Mixed);
    }
    match integrity.first() {
        None if aead == 0 => require(false, "integrity algorithm", |word| word.integrity().is_some())?,
        Some(needless) if aead != 0 => return Err(needless_integrity(words, *needless)),
        _ => {}
    }
    Ok((encryption, integrity))
}

fn needless_integrity(words: &[Word], integrity: Integrity) -> BadProposal {
    let prf = Word::Prf(prf_like(integrity)).keyword();
    let named = words.iter().any(|word| word.prf().is_some());
    let hint = if named { String::new() } else { format!(", or for an IKE SA write \"{prf}\"") };
    BadProposal::NeedlessIntegrity { keyword: Word::Integrity(integrity).keyword(), hint }
}

fn require(there: bool, missing: &'static str, kind: fn(&Word) -> bool) -> Result<(), BadProposal> {
    if there { Ok(()) } else { Err(BadProposal::Missing { missing, known: known(kind) }) }
}

fn known(kind: fn(&Word) -> bool) -> String {
    let keywords = WORDS.iter().filter(|(word, ..)| kind(word)).map(|(_, keyword, _)| *keyword);
    keywords.collect::<Vec<_>>().join(", ")
}

fn prf_like(integrity: Integrity) -> Prf {
    match integrity {
        Integrity::HmacSha1 => Prf::HmacSha1,
        Integrity::HmacSha256 => Prf::HmacSha256,
        Integrity::HmacSha384 => Prf::HmacSha384,
        Integrity::HmacSha512 => Prf::HmacSha512,
        Integrity::HmacMd5 => Prf::HmacMd5,
        Integrity::AesCmac => Prf::AesCmac,
    }
}

fn write_words(out: &mut fmt::Formatter<'_>, words: impl Iterator<Item = Word>) -> fmt::Result {
    for (index, word) in words.enumerate() {
        out.write_str(if index == 0 { "" } else { "-" })?;
        write!(out, "{word}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ike(text: &str) -> Result<IkeProposal, BadProposal> {
        text.parse()
    }

    fn esp(text: &str) -> Result<EspProposal, BadProposal> {
        text.parse()
    }

    #[test]
    fn proposals_read_as_meant() {
        assert_eq!(
            ike("aes256gcm16-aes128gcm16-prfsha384-ecp384-x25519").unwrap(),
            IkeProposal {
                encryption: vec![Encryption::AesGcm256, Encryption::AesGcm128],
                integrity: vec![],
                prf: vec![Prf::HmacSha384],
                groups: vec![Group::EcpP384, Group::X25519],
                additional: AdditionalGroups::NONE,
            }
        );
        assert_eq!(
            ike("aes128-sha256-modp2048").unwrap(),
            IkeProposal {
                encryption: vec![Encryption::AesCbc128],
                integrity: vec![Integrity::HmacSha256],
                prf: vec![Prf::HmacSha256],
                groups: vec![Group::Modp2048],
                additional: AdditionalGroups::NONE,
            }
        );
        assert_eq!(
            esp("AES256GCM16-ecp256-esn-noesn").unwrap(),
            EspProposal {
                encryption: vec![Encryption::AesGcm256],
                integrity: vec![],
                groups: vec![Group::EcpP256],
                additional: AdditionalGroups::NONE,
                extended_sequence: vec![true, false],
            }
        );
        assert_eq!(esp("aes128gcm16").unwrap().extended_sequence, [false]);
    }

    /// RFC 9370: one word says which key exchanges follow each other.
    #[test]
    fn key_exchanges_that_follow_each_other_read_as_meant() {
        let hybrid = ike("aes256gcm16-prfsha384-x25519+mlkem768-ECP384 + MLKEM768").unwrap();
        assert_eq!(hybrid.groups, [Group::X25519, Group::EcpP384]);
        assert_eq!(hybrid.additional.iter().collect::<Vec<_>>(), [Group::MlKem768]);
        let three = esp("aes256gcm16-ecp384+mlkem1024+x25519").unwrap();
        assert_eq!(three.groups, [Group::EcpP384]);
        assert_eq!(three.additional.iter().collect::<Vec<_>>(), [Group::MlKem1024, Group::X25519]);
        assert_eq!(ike("aes256gcm16-prfsha384-mlkem768").unwrap().groups, [Group::MlKem768]);
    }

    #[test]
    fn slips_are_named_with_the_way_out() {
        let text = |result: Result<IkeProposal, BadProposal>| result.unwrap_err().to_string();
        assert!(text(ike("aes256gcm16-prfsha384-ecp999")).contains("\"ecp999\""));
        assert!(text(ike("aes256gcm16-ecp384")).contains("add one of prfsha256, prfsha384, prfsha512"));
        assert!(text(ike("aes256gcm16-sha384-ecp384")).contains("write \"prfsha384\""));
        assert!(text(ike("aes256-modp2048")).contains("no integrity algorithm"));
        assert!(text(ike("aes256-sha256")).contains("no key exchange method"));
        assert!(text(ike("sha256-modp2048")).contains("no cipher"));
        assert_eq!(ike("aes256-aes128gcm16-sha256-ecp256"), Err(BadProposal::Mixed));
        assert_eq!(
            ike("aes256-sha256-sha256-ecp256"),
            Err(BadProposal::Repeated { keyword: "sha256".into() })
        );
        for bad in ["", "-", "aes256gcm16-", "aes128gcm16-prfsha256", "aes128"] {
            assert!(esp(bad).is_err(), "{bad}");
        }
        assert!(ike("aes128-sha256-ecp256-esn").is_err());
        assert!(text(ike("null-sha256-ecp256")).contains("\"null\""), "an IKE SA is always encrypted");
        assert!(ike("des-sha1-modp1024").is_err() && esp("des-md5").is_ok(), "DES is for ESP alone");
        assert!(esp("null").is_err() && esp("null-sha256").is_ok(), "never without both (RFC 8221 §4)");
        assert!(esp("chacha20poly1305-sha256").is_err());
        assert!(text(ike("aes256gcm16-prfsha384-x25519+mlkem999")).contains("\"mlkem999\""));
        assert!(text(ike("aes256gcm16-prfsha384+mlkem768-x25519")).contains("\"prfsha384\""));
        assert!(text(ike("aes256gcm16-prfsha384-x25519+x25519")).contains("different key exchanges"));
        assert_eq!(
            text(ike("aes256gcm16-prfsha384-x25519+mlkem768-x25519")),
            "\"x25519+mlkem768\" and \"x25519\" go on differently and cannot share a proposal: write two"
        );
        for bad in ["x25519+", "+mlkem768", "x25519++mlkem768"] {
            assert!(ike(&format!("aes256gcm16-prfsha384-{bad}")).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_written_reads_the_same() {
        for text in [
            "aes256gcm16-prfsha384-ecp384",
            "3des-md5-modp1024",
            "aes128-aescmac-modp6144",
            "aes256ccm16-aes128ccm16-prfaescmac-modp8192",
            "aes256-aes128-sha512-sha256-modp2048-x25519",
        ] {
            assert_eq!(ike(text).unwrap().to_string(), text);
        }
        assert_eq!(ike("aes128-sha256-prfsha256-ecp521").unwrap().to_string(), "aes128-sha256-ecp521");
        assert_eq!(
            ike("aes128-sha256-prfsha512-ecp521").unwrap().to_string(),
            "aes128-sha256-prfsha512-ecp521"
        );
        let hybrid = "aes256gcm16-prfsha384-x25519+mlkem768-ecp384+mlkem768";
        assert_eq!(ike(hybrid).unwrap().to_string(), hybrid);
        for text in ["aes128gcm16", "aes256-sha384-ecp256-esn", "aes256gcm16-ecp384+mlkem1024-esn-noesn"] {
            assert_eq!(esp(text).unwrap().to_string(), text);
        }
        for (word, canonical, others) in WORDS {
            for keyword in std::iter::once(canonical).chain(*others) {
                assert!(words(keyword, |_| true).is_ok_and(|found| found == [*word]), "{keyword}");
            }
        }
    }
}
