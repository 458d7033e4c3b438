//! Applies the caps of hosts: computes how many more leases a host may have, and ends its queued records when a cap
//! is reached.

use std::collections::BTreeSet;

use fjall::OwnedWriteBatch;

use super::DiskFrontier;
use super::hosts::DueCount;
use super::keys::{self, HostId};
use super::settle::Settlements;
use crate::batch::{Admission, Filtered};
use crate::caps::{Caps, Room, Spent};
use crate::encode::{Reader, put_varint};
use crate::error::FrontierError;

/// The most records that one call ends because the caps of their hosts are reached.
const CLOSED_MAX: usize = 4096;
/// The most records that one commit ends for this reason.
const CLOSED_AT_ONCE: usize = 1024;

/// What this run knows about the caps of all hosts.
pub(super) struct CapsState {
    /// Whether any host has a cap.
    pub(super) is_any: bool,
    /// The hosts that have reached their caps and may still have queued records.
    pub(super) closing: BTreeSet<HostId>,
}

impl CapsState {
    pub(super) fn of(caps: &Caps) -> Self {
        Self { is_any: !caps.are_none(), closing: BTreeSet::new() }
    }
}

impl DiskFrontier {
    /// Returns the admission as filtered if the caps of its host demand it, and otherwise unchanged.
    pub(super) fn judge(&mut self, admission: Admission) -> Result<Admission, FrontierError> {
        let Admission::Queue(record) = &admission else { return Ok(admission) };
        if !self.caps.is_any {
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

    /// Returns how many more leases the caps of a host allow.
    pub(super) fn room(&mut self, id: HostId) -> Result<Room, FrontierError> {
        if !self.caps.is_any {
            return Ok(Room::Open(u64::MAX));
        }
        let spent = self.spent(id)?;
        let entry = self.entry(id)?;
        let (out, host) = (u64::from(entry.out), entry.host.clone());
        Ok(self.options.caps.of(&host).room(spent, out))
    }

    /// Puts a host where it belongs after its due records or its remaining leases under the caps changed: into the
    /// line of ready hosts, or among the hosts whose queued records are to be ended.
    pub(super) fn look_at(&mut self, id: HostId) -> Result<(), FrontierError> {
        if !self.caps.is_any || self.entry(id)?.due == DueCount::Exact(0) {
            return Ok(());
        }
        match self.room(id)? {
            Room::Open(0) => {}
            Room::Open(_) => self.hosts.join_line(id),
            Room::Closed(_) => {
                self.caps.closing.insert(id);
            }
        }
        Ok(())
    }

    /// Ends some of the queued records of hosts that have reached their caps.
    pub(super) fn close_some(&mut self) -> Result<(), FrontierError> {
        let mut left = CLOSED_MAX;
        while left > 0
            && let Some(id) = self.caps.closing.first().copied()
        {
            let Room::Closed(why) = self.room(id)? else {
                // A page of the host became due again and no longer counts as a page, so the caps allow a lease
                // again.
                self.caps.closing.remove(&id);
                self.look_at(id)?;
                continue;
            };
            let n = left.min(CLOSED_AT_ONCE);
            let closed = self.all_or_nothing(|store| store.close(id, why, n))?;
            if closed < n {
                self.caps.closing.remove(&id);
            }
            left -= closed;
        }
        Ok(())
    }

    /// Ends at most `n` records of a host as filtered, for the reason `why`. Returns how many records were ended.
    fn close(&mut self, id: HostId, why: Filtered, n: usize) -> Result<usize, FrontierError> {
        let mut leases = Vec::new();
        // If the caller leases the records of the host, its next call of `lease` finds that no record is left.
        self.take(id, n, None, &mut leases)?;
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

    /// Returns the numbers of pages and bytes that the crawl has taken of a host, in this run and all earlier runs.
    pub(super) fn spent(&mut self, id: HostId) -> Result<Spent, FrontierError> {
        if let Some(spent) = self.entry(id)?.spent {
            return Ok(spent);
        }
        let stored = self.disk.stored.misc.get(keys::spent_of(id));
        let stored = stored.map_err(|error| self.disk.place.failed("read", error))?;
        let spent = match stored {
            None => Spent::default(),
            Some(bytes) => read(&bytes).ok_or_else(|| {
                self.disk.place.damaged("the pages and bytes taken of a host cannot be read")
            })?,
        };
        self.entry(id)?.spent = Some(spent);
        Ok(spent)
    }

    /// Changes the numbers of pages and bytes taken of a host. The next commit writes the new numbers.
    pub(super) fn spend(&mut self, id: HostId, change: impl FnOnce(&mut Spent)) -> Result<(), FrontierError> {
        let mut spent = self.spent(id)?;
        change(&mut spent);
        self.entry(id)?.spent = Some(spent);
        if self.pending.spent.last() != Some(&id) {
            self.pending.spent.push(id);
        }
        Ok(())
    }

    /// Adds the changed numbers of pages and bytes to a commit.
    pub(super) fn write_spent(&mut self, commit: &mut OwnedWriteBatch) -> Result<(), FrontierError> {
        let mut hosts = std::mem::take(&mut self.pending.spent);
        hosts.sort_unstable();
        hosts.dedup();
        for id in hosts {
            let Spent { pages, body_bytes } = self.spent(id)?;
            let mut value = Vec::with_capacity(16);
            put_varint(pages, &mut value);
            put_varint(body_bytes, &mut value);
            commit.insert(&self.disk.stored.misc, keys::spent_of(id), value);
        }
        Ok(())
    }
}

fn read(bytes: &[u8]) -> Option<Spent> {
    let mut from = Reader(bytes);
    Some(Spent { pages: from.varint()?, body_bytes: from.varint()? })
}
