//! A configuration on its way into the running gateway: read, judged, its private keys loaded and its anchors
//! parsed, all on the thread of whoever asked. What is slow or can fail happens here, before anything is
//! changed; carrying it out is the loop's (`apply`).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::helpers::{Loader, profiles};
use crate::config::plan::Plan;
use crate::config::{Refusal, diff};
use crate::keeper::KeyName;
use crate::trust::Profile;
use crate::tunnel::connection;

/// Reads the daemon's configuration again.
pub type Reread = Box<dyn Fn() -> Result<Plan, Vec<Refusal>> + Send + Sync>;

/// A plan and everything its connections need.
#[derive(Debug)]
pub struct Prepared {
    /// The plan.
    pub plan: Plan,
    /// Its private keys, by certificate profile.
    pub keys: BTreeMap<String, KeyName>,
    /// Its anchors.
    pub profiles: BTreeMap<String, Arc<Profile>>,
}

/// The one way in.
pub struct Reload {
    reread: Reread,
    loader: Loader,
    /// How many configurations came before; one at a time.
    turn: Mutex<u64>,
}

impl std::fmt::Debug for Reload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reload")
    }
}

impl Reload {
    /// `loader` gives keys to the keeper.
    pub fn new(reread: Reread, loader: Loader) -> Self {
        Self { reread, loader, turn: Mutex::new(0) }
    }

    /// Reads and judges the configuration as the daemon did at its start.
    ///
    /// # Errors
    /// Every refusal, a line each.
    pub fn read(&self) -> Result<Plan, String> {
        let told =
            |refusals: Vec<Refusal>| refusals.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        let plan = (self.reread)().map_err(told)?;
        check(&plan)?;
        Ok(plan)
    }

    /// Makes a plan ready to be carried out. Keys are loaded under names of their own, so that those in use
    /// stay until nobody uses them.
    ///
    /// # Errors
    /// The first key or anchor that cannot be used.
    pub fn prepare(&self, plan: Plan) -> Result<Prepared, String> {
        let mut turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        *turn += 1;
        let profiles = profiles(&plan)?;
        let keys = self.loader.load(&plan, &format!("#{turn}"))?;
        Ok(Prepared { plan, keys, profiles })
    }
}

/// What the engine and the tables would refuse, found before anything is changed.
fn check(plan: &Plan) -> Result<(), String> {
    for tunnel in plan.tunnels.values() {
        connection::usable(plan, tunnel).map_err(|error| error.to_string())?;
    }
    for gateway in plan.gateways.values() {
        connection::of_gateway(plan, gateway).map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// What a difference says, as it goes to the journal.
pub fn summary(difference: &diff::Difference) -> String {
    let diff::Difference {
        added,
        removed,
        changed,
        moved,
        replaced,
        readdressed,
        untouched,
        needs_restart,
        gateways,
        groups,
        client_dbs,
        policy,
        ip_tunnels,
        mirrors,
    } = difference;
    let mut text = format!(
        "{} added, {} removed, {} changed, {} replaced, {untouched} untouched",
        added.len(),
        removed.len(),
        changed.len(),
        replaced.len()
    );
    if !moved.is_empty() {
        text += &format!("; moved: {}", moved.join(", "));
    }
    let diff::Gateways { added, removed, changed, replaced } = gateways;
    for (what, names) in
        [("added", added), ("removed", removed), ("changed", changed), ("replaced", replaced)]
    {
        if !names.is_empty() {
            text += &format!("; gateways {what}: {}", names.join(", "));
        }
    }
    let diff::Groups { added, removed, changed } = groups;
    for (what, names) in [("added", added), ("removed", removed), ("changed", changed)] {
        if !names.is_empty() {
            text += &format!("; tunnel groups {what}: {}", names.join(", "));
        }
    }
    let diff::ClientDbs { added, removed, changed } = client_dbs;
    for (what, names) in [("added", added), ("removed", removed), ("changed", changed)] {
        if !names.is_empty() {
            text += &format!("; clients {what}: {}", names.join(", "));
        }
    }
    let diff::IpTunnels { added, removed, changed } = ip_tunnels;
    for (what, names) in [("added", added), ("removed", removed), ("changed", changed)] {
        if !names.is_empty() {
            text += &format!("; ip-tunnels {what}: {}", names.join(", "));
        }
    }
    let diff::Mirrors { added, removed, changed } = mirrors;
    for (what, names) in [("added", added), ("removed", removed), ("changed", changed)] {
        if !names.is_empty() {
            text += &format!("; mirrors {what}: {}", names.join(", "));
        }
    }
    let diff::Policy { added, removed, changed, reordered } = policy;
    for (what, names) in [("added", added), ("removed", removed), ("changed", changed)] {
        if !names.is_empty() {
            text += &format!("; policy entries {what}: {}", names.join(", "));
        }
    }
    if *reordered {
        text += "; policy in another order";
    }
    if !readdressed.is_empty() {
        text += &format!("; other addresses on {}", readdressed.join(", "));
    }
    if !needs_restart.is_empty() {
        text += &format!("; needs a restart: {}", needs_restart.join(", "));
    }
    text
}
