//! Runs the spider's code on one answer. If that code fails or panics, only the result of this page is lost.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use opilio_core::Reason;
use opilio_export::ContentHash;
use url::Url;

use crate::coverage::PageCoverage;
use crate::naming::{Naming, PageName};
use crate::page::{Answer, BodyShare, Failure, Page, PageFacts};
use crate::request::Request;
use crate::spider::{Found, ParseError, Spider};

/// The result of `parse` for one page.
pub enum Read<S: Spider> {
    /// The links and items of the page, and its names (canonical URL and content) if the crawl recognises duplicates.
    Found(Gathered<S>, Option<Box<PageName>>),
    /// The reason of the failure, and the text of the error or panic.
    Failed(Reason, Option<String>),
}

/// The items, requests and files that `parse` has put into [`Found`] for one page.
pub struct Gathered<S: Spider> {
    /// The items for the outputs.
    pub items: Vec<S::Item>,
    /// The requests, including those for links of the page.
    pub requests: Vec<Request<S::Step>>,
    /// The links that the page asks crawlers not to follow.
    pub unfollowed: Vec<Url>,
    /// The bodies to store as files, each with its hash.
    pub files: Vec<(ContentHash, Bytes)>,
    /// The part of the crawl's memory limit for bodies that the files take.
    pub permit: Option<BodyShare>,
}

impl<S: Spider> Default for Gathered<S> {
    fn default() -> Self {
        let (items, requests) = (Vec::new(), Vec::new());
        Self { items, requests, unfollowed: Vec::new(), files: Vec::new(), permit: None }
    }
}

impl<S: Spider> From<Found<S>> for Gathered<S> {
    fn from(found: Found<S>) -> Self {
        let Found { items, requests, unfollowed, files, permit } = found;
        Self { items, requests, unfollowed, files, permit }
    }
}

/// Runs `parse` on one page, and counts what it finds for the fields of structs. If the spider's code fails or panics,
/// only the result of this page is lost; the counts are those until then.
pub fn parse<S: Spider>(
    spider: &S,
    answer: Answer,
    step: S::Step,
    facts: PageFacts,
    url: &str,
    naming: Naming,
) -> (Read<S>, PageCoverage) {
    let work = AssertUnwindSafe(|| {
        let is_repeated = facts.is_repeated;
        let mut page = Page::new(answer, step, facts);
        let mut found = Found::new();
        spider.parse(&page, &mut found)?;
        if is_repeated {
            found.tell_links(&page);
        }
        if let Some(why) = page.document().cut() {
            tracing::warn!(url, %why, "a page was read only in part: links and texts beyond the limit were not seen");
        }
        if let Some(why) = page.document().flaw() {
            tracing::warn!(url, %why, "the content of a page does not fit its Content-Type");
        }
        let name = naming.of(&page).map(Box::new);
        if !found.files.is_empty() {
            found.permit = page.permit.take();
        }
        Ok::<_, ParseError>((found, name))
    });
    let (result, coverage) = PageCoverage::during(|| catch_unwind(work));
    let read = match result {
        Ok(Ok((found, name))) => Read::Found(found.into(), name),
        Ok(Err(error)) => {
            tracing::warn!(url, %error, "the spider's `parse` returned an error");
            Read::Failed(Reason::ParseError, Some(error.to_string()))
        }
        Err(panic) => {
            let error = words_of_panic(&*panic);
            tracing::error!(url, error, "the spider's `parse` panicked");
            Read::Failed(Reason::ParsePanic, Some(error))
        }
    };
    (read, coverage)
}

/// Calls `Spider::failed` for a URL that ended as a failure. If `failed` panics, its items and requests are
/// discarded.
pub fn failed<S: Spider>(
    spider: &S,
    answer: Option<Answer>,
    step: S::Step,
    facts: PageFacts,
    url: &str,
    (reason, error): (Reason, Option<String>),
) -> Gathered<S> {
    let failure = Failure {
        url: facts.requested_url.clone(),
        reason,
        attempts: facts.attempts,
        depth: facts.depth,
        referrer: facts.referrer.as_deref().map(str::to_owned),
        error,
        step: step.clone(),
        page: answer.map(|answer| Page::new(answer, step, facts)),
    };
    let mut found = Found::new();
    let outcome = catch_unwind(AssertUnwindSafe(|| spider.failed(&failure, &mut found)));
    if let Err(panic) = outcome {
        let error = words_of_panic(&*panic);
        tracing::error!(url, error, "the spider's `failed` panicked");
        return Gathered::default();
    }
    found.into()
}

/// Returns the message of a panic. The panic hook has already printed where the panic happened.
pub fn words_of_panic(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("it panicked: {}", text.unwrap_or("with a value that is not text"))
}
