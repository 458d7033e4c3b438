//! The queue of hosts that wait for a slot.
//!
//! Hosts whose connection is idle are served first: they answer, and no request of them is in flight. So a host
//! that has had its first turn goes on over the connection that it has, before the connection is closed for the
//! connections of others. The other hosts wait in one queue: first come, first served. They get at least every
//! eighth slot, so that each of them gets its turn, however many hosts go on.
//!
//! Only the hosts that came last count as connected, as many as connections can be kept for them. The hosts before
//! them wait with the others: their connections have been idle for longest, so they are the first to be closed. If they
//! were served in turn instead, each would find its connection closed, and its new connection would close that of the
//! next host.
//!
//! Doubtful hosts (they never answered, or are closed after refusals or failures) never hold all slots, since a
//! few are reserved for hosts that answer. So fetches from these continue even if many other servers do not answer.

use std::collections::VecDeque;

/// The standing of a host that asks for a slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// The host is proven, and no request of it is in flight, so that the connection of its last request is idle.
    Connected,
    /// The host has answered, and has not failed or refused since. Requests of it are in flight.
    Proven,
    /// The host never answered, or it refused or failed lately. A fetch from it may last until its deadline.
    Doubtful,
}

/// The waiting hosts, in lists by their standing. Each entry has a number, which gives the common order of all lists
/// but the first.
#[derive(Debug)]
pub(super) struct SlotQueue<T> {
    connected: VecDeque<(u64, T)>,
    /// The most hosts that count as connected.
    connected_max: usize,
    /// The hosts that asked as connected hosts and do not count as such any more, since others came after them.
    overtaken: VecDeque<(u64, T)>,
    proven: VecDeque<(u64, T)>,
    doubtful: VecDeque<(u64, T)>,
    next: u64,
    /// How many connected hosts were served since another host was.
    in_a_row: u32,
}

impl<T: PartialEq> SlotQueue<T> {
    pub(super) fn new(connected_max: usize) -> Self {
        Self {
            connected: VecDeque::new(),
            connected_max,
            overtaken: VecDeque::new(),
            proven: VecDeque::new(),
            doubtful: VecDeque::new(),
            next: 0,
            in_a_row: 0,
        }
    }

    /// Adds a host. A proven host that waits already moves to the connected ones when its last request has ended. Few
    /// hosts are proven and not connected: at most one for each request in flight.
    pub(super) fn push(&mut self, standing: Standing, host: T) {
        if standing == Standing::Connected {
            self.proven.retain(|(_, other)| *other != host);
        }
        let entry = (self.next, host);
        self.next += 1;
        match standing {
            Standing::Connected => self.connected.push_back(entry),
            Standing::Proven => self.proven.push_back(entry),
            Standing::Doubtful => self.doubtful.push_back(entry),
        }
        if self.connected.len() > self.connected_max {
            self.overtaken.extend(self.connected.pop_front());
        }
    }

    /// Removes and returns the next host to serve. A doubtful host is served only if doubtful hosts hold
    /// fewer slots (`doubtful_out`) than they may hold (`doubtful_max`).
    pub(super) fn pop(&mut self, doubtful_max: u32, doubtful_out: u32) -> Option<(Standing, T)> {
        let connected_first = self.in_a_row < CONNECTED_IN_A_ROW;
        if connected_first && let Some((_, host)) = self.connected.pop_front() {
            self.in_a_row += 1;
            return Some((Standing::Connected, host));
        }
        if let Some(other) = self.pop_other(doubtful_out < doubtful_max) {
            self.in_a_row = 0;
            return Some(other);
        }
        self.connected.pop_front().map(|(_, host)| (Standing::Connected, host))
    }

    /// Removes and returns the host that has waited longest among those that do not count as connected.
    fn pop_other(&mut self, doubtful_too: bool) -> Option<(Standing, T)> {
        let doubtful = if doubtful_too { self.doubtful.front() } else { None };
        let fronts = [self.overtaken.front(), self.proven.front(), doubtful];
        let first = fronts.into_iter().flatten().map(|(number, _)| *number).min()?;
        let pop = |standing, line: &mut VecDeque<(u64, T)>| {
            let (_, host) = line.pop_front_if(|(number, _)| *number == first)?;
            Some((standing, host))
        };
        pop(Standing::Proven, &mut self.overtaken)
            .or_else(|| pop(Standing::Proven, &mut self.proven))
            .or_else(|| pop(Standing::Doubtful, &mut self.doubtful))
    }

    pub(super) fn len(&self) -> usize {
        self.connected.len() + self.overtaken.len() + self.proven.len() + self.doubtful.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Returns how many of `slots` doubtful hosts may hold together: all but an eighth, and at least one.
pub(super) fn doubtful_max(slots: u32) -> u32 {
    if slots < FEW { slots } else { slots - slots.div_ceil(KEPT_PART) }
}

/// How many connected hosts are served in a row while others wait that could be served.
pub(super) const CONNECTED_IN_A_ROW: u32 = 7;
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
        let mut queue = SlotQueue::new(99);
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
    fn connected_hosts_go_first_and_others_get_every_eighth_slot() {
        let mut queue = SlotQueue::new(99);
        (0..4).for_each(|host| queue.push(Standing::Doubtful, host));
        (10..30).for_each(|host| queue.push(Standing::Connected, host));
        let order: Vec<i32> = std::iter::from_fn(|| queue.pop(8, 0)).map(|(_, host)| host).collect();
        let expected: Vec<i32> =
            (10..17).chain([0]).chain(17..24).chain([1]).chain(24..30).chain([2, 3]).collect();
        assert_eq!(order, expected);
    }

    #[test]
    fn of_many_connected_hosts_those_that_came_last_go_first() {
        let mut queue = SlotQueue::new(3);
        (0..6).for_each(|host| queue.push(Standing::Connected, host));
        queue.push(Standing::Proven, 6);
        queue.push(Standing::Connected, 7);
        let order: Vec<i32> = std::iter::from_fn(|| queue.pop(8, 0)).map(|(_, host)| host).collect();
        assert_eq!(order, [4, 5, 7, 0, 1, 2, 3, 6]);
    }

    #[test]
    fn a_host_whose_last_request_has_ended_leaves_the_hosts_that_ask_for_more() {
        let mut queue = SlotQueue::new(99);
        (0..3).for_each(|host| queue.push(Standing::Proven, host));
        queue.push(Standing::Connected, 1);
        let order: Vec<i32> = std::iter::from_fn(|| queue.pop(8, 0)).map(|(_, host)| host).collect();
        assert_eq!(order, [1, 0, 2]);
    }

    #[test]
    fn of_few_slots_none_is_kept() {
        for slots in 1..FEW {
            assert_eq!(doubtful_max(slots), slots);
        }
        assert_eq!((doubtful_max(4), doubtful_max(8), doubtful_max(64)), (3, 7, 56));
    }
}
