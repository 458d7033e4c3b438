//! Tests robots.txt: it is fetched before all else, and a host whose rules cannot be fetched is closed.

use super::*;

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
        // A quota that another host states for itself must not limit this host.
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
