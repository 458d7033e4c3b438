//! How the queue reads records from disk before they are leased, and how it limits the memory for these records.

use super::{OpenChunk, Queue};
use crate::disk::ahead::Ahead;
use crate::disk::hosts::{DueCount, HostEntry, Hosts};
use crate::disk::keys::{EntryKind, HostId, QueueKey};

/// Why reading ahead failed.
pub(in crate::disk) enum ReadError {
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

/// The share of other hosts when records in memory are dropped because memory is short: of this many drops, one takes
/// the records of another host, and all others take the records of the host just served.
const OTHERS_ARE_SPARED: u32 = 8;

/// The fewest records of a host that one read fetches, if the host has so many. Finding the first record costs far
/// more than reading the records that follow it.
const READ_AT_ONCE: usize = 32;

impl Queue {
    /// Reads at least `n` more records of a host, or all if there are fewer. Returns false when the host has no more
    /// records on disk.
    pub(in crate::disk) fn fill(
        &mut self,
        hosts: &mut Hosts,
        id: HostId,
        n: usize,
    ) -> Result<bool, ReadError> {
        let Some(entry) = hosts.entry(id) else { return Ok(false) };
        let all = match entry.due {
            DueCount::Exact(all) => usize::try_from(all).unwrap_or(usize::MAX),
            DueCount::Some | DueCount::Unknown => usize::MAX,
        };
        if entry.ahead.as_ref().map_or(0, |ahead| ahead.len()) >= all {
            return Ok(false);
        }
        let (mut ahead, from) = match entry.ahead.take() {
            Some(ahead) => {
                let from = ahead.to.next();
                (ahead, from)
            }
            None => (Box::new(Ahead::new(entry.head)), entry.head),
        };
        let before = ahead.bytes();
        let had = ahead.len();
        // When memory is short, only the wanted records are read, because all others would be dropped at once.
        let has_room = self.ahead_bytes < self.ahead_bytes_max / 8 * 7;
        let n = if has_room { n.max(READ_AT_ONCE) } else { n };
        self.read(id, from, had + n, all, &mut ahead)?;
        let found = ahead.len() > had;
        self.ahead_bytes += ahead.bytes() - before;
        entry.ahead = Some(ahead);
        self.aheads.insert(id);
        Ok(found)
    }

    /// Reads from a key on until `ahead` holds `until` records, or until the host has no more due records. Does not
    /// read further, because the tombstones (marks of removed keys) of all settled records of the host may follow,
    /// and they are slow to read.
    fn read(
        &mut self,
        id: HostId,
        from: QueueKey,
        until: usize,
        all: usize,
        ahead: &mut Ahead,
    ) -> Result<(), ReadError> {
        // The range ends at the last key of the host, because after it there may be only tombstones, those of the
        // next hosts.
        let mut have = ahead.len();
        for stored in self.stored.range(from.bytes()..=QueueKey::last_of(id).bytes()) {
            let (key, value) = stored.into_inner()?;
            let key = QueueKey::parse(&key).ok_or("a key of the queue cannot be read")?;
            // The age (number of the admission) of a single record may lie between the ages of a chunk's records. So
            // both are read, or neither.
            if have >= until && key > ahead.to {
                break;
            }
            match key.kind().ok_or("the kind of a queue entry is unknown")? {
                EntryKind::Chunk | EntryKind::Single => {
                    let taken = self.open.get(&key).map_or(0, |open| open.taken);
                    have += ahead.load(key, &value, taken).ok_or("a chunk of the queue cannot be read")?;
                    if have >= all {
                        break;
                    }
                }
                EntryKind::Settled => {
                    self.see_settled(key, &value, ahead)?;
                    have = ahead.len();
                }
            }
        }
        Ok(())
    }

    /// Removes from `ahead` those records of a chunk that an earlier run settled.
    fn see_settled(&mut self, mark: QueueKey, value: &[u8], ahead: &mut Ahead) -> Result<(), &'static str> {
        let key = mark.with(EntryKind::Chunk);
        if self.open.contains_key(&key) {
            return Ok(());
        }
        let settled = value.try_into().map(u64::from_be_bytes);
        let settled = settled.map_err(|_| "the settled records of a chunk cannot be read")?;
        let records = ahead.settle(key, settled).ok_or("settled records belong to no chunk")?;
        self.open.insert(key, OpenChunk { records, taken: settled, settled, marked: true });
        Ok(())
    }

    /// Drops records that were read ahead until the remaining ones fit the limit of memory. Called after the host
    /// `served` got leases.
    ///
    /// Usually the records of `served` are dropped: when more hosts take turns than fit into memory, the records of
    /// another host would mostly be dropped just before they are leased. Now and then another host loses its records,
    /// because the records of a host that gets no more leases would otherwise stay in memory for ever.
    pub(in crate::disk) fn trim(&mut self, hosts: &mut Hosts, served: HostId) {
        while self.ahead_bytes > self.ahead_bytes_max {
            self.trims = self.trims.wrapping_add(1);
            let gives_way = self.aheads.contains(&served) && !self.trims.is_multiple_of(OTHERS_ARE_SPARED);
            let id = if gives_way {
                served
            } else {
                let next = self.aheads.range(self.next_trimmed..).next().or_else(|| self.aheads.first());
                let Some(id) = next.copied() else { return };
                self.next_trimmed = HostId(id.0.wrapping_add(1));
                id
            };
            self.aheads.remove(&id);
            if let Some(entry) = hosts.entry(id) {
                self.forget_ahead(entry);
            }
        }
    }

    /// Drops all records of a host that were read from disk and are not leased yet. They are still on disk, from the
    /// key `head` on.
    pub(super) fn forget_ahead(&mut self, entry: &mut HostEntry) {
        let Some(ahead) = entry.ahead.take() else { return };
        self.ahead_bytes -= ahead.bytes();
        self.aheads.remove(&ahead.to.host());
        entry.head = ahead.head();
    }
}
