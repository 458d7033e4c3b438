//! The gate's rules, case by case, with the witness watching.
#![allow(clippy::unwrap_used, reason = "tests")]

mod fair;
mod own;
mod properties;
mod rig;
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
fn a_burst_of_concurrent_429s_is_one_event() {
    let mut rig = Rig::new(HostPolicy::new().unlimited_rate().in_flight(8));
    rig.assign(1..20);
    assert_eq!(rig.starts.len(), 8);
    rig.now = ms(50);
    for id in 1..9 {
        rig.answer(id, BARE_429);
    }
    assert_eq!(rig.holds(), 1);
    assert_eq!(rig.host.snapshot().strikes, 1);
    assert_eq!(rig.starts.len(), 8, "nothing starts while held");
}

#[test]
fn a_later_stated_wait_of_the_same_burst_extends_the_hold() {
    let mut rig = Rig::new(HostPolicy::new().unlimited_rate().in_flight(3));
    rig.assign(1..9);
    rig.answer(1, wait(429, secs(5)));
    rig.answer(2, wait(429, secs(30)));
    rig.answer(3, wait(429, secs(10)));
    assert_eq!(rig.host.snapshot().strikes, 1);
    rig.run_until(ms(29_999));
    assert_eq!(rig.starts.len(), 3);
    rig.run_until(ms(30_000));
    assert_eq!(rig.starts.len(), 4, "one probe");
    assert!(rig.starts[3].1.probe);
}

#[test]
fn retry_after_zero_past_or_garbage_holds_by_strikes() {
    // All three are read as no hint (see `hints`), which is what the gate gets to hear.
    let mut rig = Rig::new(fast());
    rig.assign(1..3);
    rig.answer(1, BARE_429);
    let (until, reason) = rig.host.snapshot().hold.unwrap();
    assert_eq!(reason, HoldReason::Refusal);
    assert!(until >= ms(500) && until <= ms(1_000), "{until:?}");
}

#[test]
fn a_huge_retry_after_is_clamped_and_said_and_parks() {
    let mut rig = Rig::new(fast());
    rig.assign(1..5);
    rig.run_until(ms(150));
    rig.answer(1, wait(503, secs(u64::MAX / 2)));
    let held = HostEvent::Held { until: ms(3_600_150), reason: HoldReason::RetryAfter, clamped: true };
    assert!(rig.events.contains(&held), "{:?}", rig.events);
    assert!(rig.events.contains(&HostEvent::Parked { reason: ParkReason::WaitTooLong }));
    rig.answer(2, OK);
    rig.run_for(secs(10));
    let closed = Delivery::Failure(Reason::HostClosed);
    let mut ends = rig.delivered.clone();
    ends.sort_by_key(|(id, ..)| *id);
    let expected = [(1, closed, 1), (2, Delivery::Page, 1), (3, closed, 0), (4, closed, 0)];
    assert_eq!(ends, expected.map(|(id, delivery, attempts)| (LeaseId(id), delivery, attempts)));
    rig.assign(9..10);
    assert_eq!(rig.delivered.last().unwrap().1, closed, "later ones end too");
    assert_eq!(rig.starts.len(), 2);
}

#[test]
fn a_parked_host_keeps_its_park_until_it_is_due() {
    let mut rig = Rig::new(fast());
    rig.assign(1..2);
    rig.answer(1, wait(429, secs(86_400)));
    rig.settle_all();
    rig.run_for(secs(5));
    assert!(rig.passivated);
    assert_eq!(rig.host.memo().parked_until(), Some(ms(86_400_000)));
    rig.passivate();
    rig.now = ms(80_000_000);
    rig.assign(2..3);
    assert_eq!(rig.delivered.last().unwrap().1, Delivery::Failure(Reason::HostClosed));
    rig.now = ms(86_400_001);
    rig.assign(3..5);
    assert_eq!(rig.starts.len(), 2, "its time has come: a probe");
    assert!(rig.starts[1].1.probe);
}

#[test]
fn a_hold_while_retries_are_waiting_holds_them_too() {
    let mut rig = Rig::new(fast());
    rig.assign(1..4);
    rig.run_until(ms(300));
    rig.answer(1, status(500));
    rig.answer(2, wait(429, secs(20)));
    rig.answer(3, OK);
    rig.run_until(ms(20_299));
    assert_eq!(rig.starts.len(), 3, "the retry was due after a second");
    rig.run_until(ms(20_300));
    assert_eq!(rig.starts.len(), 4);
    assert!(rig.starts[3].1.lease.id.is_witness(), "both of them failed: what was answered is asked");
}

#[test]
fn a_host_that_goes_idle_during_its_hold_is_still_held_when_visited_again() {
    let mut rig = Rig::new(fast());
    rig.assign(1..3);
    rig.run_until(ms(150));
    rig.answer(1, wait(503, secs(60)));
    rig.answer(2, OK);
    rig.hear(Input::Settled(vec![LeaseId(1), LeaseId(2)]));
    rig.run_for(secs(3));
    assert!(rig.passivated);
    rig.passivate();
    rig.assign(3..5);
    rig.run_until(ms(60_149));
    assert_eq!(rig.starts.len(), 2);
    rig.run_until(ms(60_150));
    assert_eq!(rig.starts.len(), 3);
    assert!(rig.starts[2].1.probe);
}

#[test]
fn a_crawl_of_held_hosts_ends_when_their_holds_do_and_not_before() {
    let mut rig = Rig::new(fast());
    rig.assign(1..2);
    rig.answer(1, wait(429, secs(600)));
    rig.run_until(ms(599_999));
    assert!(!rig.passivated && rig.settled.is_empty(), "the lease is kept, the host stays");
    rig.serve(ms(610_000), Duration::from_millis(10), |_, _| OK);
    assert_eq!(rig.pages(), 1);
    assert!(rig.passivated);
}

#[test]
fn a_redirect_to_a_held_host_waits_like_everything_else() {
    let mut rig = Rig::new(fast());
    rig.assign(1..2);
    rig.answer(1, wait(429, secs(10)));
    let mut target = lease(2);
    target.record.kind = RecordKind::Continuation;
    rig.hear(Input::Assign(vec![target]));
    rig.run_until(ms(9_999));
    assert_eq!(rig.starts.len(), 1);
}

#[test]
fn a_probe_that_fails_closes_again_for_longer() {
    let policy = fast().backoff(Backoff { min: secs(1), max: secs(60) });
    let mut rig = Rig::new(policy);
    rig.assign(1..9);
    rig.answer(1, BARE_429);
    let mut ends = Vec::new();
    for _ in 0..6 {
        let (until, _) = rig.host.snapshot().hold.unwrap();
        let before = rig.starts.len();
        rig.run_until(until);
        assert_eq!(rig.starts.len(), before + 1, "one probe and nothing else");
        ends.push(until);
        rig.run_for(Duration::from_millis(10));
        let id = rig.starts.last().unwrap().1.lease.id.0;
        rig.answer(id, BARE_429);
    }
    let total = ends[5].since(ends[0]);
    assert!(total > secs(5), "waits grow: {ends:?}");
    assert_eq!(rig.host.snapshot().strikes, 7);
    assert!(!rig.events.contains(&HostEvent::Opened));
}

#[test]
fn after_a_hold_one_probe_goes_first_and_pacing_resumes_one_spacing_later() {
    let mut rig = Rig::new(HostPolicy::new().rate(per_minute(60)).in_flight(8).adapt(false));
    rig.assign(1..9);
    rig.answer(1, wait(429, secs(30)));
    rig.run_until(ms(34_000));
    assert_eq!(rig.starts.len(), 2, "nothing but the probe, as long as it is out");
    let id = rig.starts[1].1.lease.id.0;
    rig.answer(id, status(404));
    assert!(rig.events.contains(&HostEvent::Opened), "a 404 is an answer");
    rig.run_until(ms(36_100));
    assert_eq!(rig.start_times(), [0, 30_000, 35_005, 36_010]);
}

#[test]
fn reopening_at_full_speed_releases_no_herd() {
    let mut rig = Rig::new(HostPolicy::new().unlimited_rate().in_flight(50).adapt(false));
    rig.assign(1..61);
    rig.answer(1, wait(429, secs(10)));
    for id in 2..51 {
        rig.answer(id, OK);
    }
    rig.run_until(ms(10_000));
    let mut in_flight = Vec::new();
    for round in 0..4 {
        rig.now = ms(10_000 + 100 * (round + 1));
        let out: Vec<u64> =
            rig.starts.iter().rev().take(rig.host.snapshot().in_flight).map(|s| s.1.lease.id.0).collect();
        in_flight.push(out.len());
        for id in out {
            rig.answer(id, OK);
        }
    }
    assert_eq!(in_flight[..2], [1, 2], "{in_flight:?}");
    assert!(in_flight[3] <= 8, "{in_flight:?}");
}

#[test]
fn an_actor_that_panics_during_a_hold_comes_back_held() {
    let mut rig = Rig::new(fast());
    rig.assign(1..4);
    rig.answer(1, wait(429, secs(30)));
    rig.run_until(ms(10_000));
    rig.hear(Input::Restarted);
    rig.run_until(ms(29_999));
    assert_eq!(rig.starts.len(), 1);
    rig.run_until(ms(30_000));
    assert_eq!(rig.starts.len(), 2);
}

#[test]
fn a_restart_counts_as_a_start() {
    let mut rig = Rig::new(HostPolicy::new().rate(per_second(1)).in_flight(4));
    rig.assign(1..4);
    rig.run_until(ms(900));
    rig.hear(Input::Restarted);
    rig.run_until(ms(2_000));
    assert_eq!(rig.start_times(), [0, 1_905]);
}

#[test]
fn an_outage_costs_no_attempt_and_few_probes() {
    let mut rig = Rig::new(HostPolicy::new().rate(per_minute(300)).in_flight(4));
    rig.assign(1..60);
    let outage = ms(4_000)..ms(24_000);
    let mut probes = 0;
    rig.serve(ms(120_000), Duration::from_millis(20), |at, _| {
        if outage.contains(&at) {
            probes += 1;
            return fault(Fault::Reset);
        }
        OK
    });
    assert!(probes <= 15, "{probes}");
    assert_eq!(rig.pages(), 59, "nothing is lost");
    let back = rig.starts.iter().map(|(at, _)| *at).find(|at| *at >= outage.end).unwrap();
    assert!(back.since(outage.end) <= secs(15), "{back:?}");
    let most = rig.delivered.iter().map(|(_, _, attempts)| *attempts).max().unwrap();
    assert!(most <= 2, "only the first failure was a URL's own");
}

#[test]
fn a_connection_that_fails_once_costs_no_page() {
    let mut rig = Rig::new(fast());
    rig.assign(1..2);
    let mut first = true;
    rig.serve(ms(60_000), Duration::from_millis(5), |_, _| {
        if std::mem::take(&mut first) { fault(Fault::Connect) } else { OK }
    });
    assert_eq!(rig.delivered, [(LeaseId(1), Delivery::Page, 2)], "the server saw both");
}

#[test]
fn one_url_that_always_resets_among_good_ones_ends() {
    let mut rig = Rig::new(fast());
    rig.assign(1..40);
    rig.serve(ms(120_000), Duration::from_millis(5), |_, start| {
        if start.lease.id == LeaseId(7) { fault(Fault::Reset) } else { OK }
    });
    let end = rig.delivered.iter().find(|(id, ..)| *id == LeaseId(7)).unwrap();
    assert_eq!((end.1, end.2), (Delivery::Failure(Reason::Reset), 4));
    assert_eq!(rig.pages(), 38);
    assert_eq!(rig.holds(), 0);
}

#[test]
fn a_host_that_is_never_reached_is_parked_and_its_urls_end() {
    let mut rig = Rig::new(fast());
    rig.assign(1..4);
    rig.serve(ms(120_000), Duration::from_millis(5), |_, _| fault(Fault::Connect));
    assert!(rig.events.contains(&HostEvent::Parked { reason: ParkReason::Strikes }));
    assert!(rig.starts.len() <= 4 + 2, "{}", rig.starts.len());
    let reasons: Vec<_> = rig.delivered.iter().map(|(_, delivery, _)| *delivery).collect();
    assert!(reasons.contains(&Delivery::Failure(Reason::Connect)));
    assert_eq!(rig.delivered.len(), 3);
    assert!(rig.passivated);
}

#[test]
fn a_give_up_becomes_a_retry_only_where_the_host_pays_and_it_may_be_repeated() {
    let refusal = |repeatable| Proposal {
        verdict: Verdict::GiveUp(Reason::Http5xx),
        hints: Hints::default(),
        repeatable,
    };
    let mut rig = Rig::new(fast());
    rig.assign(1..3);
    rig.run_until(ms(150));
    let outcome = Outcome::Answered(503);
    rig.hear(Input::Report { lease: LeaseId(1), outcome, proposal: refusal(false) });
    rig.hear(Input::Report { lease: LeaseId(2), outcome, proposal: refusal(true) });
    assert_eq!(rig.delivered, [(LeaseId(1), Delivery::Failure(Reason::Http5xx), 1)]);
    rig.run_for(secs(5));
    assert_eq!(rig.starts.len(), 3);
}

#[test]
fn a_name_that_does_not_exist_ends_its_url_at_once() {
    let mut rig = Rig::new(fast());
    rig.assign(1..2);
    let proposal =
        Proposal { verdict: Verdict::GiveUp(Reason::Dns), hints: Hints::default(), repeatable: true };
    rig.hear(Input::Report { lease: LeaseId(1), outcome: Outcome::Failed(Fault::NoSuchName), proposal });
    assert_eq!(rig.delivered, [(LeaseId(1), Delivery::Failure(Reason::Dns), 1)]);
}

#[test]
fn a_stale_connection_is_replaced_once_and_spends_the_budget() {
    let mut rig = Rig::new(fast());
    rig.assign(1..2);
    rig.answer(1, fault(Fault::StaleConnection));
    rig.run_until(ms(101));
    assert_eq!(rig.start_times(), [0, 100], "at once, but through the gate");
    assert_eq!(rig.starts[1].1.attempt, 1);
    rig.answer(1, fault(Fault::StaleConnection));
    rig.run_until(ms(1_100));
    assert_eq!(rig.starts.len(), 2, "the second time it can wait");
    rig.run_until(ms(3_200));
    assert_eq!(rig.starts[2].1.attempt, 3, "a connection may die of age, but not two in a row");
}

#[test]
fn a_host_that_refuses_by_resets_is_found_out_at_the_second_broken_connection() {
    let mut rig = Rig::new(fast());
    rig.assign(1..100);
    let closings = [ms(1_000)..ms(2_000), ms(6_000)..ms(7_000)];
    let mut first_probes = [0, 0];
    let mut kept_alive = false;
    rig.serve(ms(60_000), Duration::from_millis(5), |at, _| {
        let broken = if kept_alive { Fault::StaleConnection } else { Fault::Reset };
        let closing = closings.iter().position(|closing| closing.contains(&at));
        kept_alive = closing.is_none();
        let Some(closing) = closing else { return OK };
        first_probes[closing] += usize::from(at.since(closings[closing].start) < ms(600).since(ms(0)));
        fault(broken)
    });
    assert_eq!(first_probes, [2, 2], "a connection may die of age, but not two in a row");
    assert_eq!(rig.pages(), 99, "nothing is lost");
    let most = rig.delivered.iter().map(|(_, _, attempts)| *attempts).max().unwrap();
    assert!(most <= 2, "only the first failure was a URL's own");
}

#[test]
fn connections_that_are_closed_together_close_no_host() {
    let mut rig = Rig::new(fast().in_flight(4));
    rig.assign(1..60);
    // It broke connections once, and later starts anew with three of them under way.
    let outage = ms(500)..ms(700);
    let restart = ms(6_000)..ms(6_250);
    rig.serve(ms(60_000), Duration::from_millis(350), |at, _| {
        if outage.contains(&at) {
            fault(Fault::Reset)
        } else if restart.contains(&at) {
            fault(Fault::StaleConnection)
        } else {
            OK
        }
    });
    assert_eq!(rig.holds(), 1, "{:?}", rig.events);
    assert_eq!(rig.pages(), 59);
}

#[test]
fn a_lost_lease_comes_back_and_says_so() {
    let mut rig = Rig::new(fast());
    rig.assign(1..2);
    rig.run_until(ms(34_999));
    assert_eq!(rig.starts.len(), 1);
    rig.run_until(ms(36_100));
    assert_eq!(rig.starts.len(), 2);
    assert!(rig.starts[1].1.resent, "the request may have been carried out");
    assert_eq!(rig.starts[1].1.attempt, 1);
    rig.answer(1, OK);
    rig.answer(1, OK);
    assert_eq!(rig.delivered.len(), 1, "a late report means nothing");
}

#[test]
fn a_distant_retry_goes_back_to_the_store() {
    let mut rig = Rig::new(fast());
    rig.assign(1..2);
    let proposal =
        Proposal { verdict: Verdict::Retry { after: secs(61) }, hints: Hints::default(), repeatable: true };
    rig.hear(Input::Report { lease: LeaseId(1), outcome: Outcome::Answered(500), proposal });
    assert_eq!(rig.settled, [(LeaseId(1), Ending::Retry { due: ms(61_000), attempts: Attempts::of(1) })]);
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

#[test]
fn a_slot_that_comes_too_late_is_handed_back() {
    let now = ms(0);
    let mut host = HostState::new(fast(), RulesMode::Off, HostLimits::default(), 1, now);
    host.handle(now, Input::Assign(vec![lease(1)]));
    assert_eq!(host.poll(now), Some(Output::AskSlot));
    host.handle(now, Input::Disallowed(LeaseId(1)));
    host.handle(now, Input::Granted);
    assert!(matches!(
        host.poll(now),
        Some(Output::Deliver { delivery: Delivery::Failure(Reason::Robots), .. })
    ));
    assert_eq!(host.poll(now), Some(Output::ReturnSlot));
}

#[test]
fn rules_come_first_and_their_crawl_delay_is_a_floor() {
    let mut rig = Rig::with_rules(fast(), RulesMode::Fetch);
    rig.assign(1..4);
    assert_eq!((rig.rules_starts.len(), rig.starts.len()), (1, 0));
    rig.run_until(ms(50));
    rig.answer_rules(RulesAnswer::Known { crawl_delay: Some(secs(2)), expires_in: secs(3_600) });
    rig.run_until(ms(5_000));
    assert_eq!(rig.start_times(), [2_010, 4_020]);
}

#[test]
fn a_quota_that_robots_txt_declares_spent_is_kept_to() {
    let spent = Quota { limit: Some(10), remaining: 0, reset: secs(60), window: None };
    let hints = Hints { quota: Some(spent), retry_after: None };
    let bad = status(500);
    let known = RulesAnswer::Known { crawl_delay: None, expires_in: secs(3_600) };
    let unavailable =
        RulesAnswer::Unavailable { outcome: bad.outcome, proposal: rig::propose(1, quota(500, spent)) };
    for answer in [known, RulesAnswer::Again, RulesAnswer::Elsewhere { within: secs(90) }, unavailable] {
        let mut rig = Rig::with_rules(fast(), RulesMode::Fetch);
        rig.assign(1..4);
        rig.answer_rules_with(answer, hints);
        rig.run_until(ms(59_000));
        assert_eq!((rig.rules_starts.len(), rig.starts.len()), (1, 0), "{answer:?}");
        // What another host says of its own quota is not about this one.
        rig.answer_rules_with(known, Hints { quota: Some(Quota { reset: secs(600), ..spent }), ..hints });
        rig.run_until(ms(70_000));
        assert!(rig.rules_starts.len() + rig.starts.len() > 1, "{answer:?}");
    }
}

#[test]
fn rules_that_cannot_be_had_close_the_host() {
    let mut rig = Rig::with_rules(fast(), RulesMode::Fetch);
    rig.assign(1..4);
    for _ in 0..3 {
        let answer = status(500);
        let proposal = rig::propose(1, answer);
        rig.answer_rules(RulesAnswer::Unavailable { outcome: answer.outcome, proposal });
        rig.run_for(secs(20));
    }
    assert_eq!(rig.starts.len(), 0);
    assert_eq!(rig.rules_starts.len(), 4);
    rig.answer_rules(RulesAnswer::Known { crawl_delay: None, expires_in: secs(3_600) });
    rig.run_for(secs(1));
    assert_eq!(rig.starts.len(), 3);
}

#[test]
fn what_comes_late_for_a_host_that_was_never_reached_ends_for_the_same_reason() {
    for (refused, reason) in
        [(Fault::BlockedAddress, Reason::BlockedAddress), (Fault::Timeout, Reason::Timeout)]
    {
        let mut rig = Rig::with_rules(fast(), RulesMode::Fetch);
        rig.assign(1..2);
        while rig.delivered.is_empty() {
            let answer = fault(refused);
            let proposal = rig::propose(1, answer);
            rig.answer_rules(RulesAnswer::Unavailable { outcome: answer.outcome, proposal });
            rig.run_for(secs(20));
        }
        rig.settle_all();
        rig.run_for(secs(60));
        rig.passivate();
        rig.assign(2..3);
        while rig.delivered.len() < 2 {
            let answer = fault(refused);
            let proposal = rig::propose(1, answer);
            rig.answer_rules(RulesAnswer::Unavailable { outcome: answer.outcome, proposal });
            rig.run_for(secs(20));
        }
        let reasons: Vec<_> = rig.delivered.iter().map(|(_, delivery, _)| *delivery).collect();
        assert_eq!(reasons, [Delivery::Failure(reason); 2]);
    }
}

#[test]
fn a_long_crawl_delay_is_clamped_and_said() {
    let mut rig = Rig::with_rules(fast(), RulesMode::Fetch);
    rig.assign(1..2);
    rig.answer_rules(RulesAnswer::Known { crawl_delay: Some(secs(7_200)), expires_in: secs(3_600) });
    let event = HostEvent::CrawlDelayClamped { asked: secs(7_200), kept: secs(60) };
    assert!(rig.events.contains(&event));
    rig.run_until(ms(60_400));
    assert_eq!(rig.starts.len(), 1);
}

#[test]
fn robots_txt_that_redirects_for_ever_counts_as_absent() {
    let mut rig = Rig::with_rules(fast(), RulesMode::Fetch);
    rig.assign(1..2);
    while rig.starts.is_empty() && rig.rules_starts.len() < 20 {
        rig.answer_rules(RulesAnswer::Again);
        rig.run_for(secs(1));
    }
    assert_eq!(rig.rules_starts.len(), 6);
}

#[test]
fn rules_that_are_elsewhere_are_waited_for_and_an_errand_of_others_is_not_kept_waiting() {
    let mut rig = Rig::with_rules(fast(), RulesMode::Fetch);
    rig.assign(1..3);
    rig.answer_rules(RulesAnswer::Elsewhere { within: secs(60) });
    rig.run_for(secs(10));
    assert_eq!((rig.rules_starts.len(), rig.starts.len()), (1, 0));
    let mut errand = rig::lease(9);
    errand.id = LeaseId::errand(9);
    rig.hear(Input::Assign(vec![errand.clone()]));
    rig.run_for(secs(1));
    assert_eq!(rig.starts.iter().map(|(_, start)| start.lease.id).collect::<Vec<_>>(), [errand.id]);
    rig.answer_rules(RulesAnswer::Known { crawl_delay: None, expires_in: secs(3_600) });
    rig.run_for(secs(1));
    assert_eq!((rig.rules_starts.len(), rig.starts.len()), (1, 3));
}

#[test]
fn rules_that_never_come_from_elsewhere_close_the_host_with_growing_waits_until_it_is_parked() {
    for said in [true, false] {
        let mut rig = Rig::with_rules(fast(), RulesMode::Fetch);
        rig.assign(1..3);
        let mut rounds = Vec::new();
        while rig.delivered.is_empty() && rounds.len() < 30 {
            let rounds_before = rig.rules_starts.len();
            rounds.push(rig.now);
            rig.answer_rules(RulesAnswer::Elsewhere { within: secs(20) });
            if said {
                let answer = status(500);
                let proposal = rig::propose(1, answer);
                rig.answer_rules(RulesAnswer::Unavailable { outcome: answer.outcome, proposal });
            }
            while rig.rules_starts.len() == rounds_before && rig.delivered.is_empty() {
                rig.run_for(secs(1));
            }
        }
        assert_eq!(rig.rules_starts.len(), 12, "the strikes that park a host");
        let waits: Vec<_> = rounds.windows(2).map(|pair| pair[1].since(pair[0])).collect();
        assert!(waits[waits.len() - 1] >= waits[0] * 4 || !said, "{waits:?}");
        let closed = Delivery::Failure(Reason::HostClosed);
        assert!(rig.delivered.iter().all(|(_, delivery, attempts)| (*delivery, *attempts) == (closed, 0)));
        assert_eq!(rig.delivered.len(), 2);
    }
}

#[test]
fn rules_whose_redirect_leads_to_a_failure_close_the_host_with_growing_waits_too() {
    let mut rig = Rig::with_rules(fast(), RulesMode::Fetch);
    rig.assign(1..3);
    while rig.delivered.is_empty() && rig.rules_starts.len() < 60 {
        let asked = rig.rules_starts.len();
        rig.answer_rules(RulesAnswer::Again);
        rig.run_for(secs(1));
        assert_eq!(rig.rules_starts.len(), asked + 1, "the hop follows");
        let answer = status(500);
        let proposal = rig::propose(1, answer);
        rig.answer_rules(RulesAnswer::Unavailable { outcome: answer.outcome, proposal });
        while rig.rules_starts.len() == asked + 1 && rig.delivered.is_empty() {
            rig.run_for(secs(1));
        }
    }
    assert_eq!(rig.rules_starts.len(), 24, "two for each of the strikes that park a host");
    assert!(rig.now > ms(60_000), "{:?}", rig.now);
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
    // The grant was on its way.
    host.handle(ms(1), Input::Granted);
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
    // 20 s (a second may be rounding) in ten parts.
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

// A host with a planted bug carries it with it: what counts is the one that users run.
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
