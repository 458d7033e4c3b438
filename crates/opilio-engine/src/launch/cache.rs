//! The development cache of a crawl. Without the feature `cache` its type has no values: no crawl has a cache then, and
//! the code that would use one is the same.

use opilio_fetch::Fetcher;

#[cfg(feature = "cache")]
pub(crate) use opilio_fetch::Cache;

#[cfg(not(feature = "cache"))]
pub(crate) use std::convert::Infallible as Cache;

/// Gives a fetcher a cache.
#[cfg(feature = "cache")]
pub(super) fn fetcher_with(fetcher: Fetcher, cache: Cache) -> Fetcher {
    fetcher.cache(cache)
}

#[cfg(not(feature = "cache"))]
pub(super) fn fetcher_with(_: Fetcher, cache: Cache) -> Fetcher {
    match cache {}
}
