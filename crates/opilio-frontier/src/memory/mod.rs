//! The store of a crawl without a state directory: everything in RAM, nothing survives the process.
//!
//! What is queued is packed path by path: about 100 bytes a URL with a path of 48 bytes, what is
//! known and settled about 30. Known links, the common case by far, cost one probe of a hash map.

mod hosts;
pub(crate) mod packed;
mod queue;
pub(crate) mod seen;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use opilio_core::{Ending, Host, Lease, LeaseId, Reason, Record, RecordKind, SinkPosition, Timestamp};

use crate::batch::{Admission, Admitted, Filtered, Settled, Settlement, Want};
use crate::error::FrontierError;
use crate::frontier::Frontier;
use crate::permit::Permit;
use crate::stats::{Failure, FrontierStats};
use hosts::{HostId, Hosts};
use packed::Packed;
use queue::Rank;
use seen::{Seen, Sighting};

/// A [`Frontier`] in memory.
#[derive(Debug, Default)]
pub struct MemoryFrontier {
    seen: Seen,
    /// Room that admissions use again and again.
    sightings: Vec<Sighting>,
    hosts: Hosts,
    waiting: BinaryHeap<Reverse<Waiting>>,
    out: HashMap<LeaseId, Out>,
    memos: HashMap<HostId, Bytes>,
    notes: BTreeMap<&'static str, Bytes>,
    positions: BTreeMap<Arc<str>, u64>,
    failures: Vec<Failure>,
    books: FrontierStats,
    /// Admissions so far: the age of the next record.
    next_age: u64,
    next_lease: u64,
}

/// A record with a host.
#[derive(Debug)]
struct Out {
    host: HostId,
    age: u64,
    record: Record,
}

/// A record that is not due yet; the derived order puts the earliest due first.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Waiting {
    due: Timestamp,
    age: u64,
    rank: Rank,
    host: HostId,
    packed: Packed,
}

impl MemoryFrontier {
    /// An empty frontier.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn admit_one(&mut self, admission: Admission, before: Sighting, admitted: &mut Admitted) {
        match (admission, before) {
            (Admission::Filtered { why, .. }, Sighting::First) => {
                admitted.filtered_new += 1;
                self.books.discovered += 1;
                *self.books.filtered.entry(why).or_default() += 1;
            }
            (Admission::Filtered { .. }, _) | (_, Sighting::Known) => admitted.known += 1,
            (Admission::Queue(record), first_or_filtered) => {
                match first_or_filtered {
                    Sighting::Filtered(why) => self.unfilter(why),
                    _ => self.books.discovered += 1,
                }
                admitted.new += 1;
                self.books.admitted += 1;
                self.books.left += 1;
                self.push(Record { kind: RecordKind::Discovered, ..record });
            }
        }
    }

    fn unfilter(&mut self, why: Filtered) {
        if let Some(count) = self.books.filtered.get_mut(&why) {
            *count -= 1;
            if *count == 0 {
                self.books.filtered.remove(&why);
            }
        }
    }

    /// Queues a record behind all others of its host, priority and depth.
    fn push(&mut self, record: Record) {
        let host = self.hosts.id_of(&record.host);
        let age = self.next_age;
        self.next_age += 1;
        self.hosts.push(host, age, &record);
    }

    /// Queues what has become due.
    fn wake(&mut self, now: Timestamp) {
        while self.waiting.peek().is_some_and(|Reverse(waiting)| waiting.due <= now) {
            if let Some(Reverse(Waiting { rank, host, packed, .. })) = self.waiting.pop() {
                self.hosts.put_back(host, rank, packed);
            }
        }
    }

    fn lease_of_host(&mut self, want: &Want, out: &mut Vec<Lease>) {
        let Some(host) = self.hosts.find(&want.host) else { return };
        for _ in 0..want.n {
            let Some((rank, record)) = self.hosts.pop(host) else {
                self.hosts.release(host);
                return;
            };
            let id = LeaseId(self.next_lease);
            self.next_lease += 1;
            self.out.insert(id, Out { host, age: rank.age, record: record.clone() });
            out.push(Lease { id, record });
        }
    }

    fn end(&mut self, settlement: Settlement, settled: &mut Settled) {
        let Settlement { lease, ending, target, attempts, reported_as } = settlement;
        let Some(out) = self.out.remove(&lease) else {
            settled.stale += 1;
            return;
        };
        match ending {
            Ending::Page => self.books.pages += 1,
            Ending::Alias => self.books.aliases += 1,
            Ending::Failed(reason) => self.fail(out, reason, attempts, reported_as),
            Ending::Redirected => {
                if !self.follow(&out, target) {
                    self.out.insert(lease, out);
                    settled.known_targets.push(lease);
                    return;
                }
            }
            Ending::Retry { due, attempts } => self.wait(out, due, attempts),
            Ending::Return => {
                let rank = Rank::of(&out.record, out.age);
                self.hosts.put_back(out.host, rank, Packed::of(&out.record));
            }
        }
        if matches!(ending, Ending::Page | Ending::Alias | Ending::Failed(_)) {
            self.books.left -= 1;
        }
        settled.over += 1;
    }

    fn fail(&mut self, out: Out, reason: Reason, attempts: u16, reported_as: Option<Arc<str>>) {
        *self.books.failures.entry(reason).or_default() += 1;
        let url = reported_as.unwrap_or(out.record.url);
        self.failures.push(Failure { url, reason, attempts });
    }

    fn wait(&mut self, out: Out, due: Timestamp, attempts: u16) {
        self.books.retries += 1;
        let record = Record { attempts, ..out.record };
        let rank = Rank::of(&record, out.age);
        let packed = Packed::of(&record);
        self.waiting.push(Reverse(Waiting { due, age: out.age, rank, host: out.host, packed }));
    }

    /// Queues a redirect's target; false when the crawl knows it.
    fn follow(&mut self, from: &Out, target: Option<Record>) -> bool {
        let Some(target) = target else { return false };
        // A server that answers `?b&a` with a redirect to `?a&b` leads to another URL under the same
        // fingerprint: that is no other URL of the crawl, and it has not been fetched.
        let itself = target.fingerprint == from.record.fingerprint;
        if !itself && self.seen.take_on(target.fingerprint) == Sighting::Known {
            return false;
        }
        self.books.redirects += 1;
        self.push(Record { kind: RecordKind::Continuation, ..target });
        true
    }
}

impl Frontier for MemoryFrontier {
    fn admit(&mut self, batch: Vec<Admission>) -> Result<Admitted, FrontierError> {
        let mut admitted = Admitted::default();
        // A probe misses the processor's caches more often than not. Probes in a loop of their own
        // wait for memory side by side, which halves the price of a known link.
        let mut sightings = std::mem::take(&mut self.sightings);
        sightings.extend(batch.iter().map(|admission| match admission {
            Admission::Queue(record) => self.seen.take_on(record.fingerprint),
            Admission::Filtered { fingerprint, why } => self.seen.mark(*fingerprint, *why),
        }));
        for (admission, sighting) in batch.into_iter().zip(sightings.drain(..)) {
            self.admit_one(admission, sighting, &mut admitted);
        }
        self.sightings = sightings;
        Ok(admitted)
    }

    fn hosts_ready(&mut self, now: Timestamp, n: usize) -> Result<Vec<Host>, FrontierError> {
        self.wake(now);
        Ok(self.hosts.ready(n))
    }

    fn next_due(&self) -> Option<Timestamp> {
        self.waiting.peek().map(|Reverse(waiting)| waiting.due)
    }

    fn lease(&mut self, wants: &[Want], now: Timestamp, out: &mut Vec<Lease>) -> Result<(), FrontierError> {
        self.wake(now);
        for want in wants {
            self.lease_of_host(want, out);
        }
        Ok(())
    }

    fn settle(
        &mut self,
        batch: Vec<Settlement>,
        positions: &[SinkPosition],
    ) -> Result<Settled, FrontierError> {
        let mut settled = Settled::default();
        for settlement in batch {
            self.end(settlement, &mut settled);
        }
        for SinkPosition { sink, position } in positions {
            self.positions.insert(sink.clone(), *position);
        }
        Ok(settled)
    }

    fn is_out(&self, lease: LeaseId) -> bool {
        self.out.contains_key(&lease)
    }

    fn permit(&self, _: &Host) -> Permit {
        Permit::ALWAYS
    }

    fn keep_hosts(&mut self, memos: Vec<(Host, Bytes)>) -> Result<(), FrontierError> {
        for (host, memo) in memos {
            let host = self.hosts.id_of(&host);
            self.memos.insert(host, memo);
        }
        Ok(())
    }

    fn host_memo(&mut self, host: &Host) -> Result<Option<Bytes>, FrontierError> {
        Ok(self.hosts.find(host).and_then(|host| self.memos.get(&host).cloned()))
    }

    fn keep_note(&mut self, name: &'static str, note: Bytes) {
        self.notes.insert(name, note);
    }

    fn note(&self, name: &'static str) -> Result<Option<Bytes>, FrontierError> {
        Ok(self.notes.get(name).cloned())
    }

    fn positions(&self) -> Result<Vec<SinkPosition>, FrontierError> {
        let position =
            |(sink, position): (&Arc<str>, &u64)| SinkPosition { sink: sink.clone(), position: *position };
        Ok(self.positions.iter().map(position).collect())
    }

    fn stats(&self) -> FrontierStats {
        FrontierStats {
            out: self.out.len() as u64,
            waiting: self.waiting.len() as u64,
            hosts: self.hosts.len() as u64,
            ..self.books.clone()
        }
    }

    fn failures(&self, from: u64, n: usize) -> Result<Vec<Failure>, FrontierError> {
        let from = usize::try_from(from).unwrap_or(usize::MAX);
        Ok(self.failures.iter().skip(from).take(n).cloned().collect())
    }

    fn checkpoint(&mut self) -> Result<(), FrontierError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
