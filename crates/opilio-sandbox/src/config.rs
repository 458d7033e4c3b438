//! The configuration of a host: its content, its rate limit, how it refuses requests, and its faults. It is built
//! by chained calls.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::catalog::Catalog;
use crate::edition::Edition;
use crate::limit::Limit;
use crate::quota::Dialect;

/// The content that a host serves.
#[derive(Debug, Clone)]
pub enum Site {
    /// The shop with this catalog.
    Catalog(Arc<Catalog>),
    /// A small page at every path. Only `/go` and `/orders` work as in the shop, and `/robots.txt` does not exist.
    Blank,
    /// Only the pages given by [`HostConfig::page`] and [`HostConfig::answer`]. Every other path is answered by
    /// 404.
    Empty,
    /// Pages that a function writes when they are requested, for sites without an end.
    Written(PageWriter),
}

/// A function that writes the HTML for a path and query. If it returns `None`, the answer is 404.
#[derive(Clone)]
pub struct PageWriter(Arc<WritePage>);

type WritePage = dyn Fn(&str) -> Option<String> + Send + Sync;

impl PageWriter {
    /// Makes a page writer from a function, which gets the path and the query.
    pub fn new(write: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(write))
    }

    pub(crate) fn write(&self, path_and_query: &str) -> Option<String> {
        (self.0)(path_and_query)
    }
}

impl fmt::Debug for PageWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PageWriter")
    }
}

/// The form in which a host states the wait when it refuses a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalForm {
    /// `Retry-After` in seconds, rounded up.
    Seconds,
    /// `Retry-After` as an HTTP-date by the host's own clock, rounded up to whole seconds.
    HttpDate,
    /// No `Retry-After`. If the host announces its quota in headers, these headers state the wait.
    Bare,
    /// `Retry-After` with this number of seconds, whatever the wait that the limit requires.
    Fixed(u64),
    /// `Retry-After: 0`, which states no wait.
    Zero,
    /// `Retry-After` with an HTTP-date one hour in the past, which states no wait.
    PastDate,
    /// `Retry-After: soon, perhaps`.
    Garbage,
    /// No answer at all: the connection is reset.
    Reset,
}

/// A fault of the server that happens at one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The answer is replaced by a small page with this status.
    Status(u16),
    /// Like [`Status`](Self::Status), with a `Retry-After` that does not depend on the rate limit.
    Refusal {
        /// The status: 429 or 503 in practice.
        status: u16,
        /// The value of `Retry-After`, in seconds.
        wait_seconds: u64,
    },
    /// The answer is complete, but sent this much later. The delay is already part of [`Answer::latency`].
    ///
    /// [`Answer::latency`]: crate::Answer::latency
    Slow(Duration),
    /// The connection is reset before the first byte of the answer.
    Reset,
    /// The connection is reset after the head and half of the body.
    ResetMidBody,
    /// The connection is closed in an orderly way after the head and half of the body.
    Truncated,
    /// The answer is complete, but sent in pieces of `chunk` bytes, with a pause of `every` after each.
    Drip {
        /// The number of bytes in one piece, at least 1.
        chunk: u32,
        /// The pause after each piece.
        every: Duration,
    },
    /// The host accepts no connections, and resets open connections at the next request. Meant for outages. In the
    /// real server the operating system refuses new connections, so the log does not show them. To count the
    /// requests, use [`Fault::Reset`] or a status.
    Unreachable,
    /// The request is read, but never answered: the client must give up.
    Silence,
}

impl Fault {
    /// Returns whether the client gets no complete answer.
    pub const fn breaks_answer(&self) -> bool {
        matches!(self, Self::Reset | Self::ResetMidBody | Self::Truncated | Self::Unreachable | Self::Silence)
    }

    /// Returns whether the client gets no part of the page.
    pub(crate) const fn hides_page(&self) -> bool {
        matches!(
            self,
            Self::Status(_) | Self::Refusal { .. } | Self::Reset | Self::Unreachable | Self::Silence
        )
    }

    fn scaled(self, k: u32) -> Self {
        match self {
            Self::Slow(takes) => Self::Slow(takes / k),
            Self::Drip { chunk, every } => Self::Drip { chunk, every: every / k },
            Self::Status(_)
            | Self::Refusal { .. }
            | Self::Reset
            | Self::ResetMidBody
            | Self::Truncated
            | Self::Unreachable
            | Self::Silence => self,
        }
    }
}

/// The condition under which a fault happens.
#[derive(Debug, Clone, PartialEq)]
pub enum Trigger {
    /// The fault happens at each arrival with this probability, 0 to 1. The random number depends only on the seed
    /// and the number of the arrival.
    Share(f64),
    /// The fault happens from the first of these times (included) to the second (excluded), counted from the
    /// sandbox's start. If the fault hides the page, it affects every arrival in this span, including those beyond
    /// the limit.
    Between(Duration, Duration),
    /// The fault begins at the first arrival after this many complete 2xx answers, and then lasts for some time. In
    /// all else like [`Trigger::Between`].
    AfterServed {
        /// The number of complete 2xx answers before the fault.
        served: u64,
        /// The duration of the fault, beginning with that arrival.
        lasts: Duration,
    },
    /// The fault happens at each arrival for exactly this path and query.
    Path(String),
    /// The fault happens at the first arrivals for exactly this path and query, at most this many times.
    PathTimes(String, u32),
}

impl Trigger {
    fn scaled(self, k: u32) -> Self {
        match self {
            Self::Between(from, to) => Self::Between(from / k, to / k),
            Self::AfterServed { served, lasts } => Self::AfterServed { served, lasts: lasts / k },
            Self::Share(_) | Self::Path(_) | Self::PathTimes(..) => self,
        }
    }
}

/// The way in which a host refuses requests beyond its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RefusalRules {
    pub(crate) status: u16,
    pub(crate) form: RefusalForm,
    pub(crate) count: bool,
    pub(crate) ban_at: Option<u32>,
}

/// A page that the user set at a path.
#[derive(Debug, Clone)]
pub(crate) struct FixedPage {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Bytes,
}

/// The configuration of one host: its content, its limit and its faults.
///
/// ```
/// use std::time::Duration;
/// use opilio_sandbox::{Fault, HostConfig, Limit, RefusalForm, Trigger};
///
/// let host = HostConfig::new()
///     .limit(Limit::per_minute(60))
///     .refusal(429, RefusalForm::Seconds)
///     .errors(500, 0.02)
///     .slow(10, Duration::from_secs(5))
///     .outage(Duration::from_secs(30), Duration::from_secs(50), Fault::Status(502))
///     .fault(Trigger::Path("/products/7-light-glass-bowl".into()), Fault::Reset)
///     .seed(7);
/// # let _ = host;
/// ```
#[derive(Debug, Clone)]
pub struct HostConfig {
    pub(crate) site: Site,
    pub(crate) edition: Edition,
    pub(crate) pages: HashMap<String, FixedPage>,
    pub(crate) limit: Option<Limit>,
    pub(crate) refusals: RefusalRules,
    pub(crate) dialect: Option<Dialect>,
    pub(crate) faults: Vec<(Trigger, Fault)>,
    pub(crate) latency: Duration,
    pub(crate) seed: u64,
    pub(crate) bodies: bool,
    pub(crate) date_header: bool,
    pub(crate) clock_skew_seconds: i64,
    pub(crate) wall_start_unix: Duration,
    pub(crate) base_url: String,
    pub(crate) log_max: usize,
}

impl HostConfig {
    /// Returns a host with the standard catalog, without limit and faults.
    pub fn new() -> Self {
        Self {
            site: Site::Catalog(Catalog::standard()),
            edition: Edition::First,
            pages: HashMap::new(),
            limit: None,
            refusals: RefusalRules { status: 429, form: RefusalForm::Seconds, count: false, ban_at: None },
            dialect: None,
            faults: Vec::new(),
            latency: Duration::ZERO,
            seed: SEED_DEFAULT,
            bodies: true,
            date_header: true,
            clock_skew_seconds: 0,
            wall_start_unix: WALL_START_DEFAULT,
            base_url: "http://catalog108.test".to_owned(),
            log_max: LOG_MAX_DEFAULT,
        }
    }

    /// Sets the content, instead of the standard catalog.
    pub fn site(mut self, site: Site) -> Self {
        self.site = site;
        self
    }

    /// Serves a catalog of `count` products.
    pub fn products(self, count: u32) -> Self {
        self.site(Site::Catalog(Arc::new(Catalog::new(count))))
    }

    /// Sets the edition of the shop, which decides the names of classes in its markup. The default is the first. Has
    /// no effect on other content.
    pub fn edition(mut self, edition: Edition) -> Self {
        self.edition = edition;
        self
    }

    /// Serves this body, with status 200, at exactly this path and query.
    pub fn page(
        mut self,
        path_and_query: impl Into<String>,
        content_type: impl Into<String>,
        body: impl Into<Bytes>,
    ) -> Self {
        let content_type = content_type.into();
        let page = FixedPage { status: 200, content_type, headers: Vec::new(), body: body.into() };
        self.pages.insert(path_and_query.into(), page);
        self
    }

    /// Serves this answer at exactly this path and query. The headers are added to the usual ones. Examples are a
    /// redirect to itself, an encoded body, or a page that no longer exists.
    pub fn answer(
        mut self,
        path_and_query: impl Into<String>,
        status: u16,
        headers: impl IntoIterator<Item = (&'static str, String)>,
        body: impl Into<Bytes>,
    ) -> Self {
        let (content_type, headers) = (crate::pages::HTML.to_owned(), headers.into_iter().collect());
        let page = FixedPage { status, content_type, headers, body: body.into() };
        self.pages.insert(path_and_query.into(), page);
        self
    }

    /// Sets the rate limit. Without a limit, all requests are allowed.
    pub fn limit(mut self, limit: Limit) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Sets how requests are refused: the status (429 or 503 in practice) and the form in which the wait is stated.
    /// The default is 429 with a wait in seconds.
    pub fn refusal(mut self, status: u16, form: RefusalForm) -> Self {
        self.refusals.status = status;
        self.refusals.form = form;
        self
    }

    /// Makes refused requests count against the limit, too.
    pub fn count_refused(mut self) -> Self {
        self.refusals.count = true;
        self
    }

    /// Bans the client at the `nth` refusal: from then on every request is answered by 403.
    pub fn ban_at(mut self, nth: u32) -> Self {
        self.refusals.ban_at = Some(nth);
        self
    }

    /// Announces the quota in the headers of every answer. Has no effect without a limit.
    pub fn announce(mut self, dialect: Dialect) -> Self {
        self.dialect = Some(dialect);
        self
    }

    /// Adds a fault. If several faults could happen at a request, the one that was added first happens; only
    /// slowness is combined with other faults. An outage is checked before the limit; all other faults happen only
    /// to arrivals within the limit. In both cases the arrival counts against the limit. If a fault other than an
    /// outage happens to a `POST /orders`, the order is still carried out.
    pub fn fault(mut self, trigger: Trigger, fault: Fault) -> Self {
        self.faults.push((trigger, fault));
        self
    }

    /// Answers this share (0 to 1) of all arrivals with this status.
    pub fn errors(self, status: u16, share: f64) -> Self {
        self.fault(Trigger::Share(share), Fault::Status(status))
    }

    /// Makes a share of the answers slower: each answer is chosen with probability 1 / `one_in` and takes `takes`
    /// longer.
    pub fn slow(self, one_in: u32, takes: Duration) -> Self {
        let share = 1.0 / f64::from(one_in.max(1));
        self.fault(Trigger::Share(share), Fault::Slow(takes))
    }

    /// Resets this share (0 to 1) of connections before the answer.
    pub fn resets(self, share: f64) -> Self {
        self.fault(Trigger::Share(share), Fault::Reset)
    }

    /// Cuts off this share (0 to 1) of bodies.
    pub fn truncations(self, share: f64) -> Self {
        self.fault(Trigger::Share(share), Fault::Truncated)
    }

    /// Makes every arrival from one time (included) to another (excluded) fail with this fault.
    pub fn outage(self, from: Duration, to: Duration, fault: Fault) -> Self {
        self.fault(Trigger::Between(from, to), fault)
    }

    /// Delays every answer, including refusals, by this time.
    pub fn latency(mut self, latency: Duration) -> Self {
        self.latency = latency;
        self
    }

    /// Sets the seed of all random decisions; 108 by default.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Sets whether answers have bodies; a simulation is faster without them. True by default.
    pub fn bodies(mut self, bodies: bool) -> Self {
        self.bodies = bodies;
        self
    }

    /// Sets whether answers have a `Date` header. True by default.
    pub fn date_header(mut self, date_header: bool) -> Self {
        self.date_header = date_header;
        self
    }

    /// Sets the host's clock ahead by this many seconds (behind, if negative). This changes `Date` and every
    /// date and epoch that the host states.
    pub fn clock_skew_seconds(mut self, seconds: i64) -> Self {
        self.clock_skew_seconds = seconds;
        self
    }

    /// Sets the wall time at which the sandbox starts, counted from the Unix epoch. The real server sets the real
    /// time. Without this call the time is 2026-01-01T00:00:00Z.
    pub fn wall_start_unix(mut self, wall_start: Duration) -> Self {
        self.wall_start_unix = wall_start;
        self
    }

    /// Sets the scheme and authority that the sitemap uses in its URLs, without a slash at the end. The real server
    /// sets this value itself.
    pub fn base_url(mut self, base: impl Into<String>) -> Self {
        self.base_url = base.into();
        self
    }

    /// Sets how many arrivals the log records in detail (a million by default, about 200 bytes each). Later
    /// arrivals are only counted.
    pub fn log_max(mut self, arrivals: usize) -> Self {
        self.log_max = arrivals;
        self
    }

    /// Divides every duration (windows, latencies, slowness, outages) by `k`, for faster runs. `Retry-After` and
    /// epoch seconds are still rounded to whole seconds, so do not scale scenarios that state waits in these.
    pub fn scaled(mut self, k: u32) -> Self {
        let k = k.max(1);
        self.limit = self.limit.map(|limit| limit.scaled(k));
        self.latency /= k;
        self.faults =
            self.faults.into_iter().map(|(trigger, fault)| (trigger.scaled(k), fault.scaled(k))).collect();
        self
    }

    /// Returns the catalog, if the host serves one.
    pub fn catalog(&self) -> Option<&Arc<Catalog>> {
        match &self.site {
            Site::Catalog(catalog) => Some(catalog),
            Site::Blank | Site::Empty | Site::Written(_) => None,
        }
    }

    /// Iterates over the time spans in which no connection is accepted.
    pub(crate) fn unreachable_spans(&self) -> impl Iterator<Item = (Duration, Duration)> {
        self.faults.iter().filter_map(|fault| match fault {
            (Trigger::Between(from, to), Fault::Unreachable) if from < to => Some((*from, *to)),
            _ => None,
        })
    }
}

impl Default for HostConfig {
    fn default() -> Self {
        Self::new()
    }
}

const SEED_DEFAULT: u64 = 108;
const LOG_MAX_DEFAULT: usize = 1_000_000;
/// The default wall time of the sandbox's start: 2026-01-01T00:00:00Z.
const WALL_START_DEFAULT: Duration = Duration::from_secs(1_767_225_600);
