//! A device found or made, claimed by one owner, not yet running.
//!
//! Set-up follows DPDK's order: configure, descriptor limits, receive queues, transmit
//! queues, start, then what may be refused without harm.

use std::ffi::{CStr, CString, c_char};
use std::sync::Arc;

use super::fallback::{Fallback, Unredirected};
use super::info::Info;
use super::plan::Plan;
use super::redirection;
use super::running::{Claim, Port, Running, Uses, promiscuous, table};
use super::steer::{Form, Steered};
use crate::eal::Eal;
use crate::error::Errno;
use crate::log;
use crate::mbuf::Private;
use crate::pool::Pool;
use crate::queue::{RxQueue, TxQueue};
use crate::vdev::{self, Vdev};

/// A device that nobody else holds. Dropping it closes the device.
#[derive(Debug)]
pub struct Device {
    claim: Claim,
}

/// What a set-up gives.
#[derive(Debug)]
pub struct SetUp<M: Private> {
    /// For control.
    pub port: Port,
    /// One for each receive queue of the plan.
    pub rx: Vec<RxQueue<M>>,
    /// One for each transmit queue of the plan.
    pub tx: Vec<TxQueue<M>>,
}

/// Why there is no device, or no port.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No device of that name.
    #[error(
        "no device {name:?}; there are: {}. A card must be bound to vfio-pci (`dpdk-devbind.py -s`) and named in [eal], a virtual device probed",
        if there.is_empty() { "none".to_owned() } else { there.join(", ") }
    )]
    Missing {
        /// As asked for.
        name: String,
        /// The devices there are.
        there: Vec<String>,
    },
    /// Somebody holds it.
    #[error("device {name:?} is already in use in this process")]
    Claimed {
        /// The device.
        name: String,
    },
    /// The kernel's interface is not there.
    #[error("interface {iface:?} for {name}: {reason} in the network namespace of this thread")]
    Interface {
        /// The device.
        name: String,
        /// The interface.
        iface: String,
        /// ENODEV mostly.
        reason: Errno,
    },
    /// The driver did not make the device.
    #[error("device {name} ({arguments}) was not made: {reason}. DPDK said: {}", said.join(" | "))]
    Probe {
        /// The device.
        name: String,
        /// Its arguments.
        arguments: String,
        /// EEXIST, ENODEV (unknown driver), EPERM (needs CAP_NET_RAW), ...
        reason: Errno,
        /// DPDK's last log lines.
        said: Vec<String>,
    },
    /// A step of set-up failed.
    #[error("device {name}: {step} failed: {reason}. DPDK said: {}", said.join(" | "))]
    SetUp {
        /// The device.
        name: String,
        /// Which DPDK call.
        step: &'static str,
        /// What it answered.
        reason: Errno,
        /// DPDK's last log lines.
        said: Vec<String>,
    },
}

impl Eal {
    /// Names of all devices there are, claimed or not.
    pub fn devices(self) -> Vec<String> {
        let next = |from: u16| {
            // SAFETY: reads DPDK's table; RTE_MAX_ETHPORTS when there is no further one.
            let id = unsafe { dpdk_sys::rte_eth_find_next(from) };
            (u32::from(id) < dpdk_sys::RTE_MAX_ETHPORTS).then_some(id)
        };
        std::iter::successors(next(0), |id| next(id + 1)).filter_map(name_of).collect()
    }

    /// Takes a device that EAL found (a card) or made at start (a virtual device).
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Claimed`].
    pub fn claim(self, name: &str) -> Result<Device, Error> {
        self.take(name, false)
    }

    /// Makes a virtual device and takes it. Its sockets belong to the network namespace
    /// of the calling thread, which must also do the set-up (see [`crate::vdev`]).
    ///
    /// # Errors
    /// [`Error::Interface`], [`Error::Probe`].
    pub fn probe(self, vdev: &Vdev) -> Result<Device, Error> {
        check_interface(vdev)?;
        {
            let _one_at_a_time = table();
            log::forget();
            hotplug(vdev).map_err(|reason| Error::Probe {
                name: vdev.name().to_owned(),
                arguments: vdev.arguments().to_owned(),
                reason,
                said: log::take_recent(),
            })?;
            vdev::remember(vdev);
        }
        self.take(vdev.name(), true)
    }

    fn take(self, name: &str, probed: bool) -> Result<Device, Error> {
        let mut table = table();
        let id =
            id_of(name).ok_or_else(|| Error::Missing { name: name.to_owned(), there: self.devices() })?;
        match table.get_mut(usize::from(id)) {
            Some(claimed) if !*claimed => *claimed = true,
            _ => return Err(Error::Claimed { name: name.to_owned() }),
        }
        Ok(Device { claim: Claim { id, name: name.to_owned(), probed, rss_key: Vec::new() } })
    }
}

/// Says what the driver would only log: the interface is not in this namespace.
fn check_interface(vdev: &Vdev) -> Result<(), Error> {
    let Some(ring) = vdev.kernel_ring() else { return Ok(()) };
    vdev::kernel_mtu(&ring.iface).map(|_| ()).map_err(|reason| Error::Interface {
        name: vdev.name().to_owned(),
        iface: ring.iface.clone(),
        reason,
    })
}

fn hotplug(vdev: &Vdev) -> Result<(), Errno> {
    let text = |text: &str| CString::new(text).map_err(|_| Errno(libc::EINVAL));
    let (name, arguments) = (text(vdev.name())?, text(vdev.arguments())?);
    // SAFETY: three NUL-terminated strings, copied by EAL; the caller holds the table, so
    // no other probing or removing runs.
    let returned =
        unsafe { dpdk_sys::rte_eal_hotplug_add(c"vdev".as_ptr(), name.as_ptr(), arguments.as_ptr()) };
    Errno::check(returned).map(|_| ())
}

fn id_of(name: &str) -> Option<u16> {
    let name = CString::new(name).ok()?;
    let mut id = 0;
    // SAFETY: reads a NUL-terminated string, writes a number.
    let returned = unsafe { dpdk_sys::rte_eth_dev_get_port_by_name(name.as_ptr(), &raw mut id) };
    (returned == 0).then_some(id)
}

fn name_of(id: u16) -> Option<String> {
    let mut name = [0 as c_char; dpdk_sys::RTE_ETH_NAME_MAX_LEN as usize];
    // SAFETY: writes at most RTE_ETH_NAME_MAX_LEN octets, NUL included.
    let returned = unsafe { dpdk_sys::rte_eth_dev_get_name_by_port(id, name.as_mut_ptr()) };
    // SAFETY: NUL-terminated by the call above.
    (returned == 0).then(|| unsafe { CStr::from_ptr(name.as_ptr()) }.to_string_lossy().into_owned())
}

impl Device {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.claim.name
    }

    /// What it can do. A kernel interface's MTU is read in this thread's namespace.
    ///
    /// # Errors
    /// [`Error::SetUp`], [`Error::Interface`].
    pub fn info(&self) -> Result<Info, Error> {
        let ring = vdev::known(self.name()).and_then(|vdev| vdev.kernel_ring().cloned());
        let kernel = match ring {
            None => None,
            Some(ring) => {
                let mtu = vdev::kernel_mtu(&ring.iface).map_err(|reason| Error::Interface {
                    name: self.name().to_owned(),
                    iface: ring.iface.clone(),
                    reason,
                })?;
                Some((ring, mtu))
            }
        };
        Info::of(self.claim.id, kernel).map_err(|reason| self.failed("asking its capabilities", reason))
    }

    /// Carries out `plan`: receives into `pool`, and copies into `jumbo` what arrives in
    /// segments and fits no single buffer of `pool`.
    ///
    /// # Errors
    /// [`Error::SetUp`]; the device is closed.
    pub fn set_up<M: Private>(
        mut self,
        plan: &Plan,
        pool: Pool<M>,
        jumbo: Option<Pool<M>>,
    ) -> Result<SetUp<M>, Error> {
        log::forget();
        self.configure(plan)?;
        self.rx_queues(plan, pool)?;
        self.tx_queues(plan)?;
        // SAFETY: configured, all queues set up.
        self.step("starting", unsafe { dpdk_sys::rte_eth_dev_start(self.claim.id) })?;
        let mut fallbacks = plan.fallbacks.clone();
        self.modes(plan, &mut fallbacks);
        let redirects = plan.redirects && self.redirect(plan, &mut fallbacks);
        let steered = self.steer(plan, &mut fallbacks);
        let (rx, tx) = (plan.rx_queues, plan.tx_queues);
        let running = Arc::new(Running::new(self.claim));
        let share = || Arc::clone(&running);
        Ok(SetUp {
            rx: (0..rx).map(|queue| RxQueue::new(share(), queue, plan.cut_at, jumbo)).collect(),
            tx: (0..tx).map(|queue| TxQueue::new(share(), queue)).collect(),
            port: Port::new(running, Uses { rx_queues: rx, redirects, steered }, fallbacks),
        })
    }

    fn configure(&mut self, plan: &Plan) -> Result<(), Error> {
        let mut conf = dpdk_sys::rte_eth_conf::default();
        conf.rxmode.mtu = u32::from(plan.mtu);
        conf.rxmode.offloads = plan.rx_offloads;
        conf.txmode.offloads = plan.tx_offloads;
        if let Some(rss) = &plan.rss {
            conf.rxmode.mq_mode = dpdk_sys::rte_eth_rx_mq_mode::RTE_ETH_MQ_RX_RSS;
            conf.rx_adv_conf.rss_conf.rss_hf = rss.types;
            let key = &mut self.claim.rss_key;
            key.clone_from(&rss.key);
            if !key.is_empty() {
                conf.rx_adv_conf.rss_conf.rss_key = key.as_mut_ptr();
                conf.rx_adv_conf.rss_conf.rss_key_len = u8::try_from(key.len()).unwrap_or(0);
            }
        }
        // SAFETY: the call copies `conf`, with the key's pointer in it; the claim keeps the
        // key, unchanged, until the device is closed.
        let returned = unsafe {
            dpdk_sys::rte_eth_dev_configure(self.claim.id, plan.rx_queues, plan.tx_queues, &raw const conf)
        };
        self.step("configuring", returned)
    }

    fn rx_queues<M: Private>(&self, plan: &Plan, pool: Pool<M>) -> Result<(), Error> {
        (0..plan.rx_queues).try_for_each(|queue| {
            // SAFETY: configured with more queues than `queue`; NULL takes the driver's
            // defaults; the pool lives for ever.
            let returned = unsafe {
                dpdk_sys::rte_eth_rx_queue_setup(
                    self.claim.id,
                    queue,
                    plan.rx_descriptors,
                    self.numa(),
                    std::ptr::null(),
                    pool.as_raw(),
                )
            };
            self.step("setting up a receive queue", returned)
        })
    }

    fn tx_queues(&self, plan: &Plan) -> Result<(), Error> {
        (0..plan.tx_queues).try_for_each(|queue| {
            // SAFETY: as for receive queues.
            let returned = unsafe {
                dpdk_sys::rte_eth_tx_queue_setup(
                    self.claim.id,
                    queue,
                    plan.tx_descriptors,
                    self.numa(),
                    std::ptr::null(),
                )
            };
            self.step("setting up a transmit queue", returned)
        })
    }

    /// Modes a port can live without.
    fn modes(&self, plan: &Plan, fallbacks: &mut Vec<Fallback>) {
        if plan.promiscuous && promiscuous(self.claim.id, true).is_err() {
            fallbacks.push(Fallback::Promiscuous);
        }
        // Neighbour discovery and OSPF need multicast; virtual devices pass it anyway.
        // SAFETY: takes a port number.
        let returned = unsafe { dpdk_sys::rte_eth_allmulticast_enable(self.claim.id) };
        if returned < 0 && returned != -libc::ENOTSUP {
            fallbacks.push(Fallback::Multicast);
        }
    }

    /// Writes the redirection table that the port is to come back to; says whether the driver takes it. Before the
    /// rules: whatever a driver does for a table, they come after it.
    fn redirect(&self, plan: &Plan, fallbacks: &mut Vec<Fallback>) -> bool {
        let all: Vec<u16> = (0..plan.rx_queues).collect();
        let Err((_, reason)) = redirection::write(self.claim.id, plan.rx_queues, &all) else { return true };
        fallbacks.push(Fallback::Redirection { why: Unredirected::Refused(reason) });
        false
    }

    /// Asks for the flow rules; a form of which the driver refuses one is left to RSS and handoff.
    fn steer(&self, plan: &Plan, fallbacks: &mut Vec<Fallback>) -> Vec<Steered> {
        let mut steered = Vec::new();
        let mut take = |form, rule| Steered::new(self.claim.id, form, rule).map(|rule| steered.push(rule));
        let is_refused = |form: &Form| !plan.spis.iter().all(|rule| take(*form, *rule).is_ok());
        let missing: Vec<Form> = Form::ALL.into_iter().filter(is_refused).collect();
        if !missing.is_empty() {
            fallbacks.push(Fallback::SpiFlow { missing });
        }
        steered
    }

    /// The device's node as DPDK passes it, `SOCKET_ID_ANY` as unsigned included.
    fn numa(&self) -> u32 {
        // SAFETY: takes a port number.
        unsafe { dpdk_sys::rte_eth_dev_socket_id(self.claim.id) }.cast_unsigned()
    }

    fn step(&self, step: &'static str, returned: i32) -> Result<(), Error> {
        Errno::check(returned).map(|_| ()).map_err(|reason| self.failed(step, reason))
    }

    fn failed(&self, step: &'static str, reason: Errno) -> Error {
        Error::SetUp { name: self.name().to_owned(), step, reason, said: log::take_recent() }
    }
}
