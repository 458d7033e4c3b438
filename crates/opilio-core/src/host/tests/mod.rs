//! Tests the rules of the gate, case by case. An observer checks the invariants at every step.
#![allow(clippy::unwrap_used, reason = "tests")]

mod attempts;
mod fair;
mod holds;
mod own;
mod properties;
mod rig;
mod robots;
mod walls;

use std::time::Duration;

use rig::{BARE_429, OK, Rig, fault, lease, ms, quota, secs, status, wait};

use super::*;
use crate::name::Scheme;
use crate::outcome::{Fault, Outcome, Reason};
use crate::policy::{Backoff, HostPolicy};
use crate::rate::{per_minute, per_second};
use crate::record::{Attempts, Ending, LeaseId, Priority, RecordKind};
use crate::time::Timestamp;
use crate::verdict::{Hints, Proposal, Quota, Verdict};

fn fast() -> HostPolicy {
    HostPolicy::new().rate(per_second(10)).in_flight(8)
}

#[test]
fn starts_are_evenly_spaced_from_the_first_on() {
    let mut rig = Rig::new(HostPolicy::new().rate(per_minute(60)).in_flight(8));
    rig.assign(1..6);
    rig.serve(ms(20_000), Duration::from_millis(20), |_, _| OK);
    assert_eq!(rig.start_times(), [0, 1005, 2010, 3015, 4020]);
    assert_eq!(rig.pages(), 5);
    assert!(rig.passivated);
}

#[test]
fn no_rate_costs_no_time() {
    let mut rig = Rig::new(HostPolicy::new().unlimited_rate().in_flight(4));
    rig.assign(1..9);
    assert_eq!(rig.starts.len(), 4);
    rig.answer(1, OK);
    assert_eq!(rig.starts.len(), 5, "a freed place is used at once");
}

#[test]
fn goes_by_priority_depth_and_age() {
    let mut rig = Rig::new(HostPolicy::new().unlimited_rate().in_flight(1));
    let mut batch: Vec<_> = (1..6).map(lease).collect();
    batch[1].record.depth = 2;
    batch[2].record.depth = 1;
    batch[4].record.priority = Priority(3);
    rig.hear(Input::Assign(batch));
    for _ in 0..5 {
        let id = rig.starts.last().unwrap().1.lease.id.0;
        rig.answer(id, OK);
    }
    let order: Vec<u64> = rig.starts.iter().map(|(_, start)| start.lease.id.0).collect();
    assert_eq!(order, [5, 1, 4, 3, 2]);
}

#[test]
fn a_refused_slot_is_asked_for_again() {
    let now = ms(0);
    let mut host = HostState::new(fast(), RulesMode::Off, HostLimits::default(), 1, now);
    host.handle(now, Input::Assign(vec![lease(1)]));
    assert_eq!(host.poll(now), Some(Output::AskSlot));
    while host.poll(now).is_some() {}
    host.handle(now, Input::Refused);
    assert_eq!(host.poll(now), None);
    assert_eq!(host.wake_at(), Some((ms(10), WakeReason::SlotRetry)));
    host.handle(ms(10), Input::Tick);
    assert_eq!(host.poll(ms(10)), Some(Output::AskSlot));
}

#[test]
fn a_slot_that_the_groups_budget_denies_is_asked_for_when_it_affords_one() {
    let now = ms(0);
    let mut host = HostState::new(fast(), RulesMode::Off, HostLimits::default(), 1, now);
    host.handle(now, Input::Assign(vec![lease(1)]));
    assert_eq!(host.poll(now), Some(Output::AskSlot));
    while host.poll(now).is_some() {}
    host.handle(now, Input::SlotDenied { until: ms(700) });
    assert_eq!(host.poll(now), None);
    assert_eq!(host.wake_at(), Some((ms(700), WakeReason::SlotRetry)));
    host.handle(ms(700), Input::Tick);
    assert_eq!(host.poll(ms(700)), Some(Output::AskSlot));
}

/// A host with two leases, of which the first has just been started with the last free slot.
fn short_of_slots() -> HostState {
    let now = ms(0);
    let mut host = HostState::new(fast(), RulesMode::Off, HostLimits::default(), 1, now);
    host.handle(now, Input::Assign(vec![lease(1), lease(2)]));
    while host.poll(now).is_some() {}
    host.handle(now, Input::Granted { is_short: true });
    assert!(matches!(host.poll(now), Some(Output::Fetch(_))));
    while let Some(output) = host.poll(now) {
        assert_ne!(output, Output::AskSlot);
    }
    host
}

fn answered(host: &mut HostState, at: u64, id: u64) {
    let proposal = Proposal { verdict: Verdict::Done, hints: Hints::default(), repeatable: true };
    host.handle(ms(at), Input::Report { lease: LeaseId(id), outcome: Outcome::Answered(200), proposal });
}

#[test]
fn while_slots_are_short_a_host_leaves_them_to_others_until_its_request_has_ended() {
    let mut host = short_of_slots();
    answered(&mut host, 120, 1);
    let outputs: Vec<Output> = std::iter::from_fn(|| host.poll(ms(120))).collect();
    assert!(outputs.contains(&Output::AskSlot), "{outputs:?}");
}

#[test]
fn a_host_whose_request_takes_long_asks_for_more_slots_and_again_when_nothing_is_in_flight() {
    let mut host = short_of_slots();
    assert_eq!(host.wake_at(), Some((ms(200), WakeReason::SlotRetry)));
    host.handle(ms(200), Input::Tick);
    assert_eq!(host.poll(ms(200)), Some(Output::AskSlot));
    while host.poll(ms(200)).is_some() {}
    answered(&mut host, 300, 1);
    let outputs: Vec<Output> = std::iter::from_fn(|| host.poll(ms(300))).collect();
    assert!(outputs.contains(&Output::AskSlot), "it is served before hosts that ask for more: {outputs:?}");
}

#[test]
fn a_slot_that_comes_too_late_is_handed_back() {
    let now = ms(0);
    let mut host = HostState::new(fast(), RulesMode::Off, HostLimits::default(), 1, now);
    host.handle(now, Input::Assign(vec![lease(1)]));
    assert_eq!(host.poll(now), Some(Output::AskSlot));
    host.handle(now, Input::Disallowed(LeaseId(1)));
    host.handle(now, Input::Granted { is_short: false });
    assert!(matches!(
        host.poll(now),
        Some(Output::Deliver { delivery: Delivery::Failure(Reason::Robots), .. })
    ));
    assert_eq!(host.poll(now), Some(Output::ReturnSlot));
}

#[test]
fn a_host_that_drains_does_not_wait_for_a_slot_that_it_asked_for() {
    let now = ms(0);
    let mut host = HostState::new(fast(), RulesMode::Off, HostLimits::default(), 1, now);
    host.handle(now, Input::Assign(vec![lease(1)]));
    assert_eq!(host.poll(now), Some(Output::AskSlot));
    while host.poll(now).is_some() {}
    host.handle(now, Input::Drain);
    let outputs: Vec<_> = std::iter::from_fn(|| host.poll(now)).collect();
    let [Output::Settle { ending: Ending::Return, .. }, Output::Passivate] = &outputs[..] else {
        panic!("{outputs:?}");
    };
    // The slot was granted before the fetcher pool knew of the drain.
    host.handle(ms(1), Input::Granted { is_short: false });
    let outputs: Vec<_> = std::iter::from_fn(|| host.poll(ms(1))).collect();
    assert_eq!(outputs, [Output::ReturnSlot, Output::Passivate]);
}

#[test]
fn draining_starts_nothing_and_gives_back_what_was_not_started() {
    let mut rig = Rig::new(fast());
    rig.assign(1..4);
    rig.run_until(ms(150));
    rig.answer(1, status(500));
    rig.hear(Input::Drain);
    let due = ms(1_150);
    let kept = Ending::Retry { due, attempts: Attempts::of(1) };
    assert_eq!(rig.settled, [(LeaseId(3), Ending::Return), (LeaseId(1), kept)]);
    assert!(!rig.passivated, "one is in flight");
    rig.answer(2, OK);
    rig.settle_all();
    assert!(rig.passivated, "at once");
}

#[test]
fn spreads_what_is_left_of_a_quota() {
    let mut rig = Rig::new(HostPolicy::new().rate(per_minute(100)).in_flight(50));
    rig.assign(1..20);
    let stated = Quota { limit: Some(40), remaining: 9, reset: secs(21), window: None };
    rig.run_until(ms(20));
    rig.answer(1, quota(200, stated));
    rig.run_until(ms(9_000));
    // The 20 s until the reset (21 s, of which one second may be rounding) are divided into ten parts.
    assert_eq!(rig.start_times()[..4], [0, 2_002, 4_004, 6_006]);
}

#[test]
fn a_spent_quota_holds_to_its_reset_without_a_probe() {
    let mut rig = Rig::new(HostPolicy::new().rate(per_second(10)).in_flight(50));
    rig.assign(1..20);
    let stated = Quota { limit: Some(40), remaining: 0, reset: secs(21), window: None };
    rig.answer(1, quota(200, stated));
    assert!(matches!(rig.events[..], [HostEvent::Held { reason: HoldReason::QuotaSpent, .. }]));
    rig.run_until(ms(21_999));
    assert_eq!(rig.starts.len(), 1);
    rig.run_until(ms(22_350));
    assert_eq!(rig.starts.len(), 5, "no probe: nothing was refused");
    assert_eq!(rig.host.snapshot().strikes, 0);
}

#[test]
fn says_once_that_it_is_not_welcome() {
    let mut rig = Rig::new(fast());
    rig.assign(1..30);
    rig.serve(ms(60_000), Duration::from_millis(5), |_, _| status(403));
    let said =
        rig.events.iter().filter(|event| matches!(event, HostEvent::Forbidden { in_a_row: 10 })).count();
    assert_eq!(said, 1);
}

#[test]
fn asks_for_leases_when_a_quarter_is_left() {
    let mut rig = Rig::new(HostPolicy::new().unlimited_rate().in_flight(64));
    rig.hear(Input::Tick);
    assert_eq!(rig.credit.take(), Some(64));
    rig.assign(1..65);
    assert_eq!(rig.credit, None);
    for id in 1..48 {
        rig.answer(id, OK);
        rig.settle_all();
    }
    assert_eq!(rig.credit, None);
    rig.answer(48, OK);
    assert_eq!(rig.credit.take(), Some(47), "what is parsed still takes room");
    rig.hear(Input::Assign(Vec::new()));
    assert_eq!(rig.credit, None, "the scheduler has none: asking again is for later");
}

#[test]
fn a_settled_lease_is_gone_wherever_it_is() {
    let mut rig = Rig::new(HostPolicy::new().unlimited_rate().in_flight(1));
    rig.assign(1..4);
    rig.hear(Input::Settled(vec![LeaseId(1), LeaseId(3)]));
    assert_eq!(rig.host.snapshot().in_flight, 1, "the request itself is still under way");
    rig.answer(1, OK);
    assert!(rig.delivered.is_empty());
    assert_eq!(rig.starts.len(), 2);
}

// With the feature `sabotage`, a host has one more field for its bug. Only the size without that feature
// matters.
#[cfg(not(feature = "sabotage"))]
#[test]
fn is_small_enough_for_a_million() {
    assert!(size_of::<HostState>() <= 720, "{}", size_of::<HostState>());
    assert!(size_of::<HostMemo>() <= 120, "{}", size_of::<HostMemo>());
}

#[test]
fn ready_leases_are_those_of_the_origin() {
    let mut rig = Rig::with_rules(fast(), RulesMode::Fetch);
    rig.assign(1..3);
    assert_eq!(rig.host.ready_leases(Scheme::Http).count(), 2);
    assert_eq!(rig.host.ready_leases(Scheme::Https).count(), 0);
}

#[test]
fn learns_the_window_of_a_server_after_one_closing() {
    let mut rig = Rig::new(HostPolicy::new().rate(per_minute(100)).in_flight(50));
    rig.assign(1..200);
    let mut accepted: Vec<Timestamp> = Vec::new();
    let mut refused = 0;
    rig.serve(ms(300_000), Duration::from_millis(20), |at, _| {
        let window = accepted.iter().filter(|then| at.since(**then) < secs(60)).count();
        if window >= 40 {
            refused += 1;
            let opens = accepted[accepted.len() - 40] + secs(60);
            return wait(429, secs(opens.since(at).as_secs() + 1));
        }
        accepted.push(at);
        OK
    });
    assert!(refused <= 3, "{refused}");
    assert!(accepted.len() > 180, "{}", accepted.len());
}
