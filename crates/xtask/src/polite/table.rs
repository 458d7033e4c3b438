//! The table of scenarios: every scenario with its servers and goals. The module `run` runs them.
//!
//! The names of scenarios are paths, so that `--only told/` or `--only 503` selects a part of the table.

use std::time::Duration;

use opilio::{Limits, Reason};
use opilio_sandbox::{Dialect, Fault, Limit, RefusalForm};

use super::goals::*;
use super::scenario::{CrawlAsk, ExpectedEnds, RETRIES, Scenario, Server, pages, told};
use super::{fair, soak};

/// Returns all scenarios, the longest first.
pub(super) fn scenarios() -> Vec<Scenario> {
    let mut all = Vec::new();
    for rate in [40, 60] {
        limit_told(rate, &mut all);
        limit_not_told(rate, &mut all);
        limit_hard_to_read(rate, &mut all);
    }
    announced(&mut all);
    twenty_hosts(&mut all);
    outages(&mut all);
    fair::scenarios(&mut all);
    all.push(soak::scenario());
    all.extend([a_day(), redirects(), spelling(), orders()]);
    all
}

/// Adds scenarios in which the crawler's settings state the limit of the host. The crawler must never exceed the
/// limit, and must use nearly all of it.
fn limit_told(rate: u32, all: &mut Vec<Scenario>) {
    let limits = [("sliding", Limit::per_minute(rate)), ("bucket", Limit::bucket(rate, MINUTE, 10))];
    for (kind, limit) in limits {
        let server = || Server::limited(limit);
        let variants = [
            ("even", server()),
            ("slow", server().with(|host| host.slow(10, seconds(5)))),
            ("failing", server().with(|host| host.errors(500, 0.05))),
            ("slow-failing", server().with(|host| host.slow(10, seconds(5)).errors(502, 0.05))),
        ];
        for (what, server) in variants {
            let name = format!("told/{rate}/{kind}/{what}");
            all.push(Scenario::one_host(name, server, URLS, told(rate, 8)).goals([
                refused(0),
                used(0, 0.99, rate),
                window(0, rate, MINUTE),
                one_retry_a_failure(),
            ]));
        }
    }
}

/// Adds scenarios in which the crawler's settings allow a higher rate than the host, and every refusal states a wait.
fn limit_not_told(rate: u32, all: &mut Vec<Scenario>) {
    for status in [429, 503] {
        for (form, skew_seconds, what) in [
            (RefusalForm::Seconds, 0, "seconds"),
            (RefusalForm::HttpDate, 0, "date"),
            (RefusalForm::HttpDate, 45, "date-45s-ahead"),
            (RefusalForm::HttpDate, -45, "date-45s-behind"),
        ] {
            let server = Server::limited(Limit::per_minute(rate))
                .with(|host| host.refusal(status, form).clock_skew_seconds(skew_seconds));
            let name = format!("untold/{rate}/{status}-{what}");
            all.push(Scenario::one_host(name, server, URLS, told(100, 50)).goals([
                refused(6),
                none_while_closed(),
                used(0, 0.95, rate),
            ]));
        }
    }
}

/// Adds scenarios in which the crawler's settings allow a higher rate than the host, and the limit is hard to learn:
/// the server states little, or punishes excess.
fn limit_hard_to_read(rate: u32, all: &mut Vec<Scenario>) {
    let sliding = || Server::limited(Limit::per_minute(rate));
    let bucket = Server::limited(Limit::bucket(rate, MINUTE, 10));
    let bare = || sliding().with(|host| host.refusal(429, RefusalForm::Bare));
    let reset = sliding().with(|host| host.refusal(429, RefusalForm::Reset));
    let counted = sliding().with(|host| host.count_refused());
    let mut add = |what: &str, server: Server, goals: Vec<Goal>| {
        let name = format!("untold/{rate}/{what}");
        all.push(Scenario::one_host(name, server, URLS, told(100, 50)).goals(goals));
    };
    add("bucket", bucket, vec![refused(10), none_while_closed()]);
    add("bare-429", bare(), vec![refused(10), used(0, 0.85, rate)]);
    add("resets", reset, vec![refused(15), used(0, 0.80, rate)]);
    add("refused-count-too", counted, vec![refused(8), used(0, 0.90, rate)]);
    add("ban-at-10", sliding().with(|host| host.ban_at(10)), vec![no_ban()]);
    add("ban-at-10-bare", bare().with(|host| host.ban_at(10)), vec![no_ban()]);
}

/// Adds scenarios in which every answer announces how many requests are left (the quota). The crawler must never
/// exceed the quota.
fn announced(all: &mut Vec<Scenario>) {
    for dialect in Dialect::EIGHT {
        let server = Server::limited(Limit::fixed(40, MINUTE)).with(|host| host.announce(dialect));
        let name = format!("announced/{dialect:?}");
        all.push(Scenario::one_host(name, server, URLS, told(100, 50)).goals([
            refused(0),
            none_on_spent_quota(),
            used(0, 0.95, 40),
        ]));
    }
}

/// Adds scenarios with twenty hosts that allow 20 to 600 requests a minute, with 50 URLs each. The URLs are listed in
/// three different orders.
fn twenty_hosts(all: &mut Vec<Scenario>) {
    const HOSTS: usize = 20;
    const EACH: usize = 50;
    // The first host is the slowest. The rate of each host is the same multiple of the rate of the host before.
    let rates: Vec<u32> = (0..HOSTS).map(|n| (20.0 * 30_f64.powf(n as f64 / 19.0)).round() as u32).collect();
    let ideals: Vec<Duration> = rates.iter().map(|rate| spacing(*rate) * (EACH as u32 - 1)).collect();
    let one_by_one: Vec<CrawlAsk> = (0..HOSTS).flat_map(|host| pages(host, EACH)).collect();
    let in_turn: Vec<CrawlAsk> = (0..EACH)
        .flat_map(|url| (0..HOSTS).map(move |host| (host, url)))
        .map(|(host, url)| CrawlAsk::Get { host, path: format!("/page/{url}") })
        .collect();
    let mut shuffled = one_by_one.clone();
    fastrand::Rng::with_seed(108).shuffle(&mut shuffled);
    for (order, asks) in [("in-turn", in_turn), ("shuffled", shuffled), ("host-after-host", one_by_one)] {
        let scenario = |name: String, told_rates: bool, asks: Vec<CrawlAsk>| Scenario {
            name,
            hosts: rates
                .iter()
                .map(|rate| {
                    let server = Server::limited(Limit::per_minute(*rate));
                    if told_rates { server.told(told(*rate, 8)) } else { server }
                })
                .collect(),
            asks,
            policy: told(600, 8),
            limits: Limits::default(),
            robots: false,
            listings: 0,
            retries: RETRIES,
            witnesses: 0,
            ends: ExpectedEnds::AsPages,
            goals: Vec::new(),
        };
        all.push(scenario(format!("twenty/told/{order}"), true, asks.clone()).goals([
            refused(0),
            whole_in_time(1.02, ideals[0]),
            each_in_time(1.02, ideals.iter().copied().enumerate().collect()),
        ]));
        all.push(
            scenario(format!("twenty/untold/{order}"), false, asks).goals([refused(20), none_while_closed()]),
        );
    }
}

/// Adds scenarios in which a host is down for 20 s in the middle of a fast crawl.
fn outages(all: &mut Vec<Scenario>) {
    let (from, to) = (seconds(20), seconds(40));
    for (what, fault) in [
        ("502", Fault::Status(502)),
        ("503", Fault::Status(503)),
        ("resets", Fault::Reset),
        ("unreachable", Fault::Unreachable),
    ] {
        let server = Server::limited(Limit::per_minute(300)).with(|host| host.outage(from, to, fault));
        all.push(Scenario::one_host(format!("outage/{what}"), server, 300, told(300, 8)).goals([
            knocks(15, from, to),
            back(seconds(15), to),
            no_herd(5, Duration::from_millis(100)),
        ]));
    }
}

/// Returns a scenario in which one of five hosts asks the crawler to wait until tomorrow.
fn a_day() -> Scenario {
    const EACH: usize = 60;
    const CLOSED: usize = 2;
    const SERVED: u32 = 10;
    let open = || Server::limited(Limit::per_minute(60));
    let until_tomorrow = |host: opilio_sandbox::HostConfig| host.refusal(429, RefusalForm::Fixed(86_400));
    let mut hosts: Vec<Server> = (0..5).map(|_| open()).collect();
    hosts[CLOSED] = Server::limited(Limit::per_minute(SERVED)).with(until_tomorrow);
    let ideal = spacing(60) * (EACH as u32 - 1);
    Scenario {
        name: "a-day".into(),
        hosts,
        asks: (0..5).flat_map(|host| pages(host, EACH)).collect(),
        policy: told(60, 8),
        limits: Limits::default(),
        robots: false,
        listings: 0,
        retries: RETRIES,
        witnesses: 0,
        ends: ExpectedEnds::Accounted,
        goals: vec![
            each_in_time(1.02, (0..5).filter(|host| *host != CLOSED).map(|host| (host, ideal)).collect()),
            silent_after_refusal(CLOSED),
            ends_by_itself(ideal.mul_f64(1.02) + seconds(3)),
            left_are_named(CLOSED, Reason::HostClosed, EACH - SERVED as usize),
        ],
    }
}

/// Returns a scenario in which a host without a limit redirects to a host with a limit. The requests for the targets
/// must count towards the budget of the host with the limit.
fn redirects() -> Scenario {
    let (open, limited) = (0, 1);
    let mut asks = pages(limited, 30);
    asks.extend((0..60).map(|n| CrawlAsk::Redirected {
        by: open,
        to: limited,
        path: format!("/target/{n}"),
    }));
    Scenario {
        name: "redirects".into(),
        hosts: vec![Server::open(), Server::limited(Limit::per_minute(40)).told(told(40, 8))],
        asks,
        policy: told(600, 8),
        limits: Limits::default(),
        robots: false,
        listings: 0,
        retries: RETRIES,
        witnesses: 0,
        ends: ExpectedEnds::AsPages,
        goals: vec![refused(0), window(limited, 40, MINUTE), used(limited, 0.95, 40)],
    }
}

/// Returns a scenario in which the URLs spell the name of one host in several ways. All spellings must share one
/// budget.
fn spelling() -> Scenario {
    const SPELLINGS: [&str; 5] = [
        "localhost:{port}",
        "LocalHost:{port}",
        "localhost:0{port}",
        "localhost.:{port}",
        "somebody@localhost:{port}",
    ];
    let spelt =
        |n: usize| CrawlAsk::Spelt { authority: SPELLINGS[n % SPELLINGS.len()], path: format!("/page/{n}") };
    let mut scenario = Scenario::one_host("spelling", Server::limited(Limit::per_minute(60)), 0, told(60, 8))
        .goals([refused(0), window(0, 60, MINUTE), used(0, 0.99, 60)]);
    scenario.asks = (0..100).map(spelt).collect();
    scenario
}

/// Returns a scenario with orders by POST. The host refuses some of the orders, answers others with an error after it
/// carried them out, and answers some too late.
fn orders() -> Scenario {
    const ORDERS: usize = 80;
    let server = Server::limited(Limit::per_minute(60))
        .with(|host| host.resets(0.1).errors(500, 0.1).truncations(0.1).slow(10, seconds(3)));
    let mut scenario = Scenario::one_host("orders", server, 0, told(100, 50)).goals([
        carried_out(ORDERS),
        refused(6),
        none_while_closed(),
    ]);
    scenario.asks = (0..ORDERS).map(|n| CrawlAsk::Order { host: 0, body: format!("order {n}") }).collect();
    scenario.limits = Limits { timeout: seconds(2), ..Limits::default() };
    scenario.ends = ExpectedEnds::Accounted;
    scenario
}

const URLS: usize = 200;
const MINUTE: Duration = Duration::from_secs(60);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn spacing(per_minute: u32) -> Duration {
    MINUTE / per_minute
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_scenario_has_a_name_of_its_own_urls_and_goals() {
        let all = scenarios();
        let names: BTreeSet<&str> = all.iter().map(|scenario| scenario.name.as_str()).collect();
        assert_eq!(names.len(), all.len());
        for scenario in &all {
            assert!(!scenario.asks.is_empty() && !scenario.goals.is_empty(), "{}", scenario.name);
        }
    }
}
