//! Which steps are too slow to be parsed on the shard's own thread.

use std::collections::HashMap;
use std::mem::Discriminant;
use std::time::Duration;

/// Remembers for each kind of step how often `parse` took longer than an arbiter can spare.
pub(crate) struct SlowSteps<Step> {
    /// A bit for each of the last 32 pages: set where it was slow.
    history: HashMap<Discriminant<Step>, u32>,
}

impl<Step> SlowSteps<Step> {
    pub(crate) fn new() -> Self {
        Self { history: HashMap::new() }
    }

    /// Whether more than one page in twenty of this kind is slow: its 95th percentile is over the limit.
    pub(crate) fn is_slow(&self, step: &Step) -> bool {
        self.history.get(&std::mem::discriminant(step)).is_some_and(|history| history.count_ones() > 1)
    }

    pub(crate) fn took(&mut self, step: Discriminant<Step>, span: Duration) {
        let history = self.history.entry(step).or_insert(0);
        *history = *history << 1 | u32::from(span > SPARE);
    }
}

/// Beyond this a page keeps the other hosts of its shard waiting.
const SPARE: Duration = Duration::from_millis(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_slow_page_is_an_accident_and_two_are_a_habit_that_fades() {
        enum Step {
            Listing,
            Product,
        }
        let kind = std::mem::discriminant(&Step::Product);
        let mut slow = SlowSteps::new();
        slow.took(kind, Duration::from_millis(20));
        assert!(!slow.is_slow(&Step::Product));
        slow.took(kind, Duration::from_millis(20));
        assert!(slow.is_slow(&Step::Product));
        assert!(!slow.is_slow(&Step::Listing));
        for _ in 0..31 {
            slow.took(kind, Duration::from_micros(100));
        }
        assert!(!slow.is_slow(&Step::Product));
    }
}
