//! S1–S8: what must hold for the scheduler at every step, as named predicates.

use std::fmt;

/// The invariants of the scheduler.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum SchedulingInvariant {
    /// A lease is settled after its rows are safe.
    S1,
    /// No more leases are open than the page limit of the crawl still allows.
    S2,
    /// A host that dispatch knows is in exactly one state: ready, being started, or live.
    S3,
    /// The store has kept a host's memo before the host is told so.
    S4,
    /// Wants are served in turn: none is passed over for a later one.
    S5,
    /// Batches are settled in the order of their numbers, without gaps, each once.
    S6,
    /// No slot is made or lost: the slots of all shards and those in transit add up to the in-flight limit.
    S7,
    /// Slots are granted in turn, and doubtful hosts never get all of them.
    S8,
}

/// A violation of an invariant of the scheduler.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SchedulingViolation {
    /// The violated invariant.
    pub invariant: SchedulingInvariant,
    /// What was observed.
    pub text: String,
}

impl fmt::Display for SchedulingViolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.invariant, self.text)
    }
}

impl std::error::Error for SchedulingViolation {}

/// Returns a violation of the invariant, unless the condition holds.
pub(super) fn ensure(
    holds: bool,
    invariant: SchedulingInvariant,
    text: impl FnOnce() -> String,
) -> Result<(), SchedulingViolation> {
    match holds {
        true => Ok(()),
        false => Err(SchedulingViolation { invariant, text: text() }),
    }
}
