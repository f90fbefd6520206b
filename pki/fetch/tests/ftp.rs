//! FTP against a server that does as each test says: over IPv4 and IPv6.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::io::Write;
use std::net::{IpAddr, TcpListener, TcpStream};
use std::sync::mpsc;

use crate::common::{BOTH, SHORT, Server, black_hole, fetcher, get, get_soon, nobody, read_line};
use ravelin_fetch::error::Size;
use ravelin_fetch::url::Credentials;
use ravelin_fetch::{FetchError, Request, Source, Stage, Url};

/// How a server tells where its data is.
#[derive(Clone, Copy, PartialEq)]
enum Passive {
    /// 229, the port alone.
    Extended,
    /// EPSV is unknown; 227 names a host of its own choice.
    Astray,
}

/// Serves one session: greets, takes any login but a wrong password, and `give`s the file `crl/root.crl`.
fn serve(mut stream: TcpStream, passive: Passive, give: impl Fn(TcpStream) -> &'static str) {
    let listener = TcpListener::bind((stream.local_addr().unwrap().ip(), 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut reader = stream.try_clone().unwrap();
    let mut say = |text: &str| stream.write_all(format!("{text}\r\n").as_bytes()).is_ok();
    let mut goes_on = say("220-welcome\r\n220 ready");
    while goes_on {
        let line = read_line(&mut reader);
        goes_on = match line.split(' ').next().unwrap() {
            "USER" => say("331 and the password?"),
            "PASS" if line.ends_with("wrong") => say("530 Login incorrect."),
            "PASS" => say("230 welcome"),
            "TYPE" => say("200 binary"),
            "EPSV" if passive == Passive::Extended => say(&format!("229 go on (|||{port}|)")),
            "PASV" => say(&format!("227 go on (192,0,2,1,{},{})", port >> 8, port & 0xff)),
            "RETR" if line == "RETR crl/root.crl" => {
                say("150 here") && {
                    let reply = give(listener.accept().unwrap().0);
                    say(reply)
                }
            }
            "RETR" => say("550 Failed to open file."),
            "" => false,
            _ => say("500 what?"),
        };
    }
}

fn server(
    ip: IpAddr,
    passive: Passive,
    give: impl Fn(TcpStream) -> &'static str + Clone + Send + Sync + 'static,
) -> Server {
    Server::start(ip, move |stream| serve(stream, passive, give.clone()))
}

fn content(mut data: TcpStream) -> &'static str {
    data.write_all(b"content").unwrap();
    "226 done"
}

/// A guest gets the file, and a known user too.
#[test]
fn content_comes() {
    for ip in BOTH {
        let server = server(ip, Passive::Extended, content);
        let fetched = fetcher().fetch(get(server.url("ftp", "/crl/root.crl"))).unwrap();
        assert_eq!(fetched.bytes, b"content");
        let url = server.url("ftp", "/crl/root.crl").to_string();
        assert_eq!(fetched.from, Source::Server { url, address: server.address });
        let known = Url::parse(&format!("ftp://me:right@{}/crl/root.crl;type=i", server.address)).unwrap();
        assert_eq!(fetcher().fetch(get(known)).unwrap().bytes, b"content");
        let credentials = Some(Credentials { user: "me".into(), password: "wrong".into() });
        let refused = fetcher().fetch(Request { credentials, ..get(server.url("ftp", "/crl/root.crl")) });
        assert_eq!(refused, Err(FetchError::Status { code: 530, text: "Login incorrect.".into() }));
        let missing = fetcher().fetch(get(server.url("ftp", "/other")));
        assert_eq!(missing, Err(FetchError::Status { code: 550, text: "Failed to open file.".into() }));
    }
}

/// A server that names another host for its data is asked itself: it cannot send us anywhere.
#[test]
fn data_comes_from_the_server() {
    let server = server(BOTH[0], Passive::Astray, content);
    assert_eq!(fetcher().fetch(get(server.url("ftp", "/crl/root.crl"))).unwrap().bytes, b"content");
}

/// Dead, silent at the greeting, silent in the middle of the file.
#[test]
fn the_deadline_holds() {
    for ip in BOTH {
        let address = nobody(ip);
        let dead = Url::parse(&format!("ftp://{address}/a")).unwrap();
        assert_eq!(fetcher().fetch(get(dead)), Err(FetchError::Refused(address)));
        let silent = Server::start(ip, black_hole);
        let error = fetcher().fetch(get_soon(silent.url("ftp", "/a"))).unwrap_err();
        assert_eq!(error, FetchError::TimedOut { stage: Stage::Answer, deadline: SHORT });
        let halting = server(ip, Passive::Extended, |mut data| {
            data.write_all(b"half").unwrap();
            black_hole(data);
            "226 done"
        });
        let error = fetcher().fetch(get_soon(halting.url("ftp", "/crl/root.crl"))).unwrap_err();
        assert_eq!(error, FetchError::TimedOut { stage: Stage::Body, deadline: SHORT });
    }
}

/// Data without end ends at the cap, a reply without end at suppaftp's, and the connections with it.
#[test]
fn the_cap_holds() {
    for ip in BOTH {
        let (sender, ended) = mpsc::channel();
        let endless = server(ip, Passive::Extended, move |mut data| {
            while data.write_all(&[0; 1000]).is_ok() {}
            sender.send(()).unwrap();
            "226 done"
        });
        let error = fetcher().fetch(get(endless.url("ftp", "/crl/root.crl"))).unwrap_err();
        assert_eq!(error, FetchError::TooLarge { announced: Size::AtLeast(1001), cap: 1000 });
        ended.recv().unwrap();
        let talking = Server::start(ip, |mut stream| while stream.write_all(b"220-and on\r\n").is_ok() {});
        let error = fetcher().fetch(get(talking.url("ftp", "/a"))).unwrap_err();
        assert!(matches!(error, FetchError::Malformed { .. }), "{error}");
    }
}

/// Data that ended is content only if the server says that it was all.
#[test]
fn the_server_has_the_last_word() {
    for ip in BOTH {
        let failing = server(ip, Passive::Extended, |mut data| {
            data.write_all(b"half").unwrap();
            "426 Failure reading file."
        });
        let error = fetcher().fetch(get(failing.url("ftp", "/crl/root.crl"))).unwrap_err();
        assert_eq!(error, FetchError::Status { code: 426, text: "Failure reading file.".into() });
    }
}

/// A line break in a name would be a command of its own; and a directory is no file.
#[test]
fn names_are_one_line() {
    let server = server(BOTH[0], Passive::Extended, content);
    for path in ["/a%0d%0aDELE%20b", "/", "/a?b", "/a;type=a"] {
        let error = fetcher().fetch(get(server.url("ftp", path))).unwrap_err();
        assert!(matches!(error, FetchError::BadUrl(_) | FetchError::BadTarget { .. }), "{error}");
    }
    assert_eq!(server.connections(), 0);
}
