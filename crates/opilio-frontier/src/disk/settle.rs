//! How leases end: one commit for all of a batch, with the sinks' positions.

use fjall::OwnedWriteBatch;
use opilio_core::{Ending, LeaseId, Reason, Record, RecordKind, SinkPosition, Timestamp};

use super::DiskFrontier;
use super::keys;
use super::queue::Out;
use super::seen::Sighting;
use crate::batch::{Settled, Settlement};
use crate::error::FrontierError;
use crate::stats::Failure;

/// What a batch of settlements comes to.
#[derive(Default)]
struct Ends {
    /// Leases that are over when the commit is made, and out again when it fails.
    over: Vec<(LeaseId, Out)>,
    /// Targets of redirects.
    fresh: Vec<Record>,
    settled: Settled,
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
        for settlement in batch {
            self.end(settlement, now, ends, &mut commit)?;
        }
        self.push(std::mem::take(&mut ends.fresh), &mut commit)?;
        self.queue.write_settled(&mut commit);
        self.seen.write(&mut commit);
        for SinkPosition { sink, position } in positions {
            commit.insert(&self.stored.misc, keys::named(keys::POSITIONS, sink), position.to_be_bytes());
        }
        if !commit.is_empty() {
            self.commit(commit)?;
        }
        self.seen.committed();
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
        let Settlement { lease, ending, target, attempts, reported_as, fetched } = settlement;
        let Some(out) = self.queue.take_out(lease) else {
            ends.settled.stale += 1;
            return Ok(());
        };
        // Out again if anything below fails.
        ends.over.push((lease, out.clone()));
        self.slot(out.host)?.out -= 1;
        match ending {
            Ending::Page => {
                self.books.stats.pages += 1;
                self.spend(out.host, |spent| spent.add(fetched.body_bytes))?;
                self.add_page(&out, attempts, fetched, now, commit);
            }
            Ending::Alias => self.books.stats.aliases += 1,
            Ending::Failed(reason) => {
                let url = reported_as.unwrap_or_else(|| out.record.url.clone());
                self.add_failure(&out, &Failure { url, reason, attempts, ended: now }, commit);
            }
            Ending::Redirected => {
                if !self.follow(&out, target, &mut ends.fresh)? {
                    ends.over.pop();
                    self.slot(out.host)?.out += 1;
                    self.queue.put_out(lease, out);
                    ends.settled.known_targets.push(lease);
                    return Ok(());
                }
            }
            Ending::Retry { due, attempts } => self.wait(&out, due, attempts, commit),
            Ending::Return => {
                if let Some(slot) = self.hosts.slot(out.host) {
                    self.queue.give_back(&out, slot);
                }
                self.hosts.join_line(out.host);
                self.look_at(out.host)?;
                ends.settled.over += 1;
                return Ok(());
            }
        }
        self.queue.settle(&out);
        if matches!(ending, Ending::Page | Ending::Alias | Ending::Failed(_)) {
            self.books.stats.left -= 1;
        }
        self.look_at(out.host)?;
        ends.settled.over += 1;
        Ok(())
    }

    /// Gathers a redirect's target; false when the crawl knows it.
    fn follow(
        &mut self,
        from: &Out,
        target: Option<Record>,
        fresh: &mut Vec<Record>,
    ) -> Result<bool, FrontierError> {
        let Some(target) = target else { return Ok(false) };
        // Another URL under the same fingerprint (`?b&a` and `?a&b`) has not been fetched.
        if target.fingerprint != from.record.fingerprint {
            let before = self.seen.take_on(target.fingerprint);
            if self.sighted(before)? == Sighting::Known {
                return Ok(false);
            }
        }
        self.books.stats.redirects += 1;
        fresh.push(Record { kind: RecordKind::Continuation, ..target });
        Ok(true)
    }
}

/// The reason of a stable word.
pub(super) fn reason(word: &str) -> Option<Reason> {
    Reason::ALL.iter().copied().find(|reason| reason.as_str() == word)
}
