//! Verdicts, hints and proposals: the types by which a fetcher and the actor of a host decide about an outcome.

use std::time::Duration;

use crate::outcome::Reason;

/// What to do about a URL after an attempt. The fetcher proposes a verdict, and the actor of the host decides.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// The answer is a page.
    Done,
    /// The URL continues at the target of the redirect.
    Redirect,
    /// Try the URL again, but not before this wait has passed. Whether the host is held is a separate
    /// decision.
    Retry {
        /// The wait, counted from the report of the outcome.
        after: Duration,
    },
    /// No further attempt at the URL is due.
    GiveUp(Reason),
}

/// The facts that an answer states about its host, and not only about one URL.
///
/// All times count from the moment at which the answer's head arrived, since the clocks of servers may be
/// wrong.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Hints {
    /// The wait that the server states (`Retry-After`), without any limit applied. Zero and past times give
    /// `None`.
    pub retry_after: Option<Duration>,
    /// The remaining part of a quota that the server announces.
    pub quota: Option<Quota>,
}

/// A quota that a server announces (`X-RateLimit-*`, `RateLimit-*`, `RateLimit`).
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Quota {
    /// The number of requests per window, if stated.
    pub limit: Option<u32>,
    /// The number of requests left in this window after the answered one.
    pub remaining: u32,
    /// The time until the window ends and the quota is full again.
    pub reset: Duration,
    /// The length of the window, if stated (`RateLimit-Policy: …;w=60`).
    pub window: Option<Duration>,
}

/// The fetcher's proposal to the actor of the host.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Proposal {
    /// The proposed verdict on this URL.
    pub verdict: Verdict,
    /// The facts that the answer states about the host.
    pub hints: Hints,
    /// Whether this request may be sent again after this outcome. If not, the actor of the host never turns a
    /// `GiveUp` into a `Retry`.
    pub repeatable: bool,
}
