//! Verdicts, hints and proposals: the types by which a fetcher and the actor of a host decide about an outcome.

use std::time::Duration;

use crate::outcome::Reason;

/// What to do after an outcome. The fetcher proposes a verdict, and the actor of the host decides.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// The answer is a page.
    Done,
    /// Go on at the redirect's target.
    Redirect,
    /// Try again, not before this much time has passed. Whether the host is held is decided apart.
    Retry {
        /// The wait, counted from the report of the outcome.
        after: Duration,
    },
    /// No attempt is due any more.
    GiveUp(Reason),
}

/// What an answer said about the host: facts for its budget, not about one URL.
///
/// All times are relative to the receipt of the answer's head, since servers' clocks may be wrong.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Hints {
    /// A stated wait (`Retry-After`) without any limit applied. Zero and past times are `None`.
    pub retry_after: Option<Duration>,
    /// The remains of an announced quota.
    pub quota: Option<Quota>,
}

/// An announced quota (`X-RateLimit-*`, `RateLimit-*`, `RateLimit`).
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Quota {
    /// Requests per window, if stated.
    pub limit: Option<u32>,
    /// Requests left in this window after the answered one.
    pub remaining: u32,
    /// Until the window ends and the quota is full again.
    pub reset: Duration,
    /// The window's length, if stated (`RateLimit-Policy: …;w=60`).
    pub window: Option<Duration>,
}

/// The fetcher's proposal to the host.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Proposal {
    /// The proposed verdict on this URL.
    pub verdict: Verdict,
    /// What the answer said about the host.
    pub hints: Hints,
    /// Whether this request may be sent again after this outcome. If not, the host never turns a `GiveUp`
    /// into a `Retry`.
    pub repeatable: bool,
}
