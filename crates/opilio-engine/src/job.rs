//! Small jobs: a crawl of a closure, without a type for items or steps.

use opilio_spider::{Found, Page, ParseError, Request, Spider, Target};
use serde_json::Value;

use crate::crawler::Crawler;

type Each = dyn Fn(&Page<()>, &mut Found<EachPage>) -> Result<(), ParseError> + Send + Sync;

/// A crawl that begins at one URL and hands each page to a closure.
///
/// ```
/// # mod opilio { pub use {opilio_core::*, opilio_engine::*, opilio_export::*, opilio_fetch::*, opilio_export as export}; }
/// # use opilio_fetch::{ScriptedAnswer, ScriptedTransport};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let report = opilio::crawl("http://shop.example/")
///     .each(|page, found| {
///         found.item(serde_json::json!({ "url": page.requested_url(), "title": page.title() }));
///         found.follow_links(page, ());
///         Ok(())
///     })
///     .max_pages(100)
/// #   .no_robots()
/// #   .transport(|| std::rc::Rc::new(ScriptedTransport::new(|_, _: &_| ScriptedAnswer::page("<title>x</title>"))))
///     .run()
///     .await?;
/// assert_eq!((report.pages, report.items), (1, 1));
/// # Ok(()) })
/// # }
/// ```
#[must_use]
pub fn crawl(url: impl Into<Target>) -> Job {
    Job { seeds: vec![url.into()] }
}

/// The seeds of a small job; becomes a [`Crawler`] with [`Job::each`].
#[derive(Clone, Debug)]
pub struct Job {
    seeds: Vec<Target>,
}

impl Job {
    /// Begins at this URL too.
    #[must_use]
    pub fn and(mut self, url: impl Into<Target>) -> Self {
        self.seeds.push(url.into());
        self
    }

    /// What to do with each page.
    pub fn each<F>(self, read: F) -> Crawler<EachPage>
    where
        F: Fn(&Page<()>, &mut Found<EachPage>) -> Result<(), ParseError> + Send + Sync + 'static,
    {
        Crawler::new(EachPage { seeds: self.seeds, read: Box::new(read) })
    }
}

/// The spider of a closure: no steps, items are JSON values.
pub struct EachPage {
    seeds: Vec<Target>,
    read: Box<Each>,
}

impl Spider for EachPage {
    type Item = Value;
    type Step = ();

    fn name(&self) -> &str {
        "each-page"
    }

    fn seeds(&self) -> Vec<Request<()>> {
        self.seeds.iter().cloned().map(|url| Request::get(url, ())).collect()
    }

    fn parse(&self, page: &Page<()>, found: &mut Found<Self>) -> Result<(), ParseError> {
        (self.read)(page, found)
    }
}
