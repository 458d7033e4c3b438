//! Tests firewalls: 401 and 403 for one URL after another, at a host that answered well before.

use std::time::Duration;

use super::rig::{Answer, OK, Rig, ms, secs, status};
use crate::host::{Delivery, HoldReason, HostEvent, RulesAnswer, RulesMode, Start};
use crate::outcome::Reason;
use crate::policy::HostPolicy;
use crate::rate::per_second;
use crate::record::LeaseId;

const LATENCY: Duration = Duration::from_millis(5);

fn host(rules: RulesMode, urls: u64) -> Rig {
    let mut rig = Rig::with_rules(HostPolicy::new().rate(per_second(10)).in_flight(8), rules);
    rig.assign(1..urls + 1);
    if rules == RulesMode::Fetch {
        rig.answer_rules(RulesAnswer::Known { crawl_delay: None, expires_in: secs(86_400) });
    }
    rig
}

fn is_witness(start: &Start) -> bool {
    start.lease.id.is_witness()
}

#[test]
fn a_wall_over_a_welcoming_host_is_sat_out_and_loses_nothing() {
    for rules in [RulesMode::Off, RulesMode::Fetch] {
        for (code, seconds) in [(403, 30), (401, 30), (403, 120)] {
            let mut rig = host(rules, 64);
            let wall = ms(2_000)..ms(2_000) + secs(seconds);
            let mut probes = 0;
            rig.serve(ms(400_000), LATENCY, |at, _| {
                probes += usize::from(wall.contains(&at));
                if wall.contains(&at) { status(code) } else { OK }
            });
            let what = format!("{rules:?}, {code} for {seconds} s");
            assert_eq!(rig.pages(), 64, "{what}");
            assert!(probes <= 25, "{what}: {probes} probes");
            let back = rig.starts.iter().find(|(at, _)| *at >= wall.end).unwrap().0;
            assert!(back.since(wall.end) <= secs(15), "{what}: back after {:?}", back.since(wall.end));
            let held =
                |event: &HostEvent| matches!(event, HostEvent::Held { reason: HoldReason::Forbidden, .. });
            assert!(rig.events.iter().any(held), "{what}");
        }
    }
}

#[test]
fn pages_that_are_rightly_forbidden_are_asked_for_once_and_close_nothing() {
    let spread: Vec<u64> = (1..65).filter(|id| id % 3 == 0).collect();
    let forbidden = [("spread", spread), ("together", (20..60).collect()), ("last", (31..65).collect())];
    for rules in [RulesMode::Off, RulesMode::Fetch] {
        for (word, forbidden) in &forbidden {
            let is_forbidden = |id: u64| forbidden.contains(&id);
            let mut rig = host(rules, 64);
            rig.serve(ms(60_000), LATENCY, |_, start| {
                if !is_witness(start) && is_forbidden(start.lease.id.0) { status(403) } else { OK }
            });
            let ends = |id: u64| rig.delivered.iter().filter(move |(ended, ..)| *ended == LeaseId(id));
            for id in 1..65 {
                let right =
                    if is_forbidden(id) { Delivery::Failure(Reason::Http4xx) } else { Delivery::Page };
                let ends: Vec<_> = ends(id).map(|(_, delivery, attempts)| (*delivery, *attempts)).collect();
                assert_eq!(ends, [(right, 1)], "{rules:?} {word}: {id}");
            }
            let witnesses = rig.starts.iter().filter(|(_, start)| is_witness(start)).count();
            assert!(witnesses <= 4, "{rules:?} {word}: {witnesses} witnesses");
            assert_eq!((rig.holds(), rig.host.snapshot().strikes), (0, 0), "{rules:?} {word}");
            assert!(rig.starts.last().unwrap().0 < ms(7_200), "{rules:?} {word}");
        }
    }
}

#[test]
fn a_host_that_was_never_welcoming_has_no_wall() {
    let mut rig = host(RulesMode::Off, 30);
    rig.serve(ms(60_000), LATENCY, |_, _| status(403));
    assert_eq!(rig.starts.len(), 30);
    assert_eq!(rig.delivered.len(), 30);
    assert_eq!(rig.holds(), 0);
}

#[test]
fn a_wall_that_stands_for_good_parks_its_host_and_says_so() {
    let mut rig = host(RulesMode::Off, 64);
    let walled: fn(u64) -> Answer = |millis| if millis > 2_000 { status(403) } else { OK };
    rig.serve(ms(40_000_000), LATENCY, |at, _| walled(at.as_micros() / 1_000));
    assert!(rig.events.iter().any(|event| matches!(event, HostEvent::Parked { .. })));
    let closed = |(_, end, _): &&(LeaseId, Delivery, u16)| *end == Delivery::Failure(Reason::HostClosed);
    assert_eq!(rig.pages() + rig.delivered.iter().filter(closed).count(), 64);
}
