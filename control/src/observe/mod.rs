//! What the gateway tells of itself: the journal of events, and the snapshot that reads
//! are answered from.

pub mod journal;
