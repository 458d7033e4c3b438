//! Whose next level has opened, where depths are exact: see [`levels`](crate::levels).

use opilio_core::{Order, Priority, Record, Timestamp};

use super::DiskFrontier;
use super::keys::HostId;
use crate::error::FrontierError;
use crate::levels::keeps_level;

impl DiskFrontier {
    /// A record of a host comes to be due. Depths are counted whether they are to be exact in this run or
    /// not: in the next one they may.
    pub(super) fn has_more(
        &mut self,
        host: HostId,
        depth: u16,
        priority: Priority,
    ) -> Result<(), FrontierError> {
        if self.queue.order() == Order::BreadthFirst {
            self.books.depths.add(depth);
        }
        let slot = self.slot(host)?;
        let waited = slot.waits_at.take_if(|at| depth < *at || !keeps_level(priority));
        if let (Some(levels), Some(waited)) = (&mut self.levels, waited) {
            levels.forget(host, waited);
        }
        Ok(())
    }

    /// What is known was met again, perhaps by a shorter way.
    pub(super) fn met_again(&mut self, record: &Record) {
        if let Some(levels) = &mut self.levels {
            levels.met_again(record, &self.books.depths);
        }
    }

    /// One that is left is over, or due later.
    pub(super) fn has_less(&mut self, depth: u16) {
        if self.queue.order() == Order::BreadthFirst {
            self.books.depths.take(depth);
        }
    }

    /// Whether a host that waits for its level has to go on with that.
    pub(super) fn still_waits(&mut self, host: HostId, now: Timestamp) -> Result<bool, FrontierError> {
        let (Some(depth), Some(levels)) = (self.slot(host)?.waits_at, &mut self.levels) else {
            return Ok(false);
        };
        let waits = levels.holds(host, depth, &self.books.depths, now);
        if !waits {
            self.slot(host)?.waits_at = None;
        }
        Ok(waits)
    }

    /// One of a host's leases began or is over: its next level may have opened.
    pub(super) fn look_at_level(&mut self, host: HostId, now: Timestamp) -> Result<(), FrontierError> {
        if self.slot(host)?.waits_at.is_some() && !self.still_waits(host, now)? {
            self.hosts.join_line(host);
        }
        Ok(())
    }

    /// Hosts whose level has opened have work.
    pub(super) fn open_levels(&mut self, now: Timestamp) -> Result<(), FrontierError> {
        let Some(levels) = &mut self.levels else { return Ok(()) };
        for host in levels.opened(&self.books.depths, Some(now)) {
            self.slot(host)?.waits_at = None;
            self.hosts.join_line(host);
            self.look_at(host)?;
        }
        Ok(())
    }
}
