//! The values that all actors of a shard share. Messages to parent actors go to `Recipient`s, so this file
//! names no type of a parent actor.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use opilio_core::Timestamp;
use opilio_fetch::Fetcher;

use crate::backlog::ParseBacklog;
use crate::clock::Clock;
use crate::message::{Deliver, HostGone, PoolLink, ShardCounts};
use crate::outbox::Outbox;
use crate::port::SchedulerPort;
use crate::settings::Settings;

/// The values that all actors of a shard share: recipients of messages, the port to the scheduler, and the
/// settings of the crawl.
pub(crate) struct ShardContext {
    pub(crate) shard: usize,
    pub(crate) clock: Clock,
    pub(crate) settings: Arc<Settings>,
    pub(crate) pool: PoolLink,
    pub(crate) runner: Outbox<Deliver>,
    /// Counts the pages that are fetched but not yet given to the scheduler.
    pub(crate) backlog: ParseBacklog,
    pub(crate) port: SchedulerPort,
    pub(crate) counts: Rc<Cell<ShardCounts>>,
    pub(crate) gone: Outbox<HostGone>,
    /// Reads answers from the development cache, if the crawl has a cache.
    pub(crate) cache: Option<Rc<Fetcher>>,
    /// Set if an earlier run did not drain. Until this time a host may have received requests that its saved state
    /// (memo) does not record.
    pub(crate) maybe_fetched_until: Option<Timestamp>,
}

impl ShardContext {
    /// Changes the counts of the shard by calling this function on them.
    pub(crate) fn count(&self, change: impl FnOnce(&mut ShardCounts)) {
        let mut counts = self.counts.get();
        change(&mut counts);
        self.counts.set(counts);
    }
}
