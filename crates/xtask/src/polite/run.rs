//! Runs one scenario: starts real servers, crawls them with the real crawler, and then measures the goals.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use opilio::export::Collect;
use opilio::{AddressPolicy, Crawler, Follow, HostSettings, RetryPolicy, Scope};
use opilio_sandbox::{Log, Sandbox};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::goals::{Goal, RunEvidence, everywhere};
use super::scenario::Scenario;
use super::spider::UrlList;

/// The result of running one scenario.
pub(super) struct ScenarioVerdict {
    pub(super) name: String,
    pub(super) took: Duration,
    pub(super) lines: Vec<GoalLine>,
    logs: Vec<Log>,
}

/// One goal and its measured value.
pub(super) struct GoalLine {
    pub(super) goal: String,
    pub(super) measured: String,
    pub(super) holds: bool,
}

impl ScenarioVerdict {
    pub(super) fn holds(&self) -> bool {
        self.lines.iter().all(|line| line.holds)
    }

    /// Returns the whole result as JSON. If a goal was missed, the JSON contains the times at which requests arrived.
    pub(super) fn to_json(&self) -> Value {
        let goals = self
            .lines
            .iter()
            .map(|line| json!({ "goal": line.goal, "measured": line.measured, "ok": line.holds }));
        let logs = self
            .logs
            .iter()
            .map(|log| if self.holds() { json!({ "statements": log.statements() }) } else { log.to_json() });
        json!({
            "name": self.name,
            "ok": self.holds(),
            "seconds": self.took.as_secs_f64(),
            "goals": goals.collect::<Vec<_>>(),
            "hosts": logs.collect::<Vec<_>>(),
        })
    }
}

/// Runs a scenario. A crawl that fails or does not end counts as a missed goal, not as an error.
pub(super) async fn run(scenario: Scenario) -> ScenarioVerdict {
    let began = Instant::now();
    let slow = slow_hosts(&scenario);
    let goals: Vec<Goal> =
        scenario.goals.into_iter().chain(everywhere(scenario.ends, slow, scenario.witnesses)).collect();
    let scenario = Scenario { goals: Vec::new(), ..scenario };
    let name = scenario.name.clone();
    match crawl(scenario).await {
        Ok(evidence) => {
            let measured = |goal: &Goal| {
                let measured = goal.measure(&evidence);
                GoalLine { goal: goal.says.clone(), measured: measured.value, holds: measured.holds }
            };
            let lines = goals.iter().map(measured).collect();
            ScenarioVerdict { name, took: evidence.took, lines, logs: evidence.logs }
        }
        Err(error) => {
            let line =
                GoalLine { goal: "runs to its end".into(), measured: format!("{error:#}"), holds: false };
            ScenarioVerdict { name, took: began.elapsed(), lines: vec![line], logs: Vec::new() }
        }
    }
}

/// Returns the indices of the hosts that allow 60 requests a minute or less. Such hosts refuse several requests sent
/// at once.
fn slow_hosts(scenario: &Scenario) -> Vec<usize> {
    let allows_little = |limit: opilio_sandbox::Limit| {
        let (n, per) = limit.rate();
        f64::from(n) <= per.as_secs_f64()
    };
    let hosts = scenario.hosts.iter().enumerate();
    hosts.filter(|(_, server)| server.limit.is_some_and(allows_little)).map(|(host, _)| host).collect()
}

async fn crawl(scenario: Scenario) -> Result<RunEvidence> {
    let configs = scenario.hosts.iter().map(|server| {
        let config = server.config.clone();
        if scenario.robots { config.page("/robots.txt", "text/plain", ROBOTS) } else { config }
    });
    let mut sandbox = Sandbox::builder().hosts(configs).start()?;
    let requests = (0..).zip(&scenario.asks).map(|(place, ask)| ask.request(&sandbox, place)).collect();
    let (collect, collected) = Collect::new();
    let mut crawler = Crawler::new(UrlList::new(requests, scenario.listings))
        .host(scenario.policy)
        .limits(scenario.limits)
        .scope(Scope::new().follow(Follow::All))
        .addresses(AddressPolicy::allow_all())
        .retry(RetryPolicy::default().retries(scenario.retries))
        .shards(1)
        .export(collect);
    if !scenario.robots {
        crawler = crawler.no_robots();
    }
    for (host, server) in scenario.hosts.iter().enumerate() {
        if let Some(policy) = server.told.clone() {
            let settings = HostSettings { policy, ..HostSettings::default() };
            crawler = crawler.host_named(&sandbox.addr(host).to_string(), settings);
        }
    }
    let began = Instant::now();
    let report = timeout(PATIENCE, crawler.run()).await.context("the crawl did not end in 9 minutes")??;
    let took = began.elapsed();
    sandbox.stop();
    let hosts = 0..sandbox.hosts();
    Ok(RunEvidence {
        logs: hosts.clone().map(|host| sandbox.log(host)).collect(),
        bases: hosts.clone().map(|host| sandbox.base(host)).collect(),
        orders: hosts
            .flat_map(|host| sandbox.with_host(host, |h| h.orders().values().copied().collect::<Vec<_>>()))
            .collect(),
        asked: scenario.asks.len(),
        pages: collected.items().context("cannot read what the spider wrote")?,
        report,
        took,
    })
}

const ROBOTS: &str = "User-agent: *\nDisallow: /admin/\n";
const PATIENCE: Duration = Duration::from_secs(540);
