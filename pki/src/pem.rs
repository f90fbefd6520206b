//! PEM (RFC 7468): labelled base64 blocks in text files, certificates and keys alike.
//!
//! Text around the blocks is ignored, as RFC 7468 §2 wishes; inside a block nothing is: a bad character, a wrong
//! label at the end or a missing end is an error with its line. Decoded bytes are wiped on drop, because a block
//! may be a private key.

use zeroize::Zeroizing;

/// What the first line of a block begins with.
const BEGIN: &[u8] = b"-----BEGIN ";

/// Longest label accepted. Those in use have 26 octets at most, and no key fits into so many.
const MAX_LABEL: usize = 31;

/// Largest text accepted: a bundle of some thousand certificates.
pub const MAX_TEXT: usize = 4 << 20;

/// One block.
pub struct Block {
    /// The label, such as `CERTIFICATE` or `EC PRIVATE KEY`.
    pub label: String,
    /// The decoded octets.
    pub der: Zeroizing<Vec<u8>>,
    /// Whether RFC 1421 headers say the octets are encrypted (the old OpenSSL key files).
    pub encrypted: bool,
    /// Line of the file on which the block begins, from 1.
    pub line: usize,
}

/// Why a text is not PEM. The fault of whoever wrote the file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PemError {
    /// The text is larger than [`MAX_TEXT`].
    #[error("{0} bytes of PEM are more than the {MAX_TEXT} accepted")]
    TooLarge(usize),
    /// A block begins and does not end with its label.
    #[error("line {line}: the block '{label}' has no matching END line")]
    Unended {
        /// Line of its BEGIN.
        line: usize,
        /// Its label.
        label: String,
    },
    /// A line begins like the first of a block and does not name one. What stands there is not repeated: in a file
    /// that lost its line ends it is the key.
    #[error("line {line}: no label of a PEM block; '-----BEGIN ...-----' needs a line of its own")]
    Label {
        /// The line.
        line: usize,
    },
    /// Something in a block is not base64.
    #[error("line {line}: not base64")]
    Base64 {
        /// The line.
        line: usize,
    },
    /// There is no block at all.
    #[error("no '-----BEGIN ...-----' block found")]
    Empty,
}

/// Whether these bytes look like PEM rather than DER.
pub fn looks_like_pem(bytes: &[u8]) -> bool {
    bytes.windows(11).any(|window| window == b"-----BEGIN ")
}

/// Every block of a text, in order; at least one.
pub fn blocks(text: &[u8]) -> Result<Vec<Block>, PemError> {
    if text.len() > MAX_TEXT {
        return Err(PemError::TooLarge(text.len()));
    }
    let mut lines = text.split(|&octet| octet == b'\n').map(<[u8]>::trim_ascii).zip(1usize..);
    let mut found = Vec::new();
    while let Some((line, number)) = lines.next() {
        if line.starts_with(BEGIN) {
            let label = boundary(line, BEGIN).ok_or(PemError::Label { line: number })?;
            found.push(block(label, number, &mut lines)?);
        }
    }
    if found.is_empty() { Err(PemError::Empty) } else { Ok(found) }
}

/// The label of a boundary line. RFC 7468 §3 allows any printable text; labels in use are made of capitals, digits,
/// spaces and dots, and what is not may be octets of the key.
fn boundary<'a>(line: &'a [u8], prefix: &[u8]) -> Option<&'a str> {
    let label = line.strip_prefix(prefix)?.strip_suffix(b"-----")?;
    let usual = |octet: &u8| octet.is_ascii_uppercase() || octet.is_ascii_digit() || b" .".contains(octet);
    let named = label.len() <= MAX_LABEL && label.iter().all(usual);
    str::from_utf8(label).ok().filter(|_| named)
}

/// The rest of a block whose BEGIN line has been read.
fn block<'a>(
    label: &str,
    line: usize,
    lines: &mut impl Iterator<Item = (&'a [u8], usize)>,
) -> Result<Block, PemError> {
    let mut decoder = Decoder::default();
    let mut encrypted = false;
    for (text, number) in lines {
        if let Some(end) = boundary(text, b"-----END ") {
            let der = decoder.finish().filter(|_| end == label);
            let der = der.ok_or_else(|| PemError::Unended { line, label: label.to_owned() })?;
            return Ok(Block { label: label.to_owned(), der, encrypted, line });
        }
        if text.contains(&b':') {
            encrypted |= text.starts_with(b"Proc-Type:") && text.ends_with(b"ENCRYPTED");
        } else if decoder.line(text).is_none() {
            return Err(PemError::Base64 { line: number });
        }
    }
    Err(PemError::Unended { line, label: label.to_owned() })
}

/// Base64 (RFC 4648 §4) over several lines, padding only at the end.
#[derive(Default)]
struct Decoder {
    out: Zeroizing<Vec<u8>>,
    accumulator: u32,
    bits: u32,
    symbols: usize,
    padding: usize,
}

impl Decoder {
    fn line(&mut self, text: &[u8]) -> Option<()> {
        // Growing a vector copies it; a reservation leaves no copy of a key behind.
        let wanted = if self.out.capacity() == 0 { 16 << 10 } else { text.len() };
        self.out.reserve(wanted);
        text.iter().try_for_each(|&octet| self.symbol(octet))
    }

    fn symbol(&mut self, octet: u8) -> Option<()> {
        self.symbols = self.symbols.checked_add(1)?;
        if octet == b'=' {
            self.padding = self.padding.checked_add(1)?;
            return Some(());
        }
        if self.padding > 0 {
            return None;
        }
        self.accumulator = (self.accumulator << 6) | sextet(octet)?;
        self.bits += 6;
        if self.bits >= 8 {
            self.bits -= 8;
            self.out.push((self.accumulator >> self.bits & 0xff) as u8);
            self.accumulator &= (1 << self.bits) - 1;
        }
        Some(())
    }

    /// The octets, if the symbols came in fours and the unused bits are zero.
    fn finish(self) -> Option<Zeroizing<Vec<u8>>> {
        let whole =
            self.symbols.is_multiple_of(4) && self.padding <= 2 && self.padding * 2 == self.bits as usize;
        (whole && self.accumulator == 0).then_some(self.out)
    }
}

/// A block as text: 64 characters a line (RFC 7468 §2). Wiped on drop, because it may be a key.
pub fn write(label: &str, der: &[u8]) -> Zeroizing<String> {
    let body = symbols(der.len());
    let room =
        body.saturating_add(body / 64).saturating_add(label.len().saturating_mul(2)).saturating_add(64);
    let mut text = Zeroizing::new(String::with_capacity(room));
    text.push_str(&format!("-----BEGIN {label}-----\n"));
    for line in der.chunks(48) {
        push_base64(&mut text, line);
        text.push('\n');
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}

/// Base64 (RFC 4648 §4) in one line. Wiped on drop, as above.
pub fn base64(octets: &[u8]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(symbols(octets.len())));
    push_base64(&mut text, octets);
    text
}

/// What a line of base64 says; `None` if it is none.
pub fn from_base64(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let mut decoder = Decoder { out: Zeroizing::new(Vec::with_capacity(text.len())), ..Decoder::default() };
    decoder.line(text.as_bytes())?;
    decoder.finish()
}

fn symbols(octets: usize) -> usize {
    octets.div_ceil(3).saturating_mul(4)
}

fn push_base64(text: &mut String, octets: &[u8]) {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for group in octets.chunks(3) {
        let octet = |at: usize| group.get(at).map_or(0, |&octet| u32::from(octet));
        let value = octet(0) << 16 | octet(1) << 8 | octet(2);
        let symbol =
            |shift: u32| ALPHABET.get((value >> shift) as usize & 63).map_or('=', |&octet| octet.into());
        let padding = 3usize.saturating_sub(group.len());
        let symbols = [18, 12, 6, 0].map(symbol).into_iter().take(4usize.saturating_sub(padding));
        text.extend(symbols.chain(std::iter::repeat_n('=', padding)));
    }
}

fn sextet(octet: u8) -> Option<u32> {
    let value = match octet {
        b'A'..=b'Z' => octet - b'A',
        b'a'..=b'z' => octet - b'a' + 26,
        b'0'..=b'9' => octet - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    };
    Some(u32::from(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn one(body: &str) -> Result<Vec<u8>, PemError> {
        let text = format!("junk\n-----BEGIN X-----\r\n{body}\r\n-----END X-----\n");
        blocks(text.as_bytes()).map(|blocks| blocks[0].der.to_vec())
    }

    #[test]
    fn decodes_the_rfc_4648_vectors() {
        for (encoded, plain) in [
            ("", ""),
            ("Zg==", "f"),
            ("Zm8=", "fo"),
            ("Zm9v", "foo"),
            ("Zm9v\nYg==", "foob"),
            ("Zm9vYmFy", "foobar"),
        ] {
            assert_eq!(one(encoded).unwrap(), plain.as_bytes(), "{encoded}");
        }
    }

    #[test]
    fn refuses_sloppy_base64_with_its_line() {
        assert_eq!(one("Zm9v\nZ*=="), Err(PemError::Base64 { line: 4 }));
        for bad in ["Zg=", "Zg", "Zh==", "Zg==Zg==", "====", "Zm9v="] {
            assert!(one(bad).is_err(), "{bad}");
        }
    }

    /// A key file without its line ends: the whole key stands where the label should.
    #[test]
    fn a_label_is_never_the_key_and_never_repeated() {
        let text = "x\n-----BEGIN PRIVATE KEY-----c2VjcmV0-----END PRIVATE KEY-----";
        let Err(refused) = blocks(text.as_bytes()) else { panic!("accepted") };
        assert_eq!(refused, PemError::Label { line: 2 });
        assert!(!refused.to_string().contains("c2Vj"));
        for label in ["PRIVATE KEY\u{1b}[2J", &"X".repeat(MAX_LABEL + 1), "MC4CAQAwBQYDK2VwBCIEIDVm", "A--B"]
        {
            let text = format!("-----BEGIN {label}-----\nZg==\n-----END {label}-----");
            assert!(matches!(blocks(text.as_bytes()), Err(PemError::Label { line: 1 })), "{label}");
        }
    }

    #[test]
    fn finds_several_blocks_and_where_they_begin() {
        let text = b"a\n-----BEGIN A-----\nZg==\n-----END A-----\n\n-----BEGIN B C-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: x\n\nZg==\n-----END B C-----";
        let blocks = blocks(text).unwrap();
        assert_eq!((blocks[0].label.as_str(), blocks[0].line, blocks[0].encrypted), ("A", 2, false));
        assert_eq!((blocks[1].label.as_str(), blocks[1].line, blocks[1].encrypted), ("B C", 6, true));
        assert!(matches!(
            super::blocks(b"-----BEGIN A-----\nZg==\n-----END B-----"),
            Err(PemError::Unended { line: 1, .. })
        ));
        assert!(matches!(super::blocks(b"-----BEGIN A-----\nZg=="), Err(PemError::Unended { .. })));
        assert!(matches!(super::blocks(b"nothing"), Err(PemError::Empty)));
    }

    proptest! {
        /// What is written reads back, whatever its length.
        #[test]
        fn blocks_read_back(der in proptest::collection::vec(any::<u8>(), 0..200)) {
            let text = write("X509 CRL", &der);
            let read = blocks(text.as_bytes()).unwrap();
            prop_assert_eq!((read[0].label.as_str(), &read[0].der[..]), ("X509 CRL", &der[..]));
            prop_assert!(text.lines().all(|line| line.len() <= 64));
            prop_assert_eq!(&from_base64(&base64(&der)).unwrap()[..], &der[..]);
        }

        #[test]
        fn any_text_ends_in_blocks_or_an_error(text in proptest::collection::vec(any::<u8>(), 0..400)) {
            let wrapped = [b"-----BEGIN X-----\n", text.as_slice(), b"\n-----END X-----"].concat();
            let _ = (blocks(&text), blocks(&wrapped));
        }
    }
}
