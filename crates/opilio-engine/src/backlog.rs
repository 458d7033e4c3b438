//! How many pages of a shard are fetched, and not yet given to the store.

use std::cell::Cell;
use std::rc::Rc;

/// A count that the pool looks at before it lets anything new start. Counts pages that are parsed
/// elsewhere; those that wait for the runner are few by the bound of its mailbox and are counted by
/// their senders' outboxes.
#[derive(Clone, Default)]
pub(crate) struct ParseBacklog {
    pages: Rc<Cell<u32>>,
}

impl ParseBacklog {
    pub(crate) fn begin(&self, pages: u32) {
        self.pages.set(self.pages.get() + pages);
    }

    pub(crate) fn end(&self, pages: u32) {
        self.pages.set(self.pages.get().saturating_sub(pages));
    }

    /// Whether parsing is so far behind that fetching should wait for it.
    pub(crate) fn is_full(&self) -> bool {
        self.pages.get() >= PAGES_MAX
    }
}

const PAGES_MAX: u32 = 64;
