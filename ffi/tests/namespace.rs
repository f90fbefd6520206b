//! `net_af_packet` on a veth pair between two network namespaces: what `vdev.rs` tells the
//! operator, seen. The device is made by a thread inside its namespace and polled by one
//! outside. Needs root and iproute2; says so and passes without.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

mod common;

use std::fs::File;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::process::Command;
use std::time::{Duration, Instant};

use common::{harness, pool, set_up, tagged, wish};
use dpdk::port::{Refusal, SetUp, Wish, plan};
use dpdk::vdev::AfPacket;
use dpdk::{Burst, Pool, Vdev, port};

/// Two namespaces and a veth pair, `out` in the peer's and `near` in ours; gone when dropped.
struct Lab {
    peer: String,
    ours: String,
}

impl Lab {
    fn new(tag: &str) -> Option<Self> {
        // SAFETY: no arguments, cannot fail.
        if unsafe { libc::geteuid() } != 0 || Command::new("ip").arg("-V").output().is_err() {
            eprintln!("skipped: needs root and iproute2");
            return None;
        }
        let name = |side: &str| format!("{tag}{side}{}", std::process::id());
        let lab = Lab { peer: name("p"), ours: name("o") };
        ip(&format!("netns add {}", lab.peer));
        ip(&format!("netns add {}", lab.ours));
        ip(&format!("link add out netns {} type veth peer name near netns {}", lab.peer, lab.ours));
        for (space, link) in [(&lab.peer, "out"), (&lab.ours, "near")] {
            // A quiet link: no router solicitations, no duplicate address detection.
            ip(&format!("-n {space} link set {link} addrgenmode none"));
            ip(&format!("-n {space} link set {link} up"));
        }
        Some(lab)
    }

    fn mtu(&self, mtu: u32) {
        ip(&format!("-n {} link set out mtu {mtu}", self.peer));
        ip(&format!("-n {} link set near mtu {mtu}", self.ours));
    }

    /// A packet socket at the far end of the pair.
    fn far_end(&self) -> FarEnd {
        inside(&self.peer, || FarEnd::open("out"))
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for space in [&self.peer, &self.ours] {
            let _ = Command::new("ip").args(["netns", "del", space]).status();
        }
    }
}

fn ip(arguments: &str) {
    let output = Command::new("ip").args(arguments.split(' ')).output().unwrap();
    assert!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Runs `work` on a thread of its own inside namespace `space`.
fn inside<T: Send>(space: &str, work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let file = File::open(format!("/run/netns/{space}")).unwrap();
            // SAFETY: an open namespace file; changes this thread only.
            assert_eq!(unsafe { libc::setns(file.as_raw_fd(), libc::CLONE_NEWNET) }, 0);
            work()
        });
        thread.join().unwrap()
    })
}

/// Raw frames in and out of an interface.
struct FarEnd(OwnedFd);

impl FarEnd {
    fn open(iface: &str) -> Self {
        let all = (libc::ETH_P_ALL as u16).to_be();
        // SAFETY: no pointers.
        let raw =
            unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_NONBLOCK, i32::from(all)) };
        assert!(raw >= 0);
        // SAFETY: just opened, owned by nobody else.
        let socket = unsafe { OwnedFd::from_raw_fd(raw) };
        let name = std::ffi::CString::new(iface).unwrap();
        // SAFETY: zero is a value of this plain structure.
        let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = all;
        // SAFETY: a NUL-terminated name.
        address.sll_ifindex = unsafe { libc::if_nametoindex(name.as_ptr()) } as i32;
        // SAFETY: `address` is read for its own size.
        let bound =
            unsafe { libc::bind(raw, (&raw const address).cast(), size_of::<libc::sockaddr_ll>() as u32) };
        assert_eq!(bound, 0);
        FarEnd(socket)
    }

    fn send(&self, frame: &[u8]) {
        // SAFETY: reads `frame`.
        let sent = unsafe { libc::send(self.0.as_raw_fd(), frame.as_ptr().cast(), frame.len(), 0) };
        assert_eq!(sent, frame.len() as isize, "{}", std::io::Error::last_os_error());
    }

    /// The next frame that is not one of our own, if it comes in time.
    fn receive(&self) -> Option<Vec<u8>> {
        let mut buffer = vec![0; 70_000];
        let until = Instant::now() + Duration::from_secs(5);
        while Instant::now() < until {
            // SAFETY: writes at most its length to `buffer`.
            let got = unsafe { libc::recv(self.0.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), 0) };
            if let Ok(len) = usize::try_from(got)
                && buffer[..6] == [2; 6]
            {
                return Some(buffer[..len].to_vec());
            }
        }
        None
    }
}

/// An Ethernet frame to address 0a:0a:.. or, for the far end, 02:02:.., of `len` octets.
fn frame(to: u8, kind: [u8; 2], len: usize) -> Vec<u8> {
    let mut frame = vec![to; 6];
    frame.extend([6; 6]);
    frame.extend(kind);
    frame.extend((frame.len()..len).map(|n| n as u8));
    frame
}

/// A kind of frame that the kernel knows nothing of.
const PRIVATE: [u8; 2] = [0x88, 0xb5];

fn af_packet(suffix: &str, queues: u16) -> Vdev {
    let options = AfPacket { iface: "near", queues, max_frame: 1522, frames: 256, qdisc_bypass: false };
    Vdev::af_packet(suffix, &options).unwrap()
}

fn port_inside(lab: &Lab, suffix: &str, queues: u16, pool: Pool<u64>) -> SetUp<u64> {
    inside(&lab.ours, || set_up(harness().eal.probe(&af_packet(suffix, queues)).unwrap(), queues, pool, None))
}

/// Polls all queues until `count` frames came or time is up.
fn arrivals(up: &mut SetUp<u64>, count: usize) -> Vec<Vec<u8>> {
    let until = Instant::now() + Duration::from_secs(5);
    let mut frames = Vec::new();
    while frames.len() < count && Instant::now() < until {
        for queue in &mut up.rx {
            let mut burst = Burst::new();
            queue.receive(&mut burst, 64);
            frames.extend(burst.drain(..).map(|mbuf| mbuf.data().to_vec()));
        }
    }
    frames
}

#[test]
fn a_port_made_inside_a_namespace_is_polled_from_outside() {
    let Some(lab) = Lab::new("a") else { return };
    let pool = pool("inside", 512, 2048);
    let outside = harness().eal.probe(&af_packet("nowhere", 1));
    assert!(matches!(outside, Err(port::Error::Interface { .. })), "the interface is not in this namespace");

    let mut up = port_inside(&lab, "inside", 1, pool);
    let far = lab.far_end();
    let sizes = [60, 61, 128, 1500, 1514];
    sizes.iter().for_each(|len| far.send(&frame(10, PRIVATE, *len)));
    let frames = arrivals(&mut up, sizes.len());
    assert_eq!(frames, sizes.map(|len| frame(10, PRIVATE, len)));

    let mut burst = Burst::new();
    burst.push(tagged(&pool, 0, &frame(2, PRIVATE, 1514)));
    assert_eq!(up.tx[0].send(&mut burst), 1);
    assert_eq!(far.receive(), Some(frame(2, PRIVATE, 1514)));
    assert!(up.port.link().unwrap().up);
    assert_eq!(up.port.counters().unwrap().rx_packets, 5);
    drop(up);
    assert!(pool.is_full());
}

#[test]
fn a_vlan_tag_arrives_in_the_frame() {
    let Some(lab) = Lab::new("v") else { return };
    let pool = pool("vlan", 512, 2048);
    let mut up = port_inside(&lab, "vlan", 1, pool);
    let mut tagged = frame(10, [0x81, 0x00], 100);
    tagged[14..18].copy_from_slice(&[0x00, 0x2a, PRIVATE[0], PRIVATE[1]]);
    lab.far_end().send(&tagged);
    assert_eq!(arrivals(&mut up, 1), [tagged]);
    drop(up);
    assert!(pool.is_full());
}

#[test]
fn a_frame_cut_by_the_kernel_is_dropped_and_counted() {
    let Some(lab) = Lab::new("t") else { return };
    let pool = pool("cut", 512, 2048);
    let mut up = port_inside(&lab, "cut", 1, pool);
    lab.mtu(3000);
    let far = lab.far_end();
    // framesz 2048 leaves 1982 octets: the first is whole, the others fill their slot.
    [1981, 1982, 1983, 3014, 60].iter().for_each(|len| far.send(&frame(10, PRIVATE, *len)));
    let frames = arrivals(&mut up, 2);
    assert_eq!(frames, [frame(10, PRIVATE, 1981), frame(10, PRIVATE, 60)]);
    assert_eq!(up.rx[0].drops().truncated, 3);
    drop(up);
    assert!(pool.is_full());
}

#[test]
fn jumbo_frames_pass_when_ring_and_buffers_are_made_for_them() {
    let Some(lab) = Lab::new("j") else { return };
    lab.mtu(9000);
    let options = AfPacket { iface: "near", queues: 1, max_frame: 9022, frames: 64, qdisc_bypass: true };
    let vdev = Vdev::af_packet("jumbo", &options).unwrap();
    let room = u16::try_from(vdev.kernel_ring().unwrap().copies).unwrap();
    let pool = pool("jumbos", 256, room);
    let mut up = inside(&lab.ours, || {
        let device = harness().eal.probe(&vdev).unwrap();
        let wish = Wish { mtu: 9000, ..wish(1) };
        let plan = plan(&device.info().unwrap(), &wish, room).unwrap();
        device.set_up(&plan, pool, None).unwrap()
    });
    let far = lab.far_end();
    // More than the ring has slots, so that it wraps.
    for n in 0..100 {
        let sent = frame(10, PRIVATE, 9014 - n);
        far.send(&sent);
        assert_eq!(arrivals(&mut up, 1), [sent]);
        let mut burst = Burst::new();
        burst.push(tagged(&pool, 0, &frame(2, PRIVATE, 9014 - n)));
        assert_eq!(up.tx[0].send(&mut burst), 1);
        assert_eq!(far.receive(), Some(frame(2, PRIVATE, 9014 - n)));
    }
    drop(up);
    assert!(pool.is_full());
}

/// The trap that `vdev.rs` warns of: a neighbour's UDP checksum is unfinished unless it turned its offload off.
#[test]
fn a_local_neighbour_sends_unfinished_checksums_unless_told_not_to() {
    let Some(lab) = Lab::new("c") else { return };
    if Command::new("ethtool").arg("--version").output().is_err() {
        eprintln!("skipped: needs ethtool");
        return;
    }
    let pool = pool("sums", 512, 2048);
    let mut up = port_inside(&lab, "sums", 1, pool);
    ip(&format!("-n {} addr add 198.18.0.1/24 dev out", lab.peer));
    ip(&format!("-n {} neigh add 198.18.0.2 lladdr 0a:0a:0a:0a:0a:0a dev out", lab.peer));
    let mut udp = || {
        inside(&lab.peer, || {
            let socket = std::net::UdpSocket::bind("198.18.0.1:1000").unwrap();
            socket.send_to(b"a datagram", "198.18.0.2:2000").unwrap();
        });
        arrivals(&mut up, 1).remove(0)
    };
    assert_ne!(udp_sum(&udp()), 0xffff);
    let off = ["netns", "exec", &lab.peer, "ethtool", "-K", "out", "tx", "off"];
    assert!(Command::new("ip").args(off).output().unwrap().status.success());
    assert_eq!(udp_sum(&udp()), 0xffff);
    drop(up);
    assert!(pool.is_full());
}

/// One's complement sum over the pseudo-header and the datagram: 0xffff when the checksum is right.
fn udp_sum(frame: &[u8]) -> u16 {
    let datagram = &frame[34..];
    let mut octets = frame[26..34].to_vec();
    octets.extend([0, 17, 0, datagram.len() as u8]);
    octets.extend(datagram);
    let sum: u32 = octets.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    ((sum & 0xffff) + (sum >> 16)) as u16
}

#[test]
fn an_interface_whose_frames_the_ring_cannot_hold_is_refused() {
    let Some(lab) = Lab::new("r") else { return };
    lab.mtu(3000);
    inside(&lab.ours, || {
        let device = harness().eal.probe(&af_packet("refused", 1)).unwrap();
        let refusal = plan(&device.info().unwrap(), &wish(1), 2048).unwrap_err();
        assert!(
            matches!(refusal, Refusal::KernelRing { kernel: 3000, need: 3022, max_frame: 1522, .. }),
            "{refusal}"
        );
    });
}

#[test]
fn the_kernel_reassembles_ipv4_fragments_before_we_see_them() {
    let Some(lab) = Lab::new("f") else { return };
    let pool = pool("fragments", 512, 2048);
    let mut up = port_inside(&lab, "frag", 1, pool);
    let far = lab.far_end();
    let (first, second) = (fragment(0x2000, 64), fragment(8, 32));
    far.send(&first);
    far.send(&second);
    let frames = arrivals(&mut up, 1);
    assert_eq!(frames.len(), 1);
    assert_eq!(u16::from_be_bytes([frames[0][16], frames[0][17]]), 20 + 64 + 32, "one whole datagram");
    drop(up);
    assert!(pool.is_full());
}

/// An Ethernet frame with an IPv4 fragment of `len` octets of payload; `field` is flags and offset.
fn fragment(field: u16, len: u16) -> Vec<u8> {
    let mut header = vec![0x45, 0];
    header.extend((20 + len).to_be_bytes());
    header.extend([0x12, 0x34]);
    header.extend(field.to_be_bytes());
    header.extend([64, 253, 0, 0, 198, 18, 0, 1, 198, 18, 0, 2]);
    let sum: u32 = header.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    let mut bytes = frame(10, [8, 0], 14);
    bytes.extend(header);
    bytes.extend(vec![7; usize::from(len)]);
    bytes
}

#[test]
fn two_queues_share_the_flows_of_one_interface() {
    let Some(lab) = Lab::new("q") else { return };
    let pool = pool("flows", 1024, 2048);
    let mut up = port_inside(&lab, "flows", 2, pool);
    assert_eq!((up.rx.len(), up.tx.len()), (2, 2));
    let far = lab.far_end();
    (0..32).for_each(|n| far.send(&datagram(n)));
    assert_eq!(arrivals(&mut up, 32).len(), 32, "each frame on exactly one queue");
    assert_eq!(up.port.counters().unwrap().rx_packets, 32);
    drop(up);
    assert!(pool.is_full());
}

/// A UDP datagram from port 1000 + `n`.
fn datagram(n: u16) -> Vec<u8> {
    let mut bytes = fragment(0, 28);
    bytes[23] = 17;
    bytes[24..26].fill(0);
    let sum: u32 =
        bytes[14..34].chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
    bytes[24..26].copy_from_slice(&sum.to_be_bytes());
    bytes[34..36].copy_from_slice(&(1000 + n).to_be_bytes());
    bytes[38..42].copy_from_slice(&[0, 28, 0, 0]);
    bytes
}

#[test]
fn a_frame_longer_than_the_link_allows_vanishes_and_is_freed() {
    let Some(lab) = Lab::new("l") else { return };
    let pool = pool("long", 512, 2048);
    let mut up = port_inside(&lab, "long", 1, pool);
    let far = lab.far_end();
    let mut burst = Burst::new();
    for len in [1600, 2040, 60] {
        burst.push(tagged(&pool, 0, &frame(2, PRIVATE, len)));
    }
    assert_eq!(up.tx[0].send(&mut burst), 3, "the driver claims all of them");
    assert_eq!(far.receive().map(|frame| frame.len()), Some(60));
    drop((up, burst));
    assert!(pool.is_full());
}
