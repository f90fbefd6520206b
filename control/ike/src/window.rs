//! Message IDs, retransmission and cached replies of one IKE SA, for every exchange alike (RFC 7296 §2.1-2.3).
//!
//! The window size is 1 in both directions: one request of ours and one of the peer's may be unanswered.
//! Messages are kept as the finished packets that go out (several if fragmented), so that what is sent again
//! is the same to the octet. Sending, and knowing that a message is authentic, is left to the caller.

use crate::config::{DeadPeer, Retransmission};
use crate::time::Instant;
use std::time::Duration;

/// A message as it goes out: one datagram, or all fragments of one message.
pub type Packets = Vec<Vec<u8>>;

/// When a request is sent again, and how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// Waits that double: the normal one.
    Doubling(Retransmission),
    /// Equal waits: dead peer detection.
    Steady {
        /// Between transmissions.
        interval: Duration,
        /// Retransmissions.
        tries: u32,
    },
}

impl Schedule {
    /// That of dead peer detection.
    pub fn of_probe(policy: DeadPeer) -> Schedule {
        Schedule::Steady { interval: policy.retry_interval, tries: policy.retries }
    }

    /// The wait after the transmission number `sent` (from 1); `None` if there were enough.
    fn wait(self, sent: u32) -> Duration {
        match self {
            Schedule::Doubling(Retransmission { first, .. }) => {
                first.saturating_mul(1u32.checked_shl(sent.saturating_sub(1)).unwrap_or(u32::MAX))
            }
            Schedule::Steady { interval, .. } => interval,
        }
    }

    fn tries(self) -> u32 {
        match self {
            Schedule::Doubling(Retransmission { tries, .. }) | Schedule::Steady { tries, .. } => tries,
        }
    }
}

/// A request of ours that waits for its reply.
#[derive(Debug)]
struct Outstanding {
    packets: Packets,
    sent: u32,
    first_sent: Instant,
    due: Instant,
    schedule: Schedule,
}

/// What a request's message ID says.
#[derive(Debug, PartialEq, Eq)]
pub enum Incoming<'a> {
    /// The next request: deal with it.
    New,
    /// Answered before: send this again.
    Answered(&'a Packets),
    /// Being dealt with: absorb it, the reply will come.
    InProgress,
    /// Too old to have a kept reply, or too new for the window: drop it.
    OutOfWindow,
}

/// What is to be done about the outstanding request at some time.
#[derive(Debug, PartialEq, Eq)]
pub enum Due<'a> {
    /// Nothing yet.
    Nothing,
    /// Send these again.
    Resend(&'a Packets),
    /// The peer did not answer.
    GiveUp {
        /// Transmissions made.
        tries: u32,
        /// Since the first.
        waited: Duration,
    },
}

/// The window of one IKE SA.
#[derive(Debug, Default)]
pub struct Window {
    next_request: u32,
    outstanding: Option<Outstanding>,
    expected: u32,
    in_progress: bool,
    reply: Option<Packets>,
    /// How often it was asked for again.
    asked_again: u32,
    /// Until when the reply is kept back.
    withheld: Option<Instant>,
}

impl Window {
    /// The message ID our next request takes, or `None` while one is unanswered or when IDs are used up.
    /// "In the unlikely event that Message IDs grow too large to fit in 32 bits, the IKE SA MUST be closed or
    /// rekeyed." (RFC 7296 §2.2)
    pub fn request_id(&self) -> Option<u32> {
        (self.outstanding.is_none() && self.next_request < u32::MAX).then_some(self.next_request)
    }

    /// Notes that the request with [`Self::request_id`] was sent.
    pub fn request_sent(&mut self, now: Instant, packets: Packets, schedule: Schedule) {
        let due = now + schedule.wait(1);
        self.outstanding = Some(Outstanding { packets, sent: 1, first_sent: now, due, schedule });
    }

    /// Whether a request of ours is unanswered.
    pub fn is_waiting(&self) -> bool {
        self.outstanding.is_some()
    }

    /// Whether this is the ID of the reply we wait for.
    pub fn awaits_reply(&self, id: u32) -> bool {
        self.outstanding.is_some() && id == self.next_request
    }

    /// Notes that the awaited reply was accepted.
    pub fn reply_accepted(&mut self) {
        self.outstanding = None;
        self.next_request = self.next_request.saturating_add(1);
    }

    /// Gives up the unanswered request: an IKE_SA_INIT to send another one under the same ID, with a cookie or
    /// another key exchange (RFC 7296 §2.6, §1.2), or any when its IKE SA ends.
    pub fn withdraw(&mut self) {
        self.outstanding = None;
    }

    /// There is a hint that the peer will not answer the outstanding request: it is given up after the transmissions
    /// of `schedule`, counted from now, if that is sooner. A second hint changes nothing.
    pub fn doubt(&mut self, now: Instant, schedule: Schedule) {
        let Some(outstanding) = &mut self.outstanding else { return };
        if matches!(outstanding.schedule, Schedule::Doubling(_)) {
            outstanding.schedule = schedule;
            outstanding.sent = 1;
            outstanding.due = outstanding.due.min(now + schedule.wait(1));
        }
    }

    /// Whether nobody has answered the outstanding request and its first repetition, or the next one is the last.
    pub fn is_unheard(&self) -> bool {
        self.outstanding.as_ref().is_some_and(|it| it.sent >= 2 || it.sent >= it.schedule.tries())
    }

    /// How often the outstanding request was repeated.
    pub fn repetitions(&self) -> u32 {
        self.outstanding.as_ref().map_or(0, |outstanding| outstanding.sent.saturating_sub(1))
    }

    /// Whether [`Self::resend`] has something to do.
    pub fn is_due(&self, now: Instant) -> bool {
        self.deadline().is_some_and(|due| due <= now)
    }

    /// The outstanding request.
    pub fn request_packets(&self) -> Option<&Packets> {
        self.outstanding.as_ref().map(|outstanding| &outstanding.packets)
    }

    /// The outstanding request is sent again in these packets.
    pub fn resize_request(&mut self, packets: Packets) {
        self.outstanding.iter_mut().for_each(|outstanding| outstanding.packets.clone_from(&packets));
    }

    /// The last answer, which is asked for again; how often that was.
    pub fn reply_asked_again(&mut self) -> u32 {
        self.asked_again = self.asked_again.saturating_add(1);
        self.asked_again
    }

    /// The last answer.
    pub fn last_reply(&self) -> Option<&Packets> {
        self.reply.as_ref()
    }

    /// The last answer is sent again in these packets.
    pub fn resize_reply(&mut self, packets: Packets) {
        self.reply = Some(packets);
    }

    /// When [`Self::resend`] has something to do.
    pub fn deadline(&self) -> Option<Instant> {
        self.outstanding.as_ref().map(|outstanding| outstanding.due)
    }

    /// What is due now. Counts the transmission if there is one.
    pub fn resend(&mut self, now: Instant) -> Due<'_> {
        let Some(outstanding) = self.outstanding.as_mut().filter(|outstanding| outstanding.due <= now) else {
            return Due::Nothing;
        };
        if outstanding.sent > outstanding.schedule.tries() {
            return Due::GiveUp { tries: outstanding.sent, waited: now.since(outstanding.first_sent) };
        }
        outstanding.sent = outstanding.sent.saturating_add(1);
        outstanding.due = now + outstanding.schedule.wait(outstanding.sent);
        Due::Resend(&outstanding.packets)
    }

    /// What to do with the peer's request of this ID.
    pub fn classify(&self, id: u32) -> Incoming<'_> {
        if id == self.expected {
            return if self.in_progress { Incoming::InProgress } else { Incoming::New };
        }
        match &self.reply {
            Some(reply) if id.checked_add(1) == Some(self.expected) => Incoming::Answered(reply),
            _ => Incoming::OutOfWindow,
        }
    }

    /// Takes up the request that was [`Incoming::New`]: its repetitions are absorbed until [`Self::answered`].
    pub fn take_up(&mut self) {
        self.in_progress = true;
    }

    /// The ID of the peer's request that is to be answered.
    pub fn answering(&self) -> u32 {
        self.expected
    }

    /// Keeps the reply for repetitions and waits for the next request.
    pub fn answered(&mut self, packets: Packets) {
        self.in_progress = false;
        self.expected = self.expected.saturating_add(1);
        self.reply = Some(packets);
        self.asked_again = 0;
    }

    /// As [`Self::answered`] with a reply that is yet to be sent, by [`Self::withheld_reply`] or to a repetition.
    pub fn answered_later(&mut self, packets: Packets, at: Instant) {
        self.answered(packets);
        self.withheld = Some(at);
    }

    /// When [`Self::withheld_reply`] has something to send.
    pub fn withheld_until(&self) -> Option<Instant> {
        self.withheld
    }

    /// The reply that was kept back, once, when it is time.
    pub fn withheld_reply(&mut self, now: Instant) -> Option<&Packets> {
        self.withheld.take_if(|at| *at <= now).and(self.reply.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window_with_request() -> Window {
        let mut window = Window::default();
        window.request_sent(Instant(0), vec![vec![1]], Schedule::Doubling(Retransmission::default()));
        window
    }

    /// Protects the schedule of IKE-01: 0.5 s doubled, seven retransmissions, given up after 127.5 s.
    #[test]
    fn requests_are_repeated_identically_with_doubling_waits() {
        let mut window = window_with_request();
        let mut times = Vec::new();
        loop {
            let due = window.deadline().unwrap();
            match window.resend(due) {
                Due::Resend(packets) => {
                    assert_eq!(packets, &vec![vec![1]]);
                    times.push(due.0);
                }
                Due::GiveUp { tries, waited } => {
                    assert_eq!((tries, waited), (8, Duration::from_millis(127_500)));
                    break;
                }
                Due::Nothing => panic!("deadline without effect"),
            }
        }
        assert_eq!(times.iter().map(|t| t / 100_000).collect::<Vec<_>>(), [5, 15, 35, 75, 155, 315, 635]);
    }

    /// However often it is raised, a doubt leaves the tries of its schedule and never prolongs the wait.
    #[test]
    fn a_doubt_shortens_the_wait_once() {
        let probe = Schedule::Steady { interval: Duration::from_secs(2), tries: 3 };
        let mut window = window_with_request();
        let mut sent = 0;
        loop {
            let due = window.deadline().unwrap();
            window.doubt(Instant(due.0 - 1), probe);
            match window.resend(due) {
                Due::Resend(_) => sent += 1,
                Due::GiveUp { waited, .. } => {
                    assert_eq!((sent, waited), (3, Duration::from_millis(6500)));
                    break;
                }
                Due::Nothing => panic!("deadline without effect"),
            }
        }
        window.withdraw();
        window.doubt(Instant(0), probe);
        assert_eq!(window.deadline(), None);
    }

    #[test]
    fn only_one_request_at_a_time_and_only_its_reply() {
        let mut window = window_with_request();
        assert_eq!(window.request_id(), None);
        assert!(!window.awaits_reply(1));
        assert!(window.awaits_reply(0));
        window.reply_accepted();
        assert!(!window.awaits_reply(0));
        assert_eq!(window.request_id(), Some(1));
    }

    #[test]
    fn a_request_is_dealt_with_once() {
        let mut window = Window::default();
        assert_eq!(window.classify(1), Incoming::OutOfWindow);
        assert_eq!(window.classify(0), Incoming::New);
        window.take_up();
        assert_eq!(window.classify(0), Incoming::InProgress);
        window.answered(vec![vec![7]]);
        assert_eq!(window.classify(0), Incoming::Answered(&vec![vec![7]]));
        assert_eq!(window.classify(1), Incoming::New);
        window.take_up();
        window.answered(vec![vec![8]]);
        assert_eq!(window.classify(0), Incoming::OutOfWindow);
    }

    #[test]
    fn a_reply_that_is_kept_back_goes_once_and_to_repetitions() {
        let mut window = Window::default();
        window.take_up();
        window.answered_later(vec![vec![7]], Instant(100));
        assert_eq!(window.withheld_until(), Some(Instant(100)));
        assert_eq!(window.withheld_reply(Instant(99)), None);
        assert_eq!(window.classify(0), Incoming::Answered(&vec![vec![7]]));
        assert_eq!(window.withheld_reply(Instant(100)), Some(&vec![vec![7]]));
        assert_eq!(window.withheld_reply(Instant(100)), None);
        assert_eq!(window.withheld_until(), None);
    }
}
