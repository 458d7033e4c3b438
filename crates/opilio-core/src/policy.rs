//! The politeness settings of a host, and how waits grow: plain values without state.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::rate::Rate;
use crate::statuses::Statuses;

/// The politeness settings of a host.
///
/// The default is polite: one start per second (60 a minute), one request in flight, and a rate that adapts
/// to refusals. No setting makes a host ignore a hold.
///
/// ```
/// # mod opilio { pub use opilio_core as core; }
/// use std::time::Duration;
/// use opilio::core::{HostPolicy, per_minute};
///
/// let policy = HostPolicy::new().rate(per_minute(30)).in_flight(8).max_hold(Duration::from_secs(600));
/// assert_eq!(policy.rate_max().map(|rate| rate.interval()), Some(Duration::from_secs(2)));
/// assert_eq!(policy.in_flight_max(), 8);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct HostPolicy {
    rate: Option<Rate>,
    in_flight_max: u32,
    adapt: bool,
    max_hold: Duration,
    max_crawl_delay: Duration,
    max_strikes: u32,
    max_strikes_unanswered: u32,
    backoff: Backoff,
    slow_down: Statuses,
    linger: Duration,
}

impl Default for HostPolicy {
    fn default() -> Self {
        Self {
            rate: Some(crate::rate::per_minute(60)),
            in_flight_max: 1,
            adapt: true,
            max_hold: Duration::from_secs(3_600),
            max_crawl_delay: Duration::from_secs(60),
            max_strikes: 12,
            max_strikes_unanswered: 4,
            backoff: Backoff::default(),
            slow_down: Statuses::default(),
            linger: Duration::from_millis(500),
        }
    }
}

impl HostPolicy {
    /// Creates the default policy: 60 starts a minute, one request in flight, adaptive.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the highest rate of starts. robots.txt, announcements of the server, and limits learnt from
    /// refusals may lower this rate, but never raise it.
    #[must_use]
    pub fn rate(mut self, rate: Rate) -> Self {
        self.rate = Some(rate);
        self
    }

    /// Removes the rate limit. Only the in-flight limit, holds, robots.txt and the server's own announcements
    /// then limit the starts. Use this for servers of your own.
    #[must_use]
    pub fn unlimited_rate(mut self) -> Self {
        self.rate = None;
        self
    }

    /// Sets the most requests that are in flight at once; 0 counts as 1.
    #[must_use]
    pub fn in_flight(mut self, max: u32) -> Self {
        self.in_flight_max = max.max(1);
        self
    }

    /// Sets whether refusals lower the rate (on by default). Holds are respected in both cases.
    #[must_use]
    pub fn adapt(mut self, adapt: bool) -> Self {
        self.adapt = adapt;
        self
    }

    /// Sets the longest hold (1 h by default). If a server states a longer wait, the host is parked for the
    /// rest of the run.
    #[must_use]
    pub fn max_hold(mut self, max: Duration) -> Self {
        self.max_hold = max;
        self
    }

    /// Sets the longest `Crawl-delay` of robots.txt that is obeyed (60 s by default). Some sites ask for
    /// hours, and a crawl would never end. `Crawl-delay` is a common extension, not part of RFC 9309.
    #[must_use]
    pub fn max_crawl_delay(mut self, max: Duration) -> Self {
        self.max_crawl_delay = max;
        self
    }

    /// Sets how many strikes park the host (12 by default). Each refusal, or attempt that cannot reach the host, adds
    /// a strike if it closes the host; each success halves the number.
    #[must_use]
    pub fn max_strikes(mut self, max: u32) -> Self {
        self.max_strikes = max.max(1);
        self
    }

    /// Sets how many strikes (see [`max_strikes`](Self::max_strikes)) park a host that has not answered once in this
    /// run (4 by default). The number is low, so that an unknown name or a closed port does not delay the end of a
    /// crawl.
    #[must_use]
    pub fn max_strikes_unanswered(mut self, max: u32) -> Self {
        self.max_strikes_unanswered = max.max(1);
        self
    }

    /// Sets how waits grow when the server states none.
    #[must_use]
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// Sets further statuses that count as refusals, as 429 and 503 always do: the host is held, and the URL is tried
    /// again. This is for sites that say "slow down" by a 403 or a 999.
    ///
    /// ```
    /// # mod opilio { pub use opilio_core as core; }
    /// use opilio::core::HostPolicy;
    ///
    /// let policy = HostPolicy::new().slow_down([403, 999]);
    /// assert!(policy.slow_down_statuses().contains(999));
    /// ```
    #[must_use]
    pub fn slow_down(mut self, statuses: impl IntoIterator<Item = u16>) -> Self {
        self.slow_down = statuses.into_iter().collect();
        self
    }

    /// Sets how long a host's actor without work stays in memory (500 ms by default). After that, its state
    /// goes to the store.
    #[must_use]
    pub fn linger(mut self, linger: Duration) -> Self {
        self.linger = linger;
        self
    }

    /// Returns the rate that the user set; `None` means unlimited.
    #[must_use]
    pub fn rate_max(&self) -> Option<Rate> {
        self.rate
    }

    /// Returns the most requests in flight at once; at least 1.
    #[must_use]
    pub fn in_flight_max(&self) -> u32 {
        self.in_flight_max
    }

    /// Whether refusals lower the rate.
    #[must_use]
    pub fn adapts(&self) -> bool {
        self.adapt
    }

    /// Returns the longest hold. A longer wait stated by the server parks the host.
    #[must_use]
    pub fn hold_max(&self) -> Duration {
        self.max_hold
    }

    /// Returns the longest `Crawl-delay` that is obeyed.
    #[must_use]
    pub fn crawl_delay_max(&self) -> Duration {
        self.max_crawl_delay
    }

    /// Returns how many strikes (see [`max_strikes`](Self::max_strikes)) park a host. The number depends on whether
    /// the host has answered in this run.
    #[must_use]
    pub fn strikes_max(&self, answered: bool) -> u32 {
        if answered { self.max_strikes } else { self.max_strikes_unanswered.min(self.max_strikes) }
    }

    /// Returns the bounds between which waits grow.
    #[must_use]
    pub fn backoff_bounds(&self) -> Backoff {
        self.backoff
    }

    /// Returns the statuses that count as refusals in addition to 429 and 503.
    #[must_use]
    pub fn slow_down_statuses(&self) -> &Statuses {
        &self.slow_down
    }

    /// Returns how long the actor of an idle host stays in memory.
    #[must_use]
    pub fn linger_max(&self) -> Duration {
        self.linger
    }
}

/// A wait that doubles with each step, between two bounds.
///
/// Every wait that Opilio chooses by itself derives from `min`, so a test can scale all waits by scaling
/// `min`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backoff {
    /// The first wait (1 s by default).
    pub min: Duration,
    /// The longest wait (60 s by default).
    pub max: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { min: Duration::from_secs(1), max: Duration::from_secs(60) }
    }
}

impl Backoff {
    /// Returns the wait before jitter: `min · 2^step`, at most `max`.
    #[must_use]
    pub fn ceiling(&self, step: u32) -> Duration {
        self.min.saturating_mul(1u32.checked_shl(step.min(31)).unwrap_or(u32::MAX)).min(self.max)
    }
}
