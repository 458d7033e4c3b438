//! The development cache of a program's crawl, if a setting asks for one. A program without the feature `cache` refuses
//! that setting.

use opilio_engine::{Crawler, Spider};

use crate::settings::RunSettings;

/// The development cache that the settings name, if they name one. It is open before the crawl starts.
#[cfg(feature = "cache")]
pub(crate) struct DevelopmentCache(Option<opilio_fetch::Cache>);

#[cfg(feature = "cache")]
impl DevelopmentCache {
    /// Opens the cache.
    ///
    /// # Errors
    /// When the cache cannot be opened.
    pub(crate) fn open(run: &RunSettings) -> anyhow::Result<Self> {
        use anyhow::Context;

        let Some(dir) = &run.cache else { return Ok(Self(None)) };
        let cache = opilio_fetch::Cache::open(dir)
            .with_context(|| format!("cannot open the cache {}", dir.display()))?;
        Ok(Self(Some(cache.fresh_for(run.cache_for.unwrap_or_default()))))
    }

    /// Gives the crawler the cache.
    pub(crate) fn apply<S: Spider>(self, crawler: Crawler<S>) -> Crawler<S> {
        match self.0 {
            Some(cache) => crawler.cache(cache),
            None => crawler,
        }
    }
}

/// The absence of a cache.
#[cfg(not(feature = "cache"))]
pub(crate) struct DevelopmentCache;

#[cfg(not(feature = "cache"))]
impl DevelopmentCache {
    /// Checks that the settings name no cache.
    ///
    /// # Errors
    /// When they name one.
    pub(crate) fn open(run: &RunSettings) -> anyhow::Result<Self> {
        anyhow::ensure!(
            run.cache.is_none(),
            "this program cannot use a cache: turn on the feature `cache` of the crate `opilio` in its Cargo.toml"
        );
        Ok(Self)
    }

    /// Returns the crawler as it is.
    pub(crate) fn apply<S: Spider>(self, crawler: Crawler<S>) -> Crawler<S> {
        crawler
    }
}
