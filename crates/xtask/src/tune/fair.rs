//! Scenarios in which single pages are broken, requests are refused at random, or the host is closed for a while. A
//! broken page must not cost the host any other page, and no page may be lost because of an outage.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use opilio_core::host::{Delivery, RulesMode};
use opilio_core::{HostPolicy, Reason, per_second};
use opilio_sandbox::{Arrival, Fault, HostConfig, Limit, Log, RefusalForm, Site, Trigger};

use super::scenarios::{GOAL, LearningGoal, RETRIES, WorldScenario};
use super::world::{Outcomes, path};

/// The requirements of a scenario of fair blame, in addition to the requirements of every scenario.
#[derive(Clone, Debug)]
pub(super) struct Fair {
    /// The numbers of the URLs whose requests always fail, and the reason for which these URLs have to fail.
    broken: Vec<u64>,
    reason: Option<Reason>,
    /// The most requests for one URL up to its first 2xx answer.
    asks_max: usize,
    /// The most requests for pages that have already arrived, as a sum over all URLs. Such requests are witnesses:
    /// they are only sent to learn whether the host works.
    again_max: usize,
    /// The exact number of requests for each broken URL, or `None` if any number is allowed.
    asks_broken: Option<usize>,
    /// The most pages that are not broken and still do not arrive.
    missing_max: usize,
    /// The longest time that the crawl may take, in addition to the time for fetching each URL once at the rate in
    /// the crawler's settings.
    over_max: Duration,
    /// The most requests while the host is closed, and the longest time from the opening of the host to the first
    /// page.
    knocks_max: usize,
    back_max: Duration,
    /// The time for which the host is closed, counted from the first request that it refuses because it is closed.
    closed: Duration,
}

impl Fair {
    fn new() -> Self {
        Self {
            broken: Vec::new(),
            reason: None,
            asks_max: 4,
            again_max: 8,
            asks_broken: None,
            missing_max: 0,
            over_max: Duration::MAX,
            knocks_max: usize::MAX,
            back_max: Duration::MAX,
            closed: Duration::ZERO,
        }
    }

    /// Requires that these URLs fail for this reason, because every request for them fails.
    fn broken(broken: impl IntoIterator<Item = u64>, reason: Reason) -> Self {
        Self { broken: broken.into_iter().collect(), reason: Some(reason), ..Self::new() }
    }

    fn over(self, over_max: Duration) -> Self {
        Self { over_max, ..self }
    }
}

/// The measured values of one run. `Fair` has the limits for them.
pub(super) struct FairFigures {
    /// The number of pages that are not broken and did not arrive.
    pub(super) missing: usize,
    /// The most requests for one URL up to its first 2xx answer.
    pub(super) asks: usize,
    /// The number of requests for pages that had already arrived.
    again: usize,
    /// The time that the crawl took in addition to the time for fetching each URL once at the rate in the crawler's
    /// settings.
    pub(super) over: Duration,
    /// The number of requests while the host was closed.
    pub(super) knocks: usize,
    /// The time from the opening of the host to the first page.
    pub(super) back: Duration,
    /// Other requirements that the run did not meet, as texts.
    pub(super) faults: Vec<String>,
}

/// Measures a run by its log and by how its URLs ended.
pub(super) fn measure(scenario: &WorldScenario, fair: &Fair, run: &Outcomes) -> FairFigures {
    let log = run.server.log();
    let (tries, again) = tries(log);
    let mut faults = Vec::new();
    let (mut missing, mut asks) = (0, 0);
    for (id, end) in (0..).zip(&run.ends) {
        let asked = tries.get(&*path(id)).copied().unwrap_or(0);
        asks = asks.max(asked);
        let broken = fair.broken.contains(&id);
        let page = end.is_some_and(|end| end.delivery == Delivery::Page);
        missing += usize::from(!broken && !page);
        let Some(end) = end else { continue };
        if usize::from(end.attempts) != asked {
            faults.push(format!("/{id} was asked {asked} times, the report says {}", end.attempts));
        }
        if broken
            && let Some(reason) = fair.reason
            && end.delivery != Delivery::Failure(reason)
        {
            faults.push(format!("/{id} is broken, and ends as {:?}", end.delivery));
        }
        if broken && fair.asks_broken.is_some_and(|right| right != asked) {
            faults.push(format!("/{id} is broken, and was asked {asked} times"));
        }
    }
    let closed = Closed::find(log, fair.closed);
    FairFigures {
        missing,
        asks,
        again,
        over: over(scenario, run),
        knocks: closed.as_ref().map_or(0, |closed| closed.knocks),
        back: closed.map_or(Duration::ZERO, |closed| closed.back),
        faults,
    }
}

impl FairFigures {
    /// Returns one text for each requirement that was not met.
    pub(super) fn misses(&self, fair: &Fair) -> Vec<String> {
        let mut misses = self.faults.clone();
        misses.truncate(1);
        let mut miss = |missed: bool, text: String| {
            if missed {
                misses.push(text);
            }
        };
        miss(self.missing > fair.missing_max, format!("{} healthy pages missing", self.missing));
        miss(self.asks > fair.asks_max, format!("one page asked {} times > {}", self.asks, fair.asks_max));
        miss(self.again > fair.again_max, format!("{} answered pages asked again", self.again));
        let over = self.over.as_secs_f64();
        miss(self.over > fair.over_max, format!("{over:.1} s over the ideal > {:?}", fair.over_max));
        miss(self.knocks > fair.knocks_max, format!("{} knocks > {}", self.knocks, fair.knocks_max));
        miss(self.back > fair.back_max, format!("back after {:?}", self.back));
        misses
    }
}

/// Counts the requests for each path up to its first 2xx answer. The second count is of all later requests, over all
/// paths.
fn tries(log: &Log) -> (BTreeMap<&str, usize>, usize) {
    let (mut tries, mut answered, mut again) = (BTreeMap::new(), BTreeSet::new(), 0);
    for arrival in log.entries().iter().filter(|arrival| &*arrival.path != "/robots.txt") {
        if answered.contains(&*arrival.path) {
            again += 1;
            continue;
        }
        *tries.entry(&*arrival.path).or_default() += 1;
        if arrival.is_success() {
            answered.insert(&*arrival.path);
        }
    }
    (tries, again)
}

/// Returns the time that a crawl took in addition to the time for fetching each URL once at the rate in the crawler's
/// settings.
fn over(scenario: &WorldScenario, run: &Outcomes) -> Duration {
    let Some(first) = run.server.log().entries().first() else { return Duration::MAX };
    let Some(rate) = scenario.policy.rate_max() else { return Duration::ZERO };
    let requests = scenario.urls + u64::from(scenario.rules == RulesMode::Fetch);
    let ideal = Duration::from_secs_f64((requests - 1) as f64 / rate.per_second());
    let took = Duration::from_micros(run.end.as_micros()).saturating_sub(first.at);
    took.saturating_sub(ideal)
}

/// The number of requests while the host was closed, and the time from its opening to the first page. Both are
/// measured in the server's log.
struct Closed {
    knocks: usize,
    back: Duration,
}

impl Closed {
    fn find(log: &Log, lasts: Duration) -> Option<Self> {
        let hit = |arrival: &&Arrival| arrival.fault.is_some();
        let from = log.entries().iter().find(hit).filter(|_| !lasts.is_zero())?.at;
        let to = from + lasts;
        let page = |arrival: &&Arrival| arrival.at >= to && arrival.is_success();
        let back = log.entries().iter().find(page).map_or(Duration::MAX, |page| page.at - to);
        Some(Self { knocks: log.knocks_between(from, to), back })
    }
}

/// Adds all scenarios of fair blame.
pub(super) fn scenarios(all: &mut Vec<WorldScenario>) {
    for rules in [RulesMode::Off, RulesMode::Fetch] {
        one(all, rules);
        some(all, rules);
        tails(all, rules);
        walls(all, rules);
        limiter(all, rules);
        harsh(all, rules);
    }
    listing(all);
    chance(all);
    (1..=8).for_each(|draw| soak(draw, all));
}

/// Returns settings of the crawler with `rate` starts a second and 4 requests in flight.
fn told(rate: u32) -> HostPolicy {
    HostPolicy::new().rate(per_second(rate)).in_flight(4)
}

fn world(name: &str, rules: RulesMode, rate: u32, urls: u64, fair: Fair) -> WorldScenario {
    let robots = if rules == RulesMode::Fetch { " robots" } else { "" };
    WorldScenario {
        name: format!("fair {name}{robots}"),
        policy: told(rate),
        config: HostConfig::new().site(Site::Blank),
        rate: (rate, SECOND),
        urls,
        listings: 0,
        rules,
        retries: RETRIES,
        timeout: Duration::from_secs(30),
        outage: None,
        goal: LearningGoal { refused_max: u64::MAX, closed_max: 0, ..GOAL },
        fair: Some(fair),
    }
}

fn always(mut scenario: WorldScenario, fault: Fault) -> WorldScenario {
    for id in scenario.fair.iter().flat_map(|fair| fair.broken.clone()) {
        scenario.config = scenario.config.fault(Trigger::Path(path(id)), fault);
    }
    scenario
}

/// Adds scenarios in which every request for one of the pages is refused.
fn one(all: &mut Vec<WorldScenario>, rules: RulesMode) {
    for (status, reason) in [(503, Reason::Http5xx), (429, Reason::Http4xx)] {
        let stated = Fault::Refusal { status, wait_seconds: 2 };
        for (word, fault, over) in [("bare", Fault::Status(status), 15), ("wait2", stated, 15 + 4 * 2)] {
            for (place, id, listings) in
                [("first", 0, 0), ("middle", 100, 0), ("last", 199, 0), ("linked", 100, 10)]
            {
                let fair = Fair::broken([id], reason).over(seconds(over));
                let mut one = world(&format!("one {status} {word} {place}"), rules, 20, 200, fair);
                one.listings = listings;
                all.push(always(one, fault));
            }
        }
    }
}

/// Adds a scenario in which a listing (a page of links) is refused once, at random.
fn listing(all: &mut Vec<WorldScenario>) {
    let mut listing = world("listing once", RulesMode::Off, 20, 200, Fair::new().over(seconds(15)));
    listing.listings = 10;
    listing.config = listing.config.fault(Trigger::PathTimes(path(3), 1), Fault::Status(503));
    all.push(listing);
}

/// Adds scenarios in which several pages always fail, among many pages that work.
fn some(all: &mut Vec<WorldScenario>, rules: RulesMode) {
    let spread = |count: u64| (0..count).map(move |n| n * 200 / count + 7);
    let ten = Fair::broken(spread(10), Reason::Http5xx).over(seconds(40));
    all.push(always(world("ten 503", rules, 20, 200, ten), Fault::Status(503)));
    let fifteen = Fair::broken(spread(13).chain([0, 199]), Reason::Http4xx);
    // At the end only broken pages are left. Each round of attempts at them may cause one witness request, which
    // shows whether the host works.
    let fifteen = Fair { again_max: 24, ..fifteen };
    let wait = Fault::Refusal { status: 429, wait_seconds: 1 };
    all.push(always(world("fifteen 429 wait1", rules, 20, 200, fifteen), wait));
    for (word, dead) in [
        ("spread", (0..60).map(|n| n * 10 / 3).collect::<Vec<u64>>()),
        ("contiguous", (60..120).collect()),
        ("last", (140..200).collect()),
    ] {
        // Each series of broken pages one after another may cause one witness request.
        let fair = Fair { again_max: 30, ..Fair::broken(dead.clone(), Reason::Timeout) };
        let mut half = world(&format!("half dead {word}"), rules, 20, 200, fair);
        half.timeout = seconds(2);
        all.push(always(half, Fault::Silence));
        let fair = Fair { asks_broken: Some(1), ..Fair::broken(dead, Reason::Http4xx) };
        let mut members = world(&format!("members only {word}"), rules, 10, 200, fair);
        members.goal.used_min = 0.95;
        all.push(always(members, Fault::Status(403)));
    }
    // Three pages that work, and then one that always fails, between two pages that fail once.
    let fair = Fair::broken([4], Reason::Http5xx).over(seconds(30));
    let mut few = always(world("few 500", rules, 20, 6, fair), Fault::Status(500));
    for id in [3, 5] {
        few.config = few.config.fault(Trigger::PathTimes(path(id), 1), Fault::Status(500));
    }
    all.push(few);
}

/// Adds scenarios in which the last pages are broken, or in which the host goes down before the last pages.
fn tails(all: &mut Vec<WorldScenario>, rules: RulesMode) {
    for (word, fault, reason) in [
        ("500", Fault::Status(500), Reason::Http5xx),
        ("503", Fault::Status(503), Reason::Http5xx),
        ("reset", Fault::Reset, Reason::Reset),
        ("timeout", Fault::Silence, Reason::Timeout),
    ] {
        for (broken, retries) in [(2, RETRIES), (3, RETRIES), (3, 0)] {
            // One more request is allowed in two cases. After two refusals in a row the host seems to be at fault, so
            // one attempt does not count. And if a kept-alive connection breaks, the request is sent once more.
            let more = usize::from(word == "503" || word == "reset" && retries == 0);
            let asks_max = usize::from(retries) + 1 + more;
            let fair = Fair { asks_max, ..Fair::broken(20 - broken..20, reason).over(seconds(30)) };
            let mut tail = world(&format!("tail {word} {broken} retries {retries}"), rules, 20, 20, fair);
            tail.timeout = seconds(2);
            tail.retries = retries;
            all.push(always(tail, fault));
        }
    }
    for (word, fault) in [("503", Fault::Status(503)), ("502", Fault::Status(502)), ("reset", Fault::Reset)] {
        for (place, left) in [("tail", 5), ("middle", 100)] {
            let closed = seconds(20);
            let fair = Fair { asks_max: 15, knocks_max: 15, back_max: seconds(15), closed, ..Fair::new() };
            let mut outage = world(&format!("down {place} {word}"), rules, 20, 200, fair);
            let trigger = Trigger::AfterServed { served: 200 - left, lasts: closed };
            outage.config = outage.config.fault(trigger, fault);
            all.push(outage);
        }
    }
}

/// Adds scenarios in which the host answers every request with 403 for a while, as a firewall does.
fn walls(all: &mut Vec<WorldScenario>, rules: RulesMode) {
    for lasts in [30, 120] {
        let closed = seconds(lasts);
        let fair = Fair {
            asks_max: 25,
            again_max: 25,
            missing_max: 5,
            knocks_max: 25,
            back_max: seconds(15),
            closed,
            ..Fair::new()
        };
        let mut wall = world(&format!("wall {lasts}"), rules, 10, 200, fair);
        let trigger = Trigger::AfterServed { served: 60, lasts: closed };
        wall.config = wall.config.fault(trigger, Fault::Status(403));
        all.push(wall);
    }
}

/// Adds a scenario with all kinds of faults: one host with the same faults as a host of the scenario `soak`.
fn soak(draw: u64, all: &mut Vec<WorldScenario>) {
    let parts = [
        (38, Fault::Status(503), 1),
        (2, Fault::Status(503), u32::MAX),
        (34, Fault::Reset, 1),
        (3, Fault::Reset, u32::MAX),
        (38, Fault::Truncated, 1),
        (34, Fault::Silence, 1),
        (3, Fault::Silence, u32::MAX),
        (110, Fault::Status(404), u32::MAX),
    ];
    let mut ids: Vec<u64> = (0..450).collect();
    fastrand::Rng::with_seed(draw).shuffle(&mut ids);
    let mut ids = ids.into_iter();
    let mut broken = Vec::new();
    let mut config = HostConfig::new().site(Site::Blank);
    for (count, fault, times) in parts {
        for id in ids.by_ref().take(count) {
            config = config.fault(Trigger::PathTimes(path(id), times), fault);
            broken.extend((times == u32::MAX).then_some(id));
        }
    }
    // URLs that failed during the outage are requested again, which explains the high limits.
    let fair = Fair { broken, again_max: 30, asks_max: 10, ..Fair::new().over(seconds(50)) };
    let mut soak = world(&format!("soak {draw}"), RulesMode::Off, 10, 450, fair);
    soak.timeout = seconds(2);
    soak.config = config;
    all.push(soak);
}

/// Adds scenarios in which requests are refused at random, independently of the crawl's rate.
fn chance(all: &mut Vec<WorldScenario>) {
    let off = RulesMode::Off;
    let mut add = |name: &str, urls: u64, fault: Fault, share: f64, used_min: f64| {
        let mut flaky = world(&format!("chance {name}"), off, 20, urls, Fair::new());
        flaky.config = flaky.config.fault(Trigger::Share(share), fault);
        // With the worst of many seeds, twice as many requests are refused as on average, so the limits are lower.
        (flaky.goal.used_mostly, flaky.goal.used_min) = (used_min - 0.02, used_min - 0.05);
        all.push(flaky);
    };
    add("503 2 %", 600, Fault::Status(503), 0.02, 0.90);
    add("502 2 %", 600, Fault::Status(502), 0.02, 0.90);
    add("429 bare 0.5 %", 1_000, Fault::Status(429), 0.005, 0.80);
    add("429 wait1 0.5 %", 1_000, Fault::Refusal { status: 429, wait_seconds: 1 }, 0.005, 0.80);
    for draw in 1..=4 {
        let mut once = world(&format!("chance first time only {draw}"), off, 20, 400, Fair::new());
        let ids = fastrand::Rng::with_seed(draw).choose_multiple(0..400, 40);
        for id in ids {
            once.config = once.config.fault(Trigger::PathTimes(path(id), 1), Fault::Status(503));
        }
        once.goal.used_min = 0.80;
        all.push(once);
    }
}

/// Adds scenarios with the limiter of nginx (`limit_req rate=20r/s burst=5 nodelay`): it allows one request, and five
/// more at once.
fn limiter(all: &mut Vec<WorldScenario>, rules: RulesMode) {
    let mut nginx = world("nginx", rules, 50, 400, Fair::new());
    nginx.policy = HostPolicy::new().rate(per_second(50)).in_flight(8);
    nginx.config = nginx.config.limit(Limit::bucket(20, SECOND, 6)).refusal(503, RefusalForm::Bare);
    nginx.rate = (20, SECOND);
    // Three requests are refused, and one more that was in flight at the first refusal.
    nginx.goal.refused_max = 4;
    nginx.goal.used_min = 0.92;
    all.push(nginx);
}

/// Adds scenarios with a limiter that refuses most requests at first. Such refusals must not use up the attempts of a
/// page.
fn harsh(all: &mut Vec<WorldScenario>, rules: RulesMode) {
    for status in [503, 429] {
        let mut harsh =
            world(&format!("harsh {status}"), rules, 20, 100, Fair { asks_max: 12, ..Fair::new() });
        harsh.policy = HostPolicy::new().rate(per_second(20)).in_flight(8);
        harsh.config =
            harsh.config.limit(Limit::bucket(40, 60 * SECOND, 8)).refusal(status, RefusalForm::Bare);
        harsh.rate = (40, 60 * SECOND);
        all.push(harsh);
    }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const SECOND: Duration = Duration::from_secs(1);
