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
    /// A batch of seeds. There may be any number of such batches.
    Seeds(Vec<Admission>),
    /// All seeds have been sent. From now on the crawl is finished as soon as no URL is left.
    Seeded,
    /// A live host has room for this many more leases. Each host has at most one such message unanswered.
    Credit { host: Host, leases: u32 },
    /// A live host has had its first turn for a slot, or needs no slot now. Each host sends this message once.
    Begun { host: Host },
    /// A host has no work left and is no longer live.
    Passivated(Passivated),
    /// All hosts of this shard have gone passive, after the shard was told to drain. This is the shard's last
    /// message.
    Drained { shard: usize },
    /// The result of one lease, and the counts of its shard at the time when the result was sent.
    Parsed { shard: usize, counts: ShardCounts, parsed: Box<Parsed> },
    /// An errand: a request that one host asks another host to send. If the asked host is not live, it becomes live
    /// for the errand.
    Errand(Box<Errand>),
    /// The result of an errand that has ended.
    ErrandResult(Box<ErrandResult>),
    /// An order for a host, whether the host is live or not.
    Order(HostOrder),
    /// A shard has dropped a host because the host belongs to another owner. The host's leases were given back
    /// before this message.
    Lost { host: Host },
    /// Sets how many leases the scheduler hands out from now on, which depends on the memory that is left.
    Take(IntakeLevel),
    /// Tells the scheduler to hand out no more leases.
    Stop,
    /// Tells the scheduler to settle all pages that the sinks have written, to sync the store, and to report the
    /// final counts (books). No message follows. `counts` holds the counts of all shards, or `None` if the shards
    /// have ended.
    Close {
        counts: Option<ShardCounts>,
        /// Whether all hosts have gone passive and no request was given up. If so, the scheduler closes only when
        /// it has the saved state (memo) of each host.
        drained: bool,
    },
}

/// A host that is no longer live, and its saved state (memo).
#[derive(Debug)]
pub(crate) struct Passivated {
    pub(crate) host: Host,
    pub(crate) memo: Bytes,
    pub(crate) stamp: Stamp,
}

/// The saved state (memo) of a host that was closed for some time. The memo is stored at once: so if the process is
/// killed, a wait that the server stated is not lost.
#[derive(Debug)]
pub(crate) struct ClosedHost {
    pub(crate) host: Host,
    pub(crate) memo: Bytes,
}
