//! The trait that users write, and what `parse` finds.

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

/// A spider: where to begin, and what to make of a page.
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
    /// One record of the output.
    type Item: Serialize + Send;
    /// Which kind of page this is: travels with the request, and is kept with the frontier as JSON.
    ///
    /// The names of variants and fields are kept: a crawl can be resumed after variants or fields were added,
    /// or put in another order. One that was begun with other names is refused
    /// (`CrawlError::OtherSteps`); `#[serde(alias = "old")]` lets a new name
    /// stand for an old one.
    type Step: Serialize + DeserializeOwned + Clone + Send + 'static;

    /// Raise it when steps of the same names come to mean something else: a stored frontier of another
    /// version is refused.
    const VERSION: u32 = 1;

    /// The name that a stored frontier remembers: by default that of the type with its path, so that a spider
    /// that moves to another file or package is another one. A name of its own stays.
    fn name(&self) -> &str {
        std::any::type_name::<Self>()
    }

    /// What an item consists of, in words that differ when it does: for a spider whose fields are a setting.
    /// A crawl whose items consist of something else is not resumed into the same output.
    fn item_layout(&self) -> String {
        String::new()
    }

    /// Where to begin.
    fn seeds(&self) -> Vec<Request<Self::Step>>;

    /// Reads a page. It computes and does not wait; what needs I/O is a request.
    ///
    /// # Errors
    /// An error ends this URL as `parse_error`, a panic as `parse_panic`; either discards all that
    /// this page gave, and the crawl goes on.
    fn parse(&self, page: &Page<Self::Step>, found: &mut Found<Self>) -> Result<(), ParseError>;

    /// A sitemap lists a page: whether to request it. All are, unless this says otherwise: by their
    /// `lastmod`, for instance.
    fn lists(&self, entry: &Entry) -> bool {
        let _ = entry;
        true
    }

    /// A URL ended as a failure. May ask for more, or write an item about it.
    fn failed(&self, failure: &Failure<Self::Step>, found: &mut Found<Self>) {
        let _ = (failure, found);
    }

    /// The crawl begins.
    fn opened(&self) {}

    /// The crawl has ended.
    fn closed(&self, report: &CrawlReport) {
        let _ = report;
    }
}

/// Why `parse` could not read a page. Any error converts into it with `?`.
pub struct ParseError(Box<dyn std::error::Error + Send + Sync>);

impl ParseError {
    /// An error in words.
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

/// The requests and items of one page. All of them count, or none if `parse` fails.
pub struct Found<S: Spider> {
    pub(crate) items: Vec<S::Item>,
    pub(crate) requests: Vec<Request<S::Step>>,
    /// Links that the page asks not to follow: they are counted as filtered.
    pub(crate) unfollowed: Vec<Url>,
    pub(crate) files: Vec<(ContentHash, Bytes)>,
    /// The files' share of the crawl's memory for bodies.
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

    /// An item for the exporters.
    pub fn item(&mut self, item: S::Item) {
        self.items.push(item);
    }

    /// Keeps the page's body as a file of the crawl's `Crawler::files`, named by
    /// its hash; [`ContentHash::path`] says where, for the item.
    ///
    /// The file is there before the page counts as done. If it cannot be written the page ends as
    /// `not_stored`, and nothing of it counts.
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
    ///     found.item(serde_json::json!({ "url": page.origin(), "file": hash.path() }));
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

    /// Keeps other bytes as a file, as [`Found::file`] keeps a page's.
    pub fn file_of(&mut self, bytes: impl Into<Bytes>) -> ContentHash {
        let bytes = bytes.into();
        let hash = ContentHash::of(&bytes);
        self.files.push((hash, bytes));
        hash
    }

    /// A request; a URL given as a text may be relative to the page. What is no URL is counted as filtered.
    pub fn request(&mut self, request: Request<S::Step>) {
        self.requests.push(request);
    }

    /// A GET of a URL that may be relative to the page.
    pub fn link(&mut self, page: &Page<S::Step>, href: impl Into<Target>, step: S::Step) {
        let target = href.into();
        let url = target.seen_from(page.document());
        self.requests.push(Request::get(url.map_or(target, Target::from), step));
    }

    /// Follows the links of all elements that a selector matches (`href`, or `src`; of a `<link>` of RSS its text);
    /// tells how many.
    /// Ignores `nofollow`: the caller chose these links explicitly.
    ///
    /// # Errors
    /// When the selector cannot be read.
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

    /// Follows all links of the page, except those that it asks not to follow (`rel=nofollow`, or
    /// [`Page::robots`] for all of them); tells how many.
    pub fn follow_links(&mut self, page: &Page<S::Step>, step: S::Step) -> usize {
        self.links(page, page.links(), step)
    }

    /// Follows these links of the page as [`Found::follow_links`] does. Those that it asks not to
    /// follow are counted as filtered (`nofollow`), unless another page lets them be followed.
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

    /// Tells the requests for what the page itself links to from those that the spider made.
    pub(crate) fn tell_links(&mut self, page: &Page<S::Step>) {
        let shown: HashSet<Url> = page.links().into_iter().map(|link| link.url).collect();
        for request in &mut self.requests {
            request.is_link = request.url.seen_from(page.document()).is_some_and(|url| shown.contains(&url));
        }
    }

    /// The items so far: for tests of a spider.
    pub fn items(&self) -> &[S::Item] {
        &self.items
    }

    /// How many requests so far: for tests of a spider.
    pub fn requested(&self) -> usize {
        self.requests.len()
    }

    /// The requests so far: for tests of a spider.
    pub fn requests(&self) -> &[Request<S::Step>] {
        &self.requests
    }
}

/// Runs `parse` on one page outside of any crawl: for tests of a spider.
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
/// The result of `parse`.
pub fn parse_page<S: Spider>(spider: &S, page: &Page<S::Step>) -> Result<Found<S>, ParseError> {
    let mut found = Found::new();
    spider.parse(page, &mut found)?;
    Ok(found)
}
