//! The builder, and the crawl that the builder starts.
//!
//! Each group of settings is a struct in a file of its own, together with the methods of [`Crawler`] that change
//! these settings, and the checks of their values. `plan.rs` makes the plan of a crawl from all of them.

mod crawl;
mod fetching;
mod hosts;
mod identity;
mod limits;
mod outputs;
mod plan;
mod state;
#[cfg(test)]
mod tests;
mod urls;

use std::sync::Arc;
#[cfg(test)]
use std::time::Duration;
use std::time::SystemTime;

use opilio_export::Export;
use opilio_spider::state::StateSettings;
use opilio_spider::{CrawlError, CrawlReport, Progress, Spider};
use tokio::sync::{mpsc, oneshot, watch};

use self::crawl::COMMANDS;
use self::fetching::Fetching;
use self::hosts::HostChoices;
use self::identity::CrawlerIdentity;
use self::limits::CrawlLimits;
use self::outputs::OutputChoices;
use self::urls::UrlChoices;
use crate::launch::{self, Plan};

pub use crawl::{Crawl, Handle};

/// Builds a crawl of one spider.
///
/// The defaults are polite: 60 requests a minute and one in flight for each host, robots.txt
/// obeyed, only the hosts of the seeds, private addresses refused.
///
/// ```
/// # mod opilio { pub use {opilio_core::*, opilio_engine::*, opilio_export::*, opilio_fetch::*, opilio_export as export}; }
/// use opilio::{HostPolicy, per_minute};
/// use opilio::{Crawler, Found, Page, ParseError, Request, Spider};
/// use opilio::export::Collect;
/// # use opilio_fetch::{ScriptedAnswer, ScriptedTransport};
///
/// struct Titles;
///
/// impl Spider for Titles {
///     type Item = String;
///     type Step = ();
///
///     fn seeds(&self) -> Vec<Request<()>> {
///         vec![Request::get("http://shop.example/", ())]
///     }
///
///     fn parse(&self, page: &Page<()>, found: &mut Found<Self>) -> Result<(), ParseError> {
///         found.item(page.title().unwrap_or_default().to_owned());
///         Ok(())
///     }
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let (output, collected) = Collect::new();
/// let report = Crawler::new(Titles)
///     .host(HostPolicy::new().rate(per_minute(30)).in_flight(8))
///     .no_robots()
///     .export(output)
/// #   .transport(|| {
/// #       let page = "<title>All our lamps</title>";
/// #       std::rc::Rc::new(ScriptedTransport::new(move |_, _: &_| ScriptedAnswer::page(page)))
/// #   })
///     .run()
///     .await?;
/// assert_eq!(report.pages, 1);
/// assert!(report.balances());
/// assert_eq!(collected.items::<String>()?, ["All our lamps"]);
/// # Ok(()) })
/// # }
/// ```
pub struct Crawler<S: Spider> {
    spider: Arc<S>,
    exports: Vec<Box<dyn Export<S::Item>>>,
    choices: CrawlChoices,
}

/// The settings of a crawl. They do not depend on the types of its spider.
#[derive(Default)]
struct CrawlChoices {
    hosts: HostChoices,
    identity: CrawlerIdentity,
    fetching: Fetching,
    urls: UrlChoices,
    outputs: OutputChoices,
    state: StateSettings,
    limits: CrawlLimits,
    began_at: Option<SystemTime>,
    stop_on_signals: bool,
    seed: Option<u64>,
    #[cfg(test)]
    trial: Trial,
}

/// Settings that only tests use.
#[cfg(test)]
#[derive(Clone, Copy, Default)]
struct Trial {
    /// The name of the actor that has to panic, and how long after the start of the run the panic is due.
    fault: Option<(&'static str, Duration)>,
    sinks_apart: bool,
}

impl<S: Spider> Crawler<S> {
    /// Makes a builder for a crawl of this spider, with the polite defaults.
    #[must_use]
    pub fn new(spider: S) -> Self {
        Self::shared(Arc::new(spider))
    }

    /// Does the same as [`Crawler::new`] for a shared spider, for instance one that all runs of a resumed crawl use.
    #[must_use]
    pub fn shared(spider: Arc<S>) -> Self {
        Self { spider, exports: Vec::new(), choices: CrawlChoices::default() }
    }

    /// Makes a crawl of another spider with the settings made so far. Outputs and the store are not taken over: they
    /// belong to the first spider's crawl.
    #[must_use]
    pub fn with_spider<Other: Spider>(&self, spider: Other) -> Crawler<Other> {
        Crawler { choices: self.choices.same(), ..Crawler::new(spider) }
    }

    /// Makes a crawl of another spider with all settings made so far, those of the store included. Exports are not taken
    /// over, since they have the type of the first spider's items.
    ///
    /// So code that only makes settings can be compiled once, for whatever spider.
    #[must_use]
    pub fn for_spider<Other: Spider>(self, spider: Arc<Other>) -> Crawler<Other> {
        Crawler { spider, exports: Vec::new(), choices: self.choices }
    }

    /// Stops the crawl gently on SIGINT (Ctrl-C) and SIGTERM, as [`Handle::stop`] does: requests in flight end,
    /// everything is written, and the report says [`Signal`](crate::Stopped::Signal). A second signal gives up the
    /// requests in flight, as [`Handle::abort`] does. After the crawl, signals have the same effect as before it.
    ///
    /// ```no_run
    /// # mod opilio { pub use {opilio_core::*, opilio_engine::*, opilio_export::*, opilio_fetch::*, opilio_export as export}; }
    /// # async fn run(shop: impl opilio_engine::Spider) -> Result<(), opilio_engine::CrawlError> {
    /// let report = opilio::Crawler::new(shop).state("shop.state").resume().stop_on_signals().run().await?;
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn stop_on_signals(mut self) -> Self {
        self.choices.stop_on_signals = true;
        self
    }

    /// Sets the seed of all random numbers, which vary the times of requests. Two runs with the same seed
    /// vary them in the same way. By default each run has a different seed.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.choices.seed = Some(seed);
        self
    }

    /// Sets the wall time at which this run begins, in place of the system's wall time: for virtual time.
    /// From then on the wall time advances with the clock of the tokio runtime. Dates in header fields, the
    /// expiry of cookies and the freshness of cached answers are compared with this wall time.
    #[must_use]
    pub fn began_at(mut self, wall: SystemTime) -> Self {
        self.choices.began_at = Some(wall);
        self
    }

    /// Makes an actor panic at the first message that the actor gets once this long has passed since the run
    /// began.
    #[cfg(test)]
    pub(crate) fn fault(mut self, actor: &'static str, after: Duration) -> Self {
        self.choices.trial.fault = Some((actor, after));
        self
    }

    /// Gives the exporter a thread of its own in a crawl that otherwise runs on one thread. So sinks may
    /// block while virtual time goes on.
    #[cfg(test)]
    pub(crate) fn sinks_apart(mut self) -> Self {
        self.choices.trial.sinks_apart = true;
        self
    }

    /// Starts the crawl and waits for its end.
    ///
    /// Works under any executor, since the crawl has threads of its own. If this future is dropped, the crawl drains
    /// in the background: requests in flight end, and no more start.
    ///
    /// # Errors
    /// When a seed cannot be used, an output cannot be opened or written, or the store of URLs (the frontier) fails.
    /// A page that fails is not an error of the crawl: the report lists it.
    pub async fn run(self) -> Result<CrawlReport, CrawlError> {
        self.start()?.await
    }

    /// Starts the crawl and returns at once. The returned value is a future of the report. The crawl can be watched
    /// and stopped through it.
    ///
    /// # Errors
    /// When a seed cannot be used, an output cannot be opened, or a thread cannot be started.
    pub fn start(self) -> Result<Crawl, CrawlError> {
        let (plan, progress) = self.plan()?;
        start(plan, progress)
    }

    /// Runs the crawl on this thread alone, by the clock of its tokio runtime. If that clock is paused and the
    /// transport is scripted, the crawl runs in virtual time. Dropping the future ends the crawl at once.
    ///
    /// # Errors
    /// As [`Crawler::run`].
    pub async fn run_here(mut self) -> Result<CrawlReport, CrawlError> {
        self.choices.limits.shards = 1;
        let (plan, progress) = self.plan()?;
        run_here(plan, progress, |_| ()).await
    }

    /// Does the same as [`Crawler::run_here`], but first passes a handle to `give`. The crawl can be watched and
    /// stopped through the handle.
    #[cfg(test)]
    pub(crate) async fn run_here_with(
        mut self,
        give: impl FnOnce(Handle),
    ) -> Result<CrawlReport, CrawlError> {
        self.choices.limits.shards = 1;
        let (plan, progress) = self.plan()?;
        run_here(plan, progress, give).await
    }
}

impl CrawlChoices {
    /// Returns the same settings, for a crawl of another spider. Outputs and the store are not taken over.
    fn same(&self) -> Self {
        Self {
            hosts: self.hosts.clone(),
            identity: self.identity.clone(),
            fetching: self.fetching.clone(),
            urls: self.urls.clone(),
            limits: self.limits.same(),
            ..Self::default()
        }
    }
}

/// Starts a planned crawl on threads of its own.
fn start(plan: Plan, progress: watch::Receiver<Progress>) -> Result<Crawl, CrawlError> {
    let (commands, inbox) = mpsc::channel(COMMANDS);
    let (done, report) = oneshot::channel();
    std::thread::Builder::new()
        .name("opilio".into())
        .spawn(move || {
            let result = launch::on_own_threads(plan, inbox);
            let _ = done.send(result);
        })
        .map_err(|source| CrawlError::Thread { name: "opilio", source })?;
    Ok(Crawl { report, handle: Handle { commands, progress } })
}

/// Runs a planned crawl on this thread, after it has passed a handle to `give`.
async fn run_here(
    plan: Plan,
    progress: watch::Receiver<Progress>,
    give: impl FnOnce(Handle),
) -> Result<CrawlReport, CrawlError> {
    let (commands, inbox) = mpsc::channel(COMMANDS);
    // This function keeps the handle as long as the crawl runs, so that the channel of commands stays open.
    let handle = Handle { commands, progress };
    // The crawl has its own local set: when this future is dropped, all tasks of the crawl are dropped.
    let crawl = async {
        give(handle.clone());
        launch::here(plan, inbox).await
    };
    tokio::task::LocalSet::new().run_until(crawl).await
}
