//! The messages to the scheduler, from shards, hosts, runners and the supervisor.

use std::sync::Arc;

use bytes::Bytes;
use opilio_core::intake::IntakeLevel;
use opilio_core::scheduling::Stamp;
use opilio_core::{Ending, Fingerprint, Host, LeaseId};
use opilio_frontier::{Admission, Cause, Fetched, Redirect};
use opilio_spider::step::Sample;

use super::{Errand, ErrandResult, HostOrder, ShardCounts};

/// The messages to the scheduler.
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
    /// The result of one lease, and its shard's counts at that time.
    Parsed(Box<Parsed>, ShardCounts),
    /// An errand for a host, which comes alive if it is not.
    Errand(Errand),
    /// An errand is over.
    ErrandResult(ErrandResult),
    /// An order for a host, live or not.
    Order(HostOrder),
    /// A host was dropped since it belongs to somebody else; its leases were given back before.
    Lost { host: Host },
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
    pub(crate) items: EncodedItems,
    /// How a page was fetched.
    pub(crate) fetched: Fetched,
    /// Of a failure, what is known of it.
    pub(crate) cause: Cause,
    /// It is a sitemap, and no page.
    pub(crate) is_list: bool,
    /// Steps of shapes that its shard met for the first time.
    pub(crate) samples: Vec<Sample>,
}

/// The items of a page as rows for the sinks.
#[derive(Debug, Default)]
pub(crate) struct EncodedItems {
    pub(crate) count: u64,
    /// One buffer for each sink. Empty when the crawl has no sink.
    pub(crate) rows: Vec<Vec<u8>>,
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
            items: EncodedItems::default(),
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
