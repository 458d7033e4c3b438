//! Who waits for a slot, and who is next.
//!
//! Hosts that answer and hosts that may not wait in one line, first come, first served. But those that
//! may not (never heard, or closed after refusals and failures) never hold all slots: a few are left
//! for hosts that answer, so that however many servers stall, the others go on.

use std::collections::VecDeque;

/// What is known of a host that asks for a slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// It answered, and nothing was wrong since.
    Proven,
    /// It was never heard, or did not do well lately: a fetch may last until its deadline.
    Doubtful,
}

/// Those who wait, in two lines with common numbers.
#[derive(Debug)]
pub(super) struct SlotQueue<T> {
    proven: VecDeque<(u64, T)>,
    doubtful: VecDeque<(u64, T)>,
    next: u64,
}

impl<T> Default for SlotQueue<T> {
    fn default() -> Self {
        Self { proven: VecDeque::new(), doubtful: VecDeque::new(), next: 0 }
    }
}

impl<T> SlotQueue<T> {
    pub(super) fn push(&mut self, standing: Standing, host: T) {
        let number = self.next;
        self.next += 1;
        self.line(standing).push_back((number, host));
    }

    /// Takes out who is served next, where at most so many doubtful ones may hold a slot and so many do.
    pub(super) fn pop(&mut self, doubtful_max: u32, doubtful_out: u32) -> Option<(Standing, T)> {
        let doubtful_first = match (self.proven.front(), self.doubtful.front()) {
            (None, None) => return None,
            (Some((proven, _)), Some((doubtful, _))) => doubtful < proven,
            (proven, _) => proven.is_none(),
        };
        let standing = match doubtful_first && doubtful_out < doubtful_max {
            true => Standing::Doubtful,
            false => Standing::Proven,
        };
        self.line(standing).pop_front().map(|(_, host)| (standing, host))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.proven.is_empty() && self.doubtful.is_empty()
    }

    fn line(&mut self, standing: Standing) -> &mut VecDeque<(u64, T)> {
        match standing {
            Standing::Proven => &mut self.proven,
            Standing::Doubtful => &mut self.doubtful,
        }
    }
}

/// How many of `slots` doubtful hosts may hold: all but an eighth, and one at least.
pub(super) fn doubtful_max(slots: u32) -> u32 {
    if slots < FEW { slots } else { slots - slots.div_ceil(KEPT_PART) }
}

/// The part of the slots that is kept for proven hosts: a crawl that only ever meets new hosts
/// makes do without it.
const KEPT_PART: u32 = 8;
/// Of so few slots none can be spared.
const FEW: u32 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stalled_hosts_leave_slots_to_the_one_that_answers() {
        let mut queue = SlotQueue::default();
        for host in 0..64 {
            queue.push(Standing::Doubtful, host);
        }
        queue.push(Standing::Proven, 64);
        let max = doubtful_max(64);
        let mut out = 0;
        for host in 0..56 {
            assert_eq!(queue.pop(max, out), Some((Standing::Doubtful, host)));
            out += 1;
        }
        assert_eq!(queue.pop(max, out), Some((Standing::Proven, 64)));
        assert_eq!(queue.pop(max, out), None);
        assert_eq!(queue.pop(max, out - 1), Some((Standing::Doubtful, 56)));
        assert!(!queue.is_empty());
    }

    #[test]
    fn of_few_slots_none_is_kept() {
        for slots in 1..FEW {
            assert_eq!(doubtful_max(slots), slots);
        }
        assert_eq!((doubtful_max(4), doubtful_max(8), doubtful_max(64)), (3, 7, 56));
    }
}
