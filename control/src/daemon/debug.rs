//! Debugging for operators: whose messages are told, and for how long.

use std::time::Duration;

use ravelin_dataplane::io::Pool;

use super::core::Core;
use crate::api::reply::Watched;
use crate::api::{ApiError, Reply, request};

/// The longest a peer is watched at a time.
const LONGEST: u64 = 3600;

impl<P: Pool> Core<P> {
    /// Watches a peer, or ends that, and says who is watched.
    ///
    /// # Errors
    /// When the time is too long, or too many are watched.
    pub(super) fn debug(&mut self, asked: &request::Debug) -> Result<Reply, ApiError> {
        if let Some(address) = asked.address {
            if asked.seconds > LONGEST {
                return Err(ApiError::BadRequest { why: format!("at most {LONGEST} seconds at a time") });
            }
            let now = self.now();
            let watched = self.engine.watch(now, address, now + Duration::from_secs(asked.seconds));
            watched.map_err(|why| ApiError::Refused { why: why.to_string() })?;
            let what = if asked.seconds > 0 { "debug-began" } else { "debug-ended" };
            self.journal.note("", what, format!("{address}, by the operator"));
        }
        let left = |until| ravelin_ike::time::Instant::since(until, self.now()).as_secs();
        let watched = self.engine.watched();
        let row = |(peer, until): (std::net::IpAddr, _)| Watched {
            address: peer.to_string(),
            remaining_seconds: left(until),
        };
        Ok(Reply::Debug { peers: watched.map(row).collect() })
    }
}
