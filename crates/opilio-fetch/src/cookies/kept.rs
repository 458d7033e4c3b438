//! The cookies of a crawl in a file beside its store. The crawl writes them when it makes a commit safe.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Cookies;

/// Cookies, and the file that they are kept in.
#[derive(Debug)]
pub struct KeptCookies {
    cookies: Arc<Cookies>,
    file: PathBuf,
    /// A warning has said that the file cannot be written.
    has_warned: bool,
    /// Until this time only `save` writes, and `save_early` does not.
    rests_until: Option<Instant>,
}

impl KeptCookies {
    /// Keeps these cookies in this file.
    #[must_use]
    pub fn new(cookies: Arc<Cookies>, file: PathBuf) -> Self {
        Self { cookies, file, has_warned: false, rests_until: None }
    }

    /// Takes what an earlier run kept in this file. A file that cannot be read costs the cookies, and the crawl goes
    /// on. A crawl that does not resume an earlier one removes the file, since its cookies belong to another crawl.
    pub fn recall(cookies: &Cookies, file: &Path, resumed: bool) {
        if !resumed {
            // A file that cannot be removed cannot be written either: `save` warns then.
            let _ = std::fs::remove_file(file);
            return;
        }
        if let Err(error) = cookies.load(file) {
            let path = file.display();
            tracing::warn!(%path, cause = cause(&error), "cannot read the cookies of earlier runs: the crawl begins without");
        }
    }

    /// Writes the cookies if they have changed since the last time. A failure costs a warning, and the crawl goes on.
    pub fn save(&mut self) {
        if let Err(error) = self.cookies.save(&self.file)
            && !std::mem::replace(&mut self.has_warned, true)
        {
            let path = self.file.display();
            tracing::warn!(%path, cause = cause(&error), "cannot keep the cookies: a resumed crawl begins without");
        }
    }

    /// Writes the cookies before a commit that relies on them. A server may set others with each answer: a file that
    /// takes long to write is written a tenth of the time.
    pub fn save_early(&mut self) {
        let began = Instant::now();
        if self.rests_until.is_some_and(|until| began < until) {
            return;
        }
        self.save();
        let took = began.elapsed();
        self.rests_until = (took > QUICK).then(|| began + took * (REST + 1));
    }
}

fn cause(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), ToString::to_string)
}

/// A file that is written in less time may be written with each commit.
const QUICK: Duration = Duration::from_millis(100);
/// `save_early` pauses this many times as long as the last writing took.
const REST: u32 = 9;
