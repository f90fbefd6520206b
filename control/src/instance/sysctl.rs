//! Kernel settings of the instance's namespace. `/proc/sys/net` answers for the network namespace of the
//! calling thread, so everything here must run on the instance's thread and never on a pool.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::error::InstanceError;

const ROOT: &str = "/proc/sys/net";

/// Per-device switches that make Linux carry packets from one device to another. `force_forwarding`
/// (since 6.17) works with `forwarding` off. Those a kernel lacks are skipped.
const FORWARDING: [(&str, &[&str]); 2] =
    [("ipv4", &["forwarding", "bc_forwarding"]), ("ipv6", &["forwarding", "force_forwarding"])];

/// A device's settings that make Linux a well-behaved host behind its twin: it answers ARP only on the
/// interface that has the address and with that address (RFC 1122 §3.3.4.2, the strong model), and takes
/// neither routes nor addresses from router advertisements.
const TWIN: [(&str, &str, &str); 5] = [
    ("ipv4", "arp_ignore", "1"),
    ("ipv4", "arp_announce", "2"),
    ("ipv6", "accept_ra", "0"),
    ("ipv6", "autoconf", "0"),
    ("ipv6", "accept_redirects", "0"),
];

/// `rv-` has no link: without a link-local address the kernel sends no solicitations into the tunnels.
const PRIVATE: [(&str, &str, &str); 4] = [
    ("ipv6", "accept_ra", "0"),
    ("ipv6", "autoconf", "0"),
    ("ipv6", "accept_redirects", "0"),
    ("ipv6", "addr_gen_mode", "1"),
];

fn device_setting(family: &str, device: &str, setting: &str) -> PathBuf {
    Path::new(ROOT).join(family).join("conf").join(device).join(setting)
}

/// Trimmed value; `None` if the kernel has no such setting.
fn read(path: &Path) -> Result<Option<String>, InstanceError> {
    match fs::read_to_string(path) {
        Ok(value) => Ok(Some(value.trim().to_owned())),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(InstanceError::io(format!("read {}", path.display()), e)),
    }
}

fn write(path: &Path, value: &str) -> Result<(), InstanceError> {
    fs::write(path, value).map_err(|e| InstanceError::io(format!("write {value} to {}", path.display()), e))
}

fn set_all(device: &str, settings: &[(&str, &str, &str)]) -> Result<(), InstanceError> {
    for (family, setting, value) in settings {
        let path = device_setting(family, device, setting);
        if read(&path)?.is_some_and(|found| found != *value) {
            write(&path, value)?;
        }
    }
    Ok(())
}

/// Settings of a new twin, before it is up.
pub(super) fn prepare_twin(device: &str) -> Result<(), InstanceError> {
    set_all(device, &TWIN)
}

/// Settings of a new `rv-`, before it is up.
pub(super) fn prepare_private(device: &str) -> Result<(), InstanceError> {
    set_all(device, &PRIVATE)
}

/// Turns IPv6 off on a device and returns what it was, `None` if it was off or the kernel has no IPv6.
pub(super) fn disable_ipv6(device: &str) -> Result<Option<String>, InstanceError> {
    let path = device_setting("ipv6", device, "disable_ipv6");
    match read(&path)? {
        Some(found) if found != "1" => write(&path, "1").map(|()| Some(found)),
        _ => Ok(None),
    }
}

/// Puts back what [`disable_ipv6`] returned. A device that is gone needs nothing.
pub(super) fn restore_ipv6(device: &str, value: &str) -> Result<(), InstanceError> {
    let path = device_setting("ipv6", device, "disable_ipv6");
    match read(&path)? {
        Some(_) => write(&path, value),
        None => Ok(()),
    }
}

/// Holds forwarding off.
#[derive(Debug, Default)]
pub(super) struct ForwardingGuard {
    /// Since the start.
    corrections: u32,
}

impl ForwardingGuard {
    /// Writes 0 wherever the kernel would forward, and reads it back. Returns how many were not 0.
    pub(super) fn hold(&mut self) -> Result<u32, InstanceError> {
        let before = self.corrections;
        for (family, settings) in FORWARDING {
            for setting in settings {
                self.hold_setting(family, setting)?;
            }
        }
        Ok(self.corrections.saturating_sub(before))
    }

    /// `all` first: writing it resets every device, so that usually one write is enough.
    fn hold_setting(&mut self, family: &str, setting: &str) -> Result<(), InstanceError> {
        self.hold_path(&device_setting(family, "all", setting))?;
        let Ok(devices) = fs::read_dir(Path::new(ROOT).join(family).join("conf")) else {
            return Ok(()); // a kernel without this family forwards none of it
        };
        for device in devices.flatten() {
            self.hold_path(&device.path().join(setting))?;
        }
        Ok(())
    }

    fn hold_path(&mut self, path: &Path) -> Result<(), InstanceError> {
        match read(path)? {
            Some(found) if found != "0" => {}
            _ => return Ok(()),
        }
        self.corrections = self.corrections.saturating_add(1);
        // A read-only /proc/sys (a container) refuses the write; what counts is what is read back.
        let _ = fs::write(path, "0");
        match read(path)? {
            Some(found) if found != "0" => Err(self.not_held(path, found)),
            _ => Ok(()),
        }
    }

    fn not_held(&self, path: &Path, found: String) -> InstanceError {
        let setting = path.strip_prefix("/proc/sys").unwrap_or(path).display().to_string();
        InstanceError::ForwardingNotHeld { setting, found, corrections: self.corrections }
    }

    /// The error for forwarding that comes back again and again.
    pub(super) fn fought(&self) -> InstanceError {
        self.not_held(Path::new("/proc/sys/net/ipv4/ip_forward"), "set again and again".to_owned())
    }
}
