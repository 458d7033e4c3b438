//! Small jobs: crawls that call a closure for each page and need no types of their own for items or steps.

use opilio_spider::{EachPage, Found, Page, ParseError, Target};

use crate::crawler::Crawler;

/// Returns a job: a crawl that begins at one URL. `Job::each` adds the closure that gets each page.
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

/// The seeds of a crawl that calls a closure. [`Job::each`] adds the closure and returns a [`Crawler`].
#[derive(Clone, Debug)]
pub struct Job {
    seeds: Vec<Target>,
}

impl Job {
    /// Adds another URL at which the crawl begins.
    #[must_use]
    pub fn and(mut self, url: impl Into<Target>) -> Self {
        self.seeds.push(url.into());
        self
    }

    /// Sets the closure that gets each page, and returns the crawler.
    pub fn each<F>(self, read: F) -> Crawler<EachPage>
    where
        F: Fn(&Page<()>, &mut Found<EachPage>) -> Result<(), ParseError> + Send + Sync + 'static,
    {
        Crawler::new(EachPage::new(self.seeds, read))
    }
}
