//! Every message between the rooms of the engine.
//!
//! | message | from → to | bounded by |
//! | --- | --- | --- |
//! | [`Assign`] | scheduler → shard (→ host's state, [`Wake`]) | the credit that was asked for |
//! | [`Settled`] | scheduler → shard (→ host's state, [`Wake`]) | leases out |
//! | [`ToScheduler`]: credit, passivated, parsed, errand | shard, host, runner → scheduler | one of each a live host, and the slots; pages that wait keep the pool from granting slots |
//! | [`ToScheduler`]: seeds, intake, stop, close | supervisor → scheduler | the batch size |
//! | [`Remember`] | host → scheduler | its channel; one that does not fit waits in the port |
//! | [`Errand`], [`AssignedErrand`] | host → scheduler → shard of another host (→ its state, [`Wake`]) | one a live origin |
//! | [`ErrandResult`] | that host → scheduler → shard of the asker (→ its state, [`Wake`]) | errands |
//! | [`AskSlot`] / [`SlotAnswer`], [`SlotsBack`] | host ⇄ fetcher pool | one outstanding a host |
//! | [`Fetch`] | host → fetcher pool | granted slots |
//! | [`Report`] | fetcher → host | in flight |
//! | [`Deliver`] | host → spider runner | the parse backlog |
//! | [`Take`] | supervisor → fetcher pool | one a shard |
//! | [`FromScheduler`] | scheduler → supervisor | one a turn |
//! | [`Drain`], [`Drained`], [`ShardReport`] | supervisor ⇄ shards | one a shard |
//! | [`SlotsWanted`], [`Lend`], [`Lent`], [`MoreSlots`] | fetcher pools ⇄ supervisor | one a shard |
//! | [`OutputRefused`] | spider runner → supervisor | one a runner |
//! | [`ActorDied`] | an actor that panicked → supervisor | one an actor |
//!
//! Between the scheduler and a shard each direction has one road, so that nothing overtakes its answer.

use std::sync::Arc;

use actix::{Message, Recipient};
use bytes::Bytes;
use opilio_core::host::Delivery;
use opilio_core::intake::IntakeLevel;
pub(crate) use opilio_core::scheduling::{Stamp, Standing};
use opilio_core::{Ending, Fingerprint, Group, Host, Lease, LeaseId, Outcome, Proposal, Scheme, Timestamp};
use opilio_export::ExportError;
use opilio_fetch::FetchRequest;
use opilio_frontier::{Admission, Cause, Decided, Fetched, Known, Redirect};
use opilio_spider::step::Sample;
use opilio_spider::{Answer, Stopped};
use url::Url;

use crate::fetcher::{Advisor, Slot};
use crate::host::{Asker, RulesFacts};

/// Leases for hosts of one shard, and which of its passive hosts the store has taken over.
#[derive(Message, Debug, Default)]
#[rtype(result = "()")]
pub(crate) struct Assign {
    pub(crate) work: Vec<Work>,
    pub(crate) errands: Vec<AssignedErrand>,
    pub(crate) kept: Vec<(Host, Stamp)>,
    /// Redirected URLs that end as the known ones did that they led to: nothing is asked for them.
    pub(crate) decided: Vec<Decided>,
}

/// An errand on its way to the host whose gate it goes through.
#[derive(Debug)]
pub(crate) struct AssignedErrand {
    pub(crate) errand: Errand,
    /// The memo of the host, if the errand is why it comes alive.
    pub(crate) memory: Option<Bytes>,
}

impl Assign {
    pub(crate) fn is_empty(&self) -> bool {
        self.work.is_empty() && self.errands.is_empty() && self.kept.is_empty() && self.decided.is_empty()
    }
}

/// Leases for one host.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) host: Host,
    pub(crate) leases: Vec<Lease>,
    /// What it remembers, for one that comes alive.
    pub(crate) memory: Option<Bytes>,
}

/// The shard has told the host's state something: take a step.
#[derive(Message, Debug, Clone, Copy)]
#[rtype(result = "()")]
pub(crate) struct Wake;

/// A shard that was told to drain has no live host any more.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub(crate) struct Drained {
    pub(crate) shard: usize,
    pub(crate) counts: ShardCounts,
}

/// A host that is no longer live, and what it remembers.
#[derive(Debug)]
pub(crate) struct Passivated {
    pub(crate) host: Host,
    pub(crate) memory: Bytes,
    pub(crate) stamp: Stamp,
}

/// A host could start a fetch now.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub(crate) struct AskSlot {
    pub(crate) host: Recipient<SlotAnswer>,
    /// Whether it can be trusted not to sit on the slot.
    pub(crate) standing: Standing,
    /// Its group, where groups have a common budget.
    pub(crate) group: Option<Group>,
}

/// What a pool answers to a host that asked for a slot.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) enum SlotAnswer {
    /// The right to start one fetch now.
    Granted(Slot),
    /// The common budget of the host's group affords no start before this time.
    Denied { until: Timestamp },
}

/// Slots have come back: see [`Slot`].
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub(crate) struct SlotsBack;

/// What to fetch in a granted slot.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Fetch {
    pub(crate) slot: Slot,
    pub(crate) what: FetchFor,
    pub(crate) request: FetchRequest,
    /// The attempt, and the retry policy that applies to it.
    pub(crate) advisor: Advisor,
    pub(crate) reply: Recipient<Report>,
}

/// How hosts reach the fetcher pool of their shard.
pub(crate) struct PoolLink {
    pub(crate) slots: Recipient<AskSlot>,
    pub(crate) fetches: Recipient<Fetch>,
}

/// What a fetch is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FetchFor {
    /// One attempt of a lease.
    Lease(LeaseId),
    /// The robots.txt of an origin.
    Rules(Scheme),
}

/// What happened to a fetch, and the verdict that the fetcher proposes. The host decides.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub(crate) struct Report {
    pub(crate) what: FetchFor,
    pub(crate) outcome: Outcome,
    /// With what the answer says about the host's limits.
    pub(crate) proposal: Proposal,
    pub(crate) answer: Option<Answer>,
    pub(crate) location: Option<Url>,
    pub(crate) error: Option<String>,
}

/// A fetch of one host for another host's sake: it goes through the gate of the first, out of its budget.
#[derive(Debug)]
pub(crate) struct Errand {
    /// The host that the URL belongs to.
    pub(crate) host: Host,
    pub(crate) url: Url,
    /// The host that waits for the result.
    pub(crate) asker: Asker,
}

/// The facts that an errand gave. The asker decides what they mean.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub(crate) struct ErrandResult {
    pub(crate) asker: Asker,
    pub(crate) facts: RulesFacts,
}

/// A finished lease for the spider.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub(crate) struct Deliver {
    pub(crate) lease: Lease,
    pub(crate) delivery: Delivery,
    pub(crate) attempts: u16,
    pub(crate) answer: Option<Answer>,
    pub(crate) location: Option<Url>,
    pub(crate) error: Option<String>,
    /// Of one that was redirected to a known URL, its `location`: what that came to.
    pub(crate) known: Option<Known>,
}

impl Deliver {
    /// What was decided of a redirected URL.
    pub(crate) fn decided(Decided { lease, target, known }: Decided) -> Self {
        let (delivery, error) = match known {
            Known::Failed(reason) => (Delivery::Failure(reason), Some(format!("redirected to {target}"))),
            Known::Page | Known::Wall | Known::OwnWall => (Delivery::Redirect, None),
        };
        let (attempts, location) = (lease.record.attempts.requests, Url::parse(&target).ok());
        Self { lease, delivery, attempts, answer: None, location, error, known: Some(known) }
    }
}

/// How much may be started from now on, since memory is scarce or no longer so.
#[derive(Message, Debug, Clone, Copy)]
#[rtype(result = "()")]
pub(crate) struct Take(pub(crate) IntakeLevel);

/// The store has settled these leases.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub(crate) struct Settled(pub(crate) Vec<(Host, Vec<LeaseId>)>);

/// Start nothing more.
#[derive(Message, Debug, Clone, Copy)]
#[rtype(result = "()")]
pub(crate) struct Drain;

/// All that one lease gave, or nothing of it.
#[derive(Debug)]
pub(crate) struct Parsed {
    pub(crate) shard: usize,
    pub(crate) host: Host,
    pub(crate) lease: LeaseId,
    pub(crate) ending: Ending,
    /// The URL in whose name it ends.
    pub(crate) origin: Arc<str>,
    pub(crate) attempts: u16,
    /// Outlinks, deduplicated within the page.
    pub(crate) links: Vec<Admission>,
    /// Where a redirect goes on.
    pub(crate) next: Option<Box<Redirect>>,
    /// A host that belongs to the crawl from now on, since a seed led to it.
    pub(crate) grows: Option<Host>,
    /// The names of a page, where pages are merged by them.
    pub(crate) names: Vec<Name>,
    /// Encoded items, a buffer a sink.
    pub(crate) rows: Vec<Vec<u8>>,
    pub(crate) items: u64,
    /// How a page was fetched.
    pub(crate) fetched: Fetched,
    /// Of a failure, what is known of it.
    pub(crate) cause: Cause,
    /// It is a sitemap, and no page.
    pub(crate) is_list: bool,
    /// Steps of shapes that its shard met for the first time.
    pub(crate) samples: Vec<Sample>,
}

impl Parsed {
    /// An ending alone: no link, no row, nothing known of a fetch.
    pub(crate) fn bare(
        shard: usize,
        host: Host,
        lease: LeaseId,
        ending: Ending,
        origin: Arc<str>,
        attempts: u16,
    ) -> Self {
        Self {
            shard,
            host,
            lease,
            ending,
            origin,
            attempts,
            links: Vec::new(),
            next: None,
            grows: None,
            names: Vec::new(),
            rows: Vec::new(),
            items: 0,
            fetched: Fetched::default(),
            cause: Cause::default(),
            is_list: false,
            samples: Vec::new(),
        }
    }
}

/// A name of a page (its canonical URL, its content), and the lines to write should another page have it already.
#[derive(Debug)]
pub(crate) struct Name {
    pub(crate) fingerprint: Fingerprint,
    pub(crate) alias_rows: Vec<Vec<u8>>,
}

/// What the scheduler can hear.
#[derive(Debug)]
pub(crate) enum ToScheduler {
    /// Seeds, in any number of batches.
    Seeds(Vec<Admission>),
    /// No more seeds: from here on, nothing left means finished.
    Seeded,
    /// A live host has room for so many more leases. At most one is outstanding for a host.
    Credit { host: Host, leases: u32 },
    /// A host has nothing to do and is no longer live.
    Passivated(Passivated),
    /// The last message of a shard that was told to drain: all its hosts have gone passive.
    Drained { shard: usize },
    /// What one lease gave, and what its shard had counted by then.
    Parsed(Box<Parsed>, ShardCounts),
    /// An errand for a host, which comes alive if it is not.
    Errand(Errand),
    /// An errand is over.
    ErrandResult(ErrandResult),
    /// Hand out so much from now on.
    Take(IntakeLevel),
    /// Hand out nothing more.
    Stop,
    /// Nothing more comes: settle what was written, sync, tell the books. With all that the shards have
    /// counted, unless nobody is left who knows.
    Close {
        counts: Option<ShardCounts>,
        /// Nothing was given up: all hosts have gone passive. The scheduler closes when it has heard of each.
        drained: bool,
    },
}

/// An output takes none of this run's items, so that the crawl is to end before it fetches more.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub(crate) struct OutputRefused(pub(crate) ExportError);

/// An actor that the crawl cannot go on without has panicked.
#[derive(Message, Clone, Copy, Debug)]
#[rtype(result = "()")]
pub(crate) struct ActorDied {
    pub(crate) name: &'static str,
}

/// What a host that was closed remembers: kept at once, so that a kill does not forget a stated wait.
#[derive(Debug)]
pub(crate) struct Remember {
    pub(crate) host: Host,
    pub(crate) memory: Bytes,
}

/// What the scheduler tells the supervisor.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub(crate) enum FromScheduler {
    /// The books have changed.
    Books(Books),
    /// Nothing is left, or nothing more is allowed.
    Over(Stopped),
    /// The store or a sink failed: the crawl cannot go on.
    Broken,
    /// Closed: the last message.
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

/// What a shard counts.
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
}

/// A pool has waiting hosts and no slot.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub(crate) struct SlotsWanted {
    pub(crate) shard: usize,
}

/// Give up idle slots for the benefit of another shard.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub(crate) struct Lend {
    pub(crate) to: usize,
}

/// Slots that a pool gave up.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub(crate) struct Lent {
    pub(crate) to: usize,
    pub(crate) slots: u32,
}

/// More slots for this pool.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub(crate) struct MoreSlots(pub(crate) u32);
