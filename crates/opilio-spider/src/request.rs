//! The requests of a spider. A request has a URL, the step that reads the answer, and options.

use opilio_core::{Priority, Proxy, Score, Validators};
use opilio_extract::{Document, Form};
use url::Url;

use crate::data::{Reads, RequestOptions};

/// A request of a spider. By default it is a GET, is sent once per crawl, and keeps to the limits of its host.
///
/// ```
/// # mod opilio { pub use {opilio_core::*, opilio_spider::*, opilio_export::*, opilio_export as export}; }
/// use opilio::Request;
///
/// let search = Request::get("http://127.0.0.1:8080/search", ())
///     .method("POST")
///     .header("content-type", "application/x-www-form-urlencoded")
///     .body("q=cable")
///     .retries(1)
///     .priority(5);
/// ```
#[derive(Clone, Debug)]
pub struct Request<Step> {
    pub(crate) url: Target,
    pub(crate) step: Step,
    pub(crate) priority: Priority,
    pub(crate) score: Score,
    pub(crate) options: Option<Box<RequestOptions>>,
    pub(crate) reads: Reads,
    pub(crate) again: bool,
    pub(crate) guessed: bool,
    /// Whether the request is for a link of its page. Set only if the page's host has sent the same content
    /// too often.
    pub(crate) is_link: bool,
}

/// The URL of a request: a [`Url`], or a text that may be relative to the page. If the text turns out not to be a
/// URL, the request counts as filtered.
#[derive(Clone, Debug)]
pub struct Target(TargetKind);

#[derive(Clone, Debug)]
enum TargetKind {
    Url(Url),
    Text(String),
}

impl Target {
    fn as_str(&self) -> &str {
        match &self.0 {
            TargetKind::Url(url) => url.as_str(),
            TargetKind::Text(text) => text,
        }
    }

    /// Returns the absolute URL, resolved as the links of a page are; `None` for a text that is not a web URL.
    pub(crate) fn seen_from(&self, document: &Document) -> Option<Url> {
        match &self.0 {
            TargetKind::Url(url) => Some(url.clone()),
            TargetKind::Text(text) => document.resolve(text),
        }
    }

    /// Returns the absolute URL. A relative text is resolved against `base`.
    pub(crate) fn absolute(self, base: Option<&Url>) -> Result<Url, BadUrl> {
        let text = match self.0 {
            TargetKind::Url(url) => return Ok(url),
            TargetKind::Text(text) => text,
        };
        let url = match base {
            Some(base) => opilio_extract::join(base, text.trim()),
            None => Url::parse(text.trim()),
        };
        url.map_err(|error| BadUrl { text: opilio_core::redacted(&text), error })
    }
}

/// A text that is not a URL.
#[derive(Debug, thiserror::Error)]
#[error("{text:?} is not a URL: {}", why(*error))]
pub struct BadUrl {
    /// The text that was given, with any user name and password removed.
    pub text: String,
    error: url::ParseError,
}

fn why(error: url::ParseError) -> String {
    match error {
        url::ParseError::RelativeUrlWithoutBase => {
            "it has no scheme: write http:// or https:// in front".to_owned()
        }
        error => error.to_string(),
    }
}

impl From<Url> for Target {
    fn from(url: Url) -> Self {
        Self(TargetKind::Url(url))
    }
}

impl From<&Url> for Target {
    fn from(url: &Url) -> Self {
        Self(TargetKind::Url(url.clone()))
    }
}

impl From<&str> for Target {
    fn from(text: &str) -> Self {
        Self(TargetKind::Text(text.to_owned()))
    }
}

impl From<String> for Target {
    fn from(text: String) -> Self {
        Self(TargetKind::Text(text))
    }
}

impl<Step> Request<Step> {
    /// Makes a GET of this URL (a [`Url`], or a text that may be relative to the page). `step` reads the answer.
    #[must_use]
    pub fn get(url: impl Into<Target>, step: Step) -> Self {
        Self {
            url: url.into(),
            step,
            priority: Priority::default(),
            score: Score::default(),
            options: None,
            reads: Reads::Page,
            again: false,
            guessed: false,
            is_link: false,
        }
    }

    /// Makes a POST to this URL. Add a body with [`json`](Self::json), [`form`](Self::form) or [`body`](Self::body).
    ///
    /// ```
    /// # mod opilio { pub use {opilio_core::*, opilio_spider::*, opilio_export::*, opilio_export as export}; }
    /// use opilio::Request;
    /// use serde_json::json;
    ///
    /// let query = Request::post("http://shop.example/search", ()).json(&json!({ "query": "lamp", "page": 1 }));
    /// let form = Request::post("http://shop.example/search", ()).form([("query", "lamp"), ("sort", "price up")]);
    /// # let _ = (query, form);
    /// ```
    #[must_use]
    pub fn post(url: impl Into<Target>, step: Step) -> Self {
        Self::get(url, step).method("POST")
    }

    /// Makes a request for a sitemap. Each page that the sitemap lists is requested with `step`, as if it were a
    /// seed, if the crawl's scope and [`Spider::lists`](crate::Spider::lists) accept it.
    ///
    /// Reads XML sitemaps and sitemap indexes (up to three levels of indexes), RSS and Atom feeds, and plain lists of
    /// URLs, with or without gzip. At most 50,000 entries and 50 MiB of each file are read: the limits of
    /// sitemaps.org. The compressed file may be as long as any body. Each file keeps to the limits of its host and
    /// ends once: as a sitemap if it was read to its end, otherwise as a failure. Entries before a broken place or
    /// before a limit are used.
    #[must_use]
    pub fn sitemap(url: impl Into<Target>, step: Step) -> Self {
        Self::nested_sitemap(url, step, 0)
    }

    pub(crate) fn nested_sitemap(url: impl Into<Target>, step: Step, depth: u8) -> Self {
        Self { reads: Reads::Sitemap { depth }, ..Self::get(url, step) }
    }

    /// Makes a request for `/sitemap.xml`, the usual place of a sitemap, which no standard defines. If there is no
    /// file at that place, this is not a failure.
    pub(crate) fn usual_sitemap(step: Step) -> Self {
        Self { guessed: true, ..Self::sitemap("/sitemap.xml", step) }
    }

    /// Makes a request for all sitemaps that the robots.txt of this URL's origin names. Each is read as by
    /// [`Request::sitemap`], and may be on another host. If robots.txt names no sitemap or does not exist,
    /// `/sitemap.xml` is tried. A crawl that obeys robots.txt does not fetch it a second time for this.
    #[must_use]
    pub fn sitemaps_of(origin: impl Into<Target>, step: Step) -> Self {
        let origin = origin.into();
        let robots = origin.clone().absolute(None).ok().and_then(|url| url.join("/robots.txt").ok());
        // A text that is not a URL is reported later, as for every other request.
        Self { reads: Reads::SitemapsOf, ..Self::get(robots.map_or(origin, Target::from), step) }
    }

    /// Makes a request that sends a form, such as a login form: see [`Page::form`](crate::Page::form).
    ///
    /// The session keeps the cookies of the answer. Request the pages behind a login in the step that reads
    /// the answer to the form. Pages that are requested earlier may be fetched before the login. Use the page
    /// with the form as the seed, not a page behind the login: if the answer redirects to a URL that the
    /// crawl already knows, the form ends as an alias of that URL, and the crawl logs a warning.
    /// [`Request::again`] fetches a known URL once more.
    ///
    /// ```
    /// # mod opilio { pub use {opilio_core::*, opilio_spider::*, opilio_export::*, opilio_export as export}; }
    /// use opilio::{Found, Page, ParseError, Request, Spider};
    ///
    /// struct Members;
    ///
    /// impl Spider for Members {
    ///     type Item = String;
    ///     type Step = bool;
    ///
    ///     fn seeds(&self) -> Vec<Request<bool>> {
    ///         vec![Request::get("https://shop.example/login", false)]
    ///     }
    ///
    ///     fn parse(&self, page: &Page<bool>, found: &mut Found<Self>) -> Result<(), ParseError> {
    ///         let logged_in = *page.step();
    ///         if !logged_in {
    ///             let mut form = page.form("form.login")?;
    ///             form.set("user", "alice").set("password", "secret");
    ///             found.request(Request::submit(&form, true));
    ///             return Ok(());
    ///         }
    ///         found.item(page.title().unwrap_or_default().to_owned());
    ///         found.follow_links(page, true);
    ///         Ok(())
    ///     }
    /// }
    /// # let html = "<form class=login method=post><input name=csrf value=7><input name=user></form>";
    /// # let page = Page::from_html("https://shop.example/login".parse()?, false, html);
    /// # assert_eq!(opilio_spider::parse_page(&Members, &page).map_err(|e| e.to_string())?.requested(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn submit(form: &Form, step: Step) -> Self {
        let sent = form.submission();
        let request = Self::get(sent.url, step).method(sent.method);
        match sent.body {
            Some(body) => request.header("content-type", "application/x-www-form-urlencoded").body(body),
            None => request,
        }
    }

    /// Returns the URL as it was given: its text may be relative.
    pub fn target(&self) -> &str {
        self.url.as_str()
    }

    /// Returns the step that reads the answer.
    pub fn step(&self) -> &Step {
        &self.step
    }

    /// Returns the method: GET, unless [`method`](Self::method) has set another one.
    pub fn method_name(&self) -> &str {
        self.options.as_ref().and_then(|options| options.method.as_deref()).unwrap_or("GET")
    }

    /// Returns the name of the session as it was given: empty for the crawl's own session, `None` for the session of
    /// the page.
    pub fn session_name(&self) -> Option<&str> {
        self.options.as_ref()?.session.as_deref()
    }

    /// Returns whether this is a GET without header fields, body, session, proxy and retries of its own.
    pub fn is_bare(&self) -> bool {
        self.options.as_deref().is_none_or(|options| *options == RequestOptions::default())
    }

    /// Replaces the URL; the step and the options stay.
    #[must_use]
    pub fn with_url(mut self, url: impl Into<Target>) -> Self {
        self.url = url.into();
        self
    }

    /// Sets the priority among the requests of the same host: requests of higher priority are sent first. 0
    /// by default.
    #[must_use]
    pub fn priority(mut self, priority: i8) -> Self {
        self.priority = Priority(priority);
        self
    }

    /// Sets the score, for a crawl that is ordered by score: among the requests of one host and one priority, those
    /// with higher scores are sent first. 0 by default. A score is stored with about two significant digits.
    #[must_use]
    pub fn score(mut self, score: f32) -> Self {
        self.score = Score::of(score);
        self
    }

    /// Sets another method than GET. Then the method and the body are part of the key by which duplicates are found.
    #[must_use]
    pub fn method(mut self, method: &str) -> Self {
        self.options().method = Some(method.to_ascii_uppercase()).filter(|method| method != "GET");
        self
    }

    /// Adds a header field to this request alone.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.options().headers.push((name.to_ascii_lowercase(), value.as_ref().to_vec()));
        self
    }

    /// Sets the body to send.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.options().body = Some(body.into());
        self
    }

    /// Sets how often this request is retried, instead of the number of the retry policy.
    #[must_use]
    pub fn retries(mut self, retries: u16) -> Self {
        self.options().retries = Some(retries);
        self
    }

    /// Allows the request to be repeated although its method is not idempotent. Use this if the server can carry out
    /// the request twice without harm.
    #[must_use]
    pub fn safe_to_repeat(mut self) -> Self {
        self.options().repeatable = true;
        self
    }

    /// Uses a named session, with its own cookies, header fields and credentials: see [`Session`](crate::Session).
    /// Redirects keep the session. Requests that are made on the page inherit the session, unless they name another
    /// one. An empty name means the crawl's own session.
    ///
    /// The same URL in two sessions counts as two requests, since a server may show different pages to different
    /// users. So each session fetches the URL once.
    #[must_use]
    pub fn session(mut self, name: impl Into<String>) -> Self {
        self.options().session = Some(name.into());
        self
    }

    /// Sends the request through this proxy instead of the crawl's proxy, also after redirects. The frontier stores
    /// the URL of the proxy with its user name and password.
    #[must_use]
    pub fn proxy(mut self, proxy: &Proxy) -> Self {
        self.options().proxy = Some(proxy.expose().to_owned());
        self
    }

    /// Sends a JSON value as the body.
    #[must_use]
    pub fn json(self, value: &serde_json::Value) -> Self {
        self.header("content-type", "application/json").body(value.to_string())
    }

    /// Sends these fields as the body, encoded like an HTML form (`application/x-www-form-urlencoded`). To send a
    /// form of a page together with its hidden fields, use [`submit`](Self::submit).
    #[must_use]
    pub fn form<K: AsRef<str>, V: AsRef<str>>(self, fields: impl IntoIterator<Item = (K, V)>) -> Self {
        let mut body = url::form_urlencoded::Serializer::new(String::new());
        body.extend_pairs(fields);
        self.header("content-type", "application/x-www-form-urlencoded").body(body.finish())
    }

    /// Requests a URL even if the crawl knows it already: to read a page by two steps, or to poll a page that
    /// changes. Without `again`, each URL is requested once, and a second request with another step is only counted,
    /// as [`CrawlReport::other_step`](crate::CrawlReport::other_step).
    ///
    /// Each page and each seed can request a URL again once for each step. If a page is parsed twice, because the
    /// process was killed, the request is still sent once. The report counts it as a URL of its own. A page that
    /// always requests itself again keeps the crawl running until a limit ends it (`Crawler::max_pages`, a depth
    /// limit, or `Crawler::max_duration`).
    ///
    /// ```
    /// # mod opilio { pub use {opilio_core::*, opilio_spider::*, opilio_export::*, opilio_export as export}; }
    /// use opilio::{Found, Page, Request};
    /// # #[derive(Clone, serde::Serialize, serde::Deserialize)] enum Step { Product, Reviews }
    ///
    /// // The page of a product holds its reviews, too; a step of its own reads them.
    /// let reviews = Request::get("http://shop.example/lamp", Step::Reviews).again();
    /// ```
    #[doc(alias = "dont_filter")]
    #[must_use]
    pub fn again(mut self) -> Self {
        self.again = true;
        self
    }

    /// Requests the page only if its entity tag differs from this one (RFC 9110 §13.1.2). Otherwise `parse` receives
    /// a page that [is not modified](crate::Page::is_not_modified).
    #[must_use]
    pub fn if_none_match(self, etag: impl AsRef<[u8]>) -> Self {
        self.header("if-none-match", etag)
    }

    /// Requests the page only if it was modified after this HTTP-date (RFC 9110 §13.1.3).
    #[must_use]
    pub fn if_modified_since(self, date: impl AsRef<[u8]>) -> Self {
        self.header("if-modified-since", date)
    }

    /// Requests the page only if it has changed since the server sent these validators.
    #[must_use]
    pub fn unless_unchanged(mut self, since: &Validators) -> Self {
        if let Some(etag) = &since.etag {
            self = self.if_none_match(etag);
        }
        if let Some(date) = &since.last_modified {
            self = self.if_modified_since(date);
        }
        self
    }

    fn options(&mut self) -> &mut RequestOptions {
        self.options.get_or_insert_default()
    }
}
