//! TFTP against a server that answers as each test says: over IPv4 and IPv6.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::thread;

use crate::common::{BOTH, SHORT, fetcher, get, get_soon};
use ravelin_fetch::error::Size;
use ravelin_fetch::{FetchError, Stage, Url};

/// A server's port, and its answers from a port of their own.
struct Session {
    own: UdpSocket,
    client: SocketAddr,
    request: Vec<u8>,
}

impl Session {
    fn say(&self, packet: &[&[u8]]) {
        self.own.send_to(&packet.concat(), self.client).unwrap();
    }

    /// The client's next packet.
    fn hear(&self) -> Vec<u8> {
        let mut packet = [0; 2000];
        let octets = self.own.recv(&mut packet).unwrap();
        packet[..octets].to_vec()
    }
}

/// Passes over `deaf` requests, then answers the next.
fn server(ip: IpAddr, deaf: usize, answer: impl FnOnce(Session) + Send + 'static) -> Url {
    let socket = UdpSocket::bind((ip, 0)).unwrap();
    let url = Url::parse(&format!("tftp://{}/root.crl", socket.local_addr().unwrap())).unwrap();
    thread::spawn(move || {
        let mut packet = [0; 2000];
        for _ in 0..deaf {
            socket.recv_from(&mut packet).unwrap();
        }
        let (octets, client) = socket.recv_from(&mut packet).unwrap();
        let own = UdpSocket::bind((ip, 0)).unwrap();
        answer(Session { own, client, request: packet[..octets].to_vec() });
        // Kept open, so that what comes late meets a port and not a refusal.
        let _ = socket.recv_from(&mut packet);
    });
    url
}

/// With options and without them, and what the client says meanwhile.
#[test]
fn content_comes() {
    for ip in BOTH {
        let agreeing = server(ip, 0, |session| {
            assert_eq!(session.request, b"\0\x01root.crl\0octet\0blksize\x001428\0tsize\x000\0");
            session.say(&[b"\0\x06blksize\x001000\0tsize\x001000\0"]);
            assert_eq!(session.hear(), b"\0\x04\0\0");
            session.say(&[b"\0\x03\0\x01", &[1; 1000]]);
            assert_eq!(session.hear(), b"\0\x04\0\x01");
            session.say(&[b"\0\x03\0\x02"]);
            assert_eq!(session.hear(), b"\0\x04\0\x02");
        });
        assert_eq!(fetcher().fetch(get(agreeing)).unwrap().bytes, [1; 1000]);
        let plain = server(ip, 0, |session| session.say(&[b"\0\x03\0\x01content"]));
        assert_eq!(fetcher().fetch(get(plain)).unwrap().bytes, b"content");
    }
}

/// A lost request and a lost acknowledgement are said again; a stranger's packet is nobody's.
#[test]
fn losses_are_mended() {
    for ip in BOTH {
        let url = server(ip, 1, move |session| {
            session.say(&[b"\0\x03\0\x01", &[1; 512]]);
            session.hear();
            let stranger = UdpSocket::bind((ip, 0)).unwrap();
            stranger.send_to(b"\0\x03\0\x02forged", session.client).unwrap();
            session.say(&[b"\0\x03\0\x01", &[1; 512]]);
            assert_eq!(session.hear(), b"\0\x04\0\x01", "the same again, for it was lost");
            session.say(&[b"\0\x03\0\x02true"]);
        });
        assert_eq!(fetcher().fetch(get(url)).unwrap().bytes, [vec![1; 512], b"true".to_vec()].concat());
    }
}

/// The server's refusal, and the cap by announcement and by count; the server is told to stop.
#[test]
fn refusals_and_the_cap() {
    for ip in BOTH {
        let missing = server(ip, 0, |session| session.say(&[b"\0\x05\0\x01File not found\0"]));
        let missing = fetcher().fetch(get(missing)).unwrap_err();
        assert_eq!(missing, FetchError::Status { code: 1, text: "File not found".into() });
        let announced = server(ip, 0, |session| {
            session.say(&[b"\0\x06tsize\x001001\0"]);
            assert!(session.hear().starts_with(b"\0\x05"));
        });
        let error = fetcher().fetch(get(announced)).unwrap_err();
        assert_eq!(error, FetchError::TooLarge { announced: Size::Announced(1001), cap: 1000 });
        let endless = server(ip, 0, |session| {
            for number in 1_u16.. {
                session.say(&[b"\0\x03", &number.to_be_bytes(), &[0; 512]]);
                if session.hear().starts_with(b"\0\x05") {
                    break;
                }
            }
        });
        let error = fetcher().fetch(get(endless)).unwrap_err();
        assert_eq!(error, FetchError::TooLarge { announced: Size::AtLeast(1024), cap: 1000 });
    }
}

/// Silence, at once and in the middle.
#[test]
fn the_deadline_holds() {
    for ip in BOTH {
        let silent = server(ip, 1, |_| ());
        let error = fetcher().fetch(get_soon(silent)).unwrap_err();
        assert_eq!(error, FetchError::TimedOut { stage: Stage::Answer, deadline: SHORT });
        let halting = server(ip, 0, |session| session.say(&[b"\0\x03\0\x01", &[1; 512]]));
        let error = fetcher().fetch(get_soon(halting)).unwrap_err();
        assert_eq!(error, FetchError::TimedOut { stage: Stage::Body, deadline: SHORT });
    }
}
