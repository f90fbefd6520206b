//! How long an IKE_SA_INIT request may be: it is kept for AUTH, so a stranger has a say in our memory.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use crate::harness::{address, kind, pair, settings};
use ravelin_ike::input::{Command, Datagram};
use ravelin_ike::wire::{Outer, Payload, limits};

/// One octet less than is kept, as many, and one more, which is not answered.
#[test]
fn an_init_request_has_its_limit() {
    for (octets, answered) in
        [(limits::INIT_OCTETS - 1, true), (limits::INIT_OCTETS, true), (limits::INIT_OCTETS + 1, false)]
    {
        let mut world = pair([0, 1].map(settings::connection));
        let (sender, receiver) = std::sync::mpsc::channel();
        world.gate = Some(Box::new(move |from, bytes| {
            if from == 0 && kind(bytes) == (34, false) {
                let _ = sender.send(bytes.to_vec());
            }
            false
        }));
        world.command(0, Command::Initiate { connection: settings::CONNECTION, child: None });
        world.run_for(100_000);
        let Outer::Clear(mut message) = Outer::parse(&receiver.recv().unwrap()).unwrap() else { panic!() };
        let length = message.emit().unwrap().len();
        message.payloads.push(Payload::VendorId(vec![7; octets - length - 4]));
        let bytes = message.emit().unwrap();
        assert_eq!(bytes.len(), octets);
        let datagram = Datagram { instance: 0, local: address(1, 500), remote: address(0, 500), bytes };
        let now = world.at();
        let engine = &mut world.ends[1].engine;
        engine.handle_datagram(now, datagram);
        assert_eq!(
            (engine.half_open() == 1, engine.counters().malformed == 0),
            (answered, answered),
            "{octets}"
        );
    }
}
