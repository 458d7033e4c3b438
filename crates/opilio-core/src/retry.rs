//! Turns the outcome of an attempt into a verdict: whether the URL is tried again, and after which wait.
//!
//! The verdict is a pure function of policy, request, outcome, hints and a random number. It is only a *proposal*,
//! because the actor of the host also knows how other URLs of the host ended. If the host itself was at fault, the
//! actor may turn a `GiveUp` into a `Retry`, or retry later, unless the request is not repeatable.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::outcome::{Blame, Fault, Outcome, Reason};
use crate::policy::Backoff;
use crate::statuses::Statuses;
use crate::verdict::{Hints, Proposal, Verdict};

/// The rules by which failed attempts are repeated.
///
/// The default is three retries, hence four attempts. The waits are random (full jitter) below 1 s, 2 s, 4 s
/// and so on, up to 60 s. A failure that turns out to be the host's fault (an outage, a rate limit) uses up
/// no attempt of a URL.
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
    /// The rule for classes without a rule of their own. Its `wait` is `None`, so it uses the `wait` of the
    /// policy.
    rule: Rule,
    wait: Wait,
    overrides: Vec<(OutcomeClass, Rule)>,
    named: Statuses,
}

/// The kinds of outcomes for which a policy can have different rules.
///
/// Successes and redirects belong to no class. Neither do outcomes that a retry cannot change: a name that
/// does not exist, an invalid certificate, a blocked address, a body above the limit.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum OutcomeClass {
    /// This status only. A rule for this class takes precedence over a rule for a broader class.
    Status(u16),
    /// 429, 503, and statuses that count as refusals.
    Refused,
    /// 408, 425, and the 5xx except 501, 503, 505 and 511.
    ServerError,
    /// The other 4xx, 501, 505 and 511. These are retried only if the class has a rule of its own.
    Rejected,
    /// A deadline passed before the attempt had ended.
    Timeout,
    /// The connection or its data broke: a reset, a body that ends early, wrong chunks.
    Broken,
    /// The request did not reach the host: resolving, connecting or the TLS handshake failed, or the proxy
    /// failed.
    Unreachable,
}

/// The rule for one class of outcomes: after how many retries or how much time to stop, and how long to wait
/// between attempts.
#[derive(Clone, Debug)]
pub struct Rule {
    retries: u16,
    total_max: Option<Duration>,
    /// The wait before each retry; `None` means the policy's wait.
    wait: Option<Wait>,
}

/// The way to choose the wait before the next attempt.
#[derive(Clone)]
pub enum Wait {
    /// A random wait (full jitter) between zero and `min · 2^(attempt − 1)`, at most `max`.
    Exponential(Backoff),
    /// The same wait before each retry.
    Fixed(Duration),
    /// A function that returns the wait for the number of the failed attempt (from 1 on).
    Custom(Arc<dyn Fn(u16) -> Duration + Send + Sync>),
}

/// The facts about a request that are needed to decide about a retry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RequestFacts {
    /// Whether the request may be sent twice without harm: its method is idempotent (RFC 9110 §9.2.2), or the
    /// user has said so.
    pub repeatable: bool,
    /// The number of this attempt at the URL, from 1 on.
    pub attempt: u16,
    /// The time since the first attempt began.
    pub elapsed: Duration,
    /// The number of retries to use instead of the policy's, for the classes that are retried at all.
    pub retries: Option<u16>,
    /// Whether the request failed before, or was sent again because a reused connection turned out to be
    /// closed. If a connection is closed once more, this counts as a failure, since it can hardly have been
    /// idle for too long again.
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
    /// Returns a policy without retries: one attempt, unless the failure was the host's fault.
    #[must_use]
    pub fn none() -> Self {
        Self::default().retries(0)
    }

    /// Sets the number of retries after the first attempt.
    #[must_use]
    pub fn retries(mut self, retries: u16) -> Self {
        self.rule.retries = retries;
        self
    }

    /// Sets the longest time from the start of the first attempt to the start of the last attempt.
    ///
    /// The time starts again from zero when the URL was returned to the store, which happens if a wait is
    /// longer than a minute or the crawl stops. The number of attempts is kept.
    #[must_use]
    pub fn stop_after(mut self, total: Duration) -> Self {
        self.rule.total_max = Some(total);
        self
    }

    /// Sets how long to wait between attempts.
    #[must_use]
    pub fn wait(mut self, wait: Wait) -> Self {
        self.wait = wait;
        self
    }

    /// Sets the rule for one class of outcomes. If a class is set twice, the later rule applies.
    #[must_use]
    pub fn on(mut self, class: OutcomeClass, rule: Rule) -> Self {
        self.overrides.retain(|(other, _)| *other != class);
        self.overrides.push((class, rule));
        self
    }

    /// Retries answers with these statuses even if they are successes or permanent failures, such as a 404
    /// for a page that is still being created, a 202 or a 999. The rule for the status applies, or else the
    /// general rule.
    #[must_use]
    pub fn retry_statuses(mut self, statuses: impl IntoIterator<Item = u16>) -> Self {
        self.named = statuses.into_iter().collect();
        self
    }

    /// Returns the statuses that the user named as worth a retry.
    #[must_use]
    pub fn named_statuses(&self) -> &Statuses {
        &self.named
    }

    /// Proposes a verdict for an outcome.
    ///
    /// `random` is a uniform random number in `0..1`. With 1, every wait with jitter has its greatest length.
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
            // This retry does not count as an attempt, and waits only for the host's budget.
            Course::Again(_) => Verdict::Retry { after: Duration::ZERO },
            Course::ByRule { reason, .. } if !repeatable => Verdict::GiveUp(reason),
            Course::ByRule { class, reason } => self.by_rule(request, outcome, class, reason, hints, random),
        };
        Proposal { verdict, hints, repeatable }
    }

    fn course(&self, outcome: Outcome) -> Course {
        match outcome {
            // A 429 or 503 stays a refusal, even if the user named it as worth a retry.
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
            // The refusal states a wait, so backoff adds nothing.
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
    /// Returns a rule without retries: the first failure is final.
    #[must_use]
    pub fn never() -> Self {
        Self::retries(0)
    }

    /// Returns a rule with this many retries, the policy's wait, and no limit on the total time.
    #[must_use]
    pub fn retries(retries: u16) -> Self {
        Self { retries, total_max: None, wait: None }
    }

    /// Sets the longest time from the start of the first attempt to the start of the last attempt.
    ///
    /// The time starts again from zero when the URL was returned to the store, which happens if a wait is
    /// longer than a minute or the crawl stops. The number of attempts is kept.
    #[must_use]
    pub fn stop_after(mut self, total: Duration) -> Self {
        self.total_max = Some(total);
        self
    }

    /// Sets how long to wait between attempts, instead of the policy's wait.
    #[must_use]
    pub fn wait(mut self, wait: Wait) -> Self {
        self.wait = Some(wait);
        self
    }

    /// Decides whether the URL is retried or ends. `wait` is the policy's wait.
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
    /// Returns a random wait (full jitter) between zero and a limit, which doubles with each attempt from
    /// `min` up to `max`.
    #[must_use]
    pub fn exponential(min: Duration, max: Duration) -> Self {
        Self::Exponential(Backoff { min, max })
    }

    /// Returns a wait of the same length before each retry.
    #[must_use]
    pub fn fixed(wait: Duration) -> Self {
        Self::Fixed(wait)
    }

    /// Returns a wait that the function computes from the number of the failed attempt (from 1 on).
    #[must_use]
    pub fn custom(wait: impl Fn(u16) -> Duration + Send + Sync + 'static) -> Self {
        Self::Custom(Arc::new(wait))
    }

    fn before_retry(&self, attempt: u16, random: f64) -> Duration {
        match self {
            Self::Exponential(backoff) => {
                // The factor is at most 1, so the product cannot overflow.
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

/// The consequence of an outcome, before any retry policy is applied.
enum Course {
    Done,
    Redirect,
    /// The URL ends: a retry cannot change this outcome.
    End(Reason),
    /// The request is sent again without a wait, and without counting as an attempt, if it is repeatable.
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
            // A 1xx is not a final answer, so it counts as a bad status.
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

/// Returns whether the server has certainly not acted on the request, so that even a POST may be sent again.
///
/// 408 and 425 say that the request was not processed (RFC 9110 §15.5.9, RFC 8470 §5.2). 429 says that the
/// request was refused (RFC 6585 §4); so does any other status that the user declared a refusal, except a
/// 5xx. A 503, or a 5xx that the user declared a refusal, means this only with a `Retry-After`: without it, a
/// gateway may have lost its backend half-way. A stale connection may have broken after the server had read
/// the request (RFC 9112 §9.3.1).
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

/// The longest wait that a server's statement can cause for a single URL: 1 h. The hold of the whole host has
/// a limit of its own.
const STATED_MAX: Duration = Duration::from_secs(3_600);

#[cfg(test)]
mod tests;
