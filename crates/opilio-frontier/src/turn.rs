//! The order in which a store returns the hosts that have due records.
//!
//! A host whose records the caller leases already does not stand in line again: when its last lease came back short
//! (fewer records than wanted) and it has due records now, it is returned before all hosts in the line. So it goes on
//! at once, over the connection that it has, however many other hosts wait.

use std::collections::VecDeque;

/// The state of a host between the calls of [`Frontier`](crate::Frontier) that concern leases.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HostTurn {
    leasing: Leasing,
    /// True while the line of hosts with due records has an entry for this host.
    in_line: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Leasing {
    /// The caller leases no records of the host.
    No,
    /// [`hosts_ready`](crate::Frontier::hosts_ready) has returned the host. The caller leases its records until a lease
    /// comes back short.
    Told,
    /// The last lease came back short, so the caller waits for more due records.
    Short,
    /// As `Short`, and the host has due records now, so it is among the hosts to return first.
    Due,
}

/// Where a host waited.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum LinePart {
    /// Among the hosts whose last lease came back short.
    First,
    /// In the line of the other hosts.
    InLine,
}

impl HostTurn {
    /// The state of a host of which nobody has leased records, and which has no due records.
    pub(crate) const NONE: Self = Self { leasing: Leasing::No, in_line: false };

    /// Records that a lease came back short.
    pub(crate) fn short(&mut self) {
        if self.leasing != Leasing::Due {
            self.leasing = Leasing::Short;
        }
    }

    /// Records that the caller leases no more records of the host. If the host has due records, it has to be given to
    /// [`HostLines::join`] after this call.
    pub(crate) fn stop(&mut self) {
        self.leasing = Leasing::No;
    }

    /// Records that [`HostLines::next`] has returned the host. Returns false if it came from a place that it has left
    /// since it took it.
    pub(crate) fn called(&mut self, from: LinePart) -> bool {
        match from {
            LinePart::First => self.leasing == Leasing::Due,
            LinePart::InLine => {
                self.in_line = false;
                self.leasing == Leasing::No
            }
        }
    }

    /// Records whether `hosts_ready` returns the host that was called.
    pub(crate) fn tell(&mut self, is_told: bool) {
        self.leasing = match self.leasing {
            _ if is_told => Leasing::Told,
            Leasing::Due => Leasing::Short,
            other => other,
        };
    }

    /// Returns true if the host is not in line and the caller leases no records of it.
    #[cfg(feature = "disk")]
    pub(crate) fn is_untold(&self) -> bool {
        !self.in_line && self.leasing == Leasing::No
    }
}

/// The hosts with due records that wait for `hosts_ready` to return them; `I` is a host's number in the store.
#[derive(Debug)]
pub(crate) struct HostLines<I> {
    /// The hosts whose last lease came back short.
    first: VecDeque<I>,
    /// The other hosts, in order of arrival.
    line: VecDeque<I>,
}

impl<I> Default for HostLines<I> {
    fn default() -> Self {
        Self { first: VecDeque::new(), line: VecDeque::new() }
    }
}

impl<I: Copy> HostLines<I> {
    /// Adds a host that has due records, unless it waits already or the caller leases on anyway.
    pub(crate) fn join(&mut self, id: I, turn: &mut HostTurn) {
        match turn.leasing {
            Leasing::No if !turn.in_line => {
                turn.in_line = true;
                self.line.push_back(id);
            }
            Leasing::Short => {
                turn.leasing = Leasing::Due;
                self.first.push_back(id);
            }
            Leasing::No | Leasing::Told | Leasing::Due => {}
        }
    }

    /// Removes and returns the next host, and where it waited. A host of the line is returned only if `others` is true.
    pub(crate) fn next(&mut self, others: bool) -> Option<(I, LinePart)> {
        let first = self.first.pop_front().map(|id| (id, LinePart::First));
        first.or_else(|| self.line.pop_front_if(|_| others).map(|id| (id, LinePart::InLine)))
    }
}
