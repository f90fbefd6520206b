//! A model of the workers: which SAs are installed, which send, which SPIs are taken.

use super::Dice;
use ravelin_ike::config::{ChildId, Mode};
use ravelin_ike::id::{ChildSaId, IkeId};
use ravelin_ike::want::{Answer, EspKeys, InstallChild, OutboundStart, Path};
use std::collections::{BTreeMap, BTreeSet};

struct Installed {
    spi_in: u32,
    spi_out: u32,
    keys_in: EspKeys,
    keys_out: EspKeys,
    config: ChildId,
    replaces: Option<ChildSaId>,
    ike: IkeId,
    /// It takes the place of an SA of another tunnel: who makes it is left only so much time to show that it has it.
    takes_place: bool,
    start: OutboundStart,
    sending: bool,
    /// Stands by to send.
    waits: bool,
    heard: bool,
    path: Path,
    mode: Mode,
    takes_padding: bool,
}

pub struct DataPlane {
    dice: Dice,
    base: u32,
    next: u32,
    allocated: BTreeSet<u32>,
    installed: BTreeMap<ChildSaId, Installed>,
    ever: BTreeSet<u32>,
}

fn in_a_row(keys: &EspKeys) -> Vec<u8> {
    [keys.encryption.as_slice(), keys.integrity.as_slice()].concat()
}

impl DataPlane {
    pub fn new(base: u32, seed: u64) -> DataPlane {
        DataPlane {
            dice: Dice(seed),
            base,
            next: 0,
            allocated: BTreeSet::new(),
            installed: BTreeMap::new(),
            ever: BTreeSet::new(),
        }
    }

    pub fn allocate(&mut self) -> u32 {
        self.next += 1;
        let spi = (self.base << 16) + self.next;
        self.allocated.insert(spi);
        spi
    }

    pub fn install(&mut self, install: InstallChild) {
        assert!(self.allocated.contains(&install.spi_in), "installed on an SPI that is not reserved");
        assert_ne!(in_a_row(&install.keys_in), in_a_row(&install.keys_out));
        self.ever.insert(install.spi_in);
        let start = install.start;
        let child = install.child;
        let elder = install.replaces.and_then(|replaced| self.installed.get(&replaced));
        let takes_place = elder.is_some_and(|elder| elder.ike != install.ike);
        let installed = Installed {
            spi_in: install.spi_in,
            spi_out: install.spi_out,
            keys_in: install.keys_in,
            keys_out: install.keys_out,
            config: install.config,
            replaces: install.replaces,
            ike: install.ike,
            takes_place,
            start,
            sending: false,
            waits: true,
            heard: false,
            path: install.path,
            mode: install.mode,
            takes_padding: install.takes_padding,
        };
        assert!(self.installed.insert(child, installed).is_none(), "installed twice");
        if start == OutboundStart::Now {
            self.start(child);
        }
    }

    /// The SA sends, unless another one began to while it waited.
    fn activate_waiting(&mut self, child: ChildSaId) {
        if self.installed.get(&child).is_some_and(|installed| installed.waits) {
            self.start(child);
        }
    }

    fn start(&mut self, child: ChildSaId) {
        let Some(installed) = self.installed.get_mut(&child) else { return };
        let config = installed.config;
        // A worker has one place for what is sent to a child's networks.
        for (other, installed) in self.installed.iter_mut().filter(|(_, other)| other.config == config) {
            installed.sending = *other == child;
            installed.waits = false;
        }
    }

    pub fn activate(&mut self, child: ChildSaId) -> Option<Answer> {
        self.activate_waiting(child);
        None
    }

    pub fn update(&mut self, child: ChildSaId, path: Path) -> Option<Answer> {
        if let Some(installed) = self.installed.get_mut(&child) {
            installed.path = path;
        }
        None
    }

    pub fn remove(&mut self, child: ChildSaId, spi: u32) -> Option<Answer> {
        self.installed.remove(&child);
        assert!(self.allocated.remove(&spi), "SPI {spi:08x} given back twice");
        None
    }

    pub fn release(&mut self, spi: u32) -> Option<Answer> {
        assert!(
            !self.installed.values().any(|installed| installed.spi_in == spi),
            "released while installed"
        );
        assert!(self.allocated.remove(&spi), "SPI {spi:08x} given back twice");
        None
    }

    /// SPIs sent on, whether the SA is a successor whose peer must have it installed, and the way the packets go.
    pub fn senders(&self) -> Vec<(u32, bool, Path)> {
        let senders = self.installed.values().filter(|installed| installed.sending);
        let is_rekey = |installed: &Installed| {
            let starts = installed.start != OutboundStart::OnActivate;
            starts && installed.replaces.is_some() && !installed.takes_place
        };
        senders.map(|installed| (installed.spi_out, is_rekey(installed), installed.path)).collect()
    }

    /// The mode of every SA, and whether the peer takes padding on it.
    pub fn modes(&self) -> Vec<(Mode, bool)> {
        self.installed.values().map(|installed| (installed.mode, installed.takes_padding)).collect()
    }

    /// The way of every SA, by the SPI it sends with.
    pub fn paths(&self) -> Vec<(u32, Path)> {
        self.installed.values().map(|installed| (installed.spi_out, installed.path)).collect()
    }

    /// The keys packets on this SPI are opened with, cipher's and hash's in a row, if it is ours and installed.
    pub fn opens(&self, spi: u32) -> Option<Vec<u8>> {
        let installed = self.installed.values().find(|installed| installed.spi_in == spi)?;
        Some(in_a_row(&installed.keys_in))
    }

    /// The keys packets on this SPI are sealed with, if it is the peer's and installed.
    pub fn seals(&self, spi: u32) -> Option<Vec<u8>> {
        let installed = self.installed.values().find(|installed| installed.spi_out == spi)?;
        Some(in_a_row(&installed.keys_out))
    }

    /// The SPIs we receive on.
    pub fn receivers(&self) -> Vec<u32> {
        self.installed.values().map(|installed| installed.spi_in).collect()
    }

    pub fn was_installed(&self, spi: u32) -> bool {
        self.ever.contains(&spi)
    }

    /// A packet on this SPI: the SA it belongs to, and whether it is the first and makes us switch.
    pub fn receive(&mut self, spi: u32) -> Option<(ChildSaId, bool)> {
        let (child, installed) = self.installed.iter_mut().find(|(_, installed)| installed.spi_in == spi)?;
        let (child, first) = (*child, !installed.heard);
        installed.heard = true;
        if first && installed.start == OutboundStart::OnFirstInbound && !installed.sending {
            self.activate_waiting(child);
            return Some((child, true));
        }
        Some((child, false))
    }

    pub fn assert_installed(&self, child: ChildSaId) {
        assert!(self.installed.contains_key(&child), "{child:?} is up and not installed");
    }

    pub fn assert_is(&self, children: &[ChildSaId], name: &str) {
        let installed: BTreeSet<_> = self.installed.keys().copied().collect();
        assert_eq!(installed, children.iter().copied().collect(), "{name}: installed and live differ");
        assert_eq!(self.allocated.len(), installed.len(), "{name}: SPIs leaked");
        for installed in self.installed.values() {
            let sends = |other: &Installed| other.config == installed.config && other.sending;
            assert!(self.installed.values().any(sends), "{name}: {:?} does not send", installed.config);
        }
    }

    pub fn assert_empty(&self, name: &str) {
        assert!(self.installed.is_empty(), "{name}: SAs leaked: {:?}", self.installed.keys());
        assert!(self.allocated.is_empty(), "{name}: SPIs leaked: {:08x?}", self.allocated);
    }
}
