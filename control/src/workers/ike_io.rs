//! IKE messages up from the workers' punt rings and down as packets for them to route.

use ravelin_dataplane::io::{Frame, Pool};
use ravelin_dataplane::link::packet::IkePunt;
use ravelin_dataplane::sa::shard::WorkerId;
use ravelin_ike::event::Transmit;
use ravelin_ike::input::Datagram;

use super::Workers;
use crate::daemon::datagram;

/// Messages taken a turn: those of known SAs first, then so many that begin one, so that a
/// flood of the latter leaves room for everything else (docs/design.md §3): they are answered
/// with cookies in a quarter of a millisecond.
/// Fewer known ones would lose those of a storm: between two turns the ring fills.
const KNOWN: usize = 256;
const INITIAL: usize = 128;

impl<P: Pool> Workers<P> {
    /// The IKE messages that have arrived, bounded a turn.
    pub fn receive(&mut self) -> Vec<Datagram> {
        let mut datagrams = Vec::new();
        while datagrams.len() < KNOWN {
            let Some(punt) = self.link.next_ike() else { break };
            datagrams.push(datagram_of(&punt));
        }
        for _ in 0..INITIAL {
            let Some(punt) = self.link.next_ike_init() else { break };
            datagrams.push(datagram_of(&punt));
        }
        datagrams
    }

    /// The DSCP of IKE messages from now on (IKE-50).
    pub fn set_ike_dscp(&mut self, dscp: u8) {
        self.ike_dscp = dscp;
    }

    /// Sends an IKE message. One that finds no buffer or room is lost like any datagram; IKE
    /// retransmits.
    pub fn transmit(&mut self, transmit: &Transmit) {
        self.packet_id = self.packet_id.wrapping_add(1);
        let Transmit { instance, local, remote, bytes, marker } = transmit;
        let packet = match datagram::packet(*local, *remote, *marker, bytes, (self.ike_dscp, self.packet_id))
        {
            Ok(packet) => packet,
            Err(error) => return tracing::error!("{error}"),
        };
        let frame = self.buffers.copy_of(&packet);
        let worker = self.link.shards().stand_in(WorkerId(0), self.link.workers().count());
        let sent = frame.is_some_and(|frame| self.link.inject(worker, frame, *instance).is_ok());
        self.unsent = self.unsent.saturating_add(u64::from(!sent));
    }

    /// IKE messages lost since the last call, for want of a buffer or of room towards the worker.
    pub fn take_unsent(&mut self) -> u64 {
        std::mem::take(&mut self.unsent)
    }
}

fn datagram_of<F: Frame>(punt: &IkePunt<F>) -> Datagram {
    Datagram {
        instance: punt.instance,
        local: punt.local,
        remote: punt.remote,
        bytes: punt.frame.data().to_vec(),
    }
}
