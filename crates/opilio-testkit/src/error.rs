//! Why a test crawl cannot run.

use opilio::CrawlError;
use opilio_cassette::CassetteError;

/// The reason why a crawl of a test cannot run.
#[derive(Debug)]
#[non_exhaustive]
pub enum TestCrawlError {
    /// The crawler refuses its settings, or the crawl fails.
    Crawl(CrawlError),
    /// The cassette cannot be read or recorded.
    Cassette(CassetteError),
}

impl std::fmt::Display for TestCrawlError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Crawl(error) => error.fmt(f),
            Self::Cassette(error) => error.fmt(f),
        }
    }
}

/// The text is that of the inner error, so its source is the source of the inner error.
impl std::error::Error for TestCrawlError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Crawl(error) => error.source(),
            Self::Cassette(error) => error.source(),
        }
    }
}

impl From<CrawlError> for TestCrawlError {
    fn from(error: CrawlError) -> Self {
        Self::Crawl(error)
    }
}

impl From<CassetteError> for TestCrawlError {
    fn from(error: CassetteError) -> Self {
        Self::Cassette(error)
    }
}
