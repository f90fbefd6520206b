//! `ravelin capture` and `ravelin trace`: single packets, as they pass.

use std::io::Write;
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use ravelin_control::api::client::{CallError, Connection};
use ravelin_control::api::reply::{SeenPacket, TapPage};
use ravelin_control::api::request::{TapBegin, TapRead};
use ravelin_control::api::{Reply, Request, render};
use ravelin_control::tap::pcapng;

/// Which packets.
#[derive(Args)]
struct Which {
    /// Only packets of this tunnel.
    #[arg(long, short)]
    tunnel: Option<String>,
    /// Only packets that came in or leave by this interface.
    #[arg(long, short)]
    interface: Option<String>,
    /// Only packets from or to this address.
    #[arg(long)]
    host: Option<IpAddr>,
    /// End after this time: seconds, or a number with s, m or h; at most an hour.
    #[arg(long = "for", default_value = "60s", value_parser = super::seconds)]
    time: u64,
}

#[derive(Args)]
pub(super) struct Trace {
    #[command(flatten)]
    which: Which,
    /// End after so many packets.
    #[arg(long, short = 'n', default_value_t = 20)]
    packets: u64,
}

#[derive(Args)]
pub(super) struct Capture {
    #[command(flatten)]
    which: Which,
    /// What of them: as hosts see them, as ESP, both, or frames as interfaces have them.
    #[arg(long, value_enum, default_value_t = Side::Encrypted)]
    side: Side,
    /// Write a pcapng file, that only you may read; `-`: to standard output. Without it a line is printed for each packet.
    #[arg(long, short)]
    write: Option<PathBuf>,
    /// End after so many packets.
    #[arg(long, short = 'n', default_value_t = 10_000)]
    packets: u64,
    /// End after so many octets of copies.
    #[arg(long, default_value_t = 64 << 20)]
    octets: u64,
    /// Octets of each packet.
    #[arg(long, default_value_t = 65_535)]
    snap: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Side {
    Clear,
    Encrypted,
    Both,
    Wire,
}

impl Side {
    fn words(self) -> Vec<String> {
        let words: &[&str] = match self {
            Side::Clear => &["clear"],
            Side::Encrypted => &["encrypted"],
            Side::Both => &["clear", "encrypted"],
            Side::Wire => &["wire"],
        };
        words.iter().map(|word| (*word).to_owned()).collect()
    }
}

fn begin(which: &Which, sides: Vec<String>, packets: u64, octets: u64, snap: usize) -> TapBegin {
    let Which { tunnel, interface, host, time } = which;
    let (tunnel, interface) = (tunnel.clone(), interface.clone());
    TapBegin { sides, tunnel, interface, host: *host, packets, octets, seconds: *time, snap }
}

pub(super) fn trace(socket: &Path, json: bool, trace: &Trace) -> ExitCode {
    let begin = begin(&trace.which, Vec::new(), trace.packets, 1, 64);
    run(socket, begin, |packet| print(packet, json))
}

pub(super) fn capture(socket: &Path, json: bool, capture: &Capture) -> ExitCode {
    let Capture { which, side, write, packets, octets, snap } = capture;
    let begin = begin(which, side.words(), *packets, *octets, *snap);
    let Some(path) = write else { return run(socket, begin, |packet| print(packet, json)) };
    let file = open(path).and_then(|file| pcapng::Writer::new(file).map_err(std::io::Error::other));
    match file {
        Ok(mut file) => run(socket, begin, |packet| file.packet(packet).map_err(std::io::Error::other)),
        Err(why) => {
            eprintln!("ravelin: {}: {why}", path.display());
            ExitCode::FAILURE
        }
    }
}

/// Where the file goes. There may be plaintext in it.
fn open(path: &Path) -> std::io::Result<Box<dyn Write>> {
    if path.as_os_str() == "-" {
        return Ok(Box::new(std::io::stdout()));
    }
    let mut options = std::fs::OpenOptions::new();
    Ok(Box::new(options.write(true).create(true).truncate(true).mode(0o600).open(path)?))
}

fn print(packet: &SeenPacket, json: bool) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    match json {
        true => writeln!(out, "{}", serde_json::to_string(packet).unwrap_or_default()),
        false => writeln!(out, "{}", render::tap::packet(packet)),
    }
}

/// Begins a tap and takes its packets until it ends.
fn run(socket: &Path, begin: TapBegin, take: impl FnMut(&SeenPacket) -> std::io::Result<()>) -> ExitCode {
    match follow(socket, begin, take) {
        Ok((packets, page)) => {
            eprintln!("{packets} packets, {} lost: {}", page.lost, page.ended.unwrap_or_default());
            ExitCode::SUCCESS
        }
        Err(error) => super::failed(&error),
    }
}

fn follow(
    socket: &Path,
    begin: TapBegin,
    mut take: impl FnMut(&SeenPacket) -> std::io::Result<()>,
) -> Result<(usize, TapPage), CallError> {
    let mut connection = Connection::open(socket)?;
    let Reply::TapBegun { tap } = connection.call(&Request::TapBegin(begin))? else {
        return Ok(Default::default());
    };
    let (read, mut packets) = (Request::TapRead(TapRead { tap, wait_ms: 1000 }), 0);
    loop {
        let Reply::TapPage(page) = connection.call(&read)? else { return Ok(Default::default()) };
        if let Err(why) = page.packets.iter().try_for_each(&mut take) {
            // Who reads us has gone, or the disk is full: what was written stays.
            let ended = Some(why.to_string());
            connection.call(&Request::TapEnd(ravelin_control::api::request::TapEnd { tap }))?;
            return Ok((packets, TapPage { ended, ..page }));
        }
        packets += page.packets.len();
        if page.ended.is_some() {
            return Ok((packets, page));
        }
    }
}
