//! Says where a crawl keeps its queue and its results (the frontier), and which URLs a later run fetches again.

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

use crate::coverage::CrawlCoverage;
use crate::error::CrawlError;
use crate::run_history::{self, TryAgain};

/// The settings of a crawl's store, and the settings that apply when a crawl is resumed.
#[derive(Default)]
pub struct StateSettings {
    /// The place of the store.
    pub store: Store,
    /// The order in which URLs of the same host and the same priority are fetched.
    pub order: Order,
    /// Whether this run may continue a crawl that the state directory already holds.
    #[cfg(feature = "disk")]
    pub resume: bool,
    /// The durability: how much of a state directory a power cut may destroy.
    #[cfg(feature = "disk")]
    pub durability: Durability,
    /// Whether the store keeps the validators of each page, which make a later request conditional (see
    /// `Crawler::history`).
    pub history: bool,
    /// The failures of earlier runs that are retried.
    pub try_again: TryAgain,
    /// The age from which pages of earlier runs are fetched again; `None` if no pages are fetched again.
    pub refresh: Option<Duration>,
}

/// The place in which a crawl keeps its frontier.
#[derive(Default)]
pub enum Store {
    /// The frontier is in memory, and is lost when the process ends.
    #[default]
    Memory,
    /// The frontier is in a store that the user has implemented.
    Own(Box<dyn Frontier>),
    /// The frontier is in a state directory, so that a later run can continue the crawl.
    #[cfg(feature = "disk")]
    Directory(PathBuf),
}

/// A store that was opened, with the facts about it that the crawl needs.
pub struct OpenStore {
    /// The store.
    pub frontier: Box<dyn Frontier>,
    /// The times at which the store is synced to disk. The outputs are always synced before the store.
    pub syncing: Syncing,
    /// Whether a later run can continue the crawl in this store.
    pub is_kept: bool,
    /// The file of the state directory that holds the cookies; `None` if there is no state directory.
    pub cookie_file: Option<PathBuf>,
}

/// The values that are needed to open a store and that come from other settings of the crawl.
pub struct StoreNeeds<'a> {
    /// The name and the version of the spider.
    pub spider: (&'a str, u32),
    /// The limits on the number of URLs of each host.
    pub caps: Caps,
    /// Whether the depths of URLs have to be exact, because the crawl limits the depth.
    pub levels: bool,
    /// The memory limit of the crawl, in bytes.
    pub memory_bytes: Option<u64>,
    /// The outputs of this run.
    pub sinks: &'a [Box<dyn Sink>],
}

impl StateSettings {
    /// Opens the store, or makes a new store. Call this after everything else that can fail, since making a new state
    /// directory empties the outputs.
    ///
    /// # Errors
    /// When the state directory cannot be opened or holds another crawl, or when there is no crawl to resume and a
    /// new crawl would empty an output.
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

    /// Queues those URLs of earlier runs again that the settings select: failures, and pages that are old enough.
    ///
    /// # Errors
    /// When the store fails, or was opened without a history.
    pub fn make_due(
        &self,
        frontier: &mut dyn Frontier,
        now: Timestamp,
        user_agent: &str,
    ) -> Result<(), CrawlError> {
        if self.try_again == TryAgain::Everything {
            // The commit that queues the failures again also saves these counts.
            let mut coverage = CrawlCoverage::read(frontier)?;
            coverage.forget_failures();
            coverage.keep(frontier);
        }
        run_history::try_again(frontier, self.try_again, now, user_agent)?;
        match self.refresh {
            Some(age) => refresh(frontier, now - age),
            None => Ok(()),
        }
    }
}

/// Makes the pages due again that were fetched before this time. If there are any, the coverage begins anew: with the
/// counts of all earlier runs, a field that has fallen silent would be noticed late.
fn refresh(frontier: &mut dyn Frontier, before: Timestamp) -> Result<(), CrawlError> {
    let mut earlier = CrawlCoverage::read(frontier)?;
    // The commit that queues the first pages again also saves that there are no counts.
    CrawlCoverage::begin_anew(frontier);
    if run_history::refresh(frontier, before)? == 0 {
        earlier.restore(frontier);
    }
    Ok(())
}

/// Returns an error if an output has rows although there is no crawl to resume, since a new crawl would empty
/// that output.
#[cfg(feature = "disk")]
fn refuse_to_empty(dir: &Path, sinks: &[Box<dyn Sink>]) -> Result<(), CrawlError> {
    let Some(output) = sinks.iter().find(|sink| sink.has_rows()).map(|sink| sink.name()) else {
        return Ok(());
    };
    Err(CrawlError::NothingToResume { state: dir.to_owned(), output })
}

/// Opens a state directory, or makes a new state directory.
///
/// The store is opened so that it does not sync to disk by itself. The outputs have to be synced before the store, so
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
            "the last commit to the state directory is incomplete and is dropped: its pages are fetched again"
        );
    }
    Ok((Box::new(store), syncing))
}

/// The name of the file in the state directory that holds the cookies.
#[cfg(feature = "disk")]
const COOKIES: &str = "cookies";
