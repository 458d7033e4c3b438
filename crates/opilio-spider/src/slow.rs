//! Notes which steps a spider parses so slowly that their pages should be parsed on another thread than the shard's.

use std::collections::HashMap;
use std::mem::Discriminant;
use std::time::Duration;

/// For each kind of step (enum variant), notes how often `parse` took more than 5 ms. While `parse` runs on the
/// shard's own thread, all other hosts of the shard wait.
pub struct SlowSteps<Step> {
    /// The last 32 pages of each kind, one bit each: 1 means that `parse` was slow. The lowest bit is the
    /// latest page.
    history: HashMap<Discriminant<Step>, u32>,
}

impl<Step> Default for SlowSteps<Step> {
    fn default() -> Self {
        Self { history: HashMap::new() }
    }
}

impl<Step> SlowSteps<Step> {
    /// Returns whether `parse` was slow for more than one of the last 32 pages of this kind. This means that the 95th
    /// percentile of its duration is over the limit.
    pub fn is_slow(&self, step: &Step) -> bool {
        self.history.get(&std::mem::discriminant(step)).is_some_and(|history| history.count_ones() > 1)
    }

    /// Records how long `parse` took for a page of this kind of step.
    pub fn took(&mut self, step: Discriminant<Step>, span: Duration) {
        let history = self.history.entry(step).or_insert(0);
        *history = *history << 1 | u32::from(span > SPARE);
    }
}

/// The longest time that `parse` may take on a shard's own thread: it delays all hosts of the shard.
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
        let mut slow = SlowSteps::default();
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
