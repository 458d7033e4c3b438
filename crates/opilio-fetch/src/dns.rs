//! Resolves names to addresses, with one cache for all shards and at most one query at a time for each name.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dashmap::DashMap;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};

/// A resolver of names, without any cache.
pub trait Lookup: Send + Sync {
    /// Resolves a name to its addresses.
    fn lookup(&self, name: String) -> BoxFuture<'static, Result<Vec<IpAddr>, LookupError>>;
}

/// The reason why a look-up of a name gave no addresses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LookupError {
    /// The name does not exist, or has no address.
    #[error("{name:?} has no address")]
    NoSuchName {
        /// The name that was looked up.
        name: String,
    },
    /// The resolver failed, or did not answer. A later query may succeed.
    #[error("the look-up of {name:?} failed: {detail}")]
    Temporary {
        /// The name that was looked up.
        name: String,
        /// The resolver's error.
        detail: String,
    },
    /// The process has no file descriptor left, so the query could not be sent. The name and the resolver may be
    /// fine.
    #[error("the look-up of {name:?} failed: the process has no file descriptor left")]
    Ours {
        /// The name that was looked up.
        name: String,
    },
}

/// The operating system's resolver (`getaddrinfo`), called on tokio's blocking threads.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemLookup;

impl Lookup for SystemLookup {
    fn lookup(&self, name: String) -> BoxFuture<'static, Result<Vec<IpAddr>, LookupError>> {
        async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await;
            let addresses = found.map(|addresses| addresses.map(|address| address.ip()).collect());
            addresses.map_err(|error| explain(name, &error))
        }
        .boxed()
    }
}

/// Decides which kind of failure this error is. The standard library does not return the error code of
/// `getaddrinfo`, so only the error's text (glibc, musl, macOS) or the system's error number (Windows) can decide.
fn explain(name: String, error: &io::Error) -> LookupError {
    if is_out_of_descriptors(error) {
        return LookupError::Ours { name };
    }
    let detail = error.to_string();
    let unknown = [
        "Name or service not known",
        "No address associated",
        "Name does not resolve",
        "nodename nor servname",
    ];
    if unknown.iter().any(|text| detail.contains(text)) || error.raw_os_error() == Some(WSAHOST_NOT_FOUND) {
        return LookupError::NoSuchName { name };
    }
    LookupError::Temporary { name, detail }
}

/// Returns whether the process or the system has no file descriptor left.
pub(crate) fn is_out_of_descriptors(error: &io::Error) -> bool {
    // EMFILE (24) and ENFILE (23) have these numbers on every Unix; WSAEMFILE (10024) on Windows.
    matches!(error.raw_os_error(), Some(24 | 23 | 10_024))
}

const WSAHOST_NOT_FOUND: i32 = 11_001;

type Resolved = Result<Arc<[IpAddr]>, LookupError>;
type SharedQuery = Shared<BoxFuture<'static, Resolved>>;

/// A cache of the addresses of names, shared by all shards.
///
/// Addresses are kept for a minute, a first failure for two seconds, and repeated failures for 30 s. Concurrent
/// look-ups of the same name share one query.
pub struct DnsCache {
    entries: DashMap<Box<str>, CachedName>,
    source: Box<dyn Lookup>,
    keep: Duration,
}

struct CachedName {
    asked: SharedQuery,
    /// The time until which the answer is valid; `None` while the query is running.
    until: Option<Instant>,
    failures: u32,
}

impl fmt::Debug for DnsCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DnsCache").field("names", &self.entries.len()).finish_non_exhaustive()
    }
}

impl Default for DnsCache {
    fn default() -> Self {
        Self::new(SystemLookup)
    }
}

impl DnsCache {
    /// Makes an empty cache that asks this resolver for names that it does not contain.
    #[must_use]
    pub fn new(source: impl Lookup + 'static) -> Self {
        Self { entries: DashMap::new(), source: Box::new(source), keep: KEEP }
    }

    /// Sets how long addresses are kept, so that a test need not wait a minute.
    #[cfg(test)]
    pub(crate) fn keeping(self, keep: Duration) -> Self {
        Self { keep, ..self }
    }

    /// Returns the addresses of a name; there is at least one.
    ///
    /// # Errors
    /// When the name has no address or the resolver failed.
    pub async fn resolve(&self, name: &str) -> Result<Arc<[IpAddr]>, LookupError> {
        let asked = self.ask(name);
        let answer = asked.clone().await;
        self.note(name, &asked, &answer);
        answer
    }

    /// Returns the running or answered query for a name, or starts a new query.
    fn ask(&self, name: &str) -> SharedQuery {
        let now = Instant::now();
        let live = |entry: &CachedName| entry.until.is_none_or(|until| until > now);
        if let Some(entry) = self.entries.get(name).filter(|entry| live(entry)) {
            return entry.asked.clone();
        }
        self.make_room(now);
        let mut entry =
            self.entries.entry(name.into()).or_insert_with(|| CachedName::new(self.question(name)));
        // Another shard may have started a query between the two look-ups in the cache. If the answer has expired,
        // the name is queried again.
        if !live(&entry) {
            let failures = entry.failures;
            *entry = CachedName { failures, ..CachedName::new(self.question(name)) };
        }
        entry.asked.clone()
    }

    fn question(&self, name: &str) -> SharedQuery {
        let asked = self.source.lookup(name.to_owned());
        let name = name.to_owned();
        async move {
            let addresses = asked.await?;
            if addresses.is_empty() { Err(LookupError::NoSuchName { name }) } else { Ok(addresses.into()) }
        }
        .boxed()
        .shared()
    }

    fn note(&self, name: &str, asked: &SharedQuery, answer: &Resolved) {
        let Some(mut entry) = self.entries.get_mut(name) else { return };
        if entry.until.is_some() || !entry.asked.ptr_eq(asked) {
            return;
        }
        entry.failures = if answer.is_ok() { 0 } else { entry.failures.saturating_add(1) };
        let keep = match entry.failures {
            0 => self.keep,
            1 => KEEP_FIRST_FAILURE,
            _ => KEEP_FAILURE,
        };
        entry.until = Some(Instant::now() + keep);
    }

    fn make_room(&self, now: Instant) {
        if self.entries.len() < NAMES_MAX {
            return;
        }
        self.entries.retain(|_, entry| entry.until.is_none_or(|until| until > now));
        if self.entries.len() >= NAMES_MAX {
            // The cache is full of names that were resolved within a minute. Clearing the cache and resolving again
            // is cheaper than choosing entries to evict.
            self.entries.clear();
        }
    }
}

impl CachedName {
    fn new(asked: SharedQuery) -> Self {
        Self { asked, until: None, failures: 0 }
    }
}

const KEEP: Duration = Duration::from_secs(60);
const KEEP_FIRST_FAILURE: Duration = Duration::from_secs(2);
const KEEP_FAILURE: Duration = Duration::from_secs(30);
/// The most names in the cache. 65,536 names take some 20 MB of memory.
const NAMES_MAX: usize = 65_536;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// A resolver that counts its queries, and answers each query after yielding once to other tasks.
    struct Counting(Arc<AtomicUsize>);

    impl Lookup for Counting {
        fn lookup(&self, name: String) -> BoxFuture<'static, Result<Vec<IpAddr>, LookupError>> {
            self.0.fetch_add(1, Ordering::SeqCst);
            async move {
                tokio::task::yield_now().await;
                match name.as_str() {
                    "gone.test" => Err(LookupError::NoSuchName { name }),
                    "empty.test" => Ok(Vec::new()),
                    _ => Ok(vec![IpAddr::from([192, 0, 2, 1])]),
                }
            }
            .boxed()
        }
    }

    fn cache() -> (DnsCache, Arc<AtomicUsize>) {
        let count = Arc::new(AtomicUsize::new(0));
        (DnsCache::new(Counting(count.clone())), count)
    }

    #[tokio::test]
    async fn a_name_is_asked_for_once_however_many_want_it() {
        let (cache, count) = cache();
        let all = futures_util::future::join_all((0..50).map(|_| cache.resolve("a.test"))).await;
        assert!(all.iter().all(|answer| answer.as_ref().unwrap().len() == 1));
        cache.resolve("a.test").await.unwrap();
        assert_eq!(count.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_question_that_nobody_waits_for_any_more_is_taken_up_again() {
        let (cache, count) = cache();
        assert!(cache.resolve("a.test").now_or_never().is_none());
        assert!(cache.resolve("a.test").await.is_ok());
        assert_eq!(count.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn failures_are_kept_too_and_no_address_is_one() {
        let (cache, count) = cache();
        let gone = LookupError::NoSuchName { name: "gone.test".into() };
        assert_eq!(cache.resolve("gone.test").await, Err(gone.clone()));
        assert_eq!(cache.resolve("gone.test").await, Err(gone));
        assert_eq!(count.load(Ordering::SeqCst), 1);
        assert!(cache.resolve("empty.test").await.is_err());
    }

    #[test]
    fn the_resolvers_words_are_told_apart() {
        let explained = |text: &str| explain("x".into(), &io::Error::other(text.to_owned()));
        let prefix = "failed to lookup address information: ";
        assert!(matches!(
            explained(&format!("{prefix}Name or service not known")),
            LookupError::NoSuchName { .. }
        ));
        let temporary = explained(&format!("{prefix}Temporary failure in name resolution"));
        assert!(matches!(temporary, LookupError::Temporary { .. }));
        assert!(matches!(explain("x".into(), &io::Error::from_raw_os_error(24)), LookupError::Ours { .. }));
    }
}
