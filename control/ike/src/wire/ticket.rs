//! The notifications of session resumption (RFC 5723 §7): who asks for a ticket, who gives one, for how long, and who
//! shows one. What a ticket holds is nobody's business but its maker's.

use super::codec::Reader;
use super::limits;
use super::notify::Notify;
use super::registry::NotifyType;

/// A ticket that is given: TICKET_LT_OPAQUE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TicketGiven {
    /// Seconds that it may be shown, from now on.
    pub lifetime: u32,
    /// The ticket.
    pub ticket: Vec<u8>,
}

impl TicketGiven {
    /// The notification.
    pub fn notify(&self) -> Notify {
        let data = [&self.lifetime.to_be_bytes()[..], &self.ticket].concat();
        Notify::new(NotifyType::TicketLtOpaque, data)
    }

    /// Reads the notification's data.
    pub fn from_notify(notify: &Notify) -> Option<TicketGiven> {
        let mut reader = Reader::new("ticket", &notify.data);
        let lifetime = reader.u32().ok()?;
        let ticket = taken(reader.remainder())?;
        Some(TicketGiven { lifetime, ticket })
    }
}

impl Notify {
    /// TICKET_REQUEST: a ticket is wanted.
    pub fn ticket_request() -> Notify {
        Notify::new(NotifyType::TicketRequest, Vec::new())
    }

    /// TICKET_NACK: none is given, or the one that was shown is not accepted.
    pub fn ticket_nack() -> Notify {
        Notify::new(NotifyType::TicketNack, Vec::new())
    }

    /// TICKET_OPAQUE: a ticket that is shown.
    pub fn ticket(ticket: &[u8]) -> Notify {
        Notify::new(NotifyType::TicketOpaque, ticket.to_vec())
    }

    /// The ticket of TICKET_OPAQUE.
    pub fn shown_ticket(&self) -> Option<Vec<u8>> {
        taken(&self.data)
    }
}

fn taken(ticket: &[u8]) -> Option<Vec<u8>> {
    (1..=limits::TICKET_OCTETS).contains(&ticket.len()).then(|| ticket.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// What is written is read; without an octet of ticket, or with more of them than are kept, nothing is.
        #[test]
        fn round_trip_and_truncation(lifetime: u32, ticket in proptest::collection::vec(any::<u8>(), 1..2000)) {
            let given = TicketGiven { lifetime, ticket: ticket.clone() };
            let notify = given.notify();
            prop_assert_eq!(TicketGiven::from_notify(&notify), Some(given));
            prop_assert_eq!(Notify::ticket(&ticket).shown_ticket(), Some(ticket));
            for length in 0..=4 {
                let cut = Notify::new(NotifyType::TicketLtOpaque, notify.data[..length].to_vec());
                prop_assert_eq!(TicketGiven::from_notify(&cut), None);
            }
        }
    }

    #[test]
    fn a_ticket_has_an_octet_and_not_too_many() {
        for (length, is_taken) in
            [(0, false), (1, true), (limits::TICKET_OCTETS, true), (limits::TICKET_OCTETS + 1, false)]
        {
            assert_eq!(Notify::ticket(&vec![7; length]).shown_ticket().is_some(), is_taken, "{length}");
        }
    }

    /// RFC 5723 §7: four octets of lifetime, then the ticket.
    #[test]
    fn octets() {
        let given = TicketGiven { lifetime: 3600, ticket: vec![7, 8] };
        assert_eq!(given.notify().data, [0, 0, 14, 16, 7, 8]);
    }
}
