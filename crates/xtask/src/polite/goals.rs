//! The goals of scenarios. A goal is a value that is measured in the logs of the servers or in the report of the
//! crawl, with a bound.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use opilio::{CrawlReport, Reason, Stopped};
use opilio_sandbox::{Fault, Log};

use super::scenario::ExpectedEnds;
use super::spider::FetchedPage;

/// The results of a run of a scenario. Goals are measured in them.
pub(super) struct RunEvidence {
    /// The log of each host.
    pub(super) logs: Vec<Log>,
    /// The base URL of each host.
    pub(super) bases: Vec<String>,
    /// For each order (a POST request), the number of times that it was carried out, over all hosts.
    pub(super) orders: Vec<u32>,
    /// The number of URLs in the list of the scenario.
    pub(super) asked: usize,
    /// The URLs that ended as a page, in the order in which their rows were written.
    pub(super) pages: Vec<FetchedPage>,
    /// The report of the crawl.
    pub(super) report: CrawlReport,
    /// The time from the start to the end of the crawl.
    pub(super) took: Duration,
}

/// A requirement for a run, and the function that measures it.
pub(super) struct Goal {
    pub(super) says: String,
    check: Box<dyn Fn(&RunEvidence) -> Measured>,
}

/// A measured value, and whether it meets the requirement.
pub(super) struct Measured {
    pub(super) value: String,
    pub(super) holds: bool,
}

impl Goal {
    pub(super) fn new(says: impl Into<String>, check: impl Fn(&RunEvidence) -> Measured + 'static) -> Self {
        Self { says: says.into(), check: Box::new(check) }
    }

    /// Creates a goal: a count that must not be higher than `bound`.
    pub(super) fn at_most(what: &str, bound: u64, count: impl Fn(&RunEvidence) -> u64 + 'static) -> Self {
        let relation = if bound == 0 { "=" } else { "≤" };
        Self::new(format!("{what} {relation} {bound}"), move |evidence| {
            let value = count(evidence);
            Measured { value: value.to_string(), holds: value <= bound }
        })
    }

    /// Creates a goal: a count that must be zero.
    fn none(what: &str, count: impl Fn(&RunEvidence) -> u64 + 'static) -> Self {
        Self::at_most(what, 0, count)
    }

    /// Creates a goal: a time that must not be longer than a bound.
    pub(super) fn within(
        what: String,
        bound: Duration,
        time: impl Fn(&RunEvidence) -> Option<Duration> + 'static,
    ) -> Self {
        Self::new(format!("{what} ≤ {:.2} s", bound.as_secs_f64()), move |evidence| match time(evidence) {
            Some(value) => Measured { value: format!("{:.2} s", value.as_secs_f64()), holds: value <= bound },
            None => Measured { value: "never".into(), holds: false },
        })
    }

    pub(super) fn measure(&self, evidence: &RunEvidence) -> Measured {
        (self.check)(evidence)
    }
}

impl RunEvidence {
    fn sum(&self, of: impl Fn(&Log) -> u64) -> u64 {
        self.logs.iter().map(of).sum()
    }

    fn most(&self, of: impl Fn(&Log) -> u64) -> u64 {
        self.logs.iter().map(of).max().unwrap_or(0)
    }

    /// Returns the time at which the first request arrived at any host, counted from the start of the servers.
    fn began(&self) -> Option<Duration> {
        self.logs.iter().filter_map(|log| log.entries().first()).map(|arrival| arrival.at).min()
    }

    /// Returns the time from the first request at any host to the last request at this host (an index into `logs`).
    fn done_after(&self, host: usize) -> Option<Duration> {
        let last = self.logs.get(host)?.entries().last()?.at;
        Some(last.saturating_sub(self.began()?))
    }
}

// The goals of single scenarios.

/// Returns the goal that at most `bound` requests are refused, over all hosts.
pub(super) fn refused(bound: u64) -> Goal {
    Goal::at_most("refused", bound, |evidence| evidence.sum(Log::refused))
}

/// Returns the goal that no request arrives between a refusal that states a wait and the end of that wait.
pub(super) fn none_while_closed() -> Goal {
    Goal::none("arrivals while closed", |evidence| {
        evidence.sum(|log| log.arrivals_while_closed_grace(UNDER_WAY) as u64)
    })
}

/// Returns the goal that no request arrives after the quota that the host announced is used up, and before it is
/// renewed.
pub(super) fn none_on_spent_quota() -> Goal {
    Goal::none("arrivals on a spent quota", |evidence| evidence.sum(Log::arrivals_on_spent_quota))
}

/// Returns the goal that the crawl uses at least the share `at_least` (0 to 1) of the rate that the host allows.
pub(super) fn used(host: usize, at_least: f64, per_minute: u32) -> Goal {
    let says = format!("used of {per_minute}/min ≥ {:.0} %", at_least * 100.0);
    Goal::new(says, move |evidence| {
        let share = evidence.logs.get(host).and_then(|log| log.budget_used(per_minute, MINUTE));
        let share = share.unwrap_or_default();
        Measured { value: format!("{:.2} %", share * 100.0), holds: share >= at_least }
    })
}

/// Returns the goal that at most `n` requests arrive at a host in any span of time of the length `per`.
pub(super) fn window(host: usize, n: u32, per: Duration) -> Goal {
    let what = format!("arrivals in any {} s", per.as_secs_f64());
    Goal::at_most(&what, u64::from(n), move |evidence| {
        evidence.logs.get(host).map_or(0, |log| log.max_in_window(per) as u64)
    })
}

/// Returns the goal that at most `n` requests arrive at a host within any time of the length `within`, that is,
/// nearly at once.
pub(super) fn no_herd(n: u64, within: Duration) -> Goal {
    let what = format!("arrivals in any {} ms", within.as_millis());
    Goal::at_most(&what, n, move |evidence| evidence.most(|log| log.max_in_window(within) as u64))
}

/// Returns the goal that each failed request is followed by at most one more request for the same URL.
pub(super) fn one_retry_a_failure() -> Goal {
    Goal::none("retries without a failure", |evidence| evidence.sum(needless_retries))
}

/// Counts the requests for a URL that were not needed: for each URL, one request is needed, and one more for each
/// failed request.
fn needless_retries(log: &Log) -> u64 {
    let mut owed: BTreeMap<&str, i64> = BTreeMap::new();
    for arrival in log.entries() {
        let failed = arrival.refused || arrival.fault.is_some_and(|fault| !matches!(fault, Fault::Slow(_)));
        *owed.entry(&arrival.path).or_insert(-1) += 1 - i64::from(failed);
    }
    owed.values().map(|excess| excess.max(&0).unsigned_abs()).sum()
}

/// Returns the goal that no host ever bans the crawler.
pub(super) fn no_ban() -> Goal {
    Goal::none("answers of a ban", |evidence| evidence.sum(|log| log.counts().banned))
}

/// Returns the goal that at most `bound` requests are made during an outage. Requests that could not connect are not
/// in the logs of the servers, so they are counted from the report of the crawl.
pub(super) fn knocks(bound: u64, from: Duration, to: Duration) -> Goal {
    Goal::at_most("knocks during the outage", bound, move |evidence| {
        let unheard = evidence.report.requests.saturating_sub(evidence.sum(Log::arrivals));
        evidence.sum(|log| log.knocks_between(from, to) as u64) + unheard
    })
}

/// Returns the goal that the first page is served at most `within` after the end of an outage.
pub(super) fn back(within: Duration, outage_end: Duration) -> Goal {
    Goal::within("back after the outage".into(), within, move |evidence| {
        let later = |log: &Log| {
            log.entries()
                .iter()
                .find(|arrival| arrival.at >= outage_end && arrival.is_success())
                .map(|a| a.at)
        };
        evidence.logs.iter().filter_map(later).min().map(|at| at.saturating_sub(outage_end))
    })
}

/// Returns the goal that each host gets its last request in time, counted from the first request at any host: after
/// at most `factor` times the ideal time of that host, which is (URLs − 1) × spacing.
pub(super) fn each_in_time(factor: f64, ideals: Vec<(usize, Duration)>) -> Goal {
    Goal::new(format!("each host ≤ {factor} × its ideal"), move |evidence| {
        let ratio = |(host, ideal): &(usize, Duration)| {
            let took = evidence.done_after(*host).unwrap_or(Duration::MAX);
            (took.as_secs_f64() / ideal.as_secs_f64(), *host)
        };
        let (worst, host) = ideals.iter().map(ratio).max_by(|a, b| a.0.total_cmp(&b.0)).unwrap_or_default();
        let value = format!("{worst:.4} at worst (host {})", host + 1);
        Measured { value, holds: worst <= factor }
    })
}

/// Returns the goal that the time from the first to the last request of the whole crawl is at most `factor` ×
/// `ideal`.
pub(super) fn whole_in_time(factor: f64, ideal: Duration) -> Goal {
    let what = format!("the whole ({factor} × its ideal)");
    Goal::within(what, ideal.mul_f64(factor), |evidence| {
        (0..evidence.logs.len()).filter_map(|host| evidence.done_after(host)).max()
    })
}

/// Returns the goal that the crawl ends by itself, at most `bound` after its last request.
pub(super) fn ends_by_itself(bound: Duration) -> Goal {
    Goal::within("ends by itself".into(), bound, |evidence| {
        (evidence.report.stopped == Stopped::Finished).then_some(evidence.took)
    })
}

/// Returns the goal that no request is sent to a host after the host's first refusal.
pub(super) fn silent_after_refusal(host: usize) -> Goal {
    Goal::none("knocks after the refusal", move |evidence| {
        let entries = evidence.logs.get(host).map_or(&[][..], Log::entries);
        let refused = entries.iter().find(|arrival| arrival.refused).map(|arrival| arrival.sent);
        refused.map_or(u64::MAX, |sent| {
            entries.iter().filter(|arrival| arrival.at > sent + UNDER_WAY).count() as u64
        })
    })
}

/// Returns the goal that the report names `count` failed URLs of a host, all of them failed for this reason, and no
/// failed URL of another host.
pub(super) fn left_are_named(host: usize, reason: Reason, count: usize) -> Goal {
    let says = format!("{count} URLs left as {}", reason.as_str());
    Goal::new(says, move |evidence| {
        let base = format!("{}/", evidence.bases[host]);
        let named =
            |failure: &&opilio::FailureRecord| failure.url.starts_with(&base) && failure.reason == reason;
        let found = evidence.report.failures.iter().filter(named).count();
        let others = evidence.report.failures.len() - found;
        Measured { value: format!("{found}, others {others}"), holds: found == count && others == 0 }
    })
}

/// Returns the goal that all `count` orders are carried out, including the orders that the host refuses at first.
pub(super) fn carried_out(count: usize) -> Goal {
    Goal::new(format!("orders carried out = {count}"), move |evidence| {
        let value = evidence.orders.len();
        Measured { value: value.to_string(), holds: value == count }
    })
}

// The goals of every scenario.

/// Returns the goals of every scenario. `slow` lists the hosts that allow 60 requests a minute or less. At most
/// `witnesses` pages may be served twice.
pub(super) fn everywhere(ends: ExpectedEnds, slow: Vec<usize>, witnesses: u64) -> Vec<Goal> {
    vec![
        lost(ends),
        Goal::at_most("URLs served twice", witnesses, |evidence| evidence.sum(served_again)),
        Goal::none("orders carried out twice", |evidence| {
            evidence.orders.iter().filter(|times| **times > 1).count() as u64
        }),
        Goal::at_most("starts in 250 ms after a hold", 1, move |evidence| {
            let logs = slow.iter().filter_map(|host| evidence.logs.get(*host));
            logs.map(|log| log.starts_after_hold(HERD) as u64).max().unwrap_or(0)
        }),
    ]
}

/// Counts how many times a page was served that had already been served before. The file robots.txt does not count.
fn served_again(log: &Log) -> u64 {
    let twice = log.served_twice();
    let pages = twice.iter().filter(|(path, _)| path != "/robots.txt");
    pages.map(|(_, times)| *times as u64 - 1).sum()
}

/// Returns the goal that no URL is lost: each URL ends as `ends` demands. In addition, no page may be written twice,
/// and the counts of the report must add up.
fn lost(ends: ExpectedEnds) -> Goal {
    Goal::new("URLs lost = 0", move |evidence| {
        let report = &evidence.report;
        let written: BTreeSet<u32> = evidence.pages.iter().map(|page| page.place).collect();
        let named = match ends {
            ExpectedEnds::AsPages => 0,
            ExpectedEnds::Accounted => report.failures.len(),
        };
        let lost = evidence.asked.abs_diff(written.len() + named);
        let twice = evidence.pages.len() - written.len();
        let holds = lost == 0 && twice == 0 && report.balances();
        let mut value = lost.to_string();
        if !holds {
            let _ = write!(value, ", written twice {twice}, balanced {}", report.balances());
            for (reason, count) in &report.reasons {
                let _ = write!(value, ", {} {count}", reason.as_str());
            }
        }
        Measured { value, holds }
    })
}

const MINUTE: Duration = Duration::from_secs(60);
/// The time after a refusal was sent in which further requests may arrive: they were in flight when it was sent.
const UNDER_WAY: Duration = Duration::from_millis(20);
const HERD: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use opilio_sandbox::{Ask, Host, HostConfig, Limit, RefusalForm};

    use super::*;

    /// Returns the log of a host that gets these requests. The number beside a request is the second at which it
    /// arrives.
    fn log(config: HostConfig, asks: &[(u64, &str)]) -> Log {
        let mut host = Host::new(config);
        for (second, path) in asks {
            let at = Duration::from_secs(*second);
            let answer = host.arrive(at, &Ask::get(path));
            host.left(at, answer.id);
        }
        host.log().clone()
    }

    fn evidence(log: Log) -> RunEvidence {
        let report = CrawlReport { requests: log.arrivals(), ..CrawlReport::default() };
        let bases = vec!["http://127.0.0.1:1".to_owned()];
        RunEvidence {
            logs: vec![log],
            bases,
            orders: Vec::new(),
            asked: 0,
            pages: Vec::new(),
            report,
            took: Duration::ZERO,
        }
    }

    #[test]
    fn a_retry_is_owed_to_a_failure_and_no_more() {
        let failing = HostConfig::new().errors(500, 1.0);
        assert_eq!(needless_retries(&log(failing.clone(), &[(0, "/"), (1, "/"), (2, "/deals")])), 0);
        assert_eq!(needless_retries(&log(HostConfig::new(), &[(0, "/"), (1, "/"), (2, "/deals")])), 1);
        let slow = HostConfig::new().slow(1, Duration::from_secs(5));
        assert_eq!(needless_retries(&log(slow, &[(0, "/"), (9, "/")])), 1);
    }

    #[test]
    fn a_knock_after_the_refusal_is_seen_and_a_missing_refusal_too() {
        let goal = silent_after_refusal(0);
        let closed =
            || HostConfig::new().limit(Limit::per_minute(1)).refusal(429, RefusalForm::Fixed(86_400));
        assert!(goal.measure(&evidence(log(closed(), &[(0, "/"), (1, "/deals")]))).holds);
        assert!(!goal.measure(&evidence(log(closed(), &[(0, "/"), (1, "/deals"), (9, "/")]))).holds);
        assert!(!goal.measure(&evidence(log(closed(), &[(0, "/")]))).holds);
    }

    #[test]
    fn a_page_written_twice_does_not_make_up_for_one_that_is_missing() {
        let goal = lost(ExpectedEnds::AsPages);
        let ended = |pages: &[u32]| RunEvidence {
            asked: 2,
            pages: pages.iter().map(|place| FetchedPage { place: *place, attempts: 1 }).collect(),
            ..evidence(log(HostConfig::new(), &[(0, "/"), (1, "/deals")]))
        };
        assert!(goal.measure(&ended(&[1, 0])).holds);
        for pages in [&[0][..], &[0, 0], &[0, 1, 1], &[]] {
            assert!(!goal.measure(&ended(pages)).holds, "{pages:?}");
        }
    }
}
