//! The ended URLs that can become due again: failures always, pages only in a store with a history.
//!
//! ```text
//! failure  reason · attempts:varint · ended:varint · url · status:varint or 0 · error · loose record
//! page     body bytes:varint · attempts:varint · loose record
//! ```
//! The record of a page contains the validators of its fetch. A "loose" record is one that is stored by itself, and
//! not in a chunk with other records.

use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use fjall::OwnedWriteBatch;
use opilio_core::{Attempts, Host, Reason, Record, Timestamp};

use super::DiskFrontier;
use super::keys::{self, HostId, PageKey};
use super::pack::{self, pack_loose, place_of_loose};
use crate::batch::Fetched;
use crate::encode::{Reader, put_slice, put_varint};
use crate::error::FrontierError;
use crate::stats::{Cause, Failure};

impl DiskFrontier {
    /// Adds a failure to a commit. The failure must already be in the counters.
    pub(super) fn add_failure(
        &mut self,
        host: HostId,
        record: &Record,
        failure: &Failure,
        commit: &mut OwnedWriteBatch,
    ) {
        self.write_failure_count(failure.reason, commit);
        let mut value = Vec::new();
        put_slice(failure.reason.as_str().as_bytes(), &mut value);
        put_varint(u64::from(failure.attempts), &mut value);
        put_varint(failure.ended.as_micros(), &mut value);
        put_slice(failure.url.as_bytes(), &mut value);
        put_varint(failure.cause.status.unwrap_or(0).into(), &mut value);
        put_slice(failure.cause.error.as_deref().unwrap_or_default().as_bytes(), &mut value);
        pack_loose(host, record, self.queue.order(), &mut value);
        commit.insert(&self.disk.stored.ends, keys::failure(self.books.next_failure), value);
        self.books.next_failure += 1;
    }

    fn write_failure_count(&self, reason: Reason, commit: &mut OwnedWriteBatch) {
        // The key contains the word of the reason, because reasons have no fixed order and so no number that stays
        // the same.
        let key = keys::named(keys::FAILURES, reason.as_str());
        let count = self.books.stats.failures.get(&reason).copied().unwrap_or(0);
        commit.insert(&self.disk.stored.misc, key, count.to_be_bytes());
    }

    /// Adds a page to the history, as part of a commit.
    pub(super) fn add_page(
        &mut self,
        host: HostId,
        record: Record,
        attempts: u16,
        fetched: Fetched,
        now: Timestamp,
        commit: &mut OwnedWriteBatch,
    ) {
        let Fetched { validators, body_bytes } = fetched;
        let validators = validators.bounded();
        let validators = (!validators.is_empty()).then(|| Arc::new(validators));
        let record = Record { validators, ..record };
        let mut value = Vec::new();
        put_varint(body_bytes, &mut value);
        put_varint(u64::from(attempts), &mut value);
        pack_loose(host, &record, self.queue.order(), &mut value);
        let key = PageKey { ended: now, number: self.books.next_page };
        commit.insert(&self.disk.stored.ends, key.bytes(), value);
        self.books.next_page += 1;
        self.first_page = self.first_page.min(key);
    }

    /// Reads at most `n` failures, starting at index `from`.
    pub(super) fn read_failures(&self, from: u64, n: usize) -> Result<Vec<Failure>, FrontierError> {
        let first = self.books.first_failure.saturating_add(from);
        let mut failures = Vec::new();
        for entry in self.disk.stored.ends.range(keys::failure(first)..=keys::failure(u64::MAX)).take(n) {
            let value = entry.value().map_err(|error| self.disk.place.failed("read", error))?;
            let mut from = Reader(&value);
            let failure = read_failure(&mut from).and_then(|failure| {
                place_of_loose(&mut from, 0)?;
                Some(Failure { extra: pack::extra(&mut from)?, ..failure })
            });
            failures.push(failure.ok_or_else(|| self.disk.place.damaged("a failure cannot be read"))?);
        }
        Ok(failures)
    }

    /// Makes the `n` oldest failures due again, and returns how many these were.
    pub(super) fn revive(&mut self, n: usize) -> Result<u64, FrontierError> {
        self.revive_some(n, |_, _, _, _| Ok(true))
    }

    /// Examines the `n` oldest failures, and makes those due again for which the caller's function returns true. The
    /// remaining failures move to the end of the list of failures, in their order.
    pub(super) fn revive_some(
        &mut self,
        n: usize,
        mut is_wanted: impl FnMut(&Self, Reason, HostId, &Host) -> Result<bool, FrontierError>,
    ) -> Result<u64, FrontierError> {
        let mut commit = self.disk.stored.db.batch();
        let (mut fresh, mut reasons, mut taken) = (Vec::new(), Vec::new(), 0);
        let range = keys::failure(self.books.first_failure)..=keys::failure(u64::MAX);
        for entry in self.disk.stored.ends.range(range).take(n) {
            let (key, value) = entry.into_inner().map_err(|error| self.disk.place.failed("read", error))?;
            let mut from = Reader(&value);
            let failure =
                read_failure(&mut from).ok_or_else(|| self.disk.place.damaged("a failure cannot be read"))?;
            commit.remove(&self.disk.stored.ends, key);
            taken += 1;
            let (host, record) = self.read_loose(&mut from)?;
            if !is_wanted(self, failure.reason, host, &record.host)? {
                commit.insert(&self.disk.stored.ends, keys::failure(self.books.next_failure), value);
                self.books.next_failure += 1;
                continue;
            }
            self.books.stats.revive(failure.reason);
            self.forget_end(record.fingerprint, &mut commit);
            reasons.push(failure.reason);
            fresh.push(record);
        }
        let revived = fresh.len() as u64;
        self.books.first_failure += taken;
        reasons.sort_unstable();
        reasons.dedup();
        for reason in reasons {
            self.write_failure_count(reason, &mut commit);
        }
        if fresh.is_empty() && taken > 0 {
            self.commit(commit)?;
        } else {
            self.push_again(fresh, commit)?;
        }
        Ok(revived)
    }

    /// Makes pages due again that ended earlier than `before`: at most `n`, the oldest first. Returns their number.
    pub(super) fn refresh_some(&mut self, before: Timestamp, n: usize) -> Result<u64, FrontierError> {
        if !self.options.history {
            return Err(FrontierError::NoHistory { store: self.disk.place.0.clone() });
        }
        let end = PageKey::first_at(before);
        if end <= self.first_page {
            return Ok(0);
        }
        let mut commit = self.disk.stored.db.batch();
        let mut fresh = Vec::new();
        let range = (Bound::Included(self.first_page.bytes()), Bound::Excluded(end.bytes()));
        let mut last = None;
        for entry in self.disk.stored.ends.range(range).take(n) {
            let (key, value) = entry.into_inner().map_err(|error| self.disk.place.failed("read", error))?;
            last = Some(
                PageKey::parse(&key)
                    .ok_or_else(|| self.disk.place.damaged("a key of the history cannot be read"))?,
            );
            let mut from = Reader(&value);
            let unreadable = || self.disk.place.damaged("a page of the history cannot be read");
            let body_bytes = from.varint().ok_or_else(unreadable)?;
            from.varint().ok_or_else(unreadable)?;
            let (host, record) = self.read_loose(&mut from)?;
            commit.remove(&self.disk.stored.ends, key);
            self.books.stats.refresh();
            self.spend(host, |spent| spent.take_back(body_bytes))?;
            self.chains.begin_again(record.fingerprint);
            fresh.push(record);
        }
        let refreshed = fresh.len() as u64;
        self.push_again(fresh, commit)?;
        // Remembers where to start, so that the next call does not read the tombstones (marks of removed keys) of the
        // pages that this call removes.
        if let Some(PageKey { ended, number }) = last {
            self.first_page = PageKey { ended, number: number.saturating_add(1) };
        }
        Ok(refreshed)
    }

    fn push_again(&mut self, fresh: Vec<Record>, mut commit: OwnedWriteBatch) -> Result<(), FrontierError> {
        if fresh.is_empty() {
            return Ok(());
        }
        self.push(fresh, &mut commit)?;
        self.commit(commit)
    }

    /// Reads the record of a URL that becomes due again. The number of attempts in the record is reset.
    fn read_loose(&mut self, from: &mut Reader<'_>) -> Result<(HostId, Record), FrontierError> {
        let place = place_of_loose(from, 0)
            .ok_or_else(|| self.disk.place.damaged("the place of an ended record cannot be read"))?;
        let host = self.entry(place.host())?.host.clone();
        let record = pack::unpack(from, &host, place, self.queue.order(), &mut String::new());
        let record = record.ok_or_else(|| self.disk.place.damaged("an ended record cannot be read"))?;
        Ok((place.host(), Record { attempts: Attempts::NONE, ..record }))
    }
}

fn read_failure(from: &mut Reader<'_>) -> Option<Failure> {
    let reason = super::settle::reason(from.text()?)?;
    let attempts = u16::try_from(from.varint()?).ok()?;
    let ended = Timestamp::from_micros(from.varint()?);
    let url = from.text()?.into();
    let status = u16::try_from(from.varint()?).ok()?;
    let error = from.text()?;
    let cause =
        Cause { status: (status != 0).then_some(status), error: (!error.is_empty()).then(|| error.into()) };
    Some(Failure { url, reason, attempts, ended, cause, extra: Bytes::new() })
}
