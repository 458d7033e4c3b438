//! Finds breaches of politeness in the log of a scripted web.

use std::time::Duration;

use opilio::core::{Host, HostPolicy};
use opilio::robots::Robots;
use opilio_sandbox::Log;

use crate::log::{WebLog, WebRequest};

/// Returns each breach of politeness in words.
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
        let early: Vec<_> = site
            .entries()
            .iter()
            .filter(|arrival| arrival.at > closing.from && arrival.at < closing.until)
            .map(|arrival| format!("{} at {}", arrival.path, seconds(arrival.at)))
            .collect();
        if !early.is_empty() {
            let (from, until) = (seconds(closing.from), seconds(closing.until));
            found.push(format!(
                "{host} was closed from {from} to {until}, and was asked for {}",
                list(&early)
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

/// Checks the requests against a host's robots.txt, if the crawl requested it. A crawl may be set up not to
/// request it.
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

/// The first request after a wait must come alone. Requests that follow it within this time count as sent
/// together with it.
const PROBE_WINDOW: Duration = Duration::from_millis(250);
/// The most requests that the description of a breach names.
const NAMED: usize = 5;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use bytes::Bytes;
    use http::{HeaderMap, HeaderValue, Method, header};
    use opilio::core::per_minute;
    use opilio_sandbox::{Ask, HostConfig, Limit, Site};
    use url::Url;

    /// Returns the breaches that would be found if a crawl had sent these requests to a host, each given by
    /// its second and its path.
    fn sent(config: HostConfig, policy: HostPolicy, asks: &[(f64, &str)], takes: Duration) -> Vec<String> {
        let mut site = opilio_sandbox::Host::new(config);
        let mut open: Vec<(Duration, u64)> = Vec::new();
        let mut requests = Vec::new();
        for (at, path) in asks {
            let at = Duration::from_secs_f64(*at);
            open.retain(|(until, id)| {
                if *until <= at {
                    site.left(*until, *id);
                    false
                } else {
                    true
                }
            });
            let answer = site.arrive(at, &Ask::get(path));
            open.push((at + takes, answer.id));
            let agent = (header::USER_AGENT, HeaderValue::from_static("opilio/1"));
            requests.push(WebRequest {
                at,
                method: Method::GET,
                url: Url::parse(&format!("http://a.example{path}")).unwrap(),
                headers: HeaderMap::from_iter([agent]),
                body: Bytes::new(),
                session: None,
                status: Some(answer.status),
                answer: answer.body,
            });
        }
        let host = Host::of(&requests[0].url).unwrap();
        let mut log = WebLog::new([(host.clone(), site.log().clone())].into(), requests);
        log.policies = [(host, policy)].into();
        breaches(&log)
    }

    fn any() -> HostPolicy {
        HostPolicy::new().unlimited_rate().in_flight(9)
    }

    fn blank() -> HostConfig {
        HostConfig::new().site(Site::Blank)
    }

    #[test]
    fn a_polite_crawl_has_no_breach() {
        let asks = [(0.0, "/robots.txt"), (1.0, "/a"), (2.0, "/b")];
        assert_eq!(sent(blank(), HostPolicy::new(), &asks, Duration::ZERO), [""; 0]);
    }

    #[test]
    fn a_request_into_a_stated_wait_and_a_herd_after_it_are_breaches() {
        let asks = [(0.0, "/a"), (1.0, "/b"), (2.0, "/c"), (61.0, "/d"), (61.1, "/e")];
        let found = sent(blank().limit(Limit::per_minute(1)), any(), &asks, Duration::ZERO);
        assert_eq!(
            found[0],
            "a.example was closed from 1.000 s to 60.000 s, and was asked for /c at 2.000 s"
        );
        assert_eq!(found[1], "a.example got 2 requests at once after a wait; one shows whether it is over");
        let found = sent(blank().limit(Limit::per_minute(1)).ban_at(1), any(), &asks[..3], Duration::ZERO);
        assert!(found.iter().any(|words| words == "a.example banned the crawl"), "{found:?}");
    }

    #[test]
    fn more_than_a_policy_allows_is_a_breach() {
        let asks = [(0.0, "/a"), (0.5, "/b"), (20.0, "/c")];
        let policy = HostPolicy::new().rate(per_minute(2));
        let found = sent(blank(), policy, &asks, Duration::from_secs(1));
        let expected = [
            "a.example had 2 requests in flight, and its policy allows 1",
            "a.example got 3 requests in 60s, and its policy allows 2/m",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn what_robots_txt_forbids_its_delay_and_its_turn_are_kept_or_a_breach() {
        let rules = "User-agent: *\nDisallow: /private\nCrawl-delay: 5\n";
        let config = || blank().page("/robots.txt", "text/plain", rules);
        let asks = [(0.0, "/a"), (1.0, "/robots.txt"), (2.0, "/private/x"), (6.0, "/b")];
        let found = sent(config(), any(), &asks, Duration::ZERO);
        let expected = [
            "a.example was asked for a page before its robots.txt: GET http://a.example/a at 0.000 s, answered by 200",
            "the robots.txt of a.example forbids GET http://a.example/private/x at 2.000 s, answered by 200",
            "the robots.txt of a.example asks for 5s between two requests: GET http://a.example/private/x at 2.000 s, \
             answered by 200; GET http://a.example/b at 6.000 s, answered by 200",
        ];
        assert_eq!(found, expected);
    }
}
