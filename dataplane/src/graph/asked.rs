//! What others ask to be sent: control its IKE messages, the kernel what its host says. No packet that policy
//! protects leaves in clear, whoever sends it.

use crate::io::{Frame, Meta, Origin, Pool};
use crate::net::eth::{self, ethertype};
use crate::net::flow::Summary;
use crate::node::Packet;
use crate::node::forward;
use crate::node::policy::{self, Fate};
use crate::trace::Node;
use crate::verdict::Drop;

use super::Graph;

impl<P: Pool> Graph<P> {
    /// Takes a complete outer packet from control: routed and sent, policy does not apply to IKE itself.
    pub fn send_for_control(&mut self, frame: P::Frame) {
        self.link.counters().injected.add(1);
        if self.is_tapped() {
            self.show_entered(Node::Injected, std::iter::once(&frame));
        }
        match Packet::parse(frame) {
            Ok(packet) => self.leave_by(packet, None),
            Err(frame) => self.refuse(frame, Drop::MalformedInjected),
        }
    }

    /// Takes a packet from the kernel: from a `rv-` device into the outbound path, from a twin past the
    /// policy to its port.
    pub fn send_for_kernel(&mut self, frame: P::Frame) {
        self.link.counters().injected.add(1);
        if self.is_tapped() {
            self.show_entered(Node::Injected, std::iter::once(&frame));
        }
        match frame.meta().origin {
            Origin::Twin => self.send_for_twin(frame),
            _ => match Packet::parse(frame) {
                Ok(Packet { frame, summary }) => self.judge_later(frame, summary),
                Err(frame) => self.refuse(frame, Drop::MalformedInjected),
            },
        }
    }

    /// No packet that policy protects leaves in clear, whoever sends it.
    fn send_for_twin(&mut self, mut frame: P::Frame) {
        let Meta { port, vlan, .. } = *frame.meta();
        let Some(interface) = self.snapshot.interface(port, vlan).copied() else {
            return self.refuse(frame, Drop::UnknownInterface);
        };
        frame.meta_mut().instance = interface.instance;
        let Ok(link) = eth::Repr::parse(frame.data()) else {
            return self.refuse(frame, Drop::MalformedInjected);
        };
        let fate = match link.ethertype {
            ethertype::IPV4 | ethertype::IPV6 => self.fate_of_twin(&frame, interface.instance),
            // The worker adds the tag of the interface; a frame that brings one would be on another.
            ethertype::VLAN | ethertype::SERVICE_VLAN => Some(Fate::Drop(Drop::MalformedInjected)),
            _ => None,
        };
        match fate {
            None => self.tag_and_put_out(frame, vlan),
            Some(Fate::Seal(sa)) => {
                frame.trim_front(eth::Repr::LEN);
                match Packet::parse(frame) {
                    Ok(packet) => self.give_sealer(packet, sa),
                    Err(frame) => self.refuse(frame, Drop::MalformedInjected),
                }
            }
            Some(Fate::Drop(reason)) => self.refuse(frame, reason),
            Some(Fate::Clear(_) | Fate::Enter(_)) => self.refuse(frame, Drop::ClearRefused),
        }
    }

    fn fate_of_twin(&self, frame: &P::Frame, instance: u16) -> Option<Fate> {
        let Ok(summary) = Summary::parse(frame.data().get(eth::Repr::LEN..).unwrap_or_default()) else {
            return Some(Fate::Drop(Drop::MalformedInjected));
        };
        match policy::is_of_the_link(&summary) {
            true => None,
            false => policy::decide_twin(self.tables.tables(), self.link.id(), instance, &summary.flow()),
        }
    }

    fn tag_and_put_out(&mut self, mut frame: P::Frame, vlan: u16) {
        match forward::tag(&mut frame, vlan) {
            true => self.put_out(frame),
            false => self.refuse(frame, Drop::NoRoom),
        }
    }
}
