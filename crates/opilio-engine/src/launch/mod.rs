//! Starts the actors of a crawl, and waits for their end. The scheduler, the exporter and each shard run on threads
//! of their own. For virtual time, all of them run on one thread.
//!
//! | file | content |
//! | --- | --- |
//! | `shards.rs` | the shards, and the actors of each |
//! | `fetchers.rs` | the fetcher of each shard, and the transport it sends through |
//! | `cache.rs` | the development cache, with and without the feature `cache` |
//! | `scheduler.rs` | the scheduler, and the channels to it |
//! | `exporter.rs` | the start and the end of the exporter |
//! | `supervisor.rs` | the supervisor, the seeds, and commands from outside |
//! | `report.rs` | the report of a crawl that has ended |
//! | `threads.rs` | threads, and the arbiters of the shards |

mod cache;
mod exporter;
mod fetchers;
mod report;
mod scheduler;
mod shards;
mod supervisor;
mod threads;

use std::sync::Arc;

use actix::{Addr, System};
use opilio_frontier::Admission;
use opilio_spider::run_history::RunHistory;
use opilio_spider::{CrawlError, CrawlReport, Expectation};
use tokio::sync::mpsc;

pub(crate) use self::cache::Cache;
pub(crate) use self::exporter::ExporterPlan;
pub(crate) use self::fetchers::{Fetchers, MakeTransport, Transports, WrapTransport};
pub(crate) use self::scheduler::SchedulerPlan;
pub(crate) use self::shards::ShardsPlan;

pub use self::report::LOG_OF_REPORT;
use self::report::ReportFacts;
use self::scheduler::SchedulerEnds;
use self::shards::{CrawlParts, ShardParts};
use self::supervisor::Conductor;
pub(crate) use self::supervisor::SpiderHooks;
use self::threads::Arbiters;
use crate::clock::Clock;
use crate::settings::Settings;
use crate::supervisor::{Command, Supervisor, SupervisorPlan};

/// All that a crawl needs, before any part of the crawl runs.
pub(crate) struct Plan {
    pub(crate) spider: Arc<dyn SpiderHooks>,
    pub(crate) settings: Arc<Settings>,
    pub(crate) clock: Clock,
    pub(crate) history: RunHistory,
    /// How often fields are expected to have a value.
    pub(crate) expectations: Vec<Expectation>,
    pub(crate) seeds: Vec<Admission>,
    pub(crate) shards: ShardsPlan,
    pub(crate) scheduler: SchedulerPlan,
    pub(crate) exporter: ExporterPlan,
    pub(crate) supervisor: SupervisorPlan,
}

/// A crawl whose supervisor runs, and whose other parts are made but not started.
struct Prepared {
    shards: Vec<ShardParts>,
    scheduler: SchedulerPlan,
    scheduler_ends: SchedulerEnds,
    exporter: ExporterPlan,
    supervisor: Addr<Supervisor>,
    conductor: Conductor,
    clock: Clock,
    facts: ReportFacts,
}

impl Prepared {
    /// Starts the supervisor on this thread, and makes the other parts of the crawl.
    fn new(plan: Plan) -> Self {
        let Plan {
            spider,
            settings,
            clock,
            history,
            expectations,
            seeds,
            shards,
            scheduler,
            exporter,
            supervisor,
        } = plan;
        let outputs = exporter.outputs();
        let facts = ReportFacts { outputs, history, expectations, settings: settings.clone() };
        let (senders, scheduler_ends) = scheduler::channels();
        let (supervisor, ended) = supervisor::start(supervisor, clock, history.totals, senders.clone());
        let shards = shards.parts(CrawlParts {
            settings,
            clock,
            scheduler: senders.clone(),
            supervisor: supervisor.clone(),
            maybe_fetched_until: history.maybe_fetched_until,
        });
        let conductor =
            Conductor { spider, supervisor: supervisor.clone(), scheduler: senders, ended, seeds };
        Self { shards, scheduler, scheduler_ends, exporter, supervisor, conductor, clock, facts }
    }
}

/// Runs a crawl on threads of its own and returns when it is over.
pub(crate) fn on_own_threads(
    plan: Plan,
    commands: mpsc::Receiver<Command>,
) -> Result<CrawlReport, CrawlError> {
    System::new().block_on(async move {
        let Prepared { shards, scheduler, scheduler_ends, exporter, supervisor, conductor, clock, facts } =
            Prepared::new(plan);
        let spider = conductor.spider.clone();
        let mut arbiters = Arbiters::default();
        let (mut links, mut roads) = (Vec::new(), Vec::new());
        for parts in shards {
            let (link, road) = arbiters.run(|| parts.start()).await??;
            links.push(link);
            roads.push(road);
        }
        let (scheduler, inbox, exporter_ends) =
            scheduler.build(clock, facts.history.totals, supervisor, scheduler_ends, roads);
        let export = exporter.run_on_a_thread(exporter_ends)?;
        let scheduler = threads::run_future("opilio-scheduler", move || scheduler.run(inbox))?;
        let ended = conductor.conduct(commands, links).await;
        drop(arbiters);
        let outcome = scheduler.await.map_err(|_| CrawlError::Died { name: "scheduler" })?;
        let export = exporter::end(export, &outcome).await?;
        facts.conclude(&*spider, ended?, outcome, export)
    })
}

/// Runs a crawl within the [`tokio::task::LocalSet`] of this thread. The store and the exporter run on this thread,
/// too.
pub(crate) async fn here(plan: Plan, commands: mpsc::Receiver<Command>) -> Result<CrawlReport, CrawlError> {
    let Prepared { shards, scheduler, scheduler_ends, exporter, supervisor, conductor, clock, facts } =
        Prepared::new(plan);
    let spider = conductor.spider.clone();
    let (mut links, mut roads) = (Vec::new(), Vec::new());
    for parts in shards {
        let (link, road) = parts.start()?;
        links.push(link);
        roads.push(road);
    }
    let (scheduler, inbox, exporter_ends) =
        scheduler.build(clock, facts.history.totals, supervisor, scheduler_ends, roads);
    let export = exporter.run_here(exporter_ends)?;
    let scheduler = actix::spawn(scheduler.run(inbox));
    let ended = conductor.conduct(commands, links).await;
    let outcome = scheduler.await.map_err(|_| CrawlError::Died { name: "scheduler" })?;
    let export = exporter::end(export, &outcome).await?;
    facts.conclude(&*spider, ended?, outcome, export)
}
