//! Records that were read ahead of their lease.

use std::collections::VecDeque;
use std::sync::Arc;

use super::keys::{EntryKind, QueueKey};
use super::pack::{self, CHUNK_RECORDS};
use crate::encode::Reader;

/// The records of one host that were read ahead of their lease.
pub(super) struct Ahead {
    /// Sorted. They hold all records of the queue up to `to` that are not out.
    chunks: VecDeque<ReadChunk>,
    pub(super) to: QueueKey,
}

/// A chunk that was read and has a record that is not out.
pub(super) struct ReadChunk {
    pub(super) key: QueueKey,
    pub(super) of: u8,
    /// One bit for each record that is neither out nor settled. At least one bit is set.
    pub(super) left: u64,
    /// The first record that can be left.
    pub(super) at: u8,
    /// Where that record starts in `bytes`.
    pub(super) start: u32,
    pub(super) bytes: Arc<[u8]>,
}

impl ReadChunk {
    /// Its memory.
    fn bytes(&self) -> usize {
        size_of::<Self>() + self.bytes.len()
    }

    /// The place in the order of its next record.
    fn rank(&self) -> QueueKey {
        self.key.at_age(self.key.age() + u64::from(self.first()), EntryKind::Chunk)
    }

    /// The number of its next record.
    pub(super) fn first(&self) -> u8 {
        self.left.trailing_zeros() as u8
    }

    /// The bytes from its next record on, or `None` when they cannot be read.
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
    pub(super) fn new(to: QueueKey) -> Self {
        Self { chunks: VecDeque::new(), to }
    }

    /// Its memory.
    pub(super) fn bytes(&self) -> usize {
        self.chunks.iter().map(ReadChunk::bytes).sum()
    }

    /// The number of its records.
    pub(super) fn len(&self) -> usize {
        self.chunks.iter().map(|read| read.left.count_ones() as usize).sum()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// A key at or before the first of its records.
    pub(super) fn head(&self) -> QueueKey {
        self.chunks.front().map_or_else(|| self.to.next(), |first| first.key)
    }

    /// Drops the leased bytes of the first chunk and returns their number.
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

    /// Adds a chunk without the records that are `taken`, one bit each. Returns how many records that adds,
    /// or `None` when the chunk cannot be read.
    pub(super) fn load(&mut self, key: QueueKey, value: &[u8], taken: u64) -> Option<usize> {
        let of = *value.first()?;
        if of == 0 || usize::from(of) > CHUNK_RECORDS {
            return None;
        }
        let left = u64::MAX >> (64 - u32::from(of)) & !taken;
        if left != 0 {
            // A copy: a part of the block that it was read from would keep the whole block in memory.
            self.insert(ReadChunk { key, of, left, at: 0, start: 1, bytes: value.into() });
        }
        self.to = self.to.max(key.at_age(key.age() + u64::from(of) - 1, EntryKind::Chunk).end_of_age());
        Some(left.count_ones() as usize)
    }

    fn insert(&mut self, read: ReadChunk) {
        let at = self.chunks.partition_point(|other| other.key < read.key);
        self.chunks.insert(at, read);
    }

    /// The chunk with the next record, and the number below which its records go before those of any other
    /// chunk.
    ///
    /// Chunks do not overlap, but a single record that came back may stand within the ages of the
    /// chunk before it.
    pub(super) fn first(&mut self) -> Option<(&mut ReadChunk, u64)> {
        let first = self.chunks.front()?;
        let (rank, age, band) = (first.rank(), first.key.age(), first.key.at_age(0, EntryKind::Chunk));
        match self.chunks.get(1).map(ReadChunk::rank) {
            Some(second) if second <= rank => {
                let second = self.chunks.get_mut(1)?;
                let one = u64::from(second.first()) + 1;
                Some((second, one))
            }
            Some(second) if second.at_age(0, EntryKind::Chunk) == band => {
                Some((self.chunks.front_mut()?, second.age() - age))
            }
            _ => Some((self.chunks.front_mut()?, u64::MAX)),
        }
    }

    /// Drops those of the first two chunks that have no record left, and returns their memory.
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

    /// Removes the records of a chunk that an earlier run settled. Returns how many records the chunk had, or
    /// `None` when there is no such chunk.
    pub(super) fn settle(&mut self, key: QueueKey, settled: u64) -> Option<u8> {
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

/// The fewest leased bytes for which a chunk is copied without them.
const SHRUNK_FROM: usize = 256;
