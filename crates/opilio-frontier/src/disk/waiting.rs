//! The records that are due later: they are stored in the order of due time, and moved to the queue of their host
//! when they are due.
//!
//! Each move of some records is a commit of its own. So these records need no memory, even when very many hosts fail
//! and leave URLs to be retried.

use std::ops::Bound;

use opilio_core::{Record, Timestamp};

use super::DiskFrontier;
use super::keys::{HostId, QueueKey, WaitKey};
use super::pack::{self, pack_loose, place_of_loose};
use crate::encode::Reader;
use crate::error::FrontierError;

/// The most records that one commit moves to the queue.
const MOVED_MAX: usize = 1024;
/// The most commits of this kind in one call. When a crawl is resumed after a long time, all of these records may be
/// due, and the first lease must not wait until all are moved.
const MOVES_MAX: usize = 4;

impl DiskFrontier {
    /// Returns the first key, at or after `from`, of a record that is due later.
    pub(super) fn first_waiting(&self, from: WaitKey) -> Result<Option<WaitKey>, FrontierError> {
        let range = from.bytes()..=WaitKey::last_at(Timestamp::NEVER).bytes();
        let Some(first) = self.disk.stored.queue.range(range).next() else { return Ok(None) };
        let key = first.key().map_err(|error| self.disk.place.failed("read", error))?;
        WaitKey::parse(&key)
            .map(Some)
            .ok_or_else(|| self.disk.place.damaged("the key of a record that is due later cannot be read"))
    }

    /// Stores a record that is due later, as part of a commit.
    pub(super) fn write_waiting(
        &mut self,
        (host, age): (HostId, u64),
        record: &Record,
        due: Timestamp,
        commit: &mut fjall::OwnedWriteBatch,
    ) {
        let mut value = Vec::new();
        pack_loose(host, record, self.queue.order(), &mut value);
        let key = WaitKey { due, age };
        commit.insert(&self.disk.stored.queue, key.bytes(), value);
        self.next_due = Some(self.next_due.map_or(key, |first| first.min(key)));
        self.books.stats.waiting += 1;
    }

    /// Moves records that have become due to the queues of their hosts, up to a limit. If more records are due,
    /// [`next_due`](crate::Frontier::next_due) returns a time in the past, so that the caller calls again.
    pub(super) fn wake(&mut self, now: Timestamp) -> Result<(), FrontierError> {
        for _ in 0..MOVES_MAX {
            let Some(first) = self.next_due.filter(|first| first.due <= now) else { break };
            self.all_or_nothing(|store| store.wake_some(first, now))?;
        }
        Ok(())
    }

    fn wake_some(&mut self, first: WaitKey, now: Timestamp) -> Result<(), FrontierError> {
        let mut commit = self.disk.stored.db.batch();
        let range = (Bound::Included(first.bytes()), Bound::Included(WaitKey::last_at(now).bytes()));
        let mut last = first;
        let mut moved = Vec::new();
        for entry in self.disk.stored.queue.range(range).take(MOVED_MAX) {
            let (key, value) = entry.into_inner().map_err(|error| self.disk.place.failed("read", error))?;
            let read = WaitKey::parse(&key).and_then(|key| {
                let (place, packed) = read_value(key, &value)?;
                last = key;
                Some((place, packed.to_vec()))
            });
            moved.push(
                read.ok_or_else(|| self.disk.place.damaged("a record that is due later cannot be read"))?,
            );
            commit.remove(&self.disk.stored.queue, key);
        }
        self.books.stats.waiting = self.books.stats.waiting.saturating_sub(moved.len() as u64);
        for (place, packed) in moved {
            self.has_more(place.host(), place.place(), place.priority())?;
            self.queue.push_single(place, &packed, &mut self.hosts, &mut commit);
            self.hosts.join_line(place.host());
            self.look_at(place.host())?;
        }
        self.commit(commit)?;
        self.next_due = self.first_waiting(last)?;
        Ok(())
    }
}

/// Returns the key that the record gets in the queue, and the bytes of the encoded record.
fn read_value(key: WaitKey, value: &[u8]) -> Option<(QueueKey, &[u8])> {
    let mut from = Reader(value);
    let place = place_of_loose(&mut from, key.age)?;
    let packed = from.0;
    pack::skip(&mut from)?;
    Some((place, packed))
}
