//! The scenario `soak`: 3,600 URLs on eight hosts. Two thirds of the URLs have a fault, and every kind of fault
//! occurs.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::time::Duration;

use opilio::{Limits, Reason};
use opilio_sandbox::{Fault, HostConfig, Trigger};

use super::blame::over;
use super::goals::{Goal, Measured, RunEvidence};
use super::scenario::{CrawlAsk, ExpectedEnds, RETRIES, Scenario, Server, path, told};

/// The fault of one URL.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum SoakKind {
    Healthy,
    /// The first requests for the URL have this fault, as many as the number says. Later requests get the page.
    Times(Fault, u32),
    /// Every request for the URL has this fault. The URL has to end for this reason.
    Always(Fault, Reason),
    /// The body of the answer is compressed: it has few bytes, but more than a megabyte when decompressed.
    Bomb,
    /// The page redirects to itself.
    Loop,
    Gone,
}

impl SoakKind {
    /// Returns the reason for which a URL of this kind has to fail, or `None` if the URL has to end as a page.
    fn ends(self) -> Option<Reason> {
        match self {
            Self::Healthy | Self::Times(..) => None,
            Self::Always(_, reason) => Some(reason),
            Self::Bomb => Some(Reason::DecompressionBomb),
            Self::Loop => Some(Reason::RedirectLoop),
            Self::Gone => Some(Reason::Http4xx),
        }
    }

    fn put(self, host: HostConfig, path: String, bomb: &bytes::Bytes) -> HostConfig {
        match self {
            Self::Healthy => host,
            Self::Times(fault, times) => host.fault(Trigger::PathTimes(path, times), fault),
            Self::Always(fault, _) => host.fault(Trigger::Path(path), fault),
            Self::Bomb => host.answer(path, 200, [("content-encoding", "gzip".to_owned())], bomb.clone()),
            Self::Loop => host.answer(path.clone(), 302, [("location", path)], ""),
            Self::Gone => host.answer(path, 404, [], "gone"),
        }
    }
}

/// Returns the kinds of the URLs of one host: [`EACH`] kinds. Of about 620 requests to the host, 28 % fail.
fn kinds() -> Vec<SoakKind> {
    let drip = Fault::Drip { chunk: 16, every: Duration::from_millis(20) };
    let parts = [
        (150, SoakKind::Healthy),
        (38, SoakKind::Times(Fault::Status(503), 1)),
        (2, SoakKind::Always(Fault::Status(503), Reason::Http5xx)),
        (34, SoakKind::Times(Fault::Reset, 1)),
        (3, SoakKind::Always(Fault::Reset, Reason::Reset)),
        (38, SoakKind::Times(Fault::Truncated, 1)),
        (34, SoakKind::Times(Fault::Silence, 1)),
        (3, SoakKind::Always(Fault::Silence, Reason::Timeout)),
        (38, SoakKind::Times(drip, u32::MAX)),
        (37, SoakKind::Bomb),
        (36, SoakKind::Loop),
        (37, SoakKind::Gone),
    ];
    parts.into_iter().flat_map(|(count, kind)| std::iter::repeat_n(kind, count)).collect()
}

/// Returns the scenario `soak`.
pub(super) fn scenario() -> Scenario {
    let bomb = bomb();
    let mut random = fastrand::Rng::with_seed(108);
    let mut hosts = Vec::new();
    let mut ends = BTreeMap::new();
    for host in 0..HOSTS {
        let mut kinds = kinds();
        random.shuffle(&mut kinds);
        hosts.push(Server::open().with(|config| {
            kinds.iter().enumerate().fold(config, |config, (n, kind)| kind.put(config, path(n), &bomb))
        }));
        ends.extend(kinds.iter().enumerate().map(|(n, kind)| ((host, n), kind.ends())));
    }
    let in_turn = (0..EACH).flat_map(|n| (0..HOSTS).map(move |host| CrawlAsk::Get { host, path: path(n) }));
    let ideal = Duration::from_secs(1) * (EACH as u32 - 1) / RATE;
    Scenario {
        name: "fair/soak".into(),
        hosts,
        asks: in_turn.collect(),
        policy: told(RATE * 60, 4),
        limits: Limits { timeout: Duration::from_secs(2), ..Limits::default() },
        robots: false,
        listings: 0,
        retries: RETRIES,
        witnesses: 8 * HOSTS as u64,
        ends: ExpectedEnds::Accounted,
        goals: vec![healthy_arrive(ends.clone()), end_for_their_reason(ends), over(ideal, ideal)],
    }
}

/// For each URL, given by its host and its page, the reason for which it has to fail. `None` if it has to end as a
/// page.
type Expected = BTreeMap<(usize, usize), Option<Reason>>;

fn healthy_arrive(ends: Expected) -> Goal {
    Goal::at_most("healthy pages missing", 0, move |evidence| {
        let pages = evidence.pages.iter().map(|page| page.place as usize);
        let arrived = pages.filter(|place| ends.get(&place_of(*place)) == Some(&None)).count();
        (ends.values().filter(|end| end.is_none()).count() - arrived) as u64
    })
}

fn end_for_their_reason(ends: Expected) -> Goal {
    Goal::new("other URLs not ended rightly = 0", move |evidence: &RunEvidence| {
        let failures = evidence.report.failures.iter().map(|failure| (&*failure.url, failure.reason));
        let failures: BTreeMap<&str, Reason> = failures.collect();
        let mut wrong = BTreeMap::<String, usize>::new();
        for ((host, n), end) in &ends {
            let Some(reason) = end else { continue };
            let url = format!("{}{}", evidence.bases[*host], path(*n));
            let found = failures.get(&*url);
            if found != Some(reason) {
                let found = found.map_or("no failure", |reason| reason.as_str());
                *wrong.entry(format!("{} is {found}", reason.as_str())).or_default() += 1;
            }
        }
        let value = format!("{} {wrong:?}", wrong.values().sum::<usize>());
        Measured { value, holds: wrong.is_empty() }
    })
}

/// Returns the host and the page of the URL at this index of the list. In the list, the hosts alternate.
fn place_of(place: usize) -> (usize, usize) {
    (place % HOSTS, place / HOSTS)
}

/// Returns ten MiB of zeros, compressed with gzip to about ten KiB. Errors are ignored, because writing to memory
/// cannot fail.
fn bomb() -> bytes::Bytes {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let _ = gzip.write_all(&vec![0; 10 << 20]);
    gzip.finish().unwrap_or_default().into()
}

const HOSTS: usize = 8;
const EACH: usize = 450;
const RATE: u32 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_thirds_of_the_urls_have_a_fault() {
        let kinds = kinds();
        assert_eq!(kinds.len(), EACH);
        assert_eq!(kinds.iter().filter(|kind| **kind != SoakKind::Healthy).count(), EACH * 2 / 3);
    }
}
