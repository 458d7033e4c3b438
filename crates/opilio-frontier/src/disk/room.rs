//! What the caps leave of a host, and what ends when they leave nothing.

use fjall::OwnedWriteBatch;

use super::DiskFrontier;
use super::hosts::Work;
use super::keys::{self, HostId};
use super::settle::Settlements;
use crate::batch::{Admission, Filtered};
use crate::caps::{Room, Spent};
use crate::encode::{Reader, put_varint};
use crate::error::FrontierError;

/// So many records of hosts whose caps are reached end in one call, and so many in one commit.
const CLOSED_MAX: usize = 4096;
const CLOSED_AT_ONCE: usize = 1024;

impl DiskFrontier {
    /// Filters what its host's caps keep out.
    pub(super) fn judge(&mut self, admission: Admission) -> Result<Admission, FrontierError> {
        let Admission::Queue(record) = &admission else { return Ok(admission) };
        if !self.is_capped {
            return Ok(admission);
        }
        let fingerprint = record.fingerprint;
        if self.options.caps.of(&record.host).depth.is_some_and(|max| record.depth > max) {
            return Ok(Admission::Filtered { fingerprint, why: Filtered::MaxDepth });
        }
        let host = record.host.clone();
        let Some(id) = self.find(&host)? else { return Ok(admission) };
        Ok(match self.room(id)? {
            Room::Closed(why) => Admission::Filtered { fingerprint, why },
            Room::Open(_) => admission,
        })
    }

    /// What a host's caps leave.
    pub(super) fn room(&mut self, id: HostId) -> Result<Room, FrontierError> {
        if !self.is_capped {
            return Ok(Room::Open(u64::MAX));
        }
        let spent = self.spent(id)?;
        let slot = self.slot(id)?;
        let (out, host) = (u64::from(slot.out), slot.host.clone());
        Ok(self.options.caps.of(&host).room(spent, out))
    }

    /// Sees to a host that has come to have work or room.
    pub(super) fn look_at(&mut self, id: HostId) -> Result<(), FrontierError> {
        if !self.is_capped || self.slot(id)?.work == Work::Exact(0) {
            return Ok(());
        }
        match self.room(id)? {
            Room::Open(0) => {}
            Room::Open(_) => self.hosts.join_line(id),
            Room::Closed(_) => {
                self.closing.insert(id);
            }
        }
        Ok(())
    }

    /// Ends some of what is queued for hosts whose caps are reached.
    pub(super) fn close_some(&mut self) -> Result<(), FrontierError> {
        let mut left = CLOSED_MAX;
        while left > 0
            && let Some(id) = self.closing.first().copied()
        {
            let Room::Closed(why) = self.room(id)? else {
                // A page of it is due again.
                self.closing.remove(&id);
                self.look_at(id)?;
                continue;
            };
            let n = left.min(CLOSED_AT_ONCE);
            let closed = self.all_or_nothing(|store| store.close(id, why, n))?;
            if closed < n {
                self.closing.remove(&id);
            }
            left -= closed;
        }
        Ok(())
    }

    /// Ends at most `n` records of a host as filtered; tells how many there were.
    fn close(&mut self, id: HostId, why: Filtered, n: usize) -> Result<usize, FrontierError> {
        let mut leases = Vec::new();
        let turn = self.slot(id)?.turn;
        self.take(id, n, None, &mut leases)?;
        // Whoever was told of the host finds out by asking; until then it is not told again.
        self.slot(id)?.turn = turn;
        let closed = leases.len();
        if closed == 0 {
            return Ok(0);
        }
        let mut over = Vec::with_capacity(closed);
        let mut settling = Settlements::new(self, &mut over);
        for lease in leases {
            settling.close(&lease, why)?;
        }
        settling.commit()?;
        Ok(closed)
    }

    /// What was taken of a host, by all runs.
    pub(super) fn spent(&mut self, id: HostId) -> Result<Spent, FrontierError> {
        if let Some(spent) = self.slot(id)?.spent {
            return Ok(spent);
        }
        let stored = self.stored.misc.get(keys::spent_of(id));
        let stored = stored.map_err(|error| self.place.failed("read", error))?;
        let spent = match stored {
            None => Spent::default(),
            Some(bytes) => read(&bytes).ok_or_else(|| self.place.damaged("what was taken of a host"))?,
        };
        self.slot(id)?.spent = Some(spent);
        Ok(spent)
    }

    /// Changes what was taken of a host; the next commit writes it.
    pub(super) fn spend(&mut self, id: HostId, change: impl FnOnce(&mut Spent)) -> Result<(), FrontierError> {
        let mut spent = self.spent(id)?;
        change(&mut spent);
        self.slot(id)?.spent = Some(spent);
        if self.spent.last() != Some(&id) {
            self.spent.push(id);
        }
        Ok(())
    }

    pub(super) fn write_spent(&mut self, commit: &mut OwnedWriteBatch) -> Result<(), FrontierError> {
        let mut hosts = std::mem::take(&mut self.spent);
        hosts.sort_unstable();
        hosts.dedup();
        for id in hosts {
            let Spent { pages, body_bytes } = self.spent(id)?;
            let mut value = Vec::with_capacity(16);
            put_varint(pages, &mut value);
            put_varint(body_bytes, &mut value);
            commit.insert(&self.stored.misc, keys::spent_of(id), value);
        }
        Ok(())
    }
}

fn read(bytes: &[u8]) -> Option<Spent> {
    let mut from = Reader(bytes);
    Some(Spent { pages: from.varint()?, body_bytes: from.varint()? })
}
