//! What happens in a simulated world, in numbers.

/// What happened, to be printed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    pub datagrams: u64,
    pub lost: u64,
    pub repeated: u64,
    pub reordered: u64,
    pub answers_failed: u64,
    pub answers_never: u64,
    pub ike_up: u64,
    pub ike_rekeyed: u64,
    pub reauthenticated: u64,
    pub child_up: u64,
    pub child_rekeyed: u64,
    pub child_down: u64,
    pub ike_down: u64,
    pub attempts_failed: u64,
    pub collisions: u64,
    pub crossed_calls: u64,
    /// Datagrams of IKE_INTERMEDIATE and of IKE_FOLLOWUP_KE.
    pub intermediate: u64,
    pub followups: u64,
    /// Paths that changed.
    pub moved: u64,
    pub spoofed: u64,
    /// Datagrams that came to an address whose owner has gone.
    pub missed: u64,
    /// Crash tokens in the clear.
    pub crash_tokens: u64,
    /// IKE SAs that came up by a ticket.
    pub resumed: u64,
    /// CHILD_SAs for a single resource.
    pub resources: u64,
    /// IKE SAs with a post-quantum preshared key in their keys.
    pub mixed: u64,
    /// IKE SAs whose peer has proved itself twice.
    pub twice: u64,
    /// Chains of which something was looked up.
    pub looked_up: u64,
}

impl Tally {
    pub fn add(&mut self, other: &Tally) {
        self.datagrams += other.datagrams;
        self.lost += other.lost;
        self.repeated += other.repeated;
        self.reordered += other.reordered;
        self.answers_failed += other.answers_failed;
        self.answers_never += other.answers_never;
        self.ike_up += other.ike_up;
        self.ike_rekeyed += other.ike_rekeyed;
        self.reauthenticated += other.reauthenticated;
        self.child_up += other.child_up;
        self.child_rekeyed += other.child_rekeyed;
        self.child_down += other.child_down;
        self.ike_down += other.ike_down;
        self.attempts_failed += other.attempts_failed;
        self.collisions += other.collisions;
        self.crossed_calls += other.crossed_calls;
        self.intermediate += other.intermediate;
        self.followups += other.followups;
        self.moved += other.moved;
        self.spoofed += other.spoofed;
        self.missed += other.missed;
        self.crash_tokens += other.crash_tokens;
        self.resumed += other.resumed;
        self.resources += other.resources;
        self.mixed += other.mixed;
        self.twice += other.twice;
        self.looked_up += other.looked_up;
    }
}
