//! The configuration of a host: its site, its limit and refusals, its faults. A value, built by chaining.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::catalog::Catalog;
use crate::limit::Limit;
use crate::quota::Dialect;

/// The content that a host serves.
#[derive(Debug, Clone)]
pub enum Site {
    /// The shop.
    Catalog(Arc<Catalog>),
    /// A small page at every path, but for `/go`, `/orders` and a missing `/robots.txt`.
    Blank,
    /// Nothing but the pages given by [`HostConfig::page`] and [`HostConfig::answer`]; all else is not found.
    Empty,
    /// Pages written on demand, for sites without an end.
    Written(PageWriter),
}

/// Writes the HTML of a path and query; `None` is answered by 404.
#[derive(Clone)]
pub struct PageWriter(Arc<WritePage>);

type WritePage = dyn Fn(&str) -> Option<String> + Send + Sync;

impl PageWriter {
    /// A writer that is this function of path and query.
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

/// How a host words a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalForm {
    /// `Retry-After` in seconds, rounded up.
    Seconds,
    /// `Retry-After` as an HTTP-date, rounded up to whole seconds, by the host's own clock.
    HttpDate,
    /// No `Retry-After`. Quota headers, if the host has a dialect, state the wait.
    Bare,
    /// `Retry-After` with this number of seconds, whatever the limit.
    Fixed(u64),
    /// `Retry-After: 0`, which states no wait.
    Zero,
    /// `Retry-After` with an HTTP-date of an hour ago, which states no wait.
    PastDate,
    /// `Retry-After: soon, perhaps`.
    Garbage,
    /// No answer at all: the connection is reset.
    Reset,
}

/// A fault of one exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// This status with a small page instead of the answer.
    Status(u16),
    /// The same, with `Retry-After` of this many seconds, independent of any limit.
    Refusal {
        /// 429 or 503 in practice.
        status: u16,
        /// The wait that it states.
        wait_seconds: u64,
    },
    /// The answer comes whole, but this much later (already part of [`Answer::latency`]).
    ///
    /// [`Answer::latency`]: crate::Answer::latency
    Slow(Duration),
    /// The connection is reset before the first byte of the answer.
    Reset,
    /// The connection is reset after the head and half of the body.
    ResetMidBody,
    /// The connection is closed in order after the head and half of the body.
    Truncated,
    /// The answer comes whole, in pieces of `chunk` bytes with a pause of `every` after each.
    Drip {
        /// Bytes in one piece, at least 1.
        chunk: u32,
        /// Pause after a piece.
        every: Duration,
    },
    /// Accepts no connection, and resets open ones at the next request. Meant for outages: in the real server
    /// the kernel refuses new connections meanwhile, so the log misses them. Use [`Fault::Reset`] or a status
    /// to count the requests.
    Unreachable,
    /// The request is taken in, and nothing is ever answered: the client has to give up.
    Silence,
}

impl Fault {
    /// Whether the client gets no complete answer.
    pub const fn breaks_answer(&self) -> bool {
        matches!(self, Self::Reset | Self::ResetMidBody | Self::Truncated | Self::Unreachable | Self::Silence)
    }

    /// Whether nothing of the page is seen.
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

/// When a fault happens.
#[derive(Debug, Clone, PartialEq)]
pub enum Trigger {
    /// With this probability, 0 to 1, for each arrival, drawn from the seed and the arrival's number.
    Share(f64),
    /// From (included) to (excluded), since the sandbox's start. A fault that hides the page then affects
    /// every arrival, including those beyond the limit.
    Between(Duration, Duration),
    /// Begins with the first arrival after this many complete 2xx answers, and lasts for a time. Otherwise as
    /// [`Trigger::Between`].
    AfterServed {
        /// Answers by 2xx that go before.
        served: u64,
        /// The duration from that arrival (included) on.
        lasts: Duration,
    },
    /// Always, for arrivals at exactly this path and query.
    Path(String),
    /// For the first arrivals at exactly this path and query, up to a number.
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

/// How a host refuses requests beyond its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RefusalRules {
    pub(crate) status: u16,
    pub(crate) form: RefusalForm,
    pub(crate) count: bool,
    pub(crate) ban_at: Option<u32>,
}

/// A page put at a path by the user.
#[derive(Debug, Clone)]
pub(crate) struct FixedPage {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Bytes,
}

/// One host: its content, its limit and its faults.
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
    /// A host with the standard catalog, no limit and no faults.
    pub fn new() -> Self {
        Self {
            site: Site::Catalog(Catalog::standard()),
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

    /// Serves something else than the standard catalog.
    pub fn site(mut self, site: Site) -> Self {
        self.site = site;
        self
    }

    /// Serves a catalog of `count` products.
    pub fn products(self, count: u32) -> Self {
        self.site(Site::Catalog(Arc::new(Catalog::new(count))))
    }

    /// Serves a body of its own, with status 200, at exactly this path and query.
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

    /// Serves this answer at exactly this path and query, with these headers in addition to the usual ones: a
    /// redirect to itself, a coded body, a page that is gone.
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

    /// Limits the rate; without this everything is allowed.
    pub fn limit(mut self, limit: Limit) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Words refusals: the status (429 or 503 in practice) and the form. 429 with seconds by default.
    pub fn refusal(mut self, status: u16, form: RefusalForm) -> Self {
        self.refusals.status = status;
        self.refusals.form = form;
        self
    }

    /// Refused requests use up the limit too.
    pub fn count_refused(mut self) -> Self {
        self.refusals.count = true;
        self
    }

    /// After the `nth` refusal everything is answered by 403, for ever.
    pub fn ban_at(mut self, nth: u32) -> Self {
        self.refusals.ban_at = Some(nth);
        self
    }

    /// Announces the quota on every answer. Says nothing without a limit.
    pub fn announce(mut self, dialect: Dialect) -> Self {
        self.dialect = Some(dialect);
        self
    }

    /// Adds a fault. The first one that fires, in the order of adding, decides; slowness combines with the
    /// others. An outage comes before the limit; all other faults affect only permitted arrivals. In both
    /// cases the arrival uses up the limit. A faulty `POST /orders` outside an outage is carried out first.
    pub fn fault(mut self, trigger: Trigger, fault: Fault) -> Self {
        self.faults.push((trigger, fault));
        self
    }

    /// Answers a share (0 to 1) of arrivals by this status.
    pub fn errors(self, status: u16, share: f64) -> Self {
        self.fault(Trigger::Share(share), Fault::Status(status))
    }

    /// Makes one answer in `one_in` take `takes` longer, at random.
    pub fn slow(self, one_in: u32, takes: Duration) -> Self {
        let share = 1.0 / f64::from(one_in.max(1));
        self.fault(Trigger::Share(share), Fault::Slow(takes))
    }

    /// Resets a share (0 to 1) of connections before the answer.
    pub fn resets(self, share: f64) -> Self {
        self.fault(Trigger::Share(share), Fault::Reset)
    }

    /// Cuts a share (0 to 1) of bodies short.
    pub fn truncations(self, share: f64) -> Self {
        self.fault(Trigger::Share(share), Fault::Truncated)
    }

    /// Fails every arrival from one instant (included) to another (excluded) in this way.
    pub fn outage(self, from: Duration, to: Duration, fault: Fault) -> Self {
        self.fault(Trigger::Between(from, to), fault)
    }

    /// Every answer, refusals included, takes this long.
    pub fn latency(mut self, latency: Duration) -> Self {
        self.latency = latency;
        self
    }

    /// Seed of everything random. 108 by default.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Whether answers have bodies; a simulation saves time without. Yes by default.
    pub fn bodies(mut self, bodies: bool) -> Self {
        self.bodies = bodies;
        self
    }

    /// Whether answers have a `Date`. Yes by default.
    pub fn date_header(mut self, date_header: bool) -> Self {
        self.date_header = date_header;
        self
    }

    /// Sets the host's clock ahead by this many seconds (behind, if negative): in `Date` and in every date
    /// and epoch that it states.
    pub fn clock_skew_seconds(mut self, seconds: i64) -> Self {
        self.clock_skew_seconds = seconds;
        self
    }

    /// Wall time of the sandbox's start, since the Unix epoch. The real server sets it to the real
    /// one; by default it is 2026-01-01T00:00:00Z.
    pub fn wall_start_unix(mut self, wall_start: Duration) -> Self {
        self.wall_start_unix = wall_start;
        self
    }

    /// Scheme and authority, without a slash at the end, for the sitemap. The real server sets it.
    pub fn base_url(mut self, base: impl Into<String>) -> Self {
        self.base_url = base.into();
        self
    }

    /// How many arrivals the log keeps one by one (a million by default, about 200 bytes each).
    /// Later ones, and with 0 all, are counted only.
    pub fn log_max(mut self, arrivals: usize) -> Self {
        self.log_max = arrivals;
        self
    }

    /// Divides every duration (windows, latencies, slowness, outages) by `k`, for runs in scaled
    /// time. `Retry-After` and epoch seconds stay whole seconds, so that scenarios which state waits
    /// in them belong into real time.
    pub fn scaled(mut self, k: u32) -> Self {
        let k = k.max(1);
        self.limit = self.limit.map(|limit| limit.scaled(k));
        self.latency /= k;
        self.faults =
            self.faults.into_iter().map(|(trigger, fault)| (trigger.scaled(k), fault.scaled(k))).collect();
        self
    }

    /// The catalog, if the host serves one.
    pub fn catalog(&self) -> Option<&Arc<Catalog>> {
        match &self.site {
            Site::Catalog(catalog) => Some(catalog),
            Site::Blank | Site::Empty | Site::Written(_) => None,
        }
    }

    /// The spans in which no connection is accepted.
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
/// 2026-01-01T00:00:00Z.
const WALL_START_DEFAULT: Duration = Duration::from_secs(1_767_225_600);
