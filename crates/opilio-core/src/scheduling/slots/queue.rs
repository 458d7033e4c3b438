//! The queue of hosts that wait for a slot.
//!
//! Hosts whose connection is idle are served first: they answer, and no request of them is in flight. So a host
//! that has had its first turn goes on over the connection that it has, before the connection is closed for the
//! connections of others. The other hosts wait in one queue: first come, first served. They get at least every
//! eighth slot, so that each of them gets its turn, however many hosts go on.
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

/// The waiting hosts, in one list for each standing. Each entry has a number, which gives the common order of
/// the lists of proven and of doubtful hosts.
#[derive(Debug)]
pub(super) struct SlotQueue<T> {
    connected: VecDeque<(u64, T)>,
    proven: VecDeque<(u64, T)>,
    doubtful: VecDeque<(u64, T)>,
    next: u64,
    /// How many connected hosts were served since another host was.
    in_a_row: u32,
}

impl<T> Default for SlotQueue<T> {
    fn default() -> Self {
        Self {
            connected: VecDeque::new(),
            proven: VecDeque::new(),
            doubtful: VecDeque::new(),
            next: 0,
            in_a_row: 0,
        }
    }
}

impl<T: PartialEq> SlotQueue<T> {
    /// Adds a host. A proven host that waits already moves to the connected ones when its last request has ended. Few
    /// hosts are proven and not connected: at most one for each request in flight.
    pub(super) fn push(&mut self, standing: Standing, host: T) {
        if standing == Standing::Connected {
            self.proven.retain(|(_, other)| *other != host);
        }
        let number = self.next;
        self.next += 1;
        self.line(standing).push_back((number, host));
    }

    /// Removes and returns the next host to serve. A doubtful host is served only if doubtful hosts hold
    /// fewer slots (`doubtful_out`) than they may hold (`doubtful_max`).
    pub(super) fn pop(&mut self, doubtful_max: u32, doubtful_out: u32) -> Option<(Standing, T)> {
        let others = self.next_of_others(doubtful_max, doubtful_out);
        let standing = match others {
            Some(standing) if self.connected.is_empty() || self.in_a_row >= CONNECTED_IN_A_ROW => standing,
            _ => Standing::Connected,
        };
        let (_, host) = self.line(standing).pop_front()?;
        self.in_a_row = if standing == Standing::Connected { self.in_a_row.saturating_add(1) } else { 0 };
        Some((standing, host))
    }

    /// Returns the standing of the host to serve next among those that are not connected.
    fn next_of_others(&self, doubtful_max: u32, doubtful_out: u32) -> Option<Standing> {
        let doubtful_first = match (self.proven.front(), self.doubtful.front()) {
            (None, None) => return None,
            (Some((proven, _)), Some((doubtful, _))) => doubtful < proven,
            (proven, _) => proven.is_none(),
        };
        match doubtful_first && doubtful_out < doubtful_max {
            true => Some(Standing::Doubtful),
            false => (!self.proven.is_empty()).then_some(Standing::Proven),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.connected.len() + self.proven.len() + self.doubtful.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn line(&mut self, standing: Standing) -> &mut VecDeque<(u64, T)> {
        match standing {
            Standing::Connected => &mut self.connected,
            Standing::Proven => &mut self.proven,
            Standing::Doubtful => &mut self.doubtful,
        }
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
    fn connected_hosts_go_first_and_others_get_every_eighth_slot() {
        let mut queue = SlotQueue::default();
        (0..4).for_each(|host| queue.push(Standing::Doubtful, host));
        (10..30).for_each(|host| queue.push(Standing::Connected, host));
        let order: Vec<i32> = std::iter::from_fn(|| queue.pop(8, 0)).map(|(_, host)| host).collect();
        let expected: Vec<i32> =
            (10..17).chain([0]).chain(17..24).chain([1]).chain(24..30).chain([2, 3]).collect();
        assert_eq!(order, expected);
    }

    #[test]
    fn a_host_whose_last_request_has_ended_leaves_the_hosts_that_ask_for_more() {
        let mut queue = SlotQueue::default();
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
