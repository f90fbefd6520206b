//! A reading by TFTP (RFC 1350) with larger blocks (RFC 2348) and the size told first (RFC 2349): packet in, packet out.
//!
//! Left to the caller: the socket, saying the last packet again, and which port is the server's.

use super::{check_size, words};
use crate::error::{FetchError, Size};
use crate::url::Scheme;

/// Octets of a block we ask for: with its headers a packet of 1,460 fits every usual network whole.
const BLOCK: usize = 1428;
/// Octets of a block where the server knows no options.
const PLAIN_BLOCK: usize = 512;
/// Longest packet heard: a block with its header, and room to see one that is too long.
pub const PACKET: usize = 4 + BLOCK + 1;

const READ: u16 = 1;
const DATA: u16 = 3;
const ACKNOWLEDGE: u16 = 4;
const ERROR: u16 = 5;
const OPTIONS: u16 = 6;

/// RRQ in octet mode with our options.
pub fn request(name: &str) -> Vec<u8> {
    let mut packet = READ.to_be_bytes().to_vec();
    for text in [name, "octet", "blksize", &BLOCK.to_string(), "tsize", "0"] {
        packet.extend_from_slice(text.as_bytes());
        packet.push(0);
    }
    packet
}

/// A reading under way. The next block is awaited; the one before may come again.
#[derive(Debug)]
pub struct Transfer {
    content: Vec<u8>,
    /// Number of the block awaited; after 65535 comes 0.
    awaited: u16,
    block: usize,
    cap: usize,
    has_begun: bool,
}

/// What to do about a packet.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Say this, and go on.
    Say(Vec<u8>),
    /// Nothing of ours.
    Ignore,
    /// Say this; it was the last block.
    Done(Vec<u8>),
}

impl Transfer {
    /// Of a file of at most `cap` octets.
    pub fn new(cap: usize) -> Self {
        Self { content: Vec::new(), awaited: 1, block: PLAIN_BLOCK, cap, has_begun: false }
    }

    /// Takes a packet of the server; what is to be done about it.
    ///
    /// # Errors
    /// The server's refusal, a file above the cap, or a packet that no server may send.
    pub fn receive(&mut self, packet: &[u8]) -> Result<Step, FetchError> {
        let (code, rest) = word(packet).ok_or_else(|| malformed("a packet without a code"))?;
        match code {
            DATA => self.data(rest),
            OPTIONS if !self.has_begun => self.options(rest),
            OPTIONS => Ok(Step::Ignore),
            ERROR => Err(refusal(rest)),
            _ => Err(malformed(format!("a packet of code {code}"))),
        }
    }

    /// Whether the server has said anything that counts.
    pub const fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// What has arrived.
    pub fn content(&self) -> &[u8] {
        &self.content
    }

    /// What has arrived, when it is done.
    pub fn into_content(self) -> Vec<u8> {
        self.content
    }

    fn data(&mut self, rest: &[u8]) -> Result<Step, FetchError> {
        let (number, content) = word(rest).ok_or_else(|| malformed("a block without its number"))?;
        if self.has_begun && number == self.awaited.wrapping_sub(1) {
            // Our acknowledgement was lost.
            return Ok(Step::Say(acknowledge(number)));
        }
        if number != self.awaited {
            return Ok(Step::Ignore);
        }
        if content.len() > self.block {
            return Err(malformed(format!("a block of more than {} octets", self.block)));
        }
        self.has_begun = true;
        check_size(self.content.len() + content.len(), self.cap)?;
        self.content.extend_from_slice(content);
        self.awaited = self.awaited.wrapping_add(1);
        let said = acknowledge(number);
        Ok(if content.len() < self.block { Step::Done(said) } else { Step::Say(said) })
    }

    /// RFC 2347: what the server takes of our options, acknowledged as block 0.
    fn options(&mut self, rest: &[u8]) -> Result<Step, FetchError> {
        let text = std::str::from_utf8(rest).map_err(|_| malformed("options that are no text"))?;
        let mut words = text.split_terminator('\0');
        while let (Some(name), Some(value)) = (words.next(), words.next()) {
            let value: u64 = value.parse().map_err(|_| malformed("an option that is no number"))?;
            if name.eq_ignore_ascii_case("blksize") {
                self.block = usize::try_from(value)
                    .ok()
                    .filter(|octets| (8..=BLOCK).contains(octets))
                    .ok_or_else(|| malformed(format!("blocks of {value} octets, {BLOCK} were asked for")))?;
            } else if name.eq_ignore_ascii_case("tsize")
                && usize::try_from(value).map_or(true, |v| v > self.cap)
            {
                return Err(FetchError::TooLarge { announced: Size::Announced(value), cap: self.cap });
            }
        }
        self.has_begun = true;
        Ok(Step::Say(acknowledge(0)))
    }
}

fn word(octets: &[u8]) -> Option<(u16, &[u8])> {
    octets.split_first_chunk().map(|(first, rest)| (u16::from_be_bytes(*first), rest))
}

fn acknowledge(number: u16) -> Vec<u8> {
    [ACKNOWLEDGE.to_be_bytes(), number.to_be_bytes()].concat()
}

fn refusal(rest: &[u8]) -> FetchError {
    let (code, text) = word(rest).unwrap_or((0, b""));
    let text = text.split(|&octet| octet == 0).next().unwrap_or_default();
    FetchError::Status { code: code.into(), text: words(&String::from_utf8_lossy(text)) }
}

fn malformed(reason: impl Into<String>) -> FetchError {
    FetchError::Malformed { scheme: Scheme::Tftp, reason: reason.into() }
}

/// What a server is told whose packet was not taken: else it would say it again and again. Code 0: not defined.
pub fn not_taken() -> Vec<u8> {
    [&ERROR.to_be_bytes()[..], b"\0\0not taken\0"].concat()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn block(number: u16, content: &[u8]) -> Vec<u8> {
        [&DATA.to_be_bytes()[..], &number.to_be_bytes(), content].concat()
    }

    fn options(text: &str) -> Vec<u8> {
        [&OPTIONS.to_be_bytes()[..], text.as_bytes()].concat()
    }

    /// RRQ -> DATA 1 -> ACK 1 -> DATA 2, short -> ACK 2: a server without options.
    #[test]
    fn plain_blocks() {
        let mut transfer = Transfer::new(1000);
        assert_eq!(transfer.receive(&block(1, &[1; 512])), Ok(Step::Say(acknowledge(1))));
        assert_eq!(transfer.receive(&block(1, &[1; 512])), Ok(Step::Say(acknowledge(1))), "ours was lost");
        assert_eq!(transfer.receive(&block(3, &[3; 512])), Ok(Step::Ignore));
        assert_eq!(transfer.receive(&options("tsize\09999999\0")), Ok(Step::Ignore), "too late for options");
        assert_eq!(transfer.receive(&block(2, &[2; 10])), Ok(Step::Done(acknowledge(2))));
        assert_eq!(transfer.content, [vec![1; 512], vec![2; 10]].concat());
    }

    /// RRQ -> OACK -> ACK 0 -> DATA 1 of the size agreed.
    #[test]
    fn larger_blocks() {
        let mut transfer = Transfer::new(2000);
        assert_eq!(
            transfer.receive(&options("blksize\x001428\0tsize\x001438\0")),
            Ok(Step::Say(acknowledge(0)))
        );
        assert_eq!(transfer.receive(&block(1, &[0; BLOCK])), Ok(Step::Say(acknowledge(1))));
        assert_eq!(transfer.receive(&block(2, &[0; 10])), Ok(Step::Done(acknowledge(2))));
    }

    /// The block numbers go round (65535, then 0) as servers of large files do it.
    #[test]
    fn numbers_go_round() {
        let mut transfer = Transfer::new(usize::MAX);
        transfer.receive(&options("blksize\x008\0")).unwrap();
        for number in 1..=70_000_u32 {
            let number = number as u16;
            assert_eq!(transfer.receive(&block(number, &[0; 8])), Ok(Step::Say(acknowledge(number))));
        }
        assert_eq!(transfer.content.len(), 560_000);
    }

    /// The cap by announcement and by count, and what no server may say.
    #[test]
    fn refuses() {
        let large = Transfer::new(100).receive(&options("tsize\x00101\0"));
        assert_eq!(large, Err(FetchError::TooLarge { announced: Size::Announced(101), cap: 100 }));
        let large = Transfer::new(100).receive(&block(1, &[0; 101]));
        assert_eq!(large, Err(FetchError::TooLarge { announced: Size::AtLeast(101), cap: 100 }));
        let refusal = Transfer::new(100).receive(b"\0\x05\0\x01File not found\0");
        assert_eq!(refusal, Err(FetchError::Status { code: 1, text: "File not found".into() }));
        for packet in
            [&options("blksize\x001429\0"), &options("blksize\x000\0"), &block(1, &[0; 513]), &vec![0, 1]]
        {
            let outcome = Transfer::new(10_000).receive(packet);
            assert!(matches!(outcome, Err(FetchError::Malformed { .. })), "{outcome:?}");
        }
    }

    proptest! {
        /// Any packets in any order: never more than the cap, and no stumbling.
        #[test]
        fn any_packets_are_survived(
            packets in proptest::collection::vec(
                (1_u8..7, proptest::collection::vec(any::<u8>(), 0..600)), 0..20,
            ),
        ) {
            let mut transfer = Transfer::new(1000);
            for (code, rest) in packets {
                let _ = transfer.receive(&[&[0, code][..], &rest].concat());
                prop_assert!(transfer.content.len() <= 1000);
            }
        }
    }
}
