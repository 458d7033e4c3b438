//! What is due later: kept by due time, moved to its host's queue when its time has come.
//!
//! Moving is a commit of its own, so that what a dead region of the web leaves to be retried is never
//! in memory, however much it is.

use std::ops::Bound;

use opilio_core::{Record, Timestamp};

use super::DiskFrontier;
use super::keys::{HostId, Key, WaitKey};
use super::pack::{self, pack_loose, place_of_loose};
use crate::encode::Reader;
use crate::error::FrontierError;

/// So many are moved in one commit, and so many commits are made of a call: after a long pause everything
/// that waits is due, and the first lease is not to wait for all of it.
const MOVED_MAX: usize = 1024;
const MOVES_MAX: usize = 4;

impl DiskFrontier {
    /// The first that waits, not looking before `from`.
    pub(super) fn first_waiting(&self, from: WaitKey) -> Result<Option<WaitKey>, FrontierError> {
        let range = from.bytes()..=WaitKey::last_at(Timestamp::NEVER).bytes();
        let Some(first) = self.stored.queue.range(range).next() else { return Ok(None) };
        let key = first.key().map_err(|error| self.place.failed("read", error))?;
        WaitKey::parse(&key).map(Some).ok_or_else(|| self.place.damaged("a key of what waits"))
    }

    /// Writes a record of this age that is due later.
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
        commit.insert(&self.stored.queue, key.bytes(), value);
        self.next_due = Some(self.next_due.map_or(key, |first| first.min(key)));
        self.books.stats.waiting += 1;
    }

    /// Queues what has become due; of much, some. [`next_due`](crate::Frontier::next_due) tells that there is
    /// more.
    pub(super) fn wake(&mut self, now: Timestamp) -> Result<(), FrontierError> {
        for _ in 0..MOVES_MAX {
            let Some(first) = self.next_due.filter(|first| first.due <= now) else { break };
            self.all_or_nothing(|store| store.wake_some(first, now))?;
        }
        Ok(())
    }

    fn wake_some(&mut self, first: WaitKey, now: Timestamp) -> Result<(), FrontierError> {
        let mut commit = self.stored.db.batch();
        let range = (Bound::Included(first.bytes()), Bound::Included(WaitKey::last_at(now).bytes()));
        let mut last = first;
        let mut moved = Vec::new();
        for entry in self.stored.queue.range(range).take(MOVED_MAX) {
            let (key, value) = entry.into_inner().map_err(|error| self.place.failed("read", error))?;
            let read = WaitKey::parse(&key).and_then(|key| {
                let (place, packed) = read_value(key, &value)?;
                last = key;
                Some((place, packed.to_vec()))
            });
            moved.push(read.ok_or_else(|| self.place.damaged("a record that waits"))?);
            commit.remove(&self.stored.queue, key);
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

/// Where a record that waits goes when it is due, and the record.
fn read_value(key: WaitKey, value: &[u8]) -> Option<(Key, &[u8])> {
    let mut from = Reader(value);
    let place = place_of_loose(&mut from, key.age)?;
    let packed = from.0;
    pack::skip(&mut from)?;
    Some((place, packed))
}
