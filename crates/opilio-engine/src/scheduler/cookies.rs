//! The cookies of a crawl beside its store: written when what is committed is made to last.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use opilio_fetch::Cookies;
use tokio::time::Instant;

/// Cookies, and the file that they are kept in.
pub(crate) struct KeptCookies {
    cookies: Arc<Cookies>,
    file: PathBuf,
    /// It was said that the file cannot be written.
    complained: bool,
    /// Before then they are written with checkpoints only.
    rests_until: Option<Instant>,
}

impl KeptCookies {
    pub(crate) fn new(cookies: Arc<Cookies>, file: PathBuf) -> Self {
        Self { cookies, file, complained: false, rests_until: None }
    }

    /// Writes them down, if there are others than last time. A crawl whose store is well does not end for
    /// this.
    pub(crate) fn save(&mut self) {
        if let Err(error) = self.cookies.save(&self.file)
            && !std::mem::replace(&mut self.complained, true)
        {
            let path = self.file.display();
            tracing::warn!(%path, cause = cause(&error), "cannot keep the cookies: a resumed crawl begins without");
        }
    }

    /// Writes them down before something is committed that relies on them. A site may set others with each
    /// answer: where there are so many that it takes long, it is done a tenth of the time.
    pub(crate) fn save_early(&mut self) {
        let began = Instant::now();
        if self.rests_until.is_some_and(|until| began < until) {
            return;
        }
        self.save();
        let took = began.elapsed();
        self.rests_until = (took > QUICK).then(|| began + took * (REST + 1));
    }
}

/// Takes what an earlier run kept. A file that cannot be read costs the cookies and not the crawl; what
/// lies there when a crawl begins was another one's.
pub(crate) fn recall(cookies: &Cookies, file: &Path, resumed: bool) {
    if !resumed {
        // Where it cannot be removed, it is not there or cannot be written either, which is said then.
        let _ = std::fs::remove_file(file);
        return;
    }
    if let Err(error) = cookies.load(file) {
        let path = file.display();
        tracing::warn!(%path, cause = cause(&error), "cannot read the cookies of earlier runs: the crawl begins without");
    }
}

fn cause(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), ToString::to_string)
}

/// What is written in less time may be written with each commit.
const QUICK: Duration = Duration::from_millis(100);
/// So many times as long as writing took nothing is written early.
const REST: u32 = 9;
