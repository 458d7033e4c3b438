//! How a lease ends: written once, over [`Settling`], for all stores.
//!
//! | ending | is counted as | what is known of the URL from then on | its record |
//! | --- | --- | --- | --- |
//! | page | a page; one less is left | it ended as a page; its bytes count towards its host's caps | leaves, and is kept for a refresh where there is a history |
//! | alias | an alias; one less is left | it ended as a page, unless it led on to one | leaves |
//! | failed | a failure of its reason; one less is left | it failed, and why | leaves, and is kept for another try |
//! | redirected | a redirect | it led on to its target | leaves, and the target's record is queued in its stead, or has to wait until it is due |
//! | redirected to a known URL | nothing: it is still left | the same | leaves, and [waits](crate::Frontier::decided) until the known URL has ended |
//! | retry | a retry; it is still left | nothing | leaves, and waits until it is due, at its old age |
//! | return | nothing: it is still left | nothing | is back in its old place |
//! | filtered, which stands in for an ending | filtered instead of admitted; one less is left | it was filtered; a redirect's target ended out of scope and stays known | leaves |
//!
//! A URL that waited for a known one and is out to end has the same endings. It was in no queue, so neither a level
//! nor room under the caps opens when it ends; retry and return both mean that it goes on waiting, since no request
//! was due for it.

use bytes::Bytes;
use opilio_core::{Attempts, Ending, Fingerprint, LeaseId, Reason, Record, RecordKind, Timestamp};

use crate::batch::{Fetched, Filtered, Settled, Settlement};
use crate::chain::Redirect;
use crate::error::FrontierError;
use crate::stats::{Cause, Failure, FrontierStats};

/// A store, or its commit in the making, that leases can be settled in.
pub(crate) trait Settling {
    /// A lease that was taken out: its record, and where that stands.
    type Out;
    /// A host, as the store numbers it.
    type Host: Copy;

    /// The counters.
    fn books(&mut self) -> &mut FrontierStats;

    /// Takes a lease off those that are out, and off those that its host and its level have out. `None` when it
    /// is over already or never was.
    fn take_out(&mut self, lease: LeaseId) -> Result<Option<Self::Out>, FrontierError>;

    /// A lease that was taken out is over, or the store has failed. A store that takes its commit back then
    /// has the lease out again.
    fn over(&mut self, lease: LeaseId, out: Self::Out);

    fn host(out: &Self::Out) -> Self::Host;

    /// Whether it waited for a known URL, instead of standing in a queue.
    fn has_waited(out: &Self::Out) -> bool;

    fn fingerprint(&mut self, out: &Self::Out) -> Result<Fingerprint, FrontierError>;

    fn record(&mut self, out: &Self::Out) -> Result<Record, FrontierError>;

    // What is known of a URL. Each of these decides what waits for it, but for `forget_fate`.

    fn end_as_page(&mut self, url: Fingerprint);
    fn fail(&mut self, url: Fingerprint, reason: Reason);
    fn lead_on(&mut self, url: Fingerprint, redirect: &Redirect);
    fn filter(&mut self, url: Fingerprint, why: Filtered);

    /// Nothing more is known of how it failed or led on.
    fn forget_fate(&mut self, url: Fingerprint);

    fn has_led_on(&self, url: Fingerprint) -> Result<bool, FrontierError>;

    // What is kept of what has ended.

    /// Counts a page towards its host's caps, and keeps its record where there is a history.
    fn keep_page(
        &mut self,
        out: &Self::Out,
        attempts: u16,
        fetched: Fetched,
        now: Timestamp,
    ) -> Result<(), FrontierError>;

    /// Keeps a failure, which is counted already. Its `extra` is that of the record.
    fn keep_failure(&mut self, out: &Self::Out, record: &Record, failure: Failure);

    // Redirects' targets.

    /// Makes a URL known, and tells whether it was.
    fn take_on(&mut self, url: Fingerprint) -> Result<bool, FrontierError>;

    /// What is known was met again, perhaps by a shorter way.
    fn met_again(&mut self, record: &Record);

    /// Queues a record behind all others of its host, priority and place.
    fn push(&mut self, record: Record) -> Result<(), FrontierError>;

    /// Has a record wait for its time; it is as old as if it were queued now.
    fn push_later(&mut self, record: Record, due: Timestamp) -> Result<(), FrontierError>;

    // Where the record of a lease goes: exactly one of these is called for each lease.

    /// It leaves its place.
    fn leave(&mut self, out: &Self::Out) -> Result<(), FrontierError>;

    /// It is where it was before it was leased.
    fn put_back(&mut self, out: &Self::Out) -> Result<(), FrontierError>;

    /// It leaves its place in a queue, and waits for its time, at its age.
    fn wait_until(
        &mut self,
        out: &Self::Out,
        due: Timestamp,
        attempts: Attempts,
    ) -> Result<(), FrontierError>;

    /// It leaves its place, and waits for its redirect's target, which is known.
    fn wait_for_known(&mut self, out: &Self::Out, redirect: &Redirect) -> Result<(), FrontierError>;

    // What the end of a lease opens.

    /// The next level of its host may have opened.
    fn look_at_level(&mut self, host: Self::Host, now: Timestamp) -> Result<(), FrontierError>;

    /// There may be room for more under its caps, or none any more.
    fn look_at_room(&mut self, host: Self::Host) -> Result<(), FrontierError>;
}

/// Ends a lease.
pub(crate) fn settle<S: Settling>(
    store: &mut S,
    settlement: Settlement,
    now: Timestamp,
    settled: &mut Settled,
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

/// Filters what was taken on, which decides whatever waits for it.
pub(crate) fn put_off<S: Settling>(store: &mut S, record: &Record, why: Filtered) {
    store.books().put_off(why);
    match record.kind {
        RecordKind::Discovered => store.filter(record.fingerprint, why),
        // A redirect's target ends in the name of its origin, and stays known.
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
        // What was a redirect's target fails instead, which replaces what was known of it.
        if S::has_waited(out) && record.kind == RecordKind::Discovered {
            store.forget_fate(record.fingerprint);
        }
        put_off(store, &record, why);
        return store.leave(out);
    }
    let Settlement { ending, redirect, attempts, reported_as, fetched, cause, .. } = settlement;
    match ending {
        Ending::Page => {
            let url = store.fingerprint(out)?;
            if S::has_waited(out) {
                store.forget_fate(url);
            }
            store.end_as_page(url);
            store.books().pages += 1;
            store.keep_page(out, attempts, fetched, now)?;
        }
        Ending::Alias => {
            let url = store.fingerprint(out)?;
            // Another page stands for it: either it led there, or it is one itself.
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
                // A settlement is made with one.
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

/// Queues a redirect's target, or has the redirected URL wait for it when the crawl knows it.
fn follow<S: Settling>(store: &mut S, out: &S::Out, redirect: Redirect) -> Result<(), FrontierError> {
    let (from, target) = (store.fingerprint(out)?, redirect.target.fingerprint);
    // A server that answers `?b&a` with a redirect to `?a&b` leads to another URL under the same
    // fingerprint: that is no other URL of the crawl, and it has not been fetched.
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
