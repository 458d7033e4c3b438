//! Putting the rooms together: on threads of their own, or all on one for virtual time.

use std::cell::Cell;
use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::{Arbiter, System};
use opilio_core::Timestamp;
use opilio_core::host::HostLimits;
use opilio_core::scheduling::GroupBudgets;
use opilio_export::{Encoder, ExportError, FileStore, Sink};
use opilio_fetch::connections::ConnectionPlaces;
use opilio_fetch::{
    BodyBudget, Cache, Cookies, DnsCache, Fetcher, KeptCookies, Limits, Middleware, Transport, WebSettings,
};
use opilio_frontier::{Admission, Frontier, FrontierError};
use opilio_spider::run_history::{RunHistory, Totals};
use opilio_spider::{CrawlError, CrawlReport, FAILURES_MAX, FailureRecord, Spider, Stopped};
use tokio::sync::{Notify, Semaphore, mpsc, oneshot, watch};

use crate::backlog::ParseBacklog;
use crate::clock::Clock;
use crate::context::ShardContext;
use crate::death::DeathWatch;
use crate::exporter::{self, Exporter, SinkAtWork};
use crate::fetcher::{Pool, PoolSetup, connection_places};
use crate::memory::MemoryLimit;
use crate::message::{ClosedHost, PoolLink, ToScheduler};
use crate::message::{Question, ToExporter, Written};
use crate::outbox::Outbox;
use crate::port::{SchedulerPort, SchedulerSenders};
use crate::runner::{ParseWatch, RunnerSetup, SpiderRunner};
use crate::scheduler::{
    QueuedScope, Scheduler, SchedulerChannels, SchedulerLoop, SchedulerOutcome, SchedulerSetup, ShardRoad,
    Syncing,
};
use crate::settings::Settings;
use crate::shard::{Shard, ShardSetup};
use crate::signals::Signals;
use crate::supervisor::{Command, Ended, Progress, ShardLink, Supervisor, SupervisorSetup};

/// Everything that a crawl needs, before any of it runs.
pub(crate) struct Plan<S: Spider> {
    pub(crate) spider: Arc<S>,
    pub(crate) settings: Arc<Settings>,
    pub(crate) queued: Option<QueuedScope>,
    pub(crate) limits: Limits,
    pub(crate) user_agent: http::HeaderValue,
    pub(crate) transport: TransportChoice,
    pub(crate) transport_around: Option<WrapTransport>,
    /// The outermost first.
    pub(crate) middleware: Vec<Arc<dyn Middleware>>,
    pub(crate) files: Option<FileStore>,
    pub(crate) cache: Option<Cache>,
    /// The cookies of the crawl, if any are kept, and the file that they are in between its runs.
    pub(crate) cookies: Option<Arc<Cookies>>,
    pub(crate) cookie_file: Option<PathBuf>,
    pub(crate) seeds: Vec<Admission>,
    /// Shapes of steps that the state has a sample of.
    pub(crate) shapes: HashSet<u64>,
    /// Encoders for each shard: their number is the number of shards.
    pub(crate) encoders: Vec<Vec<Box<dyn Encoder<S::Item>>>>,
    pub(crate) sinks: Vec<Box<dyn Sink>>,
    pub(crate) frontier: Box<dyn Frontier>,
    pub(crate) in_flight: u32,
    pub(crate) hosts_max: u32,
    pub(crate) pages_max: Option<u64>,
    pub(crate) duration_max: Option<Duration>,
    pub(crate) memory: Option<MemoryLimit>,
    /// Memory for bodies.
    pub(crate) bodies: BodyBudget,
    pub(crate) progress: watch::Sender<Progress>,
    pub(crate) signals: Option<Signals>,
    pub(crate) clock: Clock,
    pub(crate) history: RunHistory,
    pub(crate) syncing: Syncing,
    /// In a crawl on one thread, the exporter has one of its own all the same: for tests whose sinks block.
    #[cfg(test)]
    pub(crate) sinks_apart: bool,
}

/// What shards fetch through.
#[derive(Clone)]
pub(crate) enum TransportChoice {
    /// The web.
    Web(Box<WebSettings>),
    /// Made by the user, one for each shard.
    Own(MakeTransport),
}

/// Makes a transport on the thread that will use it.
pub(crate) type MakeTransport = Arc<dyn Fn() -> Rc<dyn Transport> + Send + Sync>;

/// Wraps a transport on the thread that will use it.
pub(crate) type WrapTransport = Arc<dyn Fn(Rc<dyn Transport>) -> Rc<dyn Transport> + Send + Sync>;

/// What one shard is made from, on whichever thread.
struct ShardParts<S: Spider> {
    shard: usize,
    slots: u32,
    connections: ConnectionPlaces,
    spider: Arc<S>,
    settings: Arc<Settings>,
    encoders: Vec<Box<dyn Encoder<S::Item>>>,
    clock: Clock,
    store: SchedulerSenders,
    supervisor: actix::Addr<Supervisor>,
    web: Web,
    cores: Arc<Semaphore>,
    files: Option<FileStore>,
    maybe_fetched_until: Option<Timestamp>,
}

/// What the shards' fetchers share.
#[derive(Clone)]
struct Web {
    way: Way,
    around: Option<WrapTransport>,
    middleware: Vec<Arc<dyn Middleware>>,
    cache: Option<Cache>,
    limits: Limits,
    user_agent: http::HeaderValue,
    bodies: BodyBudget,
}

/// Where transports come from.
#[derive(Clone)]
enum Way {
    Web(Box<opilio_fetch::Web>),
    Own(MakeTransport),
}

/// The rooms that stand before any shard does.
struct Hall {
    clock: Clock,
    supervisor: actix::Addr<Supervisor>,
    store: SchedulerSenders,
    inbox: mpsc::Receiver<ToScheduler>,
    behind: BehindDoor,
    ended: oneshot::Receiver<Ended>,
}

/// What of a [`SchedulerSenders`] is the scheduler's, beside its inbox.
struct BehindDoor {
    closed_hosts: mpsc::Receiver<ClosedHost>,
    hurry: Arc<Notify>,
    questions: mpsc::Receiver<Question>,
}

/// Runs a crawl on threads of its own and returns when it is over.
pub(crate) fn on_own_threads<S: Spider>(
    mut plan: Plan<S>,
    commands: mpsc::Receiver<Command>,
) -> Result<CrawlReport, CrawlError> {
    System::new().block_on(async move {
        let facts = Facts::of(&plan);
        let hall = hall(&mut plan);
        let mut links = Vec::new();
        let mut roads = Vec::new();
        let mut arbiters = Arbiters::default();
        let (parts, rest) = shard_parts(plan, &hall)?;
        for part in parts {
            let arbiter = Arbiter::new();
            let (tell, told) = oneshot::channel();
            let spawned = arbiter.spawn_fn(move || {
                let _ = tell.send(start_shard(part));
            });
            if !spawned {
                return Err(CrawlError::Died { name: "shard" });
            }
            arbiters.0.push(arbiter);
            let (link, road) = told.await.map_err(|_| CrawlError::Died { name: "shard" })??;
            links.push(link);
            roads.push(road);
        }
        let Rest { spider, seeds, store, sinks } = rest;
        let (scheduler, ExporterEnds { rows, written, at_work }) =
            scheduler(hall.clock, &hall.supervisor, hall.behind, store, roads);
        let facts = Facts { outputs: names(&sinks), ..facts };
        let exporter = Exporter::new(sinks, at_work);
        let export = plain_thread("opilio-export", move || exporter.run(rows, written))?;
        let inbox = hall.inbox;
        let store = thread("opilio-scheduler", move || scheduler.run(inbox))?;
        let ended = conduct(&*spider, hall.supervisor, hall.store, hall.ended, commands, seeds, links).await;
        drop(arbiters);
        let store = store.await.map_err(|_| CrawlError::Died { name: "scheduler" })?;
        let export = end_of_export(export, &store).await?;
        conclude(&*spider, ended?, store, export, facts)
    })
}

/// Runs a crawl within this thread's [`tokio::task::LocalSet`], store and exporter included.
pub(crate) async fn here<S: Spider>(
    mut plan: Plan<S>,
    commands: mpsc::Receiver<Command>,
) -> Result<CrawlReport, CrawlError> {
    let facts = Facts::of(&plan);
    #[cfg(test)]
    let is_apart = plan.sinks_apart;
    #[cfg(not(test))]
    let is_apart = false;
    let hall = hall(&mut plan);
    let (parts, rest) = shard_parts(plan, &hall)?;
    let mut links = Vec::new();
    let mut roads = Vec::new();
    for part in parts {
        let (link, road) = start_shard(part)?;
        links.push(link);
        roads.push(road);
    }
    let Rest { spider, seeds, store, sinks } = rest;
    let (scheduler, ExporterEnds { rows, written, at_work }) =
        scheduler(hall.clock, &hall.supervisor, hall.behind, store, roads);
    let facts = Facts { outputs: names(&sinks), ..facts };
    let exporter = Exporter::new(sinks, at_work);
    let export = if is_apart {
        plain_thread("opilio-export", move || exporter.run(rows, written))?
    } else {
        let (tell, told) = oneshot::channel();
        actix::spawn(async move {
            let _ = tell.send(exporter.run_here(rows, written).await);
        });
        told
    };
    let store = actix::spawn(scheduler.run(hall.inbox));
    let ended = conduct(&*spider, hall.supervisor, hall.store, hall.ended, commands, seeds, links).await;
    let store = store.await.map_err(|_| CrawlError::Died { name: "scheduler" })?;
    let export = end_of_export(export, &store).await?;
    conclude(&*spider, ended?, store, export, facts)
}

/// What the report tells beside what the rooms counted.
struct Facts {
    outputs: Vec<String>,
    history: RunHistory,
    settings: Arc<Settings>,
}

impl Facts {
    fn of<S: Spider>(plan: &Plan<S>) -> Self {
        Self { outputs: Vec::new(), history: plan.history, settings: plan.settings.clone() }
    }
}

/// What the outputs are called.
fn names(sinks: &[Box<dyn Sink>]) -> Vec<String> {
    sinks.iter().map(|sink| sink.name().to_string()).collect()
}

/// Stops the shards' threads, however a crawl ends. They are not joined: a `parse` that never ends
/// must not keep the report from anybody.
#[derive(Default)]
struct Arbiters(Vec<Arbiter>);

impl Drop for Arbiters {
    fn drop(&mut self) {
        for arbiter in &self.0 {
            arbiter.stop();
        }
    }
}

/// Waits for the sinks' last word. Where the scheduler has given up waiting, since a signal came or it failed
/// itself, a sink that takes nothing (a pipe that nobody reads) is not waited for: the report says what was not
/// written.
async fn end_of_export(
    export: oneshot::Receiver<Result<(), ExportError>>,
    scheduler: &Result<SchedulerOutcome, FrontierError>,
) -> Result<Result<(), ExportError>, CrawlError> {
    if scheduler.as_ref().is_ok_and(|outcome| outcome.unwritten.is_none()) {
        return export.await.map_err(|_| CrawlError::Died { name: "exporter" });
    }
    match tokio::time::timeout(EXPORT_MAX, export).await {
        Ok(ended) => ended.map_err(|_| CrawlError::Died { name: "exporter" }),
        Err(_) => Ok(Ok(())),
    }
}

/// What of a plan is not the shards'.
struct Rest<S: Spider> {
    spider: Arc<S>,
    seeds: Vec<Admission>,
    store: StoreParts,
    sinks: Vec<Box<dyn Sink>>,
}

/// What the scheduler gets of a plan.
struct StoreParts {
    frontier: Box<dyn Frontier>,
    pages_max: Option<u64>,
    hosts_max: u32,
    queued: Option<QueuedScope>,
    cookies: Option<KeptCookies>,
    shapes: HashSet<u64>,
    before: Totals,
    syncing: Syncing,
}

/// The exporter's ends of the channels between it and the scheduler.
struct ExporterEnds {
    rows: mpsc::Receiver<ToExporter>,
    written: mpsc::Sender<Written>,
    at_work: watch::Sender<Option<SinkAtWork>>,
}

/// The scheduler, and the exporter's ends of the channels between them. The way back has room for
/// more than the way there can hold, so that neither ever waits for the other.
fn scheduler(
    clock: Clock,
    supervisor: &actix::Addr<Supervisor>,
    behind: BehindDoor,
    store: StoreParts,
    shards: Vec<ShardRoad>,
) -> (SchedulerLoop, ExporterEnds) {
    let (rows, rows_inbox) = mpsc::channel(exporter::BATCHES_MAX);
    let (written, written_inbox) = mpsc::channel(exporter::BATCHES_MAX * 2);
    let (at_work, sink_at_work) = watch::channel(None);
    let StoreParts { frontier, pages_max, hosts_max, queued, cookies, shapes, before, syncing } = store;
    let scheduler = Scheduler::new(SchedulerSetup {
        frontier,
        shards: shards.len(),
        clock,
        pages_max,
        hosts_max,
        queued,
        cookies,
        shapes,
        before,
        syncing,
        sink_at_work,
    });
    let ports = SchedulerChannels {
        exporter: Some(rows),
        written: written_inbox,
        supervisor: supervisor.clone().recipient(),
        shards,
        closed_hosts: behind.closed_hosts,
        hurry: behind.hurry,
        questions: behind.questions,
    };
    let ends = ExporterEnds { rows: rows_inbox, written, at_work };
    (SchedulerLoop::new(scheduler, ports, clock), ends)
}

fn hall<S: Spider>(plan: &mut Plan<S>) -> Hall {
    let clock = plan.clock;
    let (messages, inbox) = mpsc::channel(STORE_CHANNEL);
    let (closed, closed_hosts) = mpsc::channel(STORE_CHANNEL);
    let hurry = Arc::new(Notify::new());
    let (ask, questions) = mpsc::channel(QUESTIONS);
    let store = SchedulerSenders { messages, closed_hosts: closed, hurry: hurry.clone(), questions: ask };
    let (tell, ended) = oneshot::channel();
    let setup = SupervisorSetup {
        clock,
        store: store.clone(),
        progress: plan.progress.clone(),
        ended: tell,
        duration_max: plan.duration_max,
        drain_max: DRAIN_MAX,
        before: plan.history.totals,
        memory: plan.memory.take(),
        pages_max: plan.pages_max,
        signals: plan.signals.take(),
    };
    Hall {
        clock,
        supervisor: Supervisor::start(setup),
        store,
        inbox,
        behind: BehindDoor { closed_hosts, hurry, questions },
        ended,
    }
}

fn shard_parts<S: Spider>(plan: Plan<S>, hall: &Hall) -> Result<(Vec<ShardParts<S>>, Rest<S>), CrawlError> {
    let shards = plan.encoders.len().max(1);
    let way = match plan.transport {
        TransportChoice::Own(make) => Way::Own(make),
        TransportChoice::Web(settings) => {
            let web = opilio_fetch::Web::new(*settings, Arc::new(DnsCache::default()));
            Way::Web(Box::new(web.map_err(|source| CrawlError::Transport(Box::new(source)))?))
        }
    };
    let mut middleware = plan.middleware;
    let kept_cookies = plan.cookies.clone().zip(plan.cookie_file);
    if let Some(cookies) = plan.cookies {
        // The innermost: it adds to what the others have set, and sees answers as they came.
        middleware.push(cookies);
    }
    let web = Web {
        way,
        around: plan.transport_around,
        middleware,
        cache: plan.cache,
        limits: plan.limits,
        user_agent: plan.user_agent,
        bodies: plan.bodies,
    };
    let cores = Arc::new(Semaphore::new(std::thread::available_parallelism().map_or(1, usize::from)));
    let share = |shard: usize| {
        let (total, shards, shard) = (plan.in_flight, shards as u32, shard as u32);
        total / shards + u32::from(shard < total % shards)
    };
    let connections = connection_places(plan.in_flight);
    let parts = plan.encoders.into_iter().enumerate().map(|(shard, encoders)| ShardParts {
        shard,
        slots: share(shard),
        connections: connections.clone(),
        spider: plan.spider.clone(),
        settings: plan.settings.clone(),
        encoders,
        clock: hall.clock,
        store: hall.store.clone(),
        supervisor: hall.supervisor.clone(),
        web: web.clone(),
        cores: cores.clone(),
        files: plan.files.clone(),
        maybe_fetched_until: plan.history.maybe_fetched_until,
    });
    let parts = parts.collect();
    let store = StoreParts {
        frontier: plan.frontier,
        pages_max: plan.pages_max,
        hosts_max: plan.hosts_max,
        queued: plan.queued,
        cookies: kept_cookies.map(|(cookies, file)| KeptCookies::new(cookies, file)),
        shapes: plan.shapes,
        before: plan.history.totals,
        syncing: plan.syncing,
    };
    let rest = Rest { spider: plan.spider, seeds: plan.seeds, store, sinks: plan.sinks };
    Ok((parts, rest))
}

/// Starts the actors of one shard on this thread.
fn start_shard<S: Spider>(parts: ShardParts<S>) -> Result<(ShardLink, ShardRoad), CrawlError> {
    let ShardParts {
        shard,
        slots,
        connections,
        spider,
        settings,
        encoders,
        clock,
        store,
        supervisor,
        web,
        cores,
        files,
        maybe_fetched_until,
    } = parts;
    let counts = Rc::new(Cell::default());
    let port = SchedulerPort::new(store, counts.clone());
    let watch = ParseWatch::default();
    let backlog = ParseBacklog::default();
    let fetch_max = settings.fetch_timeout + HostLimits::GRACE - Duration::from_secs(1);
    let cached = web.cache.is_some();
    let fetcher = Rc::new(web.fetcher(clock)?);
    let cache = cached.then(|| fetcher.clone());
    let died = Outbox::new(supervisor.clone().recipient());
    let pool = Pool::start(PoolSetup {
        shard,
        slots,
        groups: GroupBudgets::new(settings.group_rate),
        connections,
        clock,
        fetcher,
        port: port.clone(),
        counts: counts.clone(),
        backlog: backlog.clone(),
        fetch_max,
        wanted: supervisor.clone().recipient(),
        lent: supervisor.clone().recipient(),
        death: DeathWatch::new("fetcher pool", died.clone()),
    });
    let setup = RunnerSetup {
        shard,
        clock,
        spider,
        settings: settings.clone(),
        encoders,
        port: port.clone(),
        watch: watch.clone(),
        backlog: backlog.clone(),
        cores,
        files,
        death: DeathWatch::new("spider runner", died.clone()),
        refused: Outbox::new(supervisor.clone().recipient()),
    };
    let runner = SpiderRunner::start(setup);
    let runner_status = runner.clone().recipient();
    let runner = Outbox::new(runner.recipient());
    let (lend, slots, take) = (pool.clone().recipient(), pool.clone().recipient(), pool.clone().recipient());
    let pool_status = pool.clone().recipient();
    let pool = PoolLink { slots: pool.clone().recipient(), fetches: Outbox::new(pool.recipient()) };
    let actor = Shard::start(ShardSetup {
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
        death: DeathWatch::new("shard", died),
    });
    let link = ShardLink {
        drain: actor.clone().recipient(),
        lend,
        slots,
        take,
        watch,
        status: [actor.clone().recipient(), pool_status, runner_status],
    };
    let road = ShardRoad {
        assign: actor.clone().recipient(),
        settled: actor.clone().recipient(),
        errand_results: actor.recipient(),
    };
    Ok((link, road))
}

/// Begins, feeds the seeds, passes commands on, and waits for the end.
async fn conduct<S: Spider>(
    spider: &S,
    supervisor: actix::Addr<Supervisor>,
    store: SchedulerSenders,
    mut ended: oneshot::Receiver<Ended>,
    mut commands: mpsc::Receiver<Command>,
    seeds: Vec<Admission>,
    links: Vec<ShardLink>,
) -> Result<Ended, CrawlError> {
    let died = CrawlError::Died { name: "supervisor" };
    if supervisor.send(Command::Begin(links)).await.is_err() {
        return Err(died);
    }
    tracing::info!(spider = spider.name(), seeds = seeds.len(), "the crawl begins");
    hook("opened", || spider.opened());
    let feeding = actix::spawn(feed(store.messages.clone(), seeds));
    loop {
        tokio::select! {
            ended = &mut ended => {
                feeding.abort();
                if ended.is_err() {
                    // Nobody else tells the store.
                    store.hurry.notify_one();
                    let _ = store.messages.send(ToScheduler::Close { counts: None, drained: false }).await;
                }
                return ended.map_err(|_| died);
            }
            Some(command) = commands.recv() => {
                let _ = supervisor.send(command).await;
            }
        }
    }
}

/// Hands the seeds to the store, batch by batch. A store that is gone has said why to the supervisor.
async fn feed(store: mpsc::Sender<ToScheduler>, seeds: Vec<Admission>) {
    let mut seeds = seeds.into_iter().peekable();
    while seeds.peek().is_some() {
        let batch = seeds.by_ref().take(SEEDS_BATCH).collect();
        if store.send(ToScheduler::Seeds(batch)).await.is_err() {
            return;
        }
    }
    let _ = store.send(ToScheduler::Seeded).await;
}

/// Runs a hook of the spider: one that panics has said nothing.
fn hook(name: &'static str, work: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(work)).is_err() {
        tracing::error!("the spider's `{name}` panicked");
    }
}

fn conclude<S: Spider>(
    spider: &S,
    ended: Ended,
    store: Result<SchedulerOutcome, FrontierError>,
    export: Result<(), ExportError>,
    facts: Facts,
) -> Result<CrawlReport, CrawlError> {
    // A sink that failed is why the store stopped: it is told first.
    export?;
    let SchedulerOutcome { stats, failures, totals, unwritten } = store?;
    if let Some(error) = ended.refused {
        return Err(CrawlError::Export(error));
    }
    if let Some(name) = ended.died {
        return Err(CrawlError::Died { name });
    }
    // Below the limit nothing is missing: should the list and the counts differ, the books say so.
    let unlisted = match failures.len() < FAILURES_MAX {
        true => 0,
        false => stats.failures_total().saturating_sub(failures.len() as u64),
    };
    let mut report = CrawlReport {
        discovered: stats.discovered,
        admitted: stats.admitted,
        pages: stats.pages.saturating_sub(totals.sitemaps),
        aliases: stats.aliases,
        left: stats.left,
        requests: totals.requests,
        retries: totals.retries,
        refusals: totals.refusals,
        sitemaps: totals.sitemaps,
        items: totals.items,
        outputs: facts.outputs,
        nothing_left: false,
        finished_before: None,
        bytes: totals.bytes,
        cached: totals.cached,
        failures: failures.into_iter().map(FailureRecord::from).collect(),
        unlisted,
        reasons: stats.failures,
        other_step: totals.other_step,
        filtered: stats.filtered.iter().map(|(why, count)| (why.as_str(), *count)).collect(),
        elsewhere: facts.settings.scope.elsewhere().cloned(),
        stopped: ended.stopped,
        slowed: ended.slowed,
        unwritten,
        elapsed: totals.elapsed,
    };
    let before = facts.history.totals;
    let idle = report.requests == before.requests && report.cached == before.cached;
    report.nothing_left = idle && report.left == 0 && facts.history.was_over == Some(report.discovered);
    if report.nothing_left {
        let since = |millis| std::time::UNIX_EPOCH + Duration::from_millis(millis);
        report.finished_before = before.finished_unix_ms.map(since);
    } else if idle
        && report.stopped == Stopped::Finished
        && let Some(why) = report.why_no_request()
    {
        tracing::warn!("the crawl sent no request: {why}");
    }
    if !report.balances() {
        tracing::error!(
            ?report,
            "the counts of the report do not add up, which is a defect of Opilio: pages, aliases, failures and filtered URLs differ from the URLs admitted"
        );
    }
    tracing::info!(stopped = ?report.stopped, "the crawl has ended: {report}");
    hook("closed", || spider.closed(&report));
    Ok(report)
}

impl Web {
    /// The fetcher of one shard, with connections of its own.
    fn fetcher(self, clock: Clock) -> Result<Fetcher, CrawlError> {
        let transport: Rc<dyn Transport> = match &self.way {
            Way::Own(make) => make(),
            Way::Web(web) => {
                Rc::new(web.transport().map_err(|source| CrawlError::Transport(Box::new(source)))?)
            }
        };
        let transport = match &self.around {
            Some(wrap) => wrap(transport),
            None => transport,
        };
        let fetcher =
            Fetcher::new(transport).limits(self.limits).budget(self.bodies).user_agent(self.user_agent);
        let fetcher = fetcher.middleware(self.middleware).wall_clock_ms(move || clock.unix_millis());
        Ok(match self.cache {
            Some(cache) => fetcher.cache(cache),
            None => fetcher,
        })
    }
}

/// Runs a future to its end on a thread of its own.
fn thread<F, T>(
    name: &'static str,
    make: impl FnOnce() -> F + Send + 'static,
) -> Result<oneshot::Receiver<T>, CrawlError>
where
    F: Future<Output = T>,
    T: Send + 'static,
{
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .map_err(|source| CrawlError::Thread { name, source })?;
    plain_thread(name, move || runtime.block_on(make()))
}

/// Does something on a thread of its own, where it may block.
fn plain_thread<T: Send + 'static>(
    name: &'static str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<oneshot::Receiver<T>, CrawlError> {
    let (tell, told) = oneshot::channel();
    std::thread::Builder::new()
        .name(name.into())
        .spawn(move || {
            let _ = tell.send(work());
        })
        .map_err(|source| CrawlError::Thread { name, source })?;
    Ok(told)
}

/// Messages that wait for the store at the most; beyond, the shards start nothing more.
const STORE_CHANNEL: usize = 256;
/// Questions to the scheduler that wait at the most.
const QUESTIONS: usize = 8;
/// Seeds that travel together.
const SEEDS_BATCH: usize = 512;
/// How long a drain may take: the 10 s that a stop is allowed, less what writing takes.
const DRAIN_MAX: Duration = Duration::from_secs(7);
/// How long sinks may take to sync after the store has closed, where they have not done so in time.
const EXPORT_MAX: Duration = Duration::from_millis(500);
