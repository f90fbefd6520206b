//! Ports on packet capture files: what a program reads from one file and writes to another.
//!
//! The classic libpcap format (draft-ietf-opsawg-pcap), link type Ethernet, either byte order and either
//! time unit when reading, microseconds in this machine's order when writing. Time comes from the caller,
//! because a file that is written twice from the same frames should be the same file twice.

use std::io::{self, Read, Write};

use super::{BURST, Burst, Frame, Pool, Port};

const MAGIC_MICROSECONDS: u32 = 0xa1b2_c3d4;
const MAGIC_NANOSECONDS: u32 = 0xa1b2_3c4d;
const LINKTYPE_ETHERNET: u32 = 1;
const FILE_HEADER: usize = 24;
const RECORD_HEADER: usize = 16;

/// Longest packet taken from a file; longer records are a damaged file. What libpcap allows.
pub const SNAP_LENGTH: usize = 262_144;

/// Why a capture file could not be read: the file's fault, except for `Io`.
#[derive(Debug)]
pub enum PcapError {
    /// The first four octets are of no known capture format.
    NotPcap(u32),
    /// The packets are not Ethernet frames; the value is the file's link type.
    LinkType(u32),
    /// A record says it is this many octets long, more than [`SNAP_LENGTH`].
    TooLong(u32),
    /// The file ends inside a header or a packet, or the machine failed to read it.
    Io(io::Error),
}

impl From<io::Error> for PcapError {
    fn from(error: io::Error) -> Self {
        PcapError::Io(error)
    }
}

impl std::fmt::Display for PcapError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            PcapError::NotPcap(magic) => write!(
                f,
                "not a pcap file: it starts with {magic:#010x} (pcapng is not read; convert it with `editcap -F pcap`)"
            ),
            PcapError::LinkType(kind) => {
                write!(f, "the capture's link type is {kind}, only 1 (Ethernet) is read")
            }
            PcapError::TooLong(len) => {
                write!(f, "damaged capture: a record of {len} octets, at most {SNAP_LENGTH} are possible")
            }
            PcapError::Io(error) => write!(f, "cannot read the capture: {error}"),
        }
    }
}

impl std::error::Error for PcapError {}

/// Reads packets from a capture.
#[derive(Debug)]
pub struct Reader<R> {
    file: R,
    swapped: bool,
}

impl<R: Read> Reader<R> {
    /// Reads and checks the file header.
    pub fn new(mut file: R) -> Result<Self, PcapError> {
        let mut header = [0; FILE_HEADER];
        file.read_exact(&mut header)?;
        let magic = word(&header, 0, false);
        let swapped = match (magic, magic.swap_bytes()) {
            (MAGIC_MICROSECONDS | MAGIC_NANOSECONDS, _) => false,
            (_, MAGIC_MICROSECONDS | MAGIC_NANOSECONDS) => true,
            _ => return Err(PcapError::NotPcap(magic)),
        };
        // The upper half of the word says whether a frame check sequence follows the packets.
        match word(&header, 20, swapped) & 0xffff {
            LINKTYPE_ETHERNET => Ok(Reader { file, swapped }),
            other => Err(PcapError::LinkType(other)),
        }
    }

    /// Reads the next packet into `packet` (whose content is replaced); `false` at the end of the file.
    pub fn next_into(&mut self, packet: &mut Vec<u8>) -> Result<bool, PcapError> {
        let mut header = [0; RECORD_HEADER];
        if !read_or_end(&mut self.file, &mut header)? {
            return Ok(false);
        }
        let captured = word(&header, 8, self.swapped);
        let len = usize::try_from(captured).ok().filter(|len| *len <= SNAP_LENGTH);
        packet.resize(len.ok_or(PcapError::TooLong(captured))?, 0);
        self.file.read_exact(packet)?;
        Ok(true)
    }
}

/// Fills `buffer`; `false` when the file ended exactly before it.
fn read_or_end(file: &mut impl Read, buffer: &mut [u8]) -> Result<bool, PcapError> {
    let (first, rest) = buffer.split_at_mut(1);
    loop {
        match file.read(first) {
            Ok(0) => return Ok(false),
            Ok(_) => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    file.read_exact(rest)?;
    Ok(true)
}

fn word(bytes: &[u8], at: usize, swapped: bool) -> u32 {
    let word =
        bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |word| u32::from_ne_bytes(*word));
    if swapped { word.swap_bytes() } else { word }
}

/// Writes packets to a capture.
#[derive(Debug)]
pub struct Writer<W> {
    file: W,
}

impl<W: Write> Writer<W> {
    /// Writes the file header.
    pub fn new(mut file: W) -> io::Result<Self> {
        let version = u32::from_ne_bytes({
            let [a, b] = 2u16.to_ne_bytes();
            let [c, d] = 4u16.to_ne_bytes();
            [a, b, c, d]
        });
        for word in [MAGIC_MICROSECONDS, version, 0, 0, SNAP_LENGTH as u32, LINKTYPE_ETHERNET] {
            file.write_all(&word.to_ne_bytes())?;
        }
        Ok(Writer { file })
    }

    /// Writes one packet seen at `microseconds` since 1970.
    pub fn packet(&mut self, microseconds: u64, packet: &[u8]) -> io::Result<()> {
        let len = u32::try_from(packet.len()).map_err(io::Error::other)?;
        let seconds = (microseconds / 1_000_000) as u32;
        for word in [seconds, (microseconds % 1_000_000) as u32, len, len] {
            self.file.write_all(&word.to_ne_bytes())?;
        }
        self.file.write_all(packet)
    }

    /// Gives the file back, everything written to it.
    pub fn finish(mut self) -> io::Result<W> {
        self.file.flush()?;
        Ok(self.file)
    }
}

/// A port that receives what one capture holds and records what is sent into another.
///
/// It reads files while it is polled, so it is for tests and offline runs, not for a worker on a wire.
#[derive(Debug)]
pub struct PcapPort<P, R, W> {
    id: u16,
    pool: P,
    input: Option<Reader<R>>,
    output: Option<Writer<W>>,
    packet: Vec<u8>,
    /// Time stamp of the next packet sent: packets are one microsecond apart, so runs compare equal.
    clock: u64,
    error: Option<PcapError>,
}

impl<P: Pool, R: Read + Send, W: Write + Send> PcapPort<P, R, W> {
    /// A port numbered `id` that takes its buffers from `pool`; either side may be absent.
    pub fn new(id: u16, pool: P, input: Option<Reader<R>>, output: Option<Writer<W>>) -> Self {
        PcapPort { id, pool, input, output, packet: Vec::with_capacity(SNAP_LENGTH), clock: 0, error: None }
    }

    /// True when everything was read.
    pub fn is_finished(&self) -> bool {
        self.input.is_none()
    }

    /// What went wrong first, if anything did; reading or writing stopped there.
    pub fn error(&self) -> Option<&PcapError> {
        self.error.as_ref()
    }

    fn receive(&mut self) -> Result<Option<P::Frame>, PcapError> {
        let Some(input) = &mut self.input else { return Ok(None) };
        match input.next_into(&mut self.packet)? {
            true => Ok(self.pool.copy_of(&self.packet)),
            false => {
                self.input = None;
                Ok(None)
            }
        }
    }
}

impl<P: Pool, R: Read + Send, W: Write + Send> Port for PcapPort<P, R, W> {
    type Frame = P::Frame;

    fn id(&self) -> u16 {
        self.id
    }

    fn keeps(&self) -> bool {
        true
    }

    fn rx_burst(&mut self, burst: &mut Burst<P::Frame>) {
        for _ in 0..burst.room().min(BURST) {
            match self.receive() {
                Ok(Some(mut frame)) => {
                    frame.meta_mut().port = self.id;
                    if burst.push(frame).is_err() {
                        return;
                    }
                }
                Ok(None) => return,
                Err(error) => {
                    self.input = None;
                    self.error.get_or_insert(error);
                    return;
                }
            }
        }
    }

    fn tx_burst(&mut self, burst: &mut Burst<P::Frame>) {
        for frame in burst.drain() {
            let Some(output) = &mut self.output else { continue };
            self.clock += 1;
            if let Err(error) = output.packet(self.clock, frame.data()) {
                self.output = None;
                self.error.get_or_insert(PcapError::Io(error));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::ram::RamPool;
    use super::*;

    fn capture(packets: &[&[u8]]) -> Vec<u8> {
        let mut writer = Writer::new(Vec::new()).unwrap();
        for (at, packet) in packets.iter().enumerate() {
            writer.packet(at as u64 * 1_000_001, packet).unwrap();
        }
        writer.finish().unwrap()
    }

    #[test]
    fn what_was_written_is_read_in_either_byte_order() {
        let native = capture(&[b"first", b"", b"third"]);
        let mut foreign = native.clone();
        for word in foreign[..24].chunks_mut(4) {
            word.reverse();
        }
        let mut at = 24;
        for len in [5, 0, 5] {
            for word in foreign[at..at + 16].chunks_mut(4) {
                word.reverse();
            }
            at += 16 + len;
        }
        for file in [native, foreign] {
            let mut reader = Reader::new(&file[..]).unwrap();
            let mut packet = Vec::new();
            for expected in [&b"first"[..], b"", b"third"] {
                assert!(reader.next_into(&mut packet).unwrap());
                assert_eq!(packet, expected);
            }
            assert!(!reader.next_into(&mut packet).unwrap());
        }
    }

    #[test]
    fn a_file_cut_anywhere_is_an_error_or_a_clean_end() {
        let file = capture(&[b"first", b"second"]);
        let ends = [24, 24 + 16 + 5, file.len()];
        for len in 0..file.len() {
            let outcome = Reader::new(&file[..len]).and_then(|mut reader| {
                let mut packet = Vec::new();
                while reader.next_into(&mut packet)? {}
                Ok(())
            });
            assert_eq!(outcome.is_ok(), ends.contains(&len), "cut at {len}");
        }
    }

    #[test]
    fn absurd_lengths_and_other_formats_are_refused() {
        let mut file = capture(&[b"x"]);
        file[32..36].copy_from_slice(&u32::MAX.to_ne_bytes());
        let mut reader = Reader::new(&file[..]).unwrap();
        assert!(matches!(reader.next_into(&mut Vec::new()), Err(PcapError::TooLong(u32::MAX))));
        file[20] = 101;
        file[23] = 101;
        assert!(matches!(Reader::new(&file[..]), Err(PcapError::LinkType(_))));
        assert!(matches!(Reader::new(&[0u8; 24][..]), Err(PcapError::NotPcap(0))));
    }

    #[test]
    fn a_port_carries_one_capture_into_another() {
        let pool = RamPool::new(4, 1);
        let file = capture(&[b"one", b"two"]);
        let input = Reader::new(&file[..]).unwrap();
        let mut port = PcapPort::new(7, pool.clone(), Some(input), Some(Writer::new(Vec::new()).unwrap()));
        let mut burst = Burst::new();
        port.rx_burst(&mut burst);
        assert_eq!(burst.len(), 2);
        assert!(port.is_finished());
        port.tx_burst(&mut burst);
        let written = port.output.take().unwrap().finish().unwrap();
        let mut reader = Reader::new(&written[..]).unwrap();
        let mut packet = Vec::new();
        assert!(reader.next_into(&mut packet).unwrap());
        assert_eq!(packet, b"one");
        assert_eq!(pool.available(), pool.capacity());
    }
}
