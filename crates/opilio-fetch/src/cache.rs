//! A cache of answers on disk, for developing a spider: repeated runs read pages from disk instead of from the web.
//!
//! Freshness follows RFC 9111, as the `http-cache-semantics` crate implements it, for a private cache. The cache
//! stores answers to GET requests without a login: pages, redirects, and robots.txt files. `Set-Cookie` is not
//! stored, so that no secret gets into the directory. A file that is damaged or has another version of the format is
//! treated as missing.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, Method, header};
use http_cache_semantics::{AfterResponse, BeforeRequest, CacheOptions, CachePolicy};
use opilio_core::Statuses;
use serde::{Deserialize, Serialize};
use url::Url;
use xxhash_rust::xxh3::{Xxh3Default, xxh3_64};

use crate::fetch::{FetchRequest, Purpose};

/// A directory of cached answers. Clones share the directory, and several crawls may use it at the same time.
///
/// ```
/// # mod opilio { pub use opilio_fetch as fetch; }
/// use std::time::Duration;
/// use opilio::fetch::Cache;
///
/// # let dir = tempfile::tempdir()?;
/// // An answer is reused for a day, whatever its server states.
/// let cache = Cache::open(dir.path())?.fresh_for(Duration::from_secs(86_400));
/// # let _ = cache;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Cache {
    dir: Arc<Path>,
    fresh_for: Duration,
    count: Arc<AtomicU64>,
    /// Whether a warning that the cache cannot be written was logged already.
    complained: Arc<AtomicBool>,
}

/// A request in the form in which the cache looks up its answer.
pub(crate) type CacheRequest = http::Request<CacheKey>;

/// The properties of a request, besides its headers, by which cached answers are kept apart. The session is among
/// them because servers show different pages to different sessions.
#[derive(Clone, Debug)]
pub(crate) struct CacheKey {
    pub(crate) url: Url,
    session: Option<Arc<str>>,
    /// The statuses that the request names as "slow down" or as worth a retry. Answers with these statuses are
    /// neither stored nor read from the cache.
    named: [Statuses; 2],
    /// Whether the request is for robots.txt. An answer to it is never used as a page, and a page never as
    /// robots.txt.
    rules: bool,
}

/// An answer from the cache.
#[derive(Debug)]
pub(crate) struct CachedAnswer {
    policy: CachePolicy,
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// The result of looking up a request in the cache.
#[derive(Debug)]
pub(crate) enum CacheLookup {
    /// An answer that may be used without asking the server.
    Fresh(CachedAnswer),
    /// An answer that may be used if the server confirms that the page has not changed, and the request headers that
    /// ask the server for this confirmation.
    Stale(CachedAnswer, HeaderMap),
    Missing,
}

/// The head of a cache file: a description of the stored answer and of its request.
#[derive(Serialize, Deserialize)]
struct Meta {
    /// The URL of the request. It is compared when the file is read: the file is named by a hash of the URL, and a
    /// server could cause two URLs to have the same hash.
    url: String,
    session: Option<String>,
    #[serde(default)]
    rules: bool,
    policy: CachePolicy,
    status: u16,
    #[serde(with = "header_lines")]
    headers: HeaderMap,
}

impl CacheKey {
    fn names(&self, status: u16) -> bool {
        self.named.iter().any(|statuses| statuses.contains(status))
    }
}

impl Cache {
    /// Opens a cache directory, or creates it.
    ///
    /// # Errors
    /// When the directory cannot be created.
    pub fn open(dir: impl AsRef<Path>) -> io::Result<Self> {
        let dir = dir.as_ref();
        fs::create_dir_all(dir.join(UNFINISHED))?;
        Ok(Self {
            dir: dir.into(),
            fresh_for: Duration::ZERO,
            count: Arc::default(),
            complained: Arc::default(),
        })
    }

    /// Sets for how long an answer is reused at least, whatever its server states. Most servers state nothing about
    /// this, so without this setting their pages would be fetched again in every run.
    #[must_use]
    pub fn fresh_for(mut self, span: Duration) -> Self {
        self.fresh_for = span;
        self
    }

    /// Returns the key under which the answer to a request is stored; `None` if the answer must not be stored.
    pub(crate) fn question(order: &FetchRequest, headers: HeaderMap) -> Option<CacheRequest> {
        let personal = [header::AUTHORIZATION, header::RANGE];
        let conditional = [header::IF_NONE_MATCH, header::IF_MODIFIED_SINCE];
        let plain = order.method == Method::GET && order.body.is_none();
        if !plain || personal.iter().chain(&conditional).any(|name| headers.contains_key(name)) {
            return None;
        }
        let who = CacheKey {
            url: order.url.clone(),
            session: order.session.clone(),
            named: [order.slow_down.clone(), order.retried.clone()],
            rules: order.purpose == Purpose::Robots,
        };
        let mut question = http::Request::new(who);
        *question.uri_mut() = order.url.as_str().parse().ok()?;
        *question.headers_mut() = headers;
        question.headers_mut().remove(header::COOKIE);
        Some(question)
    }

    /// Looks up the answer to a request. A robots.txt that is more than a day old counts as missing. Blocks the
    /// thread.
    pub(crate) fn look_up(&self, question: &CacheRequest, now: SystemTime, bytes_max: u64) -> CacheLookup {
        let Some(entry) = self.read(question.body(), bytes_max) else { return CacheLookup::Missing };
        if question.body().rules && entry.policy.age(now) >= RULES_AGE_MAX {
            return CacheLookup::Missing;
        }
        match entry.policy.before_request(question, now) {
            BeforeRequest::Fresh(_) => CacheLookup::Fresh(entry),
            BeforeRequest::Stale { matches: false, .. } => CacheLookup::Missing,
            BeforeRequest::Stale { .. } if entry.policy.age(now) < self.fresh_for => {
                CacheLookup::Fresh(entry)
            }
            BeforeRequest::Stale { request, .. } => CacheLookup::Stale(entry, request.headers),
        }
    }

    /// Stores an answer, if HTTP and the user's settings allow that. Blocks the thread.
    pub(crate) fn keep(
        &self,
        question: &CacheRequest,
        status: u16,
        headers: &HeaderMap,
        body: &Bytes,
        now: SystemTime,
    ) {
        if question.body().names(status) {
            return;
        }
        let mut headers = headers.clone();
        let cookie = headers.remove(header::SET_COOKIE);
        if (300..=399).contains(&status) && (cookie.is_some() || headers.contains_key(header::RETRY_AFTER)) {
            // This redirect sets a cookie that lets the next request pass (for example, to a consent or login page).
            // Read from the cache, without its cookie, the redirect would repeat for ever. A wait that a redirect
            // once stated is over by the next run.
            return;
        }
        let Some(response) = response(status, &headers) else { return };
        let policy = CachePolicy::new_options(question, &response, now, OPTIONS);
        // The user's time span takes precedence over a server that states that the answer must not be stored.
        if policy.is_storable() || !self.fresh_for.is_zero() {
            self.write(question.body(), &CachedAnswer { policy, status, headers, body: body.clone() });
        }
    }

    /// Updates a stale entry after the server confirmed that the page has not changed. Blocks the thread.
    pub(crate) fn refresh(
        &self,
        question: &CacheRequest,
        entry: CachedAnswer,
        headers: &HeaderMap,
        now: SystemTime,
    ) -> CachedAnswer {
        let Some(response) = response(304, headers) else { return entry };
        let (AfterResponse::NotModified(policy, parts) | AfterResponse::Modified(policy, parts)) =
            entry.policy.after_response(question, &response, now);
        let mut headers = parts.headers;
        headers.remove(header::SET_COOKIE);
        let entry = CachedAnswer { policy, headers, ..entry };
        self.write(question.body(), &entry);
        entry
    }

    fn read(&self, who: &CacheKey, bytes_max: u64) -> Option<CachedAnswer> {
        let path = self.path(who);
        if fs::metadata(&path).ok()?.len() > bytes_max.saturating_add(META_BYTES_MAX) {
            return None;
        }
        let bytes = Bytes::from(fs::read(&path).ok()?);
        let rest = bytes.strip_prefix(MAGIC)?;
        let (sum, rest) = rest.split_first_chunk::<8>()?;
        if xxh3_64(rest) != u64::from_le_bytes(*sum) {
            return None;
        }
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let (meta, body) = rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
        let Meta { url, session, rules, policy, status, headers } = serde_json::from_slice(meta).ok()?;
        let is_it = url == who.url.as_str()
            && session.as_deref() == who.session.as_deref()
            && rules == who.rules
            && !who.names(status);
        is_it.then(|| CachedAnswer { policy, status, headers, body: bytes.slice_ref(body) })
    }

    fn write(&self, who: &CacheKey, entry: &CachedAnswer) {
        let path = self.path(who);
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        let unique = std::ptr::from_ref(&*self.count) as usize;
        let unfinished = self.dir.join(UNFINISHED).join(format!("{}-{unique:x}-{count}", std::process::id()));
        let written = encode(who, entry).and_then(|bytes| place(&unfinished, &path, &bytes));
        if let Err(error) = written {
            let _ = fs::remove_file(&unfinished);
            if !self.complained.swap(true, Ordering::Relaxed) {
                let path = path.display();
                tracing::warn!(%path, %error, "cannot write to the cache: the next run fetches pages again");
            }
        }
    }

    fn path(&self, who: &CacheKey) -> PathBuf {
        let mut hasher = Xxh3Default::new();
        hasher.update(who.url.as_str().as_bytes());
        // A space cannot occur in a URL, so it separates the URL from the session.
        hasher.update(b" ");
        hasher.update(who.session.as_deref().unwrap_or_default().as_bytes());
        if who.rules {
            hasher.update(b" rules");
        }
        let name = format!("{:032x}", hasher.digest128());
        self.dir.join(&name[..2]).join(&name[2..])
    }
}

fn response(status: u16, headers: &HeaderMap) -> Option<http::Response<()>> {
    let mut response = http::Response::new(());
    *response.status_mut() = http::StatusCode::from_u16(status).ok()?;
    *response.headers_mut() = headers.clone();
    Some(response)
}

fn encode(who: &CacheKey, entry: &CachedAnswer) -> io::Result<Vec<u8>> {
    let meta = Meta {
        url: who.url.as_str().to_owned(),
        session: who.session.as_deref().map(str::to_owned),
        rules: who.rules,
        policy: entry.policy.clone(),
        status: entry.status,
        headers: entry.headers.clone(),
    };
    let meta = serde_json::to_vec(&meta)?;
    let length = u32::try_from(meta.len()).map_err(|_| io::ErrorKind::FileTooLarge)?;
    let mut rest = Vec::with_capacity(4 + meta.len() + entry.body.len());
    rest.extend_from_slice(&length.to_le_bytes());
    rest.extend_from_slice(&meta);
    rest.extend_from_slice(&entry.body);
    Ok([MAGIC, &xxh3_64(&rest).to_le_bytes(), &rest].concat())
}

/// Writes a file completely or not at all. Does not sync the file to disk: a file that a power cut damages is
/// treated as missing.
fn place(unfinished: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let mut file = fs::File::create(unfinished)?;
    file.write_all(bytes)?;
    drop(file);
    fs::rename(unfinished, path)
}

/// Serialises header fields as pairs of byte strings, since header values need not be UTF-8.
mod header_lines {
    use http::{HeaderMap, HeaderName, HeaderValue};
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(headers: &HeaderMap, out: S) -> Result<S::Ok, S::Error> {
        let lines = headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
        lines.collect::<Vec<_>>().serialize(out)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<HeaderMap, D::Error> {
        let lines: Vec<(String, Vec<u8>)> = Deserialize::deserialize(from)?;
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            let name: HeaderName = name.parse().map_err(D::Error::custom)?;
            headers.append(name, HeaderValue::from_bytes(&value).map_err(D::Error::custom)?);
        }
        Ok(headers)
    }
}

/// The age from which on a robots.txt is fetched again, whatever the user or the server states: a day (RFC 9309
/// §2.4).
const RULES_AGE_MAX: Duration = Duration::from_secs(24 * 3_600);
/// The first bytes of each cache file. The digit is the version of the format.
const MAGIC: &[u8] = b"opilio cache 1\n";
const UNFINISHED: &str = "unfinished";
/// The most bytes of the head of a cache file: more than the header fields of an answer and its request take as
/// JSON.
const META_BYTES_MAX: u64 = 4 << 20;
const OPTIONS: CacheOptions = CacheOptions {
    shared: false,
    cache_heuristic: 0.1,
    immutable_min_time_to_live: Duration::from_secs(24 * 3_600),
    ignore_cargo_cult: false,
};
