//! The reader of a runner: takes the answer to a lease, calls the spider with it, and sends the result of the lease to
//! the scheduler. It is the only part of a shard that knows the types of the spider.

mod threads;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use opilio_core::host::Delivery;
use opilio_core::{Ending, Lease, Reason};
use opilio_frontier::{Cause, Known, Redirect};
use opilio_spider::admission::{Encoders, Links};
use opilio_spider::context::{LeaseRef, PageContext, Unread};
use opilio_spider::data::Reads;
use opilio_spider::listing::Listing;
use opilio_spider::parsed::Parsed;
use opilio_spider::prepared::Prepared;
use opilio_spider::reading::{self, Gathered, Read, parse, words_of_panic};
use opilio_spider::redirect::{self, DeadEnd, Hop, RedirectRules, Whose};
use opilio_spider::results::{Beside, PageResults};
use opilio_spider::slow::SlowSteps;
use opilio_spider::{Answer, Spider};
use url::Url;

use super::actor::{ReadPages, RunnerContext};
use crate::message::{Deliver, OutputRefused};
use crate::settings::Settings;

/// Reads pages with a spider.
pub(crate) struct SpiderReader<S: Spider> {
    spider: Arc<S>,
    results: PageResults<S>,
    slow: SlowSteps<S::Step>,
    shard: RunnerContext,
}

impl<S: Spider> ReadPages for SpiderReader<S> {
    fn read(&mut self, deliver: Deliver) {
        self.guarded(LeaseRef::of(&deliver.lease, deliver.attempts), |reader| reader.deliver(deliver));
    }
}

impl<S: Spider> SpiderReader<S> {
    pub(crate) fn new(spider: Arc<S>, encoders: Encoders<S::Item>, shard: RunnerContext) -> Self {
        Self { spider, results: PageResults::new(encoders), slow: SlowSteps::default(), shard }
    }

    /// Runs `work`, which calls user code. If the user code panics, this page alone fails. User code may run not
    /// only in `parse`, but also when steps and items are encoded or dropped. If the result of the page was sent
    /// before the panic, the store ignores the failure.
    fn guarded(&mut self, lease_ref: LeaseRef, work: impl FnOnce(&mut Self)) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| work(self))) {
            self.shard.watch.end();
            let error = words_of_panic(&*panic);
            tracing::error!(url = %lease_ref.url, error, "the spider panicked");
            let LeaseRef { lease, host, url, attempts } = lease_ref;
            let ending = Ending::Failed(Reason::ParsePanic);
            self.give(Parsed::bare(host, lease, ending, url, attempts).because(&error));
        }
    }

    /// Sends the result of a lease to the scheduler.
    fn give(&self, parsed: Parsed) {
        self.shard.port.give(self.shard.shard, parsed);
    }

    /// Handles a lease according to its delivery: as a page, a redirect, a sitemap or a failure.
    fn deliver(&mut self, deliver: Deliver) {
        let Deliver { lease, prepared, delivery, attempts, answer, location, error, known, .. } = deliver;
        let Some(context) = self.open(lease, prepared, attempts) else { return };
        match (known, delivery, answer, location) {
            (Some(Known::Page), .., Some(target)) => {
                let alias = self.results.alias(&context, &target, &self.shard.settings.scope);
                self.give(alias);
            }
            (Some(Known::Wall), .., Some(target)) => self.pass_wall(context, &target, Whose::Other),
            (Some(Known::OwnWall), .., Some(target)) => self.pass_wall(context, &target, Whose::Own),
            (_, Delivery::Page, Some(answer), _) if context.reads != Reads::Page => {
                self.list(context, answer)
            }
            (_, Delivery::Page, Some(answer), _) => self.page(context, answer),
            (_, Delivery::Redirect, answer, Some(location)) => {
                let hop = answer
                    .map_or_else(Hop::default, |answer| Hop::of(&answer, self.shard.clock.unix_millis()));
                self.redirect(context, location, &hop);
            }
            // If robots.txt does not exist, it names no sitemap, and that is not a failure.
            (_, Delivery::Failure(Reason::Http4xx), Some(answer), _)
                if context.reads == Reads::SitemapsOf =>
            {
                self.list(context, Answer { body: Bytes::new(), ..answer });
            }
            (_, Delivery::Failure(reason), answer, _) => self.failure(context, reason, answer, error),
            (_, Delivery::Page | Delivery::Redirect, answer, _) => {
                self.failure(context, Reason::Internal, answer, Some("an answer got lost on its way".into()));
            }
        }
    }

    /// Reads the step of a lease. If the step cannot be read, ends the lease as a failure and returns `None`.
    fn open(&self, lease: Lease, prepared: Prepared, attempts: u16) -> Option<PageContext<S::Step>> {
        match PageContext::open(lease, prepared, attempts) {
            Ok(context) => Some(context),
            Err(unread) => {
                let Unread { lease: Lease { id, record }, error } = *unread;
                tracing::error!(url = %record.url, error, "the stored step of this URL cannot be read");
                let ending = Ending::Failed(Reason::Internal);
                self.give(Parsed::bare(record.host, id, ending, record.url, attempts).because(&error));
                None
            }
        }
    }

    /// Continues a redirect chain at the target of the redirect. The result counts for the URL at which the chain
    /// began.
    fn redirect(&mut self, context: PageContext<S::Step>, location: Url, hop: &Hop) {
        let settings = self.shard.settings.clone();
        let has_cookies = || settings.cookies.as_ref().is_some_and(|cookies| cookies.are_any());
        let rules = self.redirect_rules(&settings, &context, &has_cookies);
        let next = self.results.follow(&context, location, hop, &rules);
        self.go_on(context, next);
    }

    /// Continues a redirect chain that led to a known URL and set a cookie, as the redirects of a consent or login
    /// page do. With this cookie the server may now show the page at which the chain began.
    fn pass_wall(&mut self, context: PageContext<S::Step>, known: &Url, whose: Whose) {
        let settings = self.shard.settings.clone();
        let rules = self.redirect_rules(&settings, &context, &|| true);
        let next = self.results.pass_wall(&context, known, whose, &rules);
        self.go_on(context, next);
    }

    fn redirect_rules<'a>(
        &self,
        settings: &'a Settings,
        context: &PageContext<S::Step>,
        has_cookies: &'a dyn Fn() -> bool,
    ) -> RedirectRules<'a> {
        RedirectRules {
            scope: &settings.scope,
            hops_max: settings.redirects_max,
            hold_max: settings.hosts.of(context.host()).policy.hold_max(),
            keeps_cookies: settings.cookies.is_some(),
            has_cookies,
            now: self.shard.clock.now(),
        }
    }

    /// Ends a URL that was redirected: either its chain continues at `next`, or the URL fails.
    fn go_on(&mut self, context: PageContext<S::Step>, next: Result<Redirect, DeadEnd>) {
        let next = match next {
            Ok(next) => next,
            Err(DeadEnd { reason, error }) => return self.failure(context, reason, None, Some(error)),
        };
        let redirected = self.results.redirected(context, next);
        self.give(redirected);
    }

    /// Parses a page, on this thread or on a blocking thread.
    fn page(&mut self, mut context: PageContext<S::Step>, answer: Answer) {
        context.fetched = context.fetched(&answer, self.shard.settings.keep_history);
        context.is_repeated = self.results.is_repeated(&context, &answer, &self.shard.settings.scope);
        redirect::grow_scope(&mut context, &self.shard.settings.scope);
        let elsewhere = answer.body.len() > BODY_HERE_MAX || self.slow.is_slow(&context.step);
        if elsewhere {
            return self.parse_elsewhere(context, answer);
        }
        let facts = context.facts(&self.shard.settings.user_agent);
        let naming = context.naming(self.shard.settings.merge);
        let step = context.step.clone();
        let kind = std::mem::discriminant(&step);
        self.shard.watch.begin(&context.record.url);
        let began = Instant::now();
        let (read, coverage) = parse(&*self.spider, answer, step, facts, &context.record.url, naming);
        context.coverage = coverage;
        self.slow.took(kind, began.elapsed());
        self.shard.watch.end();
        self.finish(context, read);
    }

    /// Ends a sitemap, and queues the links that were found in it.
    fn listed(&mut self, context: PageContext<S::Step>, listing: Result<Listing, String>) {
        let Listing { links, broken } = match listing {
            Ok(listing) => listing,
            Err(error) => return self.failure(context, Reason::ParsePanic, None, Some(error)),
        };
        let url = &context.record.url;
        let Some((reason, error)) = broken else {
            let count = links.admissions.len();
            match context.reads {
                Reads::Sitemap { .. } if count == 0 => {
                    tracing::warn!(%url, "a sitemap has no entry that the spider wants");
                }
                _ => tracing::info!(%url, links = count, "a sitemap was read"),
            }
            return self.hand_over(
                context,
                Gathered::default(),
                Ending::Page,
                Beside { links, ..Beside::default() },
            );
        };
        if !context.marks.guessed || !links.admissions.is_empty() {
            tracing::warn!(%url, links = links.admissions.len(), error, "a sitemap is broken: its entries up to the fault are used");
        }
        self.failure_with(context, reason, None, Some(error), links);
    }

    /// Ends a page that was parsed.
    fn finish(&mut self, context: PageContext<S::Step>, read: Read<S>) {
        match read {
            Read::Found(found, name) => {
                let names = name
                    .map(|name| self.results.names(&context, *name, &self.shard.settings.scope))
                    .unwrap_or_default();
                self.hand_over(context, found, Ending::Page, Beside { names, ..Beside::default() });
            }
            Read::Failed(reason, error) => self.failure(context, reason, None, error),
        }
    }

    /// Tells the spider that a URL failed, then ends the URL.
    fn failure(
        &mut self,
        context: PageContext<S::Step>,
        reason: Reason,
        answer: Option<Answer>,
        error: Option<String>,
    ) {
        self.failure_with(context, reason, answer, error, Links::default());
    }

    /// Tells the spider that a URL failed, then ends the URL and queues the links that were found before the fault.
    fn failure_with(
        &mut self,
        context: PageContext<S::Step>,
        reason: Reason,
        answer: Option<Answer>,
        error: Option<String>,
        links: Links,
    ) {
        if context.marks.guessed && links.admissions.is_empty() && says_nothing_is_there(reason) {
            let url = &context.record.url;
            tracing::debug!(%url, %reason, error, "there is no sitemap: robots.txt names none, and /sitemap.xml is not there");
            return self.hand_over(context, Gathered::default(), Ending::Page, Beside::default());
        }
        let status = answer.as_ref().map(|answer| answer.status);
        let referrer = context.referrer.as_deref();
        tracing::info!(url = %context.record.url, %reason, status, error, referrer, "the URL failed");
        let cause = Cause::new(status, error.as_deref());
        let (step, facts, url) =
            (context.step.clone(), context.facts(&self.shard.settings.user_agent), &context.record.url);
        let found = reading::failed(&*self.spider, answer, step, facts, url, (reason, error));
        self.hand_over(context, found, Ending::Failed(reason), Beside { links, cause, ..Beside::default() });
    }

    /// Ends a URL as a failure because the files that the spider asked for could not be stored. Then `Spider::failed`
    /// is called, unless the files were asked for there: it is called only once for a URL.
    fn not_stored(&mut self, context: PageContext<S::Step>, ending: Ending, error: String) {
        tracing::error!(url = %context.record.url, error, "a file that the spider asked for could not be stored");
        match ending {
            Ending::Page => self.failure(context, Reason::NotStored, None, Some(error)),
            _ => {
                let ending = Ending::Failed(Reason::NotStored);
                let (host, attempts) = (context.record.host, context.attempts);
                self.give(
                    Parsed::bare(host, context.lease, ending, context.requested_url, attempts)
                        .because(&error),
                );
            }
        }
    }

    /// Sends the result of a lease to the scheduler: the ending, items and links. If the page asked for files, they
    /// are written first.
    fn hand_over(
        &mut self,
        context: PageContext<S::Step>,
        found: Gathered<S>,
        ending: Ending,
        beside: Beside,
    ) {
        if !found.files.is_empty() {
            return self.store_files(context, found, ending, beside);
        }
        match self.results.of(context, found, ending, beside, &self.shard.settings.scope) {
            Ok(parsed) => self.give(parsed),
            // The page does not end. A later run fetches it again, and succeeds if its items then fit the output.
            Err(error) => self.shard.refused.send(OutputRefused(error)),
        }
    }
}

/// The largest body, in bytes, that is parsed on the shard's own thread. Larger bodies are parsed on a blocking
/// thread.
const BODY_HERE_MAX: usize = 256 * 1024;
/// Returns whether a server that has no sitemap may answer in this way: with an error, with a page for people, or
/// with a redirect to such a page.
fn says_nothing_is_there(reason: Reason) -> bool {
    matches!(reason, Reason::Http4xx | Reason::Robots | Reason::OutOfScope | Reason::ParseError)
}
