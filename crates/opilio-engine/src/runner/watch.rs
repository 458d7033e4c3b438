//! Knows which page a shard parses at this moment, so that a warning can name a `parse` that does not end.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Shared by a shard's runner and the supervisor, which reads it on another thread.
#[derive(Clone, Default)]
pub(crate) struct ParseWatch {
    now: Arc<Mutex<Option<Parsing>>>,
}

struct Parsing {
    url: Arc<str>,
    since: Instant,
    /// A warning has named it.
    told: bool,
}

impl ParseWatch {
    /// The runner begins to parse a page.
    pub(crate) fn begin(&self, url: &Arc<str>) {
        *self.lock() = Some(Parsing { url: url.clone(), since: Instant::now(), told: false });
    }

    /// The runner has parsed the page.
    pub(crate) fn end(&self) {
        *self.lock() = None;
    }

    /// The page whose `parse` has been running for longer than this. Each page is returned once.
    pub(crate) fn overdue(&self, after: Duration) -> Option<Arc<str>> {
        let mut now = self.lock();
        let parsing = now.as_mut().filter(|parsing| !parsing.told && parsing.since.elapsed() >= after)?;
        parsing.told = true;
        Some(parsing.url.clone())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Parsing>> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
