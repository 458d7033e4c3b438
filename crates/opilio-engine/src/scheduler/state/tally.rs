//! The totals of all runs of a crawl, beside the books of the store.

use std::collections::HashSet;
use std::time::Duration;

use opilio_core::scheduling::StoreCounts;
use opilio_frontier::FrontierStats;
use opilio_spider::run_history::Totals;

use crate::message::{Books, ShardCounts};

/// Counts of earlier runs, of each shard of this one, and of items.
pub(super) struct Tally {
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
    pub(super) fn new(before: Totals, shards: usize) -> Self {
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
    pub(super) fn count(&mut self, shard: usize, counts: ShardCounts) {
        self.shards[shard] = counts;
    }

    /// Notes the counts of all shards together, which no result carried yet.
    pub(super) fn count_all(&mut self, counts: ShardCounts) {
        self.shards.fill(ShardCounts::default());
        self.shards[0] = counts;
    }

    /// A shard has sent its last message.
    pub(super) fn drained(&mut self, shard: usize) {
        self.drained.insert(shard);
    }

    /// Whether all shards have sent their last message.
    pub(super) fn is_drained(&self) -> bool {
        self.drained.len() == self.shards.len()
    }

    /// Counts items and sitemaps that are settled.
    pub(super) fn add(&mut self, items: u64, sitemaps: u64) {
        self.items += items;
        self.sitemaps += sitemaps;
    }

    /// Sitemaps that this run and earlier runs have read to their end.
    fn sitemaps(&self) -> u64 {
        self.before.sitemaps + self.sitemaps
    }

    /// The counts that dispatch needs. Sitemaps are no pages.
    pub(super) fn store_counts(&self, stats: &FrontierStats) -> StoreCounts {
        StoreCounts { pages: stats.pages.saturating_sub(self.sitemaps()), out: stats.out }
    }

    /// Whether this is the first page whose items no output takes, so that a warning is due.
    pub(super) fn is_first_dropped_item(&mut self) -> bool {
        !std::mem::replace(&mut self.told_of_items, true)
    }

    pub(super) fn shards(&self) -> usize {
        self.shards.len()
    }

    pub(super) fn totals(&self, other_step: u64, elapsed: Duration) -> Totals {
        let counts = self.shards.iter().fold(ShardCounts::default(), |all, counts| all.plus(*counts));
        let (items, sitemaps) = (self.items, self.sitemaps);
        self.before.plus(Totals { items, sitemaps, other_step, elapsed, ..counts.totals() })
    }

    /// When an earlier run had finished the crawl, if this one did nothing more.
    pub(super) fn finished_before(&self, totals: &Totals) -> Option<u64> {
        let idle = totals.requests == self.before.requests && totals.items == self.before.items;
        self.before.finished_unix_ms.filter(|_| idle)
    }

    pub(super) fn books(&self, stats: &FrontierStats) -> Books {
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
