//! The store of a crawl without a state directory: everything is in memory, and nothing survives the process.
//!
//! Queued URLs are encoded to save memory: only the part after the host is stored, in chunks of many URLs. A queued
//! URL whose path has 48 bytes takes about 100 bytes, and a settled URL about 30. Admitting a known link, by far the
//! most common case, costs one look-up in a hash map.

mod again;
mod chains;
mod hosts;
pub(crate) mod packed;
mod queue;
pub(crate) mod seen;
mod settle;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use opilio_core::{Host, Lease, LeaseId, Reason, Record, RecordKind, SinkPosition, Timestamp};

use crate::batch::{Admission, AdmittedCounts, Filtered, SettledCounts, Settlement, Want};
use crate::caps::{Caps, Room};
use crate::chain::Decided;
use crate::error::FrontierError;
use crate::frontier::{Frontier, MayRetry};
use crate::levels::{self, Depths, Levels};
use crate::permit::Permit;
use crate::settle::{put_off, settle};
use crate::stats::{Failure, FrontierStats};
use again::EndedUrls;
use chains::{Chains, Way};
use hosts::{HostId, Hosts};
use opilio_core::Order;
use packed::Packed;
use queue::{Band, Rank};
use seen::{Seen, Sighting};

/// The options of a store in memory.
#[derive(Clone, Debug, Default)]
pub struct MemoryOptions {
    /// The order in which the records of a host are leased.
    pub order: Order,
    /// The caps of each host.
    pub caps: Caps,
    /// Whether the store keeps pages, so that they can become due again. Each page takes about 100 bytes.
    pub history: bool,
    /// Whether depths are exact ([`levels`]) in a breadth-first crawl.
    pub levels: bool,
}

/// A [`Frontier`] in memory.
#[derive(Debug, Default)]
pub struct MemoryFrontier {
    seen: Seen,
    /// The results of the look-ups of a batch. This is a field only so that its memory is used again.
    sightings: Vec<Sighting>,
    hosts: Hosts,
    waiting: BinaryHeap<Reverse<DueLater>>,
    /// The records that are leased. They are boxed, since a map has room for up to twice as many entries as it holds.
    out: HashMap<LeaseId, Box<LeasedRecord>>,
    /// The hosts that have reached their caps and may still have queued records.
    closing: BTreeSet<HostId>,
    /// The number of unfinished URLs of each depth, and the hosts that wait for records of smaller depths. `None`
    /// where depths are not exact.
    levels: Option<(Depths, Levels<HostId>)>,
    kept: CallerData,
    ended: EndedUrls,
    /// Where redirects led, and which redirected URLs wait for a known URL.
    chains: Chains,
    books: FrontierStats,
    /// The number of admissions so far. The next record that is admitted has this number as its age.
    next_age: u64,
    next_lease: u64,
}

/// The memos (saved states of hosts), notes, lists and positions that the caller stores.
#[derive(Debug, Default)]
struct CallerData {
    memos: HashMap<HostId, Bytes>,
    notes: BTreeMap<&'static str, Bytes>,
    lists: BTreeMap<&'static str, BTreeSet<String>>,
    positions: BTreeMap<Arc<str>, u64>,
}

/// A record that is leased.
#[derive(Debug)]
pub(crate) struct LeasedRecord {
    host: HostId,
    age: u64,
    record: Record,
    /// The redirect of the record, if the record was leased after it waited for a known URL.
    way: Option<Box<Way>>,
}

/// A record that is due later. In the derived order, the record that is due first is the least.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct DueLater {
    due: Timestamp,
    age: u64,
    rank: Rank,
    host: HostId,
    packed: Packed,
}

/// The most records that one call ends because the caps of their hosts are reached.
const CLOSED_MAX: usize = 4096;

impl MemoryFrontier {
    /// Creates an empty frontier: breadth-first, without caps and without a history.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates an empty frontier with these options.
    #[must_use]
    pub fn with(options: MemoryOptions) -> Self {
        let MemoryOptions { order, caps, history, levels } = options;
        let levels = (levels && order == Order::BreadthFirst).then(Default::default);
        Self { hosts: Hosts::new(order, caps), ended: EndedUrls::new(history), levels, ..Self::default() }
    }

    /// Returns the admission as filtered if the caps of its host demand it, and otherwise unchanged.
    fn judge(&self, admission: Admission) -> Admission {
        let (Admission::Queue(record), Some(caps)) = (&admission, self.hosts.caps()) else {
            return admission;
        };
        let fingerprint = record.fingerprint;
        if caps.of(&record.host).depth.is_some_and(|max| record.depth > max) {
            return Admission::Filtered { fingerprint, why: Filtered::MaxDepth };
        }
        match self.hosts.find(&record.host).map(|host| self.hosts.room(host)) {
            Some(Room::Closed(why)) => Admission::Filtered { fingerprint, why },
            _ => admission,
        }
    }

    fn admit_one(&mut self, admission: Admission, before: Sighting, admitted: &mut AdmittedCounts) {
        match (admission, before) {
            (Admission::Filtered { why, .. }, Sighting::First) => {
                admitted.filtered_new += 1;
                self.books.discovered += 1;
                *self.books.filtered.entry(why).or_default() += 1;
            }
            (Admission::Queue(record), Sighting::Known) => {
                self.met_again(&record);
                admitted.known += 1;
            }
            (Admission::Filtered { .. }, _) => admitted.known += 1,
            (Admission::Queue(record), first_or_filtered) => {
                match first_or_filtered {
                    Sighting::Filtered(why) => self.books.unfilter(why),
                    _ => self.books.discovered += 1,
                }
                admitted.new += 1;
                self.books.admitted += 1;
                self.books.left += 1;
                self.push(Record { kind: RecordKind::Discovered, ..record });
            }
        }
    }

    /// Queues a record behind all other records of its host, priority and place in the order.
    fn push(&mut self, record: Record) {
        let host = self.hosts.id_of(&record.host);
        let age = self.next_age;
        self.next_age += 1;
        self.has_more(host, Rank::of(&record, age, self.hosts.order()).band);
        self.hosts.push(host, age, &record);
        self.look_at(host);
    }

    /// Counts a record that becomes due.
    fn has_more(&mut self, host: HostId, band: Band) {
        let Some((left, levels)) = &mut self.levels else { return };
        // Where depths are exact, the crawl is breadth-first, so the place in the order is the depth.
        left.add(band.place);
        if let Some(depth) = self.hosts.waits_at(host)
            && (band.place < depth || !levels::keeps_level(band.priority.0))
        {
            levels.forget(host, depth);
            self.hosts.set_waiting(host, None);
        }
    }

    /// Notes the depth at which a known URL was discovered again, because that depth may be smaller.
    fn met_again(&mut self, record: &Record) {
        if let Some((left, levels)) = &mut self.levels {
            levels.met_again(record, left);
        }
    }

    /// Subtracts a record from the counts of depths, because it ended or is due later.
    fn has_less(&mut self, depth: u16) {
        if let Some((left, _)) = &mut self.levels {
            left.take(depth);
        }
    }

    /// Checks whether the next record of a host may be leased now, after a lease of the host ended.
    fn look_at_level(&mut self, host: HostId, now: Timestamp) {
        let Some((left, levels)) = &mut self.levels else { return };
        if let Some(depth) = self.hosts.waits_at(host)
            && !levels.holds(host, depth, left, now)
        {
            self.hosts.wait_no_more(host);
        }
    }

    /// Adds to the line of ready hosts those hosts that no longer have to wait for records of smaller depths.
    fn open_levels(&mut self, now: Timestamp) {
        let Some((left, levels)) = &mut self.levels else { return };
        for host in levels.opened(left, Some(now)) {
            self.hosts.wait_no_more(host);
            self.look_at(host);
        }
    }

    /// Puts a host where it belongs after its due records or its remaining leases under the caps changed: into the
    /// line of ready hosts, or among the hosts whose queued records are to be ended.
    fn look_at(&mut self, host: HostId) {
        if self.hosts.caps().is_none() || !self.hosts.has_work(host) {
            return;
        }
        match self.hosts.room(host) {
            Room::Open(0) => {}
            Room::Open(_) => self.hosts.join_line(host),
            Room::Closed(_) => {
                self.closing.insert(host);
            }
        }
    }

    /// Ends some of the queued records of hosts that have reached their caps.
    fn close_some(&mut self) {
        let mut left = CLOSED_MAX;
        while left > 0
            && let Some(host) = self.closing.first().copied()
        {
            let Room::Closed(why) = self.hosts.room(host) else {
                // A page of the host became due again and no longer counts as a page, so the caps allow a lease
                // again.
                self.closing.remove(&host);
                self.look_at(host);
                continue;
            };
            let Some((_, record)) = self.hosts.pop(host) else {
                self.closing.remove(&host);
                continue;
            };
            left -= 1;
            self.has_less(record.depth);
            put_off(self, &record, why);
        }
    }

    /// Queues the records whose due time has come.
    fn wake(&mut self, now: Timestamp) {
        while self.waiting.peek().is_some_and(|Reverse(waiting)| waiting.due <= now) {
            if let Some(Reverse(DueLater { rank, host, packed, .. })) = self.waiting.pop() {
                self.has_more(host, rank.band);
                self.hosts.put_back(host, rank, packed);
                self.look_at(host);
            }
        }
    }

    fn lease_of_host(&mut self, want: &Want, now: Timestamp, out: &mut Vec<Lease>) {
        let Some(host) = self.hosts.find(&want.host) else { return };
        let room = match self.hosts.room(host) {
            Room::Open(room) => usize::try_from(room).unwrap_or(usize::MAX),
            Room::Closed(_) => 0,
        };
        for n in 0..want.n {
            let popped = if n < room && !self.waits(host, now) { self.hosts.pop(host) } else { None };
            let Some((rank, record)) = popped else {
                self.hosts.short(host);
                return;
            };
            let id = LeaseId(self.next_lease);
            self.next_lease += 1;
            self.hosts.lease_out(host);
            if let Some((_, levels)) = &mut self.levels {
                levels.leased(host, record.depth);
            }
            let leased = LeasedRecord { host, age: rank.age, record: record.clone(), way: None };
            self.out.insert(id, Box::new(leased));
            out.push(Lease { id, record });
        }
    }

    /// Returns whether the next record of a host has to wait for records of smaller depths.
    fn waits(&mut self, host: HostId, now: Timestamp) -> bool {
        let Some((left, levels)) = &mut self.levels else { return false };
        let Some(Band { priority, place }) = self.hosts.next_band(host) else { return false };
        if let Some(depth) = self.hosts.waits_at(host).filter(|depth| *depth != place) {
            levels.forget(host, depth);
        }
        let waits = levels::keeps_level(priority.0) && levels.holds(host, place, left, now);
        self.hosts.set_waiting(host, waits.then_some(place));
        waits
    }
}

impl Frontier for MemoryFrontier {
    fn admit(&mut self, batch: Vec<Admission>) -> Result<AdmittedCounts, FrontierError> {
        let mut admitted = AdmittedCounts::default();
        // A look-up usually misses the caches of the processor. The look-ups have a loop of their own, so that
        // several of them wait for memory at the same time. This halves the cost of a known link.
        let batch: Vec<_> = match self.hosts.caps() {
            None => batch,
            Some(_) => batch.into_iter().map(|admission| self.judge(admission)).collect(),
        };
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
        self.close_some();
        self.open_levels(now);
        Ok(self.hosts.ready(n))
    }

    fn stop_leasing(&mut self, host: &Host) -> Result<(), FrontierError> {
        if let Some(id) = self.hosts.find(host) {
            self.hosts.stop_leasing(id);
        }
        Ok(())
    }

    fn next_due(&self) -> Option<Timestamp> {
        if !self.closing.is_empty() {
            return Some(Timestamp::EPOCH);
        }
        let level = self.levels.as_ref().and_then(|(_, levels)| levels.due());
        let first = self.waiting.peek().map(|Reverse(waiting)| waiting.due);
        first.into_iter().chain(level).min()
    }

    fn lease(&mut self, wants: &[Want], now: Timestamp, out: &mut Vec<Lease>) -> Result<(), FrontierError> {
        self.wake(now);
        let before = out.len();
        for want in wants {
            self.lease_of_host(want, now, out);
        }
        if let Some((_, levels)) = &self.levels {
            levels.shorten(&mut out[before..]);
        }
        Ok(())
    }

    fn settle(
        &mut self,
        batch: Vec<Settlement>,
        positions: &[SinkPosition],
        now: Timestamp,
    ) -> Result<SettledCounts, FrontierError> {
        let mut settled = SettledCounts::default();
        for settlement in batch {
            settle(self, settlement, now, &mut settled)?;
        }
        self.open_levels(now);
        for SinkPosition { sink, position } in positions {
            self.kept.positions.insert(sink.clone(), *position);
        }
        Ok(settled)
    }

    fn decided(&mut self, n: usize, out: &mut Vec<Decided>) -> Result<bool, FrontierError> {
        Ok(self.decide(n, out))
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
            self.kept.memos.insert(host, memo);
        }
        Ok(())
    }

    fn host_memo(&mut self, host: &Host) -> Result<Option<Bytes>, FrontierError> {
        Ok(self.hosts.find(host).and_then(|host| self.kept.memos.get(&host).cloned()))
    }

    fn keep_note(&mut self, name: &'static str, note: Bytes) {
        self.kept.notes.insert(name, note);
    }

    fn note(&self, name: &'static str) -> Result<Option<Bytes>, FrontierError> {
        Ok(self.kept.notes.get(name).cloned())
    }

    fn keep_listed(&mut self, list: &'static str, text: &str) {
        self.kept.lists.entry(list).or_default().insert(text.to_owned());
    }

    fn listed(&self, list: &'static str) -> Result<Vec<String>, FrontierError> {
        Ok(self.kept.lists.get(list).into_iter().flatten().cloned().collect())
    }

    fn positions(&self) -> Result<Vec<SinkPosition>, FrontierError> {
        let position =
            |(sink, position): (&Arc<str>, &u64)| SinkPosition { sink: sink.clone(), position: *position };
        Ok(self.kept.positions.iter().map(position).collect())
    }

    fn stats(&self) -> FrontierStats {
        FrontierStats {
            out: self.out.len() as u64,
            waiting: (self.waiting.len() + self.chains.waiting()) as u64,
            hosts: self.hosts.len() as u64,
            ..self.books.clone()
        }
    }

    fn failures(&self, from: u64, n: usize) -> Result<Vec<Failure>, FrontierError> {
        Ok(self.ended.failures(from, n))
    }

    fn retry_failed(&mut self, n: usize) -> Result<u64, FrontierError> {
        let mut revived = 0;
        while revived < n as u64
            && let Some((reason, record)) = self.ended.take_failure(&self.hosts)
        {
            revived += 1;
            self.books.revive(reason);
            self.chains.forget(record.fingerprint);
            self.push(record);
        }
        Ok(revived)
    }

    fn retry_failed_for(
        &mut self,
        reason: Option<Reason>,
        may: &mut MayRetry<'_>,
    ) -> Result<u64, FrontierError> {
        let (hosts, memos) = (&self.hosts, &self.kept.memos);
        let mut answers = HashMap::new();
        let mut may = |id: HostId| {
            *answers.entry(id).or_insert_with(|| may(hosts.name(id), memos.get(&id).map(|memo| &memo[..])))
        };
        let wanted = |one, host| reason.is_none_or(|reason| one == reason) && may(host);
        let records = self.ended.take_failures(hosts, wanted);
        let revived = records.len() as u64;
        for (reason, record) in records {
            self.books.revive(reason);
            self.chains.forget(record.fingerprint);
            self.push(record);
        }
        Ok(revived)
    }

    fn refresh(&mut self, before: Timestamp, n: usize) -> Result<u64, FrontierError> {
        if !self.ended.keeps_pages() {
            return Err(FrontierError::NoHistory { store: "memory".to_owned() });
        }
        let mut refreshed = 0;
        while refreshed < n as u64
            && let Some((host, body_bytes, record)) = self.ended.take_page(before, &self.hosts)
        {
            refreshed += 1;
            self.books.refresh();
            self.hosts.spent(host).take_back(body_bytes);
            self.seen.begin_again(record.fingerprint);
            self.push(record);
        }
        Ok(refreshed)
    }

    fn checkpoint(&mut self) -> Result<(), FrontierError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
