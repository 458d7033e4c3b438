//! Which page a shard is parsing right now: a `parse` that never ends should be named.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Shared by a shard and the supervisor, who looks from another thread.
#[derive(Clone, Default)]
pub(crate) struct ParseWatch {
    now: Arc<Mutex<Option<Parsing>>>,
}

struct Parsing {
    url: Arc<str>,
    since: Instant,
    told: bool,
}

impl ParseWatch {
    pub(crate) fn begin(&self, url: &Arc<str>) {
        *self.lock() = Some(Parsing { url: url.clone(), since: Instant::now(), told: false });
    }

    pub(crate) fn end(&self) {
        *self.lock() = None;
    }

    /// The page whose `parse` has been running for longer than this; each is told once.
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
