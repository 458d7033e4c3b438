//! The development cache of a program's crawl, if a setting asks for one. A program without the feature `cache` refuses
//! that setting.

use opilio_engine::{Crawler, Spider};

use crate::settings::RunSettings;

#[cfg(feature = "cache")]
use opilio_fetch::Cache;
/// Without the feature there is no cache: this type has no values.
#[cfg(not(feature = "cache"))]
use std::convert::Infallible as Cache;

/// The development cache that the settings name, if they name one. It is open before the crawl starts.
pub(crate) struct DevelopmentCache(Option<Cache>);

impl DevelopmentCache {
    /// Opens the cache.
    ///
    /// # Errors
    /// When the cache cannot be opened, or the program has no feature `cache`.
    pub(crate) fn open(run: &RunSettings) -> anyhow::Result<Self> {
        run.cache.as_ref().map(|dir| open(dir, run)).transpose().map(Self)
    }

    /// Gives the crawler the cache.
    pub(crate) fn apply<S: Spider>(self, crawler: Crawler<S>) -> Crawler<S> {
        match self.0 {
            #[cfg(feature = "cache")]
            Some(cache) => crawler.cache(cache),
            #[cfg(not(feature = "cache"))]
            Some(cache) => match cache {},
            None => crawler,
        }
    }
}

#[cfg(feature = "cache")]
fn open(dir: &std::path::Path, run: &RunSettings) -> anyhow::Result<Cache> {
    use anyhow::Context;

    let cache = Cache::open(dir).with_context(|| format!("cannot open the cache {}", dir.display()))?;
    Ok(cache.fresh_for(run.cache_for.unwrap_or_default()))
}

#[cfg(not(feature = "cache"))]
fn open(_: &std::path::Path, _: &RunSettings) -> anyhow::Result<Cache> {
    anyhow::bail!(
        "this program cannot use a cache: turn on the feature `cache` of the crate `opilio` in its Cargo.toml"
    )
}
