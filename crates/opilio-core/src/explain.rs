//! Explains to people what Opilio decides about one attempt: the output of `opilio explain`.
//!
//! The functions here call the same code as the fetcher and the gate, but assume no history: the attempt is the
//! first one at its host, and no other URL has failed.

use std::time::Duration;

use http::{HeaderMap, Method};
use serde::Serialize;

use crate::outcome::{Blame, Fault, Outcome, Reason};
use crate::policy::HostPolicy;
use crate::retry::{RequestFacts, RetryPolicy};
use crate::verdict::{Hints, Verdict};

/// The attempt to explain.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// How the attempt ended.
    pub outcome: Outcome,
    /// The headers of the answer; empty if there was no answer.
    pub headers: &'a HeaderMap,
    /// The number of the attempt at the URL, from 1 on.
    pub attempt: u16,
    /// The request's method.
    pub method: &'a Method,
    /// The time of receipt, in Unix milliseconds.
    pub now_ms: i64,
}

/// What a crawl would decide about one attempt, and why. All waits are upper bounds: jitter may shorten each wait
/// that no server stated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// What happens to the URL after the attempt.
    pub verdict: Decision,
    /// `ok` or `redirected` for an accepted answer, else the stable word for the failure.
    pub reason: &'static str,
    /// The milliseconds from now to the URL's next attempt, the host's hold included; null without a retry.
    pub retry_after_ms: Option<u64>,
    /// For how many milliseconds the host is held, at most its longest hold; 0 without a hold.
    pub pause_host_ms: u64,
    /// Whether the host is parked for the rest of the run, since the stated wait exceeds its longest hold.
    pub parks: bool,
}

/// What happens to a URL after an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// The answer is accepted as a page, or the URL continues at the target of its redirect.
    Accept,
    /// The URL will be tried again.
    Retry,
    /// No further attempt at the URL is due.
    GiveUp,
    /// The request is never sent, because of a blocked address or an unsupported scheme.
    Ignore,
}

/// Returns the outcome of an answer with this status and these headers.
///
/// A redirect counts as usable if it has a `Location`. The value is not checked further: a relative one would
/// have to be resolved against the URL of the request, which is not known here.
#[must_use]
pub fn outcome_of_status(status: u16, headers: &HeaderMap) -> Outcome {
    match status {
        301 | 302 | 303 | 307 | 308 if headers.contains_key(http::header::LOCATION) => {
            Outcome::Redirected(status)
        }
        300..=399 if status != 304 => Outcome::Failed(Fault::BadRedirect),
        100..=599 => Outcome::Answered(status),
        _ => Outcome::Failed(Fault::BadStatus),
    }
}

/// Returns the outcome of an answer with this status and these headers. The policies may name statuses that
/// count as refusals or that are worth a retry.
#[must_use]
pub fn outcome_by_policy(
    status: u16,
    headers: &HeaderMap,
    retry: &RetryPolicy,
    host: &HostPolicy,
) -> Outcome {
    let outcome = outcome_of_status(status, headers);
    if outcome.blame() == Blame::Refusal {
        outcome
    } else if host.slow_down_statuses().contains(status) {
        Outcome::Refused(status)
    } else if outcome == Outcome::Failed(Fault::BadStatus) && retry.named_statuses().contains(status) {
        Outcome::Answered(status)
    } else {
        outcome
    }
}

/// Returns the outcome of an attempt without an answer, given by its common name: `timeout`, `connect`,
/// `reset`, `dns`, `tls` or `body-too-large`.
#[must_use]
pub fn outcome_of_error(word: &str) -> Option<Outcome> {
    Some(Outcome::Failed(match word {
        "timeout" => Fault::Timeout,
        "connect" => Fault::Connect,
        "reset" => Fault::Reset,
        "dns" => Fault::Dns,
        "tls" => Fault::Tls,
        "body-too-large" => Fault::BodyTooLarge,
        _ => return None,
    }))
}

/// Returns what a crawl would decide about one attempt, and why.
#[must_use]
pub fn explain(retry: &RetryPolicy, host: &HostPolicy, question: &Question<'_>) -> Explanation {
    let status = match question.outcome {
        Outcome::Answered(status) | Outcome::Redirected(status) => status,
        // A page that the policy counts as a refusal may state a wait, as a 429 does, whatever the page's
        // status is.
        Outcome::Refused(_) => 429,
        Outcome::Failed(_) => 0,
    };
    let hints = Hints::read(question.headers, status, question.now_ms);
    let request = RequestFacts {
        repeatable: question.method.is_idempotent(),
        attempt: question.attempt,
        elapsed: Duration::ZERO,
        retries: None,
        failed_before: false,
    };
    // With the random number 1.0, jitter does not shorten the wait, so equal questions get equal answers.
    let proposal = retry.propose(&request, question.outcome, hints, 1.0);
    let hold = hold(question.outcome, hints, host);
    let pause = hold.min(host.hold_max());
    let parks = hold > host.hold_max();
    let (verdict, retry_after) = match proposal.verdict {
        Verdict::Done | Verdict::Redirect => (Decision::Accept, None),
        Verdict::Retry { .. } if parks => (Decision::Retry, Some(pause)),
        Verdict::Retry { after } => (Decision::Retry, Some(after.max(pause))),
        Verdict::GiveUp(Reason::BlockedAddress | Reason::UnsupportedScheme) => (Decision::Ignore, None),
        Verdict::GiveUp(_) => (Decision::GiveUp, None),
    };
    Explanation {
        verdict,
        reason: reason(question.outcome, verdict),
        retry_after_ms: retry_after.map(millis),
        pause_host_ms: millis(pause),
        parks,
    }
}

/// Returns how long the host would be held if there were no longest hold; zero if the host stays open.
fn hold(outcome: Outcome, hints: Hints, host: &HostPolicy) -> Duration {
    let spent = hints.quota.filter(|quota| quota.remaining == 0).map(|quota| quota.reset);
    let blame = outcome.blame();
    let stated = hints.retry_after.filter(|_| blame == Blame::Refusal).max(spent);
    match blame {
        Blame::Refusal | Blame::Host => stated.unwrap_or_else(|| host.backoff_bounds().ceiling(FIRST_STRIKE)),
        Blame::Success | Blame::Url | Blame::Neutral | Blame::Ours => stated.unwrap_or_default(),
    }
}

fn reason(outcome: Outcome, verdict: Decision) -> &'static str {
    match outcome {
        Outcome::Redirected(_) if verdict == Decision::Accept => "redirected",
        Outcome::Answered(_) if verdict == Decision::Accept => "ok",
        Outcome::Answered(300..=399) => Reason::BadRedirect.as_str(),
        _ => outcome.reason().as_str(),
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// The number of earlier strikes (closings in a row) of the host. The explained attempt is the first one at the
/// host, so there are none, and the hold is at most `backoff.min` (see `unstated_wait`).
const FIRST_STRIKE: u32 = 0;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use http::HeaderName;

    /// 2026-10-21T07:27:00Z, in Unix milliseconds.
    const NOW_MS: i64 = 1_792_567_620_000;

    fn ask(outcome: Outcome, headers: &[(&str, &str)], attempt: u16, method: &Method) -> Explanation {
        let map =
            headers.iter().map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap()));
        let headers: HeaderMap = map.collect();
        let question = Question { outcome, headers: &headers, attempt, method, now_ms: NOW_MS };
        explain(&RetryPolicy::default(), &HostPolicy::default(), &question)
    }

    fn status(status: u16, headers: &[(&str, &str)], attempt: u16) -> Explanation {
        let map =
            headers.iter().map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap()));
        ask(outcome_of_status(status, &map.collect()), headers, attempt, &Method::GET)
    }

    fn error(word: &str, attempt: u16) -> Explanation {
        ask(outcome_of_error(word).unwrap(), &[], attempt, &Method::GET)
    }

    fn accept(reason: &'static str) -> Explanation {
        Explanation {
            verdict: Decision::Accept,
            reason,
            retry_after_ms: None,
            pause_host_ms: 0,
            parks: false,
        }
    }

    fn give_up(reason: &'static str) -> Explanation {
        Explanation { verdict: Decision::GiveUp, ..accept(reason) }
    }

    fn retry(reason: &'static str, after_ms: u64) -> Explanation {
        Explanation { verdict: Decision::Retry, retry_after_ms: Some(after_ms), ..accept(reason) }
    }

    fn pause(explanation: Explanation, pause_host_ms: u64) -> Explanation {
        Explanation { pause_host_ms, ..explanation }
    }

    #[test]
    fn a_429_with_a_date_pauses_the_host_until_then() {
        let got = status(429, &[("retry-after", "Wed, 21 Oct 2026 07:28:00 GMT")], 1);
        assert_eq!(got, pause(retry("http_4xx", 60_000), 60_000));
        let json = serde_json::to_value(&got).unwrap();
        assert_eq!(
            json,
            serde_json::json!({
                "verdict": "retry", "reason": "http_4xx", "retry_after_ms": 60_000, "pause_host_ms": 60_000, "parks": false
            })
        );
    }

    #[test]
    fn every_row_of_the_table_is_decided_as_designed() {
        let location = [("location", "/elsewhere")];
        for code in [200, 204, 206, 226, 304] {
            assert_eq!(status(code, &[], 1), accept("ok"), "{code}");
        }
        for code in [301, 302, 303, 307, 308] {
            assert_eq!(status(code, &location, 1), accept("redirected"), "{code}");
            assert_eq!(status(code, &[], 1), give_up("bad_redirect"), "{code}");
        }
        for code in [300, 305, 306, 310, 399] {
            assert_eq!(status(code, &location, 1), give_up("bad_redirect"), "{code}");
        }
        for (code, reason) in [
            (408, "http_4xx"),
            (425, "http_4xx"),
            (500, "http_5xx"),
            (502, "http_5xx"),
            (504, "http_5xx"),
            (507, "http_5xx"),
            (520, "http_5xx"),
            (529, "http_5xx"),
        ] {
            for (attempt, after) in [(1, 1_000), (2, 2_000), (3, 4_000)] {
                assert_eq!(status(code, &[], attempt), retry(reason, after), "{code}");
            }
            assert_eq!(status(code, &[], 4), give_up(reason), "{code}");
        }
        for code in [501, 505, 511] {
            assert_eq!(status(code, &[], 1), give_up("http_5xx"), "{code}");
        }
        for code in [400, 401, 403, 404, 405, 410, 418, 451] {
            assert_eq!(status(code, &[], 1), give_up("http_4xx"), "{code}");
        }
        for code in [0, 99, 600, 999] {
            assert_eq!(status(code, &[], 1), give_up("protocol"), "{code}");
        }
        for word in ["timeout", "reset"] {
            let reason = outcome_of_error(word).unwrap().reason().as_str();
            assert_eq!(error(word, 1), retry(reason, 1_000));
            assert_eq!(error(word, 4), give_up(reason));
        }
        for word in ["dns", "tls", "connect"] {
            let reason = outcome_of_error(word).unwrap().reason().as_str();
            assert_eq!(error(word, 1), pause(retry(reason, 1_000), 1_000));
            assert_eq!(error(word, 4), pause(give_up(reason), 1_000));
        }
        assert_eq!(error("body-too-large", 1), give_up("body_too_large"));
        assert_eq!(outcome_of_error("fire"), None);
    }

    #[test]
    fn refusals_pause_the_host_and_are_given_up_after_the_last_retry() {
        for (code, reason) in [(429, "http_4xx"), (503, "http_5xx")] {
            for attempt in 1..=3 {
                assert_eq!(
                    status(code, &[("retry-after", "7")], attempt),
                    pause(retry(reason, 7_000), 7_000)
                );
            }
            for attempt in [4, 50] {
                assert_eq!(status(code, &[("retry-after", "7")], attempt), pause(give_up(reason), 7_000));
                assert_eq!(status(code, &[], attempt), pause(give_up(reason), 1_000));
            }
            for no_hint in ["0", "Wed, 21 Oct 2020 07:28:00 GMT", "soon"] {
                assert_eq!(status(code, &[("retry-after", no_hint)], 1), pause(retry(reason, 1_000), 1_000));
            }
        }
    }

    #[test]
    fn statuses_that_are_named_are_decided_as_named() {
        let retried = RetryPolicy::default().retry_statuses([202, 404, 999]);
        let slowed = HostPolicy::new().slow_down([202, 403, 503, 999]);
        let ask = |code, headers: &[(&str, &str)], retry: &RetryPolicy, host: &HostPolicy| {
            let map = headers.iter();
            let map = map.map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap()));
            let headers: HeaderMap = map.collect();
            let outcome = outcome_by_policy(code, &headers, retry, host);
            let question =
                Question { outcome, headers: &headers, attempt: 1, method: &Method::GET, now_ms: NOW_MS };
            explain(retry, host, &question)
        };
        for (code, reason) in [(403, "http_4xx"), (503, "http_5xx"), (999, "refused"), (202, "refused")] {
            let bare = ask(code, &[], &RetryPolicy::default(), &slowed);
            assert_eq!(bare, pause(retry(reason, 1_000), 1_000), "{code}");
            let stated = ask(code, &[("retry-after", "7")], &retried, &slowed);
            assert_eq!(stated, pause(retry(reason, 7_000), 7_000), "{code}");
        }
        for (code, reason) in [(404, "http_4xx"), (999, "http_other"), (202, "http_other")] {
            assert_eq!(ask(code, &[], &retried, &HostPolicy::new()), retry(reason, 1_000), "{code}");
        }
        assert_eq!(ask(404, &[], &RetryPolicy::default(), &slowed), give_up("http_4xx"));
        assert_eq!(ask(998, &[], &retried, &slowed), give_up("protocol"));
    }

    #[test]
    fn a_wait_beyond_the_longest_hold_parks() {
        let parked = status(429, &[("retry-after", "86400")], 1);
        let expected = Explanation { parks: true, ..pause(retry("http_4xx", 3_600_000), 3_600_000) };
        assert_eq!(parked, expected);
        assert!(!status(429, &[("retry-after", "3600")], 1).parks);
    }

    #[test]
    fn a_spent_quota_pauses_the_host_and_a_page_stays_a_page() {
        let quota = [
            ("x-ratelimit-limit", "40"),
            ("x-ratelimit-remaining", "0"),
            ("x-ratelimit-reset", "1792567680"),
        ];
        assert_eq!(status(200, &quota, 1), pause(accept("ok"), 60_000));
        assert_eq!(status(429, &quota, 1), pause(retry("http_4xx", 60_000), 60_000));
        let left = [("x-ratelimit-remaining", "5"), ("x-ratelimit-reset", "60")];
        assert_eq!(status(200, &left, 1), accept("ok"));
    }

    #[test]
    fn permanent_faults_end_at_once_and_some_are_never_sent() {
        let fault = |fault| ask(Outcome::Failed(fault), &[], 1, &Method::GET);
        for name in [
            Fault::DecompressionBomb,
            Fault::Undecodable,
            Fault::TooManyHeaders,
            Fault::RedirectLoop,
            Fault::TooManyRedirects,
            Fault::NotText,
        ] {
            assert_eq!(fault(name), give_up(name.reason().as_str()));
        }
        assert_eq!(fault(Fault::NoSuchName), pause(give_up("dns"), 1_000));
        assert_eq!(fault(Fault::Certificate), pause(give_up("tls"), 1_000));
        assert_eq!(fault(Fault::Protocol), retry("protocol", 1_000));
        assert_eq!(fault(Fault::Malformed), retry("protocol", 1_000));
        for name in [Fault::BlockedAddress, Fault::UnsupportedScheme] {
            assert_eq!(
                fault(name),
                Explanation { verdict: Decision::Ignore, ..give_up(name.reason().as_str()) }
            );
        }
    }

    #[test]
    fn a_post_is_not_repeated_once_it_may_have_arrived() {
        let post = |outcome| ask(outcome, &[], 1, &Method::POST);
        assert_eq!(post(Outcome::Answered(500)), give_up("http_5xx"));
        assert_eq!(post(Outcome::Failed(Fault::Timeout)), give_up("timeout"));
        assert_eq!(post(Outcome::Answered(429)), pause(retry("http_4xx", 1_000), 1_000));
        assert_eq!(post(Outcome::Failed(Fault::Connect)), pause(retry("connect", 1_000), 1_000));
    }
}
