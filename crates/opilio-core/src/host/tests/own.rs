//! Tests failures that are the URL's own fault: however many there are, they say nothing about the host.

use std::time::Duration;

use super::rig::{OK, Rig, fault, ms, status};
use crate::host::{Delivery, RulesAnswer, RulesMode};
use crate::outcome::{Fault, Reason};
use crate::policy::HostPolicy;
use crate::rate::per_second;
use crate::record::LeaseId;

const LATENCY: Duration = Duration::from_millis(5);

fn host(rules: RulesMode) -> Rig {
    let mut rig = Rig::with_rules(HostPolicy::new().rate(per_second(10)).in_flight(8), rules);
    rig.assign(1..65);
    if rules == RulesMode::Fetch {
        rig.answer_rules(RulesAnswer::Known { crawl_delay: None, expires_in: Duration::from_secs(86_400) });
    }
    rig
}

#[test]
fn heads_that_cannot_be_read_are_tried_as_often_as_the_policy_says_and_close_nothing() {
    let spread: Vec<u64> = (1..65).filter(|id| id % 3 == 0).collect();
    let broken = [("spread", spread), ("first", (1..30).collect()), ("last", (31..65).collect())];
    let all = ("all", (1..65).collect());
    for rules in [RulesMode::Off, RulesMode::Fetch] {
        for (word, broken) in broken.iter().chain([&all]) {
            let mut rig = host(rules);
            rig.serve(ms(600_000), LATENCY, |_, start| {
                if broken.contains(&start.lease.id.0) { fault(Fault::Malformed) } else { OK }
            });
            for id in 1..65 {
                let right = match broken.contains(&id) {
                    true => (Delivery::Failure(Reason::Protocol), 4),
                    false => (Delivery::Page, 1),
                };
                let ends = rig.delivered.iter().filter(|(ended, ..)| *ended == LeaseId(id));
                let ends: Vec<_> = ends.map(|(_, delivery, attempts)| (*delivery, *attempts)).collect();
                assert_eq!(ends, [right], "{rules:?} {word}: {id}");
            }
            assert_eq!(rig.starts.len(), 64 + 3 * broken.len(), "{rules:?} {word}: nobody else is asked");
            assert_eq!((rig.holds(), rig.host.snapshot().strikes), (0, 0), "{rules:?} {word}");
        }
    }
}

#[test]
fn a_head_that_cannot_be_read_excuses_nothing_else() {
    // Some URLs also fail, and one is refused: each of these outcomes is judged as at a host that answers.
    let mut rig = host(RulesMode::Fetch);
    rig.serve(ms(600_000), LATENCY, |_, start| match start.lease.id.0 {
        id if id % 4 == 0 => fault(Fault::Malformed),
        id if id % 16 == 1 => status(500),
        _ => OK,
    });
    let of = |reason| {
        rig.delivered
            .iter()
            .filter(move |(_, delivery, attempts)| *delivery == Delivery::Failure(reason) && *attempts == 4)
    };
    assert_eq!((rig.pages(), of(Reason::Protocol).count(), of(Reason::Http5xx).count()), (44, 16, 4));
}
