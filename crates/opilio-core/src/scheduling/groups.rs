//! One budget of starts that all hosts of a group share. When a slot is granted, one start is spent from this
//! budget.
//!
//! The hosts of one registrable domain are often one server. Without a common rate, that server would get
//! requests at the sum of the rates of its hosts. All hosts of a group belong to one shard, so the shard can
//! keep this budget.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::host::{Budget, Spacing};
use crate::name::Group;
use crate::rate::Rate;
use crate::time::Timestamp;

/// The budgets of the groups of one shard. Without a rate, every start is allowed.
#[derive(Debug, Default)]
pub struct GroupBudgets {
    spacing: Option<Spacing>,
    spent: BTreeMap<Group, Budget>,
    /// The number of groups from which on budgets that are full again are removed.
    prune_at: usize,
}

impl GroupBudgets {
    /// Creates budgets with the same rate for each group. With `None`, every start is allowed.
    #[must_use]
    pub fn new(rate: Option<Rate>) -> Self {
        Self { spacing: rate.map(Spacing::of_rate), spent: BTreeMap::new(), prune_at: PRUNE_AT_MIN }
    }

    /// Spends one start from the budget of a group.
    ///
    /// # Errors
    /// When the budget does not allow a start now. The error is the time from which on it does; nothing is
    /// spent.
    pub fn spend(&mut self, now: Timestamp, group: &Group) -> Result<(), Timestamp> {
        let Some(spacing) = self.spacing else { return Ok(()) };
        let mut budget = self.spent.get(group).copied().unwrap_or_default();
        let due = budget.due(spacing, Duration::ZERO);
        if due > now {
            return Err(due);
        }
        budget.spend(now, spacing);
        self.spent.insert(group.clone(), budget);
        if self.spent.len() >= self.prune_at {
            // A budget that allows a start now is equal to a new budget, except for a small tolerance, so it
            // can be removed.
            self.spent.retain(|_, budget| budget.due(spacing, spacing.duration()) > now);
            self.prune_at = (self.spent.len() * 2).max(PRUNE_AT_MIN);
        }
        Ok(())
    }
}

/// With fewer groups than this, no budget is removed.
const PRUNE_AT_MIN: usize = 1_024;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::name::Host;
    use crate::rate::per_second;

    fn group(n: usize) -> Group {
        let url = url::Url::parse(&format!("http://h.g{n}.com/")).unwrap();
        Host::of(&url).unwrap().group()
    }

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_micros(millis * 1_000)
    }

    fn ten_a_second() -> GroupBudgets {
        GroupBudgets::new(Some(per_second(10)))
    }

    #[test]
    fn a_group_spends_one_budget_and_no_other_groups() {
        let mut budgets = ten_a_second();
        assert_eq!(budgets.spend(at(0), &group(1)), Ok(()));
        let until = budgets.spend(at(0), &group(1)).unwrap_err();
        assert!(until >= at(100) && until < at(102), "{until:?}");
        assert_eq!(budgets.spend(at(0), &group(2)), Ok(()));
        assert_eq!(budgets.spend(until, &group(1)), Ok(()));
    }

    #[test]
    fn without_a_rate_every_start_is_affordable() {
        let mut budgets = GroupBudgets::new(None);
        assert!((0..100).all(|_| budgets.spend(at(0), &group(1)).is_ok()));
        assert!(budgets.spent.is_empty());
    }

    #[test]
    fn groups_that_were_not_asked_lately_take_no_memory() {
        let mut budgets = ten_a_second();
        for n in 0..100_000 {
            budgets.spend(at(n as u64), &group(n)).unwrap();
        }
        assert!(budgets.spent.len() <= PRUNE_AT_MIN * 2, "{}", budgets.spent.len());
    }
}
