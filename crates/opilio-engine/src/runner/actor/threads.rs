//! The work of the runner on other threads: parsing large pages, reading sitemaps, and writing the files of pages.

use std::time::{Duration, Instant};

use actix::{AsyncContext, Context, Handler};
use opilio_core::{Ending, Reason};
use opilio_spider::context::PageContext;
use opilio_spider::listing::{List, Listing};
use opilio_spider::reading::{Gathered, Read, parse, words_of_panic};
use opilio_spider::results::Beside;
use opilio_spider::{Answer, ParseError, Spider, redirect};

use super::{BODY_HERE_MAX, OVERDUE, SpiderRunner};
use crate::outbox::Outbox;

impl<S: Spider> SpiderRunner<S> {
    /// Parses a page on a blocking thread, because the page is large or pages with its step take long to parse.
    pub(super) fn parse_elsewhere(
        &mut self,
        ctx: &mut Context<Self>,
        mut context: PageContext<S::Step>,
        answer: Answer,
    ) {
        let facts = context.facts(&self.settings.user_agent);
        let naming = context.naming(self.settings.merge);
        let step = context.step.clone();
        let kind = std::mem::discriminant(&step);
        let spider = self.spider.clone();
        let runner = Outbox::new(ctx.address().recipient());
        let url = context.record.url.clone();
        // A large page takes a time that is not typical for its step, so its time is not counted.
        let counts = answer.body.len() <= BODY_HERE_MAX;
        self.backlog.begin(1);
        let cores = self.cores.clone();
        actix::spawn(async move {
            // At most as many pages as there are cores are parsed at the same time. The semaphore is never closed.
            let _core = cores.acquire_owned().await;
            let work = {
                let url = url.clone();
                tokio::task::spawn_blocking(move || {
                    let began = Instant::now();
                    (parse(&*spider, answer, step, facts, &url, naming), began.elapsed())
                })
            };
            tokio::pin!(work);
            let done = loop {
                tokio::select! {
                    done = &mut work => break done,
                    () = tokio::time::sleep(OVERDUE) => tracing::warn!(%url, "the spider's `parse` is still running on this page"),
                }
            };
            let (read, took) = match done {
                Ok(((read, coverage), took)) => {
                    context.coverage = coverage;
                    (read, counts.then_some(took))
                }
                Err(error) => (Read::Failed(Reason::ParsePanic, Some(error.to_string())), None),
            };
            runner.send(ParsedElsewhere { context, read, kind, took });
        });
    }

    /// Reads a sitemap on a blocking thread, since even a small file may list many URLs.
    pub(super) fn list(
        &mut self,
        ctx: &mut Context<Self>,
        mut context: PageContext<S::Step>,
        answer: Answer,
    ) {
        redirect::grow_scope(&mut context, &self.settings.scope);
        let list = List {
            reads: context.reads,
            url: context.url.clone(),
            host: context.host().clone(),
            scheme: context.record.scheme,
            depth: context.record.depth,
            step: context.step.clone(),
            fingerprint: context.record.fingerprint,
            session: context.session().map(str::to_owned),
            body: answer.body,
            cut: answer.cut,
        };
        let (spider, settings) = (self.spider.clone(), self.settings.clone());
        let runner = Outbox::new(ctx.address().recipient());
        let permit = answer.permit;
        self.backlog.begin(1);
        let cores = self.cores.clone();
        actix::spawn(async move {
            let _core = cores.acquire_owned().await;
            let work = tokio::task::spawn_blocking(move || {
                let _permit = permit;
                list.read(&*spider, &settings.scope)
            });
            let listing = work.await.map_err(|error| match error.try_into_panic() {
                Ok(panic) => words_of_panic(&*panic),
                Err(error) => error.to_string(),
            });
            runner.send(Listed { context, listing });
        });
    }

    /// Writes the files that a page asked for, and then sends the result of the page to the scheduler.
    pub(super) fn store_files(
        &mut self,
        context: PageContext<S::Step>,
        mut found: Gathered<S>,
        ending: Ending,
        beside: Beside,
    ) {
        let (files, permit) = (std::mem::take(&mut found.files), found.permit.take());
        let (Some(store), Some(me)) = (self.files.clone(), self.me.clone()) else {
            let error = "it asks for a file, and the crawl keeps none: see Crawler::files".to_owned();
            return self.not_stored(context, ending, error);
        };
        self.backlog.begin(1);
        actix::spawn(async move {
            let write = move || {
                let _permit = permit;
                files.iter().try_for_each(|(hash, bytes)| store.put(hash, bytes))
            };
            let written = tokio::task::spawn_blocking(write).await;
            let error = match written {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(ParseError::from(error).to_string()),
                Err(_) => Some("the thread that writes files died".to_owned()),
            };
            if let Some(runner) = me.upgrade() {
                // The message is refused only when the crawl is over.
                let _ = runner.send(StoredFiles { context, found, ending, beside, error }).await;
            }
        });
    }
}

/// A page that was parsed on another thread.
struct ParsedElsewhere<S: Spider> {
    context: PageContext<S::Step>,
    read: Read<S>,
    kind: std::mem::Discriminant<S::Step>,
    /// The time that the parsing took, or `None` if this time is not typical for the page's step.
    took: Option<Duration>,
}

/// A page whose files were written, or could not be written for the reason in `error`.
struct StoredFiles<S: Spider> {
    context: PageContext<S::Step>,
    found: Gathered<S>,
    ending: Ending,
    beside: Beside,
    error: Option<String>,
}

impl<S: Spider> actix::Message for StoredFiles<S> {
    type Result = ();
}

impl<S: Spider> actix::Message for ParsedElsewhere<S> {
    type Result = ();
}

/// A sitemap that was read, or, if the spider panicked at one of its entries, the text of the panic.
struct Listed<S: Spider> {
    context: PageContext<S::Step>,
    listing: Result<Listing, String>,
}

impl<S: Spider> actix::Message for Listed<S> {
    type Result = ();
}

impl<S: Spider> Handler<ParsedElsewhere<S>> for SpiderRunner<S> {
    type Result = ();

    fn handle(
        &mut self,
        ParsedElsewhere { context, read, kind, took }: ParsedElsewhere<S>,
        _: &mut Self::Context,
    ) {
        self.backlog.end(1);
        if let Some(took) = took {
            self.slow.took(kind, took);
        }
        let lease_ref = context.lease_ref();
        self.guarded(lease_ref, |runner| runner.finish(context, read));
    }
}

impl<S: Spider> Handler<StoredFiles<S>> for SpiderRunner<S> {
    type Result = ();

    fn handle(
        &mut self,
        StoredFiles { context, found, ending, beside, error }: StoredFiles<S>,
        _: &mut Self::Context,
    ) {
        self.backlog.end(1);
        let lease_ref = context.lease_ref();
        self.guarded(lease_ref, |runner| match error {
            None => runner.hand_over(context, found, ending, beside),
            Some(error) => runner.not_stored(context, ending, error),
        });
    }
}

impl<S: Spider> Handler<Listed<S>> for SpiderRunner<S> {
    type Result = ();

    fn handle(&mut self, Listed { context, listing }: Listed<S>, _: &mut Self::Context) {
        self.backlog.end(1);
        let lease_ref = context.lease_ref();
        self.guarded(lease_ref, |runner| runner.listed(context, listing));
    }
}
