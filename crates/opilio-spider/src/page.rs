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

/// An answer on its way from the fetcher to the spider. It holds no DOM (a parsed HTML tree), so it may be sent to
/// another thread.
#[derive(Debug)]
pub struct Answer {
    /// The URL that the body was received from: the last URL of a chain of redirects.
    pub url: Url,
    /// The HTTP status.
    pub status: u16,
    /// All header fields of the answer.
    pub headers: HeaderMap,
    /// The body, decompressed.
    pub body: Bytes,
    /// Whether the body was longer than needed, so that its rest was not read.
    pub cut: bool,
    /// The part of the crawl's memory limit for bodies that this body takes.
    pub permit: Option<BodyShare>,
    /// The time from the start of the attempt to the last byte of the answer.
    pub elapsed: Duration,
    /// When the answer had arrived, in milliseconds since 1970; `None` if the answer comes from a cache or
    /// was never fetched.
    pub fetched_unix_millis: Option<i64>,
}

/// The part of the crawl's memory limit for bodies that one body takes. Dropping this value gives the memory back. No
/// code of this crate looks into the value: the transport made it and counts the memory.
pub struct BodyShare {
    _share: Box<dyn Send + Sync>,
}

impl BodyShare {
    /// Wraps a permit of the transport. The permit is kept for as long as the body.
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
/// The text is decoded, the links are collected and the DOM is built when a method first needs them, and only once. A
/// spider that reads only links never builds the DOM.
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
    /// The page's part of the memory limit for bodies. It is given back when the page is dropped.
    pub(crate) permit: Option<BodyShare>,
}

/// The circumstances in which an answer arrived: its duration, whether its end is missing, and its time.
#[derive(Debug)]
struct Arrival {
    elapsed: Duration,
    cut: bool,
    unix_millis: Option<i64>,
}

/// The facts about a page that do not come from the answer.
pub struct PageFacts {
    /// The URL that was requested. After redirects the page's own URL is another one.
    pub requested_url: Arc<str>,
    /// The number of links from a seed to this page.
    pub depth: u16,
    /// The number of attempts that the page took.
    pub attempts: u16,
    /// The page or sitemap on which the URL was found; `None` for a seed.
    pub referrer: Option<Box<str>>,
    /// The user agent that the request was sent with.
    pub user_agent: Arc<str>,
    /// The session of the request; `None` for the crawl's own session.
    pub session: Option<Box<str>>,
    /// The hash of the page's body in an earlier run, if it is known.
    pub known_hash: Option<u64>,
    /// Whether the host has sent the same content too often. Then the links of the page are not followed.
    pub is_repeated: bool,
}

impl<Step> Page<Step> {
    pub(crate) fn new(answer: Answer, step: Step, facts: PageFacts) -> Self {
        // Read as bytes, since the values need not be ASCII.
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

    /// Makes a page that was never fetched, for tests of a spider.
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

    /// Returns the step for which this page was requested.
    pub fn step(&self) -> &Step {
        &self.step
    }

    /// Returns the URL that was requested: the first URL of a chain of redirects. Outputs name a page by this URL.
    pub fn requested_url(&self) -> &str {
        &self.requested_url
    }

    /// The former name of [`requested_url`](Self::requested_url).
    #[deprecated(note = "use `requested_url`: an origin is scheme, name and port")]
    pub fn origin(&self) -> &str {
        &self.requested_url
    }

    /// Returns the URL that the body was received from, after redirects. Relative links are resolved against this
    /// URL, or against `<base>` if the page has that element.
    pub fn url(&self) -> &Url {
        self.document.url()
    }

    /// Returns the HTTP status: 200–299, or 304.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Returns all header fields of the answer.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Returns a header field as text; `None` if the field is absent or not ASCII.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Returns the number of links from a seed to this page; 0 for a seed.
    pub fn depth(&self) -> u16 {
        self.depth
    }

    /// Returns how many attempts the page took: at least 1, or 0 if the page was read from the cache.
    pub fn attempts(&self) -> u16 {
        self.attempts
    }

    /// Returns the time from the start of the last attempt to the last byte of the answer.
    pub fn elapsed(&self) -> Duration {
        self.arrival.elapsed
    }

    /// Returns when the answer had arrived, in milliseconds since 1970; `None` if the page was read from a cache or
    /// was never fetched.
    pub fn fetched_unix_millis(&self) -> Option<i64> {
        self.arrival.unix_millis
    }

    /// Returns whether the body was longer than the limit for bodies, so that its end is missing.
    pub fn is_cut(&self) -> bool {
        self.arrival.cut
    }

    /// Returns the URL of the page or sitemap on which this URL was first found; `None` for a seed.
    pub fn referrer(&self) -> Option<&str> {
        self.referrer.as_deref()
    }

    /// Returns the session of the request; `None` for the crawl's own session.
    pub fn session(&self) -> Option<&str> {
        self.session.as_deref()
    }

    /// Returns whether the answer was a 304: the page has not changed since the server sent the validators (such as
    /// an `ETag`) of the request. Such an answer has no body.
    pub fn is_not_modified(&self) -> bool {
        self.status == 304
    }

    /// Returns whether the page is the same as when an earlier run fetched it: the answer is a 304, or the body is
    /// equal. This works only in a crawl that keeps a history (`Crawler::history`) and is refreshed
    /// (`Crawler::refresh`); in all other crawls the result is `false`.
    pub fn is_unchanged(&self) -> bool {
        let same = |known| xxhash_rust::xxh3::xxh3_64(self.body()) == known;
        self.is_not_modified() || self.known_hash.is_some_and(same)
    }

    /// Returns the header field `ETag`, for [`Request::if_none_match`](crate::Request::if_none_match).
    pub fn etag(&self) -> Option<&str> {
        self.header("etag")
    }

    /// Returns the header field `Last-Modified`, for
    /// [`Request::if_modified_since`](crate::Request::if_modified_since).
    pub fn last_modified(&self) -> Option<&str> {
        self.header("last-modified")
    }

    /// Returns the validators to send with the next request for this page, so that the server can answer 304.
    pub fn validators(&self) -> Validators {
        let body_hash = Some(xxhash_rust::xxh3::xxh3_64(self.body())).filter(|_| !self.is_not_modified());
        Validators { body_hash, ..Validators::read(&self.headers) }
    }

    /// Returns the body, decompressed.
    pub fn body(&self) -> &Bytes {
        self.document.body()
    }

    /// Returns the SHA-256 of the body. Equal bodies have equal hashes, whatever their URLs.
    pub fn body_hash(&self) -> ContentHash {
        ContentHash::of(self.body())
    }

    /// Returns the document, which has further methods for reading it.
    pub fn document(&self) -> &Document {
        &self.document
    }

    /// Returns the body as text. The encoding is found from the byte order mark, the header field, `<meta>`, or the
    /// bytes themselves.
    pub fn text(&self) -> &str {
        self.document.text()
    }

    /// Returns the text of `<title>`, with each run of white space replaced by one space.
    pub fn title(&self) -> Option<&str> {
        self.document.title()
    }

    /// Returns the elements that a CSS selector matches, in HTML and in XML. The first call builds the DOM.
    ///
    /// # Errors
    /// When the selector cannot be parsed.
    pub fn css(&self, selector: &str) -> Result<Matches<'_>, SelectorError> {
        self.document.css(selector)
    }

    /// Returns the first form that a selector matches, with the values of its fields. To send the form, see
    /// [`Request::submit`](crate::Request::submit).
    ///
    /// # Errors
    /// When no form matches, or the form cannot be sent as `application/x-www-form-urlencoded`.
    pub fn form(&self, selector: &str) -> Result<Form, FormError> {
        self.document.form(selector)
    }

    /// Parses the body as JSON.
    ///
    /// # Errors
    /// When the body is not JSON, or does not fit the type.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, ExtractError> {
        self.document.json()
    }

    /// Returns the robots directives (such as `noindex`) of the page: those of `<meta name=robots>` and of the header
    /// field `X-Robots-Tag`, including directives that name the user agent of this crawler.
    pub fn robots(&self) -> Directives {
        let fields = self.headers.get_all("x-robots-tag").iter();
        let words = fields.map(|value| String::from_utf8_lossy(value.as_bytes()));
        let header = words.map(|words| Directives::of_header(&words, &self.user_agent));
        header.fold(self.document.robots(&self.user_agent), |all, one| all | one)
    }

    /// Returns whether the page asks not to be indexed. The crawl ignores this wish; a spider may respect it.
    pub fn is_noindex(&self) -> bool {
        self.robots().noindex
    }

    /// Returns the canonical URL that the page states (`<link rel=canonical>`).
    pub fn canonical(&self) -> Option<Url> {
        self.document.canonical()
    }

    /// Returns the links that a crawler follows: those in `a`, `area`, frames, `meta refresh`, `next`, and in entries
    /// of feeds. The URLs are absolute, http or https, in document order, without fragments. Each URL occurs once.
    pub fn links(&self) -> Vec<Link> {
        self.document.links()
    }
}

/// A URL that ended as a failure, as `Spider::failed` receives it.
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
    /// Returns the URL that was requested.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the step for which the URL was requested.
    pub fn step(&self) -> &Step {
        &self.step
    }

    /// Returns the page or sitemap on which the URL was found; `None` for a seed.
    pub fn referrer(&self) -> Option<&str> {
        self.referrer.as_deref()
    }

    /// Returns the reason of the failure, one of a fixed list of words.
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// Returns how many attempts were made.
    pub fn attempts(&self) -> u16 {
        self.attempts
    }

    /// Returns the number of links from a seed to this URL.
    pub fn depth(&self) -> u16 {
        self.depth
    }

    /// Returns the error text of the last attempt.
    pub fn error(&self) -> Option<&str> {
        self.error.as_deref()
    }

    /// Returns the answer, if a complete one arrived, such as a 404 with its body.
    pub fn page(&self) -> Option<&Page<Step>> {
        self.page.as_ref()
    }
}
