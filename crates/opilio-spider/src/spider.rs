//! The trait that users implement, and the collector for the results of its method `parse`.

use std::collections::HashSet;
use std::fmt;

use bytes::Bytes;
use opilio_export::ContentHash;

use crate::page::{BodyShare, Failure, Page};
use crate::report::CrawlReport;
use crate::request::{Request, Target};
use opilio_extract::Link;
use opilio_robots::sitemap::Entry;
use serde::Serialize;
use serde::de::DeserializeOwned;
use url::Url;

/// A spider. It names the seeds (the first requests), and turns pages into items and further requests.
///
/// ```
/// # mod opilio { pub use {opilio_core::*, opilio_spider::*, opilio_export::*, opilio_export as export}; }
/// use opilio::{Found, Page, ParseError, Request, Spider};
/// use serde::Serialize;
///
/// #[derive(Serialize)]
/// struct Title { url: String, title: String }
///
/// struct Titles;
///
/// impl Spider for Titles {
///     type Item = Title;
///     type Step = ();
///
///     fn seeds(&self) -> Vec<Request<()>> {
///         vec![Request::get("http://127.0.0.1:8080/", ())]
///     }
///
///     fn parse(&self, page: &Page<()>, found: &mut Found<Self>) -> Result<(), ParseError> {
///         found.item(Title { url: page.url().to_string(), title: page.title().unwrap_or_default().into() });
///         found.follow_links(page, ());
///         Ok(())
///     }
/// }
/// ```
pub trait Spider: Send + Sync + Sized + 'static {
    /// One item of the output, such as a product.
    type Item: Serialize + Send;
    /// The kind of a page, such as "listing" or "product". Each request carries a step, and the frontier
    /// stores it as JSON.
    ///
    /// The JSON holds the names of variants and fields. A crawl can still be resumed after variants or fields were
    /// added or reordered. After one was renamed, the crawl is not resumed (`CrawlError::OtherSteps`), unless
    /// `#[serde(alias = "old")]` states the old name.
    type Step: Serialize + DeserializeOwned + Clone + Send + 'static;

    /// The version of the steps. Raise this number when a name of a variant or field gets another meaning. A stored
    /// frontier of another version is refused.
    const VERSION: u32 = 1;

    /// Returns the name of the spider, as a stored frontier holds it. By default this is the path of the type, so a
    /// spider that moves to another module counts as another spider. Return a fixed name to prevent that.
    fn name(&self) -> &str {
        std::any::type_name::<Self>()
    }

    /// Returns the columns of an item, in words, for a spider whose columns are configurable. If the words differ
    /// from those of an earlier run, the crawl is not resumed into the same output.
    fn item_layout(&self) -> String {
        String::new()
    }

    /// Returns the first requests of the crawl.
    fn seeds(&self) -> Vec<Request<Self::Step>>;

    /// Reads a page and puts items and requests into `found`. It must compute only and never wait: to fetch
    /// something, add a request.
    ///
    /// # Errors
    /// If `parse` returns an error, the URL ends as `parse_error`; if it panics, as `parse_panic`. In both cases the
    /// items and requests of this page are discarded, and the crawl goes on.
    fn parse(&self, page: &Page<Self::Step>, found: &mut Found<Self>) -> Result<(), ParseError>;

    /// Returns whether a page that a sitemap lists is requested. By default all pages are. A spider may choose by the
    /// entry's `lastmod`, for instance.
    fn lists(&self, entry: &Entry) -> bool {
        let _ = entry;
        true
    }

    /// Called when a URL has ended as a failure. The spider may add requests and items to `found`.
    fn failed(&self, failure: &Failure<Self::Step>, found: &mut Found<Self>) {
        let _ = (failure, found);
    }

    /// Called once when the crawl begins.
    fn opened(&self) {}

    /// Called once when the crawl has ended.
    fn closed(&self, report: &CrawlReport) {
        let _ = report;
    }
}

/// The reason why `parse` could not read a page. The operator `?` converts any error into a `ParseError`.
pub struct ParseError(Box<dyn std::error::Error + Send + Sync>);

impl ParseError {
    /// Makes an error with this text.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into().into())
    }
}

impl<E: std::error::Error + Send + Sync + 'static> From<E> for ParseError {
    fn from(error: E) -> Self {
        Self(Box::new(error))
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}

impl fmt::Debug for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The requests and items that `parse` adds for one page. If `parse` fails, all of them are discarded.
pub struct Found<S: Spider> {
    pub(crate) items: Vec<S::Item>,
    pub(crate) requests: Vec<Request<S::Step>>,
    /// Links that the page asks crawlers not to follow. They count as filtered.
    pub(crate) unfollowed: Vec<Url>,
    pub(crate) files: Vec<(ContentHash, Bytes)>,
    /// The part of the crawl's memory limit for bodies that the files take.
    pub(crate) permit: Option<BodyShare>,
}

impl<S: Spider> Found<S> {
    pub(crate) fn new() -> Self {
        Self {
            items: Vec::new(),
            requests: Vec::new(),
            unfollowed: Vec::new(),
            files: Vec::new(),
            permit: None,
        }
    }

    /// Adds an item, which is written to all outputs of the crawl.
    pub fn item(&mut self, item: S::Item) {
        self.items.push(item);
    }

    /// Stores the page's body as a file in the directory of `Crawler::files`. The name of the file is the hash of the
    /// body; an item can hold its [`ContentHash::path`].
    ///
    /// The file is written before the page counts as done. If the file cannot be written, the page ends as
    /// `not_stored`, and its items and requests are discarded.
    ///
    /// ```
    /// # mod opilio { pub use {opilio_core::*, opilio_spider::*, opilio_export::*, opilio_export as export}; }
    /// use opilio::{Found, Page, ParseError, Spider};
    /// # use opilio_spider::Request;
    /// # struct Images;
    /// # impl Spider for Images {
    /// #     type Item = serde_json::Value;
    /// #     type Step = ();
    /// #     fn seeds(&self) -> Vec<Request<()>> { vec![] }
    /// fn parse(&self, page: &Page<()>, found: &mut Found<Self>) -> Result<(), ParseError> {
    ///     let hash = found.file(page);
    ///     found.item(serde_json::json!({ "url": page.requested_url(), "file": hash.path() }));
    ///     Ok(())
    /// }
    /// # }
    /// # let page = Page::from_html("http://shop.example/".parse()?, (), "abc");
    /// # let found = opilio_spider::parse_page(&Images, &page).map_err(|e| e.to_string())?;
    /// # assert!(found.items()[0]["file"].as_str().unwrap().starts_with("ba/7816bf8f"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn file(&mut self, page: &Page<S::Step>) -> ContentHash {
        self.file_of(page.body().clone())
    }

    /// Stores any other bytes as a file, in the same way as [`Found::file`] stores a page's body.
    pub fn file_of(&mut self, bytes: impl Into<Bytes>) -> ContentHash {
        let bytes = bytes.into();
        let hash = ContentHash::of(&bytes);
        self.files.push((hash, bytes));
        hash
    }

    /// Adds a request. A URL that is given as text may be relative to the page. A text that is not a URL
    /// counts as filtered.
    pub fn request(&mut self, request: Request<S::Step>) {
        self.requests.push(request);
    }

    /// Adds a GET of a URL. The URL may be relative to the page.
    pub fn link(&mut self, page: &Page<S::Step>, href: impl Into<Target>, step: S::Step) {
        let target = href.into();
        let url = target.seen_from(page.document());
        self.requests.push(Request::get(url.map_or(target, Target::from), step));
    }

    /// Adds a request for each element that a selector matches. The URL is the element's `href` or `src`, or the text
    /// of an RSS `<link>`. Returns the number of links. `nofollow` is ignored, since the caller chose these links.
    ///
    /// # Errors
    /// When the selector cannot be parsed.
    pub fn follow(
        &mut self,
        page: &Page<S::Step>,
        selector: &str,
        step: S::Step,
    ) -> Result<usize, ParseError> {
        let mut count = 0;
        for element in page.css(selector)?.iter() {
            if let Some(href) = element.href() {
                let url = page.document().resolve_in(&element, &href);
                let target = url.map_or_else(|| Target::from(&*href), Target::from);
                self.requests.push(Request::get(target, step.clone()));
                count += 1;
            }
        }
        Ok(count)
    }

    /// Adds a request for each link of the page, except for links that the page asks not to follow (`rel=nofollow`,
    /// or [`Page::robots`] for the whole page). Returns the number of links.
    pub fn follow_links(&mut self, page: &Page<S::Step>, step: S::Step) -> usize {
        self.links(page, page.links(), step)
    }

    /// Adds a request for each of the given links of the page, as [`Found::follow_links`] does for all. Links
    /// that the page asks not to follow count as filtered (`nofollow`), unless another page has the same
    /// links without `nofollow`.
    pub fn links(
        &mut self,
        page: &Page<S::Step>,
        links: impl IntoIterator<Item = Link>,
        step: S::Step,
    ) -> usize {
        let before = self.requests.len();
        let all_unfollowed = page.robots().nofollow;
        for link in links {
            if link.nofollow || all_unfollowed {
                self.unfollowed.push(link.url);
            } else {
                self.requests.push(Request::get(link.url, step.clone()));
            }
        }
        self.requests.len() - before
    }

    /// Moves the requests to the results of another spider with the same steps, and returns the items. The files are
    /// dropped. For a spider that wraps another one: it calls the inner spider by [`parse_page`] and
    /// [`read_failure`].
    pub fn pass_on<Outer>(self, outer: &mut Found<Outer>) -> Vec<S::Item>
    where
        Outer: Spider<Step = S::Step>,
    {
        outer.requests.extend(self.requests);
        outer.unfollowed.extend(self.unfollowed);
        self.items
    }

    /// Marks those requests whose URLs are links of the page. The other URLs were made by the spider.
    pub(crate) fn tell_links(&mut self, page: &Page<S::Step>) {
        let shown: HashSet<Url> = page.links().into_iter().map(|link| link.url).collect();
        for request in &mut self.requests {
            request.is_link = request.url.seen_from(page.document()).is_some_and(|url| shown.contains(&url));
        }
    }

    /// Returns the items so far, for tests of a spider.
    pub fn items(&self) -> &[S::Item] {
        &self.items
    }

    /// Returns the number of requests so far, for tests of a spider.
    pub fn requested(&self) -> usize {
        self.requests.len()
    }

    /// Returns the requests so far, for tests of a spider.
    pub fn requests(&self) -> &[Request<S::Step>] {
        &self.requests
    }
}

/// Runs `parse` on one page without a crawl, for tests of a spider.
///
/// ```
/// # mod opilio { pub use {opilio_core::*, opilio_spider::*, opilio_export::*, opilio_export as export}; }
/// use opilio::{Found, Page, ParseError, Request, Spider, parse_page};
/// # struct Prices;
/// # impl Spider for Prices {
/// #     type Item = String;
/// #     type Step = ();
/// #     fn seeds(&self) -> Vec<Request<()>> { vec![] }
/// #     fn parse(&self, page: &Page<()>, found: &mut Found<Self>) -> Result<(), ParseError> {
/// #         page.css(".price")?.texts().into_iter().for_each(|price| found.item(price));
/// #         found.follow(page, "a.next", ())?;
/// #         Ok(())
/// #     }
/// # }
///
/// let url = "http://shop.example/lamps".parse()?;
/// let page = Page::from_html(url, (), "<p class=price>12.50</p><a class=next href=?page=2>more</a>");
/// let found = parse_page(&Prices, &page).map_err(|error| error.to_string())?;
/// assert_eq!(found.items(), ["12.50"]);
/// assert_eq!(found.requested(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// When `parse` returns an error.
pub fn parse_page<S: Spider>(spider: &S, page: &Page<S::Step>) -> Result<Found<S>, ParseError> {
    let mut found = Found::new();
    spider.parse(page, &mut found)?;
    Ok(found)
}

/// Runs `failed` on one failure without a crawl, for a spider that wraps another one.
pub fn read_failure<S: Spider>(spider: &S, failure: &Failure<S::Step>) -> Found<S> {
    let mut found = Found::new();
    spider.failed(failure, &mut found);
    found
}
