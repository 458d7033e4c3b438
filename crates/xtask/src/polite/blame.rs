//! The goals of fair blame: they limit how much a broken page, a random refusal or a closed host may cost the crawl.
//! All of them are measured in the server's log.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use opilio::Reason;
use opilio_sandbox::{Arrival, Log};

use super::goals::{Goal, Measured, RunEvidence};
use super::scenario::path;

/// The broken URLs of a host: those whose requests always fail. Each URL is given by its index in the scenario's list
/// of URLs.
pub(super) type Broken = Arc<BTreeSet<usize>>;

/// Returns the goal that all of the first `pages` URLs that are not broken arrive as pages, except for at most
/// `missing_max`.
pub(super) fn others_arrive(pages: usize, broken: &Broken, missing_max: u64) -> Goal {
    let broken = Arc::clone(broken);
    Goal::at_most("healthy pages missing", missing_max, move |evidence| {
        let arrived: BTreeSet<u32> = evidence.pages.iter().map(|page| page.place).collect();
        let healthy = (0..pages).filter(|place| !broken.contains(place));
        healthy.filter(|place| !arrived.contains(&(*place as u32))).count() as u64
    })
}

/// Returns the goal that no page is requested more than `bound` times up to its first 2xx answer.
pub(super) fn asked(bound: u64) -> Goal {
    Goal::at_most("requests for one page", bound, |evidence| {
        evidence.logs.iter().flat_map(|log| tries(log).into_values()).max().unwrap_or(0)
    })
}

/// Returns the goal that the page at this index is requested a second time, at most `within` after the first request.
pub(super) fn asked_again(place: usize, within: Duration) -> Goal {
    Goal::within(format!("{} asked again", path(place)), within, move |evidence| {
        let path = path(place);
        let mut asked = evidence.logs.first()?.entries().iter().filter(|arrival| *arrival.path == *path);
        let (first, second) = (asked.next()?, asked.next()?);
        Some(second.at - first.at)
    })
}

/// Returns the goal that each broken page is requested exactly this many times.
pub(super) fn asked_each(broken: &Broken, times: u64) -> Goal {
    let broken = Arc::clone(broken);
    let what = format!("broken pages not asked {times} times");
    Goal::at_most(&what, 0, move |evidence| {
        let tries = evidence.logs.first().map(tries).unwrap_or_default();
        let asked = |place: &usize| tries.get(&*path(*place)).copied().unwrap_or(0);
        broken.iter().filter(|place| asked(place) != times).count() as u64
    })
}

/// Returns the goal that for each page the number of attempts in the crawl's report equals the number of requests in
/// the server's log.
pub(super) fn attempts_are_requests() -> Goal {
    Goal::new("attempts ≠ requests = 0", |evidence| {
        let Some(log) = evidence.logs.first() else {
            return Measured { value: "no log".into(), holds: false };
        };
        let tries = tries(log);
        let seen = |path: &str| tries.get(path).copied().unwrap_or(0);
        let pages = evidence.pages.iter().map(|page| (path(page.place as usize), page.attempts));
        let base = &evidence.bases[0];
        let failures = evidence.report.failures.iter().map(|failure| {
            let path = failure.url.strip_prefix(&**base).unwrap_or(&failure.url);
            (path.to_owned(), failure.attempts)
        });
        let wrong: Vec<(String, u16)> =
            pages.chain(failures).filter(|(path, attempts)| u64::from(*attempts) != seen(path)).collect();
        let worst = wrong.iter().max_by_key(|(path, attempts)| seen(path).abs_diff(u64::from(*attempts)));
        let example = worst.map_or(String::new(), |(path, attempts)| {
            format!(" ({path}: reported {attempts}, seen {})", seen(path))
        });
        Measured { value: format!("{}{example}", wrong.len()), holds: wrong.is_empty() }
    })
}

/// Returns the goal that the crawl reports each broken page as failed for this reason.
pub(super) fn broken_end_as(broken: &Broken, reason: Reason) -> Goal {
    let broken = Arc::clone(broken);
    let what = format!("broken pages not {}", reason.as_str());
    Goal::at_most(&what, 0, move |evidence| {
        let base = &evidence.bases[0];
        let right = evidence.report.failures.iter().filter(|failure| failure.reason == reason);
        let right: BTreeSet<&str> = right.filter_map(|f| f.url.strip_prefix(&**base)).collect();
        broken.iter().filter(|place| !right.contains(&*path(**place))).count() as u64
    })
}

/// Returns the goal that the crawl takes at most `bound` longer than `ideal`.
pub(super) fn over(ideal: Duration, bound: Duration) -> Goal {
    let what = format!("beyond its ideal of {:.1} s", ideal.as_secs_f64());
    Goal::within(what, bound, move |evidence| Some(evidence.took.saturating_sub(ideal)))
}

/// Returns the goal that at most `bound` requests arrive while the host is closed. The host is closed for the time
/// `lasts`, counted from the first request that it refuses because it is closed.
pub(super) fn knocks_at_the_door(bound: u64, lasts: Duration) -> Goal {
    Goal::at_most("knocks while closed", bound, move |evidence| {
        let spans = closed(evidence, lasts);
        spans.map_or(u64::MAX, |(log, from, to)| log.knocks_between(from, to) as u64)
    })
}

/// Returns the goal that the first page is served at most `within` after the host has opened again.
pub(super) fn back_through_the_door(within: Duration, lasts: Duration) -> Goal {
    Goal::within("back after the opening".into(), within, move |evidence| {
        let (log, _, to) = closed(evidence, lasts)?;
        let page =
            |arrival: &&Arrival| arrival.at >= to && arrival.is_success() && &*arrival.path != "/robots.txt";
        Some(log.entries().iter().find(page)?.at - to)
    })
}

/// Returns the log of the host, and the begin and the end of the time in which the host was closed: the time begins
/// with the first request that had a fault, and is as long as `lasts`.
fn closed(evidence: &RunEvidence, lasts: Duration) -> Option<(&Log, Duration, Duration)> {
    let log = evidence.logs.first()?;
    let from = log.entries().iter().find(|arrival| arrival.fault.is_some())?.at;
    Some((log, from, from + lasts))
}

/// Counts the requests for each page up to its first 2xx answer. Later requests are witnesses: they are only sent to
/// learn whether the host works.
fn tries(log: &Log) -> BTreeMap<&str, u64> {
    let (mut tries, mut answered) = (BTreeMap::new(), BTreeSet::new());
    for arrival in log.entries().iter().filter(|arrival| &*arrival.path != "/robots.txt") {
        if answered.contains(&*arrival.path) {
            continue;
        }
        *tries.entry(&*arrival.path).or_default() += 1;
        if arrival.is_success() && !arrival.abandoned {
            answered.insert(&*arrival.path);
        }
    }
    tries
}

#[cfg(test)]
mod tests {
    use opilio_sandbox::{Ask, Fault, Host, HostConfig, Site, Trigger};

    use super::*;

    fn log(config: HostConfig, paths: &[&str]) -> Log {
        let mut host = Host::new(config.site(Site::Blank));
        for (second, path) in (0..).zip(paths) {
            let at = Duration::from_secs(second);
            let answer = host.arrive(at, &Ask::get(path));
            host.left(at, answer.id);
        }
        host.log().clone()
    }

    #[test]
    fn a_witness_is_no_try() {
        let once = HostConfig::new().fault(Trigger::PathTimes("/a".into(), 2), Fault::Status(503));
        let log = log(once, &["/robots.txt", "/a", "/a", "/a", "/a", "/robots.txt", "/b"]);
        assert_eq!(tries(&log), BTreeMap::from([("/a", 3), ("/b", 1)]));
    }
}
