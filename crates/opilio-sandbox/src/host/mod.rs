//! A simulated host as a state machine: it answers each request that arrives, and records the request in its log.
//!
//! The host has no clock and no sockets: the caller passes the time. The real server, scripted transports and
//! simulations all use this code.

mod exchange;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

pub use self::exchange::{Answer, Ask};
use crate::catalog::Catalog;
use crate::config::{Fault, HostConfig, RefusalForm, Site, Trigger};
use crate::limit::{ArrivalCounter, QuotaState, Ruling};
use crate::log::{Arrival, ArrivalFacts, ArrivalId, Counts, Log};
use crate::pages;
use crate::quota::{HostClock, ceil_seconds, http_date};
use crate::reply::HostReply;
use crate::route::Route;

/// A simulated host: its configuration, its state, and its log.
///
/// ```
/// use std::time::Duration;
/// use opilio_sandbox::{Ask, Host, HostConfig, Limit};
///
/// let mut host = Host::new(HostConfig::new().limit(Limit::per_minute(1)));
/// let first = host.arrive(Duration::ZERO, &Ask::get("/products"));
/// host.left(Duration::from_millis(3), first.id);
/// let second = host.arrive(Duration::from_secs(20), &Ask::get("/deals"));
/// host.left(Duration::from_secs(20), second.id);
///
/// assert_eq!((first.status, second.status), (200, 429));
/// assert_eq!(second.header("retry-after"), Some("40"));
/// host.arrive(Duration::from_secs(59), &Ask::get("/deals"));
/// assert_eq!(host.log().arrivals_while_closed(), 1);
/// ```
#[derive(Debug)]
pub struct Host {
    config: Arc<HostConfig>,
    clock: HostClock,
    limiter: Option<ArrivalCounter>,
    /// The latest time that a call has passed. If a call passes an earlier time, this time is used in its place.
    now: Duration,
    arrivals: u64,
    in_flight: u32,
    refusals: u32,
    banned: bool,
    /// The number of times that each fault with [`Trigger::PathTimes`] has happened, by the fault's index in the
    /// configuration.
    fired: Vec<u32>,
    /// The time at which each fault with [`Trigger::AfterServed`] began, by the fault's index in the configuration.
    began: HashMap<usize, Duration>,
    orders: HashMap<Bytes, u32>,
    date: (u64, String),
    log: Log,
}

/// The most different bodies of orders that a host remembers; further orders are answered by 507.
const ORDERS_MAX: usize = 100_000;

impl Host {
    /// Returns a host that has received no request yet. If `config` is an `Arc`, many hosts can share one
    /// configuration.
    pub fn new(config: impl Into<Arc<HostConfig>>) -> Self {
        let config = config.into();
        Self {
            clock: HostClock::new(config.wall_start_unix, config.clock_skew_seconds),
            limiter: config.limit.map(|limit| ArrivalCounter::new(limit, config.refusals.count)),
            now: Duration::ZERO,
            arrivals: 0,
            in_flight: 0,
            refusals: 0,
            banned: false,
            fired: Vec::new(),
            began: HashMap::new(),
            orders: HashMap::new(),
            date: (u64::MAX, String::new()),
            log: Log::default(),
            config,
        }
    }

    /// Answers a request and logs it. `now` is the time at which its head arrived, counted from the sandbox's
    /// start.
    ///
    /// Time never goes back: if `now` is earlier than in the call before, the time of that call is used.
    pub fn arrive(&mut self, now: Duration, ask: &Ask<'_>) -> Answer {
        self.now = self.now.max(now);
        let now = self.now;
        let id = self.arrivals;
        self.arrivals += 1;
        self.in_flight += 1;
        let ruling = self.limiter.as_mut().map(|limiter| limiter.rule(now));
        let reply = self.decide(now, id, ask, ruling.as_ref());
        self.record(now, id, ask, ruling.as_ref(), &reply);
        self.answer(now, id, ask, ruling.map(|ruling| ruling.quota), reply)
    }

    /// Records that a request has ended: the last byte of its answer was passed to the operating system, or its
    /// fault has happened.
    pub fn left(&mut self, now: Duration, id: ArrivalId) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.log.left(now, id, false);
    }

    /// Records that the client closed the connection before the end of the answer.
    pub fn abandoned(&mut self, now: Duration, id: ArrivalId) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.log.left(now, id, true);
    }

    /// Corrects the time at which the answer's head was sent, if this was not the time of arrival plus the latency.
    pub fn sent(&mut self, now: Duration, id: ArrivalId) {
        self.log.sent(now, id);
    }

    /// Returns the log so far.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Returns the counts so far.
    pub fn counts(&self) -> Counts {
        self.log.counts()
    }

    /// Returns how often an order with each body was carried out at `POST /orders`.
    pub fn orders(&self) -> &HashMap<Bytes, u32> {
        &self.orders
    }

    /// Returns the number of requests in flight.
    pub fn in_flight(&self) -> u32 {
        self.in_flight
    }

    /// Returns whether the client is banned. Every request of a banned client is answered by 403.
    pub fn is_banned(&self) -> bool {
        self.banned
    }

    /// Returns the host's configuration.
    pub fn config(&self) -> &Arc<HostConfig> {
        &self.config
    }

    /// Decides the reply to a request. The rules apply in this order: ban, outage, limit, carrying out the
    /// request, other faults.
    fn decide(&mut self, now: Duration, id: u64, ask: &Ask<'_>, ruling: Option<&Ruling>) -> HostReply {
        if self.banned {
            return HostReply { banned: true, ..HostReply::page(403, "Forbidden", "You are banned.") };
        }
        if let Some(fault) = self.outage(now) {
            return self.faulty(now, fault);
        }
        if let Some(ruling) = ruling.filter(|ruling| !ruling.permitted) {
            return self.refuse(now, ruling);
        }
        let (slowness, fault) = self.draw(now, id, ask);
        let mut reply = match fault {
            // The page would not be sent, so it is not rendered. But if the request is an order, the order is
            // carried out.
            Some(fault) if fault.hides_page() => {
                if is_order(ask) {
                    self.serve(ask);
                }
                self.faulty(now, fault)
            }
            other => {
                let mut reply = self.serve(ask);
                reply.fault = other;
                reply
            }
        };
        if !slowness.is_zero() {
            reply.latency = slowness;
            reply.fault = reply.fault.or(Some(Fault::Slow(slowness)));
        }
        reply
    }

    /// Returns the fault of the outage at this time, if there is an outage. Outages are checked before the limit.
    fn outage(&mut self, now: Duration) -> Option<Fault> {
        let config = Arc::clone(&self.config);
        let mut rules = config.faults.iter().enumerate();
        let found = rules.find(|(place, (trigger, fault))| {
            fault.hides_page() && self.in_span(*place, trigger, now).unwrap_or(false)
        });
        found.map(|(_, (_, fault))| *fault)
    }

    /// Returns whether a fault with a time span happens at this time, or `None` for a fault without a time span.
    fn in_span(&mut self, place: usize, trigger: &Trigger, now: Duration) -> Option<bool> {
        match trigger {
            Trigger::Between(from, to) => Some((*from..*to).contains(&now)),
            Trigger::AfterServed { served, lasts } => {
                if self.log.served() < *served {
                    return Some(false);
                }
                let began = *self.began.entry(place).or_insert(now);
                Some(now < began.saturating_add(*lasts))
            }
            Trigger::Share(_) | Trigger::Path(_) | Trigger::PathTimes(..) => None,
        }
    }

    /// Returns the reply for a fault that hides the page, with the wait that the fault states.
    fn faulty(&self, now: Duration, fault: Fault) -> HostReply {
        let mut reply = HostReply::faulty(fault);
        if let Fault::Refusal { wait_seconds, .. } = fault {
            let sent = now.saturating_add(self.config.latency);
            let (retry_after, closed_until) = self.state_wait(RefusalForm::Fixed(wait_seconds), sent, sent);
            reply.headers.extend(retry_after.map(|value| ("retry-after", value)));
            reply.closed_until = closed_until.filter(|until| *until > sent);
        }
        reply
    }

    /// Decides which faults happen to an arrival. Returns the sum of all slowness, and the first of the other
    /// faults.
    fn draw(&mut self, now: Duration, id: u64, ask: &Ask<'_>) -> (Duration, Option<Fault>) {
        let config = Arc::clone(&self.config);
        let mut slowness = Duration::ZERO;
        for (place, (trigger, fault)) in config.faults.iter().enumerate() {
            if !self.fires(place, trigger, now, id, ask) {
                continue;
            }
            match fault {
                Fault::Slow(takes) => slowness = slowness.saturating_add(*takes),
                other => return (slowness, Some(*other)),
            }
        }
        (slowness, None)
    }

    fn fires(&mut self, place: usize, trigger: &Trigger, now: Duration, id: u64, ask: &Ask<'_>) -> bool {
        match trigger {
            Trigger::Share(share) => chance(self.config.seed, id, place) < *share,
            Trigger::Between(..) | Trigger::AfterServed { .. } => {
                self.in_span(place, trigger, now).unwrap_or(false)
            }
            Trigger::Path(path) => path == ask.path_and_query,
            Trigger::PathTimes(path, times) => {
                if path != ask.path_and_query {
                    return false;
                }
                if self.fired.len() <= place {
                    self.fired.resize(place + 1, 0);
                }
                self.fired[place] = self.fired[place].saturating_add(1);
                self.fired[place] <= *times
            }
        }
    }

    fn refuse(&mut self, now: Duration, ruling: &Ruling) -> HostReply {
        self.refusals = self.refusals.saturating_add(1);
        self.banned = self.config.refusals.ban_at.is_some_and(|nth| self.refusals >= nth);
        let sent = now.saturating_add(self.config.latency);
        let form = self.config.refusals.form;
        let (retry_after, closed_until) = self.state_wait(form, sent, ruling.opens_at);
        let mut reply = HostReply::page(self.config.refusals.status, "Too fast", "Please slow down.");
        if form == RefusalForm::Reset {
            reply = HostReply::faulty(Fault::Reset);
        }
        reply.refused = true;
        reply.closed_until = closed_until.filter(|until| *until > sent);
        reply.headers.extend(retry_after.map(|value| ("retry-after", value)));
        reply
    }

    /// Returns the value of `Retry-After`, and the time at which the wait that the answer states ends.
    fn state_wait(
        &self,
        form: RefusalForm,
        sent: Duration,
        opens_at: Duration,
    ) -> (Option<String>, Option<Duration>) {
        let seconds = |wait: u64| {
            let until = sent.saturating_add(Duration::from_secs(wait));
            (Some(wait.to_string()), Some(until))
        };
        match form {
            RefusalForm::Seconds => seconds(ceil_seconds(opens_at.saturating_sub(sent)).max(1)),
            RefusalForm::Fixed(wait) => seconds(wait),
            RefusalForm::HttpDate => {
                let unix = ceil_seconds(self.clock.unix(opens_at));
                (Some(http_date(unix)), Some(self.clock.since_start(unix)))
            }
            RefusalForm::PastDate => {
                let unix = self.clock.unix(sent).as_secs().saturating_sub(3600);
                (Some(http_date(unix)), None)
            }
            RefusalForm::Zero => (Some("0".to_owned()), None),
            RefusalForm::Garbage => (Some("soon, perhaps".to_owned()), None),
            // In a refusal, the reset time in the quota headers also states the wait.
            RefusalForm::Bare => (None, self.config.dialect.map(|_| opens_at)),
            RefusalForm::Reset => (None, None),
        }
    }

    fn serve(&mut self, ask: &Ask<'_>) -> HostReply {
        if let Some(page) = self.config.pages.get(ask.path_and_query) {
            return HostReply {
                content_type: page.content_type.clone().into(),
                headers: page.headers.clone(),
                body: page.body.clone(),
                ..HostReply::new(page.status)
            };
        }
        let config = Arc::clone(&self.config);
        match &config.site {
            Site::Blank => self.serve_blank(ask),
            Site::Empty => not_found(),
            Site::Written(writer) => writer
                .write(ask.path_and_query)
                .map_or_else(not_found, |html| HostReply { body: html.into(), ..HostReply::new(200) }),
            Site::Catalog(catalog) => self.serve_shop(ask, catalog),
        }
    }

    fn serve_blank(&mut self, ask: &Ask<'_>) -> HostReply {
        match ask.path_and_query.split('?').next() {
            // `/go` redirects and `/orders` carries out an order: both work as in the shop, and show no page.
            Some("/go" | "/orders") => self.serve_shop(ask, &Catalog::new(0)),
            Some("/robots.txt") => HostReply::page(404, "Not found", "There are no rules."),
            _ => HostReply::page(200, "A page", "Nothing to see."),
        }
    }

    fn serve_shop(&mut self, ask: &Ask<'_>, catalog: &Catalog) -> HostReply {
        let route = Route::of(ask.path_and_query, catalog);
        let allowed = if route == Route::Orders { "POST" } else { "GET, HEAD" };
        if !allowed.split(", ").any(|method| method == ask.method) {
            let mut reply = HostReply::page(405, "Wrong method", "Not in this way.");
            reply.headers.push(("allow", allowed.to_owned()));
            return reply;
        }
        if route == Route::Orders {
            return self.carry_out(ask.body);
        }
        let mut reply = HostReply::new(status(&route));
        reply.content_type = pages::content_type(&route).into();
        if self.config.bodies {
            let (edition, base) = (self.config.edition, self.config.base_url.as_str());
            let (_, body) = pages::render(&route, pages::Shop { catalog, edition, base });
            reply.body = body.into();
        }
        if let Route::Redirect { to, .. } = route {
            reply.headers.push(("location", to));
        }
        reply
    }

    fn carry_out(&mut self, body: &[u8]) -> HostReply {
        if body.is_empty() {
            return HostReply::page(400, "Empty", "An order has a body.");
        }
        if self.orders.len() >= ORDERS_MAX && !self.orders.contains_key(body) {
            return HostReply::page(507, "Full", "No more orders.");
        }
        let times = self.orders.entry(Bytes::copy_from_slice(body)).or_default();
        *times = times.saturating_add(1);
        let times = *times;
        HostReply {
            content_type: pages::JSON.into(),
            body: format!("{{\"orders\":{},\"times\":{times}}}", self.orders.len()).into(),
            ..HostReply::new(201)
        }
    }

    fn record(&mut self, now: Duration, id: u64, ask: &Ask<'_>, ruling: Option<&Ruling>, reply: &HostReply) {
        let on_spent_quota = ruling.is_some_and(|ruling| !ruling.permitted);
        if !self.log.keeps(self.config.log_max) {
            let broken = reply.fault.is_some_and(|fault| fault.breaks_answer());
            self.log.count(&ArrivalFacts {
                success: (200..300).contains(&reply.status) && !broken,
                refused: reply.refused,
                banned: reply.banned,
                faulted: reply.fault.is_some(),
                on_spent_quota,
                in_flight: self.in_flight,
            });
            return;
        }
        self.log.record(Arrival {
            id,
            at: now,
            sent: now.saturating_add(self.config.latency).saturating_add(reply.latency),
            left: None,
            closed_until: reply.closed_until,
            path: kept(ask.path_and_query).into(),
            method: known_method(ask.method),
            in_flight: self.in_flight,
            status: reply.status,
            fault: reply.fault,
            refused: reply.refused,
            banned: reply.banned,
            on_spent_quota,
            abandoned: false,
        });
    }

    fn answer(
        &mut self,
        now: Duration,
        id: u64,
        ask: &Ask<'_>,
        quota: Option<QuotaState>,
        reply: HostReply,
    ) -> Answer {
        let latency = self.config.latency.saturating_add(reply.latency);
        let sent = now.saturating_add(latency);
        let mut headers = reply.headers;
        if reply.status != 0 {
            if self.config.date_header {
                headers.push(("date", self.date(sent)));
            }
            headers.push(("content-type", reply.content_type.into_owned()));
            if let (Some(dialect), Some(quota)) = (self.config.dialect, quota) {
                dialect.announce(&quota, sent, self.clock, &mut headers);
            }
        }
        let mut body = match reply.small_page {
            _ if !self.config.bodies => Bytes::new(),
            Some((title, sentence)) => pages::small_page(title, sentence).into(),
            None => reply.body,
        };
        headers.push(("content-length", body.len().to_string()));
        if ask.method == "HEAD" {
            body.clear();
        }
        Answer { id, status: reply.status, headers, body, latency, fault: reply.fault }
    }

    /// Returns the `Date` of an answer. The text is formatted once per second.
    fn date(&mut self, sent: Duration) -> String {
        let second = self.clock.unix(sent).as_secs();
        if self.date.0 != second {
            self.date = (second, http_date(second));
        }
        self.date.1.clone()
    }
}

fn not_found() -> HostReply {
    HostReply::page(404, "Not found", "There is no such page.")
}

fn is_order(ask: &Ask<'_>) -> bool {
    let path = ask.path_and_query.split('?').next();
    ask.method == "POST" && path == Some("/orders")
}

fn status(route: &Route) -> u16 {
    match route {
        Route::Redirect { status, .. } => *status,
        Route::BadRequest(_) => 400,
        Route::NotFound => 404,
        Route::Home
        | Route::Listing { .. }
        | Route::Product(_)
        | Route::Deals
        | Route::Sample(_)
        | Route::ApiList { .. }
        | Route::ApiProduct(_)
        | Route::Robots
        | Route::Sitemap
        | Route::Orders => 200,
    }
}

/// Returns the part of a path that the log records. It is limited, so that long paths do not fill the memory.
fn kept(path_and_query: &str) -> &str {
    const KEPT_BYTES_MAX: usize = 4096;
    &path_and_query[..path_and_query.floor_char_boundary(KEPT_BYTES_MAX)]
}

/// Returns the method as the log records it. Only the path is logged as the client chose it.
fn known_method(method: &str) -> &'static str {
    const KNOWN: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"];
    KNOWN.into_iter().find(|known| *known == method).unwrap_or("OTHER")
}

/// Returns a number in `[0, 1)` for an arrival and a fault. It depends only on the seed and these two numbers
/// (mixed by splitmix64).
fn chance(seed: u64, id: u64, place: usize) -> f64 {
    let mixed = mix(mix(mix(seed) ^ id) ^ place as u64);
    (mixed >> 11) as f64 / (1_u64 << 53) as f64
}

fn mix(x: u64) -> u64 {
    let mut x = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests;
