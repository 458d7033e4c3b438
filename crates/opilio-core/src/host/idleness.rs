//! Records how long a host has had nothing to do. After a while without work it is passivated (its state is
//! saved, and its actor stops).

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// The times since which a host has had no input, and no work.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Idleness {
    /// The time of the last input.
    pub(super) touched: Timestamp,
    /// The time since which no lease is ready and nothing is in flight; `NEVER` while a lease is ready or a
    /// request is in flight.
    since: Timestamp,
    pub(super) passivated: bool,
}

impl Idleness {
    pub(super) fn new(now: Timestamp) -> Self {
        Self { touched: now, since: now, passivated: false }
    }

    /// Records that an input came.
    pub(super) fn touch(&mut self, now: Timestamp) {
        self.touched = now;
        self.passivated = false;
    }

    /// Records that no lease is ready and nothing is in flight.
    pub(super) fn begin(&mut self, now: Timestamp) {
        if self.since == Timestamp::NEVER {
            self.since = now;
        }
    }

    /// Records that a request starts. If the host was idle until now, returns the time since which it was
    /// idle.
    pub(super) fn end(&mut self) -> Option<Timestamp> {
        let since = std::mem::replace(&mut self.since, Timestamp::NEVER);
        (since < Timestamp::NEVER).then_some(since)
    }
}
