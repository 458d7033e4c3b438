//! The messages to the supervisor, from the scheduler, the shards, their pools and runners.

use actix::Message;
use opilio_export::ExportError;
use opilio_spider::Stopped;
use opilio_spider::counts::{Books, ShardCounts};

/// The messages of the scheduler to the supervisor.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub(crate) enum FromScheduler {
    /// The counts of the whole crawl (its books) have changed: the new counts.
    Books(Books),
    /// The crawl is over: no URL is left, or a limit is reached.
    Over(Stopped),
    /// The store or a sink failed, so the crawl cannot continue.
    Broken,
    /// The scheduler has waited for a sink for some seconds.
    SinkIsLate,
    /// The scheduler has closed. This is its last message.
    Closed,
}

/// The current counts of a shard, for the progress display and for the report.
#[derive(Message, Clone, Copy, Debug, Default)]
#[rtype(result = "()")]
pub(crate) struct ShardReport {
    pub(crate) shard: usize,
    pub(crate) counts: ShardCounts,
}

/// A shard that was told to drain has no live host left.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub(crate) struct Drained {
    pub(crate) shard: usize,
    pub(crate) counts: ShardCounts,
}

/// Asks for slots of other pools, because this pool has no free slot and hosts wait for a slot.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub(crate) struct SlotsWanted {
    pub(crate) shard: usize,
}

/// The slots that a pool gives up for the shard with the number `to`.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub(crate) struct Lent {
    pub(crate) to: usize,
    pub(crate) slots: u32,
}

/// An output cannot write any item of this run. So the crawl has to end before it fetches more pages.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub(crate) struct OutputRefused(pub(crate) ExportError);

/// An actor that the crawl needs has panicked, so the crawl has to end.
#[derive(Message, Clone, Copy, Debug)]
#[rtype(result = "()")]
pub(crate) struct ActorDied {
    pub(crate) name: &'static str,
}
