//! Tests what happens to a URL after a failure: which attempts count, and whether a retry waits at the host
//! or in the store.

use super::*;

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
    // The server broke connections once. Later it is restarted while three requests are in flight.
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
