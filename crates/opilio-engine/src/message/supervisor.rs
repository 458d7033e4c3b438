//! The messages to the supervisor, from the scheduler, the shards, their pools and runners.

use actix::Message;
use opilio_export::ExportError;
use opilio_spider::Stopped;
use opilio_spider::run_history::Totals;

/// The messages of the scheduler to the supervisor.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub(crate) enum FromScheduler {
    /// The books have changed.
    Books(Books),
    /// No URL is left, or a limit allows no more.
    Over(Stopped),
    /// The store or a sink failed, so the crawl cannot continue.
    Broken,
    /// The scheduler has waited for a sink for some seconds.
    SinkIsLate,
    /// The scheduler has closed. This is its last message.
    Closed,
}

/// The counters that the store keeps.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Books {
    pub(crate) admitted: u64,
    pub(crate) pages: u64,
    pub(crate) sitemaps: u64,
    pub(crate) aliases: u64,
    pub(crate) failures: u64,
    pub(crate) left: u64,
    pub(crate) items: u64,
}

/// A shard's counters, for people and for the report.
#[derive(Message, Clone, Copy, Debug, Default)]
#[rtype(result = "()")]
pub(crate) struct ShardReport {
    pub(crate) shard: usize,
    pub(crate) counts: ShardCounts,
}

/// The counters of a shard.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ShardCounts {
    pub(crate) requests: u64,
    pub(crate) retries: u64,
    pub(crate) refusals: u64,
    pub(crate) bytes: u64,
    pub(crate) cached: u64,
    pub(crate) hosts: u32,
    pub(crate) held: u32,
    pub(crate) in_flight: u32,
    /// Fetches, and pages that are not settled yet.
    pub(crate) under_way: u32,
}

impl ShardCounts {
    pub(crate) fn plus(self, other: Self) -> Self {
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
    pub(crate) fn totals(self) -> Totals {
        let Self { requests, retries, refusals, bytes, cached, .. } = self;
        Totals { requests, retries, refusals, bytes, cached, ..Totals::default() }
    }
}

/// A shard that was told to drain has no live host any more.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub(crate) struct Drained {
    pub(crate) shard: usize,
    pub(crate) counts: ShardCounts,
}

/// A pool has waiting hosts and no slot.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub(crate) struct SlotsWanted {
    pub(crate) shard: usize,
}

/// Slots that a pool gave up.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub(crate) struct Lent {
    pub(crate) to: usize,
    pub(crate) slots: u32,
}

/// An output takes none of this run's items, so the crawl has to end before it fetches more.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub(crate) struct OutputRefused(pub(crate) ExportError);

/// An actor has panicked that the crawl needs.
#[derive(Message, Clone, Copy, Debug)]
#[rtype(result = "()")]
pub(crate) struct ActorDied {
    pub(crate) name: &'static str,
}
