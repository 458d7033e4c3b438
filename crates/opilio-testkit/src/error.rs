//! Why a test crawl cannot run.

use std::path::PathBuf;

use opilio::CrawlError;
use opilio_cassette::CassetteError;

/// The reason why a crawl of a test cannot run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TestCrawlError {
    /// The crawler refuses its settings, or the crawl fails.
    #[error(transparent)]
    Crawl(#[from] CrawlError),
    /// The cassette cannot be read or written.
    #[error(transparent)]
    Cassette(#[from] CassetteError),
    /// The crawl that was to be recorded could not run.
    #[error("cannot record a crawl to {}", path.display())]
    Record {
        /// The path of the cassette.
        path: PathBuf,
        /// The reason why the crawl could not run.
        #[source]
        source: CrawlError,
    },
}
