//! The SA payload: proposals of transforms (RFC 7296 §3.3). Which one to choose is decided in
//! `crate::crypto::suite`.

use super::codec::{Reader, count8, push_limited, sized};
use super::error::{EmitError, ParseError};
use super::limits;
use super::registry::Protocol;
use super::spi::Spi;
use super::transform::{Transform, parse_more};

/// Octets of a proposal up to and including its length.
const PROPOSAL_PREFIX: usize = 4;
const LAST: u8 = 0;
const MORE: u8 = 2;

/// The proposals of one SA payload, the sender's favourite first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SecurityAssociation {
    /// The proposals, numbered upwards.
    pub proposals: Vec<Proposal>,
    /// Proposals passed over because their protocol is unknown to us (RFC 7296 §3.3.6). Not written.
    pub ignored: usize,
}

/// One proposal: a set of transforms, any one per type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// Its number; an answer repeats the number of the proposal it accepts.
    pub number: u8,
    /// IKE, ESP or AH.
    pub protocol: Protocol,
    /// The sender's SPI: none in IKE_SA_INIT, eight octets when rekeying an IKE SA, four for a
    /// Child SA.
    pub spi: Spi,
    /// The transforms, as sent.
    pub transforms: Vec<Transform>,
}

impl SecurityAssociation {
    /// An SA payload of our own.
    pub fn new(proposals: Vec<Proposal>) -> Self {
        Self { proposals, ignored: 0 }
    }

    pub(super) fn parse(mut reader: Reader<'_>) -> Result<Self, ParseError> {
        let (mut proposals, mut ignored, mut previous) = (Vec::new(), 0usize, 0u8);
        loop {
            let more = parse_more("proposal", reader.u8()?, MORE)?;
            reader.u8()?;
            let length = reader.u16()?;
            let body = reader.element("proposal", length, PROPOSAL_PREFIX)?;
            let number = check_number(previous, body)?;
            match Proposal::parse(body)? {
                Some(proposal) => push_limited(&mut proposals, proposal, "proposals", limits::PROPOSALS)?,
                None => ignored = ignored.saturating_add(1),
            }
            previous = number;
            if !more {
                reader.finish()?;
                return Ok(Self { proposals, ignored });
            }
        }
    }

    pub(super) fn emit(&self, out: &mut Vec<u8>) -> Result<(), EmitError> {
        let last = self.proposals.len().saturating_sub(1);
        count8("proposals", self.proposals.len())?;
        for (index, proposal) in self.proposals.iter().enumerate() {
            proposal.emit(index != last, out)?;
        }
        Ok(())
    }
}

impl Proposal {
    /// Reads the proposal after its length; `None` if its protocol is unknown.
    fn parse(mut reader: Reader<'_>) -> Result<Option<Self>, ParseError> {
        let number = reader.u8()?;
        let protocol = Protocol::from(reader.u8()?);
        let spi_size = reader.u8()?;
        let count = reader.u8()?;
        if matches!(protocol, Protocol::Other(_)) {
            return Ok(None);
        }
        let spi = Spi::parse(&mut reader, spi_size)?;
        check_spi(protocol, spi)?;
        let transforms = parse_transforms(reader, count)?;
        Ok(Some(Self { number, protocol, spi, transforms }))
    }

    fn emit(&self, more: bool, out: &mut Vec<u8>) -> Result<(), EmitError> {
        let start = out.len();
        let count = count8("transforms", self.transforms.len())?;
        out.extend([if more { MORE } else { LAST }, 0, 0, 0]);
        out.extend([self.number, self.protocol.into(), self.spi.length(), count]);
        sized(out, "proposal", start, |out| {
            self.spi.emit(out);
            let last = self.transforms.len().saturating_sub(1);
            self.transforms
                .iter()
                .enumerate()
                .try_for_each(|(index, transform)| transform.emit(index != last, out))
        })
    }
}

fn parse_transforms(mut reader: Reader<'_>, count: u8) -> Result<Vec<Transform>, ParseError> {
    let mut transforms = Vec::new();
    for remaining in (0..count).rev() {
        let (transform, more) = Transform::parse(&mut reader)?;
        // The "Last Substruc" field and the count say the same twice (RFC 7296 §3.3.2).
        if more != (remaining != 0) {
            return Err(ParseError::BadValue { what: "transform count", value: u32::from(count) });
        }
        push_limited(&mut transforms, transform, "transforms", limits::TRANSFORMS)?;
    }
    reader.finish()?;
    Ok(transforms)
}

/// In an offer the first number "MUST be 1, and subsequent proposals MUST be one more than the previous
/// proposal"; an answer holds one proposal of any number (RFC 7296 §3.3.1). Which of the two is read
/// is not known here, so only the order is insisted on: two of one number would be an IKEv1 bundle.
fn check_number(previous: u8, mut body: Reader<'_>) -> Result<u8, ParseError> {
    match body.u8()? {
        number if number > previous => Ok(number),
        number => Err(ParseError::BadValue { what: "proposal number", value: u32::from(number) }),
    }
}

/// An ESP or AH proposal has a four-octet SPI, an IKE one eight octets or none (RFC 7296 §3.3.1).
fn check_spi(protocol: Protocol, spi: Spi) -> Result<(), ParseError> {
    match (protocol, spi) {
        (Protocol::Ike, Spi::None | Spi::Ike(_)) => Ok(()),
        (Protocol::Esp | Protocol::Ah, Spi::Child(_)) => Ok(()),
        _ => Err(ParseError::BadLength { what: "proposal SPI", length: usize::from(spi.length()) }),
    }
}
