//! The invariants S1 to S8 of the scheduler, which must be true after every step.

use std::fmt;

/// The invariants of the scheduler.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum SchedulingInvariant {
    /// A lease is settled only after its rows are safe.
    S1,
    /// No more leases are open than the page limit of the crawl allows.
    S2,
    /// Each host that dispatch knows is in exactly one state: ready, being started, or live.
    S3,
    /// A host is told that its memo (its saved state) is kept only after the store has kept it.
    S4,
    /// Wants are served in order: none is skipped in favour of a later want.
    S5,
    /// Batches are settled in the order of their numbers, each once and without gaps.
    S6,
    /// No slot is created or lost: the slots of all shards and those in transit between shards add up to the
    /// in-flight limit.
    S7,
    /// Slots are granted in order of arrival, and doubtful hosts never get all of them.
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

/// Returns an error for this invariant, unless the condition is true.
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
