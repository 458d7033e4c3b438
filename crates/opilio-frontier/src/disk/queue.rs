//! What is due: written in chunks, read ahead of the leases, settled bit by bit.
//!
//! A record is in one of three states: on disk only; read ahead ([`Ahead`]); or out. What is settled
//! is gone, or has its bit set beside its chunk until the rest of the chunk is settled too. Nothing
//! is written for a lease, and reading never starts at the front of a host's range, where the
//! remains of what was settled lie.

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use fjall::{Keyspace, OwnedWriteBatch};
use opilio_core::{Fingerprint, Host, Lease, LeaseId, Priority, Record};

use super::hosts::{Ahead, Hosts, Read, Slot, Turn, Work};
use super::keys::{HostId, Key, Kind};
use super::pack::{self, CHUNK_BYTES, CHUNK_RECORDS, pack};
use crate::encode::Reader;
use crate::levels::keeps_level;
use opilio_core::Order;

/// The due records of all hosts.
pub(super) struct Queue {
    stored: Keyspace,
    order: Order,
    out: HashMap<LeaseId, Out, ByPlace>,
    /// The chunks of which something is out or settled.
    open: HashMap<Key, Open, ByPlace>,
    /// Those of them that this commit settles something of, and what.
    touched: Vec<(Key, u64)>,
    next_lease: u64,
    /// What is being leased of a chunk: number and start.
    leased: Vec<(u8, u32)>,
    /// The hosts that something is read ahead of, and how much that is.
    aheads: BTreeSet<HostId>,
    ahead_bytes: usize,
    /// How often something was forgotten for lack of room, and the other host that is next.
    trims: u32,
    hand: HostId,
    ahead_bytes_max: usize,
    /// Room in which URLs are put together.
    room: String,
}

/// A record with a host, as it stands in its chunk: most end without being read again. It keeps nothing of
/// its chunk but what was leased with it: of hosts without number, few leases each, that would be memory
/// without a bound.
pub(super) struct Out {
    pub(super) host: HostId,
    /// Its number in its chunk.
    at: u8,
    key: Key,
    /// Where it starts among those that were leased with it.
    start: u32,
    bytes: Arc<[u8]>,
}

impl Out {
    /// Its place in the order by age.
    pub(super) fn age(&self) -> u64 {
        self.key.age() + u64::from(self.at)
    }

    /// Its depth, in a crawl that goes breadth-first.
    pub(super) fn depth(&self) -> u16 {
        self.key.place()
    }

    pub(super) fn priority(&self) -> Priority {
        self.key.priority()
    }
}

/// A chunk that is no longer whole; one bit for each of its records.
#[derive(Clone, Copy, Debug)]
struct Open {
    records: u8,
    /// Out or settled.
    taken: u64,
    settled: u64,
    /// `settled` stands on disk.
    marked: bool,
}

/// Why reading ahead failed.
pub(super) enum ReadError {
    Store(fjall::Error),
    Damaged(&'static str),
}

impl From<fjall::Error> for ReadError {
    fn from(error: fjall::Error) -> Self {
        Self::Store(error)
    }
}

impl From<&'static str> for ReadError {
    fn from(what: &'static str) -> Self {
        Self::Damaged(what)
    }
}

/// Of so many times that there is no room, another host than the one that was served gives way once.
const OTHERS_ARE_SPARED: u32 = 8;

/// So many records of a host are read at once if it has them: finding the first costs far more than reading
/// on.
const READ_AT_ONCE: usize = 32;

/// More than this of one host is not kept in memory when it comes in below what is read.
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
            hand: HostId(0),
            ahead_bytes_max,
            room: String::new(),
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

    /// What leases keep of their records.
    #[cfg(test)]
    pub(super) fn out_bytes(&self) -> usize {
        self.out.values().map(|out| out.bytes.len()).sum()
    }

    pub(super) fn is_out(&self, lease: LeaseId) -> bool {
        self.out.contains_key(&lease)
    }

    /// Writes records behind all others of their host, priority and place.
    pub(super) fn push(
        &mut self,
        mut records: Vec<(HostId, Record)>,
        next_age: &mut u64,
        hosts: &mut Hosts,
        commit: &mut OwnedWriteBatch,
    ) {
        let order = self.order;
        let place = |(host, record): &(HostId, Record)| {
            Key::new(*host, record.priority, order.place(record), 0, Kind::Chunk)
        };
        // Stable: what came first is older.
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
                let key = place(first).at_age(*next_age, Kind::Chunk);
                *next_age += n as u64;
                rest = &rest[n..];
                self.write(key, bytes, hosts, commit);
            }
        }
    }

    /// Writes a record at its old age, beside the chunk that it came from.
    pub(super) fn push_single(
        &mut self,
        key: Key,
        packed: &[u8],
        hosts: &mut Hosts,
        commit: &mut OwnedWriteBatch,
    ) {
        self.write(key, [&[1], packed].concat(), hosts, commit);
    }

    fn write(&mut self, key: Key, bytes: Vec<u8>, hosts: &mut Hosts, commit: &mut OwnedWriteBatch) {
        if let Some(slot) = hosts.slot(key.host()) {
            slot.work.add(u64::from(bytes[0]));
            match &mut slot.ahead {
                None => slot.head = slot.head.min(key),
                Some(ahead) if key > ahead.to => {}
                Some(ahead) => {
                    let before = ahead.bytes();
                    let loaded = load(key, &bytes, 0, ahead);
                    debug_assert!(loaded.is_some(), "what was packed just now is whole");
                    self.ahead_bytes += ahead.bytes() - before;
                    if ahead.len() > AHEAD_RECORDS_MAX {
                        self.forget_ahead(slot);
                    }
                }
            }
        }
        commit.insert(&self.stored, key.bytes(), bytes);
    }

    /// Hands out what is read ahead of a host, down to a level that what is handed out lowers; tells at
    /// which depth the next record waits for its own.
    pub(super) fn lease(
        &mut self,
        slot: &mut Slot,
        n: usize,
        level: &mut Option<u16>,
        out: &mut Vec<Lease>,
    ) -> Result<Option<u16>, &'static str> {
        let Some(ahead) = &mut slot.ahead else { return Ok(None) };
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
                let record = pack::unpack(&mut from, &slot.host, key, self.order, &mut self.room);
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
                slot.work.take_one();
                slot.out += 1;
            }
            let begin = begin.unwrap_or_default();
            let bytes: Arc<[u8]> = read.bytes.get(begin..read.start as usize).ok_or(UNREADABLE)?.into();
            for (id, (at, start)) in (first_lease..).map(LeaseId).zip(self.leased.drain(..)) {
                let start = start - begin as u32;
                self.out.insert(id, Out { host: key.host(), at, key, start, bytes: bytes.clone() });
            }
            let fresh = Open { records: of, taken: 0, settled: 0, marked: false };
            self.open.entry(key).or_insert(fresh).taken |= taken;
            self.ahead_bytes -= ahead.drop_used_up();
        }
        self.ahead_bytes -= ahead.shrink();
        Ok(waits_at)
    }

    /// A host got less than it wanted: it has nothing more, and is the store's again.
    pub(super) fn release(&mut self, slot: Option<&mut Slot>) {
        let Some(slot) = slot else { return };
        self.forget_ahead(slot);
        slot.work = Work::Exact(0);
        if slot.turn == Turn::Told {
            slot.turn = Turn::Idle;
        }
    }

    /// Whether nothing of what stands at a place was leased or settled in this run.
    pub(super) fn is_untouched(&self, key: Key) -> bool {
        !self.open.contains_key(&key)
    }

    /// Takes a lease off those that are out.
    pub(super) fn take_out(&mut self, lease: LeaseId) -> Option<Out> {
        self.out.remove(&lease)
    }

    /// The number of a lease that is not on a record of the queue.
    pub(super) fn next_lease(&mut self) -> LeaseId {
        let id = LeaseId(self.next_lease);
        self.next_lease += 1;
        id
    }

    /// The fingerprint of the record that is out.
    pub(super) fn fingerprint(&mut self, out: &Out, host: &Host) -> Option<Fingerprint> {
        let packed = out.bytes.get(out.start as usize..)?;
        pack::fingerprint(&mut Reader(packed), host, &mut self.room)
    }

    /// The lease is out after all.
    pub(super) fn put_out(&mut self, lease: LeaseId, out: Out) {
        self.out.insert(lease, out);
    }

    /// The record that is out.
    pub(super) fn record(&mut self, out: &Out, host: &Host) -> Option<Record> {
        let packed = out.bytes.get(out.start as usize..)?;
        pack::unpack(&mut Reader(packed), host, out.key, self.order, &mut self.room)
    }

    /// A record was not tried: it is due, at its old place. Nothing is written, as nothing was. What is read
    /// ahead from that place on is read again.
    pub(super) fn give_back(&mut self, out: &Out, slot: &mut Slot) {
        let Out { at, key, .. } = *out;
        let Some(open) = self.open.get_mut(&key) else { return };
        open.taken &= !(1 << at);
        if open.taken == 0 {
            self.open.remove(&key);
        }
        slot.work.add(1);
        if slot.ahead.as_ref().is_some_and(|ahead| key <= ahead.to) {
            self.forget_ahead(slot);
        }
        if slot.ahead.is_none() {
            slot.head = slot.head.min(key);
        }
    }

    /// A record is no longer in its place; [`write_settled`](Self::write_settled) writes that.
    pub(super) fn settle(&mut self, out: &Out) {
        match self.touched.last_mut() {
            Some((last, settled)) if *last == out.key => *settled |= 1 << out.at,
            _ => self.touched.push((out.key, 1 << out.at)),
        }
    }

    /// Adds to a commit what was settled since the last one.
    pub(super) fn write_settled(&mut self, commit: &mut OwnedWriteBatch) {
        self.touched.sort_unstable();
        for touched in self.touched.chunk_by(|a, b| a.0 == b.0) {
            let key = touched[0].0;
            let Some(open) = self.open.get_mut(&key) else { continue };
            open.settled |= touched.iter().fold(0, |all, (_, settled)| all | settled);
            let mark = key.with(Kind::Settled).bytes();
            if open.settled != u64::MAX >> (64 - u32::from(open.records)) {
                open.marked = true;
                commit.insert(&self.stored, mark, open.settled.to_be_bytes());
                continue;
            }
            if open.marked {
                commit.remove(&self.stored, mark);
            }
            match key.kind() {
                // A chunk's key is written once, so that its tombstone can go where it meets it.
                Some(Kind::Chunk) => commit.remove_weak(&self.stored, key.bytes()),
                _ => commit.remove(&self.stored, key.bytes()),
            }
            self.open.remove(&key);
        }
        self.touched.clear();
    }

    /// Reads at least `n` more records of a host ahead, or all that there are; false when none.
    pub(super) fn fill(&mut self, hosts: &mut Hosts, id: HostId, n: usize) -> Result<bool, ReadError> {
        let Some(slot) = hosts.slot(id) else { return Ok(false) };
        let all = match slot.work {
            Work::Exact(all) => usize::try_from(all).unwrap_or(usize::MAX),
            Work::Some | Work::Unknown => usize::MAX,
        };
        if slot.ahead.as_ref().map_or(0, |ahead| ahead.len()) >= all {
            return Ok(false);
        }
        let (mut ahead, from) = match slot.ahead.take() {
            Some(ahead) => {
                let from = ahead.to.next();
                (ahead, from)
            }
            None => (Box::new(Ahead::new(slot.head)), slot.head),
        };
        let before = ahead.bytes();
        let had = ahead.len();
        // Without room for it, what is read beyond would be forgotten at once.
        let has_room = self.ahead_bytes < self.ahead_bytes_max / 8 * 7;
        let n = if has_room { n.max(READ_AT_ONCE) } else { n };
        self.read(id, from, had + n, all, &mut ahead)?;
        let found = ahead.len() > had;
        self.ahead_bytes += ahead.bytes() - before;
        slot.ahead = Some(ahead);
        self.aheads.insert(id);
        Ok(found)
    }

    /// Reads on from a place until so many records stand in `ahead`, or all that are due: behind the last of
    /// them may lie the remains of all that was ever settled of a host.
    fn read(
        &mut self,
        id: HostId,
        from: Key,
        until: usize,
        all: usize,
        ahead: &mut Ahead,
    ) -> Result<(), ReadError> {
        // Up to the host's last place, and no further: the remains of what was settled of the next hosts
        // may be all that stands there.
        let mut have = ahead.len();
        for entry in self.stored.range(from.bytes()..=Key::last_of(id).bytes()) {
            let (key, value) = entry.into_inner()?;
            let key = Key::parse(&key).ok_or("a key of the queue")?;
            // A single may stand within the ages of a chunk: both or none.
            if have >= until && key > ahead.to {
                break;
            }
            match key.kind().ok_or("the kind of a key")? {
                Kind::Chunk | Kind::Single => {
                    let taken = self.open.get(&key).map_or(0, |open| open.taken);
                    have += load(key, &value, taken, ahead).ok_or("a chunk cannot be read")?;
                    if have >= all {
                        break;
                    }
                }
                Kind::Settled => {
                    self.see_settled(key, &value, ahead)?;
                    have = ahead.len();
                }
            }
        }
        Ok(())
    }

    /// Takes from what is read what an earlier run settled of a chunk.
    fn see_settled(&mut self, mark: Key, value: &[u8], ahead: &mut Ahead) -> Result<(), &'static str> {
        let key = mark.with(Kind::Chunk);
        if self.open.contains_key(&key) {
            return Ok(());
        }
        let settled = value.try_into().map(u64::from_be_bytes).map_err(|_| "what is settled of a chunk")?;
        let records = ahead.settle(key, settled).ok_or("a mark without a chunk")?;
        self.open.insert(key, Open { records, taken: settled, settled, marked: true });
        Ok(())
    }

    /// Keeps what is read ahead within bounds, now that a host was served.
    ///
    /// Mostly that one gives way: of hosts that take turns and are more than there is room for, each
    /// would otherwise be forgotten just before its turn. Sometimes it is another one, or what is read
    /// ahead of a host that nobody asks for any more would stay for ever.
    pub(super) fn trim(&mut self, hosts: &mut Hosts, served: HostId) {
        while self.ahead_bytes > self.ahead_bytes_max {
            self.trims = self.trims.wrapping_add(1);
            let gives_way = self.aheads.contains(&served) && !self.trims.is_multiple_of(OTHERS_ARE_SPARED);
            let id = if gives_way {
                served
            } else {
                let next = self.aheads.range(self.hand..).next().or_else(|| self.aheads.first());
                let Some(id) = next.copied() else { return };
                self.hand = HostId(id.0.wrapping_add(1));
                id
            };
            self.aheads.remove(&id);
            if let Some(slot) = hosts.slot(id) {
                self.forget_ahead(slot);
            }
        }
    }

    /// Forgets what is read ahead: it is on disk, from `head` on.
    fn forget_ahead(&mut self, slot: &mut Slot) {
        let Some(ahead) = slot.ahead.take() else { return };
        self.ahead_bytes -= ahead.bytes();
        self.aheads.remove(&ahead.to.host());
        slot.head = ahead.head();
    }
}

const UNREADABLE: &str = "a record cannot be read";

/// Reads a chunk, except for those records that are taken; how many that leaves.
fn load(key: Key, value: &[u8], taken: u64, ahead: &mut Ahead) -> Option<usize> {
    let of = *value.first()?;
    if of == 0 || usize::from(of) > CHUNK_RECORDS {
        return None;
    }
    let left = u64::MAX >> (64 - u32::from(of)) & !taken;
    if left != 0 {
        // Not a part of the block that it was read from: that would keep the whole block in memory.
        ahead.insert(Read { key, of, left, at: 0, start: 1, bytes: value.into() });
    }
    ahead.to = ahead.to.max(key.at_age(key.age() + u64::from(of) - 1, Kind::Chunk).end_of_age());
    Some(left.count_ones() as usize)
}

/// Hashes places and lease numbers, which no outsider chooses.
pub(super) type ByPlace = BuildHasherDefault<Fold>;

#[derive(Default)]
pub(super) struct Fold(u64);

impl Hasher for Fold {
    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0 ^ number).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }

    fn write_u128(&mut self, number: u128) {
        self.write_u64(number as u64);
        self.write_u64((number >> 64) as u64);
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn finish(&self) -> u64 {
        // The table takes its low bits from here, and a product's low bits say little.
        self.0 ^ self.0 >> 32
    }
}
