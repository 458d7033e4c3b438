//! A spider around the user's spider: shows each page and its results to a command, and writes no items.

use std::sync::{Arc, Mutex, PoisonError};

use opilio_engine::{
    CrawlReport, Failure, Found, Page, ParseError, Request, SitemapEntry, Spider, parse_page, read_failure,
};
use opilio_extract::typed::coverage::{self, Coverage};
use url::Url;

use crate::requested::Requested;

/// The result of `parse` for one page: its items and requests, or its error.
pub(crate) type PageRead<'a, S> = Result<&'a Found<S>, &'a ParseError>;

/// The function that sees each page, what `parse` made of it, and which fields `parse` found.
type See<S> = Box<dyn Fn(&Page<<S as Spider>::Step>, PageRead<'_, S>, &Coverage) + Send + Sync>;

/// A spider that reads pages as another spider does, and shows each page to a function.
pub(crate) struct Observed<S: Spider> {
    spider: Arc<S>,
    /// The requests to begin with. In a lock, since steps need not be `Sync`.
    seeds: Mutex<Vec<Request<S::Step>>>,
    follows: bool,
    see: See<S>,
    requested: Option<Arc<Requested<S::Step>>>,
}

impl<S: Spider> Observed<S> {
    /// Makes a spider that requests these URLs only, whatever their pages link to.
    pub(crate) fn only(
        spider: Arc<S>,
        seeds: Vec<Request<S::Step>>,
        see: impl Fn(&Page<S::Step>, PageRead<'_, S>, &Coverage) + Send + Sync + 'static,
    ) -> Self {
        Self { spider, seeds: Mutex::new(seeds), follows: false, see: Box::new(see), requested: None }
    }

    /// Makes a spider that crawls as the other spider does.
    pub(crate) fn whole(
        spider: Arc<S>,
        see: impl Fn(&Page<S::Step>, PageRead<'_, S>, &Coverage) + Send + Sync + 'static,
    ) -> Self {
        let seeds = Mutex::new(spider.seeds());
        Self { spider, seeds, follows: true, see: Box::new(see), requested: None }
    }

    /// Notes all requests, from the seeds on.
    pub(crate) fn noting(mut self, requested: Arc<Requested<S::Step>>) -> Self {
        requested.note(None, &self.seeds(), |target| Url::parse(target).ok());
        self.requested = Some(requested);
        self
    }

    fn note(&self, session: Option<&str>, found: &Found<S>, resolve: impl Fn(&str) -> Option<Url>) {
        self.requested.iter().for_each(|requested| requested.note(session, found.requests(), &resolve));
    }
}

impl<S: Spider> Spider for Observed<S> {
    type Item = ();
    type Step = S::Step;

    const VERSION: u32 = S::VERSION;

    fn name(&self) -> &str {
        self.spider.name()
    }

    fn seeds(&self) -> Vec<Request<S::Step>> {
        self.seeds.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn parse(&self, page: &Page<S::Step>, found: &mut Found<Self>) -> Result<(), ParseError> {
        let (read, coverage) = coverage::during(|| parse_page(&*self.spider, page));
        (self.see)(page, read.as_ref(), &coverage);
        match read {
            Ok(read) if self.follows => {
                self.note(page.session(), &read, |target| page.document().resolve(target));
                read.pass_on(found);
                Ok(())
            }
            Err(error) if self.follows => Err(error),
            // The command has seen the result, and reports it in its own words.
            Ok(_) | Err(_) => Ok(()),
        }
    }

    fn lists(&self, entry: &SitemapEntry) -> bool {
        self.spider.lists(entry)
    }

    fn failed(&self, failure: &Failure<S::Step>, found: &mut Found<Self>) {
        let read = read_failure(&*self.spider, failure);
        if self.follows {
            let base = Url::parse(failure.url()).ok();
            let session = failure.page().and_then(|page| page.session());
            self.note(session, &read, |target| base.as_ref()?.join(target).ok());
            read.pass_on(found);
        }
    }

    fn opened(&self) {
        self.spider.opened();
    }

    fn closed(&self, report: &CrawlReport) {
        self.spider.closed(report);
    }
}
