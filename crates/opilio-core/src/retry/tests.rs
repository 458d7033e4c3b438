//! Tests of the verdicts that the fetcher proposes.

use super::*;
use proptest::prelude::*;

fn attempt(attempt: u16) -> RequestFacts {
    RequestFacts { repeatable: true, attempt, elapsed: Duration::ZERO, retries: None, failed_before: false }
}

fn verdict(policy: &RetryPolicy, request: &RequestFacts, outcome: Outcome) -> Verdict {
    policy.propose(request, outcome, Hints::default(), 1.0).verdict
}

fn secs(secs: u64) -> Verdict {
    Verdict::Retry { after: Duration::from_secs(secs) }
}

const BAD_GATEWAY: Outcome = Outcome::Answered(502);
const GONE: Verdict = Verdict::GiveUp(Reason::Http5xx);

#[test]
fn a_rule_without_a_wait_of_its_own_waits_as_the_policy_does() {
    let slow = Wait::fixed(Duration::from_secs(45));
    for policy in [
        RetryPolicy::default().wait(slow.clone()).on(OutcomeClass::ServerError, Rule::retries(9)),
        RetryPolicy::default().on(OutcomeClass::ServerError, Rule::retries(9)).wait(slow),
    ] {
        let facts = RequestFacts {
            repeatable: true,
            attempt: 1,
            elapsed: Duration::ZERO,
            retries: None,
            failed_before: false,
        };
        let proposal = policy.propose(&facts, Outcome::Answered(500), Hints::default(), 1.0);
        assert_eq!(proposal.verdict, Verdict::Retry { after: Duration::from_secs(45) });
    }
}

#[test]
fn waits_double_until_the_attempts_are_used_up() {
    let policy = RetryPolicy::default();
    let verdicts: Vec<_> = (1..=4).map(|n| verdict(&policy, &attempt(n), BAD_GATEWAY)).collect();
    assert_eq!(verdicts, [secs(1), secs(2), secs(4), GONE]);
    let patient = RetryPolicy::default().retries(100);
    assert_eq!(verdict(&patient, &attempt(99), BAD_GATEWAY), secs(60));
    assert_eq!(verdict(&RetryPolicy::none(), &attempt(1), BAD_GATEWAY), GONE);
}

#[test]
fn a_request_may_have_its_own_number_of_retries() {
    let policy = RetryPolicy::default();
    let once = RequestFacts { retries: Some(0), ..attempt(1) };
    assert_eq!(verdict(&policy, &once, BAD_GATEWAY), GONE);
    let often = RequestFacts { retries: Some(9), ..attempt(9) };
    assert_eq!(verdict(&policy, &often, BAD_GATEWAY), secs(60));
}

#[test]
fn no_attempt_begins_after_the_total_time() {
    let policy = RetryPolicy::default().retries(100).stop_after(Duration::from_secs(10));
    let at = |elapsed| RequestFacts { elapsed: Duration::from_secs(elapsed), ..attempt(3) };
    assert_eq!(verdict(&policy, &at(6), BAD_GATEWAY), secs(4));
    assert_eq!(verdict(&policy, &at(7), BAD_GATEWAY), GONE);
}

#[test]
fn rules_are_kept_per_class_and_the_exact_status_goes_first() {
    let policy = RetryPolicy::default()
        .on(OutcomeClass::ServerError, Rule::retries(1).wait(Wait::fixed(Duration::from_secs(7))))
        .on(OutcomeClass::Status(502), Rule::never())
        .on(
            OutcomeClass::Status(404),
            Rule::retries(1).wait(Wait::custom(|n| Duration::from_secs(u64::from(n) * 30))),
        )
        .on(OutcomeClass::Timeout, Rule::retries(9))
        .on(OutcomeClass::Timeout, Rule::never());
    assert_eq!(verdict(&policy, &attempt(1), Outcome::Answered(500)), secs(7));
    assert_eq!(verdict(&policy, &attempt(1), BAD_GATEWAY), GONE);
    assert_eq!(verdict(&policy, &attempt(1), Outcome::Answered(404)), secs(30));
    assert_eq!(verdict(&policy, &attempt(1), Outcome::Answered(403)), Verdict::GiveUp(Reason::Http4xx));
    assert_eq!(
        verdict(&policy, &attempt(1), Outcome::Failed(Fault::Timeout)),
        Verdict::GiveUp(Reason::Timeout)
    );
    assert_eq!(verdict(&policy, &attempt(1), Outcome::Failed(Fault::Reset)), secs(1));
}

#[test]
fn refusals_use_up_attempts_like_any_failure() {
    for status in [429, 503] {
        let outcome = Outcome::Answered(status);
        let gone = Verdict::GiveUp(Reason::of_status(status));
        let verdicts: Vec<_> =
            (1..=4).map(|n| verdict(&RetryPolicy::default(), &attempt(n), outcome)).collect();
        assert_eq!(verdicts, [secs(1), secs(2), secs(4), gone]);
        assert_eq!(verdict(&RetryPolicy::none(), &attempt(1), outcome), gone);
        let stated = |attempt, secs| {
            let hints = Hints { retry_after: Some(Duration::from_secs(secs)), ..Hints::default() };
            RetryPolicy::default().propose(&attempt, outcome, hints, 1.0).verdict
        };
        assert_eq!(stated(attempt(1), 7), secs(7));
        assert_eq!(stated(attempt(3), 1), secs(1), "no backoff on top of what was stated");
        assert_eq!(stated(attempt(4), 1), gone);
        let strict = RetryPolicy::default().on(OutcomeClass::Refused, Rule::never());
        assert_eq!(verdict(&strict, &attempt(1), outcome), Verdict::GiveUp(Reason::of_status(status)));
    }
}

#[test]
fn what_counts_as_a_refusal_is_retried_as_one() {
    for (status, reason) in [
        (403, Reason::Http4xx),
        (404, Reason::Http4xx),
        (500, Reason::Http5xx),
        (200, Reason::Refused),
        (302, Reason::Refused),
        (999, Reason::Refused),
    ] {
        let outcome = Outcome::Refused(status);
        assert_eq!(outcome.blame(), Blame::Refusal);
        let verdicts: Vec<_> =
            (1..=4).map(|n| verdict(&RetryPolicy::default(), &attempt(n), outcome)).collect();
        assert_eq!(verdicts, [secs(1), secs(2), secs(4), Verdict::GiveUp(reason)], "{status}");
        let policy = RetryPolicy::default().on(OutcomeClass::Refused, Rule::never());
        assert_eq!(verdict(&policy, &attempt(1), outcome), Verdict::GiveUp(reason));
    }
}

#[test]
fn a_status_that_is_named_is_worth_a_retry() {
    let policy = RetryPolicy::default().retry_statuses([202, 404, 501, 503, 999]);
    for (status, reason) in
        [(404, Reason::Http4xx), (501, Reason::Http5xx), (202, Reason::HttpOther), (999, Reason::HttpOther)]
    {
        let outcome = Outcome::Answered(status);
        let verdicts: Vec<_> = (1..=4).map(|n| verdict(&policy, &attempt(n), outcome)).collect();
        assert_eq!(verdicts, [secs(1), secs(2), secs(4), Verdict::GiveUp(reason)], "{status}");
    }
    // The rule affects no other status, and no refusal.
    assert_eq!(verdict(&policy, &attempt(1), Outcome::Answered(403)), Verdict::GiveUp(Reason::Http4xx));
    assert_eq!(verdict(&policy, &attempt(1), Outcome::Answered(200)), Verdict::Done);
    let strict = policy.clone().on(OutcomeClass::Refused, Rule::never());
    assert_eq!(verdict(&strict, &attempt(1), Outcome::Answered(503)), Verdict::GiveUp(Reason::Http5xx));
    let own =
        policy.on(OutcomeClass::Status(404), Rule::retries(1).wait(Wait::fixed(Duration::from_secs(9))));
    assert_eq!(verdict(&own, &attempt(1), Outcome::Answered(404)), secs(9));
    assert_eq!(verdict(&own, &attempt(2), Outcome::Answered(404)), Verdict::GiveUp(Reason::Http4xx));
}

#[test]
fn a_failure_that_states_a_wait_is_not_repeated_before() {
    let hints = |secs| Hints { retry_after: Some(Duration::from_secs(secs)), ..Hints::default() };
    let policy = RetryPolicy::default();
    assert_eq!(policy.propose(&attempt(1), BAD_GATEWAY, hints(20), 0.0).verdict, secs(20));
    assert_eq!(policy.propose(&attempt(1), BAD_GATEWAY, hints(86_400), 0.0).verdict, secs(3_600));
}

#[test]
fn a_post_is_repeated_only_where_the_server_cannot_have_acted_on_it() {
    let post = RequestFacts { repeatable: false, ..attempt(1) };
    let policy = RetryPolicy::default().on(OutcomeClass::Status(404), Rule::retries(1));
    for outcome in [
        Outcome::Answered(408),
        Outcome::Answered(425),
        Outcome::Answered(429),
        Outcome::Failed(Fault::Dns),
        Outcome::Failed(Fault::Connect),
        Outcome::Failed(Fault::Tls),
        Outcome::Failed(Fault::Ours),
    ] {
        let proposal = policy.propose(&post, outcome, Hints::default(), 0.5);
        assert!(matches!(proposal.verdict, Verdict::Retry { .. }) && proposal.repeatable, "{outcome:?}");
    }
    for outcome in [
        Outcome::Answered(404),
        Outcome::Answered(500),
        Outcome::Answered(503),
        Outcome::Failed(Fault::Timeout),
        Outcome::Failed(Fault::Reset),
        Outcome::Failed(Fault::Protocol),
        Outcome::Failed(Fault::StaleConnection),
        Outcome::Failed(Fault::Lost),
    ] {
        let proposal = policy.propose(&post, outcome, Hints::default(), 0.5);
        assert!(matches!(proposal.verdict, Verdict::GiveUp(_)) && !proposal.repeatable, "{outcome:?}");
    }
    let invited = Hints { retry_after: Some(Duration::from_secs(3)), ..Hints::default() };
    assert!(policy.propose(&post, Outcome::Answered(503), invited, 0.5).repeatable);
}

proptest! {
    #[test]
    fn jitter_is_full_and_never_beyond_the_ceiling(n in 1u16..1_000, random in 0.0f64..1.0) {
        let policy = RetryPolicy::default().retries(u16::MAX);
        let Verdict::Retry { after } = policy.propose(&attempt(n), BAD_GATEWAY, Hints::default(), random).verdict
        else { panic!("attempts are left") };
        let ceiling = Backoff::default().ceiling(u32::from(n - 1));
        prop_assert!(after <= ceiling);
        prop_assert!((after.as_secs_f64() - ceiling.as_secs_f64() * random).abs() < 1e-6);
    }
}
