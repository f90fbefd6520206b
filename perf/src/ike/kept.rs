//! What becomes of tunnels after their setup: who was rekeyed, who was asked whether it lives, and whether a few that carry
//! packets all the while lose any.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant as Clock};

use anyhow::Result;
use ravelin_ike::config::ConnectionId;
use ravelin_ike::error::Failure;
use ravelin_ike::event::Event;
use ravelin_ike::id::ChildSaId;
use ravelin_ike::input::Datagram;
use ravelin_ike::want::{InstallChild, Path};
use serde::Serialize;

use super::probe::Probe;

/// Tunnels that carry packets.
pub const FLOWS: u32 = 16;
/// Their echo requests have identifiers of their own, and numbers beyond those of the setup's.
const OTHERS: u16 = 0x8000;
const SETUP: u32 = 1000;
/// From a packet of one of them to its next.
const PACE: Duration = Duration::from_millis(50);
/// An answer may be under way so long when all is over.
pub const PATIENCE: Duration = Duration::from_secs(1);
/// SAs of one tunnel on which answers may still come.
const GENERATIONS: usize = 4;
/// Octets of an empty message under AES-GCM: the headers of IKE and of SK, IV, padding and ICV (RFC 7296 §3.14).
const EMPTY: usize = 28 + 4 + 8 + 1 + 16;

/// The life of tunnels after their setup.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Kept {
    /// Seconds from the last setup to the end.
    pub seconds: f64,
    /// CHILD_SAs replaced.
    pub child_rekeys: u64,
    /// IKE SAs replaced.
    pub ike_rekeys: u64,
    /// Tunnels whose CHILD_SA was replaced.
    pub child_rekeyed: usize,
    /// Tunnels whose IKE SA was.
    pub ike_rekeyed: usize,
    /// Tunnels that were asked whether they live (RFC 7296 §2.4), or carried packets meanwhile and need not be.
    pub known_alive: usize,
    /// Packets through those that carry some, and their answers.
    pub packets_sent: u64,
    /// See `packets_sent`.
    pub packets_received: u64,
    /// CHILD_SAs that ended without a successor, and IKE SAs.
    pub lost: u64,
    /// Why, each with its count.
    pub endings: BTreeMap<String, u64>,
    /// Rekeys that failed; they are tried again.
    pub failed_rekeys: u64,
}

impl Kept {
    /// For people.
    pub fn text(&self) -> String {
        let Kept { seconds, child_rekeys, ike_rekeys, lost, failed_rekeys, .. } = self;
        let mut text = format!(
            "  kept for {seconds:.0} s: {child_rekeys} CHILD_SAs of {} tunnels and {ike_rekeys} IKE SAs of {} rekeyed, \
             {failed_rekeys} rekeys failed, {lost} SAs lost, {} known to live; {} packets sent meanwhile, {} back\n",
            self.child_rekeyed, self.ike_rekeyed, self.known_alive, self.packets_sent, self.packets_received,
        );
        for (ending, count) in &self.endings {
            let _ = writeln!(text, "    {count} {ending}");
        }
        text
    }
}

/// A tunnel that carries packets, over its rekeys: the newest SA last. What the peer rekeys it sends by before we do.
struct Flow {
    sas: VecDeque<Sa>,
    sends: Option<ChildSaId>,
    next: Clock,
}

struct Sa {
    child: ChildSaId,
    spi_in: u32,
    path: Path,
    probe: Probe,
}

/// Looks after tunnels that are up.
#[derive(Default)]
pub struct Keeper {
    kept: Kept,
    child: HashSet<ConnectionId>,
    ike: HashSet<ConnectionId>,
    asked: HashSet<IpAddr>,
    flows: HashMap<ConnectionId, Flow>,
}

impl Keeper {
    /// Takes note of what happened to a tunnel that was up.
    pub fn note(&mut self, event: &Event) {
        match event {
            Event::ChildFailed { rekey_of: Some(_), .. } | Event::IkeRekeyFailed { .. } => {
                self.kept.failed_rekeys += 1;
            }
            Event::IkeDown { reason, .. } => self.lost("IKE SA", reason),
            Event::ChildDown { reason, .. } => self.lost("CHILD_SA", reason),
            Event::ChildRekeyed { new, .. } => {
                self.kept.child_rekeys += 1;
                self.child.insert(new.connection);
            }
            Event::IkeRekeyed { connection, .. } => {
                self.kept.ike_rekeys += 1;
                self.ike.insert(*connection);
            }
            _ => {}
        }
    }

    fn lost(&mut self, what: &str, reason: &Failure) {
        self.kept.lost += 1;
        *self.kept.endings.entry(format!("{what}: {}", reason.code())).or_default() += 1;
    }

    /// An empty INFORMATIONAL request asks whether we live.
    pub fn heard(&mut self, datagram: &Datagram) {
        let asks = |octets: &[u8]| {
            octets.get(18) == Some(&37) && octets.get(19).is_some_and(|flags| flags & 0x20 == 0)
        };
        if datagram.bytes.len() == EMPTY && asks(&datagram.bytes) {
            self.asked.insert(datagram.local.ip());
        }
    }

    /// Whether this tunnel is one of those that carry packets.
    pub fn carries(connection: ConnectionId) -> bool {
        connection.0 < FLOWS
    }

    /// It receives by this SA from now on.
    ///
    /// # Errors
    /// When nothing can be sent on it.
    pub fn receives(&mut self, install: &InstallChild, target: Ipv4Addr) -> Result<()> {
        let InstallChild { connection, child, spi_in, path, .. } = *install;
        // The packet of the setup went by the same key.
        let probe = Probe::new(install, target, connection.0 as u16 | OTHERS)?.going_on_from(SETUP);
        let fresh = || Flow { sas: VecDeque::new(), sends: None, next: Clock::now() };
        let flow = self.flows.entry(connection).or_insert_with(fresh);
        flow.sas.push_back(Sa { child, spi_in, path, probe });
        if flow.sas.len() > GENERATIONS {
            flow.sas.pop_front();
        }
        Ok(())
    }

    /// It sends by this SA from now on, if it is one of those that carry packets.
    pub fn sends(&mut self, connection: ConnectionId, child: ChildSaId) {
        if let Some(flow) = self.flows.get_mut(&connection) {
            flow.sends = Some(child);
        }
    }

    /// The packets whose time has come, with their ways.
    ///
    /// # Errors
    /// When one cannot be sealed.
    pub fn due(&mut self) -> Result<Vec<(Path, Vec<u8>)>> {
        let now = Clock::now();
        let mut due = Vec::new();
        for flow in self.flows.values_mut().filter(|flow| flow.next <= now) {
            let sends = flow.sends;
            let Some(sa) = flow.sas.iter_mut().find(|sa| Some(sa.child) == sends) else { continue };
            flow.next = now + PACE;
            self.kept.packets_sent += 1;
            due.push((sa.path, sa.probe.request()?));
        }
        Ok(due)
    }

    /// Counts an answer to one of them.
    pub fn answered(&mut self, spi: u32, packet: &[u8]) {
        let mut sas = self.flows.values().flat_map(|flow| &flow.sas);
        if sas.any(|sa| sa.spi_in == spi && sa.probe.is_reply(packet)) {
            self.kept.packets_received += 1;
        }
    }

    /// What became of them all, so long after the last setup.
    pub fn kept(&self, seconds: f64) -> Kept {
        let carrying = self.flows.values().filter_map(|flow| Some(flow.sas.back()?.path.local.ip()));
        let known_alive = carrying.chain(self.asked.iter().copied()).collect::<HashSet<_>>().len();
        let (child_rekeyed, ike_rekeyed) = (self.child.len(), self.ike.len());
        Kept { seconds, child_rekeyed, ike_rekeyed, known_alive, ..self.kept.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Only an empty request asks: no answer, no Delete, no other exchange.
    #[test]
    fn questions_are_told_from_other_messages() {
        let heard = |exchange: u8, flags: u8, octets: usize| {
            let mut bytes = vec![0; octets];
            (bytes[18], bytes[19]) = (exchange, flags);
            let (local, remote) = ("10.9.0.1:500".parse().unwrap(), "192.0.2.2:500".parse().unwrap());
            let mut keeper = Keeper::default();
            keeper.heard(&Datagram { instance: 0, local, remote, bytes });
            keeper.kept(1.0).known_alive
        };
        assert_eq!(heard(37, 0, EMPTY), 1);
        assert_eq!([heard(37, 0x20, EMPTY), heard(37, 0, EMPTY + 8), heard(36, 0, EMPTY)], [0; 3]);
    }
}
