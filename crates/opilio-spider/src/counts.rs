//! The counts of a run: those of each shard, those of the store, and the totals of all runs.

use std::collections::HashSet;
use std::time::Duration;

use opilio_core::scheduling::StoreCounts;
use opilio_frontier::FrontierStats;

use crate::run_history::Totals;

/// The counters of a shard, or of all shards together.
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
    /// Live hosts that may get no request now, because they have to wait.
    pub held: u32,
    /// Requests in flight.
    pub in_flight: u32,
    /// Fetches in flight, and pages whose results the store has not taken yet.
    pub under_way: u32,
}

impl ShardCounts {
    /// Returns the sums of the counters of both.
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

    /// Returns those counters that are added up from run to run.
    #[must_use]
    pub fn totals(self) -> Totals {
        let Self { requests, retries, refusals, bytes, cached, .. } = self;
        Totals { requests, retries, refusals, bytes, cached, ..Totals::default() }
    }
}

/// The counts of the store, with the items and sitemaps.
#[derive(Clone, Copy, Debug, Default)]
pub struct Books {
    /// URLs that were admitted to the crawl.
    pub admitted: u64,
    /// URLs that ended as pages. Sitemaps are not counted here.
    pub pages: u64,
    /// Sitemaps that were read to their end.
    pub sitemaps: u64,
    /// URLs that ended as aliases of pages.
    pub aliases: u64,
    /// URLs that failed.
    pub failures: u64,
    /// URLs that have not ended.
    pub left: u64,
    /// Items whose pages the store counts as ended.
    pub items: u64,
}

/// Adds up the counts of earlier runs, of each shard of this run, and of items.
pub struct Tally {
    before: Totals,
    /// The counts of each shard, as its latest message had them.
    shards: Vec<ShardCounts>,
    /// The numbers of the shards that have sent their last message.
    drained: HashSet<usize>,
    /// Items whose pages the store counts as ended.
    items: u64,
    /// Sitemaps that the store counts as ended. The store counts them as pages.
    sitemaps: u64,
    /// Whether a warning was logged that pages gave items but no output takes any.
    told_of_items: bool,
}

impl Tally {
    /// Makes a tally of zeros, for a run with this many shards.
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

    /// Sets the counts of a shard to those that its message had.
    pub fn count(&mut self, shard: usize, counts: ShardCounts) {
        self.shards[shard] = counts;
    }

    /// Sets the counts of all shards to a total that no message had yet.
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

    /// Adds items and sitemaps that the store counts as ended.
    pub fn add(&mut self, items: u64, sitemaps: u64) {
        self.items += items;
        self.sitemaps += sitemaps;
    }

    /// Returns how many sitemaps this run and earlier runs have read to their end.
    fn sitemaps(&self) -> u64 {
        self.before.sitemaps + self.sitemaps
    }

    /// Returns the counts that are needed to hand out URLs to hosts. Sitemaps do not count as pages.
    #[must_use]
    pub fn store_counts(&self, stats: &FrontierStats) -> StoreCounts {
        StoreCounts { pages: stats.pages.saturating_sub(self.sitemaps()), out: stats.out }
    }

    /// Returns `true` at the first call only. Called for each page whose items no output takes; the first one
    /// causes a warning.
    pub fn is_first_dropped_item(&mut self) -> bool {
        !std::mem::replace(&mut self.told_of_items, true)
    }

    /// Returns how many shards there are.
    #[must_use]
    pub fn shards(&self) -> usize {
        self.shards.len()
    }

    /// Returns the totals of all runs. The arguments are how many URLs this run has met with another step, and
    /// how long it has lasted.
    #[must_use]
    pub fn totals(&self, other_step: u64, elapsed: Duration) -> Totals {
        let counts = self.shards.iter().fold(ShardCounts::default(), |all, counts| all.plus(*counts));
        let (items, sitemaps) = (self.items, self.sitemaps);
        self.before.plus(Totals { items, sitemaps, other_step, elapsed, ..counts.totals() })
    }

    /// Returns when an earlier run had finished the crawl, if this run did nothing more.
    #[must_use]
    pub fn finished_before(&self, totals: &Totals) -> Option<u64> {
        let idle = totals.requests == self.before.requests && totals.items == self.before.items;
        self.before.finished_unix_ms.filter(|_| idle)
    }

    /// Returns the counts of the store, with the items and sitemaps.
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
