//! The scenarios in virtual time, and the requirements that each scenario must meet with every seed.

use std::fmt::Write as _;
use std::time::Duration;

use opilio_core::host::RulesMode;
use opilio_core::{HostPolicy, per_minute};
use opilio_sandbox::{Dialect, Fault, HostConfig, Limit, RefusalForm, Site};

use super::fair::{self, Fair};
use super::world::{Outcomes, WorldPlan, run as run_world};

/// The requirements that every run of a scenario must meet.
#[derive(Clone, Copy)]
pub(super) struct LearningGoal {
    pub(super) refused_max: u64,
    /// The share of the server's rate that even the worst run must use (0 to 1).
    pub(super) used_min: f64,
    /// The share of the server's rate that nine of ten runs must use (0 to 1).
    pub(super) used_mostly: f64,
    /// The most requests that may arrive while the server is closed. Requests that arrive soon after the closing
    /// (within the time of travel and a margin) do not count, because they were in flight when the server closed.
    pub(super) closed_max: usize,
    pub(super) knocks_max: usize,
    pub(super) back_within: Duration,
}

pub(super) const GOAL: LearningGoal = LearningGoal {
    refused_max: 0,
    used_min: 0.0,
    used_mostly: 0.0,
    closed_max: 0,
    knocks_max: usize::MAX,
    back_within: Duration::MAX,
};

pub(super) struct WorldScenario {
    pub(super) name: String,
    pub(super) policy: HostPolicy,
    pub(super) config: HostConfig,
    /// The rate that the server allows, or the rate in the crawler's settings if the server has no limit.
    pub(super) rate: (u32, Duration),
    pub(super) urls: u64,
    /// The number of listings: see [`WorldPlan::listings`].
    pub(super) listings: u64,
    pub(super) rules: RulesMode,
    pub(super) retries: u16,
    pub(super) timeout: Duration,
    pub(super) outage: Option<(Duration, Duration)>,
    pub(super) goal: LearningGoal,
    pub(super) fair: Option<Fair>,
}

const MINUTE: Duration = Duration::from_secs(60);

fn asked() -> HostPolicy {
    HostPolicy::new().rate(per_minute(100)).in_flight(50)
}

/// Returns all scenarios in virtual time.
fn scenarios() -> Vec<WorldScenario> {
    let mut all = Vec::new();
    for n in [60, 40] {
        told(&mut all, n);
        not_told(&mut all, n);
    }
    announced(&mut all);
    outages(&mut all);
    twenty_hosts(&mut all);
    fair::scenarios(&mut all);
    all
}

fn scenario(name: String, policy: HostPolicy, limit: Limit, goal: LearningGoal) -> WorldScenario {
    let config = HostConfig::new().site(Site::Blank).limit(limit);
    WorldScenario {
        name,
        policy,
        config,
        rate: limit.rate(),
        urls: 200,
        listings: 0,
        rules: RulesMode::Off,
        retries: RETRIES,
        timeout: Duration::from_secs(30),
        outage: None,
        goal,
        fair: None,
    }
}

fn told(all: &mut Vec<WorldScenario>, n: u32) {
    let policy = HostPolicy::new().rate(per_minute(n)).in_flight(8);
    for (word, limit) in [("sliding", Limit::per_minute(n)), ("bucket", Limit::bucket(n, MINUTE, 10))] {
        // If the one request that tests the host after a hold (the probe) is for a slow page, the hold lasts 5 s
        // longer. This happens once in few runs, and twice in the worst run.
        let goal = LearningGoal { used_mostly: 0.99, used_min: 0.95, ..GOAL };
        let mut one = scenario(format!("told {n} {word}"), policy.clone(), limit, goal);
        one.config = one.config.slow(10, Duration::from_secs(5)).errors(500, 0.05);
        all.push(one);
    }
}

fn not_told(all: &mut Vec<WorldScenario>, n: u32) {
    let window = Limit::per_minute(n);
    let stated = LearningGoal { refused_max: 6, used_min: 0.95, ..GOAL };
    for status in [429, 503] {
        for form in [RefusalForm::Seconds, RefusalForm::HttpDate] {
            for skew in [0, 45] {
                let mut one =
                    scenario(format!("not told {n} {status} {form:?} skew {skew}"), asked(), window, stated);
                one.config = one.config.refusal(status, form).clock_skew_seconds(skew);
                all.push(one);
            }
        }
    }
    let bucket = Limit::bucket(n, MINUTE, 10);
    for form in [RefusalForm::Seconds, RefusalForm::Bare] {
        let goal = LearningGoal { refused_max: 10, used_min: 0.85, ..GOAL };
        let mut one = scenario(format!("not told {n} bucket {form:?}"), asked(), bucket, goal);
        one.config = one.config.refusal(429, form);
        all.push(one);
    }
    let fixed = Limit::fixed(n, MINUTE);
    let mut one = scenario(format!("not told {n} fixed"), asked(), fixed, stated);
    one.config = one.config.refusal(429, RefusalForm::Seconds);
    all.push(one);
    let bare = LearningGoal { refused_max: 10, used_min: 0.85, ..GOAL };
    let mut one = scenario(format!("not told {n} bare"), asked(), window, bare);
    one.config = one.config.refusal(429, RefusalForm::Bare);
    all.push(one);
    let resets = LearningGoal { refused_max: 15, used_min: 0.80, ..GOAL };
    let mut one = scenario(format!("not told {n} resets"), asked(), window, resets);
    one.config = one.config.refusal(429, RefusalForm::Reset);
    all.push(one);
    let counts = LearningGoal { refused_max: 8, used_min: 0.90, ..GOAL };
    let mut one = scenario(format!("not told {n} counts refused"), asked(), window, counts);
    one.config = one.config.count_refused();
    all.push(one);
    for form in [RefusalForm::Seconds, RefusalForm::Bare] {
        let ban = LearningGoal { refused_max: 9, used_min: 0.85, ..GOAL };
        let mut one = scenario(format!("not told {n} ban at 10 {form:?}"), asked(), window, ban);
        one.config = one.config.refusal(429, form).ban_at(10);
        all.push(one);
    }
}

fn announced(all: &mut Vec<WorldScenario>) {
    for dialect in Dialect::ALL {
        let goal = LearningGoal { used_min: 0.95, ..GOAL };
        let mut one = scenario(format!("announced {dialect:?}"), asked(), Limit::fixed(40, MINUTE), goal);
        one.config = one.config.announce(dialect);
        all.push(one);
    }
}

fn outages(all: &mut Vec<WorldScenario>) {
    let policy = HostPolicy::new().rate(per_minute(300)).in_flight(8);
    let faults = [Fault::Reset, Fault::Unreachable, Fault::Status(502), Fault::Status(503), Fault::Truncated];
    for fault in faults {
        for from in [2, 30] {
            let span = (Duration::from_secs(from), Duration::from_secs(from + 20));
            let goal = LearningGoal {
                refused_max: u64::MAX,
                knocks_max: 15,
                back_within: Duration::from_secs(15),
                ..GOAL
            };
            let limit = Limit::per_minute(300);
            let mut one = scenario(format!("outage {fault:?} from {from} s"), policy.clone(), limit, goal);
            one.config = one.config.outage(span.0, span.1, fault);
            one.urls = 400;
            one.outage = Some(span);
            all.push(one);
        }
    }
}

fn twenty_hosts(all: &mut Vec<WorldScenario>) {
    for step in 0..20_u32 {
        let n = 20 + step * 580 / 19;
        let told = HostPolicy::new().rate(per_minute(n)).in_flight(8);
        let goal = LearningGoal { used_min: 0.98, ..GOAL };
        let mut one = scenario(format!("host of {n}, told"), told, Limit::per_minute(n), goal);
        one.urls = 50;
        all.push(one);
        let asked = HostPolicy::new().rate(per_minute(600)).in_flight(8);
        let goal = LearningGoal { refused_max: 1, ..GOAL };
        let mut one = scenario(format!("host of {n}, not told"), asked, Limit::per_minute(n), goal);
        one.urls = 50;
        all.push(one);
    }
}

/// The measured values of one scenario. Each value is the worst over all seeds.
#[derive(Default)]
struct Worst {
    refused: u64,
    refused_sum: u64,
    used: f64,
    used_all: Vec<f64>,
    closed: usize,
    knocks: usize,
    back: Duration,
    burst: usize,
    after_hold: usize,
    end: Duration,
    /// For scenarios of fair blame only: the number of working pages that did not arrive. The next fields have the
    /// most requests for one URL and the longest additional time.
    missing: usize,
    asks: usize,
    over: Duration,
    faults: Vec<String>,
    seeds: u64,
}

impl Worst {
    fn add(&mut self, scenario: &WorldScenario, seed: u64, run: &Outcomes) {
        let log = run.server.log();
        let (n, per) = scenario.rate;
        let used = log.budget_used(n, per).unwrap_or(1.0);
        let refused = log.refused();
        self.refused = self.refused.max(refused);
        self.refused_sum += refused;
        self.used = if self.seeds == 0 { used } else { self.used.min(used) };
        self.used_all.push(used);
        self.closed = self.closed.max(log.arrivals_while_closed_grace(GRACE));
        self.after_hold = self.after_hold.max(log.starts_after_hold(Duration::from_millis(250)));
        self.end = self.end.max(Duration::from_micros(run.end.as_micros()));
        if let Some((from, to)) = scenario.outage {
            self.knocks = self.knocks.max(log.knocks_between(from, to));
            let back = log.first_arrival_after(to).map_or(Duration::MAX, |arrival| arrival.at - to);
            self.back = self.back.max(back);
            self.burst = self.burst.max(log.max_burst(Duration::from_millis(100)));
        }
        for fault in &run.faults {
            self.faults.push(format!("seed {seed}: {fault}"));
        }
        if let Some(fair) = &scenario.fair {
            let measured = fair::measure(scenario, fair, run);
            self.missing = self.missing.max(measured.missing);
            self.asks = self.asks.max(measured.asks);
            self.over = self.over.max(measured.over);
            self.knocks = self.knocks.max(measured.knocks);
            self.back = self.back.max(measured.back);
            let misses = measured.misses(fair);
            self.faults.extend(misses.iter().map(|miss| format!("seed {seed}: {miss}")));
        } else if run.failures > 0 {
            self.faults.push(format!("seed {seed}: {} URLs lost, {} pages", run.failures, run.pages));
        }
        // A witness request may ask again for a page that has arrived. In scenarios with `fair`, such requests have a
        // limit of their own.
        let twice = scenario.fair.is_none() && !log.served_twice().is_empty();
        if log.is_banned() || twice {
            self.faults.push(format!("seed {seed}: banned, or served twice"));
        }
        self.seeds += 1;
    }

    fn misses(&self, goal: &LearningGoal, slow: bool) -> Vec<String> {
        let mut misses = self.faults.clone();
        misses.truncate(3);
        let mut miss = |missed: bool, text: String| {
            if missed {
                misses.push(text);
            }
        };
        miss(self.refused > goal.refused_max, format!("refused {} > {}", self.refused, goal.refused_max));
        miss(self.used < goal.used_min, format!("used {:.3} < {}", self.used, goal.used_min));
        let mostly = self.used_tenth();
        miss(mostly < goal.used_mostly, format!("nine in ten used {mostly:.3} < {}", goal.used_mostly));
        miss(self.closed > goal.closed_max, format!("{} while closed", self.closed));
        miss(self.knocks > goal.knocks_max, format!("{} knocks", self.knocks));
        miss(self.back > goal.back_within, format!("back after {:?}", self.back));
        miss(self.burst > 5, format!("a herd of {}", self.burst));
        miss(slow && self.after_hold > 1, format!("{} within 250 ms after a hold", self.after_hold));
        misses
    }

    /// Returns the share of the rate that nine of ten runs used at least (0 to 1).
    fn used_tenth(&self) -> f64 {
        let mut all = self.used_all.clone();
        all.sort_by(f64::total_cmp);
        all.get(all.len() / 10).copied().unwrap_or_default()
    }

    fn line(&self, name: &str) -> String {
        let mean = |sum: f64| sum / self.seeds as f64;
        let mut line = format!(
            "{name:<36} refused {:>2} (mean {:>4.1})  used {:.3} (10 % {:.3})",
            self.refused,
            mean(self.refused_sum as f64),
            self.used,
            self.used_tenth(),
        );
        if self.asks > 0 {
            let over = self.over.as_secs_f64();
            let _ = write!(line, "  missing {:>3}  asks {:>2}  over {over:>5.1} s", self.missing, self.asks);
        }
        if self.back > Duration::ZERO {
            let _ = write!(line, "  knocks {:>2}  back {:.1} s", self.knocks, self.back.as_secs_f64());
        }
        line
    }
}

/// The most retries of one URL in the default retry policy.
pub(super) const RETRIES: u16 = 3;
const GRACE: Duration = Duration::from_millis(40);
const LIMIT: Duration = Duration::from_secs(3_600);

/// Runs every scenario whose name contains `filter`, with the seeds 1 to `seeds`. Returns the lines to print, and the
/// requirements that were not met.
pub(crate) fn run(filter: &str, seeds: u64) -> (Vec<String>, Vec<String>) {
    let (mut lines, mut missed) = (Vec::new(), Vec::new());
    for scenario in scenarios().iter().filter(|one| one.name.contains(filter)) {
        let mut worst = Worst::default();
        for seed in 1..=seeds {
            let run = run_world(WorldPlan {
                policy: &scenario.policy,
                config: scenario.config.clone(),
                urls: scenario.urls,
                listings: scenario.listings,
                rules: scenario.rules,
                retries: scenario.retries,
                timeout: scenario.timeout,
                seed,
                limit: LIMIT,
            });
            worst.add(scenario, seed, &run);
        }
        let (n, per) = scenario.rate;
        let slow = f64::from(n) <= per.as_secs_f64();
        let misses = worst.misses(&scenario.goal, slow);
        lines.push(worst.line(&scenario.name));
        missed.extend(misses.iter().map(|miss| format!("{}: {miss}", scenario.name)));
    }
    (lines, missed)
}

#[cfg(test)]
mod tests {
    use super::run;

    fn expect(filter: &str) {
        let (_, missed) = run(filter, SEEDS);
        assert!(missed.is_empty(), "{missed:#?}");
    }

    /// The number of seeds for each scenario. It is lower in a build without optimisation, which is slow; `cargo
    /// xtask sim --tune` uses 50.
    const SEEDS: u64 = if cfg!(debug_assertions) { 10 } else { 50 };

    #[test]
    fn a_limit_that_was_told_is_kept_and_used() {
        expect("told 60 sliding");
        expect("told 40 bucket");
    }

    #[test]
    fn a_limit_that_was_not_told_is_learnt() {
        expect("not told");
    }

    #[test]
    fn an_announced_quota_is_never_overdrawn() {
        expect("announced");
    }

    #[test]
    fn an_outage_is_sat_out_with_few_knocks() {
        expect("outage");
    }

    #[test]
    fn no_page_and_no_chance_costs_a_host_its_other_pages() {
        expect("fair");
    }

    #[test]
    fn each_of_twenty_hosts_keeps_its_own_pace() {
        expect("host of");
    }
}
