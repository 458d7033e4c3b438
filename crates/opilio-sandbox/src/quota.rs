//! Announces a host's quota (how many requests are left) in the various header formats that servers use.

use std::time::{Duration, SystemTime};

use crate::limit::QuotaState;

/// A format of headers that announce the limit, the number of remaining requests, and the reset: the time at which
/// the quota grows again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// `X-RateLimit-Limit`, `-Remaining`, `-Reset` with the reset in Unix seconds.
    XEpochSeconds,
    /// `X-RateLimit-*` with the reset in seconds from now.
    XDeltaSeconds,
    /// `X-RateLimit-*` with the reset in Unix milliseconds.
    XEpochMillis,
    /// `X-RateLimit-*` with the reset as an HTTP-date.
    XHttpDate,
    /// `X-RateLimit-*` with the reset as an ISO 8601 date in UTC.
    XIsoDate,
    /// `RateLimit-Limit`, `-Remaining`, `-Reset` in seconds from now (IETF draft before 07).
    DraftFields,
    /// `X-Rate-Limit-*`, spelt with a hyphen, the reset in seconds with a fraction.
    HyphenFloat,
    /// `RateLimit: "default";r=39;t=60` and `RateLimit-Policy: "default";q=40;w=60` (IETF draft 08 on).
    Structured,
    /// `RateLimit: limit=40, remaining=39, reset=60` (IETF draft 07).
    Combined,
}

impl Dialect {
    /// All dialects.
    pub const ALL: [Self; 9] = [
        Self::XEpochSeconds,
        Self::XDeltaSeconds,
        Self::XEpochMillis,
        Self::XHttpDate,
        Self::XIsoDate,
        Self::DraftFields,
        Self::HyphenFloat,
        Self::Structured,
        Self::Combined,
    ];

    /// The eight dialects of the politeness benchmark: all except [`Dialect::XIsoDate`], which would test the same
    /// as `XHttpDate`.
    pub const EIGHT: [Self; 8] = [
        Self::XEpochSeconds,
        Self::XDeltaSeconds,
        Self::XEpochMillis,
        Self::XHttpDate,
        Self::DraftFields,
        Self::HyphenFloat,
        Self::Structured,
        Self::Combined,
    ];

    /// Appends the headers for an answer that is sent at the time `sent`. Times are rounded up to whole units:
    /// rounded down, they would state an end before the real end of the window.
    pub(crate) fn announce(
        self,
        quota: &QuotaState,
        sent: Duration,
        clock: HostClock,
        headers: &mut Vec<(&'static str, String)>,
    ) {
        let wait = quota.reset_at.saturating_sub(sent);
        let delta = ceil_seconds(wait);
        let reset_unix = clock.unix(quota.reset_at);
        let (limit, remaining) = (quota.limit, quota.remaining);
        let (names, reset) = match self {
            Self::XEpochSeconds => (X_RATELIMIT, ceil_seconds(reset_unix).to_string()),
            Self::XDeltaSeconds => (X_RATELIMIT, delta.to_string()),
            Self::XEpochMillis => (X_RATELIMIT, ceil_millis(reset_unix).to_string()),
            Self::XHttpDate => (X_RATELIMIT, http_date(ceil_seconds(reset_unix))),
            Self::XIsoDate => (X_RATELIMIT, iso_date(ceil_seconds(reset_unix))),
            Self::DraftFields => (RATELIMIT, delta.to_string()),
            Self::HyphenFloat => {
                let ms = ceil_millis(wait);
                (X_RATE_LIMIT, format!("{}.{:03}", ms / 1000, ms % 1000))
            }
            Self::Structured => {
                let window = ceil_seconds(quota.window);
                headers.push(("ratelimit-policy", format!("\"default\";q={limit};w={window}")));
                headers.push(("ratelimit", format!("\"default\";r={remaining};t={delta}")));
                return;
            }
            Self::Combined => {
                headers.push(("ratelimit", format!("limit={limit}, remaining={remaining}, reset={delta}")));
                return;
            }
        };
        headers.push((names[0], limit.to_string()));
        headers.push((names[1], remaining.to_string()));
        headers.push((names[2], reset));
    }
}

/// The host's wall clock. It starts with the sandbox, and it can be set wrong on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HostClock {
    start_unix: Duration,
}

impl HostClock {
    pub(crate) fn new(start_unix: Duration, skew_seconds: i64) -> Self {
        let skew = Duration::from_secs(skew_seconds.unsigned_abs());
        Self {
            start_unix: if skew_seconds < 0 {
                start_unix.saturating_sub(skew)
            } else {
                start_unix.saturating_add(skew)
            },
        }
    }

    /// Returns the wall time at `now`, since the Unix epoch.
    pub(crate) fn unix(self, now: Duration) -> Duration {
        self.start_unix.saturating_add(now)
    }

    /// Converts a wall time in Unix seconds to the time since the sandbox's start.
    pub(crate) fn since_start(self, unix_seconds: u64) -> Duration {
        Duration::from_secs(unix_seconds).saturating_sub(self.start_unix)
    }
}

/// Returns a duration in seconds, rounded up.
pub(crate) fn ceil_seconds(wait: Duration) -> u64 {
    wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0))
}

fn ceil_millis(wait: Duration) -> u128 {
    wait.as_nanos().div_ceil(1_000_000)
}

/// Formats an HTTP-date (RFC 9110 §5.6.7). A time after the year 9999 is replaced by that year's last second.
pub(crate) fn http_date(unix_seconds: u64) -> String {
    let capped = Duration::from_secs(unix_seconds.min(YEAR_9999_END));
    httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + capped)
}

/// Formats a date like `2026-10-21T07:28:00Z`.
fn iso_date(unix_seconds: u64) -> String {
    let unix_seconds = unix_seconds.min(YEAR_9999_END);
    let (year, month, day) = civil(unix_seconds / 86_400);
    let second = unix_seconds % 86_400;
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", second / 3600, second / 60 % 60, second % 60)
}

/// Returns year, month and day of a day counted from 1970-01-01 (Hinnant's `civil_from_days` for positive
/// days).
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day)
}

const YEAR_9999_END: u64 = 253_402_300_799;

const X_RATELIMIT: [&str; 3] = ["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"];
const X_RATE_LIMIT: [&str; 3] = ["x-rate-limit-limit", "x-rate-limit-remaining", "x-rate-limit-reset"];
const RATELIMIT: [&str; 3] = ["ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"];

#[cfg(test)]
mod tests {
    use super::*;

    fn announced(dialect: Dialect) -> Vec<(&'static str, String)> {
        let quota = QuotaState {
            limit: 40,
            remaining: 39,
            reset_at: Duration::from_millis(59_500),
            window: Duration::from_secs(60),
        };
        let clock = HostClock::new(Duration::from_secs(1_792_567_620), 0);
        let mut headers = Vec::new();
        dialect.announce(&quota, Duration::from_millis(250), clock, &mut headers);
        headers
    }

    fn reset(dialect: Dialect) -> String {
        let headers = announced(dialect);
        assert_eq!(headers.len(), 3);
        assert_eq!((headers[0].1.as_str(), headers[1].1.as_str()), ("40", "39"));
        headers[2].1.clone()
    }

    #[test]
    fn every_dialect_says_the_same_in_its_own_words() {
        assert_eq!(reset(Dialect::XEpochSeconds), "1792567680");
        assert_eq!(reset(Dialect::XDeltaSeconds), "60");
        assert_eq!(reset(Dialect::XEpochMillis), "1792567679500");
        assert_eq!(reset(Dialect::XHttpDate), "Wed, 21 Oct 2026 07:28:00 GMT");
        assert_eq!(reset(Dialect::XIsoDate), "2026-10-21T07:28:00Z");
        assert_eq!(reset(Dialect::DraftFields), "60");
        assert_eq!(reset(Dialect::HyphenFloat), "59.250");
        assert_eq!(announced(Dialect::HyphenFloat)[2].0, "x-rate-limit-reset");
        assert_eq!(
            announced(Dialect::Structured),
            [
                ("ratelimit-policy", "\"default\";q=40;w=60".to_owned()),
                ("ratelimit", "\"default\";r=39;t=60".to_owned())
            ]
        );
        assert_eq!(announced(Dialect::Combined)[0].1, "limit=40, remaining=39, reset=60");
    }

    #[test]
    fn dates_are_right_on_leap_days_and_at_the_ends() {
        assert_eq!(iso_date(0), "1970-01-01T00:00:00Z");
        assert_eq!(iso_date(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(iso_date(1_709_251_199), "2024-02-29T23:59:59Z");
        assert_eq!(iso_date(u64::MAX), "9999-12-31T23:59:59Z");
        assert_eq!(http_date(u64::MAX), "Fri, 31 Dec 9999 23:59:59 GMT");
    }

    #[test]
    fn a_wrong_clock_is_wrong_in_one_direction() {
        let start = Duration::from_secs(1000);
        assert_eq!(HostClock::new(start, 45).unix(start), Duration::from_secs(2045));
        assert_eq!(HostClock::new(start, -45).unix(start), Duration::from_secs(1955));
        assert_eq!(HostClock::new(start, -45).since_start(955), Duration::ZERO);
    }
}
