//! How many pages of a shard are fetched, and not yet given to the store.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// A count that the pool looks at before it lets anything new start: pages that wait for the runner, and
/// those that are parsed on other threads.
#[derive(Clone, Debug, Default)]
pub(crate) struct ParseBacklog {
    pages: Arc<AtomicU32>,
}

/// A page that counts until this is dropped: by a runner that takes the page, or dies with it.
#[derive(Debug)]
pub(crate) struct WaitingPage(ParseBacklog);

impl ParseBacklog {
    pub(crate) fn begin(&self, pages: u32) {
        self.pages.fetch_add(pages, Ordering::AcqRel);
    }

    pub(crate) fn end(&self, pages: u32) {
        let less = |now: u32| Some(now.saturating_sub(pages));
        let _ = self.pages.fetch_update(Ordering::AcqRel, Ordering::Acquire, less);
    }

    /// A page is on its way to the runner.
    pub(crate) fn wait(&self) -> WaitingPage {
        self.begin(1);
        WaitingPage(self.clone())
    }

    /// How many there are.
    pub(crate) fn pages(&self) -> u32 {
        self.pages.load(Ordering::Acquire)
    }

    /// Whether parsing is so far behind that fetching should wait for it.
    pub(crate) fn is_full(&self) -> bool {
        self.pages() >= PAGES_MAX
    }
}

impl Drop for WaitingPage {
    fn drop(&mut self) {
        self.0.end(1);
    }
}

/// With these, as many more as there are slots may be on their way.
const PAGES_MAX: u32 = 64;
