//! Saves the cookies of a crawl in a file beside its store, each time the crawl has synced a commit to disk.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Cookies;

/// The cookies of a crawl, and the file in which they are saved.
#[derive(Debug)]
pub struct KeptCookies {
    cookies: Arc<Cookies>,
    file: PathBuf,
    /// Whether a warning that the file cannot be written was logged already.
    has_warned: bool,
    /// The time before which `save_early` does not write (`save` always does); `None` if it may write now.
    rests_until: Option<Instant>,
}

impl KeptCookies {
    /// Saves these cookies in this file.
    #[must_use]
    pub fn new(cookies: Arc<Cookies>, file: PathBuf) -> Self {
        Self { cookies, file, has_warned: false, rests_until: None }
    }

    /// Reads the cookies that an earlier run saved in this file. If the file cannot be read, the crawl begins
    /// without cookies. A crawl that does not resume an earlier crawl removes the file instead, since its cookies
    /// belong to the earlier crawl.
    pub fn recall(cookies: &Cookies, file: &Path, resumed: bool) {
        if !resumed {
            // If the file cannot be removed, it cannot be written either, and `save` warns about that.
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
    /// continues.
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

    /// Writes the cookies just before the store commits URLs that need these cookies. After a slow write, nothing is
    /// written for nine times as long as the write took, since a server may change its cookies with each answer.
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

/// The time within which a write counts as quick: 100 ms. While writes are quick, the file is written at each
/// commit.
const QUICK: Duration = Duration::from_millis(100);
/// How long `save_early` pauses after a slow write, as a multiple of the time that the write took.
const REST: u32 = 9;
