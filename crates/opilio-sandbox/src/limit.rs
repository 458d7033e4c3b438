//! The rate limits of a host: three kinds of limit, and a counter that decides whether an arrival is within the
//! limit. The caller passes the time.

use std::collections::VecDeque;
use std::time::Duration;

/// A host's rate limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// At most `n` in any half-open window of length `per`.
    SlidingWindow {
        /// The most requests in a window.
        n: u32,
        /// The length of the window.
        per: Duration,
    },
    /// `n` tokens are added evenly during each `per`, and at most `burst` are kept. The bucket starts full.
    /// Each request takes one token.
    TokenBucket {
        /// The number of tokens added in `per`.
        n: u32,
        /// The time in which `n` tokens are added.
        per: Duration,
        /// The most tokens in the bucket.
        burst: u32,
    },
    /// At most `n` requests in each window. The windows follow each other without a gap.
    FixedWindow {
        /// The most requests in a window.
        n: u32,
        /// The length of each window.
        per: Duration,
        /// The time at which the first window begins.
        align: Align,
    },
}

impl Limit {
    /// Returns a limit of `n` requests in any minute.
    pub const fn per_minute(n: u32) -> Self {
        Self::sliding(n, MINUTE)
    }

    /// Returns a limit of `n` requests in any window of length `per`.
    pub const fn sliding(n: u32, per: Duration) -> Self {
        Self::SlidingWindow { n, per }
    }

    /// Returns a token bucket that gains `n` tokens in `per` and holds at most `burst`.
    pub const fn bucket(n: u32, per: Duration, burst: u32) -> Self {
        Self::TokenBucket { n, per, burst }
    }

    /// Returns a limit of `n` requests in each window of length `per`. The first window begins with the first
    /// arrival.
    pub const fn fixed(n: u32, per: Duration) -> Self {
        Self::FixedWindow { n, per, align: Align::FirstArrival }
    }

    /// Returns the number of requests and the period of the limit, without its burst.
    pub const fn rate(&self) -> (u32, Duration) {
        match *self {
            Self::SlidingWindow { n, per }
            | Self::TokenBucket { n, per, .. }
            | Self::FixedWindow { n, per, .. } => (n, per),
        }
    }

    pub(crate) fn scaled(self, k: u32) -> Self {
        let k = k.max(1);
        match self {
            Self::SlidingWindow { n, per } => Self::SlidingWindow { n, per: per / k },
            Self::TokenBucket { n, per, burst } => Self::TokenBucket { n, per: per / k, burst },
            Self::FixedWindow { n, per, align } => Self::FixedWindow { n, per: per / k, align },
        }
    }
}

/// The time at which fixed windows begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Align {
    /// The first window begins with the host's first arrival. The next windows follow without a gap.
    #[default]
    FirstArrival,
    /// Windows begin at multiples of their length since the sandbox's start.
    Multiples,
}

/// The quota that a host may announce to its clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct QuotaState {
    /// The most requests in a window (for a token bucket: the size of the bucket).
    pub(crate) limit: u32,
    /// The number of requests left after the current request.
    pub(crate) remaining: u32,
    /// The time at which the quota grows: when the next window begins, the oldest arrival leaves the sliding
    /// window, or the bucket is full.
    pub(crate) reset_at: Duration,
    /// The length of the window (for a token bucket: the time in which an empty bucket fills).
    pub(crate) window: Duration,
}

/// Whether a limit permits one request that arrived, and the state of the limit afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ruling {
    /// Whether the arrival is within the limit.
    pub(crate) permitted: bool,
    /// The earliest time at which another request would be permitted, if no request arrives before. It is used if
    /// the arrival is refused.
    pub(crate) opens_at: Duration,
    /// The quota after this arrival.
    pub(crate) quota: QuotaState,
}

/// Counts arrivals against a limit.
#[derive(Debug, Clone)]
pub(crate) struct ArrivalCounter {
    counts_refused: bool,
    state: LimiterState,
}

#[derive(Debug, Clone)]
enum LimiterState {
    Sliding {
        n: u32,
        per: Duration,
        /// The last `n` arrivals that count. Older arrivals are not needed: the limit is reached if the oldest of
        /// these `n` is still within the window.
        last: VecDeque<Duration>,
    },
    Bucket {
        burst: u32,
        /// The time in which one token is added to the bucket.
        spacing: Duration,
        /// The time at which the bucket will be full again.
        full_at: Duration,
    },
    Fixed {
        n: u32,
        per: Duration,
        align: Align,
        anchor: Option<Duration>,
        index: u128,
        used: u32,
    },
}

impl ArrivalCounter {
    pub(crate) fn new(limit: Limit, counts_refused: bool) -> Self {
        let state = match limit {
            Limit::SlidingWindow { n, per } => {
                LimiterState::Sliding { n: n.max(1), per: positive(per), last: VecDeque::new() }
            }
            Limit::TokenBucket { n, per, burst } => LimiterState::Bucket {
                burst: burst.max(1),
                spacing: positive(per / n.max(1)),
                full_at: Duration::ZERO,
            },
            Limit::FixedWindow { n, per, align } => LimiterState::Fixed {
                n: n.max(1),
                per: positive(per),
                align,
                anchor: None,
                index: 0,
                used: 0,
            },
        };
        Self { counts_refused, state }
    }

    /// Decides about an arrival and counts it. `now` must not be earlier than in the call before.
    pub(crate) fn rule(&mut self, now: Duration) -> Ruling {
        let counts_refused = self.counts_refused;
        match &mut self.state {
            LimiterState::Sliding { n, per, last } => rule_sliding(now, *n, *per, last, counts_refused),
            LimiterState::Bucket { burst, spacing, full_at } => {
                rule_bucket(now, *burst, *spacing, full_at, counts_refused)
            }
            LimiterState::Fixed { n, per, align, anchor, index, used } => {
                let anchor = *anchor.get_or_insert(match align {
                    Align::FirstArrival => now,
                    Align::Multiples => Duration::ZERO,
                });
                let current = now.saturating_sub(anchor).as_nanos() / per.as_nanos();
                if current != *index {
                    (*index, *used) = (current, 0);
                }
                let permitted = *used < *n;
                *used = (*used + 1).min(*n);
                let opens_at = anchor.saturating_add(times(*per, current + 1));
                Ruling {
                    permitted,
                    opens_at,
                    quota: QuotaState { limit: *n, remaining: *n - *used, reset_at: opens_at, window: *per },
                }
            }
        }
    }
}

fn rule_sliding(
    now: Duration,
    n: u32,
    per: Duration,
    last: &mut VecDeque<Duration>,
    counts_refused: bool,
) -> Ruling {
    while last.front().is_some_and(|oldest| oldest.saturating_add(per) <= now) {
        last.pop_front();
    }
    let permitted = last.len() < n as usize;
    if permitted || counts_refused {
        if last.len() >= n as usize {
            last.pop_front();
        }
        last.push_back(now);
    }
    let opens_at = last.front().map_or(now, |oldest| oldest.saturating_add(per));
    Ruling {
        permitted,
        opens_at,
        quota: QuotaState {
            limit: n,
            // The deque holds at most `n` arrivals.
            remaining: n.saturating_sub(last.len() as u32),
            reset_at: opens_at,
            window: per,
        },
    }
}

fn rule_bucket(
    now: Duration,
    burst: u32,
    spacing: Duration,
    full_at: &mut Duration,
    counts_refused: bool,
) -> Ruling {
    let size = spacing.saturating_mul(burst);
    let missing = full_at.saturating_sub(now);
    let permitted = missing.saturating_add(spacing) <= size;
    if permitted {
        *full_at = now.saturating_add(missing.saturating_add(spacing));
    } else if counts_refused {
        // A refused request takes a token, too. The bucket can owe at most as many tokens as it can hold.
        let debt = missing.saturating_add(spacing).min(size.saturating_mul(2));
        *full_at = now.saturating_add(debt);
    }
    let missing = full_at.saturating_sub(now);
    let tokens = size.saturating_sub(missing).as_nanos() / spacing.as_nanos();
    Ruling {
        permitted,
        opens_at: now.saturating_add(missing.saturating_add(spacing).saturating_sub(size)),
        quota: QuotaState {
            limit: burst,
            remaining: u32::try_from(tokens).unwrap_or(burst).min(burst),
            reset_at: *full_at,
            window: size,
        },
    }
}

fn positive(period: Duration) -> Duration {
    period.max(Duration::from_nanos(1))
}

fn times(period: Duration, factor: u128) -> Duration {
    let nanos = period.as_nanos().saturating_mul(factor);
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

const MINUTE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn permitted(limiter: &mut ArrivalCounter, at: &[u64]) -> Vec<bool> {
        at.iter().map(|t| limiter.rule(ms(*t)).permitted).collect()
    }

    #[test]
    fn a_sliding_window_is_half_open() {
        let mut limiter = ArrivalCounter::new(Limit::sliding(2, ms(1000)), false);
        assert_eq!(
            permitted(&mut limiter, &[0, 100, 999, 1000, 1099, 1100]),
            [true, true, false, true, false, true]
        );
    }

    #[test]
    fn a_sliding_window_says_when_the_oldest_leaves() {
        let mut limiter = ArrivalCounter::new(Limit::sliding(2, ms(1000)), false);
        assert_eq!(limiter.rule(ms(0)).quota.remaining, 1);
        limiter.rule(ms(300));
        let refused = limiter.rule(ms(400));
        assert!(!refused.permitted);
        assert_eq!(refused.opens_at, ms(1000));
        assert_eq!(refused.quota.remaining, 0);
    }

    #[test]
    fn refused_requests_can_keep_a_sliding_window_closed() {
        let mut limiter = ArrivalCounter::new(Limit::sliding(1, ms(1000)), true);
        assert_eq!(permitted(&mut limiter, &[0, 900, 1500, 2499, 3499]), [true, false, false, false, true]);
        assert_eq!(limiter.rule(ms(3500)).opens_at, ms(4500));
    }

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let mut limiter = ArrivalCounter::new(Limit::bucket(1, ms(1000), 3), false);
        assert_eq!(
            permitted(&mut limiter, &[0, 0, 0, 0, 999, 1000, 1001, 2000]),
            [true, true, true, false, false, true, false, true]
        );
        let refused = limiter.rule(ms(2500));
        assert_eq!(refused.opens_at, ms(3000));
        assert_eq!(refused.quota.remaining, 0);
    }

    #[test]
    fn a_bucket_fills_up_to_its_burst_only() {
        let mut limiter = ArrivalCounter::new(Limit::bucket(1, ms(1000), 2), false);
        assert_eq!(permitted(&mut limiter, &[0, 0, 60_000, 60_000, 60_000]), [true, true, true, true, false]);
    }

    #[test]
    fn refused_requests_can_cost_tokens_but_the_debt_is_bounded() {
        let mut limiter = ArrivalCounter::new(Limit::bucket(1, ms(1000), 1), true);
        assert!(limiter.rule(ms(0)).permitted);
        for _ in 0..100 {
            assert!(!limiter.rule(ms(0)).permitted);
        }
        assert_eq!(limiter.rule(ms(0)).opens_at, ms(2000));
        assert!(limiter.rule(ms(2000)).permitted);
    }

    #[test]
    fn fixed_windows_follow_the_first_arrival() {
        let mut limiter = ArrivalCounter::new(Limit::fixed(2, ms(1000)), false);
        assert_eq!(
            permitted(&mut limiter, &[700, 800, 1600, 1700, 1800, 1801]),
            [true, true, false, true, true, false]
        );
        let refused = limiter.rule(ms(2000));
        assert_eq!((refused.permitted, refused.opens_at), (false, ms(2700)));
    }

    #[test]
    fn fixed_windows_can_begin_at_multiples() {
        let limit = Limit::FixedWindow { n: 1, per: ms(1000), align: Align::Multiples };
        let mut limiter = ArrivalCounter::new(limit, false);
        assert_eq!(permitted(&mut limiter, &[700, 999, 1000, 5000, 5999]), [true, false, true, true, false]);
    }

    #[test]
    fn senseless_limits_do_not_panic() {
        for limit in [
            Limit::sliding(0, Duration::ZERO),
            Limit::bucket(0, Duration::ZERO, 0),
            Limit::fixed(0, Duration::ZERO),
            Limit::bucket(u32::MAX, Duration::MAX, u32::MAX),
        ] {
            let mut limiter = ArrivalCounter::new(limit, true);
            for t in [0, 0, 1, 5_000_000] {
                limiter.rule(ms(t));
            }
        }
    }
}
