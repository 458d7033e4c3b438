//! Finds the hosts whose next record has to wait for records of smaller depths, in crawls where depths are exact: see
//! [`levels`](crate::levels).

use opilio_core::{Order, Priority, Record, Timestamp};

use super::DiskFrontier;
use super::keys::HostId;
use crate::error::FrontierError;
use crate::levels::keeps_level;

impl DiskFrontier {
    /// Counts a record that becomes due. Depths are counted even where they need not be exact, because a later run
    /// may demand exact depths.
    pub(super) fn has_more(
        &mut self,
        host: HostId,
        depth: u16,
        priority: Priority,
    ) -> Result<(), FrontierError> {
        if self.queue.order() == Order::BreadthFirst {
            self.books.depths.add(depth);
        }
        let entry = self.entry(host)?;
        let waited = entry.waits_at.take_if(|at| depth < *at || !keeps_level(priority));
        if let (Some(levels), Some(waited)) = (&mut self.levels, waited) {
            levels.forget(host, waited);
        }
        Ok(())
    }

    /// Notes the depth at which a known URL was discovered again, because that depth may be smaller.
    pub(super) fn met_again(&mut self, record: &Record) {
        if let Some(levels) = &mut self.levels {
            levels.met_again(record, &self.books.depths);
        }
    }

    /// Subtracts a record from the counts of depths, because it ended or is due later.
    pub(super) fn has_less(&mut self, depth: u16) {
        if self.queue.order() == Order::BreadthFirst {
            self.books.depths.take(depth);
        }
    }

    /// Returns whether a host that waited for records of smaller depths still has to wait.
    pub(super) fn still_waits(&mut self, host: HostId, now: Timestamp) -> Result<bool, FrontierError> {
        let (Some(depth), Some(levels)) = (self.entry(host)?.waits_at, &mut self.levels) else {
            return Ok(false);
        };
        let waits = levels.holds(host, depth, &self.books.depths, now);
        if !waits {
            self.entry(host)?.waits_at = None;
        }
        Ok(waits)
    }

    /// Checks whether the next record of a host may be leased now, after a lease of the host began or ended.
    pub(super) fn look_at_level(&mut self, host: HostId, now: Timestamp) -> Result<(), FrontierError> {
        if self.entry(host)?.waits_at.is_some() && !self.still_waits(host, now)? {
            self.hosts.join_line(host);
        }
        Ok(())
    }

    /// Adds to the line of ready hosts those hosts that no longer have to wait for records of smaller depths.
    pub(super) fn open_levels(&mut self, now: Timestamp) -> Result<(), FrontierError> {
        let Some(levels) = &mut self.levels else { return Ok(()) };
        for host in levels.opened(&self.books.depths, Some(now)) {
            self.entry(host)?.waits_at = None;
            self.hosts.join_line(host);
            self.look_at(host)?;
        }
        Ok(())
    }
}
