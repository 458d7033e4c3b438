//! The messages to the scheduler, from shards, hosts, runners and the supervisor.

use bytes::Bytes;
use opilio_core::Host;
use opilio_core::intake::IntakeLevel;
use opilio_core::scheduling::Stamp;
use opilio_frontier::Admission;
use opilio_spider::parsed::Parsed;

use super::{Errand, ErrandResult, HostOrder, ShardCounts};

/// The messages to the scheduler.
#[derive(Debug)]
pub(crate) enum ToScheduler {
    /// Seeds, in any number of batches.
    Seeds(Vec<Admission>),
    /// No more seeds come: from now on the crawl is finished when no URL is left.
    Seeded,
    /// A live host can hold this many more leases. A host has at most one such request outstanding.
    Credit { host: Host, leases: u32 },
    /// A host has nothing to do and is no longer live.
    Passivated(Passivated),
    /// The last message of a shard that was told to drain: all its hosts have gone passive.
    Drained { shard: usize },
    /// The result of one lease, and the counts of its shard at that time.
    Parsed { shard: usize, counts: ShardCounts, parsed: Box<Parsed> },
    /// An errand for a host. A host that is not live comes alive for it.
    Errand(Box<Errand>),
    /// An errand is over.
    ErrandResult(Box<ErrandResult>),
    /// An order for a host, live or not.
    Order(HostOrder),
    /// A host was dropped, since it belongs to another owner. Its leases were given back before.
    Lost { host: Host },
    /// Hand out this much from now on.
    Take(IntakeLevel),
    /// Hand out nothing more.
    Stop,
    /// No more messages come: settle what was written, sync, report the books. Carries the counts of all shards, unless the
    /// shards are gone.
    Close {
        counts: Option<ShardCounts>,
        /// All hosts have gone passive, and no request was given up. The scheduler closes when it has each host's memo.
        drained: bool,
    },
}

/// A host that is no longer live, and its memo.
#[derive(Debug)]
pub(crate) struct Passivated {
    pub(crate) host: Host,
    pub(crate) memo: Bytes,
    pub(crate) stamp: Stamp,
}

/// The memo of a host that was closed. It is kept at once, so that a kill does not lose a stated wait.
#[derive(Debug)]
pub(crate) struct ClosedHost {
    pub(crate) host: Host,
    pub(crate) memo: Bytes,
}
