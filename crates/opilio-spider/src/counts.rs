//! Counts of a run: those of each shard, the books of the store, and the totals of all runs.

use std::collections::HashSet;
use std::time::Duration;

use opilio_core::scheduling::StoreCounts;
use opilio_frontier::FrontierStats;

use crate::run_history::Totals;

/// The counters of a shard.
#[derive(Clone, Copy, Debug, Default)]
pub struct ShardCounts {
    /// Requests sent.
    pub requests: u64,
    /// Attempts beyond the first of a URL.
    pub retries: u64,
    /// Answers of 429 or 503.
    pub refusals: u64,
    /// Body bytes received.
    pub bytes: u64,
    /// Answers that were read from the cache.
    pub cached: u64,
    /// Live hosts.
    pub hosts: u32,
    /// Live hosts that are held.
    pub held: u32,
    /// Requests in flight.
    pub in_flight: u32,
    /// Fetches, and pages that are not settled yet.
    pub under_way: u32,
}

impl ShardCounts {
    /// The counts of both.
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

    /// Those counters that are added up from run to run.
    #[must_use]
    pub fn totals(self) -> Totals {
        let Self { requests, retries, refusals, bytes, cached, .. } = self;
        Totals { requests, retries, refusals, bytes, cached, ..Totals::default() }
    }
}

/// The counters that the store keeps.
#[derive(Clone, Copy, Debug, Default)]
pub struct Books {
    /// URLs that became the crawl's.
    pub admitted: u64,
    /// URLs that ended as pages, without sitemaps.
    pub pages: u64,
    /// Sitemaps that were read to their end.
    pub sitemaps: u64,
    /// URLs that ended as aliases of pages.
    pub aliases: u64,
    /// URLs that failed.
    pub failures: u64,
    /// URLs that have not ended.
    pub left: u64,
    /// Items that are settled.
    pub items: u64,
}

/// Counts of earlier runs, of each shard of this one, and of items.
pub struct Tally {
    before: Totals,
    /// The counts of each shard, as its last result carried them.
    shards: Vec<ShardCounts>,
    /// Shards that have sent their last message.
    drained: HashSet<usize>,
    /// Items that are settled.
    items: u64,
    /// Sitemaps that are settled: the store counts them as pages.
    sitemaps: u64,
    /// A warning has said that a page gave items that no output takes.
    told_of_items: bool,
}

impl Tally {
    /// Counts nothing yet, for a run with this many shards.
    #[must_use]
    pub fn new(before: Totals, shards: usize) -> Self {
        Self {
            before,
            shards: vec![ShardCounts::default(); shards],
            drained: HashSet::new(),
            items: 0,
            sitemaps: 0,
            told_of_items: false,
        }
    }

    /// Notes the counts that a shard's result carried.
    pub fn count(&mut self, shard: usize, counts: ShardCounts) {
        self.shards[shard] = counts;
    }

    /// Notes the counts of all shards together, which no result carried yet.
    pub fn count_all(&mut self, counts: ShardCounts) {
        self.shards.fill(ShardCounts::default());
        self.shards[0] = counts;
    }

    /// A shard has sent its last message.
    pub fn drained(&mut self, shard: usize) {
        self.drained.insert(shard);
    }

    /// Whether all shards have sent their last message.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.drained.len() == self.shards.len()
    }

    /// Counts items and sitemaps that are settled.
    pub fn add(&mut self, items: u64, sitemaps: u64) {
        self.items += items;
        self.sitemaps += sitemaps;
    }

    /// Sitemaps that this run and earlier runs have read to their end.
    fn sitemaps(&self) -> u64 {
        self.before.sitemaps + self.sitemaps
    }

    /// The counts that dispatch needs. Sitemaps are no pages.
    #[must_use]
    pub fn store_counts(&self, stats: &FrontierStats) -> StoreCounts {
        StoreCounts { pages: stats.pages.saturating_sub(self.sitemaps()), out: stats.out }
    }

    /// Whether this is the first page whose items no output takes, so that a warning is due.
    pub fn is_first_dropped_item(&mut self) -> bool {
        !std::mem::replace(&mut self.told_of_items, true)
    }

    /// How many shards there are.
    #[must_use]
    pub fn shards(&self) -> usize {
        self.shards.len()
    }

    /// The totals of all runs, where this run has met so many URLs with another step, and has lasted so long.
    #[must_use]
    pub fn totals(&self, other_step: u64, elapsed: Duration) -> Totals {
        let counts = self.shards.iter().fold(ShardCounts::default(), |all, counts| all.plus(*counts));
        let (items, sitemaps) = (self.items, self.sitemaps);
        self.before.plus(Totals { items, sitemaps, other_step, elapsed, ..counts.totals() })
    }

    /// When an earlier run had finished the crawl, if this one did nothing more.
    #[must_use]
    pub fn finished_before(&self, totals: &Totals) -> Option<u64> {
        let idle = totals.requests == self.before.requests && totals.items == self.before.items;
        self.before.finished_unix_ms.filter(|_| idle)
    }

    /// The books of the store, with the items and the sitemaps.
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
