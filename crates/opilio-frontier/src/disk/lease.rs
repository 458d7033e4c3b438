//! Finds the hosts that have due records, and leases the records of one host.

use opilio_core::{Host, Lease, Timestamp};

use super::DiskFrontier;
use super::hosts::{DueCount, HostEntry};
use super::keys::{HostId, QueueKey};
use super::queue::ReadError;
use crate::batch::Want;
use crate::caps::Room;
use crate::error::FrontierError;
use crate::turn::LinePart;

/// The number of keys of one host that a search for the next host reads past. After that many keys, the search jumps
/// to the next host.
const READ_ON_MAX: usize = 8;

impl DiskFrontier {
    /// Returns the hosts with due records whose last lease came back short, and at most `n` others, for
    /// [`hosts_ready`](crate::Frontier::hosts_ready).
    pub(super) fn tell(&mut self, now: Timestamp, n: usize) -> Result<Vec<Host>, FrontierError> {
        self.wake(now)?;
        self.close_some()?;
        self.open_levels(now)?;
        let mut ready = Vec::new();
        let mut others = n;
        loop {
            let Some((id, waited)) = self.hosts.next_in_line(others > 0) else {
                if others > 0 && self.walk(others)? {
                    continue;
                }
                break;
            };
            // While the host waited, its records may have been leased, or its caps may have been reached.
            let is_ready = match self.room(id)? {
                Room::Open(1..) => self.entry(id)?.waits_at.is_none() && self.has_work(id)?,
                Room::Open(_) => false,
                Room::Closed(_) => {
                    self.look_at(id)?;
                    false
                }
            };
            let entry = self.entry(id)?;
            entry.turn.tell(is_ready);
            if is_ready {
                ready.push(entry.host.clone());
                others -= usize::from(waited == LinePart::InLine);
            }
        }
        Ok(ready)
    }

    /// Records that the caller leases no more records of a host, for
    /// [`stop_leasing`](crate::Frontier::stop_leasing).
    pub(super) fn leave(&mut self, host: &Host) -> Result<(), FrontierError> {
        let Some(id) = self.find(host)? else { return Ok(()) };
        let entry = self.entry(id)?;
        entry.turn.stop();
        // The store reads the host's queue only when the host's turn comes. At the end of a run it gets this call for
        // all hosts, and reading all queues would take long.
        if may_have_due(entry) {
            self.hosts.join_line(id);
        }
        Ok(())
    }

    /// Adds to the line of ready hosts the next hosts that had records left when the store was opened: about `n`, and
    /// at least one. Returns false when there are no more such hosts. Because the hosts are added in portions, the
    /// first of them are ready at once after opening, however many there are.
    fn walk(&mut self, n: usize) -> Result<bool, FrontierError> {
        let mut found = 0;
        while found < n
            && let Some(mut cursor) = self.hosts.walk
        {
            let mut read_on = 0;
            let mut met = Vec::new();
            self.hosts.walk = None;
            for stored in self.queue.stored().range(QueueKey::first_of(cursor).bytes()..) {
                let key = stored.key().map_err(|error| self.disk.place.failed("read", error))?;
                let key = QueueKey::parse(&key);
                let key = key.ok_or_else(|| self.disk.place.damaged("a key of the queue cannot be read"))?;
                let id = key.host();
                read_on = if id < cursor { read_on + 1 } else { 0 };
                if id >= cursor {
                    met.push(key);
                    cursor = HostId(id.0.saturating_add(1));
                }
                if read_on > READ_ON_MAX || met.len() >= n {
                    self.hosts.walk = Some(cursor);
                    break;
                }
            }
            for key in met {
                let id = key.host();
                let is_untouched = self.queue.is_untouched(key);
                let entry = self.entry(id)?;
                if !entry.turn.is_untold() {
                    continue;
                }
                if entry.due == DueCount::Unknown && is_untouched {
                    // The record at this key is due. Its contents are read later, by the call that leases it.
                    entry.due = DueCount::Some;
                }
                if self.has_work(id)? {
                    found += 1;
                    self.hosts.join_line(id);
                }
            }
        }
        Ok(found > 0)
    }

    /// Leases records of one host: as many as wanted, unless the host's caps or its level (the depth that may be
    /// leased now) allow fewer.
    pub(super) fn lease_of_host(
        &mut self,
        want: &Want,
        now: Timestamp,
        out: &mut Vec<Lease>,
    ) -> Result<(), FrontierError> {
        if want.n == 0 {
            return Ok(());
        }
        let Some(id) = self.find(&want.host)? else { return Ok(()) };
        let room = match self.room(id)? {
            Room::Open(room) => usize::try_from(room).unwrap_or(usize::MAX),
            Room::Closed(_) => 0,
        };
        if self.still_waits(id, now)? {
            self.hosts.short(id);
            return Ok(());
        }
        let before = out.len();
        let level = self.levels.as_ref().map(|levels| levels.limit(id, &self.books.depths));
        let waits_at = self.take(id, room.min(want.n), level, out)?;
        if out.len() - before < want.n {
            self.hosts.short(id);
        }
        if let Some(levels) = &mut self.levels {
            for lease in out.iter().skip(before) {
                levels.leased(id, lease.record.depth);
            }
        }
        if let Some(depth) = waits_at {
            self.entry(id)?.waits_at = Some(depth);
            // After these leases, no record may be left of the smaller depths for which the host's next record would
            // have to wait.
            self.look_at_level(id, now)?;
        } else if room < want.n {
            self.look_at(id)?;
        }
        Ok(())
    }

    /// Leases the next records of a host without checking its caps. If the next record has to wait for records of
    /// smaller depths, returns the depth of that record.
    pub(super) fn take(
        &mut self,
        id: HostId,
        n: usize,
        mut level: Option<u16>,
        out: &mut Vec<Lease>,
    ) -> Result<Option<u16>, FrontierError> {
        let wanted = n + out.len();
        let mut waits_at = None;
        while out.len() < wanted
            && let Some(entry) = self.hosts.entry(id).filter(|entry| may_have_due(entry))
        {
            let leased = self.queue.lease(entry, wanted - out.len(), &mut level, out);
            waits_at = leased.map_err(|what| self.disk.place.damaged(what))?;
            if waits_at.is_some() || out.len() == wanted || !self.fill(id, wanted - out.len())? {
                break;
            }
        }
        if out.len() < wanted && waits_at.is_none() {
            self.queue.used_up(self.hosts.entry(id));
        }
        self.queue.trim(&mut self.hosts, id);
        Ok(waits_at)
    }

    /// Reads records of a host from disk, so that they can be leased. Returns false when the host has no more records
    /// on disk.
    fn fill(&mut self, id: HostId, n: usize) -> Result<bool, FrontierError> {
        self.queue.fill(&mut self.hosts, id, n).map_err(|error| match error {
            ReadError::Store(error) => self.disk.place.failed("read", error),
            ReadError::Damaged(what) => self.disk.place.damaged(what),
        })
    }

    /// Returns whether a host has a record that is due and not leased.
    fn has_work(&mut self, id: HostId) -> Result<bool, FrontierError> {
        let entry = self.entry(id)?;
        if entry.ahead.as_ref().is_some_and(|ahead| !ahead.is_empty()) {
            return Ok(true);
        }
        match entry.due {
            DueCount::Exact(n) => Ok(n > 0),
            DueCount::Some => Ok(true),
            DueCount::Unknown => {
                let found = self.fill(id, 1)?;
                self.queue.trim(&mut self.hosts, id);
                Ok(found)
            }
        }
    }
}

fn may_have_due(entry: &HostEntry) -> bool {
    entry.due != DueCount::Exact(0)
}
