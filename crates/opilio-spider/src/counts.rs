//! Adds up the counts of a run: those of each shard, those of the store, and the totals of all runs.

use std::collections::HashSet;
use std::time::Duration;

use opilio_core::scheduling::StoreCounts;
use opilio_frontier::{Frontier, FrontierStats};

use crate::coverage::{CrawlCoverage, EndedCoverage};
use crate::run_history::Totals;

/// The counters of a shard, or of all shards together.
#[derive(Clone, Copy, Debug, Default)]
pub struct ShardCounts {
    /// The number of requests sent.
    pub requests: u64,
    /// The number of attempts beyond the first attempt of each URL.
    pub retries: u64,
    /// The number of answers with the status 429 or 503.
    pub refusals: u64,
    /// The number of body bytes received.
    pub bytes: u64,
    /// The number of answers that were read from the cache.
    pub cached: u64,
    /// The number of live hosts: those that have an actor or sleep.
    pub hosts: u32,
    /// The number of live hosts that may get no request now, because they have to wait.
    pub held: u32,
    /// The number of requests in flight.
    pub in_flight: u32,
    /// The number of fetches in flight, plus the number of pages whose results the store has not taken yet.
    pub under_way: u32,
}

impl ShardCounts {
    /// Returns the sum of each counter of `self` and `other`.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            requests: self.requests + other.requests,
            retries: self.retries + other.retries,
            refusals: self.refusals + other.refusals,
            bytes: self.bytes + other.bytes,
            cached: self.cached + other.cached,
            hosts: self.hosts + other.hosts,
            held: self.held + other.held,
            in_flight: self.in_flight + other.in_flight,
            under_way: self.under_way + other.under_way,
        }
    }

    /// Returns those counters whose values are added up over all runs.
    #[must_use]
    pub fn totals(self) -> Totals {
        let Self { requests, retries, refusals, bytes, cached, .. } = self;
        Totals { requests, retries, refusals, bytes, cached, ..Totals::default() }
    }
}

/// The counts of the store, together with the counts of items and sitemaps.
#[derive(Clone, Copy, Debug, Default)]
pub struct Books {
    /// The number of URLs that were admitted to the crawl.
    pub admitted: u64,
    /// The number of URLs that ended as pages. Sitemaps are not counted here.
    pub pages: u64,
    /// The number of sitemaps that were read to their end.
    pub sitemaps: u64,
    /// The number of URLs that ended as aliases of pages.
    pub aliases: u64,
    /// The number of URLs that failed.
    pub failures: u64,
    /// The number of URLs that have not ended.
    pub left: u64,
    /// The number of items on those pages that the store counts as ended.
    pub items: u64,
}

/// Adds up the counts of earlier runs, of each shard of this run, and of items.
pub struct Tally {
    before: Totals,
    /// The counts of each shard, from its latest message.
    shards: Vec<ShardCounts>,
    /// The numbers of the shards that have sent their last message.
    drained: HashSet<usize>,
    /// The number of items on those pages that the store counts as ended.
    items: u64,
    /// The number of sitemaps that the store counts as ended. In the store's own counts they are pages.
    sitemaps: u64,
    /// Whether a warning was logged that pages gave items although the crawl has no output.
    told_of_items: bool,
    /// What was found for fields, on those pages of all runs that the store counts as ended.
    coverage: CrawlCoverage,
}

impl Tally {
    /// Makes the tally of a run with this many shards, which continues the counts of earlier runs.
    #[must_use]
    pub fn new(before: Totals, coverage: CrawlCoverage, shards: usize) -> Self {
        Self {
            before,
            shards: vec![ShardCounts::default(); shards],
            drained: HashSet::new(),
            items: 0,
            sitemaps: 0,
            told_of_items: false,
            coverage,
        }
    }

    /// Sets the counts of a shard to those in its latest message.
    pub fn count(&mut self, shard: usize, counts: ShardCounts) {
        self.shards[shard] = counts;
    }

    /// Sets the total of all shards to counts that are newer than the messages of the shards.
    pub fn count_all(&mut self, counts: ShardCounts) {
        self.shards.fill(ShardCounts::default());
        self.shards[0] = counts;
    }

    /// Records that a shard has sent its last message.
    pub fn drained(&mut self, shard: usize) {
        self.drained.insert(shard);
    }

    /// Returns whether all shards have sent their last message.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.drained.len() == self.shards.len()
    }

    /// Adds the items, the sitemaps and the coverage of pages that the store is about to count as ended.
    pub fn add(&mut self, items: u64, sitemaps: u64, coverage: &EndedCoverage) {
        self.coverage.add(coverage);
        self.items += items;
        self.sitemaps += sitemaps;
    }

    /// Gives the coverage to the store, which saves it with its next commit.
    pub fn keep_coverage(&mut self, frontier: &mut dyn Frontier) {
        self.coverage.keep(frontier);
    }

    /// Returns what was found for fields, in all runs.
    #[must_use]
    pub fn coverage(&self) -> &CrawlCoverage {
        &self.coverage
    }

    /// Returns how many sitemaps this run and earlier runs have read to their end.
    fn sitemaps(&self) -> u64 {
        self.before.sitemaps + self.sitemaps
    }

    /// Returns those counts that the scheduler needs to lease URLs to hosts. Sitemaps are not counted as pages.
    #[must_use]
    pub fn store_counts(&self, stats: &FrontierStats) -> StoreCounts {
        StoreCounts { pages: stats.pages.saturating_sub(self.sitemaps()), out: stats.out }
    }

    /// Returns `true` at the first call only. Called for each page with items when the crawl has no output; a warning
    /// is logged for the first such page.
    pub fn is_first_dropped_item(&mut self) -> bool {
        !std::mem::replace(&mut self.told_of_items, true)
    }

    /// Returns how many shards there are.
    #[must_use]
    pub fn shards(&self) -> usize {
        self.shards.len()
    }

    /// Returns the totals of all runs. `other_step` is the number of URLs that this run requested with another step
    /// than the first time, and `elapsed` is the duration of this run.
    #[must_use]
    pub fn totals(&self, other_step: u64, elapsed: Duration) -> Totals {
        let counts = self.shards.iter().fold(ShardCounts::default(), |all, counts| all.plus(*counts));
        let (items, sitemaps) = (self.items, self.sitemaps);
        self.before.plus(Totals { items, sitemaps, other_step, elapsed, ..counts.totals() })
    }

    /// Returns when an earlier run had finished the crawl, if this run did nothing more; otherwise `None`.
    #[must_use]
    pub fn finished_before(&self, totals: &Totals) -> Option<u64> {
        let idle = totals.requests == self.before.requests && totals.items == self.before.items;
        self.before.finished_unix_ms.filter(|_| idle)
    }

    /// Returns the counts of the store, together with the counts of items and sitemaps.
    #[must_use]
    pub fn books(&self, stats: &FrontierStats) -> Books {
        Books {
            admitted: stats.admitted,
            pages: stats.pages.saturating_sub(self.sitemaps()),
            sitemaps: self.sitemaps(),
            aliases: stats.aliases,
            failures: stats.failures_total(),
            left: stats.left,
            items: self.before.items + self.items,
        }
    }
}
