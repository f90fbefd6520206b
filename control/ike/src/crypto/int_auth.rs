//! What AUTH proves of IKE_INTERMEDIATE exchanges (RFC 9242 §3.3.2): each message of either side goes into a chain of
//! that side, and the ends of both chains join the signed octets.
//!
//! What a message contributes does not depend on how it travelled: as one datagram or in fragments, under whichever
//! cipher.

use super::{IkeKeys, Secret};
use crate::config::Prf;
use crate::want::Role;
use crate::wire::{EmitError, HEADER_LENGTH, Header, PayloadType};

/// Octets of the header of an Encrypted payload.
const PAYLOAD_HEADER: usize = 4;

/// The chains of both sides, as far as they have come.
#[derive(Debug, Default)]
pub struct IntAuth {
    initiator: Secret,
    responder: Secret,
    exchanges: u32,
}

impl IntAuth {
    /// IntAuth_[i/r]N = prf(SK_p[i/r]N, IntAuth_[i/r]N-1 | IntAuth_[i/r]NA | IntAuth_[i/r]NP), where `keys` are those
    /// that protect the message, and `covered` is what [`covered`] makes of it.
    pub fn add(&mut self, prf: Prf, keys: &IkeKeys, sender: Role, covered: &[u8]) {
        let (chain, sk_p) = match sender {
            Role::Initiator => (&mut self.initiator, &keys.sk_pi),
            Role::Responder => (&mut self.responder, &keys.sk_pr),
        };
        *chain = prf.compute(sk_p, &[chain, covered]);
        self.exchanges = self.exchanges.saturating_add(u32::from(sender == Role::Initiator));
    }

    /// IntAuth_iN | IntAuth_rN | IKE_AUTH_MID, the message ID of the first IKE_AUTH exchange: the one after IKE_SA_INIT
    /// and all of these. Nothing without any of these.
    pub fn octets(&self) -> Vec<u8> {
        if self.exchanges == 0 {
            return Vec::new();
        }
        let id = self.exchanges.saturating_add(1);
        [self.initiator.as_slice(), &self.responder, &id.to_be_bytes()].concat()
    }
}

/// IntAuth_*A | IntAuth_*P of a message: its IKE header and the header of its Encrypted payload, with lengths as if
/// nothing but the payloads followed, then the payloads as they are inside. A message in fragments counts as one.
pub(super) fn covered(header: &Header, first: PayloadType, payloads: &[u8]) -> Result<Secret, EmitError> {
    let payload = payloads.len().saturating_add(PAYLOAD_HEADER);
    let length = payload.saturating_add(HEADER_LENGTH);
    let limit = usize::from(u16::MAX);
    let too_long = EmitError::TooLong { what: "IKE message", length, limit };
    let field = u16::try_from(payload).map_err(|_| too_long)?;
    let mut out = Vec::with_capacity(length);
    header.emit(PayloadType::Encrypted, u32::try_from(length).map_err(|_| too_long)?, &mut out);
    out.extend([first.into(), 0]);
    out.extend(field.to_be_bytes());
    out.extend_from_slice(payloads);
    Ok(zeroize::Zeroizing::new(out))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{ExchangeType, Flags, IkeSpi};
    use zeroize::Zeroizing;

    fn keys(octet: u8) -> IkeKeys {
        let key = |octet: u8| Zeroizing::new(vec![octet; 32]);
        let [sk_d, sk_ai, sk_ar, sk_ei, sk_er] = [0; 5].map(key);
        IkeKeys { sk_d, sk_ai, sk_ar, sk_ei, sk_er, sk_pi: key(octet), sk_pr: key(octet + 1) }
    }

    /// Straight from the formulas of RFC 9242 §3.3.2, each step written out.
    #[test]
    fn the_chains_are_the_formulas() {
        for prf in crate::config::Prf::ALL {
            let mut chains = IntAuth::default();
            assert!(chains.octets().is_empty());
            chains.add(prf, &keys(1), Role::Initiator, b"i1A i1P");
            chains.add(prf, &keys(1), Role::Responder, b"r1A r1P");
            chains.add(prf, &keys(3), Role::Initiator, b"i2A i2P");
            chains.add(prf, &keys(3), Role::Responder, b"r2A r2P");
            let i1 = prf.compute(&[1; 32], &[b"i1A i1P"]);
            let i2 = prf.compute(&[3; 32], &[&i1, b"i2A i2P"]);
            let r1 = prf.compute(&[2; 32], &[b"r1A r1P"]);
            let r2 = prf.compute(&[4; 32], &[&r1, b"r2A r2P"]);
            assert_eq!(chains.octets(), [i2.as_slice(), &r2, &[0, 0, 0, 3]].concat());
        }
    }

    /// The lengths count the headers and what is inside, and neither cipher nor fragments.
    #[test]
    fn a_message_counts_without_its_protection() {
        let flags = Flags { initiator: true, ..Flags::default() };
        let header = Header::new(IkeSpi(1), IkeSpi(2), ExchangeType::IkeIntermediate, flags, 1);
        let covered = covered(&header, PayloadType::KeyExchange, b"payloads").unwrap();
        let spis = [0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2];
        let rest = [46, 0x20, 43, 0x08, 0, 0, 0, 1, 0, 0, 0, 40, 34, 0, 0, 12];
        assert_eq!(*covered, [&spis[..], &rest, b"payloads"].concat());
        let too_long = super::covered(&header, PayloadType::None, &[0; 65_532]);
        assert!(matches!(too_long, Err(EmitError::TooLong { .. })));
    }
}
