//! The pages and failures that a spider reads.

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

/// An answer as it travels from the fetcher to the spider: no DOM in it, so it may cross threads.
#[derive(Debug)]
pub struct Answer {
    /// Where the bytes came from.
    pub url: Url,
    /// The status.
    pub status: u16,
    /// All header fields.
    pub headers: HeaderMap,
    /// The body, decompressed.
    pub body: Bytes,
    /// The body was longer than enough, and its rest was not read.
    pub cut: bool,
    /// The body's share of the crawl's memory for bodies.
    pub permit: Option<BodyShare>,
    /// From the start of the attempt to the last byte.
    pub elapsed: Duration,
}

/// The share of the crawl's memory that a body takes. The memory is free again when this is dropped; nothing here
/// reads it, since the budget belongs to the transport.
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

/// A fetched page, as `parse` sees it.
///
/// Decoding, the link pass and the DOM are made when they are first asked for, and once: a spider
/// that reads only links never pays for a DOM.
///
/// Tests of a spider make one with [`Page::from_html`].
#[derive(Debug)]
pub struct Page<Step> {
    origin: Arc<str>,
    status: u16,
    headers: HeaderMap,
    depth: u16,
    attempts: u16,
    elapsed: Duration,
    referrer: Option<Box<str>>,
    user_agent: Arc<str>,
    session: Option<Box<str>>,
    known_hash: Option<u64>,
    step: Step,
    document: Document,
    /// Goes back when the page is done with.
    pub(crate) permit: Option<BodyShare>,
}

/// The facts of a page besides its bytes.
pub struct PageFacts {
    /// The URL that was asked for.
    pub origin: Arc<str>,
    /// Links from a seed.
    pub depth: u16,
    /// Attempts it took.
    pub attempts: u16,
    /// The page or sitemap that it was found on.
    pub referrer: Option<Box<str>>,
    /// As whom it was fetched.
    pub user_agent: Arc<str>,
    /// Its session; `None` for the crawl's own.
    pub session: Option<Box<str>>,
    /// The hash of its body when it was fetched before, if that is known.
    pub known_hash: Option<u64>,
    /// Its host has shown its content too often: its links are a trap's.
    pub is_repeated: bool,
}

impl<Step> Page<Step> {
    pub(crate) fn new(answer: Answer, step: Step, facts: PageFacts) -> Self {
        // As bytes: some of them may be no ASCII.
        let content_types = answer.headers.get_all(http::header::CONTENT_TYPE).iter().map(|v| v.as_bytes());
        Self {
            origin: facts.origin,
            status: answer.status,
            depth: facts.depth,
            attempts: facts.attempts,
            elapsed: answer.elapsed,
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
            origin: url.as_str().into(),
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
            },
            step,
            facts,
        )
    }

    /// The step that this page was requested for.
    pub fn step(&self) -> &Step {
        &self.step
    }

    /// The URL that was asked for: where a chain of redirects began. Output names pages by it.
    pub fn origin(&self) -> &str {
        &self.origin
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

    /// A header field as text; none if it is absent or not ASCII.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Links from a seed.
    pub fn depth(&self) -> u16 {
        self.depth
    }

    /// Attempts it took: 1 at least, or 0 if it was read from the cache.
    pub fn attempts(&self) -> u16 {
        self.attempts
    }

    /// From the start of the attempt to the last byte.
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }

    /// The page or sitemap that it was first found on; none for a seed.
    pub fn referrer(&self) -> Option<&str> {
        self.referrer.as_deref()
    }

    /// The session that it was fetched in; none for the crawl's own.
    pub fn session(&self) -> Option<&str> {
        self.session.as_deref()
    }

    /// Whether the server says that nothing has changed since the validators that the request had: a
    /// 304. There is no body then.
    pub fn is_not_modified(&self) -> bool {
        self.status == 304
    }

    /// Whether it is what it was when an earlier run fetched it: the server says so by a 304, or its
    /// body is the same. For crawls with a history (`Crawler::history`) that are
    /// refreshed (`Crawler::refresh`); a page that is fetched for the first time is never.
    pub fn is_unchanged(&self) -> bool {
        let same = |known| xxhash_rust::xxh3::xxh3_64(self.body()) == known;
        self.is_not_modified() || self.known_hash.is_some_and(same)
    }

    /// `ETag`, for [`Request::if_none_match`](crate::Request::if_none_match).
    pub fn etag(&self) -> Option<&str> {
        self.header("etag")
    }

    /// `Last-Modified`, for [`Request::if_modified_since`](crate::Request::if_modified_since).
    pub fn last_modified(&self) -> Option<&str> {
        self.header("last-modified")
    }

    /// What to ask with, next time, whether the page has changed.
    pub fn validators(&self) -> Validators {
        let body_hash = Some(xxhash_rust::xxh3::xxh3_64(self.body())).filter(|_| !self.is_not_modified());
        Validators { body_hash, ..Validators::read(&self.headers) }
    }

    /// The body, decompressed.
    pub fn body(&self) -> &Bytes {
        self.document.body()
    }

    /// The SHA-256 of the body: equal for equal content, wherever it comes from.
    pub fn body_hash(&self) -> ContentHash {
        ContentHash::of(self.body())
    }

    /// The document with all that can be read from it.
    pub fn document(&self) -> &Document {
        &self.document
    }

    /// The body as text: decoded by BOM, header, `<meta>`, or what it looks like.
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

    /// The first form that a selector matches, filled as the page came; see
    /// [`Request::submit`](crate::Request::submit).
    ///
    /// # Errors
    /// When there is none, or it is none that can be sent as `application/x-www-form-urlencoded`.
    pub fn form(&self, selector: &str) -> Result<Form, FormError> {
        self.document.form(selector)
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// When it is no JSON, or another shape.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, ExtractError> {
        self.document.json()
    }

    /// What the page asks of crawlers (`<meta name=robots>` and the header field `X-Robots-Tag`), and of
    /// this one by name.
    pub fn robots(&self) -> Directives {
        let fields = self.headers.get_all("x-robots-tag").iter();
        let words = fields.map(|value| String::from_utf8_lossy(value.as_bytes()));
        let header = words.map(|words| Directives::of_header(&words, &self.user_agent));
        header.fold(self.document.robots(&self.user_agent), |all, one| all | one)
    }

    /// Whether the page asks not to be shown in an index: a fact, and what to make of it is the spider's.
    pub fn is_noindex(&self) -> bool {
        self.robots().noindex
    }

    /// The name that the page prefers for itself (`<link rel=canonical>`), if it is one.
    pub fn canonical(&self) -> Option<Url> {
        self.document.canonical()
    }

    /// The links that a crawler follows (`a`, `area`, frames, `meta refresh`, `next`, entries of feeds): absolute http(s), document order, no fragment, no repeats.
    pub fn links(&self) -> Vec<Link> {
        self.document.links()
    }
}

/// A URL that ended as a failure, as `failed` sees it.
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
    /// The URL that was asked for.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The step that it was requested for.
    pub fn step(&self) -> &Step {
        &self.step
    }

    /// The page or sitemap that it was found on; none for a seed.
    pub fn referrer(&self) -> Option<&str> {
        self.referrer.as_deref()
    }

    /// The stable word for why.
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// Attempts it used up.
    pub fn attempts(&self) -> u16 {
        self.attempts
    }

    /// Links from a seed.
    pub fn depth(&self) -> u16 {
        self.depth
    }

    /// The error text of the last attempt.
    pub fn error(&self) -> Option<&str> {
        self.error.as_deref()
    }

    /// The answer, where there was a complete one (a 404 with its page).
    pub fn page(&self) -> Option<&Page<Step>> {
        self.page.as_ref()
    }
}
