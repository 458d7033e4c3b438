//! The hosts of a crawl, the numbers that stand for them in keys, and the line of hosts with due records.
//!
//! Memory holds the hosts that this run has needed so far: about 350 bytes each, including the overhead of the
//! allocator (`cargo xtask frontier-bench` prints the figure). The other hosts are only on disk. A host is loaded
//! when a link or a retry needs it, or when its turn comes.

use std::collections::HashMap;

use opilio_core::Host;

use super::ahead::Ahead;
use super::keys::{HostId, QueueKey};
use crate::caps::Spent;
use crate::turn::{HostLines, HostTurn, LinePart};

/// The hosts of this run, and the order in which `hosts_ready` returns those that have due records.
pub(super) struct Hosts {
    ids: HashMap<Host, HostId>,
    entries: Vec<Option<Box<HostEntry>>>,
    lines: HostLines<HostId>,
    /// The host of the last look-up. Most look-ups are for the same host as the one before, because links come in
    /// runs of one host.
    last: Option<(Host, HostId)>,
    /// The next host to load, while the hosts that had records left at opening are loaded one after another. `None`
    /// when all are loaded.
    pub(super) walk: Option<HostId>,
    /// How many hosts have a number, in memory or on disk.
    numbered: u32,
}

/// The state of a host that is in memory.
pub(super) struct HostEntry {
    pub(super) host: Host,
    pub(super) turn: HostTurn,
    pub(super) due: DueCount,
    /// A queue key that is not greater than the key of any due record of the host that is only on disk, that is,
    /// neither leased nor read into memory.
    pub(super) head: QueueKey,
    pub(super) ahead: Option<Box<Ahead>>,
    /// The number of leases of the host that are not settled.
    pub(super) out: u32,
    /// The numbers of pages and bytes taken of the host. `None` while this run has not read them from disk.
    pub(super) spent: Option<Spent>,
    /// The depth of the host's next record, if that record has to wait until smaller depths are finished.
    pub(super) waits_at: Option<u16>,
}

/// How many records of a host are due and not leased.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum DueCount {
    /// Exactly this many records.
    Exact(u64),
    /// At least one record, which an earlier run left on disk.
    Some,
    /// An unknown number: an earlier run may have left records, and this is known only when the queue is read.
    Unknown,
}

impl DueCount {
    pub(super) fn add(&mut self, n: u64) {
        if let Self::Exact(count) = self {
            *count += n;
        }
    }

    pub(super) fn take_one(&mut self) {
        match self {
            Self::Exact(count) => *count = count.saturating_sub(1),
            Self::Some | Self::Unknown => *self = Self::Unknown,
        }
    }
}

impl Hosts {
    pub(super) fn new(numbered: u32) -> Self {
        Self {
            ids: HashMap::new(),
            entries: Vec::new(),
            lines: HostLines::default(),
            last: None,
            walk: (numbered > 0).then_some(HostId(1)),
            numbered,
        }
    }

    /// Returns the number of a host, if the host is in memory.
    pub(super) fn id_of(&mut self, host: &Host) -> Option<HostId> {
        if let Some((last, id)) = &self.last
            && last == host
        {
            return Some(*id);
        }
        let id = *self.ids.get(host)?;
        self.last = Some((host.clone(), id));
        Some(id)
    }

    /// Returns whether every host that has a number is in memory.
    pub(super) fn all_here(&self) -> bool {
        self.ids.len() as u64 == u64::from(self.numbered)
    }

    /// Returns how many hosts have a number.
    pub(super) fn numbered(&self) -> u32 {
        self.numbered
    }

    /// Gives a number to a host that has none, not even on disk. Returns `None` when all numbers are used up.
    pub(super) fn number(&mut self, host: &Host) -> Option<HostId> {
        let id = HostId(self.numbered.checked_add(1)?);
        self.numbered = id.0;
        self.place(id, host.clone(), DueCount::Exact(0), Some(Spent::default()));
        Some(id)
    }

    /// Loads into memory a host that got its number in an earlier run.
    pub(super) fn recall(&mut self, id: HostId, host: Host) {
        self.place(id, host, DueCount::Unknown, None);
    }

    fn place(&mut self, id: HostId, host: Host, due: DueCount, spent: Option<Spent>) {
        let at = id.0 as usize;
        if self.entries.len() <= at {
            self.entries.resize_with(at + 1, || None);
        }
        self.ids.insert(host.clone(), id);
        let (turn, head) = (HostTurn::NONE, QueueKey::first_of(id));
        let entry = HostEntry { host, turn, due, head, ahead: None, out: 0, spent, waits_at: None };
        self.entries[at] = Some(Box::new(entry));
    }

    /// Returns the state of a host, if the host is in memory.
    pub(super) fn entry(&mut self, id: HostId) -> Option<&mut HostEntry> {
        self.entries.get_mut(id.0 as usize)?.as_deref_mut()
    }

    /// Adds a host that has due records to those that wait for `hosts_ready` to return them, unless it waits already
    /// or the caller is leasing its records.
    pub(super) fn join_line(&mut self, id: HostId) {
        if let Some(entry) = self.entries.get_mut(id.0 as usize).and_then(Option::as_deref_mut)
            && entry.waits_at.is_none()
        {
            self.lines.join(id, &mut entry.turn);
        }
    }

    /// Records that the caller got fewer leases of the host than wanted. From now on the store returns the host before
    /// others when it has due records.
    pub(super) fn short(&mut self, id: HostId) {
        if let Some(entry) = self.entry(id) {
            entry.turn.short();
        }
    }

    /// Removes the next host from those that wait, and returns it. A host whose last lease did not come back short is
    /// returned only if `others` is true.
    pub(super) fn next_in_line(&mut self, others: bool) -> Option<(HostId, LinePart)> {
        while let Some((id, waited)) = self.lines.next(others) {
            if self.entry(id).is_some_and(|entry| entry.turn.called(waited)) {
                return Some((id, waited));
            }
        }
        None
    }
}
