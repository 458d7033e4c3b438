//! Cookies, kept separately for each session, and sent only to the servers that they are meant for.
//!
//! [`Jar`] holds the rules (RFC 6265bis) without I/O, with `now` as an argument. [`Cookies`] is the middleware that
//! shares the jars between shards and saves them in a file. The attributes `SameSite` and `HttpOnly` concern scripts
//! and embedded content, which a crawler does not run, so they are ignored.

mod expires;
mod file;
mod jar;
mod kept;
mod parse;

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use http::{HeaderMap, HeaderValue, header};

use crate::middleware::{Incoming, Middleware, Outgoing};
pub use file::CookieFileError;
pub use jar::{Jar, Refused as CookieRefused};
pub use kept::KeptCookies;

/// Holds the cookies of a crawl, in one jar per session.
///
/// All shards share this value. As long as no server has set a cookie, a request only costs the check of a flag, and
/// an answer only the check for `Set-Cookie`.
pub struct Cookies {
    any: AtomicBool,
    /// Whether cookies were set or removed since they were last saved.
    changed: AtomicBool,
    jars: Mutex<HashMap<Box<str>, Jar>>,
    now_secs: Box<dyn Fn() -> i64 + Send + Sync>,
}

impl fmt::Debug for Cookies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither names nor values are shown: they are secrets.
        f.debug_struct("Cookies").field("sessions", &self.lock().len()).finish_non_exhaustive()
    }
}

impl Cookies {
    /// Returns an empty set of jars. `now_secs` returns the wall clock's time in Unix seconds.
    #[must_use]
    pub fn new(now_secs: impl Fn() -> i64 + Send + Sync + 'static) -> Self {
        Self {
            any: AtomicBool::new(false),
            changed: AtomicBool::new(false),
            jars: Mutex::default(),
            now_secs: Box::new(now_secs),
        }
    }

    /// Returns whether any server has set a cookie so far.
    #[must_use]
    pub fn are_any(&self) -> bool {
        self.any.load(Ordering::Acquire)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Box<str>, Jar>> {
        self.jars.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Middleware for Cookies {
    fn on_request(&self, request: &mut Outgoing<'_>) {
        if !self.are_any() {
            return;
        }
        let session = request.session.unwrap_or_default();
        let found = self.lock().get_mut(session).and_then(|jar| jar.of(request.url, (self.now_secs)()));
        if let Some(cookies) = found {
            add(request.headers, &cookies);
        }
    }

    fn on_response(&self, answer: &mut Incoming<'_>) {
        let Some(head) = &answer.fetched().head else { return };
        let mut lines = head.headers.get_all(header::SET_COOKIE).iter().peekable();
        if lines.peek().is_none() {
            return;
        }
        let now = (self.now_secs)();
        let session = answer.session().unwrap_or_default();
        let mut jars = self.lock();
        if !jars.contains_key(session) {
            if jars.len() >= SESSIONS_MAX {
                return;
            }
            jars.insert(session.into(), Jar::default());
        }
        if let Some(jar) = jars.get_mut(session) {
            for line in lines {
                // A cookie that is not accepted is ignored.
                let _ = jar.set(answer.url(), line.as_bytes(), now);
            }
        }
        drop(jars);
        self.any.store(true, Ordering::Release);
        self.changed.store(true, Ordering::Release);
    }

    fn name(&self) -> &str {
        "cookies"
    }
}

/// Returns the jar as it would be after it was saved to a file and read again.
pub(crate) fn again(jar: &Jar, now: i64) -> Jar {
    let kept: Vec<_> = jar.kept(now).collect();
    // Serialising cannot fail, because a jar consists of lists, numbers and text.
    let json = serde_json::to_vec(&kept).unwrap_or_default();
    Jar::of_kept(serde_json::from_slice(&json).unwrap_or_default(), now)
}

/// Adds these cookies to the cookies that the request sets itself. If both have a cookie of the same name, the
/// request's own cookie is kept.
pub(crate) fn add(headers: &mut HeaderMap, cookies: &[(Vec<u8>, Vec<u8>)]) {
    let own = headers.get(header::COOKIE).map(|value| value.as_bytes().to_vec()).unwrap_or_default();
    let is_own = |name: &[u8]| {
        own.split(|byte| *byte == b';').any(|pair| {
            let end = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
            pair[..end].trim_ascii() == name
        })
    };
    let mut line = own.clone();
    for (name, value) in cookies.iter().filter(|(name, _)| !is_own(name)) {
        let more = name.len() + value.len() + 3;
        if line.len() + more > LINE_BYTES_MAX {
            break;
        }
        if !line.is_empty() {
            line.extend_from_slice(b"; ");
        }
        line.extend_from_slice(name);
        line.push(b'=');
        line.extend_from_slice(value);
    }
    // The jar accepts no control characters except tabs, so its cookies contain only bytes that a header field may
    // have.
    if let Ok(mut value) = HeaderValue::from_bytes(&line)
        && !line.is_empty()
    {
        value.set_sensitive(true);
        headers.insert(header::COOKIE, value);
    }
}

/// The most sessions that have cookies; further sessions get none. A spider names a few sessions, but may by mistake
/// make up new session names without end.
const SESSIONS_MAX: usize = 10_000;
/// The most bytes of the `Cookie` header. Servers accept 8 KiB of header fields or more, so 1 KiB is left for the
/// other fields.
const LINE_BYTES_MAX: usize = 7 << 10;

#[cfg(test)]
mod tests;
