//! Which instances are in service. An instance whose walls do not hold (see [`Wall`]) forwards nothing and
//! its tunnels are closed until they do: with the kernel forwarding, or answering beside us, nobody could
//! say any more that no packet leaves in clear. Pure; carrying it out is the loop's (`outage`).

use std::collections::{BTreeMap, BTreeSet};

use crate::config::plan::{Device, InstanceId, Plan, Tunnel};
use crate::instance::Wall;

/// Why an instance is out of service, or a tunnel carries nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Why {
    /// Stable code.
    pub code: &'static str,
    /// One line, with the instance's name and what to do.
    pub text: String,
}

/// The instances, and what has fallen. Sole owner: the control loop.
#[derive(Debug, Default)]
pub struct Service {
    names: Vec<String>,
    /// By instance: the ones that cannot work while its walls do not hold.
    resting: Vec<BTreeSet<InstanceId>>,
    fallen: BTreeMap<(InstanceId, Wall), String>,
}

impl Service {
    /// All in service.
    pub fn new(plan: &Plan) -> Self {
        let resting = (0..plan.instances.len()).map(|keeper| resting(plan, keeper)).collect();
        let names = plan.instances.iter().map(|instance| instance.name.clone()).collect();
        Self { names, resting, fallen: BTreeMap::new() }
    }

    /// A wall has fallen.
    pub fn fall(&mut self, instance: InstanceId, wall: Wall, error: String) {
        self.fallen.insert((instance, wall), error);
    }

    /// It stands again.
    pub fn mend(&mut self, instance: InstanceId, wall: Wall) {
        self.fallen.remove(&(instance, wall));
    }

    /// Whether a wall has fallen.
    pub fn has_fallen(&self, instance: InstanceId, wall: Wall) -> bool {
        self.fallen.contains_key(&(instance, wall))
    }

    /// The instances that are out of service.
    pub fn out(&self) -> BTreeSet<InstanceId> {
        let resting = |instance: &InstanceId| self.resting.get(usize::from(*instance)).into_iter().flatten();
        self.fallen.keys().flat_map(|(instance, _)| resting(instance)).copied().collect()
    }

    /// Why an instance is out of service, if it is: the first wall that has fallen.
    pub fn why(&self, instance: InstanceId) -> Option<Why> {
        let concerns = |keeper: InstanceId| {
            self.resting.get(usize::from(keeper)).is_some_and(|resting| resting.contains(&instance))
        };
        let ((keeper, wall), error) = self.fallen.iter().find(|((keeper, _), _)| concerns(*keeper))?;
        let text = format!("instance {} is out of service: {error}", self.name(*keeper));
        Some(Why { code: wall.code(), text })
    }

    /// Why a tunnel is closed: one of its instances is out of service.
    pub fn of_tunnel(&self, tunnel: &Tunnel) -> Option<Why> {
        self.why(tunnel.public).or_else(|| self.why(tunnel.private))
    }

    /// Everything that has fallen.
    pub fn faults(&self) -> impl Iterator<Item = (&str, Wall, &str)> {
        self.fallen.iter().map(|((instance, wall), error)| (self.name(*instance), *wall, error.as_str()))
    }

    /// The names of all instances, by number.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// An instance's name.
    pub fn name(&self, instance: InstanceId) -> &str {
        self.names.get(usize::from(instance)).map_or("?", String::as_str)
    }
}

/// An instance rests on its own walls and on those around its ports: the first instance in the namespace of
/// a port's device keeps that device's cage, whosever the interfaces on it are.
fn resting(plan: &Plan, keeper: usize) -> BTreeSet<InstanceId> {
    let is_kept = |index: usize| {
        let port = plan.ports.get(index).filter(|port| matches!(port.device, Device::AfPacket(_)));
        port.is_some_and(|port| plan.cage_keeper(port) == Some(keeper))
    };
    let over = plan.interfaces.iter().filter(|interface| is_kept(interface.port));
    over.map(|interface| interface.instance).chain(InstanceId::try_from(keeper)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Red lives in a namespace of its own, but its port's device is in the default one.
    const SPLIT: &str = r#"
instance.red = { namespace = "red" }
instance.blue = { namespace = "blue" }
port.lan = { device = "af_packet:eth2" }
interface.wan = { device = "af_packet:eth1", addresses = ["192.0.2.2/24"] }
interface.lan = { port = "lan", instance = "red", addresses = ["10.2.0.1/24"] }
[tunnel.branch]
local = "192.0.2.2"
remote = "192.0.2.1"
private-instance = "blue"
psk = "correct horse"
local-ts = ["10.2.0.0/24"]
remote-ts = ["10.1.0.0/24"]
"#;

    fn plan() -> Plan {
        let none = |_: &std::path::Path| Err(std::io::Error::other("no file"));
        crate::config::parse("test", SPLIT, std::path::Path::new("/"), &none).unwrap()
    }

    /// A cage that fell around a port takes out whoever has an interface on that port; a fault of one that
    /// shares nothing does not reach others.
    #[test]
    fn a_fault_reaches_whoever_stands_on_the_wall() {
        let plan = plan();
        let (blue, red) = (1, 2);
        let mut service = Service::new(&plan);
        service.fall(0, Wall::Cage, "no nft".into());
        assert_eq!(service.out(), [0, red].into());
        assert_eq!(service.why(red).unwrap().text, "instance default is out of service: no nft");
        assert_eq!(service.why(blue), None);
        assert_eq!(service.of_tunnel(&plan.tunnels["branch"]).unwrap().code, "RV-INST-002");
        service.mend(0, Wall::Cage);
        service.fall(blue, Wall::Forwarding, "set".into());
        assert_eq!(service.out(), [blue].into());
        assert_eq!(service.of_tunnel(&plan.tunnels["branch"]).unwrap().code, "RV-INST-001");
        service.mend(blue, Wall::Cage);
        assert!(!service.out().is_empty(), "another wall was mended");
        service.mend(blue, Wall::Forwarding);
        assert!(service.out().is_empty());
    }
}
