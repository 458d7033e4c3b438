//! Makes a verdict of an outcome: whether a URL is tried again, and when at the earliest.
//!
//! A pure function of (policy, request, outcome, hints, random number). Its result is a *proposal*: the host
//! knows its other URLs. If the host itself is at fault, it may turn a `GiveUp` into a `Retry`, or retry
//! later, unless the proposal says that the request is not repeatable.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::outcome::{Blame, Fault, Outcome, Reason};
use crate::policy::Backoff;
use crate::statuses::Statuses;
use crate::verdict::{Hints, Proposal, Verdict};

/// Whether and when failed attempts are repeated.
///
/// The default is three retries, hence four attempts, with waits of full jitter below 1 s, 2 s, 4 s and so
/// on, up to 60 s. A failure that turns out to be the host's fault (an outage, a rate limit) uses up no
/// attempt of a URL.
///
/// ```
/// # mod opilio { pub use opilio_core as core; }
/// use std::time::Duration;
/// use opilio::core::retry::{OutcomeClass, RetryPolicy, Rule, Wait};
///
/// let policy = RetryPolicy::default()
///     .retries(5)
///     .stop_after(Duration::from_secs(600))
///     .on(OutcomeClass::Timeout, Rule::retries(1).wait(Wait::fixed(Duration::from_secs(10))))
///     .on(OutcomeClass::Status(404), Rule::retries(1))
///     .retry_statuses([520, 999]);
/// # let _ = policy;
/// ```
#[derive(Clone, Debug)]
pub struct RetryPolicy {
    /// Has no wait of its own.
    rule: Rule,
    wait: Wait,
    overrides: Vec<(OutcomeClass, Rule)>,
    named: Statuses,
}

/// The kinds of outcome that a policy can tell apart.
///
/// Successes and redirects belong to no class, nor do outcomes that a retry cannot change: a name that does
/// not exist, an invalid certificate, a blocked address, a body beyond the limit.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum OutcomeClass {
    /// Exactly this status; takes precedence over the broader classes.
    Status(u16),
    /// 429, 503, and statuses that count as refusals.
    Refused,
    /// 408, 425, and the 5xx except 501, 503, 505 and 511.
    ServerError,
    /// Other 4xx, 501, 505 and 511: retried only by a rule of their own.
    Rejected,
    /// A deadline passed.
    Timeout,
    /// The connection or the framing broke: reset, short body, bad chunks.
    Broken,
    /// Resolving, connecting or the TLS handshake failed, or the proxy failed: nothing reached the host.
    Unreachable,
}

/// The rule for one class of outcomes: stops after n retries or a total time, and waits in between.
#[derive(Clone, Debug)]
pub struct Rule {
    retries: u16,
    total_max: Option<Duration>,
    /// `None` is the policy's wait.
    wait: Option<Wait>,
}

/// How long to wait before the next attempt.
#[derive(Clone)]
pub enum Wait {
    /// Between zero and `min · 2^(attempt − 1)`, at most `max`: full jitter.
    Exponential(Backoff),
    /// Always the same.
    Fixed(Duration),
    /// By the number of the attempt that failed, from 1 on.
    Custom(Arc<dyn Fn(u16) -> Duration + Send + Sync>),
}

/// The facts about a request that the decision needs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RequestFacts {
    /// Sending it twice does no harm: its method is idempotent (RFC 9110 §9.2.2) or the request says so.
    pub repeatable: bool,
    /// 1-based try of this URL.
    pub attempt: u16,
    /// Time since the first attempt began.
    pub elapsed: Duration,
    /// Replaces the policy's number of retries, for the classes that are retried at all.
    pub retries: Option<u16>,
    /// It failed before, or a dead connection was replaced for it. Then another dead connection is no
    /// accident of age.
    pub failed_before: bool,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            rule: Rule::retries(3),
            wait: Wait::Exponential(Backoff::default()),
            overrides: Vec::new(),
            named: Statuses::default(),
        }
    }
}

impl RetryPolicy {
    /// One attempt only, unless its failure was the host's fault.
    #[must_use]
    pub fn none() -> Self {
        Self::default().retries(0)
    }

    /// This many retries after the first attempt.
    #[must_use]
    pub fn retries(mut self, retries: u16) -> Self {
        self.rule.retries = retries;
        self
    }

    /// No attempt begins later than this after the first one, within one stay of the URL at its host.
    ///
    /// A wait of more than a minute is spent in the store, and a crawl that stops returns its URLs there. The
    /// attempts count on after that, but the time counts anew.
    #[must_use]
    pub fn stop_after(mut self, total: Duration) -> Self {
        self.rule.total_max = Some(total);
        self
    }

    /// Waits like this between attempts.
    #[must_use]
    pub fn wait(mut self, wait: Wait) -> Self {
        self.wait = wait;
        self
    }

    /// Sets another rule for one class of outcomes; the last rule for a class applies.
    #[must_use]
    pub fn on(mut self, class: OutcomeClass, rule: Rule) -> Self {
        self.overrides.retain(|(other, _)| *other != class);
        self.overrides.push((class, rule));
        self
    }

    /// Retries answers with these statuses even if they are successes or permanent failures: a 404 of a page
    /// that is still being made, a 202 or a 999. The rule for the status applies, else the general one.
    #[must_use]
    pub fn retry_statuses(mut self, statuses: impl IntoIterator<Item = u16>) -> Self {
        self.named = statuses.into_iter().collect();
        self
    }

    /// The statuses that the user named as worth a retry.
    #[must_use]
    pub fn named_statuses(&self) -> &Statuses {
        &self.named
    }

    /// Proposes a verdict for an outcome.
    ///
    /// `random` is uniform in `0..1`; with 1 every jittered wait is the longest that it can be.
    #[must_use]
    pub fn propose(&self, request: &RequestFacts, outcome: Outcome, hints: Hints, random: f64) -> Proposal {
        let repeatable = request.repeatable || was_not_acted_on(outcome, hints);
        let broken = outcome == Outcome::Failed(Fault::StaleConnection) && request.failed_before;
        let outcome = if broken { Outcome::Failed(Fault::Reset) } else { outcome };
        let verdict = match self.course(outcome) {
            Course::Done => Verdict::Done,
            Course::Redirect => Verdict::Redirect,
            Course::End(reason) => Verdict::GiveUp(reason),
            Course::Again(reason) if !repeatable => Verdict::GiveUp(reason),
            // Uses no attempt and blames no one; only the budget spaces it.
            Course::Again(_) => Verdict::Retry { after: Duration::ZERO },
            Course::ByRule { reason, .. } if !repeatable => Verdict::GiveUp(reason),
            Course::ByRule { class, reason } => self.by_rule(request, outcome, class, reason, hints, random),
        };
        Proposal { verdict, hints, repeatable }
    }

    fn course(&self, outcome: Outcome) -> Course {
        match outcome {
            // A status that is a refusal by itself stays one.
            Outcome::Answered(status) | Outcome::Redirected(status)
                if self.named.contains(status) && outcome.blame() != Blame::Refusal =>
            {
                Course::ByRule { class: OutcomeClass::Status(status), reason: outcome.reason() }
            }
            _ => Course::of(outcome),
        }
    }

    fn by_rule(
        &self,
        request: &RequestFacts,
        outcome: Outcome,
        class: OutcomeClass,
        reason: Reason,
        hints: Hints,
        random: f64,
    ) -> Verdict {
        let own = self.rule_for(outcome, class);
        match (class, own) {
            (OutcomeClass::Rejected, None) => Verdict::GiveUp(reason),
            // The refusal states its own wait, so no backoff comes on top.
            (OutcomeClass::Refused, None) if hints.retry_after.is_some() => {
                self.rule.decide(&Wait::fixed(Duration::ZERO), request, reason, hints, random)
            }
            (_, own) => own.unwrap_or(&self.rule).decide(&self.wait, request, reason, hints, random),
        }
    }

    fn rule_for(&self, outcome: Outcome, class: OutcomeClass) -> Option<&Rule> {
        let find = |class| self.overrides.iter().find(|(other, _)| *other == class).map(|(_, rule)| rule);
        let exact = match outcome {
            Outcome::Answered(status) | Outcome::Refused(status) => find(OutcomeClass::Status(status)),
            Outcome::Redirected(_) | Outcome::Failed(_) => None,
        };
        exact.or_else(|| find(class))
    }
}

impl Rule {
    /// Gives up at the first failure.
    #[must_use]
    pub fn never() -> Self {
        Self::retries(0)
    }

    /// This many retries, with the policy's wait and no bound on the total time.
    #[must_use]
    pub fn retries(retries: u16) -> Self {
        Self { retries, total_max: None, wait: None }
    }

    /// No attempt begins later than this after the first one, within one stay of the URL at its host.
    ///
    /// A wait of more than a minute is spent in the store, and a crawl that stops returns its URLs there. The
    /// attempts count on after that, but the time counts anew.
    #[must_use]
    pub fn stop_after(mut self, total: Duration) -> Self {
        self.total_max = Some(total);
        self
    }

    /// Waits like this between attempts instead of the policy's wait.
    #[must_use]
    pub fn wait(mut self, wait: Wait) -> Self {
        self.wait = Some(wait);
        self
    }

    /// Decides; `wait` is the policy's wait.
    fn decide(
        &self,
        wait: &Wait,
        request: &RequestFacts,
        reason: Reason,
        hints: Hints,
        random: f64,
    ) -> Verdict {
        if request.attempt > request.retries.unwrap_or(self.retries) {
            return Verdict::GiveUp(reason);
        }
        let stated = hints.retry_after.unwrap_or_default().min(STATED_MAX);
        let wait = self.wait.as_ref().unwrap_or(wait);
        let after = wait.before_retry(request.attempt, random).max(stated);
        match self.total_max {
            Some(total) if request.elapsed.saturating_add(after) > total => Verdict::GiveUp(reason),
            Some(_) | None => Verdict::Retry { after },
        }
    }
}

impl Wait {
    /// Full jitter between zero and a ceiling that doubles from `min` up to `max`.
    #[must_use]
    pub fn exponential(min: Duration, max: Duration) -> Self {
        Self::Exponential(Backoff { min, max })
    }

    /// Always the same.
    #[must_use]
    pub fn fixed(wait: Duration) -> Self {
        Self::Fixed(wait)
    }

    /// A wait computed from the number of the failed attempt, from 1 on.
    #[must_use]
    pub fn custom(wait: impl Fn(u16) -> Duration + Send + Sync + 'static) -> Self {
        Self::Custom(Arc::new(wait))
    }

    fn before_retry(&self, attempt: u16, random: f64) -> Duration {
        match self {
            Self::Exponential(backoff) => {
                // At most the ceiling, so the product cannot overflow.
                backoff.ceiling(u32::from(attempt.saturating_sub(1))).mul_f64(random.clamp(0.0, 1.0))
            }
            Self::Fixed(wait) => *wait,
            Self::Custom(wait) => wait(attempt),
        }
    }
}

impl fmt::Debug for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exponential(backoff) => f.debug_tuple("Exponential").field(backoff).finish(),
            Self::Fixed(wait) => f.debug_tuple("Fixed").field(wait).finish(),
            Self::Custom(_) => f.write_str("Custom(…)"),
        }
    }
}

/// The first distinction, before any policy.
enum Course {
    Done,
    Redirect,
    /// A retry cannot change this outcome.
    End(Reason),
    /// Repeated at once and free of charge, if the request is repeatable.
    Again(Reason),
    ByRule {
        class: OutcomeClass,
        reason: Reason,
    },
}

impl Course {
    fn of(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Answered(status) => Self::of_status(status),
            Outcome::Refused(_) => Self::ByRule { class: OutcomeClass::Refused, reason: outcome.reason() },
            Outcome::Redirected(_) => Self::Redirect,
            Outcome::Failed(fault) => Self::of_fault(fault),
        }
    }

    fn of_status(status: u16) -> Self {
        let class = match status {
            200..=299 | 304 => return Self::Done,
            300..=399 => return Self::End(Reason::BadRedirect),
            429 | 503 => OutcomeClass::Refused,
            408 | 425 => OutcomeClass::ServerError,
            400..=499 | 501 | 505 | 511 => OutcomeClass::Rejected,
            500..=599 => OutcomeClass::ServerError,
            // A 1xx is not a final answer.
            _ => return Self::End(Fault::BadStatus.reason()),
        };
        Self::ByRule { class, reason: Reason::of_status(status) }
    }

    fn of_fault(fault: Fault) -> Self {
        let reason = fault.reason();
        let class = match fault {
            Fault::Dns | Fault::Connect | Fault::Tls | Fault::Proxy => OutcomeClass::Unreachable,
            Fault::Timeout => OutcomeClass::Timeout,
            Fault::Reset | Fault::Protocol | Fault::Malformed => OutcomeClass::Broken,
            Fault::StaleConnection | Fault::Ours | Fault::Lost => {
                return Self::Again(reason);
            }
            Fault::NoSuchName
            | Fault::Certificate
            | Fault::BadStatus
            | Fault::BodyTooLarge
            | Fault::DecompressionBomb
            | Fault::Undecodable
            | Fault::TooManyHeaders
            | Fault::BadRedirect
            | Fault::RedirectLoop
            | Fault::TooManyRedirects
            | Fault::BlockedAddress
            | Fault::UnsupportedScheme
            | Fault::NotText
            | Fault::Middleware
            | Fault::NoProxy => return Self::End(reason),
        };
        Self::ByRule { class, reason }
    }
}

/// Whether the server cannot have acted on the request, so that even a POST may be sent again.
///
/// 408 and 425 say that the request was not processed (RFC 9110 §15.5.9, RFC 8470 §5.2). 429 says that it was
/// refused (RFC 6585 §4), and so does a status that the user declared a refusal. A 503 says so only with a
/// `Retry-After`; a bare one may come from a gateway that lost its backend half-way. A stale connection may
/// have broken after the request was read (RFC 9112 §9.3.1).
fn was_not_acted_on(outcome: Outcome, hints: Hints) -> bool {
    match outcome {
        Outcome::Answered(408 | 425 | 429) => true,
        Outcome::Answered(503) | Outcome::Refused(500..=599) => hints.retry_after.is_some(),
        Outcome::Refused(_) => true,
        Outcome::Answered(_) | Outcome::Redirected(_) => false,
        Outcome::Failed(fault) => matches!(
            fault,
            Fault::Dns
                | Fault::NoSuchName
                | Fault::Connect
                | Fault::Tls
                | Fault::Certificate
                | Fault::BlockedAddress
                | Fault::UnsupportedScheme
                | Fault::Proxy
                | Fault::NoProxy
                | Fault::Ours
        ),
    }
}

/// A URL waits at most this long for a stated time. The host's hold has a limit of its own.
const STATED_MAX: Duration = Duration::from_secs(3_600);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn attempt(attempt: u16) -> RequestFacts {
        RequestFacts {
            repeatable: true,
            attempt,
            elapsed: Duration::ZERO,
            retries: None,
            failed_before: false,
        }
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
        for (status, reason) in [
            (404, Reason::Http4xx),
            (501, Reason::Http5xx),
            (202, Reason::HttpOther),
            (999, Reason::HttpOther),
        ] {
            let outcome = Outcome::Answered(status);
            let verdicts: Vec<_> = (1..=4).map(|n| verdict(&policy, &attempt(n), outcome)).collect();
            assert_eq!(verdicts, [secs(1), secs(2), secs(4), Verdict::GiveUp(reason)], "{status}");
        }
        // Neighbouring statuses and refusals are not affected.
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
}
