//! Carries out what the engine wants: slow work to the helpers, SAs to the workers, peers to their gateways.

use ravelin_dataplane::io::Pool;
use ravelin_ike::id::Ticket;
use ravelin_ike::time::Instant;
use ravelin_ike::want::{Answer, Want, WantKind};

use super::core::Core;

impl<P: Pool> Core<P> {
    pub(super) fn want(&mut self, now: Instant, want: Want) {
        let ticket = want.ticket;
        match want.kind {
            WantKind::KeyAgreement(agreement) => self.helpers.agree(ticket, agreement),
            WantKind::Sign(sign) => self.helpers.sign(ticket, sign),
            WantKind::Verify(verify) => self.helpers.verify(ticket, verify),
            WantKind::Lookup(lookup) => self.helpers.look_up(ticket, lookup),
            WantKind::Resolve(resolve) => self.helpers.resolve(ticket, resolve),
            WantKind::Verdict(verdict) => {
                // Every question is some tunnel's.
                if let Some(ike) = want.ike {
                    self.helpers.verdict(ticket, ike, verdict);
                }
            }
            WantKind::AllocateSpi(allocate) => {
                let spi = self.workers.allocate_spi(allocate.config.0, &self.roster, now);
                self.tell(now, ticket, Answer::AllocateSpi(spi.map_err(Into::into)));
            }
            WantKind::Install(install) => self.install(now, ticket, &install),
            WantKind::Activate(sa) => self.workers.activate(sa),
            WantKind::UpdateAddresses { child, path } => self.workers.update_path(child, &path),
            WantKind::Remove { child, .. } => {
                self.count_out(child);
                self.workers.remove(child, &self.roster);
                self.renounce(child);
            }
            WantKind::ReleaseSpi(spi) => self.workers.release_spi(spi, now),
            WantKind::Admit(admit) => {
                let admitted = self.admit(now, &admit);
                self.tell(now, ticket, Answer::Admit(admitted));
            }
            WantKind::Dismiss(connection) => self.dismiss(now, connection),
        }
    }

    fn tell(&mut self, now: Instant, ticket: Ticket, answer: Answer) {
        self.engine.handle_answer(now, ticket, answer);
    }
}
