//! What is due at a tunnel that is up, and when: its IKE SAs, its CHILD_SAs, probes, keepalives, second tries.

use super::common::Common;
use super::line::Standing;
use super::up::{Task, Up};
use crate::context::Context;

impl Up {
    /// When something of this tunnel is due.
    pub(crate) fn deadline(&self, common: &Common) -> Option<crate::time::Instant> {
        let lines = self.lines.iter().filter_map(|line| line.deadline());
        let later = self.later.iter().map(|(at, _)| *at);
        let term = common.term.deadline().filter(|_| !self.is_closing());
        let sought = self.sought.as_ref().map(|sought| sought.pending.until);
        let own = [self.children.deadline(), self.probe_at(common), common.keepalive_at, term, sought];
        lines.chain(later).chain(own.into_iter().flatten()).min()
    }

    /// When the peer has been silent long enough to be probed; any request of ours under way is a probe too.
    fn probe_at(&self, common: &Common) -> Option<crate::time::Instant> {
        let current = self.lines.iter().find(|line| line.is_current())?;
        let idle = !self.closing_or_unsettled() && current.own.is_none() && !current.sa.window.is_waiting();
        common.config.dead_peer.filter(|_| idle).map(|policy| common.heard + policy.interval)
    }

    fn closing_or_unsettled(&self) -> bool {
        self.is_closing() || !self.settled
    }

    /// What is due at the tunnel itself.
    pub(crate) fn timeout(&mut self, ctx: &mut Context<'_>, common: &mut Common) {
        let now = ctx.now;
        let (due, later) = std::mem::take(&mut self.later).into_iter().partition(|(at, _)| *at <= now);
        self.later = later;
        let due: Vec<(crate::time::Instant, Task)> = due;
        self.tasks.extend(due.into_iter().map(|(_, task)| task));
        if self.probe_at(common).is_some_and(|at| at <= now) && !self.tasks.contains(&Task::Probe) {
            self.tasks.push_back(Task::Probe);
        }
        if common.keepalive_at.is_some_and(|at| at <= now) {
            ctx.keep_alive(&common.path);
            let pause = common.config.nat.pause(common.local_behind_nat, common.path.udp_encapsulation);
            common.keepalive_at = pause.map(|pause| now + pause);
        }
        self.term_due(ctx, common);
        self.sought_due(ctx, common);
        for index in 0..self.lines.len() {
            self.turn(ctx, common, index, |turn| turn.timeout());
        }
        self.drained_due(ctx, common);
        if let Some(index) = self.lines.iter().position(|line| line.is_current()) {
            for id in self.children.due(now) {
                self.turn(ctx, common, index, |turn| turn.child_due(id));
            }
        }
        self.lines.retain(
            |line| !matches!(line.standing, Standing::Closed { until } if until <= now && line.own.is_none()),
        );
    }

    /// Begins what can be begun, on every line.
    pub(crate) fn pump(&mut self, ctx: &mut Context<'_>, common: &mut Common) {
        for index in 0..self.lines.len() {
            self.turn(ctx, common, index, |turn| turn.pump());
        }
    }
}
