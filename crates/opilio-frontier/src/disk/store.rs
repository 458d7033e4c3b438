//! Implements the trait `Frontier` for the store on disk: each call makes a commit or only reads.

use std::panic::{AssertUnwindSafe, catch_unwind};

use std::collections::{BTreeSet, HashMap};

use bytes::Bytes;
use opilio_core::{Host, Lease, LeaseId, Reason, SinkPosition, Timestamp};

use super::DiskFrontier;
use super::keys::{self, HostId};
use super::pack::CHUNK_RECORDS;
use crate::batch::{Admission, AdmittedCounts, SettledCounts, Settlement, Want};
use crate::chain::Decided;
use crate::error::FrontierError;
use crate::frontier::{Frontier, MayRetry};
use crate::levels::Levels;
use crate::permit::Permit;
use crate::stats::{Failure, FrontierStats};

/// The most failed URLs that one commit examines when failed URLs are made due again. Those that are not wanted stay
/// failed.
const REVIVED_AT_ONCE: usize = 4_096;

impl Frontier for DiskFrontier {
    fn admit(&mut self, batch: Vec<Admission>) -> Result<AdmittedCounts, FrontierError> {
        self.guarded(|store| store.all_or_nothing(|store| store.admit_all(batch)))
    }

    fn hosts_ready(&mut self, now: Timestamp, n: usize) -> Result<Vec<Host>, FrontierError> {
        self.guarded(|store| store.tell(now, n))
    }

    fn stop_leasing(&mut self, host: &Host) -> Result<(), FrontierError> {
        self.guarded(|store| store.leave(host))
    }

    fn next_due(&self) -> Option<Timestamp> {
        if !self.caps.closing.is_empty() {
            return Some(Timestamp::EPOCH);
        }
        let level = self.levels.as_ref().and_then(Levels::due);
        self.next_due.map(|first| first.due).into_iter().chain(level).min()
    }

    fn lease(&mut self, wants: &[Want], now: Timestamp, out: &mut Vec<Lease>) -> Result<(), FrontierError> {
        let before = out.len();
        let leased = self.guarded(|store| {
            store.wake(now)?;
            out.reserve(wants.iter().map(|want| want.n.min(CHUNK_RECORDS)).sum());
            wants.iter().try_for_each(|want| store.lease_of_host(want, now, out))?;
            if let (Some(levels), Some(leases)) = (&store.levels, out.get_mut(before..)) {
                levels.shorten(leases);
            }
            Ok(())
        });
        if leased.is_err() {
            self.broken = true;
            for lease in out.drain(before..) {
                self.queue.take_out(lease.id);
            }
        }
        leased
    }

    fn settle(
        &mut self,
        batch: Vec<Settlement>,
        positions: &[SinkPosition],
        now: Timestamp,
    ) -> Result<SettledCounts, FrontierError> {
        self.guarded(|store| store.settle_all(batch, positions, now))
    }

    fn decided(&mut self, n: usize, out: &mut Vec<Decided>) -> Result<bool, FrontierError> {
        // Returns early, because the scheduler calls this function in every turn and usually nothing has changed.
        if self.chains.has_nothing_to_look_at(self.books.stats.left) {
            return self.usable().map(|()| false);
        }
        let before = out.len();
        let decided = self.guarded(|store| store.all_or_nothing(|store| store.decide(n, out)));
        if decided.is_err() {
            for one in out.drain(before..) {
                self.chains.take_out(one.lease.id);
            }
        }
        decided
    }

    fn is_out(&self, lease: LeaseId) -> bool {
        self.queue.is_out(lease) || self.chains.is_out(lease)
    }

    fn permit(&self, _: &Host) -> Permit {
        Permit::ALWAYS
    }

    fn keep_hosts(&mut self, memos: Vec<(Host, Bytes)>) -> Result<(), FrontierError> {
        if memos.is_empty() {
            return self.usable();
        }
        self.guarded(|store| store.all_or_nothing(|store| store.keep(memos)))
    }

    fn host_memo(&mut self, host: &Host) -> Result<Option<Bytes>, FrontierError> {
        self.guarded(|store| {
            let Some(host) = store.find(host)? else { return Ok(None) };
            store.memo(host)
        })
    }

    fn keep_note(&mut self, name: &'static str, note: Bytes) {
        self.pending.notes.insert(name, note);
    }

    fn note(&self, name: &'static str) -> Result<Option<Bytes>, FrontierError> {
        self.usable()?;
        if let Some(note) = self.pending.notes.get(name) {
            return Ok(Some(note.clone()));
        }
        let note = self.disk.stored.misc.get(keys::named(keys::NOTES, name));
        let note = note.map_err(|error| self.disk.place.failed("read", error))?;
        Ok(note.map(|note| Bytes::copy_from_slice(&note)))
    }

    fn keep_listed(&mut self, list: &'static str, text: &str) {
        let mut key = keys::list(list);
        key.extend_from_slice(text.as_bytes());
        self.pending.listed.insert(key);
    }

    fn listed(&self, list: &'static str) -> Result<Vec<String>, FrontierError> {
        self.usable()?;
        let prefix = keys::list(list);
        let mut texts = BTreeSet::new();
        let text = |key: &[u8]| Some(str::from_utf8(key.strip_prefix(&prefix[..])?).ok()?.to_owned());
        texts.extend(self.pending.listed.iter().filter_map(|key| text(key)));
        for entry in self.disk.stored.misc.prefix(&prefix) {
            let key = entry.key().map_err(|error| self.disk.place.failed("read", error))?;
            texts.insert(
                text(&key).ok_or_else(|| self.disk.place.damaged("a text of a list cannot be read"))?,
            );
        }
        Ok(texts.into_iter().collect())
    }

    fn positions(&self) -> Result<Vec<SinkPosition>, FrontierError> {
        let positions = self.positions.iter();
        Ok(positions.map(|(sink, at)| SinkPosition { sink: sink.clone(), position: *at }).collect())
    }

    fn stats(&self) -> FrontierStats {
        FrontierStats {
            out: (self.queue.out_len() + self.chains.out_len()) as u64,
            waiting: self.books.stats.waiting + self.chains.waiting() - self.chains.out_len() as u64,
            hosts: u64::from(self.hosts.numbered()),
            ..self.books.stats.clone()
        }
    }

    fn failures(&self, from: u64, n: usize) -> Result<Vec<Failure>, FrontierError> {
        let read = catch_unwind(AssertUnwindSafe(|| self.read_failures(from, n)));
        read.unwrap_or_else(|panic| Err(self.disk.place.panicked(&*panic)))
    }

    fn retry_failed(&mut self, n: usize) -> Result<u64, FrontierError> {
        self.guarded(|store| store.all_or_nothing(|store| store.revive(n)))
    }

    fn retry_failed_for(
        &mut self,
        reason: Option<Reason>,
        may: &mut MayRetry<'_>,
    ) -> Result<u64, FrontierError> {
        self.guarded(|store| {
            let (mut revived, end) = (0, store.books.next_failure);
            let mut answers = HashMap::new();
            // Failures that are not due again move to the end of the list of failures, in their order. When the whole
            // list was examined, the order is as before.
            while store.books.first_failure < end
                && reason.is_none_or(|reason| store.books.stats.failures.contains_key(&reason))
            {
                let n = usize::try_from(end - store.books.first_failure).unwrap_or(usize::MAX);
                let n = n.min(REVIVED_AT_ONCE);
                let answers = &mut answers;
                revived += store.all_or_nothing(|store| {
                    store.revive_some(n, |store, one, host, name| {
                        if reason.is_some_and(|reason| one != reason) {
                            return Ok(false);
                        }
                        if let Some(answer) = answers.get(&host) {
                            return Ok(*answer);
                        }
                        let answer = may(name, store.memo(host)?.as_deref());
                        answers.insert(host, answer);
                        Ok(answer)
                    })
                })?;
            }
            Ok(revived)
        })
    }

    fn refresh(&mut self, before: Timestamp, n: usize) -> Result<u64, FrontierError> {
        if !self.options.history {
            return Err(FrontierError::NoHistory { store: self.disk.place.0.clone() });
        }
        self.guarded(|store| store.all_or_nothing(|store| store.refresh_some(before, n)))
    }

    fn checkpoint(&mut self) -> Result<(), FrontierError> {
        self.guarded(|store| {
            if !store.pending.notes.is_empty() || !store.pending.listed.is_empty() {
                store.all_or_nothing(|store| store.commit(store.disk.stored.db.batch()))?;
            }
            store.sync().inspect_err(|_| store.broken = true)
        })
    }
}

impl DiskFrontier {
    fn memo(&self, host: HostId) -> Result<Option<Bytes>, FrontierError> {
        let memo = self.disk.stored.misc.get(keys::memo_of(host));
        let memo = memo.map_err(|error| self.disk.place.failed("read", error))?;
        Ok(memo.map(|memo| Bytes::copy_from_slice(&memo)))
    }

    fn keep(&mut self, memos: Vec<(Host, Bytes)>) -> Result<(), FrontierError> {
        let mut commit = self.disk.stored.db.batch();
        for (host, memo) in memos {
            let host = self.number(&host, &mut commit)?;
            commit.insert(&self.disk.stored.misc, keys::memo_of(host), &memo[..]);
        }
        self.commit(commit)
    }
}
