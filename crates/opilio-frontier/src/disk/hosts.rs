//! The hosts: their names, the line of hosts with due work, and the records read ahead.
//!
//! In memory stand the hosts that this run has met, some 350 bytes each with all that the allocator
//! adds (`cargo xtask frontier-bench` prints it); the others are on disk
//! and come when a link, a retry or their turn brings them.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use opilio_core::Host;

use super::keys::{HostId, Key, Kind};
use super::pack;
use crate::caps::Spent;
use crate::encode::Reader;

/// The hosts of this run, and the line of hosts with due work that the caller does not lease yet.
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
    /// The depth of its next record, if that waits for its level.
    pub(super) waits_at: Option<u16>,
}

/// Whether the store or the caller tracks a host's due work.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Turn {
    /// Not in the line and not with the caller: no due work is known.
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
    /// At least one, which an earlier run left.
    Some,
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
        match self {
            Self::Exact(count) => *count = count.saturating_sub(1),
            Self::Some | Self::Unknown => *self = Self::Unknown,
        }
    }
}

/// It is not worth it for fewer bytes.
const SHRUNK_FROM: usize = 256;

/// What is read ahead of a host's leases.
pub(super) struct Ahead {
    /// Sorted; all that stands in the queue up to `to` and is not out.
    chunks: VecDeque<Read>,
    pub(super) to: Key,
}

/// A chunk that is read, and something of it is not out.
pub(super) struct Read {
    pub(super) key: Key,
    pub(super) of: u8,
    /// One bit for each record that is neither out nor settled; never none while it is kept.
    pub(super) left: u64,
    /// None of those stands before this one, which starts there in the bytes.
    pub(super) at: u8,
    pub(super) start: u32,
    pub(super) bytes: Arc<[u8]>,
}

impl Read {
    /// What it takes in memory.
    fn bytes(&self) -> usize {
        size_of::<Self>() + self.bytes.len()
    }

    /// The place in the order of its next record.
    fn rank(&self) -> Key {
        self.key.at_age(self.key.age() + u64::from(self.first()), Kind::Chunk)
    }

    /// The number of its next record.
    pub(super) fn first(&self) -> u8 {
        self.left.trailing_zeros() as u8
    }

    /// Goes on to its next record; none when it cannot be read.
    pub(super) fn next(&mut self) -> Option<&[u8]> {
        let first = self.first();
        let mut from = Reader(self.bytes.get(self.start as usize..)?);
        while self.at < first {
            pack::skip(&mut from)?;
            self.at += 1;
        }
        self.start = u32::try_from(self.bytes.len() - from.0.len()).ok()?;
        Some(from.0)
    }
}

impl Ahead {
    pub(super) fn new(to: Key) -> Self {
        Self { chunks: VecDeque::new(), to }
    }

    /// What it takes in memory.
    pub(super) fn bytes(&self) -> usize {
        self.chunks.iter().map(Read::bytes).sum()
    }

    /// How many records it has.
    pub(super) fn len(&self) -> usize {
        self.chunks.iter().map(|read| read.left.count_ones() as usize).sum()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Not after anything that it has.
    pub(super) fn head(&self) -> Key {
        self.chunks.front().map_or_else(|| self.to.next(), |first| first.key)
    }

    /// Gives back what was leased of the chunk that is next; tells how much that was.
    pub(super) fn shrink(&mut self) -> usize {
        let Some(first) = self.chunks.front_mut() else { return 0 };
        let used = first.start as usize;
        if used < SHRUNK_FROM {
            return 0;
        }
        first.bytes = first.bytes.get(used..).unwrap_or_default().into();
        first.start = 0;
        used
    }

    /// Adds a chunk.
    pub(super) fn insert(&mut self, read: Read) {
        let at = self.chunks.partition_point(|other| other.key < read.key);
        self.chunks.insert(at, read);
    }

    /// The chunk whose record goes first, and how many of it go before that of any other.
    ///
    /// Chunks do not overlap, but a single record that came back may stand within the ages of the
    /// chunk before it.
    pub(super) fn first(&mut self) -> Option<(&mut Read, u64)> {
        let first = self.chunks.front()?;
        let (rank, age, band) = (first.rank(), first.key.age(), first.key.at_age(0, Kind::Chunk));
        match self.chunks.get(1).map(Read::rank) {
            Some(second) if second <= rank => {
                let second = self.chunks.get_mut(1)?;
                let one = u64::from(second.first()) + 1;
                Some((second, one))
            }
            Some(second) if second.at_age(0, Kind::Chunk) == band => {
                Some((self.chunks.front_mut()?, second.age() - age))
            }
            _ => Some((self.chunks.front_mut()?, u64::MAX)),
        }
    }

    /// Forgets chunks of which nothing is left among the first two; tells what they took in memory.
    pub(super) fn drop_used_up(&mut self) -> usize {
        let before = self.chunks.len();
        let mut bytes = 0;
        for at in (0..before.min(2)).rev() {
            if self.chunks.get(at).is_some_and(|read| read.left == 0) {
                bytes += self.chunks.remove(at).map_or(0, |read| read.bytes());
            }
        }
        bytes
    }

    /// Takes off what an earlier run settled of a chunk; none when the chunk is not there.
    pub(super) fn settle(&mut self, key: Key, settled: u64) -> Option<u8> {
        let at = self.chunks.binary_search_by_key(&key, |read| read.key).ok()?;
        let read = self.chunks.get_mut(at)?;
        read.left &= !settled;
        let of = read.of;
        if read.left == 0 {
            self.chunks.remove(at);
        }
        Some(of)
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
        let slot = Slot { host, turn, work, head, ahead: None, out: 0, spent, waits_at: None };
        self.slots[at] = Some(Box::new(slot));
    }

    /// A host in memory.
    pub(super) fn slot(&mut self, id: HostId) -> Option<&mut Slot> {
        self.slots.get_mut(id.0 as usize)?.as_deref_mut()
    }

    /// Adds a host to the line, unless it is in the line or with the caller.
    pub(super) fn join_line(&mut self, id: HostId) {
        if let Some(slot) = self.slot(id)
            && slot.turn == Turn::Idle
            && slot.waits_at.is_none()
        {
            slot.turn = Turn::InLine;
            self.line.push_back(id);
        }
    }

    /// A host got all that its caps or its level allow, but less than was wanted: it is the store's again.
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
