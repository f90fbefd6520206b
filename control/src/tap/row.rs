//! A record in the names of the configuration.

use std::collections::{BTreeMap, HashMap};

use ravelin_dataplane::net::flow::{Flow, Upper};
use ravelin_dataplane::sa::shard::WorkerId;
use ravelin_dataplane::trace::{Record, Side, Step};
use ravelin_pki::pem;

use crate::api::reply::{SeenPacket, SeenStep};

/// The names of what workers know by number, as they were when the tap began.
#[derive(Debug, Default)]
pub struct Names {
    /// Tunnels, by child.
    pub tunnels: HashMap<u32, String>,
    /// Interfaces, by port and VLAN.
    pub interfaces: BTreeMap<(u16, u16), String>,
    /// Instances, by number.
    pub instances: Vec<String>,
    /// The workers' clock, and the microseconds since 1970, when it began.
    pub clock: (u64, u64),
}

impl Names {
    /// A record for operators.
    pub fn row(&self, worker: WorkerId, record: &Record, copy: &[u8]) -> SeenPacket {
        let path = &record.path;
        let of = path.of.filter(|of| of.spi.0 != 0);
        SeenPacket {
            time: self.clock.1.wrapping_add(record.at_us.wrapping_sub(self.clock.0)),
            side: record.side.map_or("", Side::name).to_owned(),
            outbound: record.outbound,
            verdict: record.verdict.to_string(),
            worker: worker.index(),
            tunnel: path.of.and_then(|of| self.tunnels.get(&of.child)).cloned().unwrap_or_default(),
            spi: of.map(|of| format!("{:#010x}", of.spi.0)),
            sequence: of.map(|of| of.sequence).filter(|sequence| *sequence > 0),
            flow: path.flow.as_ref().map_or_else(String::new, flow),
            length: record.length,
            steps: path.steps.iter().map(|step| self.step(step)).collect(),
            data: if copy.is_empty() { String::new() } else { pem::base64(copy).to_string() },
        }
    }

    fn step(&self, step: &Step) -> SeenStep {
        let number = || format!("{}.{}", step.interface.0, step.interface.1);
        SeenStep {
            node: step.node.name().to_owned(),
            octets: step.octets,
            interface: self.interfaces.get(&step.interface).cloned().unwrap_or_else(number),
            instance: self.instances.get(usize::from(step.instance)).cloned().unwrap_or_default(),
        }
    }
}

fn flow(flow: &Flow) -> String {
    let Flow { source, destination, protocol, upper } = flow;
    let upper = match upper {
        Upper::Ports { source, destination } => format!(" ports {source} to {destination}"),
        Upper::Icmp { kind, code } => format!(" type {kind} code {code}"),
        _ => String::new(),
    };
    format!("{source} to {destination}, protocol {protocol}{upper}")
}
