//! Takes the place of `cached.rs` in builds without the feature `cache`: no fetcher has a cache.

/// A type without values, so that [`Fetcher`] has no cache and the functions below are never called.
pub(super) use std::convert::Infallible as Cache;

use super::{FetchRequest, Fetched, Fetcher};

impl Fetcher {
    pub(super) async fn read_from_cache(&self, cache: &Cache, _: &FetchRequest) -> Option<Fetched> {
        match *cache {}
    }

    pub(super) async fn fetch_with_cache(&self, cache: &Cache, _: FetchRequest) -> Fetched {
        match *cache {}
    }
}
