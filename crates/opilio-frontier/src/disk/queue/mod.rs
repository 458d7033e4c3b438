//! The due records: they are written in chunks, read from disk before they are leased, and settled one by one.
//!
//! A record is in one of three states: only on disk, read ahead ([`Ahead`](super::ahead::Ahead)), or leased. When a
//! record is settled, a bit that is stored beside its chunk is set; when the whole chunk is settled, chunk and bits
//! are removed. A lease writes nothing. Reading never starts at the first key of a host, because there lie the
//! tombstones (marks of removed keys) of settled records, which are slow to read.

mod hasher;
mod reading;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use fjall::{Keyspace, OwnedWriteBatch};
use opilio_core::{Fingerprint, Host, Lease, LeaseId, Priority, Record};

use super::hosts::{DueCount, HostEntry, Hosts};
use super::keys::{EntryKind, HostId, QueueKey};
use super::pack::{self, CHUNK_BYTES, CHUNK_RECORDS, pack};
use crate::encode::Reader;
use crate::levels::keeps_level;
use hasher::ByPlace;
use opilio_core::Order;
pub(super) use reading::ReadError;

/// The due records of all hosts.
pub(super) struct Queue {
    stored: Keyspace,
    order: Order,
    out: HashMap<LeaseId, QueuedLease, ByPlace>,
    /// The chunks with at least one record that is leased or settled.
    open: HashMap<QueueKey, OpenChunk, ByPlace>,
    /// The chunks with records that the next commit settles. The bits tell which records.
    touched: Vec<(QueueKey, u64)>,
    next_lease: u64,
    /// For each record of a chunk that the current call leases: its number in the chunk, and its offset. This is a
    /// field only so that its memory is used again.
    leased: Vec<(u8, u32)>,
    /// The hosts that have records in memory that were read from disk and are not leased yet.
    aheads: BTreeSet<HostId>,
    /// The bytes of memory that all records take that were read from disk and are not leased yet.
    ahead_bytes: usize,
    /// The number of times that records were dropped because memory was short.
    trims: u32,
    /// The host whose records are dropped next, in those cases in which the host just served keeps its records.
    next_trimmed: HostId,
    ahead_bytes_max: usize,
    /// A buffer for putting URLs together.
    buffer: String,
}

/// A lease on a record of the queue. The record stays encoded, because most records are settled without being decoded
/// again. Only the part of a chunk that was leased together is kept: if very many hosts have few leases each, keeping
/// whole chunks would need unbounded memory.
pub(super) struct QueuedLease {
    pub(super) host: HostId,
    /// The number of the record in its chunk.
    at: u8,
    key: QueueKey,
    /// The offset in `bytes` at which the record starts.
    start: u32,
    bytes: Arc<[u8]>,
}

impl QueuedLease {
    /// Returns the age of the record: the number of its admission.
    pub(super) fn age(&self) -> u64 {
        self.key.age() + u64::from(self.at)
    }

    /// Returns the depth of the record. The result is correct only in a breadth-first crawl, where the place in the
    /// order is the depth.
    pub(super) fn depth(&self) -> u16 {
        self.key.place()
    }

    pub(super) fn priority(&self) -> Priority {
        self.key.priority()
    }
}

/// A chunk with at least one record that is leased or settled. The masks have one bit for each record.
#[derive(Clone, Copy, Debug)]
struct OpenChunk {
    records: u8,
    /// The mask of the records that are leased or settled.
    taken: u64,
    settled: u64,
    /// Whether the disk has a mask of settled records of this chunk.
    marked: bool,
}

/// The most records in memory that a host keeps, not leased yet, when another record has to be inserted among them.
const AHEAD_RECORDS_MAX: usize = 8 * CHUNK_RECORDS;

impl Queue {
    pub(super) fn new(stored: Keyspace, order: Order, ahead_bytes_max: usize) -> Self {
        Self {
            stored,
            order,
            out: HashMap::default(),
            open: HashMap::default(),
            touched: Vec::new(),
            next_lease: 0,
            leased: Vec::new(),
            aheads: BTreeSet::new(),
            ahead_bytes: 0,
            trims: 0,
            next_trimmed: HostId(0),
            ahead_bytes_max,
            buffer: String::new(),
        }
    }

    pub(super) fn order(&self) -> Order {
        self.order
    }

    pub(super) fn stored(&self) -> &Keyspace {
        &self.stored
    }

    pub(super) fn out_len(&self) -> usize {
        self.out.len()
    }

    /// Returns the bytes of memory that unsettled leases take.
    #[cfg(test)]
    pub(super) fn out_bytes(&self) -> usize {
        self.out.values().map(|out| out.bytes.len()).sum()
    }

    pub(super) fn is_out(&self, lease: LeaseId) -> bool {
        self.out.contains_key(&lease)
    }

    /// Writes records to the queue, each behind all other records of its host, priority and place.
    pub(super) fn push(
        &mut self,
        mut records: Vec<(HostId, Record)>,
        next_age: &mut u64,
        hosts: &mut Hosts,
        commit: &mut OwnedWriteBatch,
    ) {
        let order = self.order;
        let place = |(host, record): &(HostId, Record)| {
            QueueKey::new(*host, record.priority, order.place(record), 0, EntryKind::Chunk)
        };
        // The sort is stable, so of two records with the same place the older stays first.
        records.sort_by_key(place);
        for group in records.chunk_by(|a, b| place(a) == place(b)) {
            let mut rest = group;
            while let Some(first) = rest.first() {
                let mut bytes = vec![0];
                let mut n = 0;
                while let Some((_, record)) = rest.get(n)
                    && n < CHUNK_RECORDS
                    && (n == 0 || bytes.len() < CHUNK_BYTES)
                {
                    pack(record, order, &mut bytes);
                    n += 1;
                }
                bytes[0] = n as u8;
                let key = place(first).at_age(*next_age, EntryKind::Chunk);
                *next_age += n as u64;
                rest = &rest[n..];
                self.write(key, bytes, hosts, commit);
            }
        }
    }

    /// Writes one record with the age (number of the admission) that it had before, under a key of its own beside the
    /// chunk that it came from.
    pub(super) fn push_single(
        &mut self,
        key: QueueKey,
        packed: &[u8],
        hosts: &mut Hosts,
        commit: &mut OwnedWriteBatch,
    ) {
        self.write(key, [&[1], packed].concat(), hosts, commit);
    }

    fn write(&mut self, key: QueueKey, bytes: Vec<u8>, hosts: &mut Hosts, commit: &mut OwnedWriteBatch) {
        if let Some(entry) = hosts.entry(key.host()) {
            entry.due.add(u64::from(bytes[0]));
            match &mut entry.ahead {
                None => entry.head = entry.head.min(key),
                Some(ahead) if key > ahead.to => {}
                Some(ahead) => {
                    let before = ahead.bytes();
                    let loaded = ahead.load(key, &bytes, 0);
                    debug_assert!(loaded.is_some(), "a record that was just packed can be read");
                    self.ahead_bytes += ahead.bytes() - before;
                    if ahead.len() > AHEAD_RECORDS_MAX {
                        self.forget_ahead(entry);
                    }
                }
            }
        }
        commit.insert(&self.stored, key.bytes(), bytes);
    }

    /// Leases records of a host that were read ahead, but no records that are deeper than the depth `level`. Each
    /// leased record lowers `level` to its own depth. Returns the depth of the next record if that record has to
    /// wait.
    pub(super) fn lease(
        &mut self,
        entry: &mut HostEntry,
        n: usize,
        level: &mut Option<u16>,
        out: &mut Vec<Lease>,
    ) -> Result<Option<u16>, &'static str> {
        let Some(ahead) = &mut entry.ahead else { return Ok(None) };
        let mut waits_at = None;
        let until = out.len() + n;
        while out.len() < until
            && let Some((read, before_others)) = ahead.first()
        {
            let (key, of) = (read.key, read.of);
            if let Some(level) = level {
                if keeps_level(key.priority()) && key.place() > *level {
                    waits_at = Some(key.place());
                    break;
                }
                *level = key.place().min(*level);
            }
            self.leased.clear();
            let (mut taken, first_lease, mut begin) = (0, self.next_lease, None);
            while out.len() < until && read.left != 0 && u64::from(read.first()) < before_others {
                let at = read.first();
                let packed = read.next().ok_or(UNREADABLE)?;
                let mut from = Reader(packed);
                let record = pack::unpack(&mut from, &entry.host, key, self.order, &mut self.buffer);
                let record = record.ok_or(UNREADABLE)?;
                let read_bytes = (packed.len() - from.0.len()) as u32;
                let id = LeaseId(self.next_lease);
                self.next_lease += 1;
                self.leased.push((at, read.start));
                begin.get_or_insert(read.start as usize);
                out.push(Lease { id, record });
                taken |= 1 << at;
                read.left &= !(1 << at);
                (read.at, read.start) = (at + 1, read.start + read_bytes);
                entry.due.take_one();
                entry.out += 1;
            }
            let begin = begin.unwrap_or_default();
            let bytes: Arc<[u8]> = read.bytes.get(begin..read.start as usize).ok_or(UNREADABLE)?.into();
            for (id, (at, start)) in (first_lease..).map(LeaseId).zip(self.leased.drain(..)) {
                let start = start - begin as u32;
                self.out.insert(id, QueuedLease { host: key.host(), at, key, start, bytes: bytes.clone() });
            }
            let fresh = OpenChunk { records: of, taken: 0, settled: 0, marked: false };
            self.open.entry(key).or_insert(fresh).taken |= taken;
            self.ahead_bytes -= ahead.drop_used_up();
        }
        self.ahead_bytes -= ahead.shrink();
        Ok(waits_at)
    }

    /// Records that a host has no more due records.
    pub(super) fn used_up(&mut self, entry: Option<&mut HostEntry>) {
        let Some(entry) = entry else { return };
        self.forget_ahead(entry);
        entry.due = DueCount::Exact(0);
    }

    /// Returns whether this run has neither leased nor settled any record of the chunk at this key.
    pub(super) fn is_untouched(&self, key: QueueKey) -> bool {
        !self.open.contains_key(&key)
    }

    /// Removes a lease from the leases that are not settled, and returns its record, still encoded.
    pub(super) fn take_out(&mut self, lease: LeaseId) -> Option<QueuedLease> {
        self.out.remove(&lease)
    }

    /// Returns a new lease number, for a lease on a record that is not in the queue.
    pub(super) fn next_lease(&mut self) -> LeaseId {
        let id = LeaseId(self.next_lease);
        self.next_lease += 1;
        id
    }

    /// Returns the fingerprint of a leased record.
    pub(super) fn fingerprint(&mut self, out: &QueuedLease, host: &Host) -> Option<Fingerprint> {
        let packed = out.bytes.get(out.start as usize..)?;
        pack::fingerprint(&mut Reader(packed), host, &mut self.buffer)
    }

    /// Adds a lease to the unsettled leases again, after the commit failed that would have settled it.
    pub(super) fn put_out(&mut self, lease: LeaseId, out: QueuedLease) {
        self.out.insert(lease, out);
    }

    /// Decodes and returns a leased record.
    pub(super) fn record(&mut self, out: &QueuedLease, host: &Host) -> Option<Record> {
        let packed = out.bytes.get(out.start as usize..)?;
        pack::unpack(&mut Reader(packed), host, out.key, self.order, &mut self.buffer)
    }

    /// Makes a leased record due again at its old place, when it was not tried. Writes nothing, because the lease
    /// wrote nothing. Records that were read ahead from later places are read again.
    pub(super) fn give_back(&mut self, out: &QueuedLease, entry: &mut HostEntry) {
        let QueuedLease { at, key, .. } = *out;
        let Some(open) = self.open.get_mut(&key) else { return };
        open.taken &= !(1 << at);
        if open.taken == 0 {
            self.open.remove(&key);
        }
        entry.due.add(1);
        if entry.ahead.as_ref().is_some_and(|ahead| key <= ahead.to) {
            self.forget_ahead(entry);
        }
        if entry.ahead.is_none() {
            entry.head = entry.head.min(key);
        }
    }

    /// Records in memory that a record left its place in the queue. [`write_settled`](Self::write_settled) adds this
    /// to a commit later.
    pub(super) fn settle(&mut self, out: &QueuedLease) {
        match self.touched.last_mut() {
            Some((last, settled)) if *last == out.key => *settled |= 1 << out.at,
            _ => self.touched.push((out.key, 1 << out.at)),
        }
    }

    /// Adds to a commit the bits of all records that were settled since the last commit.
    pub(super) fn write_settled(&mut self, commit: &mut OwnedWriteBatch) {
        self.touched.sort_unstable();
        for touched in self.touched.chunk_by(|a, b| a.0 == b.0) {
            let key = touched[0].0;
            let Some(open) = self.open.get_mut(&key) else { continue };
            open.settled |= touched.iter().fold(0, |all, (_, settled)| all | settled);
            let mark = key.with(EntryKind::Settled).bytes();
            if open.settled != u64::MAX >> (64 - u32::from(open.records)) {
                open.marked = true;
                commit.insert(&self.stored, mark, open.settled.to_be_bytes());
                continue;
            }
            if open.marked {
                commit.remove(&self.stored, mark);
            }
            match key.kind() {
                // The key of a chunk is written only once, so the database may forget its tombstone (the mark of the
                // removal) as soon as a merge has removed the chunk itself.
                Some(EntryKind::Chunk) => commit.remove_weak(&self.stored, key.bytes()),
                _ => commit.remove(&self.stored, key.bytes()),
            }
            self.open.remove(&key);
        }
        self.touched.clear();
    }
}

const UNREADABLE: &str = "a record of the queue cannot be read";
