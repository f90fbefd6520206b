//! Client lockout for operators: who stands in the engine's table, and clearing it.

use ravelin_dataplane::io::Pool;
use ravelin_ike::lockout::{Locked, Which};

use super::core::Core;
use crate::api::reply::{Lockout, Lockouts};
use crate::api::{ApiError, Reply, request};

impl<P: Pool> Core<P> {
    pub(super) fn lockouts(&self) -> Reply {
        let counters = self.engine.counters();
        Reply::Lockouts(Lockouts {
            lockouts: self.engine.lockouts().map(|locked| self.lockout(&locked)).collect(),
            locked_out: counters.lockouts,
            dropped: counters.lockout_dropped,
        })
    }

    fn lockout(&self, locked: &Locked) -> Lockout {
        let Locked { offender, blocked, failed, dropped, until } = *locked;
        let remaining = |until| ravelin_ike::time::Instant::since(until, self.now()).as_secs();
        Lockout {
            instance: self.service.name(offender.instance).to_owned(),
            gateway: offender.local.to_string(),
            address: offender.remote.to_string(),
            port: offender.port,
            blocked,
            failed_attempts: failed,
            dropped,
            remaining_seconds: until.map(remaining),
        }
    }

    /// Lets those that are meant call again.
    ///
    /// # Errors
    /// When a port is said and no address.
    pub(super) fn clear_lockouts(&mut self, which: &request::ClearLockout) -> Result<Reply, ApiError> {
        let request::ClearLockout { address: remote, port, gateway: local } = *which;
        if port.is_some() && remote.is_none() {
            return Err(ApiError::BadRequest { why: "a port is one of an address: give that, too".into() });
        }
        let cleared = self.engine.clear_lockouts(&Which { remote, port, local });
        if cleared > 0 {
            self.journal.note("", "lockout-cleared", format!("{cleared} by the operator"));
        }
        Ok(Reply::Done { message: format!("{cleared} cleared") })
    }
}
