//! The records of a host that are read from disk before they are leased ("ahead").

use std::collections::VecDeque;
use std::sync::Arc;

use super::keys::{EntryKind, QueueKey};
use super::pack::{self, CHUNK_RECORDS};
use crate::encode::Reader;

/// The records of one host that were read from disk before they are leased.
pub(super) struct Ahead {
    /// The chunks, sorted by key. They contain every record of the host's queue up to the key `to` that is not
    /// leased.
    chunks: VecDeque<ReadChunk>,
    pub(super) to: QueueKey,
}

/// A chunk that was read from disk and still contains a record to lease.
pub(super) struct ReadChunk {
    pub(super) key: QueueKey,
    pub(super) of: u8,
    /// One bit for each record of the chunk: 1 if the record is neither leased nor settled. At least one bit is 1.
    pub(super) left: u64,
    /// The number, within the chunk, of the record that starts at `start`. Every record before it is leased or
    /// settled.
    pub(super) at: u8,
    /// The offset in `bytes` at which the record with the number `at` starts.
    pub(super) start: u32,
    pub(super) bytes: Arc<[u8]>,
}

impl ReadChunk {
    /// Returns the bytes of memory that the chunk takes.
    fn bytes(&self) -> usize {
        size_of::<Self>() + self.bytes.len()
    }

    /// Returns the queue position of the next record to lease.
    fn rank(&self) -> QueueKey {
        self.key.at_age(self.key.age() + u64::from(self.first()), EntryKind::Chunk)
    }

    /// Returns the number, within the chunk, of the next record to lease.
    pub(super) fn first(&self) -> u8 {
        self.left.trailing_zeros() as u8
    }

    /// Returns the bytes of the chunk from the next record to lease on, or `None` when the records are damaged.
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

    /// Returns the bytes of memory that all records in this value take.
    pub(super) fn bytes(&self) -> usize {
        self.chunks.iter().map(ReadChunk::bytes).sum()
    }

    /// Returns the number of records that were read from disk and are not leased yet.
    pub(super) fn len(&self) -> usize {
        self.chunks.iter().map(|read| read.left.count_ones() as usize).sum()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Returns a queue key that is not greater than the key of any of these records.
    pub(super) fn head(&self) -> QueueKey {
        self.chunks.front().map_or_else(|| self.to.next(), |first| first.key)
    }

    /// Frees the memory of the leased records at the front of the first chunk, and returns the number of bytes freed.
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

    /// Adds the records of a chunk, except those whose bits are set in `taken`. Returns how many records were added,
    /// or `None` when the chunk is damaged.
    pub(super) fn load(&mut self, key: QueueKey, value: &[u8], taken: u64) -> Option<usize> {
        let of = *value.first()?;
        if of == 0 || usize::from(of) > CHUNK_RECORDS {
            return None;
        }
        let left = u64::MAX >> (64 - u32::from(of)) & !taken;
        if left != 0 {
            // The bytes are copied. Without the copy they would be a part of a block of the database, and would keep
            // the whole block in memory.
            self.insert(ReadChunk { key, of, left, at: 0, start: 1, bytes: value.into() });
        }
        self.to = self.to.max(key.at_age(key.age() + u64::from(of) - 1, EntryKind::Chunk).end_of_age());
        Some(left.count_ones() as usize)
    }

    fn insert(&mut self, read: ReadChunk) {
        let at = self.chunks.partition_point(|other| other.key < read.key);
        self.chunks.insert(at, read);
    }

    /// Returns the chunk with the next record to lease, and a limit: the records of the chunk whose numbers are below
    /// the limit are leased before the records of every other chunk.
    ///
    /// The ranges of ages of two chunks do not overlap. But the age of a single record that came back to the queue
    /// may lie between the ages of another chunk.
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

    /// Removes each of the first two chunks that has no record left to lease. Returns the bytes of memory that were
    /// freed.
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

    /// Removes the records of a chunk that an earlier run settled. Returns the number of all records of the chunk, or
    /// `None` when the chunk was not read ahead.
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

/// The number of bytes of leased records from which on these bytes are freed, by copying the rest of the chunk.
const SHRUNK_FROM: usize = 256;
