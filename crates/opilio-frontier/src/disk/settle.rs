//! How leases end on disk: one commit for all of a batch, with the sinks' positions. The steps are those of
//! [`settle`](crate::settle).

use fjall::OwnedWriteBatch;
use opilio_core::{Attempts, Fingerprint, Lease, LeaseId, Reason, Record, SinkPosition, Timestamp};

use super::DiskFrontier;
use super::chains::Waited;
use super::keys::{self, HostId};
use super::queue;
use super::seen::Sighting;
use crate::batch::{Fetched, Filtered, Settled, Settlement};
use crate::chain::Redirect;
use crate::error::FrontierError;
use crate::settle::{Settling, put_off, settle};
use crate::stats::{Failure, FrontierStats};

/// A lease that was taken out.
pub(super) enum Out {
    Queued(queue::Out),
    Waited(Box<Waited>),
}

/// A commit in the making.
pub(super) struct Settlements<'a> {
    store: &'a mut DiskFrontier,
    commit: OwnedWriteBatch,
    /// Targets of redirects, and their hosts.
    fresh: Vec<(HostId, Record)>,
    /// Leases that are over when the commit is made, and out again when it fails.
    over: &'a mut Vec<(LeaseId, Out)>,
}

impl DiskFrontier {
    pub(super) fn settle_all(
        &mut self,
        batch: Vec<Settlement>,
        positions: &[SinkPosition],
        now: Timestamp,
    ) -> Result<Settled, FrontierError> {
        let mut over = Vec::with_capacity(batch.len());
        let settled = self.all_or_nothing(|store| store.settle_into(batch, positions, now, &mut over));
        if settled.is_err() {
            for (lease, out) in over {
                match out {
                    Out::Queued(out) => self.queue.put_out(lease, out),
                    Out::Waited(waited) => self.chains.put_out(lease, *waited),
                }
            }
        }
        settled
    }

    fn settle_into(
        &mut self,
        batch: Vec<Settlement>,
        positions: &[SinkPosition],
        now: Timestamp,
        over: &mut Vec<(LeaseId, Out)>,
    ) -> Result<Settled, FrontierError> {
        let mut settled = Settled::default();
        let mut settling = Settlements::new(self, over);
        for settlement in batch {
            settle(&mut settling, settlement, now, &mut settled)?;
        }
        settling.store.open_levels(now)?;
        for SinkPosition { sink, position } in positions {
            let key = keys::named(keys::POSITIONS, sink);
            settling.commit.insert(&settling.store.stored.misc, key, position.to_be_bytes());
        }
        settling.commit()?;
        for SinkPosition { sink, position } in positions {
            self.positions.insert(sink.clone(), *position);
        }
        Ok(settled)
    }
}

impl<'a> Settlements<'a> {
    pub(super) fn new(store: &'a mut DiskFrontier, over: &'a mut Vec<(LeaseId, Out)>) -> Self {
        let commit = store.stored.db.batch();
        Self { store, commit, fresh: Vec::new(), over }
    }

    /// Ends as filtered what was leased for that. It was out with no host and no level.
    pub(super) fn close(&mut self, lease: &Lease, why: Filtered) -> Result<(), FrontierError> {
        let Some(out) = self.store.queue.take_out(lease.id) else { return Ok(()) };
        let slot = self.store.slot(out.host)?;
        slot.out = slot.out.saturating_sub(1);
        put_off(self, &lease.record, why);
        self.leave(&Out::Queued(out))
    }

    /// Makes the commit, if there is anything to write.
    pub(super) fn commit(self) -> Result<(), FrontierError> {
        let Self { store, mut commit, fresh, .. } = self;
        store.write_placed(fresh, &mut commit)?;
        store.queue.write_settled(&mut commit);
        store.seen.write(&mut commit);
        if !commit.is_empty() {
            store.commit(commit)?;
        }
        store.remember()
    }
}

impl Settling for Settlements<'_> {
    type Out = Out;
    type Host = HostId;

    fn books(&mut self) -> &mut FrontierStats {
        &mut self.store.books.stats
    }

    fn take_out(&mut self, lease: LeaseId) -> Result<Option<Out>, FrontierError> {
        let Some(out) = self.store.queue.take_out(lease) else {
            let waited = self.store.chains.take_out(lease);
            return Ok(waited.map(|waited| Out::Waited(Box::new(waited))));
        };
        let (host, depth) = (out.host, out.depth());
        match self.store.slot(host) {
            Ok(slot) => slot.out = slot.out.saturating_sub(1),
            Err(error) => {
                self.over(lease, Out::Queued(out));
                return Err(error);
            }
        }
        if let Some(levels) = &mut self.store.levels {
            levels.over(host, depth);
        }
        Ok(Some(Out::Queued(out)))
    }

    fn over(&mut self, lease: LeaseId, out: Out) {
        self.over.push((lease, out));
    }

    fn host(out: &Out) -> HostId {
        match out {
            Out::Queued(out) => out.host,
            Out::Waited(waited) => waited.host,
        }
    }

    fn has_waited(out: &Out) -> bool {
        matches!(out, Out::Waited(_))
    }

    fn fingerprint(&mut self, out: &Out) -> Result<Fingerprint, FrontierError> {
        match out {
            Out::Queued(out) => {
                let host = self.store.slot(out.host)?.host.clone();
                let url = self.store.queue.fingerprint(out, &host);
                url.ok_or_else(|| self.store.place.damaged("a record that was leased"))
            }
            Out::Waited(waited) => Ok(waited.record.fingerprint),
        }
    }

    fn record(&mut self, out: &Out) -> Result<Record, FrontierError> {
        match out {
            Out::Queued(out) => {
                let host = self.store.slot(out.host)?.host.clone();
                let record = self.store.queue.record(out, &host);
                record.ok_or_else(|| self.store.place.damaged("a record that was leased"))
            }
            Out::Waited(waited) => Ok(waited.record.clone()),
        }
    }

    fn end_as_page(&mut self, url: Fingerprint) {
        self.store.chains.end_as_page(url);
    }

    fn fail(&mut self, url: Fingerprint, reason: Reason) {
        self.store.write_failed(url, reason, &mut self.commit);
    }

    fn lead_on(&mut self, url: Fingerprint, redirect: &Redirect) {
        self.store.write_led_on(url, redirect, &mut self.commit);
    }

    fn filter(&mut self, url: Fingerprint, why: Filtered) {
        self.store.seen.put_off(url, why);
        self.store.chains.changed(url);
    }

    fn forget_fate(&mut self, url: Fingerprint) {
        self.store.forget_fate(url, &mut self.commit);
    }

    fn has_led_on(&self, url: Fingerprint) -> Result<bool, FrontierError> {
        self.store.has_led_on(url)
    }

    fn keep_page(
        &mut self,
        out: &Out,
        attempts: u16,
        fetched: Fetched,
        now: Timestamp,
    ) -> Result<(), FrontierError> {
        let host = Self::host(out);
        self.store.spend(host, |spent| spent.add(fetched.body_bytes))?;
        // A run that does not ask for the history must not make it forget.
        if self.store.options.history || self.store.books.next_page > 0 {
            let record = self.record(out)?;
            self.store.add_page(host, record, attempts, fetched, now, &mut self.commit);
        }
        Ok(())
    }

    fn keep_failure(&mut self, out: &Out, record: &Record, failure: Failure) {
        self.store.add_failure(Self::host(out), record, &failure, &mut self.commit);
    }

    fn take_on(&mut self, url: Fingerprint) -> Result<bool, FrontierError> {
        let before = self.store.seen.take_on(url);
        Ok(self.store.sighted(before)? == Sighting::Known)
    }

    fn met_again(&mut self, record: &Record) {
        self.store.met_again(record);
    }

    fn push(&mut self, record: Record) -> Result<(), FrontierError> {
        let placed = self.store.place(record, &mut self.commit)?;
        self.fresh.push(placed);
        Ok(())
    }

    fn push_later(&mut self, record: Record, due: Timestamp) -> Result<(), FrontierError> {
        let host = self.store.number(&record.host, &mut self.commit)?;
        let age = self.store.books.next_age;
        self.store.books.next_age += 1;
        self.store.write_waiting((host, age), &record, due, &mut self.commit);
        Ok(())
    }

    fn leave(&mut self, out: &Out) -> Result<(), FrontierError> {
        match out {
            Out::Queued(out) => {
                self.store.has_less(out.depth());
                self.store.queue.settle(out);
            }
            Out::Waited(waited) => self.store.remove_waiter(waited, &mut self.commit),
        }
        Ok(())
    }

    fn put_back(&mut self, out: &Out) -> Result<(), FrontierError> {
        match out {
            Out::Queued(out) => {
                // It is left as before.
                self.store.has_less(out.depth());
                self.store.has_more(out.host, out.depth(), out.priority())?;
                if let Some(slot) = self.store.hosts.slot(out.host) {
                    self.store.queue.give_back(out, slot);
                }
                self.store.hosts.join_line(out.host);
            }
            // It goes on waiting, and is looked at again.
            Out::Waited(waited) => self.store.chains.look_later_at(waited.key),
        }
        Ok(())
    }

    fn wait_until(&mut self, out: &Out, due: Timestamp, attempts: Attempts) -> Result<(), FrontierError> {
        // What waits for a known URL waits for no time.
        let Out::Queued(queued) = out else { return self.put_back(out) };
        let record = Record { attempts, ..self.record(out)? };
        self.store.write_waiting((queued.host, queued.age()), &record, due, &mut self.commit);
        self.leave(out)
    }

    fn wait_for_known(&mut self, out: &Out, redirect: &Redirect) -> Result<(), FrontierError> {
        match out {
            Out::Queued(queued) => {
                let record = Record { attempts: redirect.attempts, ..self.record(out)? };
                let place = (queued.host, queued.age());
                self.store.write_waiter(place, &record, redirect, &mut self.commit);
                self.leave(out)
            }
            Out::Waited(waited) => {
                self.store.move_waiter(waited, redirect, &mut self.commit);
                Ok(())
            }
        }
    }

    fn look_at_level(&mut self, host: HostId, now: Timestamp) -> Result<(), FrontierError> {
        self.store.look_at_level(host, now)
    }

    fn look_at_room(&mut self, host: HostId) -> Result<(), FrontierError> {
        self.store.look_at(host)
    }
}

/// The reason of a stable word.
pub(super) fn reason(word: &str) -> Option<Reason> {
    Reason::ALL.iter().copied().find(|reason| reason.as_str() == word)
}
