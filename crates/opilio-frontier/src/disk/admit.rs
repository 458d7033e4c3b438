//! Admits discovered URLs: looks up the fingerprint of each, and queues the new URLs of a batch in one commit.

use std::collections::BTreeSet;

use fjall::OwnedWriteBatch;
use opilio_core::{Record, RecordKind};

use super::DiskFrontier;
use super::keys::HostId;
use super::seen::{SeenError, Sighting};
use crate::batch::{Admission, AdmittedCounts};
use crate::error::FrontierError;

impl DiskFrontier {
    pub(super) fn admit_all(&mut self, batch: Vec<Admission>) -> Result<AdmittedCounts, FrontierError> {
        let mut admitted = AdmittedCounts::default();
        let mut fresh = Vec::new();
        let asked = batch.iter().map(|one| (one.fingerprint(), matches!(one, Admission::Filtered { .. })));
        let begun = self.seen.begin(asked);
        self.sighted(begun)?;
        for admission in batch {
            self.sight(admission, &mut fresh, &mut admitted)?;
        }
        if admitted.new + admitted.filtered_new == 0 {
            self.seen.committed();
            return Ok(admitted);
        }
        let mut commit = self.disk.stored.db.batch();
        self.push(fresh, &mut commit)?;
        self.seen.write(&mut commit);
        self.commit(commit)?;
        self.seen_committed()?;
        Ok(admitted)
    }

    pub(super) fn sighted<T>(&self, result: Result<T, SeenError>) -> Result<T, FrontierError> {
        result.map_err(|error| error.at(&self.disk.place))
    }

    /// Looks up the URL of one admission, adds it to the counters, and appends its record to `fresh` if the URL is
    /// new.
    fn sight(
        &mut self,
        admission: Admission,
        fresh: &mut Vec<Record>,
        admitted: &mut AdmittedCounts,
    ) -> Result<(), FrontierError> {
        match self.judge(admission)? {
            Admission::Filtered { fingerprint, why } => {
                let met = self.seen.mark(fingerprint, why);
                if self.sighted(met)? {
                    admitted.known += 1;
                } else {
                    admitted.filtered_new += 1;
                    self.books.stats.discovered += 1;
                    *self.books.stats.filtered.entry(why).or_default() += 1;
                }
            }
            Admission::Queue(record) => {
                let before = self.seen.take_on(record.fingerprint);
                match self.sighted(before)? {
                    Sighting::Known => {
                        self.met_again(&record);
                        admitted.known += 1;
                        return Ok(());
                    }
                    Sighting::Filtered(why) => self.books.stats.unfilter(why),
                    Sighting::First => self.books.stats.discovered += 1,
                }
                admitted.new += 1;
                self.books.stats.admitted += 1;
                self.books.stats.left += 1;
                fresh.push(Record { kind: RecordKind::Discovered, ..record });
            }
        }
        Ok(())
    }

    /// Queues records, each behind all other records of the same host, priority and place in the order.
    pub(super) fn push(
        &mut self,
        fresh: Vec<Record>,
        commit: &mut OwnedWriteBatch,
    ) -> Result<(), FrontierError> {
        let mut placed = Vec::with_capacity(fresh.len());
        for record in fresh {
            placed.push(self.place(record, commit)?);
        }
        self.write_placed(placed, commit)
    }

    /// Counts a record as due, and adds its host to the line of hosts with due records. Does not write the record:
    /// [`write_placed`](Self::write_placed) does.
    pub(super) fn place(
        &mut self,
        record: Record,
        commit: &mut OwnedWriteBatch,
    ) -> Result<(HostId, Record), FrontierError> {
        let host = self.number(&record.host, commit)?;
        self.has_more(host, record.depth, record.priority)?;
        self.hosts.join_line(host);
        Ok((host, record))
    }

    /// Writes to the queue the records that [`place`](Self::place) counted.
    pub(super) fn write_placed(
        &mut self,
        placed: Vec<(HostId, Record)>,
        commit: &mut OwnedWriteBatch,
    ) -> Result<(), FrontierError> {
        let capped: BTreeSet<_> = placed.iter().filter(|_| self.caps.is_any).map(|(host, _)| *host).collect();
        self.queue.push(placed, &mut self.books.next_age, &mut self.hosts, commit);
        capped.into_iter().try_for_each(|host| self.look_at(host))
    }
}
