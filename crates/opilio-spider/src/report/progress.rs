//! The numbers of a running crawl, for people.

use std::time::Duration;

use crate::counts::Books;
use crate::run_history::Totals;

/// The numbers of a crawl at one moment. They cover all its runs, except for the requests in flight and the hosts.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Progress {
    /// URLs that were admitted to the crawl.
    pub admitted: u64,
    /// URLs that ended as a page. Sitemaps are not counted here.
    pub pages: u64,
    /// The number of pages after which the crawl ends; `None` if it has no such limit.
    pub pages_max: Option<u64>,
    /// Sitemaps that were read to their end.
    pub sitemaps: u64,
    /// URLs that turned out to be another name of a known URL.
    pub aliases: u64,
    /// URLs that ended as a failure.
    pub failures: u64,
    /// URLs that have not ended.
    pub left: u64,
    /// Items that all outputs have written, in all runs.
    pub items: u64,
    /// Requests sent.
    pub requests: u64,
    /// Attempts beyond the first attempt of each URL.
    pub retries: u64,
    /// Answers with the status 429 or 503.
    pub refusals: u64,
    /// Body bytes received, decompressed.
    pub bytes: u64,
    /// Requests in flight.
    pub in_flight: u32,
    /// Hosts that have something to do: URLs to fetch, or requests in flight.
    pub hosts: u32,
    /// Live hosts that may get no request now, because they have to wait.
    pub held: u32,
    /// Whether fewer requests than usual are started, because memory is near its limit.
    pub slowed: bool,
    /// The time for which all runs together have been running.
    pub elapsed: Duration,
}

impl Progress {
    /// Makes a progress report from the counts of the store and the totals of all runs. The other fields have
    /// their defaults.
    #[must_use]
    pub fn of_books(books: Books, totals: &Totals) -> Self {
        let Books { admitted, pages, sitemaps, aliases, failures, left, items } = books;
        Self {
            admitted,
            pages,
            sitemaps,
            aliases,
            failures,
            left,
            items,
            requests: totals.requests,
            retries: totals.retries,
            refusals: totals.refusals,
            bytes: totals.bytes,
            elapsed: totals.elapsed,
            ..Self::default()
        }
    }
}
