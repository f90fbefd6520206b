//! What devices say of themselves, asked once a second, and what they are told: a driver may take its time, so no
//! worker asks. And the link of a port, shown on the twins of its interfaces, so that routing daemons notice its loss.

use ravelin_dataplane::io::Pool;

use super::core::Core;
use super::spread::Spread;
use crate::config::plan::{Device, InstanceId, Plan};
use crate::instance::{Change, Request};

/// One look at a device. Counts since its start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seen {
    /// Its link; `None` when the driver does not say.
    pub link_up: Option<bool>,
    /// Frames lost because receive rings were full.
    pub rx_missed: u64,
    /// Frames not received because the pool was empty.
    pub rx_no_buffer: u64,
    /// Frames received with errors.
    pub rx_errors: u64,
    /// Frames not sent.
    pub tx_errors: u64,
}

/// The devices under the ports of a plan.
pub trait Devices {
    /// Looks at the device of a port; nothing when it does not answer.
    fn look(&mut self, port: usize) -> Seen;

    /// The receive queues among which a port can be told to choose, from 0 on; none where there is no choice.
    fn queues(&self, port: usize) -> u16;

    /// Has a port put what it receives into these queues only.
    ///
    /// # Errors
    /// The driver's words, and what to do; to be told again.
    fn spread(&mut self, port: usize, queues: &[u16]) -> Result<(), String>;
}

/// No devices: ports in memory.
#[derive(Debug, Clone, Copy, Default)]
pub struct None;

impl Devices for None {
    fn look(&mut self, _: usize) -> Seen {
        Seen::default()
    }

    fn queues(&self, _: usize) -> u16 {
        0
    }

    fn spread(&mut self, _: usize, _: &[u16]) -> Result<(), String> {
        Ok(())
    }
}

/// What is known of a port besides its traffic.
#[derive(Debug, Clone, Default)]
pub struct State {
    /// The last look.
    pub seen: Seen,
    /// It has no link, and its twins no carrier.
    pub down: bool,
    /// The queues it uses.
    pub spread: Spread,
}

/// The ports whose link is that of a kernel's device, as its instance tells: packet sockets know nothing of
/// it.
fn over<'a>(plan: &'a Plan, instance: InstanceId, device: &'a str) -> impl Iterator<Item = usize> + 'a {
    let is_over = move |(index, port): (usize, &crate::config::plan::Port)| {
        let same = matches!(&port.device, Device::AfPacket(name) if name == device);
        (same && plan.cage_keeper(port) == Some(usize::from(instance))).then_some(index)
    };
    plan.ports.iter().enumerate().filter_map(is_over)
}

impl<P: Pool> Core<P> {
    /// Looks at every device.
    pub(super) fn look_at_devices(&mut self) {
        for port in 0..self.plan.ports.len() {
            let seen = self.devices.look(port);
            let is_kernels =
                self.plan.ports.get(port).is_some_and(|p| matches!(p.device, Device::AfPacket(_)));
            if let Some(state) = self.ports.get_mut(port) {
                state.seen = seen;
            }
            if let Some(up) = seen.link_up.filter(|_| !is_kernels) {
                self.port_link(port, up);
            }
        }
    }

    /// The kernel says something of a device: it may be one under a port.
    pub(super) fn device_link(&mut self, instance: InstanceId, change: &Change) {
        let (device, up) = match change {
            Change::Link(link) => (&link.interface, link.up && link.carrier),
            Change::LinkGone { interface } => (interface, false),
            _ => return,
        };
        let ports: Vec<usize> = over(&self.plan, instance, device).collect();
        for port in ports {
            self.port_link(port, up);
        }
    }

    /// Shows the link of a port on its twins, when it changes.
    fn port_link(&mut self, port: usize, up: bool) {
        let Some(state) = self.ports.get_mut(port) else { return };
        if state.down != up {
            return;
        }
        state.down = !up;
        let name = self.plan.ports.get(port).map_or("?", |port| port.name.as_str());
        let (what, text) =
            if up { ("port-up", "has its link again") } else { ("port-down", "has lost its link") };
        self.journal.note("", what, format!("port {name} {text}"));
        for interface in self.plan.interfaces.iter().filter(|interface| interface.port == port) {
            let request = Request::SetCarrier { interface: interface.name.clone(), up };
            self.ask_instance(interface.instance, request);
        }
    }
}
