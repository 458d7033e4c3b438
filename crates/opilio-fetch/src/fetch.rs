//! The fetcher: makes one attempt, from a request to an outcome.

#[cfg(feature = "cache")]
mod cached;
#[cfg(not(feature = "cache"))]
mod never_cached;
mod request;

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header};
use opilio_core::{Blame, Fault, Hints, Outcome, USER_AGENT};
use tokio::time::{Instant, timeout_at};
use url::Url;

#[cfg(not(feature = "cache"))]
use self::never_cached::Cache;
pub use self::request::{FetchRequest, Purpose};
use crate::body::{self, BodyReader};
use crate::budget::{BodyBudget, BodyPermit};
#[cfg(feature = "cache")]
use crate::cache::Cache;
use crate::decode::{self, ACCEPT_ENCODING};
use crate::head::{self, Accept, Head};
use crate::limits::Limits;
use crate::middleware::{Middleware, ObservedRequest, Panicked, Stack};
use crate::transport::{
    Answer, BodyStream, Connection, Progress, StopReason, Transport, TransportError, TransportRequest,
};

/// The result of an attempt.
#[derive(Debug)]
pub struct Fetched {
    /// The outcome of the attempt. An attempt with [`Outcome::Failed`] never has a body.
    pub outcome: Outcome,
    /// Statements of the answer about its host, such as a wait that the host asks for.
    pub hints: Hints,
    /// The head of the answer; `None` if no answer arrived.
    pub head: Option<Head>,
    /// The whole body, decoded. Empty for redirects, refusals (429, 503 and statuses that count as such) and
    /// failures.
    pub body: Bytes,
    /// Whether the body was longer than [`FetchRequest::enough`], so that its rest was not read.
    pub cut: bool,
    /// The share of the crawl's memory budget that the body takes. Keep the permit as long as the body.
    pub permit: BodyPermit,
    /// The target of a redirect: absolute, http or https, without fragment.
    pub location: Option<Url>,
    /// The error as text for people: the operation that failed, and the reason. An answer whose status is a failure
    /// has an error, too, if its body could not be read.
    pub error: Option<String>,
    /// The number of bytes of the body that were read, as sent (before decoding).
    pub wire_bytes: u64,
    /// Whether the connection had carried a request before.
    pub reused: bool,
    /// Whether the answer came from the cache, so that nothing was sent.
    pub cached: bool,
    /// The time from the start to the end of the attempt, including waits for memory.
    pub elapsed: Duration,
}

/// Makes attempts over a transport, within limits. Each shard has one fetcher.
///
/// ```
/// # mod opilio { pub use opilio_core as core; pub use opilio_fetch as fetch; }
/// use std::rc::Rc;
/// use opilio::core::Outcome;
/// use opilio::fetch::{TransportRequest, Fetcher, FetchRequest, ScriptedAnswer, ScriptedTransport};
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
/// # runtime.block_on(async {
/// let web = ScriptedTransport::new(|_now, ask: &TransportRequest| match ask.url.path() {
///     "/" => ScriptedAnswer::page("<h1>Welcome</h1>"),
///     _ => ScriptedAnswer::status(404),
/// });
/// let fetcher = Fetcher::new(Rc::new(web));
/// let fetched = fetcher.fetch(FetchRequest::get("http://shop.test/".parse()?)).await;
/// assert_eq!(fetched.outcome, Outcome::Answered(200));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Fetcher {
    transport: Rc<dyn Transport>,
    limits: Limits,
    budget: BodyBudget,
    user_agent: HeaderValue,
    middleware: Stack,
    cache: Option<Cache>,
    wall_clock_ms: Rc<dyn Fn() -> i64>,
}

impl fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetcher").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl Fetcher {
    /// Returns a fetcher with default limits and a body budget of its own.
    #[must_use]
    pub fn new(transport: Rc<dyn Transport>) -> Self {
        Self {
            transport,
            limits: Limits::default(),
            budget: BodyBudget::default(),
            user_agent: HeaderValue::from_static(USER_AGENT),
            middleware: Stack::default(),
            cache: None,
            wall_clock_ms: Rc::new(system_clock_ms),
        }
    }

    /// Sets the limits of each attempt.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets the body budget, which other fetchers may share.
    #[must_use]
    pub fn budget(mut self, budget: BodyBudget) -> Self {
        self.budget = budget;
        self
    }

    /// Sets the `User-Agent` header.
    #[must_use]
    pub fn user_agent(mut self, user_agent: HeaderValue) -> Self {
        self.user_agent = user_agent;
        self
    }

    /// Sets the middleware, the outermost first: see [`Middleware`].
    #[must_use]
    pub fn middleware(mut self, all: Vec<Arc<dyn Middleware>>) -> Self {
        self.middleware = Stack::new(all);
        self
    }

    /// Sets the wall clock, a function that returns Unix milliseconds. Tests use this for virtual time.
    #[must_use]
    pub fn wall_clock_ms(mut self, clock: impl Fn() -> i64 + 'static) -> Self {
        self.wall_clock_ms = Rc::new(clock);
        self
    }

    /// Makes one attempt, or reads its answer from the cache. Dropping the future ends the attempt.
    pub async fn fetch(&self, mut order: FetchRequest) -> Fetched {
        head::clean(&mut order.url);
        match &self.cache {
            Some(cache) => self.fetch_with_cache(cache, order).await,
            None => self.fetch_anew(order).await,
        }
    }

    /// Returns the answer from the cache, if the fetcher has a cache with a fresh answer. Then nothing is sent, and
    /// nothing of the host's budget is spent.
    pub async fn cached(&self, order: &FetchRequest) -> Option<Fetched> {
        let cache = self.cache.as_ref()?;
        let mut order = order.clone();
        head::clean(&mut order.url);
        self.read_from_cache(cache, &order).await
    }

    /// Makes an attempt without reading or writing the cache.
    async fn fetch_anew(&self, mut order: FetchRequest) -> Fetched {
        let started = Instant::now();
        if self.middleware.is_empty() {
            return self.fetch_plain(order, started).await;
        }
        let asked = ObservedRequest::of(&order);
        let tried = Tried { method: &order.method.clone(), url: &asked.url };
        if let Err(panicked) = self.middleware.on_request(&mut order) {
            let mut fetched = Fetched::nothing_yet();
            fetched.fail(tried.panicked(&panicked));
            return fetched;
        }
        let mut fetched = self.fetch_plain(order, started).await;
        let panicked = self.middleware.on_response(&asked, self.stated_wait(&fetched), &mut fetched);
        if matches!(fetched.outcome, Outcome::Refused(_)) {
            // This answer is not a page, so the crawl needs no body. All middleware has read the body by now.
            fetched.drop_body();
        }
        if let Err(panicked) = panicked {
            let failure = tried.panicked(&panicked);
            if fetched.outcome.blame() == Blame::Refusal {
                // The host's hints, such as the wait that it asks for, are kept, even if middleware panicked.
                fetched.error = Some(failure.detail);
            } else {
                fetched.fail(failure);
            }
        }
        fetched
    }

    /// Returns the wait that a refusal states. Answers that are not refusals mostly use `Retry-After` for another
    /// purpose.
    fn stated_wait(&self, fetched: &Fetched) -> Option<Duration> {
        let head = fetched.head.as_ref()?;
        Hints::read(&head.headers, STATUS_OF_REFUSALS, (self.wall_clock_ms)()).retry_after
    }

    /// Makes an attempt without calling the middleware.
    async fn fetch_plain(&self, order: FetchRequest, started: Instant) -> Fetched {
        let url = order.url.clone();
        let mut fetched = Fetched::nothing_yet();
        if let Err(error) = self.attempt(order, &url, started, &mut fetched).await {
            // If the status is a failure, the outcome remains that status, even if reading the body failed.
            if !matches!(fetched.outcome, Outcome::Answered(400..)) {
                fetched.outcome = Outcome::Failed(error.fault);
            }
            fetched.error = Some(error.detail);
        }
        fetched.elapsed = started.elapsed();
        fetched
    }

    async fn attempt(
        &self,
        order: FetchRequest,
        url: &Url,
        started: Instant,
        fetched: &mut Fetched,
    ) -> Result<(), AttemptFailure> {
        let (method, slow_down, retried) =
            (order.method.clone(), order.slow_down.clone(), order.retried.clone());
        let (accept, enough) = (order.accept, order.enough);
        let wanted = WantedAnswer { tried: Tried { method: &method, url }, accept, enough, started };
        if !matches!(url.scheme(), "http" | "https") {
            return Err(wanted
                .tried
                .failed(Fault::UnsupportedScheme, "only http and https URLs are fetched"));
        }
        let progress = Progress::default();
        let answer = self.ask(order, started, &progress).await;
        let answer = answer.map_err(|error| wanted.tried.broke(&error))?;
        fetched.reused = answer.reused;
        let says_slow_down = slow_down.contains(answer.status);
        let read_as = if says_slow_down { STATUS_OF_REFUSALS } else { answer.status };
        fetched.hints = Hints::read(&answer.headers, read_as, (self.wall_clock_ms)());
        let checked = head::check(&answer, &self.limits, &retried);
        let stream = fetched.note_head(answer, url);
        let mut open = OpenAnswer { stream, progress, says_slow_down, checked };
        let read = self.read_answer(&wanted, &mut open, fetched).await;
        // A recording has to tell a body that is dropped on purpose from one that is dropped with the crawl.
        if open.progress.stopped().is_none() {
            open.progress.stop(StopReason::Enough);
        }
        read
    }

    /// Decides by the head of an answer whether its body is wanted, and reads the body if it is.
    async fn read_answer(
        &self,
        wanted: &WantedAnswer<'_>,
        open: &mut OpenAnswer,
        fetched: &mut Fetched,
    ) -> Result<(), AttemptFailure> {
        let (WantedAnswer { tried, accept, enough, started }, status) = (wanted, fetched.status());
        if matches!(status, 429 | 503) {
            // The host asks the crawler to wait, so this must be reported before another request to the host starts.
            // The rest of the answer is not read, and the connection is closed.
            fetched.outcome = Outcome::Answered(status);
            return Ok(());
        }
        if open.says_slow_down {
            fetched.outcome = Outcome::Refused(status);
            fetched.error = Some(tried.text(&format!("the status {status} counts as a refusal")));
            return Ok(());
        }
        open.checked.map_err(|fault| tried.failed(fault, "the head of the answer is not acceptable"))?;
        if (300..=399).contains(&status) && status != 304 {
            fetched.redirect(tried, &self.limits)?;
            if head::ends_at(fetched.headers(), Some(0)).is_none() {
                body::drain(&mut open.stream).await;
            }
            return Ok(());
        }
        fetched.outcome = Outcome::Answered(status);
        let headers = fetched.headers();
        if (200..=299).contains(&status) && !accept.wants(headers) {
            return Err(tried.failed(Fault::NotText, "the answer's content type is not wanted"));
        }
        let codings =
            decode::codings(headers).map_err(|fault| tried.failed(fault, "the content coding is unknown"))?;
        let length = head::content_length(headers)
            .map_err(|fault| tried.failed(fault, "the length is not a number"))?;
        let length = length.filter(|_| !head::is_bodiless(tried.method, status));
        let ends_at = head::ends_at(headers, length);
        let (source, deadline) = ((&mut open.stream, &open.progress), *started + self.limits.timeout);
        let mut reader = BodyReader::new(source, length, deadline, &self.limits, &self.budget)
            .ends_at(ends_at)
            .enough(*enough);
        let read = reader.read(&codings).await;
        fetched.wire_bytes = reader.wire;
        let body = read.map_err(|error| tried.broke(&error))?;
        if fetched.head.as_ref().is_some_and(|head| head::is_chunked_in_secret(head, &body.bytes)) {
            return Err(tried.failed(Fault::Malformed, "the body is chunked, but no header field says so"));
        }
        (fetched.body, fetched.permit, fetched.cut) = (body.bytes, body.permit, body.cut);
        Ok(())
    }

    /// Sends the request and waits for the head of the answer, up to the deadline for the first byte.
    async fn ask(
        &self,
        order: FetchRequest,
        started: Instant,
        progress: &Progress,
    ) -> Result<Answer, TransportError> {
        let ask = TransportRequest {
            headers: self.headers(order.headers, order.accept),
            url: order.url,
            method: order.method,
            body: order.body,
            connection: if order.repeatable { order.connection } else { Connection::Fresh },
            session: order.session,
            proxy: order.proxy,
            progress: progress.clone(),
        };
        let mut sending = self.transport.send(ask);
        match timeout_at(started + self.limits.first_byte(), &mut sending).await {
            Ok(answered) => answered,
            Err(_) => {
                progress.stop(StopReason::Deadline);
                let phase = progress.phase();
                Err(TransportError::new(phase, phase.timeout(), "the deadline of the attempt passed"))
            }
        }
    }

    fn headers(&self, mut headers: HeaderMap, accept: Accept) -> HeaderMap {
        for name in NOT_THEIRS {
            headers.remove(name);
        }
        headers.entry(header::USER_AGENT).or_insert_with(|| self.user_agent.clone());
        headers.entry(header::ACCEPT).or_insert_with(|| accept.header());
        headers.entry(header::ACCEPT_ENCODING).or_insert(HeaderValue::from_static(ACCEPT_ENCODING));
        headers
    }
}

impl Fetched {
    fn nothing_yet() -> Self {
        Self {
            // This outcome is only a placeholder: every attempt overwrites it.
            outcome: Outcome::Failed(Fault::Lost),
            hints: Hints::default(),
            head: None,
            body: Bytes::new(),
            cut: false,
            permit: BodyPermit::none(),
            location: None,
            error: None,
            wire_bytes: 0,
            reused: false,
            cached: false,
            elapsed: Duration::ZERO,
        }
    }

    fn fail(&mut self, failure: AttemptFailure) {
        self.outcome = Outcome::Failed(failure.fault);
        self.error = Some(failure.detail);
        self.drop_body();
        self.location = None;
    }

    fn drop_body(&mut self) {
        self.body = Bytes::new();
        self.permit = BodyPermit::none();
    }

    fn note_head(&mut self, answer: Answer, url: &Url) -> BodyStream {
        self.head = Some(Head {
            status: answer.status,
            version: answer.version,
            headers: answer.headers,
            url: url.clone(),
            remote: answer.remote,
        });
        answer.body
    }

    fn status(&self) -> u16 {
        self.head.as_ref().map_or(0, |head| head.status)
    }

    fn headers(&self) -> &HeaderMap {
        static NONE: std::sync::LazyLock<HeaderMap> = std::sync::LazyLock::new(HeaderMap::new);
        self.head.as_ref().map_or(&NONE, |head| &head.headers)
    }

    fn redirect(&mut self, tried: &Tried<'_>, limits: &Limits) -> Result<(), AttemptFailure> {
        let status = self.status();
        if matches!(status, 301 | 302 | 303 | 307 | 308) {
            self.location = head::location(self.headers(), tried.url, limits);
        }
        if self.location.is_none() {
            return Err(tried.failed(Fault::BadRedirect, "the redirect has no usable Location"));
        }
        self.outcome = Outcome::Redirected(status);
        Ok(())
    }
}

/// The answer that an attempt wants.
struct WantedAnswer<'a> {
    tried: Tried<'a>,
    accept: Accept,
    /// The most decoded bytes of the body that are read; `None` reads the whole body.
    enough: Option<usize>,
    started: Instant,
}

/// An answer whose head has arrived and whose body has not been read.
struct OpenAnswer {
    stream: BodyStream,
    progress: Progress,
    /// Whether the status counts as a refusal.
    says_slow_down: bool,
    /// Whether the head is acceptable.
    checked: Result<(), Fault>,
}

/// The reason why an attempt gave no page.
struct AttemptFailure {
    fault: Fault,
    detail: String,
}

/// The method and the URL of the attempt, for error texts.
struct Tried<'a> {
    method: &'a Method,
    /// The URL without user info, since it is logged.
    url: &'a Url,
}

impl Tried<'_> {
    fn failed(&self, fault: Fault, why: &str) -> AttemptFailure {
        AttemptFailure { fault, detail: self.text(why) }
    }

    fn text(&self, why: &str) -> String {
        format!("{} {}: {why}", self.method, self.url)
    }

    fn panicked(&self, Panicked(name): &Panicked) -> AttemptFailure {
        self.failed(Fault::Middleware, &format!("the middleware {name} panicked"))
    }

    fn broke(&self, error: &TransportError) -> AttemptFailure {
        self.failed(error.fault(), &error.to_string())
    }
}

fn system_clock_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// If another status counts as a refusal, the header fields of the answer are read as those of an answer with this
/// status: 429 (Too Many Requests).
const STATUS_OF_REFUSALS: u16 = 429;
/// The header fields that a request cannot set, since the transport derives them itself.
const NOT_THEIRS: [header::HeaderName; 6] = [
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::CONNECTION,
    header::UPGRADE,
    header::TE,
    header::EXPECT,
];
