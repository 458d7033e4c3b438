//! From what the builder was told to what the threads need: everything that can be wrong is found here.

#[cfg(feature = "disk")]
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use opilio_export::Sink;
use opilio_fetch::{Cookies, KeptCookies, WebSettings};
#[cfg(feature = "disk")]
use opilio_frontier::{DiskFrontier, DiskOptions, Durability, FrontierError, StoreOwner};
use opilio_frontier::{Frontier, MemoryFrontier, MemoryOptions};
use opilio_spider::admission::seed_admissions;
use opilio_spider::run_history::{self, EarlierRuns};
use opilio_spider::{CrawlError, Logins, Spider, is_credential};
use tokio::sync::watch;

use super::{Crawler, Store};
use crate::clock::Clock;
use crate::launch::{
    ExporterPlan, FetcherPlan, Plan, SchedulerPlan, ShardsPlan, SupervisorPlan, TransportChoice,
};
use crate::memory::{self, MemoryLimit};
use crate::scheduler::{QueuedScope, Syncing};
use crate::settings::Settings;
use crate::signals::Signals;
use crate::supervisor::Progress;

impl<S: Spider> Crawler<S> {
    pub(super) fn plan(mut self) -> Result<(Plan<S>, watch::Receiver<Progress>), CrawlError> {
        if let Some(error) = self.bad_pattern {
            return Err(error.into());
        }
        let headers = self.headers?;
        if let Some(name) = headers.keys().find(|name| is_credential(name)) {
            return Err(CrawlError::SecretForAll { name: name.to_string() });
        }
        self.hosts.send_to_all(&headers);
        if self.memory_limit.is_some() && (self.gauge)().is_none() {
            return Err(CrawlError::MemoryUnknown);
        }
        if self.strip_tracking {
            self.scope = self.scope.strip_tracking();
        }
        // Before anything that takes long: a signal that comes meanwhile is heard once it is done.
        let signals = self.stop_on_signals.then(Signals::catch).transpose().map_err(CrawlError::Signals)?;
        let wall = self.began_at.unwrap_or_else(SystemTime::now);
        self.scope.begin(crate::clock::year_of(wall));
        for pattern in self.scope.matchless() {
            tracing::warn!("the pattern {pattern} matches no URL, since none begins so: write *{pattern}*");
        }
        let mut logins = Logins::default();
        let seeds = seed_admissions::<S>(self.spider.seeds(), &mut self.scope, &mut logins)?;
        let mut encoders = Vec::new();
        let shards = match self.shards {
            0 => std::thread::available_parallelism().map_or(1, usize::from).min(SHARDS_MAX),
            n => n.min(SHARDS_MAX),
        };
        // A shard without a slot of its own could only ever borrow.
        let shards = shards.min(self.in_flight as usize);
        for _ in 0..shards {
            encoders.push(self.exports.iter().map(|export| export.encoder()).collect());
        }
        let user_agent = http::HeaderValue::from_str(&self.user_agent)
            .map_err(|source| CrawlError::UserAgent { user_agent: self.user_agent.clone(), source })?;
        if !self.web.proxies.is_empty() {
            tracing::warn!(
                "the proxy resolves names: the crawl cannot check that a name does not lead to a private address"
            );
        }
        let web = WebSettings {
            header_count_max: self.limits.header_count_max,
            header_bytes_max: self.limits.header_bytes_max,
            ..self.web
        };
        let transport =
            self.transport.map_or_else(|| TransportChoice::Web(Box::new(web)), TransportChoice::Own);
        let sinks: Result<Vec<_>, _> = self.exports.into_iter().map(|export| export.into_sink()).collect();
        let mut sinks = sinks?;
        refuse_equal(&sinks)?;
        // Where a limit decides by depth, chance must not.
        let levels = self.scope.limits_depth() || self.caps.limit_depth();
        #[cfg(feature = "disk")]
        let cookie_file = match &self.store {
            Store::Directory(dir) if self.cookies => Some(dir.join(COOKIES)),
            Store::Directory(_) | Store::Memory | Store::Own(_) => None,
        };
        #[cfg(not(feature = "disk"))]
        let cookie_file: Option<std::path::PathBuf> = None;
        let is_kept = !matches!(self.store, Store::Memory);
        // Last of all, since it cuts the output back.
        let (mut frontier, syncing) = match self.store {
            Store::Memory => {
                let options = MemoryOptions { order: self.order, caps: self.caps, history: false, levels };
                (Box::new(MemoryFrontier::with(options)) as Box<dyn Frontier>, Syncing::AtTheEnd)
            }
            Store::Own(frontier) => (frontier, Syncing::AtTheEnd),
            #[cfg(feature = "disk")]
            Store::Directory(dir) => {
                let owner = StoreOwner { spider: self.spider.name().to_owned(), version: S::VERSION };
                let options = DiskOptions {
                    order: Some(self.order),
                    caps: self.caps,
                    history: self.history,
                    levels,
                    ..DiskOptions::default()
                };
                let options = match self.memory_limit {
                    Some(limit) => memory::within(limit, options),
                    None => options,
                };
                if self.resume && !DiskFrontier::is_there(&dir) {
                    refuse_to_empty(&dir, &sinks)?;
                }
                open_state(&dir, owner, self.resume, self.durability, &options)?
            }
        };
        let mut shapes = run_history::shapes::<S::Step>(&*frontier)?;
        run_history::keep_samples(&mut *frontier, &mut shapes, seeds.samples);
        let layout = self.spider.item_layout();
        let earlier = EarlierRuns::read(&*frontier, &sinks, &layout)?;
        let clock = Clock::begin(earlier.noted(), wall);
        let mut history = earlier.begin_run(&mut *frontier, &mut sinks, &layout, clock.begins())?;
        if is_kept {
            run_history::keep_hosts_of_seeds(&mut *frontier, &seeds.admissions);
        }
        run_history::grown(&*frontier)?.into_iter().for_each(|host| self.scope.add(host));
        let hosts = run_history::judge_hosts(&mut *frontier, self.scope.follows_links(), history.resumed)?;
        #[cfg(test)]
        let clock = match self.fault {
            Some((name, after)) => clock.with_fault(name, after),
            None => clock,
        };
        let cookies = self.cookies.then(|| Arc::new(Cookies::new(move || clock.unix_millis() / 1_000)));
        if let (Some(cookies), Some(file)) = (&cookies, &cookie_file) {
            KeptCookies::recall(cookies, file, history.resumed);
        }
        if history.resumed {
            let now = clock.now();
            run_history::try_again(&mut *frontier, self.try_again, now, &self.user_agent)?;
            if let Some(age) = self.refresh {
                run_history::refresh(&mut *frontier, now - age)?;
            }
        }
        let stats = frontier.stats();
        history.was_over = (history.resumed && stats.left == 0).then_some(stats.discovered);
        let (publish, progress) =
            watch::channel(Progress { pages_max: self.pages_max, ..Progress::default() });
        let settings = Settings {
            hosts: self.hosts,
            retry: self.retry,
            scope: self.scope,
            rules: self.rules,
            fetch_timeout: self.limits.timeout,
            body_bytes_max: self.limits.body_bytes_max,
            user_agent: self.user_agent.into(),
            redirects_max: self.redirects_max,
            seed: self.seed.unwrap_or_else(random_seed),
            keep_history: self.history,
            sessions: self.sessions,
            cookies: cookies.clone(),
            logins,
            merge: self.merge,
            order: self.order,
            group_rate: self.group_rate,
        };
        let settings = Arc::new(settings);
        // What is queued now, an earlier run has queued.
        let queued = history.resumed.then(|| QueuedScope { settings: settings.clone(), hosts });
        let mut middleware = self.middleware;
        if let Some(cookies) = &cookies {
            // The innermost: it adds to what the others have set, and sees answers as they came.
            middleware.push(cookies.clone());
        }
        let plan = Plan {
            spider: self.spider,
            settings,
            clock,
            history,
            seeds: seeds.admissions,
            shards: ShardsPlan {
                encoders,
                in_flight: self.in_flight,
                fetchers: FetcherPlan {
                    transport,
                    transport_around: self.transport_around,
                    middleware,
                    cache: self.cache,
                    limits: self.limits,
                    user_agent,
                    bodies: memory::bodies(self.memory_limit),
                },
                files: self.files,
            },
            scheduler: SchedulerPlan {
                frontier,
                pages_max: self.pages_max,
                hosts_max: self.hosts_max,
                queued,
                cookies: cookies.zip(cookie_file).map(|(cookies, file)| KeptCookies::new(cookies, file)),
                shapes,
                syncing,
            },
            exporter: ExporterPlan {
                sinks,
                #[cfg(test)]
                apart: self.sinks_apart,
            },
            supervisor: SupervisorPlan {
                progress: publish,
                pages_max: self.pages_max,
                duration_max: self.duration_max,
                memory: self.memory_limit.map(|bytes| MemoryLimit { bytes, gauge: self.gauge }),
                signals,
            },
        };
        Ok((plan, progress))
    }
}

/// Two sinks into one file write over each other.
fn refuse_equal(sinks: &[Box<dyn Sink>]) -> Result<(), CrawlError> {
    let same = |a: &dyn Sink, b: &dyn Sink| a.name() == b.name() || a.place() == b.place();
    for (n, sink) in sinks.iter().enumerate() {
        if let Some(other) = sinks[..n].iter().find(|other| same(&***other, &**sink)) {
            return Err(CrawlError::SameOutput { output: other.name(), other: sink.name() });
        }
    }
    Ok(())
}

/// Whoever resumes means to lose nothing.
#[cfg(feature = "disk")]
fn refuse_to_empty(dir: &Path, sinks: &[Box<dyn Sink>]) -> Result<(), CrawlError> {
    let Some(output) = sinks.iter().find(|sink| sink.has_rows()).map(|sink| sink.name()) else {
        return Ok(());
    };
    Err(CrawlError::NothingToResume { state: dir.to_owned(), output })
}

/// Opens a state directory, or makes it.
///
/// Syncing is the scheduler's: the sinks have to be synced before the store is, and a thread of the
/// store's own would not ask them.
#[cfg(feature = "disk")]
fn open_state(
    dir: &Path,
    whose: StoreOwner,
    resume: bool,
    durability: Durability,
    options: &DiskOptions,
) -> Result<(Box<dyn Frontier>, Syncing), FrontierError> {
    let (syncing, durability) = match durability {
        Durability::Process => (Syncing::AtTheEnd, Durability::Process),
        Durability::Interval(span) => (Syncing::Every(span), Durability::Process),
        Durability::EveryCommit => (Syncing::EachTime, Durability::EveryCommit),
    };
    let options = || DiskOptions { durability, ..options.clone() };
    let store = if resume && DiskFrontier::is_there(dir) {
        DiskFrontier::open(dir, options(), whose)?
    } else {
        DiskFrontier::create(dir, options(), whose)?
    };
    if store.torn_bytes() > 0 {
        tracing::warn!(
            dir = %dir.display(),
            bytes = store.torn_bytes(),
            "the last commit to the state is incomplete and is dropped: its pages are fetched again"
        );
    }
    Ok((Box::new(store), syncing))
}

/// The standard library's hash maps are seeded from the operating system: so is this.
fn random_seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(std::process::id())
}

/// The file of the state directory that cookies are kept in.
#[cfg(feature = "disk")]
const COOKIES: &str = "cookies";
/// More threads than this help no crawl that we know.
const SHARDS_MAX: usize = 64;
