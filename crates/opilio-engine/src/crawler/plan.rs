//! Makes the plan of a crawl from the values of the builder. All errors in the settings are found here.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::SystemTime;

use opilio_export::Sink;
use opilio_fetch::{BodyBudget, Cookies, KeptCookies};
use opilio_frontier::Frontier;
use opilio_spider::admission::{Links, SeedError, seed_admissions};
use opilio_spider::counts::Books;
use opilio_spider::coverage::CrawlCoverage;
use opilio_spider::run_history::{self, EarlierRuns, RunHistory, Totals};
use opilio_spider::state::{OpenStore, StoreNeeds};
use opilio_spider::{CrawlError, Hosts, Logins, Progress, Scope, Spider};
use tokio::sync::watch;

use super::{CrawlChoices, Crawler};
use crate::clock::{Clock, year_of};
use crate::launch::{ExporterPlan, Plan, SchedulerPlan, ShardsPlan, SpiderHooks};
use crate::runner::{MakeReader, SpiderReader};
use crate::scheduler::QueuedScope;
use crate::settings::Settings;
use crate::signals::Signals;

/// A run of a crawl whose begin is recorded in the crawl's store.
struct BegunRun {
    clock: Clock,
    history: RunHistory,
    /// The shapes (hashes of the names of variants and fields) of those steps of which the store keeps an example.
    shapes: HashSet<u64>,
    /// What earlier runs found for the fields of structs.
    coverage: CrawlCoverage,
    /// Whether the scope is applied to the hosts of queued URLs once more.
    hosts: Hosts,
}

/// The spider and the exports of a crawl, without their types. So a program compiles the making of a plan only once,
/// however many spiders it has.
trait PlannedSpider {
    fn hooks(&self) -> Arc<dyn SpiderHooks>;
    fn version(&self) -> u32;
    fn item_layout(&self) -> String;
    fn seeds(&self, scope: &mut Scope, logins: &mut Logins) -> Result<Links, SeedError>;
    /// Returns what makes the reader of each shard.
    fn readers(&self, shards: usize) -> Vec<MakeReader>;
    /// Opens the exports, and returns their sinks.
    fn take_sinks(&mut self) -> Result<Vec<Box<dyn Sink>>, CrawlError>;
    /// Returns the shapes of those steps of which the store keeps an example.
    fn shapes(&self, frontier: &dyn Frontier) -> Result<HashSet<u64>, CrawlError>;
}

impl<S: Spider> PlannedSpider for Crawler<S> {
    fn hooks(&self) -> Arc<dyn SpiderHooks> {
        self.spider.clone()
    }

    fn version(&self) -> u32 {
        S::VERSION
    }

    fn item_layout(&self) -> String {
        self.spider.item_layout()
    }

    fn seeds(&self, scope: &mut Scope, logins: &mut Logins) -> Result<Links, SeedError> {
        seed_admissions::<S>(self.spider.seeds(), scope, logins)
    }

    fn readers(&self, shards: usize) -> Vec<MakeReader> {
        let reader = |encoders| -> MakeReader {
            let spider = self.spider.clone();
            Box::new(move |shard| Box::new(SpiderReader::new(spider, encoders, shard)))
        };
        self.encoders(shards).into_iter().map(reader).collect()
    }

    fn take_sinks(&mut self) -> Result<Vec<Box<dyn Sink>>, CrawlError> {
        self.take_sinks()
    }

    fn shapes(&self, frontier: &dyn Frontier) -> Result<HashSet<u64>, CrawlError> {
        run_history::shapes::<S::Step>(frontier)
    }
}

impl<S: Spider> Crawler<S> {
    /// Checks all settings, opens the outputs and the store, and records in the store that a run begins.
    pub(super) fn plan(mut self) -> Result<(Plan, watch::Receiver<Progress>), CrawlError> {
        let choices = std::mem::take(&mut self.choices);
        choices.plan(&mut self)
    }
}

impl CrawlChoices {
    fn plan(
        mut self,
        spider: &mut dyn PlannedSpider,
    ) -> Result<(Plan, watch::Receiver<Progress>), CrawlError> {
        self.hosts.check()?;
        self.hosts.table.send_to_all(&self.identity.take_headers()?);
        self.limits.check()?;
        self.outputs.check()?;
        // Signals are caught before any work that takes long: a signal during such work takes effect after
        // the work.
        let signals = self.stop_on_signals.then(Signals::catch).transpose().map_err(CrawlError::Signals)?;
        let mut scope = self.urls.take_scope(year_of(self.wall()));
        let mut logins = Logins::default();
        let mut seeds = spider.seeds(&mut scope, &mut logins)?;
        let readers = spider.readers(self.limits.shards());
        let hooks = spider.hooks();
        let user_agent = self.identity.user_agent_value()?;
        self.fetching.warn();
        let mut sinks = spider.take_sinks()?;
        let mut store = self.state.open(StoreNeeds {
            spider: (hooks.name(), spider.version()),
            caps: self.hosts.caps.clone(),
            levels: scope.limits_depth() || self.hosts.caps.limit_depth(),
            memory_bytes: self.limits.memory_bytes,
            sinks: &sinks,
        })?;
        let run = self.begin_run(spider, &mut store, &mut sinks, (&mut seeds, &mut scope))?;
        let BegunRun { clock, history, shapes, coverage, hosts } = run;
        let OpenStore { frontier, syncing, cookie_file, .. } = store;
        let cookies = self.identity.cookies(clock, cookie_file.as_deref(), history.resumed);
        let settings = Arc::new(self.settings(scope, logins, cookies.clone()));
        let (publish, progress) = watch::channel(self.first_progress());
        let (in_flight, bodies) = (self.limits.in_flight, BodyBudget::of_crawl(self.limits.memory_bytes));
        let plan = Plan {
            spider: hooks,
            settings: settings.clone(),
            clock,
            history,
            expectations: self.outputs.expectations,
            seeds: seeds.admissions,
            shards: ShardsPlan {
                readers,
                in_flight,
                fetchers: self.fetching.fetchers(user_agent, cookies.clone(), bodies, in_flight)?,
                files: self.outputs.files,
            },
            scheduler: SchedulerPlan {
                frontier,
                pages_max: self.limits.pages_max,
                hosts_max: self.limits.hosts_max,
                newcomers_max: self.limits.newcomers(),
                // All URLs that are queued now were queued by an earlier run.
                queued: history.resumed.then_some(QueuedScope { settings, hosts }),
                cookies: cookies.zip(cookie_file).map(|(cookies, file)| KeptCookies::new(cookies, file)),
                shapes,
                coverage,
                syncing,
            },
            exporter: ExporterPlan {
                sinks,
                #[cfg(test)]
                apart: self.trial.sinks_apart,
            },
            supervisor: self.limits.supervisor(clock.now(), publish, signals),
        };
        Ok((plan, progress))
    }

    /// Returns the progress of a crawl that has not begun.
    fn first_progress(&self) -> Progress {
        let mut progress = Progress::of_books(Books::default(), &Totals::default());
        progress.pages_max = self.limits.pages_max;
        progress
    }

    /// Returns the wall time now, or the wall time that was set for virtual time.
    fn wall(&self) -> SystemTime {
        self.began_at.unwrap_or_else(SystemTime::now)
    }

    /// Records in the store that a run begins. Cuts outputs back to the rows that earlier runs committed, adds the
    /// hosts of earlier runs to the scope, and makes URLs of earlier runs due again.
    fn begin_run(
        &self,
        spider: &dyn PlannedSpider,
        store: &mut OpenStore,
        sinks: &mut [Box<dyn Sink>],
        (seeds, scope): (&mut Links, &mut Scope),
    ) -> Result<BegunRun, CrawlError> {
        let frontier = &mut *store.frontier;
        let mut shapes = spider.shapes(frontier)?;
        run_history::keep_samples(frontier, &mut shapes, std::mem::take(&mut seeds.samples));
        let layout = spider.item_layout();
        let earlier = EarlierRuns::read(frontier, sinks, &layout)?;
        // The wall time is read only after the store is opened, since the two clocks have to begin together.
        // Otherwise the time that the opening took would shorten the waits that servers stated to earlier
        // runs.
        let clock = Clock::begin(earlier.noted(), self.wall());
        #[cfg(test)]
        let clock = self.trial.fault.map_or(clock, |(name, after)| clock.with_fault(name, after));
        let mut history = earlier.begin_run(frontier, sinks, &layout, clock.begins())?;
        if store.is_kept {
            run_history::keep_hosts_of_seeds(frontier, &seeds.admissions);
        }
        run_history::grown(frontier)?.into_iter().for_each(|host| scope.add(host));
        let hosts = run_history::judge_hosts(frontier, scope.follows_links(), history.resumed)?;
        if history.resumed {
            self.state.make_due(frontier, clock.now(), &self.identity.user_agent)?;
        }
        let stats = frontier.stats();
        history.was_over = (history.resumed && stats.left == 0).then_some(stats.discovered);
        // Only now, since failures that are tried again are no longer counted.
        let coverage = CrawlCoverage::read(frontier)?;
        Ok(BegunRun { clock, history, shapes, coverage, hosts })
    }

    /// Makes the settings that the shards need.
    fn settings(&mut self, scope: Scope, logins: Logins, cookies: Option<Arc<Cookies>>) -> Settings {
        Settings {
            hosts: std::mem::take(&mut self.hosts.table),
            retry: std::mem::take(&mut self.hosts.retry),
            scope,
            rules: self.hosts.rules,
            fetch_timeout: self.fetching.limits.timeout,
            body_bytes_max: self.fetching.limits.body_bytes_max,
            user_agent: self.identity.user_agent.as_str().into(),
            redirects_max: self.fetching.redirects_max,
            seed: self.seed.unwrap_or_else(random_seed),
            keep_history: self.state.history,
            sessions: std::mem::take(&mut self.identity.sessions),
            cookies,
            logins,
            merge: self.urls.merge,
            order: self.state.order,
            group_rate: self.hosts.group_rate,
        }
    }
}

/// Returns a random seed, which differs from run to run: the standard library gets the keys of its hash maps from the
/// operating system.
fn random_seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(std::process::id())
}
