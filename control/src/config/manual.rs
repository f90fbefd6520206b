//! Keys by hand (DP-12), as a tunnel has them in place of IKE: any suite of a proposal, and for each direction the keys
//! it takes, each of its own length.
//!
//! That they are fresh with each start is left to the operator: where nonces are counted, the count begins anew.

use std::net::IpAddr;

use ravelin_dataplane::sa::suite::Suite;
use ravelin_ike::config::{Encryption, EspProposal, Integrity};
use toml::Spanned;
use zeroize::Zeroizing;

use super::plan;
use super::profile;
use super::proposal::{self, Refused};
use super::raw::{self, SecretText};
use super::tunnel::{DEFAULT_WINDOW, One, replay_window};
use super::value;
use crate::tunnel::suite;

/// One suite, read of a proposal that has no other and nothing else.
struct Chosen {
    proposal: EspProposal,
    suite: Suite,
    encryption: Encryption,
    integrity: Option<Integrity>,
}

fn chosen(text: &str) -> Result<Chosen, Refused> {
    const EXPECTED: &str =
        "one cipher, and an integrity algorithm where it takes one, like aes256gcm16 or aes128-sha256";
    let proposal = proposal::esp(text, false)?;
    let (ciphers, hashes) = (proposal.encryption.as_slice(), proposal.integrity.as_slice());
    let plain = proposal.groups.is_empty() && proposal.extended_sequence == [false];
    let (encryption, integrity) = match (ciphers, hashes) {
        ([encryption], []) if plain => (*encryption, None),
        ([encryption], [integrity]) if plain => (*encryption, Some(*integrity)),
        _ => return Err(Refused { why: "it is not one suite".to_owned(), expected: EXPECTED }),
    };
    let refused = || Refused { why: "no worker carries it".to_owned(), expected: EXPECTED };
    let suite = suite::carried(encryption, integrity).ok_or_else(refused)?;
    Ok(Chosen { proposal, suite, encryption, integrity })
}

/// A key that a suite takes, or does not.
struct Wanted {
    /// Its octets; none if there is no such key.
    octets: usize,
    /// How they are told to an operator.
    expected: String,
}

impl Chosen {
    /// The cipher's key, with the salt behind it that AEAD ciphers have (RFC 4106 §8.1).
    fn cipher_key(&self) -> Wanted {
        let key = usize::from(self.encryption.key_bits() / 8);
        self.wanted(key, self.encryption.keymat_len().saturating_sub(key))
    }

    fn integrity_key(&self) -> Wanted {
        self.wanted(self.integrity.map_or(0, Integrity::key_len), 0)
    }

    fn wanted(&self, key: usize, salt: usize) -> Wanted {
        let suite = self.suite.name();
        let expected = match (key, salt) {
            (0, _) => format!("none: {suite} takes no such key"),
            (key, 0) => format!("{key} of key for {suite}"),
            (key, salt) => format!("{key} of key and {salt} of salt for {suite}"),
        };
        Wanted { octets: key + salt, expected }
    }
}

impl One<'_, '_, '_> {
    pub(super) fn manual(
        &mut self,
        raw: &raw::Tunnel,
        remote: Option<IpAddr>,
        manual: &Spanned<raw::Manual>,
    ) -> Option<plan::Manual> {
        let of_ike = [&raw.psk_file, &raw.certificate, &raw.ppk_list].into_iter().any(Option::is_some);
        if raw.psk.is_some() || of_ike || remote.is_none() || !raw.backup_remotes.is_empty() {
            self.refuse(
                "manual keys do not go with IKE authentication, remote = \"any\" or backup-remotes",
                "one or the other",
            );
            return None;
        }
        let raw = manual.get_ref();
        // The high half of an extended number is inferred from the window (RFC 4303 §3.4.3, appendix A).
        let needed = raw.extended_sequence_number.then_some(DEFAULT_WINDOW);
        let chosen = self.manual_suite(&raw.suite)?;
        let inbound = [raw.inbound_key.as_ref(), raw.inbound_integrity_key.as_ref()];
        let outbound = [raw.outbound_key.as_ref(), raw.outbound_integrity_key.as_ref()];
        Some(plan::Manual {
            suite: chosen.suite,
            inbound_spi: self.manual_spi("inbound-spi", &raw.inbound_spi)?,
            inbound_keys: self.manual_keys(["inbound-key", "inbound-integrity-key"], inbound, &chosen)?,
            outbound_spi: self.manual_spi("outbound-spi", &raw.outbound_spi)?,
            outbound_keys: self.manual_keys(["outbound-key", "outbound-integrity-key"], outbound, &chosen)?,
            extended_sequence_number: raw.extended_sequence_number,
            first_sequence: raw.first_sequence.unwrap_or(1).max(1),
            replay_window: replay_window(self.judge, &self.object, raw.replay_window.as_ref()).or(needed),
            udp_encapsulation: raw.udp_encapsulation,
        })
    }

    /// The suite, held to the profile.
    fn manual_suite(&mut self, text: &raw::Text) -> Option<Chosen> {
        let at = text.span().start;
        match chosen(text.get_ref()) {
            Ok(chosen) => {
                let place = (self.object.as_str(), at);
                let algorithms: Vec<_> = chosen.proposal.algorithms().collect();
                if !profile::refuse_legacy(self.judge, place, "suite", &algorithms) {
                    let objections = self.profile.esp_objections(&chosen.proposal);
                    profile::object_to(self.judge, self.profile, place, "suite", &objections);
                }
                Some(chosen)
            }
            Err(Refused { why, expected }) => {
                let found = format!("suite = {:?} is not valid: {why}", text.get_ref());
                self.judge.refuse(at, &self.object, found, expected);
                None
            }
        }
    }

    /// Below 256 SPIs are reserved (RFC 4303 §2.1); from 2^26 they are ours to allocate.
    fn manual_spi(&mut self, key: &str, spi: &Spanned<u32>) -> Option<u32> {
        if (256..1 << 26).contains(spi.get_ref()) {
            return Some(*spi.get_ref());
        }
        let found = format!("{key} = {} is out of range", spi.get_ref());
        self.judge.refuse(spi.span().start, &self.object, found, "256 to 67108863");
        None
    }

    fn manual_keys(
        &mut self,
        [cipher, hash]: [&str; 2],
        [cipher_key, hash_key]: [Option<&SecretText>; 2],
        chosen: &Chosen,
    ) -> Option<plan::ManualKeys> {
        let encryption = self.manual_key(cipher, cipher_key, &chosen.cipher_key());
        let integrity = self.manual_key(hash, hash_key, &chosen.integrity_key());
        Some(plan::ManualKeys { encryption: encryption?, integrity: integrity? })
    }

    /// One key: there if the suite has it, and as long as the suite says.
    fn manual_key(&mut self, key: &str, text: Option<&SecretText>, wanted: &Wanted) -> Option<plan::Secret> {
        let (octets, bytes) = match text {
            None => (0, Zeroizing::default()),
            Some(text) => {
                let bytes = self.judge.secret(&self.object, key, text, value::hex)?;
                (bytes.len(), bytes)
            }
        };
        if octets == wanted.octets {
            return Some(plan::Secret(bytes));
        }
        let found = match octets {
            0 => format!("has no {key}"),
            _ => format!("{key} has {octets} bytes"),
        };
        let at = text.map_or(self.at, |text| text.span().start);
        self.judge.refuse(at, &self.object, found, wanted.expected.clone());
        None
    }
}
