//! A record of the frontier, the lease on a record, and how a lease ended.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use bytes::Bytes;

use crate::canonical::Fingerprint;
use crate::name::{Host, Scheme};
use crate::outcome::Reason;
use crate::time::Timestamp;
use crate::validators::Validators;

/// The priority of a URL among the URLs of its host. A higher priority goes first; the default is 0.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
pub struct Priority(pub i8);

/// How promising a URL is, in a crawl that is ordered by score. A higher score goes first; the default is 0.
///
/// It is stored as the upper 16 bits of a 32-bit float, which keep about two significant digits at any
/// magnitude.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Score(u16);

impl Score {
    /// Returns the score nearest to a number, rounded towards zero; NaN counts as 0.
    #[must_use]
    pub fn of(value: f32) -> Self {
        let bits = if value.is_nan() || value == 0.0 { 0 } else { value.to_bits() };
        let upper = (bits >> 16) as u16;
        // Makes the bits of a float sort like the float: flips the sign bit of a positive number, and all
        // bits of a negative number.
        Self(if upper & NEGATIVE == 0 { upper | NEGATIVE } else { !upper })
    }

    /// Returns the score as a number.
    #[must_use]
    pub fn value(self) -> f32 {
        let upper = if self.0 & NEGATIVE == 0 { !self.0 } else { self.0 & !NEGATIVE };
        f32::from_bits(u32::from(upper) << 16)
    }

    /// Returns a number that sorts as the score does; [`from_sort_key`](Self::from_sort_key) reverses it.
    #[must_use]
    pub fn sort_key(self) -> u16 {
        self.0
    }

    /// Returns the score for a sort key.
    #[must_use]
    pub fn from_sort_key(key: u16) -> Self {
        Self(key)
    }
}

const NEGATIVE: u16 = 0x8000;

impl Default for Score {
    fn default() -> Self {
        Self(NEGATIVE)
    }
}

impl fmt::Debug for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "score {}", self.value())
    }
}

/// One URL of the frontier.
///
/// The core, the stores and the hosts pass `extra` on and never read it. It is empty for a plain GET without
/// a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The absolute URL, normalised, without fragment.
    pub url: Arc<str>,
    /// The hash of the canonical URL, by which a URL that was seen before is recognised.
    pub fingerprint: Fingerprint,
    /// The host whose budget is used when the URL is fetched.
    pub host: Host,
    /// The scheme of the URL: http or https.
    pub scheme: Scheme,
    /// The number of links from a seed: 0 for a seed. The target of a redirect has the depth of the URL that
    /// led to it.
    pub depth: u16,
    /// The priority among the records of its host.
    pub priority: Priority,
    /// The score. In a crawl ordered by score, it orders records of the same host and priority.
    pub score: Score,
    /// The requests that were made for this URL so far.
    pub attempts: Attempts,
    /// Whether this record is a URL of its own, or the target of another URL's redirect.
    pub kind: RecordKind,
    /// The validators that a conditional request sends, for a page that is fetched again; else `None`.
    pub validators: Option<Arc<Validators>>,
    /// The step, method, body, headers, overrides and origin, in the encoding of the crate `opilio-spider`.
    pub extra: Bytes,
}

impl Record {
    /// Creates the record of a plain GET that was never tried, with depth 0 and the default priority.
    pub fn new(url: impl Into<Arc<str>>, fingerprint: Fingerprint, host: Host, scheme: Scheme) -> Self {
        Self {
            url: url.into(),
            fingerprint,
            host,
            scheme,
            depth: 0,
            priority: Priority::default(),
            score: Score::default(),
            attempts: Attempts::NONE,
            kind: RecordKind::Discovered,
            validators: None,
            extra: Bytes::new(),
        }
    }
}

/// The number of requests made for one URL, and how many of them do not count against the URL.
///
/// A request does not count if another request showed that its failure was the host's fault. The retry policy
/// uses [`used`](Self::used), and reports show [`requests`](Self::requests).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
pub struct Attempts {
    /// The number of requests that the server may have seen.
    pub requests: u16,
    /// The number of requests that failed by the host's fault; at most `requests`.
    pub excused: u16,
}

impl Attempts {
    /// No request has been made yet.
    pub const NONE: Self = Self { requests: 0, excused: 0 };

    /// Creates a count of this many requests, all of which count against the URL.
    #[must_use]
    pub fn of(requests: u16) -> Self {
        Self { requests, excused: 0 }
    }

    /// Returns the number of requests that count against the URL.
    #[must_use]
    pub fn used(self) -> u16 {
        self.requests.saturating_sub(self.excused)
    }

    /// Whether no request has been made yet.
    #[must_use]
    pub fn is_none(self) -> bool {
        self == Self::NONE
    }

    /// Packs both numbers into one number for stores. If no request is excused, the result is the number of
    /// requests.
    #[must_use]
    pub fn pack(self) -> u32 {
        u32::from(self.excused) << 16 | u32::from(self.requests)
    }

    /// Reverses [`pack`](Self::pack).
    #[must_use]
    pub fn unpack(packed: u32) -> Self {
        Self { requests: packed as u16, excused: (packed >> 16) as u16 }
    }
}

/// Whether a report counts a record as a URL of its own.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub enum RecordKind {
    /// A seed or a link: counted once when admitted and once when it ends.
    #[default]
    Discovered,
    /// The target of a redirect. When it ends, the ending is recorded for the URL that was requested first
    /// and is counted already.
    Continuation,
}

/// The number of a lease, unique within one run.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LeaseId(pub u64);

impl LeaseId {
    /// Returns the number of an errand's lease. An errand is a fetch of robots.txt on behalf of *another*
    /// host, whose robots.txt redirects to this host. The errand spends this host's budget and respects its
    /// holds as any lease does, but this host's robots.txt does not apply to the errand. The lease does not
    /// come from a store, so no store is told how it ends. Stores hand out lower numbers.
    #[must_use]
    pub fn errand(n: u64) -> Self {
        Self(ERRANDS | n)
    }

    /// Returns the number of a witness's lease. A witness is a request that a host makes only to learn whose fault
    /// failures were. The engine treats a witness as an errand that no other host waits for.
    #[must_use]
    pub fn witness(n: u32) -> Self {
        Self(ERRANDS | WITNESSES | u64::from(n))
    }

    /// Whether this is the lease of an errand or of a witness.
    #[must_use]
    pub fn is_errand(self) -> bool {
        self.0 & ERRANDS != 0
    }

    /// Whether this is the lease of a witness.
    #[must_use]
    pub fn is_witness(self) -> bool {
        self.0 & (ERRANDS | WITNESSES) == (ERRANDS | WITNESSES)
    }
}

/// The lowest number of an errand's lease: errands have the upper half of all numbers. No store hands out so
/// many leases that it reaches this half.
const ERRANDS: u64 = 1 << 63;
/// The bit that marks the number of a witness's lease, in addition to `ERRANDS`. No shard has so many errands
/// that their numbers reach this bit.
const WITNESSES: u64 = 1 << 62;

impl fmt::Debug for LeaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "lease {}", self.0)
    }
}

/// A record that a host may fetch until the lease is settled.
///
/// The store numbers leases in the order in which it hands them out. So among the URLs of one priority and
/// depth, a smaller number means an older URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The lease's number.
    pub id: LeaseId,
    /// The record of the URL to fetch.
    pub record: Record,
}

/// The way in which a lease ended, as it is reported to the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The URL is a page: fetched, parsed, and written to the sinks.
    Page,
    /// The URL is an alias: its redirects led to a URL that the crawl knew already.
    Alias,
    /// The URL continues as a new record, that of its redirect's target. The new record is admitted in the
    /// same step.
    Redirected,
    /// The URL failed, and no further attempt is due.
    Failed(Reason),
    /// The URL is due again later, and the store keeps it until then.
    Retry {
        /// The earliest time of the next attempt.
        due: Timestamp,
        /// The requests that were made for the URL so far.
        attempts: Attempts,
    },
    /// The URL was not tried and goes back to its place in the order. At the end of a run, all open leases
    /// end so.
    Return,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_sort_as_their_numbers() {
        let sorted = [f32::NEG_INFINITY, -1e30, -2.0, -1.5, -1e-9, 0.0, 1e-9, 0.5, 1.0, 1.5, 700.0, 1e30];
        let scores = sorted.map(Score::of);
        assert!(scores.is_sorted_by(|a, b| a < b), "{scores:?}");
        for (number, score) in sorted.into_iter().zip(scores) {
            assert!((score.value() - number).abs() <= number.abs() / 128.0 || number.is_infinite());
            assert_eq!(Score::from_sort_key(score.sort_key()), score);
        }
    }

    #[test]
    fn what_is_no_number_has_the_default_score() {
        for number in [f32::NAN, -f32::NAN, 0.0, -0.0] {
            assert_eq!(Score::of(number), Score::default());
        }
    }
}
