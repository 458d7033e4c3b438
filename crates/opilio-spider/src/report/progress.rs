//! The numbers of a crawl that runs, for people.

use std::time::Duration;

use crate::counts::Books;
use crate::run_history::Totals;

/// A crawl at one moment: its runs together, but for the requests in flight and the hosts.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Progress {
    /// URLs that were admitted.
    pub admitted: u64,
    /// URLs that ended as a page, sitemaps apart.
    pub pages: u64,
    /// The number of pages that ends the crawl, if it has a limit.
    pub pages_max: Option<u64>,
    /// Sitemaps that were read to their end.
    pub sitemaps: u64,
    /// URLs that ended as another name of a known one.
    pub aliases: u64,
    /// URLs that ended as a failure.
    pub failures: u64,
    /// URLs that have not ended.
    pub left: u64,
    /// Items written, in all runs.
    pub items: u64,
    /// Requests sent.
    pub requests: u64,
    /// Attempts beyond the first of a URL.
    pub retries: u64,
    /// Answers of 429 or 503.
    pub refusals: u64,
    /// Body bytes received.
    pub bytes: u64,
    /// Requests in flight.
    pub in_flight: u32,
    /// Hosts with something to do.
    pub hosts: u32,
    /// Live hosts that are held now.
    pub held: u32,
    /// Whether less than usual is started, since memory is near its limit.
    pub slowed: bool,
    /// How long it has run, all runs together.
    pub elapsed: Duration,
}

impl Progress {
    /// The numbers of the store and the totals of all runs. The other fields have their defaults.
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
