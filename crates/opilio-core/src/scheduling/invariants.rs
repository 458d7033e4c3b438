//! S1–S8: what must hold for the scheduler at every step, as named predicates.

use std::fmt;

/// The invariants of the scheduler.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum SchedulingInvariant {
    /// A lease is settled after its rows are safe.
    S1,
    /// No more pages are out than the limit of the crawl leaves.
    S2,
    /// A host is ready, or being started, or live: in one of these places, once.
    S3,
    /// A memo is kept before its host is told.
    S4,
    /// Wants are served in turn: none is passed over for one that came later.
    S5,
    /// Batches settle as a prefix of their sequence, each once.
    S6,
    /// No slot is made or lost: those of all shards, and those on their way, are the in-flight limit.
    S7,
    /// Slots are granted in turn, and never all of them to hosts that may not answer.
    S8,
}

/// An invariant of the scheduler that did not hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SchedulingViolation {
    /// Which one.
    pub invariant: SchedulingInvariant,
    /// What was seen.
    pub text: String,
}

impl fmt::Display for SchedulingViolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.invariant, self.text)
    }
}

impl std::error::Error for SchedulingViolation {}

/// That an invariant did not hold, unless it did.
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
