//! The cookies of a crawl beside its store: written when what is committed is made to last.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use opilio_fetch::Cookies;

/// Cookies, and the file that they are kept in.
pub(crate) struct KeptCookies {
    cookies: Arc<Cookies>,
    file: PathBuf,
    /// It was said that the file cannot be written.
    complained: bool,
}

impl KeptCookies {
    pub(crate) fn new(cookies: Arc<Cookies>, file: PathBuf) -> Self {
        Self { cookies, file, complained: false }
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
