//! What an instance stands on: forwarding held off, the cage up and its devices without addresses, the
//! kernel's state readable. A wall that falls is told once as [`Event::Fault`], and once when it stands
//! again as [`Event::Mended`]; what is to follow is the control loop's.

use std::collections::BTreeSet;
use std::fmt;

use ipnet::IpNet;

use super::error::InstanceError;
use super::event::Event;
use super::machine::Machine;
use super::sysctl;

/// Corrections of forwarding in one tick after which somebody is fighting us.
const FIGHT: u32 = 16;

/// What an instance stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wall {
    /// The kernel forwards nothing.
    Forwarding,
    /// The kernel's stack is cut off from the devices under ports.
    Cage,
    /// Those devices carry no address.
    Addresses,
    /// The kernel can be asked and listened to.
    Kernel,
}

impl Wall {
    /// The stable code of its fall.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Forwarding => "RV-INST-001",
            Self::Cage => "RV-INST-002",
            Self::Addresses => "RV-INST-003",
            Self::Kernel => "RV-INST-004",
        }
    }
}

impl fmt::Display for Wall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Forwarding => "forwarding off",
            Self::Cage => "cage",
            Self::Addresses => "no address on a port's device",
            Self::Kernel => "netlink",
        })
    }
}

/// Which walls have fallen and were told.
#[derive(Debug, Default)]
pub(super) struct Walls {
    fallen: BTreeSet<Wall>,
    /// Corrections of forwarding since the last tick.
    corrections: u32,
}

impl Machine {
    /// Every tick. Forwarding counts as held when a whole tick passed without a correction: one who sets it
    /// again and again must not have us come and go with him.
    pub(super) fn hold_walls(&mut self) {
        let quiet = std::mem::take(&mut self.walls.corrections) == 0;
        if self.hold_forwarding() && quiet {
            self.mended(Wall::Forwarding);
        }
        self.hold_cage();
        self.check_caged_addresses();
    }

    /// Looks at the forwarding switches and turns off what is on. True if none was.
    pub(super) fn hold_forwarding(&mut self) -> bool {
        match self.forwarding.hold() {
            Ok(0) => return true,
            Ok(corrected) => self.note_corrections(corrected),
            Err(error) => self.fallen(Wall::Forwarding, error),
        }
        false
    }

    fn note_corrections(&mut self, corrected: u32) {
        tracing::warn!(
            instance = self.id,
            corrected,
            "kernel forwarding was switched on; switched off again"
        );
        self.walls.corrections = self.walls.corrections.saturating_add(corrected);
        if self.walls.corrections > FIGHT {
            self.fallen(Wall::Forwarding, self.forwarding.fought());
        }
    }

    /// Looks at the cage and puts it back if somebody's firewall reload took it down.
    pub(super) fn hold_cage(&mut self) {
        match self.mend_cage() {
            Ok(()) => self.mended(Wall::Cage),
            Err(error) => self.fallen(Wall::Cage, error),
        }
    }

    /// After a device came or went: a cage without its device holds nothing, and the port is still bound to
    /// the device, whatever it is called now.
    pub(super) fn look_for_caged(&mut self) {
        let is_there = |device: &String| self.told.has_link(device);
        if self.walls.fallen.contains(&Wall::Cage) || !self.caged.iter().all(is_there) {
            self.hold_cage();
        }
    }

    fn mend_cage(&mut self) -> Result<(), InstanceError> {
        if self.caged.is_empty() {
            return Ok(());
        }
        for device in &self.caged {
            if !self.told.has_link(device) {
                return Err(InstanceError::CagedDeviceMissing { device: device.clone() });
            }
            sysctl::disable_ipv6(device)?;
        }
        if self.cage.stands(&self.caged)? {
            return Ok(());
        }
        tracing::warn!(instance = self.id, "the nft cage was taken down; put back");
        self.cage.apply(&self.caged)
    }

    /// An address that appeared on a caged device: the cage still drops what comes in, but the kernel now
    /// sends out of the port's device beside us.
    pub(super) fn check_caged_addresses(&mut self) {
        let carried = |device: &String| {
            let addresses: Vec<IpNet> =
                self.told.addresses_of(device).filter(|network| !is_link_local(network)).collect();
            (!addresses.is_empty()).then(|| (device.clone(), addresses))
        };
        match self.caged.iter().find_map(carried) {
            None => self.mended(Wall::Addresses),
            Some((device, addresses)) => {
                self.fallen(Wall::Addresses, InstanceError::CagedDeviceHasAddress { device, addresses });
            }
        }
    }

    /// Tells of a fault once until it is mended.
    pub(super) fn fallen(&mut self, wall: Wall, error: InstanceError) {
        if self.walls.fallen.insert(wall) {
            self.outlet.must(Event::Fault { wall, error });
        }
    }

    /// Tells that a fault is mended, if there was one.
    pub(super) fn mended(&mut self, wall: Wall) {
        if self.walls.fallen.remove(&wall) {
            self.outlet.must(Event::Mended(wall));
        }
    }
}

/// These go with IPv6, which is off on a caged device.
pub(super) fn is_link_local(network: &IpNet) -> bool {
    matches!(network, IpNet::V6(net) if net.addr().is_unicast_link_local())
}
