//! Tests whose fault failures are found to be: neither one bad page nor chance may cost a host its other
//! pages.

use std::collections::BTreeMap;
use std::time::Duration;

use super::rig::{Answer, BARE_429, OK, Rig, fault, lease, ms, secs, status, wait};
use crate::host::{Delivery, HoldReason, HostEvent, HostLimits, HostState, Input, Output, ParkReason};
use crate::host::{RulesAnswer, RulesMode, Start, WakeReason};
use crate::name::Scheme;
use crate::order::Order;
use crate::outcome::{Fault, Reason};
use crate::policy::HostPolicy;
use crate::rate::per_second;
use crate::record::{Attempts, LeaseId, Priority};
use crate::time::Timestamp;
use crate::verdict::Hints;

const LATENCY: Duration = Duration::from_millis(5);

fn told() -> HostPolicy {
    HostPolicy::new().rate(per_second(20)).in_flight(4)
}

/// Returns the number of the URL that this start requests; `None` for a witness.
fn asked(start: &Start) -> Option<u64> {
    (!start.lease.id.is_witness()).then_some(start.lease.id.0)
}

/// Returns the number of requests for each URL, by the URL's number.
fn requests(rig: &Rig) -> BTreeMap<u64, usize> {
    let mut count = BTreeMap::new();
    rig.starts.iter().filter_map(|(_, start)| asked(start)).for_each(|id| *count.entry(id).or_default() += 1);
    count
}

fn end_of(rig: &Rig, id: u64) -> (Delivery, u16) {
    let end = rig.delivered.iter().find(|(ended, ..)| ended.0 == id);
    end.map(|(_, delivery, attempts)| (*delivery, *attempts)).unwrap_or_else(|| panic!("{id} never ended"))
}

/// Returns a host with `urls` URLs. If the host fetches robots.txt, its rules are already known.
fn host(rules: RulesMode, retries: u16, urls: u64) -> Rig {
    let mut rig = Rig::with_rules(told(), rules);
    rig.retries = retries;
    rig.assign(1..urls + 1);
    if rules == RulesMode::Fetch {
        rig.answer_rules(RulesAnswer::Known { crawl_delay: None, expires_in: secs(86_400) });
    }
    rig
}

const REFUSALS: [Answer; 4] =
    [status(503), BARE_429, wait(503, Duration::from_secs(1)), wait(429, Duration::from_secs(1))];

#[test]
fn one_page_that_is_always_refused_costs_itself_and_no_other() {
    for rules in [RulesMode::Off, RulesMode::Fetch] {
        for refusal in REFUSALS {
            for (broken, retries) in [(1, 3), (3, 3), (9, 3), (3, 0), (9, 0), (3, 1)] {
                let mut rig = host(rules, retries, 9);
                rig.serve(
                    ms(300_000),
                    LATENCY,
                    |_, start| if asked(start) == Some(broken) { refusal } else { OK },
                );
                let what = format!("{rules:?}, {refusal:?}, {broken} of 9, {retries} retries");
                assert_eq!(rig.pages(), 8, "{what}");
                let asks = requests(&rig)[&broken];
                assert_eq!(asks, usize::from(retries) + 1, "{what}");
                let reason = Reason::of_status(if refusal.outcome == BARE_429.outcome { 429 } else { 503 });
                assert_eq!(end_of(&rig, broken), (Delivery::Failure(reason), retries + 1), "{what}");
                assert!(rig.now < ms(20_000), "{what}: over after {:?}", rig.now);
                assert_eq!(rig.host.snapshot().strikes, 0, "{what}");
            }
        }
    }
}

#[test]
fn where_nothing_can_tell_the_last_page_ends_with_its_hosts_hold() {
    let stated = wait(503, Duration::from_secs(56));
    for (retries, urls, last) in [(3, 1, stated), (0, 1, stated), (2, 2, stated), (2, 2, status(503))] {
        let mut rig = host(RulesMode::Off, retries, urls);
        // A missing page (404) cannot serve as a witness.
        let other = status(404);
        rig.serve(ms(400_000), LATENCY, |_, start| if asked(start) == Some(urls) { last } else { other });
        let what = format!("{urls} URLs, {retries} retries, {last:?}");
        assert_eq!(end_of(&rig, urls), (Delivery::Failure(Reason::Http5xx), retries + 1), "{what}");
    }
}

#[test]
fn pages_of_one_origin_end_while_the_rules_of_the_other_are_away() {
    let mut rig = Rig::with_rules(told(), RulesMode::Fetch);
    let mut healthy = lease(3);
    healthy.record.scheme = Scheme::Https;
    let rules = |answer| Input::Rules { scheme: Scheme::Https, answer, hints: Hints::default() };
    rig.hear(Input::Assign(vec![healthy]));
    rig.hear(rules(RulesAnswer::Elsewhere { within: secs(200) }));
    rig.assign(1..3);
    rig.run_for(secs(1));
    rig.answer_rules(RulesAnswer::Known { crawl_delay: None, expires_in: secs(86_400) });
    rig.serve(ms(100_000), LATENCY, |_, start| if asked(start).is_some() { status(503) } else { OK });
    for broken in [1, 2] {
        // The failures of the two URLs put the host under suspicion once, not again and again.
        let (delivery, attempts) = end_of(&rig, broken);
        assert_eq!(delivery, Delivery::Failure(Reason::Http5xx));
        assert!(attempts <= 5, "{attempts} requests for {broken}");
    }
    assert!(!rig.events.iter().any(|event| matches!(event, HostEvent::Parked { .. })), "{:?}", rig.events);
    rig.hear(rules(RulesAnswer::Known { crawl_delay: None, expires_in: secs(86_400) }));
    rig.serve(ms(110_000), LATENCY, |_, _| OK);
    assert_eq!(end_of(&rig, 3), (Delivery::Page, 1));
}

#[test]
fn an_old_request_that_fails_while_the_probe_is_out_lets_no_second_probe_start() {
    let mut rig = host(RulesMode::Off, 3, 12);
    rig.run_until(ms(200));
    let burst: Vec<_> = rig.starts.iter().filter_map(|(_, start)| asked(start)).collect();
    let [refused @ .., late] = &burst[..] else { panic!("nothing started") };
    refused.iter().for_each(|id| rig.answer(*id, BARE_429));
    rig.run_for(secs(3));
    let probe = rig.starts.last().map(|(_, start)| start.lease.id.0).unwrap();
    rig.answer(probe, OK);
    rig.run_for(secs(1));
    let newer = rig.starts.last().map(|(_, start)| start.lease.id.0).unwrap();
    // This request was in flight when the host closed. Its answer states that the host is still closed.
    rig.answer(*late, wait(429, secs(2)));
    rig.run_for(secs(3));
    let started = rig.starts.len();
    assert!(rig.starts.last().is_some_and(|(_, start)| start.probe), "{:?}", rig.starts.last());
    rig.answer(newer, status(500));
    // The probe is given up only after 30 s.
    rig.run_for(secs(20));
    assert_eq!(rig.starts.len(), started, "the probe is still out");
}

#[test]
fn what_fails_once_beside_a_page_that_always_fails_is_a_page() {
    for rules in [RulesMode::Off, RulesMode::Fetch] {
        for failure in [status(500), status(503), fault(Fault::Reset), fault(Fault::Timeout)] {
            let mut rig = host(rules, 3, 6);
            let mut failed = Vec::new();
            rig.serve(ms(120_000), LATENCY, |_, start| match asked(start) {
                Some(5) => failure,
                Some(id @ (4 | 6)) if !failed.contains(&id) => {
                    failed.push(id);
                    failure
                }
                _ => OK,
            });
            assert_eq!(rig.pages(), 5, "{rules:?} {failure:?}: {:?}", rig.delivered);
            assert!(matches!(end_of(&rig, 5).0, Delivery::Failure(_)));
            assert!(rig.now < ms(30_000), "{:?}", rig.now);
        }
    }
}

#[test]
fn pages_at_the_end_that_are_broken_for_good_are_asked_for_as_often_as_they_may_be() {
    for rules in [RulesMode::Off, RulesMode::Fetch] {
        for failure in [status(500), fault(Fault::Reset), fault(Fault::Timeout), status(408)] {
            for (broken, retries) in [(1, 3), (2, 3), (3, 3), (2, 0), (3, 0)] {
                let mut rig = host(rules, retries, 10);
                rig.serve(ms(300_000), LATENCY, |_, start| match asked(start) {
                    Some(id) if id > 10 - broken => failure,
                    _ => OK,
                });
                let what = format!("{rules:?}, {failure:?}, the last {broken}, {retries} retries");
                assert_eq!(rig.pages(), 10 - broken as usize, "{what}");
                for id in 11 - broken..=10 {
                    assert_eq!(requests(&rig)[&id], usize::from(retries) + 1, "{what}");
                    assert_eq!(end_of(&rig, id).1, retries + 1, "{what}");
                }
                assert!(rig.now < ms(30_000), "{what}: over after {:?}", rig.now);
            }
        }
    }
}

#[test]
fn an_outage_at_the_end_loses_nothing() {
    for rules in [RulesMode::Off, RulesMode::Fetch] {
        for down in [status(503), status(502), BARE_429, fault(Fault::Connect), fault(Fault::Reset)] {
            for (left, retries) in [(5, 3), (5, 0), (2, 3)] {
                let mut rig = host(rules, retries, 10);
                let from = ms(50 * (10 - left) + 20);
                let until = from + secs(20);
                let mut probes = 0;
                rig.serve(ms(120_000), LATENCY, |at, _| {
                    if at < from || at >= until {
                        return OK;
                    }
                    probes += 1;
                    down
                });
                let what = format!("{rules:?}, {down:?}, {left} left, {retries} retries");
                assert_eq!(rig.pages(), 10, "{what}: {:?}", rig.delivered);
                assert!(probes <= 15, "{what}: {probes} probes");
            }
        }
    }
}

#[test]
fn the_probe_is_not_what_was_refused_while_something_else_is_at_hand() {
    for order in [Order::BreadthFirst, Order::DepthFirst, Order::BestFirst] {
        for refusal in REFUSALS {
            let now = Timestamp::EPOCH;
            let limits = HostLimits { order, ..HostLimits::default() };
            let policy = HostPolicy::new().unlimited_rate().in_flight(1);
            let mut rig = Rig::new(policy.clone());
            rig.host = HostState::new(policy, RulesMode::Off, limits, 1, now);
            let mut leases: Vec<_> = (1..5).map(lease).collect();
            leases[2].record.priority = Priority(9);
            leases[2].record.attempts = Attempts::NONE;
            rig.hear(Input::Assign(leases));
            assert_eq!(asked(&rig.starts[0].1), Some(3), "the most urgent goes first");
            rig.answer(3, refusal);
            rig.run_for(secs(3));
            let probe = &rig.starts[1].1;
            assert!(probe.probe && asked(probe) != Some(3), "{order:?} {refusal:?}: {probe:?}");
        }
    }
}

#[test]
fn what_was_refused_before_the_host_slept_is_no_probe_either() {
    let mut rig = Rig::new(told());
    rig.assign(1..2);
    rig.answer(1, wait(429, secs(1)));
    rig.hear(Input::Settled(vec![LeaseId(1)]));
    rig.passivate();
    // The store leases the refused URL again, first in order, with one request counted against it.
    let mut refused = lease(1);
    refused.record.attempts = Attempts::of(1);
    refused.record.priority = Priority(5);
    rig.hear(Input::Assign(vec![refused, lease(2)]));
    rig.run_for(secs(2));
    let probe = &rig.starts[1].1;
    assert!(probe.probe && asked(probe) == Some(2), "{probe:?}");
}

#[test]
fn a_lone_503_among_successes_closes_nothing() {
    let mut rig = host(RulesMode::Off, 3, 60);
    rig.serve(ms(120_000), LATENCY, |at, start| {
        if asked(start) == Some(40) && at < ms(2_100) { status(503) } else { OK }
    });
    assert_eq!((rig.pages(), rig.holds()), (60, 0));
    let probe = rig.starts.iter().position(|(_, start)| start.probe).unwrap();
    let (at, before) = (rig.starts[probe].0, rig.starts[probe - 1].0);
    assert!(at.since(before) <= Duration::from_millis(60), "asked at once: {before:?}, {at:?}");
    assert!(rig.starts[59].0 < ms(4_000), "{:?}", rig.starts[59].0);
}

#[test]
fn a_bare_429_is_about_the_pace_and_holds_the_host() {
    let mut rig = host(RulesMode::Off, 3, 60);
    rig.serve(ms(1_990), LATENCY, |_, start| if asked(start) == Some(40) { BARE_429 } else { OK });
    rig.run_until(ms(1_990));
    let refused_at = rig.starts.iter().find(|(_, start)| asked(start) == Some(40)).unwrap().0;
    let (until, reason) = rig.host.snapshot().hold.unwrap();
    assert_eq!(reason, HoldReason::Refusal);
    assert!(until.since(refused_at) >= Duration::from_millis(600), "{until:?}");
}

#[test]
fn a_refused_url_goes_behind_the_others_once_it_has_paid_twice() {
    let mut rig = host(RulesMode::Off, 3, 200);
    rig.serve(ms(120_000), LATENCY, |_, start| if asked(start) == Some(10) { status(503) } else { OK });
    let places: Vec<usize> =
        (0..rig.starts.len()).filter(|at| asked(&rig.starts[*at].1) == Some(10)).collect();
    assert!(places[1] < 60, "the first retry comes after its backoff: {places:?}");
    assert!(places[2] > 195, "the second comes after all others: {places:?}");
}

#[test]
fn a_listing_that_chance_refused_once_is_not_sent_to_the_end() {
    let mut rig = host(RulesMode::Off, 3, 200);
    let mut first = true;
    rig.serve(ms(120_000), LATENCY, |_, start| {
        if asked(start) == Some(10) && std::mem::take(&mut first) { status(503) } else { OK }
    });
    let place = rig.starts.iter().rposition(|(_, start)| asked(start) == Some(10)).unwrap();
    assert!(place < 60, "asked for again as start {place}");
}

#[test]
fn a_stated_wait_holds_the_host_each_time_and_no_more_often_than_the_url_may_be_asked() {
    let mut rig = host(RulesMode::Off, 3, 100);
    let mut told = Vec::new();
    rig.serve(ms(120_000), LATENCY, |at, start| {
        if asked(start) == Some(20) {
            told.push(at + LATENCY);
            return wait(429, secs(2));
        }
        OK
    });
    assert_eq!(told.len(), 4);
    assert_eq!(rig.pages(), 99);
    for said in told {
        let early = rig.starts.iter().find(|(at, _)| *at > said && *at < said + secs(2));
        assert!(early.is_none(), "{early:?} in the wait of {said:?}");
    }
}

#[test]
fn a_page_that_states_more_than_the_longest_hold_parks_its_host() {
    for before in [1, 50] {
        let mut rig = host(RulesMode::Off, 3, 60);
        rig.serve(ms(120_000), LATENCY, |_, start| {
            if asked(start) == Some(before) { wait(503, secs(86_400)) } else { OK }
        });
        assert!(rig.events.contains(&HostEvent::Parked { reason: ParkReason::WaitTooLong }));
        assert_eq!(end_of(&rig, before), (Delivery::Failure(Reason::HostClosed), 1));
    }
}

#[test]
fn a_burst_that_a_limiter_refuses_does_not_look_like_broken_pages() {
    for refusal in REFUSALS {
        let mut rig = Rig::new(HostPolicy::new().unlimited_rate().in_flight(8));
        rig.retries = 0;
        rig.assign(1..40);
        for id in 1..9 {
            rig.answer(id, refusal);
        }
        rig.serve(ms(60_000), LATENCY, |_, _| OK);
        assert_eq!(rig.pages(), 39, "{refusal:?}: nobody pays for the pace");
    }
}

#[test]
fn a_limiter_that_always_hits_the_same_page_does_not_make_it_pay() {
    // The server has a token bucket of two starts a second. Requests that come too early are refused, and
    // those for the slow page most often.
    let policy = HostPolicy::new().rate(per_second(10)).in_flight(4);
    let mut rig = Rig::new(policy);
    rig.assign(1..60);
    let (mut level, mut last) = (0.0_f64, Timestamp::EPOCH);
    rig.serve(ms(300_000), LATENCY, |at, start| {
        level = (level - at.since(last).as_secs_f64() * 2.0).max(0.0);
        last = at;
        let price = if asked(start) == Some(7) { 2.0 } else { 1.0 };
        if level + price > 4.0 {
            return BARE_429;
        }
        level += price;
        OK
    });
    assert_eq!(rig.pages(), 59, "{:?}", rig.delivered.iter().find(|(_, end, _)| *end != Delivery::Page));
}

#[test]
fn attempts_are_the_requests_that_the_server_saw() {
    for rules in [RulesMode::Off, RulesMode::Fetch] {
        let mut rig = host(rules, 3, 60);
        let mut random = fastrand::Rng::with_seed(108);
        let outage = ms(1_000)..ms(9_000);
        rig.serve(ms(300_000), LATENCY, |at, start| {
            let chance = random.u8(..100);
            match asked(start) {
                _ if outage.contains(&at) => status(503),
                Some(id) if id % 9 == 0 => status(500),
                Some(_) if chance < 4 => status(503),
                Some(_) if chance < 8 => fault(Fault::StaleConnection),
                _ => OK,
            }
        });
        let seen = requests(&rig);
        for (id, _, attempts) in &rig.delivered {
            assert_eq!(usize::from(*attempts), seen[&id.0], "{id:?}");
        }
        assert_eq!(rig.pages(), 54);
    }
}

#[test]
fn both_origins_of_a_host_may_be_a_witness() {
    for scheme in [crate::name::Scheme::Http, crate::name::Scheme::Https] {
        let mut rig = Rig::with_rules(told(), RulesMode::Fetch);
        let mut leases: Vec<_> = (1..3).map(lease).collect();
        for lease in &mut leases {
            lease.record.scheme = scheme;
            lease.record.url = format!("{}://example.com/{}", scheme.as_str(), lease.id.0).into();
        }
        rig.hear(Input::Assign(leases));
        let known = RulesAnswer::Known { crawl_delay: None, expires_in: secs(86_400) };
        rig.hear(Input::Rules { scheme, answer: known, hints: Default::default() });
        rig.serve(ms(120_000), LATENCY, |_, start| if asked(start).is_some() { status(500) } else { OK });
        let witness = rig.starts.iter().find(|(_, start)| asked(start).is_none()).unwrap();
        let robots = format!("{}://example.com/robots.txt", scheme.as_str());
        assert_eq!(*witness.1.lease.record.url, *robots);
        assert_eq!(rig.delivered.len(), 2);
    }
}

#[test]
fn a_redirect_that_states_a_wait_holds_its_host_without_a_probe() {
    let mut rig = host(RulesMode::Off, 3, 20);
    let redirect =
        Answer { outcome: crate::outcome::Outcome::Redirected(302), hints: wait(302, secs(2)).hints };
    rig.serve(ms(1_500), LATENCY, |_, start| if asked(start) == Some(5) { redirect } else { OK });
    rig.run_until(ms(1_500));
    assert_eq!(rig.starts.len(), 5);
    assert_eq!(rig.host.wake_at().map(|(_, why)| why), Some(WakeReason::HoldEnds));
    rig.serve(ms(20_000), LATENCY, |_, _| OK);
    assert_eq!(rig.delivered.len(), 20);
    assert!(rig.starts.iter().all(|(_, start)| !start.probe));
    assert_eq!(rig.host.snapshot().strikes, 0);
}

#[test]
fn a_host_that_drains_gives_back_what_waits_for_a_verdict() {
    let mut rig = Rig::new(told().in_flight(1));
    rig.retries = 0;
    rig.assign(1..3);
    rig.answer(1, status(500));
    assert!(rig.delivered.is_empty(), "another URL may show that it was the host");
    rig.hear(Input::Drain);
    let given: Vec<_> = rig.settled.iter().map(|(id, _)| id.0).collect();
    assert_eq!(given, [2, 1]);
    assert!(!matches!(rig.host.poll(rig.now), Some(Output::Fetch(_))));
}
