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
mod tests;
