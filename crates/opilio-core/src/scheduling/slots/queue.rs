//! The queue of hosts that wait for a slot.
//!
//! Proven hosts (they answer) and doubtful hosts (they never answered, or are closed after refusals or
//! failures) wait in one queue: first come, first served. Doubtful hosts never hold all slots, since a few
//! are reserved for proven hosts. So fetches from proven hosts continue even if many other servers do not
//! answer.

use std::collections::VecDeque;

/// The standing of a host that asks for a slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// The host has answered, and has not failed or refused since.
    Proven,
    /// The host never answered, or it refused or failed lately. A fetch from it may last until its deadline.
    Doubtful,
}

/// The waiting hosts, in one list for each standing. Each entry has a number, which gives the common order of
/// both lists.
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

    /// Removes and returns the next host to serve. A doubtful host is served only if doubtful hosts hold
    /// fewer slots (`doubtful_out`) than they may hold (`doubtful_max`).
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

/// Returns how many of `slots` doubtful hosts may hold together: all but an eighth, and at least one.
pub(super) fn doubtful_max(slots: u32) -> u32 {
    if slots < FEW { slots } else { slots - slots.div_ceil(KEPT_PART) }
}

/// The part of the slots that is reserved for proven hosts: one in this many. If all hosts of a crawl are
/// new, these slots stay unused.
const KEPT_PART: u32 = 8;
/// The fewest slots of which some are reserved for proven hosts. If there are fewer, none is reserved.
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
