//! The hosts: their names, who has to know about their due work, and what is read ahead of theirs.
//!
//! In memory stand the hosts that this run has met, some 350 bytes each with all that the allocator
//! adds (`cargo xtask frontier-bench` prints it); the others are on disk
//! and come when a link, a retry or their turn brings them.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use opilio_core::Host;

use super::keys::{HostId, Key};
use crate::caps::Spent;

/// The hosts of this run and the line of those that have due work and are nobody's.
pub(super) struct Hosts {
    ids: HashMap<Host, HostId>,
    slots: Vec<Option<Box<Slot>>>,
    line: VecDeque<HostId>,
    /// Links come in runs of one host: the last one spares most look-ups.
    last: Option<(Host, HostId)>,
    /// Where the walk over the hosts that an earlier run left is; none when it is through.
    pub(super) walk: Option<HostId>,
    /// How many hosts have a number.
    numbered: u32,
}

/// One host.
pub(super) struct Slot {
    pub(super) host: Host,
    pub(super) turn: Turn,
    pub(super) work: Work,
    /// Nothing of the host that is due and not out stands before it, except in `ahead`.
    pub(super) head: Key,
    pub(super) ahead: Option<Box<Ahead>>,
    /// Leases.
    pub(super) out: u32,
    /// What was taken of it; none when it was not read yet.
    pub(super) spent: Option<Spent>,
}

/// Who has to know about a host's due work.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Turn {
    /// Nobody, as far as is known.
    Idle,
    /// It stands in the line.
    InLine,
    /// The caller was told and asks for more until it gets less than it wanted.
    Told,
}

/// How many records of a host are due and not out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Work {
    /// So many.
    Exact(u64),
    /// An earlier run left some, or none: only reading tells.
    Unknown,
}

impl Work {
    pub(super) fn add(&mut self, n: u64) {
        if let Self::Exact(count) = self {
            *count += n;
        }
    }

    pub(super) fn take_one(&mut self) {
        if let Self::Exact(count) = self {
            *count = count.saturating_sub(1);
        }
    }
}

/// What is read ahead of a host's leases.
pub(super) struct Ahead {
    /// Sorted; all that stands in the queue up to `to` and is not out.
    pub(super) entries: VecDeque<Ready>,
    pub(super) to: Key,
}

/// A record that is read and not out.
pub(super) struct Ready {
    /// Its own place in the order.
    pub(super) rank: Key,
    /// Where it stands in the queue, and the how-manieth of how many there.
    pub(super) key: Key,
    pub(super) at: u8,
    pub(super) of: u8,
    /// It starts here in the bytes, and is so long.
    pub(super) start: u32,
    pub(super) len: u32,
    pub(super) bytes: Arc<[u8]>,
}

impl Ready {
    /// What it takes in memory.
    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>() + self.len as usize
    }

    pub(super) fn packed(&self) -> Option<&[u8]> {
        self.bytes.get(self.start as usize..)?.get(..self.len as usize)
    }
}

impl Ahead {
    /// What it takes in memory.
    pub(super) fn bytes(&self) -> usize {
        self.entries.iter().map(Ready::bytes).sum()
    }

    /// Puts a record at its place.
    pub(super) fn insert(&mut self, ready: Ready) {
        if self.entries.back().is_none_or(|last| last.rank < ready.rank) {
            self.entries.push_back(ready);
        } else {
            let at = self.entries.partition_point(|other| other.rank < ready.rank);
            self.entries.insert(at, ready);
        }
    }
}

impl Hosts {
    pub(super) fn new(numbered: u32) -> Self {
        Self {
            ids: HashMap::new(),
            slots: Vec::new(),
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

    /// Whether a host that is not in memory can be on disk.
    pub(super) fn all_here(&self) -> bool {
        self.ids.len() as u64 == u64::from(self.numbered)
    }

    /// How many hosts have a number.
    pub(super) fn numbered(&self) -> u32 {
        self.numbered
    }

    /// Numbers a host that no run has met; none when numbers are used up.
    pub(super) fn number(&mut self, host: &Host) -> Option<HostId> {
        let id = HostId(self.numbered.checked_add(1)?);
        self.numbered = id.0;
        self.place(id, host.clone(), Work::Exact(0), Some(Spent::default()));
        Some(id)
    }

    /// Takes a host into memory that an earlier run numbered.
    pub(super) fn recall(&mut self, id: HostId, host: Host) {
        self.place(id, host, Work::Unknown, None);
    }

    fn place(&mut self, id: HostId, host: Host, work: Work, spent: Option<Spent>) {
        let at = id.0 as usize;
        if self.slots.len() <= at {
            self.slots.resize_with(at + 1, || None);
        }
        self.ids.insert(host.clone(), id);
        let (turn, head) = (Turn::Idle, Key::first_of(id));
        let slot = Slot { host, turn, work, head, ahead: None, out: 0, spent };
        self.slots[at] = Some(Box::new(slot));
    }

    /// A host in memory.
    pub(super) fn slot(&mut self, id: HostId) -> Option<&mut Slot> {
        self.slots.get_mut(id.0 as usize)?.as_deref_mut()
    }

    /// Stands a host in the line, unless somebody knows of its work.
    pub(super) fn join_line(&mut self, id: HostId) {
        if let Some(slot) = self.slot(id)
            && slot.turn == Turn::Idle
        {
            slot.turn = Turn::InLine;
            self.line.push_back(id);
        }
    }

    /// A host got all that its caps allow, but less than was wanted: it is the store's again.
    pub(super) fn release(&mut self, id: HostId) {
        if let Some(slot) = self.slot(id)
            && slot.turn == Turn::Told
        {
            slot.turn = Turn::Idle;
        }
    }

    /// The host that waited longest.
    pub(super) fn next_in_line(&mut self) -> Option<HostId> {
        self.line.pop_front()
    }
}
