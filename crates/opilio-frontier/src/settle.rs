//! How a lease ends: [`settle`] is one algorithm for all stores, and [`Settling`] is the set of steps that each
//! store implements.
//!
//! A store implements [`Settling`] and calls [`settle`] for each settlement of a batch. The algorithm removes the
//! lease from the unsettled leases and ends its URL. Then it checks whether records of the next level (the next
//! depth) may be leased now, and whether the caps of the host allow more leases.
//!
//! | ending | what the counters record | what the store knows of the URL afterwards | what happens to its record |
//! | --- | --- | --- | --- |
//! | page | one page more, one URL less left | the URL ended as a page; its bytes count towards its host's caps | leaves the queue, and is kept for a refresh if the store has a history |
//! | alias | one alias more, one URL less left | the URL ended as a page, or was redirected to one | leaves the queue |
//! | failed | one failure of its reason more, one URL less left | the URL failed, and why | leaves the queue, and is kept for another try |
//! | redirected | one redirect more | the URL was redirected to its target | leaves the queue; the target's record is queued instead, at once or when it is due |
//! | redirected to a known URL | no change: the URL is still left | the URL was redirected to its target | leaves the queue, and [waits](crate::Frontier::decided) until the known URL has ended |
//! | retry | one retry more; the URL is still left | nothing new | leaves the queue, and is queued again when it is due, with its old age |
//! | return | no change: the URL is still left | nothing new | returns to its old place in the queue |
//! | filtered, instead of an ending | one filtered URL more, one admitted URL and one URL left less | the URL was filtered; a redirect's target ended out of scope and stays known | leaves the queue |
//!
//! A URL that waited for a known URL and is leased again can end in the same ways. But it was in no queue, so no
//! level was waiting for it. And it needed no request, so retry and return have the same effect: the URL goes on
//! waiting.

use bytes::Bytes;
use opilio_core::{Attempts, Ending, Fingerprint, LeaseId, Reason, Record, RecordKind, Timestamp};

use crate::batch::{Fetched, Filtered, SettledCounts, Settlement};
use crate::chain::Redirect;
use crate::error::FrontierError;
use crate::stats::{Cause, Failure, FrontierStats};

/// The steps of the algorithm. A store implements them, or a commit that the store prepares.
pub(crate) trait Settling {
    /// A lease that is being settled: the record, and the place of the record in the store.
    type Out;
    /// The number that the store uses for a host.
    type Host: Copy;

    /// Returns the counters of the store.
    fn books(&mut self) -> &mut FrontierStats;

    /// Removes a lease from the unsettled leases, and from the counts of its host's leases and of the leases of its
    /// depth. Returns `None` if the lease has ended already or never existed.
    fn take_out(&mut self, lease: LeaseId) -> Result<Option<Self::Out>, FrontierError>;

    /// Gives the data of a lease back to the store, after the lease was settled or after an error. A store whose
    /// commit can fail keeps this data until the commit is made, so that it can restore the lease as unsettled after
    /// a failure.
    fn over(&mut self, lease: LeaseId, out: Self::Out);

    /// Returns the store's number for the host of a lease.
    fn host(out: &Self::Out) -> Self::Host;

    /// Returns whether the leased URL waited for a known URL, instead of being in a queue.
    fn has_waited(out: &Self::Out) -> bool;

    /// Returns the fingerprint of the leased record.
    fn fingerprint(&mut self, out: &Self::Out) -> Result<Fingerprint, FrontierError>;

    /// Returns the leased record.
    fn record(&mut self, out: &Self::Out) -> Result<Record, FrontierError>;

    // The next methods record how a URL ended. Each of them, except `forget_end`, also lets the URLs end that wait
    // for this URL.

    fn end_as_page(&mut self, url: Fingerprint);
    fn fail(&mut self, url: Fingerprint, reason: Reason);
    fn lead_on(&mut self, url: Fingerprint, redirect: &Redirect);
    fn filter(&mut self, url: Fingerprint, why: Filtered);

    /// Removes the entry about a URL that failed or was redirected.
    fn forget_end(&mut self, url: Fingerprint);

    /// Returns whether a URL was redirected to another URL.
    fn has_led_on(&self, url: Fingerprint) -> Result<bool, FrontierError>;

    // The next methods keep ended records for a refresh or a retry.

    /// Counts a page towards the caps of its host, and keeps its record if the store has a history.
    fn keep_page(
        &mut self,
        out: &Self::Out,
        attempts: u16,
        fetched: Fetched,
        now: Timestamp,
    ) -> Result<(), FrontierError>;

    /// Stores a failure, which the counters contain already. The `extra` of the failure is that of the record.
    fn keep_failure(&mut self, out: &Self::Out, record: &Record, failure: Failure);

    // The next methods queue the targets of redirects.

    /// Makes a URL known, and returns whether the store knew the URL before.
    fn take_on(&mut self, url: Fingerprint) -> Result<bool, FrontierError>;

    /// Notes the depth at which a known URL was discovered again, because that depth may be smaller.
    fn met_again(&mut self, record: &Record);

    /// Queues a record behind all other records of the same host, priority and place in the order.
    fn push(&mut self, record: Record) -> Result<(), FrontierError>;

    /// Stores a record that is due later. The record gets its age (the number of the admission) now, as if it were
    /// queued now.
    fn push_later(&mut self, record: Record, due: Timestamp) -> Result<(), FrontierError>;

    // The next methods move the record of a lease. The algorithm calls exactly one of them for each lease.

    /// Removes the record from the queue or from the waiting URLs, for good.
    fn leave(&mut self, out: &Self::Out) -> Result<(), FrontierError>;

    /// Returns the record to the place that it had before it was leased.
    fn put_back(&mut self, out: &Self::Out) -> Result<(), FrontierError>;

    /// Moves the record from its queue to the records that are due later. The record keeps its age (the number of its
    /// admission).
    fn wait_until(
        &mut self,
        out: &Self::Out,
        due: Timestamp,
        attempts: Attempts,
    ) -> Result<(), FrontierError>;

    /// Moves the record to the waiting URLs, because the target of its redirect is a known URL.
    fn wait_for_known(&mut self, out: &Self::Out, redirect: &Redirect) -> Result<(), FrontierError>;

    // The next methods check which leases are possible now that a lease has ended.

    /// Checks whether records of the next depth may be leased for the host now.
    fn look_at_level(&mut self, host: Self::Host, now: Timestamp) -> Result<(), FrontierError>;

    /// Checks whether the caps of the host allow more leases now, or no leases any more.
    fn look_at_room(&mut self, host: Self::Host) -> Result<(), FrontierError>;
}

/// Settles one lease, and adds the result to the counts in `settled`.
pub(crate) fn settle<S: Settling>(
    store: &mut S,
    settlement: Settlement,
    now: Timestamp,
    settled: &mut SettledCounts,
) -> Result<(), FrontierError> {
    let lease = settlement.lease;
    let Some(out) = store.take_out(lease)? else {
        settled.stale += 1;
        return Ok(());
    };
    let (host, has_waited) = (S::host(&out), S::has_waited(&out));
    let ended = end(store, &out, settlement, now);
    store.over(lease, out);
    ended?;
    settled.over += 1;
    if !has_waited {
        store.look_at_level(host, now)?;
    }
    store.look_at_room(host)
}

/// Ends an admitted URL as filtered, and lets the URLs end that wait for it.
pub(crate) fn put_off<S: Settling>(store: &mut S, record: &Record, why: Filtered) {
    store.books().put_off(why);
    match record.kind {
        RecordKind::Discovered => store.filter(record.fingerprint, why),
        // The counters count the URL where the redirects began as filtered. The redirect's target stays known, as a
        // failure.
        RecordKind::Continuation => store.fail(record.fingerprint, Reason::OutOfScope),
    }
}

fn end<S: Settling>(
    store: &mut S,
    out: &S::Out,
    settlement: Settlement,
    now: Timestamp,
) -> Result<(), FrontierError> {
    if let Some(why) = settlement.filtered {
        let record = store.record(out)?;
        // The target of a redirect fails in `put_off`, and that failure replaces the entry about its end.
        if S::has_waited(out) && record.kind == RecordKind::Discovered {
            store.forget_end(record.fingerprint);
        }
        put_off(store, &record, why);
        return store.leave(out);
    }
    let Settlement { ending, redirect, attempts, reported_as, fetched, cause, .. } = settlement;
    match ending {
        Ending::Page => {
            let url = store.fingerprint(out)?;
            if S::has_waited(out) {
                store.forget_end(url);
            }
            store.end_as_page(url);
            store.books().pages += 1;
            store.keep_page(out, attempts, fetched, now)?;
        }
        Ending::Alias => {
            let url = store.fingerprint(out)?;
            // If the URL was redirected, the stored redirect already leads to its page. Otherwise the URL itself is
            // recorded as a page.
            if !store.has_led_on(url)? {
                store.end_as_page(url);
            }
            store.books().aliases += 1;
        }
        Ending::Failed(reason) => {
            let record = store.record(out)?;
            store.fail(record.fingerprint, reason);
            *store.books().failures.entry(reason).or_default() += 1;
            let url = reported_as.unwrap_or_else(|| record.url.clone());
            let cause = cause.map_or_else(Cause::default, |cause| *cause);
            let failure = Failure { url, reason, attempts, ended: now, cause, extra: Bytes::new() };
            store.keep_failure(out, &record, failure);
        }
        Ending::Redirected => {
            return match redirect {
                Some(redirect) => follow(store, out, *redirect),
                // This cannot happen, because the constructor of this settlement requires a redirect.
                None => store.put_back(out),
            };
        }
        Ending::Retry { due, attempts } if !S::has_waited(out) => {
            store.books().retries += 1;
            return store.wait_until(out, due, attempts);
        }
        Ending::Retry { .. } | Ending::Return => return store.put_back(out),
    }
    store.books().left -= 1;
    store.leave(out)
}

/// Queues the target of a redirect. If the crawl knows the target already, the redirected URL waits for the end of
/// the target.
fn follow<S: Settling>(store: &mut S, out: &S::Out, redirect: Redirect) -> Result<(), FrontierError> {
    let (from, target) = (store.fingerprint(out)?, redirect.target.fingerprint);
    // A redirect may lead to a URL with the same fingerprint, for example from `?b&a` to `?a&b`. For the crawl, both
    // are the same URL, which has not been fetched yet.
    if target != from {
        store.lead_on(from, &redirect);
        if store.take_on(target)? {
            store.met_again(&redirect.target);
            return store.wait_for_known(out, &redirect);
        }
    }
    store.books().redirects += 1;
    let record = Record { kind: RecordKind::Continuation, ..redirect.target };
    match redirect.due {
        None => store.push(record)?,
        Some(due) => store.push_later(record, due)?,
    }
    store.leave(out)
}
