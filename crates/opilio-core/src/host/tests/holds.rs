//! Tests refusals and outages: how long a host is held, when it is probed, and when it is parked.

use super::*;

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
    // A `Retry-After` of zero, in the past or unreadable is read as no hint at all, so the host gets a 429
    // without a wait.
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
