//! How leases end: one commit for all of a batch, with the sinks' positions.

use std::sync::Arc;

use fjall::OwnedWriteBatch;
use opilio_core::{Ending, LeaseId, Reason, Record, RecordKind, SinkPosition};

use super::DiskFrontier;
use super::keys;
use super::pack::{Reader, put_slice};
use super::queue::Out;
use super::seen::Sighting;
use crate::batch::{Settled, Settlement};
use crate::error::FrontierError;
use crate::memory::packed::put_varint;
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
    ) -> Result<Settled, FrontierError> {
        let mut ends = Ends::default();
        let result = self.all_or_nothing(|store| store.settle_into(batch, positions, &mut ends));
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
        ends: &mut Ends,
    ) -> Result<(), FrontierError> {
        let mut commit = self.stored.db.batch();
        for settlement in batch {
            self.end(settlement, ends, &mut commit)?;
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
        ends: &mut Ends,
        commit: &mut OwnedWriteBatch,
    ) -> Result<(), FrontierError> {
        let Settlement { lease, ending, target, attempts, reported_as } = settlement;
        let Some(out) = self.queue.take_out(lease) else {
            ends.settled.stale += 1;
            return Ok(());
        };
        // Out again if anything below fails.
        ends.over.push((lease, out.clone()));
        match ending {
            Ending::Page => self.books.stats.pages += 1,
            Ending::Alias => self.books.stats.aliases += 1,
            Ending::Failed(reason) => self.fail(&out, reason, attempts, reported_as, commit),
            Ending::Redirected => {
                if !self.follow(&out, target, &mut ends.fresh)? {
                    ends.over.pop();
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
                ends.settled.over += 1;
                return Ok(());
            }
        }
        self.queue.settle(&out);
        if matches!(ending, Ending::Page | Ending::Alias | Ending::Failed(_)) {
            self.books.stats.left -= 1;
        }
        ends.settled.over += 1;
        Ok(())
    }

    fn fail(
        &mut self,
        out: &Out,
        reason: Reason,
        attempts: u16,
        reported_as: Option<Arc<str>>,
        commit: &mut OwnedWriteBatch,
    ) {
        let count = self.books.stats.failures.entry(reason).or_default();
        *count += 1;
        let key = keys::named(keys::FAILURES, reason.as_str());
        commit.insert(&self.stored.misc, key, count.to_be_bytes());
        let url = reported_as.unwrap_or_else(|| out.record.url.clone());
        let failure = Failure { url, reason, attempts };
        commit.insert(&self.stored.ends, self.books.ends.to_be_bytes(), encode_failure(&failure));
        self.books.ends += 1;
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

    pub(super) fn read_failures(&self, from: u64, n: usize) -> Result<Vec<Failure>, FrontierError> {
        let mut failures = Vec::new();
        for entry in self.stored.ends.range(from.to_be_bytes()..).take(n) {
            let value = entry.value().map_err(|error| self.place.failed("read", error))?;
            let failure = decode_failure(&value);
            failures.push(failure.ok_or_else(|| self.place.damaged("how a URL ended"))?);
        }
        Ok(failures)
    }
}

/// The stable word of a reason is written, not its number: reasons have no fixed order.
fn encode_failure(failure: &Failure) -> Vec<u8> {
    let mut value = Vec::new();
    put_slice(failure.reason.as_str().as_bytes(), &mut value);
    put_varint(u64::from(failure.attempts), &mut value);
    put_slice(failure.url.as_bytes(), &mut value);
    value
}

fn decode_failure(value: &[u8]) -> Option<Failure> {
    let mut from = Reader(value);
    let reason = reason(from.text()?)?;
    let attempts = u16::try_from(from.varint()?).ok()?;
    Some(Failure { url: from.text()?.into(), reason, attempts })
}

/// The reason of a stable word.
pub(super) fn reason(word: &str) -> Option<Reason> {
    Reason::ALL.iter().copied().find(|reason| reason.as_str() == word)
}
