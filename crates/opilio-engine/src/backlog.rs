//! Counts the pages of a shard that are fetched but not yet given to the scheduler.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// The number of pages of a shard that wait for the runner or are parsed on other threads. While this number
/// is too high, the fetcher pool grants no slot.
#[derive(Clone, Debug, Default)]
pub(crate) struct ParseBacklog {
    pages: Arc<AtomicU32>,
}

/// A page that waits for the runner. The page is counted until this value is dropped. That happens even if the runner
/// panics.
#[derive(Debug)]
pub(crate) struct WaitingPage(ParseBacklog);

impl ParseBacklog {
    /// Adds this many pages to the count.
    pub(crate) fn begin(&self, pages: u32) {
        self.pages.fetch_add(pages, Ordering::AcqRel);
    }

    /// Subtracts this many pages from the count.
    pub(crate) fn end(&self, pages: u32) {
        let less = |now: u32| Some(now.saturating_sub(pages));
        let _ = self.pages.fetch_update(Ordering::AcqRel, Ordering::Acquire, less);
    }

    /// Counts a page that is sent to the runner, until the returned value is dropped.
    pub(crate) fn wait(&self) -> WaitingPage {
        self.begin(1);
        WaitingPage(self.clone())
    }

    /// Returns the number of pages that are counted now.
    pub(crate) fn pages(&self) -> u32 {
        self.pages.load(Ordering::Acquire)
    }

    /// Returns whether fetching has to wait for parsing because too many pages are counted.
    pub(crate) fn is_full(&self) -> bool {
        self.pages() >= PAGES_MAX
    }
}

impl Drop for WaitingPage {
    fn drop(&mut self) {
        self.0.end(1);
    }
}

/// The number of pages at which fetching waits for parsing. Fetches that already have a slot when the number
/// is reached may add one page each.
const PAGES_MAX: u32 = 64;
