//! How leases end in memory: implements the steps of [`settle`](crate::settle). None of these steps can fail.

use std::cmp::Reverse;

use opilio_core::{Attempts, Fingerprint, LeaseId, Reason, Record, Timestamp};

use super::hosts::HostId;
use super::packed::Packed;
use super::queue::Rank;
use super::seen::Sighting;
use super::{DueLater, LeasedRecord, MemoryFrontier};
use crate::batch::{Fetched, Filtered};
use crate::chain::Redirect;
use crate::error::FrontierError;
use crate::settle::Settling;
use crate::stats::{Failure, FrontierStats};

impl Settling for MemoryFrontier {
    type Out = LeasedRecord;
    type Host = HostId;

    fn books(&mut self) -> &mut FrontierStats {
        &mut self.books
    }

    fn take_out(&mut self, lease: LeaseId) -> Result<Option<LeasedRecord>, FrontierError> {
        let Some(out) = self.out.remove(&lease).map(|out| *out) else { return Ok(None) };
        if !Self::has_waited(&out) {
            self.hosts.lease_over(out.host);
            if let Some((_, levels)) = &mut self.levels {
                levels.over(out.host, out.record.depth);
            }
        }
        Ok(Some(out))
    }

    fn over(&mut self, _: LeaseId, _: LeasedRecord) {}

    fn host(out: &LeasedRecord) -> HostId {
        out.host
    }

    fn has_waited(out: &LeasedRecord) -> bool {
        out.way.is_some()
    }

    fn fingerprint(&mut self, out: &LeasedRecord) -> Result<Fingerprint, FrontierError> {
        Ok(out.record.fingerprint)
    }

    fn record(&mut self, out: &LeasedRecord) -> Result<Record, FrontierError> {
        Ok(out.record.clone())
    }

    fn end_as_page(&mut self, url: Fingerprint) {
        self.seen.end_as_page(url);
        self.chains.changed(url);
    }

    fn fail(&mut self, url: Fingerprint, reason: Reason) {
        self.chains.failed(url, reason);
    }

    fn lead_on(&mut self, url: Fingerprint, redirect: &Redirect) {
        self.chains.led_on(url, redirect.target.fingerprint, redirect.sets_cookie);
    }

    fn filter(&mut self, url: Fingerprint, why: Filtered) {
        self.seen.put_off(url, why);
        self.chains.changed(url);
    }

    fn forget_end(&mut self, url: Fingerprint) {
        self.chains.forget(url);
    }

    fn has_led_on(&self, url: Fingerprint) -> Result<bool, FrontierError> {
        Ok(self.chains.has_led_on(url))
    }

    fn keep_page(
        &mut self,
        out: &LeasedRecord,
        _: u16,
        fetched: Fetched,
        now: Timestamp,
    ) -> Result<(), FrontierError> {
        self.hosts.spent(out.host).add(fetched.body_bytes);
        let order = self.hosts.order();
        let rank = Rank::of(&out.record, out.age, order);
        self.ended.add_page(out.host, rank, &out.record, fetched, now, order);
        Ok(())
    }

    fn keep_failure(&mut self, out: &LeasedRecord, record: &Record, failure: Failure) {
        let order = self.hosts.order();
        self.ended.add_failure(out.host, Rank::of(record, out.age, order), record, failure, order);
    }

    fn take_on(&mut self, url: Fingerprint) -> Result<bool, FrontierError> {
        Ok(self.seen.take_on(url) == Sighting::Known)
    }

    fn met_again(&mut self, record: &Record) {
        Self::met_again(self, record);
    }

    fn push(&mut self, record: Record) -> Result<(), FrontierError> {
        Self::push(self, record);
        Ok(())
    }

    fn push_later(&mut self, record: Record, due: Timestamp) -> Result<(), FrontierError> {
        let host = self.hosts.id_of(&record.host);
        let age = self.next_age;
        self.next_age += 1;
        self.put_off_until(due, host, age, &record);
        Ok(())
    }

    fn leave(&mut self, out: &LeasedRecord) -> Result<(), FrontierError> {
        if !Self::has_waited(out) {
            self.has_less(out.record.depth);
        }
        Ok(())
    }

    fn put_back(&mut self, out: &LeasedRecord) -> Result<(), FrontierError> {
        let LeasedRecord { host, age, record, way } = out;
        if let Some(way) = way {
            self.wait_on_way(*host, *age, record, way.as_ref().clone());
            return Ok(());
        }
        let order = self.hosts.order();
        let rank = Rank::of(record, *age, order);
        // `has_more` counts the record once more, although no record is added, so it is subtracted first.
        self.has_less(record.depth);
        self.has_more(*host, rank.band);
        self.hosts.put_back(*host, rank, Packed::of(record, order));
        Ok(())
    }

    fn wait_until(
        &mut self,
        out: &LeasedRecord,
        due: Timestamp,
        attempts: Attempts,
    ) -> Result<(), FrontierError> {
        let record = Record { attempts, ..out.record.clone() };
        self.put_off_until(due, out.host, out.age, &record);
        self.leave(out)
    }

    fn wait_for_known(&mut self, out: &LeasedRecord, redirect: &Redirect) -> Result<(), FrontierError> {
        self.wait_for_target(out, redirect);
        self.leave(out)
    }

    fn look_at_level(&mut self, host: HostId, now: Timestamp) -> Result<(), FrontierError> {
        Self::look_at_level(self, host, now);
        Ok(())
    }

    fn look_at_room(&mut self, host: HostId) -> Result<(), FrontierError> {
        self.look_at(host);
        Ok(())
    }
}

impl MemoryFrontier {
    /// Stores a record that is due later, with its old age (the number of its admission).
    fn put_off_until(&mut self, due: Timestamp, host: HostId, age: u64, record: &Record) {
        let order = self.hosts.order();
        let (rank, packed) = (Rank::of(record, age, order), Packed::of(record, order));
        self.waiting.push(Reverse(DueLater { due, age, rank, host, packed }));
    }
}
