//! Counts the pages of a shard that are fetched and not yet given to the scheduler.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Counts the pages that wait for the runner and those that other threads parse. The pool grants no slot while they are
/// too many.
#[derive(Clone, Debug, Default)]
pub(crate) struct ParseBacklog {
    pages: Arc<AtomicU32>,
}

/// A page that waits for the runner. It counts until this is dropped: the runner takes the page, or panics and loses it.
#[derive(Debug)]
pub(crate) struct WaitingPage(ParseBacklog);

impl ParseBacklog {
    /// Counts more pages.
    pub(crate) fn begin(&self, pages: u32) {
        self.pages.fetch_add(pages, Ordering::AcqRel);
    }

    /// Counts fewer pages.
    pub(crate) fn end(&self, pages: u32) {
        let less = |now: u32| Some(now.saturating_sub(pages));
        let _ = self.pages.fetch_update(Ordering::AcqRel, Ordering::Acquire, less);
    }

    /// Counts a page that is sent to the runner.
    pub(crate) fn wait(&self) -> WaitingPage {
        self.begin(1);
        WaitingPage(self.clone())
    }

    /// How many pages count.
    pub(crate) fn pages(&self) -> u32 {
        self.pages.load(Ordering::Acquire)
    }

    /// Whether so many pages count that fetching has to wait for parsing.
    pub(crate) fn is_full(&self) -> bool {
        self.pages() >= PAGES_MAX
    }
}

impl Drop for WaitingPage {
    fn drop(&mut self) {
        self.0.end(1);
    }
}

/// Pages that may count before fetching waits. As many more as the shard has slots may come after that.
const PAGES_MAX: u32 = 64;
