//! The flag `--state DIR`: the directory in which a crawl is stored, and the errors about it.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use opilio_engine::{CrawlError, Crawler, Spider};
use opilio_export::ExportError;
use opilio_frontier::{DiskFrontier, FrontierError};

use crate::exit::Failure;

/// The state directory of a crawl, and whether to resume that crawl.
#[derive(Debug)]
pub struct StateDir {
    /// The path of the directory.
    pub dir: PathBuf,
    /// Whether to resume the crawl that the directory holds.
    pub resume: bool,
}

impl StateDir {
    /// Adds the state directory to a crawler.
    pub fn apply<S: Spider>(&self, crawler: Crawler<S>) -> Crawler<S> {
        leave_panics_to_the_store();
        let crawler = crawler.state(&self.dir);
        if !self.resume {
            return crawler;
        }
        crawler.resume()
    }

    /// Returns a note that `--resume` found no crawl and so begins a new one. To be called before the crawl opens
    /// the directory.
    #[must_use]
    pub fn news(&self) -> Option<String> {
        let begins = self.resume && !DiskFrontier::is_there(&self.dir);
        begins.then(|| format!("no crawl in {} to go on with: one begins", self.dir.display()))
    }
}

/// Hides the messages of panics in the database. The database panics if its files are damaged. The store turns such
/// a panic into an error, which is printed.
pub fn leave_panics_to_the_store() {
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let of_database = |file: &str| DATABASE.iter().any(|part| file.contains(part));
        if !panic.location().is_some_and(|at| of_database(at.file())) {
            tell(panic);
        }
    }));
}

const DATABASE: [&str; 2] = ["fjall-", "lsm-tree-"];

/// Converts an error of a crawl. Errors that the user can correct become usage errors: a seed that cannot be used,
/// an output that cannot be opened, the directory of another crawl.
pub fn failure(error: CrawlError, state: Option<&StateDir>) -> Failure {
    match error {
        CrawlError::Frontier(FrontierError::Exists { store }) => Failure::Usage(anyhow::anyhow!(
            "{store} holds a crawl already: --resume goes on with it, another directory begins anew"
        )),
        CrawlError::Seed(_)
        | CrawlError::MemoryUnknown
        | CrawlError::Export(ExportError::Open { .. } | ExportError::OtherColumns { .. })
        | CrawlError::OtherOutput { .. }
        | CrawlError::Header(_)
        | CrawlError::SecretForAll { .. }
        | CrawlError::OtherSteps(_)
        | CrawlError::OtherItems { .. }
        | CrawlError::SameOutput { .. }
        | CrawlError::NothingToResume { .. }
        | CrawlError::Frontier(
            FrontierError::OtherSpider { .. }
            | FrontierError::OtherVersion { .. }
            | FrontierError::OtherOrder { .. }
            | FrontierError::OtherFormat { .. },
        ) => Failure::usage(error),
        error => match state {
            Some(state) if is_full(&error) => Failure::Run(anyhow::Error::new(error).context(format!(
                "stopped, and nothing is lost: with space on the disk, --state {} --resume goes on",
                state.dir.display()
            ))),
            _ => Failure::run(error),
        },
    }
}

/// Returns the line that says that a crawl was ended because of `--memory-limit`.
pub fn outgrown(state: Option<&StateDir>) -> String {
    let how = match state {
        Some(state) => format!(
            "and nothing is lost: with a higher --memory-limit, --state {} --resume goes on",
            state.dir.display()
        ),
        None => "and what was left is lost: --state DIR would have kept it".to_owned(),
    };
    format!("error: stopped by --memory-limit, {how}")
}

/// Returns whether an error says that the disk is full or the user's disk quota is used up.
fn is_full(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<io::Error>() {
            let full =
                [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded, io::ErrorKind::FileTooLarge];
            return full.contains(&io.kind());
        }
        cause = error.source();
    }
    false
}
