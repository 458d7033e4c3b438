//! The runner actor: an answer in, all that one lease gave out.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::{Actor, AsyncContext, Context, Handler, MessageResult, WeakAddr};
use bytes::Bytes;
use opilio_core::host::Delivery;
use opilio_core::{Ending, Lease, Reason};
use opilio_export::{ExportError, FileStore};
use opilio_frontier::{Cause, Known, Redirect};
use opilio_spider::admission::{Converter, Encoders, Links, fingerprint_of, rows};
use opilio_spider::context::{LeaseRef, PageContext, Unread};
use opilio_spider::data::Reads;
use opilio_spider::listing::{List, Listing};
use opilio_spider::naming::PageName;
use opilio_spider::parsed::{EncodedItems, Name, Parsed};
use opilio_spider::prepared::Prepared;
use opilio_spider::reading::{self, Gathered, Read, parse, words_of_panic};
use opilio_spider::redirect::{self, DeadEnd, Hop, RedirectRules, Whose};
use opilio_spider::same::{Bodies, Firsts};
use opilio_spider::slow::SlowSteps;
use opilio_spider::{Answer, ParseError, Spider};
use url::Url;

use super::watch::ParseWatch;
use crate::backlog::ParseBacklog;
use crate::clock::Clock;
use crate::death::DeathWatch;
use crate::message::{AskSnapshot, Deliver, OutputRefused, PartSnapshot};
use crate::outbox::Outbox;
use crate::port::SchedulerPort;
use crate::settings::Settings;
use tokio::sync::Semaphore;

/// What a runner needs to begin.
pub(crate) struct RunnerSetup<S: Spider> {
    pub(crate) shard: usize,
    pub(crate) clock: Clock,
    pub(crate) spider: Arc<S>,
    pub(crate) settings: Arc<Settings>,
    pub(crate) encoders: Encoders<S::Item>,
    pub(crate) port: SchedulerPort,
    pub(crate) watch: ParseWatch,
    /// Pages that are fetched and not yet given to the store.
    pub(crate) backlog: ParseBacklog,
    /// Pages parsed on blocking threads at once, in the whole crawl.
    pub(crate) cores: Arc<Semaphore>,
    /// Where files go, if the crawl keeps any.
    pub(crate) files: Option<FileStore>,
    pub(crate) death: DeathWatch,
    pub(crate) refused: Outbox<OutputRefused>,
}

pub(crate) struct SpiderRunner<S: Spider> {
    shard: usize,
    clock: Clock,
    spider: Arc<S>,
    settings: Arc<Settings>,
    encoders: Encoders<S::Item>,
    converter: Converter,
    port: SchedulerPort,
    slow: SlowSteps<S::Step>,
    bodies: Bodies,
    firsts: Firsts,
    watch: ParseWatch,
    backlog: ParseBacklog,
    cores: Arc<Semaphore>,
    files: Option<FileStore>,
    /// Its own address, for what comes back from other threads.
    me: Option<WeakAddr<Self>>,
    _death: DeathWatch,
    refused: Outbox<OutputRefused>,
}

/// What a lease gave beside what the spider found.
#[derive(Default)]
struct Beside {
    names: Vec<Name>,
    /// What a sitemap lists.
    links: Links,
    /// Of a failure.
    cause: Cause,
}

impl<S: Spider> SpiderRunner<S> {
    pub(crate) fn start(setup: RunnerSetup<S>) -> actix::Addr<Self> {
        Actor::start(Self {
            shard: setup.shard,
            clock: setup.clock,
            spider: setup.spider,
            settings: setup.settings,
            encoders: setup.encoders,
            converter: Converter::default(),
            port: setup.port,
            slow: SlowSteps::default(),
            bodies: Bodies::default(),
            firsts: Firsts::default(),
            watch: setup.watch,
            backlog: setup.backlog,
            cores: setup.cores,
            files: setup.files,
            me: None,
            _death: setup.death,
            refused: setup.refused,
        })
    }

    /// User code runs in more places than `parse`: steps and items are encoded and dropped. Wherever
    /// it panics, it costs this page. Should the page have been sent already, the store drops this.
    fn guarded(&mut self, lease_ref: LeaseRef, work: impl FnOnce(&mut Self)) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| work(self))) {
            self.watch.end();
            let error = words_of_panic(&*panic);
            tracing::error!(url = %lease_ref.url, error, "the spider panicked");
            let LeaseRef { lease, host, url, attempts } = lease_ref;
            let ending = Ending::Failed(Reason::ParsePanic);
            let bare = Parsed::bare(host, lease, ending, url, attempts);
            self.port.give(self.shard, Parsed { cause: Cause::new(None, Some(&error)), ..bare });
        }
    }

    fn read(&mut self, ctx: &mut Context<Self>, deliver: Deliver) {
        let Deliver { lease, prepared, delivery, attempts, answer, location, error, known, .. } = deliver;
        let Some(context) = self.open(lease, prepared, attempts) else { return };
        match (known, delivery, answer, location) {
            (Some(Known::Page), .., Some(target)) => self.alias(&context, &target),
            (Some(Known::Wall), .., Some(target)) => self.pass_wall(context, &target, Whose::Other),
            (Some(Known::OwnWall), .., Some(target)) => self.pass_wall(context, &target, Whose::Own),
            (_, Delivery::Page, Some(answer), _) if context.reads != Reads::Page => {
                self.list(ctx, context, answer)
            }
            (_, Delivery::Page, Some(answer), _) => self.page(ctx, context, answer),
            (_, Delivery::Redirect, answer, Some(location)) => {
                let hop =
                    answer.map_or_else(Hop::default, |answer| Hop::of(&answer, self.clock.unix_millis()));
                self.redirect(context, location, &hop);
            }
            // A robots.txt that is not there names no sitemap, and is no failure.
            (_, Delivery::Failure(Reason::Http4xx), Some(answer), _)
                if context.reads == Reads::SitemapsOf =>
            {
                self.list(ctx, context, Answer { body: Bytes::new(), ..answer });
            }
            (_, Delivery::Failure(reason), answer, _) => self.failure(context, reason, answer, error),
            (_, Delivery::Page | Delivery::Redirect, answer, _) => {
                self.failure(context, Reason::Internal, answer, Some("an answer got lost on its way".into()));
            }
        }
    }

    /// Reads the step of a lease. What cannot be read ends here.
    fn open(&self, lease: Lease, prepared: Prepared, attempts: u16) -> Option<PageContext<S::Step>> {
        match PageContext::open(lease, prepared, attempts) {
            Ok(context) => Some(context),
            Err(unread) => {
                let Unread { lease: Lease { id, record }, error } = *unread;
                tracing::error!(url = %record.url, error, "the stored step of this URL cannot be read");
                let ending = Ending::Failed(Reason::Internal);
                let bare = Parsed::bare(record.host, id, ending, record.url, attempts);
                self.port.give(self.shard, Parsed { cause: Cause::new(None, Some(&error)), ..bare });
                None
            }
        }
    }

    /// Goes on at the target, in the name of the chain's origin.
    fn redirect(&mut self, context: PageContext<S::Step>, location: Url, hop: &Hop) {
        let settings = self.settings.clone();
        let has_cookies = || settings.cookies.as_ref().is_some_and(|cookies| cookies.are_any());
        let rules = self.redirect_rules(&settings, &context, &has_cookies);
        let next = redirect::follow(&context, location, hop, &rules, &mut self.converter);
        self.go_on(context, next);
    }

    /// The way from a known URL on sets a cookie: the chain's origin may show its page now.
    fn pass_wall(&mut self, context: PageContext<S::Step>, known: &Url, whose: Whose) {
        let settings = self.settings.clone();
        let rules = self.redirect_rules(&settings, &context, &|| true);
        let next = redirect::pass_wall(&context, known, whose, &rules, &mut self.converter);
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
            now: self.clock.now(),
        }
    }

    /// Ends a URL that was redirected: the chain goes on, or it fails.
    fn go_on(&mut self, context: PageContext<S::Step>, next: Result<Redirect, DeadEnd>) {
        let next = match next {
            Ok(next) => next,
            Err(DeadEnd { reason, error }) => return self.failure(context, reason, None, Some(error)),
        };
        let (host, ending, attempts) = (context.record.host, Ending::Redirected, context.attempts);
        self.port.give(
            self.shard,
            Parsed {
                next: Some(Box::new(next)),
                samples: self.converter.samples(),
                ..Parsed::bare(host, context.lease, ending, context.origin, attempts)
            },
        );
    }

    fn page(&mut self, ctx: &mut Context<Self>, mut context: PageContext<S::Step>, answer: Answer) {
        context.fetched = context.fetched(&answer, self.settings.keep_history);
        context.is_repeated = self.is_repeated(&context, &answer);
        redirect::grow_scope(&mut context, &self.settings.scope);
        let elsewhere = answer.body.len() > BODY_HERE_MAX || self.slow.is_slow(&context.step);
        let facts = context.facts(&self.settings.user_agent);
        let naming = context.naming(self.settings.merge);
        let step = context.step.clone();
        let kind = std::mem::discriminant(&step);
        let spider = self.spider.clone();
        if !elsewhere {
            self.watch.begin(&context.record.url);
            let began = Instant::now();
            let read = parse(&*spider, answer, step, facts, &context.record.url, naming);
            self.slow.took(kind, began.elapsed());
            self.watch.end();
            return self.finish(context, read);
        }
        let runner = Outbox::new(ctx.address().recipient());
        let url = context.record.url.clone();
        // A large page says nothing about the others of its step.
        let counts = answer.body.len() <= BODY_HERE_MAX;
        self.backlog.begin(1);
        let cores = self.cores.clone();
        actix::spawn(async move {
            // No more at once than there are cores; the semaphore is never closed.
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
                Ok((read, took)) => (read, counts.then_some(took)),
                Err(error) => (Read::Failed(Reason::ParsePanic, Some(error.to_string())), None),
            };
            runner.send(Elsewhere { context, read, kind, took });
        });
    }

    /// Reads a sitemap, on a blocking thread: what looks small may list much.
    fn list(&mut self, ctx: &mut Context<Self>, mut context: PageContext<S::Step>, answer: Answer) {
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

    /// Ends a sitemap with what it gave.
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
                _ => tracing::info!(%url, links = count, "read a sitemap"),
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

    fn finish(&mut self, context: PageContext<S::Step>, read: Read<S>) {
        match read {
            Read::Found(found, name) => {
                let names = name.map(|name| self.names(&context, *name)).unwrap_or_default();
                self.hand_over(context, found, Ending::Page, Beside { names, ..Beside::default() });
            }
            Read::Failed(reason, error) => self.failure(context, reason, None, error),
        }
    }

    /// Lets the spider say something about a URL that ended, then ends it.
    fn failure(
        &mut self,
        context: PageContext<S::Step>,
        reason: Reason,
        answer: Option<Answer>,
        error: Option<String>,
    ) {
        self.failure_with(context, reason, answer, error, Links::default());
    }

    /// The same for what gave some links all the same.
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
            (context.step.clone(), context.facts(&self.settings.user_agent), &context.record.url);
        let found = reading::failed(&*self.spider, answer, step, facts, url, (reason, error));
        self.hand_over(context, found, Ending::Failed(reason), Beside { links, cause, ..Beside::default() });
    }

    /// Writes the files that a page asked for, and only then goes on with what else it gave.
    fn store_files(
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
                // Fails only when the crawl is over.
                let _ = runner.send(StoredFiles { context, found, ending, beside, error }).await;
            }
        });
    }

    /// A page without its files is none; the spider hears of it, once.
    fn not_stored(&mut self, context: PageContext<S::Step>, ending: Ending, error: String) {
        tracing::error!(url = %context.record.url, error, "a file that the spider asked for could not be stored");
        match ending {
            Ending::Page => self.failure(context, Reason::NotStored, None, Some(error)),
            _ => {
                let ending = Ending::Failed(Reason::NotStored);
                let (host, attempts) = (context.record.host, context.attempts);
                let bare = Parsed::bare(host, context.lease, ending, context.origin, attempts);
                self.port.give(self.shard, Parsed { cause: Cause::new(None, Some(&error)), ..bare });
            }
        }
    }

    /// Makes bytes and records of what was found. What cannot be encoded ends the page as an error.
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
        let Gathered { items, requests, unfollowed, .. } = found;
        let parent = context.parent();
        let links = self.converter.links::<S>(requests, unfollowed, &parent, &self.settings.scope);
        let rows = rows(&mut self.encoders, &items);
        if let Err(error @ ExportError::OtherColumns { .. }) = rows {
            // The page is left: a run whose items fit fetches it.
            return self.refused.send(OutputRefused(error));
        }
        let mut count = items.len() as u64;
        let Beside { names, links: Links { admissions: mut all, mut samples }, mut cause } = beside;
        samples.append(&mut self.converter.samples());
        let (links, rows, ending, names) = match (links, rows) {
            (Ok(links), Ok(rows)) => {
                all.extend(links);
                (all, rows, ending, names)
            }
            (links, rows) => {
                let url = &context.record.url;
                if let Err(error) = links {
                    let error = with_causes(&error);
                    tracing::warn!(%url, error, "the step of a request that this page made cannot be encoded");
                    cause = Cause::new(None, Some(&error));
                }
                if let Err(error) = rows {
                    tracing::warn!(%url, error = with_causes(&error), "an item of this page cannot be encoded");
                    cause = Cause::new(
                        None,
                        Some(&format!("an item cannot be encoded: {}", with_causes(&error))),
                    );
                }
                count = 0;
                (Vec::new(), Vec::new(), Ending::Failed(Reason::ParseError), Vec::new())
            }
        };
        self.port.give(
            self.shard,
            Parsed {
                host: context.record.host,
                lease: context.lease,
                ending,
                origin: context.origin,
                attempts: context.attempts,
                links,
                next: None,
                grows: context.grows,
                names,
                items: EncodedItems { count, rows },
                fetched: context.fetched,
                cause,
                is_list: context.reads != Reads::Page,
                samples,
            },
        );
    }

    fn names(&mut self, context: &PageContext<S::Step>, name: PageName) -> Vec<Name> {
        let scope = &self.settings.scope;
        let mut names = Vec::new();
        if let Some(url) = name.settled(context.host(), context.record.depth, scope) {
            let fingerprint = fingerprint_of(scope, &url, context.options.as_deref(), Reads::Page);
            names.push(Name { fingerprint, alias_rows: self.alias_rows(&context.origin, url.as_str()) });
        }
        let Some(content) = name.content else { return names };
        // What one user is shown says nothing about what another one would be.
        let fingerprint = content.in_session(context.session().unwrap_or_default());
        if let Some(first) = self.firsts.of(fingerprint, context.record.fingerprint, name.own.as_str()) {
            names.push(Name { fingerprint, alias_rows: self.alias_rows(&context.origin, &first) });
        }
        names
    }

    /// Whether a page's host has shown its content so often that its links are a trap's.
    fn is_repeated(&mut self, context: &PageContext<S::Step>, answer: &Answer) -> bool {
        let max = self.settings.scope.same_content_max();
        let kind = answer.headers.get(http::header::CONTENT_TYPE).map(http::HeaderValue::as_bytes);
        let is_markup = kind.is_none_or(|kind| {
            let kind = String::from_utf8_lossy(kind).to_ascii_lowercase();
            kind.contains("html") || kind.contains("xml")
        });
        let counts = is_markup && context.is_plain() && !context.marks.again && !answer.body.is_empty();
        if max == u32::MAX || !counts {
            return false;
        }
        let times = self.bodies.note(context.host(), &answer.body);
        if times == max.saturating_add(1) {
            let (url, host) = (&context.record.url, context.host());
            tracing::warn!(%host, %url, times, "the same content has come under many URLs of this host: links on such pages are not followed any more");
        }
        times > max
    }

    /// Ends a URL that led to one that the crawl has a page of.
    fn alias(&mut self, context: &PageContext<S::Step>, target: &Url) {
        if redirect::began_with_a_form(context, &self.settings.scope) {
            tracing::warn!(
                url = %context.origin,
                %target,
                "the answer to a form leads to a URL that the crawl asked for before: the page that is there now is not read. Ask for it after the form, with `Request::again`"
            );
        }
        let rows = self.alias_rows(&context.origin, target.as_str());
        let (host, origin, attempts) = (context.host().clone(), context.origin.clone(), context.attempts);
        let bare = Parsed::bare(host, context.lease, Ending::Alias, origin, attempts);
        self.port.give(self.shard, Parsed { items: EncodedItems { count: 0, rows }, ..bare });
    }

    /// The lines that say: this URL led to that one.
    fn alias_rows(&mut self, origin: &str, target: &str) -> Vec<Vec<u8>> {
        let mut rows = Vec::with_capacity(self.encoders.len());
        for encoder in &mut self.encoders {
            let mut out = Vec::new();
            if let Err(error) = encoder.encode_alias(origin, target, &mut out) {
                tracing::warn!(url = %origin, %error, "the output has no form for an alias: the line that names this URL and the page it leads to is not written");
                out.clear();
            }
            rows.push(out);
        }
        rows
    }
}

/// What an error says, and each of its causes.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        words = format!("{words}: {error}");
        cause = error.source();
    }
    words
}

/// A page that was parsed on another thread.
struct Elsewhere<S: Spider> {
    context: PageContext<S::Step>,
    read: Read<S>,
    kind: std::mem::Discriminant<S::Step>,
    /// How long it took, if that says something about its step.
    took: Option<Duration>,
}

/// A page whose files were written, or why they were not.
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

impl<S: Spider> actix::Message for Elsewhere<S> {
    type Result = ();
}

/// A sitemap that was read, or what the spider's panic over an entry said.
struct Listed<S: Spider> {
    context: PageContext<S::Step>,
    listing: Result<Listing, String>,
}

impl<S: Spider> actix::Message for Listed<S> {
    type Result = ();
}

impl<S: Spider> Actor for SpiderRunner<S> {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
        self.me = Some(ctx.address().downgrade());
    }
}

impl<S: Spider> Handler<AskSnapshot> for SpiderRunner<S> {
    type Result = MessageResult<AskSnapshot>;

    fn handle(&mut self, _: AskSnapshot, _: &mut Self::Context) -> Self::Result {
        MessageResult(PartSnapshot::Runner { shard: self.shard, pages_waiting: self.backlog.pages() })
    }
}

impl<S: Spider> Handler<Deliver> for SpiderRunner<S> {
    type Result = ();

    fn handle(&mut self, mut deliver: Deliver, ctx: &mut Self::Context) {
        self.clock.fault("spider runner");
        drop(deliver.waits.take());
        self.guarded(LeaseRef::of(&deliver.lease, deliver.attempts), |runner| runner.read(ctx, deliver));
    }
}

impl<S: Spider> Handler<Elsewhere<S>> for SpiderRunner<S> {
    type Result = ();

    fn handle(&mut self, Elsewhere { context, read, kind, took }: Elsewhere<S>, _: &mut Self::Context) {
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

/// Bodies over this are parsed on a blocking pool.
const BODY_HERE_MAX: usize = 256 * 1024;
/// A `parse` that takes longer is named in a warning.
pub(crate) const OVERDUE: Duration = Duration::from_secs(10);
/// Pages that are parsed before the other actors of the shard get a turn; more wait with their senders.
const MAILBOX: usize = 4;

/// What a server answers where it has no sitemap: an error, a page for people, or a redirect to one.
fn says_nothing_is_there(reason: Reason) -> bool {
    matches!(reason, Reason::Http4xx | Reason::Robots | Reason::OutOfScope | Reason::ParseError)
}
