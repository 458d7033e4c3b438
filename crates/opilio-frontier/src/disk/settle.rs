//! How leases end: one commit for all of a batch, with the sinks' positions.

use fjall::OwnedWriteBatch;
use opilio_core::{Ending, Fingerprint, LeaseId, Reason, Record, SinkPosition, Timestamp};

use super::DiskFrontier;
use super::keys;
use super::queue::Out;
use crate::batch::{Settled, Settlement};
use crate::error::FrontierError;
use crate::stats::{Cause, Failure};

/// What a batch of settlements comes to.
#[derive(Default)]
struct Ends {
    /// Leases that are over when the commit is made, and out again when it fails.
    over: Vec<(LeaseId, Out)>,
    /// Targets of redirects.
    fresh: Vec<Record>,
    settled: Settled,
}

/// What is to be done with a lease.
enum End {
    /// Its record leaves its place.
    Over,
    /// Its record is due again, as it was.
    Returned,
}

impl DiskFrontier {
    pub(super) fn settle_all(
        &mut self,
        batch: Vec<Settlement>,
        positions: &[SinkPosition],
        now: Timestamp,
    ) -> Result<Settled, FrontierError> {
        let mut ends = Ends::default();
        let result = self.all_or_nothing(|store| store.settle_into(batch, positions, now, &mut ends));
        if result.is_err() {
            for (lease, out) in ends.over {
                self.queue.put_out(lease, out);
            }
        }
        result?;
        Ok(ends.settled)
    }

    fn settle_into(
        &mut self,
        batch: Vec<Settlement>,
        positions: &[SinkPosition],
        now: Timestamp,
        ends: &mut Ends,
    ) -> Result<(), FrontierError> {
        let mut commit = self.stored.db.batch();
        ends.over.reserve(batch.len());
        for settlement in batch {
            self.end(settlement, now, ends, &mut commit)?;
        }
        self.open_levels(now)?;
        self.push(std::mem::take(&mut ends.fresh), &mut commit)?;
        self.queue.write_settled(&mut commit);
        self.seen.write(&mut commit);
        for SinkPosition { sink, position } in positions {
            commit.insert(&self.stored.misc, keys::named(keys::POSITIONS, sink), position.to_be_bytes());
        }
        if !commit.is_empty() {
            self.commit(commit)?;
        }
        self.remember()?;
        for SinkPosition { sink, position } in positions {
            self.positions.insert(sink.clone(), *position);
        }
        Ok(())
    }

    fn end(
        &mut self,
        settlement: Settlement,
        now: Timestamp,
        ends: &mut Ends,
        commit: &mut OwnedWriteBatch,
    ) -> Result<(), FrontierError> {
        let Some(out) = self.queue.take_out(settlement.lease) else {
            let of_waiter = self.end_decided(&mut Some(settlement), now, &mut ends.fresh, commit)?;
            let count = if of_waiter { &mut ends.settled.over } else { &mut ends.settled.stale };
            *count += 1;
            return Ok(());
        };
        let lease = settlement.lease;
        self.slot(out.host)?.out -= 1;
        let depth = out.depth();
        if let Some(levels) = &mut self.levels {
            levels.over(out.host, depth);
        }
        let ended = self.end_out(&out, settlement, now, &mut ends.fresh, commit);
        let host = out.host;
        match ended {
            Ok(End::Over) => {
                self.has_less(depth);
                self.queue.settle(&out);
                ends.over.push((lease, out));
            }
            Ok(End::Returned) => {
                // It is left as before.
                self.has_less(depth);
                self.has_more(host, depth, out.priority())?;
                if let Some(slot) = self.hosts.slot(host) {
                    self.queue.give_back(out, slot);
                }
                self.hosts.join_line(host);
            }
            Err(error) => {
                ends.over.push((lease, out));
                return Err(error);
            }
        }
        ends.settled.over += 1;
        self.look_at_level(host, now)?;
        self.look_at(host)
    }

    fn end_out(
        &mut self,
        out: &Out,
        settlement: Settlement,
        now: Timestamp,
        fresh: &mut Vec<Record>,
        commit: &mut OwnedWriteBatch,
    ) -> Result<End, FrontierError> {
        let Settlement { ending, redirect, attempts, reported_as, fetched, cause, filtered, .. } = settlement;
        if let Some(why) = filtered {
            let record = self.record_of(out)?;
            self.put_off(&record, why, commit);
            return Ok(End::Over);
        }
        match ending {
            Ending::Page => {
                self.books.stats.pages += 1;
                let fingerprint = self.fingerprint_of(out)?;
                self.chains.end_as_page(fingerprint);
                self.spend(out.host, |spent| spent.add(fetched.body_bytes))?;
                // A run that does not ask for the history must not make it forget.
                if self.options.history || self.books.next_page > 0 {
                    let record = self.record_of(out)?;
                    self.add_page(out.host, record, attempts, fetched, now, commit);
                }
            }
            Ending::Alias => {
                self.books.stats.aliases += 1;
                let fingerprint = self.fingerprint_of(out)?;
                // Another page stands for it: either it led there, or it is one itself.
                if !self.has_led_on(fingerprint)? {
                    self.chains.end_as_page(fingerprint);
                }
            }
            Ending::Failed(reason) => {
                let record = self.record_of(out)?;
                let url = reported_as.unwrap_or_else(|| record.url.clone());
                let cause = cause.map_or_else(Cause::default, |cause| *cause);
                let extra = record.extra.clone();
                let failure = Failure { url, reason, attempts, ended: now, cause, extra };
                self.add_failure(out.host, &record, &failure, commit);
                self.write_failed(record.fingerprint, reason, commit);
            }
            Ending::Redirected => {
                let from = self.record_of(out)?;
                if let Some(redirect) = redirect {
                    self.follow((out.host, out.age()), from, *redirect, fresh, commit)?;
                }
                return Ok(End::Over);
            }
            Ending::Retry { due, attempts } => {
                let record = self.record_of(out)?;
                self.wait(out, Record { attempts, ..record }, due, commit);
                return Ok(End::Over);
            }
            Ending::Return => return Ok(End::Returned),
        }
        self.books.stats.left -= 1;
        Ok(End::Over)
    }

    fn record_of(&mut self, out: &Out) -> Result<Record, FrontierError> {
        let host = self.slot(out.host)?.host.clone();
        self.queue.record(out, &host).ok_or_else(|| self.place.damaged("a record that was leased"))
    }

    fn fingerprint_of(&mut self, out: &Out) -> Result<Fingerprint, FrontierError> {
        let host = self.slot(out.host)?.host.clone();
        self.queue.fingerprint(out, &host).ok_or_else(|| self.place.damaged("a record that was leased"))
    }
}

/// The reason of a stable word.
pub(super) fn reason(word: &str) -> Option<Reason> {
    Reason::ALL.iter().copied().find(|reason| reason.as_str() == word)
}
