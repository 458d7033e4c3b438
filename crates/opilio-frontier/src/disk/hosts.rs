//! The hosts: their names and the line of hosts with due work.
//!
//! Memory holds the hosts that this run has met: some 350 bytes each, overhead of the allocator included
//! (`cargo xtask frontier-bench` prints the figure). The others are on disk, and a link, a retry or their
//! turn loads them.

use std::collections::{HashMap, VecDeque};

use opilio_core::Host;

use super::ahead::Ahead;
use super::keys::{HostId, QueueKey};
use crate::caps::Spent;
use crate::turn::HostTurn;

/// The hosts of this run, and the line of hosts with due work that the caller does not lease yet.
pub(super) struct Hosts {
    ids: HashMap<Host, HostId>,
    entries: Vec<Option<Box<HostEntry>>>,
    line: VecDeque<HostId>,
    /// The host of the last look-up. Links come in runs of one host, so it spares most look-ups.
    last: Option<(Host, HostId)>,
    /// The next host of the walk over the hosts that an earlier run left. `None` after the walk.
    pub(super) walk: Option<HostId>,
    /// How many hosts have a number.
    numbered: u32,
}

/// One host.
pub(super) struct HostEntry {
    pub(super) host: Host,
    pub(super) turn: HostTurn,
    pub(super) due: DueCount,
    /// A key at or before every record of the host that is due and not out, except those in `ahead`.
    pub(super) head: QueueKey,
    pub(super) ahead: Option<Box<Ahead>>,
    /// The number of leases that are out.
    pub(super) out: u32,
    /// The pages and bytes taken of the host. `None` when this run has not read them yet.
    pub(super) spent: Option<Spent>,
    /// The depth of the host's next record, if that record waits for its level.
    pub(super) waits_at: Option<u16>,
}

/// How many records of a host are due and not out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum DueCount {
    /// Exactly so many.
    Exact(u64),
    /// At least one, which an earlier run left.
    Some,
    /// Unknown: an earlier run may have left some, and only reading shows it.
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
            line: VecDeque::new(),
            last: None,
            walk: (numbered > 0).then_some(HostId(1)),
            numbered,
        }
    }

    /// The number of a host that is in memory.
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

    /// Whether all numbered hosts are in memory, so that none is on disk only.
    pub(super) fn all_here(&self) -> bool {
        self.ids.len() as u64 == u64::from(self.numbered)
    }

    /// How many hosts have a number.
    pub(super) fn numbered(&self) -> u32 {
        self.numbered
    }

    /// Gives a number to a host that no run has met. `None` when the numbers are used up.
    pub(super) fn number(&mut self, host: &Host) -> Option<HostId> {
        let id = HostId(self.numbered.checked_add(1)?);
        self.numbered = id.0;
        self.place(id, host.clone(), DueCount::Exact(0), Some(Spent::default()));
        Some(id)
    }

    /// Loads a host into memory that an earlier run numbered.
    pub(super) fn recall(&mut self, id: HostId, host: Host) {
        self.place(id, host, DueCount::Unknown, None);
    }

    fn place(&mut self, id: HostId, host: Host, due: DueCount, spent: Option<Spent>) {
        let at = id.0 as usize;
        if self.entries.len() <= at {
            self.entries.resize_with(at + 1, || None);
        }
        self.ids.insert(host.clone(), id);
        let (turn, head) = (HostTurn::Idle, QueueKey::first_of(id));
        let entry = HostEntry { host, turn, due, head, ahead: None, out: 0, spent, waits_at: None };
        self.entries[at] = Some(Box::new(entry));
    }

    /// The entry of a host in memory.
    pub(super) fn entry(&mut self, id: HostId) -> Option<&mut HostEntry> {
        self.entries.get_mut(id.0 as usize)?.as_deref_mut()
    }

    /// Adds a host to the line, unless it is in the line or with the caller.
    pub(super) fn join_line(&mut self, id: HostId) {
        if let Some(entry) = self.entry(id)
            && entry.turn == HostTurn::Idle
            && entry.waits_at.is_none()
        {
            entry.turn = HostTurn::InLine;
            self.line.push_back(id);
        }
    }

    /// The host got fewer leases than wanted, because of its caps or its level: the store tracks it again.
    pub(super) fn release(&mut self, id: HostId) {
        if let Some(entry) = self.entry(id)
            && entry.turn == HostTurn::Told
        {
            entry.turn = HostTurn::Idle;
        }
    }

    /// Takes the host that waited longest off the line.
    pub(super) fn next_in_line(&mut self) -> Option<HostId> {
        self.line.pop_front()
    }
}
