//! How leases end on disk: a whole batch of settlements is one commit, which also contains the positions of the
//! sinks. The algorithm itself is [`settle`](crate::settle).

use fjall::OwnedWriteBatch;
use opilio_core::{Attempts, Fingerprint, Lease, LeaseId, Reason, Record, SinkPosition, Timestamp};

use super::DiskFrontier;
use super::chains::Waited;
use super::keys::{self, HostId};
use super::queue;
use super::seen::Sighting;
use crate::batch::{Fetched, Filtered, SettledCounts, Settlement};
use crate::chain::Redirect;
use crate::error::FrontierError;
use crate::settle::{Settling, put_off, settle};
use crate::stats::{Failure, FrontierStats};

/// A lease that is being settled: on a record of the queue, or on a redirected URL that waited.
pub(super) enum TakenOut {
    Queued(queue::QueuedLease),
    Waited(Box<Waited>),
}

/// A batch of settlements, and the commit that is built from it.
pub(super) struct Settlements<'a> {
    store: &'a mut DiskFrontier,
    commit: OwnedWriteBatch,
    /// The targets of redirects that the commit will queue, each with the number of its host.
    fresh: Vec<(HostId, Record)>,
    /// The leases that this batch settles. If the commit fails, they are restored as unsettled leases.
    over: &'a mut Vec<(LeaseId, TakenOut)>,
}

impl DiskFrontier {
    pub(super) fn settle_all(
        &mut self,
        batch: Vec<Settlement>,
        positions: &[SinkPosition],
        now: Timestamp,
    ) -> Result<SettledCounts, FrontierError> {
        let mut over = Vec::with_capacity(batch.len());
        let settled = self.all_or_nothing(|store| store.settle_into(batch, positions, now, &mut over));
        if settled.is_err() {
            for (lease, out) in over {
                match out {
                    TakenOut::Queued(out) => self.queue.put_out(lease, out),
                    TakenOut::Waited(waited) => self.chains.put_out(lease, *waited),
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
        over: &mut Vec<(LeaseId, TakenOut)>,
    ) -> Result<SettledCounts, FrontierError> {
        let mut settled = SettledCounts::default();
        let mut settling = Settlements::new(self, over);
        for settlement in batch {
            settle(&mut settling, settlement, now, &mut settled)?;
        }
        settling.store.open_levels(now)?;
        for SinkPosition { sink, position } in positions {
            let key = keys::named(keys::POSITIONS, sink);
            settling.commit.insert(&settling.store.disk.stored.misc, key, position.to_be_bytes());
        }
        settling.commit()?;
        for SinkPosition { sink, position } in positions {
            self.positions.insert(sink.clone(), *position);
        }
        Ok(settled)
    }
}

impl<'a> Settlements<'a> {
    pub(super) fn new(store: &'a mut DiskFrontier, over: &'a mut Vec<(LeaseId, TakenOut)>) -> Self {
        let commit = store.disk.stored.db.batch();
        Self { store, commit, fresh: Vec::new(), over }
    }

    /// Ends a record as filtered, through a lease that is made only for this purpose and is not returned to the
    /// caller.
    pub(super) fn close(&mut self, lease: &Lease, why: Filtered) -> Result<(), FrontierError> {
        let Some(out) = self.store.queue.take_out(lease.id) else { return Ok(()) };
        let entry = self.store.entry(out.host)?;
        entry.out = entry.out.saturating_sub(1);
        put_off(self, &lease.record, why);
        self.leave(&TakenOut::Queued(out))
    }

    /// Commits the batch, if there is anything to write.
    pub(super) fn commit(self) -> Result<(), FrontierError> {
        let Self { store, mut commit, fresh, .. } = self;
        store.write_placed(fresh, &mut commit)?;
        store.queue.write_settled(&mut commit);
        store.seen.write(&mut commit);
        if !commit.is_empty() {
            store.commit(commit)?;
        }
        store.seen_committed()
    }
}

impl Settling for Settlements<'_> {
    type Out = TakenOut;
    type Host = HostId;

    fn books(&mut self) -> &mut FrontierStats {
        &mut self.store.books.stats
    }

    fn take_out(&mut self, lease: LeaseId) -> Result<Option<TakenOut>, FrontierError> {
        let Some(out) = self.store.queue.take_out(lease) else {
            let waited = self.store.chains.take_out(lease);
            return Ok(waited.map(|waited| TakenOut::Waited(Box::new(waited))));
        };
        let (host, depth) = (out.host, out.depth());
        match self.store.entry(host) {
            Ok(entry) => entry.out = entry.out.saturating_sub(1),
            Err(error) => {
                self.over(lease, TakenOut::Queued(out));
                return Err(error);
            }
        }
        if let Some(levels) = &mut self.store.levels {
            levels.over(host, depth);
        }
        Ok(Some(TakenOut::Queued(out)))
    }

    fn over(&mut self, lease: LeaseId, out: TakenOut) {
        self.over.push((lease, out));
    }

    fn host(out: &TakenOut) -> HostId {
        match out {
            TakenOut::Queued(out) => out.host,
            TakenOut::Waited(waited) => waited.host,
        }
    }

    fn has_waited(out: &TakenOut) -> bool {
        matches!(out, TakenOut::Waited(_))
    }

    fn fingerprint(&mut self, out: &TakenOut) -> Result<Fingerprint, FrontierError> {
        match out {
            TakenOut::Queued(out) => {
                let host = self.store.entry(out.host)?.host.clone();
                let url = self.store.queue.fingerprint(out, &host);
                url.ok_or_else(|| self.store.disk.place.damaged("a leased record cannot be read"))
            }
            TakenOut::Waited(waited) => Ok(waited.record.fingerprint),
        }
    }

    fn record(&mut self, out: &TakenOut) -> Result<Record, FrontierError> {
        match out {
            TakenOut::Queued(out) => {
                let host = self.store.entry(out.host)?.host.clone();
                let record = self.store.queue.record(out, &host);
                record.ok_or_else(|| self.store.disk.place.damaged("a leased record cannot be read"))
            }
            TakenOut::Waited(waited) => Ok(waited.record.clone()),
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

    fn forget_end(&mut self, url: Fingerprint) {
        self.store.forget_end(url, &mut self.commit);
    }

    fn has_led_on(&self, url: Fingerprint) -> Result<bool, FrontierError> {
        self.store.has_led_on(url)
    }

    fn keep_page(
        &mut self,
        out: &TakenOut,
        attempts: u16,
        fetched: Fetched,
        now: Timestamp,
    ) -> Result<(), FrontierError> {
        let host = Self::host(out);
        self.store.spend(host, |spent| spent.add(fetched.body_bytes))?;
        // Where the history has pages, pages are kept even if the option is off in this run: otherwise a page that
        // became due again would be missing in the history.
        if self.store.options.history || self.store.books.next_page > 0 {
            let record = self.record(out)?;
            self.store.add_page(host, record, attempts, fetched, now, &mut self.commit);
        }
        Ok(())
    }

    fn keep_failure(&mut self, out: &TakenOut, record: &Record, failure: Failure) {
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

    fn leave(&mut self, out: &TakenOut) -> Result<(), FrontierError> {
        match out {
            TakenOut::Queued(out) => {
                self.store.has_less(out.depth());
                self.store.queue.settle(out);
            }
            TakenOut::Waited(waited) => self.store.remove_waiter(waited, &mut self.commit),
        }
        Ok(())
    }

    fn put_back(&mut self, out: &TakenOut) -> Result<(), FrontierError> {
        match out {
            TakenOut::Queued(out) => {
                // `has_more` counts the record once more, although no record is added, so it is subtracted first.
                self.store.has_less(out.depth());
                self.store.has_more(out.host, out.depth(), out.priority())?;
                if let Some(entry) = self.store.hosts.entry(out.host) {
                    self.store.queue.give_back(out, entry);
                }
                self.store.hosts.join_line(out.host);
            }
            // The URL goes on waiting for the end of its chain. `look_later_at` makes a later call check whether it
            // still has to wait.
            TakenOut::Waited(waited) => self.store.chains.look_later_at(waited.key),
        }
        Ok(())
    }

    fn wait_until(
        &mut self,
        out: &TakenOut,
        due: Timestamp,
        attempts: Attempts,
    ) -> Result<(), FrontierError> {
        // A URL that waited for a known URL has no due time, so it cannot be retried later: it goes on waiting.
        let TakenOut::Queued(queued) = out else { return self.put_back(out) };
        let record = Record { attempts, ..self.record(out)? };
        self.store.write_waiting((queued.host, queued.age()), &record, due, &mut self.commit);
        self.leave(out)
    }

    fn wait_for_known(&mut self, out: &TakenOut, redirect: &Redirect) -> Result<(), FrontierError> {
        match out {
            TakenOut::Queued(queued) => {
                let record = Record { attempts: redirect.attempts, ..self.record(out)? };
                let place = (queued.host, queued.age());
                self.store.write_waiter(place, &record, redirect, &mut self.commit);
                self.leave(out)
            }
            TakenOut::Waited(waited) => {
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

/// Returns the reason that has this word in the stored data.
pub(super) fn reason(word: &str) -> Option<Reason> {
    Reason::ALL.iter().copied().find(|reason| reason.as_str() == word)
}
