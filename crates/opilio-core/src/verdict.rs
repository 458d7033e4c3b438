//! What to do about an outcome: the words that fetcher and host use for it.

use std::time::Duration;

use crate::outcome::Reason;

/// What to do about an outcome. The fetcher proposes it, the host decides.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It is a page.
    Done,
    /// Go on at the redirect's target.
    Redirect,
    /// Try again, not before this much time has passed. Whether the host is held is another matter.
    Retry {
        /// From the report on.
        after: Duration,
    },
    /// No attempt is due any more.
    GiveUp(Reason),
}

/// What an answer said about the host: facts for its budget, none of them about one URL.
///
/// All times are relative to the receipt of the answer's head, since servers' clocks are wrong.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Hints {
    /// A stated wait (`Retry-After`), unclamped. Zero and past are no hint and stand as `None`.
    pub retry_after: Option<Duration>,
    /// What is left of an announced quota.
    pub quota: Option<Quota>,
}

/// An announced quota (`X-RateLimit-*`, `RateLimit-*`, `RateLimit`).
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Quota {
    /// Requests that a window allows, if it was said.
    pub limit: Option<u32>,
    /// Requests left in this window, after the one that was answered.
    pub remaining: u32,
    /// Until the window ends and the quota is full again.
    pub reset: Duration,
    /// The window's length, if it was said (`RateLimit-Policy: …;w=60`).
    pub window: Option<Duration>,
}

/// What a fetcher proposes to the host.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Proposal {
    /// What to do about this URL.
    pub verdict: Verdict,
    /// What the answer said about the host.
    pub hints: Hints,
    /// Whether this request may be sent again after this outcome. The host turns no `GiveUp` into a
    /// `Retry` where it may not.
    pub repeatable: bool,
}
