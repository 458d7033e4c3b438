//! Saves the cookies of a crawl in a file beside its store, each time the crawl makes a commit safe on disk.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Cookies;

/// Cookies, and the file that they are saved in.
#[derive(Debug)]
pub struct KeptCookies {
    cookies: Arc<Cookies>,
    file: PathBuf,
    /// Whether a warning was logged that the file cannot be written.
    has_warned: bool,
    /// Until this time `save_early` does not write; `save` always does.
    rests_until: Option<Instant>,
}

impl KeptCookies {
    /// Saves these cookies in this file.
    #[must_use]
    pub fn new(cookies: Arc<Cookies>, file: PathBuf) -> Self {
        Self { cookies, file, has_warned: false, rests_until: None }
    }

    /// Reads the cookies that an earlier run saved in this file. If the file cannot be read, the crawl begins
    /// without them. A crawl that does not resume an earlier one removes the file, since its cookies belong
    /// to another crawl.
    pub fn recall(cookies: &Cookies, file: &Path, resumed: bool) {
        if !resumed {
            // A file that cannot be removed cannot be written either, and `save` warns about that.
            let _ = std::fs::remove_file(file);
            return;
        }
        if let Err(error) = cookies.load(file) {
            let path = file.display();
            tracing::warn!(
                %path,
                cause = cause(&error),
                "cannot read the cookies of earlier runs: the crawl begins without them"
            );
        }
    }

    /// Writes the cookies if they have changed since the last call. A failure is logged once, and the crawl
    /// goes on.
    pub fn save(&mut self) {
        if let Err(error) = self.cookies.save(&self.file)
            && !std::mem::replace(&mut self.has_warned, true)
        {
            let path = self.file.display();
            tracing::warn!(
                %path,
                cause = cause(&error),
                "cannot save the cookies: if the crawl is resumed, it begins without them"
            );
        }
    }

    /// Writes the cookies before a commit that relies on them. After a slow write it pauses for nine times as
    /// long, since a server may change its cookies with each answer.
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

/// A file that is written in less time is written at each commit.
const QUICK: Duration = Duration::from_millis(100);
/// How long `save_early` pauses after a slow write, as a multiple of the time that the write took.
const REST: u32 = 9;
