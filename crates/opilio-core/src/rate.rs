//! A request rate: a count per period, as people write it (`60/m`, `2/s`, `1000/h`).

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A number of starts per period.
///
/// The period is kept as it was written, since `60/m` and `1/s` differ: a server that counts per minute
/// accepts a start that comes 100 ms early, but a server that counts per second may refuse it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Rate {
    count: NonZeroU32,
    period: Duration,
}

impl Rate {
    /// Creates a rate of `count` starts per `period`.
    ///
    /// # Errors
    /// When the count or the period is zero, or the period is longer than a day.
    pub fn new(count: u32, period: Duration) -> Result<Self, RateError> {
        let refuse = || RateError { text: format!("{count} per {period:?}") };
        let count = NonZeroU32::new(count).ok_or_else(refuse)?;
        if period < Duration::from_millis(1) || period > Duration::from_secs(86_400) {
            return Err(RateError { text: format!("{count} per {period:?}") });
        }
        Ok(Self { count, period })
    }

    /// Returns how many starts the rate allows in each period.
    #[must_use]
    pub fn count(self) -> u32 {
        self.count.get()
    }

    /// Returns the period that the count refers to.
    #[must_use]
    pub fn period(self) -> Duration {
        self.period
    }

    /// Returns the mean time between two starts, without a safety margin.
    #[must_use]
    pub fn interval(self) -> Duration {
        self.period / self.count.get()
    }

    /// Returns the rate as starts per second.
    #[must_use]
    pub fn per_second(self) -> f64 {
        f64::from(self.count.get()) / self.period.as_secs_f64()
    }
}

/// Returns a rate of this many starts per second. A count of 0 means 1.
#[must_use]
pub fn per_second(count: u32) -> Rate {
    of(count, 1)
}

/// Returns a rate of this many starts per minute. A count of 0 means 1.
#[must_use]
pub fn per_minute(count: u32) -> Rate {
    of(count, 60)
}

/// Returns a rate of this many starts per hour. A count of 0 means 1.
#[must_use]
pub fn per_hour(count: u32) -> Rate {
    of(count, 3_600)
}

fn of(count: u32, secs: u64) -> Rate {
    Rate { count: NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN), period: Duration::from_secs(secs) }
}

/// The error for a text that is not a rate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a rate: write a count per s, m, h or d, such as 60/m or 2/s")]
pub struct RateError {
    text: String,
}

impl FromStr for Rate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        let refuse = || RateError { text: text.to_owned() };
        let (count, period) = text.split_once('/').ok_or_else(refuse)?;
        let count: u32 = count.trim().parse().map_err(|_| refuse())?;
        let secs = match period.trim() {
            "s" | "sec" | "second" => 1,
            "m" | "min" | "minute" => 60,
            "h" | "hour" => 3_600,
            "d" | "day" => 86_400,
            _ => return Err(refuse()),
        };
        Self::new(count, Duration::from_secs(secs)).map_err(|_| refuse())
    }
}

impl TryFrom<String> for Rate {
    type Error = RateError;

    fn try_from(text: String) -> Result<Self, RateError> {
        text.parse()
    }
}

impl From<Rate> for String {
    fn from(rate: Rate) -> Self {
        rate.to_string()
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.count;
        match self.period.as_secs_f64() {
            1.0 => write!(f, "{count}/s"),
            60.0 => write!(f, "{count}/m"),
            3_600.0 => write!(f, "{count}/h"),
            86_400.0 => write!(f, "{count}/d"),
            secs => write!(f, "{count} per {secs} s"),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn reads_what_people_write() {
        assert_eq!("60/m".parse::<Rate>().unwrap(), per_minute(60));
        assert_eq!(" 2 / s".parse::<Rate>().unwrap(), per_second(2));
        assert_eq!("1000/h".parse::<Rate>().unwrap(), per_hour(1000));
        assert_eq!(per_minute(30).interval(), Duration::from_secs(2));
    }

    #[test]
    fn refuses_what_is_no_rate_and_names_it() {
        for text in ["banana", "", "60", "0/s", "-1/s", "1/fortnight", "1.5/s", "99999999999/s"] {
            let error = text.parse::<Rate>().unwrap_err().to_string();
            assert!(error.contains(&format!("{text:?}")), "{error}");
        }
    }
}
