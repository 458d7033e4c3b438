//! Where a crawl keeps its frontier, and what a later run does with it.

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

/// The store of a crawl, and how it is gone on with.
#[derive(Default)]
pub struct StateSettings {
    /// The store.
    pub store: Store,
    /// The order in which the URLs of a host and priority are fetched.
    pub order: Order,
    /// Whether a state directory may hold a crawl, to go on with.
    #[cfg(feature = "disk")]
    pub resume: bool,
    /// How much of a state directory a power cut may lose.
    #[cfg(feature = "disk")]
    pub durability: Durability,
    /// Whether pages are kept with what a later fetch can ask with.
    pub history: bool,
    /// The failures of earlier runs that are tried again.
    pub try_again: TryAgain,
    /// The age from which on pages of earlier runs are due again.
    pub refresh: Option<Duration>,
}

/// Where a crawl keeps its frontier.
#[derive(Default)]
pub enum Store {
    /// In memory.
    #[default]
    Memory,
    /// In a store of the user's.
    Own(Box<dyn Frontier>),
    /// In a state directory.
    #[cfg(feature = "disk")]
    Directory(PathBuf),
}

/// A store that is open.
pub struct OpenStore {
    /// The store.
    pub frontier: Box<dyn Frontier>,
    /// How often it is synced, after the sinks.
    pub syncing: Syncing,
    /// Whether a later run may go on with it.
    pub is_kept: bool,
    /// The file of the state directory that cookies are kept in.
    pub cookie_file: Option<PathBuf>,
}

/// The settings of a store that other values of the builder have.
pub struct StoreNeeds<'a> {
    /// Name and version of the spider.
    pub spider: (&'a str, u32),
    /// The caps of each host.
    pub caps: Caps,
    /// Whether depths are exact, since a limit decides by them.
    pub levels: bool,
    /// The memory limit of the crawl.
    pub memory_bytes: Option<u64>,
    /// The sinks of this run.
    pub sinks: &'a [Box<dyn Sink>],
}

impl StateSettings {
    /// Opens the store, or makes it. To be done last, since a new state directory means empty outputs.
    ///
    /// # Errors
    /// When the state directory holds another crawl, or none that could be resumed, or cannot be opened.
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

    /// Makes those URLs of earlier runs due again that the settings say.
    ///
    /// # Errors
    /// When the store fails, or keeps no history.
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

/// The file of the state directory that cookies are kept in.
#[cfg(feature = "disk")]
const COOKIES: &str = "cookies";
