//! The work of a reader on other threads: parsing large pages, reading sitemaps, and writing the files of pages.

use std::any::Any;
use std::sync::Arc;
use std::time::Instant;

use opilio_core::{Ending, Reason};
use opilio_spider::context::{LeaseRef, PageContext};
use opilio_spider::listing::List;
use opilio_spider::reading::{Gathered, Read, parse};
use opilio_spider::results::Beside;
use opilio_spider::{Answer, ParseError, Spider, redirect};
use tokio::sync::{Semaphore, oneshot};

use super::{BODY_HERE_MAX, SpiderReader};
use crate::runner::actor::BlockingWork;

impl<S: Spider> SpiderReader<S> {
    /// Parses a page on a blocking thread, because the page is large or pages with its step take long to parse.
    pub(super) fn parse_elsewhere(&mut self, mut context: PageContext<S::Step>, answer: Answer) {
        let facts = context.facts(&self.shard.settings.user_agent);
        let naming = context.naming(self.shard.settings.merge);
        let step = context.step.clone();
        let kind = std::mem::discriminant(&step);
        let (spider, url) = (self.spider.clone(), context.record.url.clone());
        // A large page takes a time that is not typical for its step, so its time is not counted.
        let counts = answer.body.len() <= BODY_HERE_MAX;
        let place = WorkConditions { cores: Some(self.shard.cores.clone()), parses: Some(url.clone()) };
        let work = move || {
            let began = Instant::now();
            (parse(&*spider, answer, step, facts, &url, naming), began.elapsed())
        };
        self.elsewhere(place, context.lease_ref(), work, move |reader, done| {
            let read = match done {
                Ok(((read, coverage), took)) => {
                    context.coverage = coverage;
                    if counts {
                        reader.slow.took(kind, took);
                    }
                    read
                }
                Err(error) => Read::Failed(Reason::ParsePanic, Some(error)),
            };
            reader.finish(context, read);
        });
    }

    /// Reads a sitemap on a blocking thread, since even a small file may list many URLs.
    pub(super) fn list(&mut self, mut context: PageContext<S::Step>, answer: Answer) {
        redirect::grow_scope(&mut context, &self.shard.settings.scope);
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
        let (spider, settings, permit) = (self.spider.clone(), self.shard.settings.clone(), answer.permit);
        let place = WorkConditions { cores: Some(self.shard.cores.clone()), parses: None };
        let work = move || {
            let _permit = permit;
            list.read(&*spider, &settings.scope)
        };
        self.elsewhere(place, context.lease_ref(), work, |reader, listing| reader.listed(context, listing));
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
        let Some(store) = self.shard.files.clone() else {
            let error = "it asks for a file, and the crawl keeps none: see Crawler::files".to_owned();
            return self.not_stored(context, ending, error);
        };
        let work = move || {
            let _permit = permit;
            files.iter().try_for_each(|(hash, bytes)| store.put(hash, bytes))
        };
        self.elsewhere(WorkConditions::default(), context.lease_ref(), work, move |reader, written| {
            match written {
                Ok(Ok(())) => reader.hand_over(context, found, ending, beside),
                Ok(Err(error)) => reader.not_stored(context, ending, ParseError::from(error).to_string()),
                Err(error) => reader.not_stored(context, ending, error),
            }
        });
    }

    /// Does work on a blocking thread, and then calls `then` on the thread of the shard, with the result of the work
    /// or the words of its panic.
    fn elsewhere<T: Send + 'static>(
        &self,
        place: WorkConditions,
        lease_ref: LeaseRef,
        work: impl FnOnce() -> T + Send + 'static,
        then: impl FnOnce(&mut Self, Result<T, String>) + Send + 'static,
    ) {
        // The runner is gone only when the crawl is over.
        let Some(runner) = self.shard.runner.upgrade() else { return };
        self.shard.backlog.begin(1);
        let (give, mut take) = oneshot::channel();
        let work = move || {
            let _ = give.send(work());
        };
        let then = move |reader: &mut dyn Any, panicked: Option<String>| {
            let Some(reader) = reader.downcast_mut::<Self>() else { return };
            reader.shard.backlog.end(1);
            let done = match panicked {
                Some(words) => Err(words),
                None => take.try_recv().map_err(|error| error.to_string()),
            };
            reader.guarded(lease_ref, |reader| then(reader, done));
        };
        let WorkConditions { cores, parses } = place;
        let work = BlockingWork { work: Box::new(work), cores, parses, then: Box::new(then) };
        actix::spawn(work.run(runner));
    }
}

/// The conditions of work on a blocking thread.
#[derive(Default)]
struct WorkConditions {
    /// Limits how much work is done at the same time, if it is given.
    cores: Option<Arc<Semaphore>>,
    /// The page that the work parses.
    parses: Option<Arc<str>>,
}
