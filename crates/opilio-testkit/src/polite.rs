//! What a polite crawl does not do, read from the log of a web.

use std::time::Duration;

use opilio::core::{Host, HostPolicy};
use opilio::robots::Robots;
use opilio_sandbox::Log;

use crate::log::{WebLog, WebRequest};

/// Each breach in words.
pub(crate) fn breaches(log: &WebLog) -> Vec<String> {
    let mut found = Vec::new();
    for (host, site) in log.sites() {
        let policy = log.policies.get(host).cloned().unwrap_or_default();
        let requests: Vec<_> = log
            .requests()
            .iter()
            .filter(|request| Host::of(&request.url).ok().as_ref() == Some(host))
            .collect();
        waits(host, site, &mut found);
        limits(host, site, &policy, &mut found);
        rules(host, &requests, &policy, &mut found);
    }
    found
}

fn waits(host: &Host, site: &Log, found: &mut Vec<String>) {
    for closing in site.closings() {
        let knocks: Vec<_> = site
            .entries()
            .iter()
            .filter(|arrival| arrival.at > closing.from && arrival.at < closing.until)
            .map(|arrival| format!("{} at {}", arrival.path, seconds(arrival.at)))
            .collect();
        if !knocks.is_empty() {
            let (from, until) = (seconds(closing.from), seconds(closing.until));
            found.push(format!(
                "{host} was closed from {from} to {until}, and was asked for {}",
                list(&knocks)
            ));
        }
    }
    let after = site.starts_after_hold(PROBE_WINDOW);
    if after > 1 {
        found.push(format!("{host} got {after} requests at once after a wait; one shows whether it is over"));
    }
    if site.is_banned() {
        found.push(format!("{host} banned the crawl"));
    }
}

fn limits(host: &Host, site: &Log, policy: &HostPolicy, found: &mut Vec<String>) {
    let (most, max) = (site.max_in_flight(), policy.in_flight_max());
    if most > max {
        found.push(format!("{host} had {most} requests in flight, and its policy allows {max}"));
    }
    if let Some(rate) = policy.rate_max() {
        let most = site.max_in_window(rate.period());
        if most > rate.count() as usize {
            let period = rate.period();
            found.push(format!("{host} got {most} requests in {period:?}, and its policy allows {rate}"));
        }
    }
}

/// Checks robots.txt, where one was asked for; a crawl that was told not to ask has none.
fn rules(host: &Host, requests: &[&WebRequest], policy: &HostPolicy, found: &mut Vec<String>) {
    let is_rules = |request: &WebRequest| request.path() == "/robots.txt";
    let Some(place) = requests.iter().position(|request| is_rules(request)) else { return };
    let (early, late) = requests.split_at(place);
    if let Some(page) = early.first() {
        found.push(format!("{host} was asked for a page before its robots.txt: {}", page.describe()));
    }
    let Some(served) = late.iter().rfind(|request| is_rules(request) && request.status == Some(200)) else {
        return;
    };
    let user_agent = served.headers.get(http::header::USER_AGENT).and_then(|value| value.to_str().ok());
    let robots = Robots::parse(&served.answer, user_agent.unwrap_or_default());
    let forbidden: Vec<_> = late
        .iter()
        .filter(|request| !is_rules(request) && !robots.allows_url(&request.url))
        .map(|request| request.describe())
        .collect();
    if !forbidden.is_empty() {
        found.push(format!("the robots.txt of {host} forbids {}", list(&forbidden)));
    }
    let Some(delay) = robots.crawl_delay().filter(|delay| *delay <= policy.crawl_delay_max()) else { return };
    let hasty = late.windows(2).skip(1).find(|pair| pair[1].at - pair[0].at < delay);
    if let Some([first, second]) = hasty {
        let (first, second) = (first.describe(), second.describe());
        found.push(format!(
            "the robots.txt of {host} asks for {delay:?} between two requests: {first}; {second}"
        ));
    }
}

fn list(all: &[String]) -> String {
    let named = all[..all.len().min(NAMED)].join(", ");
    if all.len() > NAMED { format!("{named} and {} more", all.len() - NAMED) } else { named }
}

fn seconds(time: Duration) -> String {
    format!("{:.3} s", time.as_secs_f64())
}

/// Requests that come in this time after a wait came at once.
const PROBE_WINDOW: Duration = Duration::from_millis(250);
/// Requests that a breach names.
const NAMED: usize = 5;
