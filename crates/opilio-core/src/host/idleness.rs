//! How long a host has had nothing to do, and when it is passivated for that.

use crate::time::Timestamp;

/// How long a host has had nothing to do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Idleness {
    /// The time of the last input.
    pub(super) touched: Timestamp,
    /// Since when nothing is ready and nothing in flight; `NEVER` while there is something.
    since: Timestamp,
    pub(super) passivated: bool,
}

impl Idleness {
    pub(super) fn new(now: Timestamp) -> Self {
        Self { touched: now, since: now, passivated: false }
    }

    /// An input came.
    pub(super) fn touch(&mut self, now: Timestamp) {
        self.touched = now;
        self.passivated = false;
    }

    /// Nothing is ready, and nothing in flight.
    pub(super) fn begin(&mut self, now: Timestamp) {
        if self.since == Timestamp::NEVER {
            self.since = now;
        }
    }

    /// A request starts; returns since when there was none to start.
    pub(super) fn end(&mut self) -> Option<Timestamp> {
        let since = std::mem::replace(&mut self.since, Timestamp::NEVER);
        (since < Timestamp::NEVER).then_some(since)
    }
}
