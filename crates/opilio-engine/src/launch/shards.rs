//! Makes the parts of each shard, and starts the actors of a shard on the shard's thread.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::Addr;
use opilio_core::Timestamp;
use opilio_core::host::HostLimits;
use opilio_core::scheduling::GroupBudgets;
use opilio_export::FileStore;
use opilio_fetch::Fetcher;
use opilio_fetch::connections::kept_max;
use opilio_spider::CrawlError;
use tokio::sync::Semaphore;

use super::fetchers::Fetchers;
use crate::backlog::ParseBacklog;
use crate::clock::Clock;
use crate::context::ShardContext;
use crate::death::DeathWatch;
use crate::fetcher::{Pool, PoolSetup};
use crate::message::{ActorDied, Deliver, PoolLink, ShardCounts};
use crate::outbox::Outbox;
use crate::port::{SchedulerPort, SchedulerSenders};
use crate::runner::{MakeReader, ParseWatch, Runner, RunnerContext};
use crate::scheduler::ShardRoad;
use crate::settings::Settings;
use crate::shard::{Shard, ShardSetup};
use crate::supervisor::{ShardLink, Supervisor};

/// The shards' part of the plan of a crawl.
pub(crate) struct ShardsPlan {
    /// What makes the reader of each shard. There are as many as shards.
    pub(crate) readers: Vec<MakeReader>,
    pub(crate) in_flight: u32,
    pub(crate) fetchers: Fetchers,
    /// The store for the files that the spider keeps, if there is one.
    pub(crate) files: Option<FileStore>,
}

/// The values that all shards of a crawl share.
pub(super) struct CrawlParts {
    pub(super) settings: Arc<Settings>,
    pub(super) clock: Clock,
    pub(super) scheduler: SchedulerSenders,
    pub(super) supervisor: Addr<Supervisor>,
    pub(super) maybe_fetched_until: Option<Timestamp>,
}

/// The parts of one shard that is not started. They can be moved to the thread that starts the shard.
pub(super) struct ShardParts {
    shard: usize,
    slots: u32,
    connected_max: usize,
    fetchers: Fetchers,
    make_reader: MakeReader,
    files: Option<FileStore>,
    /// Limits how many pages are parsed on blocking threads at once, in the whole crawl, to the number of cores.
    cores: Arc<Semaphore>,
    crawl: Arc<CrawlParts>,
}

impl ShardsPlan {
    /// Makes the parts of all shards. The slots of the crawl are divided among the shards.
    pub(super) fn parts(self, crawl: CrawlParts) -> Vec<ShardParts> {
        let Self { readers, in_flight, fetchers, files } = self;
        let shards = readers.len().max(1) as u32;
        let crawl = Arc::new(crawl);
        let cores = Arc::new(Semaphore::new(std::thread::available_parallelism().map_or(1, usize::from)));
        let parts = readers.into_iter().enumerate().map(|(shard, make_reader)| ShardParts {
            shard,
            slots: in_flight / shards + u32::from((shard as u32) < in_flight % shards),
            connected_max: connected_max(kept_max(in_flight), in_flight) / shards as usize,
            fetchers: fetchers.clone(),
            make_reader,
            files: files.clone(),
            cores: cores.clone(),
            crawl: crawl.clone(),
        });
        parts.collect()
    }
}

impl ShardParts {
    /// Starts the actors of the shard on this thread.
    ///
    /// # Errors
    /// When the shard's HTTP client cannot be made.
    pub(super) fn start(self) -> Result<(ShardLink, ShardRoad), CrawlError> {
        let Self { shard, slots, connected_max, fetchers, make_reader, files, cores, crawl } = self;
        let (clock, supervisor) = (crawl.clock, crawl.supervisor.clone());
        let has_cache = fetchers.has_cache();
        let fetcher = Rc::new(fetchers.fetcher(clock)?);
        let cache = has_cache.then(|| fetcher.clone());
        let counts = Rc::new(Cell::default());
        let shared = Shared {
            shard,
            clock,
            settings: crawl.settings.clone(),
            port: SchedulerPort::new(crawl.scheduler.clone(), counts.clone()),
            counts,
            backlog: ParseBacklog::default(),
            died: Outbox::new(supervisor.clone().recipient()),
            supervisor,
        };
        let watch = ParseWatch::default();
        let pool = shared.pool(slots, connected_max, fetcher);
        let context = |runner| RunnerContext {
            shard,
            clock,
            settings: shared.settings.clone(),
            port: shared.port.clone(),
            watch: watch.clone(),
            backlog: shared.backlog.clone(),
            cores,
            files,
            refused: Outbox::new(shared.supervisor.clone().recipient()),
            runner,
        };
        let runner = Runner::start(make_reader, context, shared.death("spider runner"));
        let fetches = Outbox::new(pool.clone().recipient());
        let pool_link = PoolLink { slots: pool.clone().recipient(), fetches };
        let deliveries = Outbox::new(runner.clone().recipient());
        let actor = shared.shard(pool_link, deliveries, cache, crawl.maybe_fetched_until);
        let link = ShardLink {
            drain: actor.clone().recipient(),
            lend: pool.clone().recipient(),
            slots: pool.clone().recipient(),
            take: pool.clone().recipient(),
            watch,
            status: [actor.clone().recipient(), pool.recipient(), runner.recipient()],
        };
        let road = ShardRoad {
            assign: actor.clone().recipient(),
            settled: actor.clone().recipient(),
            errand_results: actor.recipient(),
        };
        Ok((link, road))
    }
}

/// The values that the actors of one shard share.
struct Shared {
    shard: usize,
    clock: Clock,
    settings: Arc<Settings>,
    port: SchedulerPort,
    counts: Rc<Cell<ShardCounts>>,
    backlog: ParseBacklog,
    died: Outbox<ActorDied>,
    supervisor: Addr<Supervisor>,
}

impl Shared {
    fn death(&self, name: &'static str) -> DeathWatch {
        DeathWatch::new(name, self.died.clone())
    }

    /// Starts the fetcher pool.
    fn pool(&self, slots: u32, connected_max: usize, fetcher: Rc<Fetcher>) -> Addr<Pool> {
        Pool::start(PoolSetup {
            shard: self.shard,
            slots,
            connected_max,
            groups: GroupBudgets::new(self.settings.group_rate),
            clock: self.clock,
            fetcher,
            port: self.port.clone(),
            counts: self.counts.clone(),
            backlog: self.backlog.clone(),
            fetch_max: self.settings.fetch_timeout + HostLimits::GRACE - Duration::from_secs(1),
            wanted: self.supervisor.clone().recipient(),
            lent: self.supervisor.clone().recipient(),
            death: self.death("fetcher pool"),
        })
    }

    /// Starts the actor of the shard.
    fn shard(
        self,
        pool: PoolLink,
        runner: Outbox<Deliver>,
        cache: Option<Rc<Fetcher>>,
        maybe_fetched_until: Option<Timestamp>,
    ) -> Addr<Shard> {
        let death = self.death("shard");
        let Self { shard, clock, settings, port, counts, backlog, supervisor, .. } = self;
        Shard::start(ShardSetup {
            context: Box::new(move |gone| ShardContext {
                shard,
                clock,
                settings,
                pool,
                runner,
                backlog,
                port,
                counts,
                gone,
                cache,
                maybe_fetched_until,
            }),
            drained: supervisor.clone().recipient(),
            reports: supervisor.recipient(),
            death,
        })
    }
}

/// Returns how many of the hosts that wait for a slot count as connected, in the whole crawl: half of the connections
/// that are kept and cannot be in use, and at most a quarter of all that are kept. The other idle connections belong to
/// hosts whose last page is being read, or which have no more URLs. If the process may open so few files that all kept
/// connections may be in use, no waiting host counts as connected.
fn connected_max(kept_max: usize, in_flight_max: u32) -> usize {
    kept_max.saturating_sub(in_flight_max as usize).min(kept_max / 2) / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_hosts_count_as_connected_than_connections_may_be_idle() {
        assert_eq!(connected_max(512, 64), 128);
        assert_eq!(connected_max(2_048, 1_024), 512);
        // Few files may be opened.
        assert_eq!(connected_max(512, 400), 56);
        assert_eq!(connected_max(128, 256), 0);
    }
}
