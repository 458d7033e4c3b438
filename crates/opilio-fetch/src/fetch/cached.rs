//! Answers requests from the cache instead of sending them.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opilio_core::Outcome;

use super::{FetchRequest, Fetched, Fetcher, Purpose};
use crate::cache::{Cache, CacheLookup, CacheRequest, CachedAnswer};
use crate::head::{self, Head};

impl Fetcher {
    /// Sets a cache of answers. Answers from the cache do not pass through the middleware, since they passed through
    /// it before they were stored.
    #[must_use]
    pub fn cache(mut self, cache: Cache) -> Self {
        self.cache = Some(cache);
        self
    }

    /// Returns the cached answer to a request, if it is fresh.
    pub(super) async fn read_from_cache(&self, cache: &Cache, order: &FetchRequest) -> Option<Fetched> {
        let question = self.question(order).filter(|_| !order.came_back)?;
        match self.look_up(cache, &question).await {
            CacheLookup::Fresh(entry) => Some(self.recalled(&question, entry, order).await),
            CacheLookup::Stale(..) | CacheLookup::Missing => None,
        }
    }

    /// Makes one attempt, or reads its answer from the cache. An answer that was fetched is stored, if that is allowed.
    pub(super) async fn fetch_with_cache(&self, cache: &Cache, mut order: FetchRequest) -> Fetched {
        let Some(question) = self.question(&order) else { return self.fetch_anew(order).await };
        let known = if order.came_back { CacheLookup::Missing } else { self.look_up(cache, &question).await };
        let stale = match known {
            CacheLookup::Fresh(entry) => return self.recalled(&question, entry, &order).await,
            CacheLookup::Stale(entry, headers) => {
                order.headers = headers;
                Some(entry)
            }
            CacheLookup::Missing => None,
        };
        let fetched = self.fetch_anew(order.clone()).await;
        let is_answer = !matches!(fetched.outcome, Outcome::Failed(_) | Outcome::Refused(_));
        let Some(head) = fetched.head.as_ref().filter(|_| is_answer) else {
            return fetched;
        };
        let (now, cache) = (self.wall_clock(), cache.clone());
        let (status, headers) = (head.status, head.headers.clone());
        if let Some(entry) = stale.filter(|_| status == 304) {
            let asked = question.clone();
            let refresh = move || cache.refresh(&asked, entry, &headers, now);
            return match tokio::task::spawn_blocking(refresh).await {
                Ok(entry) => Fetched { cached: false, ..self.recalled(&question, entry, &order).await },
                Err(_) => fetched,
            };
        }
        // The outcome decides whether the answer is stored: a page that middleware declared to be a refusal is not
        // stored, nor is a page whose end was cut off.
        let whole = !fetched.cut;
        let for_keeping = match fetched.outcome {
            Outcome::Answered(200..=299) | Outcome::Redirected(_) => true,
            // A missing robots.txt is stored, too: its absence means that there are no rules (RFC 9309 §2.3.1.3).
            Outcome::Answered(400..=428 | 430..=499) => order.purpose == Purpose::Robots,
            Outcome::Answered(_) | Outcome::Refused(_) | Outcome::Failed(_) => false,
        };
        if whole && for_keeping {
            let body = fetched.body.clone();
            let keep = move || cache.keep(&question, status, &headers, &body, now);
            // If the blocking thread panics, the answer is just not stored.
            let _ = tokio::task::spawn_blocking(keep).await;
        }
        fetched
    }

    fn question(&self, order: &FetchRequest) -> Option<Arc<CacheRequest>> {
        let headers = self.headers(order.headers.clone(), order.accept);
        Some(Arc::new(Cache::question(order, headers)?))
    }

    async fn look_up(&self, cache: &Cache, question: &Arc<CacheRequest>) -> CacheLookup {
        let (cache, question, now) = (cache.clone(), question.clone(), self.wall_clock());
        let bytes_max = self.limits.body_bytes_max as u64;
        let look_up = move || cache.look_up(&question, now, bytes_max);
        tokio::task::spawn_blocking(look_up).await.unwrap_or(CacheLookup::Missing)
    }

    /// Converts an answer from the cache to the form of an answer that was fetched.
    async fn recalled(&self, question: &CacheRequest, entry: CachedAnswer, order: &FetchRequest) -> Fetched {
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

    fn wall_clock(&self) -> SystemTime {
        let millis = u64::try_from((self.wall_clock_ms)()).unwrap_or_default();
        UNIX_EPOCH + Duration::from_millis(millis)
    }
}
