//! The pages and failures that a spider receives.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use opilio_core::{Reason, USER_AGENT, Validators};
use opilio_export::ContentHash;
use opilio_extract::{Directives, Document, ExtractError, Form, FormError, Link, Matches, SelectorError};
use serde::de::DeserializeOwned;
use url::Url;

#[cfg(feature = "derive")]
mod typed;

/// An answer on its way from the fetcher to the spider. It holds no DOM, so it may cross threads.
#[derive(Debug)]
pub struct Answer {
    /// The URL that the bytes came from.
    pub url: Url,
    /// The status.
    pub status: u16,
    /// All header fields.
    pub headers: HeaderMap,
    /// The body, decompressed.
    pub body: Bytes,
    /// The body was longer than needed, and its rest was not read.
    pub cut: bool,
    /// The part of the crawl's memory for bodies that this body takes.
    pub permit: Option<BodyShare>,
    /// From the start of the attempt to the last byte.
    pub elapsed: Duration,
    /// When it had arrived, in milliseconds since 1970; `None` if it comes from a cache, or was never fetched.
    pub fetched_unix_millis: Option<i64>,
}

/// The part of the crawl's memory for bodies that one body takes. Dropping it frees the memory. Nothing here
/// reads it, since the transport owns the budget.
pub struct BodyShare {
    _share: Box<dyn Send + Sync>,
}

impl BodyShare {
    /// Keeps a permit of the transport for as long as the body lives.
    pub fn new(permit: impl Send + Sync + 'static) -> Self {
        Self { _share: Box::new(permit) }
    }
}

impl fmt::Debug for BodyShare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BodyShare")
    }
}

/// A fetched page, as `parse` receives it.
///
/// The page decodes its text, collects its links and builds its DOM at the first call that needs them, and
/// once. So a spider that reads only links needs no DOM.
///
/// Tests of a spider make a page with [`Page::from_html`] or [`Page::builder`].
#[derive(Debug)]
pub struct Page<Step> {
    requested_url: Arc<str>,
    status: u16,
    headers: HeaderMap,
    depth: u16,
    attempts: u16,
    arrival: Arrival,
    referrer: Option<Box<str>>,
    user_agent: Arc<str>,
    session: Option<Box<str>>,
    known_hash: Option<u64>,
    step: Step,
    document: Document,
    /// Freed when the page is dropped.
    pub(crate) permit: Option<BodyShare>,
}

/// How and when an answer arrived.
#[derive(Debug)]
struct Arrival {
    elapsed: Duration,
    cut: bool,
    unix_millis: Option<i64>,
}

/// The facts of a page besides its bytes.
pub struct PageFacts {
    /// The URL that was requested. Redirects may have led elsewhere.
    pub requested_url: Arc<str>,
    /// The number of links from a seed.
    pub depth: u16,
    /// The number of attempts.
    pub attempts: u16,
    /// The page or sitemap that it was found on; `None` for a seed.
    pub referrer: Option<Box<str>>,
    /// The user agent of the request.
    pub user_agent: Arc<str>,
    /// Its session; `None` for the crawl's own.
    pub session: Option<Box<str>>,
    /// The hash of its body in an earlier run, if it is known.
    pub known_hash: Option<u64>,
    /// Its host has sent the same content too often, so its links are not followed.
    pub is_repeated: bool,
}

impl<Step> Page<Step> {
    pub(crate) fn new(answer: Answer, step: Step, facts: PageFacts) -> Self {
        // As bytes, since the values need not be ASCII.
        let content_types = answer.headers.get_all(http::header::CONTENT_TYPE).iter().map(|v| v.as_bytes());
        Self {
            requested_url: facts.requested_url,
            status: answer.status,
            depth: facts.depth,
            attempts: facts.attempts,
            arrival: Arrival {
                elapsed: answer.elapsed,
                cut: answer.cut,
                unix_millis: answer.fetched_unix_millis,
            },
            referrer: facts.referrer,
            user_agent: facts.user_agent,
            session: facts.session,
            known_hash: facts.known_hash,
            step,
            document: Document::with_content_types(answer.url, content_types, answer.body),
            headers: answer.headers,
            permit: answer.permit,
        }
    }

    /// A page that was never fetched, for tests of a spider.
    #[must_use]
    pub fn from_html(url: Url, step: Step, html: impl Into<Bytes>) -> Self {
        let facts = PageFacts {
            requested_url: url.as_str().into(),
            depth: 0,
            attempts: 1,
            referrer: None,
            user_agent: USER_AGENT.into(),
            session: None,
            known_hash: None,
            is_repeated: false,
        };
        let headers = HeaderMap::from_iter([(
            http::header::CONTENT_TYPE,
            http::HeaderValue::from_static("text/html; charset=utf-8"),
        )]);
        Self::new(
            Answer {
                url,
                status: 200,
                headers,
                body: html.into(),
                cut: false,
                permit: None,
                elapsed: Duration::ZERO,
                fetched_unix_millis: None,
            },
            step,
            facts,
        )
    }

    /// The step that this page was requested for.
    pub fn step(&self) -> &Step {
        &self.step
    }

    /// The URL that was requested: the first of a chain of redirects. The output names pages by it.
    pub fn requested_url(&self) -> &str {
        &self.requested_url
    }

    /// The former name of [`requested_url`](Self::requested_url).
    #[deprecated(note = "use `requested_url`: an origin is scheme, name and port")]
    pub fn origin(&self) -> &str {
        &self.requested_url
    }

    /// The URL that the bytes came from, after redirects. Links are relative to it (or to `<base>`).
    pub fn url(&self) -> &Url {
        self.document.url()
    }

    /// The status, 200–299 (or 304).
    pub fn status(&self) -> u16 {
        self.status
    }

    /// All header fields.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// A header field as text; `None` if it is absent or not ASCII.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The number of links from a seed; 0 for a seed.
    pub fn depth(&self) -> u16 {
        self.depth
    }

    /// The number of attempts: at least 1, or 0 if the page was read from the cache.
    pub fn attempts(&self) -> u16 {
        self.attempts
    }

    /// The time from the start of the last attempt to the last byte.
    pub fn elapsed(&self) -> Duration {
        self.arrival.elapsed
    }

    /// When it had arrived, in milliseconds since 1970; `None` if it was read from a cache, or never fetched.
    pub fn fetched_unix_millis(&self) -> Option<i64> {
        self.arrival.unix_millis
    }

    /// Whether the body was longer than its limit, so that its end is missing.
    pub fn is_cut(&self) -> bool {
        self.arrival.cut
    }

    /// The URL of the page or sitemap that it was first found on; `None` for a seed.
    pub fn referrer(&self) -> Option<&str> {
        self.referrer.as_deref()
    }

    /// The session of the request; `None` for the crawl's own.
    pub fn session(&self) -> Option<&str> {
        self.session.as_deref()
    }

    /// Whether the answer was a 304: the page has not changed since the request's validators. Then there is
    /// no body.
    pub fn is_not_modified(&self) -> bool {
        self.status == 304
    }

    /// Whether the page is as an earlier run fetched it: the answer is a 304, or the body is the same. Needs
    /// a crawl with a history (`Crawler::history`) that is refreshed (`Crawler::refresh`); otherwise `false`.
    pub fn is_unchanged(&self) -> bool {
        let same = |known| xxhash_rust::xxh3::xxh3_64(self.body()) == known;
        self.is_not_modified() || self.known_hash.is_some_and(same)
    }

    /// The field `ETag`, for [`Request::if_none_match`](crate::Request::if_none_match).
    pub fn etag(&self) -> Option<&str> {
        self.header("etag")
    }

    /// The field `Last-Modified`, for [`Request::if_modified_since`](crate::Request::if_modified_since).
    pub fn last_modified(&self) -> Option<&str> {
        self.header("last-modified")
    }

    /// The validators to send with the next request for this page, so that the server can answer 304.
    pub fn validators(&self) -> Validators {
        let body_hash = Some(xxhash_rust::xxh3::xxh3_64(self.body())).filter(|_| !self.is_not_modified());
        Validators { body_hash, ..Validators::read(&self.headers) }
    }

    /// The body, decompressed.
    pub fn body(&self) -> &Bytes {
        self.document.body()
    }

    /// The SHA-256 of the body. Equal bodies have equal hashes, whatever their URL.
    pub fn body_hash(&self) -> ContentHash {
        ContentHash::of(self.body())
    }

    /// The document, for all that has no shortcut here.
    pub fn document(&self) -> &Document {
        &self.document
    }

    /// The body as text. The encoding follows from the BOM, the header, `<meta>` or the bytes.
    pub fn text(&self) -> &str {
        self.document.text()
    }

    /// The `<title>`, white space collapsed.
    pub fn title(&self) -> Option<&str> {
        self.document.title()
    }

    /// The matches of a CSS selector, in HTML and in XML. Builds the DOM at the first call.
    ///
    /// # Errors
    /// When the selector cannot be read.
    pub fn css(&self, selector: &str) -> Result<Matches<'_>, SelectorError> {
        self.document.css(selector)
    }

    /// The first form that a selector matches, with the values of its fields; see
    /// [`Request::submit`](crate::Request::submit).
    ///
    /// # Errors
    /// When no form matches, or the form cannot be sent as `application/x-www-form-urlencoded`.
    pub fn form(&self, selector: &str) -> Result<Form, FormError> {
        self.document.form(selector)
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// When the body is no JSON, or does not fit the type.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, ExtractError> {
        self.document.json()
    }

    /// The directives for this crawler: `<meta name=robots>` and the header field `X-Robots-Tag`, including
    /// those that name its user agent.
    pub fn robots(&self) -> Directives {
        let fields = self.headers.get_all("x-robots-tag").iter();
        let words = fields.map(|value| String::from_utf8_lossy(value.as_bytes()));
        let header = words.map(|words| Directives::of_header(&words, &self.user_agent));
        header.fold(self.document.robots(&self.user_agent), |all, one| all | one)
    }

    /// Whether the page asks not to be indexed. The crawl ignores it; a spider may act on it.
    pub fn is_noindex(&self) -> bool {
        self.robots().noindex
    }

    /// The canonical URL that the page names (`<link rel=canonical>`).
    pub fn canonical(&self) -> Option<Url> {
        self.document.canonical()
    }

    /// The links that a crawler follows: `a`, `area`, frames, `meta refresh`, `next`, entries of feeds. They
    /// are absolute, http or https, in document order, without fragments and repeats.
    pub fn links(&self) -> Vec<Link> {
        self.document.links()
    }
}

/// A URL that ended as a failure, as `failed` receives it.
#[derive(Debug)]
pub struct Failure<Step> {
    pub(crate) url: Arc<str>,
    pub(crate) reason: Reason,
    pub(crate) attempts: u16,
    pub(crate) depth: u16,
    pub(crate) referrer: Option<String>,
    pub(crate) error: Option<String>,
    pub(crate) step: Step,
    pub(crate) page: Option<Page<Step>>,
}

impl<Step> Failure<Step> {
    /// The URL that was requested.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The step that it was requested for.
    pub fn step(&self) -> &Step {
        &self.step
    }

    /// The page or sitemap that it was found on; `None` for a seed.
    pub fn referrer(&self) -> Option<&str> {
        self.referrer.as_deref()
    }

    /// Why it failed, as a stable word.
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// The number of attempts.
    pub fn attempts(&self) -> u16 {
        self.attempts
    }

    /// The number of links from a seed.
    pub fn depth(&self) -> u16 {
        self.depth
    }

    /// The error text of the last attempt.
    pub fn error(&self) -> Option<&str> {
        self.error.as_deref()
    }

    /// The answer, if a complete one arrived (a 404 with its body).
    pub fn page(&self) -> Option<&Page<Step>> {
        self.page.as_ref()
    }
}
