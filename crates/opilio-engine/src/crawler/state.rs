//! Where the crawl keeps its frontier, and what a later run does with it.

#[cfg(feature = "disk")]
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use opilio_core::Timestamp;
use opilio_export::Sink;
use opilio_frontier::{Caps, Frontier, MemoryFrontier, MemoryOptions, Order};
#[cfg(feature = "disk")]
use opilio_frontier::{DiskFrontier, DiskOptions, Durability, FrontierError, StoreOwner};
use opilio_spider::run_history::{self, TryAgain};
use opilio_spider::{CrawlError, Spider};

use super::Crawler;
use crate::scheduler::Syncing;

/// The store of a crawl, and how it is gone on with.
#[derive(Default)]
pub(super) struct StateSettings {
    store: Store,
    pub(super) order: Order,
    #[cfg(feature = "disk")]
    resume: bool,
    #[cfg(feature = "disk")]
    durability: Durability,
    pub(super) history: bool,
    try_again: TryAgain,
    refresh: Option<Duration>,
}

/// Where a crawl keeps its frontier.
#[derive(Default)]
enum Store {
    #[default]
    Memory,
    Own(Box<dyn Frontier>),
    #[cfg(feature = "disk")]
    Directory(PathBuf),
}

/// A store that is open.
pub(super) struct OpenStore {
    pub(super) frontier: Box<dyn Frontier>,
    pub(super) syncing: Syncing,
    /// Whether a later run may go on with it.
    pub(super) is_kept: bool,
    /// The file of the state directory that cookies are kept in.
    pub(super) cookie_file: Option<PathBuf>,
}

/// The settings of a store that other values of the builder have.
#[cfg_attr(not(feature = "disk"), expect(dead_code, reason = "a state directory needs them"))]
pub(super) struct StoreNeeds<'a> {
    /// Name and version of the spider.
    pub(super) spider: (&'a str, u32),
    pub(super) caps: Caps,
    /// A limit decides by depth, so that chance must not.
    pub(super) levels: bool,
    pub(super) memory_bytes: Option<u64>,
    pub(super) sinks: &'a [Box<dyn Sink>],
}

impl StateSettings {
    /// Opens the store, or makes it. To be done last, since a new state directory means empty outputs.
    ///
    /// # Errors
    /// When the state directory holds another crawl, or none that could be resumed, or cannot be opened.
    pub(super) fn open(&mut self, needs: StoreNeeds<'_>) -> Result<OpenStore, CrawlError> {
        let StoreNeeds { caps, levels, .. } = needs;
        match std::mem::take(&mut self.store) {
            Store::Memory => {
                let options = MemoryOptions { order: self.order, caps, history: false, levels };
                let frontier = Box::new(MemoryFrontier::with(options));
                Ok(OpenStore { frontier, syncing: Syncing::AtTheEnd, is_kept: false, cookie_file: None })
            }
            Store::Own(frontier) => {
                Ok(OpenStore { frontier, syncing: Syncing::AtTheEnd, is_kept: true, cookie_file: None })
            }
            #[cfg(feature = "disk")]
            Store::Directory(dir) => {
                let StoreNeeds { spider: (name, version), memory_bytes, sinks, .. } = needs;
                let owner = StoreOwner { spider: name.to_owned(), version };
                let options = DiskOptions {
                    order: Some(self.order),
                    caps,
                    history: self.history,
                    levels,
                    ..DiskOptions::default()
                };
                let options = match memory_bytes {
                    Some(limit) => options.within(limit),
                    None => options,
                };
                if self.resume && !DiskFrontier::is_there(&dir) {
                    refuse_to_empty(&dir, sinks)?;
                }
                let (frontier, syncing) = open_directory(&dir, owner, self.resume, self.durability, options)?;
                let cookie_file = Some(dir.join(COOKIES));
                Ok(OpenStore { frontier, syncing, is_kept: true, cookie_file })
            }
        }
    }

    /// Makes those URLs of earlier runs due again that the settings say.
    ///
    /// # Errors
    /// When the store fails, or keeps no history.
    pub(super) fn make_due(
        &self,
        frontier: &mut dyn Frontier,
        now: Timestamp,
        user_agent: &str,
    ) -> Result<(), CrawlError> {
        run_history::try_again(frontier, self.try_again, now, user_agent)?;
        match self.refresh {
            Some(age) => run_history::refresh(frontier, now - age),
            None => Ok(()),
        }
    }
}

/// A crawl that is to be resumed, and is not there, must not empty an output.
#[cfg(feature = "disk")]
fn refuse_to_empty(dir: &Path, sinks: &[Box<dyn Sink>]) -> Result<(), CrawlError> {
    let Some(output) = sinks.iter().find(|sink| sink.has_rows()).map(|sink| sink.name()) else {
        return Ok(());
    };
    Err(CrawlError::NothingToResume { state: dir.to_owned(), output })
}

/// Opens a state directory, or makes it.
///
/// The scheduler does the syncing: the sinks have to be synced before the store is, and a thread of the
/// store's own would not ask them.
#[cfg(feature = "disk")]
fn open_directory(
    dir: &Path,
    whose: StoreOwner,
    resume: bool,
    durability: Durability,
    options: DiskOptions,
) -> Result<(Box<dyn Frontier>, Syncing), FrontierError> {
    let (syncing, durability) = match durability {
        Durability::Process => (Syncing::AtTheEnd, Durability::Process),
        Durability::Interval(span) => (Syncing::Every(span), Durability::Process),
        Durability::EveryCommit => (Syncing::EachTime, Durability::EveryCommit),
    };
    let options = DiskOptions { durability, ..options };
    let store = if resume && DiskFrontier::is_there(dir) {
        DiskFrontier::open(dir, options, whose)?
    } else {
        DiskFrontier::create(dir, options, whose)?
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

/// Where the crawl is kept, and how it is gone on with.
impl<S: Spider> Crawler<S> {
    /// Another store than the one in memory. If it holds a crawl, this run goes on with that crawl. The store has an
    /// order and caps of its own.
    #[must_use]
    pub fn frontier(mut self, store: impl Frontier + 'static) -> Self {
        self.state.store = Store::Own(Box::new(store));
        self
    }

    /// Keeps the crawl in a directory, so that a later run can go on with it, and memory does not grow with
    /// the URLs that it knows. Even if the process is killed, each page is fetched at least once and
    /// written exactly once.
    ///
    /// A directory that does not exist is made. One that holds a crawl is an error, unless
    /// [`resume`](Self::resume) is called too.
    ///
    /// ```no_run
    /// # mod opilio { pub use {opilio_core::*, opilio_engine::*, opilio_export::*, opilio_fetch::*, opilio_export as export}; }
    /// # async fn run<S: opilio_engine::Spider<Item = String>>(shop: S) -> Result<(), Box<dyn std::error::Error>> {
    /// use opilio::Crawler;
    /// use opilio::JsonLines;
    ///
    /// // Run it again, and it goes on where the last run stopped or was killed.
    /// let output = JsonLines::create("products.jsonl")?;
    /// let report = Crawler::new(shop).export(output).state("products.state").resume().run().await?;
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "disk")]
    #[must_use]
    pub fn state(mut self, dir: impl Into<PathBuf>) -> Self {
        self.state.store = Store::Directory(dir.into());
        self
    }

    /// Goes on with the crawl that the state directory holds; begins one if the directory holds none and all
    /// outputs are empty.
    ///
    /// The spider's name and version and the outputs must be those of the crawl; all other settings
    /// may differ. Output files are cut back to what was committed. An output that cannot be cut
    /// back (stdout) gets the rows of the last moments before a kill twice; after a run that ended in order,
    /// stopped early or not, it gets each row once.
    #[cfg(feature = "disk")]
    #[must_use]
    pub fn resume(mut self) -> Self {
        self.state.resume = true;
        self
    }

    /// Tries all failures of a resumed crawl again, each with all its attempts. By default only the
    /// failures of hosts that were put aside are tried again, once their time is over.
    ///
    /// Hosts that were put aside because they did not answer are asked again, by one probe each. A host that asked for
    /// a wait longer than its longest hold is sent nothing until that wait is over, and a warning names it.
    #[must_use]
    pub fn retry_failed(mut self) -> Self {
        self.state.try_again = TryAgain::Everything;
        self
    }

    /// Keeps when each page was fetched, and the validators of its answer (some 60 bytes a page), so that a resumed
    /// crawl can [refresh](Self::refresh) it. To be set from the first run on: pages of runs without it cannot be
    /// refreshed.
    #[must_use]
    pub fn history(mut self) -> Self {
        self.state.history = true;
        self
    }

    /// Makes all pages of a resumed crawl due again that were fetched longer than `age` ago, and
    /// keeps a [history](Self::history). Servers are asked whether a page has changed;
    /// [`Page::is_unchanged`](crate::Page::is_unchanged) tells the spider.
    #[must_use]
    pub fn refresh(mut self, age: Duration) -> Self {
        self.state.refresh = Some(age);
        self.history()
    }

    /// How much of a crawl with a [`state`](Self::state) directory a power cut may lose: by default its last second.
    /// A kill of the process loses nothing, whatever is chosen.
    #[cfg(feature = "disk")]
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.state.durability = durability;
        self
    }

    /// The order in which the URLs of a host and priority are fetched: by default, the fewest links from a seed first.
    /// A resumed crawl must have the same order.
    #[must_use]
    pub fn order(mut self, order: Order) -> Self {
        self.state.order = order;
        self
    }
}

/// The file of the state directory that cookies are kept in.
#[cfg(feature = "disk")]
const COOKIES: &str = "cookies";
