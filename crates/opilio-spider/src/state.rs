//! Where a crawl keeps its queue and its results (the frontier), and what a later run does with them.

#[cfg(feature = "disk")]
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use opilio_core::Timestamp;
use opilio_core::scheduling::Syncing;
use opilio_export::Sink;
use opilio_frontier::{Caps, Frontier, MemoryFrontier, MemoryOptions, Order};
#[cfg(feature = "disk")]
use opilio_frontier::{DiskFrontier, DiskOptions, Durability, FrontierError, StoreOwner};

use crate::error::CrawlError;
use crate::run_history::{self, TryAgain};

/// The settings of a crawl's store, and of what a resumed crawl does.
#[derive(Default)]
pub struct StateSettings {
    /// Where the store is.
    pub store: Store,
    /// The order in which the URLs of one host and one priority are fetched.
    pub order: Order,
    /// Whether the state directory may hold a crawl that this run goes on with.
    #[cfg(feature = "disk")]
    pub resume: bool,
    /// What a power cut may lose of a state directory.
    #[cfg(feature = "disk")]
    pub durability: Durability,
    /// Whether the store keeps, for each page, what makes a later request conditional (see `Crawler::history`).
    pub history: bool,
    /// Which failures of earlier runs are tried again.
    pub try_again: TryAgain,
    /// How old pages of earlier runs have to be to be fetched again; `None` if none is fetched again.
    pub refresh: Option<Duration>,
}

/// Where a crawl keeps its frontier.
#[derive(Default)]
pub enum Store {
    /// In memory.
    #[default]
    Memory,
    /// In a store of the user's own.
    Own(Box<dyn Frontier>),
    /// In a state directory.
    #[cfg(feature = "disk")]
    Directory(PathBuf),
}

/// A store that is open.
pub struct OpenStore {
    /// The store.
    pub frontier: Box<dyn Frontier>,
    /// How often the store is synced. The sinks are synced before.
    pub syncing: Syncing,
    /// Whether a later run may go on with the crawl in this store.
    pub is_kept: bool,
    /// The file of the state directory that holds the cookies, if there is such a directory.
    pub cookie_file: Option<PathBuf>,
}

/// The settings that a store needs and that come from other parts of the builder.
pub struct StoreNeeds<'a> {
    /// The name and the version of the spider.
    pub spider: (&'a str, u32),
    /// The limits of each host.
    pub caps: Caps,
    /// Whether depths have to be exact, since the crawl has a limit of depth.
    pub levels: bool,
    /// The memory limit of the crawl.
    pub memory_bytes: Option<u64>,
    /// The sinks of this run.
    pub sinks: &'a [Box<dyn Sink>],
}

impl StateSettings {
    /// Opens the store, or makes a new one. Call it last: a new state directory empties the outputs.
    ///
    /// # Errors
    /// When the state directory cannot be opened or holds another crawl, or there is no crawl that could be
    /// resumed.
    pub fn open(&mut self, needs: StoreNeeds<'_>) -> Result<OpenStore, CrawlError> {
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

    /// Queues those URLs of earlier runs again that the settings name.
    ///
    /// # Errors
    /// When the store fails, or was opened without a history.
    pub fn make_due(
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

/// Fails if an output has rows although there is no crawl to resume: a new crawl would empty that output.
#[cfg(feature = "disk")]
fn refuse_to_empty(dir: &Path, sinks: &[Box<dyn Sink>]) -> Result<(), CrawlError> {
    let Some(output) = sinks.iter().find(|sink| sink.has_rows()).map(|sink| sink.name()) else {
        return Ok(());
    };
    Err(CrawlError::NothingToResume { state: dir.to_owned(), output })
}

/// Opens a state directory, or makes a new one.
///
/// The store does not sync by itself, on a thread of its own: the sinks have to be synced before the store, so
/// the scheduler syncs both.
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

/// Returns the file of the state directory that holds the cookies.
#[cfg(feature = "disk")]
const COOKIES: &str = "cookies";
