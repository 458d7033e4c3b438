//! A record of the frontier, the lease on it, and how it ended.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::canonical::Fingerprint;
use crate::name::{Host, Scheme};
use crate::outcome::Reason;
use crate::time::Timestamp;
use crate::validators::Validators;

/// The priority of a URL among the URLs of its host: higher goes first, 0 is the default.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct Priority(pub i8);

/// How promising a URL is, for a crawl ordered by score: higher goes first, 0 is the default.
///
/// The upper half of a single-precision number: about two significant digits at any magnitude.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Score(u16);

impl Score {
    /// The score nearest to a number, rounded towards zero; NaN counts as 0.
    #[must_use]
    pub fn of(value: f32) -> Self {
        let bits = if value.is_nan() || value == 0.0 { 0 } else { value.to_bits() };
        let upper = (bits >> 16) as u16;
        // The usual order-preserving code of floats: flips the sign bit, and all bits of a negative number.
        Self(if upper & NEGATIVE == 0 { upper | NEGATIVE } else { !upper })
    }

    /// The score as a number.
    #[must_use]
    pub fn value(self) -> f32 {
        let upper = if self.0 & NEGATIVE == 0 { !self.0 } else { self.0 & !NEGATIVE };
        f32::from_bits(u32::from(upper) << 16)
    }

    /// A number that sorts as the score does; [`from_sort_key`](Self::from_sort_key) reverses it.
    #[must_use]
    pub fn sort_key(self) -> u16 {
        self.0
    }

    /// The score of a sort key.
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
/// The core, the stores and the hosts carry `extra` but never read it. It is empty for a plain GET without a
/// step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The absolute URL, normalised, without fragment.
    pub url: Arc<str>,
    /// The dedup key.
    pub fingerprint: Fingerprint,
    /// The host whose budget a fetch spends.
    pub host: Host,
    /// http or https.
    pub scheme: Scheme,
    /// Links from a seed: 0 for a seed; a redirect's target has the depth of its origin.
    pub depth: u16,
    /// The priority among the records of its host.
    pub priority: Priority,
    /// The score; it orders records of equal host and priority in a crawl ordered by score.
    pub score: Score,
    /// Requests that were made for this URL so far.
    pub attempts: Attempts,
    /// Whether this record is a URL of its own or continues another one.
    pub kind: RecordKind,
    /// For a page that is due again: the validators that its conditional request sends.
    pub validators: Option<Arc<Validators>>,
    /// Step, method, body, headers, overrides and origin, encoded for the spider's side.
    pub extra: Bytes,
}

impl Record {
    /// A plain GET of a URL that was not requested yet, at depth 0 and with the default priority.
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

/// The requests made for one URL, and how many of them do not count against it.
///
/// A request does not count if another start showed that its failure was the host's fault. The retry policy
/// counts [`used`](Self::used), reports show [`requests`](Self::requests).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct Attempts {
    /// Requests that the server may have seen.
    pub requests: u16,
    /// Requests that failed by the host's fault; at most `requests`.
    pub excused: u16,
}

impl Attempts {
    /// No request yet.
    pub const NONE: Self = Self { requests: 0, excused: 0 };

    /// This many requests, all counting against the URL.
    #[must_use]
    pub fn of(requests: u16) -> Self {
        Self { requests, excused: 0 }
    }

    /// Attempts that count against the URL.
    #[must_use]
    pub fn used(self) -> u16 {
        self.requests.saturating_sub(self.excused)
    }

    /// Whether no request was made yet.
    #[must_use]
    pub fn is_none(self) -> bool {
        self == Self::NONE
    }

    /// Packs both numbers into one for stores: the number of requests alone if none is excused.
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

/// Whether a record counts in the books as a URL of its own.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum RecordKind {
    /// A seed or a link: counted once when admitted and once when it ends.
    #[default]
    Discovered,
    /// The target of a redirect. It ends on behalf of its origin, which was counted already.
    Continuation,
}

/// The number of a lease, unique within one run.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LeaseId(pub u64);

impl LeaseId {
    /// Returns the number of an errand's lease. An errand is a fetch of robots.txt on behalf of *another* host, whose
    /// robots.txt redirects to this host. The errand spends this host's budget and keeps its holds as any lease does,
    /// but this host's robots.txt does not apply to the errand. The lease comes from no store, so no store is told of
    /// its end. Stores hand out lower numbers.
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

/// The first number for errands: the upper half of all numbers. No store hands out that many leases.
const ERRANDS: u64 = 1 << 63;
/// The bit that marks the number of a witness, in addition to `ERRANDS`. No shard has that many errands.
const WITNESSES: u64 = 1 << 62;

impl fmt::Debug for LeaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "lease {}", self.0)
    }
}

/// A record that a host has the right to fetch until it is settled.
///
/// The store numbers leases in the order in which it hands them out, so the number is also a URL's age among
/// the URLs of its priority and depth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The lease's number.
    pub id: LeaseId,
    /// What to fetch.
    pub record: Record,
}

/// How a lease ended, as the store is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// A page: fetched, parsed, written.
    Page,
    /// Its redirects led to a URL that the crawl knew already.
    Alias,
    /// It goes on as the record of its redirect's target, which is admitted with this settle.
    Redirected,
    /// No attempt is due any more.
    Failed(Reason),
    /// Due again later; the store keeps it until then.
    Retry {
        /// Not before this instant.
        due: Timestamp,
        /// Requests made for it.
        attempts: Attempts,
    },
    /// It was not tried and goes back to its place. The end of a run returns all open leases.
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
