//! Answers requests from the cache instead of sending them.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opilio_core::Outcome;

use super::{FetchRequest, Fetched, Fetcher};
use crate::cache::{Cache, CacheLookup, CacheRequest, CachedAnswer};
use crate::head::{self, Head};

impl Fetcher {
    /// Returns the answer from the cache, if the cache has a fresh answer. Then nothing is sent, and nothing of the
    /// host's budget is spent.
    pub async fn cached(&self, order: &FetchRequest) -> Option<Fetched> {
        let mut order = order.clone();
        head::clean(&mut order.url);
        let (cache, question) = self.question(&order).filter(|_| !order.came_back)?;
        match self.look_up(cache, &question).await {
            CacheLookup::Fresh(entry) => Some(self.recalled(&question, entry, &order).await),
            CacheLookup::Stale(..) | CacheLookup::Missing => None,
        }
    }

    pub(super) fn question(&self, order: &FetchRequest) -> Option<(&Cache, Arc<CacheRequest>)> {
        let cache = self.cache.as_ref()?;
        let headers = self.headers(order.headers.clone(), order.accept);
        Some((cache, Arc::new(Cache::question(order, headers)?)))
    }

    pub(super) async fn look_up(&self, cache: &Cache, question: &Arc<CacheRequest>) -> CacheLookup {
        let (cache, question, now) = (cache.clone(), question.clone(), self.wall_clock());
        let bytes_max = self.limits.body_bytes_max as u64;
        let look_up = move || cache.look_up(&question, now, bytes_max);
        tokio::task::spawn_blocking(look_up).await.unwrap_or(CacheLookup::Missing)
    }

    /// Converts an answer from the cache to the form of an answer that was fetched.
    pub(super) async fn recalled(
        &self,
        question: &CacheRequest,
        entry: CachedAnswer,
        order: &FetchRequest,
    ) -> Fetched {
        let CachedAnswer { status, headers, mut body, .. } = entry;
        let cut = order.enough.is_some_and(|enough| body.len() > enough);
        if let Some(enough) = order.enough {
            body.truncate(enough);
        }
        let mut permit = self.budget.reserve().await;
        if body.len() > permit.bytes() {
            self.budget.grow(&mut permit, body.len()).await;
        }
        permit.shrink(body.len());
        let url = question.body().url.clone();
        let location = head::location(&headers, &url, &self.limits).filter(|_| (300..=399).contains(&status));
        let mut fetched = Fetched::nothing_yet();
        fetched.outcome =
            if location.is_some() { Outcome::Redirected(status) } else { Outcome::Answered(status) };
        fetched.head = Some(Head { status, version: http::Version::HTTP_11, headers, url, remote: None });
        (fetched.body, fetched.permit, fetched.location) = (body, permit, location);
        (fetched.cut, fetched.cached) = (cut, true);
        fetched
    }

    pub(super) fn wall_clock(&self) -> SystemTime {
        let millis = u64::try_from((self.wall_clock_ms)()).unwrap_or_default();
        UNIX_EPOCH + Duration::from_millis(millis)
    }
}
