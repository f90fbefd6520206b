//! What the engine has counted of each connection, and of error notifications, as operators read it (IKE-51).

use ravelin_dataplane::io::Pool;
use ravelin_ike::account::{Account, Notified};
use ravelin_ike::config::ConnectionId;
use ravelin_ike::wire::NotifyType;

use super::core::Core;
use crate::api::reply::{Counter, Messages};

impl<P: Pool> Core<P> {
    /// What has passed between us and the peers of a connection.
    pub(super) fn messages(&self, id: ConnectionId) -> Messages {
        let Account { sent, resent, received, repeated, ignored, .. } = self.engine.account(id);
        let Account { probes_sent, probes_answered, probes_unanswered, probes_received, .. } =
            self.engine.account(id);
        Messages {
            sent,
            resent,
            received,
            repeated,
            ignored,
            probes_sent,
            probes_answered,
            probes_unanswered,
            probes_received,
        }
    }

    /// Error notifications, two rows a type.
    pub(super) fn notified(&self) -> impl Iterator<Item = Counter> {
        self.engine.notified().flat_map(|(kind, notified)| rows(kind, notified))
    }
}

fn rows(kind: Option<NotifyType>, Notified { sent, received }: Notified) -> [Counter; 2] {
    let name = kind.map_or("unknown".to_owned(), |kind| kind.to_string().to_lowercase().replace('_', "-"));
    let of = kind.map_or("of a type unknown here".to_owned(), |kind| kind.to_string());
    [("sent", sent, "we sent"), ("received", received, "came")].map(|(way, value, did)| Counter {
        name: format!("ike-notify-{way}-{name}"),
        value,
        meaning: format!("Messages with the error notification {of} that {did}."),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names are made of the registry's, and one row stands for all that nobody knows.
    #[test]
    fn rows_are_named_after_the_notification() {
        let notified = Notified { sent: 1, received: 2 };
        let told = rows(Some(NotifyType::NoProposalChosen), notified).map(|row| (row.name, row.value));
        let names = ["ike-notify-sent-no-proposal-chosen", "ike-notify-received-no-proposal-chosen"];
        assert_eq!(told, [(names[0].to_owned(), 1), (names[1].to_owned(), 2)]);
        assert_eq!(rows(None, notified)[0].name, "ike-notify-sent-unknown");
    }
}
