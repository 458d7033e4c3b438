//! The limits of one attempt: the most time, bytes and header fields that a server may use up.

use std::time::Duration;

/// The limits of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The time from the start of the attempt to the last byte of the body (30 s). Time spent waiting for the
    /// crawl's memory for bodies does not count.
    pub timeout: Duration,
    /// The time from the start of the attempt to the head of the answer; never more than `timeout`. `None` means
    /// `timeout`.
    pub first_byte: Option<Duration>,
    /// The most decoded bytes of a body (10 MiB). A larger body is a failure, never a page that is cut off.
    pub body_bytes_max: usize,
    /// The most bytes of a body as sent, before decoding (10 MiB).
    pub wire_bytes_max: u64,
    /// The most decoded bytes per byte sent (250). The ratio is checked once more than 1 MiB is decoded.
    pub ratio_max: u64,
    /// The most header fields (1,000).
    pub header_count_max: usize,
    /// The most bytes of all header names and values (100 KiB).
    pub header_bytes_max: usize,
    /// The most bytes of a redirect's target (8 KiB).
    pub url_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(30),
            first_byte: None,
            body_bytes_max: 10 << 20,
            wire_bytes_max: 10 << 20,
            ratio_max: 250,
            header_count_max: 1_000,
            header_bytes_max: 100 << 10,
            url_bytes_max: 8 << 10,
        }
    }
}

impl Limits {
    /// Returns the time from the start of the attempt to the head of the answer: `first_byte`, but at most
    /// `timeout`.
    #[must_use]
    pub fn first_byte(&self) -> Duration {
        self.first_byte.unwrap_or(self.timeout).min(self.timeout)
    }
}
