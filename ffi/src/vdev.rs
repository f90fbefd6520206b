//! Virtual devices: their names and arguments, checked so that one cannot smuggle in another.
//!
//! `net_null`, `net_ring` and `net_pcap` serve tests; `net_af_packet` serves interfaces
//! that the kernel keeps (virtual machines, containers, a first try).
//!
//! # What an operator must know of `net_af_packet` (DPDK 22.11)
//!
//! * **Namespace.** Its packet sockets are opened by the thread that probes, and stay in
//!   the network namespace that thread was in. Its set-up opens further sockets, by
//!   interface *name*. So probe and set up a device on a thread that entered the
//!   namespace (`setns`) and stays there; workers may poll it from anywhere.
//! * **Truncation.** The kernel cuts a received frame to `framesz` - 66 octets and the
//!   driver does not say so (it ignores `tp_len`). Prevented: `framesz` is computed from
//!   [`AfPacket::max_frame`], and probing refuses an interface whose MTU exceeds it.
//!   Detected: a frame as long as the cut ([`Ring::cut_at`]) was cut or is longer than
//!   allowed; the receive queue drops and counts it as truncated.
//! * **Reassembly by the kernel.** The driver sets `PACKET_FANOUT_FLAG_DEFRAG` on every
//!   queue, so IPv4 fragments arrive here as whole datagrams, possibly longer than the
//!   MTU and then truncated, hence dropped and counted. IPv6 fragments arrive as sent.
//!   Queue choice is the kernel's flow hash, with rollover to another queue when one is full.
//! * **Offloads of the sender.** A frame from a process or guest on the same host (veth,
//!   tap, virtio) may carry a checksum not yet computed (`TP_STATUS_CSUMNOTREADY`, which
//!   the driver ignores) or be a TSO/GRO packet of up to 64 kB. Turn them off:
//!   `ethtool -K <peer> tx off tso off gso off` on the far end of a veth and
//!   `ethtool -K <iface> gro off lro off` here.
//! * **VLAN.** The kernel moves a tag out of the frame; the driver puts it back, because
//!   stripping is never enabled here. `ethtool -K <iface> rxvlan off` makes no difference.
//! * **Sending.** A frame longer than `framesz` - 32, or than the interface's MTU allows,
//!   is dropped without a word (`PACKET_LOSS`); keep routes within the MTU. When the ring
//!   is full the driver calls `poll(2)` once before it gives up.
//! * **MTU.** Belongs to the kernel: `ip link set <iface> mtu`. DPDK's own call would
//!   reach the interface of that name in the caller's namespace, so it is never used here.

use std::ffi::CString;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use crate::error::Errno;

/// A virtual device to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vdev {
    name: String,
    arguments: String,
    ring: Option<Ring>,
}

/// A kernel ring beneath a device, and what it does to frames.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ring {
    /// The kernel's interface, in the namespace of the thread that probes.
    pub iface: String,
    /// Octets the driver may copy into one mbuf: the room a pool must have.
    pub copies: u32,
    /// A received frame of this length or more was cut.
    pub cut_at: u32,
    /// Longest frame asked for, link header and tags included.
    pub max_frame: u32,
}

/// What `net_af_packet` needs to know.
#[derive(Debug, Clone)]
pub struct AfPacket<'a> {
    /// The kernel's interface.
    pub iface: &'a str,
    /// Queue pairs, one for each worker.
    pub queues: u16,
    /// Longest frame to carry, link header and VLAN tags included: MTU + 22. At most [`AfPacket::LIMIT`].
    pub max_frame: u32,
    /// Frames in each ring, rounded up to whole blocks.
    pub frames: u32,
    /// Skip the queueing discipline when sending.
    pub qdisc_bypass: bool,
}

/// What is wrong with a device's description.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    /// A character that separates arguments, or NUL.
    #[error("{what} {text:?} must not be empty or contain commas, '=' or NUL")]
    Text {
        /// Which part.
        what: &'static str,
        /// As given.
        text: String,
    },
    /// The resulting name is longer than DPDK's names.
    #[error("device name {name:?} exceeds 63 characters")]
    TooLong {
        /// The name.
        name: String,
    },
    /// An interface name the kernel would not have.
    #[error("interface name {iface:?} exceeds 15 characters")]
    Iface {
        /// As given.
        iface: String,
    },
    /// Too long a frame.
    #[error("frames of {max_frame} octets on {iface}: net_af_packet carries {} at most", AfPacket::LIMIT)]
    Frame {
        /// The interface.
        iface: String,
        /// As given.
        max_frame: u32,
    },
}

/// Octets the kernel puts before a frame in a TPACKET_V2 slot: ALIGN16(52 + 16) - 14.
const KERNEL_HEADER: u32 = 66;
/// Octets the driver assumes: TPACKET2_HDRLEN - sizeof(sockaddr_ll).
const DRIVER_HEADER: u32 = 32;
const PAGE: u32 = 4096;
/// Block size for slots of up to a page: a good many slots, and still an allocation the kernel can make.
const BLOCK: u32 = 1 << 16;

impl AfPacket<'_> {
    /// Longest frame: the slot must be less than what an mbuf can describe (65,407 octets).
    pub const LIMIT: u32 = 15 * PAGE - KERNEL_HEADER - 1;

    /// Size of one slot: one octet more than the longest frame, so that a full slot means a cut one;
    /// a power of two up to a page, then whole pages, so that slots tile blocks without gaps
    /// (the driver takes slot n at n * framesz, whatever the block size).
    fn slot(&self) -> u32 {
        let need = self.max_frame + KERNEL_HEADER + 1;
        if need <= PAGE { need.next_power_of_two().max(2048) } else { need.next_multiple_of(PAGE) }
    }

    fn block(&self) -> u32 {
        if self.slot() <= PAGE { BLOCK } else { self.slot() }
    }

    fn ring(&self) -> Ring {
        let (copies, cut_at) = (self.slot() - DRIVER_HEADER, self.slot() - KERNEL_HEADER);
        Ring { iface: self.iface.to_owned(), copies, cut_at, max_frame: self.max_frame }
    }

    fn arguments(&self) -> String {
        let (slot, block) = (self.slot(), self.block());
        let frames = self.frames.max(1).next_multiple_of(block / slot);
        format!(
            "iface={},qpairs={},framesz={slot},blocksz={block},framecnt={frames},qdisc_bypass={}",
            self.iface,
            self.queues,
            u8::from(self.qdisc_bypass)
        )
    }
}

impl Vdev {
    /// `net_null`: receives frames of `size` zero octets without end, swallows what is sent.
    ///
    /// # Errors
    /// [`Error::Text`], [`Error::TooLong`] about the suffix.
    pub fn null(suffix: &str, size: u16) -> Result<Self, Error> {
        Self::new("net_null", suffix, format!("size={size},copy=1"))
    }

    /// `net_null` that receives nothing.
    ///
    /// # Errors
    /// As for [`Self::null`].
    pub fn silent(suffix: &str) -> Result<Self, Error> {
        Self::new("net_null", suffix, "no-rx=1".to_owned())
    }

    /// `net_ring`: receives what it sent, queue by queue, 16 at most; the mbufs themselves pass.
    ///
    /// # Errors
    /// As for [`Self::null`].
    pub fn ring(suffix: &str) -> Result<Self, Error> {
        Self::new("net_ring", suffix, String::new())
    }

    /// `net_pcap`: receives the frames of one file and writes what is sent to another.
    ///
    /// # Errors
    /// As for [`Self::null`], and about the paths.
    pub fn pcap(suffix: &str, rx: Option<&Path>, tx: Option<&Path>) -> Result<Self, Error> {
        let part = |key: &str, path: &Path| {
            let text = path.to_string_lossy().into_owned();
            plain("path", &text).map(|()| format!("{key}={text}"))
        };
        let parts = [rx.map(|p| part("rx_pcap", p)), tx.map(|p| part("tx_pcap", p))];
        let parts: Vec<String> = parts.into_iter().flatten().collect::<Result<_, _>>()?;
        Self::new("net_pcap", suffix, parts.join(","))
    }

    /// `net_af_packet`: an interface of the kernel. Read this file's head first.
    ///
    /// # Errors
    /// [`Error`].
    pub fn af_packet(suffix: &str, options: &AfPacket<'_>) -> Result<Self, Error> {
        plain("interface", options.iface)?;
        if options.iface.len() > 15 {
            return Err(Error::Iface { iface: options.iface.to_owned() });
        }
        if options.max_frame > AfPacket::LIMIT {
            return Err(Error::Frame { iface: options.iface.to_owned(), max_frame: options.max_frame });
        }
        let vdev = Self::new("net_af_packet", suffix, options.arguments())?;
        Ok(Vdev { ring: Some(options.ring()), ..vdev })
    }

    /// Any other device (`net_memif`, `net_af_xdp`, `net_tap`), with arguments as DPDK's guide gives them.
    ///
    /// # Errors
    /// As for [`Self::null`]; the arguments must not contain NUL.
    pub fn other(driver: &str, suffix: &str, arguments: &str) -> Result<Self, Error> {
        plain("driver", driver)?;
        if arguments.contains('\0') {
            return Err(Error::Text { what: "arguments", text: arguments.to_owned() });
        }
        Self::new(driver, suffix, arguments.to_owned())
    }

    /// DPDK finds the driver by the beginning of the name.
    fn new(driver: &str, suffix: &str, arguments: String) -> Result<Self, Error> {
        plain("suffix", suffix)?;
        let name = format!("{driver}_{suffix}");
        if name.len() >= dpdk_sys::RTE_ETH_NAME_MAX_LEN as usize {
            return Err(Error::TooLong { name });
        }
        Ok(Vdev { name, arguments, ring: None })
    }

    /// The device's name, by which [`crate::Eal::claim`] finds it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The kernel ring beneath it.
    pub fn kernel_ring(&self) -> Option<&Ring> {
        self.ring.as_ref()
    }

    /// `name,arguments`, as after `--vdev`.
    pub(crate) fn devargs(&self) -> String {
        if self.arguments.is_empty() {
            self.name.clone()
        } else {
            format!("{},{}", self.name, self.arguments)
        }
    }

    pub(crate) fn arguments(&self) -> &str {
        &self.arguments
    }
}

fn plain(what: &'static str, text: &str) -> Result<(), Error> {
    if text.is_empty() || text.contains([',', '=', '\0']) {
        return Err(Error::Text { what, text: text.to_owned() });
    }
    Ok(())
}

/// Virtual devices made so far, for what DPDK does not tell about them later.
static KNOWN: Mutex<Vec<Vdev>> = Mutex::new(Vec::new());

pub(crate) fn remember(vdev: &Vdev) {
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner).push(vdev.clone());
}

pub(crate) fn forget(name: &str) {
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner).retain(|vdev| vdev.name != name);
}

pub(crate) fn known(name: &str) -> Option<Vdev> {
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner).iter().find(|vdev| vdev.name == name).cloned()
}

/// MTU of the kernel's interface `iface` in this thread's network namespace.
///
/// # Errors
/// ENODEV when there is no such interface here.
pub fn kernel_mtu(iface: &str) -> Result<u32, Errno> {
    let last = || Errno(std::io::Error::last_os_error().raw_os_error().unwrap_or(0));
    let name = CString::new(iface).map_err(|_| Errno(libc::EINVAL))?;
    // SAFETY: ifreq is plain data for which zero is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    let octets = name.as_bytes_with_nul();
    let room = request.ifr_name.get_mut(..octets.len()).ok_or(Errno(libc::EINVAL))?;
    for (to, from) in room.iter_mut().zip(octets) {
        *to = from.cast_signed();
    }
    // SAFETY: no pointers. The socket is closed below, on every path.
    let socket = unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
    if socket < 0 {
        return Err(last());
    }
    // SAFETY: SIOCGIFMTU reads the name in `request` and writes its mtu.
    let returned = unsafe { libc::ioctl(socket, libc::SIOCGIFMTU, &raw mut request) };
    let outcome = if returned < 0 { Err(last()) } else { Ok(()) };
    // SAFETY: ours, closed once.
    unsafe { libc::close(socket) };
    outcome?;
    // SAFETY: the ioctl wrote this member of the union.
    Ok(u32::try_from(unsafe { request.ifr_ifru.ifru_mtu }).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(iface: &str, max_frame: u32) -> AfPacket<'_> {
        AfPacket { iface, queues: 2, max_frame, frames: 1000, qdisc_bypass: false }
    }

    #[test]
    fn slots_tile_their_blocks_and_hold_one_octet_more_than_the_longest_frame() {
        for max_frame in [64, 1522, 1981, 1982, 4029, 4030, 9022, AfPacket::LIMIT] {
            let options = options("eth0", max_frame);
            assert_eq!(options.block() % options.slot(), 0, "{max_frame}");
            assert_eq!(options.block() % PAGE, 0, "{max_frame}");
            assert!(options.ring().cut_at > max_frame, "{max_frame}");
            assert!(options.ring().copies <= u32::from(crate::pool::MAX_ROOM), "{max_frame}");
        }
    }

    #[test]
    fn arguments_are_what_the_driver_documents() {
        let vdev = Vdev::af_packet("pub", &options("eth0", 1522)).unwrap();
        assert_eq!(
            vdev.devargs(),
            "net_af_packet_pub,iface=eth0,qpairs=2,framesz=2048,blocksz=65536,framecnt=1024,qdisc_bypass=0"
        );
        assert_eq!(vdev.kernel_ring().unwrap().cut_at, 1982);
    }

    #[test]
    fn no_text_smuggles_in_an_argument() {
        assert!(matches!(Vdev::null("a,iface=b", 64), Err(Error::Text { what: "suffix", .. })));
        assert!(matches!(Vdev::af_packet("a", &options("e,x=y", 64)), Err(Error::Text { .. })));
        assert!(matches!(
            Vdev::af_packet("a", &options("an-interface-too-long", 64)),
            Err(Error::Iface { .. })
        ));
        assert!(matches!(Vdev::af_packet("a", &options("e", AfPacket::LIMIT + 1)), Err(Error::Frame { .. })));
        assert!(matches!(
            Vdev::pcap("a", Some(Path::new("x,y")), None),
            Err(Error::Text { what: "path", .. })
        ));
        assert!(matches!(Vdev::null(&"n".repeat(60), 64), Err(Error::TooLong { .. })));
    }

    #[test]
    fn a_missing_interface_is_named_by_errno() {
        assert_eq!(kernel_mtu("no-such-iface"), Err(Errno(libc::ENODEV)));
        assert!(kernel_mtu("lo").unwrap() > 0);
    }
}
