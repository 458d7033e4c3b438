//! The builder, and the crawl that it starts.

mod crawl;
mod plan;

use std::collections::HashMap;
#[cfg(feature = "disk")]
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::HeaderMap;
use opilio_core::host::RulesMode;
use opilio_core::{Host, HostPolicy, Rate, RetryPolicy};
use opilio_export::{Export, FileStore};
use opilio_fetch::{
    AddressPolicy, Cache, Limits, Middleware, Proxy, Tls, Transport, USER_AGENT, WebSettings,
};
#[cfg(feature = "disk")]
use opilio_frontier::Durability;
use opilio_frontier::{Caps, Frontier, Order};
use opilio_spider::naming::Naming;
use opilio_spider::run_history::TryAgain;
use opilio_spider::{
    BadHeader, BadHostPattern, CrawlError, CrawlReport, HostSettings, HostTable, Scope, Session, Spider,
    header,
};
use tokio::sync::{mpsc, oneshot};

use crawl::COMMANDS;
pub use crawl::{Crawl, Handle};

use crate::launch::{self, MakeTransport, WrapTransport};
use crate::memory::{self, Gauge};

/// Builds a crawl of one spider.
///
/// The defaults are polite: 60 requests a minute and one in flight for each host, robots.txt
/// obeyed, only the hosts of the seeds, private addresses refused.
///
/// ```
/// # mod opilio { pub use {opilio_core::*, opilio_engine::*, opilio_export::*, opilio_fetch::*, opilio_export as export}; }
/// use opilio::{HostPolicy, per_minute};
/// use opilio::{Crawler, Found, Page, ParseError, Request, Spider};
/// use opilio::export::Collect;
/// # use opilio_fetch::{ScriptedAnswer, ScriptedTransport};
///
/// struct Titles;
///
/// impl Spider for Titles {
///     type Item = String;
///     type Step = ();
///
///     fn seeds(&self) -> Vec<Request<()>> {
///         vec![Request::get("http://shop.example/", ())]
///     }
///
///     fn parse(&self, page: &Page<()>, found: &mut Found<Self>) -> Result<(), ParseError> {
///         found.item(page.title().unwrap_or_default().to_owned());
///         Ok(())
///     }
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let (output, collected) = Collect::new();
/// let report = Crawler::new(Titles)
///     .host(HostPolicy::new().rate(per_minute(30)).in_flight(8))
///     .no_robots()
///     .export(output)
/// #   .transport(|| {
/// #       let page = "<title>All our lamps</title>";
/// #       std::rc::Rc::new(ScriptedTransport::new(move |_, _: &_| ScriptedAnswer::page(page)))
/// #   })
///     .run()
///     .await?;
/// assert_eq!(report.pages, 1);
/// assert!(report.balances());
/// assert_eq!(collected.items::<String>()?, ["All our lamps"]);
/// # Ok(()) })
/// # }
/// ```
pub struct Crawler<S: Spider> {
    spider: Arc<S>,
    hosts: HostTable,
    bad_pattern: Option<BadHostPattern>,
    headers: Result<HeaderMap, BadHeader>,
    retry: RetryPolicy,
    scope: Scope,
    rules: RulesMode,
    limits: Limits,
    web: WebSettings,
    user_agent: String,
    exports: Vec<Box<dyn Export<S::Item>>>,
    store: Store,
    order: Order,
    group_rate: Option<Rate>,
    caps: Caps,
    #[cfg(feature = "disk")]
    resume: bool,
    try_again: TryAgain,
    history: bool,
    refresh: Option<Duration>,
    #[cfg(feature = "disk")]
    durability: Durability,
    transport: Option<MakeTransport>,
    transport_around: Option<WrapTransport>,
    began_at: Option<SystemTime>,
    middleware: Vec<Arc<dyn Middleware>>,
    files: Option<FileStore>,
    cache: Option<Cache>,
    cookies: bool,
    sessions: HashMap<String, Session>,
    in_flight: u32,
    hosts_max: u32,
    shards: usize,
    pages_max: Option<u64>,
    duration_max: Option<Duration>,
    memory_limit: Option<u64>,
    gauge: Gauge,
    redirects_max: u16,
    merge: Naming,
    stop_on_signals: bool,
    strip_tracking: bool,
    seed: Option<u64>,
    /// Which actor panics, and when.
    #[cfg(test)]
    fault: Option<(&'static str, Duration)>,
    #[cfg(test)]
    sinks_apart: bool,
}

impl<S: Spider> Crawler<S> {
    /// A crawl of this spider with the polite defaults.
    #[must_use]
    pub fn new(spider: S) -> Self {
        Self::shared(Arc::new(spider))
    }

    /// As [`Crawler::new`], of a spider that others hold too: the runs of a crawl that is resumed, for instance.
    #[must_use]
    pub fn shared(spider: Arc<S>) -> Self {
        Self {
            spider,
            hosts: HostTable::default(),
            bad_pattern: None,
            headers: Ok(HeaderMap::new()),
            retry: RetryPolicy::default(),
            scope: Scope::default(),
            rules: RulesMode::Fetch,
            limits: Limits::default(),
            web: WebSettings::default(),
            user_agent: USER_AGENT.to_owned(),
            exports: Vec::new(),
            store: Store::Memory,
            order: Order::default(),
            group_rate: None,
            caps: Caps::default(),
            #[cfg(feature = "disk")]
            resume: false,
            try_again: TryAgain::default(),
            history: false,
            refresh: None,
            #[cfg(feature = "disk")]
            durability: Durability::default(),
            transport: None,
            transport_around: None,
            began_at: None,
            middleware: Vec::new(),
            files: None,
            cache: None,
            cookies: true,
            sessions: HashMap::new(),
            in_flight: 64,
            hosts_max: 100_000,
            shards: 0,
            pages_max: None,
            duration_max: None,
            memory_limit: None,
            gauge: Box::new(memory::resident_bytes),
            redirects_max: 10,
            merge: Naming::default(),
            stop_on_signals: false,
            strip_tracking: false,
            seed: None,
            #[cfg(test)]
            fault: None,
            #[cfg(test)]
            sinks_apart: false,
        }
    }

    /// Has an actor panic at the first message that it gets so long after the run began.
    #[cfg(test)]
    pub(crate) fn fault(mut self, actor: &'static str, after: Duration) -> Self {
        self.fault = Some((actor, after));
        self
    }

    /// Gives the exporter a thread of its own in a crawl that runs here: its sinks may block, and virtual time
    /// goes on.
    #[cfg(test)]
    pub(crate) fn sinks_apart(mut self) -> Self {
        self.sinks_apart = true;
        self
    }

    /// Rate, in-flight limit and patience of every host that has no settings of its own; with
    /// [`HostSettings`] instead of a policy, header fields for each of their requests too.
    #[must_use]
    pub fn host(mut self, settings: impl Into<HostSettings>) -> Self {
        self.hosts.default = settings.into();
        self
    }

    /// Settings of one host (`host` or `host:port`) or of all below a domain (`*.example.com`); the
    /// most exact pattern wins. A pattern that names no host is an error when the crawl starts.
    #[must_use]
    pub fn host_named(mut self, pattern: &str, settings: impl Into<HostSettings>) -> Self {
        if let Err(error) = self.hosts.set(pattern, settings.into()) {
            self.bad_pattern.get_or_insert(error);
        }
        self
    }

    /// A header field of every request, whatever the host; a host's own settings, its session's and a request's
    /// own fields go before it. Secrets belong to one host: see [`HostSettings::basic`],
    /// [`Session`]. What is no header field is an error when the crawl starts.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        if let Ok(headers) = &mut self.headers {
            match header(name, value) {
                Ok((name, mut value)) => {
                    // Nothing that every host is told is a secret.
                    value.set_sensitive(false);
                    headers.append(name, value);
                }
                Err(error) => self.headers = Err(error),
            }
        }
        self
    }

    /// When a failed attempt is repeated, and how long it waits.
    #[must_use]
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = policy;
        self
    }

    /// Which URLs are the crawl's. The hosts of the seeds are added to it.
    #[must_use]
    pub fn scope(mut self, scope: Scope) -> Self {
        self.scope = scope;
        self
    }

    /// Bounds of one fetch: times, bytes, header fields.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Which addresses may be connected to: only public ones by default.
    #[must_use]
    pub fn addresses(mut self, policy: AddressPolicy) -> Self {
        self.web.addresses = policy;
        self
    }

    /// Trusts any certificate: whoever sits on the way can then read and forge everything. For
    /// servers of your own.
    #[must_use]
    pub fn danger_accept_any_certificate(mut self) -> Self {
        tracing::warn!("TLS certificates are not verified");
        self.web.tls = Tls::Anybody;
        self
    }

    /// Who we say we are, in requests and to robots.txt. Should name a contact.
    #[must_use]
    pub fn user_agent(mut self, user_agent: impl Into<String>) -> Self {
        self.user_agent = user_agent.into();
        self
    }

    /// Asks no robots.txt. For servers of your own.
    #[must_use]
    pub fn no_robots(mut self) -> Self {
        self.rules = RulesMode::Off;
        self
    }

    /// Where items go; may be called several times.
    #[must_use]
    pub fn export(mut self, export: impl Export<S::Item>) -> Self {
        self.exports.push(Box::new(export));
        self
    }

    /// Where the files go that a spider keeps: see [`Found::file`](crate::Found::file).
    #[must_use]
    pub fn files(mut self, store: FileStore) -> Self {
        self.files = Some(store);
        self
    }

    /// Reads again from disk what was fetched once, for the time in which a spider is written: what is
    /// fresh in the cache costs no request and no budget. Freshness is what servers say (RFC 9111), or as
    /// long as [`Cache::fresh_for`] says.
    ///
    /// Kept are pages, redirects and what hosts say in robots.txt (for a day at the most). Not kept are answers
    /// to other methods than GET and to requests with a login, failures, and redirects that set a cookie;
    /// sessions have answers of their own. Cookies are not replayed: what a server sets along with a page that comes
    /// from the cache is not set.
    #[must_use]
    pub fn cache(mut self, cache: Cache) -> Self {
        self.cache = Some(cache);
        self
    }

    /// Another store than the one in memory. One that holds a crawl already is gone on with. It has an
    /// order and caps of its own.
    #[must_use]
    pub fn frontier(mut self, store: impl Frontier + 'static) -> Self {
        self.store = Store::Own(Box::new(store));
        self
    }

    /// Keeps the crawl in a directory, so that nothing can lose it, and memory does not grow with
    /// the URLs that it knows. Whatever is killed when: each page is fetched at least once and
    /// written exactly once.
    ///
    /// The directory is made when it is not there. A crawl that it holds is an error, unless
    /// [`resume`](Self::resume) is called too.
    ///
    /// ```no_run
    /// # mod opilio { pub use {opilio_core::*, opilio_engine::*, opilio_export::*, opilio_fetch::*, opilio_export as export}; }
    /// # async fn run<S: opilio_engine::Spider<Item = String>>(shop: S) -> Result<(), Box<dyn std::error::Error>> {
    /// use opilio::Crawler;
    /// use opilio::JsonLines;
    ///
    /// // Run it again after whatever stopped it, and it goes on.
    /// let output = JsonLines::create("products.jsonl")?;
    /// let report = Crawler::new(shop).export(output).state("products.state").resume().run().await?;
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "disk")]
    #[must_use]
    pub fn state(mut self, dir: impl Into<PathBuf>) -> Self {
        self.store = Store::Directory(dir.into());
        self
    }

    /// Goes on with the crawl that the state directory holds; begins one when there is none and no output
    /// holds anything.
    ///
    /// The spider's name and version and the outputs have to be those of the crawl; everything else
    /// may be set anew. Output files are cut back to what was committed. An output that cannot be cut
    /// back (stdout) gets the rows of the last moments before a kill twice; after a run that came to
    /// its end, gently stopped or not, it gets each once.
    #[cfg(feature = "disk")]
    #[must_use]
    pub fn resume(mut self) -> Self {
        self.resume = true;
        self
    }

    /// Tries all failures of a resumed crawl again, each with all its attempts. Without this it is
    /// those of hosts that were put aside, once the time for that is over.
    ///
    /// Hosts that were put aside because they did not answer are asked again, by one probe each. Those
    /// that asked for a wait too long to sit out are left alone until it is over, and a warning names
    /// them.
    #[must_use]
    pub fn retry_failed(mut self) -> Self {
        self.try_again = TryAgain::Everything;
        self
    }

    /// Keeps of every page when it was fetched and what a later fetch can ask with (some 60 bytes
    /// each), so that a resumed crawl can [refresh](Self::refresh) it. From the first run on: what an
    /// earlier run did not keep is not there.
    #[must_use]
    pub fn history(mut self) -> Self {
        self.history = true;
        self
    }

    /// Makes all pages of a resumed crawl due again that were fetched longer than `age` ago, and
    /// keeps a [history](Self::history). Servers are asked whether a page has changed;
    /// [`Page::is_unchanged`](crate::Page::is_unchanged) tells the spider.
    #[must_use]
    pub fn refresh(mut self, age: Duration) -> Self {
        self.refresh = Some(age);
        self.history()
    }

    /// What a power cut may take of a crawl with a [`state`](Self::state) directory: its last second
    /// by default. A kill of the process takes nothing in any of them.
    #[cfg(feature = "disk")]
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// A common rate for the hosts of each registrable domain.
    #[cfg(test)]
    pub(crate) fn group_rate(mut self, rate: Rate) -> Self {
        self.group_rate = Some(rate);
        self
    }

    /// In which order the URLs of a host and priority are fetched: the fewest links from a seed first
    /// by default. It belongs to the crawl: one that is resumed must have the same.
    #[must_use]
    pub fn order(mut self, order: Order) -> Self {
        self.order = order;
        self
    }

    /// How much is taken of one host: [`HostCaps`](opilio_frontier::HostCaps) for every one, or
    /// [`Caps`] that are others for some. What a cap keeps out is counted as filtered (`host_pages`,
    /// `host_bytes`, `max_depth`).
    #[must_use]
    pub fn host_caps(mut self, caps: impl Into<Caps>) -> Self {
        self.caps = caps.into();
        self
    }

    /// Requests in flight in the whole crawl (64 by default); 0 counts as 1.
    #[must_use]
    pub fn total_in_flight(mut self, max: u32) -> Self {
        self.in_flight = max.max(1);
        self
    }

    /// Hosts that are in memory at once (100,000 by default); the others wait for their turn. 0
    /// counts as 1.
    #[must_use]
    pub fn live_hosts(mut self, max: u32) -> Self {
        self.hosts_max = max.max(1);
        self
    }

    /// Threads that fetch and parse; as many as there are cores by default.
    #[must_use]
    pub fn shards(mut self, shards: usize) -> Self {
        self.shards = shards;
        self
    }

    /// Ends after so many pages, exactly; those of earlier runs of a resumed crawl count.
    #[must_use]
    pub fn max_pages(mut self, pages: u64) -> Self {
        self.pages_max = Some(pages);
        self
    }

    /// Starts nothing more after this time; what is under way ends. A resumed crawl has it anew.
    #[must_use]
    pub fn max_duration(mut self, span: Duration) -> Self {
        self.duration_max = Some(span);
        self
    }

    /// Slows the crawl before its process has more memory than this; at least
    /// [`MEMORY_LIMIT_MIN`](crate::MEMORY_LIMIT_MIN), less counts as that.
    ///
    /// From 70 % of it on, fewer requests are in flight and fewer hosts live; from 92 % on nothing starts
    /// until what is under way has ended. Where memory does not come down then, since the allocator keeps
    /// what was freed, one at a time is fetched up to the limit. The crawl is only ever slowed by it: what
    /// is polite stays as it is. When nothing is under way any more and memory stays at the limit, waiting
    /// cannot help: the crawl ends as if it were stopped, the report says
    /// [`Stopped::MemoryLimit`](crate::Stopped::MemoryLimit), and with a [`state`](Self::state) it can be resumed. Bodies and the caches of the state directory get less
    /// from the start (a quarter of the limit for bodies, half for the caches), and a
    /// state directory that begins under a limit keeps gathering no more than that.
    ///
    /// What counts is the memory that the system says the process has (on Linux its resident set),
    /// whatever else the process does. It is looked at ten times a second, so one moment may take more:
    /// leave room for it below what the system allows.
    #[must_use]
    pub fn memory_limit(mut self, bytes: u64) -> Self {
        self.memory_limit = Some(memory::limit_bytes(bytes));
        self
    }

    /// Has a test tell how much memory there is.
    #[cfg(test)]
    pub(crate) fn gauge(mut self, gauge: impl Fn() -> Option<u64> + Send + 'static) -> Self {
        self.gauge = Box::new(gauge);
        self
    }

    /// Hops that a chain of redirects may take (10 by default).
    #[must_use]
    pub fn max_redirects(mut self, hops: u16) -> Self {
        self.redirects_max = hops;
        self
    }

    /// Writes one page of all that name the same canonical URL (`<link rel=canonical>`; a page that
    /// names none bears its own).
    ///
    /// The first that arrives stands for all, the others end as its aliases, and their links are
    /// followed all the same. So nothing depends on whether the canonical URL itself can be fetched: it
    /// is fetched only if something links to it, and then is one of those that bear its name. A name
    /// counts if it is in scope and of the page's registrable domain. Names are kept in memory, up to
    /// a million, and not across a resume: there a name may get one more page.
    #[must_use]
    pub fn merge_canonical(mut self) -> Self {
        self.merge.canonical = true;
        self
    }

    /// Writes one page of all that have equal content, white space and session ids apart: "not found" pages
    /// with status 200, print versions, one article below several categories.
    ///
    /// The first that arrives stands for all of its registrable domain, the others end as its aliases, and
    /// their links are followed all the same. Contents are kept in memory, up to a quarter of a million on
    /// each thread, and not across a resume: there a content may get one more page.
    #[must_use]
    pub fn merge_duplicates(mut self) -> Self {
        self.merge.content = true;
        self
    }

    /// Takes tracking parameters out of every URL, seeds and targets of redirects included:
    /// [`Scope::strip_tracking`]. The URL that is fetched is the one without, since a crawler is no
    /// visitor of any campaign.
    #[must_use]
    pub fn strip_tracking(mut self) -> Self {
        self.strip_tracking = true;
        self
    }

    /// The seed of all jitter, to repeat a run; by default each run has its own.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Fetches through another transport than the web: one is made for each shard.
    #[must_use]
    pub fn transport(mut self, make: impl Fn() -> Rc<dyn Transport> + Send + Sync + 'static) -> Self {
        self.transport = Some(Arc::new(make));
        self
    }

    /// Wraps each transport, whether it reaches the web or is the crawl's own: a recorder sees every request on its
    /// way out and every answer as it came. The wrapper belongs to one shard.
    #[must_use]
    pub fn transport_around(
        mut self,
        wrap: impl Fn(Rc<dyn Transport>) -> Rc<dyn Transport> + Send + Sync + 'static,
    ) -> Self {
        self.transport_around = Some(Arc::new(wrap));
        self
    }

    /// The wall time at which this run begins, instead of the system's: for virtual time. Dates in header fields,
    /// the expiry of cookies and freshness are read by it, and it goes on with the clock of the runtime.
    #[must_use]
    pub fn began_at(mut self, wall: SystemTime) -> Self {
        self.began_at = Some(wall);
        self
    }

    /// The policy that holds for a host, by what was set so far.
    #[must_use]
    pub fn policy_of(&self, host: &Host) -> &HostPolicy {
        &self.hosts.of(host).policy
    }

    /// Stops gently on SIGINT (Ctrl-C) and SIGTERM, as [`Handle::stop`] does: what is under way ends, everything
    /// is written, and the report says [`Signal`](crate::Stopped::Signal). A second signal gives up
    /// what is under way, as [`Handle::abort`] does. When the crawl is over, signals do what they did before.
    ///
    /// ```no_run
    /// # mod opilio { pub use {opilio_core::*, opilio_engine::*, opilio_export::*, opilio_fetch::*, opilio_export as export}; }
    /// # async fn run(shop: impl opilio_engine::Spider) -> Result<(), opilio_engine::CrawlError> {
    /// let report = opilio::Crawler::new(shop).state("shop.state").resume().stop_on_signals().run().await?;
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn stop_on_signals(mut self) -> Self {
        self.stop_on_signals = true;
        self
    }

    /// Neither keeps nor sends cookies. Without this they are kept for as long as the crawl runs, as
    /// browsers and most crawlers do, since many sites show nothing but their consent or login page to
    /// whoever forgets what it was told; see [`opilio_fetch::Cookies`] for what is kept and given to whom.
    ///
    /// A crawl with a [`state`](Self::state) keeps them there, in a file that only its owner may read, and goes
    /// on with them; one that is resumed without cookies leaves that file as it is.
    #[must_use]
    pub fn no_cookies(mut self) -> Self {
        self.cookies = false;
        self
    }

    /// What requests of a named session have in common: see [`Request::session`](crate::Request::session).
    /// A session that is not named here has nothing of its own but its cookies.
    #[must_use]
    pub fn session(mut self, name: impl Into<String>, session: Session) -> Self {
        self.sessions.insert(name.into(), session);
        self
    }

    /// Fetches through a forward proxy; called several times, they take turns, and one that fails rests
    /// while the others go on. Budgets, robots.txt and everything else stay as they are.
    ///
    /// Names are resolved by the proxy: that they lead to no private address cannot be checked then, and
    /// a warning says so.
    ///
    /// ```
    /// # mod opilio { pub use {opilio_core::*, opilio_engine::*, opilio_export::*, opilio_fetch::*, opilio_export as export}; }
    /// # fn main() -> Result<(), opilio_fetch::BadProxy> {
    /// let crawler = opilio::crawl("https://shop.example/")
    ///     .each(|page, found| Ok(found.item(page.title().into())))
    ///     .proxy("http://me:secret@proxy-1.example:3128".parse()?)
    ///     .proxy("socks5://proxy-2.example:1080".parse()?);
    /// # drop(crawler);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn proxy(mut self, proxy: Proxy) -> Self {
        self.web.proxies.push(proxy);
        self
    }

    /// Looks at every request on its way out and at every answer on its way in; may be called several
    /// times. The first one given is the outermost: it sees a request first and its answer last. None
    /// can send, aim elsewhere, or unsay what a server said about its host.
    ///
    /// ```
    /// # mod opilio { pub use {opilio_core::*, opilio_engine::*, opilio_export::*, opilio_fetch::*, opilio_export as export}; }
    /// # use opilio_engine::crawl;
    /// use opilio::{Middleware, Outgoing};
    /// use http::HeaderValue;
    ///
    /// struct Language;
    ///
    /// impl Middleware for Language {
    ///     fn on_request(&self, request: &mut Outgoing<'_>) {
    ///         request.headers.entry("accept-language").or_insert(HeaderValue::from_static("de, en;q=0.5"));
    ///     }
    /// }
    ///
    /// let crawler = crawl("http://127.0.0.1:8080/").each(|_, _| Ok(())).middleware(Language);
    /// # drop(crawler);
    /// ```
    #[must_use]
    pub fn middleware(mut self, middleware: impl Middleware) -> Self {
        self.middleware.push(Arc::new(middleware));
        self
    }

    /// Crawls to the end.
    ///
    /// Works under any executor: the crawl has threads of its own. When this future is dropped the
    /// crawl drains in the background: what is under way ends, nothing more starts.
    ///
    /// # Errors
    /// When a seed cannot be used, an exporter not opened or written, the frontier fails. A page
    /// that fails is no error: it is in the report.
    pub async fn run(self) -> Result<CrawlReport, CrawlError> {
        self.start()?.await
    }

    /// Starts the crawl and returns at once: a future of its report that can also be watched and stopped.
    ///
    /// # Errors
    /// When a seed cannot be used, an exporter not opened, a thread not started.
    pub fn start(self) -> Result<Crawl, CrawlError> {
        let (plan, progress) = self.plan()?;
        let (commands, inbox) = mpsc::channel(COMMANDS);
        let (done, report) = oneshot::channel();
        std::thread::Builder::new()
            .name("opilio".into())
            .spawn(move || {
                let result = launch::on_own_threads(plan, inbox);
                let _ = done.send(result);
            })
            .map_err(|source| CrawlError::Thread { name: "opilio", source })?;
        Ok(Crawl { report, handle: Handle { commands, progress } })
    }

    /// Crawls on this thread alone, in the clock of its runtime: with tokio's clock paused and a
    /// scripted transport, in virtual time. Dropping the future ends the crawl at once.
    ///
    /// # Errors
    /// As [`Crawler::run`].
    pub async fn run_here(self) -> Result<CrawlReport, CrawlError> {
        self.run_here_with(|_| ()).await
    }

    /// As [`Crawler::run_here`]; gives a handle away first, to watch and command the crawl with.
    pub(crate) async fn run_here_with(
        mut self,
        give: impl FnOnce(Handle),
    ) -> Result<CrawlReport, CrawlError> {
        self.shards = 1;
        let (plan, progress) = self.plan()?;
        let (commands, inbox) = mpsc::channel(COMMANDS);
        // It lives as long as the crawl, which takes the end of its commands for nothing to be done.
        let handle = Handle { commands, progress };
        // A local set of its own: when this future is dropped, so are all of the crawl's tasks.
        let crawl = async {
            give(handle.clone());
            launch::here(plan, inbox).await
        };
        tokio::task::LocalSet::new().run_until(crawl).await
    }
}

/// Where a crawl keeps its frontier.
enum Store {
    Memory,
    Own(Box<dyn Frontier>),
    #[cfg(feature = "disk")]
    Directory(PathBuf),
}
