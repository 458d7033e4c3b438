//! Bugs that tests plant on purpose, one for each invariant, to prove that the witnesses find such bugs.
//!
//! The bugs exist only with the feature `sabotage`, which only tests enable.

#[cfg(feature = "sabotage")]
use super::invariants::SchedulingInvariant;

/// A bug that can be planted in one of the scheduler's state machines.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(not(feature = "sabotage"), allow(unreachable_pub, reason = "exported with the feature only"))]
pub enum SchedulingBug {
    /// The page limit is exceeded by one.
    OneMorePage,
    /// A live host with new work is queued as if it were not live.
    ReadyWhileLive,
    /// The latest want is served first, and not the oldest.
    LatestFirst,
    /// A batch is settled before the sinks have written it.
    SettleUnwritten,
    /// A passive host is told that its memo is kept before the store has kept it.
    ConfirmUnkept,
    /// The latest of the written batches is settled first.
    SettleLatestFirst,
    /// One of the slots that were given to another shard is also kept.
    KeepGivenSlot,
    /// Doubtful hosts may use the slots that are reserved for proven hosts.
    DoubtfulTakeAll,
}

/// The bug planted in a state machine. Without the feature `sabotage` there is never one.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Planted(#[cfg(feature = "sabotage")] pub(super) Option<SchedulingBug>);

impl Planted {
    #[cfg(feature = "sabotage")]
    pub(super) fn has(self, bug: SchedulingBug) -> bool {
        self.0 == Some(bug)
    }

    #[cfg(not(feature = "sabotage"))]
    pub(super) fn has(self, _: SchedulingBug) -> bool {
        false
    }

    /// Whether a bug is planted. Internal checks are then skipped, since they would find the bug before the
    /// witness does.
    #[cfg(feature = "sabotage")]
    pub(super) fn is_sabotaged(self) -> bool {
        self.0.is_some()
    }

    #[cfg(not(feature = "sabotage"))]
    pub(super) fn is_sabotaged(self) -> bool {
        false
    }
}

#[cfg(feature = "sabotage")]
impl SchedulingBug {
    /// All bugs that can be planted.
    pub const ALL: [Self; 8] = [
        Self::OneMorePage,
        Self::ReadyWhileLive,
        Self::LatestFirst,
        Self::SettleUnwritten,
        Self::ConfirmUnkept,
        Self::SettleLatestFirst,
        Self::KeepGivenSlot,
        Self::DoubtfulTakeAll,
    ];

    /// Returns the invariant that this bug breaks.
    #[must_use]
    pub fn breaks(self) -> SchedulingInvariant {
        match self {
            Self::OneMorePage => SchedulingInvariant::S2,
            Self::ReadyWhileLive => SchedulingInvariant::S3,
            Self::LatestFirst => SchedulingInvariant::S5,
            Self::SettleUnwritten => SchedulingInvariant::S1,
            Self::ConfirmUnkept => SchedulingInvariant::S4,
            Self::SettleLatestFirst => SchedulingInvariant::S6,
            Self::KeepGivenSlot => SchedulingInvariant::S7,
            Self::DoubtfulTakeAll => SchedulingInvariant::S8,
        }
    }
}

/// Test functions that the tests of all state machines share.
#[cfg(all(test, feature = "sabotage"))]
#[allow(clippy::unwrap_used, reason = "tests")]
pub(super) mod tests {
    use std::collections::HashMap;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use proptest::strategy::{Strategy, ValueTree};
    use proptest::test_runner::TestRunner;

    use super::SchedulingBug;
    use crate::scheduling::SchedulingViolation;

    /// Runs random schedules with each bug, and checks that at least one schedule ends with a violation of
    /// the invariant that the bug breaks.
    pub(in crate::scheduling) fn finds<S: Strategy>(
        bugs: &[SchedulingBug],
        schedules: S,
        run: impl Fn(SchedulingBug, &S::Value) -> Result<(), SchedulingViolation>,
    ) {
        let mut runner = TestRunner::deterministic();
        let schedules: Vec<S::Value> =
            (0..300).map(|_| schedules.new_tree(&mut runner).unwrap().current()).collect();
        for bug in bugs {
            let mut found = HashMap::new();
            for schedule in &schedules {
                if let Ok(Err(violation)) = catch_unwind(AssertUnwindSafe(|| run(*bug, schedule))) {
                    *found.entry(violation.invariant).or_insert(0) += 1;
                }
            }
            assert!(found.contains_key(&bug.breaks()), "{bug:?} is not found: {found:?}");
        }
    }
}
