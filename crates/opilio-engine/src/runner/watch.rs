//! Records which page a shard is parsing, so that a warning can name a page whose `parse` does not end.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The page that a shard is parsing. The shard's runner writes this value, and the supervisor reads it on another
/// thread.
#[derive(Clone, Default)]
pub(crate) struct ParseWatch {
    now: Arc<Mutex<Option<Parsing>>>,
}

struct Parsing {
    url: Arc<str>,
    since: Instant,
    /// Whether a warning has named this page already.
    told: bool,
}

impl ParseWatch {
    /// Records that the runner begins to parse the page with this URL.
    pub(crate) fn begin(&self, url: &Arc<str>) {
        *self.lock() = Some(Parsing { url: url.clone(), since: Instant::now(), told: false });
    }

    /// Records that the runner no longer parses a page.
    pub(crate) fn end(&self) {
        *self.lock() = None;
    }

    /// Returns the URL of the page whose `parse` has been running for at least this long. Returns the same page
    /// only once.
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
