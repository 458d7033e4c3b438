//! The scenarios of fair blame: some pages are broken, some requests are refused at random, or the host is closed for
//! a while. All other pages work.

use std::sync::Arc;
use std::time::Duration;

use opilio::{Limits, Reason};
use opilio_sandbox::{Fault, HostConfig, Limit, RefusalForm, Trigger};

use super::blame::*;
use super::goals::{none_while_closed, refused, used};
use super::scenario::{ExpectedEnds, Scenario, Server, path, told};

/// Adds all scenarios of fair blame.
pub(super) fn scenarios(all: &mut Vec<Scenario>) {
    for robots in [false, true] {
        let mut some = Vec::new();
        walls(robots, &mut some);
        one(&mut some);
        tails(robots, &mut some);
        if !robots {
            listing(&mut some);
            several(&mut some);
            chance(&mut some);
            limiter(&mut some);
        }
        all.extend(some.into_iter().map(|scenario| if robots { with_robots(scenario) } else { scenario }));
    }
}

/// Returns the scenario with a robots.txt on every host, which the crawler respects.
fn with_robots(scenario: Scenario) -> Scenario {
    Scenario { name: format!("{}/robots", scenario.name), robots: true, ..scenario }
}

/// Returns a scenario with `urls` pages, which are crawled with `rate` starts a second and 4 requests in flight. The
/// pages in `broken` always fail.
fn world(name: &str, rate: u32, urls: usize, broken: &Broken, fault: Fault) -> Scenario {
    let server = Server::open().with(|mut host| {
        for place in broken.iter() {
            host = host.fault(Trigger::Path(path(*place)), fault);
        }
        host
    });
    let mut scenario = Scenario::one_host(format!("fair/{name}"), server, urls, told(rate * 60, 4));
    if !broken.is_empty() {
        scenario.ends = ExpectedEnds::Accounted;
    }
    scenario.witnesses = WITNESSES;
    scenario.goals([others_arrive(urls, broken, 0), attempts_are_requests()])
}

/// Returns the time in which a crawl with this rate can fetch each page once.
fn ideal(rate: u32, urls: usize) -> Duration {
    SECOND * (urls as u32 - 1) / rate
}

/// Adds scenarios in which every request for one of the pages is refused.
fn one(all: &mut Vec<Scenario>) {
    for (status, reason) in [(503, Reason::Http5xx), (429, Reason::Http4xx)] {
        let stated = Fault::Refusal { status, wait_seconds: 2 };
        for (form, fault, over_max) in [("bare", Fault::Status(status), 15), ("wait2", stated, 15 + 4 * 2)] {
            for (place, at, listings) in
                [("first", 0, 0), ("middle", URLS / 2, 0), ("last", URLS - 1, 0), ("linked", URLS / 2, 10)]
            {
                let broken: Broken = Arc::new([at].into());
                let name = format!("one/{status}-{form}/{place}");
                let mut scenario = world(&name, 20, URLS, &broken, fault).goals([
                    asked(4),
                    broken_end_as(&broken, reason),
                    over(ideal(20, URLS), seconds(over_max)),
                    none_while_closed(),
                ]);
                scenario.listings = listings;
                all.push(scenario);
            }
        }
    }
}

/// Adds a scenario in which a listing (a page of links) is refused once, at random. The pages that the listing links
/// to must not wait until all other pages are fetched.
fn listing(all: &mut Vec<Scenario>) {
    const LISTING: usize = 3;
    let once = Trigger::PathTimes(path(LISTING), 1);
    let mut scenario = world("listing-once", 20, URLS, &Broken::default(), Fault::Silence).goals([
        asked(2),
        asked_again(LISTING, seconds(5)),
        over(ideal(20, URLS), seconds(15)),
    ]);
    scenario.hosts = vec![Server::open().with(|host| host.fault(once, Fault::Status(503)))];
    scenario.listings = 10;
    all.push(scenario);
}

/// Adds scenarios in which several pages always fail.
fn several(all: &mut Vec<Scenario>) {
    let spread = |count: usize| -> Broken { Arc::new((0..count).map(|n| n * URLS / count + 7).collect()) };
    let ten = spread(10);
    all.push(world("ten-503", 20, URLS, &ten, Fault::Status(503)).goals([
        asked(4),
        broken_end_as(&ten, Reason::Http5xx),
        over(ideal(20, URLS), seconds(40)),
    ]));
    let fifteen = spread(15);
    let stated = Fault::Refusal { status: 429, wait_seconds: 1 };
    let mut stating = world("fifteen-429-wait1", 20, URLS, &fifteen, stated).goals([
        asked(4),
        broken_end_as(&fifteen, Reason::Http4xx),
        none_while_closed(),
    ]);
    // At the end only broken pages are left. Each round of attempts at them may cause one witness request, which
    // shows whether the host works.
    stating.witnesses = 24;
    all.push(stating);
    let sixty: [(&str, Broken); 2] = [
        ("spread", Arc::new((0..60).map(|n| n * 10 / 3).collect())),
        ("contiguous", Arc::new((60..120).collect())),
    ];
    for (form, broken) in sixty {
        let name = format!("half-dead/{form}");
        let mut dead = world(&name, 20, URLS, &broken, Fault::Silence)
            .goals([asked(4), broken_end_as(&broken, Reason::Timeout)]);
        dead.limits = Limits { timeout: seconds(2), ..Limits::default() };
        // Each series of pages that time out one after another may cause one witness request.
        dead.witnesses = 30;
        all.push(dead);
        let name = format!("members-only/{form}");
        all.push(world(&name, 10, URLS, &broken, Fault::Status(403)).goals([
            asked_each(&broken, 1),
            broken_end_as(&broken, Reason::Http4xx),
            used(0, 0.95, 600),
        ]));
    }
}

/// Adds scenarios in which the last pages always fail, or in which the host goes down when five pages are left.
fn tails(robots: bool, all: &mut Vec<Scenario>) {
    const FEW: usize = 20;
    for (what, fault, reason) in [
        ("500", Fault::Status(500), Reason::Http5xx),
        ("reset", Fault::Reset, Reason::Reset),
        ("timeout", Fault::Silence, Reason::Timeout),
    ] {
        let broken: Broken = Arc::new((FEW - 3..FEW).collect());
        for (word, retries) in [("", 3), ("/retries-0", 0)] {
            let name = format!("broken-tail/{what}{word}");
            // A kept-alive connection that breaks may only have been idle for too long, so the request is sent once
            // more (RFC 9110 §9.2.2).
            let replaced = u64::from(fault == Fault::Reset && retries == 0);
            let mut scenario = world(&name, 20, FEW, &broken, fault).goals([
                asked(u64::from(retries) + 1 + replaced),
                broken_end_as(&broken, reason),
                over(ideal(20, FEW), seconds(30)),
            ]);
            scenario.limits = Limits { timeout: seconds(2), ..Limits::default() };
            scenario.retries = retries;
            all.push(scenario);
        }
    }
    for (what, fault) in [("503", Fault::Status(503)), ("reset", Fault::Reset)] {
        let name = format!("outage-tail/{what}");
        // The log also has the request for robots.txt, which is not one of the pages.
        let served = URLS - 5 + usize::from(robots);
        all.push(closing(&name, 20, served, seconds(20), fault, 0, 15));
    }
}

/// Adds scenarios in which the host answers every request with 403 for a while, as a firewall may do.
fn walls(robots: bool, all: &mut Vec<Scenario>) {
    for lasts in [120, 30] {
        let served = 60 + usize::from(robots);
        all.push(closing(&format!("wall/{lasts}"), 10, served, seconds(lasts), Fault::Status(403), 5, 25));
    }
}

/// Returns a scenario in which, after `served` pages, every request fails for a while.
fn closing(
    name: &str,
    rate: u32,
    served: usize,
    lasts: Duration,
    fault: Fault,
    missing: u64,
    knocks: u64,
) -> Scenario {
    let nothing = Broken::default();
    let mut scenario = world(name, rate, URLS, &nothing, fault);
    let trigger = Trigger::AfterServed { served: served as u64, lasts };
    scenario.hosts = vec![Server::open().with(|host| host.fault(trigger, fault))];
    scenario.ends = ExpectedEnds::Accounted;
    scenario.goals = vec![
        others_arrive(URLS, &nothing, missing),
        attempts_are_requests(),
        knocks_at_the_door(knocks, lasts),
        back_through_the_door(seconds(15), lasts),
    ];
    scenario
}

/// Adds scenarios with several seeds, in which requests are refused at random, independently of the crawl's rate.
fn chance(all: &mut Vec<Scenario>) {
    let stated = Fault::Refusal { status: 429, wait_seconds: 1 };
    for seed in [1, 2, 3] {
        let mut add = |what: &str, urls: usize, faults: Vec<(Trigger, Fault)>, used_min: f64| {
            let flaky = |host: HostConfig| {
                faults.into_iter().fold(host.seed(seed), |host, (trigger, fault)| host.fault(trigger, fault))
            };
            let name = format!("chance/{what}/seed-{seed}");
            let mut scenario = world(&name, 20, urls, &Broken::default(), Fault::Silence)
                .goals([asked(4), used(0, used_min, 1200)]);
            scenario.hosts = vec![Server::open().with(flaky)];
            all.push(scenario);
        };
        let share = |share: f64, fault: Fault| vec![(Trigger::Share(share), fault)];
        add("429-wait1-0.5%", 1_000, share(0.005, stated), 0.80);
        add("429-bare-0.5%", 1_000, share(0.005, Fault::Status(429)), 0.80);
        add("503-2%", 600, share(0.02, Fault::Status(503)), 0.90);
        let mut random = fastrand::Rng::with_seed(seed);
        let once = random.choose_multiple(0..400, 40).into_iter();
        let once = once.map(|place| (Trigger::PathTimes(path(place), 1), Fault::Status(503))).collect();
        add("first-time-only", 400, once, 0.80);
    }
}

/// Adds a scenario in which the host has the limiter of nginx, and the crawler's settings allow a higher rate than
/// the limiter. The setting of the limiter is `rate=20r/s burst=5 nodelay`: it allows one request, and five more at
/// once.
fn limiter(all: &mut Vec<Scenario>) {
    let server =
        Server::limited(Limit::bucket(20, SECOND, 6)).with(|host| host.refusal(503, RefusalForm::Bare));
    let mut scenario = Scenario::one_host("fair/nginx", server, 400, told(50 * 60, 8));
    scenario.witnesses = WITNESSES;
    all.push(scenario.goals([
        others_arrive(400, &Broken::default(), 0),
        attempts_are_requests(),
        refused(3),
        used(0, 0.92, 1200),
    ]));
}

const URLS: usize = 200;
/// The most pages that may be served twice. A witness request may ask again for a page that has already arrived, to
/// learn whether the host works.
const WITNESSES: u64 = 8;
const SECOND: Duration = Duration::from_secs(1);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
