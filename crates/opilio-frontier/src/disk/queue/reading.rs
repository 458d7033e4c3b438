//! How the queue reads records from disk before they are leased, and how the memory for them is limited.

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

/// When memory is short, usually the host just served loses its records that were read ahead. Once in so many
/// times, another host does.
const OTHERS_ARE_SPARED: u32 = 8;

/// The fewest records of a host that one read fetches, if the host has so many: to find the first record costs
/// far more than to read further ones.
const READ_AT_ONCE: usize = 32;

impl Queue {
    /// Reads at least `n` more records of a host, or all if there are fewer. Returns false when there are none.
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
        // When memory is short, only the wanted records are read: the others would be dropped at once.
        let has_room = self.ahead_bytes < self.ahead_bytes_max / 8 * 7;
        let n = if has_room { n.max(READ_AT_ONCE) } else { n };
        self.read(id, from, had + n, all, &mut ahead)?;
        let found = ahead.len() > had;
        self.ahead_bytes += ahead.bytes() - before;
        entry.ahead = Some(ahead);
        self.aheads.insert(id);
        Ok(found)
    }

    /// Reads from a key on until `ahead` holds `until` records, or until no due record of the host follows. It
    /// reads no further than needed, because the tombstones of all settled records of the host may follow.
    fn read(
        &mut self,
        id: HostId,
        from: QueueKey,
        until: usize,
        all: usize,
        ahead: &mut Ahead,
    ) -> Result<(), ReadError> {
        // The range ends at the host's last key, because only tombstones may follow in the next hosts.
        let mut have = ahead.len();
        for stored in self.stored.range(from.bytes()..=QueueKey::last_of(id).bytes()) {
            let (key, value) = stored.into_inner()?;
            let key = QueueKey::parse(&key).ok_or("a key of the queue cannot be read")?;
            // A single record may have an age between those of a chunk: read both or neither.
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

    /// Removes from `ahead` the records of a chunk that an earlier run settled.
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

    /// Drops records that were read ahead until the rest fits the limit, after the host `served` got leases.
    ///
    /// Usually the served host loses its records: if more hosts take turns than fit into memory, another host
    /// would otherwise lose its records just before its turn. Now and then another host loses them, because the
    /// records of a host that is never asked for again would otherwise stay for ever.
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

    /// Drops the records of a host that were read ahead. They are still on disk, from `head` on.
    pub(super) fn forget_ahead(&mut self, entry: &mut HostEntry) {
        let Some(ahead) = entry.ahead.take() else { return };
        self.ahead_bytes -= ahead.bytes();
        self.aheads.remove(&ahead.to.host());
        entry.head = ahead.head();
    }
}
