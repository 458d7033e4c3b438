//! The future events of a simulated run, in the order of time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use opilio_core::{Attempts, Scheme, Timestamp};

/// An event of a simulated run.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Happening {
    Wake,
    /// A request reaches the server. `attempt` contains the number of the attempt, and whether an earlier attempt
    /// failed.
    Arrive {
        lease: u64,
        path: String,
        attempt: (u16, bool),
        kept_alive: bool,
    },
    ArriveRules {
        scheme: Scheme,
        kept_alive: bool,
    },
    Land {
        lease: u64,
        arrival: u64,
    },
    LandRules {
        scheme: Scheme,
        arrival: u64,
    },
    Assign {
        id: u64,
        attempts: Attempts,
    },
}

/// The current time, and all future events.
pub(super) struct Agenda {
    pub(super) now: Timestamp,
    queue: BinaryHeap<Reverse<(Timestamp, u64, Happening)>>,
    order: u64,
    /// The time at which the earliest timer in `queue` fires, or `None` if no timer is set.
    wake: Option<Timestamp>,
}

impl Agenda {
    pub(super) fn new(now: Timestamp) -> Self {
        Self { now, queue: BinaryHeap::new(), order: 0, wake: None }
    }

    pub(super) fn plan(&mut self, at: Timestamp, happening: Happening) {
        self.order += 1;
        self.queue.push(Reverse((at, self.order, happening)));
    }

    /// Sets a timer, unless a timer is set that fires earlier.
    pub(super) fn set_timer(&mut self, at: Timestamp) {
        if self.wake.is_none_or(|wake| at < wake) {
            self.wake = Some(at);
            self.plan(at, Happening::Wake);
        }
    }

    /// Advances the time to the next event, and returns the event. Returns `None` if the event comes after `end`.
    pub(super) fn advance(&mut self, end: Timestamp) -> Option<Happening> {
        let Reverse((at, _, happening)) = self.queue.pop()?;
        if at > end {
            return None;
        }
        self.now = at;
        if happening == Happening::Wake {
            self.wake = self.wake.filter(|wake| *wake > at);
        }
        Some(happening)
    }
}
